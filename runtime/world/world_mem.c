/* Happy path: every strand is a thread that waits for its own semaphore, its baton. The strand that
 * runs decides, when it blocks or ends, who is next: one of those that could run, drawn by seed;
 * where none can, the clock jumps to the next event (a message has left, a strand's date has come).
 *
 * Failure modes handled: nobody can run and no event is due (deadlock: every strand is woken and
 * told); a rank that dies, by its own call or injected (its strands jump out of their program where
 * they stand; what they had allocated is not freed, as on a board that loses power); no memory or
 * threads.
 *
 * No locks: the baton orders all accesses. */
#include "world/world_mem.h"

#include "base/check.h"
#include "base/need.h"
#include "base/random.h"
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum condition { BLOCKED, READY, RUNNING, FINISHED };

struct strand {
    struct rg_endpoint endpoint; /* first: a handle is a strand */
    struct world *world;
    rg_program_fn program;
    void *arg;
    int result;
    enum condition condition;
    uint64_t serial; /* of the current block; events of earlier ones are stale */
    sem_t baton;
    pthread_t thread;
    jmp_buf death;
    struct strand *parent, *next; /* next: of the world */
    int strands;                  /* spawned so far */
    int unjoined;
};

struct event {
    double date;
    uint64_t order;             /* among events of one date: drawn */
    struct rg_message *message; /* has left; or NULL: */
    struct strand *strand;      /* may go on, if its serial is still: */
    uint64_t serial;
};

struct world {
    const struct rg_mem_world_options *options;
    struct rg_exchange *exchange;
    double now;
    uint64_t draws;
    struct event *events; /* a binary heap */
    size_t event_count, event_capacity;
    struct strand **ready;
    size_t ready_count, ready_capacity;
    struct strand *strands;
    int *results;
    long *operations; /* by rank */
    bool *dead;
    int live; /* strands that have not finished */
    sem_t over;
};

static const struct rg_world_ops ops;

static struct strand *strand_of(struct rg_world *w)
{
    return (struct strand *)w;
}

static uint64_t draw(struct world *m)
{
    return rg_mix64(rg_mix64(m->options->seed) + m->draws++);
}

/* Uniform in [0, 1). */
static double draw_share(struct world *m)
{
    return (double)(draw(m) >> 11) * 0x1p-53;
}

static void *grow(void *array, size_t count, size_t *capacity, size_t unit)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? 2 * *capacity : 64;
    return rg_need(array, *capacity * unit);
}

/* ---- events ---- */

static bool earlier(const struct event *a, const struct event *b)
{
    return a->date < b->date || (a->date == b->date && a->order < b->order);
}

static void push_event(struct world *m, struct event event)
{
    m->events = grow(m->events, m->event_count, &m->event_capacity, sizeof *m->events);
    event.order = draw(m);
    size_t i = m->event_count++;
    for (; i > 0 && earlier(&event, &m->events[(i - 1) / 2]); i = (i - 1) / 2)
        m->events[i] = m->events[(i - 1) / 2];
    m->events[i] = event;
}

static struct event pop_event(struct world *m)
{
    struct event top = m->events[0], last = m->events[--m->event_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < m->event_count; i = child) {
        if (child + 1 < m->event_count && earlier(&m->events[child + 1], &m->events[child]))
            child++;
        if (!earlier(&m->events[child], &last))
            break;
        m->events[i] = m->events[child];
    }
    m->events[i] = last;
    return top;
}

/* ---- the scheduler ---- */

static void make_ready(struct strand *s)
{
    struct world *m = s->world;
    if (s->condition != BLOCKED)
        return;
    m->ready = grow(m->ready, m->ready_count, &m->ready_capacity, sizeof *m->ready);
    s->condition = READY;
    m->ready[m->ready_count++] = s;
}

static void handle(struct world *m, const struct event *event)
{
    m->now = event->date;
    if (event->message) {
        double travel = m->options->latency_s + m->options->jitter_s * draw_share(m);
        rg_exchange_left(m->exchange, event->message, m->now + travel);
    } else if (event->strand && event->strand->serial == event->serial) {
        make_ready(event->strand);
    }
}

/* Who runs next; NULL when all have finished. */
static struct strand *choose(struct world *m)
{
    while (m->ready_count == 0) {
        if (m->live == 0)
            return NULL;
        if (m->event_count == 0) {
            rg_exchange_deadlock(m->exchange,
                                 rg_exchange_deadlocked(m->exchange) ? NULL : m->options->error);
            for (struct strand *s = m->strands; s; s = s->next)
                make_ready(s);
            continue;
        }
        struct event event;
        do { /* everything of one date, so that the draw is among all who could run then */
            event = pop_event(m);
            handle(m, &event);
        } while (m->event_count && m->events[0].date == event.date);
    }
    size_t i = (size_t)(draw(m) % m->ready_count);
    struct strand *next = m->ready[i];
    m->ready[i] = m->ready[--m->ready_count];
    next->condition = RUNNING;
    return next;
}

static void take_baton(struct strand *s)
{
    while (sem_wait(&s->baton) != 0)
        ; /* a signal */
}

/* Let another strand run; the caller's condition says when it may go on. */
static void yield(struct strand *s)
{
    struct strand *next = choose(s->world);
    if (next != s) {
        sem_post(&next->baton);
        take_baton(s);
    }
    if (s->world->dead[s->endpoint.handle.rank])
        longjmp(s->death, 1);
}

static void block(struct strand *s, double date)
{
    struct world *m = s->world;
    s->condition = BLOCKED;
    s->serial++;
    if (date <= m->now)
        make_ready(s);
    else if (date < INFINITY)
        push_event(m, (struct event){.date = date, .strand = s, .serial = s->serial});
    yield(s);
}

static void pause_until(struct strand *s, double date)
{
    while (s->world->now < date)
        block(s, date);
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
            make_ready(s);
    longjmp(self->death, 1);
}

/* Every call begins here: a fault may strike, and another strand may get a turn. */
static struct strand *enter(struct rg_world *w)
{
    struct strand *s = strand_of(w);
    struct world *m = s->world;
    long operation = ++m->operations[w->rank];
    for (int i = 0; i < RG_MEM_DEATHS; i++)
        if (m->options->deaths[i].operation == operation && m->options->deaths[i].rank == w->rank)
            die(w);
    if (draw(m) % 8 == 0)
        block(s, m->now);
    return s;
}

/* ---- the exchange's world ---- */

static double exchange_now(void *world)
{
    return ((struct world *)world)->now;
}

static void exchange_start(void *world, struct rg_message *message, void *route)
{
    struct world *m = world;
    (void)route;
    double takes = m->options->message_s + (double)message->bytes * m->options->byte_s;
    push_event(m, (struct event){.date = m->now + takes, .message = message});
}

static void exchange_wake(void *world, struct rg_endpoint *e, double date)
{
    struct world *m = world;
    struct strand *s = (struct strand *)e;
    if (date <= m->now)
        make_ready(s);
    else if (date < INFINITY)
        push_event(m, (struct event){.date = date, .strand = s, .serial = s->serial});
}

static void exchange_block(void *world, struct rg_endpoint *e, double date)
{
    (void)world;
    block((struct strand *)e, date);
}

static void exchange_wake_waiting(void *world)
{
    struct world *m = world;
    for (struct strand *s = m->strands; s; s = s->next)
        if (s->endpoint.waiting_in)
            make_ready(s);
}

static const struct rg_exchange_ops exchange_ops = {.now = exchange_now,
                                                    .start = exchange_start,
                                                    .wake = exchange_wake,
                                                    .block = exchange_block,
                                                    .wake_waiting = exchange_wake_waiting};

/* ---- the world's operations ---- */

static double now(struct rg_world *w)
{
    return strand_of(w)->world->now;
}

static int send(struct rg_world *w, struct rg_request *request)
{
    struct strand *s = enter(w);
    return rg_exchange_send(s->world->exchange, &s->endpoint, request);
}

static int recv(struct rg_world *w, struct rg_request *request)
{
    struct strand *s = enter(w);
    return rg_exchange_recv(s->world->exchange, &s->endpoint, request);
}

static int wait_any(struct rg_world *w, struct rg_request *const *requests, int n, double deadline,
                    int *index)
{
    struct strand *s = enter(w);
    return rg_exchange_wait_any(s->world->exchange, &s->endpoint, requests, n, deadline, index);
}

static int cancel(struct rg_world *w, struct rg_request *request)
{
    struct strand *s = enter(w);
    return rg_exchange_cancel(s->world->exchange, &s->endpoint, request);
}

static int compute(struct rg_world *w, const struct rg_work *work, rg_compute_fn fn, void *arg)
{
    struct strand *s = enter(w);
    struct world *m = s->world;
    const struct rg_mem_world_options *o = m->options;
    double seconds = 0;
    if (o->seconds)
        seconds = o->seconds(o->seconds_arg, w->rank, work);
    else if (o->rate > 0)
        seconds = rg_work_flops(work) / o->rate;
    if (o->compute_jitter > 0)
        seconds *= 1 + o->compute_jitter * draw_share(m);
    if (fn)
        fn(arg);
    pause_until(s, m->now + seconds);
    return 0;
}

static int iteration(struct rg_world *w, int64_t i)
{
    const struct world *m = enter(w)->world;
    const struct rg_mem_world_options *o = m->options;
    if (rg_exchange_has_lost(m->exchange))
        return RG_ERR_PEER;
    return o->iteration ? o->iteration(o->iteration_arg, w, i) : 0;
}

static int barrier(struct rg_world *w)
{
    struct strand *s = enter(w);
    return rg_exchange_barrier(s->world->exchange, &s->endpoint);
}

static void run_program(struct strand *s)
{
    struct world *m = s->world;
    struct rg_world *w = &s->endpoint.handle;
    s->endpoint.stack_high = __builtin_frame_address(0);
    if (setjmp(s->death) == 0) {
        if (!m->dead[w->rank]) {
            s->result = s->program(w, s->arg);
            RG_ASSERT(s->unjoined == 0);
        }
    } else {
        s->result = RG_DIED;
    }
}

static void *thread_main(void *arg)
{
    struct strand *s = arg;
    struct world *m = s->world;
    struct rg_world *w = &s->endpoint.handle;
    pthread_attr_t attributes;
    void *low = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &low, &bytes);
        pthread_attr_destroy(&attributes);
    }
    s->endpoint.stack_low = low;
    take_baton(s);
    run_program(s);
    rg_exchange_close_strand(m->exchange, &s->endpoint);
    if (s->parent) {
        if (!m->dead[w->rank])
            make_ready(s->parent);
    } else if (!m->dead[w->rank]) {
        m->results[w->rank] = s->result;
        rg_exchange_leave(m->exchange, w->rank, true);
        exchange_wake_waiting(m);
    }
    s->condition = FINISHED;
    m->live--;
    struct strand *next = choose(m);
    sem_post(next ? &next->baton : &m->over);
    return NULL;
}

static struct strand *start_strand(struct world *m, int rank, struct strand *parent,
                                   rg_program_fn program, void *arg)
{
    struct strand *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    const struct rg_mem_world_options *o = m->options;
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
    s->world = m;
    s->program = program;
    s->arg = arg;
    s->parent = parent;
    sem_init(&s->baton, 0, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, o->stack_bytes ? o->stack_bytes : (size_t)1 << 20);
    int failed = pthread_create(&s->thread, &attributes, thread_main, s);
    pthread_attr_destroy(&attributes);
    if (failed) {
        sem_destroy(&s->baton);
        free(s);
        return NULL;
    }
    rg_exchange_open_strand(m->exchange, &s->endpoint);
    s->next = m->strands;
    m->strands = s;
    m->live++;
    make_ready(s);
    return s;
}

static void end_strand(struct strand *s)
{
    pthread_join(s->thread, NULL);
    struct strand **at = &s->world->strands;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    for (size_t i = 0; i < s->world->event_count; i++)
        if (s->world->events[i].strand == s) /* a wait that has come to its end before */
            s->world->events[i].strand = NULL;
    sem_destroy(&s->baton);
    free(s);
}

static int spawn(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **strand)
{
    struct strand *s = enter(w);
    struct strand *child = start_strand(s->world, w->rank, s, fn, arg);
    *strand = (struct rg_strand *)child;
    s->unjoined += child != NULL;
    return child ? 0 : RG_ERR_NOMEM;
}

static int join(struct rg_world *w, struct rg_strand *strand, int *result,
                struct rg_counters *count)
{
    struct strand *s = enter(w), *child = (struct strand *)strand;
    RG_ASSERT(child->parent == s);
    s->endpoint.waiting_in = "rg_join";
    while (child->condition != FINISHED) /* a deadlock ends the child too */
        block(s, INFINITY);
    s->endpoint.waiting_in = NULL;
    *result = child->result;
    *count = child->endpoint.handle.count;
    s->unjoined--;
    end_strand(child);
    return 0;
}

static const struct rg_world_ops ops = {
    .name = "mem",
    .now = now,
    .send = send,
    .recv = recv,
    .wait_any = wait_any,
    .cancel = cancel,
    .compute = compute,
    .iteration = iteration,
    .barrier = barrier,
    .spawn = spawn,
    .join = join,
    .die = die,
};

int rg_mem_world_run(const struct rg_mem_world_options *options, rg_program_fn program, void *arg,
                     int *results)
{
    RG_ASSERT(options->size > 0);
    size_t n = (size_t)options->size;
    struct world m = {.options = options, .results = results};
    m.exchange = rg_exchange_new(options->size, 0, &exchange_ops, &m);
    m.operations = calloc(n, sizeof *m.operations);
    m.dead = calloc(n, sizeof *m.dead);
    sem_init(&m.over, 0, 0);
    int result = m.exchange && m.operations && m.dead ? 0 : RG_ERR_NOMEM;
    for (int rank = 0; rank < options->size; rank++) {
        results[rank] = RG_ERR_NOMEM;
        if (result == 0 && !start_strand(&m, rank, NULL, program, arg))
            result = RG_ERR_NOMEM;
    }
    if (result) /* those that were started see at once that they are dead */
        for (int rank = 0; m.dead && rank < options->size; rank++)
            m.dead[rank] = true;
    struct strand *first = m.exchange && m.live ? choose(&m) : NULL;
    if (first) {
        sem_post(&first->baton);
        while (sem_wait(&m.over) != 0)
            ;
    }
    if (options->end_s)
        *options->end_s = m.now;
    if (options->operations && m.operations)
        memcpy(options->operations, m.operations, n * sizeof *m.operations);
    if (result == 0 && rg_exchange_deadlocked(m.exchange))
        result = RG_ERR_DEADLOCK;
    while (m.strands)
        end_strand(m.strands);
    rg_exchange_free(m.exchange);
    free(m.operations);
    free(m.dead);
    free(m.events);
    free(m.ready);
    sem_destroy(&m.over);
    return result;
}
