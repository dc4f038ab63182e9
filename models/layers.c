/* The table of layer kinds. */
#include "models/network.h"

#include "base/check.h"
#include <stdio.h>
#include <string.h>

#define RG_LAYER(name) extern const struct rg_layer_ops rg_layer_##name;
#include "models/layers.def"
#undef RG_LAYER

const struct rg_layer_ops *const rg_layer_kinds[] = {
#define RG_LAYER(name) &rg_layer_##name,
#include "models/layers.def"
#undef RG_LAYER
    NULL};

static const struct rg_layer_ops *look_up(const char *name, bool contains)
{
    for (const struct rg_layer_ops *const *kind = rg_layer_kinds; *kind; kind++)
        if ((*kind)->contains == contains && strcmp((*kind)->name, name) == 0)
            return *kind;
    return NULL;
}

const struct rg_layer_ops *rg_layer_kind(const char *name)
{
    return look_up(name, false);
}

const struct rg_layer_ops *rg_layer_container(const char *name)
{
    return look_up(name, true);
}

static bool all_split(const struct rg_network *network)
{
    for (int i = 0; network && i < network->layer_count; i++)
        if (!rg_layer_splits(&network->layers[i]))
            return false;
    return true;
}

bool rg_layer_splits(const struct rg_layer *layer)
{
    return layer->parameters == 0 ||
           (layer->spec.ops->splits && all_split(layer->body) && all_split(layer->shortcut));
}

static void list_tensors(const struct rg_layer *layer, const char *prefix, size_t first,
                         rg_tensor_taker *take, void *context);

static void list_inside(const struct rg_network *network, const char *prefix, int index,
                        const char *part, size_t first, rg_tensor_taker *take, void *context)
{
    char longer[sizeof((struct rg_tensor *)0)->name];
    snprintf(longer, sizeof longer, "%s%d.%s.", prefix, index, part);
    for (int i = 0; network && i < network->layer_count; i++)
        list_tensors(&network->layers[i], longer, first + network->layers[i].first, take, context);
}

static void list_tensors(const struct rg_layer *layer, const char *prefix, size_t first,
                         rg_tensor_taker *take, void *context)
{
    struct rg_tensor own[4];
    int count = layer->spec.ops->tensors(layer, own);
    RG_ASSERT(count >= 0 && count <= 4);
    for (int i = 0; i < count; i++) {
        char name[sizeof own[i].name];
        int length = snprintf(name, sizeof name, "%s%s", prefix, own[i].name);
        RG_ASSERT(length < (int)sizeof name); /* depth is bounded where files are read */
        memcpy(own[i].name, name, sizeof name);
        own[i].offset += first;
        take(&own[i], context);
    }
    list_inside(layer->body, prefix, layer->index, "body", first, take, context);
    size_t inside = layer->body ? layer->body->parameters : 0;
    list_inside(layer->shortcut, prefix, layer->index, "shortcut", first + inside, take, context);
}

void rg_layer_tensors(const struct rg_layer *layer, rg_tensor_taker *take, void *context)
{
    list_tensors(layer, "", layer->first, take, context);
}
