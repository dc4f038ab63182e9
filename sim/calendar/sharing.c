#include "sharing.h"

#include "base/check.h"
#include "base/need.h"
#include "sim/strands/same_date.h"
#include <math.h>
#include <stdlib.h>

#define FULL (1 + 1e-12) /* sums of rates that exceed a bandwidth by less are rounding */

enum { WORTH_A_CLOCK = 8 }; /* flows */

/* Of a link that is the only one to limit its flows. */
struct rg_link_clock {
    struct rg_timer timer; /* first: the end of the first flow */
    struct rg_sharing *sharing;
    struct rg_shared_link *link;
    struct rg_shared_flow **heap; /* by until, from 1 */
    size_t count, capacity;
    double service, date; /* bytes that each flow has had, up to that date */
    double most;          /* bytes/s that all flows can take elsewhere */
    struct rg_link_clock *next, *next_idle;
};

static void *room_for_one(void *array, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? 2 * *capacity : 64;
    array = rg_need(array, *capacity * sizeof(void *));
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
    f->over = now + RG_MAX(0, f->remaining) / rate;
}

/* ---- clocks of links ---- */

/* Of each flow. */
static double clock_rate(const struct rg_link_clock *c)
{
    return c->link->bandwidth / (double)c->count;
}

double rg_flow_rate(const struct rg_shared_flow *flow)
{
    return flow->clock ? clock_rate(flow->clock) : flow->rate;
}

/* Ranks of one date go on from their own, which may be before the last change. */
static void advance(struct rg_link_clock *c)
{
    double now = RG_MAX(c->date, c->sharing->calendar->now);
    if (c->count > 0)
        c->service += (now - c->date) * clock_rate(c);
    c->date = now;
}

static void schedule(struct rg_link_clock *c)
{
    if (c->count == 0)
        rg_calendar_unset(&c->timer);
    else
        rg_calendar_set(c->sharing->calendar, &c->timer,
                        c->date + RG_MAX(0, c->heap[1]->until - c->service) / clock_rate(c));
}

static bool before(const struct rg_shared_flow *f, const struct rg_shared_flow *g)
{
    return f->until != g->until ? f->until < g->until : f->order < g->order;
}

static void push(struct rg_link_clock *c, struct rg_shared_flow *f, double bytes)
{
    if (c->count + 2 > c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 64;
        c->heap = rg_need(c->heap, c->capacity * sizeof(struct rg_shared_flow *));
    }
    f->clock = c;
    f->until = c->service + bytes;
    f->order = c->sharing->served++;
    size_t i = ++c->count;
    for (; i > 1 && before(f, c->heap[i / 2]); i /= 2)
        c->heap[i] = c->heap[i / 2];
    c->heap[i] = f;
}

static struct rg_shared_flow *pop(struct rg_link_clock *c)
{
    struct rg_shared_flow *first = c->heap[1], *last = c->heap[c->count--];
    size_t i = 1;
    for (size_t child; (child = 2 * i) <= c->count; i = child) {
        child += child < c->count && before(c->heap[child + 1], c->heap[child]);
        if (!before(c->heap[child], last))
            break;
        c->heap[i] = c->heap[child];
    }
    c->heap[i] = last;
    first->clock = NULL;
    return first;
}

/* Its flows have rates again, and the link is to be solved for. */
static void stop_clock(struct rg_link_clock *c)
{
    struct rg_sharing *s = c->sharing;
    advance(c);
    for (size_t i = 1; i <= c->count; i++) {
        struct rg_shared_flow *f = c->heap[i];
        f->clock = NULL;
        f->remaining = f->until - c->service;
        f->date = c->date;
        f->rate = clock_rate(c);
        f->over = c->date + RG_MAX(0, f->remaining) / f->rate;
    }
    rg_calendar_unset(&c->timer);
    note_change(s, c->link);
    c->link->clock = NULL;
    c->count = 0;
    c->next_idle = s->idle;
    s->idle = c;
}

/* The first flow is over, and those that are due at the same date. */
static void clock_fires(struct rg_timer *timer)
{
    struct rg_link_clock *c = (struct rg_link_clock *)timer;
    struct rg_shared_flow *over = NULL, **last = &over;
    advance(c);
    c->service = RG_MAX(c->service, c->heap[1]->until);
    double due = c->service + RG_SAME_DATE * c->date * clock_rate(c);
    while (c->count > 0 && c->heap[1]->until <= due) {
        *last = pop(c);
        last = &(*last)->next_over;
    }
    *last = NULL;
    if (c->count == 0 || clock_rate(c) > c->most)
        stop_clock(c);
    else
        schedule(c);
    for (struct rg_shared_flow *next; over; over = next) {
        next = over->next_over;
        over->timer.fire(&over->timer);
    }
}

/* All flows of the link, which are what was solved for last, have the same rate and no other limit:
 * a clock takes them over. */
static void start_clock(struct rg_sharing *s, struct rg_shared_link *link)
{
    struct rg_link_clock *c = s->idle;
    if (c) {
        s->idle = c->next_idle;
    } else {
        c = rg_need_zeroed(1, sizeof *c);
        c->next = s->clocks;
        s->clocks = c;
    }
    c->timer = (struct rg_timer){.fire = clock_fires};
    c->sharing = s;
    c->link = link;
    c->service = 0;
    c->date = s->calendar->now;
    c->most = INFINITY;
    for (size_t i = 0; i < s->flows.count; i++) {
        struct rg_shared_flow *f = s->flows.flow[i];
        rg_calendar_unset(&f->timer);
        push(c, f, f->rate * (f->over - c->date));
        c->most = RG_MIN(c->most, f->most);
    }
    link->clock = c;
    schedule(c);
}

/* ---- what flows ask of their links ---- */

/* The one link that serves this flow by its clock, now that it has begun; NULL: there is none. */
static struct rg_link_clock *clock_for(const struct rg_shared_flow *f)
{
    struct rg_link_clock *clock = NULL;
    for (int i = 0; i < f->count; i++) {
        const struct rg_shared_link *link = f->ends[i].link;
        if (!link->clock && !could_be_full(link))
            continue;
        if (clock || !link->clock)
            return NULL;
        clock = link->clock;
    }
    if (!clock ||
        clock->link->bandwidth / (double)(clock->count + 1) > RG_MIN(clock->most, f->most))
        return NULL;
    return clock;
}

/* Its rate and that of others is to be solved for. */
static void note_changes(struct rg_sharing *s, const struct rg_shared_flow *f)
{
    for (int i = 0; i < f->count; i++) {
        struct rg_shared_link *link = f->ends[i].link;
        if (link->clock)
            stop_clock(link->clock);
        if (could_be_full(link))
            note_change(s, link);
    }
}

/* The flow asks its links for what it could have; true: none of them could be full. */
static bool ask(struct rg_shared_flow *f)
{
    bool alone = true;
    f->most = INFINITY;
    for (int i = 0; i < f->count; i++)
        f->most = RG_MIN(f->most, f->ends[i].link->bandwidth);
    for (int i = 0; i < f->count; i++) {
        struct rg_shared_link *link = f->ends[i].link;
        link->wanted += f->most;
        alone = alone && !could_be_full(link) && !link->clock;
    }
    return alone;
}

static void ask_no_more(struct rg_sharing *s, struct rg_shared_flow *f)
{
    for (int i = 0; i < f->count; i++) {
        struct rg_shared_link *link = f->ends[i].link;
        if (could_be_full(link) && !link->clock)
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
    struct rg_link_clock *clock;
    if (ask(f)) {
        set_rate(s, f, f->most);
        rg_calendar_set(s->calendar, &f->timer, f->over);
    } else if ((clock = clock_for(f)) != NULL) {
        advance(clock);
        push(clock, f, bytes);
        clock->most = RG_MIN(clock->most, f->most);
        schedule(clock);
    } else {
        note_changes(s, f);
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
        if (end->flow->clock)
            stop_clock(end->flow->clock);
    for (end = link->flows; end; end = end->next)
        if (is_first_end(end))
            ask_no_more(s, end->flow);
    link->bandwidth = bandwidth;
    for (end = link->flows; end; end = end->next)
        if (is_first_end(end) && !ask(end->flow))
            note_changes(s, end->flow);
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
        double share = link->left / link->open;
        least = RG_MIN(least, share);
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
        lowest = RG_MIN(lowest, s->flows.flow[i]->most);
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
        first = RG_MIN(first, s->flows.flow[i]->over);
    }
    for (size_t i = 0; i < s->flows.count; i++) {
        struct rg_shared_flow *f = s->flows.flow[i];
        if (f->over <= first * (1 + RG_SAME_DATE))
            rg_calendar_set(s->calendar, &f->timer, f->over);
        else if (rg_timer_is_due(&f->timer))
            rg_calendar_unset(&f->timer);
    }
}

/* Are the flows that have been solved for many, and have the same rate? Of the only link that could
 * limit them, which none takes twice. */
static bool deserve_clock(const struct rg_sharing *s, const struct rg_shared_link *link)
{
    size_t count = s->flows.count;
    bool same = count >= WORTH_A_CLOCK && (size_t)link->count == count;
    for (size_t i = 1; i < count && same; i++)
        same = s->flows.flow[i]->rate == s->flows.flow[0]->rate;
    return same;
}

static void solve_component(struct rg_sharing *s, struct rg_shared_flow *first)
{
    find_component(s, first);
    struct rg_shared_link *link = s->component.count == 1 ? s->component.link[0] : NULL;
    fill(s);
    set_timers(s);
    if (link && deserve_clock(s, link))
        start_clock(s, link);
}

/* A link that could be full now limits flows which another's clock has served until now. */
static void stop_clocks(struct rg_sharing *s)
{
    for (size_t i = 0; i < s->changed.count; i++)
        for (struct rg_flow_end *end = s->changed.link[i]->flows; end; end = end->next)
            if (end->flow->clock)
                stop_clock(end->flow->clock);
}

void rg_sharing_solve(struct rg_sharing *s)
{
    uint64_t before = s->mark;
    stop_clocks(s);
    for (size_t i = 0; i < s->changed.count; i++) {
        struct rg_shared_link *link = s->changed.link[i];
        link->changed = false;
        for (struct rg_flow_end *end = link->flows; end; end = end->next)
            if (end->flow->mark <= before)
                solve_component(s, end->flow);
    }
    s->changed.count = 0;
}

void rg_sharing_free(struct rg_sharing *s)
{
    free(s->changed.link);
    free(s->component.link);
    free(s->flows.flow);
    for (struct rg_link_clock *c = s->clocks, *next; c; c = next) {
        next = c->next;
        free(c->heap);
        free(c);
    }
}
