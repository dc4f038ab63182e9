/* Datasets in memory: rows of floats and a label each, split in training and test samples. */
#ifndef RG_MODELS_DATASET_H
#define RG_MODELS_DATASET_H

#include "base/error.h"
#include "models/network.h"

enum rg_data_kind { RG_DATA_DIGITS, RG_DATA_IRIS, RG_DATA_IDX, RG_DATA_CSV, RG_DATA_RANDOM };

/* What a scenario's <data> says. Counts of 0: digits 8192 and 1024, random 1024 and 128; the others
 * a fifth of the samples to test and the rest to train, or what the other count leaves. */
struct rg_data_spec {
    enum rg_data_kind kind;
    int train, test;
    char *images, *labels; /* idx: two files, plain or .gz; first `train` train, last `test` test */
    char *file;            /* csv, iris: numbers, label (0, 1, ...) in the last column */
    int inputs;            /* random: floats a sample */
    int classes;           /* random: needed; idx: 0 is 10; csv: 0 is the largest label + 1 */
    uint64_t seed;
    const char *where; /* "FILE" of the scenario, for messages */
    int line;
};

struct rg_dataset {
    struct rg_shape shape;
    size_t inputs; /* floats a sample */
    int classes;
    int train, test;
    float *x; /* [(train + test) x inputs]; the training samples first; NULL for shapes only */
    uint8_t *labels; /* [train + test] */
    /* [inputs] each, of the training samples as read: x = (read - mean) / deviation. NULL: x is not
     * standardised. */
    double *mean, *deviation;
};

/* Check the files and fill shapes and counts without loading the samples (x, labels NULL). */
int rg_dataset_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
/* Load everything. digits: drawn from (seed, sample index), ink (0 to 1) less 0.15 times 2.5; idx:
 * pixels / 255; iris and csv: standardised by the training samples' mean and deviation, split
 * stratified from the seed. */
int rg_dataset_load(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
void rg_dataset_free(struct rg_dataset *data);

/* The order of the training samples in an epoch: a permutation of 0..train-1 from (seed, epoch). */
int rg_dataset_order(const struct rg_dataset *data, uint64_t seed, int epoch, uint32_t *order);
/* Copy the rows order[0..n) to x [n x inputs] (may be NULL) and labels [n] (may be NULL). */
void rg_dataset_gather(const struct rg_dataset *data, const uint32_t *order, int n, float *x,
                       uint8_t *labels);
void rg_dataset_gather_work(size_t inputs, int n, struct rg_work *work);

#endif
