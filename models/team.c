/* Helpers are started when they are first wanted and stay until the process ends. They look for
 * work for a while, since the next layer's follows soon, and then sleep.
 *
 * Happy path: the caller puts up parts; it and whichever helper is awake claim one after the other,
 * and it waits until all are done. A helper that comes late finds none and holds nobody up. Failure
 * modes handled: a thread that cannot be started (the others do its parts), a second caller while
 * one is at work (does all of its own), a child process (it has none of the helpers, whatever they
 * held or waited for when it was made, and begins anew). */
#include "models/team.h"

#include "base/check.h"
#include "models/blas.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { HELPERS_MOST = 63, LOOKS = 20000, PART_BITS = 8 };

/* Less than this is done before a helper is awake. */
#define LEAST_OPERATIONS 5e5

static struct {
    pthread_mutex_t lock;
    pthread_cond_t put_up;
    atomic_flag taken;  /* by a caller */
    atomic_uint claims; /* parts << PART_BITS | the next to be claimed */
    atomic_int done;
    int helpers;
    bool forks; /* are watched */
    rg_team_work *work;
    void *context;
} team = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .put_up = PTHREAD_COND_INITIALIZER,
          .taken = ATOMIC_FLAG_INIT};

static bool all_claimed(unsigned claims)
{
    return (claims & ((1u << PART_BITS) - 1)) >= claims >> PART_BITS;
}

/* Do one part; false: all are claimed. Whoever has claimed one keeps the caller waiting, so that
 * work and context are those of the part. */
static bool do_one(void)
{
    unsigned claims = atomic_load(&team.claims);
    do
        if (all_claimed(claims))
            return false;
    while (!atomic_compare_exchange_weak(&team.claims, &claims, claims + 1));
    team.work(team.context, (int)(claims & ((1u << PART_BITS) - 1)), (int)(claims >> PART_BITS));
    atomic_fetch_add(&team.done, 1);
    return true;
}

static void *help(void *arg)
{
    (void)arg;
    for (int looks = 0;; looks++) {
        if (do_one())
            looks = 0;
        if (looks < LOOKS)
            continue;
        pthread_mutex_lock(&team.lock);
        while (all_claimed(atomic_load(&team.claims)))
            pthread_cond_wait(&team.put_up, &team.lock);
        pthread_mutex_unlock(&team.lock);
        looks = 0;
    }
    return NULL;
}

static void begin_anew(void)
{
    pthread_mutex_init(&team.lock, NULL);
    pthread_cond_init(&team.put_up, NULL);
    atomic_flag_clear(&team.taken);
    atomic_store(&team.claims, 0);
    team.helpers = 0;
}

/* Signals are for others. */
static void start_helpers(int wanted)
{
    sigset_t all, before;
    if (team.helpers >= wanted)
        return;
    if (!team.forks)
        team.forks = pthread_atfork(NULL, NULL, begin_anew) == 0;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (pthread_t thread; team.helpers < wanted; team.helpers++) {
        if (pthread_create(&thread, NULL, help, NULL) != 0)
            break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void rg_team_run(double operations, rg_team_work *work, void *context)
{
    int parts = RG_MIN(rg_blas_threads(), HELPERS_MOST + 1);
    if (parts <= 1 || operations < LEAST_OPERATIONS || atomic_flag_test_and_set(&team.taken)) {
        work(context, 0, 1);
        return;
    }
    start_helpers(parts - 1);
    team.work = work;
    team.context = context;
    atomic_store(&team.done, 0);
    pthread_mutex_lock(&team.lock);
    atomic_store(&team.claims, (unsigned)parts << PART_BITS);
    pthread_cond_broadcast(&team.put_up);
    pthread_mutex_unlock(&team.lock);
    while (do_one())
        continue;
    while (atomic_load(&team.done) < parts)
        sched_yield();
    atomic_flag_clear(&team.taken);
}

void rg_team_share(size_t n, size_t unit, int part, int parts, size_t *from, size_t *to)
{
    size_t units = (n + unit - 1) / unit, p = (size_t)part, all = (size_t)parts;
    *from = RG_MIN(units * p / all * unit, n);
    *to = RG_MIN(units * (p + 1) / all * unit, n);
}
