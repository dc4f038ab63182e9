/* The interpreter's memory, made and freed, its parameters handed out.
 *
 * Failure modes handled: no memory (rg_pipeline_close frees what has been made). */
#include "strategies/pipeline_parts.h"

#include "models/loss.h"
#include <stdlib.h>
#include <string.h>

static void size_work(struct rg_pipeline *p)
{
    int capacity = rg_ring_capacity(p->ring);
    for (int i = 0; i < 2; i++) {
        struct sized *s = &p->sized[i];
        s->n = RG_MAX(capacity - i, 1);
        rg_dataset_gather_work(rg_stage_inputs(&p->stage), s->n, &s->load);
        rg_stage_work(&p->stage, s->n, RG_FORWARD, &s->forward);
        if (p->plan->split) {
            rg_stage_work(&p->stage, s->n, RG_BACKWARD_INPUT, &s->backward);
            rg_stage_work(&p->stage, s->n, RG_BACKWARD_WEIGHTS, &s->weights);
        } else {
            rg_stage_work(&p->stage, s->n, RG_BACKWARD, &s->backward);
        }
        rg_softmax_cross_entropy_work(s->n, p->job->network->classes, &s->loss);
    }
    rg_ring_copy_work(rg_stage_parameters(&p->stage), &p->copy);
    rg_ring_next_work(p->ring, p->plan->stage, rg_stage_parameters(&p->stage), &p->next);
}

static int open_pools(struct rg_pipeline *p, const struct rg_ring_sizes *sizes)
{
    for (int buffer = 0; buffer < RG_BUFFERS; buffer++) {
        int n = p->plan->slots[buffer];
        p->slots[buffer] = calloc((size_t)n + 1, sizeof *p->slots[buffer]);
        if (!p->slots[buffer])
            return RG_ERR_NOMEM;
        for (int i = 0; i < n; i++) {
            p->slots[buffer][i].data = rg_mem_floats(p->w->mem, sizes->buffer[buffer]);
            if (!p->slots[buffer][i].data)
                return RG_ERR_NOMEM;
        }
    }
    return 0;
}

/* Parameters lie at the same place modulo a cache line as in a whole network's vector, so that
 * kernels give the same bits as on a single node. */
static int open_weights(struct rg_pipeline *p, const struct rg_ring_sizes *sizes)
{
    size_t offset = rg_network_offset(p->job->network, p->stage.from);
    size_t phase = offset * sizeof(float) % RG_MEM_ALIGN, bytes = sizes->parameters * sizeof(float);
    p->weights = calloc((size_t)p->plan->versions, sizeof *p->weights);
    if (!p->weights)
        return RG_ERR_NOMEM;
    for (int i = 0; i < p->plan->versions; i++)
        if (!(p->weights[i] = rg_mem_alloc(p->w->mem, bytes, phase)))
            return RG_ERR_NOMEM;
    if (rg_ring_predicts(p->ring, p->plan->stage) &&
        !(p->exact = rg_mem_alloc(p->w->mem, bytes, phase)))
        return RG_ERR_NOMEM;
    if (p->ring->flows_on && !(p->snapshot = rg_mem_alloc(p->w->mem, bytes, phase)))
        return RG_ERR_NOMEM;
    p->gradient = rg_mem_alloc(p->w->mem, bytes, phase);
    p->scratch = rg_mem_floats(p->w->mem, sizes->scratch);
    return p->gradient && p->scratch ? 0 : RG_ERR_NOMEM;
}

static int set_parameters(struct rg_pipeline *p, const float *initial)
{
    size_t count = rg_stage_parameters(&p->stage);
    float *weights = rg_pipeline_weights(p);
    int result = 0;
    if (!p->job->numerics)
        return 0;
    if (!initial)
        result =
            rg_network_init(p->job->network, p->stage.from, p->stage.to, p->job->seed, weights);
    else
        memcpy(weights, initial + rg_network_offset(p->job->network, p->stage.from),
               count * sizeof *initial);
    if (p->exact)
        rg_optimizer_predict(&p->update.optimizer, 0, count, weights, p->update.state,
                             p->weights[0]);
    return result;
}

static int open_parts(struct rg_pipeline *p, const float *initial)
{
    struct rg_ring_sizes sizes = rg_ring_sizes(p->ring, p->stage.from, p->stage.to);
    struct rg_group group = {
        .first = p->plan->stage, .stride = p->plan->stages, .count = p->ring->replicas};
    struct rg_optimizer optimizer = rg_ring_optimizer(p->ring, p->plan->stage);
    int result = open_pools(p, &sizes);
    if (result == 0)
        result = open_weights(p, &sizes);
    if (result == 0)
        result =
            rg_update_open(&p->update, p->w, p->job, &optimizer,
                           rg_network_offset(p->job->network, p->stage.from), sizes.parameters);
    if (result == 0)
        result = rg_allreduce_open(&p->reduce, p->w, group, RG_ROUND_A_RING, sizes.parameters,
                                   RG_TAG_COLLECTIVE);
    if (result == 0 && p->plan->stage == 0) {
        p->labels = rg_mem_alloc(p->w->mem, (size_t)rg_ring_capacity(p->ring), 0);
        result = p->labels ? rg_feed_open(&p->feed, p->w, p->job, rg_ring_epochs(p->ring))
                           : RG_ERR_NOMEM;
    }
    return result ? result : set_parameters(p, initial);
}

int rg_pipeline_open(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **pipeline)
{
    const struct rg_ring *ring = job->plan;
    struct rg_pipeline *p = calloc(1, sizeof *p);
    *pipeline = p;
    if (!p)
        return RG_ERR_NOMEM;
    p->w = w;
    p->job = job;
    p->ring = ring;
    p->plan = &ring->plans[w->rank % ring->stages];
    p->stage = rg_ring_stage(ring, p->plan->stage);
    p->replica = w->rank / ring->stages;
    p->read_at = calloc((size_t)p->plan->depth, sizeof *p->read_at);
    if (!p->read_at)
        return RG_ERR_NOMEM;
    p->fused = rg_update_is_fusible(p->job) && p->plan->units == 1 && p->plan->versions == 1 &&
               !p->plan->split && ring->replicas == 1;
    size_work(p);
    return open_parts(p, initial);
}

int rg_pipeline_parameters(void *pipeline, rg_visit_fn visit, void *arg)
{
    struct rg_pipeline *p = pipeline;
    int result = 0;
    if (p->replica != 0)
        return 0;
    for (int s = 0; s < p->plan->stages && result == 0; s++) {
        struct rg_stage stage = rg_ring_stage(p->ring, s);
        result = rg_stream_parameters(p->w, p->job->network,
                                      rg_network_offset(p->job->network, stage.from),
                                      rg_stage_parameters(&stage), s,
                                      p->paused ? p->snapshot : rg_pipeline_weights(p), visit, arg);
    }
    return result;
}

const float *rg_pipeline_held(void *pipeline, size_t *first, size_t *count)
{
    const struct rg_pipeline *p = pipeline;
    *first = rg_network_offset(p->job->network, p->stage.from);
    *count = rg_stage_parameters(&p->stage);
    return rg_pipeline_weights(p);
}

void rg_pipeline_observe(void *pipeline, struct rg_observation *observation)
{
    const struct rg_pipeline *p = pipeline;
    *observation = p->seen;
}

void rg_pipeline_close(void *pipeline)
{
    struct rg_pipeline *p = pipeline;
    if (!p)
        return;
    if (p->paused) /* and did not come to go on, or to drain */
        rg_pipeline_cancel(p);
    for (int i = 0; i < 2; i++) {
        rg_work_free(&p->sized[i].load);
        rg_work_free(&p->sized[i].forward);
        rg_work_free(&p->sized[i].backward);
        rg_work_free(&p->sized[i].weights);
        rg_work_free(&p->sized[i].loss);
    }
    rg_work_free(&p->copy);
    rg_work_free(&p->next);
    rg_update_close(&p->update);
    for (int buffer = 0; buffer < RG_BUFFERS; buffer++)
        free(p->slots[buffer]);
    free(p->weights);
    free(p->read_at);
    free(p);
}
