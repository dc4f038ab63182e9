#include "port_work.h"

#include "base/need.h"

#include "base/bytes.h"
#include <math.h>

/* A part of a byte is rounded up, but not what is due to rounding. */
double rg_sim_wire_bytes(const struct rg_board *board, size_t bytes)
{
    if (!board)
        return (double)(bytes + RG_MESSAGE_HEADER);
    return ceil(rg_board_wire_bytes(board, 1, bytes) * (1 - 1e-12));
}

void rg_port_use_note(struct rg_port_use *out, const struct rg_board *board, struct rg_port_use *in,
                      const struct rg_board *target, size_t bytes)
{
    double wire = rg_board_wire_bytes(board, 1, bytes);
    out->sending_s += wire / board->port_rate;
    in->receiving_s += wire / target->port_rate;
}

double rg_port_use_J(const struct rg_port_use *use, const struct rg_board *board)
{
    return board->port_tx_watts * use->sending_s + board->port_rx_watts * use->receiving_s;
}

struct rg_bucket *rg_buckets_new(const struct rg_board *const *boards, int size)
{
    bool any = false;
    for (int rank = 0; boards && rank < size; rank++)
        any = any || boards[rank]->port_burst > 0;
    if (!any)
        return NULL;
    struct rg_bucket *buckets = rg_need_zeroed(2 * (size_t)size, sizeof *buckets);
    for (int i = 0; i < 2 * size; i++)
        buckets[i] = (struct rg_bucket){.level = boards[i / 2]->port_burst, .asked = -1};
    return buckets;
}

static double fill(const struct rg_bucket *b, const struct rg_board *board, double now)
{
    double full = board->port_burst, passed = b->passed;
    return fmin(full, b->level + board->port_rate * (now - b->date) - passed);
}

double rg_bucket_whole(double credit)
{
    return floor(credit + 1e-3);
}

bool rg_bucket_is_contested(const struct rg_bucket *b, double now)
{
    return b->asked == now;
}

double rg_bucket_open(struct rg_bucket *b, const struct rg_board *board, double now)
{
    double credit = 0;
    b->asked = now;
    if (b->flows++ == 0) {
        b->level = credit = fmax(0, fill(b, board, now));
        b->date = now;
        b->passed = 0;
    }
    return credit;
}

void rg_bucket_close(struct rg_bucket *b, const struct rg_board *board, double bytes, double now)
{
    b->passed += bytes;
    if (--b->flows == 0) {
        b->level = fmax(0, fill(b, board, now));
        b->date = now;
        b->passed = 0;
    }
}
