/* Collectives on world.h. All members of a group call them in the same order. */
#ifndef RG_COLLECTIVES_H
#define RG_COLLECTIVES_H

#include "boards/board.h"
#include "world/twins.h"

/* Members are the ranks first, first + stride, ..., first + (count - 1) * stride. */
struct rg_group {
    int first, stride, count;
};

/* How numbers are summed. Beside alpha, the latency, and n numbers that a port takes n beta for,
 * with N members:
 *   ring: 2 (N - 1) alpha + 2 (N - 1) / N n beta (Patarasuk and Yuan 2009);
 *   tree: 2 log2 N (alpha + n beta), a binomial one to member 0 and back;
 *   halving: 2 log2 N alpha + 2 (N - 1) / N n beta (Thakur, Rabenseifner, Gropp 2005, 4.5); where N
 *     is no power of two, the members beyond the largest in it give their numbers to another first
 *     and get the sums from it last, for 2 (alpha + n beta) more;
 *   hierarchical: groups of `inner` neighbours; a ring in each, then one across for every chunk,
 * and back: 2 (inner - 1 + N / inner - 1) alpha + 2 (N - 1) / N n beta;
 *   doubling: log2 N (alpha + n beta) (the same paper, 4.2), members beyond a power of two as with
 * halving. Numbers leave from a copy. */
enum rg_algorithm_kind { RG_RING, RG_TREE, RG_HALVING, RG_HIERARCHICAL, RG_DOUBLING };
struct rg_algorithm {
    enum rg_algorithm_kind kind;
    int inner; /* RG_HIERARCHICAL: divides the members */
};
#define RG_ROUND_A_RING ((struct rg_algorithm){RG_RING, 0})

/* What additions of one size cost, of the two sizes that were asked for last: those of chunks are
 * no more. Zero-initialise; it may move between additions. */
struct rg_adder {
    struct rg_addition_cost {
        struct rg_cost cost; /* calls 0: none yet */
        struct rg_known_seconds known[RG_KNOWN_BOARDS];
    } last[2];
};

/* An all-reduce of up to `capacity` floats with what it needs, allocated once. */
struct rg_allreduce {
    struct rg_group group;
    struct rg_algorithm how;
    int me; /* index in the group */
    size_t capacity;
    uint32_t tag;
    float *incoming[2]; /* counted memory: the largest piece each that it adds */
    float *outgoing[2]; /* RG_DOUBLING: copies of what leaves, as large; else NULL */
    bool under_way;
    struct rg_world *w; /* of the last run, as what follows */
    float *data;
    size_t count;
    int first, end; /* steps of it */
    int last_to;    /* the member that it has sent to last */
    int turn;       /* step t has the requests and buffers (turn + t) mod 2 */
    int next;       /* those of the next run's first step */
    bool copied;    /* what it has sent last has left from a copy */
    struct rg_adder adder;
    struct rg_twins *twins; /* NULL: members share nothing */
    int64_t runs;
    struct rg_request in[2], out[2];
};

/* Bytes that rg_allreduce_open takes from counted memory on that member. */
uint64_t rg_allreduce_memory(struct rg_algorithm how, int members, int me, size_t capacity);
int rg_allreduce_open(struct rg_allreduce *reduce, struct rg_world *w, struct rg_group group,
                      struct rg_algorithm how, size_t capacity, uint32_t tag);

/* data [count] becomes the sum over the group, the same bits on all members, whatever the timing.
 * The order of additions is the algorithm's:
 *   ring: chunk c of n in the order of members c, c + 1, ..., c + n - 1 (mod n);
 *   tree: neighbours, then neighbouring pairs, then fours: ((0 + 1) + (2 + 3)) + ...;
 *   halving, doubling: as the tree, but 2 i and 2 i + 1 first only where one of them is beyond the
 *     largest power of two; the same bits as the tree for n of 1, 2, 3 and powers of two;
 *   hierarchical: a chunk of its group as in a ring, then groups as in a ring; in one group, or
 * with groups of one, the bits of the ring. Any of two members gives the same bits. Reentrant for
 * distinct objects.
 *
 * After it data may be read; before anything is written to it or the object is given up,
 * rg_allreduce_settle waits until what this member has passed on last has arrived. Another run may
 * follow without. */
int rg_allreduce_run(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count);
int rg_allreduce_settle(struct rg_allreduce *reduce);

/* Before the first run, of a ring: its members are these twins, in order, and `data` is always
 * somewhere in what each of them lends. Then each sum is worked out once, to the same bits, and
 * only the first of them has it: rg_allreduce_sum says where the sum is that would be in data. */
void rg_allreduce_share(struct rg_allreduce *reduce, struct rg_twins *twins);
float *rg_allreduce_sum(const struct rg_allreduce *reduce, float *data);

/* Optional, before rg_allreduce_run with the same arguments, while data is still being computed:
 * post the first receives, so that a neighbour that is ahead never finds none. Nothing arrives in
 * data before this member's own part of it has been sent. rg_allreduce_cancel takes it back. */
int rg_allreduce_prepare(struct rg_allreduce *reduce, struct rg_world *w, float *data,
                         size_t count);
void rg_allreduce_cancel(struct rg_allreduce *reduce);

/* to[i] += from[i], as a computation of this node (from NULL: its time alone); and its modelled
 * seconds. */
int rg_add(struct rg_world *w, struct rg_adder *adder, float *to, const float *from, size_t count,
           int unit);
double rg_add_s(const struct rg_board *board, int threads, size_t count);
/* Of the copy of that many floats. */
double rg_copy_s(const struct rg_board *board, int threads, size_t count);

/* The two halves of it round a ring: after rg_reduce_scatter_run this member has the sums of its
 * own chunk, in the same order of additions, and what is no use to anyone in the others; after
 * rg_all_gather_run it has everyone's own chunk as they had it. The other chunks of data may be
 * written from the moment rg_all_gather_run begins (somebody may be ahead). Otherwise as
 * rg_allreduce_run, also with what prepare and settle do. */
struct rg_piece {
    size_t first, count;
};
struct rg_piece rg_own_chunk(int members, int me, size_t count);
int rg_reduce_scatter_prepare(struct rg_allreduce *reduce, struct rg_world *w, float *data,
                              size_t count);
int rg_reduce_scatter_run(struct rg_allreduce *reduce, struct rg_world *w, float *data,
                          size_t count);
int rg_all_gather_run(struct rg_allreduce *reduce, struct rg_world *w, float *data, size_t count);
double rg_reduce_scatter_seconds(const struct rg_board *const *boards, int stride, int threads,
                                 int members, size_t count);
double rg_all_gather_seconds(const struct rg_board *const *boards, int stride, int threads,
                             int members, size_t count);

/* Closed forms for one run: its time on the boards of the members (boards[0], boards[stride], ...;
 * the slowest hop and addition of every step set the pace), the additions of member `me` in it, and
 * what all members send together (added to *messages and *values). */
double rg_allreduce_seconds(struct rg_algorithm how, const struct rg_board *const *boards,
                            int stride, int threads, int members, size_t count);
double rg_allreduce_adds_s(struct rg_algorithm how, const struct rg_board *board, int threads,
                           int members, int me, size_t count);
void rg_allreduce_traffic(struct rg_algorithm how, int members, size_t count, uint64_t *messages,
                          uint64_t *values);
/* What member `me` sends and receives, added to both. */
void rg_allreduce_loads(struct rg_algorithm how, int members, int me, size_t count,
                        struct rg_load *sent, struct rg_load *received);
/* The same as rg_allreduce_traffic, pair by pair. */
void rg_allreduce_flows(struct rg_algorithm how, struct rg_group group, size_t count,
                        rg_traffic_fn flow, void *arg);

/* bytes of `data` on member `root` (an index) to all others: binomial tree. */
int rg_broadcast(struct rg_world *w, struct rg_group group, int root, void *data, size_t bytes,
                 uint32_t tag);

#endif
