#include "models/optimizer.h"

#include "base/check.h"
#include "base/clones.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

const struct rg_optimizer_info rg_optimizer_infos[] = {
    [RG_SGD] = {"sgd", "w -= rate g"},
    [RG_MOMENTUM] = {"momentum", "v = momentum v + g, w -= rate v; takes momentum=\"0.9\""},
    [RG_ADAM] = {"adam", "beta1 0.9, beta2 0.999, epsilon 1e-8"},
    [RG_ADAGRAD] = {"adagrad", "v = v + g^2, w -= rate g / (sqrt(v) + 1e-10)"},
    [RG_LBFGS] = {"lbfgs",
                  "L-BFGS with a search along its direction, from a length of rate on; of\n"
                  "single and sandblaster; takes history=\"10\", trials=\"20\""},
    {NULL, NULL}};

struct rg_optimizer rg_optimizer_make(enum rg_optimizer_kind kind, float rate)
{
    struct rg_optimizer optimizer = {.kind = kind, .rate = rate};
    if (kind == RG_MOMENTUM || kind == RG_ADAM)
        optimizer.momentum = 0.9f;
    if (kind == RG_ADAGRAD)
        optimizer.epsilon = 1e-10f;
    if (kind == RG_LBFGS) {
        optimizer.history = 10;
        optimizer.trials = 20;
    }
    if (kind == RG_ADAM) {
        optimizer.beta2 = 0.999f;
        optimizer.epsilon = 1e-8f;
    }
    return optimizer;
}

void rg_optimizer_change(struct rg_optimizer *optimizer, enum rg_optimizer_kind kind)
{
    struct rg_optimizer new = rg_optimizer_make(kind, optimizer->rate);
    optimizer->kind = kind;
    optimizer->momentum = new.momentum;
    optimizer->beta2 = new.beta2;
    optimizer->epsilon = new.epsilon;
    optimizer->history = new.history;
    optimizer->trials = new.trials;
}

size_t rg_optimizer_state(const struct rg_optimizer *optimizer, size_t n)
{
    if (optimizer->kind == RG_LBFGS)
        return (1 + 2 * (size_t)optimizer->history) * n;
    return optimizer->kind == RG_SGD ? 0 : optimizer->kind == RG_ADAM ? 2 * n : n;
}

const char *rg_optimizer_slot(enum rg_optimizer_kind kind, int slot)
{
    static const char *const names[][3] = {[RG_SGD] = {NULL},
                                           [RG_MOMENTUM] = {"velocity"},
                                           [RG_ADAM] = {"mean", "variance"},
                                           [RG_ADAGRAD] = {"squares"},
                                           [RG_LBFGS] = {NULL}};
    RG_ASSERT(slot >= 0 && slot < 3);
    return names[kind][slot];
}

/* Lanes that the compiler may put side by side in a vector, whatever its length. */
enum { LANES = 8 };

double rg_dot(size_t n, const float *a, const float *b)
{
    double sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sums[k] += (double)a[i + k] * b[i + k];
    for (; i < n; i++)
        sum += (double)a[i] * b[i];
    for (size_t k = 0; k < LANES; k++)
        sum += sums[k];
    return sum;
}

double rg_sum_of_squares(size_t n, const float *g)
{
    return rg_dot(n, g, g);
}

void rg_dot_work(size_t n, struct rg_work *work)
{
    rg_work_vector(work, 2 * (double)n, 2 * sizeof(float) * (double)n);
}

RG_CLONES
static void combine(size_t n, float *to, const float *a, float by, const float *b)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (a ? a[i] : 0) + by * b[i];
}

void rg_combine(size_t n, float *to, const float *a, float by, const float *b)
{
    combine(n, to, a, by, b);
}

RG_CLONES
static void svrg(float rate, size_t n, float *restrict v, const float *restrict a,
                 const float *restrict b, float by, const float *restrict f)
{
    for (size_t i = 0; i < n; i++)
        v[i] -= rate * (a[i] - b[i] + by * f[i]);
}

void rg_svrg(float rate, size_t n, float *v, const float *a, const float *b, float by,
             const float *f)
{
    svrg(rate, n, v, a, b, by, f);
}

void rg_svrg_work(size_t n, struct rg_work *work)
{
    rg_work_vector(work, 5 * (double)n, 5 * sizeof(float) * (double)n);
}

void rg_combine_work(size_t n, struct rg_work *work)
{
    rg_work_vector(work, 2 * (double)n, 3 * sizeof(float) * (double)n);
}

RG_CLONES
static void scale(float by, size_t n, float *restrict g)
{
    for (size_t i = 0; i < n; i++)
        g[i] *= by;
}

void rg_scale(float by, size_t n, float *x)
{
    scale(by, n, x);
}

float rg_clip_by(float most, double squares)
{
    double norm = sqrt(squares);
    return isfinite(norm) && norm > most ? (float)(most / norm) : 1;
}

RG_CLONES
static void sgd(float rate, size_t n, float *restrict w, const float *restrict g)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= rate * g[i];
}

void rg_sgd(float rate, size_t n, float *w, const float *gradient)
{
    sgd(rate, n, w, gradient);
}

/* v = momentum v + g; w -= rate v */
RG_CLONES
static void momentum(float rate, float mu, size_t n, float *restrict w, const float *restrict g,
                     float *restrict v)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = mu * v[i] + g[i];
        w[i] -= rate * v[i];
    }
}

/* Kingma and Ba 2015, algorithm 1: rate and epsilon come with the bias corrections in them. */
RG_CLONES
static void adam(float rate, float beta1, float beta2, float epsilon, size_t n, float *restrict w,
                 const float *restrict g, float *restrict m, float *restrict v)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * g[i]);
        w[i] -= rate * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

/* Duchi, Hazan and Singer 2011, with a diagonal matrix: v = v + g g; w -= rate g / (sqrt(v) + e) */
RG_CLONES
static void adagrad(float rate, float epsilon, size_t n, float *restrict w, const float *restrict g,
                    float *restrict v)
{
    for (size_t i = 0; i < n; i++) {
        v[i] += g[i] * g[i];
        w[i] -= rate * g[i] / (sqrtf(v[i]) + epsilon);
    }
}

/* The proximal step of t |w|_1 (soft threshold; Daubechies, Defrise and De Mol 2004,
 * equation 1.12): what is at most t becomes 0, never -0, and everything else moves towards 0 by t.
 * What is no number stays none. */
static inline float shrunk(float w, float t)
{
    return fabsf(w) <= t ? 0 : w - copysignf(t, w);
}

RG_CLONES
static void shrink(float t, size_t n, float *w)
{
    for (size_t i = 0; i < n; i++)
        w[i] = shrunk(w[i], t);
}

/* The velocity is of the whole step, what l1 takes included, so that a parameter comes to rest
 * where g is l1 against it (Ochs et al. 2014, algorithm 1: iPiano). At a rate of 0 only what is 0
 * comes to rest, without a step. */
RG_CLONES
static void momentum_shrink(float rate, float mu, float l1, size_t n, float *restrict w,
                            const float *restrict g, float *restrict v)
{
    const float divisor = rate == 0 ? 1 : rate;
    for (size_t i = 0; i < n; i++) {
        float next = mu * v[i] + g[i], x = w[i] - rate * next, y = shrunk(x, rate * l1);
        v[i] = y == 0 ? w[i] / divisor : next + copysignf(l1, x);
        w[i] = y;
    }
}

/* Each by its own rate (Duchi, Hazan and Singer 2011, equation 24). */
RG_CLONES
static void shrink_adagrad(float t, float epsilon, size_t n, float *restrict w,
                           const float *restrict v)
{
    for (size_t i = 0; i < n; i++)
        w[i] = shrunk(w[i], t / (sqrtf(v[i]) + epsilon));
}

/* v as ever; w -= by_v v + by_g g */
RG_CLONES
static void momentum_late(float by_v, float by_g, float mu, size_t n, float *restrict w,
                          const float *restrict g, float *restrict v)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = mu * v[i] + g[i];
        w[i] -= by_v * v[i] + by_g * g[i];
    }
}

/* Likewise, of Adam's mean. */
RG_CLONES
static void adam_late(float by_m, float by_g, float beta1, float beta2, float epsilon, size_t n,
                      float *restrict w, const float *restrict g, float *restrict m,
                      float *restrict v)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * (g[i] * g[i]);
        w[i] -= (by_m * m[i] + by_g * g[i]) / (sqrtf(v[i]) + epsilon);
    }
}

RG_CLONES
static void ahead_by_mean(float rate, float epsilon, size_t n, const float *restrict w,
                          const float *restrict m, const float *restrict v, float *restrict ahead)
{
    for (size_t i = 0; i < n; i++)
        ahead[i] = w[i] - rate * m[i] / (sqrtf(v[i]) + epsilon);
}

RG_CLONES
static void ahead_by_velocity(float rate, size_t n, const float *restrict w,
                              const float *restrict v, float *restrict ahead)
{
    for (size_t i = 0; i < n; i++)
        ahead[i] = w[i] - rate * v[i];
}

/* base^n by squaring: the same bits on every processor, which the C library's pow has not. */
static double whole_power(double base, long n)
{
    double power = 1;
    for (; n > 0; n /= 2, base *= base)
        power *= n % 2 ? base : 1;
    return power;
}

/* cos(pi x) of x in [0, 1], to the last bit or two: sin(pi / 2 - pi x) by its series. Below -1 a
 * rate would be below 0. */
static double cosine(double x)
{
    double y = (0.5 - x) * 3.14159265358979323846, term = y, sum = y;
    for (int k = 2; k < 24; k += 2) {
        term *= -y * y / (k * (k + 1));
        sum += term;
    }
    return RG_MAX(sum, -1);
}

/* t steps after the ramp. */
static double share_of_rate(const struct rg_optimizer *o, int64_t t)
{
    int64_t to_the_end = o->run - (o->ramp > 1 ? o->ramp : 1);
    int64_t period = o->period > 0 ? o->period : to_the_end > 0 ? to_the_end : 1;
    if (o->schedule == RG_RATE_STEP)
        return whole_power((double)(o->factor > 0 ? o->factor : 0.1F), (long)(t / period));
    double x = t < period ? (double)t / (double)period : 1;
    return o->factor + (1 - o->factor) * (1 + cosine(x)) / 2;
}

float rg_optimizer_rate(const struct rg_optimizer *optimizer, int64_t step)
{
    int64_t since = step - (optimizer->ramp > 1 ? optimizer->ramp : 1);
    if (since < 0)
        return (float)(optimizer->rate * ((double)step / (double)optimizer->ramp));
    if (optimizer->schedule == RG_RATE_CONSTANT)
        return optimizer->rate;
    return (float)(optimizer->rate * share_of_rate(optimizer, since));
}

/* a of a v + b g: what is left of a gradient's share in the velocity after as many steps as it is
 * late, momentum^late, the mean over those late by a step more and by a step less. b = (1 - a) /
 * (1 - momentum) is what it would have moved the weights by in these steps (spike compensation:
 * Kosson et al. 2020, section 3.1). Both are 1 and 0 where nothing is late. */
static double left_of(const struct rg_optimizer *o)
{
    double more = (double)(o->late % o->every) / o->every;
    return whole_power(o->momentum, o->late / o->every) * (1 - more + more * o->momentum);
}

static void step_momentum(const struct rg_optimizer *o, float rate, size_t n, float *w,
                          const float *gradient, float *v)
{
    if (o->l1 > 0) {
        momentum_shrink(rate, o->momentum, o->l1, n, w, gradient, v);
    } else if (o->late == 0) {
        momentum(rate, o->momentum, n, w, gradient, v);
    } else {
        double a = left_of(o), b = (1 - a) / (1 - o->momentum);
        momentum_late((float)(rate * a), (float)(rate * b), o->momentum, n, w, gradient, v);
    }
}

/* rate m^ / (sqrt(v^) + epsilon), m^ = m / (1 - beta1^t), v^ = v / (1 - beta2^t): both sides of the
 * fraction times sqrt(1 - beta2^t).
 *
 * Late gradients: m is (1 - beta1) times a velocity u = beta1 u + g, so that a u + b g becomes
 * a m + (1 - a) g. The gradients' weights in it add up to a (1 - beta1^t) + 1 - a = 1 - a beta1^t,
 * by which it is divided in place of 1 - beta1^t. v, a mean over 1 / (1 - beta2) = 1000 steps, is
 * taken to be the same a few steps later. Derived here. */
static void step_adam(const struct rg_optimizer *o, float rate, long step, size_t n, float *w,
                      const float *gradient, float *m, float *v)
{
    double first = whole_power(o->momentum, step);
    double second = sqrt(1 - whole_power(o->beta2, step));
    float epsilon = (float)(o->epsilon * second);
    if (o->late == 0) {
        adam((float)(rate * second / (1 - first)), o->momentum, o->beta2, epsilon, n, w, gradient,
             m, v);
    } else {
        double a = left_of(o), scale_by = rate * second / (1 - a * first);
        adam_late((float)(scale_by * a), (float)(scale_by * (1 - a)), o->momentum, o->beta2,
                  epsilon, n, w, gradient, m, v);
    }
}

void rg_optimizer_predict(const struct rg_optimizer *o, long step, size_t n, const float *w,
                          const float *state, float *ahead)
{
    RG_ASSERT((o->kind == RG_MOMENTUM || o->kind == RG_ADAM) && o->late > 0);
    double far = rg_optimizer_rate(o, step + 1) * ((double)o->late / o->every);
    if (step == 0) { /* it has no velocity yet */
        memcpy(ahead, w, n * sizeof *ahead);
    } else if (o->kind == RG_MOMENTUM) {
        ahead_by_velocity((float)far, n, w, state, ahead);
    } else {
        double first = 1 - whole_power(o->momentum, step);
        double second = sqrt(1 - whole_power(o->beta2, step));
        ahead_by_mean((float)(far * second / first), (float)(o->epsilon * second), n, w, state,
                      state + n, ahead);
    }
}

void rg_optimizer_predict_work(const struct rg_optimizer *optimizer, size_t n, struct rg_work *work)
{
    bool adam = optimizer->kind == RG_ADAM;
    rg_work_vector(work, (adam ? 5 : 2) * (double)n, (adam ? 4 : 3) * sizeof(float) * (double)n);
}

void rg_optimizer_step(const struct rg_optimizer *optimizer, long step, size_t n, float *w,
                       const float *gradient, float *state)
{
    rg_optimizer_part(optimizer, step, n, w, gradient, state, n);
}

void rg_optimizer_part(const struct rg_optimizer *optimizer, long step, size_t n, float *w,
                       const float *gradient, float *state, size_t apart)
{
    RG_ASSERT(step >= 1 && optimizer->kind != RG_LBFGS);
    RG_ASSERT(optimizer->l1 == 0 || (optimizer->kind != RG_ADAM && optimizer->late == 0));
    float rate = rg_optimizer_rate(optimizer, step);
    if (optimizer->kind == RG_SGD)
        rg_sgd(rate, n, w, gradient);
    else if (optimizer->kind == RG_MOMENTUM)
        step_momentum(optimizer, rate, n, w, gradient, state);
    else if (optimizer->kind == RG_ADAM)
        step_adam(optimizer, rate, step, n, w, gradient, state, state + apart);
    else
        adagrad(rate, optimizer->epsilon, n, w, gradient, state);
    if (optimizer->l1 > 0 && optimizer->kind == RG_SGD)
        shrink(rate * optimizer->l1, n, w);
    if (optimizer->l1 > 0 && optimizer->kind == RG_ADAGRAD)
        shrink_adagrad(rate * optimizer->l1, optimizer->epsilon, n, w, state);
}

void rg_optimizer_decay(const struct rg_optimizer *optimizer, long step, size_t n, float *w,
                        float *gradient)
{
    if (optimizer->kind == RG_SGD)
        scale(1 - rg_optimizer_rate(optimizer, step) * optimizer->l2, n, w);
    else
        combine(n, gradient, gradient, optimizer->l2, w);
}

void rg_optimizer_work(const struct rg_optimizer *optimizer, size_t n, struct rg_work *work)
{
    static const double flops[] = {
        [RG_SGD] = 2, [RG_MOMENTUM] = 4, [RG_ADAM] = 12, [RG_ADAGRAD] = 7};
    static const double moves[] = {
        [RG_SGD] = 3, [RG_MOMENTUM] = 5, [RG_ADAM] = 7, [RG_ADAGRAD] = 5};
    double count = (double)n;
    RG_ASSERT(optimizer->kind != RG_LBFGS);
    if (optimizer->clip > 0) { /* the norm, and as if it always were too long */
        rg_work_vector(work, 2 * count, sizeof(float) * count);
        rg_work_vector(work, count, 2 * sizeof(float) * count);
    }
    if (optimizer->l2 > 0)
        rg_work_vector(work, 2 * count, 3 * sizeof(float) * count);
    if (optimizer->l1 > 0)
        rg_work_vector(work, (optimizer->kind == RG_ADAGRAD ? 6 : 3) * count,
                       (optimizer->kind == RG_ADAGRAD ? 3 : 2) * sizeof(float) * count);
    double late = optimizer->late > 0 ? 2 : 0; /* a product and a sum more */
    rg_work_vector(work, (flops[optimizer->kind] + late) * count,
                   moves[optimizer->kind] * sizeof(float) * count);
}
