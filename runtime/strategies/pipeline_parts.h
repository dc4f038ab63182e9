/* What the interpreter of plans keeps, for its own sources and nobody else: pipeline.c
 * (instructions, messages and lanes), pipeline_compute.c (what a unit's instructions compute) and
 * pipeline_open.c (its memory). */
#ifndef RG_STRATEGIES_PIPELINE_PARTS_H
#define RG_STRATEGIES_PIPELINE_PARTS_H

#include "base/check.h"
#include "collectives/collectives.h"
#include "strategies/replica.h"
#include "strategies/ring.h"

struct slot {
    float *data;
    struct rg_request in, out; /* complete unless under way */
    int64_t sent;              /* the unit of `out` */
};

/* The cost lists for units of n samples; units differ by at most one sample. */
struct sized {
    int n;
    struct rg_work load, forward, backward, weights, loss;
};

struct rg_pipeline {
    struct rg_world *w;
    const struct rg_job *job;
    const struct rg_ring *ring;
    const struct rg_plan *plan;
    struct rg_stage stage;
    int replica;
    struct rg_feed feed;
    struct rg_update update;
    struct rg_allreduce reduce;
    struct rg_work copy; /* of the weights */
    struct rg_work next; /* of a weight version, see rg_ring_next_work */
    float **weights;     /* [plan->versions]; the current one is updates mod versions */
    float *exact;        /* the parameters, of which these are predictions; NULL: they are not */
    float *gradient, *scratch;
    uint8_t *labels;
    struct slot *slots[RG_BUFFERS];
    struct sized sized[2];
    struct rg_cursor lanes[RG_LANES];
    int64_t first; /* iteration in which unit 0 lies */
    int64_t limit; /* units of this train(), or, of a ring that does not drain, of the whole run */
    /* Of such a ring: the last units that its lanes, backward passes and the loss, take before it
     * pauses; is it in a pause, are units in flight brought to their end, off the clock; and the
     * weights at the end of an epoch. */
    int64_t until[RG_LANES];
    bool paused, draining;
    float *snapshot;
    int64_t updates;
    int64_t *read_at; /* [plan->depth]: updates when a unit's forward read the weights */
    int64_t held;
    bool fused;      /* backward takes the step of plain SGD along */
    double looked_s; /* date of the last look at the other lane */
    bool stop;
    struct rg_observation seen;
};

static inline struct slot *rg_pipeline_slot(struct rg_pipeline *p, enum rg_buffer buffer,
                                            int64_t unit)
{
    RG_ASSERT(p->plan->slots[buffer] > 0);
    return &p->slots[buffer][unit % p->plan->slots[buffer]];
}

static inline int rg_pipeline_samples(const struct rg_pipeline *p, int64_t unit)
{
    return rg_ring_unit(p->ring, p->replica, (int)(unit % p->plan->units));
}

static inline struct sized *rg_pipeline_sized(struct rg_pipeline *p, int64_t unit)
{
    return &p->sized[rg_pipeline_samples(p, unit) == p->sized[0].n ? 0 : 1];
}

static inline int64_t rg_pipeline_iteration(const struct rg_pipeline *p, int64_t unit)
{
    return p->first + unit / p->plan->units;
}

/* The parameters after all updates so far. */
static inline float *rg_pipeline_weights(const struct rg_pipeline *p)
{
    return p->exact ? p->exact : p->weights[p->updates % p->plan->versions];
}

/* Give up all that is under way. */
void rg_pipeline_cancel(struct rg_pipeline *p);

/* ---- pipeline_compute.c: 0, or an error of the world ---- */

int rg_pipeline_load(struct rg_pipeline *p, int64_t unit);
int rg_pipeline_forward(struct rg_pipeline *p, int64_t unit);
int rg_pipeline_recompute(struct rg_pipeline *p, int64_t unit);
int rg_pipeline_loss(struct rg_pipeline *p, int64_t unit);
int rg_pipeline_backward(struct rg_pipeline *p, int64_t unit);
int rg_pipeline_backward_weights(struct rg_pipeline *p, int64_t unit);
int rg_pipeline_update(struct rg_pipeline *p, int64_t unit);
/* Copy the weights that the epoch has ended with. */
int rg_pipeline_snapshot(struct rg_pipeline *p, int64_t unit);

#endif
