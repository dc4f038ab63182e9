/* What the kinds of dataset share. */
#ifndef RG_MODELS_DATA_H
#define RG_MODELS_DATA_H

#include "models/dataset.h"

/* A complaint about the spec itself: names its place in the scenario. */
int rg_data_fail(const struct rg_data_spec *spec, struct rg_error *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Counts of a kind that has as many samples as one likes; counts of 0: the fallbacks. */
int rg_data_counts(const struct rg_data_spec *spec, int train, int test, struct rg_dataset *data,
                   struct rg_error *e);

/* Split `total` samples of `file` as the spec asks. Counts of 0: a fifth to test, the rest to
 * train, or what the other count leaves. */
int rg_data_split(const struct rg_data_spec *spec, const char *file, int total,
                  struct rg_dataset *data, struct rg_error *e);

/* Files of numbers with the label in one column: data_csv.c. */
int rg_csv_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
int rg_csv_fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);

#endif
