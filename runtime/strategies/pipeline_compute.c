/* What the instructions of a plan compute: a unit's samples, forward, loss and backward passes, and
 * the update. */
#include "strategies/pipeline_parts.h"

#include "models/loss.h"
#include <string.h>

/* Where a unit's samples begin in the batch of its iteration. */
static int first_of(const struct rg_pipeline *p, int64_t unit)
{
    return rg_share_first(p->job->batch, p->ring->replicas, p->replica) +
           rg_share_first(rg_ring_batch(p->ring, p->replica), p->ring->micro,
                          (int)(unit % p->plan->units));
}

/* The version of the weights that a unit's forward read, and its backward wants. */
static float *weights_of(struct rg_pipeline *p, int64_t unit)
{
    if (p->plan->versions == 1)
        return rg_pipeline_weights(p);
    return p->weights[p->read_at[unit % p->plan->depth] % p->plan->versions];
}

struct pass {
    struct rg_pipeline *p;
    int64_t unit;
    int n;
};

static void do_load(void *arg)
{
    const struct pass *a = arg;
    struct rg_pipeline *p = a->p;
    rg_feed_gather(&p->feed, rg_pipeline_iteration(p, a->unit), first_of(p, a->unit), a->n,
                   rg_pipeline_slot(p, RG_BUFFER_INPUT, a->unit)->data, NULL);
}

static void forward_into(const struct pass *a, const float *weights, enum rg_buffer buffer)
{
    struct rg_pipeline *p = a->p;
    rg_stage_forward(&p->stage, a->n, weights, rg_pipeline_slot(p, RG_BUFFER_INPUT, a->unit)->data,
                     rg_pipeline_slot(p, buffer, a->unit)->data, p->scratch);
}

static void do_forward(void *arg)
{
    const struct pass *a = arg;
    forward_into(a, a->p->weights[a->p->updates % a->p->plan->versions], RG_BUFFER_STASH);
}

static void do_recompute(void *arg)
{
    const struct pass *a = arg;
    forward_into(a, rg_pipeline_weights(a->p), RG_BUFFER_REDO);
}

static void backward_half(const struct pass *a, enum rg_half half, float *dx)
{
    struct rg_pipeline *p = a->p;
    const struct rg_pass_args args = {.batch = a->n,
                                      .w = weights_of(p, a->unit),
                                      .x = rg_pipeline_slot(p, RG_BUFFER_INPUT, a->unit)->data,
                                      .stash = rg_pipeline_slot(p, RG_BUFFER_STASH, a->unit)->data,
                                      .dy = rg_pipeline_slot(p, RG_BUFFER_DY, a->unit)->data,
                                      .dx = dx,
                                      .dw = p->gradient,
                                      .accumulate = a->unit % p->plan->units > 0,
                                      .half = half,
                                      .between =
                                          rg_pipeline_slot(p, RG_BUFFER_HALVES, a->unit)->data,
                                      .scratch = p->scratch};
    rg_stage_backward_half(&p->stage, &args);
}

static void do_backward(void *arg)
{
    const struct pass *a = arg;
    struct rg_pipeline *p = a->p;
    enum rg_buffer stash = p->plan->recompute ? RG_BUFFER_REDO : RG_BUFFER_STASH;
    bool accumulate = a->unit % p->plan->units > 0;
    const float *x = rg_pipeline_slot(p, RG_BUFFER_INPUT, a->unit)->data;
    float *w = weights_of(p, a->unit), *dy = rg_pipeline_slot(p, RG_BUFFER_DY, a->unit)->data;
    float *dx = p->plan->stage > 0 ? rg_pipeline_slot(p, RG_BUFFER_DX, a->unit)->data : NULL;
    if (p->fused)
        rg_stage_backward_sgd(&p->stage, a->n, w, x, rg_pipeline_slot(p, stash, a->unit)->data, dy,
                              dx, p->gradient,
                              rg_optimizer_rate(&p->job->optimizer, p->updates + 1), p->scratch);
    else if (p->plan->split)
        backward_half(a, RG_HALF_INPUT, dx);
    else
        rg_stage_backward(&p->stage, a->n, w, x, rg_pipeline_slot(p, stash, a->unit)->data, dy, dx,
                          p->gradient, accumulate, p->scratch);
}

static void do_weights(void *arg)
{
    backward_half(arg, RG_HALF_WEIGHTS, NULL);
}

static void do_loss(void *arg)
{
    const struct pass *a = arg;
    struct rg_pipeline *p = a->p;
    float *logits, *gradient;
    if (p->plan->stages == 1) {
        logits =
            rg_stage_output(&p->stage, a->n, rg_pipeline_slot(p, RG_BUFFER_STASH, a->unit)->data);
        gradient = rg_pipeline_slot(p, RG_BUFFER_DY, a->unit)->data;
    } else {
        logits = gradient = rg_pipeline_slot(p, RG_BUFFER_LOGITS, a->unit)->data;
    }
    int correct = 0;
    rg_feed_gather(&p->feed, rg_pipeline_iteration(p, a->unit), first_of(p, a->unit), a->n, NULL,
                   p->labels);
    rg_softmax_cross_entropy(a->n, p->job->network->classes, logits, p->labels,
                             1.0f / (float)p->job->batch, gradient, &correct);
}

static int compute(struct rg_pipeline *p, const struct rg_work *work, const char *name,
                   int64_t unit, rg_compute_fn fn)
{
    struct pass pass = {.p = p, .unit = unit, .n = rg_pipeline_samples(p, unit)};
    return rg_compute(p->w, work, name, (int)unit, fn, &pass);
}

int rg_pipeline_load(struct rg_pipeline *p, int64_t unit)
{
    int result = rg_feed_epoch(&p->feed, rg_pipeline_iteration(p, unit));
    return result ? result : compute(p, &rg_pipeline_sized(p, unit)->load, "load", unit, do_load);
}

int rg_pipeline_forward(struct rg_pipeline *p, int64_t unit)
{
    p->read_at[unit % p->plan->depth] = p->updates;
    p->held++;
    p->seen.peak_units = RG_MAX(p->seen.peak_units, p->held);
    return compute(p, &rg_pipeline_sized(p, unit)->forward, "F", unit, do_forward);
}

int rg_pipeline_recompute(struct rg_pipeline *p, int64_t unit)
{
    return compute(p, &rg_pipeline_sized(p, unit)->forward, "R", unit, do_recompute);
}

int rg_pipeline_loss(struct rg_pipeline *p, int64_t unit)
{
    return compute(p, &rg_pipeline_sized(p, unit)->loss, "loss", unit, do_loss);
}

int rg_pipeline_backward(struct rg_pipeline *p, int64_t unit)
{
    p->held -= !p->plan->split;
    p->seen.staleness = RG_MAX(p->seen.staleness, p->updates - p->read_at[unit % p->plan->depth]);
    return compute(p, &rg_pipeline_sized(p, unit)->backward, "B", unit, do_backward);
}

int rg_pipeline_backward_weights(struct rg_pipeline *p, int64_t unit)
{
    p->held--;
    return compute(p, &rg_pipeline_sized(p, unit)->weights, "W", unit, do_weights);
}

struct copying {
    float *to;
    const float *from;
    size_t count;
};

static void do_copy(void *arg)
{
    const struct copying *c = arg;
    memcpy(c->to, c->from, c->count * sizeof *c->to);
}

int rg_pipeline_snapshot(struct rg_pipeline *p, int64_t unit)
{
    struct copying c = {p->snapshot, rg_pipeline_weights(p), p->update.count};
    return rg_compute(p->w, &p->copy, "snapshot", (int)unit, do_copy, &c);
}

static void do_predict(void *arg)
{
    const struct rg_pipeline *p = arg;
    rg_optimizer_predict(&p->update.optimizer, p->updates, p->update.count, p->exact,
                         p->update.state, p->weights[p->updates % p->plan->versions]);
}

static int step(struct rg_pipeline *p, float *weights)
{
    return rg_update_run(&p->update, p->w, p->updates, weights, p->fused ? NULL : p->gradient);
}

/* Where versions are stashed the update goes to a copy: the slot of the version that no unit in
 * flight was computed with. So does the prediction of weights that are kept exact. */
int rg_pipeline_update(struct rg_pipeline *p, int64_t unit)
{
    int versions = p->plan->versions, result = 0;
    float *now = p->weights[p->updates % versions];
    float *then = p->weights[(p->updates + 1) % versions];
    if (versions > 1 && !p->exact) {
        struct copying c = {then, now, p->update.count};
        result = rg_compute(p->w, &p->next, "copy", (int)unit, do_copy, &c);
    }
    p->updates++;
    if (result == 0)
        result = step(p, rg_pipeline_weights(p));
    if (result == 0 && p->exact)
        result = rg_compute(p->w, &p->next, "predict", (int)unit, do_predict, p);
    return result ? result : rg_allreduce_settle(&p->reduce);
}
