/* Arrays in files: a header that says type and sizes, then the values, row by row. What the kinds
 * of dataset whose files are such have in common: reading, shapes, labels, splits, scaling. A kind
 * is a reader of headers, and what its attributes are called. */
#ifndef RG_MODELS_ARRAY_H
#define RG_MODELS_ARRAY_H

#include "models/data.h"
#include <zlib.h>

enum { RG_ARRAY_DIMENSIONS = 4 };

enum rg_array_type {
    RG_ARRAY_U8,
    RG_ARRAY_I8,
    RG_ARRAY_U16,
    RG_ARRAY_I16,
    RG_ARRAY_U32,
    RG_ARRAY_I32,
    RG_ARRAY_U64,
    RG_ARRAY_I64,
    RG_ARRAY_F32,
    RG_ARRAY_F64,
    RG_ARRAY_TYPES
};

struct rg_array_file {
    const char *path;
    gzFile stream;
    enum rg_array_type type;
    bool little; /* the byte order of its values */
    int dimensions;
    uint64_t size[RG_ARRAY_DIMENSIONS]; /* dimensions of them; the first counts samples */
    uint64_t header;                    /* bytes before the first value */
    size_t values, row;                 /* a sample: values, and bytes of the file */
    bool one_hot;                       /* of labels: a column a class */
};

struct rg_array_format {
    const char *kind;
    /* Attributes of the spec: inputs and labels to train, to test. */
    const char *inputs[2], *labels[2];
    const char *noun; /* what the inputs are: "images" */
    int least;        /* dimensions that they have at least */
    int classes;      /* of labels that are digits, even if none has one; 0: as many as there are */
    /* The stream stands at the file's first byte, and at its first value after. Fills type, little,
     * dimensions, size (not yet checked) and header. */
    int (*read_header)(struct rg_array_file *file, struct rg_error *e);
};

/* Read exactly so many bytes; `what` they belong to, for the message. */
int rg_array_bytes(struct rg_array_file *file, void *buffer, size_t bytes, const char *what,
                   struct rg_error *e);

/* The functions of a kind; see struct rg_data_kind. */
int rg_array_probe(const struct rg_array_format *format, const struct rg_data_spec *spec,
                   struct rg_dataset *data, struct rg_error *e);
int rg_array_labels(const struct rg_data_spec *spec, const struct rg_dataset *data,
                    uint8_t *labels);
int rg_array_fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
void rg_array_close(void *source);

#endif
