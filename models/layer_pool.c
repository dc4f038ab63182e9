/* Max-pooling over kernel x kernel windows, `stride` apart; rows and columns that fill no window
 * are left out. Of equal largest values the first (in row-major order) counts, so that a gradient
 * goes to one input; backward finds it again from x, which is cheaper than keeping it. */
#include "models/layers.h"

#include <string.h>

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    struct rg_shape in = layer->in;
    int most = in.height < in.width ? in.height : in.width;
    if (spec->kernel < 1 || spec->kernel > most)
        return rg_fail(e, RG_ERR_INVALID,
                       "kernel=\"%d\" of a maxpool layer: 1 to %d are allowed on an input of "
                       "%dx%dx%d",
                       spec->kernel, most, in.channels, in.height, in.width);
    if (spec->stride == 0)
        spec->stride = spec->kernel;
    if (spec->stride < 1 || spec->stride > most)
        return rg_fail(e, RG_ERR_INVALID, "stride=\"%d\" of a maxpool layer: 1 to %d are allowed",
                       spec->stride, most);
    layer->out = (struct rg_shape){in.channels, (in.height - spec->kernel) / spec->stride + 1,
                                   (in.width - spec->kernel) / spec->stride + 1};
    return 0;
}

/* Index of the first largest value of the window whose corner is `window`, rows `pitch` apart. */
static size_t first_largest(const float *window, int kernel, int pitch)
{
    size_t best = 0;
    for (int ky = 0; ky < kernel; ky++)
        for (int kx = 0; kx < kernel; kx++) {
            size_t i = (size_t)ky * (size_t)pitch + (size_t)kx;
            if (window[i] > window[best])
                best = i;
        }
    return best;
}

static size_t corner(const struct rg_layer *layer, int plane, int i, int j)
{
    size_t row = (size_t)plane * (size_t)layer->in.height + (size_t)(i * layer->spec.stride);
    return row * (size_t)layer->in.width + (size_t)(j * layer->spec.stride);
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct rg_shape out = layer->out;
    float *y = args->y;
    for (int plane = 0; plane < args->batch * out.channels; plane++)
        for (int i = 0; i < out.height; i++)
            for (int j = 0; j < out.width; j++) {
                const float *window = args->x + corner(layer, plane, i, j);
                *y++ = window[first_largest(window, layer->spec.kernel, layer->in.width)];
            }
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct rg_shape out = layer->out;
    const float *dy = args->dy;
    if (!args->dx)
        return;
    memset(args->dx, 0, (size_t)args->batch * layer->inputs * sizeof *args->dx);
    for (int plane = 0; plane < args->batch * out.channels; plane++)
        for (int i = 0; i < out.height; i++)
            for (int j = 0; j < out.width; j++) {
                size_t at = corner(layer, plane, i, j);
                at += first_largest(args->x + at, layer->spec.kernel, layer->in.width);
                args->dx[at] += *dy++;
            }
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    (void)layer, (void)w, (void)random; /* no parameters */
}

static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    double inputs = (double)batch * (double)layer->inputs;
    double outputs = (double)batch * (double)layer->outputs;
    double compared = outputs * layer->spec.kernel * layer->spec.kernel;
    if (pass == RG_FORWARD)
        rg_work_vector(work, compared, sizeof(float) * (inputs + outputs));
    else if (pass == RG_BACKWARD)
        rg_work_vector(work, compared + outputs, sizeof(float) * (2 * inputs + 2 * outputs));
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    (void)layer, (void)out;
    return 0;
}

const struct rg_layer_ops rg_layer_maxpool = {
    .name = "maxpool",
    .summary = "largest value of each square window",
    .attributes = "kernel stride",
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
