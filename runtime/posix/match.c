/* Which message goes with which receive, and what may start.
 *
 * A connection carries one message after the other, each way. A message starts at once if it is
 * eager: if it fits the room that the receiver has for unexpected messages, by credit
 * (RG_WIRE_EAGER; the receiver gives the credit back once a receive takes the message). Any other
 * starts once its receive is known to be posted. The sender knows that from
 *   CTS     the answer to RTS, by which the sender announces a message that it holds back. This
 *           alone is enough for progress;
 *   EXPECT  by which the receiver tells of large receives as they are posted, so that no round trip
 *           is lost. It permits one message of at most that length. RETRACT takes the permission of
 *           a cancelled receive back; the sender answers RETRACTED where it had not been used.
 * Matching itself is the receiver's: messages and receives of one tag pair in order. EXPECT only
 * permits. Where a message and the cancelling of its receive have crossed, the message waits in
 * memory that the program had asked for anyway (rx_permits).
 *
 * Failure modes handled: frames that contradict what went before (reported, and the connection then
 * fails for it); receives cancelled while their message arrives; lengths that differ; no memory. */
#include "posix/match_parts.h"

#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rg_match_cancel(struct rg_pair *p, struct rg_transfer *t)
{
    if (t->send)
        return rg_match_cancel_send(p, t);
    rg_match_cancel_receive(p, t);
    return true;
}

/* ---- messages to oneself ---- */

static void deliver_here(struct rg_pair *self, struct rg_transfer *send,
                         struct rg_transfer *receive)
{
    bool good = rg_match_fits(receive, send->bytes);
    if (good && send->bytes)
        memcpy(receive->buffer, send->buffer, send->bytes);
    receive->arrived = send->bytes;
    rg_match_unlist(&self->receives, receive);
    rg_match_done(receive, good ? 0 : RG_ERR_LENGTH);
}

/* If it is below the eager limit, as for any other message. */
static bool keep_here(struct rg_pair *self, struct rg_transfer *send)
{
    if (!rg_match_eager_room(self, send->bytes))
        return false;
    struct rg_bounce *bounce = send->bytes ? rg_match_take_bounce(self->match, send->bytes) : NULL;
    if (send->bytes && !bounce)
        return false;
    self->in = (struct rg_incoming){
        .tag = send->tag, .bytes = send->bytes, .bounce = bounce, .eager = true};
    if (bounce)
        memcpy(bounce->bytes, send->buffer, send->bytes);
    bool kept = rg_match_keep_unexpected(self) == NULL;
    if (kept) {
        self->rx_eager += send->bytes;
        self->rx_eager_count++;
    }
    rg_match_end_incoming(self);
    return kept;
}

void rg_match_self(struct rg_pair *self)
{
    struct rg_transfer *send;
    while ((send = self->head) != NULL) {
        struct rg_transfer *receive = rg_match_first_receive(self, send->tag);
        if (receive)
            deliver_here(self, send, receive);
        else if (!keep_here(self, send))
            return;
        self->head = send->next;
        rg_match_end_send(self, send, 0);
    }
}

/* ---- barriers, interruption, farewell ---- */

void rg_match_say_barrier(struct rg_pair *to)
{
    to->tx_barrier = to->match->barrier;
    to->tx_barrier_run = to->match->run;
    rg_match_dirty(to);
}

#define SALVAGE ((uint64_t)1 << 62) /* barriers of such a run come after that */

bool rg_match_is_elsewhere(const struct rg_pair *p)
{
    const struct rg_match *m = p->match;
    return p->barrier_run == m->run && p->barrier_seen > 0 &&
           (p->barrier_seen > SALVAGE) != m->salvages;
}

int rg_match_heard_barrier(const struct rg_pair *from)
{
    const struct rg_match *m = from->match;
    if (!m->salvages && rg_match_is_elsewhere(from))
        return rg_match_absence(from);
    /* A peer whose barrier is of a later run has passed this one and left. */
    if (from->barrier_run > m->run ||
        (from->barrier_run == m->run && from->barrier_seen >= m->barrier))
        return 0;
    return from->left ? rg_match_absence(from) : RG_PENDING;
}

void rg_match_spread_interruption(struct rg_match *m)
{
    bool interrupted = atomic_load(&m->interrupted) && !m->interrupt_told;
    bool winding = atomic_load(&m->winding) && !m->winding_told;
    if (!interrupted && !winding)
        return;
    if (winding) {
        m->pledge = m->updates + !m->between;
        m->pledge_run = m->run;
    }
    m->interrupt_told |= interrupted;
    m->winding_told |= winding;
    for (int r = 0; r < m->size; r++) {
        m->pairs[r].tx_interrupt |= interrupted;
        m->pairs[r].tx_winding |= winding;
        rg_match_dirty(&m->pairs[r]);
    }
    rg_match_changed(m);
}

int rg_match_last_update(const struct rg_match *m, uint64_t *last)
{
    RG_ASSERT(m->winding_told && m->pledge_run == m->run);
    *last = m->pledge;
    for (int r = 0; r < m->run_size; r++) {
        const struct rg_pair *p = &m->pairs[r];
        if (r == m->rank)
            continue;
        if (p->pledge_run != m->run)
            return p->left ? rg_match_absence(p) : RG_PENDING;
        *last = RG_MAX(*last, p->pledge);
    }
    return 0;
}

void rg_match_beat(struct rg_pair *p)
{
    p->tx_beat = true;
    rg_match_dirty(p);
}

void rg_match_say_goodbye(struct rg_match *m)
{
    for (int r = 0; r < m->size; r++) {
        m->pairs[r].tx_goodbye = true;
        rg_match_dirty(&m->pairs[r]);
    }
}

void rg_match_say_dropped(struct rg_pair *p)
{
    p->tx_leave_run = p->match->run;
    p->tx_leave_lost = RG_WIRE_YOU;
    rg_match_dirty(p);
}

/* ---- peers that leave ---- */

void rg_match_left(struct rg_pair *p, bool dead)
{
    int code = rg_match_absence(p);
    p->left = true;
    p->tx_announce = p->tx_retract_count = 0;
    p->tx_retracted = 0;
    p->tx_cts = 0;
    p->expected_count = 0;
    struct rg_transfer *t;
    while ((t = p->receives.first) != NULL) {
        rg_match_unlist(&p->receives, t);
        rg_match_done(t, code);
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
    for (struct rg_transfer *next = p->sends.first; (t = next) != NULL;) {
        next = t->next;
        t->outcome = code;
        t->doomed = t == p->writing;
        if (!t->doomed)
            rg_match_end_send(p, t, code);
    }
    rg_match_changed(p->match);
}

void rg_match_gone(struct rg_pair *p)
{
    p->gone = true;
    rg_match_left(p, true);
}

static void drop_unexpected(struct rg_pair *p)
{
    for (struct rg_unexpected *early = p->unexpected, *next; early; early = next) {
        next = early->next;
        rg_match_give_unexpected(p->match, early);
    }
    p->unexpected = NULL;
    p->unexpected_end = &p->unexpected;
}

static void drop_sends(struct rg_pair *p)
{
    struct rg_transfer *t;
    while ((t = p->sends.first) != NULL) { /* all written, and nobody waits for the ACK */
        rg_match_unlist(&p->sends, t);
        rg_match_release(t);
    }
}

static struct rg_pair new_pair(struct rg_match *m, int rank, unsigned char *staging)
{
    return (struct rg_pair){
        .match = m, .rank = rank, .segment = 4 * RG_WIRE_SEGMENT_LEAST, .staging = staging};
}

void rg_match_renew(struct rg_pair *p)
{
    RG_ASSERT(p->gone && p->match->run_size == 0 && !p->receives.first && !p->writing);
    drop_unexpected(p);
    drop_sends(p);
    rg_match_end_incoming(p);
    *p = new_pair(p->match, p->rank, p->staging);
    p->unexpected_end = &p->unexpected;
}

void rg_match_enter(struct rg_match *m, uint32_t run)
{
    m->run = run;
}

/* ---- runs ---- */

/* What is still on its way is for nobody. */
static void end_pair(struct rg_pair *p)
{
    RG_ASSERT(!p->in.receive);
    rg_match_give_bounce(p->match, p->in.bounce);
    p->in.bounce = NULL;
    p->in.stale = p->in.active;
}

void rg_match_end_run(struct rg_match *m, int lost, const char *why)
{
    snprintf(m->reason, sizeof m->reason, "%s", why);
    for (int r = 0; r < m->run_size; r++) {
        struct rg_pair *p = &m->pairs[r];
        RG_ASSERT(!p->writing);
        p->tx_leave_run = m->run;
        p->tx_leave_lost = lost < 0 ? RG_WIRE_NOBODY : (uint32_t)lost;
        p->tx_leave_whole = p->rx_whole;
        rg_match_dirty(p);
        end_pair(p);
    }
    m->run_size = 0;
}

static void begin_pair(struct rg_pair *p)
{
    uint32_t run = p->match->run;
    RG_ASSERT(!p->receives.first && !p->writing);
    end_pair(p);
    drop_unexpected(p);
    drop_sends(p);
    if (p->in.rts)
        p->in = (struct rg_incoming){0};
    p->head = NULL;
    p->tx_sequence = p->tx_acked = p->tx_eager = p->tx_returned = 0;
    p->tx_eager_count = p->tx_returned_count = 0;
    p->rx_sequence = p->rx_whole = p->rx_eager = p->rx_returned = 0;
    p->rx_eager_count = p->rx_returned_count = 0;
    p->rx_permits = p->tx_retracted = 0;
    p->rx_permitted = 0;
    p->expected_count = p->tx_announce = p->tx_retract_count = 0;
    p->tx_ack = false;
    p->tx_cts = p->tx_withdraw = 0;
    p->left = p->gone || p->left_run >= run || p->barrier_run > run;
    if (p->barrier_run < run) {
        p->barrier_run = run;
        p->barrier_seen = 0;
    }
    p->left |= !p->match->salvages && rg_match_is_elsewhere(p);
}

void rg_match_begin_run(struct rg_match *m, int size)
{
    m->run++;
    m->run_size = m->rank < size ? size : 0;
    m->barrier = m->salvages ? SALVAGE : 0;
    m->updates = 0;
    m->between = true;
    for (int r = 0; r < m->size; r++)
        begin_pair(&m->pairs[r]);
}

/* ---- open and close ---- */

int rg_match_open(struct rg_match *m, int rank, int size, const struct rg_match_ops *ops,
                  void *world)
{
    *m = (struct rg_match){.rank = rank, .size = size, .ops = ops, .world = world};
    m->pairs = calloc((size_t)size, sizeof *m->pairs);
    unsigned char *staging = m->staging = malloc((size_t)size * RG_STAGING);
    for (int r = 0; m->pairs && r < size; r++) {
        m->pairs[r] = new_pair(m, r, staging ? staging + (size_t)r * RG_STAGING : NULL);
        m->pairs[r].unexpected_end = &m->pairs[r].unexpected;
    }
    if (m->pairs && staging && rg_match_open_memory(m) == 0)
        return 0;
    rg_match_close(m);
    return RG_ERR_NOMEM;
}

void rg_match_close(struct rg_match *m)
{
    for (int r = 0; m->pairs && r < m->size; r++) { /* some of their memory is the system's */
        drop_unexpected(&m->pairs[r]);
        rg_match_end_incoming(&m->pairs[r]);
    }
    rg_match_close_memory(m);
    free(m->staging);
    free(m->pairs);
    m->staging = NULL;
    m->pairs = NULL;
}
