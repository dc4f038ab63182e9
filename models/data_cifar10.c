/* CIFAR-10 in its binary version (Krizhevsky, "Learning multiple layers of features from tiny
 * images", 2009; www.cs.toronto.edu/~kriz/cifar.html): records of a label and 3 x 32 x 32 bytes,
 * red, green and blue, row by row; data_batch_1.bin to data_batch_5.bin, and test_batch.bin.
 *
 * The files are mapped (data_map.c): an image becomes floats, bytes / 255, as it is drawn. Failure
 * modes handled beside those: a file that is no whole number of records, labels beyond 9. */
#include "models/data.h"

#include "base/check.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PLANES = 3, PIXELS = PLANES * SIDE * SIDE, RECORD = 1 + PIXELS, CLASSES = 10 };

/* Attributes of the files that train, in order, and of the one that tests. */
static const char *const files[] = {"file", "file-2", "file-3", "file-4", "file-5", "test-file"};
enum { FILES = RG_COUNT(files), TEST = FILES - 1 };

struct images {
    struct rg_data_map file[FILES];
    uint32_t first[FILES + 1];     /* record of each file; those of all files */
    const unsigned char **records; /* [train + test] where each sample is */
    int *labels;                   /* [records] */
    uint32_t *place;               /* [records] */
};

static void close_images(void *source)
{
    struct images *images = source;
    for (size_t i = 0; i < FILES; i++)
        rg_data_unmap(&images->file[i]);
    free(images->records);
    free(images->labels);
    free(images->place);
    free(images);
}

static int open_file(struct images *images, const struct rg_data_spec *spec, size_t which,
                     struct rg_error *e)
{
    const char *path = rg_data_string(spec, files[which]);
    struct rg_data_map *file = &images->file[which];
    images->first[which + 1] = images->first[which];
    if (!path)
        return 0;
    int err = rg_data_map(spec, path, file, e);
    if (err < 0)
        return err;
    if (file->size % RECORD != 0)
        return rg_fail_at(e, path, 0,
                          "%zu bytes, which is no whole number of records of %d: the binary "
                          "version of CIFAR-10, unpacked, is wanted (or it is truncated)",
                          file->size, RECORD);
    if (file->size / RECORD > INT_MAX - images->first[which])
        return rg_fail_at(e, path, 0, "more than %d images", INT_MAX);
    images->first[which + 1] += (uint32_t)(file->size / RECORD);
    return 0;
}

static size_t file_of(const struct images *images, uint32_t record)
{
    size_t which = 0;
    while (record >= images->first[which + 1])
        which++;
    return which;
}

static const unsigned char *record_of(const struct images *images, uint32_t record)
{
    size_t which = file_of(images, record);
    return images->file[which].bytes + (size_t)(record - images->first[which]) * RECORD;
}

static int read_labels(struct images *images, const struct rg_data_spec *spec, struct rg_error *e)
{
    uint32_t count = images->first[FILES];
    images->labels = malloc(count * sizeof *images->labels);
    images->place = malloc(count * sizeof *images->place);
    if (!images->labels || !images->place)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        images->labels[i] = *record_of(images, i);
        size_t which = file_of(images, i);
        if (images->labels[i] >= CLASSES)
            return rg_fail_at(e, rg_data_string(spec, files[which]), 0,
                              "label %d of image %u: 0 to %d are allowed", images->labels[i],
                              i - images->first[which], CLASSES - 1);
    }
    return 0;
}

static int name_classes(struct rg_dataset *data, struct rg_error *e)
{
    static const char *const names[CLASSES] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                               "dog",      "frog",       "horse", "ship", "truck"};
    data->classes = CLASSES;
    data->class_names = calloc(CLASSES, sizeof *data->class_names);
    for (int c = 0; c < CLASSES; c++)
        if (!data->class_names || !(data->class_names[c] = strdup(names[c])))
            return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    return 0;
}

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct images *images = calloc(1, sizeof *images);
    enum rg_split split = rg_data_number(spec, "split") == 1 ? RG_SPLIT_ORDER : RG_SPLIT_STRATIFIED;
    int err = 0;
    if (!images)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    data->source = images;
    data->shape = (struct rg_shape){PLANES, SIDE, SIDE};
    data->drawn = true;
    data->x_bytes = sizeof *images->records;
    for (size_t i = 0; i < FILES && err == 0; i++)
        err = open_file(images, spec, i, e);
    if (err < 0 || (err = read_labels(images, spec, e)) < 0 || (err = name_classes(data, e)) < 0)
        return err;
    struct rg_rows rows = {.file = rg_data_string(spec, files[0]),
                           .labels = images->labels,
                           .classes = CLASSES,
                           .count = images->first[FILES],
                           .test_from = images->first[TEST]};
    return rg_data_split(spec, split, &rows, images->place, data, e);
}

static int labels(const struct rg_data_spec *spec, const struct rg_dataset *data, int *label)
{
    const struct images *images = data->source;
    (void)spec;
    for (uint32_t i = 0; i < images->first[FILES]; i++)
        if (images->place[i] < (uint32_t)data->train)
            label[images->place[i]] = images->labels[i];
    return 0;
}

static int fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct images *images = data->source;
    size_t samples = (size_t)data->train + (size_t)data->test;
    images->records = calloc(samples, sizeof *images->records);
    if (!images->records)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", rg_data_string(spec, files[0]));
    for (uint32_t i = 0; i < images->first[FILES]; i++) {
        uint32_t place = images->place[i];
        if (place == UINT32_MAX || !rg_dataset_target(data, place))
            continue;
        images->records[place] = record_of(images, i);
        rg_dataset_set_label(data, place, images->labels[i]);
    }
    data->divisor = 255;
    return 0;
}

static void row(const struct rg_dataset *data, size_t sample, float *x)
{
    const struct images *images = data->source;
    const unsigned char *pixels = images->records[sample] + 1;
    for (size_t i = 0; i < PIXELS; i++)
        x[i] = (float)pixels[i] / 255;
}

static const struct rg_data_attribute attributes[] = {
    {"file", RG_DATA_FILE, true, .help = "data_batch_1.bin, or all of them in one file"},
    {"file-2", RG_DATA_FILE, .help = "more images to train: data_batch_2.bin"},
    {"file-3", RG_DATA_FILE, .help = "more images to train"},
    {"file-4", RG_DATA_FILE, .help = "more images to train"},
    {"file-5", RG_DATA_FILE, .help = "more images to train"},
    {"test-file", RG_DATA_FILE, .help = "test_batch.bin; default: some of the others test"},
    {"split", RG_DATA_CHOICE, .choices = RG_SPLIT_WORDS, .help = "default: stratified"},
    {0},
};

const struct rg_data_kind rg_data_cifar10 = {
    .name = "cifar10",
    .summary = "CIFAR-10's images in its binary version",
    .attributes = attributes,
    .probe = probe,
    .labels = labels,
    .fill = fill,
    .row = row,
    .close = close_images,
};
