/* What the files of ring_allreduce share. */
#ifndef RG_STRATEGIES_ALLREDUCE_PARTS_H
#define RG_STRATEGIES_ALLREDUCE_PARTS_H

#include "collectives/coded_ring.h"
#include "collectives/collectives.h"
#include "strategies/replica.h"
#include "strategies/shares.h"
#include "strategies/tell.h"

/* What `check` has worked out: rg_job.plan. Bucket b has the layers [cut[b + 1], cut[b]): the last
 * layers come first, as in backward. */
struct rg_reduce_plan {
    int buckets;
    int *cut;
    struct rg_algorithm how;
    int steps; /* that a node takes by itself before the parameters are averaged; 1: none */
    int shard; /* 1: each node has the optimizer's state of its chunks, 2: and their gradient,
                * 3: and their parameters, no others */
    struct rg_codec codec;              /* of the gradients that are sent */
    bool overlap;                       /* buckets are summed while the backward pass goes on */
    struct rg_replica_bytes replica[2]; /* of the first node and the last */
};

static inline const struct rg_reduce_plan *rg_reduce_plan(const struct rg_job *job)
{
    return job->plan;
}

size_t rg_bucket_first(const struct rg_job *job, int b);
size_t rg_bucket_count(const struct rg_job *job, int b);
size_t rg_bucket_most(const struct rg_job *job);

/* The samples of a rank's step, of as many as rg_reduce_plan.steps. */
int rg_local_samples(const struct rg_job *job, int rank, int step);

/* A pass over the parameters that weighs a node's for the mean, or divides the sum. */
struct rg_cost rg_weighing_cost(const struct rg_job *job);

/* ---- shards (allreduce_shards.c) ---- */

struct rg_shards {
    struct rg_world *w;
    const struct rg_job *job;
    struct rg_update *update; /* [buckets], each of this node's chunk of one */
    struct rg_allreduce gather;
    float *kept;      /* shard 2, 3: the sums of its chunks, one after the other */
    float *own;       /* shard 3: their parameters */
    float *buffer[2]; /* shard 2, 3: of the buckets that backward fills and that is being summed */
    float *gathered[2]; /* shard 3: parameters of the bucket that is computed with, and the next */
};

/* This rank's chunk of a bucket, in parameters of the network. */
struct rg_piece rg_bucket_own(const struct rg_job *job, int rank, int b);
/* Shard 2, 3: how many buffers there are, of gradients and of parameters each, and whose turn it is
 * in bucket b. */
int rg_bucket_buffers(const struct rg_job *job);
float *rg_shards_buffer(const struct rg_shards *shards, int b);
/* Counted bytes of rg_shards_open but for the first all-reduce's rooms. */
uint64_t rg_shards_memory(const struct rg_job *job, int rank);
int rg_shards_open(struct rg_shards *shards, struct rg_world *w, const struct rg_job *job,
                   const float *initial);
void rg_shards_close(struct rg_shards *shards);
/* Shard 2, 3: bucket b is summed; its buffer is free when this node's sends have arrived. */
int rg_shards_keep(const struct rg_shards *shards, struct rg_world *w, int b);
double rg_shards_keep_s(const struct rg_job *job, int rank, int b);
/* All buckets are summed: step and, but with shard 3, all-gather. parameters: of the network, NULL
 * with shard 3; gradient: NULL with shard 2. */
int rg_shards_step(struct rg_shards *shards, int64_t step, float *parameters, float *gradient);
double rg_shards_update_s(const struct rg_job *job, int rank);
/* Shard 3: the parameters of bucket b, all of them, into `to`. */
int rg_shards_gather(struct rg_shards *shards, struct rg_world *w, int b, float *to);
int rg_shards_state(const struct rg_shards *shards, rg_state_fn visit, void *arg);
int rg_shards_parameters(const struct rg_shards *shards, rg_visit_fn visit, void *arg);
/* Its chunk of bucket number `part`. */
const float *rg_shards_held(const struct rg_shards *shards, int part, size_t *first, size_t *count);

/* ---- shard 3: parameters come when they are used (allreduce_gather.c) ---- */

/* A bucket is used twice in an iteration: use 0 .. buckets - 1 are the forward passes, from the
 * first layers on, the others the backward passes the other way. */
static inline int rg_bucket_used(const struct rg_reduce_plan *plan, int use)
{
    return use < plan->buckets ? plan->buckets - 1 - use : use - plan->buckets;
}

/* What a node of an all-reduce has; allreduce_run.c. */
struct rg_reduce_node {
    struct rg_world *w;
    const struct rg_job *job;
    struct rg_twins twins; /* all of them, where each takes every step with the sum of all */
    struct rg_replica replica;
    struct rg_update update;
    struct rg_allreduce reduce;
    struct rg_coded_ring coded; /* instead of reduce */
    float *rest;                /* [parameters] what coded messages have not said yet */
    struct rg_shards shards;    /* instead of update */
    int64_t done;               /* steps that have been taken, since the beginning of training */
};

/* The second strand: gathers buckets a use ahead, and sums gradients behind, until it is told -1.
 */
int rg_gather_strand(struct rg_world *w, void *arg);
/* One step of all nodes, along with that strand where sums are overlapped. */
int rg_gathered_step(struct rg_reduce_node *node, int64_t i, bool overlapped);
/* What the strands of a node tell each other. */
enum { RG_TAG_READY = RG_TAG_USER, RG_TAG_DONE };
/* What the second strand has to say of the sums that it was asked for. */
int rg_hear_outcome(struct rg_world *w);
/* The gradient of bucket b, where backward has left it, becomes the sum of all; with shards of it
 * this node's chunk, which is kept. */
int rg_sum_bucket(struct rg_reduce_node *node, struct rg_world *w, int b);
/* What is still leaving, as rg_allreduce_settle and _cancel. */
int rg_settle_sums(struct rg_reduce_node *node);
void rg_cancel_sums(struct rg_reduce_node *node);
/* Be ready for a neighbour that reaches bucket b first. */
int rg_expect_bucket(struct rg_reduce_node *node, struct rg_world *w, int b);
int rg_backward_bucket(struct rg_reduce_node *node, int b);

/* Work out what they take, once. */
void rg_reduce_weigh_replicas(struct rg_job *job);

/* Of struct rg_strategy. */
uint64_t rg_reduce_node_memory(const struct rg_job *job, int rank);
void rg_reduce_predict(const struct rg_job *job, struct rg_prediction *p);
void rg_reduce_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg);
int rg_reduce_open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                        void **state);
int rg_reduce_train(void *state, int64_t first, int64_t count);
int rg_reduce_parameters(void *state, rg_visit_fn visit, void *arg);
int rg_reduce_state(void *state, int64_t done, rg_state_fn visit, void *arg);
int rg_reduce_copies(void *state, rg_copy_fn visit, void *arg);
uint64_t rg_reduce_state_floats(const struct rg_job *job);
uint64_t rg_reduce_root_floats(const struct rg_job *job);
const float *rg_reduce_held(void *state, int part, size_t *first, size_t *count);
void rg_reduce_close_node(void *state);

#endif
