/* Embedding: token t of a sample, a whole number below `vocabulary`, becomes row t of a table, plus
 * row i of a second one for its place i (learnt positions: Gehring et al. 2017; Devlin et al.
 * 2019), unless there are none. Parameters tokens [vocabulary x outputs], positions [tokens of a
 * sample x outputs]. Tokens come as floats; they are inputs of the network, so nothing goes back.
 */
#include "models/layers.h"

#include "base/check.h"

#include <string.h>

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    int most = RG_MIN(RG_MAX_WIDTH, 1 << 24); /* whole numbers that floats hold */
    if (spec->outputs < 1 || spec->outputs > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID,
                       "outputs=\"%d\" of an embedding layer: 1 to %d are allowed", spec->outputs,
                       RG_MAX_WIDTH);
    if (spec->vocabulary < 1 || spec->vocabulary > most)
        return rg_fail(e, RG_ERR_INVALID,
                       "vocabulary=\"%d\" of an embedding layer: 1 to %d are allowed",
                       spec->vocabulary, most);
    if (!layer->starts)
        return rg_fail(
            e, RG_ERR_INVALID,
            "an embedding layer can only be the first, inside of no other: its inputs are the "
            "network's, tokens");
    if (layer->inputs * (size_t)spec->outputs > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID,
                       "an embedding layer of %zu tokens and %d values each: up to %d in all are "
                       "allowed",
                       layer->inputs, spec->outputs, RG_MAX_WIDTH);
    layer->out = (struct rg_shape){(int)layer->inputs, spec->outputs, 1};
    layer->parameters = ((size_t)spec->vocabulary + (spec->no_positions ? 0 : layer->inputs)) *
                        (size_t)spec->outputs;
    return 0;
}

/* Normal with a deviation of 0.02 (Radford et al. 2018): variance 2 / fan_in of He. */
static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    rg_init_weights(RG_INIT_HE, 5000, 1, random, layer->parameters, w);
}

/* The row of a token; what is none of the vocabulary is its nearest. */
static size_t row_of(const struct rg_layer *layer, float token)
{
    float last = (float)(layer->spec.vocabulary - 1);
    return (size_t)(token > 0 ? RG_MIN(token, last) : 0);
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t width = (size_t)layer->spec.outputs, tokens = layer->inputs;
    const float *places = args->w + (size_t)layer->spec.vocabulary * width;
    for (size_t t = 0; t < (size_t)args->batch * tokens; t++) {
        const float *row = args->w + row_of(layer, args->x[t]) * width;
        float *y = args->y + t * width;
        if (layer->spec.no_positions)
            memcpy(y, row, width * sizeof *y);
        else
            rg_bias_add(1, width, row, places + t % tokens * width, y);
    }
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t width = (size_t)layer->spec.outputs, tokens = layer->inputs;
    float *places = args->dw + (size_t)layer->spec.vocabulary * width;
    if (args->dx && args->half != RG_HALF_WEIGHTS)
        memset(args->dx, 0, (size_t)args->batch * tokens * sizeof *args->dx);
    if (args->half == RG_HALF_INPUT)
        return;
    if (!args->accumulate)
        memset(args->dw, 0, layer->parameters * sizeof *args->dw);
    for (size_t t = 0; t < (size_t)args->batch * tokens; t++) {
        const float *dy = args->dy + t * width;
        float *row = args->dw + row_of(layer, args->x[t]) * width;
        rg_bias_add(1, width, row, dy, row);
        row = places + t % tokens * width;
        if (!layer->spec.no_positions)
            rg_bias_add(1, width, row, dy, row);
    }
}

static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    double values = (double)batch * (double)layer->outputs,
           tables = layer->spec.no_positions ? 1 : 2;
    if (pass == RG_FORWARD)
        rg_work_vector(work, (tables - 1) * values, (tables + 1) * sizeof(float) * values);
    if (!rg_pass_has_weights(pass))
        return;
    rg_work_vector(work, 0, sizeof(float) * (double)layer->parameters); /* zeros */
    rg_work_vector(work, tables * values, 3 * tables * sizeof(float) * values);
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    int width = layer->spec.outputs;
    rg_tensor_set(&out[0], layer, "weight", 0, (int[4]){layer->spec.vocabulary, width});
    rg_tensor_set(&out[1], layer, "positions", out[0].count, (int[4]){(int)layer->inputs, width});
    return layer->spec.no_positions ? 1 : 2;
}

const struct rg_layer_ops rg_layer_embedding = {
    .name = "embedding",
    .summary = "a row of values for each token of the input, and for its place",
    .attributes = "outputs vocabulary positions",
    .needed = "outputs vocabulary",
    .examples = (const char *const[]){"<embedding outputs=\"3\" vocabulary=\"4\"/>",
                                      "<embedding outputs=\"2\" vocabulary=\"3\" "
                                      "positions=\"no\"/>",
                                      NULL},
    .splits = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
