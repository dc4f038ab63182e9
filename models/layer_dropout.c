/* Dropout (Srivastava et al. 2014): in training each value is dropped with probability `rate`, the
 * others grow by 1 / (1 - rate). What is dropped follows from the run's seed, the iteration, the
 * sample's place in its batch, the layer and the value: the same however samples and layers are
 * split, and drawn again by backward. */
#include "models/layers.h"

#include "base/check.h"
#include "base/random.h"

#include <string.h>

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    double rate = layer->spec.rate;
    if (!(rate >= 0 && rate < 1))
        return rg_fail(e, RG_ERR_INVALID, "rate=\"%g\" of a dropout layer: 0 to below 1 is allowed",
                       rate);
    layer->out = layer->in;
    return 0;
}

/* to = from, dropped or grown: of one sample. */
static void drop(const struct rg_layer *layer, uint64_t key, const float *from, float *to)
{
    uint64_t least = (uint64_t)(layer->spec.rate * 0x1p53); /* of 53 bits drawn, that stay */
    float grown = (float)(1 / (1 - layer->spec.rate));
    for (size_t i = 0; i < layer->inputs; i++)
        to[i] = rg_mix64(key + i) >> 11 >= least ? from[i] * grown : 0;
}

static void drop_all(const struct rg_layer *layer, const struct rg_pass_args *args,
                     const float *from, float *to)
{
    uint64_t key = rg_hash(args->seed, RG_STREAM_DROPOUT, layer->id, (uint64_t)args->iteration);
    for (int b = 0; b < args->batch; b++) {
        uint64_t sample = (uint64_t)args->first + (uint64_t)b;
        size_t at = (size_t)b * layer->inputs;
        drop(layer, rg_mix64(key ^ rg_mix64(sample)), from + at, to + at);
    }
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    if (args->evaluate)
        memcpy(args->y, args->x, (size_t)args->batch * layer->inputs * sizeof *args->y);
    else
        drop_all(layer, args, args->x, args->y);
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    if (args->dx)
        drop_all(layer, args, args->dy, args->dx);
}

/* Mixing is 8 operations on 64 bits, of which vectors hold half as many as of floats. */
static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    double values = (double)batch * (double)layer->inputs;
    if (pass == RG_FORWARD || pass == RG_BACKWARD)
        rg_work_vector(work, 18 * values, 2 * sizeof(float) * values);
}

const struct rg_layer_ops rg_layer_dropout = {
    .name = "dropout",
    .summary = "in training, drops each value with probability `rate`",
    .attributes = "rate",
    .needed = "rate",
    .examples = (const char *const[]){"<dropout rate=\"0.25\"/>", NULL},
    .infer = infer,
    .init = rg_init_none,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = rg_tensors_none,
};
