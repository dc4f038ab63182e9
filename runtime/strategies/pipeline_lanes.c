/* The interpreter of plans: one node's part in a ring.
 *
 * An instruction waits for what it needs and then runs. Of a node with two lanes, one strand runs
 * whichever can go on, the loss lane first; or where the schedule has the loss beside, each lane is
 * a strand of its own, so that no loss waits for the end of what the other is at. Numerics never
 * depend on that choice: the lanes touch different buffers and each keeps its own order. */
#include "strategies/pipeline_parts.h"

#include "strategies/tell.h"
#include <math.h>

/* NULL: there is none, or none before a pause. */
static const struct rg_instruction *peek(struct rg_pipeline *p, int lane, int64_t *unit)
{
    const struct rg_instruction *in =
        rg_plan_peek(&p->lanes[lane].at, p->ring->micro, p->limit, unit);
    bool begins = in && (lane == 1 ? in->op == RG_OP_LOSS
                                   : in->op == RG_OP_RECOMPUTE || in->op == RG_OP_BACKWARD);
    return begins && *unit > p->lanes[lane].until ? NULL : in;
}

/* How many of the instruction's needs are not known to be met; they are put in list. Or an error.
 */
static int pending(struct rg_pipeline *p, const struct rg_instruction *in, int64_t unit,
                   struct rg_request *list[2])
{
    struct rg_request *all[2];
    int n = rg_pipeline_needs(p, in, unit, all), left = 0;
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

/* Until what an instruction needs has come: 0, or an error; or 1 where the other strand has come to
 * its end first. */
static int await_beside(struct rg_pipeline *p, int lane, const struct rg_instruction *in,
                        int64_t unit)
{
    struct rg_pipeline_lane *l = &p->lanes[lane];
    struct rg_request *list[3];
    int waiting, index;
    while ((waiting = pending(p, in, unit, list)) > 0) {
        list[waiting] = &l->told;
        int result = rg_wait_any(l->w, list, waiting + 1, RG_FOREVER, &index);
        if (result || index == waiting)
            return result ? result : 1;
    }
    return waiting;
}

static int await(struct rg_pipeline *p, const struct rg_instruction *in, int64_t unit)
{
    struct rg_request *list[2];
    if (in->op == RG_OP_WAIT)
        return wait_sent(p, sent_of(p, in, unit));
    int n = rg_pipeline_needs(p, in, unit, list);
    return n ? rg_wait_all(p->w, list, n) : 0;
}

/* 0, or an error, or 1 as above. */
static int run_lane(struct rg_pipeline *p, int lane)
{
    struct rg_pipeline_lane *l = &p->lanes[lane];
    const struct rg_instruction *in;
    int64_t unit;
    while (!(lane == 0 && p->stop) && (in = peek(p, lane, &unit)) != NULL) {
        int result = p->beside ? await_beside(p, lane, in, unit) : await(p, in, unit);
        if (result == 0)
            result = rg_pipeline_execute(p, l->w, in, unit);
        if (result)
            return result;
        l->at.next++;
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
    p->lanes[lane].at.next++;
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
    int result = rg_pipeline_execute(p, p->w, in, unit);
    p->lanes[lane].at.next++;
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
    bool bounded = p->lanes[0].until <= end && p->lanes[1].until <= end;
    for (int lane = 0; lane < RG_LANES; lane++)
        p->lanes[lane].until = RG_MIN(p->lanes[lane].until, end);
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

/* Every slot of the node's buffers, in order: what arrives in it, and what leaves from it. Where
 * the loss is beside, of those that are the calling lane's. */
struct slots {
    const struct rg_pipeline *p;
    int lane;
    int stage, buffer, next;
};

static bool is_of_lane(const struct slots *at)
{
    return !at->p->beside || (at->buffer == RG_BUFFER_LOGITS) == (at->lane == 1);
}

static bool next_slot(struct slots *at, struct rg_request **in, struct rg_pipeline_send **out)
{
    for (; at->stage < at->p->chunks; at->stage++, at->buffer = 0)
        for (; at->buffer < RG_BUFFERS; at->buffer++, at->next = 0) {
            const struct rg_pipeline_stage *s = &at->p->stages[at->stage];
            const struct rg_pipeline_buffer *b = &s->buffers[at->buffer];
            int i = at->next++;
            if (i >= s->plan->slots[at->buffer] || (!b->in && !b->out) || !is_of_lane(at))
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

static void cancel_messages(struct rg_pipeline *p, int lane)
{
    struct rg_world *w = p->lanes[lane].w;
    struct slots all = {.p = p, .lane = lane};
    struct rg_request *in;
    struct rg_pipeline_send *out;
    while (next_slot(&all, &in, &out)) {
        if (in)
            rg_cancel(w, in);
        if (out)
            rg_cancel(w, &out->request);
    }
}

void rg_pipeline_cancel(struct rg_pipeline *p)
{
    for (int i = 0; i < p->chunks; i++)
        rg_allreduce_cancel(&p->stages[i].reduce);
    rg_backup_cancel(p);
    cancel_messages(p, 0);
}

/* What others need for iterations that they, too, bring to an end. */
static int finish_sends(struct rg_pipeline *p, int lane)
{
    struct slots all = {.p = p, .lane = lane};
    struct rg_pipeline_send *out;
    int result = 0;
    while (result == 0 && (out = next_send(&all)) != NULL)
        if (rg_pipeline_iteration(p, out->unit) < p->w->iterations)
            result = rg_wait(p->lanes[lane].w, &out->request);
    return result;
}

/* ---- the loss beside ---- */

/* The tag by which the strand of a lane tells the other of its end, with its outcome; those of
 * other messages are smaller. */
static uint32_t end_of(const struct rg_pipeline *p, int lane)
{
    return RG_TAG_USER + RG_CHANNELS * (uint32_t)(rg_ring_chunks(p->ring) + 1) + (uint32_t)lane;
}

static int listen(struct rg_pipeline *p, int lane)
{
    struct rg_pipeline_lane *l = &p->lanes[lane];
    return rg_recv(l->w, l->w->rank, end_of(p, 1 - lane), &l->word, sizeof l->word, &l->told);
}

/* The loss lane, until the other one has come to its end. */
static int loss_strand(struct rg_world *w, void *arg)
{
    struct rg_pipeline *p = arg;
    struct rg_pipeline_lane *l = &p->lanes[1];
    l->w = w;
    int result = listen(p, 1);
    if (result == 0)
        result = run_lane(p, 1);
    if (result < 0)
        rg_tell(w, end_of(p, 1), result);
    int told = rg_wait(w, &l->told); /* complete, where it ends with the other */
    if (result == 0)
        result = told ? told : finish_sends(p, 1);
    cancel_messages(p, 1);
    return RG_MIN(result, 0);
}

static int run_beside(struct rg_pipeline *p)
{
    struct rg_strand *strand;
    int ended = 0, result = rg_feed_epoch(&p->feed, p->first); /* of which the other reads */
    if (result == 0)
        result = listen(p, 0);
    if (result)
        return result;
    result = rg_spawn(p->w, loss_strand, p, &strand);
    if (result == 0) {
        result = run_lane(p, 0);
        int told = rg_tell(p->w, end_of(p, 0), result);
        int joined = rg_join(p->w, strand, &ended);
        result = result < 0 ? result : ended ? ended : told ? told : joined;
    }
    p->lanes[1].w = p->w;
    rg_cancel(p->w, &p->lanes[0].told);
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
    for (int lane = 0; lane < RG_LANES; lane++)
        p->lanes[lane] = (struct rg_pipeline_lane){
            .w = p->w, .at = {.list = &p->stages[0].plan->lanes[lane]}, .until = INT64_MAX};
    p->beside = rg_ring_has_loss_beside(p->ring) && p->lanes[1].at.list->body_count > 0;
}

static int run(struct rg_pipeline *p)
{
    if (p->beside)
        return run_beside(p);
    return p->lanes[1].at.list->body_count ? run_two_lanes(p) : run_lane(p, 0);
}

static int end(struct rg_pipeline *p, int result)
{
    if (result == 0)
        result = finish_sends(p, 0);
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
    p->lanes[0].until = pauses ? last + rg_ring_lead(p->ring, p->node) : INT64_MAX;
    p->lanes[1].until = pauses ? last + rg_ring_lead(p->ring, p->ring->stages - 1) : INT64_MAX;
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
    int64_t begun = p->lanes[0].until - rg_ring_lead(p->ring, p->node) + p->ring->depth[0] + 1;
    p->limit = RG_MIN(p->limit, begun);
    p->lanes[0].until = p->lanes[1].until = INT64_MAX;
    p->draining = true;
    p->stop = false;
    int result = run(p);
    if (result == 0)
        result = land(p);
    rg_pipeline_cancel(p);
    return result;
}
