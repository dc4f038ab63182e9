#include "strategies/feed.h"

#include "base/check.h"
#include "base/random.h"
#include "strategies/samples.h"
#include <stdlib.h>
#include <string.h>

int rg_feed_open(struct rg_feed *feed, struct rg_world *w, const struct rg_job *job, int epochs)
{
    int first, keeper = rg_job_keeper(job, w->rank);
    *feed = (struct rg_feed){.job = job, .kept = epochs, .epoch = -1, .count = job->data->train};
    if (keeper >= 0) {
        RG_ASSERT(epochs == 1);
        feed->own = rg_deal_samples(job->rows, keeper);
        feed->count = rg_deal_count(job->rows, keeper);
        feed->part = keeper;
        feed->parts = job->strategy->sharing ? job->strategy->sharing(job, &first) : 0;
    }
    if (epochs > 1 && !(feed->more = rg_mem_alloc(w->mem, rg_feed_memory(job, epochs), 0)))
        return RG_ERR_NOMEM;
    if (!job->numerics)
        return 0;
    feed->order = rg_mem_plain(w->mem, (size_t)feed->count * sizeof *feed->order);
    return feed->order ? 0 : RG_ERR_NOMEM;
}

uint64_t rg_feed_memory(const struct rg_job *job, int epochs)
{
    return (uint64_t)(epochs - 1) * (uint64_t)job->data->train * sizeof(uint32_t);
}

static uint32_t *order_of(const struct rg_feed *feed, int64_t epoch)
{
    int64_t place = epoch % feed->kept;
    return place == 0 ? feed->order : feed->more + (place - 1) * feed->count;
}

/* An order of all training samples, of which that of any node's own is a part. */
struct shuffling {
    uint64_t seed, epoch;
};

static uint64_t key_of(const struct shuffling *s, uint32_t sample)
{
    return rg_hash(s->seed, RG_STREAM_SHUFFLE, s->epoch, sample);
}

static int compare_keys(const void *a, const void *b, void *shuffling)
{
    uint32_t p = *(const uint32_t *)a, q = *(const uint32_t *)b;
    uint64_t k = key_of(shuffling, p), l = key_of(shuffling, q);
    return k != l ? (k < l ? -1 : 1) : (p > q) - (p < q);
}

void rg_feed_own(struct rg_feed *feed, int64_t epoch)
{
    struct shuffling shuffling = {feed->job->seed, (uint64_t)epoch};
    RG_ASSERT(feed->own);
    feed->epoch = epoch;
    if (!feed->order)
        return;
    memcpy(feed->order, feed->own, (size_t)feed->count * sizeof *feed->order);
    qsort_r(feed->order, (size_t)feed->count, sizeof *feed->order, compare_keys, &shuffling);
}

int rg_feed_epoch(struct rg_feed *feed, int64_t iteration)
{
    int64_t epoch = iteration / feed->job->iterations_per_epoch;
    if (!feed->order || epoch <= feed->epoch)
        return 0;
    if (feed->own) {
        rg_feed_own(feed, epoch);
        return 0;
    }
    feed->epoch = epoch;
    return rg_dataset_order(feed->job->data, feed->job->seed, (int)epoch, order_of(feed, epoch));
}

void rg_feed_gather_own(const struct rg_feed *feed, int first, int n, float *x, void *targets)
{
    RG_ASSERT(feed->own && first >= 0 && first + n <= feed->count);
    rg_dataset_gather(feed->job->data, feed->order + first, n, x, targets);
}

/* Of its share in an iteration those from `begin` on; the order begins again where it ends. */
static void gather_share(const struct rg_feed *feed, int64_t iteration, int begin, int n, float *x,
                         void *targets)
{
    const struct rg_targets each = rg_dataset_targets(feed->job->data);
    int64_t share = rg_job_share(feed->job, feed->parts, feed->part);
    int64_t at = (iteration % feed->job->iterations_per_epoch * share + begin) % feed->count;
    while (n > 0) {
        int some = (int)RG_MIN(feed->count - at, n);
        rg_feed_gather_own(feed, (int)at, some, x, targets);
        x = x ? x + (size_t)some * feed->job->data->inputs : NULL;
        targets = targets ? (char *)targets + (size_t)some * rg_targets_bytes(&each) : NULL;
        n -= some;
        at = 0;
    }
}

void rg_feed_gather(const struct rg_feed *feed, int64_t iteration, int first, int n, float *x,
                    void *targets)
{
    const struct rg_job *job = feed->job;
    int64_t epoch = iteration / job->iterations_per_epoch;
    if (feed->own && feed->parts == 0) {
        rg_feed_gather_own(feed, first, n, x, targets);
        return;
    }
    RG_ASSERT(epoch <= feed->epoch && epoch > feed->epoch - feed->kept);
    if (feed->own) {
        int begin = first - rg_job_share_first(job, feed->parts, feed->part);
        gather_share(feed, iteration, begin, n, x, targets);
        return;
    }
    size_t at = (size_t)(iteration % job->iterations_per_epoch) * (size_t)job->batch;
    rg_dataset_gather(job->data, order_of(feed, epoch) + at + first, n, x, targets);
}
