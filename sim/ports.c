#include "ports.h"

#include "base/need.h"
#include "route.h"
#include "strands/port_work.h"
#include "strands/queue.h"

#include "base/bytes.h"
#include <math.h>
#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/exec.h>
#include <simgrid/link.h>
#include <stdlib.h>

struct rg_sim_route {
    struct rg_sim_route *next;
    struct rg_sim_ports *ports;
    sg_host_t from, to;
    struct rg_port_use *out, *in; /* of sender and receiver; NULL: no account is kept */
    struct rg_bucket *up, *down;  /* of sender and receiver; NULL: nobody shapes */
    struct rg_sim_uplink *uplink;
    struct rg_sim_queue *queue;   /* before the receiver; NULL: none, and no uplink either */
    struct rg_sim_faults *faults; /* NULL: no link ever changes */
    double latency;
    int *links; /* [link_count] places among all */
    size_t link_count;
    const struct rg_board *board, *target; /* of sender and receiver; NULL: none */
    sg_exec_t receiving; /* the receiver's part of the message before; NULL: none */
};

struct rg_sim_ports {
    const sg_host_t *hosts;
    const struct rg_board *const *boards;
    struct rg_sim_faults *faults;  /* NULL: no link ever changes */
    struct rg_port_use *work;      /* by rank; NULL: no account is kept */
    struct rg_bucket *buckets;     /* by rank, up and down; NULL: no port has a burst */
    struct rg_sim_uplink *uplinks; /* by rank, as the next; NULL: no port has a queue */
    struct rg_sim_queue *queues;
    double *latencies;           /* of all links, as the platform has them */
    struct rg_crowd_link *crowd; /* of all links */
    struct rg_crowd_met crowded;
    struct rg_sim_profiles *profiles; /* of what changes them; NULL: nothing does */
    struct rg_sim_route *routes;
};

/* Latencies are charged to messages that have left (see rg_sim_carry): take them off the links.
 */
static double *lift_latencies(void)
{
    size_t count = sg_link_count();
    sg_link_t *links = sg_link_list();
    double *latencies = rg_need_zeroed(count, sizeof *latencies);
    for (size_t i = 0; i < count; i++) {
        latencies[i] = sg_link_get_latency(links[i]);
        sg_link_set_data(links[i], &latencies[i]);
        if (latencies[i] > 0)
            sg_link_set_latency(links[i], 0);
    }
    free(links);
    return latencies;
}

/* As they are now. */
static struct rg_crowd_link *see_links(void)
{
    size_t count = sg_link_count();
    sg_link_t *links = sg_link_list();
    struct rg_crowd_link *crowd = rg_need_zeroed(count, sizeof *crowd);
    for (size_t i = 0; i < count; i++)
        crowd[i].bandwidth =
            sg_link_is_shared(links[i]) ? sg_link_get_bandwidth(links[i]) : INFINITY;
    free(links);
    return crowd;
}

/* ---- queues ---- */

static bool have_queues(const struct rg_board *const *boards, int size)
{
    return boards && size > 1 && boards[0]->port_queue > 0;
}

/* A link between the ports that all their messages together could fill, or else one could. */
static int check_between(sg_host_t from, sg_host_t to, double all, double one, struct rg_error *e)
{
    int result = 0;
    sg_link_t *links;
    size_t count = rg_route_links(from, to, &links);
    for (size_t i = 1; i + 1 < count && result == 0; i++) {
        sg_link_t link = links[i];
        double wanted = sg_link_is_shared(link) ? all : one;
        if (sg_link_get_bandwidth(link) < wanted)
            result = rg_fail(e, RG_ERR_INVALID,
                             "link %s carries %g B/s: with rg_port_queue, %g are wanted between "
                             "the ports, so that messages wait before these only",
                             sg_link_get_name(link), sg_link_get_bandwidth(link), wanted);
    }
    free(links);
    return result;
}

/* The links of each port are its own, one each way. */
static int check_ends(const sg_host_t *hosts, int size, struct rg_error *e)
{
    sg_link_t *ends = rg_need_zeroed(2 * (size_t)size, sizeof *ends);
    int result = 0;
    for (int i = 0; i < 2 * size && result == 0; i++) {
        sg_host_t host = hosts[i / 2], other = hosts[i / 2 == 0];
        ends[i] = i % 2 ? rg_route_last(other, host) : rg_route_first(host, other);
        bool own = ends[i] != NULL;
        for (int k = 0; k < i; k++)
            own = own && ends[k] != ends[i];
        if (!own)
            result = rg_fail(e, RG_ERR_INVALID,
                             "%s: rg_port_queue is for ports with a link of their own each way: "
                             "sharing_policy=\"SPLITDUPLEX\"",
                             sg_host_get_name(host));
    }
    free(ends);
    return result;
}

int rg_sim_ports_check(const sg_host_t *hosts, const struct rg_board *const *boards, int size,
                       struct rg_error *e)
{
    double all = 0, one = 0;
    for (int rank = 1; boards && rank < size; rank++)
        if ((boards[rank]->port_queue > 0) != (boards[0]->port_queue > 0))
            return rg_fail(e, RG_ERR_INVALID,
                           "%s and %s: rg_port_queue is for all boards of a run, or for none",
                           sg_host_get_name(hosts[0]), sg_host_get_name(hosts[rank]));
    if (!have_queues(boards, size))
        return 0;
    int result = check_ends(hosts, size, e);
    for (int rank = 0; rank < size; rank++) {
        all += boards[rank]->port_rate;
        one = fmax(one, boards[rank]->port_rate);
    }
    for (int rank = 1; rank < size && result == 0; rank++) {
        result = check_between(hosts[0], hosts[rank], all, one, e);
        result = result ? result : check_between(hosts[rank], hosts[0], all, one, e);
    }
    return result;
}

/* SimGrid does not limit receiving ports any more: the queues do. */
static void open_queues(struct rg_sim_ports *p, int size)
{
    sg_link_t *down = rg_need_zeroed((size_t)size, sizeof *down);
    double most = 0;
    p->uplinks = rg_need_zeroed((size_t)size, sizeof *p->uplinks);
    p->queues = rg_need_zeroed((size_t)size, sizeof *p->queues);
    for (int rank = 0; rank < size; rank++) {
        const struct rg_board *board = p->boards[rank];
        sg_host_t other = p->hosts[rank == 0];
        double up = sg_link_get_bandwidth(rg_route_first(p->hosts[rank], other));
        down[rank] = rg_route_last(other, p->hosts[rank]);
        p->uplinks[rank].rate = up;
        p->queues[rank] = (struct rg_sim_queue){.buffer = board->port_queue,
                                                .burst = board->port_burst,
                                                .rate = sg_link_get_bandwidth(down[rank]),
                                                .backlog = -board->port_burst};
        most += up;
    }
    for (int rank = 0; rank < size; rank++)
        sg_link_set_bandwidth(down[rank], 2 * most);
    free(down);
}

struct rg_sim_ports *rg_sim_ports_new(const sg_host_t *hosts, const struct rg_board *const *boards,
                                      int size, bool energy, struct rg_sim_faults *faults,
                                      struct rg_sim_profiles *profiles)
{
    struct rg_sim_ports *p = rg_need_zeroed(1, sizeof *p);
    p->hosts = hosts;
    p->boards = boards;
    p->faults = faults;
    if (rg_sim_profiles_have(profiles, RG_PROFILE_LATENCY))
        p->profiles = profiles;
    if (energy)
        p->work = rg_need_zeroed((size_t)size, sizeof *p->work);
    p->buckets = rg_buckets_new(boards, size);
    p->latencies = lift_latencies();
    if (!p->faults && have_queues(boards, size))
        open_queues(p, size);
    p->crowd = see_links();
    return p;
}

void rg_sim_ports_free(struct rg_sim_ports *p)
{
    if (!p)
        return;
    for (struct rg_sim_route *r = p->routes, *next; r; r = next) {
        next = r->next;
        free(r->links);
        free(r);
    }
    free(p->work);
    free(p->buckets);
    free(p->uplinks);
    free(p->queues);
    free(p->latencies);
    free(p->crowd);
    free(p);
}

static double latency_now(const struct rg_sim_route *route)
{
    const struct rg_sim_ports *p = route->ports;
    double latency = 0;
    if (!p->profiles)
        return route->latency;
    rg_sim_profiles_latencies(p->profiles, simgrid_get_clock(), p->latencies);
    for (size_t i = 0; i < route->link_count; i++)
        latency += p->latencies[route->links[i]];
    return latency;
}

struct rg_sim_route *rg_sim_route_new(struct rg_sim_ports *p, int source, int target)
{
    struct rg_sim_route *route = rg_need_zeroed(1, sizeof *route);
    *route = (struct rg_sim_route){
        .ports = p, .from = p->hosts[source], .to = p->hosts[target], .faults = p->faults};
    route->board = p->boards ? p->boards[source] : NULL;
    route->target = p->boards ? p->boards[target] : NULL;
    if (p->work) {
        route->out = &p->work[source];
        route->in = &p->work[target];
    }
    if (p->buckets) {
        route->up = &p->buckets[2 * source];
        route->down = &p->buckets[2 * target + 1];
    }
    if (p->queues) {
        route->uplink = &p->uplinks[source];
        route->queue = &p->queues[target];
    }
    route->next = p->routes;
    p->routes = route;
    sg_link_t *links;
    size_t count = rg_route_links(route->from, route->to, &links);
    route->link_count = count;
    route->links = rg_need_zeroed(count, sizeof *route->links);
    for (size_t i = 0; i < count; i++) {
        route->links[i] = (int)((double *)sg_link_get_data(links[i]) - p->latencies);
        route->latency += p->latencies[route->links[i]];
    }
    free(links);
    return route;
}

/* `seconds` of one core of a host, beside whatever runs there; NULL where it is nothing. */
static sg_exec_t begin_work(sg_host_t host, double seconds)
{
    if (seconds <= 0)
        return NULL;
    sg_exec_t work = sg_actor_exec_init(seconds * sg_host_get_speed(host));
    sg_exec_set_host(work, host);
    sg_exec_start(work);
    return work;
}

static void end_work(sg_exec_t work)
{
    if (work)
        sg_exec_wait(work);
}

/* ---- bytes on their way ---- */

static void send(const struct rg_sim_route *route, double bytes)
{
    if (route->faults)
        rg_sim_faults_depart(route->faults);
    struct rg_sim_ports *p = route->ports;
    rg_crowd_begin(p->crowd, route->links, route->link_count, simgrid_get_clock(), &p->crowded);
    sg_host_sendto(route->from, route->to, bytes);
    rg_crowd_end(p->crowd, route->links, route->link_count);
}

/* What both ports have tokens for takes no time. */
static double open_buckets(const struct rg_sim_route *route)
{
    double now = simgrid_get_clock();
    double up = rg_bucket_open(route->up, route->board, now);
    return rg_bucket_whole(fmin(up, rg_bucket_open(route->down, route->target, now)));
}

/* The bytes from host to host. */
static void pass(const struct rg_sim_route *route, double bytes)
{
    if (!route->up) {
        send(route, bytes);
        return;
    }
    double rest = bytes - open_buckets(route);
    if (rest > 0)
        send(route, rest);
    rg_bucket_close(route->up, route->board, bytes, simgrid_get_clock());
    rg_bucket_close(route->down, route->target, bytes, simgrid_get_clock());
}

/* The bytes through the sender's port into the receiver's queue; returns the seconds until the last
 * has left that. The connection is held up as long as the queue's buffer has no room for it. */
static double pass_queue(const struct rg_sim_route *route, double bytes)
{
    struct rg_sim_flow flow;
    double now = simgrid_get_clock(), up = 0, held;
    if (route->up)
        up = rg_bucket_open(route->up, route->board, now);
    double at_once = fmin(bytes, rg_bucket_whole(up));
    rg_sim_queue_enter(route->queue, route->uplink, &flow, at_once, now);
    if (bytes > at_once)
        send(route, bytes - at_once);
    now = simgrid_get_clock();
    double queued = rg_sim_queue_leave(route->uplink, &flow, now, &held);
    if (route->up)
        rg_bucket_close(route->up, route->board, bytes, now);
    if (held > 0)
        sg_actor_sleep_for(held);
    return queued - held;
}

double rg_sim_carry(struct rg_sim_route *route, size_t payload)
{
    double bytes = (double)(payload + RG_MESSAGE_HEADER),
           wire = rg_sim_wire_bytes(route->board, payload);
    double queued = 0;
    sg_exec_t sending = NULL;
    double latency = latency_now(route);
    if (route->board) {
        end_work(begin_work(route->from, route->board->message_s));
        end_work(route->receiving);
        sending = begin_work(route->from, route->board->byte_s * bytes);
        route->receiving =
            begin_work(route->to, route->target->byte_s * bytes + route->target->message_s);
    }
    if (route->queue)
        queued = pass_queue(route, wire);
    else
        pass(route, wire);
    if (route->out)
        rg_port_use_note(route->out, route->board, route->in, route->target, payload);
    double passed = simgrid_get_clock();
    end_work(sending);
    queued = fmax(0, queued - (simgrid_get_clock() - passed));
    return queued + latency + (route->target ? route->target->message_s : 0);
}

void rg_sim_ports_end(struct rg_sim_ports *p)
{
    for (struct rg_sim_route *r = p->routes; r; r = r->next) {
        sg_exec_t work = r->receiving;
        r->receiving = NULL; /* nobody else is to wait for it */
        end_work(work);
    }
}

struct rg_crowd_met rg_sim_ports_crowded(const struct rg_sim_ports *p)
{
    return p->crowded;
}

double rg_sim_port_J(const struct rg_sim_ports *p, int rank)
{
    return rg_port_use_J(&p->work[rank], p->boards[rank]);
}
