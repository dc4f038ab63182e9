/* Datasets in memory: rows of floats with their targets, split in training and test samples.
 *
 * To add a kind: write data_NAME.c whose only global is `const struct rg_data_kind rg_data_NAME`,
 * and add its name to data.def. Scenarios, --list and the digests of a run find it there. */
#ifndef RG_MODELS_DATASET_H
#define RG_MODELS_DATASET_H

#include "base/error.h"
#include "models/network.h"
#include "models/targets.h"

struct rg_dataset;
struct rg_data_spec;

enum rg_data_type {
    RG_DATA_COUNT,  /* an integer in [min, max] */
    RG_DATA_CHOICE, /* one of the words in `choices`, separated by | */
    RG_DATA_TEXT,   /* any text but none */
    RG_DATA_FILE    /* a path, relative to the scenario's folder */
};

/* An attribute of <data> that a kind takes, beside kind, train and test, which all do. */
struct rg_data_attribute {
    const char *name;
    enum rg_data_type type;
    bool needed;
    double min, max;     /* RG_DATA_COUNT */
    const char *choices; /* RG_DATA_CHOICE */
    const char *shipped; /* RG_DATA_FILE: in models/data/, for who names no other; or NULL */
    const char *help;
};

struct rg_data_kind {
    const char *name, *summary;
    const struct rg_data_attribute *attributes; /* ends with a NULL name */
    bool numbers;                               /* can have such targets */
    bool tokens;                                /* its inputs are such: 0 to classes - 1 */
    /* Fill shape, classes, train, test, names and notes, or say what is wrong with the files; what
     * fill needs to know may be kept in data->source. */
    int (*probe)(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
    /* The labels of all training samples, [train], between probe and fill, where there is one each;
     * NULL: there are none. 0 or RG_ERR_NOMEM. */
    int (*labels)(const struct rg_data_spec *spec, const struct rg_dataset *data, int *labels);
    /* Fill x and targets, which have been allocated for the samples that data->kept names. */
    int (*fill)(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
    /* Where data->drawn is set: the inputs x [inputs] of a sample, as read. */
    void (*row)(const struct rg_dataset *data, size_t sample, float *x);
    void (*close)(void *source); /* NULL where probe keeps nothing */
};

/* All of them, NULL-terminated, in the order of data.def; and the index of a name, -1: none. */
extern const struct rg_data_kind *const rg_data_kinds[];
int rg_data_kind_index(const char *name);

enum { RG_DATA_ATTRIBUTES = 16 };

/* What a scenario's <data> says of an attribute; all zero: nothing. */
struct rg_data_value {
    char *text;    /* CHOICE, TEXT; FILE: where it is now */
    char *written; /* FILE: as the scenario names it */
    int number;    /* COUNT; CHOICE: index of the word */
    int line;      /* in the scenario */
};

/* Which node has which training samples, in the order of the setting's words: any has all; or each
 * its own, see deal.h. */
enum rg_rows_kind {
    RG_ROWS_SHARED,
    RG_ROWS_ORDER,
    RG_ROWS_SHUFFLE,
    RG_ROWS_LABELS,
    RG_ROWS_DIRICHLET
};

/* What a scenario's <data> says; strings belong to whoever filled it in. Counts of 0: digits 8192
 * and 1024, random 1024 and 128; the others a fifth of the samples to test and the rest to train,
 * or what the other count leaves. */
struct rg_data_spec {
    const struct rg_data_kind *kind;
    int train, test;
    enum rg_rows_kind rows;
    int shards;                                      /* RG_ROWS_LABELS: of each node */
    double concentration;                            /* RG_ROWS_DIRICHLET */
    struct rg_data_value values[RG_DATA_ATTRIBUTES]; /* in the order of kind->attributes */
    uint64_t seed;
    bool numbers; /* targets are numbers to come near to, not labels of classes */
    int tokens;   /* inputs are such, 0 to that less 1, as an embedding reads them; 0: none */
    bool trained_before; /* the network comes with parameters: its classes are known by number */
    const char *where;   /* "FILE" of the scenario, for messages */
    int line;
};

const struct rg_data_attribute *rg_data_attribute_named(const struct rg_data_kind *kind,
                                                        const char *name); /* NULL: none */
/* The value of an attribute, by name; NULL where the kind has none of it. */
struct rg_data_value *rg_data_value(struct rg_data_spec *spec, const char *name);
/* The text and number of an attribute; NULL and 0: not given, or not one of this kind's. */
const char *rg_data_string(const struct rg_data_spec *spec, const char *name);
int rg_data_number(const struct rg_data_spec *spec, const char *name);

/* Which samples are in memory, inputs and targets: a node keeps those that it uses. */
struct rg_data_kept {
    bool train, test;
    const uint32_t *own; /* with `train`: these training samples alone, ascending; NULL: all */
    size_t own_count;
};

struct rg_dataset {
    struct rg_shape shape;
    size_t inputs;    /* floats a sample */
    int classes;      /* 0: the targets are numbers */
    int target_count; /* a sample: 1 label, or one a token; or so many numbers */
    int train, test;
    bool read;                /* the samples, or what of them is kept, are here */
    struct rg_data_kept kept; /* its list is the dataset's own */
    /* Of the samples that are kept, in order: the training samples are 0 to train - 1, those to
     * test follow. NULL: none are. */
    float *x;      /* [kept x inputs]; NULL where they are drawn */
    void *targets; /* [kept x target_count], see targets.h */
    uint32_t *own; /* kept.own, malloc'ed; NULL: there is no list */
    /* Set by probe: inputs stay in their file and are converted as they are drawn, so that more of
     * them than memory holds can train; fill fills in the targets alone, and the source is kept. */
    bool drawn;
    size_t x_bytes; /* of memory for the inputs of a sample that is kept; 0 of probe: its floats */
    /* Set by probe: to fill in any sample takes all training samples, to standardise by them. */
    bool by_training;
    /* [inputs] each, of the training samples as read: x = (read - mean) / deviation. NULL: x is not
     * standardised. */
    double *mean, *deviation;
    /* Values as read are divided by that first: bytes by 255. 0: they are not. Set by fill. */
    double divisor;
    double *scale; /* [inputs] where these are drawn: what x - mean is multiplied by */
    /* [inputs] each: standardise by these, as the inputs that the network was trained on were; set
     * between probe and read, malloc'ed, owned by the dataset. NULL: by the samples' own. */
    double *wanted_mean, *wanted_deviation;
    /* [inputs] what the column is called, "COLUMN=VALUE" of an input that is 1 for that value;
     * NULL: it has no name; or NULL: none has. */
    char **input_names;
    char **class_names; /* [classes], as the files write them; NULL: no sample has it; or NULL */
    char **notes;       /* [note_count] what the user has to be told: a line each */
    int note_count;
    int input_notes, input_note_count; /* those that say where the number of inputs comes from */
    const struct rg_data_kind *kind;
    void *source; /* the kind's own, between probe and read, or for as long as it draws */
};

/* Check the files and fill shapes, counts, names and notes, without the samples (x and targets
 * NULL). */
int rg_dataset_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
/* Load the samples of a dataset that was probed, those that are to be kept; all training samples
 * are in memory for a moment where the others are standardised by them. digits: drawn from (seed,
 * sample index), ink (0 to 1) less 0.15 times 2.5; idx: bytes / 255; iris, csv and libsvm:
 * standardised by the training samples' mean and deviation, or those wanted, which are noted where
 * they differ. On failure the dataset is as rg_dataset_free leaves it. */
int rg_dataset_read(const struct rg_data_spec *spec, struct rg_data_kept keep,
                    struct rg_dataset *data, struct rg_error *e);
/* Both, keeping all. */
int rg_dataset_load(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e);
void rg_dataset_free(struct rg_dataset *data);

/* Bytes of the samples kept so, with 4 a training sample for its place in an epoch's order. */
uint64_t rg_dataset_bytes(const struct rg_dataset *data, struct rg_data_kept keep);
struct rg_targets rg_dataset_targets(const struct rg_dataset *data);
/* A copy of the inputs of a sample that is kept, standardised. */
void rg_dataset_copy_x(const struct rg_dataset *data, size_t sample, float *x);
/* The inputs and targets of a sample; NULL: it is not kept, or its inputs are drawn. */
float *rg_dataset_x(const struct rg_dataset *data, size_t sample);
void *rg_dataset_target(const struct rg_dataset *data, size_t sample);
/* The only label of a sample that is kept. */
int32_t rg_dataset_label(const struct rg_dataset *data, size_t sample);
void rg_dataset_set_label(struct rg_dataset *data, size_t sample, int32_t label);

/* The order of the training samples in an epoch: a permutation of 0..train-1 from (seed, epoch). */
int rg_dataset_order(const struct rg_dataset *data, uint64_t seed, int epoch, uint32_t *order);
/* Copy the training samples order[0..n) to x [n x inputs] (may be NULL) and targets
 * [n x target_count] (may be NULL). */
void rg_dataset_gather(const struct rg_dataset *data, const uint32_t *order, int n, float *x,
                       void *targets);
void rg_dataset_gather_work(size_t inputs, int n, struct rg_work *work);

#endif
