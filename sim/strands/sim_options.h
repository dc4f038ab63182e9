/* What a simulation is asked to do, whichever engine runs it. */
#ifndef RG_SIM_OPTIONS_H
#define RG_SIM_OPTIONS_H

#include "crowd.h"
#include "scenario/faults.h"
#include "scenario/profile.h"
#include "world/world.h"

enum rg_sim_engine { RG_SIM_AUTO, RG_SIM_SIMGRID, RG_SIM_CALENDAR, RG_SIM_ENGINES };

/* Where an order that is nobody's decided, or nearly so. */
struct rg_sim_ties {
    uint64_t same; /* messages that asked for the burst of a port at a date at which another did */
    uint64_t near; /* a node went on so close after it had that other rounding could have swapped
                    * the two */
    struct rg_crowd_met crowded;
};

/* Zero-initialise. */
struct rg_sim_options {
    enum rg_sim_engine engine;
    const char *platform;               /* file, SimGrid 4.1 XML */
    bool star;                          /* see rg_platform_is_star; false where it is not known */
    double link_rate;                   /* bandwidth of every link, times the platform's; 0 is 1 */
    const struct rg_profiles *profiles; /* of the platform, or NULL: of what SimGrid loads those of
                                         * speeds alone are part, in its engine */
    int size;                           /* ranks; at most the hosts of the platform */
    /* [size] host of each rank, as the platform file names it. NULL: hosts in natural order of
     * their names (node-2 before node-10), which for one cluster is the document's order. */
    char *const *hosts;
    /* [size] of each rank. NULL: a message has no framing, a computation takes its FLOP at the
     * host's speed. */
    const struct rg_board *const *boards;
    int threads;        /* cores of a computation; 0 is 1 */
    size_t stack_bytes; /* of a strand; 0: 24 KiB, 64 the first of rank 0 */
    /* The answer of rg_iteration; NULL: 0. It must be the same for one i on every rank. */
    int (*iteration)(void *arg, struct rg_world *w, int64_t i);
    void *iteration_arg;
    const struct rg_faults *faults; /* or NULL; see faults.h */
    uint64_t seed;                  /* of their jitter */
    /* [size] when each rank loses its power, INFINITY: never; NULL: none does. Seconds since the
     * training clock started, pauses too; of an attempt after others (since_s > 0) seconds since
     * these began, this simulation being begun at since_s. The others notice after noticed_s. */
    const double *off_s;
    double since_s, noticed_s;
    double uneven;            /* part by which the last rank computes longer, the others by
                               * theirs of it, and by shares of which the calendar's
                               * messages are: what is alike, or all longer by one factor, is
                               * so no more */
    double *drawn_J;          /* [size] joules of each node until its program ended, or its power
                               * was off; NAN: not all boards have watts. NULL: not wanted */
    double *end_s;            /* simulated date of the end; or NULL */
    struct rg_sim_ties *ties; /* counted; or NULL. SimGrid's engine does not count `same` */
};

#endif
