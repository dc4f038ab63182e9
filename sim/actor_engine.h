/* SimGrid's engine: every strand is an actor of SimGrid's on its node's host. */
#ifndef RG_SIM_ACTOR_ENGINE_H
#define RG_SIM_ACTOR_ENGINE_H

#include "strands/sim_strands.h"
#include <simgrid/host.h>

/* As rg_sim_run, once the platform is loaded and checked. hosts: [size]. Speeds change by SimGrid's
 * doing, other profiles by its own. */
int rg_actor_engine_run(const struct rg_sim_options *options, const sg_host_t *hosts,
                        struct rg_sim_profiles *profiles, rg_program_fn program, void *arg,
                        int *results, struct rg_error *error);

#endif
