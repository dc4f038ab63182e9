/* All that a training goes on from, as a file of numbers (safetensors) and one that says what they
 * are (JSON), in a folder of checkpoints:
 *
 * checkpoint-500.safetensors: parameters ("LAYER.NAME"), the optimizer's state
 * ("LAYER.NAME/velocity"), what one node alone has ("rank 3/rest 0").
 *
 * checkpoint-500.json, written last: facts, how many bytes the other file has, and the SHA-256 of
 * these facts and those bytes together.
 *
 * A checkpoint is whole, or is none: whatever its files are cut to, the digest tells. */
#ifndef RG_RESULT_TRAINING_STATE_H
#define RG_RESULT_TRAINING_STATE_H

#include "models/network.h"
#include "result/result.h"

#define RG_TRAINING_SCHEMA "ringtmp-checkpoint-1"

/* Numbers of one kind: a whole network's, or what one node alone has. */
struct rg_training_array {
    char name[32];
    int rank;            /* whose it is; -1: the network's, count is all parameters */
    size_t first, count; /* in the network's vector */
    float *values;       /* malloc'ed */
};

struct rg_training_state {
    /* Whose they are. */
    char version[24], network[96], strategy[32], optimizer[16], scenario_sha256[65];
    char *plan; /* as rg_job_settled; malloc'ed */
    uint64_t seed;
    int nodes, batch, samples; /* samples: of the training set */
    /* How far it has come. */
    int64_t iterations, iterations_per_epoch;
    double time_s, energy_J; /* NAN: unknown */
    int in_vain;             /* looks since the one with the least loss */
    struct rg_run_best best;
    struct rg_run_point *training; /* [point_count], malloc'ed */
    int point_count;
    struct rg_training_array *arrays; /* [array_count], malloc'ed; the first: the parameters */
    int array_count;
    /* Of a simulation without numerics: there are no arrays, and nothing is written. */
    bool hollow;
    uint64_t bytes;   /* of arrays, as they would be */
    double written_s; /* simulated: when the card has it, since the training first began */
    /* Where it was read from; why newer ones were not, or ""; do new ones go to the same folder? */
    char path[480], passed_over[480];
    bool goes_there;
};

void rg_training_state_free(struct rg_training_state *state); /* and zeroes it */
/* The array of that name; of the network, or where own is set of that rank at that place. NULL:
 * there is none. */
struct rg_training_array *rg_training_array(const struct rg_training_state *state, const char *name,
                                            bool own, int rank, size_t first);
/* Appends one, values 0; NULL: no memory. */
struct rg_training_array *rg_training_array_add(struct rg_training_state *state, const char *name,
                                                int rank, size_t first, size_t count);

/* A folder that checkpoints can go to; made where it is missing. RG_ERR_INVALID and one line, also
 * where it has some, unless these are gone on from. */
int rg_training_folder(const char *folder, bool goes_on, struct rg_error *e);

/* The iterations of its newest, which may be torn; -1: it has none. */
int64_t rg_training_newest(const char *folder);

/* Write it; then of all checkpoints of the folder only this one and that after `previous`
 * iterations (-1: there is none) are left. Files are never written through a link. *bytes: of both
 * files. RG_ERR_IO and one line: what was there before is there still. */
int rg_training_write(const struct rg_training_state *state, const struct rg_network *network,
                      const char *folder, int64_t previous, uint64_t *bytes, struct rg_error *e);

/* The newest whole checkpoint of a folder. RG_ERR_INVALID and one line: there is none, or it is of
 * another network or made by a newer version. */
int rg_training_read(const char *folder, const struct rg_network *network,
                     struct rg_training_state *state, struct rg_error *e);
/* The newest of those with at most so many iterations. */
int rg_training_read_until(const char *folder, int64_t iterations, const struct rg_network *network,
                           struct rg_training_state *state, struct rg_error *e);

#endif
