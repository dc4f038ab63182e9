/* A residual connection round any chain: y = act(body(x) + x), or act(body(x) + shortcut(x)) where
 * the shapes differ (He et al. 2016). Both chains are networks inside of the layer, run as stages;
 * the parameters are the body's, then the shortcut's. The stash holds the body's, the shortcut's,
 * and what the activation keeps. */
#include "models/layers.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/sizes.h"
#include "models/stage.h"

#include <string.h>

static struct rg_stage all_of(const struct rg_network *network)
{
    return (struct rg_stage){network, 0, network->layer_count};
}

/* Floats for a batch of `each` a sample, up to the next boundary. */
static uint64_t values(int batch, size_t each)
{
    const uint64_t unit = RG_MEM_ALIGN / sizeof(float);
    uint64_t floats = rg_size_times((uint64_t)batch, each);
    return rg_size_plus(floats, unit - 1) / unit * unit;
}

static uint64_t sum_of(const struct rg_layer *layer, int batch,
                       uint64_t (*size)(const struct rg_stage *stage, int batch))
{
    struct rg_stage body = all_of(layer->body);
    uint64_t sum = size(&body, batch);
    if (layer->shortcut) {
        struct rg_stage shortcut = all_of(layer->shortcut);
        sum = rg_size_plus(sum, size(&shortcut, batch));
    }
    return sum;
}

/* Between the halves of backward: those of the chains; dy once more, where a shortcut wants it.
 * Scratch: dy once more, the gradient that comes back through the shortcut, then the chains' own.
 */
static uint64_t room(const struct rg_layer *layer, int batch, enum rg_room room)
{
    if (room == RG_ROOM_STASH)
        return rg_size_plus(
            sum_of(layer, batch, rg_stage_stash),
            values(batch, rg_activation_stash(layer->spec.activation, layer->outputs)));
    if (room == RG_ROOM_BETWEEN)
        return rg_size_plus(sum_of(layer, batch, rg_stage_halves),
                            layer->shortcut ? values(batch, layer->outputs) : 0);
    struct rg_stage body = all_of(layer->body);
    uint64_t most = rg_stage_scratch(&body, batch), sum = values(batch, layer->outputs);
    if (layer->shortcut) {
        struct rg_stage shortcut = all_of(layer->shortcut);
        most = RG_MAX(most, rg_stage_scratch(&shortcut, batch));
        sum = rg_size_plus(sum, values(batch, layer->inputs));
    }
    return rg_size_plus(sum, most);
}

static struct rg_shape end_of(const struct rg_network *network)
{
    return network->layers[network->layer_count - 1].out;
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    RG_ASSERT(layer->body);
    struct rg_shape out = end_of(layer->body), in = layer->in;
    struct rg_shape other = layer->shortcut ? end_of(layer->shortcut) : in;
    if (out.channels != other.channels || out.height != other.height || out.width != other.width)
        return rg_fail(e, RG_ERR_INVALID,
                       "what a <residual> contains makes %dx%dx%d of %dx%dx%d, its %s %dx%dx%d: "
                       "only equal shapes can be added%s",
                       out.channels, out.height, out.width, in.channels, in.height, in.width,
                       layer->shortcut ? "<shortcut>" : "input is", other.channels, other.height,
                       other.width,
                       layer->shortcut ? "" : "; a <shortcut> with layers can change the other");
    rg_layer_defaults(&layer->spec, RG_ACT_IDENTITY);
    layer->out = out;
    layer->parameters = layer->body->parameters;
    layer->parameters += layer->shortcut ? layer->shortcut->parameters : 0;
    return 0;
}

static void init_chain(const struct rg_network *network, float *w, struct rg_random *random)
{
    for (int i = 0; network && i < network->layer_count; i++) {
        const struct rg_layer *layer = &network->layers[i];
        layer->spec.ops->init(layer, w + layer->first, random);
    }
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    init_chain(layer->body, w, random);
    init_chain(layer->shortcut, w + layer->body->parameters, random);
}

/* Where the shortcut's part of the stash begins, and what the activation keeps. */
static float *shortcut_stash(const struct rg_layer *layer, int batch, float *stash)
{
    struct rg_stage body = all_of(layer->body);
    return stash + rg_stage_stash(&body, batch);
}

static float *kept(const struct rg_layer *layer, int batch, float *stash)
{
    return stash + sum_of(layer, batch, rg_stage_stash);
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct rg_stage body = all_of(layer->body);
    enum rg_activation activation = layer->spec.activation;
    const float *skip = args->x;
    struct rg_pass_args within = *args;
    within.y = NULL;
    rg_stage_forward(&body, &within);
    if (layer->shortcut) {
        struct rg_stage shortcut = all_of(layer->shortcut);
        struct rg_pass_args beside = within;
        beside.w += layer->body->parameters;
        beside.stash = shortcut_stash(layer, args->batch, args->stash);
        rg_stage_forward(&shortcut, &beside);
        skip = rg_stage_output(&shortcut, args->batch, beside.stash);
    }
    rg_bias_add(1, (size_t)args->batch * layer->outputs,
                rg_stage_output(&body, args->batch, args->stash), skip, args->y);
    if (activation != RG_ACT_IDENTITY)
        rg_bias_activate(activation, args->batch, layer->outputs, NULL, args->y,
                         kept(layer, args->batch, args->stash));
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    int batch = args->batch;
    struct rg_stage body = all_of(layer->body);
    enum rg_activation activation = layer->spec.activation;
    size_t outputs = (size_t)batch * layer->outputs, inputs = (size_t)batch * layer->inputs;
    bool input = args->half != RG_HALF_WEIGHTS, halves = args->half != RG_WHOLE;
    struct rg_pass_args inner = *args, beside = *args;
    float *dy = args->scratch, *back = args->scratch + values(batch, layer->outputs);
    inner.scratch = beside.scratch = layer->shortcut ? back + values(batch, layer->inputs) : back;
    if (halves && layer->shortcut) {
        dy = args->between;
        inner.between = dy + values(batch, layer->outputs);
        beside.between = inner.between + rg_stage_halves(&body, batch);
    }
    if (input && activation != RG_ACT_IDENTITY)
        rg_bias_backward(activation, batch, layer->outputs, args->y,
                         kept(layer, batch, args->stash), args->dy, false, NULL);
    if (input && (layer->shortcut || args->dx)) /* the body destroys it */
        memcpy(dy, args->dy, outputs * sizeof *dy);
    if (input || layer->body->parameters > 0)
        rg_stage_backward(&body, &inner);
    if (layer->shortcut && (input || layer->shortcut->parameters > 0)) {
        struct rg_stage shortcut = all_of(layer->shortcut);
        size_t at = layer->body->parameters;
        beside.w += at;
        beside.newest += args->newest ? at : 0;
        beside.dw += at;
        beside.update = args->update ? args->update + at : NULL;
        beside.stash = shortcut_stash(layer, batch, args->stash);
        beside.dy = dy;
        beside.dx = args->dx && input ? back : NULL;
        rg_stage_backward(&shortcut, &beside);
    }
    if (args->dx && input)
        rg_bias_add(1, inputs, args->dx, layer->shortcut ? back : dy, args->dx);
}

static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    struct rg_stage body = all_of(layer->body);
    double elements = (double)batch * (double)layer->outputs;
    enum rg_activation activation = layer->spec.activation;
    if (pass != RG_FORWARD && pass != RG_BACKWARD_WEIGHTS) {
        if (activation != RG_ACT_IDENTITY)
            rg_bias_backward_work(activation, elements, work);
        if (layer->shortcut || rg_pass_has_input(pass)) /* dy once more */
            rg_work_vector(work, 0, 2 * sizeof(float) * elements);
    }
    rg_stage_work(&body, batch, pass, work);
    if (layer->shortcut) {
        struct rg_stage shortcut = all_of(layer->shortcut);
        rg_stage_work(&shortcut, batch, pass, work);
    }
    if (pass == RG_FORWARD || rg_pass_has_input(pass)) {
        double added = pass == RG_FORWARD ? elements : (double)batch * (double)layer->inputs;
        rg_work_vector(work, added, 3 * sizeof(float) * added);
    }
    if (pass == RG_FORWARD && activation != RG_ACT_IDENTITY)
        rg_bias_activate_work(activation, elements, work);
}

const struct rg_layer_ops rg_layer_block = {
    .name = "residual",
    .summary = "with layers inside: y = act(what they make of x + x), or + what the layers of a "
               "<shortcut> inside make of x",
    .attributes = "activation",
    .examples =
        (const char *const[]){
            "<residual><conv2d outputs=\"2\" kernel=\"3\" padding=\"1\"/></residual>",
            "<residual activation=\"gelu\">"
            "<conv2d outputs=\"3\" kernel=\"3\" stride=\"2\" padding=\"1\" activation=\"tanh\"/>"
            "<conv2d outputs=\"3\" kernel=\"1\" bias=\"no\" activation=\"identity\"/>"
            "<shortcut><conv2d outputs=\"3\" kernel=\"1\" stride=\"2\" activation=\"identity\"/>"
            "</shortcut></residual>",
            "<residual activation=\"tanh\"><residual activation=\"sigmoid\">"
            "<conv2d outputs=\"2\" kernel=\"1\" activation=\"silu\"/></residual>"
            "<shortcut><avgpool kernel=\"1\"/></shortcut></residual>",
            NULL},
    .contains = true,
    .fuses_update = true,
    .splits = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = rg_tensors_none,
    .room = room,
};
