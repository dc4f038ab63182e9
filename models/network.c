#include "models/network.h"

#include "base/check.h"
#include "base/random.h"
#include "models/layers.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static size_t floats(struct rg_shape shape)
{
    return (size_t)shape.channels * (size_t)shape.height * (size_t)shape.width;
}

/* Positive sizes whose product is a width that layers accept. */
static bool is_possible(struct rg_shape shape)
{
    double product = (double)shape.channels * shape.height * shape.width;
    return shape.channels > 0 && shape.height > 0 && shape.width > 0 && product <= RG_MAX_WIDTH;
}

static int infer_layer(struct rg_network *network, int i, struct rg_error *e)
{
    struct rg_layer *layer = &network->layers[i];
    int line = layer->spec.line;
    struct rg_error detail = {0};
    layer->index = i;
    layer->in = i > 0 ? layer[-1].out : network->input;
    layer->inputs = floats(layer->in);
    if (layer->spec.ops->infer(layer, &detail) < 0)
        return rg_fail_at(e, network->file, line, "layer %d: %s", i, detail.text);
    if (!is_possible(layer->out))
        return rg_fail_at(e, network->file, line,
                          "layer %d: its output of %dx%dx%d is too large: up to %d values are "
                          "allowed",
                          i, layer->out.channels, layer->out.height, layer->out.width,
                          RG_MAX_WIDTH);
    layer->outputs = floats(layer->out);
    layer->first = network->parameters;
    if (layer->parameters > SIZE_MAX / 16 - network->parameters)
        return rg_fail_at(e, network->file, line, "layer %d: %zu parameters are too many", i,
                          layer->parameters);
    network->parameters += layer->parameters;
    return 0;
}

/* Every layer learns how many of its kind the network has. */
static void count_kinds(struct rg_network *network)
{
    for (int kind = 0; rg_layer_kinds[kind]; kind++) {
        int depth = 0;
        for (int i = 0; i < network->layer_count; i++)
            depth += network->layers[i].spec.ops == rg_layer_kinds[kind];
        for (int i = 0; i < network->layer_count; i++)
            if (network->layers[i].spec.ops == rg_layer_kinds[kind])
                network->layers[i].depth = depth;
    }
}

int rg_network_build(struct rg_network *network, const char *name, const char *file,
                     struct rg_shape input, const struct rg_layer_spec *specs, int count,
                     struct rg_error *e)
{
    *network = (struct rg_network){.input = input, .layer_count = count};
    int err = 0;
    if (count < 1)
        return rg_fail_at(e, file, 0, "a network needs at least one layer");
    if (!is_possible(input))
        return rg_fail_at(e, file, 0, "input of %dx%dx%d: 1 to %d values are allowed",
                          input.channels, input.height, input.width, RG_MAX_WIDTH);
    network->name = strdup(name);
    network->file = strdup(file);
    network->layers = calloc((size_t)count, sizeof *network->layers);
    if (!network->name || !network->file || !network->layers) {
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file);
        goto fail;
    }
    for (int i = 0; i < count; i++)
        network->layers[i].spec = specs[i];
    for (int i = 0; i < count; i++)
        if ((err = infer_layer(network, i, e)) < 0)
            goto fail;
    count_kinds(network);
    network->classes = (int)network->layers[count - 1].outputs;
    return 0;

fail:
    rg_network_free(network);
    return err;
}

void rg_network_free(struct rg_network *network)
{
    free(network->name);
    free(network->file);
    free(network->layers);
    *network = (struct rg_network){0};
}

/* The layer whose outputs are the classes: its own, or what later layers pass on. */
static int class_layer(const struct rg_network *network)
{
    int i = network->layer_count - 1;
    while (i >= 0 && network->layers[i].spec.outputs == 0)
        i--;
    return i;
}

int rg_network_widest(const struct rg_network *network)
{
    int most = 0, classes = class_layer(network);
    for (int i = 0; i < network->layer_count; i++) {
        const struct rg_layer_spec *spec = &network->layers[i].spec;
        most = RG_MAX(most, spec->hidden);
        most = i == classes ? most : RG_MAX(most, spec->outputs);
    }
    return most;
}

/* width * to / from, rounded; a width is never lost. */
static int scaled_width(int width, int to, int from)
{
    long long scaled = ((long long)width * to + from / 2) / from;
    return width == 0 ? 0 : (int)RG_MIN(RG_MAX(scaled, 1), INT_MAX);
}

int rg_network_scale(const struct rg_network *network, int widest, struct rg_network *scaled,
                     struct rg_error *e)
{
    int from = rg_network_widest(network), classes = class_layer(network);
    struct rg_layer_spec *specs = calloc((size_t)network->layer_count, sizeof *specs);
    RG_ASSERT(from > 0 && widest > 0);
    if (!specs)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", network->file);
    for (int i = 0; i < network->layer_count; i++) {
        specs[i] = network->layers[i].spec;
        specs[i].hidden = scaled_width(specs[i].hidden, widest, from);
        if (i != classes)
            specs[i].outputs = scaled_width(specs[i].outputs, widest, from);
    }
    int err = rg_network_build(scaled, network->name, network->file, network->input, specs,
                               network->layer_count, e);
    free(specs);
    return err;
}

int rg_network_init(const struct rg_network *network, int from, int to, uint64_t seed, float *w)
{
    RG_ASSERT(0 <= from && from <= to && to <= network->layer_count);
    for (int i = from; i < to; i++) {
        const struct rg_layer *layer = &network->layers[i];
        struct rg_random *random = rg_random_new(seed, RG_STREAM_INIT, (uint64_t)i);
        if (!random)
            return RG_ERR_NOMEM;
        layer->spec.ops->init(layer, w, random);
        rg_random_free(random);
        w += layer->parameters;
    }
    return 0;
}

size_t rg_network_offset(const struct rg_network *network, int layer)
{
    RG_ASSERT(0 <= layer && layer <= network->layer_count);
    return layer < network->layer_count ? network->layers[layer].first : network->parameters;
}

size_t rg_network_range(const struct rg_network *network, int from, int to)
{
    return rg_network_offset(network, to) - rg_network_offset(network, from);
}
