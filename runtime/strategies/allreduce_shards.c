/* ZeRO (Rajbhandari et al. 2020): after a bucket's reduce-scatter each node has the sums of a chunk
 * of it, the same that it begins an all-gather with. It takes the step of just these chunks, with
 * the optimizer's state of no others, and all-gathers the parameters. Bits are those of the whole
 * all-reduce, since the sums and every element's step are. */
#include "base/check.h"
#include "base/sizes.h"
#include "strategies/allreduce_parts.h"
#include <stdlib.h>

struct rg_piece rg_bucket_own(const struct rg_job *job, int rank, int b)
{
    struct rg_piece own = rg_own_chunk(job->nodes, rank, rg_bucket_count(job, b));
    own.first += rg_bucket_first(job, b);
    return own;
}

/* Of all buckets, a rank's. */
static uint64_t own_count(const struct rg_job *job, int rank)
{
    uint64_t count = 0;
    for (int b = 0; b < rg_reduce_plan(job)->buckets; b++)
        count += rg_bucket_own(job, rank, b).count;
    return count;
}

int rg_bucket_buffers(const struct rg_job *job)
{
    return rg_reduce_plan(job)->overlap && rg_reduce_plan(job)->buckets > 1 ? 2 : 1;
}

uint64_t rg_shards_memory(const struct rg_job *job, int rank)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    uint64_t bytes = 0;
    for (int b = 0; b < plan->buckets; b++)
        bytes += rg_update_memory(job, rg_bucket_own(job, rank, b).count);
    if (plan->shard == 2)
        bytes += sizeof(float) * (own_count(job, rank) +
                                  (uint64_t)rg_bucket_buffers(job) * (uint64_t)rg_bucket_most(job));
    return bytes;
}

double rg_shards_update_s(const struct rg_job *job, int rank)
{
    double seconds = 0;
    for (int b = 0; b < rg_reduce_plan(job)->buckets; b++)
        seconds += rg_update_s(job, job->boards[rank], rg_bucket_own(job, rank, b).count);
    return seconds;
}

int rg_shards_open(struct rg_shards *shards, struct rg_world *w, const struct rg_job *job)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    *shards = (struct rg_shards){.w = w, .job = job};
    shards->update = calloc((size_t)plan->buckets, sizeof *shards->update);
    int result = shards->update ? 0 : RG_ERR_NOMEM;
    for (int b = 0; b < plan->buckets && result == 0; b++) {
        struct rg_piece own = rg_bucket_own(job, w->rank, b);
        result = rg_update_open(&shards->update[b], w, job, &job->optimizer, own.first, own.count);
    }
    if (result == 0)
        result = rg_allreduce_open(&shards->gather, w, (struct rg_group){0, 1, w->size},
                                   RG_ROUND_A_RING, 0, RG_TAG_COLLECTIVE + 1);
    if (result || plan->shard < 2)
        return result;
    shards->kept = rg_mem_floats(w->mem, own_count(job, w->rank));
    bool all = shards->kept;
    for (int i = 0; i < rg_bucket_buffers(job); i++) {
        shards->buffer[i] = rg_mem_floats(w->mem, rg_bucket_most(job));
        all = all && shards->buffer[i];
    }
    return all ? 0 : RG_ERR_NOMEM;
}

void rg_shards_close(struct rg_shards *shards)
{
    rg_allreduce_cancel(&shards->gather);
    for (int b = 0; shards->update && b < rg_reduce_plan(shards->job)->buckets; b++)
        rg_update_close(&shards->update[b]);
    free(shards->update);
}

float *rg_shards_buffer(const struct rg_shards *shards, int b)
{
    return shards->buffer[b % rg_bucket_buffers(shards->job)];
}

/* Where bucket b's own chunk is among those that are kept. */
static float *kept_of(const struct rg_shards *shards, int b)
{
    float *to = shards->kept;
    for (int before = 0; before < b; before++)
        to += shards->update[before].count;
    return to;
}

struct keeping {
    const struct rg_shards *shards;
    int b;
};

static void keep(void *arg)
{
    const struct keeping *k = arg;
    const struct rg_update *update = &k->shards->update[k->b];
    const float *from =
        rg_shards_buffer(k->shards, k->b) + (update->first - rg_bucket_first(k->shards->job, k->b));
    float *restrict to = kept_of(k->shards, k->b);
    for (size_t i = 0; i < update->count; i++)
        to[i] = from[i];
}

static struct rg_cost keeping_cost(size_t count)
{
    return (struct rg_cost){.bytes = 2 * sizeof(float) * (double)count, .calls = 1};
}

int rg_shards_keep(const struct rg_shards *shards, struct rg_world *w, int b)
{
    struct keeping k = {shards, b};
    struct rg_cost cost = keeping_cost(shards->update[b].count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(w, &work, "keep", b, keep, &k);
}

double rg_shards_keep_s(const struct rg_job *job, int rank, int b)
{
    struct rg_cost cost = keeping_cost(rg_bucket_own(job, rank, b).count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(job->boards[rank], &work, job->threads);
}

int rg_shards_step(struct rg_shards *shards, int64_t step, float *parameters, float *gradient)
{
    const struct rg_job *job = shards->job;
    int buckets = rg_reduce_plan(job)->buckets, result = 0;
    for (int b = 0; b < buckets && result == 0; b++) {
        size_t first = shards->update[b].first;
        float *own = shards->kept ? kept_of(shards, b) : gradient + first;
        result = rg_update_run(&shards->update[b], shards->w, step, parameters + first, own);
    }
    for (int b = 0; b < buckets && result == 0; b++)
        result = rg_all_gather_run(&shards->gather, shards->w, parameters + rg_bucket_first(job, b),
                                   rg_bucket_count(job, b));
    return result ? result : rg_allreduce_settle(&shards->gather);
}
