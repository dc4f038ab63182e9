/* Arrays in files: a header that says type and sizes, then the values, row by row. What the kinds
 * of dataset whose files are such have in common: reading, shapes, labels, splits, scaling. A kind
 * is a reader of headers, and what its attributes are called. */
#ifndef RG_MODELS_ARRAY_H
#define RG_MODELS_ARRAY_H

#include "models/data.h"
#include <zlib.h>

enum { RG_ARRAY_DIMENSIONS = 4, RG_ARRAY_BLOCK = 1 << 18 /* bytes read at once */ };

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
};

struct rg_array_format {
    const char *kind;
    /* Attributes of the spec: inputs and labels to train, to test. */
    const char *inputs[2], *labels[2];
    const char *noun; /* what the inputs are: "images" */
    int least;        /* dimensions that they have at least */
    int classes;      /* of labels that are digits, even if none has one; 0: as many as there are */
    bool mapped;      /* plain files of inputs stay where they are, see data->drawn */
    /* The stream stands at the file's first byte, and at its first value after. Fills type, little,
     * dimensions, size (not yet checked) and header. */
    int (*read_header)(struct rg_array_file *file, struct rg_error *e);
};

/* ---- array_file.c ---- */

/* Open and read the header, fill in what follows from it; the stream stands at the first sample.
 * After an error too the file is to be shut. */
int rg_array_open(struct rg_array_file *file, const struct rg_array_format *format,
                  const struct rg_data_spec *spec, const char *path, struct rg_error *e);
void rg_array_shut(struct rg_array_file *file);
/* The same of an .npy file that no scenario names (data_npy.c). */
int rg_npy_open(struct rg_array_file *file, const char *path, struct rg_error *e);
/* Read exactly so many bytes; `what` they belong to, for the message. */
int rg_array_bytes(struct rg_array_file *file, void *buffer, size_t bytes, const char *what,
                   struct rg_error *e);

/* There must be as many bytes as the header says: a plain file tells its size, another is read. */
int rg_array_check_length(struct rg_array_file *file, const char *what, struct rg_error *e);
/* Past the last sample: nothing may follow. */
int rg_array_check_end(struct rg_array_file *file, struct rg_error *e);
/* Is it neither compressed nor anything but a plain file? */
bool rg_array_is_plain(const struct rg_array_file *file);
bool rg_array_is_float(enum rg_array_type type);
/* "32-bit integers of 8 x 28" */
const char *rg_array_describe(const struct rg_array_file *file, char *text, size_t size);
/* Value i of a row, whatever its type. Whole numbers beyond 2^53 are rounded. */
double rg_array_value(const struct rg_array_file *file, const unsigned char *row, size_t i);

/* ---- array_targets.c ---- */

/* The targets of one file after another. Zero-initialise. */
struct rg_array_targets {
    bool numbers;          /* to come near to, not labels */
    uint32_t rows;         /* so far */
    struct rg_names texts; /* labels as whole numbers */
    int *label;            /* [rows] their indices */
    float *number;         /* [rows x count] */
    int count;             /* a sample */
    const char *first;     /* the first file, borrowed, its columns, and is each a class? */
    size_t columns;
    bool one_hot;
    int column;     /* the one that counts, from 1; 0: not said */
    int known[256]; /* index + 1 of labels 0 to 255, or 0 */
};

int rg_array_targets_open(struct rg_array_targets *t, struct rg_array_file *file,
                          const struct rg_array_format *format, const struct rg_data_spec *spec,
                          const char *path, struct rg_error *e);
int rg_array_targets_read(struct rg_array_targets *t, struct rg_array_file *file,
                          struct rg_error *e);
void rg_array_targets_free(struct rg_array_targets *t);

/* ---- array_data.c ---- */

/* The functions of a kind; see struct rg_data_kind. */
int rg_array_probe(const struct rg_array_format *format, const struct rg_data_spec *spec,
                   struct rg_dataset *data, struct rg_error *e);
int rg_array_labels(const struct rg_data_spec *spec, const struct rg_dataset *data, int *labels);
int rg_array_fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
void rg_array_row(const struct rg_dataset *data, size_t sample, float *x);
void rg_array_close(void *source);

#endif
