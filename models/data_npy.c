/* numpy's npy format, versions 1.0 to 3.0 (numpy.lib.format; NEP 1): "\x93NUMPY", two bytes of
 * version, the length of the header (2 bytes in 1.0, 4 after, little-endian), the header, which is
 * a dictionary as Python writes it, then the values. A file of samples, one of labels, perhaps two
 * more to test. Plain files of samples are mapped into memory, so that sets larger than that train.
 *
 * Failure modes handled, each naming the file: what idx files can be wrong in (array_data.c), a
 * header that is no such dictionary, values in Fortran's order, types that are no numbers (texts,
 * objects, records, complex numbers). */
#include "models/array.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MOST = 65535 };

#define TYPES_ALLOWED                                                                              \
    "bool, integers of 8 to 64 bits, float32 and float64 are allowed: numpy.save(FILE, "           \
    "array.astype(\"float32\"))"

/* Behind the ':' of a key; NULL: the header has none of it. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[24];
    for (int i = 0; i < 2; i++) {
        snprintf(quoted, sizeof quoted, "%c%s%c", "'\""[i], key, "'\""[i]);
        const char *at = strstr(header, quoted);
        if (!at)
            continue;
        at += strlen(quoted);
        at += strspn(at, " ");
        return *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
    }
    return NULL;
}

static int read_type(struct rg_array_file *file, const char *text, struct rg_error *e)
{
    static const struct {
        const char *name;
        enum rg_array_type type;
    } types[] = {{"b1", RG_ARRAY_U8},  {"u1", RG_ARRAY_U8},  {"i1", RG_ARRAY_I8},
                 {"u2", RG_ARRAY_U16}, {"i2", RG_ARRAY_I16}, {"u4", RG_ARRAY_U32},
                 {"i4", RG_ARRAY_I32}, {"u8", RG_ARRAY_U64}, {"i8", RG_ARRAY_I64},
                 {"f4", RG_ARRAY_F32}, {"f8", RG_ARRAY_F64}};
    int length = text && (*text == '\'' || *text == '"') ? (int)strcspn(text + 1, "'\"") : 0;
    const char *name = length > 0 ? text + 1 : "";
    file->little = name[0] != '>';
    if (length == 3 && strchr("<>|=", name[0]))
        for (size_t i = 0; i < RG_COUNT(types); i++)
            if (strncmp(name + 1, types[i].name, 2) == 0) {
                file->type = types[i].type;
                return 0;
            }
    return rg_fail_at(e, file->path, 0, "values of type %.*s: " TYPES_ALLOWED,
                      text ? (int)RG_MIN(strcspn(text, ","), 24) : 4, text ? text : "none");
}

/* "(60000, 28, 28)" */
static int read_sizes(struct rg_array_file *file, const char *text, struct rg_error *e)
{
    const char *p = text && *text == '(' ? text + 1 : NULL;
    for (file->dimensions = 0; p; file->dimensions++) {
        p += strspn(p, " ");
        if (*p == ')')
            break;
        char *end;
        bool digit = *p >= '0' && *p <= '9';
        if (file->dimensions == RG_ARRAY_DIMENSIONS || !digit)
            p = NULL;
        if (!p)
            break;
        file->size[file->dimensions] = strtoull(p, &end, 10);
        p = end + (*end == 'L'); /* as Python 2 wrote it */
        p += strspn(p, " ");
        if (*p == ',')
            p++;
        else if (*p != ')')
            p = NULL;
    }
    if (p && file->dimensions > 0)
        return 0;
    return rg_fail_at(e, file->path, 0, "an array of shape %.*s: 1 to %d dimensions are allowed",
                      text ? (int)RG_MIN(strcspn(text, ")") + 1, 60) : 4, text ? text : "none",
                      RG_ARRAY_DIMENSIONS);
}

/* The header's dictionary, as a text that is the caller's to free. */
static int read_dictionary(struct rg_array_file *file, char **header, struct rg_error *e)
{
    unsigned char b[12] = {0};
    int err = rg_array_bytes(file, b, 10, "its header", e);
    if (err < 0)
        return err;
    bool is_long = b[6] >= 2;
    if (memcmp(b, "PK", 2) == 0)
        return rg_fail_at(e, file->path, 0,
                          "an archive (.npz): one .npy file for each of its arrays is wanted");
    if (memcmp(b, "\x93NUMPY", 6) != 0 || b[6] < 1 || b[6] > 3)
        return rg_fail_at(e, file->path, 0,
                          "not in npy format: it does not begin with \"\\x93NUMPY\" and a version "
                          "of 1 to 3");
    if (is_long && (err = rg_array_bytes(file, b + 10, 2, "its header", e)) < 0)
        return err;
    uint64_t length = (uint64_t)b[8] | (uint64_t)b[9] << 8 |
                      (is_long ? (uint64_t)b[10] << 16 | (uint64_t)b[11] << 24 : 0);
    if (length > HEADER_MOST)
        return rg_fail_at(e, file->path, 0, "a header of %" PRIu64 " bytes: up to %d are allowed",
                          length, HEADER_MOST);
    file->header = (is_long ? 12 : 10) + length;
    *header = calloc((size_t)length + 1, 1);
    return *header ? rg_array_bytes(file, *header, (size_t)length, "its header", e)
                   : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file->path);
}

static int read_header(struct rg_array_file *file, struct rg_error *e)
{
    char *header = NULL;
    int err = read_dictionary(file, &header, e);
    if (err == 0) {
        rg_one_line(header);
        err = read_type(file, value_of(header, "descr"), e);
    }
    if (err == 0)
        err = read_sizes(file, value_of(header, "shape"), e);
    const char *order = err == 0 ? value_of(header, "fortran_order") : NULL;
    if (err == 0 && (!order || strncmp(order, "False", 5) != 0) && file->dimensions > 1)
        err = rg_fail_at(e, file->path, 0, /* of one dimension both orders are the same */
                         "values in Fortran's order (fortran_order): C's is wanted, as "
                         "numpy.save(FILE, numpy.ascontiguousarray(array)) writes it");
    free(header);
    return err;
}

static const struct rg_array_format format = {.kind = "npy",
                                              .inputs = {"x", "test-x"},
                                              .labels = {"y", "test-y"},
                                              .noun = "samples",
                                              .least = 1,
                                              .mapped = true,
                                              .read_header = read_header};

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    return rg_array_probe(&format, spec, data, e);
}

int rg_npy_open(struct rg_array_file *file, const char *path, struct rg_error *e)
{
    const struct rg_data_spec option = {.where = "--predict"};
    return rg_array_open(file, &format, &option, path, e);
}

static const struct rg_data_attribute attributes[] = {
    {"x", RG_DATA_FILE, true,
     .help = "samples x inputs, samples x height x width, or with channels"},
    {"y", RG_DATA_FILE, true,
     .help = "their labels: whole numbers, or a column a class; with "
             "loss=\"mean-squared-error\" numbers, a column each"},
    {"test-x", RG_DATA_FILE, .help = "those to test; default: some of x"},
    {"test-y", RG_DATA_FILE, .help = "their labels"},
    {"label", RG_DATA_COUNT, .min = 1, .max = 1 << 20,
     .help = "column of labels that have several"},
    {"scale", RG_DATA_CHOICE, .choices = "auto|no|standard",
     .help = "auto: bytes / 255, other integers by the largest, floats as they are"},
    {"split", RG_DATA_CHOICE, .choices = RG_SPLIT_WORDS, .help = "default: stratified"},
    {"classes", RG_DATA_COUNT, .min = 1, .max = RG_DATA_CLASSES, .help = "default: as in the file"},
    {0},
};

const struct rg_data_kind rg_data_npy = {
    .name = "npy",
    .summary = "arrays as numpy.save writes them",
    .attributes = attributes,
    .numbers = true,
    .probe = probe,
    .labels = rg_array_labels,
    .fill = rg_array_fill,
    .row = rg_array_row,
    .close = rg_array_close,
};
