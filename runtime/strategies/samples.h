/* What a rank keeps of the dataset: asked by who loads it, counts it and sees whether it fits.
 *
 * In every epoch any training sample may come to any rank that a strategy feeds, so such a rank
 * keeps them all, unless nodes have rows of their own; rank 0, which looks at the parameters, keeps
 * the samples to test. */
#ifndef RG_STRATEGIES_SAMPLES_H
#define RG_STRATEGIES_SAMPLES_H

#include "strategies/strategy.h"

bool rg_strategy_has_keepers(const struct rg_strategy *strategy);
/* How many nodes have rows of their own where <data rows> says so, and the first; 0: the strategy
 * has none. */
int rg_job_keepers(const struct rg_job *job, int *first);
/* Of these the number of a rank, where it has rows of its own in this job; -1: it has none. */
int rg_job_keeper(const struct rg_job *job, int rank);
struct rg_data_kept rg_job_keeps(const struct rg_job *job, int rank);
/* Bytes of that. */
uint64_t rg_job_samples_memory(const struct rg_job *job, int rank);
/* All counted bytes of a rank: what its strategy allocates, and its samples. */
uint64_t rg_job_memory(const struct rg_job *job, int rank);

#endif
