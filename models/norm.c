#include "models/norm.h"

#include "base/check.h"
#include "models/sums.h"

#include <math.h>

int rg_norm_infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    if (spec->epsilon == 0)
        spec->epsilon = 1e-5;
    if (spec->momentum == 0)
        spec->momentum = 0.1;
    if (!(spec->epsilon > 0 && spec->epsilon <= 1))
        return rg_fail(e, RG_ERR_INVALID, "epsilon=\"%g\" of a %s layer: above 0 to 1 is allowed",
                       spec->epsilon, spec->ops->name);
    if (!(spec->momentum > 0 && spec->momentum <= 1))
        return rg_fail(e, RG_ERR_INVALID, "momentum=\"%g\" of a %s layer: above 0 to 1 is allowed",
                       spec->momentum, spec->ops->name);
    rg_layer_defaults(spec, RG_ACT_IDENTITY);
    layer->out = layer->in;
    return 0;
}

RG_CLONES
static double sum_of(size_t rows, size_t n, size_t apart, const float *x)
{
    double lanes[RG_SUM_LANES] = {0};
    for (size_t r = 0; r < rows; r++)
        rg_lanes_add(n, x + r * apart, lanes);
    return rg_lanes_sum(lanes);
}

RG_CLONES
static double squares_of(size_t rows, size_t n, size_t apart, const float *x, double mean)
{
    double lanes[RG_SUM_LANES] = {0};
    for (size_t r = 0; r < rows; r++)
        rg_lanes_add_squares(n, x + r * apart, mean, lanes);
    return rg_lanes_sum(lanes);
}

void rg_norm_moments(size_t rows, size_t n, size_t apart, const float *x, double epsilon,
                     float *mean, float *scale, double *variance)
{
    double count = (double)rows * (double)n, m = sum_of(rows, n, apart, x) / count;
    double v = squares_of(rows, n, apart, x, m) / count;
    *mean = (float)m;
    *scale = (float)(1 / sqrt(v + epsilon));
    if (variance)
        *variance = v;
}

RG_CLONES
void rg_norm_row(size_t rows, size_t n, size_t apart, const float *restrict x, float mean,
                 float scale, float gain, float *restrict y)
{
    for (size_t r = 0; r < rows; r++, x += apart, y += apart)
        for (size_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * scale * gain;
}

RG_CLONES
void rg_norm_row_gains(size_t n, const float *restrict x, float mean, float scale,
                       const float *restrict gain, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * scale * gain[i];
}

/* lanes += h dy */
RG_PART void add_along(size_t n, const float *x, float mean, float scale, const float *dy,
                       double lanes[RG_SUM_LANES])
{
    size_t from = 0;
    for (; from + RG_SUM_LANES <= n; from += RG_SUM_LANES)
        for (size_t i = 0; i < RG_SUM_LANES; i++)
            lanes[i] += (double)((x[from + i] - mean) * scale) * dy[from + i];
    for (size_t i = 0; from + i < n; i++)
        lanes[i] += (double)((x[from + i] - mean) * scale) * dy[from + i];
}

RG_CLONES
void rg_norm_sums(size_t rows, size_t n, size_t apart, const float *x, float mean, float scale,
                  const float *dy, double *dy_sum, double *dyh_sum)
{
    double sums[RG_SUM_LANES] = {0}, along[RG_SUM_LANES] = {0};
    for (size_t r = 0; r < rows; r++, x += apart, dy += apart) {
        rg_lanes_add(n, dy, sums);
        add_along(n, x, mean, scale, dy, along);
    }
    *dy_sum = rg_lanes_sum(sums);
    *dyh_sum = rg_lanes_sum(along);
}

RG_CLONES
void rg_norm_back(size_t rows, size_t n, size_t apart, const float *restrict x, float mean,
                  float scale, const float *restrict dy, float gain, float a, float b,
                  float *restrict dx)
{
    for (size_t r = 0; r < rows; r++, x += apart, dy += apart, dx += apart)
        for (size_t i = 0; i < n; i++)
            dx[i] = scale * (gain * dy[i] - a - (x[i] - mean) * scale * b);
}

void rg_norm_back_cost(const struct rg_layer *layer, int batch, enum rg_pass pass,
                       struct rg_work *work)
{
    double values = (double)batch * (double)layer->inputs, bytes = sizeof(float) * values;
    if (pass == RG_BACKWARD_WEIGHTS)
        return;
    rg_work_vector(work, 5 * values, 2 * bytes);
    if (rg_pass_has_input(pass))
        rg_work_vector(work, 6 * values, 3 * bytes);
}

/* Forward two passes for mean and variance, one to write. */
void rg_norm_cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    double values = (double)batch * (double)layer->inputs, bytes = sizeof(float) * values;
    if (pass == RG_FORWARD) {
        rg_work_vector(work, 4 * values, 2 * bytes);
        rg_work_vector(work, 3 * values, 2 * bytes);
        rg_bias_activate_work(layer->spec.activation, values, work);
        return;
    }
    if (pass != RG_BACKWARD_WEIGHTS)
        rg_bias_backward_work(layer->spec.activation, values, work);
    rg_norm_back_cost(layer, batch, pass, work);
}

int rg_norm_tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    size_t n = layer->parameters / 2;
    rg_tensor_set(&out[0], layer, "weight", 0, (int[4]){(int)n});
    rg_tensor_set(&out[1], layer, "bias", n, (int[4]){(int)n});
    return 2;
}

void rg_norm_init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    size_t n = layer->parameters / 2;
    (void)random;
    for (size_t i = 0; i < n; i++) {
        w[i] = 1;
        w[n + i] = 0;
    }
}
