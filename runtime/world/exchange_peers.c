/* Strands and nodes that come and go: what they leave behind, and what that means for others; the
 * barrier in which all meet. */
#include "world/exchange_parts.h"

#include <math.h>

void rg_exchange_open_strand(struct rg_exchange *x, struct rg_endpoint *e)
{
    int rank = e->handle.rank;
    e->items = NULL;
    e->waits = NULL;
    e->epoch = 1;
    e->polled = -1;
    e->sibling = x->endpoints[rank];
    x->endpoints[rank] = e;
}

/* Requests in frames that have returned must not be touched. */
static bool in_dead_frame(const struct rg_endpoint *e, const struct rg_request *request)
{
    const char *address = (const char *)request;
    return address >= e->stack_low && address < e->stack_high;
}

static void abandon(struct rg_exchange *x, struct rg_item *item, struct rg_endpoint *e)
{
    struct rg_request *request = item->request;
    bool over =
        request && item->outcome == 0 && item->send && rg_item_arrived(x, item, rg_exchange_now(x));
    if (!in_dead_frame(e, request))
        request->status = over ? 0 : RG_ERR_CANCELLED;
    rg_item_disown(item);
    if (!item->send) {
        struct rg_item *message = item->partner;
        if (message &&
            rg_item_arrived(x, message, rg_exchange_now(x))) { /* received, though nobody looked */
            item->partner = message->partner = NULL;
            rg_item_unlist(message);
            rg_item_release(x, message);
        }
        rg_item_withdraw_receive(x, item);
    } else if (item->listed && item->state == RG_ITEM_QUEUED) {
        rg_item_withdraw_send(x, item);
    } else if (item->state == RG_ITEM_MOVING && item->data == RG_AT_SENDER) {
        rg_item_set_aside(x, item, item->buffer);
    }
    rg_item_release(x, item);
}

void rg_exchange_close_strand(struct rg_exchange *x, struct rg_endpoint *e)
{
    while (e->items)
        abandon(x, e->items, e);
    struct rg_endpoint **at = &x->endpoints[e->handle.rank];
    while (*at != e)
        at = &(*at)->sibling;
    *at = e->sibling;
}

/* A node without power: nothing it had under way goes on, none of its memory may be read. */
static void drop_all(struct rg_exchange *x, struct rg_endpoint *e)
{
    while (e->items) {
        struct rg_item *item = e->items;
        rg_item_disown(item);
        if (!item->send) {
            if (item->partner) {
                item->partner->partner = NULL;
                item->partner = NULL;
            }
            rg_list_remove(&item->flow->receives, item);
        } else if (item->state != RG_ITEM_LEFT) {
            rg_item_unmatch(x, item);
            rg_item_unlist(item);
            item->data = RG_AT_NOWHERE;
        }
        rg_item_release(x, item);
    }
    e->waits = NULL;
}

static void fail_receives(struct rg_exchange *x, struct rg_flow *flow)
{
    for (struct rg_item *r = flow->receives.first; r; r = r->next)
        if (!r->partner)
            rg_item_fail(x, r, RG_ERR_PEER);
}

static void fail_messages(struct rg_exchange *x, struct rg_flow *flow)
{
    double now = rg_exchange_now(x);
    for (struct rg_item *m = flow->messages.first, *next; m; m = next) {
        next = m->next;
        if (m->request && !rg_item_arrived(x, m, now)) {
            if (m->data == RG_AT_SENDER)
                m->data = RG_AT_NOWHERE;
            rg_item_fail(x, m, RG_ERR_PEER);
        }
        m->partner = NULL;
        rg_item_unlist(m);
        rg_item_release(x, m);
    }
    flow->head = NULL;
}

void rg_exchange_silence(struct rg_exchange *x, int rank)
{
    for (struct rg_endpoint *e = x->endpoints[rank]; e; e = e->sibling)
        drop_all(x, e);
}

void rg_exchange_leave(struct rg_exchange *x, int rank, bool clean)
{
    if (x->gone[rank])
        return;
    x->gone[rank] = true;
    x->gone_count++;
    x->lost = x->lost || !clean;
    if (!clean)
        rg_exchange_silence(x, rank);
    for (struct rg_flow *flow = x->out[rank]; flow; flow = flow->next_out)
        if (flow->target != rank)
            fail_receives(x, flow);
    for (struct rg_flow *flow = x->in[rank]; flow; flow = flow->next_in)
        fail_messages(x, flow);
}

bool rg_exchange_has_lost(const struct rg_exchange *x)
{
    return x->lost;
}

int rg_exchange_barrier(struct rg_exchange *x, struct rg_endpoint *e)
{
    long mine = x->barriers;
    if (x->gone_count > 0)
        return RG_ERR_PEER;
    if (++x->waiting == e->handle.size) {
        x->waiting = 0;
        x->barriers++;
        x->ops->wake_waiting(x->world);
        return 0;
    }
    e->waiting_in = "a barrier";
    while (x->barriers == mine && x->gone_count == 0 && !x->deadlocked)
        x->ops->block(x->world, e, INFINITY);
    e->waiting_in = NULL;
    if (x->barriers != mine)
        return 0;
    return x->deadlocked ? RG_ERR_DEADLOCK : RG_ERR_PEER;
}
