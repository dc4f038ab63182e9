/* An all-reduce round a ring whose messages are coded. */
#ifndef RG_CODED_RING_H
#define RG_CODED_RING_H

#include "collectives/codec.h"
#include "collectives/collectives.h"

enum { RG_CODED_IN = 4, RG_CODED_OUT = 2 };

/* With what it needs, allocated once, for up to `capacity` numbers. */
struct rg_coded_ring {
    struct rg_group group;
    struct rg_codec codec;
    int me; /* index in the group */
    size_t capacity;
    uint32_t tag;
    void *in[RG_CODED_IN], *out[RG_CODED_OUT]; /* counted memory: a coded chunk each */
    struct rg_request received[RG_CODED_IN], sent[RG_CODED_OUT];
    struct rg_world *w; /* of the last run, as the next */
    size_t count;
    bool under_way;
};

uint64_t rg_coded_ring_memory(struct rg_codec codec, int members, size_t capacity);
int rg_coded_ring_open(struct rg_coded_ring *ring, struct rg_world *w, struct rg_group group,
                       struct rg_codec codec, size_t capacity, uint32_t tag);

/* data [count] becomes the sum over the group as it was said, the same bits on all members,
 * whatever the timing. Chunks, steps and the order of additions are those of the ring
 * (collectives.h). Every member says each number once in an all-reduce, be it a sum so far or the
 * whole, and leaves the error in its rest [count]: what comes out, and the rests of all members,
 * grow by what went in. dice: of the run, the same on all members. Data may be written as soon as
 * it returns. */
int rg_coded_ring_run(struct rg_coded_ring *ring, struct rg_world *w, float *data, size_t count,
                      float *rest, uint64_t dice);
/* As those of rg_allreduce. */
int rg_coded_ring_prepare(struct rg_coded_ring *ring, struct rg_world *w, size_t count);
int rg_coded_ring_settle(struct rg_coded_ring *ring);
void rg_coded_ring_cancel(struct rg_coded_ring *ring);

/* Closed forms for one run: its time, a member's computing, and what all send together. */
double rg_coded_ring_seconds(struct rg_codec codec, const struct rg_board *const *boards,
                             int stride, int threads, int members, size_t count);
double rg_coded_ring_compute_s(struct rg_codec codec, const struct rg_board *board, int threads,
                               int members, int me, size_t count);
void rg_coded_ring_flows(struct rg_codec codec, struct rg_group group, size_t count,
                         rg_traffic_fn flow, void *arg);
/* The numbers among that. */
uint64_t rg_coded_ring_numbers(struct rg_codec codec, int members, size_t count);

#endif
