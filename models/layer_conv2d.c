/* Convolution: im2col, then a product (Chellapilla, Puri and Simard 2006), one sample at a time, so
 * that the columns stay in cache. Parameters W [outputs x channels*kernel*kernel], b [outputs].
 * Per sample: cols [K x P], K = channels*kernel*kernel, P = out.height*out.width; y = W cols + b.
 */
#include "models/layers.h"

#include "base/check.h"
#include "models/clones.h"
#include <cblas.h>
#include <stddef.h>
#include <string.h>

struct sizes {
    int outputs, taps, pixels; /* K and P of the head comment are taps and pixels */
};

static struct sizes sizes_of(const struct rg_layer *layer)
{
    int kernel = layer->spec.kernel;
    return (struct sizes){.outputs = layer->out.channels,
                          .taps = layer->in.channels * kernel * kernel,
                          .pixels = layer->out.height * layer->out.width};
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    struct rg_shape in = layer->in;
    if (spec->stride == 0)
        spec->stride = 1;
    if (spec->outputs < 1 || spec->outputs > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID, "outputs=\"%d\" of a conv2d layer: 1 to %d are allowed",
                       spec->outputs, RG_MAX_WIDTH);
    if (spec->padding < 0 || spec->padding > 1024)
        return rg_fail(e, RG_ERR_INVALID, "padding=\"%d\" of a conv2d layer: 0 to 1024 are allowed",
                       spec->padding);
    int height = in.height + 2 * spec->padding, width = in.width + 2 * spec->padding;
    int most = height < width ? height : width;
    if (spec->kernel < 1 || spec->kernel > most)
        return rg_fail(e, RG_ERR_INVALID,
                       "kernel=\"%d\" of a conv2d layer: 1 to %d are allowed on an input of "
                       "%dx%dx%d with padding %d",
                       spec->kernel, most, in.channels, in.height, in.width, spec->padding);
    if (spec->stride < 1 || spec->stride > most)
        return rg_fail(e, RG_ERR_INVALID, "stride=\"%d\" of a conv2d layer: 1 to %d are allowed",
                       spec->stride, most);
    rg_layer_defaults(spec, RG_ACT_RELU);
    layer->out = (struct rg_shape){spec->outputs, (height - spec->kernel) / spec->stride + 1,
                                   (width - spec->kernel) / spec->stride + 1};
    size_t taps = (size_t)in.channels * (size_t)spec->kernel * (size_t)spec->kernel;
    size_t pixels = (size_t)layer->out.height * (size_t)layer->out.width;
    if (taps > RG_MAX_WIDTH || pixels > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID,
                       "a conv2d layer of %zu inputs a pixel and %zu pixels: "
                       "up to %d of each are allowed",
                       taps, pixels, RG_MAX_WIDTH);
    layer->parameters = (taps + 1) * (size_t)spec->outputs;
    layer->scratch = taps * pixels; /* cols, and their gradient in the same place */
    return 0;
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    struct sizes s = sizes_of(layer);
    size_t area = (size_t)layer->spec.kernel * (size_t)layer->spec.kernel;
    size_t weights = (size_t)s.outputs * (size_t)s.taps;
    rg_init_weights(layer->spec.init, (size_t)s.taps, (size_t)s.outputs * area, random, weights, w);
    rg_init_weights(RG_INIT_ZERO, 1, 1, random, (size_t)s.outputs, w + weights);
}

/* What weight number `tap` of a channel's kernel sees of that channel: output (i, j) meets value
 * at + (i * pitch + j) * stride of the image where i is in [top, bottom) and j in [left, right),
 * and the zeros round it elsewhere. */
struct view {
    ptrdiff_t at, pitch;
    int top, bottom, left, right;
};

/* The outputs [*from, *to) of `outputs` whose input i * stride + shift is one of `inputs`. */
static void inside(int outputs, int inputs, int stride, int shift, int *from, int *to)
{
    int begin = RG_MAX(-shift, 0), end = RG_MAX(inputs - shift, 0);
    if (stride > 1) { /* a division takes as long as moving a row */
        begin = (begin + stride - 1) / stride;
        end = (end + stride - 1) / stride;
    }
    *to = RG_MIN(end, outputs);
    *from = RG_MIN(begin, *to);
}

static struct view view_of(const struct rg_layer *layer, int tap)
{
    const struct rg_layer_spec *spec = &layer->spec;
    struct rg_shape in = layer->in, out = layer->out;
    int kernel = spec->kernel, row = tap / kernel, channel = row / kernel;
    int down = row % kernel - spec->padding, across = tap % kernel - spec->padding;
    struct view view = {.at = ((ptrdiff_t)channel * in.height + down) * in.width + across,
                        .pitch = in.width};
    inside(out.height, in.height, spec->stride, down, &view.top, &view.bottom);
    inside(out.width, in.width, spec->stride, across, &view.left, &view.right);
    return view;
}

/* Zero what lies outside of a view in its columns [height x width]. */
static void clear_round(const struct view *v, int height, int width, float *cols)
{
    size_t row = (size_t)width * sizeof *cols;
    if (v->left >= v->right || v->top >= v->bottom) {
        memset(cols, 0, (size_t)height * row);
        return;
    }
    memset(cols, 0, (size_t)v->top * row);
    memset(cols + v->bottom * width, 0, (size_t)(height - v->bottom) * row);
    for (int j = 0; j < v->left; j++)
        for (int i = v->top; i < v->bottom; i++)
            cols[i * width + j] = 0;
    for (int j = v->right; j < width; j++)
        for (int i = v->top; i < v->bottom; i++)
            cols[i * width + j] = 0;
}

/* Where output rows are as long as those of the image and the stride is 1, a view's rows follow one
 * another in both without a gap: they can be moved as one, and what that brings from beyond their
 * ends, into zeros round the image, is put right. Returns the rows; *met of each. */
static int rows_of(const struct rg_layer *layer, const struct view *v, int *met)
{
    int rows = v->bottom - v->top;
    *met = v->right - v->left;
    if (rows <= 0 || *met <= 0)
        return 0;
    if (layer->spec.stride > 1 || layer->out.width != layer->in.width)
        return rows;
    *met += (rows - 1) * layer->out.width;
    return 1;
}

/* cols [taps x pixels] of image x [channels x height x width]. */
static void image_to_columns(const struct rg_layer *layer, const float *x, float *cols)
{
    struct sizes s = sizes_of(layer);
    int stride = layer->spec.stride, width = layer->out.width, met;
    for (int tap = 0; tap < s.taps; tap++, cols += s.pixels) {
        struct view v = view_of(layer, tap);
        int rows = rows_of(layer, &v, &met);
        for (int i = v.top; i < v.top + rows; i++) {
            float *to = cols + i * width + v.left;
            const float *from = x + v.at + (i * v.pitch + v.left) * stride;
            if (stride == 1)
                memcpy(to, from, (size_t)met * sizeof *to);
            else
                for (int j = 0; j < met; j++)
                    to[j] = from[(ptrdiff_t)j * stride];
        }
        clear_round(&v, layer->out.height, width, cols);
    }
}

/* x += cols, `rows` of n each. */
RG_CLONES
static void add_rows(int rows, int n, const float *restrict cols, ptrdiff_t width,
                     float *restrict x, ptrdiff_t pitch, ptrdiff_t stride)
{
    for (int i = 0; i < rows; i++, cols += width, x += pitch) {
        if (stride == 1)
            for (int j = 0; j < n; j++)
                x[j] += cols[j];
        else
            for (int j = 0; j < n; j++)
                x[j * stride] += cols[j];
    }
}

/* The reverse: x [channels x height x width] += what the columns hold of it; what they hold of the
 * zeros round it is lost. */
static void columns_to_image(const struct rg_layer *layer, float *cols, float *x)
{
    struct sizes s = sizes_of(layer);
    int stride = layer->spec.stride, width = layer->out.width, met;
    for (int tap = 0; tap < s.taps; tap++, cols += s.pixels) {
        struct view v = view_of(layer, tap);
        int rows = rows_of(layer, &v, &met);
        if (rows == 0)
            continue;
        if (rows == 1)
            clear_round(&v, layer->out.height, width, cols);
        add_rows(rows, met, cols + v.top * width + v.left, width,
                 x + v.at + (v.top * v.pitch + v.left) * stride, v.pitch * stride, stride);
    }
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    const float *bias = args->w + (size_t)s.outputs * (size_t)s.taps;
    for (int b = 0; b < args->batch; b++) {
        float *y = args->y + (size_t)b * layer->outputs;
        image_to_columns(layer, args->x + (size_t)b * layer->inputs, args->scratch);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, s.outputs, s.pixels, s.taps, 1,
                    args->w, s.taps, args->scratch, s.pixels, 0, y, s.pixels);
        rg_channel_bias_activate(layer->spec.activation, s.outputs, (size_t)s.pixels, bias, y);
    }
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    float *db = args->dw + (size_t)s.outputs * (size_t)s.taps, *cols = args->scratch;
    bool input = args->half != RG_HALF_WEIGHTS, weights = args->half != RG_HALF_INPUT;
    if (args->dx && input)
        memset(args->dx, 0, (size_t)args->batch * layer->inputs * sizeof *args->dx);
    for (int b = 0; b < args->batch; b++) {
        const float *x = args->x + (size_t)b * layer->inputs;
        const float *y = args->y + (size_t)b * layer->outputs;
        float *dy = args->dy + (size_t)b * layer->outputs;
        bool add = args->accumulate || b > 0;
        if (input)
            rg_channel_bias_backward(layer->spec.activation, s.outputs, (size_t)s.pixels, y, dy,
                                     add, db);
        if (weights) {
            image_to_columns(layer, x, cols);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, s.outputs, s.taps, s.pixels, 1, dy,
                        s.pixels, cols, s.pixels, add, args->dw, s.taps);
        }
        if (!args->dx || !input)
            continue;
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, s.taps, s.pixels, s.outputs, 1,
                    args->w, s.taps, dy, s.pixels, 0, cols, s.pixels);
        columns_to_image(layer, cols, args->dx + (size_t)b * layer->inputs);
    }
}

/* Sample by sample, as the passes go. Every tap reads what it sees of the image, and to add to an
 * image is to read and write it. */
static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    struct sizes s = sizes_of(layer);
    double samples = batch, bytes = sizeof(float);
    double cols = (double)s.taps * s.pixels, outputs = (double)s.outputs * s.pixels;
    if (pass == RG_FORWARD) {
        rg_work_vector(work, 0, bytes * 2 * cols);
        rg_work_calls(work, samples);
        rg_work_gemm(work, s.outputs, s.pixels, s.taps, samples);
        rg_bias_activate_work(layer->spec.activation, outputs, work);
        rg_work_calls(work, samples);
        return;
    }
    if (rg_pass_has_input(pass))
        rg_work_vector(work, 0, bytes * samples * (double)layer->inputs);
    if (pass != RG_BACKWARD_WEIGHTS) {
        rg_bias_backward_work(layer->spec.activation, outputs, work);
        rg_work_calls(work, samples);
    }
    if (rg_pass_has_weights(pass)) {
        rg_work_vector(work, 0, bytes * 2 * cols);
        rg_work_calls(work, samples);
        rg_work_gemm(work, s.outputs, s.taps, s.pixels, samples);
    }
    if (rg_pass_has_input(pass)) {
        rg_work_gemm(work, s.taps, s.pixels, s.outputs, samples);
        rg_work_vector(work, cols, bytes * 3 * cols);
        rg_work_calls(work, samples);
    }
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    int outputs = layer->out.channels, kernel = layer->spec.kernel;
    rg_tensor_set(&out[0], layer, "weight", 0,
                  (int[4]){outputs, layer->in.channels, kernel, kernel});
    rg_tensor_set(&out[1], layer, "bias", out[0].count, (int[4]){outputs});
    return 2;
}

const struct rg_layer_ops rg_layer_conv2d = {
    .name = "conv2d",
    .summary = "convolution with square kernels, zeros round the image",
    .attributes = "outputs kernel stride padding activation init",
    .example = "outputs=\"3\" kernel=\"3\" padding=\"1\" activation=\"tanh\"",
    .splits = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
