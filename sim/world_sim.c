/* Happy path: SimGrid loads the platform and finds the hosts of the ranks; the engine that is asked
 * for, or fits, lets the programs run.
 *
 * Failure modes handled: a platform with too few hosts, or ports that queues are not for. */
#include "world_sim.h"

#include "actor_engine.h"
#include "base/need.h"
#include "calendar/calendar_engine.h"
#include "engine.h"
#include "links.h"
#include "ports.h"
#include "profiled.h"

#include "base/check.h"
#include <stdlib.h>

enum rg_sim_engine rg_sim_engine_of(const struct rg_sim_options *options)
{
    if (options->engine != RG_SIM_AUTO)
        return options->engine;
    return options->size > RG_SIM_REFERENCE ? RG_SIM_CALENDAR : RG_SIM_SIMGRID;
}

const char *rg_sim_engine_name(enum rg_sim_engine engine)
{
    static const char *const names[RG_SIM_ENGINES] = {"auto", "simgrid", "calendar"};
    return names[engine];
}

static int run_calendar(const struct rg_sim_options *options, const sg_host_t *hosts,
                        struct rg_sim_profiles *profiles, rg_program_fn program, void *arg,
                        int *results, struct rg_error *error)
{
    struct rg_sim_links links;
    rg_sim_links_open(&links, hosts, options->size, options->star);
    links.platform.profiles = profiles;
    int result = rg_calendar_engine_run(options, &links.platform, program, arg, results, error);
    rg_sim_links_close(&links);
    return result;
}

int rg_sim_run(const struct rg_sim_options *options, rg_program_fn program, void *arg, int *results,
               struct rg_error *error)
{
    bool calendar = rg_sim_engine_of(options) == RG_SIM_CALENDAR;
    RG_ASSERT(options->size > 0);
    rg_engine_start(options->platform, options->link_rate > 0 ? options->link_rate : 1,
                    !calendar && rg_sim_has_watts(options));
    sg_host_t *hosts = rg_need_zeroed((size_t)options->size, sizeof(sg_host_t));
    int result = rg_engine_hosts(options->platform, options->hosts, options->boards, options->size,
                                 hosts, error);
    if (result == 0)
        result = rg_sim_ports_check(hosts, options->boards, options->size, error);
    struct rg_sim_profiles profiles;
    rg_sim_profiles_open(&profiles, options->profiles);
    if (result == 0) {
        rg_sim_profiles_find(&profiles, hosts, options->size);
        result = (calendar ? run_calendar : rg_actor_engine_run)(options, hosts, &profiles, program,
                                                                 arg, results, error);
    }
    rg_sim_profiles_close(&profiles);
    free(hosts);
    return result;
}
