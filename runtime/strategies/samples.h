/* What a rank keeps of the dataset: asked by who loads it, counts it and sees whether it fits.
 *
 * In every epoch any training sample may come to any rank that a strategy feeds, so such a rank
 * keeps them all; rank 0, which looks at the parameters, keeps the samples to test. A strategy
 * whose nodes have rows of their own would say here how many, and which. */
#ifndef RG_STRATEGIES_SAMPLES_H
#define RG_STRATEGIES_SAMPLES_H

#include "strategies/strategy.h"

struct rg_data_kept rg_job_keeps(const struct rg_job *job, int rank);
/* Bytes of that. */
uint64_t rg_job_samples_memory(const struct rg_job *job, int rank);
/* All counted bytes of a rank: what its strategy allocates, and its samples. */
uint64_t rg_job_memory(const struct rg_job *job, int rank);

#endif
