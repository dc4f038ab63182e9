/* Computations at the speed of another board.
 *
 * Happy path: the kernel runs, and the strand sleeps to the date at which the board would have done
 * it, while the comm thread carries messages. Dates are absolute: a computation that follows
 * another without waiting for a message in between begins where that one ended by the model, so
 * that late awakenings are made up and not added up.
 *
 * Failure modes handled: a kernel that takes longer than the board, or ends far behind its date
 * (an overrun, counted; what follows tries to catch up, so that one disturbance of the machine does
 * not move all that comes after it); interruption, which is seen at the next wait. */
#include "boards/board.h"
#include "posix/mesh.h"

#include "base/clock.h"
#include <errno.h>
#include <math.h>
#include <sys/prctl.h>
#include <time.h>

/* What waking a thread takes; made up by the next computation, and no fault of the kernel's. */
#define SLACK_S 100e-6
/* Later than this is an overrun whatever the reason: messages leave when no board would send them.
 */
#define LATE_S 1e-3
/* Shorter than this the comm thread is not woken for. */
#define SHORT_S 100e-6

static void sleep_until(double date)
{
    double whole = floor(date);
    struct timespec to = {.tv_sec = (time_t)whole, .tv_nsec = (long)(1e9 * (date - whole))};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &to, NULL) == EINTR)
        continue;
}

/* The kernel may join timers that are near each other; here every one is to be on time. */
static void be_punctual(void)
{
    static _Thread_local bool told;
    if (!told)
        prctl(PR_SET_TIMERSLACK, 1);
    told = true;
}

void rg_pace_compute(struct rg_posix_strand *s, const struct rg_work *work, rg_compute_fn fn,
                     void *arg)
{
    struct rg_mesh *m = s->mesh;
    double seconds = work ? rg_board_seconds(m->pace, work, m->pace_threads) : 0;
    double begin = s->idle ? rg_clock_s() : s->paced_until;
    be_punctual();
    rg_comm_lock(m);
    if (seconds > SHORT_S)
        rg_comm_take_over(m);
    else
        rg_link_flush_dirty(m);
    rg_comm_unlock(m);
    double started = rg_clock_s();
    if (fn)
        fn(arg);
    double ended = rg_clock_s(), late;
    s->idle = false;
    s->paced_until = begin + seconds;
    s->handle.count.paced++;
    late = ended - s->paced_until;
    if (late > LATE_S || (late > SLACK_S && ended - started > seconds))
        s->handle.count.overruns++;
    if (late < 0)
        sleep_until(s->paced_until);
}
