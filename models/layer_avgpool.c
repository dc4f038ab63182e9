/* Average-pooling: the mean of each window, in which zeros round the image count; without a kernel
 * the mean of the whole image (Lin, Chen and Yan 2014). */
#include "models/layers.h"

#include "base/check.h"
#include "base/clones.h"

#include <string.h>

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_extent image = {layer->in.height, layer->in.width}, kernel = layer->spec.kernel;
    if (kernel.height == 0)
        kernel = image;
    int err = rg_window_infer(layer, kernel, kernel, e);
    layer->out.channels = layer->in.channels;
    return err;
}

/* Where window `i` of a direction begins and ends on the image. */
static void span(int i, int stride, int padding, int kernel, int size, int *from, int *to)
{
    int at = i * stride - padding;
    *from = RG_MAX(at, 0);
    *to = RG_MIN(at + kernel, size);
}

enum { LANES = 16 };

/* Of n values in a row, whatever the width of the processor's vectors. */
RG_CLONES
static float sum_of(int n, const float *x)
{
    float lanes[LANES] = {0}, sum = 0;
    int from = 0;
    for (; from + LANES <= n; from += LANES)
        for (int i = 0; i < LANES; i++)
            lanes[i] += x[from + i];
    for (int i = 0; from + i < n; i++)
        lanes[i] += x[from + i];
    for (int i = 0; i < LANES; i++)
        sum += lanes[i];
    return sum;
}

/* Values of the window's rows one after the other in the image: they are one row. */
static bool is_whole(const struct rg_layer *layer)
{
    return layer->spec.kernel.height == layer->in.height &&
           layer->spec.kernel.width == layer->in.width && layer->spec.padding.height == 0 &&
           layer->spec.padding.width == 0;
}

static float share_of(const struct rg_layer *layer)
{
    return 1 / ((float)layer->spec.kernel.height * (float)layer->spec.kernel.width);
}

static void forward_plane(const struct rg_layer *layer, const float *x, float *y)
{
    const struct rg_layer_spec *spec = &layer->spec;
    struct rg_shape in = layer->in, out = layer->out;
    float share = share_of(layer);
    int top, bottom, left, right;
    for (int i = 0; i < out.height; i++) {
        span(i, spec->stride.height, spec->padding.height, spec->kernel.height, in.height, &top,
             &bottom);
        for (int j = 0; j < out.width; j++) {
            float sum = 0;
            span(j, spec->stride.width, spec->padding.width, spec->kernel.width, in.width, &left,
                 &right);
            for (int row = top; row < bottom; row++)
                for (int at = left; at < right; at++)
                    sum += x[row * in.width + at];
            *y++ = sum * share;
        }
    }
}

static void backward_plane(const struct rg_layer *layer, const float *dy, float *dx)
{
    const struct rg_layer_spec *spec = &layer->spec;
    struct rg_shape in = layer->in, out = layer->out;
    float share = share_of(layer);
    int top, bottom, left, right;
    memset(dx, 0, (size_t)in.height * (size_t)in.width * sizeof *dx);
    for (int i = 0; i < out.height; i++) {
        span(i, spec->stride.height, spec->padding.height, spec->kernel.height, in.height, &top,
             &bottom);
        for (int j = 0; j < out.width; j++) {
            float d = *dy++ * share;
            span(j, spec->stride.width, spec->padding.width, spec->kernel.width, in.width, &left,
                 &right);
            for (int row = top; row < bottom; row++)
                for (int at = left; at < right; at++)
                    dx[row * in.width + at] += d;
        }
    }
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t plane = (size_t)layer->in.height * (size_t)layer->in.width;
    size_t windows = (size_t)layer->out.height * (size_t)layer->out.width;
    size_t planes = (size_t)args->batch * (size_t)layer->in.channels;
    for (size_t p = 0; p < planes; p++) {
        const float *x = args->x + p * plane;
        float *y = args->y + p * windows;
        if (is_whole(layer))
            *y = sum_of((int)plane, x) * share_of(layer);
        else
            forward_plane(layer, x, y);
    }
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    size_t plane = (size_t)layer->in.height * (size_t)layer->in.width;
    size_t windows = (size_t)layer->out.height * (size_t)layer->out.width;
    size_t planes = (size_t)args->batch * (size_t)layer->in.channels;
    for (size_t p = 0; p < planes && args->dx; p++)
        backward_plane(layer, args->dy + p * windows, args->dx + p * plane);
}

static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    double inputs = (double)batch * (double)layer->inputs;
    double outputs = (double)batch * (double)layer->outputs;
    double met = outputs * layer->spec.kernel.height * layer->spec.kernel.width;
    if (pass == RG_FORWARD)
        rg_work_vector(work, met + outputs, sizeof(float) * (inputs + outputs));
    else if (pass == RG_BACKWARD)
        rg_work_vector(work, met + outputs, sizeof(float) * (2 * inputs + outputs));
}

const struct rg_layer_ops rg_layer_avgpool = {
    .name = "avgpool",
    .summary = "mean of each window; without a kernel, of the whole image",
    .attributes = "kernel stride padding",
    .examples = (const char *const[]){"<avgpool kernel=\"3x2\" stride=\"2\" padding=\"1x0\"/>",
                                      "<avgpool/>", NULL},
    .infer = infer,
    .init = rg_init_none,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = rg_tensors_none,
};
