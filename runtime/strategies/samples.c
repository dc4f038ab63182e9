#include "strategies/samples.h"

#include "base/sizes.h"

bool rg_strategy_has_keepers(const struct rg_strategy *strategy)
{
    return strategy->keepers || strategy->sharing;
}

int rg_job_keepers(const struct rg_job *job, int *first)
{
    const struct rg_strategy *strategy = job->strategy;
    int (*keepers)(const struct rg_job *, int *) =
        strategy->keepers ? strategy->keepers : strategy->sharing;
    *first = 0;
    return keepers ? keepers(job, first) : 0;
}

int rg_job_keeper(const struct rg_job *job, int rank)
{
    int first = 0, count = job->rows ? rg_job_keepers(job, &first) : 0;
    return rank >= first && rank < first + count ? rank - first : -1;
}

struct rg_data_kept rg_job_keeps(const struct rg_job *job, int rank)
{
    const struct rg_strategy *strategy = job->strategy;
    struct rg_data_kept keep = {.train = !strategy->feeds || strategy->feeds(job, rank),
                                .test = rank == 0};
    int keeper = rg_job_keeper(job, rank);
    if (keeper >= 0) {
        keep.own = rg_deal_samples(job->rows, keeper);
        keep.own_count = (size_t)rg_deal_count(job->rows, keeper);
    }
    return keep;
}

uint64_t rg_job_samples_memory(const struct rg_job *job, int rank)
{
    return rg_dataset_bytes(job->data, rg_job_keeps(job, rank));
}

uint64_t rg_job_memory(const struct rg_job *job, int rank)
{
    return rg_size_plus(job->strategy->memory(job, rank), rg_job_samples_memory(job, rank));
}
