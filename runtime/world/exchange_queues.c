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

static int grow_table(struct rg_exchange *x)
{
    struct rg_flow **old = x->table;
    const uint32_t *places = x->places;
    size_t slots = x->slots ? 2 * x->slots : 64;
    struct rg_flow **table = calloc(slots, sizeof *x->table + sizeof *x->places);
    if (!table)
        return RG_ERR_NOMEM;
    x->table = table;
    x->places = (uint32_t *)(table + slots);
    for (size_t i = 0; i < x->slots; i++) {
        size_t at = places[i];
        while (old[i] && table[at &= slots - 1])
            at++;
        if (old[i]) {
            table[at] = old[i];
            x->places[at] = places[i];
        }
    }
    x->slots = slots;
    free(old);
    return 0;
}

struct rg_exchange *rg_exchange_new(int size, double slack_s, const struct rg_exchange_ops *ops,
                                    void *world)
{
    struct rg_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    size_t n = (size_t)size;
    *x = (struct rg_exchange){.size = size, .slack = slack_s, .ops = ops, .world = world};
    x->out = calloc(n, sizeof(struct rg_flow *));
    x->in = calloc(n, sizeof(struct rg_flow *));
    x->endpoints = calloc(n, sizeof(struct rg_endpoint *));
    x->gone = calloc(n, sizeof *x->gone);
    if (grow_table(x) != 0 || !x->out || !x->in || !x->endpoints || !x->gone) {
        rg_exchange_free(x);
        return NULL;
    }
    return x;
}

void rg_exchange_free(struct rg_exchange *x)
{
    if (!x)
        return;
    for (struct rg_exchange_slab *slab = x->slabs; slab; slab = slab->next)
        for (int i = 0; i < SLAB; i++)
            free(slab->items[i].bounce);
    rg_chunks_free(&x->memory);
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
        struct rg_exchange_slab *slab = rg_chunks_take(&x->memory, sizeof *slab);
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

/* Where that pair's flow is, or is to be. Those to eight targets in a row are next to each other:
 * where many are looked for, one after the other is. */
static size_t slot_of(const struct rg_exchange *x, uint32_t place, int source, int target)
{
    const struct rg_flow *flow;
    size_t at = place;
    while ((flow = x->table[at &= x->slots - 1]) != NULL &&
           (flow->source != source || flow->target != target))
        at++;
    return at;
}

struct rg_flow *rg_flow_of(struct rg_exchange *x, int source, int target)
{
    uint64_t row = (uint64_t)(unsigned)source << 32 | (unsigned)target >> 3;
    uint32_t place = (uint32_t)((row * 0x9e3779b97f4a7c15u) >> 35) << 3 | (target & 7);
    size_t slot = slot_of(x, place, source, target);
    struct rg_flow *flow = x->table[slot];
    if (flow)
        return flow;
    if (2 * x->flows >= x->slots) {
        if (grow_table(x) != 0)
            return NULL;
        slot = slot_of(x, place, source, target);
    }
    flow = rg_chunks_take(&x->memory, sizeof *flow);
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
    x->table[slot] = flow;
    x->places[slot] = place;
    return flow;
}
