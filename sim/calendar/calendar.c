#include "calendar.h"

#include "base/need.h"
#include <stdlib.h>
#include <string.h>

enum { LEAST_SLOTS = 1024 };

static size_t slot_of(const struct rg_calendar *c, double date)
{
    uint64_t bits;
    memcpy(&bits, &date, sizeof bits);
    return (size_t)((bits * 0x9e3779b97f4a7c15u) >> 40) & (c->slot_count - 1);
}

static void put_in_slot(struct rg_calendar *c, struct rg_day *day)
{
    struct rg_day **slot = &c->slots[slot_of(c, day->date)];
    day->next = *slot;
    *slot = day;
}

/* Room for one more date. */
static void make_room(struct rg_calendar *c)
{
    if (c->count + 2 > c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : LEAST_SLOTS;
        c->due = rg_need(c->due, c->capacity * sizeof *c->due);
    }
    if (2 * c->count < c->slot_count)
        return;
    c->slot_count = c->slot_count ? 2 * c->slot_count : LEAST_SLOTS;
    free(c->slots);
    c->slots = rg_need_zeroed(c->slot_count, sizeof *c->slots);
    for (size_t i = 1; i <= c->count; i++)
        put_in_slot(c, c->due[i].day);
}

static struct rg_day *add_day(struct rg_calendar *c, double date)
{
    struct rg_day *day = c->spare;
    if (day)
        c->spare = day->next;
    else
        day = rg_need(NULL, sizeof *day);
    *day = (struct rg_day){.date = date};
    put_in_slot(c, day);
    size_t i = ++c->count;
    for (; i > 1 && date < c->due[i / 2].date; i /= 2)
        c->due[i] = c->due[i / 2];
    c->due[i] = (struct rg_due){date, day};
    return day;
}

static void drop_first_day(struct rg_calendar *c)
{
    struct rg_day *day = c->due[1].day, **at = &c->slots[slot_of(c, day->date)];
    while (*at != day)
        at = &(*at)->next;
    *at = day->next;
    day->next = c->spare;
    c->spare = day;
    struct rg_due last = c->due[c->count--];
    size_t i = 1;
    for (size_t child; (child = 2 * i) <= c->count; i = child) {
        child += child < c->count && c->due[child + 1].date < c->due[child].date;
        if (!(c->due[child].date < last.date))
            break;
        c->due[i] = c->due[child];
    }
    c->due[i] = last;
}

void rg_calendar_set(struct rg_calendar *c, struct rg_timer *timer, double date)
{
    if (timer->day && timer->day->date == date)
        return;
    rg_calendar_unset(timer);
    make_room(c);
    struct rg_day *day = c->slots[slot_of(c, date)];
    while (day && day->date != date)
        day = day->next;
    if (!day)
        day = add_day(c, date);
    timer->day = day;
    timer->next = NULL;
    timer->previous = day->last;
    *(day->last ? &day->last->next : &day->first) = timer;
    day->last = timer;
}

void rg_calendar_drop(struct rg_calendar *c)
{
    while (c->count > 0 && !c->due[1].day->first)
        drop_first_day(c);
}

void rg_calendar_free(struct rg_calendar *c)
{
    for (size_t i = 1; i <= c->count; i++)
        free(c->due[i].day);
    for (struct rg_day *day = c->spare, *next; day; day = next) {
        next = day->next;
        free(day);
    }
    free(c->due);
    free(c->slots);
    *c = (struct rg_calendar){0};
}
