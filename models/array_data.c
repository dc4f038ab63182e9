/* Datasets of arrays in files: see array.h.
 *
 * Happy path: inputs of up to 4 dimensions (samples, samples x pixels, samples x height x width,
 * samples x channels x height x width), labels of 1 or 2 (the class in one of the columns, as
 * QMNIST has it, or a column a class). Bytes are divided by 255, other integers by the largest
 * magnitude among the training samples, floats stay; or all are standardised. Failure modes
 * handled, each naming the file: it cannot be read, another format, sizes that cannot be, fewer or
 * more bytes than the header says, broken compression, another number of labels than samples,
 * labels that are no whole numbers, values that are not finite. */
#include "models/array.h"

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

enum { BLOCK = 1 << 18 };

static const struct {
    const char *name;
    size_t bytes;
} types[RG_ARRAY_TYPES] = {
    [RG_ARRAY_U8] = {"bytes", 1},
    [RG_ARRAY_I8] = {"signed bytes", 1},
    [RG_ARRAY_U16] = {"unsigned 16-bit integers", 2},
    [RG_ARRAY_I16] = {"16-bit integers", 2},
    [RG_ARRAY_U32] = {"unsigned 32-bit integers", 4},
    [RG_ARRAY_I32] = {"32-bit integers", 4},
    [RG_ARRAY_U64] = {"unsigned 64-bit integers", 8},
    [RG_ARRAY_I64] = {"64-bit integers", 8},
    [RG_ARRAY_F32] = {"32-bit floats", 4},
    [RG_ARRAY_F64] = {"64-bit floats", 8},
};

static bool is_float(enum rg_array_type type)
{
    return type == RG_ARRAY_F32 || type == RG_ARRAY_F64;
}

struct arrays {
    const struct rg_array_format *format;
    const char *inputs[2], *labels[2]; /* of training and test samples; NULL: none */
    int files;
    struct rg_array_file like; /* the first file of inputs, closed: its shape */
    bool channels_last;
    int scale; /* of enum scale */
    size_t label_columns;
    bool one_hot; /* a column a class */
    uint32_t rows, test_from;
    uint8_t *label;  /* [rows] */
    uint32_t *place; /* [rows] */
};

void rg_array_close(void *source)
{
    struct arrays *a = source;
    free(a->label);
    free(a->place);
    free(a);
}

/* ---- files ---- */

/* Read exactly `bytes`; `what` they belong to, for the message. */
int rg_array_bytes(struct rg_array_file *file, void *buffer, size_t bytes, const char *what,
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
static const char *describe(const struct rg_array_file *file, char *text, size_t size)
{
    int used = snprintf(text, size, "%s in %d dimension%s,", types[file->type].name,
                        file->dimensions, file->dimensions == 1 ? "" : "s");
    for (int i = 0; i < file->dimensions; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%llu", i > 0 ? " x " : " ",
                         (unsigned long long)file->size[i]);
    return text;
}

/* Fill values and row; are sizes such as can be read? */
static int check_sizes(struct rg_array_file *file, struct rg_error *e)
{
    char text[160];
    file->values = 1;
    for (int i = 0; i < file->dimensions; i++) {
        uint64_t size = file->size[i], most = i == 0 ? INT_MAX : RG_MAX_WIDTH / file->values;
        if (size < 1 || size > most) {
            file->dimensions = i + 1;
            return rg_fail_at(e, file->path, 0,
                              "its header says %s: 1 to %d samples of 1 to %d values are allowed",
                              describe(file, text, sizeof text), INT_MAX, RG_MAX_WIDTH);
        }
        file->values *= i > 0 ? (size_t)size : 1;
    }
    file->row = file->values * types[file->type].bytes;
    return 0;
}

/* Open and read the header; the stream stands at the first sample. */
static int file_open(struct rg_array_file *file, const struct rg_array_format *format,
                     const struct rg_data_spec *spec, const char *path, struct rg_error *e)
{
    *file = (struct rg_array_file){.path = path};
    if (!path)
        return rg_data_fail(spec, e, "data of kind %s needs a file of %s and one of labels",
                            format->kind, format->noun);
    errno = 0;
    file->stream = gzopen(path, "rb");
    if (!file->stream)
        return rg_data_fail(spec, e, "cannot read %s: %s", path,
                            errno ? strerror(errno) : "out of memory");
    gzbuffer(file->stream, BLOCK / 2);
    int err = format->read_header(file, e);
    return err ? err : check_sizes(file, e);
}

static void file_close(struct rg_array_file *file)
{
    if (file->stream)
        gzclose(file->stream);
    file->stream = NULL;
}

/* Past the last sample: nothing may follow. */
static int check_end(struct rg_array_file *file, struct rg_error *e)
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
static int check_length(struct rg_array_file *file, const char *what, struct rg_error *e)
{
    static _Thread_local char block[BLOCK];
    struct stat status;
    uint64_t left = (uint64_t)file->size[0] * file->row;
    if (gzdirect(file->stream) && stat(file->path, &status) == 0 && S_ISREG(status.st_mode) &&
        (uint64_t)status.st_size == left + file->header)
        return 0;
    while (left > 0) {
        size_t some = (size_t)RG_MIN(left, sizeof block);
        int err = rg_array_bytes(file, block, some, what, e);
        if (err < 0)
            return err;
        left -= some;
    }
    return check_end(file, e);
}

/* Value i of a row, whatever its type. Whole numbers beyond 2^53 are rounded. */
static double value_at(const struct rg_array_file *file, const unsigned char *row, size_t i)
{
    size_t bytes = types[file->type].bytes;
    const unsigned char *p = row + i * bytes;
    uint64_t bits = 0;
    for (size_t k = 0; k < bytes; k++)
        bits = bits << 8 | p[file->little ? bytes - 1 - k : k];
    union {
        uint32_t bits;
        float value;
    } single = {(uint32_t)bits};
    union {
        uint64_t bits;
        double value;
    } full = {bits};
    switch (file->type) {
    case RG_ARRAY_I8:
        return (int8_t)bits;
    case RG_ARRAY_I16:
        return (int16_t)bits;
    case RG_ARRAY_I32:
        return (int32_t)bits;
    case RG_ARRAY_I64:
        return (double)(int64_t)bits;
    case RG_ARRAY_F32:
        return single.value;
    case RG_ARRAY_F64:
        return full.value;
    default:
        return (double)bits;
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
static int one_of(const struct rg_array_file *file, const unsigned char *row)
{
    int one = -1;
    for (size_t i = 0; i < file->values; i++) {
        double value = value_at(file, row, i);
        if ((value != 0 && value != 1) || (value == 1 && one >= 0))
            return -1;
        one = value == 1 ? (int)i : one;
    }
    return one;
}

/* Have all rows a column a class, and a 1 in one of them? The stream stands where it stood. */
static int find_one_hot(struct rg_array_file *file, bool *one_hot, struct rg_error *e)
{
    unsigned char *row = malloc(file->row);
    int err = row ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file->path);
    *one_hot = true;
    for (uint32_t i = 0; i < file->size[0] && err == 0 && *one_hot; i++) {
        err = rg_array_bytes(file, row, file->row, "its labels", e);
        *one_hot = err == 0 && one_of(file, row) >= 0;
    }
    free(row);
    if (err == 0 && gzseek(file->stream, (z_off_t)file->header, SEEK_SET) < 0)
        err = rg_fail_at(e, file->path, 0, "cannot be read again");
    return err;
}

/* The labels of one file, as indices of their texts, to label [count]. */
static int read_labels(struct rg_array_file *file, const struct rg_data_spec *spec,
                       struct rg_names *texts, int *label, struct rg_error *e)
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
            err = rg_array_bytes(file, block, RG_MIN(some, file->size[0] - i) * file->row,
                                 "its labels", e);
        if (err < 0)
            break;
        double value =
            file->one_hot ? one_of(file, row) : value_at(file, row, (size_t)RG_MAX(column - 1, 0));
        if (value != floor(value) || fabs(value) > 0x1p53)
            err = rg_fail_at(e, file->path, 0, "label %.9g of sample %u: whole numbers are allowed",
                             value, i);
        label[i] = err ? -1 : label_index(texts, known, value);
        if (err < 0)
            break;
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

static int open_labels(struct rg_array_file *file, const struct rg_array_format *format,
                       const struct rg_data_spec *spec, const char *path, struct rg_error *e)
{
    char text[160];
    int err = file_open(file, format, spec, path, e), column = rg_data_number(spec, "label");
    if (err < 0)
        return err;
    if (file->dimensions > 2)
        return rg_fail_at(e, path, 0,
                          "labels of %s: whole numbers in 1 dimension, or 2 of which one "
                          "column is the class, are allowed",
                          describe(file, text, sizeof text));
    if ((size_t)column > file->values)
        return rg_data_fail(spec, e, "label=\"%d\": %s has %zu columns", column, path,
                            file->values);
    return 0;
}

/* ---- inputs ---- */

static int open_inputs(struct rg_array_file *file, const struct rg_array_format *format,
                       const struct rg_data_spec *spec, const char *path, struct rg_error *e)
{
    char text[160];
    int err = file_open(file, format, spec, path, e);
    if (err == 0 && file->dimensions < format->least)
        err = rg_fail_at(
            e, path, 0, "%s of %s: %d to %d dimensions are allowed (samples x height x width)",
            format->noun, describe(file, text, sizeof text), format->least, RG_ARRAY_DIMENSIONS);
    return err;
}

/* Samples x height x width x channels, where the first of the three can be no channels. */
static bool are_channels_last(const struct rg_array_file *file)
{
    return file->dimensions == 4 && file->size[3] <= 4 && file->size[1] > 4;
}

static struct rg_shape shape_of(const struct arrays *a)
{
    const uint64_t *s = a->like.size;
    if (a->channels_last)
        return (struct rg_shape){(int)s[3], (int)s[1], (int)s[2]};
    if (a->like.dimensions == 4)
        return (struct rg_shape){(int)s[1], (int)s[2], (int)s[3]};
    if (a->like.dimensions == 3)
        return (struct rg_shape){1, (int)s[1], (int)s[2]};
    return (struct rg_shape){(int)a->like.values, 1, 1};
}

/* ---- probe ---- */

/* Images and labels of one pair; the labels' indices go behind those before. */
static int probe_pair(struct arrays *a, const struct rg_data_spec *spec, int which,
                      struct rg_names *texts, int **label, struct rg_error *e)
{
    struct rg_array_file inputs, labels = {0};
    char is[160], was[160];
    int err = open_inputs(&inputs, a->format, spec, a->inputs[which], e);
    if (err == 0)
        err = open_labels(&labels, a->format, spec, a->labels[which], e);
    if (err == 0 && inputs.size[0] != labels.size[0])
        err = rg_fail_at(
            e, labels.path, 0, "%llu labels: %llu are allowed, one for each sample of %s",
            (unsigned long long)labels.size[0], (unsigned long long)inputs.size[0], inputs.path);
    if (err == 0 && which > 0 &&
        (inputs.dimensions != a->like.dimensions ||
         memcmp(inputs.size + 1, a->like.size + 1,
                ((size_t)inputs.dimensions - 1) * sizeof *inputs.size) != 0))
        err = rg_fail_at(e, inputs.path, 0, "its %s are %s, where %s has %s; sizes must be equal",
                         a->format->noun, describe(&inputs, is, sizeof is), a->inputs[0],
                         describe(&a->like, was, sizeof was));
    uint64_t most = RG_MIN((uint64_t)INT_MAX, SIZE_MAX / 16); /* and arrays of indices fit */
    if (err == 0 && a->rows + (uint64_t)inputs.size[0] > most)
        err = rg_fail_at(e, inputs.path, 0, "more than %llu samples in all",
                         (unsigned long long)most);
    if (err == 0)
        err = check_length(&inputs, "its values", e);
    if (err == 0) {
        int *more = realloc(*label, (a->rows + (size_t)inputs.size[0]) * sizeof *more);
        if (!more)
            err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", labels.path);
        else
            *label = more;
    }
    if (err == 0)
        err = read_labels(&labels, spec, texts, *label + a->rows, e);
    if (err == 0 && which > 0 && labels.one_hot != a->one_hot)
        err = rg_fail_at(
            e, labels.path, 0,
            "labels %s a column for each class (one-hot), those of %s %s: both or none "
            "are allowed",
            labels.one_hot ? "have" : "have not", a->labels[0], a->one_hot ? "have" : "have not");
    file_close(&inputs);
    file_close(&labels);
    if (which == 0)
        a->like = inputs, a->label_columns = labels.values, a->one_hot = labels.one_hot;
    a->rows += (uint32_t)inputs.size[0];
    return err;
}

static int note_reading(const struct arrays *a, const struct rg_data_spec *spec,
                        struct rg_dataset *data, struct rg_error *e)
{
    int err = 0, column = rg_data_number(spec, "label");
    if (a->one_hot)
        err = rg_data_note(data, e, "the labels have a column for each of %zu classes (one-hot)",
                           a->label_columns);
    else if (a->label_columns > 1)
        err = rg_data_note(data, e, "the labels are column %d of %zu", RG_MAX(column, 1),
                           a->label_columns);
    if (err == 0 && a->like.dimensions == 4)
        err = rg_data_note(
            data, e, "%s of %u x %u x %u are %s", a->format->noun, (unsigned)a->like.size[1],
            (unsigned)a->like.size[2], (unsigned)a->like.size[3],
            a->channels_last ? "height x width x channels" : "channels x height x width");
    return err;
}

/* Labels to classes, samples to places. */
static int settle(struct arrays *a, const struct rg_data_spec *spec, const struct rg_names *texts,
                  const int *label, struct rg_dataset *data, struct rg_error *e)
{
    uint8_t class_of[RG_NAMES_MAX];
    enum rg_split split = rg_data_number(spec, "split") == 1 ? RG_SPLIT_ORDER : RG_SPLIT_STRATIFIED;
    int wanted = rg_data_number(spec, "classes"), usual = a->format->classes;
    for (int i = 0; i < texts->count; i++)
        usual = strlen(texts->text[i]) == 1 ? usual : 0;
    if (a->one_hot)
        usual = (int)a->label_columns;
    int err =
        rg_data_classes(spec, a->labels[0], texts, wanted > 0 ? wanted : usual, class_of, data, e);
    if (err < 0)
        return err;
    a->label = malloc(a->rows);
    a->place = malloc(a->rows * sizeof *a->place);
    if (!a->label || !a->place)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", a->labels[0]);
    for (uint32_t i = 0; i < a->rows; i++)
        a->label[i] = class_of[label[i]];
    struct rg_rows rows = {
        .file = a->inputs[0], .labels = a->label, .count = a->rows, .test_from = a->test_from};
    return rg_data_split(spec, split, &rows, a->place, data, e);
}

enum scale { BY_TYPE, AS_IS, STANDARD };

/* Integers of more than a byte: the training samples say what becomes 1. */
static bool is_scaled(const struct arrays *a)
{
    return a->scale == BY_TYPE && a->like.type != RG_ARRAY_U8 && !is_float(a->like.type);
}

int rg_array_probe(const struct rg_array_format *format, const struct rg_data_spec *spec,
                   struct rg_dataset *data, struct rg_error *e)
{
    struct arrays *a = calloc(1, sizeof *a);
    struct rg_names texts = {0};
    int *label = NULL, err = 0;
    if (!a)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    data->source = a;
    a->format = format;
    a->scale = rg_data_number(spec, "scale");
    for (int i = 0; i < 2; i++) {
        a->inputs[i] = rg_data_text(spec, format->inputs[i]);
        a->labels[i] = rg_data_text(spec, format->labels[i]);
    }
    a->files = a->inputs[1] ? 2 : 1;
    if (!a->inputs[1] != !a->labels[1])
        err = rg_data_fail(spec, e, "%s and %s: both or none are allowed", format->inputs[1],
                           format->labels[1]);
    for (int i = 0; i < a->files && err == 0; i++) {
        err = probe_pair(a, spec, i, &texts, &label, e);
        a->test_from = i == 0 ? a->rows : a->test_from;
    }
    if (err == 0) {
        a->channels_last = are_channels_last(&a->like);
        data->shape = shape_of(a);
        data->by_training = is_scaled(a) || a->scale == STANDARD;
        if ((err = note_reading(a, spec, data, e)) == 0)
            err = settle(a, spec, &texts, label, data, e);
    }
    free(label);
    rg_names_free(&texts);
    return err;
}

int rg_array_labels(const struct rg_data_spec *spec, const struct rg_dataset *data, uint8_t *labels)
{
    const struct arrays *a = data->source;
    (void)spec;
    for (uint32_t i = 0; i < a->rows; i++)
        if (a->place[i] < (uint32_t)data->train)
            labels[a->place[i]] = a->label[i];
    return 0;
}

/* ---- fill ---- */

RG_CLONES
static void convert_bytes(size_t n, const unsigned char *restrict row, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)row[i] / 255;
}

/* One sample x [values], as the file has it but for bytes, which are divided by 255. */
static void convert(const struct arrays *a, const struct rg_array_file *file,
                    const unsigned char *row, float *x)
{
    size_t n = a->like.values;
    bool bytes = file->type == RG_ARRAY_U8 && a->scale == BY_TYPE;
    if (bytes && !a->channels_last) {
        convert_bytes(n, row, x);
        return;
    }
    if (file->type == RG_ARRAY_F32 && file->little && !a->channels_last) { /* as we have it */
        memcpy(x, row, n * sizeof *x);
        return;
    }
    size_t channels = a->channels_last ? (size_t)a->like.size[3] : 1, pixels = n / channels;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            float value = (float)value_at(file, row, p * channels + c);
            x[c * pixels + p] = bytes ? value / 255 : value;
        }
}

static int check_sample(const struct rg_array_file *file, uint32_t sample, size_t n, const float *x,
                        struct rg_error *e)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return rg_fail_at(e, file->path, 0,
                              "value %zu of sample %u is not finite in single precision", i,
                              sample);
    return 0;
}

static int fill_file(const struct arrays *a, const struct rg_data_spec *spec, int which,
                     struct rg_dataset *data, struct rg_error *e)
{
    struct rg_array_file file;
    uint32_t first = which == 0 ? 0 : a->test_from;
    uint32_t end = which == 0 ? a->test_from : a->rows;
    int err = open_inputs(&file, a->format, spec, a->inputs[which], e);
    if (err == 0 && (file.size[0] != end - first || file.values != a->like.values))
        err = rg_fail_at(e, file.path, 0, "the file changed while it was read");
    size_t some = RG_MAX(BLOCK / RG_MAX(file.row, 1), 1);
    unsigned char *block = err == 0 ? malloc(some * file.row) : NULL;
    if (err == 0 && !block)
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file.path);
    for (uint32_t i = first; i < end && err == 0; i += (uint32_t)some) {
        size_t count = RG_MIN(some, end - i);
        err = rg_array_bytes(&file, block, count * file.row, "its values", e);
        for (size_t k = 0; k < count && err == 0; k++) {
            uint32_t place = a->place[i + k];
            float *x = place != UINT32_MAX ? rg_dataset_x(data, place) : NULL;
            if (!x)
                continue;
            convert(a, &file, block + k * file.row, x);
            if (is_float(file.type))
                err = check_sample(&file, i + (uint32_t)k - first, data->inputs, x, e);
            *rg_dataset_label(data, place) = a->label[i + k];
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

int rg_array_fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct arrays *a = data->source;
    int err = 0;
    for (int i = 0; i < a->files && err == 0; i++)
        err = fill_file(a, spec, i, data, e);
    if (err == 0 && is_scaled(a))
        scale_integers(data);
    if (err == 0 && a->scale == STANDARD)
        err = rg_data_scale(spec, data, NULL, NULL, a->inputs[0], e);
    return err;
}
