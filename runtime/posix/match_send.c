/* What this rank sends: what may start, and the receiver's frames about it (see match.c).
 *
 * Failure modes handled: frames that contradict what was sent; a peer that has left. */
#include "posix/match_parts.h"

#include "base/clock.h"
#include <string.h>

static void forget_expectation(struct rg_peer *p, int i)
{
    struct rg_expectation *e = &p->expected[i];
    memmove(e, e + 1, (size_t)(--p->expected_count - i) * sizeof *e);
}

int rg_match_send(struct rg_peer *p, struct rg_op *op)
{
    if (p->left)
        return rg_match_absence(p);
    bool used = false;
    for (int i = 0; i < p->expected_count; i++) {
        struct rg_expectation *e = &p->expected[i];
        if (e->tag != op->tag)
            continue;
        if (e->before > 0) {
            e->before--;
        } else if (!used) {
            used = true;
            op->granted = op->bytes <= e->bytes; /* else it will ask */
            forget_expectation(p, i--);
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
    op->begin = rg_clock_s();
    op->granted_at_start = op->granted;
    if (!op->granted) {
        p->tx_unasked += op->bytes;
        p->tx_unasked_count++;
    }
    if (!p->writing)
        p->writing = op;
    p->head = op->next;
}

void rg_match_end_send(struct rg_peer *p, struct rg_op *op, int outcome)
{
    rg_match_unlist(&p->sends, op);
    rg_match_done(op, outcome);
}

void rg_match_written(struct rg_peer *p, struct rg_op *op)
{
    p->writing = op->next == p->head ? NULL : op->next;
    if (op->doomed)
        rg_match_end_send(p, op, op->outcome);
}

void rg_match_broken_off(struct rg_peer *p, struct rg_op *op)
{
    if (op->begun) {
        p->tx_aborted = op->sequence;
        p->tx_aborted_run = p->mesh->run;
    }
    rg_match_written(p, op);
}

const char *rg_match_on_ack(struct rg_peer *p, const struct rg_header *h)
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
        op->end = rg_clock_s();
        rg_match_end_send(p, op, 0);
    }
    if (p->head)
        rg_link_dirty(p);
    return NULL;
}

const char *rg_match_on_grant(struct rg_peer *p, const struct rg_header *h)
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
const char *rg_match_on_expect(struct rg_peer *p, const struct rg_header *h)
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

/* Receives of the tag have been cancelled: of the permissions not used, the youngest go. */
const char *rg_match_on_retract(struct rg_peer *p, const struct rg_header *h)
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
        rg_link_dirty(p);
    return NULL;
}
