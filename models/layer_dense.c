/* Dense: y = act(x W^T + b). Parameters W [outputs x inputs], b [outputs]. */
#include "models/layers.h"

#include "base/check.h"

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    int outputs = layer->spec.outputs;
    if (outputs < 1 || outputs > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID, "outputs=\"%d\" of a dense layer: 1 to %d are allowed",
                       outputs, RG_MAX_WIDTH);
    rg_layer_defaults(&layer->spec, RG_ACT_IDENTITY);
    layer->out = (struct rg_shape){outputs, 1, 1};
    layer->parameters = (layer->inputs + 1) * (size_t)outputs;
    return 0;
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    size_t weights = layer->inputs * layer->outputs;
    rg_init_weights(layer->spec.init, layer->inputs, layer->outputs, random, weights, w);
    rg_init_weights(RG_INIT_ZERO, 1, 1, random, layer->outputs, w + weights);
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    const float *bias = args->w + layer->inputs * layer->outputs;
    rg_affine_forward(args->batch, (int)layer->outputs, (int)layer->inputs, args->w, args->x, 0,
                      args->y);
    rg_bias_activate(layer->spec.activation, args->batch, layer->outputs, bias, args->y);
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    int outputs = (int)layer->outputs, inputs = (int)layer->inputs;
    float *db = args->dw + layer->inputs * layer->outputs;
    if (args->half != RG_HALF_WEIGHTS) {
        rg_bias_backward(layer->spec.activation, args->batch, layer->outputs, args->y, args->dy,
                         args->accumulate, db);
        if (args->dx)
            rg_affine_input(args->batch, outputs, inputs, args->w, args->dy, false, args->dx);
    }
    if (args->half != RG_HALF_INPUT)
        rg_affine_learn(args, 0, outputs, inputs, args->dy, args->x);
}

static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    int outputs = (int)layer->outputs, inputs = (int)layer->inputs;
    double elements = (double)batch * outputs;
    if (pass == RG_FORWARD) {
        rg_affine_forward_work(batch, outputs, inputs, work);
        rg_bias_activate_work(layer->spec.activation, elements, work);
        return;
    }
    if (pass != RG_BACKWARD_WEIGHTS)
        rg_bias_backward_work(layer->spec.activation, elements, work);
    if (rg_pass_has_weights(pass))
        rg_affine_weight_work(batch, outputs, inputs, work);
    if (rg_pass_has_input(pass))
        rg_affine_input_work(batch, outputs, inputs, work);
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    int outputs = (int)layer->outputs, inputs = (int)layer->inputs;
    rg_tensor_set(&out[0], layer, "weight", 0, (int[4]){outputs, inputs});
    rg_tensor_set(&out[1], layer, "bias", out[0].count, (int[4]){outputs});
    return 2;
}

const struct rg_layer_ops rg_layer_dense = {
    .name = "dense",
    .summary = "y = act(W x + b), every output from every input",
    .attributes = "outputs activation init",
    .example = "outputs=\"5\" activation=\"tanh\"",
    .fuses_update = true,
    .splits = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
