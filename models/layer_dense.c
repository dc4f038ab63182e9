/* Dense: y = act(x W^T + b). Parameters W [outputs x inputs], b [outputs] unless there is none;
 * over tokens the same ones serve each of a sample's tokens, as if they were samples. */
#include "models/layers.h"

#include "base/check.h"

struct sizes {
    int rows, outputs, inputs; /* rows: of a sample */
    size_t weights;
};

static struct sizes sizes_of(const struct rg_layer *layer)
{
    int rows = layer->spec.over_tokens ? layer->in.channels : 1, outputs = layer->spec.outputs;
    size_t inputs = layer->inputs / (size_t)rows;
    return (struct sizes){rows, outputs, (int)inputs, inputs * (size_t)outputs};
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    int outputs = layer->spec.outputs;
    if (outputs < 1 || outputs > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID, "outputs=\"%d\" of a dense layer: 1 to %d are allowed",
                       outputs, RG_MAX_WIDTH);
    rg_layer_defaults(&layer->spec, RG_ACT_IDENTITY);
    struct sizes s = sizes_of(layer);
    layer->out = layer->spec.over_tokens ? (struct rg_shape){s.rows, outputs, 1}
                                         : (struct rg_shape){outputs, 1, 1};
    size_t values = (size_t)s.rows * (size_t)outputs;
    layer->parameters = s.weights + (layer->spec.no_bias ? 0 : (size_t)outputs);
    layer->stash = rg_activation_stash(layer->spec.activation, values);
    layer->scratch = s.rows > 1 ? (size_t)outputs : 0;
    return 0;
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    struct sizes s = sizes_of(layer);
    rg_init_weights(layer->spec.init, (size_t)s.inputs, (size_t)s.outputs, random, s.weights, w);
    rg_init_weights(RG_INIT_ZERO, 1, 1, random, layer->parameters - s.weights, w + s.weights);
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    const float *bias = layer->spec.no_bias ? NULL : args->w + s.weights;
    int rows = rg_token_rows(args->batch, s.rows);
    rg_affine_forward(rows, s.outputs, s.inputs, args->w, args->x, false, args->y);
    rg_bias_activate(layer->spec.activation, rows, (size_t)s.outputs, bias, args->y, args->stash);
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    int rows = rg_token_rows(args->batch, s.rows);
    float *db = layer->spec.no_bias ? NULL : args->dw + s.weights;
    if (args->half != RG_HALF_WEIGHTS) {
        if (db && s.rows > 1)
            rg_token_bias_backward(layer->spec.activation, args->batch, s.rows, (size_t)s.outputs,
                                   args->y, args->stash, args->dy, args->accumulate, db,
                                   args->scratch);
        else
            rg_bias_backward(layer->spec.activation, rows, (size_t)s.outputs, args->y, args->stash,
                             args->dy, args->accumulate, db);
        if (args->dx)
            rg_affine_input(rows, s.outputs, s.inputs, args->w, args->dy, false, args->dx);
    }
    if (args->half != RG_HALF_INPUT)
        rg_affine_learn(args, 0, rows, s.outputs, s.inputs, db, args->dy, args->x);
}

static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    struct sizes s = sizes_of(layer);
    int rows = rg_token_rows(batch, s.rows);
    double elements = (double)rows * s.outputs;
    enum rg_activation activation = layer->spec.activation;
    bool bends = !layer->spec.no_bias || activation != RG_ACT_IDENTITY;
    if (pass == RG_FORWARD) {
        rg_affine_forward_work(rows, s.outputs, s.inputs, work);
        if (bends)
            rg_bias_activate_work(activation, elements, work);
        return;
    }
    if (pass != RG_BACKWARD_WEIGHTS && bends)
        rg_bias_backward_work(activation, elements, work);
    if (rg_pass_has_weights(pass))
        rg_affine_weight_work(rows, s.outputs, s.inputs, work);
    if (rg_pass_has_input(pass))
        rg_affine_input_work(rows, s.outputs, s.inputs, work);
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    struct sizes s = sizes_of(layer);
    rg_tensor_set(&out[0], layer, "weight", 0, (int[4]){s.outputs, s.inputs});
    rg_tensor_set(&out[1], layer, "bias", out[0].count, (int[4]){s.outputs});
    return layer->spec.no_bias ? 1 : 2;
}

const struct rg_layer_ops rg_layer_dense = {
    .name = "dense",
    .summary = "y = act(W x + b), every output from every input",
    .attributes = "outputs over bias activation init",
    .needed = "outputs",
    .examples = (const char *const[]){"<dense outputs=\"5\" activation=\"tanh\"/>",
                                      "<dense outputs=\"4\" bias=\"no\" activation=\"gelu\"/>",
                                      "<dense outputs=\"3\" over=\"tokens\" activation=\"silu\"/>",
                                      "<dense outputs=\"3\" over=\"tokens\" bias=\"no\"/>", NULL},
    .fuses_update = true,
    .splits = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
