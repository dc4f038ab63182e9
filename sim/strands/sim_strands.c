/* Happy path: exchange.c decides what may start; the engine carries each message and reports when
 * its last byte has left. A strand that waits is rung when something it waits for has a date, and
 * sleeps until that date. In SimGrid's engine any call may let other strands run: what rings and
 * carries is noted, and done by flush() once the exchange is whole again.
 *
 * Failure modes handled: a node that dies or leaves (our own book-keeping: no strand is ever ended
 * from outside); a deadlock, seen by counting what could still go on. */
#include "sim_strands.h"

#include "base/need.h"
#include "same_date.h"

#include "base/check.h"
#include "boards/board.h"
#include "world/shared.h"
#include <math.h>
#include <stdlib.h>

/* Bytes of address space. What strategies need was measured: 7.5 KiB with any kernels of
 * OpenBLAS's, which run on one thread here; the first strand of rank 0, which tests and saves too,
 * 19 KiB. */
enum { STRAND_STACK = 24 << 10, ROOT_STACK = 64 << 10 };

#define LOOK_S 1e-6 /* between two looks at a clock that has not started */

static const struct rg_world_ops world_ops;

static struct rg_sim_strand *strand_of(struct rg_world *w)
{
    return (struct rg_sim_strand *)w;
}

/* ---- blocking and waking ---- */

/* The strand has stopped until this date. */
static void note_date(struct rg_sim_strand *s)
{
    struct rg_strands *m = s->all;
    double now = m->ops->now(m->engine), *last = &m->last_s[s->endpoint.handle.rank];
    double apart = fabs(now - *last);
    m->near_ties += apart > RG_SAME_DATE * now && apart <= RG_MIN(RG_NEAR_DATE * now, RG_NEAR_S);
    *last = now;
}

static void ring(struct rg_sim_strand *s)
{
    if (!s->blocked)
        return;
    s->blocked = false;
    s->all->active += s->until == INFINITY;
    s->all->ops->ring(s);
}

static void flush(struct rg_strands *m)
{
    if (m->ops->flush)
        m->ops->flush(m->engine);
}

static void ring_all(struct rg_strands *m)
{
    for (struct rg_sim_strand *s = m->first; s; s = s->next)
        ring(s);
}

/* Mostly there are none: nodes leave one after the other. */
static void ring_waiting(struct rg_strands *m)
{
    for (struct rg_sim_strand *s = m->first; s && m->elsewhere > 0; s = s->next)
        if (s->endpoint.waiting_in)
            ring(s);
}

/* Nothing goes on by itself any more: if strands are left, they wait for one another. */
static void check_deadlock(struct rg_strands *m)
{
    if (m->active > 0 || !m->first)
        return;
    rg_exchange_deadlock(m->exchange, rg_exchange_deadlocked(m->exchange) ? NULL : m->error);
    ring_all(m);
}

/* Stop until rung, or until `date`; may return early. */
static void block(struct rg_sim_strand *s, double date)
{
    struct rg_strands *m = s->all;
    bool elsewhere = s->endpoint.waiting_in != NULL;
    s->blocked = true;
    s->until = date;
    m->elsewhere += elsewhere;
    if (date == INFINITY) {
        m->active--;
        check_deadlock(m);
    }
    m->ops->block(s, date);
    note_date(s);
    m->elsewhere -= elsewhere;
    if (s->blocked) { /* not rung: the date has come, or a ring that came with the last date */
        s->blocked = false;
        m->active += s->until == INFINITY;
    }
    if (m->dead[s->endpoint.handle.rank] && !s->fate)
        longjmp(s->death, 1);
}

void rg_strands_carried(struct rg_strands *m)
{
    m->active--;
    check_deadlock(m);
    flush(m);
}

/* ---- the exchange's world ---- */

static void *exchange_open(void *world, int source, int target)
{
    struct rg_strands *m = world;
    return m->ops->open(m->engine, source, target);
}

static double exchange_now(void *world)
{
    struct rg_strands *m = world;
    return m->ops->seen ? m->ops->seen(m->engine) : m->ops->now(m->engine);
}

static void exchange_start(void *world, struct rg_message *message, void *route)
{
    struct rg_strands *m = world;
    m->active++;
    m->ops->carry(m->engine, message, route);
}

static void exchange_wake(void *world, struct rg_endpoint *e, double date)
{
    struct rg_strands *m = world;
    struct rg_sim_strand *s = (struct rg_sim_strand *)e;
    if (!s->blocked || !(date < s->until))
        return;
    if (!m->ops->hasten) {
        ring(s);
        return;
    }
    m->active += s->until == INFINITY;
    s->until = date;
    m->ops->hasten(s, date);
}

static void exchange_block(void *world, struct rg_endpoint *e, double date)
{
    (void)world;
    block((struct rg_sim_strand *)e, date);
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

/* ---- computing ---- */

/* `seconds` of every one of `threads` cores, if they are free; on a node that is slow at times the
 * work is cut where its speed changes: what is left then goes on at the new one. */
static void spend(struct rg_world *w, double seconds, int threads)
{
    struct rg_strands *m = strand_of(w)->all;
    const struct rg_slowdown *slow = w->untimed ? NULL : m->slowdown;
    bool slows = slow && rg_slowdown_slows(slow, w->rank);
    double left[RG_SIM_THREADS], most = seconds;
    for (int i = 0; i < threads && most > 0; i++)
        left[i] = seconds * m->ops->speed(m->engine, w->rank);
    while (most > 0) {
        double until = INFINITY, factor = 1;
        if (slows)
            factor = rg_slowdown_speed(slow, w->rank, rg_now(w) + RG_WINDOW_INSTANT, &until);
        for (int i = 0; i < threads; i++)
            left[i] /= factor;
        m->ops->execute(strand_of(w), left, threads, until);
        note_date(strand_of(w));
        most = 0;
        for (int i = 0; i < threads; i++) {
            left[i] *= factor;
            most = RG_MAX(most, left[i]);
        }
    }
}

static struct rg_sim_spent measure(struct rg_sim_strand *s, const struct rg_work *work)
{
    struct rg_strands *m = s->all;
    const struct rg_world *w = &s->endpoint.handle;
    int threads = m->options->threads > 0 ? m->options->threads : 1;
    double seconds, alone = 0;
    if (w->board) {
        threads = RG_MIN(RG_MIN(threads, w->board->cores), RG_SIM_THREADS);
        struct rg_seconds on_board = rg_board_kept_seconds(w->board, work, threads);
        seconds = on_board.all;
        alone = on_board.alone;
    } else {
        threads = 1;
        seconds = rg_work_flops(work) / m->ops->speed(m->engine, w->rank);
    }
    double longer = 1 + m->options->uneven * (w->rank + 1) / w->size;
    seconds *= longer;
    alone *= longer;
    if (seconds > 0 && m->slowdown && !w->untimed) {
        double asked = seconds;
        seconds = rg_slowdown_jitter(m->slowdown, &s->jitter, seconds);
        alone *= seconds / asked;
    }
    return (struct rg_sim_spent){.seconds = seconds - alone, .alone = alone, .threads = threads};
}

/* May not return: its node has died. */
static void spend_all(struct rg_sim_strand *s, struct rg_sim_spent spent)
{
    struct rg_world *w = &s->endpoint.handle;
    spend(w, spent.seconds, spent.threads);
    spend(w, spent.alone, 1);
    if (s->all->dead[w->rank])
        longjmp(s->death, 1);
}

static void pay_owed(struct rg_sim_strand *s)
{
    struct rg_strands *m = s->all;
    int count = s->owed_count;
    struct rg_sim_spent owed = s->owed;
    double begin = m->ops->now(m->engine);
    s->owed_count = 0;
    s->owed = (struct rg_sim_spent){0};
    spend_all(s, owed);
    rg_compute_done(&s->endpoint.handle, s->row, count, begin, m->ops->now(m->engine));
}

/* The program is about to do or see something: what it owes comes first. */
static inline void pay(struct rg_sim_strand *s)
{
    if (s->owed_count > 0)
        pay_owed(s);
}

static void note_owed(struct rg_sim_strand *s, const char *name, int unit, double seconds)
{
    if (s->endpoint.handle.trace && !s->row && s->owed_count == 0)
        s->row = rg_need_zeroed(RG_SIM_ROW, sizeof *s->row);
    if (s->row)
        s->row[s->owed_count] = (struct rg_computed){name, unit, seconds};
    s->owed_count++;
}

/* Of a node that is one strand: another would see what comes after it before its time. Nor of one
 * that may lose its power meanwhile. Where the end of a computation on several cores is one core's,
 * no other is added to it. */
static bool owe(struct rg_world *w, const struct rg_work *work, const char *name, int unit)
{
    struct rg_sim_strand *s = strand_of(w);
    if (s->parent || s->unjoined > 0 || s->all->mortal)
        return false;
    struct rg_sim_spent spent = measure(s, work), *owed = &s->owed;
    if (owed->alone > 0 || s->owed_count == RG_SIM_ROW)
        pay(s);
    owed->threads = spent.threads;
    owed->seconds += spent.threads > 1 ? spent.seconds : spent.seconds + spent.alone;
    owed->alone = spent.threads > 1 ? spent.alone : 0;
    note_owed(s, name, unit, spent.seconds + spent.alone);
    return true;
}

static int compute(struct rg_world *w, const struct rg_work *work, rg_compute_fn fn, void *arg)
{
    struct rg_sim_strand *s = strand_of(w);
    pay(s);
    if (fn)
        fn(arg);
    spend_all(s, measure(s, work));
    return 0;
}

/* ---- the world's operations ---- */

static double now(struct rg_world *w)
{
    struct rg_strands *m = strand_of(w)->all;
    pay(strand_of(w));
    return m->ops->now(m->engine);
}

static int send(struct rg_world *w, struct rg_request *request)
{
    struct rg_sim_strand *s = strand_of(w);
    pay(s);
    int result = rg_exchange_send(s->all->exchange, &s->endpoint, request);
    flush(s->all);
    return result;
}

static int recv(struct rg_world *w, struct rg_request *request)
{
    struct rg_sim_strand *s = strand_of(w);
    pay(s);
    int result = rg_exchange_recv(s->all->exchange, &s->endpoint, request);
    flush(s->all);
    return result;
}

static int wait_any(struct rg_world *w, struct rg_request *const *requests, int n, double deadline,
                    int *index)
{
    struct rg_sim_strand *s = strand_of(w);
    pay(s);
    return rg_exchange_wait_any(s->all->exchange, &s->endpoint, requests, n, deadline, index);
}

static int cancel(struct rg_world *w, struct rg_request *request)
{
    struct rg_sim_strand *s = strand_of(w);
    pay(s);
    int result = rg_exchange_cancel(s->all->exchange, &s->endpoint, request);
    flush(s->all);
    return result;
}

static int iteration(struct rg_world *w, int64_t i)
{
    const struct rg_strands *m = strand_of(w)->all;
    const struct rg_sim_options *o = m->options;
    pay(strand_of(w));
    if (rg_exchange_has_lost(m->exchange))
        return RG_ERR_PEER;
    return o->iteration ? o->iteration(o->iteration_arg, w, i) : 0;
}

static void clock_changed(struct rg_world *w)
{
    struct rg_strands *m = strand_of(w)->all;
    if (isnan(m->begun_s))
        m->begun_s = w->offset;
    if (w->rank == 0 && m->ops->clock)
        m->ops->clock(m->engine, w);
}

static int barrier(struct rg_world *w)
{
    struct rg_sim_strand *s = strand_of(w);
    pay(s);
    return rg_exchange_barrier(s->all->exchange, &s->endpoint);
}

/* What the node has drawn until now, where somebody wants that. */
static void note_drawn(struct rg_strands *m, int rank)
{
    if (!m->options->drawn_J)
        return;
    double *drawn_J = &m->options->drawn_J[rank];
    *drawn_J = NAN;
    if (m->energy)
        *drawn_J = m->ops->processor_J(m->engine, rank) + m->ops->port_J(m->engine, rank) +
                   m->options->boards[rank]->switch_watts * m->ops->now(m->engine);
}

/* The rank has no power any more, which nobody has noticed yet. */
static void fall_silent(struct rg_strands *m, int rank)
{
    note_drawn(m, rank);
    m->dead[rank] = true;
    m->results[rank] = RG_DIED;
    rg_exchange_silence(m->exchange, rank);
    for (struct rg_sim_strand *s = m->first; s; s = s->next)
        if (s->endpoint.handle.rank == rank && !s->fate)
            ring(s);
}

static void die(struct rg_world *w)
{
    struct rg_sim_strand *self = strand_of(w);
    struct rg_strands *m = self->all;
    pay(self);
    fall_silent(m, w->rank);
    rg_exchange_leave(m->exchange, w->rank, false);
    ring_waiting(m);
    longjmp(self->death, 1);
}

/* Until the node's power goes. */
static double until_off(const struct rg_strands *m, int rank)
{
    const struct rg_sim_options *o = m->options;
    double now = m->ops->now(m->engine), off = o->off_s[rank];
    if (o->since_s > 0)
        return off - o->since_s - now;
    if (off == 0)
        return 0;
    return isnan(m->begun_s) ? RG_MAX(off, LOOK_S) : off - (now - m->begun_s);
}

/* The strand of a node that is to lose its power. It ends with the node's program, or once all have
 * noticed. */
static void await_fate(struct rg_sim_strand *s)
{
    struct rg_strands *m = s->all;
    int rank = s->endpoint.handle.rank;
    double left;
    while (m->nodes[rank] && (left = until_off(m, rank)) > RG_WINDOW_INSTANT)
        block(s, m->ops->now(m->engine) + left);
    if (!m->nodes[rank])
        return;
    fall_silent(m, rank);
    flush(m);
    double noticed = m->ops->now(m->engine) + m->options->noticed_s;
    while (m->left > 0 && noticed - m->ops->now(m->engine) > RG_WINDOW_INSTANT)
        block(s, noticed);
    rg_exchange_leave(m->exchange, rank, false);
    ring_waiting(m);
    flush(m);
}

/* The node's program has ended: nobody need wait for what becomes of it. */
static void ring_fates(struct rg_strands *m, int rank)
{
    m->nodes[rank] = NULL;
    m->left--;
    for (int r = 0; r < m->options->size && m->fates; r++)
        if (m->fates[r] && (r == rank || m->left == 0))
            ring(m->fates[r]);
}

/* The engine knows what the processor has drawn, idle or computing. One that has only been idle
 * differs from idle by rounding, which is no computing. */
static void energy(struct rg_world *w, double now, struct rg_energy *so_far)
{
    (void)now; /* no time passes between the two */
    struct rg_strands *m = strand_of(w)->all;
    if (!m->energy)
        return;
    pay(strand_of(w));
    const struct rg_board *board = w->board;
    double drawn = m->ops->processor_J(m->engine, w->rank), date = m->ops->now(m->engine);
    double idle = rg_board_watts(board, 0) * date;
    double compute = fabs(drawn - idle) > 1e-12 * drawn ? drawn - idle : 0;
    *so_far = (struct rg_energy){.idle_J = idle,
                                 .compute_J = compute,
                                 .network_J = m->ops->port_J(m->engine, w->rank),
                                 .switch_J = board->switch_watts * date,
                                 .source = "model"};
}

/* ---- strands ---- */

static size_t stack_bytes(const struct rg_sim_strand *s)
{
    size_t given = s->all->options->stack_bytes;
    return given ? given : s->endpoint.handle.rank == 0 && !s->parent ? ROOT_STACK : STRAND_STACK;
}

static void run_program(struct rg_sim_strand *s)
{
    struct rg_strands *m = s->all;
    struct rg_world *w = &s->endpoint.handle;
    s->endpoint.stack_high = __builtin_frame_address(0);
    s->endpoint.stack_low = s->endpoint.stack_high - stack_bytes(s);
    if (setjmp(s->death) == 0) {
        if (!m->dead[w->rank]) {
            s->result = s->program(w, s->arg);
            pay(s);
            RG_ASSERT(s->unjoined == 0);
        }
    } else {
        s->result = RG_DIED;
    }
}

static void remove_strand(struct rg_sim_strand *s)
{
    *(s->previous ? &s->previous->next : &s->all->first) = s->next;
    if (s->next)
        s->next->previous = s->previous;
    free(s->row);
}

/* All strands have ended? Then the engine does. */
static void end_strand(struct rg_strands *m)
{
    m->active--;
    check_deadlock(m);
    if (!m->first) {
        m->end_s = m->ops->now(m->engine);
        if (m->ops->end)
            m->ops->end(m->engine);
    }
    flush(m);
}

static void fate_main(struct rg_sim_strand *s)
{
    struct rg_strands *m = s->all;
    await_fate(s);
    m->fates[s->endpoint.handle.rank] = NULL;
    rg_exchange_close_strand(m->exchange, &s->endpoint);
    remove_strand(s);
    if (m->ops->retire)
        m->ops->retire(s);
    free(s);
    end_strand(m);
}

void rg_strand_main(struct rg_sim_strand *s)
{
    struct rg_strands *m = s->all;
    struct rg_world *w = &s->endpoint.handle;
    bool node = s->parent == NULL, dead;
    if (s->fate) {
        fate_main(s);
        return;
    }
    run_program(s);
    dead = m->dead[w->rank];
    rg_exchange_close_strand(m->exchange, &s->endpoint);
    remove_strand(s);
    s->finished = true;
    if (!dead && !node)
        ring(s->parent);
    if (!dead && node) {
        note_drawn(m, w->rank);
        m->results[w->rank] = s->result;
        rg_exchange_leave(m->exchange, w->rank, true);
        ring_waiting(m);
    }
    if (node)
        ring_fates(m, w->rank);
    if (m->ops->retire)
        m->ops->retire(s);
    if (dead || node)
        free(s);
    end_strand(m); /* then the parent may free s */
}

static struct rg_sim_strand *start_strand(struct rg_strands *m, int rank,
                                          struct rg_sim_strand *parent, rg_program_fn program,
                                          void *arg)
{
    const struct rg_sim_options *o = m->options;
    struct rg_sim_strand *s = rg_need_zeroed(1, m->ops->strand_bytes);
    struct rg_world *w = &s->endpoint.handle;
    if (parent) {
        *w = parent->endpoint.handle;
        w->count = (struct rg_counters){0};
        w->strand = ++parent->spawned;
        w->marks = NULL;
    } else {
        rg_world_init(w, &world_ops, rank, o->size);
        w->board = o->boards ? o->boards[rank] : NULL;
        w->shared = m->shared;
        w->mortal = m->mortal;
    }
    if (m->slowdown)
        s->jitter = parent ? rg_fault_stream_of_strand(&parent->jitter, w->strand)
                           : rg_fault_stream_of_rank(m->slowdown, rank);
    s->all = m;
    s->program = program;
    s->arg = arg;
    s->parent = parent;
    rg_exchange_open_strand(m->exchange, &s->endpoint);
    s->next = m->first;
    if (m->first)
        m->first->previous = s;
    m->first = s;
    m->active++;
    m->ops->start(s, stack_bytes(s));
    return s;
}

static int spawn(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **strand)
{
    struct rg_sim_strand *s = strand_of(w);
    pay(s);
    *strand = (struct rg_strand *)start_strand(s->all, w->rank, s, fn, arg);
    s->unjoined++;
    return 0;
}

static int join(struct rg_world *w, struct rg_strand *strand, int *result,
                struct rg_counters *count)
{
    struct rg_sim_strand *s = strand_of(w), *child = (struct rg_sim_strand *)strand;
    RG_ASSERT(child->parent == s);
    pay(s);
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

static const struct rg_world_ops world_ops = {.name = "sim",
                                              .now = now,
                                              .send = send,
                                              .recv = recv,
                                              .wait_any = wait_any,
                                              .cancel = cancel,
                                              .compute = compute,
                                              .owe = owe,
                                              .iteration = iteration,
                                              .barrier = barrier,
                                              .clock = clock_changed,
                                              .spawn = spawn,
                                              .join = join,
                                              .die = die,
                                              .energy = energy};

/* ---- all of them ---- */

bool rg_sim_has_watts(const struct rg_sim_options *o)
{
    for (int rank = 0; rank < o->size; rank++)
        if (!o->boards || o->boards[rank]->clock_count == 0)
            return false;
    return true;
}

void rg_strands_open(struct rg_strands *m, const struct rg_sim_options *options,
                     const struct rg_sim_engine_ops *ops, void *engine, rg_program_fn program,
                     void *arg, int *results, struct rg_error *error)
{
    *m = (struct rg_strands){.options = options,
                             .ops = ops,
                             .engine = engine,
                             .results = results,
                             .begun_s = NAN,
                             .error = error,
                             .energy = rg_sim_has_watts(options)};
    m->slowdown = rg_slowdown_new(options->faults, options->seed, options->size);
    m->dead = rg_need_zeroed((size_t)options->size, sizeof *m->dead);
    m->last_s = rg_need_zeroed((size_t)options->size, sizeof *m->last_s);
    m->shared = rg_needed(rg_shared_new());
    m->exchange = rg_needed(rg_exchange_new(options->size, 1e-12, &exchange_ops, m));
    m->nodes = rg_need_zeroed((size_t)options->size, sizeof(struct rg_sim_strand *));
    m->fates = rg_need_zeroed((size_t)options->size, sizeof(struct rg_sim_strand *));
    m->left = options->size;
    for (int rank = 0; rank < options->size && options->off_s; rank++)
        m->mortal |= options->off_s[rank] < INFINITY;
    for (int rank = 0; rank < options->size; rank++) {
        results[rank] = RG_ERR_DEADLOCK; /* until it returns */
        m->nodes[rank] = start_strand(m, rank, NULL, program, arg);
    }
    for (int rank = 0; rank < options->size && options->off_s; rank++) {
        if (options->off_s[rank] == INFINITY)
            continue;
        m->fates[rank] = start_strand(m, rank, NULL, NULL, NULL);
        m->fates[rank]->fate = true;
    }
}

int rg_strands_close(struct rg_strands *m)
{
    int result = 0;
    if (m->options->end_s)
        *m->options->end_s = m->end_s;
    if (m->options->ties)
        m->options->ties->near = m->near_ties;
    if (rg_exchange_deadlocked(m->exchange))
        result = RG_ERR_DEADLOCK;
    else if (m->first)
        result = rg_fail(m->error, RG_ERR_INTERNAL, "the simulation ended before its programs");
    rg_exchange_free(m->exchange);
    rg_slowdown_free(m->slowdown);
    rg_shared_free(m->shared);
    free(m->dead);
    free(m->last_s);
    free(m->nodes);
    free(m->fates);
    return result;
}
