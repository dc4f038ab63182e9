#include "sharing.h"

#include "same_date.h"

#include "base/check.h"
#include <math.h>
#include <stdlib.h>

#define FULL (1 + 1e-12) /* sums of rates that exceed a bandwidth by less are rounding */

static void *room_for_one(void *array, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? 2 * *capacity : 64;
    array = realloc(array, *capacity * sizeof(void *));
    RG_ASSERT(array);
    return array;
}

static void add_link(struct rg_links_found *found, struct rg_shared_link *link)
{
    found->link = room_for_one(found->link, found->count, &found->capacity);
    found->link[found->count++] = link;
}

static bool could_be_full(const struct rg_shared_link *link)
{
    return !link->each && link->wanted > link->bandwidth * FULL;
}

static void note_change(struct rg_sharing *s, struct rg_shared_link *link)
{
    if (link->changed)
        return;
    link->changed = true;
    add_link(&s->changed, link);
}

/* Of the changes of one date the last counts, from the first on: the flow that happened to begin
 * before others of its date would else have its link for itself until the last of them, and come in
 * by as much sooner, and sooner still the next time. */
static void set_rate(struct rg_sharing *s, struct rg_shared_flow *f, double rate)
{
    double now = s->calendar->now;
    if (rate == f->rate)
        return;
    if (f->rate == 0 || now - f->date <= RG_SAME_DATE * now)
        now = f->date;
    f->remaining -= f->rate * (now - f->date);
    f->date = now;
    f->rate = rate;
    f->over = now + fmax(0, f->remaining) / rate;
}

/* The flow asks its links for what it could have; true: none of them could be full. */
static bool ask(struct rg_sharing *s, struct rg_shared_flow *f)
{
    bool alone = true;
    f->most = INFINITY;
    for (int i = 0; i < f->count; i++)
        f->most = fmin(f->most, f->ends[i].link->bandwidth);
    for (int i = 0; i < f->count; i++) {
        struct rg_shared_link *link = f->ends[i].link;
        link->wanted += f->most;
        if (could_be_full(link)) {
            alone = false;
            note_change(s, link);
        }
    }
    return alone;
}

static void ask_no_more(struct rg_sharing *s, struct rg_shared_flow *f)
{
    for (int i = 0; i < f->count; i++) {
        struct rg_shared_link *link = f->ends[i].link;
        if (could_be_full(link))
            note_change(s, link);
        link->wanted -= f->most;
    }
}

void rg_flow_begin(struct rg_sharing *s, struct rg_shared_flow *f, double bytes)
{
    f->remaining = bytes;
    f->rate = 0;
    f->date = s->calendar->now;
    for (int i = 0; i < f->count; i++) {
        struct rg_flow_end *end = &f->ends[i];
        struct rg_shared_link *link = end->link;
        end->flow = f;
        end->previous = NULL;
        end->next = link->flows;
        if (link->flows)
            link->flows->previous = end;
        link->flows = end;
        link->count++;
    }
    if (ask(s, f)) {
        set_rate(s, f, f->most);
        rg_calendar_set(s->calendar, &f->timer, f->over);
    }
}

void rg_flow_end(struct rg_sharing *s, struct rg_shared_flow *f)
{
    ask_no_more(s, f);
    for (int i = 0; i < f->count; i++) {
        struct rg_flow_end *end = &f->ends[i];
        *(end->previous ? &end->previous->next : &end->link->flows) = end->next;
        if (end->next)
            end->next->previous = end->previous;
        if (--end->link->count == 0)
            end->link->wanted = 0; /* no rounding is left */
    }
}

/* Of a flow that takes the link twice: is that its first place there? */
static bool is_first_end(const struct rg_flow_end *end)
{
    const struct rg_flow_end *first = end->flow->ends;
    while (first->link != end->link)
        first++;
    return first == end;
}

void rg_link_change(struct rg_sharing *s, struct rg_shared_link *link, double bandwidth)
{
    struct rg_flow_end *end;
    for (end = link->flows; end; end = end->next)
        if (is_first_end(end))
            ask_no_more(s, end->flow);
    link->bandwidth = bandwidth;
    for (end = link->flows; end; end = end->next)
        if (is_first_end(end))
            ask(s, end->flow);
    note_change(s, link);
}

/* ---- solving ---- */

static void add_flow(struct rg_sharing *s, struct rg_shared_flow *f)
{
    if (f->mark == s->mark)
        return;
    f->mark = s->mark;
    f->fixed = false;
    s->flows.flow = room_for_one(s->flows.flow, s->flows.count, &s->flows.capacity);
    s->flows.flow[s->flows.count++] = f;
    for (int k = 0; k < f->count; k++) {
        struct rg_shared_link *link = f->ends[k].link;
        if (link->mark == s->mark || !could_be_full(link))
            continue;
        link->mark = s->mark;
        link->left = link->bandwidth;
        link->open = link->count;
        add_link(&s->component, link);
    }
}

/* Links and flows that hang together with this flow through links that could be full. */
static void find_component(struct rg_sharing *s, struct rg_shared_flow *first)
{
    s->mark++;
    s->component.count = s->flows.count = 0;
    add_flow(s, first);
    for (size_t i = 0; i < s->component.count; i++)
        for (struct rg_flow_end *end = s->component.link[i]->flows; end; end = end->next)
            add_flow(s, end->flow);
}

static void fix(struct rg_sharing *s, struct rg_shared_flow *f, double rate)
{
    f->fixed = true;
    f->solved = rate;
    for (int k = 0; k < f->count; k++) {
        struct rg_shared_link *link = f->ends[k].link;
        if (link->mark != s->mark)
            continue;
        link->left -= rate;
        link->open--;
    }
}

/* Flows that no link of the component lets have more than `share` have what they could elsewhere,
 * where that is less; how many. */
static size_t fix_modest(struct rg_sharing *s, double share)
{
    size_t fixed = 0;
    for (size_t i = 0; i < s->flows.count; i++) {
        struct rg_shared_flow *f = s->flows.flow[i];
        if (f->fixed || f->most > share)
            continue;
        fix(s, f, f->most);
        fixed++;
    }
    return fixed;
}

/* Links that are full at this share fix their flows; how many. */
static size_t fix_full(struct rg_sharing *s, double share)
{
    size_t fixed = 0;
    for (size_t i = 0; i < s->component.count; i++) {
        struct rg_shared_link *link = s->component.link[i];
        if (link->open == 0 || link->left / link->open > share * FULL)
            continue;
        for (struct rg_flow_end *end = link->flows; end; end = end->next) {
            if (end->flow->fixed)
                continue;
            fix(s, end->flow, share);
            fixed++;
        }
    }
    return fixed;
}

/* The least share of a link that has flows open; those that have none leave the component. */
static double least_share(struct rg_sharing *s)
{
    double least = INFINITY;
    size_t kept = 0;
    for (size_t i = 0; i < s->component.count; i++) {
        struct rg_shared_link *link = s->component.link[i];
        if (link->open == 0)
            continue;
        s->component.link[kept++] = link;
        least = fmin(least, link->left / link->open);
    }
    s->component.count = kept;
    return least;
}

/* Progressive filling: the fullest link fixes its flows, until none is left. */
static void fill(struct rg_sharing *s)
{
    size_t open = s->flows.count;
    double lowest = INFINITY;
    for (size_t i = 0; i < s->flows.count; i++)
        lowest = fmin(lowest, s->flows.flow[i]->most);
    while (open > 0) {
        double share = least_share(s);
        size_t modest = lowest <= share ? fix_modest(s, share) : 0;
        open -= modest ? modest : fix_full(s, share);
    }
}

/* Only the first of the component to end needs a timer: its end changes the dates of the others. */
static void set_timers(struct rg_sharing *s)
{
    double first = INFINITY;
    for (size_t i = 0; i < s->flows.count; i++) {
        set_rate(s, s->flows.flow[i], s->flows.flow[i]->solved);
        first = fmin(first, s->flows.flow[i]->over);
    }
    for (size_t i = 0; i < s->flows.count; i++) {
        struct rg_shared_flow *f = s->flows.flow[i];
        if (f->over > first * (1 + RG_SAME_DATE))
            rg_calendar_unset(&f->timer);
        else
            rg_calendar_set(s->calendar, &f->timer, f->over);
    }
}

void rg_sharing_solve(struct rg_sharing *s)
{
    uint64_t before = s->mark;
    for (size_t i = 0; i < s->changed.count; i++) {
        struct rg_shared_link *link = s->changed.link[i];
        link->changed = false;
        for (struct rg_flow_end *end = link->flows; end; end = end->next) {
            if (end->flow->mark > before)
                continue;
            find_component(s, end->flow);
            fill(s);
            set_timers(s);
        }
    }
    s->changed.count = 0;
}

void rg_sharing_free(struct rg_sharing *s)
{
    free(s->changed.link);
    free(s->component.link);
    free(s->flows.flow);
}
