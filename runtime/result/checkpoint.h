/* Parameters of a network as a safetensors file: an 8-byte little-endian header length, a JSON
 * header (tensor name -> dtype F32, shape, data_offsets), raw little-endian data. */
#ifndef RG_RESULT_CHECKPOINT_H
#define RG_RESULT_CHECKPOINT_H

#include "base/file.h"
#include "models/dataset.h"
#include "models/network.h"
#include "models/own_rows.h"

struct rg_checkpoint_writer {
    struct rg_file file;
    size_t written, expected; /* floats */
};

/* Tensors are named by rg_layer_ops.tensors; values arrive in the network's order. Where the inputs
 * of `data` (may be NULL) were standardised, the metadata has inputs_mean and inputs_deviation, a
 * number an input between commas; where values as read were divided by one number before that,
 * inputs_divisor; where its classes have names, class_names, a line each. */
int rg_checkpoint_begin(struct rg_checkpoint_writer *writer, const char *path,
                        const struct rg_network *network, const struct rg_dataset *data,
                        struct rg_error *e);
/* Where it cannot be written rg_checkpoint_end will say so. */
void rg_checkpoint_add(struct rg_checkpoint_writer *writer, const float *values, size_t count);
int rg_checkpoint_end(struct rg_checkpoint_writer *writer, struct rg_error *e);
void rg_checkpoint_abandon(struct rg_checkpoint_writer *writer);

/* *values: malloc'ed, network->parameters floats. Every tensor must be there with its shape. `data`
 * (may be NULL) is probed and not yet read: it gets the mean and deviation of the metadata as those
 * wanted. Classes whose names contradict its own are refused. */
int rg_checkpoint_load(const char *path, const struct rg_network *network, struct rg_dataset *data,
                       float **values, struct rg_error *e);

/* What a checkpoint tells of the rows that its parameters are for. */
struct rg_checkpoint_rows {
    size_t inputs;
    struct rg_row_scale scale;
    char *class_names; /* a line each; NULL: they have none */
};

/* The same for rows of one's own, which nothing is known of but what the file tells. *rows is the
 * caller's to free. */
int rg_checkpoint_load_rows(const char *path, const struct rg_network *network,
                            struct rg_checkpoint_rows *rows, float **values, struct rg_error *e);
/* What that class is called, its number where it has no name; malloc'ed, NULL: out of memory. */
char *rg_checkpoint_class(const struct rg_checkpoint_rows *rows, int class);
void rg_checkpoint_rows_free(struct rg_checkpoint_rows *rows);

#endif
