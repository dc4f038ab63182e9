/* Does rounding decide the figures of a simulation? Where nodes share links, or do what comes
 * first, a difference in a date may grow from step to step: some runs are chaotic, and no rule for
 * ties changes that. So runs that could be are simulated once more, by the calendar, with links
 * that are slower by RG_AGAIN_PART, which is as much as roundings add up to, and messages and
 * computations that are longer by up to as much, otherwise on each node and between each two: where
 * all is alike, or all slower by one factor, differences do not show. Results have both figures.
 *
 * Could be: near ties were met (see struct rg_sim_ties), which may decide how a run comes to its
 * steady state, too; or iterations were not seen to repeat, which a difference that grows would keep
 * them from, and messages have shared links with others again and again (crowd.h): two links each,
 * or in a run of few nodes any. */
#ifndef RG_SIM_AGAIN_H
#define RG_SIM_AGAIN_H

#include "study/job.h"

#define RG_AGAIN_PART 1e-12

/* Does the job, of which a simulation has given that run, want a second? */
bool rg_again_is_wanted(const struct rg_job *job, const struct rg_run *run);
/* The job of the second: as far as the first came, and without numerics where dates do not depend
 * on them. It points to what `job` points to. */
struct rg_job rg_again_job(const struct rg_job *job, const struct rg_run *first);
/* What the second has given goes into the first; nothing where it did not come to its end. */
void rg_again_note(struct rg_run *first, const struct rg_run *second);

#endif
