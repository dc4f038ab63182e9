/* The closed form of an iteration of parameter_server in step: the dates of its pulls and pushes.
 */
#include "base/check.h"
#include "base/need.h"
#include "collectives/collectives.h"
#include "strategies/server_parts.h"
#include <math.h>
#include <stdlib.h>

const struct rg_board *rg_server_board_of(const struct rg_job *job, int stage, int worker)
{
    return job->boards[rg_server_rank(rg_server_plan(job), stage, worker)];
}

/* A shard from a server to a worker. */
double rg_server_pull_s(const struct rg_job *job, int server, int worker)
{
    uint64_t bytes = sizeof(float) * rg_server_shard(job, server).count;
    int stage = rg_server_stage_at(rg_server_plan(job), server);
    return rg_board_hop_to_s(job->boards[server], rg_server_board_of(job, stage, worker), bytes);
}

double rg_server_pulls_port_s(const struct rg_job *job, int stage, int worker)
{
    const struct rg_server_stage *s = &rg_server_plan(job)->stage[stage];
    return rg_board_port_s(rg_server_board_of(job, stage, worker), (uint64_t)s->servers,
                           sizeof(float) * (uint64_t)s->parameters);
}

double rg_server_pushes_port_s(const struct rg_job *job, int stage, int worker)
{
    const struct rg_server_stage *s = &rg_server_plan(job)->stage[stage];
    uint64_t bytes = 0;
    for (int j = 0; j < s->servers; j++)
        bytes += rg_server_push_bytes(job, s->first_server + j);
    return rg_board_port_s(rg_server_board_of(job, stage, worker), (uint64_t)s->servers, bytes);
}

/* When each worker has its parameters (pulls go out one after the other). Returns the last date. */
static double add_pulls(const struct rg_job *job, int server, const int *order, double *ready)
{
    double date = 0;
    for (int t = 0; t < rg_server_plan(job)->workers; t++) {
        date += rg_server_pull_s(job, server, order[t]);
        ready[order[t]] = fmax(ready[order[t]], date);
    }
    return date;
}

/* A gradient on its way into its server's port. */
struct push {
    double start;      /* its first byte may leave; INFINITY: not before a receive is posted */
    double soonest;    /* neither it nor any served later starts before this */
    double left, rate; /* bytes to come, so many a second at most */
    double share;      /* of the port at this moment, bytes/s */
    double core_s;     /* that a core moves its bytes, from the start on */
    double late_s;     /* from its last byte's leaving to its delivery */
    double arrived;
};

struct pushes {
    const struct rg_board *server;
    struct push *push; /* [count], in the order of service */
    int count, taken;
    int posted; /* those before have a receive that waits for them, or need none */
    double now;
};

/* Ready dates are of workers; a gradient of more than the eager limit waits for its receive. */
static void open_pushes(struct pushes *p, const struct rg_job *job, int server, const int *order,
                        const double *ready)
{
    const struct rg_board *to = p->server = job->boards[server];
    uint64_t bytes = rg_server_push_bytes(job, server);
    bool waits = bytes > RG_EAGER_LIMIT;
    p->count = rg_server_plan(job)->workers;
    p->posted = waits ? RG_MIN(2, p->count) : p->count;
    double soonest = INFINITY;
    for (int t = p->count - 1; t >= 0; t--) {
        const struct rg_board *from = job->boards[rg_server_plan(job)->servers + order[t]];
        double start = ready[order[t]] + from->message_s;
        soonest = fmin(soonest, start);
        p->push[t] = (struct push){.start = t < p->posted ? start : INFINITY,
                                   .soonest = waits ? 0 : soonest,
                                   .left = rg_board_wire_bytes(from, 1, bytes),
                                   .rate = rg_board_rate_to(from, to),
                                   .core_s = fmax(from->byte_s, to->byte_s) *
                                             (double)(bytes + RG_MESSAGE_HEADER),
                                   .late_s = (from->latency_s + to->latency_s) / 2 + to->message_s};
    }
}

static bool is_passing(const struct pushes *p, const struct push *push)
{
    return push->left > 0 && push->start <= p->now;
}

/* The port's rate among those that are passing: alike, but to none more than its own port gives. */
static void share_port(struct pushes *p, int end)
{
    double rate = rg_board_receiving_rate(p->server);
    int open = 0, before = -1;
    for (int t = p->taken; t < end; t++) {
        p->push[t].share = 0;
        open += is_passing(p, &p->push[t]);
    }
    while (open != before && open > 0) {
        double each = rate / open;
        before = open;
        for (int t = p->taken; t < end; t++) {
            struct push *push = &p->push[t];
            if (!is_passing(p, push) || push->share > 0 || push->rate > each)
                continue;
            push->share = push->rate;
            rate -= push->rate;
            open--;
        }
    }
    for (int t = p->taken; t < end; t++)
        if (is_passing(p, &p->push[t]) && p->push[t].share == 0)
            p->push[t].share = rate / open;
}

/* To the next date at which one has passed or another starts. */
static void pass(struct pushes *p)
{
    double next = INFINITY;
    int end = p->taken;
    while (end < p->posted && p->push[end].soonest <= p->now)
        end++;
    share_port(p, end);
    if (end < p->posted)
        next = p->push[end].soonest;
    for (int t = p->taken; t < end; t++) {
        const struct push *push = &p->push[t];
        if (push->left > 0)
            next = fmin(next, push->share > 0 ? p->now + push->left / push->share : push->start);
    }
    for (int t = p->taken; t < end; t++) {
        struct push *push = &p->push[t];
        if (push->share > 0 && p->now + push->left / push->share <= next) {
            push->left = 0;
            push->arrived = fmax(next, push->start + push->core_s) + push->late_s;
        } else {
            push->left -= push->share * (next - p->now);
        }
    }
    p->now = next;
}

/* When a server has taken and added up the pushes, in its order, and has updated its shard. */
static double served_s(const struct rg_job *job, int server, const int *order, const double *ready)
{
    struct rg_shard shard = rg_server_shard(job, server);
    double first = rg_server_take_s(job, server, true), add = rg_server_take_s(job, server, false);
    double added = 0;
    struct pushes p = {.push =
                           rg_need_zeroed((size_t)rg_server_plan(job)->workers, sizeof *p.push)};
    open_pushes(&p, job, server, order, ready);
    while (p.taken < p.count) {
        struct push *push = &p.push[p.taken];
        if (push->left > 0) {
            pass(&p);
            continue;
        }
        added = fmax(added, push->arrived) + (p.taken++ > 0 ? add : first);
        if (p.posted < p.count) {
            int worker = order[p.posted];
            p.push[p.posted++].start =
                fmax(ready[worker], added) +
                job->boards[rg_server_plan(job)->servers + worker]->message_s;
        }
    }
    free(p.push);
    return added + rg_update_s(job, job->boards[server], shard.first, shard.count);
}

/* One iteration's dates, server by server, from the moment all are ready to send. Where several
 * servers meet at a worker, because there are more of them or some boards are slower, its port is
 * what they wait for: no sooner than that has taken in and sent everything is it done. */
struct rg_server_dates rg_server_in_step_dates(const struct rg_job *job, const double *compute)
{
    int m = rg_server_plan(job)->servers, k = RG_MAX(rg_server_plan(job)->workers, 1);
    int *order = rg_need_zeroed((size_t)k, sizeof *order);
    double *ready = rg_need_zeroed((size_t)k, sizeof *ready);
    double pulled = 0, pushing = INFINITY, pushed = 0, end = 0;
    for (int j = 0; j < m; j++) {
        rg_server_order(rg_server_plan(job), j, order);
        pulled = fmax(pulled, add_pulls(job, j, order, ready));
    }
    for (int i = 0; i < k; i++) {
        ready[i] = fmax(ready[i], rg_server_pulls_port_s(job, 0, i)) + compute[i];
        pushing = fmin(pushing, ready[i]);
        pushed = fmax(pushed, ready[i] + rg_server_pushes_port_s(job, 0, i));
    }
    for (int j = 0; j < m; j++) {
        rg_server_order(rg_server_plan(job), j, order);
        end = fmax(end, served_s(job, j, order, ready));
        struct rg_shard shard = rg_server_shard(job, j);
        end = fmax(end, pushed + rg_update_s(job, job->boards[j], shard.first, shard.count));
    }
    free(order);
    free(ready);
    return (struct rg_server_dates){.end = end, .overlap = pulled - pushing};
}
