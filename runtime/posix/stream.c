/* The bytes between two ranks: frames and payload out, frames and payload in.
 *
 * Happy path: what is to be said without payload is kept as flags and numbers and encoded when
 * there is room for it (acknowledgements of several messages become one frame); then come segments
 * of the message being sent, header and payload side by side for one system call. Incoming payload
 * goes straight to its place; only what follows in the same read is staged.
 *
 * Failure modes handled: writes and reads of any part of what was planned; bytes that are no
 * frames, or frames that make no sense (the reason is returned). */
#include "posix/stream.h"
#include "posix/match_parts.h"

#include "base/check.h"
#include "base/crc.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    LARGE = 64 << 10, /* receives: before one not much is staged, for payload would be copied */
    SHORT = 1 << 10
};

/* ---- frames out ---- */

static bool put_frame(struct rg_pair *p, const struct rg_header *h)
{
    if (p->small_end + RG_MESSAGE_HEADER > sizeof p->small)
        return false;
    rg_header_encode(h, p->small + p->small_end);
    p->small_end += RG_MESSAGE_HEADER;
    p->tx_frames++;
    return true;
}

/* EXPECT for receives that have not been announced; false: some are left. */
static bool put_announcements(struct rg_pair *p)
{
    for (struct rg_transfer *t = p->receives.first; t && p->tx_announce; t = t->next) {
        if (!t->announce)
            continue;
        uint32_t before = 0;
        for (const struct rg_transfer *at = p->receives.first; at != t; at = at->next)
            before += at->tag == t->tag;
        struct rg_header h = {.type = RG_FRAME_EXPECT,
                              .units = (uint16_t)before,
                              .tag = t->tag,
                              .run = p->match->run,
                              .length = t->bytes,
                              .sequence = p->rx_sequence};
        if (before <= UINT16_MAX) {
            if (!put_frame(p, &h))
                return false;
            t->announced = true;
            p->rx_permits++;
            p->rx_permitted = RG_MAX(p->rx_permitted, t->bytes);
        }
        t->announce = false;
        p->tx_announce--;
    }
    return true;
}

/* Before new announcements, which they must not take back. */
static bool put_retractions(struct rg_pair *p)
{
    for (; p->tx_retract_count; p->tx_retract_count--) {
        const struct rg_retraction *r = &p->tx_retract[p->tx_retract_count - 1];
        struct rg_header h = {
            .type = RG_FRAME_RETRACT, .tag = r->tag, .run = p->match->run, .length = r->count};
        if (!put_frame(p, &h))
            return false;
    }
    struct rg_header back = {
        .type = RG_FRAME_RETRACTED, .run = p->match->run, .length = p->tx_retracted};
    if (p->tx_retracted && !put_frame(p, &back))
        return false;
    p->tx_retracted = 0;
    return true;
}

static bool put_sequence(struct rg_pair *p, enum rg_frame type, uint64_t *sequence, uint32_t run)
{
    struct rg_header h = {.type = (uint8_t)type, .run = run, .sequence = *sequence};
    if (*sequence && !put_frame(p, &h))
        return false;
    *sequence = 0;
    return true;
}

static bool put_rts(struct rg_pair *p)
{
    struct rg_transfer *t = p->head;
    if (p->writing || !t || t->rts || rg_match_may_start(p, t))
        return true;
    struct rg_header h = {.type = RG_FRAME_RTS,
                          .tag = t->tag,
                          .run = p->match->run,
                          .length = t->bytes,
                          .sequence = p->tx_sequence + 1};
    if (!put_frame(p, &h))
        return false;
    t->rts = true;
    t->sequence = ++p->tx_sequence;
    return true;
}

/* What became of the rank that LEAVE names. */
static bool put_reason(struct rg_pair *p)
{
    const char *text = p->match->reason;
    size_t length = strlen(text);
    struct rg_header h = {.type = RG_FRAME_REASON, .tag = p->tx_leave_lost, .length = length};
    if (length == 0 || p->tx_leave_lost >= RG_WIRE_YOU)
        return true;
    if (p->checks) {
        h.flags = RG_WIRE_CHECKED;
        h.crc = rg_crc32c(text, length);
    }
    if (p->small_end + RG_MESSAGE_HEADER + length > sizeof p->small)
        return false;
    put_frame(p, &h);
    memcpy(p->small + p->small_end, text, length);
    p->small_end += length;
    return true;
}

/* Barriers, interruption, leaving. */
static bool put_farewell(struct rg_pair *p)
{
    struct rg_header leave = {.type = RG_FRAME_LEAVE,
                              .tag = p->tx_leave_lost,
                              .run = p->tx_leave_run,
                              .sequence = p->tx_leave_whole};
    struct rg_header interrupt = {.type = RG_FRAME_INTERRUPT,
                                  .tag = atomic_load(&p->match->expired) ? RG_WIRE_EXPIRED : 0};
    struct rg_header winding = {.type = RG_FRAME_INTERRUPT,
                                .tag = RG_WIRE_WINDING,
                                .run = p->match->pledge_run,
                                .sequence = p->match->pledge};
    struct rg_header goodbye = {.type = RG_FRAME_GOODBYE};
    if (p->tx_interrupt && !put_frame(p, &interrupt))
        return false;
    p->tx_interrupt = false;
    if (p->tx_winding && !put_frame(p, &winding))
        return false;
    p->tx_winding = false;
    if ((!p->tx_leave_run || p->tx_barrier_run <= p->tx_leave_run) &&
        !put_sequence(p, RG_FRAME_BARRIER, &p->tx_barrier, p->tx_barrier_run))
        return false;
    if (p->tx_leave_run && (!put_reason(p) || !put_frame(p, &leave)))
        return false;
    p->tx_leave_run = 0;
    if (!put_sequence(p, RG_FRAME_BARRIER, &p->tx_barrier, p->tx_barrier_run))
        return false;
    if (p->tx_goodbye && !p->writing) {
        if (!put_frame(p, &goodbye))
            return false;
        p->tx_goodbye = false;
    }
    return true;
}

/* Where nothing else is said: all that it counts has been written. */
static bool put_beat(struct rg_pair *p)
{
    struct rg_header h = {.type = RG_FRAME_BEAT, .sequence = p->tx_frames};
    if (p->tx_beat && p->small_end == 0 && !p->writing)
        put_frame(p, &h);
    p->tx_beat = false;
    return true;
}

/* Encode what is to be said; false: not all of it found room. */
static bool fill_small(struct rg_pair *p)
{
    uint32_t run = p->match->run;
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
    return put_sequence(p, RG_FRAME_CTS, &p->tx_cts, run) && put_retractions(p) &&
           put_announcements(p) && put_rts(p) && put_farewell(p) && put_beat(p);
}

/* ---- segments out ---- */

static void add_part(struct rg_batch *batch, unsigned char *from, size_t bytes)
{
    if (bytes == 0)
        return;
    batch->part[batch->parts++] = (struct iovec){from, bytes};
    batch->bytes += bytes;
}

static bool between_two(const struct rg_transfer *t)
{
    return t->header_left == 0 && t->sent == t->segment_end;
}

static size_t whole_segment(const struct rg_pair *p)
{
    return p->segment - p->segment_spare;
}

static void begin_segment(struct rg_pair *p, struct rg_transfer *t)
{
    t->segment_begin = t->sent;
    t->segment_end = t->sent + RG_MIN(t->bytes - t->sent, whole_segment(p));
    t->header_left = RG_MESSAGE_HEADER;
    if (p->checks)
        t->segment_crc = rg_crc32c(t->buffer + t->sent, t->segment_end - t->sent);
    p->segment_since = rg_match_now(p);
}

/* The rest of the message's segment. */
static void plan_segment(struct rg_batch *batch, struct rg_pair *p, struct rg_transfer *t)
{
    if (between_two(t))
        begin_segment(p, t);
    if (t->header_left) {
        struct rg_header h = {.type = t->segment_begin ? RG_FRAME_MORE : RG_FRAME_DATA,
                              .run = p->match->run,
                              .length = t->bytes - t->segment_begin,
                              .sequence = t->sequence};
        size_t units = t->segment_end - t->segment_begin + RG_WIRE_UNIT - 1;
        h.units = (uint16_t)(units / RG_WIRE_UNIT);
        if (t->segment_begin == 0) {
            h.tag = t->tag;
            h.flags = t->eager ? RG_WIRE_EAGER : 0;
        }
        if (p->checks && t->segment_end > t->segment_begin) {
            h.flags |= RG_WIRE_CHECKED;
            h.crc = t->segment_crc;
        }
        unsigned char *header = batch->headers[batch->messages];
        rg_header_encode(&h, header);
        add_part(batch, header + RG_MESSAGE_HEADER - t->header_left, t->header_left);
    }
    if (t->segment_end > t->sent)
        add_part(batch, t->buffer + t->sent, t->segment_end - t->sent);
    batch->messages++;
}

/* May the message be the next? Not before what must be said of those before it. */
static bool is_next(const struct rg_pair *p, const struct rg_transfer *t)
{
    return t && !p->tx_withdraw && !p->tx_aborted && rg_match_may_start(p, t);
}

/* One segment; behind the last of a message, the next message, and so on. */
static void plan_messages(struct rg_batch *batch, struct rg_pair *p)
{
    struct rg_transfer *t = p->writing;
    while (batch->messages < RG_STREAM_MESSAGES) {
        if (!t) {
            t = p->head;
            if (!is_next(p, t))
                return;
            rg_match_started(p, t);
        }
        plan_segment(batch, p, t);
        if (t->segment_end < t->bytes)
            return;
        t = t->next == p->head ? NULL : t->next;
    }
}

/* Begin anything but the rest of a segment only where a segment ends. */
static bool between_segments(struct rg_pair *p)
{
    struct rg_transfer *t = p->writing;
    if (t && !between_two(t) && t->header_left != RG_MESSAGE_HEADER)
        return false;
    if (t && t->doomed)
        rg_match_broken_off(p, t);
    return true;
}

/* Have segments take about a millisecond: then nothing small waits long behind payload. */
static void adapt(struct rg_pair *p, const struct rg_transfer *t)
{
    double took = rg_match_now(p) - p->segment_since;
    size_t size = t->segment_end - t->segment_begin;
    if (took > 2e-3 && size > p->segment / 2)
        p->segment = RG_MAX(p->segment / 2, RG_WIRE_SEGMENT_LEAST);
    else if (took < 5e-4 && size == whole_segment(p))
        p->segment = RG_MIN(2 * p->segment, RG_WIRE_SEGMENT_MOST);
}

void rg_stream_wrote(struct rg_pair *p, size_t bytes)
{
    size_t small = RG_MIN(bytes, p->small_end - p->small_at);
    p->small_at += small;
    bytes -= small;
    while (bytes) {
        struct rg_transfer *t = p->writing;
        size_t header = RG_MIN(bytes, t->header_left);
        size_t payload = RG_MIN(bytes - header, t->segment_end - t->sent);
        t->begun = true;
        t->header_left -= header;
        p->tx_frames += header > 0 && t->header_left == 0;
        t->sent += payload;
        bytes -= header + payload;
        if (between_two(t))
            adapt(p, t);
        if (rg_match_is_written(t))
            rg_match_written(p, t);
    }
}

void rg_stream_plan(struct rg_pair *p, struct rg_batch *batch)
{
    bool all = true;
    batch->parts = batch->messages = 0;
    batch->bytes = 0;
    if (between_segments(p) && p->small_at == p->small_end)
        all = fill_small(p);
    add_part(batch, p->small + p->small_at, p->small_end - p->small_at);
    if (all)
        plan_messages(batch, p);
}

bool rg_stream_may_start(const struct rg_pair *p)
{
    return !p->writing && p->head && rg_match_may_start(p, p->head);
}

/* ---- in ---- */

/* What is to be said of damage: which frame it was, in which direction nobody needs to be told. */
static const char *damaged(struct rg_pair *p, const char *what, uint64_t number, uint64_t end)
{
    snprintf(p->damage, sizeof p->damage,
             "%s %" PRIu64 " of run %u came damaged before byte %" PRIu64
             ": its checksum is %08x, not %08x",
             what, number, (unsigned)p->match->run, end, (unsigned)p->rx_crc_so_far,
             (unsigned)p->rx_crc);
    return p->damage;
}

/* Payload that is where it belongs: whole segments are what they were, or nothing more is done with
 * them. */
static const char *take_payload(struct rg_pair *p, const unsigned char *at, size_t bytes)
{
    if (p->rx_checked) {
        p->rx_crc_so_far = rg_crc32c_more(p->rx_crc_so_far, at, bytes);
        if (bytes == p->segment_left && p->rx_crc_so_far != p->rx_crc)
            return damaged(p, "message", p->in.sequence, p->in.got + bytes);
    }
    return rg_match_payload(p, bytes);
}

/* Whole frames that were lost on the way, or came twice, leave no other trace. */
static const char *count_frame(struct rg_pair *p, const struct rg_header *h)
{
    if (h->type == RG_FRAME_BEAT && h->sequence != p->rx_frames) {
        snprintf(p->damage, sizeof p->damage,
                 "of %" PRIu64 " frames up to message %" PRIu64 " of run %u %" PRIu64
                 " came: some were lost, or came twice, on the way",
                 h->sequence, p->rx_sequence, (unsigned)p->match->run, p->rx_frames);
        return p->damage;
    }
    p->rx_frames += h->type != RG_FRAME_COME;
    return NULL;
}

static const char *take_reason(struct rg_pair *p, const struct rg_header *h,
                               const unsigned char *text)
{
    p->rx_crc = h->crc;
    p->rx_crc_so_far = rg_crc32c(text, (size_t)h->length);
    if ((h->flags & RG_WIRE_CHECKED) && p->rx_crc_so_far != p->rx_crc)
        return damaged(p, "what it says of rank", h->tag, h->length);
    rg_wire_text(text, (size_t)h->length + 1, p->reason);
    return NULL;
}

/* Of `have` bytes that are staged; false: some of it is still to come. */
static bool take_frame(struct rg_pair *p, size_t have, const char **wrong)
{
    struct rg_header h;
    const unsigned char *at = p->staging + p->staged_at;
    *wrong = rg_header_decode(at, &h);
    if (*wrong == rg_wire_no_frame) {
        snprintf(p->damage, sizeof p->damage, "%s, behind message %" PRIu64 " of run %u", *wrong,
                 p->rx_sequence, (unsigned)p->match->run);
        *wrong = p->damage;
    }
    bool reason = h.type == RG_FRAME_REASON; /* an invitation has been read where it was wanted */
    size_t text = !*wrong && (reason || h.type == RG_FRAME_COME) ? (size_t)h.length : 0;
    if (have < RG_MESSAGE_HEADER + text)
        return false;
    if (text && reason)
        *wrong = take_reason(p, &h, at + RG_MESSAGE_HEADER);
    p->staged_at += RG_MESSAGE_HEADER + text;
    if (!*wrong)
        *wrong = count_frame(p, &h);
    if (!*wrong)
        *wrong = rg_match_frame(p, &h);
    return true;
}

static const char *take_staged(struct rg_pair *p)
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
            wrong = take_payload(p, p->staging + p->staged_at - n, n);
        } else if (have < RG_MESSAGE_HEADER || !take_frame(p, have, &wrong)) {
            break;
        }
    }
    return wrong;
}

/* In the middle of a message just the next header follows the payload, before a large one not much,
 * so that payload is not copied twice. */
void rg_stream_room(struct rg_pair *p, struct iovec part[2])
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
    part[0] = (struct iovec){target, direct};
    part[1] = (struct iovec){p->staging + have, staged};
}

const char *rg_stream_read(struct rg_pair *p, size_t bytes)
{
    const unsigned char *target = p->segment_left ? rg_match_target(p) : NULL;
    size_t direct = target ? RG_MIN(bytes, p->segment_left) : 0;
    p->staged_end += bytes - direct;
    const char *wrong = direct ? take_payload(p, target, direct) : NULL;
    return wrong ? wrong : take_staged(p);
}

int rg_stream_code(const char *wrong)
{
    return wrong == rg_match_no_memory ? RG_ERR_NOMEM : RG_ERR_PROTOCOL;
}
