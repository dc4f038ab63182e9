#include "strategies/feed.h"

#include "base/check.h"

int rg_feed_open(struct rg_feed *feed, struct rg_world *w, const struct rg_job *job, int epochs)
{
    *feed = (struct rg_feed){.job = job, .kept = epochs, .epoch = -1};
    if (epochs > 1 && !(feed->more = rg_mem_alloc(w->mem, rg_feed_memory(job, epochs), 0)))
        return RG_ERR_NOMEM;
    if (!job->numerics)
        return 0;
    feed->order = rg_mem_plain(w->mem, (size_t)job->data->train * sizeof *feed->order);
    return feed->order ? 0 : RG_ERR_NOMEM;
}

uint64_t rg_feed_memory(const struct rg_job *job, int epochs)
{
    return (uint64_t)(epochs - 1) * (uint64_t)job->data->train * sizeof(uint32_t);
}

static uint32_t *order_of(const struct rg_feed *feed, int64_t epoch)
{
    int64_t place = epoch % feed->kept;
    return place == 0 ? feed->order : feed->more + (place - 1) * feed->job->data->train;
}

int rg_feed_epoch(struct rg_feed *feed, int64_t iteration)
{
    int64_t epoch = iteration / feed->job->iterations_per_epoch;
    if (!feed->order || epoch <= feed->epoch)
        return 0;
    feed->epoch = epoch;
    return rg_dataset_order(feed->job->data, feed->job->seed, (int)epoch, order_of(feed, epoch));
}

void rg_feed_gather(const struct rg_feed *feed, int64_t iteration, int first, int n, float *x,
                    uint8_t *labels)
{
    const struct rg_job *job = feed->job;
    int64_t epoch = iteration / job->iterations_per_epoch;
    RG_ASSERT(epoch <= feed->epoch && epoch > feed->epoch - feed->kept);
    size_t at = (size_t)(iteration % job->iterations_per_epoch) * (size_t)job->batch;
    rg_dataset_gather(job->data, order_of(feed, epoch) + at + first, n, x, labels);
}
