/* Rows of one's own for a trained network: an .npy file of samples without targets, read block by
 * block and brought to what the network was trained on; and the head of such a file.
 *
 * Failure modes handled, each naming the file, and all of them before the first row is given out:
 * what .npy files can be wrong in (data_npy.c), rows of another shape than the network's inputs, a
 * file that is truncated or too long, values that are not finite. */
#ifndef RG_MODELS_OWN_ROWS_H
#define RG_MODELS_OWN_ROWS_H

#include "models/network.h"
#include <stdio.h>

/* What training made of the values of its files: x = (value / divisor - mean) / deviation. */
struct rg_row_scale {
    double divisor;           /* 0: 1 */
    double *mean, *deviation; /* [inputs] or NULL: 0 and 1 */
};

struct rg_own_rows;

/* Opens and reads through the whole file. Its rows have the network's input shape, whose sizes of 1
 * may be left out, or all values in one dimension; images may have their channels last. scale is
 * borrowed. Standardised, a value may be missing (NaN): the mean stands for it. tokens: so many
 * that the first layer knows; 0: inputs are no tokens. */
int rg_own_rows_open(const char *path, struct rg_shape input, int tokens,
                     const struct rg_row_scale *scale, struct rg_own_rows **rows,
                     struct rg_error *e);
int64_t rg_own_rows_count(const struct rg_own_rows *rows);
/* The next n rows, x [n x inputs]: at most so many as there still are. An error where the file has
 * changed meanwhile. */
int rg_own_rows_read(struct rg_own_rows *rows, int n, float *x, struct rg_error *e);
void rg_own_rows_close(struct rg_own_rows *rows); /* NULL is allowed */

/* The head of an .npy file of float32, little-endian: `rows` rows, each of that shape without its
 * last sizes of 1. What is wrong with the stream is told where it is closed. */
void rg_npy_head(FILE *stream, int64_t rows, struct rg_shape shape);

#endif
