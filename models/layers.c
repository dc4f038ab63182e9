/* The table of layer kinds. */
#include "models/network.h"

#include <string.h>

#define RG_LAYER(name) extern const struct rg_layer_ops rg_layer_##name;
#include "models/layers.def"
#undef RG_LAYER

const struct rg_layer_ops *const rg_layer_kinds[] = {
#define RG_LAYER(name) &rg_layer_##name,
#include "models/layers.def"
#undef RG_LAYER
    NULL};

const struct rg_layer_ops *rg_layer_kind(const char *name)
{
    for (const struct rg_layer_ops *const *kind = rg_layer_kinds; *kind; kind++)
        if (strcmp((*kind)->name, name) == 0)
            return *kind;
    return NULL;
}

bool rg_layer_splits(const struct rg_layer *layer)
{
    return layer->parameters == 0 || layer->spec.ops->splits;
}
