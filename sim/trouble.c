/* Happy path: a computation of a node with slow windows is cut where its speed changes: SimGrid
 * runs it until that date, what is then left goes on at the new speed. An actor sleeps from one end
 * of a link's window to the next and sets the bandwidths of that moment.
 *
 * Failure modes: none of its own; nodes that die and deadlocks are world_sim.c's. */
#include "trouble.h"
#include "actors.h"
#include "memory.h"
#include "route.h"

#include "base/check.h"
#include "base/random.h"
#include <math.h>
#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/exec.h>
#include <simgrid/link.h>
#include <stdlib.h>

#define INSTANT 1e-9 /* s: dates closer than this are one; SimGrid tells far closer ones apart */

/* Turns that whoever has rung the bell needs until its flow has begun. */
enum { LINK_STACK = 16 << 10, DEPARTING = 2 };

/* A link that some window slows down. */
struct slow_link {
    sg_link_t link;
    double bandwidth; /* of its own */
    double factor;    /* as set */
};

/* The links of one window, as indices. */
struct link_group {
    int *index;
    int count;
};

struct rg_sim_faults {
    const struct rg_faults *orders;
    uint64_t seed;
    bool *slow; /* [size] has slow windows */
    struct slow_link *links;
    int link_count;
    struct link_group *groups; /* [orders->link.count] */
    sg_sem_t bell;             /* of the actor; NULL: no link is slow */
    double offset;             /* of the training clock */
    bool running, over;
};

static bool holds(const struct rg_fault_window *window, double now)
{
    return window->from_s <= now && now < window->to_s;
}

/* The next date after `now` at which the window begins or ends, if it is before `next`. */
static double next_end(const struct rg_fault_window *window, double now, double next)
{
    if (window->from_s > now)
        return fmin(next, window->from_s);
    return window->to_s > now ? fmin(next, window->to_s) : next;
}

/* ---- links ---- */

static void add_to_group(struct rg_sim_faults *f, struct link_group *group, sg_link_t link)
{
    int i = 0;
    if (!link) /* the two have none between them */
        return;
    while (i < f->link_count && f->links[i].link != link)
        i++;
    for (int k = 0; k < group->count; k++)
        if (group->index[k] == i)
            return;
    if (i == f->link_count) {
        f->links = realloc(f->links, (size_t)(i + 1) * sizeof *f->links);
        RG_ASSERT(f->links);
        f->links[f->link_count++] = (struct slow_link){link, sg_link_get_bandwidth(link), 1};
    }
    group->index = realloc(group->index, (size_t)(group->count + 1) * sizeof *group->index);
    RG_ASSERT(group->index);
    group->index[group->count++] = i;
}

static void find_links(struct rg_sim_faults *f, const sg_host_t *hosts, int size)
{
    const struct rg_fault_windows *windows = &f->orders->link;
    f->groups = rg_sim_take((size_t)windows->count, sizeof *f->groups);
    for (int i = 0; i < windows->count; i++)
        for (int rank = windows->window[i].first; rank <= windows->window[i].last && rank < size;
             rank++)
            for (int other = 0; other < size; other++) {
                if (hosts[other] == hosts[rank])
                    continue;
                add_to_group(f, &f->groups[i], rg_route_first(hosts[rank], hosts[other]));
                add_to_group(f, &f->groups[i], rg_route_last(hosts[other], hosts[rank]));
            }
}

/* Give every link the bandwidth of this moment; returns the next date at which one changes. */
static double set_links(struct rg_sim_faults *f, double now)
{
    const struct rg_fault_windows *windows = &f->orders->link;
    double next = INFINITY, *factor = rg_sim_take((size_t)f->link_count, sizeof *factor);
    for (int i = 0; i < f->link_count; i++)
        factor[i] = 1;
    for (int i = 0; i < windows->count; i++) {
        const struct rg_fault_window *window = &windows->window[i];
        next = next_end(window, now, next);
        for (int k = 0; k < f->groups[i].count && holds(window, now); k++) {
            double *to = &factor[f->groups[i].index[k]];
            *to = fmin(*to, window->factor);
        }
    }
    for (int i = 0; i < f->link_count; i++) {
        struct slow_link *link = &f->links[i];
        if (link->factor == factor[i])
            continue;
        link->factor = factor[i]; /* before anybody else runs: see rg_sim_faults_depart */
        sg_link_set_bandwidth(link->link, link->bandwidth * factor[i]);
    }
    free(factor);
    return next;
}

static void link_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct rg_sim_faults *f = sg_actor_self_get_data();
    while (!f->over) {
        double now = simgrid_get_clock() - f->offset, next = INFINITY;
        if (f->running)
            next = set_links(f, now + INSTANT);
        if (next == INFINITY)
            sg_sem_acquire(f->bell);
        else
            sg_sem_acquire_timeout(f->bell, next - now);
        for (int i = 0; i < DEPARTING; i++)
            sg_actor_yield();
    }
}

void rg_sim_faults_clock(struct rg_sim_faults *f, const struct rg_world *w)
{
    if (!f || !f->bell)
        return;
    f->offset = w->offset;
    f->running = !w->untimed;
    sg_sem_release(f->bell);
}

bool rg_sim_faults_slow_links(const struct rg_sim_faults *f)
{
    return f && f->link_count > 0;
}

void rg_sim_faults_depart(struct rg_sim_faults *f)
{
    bool slow = f->running;
    while (slow) { /* until they are fast all at once: the next that runs may slow them again */
        slow = false;
        for (int i = 0; i < f->link_count; i++) {
            struct slow_link *link = &f->links[i];
            if (link->factor == 1)
                continue;
            slow = true;
            link->factor = 1;
            sg_link_set_bandwidth(link->link, link->bandwidth);
        }
        if (slow)
            sg_sem_release(f->bell);
    }
}

sg_sem_t rg_sim_faults_end(struct rg_sim_faults *f)
{
    if (!f)
        return NULL;
    f->over = true;
    return f->bell;
}

/* ---- computing ---- */

struct rg_fault_stream rg_fault_stream_of_rank(const struct rg_sim_faults *f, int rank)
{
    uint64_t purpose = rg_mix64(rg_mix64(f->seed) ^ RG_STREAM_FAULT);
    return (struct rg_fault_stream){.key = rg_mix64(purpose ^ (uint64_t)rank)};
}

struct rg_fault_stream rg_fault_stream_of_strand(const struct rg_fault_stream *parent, int n)
{
    return (struct rg_fault_stream){.key = rg_mix64(parent->key ^ rg_mix64((uint64_t)n))};
}

/* The next of the stream, in [-1, 1): a function of its key and of how many came before, after
 * splitmix64 (Steele et al. 2014). */
static double draw(struct rg_fault_stream *stream)
{
    uint64_t bits = rg_mix64(stream->key + stream->drawn++ * 0x9e3779b97f4a7c15u);
    return 2 * ldexp((double)(bits >> 11), -53) - 1;
}

double rg_sim_faults_jitter(const struct rg_sim_faults *f, struct rg_fault_stream *stream,
                            double seconds)
{
    double spread = f->orders->spread;
    return spread > 0 ? seconds * (1 + spread * draw(stream)) : seconds;
}

bool rg_sim_faults_slows(const struct rg_sim_faults *f, int rank)
{
    return f->slow[rank];
}

/* The speed of a rank, and the date from which it is another. */
static double speed_at(const struct rg_sim_faults *f, int rank, double now, double *until)
{
    double factor = 1;
    *until = INFINITY;
    for (int i = 0; i < f->orders->slow.count; i++) {
        const struct rg_fault_window *window = &f->orders->slow.window[i];
        if (rank < window->first || rank > window->last)
            continue;
        *until = next_end(window, now, *until);
        if (holds(window, now))
            factor = fmin(factor, window->factor);
    }
    return factor;
}

/* Waits for a part of a computation until that date; what is left of it then, in FLOP. */
static double finish_part(struct rg_world *w, sg_exec_t part, double until)
{
    double now = rg_now(w);
    if (until == INFINITY) {
        sg_exec_wait(part);
        return 0;
    }
    if (until - now > INSTANT && sg_exec_wait_for(part, until - now) == SG_OK)
        return 0;
    double left = sg_exec_get_remaining(part);
    if (left > 0)
        sg_exec_cancel(part);
    else
        sg_exec_wait(part);
    return left;
}

void rg_sim_faults_compute(const struct rg_sim_faults *f, struct rg_world *w, sg_host_t host,
                           double seconds, int threads)
{
    double speed = sg_host_get_speed(host), left[RG_SIM_THREADS], most = 1;
    sg_exec_t part[RG_SIM_THREADS];
    for (int i = 0; i < threads; i++)
        left[i] = seconds * speed;
    while (most > 0) {
        double until, factor = speed_at(f, w->rank, rg_now(w) + INSTANT, &until);
        most = 0;
        for (int i = 0; i < threads; i++)
            part[i] = left[i] > 0 ? sg_actor_exec_async(left[i] / factor) : NULL;
        for (int i = 0; i < threads; i++) {
            left[i] = part[i] ? factor * finish_part(w, part[i], until) : 0;
            most = fmax(most, left[i]);
        }
    }
}

/* ---- all of them ---- */

static void find_slow(struct rg_sim_faults *f, int size)
{
    f->slow = rg_sim_take((size_t)size, sizeof *f->slow);
    for (int i = 0; i < f->orders->slow.count; i++) {
        const struct rg_fault_window *window = &f->orders->slow.window[i];
        for (int rank = window->first; rank <= window->last && rank < size; rank++)
            f->slow[rank] = true;
    }
}

struct rg_sim_faults *rg_sim_faults_new(const struct rg_faults *faults, uint64_t seed,
                                        const sg_host_t *hosts, int size)
{
    if (!faults || (faults->slow.count == 0 && faults->link.count == 0 && !(faults->spread > 0)))
        return NULL;
    struct rg_sim_faults *f = rg_sim_take(1, sizeof *f);
    f->orders = faults;
    f->seed = seed;
    find_slow(f, size);
    find_links(f, hosts, size);
    if (f->link_count > 0) {
        f->bell = sg_sem_init(0);
        rg_sim_actor("links", hosts[0], LINK_STACK, link_main, f);
    }
    return f;
}

void rg_sim_faults_free(struct rg_sim_faults *f)
{
    if (!f)
        return;
    if (f->bell)
        sg_sem_destroy(f->bell);
    for (int i = 0; i < f->orders->link.count; i++)
        free(f->groups[i].index);
    free(f->groups);
    free(f->links);
    free(f->slow);
    free(f);
}
