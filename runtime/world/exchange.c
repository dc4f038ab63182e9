#include "world/exchange_parts.h"

#include "base/check.h"
#include <stdio.h>
#include <string.h>

enum { DESCRIBED = 4 }; /* strands that a deadlock's text names */

/* ---- completion and matching ---- */

/* The item's request will be complete at `date`. */
static void ready(struct rg_exchange *x, struct rg_item *item, double date)
{
    struct rg_request *request = item->request;
    if (!request)
        return;
    request->date = date;
    if (item->owner->waits && request->sequence == item->owner->epoch)
        x->ops->wake(x->world, item->owner, date);
}

void rg_item_fail(struct rg_exchange *x, struct rg_item *item, int code)
{
    item->outcome = code;
    ready(x, item, rg_exchange_now(x));
}

static bool length_fits(const struct rg_item *receive, const struct rg_item *message)
{
    return receive->upto ? message->message.bytes <= receive->message.bytes
                         : message->message.bytes == receive->message.bytes;
}

static void ready_receive(struct rg_exchange *x, struct rg_item *receive)
{
    const struct rg_item *message = receive->partner;
    receive->outcome = !length_fits(receive, message) ? RG_ERR_LENGTH
                       : message->data == RG_AT_LOST  ? RG_ERR_NOMEM
                                                      : 0;
    ready(x, receive, message->arrival);
}

static void match(struct rg_exchange *x, struct rg_item *message, struct rg_item *receive)
{
    message->partner = receive;
    receive->partner = message;
    if (message->eager) {
        message->eager = false;
        message->flow->eager -= message->message.bytes;
    }
    if (message->state == RG_ITEM_LEFT)
        ready_receive(x, receive);
}

void rg_item_unmatch(struct rg_exchange *x, struct rg_item *message)
{
    struct rg_item *receive = message->partner;
    if (!receive)
        return;
    if (message->data == RG_AT_RECEIVER)
        rg_item_set_aside(x, message, receive->buffer);
    message->partner = receive->partner = NULL;
    receive->outcome = 0;
    if (receive->request)
        receive->request->date = INFINITY;
    if (message->state != RG_ITEM_QUEUED) {
        message->eager = true;
        message->flow->eager += message->message.bytes;
    }
}

static struct rg_item *first_free(const struct rg_items *list, uint32_t tag)
{
    struct rg_item *item = list->first;
    while (item && (item->partner || item->tag != tag))
        item = item->next;
    return item;
}

bool rg_item_arrived(struct rg_exchange *x, const struct rg_item *message, double now)
{
    return message->state == RG_ITEM_LEFT && message->arrival <= now + x->slack;
}

/* Something of this tag was cancelled: pair what is left anew, in posting order. */
static void rematch(struct rg_exchange *x, struct rg_flow *flow, uint32_t tag)
{
    double now = rg_exchange_now(x);
    for (struct rg_item *m = flow->messages.first; m; m = m->next)
        if (m->tag == tag && m->partner && !rg_item_arrived(x, m, now))
            rg_item_unmatch(x, m);
    struct rg_item *message, *receive;
    while ((message = first_free(&flow->messages, tag)) != NULL &&
           (receive = first_free(&flow->receives, tag)) != NULL)
        match(x, message, receive);
}

static void advance(struct rg_exchange *x, struct rg_flow *flow);

/* The last byte has left: take the data out of the sender's buffer. */
static void settle(struct rg_exchange *x, struct rg_item *message, double arrival)
{
    struct rg_flow *flow = message->flow;
    struct rg_item *receive = message->partner;
    message->state = RG_ITEM_LEFT;
    message->arrival = RG_MAX(arrival, flow->last_arrival);
    flow->last_arrival = message->arrival;
    flow->moving = NULL;
    if (message->data == RG_AT_SENDER && receive && length_fits(receive, message)) {
        if (receive->touchable)
            memcpy(receive->buffer, message->buffer, message->message.bytes);
        message->data = receive->touchable ? RG_AT_RECEIVER : RG_AT_NOWHERE;
    } else if (message->data == RG_AT_SENDER) {
        if (message->listed)
            rg_item_set_aside(x, message, message->buffer);
    }
    message->buffer = NULL;
    if (message->outcome == 0)
        ready(x, message, message->arrival);
    if (receive)
        ready_receive(x, receive);
}

void rg_exchange_left(struct rg_exchange *x, struct rg_message *m, double arrival)
{
    struct rg_item *message = (struct rg_item *)m;
    struct rg_flow *flow = message->flow;
    RG_ASSERT(flow->moving == message);
    settle(x, message, arrival);
    rg_item_release(x, message);
    advance(x, flow);
}

/* Start what may start. */
static void advance(struct rg_exchange *x, struct rg_flow *flow)
{
    struct rg_item *message;
    while (!flow->moving && (message = flow->head) != NULL) {
        size_t bytes = message->message.bytes;
        if (!message->partner && flow->eager + bytes > RG_EAGER_LIMIT)
            return;
        if (!message->partner) {
            message->eager = true;
            flow->eager += bytes;
        }
        flow->head = message->next;
        flow->moving = message;
        message->state = RG_ITEM_MOVING;
        message->begin = rg_exchange_now(x);
        if (message->instant) {
            settle(x, message, message->begin);
            rg_item_release(x, message);
        } else {
            x->ops->start(x->world, &message->message, flow->route);
        }
    }
}

void rg_item_withdraw_send(struct rg_exchange *x, struct rg_item *message)
{
    rg_item_unmatch(x, message);
    rg_item_unlist(message);
    rematch(x, message->flow, message->tag);
    advance(x, message->flow);
}

void rg_item_withdraw_receive(struct rg_exchange *x, struct rg_item *receive)
{
    if (receive->partner)
        rg_item_unmatch(x, receive->partner);
    rg_list_remove(&receive->flow->receives, receive);
    rematch(x, receive->flow, receive->tag);
    advance(x, receive->flow);
}

/* ---- what programs do ---- */

static int refuse(struct rg_request *request, int code)
{
    request->status = code;
    return code;
}

static bool is_touchable(const struct rg_endpoint *e, const struct rg_request *request)
{
    const void *buffer = request->buffer;
    return buffer && (!e->handle.mem || !rg_mem_is_virtual_at(e->handle.mem, buffer));
}

static struct rg_item *new_item(struct rg_exchange *x, struct rg_endpoint *e,
                                struct rg_request *request, struct rg_flow *flow)
{
    struct rg_item *item = flow ? rg_item_take(x) : NULL;
    if (!item)
        return NULL;
    *item = (struct rg_item){.flow = flow,
                             .owner = e,
                             .request = request,
                             .buffer = request->buffer,
                             .message.bytes = request->capacity,
                             .tag = request->tag,
                             .touchable = is_touchable(e, request),
                             .send = request->flags & RG_REQUEST_SEND,
                             .upto = request->flags & RG_REQUEST_UPTO};
    request->link = item;
    request->date = INFINITY;
    rg_item_own(e, item);
    return item;
}

/* Of what is posted here, to or from a peer: it is often the same as the last time. */
static struct rg_flow *flow_to(struct rg_exchange *x, struct rg_endpoint *e, int peer)
{
    if (!e->out || e->out->target != peer)
        e->out = rg_flow_of(x, e->handle.rank, peer);
    return e->out;
}

static struct rg_flow *flow_from(struct rg_exchange *x, struct rg_endpoint *e, int peer)
{
    if (!e->in || e->in->source != peer)
        e->in = rg_flow_of(x, peer, e->handle.rank);
    return e->in;
}

int rg_exchange_send(struct rg_exchange *x, struct rg_endpoint *e, struct rg_request *request)
{
    int source = e->handle.rank, target = request->peer;
    if (x->gone[target])
        return refuse(request, RG_ERR_PEER);
    struct rg_flow *flow = flow_to(x, e, target);
    struct rg_item *message = new_item(x, e, request, flow);
    if (!message)
        return refuse(request, RG_ERR_NOMEM);
    message->message =
        (struct rg_message){.source = source, .target = target, .bytes = request->capacity};
    message->data = message->touchable && request->capacity ? RG_AT_SENDER : RG_AT_NOWHERE;
    message->instant = source == target || e->handle.untimed;
    rg_list_append(&flow->messages, message);
    if (!flow->head)
        flow->head = message;
    struct rg_item *receive = first_free(&flow->receives, message->tag);
    if (receive)
        match(x, message, receive);
    advance(x, flow);
    return 0;
}

int rg_exchange_recv(struct rg_exchange *x, struct rg_endpoint *e, struct rg_request *request)
{
    struct rg_flow *flow = flow_from(x, e, request->peer);
    struct rg_item *message = flow ? first_free(&flow->messages, request->tag) : NULL;
    if (!message && x->gone[request->peer])
        return refuse(request, RG_ERR_PEER);
    struct rg_item *receive = new_item(x, e, request, flow);
    if (!receive)
        return refuse(request, RG_ERR_NOMEM);
    receive->arrival = rg_exchange_now(x);
    rg_list_append(&flow->receives, receive);
    if (message) {
        match(x, message, receive);
        advance(x, flow);
    }
    return 0;
}

/* The program sees that a request is complete. */
static void finish(struct rg_exchange *x, struct rg_request *request)
{
    struct rg_item *item = request->link;
    struct rg_item *message = item->send ? item : item->partner;
    double begin = message ? message->begin : 0, end = message ? message->arrival : 0;
    bool late = message && item->arrival > message->arrival + x->slack;
    request->status = item->outcome;
    rg_item_disown(item);
    if (!item->send) {
        rg_list_remove(&item->flow->receives, item);
        if (message) {
            request->bytes = message->message.bytes;
            if (item->outcome == 0 && message->data == RG_AT_BOUNCE && item->touchable)
                memcpy(request->buffer, message->bounce->bytes, request->bytes);
            message->partner = NULL;
            rg_item_unlist(message);
            rg_item_release(x, message);
        }
    }
    if (request->status == 0) {
        rg_message_done(request->owner, request, begin, end, late && !item->send);
        if (message && !request->owner->untimed)
            request->owner->count.unseen_s += rg_exchange_now(x) - end;
    }
    rg_item_release(x, item);
}

/* Index of the first complete request, or -1 and the date of the next known completion. */
static int look(struct rg_exchange *x, struct rg_request *const *requests, int n, double now,
                double *next)
{
    *next = INFINITY;
    for (int i = 0; i < n; i++) {
        struct rg_request *request = requests[i];
        if (!request)
            continue;
        if (request->status != RG_PENDING)
            return i;
        if (request->date <= now + x->slack) {
            finish(x, request);
            return i;
        }
        *next = RG_MIN(*next, request->date);
    }
    return -1;
}

/* A fruitless look: let others run. A second one at the same date lets a little time pass. */
static bool pass_time(struct rg_exchange *x, struct rg_endpoint *e, double now)
{
    bool again = e->polled == now;
    e->polled = now;
    x->ops->block(x->world, e, again ? now + RG_POLL_S : now);
    return again;
}

int rg_exchange_wait_any(struct rg_exchange *x, struct rg_endpoint *e,
                         struct rg_request *const *requests, int n, double deadline, int *index)
{
    bool passed = false, blocked = false;
    for (;;) {
        double now = rg_exchange_now(x), next;
        *index = look(x, requests, n, now, &next);
        if (*index >= 0)
            return 0;
        if (deadline <= now + x->slack) {
            if (blocked || passed || !pass_time(x, e, now))
                return RG_ERR_TIMEOUT;
            passed = true;
            continue;
        }
        next = RG_MIN(next, deadline);

        e->epoch++;
        for (int i = 0; i < n; i++)
            if (requests[i])
                requests[i]->sequence = e->epoch;
        e->waits = requests;
        e->wait_count = n;
        x->ops->block(x->world, e, next);
        e->waits = NULL;
        blocked = true;
        if (e->doomed) {
            e->doomed = false;
            return RG_ERR_DEADLOCK;
        }
    }
}

int rg_exchange_cancel(struct rg_exchange *x, struct rg_endpoint *e, struct rg_request *request)
{
    struct rg_item *item = request->link;
    double next;
    if (look(x, &request, 1, rg_exchange_now(x), &next) == 0)
        return 0;
    RG_ASSERT(item->owner == e);
    if (item->send &&
        item->state != RG_ITEM_QUEUED) { /* it has begun to leave: the rest from a copy */
        if (item->state == RG_ITEM_MOVING && item->data == RG_AT_SENDER)
            rg_item_set_aside(x, item, item->buffer);
        request->status = 0;
        rg_item_disown(item);
        rg_item_release(x, item);
        return 0;
    }
    request->status = RG_ERR_CANCELLED;
    rg_item_disown(item);
    if (item->send)
        rg_item_withdraw_send(x, item);
    else
        rg_item_withdraw_receive(x, item);
    rg_item_release(x, item);
    return 0;
}

/* ---- deadlock ---- */

bool rg_exchange_deadlocked(const struct rg_exchange *x)
{
    return x->deadlocked;
}

static int describe(const struct rg_endpoint *e, char *text, size_t room)
{
    int rank = e->handle.rank;
    if (!e->waits)
        return snprintf(text, room, "; rank %d waits in %s", rank, e->waiting_in);
    for (int i = 0; i < e->wait_count; i++) {
        const struct rg_request *request = e->waits[i];
        if (request && request->status == RG_PENDING)
            return snprintf(text, room, "; rank %d waits %s rank %d (tag %u, %zu bytes)", rank,
                            request->flags & RG_REQUEST_SEND ? "to send to" : "for", request->peer,
                            (unsigned)request->tag, request->capacity);
    }
    return 0;
}

void rg_exchange_deadlock(struct rg_exchange *x, struct rg_error *error)
{
    x->deadlocked = true;
    for (int rank = 0; rank < x->size; rank++)
        for (struct rg_endpoint *e = x->endpoints[rank]; e; e = e->sibling)
            e->doomed = e->waits != NULL;
    if (!error)
        return;
    rg_fail(error, RG_ERR_DEADLOCK, "%s", rg_strerror(RG_ERR_DEADLOCK));
    int told = 0;
    for (int rank = 0; rank < x->size && told <= DESCRIBED; rank++) {
        for (const struct rg_endpoint *e = x->endpoints[rank]; e; e = e->sibling) {
            if (!e->waits && !e->waiting_in)
                continue;
            size_t used = strlen(error->text), room = sizeof error->text - used;
            if (told++ == DESCRIBED) {
                snprintf(error->text + used, room, "; and so on");
                break;
            }
            describe(e, error->text + used, room);
        }
    }
}
