/* The program that every node runs, whatever the world. */
#ifndef RG_NODE_H
#define RG_NODE_H

#include "node/attempts.h"
#include "result/training_state.h"
#include "scenario/every.h"
#include "study/job.h"
#include "world/clocks.h"

/* A range of the network's vector. */
struct rg_kept_range {
    float *values; /* malloc'ed */
    size_t first, count;
};

/* What a node had when its run broke off, as of so many iterations. Where there are attempts, until
 * training goes on. */
struct rg_kept {
    struct rg_kept_range *ranges; /* [count], malloc'ed */
    int count;
    int64_t iterations;
    struct rg_copies copies; /* of other nodes' parameters; else than in struct rg_attempts */
};
void rg_kept_free(struct rg_kept *kept);

struct rg_node_options {
    struct rg_stop stop;
    const float *initial;  /* parameters to start from, or NULL */
    const char *save;      /* rank 0: write the trained parameters here, or NULL */
    const char *save_best; /* rank 0: and those of the evaluation with the least loss */
    /* Rank 0: the folder that checkpoints go to, or NULL; a training to go on from, or NULL. */
    const char *checkpoint;
    struct rg_every every;
    const struct rg_training_state *resume;
    /* Rank 0 of an attempt that is not the first: reads the newest checkpoint of more iterations
     * than that; NULL: there is none. Asked where nothing that nodes have themselves is newer.
     * NULL: none is looked for. */
    const struct rg_training_state *(*find)(void *arg, int64_t than);
    void *find_arg;
    /* Rank 0 of a simulation: facts of the last two checkpoints, [2], the last one first, and when
     * the card has them. Where numerics are skipped they are hollow, and need no folder. NULL: not
     * wanted. */
    struct rg_training_state *noted;
    const char *scenario_sha256; /* rank 0: for them; or NULL */
    bool trace;                  /* gather timelines; rank 0's word counts */
    struct rg_trace_part part;   /* of them */
    const char *host;            /* this node's name in the result */
    const char *machine;         /* this node's architecture; NULL: no machine of its own */
    /* What this node's board tells of its heat, after the training; NULL: nothing. */
    void (*heat)(void *arg, struct rg_run_heat *heat);
    void *heat_arg;
    const char *pace; /* the board whose time computations take, or NULL: their own */
    void (*progress)(void *arg, int64_t done, int64_t total,
                     double time_s); /* rank 0; NULL: none */
    void *progress_arg;
    /* This process's first comparison of clocks with rank 0, kept from run to run for the drift;
     * rg_clock_unknown before the first. NULL: none is kept. */
    struct rg_clock_sample *compared;
    /* What is known of the attempts before this one, and will be of it; NULL: there is one. */
    struct rg_attempts *attempts;
    bool only_to_save;    /* rg_node_salvage: without `save` nothing is put together */
    struct rg_kept *kept; /* filled in where the run breaks off. NULL: not wanted */
};

/* Train. Every rank < job->nodes calls it on its own handle (w->size == job->nodes). On rank 0 *run
 * is filled in, status and error included; elsewhere run is NULL. The handle's mem is made here.
 * Returns 0, 1 where the world has had it stopped in good order after an iteration (the account is
 * whole then), or the error that ended the run (also in run->error_code). */
int rg_node_run(struct rg_world *w, const struct rg_job *job, const struct rg_node_options *options,
                struct rg_run *run);

/* For rank 0, before anything runs: can there be checkpoints of the job in a folder (NULL: there
 * are none; rg_training_folder looks at it, last); and what is there to go on from in another, or
 * the same (NULL: nothing is)? *from: free it with rg_training_state_free. RG_ERR_INVALID and one
 * line. */
int rg_node_open_checkpoints(const struct rg_job *job, const char *folder, const char *from_folder,
                             struct rg_training_state *from, struct rg_error *e);

/* Bytes that rank 0 takes beside what it trains with, for evaluation, for a checkpoint that is
 * being written, for the one that it goes on from; a board's memory is not held against them. At
 * most RG_SIZE_MOST. */
uint64_t rg_node_beside_training(const struct rg_job *job, bool writes, bool goes_on);
/* The same of that rank, after a loss: what it has kept of the state until it goes on. */
uint64_t rg_node_beside_loss(const struct rg_job *job, int rank);

/* After a run that broke off, by every node of it that is left, in a run of its own (the world
 * completes with RG_ERR_PEER what is asked of those that are not): the lowest puts together what
 * they have kept, in *kept and as copies for another attempt (options->attempts): the newest state
 * that is whole, or stages that may be an iteration apart. Where that is the whole network, digest
 * and accuracy (where it has the test samples) go into *run, and it is saved; else
 * run->ending.missing says what nobody has. *run, which each of them passes, is filled in on that
 * node alone: 1 there, 0 on the others, or an error. */
int rg_node_salvage(struct rg_world *w, const struct rg_job *job,
                    const struct rg_node_options *options, const struct rg_kept *kept,
                    struct rg_run *run);

#endif
