/* MNIST's idx format (LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist): big-endian 32-bit magic
 * and sizes, then bytes; one file of images, one of labels, each plain or gzipped.
 *
 * Happy path: the first `train` images train, the last `test` images test, pixels / 255. Failure
 * modes handled, each naming the file: it cannot be read, another magic, sizes that cannot be,
 * fewer or more bytes than the header says, broken compression, a label that is no class, another
 * number of labels than images, fewer samples than asked for. */
#include "models/data.h"

#include "base/check.h"
#include "models/layers.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define IMAGES_MAGIC 0x00000803u /* unsigned bytes, three dimensions */
#define LABELS_MAGIC 0x00000801u /* unsigned bytes, one dimension */

struct idx {
    const char *path;
    gzFile stream;
    int count, height, width; /* labels: height = width = 1 */
};

/* Read exactly `bytes`; `what` they belong to, for the message. */
static int read_bytes(struct idx *idx, void *buffer, unsigned bytes, const char *what,
                      struct rg_error *e)
{
    int got = gzread(idx->stream, buffer, bytes), code;
    const char *reason = gzerror(idx->stream, &code);
    if (got == (int)bytes)
        return 0;
    if (got >= 0 && (code == Z_OK || code == Z_BUF_ERROR))
        return rg_fail_at(e, idx->path, 0, "truncated: it ends after %lld bytes, inside %s",
                          (long long)gztell(idx->stream), what);
    return rg_fail_at(e, idx->path, 0, "cannot be read: %s",
                      code == Z_ERRNO ? strerror(errno) : reason);
}

static int read_size(struct idx *idx, uint32_t *value, struct rg_error *e)
{
    unsigned char b[4];
    int err = read_bytes(idx, b, sizeof b, "its header", e);
    *value = err < 0 ? 0 : (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return err;
}

/* Open and read the header; the stream stands at the first sample. */
static int idx_open(struct idx *idx, const struct rg_data_spec *spec, const char *path,
                    uint32_t expected, struct rg_error *e)
{
    uint32_t magic, size[3] = {0, 1, 1};
    int err, dimensions = expected == IMAGES_MAGIC ? 3 : 1;
    *idx = (struct idx){.path = path};
    if (!path)
        return rg_data_fail(spec, e, "data of kind idx needs a file of images and one of labels");
    errno = 0;
    idx->stream = gzopen(path, "rb");
    if (!idx->stream)
        return rg_data_fail(spec, e, "cannot read %s: %s", path,
                            errno ? strerror(errno) : "out of memory");
    if ((err = read_size(idx, &magic, e)) < 0)
        return err;
    if (magic != expected)
        return rg_fail_at(e, path, 0, "magic 0x%08x: 0x%08x is allowed (%s in idx format)", magic,
                          expected, dimensions == 3 ? "images" : "labels");
    for (int i = 0; i < dimensions; i++)
        if ((err = read_size(idx, &size[i], e)) < 0)
            return err;
    if (size[0] < 1 || size[0] > INT_MAX || size[1] < 1 || size[2] < 1 ||
        (uint64_t)size[1] * size[2] > (uint64_t)RG_MAX_WIDTH)
        return rg_fail_at(e, path, 0,
                          "its header says %u samples of %u x %u: 1 to %d of up to %d pixels are "
                          "allowed",
                          size[0], size[1], size[2], INT_MAX, RG_MAX_WIDTH);
    idx->count = (int)size[0];
    idx->height = (int)size[1];
    idx->width = (int)size[2];
    return 0;
}

static int open_both(struct idx *images, struct idx *labels, const struct rg_data_spec *spec,
                     struct rg_error *e)
{
    *labels = (struct idx){0};
    int err = idx_open(images, spec, rg_data_text(spec, "images"), IMAGES_MAGIC, e);
    if (err == 0)
        err = idx_open(labels, spec, rg_data_text(spec, "labels"), LABELS_MAGIC, e);
    if (err == 0 && images->count != labels->count)
        err = rg_fail_at(e, labels->path, 0, "%d labels: %d are allowed, one an image of %s",
                         labels->count, images->count, images->path);
    return err;
}

static void close_both(struct idx *images, struct idx *labels)
{
    if (images->stream)
        gzclose(images->stream);
    if (labels->stream)
        gzclose(labels->stream);
}

/* Past the last sample: nothing may follow. */
static int check_end(struct idx *idx, struct rg_error *e)
{
    char more;
    int n = gzread(idx->stream, &more, 1), error = 0;
    const char *why = gzerror(idx->stream, &error);
    if (n < 0 || (error != Z_OK && error != Z_STREAM_END))
        return rg_fail_at(e, idx->path, 0, "its end is damaged: %s; a whole file is needed", why);
    if (n == 0)
        return 0;
    return rg_fail_at(e, idx->path, 0, "longer than the %d samples of %d x %d that it says it has",
                      idx->count, idx->height, idx->width);
}

/* Read to the end: there must be as many bytes as the header says. */
static int check_images(struct idx *idx, struct rg_error *e)
{
    unsigned char block[1 << 14];
    uint64_t left = (uint64_t)idx->count * (uint64_t)idx->height * (uint64_t)idx->width;
    while (left > 0) {
        unsigned some = (unsigned)RG_MIN(left, sizeof block);
        int err = read_bytes(idx, block, some, "its images", e);
        if (err < 0)
            return err;
        left -= some;
    }
    return check_end(idx, e);
}

static int check_labels(struct idx *idx, int classes, struct rg_error *e)
{
    unsigned char block[1 << 12];
    for (int i = 0, some; i < idx->count; i += some) {
        some = RG_MIN(idx->count - i, (int)sizeof block);
        int err = read_bytes(idx, block, (unsigned)some, "its labels", e);
        if (err < 0)
            return err;
        for (int j = 0; j < some; j++)
            if (block[j] >= classes)
                return rg_fail_at(e, idx->path, 0,
                                  "label %d of sample %d is out of range: 0 to %d are allowed",
                                  block[j], i + j, classes - 1);
    }
    return check_end(idx, e);
}

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct idx images, labels;
    int given = rg_data_number(spec, "classes"), classes = given > 0 ? given : 10;
    int err = open_both(&images, &labels, spec, e);
    if (err == 0)
        err = check_images(&images, e);
    if (err == 0)
        err = check_labels(&labels, classes, e);
    if (err == 0)
        err = rg_data_split(spec, images.path, images.count, data, e);
    if (err == 0) {
        data->shape = (struct rg_shape){1, images.height, images.width};
        data->classes = classes;
    }
    close_both(&images, &labels);
    return err;
}

/* Samples [first, first + n) to x [n x pixels] and y [n]. */
static int read_samples(struct idx *images, struct idx *labels, int first, int n, float *x,
                        uint8_t *y, unsigned char *row, struct rg_error *e)
{
    size_t pixels = (size_t)images->height * (size_t)images->width;
    if (gzseek(images->stream, (z_off_t)(16 + (size_t)first * pixels), SEEK_SET) < 0 ||
        gzseek(labels->stream, 8 + first, SEEK_SET) < 0)
        return rg_fail_at(e, images->path, 0, "cannot be read from sample %d on", first);
    for (int i = 0; i < n; i++, x += pixels) {
        int err = read_bytes(images, row, (unsigned)pixels, "its images", e);
        if (err < 0)
            return err;
        for (size_t j = 0; j < pixels; j++)
            x[j] = (float)row[j] / 255;
    }
    return read_bytes(labels, y, (unsigned)n, "its labels", e);
}

static int fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct idx images, labels;
    unsigned char *row = malloc(data->inputs);
    int train = data->train, test = data->test, err = open_both(&images, &labels, spec, e);
    if (err == 0 && !row)
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", images.path);
    if (err == 0)
        err = read_samples(&images, &labels, 0, train, data->x, data->labels, row, e);
    if (err == 0)
        err = read_samples(&images, &labels, images.count - test, test,
                           data->x + (size_t)train * data->inputs, data->labels + train, row, e);
    close_both(&images, &labels);
    free(row);
    return err;
}

static const struct rg_data_attribute attributes[] = {
    {"images", RG_DATA_FILE, true, .help = "the images' file, plain or .gz"},
    {"labels", RG_DATA_FILE, true, .help = "the labels' file, plain or .gz"},
    {"classes", RG_DATA_COUNT, .min = 1, .max = 256, .help = "default: 10"},
    {0},
};

const struct rg_data_kind rg_data_idx = {
    .name = "idx",
    .summary = "MNIST's format, plain or .gz",
    .attributes = attributes,
    .probe = probe,
    .fill = fill,
};
