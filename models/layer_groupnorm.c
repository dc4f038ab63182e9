/* Group normalisation (Wu and He 2018): the channels of a sample in `groups` groups, each brought
 * to mean 0 and variance 1, y = act(gain h + shift) with a gain and a shift for each channel.
 * Parameters gain, shift [channels each]. Stash: mean and 1 / sqrt(variance + epsilon) of each
 * group, then what the activation keeps. */
#include "models/norm.h"

#include "base/check.h"

#include <string.h>

struct sizes {
    size_t groups, channels, pixels; /* channels: of a group */
};

static struct sizes sizes_of(const struct rg_layer *layer)
{
    size_t groups = (size_t)layer->spec.groups;
    return (struct sizes){groups, (size_t)layer->in.channels / groups,
                          (size_t)layer->in.height * (size_t)layer->in.width};
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    if (spec->groups == 0)
        spec->groups = 1;
    if (layer->in.channels % spec->groups)
        return rg_fail(e, RG_ERR_INVALID,
                       "groups=\"%d\" of a groupnorm layer: it must divide the %d channels of the "
                       "input",
                       spec->groups, layer->in.channels);
    int err = rg_norm_infer(layer, e);
    layer->parameters = 2 * (size_t)layer->in.channels;
    layer->stash = 2 * (size_t)spec->groups + rg_activation_stash(spec->activation, layer->inputs);
    layer->scratch = layer->inputs;
    return err;
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    size_t of_group = s.channels * s.pixels, groups = (size_t)args->batch * s.groups;
    float *mean = args->stash, *scale = mean + groups, *z = scale + groups;
    for (size_t g = 0; g < groups; g++) {
        const float *x = args->x + g * of_group;
        float *y = args->y + g * of_group;
        const float *gain = args->w + g % s.groups * s.channels;
        rg_norm_moments(1, of_group, of_group, x, layer->spec.epsilon, &mean[g], &scale[g], NULL);
        for (size_t c = 0; c < s.channels; c++)
            rg_norm_row(1, s.pixels, 0, x + c * s.pixels, mean[g], scale[g], gain[c],
                        y + c * s.pixels);
    }
    for (size_t b = 0; b < (size_t)args->batch; b++)
        rg_channel_bias_activate(
            layer->spec.activation, layer->in.channels, s.pixels, args->w + layer->in.channels,
            args->y + b * layer->inputs,
            z + rg_activation_stash(layer->spec.activation, b * layer->inputs));
}

/* One group of one sample, dy already through the activation; gained: room for its values. */
static void back_group(const struct rg_layer *layer, const struct rg_pass_args *args, size_t g,
                       float *gained)
{
    struct sizes s = sizes_of(layer);
    size_t of_group = s.channels * s.pixels, first = g % s.groups * s.channels;
    const float *x = args->x + g * of_group, *dy = args->dy + g * of_group;
    float mean = args->stash[g], scale = args->stash[(size_t)args->batch * s.groups + g];
    double sum = 0, along = 0;
    for (size_t c = 0; c < s.channels; c++) {
        double own, own_along;
        float gain = args->w[first + c];
        rg_norm_sums(1, s.pixels, 0, x + c * s.pixels, mean, scale, dy + c * s.pixels, &own,
                     &own_along);
        args->dw[first + c] += (float)own_along;
        sum += gain * own;
        along += gain * own_along;
        for (size_t i = 0; i < s.pixels && args->dx; i++)
            gained[c * s.pixels + i] = gain * dy[c * s.pixels + i];
    }
    if (args->dx)
        rg_norm_back(1, of_group, 0, x, mean, scale, gained, 1, (float)(sum / (double)of_group),
                     (float)(along / (double)of_group), args->dx + g * of_group);
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    size_t groups = (size_t)args->batch * s.groups, channels = (size_t)layer->in.channels;
    const float *z = args->stash + 2 * groups;
    if (args->half == RG_HALF_WEIGHTS)
        return;
    for (size_t b = 0; b < (size_t)args->batch; b++)
        rg_channel_bias_backward(
            layer->spec.activation, (int)channels, s.pixels, args->y + b * layer->inputs,
            z + rg_activation_stash(layer->spec.activation, b * layer->inputs),
            args->dy + b * layer->inputs, args->accumulate || b > 0, args->dw + channels);
    if (!args->accumulate)
        memset(args->dw, 0, channels * sizeof *args->dw);
    for (size_t g = 0; g < groups; g++)
        back_group(layer, args, g, args->scratch);
}

const struct rg_layer_ops rg_layer_groupnorm = {
    .name = "groupnorm",
    .summary = "each group of a sample's channels to mean 0 and variance 1",
    .attributes = "groups activation epsilon",
    .examples = (const char *const[]){"<groupnorm groups=\"2\"/>",
                                      "<groupnorm activation=\"hardswish\"/>", NULL},
    .splits = true,
    .infer = infer,
    .init = rg_norm_init,
    .forward = forward,
    .backward = backward,
    .cost = rg_norm_cost,
    .tensors = rg_norm_tensors,
};
