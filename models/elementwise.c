/* Biases, activations and their derivatives: elementwise, rows by rows. */
#include "models/layers.h"

#include "base/check.h"
#include "models/clones.h"

#include <math.h>
#include <string.h>

RG_CLONES
static void add_relu(size_t n, const float *restrict bias, float *restrict y)
{
    for (size_t i = 0; i < n; i++) {
        float value = y[i] + bias[i];
        y[i] = value > 0 ? value : 0;
    }
}

RG_CLONES
static void add(size_t n, const float *restrict x, const float *restrict bias, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] + bias[i];
}

RG_CLONES
static void accumulate_into(size_t n, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void add_tanh(size_t n, const float *restrict bias, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = tanhf(y[i] + bias[i]);
}

void rg_bias_activate(enum rg_activation activation, int rows, size_t n, const float *bias,
                      float *y)
{
    for (int r = 0; r < rows; r++, y += n) {
        if (activation == RG_ACT_RELU)
            add_relu(n, bias, y);
        else if (activation == RG_ACT_TANH)
            add_tanh(n, bias, y);
        else
            accumulate_into(n, bias, y);
    }
}

/* relu'(z) = [z > 0] = [y > 0] */
RG_CLONES
static void relu_backward(size_t n, const float *restrict y, float *restrict dy, float *restrict db)
{
    for (size_t i = 0; i < n; i++) {
        float d = y[i] > 0 ? dy[i] : 0;
        dy[i] = d;
        db[i] += d;
    }
}

/* tanh'(z) = 1 - tanh(z)^2 = 1 - y^2 */
RG_CLONES
static void tanh_backward(size_t n, const float *restrict y, float *restrict dy, float *restrict db)
{
    for (size_t i = 0; i < n; i++) {
        float d = dy[i] * (1 - y[i] * y[i]);
        dy[i] = d;
        db[i] += d;
    }
}

void rg_bias_backward(enum rg_activation activation, int rows, size_t n, const float *y, float *dy,
                      bool accumulate, float *db)
{
    if (!accumulate)
        memset(db, 0, n * sizeof *db);
    for (int r = 0; r < rows; r++, y += n, dy += n) {
        if (activation == RG_ACT_RELU)
            relu_backward(n, y, dy, db);
        else if (activation == RG_ACT_TANH)
            tanh_backward(n, y, dy, db);
        else
            accumulate_into(n, dy, db);
    }
}

/* y = act(y + bias) with one bias for all of y */
RG_CLONES
static void shift_relu(size_t n, float bias, float *restrict y)
{
    for (size_t i = 0; i < n; i++) {
        float value = y[i] + bias;
        y[i] = value > 0 ? value : 0;
    }
}

static void shift(size_t n, float bias, bool tanh_too, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = tanh_too ? tanhf(y[i] + bias) : y[i] + bias;
}

void rg_channel_bias_activate(enum rg_activation activation, int channels, size_t pixels,
                              const float *bias, float *y)
{
    for (int c = 0; c < channels; c++, y += pixels) {
        if (activation == RG_ACT_RELU)
            shift_relu(pixels, bias[c], y);
        else
            shift(pixels, bias[c], activation == RG_ACT_TANH, y);
    }
}

/* Sums along a row are kept in 16 lanes, whatever the width of the processor's vectors. */
#define LANES 16

/* dy [n] *= act'(y), and lanes += dy; a constant n and activation leave vectors without branches.
 */
RG_PART void backward_lanes(enum rg_activation activation, size_t n, const float *restrict y,
                            float *restrict dy, float *restrict lanes)
{
    for (size_t i = 0; i < n; i++) {
        float d = dy[i];
        if (activation == RG_ACT_RELU)
            d = y[i] > 0 ? d : 0;
        else if (activation == RG_ACT_TANH)
            d *= 1 - y[i] * y[i];
        dy[i] = d;
        lanes[i] += d;
    }
}

/* dy [n] *= act'(y); returns the sum of dy, added up in the lanes and then across them. */
RG_PART float backward_sum(enum rg_activation activation, size_t n, const float *restrict y,
                           float *restrict dy)
{
    float lanes[LANES] = {0}, sum = 0;
    size_t from = 0;
    for (; from + LANES <= n; from += LANES)
        backward_lanes(activation, LANES, y + from, dy + from, lanes);
    backward_lanes(activation, n - from, y + from, dy + from, lanes);
    for (int i = 0; i < LANES; i++)
        sum += lanes[i];
    return sum;
}

RG_CLONES
static float sum_backward(enum rg_activation activation, size_t n, const float *restrict y,
                          float *restrict dy)
{
    if (activation == RG_ACT_RELU)
        return backward_sum(RG_ACT_RELU, n, y, dy);
    if (activation == RG_ACT_TANH)
        return backward_sum(RG_ACT_TANH, n, y, dy);
    return backward_sum(RG_ACT_IDENTITY, n, y, dy);
}

void rg_channel_bias_backward(enum rg_activation activation, int channels, size_t pixels,
                              const float *y, float *dy, bool accumulate, float *db)
{
    for (int c = 0; c < channels; c++, y += pixels, dy += pixels)
        db[c] = (accumulate ? db[c] : 0) + sum_backward(activation, pixels, y, dy);
}

void rg_bias_add(int rows, size_t n, const float *x, const float *bias, float *y)
{
    for (int r = 0; r < rows; r++, x += n, y += n)
        add(n, x, bias, y);
}

/* A tanh counts as 20 operations: about what a scalar libm spends on it. */
#define TANH_FLOPS     20.0
#define TANH_FUNCTIONS 4.0 /* an exp, a division, and branches that are hard to foresee */

void rg_bias_activate_work(enum rg_activation activation, double elements, struct rg_work *work)
{
    double flops = activation == RG_ACT_TANH ? 1 + TANH_FLOPS : activation == RG_ACT_RELU ? 2 : 1;
    double functions = activation == RG_ACT_TANH ? TANH_FUNCTIONS : 0;
    rg_work_functions(work, flops * elements, 2 * sizeof(float) * elements, functions * elements);
}

void rg_bias_backward_work(enum rg_activation activation, double elements, struct rg_work *work)
{
    double flops = activation == RG_ACT_TANH ? 4 : activation == RG_ACT_RELU ? 2 : 1;
    double passes = activation == RG_ACT_IDENTITY ? 1 : 3; /* dy; or y and dy, and dy back */
    rg_work_vector(work, flops * elements, passes * sizeof(float) * elements);
}

void rg_bias_add_work(double elements, struct rg_work *work)
{
    rg_work_vector(work, elements, 2 * sizeof(float) * elements);
}
