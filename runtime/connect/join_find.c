/* Finding the others: what is listened on, and calls to lower ranks.
 *
 * Happy path: every address that a host's name stands for is called in turn. Failure modes handled:
 * names without an address and hosts that do not answer (tried again, ever slower); without a key,
 * any address beyond this machine: refused before anything is bound, and again at each call, as a
 * name may have moved meanwhile. */
#include "connect/join_parts.h"

#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_TRY 0.002 /* between tries; grows to LAST_TRY */
#define LAST_TRY  1.0
#define UNSENT    (128 << 10) /* that the kernel takes ahead of what it sends; adapted later */

/* ---- addresses ---- */

/* Waits for the resolver. */
static struct addrinfo *resolve(const struct rg_host *host)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    return getaddrinfo(host->name, host->port, &hints, &found) ? NULL : found;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)address;
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *six = (const void *)address;
    if (address->sa_family != AF_INET6)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) && six->sin6_addr.s6_addr[12] == 127);
}

static bool confined(const struct rg_gathering *g)
{
    return !g->o->key && !g->o->insecure;
}

int rg_join_check_hosts(const struct rg_gathering *g)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    static const char advice[] = "without a key nodes talk within one machine, over loopback: "
                                 "--key-file FILE, or --insecure to go without";
    if (!confined(g))
        return 0;
    for (int r = 0; r < g->size; r++) {
        const struct rg_host *host = &g->o->hosts->host[r];
        struct addrinfo *all = resolve(host);
        bool here = all != NULL;
        for (struct addrinfo *a = all; a && here; a = a->ai_next)
            here = is_loopback(a->ai_addr);
        if (all)
            freeaddrinfo(all);
        if (!here)
            return rg_fail_at(g->e, g->o->hosts->file, host->line, "%s is not this machine; %s",
                              host->name, advice);
    }
    if (g->listener >= 0 && getsockname(g->listener, (struct sockaddr *)&own, &length) == 0 &&
        !is_loopback((struct sockaddr *)&own))
        return rg_fail(g->e, RG_ERR_INVALID, "the socket can be reached from outside; %s", advice);
    return 0;
}

/* ---- sockets ---- */

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value); /* a wish; the kernel's way works too */
}

void rg_choose_congestion(int fd)
{
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

bool rg_slow_start_after_idle(void)
{
    FILE *stream = fopen("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "re");
    bool slow = stream && fgetc(stream) == '1';
    if (stream)
        fclose(stream);
    return slow;
}

void rg_join_tune(const struct rg_gathering *g, int fd)
{
    double timeout = g->o->peer_timeout_s > 0 ? g->o->peer_timeout_s : RG_PEER_TIMEOUT_S;
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

static int bind_first(const struct addrinfo *all, int backlog)
{
    int fd = -1;
    for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
        fd = bind_and_listen(a, backlog);
    return fd;
}

/* Every address of this machine. */
static int bind_any(const char *port, int backlog)
{
    struct addrinfo any = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                           .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd = -1;
    for (int family = 0; fd < 0 && family < 2; family++) {
        any.ai_family = family ? AF_INET : AF_INET6;
        if (getaddrinfo(NULL, port, &any, &found) != 0)
            continue;
        fd = bind_first(found, backlog);
        freeaddrinfo(found);
        if (fd < 0 && errno == EADDRINUSE)
            break;
    }
    return fd;
}

/* An address of the hosts file is what is listened on. A name may stand for a loopback address on
 * its own machine (Debian writes such a line into /etc/hosts), so it means every address; so does
 * an address that this machine does not have itself (behind a translating router). Without a key
 * a name means its loopback addresses. */
int rg_join_listen(struct rg_gathering *g)
{
    const struct rg_host *own = &g->o->hosts->host[g->rank];
    struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int backlog = g->size + RG_VISITORS;
    bool elsewhere = !confined(g);
    g->listener = -1;
    if (!confined(g))
        hints.ai_flags |= AI_NUMERICHOST;
    if (getaddrinfo(own->name, own->port, &hints, &found) == 0) {
        if (!confined(g) || is_loopback(found->ai_addr))
            g->listener = bind_first(found, backlog);
        elsewhere = elsewhere && (g->listener >= 0 || errno == EADDRNOTAVAIL);
        freeaddrinfo(found);
    }
    if (g->listener < 0 && elsewhere)
        g->listener = bind_any(own->port, backlog);
    if (g->listener >= 0)
        return 0;
    return g->failed = rg_fail(g->e, RG_ERR_IO, "rank %d cannot listen on %s port %s: %s", g->rank,
                               own->name, own->port, strerror(errno));
}

/* ---- calling lower ranks ---- */

void rg_join_try_later(struct rg_gathering *g, int rank, const char *why)
{
    struct rg_place *p = &g->places[rank];
    rg_join_end_talk(&p->call);
    snprintf(p->why, sizeof p->why, "%s", why);
    if (++p->next_address < p->addresses.count) {
        p->next_try = rg_clock_s();
        return;
    }
    p->addresses.count = p->next_address = 0; /* a name may have moved meanwhile */
    rg_names_ask(g->names, rank);
    p->pause = p->pause > 0 ? RG_MIN(1.5 * p->pause, LAST_TRY) : FIRST_TRY;
    p->next_try = rg_clock_s() + p->pause * (1 + 0.1 * (g->rank % 7));
}

int rg_join_connected(struct rg_gathering *g, int rank)
{
    int fd = g->places[rank].call.connection.fd, error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        rg_join_try_later(g, rank, strerror(error));
        return 0;
    }
    rg_join_tune(g, fd);
    return 1;
}

void rg_join_start_call(struct rg_gathering *g, int rank)
{
    struct rg_place *p = &g->places[rank];
    if (p->addresses.count == 0) {
        rg_names_get(g->names, rank, &p->addresses);
        p->next_address = 0;
    }
    if (p->addresses.count == 0) {
        rg_join_try_later(
            g, rank, p->addresses.pending ? "its name is still being looked up" : p->addresses.why);
        return;
    }
    const struct rg_address *a = &p->addresses.list[p->next_address];
    if (confined(g) && !is_loopback((const void *)&a->at)) {
        rg_join_try_later(g, rank, "its address is not this machine's any more");
        return;
    }
    p->call.connection.fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->call.connection.fd < 0 && (errno == EMFILE || errno == ENFILE))
        rg_join_fail_here(g, "open a socket", errno);
    rg_choose_congestion(p->call.connection.fd);
    p->call.state = RG_CALL_CONNECTING;
    p->call.limit = rg_clock_s() + RG_CONNECT_S;
    if (p->call.connection.fd < 0 ||
        (connect(p->call.connection.fd, (const void *)&a->at, a->length) != 0 &&
         errno != EINPROGRESS))
        rg_join_try_later(g, rank, strerror(errno));
}

static bool name_number(const struct sockaddr *address, socklen_t length, char text[NI_MAXHOST])
{
    if (getnameinfo(address, length, text, NI_MAXHOST, NULL, 0, NI_NUMERICHOST) != 0)
        return false;
    if (strncmp(text, "::ffff:", 7) == 0)
        memmove(text, text + 7, strlen(text + 7) + 1);
    return true;
}

/* Over loopback come processes of this machine, from 127.0.0.1 whatever they have called: all its
 * addresses are one place, as the one that Debian gives a machine's own name (127.0.1.1). */
static bool same_place(const struct sockaddr *one, socklen_t one_length,
                       const struct sockaddr *other, socklen_t other_length)
{
    char a[NI_MAXHOST], b[NI_MAXHOST];
    if (is_loopback(one) && is_loopback(other))
        return true;
    return name_number(one, one_length, a) && name_number(other, other_length, b) &&
           strcmp(a, b) == 0;
}

enum rg_origin rg_join_origin(const struct rg_gathering *g, int fd, int rank)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    struct rg_addresses known;
    if (getpeername(fd, (struct sockaddr *)&address, &length) != 0)
        return RG_ORIGIN_OTHER; /* it has gone again */
    rg_names_get(g->names, rank, &known);
    for (int i = 0; i < known.count; i++)
        if (same_place((const void *)&address, length, (const void *)&known.list[i].at,
                       known.list[i].length))
            return RG_ORIGIN_LISTED;
    if (known.count > 0)
        return RG_ORIGIN_OTHER;
    return known.pending ? RG_ORIGIN_PENDING : RG_ORIGIN_UNKNOWN;
}
