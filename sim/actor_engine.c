/* Happy path: every strand is an actor, which goes on when it has its turn (turns.c). A pump
 * (pumps.c) carries each message from port to port (ports.c) and reports when its last byte has
 * left. Any call of SimGrid's may let other actors run. So none is made while the exchange is half
 * changed: bells to ring and pumps to start are noted, and done by flush() once it has returned.
 *
 * Failure modes not handled: a platform that SimGrid cannot read, or one whose hosts or links
 * switch off; SimGrid then ends the process with a message of its own. No actor is ever killed,
 * since SimGrid would abort its partners. */
#include "actor_engine.h"

#include "actors.h"
#include "base/need.h"
#include "ports.h"
#include "pumps.h"
#include "trouble.h"
#include "turns.h"

#include <math.h>
#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/exec.h>
#include <simgrid/host.h>
#include <simgrid/plugins/energy.h>
#include <simgrid/semaphore.h>
#include <stdlib.h>

struct strand {
    struct rg_sim_strand common; /* first */
    struct rg_turn turn;
};

struct bells {
    sg_sem_t *bell;
    size_t count, capacity;
};

struct engine {
    struct rg_strands strands;
    const sg_host_t *hosts;       /* by rank */
    struct rg_sim_faults *faults; /* NULL: none */
    struct rg_sim_ports *ports;
    struct rg_sim_pumps pumps;
    struct rg_turns turns;
    uint64_t made;      /* strands */
    struct bells rings; /* noted for flush() */
    struct bells idle;  /* of strands that have ended, for others: one may still be rung */
};

static struct engine *engine_of(struct rg_sim_strand *s)
{
    return s->all->engine;
}

static struct rg_turn *turn_of(struct rg_sim_strand *s)
{
    return &((struct strand *)s)->turn;
}

/* ---- blocking and waking ---- */

static void push(struct bells *b, sg_sem_t bell)
{
    if (b->count == b->capacity) {
        b->capacity = b->capacity ? 2 * b->capacity : 64;
        b->bell = rg_need(b->bell, b->capacity * sizeof *b->bell);
    }
    b->bell[b->count++] = bell;
}

static void note_ring(void *engine, sg_sem_t bell)
{
    push(&((struct engine *)engine)->rings, bell);
}

static void ring(struct rg_sim_strand *s)
{
    rg_turns_want(&engine_of(s)->turns, turn_of(s));
}

static void flush(void *engine)
{
    struct engine *g = engine;
    while (g->rings.count > 0)
        sg_sem_release(g->rings.bell[--g->rings.count]);
    rg_sim_pumps_start(&g->pumps);
    rg_turns_go(&g->turns);
}

static void block(struct rg_sim_strand *s, double date)
{
    flush(engine_of(s));
    rg_turns_wait(&engine_of(s)->turns, turn_of(s), date - simgrid_get_clock());
}

/* ---- strands ---- */

static void strand_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct rg_sim_strand *s = sg_actor_self_get_data();
    rg_turns_wait(&engine_of(s)->turns, turn_of(s), 0);
    rg_strand_main(s);
}

static void start(struct rg_sim_strand *s, size_t stack_bytes)
{
    struct engine *g = engine_of(s);
    *turn_of(s) =
        (struct rg_turn){.bell = g->idle.count ? g->idle.bell[--g->idle.count] : sg_sem_init(0),
                         .rank = s->endpoint.handle.rank,
                         .serial = g->made++};
    rg_sim_actor("strand", g->hosts[s->endpoint.handle.rank], stack_bytes, strand_main, s);
}

static void retire(struct rg_sim_strand *s)
{
    push(&engine_of(s)->idle, turn_of(s)->bell);
    rg_turns_end(&engine_of(s)->turns);
}

static void end(void *engine)
{
    struct engine *g = engine;
    rg_sim_pumps_end(&g->pumps);
    rg_turns_close(&g->turns);
    push(&g->rings, g->turns.bell);
    sg_sem_t links = rg_sim_faults_end(g->faults);
    if (links)
        push(&g->rings, links);
}

/* ---- computing ---- */

/* Waits for a part of a computation until that date; what is left of it then, in FLOP. */
static double finish_part(struct rg_world *w, sg_exec_t part, double until)
{
    double now = rg_now(w);
    if (until == INFINITY) {
        sg_exec_wait(part);
        return 0;
    }
    if (until - now > RG_WINDOW_INSTANT && sg_exec_wait_for(part, until - now) == SG_OK)
        return 0;
    double left = sg_exec_get_remaining(part);
    if (left > 0)
        sg_exec_cancel(part);
    else
        sg_exec_wait(part);
    return left;
}

static void execute(struct rg_sim_strand *s, double *flop, int threads, double until)
{
    sg_exec_t part[RG_SIM_THREADS] = {NULL};
    struct rg_turns *turns = &engine_of(s)->turns;
    int own = until == INFINITY; /* the first part: by the actor itself */
    bool any = false;
    for (int i = 0; i < threads; i++)
        any |= flop[i] > 0;
    if (!any)
        return;
    rg_turns_end(turns);
    for (int i = own; i < threads; i++)
        part[i] = flop[i] > 0 ? sg_actor_exec_async(flop[i]) : NULL;
    if (own && flop[0] > 0)
        sg_actor_execute(flop[0]);
    for (int i = 0; i < threads; i++) {
        rg_turns_note(turns);
        flop[i] = part[i] ? finish_part(&s->endpoint.handle, part[i], until) : 0;
    }
    rg_turns_wait(turns, turn_of(s), 0);
}

/* ---- what strands ask for ---- */

static double now(void *engine)
{
    (void)engine;
    return simgrid_get_clock();
}

static void *open(void *engine, int source, int target)
{
    return rg_sim_route_new(((struct engine *)engine)->ports, source, target);
}

static void carry(void *engine, struct rg_message *message, void *route)
{
    rg_sim_pumps_carry(&((struct engine *)engine)->pumps, message, route);
}

/* A pump has reported a message, and done what that led to. */
static void carried(void *engine)
{
    rg_turns_note(&((struct engine *)engine)->turns);
    rg_strands_carried(&((struct engine *)engine)->strands);
}

static double speed(void *engine, int rank)
{
    return sg_host_get_speed(((struct engine *)engine)->hosts[rank]);
}

static double processor_J(void *engine, int rank)
{
    return sg_host_get_consumed_energy(((struct engine *)engine)->hosts[rank]);
}

static double port_J(void *engine, int rank)
{
    return rg_sim_port_J(((struct engine *)engine)->ports, rank);
}

static void clock_changed(void *engine, const struct rg_world *w)
{
    rg_sim_faults_clock(((struct engine *)engine)->faults, w);
}

static const struct rg_sim_engine_ops ops = {.strand_bytes = sizeof(struct strand),
                                             .now = now,
                                             .open = open,
                                             .carry = carry,
                                             .start = start,
                                             .block = block,
                                             .ring = ring,
                                             .flush = flush,
                                             .execute = execute,
                                             .speed = speed,
                                             .processor_J = processor_J,
                                             .port_J = port_J,
                                             .clock = clock_changed,
                                             .retire = retire,
                                             .end = end};

/* ---- the engine ---- */

static void free_engine(struct engine *g)
{
    rg_sim_faults_free(g->faults);
    rg_turns_free(&g->turns);
    rg_sim_pumps_free(&g->pumps);
    rg_sim_ports_free(g->ports);
    for (size_t i = 0; i < g->idle.count; i++)
        sg_sem_destroy(g->idle.bell[i]);
    free(g->rings.bell);
    free(g->idle.bell);
}

int rg_actor_engine_run(const struct rg_sim_options *o, const sg_host_t *hosts,
                        struct rg_sim_profiles *profiles, rg_program_fn program, void *arg,
                        int *results, struct rg_error *error)
{
    struct engine g = {.hosts = hosts};
    g.faults = rg_sim_faults_new(o, profiles, hosts);
    g.ports = rg_sim_ports_new(hosts, o->boards, o->size, rg_sim_has_watts(o), g.faults, profiles);
    g.pumps = (struct rg_sim_pumps){.ports = g.ports,
                                    .host = hosts[0],
                                    .engine = &g,
                                    .note_ring = note_ring,
                                    .carried = carried};
    rg_turns_open(&g.turns, hosts[0]);
    rg_strands_open(&g.strands, o, &ops, &g, program, arg, results, error);
    g.pumps.exchange = g.strands.exchange;
    simgrid_run();
    int result = rg_strands_close(&g.strands);
    if (o->ties)
        o->ties->crowded = rg_sim_ports_crowded(g.ports);
    free_engine(&g);
    return result;
}
