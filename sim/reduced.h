/* Runs a job by simulating as little of it as shows the rest; see extrapolate.h. */
#ifndef RG_SIM_REDUCED_H
#define RG_SIM_REDUCED_H

#include "study/job.h"

/* Answers rg_iteration (see rg_sim_options). */
typedef int (*rg_iteration_fn)(void *arg, struct rg_world *w, int64_t i);

/* Simulates the job in this process, at most once, and fills in *run, failures included. */
typedef void (*rg_simulate_fn)(void *arg, const struct rg_job *job, rg_iteration_fn iteration,
                               void *iteration_arg, struct rg_run *run);

/* Why iterations of this job cannot be taken for one another: what makes one differ from the next,
 * or wants to see every one. checkpoints: there are some. NULL: they may. */
const char *rg_why_whole(const struct rg_job *job, const struct rg_study *study, bool traced,
                         bool checkpoints);

/* Simulate until the job is steady, then short runs of it in its stead, each in a process of its
 * own; or all of it, where it does not become steady, or too late. *run is filled in as by
 * `simulate`. Must not have been preceded by a simulation in this process. */
void rg_run_reduced(const struct rg_job *job, rg_simulate_fn simulate, void *arg,
                    struct rg_run *run);

#endif
