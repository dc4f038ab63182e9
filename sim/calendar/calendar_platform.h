/* What the calendar engine is told of a platform: plain numbers, whoever has read it. */
#ifndef RG_CALENDAR_PLATFORM_H
#define RG_CALENDAR_PLATFORM_H

#include "sim/strands/profiles.h"
#include <stdbool.h>
#include <stddef.h>

struct rg_calendar_link {
    double bandwidth; /* bytes/s */
    double latency;   /* s */
    bool each;        /* every flow may have all of it */
};

struct rg_calendar_node {
    double speed; /* FLOP/s of a core */
    int cores;
};

struct rg_calendar_platform {
    const struct rg_calendar_link *links; /* [link_count] */
    size_t link_count;
    const struct rg_calendar_node *nodes; /* by rank */
    struct rg_sim_profiles *profiles;     /* of links and ranks numbered as here */
    /* The links that a message from one rank takes to another, in its order, as places in `links`:
     * how many; *route is borrowed until the next is asked for. */
    size_t (*route)(void *arg, int source, int target, const int **route);
    void *arg;
};

#endif
