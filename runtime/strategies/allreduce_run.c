/* A node of ring_allreduce at work. */
#include "base/check.h"
#include "base/sizes.h"
#include "strategies/allreduce_parts.h"
#include <stdlib.h>

void rg_reduce_close_node(void *state)
{
    struct rg_reduce_node *node = state;
    rg_cancel_sums(node); /* what an error has left under way */
    rg_replica_close(&node->replica);
    rg_update_close(&node->update);
    rg_twins_close(&node->twins);
    if (rg_reduce_plan(node->job)->shard)
        rg_shards_close(&node->shards);
    free(node);
}

static int open_sums(struct rg_reduce_node *node)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    const struct rg_group all = {0, 1, node->w->size};
    size_t most = rg_bucket_most(node->job);
    if (plan->codec.kind == RG_CODE_NONE) {
        int result =
            rg_allreduce_open(&node->reduce, node->w, all, plan->how, most, RG_TAG_COLLECTIVE);
        rg_twins_lend(&node->twins, node->replica.gradient);
        if (plan->how.kind == RG_RING)
            rg_allreduce_share(&node->reduce, &node->twins);
        return result;
    }
    node->rest = rg_mem_floats(node->w->mem, node->job->network->parameters);
    return node->rest ? rg_coded_ring_open(&node->coded, node->w, all, plan->codec, most,
                                           RG_TAG_COLLECTIVE)
                      : RG_ERR_NOMEM;
}

int rg_reduce_open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                        void **state)
{
    struct rg_reduce_node *node = calloc(1, sizeof *node);
    *state = node;
    if (!node)
        return RG_ERR_NOMEM;
    node->w = w;
    node->job = job;
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    int samples = rg_local_samples(job, w->rank, 0);
    struct rg_twins *twins = &node->twins;
    struct rg_replica *replica = &node->replica;
    /* Of twins some would find themselves a step ahead, where one of them is lost. */
    bool alike = plan->shard == 0 && plan->steps == 1 && !w->mortal;
    int result = alike ? rg_twins_open(twins, w, job, 0, w->size, w->rank) : 0;
    if (result == 0)
        result = plan->shard == 3   ? rg_replica_open_empty(replica, w, job, samples)
                 : plan->shard == 2 ? rg_replica_open_bare(replica, w, job, samples, initial, NULL)
                                    : rg_replica_open(replica, w, job, samples, initial, twins);
    if (result == 0)
        result = plan->shard ? rg_shards_open(&node->shards, w, job, initial)
                             : rg_update_open(&node->update, w, job, &job->optimizer, 0,
                                              job->network->parameters, twins);
    return result ? result : open_sums(node);
}

/* The second strand: sums each bucket it is told of and answers with the outcome after the last one
 * of an iteration, or where buffers are waited for after each, until it is told -1. */
static int sum_strand(struct rg_world *w, void *arg)
{
    struct rg_reduce_node *node = arg;
    bool each = rg_reduce_plan(node->job)->shard == 2;
    int last = rg_reduce_plan(node->job)->buckets - 1, outcome = rg_expect_bucket(node, w, 0);
    int result = 0;
    while (result == 0) {
        int32_t b;
        result = rg_hear(w, RG_TAG_READY, &b);
        if (result || b < 0)
            break;
        if (outcome == 0)
            outcome = rg_sum_bucket(node, w, b);
        if (outcome == 0)
            outcome = rg_expect_bucket(node, w, b < last ? b + 1 : 0);
        if (outcome == 0 && b == last)
            outcome = rg_settle_sums(node);
        if (b == last || each)
            result = rg_tell(w, RG_TAG_DONE, outcome);
    }
    rg_cancel_sums(node);
    return result;
}

static int backward_all(struct rg_reduce_node *node)
{
    int result = 0;
    for (int b = 0; b < rg_reduce_plan(node->job)->buckets && result == 0; b++)
        result = rg_backward_bucket(node, b);
    return result;
}

static int sum_buckets(struct rg_reduce_node *node)
{
    int result = 0;
    for (int b = 0; b < rg_reduce_plan(node->job)->buckets && result == 0; b++)
        result = rg_sum_bucket(node, node->w, b);
    return result;
}

static int sum_while_backward(struct rg_reduce_node *node)
{
    int buckets = rg_reduce_plan(node->job)->buckets, result = 0;
    for (int b = 0; b < buckets && result == 0; b++) {
        result = rg_backward_bucket(node, b);
        if (result == 0)
            result = rg_tell(node->w, RG_TAG_READY, b);
    }
    return result ? result : rg_hear_outcome(node->w);
}

/* Shard 2: backward fills buffers that are free again when the bucket in them is summed. */
static int sum_through_buffers(struct rg_reduce_node *node, bool overlapped)
{
    int buckets = rg_reduce_plan(node->job)->buckets, result = 0;
    int ahead = overlapped ? rg_bucket_buffers(node->job) : 0;
    for (int b = 0; b < buckets && result == 0; b++) {
        if (overlapped && b >= ahead)
            result = rg_hear_outcome(node->w);
        node->replica.gradient = rg_shards_buffer(&node->shards, b);
        node->replica.gradient_first = rg_bucket_first(node->job, b);
        if (result == 0)
            result = rg_backward_bucket(node, b);
        if (result == 0)
            result =
                overlapped ? rg_tell(node->w, RG_TAG_READY, b) : rg_sum_bucket(node, node->w, b);
    }
    for (int b = buckets - RG_MIN(ahead, buckets); b < buckets && result == 0; b++)
        result = rg_hear_outcome(node->w);
    return result;
}

static int backward_and_sum(struct rg_reduce_node *node, bool overlapped)
{
    if (rg_reduce_plan(node->job)->shard == 2)
        return sum_through_buffers(node, overlapped);
    if (overlapped)
        return sum_while_backward(node);
    int result = backward_all(node);
    return result ? result : sum_buckets(node);
}

/* One step of all nodes together, on the sum of their gradients. */
static int take_step(struct rg_reduce_node *node, int64_t i, bool overlapped)
{
    const struct rg_job *job = node->job;
    struct rg_replica *replica = &node->replica;
    int result = rg_replica_forward(replica, i, rg_job_share_first(job, job->nodes, node->w->rank),
                                    rg_job_share(job, job->nodes, node->w->rank), -1);
    if (result == 0)
        result = backward_and_sum(node, overlapped);
    if (result == 0 && rg_reduce_plan(job)->shard)
        result = rg_shards_step(&node->shards, i + 1, replica->parameters, replica->gradient);
    else if (result == 0)
        result = rg_update_run(&node->update, node->w, i + 1, replica->parameters,
                               rg_allreduce_sum(&node->reduce, replica->gradient));
    if (result == 0)
        node->done = i + 1;
    if (result == 0 && !overlapped)
        result = rg_settle_sums(node);
    return result;
}

/* ---- steps of one's own ---- */

static int local_step(struct rg_reduce_node *node, int64_t i, int step)
{
    const struct rg_job *job = node->job;
    struct rg_replica *replica = &node->replica;
    int steps = rg_reduce_plan(job)->steps, rank = node->w->rank;
    int first = rg_job_share_first(job, job->nodes, rank) +
                rg_share_first(rg_job_share(job, job->nodes, rank), steps, step);
    replica->mean_of = rg_local_samples(job, rank, step);
    int result = rg_replica_forward(replica, i, first, replica->mean_of, step);
    if (result == 0)
        result = backward_all(node);
    return result ? result
                  : rg_update_run(&node->update, node->w, i * steps + step + 1, replica->parameters,
                                  replica->gradient);
}

/* The mean is a sum of whole multiples, divided once at the end: weights that add up to 1 but for
 * their rounding would let all parameters grow or shrink a little with every mean. The sums are
 * made where the gradient was, so that a node that is left alone has its own parameters whole. */
static void weigh(void *arg)
{
    const struct rg_reduce_node *node = arg;
    float samples = (float)rg_job_share(node->job, node->w->size, node->w->rank);
    for (size_t i = 0; i < node->job->network->parameters; i++)
        node->replica.gradient[i] = samples * node->replica.parameters[i];
}

static void divide(void *arg)
{
    const struct rg_reduce_node *node = arg;
    float samples = (float)node->job->batch;
    for (size_t i = 0; i < node->job->network->parameters; i++)
        node->replica.parameters[i] = node->replica.gradient[i] / samples;
}

static int average(struct rg_reduce_node *node, int64_t i)
{
    struct rg_cost cost = rg_weighing_cost(node->job);
    const struct rg_work work = {.cost = &cost, .count = 1};
    int result = rg_compute(node->w, &work, "weigh", (int)i, weigh, node);
    if (result == 0)
        result = sum_buckets(node);
    if (result == 0)
        result = rg_compute(node->w, &work, "mean", (int)i, divide, node);
    return result ? result : rg_settle_sums(node);
}

static int take_local_steps(struct rg_reduce_node *node, int64_t i)
{
    int result = 0;
    for (int step = 0; step < rg_reduce_plan(node->job)->steps && result == 0; step++)
        result = local_step(node, i, step);
    return result == 0 && node->w->size > 1 ? average(node, i) : result;
}

static int iterate(struct rg_reduce_node *node, int64_t i, bool overlapped)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    int result = plan->shard == 3  ? rg_gathered_step(node, i, overlapped)
                 : plan->steps > 1 ? take_local_steps(node, i)
                                   : take_step(node, i, overlapped);
    return result ? result : rg_iteration(node->w, i);
}

int rg_reduce_train(void *state, int64_t first, int64_t count)
{
    struct rg_reduce_node *node = state;
    bool overlapped = rg_reduce_plan(node->job)->overlap;
    struct rg_strand *strand = NULL;
    int result = rg_feed_epoch(&node->replica.feed, first);
    node->done = first;
    if (result == 0 && overlapped)
        result =
            rg_spawn(node->w, rg_reduce_plan(node->job)->shard == 3 ? rg_gather_strand : sum_strand,
                     node, &strand);
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = iterate(node, i, overlapped);
    if (strand) {
        int ended = 0;
        rg_tell(node->w, RG_TAG_READY, -1);
        int joined = rg_join(node->w, strand, &ended);
        result = result ? result : joined ? joined : ended;
    }
    return result;
}

int rg_reduce_parameters(void *state, rg_visit_fn visit, void *arg)
{
    struct rg_reduce_node *node = state;
    if (rg_reduce_plan(node->job)->shard == 3)
        return rg_shards_parameters(&node->shards, visit, arg);
    return rg_stream_parameters(node->w, node->job->network, 0, node->job->network->parameters, 0,
                                node->replica.parameters, visit, arg);
}

/* Nodes that take steps of their own have an optimizer's state of their own. */
int rg_reduce_state(void *state, int64_t done, rg_state_fn visit, void *arg)
{
    struct rg_reduce_node *node = state;
    const struct rg_reduce_plan *plan = rg_reduce_plan(node->job);
    size_t count = node->job->network->parameters;
    node->done = done;
    int result =
        plan->shard == 3 ? 0 : rg_visit_parameters(node->replica.parameters, 0, count, visit, arg);
    if (result == 0)
        result = plan->shard ? rg_shards_state(&node->shards, visit, arg)
                             : rg_visit_update(&node->update, plan->steps > 1, visit, arg);
    if (result == 0 && node->rest)
        result = visit(arg, &(struct rg_state_array){
                                .name = "rest", .count = count, .own = true, .values = node->rest});
    return result;
}

/* What it has itself: a node that is left goes on from there. */
int rg_reduce_copies(void *state, rg_copy_fn visit, void *arg)
{
    const struct rg_reduce_node *node = state;
    struct rg_copying copying = {node->done, visit, arg};
    return node->job->left_whole ? rg_reduce_state(state, node->done, rg_visit_copy, &copying) : 0;
}

uint64_t rg_reduce_state_floats(const struct rg_job *job)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    uint64_t count = job->network->parameters, nodes = (uint64_t)job->nodes;
    uint64_t update = rg_optimizer_state(&job->optimizer, count);
    uint64_t rest = plan->codec.kind == RG_CODE_NONE ? 0 : rg_size_times(nodes, count);
    return rg_size_plus(rg_size_plus(count, rest),
                        rg_size_times(plan->steps > 1 ? nodes : 1, update));
}

uint64_t rg_reduce_root_floats(const struct rg_job *job)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    size_t count = job->network->parameters, own = rg_shard_of(count, job->nodes, 0).count;
    uint64_t rest = plan->codec.kind == RG_CODE_NONE ? 0 : count;
    return rg_size_plus(
        plan->shard == 3 ? own : count,
        rg_size_plus(rest, rg_optimizer_state(&job->optimizer, plan->shard ? own : count)));
}

/* With shards, where parameters were being gathered some are an update ahead of the others. */
const float *rg_reduce_held(void *state, int part, size_t *first, size_t *count)
{
    struct rg_reduce_node *s = state;
    if (rg_reduce_plan(s->job)->shard == 3)
        return rg_shards_held(&s->shards, part, first, count);
    *first = 0;
    *count = s->job->network->parameters;
    return part == 0 ? s->replica.parameters : NULL;
}
