/* The interpreter of plans: one node's part in a ring.
 *
 * An instruction waits for what it needs and then runs; a node with two lanes runs whichever can go
 * on, the loss lane first. Numerics never depend on that choice: the lanes touch different buffers
 * and each keeps its own order. */
#include "strategies/ring.h"

#include "base/check.h"
#include "collectives/collectives.h"
#include "models/loss.h"
#include "strategies/replica.h"
#include <stdlib.h>
#include <string.h>

struct slot {
    float *data;
    struct rg_request in, out; /* complete unless under way */
};

/* The cost lists for units of n samples; units differ by at most one sample. */
struct sized {
    int n;
    struct rg_work load, forward, backward, loss;
};

struct lane {
    const struct rg_list *list;
    bool in_body;
    long base; /* unit at which this repetition of the body begins */
    int next;
};

struct rg_pipeline {
    struct rg_world *w;
    const struct rg_job *job;
    const struct rg_ring *ring;
    const struct rg_plan *plan;
    struct rg_stage stage;
    int replica;
    struct rg_feed feed;
    struct rg_update update;
    struct rg_allreduce reduce;
    struct rg_work copy; /* of a weight version */
    float **weights;     /* [plan->versions]; the current one is updates mod versions */
    float *gradient, *scratch;
    uint8_t *labels;
    struct slot *slots[RG_POOLS];
    struct sized sized[2];
    struct lane lanes[RG_LANES];
    long first; /* iteration in which unit 0 lies */
    long limit; /* units of this train() */
    long updates;
    long *read_at; /* [plan->depth]: updates when a unit's forward read the weights */
    long held;
    bool fused;      /* backward takes the step of plain SGD along */
    double looked_s; /* date of the last look at the other lane */
    bool stop;
    struct rg_observation seen;
};

static struct slot *slot_of(struct rg_pipeline *p, enum rg_pool pool, long unit)
{
    RG_ASSERT(p->plan->slots[pool] > 0);
    return &p->slots[pool][unit % p->plan->slots[pool]];
}

static int samples_of(const struct rg_pipeline *p, long unit)
{
    return rg_ring_unit(p->ring, p->replica, (int)(unit % p->plan->units));
}

static struct sized *sized_for(struct rg_pipeline *p, long unit)
{
    return &p->sized[samples_of(p, unit) == p->sized[0].n ? 0 : 1];
}

static long iteration_of(const struct rg_pipeline *p, long unit)
{
    return p->first + unit / p->plan->units;
}

/* Where a unit's samples begin in the batch of its iteration. */
static int first_of(const struct rg_pipeline *p, long unit)
{
    return rg_share_first(p->job->batch, p->ring->replicas, p->replica) +
           rg_share_first(rg_ring_batch(p->ring, p->replica), p->ring->micro,
                          (int)(unit % p->plan->units));
}

/* The version of the weights that a unit's forward read, and its backward wants. */
static float *weights_of(struct rg_pipeline *p, long unit)
{
    long version = p->plan->versions > 1 ? p->read_at[unit % p->plan->depth] : p->updates;
    return p->weights[version % p->plan->versions];
}

/* ---- computation ---- */

struct pass {
    struct rg_pipeline *p;
    long unit;
    int n;
};

static void do_load(void *arg)
{
    const struct pass *a = arg;
    struct rg_pipeline *p = a->p;
    rg_feed_gather(&p->feed, iteration_of(p, a->unit), first_of(p, a->unit), a->n,
                   slot_of(p, RG_POOL_INPUT, a->unit)->data, NULL);
}

static void forward_into(const struct pass *a, enum rg_pool pool)
{
    struct rg_pipeline *p = a->p;
    rg_stage_forward(&p->stage, a->n, p->weights[p->updates % p->plan->versions],
                     slot_of(p, RG_POOL_INPUT, a->unit)->data, slot_of(p, pool, a->unit)->data,
                     p->scratch);
}

static void do_forward(void *arg)
{
    forward_into(arg, RG_POOL_STASH);
}

static void do_recompute(void *arg)
{
    forward_into(arg, RG_POOL_REDO);
}

static void do_backward(void *arg)
{
    const struct pass *a = arg;
    struct rg_pipeline *p = a->p;
    enum rg_pool stash = p->plan->recompute ? RG_POOL_REDO : RG_POOL_STASH;
    bool accumulate = a->unit % p->plan->units > 0;
    const float *x = slot_of(p, RG_POOL_INPUT, a->unit)->data;
    float *w = weights_of(p, a->unit), *dy = slot_of(p, RG_POOL_DY, a->unit)->data;
    float *dx = p->plan->stage > 0 ? slot_of(p, RG_POOL_DX, a->unit)->data : NULL;
    if (p->fused)
        rg_stage_backward_sgd(&p->stage, a->n, w, x, slot_of(p, stash, a->unit)->data, dy, dx,
                              p->gradient, p->job->optimizer.rate, p->scratch);
    else
        rg_stage_backward(&p->stage, a->n, w, x, slot_of(p, stash, a->unit)->data, dy, dx,
                          p->gradient, accumulate, p->scratch);
}

static void do_loss(void *arg)
{
    const struct pass *a = arg;
    struct rg_pipeline *p = a->p;
    float *logits, *gradient;
    if (p->plan->stages == 1) {
        logits = rg_stage_output(&p->stage, a->n, slot_of(p, RG_POOL_STASH, a->unit)->data);
        gradient = slot_of(p, RG_POOL_DY, a->unit)->data;
    } else {
        logits = gradient = slot_of(p, RG_POOL_LOGITS, a->unit)->data;
    }
    int correct = 0;
    rg_feed_gather(&p->feed, iteration_of(p, a->unit), first_of(p, a->unit), a->n, NULL, p->labels);
    rg_softmax_cross_entropy(a->n, p->job->network->classes, logits, p->labels,
                             1.0f / (float)p->job->batch, gradient, &correct);
}

static int compute(struct rg_pipeline *p, const struct rg_work *work, const char *name, long unit,
                   rg_compute_fn fn)
{
    struct pass pass = {.p = p, .unit = unit, .n = samples_of(p, unit)};
    return rg_compute(p->w, work, name, (int)unit, p->job->numerics ? fn : NULL, &pass);
}

static int forward(struct rg_pipeline *p, long unit)
{
    p->read_at[unit % p->plan->depth] = p->updates;
    p->held++;
    p->seen.peak_units = RG_MAX(p->seen.peak_units, p->held);
    return compute(p, &sized_for(p, unit)->forward, "F", unit, do_forward);
}

static int backward(struct rg_pipeline *p, long unit)
{
    p->held--;
    p->seen.staleness = RG_MAX(p->seen.staleness, p->updates - p->read_at[unit % p->plan->depth]);
    return compute(p, &sized_for(p, unit)->backward, "B", unit, do_backward);
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

/* Where versions are stashed the update goes to a copy: the slot of the version that no unit in
 * flight was computed with. */
static int update(struct rg_pipeline *p, long unit)
{
    int versions = p->plan->versions, result = 0;
    float *now = p->weights[p->updates % versions];
    float *then = p->weights[(p->updates + 1) % versions];
    if (now != then) {
        struct copying c = {then, now, p->update.count};
        result =
            rg_compute(p->w, &p->copy, "copy", (int)unit, p->job->numerics ? do_copy : NULL, &c);
    }
    p->updates++;
    if (result == 0)
        result = rg_update_run(&p->update, p->w, p->job, p->updates, then,
                               p->fused ? NULL : p->gradient);
    return result ? result : rg_allreduce_settle(&p->reduce);
}

/* ---- messages ---- */

static int peer_rank(const struct rg_pipeline *p, enum rg_channel channel, bool send)
{
    return p->replica * p->plan->stages +
           rg_channel_peer(channel, p->plan->stage, p->plan->stages, send);
}

static size_t floats_of(const struct rg_pipeline *p, enum rg_channel channel, long unit, bool send)
{
    size_t n = (size_t)samples_of(p, unit);
    switch (channel) {
    case RG_CHANNEL_ACTIVATION:
        return n * (send ? rg_stage_outputs(&p->stage) : rg_stage_inputs(&p->stage));
    case RG_CHANNEL_GRADIENT:
        return n * (send ? rg_stage_inputs(&p->stage) : rg_stage_outputs(&p->stage));
    default:
        return n * (size_t)p->job->network->classes;
    }
}

static int send(struct rg_pipeline *p, enum rg_channel channel, long unit)
{
    enum rg_pool pool = rg_channel_source(channel);
    struct slot *slot = slot_of(p, pool, unit);
    const float *data = slot->data;
    if (pool == RG_POOL_STASH)
        data = rg_stage_output(&p->stage, samples_of(p, unit), slot->data);
    return rg_send_floats(p->w, peer_rank(p, channel, true), RG_TAG_USER + channel, data,
                          floats_of(p, channel, unit, true), &slot->out);
}

static int receive(struct rg_pipeline *p, enum rg_channel channel, long unit)
{
    struct slot *slot = slot_of(p, rg_channel_target(channel), unit);
    return rg_recv(p->w, peer_rank(p, channel, false), RG_TAG_USER + channel, slot->data,
                   sizeof(float) * floats_of(p, channel, unit, false), &slot->in);
}

/* The receives of the next iteration's sum are posted at once: another replica may be ahead. */
static int reduce(struct rg_pipeline *p, long unit)
{
    int result = rg_allreduce_run(&p->reduce, p->w, p->gradient, p->update.count);
    if (result == 0 && unit + 1 < p->limit)
        result = rg_allreduce_prepare(&p->reduce, p->w, p->gradient, p->update.count);
    return result;
}

/* ---- instructions ---- */

/* The requests an instruction waits for: what it reads has arrived, what it overwrites has left. */
static int needs(struct rg_pipeline *p, const struct rg_instruction *in, long unit,
                 struct rg_request *list[2])
{
    int n = 0;
    switch (in->op) {
    case RG_OP_FORWARD:
        list[n++] = &slot_of(p, RG_POOL_INPUT, unit)->in;
        list[n++] = &slot_of(p, RG_POOL_STASH, unit)->out;
        break;
    case RG_OP_RECOMPUTE:
        list[n++] = &slot_of(p, RG_POOL_DY, unit)->in;
        break;
    case RG_OP_BACKWARD:
        list[n++] = &slot_of(p, RG_POOL_DY, unit)->in;
        if (p->plan->stage > 0)
            list[n++] = &slot_of(p, RG_POOL_DX, unit)->out;
        break;
    case RG_OP_LOSS:
        if (p->plan->stages > 1)
            list[n++] = &slot_of(p, RG_POOL_LOGITS, unit)->in;
        break;
    case RG_OP_RECV:
        list[n++] = &slot_of(p, rg_channel_target(in->channel), unit)->out;
        break;
    case RG_OP_WAIT:
        list[n++] = &slot_of(p, rg_channel_source(in->channel), unit)->out;
        break;
    default:
        break;
    }
    return n;
}

static int execute(struct rg_pipeline *p, const struct rg_instruction *in, long unit)
{
    switch (in->op) {
    case RG_OP_LOAD:
        return compute(p, &sized_for(p, unit)->load, "load", unit, do_load);
    case RG_OP_FORWARD:
        return forward(p, unit);
    case RG_OP_RECOMPUTE:
        return compute(p, &sized_for(p, unit)->forward, "R", unit, do_recompute);
    case RG_OP_LOSS:
        return compute(p, &sized_for(p, unit)->loss, "loss", unit, do_loss);
    case RG_OP_BACKWARD:
        return backward(p, unit);
    case RG_OP_SEND:
        return send(p, in->channel, unit);
    case RG_OP_RECV:
        return receive(p, in->channel, unit);
    case RG_OP_WAIT:
        return 0;
    case RG_OP_REDUCE:
        return reduce(p, unit);
    case RG_OP_STEP:
        return update(p, unit);
    case RG_OP_END:
        break;
    }
    int result = rg_iteration(p->w, iteration_of(p, unit));
    p->stop = result == 1;
    return result == 1 ? 0 : result;
}

/* The next instruction of a lane, or NULL at its end; see the guard in plan.h. */
static const struct rg_instruction *peek(const struct rg_pipeline *p, struct lane *lane, long *unit)
{
    for (;;) {
        int count = lane->in_body ? lane->list->body_count : lane->list->prologue_count;
        if (lane->next == count) {
            if (lane->in_body)
                lane->base += p->plan->units;
            lane->in_body = true;
            lane->next = 0;
            if (lane->list->body_count == 0 || lane->base >= p->limit)
                lane->base = p->limit;
        }
        if (lane->in_body && lane->base >= p->limit)
            return NULL;
        const struct rg_instruction *in =
            &(lane->in_body ? lane->list->body : lane->list->prologue)[lane->next];
        *unit = lane->base + in->unit;
        if (lane->next < (lane->in_body ? lane->list->body_count : lane->list->prologue_count) &&
            *unit < p->limit)
            return in;
        lane->next++;
    }
}

/* How many of the instruction's needs are not known to be met; they are put in list. Or an error.
 */
static int pending(struct rg_pipeline *p, const struct rg_instruction *in, long unit,
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

static int run_one_lane(struct rg_pipeline *p)
{
    const struct rg_instruction *in;
    long unit;
    while (!p->stop && (in = peek(p, &p->lanes[0], &unit)) != NULL) {
        struct rg_request *list[2];
        int n = needs(p, in, unit, list);
        int result = n ? rg_wait_all(p->w, list, n) : 0;
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
static int hold(struct rg_pipeline *p, struct lane *lane)
{
    long unit;
    const struct rg_instruction *in = peek(p, lane, &unit);
    if (!in || in->op != RG_OP_WAIT)
        return 0;
    lane->next++;
    return rg_wait(p->w, &slot_of(p, rg_channel_source(in->channel), unit)->out);
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

static int step_lane(struct rg_pipeline *p, int lane, const struct rg_instruction *in, long unit)
{
    int result = execute(p, in, unit);
    p->lanes[lane].next++;
    return result || p->stop ? result : hold(p, &p->lanes[lane]);
}

static int run_two_lanes(struct rg_pipeline *p)
{
    while (!p->stop) {
        struct rg_request *list[4];
        long unit[RG_LANES];
        int index, result;
        const struct rg_instruction *loss = peek(p, &p->lanes[1], &unit[1]);
        const struct rg_instruction *next = peek(p, &p->lanes[0], &unit[0]);
        int waiting = loss ? pending(p, loss, unit[1], list) : 0;
        int blocked = next && waiting >= 0 ? pending(p, next, unit[0], list + waiting) : 0;
        if (waiting < 0 || blocked < 0)
            return waiting < 0 ? waiting : blocked;
        if (loss && waiting == 0)
            result = step_lane(p, 1, loss, unit[1]);
        else if (next && blocked == 0)
            result = look(p, list, waiting) ? 0 : step_lane(p, 0, next, unit[0]);
        else if (waiting + blocked > 0)
            result = rg_wait_any(p->w, list, waiting + blocked, RG_FOREVER, &index);
        else
            break;
        if (result)
            return result;
    }
    return 0;
}

static void cancel_all(struct rg_pipeline *p)
{
    rg_allreduce_cancel(&p->reduce);
    for (int pool = 0; pool < RG_POOLS; pool++) {
        for (int i = 0; i < p->plan->slots[pool]; i++) {
            if (p->slots[pool][i].in.status == RG_PENDING)
                rg_cancel(p->w, &p->slots[pool][i].in);
            if (p->slots[pool][i].out.status == RG_PENDING)
                rg_cancel(p->w, &p->slots[pool][i].out);
        }
    }
}

static int finish_sends(struct rg_pipeline *p)
{
    int result = 0;
    for (int pool = 0; pool < RG_POOLS && result == 0; pool++)
        for (int i = 0; i < p->plan->slots[pool] && result == 0; i++)
            result = rg_wait(p->w, &p->slots[pool][i].out);
    return result;
}

int rg_pipeline_train(struct rg_pipeline *p, long first, long count)
{
    p->first = first;
    p->limit = count * p->plan->units;
    p->stop = false;
    p->looked_s = -INFINITY;
    p->held = 0;
    for (int lane = 0; lane < RG_LANES; lane++)
        p->lanes[lane] = (struct lane){.list = &p->plan->lanes[lane]};
    int result = p->plan->stage == 0 ? rg_feed_epoch(&p->feed, first) : 0;
    if (result == 0 && p->limit > 0)
        result = rg_allreduce_prepare(&p->reduce, p->w, p->gradient, p->update.count);
    if (result == 0)
        result = p->lanes[1].list->body_count ? run_two_lanes(p) : run_one_lane(p);
    if (result == 0 && !p->stop)
        result = finish_sends(p);
    if (result || p->stop)
        cancel_all(p);
    return result ? result : p->stop;
}

/* ---- opening and closing ---- */

static void size_work(struct rg_pipeline *p)
{
    int capacity = rg_ring_capacity(p->ring);
    for (int i = 0; i < 2; i++) {
        struct sized *s = &p->sized[i];
        s->n = RG_MAX(capacity - i, 1);
        rg_dataset_gather_work(rg_stage_inputs(&p->stage), s->n, &s->load);
        rg_stage_work(&p->stage, s->n, RG_FORWARD, &s->forward);
        rg_stage_work(&p->stage, s->n, RG_BACKWARD, &s->backward);
        rg_softmax_cross_entropy_work(s->n, p->job->network->classes, &s->loss);
    }
    rg_work_vector(&p->copy, 0, 2.0 * sizeof(float) * (double)rg_stage_parameters(&p->stage));
}

static int open_pools(struct rg_pipeline *p, const struct rg_ring_sizes *sizes)
{
    for (int pool = 0; pool < RG_POOLS; pool++) {
        int n = p->plan->slots[pool];
        p->slots[pool] = calloc((size_t)n + 1, sizeof *p->slots[pool]);
        if (!p->slots[pool])
            return RG_ERR_NOMEM;
        for (int i = 0; i < n; i++) {
            p->slots[pool][i].data = rg_mem_floats(p->w->mem, sizes->pool[pool]);
            if (!p->slots[pool][i].data)
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
    p->gradient = rg_mem_alloc(p->w->mem, bytes, phase);
    p->scratch = rg_mem_floats(p->w->mem, sizes->scratch);
    return p->gradient && p->scratch ? 0 : RG_ERR_NOMEM;
}

static int set_parameters(struct rg_pipeline *p, const float *initial)
{
    size_t count = rg_stage_parameters(&p->stage);
    if (!p->job->numerics)
        return 0;
    if (!initial)
        return rg_network_init(p->job->network, p->stage.from, p->stage.to, p->job->seed,
                               p->weights[0]);
    memcpy(p->weights[0], initial + rg_network_offset(p->job->network, p->stage.from),
           count * sizeof *initial);
    return 0;
}

static int open_parts(struct rg_pipeline *p, const float *initial)
{
    struct rg_ring_sizes sizes = rg_ring_sizes(p->ring, p->stage.from, p->stage.to);
    struct rg_group group = {
        .first = p->plan->stage, .stride = p->plan->stages, .count = p->ring->replicas};
    int result = open_pools(p, &sizes);
    if (result == 0)
        result = open_weights(p, &sizes);
    if (result == 0)
        result = rg_update_open(&p->update, p->w, p->job, sizes.parameters);
    if (result == 0)
        result = rg_allreduce_open(&p->reduce, p->w, group, sizes.parameters, RG_TAG_COLLECTIVE);
    if (result == 0 && p->plan->stage == 0) {
        p->labels = rg_mem_alloc(p->w->mem, (size_t)rg_ring_capacity(p->ring), 0);
        result = p->labels ? rg_feed_open(&p->feed, p->w, p->job) : RG_ERR_NOMEM;
    }
    return result ? result : set_parameters(p, initial);
}

int rg_pipeline_open(struct rg_world *w, const struct rg_ring *ring, const float *initial,
                     struct rg_pipeline **pipeline)
{
    struct rg_pipeline *p = calloc(1, sizeof *p);
    *pipeline = p;
    if (!p)
        return RG_ERR_NOMEM;
    p->w = w;
    p->job = ring->job;
    p->ring = ring;
    p->plan = &ring->plans[w->rank % ring->stages];
    p->stage = rg_ring_stage(ring, p->plan->stage);
    p->replica = w->rank / ring->stages;
    p->read_at = calloc((size_t)p->plan->depth, sizeof *p->read_at);
    if (!p->read_at)
        return RG_ERR_NOMEM;
    p->fused = rg_update_is_fusible(p->job) && p->plan->units == 1 && p->plan->versions == 1 &&
               ring->replicas == 1;
    size_work(p);
    return open_parts(p, initial);
}

int rg_pipeline_parameters(struct rg_pipeline *p, rg_visit_fn visit, void *arg)
{
    int result = 0;
    if (p->replica != 0)
        return 0;
    for (int s = 0; s < p->plan->stages && result == 0; s++) {
        struct rg_stage stage = rg_ring_stage(p->ring, s);
        result = rg_stream_parameters(
            p->w, p->job->network, rg_network_offset(p->job->network, stage.from),
            rg_stage_parameters(&stage), s, p->weights[p->updates % p->plan->versions], visit, arg);
    }
    return result;
}

void rg_pipeline_observe(const struct rg_pipeline *p, struct rg_observation *observation)
{
    *observation = p->seen;
}

void rg_pipeline_close(struct rg_pipeline *p)
{
    if (!p)
        return;
    for (int i = 0; i < 2; i++) {
        rg_work_free(&p->sized[i].load);
        rg_work_free(&p->sized[i].forward);
        rg_work_free(&p->sized[i].backward);
        rg_work_free(&p->sized[i].loss);
    }
    rg_work_free(&p->copy);
    rg_update_close(&p->update);
    for (int pool = 0; pool < RG_POOLS; pool++)
        free(p->slots[pool]);
    free(p->weights);
    free(p->read_at);
    free(p);
}
