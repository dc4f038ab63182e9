/* The child that has SimGrid load a platform, and looks at its hosts and routes.
 *
 * Failure modes: SimGrid ends it with lines of its own, which the parent reads; where it does so
 * over a route, the answer names the pair. */
#include "base/need.h"
#include "engine.h"
#include "links.h"
#include "ports.h"
#include "survey_parts.h"

#include "base/file.h"
#include <math.h>
#include <signal.h>
#include <simgrid/engine.h>
#include <simgrid/link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_COMMON = 12 };

/* Links that all of some routes cross, of those that flows share. */
struct common {
    int link[MOST_COMMON];
    int count;
    bool any;
};

/* Of a link. */
struct link_use {
    double seconds; /* that the messages of a job take on it */
    int both;       /* hosts of which all that is sent and received crosses it */
    int ends[2];    /* hosts that every route over it leads from or to; -1: none */
    bool crossed;
};

struct look {
    const struct rg_survey_child *child;
    sg_host_t *hosts;
    struct rg_sim_links links; /* their places are those of the next two, too */
    sg_link_t *named;
    struct link_use *use;
};

/* The routes that are being asked for, should SimGrid end the process over them. */
static const struct rg_survey_child *asking;
static const char *asked_from, *asked_to;

static _Noreturn void refuse(int out, const char *text)
{
    struct rg_survey_answer answer = {.refused = true};
    snprintf(answer.text, sizeof answer.text, "%s", text);
    rg_pipe_write(out, &answer, sizeof answer);
    _exit(1);
}

static void no_route(int signal)
{
    char text[300];
    (void)signal;
    if (!asked_from)
        _exit(1);
    snprintf(text, sizeof text,
             "there is no route from %.100s to %.100s: every pair of nodes that exchange messages "
             "needs one",
             asked_from, asked_to);
    refuse(asking->out, text);
}

static const struct rg_calendar_link *link_at(const struct look *look, int place)
{
    return &look->links.links[place];
}

static size_t route(const struct look *look, int from, int to, const int **links)
{
    const struct rg_calendar_platform *platform = &look->links.platform;
    asked_from = look->child->names[from];
    asked_to = look->child->names[to];
    size_t count = platform->route(platform->arg, from, to, links);
    if (count == 0)
        no_route(0);
    asked_from = NULL;
    return count;
}

/* ---- hosts ---- */

static double least_speed(sg_host_t host)
{
    double least = INFINITY;
    for (unsigned long i = 0; i < sg_host_get_nb_pstates(host); i++)
        least = fmin(least, sg_host_get_pstate_speed(host, (int)i));
    return least;
}

static sg_host_t look_at_host(const char *name, const struct rg_board *board, int out)
{
    char text[300];
    sg_host_t host = sg_host_by_name(name);
    if (!host)
        snprintf(text, sizeof text, "it has no host %s", name);
    else if (!(least_speed(host) > 0))
        snprintf(text, sizeof text, "host %s has speed 0: speeds above 0 are allowed", name);
    else if (sg_host_get_nb_pstates(host) != (unsigned long)board->clock_count)
        snprintf(text, sizeof text, "host %s has %lu speeds, rg_clocks says %d: as many are wanted",
                 name, sg_host_get_nb_pstates(host), board->clock_count);
    else if (sg_host_core_count(host) != board->cores)
        snprintf(text, sizeof text, "host %s has %d cores, rg_cores says %d: as many are wanted",
                 name, sg_host_core_count(host), board->cores);
    else
        return host;
    refuse(out, text);
}

/* ---- what hosts' links pass ---- */

static void keep(const struct look *look, struct common *c, const int *links, size_t count)
{
    int kept = 0;
    if (!c->any) {
        for (size_t i = 0; i < count && kept < MOST_COMMON; i++)
            if (!link_at(look, links[i])->each)
                c->link[kept++] = links[i];
    } else {
        for (int i = 0; i < c->count; i++) {
            size_t k = 0;
            while (k < count && links[k] != c->link[i])
                k++;
            if (k < count)
                c->link[kept++] = c->link[i];
        }
    }
    c->any = true;
    c->count = kept;
}

struct host_links {
    struct common out, in;
};

static bool in_both(const struct host_links *h, int link)
{
    for (int i = 0; i < h->in.count; i++)
        if (h->in.link[i] == link)
            return true;
    return false;
}

/* Rate and latency of a message alone. */
static double route_rate(const struct look *look, const int *links, size_t count, double *latency)
{
    double rate = INFINITY;
    *latency = 0;
    for (size_t i = 0; i < count; i++) {
        rate = fmin(rate, link_at(look, links[i])->bandwidth);
        *latency += link_at(look, links[i])->latency;
    }
    return rate;
}

static void note_route(const struct look *look, int from, int to, double rate, double latency,
                       struct rg_survey_wire *wire)
{
    const struct rg_board *const *boards = look->child->boards;
    double wanted = (boards[from]->latency_s + boards[to]->latency_s) / 2;
    double off = fabs(latency - wanted);
    if (!(latency >= 0) || latency > 1e4) {
        char text[300];
        snprintf(text, sizeof text, "latency %g s from %s to %s: 0 to 10000 s are allowed", latency,
                 look->child->names[from], look->child->names[to]);
        refuse(look->child->out, text);
    }
    if (!(off >= wire->off_s)) {
        wire->off_s = off;
        wire->latency_s = latency;
        wire->peer = to;
    }
    if (wire->fast_peer < 0 && !(rate <= rg_board_rate_to(boards[from], boards[to]) * 1.01)) {
        wire->fast_peer = to;
        wire->fast_rate = rate;
    }
}

static void note_ends(struct link_use *use, int from, int to)
{
    for (int i = 0; i < 2; i++) {
        int end = use->crossed ? use->ends[i] : i ? to : from;
        use->ends[i] = end == from || end == to ? end : -1;
    }
    use->crossed = true;
}

static void look_at_route(const struct look *look, int from, int to, struct host_links *hosts,
                          struct rg_survey_wire *wires)
{
    const int *links;
    size_t count = route(look, from, to, &links);
    double latency, rate = route_rate(look, links, count, &latency);
    keep(look, &hosts[from].out, links, count);
    keep(look, &hosts[to].in, links, count);
    for (size_t i = 0; i < count; i++)
        note_ends(&look->use[links[i]], from, to);
    note_route(look, from, to, rate, latency, &wires[from]);
}

static void look_at_routes(const struct look *look, struct host_links *hosts,
                           struct rg_survey_wire *wires)
{
    for (int i = 1; i < look->child->count; i++) {
        look_at_route(look, 0, i, hosts, wires);
        look_at_route(look, i, 0, hosts, wires);
        if (i == 1 || !look->child->neighbours)
            continue;
        look_at_route(look, i - 1, i, hosts, wires);
        look_at_route(look, i, i - 1, hosts, wires);
    }
}

static void count_users(const struct look *look, const struct host_links *h)
{
    for (int k = 0; k < h->out.count; k++)
        look->use[h->out.link[k]].both += in_both(h, h->out.link[k]);
}

/* Links are a host's own where nothing crosses them but what it sends or receives. */
static bool is_own(const struct link_use *use, int host)
{
    return use->ends[0] == host || use->ends[1] == host;
}

static void measure(const struct look *look, const struct host_links *h, int host,
                    struct rg_survey_wire *wire)
{
    for (int k = 0; k < h->out.count; k++) {
        int link = h->out.link[k];
        double rate = link_at(look, link)->bandwidth;
        bool own = is_own(&look->use[link], host);
        if (own)
            wire->up = fmin(wire->up, rate);
        if (own && in_both(h, link))
            wire->bus = fmin(wire->bus, rate);
        if (!own && look->use[link].both == look->child->count)
            wire->medium = fmin(wire->medium, rate);
    }
    for (int k = 0; k < h->in.count; k++)
        if (is_own(&look->use[h->in.link[k]], host))
            wire->down = fmin(wire->down, link_at(look, h->in.link[k])->bandwidth);
}

static void look_at_ports(const struct look *look)
{
    int count = look->child->count;
    struct rg_survey_answer answer = {0};
    struct host_links *hosts = rg_need_zeroed((size_t)count, sizeof *hosts);
    struct rg_survey_wire *wires = rg_need_zeroed((size_t)count, sizeof *wires);
    for (int i = 0; i < count; i++)
        wires[i] = (struct rg_survey_wire){.up = INFINITY,
                                           .down = INFINITY,
                                           .bus = INFINITY,
                                           .medium = INFINITY,
                                           .off_s = INFINITY,
                                           .fast_peer = -1};
    look_at_routes(look, hosts, wires);
    for (int i = 0; i < count && count > 1; i++)
        count_users(look, &hosts[i]);
    for (int i = 0; i < count && count > 1; i++)
        measure(look, &hosts[i], i, &wires[i]);
    if (!rg_pipe_write(look->child->out, &answer, sizeof answer) ||
        !rg_pipe_write(look->child->out, wires, (size_t)count * sizeof *wires))
        _exit(1);
    free(hosts);
    free(wires);
}

/* ---- what a job does to links ---- */

static void add_flow(const struct look *look, const struct rg_survey_flow *flow,
                     struct rg_survey_load *load)
{
    const int *links;
    size_t count = route(look, flow->from, flow->to, &links);
    double latency, rate = route_rate(look, links, count, &latency);
    for (size_t i = 0; i < count; i++) {
        struct link_use *use = &look->use[links[i]];
        if (link_at(look, links[i])->each)
            continue;
        use->seconds += flow->bytes / link_at(look, links[i])->bandwidth;
        if (use->seconds > load->busiest_s) {
            load->busiest_s = use->seconds;
            snprintf(load->busiest, sizeof load->busiest, "%s",
                     sg_link_get_name(look->named[links[i]]));
        }
    }
    if (flow->bytes == 0)
        return;
    if (rate > load->fast.rate) {
        load->fast = *flow;
        load->fast.rate = rate;
    }
    if (rate / flow->rate < load->slow_share) {
        load->slow_share = rate / flow->rate;
        load->slow = *flow;
        load->slow.rate = rate;
    }
    if (fabs(latency - flow->latency_s) > load->far_s) {
        load->far_s = fabs(latency - flow->latency_s);
        load->far = *flow;
        load->far.latency_s = latency;
    }
}

static bool answer_question(const struct look *look)
{
    struct rg_survey_question question;
    struct rg_survey_answer answer = {0};
    struct rg_survey_load load = {.slow_share = 1};
    if (!rg_pipe_read(look->child->in, &question, sizeof question))
        return false;
    struct rg_survey_flow *flows = rg_need_zeroed((size_t)question.flows + 1, sizeof *flows);
    if (!rg_pipe_read(look->child->in, flows, (size_t)question.flows * sizeof *flows))
        return false;
    for (size_t i = 0; i < look->links.platform.link_count; i++)
        look->use[i].seconds = 0;
    for (int i = 0; i < question.flows; i++)
        add_flow(look, &flows[i], &load);
    free(flows);
    return rg_pipe_write(look->child->out, &answer, sizeof answer) &&
           rg_pipe_write(look->child->out, &load, sizeof load);
}

void rg_survey_serve(const struct rg_survey_child *child)
{
    struct rg_error e;
    struct look look = {.child = child,
                        .hosts = rg_need_zeroed((size_t)child->count, sizeof(sg_host_t))};
    rg_engine_start(child->platform, child->link_rate, false);
    asking = child;
    signal(SIGABRT, no_route);
    for (int i = 0; i < child->count; i++)
        look.hosts[i] = look_at_host(child->names[i], child->boards[i], child->out);
    rg_sim_links_open(&look.links, look.hosts, child->count, child->star);
    look.named = sg_link_list();
    look.use = rg_need_zeroed(look.links.platform.link_count + 1, sizeof *look.use);
    if (rg_sim_ports_check(look.hosts, child->boards, child->count, &e) != 0)
        refuse(child->out, e.text);
    look_at_ports(&look);
    while (answer_question(&look))
        continue;
    _exit(0);
}
