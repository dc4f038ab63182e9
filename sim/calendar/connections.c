/* Happy path, of a message: the sender's processor has its time for it; the receiver's is through
 * with the message before on this connection; both then have work with its bytes while these flow;
 * when they are over, and the sender's processor is through, the last byte has left.
 *
 * Nothing is reported before time has gone through the calendar, even where it takes none: the
 * exchange is half changed while a message begins. */
#include "connections.h"

#include "base/bytes.h"
#include "base/need.h"
#include <math.h>
#include <stdlib.h>

/* There may be a million: a line of memory where the route is of two links. */
struct rg_connection {
    struct rg_core_task receiving; /* the receiver's part of the message before, */
    struct rg_carrier *waiting;    /* and who waits for that, */
    bool receives;                 /* while it is under way */
    int link_count;
    int links[]; /* places in the platform's */
};

/* Of one message under way. */
struct rg_carrier {
    struct rg_shared_flow flow; /* first */
    struct rg_connections *all;
    struct rg_connection *connection;
    struct rg_message *message;
    int source, target;
    struct rg_core_task sending; /* the sender's part: of the message, then of its bytes */
    bool sends;                  /* the latter is under way */
    double latency;              /* since it began */
    double wire_bytes;
    bool passed; /* the last byte is through, since that date, */
    double passed_s;
    double queued_s; /* and waits so long in the switch */
    struct rg_sim_flow queue_flow;
    struct rg_timer held; /* until the queue has room, where it is full */
    int room;             /* of flow.ends */
    struct rg_carrier *next, *next_idle;
};

static struct rg_carrier *carrier_of_task(struct rg_core_task *task)
{
    return (struct rg_carrier *)((char *)task - offsetof(struct rg_carrier, sending));
}

static const struct rg_board *board_of(const struct rg_connections *c, int rank)
{
    return c->boards ? c->boards[rank] : NULL;
}

static double latency_now(const struct rg_connections *c, const struct rg_connection *way)
{
    double latency = 0;
    if (c->latencies)
        rg_sim_profiles_latencies(c->platform->profiles, c->calendar->now, c->latencies);
    for (int i = 0; i < way->link_count; i++)
        latency +=
            c->latencies ? c->latencies[way->links[i]] : c->platform->links[way->links[i]].latency;
    return latency;
}

/* ---- the end of a message's way ---- */

static void leave(struct rg_carrier *m)
{
    struct rg_connections *c = m->all;
    const struct rg_board *target = board_of(c, m->target);
    double now = c->calendar->now, queued = fmax(0, m->queued_s - (now - m->passed_s));
    struct rg_message *message = m->message;
    m->next_idle = c->idle;
    c->idle = m;
    c->left(c->left_arg, message, now + queued + m->latency + (target ? target->message_s : 0));
}

static void pass(struct rg_carrier *m)
{
    struct rg_connections *c = m->all;
    if (c->use)
        rg_port_use_note(&c->use[m->source], c->boards[m->source], &c->use[m->target],
                         c->boards[m->target], m->message->bytes);
    if (m->sends)
        rg_cores_await(&c->cores[m->source], &m->sending);
    m->passed = true;
    m->passed_s = c->calendar->now;
    if (!m->sends)
        leave(m);
}

static void hold_over(struct rg_timer *timer)
{
    pass((struct rg_carrier *)((char *)timer - offsetof(struct rg_carrier, held)));
}

/* at_once: they took no time, and the message has only just begun. */
static void bytes_over(struct rg_carrier *m, bool at_once)
{
    struct rg_connections *c = m->all;
    double now = c->calendar->now, bytes = m->wire_bytes, held = 0;
    if (c->queues) {
        m->queued_s = rg_sim_queue_leave(&c->uplinks[m->source], &m->queue_flow, now, &held);
        m->queued_s -= held;
    }
    if (c->buckets)
        rg_bucket_close(&c->buckets[2 * m->source], c->boards[m->source], bytes, now);
    if (c->buckets && !c->queues)
        rg_bucket_close(&c->buckets[2 * m->target + 1], c->boards[m->target], bytes, now);
    if (held > 0 || at_once)
        rg_calendar_set(c->calendar, &m->held, now + held);
    else
        pass(m);
}

static void flow_over(struct rg_timer *timer)
{
    struct rg_carrier *m = (struct rg_carrier *)timer;
    rg_flow_end(&m->all->sharing, &m->flow);
    rg_crowd_end(m->all->crowd, m->connection->links, (size_t)m->connection->link_count);
    bytes_over(m, false);
}

static void sending_over(struct rg_core_task *task)
{
    struct rg_carrier *m = carrier_of_task(task);
    m->sends = false;
    if (m->passed)
        leave(m);
}

/* ---- its bytes ---- */

static void take_links(struct rg_carrier *m)
{
    const struct rg_connection *way = m->connection;
    if (m->room < way->link_count) {
        m->flow.ends = rg_need(m->flow.ends, (size_t)way->link_count * sizeof *m->flow.ends);
        m->room = way->link_count;
    }
    m->flow.count = way->link_count;
    for (int i = 0; i < way->link_count; i++)
        m->flow.ends[i].link = &m->all->links[way->links[i]];
}

static double open_bucket(struct rg_connections *c, struct rg_bucket *b,
                          const struct rg_board *board)
{
    c->ties += rg_bucket_is_contested(b, c->calendar->now);
    return rg_bucket_open(b, board, c->calendar->now);
}

/* What the ports' buckets, or the sender's before a queue, let pass at once. */
static double pass_at_once(struct rg_carrier *m, double bytes)
{
    struct rg_connections *c = m->all;
    int source = m->source, target = m->target;
    double credit = 0;
    if (c->buckets)
        credit = open_bucket(c, &c->buckets[2 * source], c->boards[source]);
    if (c->buckets && !c->queues)
        credit = fmin(credit, open_bucket(c, &c->buckets[2 * target + 1], c->boards[target]));
    double at_once = fmin(bytes, rg_bucket_whole(credit));
    if (c->queues)
        rg_sim_queue_enter(&c->queues[target], &c->uplinks[source], &m->queue_flow, at_once,
                           c->calendar->now);
    return at_once;
}

/* Every two nodes' messages by another share of `uneven`. */
static double longer(double uneven, int source, int target)
{
    if (uneven == 0)
        return 1;
    return 1 + uneven * fmod(0.6180339887 * source + 0.3247179572 * target, 1);
}

static void flow(struct rg_carrier *m)
{
    struct rg_connections *c = m->all;
    m->wire_bytes = rg_sim_wire_bytes(board_of(c, m->source), m->message->bytes);
    double rest = m->wire_bytes - pass_at_once(m, m->wire_bytes);
    if (rest > 0) {
        take_links(m);
        rg_crowd_begin(c->crowd, m->connection->links, (size_t)m->connection->link_count,
                       c->calendar->now, &c->crowded);
        rg_flow_begin(&c->sharing, &m->flow, rest * longer(c->uneven, m->source, m->target));
    } else {
        bytes_over(m, true);
    }
}

static void receiving_over(struct rg_core_task *task);

/* Processors at both ends have work with the bytes, while these flow. */
static void send_bytes(struct rg_carrier *m)
{
    struct rg_connections *c = m->all;
    struct rg_connection *way = m->connection;
    double bytes = (double)(m->message->bytes + RG_MESSAGE_HEADER);
    if (way->receives)
        rg_cores_await(&c->cores[m->target], &way->receiving);
    if (way->receives) {
        way->waiting = m;
        return;
    }
    if (c->boards) {
        const struct rg_board *from = c->boards[m->source], *to = c->boards[m->target];
        double sending = from->byte_s * bytes, receiving = to->byte_s * bytes + to->message_s;
        m->sends = sending > 0;
        m->sending.over = sending_over;
        m->sending.quiet = true;
        if (m->sends)
            rg_cores_begin(&c->cores[m->source], &m->sending, sending);
        way->receives = receiving > 0;
        way->receiving.over = receiving_over;
        way->receiving.quiet = true;
        if (way->receives)
            rg_cores_begin(&c->cores[m->target], &way->receiving, receiving);
    }
    flow(m);
}

static void receiving_over(struct rg_core_task *task)
{
    struct rg_connection *way =
        (struct rg_connection *)((char *)task - offsetof(struct rg_connection, receiving));
    struct rg_carrier *waiting = way->waiting;
    way->receives = false;
    way->waiting = NULL;
    if (waiting)
        send_bytes(waiting);
}

static void message_over(struct rg_core_task *task)
{
    send_bytes(carrier_of_task(task));
}

/* ---- what the engine calls ---- */

static struct rg_carrier *take_carrier(struct rg_connections *c)
{
    struct rg_carrier *m = c->idle;
    if (m) {
        c->idle = m->next_idle;
        return m;
    }
    m = rg_need_zeroed(1, sizeof *m);
    m->all = c;
    m->flow.timer.fire = flow_over;
    m->held.fire = hold_over;
    m->next = c->carriers;
    c->carriers = m;
    return m;
}

void rg_connections_carry(struct rg_connections *c, struct rg_message *message,
                          struct rg_connection *way)
{
    struct rg_carrier *m = take_carrier(c);
    m->message = message;
    m->source = message->source;
    m->target = message->target;
    m->connection = way;
    m->sends = m->passed = false;
    m->queued_s = 0;
    m->latency = latency_now(c, m->connection);
    const struct rg_board *from = board_of(c, m->source);
    if (from && from->message_s > 0) {
        m->sending.over = message_over;
        m->sending.quiet = false;
        rg_cores_begin(&c->cores[m->source], &m->sending, from->message_s);
    } else {
        send_bytes(m);
    }
}

struct rg_connection *rg_connection_new(struct rg_connections *c, int source, int target)
{
    const int *links;
    size_t count = c->platform->route(c->platform->arg, source, target, &links);
    struct rg_connection *way =
        rg_needed(rg_chunks_take(&c->ways, sizeof *way + count * sizeof *links));
    way->link_count = (int)count;
    for (size_t i = 0; i < count; i++)
        way->links[i] = links[i];
    return way;
}

/* The first and the last link of a route. */
static void route_ends(const struct rg_connections *c, int source, int target, int *first,
                       int *last)
{
    const int *links;
    size_t count = c->platform->route(c->platform->arg, source, target, &links);
    *first = links[0];
    *last = links[count - 1];
}

/* Queues limit what ports receive: the links there do not any more. */
static void open_queues(struct rg_connections *c)
{
    int *down = rg_need_zeroed((size_t)c->size, sizeof *down), none;
    double most = 0;
    c->uplinks = rg_need_zeroed((size_t)c->size, sizeof *c->uplinks);
    c->queues = rg_need_zeroed((size_t)c->size, sizeof *c->queues);
    for (int rank = 0; rank < c->size; rank++) {
        const struct rg_board *board = c->boards[rank];
        int up;
        route_ends(c, rank, rank == 0, &up, &none);
        route_ends(c, rank == 0, rank, &none, &down[rank]);
        c->uplinks[rank].rate = c->links[up].bandwidth;
        c->queues[rank] = (struct rg_sim_queue){.buffer = board->port_queue,
                                                .burst = board->port_burst,
                                                .rate = c->links[down[rank]].bandwidth,
                                                .backlog = -board->port_burst};
        most += c->links[up].bandwidth;
    }
    for (int rank = 0; rank < c->size; rank++)
        c->links[down[rank]].bandwidth = 2 * most;
    free(down);
}

void rg_connections_open(struct rg_connections *c, bool queues)
{
    c->sharing.calendar = c->calendar;
    c->links = rg_need_zeroed(c->platform->link_count + 1, sizeof *c->links);
    c->crowd = rg_need_zeroed(c->platform->link_count + 1, sizeof *c->crowd);
    for (size_t i = 0; i < c->platform->link_count; i++) {
        c->links[i].bandwidth = c->platform->links[i].bandwidth;
        c->links[i].each = c->platform->links[i].each;
        c->crowd[i].bandwidth = c->links[i].each ? INFINITY : c->links[i].bandwidth;
    }
    if (rg_sim_profiles_have(c->platform->profiles, RG_PROFILE_LATENCY)) {
        c->latencies = rg_need_zeroed(c->platform->link_count, sizeof *c->latencies);
        for (size_t i = 0; i < c->platform->link_count; i++)
            c->latencies[i] = c->platform->links[i].latency;
    }
    if (c->energy)
        c->use = rg_need_zeroed((size_t)c->size, sizeof *c->use);
    c->buckets = rg_buckets_new(c->boards, c->size);
    if (queues)
        open_queues(c);
}

void rg_connections_close(struct rg_connections *c)
{
    rg_chunks_free(&c->ways);
    for (struct rg_carrier *m = c->carriers, *next; m; m = next) {
        next = m->next;
        free(m->flow.ends);
        free(m);
    }
    rg_sharing_free(&c->sharing);
    free(c->links);
    free(c->crowd);
    free(c->latencies);
    free(c->use);
    free(c->buckets);
    free(c->uplinks);
    free(c->queues);
}

double rg_connections_port_J(const struct rg_connections *c, int rank)
{
    return rg_port_use_J(&c->use[rank], c->boards[rank]);
}
