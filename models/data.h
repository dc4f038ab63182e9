/* The kinds of dataset, one file each; rg_dataset_* in dataset.c calls them. */
#ifndef RG_MODELS_DATA_H
#define RG_MODELS_DATA_H

#include "models/dataset.h"

struct rg_data_ops {
    /* Fill shape, inputs, classes, train and test, or say what is wrong with the files. */
    int (*probe)(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
    /* Fill x and labels, which have been allocated for what probe found. */
    int (*fill)(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
};

extern const struct rg_data_ops rg_data_digits, rg_data_csv, rg_data_idx;

/* A complaint about the spec itself: names its place in the scenario. */
int rg_data_fail(const struct rg_data_spec *spec, struct rg_error *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Split `total` samples of `file` as the spec asks. Counts of 0: a fifth to test, the rest to
 * train, or what the other count leaves. */
int rg_data_split(const struct rg_data_spec *spec, const char *file, int total,
                  struct rg_dataset *data, struct rg_error *e);

#endif
