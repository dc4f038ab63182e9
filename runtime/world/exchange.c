#include "world/exchange.h"

#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB = 64, STASH_GRADES = 21, DESCRIBED = 4 };

enum state { QUEUED, MOVING, LEFT };                           /* of a send */
enum data { AT_SENDER, IN_STASH, AT_RECEIVER, NO_DATA, LOST }; /* where its bytes are */

/* Bytes of a message that has left its sender's buffer and has no receiver's yet. */
struct stash {
    struct stash *next;
    int grade;
    _Alignas(64) char bytes[];
};

struct list {
    struct rg_item *first, *last;
};

/* A send or a receive. It lives while its request is pending or unseen, while it is in its flow's
 * list, and while the world carries it. */
struct rg_item {
    struct rg_message message; /* first: sends */
    struct rg_flow *flow;
    struct rg_endpoint *owner;
    struct rg_request *request; /* NULL once seen complete, cancelled or abandoned */
    struct rg_item *previous_own, *next_own;
    struct rg_item *previous, *next; /* in the flow, in posting order */
    struct rg_item *partner;         /* the receive of a send and the other way round */
    void *buffer;
    size_t capacity;
    double begin;   /* sends: first byte left */
    double arrival; /* sends: last byte arrives; receives: when posted */
    struct stash *stash;
    int outcome;
    uint32_t tag;
    unsigned char state, data;
    bool send, upto, touchable, listed;
    bool unasked; /* counts in the flow's window */
    bool instant; /* takes no time: to oneself, or in an untimed section */
};

/* What goes from one rank to another. */
struct rg_flow {
    int source, target;
    void *route;
    struct list messages, receives;
    struct rg_item *head;   /* first message that has not started */
    struct rg_item *moving; /* on the connection */
    size_t unasked;         /* bytes started or arrived for which no receive has been posted */
    double last_arrival;
    struct rg_flow *next_out, *next_in; /* of the source, of the target */
};

struct slab {
    struct slab *next;
    struct rg_item items[SLAB];
};

struct rg_exchange {
    int size, gone_count;
    double slack;
    const struct rg_exchange_ops *ops;
    void *world;
    struct rg_flow **table; /* open addressing, a power of two of slots */
    size_t slots, flows;
    struct rg_flow **out, **in; /* by rank */
    struct rg_endpoint **endpoints;
    bool *gone;
    bool deadlocked;
    struct rg_item *spare;
    struct slab *slabs;
    struct stash *stashes[STASH_GRADES];
};

struct rg_exchange *rg_exchange_new(int size, double slack_s, const struct rg_exchange_ops *ops,
                                    void *world)
{
    struct rg_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    size_t n = (size_t)size;
    *x = (struct rg_exchange){.size = size, .slack = slack_s, .ops = ops, .world = world};
    x->slots = 64;
    x->table = calloc(x->slots, sizeof(struct rg_flow *));
    x->out = calloc(n, sizeof(struct rg_flow *));
    x->in = calloc(n, sizeof(struct rg_flow *));
    x->endpoints = calloc(n, sizeof(struct rg_endpoint *));
    x->gone = calloc(n, sizeof *x->gone);
    if (!x->table || !x->out || !x->in || !x->endpoints || !x->gone) {
        rg_exchange_free(x);
        return NULL;
    }
    return x;
}

void rg_exchange_free(struct rg_exchange *x)
{
    if (!x)
        return;
    for (size_t i = 0; x->table && i < x->slots; i++)
        free(x->table[i]);
    for (struct slab *slab = x->slabs, *next; slab; slab = next) {
        next = slab->next;
        for (int i = 0; i < SLAB; i++)
            free(slab->items[i].stash);
        free(slab);
    }
    for (int grade = 0; grade < STASH_GRADES; grade++) {
        for (struct stash *s = x->stashes[grade], *next; s; s = next) {
            next = s->next;
            free(s);
        }
    }
    free(x->table);
    free(x->out);
    free(x->in);
    free(x->endpoints);
    free(x->gone);
    free(x);
}

static double now_of(struct rg_exchange *x)
{
    return x->ops->now(x->world);
}

/* ---- memory ---- */

static struct rg_item *take_item(struct rg_exchange *x)
{
    if (!x->spare) {
        struct slab *slab = calloc(1, sizeof *slab);
        if (!slab)
            return NULL;
        slab->next = x->slabs;
        x->slabs = slab;
        for (int i = SLAB - 1; i >= 0; i--) {
            slab->items[i].next = x->spare;
            x->spare = &slab->items[i];
        }
    }
    struct rg_item *item = x->spare;
    x->spare = item->next;
    return item;
}

/* Stashes of up to 1 MiB are kept for reuse; larger ones are rare (something was cancelled). */
static struct stash *take_stash(struct rg_exchange *x, size_t bytes)
{
    int grade = 0;
    while (grade < STASH_GRADES && (size_t)1 << grade < bytes)
        grade++;
    struct stash *stash = grade < STASH_GRADES ? x->stashes[grade] : NULL;
    if (stash) {
        x->stashes[grade] = stash->next;
        return stash;
    }
    size_t room = grade < STASH_GRADES ? (size_t)1 << grade : bytes;
    size_t unit = _Alignof(struct stash);
    stash = aligned_alloc(unit, (sizeof *stash + room + unit - 1) / unit * unit);
    if (stash)
        stash->grade = grade;
    return stash;
}

static void give_stash(struct rg_exchange *x, struct rg_item *message)
{
    struct stash *stash = message->stash;
    message->stash = NULL;
    if (!stash)
        return;
    if (stash->grade == STASH_GRADES) {
        free(stash);
        return;
    }
    stash->next = x->stashes[stash->grade];
    x->stashes[stash->grade] = stash;
}

static void copy_to_stash(struct rg_exchange *x, struct rg_item *message, const void *from)
{
    message->stash = take_stash(x, message->message.bytes);
    message->data = message->stash ? IN_STASH : LOST;
    if (message->stash)
        memcpy(message->stash->bytes, from, message->message.bytes);
}

/* ---- lists ---- */

static void append(struct list *list, struct rg_item *item)
{
    item->listed = true;
    item->next = NULL;
    item->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = item;
    list->last = item;
}

static void unlist(struct list *list, struct rg_item *item)
{
    if (!item->listed)
        return;
    item->listed = false;
    *(item->previous ? &item->previous->next : &list->first) = item->next;
    *(item->next ? &item->next->previous : &list->last) = item->previous;
}

static void unlist_message(struct rg_item *message)
{
    struct rg_flow *flow = message->flow;
    if (flow->head == message)
        flow->head = message->next;
    if (message->unasked)
        flow->unasked -= message->message.bytes;
    message->unasked = false;
    unlist(&flow->messages, message);
}

static void own(struct rg_endpoint *e, struct rg_item *item)
{
    item->previous_own = NULL;
    item->next_own = e->items;
    if (e->items)
        e->items->previous_own = item;
    e->items = item;
}

/* The program has no more to do with the item. */
static void disown(struct rg_item *item)
{
    *(item->previous_own ? &item->previous_own->next_own : &item->owner->items) = item->next_own;
    if (item->next_own)
        item->next_own->previous_own = item->previous_own;
    item->request = NULL;
}

static void release(struct rg_exchange *x, struct rg_item *item)
{
    if (item->listed || item->request || item->flow->moving == item)
        return;
    give_stash(x, item);
    item->next = x->spare;
    x->spare = item;
}

/* ---- flows ---- */

static size_t slot_of(const struct rg_exchange *x, int source, int target)
{
    uint64_t key = (uint64_t)(unsigned)source << 32 | (unsigned)target;
    key *= 0x9e3779b97f4a7c15u;
    size_t slot = (size_t)(key >> 20) & (x->slots - 1);
    while (x->table[slot] && (x->table[slot]->source != source || x->table[slot]->target != target))
        slot = (slot + 1) & (x->slots - 1);
    return slot;
}

static int grow_table(struct rg_exchange *x)
{
    struct rg_flow **old = x->table;
    size_t old_slots = x->slots;
    struct rg_flow **table = calloc(2 * old_slots, sizeof(struct rg_flow *));
    if (!table)
        return RG_ERR_NOMEM;
    x->table = table;
    x->slots = 2 * old_slots;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i])
            x->table[slot_of(x, old[i]->source, old[i]->target)] = old[i];
    free(old);
    return 0;
}

static struct rg_flow *flow_of(struct rg_exchange *x, int source, int target)
{
    struct rg_flow *flow = x->table[slot_of(x, source, target)];
    if (flow)
        return flow;
    if (2 * x->flows >= x->slots && grow_table(x) != 0)
        return NULL;
    flow = calloc(1, sizeof *flow);
    if (!flow)
        return NULL;
    x->flows++;
    flow->source = source;
    flow->target = target;
    if (x->ops->open && source != target)
        flow->route = x->ops->open(x->world, source, target);
    flow->next_out = x->out[source];
    x->out[source] = flow;
    flow->next_in = x->in[target];
    x->in[target] = flow;
    x->table[slot_of(x, source, target)] = flow;
    return flow;
}

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

static void fail(struct rg_exchange *x, struct rg_item *item, int code)
{
    item->outcome = code;
    ready(x, item, now_of(x));
}

static bool length_fits(const struct rg_item *receive, const struct rg_item *message)
{
    return receive->upto ? message->message.bytes <= receive->capacity
                         : message->message.bytes == receive->capacity;
}

static void ready_receive(struct rg_exchange *x, struct rg_item *receive)
{
    const struct rg_item *message = receive->partner;
    receive->outcome = !length_fits(receive, message) ? RG_ERR_LENGTH
                       : message->data == LOST        ? RG_ERR_NOMEM
                                                      : 0;
    ready(x, receive, message->arrival);
}

static void match(struct rg_exchange *x, struct rg_item *message, struct rg_item *receive)
{
    message->partner = receive;
    receive->partner = message;
    if (message->unasked) {
        message->unasked = false;
        message->flow->unasked -= message->message.bytes;
    }
    if (message->state == LEFT)
        ready_receive(x, receive);
}

/* Undo a match whose message has not arrived. */
static void unmatch(struct rg_exchange *x, struct rg_item *message)
{
    struct rg_item *receive = message->partner;
    if (!receive)
        return;
    if (message->data == AT_RECEIVER)
        copy_to_stash(x, message, receive->buffer);
    message->partner = receive->partner = NULL;
    receive->outcome = 0;
    if (receive->request)
        receive->request->date = INFINITY;
    if (message->state != QUEUED) {
        message->unasked = true;
        message->flow->unasked += message->message.bytes;
    }
}

static struct rg_item *first_free(const struct list *list, uint32_t tag)
{
    struct rg_item *item = list->first;
    while (item && (item->partner || item->tag != tag))
        item = item->next;
    return item;
}

static bool arrived(struct rg_exchange *x, const struct rg_item *message, double now)
{
    return message->state == LEFT && message->arrival <= now + x->slack;
}

/* Something of this tag was cancelled: pair what is left anew, in posting order. */
static void rematch(struct rg_exchange *x, struct rg_flow *flow, uint32_t tag)
{
    double now = now_of(x);
    for (struct rg_item *m = flow->messages.first; m; m = m->next)
        if (m->tag == tag && m->partner && !arrived(x, m, now))
            unmatch(x, m);
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
    message->state = LEFT;
    message->arrival = RG_MAX(arrival, flow->last_arrival);
    flow->last_arrival = message->arrival;
    flow->moving = NULL;
    if (message->data == AT_SENDER && receive && length_fits(receive, message)) {
        if (receive->touchable)
            memcpy(receive->buffer, message->buffer, message->message.bytes);
        message->data = receive->touchable ? AT_RECEIVER : NO_DATA;
    } else if (message->data == AT_SENDER) {
        if (message->listed)
            copy_to_stash(x, message, message->buffer);
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
    release(x, message);
    advance(x, flow);
}

/* Start what may start. */
static void advance(struct rg_exchange *x, struct rg_flow *flow)
{
    struct rg_item *message;
    while (!flow->moving && (message = flow->head) != NULL) {
        size_t bytes = message->message.bytes;
        if (!message->partner && flow->unasked + bytes > RG_WINDOW)
            return;
        if (!message->partner) {
            message->unasked = true;
            flow->unasked += bytes;
        }
        flow->head = message->next;
        flow->moving = message;
        message->state = MOVING;
        message->begin = now_of(x);
        if (message->instant) {
            settle(x, message, message->begin);
            release(x, message);
        } else {
            x->ops->start(x->world, &message->message);
        }
    }
}

/* ---- what programs do ---- */

static int refuse(struct rg_request *request, int code)
{
    request->status = code;
    return code;
}

static bool is_touchable(const struct rg_endpoint *e, const struct rg_request *request)
{
    return !e->handle.mem || !rg_mem_is_virtual_at(e->handle.mem, request->buffer);
}

static struct rg_item *new_item(struct rg_exchange *x, struct rg_endpoint *e,
                                struct rg_request *request, struct rg_flow *flow)
{
    struct rg_item *item = flow ? take_item(x) : NULL;
    if (!item)
        return NULL;
    *item = (struct rg_item){.flow = flow,
                             .owner = e,
                             .request = request,
                             .buffer = request->buffer,
                             .capacity = request->capacity,
                             .tag = request->tag,
                             .touchable = is_touchable(e, request),
                             .send = request->flags & RG_REQUEST_SEND,
                             .upto = request->flags & RG_REQUEST_UPTO};
    request->link = item;
    request->date = INFINITY;
    own(e, item);
    return item;
}

int rg_exchange_send(struct rg_exchange *x, struct rg_endpoint *e, struct rg_request *request)
{
    int source = e->handle.rank, target = request->peer;
    if (x->gone[target])
        return refuse(request, RG_ERR_PEER);
    struct rg_flow *flow = flow_of(x, source, target);
    struct rg_item *message = new_item(x, e, request, flow);
    if (!message)
        return refuse(request, RG_ERR_NOMEM);
    message->message = (struct rg_message){
        .source = source, .target = target, .bytes = request->capacity, .route = flow->route};
    message->data = message->touchable && request->capacity ? AT_SENDER : NO_DATA;
    message->instant = source == target || e->handle.untimed;
    append(&flow->messages, message);
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
    struct rg_flow *flow = flow_of(x, request->peer, e->handle.rank);
    struct rg_item *message = flow ? first_free(&flow->messages, request->tag) : NULL;
    if (!message && x->gone[request->peer])
        return refuse(request, RG_ERR_PEER);
    struct rg_item *receive = new_item(x, e, request, flow);
    if (!receive)
        return refuse(request, RG_ERR_NOMEM);
    receive->arrival = now_of(x);
    append(&flow->receives, receive);
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
    disown(item);
    if (!item->send) {
        unlist(&item->flow->receives, item);
        if (message) {
            request->bytes = message->message.bytes;
            if (item->outcome == 0 && message->data == IN_STASH && item->touchable)
                memcpy(request->buffer, message->stash->bytes, request->bytes);
            message->partner = NULL;
            unlist_message(message);
            release(x, message);
        }
    }
    if (request->status == 0) {
        rg_message_done(request->owner, request, begin, end, late && !item->send);
        if (message && !request->owner->untimed)
            request->owner->count.unseen_s += now_of(x) - end;
    }
    release(x, item);
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
        *next = fmin(*next, request->date);
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
        double now = now_of(x), next;
        *index = look(x, requests, n, now, &next);
        if (*index >= 0)
            return 0;
        if (deadline <= now + x->slack) {
            if (blocked || passed || !pass_time(x, e, now))
                return RG_ERR_TIMEOUT;
            passed = true;
            continue;
        }
        next = fmin(next, deadline);

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

/* Take back a send that has not started: it never was. */
static void withdraw(struct rg_exchange *x, struct rg_item *message)
{
    unmatch(x, message);
    unlist_message(message);
    rematch(x, message->flow, message->tag);
    advance(x, message->flow);
}

static void withdraw_receive(struct rg_exchange *x, struct rg_item *receive)
{
    if (receive->partner)
        unmatch(x, receive->partner);
    unlist(&receive->flow->receives, receive);
    rematch(x, receive->flow, receive->tag);
    advance(x, receive->flow);
}

int rg_exchange_cancel(struct rg_exchange *x, struct rg_endpoint *e, struct rg_request *request)
{
    struct rg_item *item = request->link;
    double next;
    if (look(x, &request, 1, now_of(x), &next) == 0)
        return 0;
    RG_ASSERT(item->owner == e);
    if (item->send && item->state != QUEUED) { /* it has begun to leave: the rest from a copy */
        if (item->state == MOVING && item->data == AT_SENDER)
            copy_to_stash(x, item, item->buffer);
        request->status = 0;
        disown(item);
        release(x, item);
        return 0;
    }
    request->status = RG_ERR_CANCELLED;
    disown(item);
    if (item->send)
        withdraw(x, item);
    else
        withdraw_receive(x, item);
    release(x, item);
    return 0;
}

/* ---- coming and going ---- */

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
    bool over = request && item->outcome == 0 && item->send && arrived(x, item, now_of(x));
    if (!in_dead_frame(e, request))
        request->status = over ? 0 : RG_ERR_CANCELLED;
    disown(item);
    if (!item->send) {
        struct rg_item *message = item->partner;
        if (message && arrived(x, message, now_of(x))) { /* received, though nobody looked */
            item->partner = message->partner = NULL;
            unlist_message(message);
            release(x, message);
        }
        withdraw_receive(x, item);
    } else if (item->listed && item->state == QUEUED) {
        withdraw(x, item);
    } else if (item->state == MOVING && item->data == AT_SENDER) {
        copy_to_stash(x, item, item->buffer);
    }
    release(x, item);
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
        disown(item);
        if (!item->send) {
            if (item->partner) {
                item->partner->partner = NULL;
                item->partner = NULL;
            }
            unlist(&item->flow->receives, item);
        } else if (item->state != LEFT) {
            unmatch(x, item);
            unlist_message(item);
            item->data = NO_DATA;
        }
        release(x, item);
    }
    e->waits = NULL;
}

static void fail_receives(struct rg_exchange *x, struct rg_flow *flow)
{
    for (struct rg_item *r = flow->receives.first; r; r = r->next)
        if (!r->partner)
            fail(x, r, RG_ERR_PEER);
}

static void fail_messages(struct rg_exchange *x, struct rg_flow *flow)
{
    double now = now_of(x);
    for (struct rg_item *m = flow->messages.first, *next; m; m = next) {
        next = m->next;
        if (m->request && !arrived(x, m, now)) {
            if (m->data == AT_SENDER)
                m->data = NO_DATA;
            fail(x, m, RG_ERR_PEER);
        }
        m->partner = NULL;
        unlist_message(m);
        release(x, m);
    }
    flow->head = NULL;
}

void rg_exchange_leave(struct rg_exchange *x, int rank, bool clean)
{
    if (x->gone[rank])
        return;
    x->gone[rank] = true;
    x->gone_count++;
    for (struct rg_endpoint *e = x->endpoints[rank]; e && !clean; e = e->sibling)
        drop_all(x, e);
    for (struct rg_flow *flow = x->out[rank]; flow; flow = flow->next_out)
        if (flow->target != rank)
            fail_receives(x, flow);
    for (struct rg_flow *flow = x->in[rank]; flow; flow = flow->next_in)
        fail_messages(x, flow);
}

bool rg_exchange_gone(const struct rg_exchange *x, int rank)
{
    return x->gone[rank];
}

bool rg_exchange_any_gone(const struct rg_exchange *x)
{
    return x->gone_count > 0;
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
