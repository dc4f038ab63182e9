#include "queue.h"

#include <math.h>

/* Bring the backlog up to this moment, before the inflow changes. */
static void settle(struct rg_sim_queue *q, double now)
{
    q->backlog = fmax(-q->burst, q->backlog + (q->inflow - q->rate) * (now - q->date));
    q->date = now;
}

/* No message of this port flows any more, or all do, at the share that there is now. */
static void stop(struct rg_sim_uplink *from, double now)
{
    for (struct rg_sim_flow *f = from->flows; f; f = f->next) {
        settle(f->to, now);
        f->to->inflow = --f->to->flows > 0 ? f->to->inflow - from->each : 0;
    }
}

static void go_on(struct rg_sim_uplink *from)
{
    if (from->count > 0)
        from->each = from->rate / from->count;
    for (struct rg_sim_flow *f = from->flows; f; f = f->next) {
        f->to->flows++;
        f->to->inflow += from->each;
    }
}

void rg_sim_queue_enter(struct rg_sim_queue *q, struct rg_sim_uplink *from,
                        struct rg_sim_flow *flow, double at_once, double now)
{
    stop(from, now);
    settle(q, now);
    q->backlog += at_once;
    *flow = (struct rg_sim_flow){from->flows, q};
    from->flows = flow;
    from->count++;
    go_on(from);
}

double rg_sim_queue_leave(struct rg_sim_uplink *from, struct rg_sim_flow *flow, double now,
                          double *held)
{
    struct rg_sim_queue *q = flow->to;
    struct rg_sim_flow **at = &from->flows;
    stop(from, now);
    while (*at != flow)
        at = &(*at)->next;
    *at = flow->next;
    from->count--;
    go_on(from);
    *held = fmax(0, q->backlog - q->buffer) / q->rate;
    return fmax(0, q->backlog) / q->rate;
}
