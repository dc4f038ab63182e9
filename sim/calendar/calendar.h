/* What is due when: a heap of distinct dates, each with a queue of timers, which can be taken out
 * again. Where many things happen at one date (nodes in step), setting a timer costs a look into a
 * hash table and no more; else a step through the heap. */
#ifndef RG_CALENDAR_CALENDAR_H
#define RG_CALENDAR_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rg_day;

/* Zeroed but for fire: it is not due. The owner's, and not to be moved while it is due. */
struct rg_timer {
    void (*fire)(struct rg_timer *timer);
    struct rg_day *day; /* NULL: not due */
    struct rg_timer *next, *previous;
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
void rg_calendar_unset(struct rg_timer *timer);
static inline bool rg_timer_is_due(const struct rg_timer *timer)
{
    return timer->day != NULL;
}
double rg_timer_date(const struct rg_timer *timer); /* of one that is due */

/* The earliest that is due, of one date the one that was set first; NULL: none. */
struct rg_timer *rg_calendar_first(struct rg_calendar *c);

#endif
