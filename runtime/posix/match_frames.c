/* Which frame goes where; barriers, farewells, and what is left of a run that is over.
 *
 * Failure modes handled: frames that contradict what went before, or come from outside the run. */
#include "posix/match_parts.h"

#include "base/check.h"

/* ---- frames of another run than the one that is open ---- */

static const char *stale_frame(struct rg_pair *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    if (h->run > p->match->run)
        return "a frame of a run that has not begun";
    switch (h->type) {
    case RG_FRAME_DATA:
        if (in->active && !in->rts)
            return "a message begins inside another";
        *in = (struct rg_incoming){
            .active = true, .stale = true, .sequence = h->sequence, .bytes = (size_t)h->length};
        return rg_match_begin_segment(p, h);
    case RG_FRAME_MORE:
        return in->stale ? rg_match_on_more(p, h) : "a segment of no message";
    case RG_FRAME_ABORT:
        if (!in->active || !in->stale || p->segment_left)
            return "it breaks off what it has not begun";
        rg_match_end_incoming(p);
        return NULL;
    default:
        return NULL;
    }
}

static const char *on_barrier(struct rg_pair *p, const struct rg_header *h)
{
    if (h->run < p->barrier_run)
        return NULL;
    if (h->run == p->barrier_run && h->sequence <= p->barrier_seen)
        return "a barrier out of sequence";
    p->barrier_run = h->run;
    p->barrier_seen = h->sequence;
    if (p->match->run_size > 0 && !p->left && !p->match->salvages && rg_match_is_elsewhere(p))
        rg_match_left(p, false);
    rg_match_changed(p->match);
    return NULL;
}

static const char *on_leave(struct rg_pair *p, const struct rg_header *h)
{
    struct rg_match *m = p->match;
    p->left_run = RG_MAX(p->left_run, h->run);
    m->dropped = m->dropped || h->tag == RG_WIRE_YOU;
    if (h->tag != RG_WIRE_NOBODY && h->tag != RG_WIRE_YOU) {
        if (h->tag >= (uint32_t)m->size)
            return "it has lost a rank that does not exist";
        bool renumbered = h->run <= m->reseated; /* it means another rank, which all know of */
        if ((int)h->tag != m->rank && !renumbered)
            m->ops->lost(m->world, p, (int)h->tag, p->reason_of == h->tag ? p->reason : "");
    }
    if (h->run != m->run || m->run_size == 0 || p->left)
        return NULL;
    if (p->in.active && !p->in.rts)
        return "it leaves in the middle of a message";
    const char *wrong = rg_match_arrived(p, h->sequence);
    if (wrong)
        return wrong;
    if (p->in.active)
        rg_match_withdrawn(p);
    rg_match_left(p, false);
    return NULL;
}

static const char *on_interrupt(struct rg_pair *p, const struct rg_header *h)
{
    struct rg_match *m = p->match;
    if (h->tag == RG_WIRE_WINDING) {
        if (p->pledge_run)
            return "it says twice how far it goes";
        p->pledge_run = h->run;
        p->pledge = h->sequence;
        atomic_store(&m->winding, true);
    } else {
        if (h->tag == RG_WIRE_EXPIRED)
            atomic_store(&m->expired, true);
        atomic_store(&m->interrupted, true);
    }
    rg_match_changed(m);
    return NULL;
}

const char *rg_match_frame(struct rg_pair *p, const struct rg_header *h)
{
    struct rg_match *m = p->match;
    switch (h->type) {
    case RG_FRAME_BARRIER:
        return on_barrier(p, h);
    case RG_FRAME_LEAVE:
        return on_leave(p, h);
    case RG_FRAME_INTERRUPT:
        return on_interrupt(p, h);
    case RG_FRAME_GOODBYE:
        p->goodbye = true;
        return NULL;
    case RG_FRAME_BEAT:
    case RG_FRAME_COME:
        return NULL;
    case RG_FRAME_REASON:
        p->reason_of = h->tag;
        return NULL;
    default:
        break;
    }
    if (h->run != m->run || m->run_size == 0 || p->in.stale)
        return stale_frame(p, h);
    if (p->left || p->rank >= m->run_size)
        return "a message from outside the run";
    switch (h->type) {
    case RG_FRAME_DATA:
        return rg_match_on_data(p, h);
    case RG_FRAME_MORE:
        return rg_match_on_more(p, h);
    case RG_FRAME_ACK:
        return rg_match_on_ack(p, h);
    case RG_FRAME_RTS:
        return rg_match_on_rts(p, h);
    case RG_FRAME_WITHDRAW:
        return rg_match_on_withdraw(p, h);
    case RG_FRAME_CTS:
        return rg_match_on_cts(p, h);
    case RG_FRAME_EXPECT:
        return rg_match_on_expect(p, h);
    case RG_FRAME_RETRACT:
        return rg_match_on_retract(p, h);
    case RG_FRAME_RETRACTED:
        return rg_match_on_retracted(p, h);
    default:
        return "it breaks off a message that is wanted";
    }
}
