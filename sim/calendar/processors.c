#include "processors.h"

#include "sim/strands/same_date.h"
#include <math.h>

/* Of a core, for each task. */
static double rate(const struct rg_cores *c)
{
    return c->count <= c->cores ? c->speed : c->speed * c->cores / c->count;
}

/* Bring both accounts up to now, before the tasks change. */
static void advance(struct rg_cores *c)
{
    double now = c->calendar->now;
    if (c->count > 0)
        c->service += (now - c->date) * rate(c);
    c->date = now;
    if (!c->board || now == c->joules_date)
        return;
    int busy = c->count < c->cores ? c->count : c->cores;
    c->joules +=
        (busy ? rg_board_watts(c->board, c->speed * busy) : c->idle_W) * (now - c->joules_date);
    c->joules_date = now;
}

static void schedule(struct rg_cores *c)
{
    if (!c->first) {
        rg_calendar_unset(&c->timer);
        return;
    }
    double left = c->first->until - c->service;
    rg_calendar_set(c->calendar, &c->timer, c->calendar->now + fmax(0, left) / rate(c));
}

/* The first task is done, and those that are due at the same date. */
static void fire(struct rg_timer *timer)
{
    struct rg_cores *c = (struct rg_cores *)timer;
    struct rg_core_task *done = c->first, *last = NULL, *next;
    advance(c);
    c->service = fmax(c->service, done->until);
    double due = c->service + RG_SAME_DATE * c->calendar->now * rate(c);
    for (next = done; next && next->until <= due; next = next->next) {
        last = next;
        c->count--;
    }
    c->first = next;
    *(next ? &next->previous : &c->last) = NULL;
    last->next = NULL;
    schedule(c);
    for (; done; done = next) {
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
    advance(c);
    c->speed = speed;
    schedule(c);
}

void rg_cores_begin(struct rg_cores *c, struct rg_core_task *task, double seconds)
{
    advance(c);
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
    if (++c->count > c->cores || c->first == task)
        schedule(c);
}

double rg_cores_stop(struct rg_cores *c, struct rg_core_task *task)
{
    advance(c);
    *(task->previous ? &task->previous->next : &c->first) = task->next;
    *(task->next ? &task->next->previous : &c->last) = task->previous;
    c->count--;
    schedule(c);
    return fmax(0, task->until - c->service);
}

double rg_cores_J(struct rg_cores *c)
{
    advance(c);
    return c->joules;
}
