/* What this rank receives: which receive takes the incoming message, and where its bytes go until
 * one does (see match.c).
 *
 * Failure modes handled: frames that contradict what came before, more than the eager limit or
 * a permission allows, lengths that differ, no memory. */
#include "posix/match_parts.h"

#include "base/check.h"
#include <string.h>

static void acknowledge(struct rg_pair *p)
{
    p->tx_ack = true;
    rg_match_dirty(p);
}

static void return_credit(struct rg_pair *p, size_t bytes)
{
    p->rx_returned += bytes;
    p->rx_returned_count++;
    acknowledge(p);
}

bool rg_match_eager_room(const struct rg_pair *p, size_t bytes)
{
    return p->rx_eager - p->rx_returned + bytes <= RG_EAGER_LIMIT &&
           p->rx_eager_count - p->rx_returned_count < RG_EAGER_COUNT;
}

bool rg_match_fits(const struct rg_transfer *receive, size_t bytes)
{
    return receive->upto ? bytes <= receive->bytes : bytes == receive->bytes;
}

static void use_permit(struct rg_pair *p)
{
    if (p->rx_permits > 0)
        p->rx_permits--;
}

/* A receive of the tag that the sender was told of will take no message. */
static void retract(struct rg_pair *p, uint32_t tag)
{
    int i = 0;
    while (i < p->tx_retract_count && p->tx_retract[i].tag != tag)
        i++;
    if (i == RG_EXPECTATIONS) /* the permission stays, and is counted */
        return;
    if (i == p->tx_retract_count)
        p->tx_retract[p->tx_retract_count++] = (struct rg_retraction){.tag = tag};
    p->tx_retract[i].count++;
    rg_match_dirty(p);
}

/* What comes before the receives of the tag, `from` on, has changed. */
static void announce_again(struct rg_pair *p, uint32_t tag, struct rg_transfer *from)
{
    for (struct rg_transfer *t = from; t; t = t->next) {
        if (t->tag != tag || !t->announced)
            continue;
        retract(p, tag);
        t->announced = false;
        t->announce = true;
        p->tx_announce++;
    }
}

static void clear_to_send(struct rg_pair *p)
{
    p->in.cts = true;
    p->tx_cts = p->in.sequence;
    rg_match_dirty(p);
}

/* The bytes of the incoming message, which has begun, are for this receive, if they fit. */
static void put_into(struct rg_pair *p, struct rg_transfer *t)
{
    struct rg_incoming *in = &p->in;
    if (in->eager)
        return_credit(p, in->bytes);
    in->eager = false;
    if (rg_match_fits(t, in->bytes)) {
        if (in->bounce)
            memcpy(t->buffer, in->bounce->bytes, in->got);
        in->receive = t;
    } else {
        in->receive = NULL;
        in->sink = true;
        t->arrived = in->bytes;
        rg_match_done(t, RG_ERR_LENGTH);
    }
    rg_match_give_bounce(p->match, in->bounce);
    in->bounce = NULL;
}

/* The receive, in no list, takes the incoming message. */
static void attach(struct rg_pair *p, struct rg_transfer *t)
{
    if (t->announced)
        use_permit(p);
    p->in.permit |= t->announced;
    if (p->in.rts) { /* it may still be withdrawn: whether it fits is no matter yet */
        clear_to_send(p);
        p->in.receive = t;
    } else {
        put_into(p, t);
    }
}

/* The first receive of its tag, if there is one, takes the incoming message. */
static bool attach_first(struct rg_pair *p)
{
    struct rg_transfer *t = rg_match_first_receive(p, p->in.tag);
    if (!t)
        return false;
    rg_match_unlist(&p->receives, t);
    if (t->announce)
        p->tx_announce--;
    t->announce = false;
    attach(p, t);
    return true;
}

/* ---- posting and cancelling ---- */

static void take_unexpected(struct rg_pair *p, struct rg_unexpected **at, struct rg_transfer *t)
{
    struct rg_unexpected *early = *at;
    *at = early->next;
    if (!*at)
        p->unexpected_end = at;
    t->late = true;
    t->arrived = early->bytes;
    t->begin = early->begin;
    t->end = early->end;
    bool good = rg_match_fits(t, early->bytes);
    if (good && early->bytes)
        memcpy(t->buffer, early->bounce->bytes, early->bytes);
    if (early->eager)
        return_credit(p, early->bytes);
    rg_match_give_unexpected(p->match, early);
    rg_match_done(t, good ? 0 : RG_ERR_LENGTH);
}

int rg_match_recv(struct rg_pair *p, struct rg_transfer *t)
{
    for (struct rg_unexpected **at = &p->unexpected; *at; at = &(*at)->next) {
        if ((*at)->tag == t->tag) {
            take_unexpected(p, at, t);
            return 0;
        }
    }
    struct rg_incoming *in = &p->in;
    if (in->active && !in->receive && !in->sink && !in->stale && in->tag == t->tag) {
        attach(p, t);
        return 0;
    }
    if (p->left)
        return rg_match_absence(p);
    rg_match_list(&p->receives, t);
    if (t->bytes > RG_ANNOUNCE_ABOVE && p->rank != p->match->rank) {
        t->announce = true;
        p->tx_announce++;
        rg_match_dirty(p);
    }
    return 0;
}

static void cancel_matched(struct rg_pair *p, struct rg_transfer *t)
{
    struct rg_incoming *in = &p->in;
    RG_ASSERT(in->active && in->receive == t);
    in->receive = NULL;
    if (p->match->closing) {
        in->sink = true;
    } else if (!in->rts && in->bytes) {
        in->bounce = rg_match_take_bounce(p->match, in->bytes);
        if (!in->bounce) {
            p->match->ops->fail(p->match->world, p, RG_ERR_NOMEM, rg_match_no_memory);
            return;
        }
        memcpy(in->bounce->bytes, t->buffer, in->got);
    }
    struct rg_transfer *next = in->sink ? NULL : rg_match_first_receive(p, t->tag);
    if (!next)
        return;
    if (next->announced) /* the message has used the permission of the one cancelled */
        retract(p, t->tag);
    else
        announce_again(p, t->tag, next->next);
    next->announced = false;
    attach_first(p);
}

void rg_match_cancel_receive(struct rg_pair *p, struct rg_transfer *t)
{
    if (!t->listed) {
        cancel_matched(p, t);
        return;
    }
    struct rg_transfer *behind = t->next;
    rg_match_unlist(&p->receives, t);
    if (t->announce)
        p->tx_announce--;
    if (t->announced)
        retract(p, t->tag);
    else
        announce_again(p, t->tag, behind);
}

/* ---- the message that is arriving ---- */

void rg_match_end_incoming(struct rg_pair *p)
{
    rg_match_give_bounce(p->match, p->in.bounce);
    p->in = (struct rg_incoming){0};
}

const char *rg_match_keep_unexpected(struct rg_pair *p)
{
    struct rg_incoming *in = &p->in;
    struct rg_unexpected *early = rg_match_take_unexpected(p->match);
    if (!early)
        return rg_match_no_memory;
    *early = (struct rg_unexpected){.bounce = in->bounce,
                                    .bytes = in->bytes,
                                    .begin = in->begin,
                                    .end = rg_match_now(p),
                                    .tag = in->tag,
                                    .eager = in->eager};
    in->bounce = NULL;
    *p->unexpected_end = early;
    p->unexpected_end = &early->next;
    return NULL;
}

void rg_match_withdrawn(struct rg_pair *p)
{
    struct rg_transfer *receive = p->in.receive;
    if (p->in.permit) { /* if the message had not used it up by then, the sender has it still */
        p->rx_permits++;
        retract(p, p->in.tag);
    }
    if (receive) {
        receive->announced = false;
        rg_match_list_first(&p->receives, receive);
    }
    rg_match_end_incoming(p);
}

/* The last byte of the incoming message is there. */
static const char *finish_incoming(struct rg_pair *p)
{
    struct rg_incoming *in = &p->in;
    const char *wrong = NULL;
    if (!in->stale) {
        p->rx_whole = in->sequence;
        acknowledge(p);
        if (in->receive) {
            struct rg_transfer *t = in->receive;
            t->arrived = in->bytes;
            t->begin = in->begin;
            t->end = rg_match_now(p);
            rg_match_done(t, 0);
        } else if (!in->sink) {
            wrong = rg_match_keep_unexpected(p);
        }
    }
    rg_match_end_incoming(p);
    return wrong;
}

unsigned char *rg_match_target(struct rg_pair *p)
{
    struct rg_incoming *in = &p->in;
    if (in->sink || in->stale)
        return NULL;
    return (in->receive ? in->receive->buffer : in->bounce->bytes) + in->got;
}

const char *rg_match_payload(struct rg_pair *p, size_t bytes)
{
    RG_ASSERT(p->in.active && bytes <= p->segment_left);
    p->in.got += bytes;
    p->segment_left -= bytes;
    return p->segment_left == 0 && p->in.got == p->in.bytes ? finish_incoming(p) : NULL;
}

const char *rg_match_begin_segment(struct rg_pair *p, const struct rg_header *h)
{
    size_t left = p->in.bytes - p->in.got;
    p->segment_left = RG_MIN(left, h->units * RG_WIRE_UNIT);
    p->rx_checked = h->flags & RG_WIRE_CHECKED;
    p->rx_crc = h->crc;
    p->rx_crc_so_far = 0;
    return left == 0 ? finish_incoming(p) : NULL;
}

/* No receive has been posted for the incoming message. */
static const char *receive_later(struct rg_pair *p)
{
    struct rg_incoming *in = &p->in;
    if (!in->eager && !in->cts) {
        if (p->rx_permits == 0 || in->bytes > p->rx_permitted)
            return "more than was asked for";
        use_permit(p);
    }
    in->bounce = in->bytes ? rg_match_take_bounce(p->match, in->bytes) : NULL;
    return in->bytes && !in->bounce ? rg_match_no_memory : NULL;
}

/* ---- frames ---- */

const char *rg_match_on_data(struct rg_pair *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    size_t bytes = (size_t)h->length;
    if (in->active) {
        if (!in->rts || in->sequence != h->sequence || in->tag != h->tag || in->bytes != bytes)
            return "a message begins inside another";
    } else {
        if (h->sequence != p->rx_sequence + 1)
            return "a message out of sequence";
        p->rx_sequence++;
        *in = (struct rg_incoming){
            .active = true, .tag = h->tag, .sequence = h->sequence, .bytes = bytes};
    }
    in->begin = rg_match_now(p);
    in->rts = false;
    if (h->flags & RG_WIRE_EAGER) {
        if (!rg_match_eager_room(p, bytes))
            return "more than the eager limit";
        p->rx_eager += bytes;
        p->rx_eager_count++;
        in->eager = true;
    }
    if (in->receive) {
        put_into(p, in->receive);
    } else if (!in->sink && !attach_first(p)) {
        const char *wrong = receive_later(p);
        if (wrong)
            return wrong;
    }
    return rg_match_begin_segment(p, h);
}

const char *rg_match_on_more(struct rg_pair *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    if (!in->active || in->rts || in->sequence != h->sequence || in->bytes - in->got != h->length)
        return "a segment of no message";
    return rg_match_begin_segment(p, h);
}

const char *rg_match_on_rts(struct rg_pair *p, const struct rg_header *h)
{
    if (p->in.active || h->sequence != p->rx_sequence + 1)
        return "a request to send out of sequence";
    p->rx_sequence++;
    p->in = (struct rg_incoming){.active = true,
                                 .rts = true,
                                 .tag = h->tag,
                                 .sequence = h->sequence,
                                 .bytes = (size_t)h->length};
    attach_first(p);
    return NULL;
}

const char *rg_match_on_withdraw(struct rg_pair *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    if (!in->active || !in->rts || in->sequence != h->sequence)
        return "it takes back what it has not offered";
    p->rx_whole = in->sequence;
    rg_match_withdrawn(p);
    return NULL;
}

const char *rg_match_on_retracted(struct rg_pair *p, const struct rg_header *h)
{
    if (h->length > p->rx_permits)
        return "it gives back more permissions than it had";
    p->rx_permits -= (uint32_t)h->length;
    return NULL;
}
