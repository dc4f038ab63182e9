/* Biases, activations and their derivatives: elementwise, rows by rows. Each loop is compiled once
 * for every activation, which leaves vectors without branches. */
#include "models/activation.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

const struct rg_activation_info rg_activation_infos[RG_ACTIVATIONS] = {
#define RG_ACTIVATION(name, NAME, init, kept, forward, backward)                                   \
    [RG_ACT_##NAME] = {#name, init, kept, forward, backward},
#include "models/activations.def"
#undef RG_ACTIVATION
};

static bool keeps_input(enum rg_activation activation)
{
    return rg_activation_infos[activation].kept == RG_KEEPS_INPUT;
}

size_t rg_activation_stash(enum rg_activation activation, size_t n)
{
    return keeps_input(activation) ? n : 0;
}

/* y [n] = act(y + bias), a bias for each or one for all. */
#define RG_ACTIVATION(name, NAME, init, kept, ...)                                                 \
    RG_CLONES                                                                                      \
    static void add_##name(size_t n, const float *restrict bias, float *restrict y,                \
                           float *restrict z)                                                      \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            float value = y[i] + bias[i];                                                          \
            if (kept == RG_KEEPS_INPUT)                                                            \
                z[i] = value;                                                                      \
            y[i] = name##_of(value);                                                               \
        }                                                                                          \
    }                                                                                              \
    RG_CLONES                                                                                      \
    static void shift_##name(size_t n, float bias, float *restrict y, float *restrict z)           \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            float value = y[i] + bias;                                                             \
            if (kept == RG_KEEPS_INPUT)                                                            \
                z[i] = value;                                                                      \
            y[i] = name##_of(value);                                                               \
        }                                                                                          \
    }
#include "models/activations.def"
#undef RG_ACTIVATION

static void add_and(enum rg_activation activation, size_t n, const float *bias, float *y, float *z)
{
    switch (activation) {
#define RG_ACTIVATION(name, NAME, ...)                                                             \
    case RG_ACT_##NAME:                                                                            \
        add_##name(n, bias, y, z);                                                                 \
        break;
#include "models/activations.def"
#undef RG_ACTIVATION
    default:
        RG_ASSERT(!"an activation");
    }
}

static void shift_and(enum rg_activation activation, size_t n, float bias, float *y, float *z)
{
    switch (activation) {
#define RG_ACTIVATION(name, NAME, ...)                                                             \
    case RG_ACT_##NAME:                                                                            \
        shift_##name(n, bias, y, z);                                                               \
        break;
#include "models/activations.def"
#undef RG_ACTIVATION
    default:
        RG_ASSERT(!"an activation");
    }
}

void rg_bias_activate(enum rg_activation activation, int rows, size_t n, const float *bias,
                      float *y, float *z)
{
    size_t kept = rg_activation_stash(activation, n);
    if (!bias && activation == RG_ACT_IDENTITY)
        return;
    if (!bias) /* a shift of zero leaves all as it is, but for the sign of zeros, which none sees */
        shift_and(activation, (size_t)rows * n, -0.0f, y, z);
    for (int r = 0; bias && r < rows; r++, y += n, z += kept)
        add_and(activation, n, bias, y, z);
}

void rg_channel_bias_activate(enum rg_activation activation, int channels, size_t pixels,
                              const float *bias, float *y, float *z)
{
    size_t kept = rg_activation_stash(activation, pixels);
    if (!bias && activation == RG_ACT_IDENTITY)
        return;
    for (int c = 0; c < channels; c++, y += pixels, z += kept)
        shift_and(activation, pixels, bias ? bias[c] : -0.0f, y, z);
}

RG_PART float derived(enum rg_activation activation, float kept, float dy)
{
    switch (activation) {
#define RG_ACTIVATION(name, NAME, ...)                                                             \
    case RG_ACT_##NAME:                                                                            \
        return name##_back(kept, dy);
#include "models/activations.def"
#undef RG_ACTIVATION
    default:
        return dy;
    }
}

/* One row: dy *= act', db += dy; y is what the derivative is a function of. dy is not written where
 * it stays what it is. */
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
    switch (activation) {
#define RG_ACTIVATION(name, NAME, ...)                                                             \
    case RG_ACT_##NAME:                                                                            \
        backward_rows(RG_ACT_##NAME, rows, n, y, dy, db);                                          \
        break;
#include "models/activations.def"
#undef RG_ACTIVATION
    default:
        RG_ASSERT(!"an activation");
    }
}

/* Sums along a row are kept in 16 lanes, whatever the width of the processor's vectors. */
#define LANES 16

/* dy [n] *= act', and lanes += dy; a constant n and activation leave vectors without branches.
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

/* dy [n] *= act'; returns the sum of dy, added up in the lanes and then across them. */
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
    switch (activation) {
#define RG_ACTIVATION(name, NAME, ...)                                                             \
    case RG_ACT_##NAME:                                                                            \
        return backward_sum(RG_ACT_##NAME, n, y, dy);
#include "models/activations.def"
#undef RG_ACTIVATION
    default:
        return 0;
    }
}

void rg_bias_backward(enum rg_activation activation, int rows, size_t n, const float *y,
                      const float *z, float *dy, bool accumulate, float *db)
{
    const float *kept = keeps_input(activation) ? z : y;
    if (!db) {
        if (activation != RG_ACT_IDENTITY)
            sum_backward(activation, (size_t)rows * n, kept, dy);
        return;
    }
    if (!accumulate)
        memset(db, 0, n * sizeof *db);
    backward(activation, rows, n, kept, dy, db);
}

void rg_token_bias_backward(enum rg_activation activation, int samples, int rows, size_t n,
                            const float *y, const float *z, float *dy, bool accumulate, float *db,
                            float *room)
{
    size_t each = (size_t)rows * n, kept = rg_activation_stash(activation, each);
    for (int b = 0; b < samples; b++, y += each, z += z ? kept : 0, dy += each) {
        bool first = b == 0 && !accumulate;
        rg_bias_backward(activation, rows, n, y, z, dy, false, first ? db : room);
        if (!first)
            rg_bias_add(1, n, db, room, db);
    }
}

void rg_channel_bias_backward(enum rg_activation activation, int channels, size_t pixels,
                              const float *y, const float *z, float *dy, bool accumulate, float *db)
{
    const float *kept = keeps_input(activation) ? z : y;
    if (!db && activation == RG_ACT_IDENTITY)
        return;
    for (int c = 0; c < channels; c++, kept += pixels, dy += pixels) {
        float sum = sum_backward(activation, pixels, kept, dy);
        if (db)
            db[c] = (accumulate ? db[c] : 0) + sum;
    }
}

RG_CLONES
static void add(size_t n, const float *x, const float *restrict bias, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] + bias[i];
}

void rg_bias_add(int rows, size_t n, const float *x, const float *bias, float *y)
{
    for (int r = 0; r < rows; r++, x += n, y += n)
        add(n, x, bias, y);
}

void rg_bias_activate_work(enum rg_activation activation, double elements, struct rg_work *work)
{
    double flops = 1 + rg_activation_infos[activation].forward;
    double passes = keeps_input(activation) ? 3 : 2;
    rg_work_vector(work, flops * elements, passes * sizeof(float) * elements);
}

void rg_bias_backward_work(enum rg_activation activation, double elements, struct rg_work *work)
{
    double flops = 1 + rg_activation_infos[activation].backward;
    double passes = activation == RG_ACT_IDENTITY ? 1 : 3; /* dy; or y or z and dy, and dy back */
    rg_work_vector(work, flops * elements, passes * sizeof(float) * elements);
}

void rg_bias_add_work(double elements, struct rg_work *work)
{
    rg_work_vector(work, elements, 2 * sizeof(float) * elements);
}
