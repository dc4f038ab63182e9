/* The instructions of a plan, as a node carries them out: what each waits for, its messages, and
 * what becomes of an iteration's end. In which order they go on is pipeline_lanes.c's. */
#include "strategies/pipeline_parts.h"

/* ---- messages ---- */

/* Messages of a channel to different stages of a node have different tags. */
static uint32_t tag_of(const struct rg_pipeline *p, enum rg_plan_channel channel, int to)
{
    return RG_TAG_USER + RG_CHANNELS * (uint32_t)(to / p->ring->nodes) + channel;
}

static size_t floats_of(const struct rg_pipeline *p, const struct rg_stage *layers,
                        enum rg_plan_channel channel, int64_t unit, bool send)
{
    size_t n = (size_t)rg_pipeline_samples(p, unit);
    switch (channel) {
    case RG_CHANNEL_ACTIVATION:
        return n * (send ? rg_stage_outputs(layers) : rg_stage_inputs(layers));
    case RG_CHANNEL_GRADIENT:
        return n * (send ? rg_stage_inputs(layers) : rg_stage_outputs(layers));
    default:
        return n * (size_t)p->job->network->classes;
    }
}

static int send(struct rg_pipeline *p, struct rg_world *w, const struct rg_pipeline_stage *s,
                enum rg_plan_channel channel, int64_t unit)
{
    enum rg_buffer buffer = rg_channel_source(channel);
    int to = rg_channel_peer(channel, s->plan->stage, s->plan->stages, true);
    struct rg_pipeline_send *out = rg_pipeline_out(s, buffer, unit);
    float *data = buffer == RG_BUFFER_STASH ? rg_pipeline_output(p, s, unit)
                                            : rg_pipeline_data(s, buffer, unit);
    out->unit = unit;
    return rg_send_floats(w, rg_ring_rank(p->ring, p->replica, to), tag_of(p, channel, to), data,
                          floats_of(p, &s->layers, channel, unit, true), &out->request);
}

static int receive(struct rg_pipeline *p, struct rg_world *w, const struct rg_pipeline_stage *s,
                   enum rg_plan_channel channel, int64_t unit)
{
    int from = rg_channel_peer(channel, s->plan->stage, s->plan->stages, false);
    enum rg_buffer buffer = rg_channel_target(channel);
    return rg_recv(w, rg_ring_rank(p->ring, p->replica, from), tag_of(p, channel, s->plan->stage),
                   rg_pipeline_data(s, buffer, unit),
                   sizeof(float) * floats_of(p, &s->layers, channel, unit, false),
                   rg_pipeline_in(s, buffer, unit));
}

/* The receives of the next iteration's sum are posted at once: another replica may be ahead. */
static int reduce(struct rg_pipeline *p, struct rg_pipeline_stage *s, int64_t unit)
{
    int result = rg_allreduce_run(&s->reduce, p->w, s->gradient, s->update.count);
    if (result == 0 && unit + 1 < p->limit)
        result = rg_allreduce_prepare(&s->reduce, p->w, s->gradient, s->update.count);
    return result;
}

/* ---- instructions ---- */

int rg_pipeline_needs(struct rg_pipeline *p, const struct rg_instruction *in, int64_t unit,
                      struct rg_request *list[2])
{
    const struct rg_pipeline_stage *s = rg_pipeline_stage(p, in->stage);
    int n = 0;
    if (s->plan->stages == 1)
        return 0;
    switch (in->op) {
    case RG_OP_FORWARD:
        list[n++] = rg_pipeline_in(s, RG_BUFFER_INPUT, unit);
        list[n++] = &rg_pipeline_out(s, RG_BUFFER_STASH, unit)->request;
        break;
    case RG_OP_RECOMPUTE:
        list[n++] = rg_pipeline_in(s, RG_BUFFER_DY, unit);
        break;
    case RG_OP_BACKWARD:
        list[n++] = rg_pipeline_in(s, RG_BUFFER_DY, unit);
        if (s->plan->stage > 0)
            list[n++] = &rg_pipeline_out(s, RG_BUFFER_DX, unit)->request;
        break;
    case RG_OP_LOSS:
        list[n++] = rg_pipeline_in(s, RG_BUFFER_LOGITS, unit);
        break;
    case RG_OP_RECV: /* of what arrives only logits leave again */
        if (rg_channel_target(in->channel) == RG_BUFFER_LOGITS)
            list[n++] = &rg_pipeline_out(s, RG_BUFFER_LOGITS, unit)->request;
        break;
    case RG_OP_WAIT:
        list[n++] = &rg_pipeline_out(s, rg_channel_source(in->channel), unit)->request;
        break;
    case RG_OP_BACKUP:
        list[n++] = rg_backup_out(p);
        break;
    case RG_OP_END:
        list[n] = rg_backup_in(p, rg_pipeline_iteration(p, unit));
        n += list[n] != NULL;
        break;
    default:
        break;
    }
    return n;
}

/* Copies of the weights, where they are taken. */
static int take_snapshots(struct rg_pipeline *p, int64_t unit)
{
    int result = 0;
    for (int i = 0; i < p->chunks && p->ring->flows_on && result == 0; i++)
        result = rg_pipeline_snapshot(p, &p->stages[i], unit);
    return result;
}

static int end_iteration(struct rg_pipeline *p, int64_t unit)
{
    int64_t done = rg_pipeline_iteration(p, unit) + 1;
    int result = 0;
    if (p->draining)
        return 0;
    if (done % p->job->iterations_per_epoch == 0 && done < p->job->iterations)
        result = take_snapshots(p, unit);
    if (result == 0)
        result = rg_backup_end(p, done - 1);
    if (result == 0)
        result = rg_iteration(p->w, done - 1);
    p->stop = result == 1;
    return result == 1 ? 0 : result;
}

int rg_pipeline_execute(struct rg_pipeline *p, struct rg_world *w, const struct rg_instruction *in,
                        int64_t unit)
{
    struct rg_pipeline_stage *s = rg_pipeline_stage(p, in->stage);
    switch (in->op) {
    case RG_OP_LOAD:
        return rg_pipeline_load(p, s, unit);
    case RG_OP_FORWARD:
        return rg_pipeline_forward(p, s, unit);
    case RG_OP_RECOMPUTE:
        return rg_pipeline_recompute(p, s, unit);
    case RG_OP_LOSS:
        return rg_pipeline_loss(p, w, s, unit);
    case RG_OP_BACKWARD:
        return rg_pipeline_backward(p, s, unit);
    case RG_OP_WEIGHTS:
        return rg_pipeline_backward_weights(p, s, unit);
    case RG_OP_SEND:
        return send(p, w, s, in->channel, unit);
    case RG_OP_RECV:
        return receive(p, w, s, in->channel, unit);
    case RG_OP_WAIT:
        return 0;
    case RG_OP_REDUCE:
        return reduce(p, s, unit);
    case RG_OP_BACKUP:
        return rg_backup_send(p, rg_pipeline_iteration(p, unit),
                              p->first + p->limit / p->ring->micro);
    case RG_OP_STEP:
        return rg_pipeline_update(p, s, unit);
    case RG_OP_END:
        break;
    }
    return end_iteration(p, unit);
}
