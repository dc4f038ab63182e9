/* Does rounding decide the figures of a simulation? Where nodes share links, or do what comes
 * first, a difference in a date may grow from step to step: some runs are chaotic, and no rule for
 * ties changes that. So runs that could be are simulated once more with links that are slower by
 * RG_AGAIN_RATE, which is as much as roundings add up to, and results have both figures.
 *
 * Could be: near ties were met (see struct rg_sim_ties), and iterations were not seen to repeat; a
 * difference that grew would keep them from it. */
#ifndef RG_SIM_AGAIN_H
#define RG_SIM_AGAIN_H

#include "study/job.h"
#include <sys/types.h>

#define RG_AGAIN_RATE (1 - 1e-12)

/* What the second simulation is to be. */
struct rg_again_order {
    int64_t iterations;
    bool numerics; /* to be computed: messages depend on them */
};

/* Simulates the order in this process. */
typedef void (*rg_again_fn)(void *arg, const struct rg_again_order *order, struct rg_run *run);

struct rg_again {
    pid_t pid;
    int order, answer; /* pipes */
};

/* There is one simulation a process: another is forked, and waits. To be called before the first;
 * then rg_again_end is. */
void rg_again_begin(struct rg_again *again, rg_again_fn simulate, void *arg);
/* The first simulation of the job has given *run: the second is made where it is wanted, and what
 * comes out noted in run->engine. */
void rg_again_end(struct rg_again *again, const struct rg_job *job, struct rg_run *run);

#endif
