/* One peer's socket: frames out, frames in.
 *
 * Happy path: what is to be said without payload is kept as flags and numbers and encoded when
 * there is room for it (acknowledgements of several messages become one frame); then come segments
 * of the message being sent, header and payload in one sendmsg. Incoming payload goes straight to
 * its place; only what follows in the same read is staged.
 *
 * Failure modes handled: a full socket (the driver is told to wait for room); a connection that is
 * reset, times out or ends without a goodbye, and bytes that are no frames: the peer is lost, for
 * the reason said. Where writing fails, what the peer had sent before is still read. */
#include "posix/mesh.h"

#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MESSAGES = 8,     /* in one system call */
    BUDGET = 4 << 20, /* bytes at a stretch, each way */
    LARGE = 64 << 10,
    SHORT = 1 << 10
};

void rg_link_dirty(struct rg_peer *p)
{
    if (p->dirty || p->fd < 0)
        return;
    p->dirty = true;
    p->next_dirty = p->mesh->dirty;
    p->mesh->dirty = p;
}

void rg_link_flush_dirty(struct rg_mesh *m)
{
    struct rg_peer *p = m->dirty;
    m->dirty = NULL;
    for (struct rg_peer *next; p; p = next) {
        next = p->next_dirty;
        p->dirty = false;
        rg_link_flush(p);
    }
}

static void want_out(struct rg_peer *p, bool want)
{
    if (p->want_out == want)
        return;
    p->want_out = want;
    struct epoll_event event = {.events = EPOLLIN | (want ? EPOLLOUT : 0u),
                                .data.u32 = (uint32_t)p->rank};
    epoll_ctl(p->mesh->epoll, EPOLL_CTL_MOD, p->fd, &event);
}

/* ---- out ---- */

static bool put_frame(struct rg_peer *p, const struct rg_header *h)
{
    if (p->small_end + RG_MESSAGE_HEADER > sizeof p->small)
        return false;
    rg_header_encode(h, p->small + p->small_end);
    p->small_end += RG_MESSAGE_HEADER;
    return true;
}

/* EXPECT for receives that have not been announced; false: some are left. */
static bool put_announcements(struct rg_peer *p)
{
    for (struct rg_op *op = p->receives.first; op && p->tx_announce; op = op->next) {
        if (!op->announce)
            continue;
        uint32_t before = 0;
        for (const struct rg_op *at = p->receives.first; at != op; at = at->next)
            before += at->tag == op->tag;
        struct rg_header h = {.type = RG_FRAME_EXPECT,
                              .units = (uint16_t)before,
                              .tag = op->tag,
                              .run = p->mesh->run,
                              .length = op->bytes,
                              .sequence = p->rx_sequence};
        if (before <= UINT16_MAX) {
            if (!put_frame(p, &h))
                return false;
            op->announced = true;
            p->rx_permits++;
            p->rx_permitted = RG_MAX(p->rx_permitted, op->bytes);
        }
        op->announce = false;
        p->tx_announce--;
    }
    return true;
}

/* Before new announcements, which they must not take back. */
static bool put_retractions(struct rg_peer *p)
{
    for (; p->tx_retract_count; p->tx_retract_count--) {
        const struct rg_retraction *r = &p->tx_retract[p->tx_retract_count - 1];
        struct rg_header h = {
            .type = RG_FRAME_RETRACT, .tag = r->tag, .run = p->mesh->run, .length = r->count};
        if (!put_frame(p, &h))
            return false;
    }
    struct rg_header back = {
        .type = RG_FRAME_RETRACTED, .run = p->mesh->run, .length = p->tx_retracted};
    if (p->tx_retracted && !put_frame(p, &back))
        return false;
    p->tx_retracted = 0;
    return true;
}

static bool put_sequence(struct rg_peer *p, enum rg_frame type, uint64_t *sequence, uint32_t run)
{
    struct rg_header h = {.type = (uint8_t)type, .run = run, .sequence = *sequence};
    if (*sequence && !put_frame(p, &h))
        return false;
    *sequence = 0;
    return true;
}

static bool put_question(struct rg_peer *p)
{
    struct rg_op *op = p->head;
    if (p->writing || !op || op->asked || rg_match_may_start(p, op))
        return true;
    struct rg_header h = {.type = RG_FRAME_ASK,
                          .tag = op->tag,
                          .run = p->mesh->run,
                          .length = op->bytes,
                          .sequence = p->tx_sequence + 1};
    if (!put_frame(p, &h))
        return false;
    op->asked = true;
    op->sequence = ++p->tx_sequence;
    return true;
}

/* Fences, interruption, and leaving once everything begun has been written. */
static bool put_farewell(struct rg_peer *p)
{
    struct rg_header leave = {
        .type = RG_FRAME_LEAVE, .tag = p->tx_leave_lost, .run = p->tx_leave_run};
    struct rg_header interrupt = {.type = RG_FRAME_INTERRUPT,
                                  .tag = atomic_load(&p->mesh->expired) ? RG_WIRE_EXPIRED : 0};
    struct rg_header goodbye = {.type = RG_FRAME_GOODBYE};
    if (p->tx_interrupt && !put_frame(p, &interrupt))
        return false;
    p->tx_interrupt = false;
    if ((!p->tx_leave_run || p->tx_fence_run <= p->tx_leave_run) &&
        !put_sequence(p, RG_FRAME_FENCE, &p->tx_fence, p->tx_fence_run))
        return false;
    if (p->tx_leave_run && p->writing)
        return true;
    if (p->tx_leave_run && !put_frame(p, &leave))
        return false;
    p->tx_leave_run = 0;
    if (!put_sequence(p, RG_FRAME_FENCE, &p->tx_fence, p->tx_fence_run))
        return false;
    if (p->tx_goodbye && !p->writing) {
        if (!put_frame(p, &goodbye))
            return false;
        p->tx_goodbye = false;
    }
    return true;
}

/* Encode what is to be said; false: not all of it found room. */
static bool fill_small(struct rg_peer *p)
{
    uint32_t run = p->mesh->run;
    struct rg_header ack = {.type = RG_FRAME_ACK,
                            .tag = p->rx_returned_count,
                            .run = run,
                            .length = p->rx_returned,
                            .sequence = p->rx_whole};
    p->small_at = p->small_end = 0;
    if (!put_sequence(p, RG_FRAME_WITHDRAW, &p->tx_withdraw, run) ||
        !put_sequence(p, RG_FRAME_ABORT, &p->tx_aborted, p->tx_aborted_run))
        return false;
    if (p->tx_ack && !put_frame(p, &ack))
        return false;
    p->tx_ack = false;
    return put_sequence(p, RG_FRAME_GRANT, &p->tx_grant, run) && put_retractions(p) &&
           put_announcements(p) && put_question(p) && put_farewell(p);
}

/* What one sendmsg is to write. */
struct plan {
    struct iovec part[1 + 2 * MESSAGES];
    unsigned char headers[MESSAGES][RG_MESSAGE_HEADER];
    int parts, messages;
    size_t bytes;
};

static void add_part(struct plan *plan, unsigned char *from, size_t bytes)
{
    if (bytes == 0)
        return;
    plan->part[plan->parts++] = (struct iovec){from, bytes};
    plan->bytes += bytes;
}

bool rg_link_written(const struct rg_op *op)
{
    return op->begun && op->header_left == 0 && op->sent == op->bytes;
}

static bool between_two(const struct rg_op *op)
{
    return op->header_left == 0 && op->sent == op->segment_end;
}

/* With a key, header and segment fill whole records but for less than a unit: no record is begun
 * for a header's worth of bytes. */
static size_t whole_segment(const struct rg_peer *p)
{
    return p->segment - (p->tls ? RG_WIRE_UNIT : 0);
}

static void begin_segment(struct rg_peer *p, struct rg_op *op)
{
    op->segment_begin = op->sent;
    op->segment_end = op->sent + RG_MIN(op->bytes - op->sent, whole_segment(p));
    op->header_left = RG_MESSAGE_HEADER;
    p->segment_since = rg_clock_s();
}

/* The rest of the message's segment. */
static void plan_segment(struct plan *plan, struct rg_peer *p, struct rg_op *op)
{
    if (between_two(op))
        begin_segment(p, op);
    if (op->header_left) {
        struct rg_header h = {.type = op->segment_begin ? RG_FRAME_MORE : RG_FRAME_DATA,
                              .run = p->mesh->run,
                              .length = op->bytes - op->segment_begin,
                              .sequence = op->sequence};
        size_t units = op->segment_end - op->segment_begin + RG_WIRE_UNIT - 1;
        h.units = (uint16_t)(units / RG_WIRE_UNIT);
        if (op->segment_begin == 0) {
            h.tag = op->tag;
            h.flags = op->granted_at_start ? 0 : RG_WIRE_UNASKED;
        }
        unsigned char *header = plan->headers[plan->messages];
        rg_header_encode(&h, header);
        add_part(plan, header + RG_MESSAGE_HEADER - op->header_left, op->header_left);
    }
    if (op->segment_end > op->sent)
        add_part(plan, op->buffer + op->sent, op->segment_end - op->sent);
    plan->messages++;
}

/* One segment; behind the last of a message, the next message, and so on. */
static void plan_messages(struct plan *plan, struct rg_peer *p)
{
    struct rg_op *op = p->writing;
    while (plan->messages < MESSAGES) {
        if (!op) {
            op = p->head;
            if (!op || !rg_match_may_start(p, op))
                return;
            rg_match_started(p, op);
        }
        plan_segment(plan, p, op);
        if (op->segment_end < op->bytes)
            return;
        op = op->next == p->head ? NULL : op->next;
    }
}

/* Begin anything but the rest of a segment only where a segment ends. */
static bool between_segments(struct rg_peer *p)
{
    struct rg_op *op = p->writing;
    if (op && !between_two(op) && op->header_left != RG_MESSAGE_HEADER)
        return false;
    if (op && op->doomed)
        rg_match_broken_off(p, op);
    return true;
}

/* Have segments take about a millisecond, and the kernel hold two of them unsent: then nothing
 * small waits long behind payload, and a thread that is late does not leave the wire idle. */
static void adapt(struct rg_peer *p, const struct rg_op *op)
{
    double took = rg_clock_s() - p->segment_since;
    size_t size = op->segment_end - op->segment_begin, best = p->segment;
    if (took > 2e-3 && size > best / 2)
        best = RG_MAX(best / 2, RG_WIRE_SEGMENT_LEAST);
    else if (took < 5e-4 && size == whole_segment(p))
        best = RG_MIN(2 * best, RG_WIRE_SEGMENT_MOST);
    if (best == p->segment)
        return;
    p->segment = best;
    int unsent = (int)(2 * best);
    setsockopt(p->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

static void wrote(struct rg_peer *p, size_t bytes)
{
    size_t small = RG_MIN(bytes, p->small_end - p->small_at);
    p->mesh->facts.wire_sent += p->tls ? 0 : bytes; /* TLS counts itself */
    p->small_at += small;
    bytes -= small;
    while (bytes) {
        struct rg_op *op = p->writing;
        size_t header = RG_MIN(bytes, op->header_left);
        size_t payload = RG_MIN(bytes - header, op->segment_end - op->sent);
        op->begun = true;
        op->header_left -= header;
        op->sent += payload;
        bytes -= header + payload;
        if (between_two(op))
            adapt(p, op);
        if (rg_link_written(op))
            rg_match_written(p, op);
    }
}

static ssize_t put_plan(struct rg_peer *p, struct plan *plan)
{
    struct msghdr message = {.msg_iov = plan->part, .msg_iovlen = (size_t)plan->parts};
    if (p->tls)
        return rg_secure_send(p->tls, plan->part, plan->parts);
    return sendmsg(p->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Records of TLS that the socket had no room for; the messages in them count as written. */
static bool unsent(const struct rg_peer *p)
{
    return p->tls && rg_secure_unsent(p->tls);
}

/* Writing has failed: reading tells why, after what is left to read. */
static void fall_silent(struct rg_peer *p)
{
    if (p->tls && errno == EPROTO)
        shutdown(p->fd, SHUT_RDWR); /* the socket knows of nothing */
    p->mute = true;
    want_out(p, false);
}

void rg_link_flush(struct rg_peer *p)
{
    if (!p->want_out)
        rg_link_room(p);
}

void rg_link_room(struct rg_peer *p)
{
    size_t budget = BUDGET;
    while (p->fd >= 0 && !p->mute) {
        struct plan plan;
        plan.parts = plan.messages = 0;
        plan.bytes = 0;
        bool all = true;
        if (between_segments(p) && p->small_at == p->small_end)
            all = fill_small(p);
        add_part(&plan, p->small + p->small_at, p->small_end - p->small_at);
        if (all)
            plan_messages(&plan, p);
        if (plan.bytes == 0 && !unsent(p)) {
            want_out(p, false);
            return;
        }
        ssize_t n = put_plan(p, &plan);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            fall_silent(p);
            return;
        }
        wrote(p, n > 0 ? (size_t)n : 0);
        if (n < (ssize_t)plan.bytes || (size_t)n >= budget || unsent(p)) {
            want_out(p, true);
            return;
        }
        budget -= (size_t)n;
    }
}

/* ---- in ---- */

static void close_link(struct rg_peer *p)
{
    struct rg_mesh *m = p->mesh;
    rg_link_facts(p, &m->facts);
    epoll_ctl(m->epoll, EPOLL_CTL_DEL, p->fd, NULL);
    rg_secure_free(p->tls);
    p->tls = NULL;
    close(p->fd);
    p->fd = -1;
    p->gone = true;
    p->want_out = false;
    rg_match_left(p, true);
}

void rg_link_note_lost(struct rg_mesh *m, int rank, int code, const char *why,
                       const struct rg_peer *teller)
{
    struct rg_mesh_lost *lost = &m->lost;
    if (lost->rank >= 0)
        return;
    lost->rank = rank;
    lost->code = code;
    const char *host = m->peers[rank].host;
    if (why)
        snprintf(lost->text, sizeof lost->text, "rank %d (%.250s) was lost: %s", rank, host, why);
    else
        snprintf(lost->text, sizeof lost->text, "rank %d (%.250s) was lost, as rank %d reports",
                 rank, host, teller->rank);
    if (!m->quiet)
        fprintf(stderr, "ringnode: rank %d: %s\n", m->rank, lost->text);
}

void rg_link_lose(struct rg_peer *p, int code, const char *format, ...)
{
    if (p->gone)
        return;
    char why[128];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    rg_link_note_lost(p->mesh, p->rank, code, why, NULL);
    close_link(p);
}

void rg_link_facts(const struct rg_peer *p, struct rg_mesh_facts *facts)
{
    int fd = p->fd;
    struct tcp_info info;
    memset(&info, 0, sizeof info);
    socklen_t length = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0)
        facts->retransmits += info.tcpi_total_retrans;
    length = sizeof facts->congestion;
    char name[sizeof facts->congestion] = "";
    if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0)
        memcpy(facts->congestion, name, sizeof name - 1);
    if (!p->tls)
        return;
    facts->wire_sent += rg_secure_wire_sent(p->tls);
    facts->wire_received += rg_secure_wire_received(p->tls);
    snprintf(facts->cipher, sizeof facts->cipher, "%s", rg_secure_cipher(p->tls));
}

static const char *take_frame(struct rg_peer *p)
{
    struct rg_header h;
    const char *wrong = rg_header_decode(p->staging + p->staged_at, &h);
    p->staged_at += RG_MESSAGE_HEADER;
    return wrong ? wrong : rg_match_frame(p, &h);
}

static const char *take_staged(struct rg_peer *p)
{
    const char *wrong = NULL;
    while (!wrong && !p->goodbye) {
        size_t have = p->staged_end - p->staged_at;
        if (p->segment_left) {
            size_t n = RG_MIN(have, p->segment_left);
            unsigned char *target = rg_match_target(p);
            if (n == 0)
                break;
            if (target)
                memcpy(target, p->staging + p->staged_at, n);
            p->staged_at += n;
            wrong = rg_match_payload(p, n);
        } else if (have >= RG_MESSAGE_HEADER) {
            wrong = take_frame(p);
        } else {
            break;
        }
    }
    return wrong;
}

/* One read: payload to where it belongs, then what follows to the staging area (in the middle of a
 * message just the next header, before a large one not much, so that payload is not copied twice).
 */
static ssize_t read_some(struct rg_peer *p, size_t *asked)
{
    size_t have = p->staged_end - p->staged_at;
    memmove(p->staging, p->staging + p->staged_at, have);
    p->staged_at = 0;
    p->staged_end = have;
    unsigned char *target = p->segment_left ? rg_match_target(p) : NULL;
    size_t direct = target ? p->segment_left : 0, staged = RG_STAGING - have;
    if (target && p->in.bytes - p->in.got > direct)
        staged = RG_MESSAGE_HEADER;
    else if (!target && p->receives.first && p->receives.first->bytes > LARGE && !p->segment_left)
        staged = RG_MIN(staged, SHORT);
    struct iovec part[2] = {{target, direct}, {p->staging + have, staged}};
    *asked = direct + staged;
    ssize_t n = p->tls   ? rg_secure_recv(p->tls, target ? part : part + 1, target ? 2 : 1)
                : target ? readv(p->fd, part, 2)
                         : read(p->fd, part[1].iov_base, part[1].iov_len);
    if (n > 0)
        p->staged_end += (size_t)n - RG_MIN((size_t)n, direct);
    return n;
}

static const char *take_direct(struct rg_peer *p, size_t bytes)
{
    size_t direct = rg_match_target(p) ? RG_MIN(bytes, p->segment_left) : 0;
    return direct ? rg_match_payload(p, direct) : NULL;
}

static void lose_nonsense(struct rg_peer *p, const char *wrong)
{
    if (wrong == rg_match_no_memory)
        rg_link_lose(p, RG_ERR_NOMEM, "%s", wrong);
    else
        rg_link_lose(p, RG_ERR_PROTOCOL, "it broke the protocol: %s", wrong);
}

static void lose_silent(struct rg_peer *p, ssize_t n)
{
    if (p->mesh->leaving)
        close_link(p);
    else if (n < 0 && p->tls && errno == EPROTO)
        rg_link_lose(p, RG_ERR_PROTOCOL, "%s", rg_secure_why(p->tls));
    else
        rg_link_lose(p, RG_ERR_PEER, "%s",
                     n < 0 ? strerror(errno) : "it vanished without a goodbye");
}

/* With TLS the budget is what is taken from the socket, and all of that is dealt with at once: the
 * kernel, which says when to come back, does not know of what has been read and not looked at. */
void rg_link_read(struct rg_peer *p)
{
    size_t budget = BUDGET, asked;
    if (p->tls)
        rg_secure_allow(p->tls, BUDGET);
    while (p->fd >= 0) {
        bool direct = p->segment_left > 0;
        ssize_t n = read_some(p, &asked);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            lose_silent(p, n);
            return;
        }
        p->mesh->facts.wire_received += p->tls ? 0 : (size_t)n;
        const char *wrong = direct ? take_direct(p, (size_t)n) : NULL;
        if (!wrong)
            wrong = take_staged(p);
        if (!wrong && p->dirty && !p->writing && p->head && rg_match_may_start(p, p->head))
            rg_link_flush(p); /* what it has permitted leaves before the rest comes in */
        if (wrong) {
            lose_nonsense(p, wrong);
        } else if (p->goodbye) {
            close_link(p);
        } else if (p->tls) {
            continue;
        } else if ((size_t)n < asked || (size_t)n >= budget) {
            return;
        } else {
            budget -= (size_t)n;
        }
    }
}
