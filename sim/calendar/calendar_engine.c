/* Happy path: fire what is due at the earliest date; let the strands that this woke run, each until
 * it waits; solve for the links' rates if anything has changed; go to the next date.
 *
 * Failure modes: programs that end before their strands (sim_strands.c), deadlock (there too). */
#include "calendar_engine.h"

#include "connections.h"
#include "coroutine.h"

#include "base/check.h"
#include "base/need.h"
#include "sim/strands/same_date.h"
#include "sim/strands/sim_strands.h"
#include "sim/strands/windows.h"
#include <math.h>
#include <stdlib.h>

struct strand {
    struct rg_sim_strand common; /* first */
    struct rg_coroutine *coroutine;
    struct rg_timer timer;
    uint64_t serial; /* strands made before it */
    bool ready;      /* to be run next, ... */
    double date;     /* ... from this date on, that of the last of what it waited for */
    int computing;   /* parts of its computation that are under way */
};

enum { FEW_THREADS = 4 };

/* A part of a computation, on the stack of the strand that waits for it. */
struct part {
    struct rg_core_task task; /* first */
    struct strand *strand;
    bool over;
};

struct strands_found {
    struct strand **strand;
    size_t count, capacity;
};

struct engine {
    struct rg_strands strands;
    struct rg_calendar calendar;
    struct rg_connections connections;
    const struct rg_calendar_platform *platform;
    struct rg_cores *cores; /* by rank */
    struct rg_coroutines coroutines;
    struct strands_found ready, round;
    struct rg_slow_links slow;
    struct rg_timer slow_change; /* by a window of faults, */
    struct rg_timer own_change;  /* or by a profile */
    struct rg_timer speed_change;
    double *factor;     /* [slow.count] as windows have them */
    double link_rate;   /* of what profiles say */
    double slow_offset; /* of the training clock */
    uint64_t made;      /* strands */
};

static struct engine *engine_of(const struct strand *s)
{
    return s->common.all->engine;
}

/* ---- strands ---- */

static void make_ready(struct strand *s)
{
    struct strands_found *ready = &engine_of(s)->ready;
    double now = engine_of(s)->calendar.now;
    s->date = s->ready ? RG_MAX(s->date, now) : now;
    if (s->ready)
        return;
    s->ready = true;
    if (ready->count == ready->capacity) {
        ready->capacity = ready->capacity ? 2 * ready->capacity : 64;
        ready->strand = rg_need(ready->strand, ready->capacity * sizeof *ready->strand);
    }
    ready->strand[ready->count++] = s;
}

static void strand_due(struct rg_timer *timer)
{
    make_ready((struct strand *)((char *)timer - offsetof(struct strand, timer)));
}

static void strand_main(void *strand)
{
    rg_strand_main(strand);
}

static void start(struct rg_sim_strand *common, size_t stack_bytes)
{
    struct strand *s = (struct strand *)common;
    struct engine *g = engine_of(s);
    s->serial = g->made++;
    s->timer.fire = strand_due;
    s->coroutine = rg_coroutine_new(&g->coroutines, stack_bytes, strand_main, s);
    make_ready(s);
}

static void block(struct rg_sim_strand *common, double date)
{
    struct strand *s = (struct strand *)common;
    struct engine *g = engine_of(s);
    if (date <= g->calendar.latest)
        make_ready(s);
    else if (date < INFINITY)
        rg_calendar_set(&g->calendar, &s->timer, date);
    rg_coroutine_leave(s->coroutine);
    rg_calendar_unset(&s->timer);
}

static void ring(struct rg_sim_strand *common)
{
    make_ready((struct strand *)common);
}

static void hasten(struct rg_sim_strand *common, double date)
{
    struct strand *s = (struct strand *)common;
    struct rg_calendar *calendar = &engine_of(s)->calendar;
    rg_calendar_set(calendar, &s->timer, RG_MAX(date, calendar->now));
}

/* ---- computing ---- */

static void part_over(struct rg_core_task *task)
{
    struct part *part = (struct part *)task;
    part->over = true;
    if (--part->strand->computing == 0)
        make_ready(part->strand);
}

static void execute_parts(struct rg_sim_strand *common, struct part *part, double *flop,
                          int threads, double until)
{
    struct strand *s = (struct strand *)common;
    struct engine *g = engine_of(s);
    int rank = common->endpoint.handle.rank;
    double speed = g->platform->nodes[rank].speed;
    double end = until + common->endpoint.handle.offset; /* infinite if that is */
    struct rg_cores *cores = &g->cores[rank];
    for (int i = 0; i < threads; i++) {
        part[i] = (struct part){{.over = part_over}, s, !(flop[i] > 0)};
        if (part[i].over)
            continue;
        s->computing++;
        rg_cores_begin(cores, &part[i].task, flop[i] / speed);
    }
    if (end < INFINITY)
        rg_calendar_set(&g->calendar, &s->timer, RG_MAX(end, g->calendar.now));
    while (s->computing > 0 && g->calendar.now < end)
        rg_coroutine_leave(s->coroutine);
    rg_calendar_unset(&s->timer);
    s->computing = 0;
    for (int i = 0; i < threads; i++)
        flop[i] = part[i].over ? 0 : speed * rg_cores_stop(cores, &part[i].task);
}

__attribute__((noinline)) static void execute_many(struct rg_sim_strand *common, double *flop,
                                                   int threads, double until)
{
    struct part part[RG_SIM_THREADS];
    execute_parts(common, part, flop, threads, until);
}

/* Of ten thousand strands each has its stack: what few cores want takes few pages there. */
static void execute(struct rg_sim_strand *common, double *flop, int threads, double until)
{
    struct part part[FEW_THREADS];
    if (threads <= FEW_THREADS)
        execute_parts(common, part, flop, threads, until);
    else
        execute_many(common, flop, threads, until);
}

static double speed(void *engine, int rank)
{
    return ((struct engine *)engine)->platform->nodes[rank].speed;
}

static double processor_J(void *engine, int rank)
{
    return rg_cores_J(&((struct engine *)engine)->cores[rank]);
}

/* ---- messages ---- */

static double now(void *engine)
{
    return ((struct engine *)engine)->calendar.now;
}

static double seen(void *engine)
{
    return ((struct engine *)engine)->calendar.latest;
}

static void *open(void *engine, int source, int target)
{
    return rg_connection_new(&((struct engine *)engine)->connections, source, target);
}

static void carry(void *engine, struct rg_message *message, void *route)
{
    rg_connections_carry(&((struct engine *)engine)->connections, message, route);
}

static void left(void *engine, struct rg_message *message, double arrival)
{
    struct engine *g = engine;
    rg_exchange_left(g->strands.exchange, message, arrival);
    rg_strands_carried(&g->strands);
}

static double port_J(void *engine, int rank)
{
    return rg_connections_port_J(&((struct engine *)engine)->connections, rank);
}

/* ---- links and cores that are slow at times ---- */

static void find_ends(void *engine, int source, int target, int *first, int *last)
{
    const struct rg_calendar_platform *p = ((struct engine *)engine)->platform;
    const int *links;
    size_t count = p->route(p->arg, source, target, &links);
    *first = count ? links[0] : -1;
    *last = count ? links[count - 1] : -1;
}

static void set_links(struct engine *g)
{
    for (int i = 0; i < g->slow.count; i++) {
        int place = g->slow.link[i];
        struct rg_shared_link *link = &g->connections.links[place];
        double own = RG_MIN(g->platform->links[place].bandwidth, g->link_rate * g->slow.own[i]);
        double bandwidth = own * g->factor[i];
        if (link->bandwidth != bandwidth)
            rg_link_change(&g->connections.sharing, link, bandwidth);
    }
}

static void change_links(struct rg_timer *timer)
{
    struct engine *g = (struct engine *)((char *)timer - offsetof(struct engine, slow_change));
    double date = g->calendar.now - g->slow_offset;
    double next = rg_slow_links_at(&g->slow, date + RG_WINDOW_INSTANT, g->factor);
    set_links(g);
    if (next < INFINITY)
        rg_calendar_set(&g->calendar, timer, next + g->slow_offset);
}

static void change_own(struct rg_timer *timer)
{
    struct engine *g = (struct engine *)((char *)timer - offsetof(struct engine, own_change));
    double next = rg_slow_links_go(&g->slow, g->calendar.now);
    set_links(g);
    if (next < INFINITY)
        rg_calendar_set(&g->calendar, timer, next);
}

static void change_speeds(struct rg_timer *timer)
{
    struct engine *g = (struct engine *)((char *)timer - offsetof(struct engine, speed_change));
    struct rg_sim_profiles *all = g->platform->profiles;
    double next = INFINITY;
    for (int i = 0; i < all->count; i++) {
        struct rg_sim_profile *p = &all->profile[i];
        if (p->profile->kind != RG_PROFILE_SPEED || p->targets == 0)
            continue;
        next = fmin(next, rg_sim_profile_go(p, g->calendar.now));
        if (!isnan(p->value))
            rg_cores_set_speed(&g->cores[p->target[0]], p->value);
    }
    if (next < INFINITY)
        rg_calendar_set(&g->calendar, timer, next);
}

/* The training clock has started or gone on: windows count by it. While it stands still, links stay
 * as they are. */
static void clock_changed(void *engine, const struct rg_world *w)
{
    struct engine *g = engine;
    rg_calendar_unset(&g->slow_change);
    if (g->slow.count == 0 || w->untimed)
        return;
    g->slow_offset = w->offset;
    rg_calendar_set(&g->calendar, &g->slow_change, g->calendar.now);
}

static const struct rg_sim_engine_ops ops = {.strand_bytes = sizeof(struct strand),
                                             .now = now,
                                             .seen = seen,
                                             .open = open,
                                             .carry = carry,
                                             .start = start,
                                             .block = block,
                                             .ring = ring,
                                             .hasten = hasten,
                                             .execute = execute,
                                             .speed = speed,
                                             .processor_J = processor_J,
                                             .port_J = port_J,
                                             .clock = clock_changed};

/* ---- time ---- */

static int by_rank(const void *a, const void *b)
{
    const struct strand *s = *(struct strand *const *)a, *t = *(struct strand *const *)b;
    int rank = s->common.endpoint.handle.rank, other = t->common.endpoint.handle.rank;
    return rank != other ? (rank > other) - (rank < other)
                         : (s->serial > t->serial) - (s->serial < t->serial);
}

/* Strands that are ready run, each until it waits; those that they wake are the next round. */
static void run_round(struct engine *g)
{
    struct strands_found round = g->ready;
    bool sorted = true;
    g->ready = g->round;
    g->round = round;
    g->ready.count = 0;
    for (size_t i = 1; i < round.count && sorted; i++)
        sorted = by_rank(&round.strand[i - 1], &round.strand[i]) < 0;
    if (!sorted)
        qsort(round.strand, round.count, sizeof *round.strand, by_rank);
    for (size_t i = 0; i < round.count; i++) {
        struct strand *s = round.strand[i];
        if (i + 1 < round.count)
            rg_coroutine_expect(round.strand[i + 1]->coroutine);
        s->ready = false;
        g->calendar.now = s->date;
        rg_coroutine_enter(&g->coroutines, s->coroutine); /* s may be gone then */
    }
}

/* Everything that is due until `last`. */
static void fire(struct engine *g, double last)
{
    struct rg_timer *timer;
    while ((timer = rg_calendar_take(&g->calendar, last)) != NULL) {
        g->calendar.latest = RG_MAX(g->calendar.latest, g->calendar.now);
        timer->fire(timer);
    }
}

static void run(struct engine *g)
{
    double last = 0; /* of what counts as this date */
    while (g->strands.first) {
        fire(g, last);
        if (g->ready.count > 0) {
            run_round(g);
            continue;
        }
        g->calendar.now = g->calendar.latest;
        if (rg_sharing_changed(&g->connections.sharing)) {
            rg_sharing_solve(&g->connections.sharing);
            continue;
        }
        double date = rg_calendar_next(&g->calendar);
        if (date == INFINITY)
            return;
        last = date * (1 + RG_SAME_DATE);
    }
}

/* ---- the engine ---- */

static void open_cores(struct engine *g, const struct rg_sim_options *o, bool energy)
{
    g->cores = rg_need_zeroed((size_t)o->size, sizeof *g->cores);
    for (int rank = 0; rank < o->size; rank++)
        rg_cores_open(&g->cores[rank], &g->calendar, g->platform->nodes[rank].cores,
                      energy ? o->boards[rank] : NULL);
}

static void open_changes(struct engine *g, const struct rg_sim_options *o)
{
    rg_slow_links_find(&g->slow, o->faults, g->platform->profiles, o->size, find_ends, g);
    g->factor = rg_need_zeroed((size_t)g->slow.count, sizeof *g->factor);
    for (int i = 0; i < g->slow.count; i++)
        g->factor[i] = 1;
    g->link_rate = o->link_rate > 0 ? o->link_rate : 1;
    g->slow_change.fire = change_links;
    g->own_change.fire = change_own;
    g->speed_change.fire = change_speeds;
}

static void open_engine(struct engine *g, const struct rg_sim_options *o)
{
    bool energy = rg_sim_has_watts(o);
    open_cores(g, o, energy);
    g->connections = (struct rg_connections){.calendar = &g->calendar,
                                             .platform = g->platform,
                                             .boards = o->boards,
                                             .cores = g->cores,
                                             .size = o->size,
                                             .energy = energy,
                                             .uneven = o->uneven,
                                             .left = left,
                                             .left_arg = g};
    open_changes(g, o);
    bool queues = o->boards && o->size > 1 && o->boards[0]->port_queue > 0;
    rg_connections_open(&g->connections, queues && g->slow.count == 0);
    change_own(&g->own_change); /* what profiles say from date 0 on holds from the start */
    change_speeds(&g->speed_change);
}

static void close_engine(struct engine *g)
{
    rg_connections_close(&g->connections);
    rg_coroutines_free(&g->coroutines);
    rg_calendar_free(&g->calendar);
    rg_slow_links_free(&g->slow);
    free(g->cores);
    free(g->factor);
    free(g->ready.strand);
    free(g->round.strand);
}

int rg_calendar_engine_run(const struct rg_sim_options *options,
                           const struct rg_calendar_platform *platform, rg_program_fn program,
                           void *arg, int *results, struct rg_error *error)
{
    struct engine g = {.platform = platform};
    open_engine(&g, options);
    rg_strands_open(&g.strands, options, &ops, &g, program, arg, results, error);
    run(&g);
    if (options->ties)
        options->ties->same = g.connections.ties, options->ties->crowded = g.connections.crowded;
    int result = rg_strands_close(&g.strands);
    close_engine(&g);
    return result;
}
