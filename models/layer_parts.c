/* What several layer kinds share. */
#include "models/layers.h"

#include "base/check.h"
#include "base/random.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

void rg_layer_defaults(struct rg_layer_spec *spec, enum rg_activation activation)
{
    if (spec->activation == RG_ACT_DEFAULT)
        spec->activation = activation;
    if (spec->init == RG_INIT_DEFAULT)
        spec->init = rg_activation_infos[spec->activation].init;
}

enum { EXTENT_TEXT = 24 };

static const char *text_of(struct rg_extent extent, char text[EXTENT_TEXT])
{
    if (extent.height == extent.width)
        snprintf(text, EXTENT_TEXT, "%d", extent.height);
    else
        snprintf(text, EXTENT_TEXT, "%dx%d", extent.height, extent.width);
    return text;
}

/* 1 to `most` in both directions. */
static int check_extent(const struct rg_layer *layer, const char *name, struct rg_extent extent,
                        struct rg_extent most, struct rg_error *e)
{
    char given[EXTENT_TEXT], padding[EXTENT_TEXT], limit[EXTENT_TEXT];
    struct rg_extent square = {RG_MIN(most.height, most.width), RG_MIN(most.height, most.width)};
    if (extent.height >= 1 && extent.height <= most.height && extent.width >= 1 &&
        extent.width <= most.width)
        return 0;
    bool any = extent.height != extent.width;
    return rg_fail(e, RG_ERR_INVALID,
                   "%s=\"%s\" of a %s layer: 1 to %s are allowed on an input of %dx%dx%d with "
                   "padding %s",
                   name, text_of(extent, given), layer->spec.ops->name,
                   text_of(any ? most : square, limit), layer->in.channels, layer->in.height,
                   layer->in.width, text_of(layer->spec.padding, padding));
}

int rg_window_infer(struct rg_layer *layer, struct rg_extent kernel, struct rg_extent stride,
                    struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    char text[EXTENT_TEXT];
    if (spec->kernel.height == 0 && spec->kernel.width == 0)
        spec->kernel = kernel;
    if (spec->stride.height == 0 && spec->stride.width == 0)
        spec->stride = stride;
    if (spec->padding.height < 0 || spec->padding.height > 1024 || spec->padding.width < 0 ||
        spec->padding.width > 1024)
        return rg_fail(e, RG_ERR_INVALID, "padding=\"%s\" of a %s layer: 0 to 1024 are allowed",
                       text_of(spec->padding, text), spec->ops->name);
    struct rg_extent most = {layer->in.height + 2 * spec->padding.height,
                             layer->in.width + 2 * spec->padding.width};
    int err = check_extent(layer, "kernel", spec->kernel, most, e);
    if (err == 0)
        err = check_extent(layer, "stride", spec->stride, most, e);
    if (err)
        return err;
    layer->out.height = (most.height - spec->kernel.height) / spec->stride.height + 1;
    layer->out.width = (most.width - spec->kernel.width) / spec->stride.width + 1;
    return 0;
}

int rg_token_rows(int batch, int tokens)
{
    return (int)RG_MIN((int64_t)batch * tokens, INT_MAX);
}

void rg_init_weights(enum rg_init init, size_t fan_in, size_t fan_out, struct rg_random *random,
                     size_t n, float *w)
{
    double he = sqrt(2.0 / (double)fan_in);
    double xavier = sqrt(6.0 / (double)(fan_in + fan_out));
    for (size_t i = 0; i < n; i++) {
        double value = 0;
        if (init == RG_INIT_HE)
            value = rg_random_gaussian(random, he);
        else if (init == RG_INIT_XAVIER)
            value = (2 * rg_random_uniform(random) - 1) * xavier;
        w[i] = (float)value;
    }
}

void rg_init_none(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    (void)layer, (void)w, (void)random;
}

int rg_tensors_none(const struct rg_layer *layer, struct rg_tensor tensors[4])
{
    (void)layer, (void)tensors;
    return 0;
}

void rg_tensor_set(struct rg_tensor *tensor, const struct rg_layer *layer, const char *name,
                   size_t offset, const int size[4])
{
    *tensor = (struct rg_tensor){.offset = offset, .count = 1};
    snprintf(tensor->name, sizeof tensor->name, "%d.%s", layer->index, name);
    while (tensor->rank < 4 && size[tensor->rank] > 0) {
        tensor->size[tensor->rank] = size[tensor->rank];
        tensor->count *= (size_t)size[tensor->rank++];
    }
}
