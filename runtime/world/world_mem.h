/* The mem world, for tests: ranks are threads that pass a baton, so that exactly one runs at a
 * time, under a virtual clock and a scheduler that chooses by seed. Equal options give equal runs,
 * down to the order of every call; a failure replays from its seed. */
#ifndef RG_WORLD_MEM_H
#define RG_WORLD_MEM_H

#include "base/error.h"
#include "world/exchange.h"
#include "world/world.h"

/* Rank `rank` dies at its `operation`-th call of the world, counted from 1; 0: nobody does. */
struct rg_mem_death {
    int rank;
    long operation;
};
enum { RG_MEM_DEATHS = 2 };

/* Zero-initialise; what is not set is free of cost and trouble. */
struct rg_mem_world_options {
    int size;
    uint64_t seed; /* order of ranks that could run, and every random delay */
    /* Messages: each occupies its connection for message_s + bytes * byte_s, then travels latency_s
     * and up to jitter_s more. Connections of one node do not share its port. */
    double message_s, byte_s, latency_s, jitter_s;
    /* Computes take what `seconds` says, or flops / rate where it is NULL (no time at rate 0),
     * times up to 1 + compute_jitter. */
    double rate, compute_jitter;
    double (*seconds)(void *arg, int rank, const struct rg_work *work);
    void *seconds_arg;
    const struct rg_board *const *boards; /* [size], for handles; or NULL */
    struct rg_mem_death deaths[RG_MEM_DEATHS];
    /* The answer of rg_iteration; NULL: 0. It must be the same for one i on every rank. */
    int (*iteration)(void *arg, struct rg_world *w, int64_t i);
    void *iteration_arg;
    size_t stack_bytes;     /* of each strand; 0: 1 MiB */
    struct rg_error *error; /* says who waited for whom in a deadlock; or NULL */
    double *end_s;          /* the virtual date at which the last rank ended; or NULL */
    long *operations;       /* [size]: the calls of the world that each rank has made; or NULL */
};

/* Runs program(w, arg) on every rank; results[rank] is what it returned, or RG_DIED. The handle's
 * mem and trace are NULL until the program sets them; its strands inherit them. Returns 0;
 * RG_ERR_DEADLOCK when every strand waited for another (they all got that error from the call they
 * were in); RG_ERR_NOMEM. */
int rg_mem_world_run(const struct rg_mem_world_options *options, rg_program_fn program, void *arg,
                     int *results);

#endif
