/* Batch normalisation (Ioffe and Szegedy 2015): every channel's values of a (micro-)batch are
 * brought to mean 0 and variance 1, y = act(gain h + shift); to evaluate, by running statistics.
 * Parameters gain, shift, mean, variance [channels each], of which the last two are the running
 * statistics: their gradient is their distance to the batch's mean and unbiased variance, a
 * micro-batch counting for its samples. Stash, whatever the batch: mean, 1 / sqrt(variance +
 * epsilon) and unbiased variance of every channel; then what the activation keeps. */
#include "models/norm.h"

#include "base/check.h"
#include "base/sizes.h"

#include <math.h>
#include <string.h>

static size_t pixels_of(const struct rg_layer *layer)
{
    return (size_t)layer->in.height * (size_t)layer->in.width;
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    int err = rg_norm_infer(layer, e);
    size_t channels = (size_t)layer->in.channels;
    layer->parameters = 4 * channels;
    layer->statistics_first = 2 * channels;
    layer->statistics = 2 * channels;
    layer->statistics_rate = (float)layer->spec.momentum;
    return err;
}

static uint64_t room(const struct rg_layer *layer, int batch, enum rg_room room)
{
    uint64_t kept = rg_activation_stash(layer->spec.activation, layer->inputs);
    if (room != RG_ROOM_STASH)
        return 0;
    return rg_size_plus(3 * (uint64_t)layer->in.channels, rg_size_times((uint64_t)batch, kept));
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    (void)random;
    for (int c = 0; c < layer->in.channels; c++) {
        w[c] = w[3 * layer->in.channels + c] = 1;
        w[layer->in.channels + c] = w[2 * layer->in.channels + c] = 0;
    }
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t channels = (size_t)layer->in.channels, pixels = pixels_of(layer);
    size_t samples = (size_t)args->batch, kept = rg_activation_stash(layer->spec.activation, 1);
    const float *gain = args->w, *shift = gain + channels, *running = shift + channels;
    float *mean = args->stash, *scale = mean + channels, *unbiased = scale + channels;
    double epsilon = layer->spec.epsilon, count = (double)samples * (double)pixels;
    for (size_t c = 0; c < channels; c++) {
        double variance;
        if (args->evaluate) {
            mean[c] = running[c];
            scale[c] = (float)(1 / sqrt(running[channels + c] + epsilon));
        } else {
            rg_norm_moments(samples, pixels, layer->inputs, args->x + c * pixels, epsilon, &mean[c],
                            &scale[c], &variance);
            unbiased[c] = (float)(count > 1 ? variance * count / (count - 1) : variance);
        }
    }
    for (size_t c = 0; c < channels; c++)
        rg_norm_row(samples, pixels, layer->inputs, args->x + c * pixels, mean[c], scale[c],
                    gain[c], args->y + c * pixels);
    for (size_t b = 0; b < samples; b++)
        rg_channel_bias_activate(layer->spec.activation, (int)channels, pixels, shift,
                                 args->y + b * layer->inputs,
                                 unbiased + channels + b * layer->inputs * kept);
}

/* Channel by channel: dy of all samples, already through the activation. */
static void back_channel(const struct rg_layer *layer, const struct rg_pass_args *args, size_t c)
{
    size_t channels = (size_t)layer->in.channels, pixels = pixels_of(layer);
    size_t samples = (size_t)args->batch;
    const float *x = args->x + c * pixels, *dy = args->dy + c * pixels;
    float mean = args->stash[c], scale = args->stash[channels + c], gain = args->w[c];
    float *dgain = &args->dw[c], *dshift = &args->dw[channels + c];
    double sum, along, count = (double)samples * (double)pixels;
    rg_norm_sums(samples, pixels, layer->inputs, x, mean, scale, dy, &sum, &along);
    *dgain = (args->accumulate ? *dgain : 0) + (float)along;
    *dshift = (args->accumulate ? *dshift : 0) + (float)sum;
    if (!args->dx)
        return;
    float a = (float)(gain * sum / count), b = (float)(gain * along / count);
    rg_norm_back(samples, pixels, layer->inputs, x, mean, scale, dy, gain, a, b,
                 args->dx + c * pixels);
}

/* Distances of the running statistics to those of this micro-batch. */
static void back_statistics(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t channels = (size_t)layer->in.channels;
    const float *running = (args->newest ? args->newest : args->w) + 2 * channels;
    float *d = args->dw + 2 * channels;
    float share = (float)args->batch / (float)(args->mean_of > 0 ? args->mean_of : args->batch);
    for (size_t c = 0; c < 2 * channels; c++) {
        float seen = args->stash[c < channels ? c : c + channels];
        d[c] = (args->accumulate ? d[c] : 0) + (running[c] - seen) * share;
    }
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t channels = (size_t)layer->in.channels;
    const float *z = args->stash + 3 * channels;
    if (args->half == RG_HALF_WEIGHTS)
        return;
    rg_bias_backward(layer->spec.activation, args->batch, layer->inputs, args->y, z, args->dy,
                     false, NULL);
    for (size_t c = 0; c < channels; c++)
        back_channel(layer, args, c);
    back_statistics(layer, args);
    if (args->update)
        for (size_t i = 0; i < 4 * channels; i++)
            args->update[i] -=
                (i < 2 * channels ? args->rate : layer->statistics_rate) * args->dw[i];
}

/* The gradient of shifts is one of the sums: without an activation no pass is for it alone. */
static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    if (pass != RG_FORWARD && layer->spec.activation == RG_ACT_IDENTITY)
        rg_norm_back_cost(layer, batch, pass, work);
    else
        rg_norm_cost(layer, batch, pass, work);
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
    int channels = layer->in.channels;
    for (int i = 0; i < 4; i++)
        rg_tensor_set(&out[i], layer, names[i], (size_t)i * (size_t)channels, (int[4]){channels});
    return 4;
}

const struct rg_layer_ops rg_layer_batchnorm = {
    .name = "batchnorm",
    .summary =
        "each channel to mean 0 and variance 1 over the micro-batch; running ones to evaluate",
    .attributes = "activation momentum epsilon",
    .examples = (const char *const[]){"<batchnorm/>",
                                      "<batchnorm activation=\"silu\" momentum=\"0.3\" "
                                      "epsilon=\"0.01\"/>",
                                      NULL},
    .fuses_update = true,
    .splits = true,
    .mixes = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
    .room = room,
};
