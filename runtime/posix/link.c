/* One peer's socket: writes what the stream plans, reads to where the stream has room.
 *
 * Failure modes handled: a full socket (the driver is told to wait for room); a connection that is
 * reset, times out or ends without a goodbye, and bytes that are no frames: the peer is lost, for
 * the reason said. Where writing fails, what the peer had sent before is still read. */
#include "posix/mesh.h"
#include "posix/stream.h"

#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUDGET = 4 << 20 }; /* bytes at a stretch, each way */

/* The other end of it is on this machine. */
static bool is_loopback(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&address, &length) != 0)
        return false;
    if (address.ss_family == AF_INET)
        return ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &((struct sockaddr_in6 *)&address)->sin6_addr;
    return address.ss_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127));
}

static bool is_checked(const struct rg_connection *c, enum rg_checksum wanted)
{
    if (wanted == RG_CHECKSUM_AUTO)
        return !c->tls && c->fd >= 0 && !is_loopback(c->fd);
    return wanted == RG_CHECKSUM_YES;
}

int rg_link_open(struct rg_link *l, const struct rg_connection *c, enum rg_checksum checksum)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)l->pair->rank};
    l->fd = c->fd;
    l->tls = c->tls;
    l->pair->checks = is_checked(c, checksum);
    if (l->tls) {
        rg_secure_read_ahead(l->tls);
        l->pair->segment_spare =
            RG_WIRE_UNIT; /* no record is begun for a header's worth of bytes */
    }
    if (l->fd >= 0 && epoll_ctl(l->mesh->epoll, EPOLL_CTL_ADD, l->fd, &event) != 0)
        return RG_ERR_NOMEM;
    return 0;
}

void rg_link_dirty(struct rg_link *l)
{
    if (l->dirty || l->fd < 0)
        return;
    l->dirty = true;
    l->next_dirty = l->mesh->dirty;
    l->mesh->dirty = l;
}

static void want_out(struct rg_link *l, bool want)
{
    if (l->want_out == want)
        return;
    l->want_out = want;
    struct epoll_event event = {.events = EPOLLIN | (want ? EPOLLOUT : 0u),
                                .data.u32 = (uint32_t)l->pair->rank};
    epoll_ctl(l->mesh->epoll, EPOLL_CTL_MOD, l->fd, &event);
}

/* ---- out ---- */

static ssize_t put_batch(struct rg_link *l, struct rg_batch *batch)
{
    struct msghdr message = {.msg_iov = batch->part, .msg_iovlen = (size_t)batch->parts};
    if (l->tls)
        return rg_secure_send(l->tls, batch->part, batch->parts);
    return sendmsg(l->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Records of TLS that the socket had no room for; the messages in them count as written. */
static bool unsent(const struct rg_link *l)
{
    return l->tls && rg_secure_unsent(l->tls);
}

/* The kernel is to hold two segments unsent, so that a thread that is late does not leave the wire
 * idle. */
static void wrote(struct rg_link *l, size_t bytes)
{
    size_t before = l->pair->segment;
    l->mesh->facts.wire_sent += l->tls ? 0 : bytes; /* TLS counts itself */
    l->said |= bytes > 0;
    rg_stream_wrote(l->pair, bytes);
    if (l->pair->segment == before)
        return;
    int low = (int)(2 * l->pair->segment);
    setsockopt(l->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
}

/* Writing has failed: reading tells why, after what is left to read. */
static void fall_silent(struct rg_link *l)
{
    if (l->tls && errno == EPROTO)
        shutdown(l->fd, SHUT_RDWR); /* the socket knows of nothing */
    l->mute = true;
    want_out(l, false);
}

void rg_link_flush(struct rg_link *l)
{
    if (!l->want_out)
        rg_link_room(l);
}

void rg_link_flush_dirty(struct rg_mesh *m)
{
    struct rg_link *l = m->dirty;
    m->dirty = NULL;
    for (struct rg_link *next; l; l = next) {
        next = l->next_dirty;
        l->dirty = false;
        rg_link_flush(l);
    }
}

void rg_link_room(struct rg_link *l)
{
    size_t budget = BUDGET;
    while (l->fd >= 0 && !l->mute) {
        struct rg_batch batch;
        rg_stream_plan(l->pair, &batch);
        if (batch.bytes == 0 && !unsent(l)) {
            want_out(l, false);
            return;
        }
        ssize_t n = put_batch(l, &batch);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            fall_silent(l);
            return;
        }
        wrote(l, n > 0 ? (size_t)n : 0);
        if (n < (ssize_t)batch.bytes || (size_t)n >= budget || unsent(l)) {
            want_out(l, true);
            return;
        }
        budget -= (size_t)n;
    }
}

/* ---- losing a peer ---- */

static void close_link(struct rg_link *l)
{
    struct rg_mesh *m = l->mesh;
    rg_link_facts(l, &m->facts);
    epoll_ctl(m->epoll, EPOLL_CTL_DEL, l->fd, NULL);
    rg_secure_free(l->tls);
    l->tls = NULL;
    close(l->fd);
    l->fd = -1;
    l->want_out = false;
    rg_match_gone(l->pair);
}

void rg_link_note_lost(struct rg_mesh *m, int rank, int code, const char *why, int teller)
{
    struct rg_mesh_lost *lost = &m->lost;
    if (lost->rank >= 0)
        return;
    char hearsay[40] = "", stopped[80];
    double away = RG_MAX(m->away_s, rg_clock_s() - m->now_s);
    if (away > m->silence_s) { /* the others have lost this rank, not the other way round */
        rank = m->match.rank;
        teller = -1;
        code = RG_ERR_PEER;
        snprintf(stopped, sizeof stopped, "it, or its machine, was stopped for %.0f s", away);
        why = stopped;
    }
    const char *colon = why[0] ? ": " : "";
    lost->rank = rank;
    lost->code = code;
    lost->lost_s = rg_clock_s();
    lost->heard_s = m->links[rank].heard ? m->now_s : RG_MIN(m->links[rank].heard_s, m->now_s);
    rg_copy_text(lost->host, sizeof lost->host, m->links[rank].host);
    rg_copy_text(lost->why, sizeof lost->why, why);
    if (teller >= 0 && teller != rank)
        snprintf(hearsay, sizeof hearsay, ", as rank %d reports", teller);
    snprintf(lost->text, sizeof lost->text, "rank %d (%.280s) %s%s%s%.255s", rank, lost->host,
             teller == rank ? "failed" : "was lost", hearsay, colon, why);
    if (!m->quiet)
        fprintf(stderr, "ringnode: rank %d: %s\n", m->match.rank, lost->text);
}

static void lose(struct rg_link *l, int code, const char *format, va_list args)
{
    if (l->pair->gone)
        return;
    char why[sizeof l->mesh->lost.why];
    vsnprintf(why, sizeof why, format, args);
    rg_link_note_lost(l->mesh, l->pair->rank, code, why, -1);
    close_link(l);
}

void rg_link_lose(struct rg_link *l, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lose(l, code, format, args);
    va_end(args);
}

void rg_link_lose_silent(struct rg_link *l, const char *format, ...)
{
    va_list args;
    l->silent = true;
    va_start(args, format);
    lose(l, RG_ERR_PEER, format, args);
    va_end(args);
}

void rg_link_facts(const struct rg_link *l, struct rg_mesh_facts *facts)
{
    struct tcp_info info;
    memset(&info, 0, sizeof info);
    socklen_t length = sizeof info;
    if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0)
        facts->retransmits += info.tcpi_total_retrans;
    length = sizeof facts->congestion;
    char name[sizeof facts->congestion] = "";
    if (getsockopt(l->fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0)
        memcpy(facts->congestion, name, sizeof name - 1);
    if (!l->tls)
        return;
    facts->wire_sent += rg_secure_wire_sent(l->tls);
    facts->wire_received += rg_secure_wire_received(l->tls);
    snprintf(facts->cipher, sizeof facts->cipher, "%s", rg_secure_cipher(l->tls));
}

static void lose_nonsense(struct rg_link *l, const char *wrong)
{
    int code = rg_stream_code(wrong);
    bool told = code == RG_ERR_NOMEM || wrong == l->pair->damage;
    rg_link_lose(l, code, told ? "%s" : "it broke the protocol: %s", wrong);
}

static void lose_silent(struct rg_link *l, ssize_t n)
{
    if (l->mesh->leaving)
        close_link(l);
    else if (n < 0 && l->tls && errno == EPROTO)
        rg_link_lose(l, RG_ERR_PROTOCOL, "%s", rg_secure_why(l->tls));
    else
        rg_link_lose(l, RG_ERR_PEER, "%s%s",
                     n < 0 ? strerror(errno) : "it vanished without a goodbye", l->suspicion);
}

/* ---- in ---- */

static ssize_t read_some(struct rg_link *l, size_t *asked)
{
    struct iovec part[2];
    rg_stream_room(l->pair, part);
    *asked = part[0].iov_len + part[1].iov_len;
    int first = part[0].iov_len ? 0 : 1;
    return l->tls       ? rg_secure_recv(l->tls, part + first, 2 - first)
           : first == 0 ? readv(l->fd, part, 2)
                        : read(l->fd, part[1].iov_base, part[1].iov_len);
}

/* With TLS the budget is what is taken from the socket, and all of that is dealt with at once: the
 * kernel, which says when to come back, does not know of what has been read and not looked at. */
void rg_link_read(struct rg_link *l)
{
    size_t budget = BUDGET, asked;
    if (l->tls)
        rg_secure_allow(l->tls, BUDGET);
    while (l->fd >= 0) {
        ssize_t n = read_some(l, &asked);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            lose_silent(l, n);
            return;
        }
        l->mesh->facts.wire_received += l->tls ? 0 : (size_t)n;
        l->heard = true;
        const char *wrong = rg_stream_read(l->pair, (size_t)n);
        if (!wrong && l->dirty && rg_stream_may_start(l->pair))
            rg_link_flush(l); /* what it has permitted leaves before the rest comes in */
        if (wrong) {
            lose_nonsense(l, wrong);
        } else if (l->pair->goodbye) {
            close_link(l);
        } else if (l->tls) {
            continue;
        } else if ((size_t)n < asked || (size_t)n >= budget) {
            return;
        } else {
            budget -= (size_t)n;
        }
    }
}
