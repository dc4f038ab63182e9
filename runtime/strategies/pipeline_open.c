/* The interpreter's memory, made and freed, its parameters handed out.
 *
 * Failure modes handled: no memory (rg_pipeline_close frees what has been made). */
#include "strategies/pipeline_parts.h"

#include "models/loss.h"
#include "world/shared.h"
#include <stdlib.h>
#include <string.h>

/* ---- cost lists ---- */

/* Samples are loaded, and losses computed, by the first stage. */
static void size_work(const struct rg_ring *ring, int stage, int n, struct rg_sized_work *sized)
{
    struct rg_stage layers = rg_ring_stage(ring, stage);
    bool split = ring->plans[stage].split;
    sized->n = n;
    rg_stage_work(&layers, n, RG_FORWARD, &sized->forward);
    rg_stage_work(&layers, n, split ? RG_BACKWARD_INPUT : RG_BACKWARD, &sized->backward);
    if (split)
        rg_stage_work(&layers, n, RG_BACKWARD_WEIGHTS, &sized->weights);
    if (stage == 0) {
        rg_dataset_gather_work(rg_stage_inputs(&layers), n, &sized->load);
        const struct rg_targets targets = rg_dataset_targets(ring->job->data);
        rg_loss_work(&targets, n, &sized->loss);
    }
    struct rg_work *all[] = {&sized->load, &sized->forward, &sized->backward, &sized->weights,
                             &sized->loss};
    for (size_t i = 0; i < RG_COUNT(all); i++)
        if (all[i]->count > 0)
            rg_work_keep_seconds(all[i]);
}

static int make_work(void *object, const void *of, int64_t stage)
{
    struct rg_pipeline_work *work = object;
    const struct rg_ring *ring = of;
    struct rg_stage layers = rg_ring_stage(ring, (int)stage);
    int most = rg_ring_capacity(ring);
    int least = rg_ring_unit(ring, ring->replicas - 1, ring->micro - 1);
    size_work(ring, (int)stage, most, &work->sized[0]);
    if (least < most)
        size_work(ring, (int)stage, most - 1, &work->sized[1]);
    if (ring->flows_on)
        rg_ring_copy_work(rg_stage_parameters(&layers), &work->copy);
    rg_ring_next_work(ring, (int)stage, rg_stage_parameters(&layers), &work->next);
    return 0;
}

static void clear_work(void *object)
{
    struct rg_pipeline_work *work = object;
    for (int i = 0; i < 2; i++) {
        rg_work_free(&work->sized[i].load);
        rg_work_free(&work->sized[i].forward);
        rg_work_free(&work->sized[i].backward);
        rg_work_free(&work->sized[i].weights);
        rg_work_free(&work->sized[i].loss);
    }
    rg_work_free(&work->copy);
    rg_work_free(&work->next);
}

static const struct rg_shared_kind work_kind = {
    .bytes = sizeof(struct rg_pipeline_work), .make = make_work, .clear = clear_work};

/* ---- buffers ---- */

/* Of what arrives in it and leaves from it, on any channel. */
static int open_requests(struct rg_pipeline_buffer *b, enum rg_buffer buffer, size_t n)
{
    for (int channel = 0; channel < RG_CHANNELS; channel++) {
        if (rg_channel_target(channel) == buffer && !b->in &&
            !(b->in = calloc(n + 1, sizeof *b->in)))
            return RG_ERR_NOMEM;
        if (rg_channel_source(channel) == buffer && !b->out &&
            !(b->out = calloc(n + 1, sizeof *b->out)))
            return RG_ERR_NOMEM;
    }
    return 0;
}

static int open_buffers(struct rg_pipeline *p, struct rg_pipeline_stage *s,
                        const struct rg_ring_sizes *sizes)
{
    int result = 0;
    for (int buffer = 0; buffer < RG_BUFFERS && result == 0; buffer++) {
        struct rg_pipeline_buffer *b = &s->buffers[buffer];
        size_t n = (size_t)s->plan->slots[buffer];
        b->data = calloc(n + 1, sizeof *b->data);
        if (!b->data)
            return RG_ERR_NOMEM;
        for (size_t i = 0; i < n; i++)
            if (!(b->data[i] = rg_mem_floats(p->w->mem, sizes->buffer[buffer])))
                return RG_ERR_NOMEM;
        if (n > 0 && s->plan->stages > 1)
            result = open_requests(b, buffer, n);
    }
    return result;
}

/* Parameters lie at the same place modulo a cache line as in a whole network's vector, so that
 * kernels give the same bits as on a single node. */
static int open_weights(struct rg_pipeline *p, struct rg_pipeline_stage *s,
                        const struct rg_ring_sizes *sizes)
{
    size_t offset = rg_network_offset(p->job->network, s->layers.from);
    size_t phase = offset * sizeof(float) % RG_MEM_ALIGN, bytes = sizes->parameters * sizeof(float);
    s->weights = calloc((size_t)s->plan->versions, sizeof *s->weights);
    if (!s->weights)
        return RG_ERR_NOMEM;
    for (int i = 0; i < s->plan->versions; i++)
        if (!(s->weights[i] = rg_twins_alloc(&s->twins, p->w, RG_TWIN_VERSIONS + i, bytes, phase)))
            return RG_ERR_NOMEM;
    if (rg_ring_predicts(p->ring, s->plan->stage) &&
        !(s->exact = rg_twins_alloc(&s->twins, p->w, RG_TWIN_EXACT, bytes, phase)))
        return RG_ERR_NOMEM;
    if (p->ring->flows_on && !(s->snapshot = rg_mem_alloc(p->w->mem, bytes, phase)))
        return RG_ERR_NOMEM;
    s->gradient = rg_mem_alloc(p->w->mem, bytes, phase);
    s->scratch = rg_mem_floats(p->w->mem, sizes->scratch);
    rg_twins_lend(&s->twins, s->gradient);
    return s->gradient && s->scratch ? 0 : RG_ERR_NOMEM;
}

static int set_parameters(struct rg_pipeline *p, struct rg_pipeline_stage *s, const float *initial)
{
    const struct rg_network *network = p->job->network;
    size_t count = rg_stage_parameters(&s->layers);
    float *weights = rg_pipeline_weights(s);
    int result = 0;
    if (!p->job->numerics || !rg_twins_first(&s->twins, RG_TWINS_BEGIN, 1))
        return 0;
    if (!initial)
        result = rg_network_init(network, s->layers.from, s->layers.to, p->job->seed, weights);
    else
        memcpy(weights, initial + rg_network_offset(network, s->layers.from),
               count * sizeof *initial);
    if (s->exact)
        rg_optimizer_predict(&s->update.optimizer, 0, count, weights, s->update.state,
                             s->weights[0]);
    return result;
}

static int open_stage(struct rg_pipeline *p, int stage, const float *initial)
{
    const struct rg_ring *ring = p->ring;
    struct rg_pipeline_stage *s = rg_pipeline_stage(p, stage);
    struct rg_group group = {.first = p->node, .stride = ring->nodes, .count = ring->replicas};
    struct rg_optimizer optimizer = rg_ring_optimizer(ring, stage);
    s->plan = &ring->plans[stage];
    s->layers = rg_ring_stage(ring, stage);
    s->read_at = calloc((size_t)s->plan->depth, sizeof *s->read_at);
    if (!s->read_at)
        return RG_ERR_NOMEM;
    s->fused = rg_update_is_fusible(p->job) && s->plan->units == 1 && s->plan->versions == 1 &&
               !s->plan->split && ring->replicas == 1;
    s->work = rg_shared_take(p->w, &work_kind, ring, stage);
    if (!s->work)
        return RG_ERR_NOMEM;
    struct rg_ring_sizes sizes = rg_ring_sizes(ring, s->layers.from, s->layers.to);
    int result = rg_twins_open(&s->twins, p->w, ring, stage, ring->replicas, p->replica);
    if (result == 0)
        result = open_buffers(p, s, &sizes);
    if (result == 0)
        result = open_weights(p, s, &sizes);
    if (result == 0)
        result = rg_update_open(&s->update, p->w, p->job, &optimizer,
                                rg_network_offset(p->job->network, s->layers.from),
                                sizes.parameters, &s->twins);
    if (result == 0)
        result = rg_allreduce_open(&s->reduce, p->w, group, RG_ROUND_A_RING, sizes.parameters,
                                   RG_TAG_COLLECTIVE + (uint32_t)(stage / ring->nodes));
    rg_allreduce_share(&s->reduce, &s->twins);
    return result ? result : set_parameters(p, s, initial);
}

int rg_pipeline_open(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **pipeline)
{
    const struct rg_ring *ring = job->plan;
    struct rg_pipeline *p = calloc(1, sizeof *p);
    int result = 0;
    *pipeline = p;
    if (!p)
        return RG_ERR_NOMEM;
    p->w = w;
    p->job = job;
    p->ring = ring;
    p->node = w->rank % ring->nodes;
    p->replica = w->rank / ring->nodes;
    p->stages = calloc((size_t)rg_ring_chunks(ring), sizeof *p->stages);
    if (!p->stages)
        return RG_ERR_NOMEM;
    for (int s = p->node; s < ring->stages && result == 0; s += ring->nodes, p->chunks++)
        result = open_stage(p, s, initial);
    if (result == 0)
        result = rg_backup_open(p);
    if (result == 0 && p->node == 0) {
        p->targets = rg_mem_alloc(w->mem, rg_ring_targets(ring), 0);
        result = p->targets ? rg_feed_open(&p->feed, w, job, rg_ring_epochs(ring)) : RG_ERR_NOMEM;
    }
    return result;
}

int rg_pipeline_parameters(void *pipeline, rg_visit_fn visit, void *arg)
{
    struct rg_pipeline *p = pipeline;
    int result = 0;
    if (p->replica != 0)
        return 0;
    for (int i = 0; i < p->ring->stages && result == 0; i++) {
        struct rg_stage layers = rg_ring_stage(p->ring, i);
        const struct rg_pipeline_stage *s = rg_pipeline_stage(p, i);
        result = rg_stream_parameters(p->w, p->job->network,
                                      rg_network_offset(p->job->network, layers.from),
                                      rg_stage_parameters(&layers), i % p->ring->nodes,
                                      p->paused ? s->snapshot : rg_pipeline_weights(s), visit, arg);
    }
    return result;
}

/* No unit is in flight: of versions only the newest is read again. */
int rg_pipeline_state(void *pipeline, int64_t done, rg_state_fn visit, void *arg)
{
    struct rg_pipeline *p = pipeline;
    int result = 0;
    RG_ASSERT(!p->paused);
    for (int i = 0; i < p->chunks && result == 0; i++) {
        struct rg_pipeline_stage *s = &p->stages[i];
        s->updates = done;
        result = rg_visit_parameters(rg_pipeline_weights(s), s->update.first, s->update.count,
                                     visit, arg);
        if (result == 0)
            result = rg_visit_update(&s->update, false, visit, arg);
        if (result == 0 && s->exact)
            rg_optimizer_predict(&s->update.optimizer, (long)done, s->update.count, s->exact,
                                 s->update.state, s->weights[done % s->plan->versions]);
    }
    return result;
}

const float *rg_pipeline_held(void *pipeline, int part, size_t *first, size_t *count)
{
    const struct rg_pipeline *p = pipeline;
    if (part >= p->chunks)
        return NULL;
    const struct rg_pipeline_stage *s = &p->stages[part];
    *first = rg_network_offset(p->job->network, s->layers.from);
    *count = rg_stage_parameters(&s->layers);
    return rg_pipeline_weights(s);
}

void rg_pipeline_observe(void *pipeline, struct rg_observation *observation)
{
    const struct rg_pipeline *p = pipeline;
    *observation = p->seen;
}

static void close_stage(struct rg_pipeline_stage *s)
{
    rg_shared_drop(s->work);
    rg_update_close(&s->update);
    rg_twins_close(&s->twins);
    for (int buffer = 0; buffer < RG_BUFFERS; buffer++) {
        free(s->buffers[buffer].data);
        free(s->buffers[buffer].in);
        free(s->buffers[buffer].out);
    }
    free(s->weights);
    free(s->read_at);
}

void rg_pipeline_close(void *pipeline)
{
    struct rg_pipeline *p = pipeline;
    if (!p)
        return;
    if (p->paused) /* and did not come to go on, or to drain */
        rg_pipeline_cancel(p);
    for (int i = 0; i < p->chunks; i++)
        close_stage(&p->stages[i]);
    rg_backup_close(p);
    free(p->stages);
    free(p);
}
