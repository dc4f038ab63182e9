/* A ring as a plain discrete-event simulation; see heap_ring.c. */
#ifndef RG_BENCH_HEAP_RING_H
#define RG_BENCH_HEAP_RING_H

#include <stdbool.h>

struct heap_ring {
    int nodes;
    long rounds;
    double wire_s, latency_s; /* of a message: on the wire, then under way */
    /* A message begins when both ends have asked for it (as SimGrid's and MPI's large ones do);
     * else when the sender has, unless `window` messages are there that nobody has asked for. */
    bool rendezvous;
    int window;
    double (*compute_s)(const void *arg, int rank, long round);
    const void *arg;
};

/* Simulated seconds until the last node has finished. */
double heap_ring_run(const struct heap_ring *ring);

#endif
