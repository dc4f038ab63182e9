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
};

/* hosts: [size], by rank; they outlive it. Takes the data of SimGrid's links for itself. */
void rg_sim_links_open(struct rg_sim_links *l, const sg_host_t *hosts, int size);
void rg_sim_links_close(struct rg_sim_links *l);

#endif
