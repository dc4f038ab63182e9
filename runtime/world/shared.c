#include "world/shared.h"

#include <stddef.h>
#include <stdlib.h>

enum { SLOTS = 256 };

struct holder {
    struct rg_shared *shared; /* NULL: of one rank alone */
    struct holder *next, *previous;
    const struct rg_shared_kind *kind;
    const void *of;
    int64_t number;
    int users;
    _Alignas(max_align_t) char object[];
};

struct rg_shared {
    struct holder *first[SLOTS]; /* by hash */
};

static struct holder **slot_of(struct rg_shared *shared, const void *of, int64_t number)
{
    uint64_t key = (uint64_t)(uintptr_t)of + (uint64_t)number * 0x9e3779b97f4a7c15u;
    return &shared->first[key * 0x9e3779b97f4a7c15u >> 56];
}

struct rg_shared *rg_shared_new(void)
{
    return calloc(1, sizeof(struct rg_shared));
}

static void give_up(struct holder *holder)
{
    if (holder->kind->clear)
        holder->kind->clear(holder->object);
    free(holder);
}

void rg_shared_free(struct rg_shared *shared)
{
    for (int i = 0; shared && i < SLOTS; i++) {
        for (struct holder *h = shared->first[i], *next; h; h = next) {
            next = h->next;
            give_up(h);
        }
    }
    free(shared);
}

static struct holder *make(const struct rg_shared_kind *kind, const void *of, int64_t number)
{
    struct holder *holder = calloc(1, sizeof *holder + kind->bytes);
    if (!holder)
        return NULL;
    *holder = (struct holder){.kind = kind, .of = of, .number = number, .users = 1};
    if (kind->make(holder->object, of, number) == 0)
        return holder;
    give_up(holder);
    return NULL;
}

void *rg_shared_take(struct rg_world *w, const struct rg_shared_kind *kind, const void *of,
                     int64_t number)
{
    struct holder **slot = w->shared ? slot_of(w->shared, of, number) : NULL;
    for (struct holder *h = slot ? *slot : NULL; h; h = h->next) {
        if (h->kind == kind && h->of == of && h->number == number) {
            h->users++;
            return h->object;
        }
    }
    struct holder *holder = make(kind, of, number);
    if (!holder || !slot)
        return holder ? holder->object : NULL;
    holder->shared = w->shared;
    holder->next = *slot;
    if (*slot)
        (*slot)->previous = holder;
    *slot = holder;
    return holder->object;
}

void rg_shared_drop(void *object)
{
    if (!object)
        return;
    struct holder *h = (struct holder *)((char *)object - offsetof(struct holder, object));
    if (--h->users > 0)
        return;
    if (h->shared) {
        *(h->previous ? &h->previous->next : slot_of(h->shared, h->of, h->number)) = h->next;
        if (h->next)
            h->next->previous = h->previous;
    }
    give_up(h);
}
