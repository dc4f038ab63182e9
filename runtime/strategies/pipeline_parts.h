/* What the interpreter of plans keeps, for its own sources and nobody else: pipeline.c
 * (instructions and messages), pipeline_compute.c (what a unit's instructions compute),
 * pipeline_lanes.c (in which order they go on) and pipeline_open.c (its memory). */
#ifndef RG_STRATEGIES_PIPELINE_PARTS_H
#define RG_STRATEGIES_PIPELINE_PARTS_H

#include "base/check.h"
#include "collectives/collectives.h"
#include "strategies/replica.h"
#include "strategies/ring.h"

struct rg_pipeline_send {
    struct rg_request request;
    int64_t unit;
};

/* The slots of a buffer. Its requests are complete unless under way; where nothing arrives in the
 * buffer or leaves from it there are none. */
struct rg_pipeline_buffer {
    float **data;
    struct rg_request *in;
    struct rg_pipeline_send *out;
};

/* The cost lists of a stage; shared (shared.h) by the replicas. Units differ by at most one sample:
 * those of n, and if there are any, of one less. */
struct rg_pipeline_work {
    struct rg_sized_work {
        int n;
        struct rg_work load, forward, backward, weights, loss;
    } sized[2];
    struct rg_work copy; /* of the weights */
    struct rg_work next; /* of a weight version, see rg_ring_next_work */
};

/* One of the node's stages. */
struct rg_pipeline_stage {
    const struct rg_plan *plan;
    struct rg_stage layers;
    struct rg_twins twins; /* that stage of all replicas */
    struct rg_update update;
    struct rg_allreduce reduce;
    struct rg_pipeline_work *work;
    float **weights; /* [plan->versions]; the current one is updates mod versions */
    float *exact;    /* the parameters, of which these are predictions; NULL: they are not */
    float *snapshot; /* of the weights at the end of an epoch; NULL: none is taken */
    float *gradient, *scratch;
    struct rg_pipeline_buffer buffers[RG_BUFFERS];
    int64_t updates;
    int64_t *read_at; /* [plan->depth]: updates when a unit's forward read the weights */
    int64_t held;
    bool fused; /* backward takes the step of plain SGD along */
};

/* One list of the node's plan. */
struct rg_pipeline_lane {
    struct rg_world *w; /* the handle of the strand that runs it, and waits for its messages */
    struct rg_cursor at;
    int64_t until; /* of a ring that does not drain: the last unit of which it takes a backward
                    * pass, or the loss, before it pauses */
    struct rg_request told; /* where each lane has a strand: the other's end, and its outcome */
    int32_t word;
};

struct rg_pipeline {
    struct rg_world *w;
    const struct rg_job *job;
    const struct rg_ring *ring;
    int node, replica;
    struct rg_feed feed;
    void *targets;
    struct rg_pipeline_stage *stages; /* [chunks] */
    int chunks;
    struct rg_pipeline_lane lanes[RG_LANES];
    bool beside;   /* each lane is a strand of its own */
    int64_t first; /* iteration in which unit 0 lies */
    int64_t limit; /* units of this train(), or, of a ring that does not drain, of the whole run */
    /* Of such a ring: is it in a pause, and are units in flight brought to their end, off the
     * clock. */
    bool paused, draining;
    struct rg_backup_node *backup; /* NULL: there is none */
    double looked_s;               /* date of the last look at the other lane */
    bool stop;
    struct rg_observation seen;
};

static inline struct rg_pipeline_stage *rg_pipeline_stage(struct rg_pipeline *p, int stage)
{
    return &p->stages[stage / p->ring->nodes];
}

static inline int64_t rg_pipeline_slot(const struct rg_pipeline_stage *s, enum rg_buffer buffer,
                                       int64_t unit)
{
    RG_ASSERT(s->plan->slots[buffer] > 0);
    return unit % s->plan->slots[buffer];
}

static inline float *rg_pipeline_data(const struct rg_pipeline_stage *s, enum rg_buffer buffer,
                                      int64_t unit)
{
    return s->buffers[buffer].data[rg_pipeline_slot(s, buffer, unit)];
}

static inline int rg_pipeline_samples(const struct rg_pipeline *p, int64_t unit)
{
    return rg_ring_unit(p->ring, p->replica, (int)(unit % p->ring->micro));
}

/* What a unit's forward pass gives, until it has left. */
static inline float *rg_pipeline_output(const struct rg_pipeline *p,
                                        const struct rg_pipeline_stage *s, int64_t unit)
{
    float *stash = rg_pipeline_data(s, RG_BUFFER_STASH, unit);
    return s->plan->recompute ? stash
                              : rg_stage_output(&s->layers, rg_pipeline_samples(p, unit), stash);
}

static inline struct rg_request *rg_pipeline_in(const struct rg_pipeline_stage *s,
                                                enum rg_buffer buffer, int64_t unit)
{
    return &s->buffers[buffer].in[rg_pipeline_slot(s, buffer, unit)];
}

static inline struct rg_pipeline_send *rg_pipeline_out(const struct rg_pipeline_stage *s,
                                                       enum rg_buffer buffer, int64_t unit)
{
    return &s->buffers[buffer].out[rg_pipeline_slot(s, buffer, unit)];
}

static inline int64_t rg_pipeline_iteration(const struct rg_pipeline *p, int64_t unit)
{
    return p->first + unit / p->ring->micro;
}

/* The parameters after all updates so far. */
static inline float *rg_pipeline_weights(const struct rg_pipeline_stage *s)
{
    return s->exact ? s->exact : s->weights[s->updates % s->plan->versions];
}

/* ---- pipeline.c ---- */

/* The requests an instruction waits for: what it reads has arrived, what it overwrites has left.
 * Returns how many. */
int rg_pipeline_needs(struct rg_pipeline *p, const struct rg_instruction *in, int64_t unit,
                      struct rg_request *list[2]);
/* Carry it out, on the handle of its lane: 0, or an error of the world. */
int rg_pipeline_execute(struct rg_pipeline *p, struct rg_world *w, const struct rg_instruction *in,
                        int64_t unit);

/* ---- pipeline_lanes.c ---- */

/* Give up all that is under way. */
void rg_pipeline_cancel(struct rg_pipeline *p);

/* ---- pipeline_compute.c: 0, or an error of the world ---- */

int rg_pipeline_load(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit);
int rg_pipeline_forward(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit);
int rg_pipeline_recompute(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit);
int rg_pipeline_loss(struct rg_pipeline *p, struct rg_world *w, struct rg_pipeline_stage *s,
                     int64_t unit);
int rg_pipeline_backward(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit);
int rg_pipeline_backward_weights(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit);
int rg_pipeline_update(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit);
/* Copy the weights that the epoch has ended with. */
int rg_pipeline_snapshot(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit);

#endif
