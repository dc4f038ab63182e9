/* MNIST's idx format (LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist): big-endian, two zero
 * bytes, the type of its values, how many dimensions, their sizes in 32 bits each, then the values;
 * one file of images, one of labels, perhaps two more to test; each plain or gzipped. */
#include "models/array.h"

#include "base/check.h"

static int read_header(struct rg_array_file *file, struct rg_error *e)
{
    static const struct {
        unsigned char code, type;
    } types[] = {{0x08, RG_ARRAY_U8},  {0x09, RG_ARRAY_I8},  {0x0b, RG_ARRAY_I16},
                 {0x0c, RG_ARRAY_I32}, {0x0d, RG_ARRAY_F32}, {0x0e, RG_ARRAY_F64}};
    unsigned char b[4 + 4 * RG_ARRAY_DIMENSIONS];
    int err = rg_array_bytes(file, b, 4, "its header", e);
    if (err < 0)
        return err;
    bool known = false;
    for (size_t i = 0; i < RG_COUNT(types); i++)
        if (b[2] == types[i].code) {
            file->type = (enum rg_array_type)types[i].type;
            known = true;
        }
    if (b[0] || b[1] || !known || b[3] < 1 || b[3] > RG_ARRAY_DIMENSIONS)
        return rg_fail_at(
            e, file->path, 0,
            "not in idx format: it begins with %02x %02x %02x %02x; two zero bytes, a "
            "type (08 to 0e) and 1 to %d dimensions are allowed",
            b[0], b[1], b[2], b[3], RG_ARRAY_DIMENSIONS);
    file->dimensions = b[3];
    file->header = 4 + 4 * (uint64_t)file->dimensions;
    err = rg_array_bytes(file, b + 4, 4 * (size_t)file->dimensions, "its header", e);
    for (int i = 0; i < file->dimensions && err == 0; i++) {
        const unsigned char *p = b + 4 + 4 * i;
        file->size[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    return err;
}

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    static const struct rg_array_format format = {.kind = "idx",
                                                  .inputs = {"images", "test-images"},
                                                  .labels = {"labels", "test-labels"},
                                                  .noun = "images",
                                                  .least = 2,
                                                  .classes = 10, /* MNIST's, Fashion-MNIST's */
                                                  .read_header = read_header};
    return rg_array_probe(&format, spec, data, e);
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
    .labels = rg_array_labels,
    .fill = rg_array_fill,
    .close = rg_array_close,
};
