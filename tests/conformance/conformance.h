/* One suite for every world. A world gives a launcher; the suite is stamped on it. */
#ifndef RG_TESTS_CONFORMANCE_H
#define RG_TESTS_CONFORMANCE_H

#include "world/world.h"

#define RG_TEST_DIED 1000000 /* result of a rank that called ops->die */

/* Runs `program` once on each of `size` ranks (a process, thread or actor each; arg is read-only
 * and the same for all) and fills results[rank] with what it returned: 0, an RG_ERR_* code, the
 * line of a failed check, or RG_TEST_DIED. Returns 0, RG_ERR_DEADLOCK, or RG_ERR_INTERNAL where the
 * world itself broke (a crash, a hang past `timeout_s` of wall time). `seed` varies what the world
 * leaves open (order, delays), where it can. */
struct rg_launcher {
    const char *world;
    int (*run)(const struct rg_launcher *launcher, int size, rg_program_fn program, void *arg,
               uint64_t seed, double timeout_s, int *results);
    /* What a message of `bytes` takes and a compute of `flops`, in this world's seconds, roughly:
     * cases that test overlap size their work by these. */
    double (*transfer_s)(size_t bytes);
    double rate; /* FLOP/s that a work list made by rg_work_vector(w, flops, 0) proceeds at */
    /* Time is virtual: it passes only as the program says. Deadlocks are found, and a piece of work
     * need not really take the time it stands for. */
    bool is_virtual;
    int seeds; /* runs of each case, with seeds 1, 2, ...; 0: one */
};

/* Runs every case; returns the exit status of main. Arguments: part of a case's name to run only
 * those that have it, and --seeds=N. */
int rg_conformance_main(const struct rg_launcher *launcher, int argc, char **argv);

#endif
