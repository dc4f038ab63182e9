/* Happy path: an actor sleeps from one date at which a link changes to the next and sets the
 * bandwidths of that moment.
 *
 * Failure modes: none of its own. */
#include "actors.h"
#include "base/need.h"
#include "route.h"
#include "trouble.h"

#include <math.h>
#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/link.h>
#include <stdint.h>
#include <stdlib.h>

/* Turns that whoever has rung the bell needs until its flow has begun. */
enum { LINK_STACK = 16 << 10, DEPARTING = 2 };

struct slow_link {
    sg_link_t link;
    double bandwidth; /* the most that it ever has */
    double set;       /* what it has */
};

struct rg_sim_faults {
    struct rg_slow_links slow;
    struct slow_link *links; /* [slow.count] */
    double *factor;          /* [slow.count] as windows have them */
    double link_rate;
    sg_sem_t bell; /* of the actor */
    double offset; /* of the training clock */
    bool running, over;
};

/* ---- which links ---- */

/* While they are looked for, a link's data is its place in SimGrid's list. */
static void number_links(sg_link_t *links)
{
    for (size_t i = 0; i < sg_link_count(); i++)
        sg_link_set_data(links[i], (void *)(intptr_t)i);
}

static int number_of(sg_link_t link)
{
    return link ? (int)(intptr_t)sg_link_get_data(link) : -1;
}

static void route_ends(void *arg, int source, int target, int *first, int *last)
{
    const sg_host_t *hosts = arg;
    *first = *last = -1;
    if (hosts[source] == hosts[target])
        return;
    *first = number_of(rg_route_first(hosts[source], hosts[target]));
    *last = number_of(rg_route_last(hosts[source], hosts[target]));
}

static void find_links(struct rg_sim_faults *f, const struct rg_sim_options *o,
                       struct rg_sim_profiles *profiles, const sg_host_t *hosts)
{
    sg_link_t *links = sg_link_list();
    number_links(links);
    rg_slow_links_find(&f->slow, o->faults, profiles, o->size, route_ends, (void *)hosts);
    f->links = rg_need_zeroed((size_t)f->slow.count, sizeof *f->links);
    f->factor = rg_need_zeroed((size_t)f->slow.count, sizeof *f->factor);
    for (int i = 0; i < f->slow.count; i++) {
        sg_link_t link = links[f->slow.link[i]];
        double bandwidth = sg_link_get_bandwidth(link);
        f->links[i] = (struct slow_link){link, bandwidth, bandwidth};
        f->factor[i] = 1;
    }
    free(links);
}

/* ---- how fast they are ---- */

static void set_link(struct slow_link *link, double bandwidth)
{
    if (link->set == bandwidth)
        return;
    link->set = bandwidth; /* before anybody else runs: see rg_sim_faults_depart */
    sg_link_set_bandwidth(link->link, bandwidth);
}

/* Give every link the bandwidth of this moment; returns the next date at which one changes. While
 * the training clock stands still windows stay as they are. */
static double set_links(struct rg_sim_faults *f, double now)
{
    double next = INFINITY, training = now - f->offset + RG_WINDOW_INSTANT;
    if (f->running)
        next = f->offset + rg_slow_links_at(&f->slow, training, f->factor);
    next = fmin(next, rg_slow_links_go(&f->slow, now));
    for (int i = 0; i < f->slow.count; i++) {
        double own = fmin(f->links[i].bandwidth, f->link_rate * f->slow.own[i]);
        set_link(&f->links[i], own * f->factor[i]);
    }
    return next;
}

static void link_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct rg_sim_faults *f = sg_actor_self_get_data();
    while (!f->over) {
        double now = simgrid_get_clock(), next = set_links(f, now);
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
    if (!f)
        return;
    f->offset = w->offset;
    f->running = !w->untimed;
    sg_sem_release(f->bell);
}

void rg_sim_faults_depart(struct rg_sim_faults *f)
{
    bool slow = true;
    while (slow) { /* until they are fast all at once: the next that runs may slow them again */
        slow = false;
        for (int i = 0; i < f->slow.count; i++) {
            slow = slow || f->links[i].set != f->links[i].bandwidth;
            set_link(&f->links[i], f->links[i].bandwidth);
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

/* ---- all of them ---- */

struct rg_sim_faults *rg_sim_faults_new(const struct rg_sim_options *o,
                                        struct rg_sim_profiles *profiles, const sg_host_t *hosts)
{
    struct rg_sim_faults *f = rg_need_zeroed(1, sizeof *f);
    f->link_rate = o->link_rate > 0 ? o->link_rate : 1;
    find_links(f, o, profiles, hosts);
    if (f->slow.count == 0) {
        rg_sim_faults_free(f);
        return NULL;
    }
    f->bell = sg_sem_init(0);
    rg_sim_actor("links", hosts[0], LINK_STACK, link_main, f);
    return f;
}

void rg_sim_faults_free(struct rg_sim_faults *f)
{
    if (!f)
        return;
    if (f->bell)
        sg_sem_destroy(f->bell);
    rg_slow_links_free(&f->slow);
    free(f->links);
    free(f->factor);
    free(f);
}
