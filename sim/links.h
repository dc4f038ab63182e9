/* A platform that SimGrid has loaded, as the calendar engine wants it. */
#ifndef RG_SIM_LINKS_H
#define RG_SIM_LINKS_H

#include "calendar/calendar_platform.h"
#include <simgrid/host.h>

struct rg_sim_links {
    struct rg_calendar_platform platform;
    struct rg_calendar_link *links;
    struct rg_calendar_node *nodes;
    const sg_host_t *hosts;
    /* Of a star, so that SimGrid need not be asked for every pair: by rank the links out, and those
     * in. NULL: it is asked. */
    int *out, *in; /* [size x out_count], [size x in_count] */
    size_t out_count, in_count;
    int *route; /* [room] the last that was asked for */
    size_t room;
};

/* hosts: [size], by rank; they outlive it. Takes the data of SimGrid's links for itself. star: see
 * struct rg_sim_options. */
void rg_sim_links_open(struct rg_sim_links *l, const sg_host_t *hosts, int size, bool star);
void rg_sim_links_close(struct rg_sim_links *l);

#endif
