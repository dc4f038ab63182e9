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
#include "base/clones.h"
#include "models/layers.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum scale { BY_TYPE, AS_IS, STANDARD };

struct arrays {
    const struct rg_array_format *format;
    const char *inputs[2], *targets[2]; /* of training and test samples; NULL: none */
    int files;
    struct rg_array_file like; /* the first file of inputs, shut: its shape */
    bool channels_last;
    int scale; /* of enum scale */
    struct rg_array_targets learn;
    uint32_t rows, test_from;
    uint32_t *place; /* [rows] */
    float most;      /* what values are divided by */
    /* Of inputs that stay in their files. */
    struct map {
        struct rg_array_file file; /* shut */
        struct rg_data_map bytes;  /* all of it */
    } map[2];
    uint32_t *row; /* [train + test] of each sample */
};

void rg_array_close(void *source)
{
    struct arrays *a = source;
    for (int i = 0; i < 2; i++)
        rg_data_unmap(&a->map[i].bytes);
    rg_array_targets_free(&a->learn);
    free(a->place);
    free(a->row);
    free(a);
}

/* ---- inputs ---- */

static int open_inputs(struct rg_array_file *file, const struct rg_array_format *format,
                       const struct rg_data_spec *spec, const char *path, struct rg_error *e)
{
    char text[160];
    int err = rg_array_open(file, format, spec, path, e);
    if (err == 0 && file->dimensions < format->least)
        err = rg_fail_at(e, path, 0,
                         "%s of %s: %d to %d dimensions are allowed (samples x height x width)",
                         format->noun, rg_array_describe(file, text, sizeof text), format->least,
                         RG_ARRAY_DIMENSIONS);
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

/* Inputs and targets of one pair; the targets go behind those before. */
static int probe_pair(struct arrays *a, const struct rg_data_spec *spec, int which, bool *plain,
                      struct rg_error *e)
{
    struct rg_array_file inputs, targets = {0};
    char is[160], was[160];
    int err = open_inputs(&inputs, a->format, spec, a->inputs[which], e);
    if (err == 0)
        err = rg_array_targets_open(&a->learn, &targets, a->format, spec, a->targets[which], e);
    if (err == 0 && inputs.size[0] != targets.size[0])
        err = rg_fail_at(e, targets.path, 0, "%llu %s: %llu are allowed, one for each sample of %s",
                         (unsigned long long)targets.size[0], spec->numbers ? "rows" : "labels",
                         (unsigned long long)inputs.size[0], inputs.path);
    if (err == 0 && which > 0 &&
        (inputs.dimensions != a->like.dimensions ||
         memcmp(inputs.size + 1, a->like.size + 1,
                ((size_t)inputs.dimensions - 1) * sizeof *inputs.size) != 0))
        err = rg_fail_at(e, inputs.path, 0, "its %s are %s, where %s has %s; sizes must be equal",
                         a->format->noun, rg_array_describe(&inputs, is, sizeof is), a->inputs[0],
                         rg_array_describe(&a->like, was, sizeof was));
    uint64_t most = RG_MIN((uint64_t)INT_MAX, SIZE_MAX / 16); /* and arrays of indices fit */
    if (err == 0 && a->rows + (uint64_t)inputs.size[0] > most)
        err = rg_fail_at(e, inputs.path, 0, "more than %llu samples in all",
                         (unsigned long long)most);
    if (err == 0)
        err = rg_array_check_length(&inputs, "its values", e);
    if (err == 0)
        err = rg_array_targets_read(&a->learn, &targets, e);
    *plain = err == 0 && rg_array_is_plain(&inputs);
    rg_array_shut(&inputs);
    rg_array_shut(&targets);
    if (which == 0)
        a->like = inputs;
    a->rows += (uint32_t)inputs.size[0];
    return err;
}

static int note_reading(const struct arrays *a, struct rg_dataset *data, struct rg_error *e)
{
    const struct rg_array_targets *t = &a->learn;
    int err = 0;
    if (t->one_hot)
        err = rg_data_note(data, e, "the labels have a column for each of %zu classes (one-hot)",
                           t->columns);
    else if (t->columns > 1 && (!t->numbers || t->column > 0))
        err = rg_data_note(data, e, "the %s are column %d of %zu",
                           t->numbers ? "targets" : "labels", RG_MAX(t->column, 1), t->columns);
    if (err == 0 && a->like.dimensions == 4)
        err = rg_data_note(
            data, e, "%s of %u x %u x %u are %s", a->format->noun, (unsigned)a->like.size[1],
            (unsigned)a->like.size[2], (unsigned)a->like.size[3],
            a->channels_last ? "height x width x channels" : "channels x height x width");
    return err;
}

/* Labels to classes, samples to places. */
static int settle(struct arrays *a, const struct rg_data_spec *spec, struct rg_dataset *data,
                  struct rg_error *e)
{
    struct rg_array_targets *t = &a->learn;
    enum rg_split split = rg_data_number(spec, "split") == 1 ? RG_SPLIT_ORDER : RG_SPLIT_STRATIFIED;
    int wanted = rg_data_number(spec, "classes"), usual = a->format->classes, err = 0;
    for (int i = 0; i < t->texts.count; i++)
        usual = strlen(t->texts.text[i]) == 1 ? usual : 0;
    if (t->one_hot)
        usual = (int)t->columns;
    if (t->numbers)
        data->target_count = t->count;
    else
        err = rg_data_classes(spec, a->targets[0], &t->texts, wanted > 0 ? wanted : usual, a->rows,
                              t->label, data, e);
    if (err < 0)
        return err;
    a->place = malloc(a->rows * sizeof *a->place);
    if (!a->place)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", a->targets[0]);
    struct rg_rows rows = {.file = a->inputs[0],
                           .labels = t->numbers ? NULL : t->label,
                           .classes = data->classes,
                           .count = a->rows,
                           .test_from = a->test_from};
    return rg_data_split(spec, split, &rows, a->place, data, e);
}

/* Integers of more than a byte: the training samples say what becomes 1. */
static bool is_scaled(const struct arrays *a)
{
    return a->scale == BY_TYPE && a->like.type != RG_ARRAY_U8 && !rg_array_is_float(a->like.type);
}

int rg_array_probe(const struct rg_array_format *format, const struct rg_data_spec *spec,
                   struct rg_dataset *data, struct rg_error *e)
{
    struct arrays *a = calloc(1, sizeof *a);
    bool mapped = format->mapped, plain = false;
    int err = 0;
    if (!a)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    data->source = a;
    a->format = format;
    a->scale = rg_data_number(spec, "scale");
    if (a->scale == BY_TYPE && spec->tokens > 0)
        a->scale = AS_IS;
    for (int i = 0; i < 2; i++) {
        a->inputs[i] = rg_data_string(spec, format->inputs[i]);
        a->targets[i] = rg_data_string(spec, format->labels[i]);
    }
    a->files = a->inputs[1] ? 2 : 1;
    if (!a->inputs[1] != !a->targets[1])
        err = rg_data_fail(spec, e, "%s and %s: both or none are allowed", format->inputs[1],
                           format->labels[1]);
    for (int i = 0; i < a->files && err == 0; i++) {
        err = probe_pair(a, spec, i, &plain, e);
        mapped = mapped && plain;
        a->test_from = i == 0 ? a->rows : a->test_from;
    }
    if (err < 0)
        return err;
    a->channels_last = are_channels_last(&a->like);
    data->shape = shape_of(a);
    data->by_training = is_scaled(a) || a->scale == STANDARD;
    data->drawn = mapped;
    data->x_bytes = mapped ? sizeof *a->row : 0;
    err = note_reading(a, data, e);
    return err ? err : settle(a, spec, data, e);
}

int rg_array_labels(const struct rg_data_spec *spec, const struct rg_dataset *data, int *labels)
{
    const struct arrays *a = data->source;
    (void)spec;
    for (uint32_t i = 0; i < a->rows; i++)
        if (a->place[i] < (uint32_t)data->train)
            labels[a->place[i]] = a->learn.label[i];
    return 0;
}

/* ---- one sample ---- */

RG_CLONES
static void convert_bytes(size_t n, const unsigned char *restrict row, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)row[i] / 255;
}

/* Values of the machine's own byte order. */
#define CONVERT(NAME, TYPE)                                                                        \
    RG_CLONES                                                                                      \
    static void convert_##NAME(size_t n, const unsigned char *restrict row, float *restrict x)     \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            TYPE value;                                                                            \
            memcpy(&value, row + i * sizeof value, sizeof value);                                  \
            x[i] = (float)value;                                                                   \
        }                                                                                          \
    }
CONVERT(i16, int16_t)
CONVERT(u16, uint16_t)
CONVERT(i32, int32_t)
CONVERT(f64, double)

/* Values that a loop can take all alike; false: they want another way. */
static bool convert_alike(const struct rg_array_file *file, const unsigned char *row, float *x)
{
    static const uint16_t one = 1;
    if (!file->little || *(const unsigned char *)&one != 1)
        return false;
    switch (file->type) {
    case RG_ARRAY_F32:
        memcpy(x, row, file->values * sizeof *x);
        return true;
    case RG_ARRAY_F64:
        convert_f64(file->values, row, x);
        return true;
    case RG_ARRAY_I16:
        convert_i16(file->values, row, x);
        return true;
    case RG_ARRAY_U16:
        convert_u16(file->values, row, x);
        return true;
    case RG_ARRAY_I32:
        convert_i32(file->values, row, x);
        return true;
    default:
        return false;
    }
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
    if (!a->channels_last && convert_alike(file, row, x))
        return;
    size_t channels = a->channels_last ? (size_t)a->like.size[3] : 1, pixels = n / channels;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            float value = (float)rg_array_value(file, row, p * channels + c);
            x[c * pixels + p] = bytes ? value / 255 : value;
        }
}

static int check_sample(const struct rg_array_file *file, uint32_t sample, size_t n, const float *x,
                        struct rg_error *e)
{
    if (!rg_array_is_float(file->type))
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return rg_fail_at(e, file->path, 0,
                              "value %zu of sample %u is not finite in single precision", i,
                              sample);
    return 0;
}

static void take_target(const struct arrays *a, uint32_t row, uint32_t place,
                        struct rg_dataset *data)
{
    const struct rg_array_targets *t = &a->learn;
    size_t count = (size_t)t->count;
    if (t->numbers)
        memcpy(rg_dataset_target(data, place), t->number + row * count, count * sizeof *t->number);
    else
        rg_dataset_set_label(data, place, t->label[row]);
}

/* ---- fill ---- */

/* Integers of more than a byte: the largest magnitude of the training samples becomes 1. */
static void note_most(struct arrays *a, const struct rg_dataset *data, uint32_t place,
                      const float *x)
{
    for (size_t i = 0; i < data->inputs && place < (uint32_t)data->train; i++)
        a->most = fmaxf(a->most, fabsf(x[i]));
}

/* One sample, whose values are at `bytes`, to its place; room [inputs] where its inputs stay in the
 * file. */
static int fill_sample(struct arrays *a, const struct rg_array_file *file,
                       const unsigned char *bytes, uint32_t row, uint32_t first, float *room,
                       struct rg_dataset *data, struct rg_error *e)
{
    uint32_t place = a->place[row];
    if (place == UINT32_MAX || !rg_dataset_target(data, place))
        return 0;
    float *x = room ? room : rg_dataset_x(data, place);
    take_target(a, row, place, data);
    if (room)
        a->row[place] = row;
    if (room && !rg_array_is_float(file->type) && !is_scaled(a))
        return 0;
    convert(a, file, bytes, x);
    if (is_scaled(a))
        note_most(a, data, place, x);
    return check_sample(file, row - first, data->inputs, x, e);
}

static int reopen(const struct arrays *a, const struct rg_data_spec *spec, int which,
                  struct rg_array_file *file, struct rg_error *e)
{
    uint32_t rows = which == 0 ? a->test_from : a->rows - a->test_from;
    int err = open_inputs(file, a->format, spec, a->inputs[which], e);
    if (err == 0 && (file->size[0] != rows || file->values != a->like.values))
        err = rg_fail_at(e, file->path, 0, "the file changed while it was read");
    return err;
}

static int fill_file(struct arrays *a, const struct rg_data_spec *spec, int which,
                     struct rg_dataset *data, struct rg_error *e)
{
    struct rg_array_file file;
    uint32_t first = which == 0 ? 0 : a->test_from, end = which == 0 ? a->test_from : a->rows;
    int err = reopen(a, spec, which, &file, e);
    size_t some = RG_MAX(RG_ARRAY_BLOCK / RG_MAX(file.row, 1), 1);
    unsigned char *block = err == 0 ? malloc(some * file.row) : NULL;
    if (err == 0 && !block)
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file.path);
    for (uint32_t i = first; i < end && err == 0; i += (uint32_t)some) {
        size_t count = RG_MIN(some, end - i);
        err = rg_array_bytes(&file, block, count * file.row, "its values", e);
        for (size_t k = 0; k < count && err == 0; k++)
            err =
                fill_sample(a, &file, block + k * file.row, i + (uint32_t)k, first, NULL, data, e);
    }
    free(block);
    rg_array_shut(&file);
    return err;
}

/* The file stays where it is; its bytes are looked at once. Whoever writes into it meanwhile
 * changes the samples. */
static int map_file(struct arrays *a, const struct rg_data_spec *spec, int which, float *room,
                    struct rg_dataset *data, struct rg_error *e)
{
    struct map *map = &a->map[which];
    struct rg_array_file *file = &map->file;
    uint32_t first = which == 0 ? 0 : a->test_from, end = which == 0 ? a->test_from : a->rows;
    int err = reopen(a, spec, which, file, e);
    if (err == 0)
        err = rg_data_map(spec, file->path, &map->bytes, e);
    if (err == 0 && map->bytes.size != file->size[0] * file->row + file->header)
        err = rg_fail_at(e, file->path, 0, "the file changed while it was read");
    rg_array_shut(file);
    for (uint32_t i = first; i < end && err == 0; i++) {
        const unsigned char *bytes = map->bytes.bytes + file->header + (i - first) * file->row;
        err = fill_sample(a, file, bytes, i, first, room, data, e);
    }
    return err;
}

static void divide(size_t n, float most, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] /= most;
}

void rg_array_row(const struct rg_dataset *data, size_t sample, float *x)
{
    const struct arrays *a = data->source;
    uint32_t row = a->row[sample], which = row >= a->test_from;
    const struct map *map = &a->map[which];
    size_t at = map->file.header + (row - (which ? a->test_from : 0)) * map->file.row;
    convert(a, &map->file, map->bytes.bytes + at, x);
    if (a->most > 0)
        divide(data->inputs, a->most, x);
}

int rg_array_fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct arrays *a = data->source;
    size_t samples = (size_t)data->train + (size_t)data->test;
    float *room = data->drawn ? malloc(data->inputs * sizeof *room) : NULL;
    int err = 0;
    if (data->drawn && !(room && (a->row = calloc(samples, sizeof *a->row))))
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", a->inputs[0]);
    for (int i = 0; i < a->files && err == 0; i++)
        err = data->drawn ? map_file(a, spec, i, room, data, e) : fill_file(a, spec, i, data, e);
    for (size_t i = 0; i < samples && err == 0 && a->most > 0 && !data->drawn; i++)
        if (rg_dataset_x(data, i))
            divide(data->inputs, a->most, rg_dataset_x(data, i));
    free(room);
    data->divisor = is_scaled(a)                                         ? a->most
                    : a->like.type == RG_ARRAY_U8 && a->scale == BY_TYPE ? 255
                                                                         : 0;
    if (err == 0 && a->scale == STANDARD)
        err = rg_data_scale(spec, data, NULL, NULL, a->inputs[0], e);
    return err;
}
