/* Collectives on world.h. All members of a group call them in the same order. */
#ifndef RG_COLLECTIVES_H
#define RG_COLLECTIVES_H

#include "boards/board.h"
#include "world/world.h"

/* Members are the ranks first, first + stride, ..., first + (count - 1) * stride. */
struct rg_group {
    int first, stride, count;
};

/* A ring all-reduce of up to `capacity` floats with what it needs, allocated once. */
struct rg_allreduce {
    struct rg_group group;
    int me; /* index in the group */
    size_t capacity;
    uint32_t tag;
    float *incoming[2]; /* counted memory: a chunk each */
    bool under_way;
    struct rg_world *w; /* of the last run, as what follows */
    float *data;
    size_t count;
    struct rg_request in[2], out[2];
};

/* Bytes that rg_allreduce_open takes from counted memory. */
uint64_t rg_allreduce_memory(int members, size_t capacity);
int rg_allreduce_open(struct rg_allreduce *reduce, struct rg_world *w, struct rg_group group,
                      size_t capacity, uint32_t tag);

/* data [count] becomes the sum over the group. Reduce-scatter, then all-gather round the ring
 * (Patarasuk and Yuan 2009): 2 (n - 1) messages of count / n floats a member. Chunk c is summed in
 * the order of members c, c + 1, ..., c + n - 1 (mod n), so that all get the same bits, whatever
 * the timing. Reentrant for distinct objects.
 *
 * After it data may be read; before anything is written to it or the object is given up,
 * rg_allreduce_settle waits until what this member has passed on last has arrived. Another run may
 * follow without. */
int rg_allreduce_run(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count);
int rg_allreduce_settle(struct rg_allreduce *reduce);

/* Optional, before rg_allreduce_run with the same arguments, while data is still being computed:
 * post the first receives, so that a neighbour that is ahead never finds none. Nothing arrives in
 * data before this member's own part of it has been sent. rg_allreduce_cancel takes it back. */
int rg_allreduce_prepare(struct rg_allreduce *reduce, struct rg_world *w, float *data,
                         size_t count);
void rg_allreduce_cancel(struct rg_allreduce *reduce);

/* to[i] += from[i], as a computation of this node; and its modelled seconds. */
int rg_add(struct rg_world *w, float *to, const float *from, size_t count, int unit);
double rg_add_s(const struct rg_board *board, int threads, size_t count);

/* Closed forms for one run: its time on the boards of the members (boards[0], boards[stride], ...;
 * the slowest hop and the slowest additions set the pace), the additions of member `me` in it, and
 * what all members send together (added to *messages and *values). */
double rg_allreduce_seconds(const struct rg_board *const *boards, int stride, int threads,
                            int members, size_t count);
double rg_allreduce_adds_s(const struct rg_board *board, int threads, int members, int me,
                           size_t count);
void rg_allreduce_traffic(int members, size_t count, uint64_t *messages, uint64_t *values);
/* The same, member by member. */
void rg_allreduce_flows(struct rg_group group, size_t count, rg_traffic_fn flow, void *arg);

/* bytes of `data` on member `root` (an index) to all others: binomial tree. */
int rg_broadcast(struct rg_world *w, struct rg_group group, int root, void *data, size_t bytes,
                 uint32_t tag);

#endif
