#include "models/optimizer.h"

#include "base/check.h"
#include "models/clones.h"
#include <math.h>

const struct rg_optimizer_info rg_optimizer_infos[] = {
    [RG_SGD] = {"sgd", "w -= rate g"},
    [RG_MOMENTUM] = {"momentum", "v = momentum v + g, w -= rate v; takes momentum=\"0.9\""},
    [RG_ADAM] = {"adam", "beta1 0.9, beta2 0.999, epsilon 1e-8"},
    {NULL, NULL}};

struct rg_optimizer rg_optimizer_make(enum rg_optimizer_kind kind, float rate)
{
    struct rg_optimizer optimizer = {.kind = kind, .rate = rate};
    if (kind != RG_SGD)
        optimizer.momentum = 0.9f;
    if (kind == RG_ADAM) {
        optimizer.beta2 = 0.999f;
        optimizer.epsilon = 1e-8f;
    }
    return optimizer;
}

void rg_optimizer_change(struct rg_optimizer *optimizer, enum rg_optimizer_kind kind)
{
    struct rg_optimizer old = *optimizer;
    *optimizer = rg_optimizer_make(kind, old.rate);
    optimizer->ramp = old.ramp;
    optimizer->clip = old.clip;
}

size_t rg_optimizer_state(const struct rg_optimizer *optimizer, size_t n)
{
    return optimizer->kind == RG_SGD ? 0 : optimizer->kind == RG_MOMENTUM ? n : 2 * n;
}

float rg_optimizer_rate(const struct rg_optimizer *optimizer, int64_t step)
{
    if (step >= optimizer->ramp)
        return optimizer->rate;
    return (float)(optimizer->rate * ((double)step / (double)optimizer->ramp));
}

/* Lanes that the compiler may put side by side in a vector, whatever its length. */
enum { LANES = 8 };

static double sum_of_squares(size_t n, const float *restrict g)
{
    double sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sums[k] += (double)g[i + k] * g[i + k];
    for (; i < n; i++)
        sum += (double)g[i] * g[i];
    for (size_t k = 0; k < LANES; k++)
        sum += sums[k];
    return sum;
}

RG_CLONES
static void scale(float by, size_t n, float *restrict g)
{
    for (size_t i = 0; i < n; i++)
        g[i] *= by;
}

void rg_clip(float most, size_t n, float *gradient)
{
    double norm = sqrt(sum_of_squares(n, gradient));
    if (isfinite(norm) && norm > most)
        scale((float)(most / norm), n, gradient);
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

/* base^n by squaring: the same bits on every processor, which the C library's pow has not. */
static double whole_power(double base, long n)
{
    double power = 1;
    for (; n > 0; n /= 2, base *= base)
        power *= n % 2 ? base : 1;
    return power;
}

void rg_optimizer_step(const struct rg_optimizer *optimizer, long step, size_t n, float *w,
                       const float *gradient, float *state)
{
    RG_ASSERT(step >= 1);
    float rate = rg_optimizer_rate(optimizer, step);
    if (optimizer->kind == RG_SGD) {
        rg_sgd(rate, n, w, gradient);
    } else if (optimizer->kind == RG_MOMENTUM) {
        momentum(rate, optimizer->momentum, n, w, gradient, state);
    } else {
        /* rate m^ / (sqrt(v^) + epsilon), m^ = m / (1 - beta1^t), v^ = v / (1 - beta2^t): both
         * sides of the fraction times sqrt(1 - beta2^t). */
        double first = 1 - whole_power(optimizer->momentum, step);
        double second = sqrt(1 - whole_power(optimizer->beta2, step));
        adam((float)(rate * second / first), optimizer->momentum, optimizer->beta2,
             (float)(optimizer->epsilon * second), n, w, gradient, state, state + n);
    }
}

void rg_optimizer_work(const struct rg_optimizer *optimizer, size_t n, struct rg_work *work)
{
    static const double flops[] = {[RG_SGD] = 2, [RG_MOMENTUM] = 4, [RG_ADAM] = 12};
    static const double moves[] = {[RG_SGD] = 3, [RG_MOMENTUM] = 5, [RG_ADAM] = 7};
    double count = (double)n;
    if (optimizer->clip > 0) { /* the norm, and as if it always were too long */
        rg_work_vector(work, 2 * count, sizeof(float) * count);
        rg_work_vector(work, count, 2 * sizeof(float) * count);
    }
    rg_work_vector(work, flops[optimizer->kind] * count,
                   moves[optimizer->kind] * sizeof(float) * count);
}
