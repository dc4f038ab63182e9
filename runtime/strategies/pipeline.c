/* The interpreter of plans: one node's part in a ring.
 *
 * An instruction waits for what it needs and then runs; a node with two lanes runs whichever can go
 * on, the loss lane first. Numerics never depend on that choice: the lanes touch different buffers
 * and each keeps its own order. */
#include "strategies/pipeline_parts.h"

#include <math.h>

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

static int send(struct rg_pipeline *p, const struct rg_pipeline_stage *s,
                enum rg_plan_channel channel, int64_t unit)
{
    enum rg_buffer buffer = rg_channel_source(channel);
    int to = rg_channel_peer(channel, s->plan->stage, s->plan->stages, true);
    struct rg_pipeline_send *out = rg_pipeline_out(s, buffer, unit);
    float *data = buffer == RG_BUFFER_STASH ? rg_pipeline_output(p, s, unit)
                                            : rg_pipeline_data(s, buffer, unit);
    out->unit = unit;
    return rg_send_floats(p->w, rg_ring_rank(p->ring, p->replica, to), tag_of(p, channel, to), data,
                          floats_of(p, &s->layers, channel, unit, true), &out->request);
}

static int receive(struct rg_pipeline *p, const struct rg_pipeline_stage *s,
                   enum rg_plan_channel channel, int64_t unit)
{
    int from = rg_channel_peer(channel, s->plan->stage, s->plan->stages, false);
    enum rg_buffer buffer = rg_channel_target(channel);
    return rg_recv(p->w, rg_ring_rank(p->ring, p->replica, from),
                   tag_of(p, channel, s->plan->stage), rg_pipeline_data(s, buffer, unit),
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

/* The requests an instruction waits for: what it reads has arrived, what it overwrites has left. */
static int needs(struct rg_pipeline *p, const struct rg_instruction *in, int64_t unit,
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

static int execute(struct rg_pipeline *p, const struct rg_instruction *in, int64_t unit)
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
        return rg_pipeline_loss(p, s, unit);
    case RG_OP_BACKWARD:
        return rg_pipeline_backward(p, s, unit);
    case RG_OP_WEIGHTS:
        return rg_pipeline_backward_weights(p, s, unit);
    case RG_OP_SEND:
        return send(p, s, in->channel, unit);
    case RG_OP_RECV:
        return receive(p, s, in->channel, unit);
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

/* NULL: there is none, or none before a pause. */
static const struct rg_instruction *peek(struct rg_pipeline *p, int lane, int64_t *unit)
{
    const struct rg_instruction *in = rg_plan_peek(&p->lanes[lane], p->ring->micro, p->limit, unit);
    bool begins = in && (lane == 1 ? in->op == RG_OP_LOSS
                                   : in->op == RG_OP_RECOMPUTE || in->op == RG_OP_BACKWARD);
    return begins && *unit > p->until[lane] ? NULL : in;
}

/* How many of the instruction's needs are not known to be met; they are put in list. Or an error.
 */
static int pending(struct rg_pipeline *p, const struct rg_instruction *in, int64_t unit,
                   struct rg_request *list[2])
{
    struct rg_request *all[2];
    int n = needs(p, in, unit, all), left = 0;
    for (int i = 0; i < n; i++) {
        if (all[i]->status == RG_PENDING)
            list[left++] = all[i];
        else if (all[i]->status)
            return all[i]->status;
    }
    return left;
}

/* Until a send has arrived, or all know that they stop before the iteration that it is for: who has
 * stopped takes nothing more. */
static int wait_sent(struct rg_pipeline *p, struct rg_pipeline_send *send)
{
    struct rg_request *out = &send->request;
    int index, result = 0;
    int64_t last;
    if (out->status == RG_PENDING)
        result = rg_wait_any_or_stop(p->w, &out, 1, &index, &last);
    if (result == 1)
        return rg_pipeline_iteration(p, send->unit) < last ? rg_wait(p->w, out) : 0;
    return result ? result : out->status;
}

/* What a WAIT waits for. */
static struct rg_pipeline_send *sent_of(struct rg_pipeline *p, const struct rg_instruction *in,
                                        int64_t unit)
{
    return rg_pipeline_out(rg_pipeline_stage(p, in->stage), rg_channel_source(in->channel), unit);
}

static int await(struct rg_pipeline *p, const struct rg_instruction *in, int64_t unit)
{
    struct rg_request *list[2];
    if (in->op == RG_OP_WAIT)
        return wait_sent(p, sent_of(p, in, unit));
    int n = needs(p, in, unit, list);
    return n ? rg_wait_all(p->w, list, n) : 0;
}

static int run_one_lane(struct rg_pipeline *p)
{
    const struct rg_instruction *in;
    int64_t unit;
    while (!p->stop && (in = peek(p, 0, &unit)) != NULL) {
        int result = await(p, in, unit);
        if (result == 0)
            result = execute(p, in, unit);
        if (result)
            return result;
        p->lanes[0].next++;
    }
    return 0;
}

/* A WAIT, of a schedule without overlap, holds the whole node: the other lane must not compute
 * meanwhile, so it is met right after its send. */
static int hold(struct rg_pipeline *p, int lane)
{
    int64_t unit;
    const struct rg_instruction *in = peek(p, lane, &unit);
    if (!in || in->op != RG_OP_WAIT)
        return 0;
    p->lanes[lane].next++;
    return wait_sent(p, sent_of(p, in, unit));
}

/* Has anything that the other lane waits for come while this one could go on? One look a date: what
 * has not come by then cannot have come without time passing. */
static bool look(struct rg_pipeline *p, struct rg_request *const *list, int n)
{
    int index;
    double now = rg_now(p->w);
    if (n == 0 || now == p->looked_s)
        return false;
    p->looked_s = now;
    return rg_wait_any(p->w, list, n, -INFINITY, &index) == 0;
}

static int step_lane(struct rg_pipeline *p, int lane, const struct rg_instruction *in, int64_t unit)
{
    int result = execute(p, in, unit);
    p->lanes[lane].next++;
    return result || p->stop ? result : hold(p, lane);
}

/* Until one of them is complete. Where that may never be, since all stop after an update that is
 * known by now, no lane goes beyond it. */
static int wait_for_lanes(struct rg_pipeline *p, struct rg_request *const *list, int n)
{
    int index;
    int64_t last;
    int result = rg_wait_any_or_stop(p->w, list, n, &index, &last);
    if (result != 1)
        return result;
    int64_t end = (last - p->first) * p->ring->micro - 1;
    bool bounded = p->until[0] <= end && p->until[1] <= end;
    for (int lane = 0; lane < RG_LANES; lane++)
        p->until[lane] = RG_MIN(p->until[lane], end);
    return bounded ? rg_wait_any(p->w, list, n, RG_FOREVER, &index) : 0;
}

static int run_two_lanes(struct rg_pipeline *p)
{
    while (!p->stop) {
        struct rg_request *list[4];
        int64_t unit[RG_LANES];
        int result;
        const struct rg_instruction *loss = peek(p, 1, &unit[1]);
        const struct rg_instruction *next = peek(p, 0, &unit[0]);
        int waiting = loss ? pending(p, loss, unit[1], list) : 0;
        int blocked = next && waiting >= 0 ? pending(p, next, unit[0], list + waiting) : 0;
        if (waiting < 0 || blocked < 0)
            return waiting < 0 ? waiting : blocked;
        if (loss && waiting == 0)
            result = step_lane(p, 1, loss, unit[1]);
        else if (next && blocked == 0)
            result = look(p, list, waiting) ? 0 : step_lane(p, 0, next, unit[0]);
        else if (waiting + blocked > 0)
            result = wait_for_lanes(p, list, waiting + blocked);
        else
            break;
        if (result)
            return result;
    }
    return 0;
}

/* Every slot of the node's buffers, in order: what arrives in it, and what leaves from it. */
struct slots {
    const struct rg_pipeline *p;
    int stage, buffer, next;
};

static bool next_slot(struct slots *at, struct rg_request **in, struct rg_pipeline_send **out)
{
    for (; at->stage < at->p->chunks; at->stage++, at->buffer = 0)
        for (; at->buffer < RG_BUFFERS; at->buffer++, at->next = 0) {
            const struct rg_pipeline_stage *s = &at->p->stages[at->stage];
            const struct rg_pipeline_buffer *b = &s->buffers[at->buffer];
            int i = at->next++;
            if (i >= s->plan->slots[at->buffer] || (!b->in && !b->out))
                continue;
            *in = b->in ? &b->in[i] : NULL;
            *out = b->out ? &b->out[i] : NULL;
            return true;
        }
    return false;
}

/* The next send that is under way; NULL: there are no more. */
static struct rg_pipeline_send *next_send(struct slots *at)
{
    struct rg_request *in;
    struct rg_pipeline_send *out;
    while (next_slot(at, &in, &out))
        if (out)
            return out;
    return NULL;
}

void rg_pipeline_cancel(struct rg_pipeline *p)
{
    struct slots all = {.p = p};
    struct rg_request *in;
    struct rg_pipeline_send *out;
    for (int i = 0; i < p->chunks; i++)
        rg_allreduce_cancel(&p->stages[i].reduce);
    rg_backup_cancel(p);
    while (next_slot(&all, &in, &out)) {
        if (in)
            rg_cancel(p->w, in);
        if (out)
            rg_cancel(p->w, &out->request);
    }
}

/* What others need for iterations that they, too, bring to an end. */
static int finish_sends(struct rg_pipeline *p)
{
    struct slots all = {.p = p};
    struct rg_pipeline_send *out;
    int result = 0;
    while (result == 0 && (out = next_send(&all)) != NULL)
        if (rg_pipeline_iteration(p, out->unit) < p->w->iterations)
            result = rg_wait(p->w, &out->request);
    return result;
}

static void begin(struct rg_pipeline *p, int64_t first, int64_t count)
{
    p->first = first;
    p->limit = count * p->ring->micro;
    p->stop = false;
    p->looked_s = -INFINITY;
    for (int i = 0; i < p->chunks; i++)
        p->stages[i].held = 0;
    for (int lane = 0; lane < RG_LANES; lane++) {
        p->lanes[lane] = (struct rg_cursor){.list = &p->stages[0].plan->lanes[lane]};
        p->until[lane] = INT64_MAX;
    }
}

static int run(struct rg_pipeline *p)
{
    return p->lanes[1].list->body_count ? run_two_lanes(p) : run_one_lane(p);
}

static int end(struct rg_pipeline *p, int result)
{
    if (result == 0)
        result = finish_sends(p);
    if (result == 0 && !p->stop)
        result = rg_backup_finish(p);
    if (result || p->stop)
        rg_pipeline_cancel(p);
    return result ? result : p->stop;
}

/* All that has been sent arrives. */
static int land(struct rg_pipeline *p)
{
    struct slots all = {.p = p};
    struct rg_pipeline_send *out;
    int result = 0;
    while (result == 0 && (out = next_send(&all)) != NULL)
        result = wait_sent(p, out);
    return result;
}

static int prepare_sums(struct rg_pipeline *p)
{
    int result = 0;
    for (int i = 0; i < p->chunks && result == 0; i++) {
        struct rg_pipeline_stage *s = &p->stages[i];
        result = rg_allreduce_prepare(&s->reduce, p->w, s->gradient, s->update.count);
    }
    return result;
}

/* Units go on through the ends of epochs. There every stage pauses when it is ahead of the first by
 * as much as they are in a full ring, so that they stop at about one time and none runs empty: a
 * cut through the ring at which all that has been sent has somewhere to arrive. */
static int train_on(struct rg_pipeline *p, int64_t end_of_epoch)
{
    int64_t last = (end_of_epoch - p->first) * p->ring->micro - 1;
    bool pauses = end_of_epoch < p->job->iterations;
    int result = p->paused ? rg_go_on(p->w) : 0; /* it may have gone further than others */
    if (result < 0)
        return end(p, result);
    p->stop |= result == 1;
    p->paused = false;
    p->until[0] = pauses ? last + rg_ring_lead(p->ring, p->node) : INT64_MAX;
    p->until[1] = pauses ? last + rg_ring_lead(p->ring, p->ring->stages - 1) : INT64_MAX;
    result = p->stop ? 0 : run(p);
    if (result == 0 && pauses && !p->stop)
        result = land(p); /* while the clock runs */
    /* A stage that stops after another epoch's update waits for the others to end this one. */
    p->paused = result == 0 && pauses && (!p->stop || p->w->iterations > end_of_epoch);
    return p->paused ? 0 : end(p, result);
}

int rg_pipeline_train(void *pipeline, int64_t first, int64_t count)
{
    struct rg_pipeline *p = pipeline;
    bool on = p->ring->flows_on;
    if (!p->paused) {
        begin(p, first, on ? p->job->iterations - first : count);
        if (p->limit > 0) {
            int result = prepare_sums(p);
            if (result == 0)
                result = rg_backup_begin(p, first, first + count);
            if (result)
                return end(p, result);
        }
    }
    return on ? train_on(p, first + count) : end(p, run(p));
}

/* Units that the first stage has taken in go through all stages; receives that wait for others are
 * given up. */
int rg_pipeline_drain(void *pipeline)
{
    struct rg_pipeline *p = pipeline;
    int64_t begun = p->until[0] - rg_ring_lead(p->ring, p->node) + p->ring->depth[0] + 1;
    p->limit = RG_MIN(p->limit, begun);
    p->until[0] = p->until[1] = INT64_MAX;
    p->draining = true;
    p->stop = false;
    int result = run(p);
    if (result == 0)
        result = land(p);
    rg_pipeline_cancel(p);
    return result;
}
