/* shard="3" (ZeRO, stage 3): a node has the parameters of its own chunks alone. Those of a bucket
 * are gathered before its forward pass, and again before its backward pass, into buffers that the
 * next buckets take over.
 *
 * With overlap a second strand gathers a use ahead of the computing, and sums the gradient of a
 * bucket behind it: gather 0, gather 1; then, as each use ends, the sum of that bucket if it was a
 * backward pass, and the gather of the use after next, which goes to the buffer that has become
 * free. Every node's strands do the same in the same order. Where there is one bucket there is one
 * buffer, and nothing ahead. */
#include "base/check.h"
#include "strategies/allreduce_parts.h"

static float *gathered_of(const struct rg_reduce_node *node, int use)
{
    return node->shards.gathered[use % rg_bucket_buffers(node->job)];
}

static int gather(struct rg_reduce_node *node, struct rg_world *w, int use)
{
    int b = rg_bucket_used(rg_reduce_plan(node->job), use);
    return rg_shards_gather(&node->shards, w, b, gathered_of(node, use));
}

/* What has been passed on last is to leave its buffer before another bucket's comes in. */
static int settle(struct rg_reduce_node *node)
{
    return node->job->nodes > 1 ? rg_allreduce_settle(&node->shards.gather) : 0;
}

static int forward(struct rg_reduce_node *node, int b)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    int result = 0;
    for (int l = plan->cut[b + 1]; l < plan->cut[b] && result == 0; l++)
        result = rg_replica_forward_layer(&node->replica, l, -1);
    return result == 0 && b == 0 ? rg_replica_loss(&node->replica, -1) : result;
}

static int use_bucket(struct rg_reduce_node *node, int use)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    struct rg_replica *replica = &node->replica;
    int b = rg_bucket_used(plan, use);
    replica->parameters = gathered_of(node, use);
    replica->gradient = rg_shards_buffer(&node->shards, b);
    replica->parameters_first = replica->gradient_first = rg_bucket_first(node->job, b);
    return use < plan->buckets ? forward(node, b) : rg_backward_bucket(node, b);
}

/* ---- one strand ---- */

static int use_in_turn(struct rg_reduce_node *node)
{
    int buckets = rg_reduce_plan(node->job)->buckets, result = 0;
    for (int use = 0; use < 2 * buckets && result == 0; use++) {
        result = gather(node, node->w, use);
        if (result == 0)
            result = use_bucket(node, use);
        if (result == 0)
            result = settle(node);
        if (result == 0 && use >= buckets)
            result = rg_sum_bucket(node, node->w, rg_bucket_used(rg_reduce_plan(node->job), use));
    }
    return result;
}

/* ---- two strands ---- */

/* After that use, while the one after it is computed. */
static int serve_use(struct rg_reduce_node *node, struct rg_world *w, int use)
{
    int buckets = rg_reduce_plan(node->job)->buckets, result = 0;
    int next = use + rg_bucket_buffers(node->job), b = use - buckets;
    if (b >= 0)
        result = rg_sum_bucket(node, w, b);
    if (result == 0 && b >= 0)
        result = rg_expect_bucket(node, w, b + 1 < buckets ? b + 1 : 0);
    if (result == 0 && next < 2 * buckets)
        result = gather(node, w, next);
    return result == 0 && b == buckets - 1 ? settle(node) : result;
}

/* An iteration: answers with the outcome of each gather, and of the last sums. 1: it ends here. */
static int serve_iteration(struct rg_reduce_node *node, struct rg_world *w, int *outcome)
{
    int uses = 2 * rg_reduce_plan(node->job)->buckets, ahead = rg_bucket_buffers(node->job);
    int result = 0;
    for (int use = 0; use < ahead && result == 0; use++) {
        *outcome = *outcome ? *outcome : gather(node, w, use);
        result = rg_tell(w, RG_TAG_DONE, *outcome);
    }
    for (int use = 0; use < uses && result == 0; use++) {
        int32_t ended;
        result = rg_hear(w, RG_TAG_READY, &ended);
        if (result || ended < 0)
            return result ? result : 1;
        *outcome = *outcome ? *outcome : serve_use(node, w, use);
        if (use + ahead < uses || use == uses - 1)
            result = rg_tell(w, RG_TAG_DONE, *outcome);
    }
    return result;
}

int rg_gather_strand(struct rg_world *w, void *arg)
{
    struct rg_reduce_node *node = arg;
    int outcome = rg_expect_bucket(node, w, 0), result = 0;
    while (result == 0) {
        int32_t begin;
        result = rg_hear(w, RG_TAG_READY, &begin);
        if (result == 0)
            result = begin < 0 ? 1 : serve_iteration(node, w, &outcome);
    }
    rg_cancel_sums(node);
    rg_allreduce_cancel(&node->shards.gather);
    return result == 1 ? 0 : result;
}

static int use_as_they_come(struct rg_reduce_node *node)
{
    int uses = 2 * rg_reduce_plan(node->job)->buckets, result = 0;
    for (int use = 0; use < uses && result == 0; use++) {
        result = rg_hear_outcome(node->w);
        if (result == 0)
            result = use_bucket(node, use);
        if (result == 0)
            result = rg_tell(node->w, RG_TAG_READY, use);
    }
    return result ? result : rg_hear_outcome(node->w);
}

int rg_gathered_step(struct rg_reduce_node *node, int64_t i, bool overlapped)
{
    const struct rg_job *job = node->job;
    int rank = node->w->rank;
    int result = overlapped ? rg_tell(node->w, RG_TAG_READY, 0) : 0;
    if (result == 0)
        result = rg_replica_load(&node->replica, i, rg_job_share_first(job, job->nodes, rank),
                                 rg_job_share(job, job->nodes, rank), -1);
    if (result == 0)
        result = overlapped ? use_as_they_come(node) : use_in_turn(node);
    return result ? result : rg_shards_step(&node->shards, i + 1, NULL, NULL);
}
