/* SimGrid's engine: its options and its start. */
#include "engine.h"

#include "base/need.h"
#include "ports.h"

#include "base/check.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <simgrid/actor.h>
#include <simgrid/config.h>
#include <simgrid/engine.h>
#include <simgrid/forward.h>
#include <simgrid/host.h>
#include <simgrid/link.h>
#include <simgrid/plugins/energy.h>
#include <simgrid/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xbt/config.h>

/* Every option of SimGrid's that changes results, but for the two in rg_engine_start. What is set
 * here and there wins over the platform file. */
static void pin_options(void)
{
    sg_cfg_set_string("network/model", "CM02");
    sg_cfg_set_string("cpu/model", "Cas01");
    sg_cfg_set_string("host/model", "default");
    sg_cfg_set_string("network/optim", "Lazy");
    sg_cfg_set_string("cpu/optim", "Lazy");
    sg_cfg_set_string("network/solver", "maxmin");
    sg_cfg_set_string("cpu/solver", "maxmin");
    sg_cfg_set_double("network/weight-S", 0);
    sg_cfg_set_double("network/TCP-gamma", 0);
    sg_cfg_set_boolean("network/crosstraffic", "no");
    sg_cfg_set_int("maxmin/concurrency-limit", -1);
    sg_cfg_set_double("maxmin/precision", 1e-5); /* bytes/s and FLOP/s */
    /* Seconds: what is due within it ends at once. The default, 1e-9, takes up to a nanosecond off
     * every step, and short iterations come out under max(c, T_A) by more than 1e-9 of themselves.
     */
    sg_cfg_set_double("surf/precision", 1e-12);
}

static void scale_links(double factor)
{
    size_t count = sg_link_count();
    sg_link_t *links = sg_link_list();
    for (size_t i = 0; i < count && factor != 1; i++)
        sg_link_set_bandwidth(links[i], factor * sg_link_get_bandwidth(links[i]));
    free(links);
}

static void load(const char *platform, bool energy)
{
    char name[] = "ringtmp", quiet[] = "--log=root.thresh:error",
         stop[] = "--cfg=debug/verbose-exit:no";
#ifdef __SANITIZE_ADDRESS__ /* it does not follow SimGrid's own switching of stacks */
    char contexts[] = "--cfg=contexts/factory:thread";
#else
    char contexts[] = "--cfg=contexts/factory:raw";
#endif
    /* Numbers until 3.36, texts since: as an argument both are taken. */
    char latency[] = "--cfg=network/latency-factor:1", rate[] = "--cfg=network/bandwidth-factor:1";
    char *argv[] = {name, quiet, stop, contexts, latency, rate, NULL};
    int argc = RG_COUNT(argv) - 1;
    struct sigaction interrupt;
    sigaction(SIGINT, NULL, &interrupt);
    simgrid_init(&argc, argv);
    sigaction(SIGINT, &interrupt, NULL); /* SimGrid takes it; Ctrl-C is the caller's affair */
    pin_options();
    if (energy)
        sg_host_energy_plugin_init(); /* before there are hosts */
    simgrid_load_platform(platform);
    simgrid_run_until(0); /* seals it: until then Floyd and Dijkstra have no routes to ask for */
}

/* By the process that this one was forked from. */
static bool loaded, accounted;

void rg_engine_preload(const char *platform, bool energy)
{
    load(platform, energy);
    loaded = true;
    accounted = energy;
}

void rg_engine_start(const char *platform, double link_rate, bool energy)
{
    RG_ASSERT(!loaded || accounted || !energy);
    if (!loaded)
        load(platform, energy);
    scale_links(link_rate);
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(sg_host_get_name(*(const sg_host_t *)a),
                      sg_host_get_name(*(const sg_host_t *)b));
}

int rg_engine_hosts(const char *platform, char *const *names, const struct rg_board *const *boards,
                    int ranks, sg_host_t *hosts, struct rg_error *e)
{
    size_t count = sg_host_count(), size = (size_t)ranks;
    if (size > count)
        return rg_fail(e, RG_ERR_INVALID, "%s: has %zu hosts, %d are needed", platform, count,
                       ranks);
    sg_host_t *all = sg_host_list();
    qsort(all, count, sizeof(sg_host_t), by_name);
    memcpy(hosts, all, size * sizeof(sg_host_t));
    free(all);
    for (size_t rank = 0; names && rank < size; rank++) {
        hosts[rank] = sg_host_by_name(names[rank]);
        if (!hosts[rank])
            return rg_fail(e, RG_ERR_INVALID, "%s: has no host %s", platform, names[rank]);
    }
    for (size_t rank = 0; boards && rank < size; rank++)
        if (boards[rank]->clock != (int)sg_host_get_pstate(hosts[rank]))
            sg_host_set_pstate(hosts[rank], (unsigned long)boards[rank]->clock);
    return 0;
}

bool rg_engine_has_topologies(void)
{
    int major, minor, patch;
    sg_version_get(&major, &minor, &patch);
    return major < 4;
}
