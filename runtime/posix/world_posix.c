/* The world of sockets: what programs call, and the runs of a mesh.
 *
 * Happy path: a run begins with a fence, so that nothing of it can meet anything of the run before;
 * sends are written by the thread that posts them as far as the socket takes them, waiting strands
 * and the comm thread do the rest (comm.c).
 *
 * Failure modes handled: peers that are lost or leave early (match.c completes what waits for
 * them); programs that return with requests pending, even in frames that are gone: receives are
 * taken back, sends that have begun are written to their end, or the peer is given up after LINGER;
 * interruption at any moment; no memory. */
#include "posix/world_posix.h"

#include "base/check.h"
#include "boards/board.h"
#include "posix/mesh.h"
#include "posix/meter.h"
#include "world/trace.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINGER_S  10.0 /* for what has begun to leave */
#define GOODBYE_S 1.0
/* Seconds of computing since the sockets were looked at last: worth saying what is to be said (less
 * may wait, and go with what comes next); worth waking the comm thread for. They are expected from
 * what this strand has computed so far, for these must hold on a Pi Zero as on a desk. */
#define SHORT_S     2e-5
#define LONG_S      5e-4
#define FIRST_RATE  1e10 /* FLOP plus bytes a second, until one has been seen */
#define RATE_WEIGHT 0.1  /* of the latest computation in the mean */
#define RATE_LEAST  1e-5 /* seconds: what is shorter tells more of the clock than of the kernel */
#define STACK_GAP   (64 << 10)
#define STACK_GUESS (1 << 20)

static struct rg_posix_strand *strand_of(struct rg_world *w)
{
    return (struct rg_posix_strand *)w;
}

/* ---- requests ---- */

static void disown(struct rg_op *op)
{
    struct rg_posix_strand *s = op->strand;
    *(op->previous_own ? &op->previous_own->next_own : &s->ops) = op->next_own;
    if (op->next_own)
        op->next_own->previous_own = op->previous_own;
    op->request = NULL;
    rg_match_release(op);
}

static int post(struct rg_world *w, struct rg_request *request)
{
    struct rg_posix_strand *s = strand_of(w);
    struct rg_mesh *m = s->mesh;
    struct rg_peer *p = &m->peers[request->peer];
    bool send = request->flags & RG_REQUEST_SEND;
    lock_mesh(m);
    struct rg_op *op = rg_pool_op(m);
    int result = op ? 0 : RG_ERR_NOMEM;
    if (op) {
        *op = (struct rg_op){.next_own = s->ops,
                             .strand = s,
                             .request = request,
                             .peer = p,
                             .buffer = request->buffer,
                             .bytes = request->capacity,
                             .tag = request->tag,
                             .send = send,
                             .upto = request->flags & RG_REQUEST_UPTO};
        request->link = op;
        if (s->ops)
            s->ops->previous_own = op;
        s->ops = op;
        result = send ? rg_match_send(p, op) : rg_match_recv(p, op);
    }
    if (op && result)
        disown(op);
    else if (op && p->rank == m->rank)
        rg_match_self(p);
    else if (op && send)
        rg_link_flush(p);
    rg_comm_posted(m);
    unlock_mesh(m);
    if (result)
        request->status = result;
    return result;
}

/* The program sees a completion. */
static void finish(struct rg_op *op)
{
    struct rg_request *request = op->request;
    double begin = op->begin, end = op->end;
    bool late = op->late;
    request->status = op->outcome;
    if (!op->send)
        request->bytes = op->arrived;
    disown(op);
    if (request->status == 0)
        rg_message_done(request->owner, request, begin, end, late);
}

struct look {
    struct rg_request *const *requests;
    int n, *index;
};

static int look(void *arg)
{
    const struct look *l = arg;
    for (int i = 0; i < l->n; i++) {
        struct rg_request *request = l->requests[i];
        if (!request)
            continue;
        struct rg_op *op = request->link;
        if (request->status == RG_PENDING && !op->done)
            continue;
        if (request->status == RG_PENDING)
            finish(op);
        *l->index = i;
        return 0;
    }
    return RG_PENDING;
}

static int wait_any(struct rg_world *w, struct rg_request *const *requests, int n, double deadline,
                    int *index)
{
    struct rg_posix_strand *s = strand_of(w);
    struct look l = {requests, n, index};
    lock_mesh(s->mesh);
    int result = look(&l);
    s->idle |= result != 0;
    if (result)
        result = rg_comm_wait(s, look, &l, deadline);
    unlock_mesh(s->mesh);
    return result;
}

static int written(void *arg)
{
    const struct rg_op *op = arg;
    return op->done || rg_link_written(op) ? 0 : RG_PENDING;
}

/* A send that has begun is written to its end, in spite of interruptions, before its buffer is
 * given back; a peer that does not take it for LINGER is lost. */
static void cancel_begun(struct rg_posix_strand *s, struct rg_op *op)
{
    struct rg_request *request = op->request;
    bool closing = s->closing;
    s->closing = true;
    if (rg_comm_wait(s, written, op, rg_posix_clock() + LINGER_S) == RG_ERR_TIMEOUT)
        rg_link_lose(op->peer, RG_ERR_PEER, "it takes no data");
    s->closing = closing;
    if (op->done) {
        finish(op);
    } else {
        request->status = 0;
        disown(op);
    }
}

static int cancel(struct rg_world *w, struct rg_request *request)
{
    struct rg_posix_strand *s = strand_of(w);
    struct rg_op *op = request->link;
    lock_mesh(s->mesh);
    if (op->done) {
        finish(op);
    } else if (rg_match_cancel(op->peer, op)) {
        request->status = RG_ERR_CANCELLED;
        disown(op);
        if (op->peer->rank == s->mesh->rank)
            rg_match_self(op->peer);
        rg_comm_posted(s->mesh);
    } else {
        cancel_begun(s, op);
    }
    unlock_mesh(s->mesh);
    return 0;
}

/* ---- clock, compute, iterations ---- */

static double now(struct rg_world *w)
{
    (void)w;
    return rg_posix_clock();
}

static double day(struct rg_world *w)
{
    (void)w;
    return rg_posix_day();
}

static void run_kernel(struct rg_posix_strand *s, double units, rg_compute_fn fn, void *arg)
{
    double begin = rg_posix_clock();
    fn(arg);
    double took = rg_posix_clock() - begin;
    if (units > 0 && took > RATE_LEAST)
        s->rate += (s->rate > 0 ? RATE_WEIGHT : 1) * (units / took - s->rate);
}

static int compute(struct rg_world *w, const struct rg_work *work, rg_compute_fn fn, void *arg)
{
    struct rg_mesh *m = strand_of(w)->mesh;
    if (m->pace && !w->untimed) {
        rg_pace_compute(strand_of(w), work, fn, arg);
        return 0;
    }
    struct rg_posix_strand *s = strand_of(w);
    double units = work ? rg_work_flops(work) + rg_work_bytes(work) : 0;
    lock_mesh(m);
    m->undriven_s += units / (s->rate > 0 ? s->rate : FIRST_RATE);
    if (m->undriven_s > LONG_S)
        rg_comm_take_over(m);
    else if (m->undriven_s > SHORT_S)
        rg_link_flush_dirty(m);
    unlock_mesh(m);
    if (fn)
        run_kernel(s, units, fn, arg);
    return 0;
}

/* A rank that this run does not need may have been lost: what comes after it cannot be run. */
static int iteration(struct rg_world *w, long i)
{
    struct rg_mesh *m = strand_of(w)->mesh;
    struct rg_mesh_lost lost;
    (void)i;
    if (atomic_load(&m->interrupted))
        return RG_ERR_INTERRUPTED;
    return rg_mesh_lost(m, &lost) ? RG_ERR_PEER : 0;
}

static void die(struct rg_world *w)
{
    (void)w;
    kill(getpid(), SIGKILL);
}

/* ---- fences ---- */

struct gate {
    const struct rg_mesh *mesh;
    const struct rg_peer *from;
};

static int passed(void *arg)
{
    const struct gate *gate = arg;
    const struct rg_mesh *m = gate->mesh;
    const struct rg_peer *from = gate->from;
    /* A peer whose fence is of a later run has passed this one and left. */
    if (from->fence_run > m->run || (from->fence_run == m->run && from->fence_seen >= m->fence))
        return 0;
    return from->left ? rg_match_absence(from) : RG_PENDING;
}

/* Dissemination, as rg_barrier, in frames that belong to no message. */
static int fence(struct rg_world *w)
{
    struct rg_posix_strand *s = strand_of(w);
    struct rg_mesh *m = s->mesh;
    int result = 0, n = w->size;
    lock_mesh(m);
    s->idle = true;
    m->fence++;
    for (int step = 1; step < n && result == 0; step *= 2) {
        struct rg_peer *to = &m->peers[(w->rank + step) % n];
        struct gate gate = {m, &m->peers[(w->rank - step + n) % n]};
        to->tx_fence = m->fence;
        to->tx_fence_run = m->run;
        rg_link_dirty(to);
        rg_link_flush(to);
        result = rg_comm_wait(s, passed, &gate, INFINITY);
    }
    rg_comm_posted(m);
    unlock_mesh(m);
    return result;
}

/* ---- strands ---- */

static void open_strand(struct rg_posix_strand *s, struct rg_mesh *m,
                        const struct rg_world_ops *ops, int size)
{
    memset(s, 0, sizeof *s);
    rg_world_init(&s->handle, ops, m->rank, size);
    s->mesh = m;
    s->idle = true;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Is everything that this strand has begun to send written? */
static int all_written(void *arg)
{
    const struct rg_posix_strand *s = arg;
    for (const struct rg_op *op = s->ops; op; op = op->next_own)
        if (op->send && !op->done && op->listed && !rg_link_written(op))
            return RG_PENDING;
    for (int r = 0; r < s->mesh->size && s->handle.strand == 0; r++)
        if (s->mesh->peers[r].tx_fence && s->mesh->peers[r].fd >= 0 && !s->mesh->peers[r].mute)
            return RG_PENDING;
    return 0;
}

/* Take back all that is pending. The program's frames are gone: requests there are not touched. */
static void close_strand(struct rg_posix_strand *s)
{
    s->closing = true;
    for (struct rg_op *op = s->ops, *next; op; op = next) {
        next = op->next_own;
        uintptr_t at = (uintptr_t)op->request;
        bool gone = at >= s->stack_low && at < s->stack_high;
        if (!gone)
            op->request->status = op->done ? op->outcome : RG_ERR_CANCELLED;
        if (op->done || rg_match_cancel(op->peer, op))
            disown(op);
    }
    if (rg_comm_wait(s, all_written, s, rg_posix_clock() + LINGER_S) == RG_ERR_TIMEOUT)
        for (struct rg_op *op = s->ops, *next; op; op = next) {
            next = op->next_own;
            if (!op->done && !rg_link_written(op))
                rg_link_lose(op->peer, RG_ERR_PEER, "it takes no data");
        }
    while (s->ops)
        disown(s->ops);
    pthread_cond_destroy(&s->wake);
}

/* Where the calling thread's stack ends, or a good guess (valgrind keeps the main thread's secret).
 */
static uintptr_t stack_bottom(uintptr_t here)
{
    pthread_attr_t attributes;
    void *base = NULL;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &base, &bytes) != 0)
            base = NULL;
        pthread_attr_destroy(&attributes);
    }
    uintptr_t guess = here - STACK_GUESS;
    return base && (uintptr_t)base < guess ? (uintptr_t)base : guess;
}

/* Calls the program well below the caller's frame: what runs after it has returned, until its
 * requests are taken back, stays clear of buffers it may have left in its frames, which the comm
 * thread may still read and write. */
__attribute__((noinline)) static int call(struct rg_posix_strand *s, rg_program_fn fn, void *arg)
{
    volatile char gap[STACK_GAP];
    gap[0] = 0;
    s->stack_high = (uintptr_t)gap;
    s->stack_low = stack_bottom(s->stack_high);
    int result = fn(&s->handle, arg);
    gap[STACK_GAP - 1] = gap[0];
    return result;
}

static const struct rg_world_ops posix_ops;

static void *strand_main(void *arg)
{
    struct rg_strand *strand = arg;
    struct rg_posix_strand *s = strand->strand;
    strand->result = call(s, strand->fn, strand->arg);
    lock_mesh(s->mesh);
    close_strand(s);
    unlock_mesh(s->mesh);
    return NULL;
}

static int spawn(struct rg_world *w, rg_program_fn fn, void *arg, struct rg_strand **out)
{
    struct rg_posix_strand *parent = strand_of(w);
    struct rg_strand *strand = calloc(1, sizeof *strand);
    struct rg_posix_strand *s = calloc(1, sizeof *s);
    if (!strand || !s)
        goto fail;
    struct rg_mesh *m = parent->mesh;
    open_strand(s, m, &posix_ops, w->size);
    s->handle.strand = ++m->strands;
    s->handle.board = w->board;
    s->handle.mem = w->mem;
    s->handle.offset = w->offset;
    s->handle.untimed = w->untimed;
    s->handle.untimed_since = w->untimed_since;
    s->handle.trace = w->trace ? rg_trace_new(w->trace->limit) : NULL;
    *strand = (struct rg_strand){.strand = s, .fn = fn, .arg = arg};
    if (pthread_create(&strand->thread, NULL, strand_main, strand) == 0) {
        *out = strand;
        return 0;
    }
    rg_trace_free(s->handle.trace);
fail:
    free(s);
    free(strand);
    return RG_ERR_NOMEM;
}

static int join(struct rg_world *w, struct rg_strand *strand, int *result,
                struct rg_counters *count)
{
    pthread_join(strand->thread, NULL);
    struct rg_world *child = &strand->strand->handle;
    *result = strand->result;
    *count = child->count;
    for (uint64_t i = 0; child->trace && i < child->trace->count; i++)
        rg_trace_add(w->trace, &child->trace->events[i]);
    rg_trace_free(child->trace);
    free(strand->strand);
    free(strand);
    return 0;
}

static void energy(struct rg_world *w, struct rg_energy *so_far)
{
    struct rg_meter *meter = strand_of(w)->mesh->meter;
    if (meter)
        rg_meter_energy(meter, so_far);
}

static bool settle(struct rg_world *w, double begin, double end, const struct rg_clock_map *clocks,
                   struct rg_energy *section)
{
    struct rg_meter *meter = strand_of(w)->mesh->meter;
    return meter && rg_meter_settle(meter, begin, end, clocks, section);
}

static const struct rg_world_ops posix_ops = {.moves_bytes = true,
                                              .name = "posix",
                                              .now = now,
                                              .day = day,
                                              .send = post,
                                              .recv = post,
                                              .wait_any = wait_any,
                                              .cancel = cancel,
                                              .compute = compute,
                                              .iteration = iteration,
                                              .fence = fence,
                                              .spawn = spawn,
                                              .join = join,
                                              .die = die,
                                              .energy = energy,
                                              .settle = settle};

/* ---- runs ---- */

static void begin_run(struct rg_mesh *m, int size)
{
    m->run++;
    m->run_size = m->rank < size ? size : 0;
    m->fence = 0;
    m->strands = 0;
    for (int r = 0; r < m->size; r++)
        rg_match_reset(&m->peers[r]);
}

static void end_run(struct rg_mesh *m, struct rg_posix_strand *s)
{
    rg_comm_spread(m); /* before it looks as if this rank had left of its own accord */
    m->closing = true;
    close_strand(s);
    m->closing = false;
    for (int r = 0; r < m->run_size; r++) {
        struct rg_peer *p = &m->peers[r];
        p->tx_leave_run = m->run;
        p->tx_leave_lost = m->lost.rank < 0 ? RG_WIRE_NOBODY : (uint32_t)m->lost.rank;
        rg_link_dirty(p);
    }
    m->run_size = 0;
    rg_link_flush_dirty(m);
}

int rg_mesh_run(struct rg_mesh *m, int size, rg_program_fn program, void *arg, int *result,
                struct rg_error *e)
{
    RG_ASSERT(size >= 1 && size <= m->size);
    *result = 0;
    lock_mesh(m);
    begin_run(m, size);
    unlock_mesh(m);
    if (m->rank >= size)
        return 0;
    struct rg_posix_strand s;
    open_strand(&s, m, &posix_ops, size);
    int error = fence(&s.handle);
    if (error == 0)
        *result = call(&s, program, arg);
    lock_mesh(m);
    end_run(m, &s);
    if (error == RG_ERR_PEER && m->lost.rank >= 0)
        rg_fail(e, error, "%s", m->lost.text);
    else if (error)
        rg_fail(e, error, "%s", rg_strerror(error));
    unlock_mesh(m);
    return error;
}

/* ---- the mesh ---- */

static void free_mesh(struct rg_mesh *m)
{
    for (int r = 0; m->peers && r < m->size; r++) {
        rg_secure_free(m->peers[r].tls);
        if (m->peers[r].fd >= 0)
            close(m->peers[r].fd);
    }
    if (m->peers)
        free(m->peers[0].staging);
    if (m->epoll >= 0)
        close(m->epoll);
    if (m->kick >= 0)
        close(m->kick);
    rg_pool_close(m);
    pthread_mutex_destroy(&m->lock);
    free(m->peers);
    free(m);
}

static struct rg_mesh *new_mesh(const struct rg_join *options)
{
    struct rg_mesh *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    int n = options->hosts->count;
    m->rank = options->rank;
    m->size = n;
    m->quiet = options->quiet;
    m->lost.rank = -1;
    pthread_mutex_init(&m->lock, NULL);
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    m->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    m->peers = calloc((size_t)n, sizeof *m->peers);
    unsigned char *staging = malloc((size_t)n * RG_STAGING);
    for (int r = 0; m->peers && r < n; r++) {
        struct rg_peer *p = &m->peers[r];
        p->mesh = m;
        p->rank = r;
        p->fd = -1;
        p->staging = staging ? staging + (size_t)r * RG_STAGING : NULL;
        p->parcels_end = &p->parcels;
        p->segment = RG_WIRE_SEGMENT_LEAST * 4;
        rg_host_text(&options->hosts->host[r], p->host);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (!m->peers || !staging || rg_pool_open(m) != 0 || m->epoll < 0 || m->kick < 0 ||
        epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->kick, &event) != 0) {
        if (!m->peers)
            free(staging);
        free_mesh(m);
        return NULL;
    }
    return m;
}

int rg_mesh_join(const struct rg_join *options, struct rg_mesh **mesh, struct rg_error *e)
{
    *mesh = NULL;
    int n = options->hosts->count;
    RG_ASSERT(options->rank >= 0 && options->rank < n);
    struct rg_mesh *m = new_mesh(options);
    struct rg_channel *channels = calloc((size_t)n, sizeof *channels);
    if (!m || !channels) {
        free(channels);
        if (m)
            free_mesh(m);
        if (options->listener >= 0)
            close(options->listener);
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    }
    int result = rg_join_mesh(options, channels, e);
    for (int r = 0; r < n && result == 0; r++) {
        m->peers[r].fd = channels[r].fd;
        m->peers[r].tls = channels[r].tls;
        if (channels[r].tls)
            rg_secure_read_ahead(channels[r].tls);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)r};
        if (channels[r].fd >= 0 && epoll_ctl(m->epoll, EPOLL_CTL_ADD, channels[r].fd, &event) != 0)
            result = rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    }
    free(channels);
    if (result == 0 && rg_comm_start(m) != 0)
        result = rg_fail(e, RG_ERR_NOMEM, "no thread for the sockets");
    if (result)
        free_mesh(m);
    else
        *mesh = m;
    return result;
}

static int all_closed(void *arg)
{
    const struct rg_mesh *m = arg;
    for (int r = 0; r < m->size; r++)
        if (m->peers[r].fd >= 0 && !m->peers[r].mute)
            return RG_PENDING;
    return 0;
}

void rg_mesh_leave(struct rg_mesh *m)
{
    if (!m)
        return;
    struct rg_posix_strand s;
    open_strand(&s, m, &posix_ops, m->size);
    lock_mesh(m);
    s.closing = true;
    m->leaving = true;
    for (int r = 0; r < m->size; r++) {
        m->peers[r].tx_goodbye = true;
        rg_link_dirty(&m->peers[r]);
    }
    rg_link_flush_dirty(m);
    rg_comm_wait(&s, all_closed, m, rg_posix_clock() + GOODBYE_S);
    unlock_mesh(m);
    rg_comm_stop(m);
    pthread_cond_destroy(&s.wake);
    free_mesh(m);
}

void rg_mesh_meter(struct rg_mesh *m, struct rg_meter *meter)
{
    m->meter = meter;
}

int rg_mesh_rank(const struct rg_mesh *m)
{
    return m->rank;
}

int rg_mesh_size(const struct rg_mesh *m)
{
    return m->size;
}

const char *rg_mesh_host(const struct rg_mesh *m, int rank)
{
    return m->peers[rank].host;
}

void rg_mesh_pace(struct rg_mesh *m, const struct rg_board *board, int threads)
{
    m->pace = board;
    m->pace_threads = board ? RG_MIN(RG_MAX(threads, 1), board->cores) : 0;
}

void rg_mesh_interrupt(struct rg_mesh *m)
{
    atomic_store(&m->interrupted, true);
    rg_comm_kick(m);
}

bool rg_mesh_interrupted(struct rg_mesh *m)
{
    return atomic_load(&m->interrupted);
}

void rg_mesh_expire(struct rg_mesh *m)
{
    atomic_store(&m->expired, true);
    rg_mesh_interrupt(m);
}

bool rg_mesh_expired(struct rg_mesh *m)
{
    return atomic_load(&m->expired);
}

bool rg_mesh_lost(struct rg_mesh *m, struct rg_mesh_lost *lost)
{
    lock_mesh(m);
    *lost = m->lost;
    unlock_mesh(m);
    return lost->rank >= 0;
}

void rg_mesh_facts(struct rg_mesh *m, struct rg_mesh_facts *facts)
{
    lock_mesh(m);
    *facts = m->facts;
    for (int r = 0; r < m->size; r++)
        if (m->peers[r].fd >= 0)
            rg_link_facts(&m->peers[r], facts);
    unlock_mesh(m);
}
