/* How a gradient is cut in buckets, and a share of a batch in steps. */
#include "base/check.h"
#include "strategies/allreduce_parts.h"

size_t rg_bucket_first(const struct rg_job *job, int b)
{
    return rg_network_offset(job->network, rg_reduce_plan(job)->cut[b + 1]);
}

size_t rg_bucket_count(const struct rg_job *job, int b)
{
    const int *cut = rg_reduce_plan(job)->cut;
    return rg_network_range(job->network, cut[b + 1], cut[b]);
}

size_t rg_bucket_most(const struct rg_job *job)
{
    size_t most = 0;
    for (int b = 0; b < rg_reduce_plan(job)->buckets; b++)
        most = RG_MAX(most, rg_bucket_count(job, b));
    return most;
}

int rg_local_samples(const struct rg_job *job, int rank, int step)
{
    return rg_share(rg_job_share(job, job->nodes, rank), rg_reduce_plan(job)->steps, step);
}
