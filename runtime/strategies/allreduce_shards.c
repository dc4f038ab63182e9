/* ZeRO (Rajbhandari et al. 2020): after a bucket's reduce-scatter each node has the sums of a chunk
 * of it, the same that it begins an all-gather with. It takes the step of just these chunks, with
 * the optimizer's state of no others, and all-gathers the parameters. Bits are those of the whole
 * all-reduce, since the sums and every element's step are. With shard 3 it has no other parameters
 * either, and gathers those of a bucket before it uses them. */
#include "base/check.h"
#include "base/sizes.h"
#include "strategies/allreduce_parts.h"
#include <stdlib.h>
#include <string.h>

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
    if (plan->shard < 2)
        return bytes;
    uint64_t vectors = plan->shard - 1; /* gradient, and parameters */
    return bytes + sizeof(float) * vectors *
                       (own_count(job, rank) +
                        (uint64_t)rg_bucket_buffers(job) * (uint64_t)rg_bucket_most(job));
}

double rg_shards_update_s(const struct rg_job *job, int rank)
{
    double seconds = 0;
    for (int b = 0; b < rg_reduce_plan(job)->buckets; b++) {
        struct rg_piece own = rg_bucket_own(job, rank, b);
        seconds += rg_update_s(job, job->boards[rank], own.first, own.count);
    }
    return seconds;
}

/* This node's chunks of all buckets, one after the other, and room for whole buckets. */
static int open_chunks(struct rg_shards *shards, float **own, float *buffers[2])
{
    struct rg_mem *mem = shards->w->mem;
    *own = rg_mem_floats(mem, own_count(shards->job, shards->w->rank));
    bool all = *own;
    for (int i = 0; i < rg_bucket_buffers(shards->job); i++) {
        buffers[i] = rg_mem_floats(mem, rg_bucket_most(shards->job));
        all = all && buffers[i];
    }
    return all ? 0 : RG_ERR_NOMEM;
}

/* Cut from a whole vector that lives only here. */
static int set_own(struct rg_shards *shards, const float *initial)
{
    const float *whole;
    float *drawn, *to = shards->own;
    if (!shards->job->numerics)
        return 0;
    int result = rg_initial_parameters(shards->job, initial, &whole, &drawn);
    for (int b = 0; b < rg_reduce_plan(shards->job)->buckets && result == 0; b++) {
        const struct rg_update *update = &shards->update[b];
        memcpy(to, whole + update->first, update->count * sizeof *to);
        to += update->count;
    }
    free(drawn);
    return result;
}

int rg_shards_open(struct rg_shards *shards, struct rg_world *w, const struct rg_job *job,
                   const float *initial)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    *shards = (struct rg_shards){.w = w, .job = job};
    shards->update = calloc((size_t)plan->buckets, sizeof *shards->update);
    int result = shards->update ? 0 : RG_ERR_NOMEM;
    for (int b = 0; b < plan->buckets && result == 0; b++) {
        struct rg_piece own = rg_bucket_own(job, w->rank, b);
        result =
            rg_update_open(&shards->update[b], w, job, &job->optimizer, own.first, own.count, NULL);
    }
    if (result == 0)
        result = rg_allreduce_open(&shards->gather, w, (struct rg_group){0, 1, w->size},
                                   RG_ROUND_A_RING, 0, RG_TAG_COLLECTIVE + 1);
    if (result == 0 && plan->shard >= 2)
        result = open_chunks(shards, &shards->kept, shards->buffer);
    if (result || plan->shard < 3)
        return result;
    result = open_chunks(shards, &shards->own, shards->gathered);
    return result ? result : set_own(shards, initial);
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

/* Where bucket b's chunk is among this node's chunks of all buckets, and in the whole bucket. */
static float *chunk_of(const struct rg_shards *shards, float *chunks, int b)
{
    for (int before = 0; before < b; before++)
        chunks += shards->update[before].count;
    return chunks;
}

static float *chunk_in(const struct rg_shards *shards, float *bucket, int b)
{
    return bucket + (shards->update[b].first - rg_bucket_first(shards->job, b));
}

struct keeping {
    const float *from;
    float *to;
    size_t count;
};

static void keep(void *arg)
{
    const struct keeping *k = arg;
    memcpy(k->to, k->from, k->count * sizeof *k->to);
}

static int copy(struct rg_world *w, const char *name, struct keeping k, int b)
{
    struct rg_cost cost = rg_copy_cost(k.count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(w, &work, name, b, keep, &k);
}

int rg_shards_keep(const struct rg_shards *shards, struct rg_world *w, int b)
{
    float *from = chunk_in(shards, rg_shards_buffer(shards, b), b);
    return copy(w, "keep",
                (struct keeping){from, chunk_of(shards, shards->kept, b), shards->update[b].count},
                b);
}

int rg_shards_gather(struct rg_shards *shards, struct rg_world *w, int b, float *to)
{
    int result = copy(w, "own",
                      (struct keeping){chunk_of(shards, shards->own, b), chunk_in(shards, to, b),
                                       shards->update[b].count},
                      b);
    return result ? result
                  : rg_all_gather_run(&shards->gather, w, to, rg_bucket_count(shards->job, b));
}

double rg_shards_keep_s(const struct rg_job *job, int rank, int b)
{
    struct rg_cost cost = rg_copy_cost(rg_bucket_own(job, rank, b).count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(job->boards[rank], &work, job->threads);
}

int rg_shards_step(struct rg_shards *shards, int64_t step, float *parameters, float *gradient)
{
    const struct rg_job *job = shards->job;
    int buckets = rg_reduce_plan(job)->buckets, result = 0;
    for (int b = 0; b < buckets && result == 0; b++) {
        size_t first = shards->update[b].first;
        float *sum = shards->kept ? chunk_of(shards, shards->kept, b) : gradient + first;
        float *own = shards->own ? chunk_of(shards, shards->own, b) : parameters + first;
        result = rg_update_run(&shards->update[b], shards->w, step, own, sum);
    }
    if (shards->own)
        return result;
    for (int b = 0; b < buckets && result == 0; b++)
        result = rg_all_gather_run(&shards->gather, shards->w, parameters + rg_bucket_first(job, b),
                                   rg_bucket_count(job, b));
    return result ? result : rg_allreduce_settle(&shards->gather);
}

/* The last bucket has the first layers. Within one, chunks come by rank, but the last rank's, which
 * is the first. */
int rg_shards_parameters(const struct rg_shards *shards, rg_visit_fn visit, void *arg)
{
    const struct rg_job *job = shards->job;
    int result = 0;
    for (int b = rg_reduce_plan(job)->buckets - 1; b >= 0; b--)
        for (int c = 0; c < job->nodes && result == 0; c++) {
            int owner = (c + job->nodes - 1) % job->nodes;
            struct rg_piece piece = rg_bucket_own(job, owner, b);
            result = rg_stream_parameters(shards->w, job->network, piece.first, piece.count, owner,
                                          chunk_of(shards, shards->own, b), visit, arg);
        }
    return result;
}

/* The optimizer's state of its chunks, and with shard 3 their parameters. */
int rg_shards_state(const struct rg_shards *shards, rg_state_fn visit, void *arg)
{
    int result = 0;
    for (int b = 0; b < rg_reduce_plan(shards->job)->buckets && result == 0; b++) {
        const struct rg_update *update = &shards->update[b];
        if (shards->own)
            result = rg_visit_parameters(chunk_of(shards, shards->own, b), update->first,
                                         update->count, visit, arg);
        if (result == 0)
            result = rg_visit_update(update, false, visit, arg);
    }
    return result;
}

const float *rg_shards_held(const struct rg_shards *shards, int part, size_t *first, size_t *count)
{
    if (part >= rg_reduce_plan(shards->job)->buckets)
        return NULL;
    *first = shards->update[part].first;
    *count = shards->update[part].count;
    return chunk_of(shards, shards->own, part);
}
