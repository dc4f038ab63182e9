/* The handshake of a full mesh: rank r connects to every lower rank and accepts every higher one.
 *
 * Happy path: whoever connects says a hello (who it is, whom it believes to call, version,
 * scenario, run), the other answers with a welcome. The run's name (nonce) is drawn by rank 0 and
 * learnt in its welcome; the other ranks are called after that. When all are there the listener is
 * closed.
 *
 * Failure modes handled: peers that are not up yet (tried again, ever slower, until the deadline;
 * it is then said who is missing and why); a peer of another version, scenario, size or place in
 * the hosts file: refused, with the reason on both sides; bytes that are no hello, connections that
 * say nothing or too little, more connections than there is room for: dropped and logged; a peer of
 * another run, or that only claims to be one of ours: refused and logged, and the wait goes on; the
 * same rank twice; a peer that is lost again before all are there: waited for anew; interruption.
 */
#include "posix/join.h"

#include "base/check.h"
#include "posix/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HELLO_S    5.0  /* to say a hello */
#define CONNECT_S  5.0  /* to answer a connect, and a hello */
#define FIRST_TRY  0.02 /* between tries; grows to LAST_TRY */
#define LAST_TRY   1.0
#define PROGRESS_S 5.0
#define SPREAD_S   1.0         /* to tell the others that it comes to nothing */
#define UNSENT     (128 << 10) /* that the kernel takes ahead of what it sends; adapted later */

enum { VISITORS = 64 };

enum call_state { CALL_IDLE, CALL_CONNECTING, CALL_WAITING };

/* A connection to a lower rank in the making, or from a stranger. */
struct talk {
    int fd;
    enum call_state state; /* calls */
    double limit;          /* gives up then */
    size_t have;           /* bytes of the other's hello */
    bool held;             /* visitors: valid, but the run's name is not known yet */
    unsigned char bytes[RG_WIRE_HELLO];
    char from[80]; /* address of a visitor */
};

struct place {
    struct talk call; /* lower ranks */
    double next_try, pause;
    struct addrinfo *addresses, *next_address;
    char why[RG_WIRE_REASON + 64]; /* it is not there: the last reason */
    bool told;                     /* that it comes to nothing */
};

struct gathering {
    const struct rg_join *o;
    const char *version;
    int rank, size, joined, listener;
    int *fds;
    uint64_t nonce;
    double began, deadline, progress;
    struct place *places; /* by rank */
    struct talk visitors[VISITORS];
    struct pollfd *polls;
    struct rg_error *e;
    int failed; /* an RG_ERR_* code that ends it; text in *e and why */
    char why[RG_WIRE_REASON];
};

static double clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

__attribute__((format(printf, 2, 3))) static void say(const struct gathering *g, const char *format,
                                                      ...)
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

static const char *host_text(const struct gathering *g, int rank)
{
    return g->o->hosts->host[rank].name;
}

/* ---- sockets ---- */

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value); /* a wish; the kernel's way works too */
}

void rg_choose_congestion(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
}

static void tune(const struct gathering *g, int fd)
{
    double timeout = g->o->peer_timeout_s > 0 ? g->o->peer_timeout_s : 20;
    int idle = RG_MAX(1, (int)(timeout / 4));
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(1000 * timeout));
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT);
}

static void end_talk(struct talk *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    t->state = CALL_IDLE;
    t->have = 0;
    t->held = false;
}

static struct addrinfo *resolve(const struct rg_host *host, bool passive, const char **wrong)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host->name, host->port, &hints, &found);
    *wrong = error ? gai_strerror(error) : NULL;
    return error ? NULL : found;
}

static int bind_and_listen(const struct addrinfo *a, int backlog)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    rg_choose_congestion(fd);
    if (a->ai_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, backlog) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* An address of the hosts file is what is listened on. A name may stand for a loopback address on
 * its own machine (Debian writes such a line into /etc/hosts), so it means every address; so does
 * an address that this machine does not have itself (behind a translating router). */
static int open_listener(struct gathering *g)
{
    const struct rg_hosts *hosts = g->o->hosts;
    const struct rg_host *own = &hosts->host[g->rank];
    struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                               .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd = -1, backlog = g->size + VISITORS;
    if (getaddrinfo(own->name, own->port, &numeric, &found) == 0) {
        fd = bind_and_listen(found, backlog);
        freeaddrinfo(found);
        if (fd < 0 && errno != EADDRNOTAVAIL)
            goto fail;
    }
    for (int family = 0; fd < 0 && family < 2; family++) {
        numeric.ai_family = family ? AF_INET : AF_INET6;
        if (getaddrinfo(NULL, own->port, &numeric, &found) == 0) {
            fd = bind_and_listen(found, backlog);
            freeaddrinfo(found);
            if (fd < 0 && errno == EADDRINUSE)
                goto fail;
        }
    }
    if (fd >= 0) {
        g->listener = fd;
        return 0;
    }
fail:
    return g->failed = rg_fail(g->e, RG_ERR_IO, "rank %d cannot listen on %s port %s: %s", g->rank,
                               own->name, own->port, strerror(errno));
}

/* ---- hellos ---- */

static struct rg_hello hello_of(const struct gathering *g, enum rg_hello_kind kind, int target)
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

/* A hello always fits an empty socket; where it does not, the connection is of no use. */
static bool send_hello(int fd, const struct rg_hello *h)
{
    unsigned char bytes[RG_WIRE_HELLO];
    rg_hello_encode(h, bytes);
    return send(fd, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof bytes;
}

/* What speaks against a hello, as seen from here; "" if nothing does. `peer`: "rank 2 at host". */
static void judge(const struct gathering *g, const struct rg_hello *h, const char *peer, char *why,
                  size_t room)
{
    why[0] = '\0';
    if (h->protocol != RG_WIRE_PROTOCOL || strcmp(h->version, g->version) != 0)
        snprintf(why, room, "%s runs version %s (protocol %u), rank %d runs %s (protocol %u)", peer,
                 h->version, h->protocol, g->rank, g->version, RG_WIRE_PROTOCOL);
    else if (h->size != (uint32_t)g->size)
        snprintf(why, room, "%s has %u hosts in its list, rank %d has %d", peer, h->size, g->rank,
                 g->size);
    else if (h->target != (uint32_t)g->rank)
        snprintf(why, room,
                 "%s takes this for rank %u, but it is rank %d: the lists of hosts differ", peer,
                 h->target, g->rank);
    else if (strncmp(h->scenario, g->o->scenario, RG_DIGEST_TEXT - 1) != 0)
        snprintf(why, room, "%s has another scenario (%.8s...) than rank %d (%.8s...)", peer,
                 h->scenario, g->rank, g->o->scenario);
}

/* 1: whole, 0: more to come, -1: over, -2: nonsense. */
static int read_hello(struct talk *t)
{
    while (t->have < RG_WIRE_HELLO) {
        ssize_t n = recv(t->fd, t->bytes + t->have, RG_WIRE_HELLO - t->have, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (n <= 0)
            return -1;
        t->have += (size_t)n;
        if (!rg_hello_begins(t->bytes, t->have))
            return -2;
    }
    return 1;
}

static void take_peer(struct gathering *g, int rank, struct talk *t)
{
    g->fds[rank] = t->fd;
    g->joined++;
    t->fd = -1;
    end_talk(t);
}

static void fail_refused(struct gathering *g, const char *why)
{
    if (g->failed)
        return;
    g->failed = rg_fail(g->e, RG_ERR_REFUSED, "%s", why);
    snprintf(g->why, sizeof g->why, "%.*s", (int)sizeof g->why - 1, why);
}

/* ---- calling lower ranks ---- */

static void try_later(struct gathering *g, struct place *p, const char *why)
{
    end_talk(&p->call);
    snprintf(p->why, sizeof p->why, "%s", why);
    if (p->next_address && p->next_address->ai_next) {
        p->next_address = p->next_address->ai_next;
        p->next_try = clock_s();
        return;
    }
    p->next_address = NULL;
    p->pause = p->pause > 0 ? RG_MIN(1.5 * p->pause, LAST_TRY) : FIRST_TRY;
    p->next_try = clock_s() + p->pause * (1 + 0.1 * (g->rank % 7));
}

static void connected(struct gathering *g, int rank)
{
    struct place *p = &g->places[rank];
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(p->call.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    struct rg_hello h = hello_of(g, RG_HELLO_ASKS, rank);
    if (error) {
        try_later(g, p, strerror(error));
        return;
    }
    tune(g, p->call.fd);
    if (!send_hello(p->call.fd, &h)) {
        try_later(g, p, "it took no hello");
        return;
    }
    p->call.state = CALL_WAITING;
    p->call.limit = g->deadline; /* it may hold the hello until it knows the run */
}

static void start_call(struct gathering *g, int rank)
{
    struct place *p = &g->places[rank];
    const char *wrong = NULL;
    if (!p->next_address) {
        if (p->addresses)
            freeaddrinfo(p->addresses);
        p->addresses = resolve(&g->o->hosts->host[rank], false, &wrong);
        p->next_address = p->addresses;
    }
    if (!p->next_address) {
        try_later(g, p, wrong ? wrong : "no address");
        return;
    }
    const struct addrinfo *a = p->next_address;
    p->call.fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    p->call.state = CALL_CONNECTING;
    p->call.limit = clock_s() + CONNECT_S;
    rg_choose_congestion(p->call.fd);
    if (p->call.fd < 0 ||
        (connect(p->call.fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS))
        try_later(g, p, strerror(errno));
}

static void give_up(struct gathering *g, int rank, const char *why)
{
    end_talk(&g->places[rank].call);
    g->places[rank].told = true;
    fail_refused(g, why);
}

static void answered(struct gathering *g, int rank)
{
    struct place *p = &g->places[rank];
    int read = read_hello(&p->call);
    if (read == 0)
        return;
    struct rg_hello h;
    const char *wrong = read == -1   ? "it closed the connection"
                        : read == -2 ? "it does not speak RingTMP"
                                     : rg_hello_decode(p->call.bytes, &h);
    if (wrong) {
        try_later(g, p, wrong);
        return;
    }
    char why[RG_WIRE_REASON + 320], peer[300];
    snprintf(peer, sizeof peer, "rank %d at %s", rank, host_text(g, rank));
    if (h.kind == RG_HELLO_REFUSED) {
        snprintf(why, sizeof why, "%s refused: %s", peer,
                 h.reason[0] ? h.reason : "no reason given");
        give_up(g, rank, why);
        return;
    }
    judge(g, &h, peer, why, sizeof why);
    if (!why[0] && h.rank != (uint32_t)rank)
        snprintf(why, sizeof why, "%s says that it is rank %u", peer, h.rank);
    if (!why[0] &&
        (h.kind != RG_HELLO_WELCOME || h.nonce == 0 || (g->nonce && h.nonce != g->nonce)))
        snprintf(why, sizeof why, "%s belongs to another run", peer);
    if (why[0]) {
        give_up(g, rank, why);
        return;
    }
    g->nonce = h.nonce;
    take_peer(g, rank, &p->call);
}

/* ---- visitors ---- */

static void refuse(struct gathering *g, struct talk *t, const struct rg_hello *theirs,
                   const char *why)
{
    struct rg_hello h = hello_of(g, RG_HELLO_REFUSED, (int)theirs->rank);
    snprintf(h.reason, sizeof h.reason, "%s", why);
    send_hello(t->fd, &h);
    shutdown(t->fd, SHUT_WR);
    say(g, "refused %s: %s", t->from, why);
    end_talk(t);
}

/* Does the visitor come from the address that the hosts file gives the rank? */
static bool comes_from(const struct gathering *g, int fd, int rank)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char theirs[NI_MAXHOST], listed[NI_MAXHOST];
    if (getpeername(fd, (struct sockaddr *)&address, &length) != 0 ||
        getnameinfo((struct sockaddr *)&address, length, theirs, sizeof theirs, NULL, 0,
                    NI_NUMERICHOST) != 0)
        return false;
    const char *plain = strncmp(theirs, "::ffff:", 7) == 0 ? theirs + 7 : theirs;
    const char *wrong;
    struct addrinfo *all = resolve(&g->o->hosts->host[rank], false, &wrong);
    bool found = false;
    for (struct addrinfo *a = all; a && !found; a = a->ai_next)
        found = getnameinfo(a->ai_addr, a->ai_addrlen, listed, sizeof listed, NULL, 0,
                            NI_NUMERICHOST) == 0 &&
                strcmp(listed, plain) == 0;
    if (all)
        freeaddrinfo(all);
    return found;
}

static bool is_alive(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) == 0;
}

/* One that had joined has gone: with a refusal that it passes on, or for no reason known. */
static void drop_peer(struct gathering *g, int rank)
{
    struct talk last = {.fd = g->fds[rank]};
    struct rg_hello h;
    if (read_hello(&last) == 1 && !rg_hello_decode(last.bytes, &h) && h.kind == RG_HELLO_REFUSED) {
        close(g->fds[rank]);
        g->fds[rank] = -1;
        g->joined--;
        g->places[rank].told = true;
        fail_refused(g, h.reason);
        return;
    }
    say(g, "rank %d at %s has gone again; waiting for it", rank, host_text(g, rank));
    close(g->fds[rank]);
    g->fds[rank] = -1;
    g->joined--;
    snprintf(g->places[rank].why, sizeof g->places[rank].why, "it had joined and left again");
}

/* The hello is whole and well-formed: let it in, hold it, or refuse it. */
static void admit(struct gathering *g, struct talk *t, const struct rg_hello *h)
{
    char why[RG_WIRE_REASON + 320], peer[120];
    int rank = h->rank < (uint32_t)g->size ? (int)h->rank : -1;
    snprintf(peer, sizeof peer, "rank %u at %s", h->rank, t->from);
    judge(g, h, peer, why, sizeof why);
    if (!why[0] && (h->kind != RG_HELLO_ASKS || rank <= g->rank))
        snprintf(why, sizeof why, "%s is not to call rank %d", peer, g->rank);
    bool other_run = g->nonce && h->nonce && h->nonce != g->nonce;
    if (why[0] && rank > g->rank && !other_run && g->fds[rank] < 0 && comes_from(g, t->fd, rank)) {
        refuse(g, t, h, why); /* the very peer that is waited for: no use to wait on */
        g->places[rank].told = true;
        fail_refused(g, why);
        return;
    }
    if (!why[0] && g->failed) {
        refuse(g, t, h, g->why);
        g->places[rank].told = true;
        return;
    }
    if (!why[0] && (other_run || (g->rank > 0 && h->nonce == 0)))
        snprintf(why, sizeof why, "%s belongs to another run", peer);
    if (!why[0] && g->fds[rank] >= 0 && !is_alive(g->fds[rank]))
        drop_peer(g, rank);
    if (!why[0] && g->fds[rank] >= 0)
        snprintf(why, sizeof why, "rank %d has joined already, and %s is another", rank, t->from);
    if (why[0]) {
        refuse(g, t, h, why);
        return;
    }
    t->held = g->nonce == 0;
    if (t->held)
        return;
    struct rg_hello welcome = hello_of(g, RG_HELLO_WELCOME, rank);
    tune(g, t->fd);
    if (send_hello(t->fd, &welcome))
        take_peer(g, rank, t);
    else
        end_talk(t);
}

static void hear(struct gathering *g, struct talk *t)
{
    int read = t->held ? 1 : read_hello(t);
    if (read == 0)
        return;
    struct rg_hello h;
    const char *wrong = read == -1   ? "it closed the connection"
                        : read == -2 ? "it does not speak RingTMP"
                                     : rg_hello_decode(t->bytes, &h);
    if (!wrong) {
        admit(g, t, &h);
        return;
    }
    say(g, "dropped %s: %s", t->from, wrong);
    end_talk(t);
}

static struct talk *free_visitor(struct gathering *g)
{
    struct talk *oldest = NULL;
    for (int i = 0; i < VISITORS; i++) {
        struct talk *t = &g->visitors[i];
        if (t->fd < 0)
            return t;
        if (!t->held && (!oldest || t->limit < oldest->limit))
            oldest = t;
    }
    if (oldest) {
        say(g, "dropped %s: too many connections that say nothing", oldest->from);
        end_talk(oldest);
    }
    return oldest;
}

static void receive_visitors(struct gathering *g)
{
    for (int i = 0; i < VISITORS; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        int fd = accept4(g->listener, (struct sockaddr *)&address, &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct talk *t = free_visitor(g);
        if (!t) {
            close(fd);
            continue;
        }
        t->fd = fd;
        t->limit = clock_s() + HELLO_S;
        char name[56] = "?", port[8] = "?";
        getnameinfo((struct sockaddr *)&address, length, name, sizeof name, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
        snprintf(t->from, sizeof t->from, strchr(name, ':') ? "[%s]:%s" : "%s:%s", name, port);
        hear(g, t);
    }
}

/* ---- the wait ---- */

static void report(struct gathering *g, double now)
{
    if (now < g->progress)
        return;
    g->progress = now + PROGRESS_S;
    char list[200] = "";
    size_t used = 0;
    for (int r = 0; r < g->size && used < sizeof list - 16; r++)
        if (r != g->rank && g->fds[r] < 0)
            used += (size_t)snprintf(list + used, sizeof list - used, " %d", r);
    say(g, "waiting for rank%s (%.0f s of %.0f)", list, now - g->began, g->o->timeout_s);
}

static int missing(struct gathering *g)
{
    for (int r = 0; r < g->size; r++) {
        if (r == g->rank || g->fds[r] >= 0)
            continue;
        const char *why = g->places[r].why[0] ? g->places[r].why : "it did not call";
        return rg_fail(
            g->e, RG_ERR_TIMEOUT,
            "%d of %d other ranks did not join in %.0f s; first rank %d at %s port %s: %s",
            g->size - 1 - g->joined, g->size - 1, g->o->timeout_s, r, host_text(g, r),
            g->o->hosts->host[r].port, why);
    }
    return 0;
}

/* Start calls that are due and end talks that take too long; returns when to look again. */
static double keep_time(struct gathering *g, double now)
{
    double next = RG_MIN(g->deadline, g->progress);
    for (int r = 0; r < g->rank; r++) {
        struct place *p = &g->places[r];
        if (g->fds[r] >= 0 || p->told || (r > 0 && g->nonce == 0))
            continue;
        if (p->call.state != CALL_IDLE && now >= p->call.limit)
            try_later(g, p, "no answer");
        if (p->call.state == CALL_IDLE && now >= p->next_try)
            start_call(g, r);
        next = RG_MIN(next, p->call.state == CALL_IDLE ? p->next_try : p->call.limit);
    }
    for (int i = 0; i < VISITORS; i++) {
        struct talk *t = &g->visitors[i];
        if (t->fd < 0)
            continue;
        if (t->held && g->nonce) {
            hear(g, t);
        } else if (!t->held && now >= t->limit) {
            say(g, "dropped %s: it did not say who it is", t->from);
            end_talk(t);
        } else if (!t->held) {
            next = RG_MIN(next, t->limit);
        }
    }
    return next;
}

static int add_polls(struct gathering *g)
{
    int n = 0;
    g->polls[n++] = (struct pollfd){.fd = g->listener, .events = POLLIN};
    for (int r = 0; r < g->size; r++) {
        const struct talk *call = &g->places[r].call;
        short events = call->state == CALL_CONNECTING ? POLLOUT : POLLIN;
        if (g->fds[r] >= 0)
            g->polls[n++] = (struct pollfd){.fd = g->fds[r], .events = POLLRDHUP};
        else
            g->polls[n++] = (struct pollfd){.fd = call->fd, .events = events};
    }
    for (int i = 0; i < VISITORS; i++) /* of one held only its end is of interest */
        g->polls[n++] = (struct pollfd){.fd = g->visitors[i].fd,
                                        .events = g->visitors[i].held ? POLLRDHUP : POLLIN};
    return n;
}

static void attend(struct gathering *g)
{
    const struct pollfd *place = g->polls + 1, *visitor = place + g->size;
    for (int i = 0; i < VISITORS; i++) {
        struct talk *t = &g->visitors[i];
        if (!visitor[i].revents || t->fd != visitor[i].fd)
            continue;
        if (t->held)
            end_talk(t);
        else
            hear(g, t);
    }
    for (int r = 0; r < g->size; r++) {
        struct talk *call = &g->places[r].call;
        if (!place[r].revents)
            continue;
        if (g->fds[r] >= 0 && g->fds[r] == place[r].fd && !is_alive(g->fds[r]))
            drop_peer(g, r);
        else if (call->fd == place[r].fd && call->state == CALL_CONNECTING)
            connected(g, r);
        else if (call->fd == place[r].fd && call->state == CALL_WAITING)
            answered(g, r);
    }
    if (g->polls[0].revents)
        receive_visitors(g);
}

/* One look at everything, until `next` at most. */
static void look_round(struct gathering *g, double next)
{
    int n = add_polls(g);
    double left = RG_MIN(next - clock_s(), g->o->stop ? 0.1 : 10.0);
    if (poll(g->polls, (nfds_t)n, left > 0 ? (int)(1000 * left) + 1 : 0) > 0)
        attend(g);
}

/* Those who have joined, or do so now, learn why it comes to nothing. */
static void spread_refusal(struct gathering *g)
{
    double limit = clock_s() + SPREAD_S;
    for (;;) {
        int left = g->size - 1;
        for (int r = 0; r < g->size; r++) {
            struct rg_hello h = hello_of(g, RG_HELLO_REFUSED, r);
            snprintf(h.reason, sizeof h.reason, "%s", g->why);
            if (g->fds[r] >= 0) {
                send_hello(g->fds[r], &h);
                close(g->fds[r]);
                g->fds[r] = -1;
                g->places[r].told = true;
            }
            left -= r != g->rank && g->places[r].told;
        }
        double now = clock_s();
        if (left == 0 || now >= limit || (g->o->stop && *g->o->stop))
            return;
        look_round(g, RG_MIN(limit, keep_time(g, now)));
    }
}

static int gather(struct gathering *g)
{
    while (g->joined < g->size - 1) {
        double now = clock_s();
        if (g->o->stop && *g->o->stop)
            return rg_fail(g->e, RG_ERR_INTERRUPTED, "%s", rg_strerror(RG_ERR_INTERRUPTED));
        if (now >= g->deadline)
            return missing(g);
        report(g, now);
        double next = keep_time(g, now);
        if (g->failed)
            return g->failed;
        look_round(g, next);
        if (g->failed)
            return g->failed;
    }
    return 0;
}

static void clean_up(struct gathering *g, int result)
{
    if (g->listener >= 0)
        close(g->listener);
    for (int i = 0; i < VISITORS; i++)
        end_talk(&g->visitors[i]);
    for (int r = 0; r < g->size; r++) {
        if (g->places) {
            end_talk(&g->places[r].call);
            if (g->places[r].addresses)
                freeaddrinfo(g->places[r].addresses);
        }
        if (result && g->fds[r] >= 0) {
            close(g->fds[r]);
            g->fds[r] = -1;
        }
    }
    free(g->places);
    free(g->polls);
}

int rg_join_mesh(const struct rg_join *o, int *fds, struct rg_error *e)
{
    double now = clock_s();
    struct gathering g = {.o = o,
                          .version = o->version ? o->version : RG_VERSION,
                          .rank = o->rank,
                          .size = o->hosts->count,
                          .listener = o->listener,
                          .fds = fds,
                          .nonce = o->nonce,
                          .began = now,
                          .deadline = now + o->timeout_s,
                          .progress = now + PROGRESS_S / 2,
                          .e = e};
    size_t n = (size_t)g.size;
    g.places = calloc(n, sizeof *g.places);
    g.polls = calloc(1 + n + VISITORS, sizeof *g.polls);
    for (size_t r = 0; r < n; r++) {
        fds[r] = -1;
        if (g.places)
            g.places[r].call.fd = -1;
    }
    for (int i = 0; i < VISITORS; i++)
        g.visitors[i].fd = -1;
    int result = 0;
    while (g.rank == 0 && g.nonce == 0)
        if (getrandom(&g.nonce, sizeof g.nonce, 0) < 0)
            g.nonce = (uint64_t)getpid() << 32 ^ (uint64_t)(1e6 * now);
    if (!g.places || !g.polls)
        result = rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    else if (g.size > 1 && g.listener < 0)
        result = open_listener(&g);
    if (result == 0)
        result = gather(&g);
    if (result == RG_ERR_REFUSED)
        spread_refusal(&g);
    clean_up(&g, result);
    return result;
}
