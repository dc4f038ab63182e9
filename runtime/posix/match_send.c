/* What this rank sends: what may start, and the receiver's frames about it (see match.c).
 *
 * Failure modes handled: frames that contradict what was sent; a peer that has left. */
#include "posix/match_parts.h"

#include <string.h>

static void forget_expectation(struct rg_pair *p, int i)
{
    struct rg_expectation *e = &p->expected[i];
    memmove(e, e + 1, (size_t)(--p->expected_count - i) * sizeof *e);
}

int rg_match_send(struct rg_pair *p, struct rg_transfer *t)
{
    if (p->left)
        return rg_match_absence(p);
    bool used = false;
    for (int i = 0; i < p->expected_count; i++) {
        struct rg_expectation *e = &p->expected[i];
        if (e->tag != t->tag)
            continue;
        if (e->before > 0) {
            e->before--;
        } else if (!used) {
            used = true;
            t->cleared = t->bytes <= e->bytes; /* else by RTS */
            forget_expectation(p, i--);
        }
    }
    rg_match_list(&p->sends, t);
    if (!p->head)
        p->head = t;
    return 0;
}

bool rg_match_may_start(const struct rg_pair *p, const struct rg_transfer *t)
{
    if (t->cleared)
        return true;
    return p->tx_eager - p->tx_returned + t->bytes <= RG_EAGER_LIMIT &&
           p->tx_eager_count - p->tx_returned_count < RG_EAGER_COUNT;
}

void rg_match_started(struct rg_pair *p, struct rg_transfer *t)
{
    if (!t->rts)
        t->sequence = ++p->tx_sequence;
    t->begin = rg_match_now(p);
    t->eager = !t->cleared;
    if (t->eager) {
        p->tx_eager += t->bytes;
        p->tx_eager_count++;
    }
    if (!p->writing)
        p->writing = t;
    p->head = t->next;
}

void rg_match_end_send(struct rg_pair *p, struct rg_transfer *t, int outcome)
{
    rg_match_unlist(&p->sends, t);
    rg_match_done(t, outcome);
}

void rg_match_written(struct rg_pair *p, struct rg_transfer *t)
{
    p->writing = t->next == p->head ? NULL : t->next;
    if (t->doomed)
        rg_match_end_send(p, t, t->outcome);
}

void rg_match_broken_off(struct rg_pair *p, struct rg_transfer *t)
{
    if (t->begun) {
        p->tx_aborted = t->sequence;
        p->tx_aborted_run = p->match->run;
    }
    rg_match_written(p, t);
}

bool rg_match_cancel_send(struct rg_pair *p, struct rg_transfer *t)
{
    if (t->sequence && t != p->head)
        return false;
    if (t == p->head)
        p->head = t->next;
    rg_match_unlist(&p->sends, t);
    if (t->rts)
        p->tx_withdraw = t->sequence;
    rg_match_dirty(p);
    return true;
}

/* ---- frames ---- */

static const char not_sent[] = "an acknowledgement of what was not sent";

const char *rg_match_arrived(struct rg_pair *p, uint64_t sequence)
{
    if (sequence < p->tx_acked || sequence > p->tx_sequence)
        return not_sent;
    p->tx_acked = sequence;
    struct rg_transfer *t;
    while ((t = p->sends.first) != NULL && t->sequence && t->sequence <= sequence) {
        if (t == p->writing || t == p->head)
            return not_sent;
        t->end = rg_match_now(p);
        rg_match_end_send(p, t, 0);
    }
    return NULL;
}

const char *rg_match_on_ack(struct rg_pair *p, const struct rg_header *h)
{
    uint32_t waiting = p->tx_eager_count - p->tx_returned_count;
    if (h->length < p->tx_returned || h->length > p->tx_eager ||
        h->tag - p->tx_returned_count > waiting)
        return not_sent;
    p->tx_returned = h->length;
    p->tx_returned_count = h->tag;
    if (p->head)
        rg_match_dirty(p);
    return rg_match_arrived(p, h->sequence);
}

const char *rg_match_on_cts(struct rg_pair *p, const struct rg_header *h)
{
    if (h->sequence == 0 || h->sequence > p->tx_sequence)
        return "clear to send for what was not to be sent";
    struct rg_transfer *t = p->head;
    if (t && t->rts && t->sequence == h->sequence) {
        t->cleared = true;
        rg_match_dirty(p);
    }
    return NULL;
}

/* The receive goes with the (units + 1)th message of the tag after number `sequence`. */
const char *rg_match_on_expect(struct rg_pair *p, const struct rg_header *h)
{
    if (h->sequence > p->tx_sequence)
        return "it has seen messages that were not sent";
    uint32_t before = h->units;
    for (struct rg_transfer *t = p->sends.first; t; t = t->next) {
        if (t->tag != h->tag || (t->sequence && t->sequence <= h->sequence))
            continue;
        if (before-- == 0) {
            t->cleared |= t->bytes <= h->length; /* too late, if it has started */
            if (t == p->head)
                rg_match_dirty(p);
            return NULL;
        }
    }
    if (p->expected_count < RG_EXPECTATIONS) /* else the sender uses RTS */
        p->expected[p->expected_count++] = (struct rg_expectation){h->tag, before, h->length};
    return NULL;
}

/* Receives of the tag have been cancelled: of the permissions not used, the youngest go. */
const char *rg_match_on_retract(struct rg_pair *p, const struct rg_header *h)
{
    uint64_t left = h->length;
    for (int i = p->expected_count - 1; i >= 0 && left; i--) {
        if (p->expected[i].tag != h->tag)
            continue;
        forget_expectation(p, i);
        p->tx_retracted++;
        left--;
    }
    if (left < h->length)
        rg_match_dirty(p);
    return NULL;
}
