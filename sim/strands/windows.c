#include "windows.h"

#include "base/need.h"

#include "base/random.h"
#include <math.h>
#include <stdlib.h>

static bool holds(const struct rg_fault_window *window, double now)
{
    return window->from_s <= now && now < window->to_s;
}

/* The next date after `now` at which the window begins or ends, if it is before `next`. */
static double next_end(const struct rg_fault_window *window, double now, double next)
{
    if (window->from_s > now)
        return fmin(next, window->from_s);
    return window->to_s > now ? fmin(next, window->to_s) : next;
}

/* ---- computing ---- */

struct rg_slowdown {
    const struct rg_faults *orders;
    uint64_t seed;
    bool *slow; /* [size] has slow windows */
};

struct rg_slowdown *rg_slowdown_new(const struct rg_faults *faults, uint64_t seed, int size)
{
    if (!faults || (faults->slow.count == 0 && !(faults->spread > 0)))
        return NULL;
    struct rg_slowdown *s = rg_need_zeroed(1, sizeof *s);
    *s = (struct rg_slowdown){faults, seed, rg_need_zeroed((size_t)size, sizeof *s->slow)};
    for (int i = 0; i < faults->slow.count; i++) {
        const struct rg_fault_window *window = &faults->slow.window[i];
        for (int rank = window->first; rank <= window->last && rank < size; rank++)
            s->slow[rank] = true;
    }
    return s;
}

void rg_slowdown_free(struct rg_slowdown *s)
{
    if (s)
        free(s->slow);
    free(s);
}

struct rg_fault_stream rg_fault_stream_of_rank(const struct rg_slowdown *s, int rank)
{
    uint64_t purpose = rg_mix64(rg_mix64(s->seed) ^ RG_STREAM_FAULT);
    return (struct rg_fault_stream){.key = rg_mix64(purpose ^ (uint64_t)rank)};
}

struct rg_fault_stream rg_fault_stream_of_strand(const struct rg_fault_stream *parent, int n)
{
    return (struct rg_fault_stream){.key = rg_mix64(parent->key ^ rg_mix64((uint64_t)n))};
}

/* The next of the stream, in [-1, 1): a function of its key and of how many came before, after
 * splitmix64 (Steele et al. 2014). */
static double draw(struct rg_fault_stream *stream)
{
    uint64_t bits = rg_mix64(stream->key + stream->drawn++ * 0x9e3779b97f4a7c15u);
    return 2 * ldexp((double)(bits >> 11), -53) - 1;
}

double rg_slowdown_jitter(const struct rg_slowdown *s, struct rg_fault_stream *stream,
                          double seconds)
{
    double spread = s->orders->spread;
    return spread > 0 ? seconds * (1 + spread * draw(stream)) : seconds;
}

bool rg_slowdown_slows(const struct rg_slowdown *s, int rank)
{
    return s->slow[rank];
}

double rg_slowdown_speed(const struct rg_slowdown *s, int rank, double now, double *until)
{
    double factor = 1;
    *until = INFINITY;
    for (int i = 0; i < s->orders->slow.count; i++) {
        const struct rg_fault_window *window = &s->orders->slow.window[i];
        if (rank < window->first || rank > window->last)
            continue;
        *until = next_end(window, now, *until);
        if (holds(window, now))
            factor = fmin(factor, window->factor);
    }
    return factor;
}

/* ---- links ---- */

static void put(int **array, int *count, int value)
{
    *array = rg_need(*array, (size_t)(*count + 1) * sizeof **array);
    (*array)[(*count)++] = value;
}

/* Its place among them; added where it is not there yet. */
static int place_of(struct rg_slow_links *s, int link)
{
    int i = 0;
    while (i < s->count && s->link[i] != link)
        i++;
    if (i == s->count)
        put(&s->link, &s->count, link);
    return i;
}

static void add_to_group(struct rg_slow_links *s, struct rg_link_group *group, int link)
{
    if (link < 0) /* the two have none between them */
        return;
    int i = place_of(s, link);
    for (int k = 0; k < group->count; k++)
        if (group->index[k] == i)
            return;
    put(&group->index, &group->count, i);
}

static void find_groups(struct rg_slow_links *s, const struct rg_faults *faults, int size,
                        rg_route_ends_fn ends, void *arg)
{
    s->windows = &faults->link;
    s->groups = rg_need_zeroed((size_t)s->windows->count, sizeof *s->groups);
    for (int i = 0; i < s->windows->count; i++) {
        const struct rg_fault_window *window = &s->windows->window[i];
        for (int rank = window->first; rank <= window->last && rank < size; rank++)
            for (int other = 0; other < size; other++) {
                int first, last, none;
                if (other == rank)
                    continue;
                ends(arg, rank, other, &first, &none);
                ends(arg, other, rank, &none, &last);
                add_to_group(s, &s->groups[i], first);
                add_to_group(s, &s->groups[i], last);
            }
    }
}

void rg_slow_links_find(struct rg_slow_links *s, const struct rg_faults *faults,
                        struct rg_sim_profiles *profiles, int size, rg_route_ends_fn ends,
                        void *arg)
{
    s->profiles = profiles;
    if (faults && faults->link.count > 0)
        find_groups(s, faults, size, ends, arg);
    for (int i = 0; i < profiles->count; i++)
        for (int k = 0; k < profiles->profile[i].targets; k++)
            if (profiles->profile[i].profile->kind == RG_PROFILE_BANDWIDTH)
                place_of(s, profiles->profile[i].target[k]);
    s->own = rg_need_zeroed((size_t)s->count, sizeof *s->own);
    for (int i = 0; i < s->count; i++)
        s->own[i] = INFINITY;
}

void rg_slow_links_free(struct rg_slow_links *s)
{
    for (int i = 0; s->windows && i < s->windows->count; i++)
        free(s->groups[i].index);
    free(s->groups);
    free(s->link);
    free(s->own);
}

double rg_slow_links_at(const struct rg_slow_links *s, double now, double *factor)
{
    double next = INFINITY;
    for (int i = 0; i < s->count; i++)
        factor[i] = 1;
    for (int i = 0; s->windows && i < s->windows->count; i++) {
        const struct rg_fault_window *window = &s->windows->window[i];
        next = next_end(window, now, next);
        for (int k = 0; k < s->groups[i].count && holds(window, now); k++) {
            double *to = &factor[s->groups[i].index[k]];
            *to = fmin(*to, window->factor);
        }
    }
    return next;
}

double rg_slow_links_go(struct rg_slow_links *s, double now)
{
    double next = INFINITY;
    for (int i = 0; i < s->profiles->count; i++) {
        struct rg_sim_profile *p = &s->profiles->profile[i];
        if (p->profile->kind != RG_PROFILE_BANDWIDTH || p->targets == 0)
            continue;
        next = fmin(next, rg_sim_profile_go(p, now));
        for (int k = 0; k < p->targets && !isnan(p->value); k++)
            s->own[place_of(s, p->target[k])] = p->value;
    }
    return next;
}
