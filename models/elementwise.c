/* Biases, activations and their derivatives: elementwise, rows by rows. */
#include "models/layers.h"

#include "base/check.h"
#include "models/clones.h"
#include "models/tanh.h"

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

RG_CLONES
static void add_tanh(size_t n, const float *restrict bias, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = rg_tanh(y[i] + bias[i]);
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

/* relu'(z) = [z > 0] = [y > 0]; tanh'(z) = 1 - tanh(z)^2 = 1 - y^2 */
RG_PART float derived(enum rg_activation activation, float y, float dy)
{
    return activation == RG_ACT_RELU   ? (y > 0 ? dy : 0)
           : activation == RG_ACT_TANH ? dy * (1 - y * y)
                                       : dy;
}

/* One row: dy *= act'(y), db += dy. A constant activation leaves vectors without branches; dy is
 * not written where it stays what it is. */
RG_PART void backward_one(enum rg_activation activation, size_t n, const float *restrict y,
                          float *restrict dy, float *restrict db)
{
    for (size_t i = 0; i < n; i++) {
        float d = derived(activation, y[i], dy[i]);
        if (activation != RG_ACT_IDENTITY)
            dy[i] = d;
        db[i] += d;
    }
}

/* Rows from which on to fetch db for each costs next to nothing beside the rows themselves; many at
 * once would then get in each other's way, where they begin multiples of 4 KiB apart. */
#define LONG_ROW 512

/* Four rows, added in their order: db is fetched and put back once. */
RG_PART void backward_four(enum rg_activation activation, size_t n, const float *restrict y0,
                           const float *restrict y1, const float *restrict y2,
                           const float *restrict y3, float *restrict dy0, float *restrict dy1,
                           float *restrict dy2, float *restrict dy3, float *restrict db)
{
    for (size_t i = 0; i < n; i++) {
        float d0 = derived(activation, y0[i], dy0[i]), d1 = derived(activation, y1[i], dy1[i]);
        float d2 = derived(activation, y2[i], dy2[i]), d3 = derived(activation, y3[i], dy3[i]);
        if (activation != RG_ACT_IDENTITY) {
            dy0[i] = d0;
            dy1[i] = d1;
            dy2[i] = d2;
            dy3[i] = d3;
        }
        db[i] = (((db[i] + d0) + d1) + d2) + d3;
    }
}

RG_PART void backward_rows(enum rg_activation activation, int rows, size_t n, const float *y,
                           float *dy, float *db)
{
    int r = 0;
    for (; n < LONG_ROW && r + 4 <= rows; r += 4, y += 4 * n, dy += 4 * n)
        backward_four(activation, n, y, y + n, y + 2 * n, y + 3 * n, dy, dy + n, dy + 2 * n,
                      dy + 3 * n, db);
    for (; r < rows; r++, y += n, dy += n)
        backward_one(activation, n, y, dy, db);
}

RG_CLONES
static void backward(enum rg_activation activation, int rows, size_t n, const float *y, float *dy,
                     float *db)
{
    if (activation == RG_ACT_RELU)
        backward_rows(RG_ACT_RELU, rows, n, y, dy, db);
    else if (activation == RG_ACT_TANH)
        backward_rows(RG_ACT_TANH, rows, n, y, dy, db);
    else
        backward_rows(RG_ACT_IDENTITY, rows, n, y, dy, db);
}

void rg_bias_backward(enum rg_activation activation, int rows, size_t n, const float *y, float *dy,
                      bool accumulate, float *db)
{
    if (!accumulate)
        memset(db, 0, n * sizeof *db);
    backward(activation, rows, n, y, dy, db);
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

RG_CLONES
static void shift_tanh(size_t n, float bias, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = rg_tanh(y[i] + bias);
}

RG_CLONES
static void shift(size_t n, float bias, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += bias;
}

void rg_channel_bias_activate(enum rg_activation activation, int channels, size_t pixels,
                              const float *bias, float *y)
{
    for (int c = 0; c < channels; c++, y += pixels) {
        if (activation == RG_ACT_RELU)
            shift_relu(pixels, bias[c], y);
        else if (activation == RG_ACT_TANH)
            shift_tanh(pixels, bias[c], y);
        else
            shift(pixels, bias[c], y);
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
        float d = derived(activation, y[i], dy[i]);
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

/* A tanh counts as 20 operations: half of those in double precision that it does, a vector of which
 * has half as many numbers; the adders and multipliers of most processors take two at once. */
#define TANH_FLOPS 20.0

void rg_bias_activate_work(enum rg_activation activation, double elements, struct rg_work *work)
{
    double flops = activation == RG_ACT_TANH ? 1 + TANH_FLOPS : activation == RG_ACT_RELU ? 2 : 1;
    rg_work_vector(work, flops * elements, 2 * sizeof(float) * elements);
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
