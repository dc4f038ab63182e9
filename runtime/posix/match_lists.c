/* Lists of transfers, and how a transfer ends (see match_parts.h). */
#include "posix/match_parts.h"

const char rg_match_no_memory[] = "no memory for its message";

void rg_match_list(struct rg_transfers *list, struct rg_transfer *t)
{
    t->listed = true;
    t->next = NULL;
    t->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = t;
    list->last = t;
}

void rg_match_list_first(struct rg_transfers *list, struct rg_transfer *t)
{
    t->listed = true;
    t->previous = NULL;
    t->next = list->first;
    *(list->first ? &list->first->previous : &list->last) = t;
    list->first = t;
}

void rg_match_unlist(struct rg_transfers *list, struct rg_transfer *t)
{
    t->listed = false;
    *(t->previous ? &t->previous->next : &list->first) = t->next;
    *(t->next ? &t->next->previous : &list->last) = t->previous;
}

void rg_match_release(struct rg_transfer *t)
{
    if (!t->listed && !t->request)
        rg_match_give_transfer(t->pair->match, t);
}

void rg_match_done(struct rg_transfer *t, int outcome)
{
    struct rg_match *m = t->pair->match;
    t->done = true;
    t->outcome = outcome;
    if (t->request)
        m->ops->complete(m->world, t);
    else
        rg_match_release(t);
}

struct rg_transfer *rg_match_first_receive(const struct rg_pair *p, uint32_t tag)
{
    struct rg_transfer *t = p->receives.first;
    while (t && t->tag != tag)
        t = t->next;
    return t;
}

int rg_match_absence(const struct rg_pair *p)
{
    const struct rg_match *m = p->match;
    bool dead = p->gone && !p->goodbye;
    bool wanted = atomic_load(&m->interrupted) || (atomic_load(&m->winding) && !dead);
    return wanted ? RG_ERR_INTERRUPTED : RG_ERR_PEER;
}
