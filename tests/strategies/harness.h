/* Runs jobs of a scenario in the mem world. */
#ifndef RG_TESTS_HARNESS_H
#define RG_TESTS_HARNESS_H

#include "base/random.h"
#include "node/node.h"
#include "result/checkpoint.h"
#include "world/world_mem.h"

/* Opens tests/data/FILE (or, from / on, FILE) with the --set assignments in `sets`, separated by
 * blanks; loads its data. Fails the running test and returns false on an error. */
bool harness_open(struct rg_study *study, const char *file, const char *sets);

/* The file with these assignments is refused, in words that have these. */
void harness_refuses(const char *file, const char *sets, const char *words);

const struct rg_job *harness_job(const struct rg_study *study, const char *label);

/* What a run varies. Zero-initialise. */
struct harness_options {
    uint64_t seed;
    bool free_transfers; /* messages take no time */
    double jitter;       /* of computes */
    const char *save, *save_best;
    const char *checkpoint; /* a folder, as rg_node_options */
    struct rg_every every;
    const struct rg_training_state *resume;
    const float *initial; /* parameters to begin with; NULL: drawn from the seed */
    bool trace;           /* a timeline is gathered */
    bool watch_accuracy;  /* all hear from rank 0 whether to stop, after every epoch */
    double goal;          /* > 0: training ends with the epoch that reaches this accuracy */
    double loss;          /* > 0: the same of a loss */
    int patience;         /* as <stop> has it */
    int64_t stops_after;  /* > 0: all are told to stop after this update, as a run that is asked to
                             end in good order */
    struct rg_shared *shared; /* by all ranks, as in a simulation; NULL: they share nothing */
    struct rg_mem_death deaths[RG_MEM_DEATHS];
    long *operations; /* as in rg_mem_world_options */
};

/* Trains; *run is rank 0's (free with rg_run_free), results [job->nodes] those of all (may be
 * NULL). Returns what the world returned. Transfers and computes take what the boards would. */
int harness_run(const struct rg_job *job, const struct harness_options *options, struct rg_run *run,
                int *results);

/* The same of a run that must succeed; says why it does not. */
void harness_run_ok(const struct rg_job *job, const struct harness_options *options,
                    struct rg_run *run);

/* Both end with the same weights to the bit, the second on other dates. */
void harness_same_weights(const struct rg_job *a, const struct rg_job *b, double jitter);

/* The trained parameters of a run that must succeed; malloc'ed. *run may be NULL. */
float *harness_parameters(const struct rg_job *job, const struct harness_options *options,
                          struct rg_run *run);
/* Reads and pushes of all workers of a server out of step, counted clock by clock. */
void harness_count(const struct rg_job *job, int64_t *reads, int64_t *pushes);
double harness_distance(const float *a, const float *b, size_t count);

#endif
