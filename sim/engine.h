/* SimGrid's engine; see engine.c. */
#ifndef RG_SIM_ENGINE_H
#define RG_SIM_ENGINE_H

#include "base/error.h"
#include "boards/board.h"
#include <simgrid/host.h>
#include <stdbool.h>

/* Starts SimGrid with every option that changes results pinned, and loads the platform, its links
 * at `link_rate` times their bandwidth; `energy`: with SimGrid's account of its hosts' joules. Once
 * a process; ends it where SimGrid rejects the file. */
void rg_engine_start(const char *platform, double link_rate, bool energy);

/* Loads the platform for all processes that are forked off from here on: their rg_engine_start only
 * sets the rate of the links, whatever platform it names. energy: as one of them wants it. */
void rg_engine_preload(const char *platform, bool energy);

/* The hosts of so many ranks into hosts[ranks], at their boards' clocks. names ([ranks], or NULL):
 * as the platform calls them, else natural order of its hosts' names; boards: [ranks], or NULL.
 * RG_ERR_INVALID where there are too few, or one is unknown. */
int rg_engine_hosts(const char *platform, char *const *names, const struct rg_board *const *boards,
                    int ranks, sg_host_t *hosts, struct rg_error *e);

/* Does this version of SimGrid load clusters of other topologies than FLAT? As packaged, 4.0 ends
 * with a segmentation fault. */
bool rg_engine_has_topologies(void);

#endif
