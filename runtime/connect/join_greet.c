/* Greeting: the handshake of TLS where there is a key, then a hello from each side.
 *
 * Happy path: whoever calls proves that it has the key (secure.c), says who it is, whom it believes
 * to call, its version, scenario and run; the other answers with a welcome. Failure modes handled:
 * bytes that are no hello, connections that say nothing or too little, more connections than there
 * is room for: dropped and logged; another key, none, or one where none is wanted: refused, and a
 * caller goes on calling (whoever answers there now need not be the rank); what speaks against a
 * hello is in join_refuse.c. */
#include "connect/join_parts.h"

#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO_S 5.0 /* to shake hands and say a hello */

/* ---- hellos ---- */

struct rg_hello rg_join_hello(const struct rg_gathering *g, enum rg_hello_kind kind, int target)
{
    struct rg_hello h = {.protocol = RG_WIRE_PROTOCOL,
                         .kind = kind,
                         .rank = (uint32_t)g->rank,
                         .size = (uint32_t)g->size,
                         .target = (uint32_t)target,
                         .nonce = g->nonce};
    snprintf(h.version, sizeof h.version, "%s", g->version);
    snprintf(h.scenario, sizeof h.scenario, "%s", g->o->scenario);
    return h;
}

bool rg_join_send(const struct rg_connection *connection, unsigned char *bytes, size_t count)
{
    struct iovec all = {bytes, count};
    if (connection->tls)
        return rg_secure_send(connection->tls, &all, 1) == (ssize_t)count &&
               !rg_secure_unsent(connection->tls);
    return send(connection->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)count;
}

bool rg_join_send_hello(const struct rg_connection *connection, const struct rg_hello *h)
{
    unsigned char bytes[RG_WIRE_HELLO];
    rg_hello_encode(h, bytes);
    return rg_join_send(connection, bytes, sizeof bytes);
}

int rg_join_receive(const struct rg_connection *connection, void *to, size_t most)
{
    struct iovec rest = {to, most};
    ssize_t n;
    do
        n = connection->tls ? rg_secure_recv(connection->tls, &rest, 1)
                            : recv(connection->fd, to, most, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
    return (int)n;
}

int rg_join_read(struct rg_talk *t)
{
    int read = rg_join_receive(&t->connection, t->bytes + t->have, RG_WIRE_HELLO - t->have);
    t->have += read > 0 ? (size_t)read : 0;
    return read > 0 ? 1 : read;
}

int rg_join_read_hello(struct rg_talk *t)
{
    while (t->have < RG_WIRE_HELLO) {
        int read = rg_join_read(t);
        if (read <= 0)
            return read;
        if (!rg_hello_begins(t->bytes, t->have))
            return -2;
    }
    /* What comes next has a record of its own, and stays in the socket. */
    return t->connection.tls && rg_secure_pending(t->connection.tls) ? -2 : 1;
}

/* trains: it is in a run under way. */
static void take_peer(struct rg_gathering *g, int rank, struct rg_talk *t, bool trains)
{
    if (g->peers[rank].fd < 0)
        g->joined++;
    g->train += trains - g->places[rank].trains;
    g->places[rank].trains = trains;
    rg_join_hang_up(&g->peers[rank]); /* of one that had gone, and has come back */
    g->places[rank].gone = false;
    g->peers[rank] = t->connection;
    t->connection = (struct rg_connection){.fd = -1};
    rg_join_end_talk(t);
}

/* ---- calls ---- */

static void say_hello(struct rg_gathering *g, int rank)
{
    struct rg_talk *call = &g->places[rank].call;
    struct rg_hello h = rg_join_hello(g, g->door ? RG_HELLO_TRAINS : RG_HELLO_ASKS, rank);
    call->state = RG_CALL_WAITING;
    call->limit = g->deadline; /* it may hold the hello until it knows the run */
    if (!rg_join_send_hello(&call->connection, &h))
        rg_join_try_later(g, rank, "it took no hello");
}

void rg_join_begin_greeting(struct rg_gathering *g, int rank)
{
    struct rg_talk *call = &g->places[rank].call;
    if (!g->guard) {
        say_hello(g, rank);
        return;
    }
    call->connection.tls = rg_secure_new(g->guard, call->connection.fd, true);
    if (call->connection.tls)
        rg_secure_call(call->connection.tls, rank);
    call->state = RG_CALL_SHAKING;
    call->limit = rg_clock_s() + RG_CONNECT_S;
    if (call->connection.tls)
        rg_join_answered(g, rank);
    else
        rg_join_try_later(g, rank, rg_strerror(RG_ERR_NOMEM));
}

/* Whoever answers without the key may have taken the rank's place: that ends no run. */
static void shake_call(struct rg_gathering *g, int rank)
{
    struct rg_place *p = &g->places[rank];
    int shaken = rg_secure_shake(p->call.connection.tls);
    char why[sizeof p->why];
    if (shaken == 1) {
        say_hello(g, rank);
    } else if (shaken < 0) {
        snprintf(why, sizeof why, "%s", rg_secure_why(p->call.connection.tls));
        if (strcmp(why, p->why) != 0)
            rg_join_say(g, "rank %d at %s: %s; trying again", rank, rg_join_host(g, rank), why);
        rg_join_try_later(g, rank, why);
    }
}

/* Another has taken the rank's place, or the lists of hosts differ: who was called may come yet. */
static void meet_wrong_rank(struct rg_gathering *g, int rank, uint32_t met)
{
    char why[100];
    snprintf(why, sizeof why, "wrong rank: rank %u answers there; do the lists of hosts differ?",
             met);
    if (strcmp(why, g->places[rank].why) != 0)
        rg_join_say(g, "rank %d at %s: %s; trying again", rank, rg_join_host(g, rank), why);
    rg_join_try_later(g, rank, why);
}

void rg_join_answered(struct rg_gathering *g, int rank)
{
    struct rg_place *p = &g->places[rank];
    if (p->call.state == RG_CALL_SHAKING)
        shake_call(g, rank);
    if (p->call.state != RG_CALL_WAITING)
        return;
    int read = rg_join_read_hello(&p->call);
    if (read == 0 || (read == -2 && rg_join_hear_interruption(g, rank, &p->call)))
        return;
    struct rg_hello h;
    const char *wrong = read == -1   ? "it closed the connection"
                        : read == -2 ? "it does not speak RingTMP"
                                     : rg_hello_decode(p->call.bytes, &h);
    if (wrong) {
        rg_join_try_later(g, rank, wrong);
        return;
    }
    char why[RG_WIRE_REASON + 320], peer[300];
    snprintf(peer, sizeof peer, "rank %d at %s", rank, rg_join_host(g, rank));
    if (h.rank != (uint32_t)rank) {
        meet_wrong_rank(g, rank, h.rank);
        return;
    }
    if (h.kind == RG_HELLO_REFUSED) {
        snprintf(why, sizeof why, "%s refused: %s", peer,
                 h.reason[0] ? h.reason : "no reason given");
        rg_join_give_up(g, rank, why);
        return;
    }
    if (h.kind == RG_HELLO_LATER) {
        rg_join_try_later(g, rank, h.reason[0] ? h.reason : "not now");
        return;
    }
    rg_join_judge(g, &h, peer, why, sizeof why);
    if (!why[0] && h.kind == RG_HELLO_TRAINS && rg_join_meet_training(g, rank, &h)) {
        take_peer(g, rank, &p->call, true);
        return;
    }
    if (!why[0] && g->train > 0) { /* it has come back, too */
        rg_join_try_later(g, rank, "it is not in the run under way");
        return;
    }
    if (!why[0] &&
        (h.kind != RG_HELLO_WELCOME || h.nonce == 0 || (g->nonce && h.nonce != g->nonce)))
        snprintf(why, sizeof why, "%s belongs to another run", peer);
    if (why[0]) {
        rg_join_give_up(g, rank, why);
        return;
    }
    g->nonce = h.nonce;
    take_peer(g, rank, &p->call, false);
}

/* ---- visitors ---- */

/* Is it the rank that it says, for one that is to be called by it? */
static enum rg_fault judge_rank(const struct rg_gathering *g, const struct rg_talk *t,
                                const struct rg_hello *h, char *why, size_t room)
{
    int proved = t->connection.tls ? rg_secure_peer(t->connection.tls) : -1;
    why[0] = '\0';
    if (h->target != (uint32_t)g->rank && h->size == (uint32_t)g->size)
        snprintf(
            why, room,
            "wrong rank: rank %u at %s takes this for rank %u, but it is rank %d; do the lists "
            "of hosts differ?",
            h->rank, t->address, h->target, g->rank);
    else if (proved >= 0 && (uint32_t)proved != h->rank)
        snprintf(why, room, "wrong rank: %s has the key of rank %d, and says that it is rank %u",
                 t->address, proved, h->rank);
    return RG_FAULT_RANK;
}

/* Where the name of its host is not known yet, it waits: true. */
static bool judge_place(struct rg_gathering *g, struct rg_talk *t, int rank, char *why, size_t room)
{
    enum rg_origin origin =
        g->o->any_address ? RG_ORIGIN_LISTED : rg_join_origin(g, t->connection.fd, rank);
    t->unplaced = origin == RG_ORIGIN_PENDING;
    if (origin == RG_ORIGIN_OTHER)
        snprintf(why, room,
                 "rank %d comes from %s, and the hosts file has it at %.200s: --any-address where "
                 "addresses are translated (NAT)",
                 rank, t->address, rg_join_host(g, rank));
    return t->unplaced;
}

/* What speaks against a rank that is who it says; or who it is has no bearing. */
static enum rg_fault judge_guest(struct rg_gathering *g, struct rg_talk *t,
                                 const struct rg_hello *h, int rank, char *why, size_t room)
{
    char peer[120];
    bool other_run = g->nonce && h->nonce && h->nonce != g->nonce;
    snprintf(peer, sizeof peer, "rank %u at %s", h->rank, t->address);
    rg_join_judge(g, h, peer, why, room);
    bool trains = h->kind == RG_HELLO_TRAINS && g->o->joined && !g->door;
    if (!why[0] && ((h->kind != RG_HELLO_ASKS && !trains) || rank <= g->rank))
        snprintf(why, room, "%s is not to call rank %d", peer, g->rank);
    if (why[0] && rank > g->rank && !other_run && g->peers[rank].fd < 0 &&
        rg_join_origin(g, t->connection.fd, rank) == RG_ORIGIN_LISTED) {
        g->places[rank].told = true; /* the very peer that is waited for: no use to wait on */
        rg_join_fail(g, why);
        return RG_FAULT_OTHER;
    }
    if (!why[0] && g->failed) {
        snprintf(why, room, "%s", g->why);
        g->places[rank].told = true;
        return RG_FAULT_COMES_TO_NOTHING;
    }
    bool nameless = g->rank > 0 && h->nonce == 0 && !g->o->joined;
    if (!why[0] && g->door && g->places[rank].elsewhere) {
        snprintf(why, room, "rank %d is in the run, and %s is another", rank, t->address);
        return RG_FAULT_EARLY; /* its loss has not been noticed, or all have lost it but this one */
    }
    if (!why[0] && !g->door && !trains && (other_run || nameless)) {
        snprintf(why, room, "%s belongs to another run", peer);
        return g->o->joined ? RG_FAULT_EARLY : RG_FAULT_OTHER;
    }
    return RG_FAULT_OTHER;
}

/* The hello is whole and well-formed: let it in, hold it, or refuse it. */
static void admit(struct rg_gathering *g, struct rg_talk *t, const struct rg_hello *h)
{
    char why[RG_WIRE_REASON + 320];
    int rank = h->rank < (uint32_t)g->size ? (int)h->rank : -1;
    enum rg_fault fault = judge_rank(g, t, h, why, sizeof why);
    if (!why[0])
        fault = judge_guest(g, t, h, rank, why, sizeof why);
    if (!why[0]) {
        if (judge_place(g, t, rank, why, sizeof why))
            return;
        fault = why[0] ? RG_FAULT_ADDRESS : fault;
    }
    if (!why[0] && g->peers[rank].fd >= 0 && !rg_join_is_alive(g->peers[rank].fd))
        rg_join_drop_peer(g, rank);
    if (!why[0] && g->peers[rank].fd >= 0 && !g->places[rank].gone) {
        snprintf(why, sizeof why, "rank %d has joined already, and %s is another", rank,
                 t->address);
        fault = RG_FAULT_RANK;
    }
    if (why[0]) {
        rg_join_refuse(g, t, (int)h->rank, fault, why);
        return;
    }
    bool trains = h->kind == RG_HELLO_TRAINS && rg_join_meet_training(g, rank, h);
    t->held = g->nonce == 0;
    if (t->held)
        return;
    if (g->train > 0 && !trains) { /* it has come back, too, and tries again */
        rg_join_end_talk(t);
        return;
    }
    struct rg_hello welcome = rg_join_hello(g, g->door ? RG_HELLO_TRAINS : RG_HELLO_WELCOME, rank);
    rg_join_tune(g, t->connection.fd);
    if (rg_join_send_hello(&t->connection, &welcome))
        take_peer(g, rank, t, trains);
    else
        rg_join_end_talk(t);
}

/* One has a key, and this node has none. */
static bool speaks_tls(const struct rg_talk *t)
{
    return !t->connection.tls && t->have >= 2 && t->bytes[0] == 22 && t->bytes[1] == 3;
}

/* Has it proved that it has the key? */
static bool shake_visitor(struct rg_gathering *g, struct rg_talk *t)
{
    int shaken = rg_secure_shake(t->connection.tls);
    if (shaken < 0)
        rg_join_refuse_stranger(g, t);
    t->shaking = shaken == 0;
    return shaken == 1;
}

void rg_join_hear(struct rg_gathering *g, struct rg_talk *t)
{
    if (t->shaking && !shake_visitor(g, t))
        return;
    int read = t->held || t->unplaced ? 1 : rg_join_read_hello(t);
    if (read == 0)
        return;
    struct rg_hello h;
    char why[RG_WIRE_REASON];
    const char *wrong = read == -1   ? "it closed the connection"
                        : read == -2 ? "it does not speak RingTMP"
                                     : rg_hello_decode(t->bytes, &h);
    if (speaks_tls(t)) {
        snprintf(why, sizeof why, "%s has a key, and rank %d runs without", t->address, g->rank);
        rg_join_refuse(g, t, 0, RG_FAULT_KEY, why);
    } else if (wrong) {
        rg_join_drop(g, t, read == -1 ? RG_FAULT_SILENT : RG_FAULT_FOREIGN, wrong);
    } else {
        admit(g, t, &h);
    }
}

static struct rg_talk *free_visitor(struct rg_gathering *g)
{
    struct rg_talk *oldest = NULL;
    for (int i = 0; i < RG_VISITORS; i++) {
        struct rg_talk *t = &g->visitors[i];
        if (t->connection.fd < 0)
            return t;
        if (!t->held && !t->unplaced && (!oldest || t->limit < oldest->limit))
            oldest = t;
    }
    if (oldest)
        rg_join_drop(g, oldest, RG_FAULT_SILENT, "too many connections that say nothing");
    return oldest;
}

/* Of accept(2): not because nobody is there, or the one who was has gone again. */
static bool is_for_good(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
           error == EBADF || error == EINVAL || error == ENOTSOCK;
}

void rg_join_receive_visitors(struct rg_gathering *g)
{
    for (int i = 0; i < RG_VISITORS; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int fd = accept4(g->listener, (struct sockaddr *)&address, &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && is_for_good(errno))
            rg_join_fail_here(g, "accept connections", errno);
        if (fd < 0)
            return;
        struct rg_talk *t = free_visitor(g);
        if (!t) {
            close(fd);
            continue;
        }
        t->connection = (struct rg_connection){.fd = fd};
        t->limit = rg_clock_s() + HELLO_S;
        t->shaking = g->guard != NULL;
        char port[8] = "?";
        snprintf(t->address, sizeof t->address, "?");
        getnameinfo((struct sockaddr *)&address, length, t->address, sizeof t->address, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
        snprintf(t->from, sizeof t->from, strchr(t->address, ':') ? "[%s]:%s" : "%s:%s", t->address,
                 port);
        if (g->guard && !(t->connection.tls = rg_secure_new(g->guard, fd, false)))
            rg_join_drop(g, t, RG_FAULT_SILENT, rg_strerror(RG_ERR_NOMEM));
        else
            rg_join_hear(g, t);
    }
}
