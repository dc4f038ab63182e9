/* Which message goes with which receive, and what may start.
 *
 * A connection carries one message after the other, each way. A message starts if it fits the
 * window (RG_WIRE_UNASKED; the receiver gives the room back once a receive takes the message) or if
 * its receive is known to be posted. The sender knows from
 *   EXPECT  the receiver tells of large receives as they are posted: no round trip is lost;
 *   ASK     the sender tells of a message that it must hold back, and the receiver answers GRANT
 * when the receive is there. This alone is enough for progress. Matching itself is the receiver's:
 * messages and receives of one tag pair in order. EXPECT only permits, and nothing larger than the
 * receive; where one that was cancelled has made it wrong, the message waits in memory that the
 * program had asked for anyway (rx_allowance): every EXPECT adds its bytes, and a message takes
 * away no more than the EXPECT that it has used up at the sender.
 *
 * Failure modes handled: frames that contradict what went before (reported, and the peer is then
 * lost for it); receives cancelled while their message arrives; lengths that differ; no memory. */
#include "posix/mesh.h"

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

static void list_first(struct rg_ops_list *list, struct rg_op *op)
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

static struct rg_op *first_receive(const struct rg_peer *p, uint32_t tag)
{
    struct rg_op *op = p->receives.first;
    while (op && op->tag != tag)
        op = op->next;
    return op;
}

/* ---- sending ---- */

int rg_match_absence(const struct rg_peer *p)
{
    return atomic_load(&p->mesh->interrupted) ? RG_ERR_INTERRUPTED : RG_ERR_PEER;
}

int rg_match_send(struct rg_peer *p, struct rg_op *op)
{
    if (p->left)
        return rg_match_absence(p);
    for (int i = 0; i < p->expected_count; i++) {
        struct rg_expectation *e = &p->expected[i];
        if (e->tag != op->tag)
            continue;
        if (e->before > 0) {
            e->before--;
        } else if (!op->granted) { /* larger than its receive: that one has been cancelled */
            op->granted = op->bytes <= e->bytes;
            memmove(e, e + 1, (size_t)(--p->expected_count - i) * sizeof *e);
            i--;
        }
    }
    rg_match_list(&p->sends, op);
    if (!p->head)
        p->head = op;
    return 0;
}

bool rg_match_may_start(const struct rg_peer *p, const struct rg_op *op)
{
    if (op->granted)
        return true;
    return p->tx_unasked - p->tx_returned + op->bytes <= RG_WINDOW &&
           p->tx_unasked_count - p->tx_returned_count < RG_UNASKED_COUNT;
}

void rg_match_started(struct rg_peer *p, struct rg_op *op)
{
    if (!op->asked)
        op->sequence = ++p->tx_sequence;
    op->begin = rg_posix_clock();
    op->granted_at_start = op->granted;
    if (!op->granted) {
        p->tx_unasked += op->bytes;
        p->tx_unasked_count++;
    }
    if (!p->writing)
        p->writing = op;
    p->head = op->next;
}

static void end_send(struct rg_peer *p, struct rg_op *op, int outcome)
{
    rg_match_unlist(&p->sends, op);
    rg_match_done(op, outcome);
}

void rg_match_written(struct rg_peer *p, struct rg_op *op)
{
    p->writing = op->next == p->head ? NULL : op->next;
    if (op->doomed)
        end_send(p, op, op->outcome);
}

void rg_match_broken_off(struct rg_peer *p, struct rg_op *op)
{
    if (op->begun) {
        p->tx_aborted = op->sequence;
        p->tx_aborted_run = p->mesh->run;
    }
    rg_match_written(p, op);
}

static const char *on_ack(struct rg_peer *p, const struct rg_header *h)
{
    uint32_t waiting = p->tx_unasked_count - p->tx_returned_count;
    if (h->sequence < p->tx_acked || h->sequence > p->tx_sequence || h->length < p->tx_returned ||
        h->length > p->tx_unasked || h->tag - p->tx_returned_count > waiting)
        return "an acknowledgement of what was not sent";
    p->tx_acked = h->sequence;
    p->tx_returned = h->length;
    p->tx_returned_count = h->tag;
    struct rg_op *op;
    while ((op = p->sends.first) != NULL && op->sequence && op->sequence <= h->sequence) {
        if (op == p->writing || op == p->head)
            return "an acknowledgement of what was not sent";
        op->end = rg_posix_clock();
        end_send(p, op, 0);
    }
    if (p->head)
        rg_link_dirty(p);
    return NULL;
}

static const char *on_grant(struct rg_peer *p, const struct rg_header *h)
{
    if (h->sequence == 0 || h->sequence > p->tx_sequence)
        return "a grant for what was not asked";
    struct rg_op *op = p->head;
    if (op && op->asked && op->sequence == h->sequence) {
        op->granted = true;
        rg_link_dirty(p);
    }
    return NULL;
}

/* The receive goes with the (units + 1)th message of the tag after number `sequence`. */
static const char *on_expect(struct rg_peer *p, const struct rg_header *h)
{
    if (h->sequence > p->tx_sequence)
        return "it has seen messages that were not sent";
    uint32_t before = h->units;
    bool started = true;
    for (struct rg_op *op = p->sends.first; op; op = op->next) {
        if (op == p->head)
            started = false;
        if (op->tag != h->tag || (op->sequence && op->sequence <= h->sequence))
            continue;
        if (before-- == 0) {
            op->granted |= !started && op->bytes <= h->length;
            if (op == p->head)
                rg_link_dirty(p);
            return NULL;
        }
    }
    if (p->expected_count < RG_EXPECTATIONS) /* else the sender will ask */
        p->expected[p->expected_count++] = (struct rg_expectation){h->tag, before, h->length};
    return NULL;
}

/* ---- receiving ---- */

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

static bool fits(const struct rg_op *receive, size_t bytes)
{
    return receive->upto ? bytes <= receive->bytes : bytes == receive->bytes;
}

static void allow_less(struct rg_peer *p, size_t bytes)
{
    p->rx_allowance -= RG_MIN(p->rx_allowance, bytes);
}

static void grant(struct rg_peer *p)
{
    if (!p->in.granted)
        p->rx_allowance += p->in.bytes;
    p->in.granted = true;
    p->tx_grant = p->in.sequence;
    rg_link_dirty(p);
}

/* The receive, in no list, takes the incoming message. */
static void attach(struct rg_peer *p, struct rg_op *op)
{
    struct rg_incoming *in = &p->in;
    if (op->announced)
        allow_less(p, RG_MIN(op->bytes, in->bytes));
    if (in->unasked)
        return_room(p, in->bytes);
    in->unasked = false;
    if (in->promised)
        grant(p);
    if (fits(op, in->bytes)) {
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

static bool attach_first(struct rg_peer *p)
{
    struct rg_op *op = first_receive(p, p->in.tag);
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
    bool good = fits(op, parcel->bytes);
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

static void end_incoming(struct rg_peer *p)
{
    rg_pool_give_stash(p->mesh, p->in.stash);
    p->in = (struct rg_incoming){0};
}

static const char *keep_parcel(struct rg_peer *p)
{
    struct rg_incoming *in = &p->in;
    struct rg_parcel *parcel = rg_pool_parcel(p->mesh);
    if (!parcel)
        return rg_match_no_memory;
    *parcel = (struct rg_parcel){.stash = in->stash,
                                 .bytes = in->bytes,
                                 .begin = in->begin,
                                 .end = rg_posix_clock(),
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
            op->end = rg_posix_clock();
            rg_match_done(op, 0);
        } else if (!in->sink) {
            wrong = keep_parcel(p);
        }
    }
    end_incoming(p);
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

static const char *begin_segment(struct rg_peer *p, const struct rg_header *h)
{
    size_t left = p->in.bytes - p->in.got;
    p->segment_left = RG_MIN(left, h->units * RG_WIRE_UNIT);
    return left == 0 ? finish_incoming(p) : NULL;
}

static const char *on_data(struct rg_peer *p, const struct rg_header *h)
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
    in->begin = rg_posix_clock();
    in->promised = false;
    if (in->granted)
        allow_less(p, bytes);
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
    } else if (!attach_first(p)) {
        if (!in->unasked && bytes > p->rx_allowance && !in->granted)
            return "more than was asked for";
        if (!in->unasked && !in->granted)
            allow_less(p, bytes);
        in->stash = bytes ? rg_pool_stash(p->mesh, bytes) : NULL;
        if (bytes && !in->stash)
            return rg_match_no_memory;
    }
    return begin_segment(p, h);
}

static const char *on_more(struct rg_peer *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    if (!in->active || in->promised || in->sequence != h->sequence ||
        in->bytes - in->got != h->length)
        return "a segment of no message";
    return begin_segment(p, h);
}

static const char *on_ask(struct rg_peer *p, const struct rg_header *h)
{
    if (p->in.active || h->sequence != p->rx_sequence + 1)
        return "a question out of sequence";
    p->rx_sequence++;
    p->in = (struct rg_incoming){.active = true,
                                 .promised = true,
                                 .tag = h->tag,
                                 .sequence = h->sequence,
                                 .bytes = (size_t)h->length};
    attach_first(p);
    return NULL;
}

static const char *on_withdraw(struct rg_peer *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    if (!in->active || !in->promised || in->sequence != h->sequence)
        return "it takes back what it has not offered";
    if (in->granted)
        allow_less(p, in->bytes);
    if (in->receive) {
        in->receive->announced = false; /* the sender has used that up */
        list_first(&p->receives, in->receive);
    }
    p->rx_whole = in->sequence;
    end_incoming(p);
    return NULL;
}

/* ---- frames of another run than the one that is open ---- */

static const char *stale_frame(struct rg_peer *p, const struct rg_header *h)
{
    struct rg_incoming *in = &p->in;
    if (h->run > p->mesh->run)
        return "a frame of a run that has not begun";
    switch (h->type) {
    case RG_FRAME_DATA:
        if (in->active && !in->promised)
            return "a message begins inside another";
        *in = (struct rg_incoming){
            .active = true, .stale = true, .sequence = h->sequence, .bytes = (size_t)h->length};
        return begin_segment(p, h);
    case RG_FRAME_MORE:
        return in->stale ? on_more(p, h) : "a segment of no message";
    case RG_FRAME_ABORT:
        if (!in->active || !in->stale || p->segment_left)
            return "it breaks off what it has not begun";
        end_incoming(p);
        return NULL;
    default:
        return NULL;
    }
}

static const char *on_fence(struct rg_peer *p, const struct rg_header *h)
{
    if (h->run < p->fence_run)
        return NULL;
    if (h->run == p->fence_run && h->sequence <= p->fence_seen)
        return "a fence out of sequence";
    p->fence_run = h->run;
    p->fence_seen = h->sequence;
    rg_comm_wake_all(p->mesh);
    return NULL;
}

static const char *on_leave(struct rg_peer *p, const struct rg_header *h)
{
    struct rg_mesh *m = p->mesh;
    p->left_run = RG_MAX(p->left_run, h->run);
    if (h->tag != RG_WIRE_NOBODY) {
        if (h->tag >= (uint32_t)m->size)
            return "it has lost a rank that does not exist";
        if ((int)h->tag != m->rank)
            rg_link_note_lost(m, (int)h->tag, RG_ERR_PEER, NULL, p);
    }
    if (h->run == m->run && m->run_size && !p->left) {
        if (p->in.active)
            return "it leaves in the middle of a message";
        rg_match_left(p, false);
    }
    return NULL;
}

const char *rg_match_frame(struct rg_peer *p, const struct rg_header *h)
{
    struct rg_mesh *m = p->mesh;
    switch (h->type) {
    case RG_FRAME_FENCE:
        return on_fence(p, h);
    case RG_FRAME_LEAVE:
        return on_leave(p, h);
    case RG_FRAME_INTERRUPT:
        atomic_store(&m->interrupted, true);
        rg_comm_wake_all(m);
        return NULL;
    case RG_FRAME_GOODBYE:
        p->goodbye = true;
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
        return on_data(p, h);
    case RG_FRAME_MORE:
        return on_more(p, h);
    case RG_FRAME_ACK:
        return on_ack(p, h);
    case RG_FRAME_ASK:
        return on_ask(p, h);
    case RG_FRAME_WITHDRAW:
        return on_withdraw(p, h);
    case RG_FRAME_GRANT:
        return on_grant(p, h);
    case RG_FRAME_EXPECT:
        return on_expect(p, h);
    default:
        return "it breaks off a message that is wanted";
    }
}

/* ---- cancelling ---- */

/* What was announced behind a receive that is cancelled now comes one message earlier than the
 * sender believes: it may take what was said for a message that comes later. */
static void shift_announced(const struct rg_op *cancelled)
{
    for (struct rg_op *op = cancelled->next; op; op = op->next)
        if (op->tag == cancelled->tag)
            op->announced = false;
}

static void cancel_receive(struct rg_peer *p, struct rg_op *op)
{
    struct rg_incoming *in = &p->in;
    if (op->listed) {
        shift_announced(op);
        rg_match_unlist(&p->receives, op);
        if (op->announce)
            p->tx_announce--;
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
    uint64_t allowance = p->rx_allowance;
    if (!in->sink && attach_first(p)) /* another's announcement is still to be used by the sender */
        p->rx_allowance = RG_MAX(p->rx_allowance, allowance);
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
    bool good = fits(receive, send->bytes);
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
    bool kept = keep_parcel(self) == NULL;
    if (kept)
        self->rx_unasked += send->bytes;
    end_incoming(self);
    return kept;
}

void rg_match_self(struct rg_peer *self)
{
    struct rg_op *send;
    while ((send = self->head) != NULL) {
        struct rg_op *receive = first_receive(self, send->tag);
        if (receive)
            deliver_here(self, send, receive);
        else if (!keep_here(self, send))
            return;
        self->head = send->next;
        end_send(self, send, 0);
    }
}

/* ---- the end ---- */

void rg_match_left(struct rg_peer *p, bool dead)
{
    struct rg_mesh *m = p->mesh;
    int code = rg_match_absence(p);
    p->left = true;
    p->tx_announce = 0;
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
        end_incoming(p);
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
            end_send(p, op, code);
    }
    rg_comm_wake_all(m);
}

void rg_match_reset(struct rg_peer *p)
{
    struct rg_mesh *m = p->mesh;
    RG_ASSERT(!p->receives.first && !p->writing && !p->in.receive);
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
    rg_pool_give_stash(m, p->in.stash);
    p->in.stash = NULL;
    if (p->in.promised)
        p->in = (struct rg_incoming){0};
    p->in.stale = p->in.active;
    p->head = NULL;
    p->tx_sequence = p->tx_acked = p->tx_unasked = p->tx_returned = 0;
    p->tx_unasked_count = p->tx_returned_count = 0;
    p->rx_sequence = p->rx_whole = p->rx_unasked = p->rx_returned = p->rx_allowance = 0;
    p->rx_unasked_count = p->rx_returned_count = 0;
    p->expected_count = p->tx_announce = 0;
    p->tx_ack = false;
    p->tx_grant = p->tx_withdraw = 0;
    p->left = p->gone || p->left_run >= m->run || p->fence_run > m->run;
    if (p->fence_run < m->run) {
        p->fence_run = m->run;
        p->fence_seen = 0;
    }
}
