/* What the files of ring_allreduce share. */
#ifndef RG_STRATEGIES_ALLREDUCE_PARTS_H
#define RG_STRATEGIES_ALLREDUCE_PARTS_H

#include "collectives/collectives.h"
#include "strategies/replica.h"
#include "strategies/shares.h"

/* What `check` has worked out: rg_job.plan. Bucket b has the layers [cut[b + 1], cut[b]): the last
 * layers come first, as in backward. */
struct rg_reduce_plan {
    int buckets;
    int *cut;
    struct rg_algorithm how;
    int steps;    /* that a node takes by itself before the parameters are averaged; 1: none */
    bool overlap; /* buckets are summed while the backward pass goes on */
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

/* Of struct rg_strategy. */
uint64_t rg_reduce_node_memory(const struct rg_job *job, int rank);
void rg_reduce_predict(const struct rg_job *job, struct rg_prediction *p);
void rg_reduce_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg);
int rg_reduce_open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                        void **state);
int rg_reduce_train(void *state, int64_t first, int64_t count);
int rg_reduce_parameters(void *state, rg_visit_fn visit, void *arg);
const float *rg_reduce_held(void *state, size_t *first, size_t *count);
void rg_reduce_close_node(void *state);

#endif
