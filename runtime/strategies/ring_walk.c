/* How long an iteration takes by the plan itself: the lists of a replica's stages are walked
 * through with the modelled seconds of their instructions and messages, in the order of the dates
 * at which they end. No numbers are computed, and no world is there.
 *
 * Messages follow one another on a connection; a port is shared evenly by the two connections that
 * send or receive there at a time, as is a bus behind it, and a medium by all. What is left out:
 * token buckets and queues of switches, messages that wait for memory (there are none whose receive
 * is posted, which a plan sees to), and the all-reduce of replicas as more than its closed form. */
#include "base/check.h"
#include "base/need.h"
#include "strategies/ring.h"
#include <math.h>
#include <stdlib.h>

/* Seconds of a stage's instructions, for a unit of the largest size and for one of a sample less.
 */
struct costs {
    double forward[2], again[2], backward[2], weights[2], loss[2], update;
};

struct slot {
    int64_t arrived; /* the unit that is there, or last was; -1: none */
    bool leaving;
};

struct stage {
    const struct rg_plan *plan;
    struct costs costs;
    struct slot *slots[RG_BUFFERS];
};

struct node {
    const struct rg_board *board;
    struct rg_cursor lanes[RG_LANES];
    struct slot *held_by; /* a send that holds the whole node; NULL: none does */
    /* What is computed: of one lane, or where the loss is beside, of each. Seconds of a core left
     * at since_s. */
    bool busy[RG_LANES];
    double left_s[RG_LANES], since_s;
    uint64_t stamp;    /* of its last event: others are void */
    bool piece_leaves; /* of its state */
    int64_t pieces;    /* of another's that have come */
};

enum { PIECE = RG_CHANNELS }; /* of a state */

struct parcel {
    int channel;
    int stage; /* that sends it */
    int64_t unit;
    double wire, bytes;
};

/* From one node to another: parcels in the order in which they were sent. */
struct connection {
    int from, to;
    struct parcel *queue; /* a ring of [room] */
    int first, count, room;
    bool preparing, passing;
    double left, rate, since_s; /* of the bytes on the wire: left at since_s, and their speed */
    double begin_s;             /* of the passing */
    double taken_in_s;          /* until when the receiver is at the parcel before */
    uint64_t stamp;             /* of its last event: others are void */
};

enum event_kind { NODE_FREE, PREPARED, PASSED, ARRIVED };

struct event {
    double date_s;
    uint64_t turn; /* among those of one date */
    enum event_kind kind;
    int index; /* node, or connection */
    int lane;  /* of a node */
    uint64_t stamp;
    struct parcel parcel; /* that has arrived */
};

enum { UP, DOWN, BUS, LINKS };

struct walk {
    const struct rg_ring *ring;
    int replica, count; /* nodes */
    int64_t limit;      /* units */
    struct stage *stages;
    struct node *nodes;
    struct connection *connections; /* [2 count]: of every node to the next and to the one before */
    double *capacity;               /* [LINKS count + 1]: bytes/s; the last: a shared medium's */
    int *sharers;                   /* connections that pass there */
    struct event *heap;
    size_t events, room;
    uint64_t turns;
    double *marks; /* dates at which iterations end at node 0 */
    int64_t ended;
    double now_s;
    bool pieces; /* nodes send some of their state in every iteration */
};

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->date_s < b->date_s || (a->date_s == b->date_s && a->turn < b->turn);
}

static void swap(struct event *a, struct event *b)
{
    struct event c = *a;
    *a = *b;
    *b = c;
}

static void push(struct walk *w, struct event event)
{
    if (w->events == w->room) {
        w->room = 2 * w->room + 64;
        w->heap = rg_need(w->heap, w->room * sizeof *w->heap);
    }
    event.turn = w->turns++;
    size_t i = w->events++;
    w->heap[i] = event;
    for (; i > 0 && before(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&w->heap[i], &w->heap[(i - 1) / 2]);
}

static struct event pop(struct walk *w)
{
    struct event first = w->heap[0];
    w->heap[0] = w->heap[--w->events];
    for (size_t i = 0, least;; i = least) {
        least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->events; child++)
            if (before(&w->heap[child], &w->heap[least]))
                least = child;
        if (least == i)
            return first;
        swap(&w->heap[i], &w->heap[least]);
    }
}

/* ---- messages ---- */

static struct slot *slot_of(struct stage *s, enum rg_buffer buffer, int64_t unit)
{
    return &s->slots[buffer][unit % s->plan->slots[buffer]];
}

/* The links that a connection takes, to list; returns how many. */
static int links_of(const struct walk *w, const struct connection *c, int list[LINKS + 2])
{
    int n = 0;
    const int all[] = {LINKS * c->from + UP, LINKS * c->to + DOWN, LINKS * c->from + BUS,
                       LINKS * c->to + BUS, LINKS * w->count};
    for (size_t i = 0; i < RG_COUNT(all); i++)
        if (isfinite(w->capacity[all[i]]))
            list[n++] = all[i];
    return n;
}

/* When the parcel that is passing will have passed: the wire's part, or the sender's processor's.
 */
static void foresee(struct walk *w, struct connection *c)
{
    int list[LINKS + 2], n = links_of(w, c, list);
    const struct parcel *p = &c->queue[c->first];
    const struct rg_board *from = w->nodes[c->from].board;
    c->left = fmax(0, c->left - c->rate * (w->now_s - c->since_s));
    c->since_s = w->now_s;
    c->rate = rg_board_rate_to(from, w->nodes[c->to].board);
    for (int i = 0; i < n; i++)
        c->rate = fmin(c->rate, w->capacity[list[i]] / w->sharers[list[i]]);
    double date = fmax(w->now_s + c->left / c->rate, c->begin_s + from->byte_s * p->bytes);
    push(w, (struct event){.date_s = date,
                           .kind = PASSED,
                           .index = (int)(c - w->connections),
                           .stamp = ++c->stamp});
}

/* A connection has begun to pass, or ended: those with a link in common go at another speed. */
static void share(struct walk *w, const struct connection *changed, int by)
{
    int list[LINKS + 2], other[LINKS + 2], n = links_of(w, changed, list);
    bool medium = isfinite(w->capacity[LINKS * w->count]);
    for (int i = 0; i < n; i++)
        w->sharers[list[i]] += by;
    int all = 2 * w->count, near = medium ? all : RG_MIN(all, 12);
    int begin = medium ? 0 : 2 * (RG_MIN(changed->from, changed->to) - 1);
    if (!medium && abs(changed->from - changed->to) > 1)
        begin = 2 * (w->count - 2); /* round the end of the ring */
    for (int k = 0; k < near; k++) {
        struct connection *c = &w->connections[((begin + k) % all + all) % all];
        int m = links_of(w, c, other);
        bool common = false;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++)
                common |= list[i] == other[j];
        if (c->passing && common)
            foresee(w, c);
    }
}

static void begin_parcel(struct walk *w, struct connection *c)
{
    if (c->preparing || c->passing || c->count == 0)
        return;
    double ready = w->now_s + w->nodes[c->from].board->message_s;
    c->preparing = true;
    push(w, (struct event){.date_s = fmax(ready, c->taken_in_s),
                           .kind = PREPARED,
                           .index = (int)(c - w->connections),
                           .stamp = ++c->stamp});
}

static void begin_passing(struct walk *w, struct connection *c)
{
    const struct parcel *p = &c->queue[c->first];
    const struct rg_board *to = w->nodes[c->to].board;
    c->preparing = false;
    c->passing = true;
    c->begin_s = c->since_s = w->now_s;
    c->left = p->wire;
    c->rate = 0;
    c->taken_in_s = w->now_s + to->byte_s * p->bytes + to->message_s;
    share(w, c, 1);
}

static void run_node(struct walk *w, int index);

static void end_passing(struct walk *w, struct connection *c)
{
    struct parcel p = c->queue[c->first];
    const struct rg_board *from = w->nodes[c->from].board, *to = w->nodes[c->to].board;
    c->passing = false;
    share(w, c, -1);
    c->first = (c->first + 1) % c->room;
    c->count--;
    push(w,
         (struct event){.date_s = w->now_s + (from->latency_s + to->latency_s) / 2 + to->message_s,
                        .kind = ARRIVED,
                        .index = (int)(c - w->connections),
                        .parcel = p});
    begin_parcel(w, c);
}

static void arrive(struct walk *w, const struct event *e)
{
    const struct connection *c = &w->connections[e->index];
    const struct parcel *p = &e->parcel;
    if (p->channel == PIECE) {
        w->nodes[c->from].piece_leaves = false;
        w->nodes[c->to].pieces++;
        run_node(w, c->from);
        run_node(w, c->to);
        return;
    }
    struct stage *from = &w->stages[p->stage];
    struct stage *to = &w->stages[rg_channel_peer(p->channel, p->stage, w->ring->stages, true)];
    slot_of(to, rg_channel_target(p->channel), p->unit)->arrived = p->unit;
    slot_of(from, rg_channel_source(p->channel), p->unit)->leaving = false;
    run_node(w, c->from);
    run_node(w, c->to);
}

static int samples_of(const struct walk *w, int64_t unit)
{
    return rg_ring_unit(w->ring, w->replica, (int)(unit % w->ring->micro));
}

static void put(struct walk *w, struct connection *c, struct parcel parcel, uint64_t payload)
{
    const struct rg_board *board = w->nodes[c->from].board;
    RG_ASSERT(c->count < c->room);
    parcel.wire = rg_board_wire_bytes(board, 1, payload);
    parcel.bytes = (double)payload + RG_MESSAGE_HEADER;
    c->queue[(c->first + c->count++) % c->room] = parcel;
    begin_parcel(w, c);
}

/* Of the state that the next node keeps a copy of. */
static void send_piece(struct walk *w, int node)
{
    uint64_t payload = sizeof(float) * rg_backup_piece(w->ring, node, 0).count;
    w->nodes[node].piece_leaves = true;
    put(w, &w->connections[2 * node], (struct parcel){.channel = PIECE}, payload);
}

static void send(struct walk *w, int index, enum rg_plan_channel channel, int64_t unit)
{
    struct stage *s = &w->stages[index];
    int node = index % w->count;
    int peer = rg_channel_peer(channel, index, w->ring->stages, true) % w->count;
    bool forth = peer == (node + 1) % w->count; /* two nodes have one connection each way */
    struct connection *c = &w->connections[2 * node + !forth];
    struct rg_stage layers = rg_ring_stage(w->ring, index);
    uint64_t floats = channel == RG_CHANNEL_ACTIVATION ? rg_stage_outputs(&layers)
                      : channel == RG_CHANNEL_GRADIENT ? rg_stage_inputs(&layers)
                                                       : (uint64_t)w->ring->job->network->classes;
    uint64_t payload = sizeof(float) * floats * (uint64_t)samples_of(w, unit);
    slot_of(s, rg_channel_source(channel), unit)->leaving = true;
    put(w, c, (struct parcel){.channel = (int)channel, .stage = index, .unit = unit}, payload);
}

/* ---- instructions ---- */

static bool there(struct walk *w, struct stage *s, enum rg_buffer buffer, int64_t unit)
{
    return w->ring->stages == 1 || slot_of(s, buffer, unit)->arrived == unit;
}

/* As the interpreter waits: what an instruction reads has arrived, what it overwrites has left. */
static bool ready(struct walk *w, const struct rg_instruction *in, int64_t unit)
{
    struct stage *s = &w->stages[in->stage];
    switch (in->op) {
    case RG_OP_FORWARD:
        return (s->plan->stage == 0 || there(w, s, RG_BUFFER_INPUT, unit)) &&
               !slot_of(s, RG_BUFFER_STASH, unit)->leaving;
    case RG_OP_RECOMPUTE:
        return there(w, s, RG_BUFFER_DY, unit);
    case RG_OP_BACKWARD:
        return there(w, s, RG_BUFFER_DY, unit) &&
               (s->plan->stage == 0 || !slot_of(s, RG_BUFFER_DX, unit)->leaving);
    case RG_OP_LOSS:
        return there(w, s, RG_BUFFER_LOGITS, unit);
    case RG_OP_RECV:
        return !slot_of(s, rg_channel_target(in->channel), unit)->leaving;
    case RG_OP_BACKUP:
        return !w->nodes[in->stage % w->count].piece_leaves;
    case RG_OP_END:
        return !w->pieces || w->nodes[in->stage % w->count].pieces > unit / w->ring->micro;
    default:
        return true;
    }
}

static double seconds_of(const struct walk *w, const struct rg_instruction *in, int64_t unit)
{
    const struct stage *s = &w->stages[in->stage];
    int size = samples_of(w, unit) < rg_ring_capacity(w->ring);
    switch (in->op) {
    case RG_OP_FORWARD: /* with the loading of samples */
        return s->costs.forward[size];
    case RG_OP_RECOMPUTE:
        return s->costs.again[size];
    case RG_OP_BACKWARD:
        return s->costs.backward[size];
    case RG_OP_WEIGHTS:
        return s->costs.weights[size];
    case RG_OP_LOSS:
        return s->costs.loss[size];
    case RG_OP_STEP: /* with the sum over replicas */
        return s->costs.update;
    default:
        return 0;
    }
}

/* ---- computations ---- */

/* Of the cores that it would have alone, for each of what a node computes at once. */
static double core_share(const struct walk *w, const struct node *n)
{
    int wanted = (n->busy[0] + n->busy[1]) * w->ring->job->threads;
    return wanted <= n->board->cores ? 1 : (double)n->board->cores / wanted;
}

/* The time that has gone by since another lane has begun or ended. */
static void advance(struct walk *w, struct node *n)
{
    for (int lane = 0; lane < RG_LANES; lane++)
        if (n->busy[lane])
            n->left_s[lane] -= core_share(w, n) * (w->now_s - n->since_s);
    n->since_s = w->now_s;
}

/* When the next of its computations will be over. */
static void foresee_end(struct walk *w, struct node *n)
{
    int next = n->busy[1] && (!n->busy[0] || n->left_s[1] < n->left_s[0]);
    n->stamp++;
    if (n->busy[next])
        push(w, (struct event){.date_s = w->now_s + fmax(0, n->left_s[next]) / core_share(w, n),
                               .kind = NODE_FREE,
                               .index = (int)(n - w->nodes),
                               .lane = next,
                               .stamp = n->stamp});
}

static void compute(struct walk *w, struct node *n, int lane, double seconds)
{
    advance(w, n);
    n->busy[lane] = true;
    n->left_s[lane] = seconds;
    foresee_end(w, n);
}

static void computed(struct walk *w, struct node *n, int lane)
{
    advance(w, n);
    n->busy[lane] = false;
    foresee_end(w, n);
}

/* May an instruction of the lane begin, as far as others are not over? */
static bool is_free(const struct walk *w, const struct node *n, int lane)
{
    bool beside = rg_ring_has_loss_beside(w->ring);
    return !n->busy[lane] && (beside || !n->busy[1 - lane]);
}

/* The next instruction that a node can begin, that of the loss lane first. */
static const struct rg_instruction *choose(struct walk *w, struct node *node, int *lane,
                                           int64_t *unit)
{
    for (*lane = RG_LANES - 1; *lane >= 0; (*lane)--) {
        struct rg_cursor *at = &node->lanes[*lane];
        const struct rg_instruction *in = at->list->body_count + at->list->prologue_count == 0
                                              ? NULL
                                              : rg_plan_peek(at, w->ring->micro, w->limit, unit);
        if (in && is_free(w, node, *lane) && ready(w, in, *unit))
            return in;
    }
    return NULL;
}

static void run_node(struct walk *w, int index)
{
    struct node *n = &w->nodes[index];
    const struct rg_instruction *in;
    int lane;
    int64_t unit;
    while (!(n->held_by && n->held_by->leaving) && (in = choose(w, n, &lane, &unit)) != NULL) {
        n->held_by = NULL;
        n->lanes[lane].next++;
        if (in->op == RG_OP_SEND) {
            send(w, in->stage, in->channel, unit);
            if (!w->ring->overlap) /* a WAIT is next, which holds the other lane too */
                n->held_by = slot_of(&w->stages[in->stage], rg_channel_source(in->channel), unit);
        } else if (in->op == RG_OP_BACKUP && w->pieces)
            send_piece(w, index);
        else if (in->op == RG_OP_END && index == 0)
            w->marks[w->ended++] = w->now_s;
        double seconds = seconds_of(w, in, unit);
        if (seconds > 0)
            compute(w, n, lane, seconds);
    }
}

static void happen(struct walk *w, const struct event *e)
{
    w->now_s = e->date_s;
    if (e->kind == NODE_FREE) {
        struct node *n = &w->nodes[e->index];
        if (e->stamp != n->stamp)
            return;
        computed(w, n, e->lane);
        run_node(w, e->index);
        return;
    }
    struct connection *c = &w->connections[e->index];
    if (e->kind == ARRIVED) {
        arrive(w, e);
    } else if (e->stamp == c->stamp) {
        if (e->kind == PREPARED)
            begin_passing(w, c);
        else
            end_passing(w, c);
    }
}

/* ---- a walk ---- */

static void cost_stage(const struct walk *w, int index, struct costs *costs)
{
    const struct rg_ring *ring = w->ring;
    const struct rg_board *board = w->nodes[index % w->count].board;
    struct rg_stage layers = rg_ring_stage(ring, index);
    for (int i = 0; i < 2; i++) {
        int n = RG_MAX(rg_ring_capacity(ring) - i, 1);
        struct rg_ring_times t = rg_ring_times(ring, board, layers.from, layers.to, n);
        costs->forward[i] = t.forward;
        costs->again[i] = t.again;
        costs->backward[i] = t.backward - t.weights - t.again;
        costs->weights[i] = t.weights;
        costs->loss[i] = rg_ring_loss_s(ring, board, n);
    }
    size_t first = rg_network_offset(ring->job->network, layers.from);
    costs->update = rg_ring_update_s(ring, board, index, first, rg_stage_parameters(&layers)) +
                    rg_ring_reduce_s(ring, index);
}

/* Returns how many slots it has. */
static int open_stage(struct walk *w, int index)
{
    struct stage *s = &w->stages[index];
    int room = 0;
    s->plan = &w->ring->plans[index];
    cost_stage(w, index, &s->costs);
    for (int buffer = 0; buffer < RG_BUFFERS; buffer++) {
        int slots = s->plan->slots[buffer];
        s->slots[buffer] = rg_need_zeroed((size_t)slots + 1, sizeof(struct slot));
        for (int i = 0; i < slots; i++)
            s->slots[buffer][i].arrived = -1;
        room += slots;
    }
    return room;
}

static void open_node(struct walk *w, int index)
{
    struct node *n = &w->nodes[index];
    const struct rg_board *b = w->ring->job->boards[rg_ring_rank(w->ring, w->replica, index)];
    int room = 2; /* a piece, and one */
    n->board = b;
    for (int lane = 0; lane < RG_LANES; lane++)
        n->lanes[lane].list = &w->ring->plans[index].lanes[lane];
    for (int s = index; s < w->ring->stages; s += w->count)
        room += open_stage(w, s);
    for (int back = 0; back < 2; back++) {
        int to = (index + (back ? w->count - 1 : 1)) % w->count;
        struct connection *c = &w->connections[2 * index + back];
        *c = (struct connection){.from = index, .to = to, .room = room};
        c->queue = rg_need_zeroed((size_t)room, sizeof *c->queue);
    }
    w->capacity[LINKS * index + UP] = b->port_rate;
    w->capacity[LINKS * index + DOWN] = b->port_rx_rate > 0 ? b->port_rx_rate : b->port_rate;
    w->capacity[LINKS * index + BUS] = b->port_bus_rate > 0 ? b->port_bus_rate : INFINITY;
    if (b->shared_medium)
        w->capacity[LINKS * w->count] =
            fmin(w->capacity[LINKS * w->count], rg_board_medium_rate(b));
}

static void open_walk(struct walk *w, const struct rg_ring *ring, int replica, int64_t iterations,
                      bool pieces)
{
    size_t count = (size_t)ring->nodes;
    *w = (struct walk){.ring = ring,
                       .replica = replica,
                       .pieces = pieces,
                       .count = ring->nodes,
                       .limit = iterations * ring->micro,
                       .stages = rg_need_zeroed((size_t)ring->stages, sizeof *w->stages),
                       .nodes = rg_need_zeroed(count, sizeof *w->nodes),
                       .connections = rg_need_zeroed(2 * count, sizeof *w->connections),
                       .capacity = rg_need_zeroed(LINKS * count + 1, sizeof *w->capacity),
                       .sharers = rg_need_zeroed(LINKS * count + 1, sizeof *w->sharers),
                       .marks = rg_need_zeroed((size_t)iterations, sizeof *w->marks)};
    w->capacity[LINKS * count] = INFINITY;
    for (int node = 0; node < w->count; node++)
        open_node(w, node);
}

static void close_walk(struct walk *w)
{
    for (int s = 0; s < w->ring->stages; s++)
        for (int buffer = 0; buffer < RG_BUFFERS; buffer++)
            free(w->stages[s].slots[buffer]);
    for (int i = 0; i < 2 * w->count; i++)
        free(w->connections[i].queue);
    free(w->stages);
    free(w->nodes);
    free(w->connections);
    free(w->capacity);
    free(w->sharers);
    free(w->marks);
    free(w->heap);
}

/* What a walk of one epoch tells of a run. */
struct dates {
    const double *marks;   /* [known]: ends of its iterations at the first stage */
    int64_t known, length; /* iterations that were walked, and of an epoch */
    int64_t even;          /* the last iteration before the ring drains */
    double pace_s, epoch_s;
};

/* The end of iteration i of the run. Those that an epoch has beyond the walk lie before it drains.
 */
static double mark_at(const struct dates *d, int64_t i)
{
    int64_t in = i % d->length, beyond = d->length - d->known;
    int64_t walked = in <= d->even ? in : RG_MAX(in - beyond, d->even);
    return (double)(i / d->length) * d->epoch_s + d->marks[walked] +
           d->pace_s * (double)(in - walked);
}

/* As a run's mean is taken: without so many iterations at both ends as are under way at once. */
static double mean_of(const struct walk *w, int64_t known)
{
    const struct rg_ring *ring = w->ring;
    int64_t count = ring->job->iterations, under_way = 1;
    int64_t length = RG_MIN(ring->job->iterations_per_epoch, count);
    if (!ring->schedule->synchronous)
        under_way += RG_MIN(rg_updates_behind(ring->depth[0], ring->micro), length - 1);
    int64_t even = RG_MAX(known - 1 - under_way, 0), begin = even / 2;
    int64_t edge = count >= 3 * under_way ? RG_MIN(under_way, (count - 1) / 2) : 0;
    struct dates d = {.marks = w->marks, .known = known, .length = length, .even = even};
    if (even > begin)
        d.pace_s = (w->marks[even] - w->marks[begin]) / (double)(even - begin);
    d.epoch_s = w->now_s + d.pace_s * (double)(d.length - known);
    double from = edge > 0 ? mark_at(&d, edge - 1) : 0;
    return (mark_at(&d, count - 1 - edge) - from) / (double)(count - 2 * edge);
}

/* Iterations until the pace is even, of what drains in each and of streams beyond those that fill
 * them; and instructions that are worth it. */
enum { DRAINED = 4, SETTLED = 8, INSTRUCTIONS = 1 << 20 };

static double walk_s(const struct rg_ring *ring, bool pieces)
{
    const struct rg_job *job = ring->job;
    int64_t length = RG_MIN(job->iterations_per_epoch, job->iterations);
    int64_t settled = ring->schedule->synchronous
                          ? DRAINED
                          : SETTLED + (int64_t)64 * ring->depth[0] / ring->micro;
    int64_t known = RG_MIN(length, settled);
    double most = 0, instructions = 10.0 * ring->micro * ring->stages * ring->replicas;
    if (instructions * (double)known > INSTRUCTIONS)
        return NAN;
    for (int replica = 0; replica < ring->replicas; replica++) {
        struct walk w;
        if (rg_ring_repeats(ring, replica))
            continue;
        open_walk(&w, ring, replica, known, pieces);
        for (int node = 0; node < w.count; node++)
            run_node(&w, node);
        while (w.events > 0) {
            struct event e = pop(&w);
            happen(&w, &e);
        }
        RG_ASSERT(w.ended == known);
        most = fmax(most, mean_of(&w, known));
        close_walk(&w);
    }
    return most;
}

/* Copies go in some iterations, in the others they do not. */
double rg_ring_walk_s(const struct rg_ring *ring)
{
    const struct rg_backup *b = &ring->backup;
    double bare_s = walk_s(ring, false);
    if (b->most == 0 || isnan(bare_s))
        return bare_s;
    return bare_s + (walk_s(ring, true) - bare_s) * b->pieces / b->every;
}

/* ---- copies that hide ---- */

/* With pieces for so many iterations done again. */
static bool copies_hide(struct rg_ring *ring, int most, double bare_s)
{
    ring->backup = rg_backup_of(most);
    return rg_backup_is_small(ring) || rg_ring_walk_s(ring) <= (1 + RG_BACKUP_HIDDEN) * bare_s;
}

int rg_ring_backup_auto(struct rg_ring *ring)
{
    int high = rg_ring_backup_least(ring), low = high - 1;
    ring->backup = (struct rg_backup){0};
    double bare_s = rg_ring_walk_s(ring);
    if (isnan(bare_s))
        return high;
    for (; !copies_hide(ring, high, bare_s); high += high / 2 + 2)
        low = high;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        bool good = copies_hide(ring, middle, bare_s);
        high = good ? middle : high;
        low = good ? low : middle;
    }
    return high;
}
