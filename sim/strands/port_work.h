/* What a message asks of the ports at its two ends: bytes on the wire, tokens where a port has a
 * burst (rg_port_burst), and the joules that ports draw for it. */
#ifndef RG_SIM_PORT_WORK_H
#define RG_SIM_PORT_WORK_H

#include "boards/board.h"
#include <stdbool.h>

/* Whole bytes on the wire of a message of so many (payload); board: the sender's, or NULL. */
double rg_sim_wire_bytes(const struct rg_board *board, size_t bytes);

/* How long a node's port would have been busy had it always run at full rate. */
struct rg_port_use {
    double sending_s, receiving_s;
};

/* A message of so many bytes (payload) has passed: whatever share of the links it had, a port works
 * as long as its bytes take at full rate. */
void rg_port_use_note(struct rg_port_use *out, const struct rg_board *board, struct rg_port_use *in,
                      const struct rg_board *target, size_t bytes);
double rg_port_use_J(const struct rg_port_use *use, const struct rg_board *board);

/* One direction of a port behind a token bucket: what it may pass at once. */
struct rg_bucket {
    double level, date; /* bytes at that date, when it last fell idle or began to work */
    double passed;      /* bytes since, in a busy time */
    int flows;
    double asked; /* date of the last that opened it */
};

/* [2 * size], full: up and down of every rank's port; NULL where no board (NULL: none) has a burst.
 * The caller frees them. */
struct rg_bucket *rg_buckets_new(const struct rg_board *const *boards, int size);
/* A message begins now: bytes that the bucket lets pass at once, of which only whole ones do
 * (rg_bucket_whole). None while others are on the port: they use up what flows in. */
double rg_bucket_open(struct rg_bucket *b, const struct rg_board *board, double now);
/* Of so many the whole bytes, whatever rounding has taken off. */
double rg_bucket_whole(double credit);
/* Has another opened it at this very date? Then the order of the two decides what each may pass. */
bool rg_bucket_is_contested(const struct rg_bucket *b, double now);
void rg_bucket_close(struct rg_bucket *b, const struct rg_board *board, double bytes, double now);

#endif
