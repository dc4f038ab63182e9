#include "processors.h"

#include "base/check.h"
#include "sim/strands/same_date.h"
#include <math.h>

/* Of a core, for each task. */
static double rate(const struct rg_cores *c)
{
    return c->count <= c->cores ? c->speed : c->speed * c->cores / c->count;
}

static double watts(struct rg_cores *c, int busy)
{
    if (busy > 0 && busy != c->busy) {
        c->busy = busy;
        c->busy_W = rg_board_watts(c->board, c->speed * busy);
    }
    return busy > 0 ? c->busy_W : c->idle_W;
}

/* Bring both accounts up to a date, before the tasks change. */
static void advance(struct rg_cores *c, double date)
{
    if (c->count > 0)
        c->service += (date - c->date) * rate(c);
    c->date = date;
    if (!c->board || date == c->joules_date)
        return;
    c->joules += watts(c, RG_MIN(c->count, c->cores)) * (date - c->joules_date);
    c->joules_date = date;
}

static double end_of(const struct rg_cores *c, const struct rg_core_task *task)
{
    return c->date + RG_MAX(0, task->until - c->service) / rate(c);
}

/* The first whose end must not be missed: where tasks wait for cores, the end of any makes the
 * others faster. NULL: there is none. */
static struct rg_core_task *first_awaited(const struct rg_cores *c)
{
    struct rg_core_task *task = c->first;
    while (task && task->quiet && c->count <= c->cores)
        task = task->next;
    return task;
}

static void schedule(struct rg_cores *c)
{
    const struct rg_core_task *task = first_awaited(c);
    if (task)
        rg_calendar_set(c->calendar, &c->timer, end_of(c, task));
    else
        rg_calendar_unset(&c->timer);
}

static struct rg_core_task *take_first(struct rg_cores *c)
{
    struct rg_core_task *first = c->first;
    c->first = first->next;
    *(c->first ? &c->first->previous : &c->last) = NULL;
    c->count--;
    return first;
}

/* Quiet tasks that have ended until now did so each at its date. */
static void catch_up(struct rg_cores *c)
{
    double end;
    while (c->first && c->first->quiet && c->count <= c->cores &&
           (end = end_of(c, c->first)) <= c->calendar->now) {
        advance(c, end);
        c->service = RG_MAX(c->service, c->first->until);
        struct rg_core_task *task = take_first(c);
        task->over(task);
    }
    advance(c, c->calendar->now);
}

/* The first that is awaited is done, and those that are due at the same date. */
static void fire(struct rg_timer *timer)
{
    struct rg_cores *c = (struct rg_cores *)timer;
    catch_up(c);
    const struct rg_core_task *first = first_awaited(c);
    RG_ASSERT(first);
    c->service = RG_MAX(c->service, first->until);
    double due = c->service + RG_SAME_DATE * c->calendar->now * rate(c);
    struct rg_core_task *done = NULL, **end = &done;
    for (; c->first && c->first->until <= due; end = &(*end)->next)
        *end = take_first(c);
    *end = NULL;
    schedule(c);
    for (struct rg_core_task *next; done; done = next) {
        next = done->next;
        done->over(done);
    }
}

void rg_cores_open(struct rg_cores *c, struct rg_calendar *calendar, int cores,
                   const struct rg_board *board)
{
    *c = (struct rg_cores){.timer = {.fire = fire},
                           .calendar = calendar,
                           .cores = cores,
                           .speed = 1,
                           .board = board,
                           .idle_W = board ? rg_board_watts(board, 0) : 0};
}

void rg_cores_set_speed(struct rg_cores *c, double speed)
{
    catch_up(c);
    c->busy = 0;
    c->speed = speed;
    schedule(c);
}

void rg_cores_begin(struct rg_cores *c, struct rg_core_task *task, double seconds)
{
    catch_up(c);
    if (c->count == 0)
        c->service = 0;
    task->until = c->service + seconds;
    struct rg_core_task *after = c->last;
    while (after && after->until > task->until)
        after = after->previous;
    task->previous = after;
    task->next = after ? after->next : c->first;
    *(after ? &after->next : &c->first) = task;
    *(task->next ? &task->next->previous : &c->last) = task;
    if (++c->count > c->cores || first_awaited(c) == task)
        schedule(c);
}

void rg_cores_await(struct rg_cores *c, struct rg_core_task *task)
{
    catch_up(c);
    task->quiet = false;
    schedule(c);
}

double rg_cores_stop(struct rg_cores *c, struct rg_core_task *task)
{
    catch_up(c);
    *(task->previous ? &task->previous->next : &c->first) = task->next;
    *(task->next ? &task->next->previous : &c->last) = task->previous;
    c->count--;
    schedule(c);
    return RG_MAX(0, task->until - c->service);
}

double rg_cores_J(struct rg_cores *c)
{
    catch_up(c);
    return c->joules;
}
