/* SimGrid's engine: its options, its start, and a look at a platform before anything depends on it.
 *
 * SimGrid ends the process where it does not like a platform file, with lines of its own on
 * standard error. So the look happens in a child, whose words are caught and told in one line. */
#include "engine.h"

#include "memory.h"
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

void rg_engine_start(const char *platform, double link_rate, bool energy)
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
        if (boards[rank]->clock > 0)
            sg_host_set_pstate(hosts[rank], (unsigned long)boards[rank]->clock);
    return 0;
}

/* ---- the look at a platform ---- */

enum { REFUSED = 3 }; /* status of the child that looks: a line of its own says what is allowed */

/* Routes run at what the datasheets say: a faster link would simulate a port that does not exist,
 * and where even the first two nodes are slower, or further apart, the file contradicts itself. */
static void look_at_route(char *const *hosts, const struct rg_board *const *boards, int a, int b)
{
    sg_host_t from = sg_host_by_name(hosts[a]), to = sg_host_by_name(hosts[b]);
    double latency = sg_host_get_route_latency(from, to);
    double rate = sg_host_get_route_bandwidth(from, to);
    double port = fmin(boards[a]->port_rate, boards[b]->port_rate);
    double wanted = (boards[a]->latency_s + boards[b]->latency_s) / 2;
    bool first = a == 0 && b == 1;
    if (!(latency >= 0) || latency > 1e4)
        fprintf(stderr, "latency %g s from %s to %s: 0 to 10000 s are allowed\n", latency, hosts[a],
                hosts[b]);
    else if (first && fabs(latency - wanted) > 0.01 * wanted + 1e-9)
        fprintf(stderr, "latency %g s from %s to %s, rg_latency_s says %g: as much is wanted\n",
                latency, hosts[a], hosts[b], wanted);
    else if (!(rate <= port * 1.01) || (first && rate < port * 0.99))
        fprintf(stderr,
                "its links carry %g B/s from %s to %s, rg_port_rate says %g: as much is wanted\n",
                rate, hosts[a], hosts[b], port);
    else
        return;
    _exit(REFUSED);
}

static double least_speed(sg_host_t host)
{
    double least = INFINITY;
    for (unsigned long i = 0; i < sg_host_get_nb_pstates(host); i++)
        least = fmin(least, sg_host_get_pstate_speed(host, (int)i));
    return least;
}

static void look_at_host(const char *name, const struct rg_board *board)
{
    sg_host_t host = sg_host_by_name(name);
    if (!host)
        fprintf(stderr, "it has no host %s\n", name);
    else if (!(least_speed(host) > 0))
        fprintf(stderr, "host %s has speed 0: speeds above 0 are allowed\n", name);
    else if (sg_host_get_nb_pstates(host) != (unsigned long)board->clock_count)
        fprintf(stderr, "host %s has %lu speeds, rg_clocks says %d: as many are wanted\n", name,
                sg_host_get_nb_pstates(host), board->clock_count);
    else if (sg_host_core_count(host) != board->cores)
        fprintf(stderr, "host %s has %d cores, rg_cores says %d: as many are wanted\n", name,
                sg_host_core_count(host), board->cores);
    else
        return;
    _exit(REFUSED);
}

static _Noreturn void look(const char *platform, double link_rate, char *const *hosts,
                           const struct rg_board *const *boards, int count)
{
    struct rg_error e;
    sg_host_t *of_rank = rg_sim_take((size_t)count, sizeof *of_rank);
    rg_engine_start(platform, link_rate, true);
    for (int i = 0; i < count; i++) {
        look_at_host(hosts[i], boards[i]);
        of_rank[i] = sg_host_by_name(hosts[i]);
    }
    for (int i = 0; i + 1 < count; i++) {
        look_at_route(hosts, boards, i, i + 1);
        look_at_route(hosts, boards, 0, i + 1);
        look_at_route(hosts, boards, i + 1, 0);
    }
    if (rg_sim_ports_check(of_rank, boards, count, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        _exit(REFUSED);
    }
    _exit(0);
}

/* SimGrid's first line, without its brackets of place and time. */
static void first_line(char *text)
{
    text[strcspn(text, "\n")] = 0;
    for (char *end; text[0] == '[' && (end = strchr(text, ']')) != NULL;) {
        memmove(text, end + 1, strlen(end + 1) + 1);
        memmove(text, text + strspn(text, " "), strlen(text + strspn(text, " ")) + 1);
    }
    if (strncmp(text, "./", 2) == 0 && strchr(text, ' '))
        memmove(text, strchr(text, ' ') + 1, strlen(strchr(text, ' ') + 1) + 1);
}

int rg_engine_probe(const char *platform, double link_rate, char *const *hosts,
                    const struct rg_board *const *boards, int count, struct rg_error *e)
{
    char text[300] = "";
    size_t have = 0;
    int ends[2], status = 0;
    fflush(NULL);
    if (pipe(ends) != 0)
        return rg_fail(e, RG_ERR_INTERNAL, "pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        return rg_fail(e, RG_ERR_INTERNAL, "fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(ends[1], STDERR_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        look(platform, link_rate, hosts, boards, count);
    }
    close(ends[1]);
    char rest[256];
    for (ssize_t n; (n = read(ends[0], rest, sizeof rest)) != 0;) {
        if (n < 0 && errno != EINTR)
            break;
        size_t room = sizeof text - 1 - have, used = n > 0 ? RG_MIN((size_t)n, room) : 0;
        memcpy(text + have, rest, used);
        have += used;
    }
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status == 0)
        return 0;
    text[have] = 0;
    first_line(text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
        return rg_fail_at(e, platform, 0, "%s", text);
    return rg_fail_at(e, platform, 0,
                      "SimGrid cannot use it: %s; allowed is a SimGrid 4.1 platform "
                      "whose hosts are all connected",
                      text[0] ? text : "it ended without a word");
}
