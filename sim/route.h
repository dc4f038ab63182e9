/* The links between two hosts, by whichever call this version of SimGrid has for it. */
#ifndef RG_SIM_ROUTE_H
#define RG_SIM_ROUTE_H

#include <simgrid/host.h>
#include <simgrid/link.h>
#include <stddef.h>

/* In the order in which a message takes them; `*links` is the caller's to free, NULL for none. */
size_t rg_route_links(sg_host_t from, sg_host_t to, sg_link_t **links);

/* The first of them, or the last; NULL: there are none. */
sg_link_t rg_route_first(sg_host_t from, sg_host_t to);
sg_link_t rg_route_last(sg_host_t from, sg_host_t to);

#endif
