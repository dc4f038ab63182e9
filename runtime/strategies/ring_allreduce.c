/* ring_allreduce: data parallel training. Every node holds the whole network and computes on its
 * share of the batch; gradients are summed round the ring in a few buckets, each as soon as the
 * backward pass has filled it (Sergeev and Del Balso 2018; Li et al. 2020), by a second strand. */
#include "base/check.h"
#include "base/sizes.h"
#include "collectives/collectives.h"
#include "strategies/replica.h"
#include "strategies/shares.h"
#include <math.h>
#include <stdlib.h>

enum { BUCKETS, OVERLAP, SHARES };

static const struct rg_param params[] = {
    [BUCKETS] = {"buckets", RG_PARAM_COUNT, "4", 1, 1e6, NULL,
                 "pieces of the gradient, of whole layers, each summed as soon as it is ready"},
    [OVERLAP] = {"overlap", RG_PARAM_CHOICE, "yes", 0, 0, "yes|no",
                 "no: the sums begin when the backward pass is done"},
    [SHARES] = RG_SHARES_PARAM,
    {0}};

enum { TAG_READY = RG_TAG_USER, TAG_DONE };

/* Bucket b has the layers [cut[b + 1], cut[b]): the last layers come first, as in backward. */
static int buckets(const struct rg_job *job)
{
    return (int)RG_MIN(job->values[BUCKETS].number, job->network->layer_count);
}

static bool overlaps(const struct rg_job *job)
{
    return job->values[OVERLAP].number == 0;
}

static int bucket_cut(const struct rg_job *job, int b)
{
    int layers = job->network->layer_count, n = buckets(job);
    size_t total = job->network->parameters;
    if (b == 0)
        return layers;
    /* The first layer, from the end, at which the buckets so far hold their part; at least a layer
     * each, and at least one left for every bucket to come. */
    int above = bucket_cut(job, b - 1), l = above - 1;
    while (l > n - b && total - rg_network_offset(job->network, l) < total / (size_t)n * (size_t)b)
        l--;
    return b == n ? 0 : RG_MAX(l, n - b);
}

static int check(struct rg_job *job, struct rg_error *e)
{
    if (job->nodes > job->batch)
        return rg_fail(e, RG_ERR_INVALID, "%d nodes need a batch of at least %d samples, not %d",
                       job->nodes, job->nodes, job->batch);
    int err = rg_shares_check(job, &job->values[SHARES], 0, job->nodes, e);
    if (err)
        return err;
    int *cut = calloc((size_t)buckets(job) + 1, sizeof *cut);
    if (!cut)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    for (int b = 0; b <= buckets(job); b++)
        cut[b] = bucket_cut(job, b);
    job->plan = cut;
    return 0;
}

static void forget(struct rg_job *job)
{
    free(job->plan);
    job->plan = NULL;
}

static size_t bucket_first(const struct rg_job *job, int b)
{
    const int *cut = job->plan;
    return rg_network_offset(job->network, cut[b + 1]);
}

static size_t bucket_count(const struct rg_job *job, int b)
{
    const int *cut = job->plan;
    return rg_network_range(job->network, cut[b + 1], cut[b]);
}

static size_t largest_bucket(const struct rg_job *job)
{
    size_t most = 0;
    for (int b = 0; b < buckets(job); b++)
        most = RG_MAX(most, bucket_count(job, b));
    return most;
}

static uint64_t memory(const struct rg_job *job, int rank)
{
    return rg_size_plus(rg_replica_memory(job, rg_job_share(job, job->nodes, rank)),
                        rg_update_memory(job, job->network->parameters) +
                            rg_allreduce_memory(job->nodes, largest_bucket(job)));
}

/* What a rank computes on its samples; ready[b]: until it has the gradients of bucket b. */
static double gradient_seconds(const struct rg_job *job, int rank, double *ready)
{
    const struct rg_board *board = job->boards[rank];
    const int *cut = job->plan;
    int n = rg_job_share(job, job->nodes, rank);
    double seconds = rg_replica_forward_s(job, board, n);
    for (int b = 0; b < buckets(job); b++) {
        for (int l = cut[b + 1]; l < cut[b]; l++)
            seconds += rg_replica_backward_s(job, board, n, l);
        ready[b] = fmax(ready[b], seconds);
    }
    return seconds;
}

/* As the rank before it? Of most, nothing new is to be worked out. */
static bool as_before(const struct rg_job *job, int rank)
{
    return rank > 0 && job->boards[rank] == job->boards[rank - 1] &&
           rg_job_share(job, job->nodes, rank) == rg_job_share(job, job->nodes, rank - 1);
}

/* What it computes in an iteration, of that `gradient_s` on its samples. */
static double compute_seconds(const struct rg_job *job, int rank, double gradient_s)
{
    const struct rg_board *board = job->boards[rank];
    double seconds = gradient_s;
    for (int b = 0; b < buckets(job); b++)
        seconds += rg_allreduce_adds_s(board, job->threads, job->nodes, rank, bucket_count(job, b));
    return seconds + rg_update_s(job, board, job->network->parameters);
}

/* A bucket is summed when the slowest node has it ready and the one before it is done. */
static double iteration_seconds(const struct rg_job *job, const double *ready)
{
    double done = 0, whole = ready[buckets(job) - 1], update = 0;
    for (int b = 0; b < buckets(job); b++)
        done = fmax(done, overlaps(job) ? ready[b] : whole) +
               rg_allreduce_seconds(job->boards, 1, job->threads, job->nodes, bucket_count(job, b));
    for (int rank = 0; rank < job->nodes; rank++)
        update = fmax(update, rg_update_s(job, job->boards[rank], job->network->parameters));
    return fmax(done, whole) + update;
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    uint64_t n = (uint64_t)job->nodes;
    double *ready = calloc((size_t)buckets(job), sizeof *ready), gradient_s = 0;
    RG_ASSERT(ready);
    p->overlap = overlaps(job) && n > 1;
    for (int b = 0; b < buckets(job) && n > 1; b++)
        rg_allreduce_traffic(job->nodes, bucket_count(job, b), &p->messages, &p->values);
    p->payload_bytes = sizeof(float) * p->values;
    for (int rank = 0; rank < job->nodes; rank++) {
        if (!as_before(job, rank))
            gradient_s = gradient_seconds(job, rank, ready);
        p->T_A_s = fmax(p->T_A_s, compute_seconds(job, rank, gradient_s));
        p->c_s = fmax(
            p->c_s, rg_board_both_ways_s(job->boards[rank], p->messages / n, p->payload_bytes / n));
    }
    p->iteration_s = iteration_seconds(job, ready);
    rg_predict_memory(job, p);
    free(ready);
}

static int sharing(const struct rg_job *job, int *first)
{
    *first = 0;
    return job->nodes;
}

static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    for (int b = 0; b < buckets(job) && job->nodes > 1; b++)
        rg_allreduce_flows((struct rg_group){0, 1, job->nodes}, bucket_count(job, b), flow, arg);
}

/* ---- running ---- */

struct node {
    struct rg_world *w;
    const struct rg_job *job;
    struct rg_replica replica;
    struct rg_update update;
    struct rg_allreduce reduce;
};

static void close_node(void *state)
{
    struct node *node = state;
    rg_allreduce_cancel(&node->reduce); /* what an error has left under way */
    rg_replica_close(&node->replica);
    rg_update_close(&node->update);
    free(node);
}

static int open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    struct node *node = calloc(1, sizeof *node);
    *state = node;
    if (!node)
        return RG_ERR_NOMEM;
    node->w = w;
    node->job = job;
    int result =
        rg_replica_open(&node->replica, w, job, rg_job_share(job, w->size, w->rank), initial);
    if (result == 0)
        result =
            rg_update_open(&node->update, w, job, &job->optimizer, 0, job->network->parameters);
    if (result == 0)
        result = rg_allreduce_open(&node->reduce, w, (struct rg_group){0, 1, w->size},
                                   largest_bucket(job), RG_TAG_COLLECTIVE);
    return result;
}

static int sum_bucket(struct node *node, struct rg_world *w, int b)
{
    return rg_allreduce_run(&node->reduce, w, node->replica.gradient + bucket_first(node->job, b),
                            bucket_count(node->job, b));
}

/* Be ready for a neighbour that reaches bucket b first. */
static int expect_bucket(struct node *node, struct rg_world *w, int b)
{
    return rg_allreduce_prepare(&node->reduce, w,
                                node->replica.gradient + bucket_first(node->job, b),
                                bucket_count(node->job, b));
}

/* The strands of a node talk in messages to oneself of one number. */
static int tell(struct rg_world *w, uint32_t tag, int32_t number)
{
    struct rg_request request;
    int result = rg_send(w, w->rank, tag, &number, sizeof number, &request);
    return result ? result : rg_wait(w, &request);
}

static int hear(struct rg_world *w, uint32_t tag, int32_t *number)
{
    struct rg_request request;
    int result = rg_recv(w, w->rank, tag, number, sizeof *number, &request);
    return result ? result : rg_wait(w, &request);
}

/* The second strand: sums each bucket it is told of and answers with the outcome after the last one
 * of an iteration, until it is told -1. */
static int sum_strand(struct rg_world *w, void *arg)
{
    struct node *node = arg;
    int last = buckets(node->job) - 1, outcome = expect_bucket(node, w, 0);
    for (;;) {
        int32_t b;
        int result = hear(w, TAG_READY, &b);
        if (result || b < 0) {
            rg_allreduce_cancel(&node->reduce);
            return result;
        }
        if (outcome == 0)
            outcome = sum_bucket(node, w, b);
        if (outcome == 0)
            outcome = expect_bucket(node, w, b < last ? b + 1 : 0);
        if (outcome == 0 && b == last)
            outcome = rg_allreduce_settle(&node->reduce);
        if (b == last)
            result = tell(w, TAG_DONE, outcome);
        if (result)
            return result;
    }
}

static int backward(struct node *node, bool overlapped)
{
    const int *cut = node->job->plan;
    int result = 0;
    for (int b = 0; b < buckets(node->job) && result == 0; b++) {
        for (int l = cut[b] - 1; l >= cut[b + 1] && result == 0; l--)
            result = rg_replica_backward_layer(&node->replica, l, false, l);
        if (result == 0 && overlapped)
            result = tell(node->w, TAG_READY, b);
    }
    return result;
}

static int iterate(struct node *node, int64_t i, bool overlapped)
{
    const struct rg_job *job = node->job;
    int result =
        rg_replica_forward(&node->replica, i, rg_job_share_first(job, job->nodes, node->w->rank),
                           rg_job_share(job, job->nodes, node->w->rank), -1);
    if (result == 0)
        result = backward(node, overlapped);
    int32_t outcome = 0;
    if (result == 0 && overlapped)
        result = hear(node->w, TAG_DONE, &outcome);
    for (int b = 0; b < buckets(job) && result == 0 && !overlapped; b++)
        result = sum_bucket(node, node->w, b);
    if (result == 0)
        result = outcome;
    if (result == 0)
        result = rg_update_run(&node->update, node->w, i + 1, node->replica.parameters,
                               node->replica.gradient);
    if (result == 0 && !overlapped)
        result = rg_allreduce_settle(&node->reduce);
    return result ? result : rg_iteration(node->w, i);
}

static int train(void *state, int64_t first, int64_t count)
{
    struct node *node = state;
    bool overlapped = overlaps(node->job) && node->w->size > 1;
    struct rg_strand *strand = NULL;
    int result = rg_feed_epoch(&node->replica.feed, first);
    if (result == 0 && overlapped)
        result = rg_spawn(node->w, sum_strand, node, &strand);
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = iterate(node, i, overlapped);
    if (strand) {
        int ended = 0;
        tell(node->w, TAG_READY, -1);
        int joined = rg_join(node->w, strand, &ended);
        result = result ? result : joined ? joined : ended;
    }
    return result;
}

static int parameters(void *state, rg_visit_fn visit, void *arg)
{
    struct node *node = state;
    return rg_stream_parameters(node->w, node->job->network, 0, node->job->network->parameters, 0,
                                node->replica.parameters, visit, arg);
}

static const float *held(void *state, size_t *first, size_t *count)
{
    struct node *s = state;
    *first = 0;
    *count = s->job->network->parameters;
    return s->replica.parameters;
}

static void observe(void *state, struct rg_observation *o)
{
    (void)state;
    *o = (struct rg_observation){.peak_units = 1};
}

const struct rg_strategy rg_strategy_ring_allreduce = {
    .name = "ring_allreduce",
    .summary = "every node holds the network; gradients are summed round a ring",
    .params = params,
    .min_nodes = 1,
    .check = check,
    .forget = forget,
    .memory = memory,
    .predict = predict,
    .flows = flows,
    .sharing = sharing,
    .open = open_node,
    .train = train,
    .parameters = parameters,
    .held = held,
    .observe = observe,
    .close = close_node,
};
