/* Happy path: every strand is an actor with a semaphore, its bell. exchange.c decides what may
 * start; a pump (pumps.c) carries each message from port to port (ports.c) and reports when its
 * last byte has left. A strand that waits is rung when something it waits for has a date, and
 * sleeps until that date. Any call of SimGrid's may let other actors run. So none is made while the
 * exchange is half changed: bells to ring and pumps to start are noted, and done by flush() once it
 * has returned.
 *
 * Failure modes handled: a node that dies or leaves (our own book-keeping: no actor is ever killed,
 * since SimGrid would abort its partners); a deadlock, seen by counting what could still go on,
 * before SimGrid would; a platform with too few hosts. Not handled: a platform that SimGrid cannot
 * read, or one whose hosts or links switch off; SimGrid then ends the process with a message of its
 * own. */
#include "world_sim.h"

#include "actors.h"
#include "engine.h"
#include "memory.h"
#include "ports.h"
#include "pumps.h"
#include "trouble.h"

#include "base/check.h"
#include "boards/board.h"
#include <math.h>
#include <setjmp.h>
#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/exec.h>
#include <simgrid/host.h>
#include <simgrid/plugins/energy.h>
#include <simgrid/semaphore.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of address space. What strategies need was measured: 7.5 KiB with any kernels of
 * OpenBLAS's, which run on one thread here; the first strand of rank 0, which tests and saves too,
 * 19 KiB. */
enum { STRAND_STACK = 24 << 10, ROOT_STACK = 64 << 10, MAX_THREADS = RG_SIM_THREADS };

struct strand {
    struct rg_endpoint endpoint; /* first: a handle is a strand */
    struct world *world;
    sg_host_t host;
    sg_sem_t bell;
    rg_program_fn program;
    void *arg;
    int result;
    bool blocked, finished; /* blocked: the bell has not been rung yet */
    double until;           /* while blocked */
    jmp_buf death;
    struct strand *parent, *next; /* next: of the world */
    int strands;                  /* spawned so far */
    int unjoined;
    struct rg_fault_stream faults; /* where the world has some */
};

struct world {
    const struct rg_sim_options *options;
    struct rg_exchange *exchange;
    struct rg_sim_faults *faults; /* NULL: none */
    struct rg_error *error;
    sg_host_t *hosts; /* by rank */
    struct strand *strands;
    struct rg_sim_ports *ports;
    struct rg_sim_pumps pumps;
    bool energy;     /* all boards have watts */
    sg_sem_t *rings; /* noted by ring() for flush() */
    size_t ring_count, ring_capacity;
    sg_sem_t *bells; /* of strands that have ended, for others: one may still be rung */
    size_t bell_count, bell_capacity;
    int *results;
    bool *dead;
    double end_s;
    int active; /* strands and messages that will go on by themselves */
};

static const struct rg_world_ops ops;

static struct strand *strand_of(struct rg_world *w)
{
    return (struct strand *)w;
}

/* ---- blocking and waking ---- */

static void push(sg_sem_t **array, size_t *count, size_t *capacity, sg_sem_t bell)
{
    if (*count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        *array = realloc(*array, *capacity * sizeof **array);
        RG_ASSERT(*array);
    }
    (*array)[(*count)++] = bell;
}

static void note_ring(void *world, sg_sem_t bell)
{
    struct world *m = world;
    push(&m->rings, &m->ring_count, &m->ring_capacity, bell);
}

static void ring(struct strand *s)
{
    if (!s->blocked)
        return;
    s->blocked = false;
    s->world->active += s->until == INFINITY;
    note_ring(s->world, s->bell);
}

static void flush(struct world *m)
{
    while (m->ring_count > 0)
        sg_sem_release(m->rings[--m->ring_count]);
    rg_sim_pumps_start(&m->pumps);
}

static void ring_all(struct world *m)
{
    for (struct strand *s = m->strands; s; s = s->next)
        ring(s);
}

static void ring_waiting(struct world *m)
{
    for (struct strand *s = m->strands; s; s = s->next)
        if (s->endpoint.waiting_in)
            ring(s);
}

/* Nothing goes on by itself any more: if strands are left, they wait for one another. */
static void check_deadlock(struct world *m)
{
    if (m->active > 0 || !m->strands)
        return;
    rg_exchange_deadlock(m->exchange, rg_exchange_deadlocked(m->exchange) ? NULL : m->error);
    ring_all(m);
}

/* Stop until rung, or until `date`; may return early. */
static void block(struct strand *s, double date)
{
    struct world *m = s->world;
    double now = simgrid_get_clock();
    s->blocked = true;
    s->until = date;
    if (date == INFINITY) {
        m->active--;
        check_deadlock(m);
        flush(m);
        sg_sem_acquire(s->bell);
    } else if (date > now) {
        sg_sem_acquire_timeout(s->bell, date - now);
    } else {
        sg_actor_yield();
    }
    if (s->blocked) { /* not rung: the date has come, or a ring that came with the last date */
        s->blocked = false;
        m->active += date == INFINITY;
    }
    if (m->dead[s->endpoint.handle.rank])
        longjmp(s->death, 1);
}

/* ---- the exchange's world ---- */

static double exchange_now(void *world)
{
    (void)world;
    return simgrid_get_clock();
}

static void *exchange_open(void *world, int source, int target)
{
    return rg_sim_route_new(((struct world *)world)->ports, source, target);
}

static void exchange_start(void *world, struct rg_message *message)
{
    struct world *m = world;
    m->active++;
    rg_sim_pumps_carry(&m->pumps, message);
}

/* A pump has reported a message, and done what that led to. */
static void carried(void *world)
{
    struct world *m = world;
    m->active--;
    check_deadlock(m);
    flush(m);
}

static void exchange_wake(void *world, struct rg_endpoint *e, double date)
{
    struct strand *s = (struct strand *)e;
    (void)world;
    if (date < s->until)
        ring(s);
}

static void exchange_block(void *world, struct rg_endpoint *e, double date)
{
    (void)world;
    block((struct strand *)e, date);
}

static void exchange_wake_waiting(void *world)
{
    ring_waiting(world);
    flush(world);
}

static const struct rg_exchange_ops exchange_ops = {.open = exchange_open,
                                                    .now = exchange_now,
                                                    .start = exchange_start,
                                                    .wake = exchange_wake,
                                                    .block = exchange_block,
                                                    .wake_waiting = exchange_wake_waiting};

/* ---- the world's operations ---- */

static double now(struct rg_world *w)
{
    (void)w;
    return simgrid_get_clock();
}

static int send(struct rg_world *w, struct rg_request *request)
{
    struct strand *s = strand_of(w);
    int result = rg_exchange_send(s->world->exchange, &s->endpoint, request);
    flush(s->world);
    return result;
}

static int recv(struct rg_world *w, struct rg_request *request)
{
    struct strand *s = strand_of(w);
    int result = rg_exchange_recv(s->world->exchange, &s->endpoint, request);
    flush(s->world);
    return result;
}

static int wait_any(struct rg_world *w, struct rg_request *const *requests, int n, double deadline,
                    int *index)
{
    struct strand *s = strand_of(w);
    return rg_exchange_wait_any(s->world->exchange, &s->endpoint, requests, n, deadline, index);
}

static int cancel(struct rg_world *w, struct rg_request *request)
{
    struct strand *s = strand_of(w);
    int result = rg_exchange_cancel(s->world->exchange, &s->endpoint, request);
    flush(s->world);
    return result;
}

/* `seconds` of every one of `threads` cores, if they are free. */
static void execute(struct strand *s, double seconds, int threads)
{
    double flops = seconds * sg_host_get_speed(s->host);
    sg_exec_t more[MAX_THREADS];
    for (int i = 1; i < threads; i++)
        more[i] = sg_actor_exec_async(flops);
    sg_actor_execute(flops);
    for (int i = 1; i < threads; i++)
        sg_exec_wait(more[i]);
}

/* The same on a node that may be slow. */
static void spend(struct rg_world *w, double seconds, int threads)
{
    struct strand *s = strand_of(w);
    const struct rg_sim_faults *faults = w->untimed ? NULL : s->world->faults;
    if (seconds > 0 && faults && rg_sim_faults_slows(faults, w->rank))
        rg_sim_faults_compute(faults, w, s->host, seconds, threads);
    else if (seconds > 0)
        execute(s, seconds, threads);
}

static int compute(struct rg_world *w, const struct rg_work *work, rg_compute_fn fn, void *arg)
{
    struct strand *s = strand_of(w);
    const struct rg_sim_options *o = s->world->options;
    int threads = o->threads > 0 ? o->threads : 1;
    double seconds, alone = 0;
    if (w->board) {
        threads = RG_MIN(RG_MIN(threads, w->board->cores), MAX_THREADS);
        seconds = rg_board_seconds(w->board, work, threads);
        alone = rg_board_alone_s(w->board, work, threads);
    } else {
        threads = 1;
        seconds = rg_work_flops(work) / sg_host_get_speed(s->host);
    }
    if (fn)
        fn(arg);
    const struct rg_sim_faults *faults = w->untimed ? NULL : s->world->faults;
    if (seconds > 0 && faults) {
        double asked = seconds;
        seconds = rg_sim_faults_jitter(faults, &s->faults, seconds);
        alone *= seconds / asked;
    }
    spend(w, seconds - alone, threads);
    spend(w, alone, 1);
    if (s->world->dead[w->rank])
        longjmp(s->death, 1);
    return 0;
}

static int iteration(struct rg_world *w, int64_t i)
{
    const struct rg_sim_options *o = strand_of(w)->world->options;
    return o->iteration ? o->iteration(o->iteration_arg, w, i) : 0;
}

static void clock_changed(struct rg_world *w)
{
    if (w->rank == 0)
        rg_sim_faults_clock(strand_of(w)->world->faults, w);
}

static int barrier(struct rg_world *w)
{
    struct strand *s = strand_of(w);
    return rg_exchange_barrier(s->world->exchange, &s->endpoint);
}

static void die(struct rg_world *w)
{
    struct strand *self = strand_of(w);
    struct world *m = self->world;
    m->dead[w->rank] = true;
    m->results[w->rank] = RG_DIED;
    rg_exchange_leave(m->exchange, w->rank, false);
    for (struct strand *s = m->strands; s; s = s->next)
        if (s->endpoint.handle.rank == w->rank || s->endpoint.waiting_in)
            ring(s);
    longjmp(self->death, 1);
}

/* SimGrid knows what the host has drawn, idle or computing. A host that has only been idle differs
 * from idle by rounding, which is no computing. */
static void energy(struct rg_world *w, double now, struct rg_energy *so_far)
{
    (void)now; /* no time passes between the two */
    struct strand *s = strand_of(w);
    if (!s->world->energy)
        return;
    const struct rg_board *board = w->board;
    double drawn = sg_host_get_consumed_energy(s->host), date = simgrid_get_clock();
    double idle = rg_board_watts(board, 0) * date;
    double compute = fabs(drawn - idle) > 1e-12 * drawn ? drawn - idle : 0;
    *so_far = (struct rg_energy){.idle_J = idle,
                                 .compute_J = compute,
                                 .network_J = rg_sim_port_J(s->world->ports, w->rank),
                                 .switch_J = board->switch_watts * date,
                                 .source = "model"};
}

static size_t stack_bytes(const struct strand *s)
{
    size_t given = s->world->options->stack_bytes;
    return given ? given : s->endpoint.handle.rank == 0 && !s->parent ? ROOT_STACK : STRAND_STACK;
}

static void run_program(struct strand *s)
{
    struct world *m = s->world;
    struct rg_world *w = &s->endpoint.handle;
    s->endpoint.stack_high = __builtin_frame_address(0);
    s->endpoint.stack_low = s->endpoint.stack_high - stack_bytes(s);
    if (setjmp(s->death) == 0) {
        if (!m->dead[w->rank]) {
            s->result = s->program(w, s->arg);
            RG_ASSERT(s->unjoined == 0);
        }
    } else {
        s->result = RG_DIED;
    }
}

static void remove_strand(struct strand *s)
{
    struct strand **at = &s->world->strands;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
}

static void end(struct world *m)
{
    m->end_s = simgrid_get_clock();
    rg_sim_pumps_end(&m->pumps);
    sg_sem_t links = rg_sim_faults_end(m->faults);
    if (links)
        note_ring(m, links);
}

static void strand_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct strand *s = sg_actor_self_get_data();
    struct world *m = s->world;
    struct rg_world *w = &s->endpoint.handle;
    bool node = s->parent == NULL, dead;
    run_program(s);
    dead = m->dead[w->rank];
    rg_exchange_close_strand(m->exchange, &s->endpoint);
    remove_strand(s);
    s->finished = true;
    if (!dead && !node)
        ring(s->parent);
    if (!dead && node) {
        m->results[w->rank] = s->result;
        rg_exchange_leave(m->exchange, w->rank, true);
        ring_waiting(m);
    }
    push(&m->bells, &m->bell_count, &m->bell_capacity, s->bell);
    if (dead || node)
        free(s);
    m->active--;
    check_deadlock(m);
    if (!m->strands)
        end(m);
    flush(m); /* then the parent may free s */
}

static struct strand *start_strand(struct world *m, int rank, struct strand *parent,
                                   rg_program_fn program, void *arg)
{
    const struct rg_sim_options *o = m->options;
    struct strand *s = rg_sim_take(1, sizeof *s);
    struct rg_world *w = &s->endpoint.handle;
    if (parent) {
        *w = parent->endpoint.handle;
        w->count = (struct rg_counters){0};
        w->strand = ++parent->strands;
        w->marks = NULL;
    } else {
        rg_world_init(w, &ops, rank, o->size);
        w->board = o->boards ? o->boards[rank] : NULL;
    }
    if (m->faults)
        s->faults = parent ? rg_fault_stream_of_strand(&parent->faults, w->strand)
                           : rg_fault_stream_of_rank(m->faults, rank);
    s->world = m;
    s->host = m->hosts[rank];
    s->program = program;
    s->arg = arg;
    s->parent = parent;
    s->bell = m->bell_count ? m->bells[--m->bell_count] : sg_sem_init(0);
    rg_exchange_open_strand(m->exchange, &s->endpoint);
    s->next = m->strands;
    m->strands = s;
    m->active++;
    rg_sim_actor("strand", s->host, stack_bytes(s), strand_main, s);
    return s;
}

static int spawn(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **strand)
{
    struct strand *s = strand_of(w);
    *strand = (struct rg_strand *)start_strand(s->world, w->rank, s, fn, arg);
    s->unjoined++;
    return 0;
}

static int join(struct rg_world *w, struct rg_strand *strand, int *result,
                struct rg_counters *count)
{
    struct strand *s = strand_of(w), *child = (struct strand *)strand;
    RG_ASSERT(child->parent == s);
    s->endpoint.waiting_in = "rg_join";
    while (!child->finished) /* a deadlock ends the child too */
        block(s, INFINITY);
    s->endpoint.waiting_in = NULL;
    *result = child->result;
    *count = child->endpoint.handle.count;
    s->unjoined--;
    free(child);
    return 0;
}

static const struct rg_world_ops ops = {.name = "sim",
                                        .now = now,
                                        .send = send,
                                        .recv = recv,
                                        .wait_any = wait_any,
                                        .cancel = cancel,
                                        .compute = compute,
                                        .iteration = iteration,
                                        .barrier = barrier,
                                        .clock = clock_changed,
                                        .spawn = spawn,
                                        .join = join,
                                        .die = die,
                                        .energy = energy};

/* ---- the engine ---- */

/* Do all boards have watts? A run of which a part would be missing has no energy. */
static bool all_have_watts(const struct rg_sim_options *o)
{
    for (int rank = 0; rank < o->size; rank++)
        if (!o->boards || o->boards[rank]->clock_count == 0)
            return false;
    return true;
}

static void free_world(struct world *m)
{
    rg_sim_pumps_free(&m->pumps);
    rg_sim_ports_free(m->ports);
    for (size_t i = 0; i < m->bell_count; i++)
        sg_sem_destroy(m->bells[i]);
    rg_exchange_free(m->exchange);
    free(m->rings);
    free(m->bells);
    free(m->dead);
    free(m->hosts);
}

int rg_sim_run(const struct rg_sim_options *options, rg_program_fn program, void *arg, int *results,
               struct rg_error *error)
{
    RG_ASSERT(options->size > 0);
    struct world m = {.options = options, .results = results, .error = error};
    m.energy = all_have_watts(options);
    rg_engine_start(options->platform, options->link_rate > 0 ? options->link_rate : 1, m.energy);
    m.hosts = rg_sim_take((size_t)options->size, sizeof(sg_host_t));
    int result = rg_engine_hosts(options->platform, options->hosts, options->boards, options->size,
                                 m.hosts, error);
    if (result == 0)
        result = rg_sim_ports_check(m.hosts, options->boards, options->size, error);
    if (result) {
        free_world(&m);
        return result;
    }
    m.faults = rg_sim_faults_new(options->faults, options->seed, m.hosts, options->size);
    m.ports = rg_sim_ports_new(m.hosts, options->boards, options->size, m.energy, m.faults);
    rg_sim_ports_follow_latencies(m.ports, options->latencies_change);
    m.dead = rg_sim_take((size_t)options->size, sizeof *m.dead);
    m.exchange = rg_exchange_new(options->size, 1e-12, &exchange_ops, &m);
    RG_ASSERT(m.exchange);
    m.pumps = (struct rg_sim_pumps){.exchange = m.exchange,
                                    .host = m.hosts[0],
                                    .world = &m,
                                    .note_ring = note_ring,
                                    .carried = carried};
    for (int rank = 0; rank < options->size; rank++) {
        results[rank] = RG_ERR_DEADLOCK; /* until it returns */
        start_strand(&m, rank, NULL, program, arg);
    }
    simgrid_run();
    if (options->end_s)
        *options->end_s = m.end_s;
    if (rg_exchange_deadlocked(m.exchange))
        result = RG_ERR_DEADLOCK;
    else if (m.strands)
        result = rg_fail(error, RG_ERR_INTERNAL, "the simulation ended before its programs");
    rg_sim_faults_free(m.faults);
    free_world(&m);
    return result;
}
