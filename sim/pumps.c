#include "pumps.h"

#include "actors.h"
#include "base/need.h"
#include "ports.h"

#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <stdlib.h>

enum { PUMP_STACK = 16 << 10 };

struct rg_sim_pump {
    struct rg_sim_pumps *pool;
    struct rg_sim_pump *next;     /* in idle or unstarted */
    struct rg_sim_pump *next_all; /* of the pool */
    sg_sem_t bell;
    struct rg_message *message;
    struct rg_sim_route *route; /* its */
};

static void pump_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct rg_sim_pump *pump = sg_actor_self_get_data();
    struct rg_sim_pumps *p = pump->pool;
    while (!p->over) {
        while (pump->message) {
            struct rg_message *message = pump->message;
            double travel_s = rg_sim_carry(pump->route, message->bytes);
            pump->message = NULL;
            p->reporting = pump;
            rg_exchange_left(p->exchange, message, simgrid_get_clock() + travel_s);
            p->reporting = NULL;
            if (!pump->message) {
                pump->next = p->idle;
                p->idle = pump;
            }
            p->carried(p->engine);
        }
        if (!p->over)
            sg_sem_acquire(pump->bell);
    }
    rg_sim_ports_end(p->ports);
}

void rg_sim_pumps_start(struct rg_sim_pumps *p)
{
    while (p->unstarted) {
        struct rg_sim_pump *pump = p->unstarted;
        p->unstarted = pump->next;
        rg_sim_actor("pump", p->host, PUMP_STACK, pump_main, pump);
    }
}

void rg_sim_pumps_carry(struct rg_sim_pumps *p, struct rg_message *message,
                        struct rg_sim_route *route)
{
    if (p->reporting) { /* the next message of the connection that has just become free */
        p->reporting->message = message;
        p->reporting->route = route;
        p->reporting = NULL;
    } else if (p->idle) {
        struct rg_sim_pump *pump = p->idle;
        p->idle = pump->next;
        pump->message = message;
        pump->route = route;
        p->note_ring(p->engine, pump->bell);
    } else {
        struct rg_sim_pump *pump = rg_need_zeroed(1, sizeof *pump);
        *pump = (struct rg_sim_pump){.pool = p,
                                     .bell = sg_sem_init(0),
                                     .message = message,
                                     .route = route,
                                     .next = p->unstarted,
                                     .next_all = p->all};
        p->all = p->unstarted = pump;
    }
}

void rg_sim_pumps_end(struct rg_sim_pumps *p)
{
    p->over = true;
    for (struct rg_sim_pump *pump = p->idle; pump; pump = pump->next)
        p->note_ring(p->engine, pump->bell);
}

void rg_sim_pumps_free(struct rg_sim_pumps *p)
{
    for (struct rg_sim_pump *pump = p->all, *next; pump; pump = next) {
        next = pump->next_all;
        sg_sem_destroy(pump->bell);
        free(pump);
    }
}
