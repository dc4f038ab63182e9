/* Making the lists. The checker is in plan_check.c. */
#include "strategies/plan.h"

#include "base/check.h"
#include "strategies/schedule.h"
#include <stdlib.h>

const char *rg_op_name(enum rg_plan_op op)
{
    static const char *const names[] = {"LOAD",    "FORWARD", "RECOMPUTE", "LOSS", "BACKWARD",
                                        "WEIGHTS", "SEND",    "RECV",      "WAIT", "REDUCE",
                                        "BACKUP",  "STEP",    "END"};
    return names[op];
}

enum rg_buffer rg_channel_source(enum rg_plan_channel channel)
{
    static const enum rg_buffer source[] = {RG_BUFFER_STASH, RG_BUFFER_DX, RG_BUFFER_STASH,
                                            RG_BUFFER_LOGITS};
    return source[channel];
}

enum rg_buffer rg_channel_target(enum rg_plan_channel channel)
{
    static const enum rg_buffer target[] = {RG_BUFFER_INPUT, RG_BUFFER_DY, RG_BUFFER_LOGITS,
                                            RG_BUFFER_DY};
    return target[channel];
}

int rg_channel_peer(enum rg_plan_channel channel, int stage, int stages, bool send)
{
    switch (channel) {
    case RG_CHANNEL_ACTIVATION:
        return send ? stage + 1 : stage - 1;
    case RG_CHANNEL_GRADIENT:
        return send ? stage - 1 : stage + 1;
    case RG_CHANNEL_OUTPUT:
        return send ? 0 : stages - 1;
    default:
        return send ? stages - 1 : 0;
    }
}

/* A list being written: the prologue first, then the body, into one array each. */
struct rg_plan_writer {
    const struct rg_plan_spec *spec;
    struct rg_plan *plans; /* of all stages */
    struct rg_plan *plan;  /* of the node's stage whose turn it is */
    struct rg_list *list;
    bool in_body, failed;
};

static void put(struct rg_plan_writer *w, enum rg_plan_op op, enum rg_plan_channel channel,
                int unit)
{
    struct rg_list *list = w->list;
    struct rg_instruction **array = w->in_body ? &list->body : &list->prologue;
    int *count = w->in_body ? &list->body_count : &list->prologue_count;
    if ((*count & (*count - 1)) == 0) { /* full at every power of two */
        size_t room = *count ? 2 * (size_t)*count : 1;
        struct rg_instruction *more = realloc(*array, room * sizeof *more);
        if (!more) {
            w->failed = true;
            return;
        }
        *array = more;
    }
    (*array)[(*count)++] = (struct rg_instruction){
        .op = op, .channel = channel, .stage = w->plan->stage, .unit = unit};
}

static void put_send(struct rg_plan_writer *w, enum rg_plan_channel channel, int unit)
{
    put(w, RG_OP_SEND, channel, unit);
    if (!w->spec->overlap)
        put(w, RG_OP_WAIT, channel, unit);
}

static bool is_first(const struct rg_plan_writer *w)
{
    return w->plan->stage == 0;
}

static bool is_last(const struct rg_plan_writer *w)
{
    return w->plan->stage == w->plan->stages - 1;
}

/* The channel on which the gradient of this stage's output arrives. */
static enum rg_plan_channel gradient_channel(const struct rg_plan_writer *w)
{
    return is_last(w) ? RG_CHANNEL_LOSS : RG_CHANNEL_GRADIENT;
}

void rg_plan_begin_body(struct rg_plan_writer *w)
{
    w->in_body = true;
}

int rg_plan_nodes(const struct rg_plan_writer *w)
{
    return w->spec->nodes;
}

int rg_plan_chunks(const struct rg_plan_writer *w)
{
    return w->spec->stages / w->spec->nodes;
}

int rg_plan_node(const struct rg_plan_writer *w)
{
    return w->plan->stage % w->spec->nodes;
}

void rg_plan_turn_to(struct rg_plan_writer *w, int chunk)
{
    w->plan = &w->plans[chunk * w->spec->nodes + rg_plan_node(w)];
}

void rg_plan_put_forward(struct rg_plan_writer *w, int unit)
{
    if (is_first(w))
        put(w, RG_OP_LOAD, 0, unit);
    put(w, RG_OP_FORWARD, 0, unit);
    if (w->plan->stages == 1)
        put(w, RG_OP_LOSS, 0, unit);
    else
        put_send(w, is_last(w) ? RG_CHANNEL_OUTPUT : RG_CHANNEL_ACTIVATION, unit);
    bool last = unit == w->plan->units - 1 && w->plan->stage + w->spec->nodes >= w->plan->stages;
    if (w->spec->backup && last)
        put(w, RG_OP_BACKUP, 0, unit);
}

/* The receives that will fill the slots of a unit that is done with. */
static void put_receives(struct rg_plan_writer *w, int unit)
{
    if (w->plan->stages == 1)
        return;
    if (!is_first(w))
        put(w, RG_OP_RECV, RG_CHANNEL_ACTIVATION, unit + w->plan->slots[RG_BUFFER_INPUT]);
    put(w, RG_OP_RECV, gradient_channel(w), unit + w->plan->slots[RG_BUFFER_DY]);
}

/* After a backward pass its slots are free: the receives that will fill them are posted before the
 * gradient leaves, so that none of them can ever be late. After the first half of one it is the
 * other slots that wait, of which there are enough for that. */
void rg_plan_put_backward(struct rg_plan_writer *w, int unit)
{
    if (w->plan->recompute)
        put(w, RG_OP_RECOMPUTE, 0, unit);
    put(w, RG_OP_BACKWARD, 0, unit);
    if (!w->plan->split)
        put_receives(w, unit);
    if (!is_first(w))
        put_send(w, RG_CHANNEL_GRADIENT, unit);
}

void rg_plan_put_weights(struct rg_plan_writer *w, int unit)
{
    put(w, RG_OP_WEIGHTS, 0, unit);
    put_receives(w, unit);
}

int rg_plan_behind(const struct rg_plan_writer *w)
{
    return w->plan->slots[RG_BUFFER_HALVES] - 1;
}

int rg_plan_held(const struct rg_plan_writer *w)
{
    return w->plan->depth;
}

void rg_plan_put_update(struct rg_plan_writer *w, int unit)
{
    for (int chunk = 0; chunk < rg_plan_chunks(w); chunk++) {
        rg_plan_turn_to(w, chunk);
        if (w->spec->reduce)
            put(w, RG_OP_REDUCE, 0, unit);
        put(w, RG_OP_STEP, 0, unit);
    }
    put(w, RG_OP_END, 0, unit);
}

static void write_main_lane(struct rg_plan_writer *w)
{
    for (int chunk = 0; chunk < rg_plan_chunks(w) && w->plan->stages > 1; chunk++) {
        rg_plan_turn_to(w, chunk);
        for (int u = 0; u < w->plan->slots[RG_BUFFER_INPUT] && !is_first(w); u++)
            put(w, RG_OP_RECV, RG_CHANNEL_ACTIVATION, u);
        for (int u = 0; u < w->plan->slots[RG_BUFFER_DY]; u++)
            put(w, RG_OP_RECV, gradient_channel(w), u);
    }
    rg_plan_turn_to(w, 0);
    w->spec->schedule->order(w, w->plan->units, w->spec->depth[w->plan->stage]);
}

/* One receive more is posted than the last stage sends unanswered, so that none is late. */
static void write_loss_lane(struct rg_plan_writer *w)
{
    int ahead = w->spec->depth[w->spec->stages - 1] + 1;
    for (int u = 0; u < ahead; u++)
        put(w, RG_OP_RECV, RG_CHANNEL_OUTPUT, u);
    w->in_body = true;
    for (int u = 0; u < w->plan->units; u++) {
        put(w, RG_OP_LOSS, 0, u);
        put_send(w, RG_CHANNEL_LOSS, u);
        put(w, RG_OP_RECV, RG_CHANNEL_OUTPUT, u + ahead);
    }
}

/* Messages of a stage that may be on their way before it has to wait for the first to arrive. */
enum { UNDER_WAY = 4 };

int rg_plan_behind_of(int stages, int stage, const int *depth, enum rg_stash stash)
{
    int room = stash == RG_STASH_HALVES ? depth[0] - depth[stage] : 0;
    return room > 0 && depth[stages - 1] == 1 ? room - 1 : room;
}

void rg_plan_slots(int stages, int stage, const int *depth, enum rg_stash stash,
                   int slots[RG_BUFFERS])
{
    bool redo = stash == RG_STASH_INPUTS, split = stash == RG_STASH_HALVES;
    int behind = rg_plan_behind_of(stages, stage, depth, stash);
    int held = split ? depth[0] : depth[stage];
    /* The stage before may have so many units under way towards this one; where slots are freed by
     * the second half of a backward pass, its gradient has left for that stage before. */
    slots[RG_BUFFER_INPUT] = depth[stage > 0 ? stage - 1 : 0];
    if (split && stage > 0)
        slots[RG_BUFFER_INPUT] += behind + 1;
    /* Of activations that are computed again only outputs are kept, while they leave. */
    slots[RG_BUFFER_STASH] = redo ? RG_MIN(held, UNDER_WAY) : held;
    slots[RG_BUFFER_REDO] = redo ? 1 : 0;
    slots[RG_BUFFER_DY] = held;
    slots[RG_BUFFER_HALVES] = split ? behind + 1 : 0;
    slots[RG_BUFFER_DX] = stage > 0 ? RG_MIN(depth[stage], UNDER_WAY) : 0;
    /* Those that the last stage sends unanswered, and answers that are leaving. */
    slots[RG_BUFFER_LOGITS] = stage == 0 && stages > 1 ? depth[stages - 1] + UNDER_WAY : 0;
}

int rg_plan_versions(enum rg_stash stash, int depth, int units)
{
    return stash == RG_STASH_WEIGHTS ? rg_updates_behind(depth, units) + 1 : 1;
}

static void make(struct rg_plan *plan, const struct rg_plan_spec *spec, int stage)
{
    enum rg_stash stash = spec->stash;
    int depth = spec->depth[stage];
    *plan = (struct rg_plan){
        .stage = stage,
        .stages = spec->stages,
        .nodes = spec->nodes,
        .units = spec->units,
        .depth = stash == RG_STASH_HALVES ? spec->depth[0] : depth,
        .versions = rg_plan_versions(stash, depth, spec->units),
        .recompute = stash == RG_STASH_INPUTS,
        .split = stash == RG_STASH_HALVES,
    };
    rg_plan_slots(spec->stages, stage, spec->depth, stash, plan->slots);
}

/* Their arrays grew by doubling. */
static void trim(struct rg_list *list)
{
    struct rg_instruction **arrays[] = {&list->prologue, &list->body};
    const int counts[] = {list->prologue_count, list->body_count};
    for (int i = 0; i < 2; i++) {
        struct rg_instruction *exact =
            counts[i] ? realloc(*arrays[i], (size_t)counts[i] * sizeof *exact) : NULL;
        *arrays[i] = exact ? exact : *arrays[i];
    }
}

struct rg_plan *rg_plans_make(const struct rg_plan_spec *spec)
{
    struct rg_plan *plans = calloc((size_t)spec->stages, sizeof *plans);
    bool failed = plans == NULL;
    RG_ASSERT(spec->stages % spec->nodes == 0);
    for (int s = 0; s < spec->stages && !failed; s++) {
        RG_ASSERT(spec->depth[s] >= 1 && (s == 0 || spec->depth[s] <= spec->depth[s - 1]));
        RG_ASSERT(!spec->schedule->synchronous || spec->depth[s] <= spec->units);
        make(&plans[s], spec, s);
    }
    for (int node = 0; node < spec->nodes && !failed; node++) {
        struct rg_plan_writer w = {
            .spec = spec, .plans = plans, .plan = &plans[node], .list = &plans[node].lanes[0]};
        write_main_lane(&w);
        trim(w.list);
        if (node == 0 && spec->stages > 1) {
            struct rg_plan_writer loss = {
                .spec = spec, .plans = plans, .plan = &plans[0], .list = &plans[0].lanes[1]};
            write_loss_lane(&loss);
            failed = loss.failed;
        }
        failed = failed || w.failed;
    }
    if (failed) {
        rg_plans_free(plans, spec->stages);
        return NULL;
    }
    return plans;
}

void rg_plans_free(struct rg_plan *plans, int stages)
{
    for (int s = 0; plans && s < stages; s++) {
        for (int lane = 0; lane < RG_LANES; lane++) {
            free(plans[s].lanes[lane].prologue);
            free(plans[s].lanes[lane].body);
        }
    }
    free(plans);
}

const struct rg_instruction *rg_plan_peek(struct rg_cursor *cursor, int units, int64_t limit,
                                          int64_t *unit)
{
    const struct rg_list *list = cursor->list;
    for (;;) {
        if (cursor->next == (cursor->in_body ? list->body_count : list->prologue_count)) {
            cursor->base += cursor->in_body ? units : 0;
            cursor->in_body = true;
            cursor->next = 0;
        }
        if (cursor->in_body && (list->body_count == 0 || cursor->base >= limit))
            return NULL;
        const struct rg_instruction *in =
            &(cursor->in_body ? list->body : list->prologue)[cursor->next];
        *unit = cursor->base + in->unit;
        if (*unit < limit)
            return in;
        cursor->next++;
    }
}
