/* The cores of a node, which its tasks share evenly: of n tasks on c cores each gets min(1, c/n) of
 * a core. All tasks are served at one rate, so one clock of service a node says when each is done:
 * the idea of virtual time in fair queueing (Demers, Keshav and Shenker 1989). And the joules that
 * the cores draw: watts by how many are busy. */
#ifndef RG_CALENDAR_PROCESSORS_H
#define RG_CALENDAR_PROCESSORS_H

#include "calendar.h"

#include "boards/board.h"

/* Zeroed but for the first two. The owner's. */
struct rg_core_task {
    void (*over)(struct rg_core_task *task); /* when it is done, */
    bool
        quiet; /* or at any time after: nobody waits for it; what is called does nothing to cores */
    double until; /* of the clock of service */
    struct rg_core_task *next, *previous;
};

struct rg_cores {
    struct rg_timer timer; /* first: the end of the first task */
    struct rg_calendar *calendar;
    struct rg_core_task *first, *last; /* by `until` */
    int count, cores;
    double service, date;       /* seconds of a core that each task has had, up to that date */
    double speed;               /* of each core, 1 being what seconds are reckoned by */
    double joules, joules_date; /* drawn up to that date */
    double idle_W, busy_W;      /* the latter of so many cores, the last that was asked for */
    int busy;
    const struct rg_board *board; /* whose watts they are; NULL: no account is kept */
};

void rg_cores_open(struct rg_cores *c, struct rg_calendar *calendar, int cores,
                   const struct rg_board *board);
/* From now on they have that speed (above 0); a core that is slow counts as busy in part for the
 * watts, as in SimGrid. */
void rg_cores_set_speed(struct rg_cores *c, double speed);
/* The task takes so many seconds (above 0) of a core, from now on. */
void rg_cores_begin(struct rg_cores *c, struct rg_core_task *task, double seconds);
/* Somebody waits for the quiet task now; it may be over before this returns. */
void rg_cores_await(struct rg_cores *c, struct rg_core_task *task);
/* The task stops, and is not done: seconds of a core that are left. */
double rg_cores_stop(struct rg_cores *c, struct rg_core_task *task);
/* Joules from the start until now. */
double rg_cores_J(struct rg_cores *c);

#endif
