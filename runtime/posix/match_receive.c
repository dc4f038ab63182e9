/* What this rank receives: which receive takes the incoming message, and where its bytes go until
 * one does (see match.c).
 *
 * Failure modes handled: frames that contradict what came before, more than the window or a
 * permission allows, lengths that differ, no memory. */
#include "posix/match_parts.h"

#include "base/check.h"
#include "base/clock.h"
#include <string.h>

static void acknowledge(struct rg_peer *p)
{
    p->tx_ack = true;
    rg_link_dirty(p);
}

static void return_room(struct rg_peer *p, size_t bytes)
{
    p->rx_returned += bytes;
    p->rx_returned_count++;
    acknowledge(p);
}

bool rg_match_fits(const struct rg_op *receive, size_t bytes)
{
    return receive->upto ? bytes <= receive->bytes : bytes == receive->bytes;
}

static void use_permit(struct rg_peer *p)
{
    if (p->rx_permits > 0)
        p->rx_permits--;
}

/* A receive of the tag that the sender was told of will take no message. */
void rg_match_retract(struct rg_peer *p, uint32_t tag)
{
    int i = 0;
    while (i < p->tx_retract_count && p->tx_retract[i].tag != tag)
        i++;
    if (i == RG_EXPECTATIONS) /* the permission stays, and is counted */
        return;
    if (i == p->tx_retract_count)
        p->tx_retract[p->tx_retract_count++] = (struct rg_retraction){.tag = tag};
    p->tx_retract[i].count++;
    rg_link_dirty(p);
}

/* What comes before them has changed. */
void rg_match_announce_again(struct rg_peer *p, uint32_t tag, struct rg_op *from)
{
    for (struct rg_op *op = from; op; op = op->next) {
        if (op->tag != tag || !op->announced)
            continue;
        rg_match_retract(p, tag);
        op->announced = false;
        op->announce = true;
        p->tx_announce++;
    }
}

const char *rg_match_on_retracted(struct rg_peer *p, const struct rg_header *h)
{
    if (h->length > p->rx_permits)
        return "it gives back more permissions than it had";
    p->rx_permits -= (uint32_t)h->length;
    return NULL;
}

static void grant(struct rg_peer *p)
{
    p->in.granted = true;
    p->tx_grant = p->in.sequence;
    rg_link_dirty(p);
}

/* The receive, in no list, takes the incoming message. */
static void attach(struct rg_peer *p, struct rg_op *op)
{
    struct rg_incoming *in = &p->in;
    if (op->announced)
        use_permit(p);
    if (in->unasked)
        return_room(p, in->bytes);
    in->unasked = false;
    if (in->promised)
        grant(p);
    if (rg_match_fits(op, in->bytes)) {
        if (in->stash)
            memcpy(op->buffer, in->stash->bytes, in->got);
        in->receive = op;
    } else {
        in->sink = true;
        op->arrived = in->bytes;
        rg_match_done(op, RG_ERR_LENGTH);
    }
    rg_pool_give_stash(p->mesh, in->stash);
    in->stash = NULL;
}

bool rg_match_attach_first(struct rg_peer *p)
{
    struct rg_op *op = rg_match_first_receive(p, p->in.tag);
    if (!op)
        return false;
    rg_match_unlist(&p->receives, op);
    if (op->announce)
        p->tx_announce--;
    op->announce = false;
    attach(p, op);
    return true;
}

static void take_parcel(struct rg_peer *p, struct rg_parcel **at, struct rg_op *op)
{
    struct rg_parcel *parcel = *at;
    *at = parcel->next;
    if (!*at)
        p->parcels_end = at;
    op->late = true;
    op->arrived = parcel->bytes;
    op->begin = parcel->begin;
    op->end = parcel->end;
    bool good = rg_match_fits(op, parcel->bytes);
    if (good && parcel->bytes)
        memcpy(op->buffer, parcel->stash->bytes, parcel->bytes);
    if (parcel->unasked)
        return_room(p, parcel->bytes);
    rg_pool_give_parcel(p->mesh, parcel);
    rg_match_done(op, good ? 0 : RG_ERR_LENGTH);
}

int rg_match_recv(struct rg_peer *p, struct rg_op *op)
{
    for (struct rg_parcel **at = &p->parcels; *at; at = &(*at)->next) {
        if ((*at)->tag == op->tag) {
            take_parcel(p, at, op);
            return 0;
        }
    }
    struct rg_incoming *in = &p->in;
    if (in->active && !in->receive && !in->sink && !in->stale && in->tag == op->tag) {
        attach(p, op);
        return 0;
    }
    if (p->left)
        return rg_match_absence(p);
    rg_match_list(&p->receives, op);
    if (op->bytes > RG_ANNOUNCE_ABOVE && p->rank != p->mesh->rank) {
        op->announce = true;
        p->tx_announce++;
        rg_link_dirty(p);
    }
    return 0;
}

void rg_match_end_incoming(struct rg_peer *p)
{
    rg_pool_give_stash(p->mesh, p->in.stash);
    p->in = (struct rg_incoming){0};
}

const char *rg_match_keep_parcel(struct rg_peer *p)
{
    struct rg_incoming *in = &p->in;
    struct rg_parcel *parcel = rg_pool_parcel(p->mesh);
    if (!parcel)
        return rg_match_no_memory;
    *parcel = (struct rg_parcel){.stash = in->stash,
                                 .bytes = in->bytes,
                                 .begin = in->begin,
                                 .end = rg_clock_s(),
                                 .tag = in->tag,
                                 .unasked = in->unasked};
    in->stash = NULL;
    *p->parcels_end = parcel;
    p->parcels_end = &parcel->next;
    return NULL;
}

/* The last byte of the incoming message is there. */
static const char *finish_incoming(struct rg_peer *p)
{
    struct rg_incoming *in = &p->in;
    const char *wrong = NULL;
    if (!in->stale) {
        p->rx_whole = in->sequence;
        acknowledge(p);
        if (in->receive) {
            struct rg_op *op = in->receive;
            op->arrived = in->bytes;
            op->begin = in->begin;
            op->end = rg_clock_s();
            rg_match_done(op, 0);
        } else if (!in->sink) {
            wrong = rg_match_keep_parcel(p);
        }
    }
    rg_match_end_incoming(p);
    return wrong;
}

unsigned char *rg_match_target(struct rg_peer *p)
{
    struct rg_incoming *in = &p->in;
    if (in->sink || in->stale)
        return NULL;
    return (in->receive ? in->receive->buffer : in->stash->bytes) + in->got;
}

const char *rg_match_payload(struct rg_peer *p, size_t bytes)
{
    RG_ASSERT(p->in.active && bytes <= p->segment_left);
    p->in.got += bytes;
    p->segment_left -= bytes;
    return p->segment_left == 0 && p->in.got == p->in.bytes ? finish_incoming(p) : NULL;
}

const char *rg_match_begin_segment(struct rg_peer *p, const struct rg_header *h)
{
    size_t left = p->in.bytes - p->in.got;
    p->segment_left = RG_MIN(left, h->units * RG_WIRE_UNIT);
    return left == 0 ? finish_incoming(p) : NULL;
}

const char *rg_match_on_data(struct rg_peer *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    size_t bytes = (size_t)h->length;
    if (in->active) {
        if (!in->promised || in->sequence != h->sequence || in->tag != h->tag || in->bytes != bytes)
            return "a message begins inside another";
    } else {
        if (h->sequence != p->rx_sequence + 1)
            return "a message out of sequence";
        p->rx_sequence++;
        *in = (struct rg_incoming){
            .active = true, .tag = h->tag, .sequence = h->sequence, .bytes = bytes};
    }
    in->begin = rg_clock_s();
    in->promised = false;
    if (h->flags & RG_WIRE_UNASKED) {
        if (p->rx_unasked - p->rx_returned + bytes > RG_WINDOW ||
            p->rx_unasked_count - p->rx_returned_count >= RG_UNASKED_COUNT)
            return "more than the window holds";
        p->rx_unasked += bytes;
        p->rx_unasked_count++;
        in->unasked = true;
    }
    if (in->receive || in->sink) {
        if (in->unasked)
            return_room(p, bytes);
        in->unasked = false;
    } else if (!rg_match_attach_first(p)) {
        if (!in->unasked && !in->granted) {
            if (p->rx_permits == 0 || bytes > p->rx_permitted)
                return "more than was asked for";
            use_permit(p);
        }
        in->stash = bytes ? rg_pool_stash(p->mesh, bytes) : NULL;
        if (bytes && !in->stash)
            return rg_match_no_memory;
    }
    return rg_match_begin_segment(p, h);
}

const char *rg_match_on_more(struct rg_peer *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    if (!in->active || in->promised || in->sequence != h->sequence ||
        in->bytes - in->got != h->length)
        return "a segment of no message";
    return rg_match_begin_segment(p, h);
}

const char *rg_match_on_ask(struct rg_peer *p, const struct rg_header *h)
{
    if (p->in.active || h->sequence != p->rx_sequence + 1)
        return "a question out of sequence";
    p->rx_sequence++;
    p->in = (struct rg_incoming){.active = true,
                                 .promised = true,
                                 .tag = h->tag,
                                 .sequence = h->sequence,
                                 .bytes = (size_t)h->length};
    rg_match_attach_first(p);
    return NULL;
}

const char *rg_match_on_withdraw(struct rg_peer *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    if (!in->active || !in->promised || in->sequence != h->sequence)
        return "it takes back what it has not offered";
    if (in->receive) {
        in->receive->announced = false; /* the sender has used that up */
        rg_match_list_first(&p->receives, in->receive);
    }
    p->rx_whole = in->sequence;
    rg_match_end_incoming(p);
    return NULL;
}
