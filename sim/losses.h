/* Simulated trainings that lose nodes, and go on (--lose): one attempt after the other, each
 * simulated in a process of its own, with the nodes that are left, or there again, or took a lost
 * one's place, from the last checkpoint. */
#ifndef RG_SIM_LOSSES_H
#define RG_SIM_LOSSES_H

#include "node/attempts.h"
#include "result/training_state.h"
#include "study/job.h"

/* One of them, as its process simulates it. */
struct rg_sim_attempt {
    struct rg_attempts *attempts; /* who trains; losses so far. What becomes of it goes in there */
    const double *off_s;          /* [attempts->nodes] as in struct rg_sim_options */
    double since_s;               /* when it begins, in seconds of the whole; 0: it is the first */
    int *results;                 /* [attempts->nodes] what the programs returned, or RG_DIED */
    double *drawn_J;              /* [attempts->nodes] joules of each */
    /* [2] of checkpoints, as struct rg_node_options has them; at first that which it goes on from,
     * bytes 0: there is none. Hollow ones are all that there is of them. */
    struct rg_training_state *kept;
    struct rg_copies *copies; /* [seats] what each node has kept of states; in and out */
};

/* Simulate it: once in a process. The nodes' own accounts of the attempt go into *attempts, as the
 * lowest that has not died has them. */
typedef void (*rg_sim_attempt_fn)(void *arg, const struct rg_sim_attempt *attempt,
                                  struct rg_run *run);

/* All of them; *run is the last one's, with the losses before it. arg: of both functions. */
void rg_sim_attempts(const struct rg_study *study, const struct rg_job *job,
                     rg_sim_attempt_fn simulate, rg_fitting_fn fitting, void *arg,
                     struct rg_run *run);

#endif
