/* Layer normalisation (Ba, Kiros and Hinton 2016): the values of a sample, or of each of its
 * tokens, are brought to mean 0 and variance 1, y = act(gain h + shift) with a gain and a shift for
 * each value. Parameters gain, shift [values each]. Stash: mean and 1 / sqrt(variance + epsilon) of
 * each row, then what the activation keeps. */
#include "models/norm.h"

#include "base/check.h"
#include "base/clones.h"

#include <string.h>

static size_t rows_of(const struct rg_layer *layer)
{
    return layer->spec.over_tokens ? (size_t)layer->in.channels : 1;
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    int err = rg_norm_infer(layer, e);
    size_t rows = rows_of(layer);
    layer->parameters = 2 * (layer->inputs / rows);
    layer->stash = 2 * rows + rg_activation_stash(layer->spec.activation, layer->inputs);
    layer->scratch = layer->inputs / rows;
    return err;
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t n = layer->parameters / 2, rows = (size_t)args->batch * rows_of(layer);
    float *mean = args->stash, *scale = mean + rows;
    for (size_t r = 0; r < rows; r++) {
        const float *x = args->x + r * n;
        rg_norm_moments(1, n, n, x, layer->spec.epsilon, &mean[r], &scale[r], NULL);
        rg_norm_row_gains(n, x, mean[r], scale[r], args->w, args->y + r * n);
    }
    rg_bias_activate(layer->spec.activation, (int)rows, n, args->w + n, args->y, scale + rows);
}

/* dgain += dy h; gained = dy gain */
RG_CLONES
static void gains(size_t n, const float *restrict x, float mean, float scale,
                  const float *restrict dy, const float *restrict gain, float *restrict dgain,
                  float *restrict gained)
{
    for (size_t i = 0; i < n; i++) {
        dgain[i] += (x[i] - mean) * scale * dy[i];
        gained[i] = dy[i] * gain[i];
    }
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t n = layer->parameters / 2, rows = (size_t)args->batch * rows_of(layer);
    const float *mean = args->stash, *scale = mean + rows;
    float *gained = args->scratch;
    if (args->half == RG_HALF_WEIGHTS)
        return;
    rg_bias_backward(layer->spec.activation, (int)rows, n, args->y, scale + rows, args->dy,
                     args->accumulate, args->dw + n);
    if (!args->accumulate)
        memset(args->dw, 0, n * sizeof *args->dw);
    for (size_t r = 0; r < rows; r++) {
        const float *x = args->x + r * n;
        double sum, along;
        gains(n, x, mean[r], scale[r], args->dy + r * n, args->w, args->dw, gained);
        if (!args->dx)
            continue;
        rg_norm_sums(1, n, 0, x, mean[r], scale[r], gained, &sum, &along);
        rg_norm_back(1, n, 0, x, mean[r], scale[r], gained, 1, (float)(sum / (double)n),
                     (float)(along / (double)n), args->dx + r * n);
    }
}

const struct rg_layer_ops rg_layer_layernorm = {
    .name = "layernorm",
    .summary = "all values of a sample, or of each token, to mean 0 and variance 1",
    .attributes = "over activation epsilon",
    .examples =
        (const char *const[]){"<layernorm/>", "<layernorm over=\"tokens\" activation=\"tanh\"/>",
                              "<layernorm over=\"tokens\" activation=\"gelu\" "
                              "epsilon=\"0.1\"/>",
                              NULL},
    .splits = true,
    .infer = infer,
    .init = rg_norm_init,
    .forward = forward,
    .backward = backward,
    .cost = rg_norm_cost,
    .tensors = rg_norm_tensors,
};
