/* MNIST's idx format (LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist): big-endian, two zero
 * bytes, the type of its values, how many dimensions, their sizes in 32 bits each, then the values;
 * one file of images, one of labels, perhaps two more to test; each plain or gzipped.
 *
 * Happy path: images of 2 to 4 dimensions (samples x pixels, samples x height x width, samples x
 * channels x height x width), labels of 1 or 2 (the class in one of the columns, as QMNIST has it).
 * Bytes are divided by 255, other integers by the largest magnitude among the training samples,
 * floats stay. Failure modes handled, each naming the file: it cannot be read, another format,
 * sizes that cannot be, fewer or more bytes than the header says, broken compression, another
 * number of labels than images, labels that are no integers, values that are not finite. */
#include "models/data.h"

#include "base/check.h"
#include "models/clones.h"
#include "models/layers.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { DIMENSIONS = 4, BLOCK = 1 << 18 };

enum type { BYTES = 0x08, SIGNED_BYTES, SHORTS = 0x0b, INTS, FLOATS, DOUBLES };

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [BYTES] = {"bytes", 1},
    [SIGNED_BYTES] = {"signed bytes", 1},
    [SHORTS] = {"16-bit integers", 2},
    [INTS] = {"32-bit integers", 4},
    [FLOATS] = {"32-bit floats", 4},
    [DOUBLES] = {"64-bit floats", 8},
};

struct file {
    const char *path;
    gzFile stream;
    enum type type;
    int dimensions;
    uint32_t size[DIMENSIONS];
    size_t values, row; /* a sample: values, and bytes of the file */
    bool one_hot;       /* of labels: a column a class */
};

struct idx {
    const char *images[2], *labels[2]; /* of training and test samples; NULL: none */
    int files;
    struct file like; /* the first file of images, closed: its shape */
    bool channels_last;
    size_t label_columns;
    bool one_hot; /* a column a class */
    uint32_t rows, test_from;
    uint8_t *label;  /* [rows] */
    uint32_t *place; /* [rows] */
};

static void close_idx(void *source)
{
    struct idx *idx = source;
    free(idx->label);
    free(idx->place);
    free(idx);
}

/* ---- files ---- */

/* Read exactly `bytes`; `what` they belong to, for the message. */
static int read_bytes(struct file *file, void *buffer, size_t bytes, const char *what,
                      struct rg_error *e)
{
    int got = gzread(file->stream, buffer, (unsigned)bytes), code;
    const char *reason = gzerror(file->stream, &code);
    if (got == (int)bytes)
        return 0;
    if (got >= 0 && (code == Z_OK || code == Z_BUF_ERROR))
        return rg_fail_at(e, file->path, 0, "truncated: it ends after %lld bytes, inside %s",
                          (long long)gztell(file->stream), what);
    return rg_fail_at(e, file->path, 0, "cannot be read: %s",
                      code == Z_ERRNO ? strerror(errno) : reason);
}

/* "32-bit integers of 8 x 28" */
static const char *describe(const struct file *file, char *text, size_t size)
{
    int used = snprintf(text, size, "%s in %d dimension%s,", types[file->type].name,
                        file->dimensions, file->dimensions == 1 ? "" : "s");
    for (int i = 0; i < file->dimensions; i++)
        used +=
            snprintf(text + used, size - (size_t)used, "%s%u", i > 0 ? " x " : " ", file->size[i]);
    return text;
}

static int read_header(struct file *file, struct rg_error *e)
{
    unsigned char b[4 + 4 * DIMENSIONS];
    int err = read_bytes(file, b, 4, "its header", e);
    if (err < 0)
        return err;
    unsigned type = b[2];
    bool known = type < RG_COUNT(types) && types[type].name;
    if (b[0] || b[1] || !known || b[3] < 1 || b[3] > DIMENSIONS)
        return rg_fail_at(
            e, file->path, 0,
            "not in idx format: it begins with %02x %02x %02x %02x; two zero bytes, a "
            "type (08 to 0e) and 1 to %d dimensions are allowed",
            b[0], b[1], b[2], b[3], DIMENSIONS);
    file->type = (enum type)type;
    file->dimensions = b[3];
    err = read_bytes(file, b + 4, 4 * (size_t)file->dimensions, "its header", e);
    file->values = 1;
    for (int i = 0; i < file->dimensions && err == 0; i++) {
        const unsigned char *p = b + 4 + 4 * i;
        file->size[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        uint64_t values = (uint64_t)file->values * (i > 0 ? file->size[i] : 1);
        char text[120];
        if (file->size[i] < 1 || (i == 0 && file->size[i] > INT_MAX) ||
            values > (uint64_t)RG_MAX_WIDTH) {
            file->dimensions = i + 1;
            err = rg_fail_at(e, file->path, 0,
                             "its header says %s: 1 to %d samples of 1 to %d values are allowed",
                             describe(file, text, sizeof text), INT_MAX, RG_MAX_WIDTH);
        }
        file->values = (size_t)values;
    }
    file->row = err < 0 ? 0 : file->values * types[type].bytes;
    return err;
}

/* Open and read the header; the stream stands at the first sample. */
static int file_open(struct file *file, const struct rg_data_spec *spec, const char *path,
                     struct rg_error *e)
{
    *file = (struct file){.path = path};
    if (!path)
        return rg_data_fail(spec, e, "data of kind idx needs a file of images and one of labels");
    errno = 0;
    file->stream = gzopen(path, "rb");
    if (!file->stream)
        return rg_data_fail(spec, e, "cannot read %s: %s", path,
                            errno ? strerror(errno) : "out of memory");
    gzbuffer(file->stream, BLOCK / 2);
    return read_header(file, e);
}

static void file_close(struct file *file)
{
    if (file->stream)
        gzclose(file->stream);
    file->stream = NULL;
}

/* Past the last sample: nothing may follow. */
static int check_end(struct file *file, struct rg_error *e)
{
    char more, text[120];
    int n = gzread(file->stream, &more, 1), error = 0;
    const char *why = gzerror(file->stream, &error);
    if (n < 0 || (error != Z_OK && error != Z_STREAM_END))
        return rg_fail_at(e, file->path, 0, "its end is damaged: %s; a whole file is needed", why);
    if (n == 0)
        return 0;
    return rg_fail_at(e, file->path, 0, "longer than its header says: %s",
                      describe(file, text, sizeof text));
}

/* There must be as many bytes as the header says: a plain file tells its size, another is read. */
static int check_length(struct file *file, const char *what, struct rg_error *e)
{
    static _Thread_local char block[BLOCK];
    struct stat status;
    uint64_t left = (uint64_t)file->size[0] * file->row;
    if (gzdirect(file->stream) && stat(file->path, &status) == 0 && S_ISREG(status.st_mode) &&
        (uint64_t)status.st_size == left + 4 + 4 * (uint64_t)file->dimensions)
        return 0;
    while (left > 0) {
        size_t some = (size_t)RG_MIN(left, sizeof block);
        int err = read_bytes(file, block, some, what, e);
        if (err < 0)
            return err;
        left -= some;
    }
    return check_end(file, e);
}

/* Value i of a row, whatever its type. */
static double value_at(enum type type, const unsigned char *row, size_t i)
{
    const unsigned char *p = row + i * types[type].bytes;
    uint64_t bits = 0;
    for (size_t k = 0; k < types[type].bytes; k++)
        bits = bits << 8 | p[k];
    union {
        uint32_t bits;
        float value;
    } single = {(uint32_t)bits};
    union {
        uint64_t bits;
        double value;
    } full = {bits};
    switch (type) {
    case BYTES:
        return (double)bits;
    case SIGNED_BYTES:
        return (int8_t)bits;
    case SHORTS:
        return (int16_t)bits;
    case INTS:
        return (int32_t)bits;
    case FLOATS:
        return single.value;
    default:
        return full.value;
    }
}

/* ---- labels ---- */

/* The index of a label's text; `known`, of labels 0 to 255, saves writing it again. */
static int label_index(struct rg_names *texts, int known[256], double value)
{
    char text[24];
    bool small = value >= 0 && value < 256;
    if (small && known[(int)value] >= 0)
        return known[(int)value];
    int length = snprintf(text, sizeof text, "%.0f", value);
    int index = rg_names_add(texts, text, (size_t)length);
    if (small)
        known[(int)value] = index;
    return index;
}

/* Where a row of labels, 0 but for one 1, has that; -1: it is no such row. */
static int one_of(enum type type, const unsigned char *row, size_t values)
{
    int one = -1;
    for (size_t i = 0; i < values; i++) {
        double value = value_at(type, row, i);
        if ((value != 0 && value != 1) || (value == 1 && one >= 0))
            return -1;
        one = value == 1 ? (int)i : one;
    }
    return one;
}

/* Have all rows a column a class, and a 1 in one of them? The stream stands where it stood. */
static int find_one_hot(struct file *file, bool *one_hot, struct rg_error *e)
{
    unsigned char *row = malloc(file->row);
    int err = row ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file->path);
    *one_hot = true;
    for (uint32_t i = 0; i < file->size[0] && err == 0 && *one_hot; i++) {
        err = read_bytes(file, row, file->row, "its labels", e);
        *one_hot = err == 0 && one_of(file->type, row, file->values) >= 0;
    }
    free(row);
    if (err == 0 && gzseek(file->stream, 4 + 4 * file->dimensions, SEEK_SET) < 0)
        err = rg_fail_at(e, file->path, 0, "cannot be read again");
    return err;
}

/* The labels of one file, as indices of their texts, to label [count]. */
static int read_labels(struct file *file, const struct rg_data_spec *spec, struct rg_names *texts,
                       int *label, struct rg_error *e)
{
    int column = rg_data_number(spec, "label"), known[256], err = 0;
    if (column == 0 && file->values > 2 && file->values <= RG_DATA_CLASSES)
        err = find_one_hot(file, &file->one_hot, e);
    if (err < 0)
        return err;
    size_t some = RG_MAX(BLOCK / file->row, 1);
    unsigned char *block = malloc(some * file->row);
    if (!block)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file->path);
    memset(known, -1, sizeof known);
    for (uint32_t i = 0; i < file->size[0] && err == 0; i++) {
        const unsigned char *row = block + i % some * file->row;
        if (i % some == 0)
            err = read_bytes(file, block, RG_MIN(some, file->size[0] - i) * file->row, "its labels",
                             e);
        if (err < 0)
            break;
        double value = file->one_hot ? one_of(file->type, row, file->values)
                                     : value_at(file->type, row, (size_t)RG_MAX(column - 1, 0));
        label[i] = label_index(texts, known, value);
        if (label[i] < 0)
            err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file->path);
        else if (label[i] == RG_NAMES_MAX)
            err = rg_fail_at(e, file->path, 0,
                             "more than %d different labels, %s of sample %u is another: up to %d "
                             "classes are allowed",
                             RG_NAMES_MAX, texts->text[label[i]], i, RG_DATA_CLASSES);
    }
    free(block);
    return err ? err : check_end(file, e);
}

static int open_labels(struct file *file, const struct rg_data_spec *spec, const char *path,
                       struct rg_error *e)
{
    char text[120];
    int err = file_open(file, spec, path, e), column = rg_data_number(spec, "label");
    if (err < 0)
        return err;
    if (file->dimensions > 2 || file->type == FLOATS || file->type == DOUBLES)
        return rg_fail_at(e, path, 0,
                          "labels of %s: integers in 1 dimension, or 2 of which one "
                          "column is the class, are allowed",
                          describe(file, text, sizeof text));
    if ((size_t)column > file->values)
        return rg_data_fail(spec, e, "label=\"%d\": %s has %zu columns", column, path,
                            file->values);
    return 0;
}

/* ---- images ---- */

static int open_images(struct file *file, const struct rg_data_spec *spec, const char *path,
                       struct rg_error *e)
{
    char text[120];
    int err = file_open(file, spec, path, e);
    if (err == 0 && file->dimensions < 2)
        err = rg_fail_at(e, path, 0,
                         "images of %s: 2 to %d dimensions are allowed (samples x "
                         "height x width)",
                         describe(file, text, sizeof text), DIMENSIONS);
    return err;
}

/* Samples x height x width x channels, where the first of the three can be no channels. */
static bool are_channels_last(const struct file *file)
{
    return file->dimensions == 4 && file->size[3] <= 4 && file->size[1] > 4;
}

static struct rg_shape shape_of(const struct idx *idx)
{
    const uint32_t *s = idx->like.size;
    if (idx->channels_last)
        return (struct rg_shape){(int)s[3], (int)s[1], (int)s[2]};
    if (idx->like.dimensions == 4)
        return (struct rg_shape){(int)s[1], (int)s[2], (int)s[3]};
    if (idx->like.dimensions == 3)
        return (struct rg_shape){1, (int)s[1], (int)s[2]};
    return (struct rg_shape){(int)s[1], 1, 1};
}

/* ---- probe ---- */

/* Images and labels of one pair; the labels' indices go behind those before. */
static int probe_pair(struct idx *idx, const struct rg_data_spec *spec, int which,
                      struct rg_names *texts, int **label, struct rg_error *e)
{
    struct file images, labels = {0};
    char a[120], b[120];
    int err = open_images(&images, spec, idx->images[which], e);
    if (err == 0)
        err = open_labels(&labels, spec, idx->labels[which], e);
    if (err == 0 && images.size[0] != labels.size[0])
        err = rg_fail_at(e, labels.path, 0, "%u labels: %u are allowed, one an image of %s",
                         labels.size[0], images.size[0], images.path);
    if (err == 0 && which > 0 &&
        (images.dimensions != idx->like.dimensions ||
         memcmp(images.size + 1, idx->like.size + 1, ((size_t)images.dimensions - 1) * 4) != 0))
        err = rg_fail_at(e, images.path, 0, "%s: %s, where %s has %s; sizes must be equal",
                         "its images are", describe(&images, a, sizeof a), idx->images[0],
                         describe(&idx->like, b, sizeof b));
    uint64_t most = RG_MIN((uint64_t)INT_MAX, SIZE_MAX / 16); /* and arrays of indices fit */
    if (err == 0 && idx->rows + (uint64_t)images.size[0] > most)
        err = rg_fail_at(e, images.path, 0, "more than %llu samples in all",
                         (unsigned long long)most);
    if (err == 0)
        err = check_length(&images, "its images", e);
    if (err == 0) {
        int *more = realloc(*label, (idx->rows + (size_t)images.size[0]) * sizeof *more);
        if (!more)
            err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", labels.path);
        else
            *label = more;
    }
    if (err == 0)
        err = read_labels(&labels, spec, texts, *label + idx->rows, e);
    if (err == 0 && which > 0 && labels.one_hot != idx->one_hot)
        err =
            rg_fail_at(e, labels.path, 0,
                       "labels %s a column for each class (one-hot), those of %s %s: both or none "
                       "are allowed",
                       labels.one_hot ? "have" : "have not", idx->labels[0],
                       idx->one_hot ? "have" : "have not");
    file_close(&images);
    file_close(&labels);
    if (which == 0)
        idx->like = images, idx->label_columns = labels.values, idx->one_hot = labels.one_hot;
    idx->rows += images.size[0];
    return err;
}

static int note_reading(const struct idx *idx, const struct rg_data_spec *spec,
                        struct rg_dataset *data, struct rg_error *e)
{
    int err = 0, column = rg_data_number(spec, "label");
    if (idx->one_hot)
        err = rg_data_note(data, e, "the labels have a column for each of %zu classes (one-hot)",
                           idx->label_columns);
    else if (idx->label_columns > 1)
        err = rg_data_note(data, e, "the labels are column %d of %zu", RG_MAX(column, 1),
                           idx->label_columns);
    if (err == 0 && idx->like.dimensions == 4)
        err = rg_data_note(data, e, "images of %u x %u x %u are %s", idx->like.size[1],
                           idx->like.size[2], idx->like.size[3],
                           idx->channels_last ? "height x width x channels"
                                              : "channels x height x width");
    return err;
}

/* Labels to classes, samples to places. Labels 0 to 9 are digits, or articles of Fashion-MNIST: ten
 * classes, even if a file lacks some. */
static int settle(struct idx *idx, const struct rg_data_spec *spec, const struct rg_names *texts,
                  const int *label, struct rg_dataset *data, struct rg_error *e)
{
    uint8_t class_of[RG_NAMES_MAX];
    enum rg_split split = rg_data_number(spec, "split") == 1 ? RG_SPLIT_ORDER : RG_SPLIT_STRATIFIED;
    int wanted = rg_data_number(spec, "classes"), usual = 10;
    for (int i = 0; i < texts->count; i++)
        usual = strlen(texts->text[i]) == 1 ? usual : 0;
    if (idx->one_hot)
        usual = (int)idx->label_columns;
    int err = rg_data_classes(spec, idx->labels[0], texts, wanted > 0 ? wanted : usual, class_of,
                              data, e);
    if (err < 0)
        return err;
    idx->label = malloc(idx->rows);
    idx->place = malloc(idx->rows * sizeof *idx->place);
    if (!idx->label || !idx->place)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", idx->labels[0]);
    for (uint32_t i = 0; i < idx->rows; i++)
        idx->label[i] = class_of[label[i]];
    struct rg_rows rows = {.file = idx->images[0],
                           .labels = idx->label,
                           .count = idx->rows,
                           .test_from = idx->test_from};
    return rg_data_split(spec, split, &rows, idx->place, data, e);
}

/* Integers of more than a byte: the training samples say what becomes 1. */
static bool is_scaled(enum type type)
{
    return type == SIGNED_BYTES || type == SHORTS || type == INTS;
}

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct idx *idx = calloc(1, sizeof *idx);
    struct rg_names texts = {0};
    int *label = NULL, err = 0;
    if (!idx)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    data->source = idx;
    idx->images[0] = rg_data_text(spec, "images");
    idx->labels[0] = rg_data_text(spec, "labels");
    idx->images[1] = rg_data_text(spec, "test-images");
    idx->labels[1] = rg_data_text(spec, "test-labels");
    idx->files = idx->images[1] ? 2 : 1;
    if (!idx->images[1] != !idx->labels[1])
        err = rg_data_fail(spec, e, "test-images and test-labels: both or none are allowed");
    for (int i = 0; i < idx->files && err == 0; i++) {
        err = probe_pair(idx, spec, i, &texts, &label, e);
        idx->test_from = i == 0 ? idx->rows : idx->test_from;
    }
    if (err == 0) {
        idx->channels_last = are_channels_last(&idx->like);
        data->shape = shape_of(idx);
        data->by_training = is_scaled(idx->like.type);
        if ((err = note_reading(idx, spec, data, e)) == 0)
            err = settle(idx, spec, &texts, label, data, e);
    }
    free(label);
    rg_names_free(&texts);
    return err;
}

/* ---- fill ---- */

RG_CLONES
static void convert_bytes(size_t n, const unsigned char *restrict row, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)row[i] / 255;
}

/* One sample x [values], as the file has it but for bytes, which are divided by 255. */
static void convert(const struct idx *idx, enum type type, const unsigned char *row, float *x)
{
    size_t n = idx->like.values;
    if (type == BYTES && !idx->channels_last) {
        convert_bytes(n, row, x);
        return;
    }
    size_t channels = idx->channels_last ? idx->like.size[3] : 1, pixels = n / channels;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            float value = (float)value_at(type, row, p * channels + c);
            x[c * pixels + p] = type == BYTES ? value / 255 : value;
        }
}

static int check_sample(const struct file *file, uint32_t sample, size_t n, const float *x,
                        struct rg_error *e)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return rg_fail_at(e, file->path, 0,
                              "value %zu of sample %u is not finite in single precision", i,
                              sample);
    return 0;
}

static int fill_file(const struct idx *idx, const struct rg_data_spec *spec, int which,
                     struct rg_dataset *data, struct rg_error *e)
{
    struct file file;
    uint32_t first = which == 0 ? 0 : idx->test_from;
    uint32_t end = which == 0 ? idx->test_from : idx->rows;
    int err = open_images(&file, spec, idx->images[which], e);
    if (err == 0 && (file.size[0] != end - first || file.values != idx->like.values))
        err = rg_fail_at(e, file.path, 0, "the file changed while it was read");
    size_t some = RG_MAX(BLOCK / RG_MAX(file.row, 1), 1);
    unsigned char *block = err == 0 ? malloc(some * file.row) : NULL;
    if (err == 0 && !block)
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file.path);
    for (uint32_t i = first; i < end && err == 0; i += (uint32_t)some) {
        size_t count = RG_MIN(some, end - i);
        err = read_bytes(&file, block, count * file.row, "its images", e);
        for (size_t k = 0; k < count && err == 0; k++) {
            uint32_t place = idx->place[i + k];
            float *x = place != UINT32_MAX ? rg_dataset_x(data, place) : NULL;
            if (!x)
                continue;
            convert(idx, file.type, block + k * file.row, x);
            if (file.type == FLOATS || file.type == DOUBLES)
                err = check_sample(&file, i + (uint32_t)k - first, data->inputs, x, e);
            *rg_dataset_label(data, place) = idx->label[i + k];
        }
    }
    free(block);
    file_close(&file);
    return err;
}

/* Integers of more than a byte: the largest magnitude that the training samples have becomes 1. */
static void scale_integers(struct rg_dataset *data)
{
    size_t train = (size_t)data->train * data->inputs;
    size_t all = train + (data->kept.test ? (size_t)data->test * data->inputs : 0);
    float most = 0;
    for (size_t i = 0; i < train; i++)
        most = fmaxf(most, fabsf(data->x[i]));
    for (size_t i = 0; i < all && most > 0; i++)
        data->x[i] /= most;
}

static int fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct idx *idx = data->source;
    int err = 0;
    for (int i = 0; i < idx->files && err == 0; i++)
        err = fill_file(idx, spec, i, data, e);
    if (err == 0 && data->by_training)
        scale_integers(data);
    return err;
}

static const struct rg_data_attribute attributes[] = {
    {"images", RG_DATA_FILE, true, .help = "the images' file, plain or .gz"},
    {"labels", RG_DATA_FILE, true, .help = "the labels' file, plain or .gz"},
    {"test-images", RG_DATA_FILE, .help = "those to test; default: some of the images"},
    {"test-labels", RG_DATA_FILE, .help = "their labels"},
    {"label", RG_DATA_COUNT, .min = 1, .max = 1 << 20,
     .help = "column of labels that have several"},
    {"split", RG_DATA_CHOICE, .choices = RG_SPLIT_WORDS, .help = "default: stratified"},
    {"classes", RG_DATA_COUNT, .min = 1, .max = RG_DATA_CLASSES,
     .help = "default: 10 for labels 0 to 9, else as in the file"},
    {0},
};

const struct rg_data_kind rg_data_idx = {
    .name = "idx",
    .summary = "MNIST's format, plain or .gz",
    .attributes = attributes,
    .probe = probe,
    .fill = fill,
    .close = close_idx,
};
