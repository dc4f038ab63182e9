/* Which message goes with which receive, and what may start.
 *
 * A connection carries one message after the other, each way. A message starts if it fits the
 * window (RG_WIRE_UNASKED; the receiver gives the room back once a receive takes the message) or if
 * its receive is known to be posted. The sender knows from
 *   EXPECT  the receiver tells of large receives as they are posted: no round trip is lost. It
 *           permits one message of at most that length. RETRACT takes back the permission of a
 *           receive that is cancelled; the sender answers RETRACTED where it had not been used;
 *   ASK     the sender tells of a message that it must hold back, and the receiver answers GRANT
 * when the receive is there. This alone is enough for progress. Matching itself is the receiver's:
 * messages and receives of one tag pair in order. EXPECT only permits; where a message
 * and the cancelling of its receive have crossed, it waits in memory that the program had asked for
 * anyway (rx_permits).
 *
 * Failure modes handled: frames that contradict what went before (reported, and the peer is then
 * lost for it); receives cancelled while their message arrives; lengths that differ; no memory. */
#include "posix/match_parts.h"

#include "base/check.h"
#include <string.h>

const char rg_match_no_memory[] = "no memory for its message";

/* ---- lists ---- */

void rg_match_list(struct rg_ops_list *list, struct rg_op *op)
{
    op->listed = true;
    op->next = NULL;
    op->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = op;
    list->last = op;
}

void rg_match_list_first(struct rg_ops_list *list, struct rg_op *op)
{
    op->listed = true;
    op->previous = NULL;
    op->next = list->first;
    *(list->first ? &list->first->previous : &list->last) = op;
    list->first = op;
}

void rg_match_unlist(struct rg_ops_list *list, struct rg_op *op)
{
    op->listed = false;
    *(op->previous ? &op->previous->next : &list->first) = op->next;
    *(op->next ? &op->next->previous : &list->last) = op->previous;
}

void rg_match_release(struct rg_op *op)
{
    if (!op->listed && !op->request)
        rg_pool_give_op(op->peer->mesh, op);
}

void rg_match_done(struct rg_op *op, int outcome)
{
    op->done = true;
    op->outcome = outcome;
    if (op->request)
        rg_comm_wake(op->strand);
    else
        rg_match_release(op);
}

struct rg_op *rg_match_first_receive(const struct rg_peer *p, uint32_t tag)
{
    struct rg_op *op = p->receives.first;
    while (op && op->tag != tag)
        op = op->next;
    return op;
}

/* ---- cancelling ---- */

static void cancel_receive(struct rg_peer *p, struct rg_op *op)
{
    struct rg_incoming *in = &p->in;
    if (op->listed) {
        struct rg_op *behind = op->next;
        rg_match_unlist(&p->receives, op);
        if (op->announce)
            p->tx_announce--;
        if (op->announced)
            rg_match_retract(p, op->tag);
        else
            rg_match_announce_again(p, op->tag, behind);
        return;
    }
    RG_ASSERT(in->active && in->receive == op);
    in->receive = NULL;
    if (p->mesh->closing) {
        in->sink = true;
    } else if (!in->promised && in->bytes) {
        in->stash = rg_pool_stash(p->mesh, in->bytes);
        if (!in->stash) {
            rg_link_lose(p, RG_ERR_NOMEM, "%s", rg_match_no_memory);
            return;
        }
        memcpy(in->stash->bytes, op->buffer, in->got);
    }
    uint32_t permits = p->rx_permits;
    if (!in->sink && rg_match_attach_first(p) && p->rx_permits < permits) {
        p->rx_permits = permits; /* the message had used the permission of the one cancelled */
        rg_match_retract(p, op->tag);
    }
}

bool rg_match_cancel(struct rg_peer *p, struct rg_op *op)
{
    if (!op->send) {
        cancel_receive(p, op);
        return true;
    }
    if (op->sequence && op != p->head)
        return false;
    if (op == p->head)
        p->head = op->next;
    rg_match_unlist(&p->sends, op);
    if (op->asked)
        p->tx_withdraw = op->sequence;
    rg_link_dirty(p);
    return true;
}

/* ---- messages to oneself ---- */

static void deliver_here(struct rg_peer *self, struct rg_op *send, struct rg_op *receive)
{
    bool good = rg_match_fits(receive, send->bytes);
    if (good && send->bytes)
        memcpy(receive->buffer, send->buffer, send->bytes);
    receive->arrived = send->bytes;
    rg_match_unlist(&self->receives, receive);
    rg_match_done(receive, good ? 0 : RG_ERR_LENGTH);
}

/* Room for it in the window, as for any other message. */
static bool keep_here(struct rg_peer *self, struct rg_op *send)
{
    if (self->rx_unasked - self->rx_returned + send->bytes > RG_WINDOW)
        return false;
    struct rg_stash *stash = send->bytes ? rg_pool_stash(self->mesh, send->bytes) : NULL;
    if (send->bytes && !stash)
        return false;
    self->in = (struct rg_incoming){
        .tag = send->tag, .bytes = send->bytes, .stash = stash, .unasked = true};
    if (stash)
        memcpy(stash->bytes, send->buffer, send->bytes);
    bool kept = rg_match_keep_parcel(self) == NULL;
    if (kept)
        self->rx_unasked += send->bytes;
    rg_match_end_incoming(self);
    return kept;
}

void rg_match_self(struct rg_peer *self)
{
    struct rg_op *send;
    while ((send = self->head) != NULL) {
        struct rg_op *receive = rg_match_first_receive(self, send->tag);
        if (receive)
            deliver_here(self, send, receive);
        else if (!keep_here(self, send))
            return;
        self->head = send->next;
        rg_match_end_send(self, send, 0);
    }
}

/* ---- the end ---- */

int rg_match_absence(const struct rg_peer *p)
{
    return atomic_load(&p->mesh->interrupted) ? RG_ERR_INTERRUPTED : RG_ERR_PEER;
}

void rg_match_left(struct rg_peer *p, bool dead)
{
    struct rg_mesh *m = p->mesh;
    int code = rg_match_absence(p);
    p->left = true;
    p->tx_announce = p->tx_retract_count = 0;
    p->tx_retracted = 0;
    p->tx_grant = 0;
    p->expected_count = 0;
    struct rg_op *op;
    while ((op = p->receives.first) != NULL) {
        rg_match_unlist(&p->receives, op);
        rg_match_done(op, code);
    }
    if (dead && p->in.active) {
        if (p->in.receive)
            rg_match_done(p->in.receive, code);
        rg_match_end_incoming(p);
        p->segment_left = 0;
    }
    p->head = NULL;
    if (dead)
        p->writing = NULL;
    for (struct rg_op *next = p->sends.first; (op = next) != NULL;) {
        next = op->next;
        op->outcome = code;
        op->doomed = op == p->writing;
        if (!op->doomed)
            rg_match_end_send(p, op, code);
    }
    rg_comm_wake_all(m);
}

void rg_match_end_run(struct rg_peer *p)
{
    RG_ASSERT(!p->in.receive);
    rg_pool_give_stash(p->mesh, p->in.stash);
    p->in.stash = NULL;
    p->in.stale = p->in.active;
}

void rg_match_reset(struct rg_peer *p)
{
    struct rg_mesh *m = p->mesh;
    RG_ASSERT(!p->receives.first && !p->writing);
    rg_match_end_run(p);
    while (p->sends.first) { /* written whole, and nobody waits for their acknowledgement */
        struct rg_op *op = p->sends.first;
        rg_match_unlist(&p->sends, op);
        rg_match_release(op);
    }
    for (struct rg_parcel *parcel = p->parcels, *next; parcel; parcel = next) {
        next = parcel->next;
        rg_pool_give_parcel(m, parcel);
    }
    p->parcels = NULL;
    p->parcels_end = &p->parcels;
    if (p->in.promised)
        p->in = (struct rg_incoming){0};
    p->head = NULL;
    p->tx_sequence = p->tx_acked = p->tx_unasked = p->tx_returned = 0;
    p->tx_unasked_count = p->tx_returned_count = 0;
    p->rx_sequence = p->rx_whole = p->rx_unasked = p->rx_returned = 0;
    p->rx_unasked_count = p->rx_returned_count = 0;
    p->rx_permits = p->tx_retracted = 0;
    p->rx_permitted = 0;
    p->expected_count = p->tx_announce = p->tx_retract_count = 0;
    p->tx_ack = false;
    p->tx_grant = p->tx_withdraw = 0;
    p->left = p->gone || p->left_run >= m->run || p->fence_run > m->run;
    if (p->fence_run < m->run) {
        p->fence_run = m->run;
        p->fence_seen = 0;
    }
}
