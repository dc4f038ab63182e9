/* Happy path: see ticker.h. Failure modes handled: no thread can be had. */
#include "meters/ticker.h"

#include "base/clock.h"
#include "base/error.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <time.h>

static void *run(void *arg)
{
    struct rg_ticker *t = arg;
    double next_s = rg_clock_s();
    pthread_mutex_lock(&t->lock);
    for (;;) {
        double now_s = rg_clock_s();
        next_s += t->interval_s;
        if (next_s < now_s)
            next_s = now_s + t->interval_s;
        struct timespec until = {.tv_sec = (time_t)next_s,
                                 .tv_nsec = (long)(1e9 * (next_s - floor(next_s)))};
        while (!t->stopping && pthread_cond_timedwait(&t->wake, &t->lock, &until) != ETIMEDOUT)
            continue;
        if (t->stopping)
            break;
        pthread_mutex_unlock(&t->lock);
        t->tick(t->arg);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static void release(struct rg_ticker *t)
{
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    t->started = false;
}

int rg_ticker_start(struct rg_ticker *t, double interval_s, void (*tick)(void *arg), void *arg)
{
    pthread_condattr_t monotonic;
    sigset_t all, before; /* signals are for the program's own threads */
    *t = (struct rg_ticker){.interval_s = interval_s, .tick = tick, .arg = arg};
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&t->lock, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    t->started = pthread_create(&t->thread, NULL, run, t) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (t->started)
        return 0;
    release(t);
    return RG_ERR_NOMEM;
}

void rg_ticker_stop(struct rg_ticker *t)
{
    if (!t->started)
        return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    release(t);
}
