/* The exchange's items, the lists they stand in and the flows between pairs of ranks, with their
 * memory, which is used again for what comes after. */
#include "world/exchange_parts.h"

#include <stdlib.h>
#include <string.h>

enum { SLAB = 64 };

struct rg_exchange_slab {
    struct rg_exchange_slab *next;
    struct rg_item items[SLAB];
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
    x->table = calloc(x->slots, sizeof *x->table);
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
        free(x->table[i].flow);
    for (struct rg_exchange_slab *slab = x->slabs, *next; slab; slab = next) {
        next = slab->next;
        for (int i = 0; i < SLAB; i++)
            free(slab->items[i].bounce);
        free(slab);
    }
    for (int grade = 0; grade < RG_BOUNCE_GRADES; grade++) {
        for (struct rg_exchange_bounce *s = x->bounces[grade], *next; s; s = next) {
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

/* ---- memory ---- */

struct rg_item *rg_item_take(struct rg_exchange *x)
{
    if (!x->spare) {
        struct rg_exchange_slab *slab = calloc(1, sizeof *slab);
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

/* Bounce buffers of up to 1 MiB are kept for reuse; larger ones are rare (something was cancelled).
 */
static struct rg_exchange_bounce *take_bounce(struct rg_exchange *x, size_t bytes)
{
    int grade = 0;
    while (grade < RG_BOUNCE_GRADES && (size_t)1 << grade < bytes)
        grade++;
    struct rg_exchange_bounce *bounce = grade < RG_BOUNCE_GRADES ? x->bounces[grade] : NULL;
    if (bounce) {
        x->bounces[grade] = bounce->next;
        return bounce;
    }
    size_t room = grade < RG_BOUNCE_GRADES ? (size_t)1 << grade : bytes;
    size_t unit = _Alignof(struct rg_exchange_bounce);
    bounce = aligned_alloc(unit, (sizeof *bounce + room + unit - 1) / unit * unit);
    if (bounce)
        bounce->grade = grade;
    return bounce;
}

static void give_bounce(struct rg_exchange *x, struct rg_item *message)
{
    struct rg_exchange_bounce *bounce = message->bounce;
    message->bounce = NULL;
    if (!bounce)
        return;
    if (bounce->grade == RG_BOUNCE_GRADES) {
        free(bounce);
        return;
    }
    bounce->next = x->bounces[bounce->grade];
    x->bounces[bounce->grade] = bounce;
}

void rg_item_set_aside(struct rg_exchange *x, struct rg_item *message, const void *from)
{
    message->bounce = take_bounce(x, message->message.bytes);
    message->data = message->bounce ? RG_AT_BOUNCE : RG_AT_LOST;
    if (message->bounce)
        memcpy(message->bounce->bytes, from, message->message.bytes);
}

/* ---- lists ---- */

void rg_list_append(struct rg_items *list, struct rg_item *item)
{
    item->listed = true;
    item->next = NULL;
    item->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = item;
    list->last = item;
}

void rg_list_remove(struct rg_items *list, struct rg_item *item)
{
    if (!item->listed)
        return;
    item->listed = false;
    *(item->previous ? &item->previous->next : &list->first) = item->next;
    *(item->next ? &item->next->previous : &list->last) = item->previous;
}

void rg_item_unlist(struct rg_item *message)
{
    struct rg_flow *flow = message->flow;
    if (flow->head == message)
        flow->head = message->next;
    if (message->eager)
        flow->eager -= message->message.bytes;
    message->eager = false;
    rg_list_remove(&flow->messages, message);
}

void rg_item_own(struct rg_endpoint *e, struct rg_item *item)
{
    item->previous_own = NULL;
    item->next_own = e->items;
    if (e->items)
        e->items->previous_own = item;
    e->items = item;
}

void rg_item_disown(struct rg_item *item)
{
    *(item->previous_own ? &item->previous_own->next_own : &item->owner->items) = item->next_own;
    if (item->next_own)
        item->next_own->previous_own = item->previous_own;
    item->request = NULL;
}

void rg_item_release(struct rg_exchange *x, struct rg_item *item)
{
    if (item->listed || item->request || item->flow->moving == item)
        return;
    give_bounce(x, item);
    item->next = x->spare;
    x->spare = item;
}

/* ---- flows ---- */

/* Where the flow of a pair is in the table, or is to be: the key is there beside it, so that a look
 * touches one line of memory. */
static struct rg_flow_slot *slot_of(const struct rg_exchange *x, uint64_t key)
{
    size_t at = (size_t)((key * 0x9e3779b97f4a7c15u) >> 32); /* bits that source and target move */
    while (x->table[at &= x->slots - 1].flow && x->table[at].key != key)
        at++;
    return &x->table[at];
}

static int grow_table(struct rg_exchange *x)
{
    struct rg_flow_slot *old = x->table;
    size_t old_slots = x->slots;
    struct rg_flow_slot *table = calloc(2 * old_slots, sizeof *table);
    if (!table)
        return RG_ERR_NOMEM;
    x->table = table;
    x->slots = 2 * old_slots;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].flow)
            *slot_of(x, old[i].key) = old[i];
    free(old);
    return 0;
}

struct rg_flow *rg_flow_of(struct rg_exchange *x, int source, int target)
{
    uint64_t key = (uint64_t)(unsigned)source << 32 | (unsigned)target;
    struct rg_flow *flow = slot_of(x, key)->flow;
    if (flow)
        return flow;
    if (4 * x->flows >= 3 * x->slots && grow_table(x) != 0)
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
    *slot_of(x, key) = (struct rg_flow_slot){key, flow};
    return flow;
}
