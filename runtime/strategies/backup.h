/* Copies that the nodes of a ring keep for each other (backup of ring_pipeline): of each state that
 * is copied, every node keeps its own part and that of the node before it, which sends it a piece
 * an iteration. Whoever is lost, the node behind it has what it had.
 *
 * Such a state is that of all stages after one and the same update, so that training can go on from
 * it. It takes a schedule that drains at every update: there a node that has ended iteration t
 * knows that all others have done the forward passes of t, and have ended t - 1. A state is whole
 * on a node when its last piece has come, which the node waits for at the end of that piece's
 * iteration; the state before it is kept until it must be whole on all nodes. */
#ifndef RG_STRATEGIES_BACKUP_H
#define RG_STRATEGIES_BACKUP_H

#include "strategies/replica.h"

struct rg_ring;

struct rg_backup {
    int most;   /* iterations that are done again after a loss, at most; 0: there are no copies */
    int every;  /* updates from one state that is copied to the next */
    int pieces; /* that it goes in, in the first iterations after it; at most `every` */
    int kept; /* states that a node has at once: one on its way, those it may have to go back to */
};

/* most >= 1. The state of update v is whole on a node that has ended v + pieces iterations; the
 * next one is `every` later, when every + pieces - 1 = most would have to be done again. Others may
 * be behind a node that begins to overwrite by two: so with two pieces less than `every` two states
 * are enough, whoever is lost, if it is not a node and the one behind it. */
struct rg_backup rg_backup_of(int most);
/* By what part copies that hide may make an iteration longer. */
#define RG_BACKUP_HIDDEN 0.03
/* Are pieces so small that smaller ones would be no faster? */
bool rg_backup_is_small(const struct rg_ring *ring);

/* Floats of a piece, and those before it. */
struct rg_shard rg_backup_piece(const struct rg_ring *ring, int node, int piece);

/* ---- a node's part ---- */

struct rg_pipeline;

/* States [kept], by their number, modulo that. */
struct rg_backup_state {
    float *own, *copy;
    int64_t own_done, copy_done; /* the update that they are of, once they are whole; else -1 */
    int come;                    /* pieces of the copy */
};

struct rg_backup_node {
    struct rg_backup_state *states;
    struct rg_work work;
    int64_t begun;           /* iterations that had been done when its first state was copied; -1 */
    struct rg_request out;   /* the last piece that was sent */
    struct rg_request in[2]; /* of an iteration, modulo 2 */
};

/* Where the ring has no backup they do nothing. The functions return 0 or an error of the world. */
int rg_backup_open(struct rg_pipeline *p);
void rg_backup_close(struct rg_pipeline *p);
/* Before iteration `first` of a section that ends before `end`. */
int rg_backup_begin(struct rg_pipeline *p, int64_t first, int64_t end);
/* The node has done the last forward pass of an iteration: the piece before has left, a piece is
 * sent, and the receive of the next iteration's posted, if it is before `end`. */
int rg_backup_send(struct rg_pipeline *p, int64_t iteration, int64_t end);
/* The piece of this iteration has come, and its update is done: perhaps its state is to be copied.
 */
int rg_backup_end(struct rg_pipeline *p, int64_t iteration);
/* What has been sent has arrived. */
int rg_backup_finish(struct rg_pipeline *p);
void rg_backup_cancel(struct rg_pipeline *p);
/* The request of the piece that comes in this iteration; NULL: none does. */
struct rg_request *rg_backup_in(struct rg_pipeline *p, int64_t iteration);
struct rg_request *rg_backup_out(struct rg_pipeline *p); /* NULL: there is no backup */
/* As struct rg_strategy's `copies`. */
int rg_backup_visit(void *pipeline, rg_copy_fn visit, void *arg);

#endif
