/* What a node of an all-reduce does with a bucket. */
#include "base/random.h"
#include "strategies/allreduce_parts.h"

/* Where the gradient of bucket b is. */
static float *bucket_at(const struct rg_reduce_node *node, int b)
{
    if (rg_reduce_plan(node->job)->shard >= 2)
        return rg_shards_buffer(&node->shards, b);
    return node->replica.gradient + rg_bucket_first(node->job, b);
}

/* One run of the dice an iteration and bucket, alike on all nodes. */
static uint64_t dice_of(const struct rg_reduce_node *node, int b)
{
    return rg_mix64(node->job->seed +
                    rg_mix64((uint64_t)node->replica.iteration << 20 | (uint64_t)b));
}

static bool is_coded(const struct rg_reduce_node *node)
{
    return rg_reduce_plan(node->job)->codec.kind != RG_CODE_NONE;
}

int rg_settle_sums(struct rg_reduce_node *node)
{
    return is_coded(node) ? rg_coded_ring_settle(&node->coded) : rg_allreduce_settle(&node->reduce);
}

void rg_cancel_sums(struct rg_reduce_node *node)
{
    if (is_coded(node))
        rg_coded_ring_cancel(&node->coded);
    else
        rg_allreduce_cancel(&node->reduce);
}

int rg_sum_bucket(struct rg_reduce_node *node, struct rg_world *w, int b)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    size_t count = rg_bucket_count(node->job, b);
    if (is_coded(node))
        return rg_coded_ring_run(&node->coded, w, bucket_at(node, b), count,
                                 node->rest + rg_bucket_first(node->job, b), dice_of(node, b));
    if (!plan->shard)
        return rg_allreduce_run(&node->reduce, w, bucket_at(node, b), count);
    int result = rg_reduce_scatter_run(&node->reduce, w, bucket_at(node, b), count);
    if (result || plan->shard < 2)
        return result;
    result = rg_shards_keep(&node->shards, w, b);
    return result ? result : rg_settle_sums(node);
}

int rg_expect_bucket(struct rg_reduce_node *node, struct rg_world *w, int b)
{
    size_t count = rg_bucket_count(node->job, b);
    if (is_coded(node))
        return rg_coded_ring_prepare(&node->coded, w, count);
    if (rg_reduce_plan(node->job)->shard)
        return rg_reduce_scatter_prepare(&node->reduce, w, bucket_at(node, b), count);
    return rg_allreduce_prepare(&node->reduce, w, bucket_at(node, b), count);
}

int rg_hear_outcome(struct rg_world *w)
{
    int32_t outcome = 0;
    int result = rg_hear(w, RG_TAG_DONE, &outcome);
    return result ? result : outcome;
}

int rg_backward_bucket(struct rg_reduce_node *node, int b)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    int result = 0;
    for (int l = plan->cut[b] - 1; l >= plan->cut[b + 1] && result == 0; l--)
        result = rg_replica_backward_layer(&node->replica, l, false, l);
    return result;
}
