#include "strategies/feed.h"

#include "base/check.h"

int rg_feed_open(struct rg_feed *feed, struct rg_world *w, const struct rg_job *job)
{
    *feed = (struct rg_feed){.job = job, .epoch = -1};
    if (!job->numerics)
        return 0;
    feed->order = rg_mem_plain(w->mem, (size_t)job->data->train * sizeof *feed->order);
    return feed->order ? 0 : RG_ERR_NOMEM;
}

int rg_feed_epoch(struct rg_feed *feed, int64_t iteration)
{
    int epoch = (int)(iteration / feed->job->iterations_per_epoch);
    if (!feed->order || epoch == feed->epoch)
        return 0;
    feed->epoch = epoch;
    return rg_dataset_order(feed->job->data, feed->job->seed, epoch, feed->order);
}

void rg_feed_gather(const struct rg_feed *feed, int64_t iteration, int first, int n, float *x,
                    uint8_t *labels)
{
    const struct rg_job *job = feed->job;
    RG_ASSERT(iteration / job->iterations_per_epoch == feed->epoch);
    size_t at = (size_t)(iteration % job->iterations_per_epoch) * (size_t)job->batch;
    rg_dataset_gather(job->data, feed->order + at + first, n, x, labels);
}
