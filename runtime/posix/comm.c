/* Who reads and writes the sockets.
 *
 * One thread at a time drives: it sleeps in epoll_wait without the lock, then handles what has come
 * under it. A strand that waits drives by itself, which costs no change of threads: a message wakes
 * the very thread that wants it. While strands compute the comm thread drives; it steps in when
 * rg_compute says so, or when no strand has driven for a moment (GRACE), and gives way to a strand
 * that waits.
 *
 * A strand waits while
 * - nobody drives: it drives;
 * - the comm thread drives: the strand is `wanted`, a kick ends the comm thread's epoll_wait, which
 *   then wakes the strand and stands back;
 * - a strand drives: it sleeps; whoever completes its request wakes it, and a strand that stops
 *   driving wakes one that sleeps, to go on;
 * - it waits for strands of its own rank alone (`inward`): it sleeps, whoever drives or does not.
 * When it stops waiting the comm thread, if asleep without limit, is woken to watch.
 *
 * So the sockets are never without a driver for longer than a few GRACE_MOST_S while the comm
 * thread lives.
 *
 * Failure modes handled: interruption (a flag and a kick, from a signal handler); kicks that come
 * when nobody sleeps in epoll_wait stay readable, and at worst wake the next one for nothing. */
#include "posix/mesh.h"

#include "base/check.h"
#include "base/clock.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 32, PATIENCE = 8 };

#define GRACE_S      200e-6 /* grows to GRACE_MOST_S while strands drive */
#define GRACE_MOST_S 6400e-6
#define SPIN_S       250e-6 /* a strand looks, in all of one wait, before it sleeps */
#define TURN_NS      100000

void rg_comm_lock(struct rg_mesh *m)
{
    atomic_fetch_add(&m->knocking, 1);
    pthread_mutex_lock(&m->lock);
    atomic_fetch_sub(&m->knocking, 1);
}

void rg_comm_unlock(struct rg_mesh *m)
{
    pthread_mutex_unlock(&m->lock);
}

void rg_comm_kick(struct rg_mesh *m)
{
    uint64_t one = 1;
    ssize_t ignored = write(m->kick, &one, sizeof one); /* full only if readable anyway */
    (void)ignored;
}

void rg_comm_wake(struct rg_posix_strand *s)
{
    if (s->waiting == RG_SLEEPING && !s->woken) {
        s->woken = true;
        pthread_cond_signal(&s->wake);
    } else if (s->waiting == RG_DRIVING && s->mesh->in_epoll) {
        rg_comm_kick(s->mesh);
    }
}

void rg_comm_wake_all(struct rg_mesh *m)
{
    for (struct rg_posix_strand *s = m->sleepers; s; s = s->next_waiting)
        rg_comm_wake(s);
    if (m->driver == RG_DRIVER_STRAND && m->in_epoll)
        rg_comm_kick(m);
}

/* As sched_setattr(2) has it, for C libraries that lack it. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* Linux before 6.12 takes no notice. */
void rg_comm_short_turns(void)
{
    struct scheduling s = {.size = sizeof s};
    if (syscall(SYS_sched_getattr, 0, &s, sizeof s, 0) != 0 || s.policy != SCHED_OTHER)
        return;
    s.runtime = TURN_NS;
    syscall(SYS_sched_setattr, 0, &s, 0);
}

/* ---- driving ---- */

static void handle(struct rg_mesh *m, const struct epoll_event *event)
{
    if (event->data.u32 == UINT32_MAX) {
        uint64_t count;
        ssize_t ignored = read(m->kick, &count, sizeof count);
        (void)ignored;
        return;
    }
    struct rg_link *l = &m->links[event->data.u32];
    if (l->fd >= 0 && (event->events & EPOLLOUT))
        rg_link_room(l);
    if (l->fd >= 0 && (event->events & ~(uint32_t)EPOLLOUT))
        rg_link_read(l);
}

/* epoll_wait counts milliseconds, which is too coarse for a near deadline. */
static int wait_events(struct rg_mesh *m, struct epoll_event *events, double timeout)
{
    if (timeout > 0 && timeout < 0.02) {
        struct pollfd look = {.fd = m->epoll, .events = POLLIN};
        struct timespec limit = {.tv_nsec = (long)(1e9 * timeout)};
        ppoll(&look, 1, &limit, NULL);
        timeout = 0;
    }
    int ms = timeout < 0 ? 0 : timeout > 1e6 ? -1 : (int)ceil(1e3 * timeout);
    return epoll_wait(m->epoll, events, EVENTS, ms);
}

/* What a waiting strand waits for is often there in less time than going to sleep and waking take.
 * Other processes may have the processor meanwhile; not while a strand of this rank computes, which
 * would share it. */
static int look_a_while(struct rg_mesh *m, struct epoll_event *events, double begin, double timeout,
                        double *patience)
{
    int n = 0;
    double spent = 0, most = RG_MIN(timeout, *patience);
    while (n == 0 && spent < most && atomic_load(&m->computing) == 0) {
        n = epoll_wait(m->epoll, events, EVENTS, 0);
        if (n == 0)
            sched_yield();
        spent = rg_clock_s() - begin;
    }
    *patience -= spent;
    return n;
}

/* Flush, wait for events (looking for them for `patience` seconds before sleeping) and handle them
 * once. Under the lock, released meanwhile. */
static void drive(struct rg_mesh *m, enum rg_driver who, double timeout, double *patience)
{
    struct epoll_event events[EVENTS];
    double now = m->now_s = rg_clock_s();
    m->driver = who;
    m->undriven_s = 0;
    rg_match_spread_interruption(&m->match);
    if (now >= m->beat_s)
        rg_beat(m);
    timeout = RG_MIN(timeout, m->beat_s - now);
    rg_link_flush_dirty(m);
    m->in_epoll = true;
    rg_comm_unlock(m);
    int n = look_a_while(m, events, now, timeout, patience);
    if (n == 0)
        n = wait_events(m, events, timeout);
    rg_comm_lock(m);
    m->in_epoll = false;
    for (int i = 0; i < n; i++) {
        if (i > 0 && atomic_load(&m->knocking)) { /* a strand wants to post */
            rg_comm_unlock(m);
            sched_yield();
            rg_comm_lock(m);
        }
        handle(m, &events[i]);
    }
    m->driver = RG_DRIVER_NONE;
}

/* ---- strands that wait ---- */

static struct timespec later(double seconds)
{
    struct timespec date;
    clock_gettime(CLOCK_MONOTONIC, &date);
    double whole = floor(seconds);
    date.tv_sec += (time_t)whole;
    date.tv_nsec += (long)(1e9 * (seconds - whole));
    if (date.tv_nsec >= 1000000000) {
        date.tv_sec++;
        date.tv_nsec -= 1000000000;
    }
    return date;
}

/* Another thread drives: wait to be woken. */
static void sleep_strand(struct rg_posix_strand *s, double timeout)
{
    struct rg_mesh *m = s->mesh;
    bool want = m->driver == RG_DRIVER_COMM && !s->inward;
    s->waiting = RG_SLEEPING;
    s->woken = false;
    s->next_waiting = m->sleepers;
    m->sleepers = s;
    rg_link_flush_dirty(m);
    if (want) {
        m->wanted++;
        if (m->in_epoll)
            rg_comm_kick(m);
    }
    if (timeout > 1e6) {
        while (!s->woken)
            pthread_cond_wait(&s->wake, &m->lock);
    } else {
        struct timespec date = later(timeout);
        while (!s->woken && pthread_cond_timedwait(&s->wake, &m->lock, &date) == 0)
            continue;
    }
    if (want)
        m->wanted--;
    struct rg_posix_strand **at = &m->sleepers;
    while (*at != s)
        at = &(*at)->next_waiting;
    *at = s->next_waiting;
    s->waiting = RG_RUNNING;
}

static void drive_strand(struct rg_posix_strand *s, double timeout, double *patience)
{
    struct rg_mesh *m = s->mesh;
    m->epoch++;
    m->takeover = false;
    s->waiting = RG_DRIVING;
    drive(m, RG_DRIVER_STRAND, timeout, patience);
    s->waiting = RG_RUNNING;
    m->epoch++;
}

/* One of the strands that sleep is to go on driving. */
static void wake_a_driver(struct rg_mesh *m)
{
    for (struct rg_posix_strand *s = m->sleepers; s; s = s->next_waiting)
        if (!s->inward) {
            rg_comm_wake(s);
            return;
        }
}

static void wake_comm(struct rg_mesh *m)
{
    m->comm_asleep = false;
    sem_post(&m->comm_wake);
}

int rg_comm_wait(struct rg_posix_strand *s, int (*ready)(void *arg), void *arg, double deadline)
{
    struct rg_mesh *m = s->mesh;
    bool looked = false;
    double patience = SPIN_S, begin = m->now_s, word_s = begin + m->slow_s;
    int result;
    while ((result = ready(arg)) == RG_PENDING) {
        if (m->now_s >= word_s && !s->inward) {
            rg_beat_tell_slow(s, begin);
            word_s += word_s - begin;
        }
        if (!s->closing && (atomic_load(&m->match.interrupted) ||
                            (s->meeting && atomic_load(&m->match.winding)))) {
            result = RG_ERR_INTERRUPTED;
            break;
        }
        double left = deadline == INFINITY ? INFINITY : deadline - rg_clock_s();
        if (left <= 0 && (looked || m->driver != RG_DRIVER_NONE)) {
            result = RG_ERR_TIMEOUT;
            break;
        }
        looked = left <= 0;
        if (m->driver == RG_DRIVER_NONE && !s->inward) {
            drive_strand(s, left, &patience);
        } else {
            if (m->driver == RG_DRIVER_NONE && m->comm_asleep)
                wake_comm(m);
            sleep_strand(s, RG_MIN(left, m->slow_s));
        }
    }
    if (m->driver == RG_DRIVER_NONE)
        wake_a_driver(m);
    if (m->driver == RG_DRIVER_NONE && m->comm_asleep)
        wake_comm(m);
    return result;
}

void rg_comm_take_over(struct rg_mesh *m)
{
    rg_link_flush_dirty(m);
    if (m->driver == RG_DRIVER_NONE && !m->takeover) {
        m->takeover = true;
        wake_comm(m);
    }
}

void rg_comm_posted(struct rg_mesh *m)
{
    if (m->driver != RG_DRIVER_NONE)
        rg_link_flush_dirty(m);
}

/* ---- the comm thread ---- */

/* Sleep without the lock, until woken or for `seconds`. While the lock is taken a strand is at
 * work, and the comm thread had better not stand in its way: it sleeps on. */
static void doze(struct rg_mesh *m, double seconds)
{
    rg_comm_unlock(m);
    if (seconds == INFINITY) {
        while (sem_wait(&m->comm_wake) != 0)
            continue;
        rg_comm_lock(m);
        return;
    }
    for (int i = 0; i < PATIENCE; i++) {
        struct timespec date = later(seconds);
        sem_clockwait(&m->comm_wake, CLOCK_MONOTONIC, &date);
        if (pthread_mutex_trylock(&m->lock) == 0)
            return;
    }
    rg_comm_lock(m);
}

static void *comm_main(void *arg)
{
    struct rg_mesh *m = arg;
    rg_comm_short_turns();
    rg_comm_lock(m);
    uint64_t seen = m->epoch;
    double grace = GRACE_S;
    while (!m->stopping) {
        bool free = m->driver == RG_DRIVER_NONE && m->wanted == 0;
        if (free && (m->takeover || m->epoch == seen)) {
            seen = m->epoch;
            grace = GRACE_S;
            drive(m, RG_DRIVER_COMM, INFINITY, &(double){0});
            if (m->wanted)
                wake_a_driver(m);
        } else if (!free && m->epoch == seen) {
            m->comm_asleep = true;
            doze(m, INFINITY);
        } else {
            seen = m->epoch;
            doze(m, grace);
            grace = RG_MIN(2 * grace, GRACE_MOST_S);
        }
    }
    rg_comm_unlock(m);
    return NULL;
}

int rg_comm_start(struct rg_mesh *m)
{
    if (sem_init(&m->comm_wake, 0, 0) != 0)
        return RG_ERR_NOMEM;
    sigset_t all, before; /* signals are for the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    m->comm_started = pthread_create(&m->comm, NULL, comm_main, m) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return m->comm_started ? 0 : RG_ERR_NOMEM;
}

void rg_comm_stop(struct rg_mesh *m)
{
    if (!m->comm_started)
        return;
    rg_comm_lock(m);
    m->stopping = true;
    rg_comm_kick(m);
    sem_post(&m->comm_wake);
    rg_comm_unlock(m);
    pthread_join(m->comm, NULL);
    sem_destroy(&m->comm_wake);
}
