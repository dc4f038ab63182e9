/* The checker: runs the lists of all stages abstractly, without a world.
 *
 * The stages form a network of processes that only wait for their own data, so any order of
 * stepping them leads to the same end: it steps whatever can go on until nothing can. */
#include "strategies/plan.h"

#include "base/check.h"
#include "base/error.h"
#include "base/need.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum content { EMPTY, POSTED, FULL };

struct slot {
    enum content content;
    int unit;
    bool needed;  /* by an instruction that is still to come */
    bool leaving; /* a send that has not met its receive */
    double date;  /* of arrival, or of the end of the send */
    int turn;     /* of its receive, among those of its channel */
};

struct lane_state {
    struct rg_cursor at;
    double date;
};

struct stage_state {
    const struct rg_plan *plan;
    struct slot *slots[RG_BUFFERS];
    struct lane_state lanes[RG_LANES]; /* of its node, where it is that's first stage */
    int held; /* units between FORWARD and the end of their backward pass */
    int done; /* units behind it: they come to their end in order, as their gradients are summed */
    int posted[RG_CHANNELS], arrived[RG_CHANNELS]; /* receives */
};

/* A message that has been sent and not yet met its receive; in order, a queue a directed pair. */
struct message {
    int from, to;
    enum rg_plan_channel channel;
    int unit;
    double date;
    struct message *next;
};

struct check {
    struct stage_state *stages;
    int count, units;
    const struct rg_plan_times *times;
    struct message *first, **last;
    struct rg_plan_facts *facts;
    struct rg_error *e;
    bool failed;
};

static struct slot *slot_of(struct stage_state *stage, enum rg_buffer buffer, int unit)
{
    int n = stage->plan->slots[buffer];
    RG_ASSERT(n > 0);
    return &stage->slots[buffer][unit % n];
}

static void complain(struct check *c, int lane, const struct rg_instruction *instruction, int unit,
                     const char *what)
{
    if (!c->failed)
        rg_fail(c->e, RG_ERR_INVALID, "stage %d, lane %d, %s of unit %d: %s", instruction->stage,
                lane, rg_op_name(instruction->op), unit, what);
    c->failed = true;
}

/* What an instruction finds: go on, wait, or a fault of the list. */
enum verdict { GO, BLOCKED, FAULT };

static enum verdict readable(const struct slot *slot, int unit, double *date)
{
    if (slot->unit != unit || slot->content == EMPTY)
        return FAULT;
    if (slot->content == POSTED)
        return BLOCKED;
    *date = fmax(*date, slot->date);
    return GO;
}

static enum verdict writable(const struct slot *slot, double *date)
{
    if (slot->needed || slot->content == POSTED)
        return FAULT;
    if (slot->leaving)
        return BLOCKED;
    *date = fmax(*date, slot->date);
    return GO;
}

static void fill(struct slot *slot, int unit, bool needed, double date)
{
    *slot = (struct slot){.content = FULL, .unit = unit, .needed = needed, .date = date};
}

static bool ring_of_one(const struct check *c)
{
    return c->count == 1;
}

static enum verdict forward(struct check *c, struct stage_state *s, int unit, double *date)
{
    struct slot *stash = slot_of(s, RG_BUFFER_STASH, unit);
    enum verdict verdict = readable(slot_of(s, RG_BUFFER_INPUT, unit), unit, date);
    if (verdict == GO)
        verdict = writable(stash, date);
    if (verdict == GO && s->plan->recompute)
        verdict = writable(slot_of(s, RG_BUFFER_REDO, unit), date);
    if (verdict != GO)
        return verdict;
    *date += c->times->forward;
    fill(stash, unit, !s->plan->recompute, *date);
    s->held++;
    c->facts->peak_units = RG_MAX(c->facts->peak_units, s->held);
    return GO;
}

static enum verdict finish(struct stage_state *s, int unit)
{
    s->held--;
    return s->done++ == unit ? GO : FAULT;
}

static enum verdict backward(struct check *c, struct stage_state *s, int unit, double *date)
{
    struct slot *dy = slot_of(s, RG_BUFFER_DY, unit), *input = slot_of(s, RG_BUFFER_INPUT, unit);
    struct slot *stash = slot_of(s, s->plan->recompute ? RG_BUFFER_REDO : RG_BUFFER_STASH, unit);
    enum verdict verdict = readable(dy, unit, date);
    if (verdict == GO)
        verdict = readable(input, unit, date);
    if (verdict == GO)
        verdict = readable(stash, unit, date);
    if (verdict == GO && s->plan->stage > 0)
        verdict = writable(slot_of(s, RG_BUFFER_DX, unit), date);
    if (verdict == GO && s->plan->split)
        verdict = writable(slot_of(s, RG_BUFFER_HALVES, unit), date);
    if (verdict != GO)
        return verdict;
    *date += c->times->backward - (s->plan->split ? c->times->weights : 0);
    if (s->plan->stage > 0)
        fill(slot_of(s, RG_BUFFER_DX, unit), unit, true, *date);
    if (s->plan->split) {
        fill(slot_of(s, RG_BUFFER_HALVES, unit), unit, true, *date);
        return GO;
    }
    dy->needed = input->needed = stash->needed = false;
    return finish(s, unit);
}

static enum verdict weights(struct check *c, struct stage_state *s, int unit, double *date)
{
    static const enum rg_buffer reads[] = {RG_BUFFER_DY, RG_BUFFER_INPUT, RG_BUFFER_STASH,
                                           RG_BUFFER_HALVES};
    for (size_t i = 0; i < RG_COUNT(reads); i++)
        if (readable(slot_of(s, reads[i], unit), unit, date) != GO)
            return FAULT; /* its first half had all of them */
    *date += c->times->weights;
    for (size_t i = 0; i < RG_COUNT(reads); i++)
        slot_of(s, reads[i], unit)->needed = false;
    return finish(s, unit);
}

static enum verdict recompute(struct check *c, struct stage_state *s, int unit, double *date)
{
    /* The gradient is waited for first, so that the weights are those of its arrival. */
    enum verdict verdict = readable(slot_of(s, RG_BUFFER_DY, unit), unit, date);
    if (verdict == GO)
        verdict = readable(slot_of(s, RG_BUFFER_INPUT, unit), unit, date);
    if (verdict == GO)
        verdict = writable(slot_of(s, RG_BUFFER_REDO, unit), date);
    if (verdict == GO) {
        *date += c->times->forward;
        fill(slot_of(s, RG_BUFFER_REDO, unit), unit, true, *date);
    }
    return verdict;
}

static enum verdict loss(struct check *c, struct stage_state *s, int unit, double *date)
{
    if (!ring_of_one(c))
        return readable(slot_of(s, RG_BUFFER_LOGITS, unit), unit, date);
    enum verdict verdict = readable(slot_of(s, RG_BUFFER_STASH, unit), unit, date);
    if (verdict == GO)
        verdict = writable(slot_of(s, RG_BUFFER_DY, unit), date);
    if (verdict == GO)
        fill(slot_of(s, RG_BUFFER_DY, unit), unit, true, *date);
    return verdict;
}

static enum verdict send(struct check *c, struct stage_state *s, enum rg_plan_channel channel,
                         int unit, double date)
{
    struct slot *slot = slot_of(s, rg_channel_source(channel), unit);
    if (slot->content != FULL || slot->unit != unit || slot->leaving)
        return FAULT;
    struct message *message = rg_need(NULL, sizeof *message);
    *message = (struct message){
        .from = s->plan->stage,
        .to = rg_channel_peer(channel, s->plan->stage, c->count, true),
        .channel = channel,
        .unit = unit,
        .date = date,
    };
    *c->last = message;
    c->last = &message->next;
    slot->leaving = true;
    if (rg_channel_source(channel) != RG_BUFFER_STASH)
        slot->needed = false; /* it goes on being protected by `leaving` */
    c->facts->messages[channel]++;
    return GO;
}

static enum verdict post(struct stage_state *s, enum rg_plan_channel channel, int unit,
                         double *date)
{
    struct slot *slot = slot_of(s, rg_channel_target(channel), unit);
    enum verdict verdict = writable(slot, date);
    if (verdict == GO)
        *slot = (struct slot){.content = POSTED,
                              .unit = unit,
                              .needed = true,
                              .date = *date,
                              .turn = s->posted[channel]++};
    return verdict;
}

static enum verdict execute(struct check *c, const struct rg_instruction *in, int unit,
                            double *date)
{
    struct stage_state *s = &c->stages[in->stage];
    switch (in->op) {
    case RG_OP_LOAD: {
        struct slot *slot = slot_of(s, RG_BUFFER_INPUT, unit);
        enum verdict verdict = writable(slot, date);
        if (verdict == GO)
            fill(slot, unit, true, *date);
        return verdict;
    }
    case RG_OP_FORWARD:
        return forward(c, s, unit, date);
    case RG_OP_RECOMPUTE:
        return recompute(c, s, unit, date);
    case RG_OP_LOSS:
        return loss(c, s, unit, date);
    case RG_OP_BACKWARD:
        return backward(c, s, unit, date);
    case RG_OP_WEIGHTS:
        return weights(c, s, unit, date);
    case RG_OP_SEND:
        return send(c, s, in->channel, unit, *date);
    case RG_OP_RECV:
        return post(s, in->channel, unit, date);
    case RG_OP_WAIT: {
        const struct slot *slot = slot_of(s, rg_channel_source(in->channel), unit);
        *date = fmax(*date, slot->date);
        return slot->leaving ? BLOCKED : GO;
    }
    case RG_OP_REDUCE:
    case RG_OP_STEP:
        return s->done == unit + 1 ? GO : FAULT; /* with the gradients of all its units */
    default:
        return GO;
    }
}

static const struct rg_instruction *peek(struct check *c, struct stage_state *s, int lane,
                                         int *unit)
{
    int64_t number = 0;
    const struct rg_instruction *in =
        rg_plan_peek(&s->lanes[lane].at, s->plan->units, c->units, &number);
    *unit = (int)number;
    return in;
}

static bool advance(struct check *c, struct stage_state *s, int lane)
{
    bool moved = false;
    const struct rg_instruction *in;
    int unit;
    while ((in = peek(c, s, lane, &unit)) != NULL) {
        double date = s->lanes[lane].date;
        enum verdict verdict = execute(c, in, unit, &date);
        if (verdict == FAULT)
            complain(c, lane, in, unit,
                     "it reads or overwrites what it must not, or comes out of turn");
        if (verdict != GO)
            return moved;
        s->lanes[lane].date = date;
        s->lanes[lane].at.next++;
        moved = true;
    }
    return moved;
}

/* May a message arrive? Messages of a channel meet its receives in the order of both, whatever the
 * units: a receive of another unit whose turn it is would get it. */
static bool may_arrive(struct check *c, const struct message *m)
{
    struct stage_state *to = &c->stages[m->to];
    const struct slot *target = slot_of(to, rg_channel_target(m->channel), m->unit);
    int turn = to->arrived[m->channel];
    if (turn == to->posted[m->channel])
        return false; /* nobody waits yet */
    if (target->content == POSTED && target->unit == m->unit && target->turn == turn)
        return true;
    if (!c->failed)
        rg_fail(c->e, RG_ERR_INVALID,
                "stage %d: unit %d from stage %d arrives for another's receive", m->to, m->unit,
                m->from);
    c->failed = true;
    return false;
}

/* Deliver the oldest message of every directed pair of nodes whose receive is posted. */
static bool deliver(struct check *c)
{
    int nodes = c->stages[0].plan->nodes;
    bool moved = false;
    struct message **link = &c->first;
    while (*link) {
        struct message *m = *link;
        bool behind = false; /* an older one of the same pair is still there */
        for (struct message *o = c->first; o != m; o = o->next)
            behind |= o->from % nodes == m->from % nodes && o->to % nodes == m->to % nodes;
        if (behind || !may_arrive(c, m)) {
            link = &m->next;
            continue;
        }
        struct slot *target = slot_of(&c->stages[m->to], rg_channel_target(m->channel), m->unit);
        c->stages[m->to].arrived[m->channel]++;
        struct slot *source = slot_of(&c->stages[m->from], rg_channel_source(m->channel), m->unit);
        target->content = FULL;
        target->date = source->date = fmax(m->date, target->date);
        source->leaving = false;
        *link = m->next;
        if (c->last == &m->next)
            c->last = link;
        free(m);
        moved = true;
    }
    return moved;
}

static int conclude(struct check *c)
{
    for (int i = 0; i < c->count && !c->failed; i++) {
        for (int lane = 0; lane < RG_LANES; lane++) {
            int unit;
            struct stage_state *s = &c->stages[i];
            const struct rg_instruction *in = peek(c, s, lane, &unit);
            if (in)
                complain(c, lane, in, unit, "it waits for ever: the schedule deadlocks");
            c->facts->makespan = fmax(c->facts->makespan, s->lanes[lane].date);
        }
    }
    if (!c->failed && c->first) {
        c->failed = true;
        rg_fail(c->e, RG_ERR_INVALID, "stage %d sends unit %d and nobody receives it",
                c->first->from, c->first->unit);
    }
    return c->failed ? RG_ERR_INVALID : 0;
}

int rg_plan_check(const struct rg_plan *plans, int units, const struct rg_plan_times *times,
                  struct rg_plan_facts *facts, struct rg_error *e)
{
    int count = plans[0].stages;
    struct check c = {.count = count, .units = units, .times = times, .facts = facts, .e = e};
    *facts = (struct rg_plan_facts){0};
    c.last = &c.first;
    c.stages = rg_need_zeroed((size_t)count, sizeof *c.stages);
    for (int i = 0; i < count; i++) {
        c.stages[i].plan = &plans[i];
        for (int buffer = 0; buffer < RG_BUFFERS; buffer++) {
            c.stages[i].slots[buffer] =
                calloc((size_t)plans[i].slots[buffer] + 1, sizeof(struct slot));
            RG_ASSERT(c.stages[i].slots[buffer]);
        }
        for (int lane = 0; lane < RG_LANES; lane++)
            c.stages[i].lanes[lane].at.list = &plans[i].lanes[lane];
    }
    bool moved = true;
    while (moved && !c.failed) {
        moved = deliver(&c);
        for (int i = 0; i < count && !c.failed; i++)
            for (int lane = 0; lane < RG_LANES; lane++)
                moved |= advance(&c, &c.stages[i], lane);
    }
    int result = conclude(&c);
    for (struct message *m = c.first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    for (int i = 0; i < count; i++)
        for (int buffer = 0; buffer < RG_BUFFERS; buffer++)
            free(c.stages[i].slots[buffer]);
    free(c.stages);
    return result;
}
