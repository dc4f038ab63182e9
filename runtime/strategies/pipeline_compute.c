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
                          (int)(unit % p->ring->micro));
}

/* The version of the weights that a unit's forward read, and its backward wants. */
static float *weights_of(const struct rg_pipeline_stage *s, int64_t unit)
{
    if (s->plan->versions == 1)
        return rg_pipeline_weights(s);
    return s->weights[s->read_at[unit % s->plan->depth] % s->plan->versions];
}

/* Is something of this unit's batch in the gradient already? */
static bool adds(const struct rg_pipeline_stage *s, int64_t unit)
{
    return unit % s->plan->units > 0;
}

struct pass {
    struct rg_pipeline *p;
    struct rg_pipeline_stage *s;
    int64_t unit;
    int n;
};

static void do_load(void *arg)
{
    const struct pass *a = arg;
    struct rg_pipeline *p = a->p;
    rg_feed_gather(&p->feed, rg_pipeline_iteration(p, a->unit), first_of(p, a->unit), a->n,
                   rg_pipeline_data(a->s, RG_BUFFER_INPUT, a->unit), NULL);
}

/* What all passes over a unit share. */
static struct rg_pass_args args_of(const struct pass *a)
{
    return (struct rg_pass_args){.batch = a->n,
                                 .mean_of = a->p->job->batch,
                                 .seed = a->p->job->seed,
                                 .iteration = rg_pipeline_iteration(a->p, a->unit),
                                 .first = first_of(a->p, a->unit),
                                 .x = rg_pipeline_data(a->s, RG_BUFFER_INPUT, a->unit),
                                 .scratch = a->s->scratch};
}

/* What backward reads of a unit's forward pass. */
static float *stash_of(const struct pass *a)
{
    bool redo = a->s->plan->recompute;
    return rg_pipeline_data(a->s, redo ? RG_BUFFER_REDO : RG_BUFFER_STASH, a->unit);
}

static void do_forward(void *arg)
{
    const struct pass *a = arg;
    struct rg_pass_args args = args_of(a);
    args.w = a->s->weights[a->s->updates % a->s->plan->versions];
    args.stash = stash_of(a);
    args.y = rg_pipeline_output(a->p, a->s, a->unit);
    rg_stage_forward(&a->s->layers, &args);
}

static void do_recompute(void *arg)
{
    const struct pass *a = arg;
    struct rg_pass_args args = args_of(a);
    args.w = rg_pipeline_weights(a->s);
    args.stash = stash_of(a);
    rg_stage_forward(&a->s->layers, &args);
}

/* What backward needs of a unit, or its first half; into dx, NULL: not wanted. */
static struct rg_pass_args backward_args(const struct pass *a, enum rg_half half)
{
    const struct rg_pipeline_stage *s = a->s;
    bool first = s->plan->stage == 0 || half == RG_HALF_WEIGHTS;
    struct rg_pass_args args = args_of(a);
    args.w = weights_of(s, a->unit);
    args.newest = rg_pipeline_weights(s);
    args.stash = stash_of(a);
    args.dy = rg_pipeline_data(s, RG_BUFFER_DY, a->unit);
    args.dx = first ? NULL : rg_pipeline_data(s, RG_BUFFER_DX, a->unit);
    args.dw = s->gradient;
    args.accumulate = adds(s, a->unit);
    args.half = half;
    if (half != RG_WHOLE)
        args.between = rg_pipeline_data(s, RG_BUFFER_HALVES, a->unit);
    return args;
}

static void do_backward(void *arg)
{
    const struct pass *a = arg;
    const struct rg_pipeline_stage *s = a->s;
    struct rg_pass_args args = backward_args(a, s->plan->split ? RG_HALF_INPUT : RG_WHOLE);
    if (s->fused) {
        args.accumulate = false;
        args.update = weights_of(s, a->unit);
        args.rate = rg_optimizer_rate(&a->p->job->optimizer, s->updates + 1);
    }
    rg_stage_backward(&s->layers, &args);
}

static void do_weights(void *arg)
{
    const struct pass *a = arg;
    const struct rg_pass_args args = backward_args(a, RG_HALF_WEIGHTS);
    rg_stage_backward(&a->s->layers, &args);
}

static void do_loss(void *arg)
{
    const struct pass *a = arg;
    struct rg_pipeline *p = a->p;
    const struct rg_pipeline_stage *s = a->s;
    float *logits, *gradient;
    if (s->plan->stages == 1) {
        logits = rg_pipeline_output(p, s, a->unit);
        gradient = rg_pipeline_data(s, RG_BUFFER_DY, a->unit);
    } else {
        logits = gradient = rg_pipeline_data(s, RG_BUFFER_LOGITS, a->unit);
    }
    struct rg_targets targets = rg_dataset_targets(p->job->data);
    int64_t correct = 0;
    rg_feed_gather(&p->feed, rg_pipeline_iteration(p, a->unit), first_of(p, a->unit), a->n, NULL,
                   p->targets);
    rg_loss(&targets, a->n, logits, p->targets, 1.0f / (float)p->job->batch, gradient, &correct);
}

static int compute_on(struct rg_world *w, struct rg_pipeline *p, struct rg_pipeline_stage *s,
                      const struct rg_work *work, const char *name, int64_t unit, rg_compute_fn fn)
{
    struct pass pass = {.p = p, .s = s, .unit = unit, .n = rg_pipeline_samples(p, unit)};
    return rg_compute(w, work, name, (int)unit, fn, &pass);
}

static int compute(struct rg_pipeline *p, struct rg_pipeline_stage *s, const struct rg_work *work,
                   const char *name, int64_t unit, rg_compute_fn fn)
{
    return compute_on(p->w, p, s, work, name, unit, fn);
}

static const struct rg_sized_work *sized_of(const struct rg_pipeline *p,
                                            const struct rg_pipeline_stage *s, int64_t unit)
{
    return &s->work->sized[rg_pipeline_samples(p, unit) == s->work->sized[0].n ? 0 : 1];
}

int rg_pipeline_load(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit)
{
    int result = rg_feed_epoch(&p->feed, rg_pipeline_iteration(p, unit));
    return result ? result : compute(p, s, &sized_of(p, s, unit)->load, "load", unit, do_load);
}

int rg_pipeline_forward(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit)
{
    s->read_at[unit % s->plan->depth] = s->updates;
    s->held++;
    p->seen.peak_units = RG_MAX(p->seen.peak_units, s->held);
    return compute(p, s, &sized_of(p, s, unit)->forward, "F", unit, do_forward);
}

int rg_pipeline_recompute(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit)
{
    return compute(p, s, &sized_of(p, s, unit)->forward, "R", unit, do_recompute);
}

int rg_pipeline_loss(struct rg_pipeline *p, struct rg_world *w, struct rg_pipeline_stage *s,
                     int64_t unit)
{
    return compute_on(w, p, s, &sized_of(p, s, unit)->loss, "loss", unit, do_loss);
}

int rg_pipeline_backward(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit)
{
    s->held -= !s->plan->split;
    p->seen.staleness = RG_MAX(p->seen.staleness, s->updates - s->read_at[unit % s->plan->depth]);
    return compute(p, s, &sized_of(p, s, unit)->backward, "B", unit, do_backward);
}

int rg_pipeline_backward_weights(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit)
{
    s->held--;
    return compute(p, s, &sized_of(p, s, unit)->weights, "W", unit, do_weights);
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

int rg_pipeline_snapshot(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit)
{
    struct copying c = {s->snapshot, rg_pipeline_weights(s), s->update.count};
    return rg_compute(p->w, &s->work->copy, "snapshot", (int)unit, do_copy, &c);
}

static void do_predict(void *arg)
{
    const struct rg_pipeline_stage *s = arg;
    rg_optimizer_predict(&s->update.optimizer, s->updates, s->update.count, s->exact,
                         s->update.state, s->weights[s->updates % s->plan->versions]);
}

/* Where versions are stashed the update goes to a copy: the slot of the version that no unit in
 * flight was computed with. So does the prediction of weights that are kept exact. */
int rg_pipeline_update(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit)
{
    int versions = s->plan->versions, result = 0;
    float *now = s->weights[s->updates % versions];
    float *then = s->weights[(s->updates + 1) % versions];
    if (versions > 1 && !s->exact) {
        struct copying c = {then, now, s->update.count};
        result = rg_twins_compute(&s->twins, p->w, RG_TWINS_COPY, s->updates + 1, &s->work->next,
                                  "copy", (int)unit, do_copy, &c);
    }
    s->updates++;
    if (result == 0)
        result = rg_update_run(&s->update, p->w, s->updates, rg_pipeline_weights(s),
                               s->fused ? NULL : rg_allreduce_sum(&s->reduce, s->gradient));
    if (result == 0 && s->exact)
        result = rg_twins_compute(&s->twins, p->w, RG_TWINS_PREDICT, s->updates, &s->work->next,
                                  "predict", (int)unit, do_predict, s);
    return result ? result : rg_allreduce_settle(&s->reduce);
}
