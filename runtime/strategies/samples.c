#include "strategies/samples.h"

#include "base/sizes.h"

struct rg_data_kept rg_job_keeps(const struct rg_job *job, int rank)
{
    const struct rg_strategy *strategy = job->strategy;
    return (struct rg_data_kept){.train = !strategy->feeds || strategy->feeds(job, rank),
                                 .test = rank == 0};
}

uint64_t rg_job_samples_memory(const struct rg_job *job, int rank)
{
    return rg_dataset_bytes(job->data, rg_job_keeps(job, rank));
}

uint64_t rg_job_memory(const struct rg_job *job, int rank)
{
    return rg_size_plus(job->strategy->memory(job, rank), rg_job_samples_memory(job, rank));
}
