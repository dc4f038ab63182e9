/* What is due when: a heap of distinct dates, each with a queue of timers, which can be taken out
 * again. Where many things happen at one date (nodes in step), setting a timer costs a look into a
 * hash table and no more; else a step through the heap. */
#ifndef RG_CALENDAR_CALENDAR_H
#define RG_CALENDAR_CALENDAR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed but for fire: it is not due. The owner's, and not to be moved while it is due. */
struct rg_timer {
    void (*fire)(struct rg_timer *timer);
    struct rg_day *day; /* NULL: not due */
    struct rg_timer *next, *previous;
};

/* A date, and what is due then. It stays in the heap until it is the first, also when nothing is
 * due any more. */
struct rg_day {
    double date;
    struct rg_timer *first, *last;
    struct rg_day *next; /* of its slot, or spare */
};

/* Zero-initialise. */
struct rg_calendar {
    /* The date of what is happening, which its consequences are reckoned from; and up to which date
     * everything has happened: somewhat later, where others are due at what counts as one date. */
    double now, latest;
    struct rg_due {
        double date;
        struct rg_day *day;
    } * due; /* a heap, from 1 */
    size_t count, capacity;
    struct rg_day **slots, *spare; /* slots: a hash of dates */
    size_t slot_count;             /* a power of two */
};

void rg_calendar_free(struct rg_calendar *c);

/* The timer is due at `date` and no more when it was. */
void rg_calendar_set(struct rg_calendar *c, struct rg_timer *timer, double date);
static inline void rg_calendar_unset(struct rg_timer *timer)
{
    struct rg_day *day = timer->day;
    if (!day)
        return;
    *(timer->previous ? &timer->previous->next : &day->first) = timer->next;
    *(timer->next ? &timer->next->previous : &day->last) = timer->previous;
    timer->day = NULL;
}
static inline bool rg_timer_is_due(const struct rg_timer *timer)
{
    return timer->day != NULL;
}

/* Dates at the beginning at which nothing is due any more are forgotten. */
void rg_calendar_drop(struct rg_calendar *c);

/* The earliest date at which anything is due; INFINITY: nothing is. */
static inline double rg_calendar_next(struct rg_calendar *c)
{
    if (c->count > 0 && !c->due[1].day->first)
        rg_calendar_drop(c);
    return c->count > 0 ? c->due[1].date : INFINITY;
}
/* The earliest that is due by `last`, of one date the one that was set first; it is not due any
 * more, and `now` is its date. NULL: none. */
static inline struct rg_timer *rg_calendar_take(struct rg_calendar *c, double last)
{
    double date = rg_calendar_next(c);
    if (!(date <= last) || c->count == 0)
        return NULL;
    struct rg_timer *timer = c->due[1].day->first;
    rg_calendar_unset(timer);
    c->now = date;
    return timer;
}

#endif
