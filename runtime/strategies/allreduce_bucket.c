/* What a node of an all-reduce does with a bucket, and how its strands talk. */
#include "strategies/allreduce_parts.h"

/* Where the gradient of bucket b is. */
static float *bucket_at(const struct rg_reduce_node *node, int b)
{
    if (rg_reduce_plan(node->job)->shard >= 2)
        return rg_shards_buffer(&node->shards, b);
    return node->replica.gradient + rg_bucket_first(node->job, b);
}

int rg_sum_bucket(struct rg_reduce_node *node, struct rg_world *w, int b)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    size_t count = rg_bucket_count(node->job, b);
    if (!plan->shard)
        return rg_allreduce_run(&node->reduce, w, bucket_at(node, b), count);
    int result = rg_reduce_scatter_run(&node->reduce, w, bucket_at(node, b), count);
    if (result || plan->shard < 2)
        return result;
    result = rg_shards_keep(&node->shards, w, b);
    return result ? result : rg_allreduce_settle(&node->reduce);
}

int rg_expect_bucket(struct rg_reduce_node *node, struct rg_world *w, int b)
{
    size_t count = rg_bucket_count(node->job, b);
    if (rg_reduce_plan(node->job)->shard)
        return rg_reduce_scatter_prepare(&node->reduce, w, bucket_at(node, b), count);
    return rg_allreduce_prepare(&node->reduce, w, bucket_at(node, b), count);
}

int rg_tell(struct rg_world *w, uint32_t tag, int32_t number)
{
    struct rg_request request;
    int result = rg_send(w, w->rank, tag, &number, sizeof number, &request);
    return result ? result : rg_wait(w, &request);
}

int rg_hear(struct rg_world *w, uint32_t tag, int32_t *number)
{
    struct rg_request request;
    int result = rg_recv(w, w->rank, tag, number, sizeof *number, &request);
    return result ? result : rg_wait(w, &request);
}

int rg_backward_bucket(struct rg_reduce_node *node, int b)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    int result = 0;
    for (int l = plan->cut[b] - 1; l >= plan->cut[b + 1] && result == 0; l--)
        result = rg_replica_backward_layer(&node->replica, l, false, l);
    return result;
}
