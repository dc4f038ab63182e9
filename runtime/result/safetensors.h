/* safetensors: an 8-byte little-endian header length, a JSON header (tensor name -> dtype F32,
 * shape, data_offsets; metadata), raw little-endian data. For the sources of this room alone. */
#ifndef RG_RESULT_SAFETENSORS_H
#define RG_RESULT_SAFETENSORS_H

#include "base/error.h"
#include "models/network.h"
#include "result/json.h"

#include <jansson.h>
#include <stdio.h>

struct rg_tensor_entry {
    char name[128];
    int rank;
    int64_t size[4];
    size_t first, count; /* floats of the data, in the order of the list */
    uint64_t begin, end; /* when reading, where the file has it: bytes of its data */
};

struct rg_tensors {
    struct rg_tensor_entry *items; /* malloc'ed */
    int count;
    size_t floats; /* of all of them */
};

/* Append: a vector; every tensor of a network ("LAYER.NAME"), or of what is kept of each
 * ("LAYER.NAME/OF"), in the order of its vector. 0 or RG_ERR_NOMEM. */
int rg_tensors_add(struct rg_tensors *list, const char *name, size_t count);
int rg_tensors_add_network(struct rg_tensors *list, const struct rg_network *network,
                           const char *of);
void rg_tensors_free(struct rg_tensors *list);

/* The header; `metadata` writes pairs of texts. 0 or RG_ERR_NOMEM; what is wrong with the stream is
 * the stream's to say. Then rg_write_floats, in the order of the list. */
int rg_tensors_write_header(FILE *stream, const struct rg_tensors *list,
                            int (*metadata)(struct rg_json *j, void *arg), void *arg);

/* A file that is read. Functions return 0 or an error, with one line in *e. */
struct rg_tensor_file {
    const char *path;
    FILE *stream;
    uint64_t data_at, data_bytes;
    json_t *header;
    struct rg_error *e;
};
/* flags: of open(2), beside O_RDONLY. Closed in either case. */
int rg_tensor_file_open(struct rg_tensor_file *file, const char *path, int flags,
                        struct rg_error *e);
void rg_tensor_file_close(struct rg_tensor_file *file);
/* All of the list must be there, with its shape, and nothing else; sorts it by place. NULL: what is
 * there is not looked at. */
int rg_tensor_file_header(struct rg_tensor_file *file, struct rg_tensors *list);
const json_t *rg_tensor_file_metadata(const struct rg_tensor_file *file, const char *key);
/* *values: malloc'ed, all of the list, finite. */
int rg_tensor_file_values(struct rg_tensor_file *file, const struct rg_tensors *list,
                          float **values);
int rg_tensor_file_complain(struct rg_tensor_file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
