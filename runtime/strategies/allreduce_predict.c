/* The closed forms of ring_allreduce. */
#include "base/check.h"
#include "base/need.h"
#include "base/sizes.h"
#include "strategies/allreduce_parts.h"
#include <math.h>
#include <stdlib.h>

static uint64_t replica_bytes(const struct rg_job *job, int samples)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    for (size_t i = 0; i < RG_COUNT(plan->replica); i++)
        if (plan->replica[i].samples == samples && samples > 0)
            return plan->replica[i].bytes;
    return plan->shard == 3   ? rg_replica_memory_empty(job, samples)
           : plan->shard == 2 ? rg_replica_memory_bare(job, samples)
                              : rg_replica_memory(job, samples);
}

void rg_reduce_weigh_replicas(struct rg_job *job)
{
    struct rg_reduce_plan *plan = job->plan;
    for (int last = 0; last < 2; last++) {
        int samples = rg_local_samples(job, last * (job->nodes - 1), 0);
        plan->replica[last] = (struct rg_replica_bytes){samples, replica_bytes(job, samples)};
    }
}

uint64_t rg_reduce_node_memory(const struct rg_job *job, int rank)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    uint64_t replica = replica_bytes(job, rg_local_samples(job, rank, 0));
    uint64_t update =
        plan->shard ? rg_shards_memory(job, rank) : rg_update_memory(job, job->network->parameters);
    uint64_t sums = plan->codec.kind
                        ? sizeof(float) * (uint64_t)job->network->parameters +
                              rg_coded_ring_memory(plan->codec, job->nodes, rg_bucket_most(job))
                        : rg_allreduce_memory(plan->how, job->nodes, rank, rg_bucket_most(job));
    return rg_size_plus(replica, update + sums);
}

struct rg_cost rg_weighing_cost(const struct rg_job *job)
{
    double count = (double)job->network->parameters;
    return (struct rg_cost){.flops = count, .bytes = 2 * sizeof(float) * count, .calls = 1};
}

static double weighing_s(const struct rg_job *job, const struct rg_board *board)
{
    struct rg_cost cost = rg_weighing_cost(job);
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(board, &work, job->threads);
}

/* One step's gradient of n samples; ready[b]: until it has that of bucket b. */
static double gradient_seconds(const struct rg_job *job, const struct rg_board *board, int n,
                               double *ready)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    double seconds = rg_replica_forward_s(job, board, n);
    for (int b = 0; b < plan->buckets; b++) {
        for (int l = plan->cut[b + 1]; l < plan->cut[b]; l++)
            seconds += rg_replica_backward_s(job, board, n, l);
        ready[b] = fmax(ready[b], seconds);
    }
    return seconds;
}

/* What a rank computes before the sums. With steps of its own all is ready at their end. */
static double before_sums(const struct rg_job *job, int rank, double *ready)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    const struct rg_board *board = job->boards[rank];
    int most = rg_local_samples(job, rank, 0);
    int larger = rg_job_share(job, job->nodes, rank) - (most - 1) * plan->steps;
    double seconds = gradient_seconds(job, board, most, ready);
    if (plan->steps == 1)
        return seconds;
    double *unused = rg_need_zeroed((size_t)plan->buckets, sizeof *unused), less = 0;
    if (larger < plan->steps)
        less = gradient_seconds(job, board, most - 1, unused);
    free(unused);
    seconds = larger * seconds + (plan->steps - larger) * less +
              plan->steps * rg_update_s(job, board, 0, job->network->parameters) +
              (job->nodes > 1 ? weighing_s(job, board) : 0);
    for (int b = 0; b < plan->buckets; b++)
        ready[b] = fmax(ready[b], seconds);
    return seconds;
}

/* And after them: the update, or the division of the mean. */
static double after_sums(const struct rg_job *job, int rank)
{
    const struct rg_board *board = job->boards[rank];
    if (rg_reduce_plan(job)->shard)
        return rg_shards_update_s(job, rank);
    if (rg_reduce_plan(job)->steps == 1)
        return rg_update_s(job, board, 0, job->network->parameters);
    return job->nodes > 1 ? weighing_s(job, board) : 0;
}

/* As the rank before it? Of most, nothing new is to be worked out. */
static bool as_before(const struct rg_job *job, int rank)
{
    return rank > 0 && job->boards[rank] == job->boards[rank - 1] &&
           rg_job_share(job, job->nodes, rank) == rg_job_share(job, job->nodes, rank - 1);
}

/* Additions of a bucket, or its coding. */
static double sums_s(const struct rg_job *job, int rank, size_t count)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    const struct rg_board *board = job->boards[rank];
    return plan->codec.kind
               ? rg_coded_ring_compute_s(plan->codec, board, job->threads, job->nodes, rank, count)
               : rg_allreduce_adds_s(plan->how, board, job->threads, job->nodes, rank, count);
}

/* What it computes in an iteration, of that `before_s` before the sums. */
static double compute_seconds(const struct rg_job *job, int rank, double before_s)
{
    double seconds = before_s;
    for (int b = 0; b < rg_reduce_plan(job)->buckets; b++)
        seconds += sums_s(job, rank, rg_bucket_count(job, b));
    int copies = RG_MAX(2 * rg_reduce_plan(job)->shard - 3, 0); /* kept; and before two gathers */
    for (int b = 0; b < rg_reduce_plan(job)->buckets && copies > 0; b++)
        seconds += copies * rg_shards_keep_s(job, rank, b);
    return seconds + after_sums(job, rank);
}

/* A node's chunk of a bucket copied, by the slowest. */
static double keep_seconds(const struct rg_job *job, int b)
{
    double keep = 0;
    for (int rank = 0; rank < job->nodes; rank++)
        keep = fmax(keep, rg_shards_keep_s(job, rank, b));
    return keep;
}

/* Summing a bucket, and with shards what is kept of it; and gathering its parameters. */
static double bucket_seconds(const struct rg_job *job, int b)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    size_t count = rg_bucket_count(job, b);
    double keep = plan->shard >= 2 ? keep_seconds(job, b) : 0;
    if (plan->codec.kind)
        return rg_coded_ring_seconds(plan->codec, job->boards, 1, job->threads, job->nodes, count);
    return plan->shard
               ? rg_reduce_scatter_seconds(job->boards, 1, job->threads, job->nodes, count) + keep
               : rg_allreduce_seconds(plan->how, job->boards, 1, job->threads, job->nodes, count);
}

static double gather_bucket_seconds(const struct rg_job *job, int b)
{
    return rg_all_gather_seconds(job->boards, 1, job->threads, job->nodes, rg_bucket_count(job, b));
}

static double gather_seconds(const struct rg_job *job)
{
    double seconds = 0;
    for (int b = 0; b < rg_reduce_plan(job)->buckets && rg_reduce_plan(job)->shard; b++)
        seconds += gather_bucket_seconds(job, b);
    return seconds;
}

/* ---- shard 3 ---- */

/* What a use of a bucket computes, on the slowest node; the first use comes behind the loading, the
 * loss behind the last of forward: one sum with it. */
static double use_seconds(const struct rg_job *job, int use)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    int b = rg_bucket_used(plan, use);
    double most = 0;
    for (int rank = 0; rank < job->nodes; rank++) {
        const struct rg_board *board = job->boards[rank];
        int n = rg_job_share(job, job->nodes, rank);
        double seconds = 0;
        if (as_before(job, rank))
            continue;
        for (int l = plan->cut[b + 1]; l < plan->cut[b]; l++)
            seconds += use < plan->buckets ? rg_replica_forward_layer_s(job, board, n, l)
                                           : rg_replica_backward_s(job, board, n, l);
        most = fmax(most, seconds);
    }
    return most;
}

/* Loading and loss, on the slowest node. */
static double beside_seconds(const struct rg_job *job)
{
    double most = 0;
    for (int rank = 0; rank < job->nodes; rank++) {
        int n = rg_job_share(job, job->nodes, rank);
        if (as_before(job, rank))
            continue;
        double seconds = rg_replica_forward_s(job, job->boards[rank], n);
        for (int l = 0; l < job->network->layer_count; l++)
            seconds -= rg_replica_forward_layer_s(job, job->boards[rank], n, l);
        most = fmax(most, seconds);
    }
    return most;
}

/* As allreduce_gather.c has it: a use waits for its gather, a gather for its buffer and for the sum
 * before it. */
static double gathered_seconds(const struct rg_job *job)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    int buckets = plan->buckets, uses = 2 * buckets;
    int ahead = plan->overlap ? rg_bucket_buffers(job) : 1;
    double *gathered = rg_need_zeroed((size_t)uses, sizeof *gathered), after = 0;
    double node = beside_seconds(job), strand = plan->overlap ? 0 : node;
    for (int use = -ahead; use < uses; use++) {
        if (use >= 0) {
            node = fmax(node, gathered[use]) + use_seconds(job, use);
            strand = fmax(strand, node);
        }
        if (use >= buckets)
            strand += bucket_seconds(job, use - buckets);
        if (use + ahead < uses) {
            int b = rg_bucket_used(plan, use + ahead);
            strand += keep_seconds(job, b) + gather_bucket_seconds(job, b);
            gathered[use + ahead] = strand;
        }
    }
    free(gathered);
    for (int rank = 0; rank < job->nodes; rank++)
        after = fmax(after, after_sums(job, rank));
    return fmax(strand, node) + after;
}

/* A bucket is summed when the slowest node has it ready and the one before it is done. With shard 2
 * backward waits for a buffer: that of the bucket before, or where there are two, of the one before
 * that. */
static double iteration_seconds(const struct rg_job *job, const double *ready)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    int last = plan->buckets - 1;
    double done = 0, done_before = 0, late = 0, after = 0;
    for (int b = 0; b <= last; b++) {
        double buffer = rg_bucket_buffers(job) == 2 ? done_before : done;
        if (plan->shard == 2 && b > 0)
            late = fmax(late, buffer - ready[b - 1]);
        done_before = done;
        done = fmax(done, plan->overlap || plan->shard == 2 ? ready[b] + late : ready[last]) +
               bucket_seconds(job, b);
    }
    for (int rank = 0; rank < job->nodes; rank++)
        if (plan->shard || !as_before(job, rank))
            after = fmax(after, after_sums(job, rank));
    return fmax(done, ready[last] + late) + after + gather_seconds(job);
}

/* Of the ring's nodes all carry as much, but for the remainders of chunks. */
static double port_seconds(const struct rg_job *job, int rank, const struct rg_prediction *p)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    uint64_t n = (uint64_t)job->nodes;
    if (plan->how.kind == RG_RING) /* of shard 3, too */
        return rg_board_both_ways_s(job->boards[rank], p->messages / n, p->payload_bytes / n);
    struct rg_load sent = {0}, received = {0};
    for (int b = 0; b < plan->buckets; b++)
        rg_allreduce_loads(plan->how, job->nodes, rank, rg_bucket_count(job, b), &sent, &received);
    return rg_board_busy_s(job->boards[rank], sent, received);
}

static void add_payload(void *arg, const struct rg_traffic *flow)
{
    struct rg_prediction *p = arg;
    p->payload_bytes += flow->payload;
}

static void add_traffic(const struct rg_job *job, struct rg_prediction *p)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    uint64_t numbers = 0;
    for (int b = 0; b < plan->buckets && job->nodes > 1; b++) {
        size_t count = rg_bucket_count(job, b);
        rg_allreduce_traffic(plan->how, job->nodes, count, &p->messages, &p->values);
        numbers += plan->codec.kind ? rg_coded_ring_numbers(plan->codec, job->nodes, count) : 0;
    }
    if (plan->shard == 3) { /* half of an all-reduce more */
        p->messages += p->messages / 2;
        p->values += p->values / 2;
    }
    p->payload_bytes = plan->codec.kind ? 0 : sizeof(float) * p->values;
    if (plan->codec.kind) {
        p->values = numbers;
        rg_reduce_flows(job, add_payload, p);
    }
}

/* Of a ring. Without overlap a node's messages begin behind its own gradients, and half of them at
 * least behind the slowest node's, whose part goes all the way round. */
static void set_bounds(const struct rg_job *job, double first_s, double last_s,
                       struct rg_prediction *p)
{
    double after = INFINITY;
    bool bus = false;
    for (int rank = 0; rank < job->nodes; rank++) {
        after = fmin(after, after_sums(job, rank));
        bus = bus || job->boards[rank]->port_bus_rate > 0;
    }
    p->bound = true; /* all steps are taken to be as slow as the slowest */
    if (!rg_reduce_plan(job)->overlap)
        p->least_s = fmax(last_s + p->c_s / 2, first_s + p->c_s) + after;
    if (bus && first_s < 0.98 * last_s)
        p->holds = "who has its gradients first has the port for itself";
}

void rg_reduce_predict(const struct rg_job *job, struct rg_prediction *p)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    double *ready = rg_need_zeroed((size_t)plan->buckets, sizeof *ready), before_s = 0,
           first_s = INFINITY;
    p->overlap = plan->overlap;
    add_traffic(job, p);
    for (int rank = 0; rank < job->nodes; rank++) {
        if (!as_before(job, rank))
            before_s = before_sums(job, rank, ready);
        first_s = fmin(first_s, before_s);
        p->T_A_s = fmax(p->T_A_s, compute_seconds(job, rank, before_s));
        p->c_s = fmax(p->c_s, port_seconds(job, rank, p));
    }
    p->iteration_s = plan->shard == 3 ? gathered_seconds(job) : iteration_seconds(job, ready);
    if (plan->how.kind == RG_RING && !plan->shard && !plan->codec.kind)
        set_bounds(job, first_s, ready[plan->buckets - 1], p);
    if (plan->how.kind != RG_RING && plan->how.kind != RG_HIERARCHICAL &&
        job->nodes & (job->nodes - 1))
        p->holds = "nodes beyond a power of two need not wait for the others";
    if (plan->codec.kind && p->T_A_s > p->iteration_s)
        p->holds = "messages are coded on a core of their own";
    rg_predict_memory(job, p);
    free(ready);
}

/* All chunks but that which the next node has of its own. */
static void gather_flows(const struct rg_job *job, int b, rg_traffic_fn flow, void *arg)
{
    size_t count = rg_bucket_count(job, b);
    for (int rank = 0; rank < job->nodes; rank++) {
        int next = (rank + 1) % job->nodes;
        size_t sent = count - rg_own_chunk(job->nodes, next, count).count;
        flow(arg, &(struct rg_traffic){rank, next, (uint64_t)job->nodes - 1, 4 * (uint64_t)sent});
    }
}

void rg_reduce_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    const struct rg_reduce_plan *plan = rg_reduce_plan(job);
    for (int b = 0; b < plan->buckets && job->nodes > 1; b++) {
        const struct rg_group all = {0, 1, job->nodes};
        if (plan->codec.kind)
            rg_coded_ring_flows(plan->codec, all, rg_bucket_count(job, b), flow, arg);
        else
            rg_allreduce_flows(plan->how, all, rg_bucket_count(job, b), flow, arg);
        if (plan->shard == 3)
            gather_flows(job, b, flow, arg);
    }
}
