/* Whose profiles are: the hosts and links that SimGrid has loaded by the names of a platform. */
#ifndef RG_SIM_PROFILED_H
#define RG_SIM_PROFILED_H

#include "strands/profiles.h"
#include <simgrid/host.h>

/* Links are numbered as in SimGrid's list of them. hosts: [size], by rank. */
void rg_sim_profiles_find(struct rg_sim_profiles *all, const sg_host_t *hosts, int size);

#endif
