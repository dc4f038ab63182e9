/* What the kinds of dataset share: complaints, notes, classes, splits, standardising. */
#ifndef RG_MODELS_DATA_H
#define RG_MODELS_DATA_H

#include "models/dataset.h"
#include "models/names.h"

enum {
    RG_DATA_CLASSES = 1 << 24, /* as many as a layer may have outputs */
    RG_CATEGORIES_MAX = 1024   /* values of an input that is one, as the file writes them */
};

/* ---- data.c ---- */

/* A complaint about the spec itself: names its place in the scenario. */
int rg_data_fail(const struct rg_data_spec *spec, struct rg_error *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A complaint where a file cannot be read: at the place in the scenario that names it. */
int rg_data_readable(const struct rg_data_spec *spec, const char *path, struct rg_error *e);
/* Something that the user must be told about the data: one line of data->notes. RG_ERR_NOMEM. */
int rg_data_note(struct rg_dataset *data, struct rg_error *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Add to a list in a text of that size: ", NAME", or "..." once the room is nearly used up. */
void rg_data_list(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Counts of a kind that has as many samples as one likes; counts of 0: the fallbacks. */
int rg_data_counts(const struct rg_data_spec *spec, int train, int test, struct rg_dataset *data,
                   struct rg_error *e);

/* ---- data_map.c ---- */

struct rg_data_map {
    const unsigned char *bytes;
    size_t size;
};

/* The bytes of a plain file that the spec names, to read only. RG_ERR_INVALID. */
int rg_data_map(const struct rg_data_spec *spec, const char *path, struct rg_data_map *mapped,
                struct rg_error *e);
void rg_data_unmap(struct rg_data_map *mapped); /* zeroes it */

/* ---- data_classes.c ---- */

/* Number the labels of a file: `values` has them in the order in which they came, label [rows] the
 * index of each row's, which becomes its class. Numbers are sorted as numbers, equal ones are one
 * class; other texts by their bytes. Labels that are whole numbers from 0 to classes - 1 stay as
 * they are, and so do labels among them where `wanted` classes are (0: as many as there are
 * labels), if 0 is one of them or the network was trained before. Fills data->classes and
 * class_names, and notes what became of them. `file` is for messages. Errors: one class only, more
 * than RG_DATA_CLASSES or than are wanted. */
int rg_data_classes(const struct rg_data_spec *spec, const char *file,
                    const struct rg_names *values, int wanted, uint32_t rows, int *label,
                    struct rg_dataset *data, struct rg_error *e);
/* The first `count` of some labels or other values in that order: order [count] gets their indices.
 * RG_ERR_NOMEM. */
int rg_data_order(const struct rg_names *values, int count, int *order);
/* Classes that are numbered already, and called so. */
int rg_data_named_classes(const struct rg_data_spec *spec, const char *file,
                          const struct rg_names *names, struct rg_dataset *data,
                          struct rg_error *e);

/* ---- data_split.c ---- */

/* What there is to be split: rows in the order of the file. */
struct rg_rows {
    const char *file;  /* for messages */
    const int *labels; /* [count], 0 to classes - 1; NULL: targets are numbers */
    int classes;
    const int *groups;   /* [count] or NULL */
    const char *group;   /* what the groups are called */
    const char *heading; /* for messages: which lines of the file are no rows; or NULL */
    uint32_t count;
    uint32_t test_from; /* count, or where the rows of a test file of its own begin */
};

enum rg_split { RG_SPLIT_STRATIFIED, RG_SPLIT_ORDER };
#define RG_SPLIT_WORDS "stratified|order"

/* How many rows train and test (counts of 0: a fifth to test, the rest to train, or what the other
 * count leaves), and which: place [count] gets each row's index among the samples, the training
 * samples first, or UINT32_MAX. stratified: class by class (numbers: without regard to them), drawn
 * from the seed; order: the first rows train, the last ones test; by groups: no group in both
 * parts. Fills data->train and test and notes classes that no training sample has. */
int rg_data_split(const struct rg_data_spec *spec, enum rg_split split, const struct rg_rows *rows,
                  uint32_t *place, struct rg_dataset *data, struct rg_error *e);

/* ---- data_scale.c ---- */

/* Standardise all columns of x: mean 0 and deviation 1 over the training samples, a constant
 * becomes 0; or by the mean and deviation wanted, and a note says how far the samples' own are from
 * them. Where x is NAN (a missing value), the mean stands. offset [inputs], NULL: zeros: what was
 * taken off each column as it was read, in double. as_is [inputs], NULL: none: columns that stay as
 * they are but for missing values. Fills mean and deviation, 0 and 1 for those; where inputs are
 * drawn, scale, too, and leaves them as they are. Errors name `file`. */
int rg_data_scale(const struct rg_data_spec *spec, struct rg_dataset *data, const double *offset,
                  const bool *as_is, const char *file, struct rg_error *e);

/* x [inputs] of a sample that was drawn: standardised by data->mean and scale. */
void rg_data_scale_row(const struct rg_dataset *data, float *x);

/* ---- data_csv.c: what iris shares ---- */

int rg_csv_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
int rg_csv_labels(const struct rg_data_spec *spec, const struct rg_dataset *data, int *labels);
int rg_csv_fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
void rg_csv_close(void *source);

#endif
