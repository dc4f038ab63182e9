/* Who sends what to whom in a step of an all-reduce. */
#ifndef RG_COLLECTIVES_REDUCE_STEPS_PARTS_H
#define RG_COLLECTIVES_REDUCE_STEPS_PARTS_H

#include "collectives/collectives.h"

/* What a member (an index) does in a step: sends a piece as it stands at the step's beginning, and
 * adds what it receives to its own, or puts it in its place. */
struct rg_reduce_step {
    int to, from; /* members; -1: none */
    struct rg_piece out, in;
    bool add;
    bool copied; /* it adds to what it sends, which therefore leaves from a copy */
};

/* Steps of every member, some of them idle. */
int rg_reduce_steps(struct rg_algorithm how, int members);
struct rg_reduce_step rg_reduce_step(struct rg_algorithm how, int members, int me, size_t count,
                                     int step);
/* Those among which pieces are halved, or doubled: a power of two. Of the others, each is paired
 * with one of them, 2 i with 2 i + 1, which takes its numbers first and gives it the sums last. */
int rg_reduce_core(int members);
/* Do numbers leave from copies? Then there are as many of these as rooms for what comes. */
bool rg_reduce_copies_out(struct rg_algorithm how);
/* The largest piece that member adds to its own. */
size_t rg_reduce_largest(struct rg_algorithm how, int members, int me, size_t count);

/* The slowest hop of so many bytes from a member to the next in a ring of them, all at once, each
 * port in both directions; those on a shared medium have it one after the other. boards: those of
 * the members are `stride` apart. */
double rg_ring_hop_s(const struct rg_board *const *boards, int stride, int members, uint64_t bytes);

/* Chunk c of a piece in n: sizes differ by at most one, larger ones first. */
struct rg_piece rg_chunk(struct rg_piece whole, int n, int c);

#endif
