/* What several layer kinds share. */
#include "models/layers.h"

#include "base/random.h"

#include <math.h>
#include <stdio.h>

void rg_layer_defaults(struct rg_layer_spec *spec, enum rg_activation activation)
{
    if (spec->activation == RG_ACT_DEFAULT)
        spec->activation = activation;
    if (spec->init == RG_INIT_DEFAULT)
        spec->init = spec->activation == RG_ACT_RELU ? RG_INIT_HE : RG_INIT_XAVIER;
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
