/* The handshake of a full mesh: rank r connects to every lower rank and accepts every higher one.
 *
 * Happy path: whoever connects says a hello (who it is, whom it believes to call, version,
 * scenario, run), the other answers with a welcome. The run's name (nonce) is drawn by rank 0 and
 * learnt in its welcome; the other ranks are called after that. When all are there the listener is
 * closed.
 *
 * Where there is a key, all of it runs inside TLS.
 *
 * Failure modes handled: peers that are not up yet (tried again, ever slower, until the deadline;
 * it is then said who is missing and why); a peer of another version, scenario, size or place in
 * the hosts file: refused, with the reason on both sides; whoever cannot prove that it has the key,
 * bytes that are no hello, connections that say nothing or too little: turned away and logged; a
 * peer of another run, or that only claims to be one of ours: refused and logged, and the wait goes
 * on; a machine that has no descriptors left: told to all; the same rank twice; a peer that is lost
 * again before all are there: waited for anew, or taken for lost where the run goes on without lost
 * ranks (it may still come back in time); ranks that are in a run under way (join_return.c);
 * interruption, here or elsewhere.
 */
#include "connect/join_parts.h"

#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPREAD_S 1.0 /* to tell the others that it comes to nothing */
#define KNOCK_S  1.0 /* for rank 0 to answer */

#define WAITING_S 60.0 /* between two lines of one that waits to be taken in */

void rg_join_say(const struct rg_gathering *g, const char *format, ...)
{
    if (g->o->quiet)
        return;
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "ringnode: rank %d: %s\n", g->rank, text);
}

const char *rg_join_host(const struct rg_gathering *g, int rank)
{
    return g->o->hosts->host[rank].name;
}

void rg_join_hang_up(struct rg_connection *connection)
{
    rg_secure_free(connection->tls);
    if (connection->fd >= 0)
        close(connection->fd);
    *connection = (struct rg_connection){.fd = -1};
}

void rg_join_end_talk(struct rg_talk *t)
{
    rg_join_hang_up(&t->connection);
    t->state = RG_CALL_IDLE;
    t->have = 0;
    t->held = t->shaking = t->unplaced = false;
}

/* ---- the wait ---- */

static void report(struct rg_gathering *g, double now)
{
    if (now < g->progress)
        return;
    g->progress = now + (g->train > 0 ? WAITING_S : RG_PROGRESS_S);
    if (g->train > 0) {
        rg_join_say(g, "waiting for the end of an epoch of the others, %d of them reached (%.0f s)",
                    g->train, now - g->began);
        return;
    }
    char list[200] = "";
    size_t used = 0;
    for (int r = 0; r < g->size && used < sizeof list - 16; r++)
        if (r != g->rank && g->peers[r].fd < 0)
            used += (size_t)snprintf(list + used, sizeof list - used, " %d", r);
    rg_join_say(g, "waiting for rank%s (%.0f s of %.0f)", list, now - g->began, g->o->timeout_s);
}

static int missing(struct rg_gathering *g)
{
    for (int r = 0; r < g->size; r++) {
        if (r == g->rank || g->peers[r].fd >= 0)
            continue;
        /* whoever was turned away may have been that rank */
        bool called = g->places[r].why[0], guess = !called && g->turned_away[0];
        return rg_fail(
            g->e, RG_ERR_TIMEOUT,
            "%d of %d other ranks did not join in %.0f s; first rank %d at %s port %s: %s%s%s",
            g->size - 1 - g->joined, g->size - 1, g->o->timeout_s, r, rg_join_host(g, r),
            g->o->hosts->host[r].port, called ? g->places[r].why : "it did not call",
            guess ? "; last visitor: " : "", guess ? g->turned_away : "");
    }
    return 0;
}

/* Rank 0, who knows the run's name, does not answer: the others may be in a run without it. */
static bool may_knock(const struct rg_gathering *g, double now)
{
    return g->o->joined && now - g->began > KNOCK_S;
}

double rg_join_keep_time(struct rg_gathering *g, double now)
{
    double next = RG_MIN(g->deadline, g->progress);
    for (int r = 0; r < g->rank; r++) {
        struct rg_place *p = &g->places[r];
        bool here = g->peers[r].fd >= 0 && !p->gone;
        if (here || p->told || p->elsewhere || (r > 0 && g->nonce == 0 && !may_knock(g, now)))
            continue;
        if (p->call.state != RG_CALL_IDLE && now >= p->call.limit)
            rg_join_try_later(g, r, "no answer");
        if (p->call.state == RG_CALL_IDLE && now >= p->next_try)
            rg_join_start_call(g, r);
        next = RG_MIN(next, p->call.state == RG_CALL_IDLE ? p->next_try : p->call.limit);
    }
    for (int i = 0; i < RG_VISITORS; i++) {
        struct rg_talk *t = &g->visitors[i];
        if (t->connection.fd < 0)
            continue;
        if ((t->held && g->nonce) || t->unplaced) {
            rg_join_hear(g, t);
            next = t->unplaced ? RG_MIN(next, now + RG_LOOK_UP_S) : next;
        } else if (!t->held && now >= t->limit) {
            rg_join_drop(g, t, RG_FAULT_SILENT, "it did not say who it is");
        } else if (!t->held) {
            next = RG_MIN(next, t->limit);
        }
    }
    return next;
}

/* What a talk waits for; of a visitor that is held only its end is of interest. */
static struct pollfd poll_of(const struct rg_talk *t)
{
    bool unsent = t->connection.tls && rg_secure_unsent(t->connection.tls);
    short events = t->held || t->unplaced           ? POLLRDHUP
                   : t->state == RG_CALL_CONNECTING ? POLLOUT
                   : unsent                         ? POLLIN | POLLOUT
                                                    : POLLIN;
    return (struct pollfd){.fd = t->connection.fd, .events = events};
}

/* Of one that has joined only its end is of interest, unless what it says next tells whether this
 * rank is taken in; at a door it has nothing to say. */
static short events_of(const struct rg_gathering *g, int rank)
{
    const struct rg_place *p = &g->places[rank];
    return p->trains || (g->door && !p->speaks) ? POLLIN | POLLRDHUP : POLLRDHUP;
}

static int add_polls(struct rg_gathering *g)
{
    int n = 0;
    g->polls[n++] = (struct pollfd){.fd = g->listener, .events = POLLIN};
    for (int r = 0; r < g->size; r++)
        g->polls[n++] = g->peers[r].fd < 0 || g->places[r].gone
                            ? poll_of(&g->places[r].call)
                            : (struct pollfd){.fd = g->peers[r].fd, .events = events_of(g, r)};
    for (int i = 0; i < RG_VISITORS; i++)
        g->polls[n++] = poll_of(&g->visitors[i]);
    return n;
}

static void attend(struct rg_gathering *g)
{
    const struct pollfd *place = g->polls + 1, *visitor = place + g->size;
    for (int i = 0; i < RG_VISITORS; i++) {
        struct rg_talk *t = &g->visitors[i];
        if (!visitor[i].revents || t->connection.fd != visitor[i].fd)
            continue;
        if (t->held || t->unplaced)
            rg_join_lose_held(g, t);
        else
            rg_join_hear(g, t);
    }
    for (int r = 0; r < g->size; r++) {
        struct rg_talk *call = &g->places[r].call;
        if (!place[r].revents)
            continue;
        bool joined = g->peers[r].fd >= 0 && g->peers[r].fd == place[r].fd;
        if (joined && g->places[r].trains)
            rg_join_hear_training(g, r);
        else if (joined && g->door)
            rg_join_lose_waiting(g, r);
        else if (joined && !rg_join_is_alive(g->peers[r].fd))
            rg_join_drop_peer(g, r);
        else if (call->connection.fd != place[r].fd || call->state == RG_CALL_IDLE)
            continue;
        else if (call->state > RG_CALL_CONNECTING)
            rg_join_answered(g, r);
        else if (rg_join_connected(g, r))
            rg_join_begin_greeting(g, r);
    }
    if (g->polls[0].revents)
        rg_join_receive_visitors(g);
}

/* poll refuses more entries than descriptors may be open, those that are none included. */
static int poll_open(struct rg_gathering *g, int count, int wait_ms)
{
    struct pollfd *open = g->polls + count;
    int there = 0;
    for (int i = 0; i < count; i++)
        if (g->polls[i].fd >= 0)
            open[there++] = g->polls[i];
    int ready = poll(open, (nfds_t)there, wait_ms);
    there = 0;
    for (int i = 0; i < count && ready > 0; i++)
        if (g->polls[i].fd >= 0)
            g->polls[i].revents = open[there++].revents;
    return ready;
}

bool rg_join_look_round(struct rg_gathering *g, double next)
{
    int n = add_polls(g);
    double left = RG_MIN(next - rg_clock_s(), g->o->stop ? 0.1 : 10.0);
    if (g->lock)
        pthread_mutex_unlock(g->lock);
    int ready = poll_open(g, n, left > 0 ? (int)(1000 * left) + 1 : 0);
    if (g->lock)
        pthread_mutex_lock(g->lock);
    if (ready > 0)
        attend(g);
    if (ready >= 0 || errno == EINTR)
        return true;
    rg_join_fail_here(g, "wait for connections", errno);
    return false;
}

/* Those who have joined, or do so now, learn why it comes to nothing. */
static void spread_refusal(struct rg_gathering *g)
{
    double limit = rg_clock_s() + SPREAD_S;
    for (;;) {
        int left = g->size - 1;
        for (int r = 0; r < g->size; r++) {
            struct rg_hello h = rg_join_hello(g, RG_HELLO_REFUSED, r);
            snprintf(h.reason, sizeof h.reason, "%s", g->why);
            if (g->peers[r].fd >= 0) {
                rg_join_send_hello(&g->peers[r], &h);
                rg_join_hang_up(&g->peers[r]);
                g->places[r].told = true;
            }
            left -= r != g->rank && g->places[r].told;
        }
        double now = rg_clock_s();
        if (left == 0 || now >= limit || (g->o->stop && *g->o->stop))
            return;
        if (!rg_join_look_round(g, RG_MIN(limit, rg_join_keep_time(g, now))))
            return;
    }
}

static bool is_complete(const struct rg_gathering *g)
{
    return g->train > 0 ? g->o->joined->invited : g->joined == g->size - 1;
}

/* It is wanted here, not elsewhere. */
static int stop(struct rg_gathering *g)
{
    if (*g->o->stop != RG_JOIN_EXPIRED)
        return rg_fail(g->e, RG_ERR_INTERRUPTED, "%s", rg_strerror(RG_ERR_INTERRUPTED));
    g->failed = rg_fail(g->e, RG_ERR_TIMEOUT, "not finished within --timeout");
    return g->failed;
}

static int gather(struct rg_gathering *g)
{
    while (!is_complete(g)) {
        double now = rg_clock_s();
        if (g->o->stop && *g->o->stop)
            return stop(g);
        if (g->train > 0)
            g->deadline = now + g->o->timeout_s; /* for the case that they are gone */
        if (now >= g->deadline)
            return missing(g);
        report(g, now);
        double next = rg_join_keep_time(g, now);
        if (g->failed)
            return g->failed;
        rg_join_look_round(g, next);
        if (g->failed)
            return g->failed;
    }
    return 0;
}

void rg_join_close(struct rg_gathering *g, int result)
{
    if (g->listener >= 0)
        close(g->listener);
    for (int i = 0; i < RG_VISITORS; i++)
        rg_join_end_talk(&g->visitors[i]);
    for (int r = 0; r < g->size; r++) {
        if (g->places) {
            rg_join_end_talk(&g->places[r].call);
            free(g->places[r].said);
        }
        if (result)
            rg_join_hang_up(&g->peers[r]);
    }
    rg_join_tell_tallies(g);
    rg_names_close(g->names);
    rg_secure_close(g->guard);
    free(g->places);
    free(g->polls);
}

void rg_join_draw_nonce(struct rg_gathering *g)
{
    while (g->rank == 0 && g->nonce == 0)
        if (getrandom(&g->nonce, sizeof g->nonce, 0) < 0)
            g->nonce = (uint64_t)getpid() << 32 ^ (uint64_t)(1e6 * g->began);
}

/* Keys of ranks are of one run, and each of one rank. */
static int check_key(const struct rg_gathering *g)
{
    const struct rg_key *key = g->o->key;
    if (!key || !key->pairs || (key->rank == g->rank && key->ranks == g->size))
        return 0;
    return rg_fail(g->e, RG_ERR_INVALID,
                   "the key is that of rank %d of %d, and this is rank %d of %d", key->rank,
                   key->ranks, g->rank, g->size);
}

static void tell_settings(const struct rg_gathering *g)
{
    if (g->size > 1 && g->o->insecure && !g->o->key)
        rg_join_say(g, "no key: whoever reaches these ports can join, read and change everything");
    if (g->size > 1 && g->o->listener < 0 && (g->o->insecure || g->o->key) &&
        rg_slow_start_after_idle())
        rg_join_say(g, "connections that rest start slowly again here, which costs full links some "
                       "percent: sysctl -w net.ipv4.tcp_slow_start_after_idle=0");
}

static int set_up(struct rg_gathering *g)
{
    g->names = rg_names_open(g->o->hosts);
    if (!g->places || !g->polls || !g->names)
        return rg_fail(g->e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    int result = g->size > 1 ? rg_join_check_hosts(g) : 0;
    if (result == 0)
        result = check_key(g);
    if (result == 0 && g->o->key)
        result = rg_secure_open(g->o->key, g->o->cipher, &g->guard, g->e);
    if (result == 0 && g->size > 1 && g->listener < 0)
        result = rg_join_listen(g);
    return result;
}

int rg_join_open(struct rg_gathering *g, const struct rg_join *o, struct rg_connection *connections,
                 struct rg_error *e)
{
    double now = rg_clock_s();
    *g = (struct rg_gathering){.o = o,
                               .version = o->version ? o->version : RG_VERSION,
                               .rank = o->rank,
                               .size = o->hosts->count,
                               .listener = o->listener,
                               .peers = connections,
                               .nonce = o->nonce,
                               .began = now,
                               .deadline = now + o->timeout_s,
                               .progress = now + RG_PROGRESS_S / 2,
                               .e = e};
    size_t n = (size_t)g->size;
    g->places = calloc(n, sizeof *g->places);
    g->polls = calloc(2 * (1 + n + RG_VISITORS), sizeof *g->polls);
    for (size_t r = 0; r < n; r++) {
        connections[r] = (struct rg_connection){.fd = -1};
        if (g->places)
            g->places[r].call.connection.fd = -1;
    }
    for (int i = 0; i < RG_VISITORS; i++)
        g->visitors[i].connection.fd = -1;
    rg_join_draw_nonce(g);
    return set_up(g);
}

/* In a run under way: of those that are not in it, none. */
static void leave_out(struct rg_gathering *g)
{
    for (int r = 0; r < g->size && g->train > 0; r++)
        if (!g->places[r].trains)
            rg_join_hang_up(&g->peers[r]);
}

int rg_join_mesh(const struct rg_join *o, struct rg_connection *connections, struct rg_error *e)
{
    struct rg_gathering g;
    int result = rg_join_open(&g, o, connections, e);
    if (result == 0)
        tell_settings(&g);
    if (result == 0)
        result = gather(&g);
    if (result == RG_ERR_REFUSED || result == RG_ERR_IO)
        spread_refusal(&g);
    else if (result == RG_ERR_INTERRUPTED || g.failed == RG_ERR_TIMEOUT)
        rg_join_spread_interruption(&g);
    if (result == 0)
        leave_out(&g);
    if (o->expired)
        *o->expired = g.failed == RG_ERR_TIMEOUT;
    if (o->joined)
        o->joined->nonce = g.nonce;
    rg_join_close(&g, result);
    return result;
}
