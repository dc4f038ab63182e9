#include "strategies/search.h"

#include "base/check.h"
#include "base/sizes.h"
#include "strategies/replica.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of what the slope promises (Nocedal and Wright 2006, page 33). */
static const double ENOUGH = 1e-4;

/* ---- the direction ---- */

static int step_of(int pair)
{
    return RG_VECTOR_PAIRS + 2 * pair;
}

static int change_of(int pair)
{
    return step_of(pair) + 1;
}

static int history_of(const struct rg_search *s)
{
    return s->job->optimizer.history;
}

/* The slot of the pair that is `back` before the newest. */
static int slot(const struct rg_search *s, int back)
{
    return (s->newest - back + history_of(s)) % history_of(s);
}

static int combine(struct rg_search *s, int to, int a, double by, int b)
{
    return s->ops->combine(s->arg, to, a, by, b);
}

static int add(struct rg_search *s, int to, double by, int from)
{
    return combine(s, to, to, by, from);
}

static int dot(struct rg_search *s, int a, int b, double *value)
{
    *value = 0;
    return s->ops->dot(s->arg, a, b, value);
}

/* Loss and gradient, with those of l2/2 |w|^2. */
static int evaluate(struct rg_search *s, int64_t iteration, double *loss)
{
    double l2 = (double)s->job->optimizer.l2, square = 0;
    int result = s->ops->evaluate(s->arg, iteration, loss);
    if (result || l2 == 0)
        return result;
    result = add(s, RG_VECTOR_G, l2, RG_VECTOR_W);
    if (result == 0)
        result = dot(s, RG_VECTOR_W, RG_VECTOR_W, &square);
    *loss += l2 / 2 * square;
    return result;
}

/* Of the gradient, downhill: the two loops of algorithm 7.4. */
static int turn(struct rg_search *s)
{
    double alpha[RG_HISTORY_MOST], product;
    int result = combine(s, RG_VECTOR_D, RG_VECTOR_NONE, -1, RG_VECTOR_G);
    for (int back = 0; back < s->pairs && result == 0; back++) {
        int k = slot(s, back);
        result = dot(s, step_of(k), RG_VECTOR_D, &product);
        alpha[back] = s->rho[k] * product;
        if (result == 0)
            result = add(s, RG_VECTOR_D, -alpha[back], change_of(k));
    }
    if (result == 0 && s->pairs > 0)
        result = combine(s, RG_VECTOR_D, RG_VECTOR_NONE, s->first_scale, RG_VECTOR_D);
    for (int back = s->pairs - 1; back >= 0 && result == 0; back--) {
        int k = slot(s, back);
        result = dot(s, change_of(k), RG_VECTOR_D, &product);
        if (result == 0)
            result = add(s, RG_VECTOR_D, alpha[back] - s->rho[k] * product, step_of(k));
    }
    return result;
}

/* With its slope; one that does not go downhill, as roundings may have it, is the gradient's. */
static int choose_direction(struct rg_search *s, double *slope)
{
    int result = turn(s);
    if (result == 0)
        result = dot(s, RG_VECTOR_G, RG_VECTOR_D, slope);
    if (result || !s->job->numerics || *slope < 0 || s->pairs == 0)
        return result;
    s->pairs = 0;
    result = combine(s, RG_VECTOR_D, RG_VECTOR_NONE, -1, RG_VECTOR_G);
    return result ? result : dot(s, RG_VECTOR_G, RG_VECTOR_D, slope);
}

/* ---- the search along it ---- */

/* Without a history a direction is as long as the gradient, whatever the curvature: the first trial
 * goes no farther than 1. */
static double first_length(const struct rg_search *s, int64_t iteration, double slope)
{
    double rate = rg_optimizer_rate(&s->job->optimizer, iteration + 1);
    return s->pairs == 0 && slope < -1 ? rate / sqrt(-slope) : rate;
}

/* From `origin`: 1: a trial is good enough. */
static int search(struct rg_search *s, int64_t iteration, int origin, double length, double before,
                  double slope)
{
    double loss = 0;
    for (int trial = 0; trial < s->job->optimizer.trials; trial++, length /= 2) {
        int result = combine(s, RG_VECTOR_W, origin, length, RG_VECTOR_D);
        if (result == 0)
            result = evaluate(s, iteration, &loss);
        if (result)
            return result;
        if (!s->job->numerics || loss <= before + ENOUGH * length * slope)
            return 1;
    }
    return 0;
}

/* The pair of a step that was taken: into the history, unless the curvature along it is none. */
static int learn(struct rg_search *s, int next)
{
    double curvature, square;
    int result = combine(s, step_of(next), RG_VECTOR_W, -1, step_of(next));
    if (result == 0)
        result = add(s, change_of(next), 1, RG_VECTOR_G);
    if (result == 0)
        result = dot(s, step_of(next), change_of(next), &curvature);
    if (result == 0)
        result = dot(s, change_of(next), change_of(next), &square);
    if (result)
        return result;
    if (!s->job->numerics)
        curvature = square = 1;
    if (!(curvature > 1e-10 * square))
        return 0;
    s->newest = next;
    s->pairs++;
    s->rho[next] = 1 / curvature;
    s->first_scale = curvature / square;
    return 0;
}

/* The oldest pair's place is where the search begins, and the gradient there. */
int rg_search_step(struct rg_search *s, int64_t iteration)
{
    double before, slope;
    int next = slot(s, -1), result = evaluate(s, iteration, &before);
    if (result == 0)
        result = choose_direction(s, &slope);
    if (result == 0)
        result = combine(s, change_of(next), RG_VECTOR_NONE, -1, RG_VECTOR_G);
    if (result == 0)
        result = combine(s, step_of(next), RG_VECTOR_NONE, 1, RG_VECTOR_W);
    if (result)
        return result;
    double length = first_length(s, iteration, slope);
    s->pairs = RG_MIN(s->pairs, history_of(s) - 1);
    if (s->job->numerics && !(slope < 0)) /* it is there */
        return 0;
    result = search(s, iteration, step_of(next), length, before, slope);
    if (result == 1)
        return learn(s, next);
    s->pairs = 0;
    return result ? result : combine(s, RG_VECTOR_W, RG_VECTOR_NONE, 1, step_of(next));
}

/* ---- in checkpoints ---- */

/* How many pairs, which is the newest, its scale, and of each 1 / (s y): as floats, which hold 16
 * bits of a double each, so that no bit is lost and none of them is no number. */
enum { PIECES = 4, MOST_SCALARS = 3 + RG_HISTORY_MOST };

static int put_scalars(const struct rg_search *s, double scalars[MOST_SCALARS])
{
    scalars[0] = s->pairs;
    scalars[1] = s->newest;
    scalars[2] = s->first_scale;
    for (int k = 0; k < history_of(s); k++)
        scalars[3 + k] = s->rho[k];
    return 3 + history_of(s);
}

static void take_scalars(struct rg_search *s, const double scalars[MOST_SCALARS])
{
    double most = history_of(s);
    s->pairs = scalars[0] >= 0 && scalars[0] <= most ? (int)scalars[0] : 0;
    s->newest = scalars[1] >= 0 && scalars[1] < most ? (int)scalars[1] : 0;
    s->first_scale = scalars[2];
    for (int k = 0; k < history_of(s); k++)
        s->rho[k] = scalars[3 + k];
}

static void split(const double *scalars, int count, float *pieces)
{
    for (int i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &scalars[i], sizeof bits);
        for (int k = 0; k < PIECES; k++, bits >>= 16)
            pieces[PIECES * i + k] = (float)(bits & 0xffff);
    }
}

static void join(const float *pieces, int count, double *scalars)
{
    for (int i = 0; i < count; i++) {
        uint64_t bits = 0;
        for (int k = PIECES - 1; k >= 0; k--)
            bits = bits << 16 | ((uint64_t)pieces[PIECES * i + k] & 0xffff);
        memcpy(&scalars[i], &bits, sizeof bits);
    }
}

int rg_search_visit(struct rg_search *s, rg_state_fn visit, void *arg)
{
    double scalars[MOST_SCALARS];
    float pieces[PIECES * MOST_SCALARS];
    int count = put_scalars(s, scalars);
    split(scalars, count, pieces);
    int result = visit(arg, &(struct rg_state_array){.name = "search",
                                                     .count = (size_t)(PIECES * count),
                                                     .own = true,
                                                     .lasting = true,
                                                     .values = pieces});
    join(pieces, count, scalars);
    take_scalars(s, scalars);
    return result;
}

uint64_t rg_search_state_floats(const struct rg_job *job)
{
    uint64_t pairs = (uint64_t)job->optimizer.history;
    return rg_size_plus(rg_size_times(1 + 2 * pairs, job->network->parameters),
                        (uint64_t)PIECES * (3 + pairs));
}

/* ---- calls ---- */

/* Of a direction, of a direction anew, of where the search begins, of a trial and of a pair. */
struct rg_search_calls rg_search_most(const struct rg_job *job)
{
    uint64_t history = (uint64_t)job->optimizer.history, trials = (uint64_t)job->optimizer.trials;
    uint64_t penalties = job->optimizer.l2 > 0 ? 1 + trials : 0;
    return (struct rg_search_calls){.combines = (2 * history + 2) + 1 + 2 + trials + 2 + penalties,
                                    .dots = (2 * history + 1) + 1 + 2 + penalties,
                                    .evaluations = 1 + trials};
}

struct rg_search_calls rg_search_usual(const struct rg_job *job)
{
    struct rg_search_calls calls = rg_search_most(job);
    uint64_t more = (uint64_t)job->optimizer.trials - 1,
             penalties = job->optimizer.l2 > 0 ? more : 0;
    calls.combines -= 1 + more + penalties;
    calls.dots -= 1 + penalties;
    calls.evaluations = 2;
    return calls;
}

/* ---- a range of all vectors ---- */

uint64_t rg_vectors_memory(const struct rg_job *job, size_t count)
{
    return rg_size_times(sizeof(float), rg_optimizer_state(&job->optimizer, count));
}

int rg_vectors_open(struct rg_vectors *v, struct rg_world *w, const struct rg_job *job,
                    size_t count, float *parameters, float *gradient)
{
    *v = (struct rg_vectors){.count = count};
    v->at[RG_VECTOR_W] = parameters;
    v->at[RG_VECTOR_G] = gradient;
    rg_combine_work(count, &v->combine);
    rg_dot_work(count, &v->dot);
    for (int i = RG_VECTOR_D; i < RG_VECTOR_PAIRS + 2 * job->optimizer.history; i++)
        if (!(v->at[i] = rg_mem_floats(w->mem, count)))
            return RG_ERR_NOMEM;
    return 0;
}

void rg_vectors_close(struct rg_vectors *v)
{
    rg_work_free(&v->combine);
    rg_work_free(&v->dot);
}

int rg_vectors_visit(const struct rg_vectors *v, const struct rg_job *job, size_t first,
                     rg_state_fn visit, void *arg)
{
    int result = 0;
    for (int i = 0; i < 2 * job->optimizer.history && result == 0; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s %d", i % 2 ? "change" : "step", i / 2);
        result = visit(arg, &(struct rg_state_array){.name = name,
                                                     .first = first,
                                                     .count = v->count,
                                                     .values = v->at[RG_VECTOR_PAIRS + i]});
    }
    return result;
}

struct operation {
    const struct rg_vectors *v;
    int to, a, b;
    double by, dot;
};

static void do_combine(void *arg)
{
    const struct operation *o = arg;
    float *const *at = o->v->at;
    rg_combine(o->v->count, at[o->to], o->a == RG_VECTOR_NONE ? NULL : at[o->a], (float)o->by,
               at[o->b]);
}

int rg_vectors_combine(struct rg_vectors *v, struct rg_world *w, int to, int a, double by, int b)
{
    struct operation o = {.v = v, .to = to, .a = a, .by = by, .b = b};
    return rg_compute(w, &v->combine, "combine", to, do_combine, &o);
}

static void do_dot(void *arg)
{
    struct operation *o = arg;
    o->dot = rg_dot(o->v->count, o->v->at[o->a], o->v->at[o->b]);
}

int rg_vectors_dot(struct rg_vectors *v, struct rg_world *w, int a, int b, double *dot)
{
    struct operation o = {.v = v, .a = a, .b = b};
    int result = rg_compute(w, &v->dot, "dot", a, do_dot, &o);
    *dot = o.dot;
    return result;
}

double rg_vectors_combine_s(const struct rg_job *job, const struct rg_board *board, size_t count)
{
    return rg_vector_s(job, board, rg_combine_work, count);
}

double rg_vectors_dot_s(const struct rg_job *job, const struct rg_board *board, size_t count)
{
    return rg_vector_s(job, board, rg_dot_work, count);
}
