/* Residual dense block: y = x + W2 h + b2, h = act(W1 x + b1) (He et al. 2016, without norms).
 * Parameters W1 [hidden x width], b1 [hidden], W2 [width x hidden], b2 [width]; the stash is h,
 * then what its activation keeps.
 *
 * Initial weights after Fixup (Zhang, Dauphin and Ma 2019), so that plain SGD trains chains of 64
 * and more blocks without normalisation: W2 = 0, every block starts as the identity (as the last
 * scale of a block does in Goyal et al. 2017), and W1 is drawn L^(-1/2) as large as usual in a
 * network of L blocks, so that one step changes the output by as much whatever L. */
#include "models/layers.h"

#include "base/check.h"
#include <math.h>
#include <string.h>

struct parts {
    int width, hidden;
    size_t b1, w2, b2; /* offsets; W1 comes first */
};

static struct parts parts_of(const struct rg_layer *layer)
{
    size_t width = layer->inputs, hidden = (size_t)layer->spec.hidden;
    struct parts p = {.width = (int)width, .hidden = (int)hidden};
    p.b1 = width * hidden;
    p.w2 = p.b1 + hidden;
    p.b2 = p.w2 + width * hidden;
    return p;
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    if (spec->hidden < 0 || spec->hidden > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID,
                       "hidden=\"%d\" of a residual block: 1 to %d are allowed, or none for the "
                       "width of its input",
                       spec->hidden, RG_MAX_WIDTH);
    if (spec->init == RG_INIT_ZERO)
        return rg_fail(e, RG_ERR_INVALID,
                       "init=\"zero\" of a residual block: he and xavier are allowed (its second "
                       "matrix starts at zero already, and nothing would ever train)");
    if (spec->hidden == 0)
        spec->hidden = (int)layer->inputs;
    rg_layer_defaults(spec, RG_ACT_RELU);
    layer->out = layer->in;
    layer->stash = (size_t)spec->hidden;
    layer->stash += rg_activation_stash(spec->activation, layer->stash);
    layer->between = (size_t)spec->hidden; /* dh */
    layer->parameters = parts_of(layer).b2 + layer->inputs;
    return 0;
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    struct parts p = parts_of(layer);
    size_t width = layer->inputs, hidden = (size_t)p.hidden;
    rg_init_weights(layer->spec.init, width, hidden, random, p.b1, w);
    float scale = (float)sqrt(1.0 / layer->depth);
    for (size_t i = 0; i < p.b1; i++)
        w[i] *= scale;
    memset(w + p.b1, 0, (layer->parameters - p.b1) * sizeof *w);
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct parts p = parts_of(layer);
    size_t hidden = (size_t)p.hidden;
    float *h = args->stash, *z = h + (size_t)args->batch * hidden;
    rg_affine_forward(args->batch, p.hidden, p.width, args->w, args->x, false, h);
    rg_bias_activate(layer->spec.activation, args->batch, hidden, args->w + p.b1, h, z);
    rg_bias_add(args->batch, layer->outputs, args->x, args->w + p.b2, args->y);
    rg_affine_forward(args->batch, p.width, p.hidden, args->w + p.w2, h, true, args->y);
}

static void backward_input(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct parts p = parts_of(layer);
    int batch = args->batch;
    size_t hidden = (size_t)p.hidden;
    const float *h = args->stash, *z = h + (size_t)batch * hidden;
    float *dh = args->between, *dw = args->dw;

    rg_bias_backward(RG_ACT_IDENTITY, batch, layer->outputs, args->y, NULL, args->dy,
                     args->accumulate, dw + p.b2);
    rg_affine_input(batch, p.width, p.hidden, args->w + p.w2, args->dy, false, dh);
    rg_bias_backward(layer->spec.activation, batch, hidden, h, z, dh, args->accumulate, dw + p.b1);
    if (args->dx) {
        memcpy(args->dx, args->dy, (size_t)batch * layer->inputs * sizeof *args->dx);
        rg_affine_input(batch, p.hidden, p.width, args->w, dh, true, args->dx);
    }
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct parts p = parts_of(layer);
    if (args->half != RG_HALF_WEIGHTS)
        backward_input(layer, args);
    if (args->half == RG_HALF_INPUT)
        return;
    rg_affine_learn(args, p.w2, args->batch, p.width, p.hidden, true, args->dy, args->stash);
    rg_affine_learn(args, 0, args->batch, p.hidden, p.width, true, args->between, args->x);
}

static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    struct parts p = parts_of(layer);
    enum rg_activation activation = layer->spec.activation;
    double wide = (double)batch * p.width, inner = (double)batch * p.hidden;
    if (pass == RG_FORWARD) {
        rg_affine_forward_work(batch, p.hidden, p.width, work);
        rg_bias_activate_work(activation, inner, work);
        rg_bias_add_work(wide, work);
        rg_affine_forward_work(batch, p.width, p.hidden, work);
        return;
    }
    bool weights = rg_pass_has_weights(pass), input = pass != RG_BACKWARD_WEIGHTS;
    if (input)
        rg_bias_backward_work(RG_ACT_IDENTITY, wide, work);
    if (weights)
        rg_affine_weight_work(batch, p.width, p.hidden, work);
    if (input) {
        rg_affine_input_work(batch, p.width, p.hidden, work);
        rg_bias_backward_work(activation, inner, work);
    }
    if (weights)
        rg_affine_weight_work(batch, p.hidden, p.width, work);
    if (rg_pass_has_input(pass)) {
        rg_work_vector(work, 0, 2 * sizeof(float) * wide);
        rg_affine_input_work(batch, p.hidden, p.width, work);
    }
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    struct parts p = parts_of(layer);
    rg_tensor_set(&out[0], layer, "weight1", 0, (int[4]){p.hidden, p.width});
    rg_tensor_set(&out[1], layer, "bias1", p.b1, (int[4]){p.hidden});
    rg_tensor_set(&out[2], layer, "weight2", p.w2, (int[4]){p.width, p.hidden});
    rg_tensor_set(&out[3], layer, "bias2", p.b2, (int[4]){p.width});
    return 4;
}

const struct rg_layer_ops rg_layer_residual = {
    .name = "residual",
    .summary = "y = x + W2 act(W1 x + b1) + b2, as wide as its input",
    .attributes = "hidden activation init",
    .examples = (const char *const[]){"<residual hidden=\"9\" activation=\"tanh\"/>",
                                      "<residual hidden=\"3\" activation=\"hardswish\"/>", NULL},
    .fuses_update = true,
    .splits = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
