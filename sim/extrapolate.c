#include "extrapolate.h"

#include "base/check.h"
#include "result/result_fields.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what to run ---- */

/* The shortest epoch that stands for one of `length`: it fills, has a period of the rhythm, drains,
 * and ends at the same place of the rhythm. The draining is felt as many iterations before the end
 * as may be under way at once. */
static int64_t shorten(int64_t length, int64_t under_way, const struct rg_rhythm *rhythm)
{
    int64_t p = rhythm->period, least = rhythm->since + p + under_way + 2;
    return length <= least ? length : least + (length - least) % p;
}

static void add(struct rg_reduction *r, int64_t per_epoch, int64_t iterations, int64_t weight)
{
    r->runs[r->count].per_epoch = per_epoch;
    r->runs[r->count].iterations = iterations;
    r->runs[r->count++].weight = weight;
}

int64_t rg_reduction_cost(const struct rg_reduction *r)
{
    int64_t cost = 0;
    for (int i = 0; i < r->count; i++)
        cost += r->runs[i].iterations;
    return cost;
}

bool rg_reduce_iterations(int64_t iterations, int64_t per_epoch, int64_t under_way,
                          const struct rg_rhythm *rhythm, struct rg_reduction *r)
{
    int64_t p = rhythm->period;
    *r = (struct rg_reduction){.rhythm = *rhythm,
                               .epochs = iterations / per_epoch,
                               .per_epoch = per_epoch,
                               .rest = iterations % per_epoch};
    int64_t whole = shorten(per_epoch, under_way, rhythm),
            rest = shorten(r->rest, under_way, rhythm);
    int64_t base = r->epochs ? whole : rest;
    bool many = r->epochs + (r->rest > 0) > 1;
    r->repeats[0] = (per_epoch - whole) / p;
    r->repeats[1] = (r->rest - rest) / p;
    r->again = many ? 2 : 1;
    int64_t periods = (int64_t)r->epochs * r->repeats[0] + r->repeats[1];
    add(r, base, base, r->epochs - r->again * periods);
    add(r, base + p, base + p + (many ? base : 0), periods);
    if (r->rest && rest == base)
        r->runs[0].weight++;
    else if (r->rest)
        add(r, rest, rest, 1);
    r->rest_run = r->count == 3 ? 2 : 0;
    return rg_reduction_cost(r) < iterations && periods > 0;
}

bool rg_reduce_epochs(int64_t iterations, int64_t per_epoch, const struct rg_rhythm *rhythm,
                      struct rg_reduction *r)
{
    *r = (struct rg_reduction){.rhythm = *rhythm,
                               .epochs = iterations / per_epoch,
                               .per_epoch = per_epoch,
                               .rest = iterations % per_epoch,
                               .again = 1};
    add(r, per_epoch, per_epoch + r->rest, 2 - r->epochs);
    add(r, per_epoch, 2 * per_epoch + r->rest, r->epochs - 1);
    return r->epochs > 2 && rg_reduction_cost(r) < iterations;
}

/* ---- did it repeat? ---- */

static bool near(double value, double expected, double scale, double size)
{
    return fabs(value - expected) <= 1e-10 * scale + 1e-13 * size;
}

/* Is a[i] + shift == b[i], for i in [from, to)? */
static bool shifted(const double *a, const double *b, int64_t from, int64_t to, double shift,
                    const struct rg_reduction *r)
{
    for (int64_t i = from; i < to; i++)
        if (!near(b[i] - a[i], shift, r->rhythm.seconds, b[i]))
            return false;
    return true;
}

bool rg_reduction_holds(const struct rg_reduction *r, const struct rg_reduced_run *runs)
{
    const struct rg_reduced_run *a = &runs[0], *b = &runs[1];
    int64_t base = r->runs[0].iterations, p = r->rhythm.period, common = r->rhythm.since + p;
    double period = r->rhythm.seconds, epoch = a->run.time_s + period;
    if (!near(b->run.time_s - r->again * a->run.time_s, period, period, b->run.time_s))
        return false;
    return a->run.node_count == b->run.node_count &&
           shifted(a->marks, b->marks, 0, RG_MIN(common, base), 0, r) &&
           shifted(a->marks, b->marks + p, r->rhythm.since, base, period, r) &&
           (r->again == 1 || shifted(a->marks, b->marks + base + p, 0, base, epoch, r));
}

/* ---- totals ---- */

/* Of the same record in every short run. */
struct parts {
    const struct rg_reduction *reduction;
    const char *at[RG_REDUCED_RUNS];
};

/* Exact as long as the sum itself fits: partial ones may wrap. */
static uint64_t count_of(const struct parts *p, const struct rg_field *field)
{
    uint64_t sum = 0, most = 0;
    for (int i = 0; i < p->reduction->count; i++) {
        uint64_t value = *(const uint64_t *)(p->at[i] + field->offset);
        sum += (uint64_t)p->reduction->runs[i].weight * value;
        most = RG_MAX(most, value);
    }
    return field->extrapolation == RG_RUNS_GROWS ? sum : most;
}

static double real_of(const struct parts *p, const struct rg_field *field)
{
    long double sum = 0;
    for (int i = 0; i < p->reduction->count; i++)
        sum +=
            (long double)p->reduction->runs[i].weight * *(const double *)(p->at[i] + field->offset);
    return (double)sum;
}

static int64_t whole_of(const struct parts *p, const struct rg_field *field)
{
    int64_t most = rg_field_whole(field, p->at[0]);
    for (int i = 1; i < p->reduction->count; i++)
        most = RG_MAX(most, rg_field_whole(field, p->at[i]));
    return most;
}

static void sum_record(const struct rg_record *record, const struct parts *p, void *long_run);

static void sum_list(const struct rg_field *field, const struct parts *p, void *long_run)
{
    int count;
    char *items = rg_field_items(field, long_run, &count);
    for (int i = 0; i < count; i++) {
        struct parts inner = {.reduction = p->reduction};
        size_t offset = (size_t)i * field->record->size;
        for (int k = 0; k < p->reduction->count; k++) {
            int same;
            inner.at[k] = (const char *)rg_field_items(field, p->at[k], &same) + offset;
            RG_ASSERT(same == count);
        }
        sum_record(field->record, &inner, items + offset);
    }
}

/* Fields of the long run that the table says how to make from those of short ones. */
static void sum_record(const struct rg_record *record, const struct parts *p, void *long_run)
{
    for (int i = 0; i < record->field_count; i++) {
        const struct rg_field *field = &record->fields[i];
        char *member = (char *)long_run + field->offset;
        if (field->kind == RG_FIELD_OBJECT) {
            struct parts inner = {.reduction = p->reduction};
            for (int k = 0; k < p->reduction->count; k++)
                inner.at[k] = p->at[k] + field->offset;
            sum_record(field->record, &inner, member);
        } else if (field->kind == RG_FIELD_LIST) {
            sum_list(field, p, long_run);
        } else if (field->extrapolation == RG_RUNS_NONE ||
                   field->extrapolation == RG_RUNS_DERIVED) {
            continue;
        } else if (field->kind == RG_FIELD_REAL) {
            *(double *)member = real_of(p, field);
        } else if (field->kind == RG_FIELD_COUNT) {
            *(uint64_t *)member = count_of(p, field);
        } else if (field->kind == RG_FIELD_WHOLE) {
            rg_field_set_whole(field, long_run, whole_of(p, field));
        }
    }
}

/* ---- intervals between the ends of iterations ---- */

/* An interval of a short run, so many times. */
struct slot {
    double seconds;
    int64_t times;
};

/* An epoch: `count` slots, of which `period` from `from` on stand for (1 + repeats) as many. */
struct epoch {
    const double *marks; /* of the short run's epoch */
    double begin_s, end_s;
    int64_t count, from, period, repeats;
};

static struct epoch epoch_of(const struct rg_reduction *r, const struct rg_reduced_run *run,
                             int64_t first, int64_t count, int64_t repeats)
{
    return (struct epoch){.marks = run->marks + first,
                          .begin_s = 0,
                          .end_s = run->run.time_s,
                          .count = count,
                          .from = repeats ? r->rhythm.since + 1 : 0,
                          .period = r->rhythm.period,
                          .repeats = repeats};
}

static int64_t length_of(const struct epoch *e)
{
    return e->count + e->repeats * e->period;
}

/* The slot of the epoch's i-th interval. */
static int64_t slot_of(const struct epoch *e, int64_t i)
{
    if (e->repeats == 0 || i < e->from + e->period)
        return i;
    int64_t skipped = i - e->from;
    if (skipped < (1 + e->repeats) * e->period)
        return e->from + skipped % e->period;
    return i - e->repeats * e->period;
}

/* All intervals of the long run: slots of the first epoch, of the others, of the rest. The first
 * interval of an epoch begins with the last mark of the one before. */
struct intervals {
    struct slot *slots;
    int64_t count;
    struct epoch whole, rest;
    int64_t epochs;
};

static void fill(struct slot *slots, const struct epoch *e, double before_s, int64_t times)
{
    for (int64_t i = 0; i < e->count; i++) {
        bool repeated = e->repeats && i >= e->from && i < e->from + e->period;
        double begin = i ? e->marks[i - 1] : e->begin_s - before_s;
        slots[i] = (struct slot){e->marks[i] - begin, times * (repeated ? 1 + e->repeats : 1)};
    }
}

static struct slot *slot_at(struct intervals *v, int64_t i)
{
    int64_t whole = length_of(&v->whole), epoch = whole ? i / whole : 0;
    if (epoch == 0 && v->epochs > 0)
        return &v->slots[slot_of(&v->whole, i)];
    if (epoch < v->epochs)
        return &v->slots[v->whole.count + slot_of(&v->whole, i - epoch * whole)];
    return &v->slots[2 * v->whole.count + slot_of(&v->rest, i - v->epochs * whole)];
}

static bool fill_intervals(struct intervals *v, const struct rg_reduction *r,
                           const struct rg_reduced_run *runs)
{
    const struct rg_reduced_run *last = &runs[r->rest_run];
    bool together = r->rest_run == 0 && r->runs[0].iterations > r->runs[0].per_epoch;
    v->epochs = r->epochs;
    if (r->epochs)
        v->whole = epoch_of(r, &runs[0], 0, r->runs[0].per_epoch, r->repeats[0]);
    if (together) /* a run of a whole epoch and the rest */
        v->whole.end_s = r->rhythm.seconds;
    if (r->rest)
        v->rest = epoch_of(r, last, together ? r->per_epoch : 0,
                           r->runs[r->rest_run].iterations - (together ? r->per_epoch : 0),
                           r->repeats[1]);
    if (together)
        v->rest.begin_s = r->rhythm.seconds;
    v->count = 2 * v->whole.count + v->rest.count;
    v->slots = calloc((size_t)v->count + 1, sizeof *v->slots);
    if (!v->slots)
        return false;
    double before = v->epochs ? v->whole.end_s - v->whole.marks[v->whole.count - 1] : 0;
    fill(v->slots, &v->whole, 0, v->epochs > 0);
    fill(v->slots + v->whole.count, &v->whole, before, RG_MAX(v->epochs - 1, 0));
    fill(v->slots + 2 * v->whole.count, &v->rest, before, 1);
    return true;
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const struct slot *)a)->seconds, y = ((const struct slot *)b)->seconds;
    return (x > y) - (x < y);
}

/* The i-th smallest. */
static double at(const struct intervals *v, int64_t i)
{
    int64_t k = 0;
    while (k < v->count - 1 && i >= v->slots[k].times)
        i -= v->slots[k++].times;
    return v->slots[k].seconds;
}

/* As of sorted data: between the two nearest. */
static double quantile(const struct intervals *v, int64_t n, double share)
{
    double place = share * (double)(n - 1);
    int64_t i = (int64_t)place;
    double low = at(v, i), high = i + 1 < n ? at(v, i + 1) : low;
    return low + (place - (double)i) * (high - low);
}

/* As of a run that was simulated to the end (node_describe.c). */
static int describe_intervals(const struct rg_reduction *r, const struct rg_reduced_run *runs,
                              struct rg_run *run)
{
    struct intervals v = {0};
    bool steady;
    if (!fill_intervals(&v, r, runs))
        return RG_ERR_NOMEM;
    int64_t count = run->iterations, edge = rg_run_edge(run, count, &steady);
    for (int64_t i = 0; i < edge; i++) {
        slot_at(&v, i)->times--;
        slot_at(&v, count - 1 - i)->times--;
    }
    long double sum = 0;
    int64_t used = 0;
    for (int64_t i = 0; i < v.count; i++) {
        sum += (long double)v.slots[i].times * v.slots[i].seconds;
        used += v.slots[i].times;
    }
    RG_ASSERT(used == count - 2 * edge);
    qsort(v.slots, (size_t)v.count, sizeof *v.slots, by_seconds);
    run->iteration_s.mean = (double)(sum / used);
    run->iteration_s.p50 = quantile(&v, used, 0.5);
    run->iteration_s.p95 = quantile(&v, used, 0.95);
    run->iteration_s.max = at(&v, used - 1);
    rg_run_observe(run, steady);
    free(v.slots);
    return 0;
}

/* What the table does not say is as in the first short run, which keeps nothing but its nodes. */
static int begin_with(struct rg_run *first, struct rg_run *run)
{
    size_t count = (size_t)first->node_count;
    struct rg_run_node *nodes = calloc(count + 1, sizeof *nodes);
    if (!nodes)
        return RG_ERR_NOMEM;
    memcpy(nodes, first->per_node, count * sizeof *nodes);
    *run = *first;
    run->per_node = nodes;
    first->params = first->sweep = NULL;
    first->training = NULL;
    first->param_count = first->sweep_count = first->point_count = 0;
    first->costs.profiles = NULL;
    first->costs.profile_count = 0;
    return 0;
}

int rg_extrapolate(const struct rg_reduction *r, struct rg_reduced_run *runs, struct rg_run *run)
{
    struct parts parts = {.reduction = r};
    uint64_t batch = runs[0].run.samples / (uint64_t)runs[0].run.iterations;
    int result = begin_with(&runs[0].run, run);
    if (result)
        return result;
    for (int i = 0; i < r->count; i++)
        parts.at[i] = (const char *)&runs[i].run;
    sum_record(&rg_run_record, &parts, run);
    run->iterations = r->epochs * r->per_epoch + r->rest;
    run->samples = batch * (uint64_t)run->iterations;
    run->extrapolated_iterations = run->iterations - rg_reduction_cost(r);
    for (int i = 0; i < run->node_count; i++) /* a difference of long times */
        run->per_node[i].busy_s = fmax(0, run->per_node[i].busy_s);
    rg_run_derive(run);
    return describe_intervals(r, runs, run);
}
