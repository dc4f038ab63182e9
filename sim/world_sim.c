/* Happy path: SimGrid loads the platform and finds the hosts of the ranks; the engine that is asked
 * for, or fits, lets the programs run.
 *
 * Failure modes handled: a platform with too few hosts, or ports that queues are not for. */
#include "world_sim.h"

#include "actor_engine.h"
#include "engine.h"
#include "ports.h"
#include "strands/sim_memory.h"

#include "base/check.h"
#include <stdlib.h>

int rg_sim_run(const struct rg_sim_options *options, rg_program_fn program, void *arg, int *results,
               struct rg_error *error)
{
    RG_ASSERT(options->size > 0);
    rg_engine_start(options->platform, options->link_rate > 0 ? options->link_rate : 1,
                    rg_sim_has_watts(options));
    sg_host_t *hosts = rg_sim_take((size_t)options->size, sizeof(sg_host_t));
    int result = rg_engine_hosts(options->platform, options->hosts, options->boards, options->size,
                                 hosts, error);
    if (result == 0)
        result = rg_sim_ports_check(hosts, options->boards, options->size, error);
    if (result == 0)
        result = rg_actor_engine_run(options, hosts, program, arg, results, error);
    free(hosts);
    return result;
}
