#include "steady.h"

#include "base/check.h"
#include <math.h>
#include <stdlib.h>

enum { MOST_SIGHTINGS = 1 << 23, SHORTEST = 4 };

/* Dates are sums of many roundings and differences of large ones. */
#define RELATIVE 1e-11
#define ROUNDING 1e-14

struct node {
    struct rg_sighting *seen;
    int64_t count, capacity;
};

struct rg_steady {
    int nodes;
    int64_t under_way;
    int64_t complete;
    int behind; /* nodes that have not ended iteration `complete` */
    int64_t kept;
    bool full;
    struct node node[];
};

struct rg_steady *rg_steady_new(int nodes, int64_t under_way)
{
    struct rg_steady *s = calloc(1, sizeof *s + (size_t)nodes * sizeof s->node[0]);
    if (!s)
        return NULL;
    s->nodes = s->behind = nodes;
    s->under_way = under_way;
    return s;
}

void rg_steady_free(struct rg_steady *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->nodes; i++)
        free(s->node[i].seen);
    free(s);
}

int64_t rg_steady_complete(const struct rg_steady *s)
{
    return s->complete;
}

static bool make_room(struct rg_steady *s, struct node *node)
{
    if (node->count < node->capacity)
        return true;
    int64_t capacity = node->capacity ? 2 * node->capacity : 64;
    struct rg_sighting *seen = NULL;
    if (s->kept + capacity - node->capacity <= MOST_SIGHTINGS)
        seen = realloc(node->seen, (size_t)capacity * sizeof *seen);
    if (!seen) {
        s->full = true;
        return false;
    }
    s->kept += capacity - node->capacity;
    node->seen = seen;
    node->capacity = capacity;
    return true;
}

void rg_steady_note(struct rg_steady *s, int rank, const struct rg_sighting *sighting)
{
    RG_ASSERT(rank >= 0 && rank < s->nodes);
    struct node *node = &s->node[rank];
    if (s->full || !make_room(s, node))
        return;
    node->seen[node->count++] = *sighting;
    if (node->count != s->complete + 1 || --s->behind > 0)
        return;
    s->complete++;
    for (int i = 0; i < s->nodes; i++)
        s->behind += s->node[i].count == s->complete;
}

/* ---- looking for a rhythm ---- */

static bool same(double a, double b, double scale, double size)
{
    return fabs(a - b) <= RELATIVE * scale + ROUNDING * size;
}

/* Does the period that ends with iteration i grow as the one that ends with `last` does? */
static bool repeats(const struct rg_sighting *seen, int64_t i, int64_t last, int64_t p)
{
    const struct rg_sighting *a = &seen[i - p], *b = &seen[i], *c = &seen[last - p],
                             *d = &seen[last];
    double seconds = d->date_s - c->date_s, size = d->date_s;
    return b->counts - a->counts == d->counts - c->counts &&
           same(b->date_s - a->date_s, seconds, seconds, size) &&
           same(b->busy_s - a->busy_s, d->busy_s - c->busy_s, seconds, size) &&
           same(b->unseen_s - a->unseen_s, d->unseen_s - c->unseen_s,
                fmax(seconds, d->unseen_s - c->unseen_s), fmax(size, d->unseen_s));
}

/* The first iteration from which node's repeat up to iteration n, or n: none do. */
static int64_t since(const struct rg_sighting *seen, int64_t n, int64_t p)
{
    int64_t i = n - 1;
    while (i >= p && repeats(seen, i, n - 1, p))
        i--;
    return i + 1 - p;
}

static double seconds_of(const struct rg_sighting *seen, int64_t n, int64_t p)
{
    return seen[n - 1].date_s - seen[n - 1 - p].date_s;
}

/* All nodes: with the period p, one pace, from an iteration <= latest on. */
static bool all_repeat(const struct rg_steady *s, int64_t n, int64_t p, int64_t latest,
                       struct rg_rhythm *rhythm)
{
    double seconds = seconds_of(s->node[0].seen, n, p);
    *rhythm = (struct rg_rhythm){.period = p, .seconds = seconds};
    for (int i = 0; i < s->nodes; i++) {
        const struct rg_sighting *seen = s->node[i].seen;
        rhythm->since = RG_MAX(rhythm->since, since(seen, n, p));
        if (rhythm->since > latest ||
            !same(seconds_of(seen, n, p), seconds, seconds, seen[n - 1].date_s))
            return false;
    }
    return seconds > 0;
}

bool rg_steady_find(const struct rg_steady *s, int64_t n, struct rg_rhythm *rhythm)
{
    RG_ASSERT(n <= s->complete);
    for (int64_t p = 1; 3 * p <= n; p++) {
        int64_t stretch = RG_MAX(RG_MAX(2 * p, s->under_way + 4), SHORTEST);
        if (all_repeat(s, n, p, n - p - stretch, rhythm))
            return true;
    }
    return false;
}

bool rg_steady_repeats(const struct rg_steady *s, int64_t n, int64_t period,
                       struct rg_rhythm *rhythm)
{
    RG_ASSERT(n <= s->complete && n >= 3 * period);
    return all_repeat(s, n, period, 0, rhythm);
}
