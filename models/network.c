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

struct rg_layer_spec *rg_specs_copy(const struct rg_layer_spec *specs, int count)
{
    struct rg_layer_spec *copy = calloc((size_t)count + 1, sizeof *copy);
    bool good = copy != NULL;
    for (int i = 0; i < count && good; i++) {
        copy[i] = specs[i];
        copy[i].body = copy[i].shortcut = NULL;
        if (specs[i].body)
            good = (copy[i].body = rg_specs_copy(specs[i].body, specs[i].body_count)) != NULL;
        if (specs[i].shortcut && good)
            good = (copy[i].shortcut = rg_specs_copy(specs[i].shortcut, specs[i].shortcut_count)) !=
                   NULL;
    }
    if (!good && copy)
        rg_specs_free(copy, count);
    return good ? copy : NULL;
}

void rg_specs_free(struct rg_layer_spec *specs, int count)
{
    for (int i = 0; i < count && specs; i++) {
        rg_specs_free(specs[i].body, specs[i].body_count);
        rg_specs_free(specs[i].shortcut, specs[i].shortcut_count);
    }
    free(specs);
}

static int build(struct rg_network *network, const char *name, const char *file,
                 struct rg_shape input, const struct rg_layer_spec *specs, int count, bool within,
                 struct rg_error *e);

/* A chain inside of a layer, whose input is the layer's. */
static int build_inside(const struct rg_network *network, const struct rg_layer *layer,
                        const struct rg_layer_spec *specs, int count, struct rg_network **inside,
                        struct rg_error *e)
{
    if (!specs)
        return 0;
    *inside = calloc(1, sizeof **inside);
    if (!*inside)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", network->file);
    return build(*inside, network->name, network->file, layer->in, specs, count, true, e);
}

static int infer_layer(struct rg_network *network, int i, bool within, struct rg_error *e)
{
    struct rg_layer *layer = &network->layers[i];
    int line = layer->spec.line;
    const char *inside = within ? " inside of another" : "";
    struct rg_error detail = {0};
    layer->index = i;
    layer->starts = i == 0 && !within;
    layer->in = i > 0 ? layer[-1].out : network->input;
    layer->inputs = floats(layer->in);
    int err =
        build_inside(network, layer, layer->spec.body, layer->spec.body_count, &layer->body, e);
    if (err == 0)
        err = build_inside(network, layer, layer->spec.shortcut, layer->spec.shortcut_count,
                           &layer->shortcut, e);
    if (err)
        return err;
    if (layer->spec.ops->infer(layer, &detail) < 0)
        return rg_fail_at(e, network->file, line, "layer %d%s: %s", i, inside, detail.text);
    if (!is_possible(layer->out))
        return rg_fail_at(e, network->file, line,
                          "layer %d%s: its output of %dx%dx%d is too large: up to %d values are "
                          "allowed",
                          i, inside, layer->out.channels, layer->out.height, layer->out.width,
                          RG_MAX_WIDTH);
    layer->outputs = floats(layer->out);
    layer->first = network->parameters;
    if (layer->parameters > SIZE_MAX / 16 - network->parameters)
        return rg_fail_at(e, network->file, line, "layer %d%s: %zu parameters are too many", i,
                          inside, layer->parameters);
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

/* Number a network's layers and those inside from `id` on, and list their statistics, whose places
 * count from `first` (list NULL: only count them). Returns the next number. */
static uint64_t visit(struct rg_network *network, uint64_t id, size_t first,
                      struct rg_statistics *list, int *count)
{
    for (int i = 0; i < network->layer_count; i++) {
        struct rg_layer *layer = &network->layers[i];
        size_t at = first + layer->first;
        layer->id = id++;
        if (layer->statistics > 0 && list)
            list[*count] = (struct rg_statistics){at + layer->statistics_first, layer->statistics,
                                                  layer->statistics_rate};
        *count += layer->statistics > 0;
        if (layer->body)
            id = visit(layer->body, id, at, list, count);
        if (layer->shortcut)
            id = visit(layer->shortcut, id, at + layer->body->parameters, list, count);
    }
    return id;
}

static int list_statistics(struct rg_network *network, struct rg_error *e)
{
    int count = 0;
    visit(network, 0, 0, NULL, &count);
    network->statistics = calloc((size_t)count + 1, sizeof *network->statistics);
    if (!network->statistics)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", network->file);
    visit(network, 0, 0, network->statistics, &network->statistics_count);
    return 0;
}

/* Marks the layers of a chain whose outputs are those of the chain: its last, or what later ones
 * pass on. Returns whether all of its outputs are such, or some its input. */
static bool mark_ends(struct rg_layer_spec *specs, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        bool body = mark_ends(specs[i].body, specs[i].body_count);
        bool shortcut = mark_ends(specs[i].shortcut, specs[i].shortcut_count);
        specs[i].ends = specs[i].outputs > 0;
        if (specs[i].ends || (body && shortcut))
            return true;
    }
    return false;
}

static int build(struct rg_network *network, const char *name, const char *file,
                 struct rg_shape input, const struct rg_layer_spec *specs, int count, bool within,
                 struct rg_error *e)
{
    *network = (struct rg_network){0};
    int err = 0;
    if (count < 1)
        return rg_fail_at(e, file, 0, "a network needs at least one layer");
    if (!is_possible(input))
        return rg_fail_at(e, file, 0, "input of %dx%dx%d: 1 to %d values are allowed",
                          input.channels, input.height, input.width, RG_MAX_WIDTH);
    network->input = input;
    network->layer_count = count;
    network->name = strdup(name);
    network->file = strdup(file);
    network->layers = calloc((size_t)count, sizeof *network->layers);
    if (!network->name || !network->file || !network->layers) {
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file);
        goto fail;
    }
    struct rg_layer_spec *copy = rg_specs_copy(specs, count);
    if (!copy) {
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file);
        goto fail;
    }
    if (!within)
        mark_ends(copy, count);
    for (int i = 0; i < count; i++)
        network->layers[i].spec = copy[i];
    free(copy); /* the layers own what it owned */
    for (int i = 0; i < count; i++)
        if ((err = infer_layer(network, i, within, e)) < 0)
            goto fail;
    count_kinds(network);
    network->classes = (int)network->layers[count - 1].outputs;
    if (!within && (err = list_statistics(network, e)) < 0)
        goto fail;
    return 0;

fail:
    rg_network_free(network);
    return err;
}

int rg_network_build(struct rg_network *network, const char *name, const char *file,
                     struct rg_shape input, const struct rg_layer_spec *specs, int count,
                     struct rg_error *e)
{
    return build(network, name, file, input, specs, count, false, e);
}

static void free_inside(struct rg_network *inside)
{
    if (inside)
        rg_network_free(inside);
    free(inside);
}

void rg_network_free(struct rg_network *network)
{
    for (int i = 0; i < network->layer_count && network->layers; i++) {
        struct rg_layer *layer = &network->layers[i];
        rg_specs_free(layer->spec.body, layer->spec.body_count);
        rg_specs_free(layer->spec.shortcut, layer->spec.shortcut_count);
        free_inside(layer->body);
        free_inside(layer->shortcut);
    }
    free(network->name);
    free(network->file);
    free(network->layers);
    free(network->statistics);
    *network = (struct rg_network){0};
}

/* The largest width of specs but those that are the classes, and of what they contain. */
static int widest_of(const struct rg_layer_spec *specs, int count)
{
    int most = 0;
    for (int i = 0; i < count; i++) {
        most = RG_MAX(most, specs[i].hidden);
        most = specs[i].ends ? most : RG_MAX(most, specs[i].outputs);
        most = RG_MAX(most, widest_of(specs[i].body, specs[i].body_count));
        most = RG_MAX(most, widest_of(specs[i].shortcut, specs[i].shortcut_count));
    }
    return most;
}

int rg_network_widest(const struct rg_network *network)
{
    int most = 0;
    for (int i = 0; i < network->layer_count; i++)
        most = RG_MAX(most, widest_of(&network->layers[i].spec, 1));
    return most;
}

int rg_network_most_batch(const struct rg_network *network)
{
    int most = INT_MAX;
    for (int i = 0; network && i < network->layer_count; i++) {
        const struct rg_layer *layer = &network->layers[i];
        bool over_tokens = layer->spec.over_tokens || layer->spec.heads > 0;
        most = RG_MIN(most, over_tokens ? INT_MAX / layer->in.channels : INT_MAX);
        most = RG_MIN(most, rg_network_most_batch(layer->body));
        most = RG_MIN(most, rg_network_most_batch(layer->shortcut));
    }
    return most;
}

/* A group for every channel, which stays that. */
static bool is_depthwise(const struct rg_layer_spec *spec)
{
    return spec->groups > 1 && spec->groups == spec->outputs;
}

static long long common_divisor(long long a, long long b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

/* The least multiple of all numbers of heads and groups that have to divide widths, and of `least`;
 * more than any width is as good as that. */
static long long divided_by(const struct rg_layer_spec *specs, int count, long long least)
{
    for (int i = 0; i < count; i++) {
        int parts = is_depthwise(&specs[i]) ? 1 : RG_MAX(specs[i].groups, specs[i].heads);
        if (parts > 1 && least <= RG_MAX_WIDTH)
            least *= parts / common_divisor(least, parts);
        least = divided_by(specs[i].body, specs[i].body_count, least);
        least = divided_by(specs[i].shortcut, specs[i].shortcut_count, least);
    }
    return least;
}

/* width * to / from, rounded to a multiple of what it shares with `parts`, so that heads and groups
 * that divide it divide what becomes of it; a width is never lost. */
static int scaled_width(int width, int to, int from, long long parts)
{
    if (width == 0)
        return 0;
    long long unit = common_divisor(parts, width), whole = unit * from;
    long long scaled = ((long long)width * to + whole / 2) / whole * unit;
    return (int)RG_MIN(RG_MAX(scaled, unit), INT_MAX);
}

static void scale_specs(struct rg_layer_spec *specs, int count, int to, int from, long long parts)
{
    for (int i = 0; i < count; i++) {
        struct rg_layer_spec *spec = &specs[i];
        bool depthwise = is_depthwise(spec);
        spec->hidden = scaled_width(spec->hidden, to, from, parts);
        if (!spec->ends)
            spec->outputs = scaled_width(spec->outputs, to, from, parts);
        spec->groups = depthwise ? spec->outputs : spec->groups;
        scale_specs(spec->body, spec->body_count, to, from, parts);
        scale_specs(spec->shortcut, spec->shortcut_count, to, from, parts);
    }
}

int rg_network_scale(const struct rg_network *network, int widest, struct rg_network *scaled,
                     struct rg_error *e)
{
    int from = rg_network_widest(network), count = network->layer_count;
    struct rg_layer_spec *given = calloc((size_t)count, sizeof *given), *specs = NULL;
    RG_ASSERT(from > 0 && widest > 0);
    for (int i = 0; i < count && given; i++)
        given[i] = network->layers[i].spec;
    if (given)
        specs = rg_specs_copy(given, count);
    free(given);
    if (!specs)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", network->file);
    scale_specs(specs, count, widest, from, divided_by(specs, count, 1));
    int err =
        rg_network_build(scaled, network->name, network->file, network->input, specs, count, e);
    scaled->loss = network->loss;
    rg_specs_free(specs, count);
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
