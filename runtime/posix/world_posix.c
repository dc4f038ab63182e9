/* The world of sockets: what programs call.
 *
 * Happy path: a run begins with a barrier (mesh.c); sends are written by the thread that posts them
 * as far as the socket takes them, waiting strands and the comm thread do the rest (comm.c).
 *
 * Failure modes handled: peers that are lost or leave early (match.c completes what waits for
 * them); interruption at any moment; programs that return with requests pending (strands.c). */
#include "posix/mesh.h"

#include "meters/meter.h"

#include "base/clock.h"
#include <math.h>
#include <signal.h>
#include <unistd.h>

/* Seconds of computing since the sockets were looked at last: worth saying what is to be said (less
 * may wait, and go with what comes next); worth waking the comm thread for. They are expected from
 * what this strand has computed so far, for these must hold on a Pi Zero as on a desk. */
#define SHORT_S     2e-5
#define LONG_S      5e-4
#define FIRST_RATE  1e10 /* FLOP plus bytes a second, until one has been seen */
#define RATE_WEIGHT 0.1  /* of the latest computation in the mean */
#define RATE_LEAST  1e-5 /* seconds: what is shorter tells more of the clock than of the kernel */

/* ---- clock, compute, iterations ---- */

static double now(struct rg_world *w)
{
    (void)w;
    return rg_clock_s();
}

static double day(struct rg_world *w)
{
    (void)w;
    return rg_clock_day_s();
}

static void run_kernel(struct rg_posix_strand *s, double units, rg_compute_fn fn, void *arg)
{
    struct rg_mesh *m = s->mesh;
    double begin = rg_clock_s();
    atomic_fetch_add(&m->computing, 1);
    fn(arg);
    atomic_fetch_sub(&m->computing, 1);
    double took = rg_clock_s() - begin;
    if (units > 0 && took > RATE_LEAST)
        s->rate += (s->rate > 0 ? RATE_WEIGHT : 1) * (units / took - s->rate);
}

static int compute(struct rg_world *w, const struct rg_work *work, rg_compute_fn fn, void *arg)
{
    struct rg_mesh *m = rg_posix_strand_of(w)->mesh;
    if (m->pace && !w->untimed) {
        rg_pace_compute(rg_posix_strand_of(w), work, fn, arg);
        return 0;
    }
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    double units = work ? rg_work_flops(work) + rg_work_bytes(work) : 0;
    rg_comm_lock(m);
    m->undriven_s += units / (s->rate > 0 ? s->rate : FIRST_RATE);
    if (m->undriven_s > LONG_S)
        rg_comm_take_over(m);
    else if (m->undriven_s > SHORT_S)
        rg_link_flush_dirty(m);
    rg_comm_unlock(m);
    if (fn)
        run_kernel(s, units, fn, arg);
    return 0;
}

struct last {
    const struct rg_match *match;
    uint64_t update;
};

static int knows_last(void *arg)
{
    struct last *last = arg;
    return rg_match_last_update(last->match, &last->update);
}

/* Under the lock, after an update or between two. A rank that this run does not need may have been
 * lost: what comes after it cannot be run. */
static int may_go_on(struct rg_posix_strand *s)
{
    struct rg_mesh *m = s->mesh;
    struct last last = {.match = &m->match};
    int result = 0;
    if (atomic_load(&m->match.interrupted))
        return RG_ERR_INTERRUPTED;
    if (m->lost.rank >= 0)
        return RG_ERR_PEER;
    if (atomic_load(&m->match.winding)) {
        m->match.between = true; /* before others are told how far this rank will go */
        rg_match_spread_interruption(&m->match);
        s->awaits = -1;
        result = rg_comm_wait(s, knows_last, &last, INFINITY);
        if (result == 0)
            result = m->match.updates >= last.update;
    }
    m->match.between = result != 0;
    return result;
}

static int iteration(struct rg_world *w, int64_t i)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    rg_comm_lock(s->mesh);
    s->mesh->match.updates = (uint64_t)i + 1;
    int result = may_go_on(s);
    rg_comm_unlock(s->mesh);
    return result;
}

/* Updates are counted on from those of the state that training goes on from. */
static int go_on(struct rg_world *w)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    rg_comm_lock(s->mesh);
    s->mesh->match.updates = (uint64_t)w->iterations;
    int result = may_go_on(s);
    rg_comm_unlock(s->mesh);
    return result;
}

static void die(struct rg_world *w)
{
    (void)w;
    kill(getpid(), SIGKILL);
}

/* ---- barriers ---- */

static int heard(void *arg)
{
    return rg_match_heard_barrier(arg);
}

/* Dissemination, as rg_barrier, in frames that belong to no message. */
int rg_posix_barrier(struct rg_world *w)
{
    struct rg_posix_strand *s = rg_posix_strand_of(w);
    struct rg_mesh *m = s->mesh;
    int result = 0, n = w->size;
    rg_comm_lock(m);
    s->idle = true;
    m->match.between |= !w->untimed; /* the clock is to start or stop; else it goes on */
    m->match.barrier++;
    for (int step = 1; step < n && result == 0; step *= 2) {
        int to = (w->rank + step) % n, from = (w->rank - step + n) % n;
        rg_match_say_barrier(&m->match.pairs[to]);
        rg_link_flush(&m->links[to]);
        s->awaits = from;
        result = rg_comm_wait(s, heard, &m->match.pairs[from], INFINITY);
    }
    rg_comm_posted(m);
    rg_comm_unlock(m);
    return result;
}

/* ---- energy, and all of it together ---- */

static void energy(struct rg_world *w, double date, struct rg_energy *so_far)
{
    struct rg_meter *meter = rg_posix_strand_of(w)->mesh->meter;
    if (meter)
        rg_meter_energy(meter, date, so_far);
}

static bool settle(struct rg_world *w, const struct rg_clock_section *sections, int count,
                   const struct rg_clock_map *clocks, double *joules, struct rg_energy *whole)
{
    struct rg_meter *meter = rg_posix_strand_of(w)->mesh->meter;
    return meter && rg_meter_settle(meter, sections, count, clocks, joules, whole);
}

const struct rg_world_ops rg_posix_ops = {.moves_bytes = true,
                                          .name = "posix",
                                          .now = now,
                                          .day = day,
                                          .send = rg_posix_post,
                                          .recv = rg_posix_post,
                                          .wait_any = rg_posix_wait_any,
                                          .wait_any_or_stop = rg_posix_wait_any_or_stop,
                                          .cancel = rg_posix_cancel,
                                          .compute = compute,
                                          .iteration = iteration,
                                          .go_on = go_on,
                                          .barrier = rg_posix_barrier,
                                          .spawn = rg_posix_spawn,
                                          .join = rg_posix_join,
                                          .die = die,
                                          .energy = energy,
                                          .settle = settle};
