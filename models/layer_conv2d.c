/* Convolution: im2col, then a product (Chellapilla, Puri and Simard 2006), one sample at a time, so
 * that the columns stay in cache. Parameters W [outputs x channels/groups*height*width of the
 * kernel], b [outputs] unless there is none. Per sample: cols [channels*height*width x P], P =
 * out.height*out.width; each group of outputs is y = W cols + b of its own channels' columns
 * (depthwise where groups = channels: Howard et al. 2017).
 */
#include "models/layers.h"

#include "base/check.h"
#include "models/clones.h"
#include <cblas.h>
#include <stddef.h>
#include <string.h>

struct sizes {
    int groups, outputs, taps, pixels; /* outputs and taps of a group: the sizes of its product */
};

static struct sizes sizes_of(const struct rg_layer *layer)
{
    const struct rg_layer_spec *spec = &layer->spec;
    int groups = spec->groups;
    return (struct sizes){.groups = groups,
                          .outputs = layer->out.channels / groups,
                          .taps = layer->in.channels / groups * spec->kernel.height *
                                  spec->kernel.width,
                          .pixels = layer->out.height * layer->out.width};
}

static size_t weights_of(const struct rg_layer *layer)
{
    struct sizes s = sizes_of(layer);
    return (size_t)layer->out.channels * (size_t)s.taps;
}

/* The columns are the image itself. */
static bool is_plain(const struct rg_layer *layer)
{
    const struct rg_layer_spec *spec = &layer->spec;
    return layer->outputs / (size_t)layer->out.channels ==
               layer->inputs / (size_t)layer->in.channels &&
           spec->kernel.height == 1 && spec->kernel.width == 1 && spec->stride.height == 1 &&
           spec->stride.width == 1;
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    struct rg_shape in = layer->in;
    if (spec->groups == 0)
        spec->groups = 1;
    if (spec->outputs < 1 || spec->outputs > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID, "outputs=\"%d\" of a conv2d layer: 1 to %d are allowed",
                       spec->outputs, RG_MAX_WIDTH);
    if (spec->groups < 1 || in.channels % spec->groups || spec->outputs % spec->groups)
        return rg_fail(e, RG_ERR_INVALID,
                       "groups=\"%d\" of a conv2d layer: it must divide the %d channels of the "
                       "input and the %d outputs",
                       spec->groups, in.channels, spec->outputs);
    int err = rg_window_infer(layer, (struct rg_extent){0}, (struct rg_extent){1, 1}, e);
    if (err)
        return err;
    rg_layer_defaults(spec, RG_ACT_RELU);
    layer->out.channels = spec->outputs;
    size_t area = (size_t)spec->kernel.height * (size_t)spec->kernel.width;
    size_t taps = (size_t)in.channels * area;
    size_t pixels = (size_t)layer->out.height * (size_t)layer->out.width;
    if (taps > RG_MAX_WIDTH || pixels > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID,
                       "a conv2d layer of %zu inputs a pixel and %zu pixels: "
                       "up to %d of each are allowed",
                       taps, pixels, RG_MAX_WIDTH);
    layer->parameters = (taps / (size_t)spec->groups + !spec->no_bias) * (size_t)spec->outputs;
    layer->stash = rg_activation_stash(spec->activation, (size_t)spec->outputs * pixels);
    layer->scratch = taps * pixels; /* cols, and their gradient in the same place */
    return 0;
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    struct sizes s = sizes_of(layer);
    size_t area = (size_t)layer->spec.kernel.height * (size_t)layer->spec.kernel.width;
    size_t weights = weights_of(layer);
    rg_init_weights(layer->spec.init, (size_t)s.taps, (size_t)s.outputs * area, random, weights, w);
    rg_init_weights(RG_INIT_ZERO, 1, 1, random, layer->parameters - weights, w + weights);
}

/* What weight number `tap` of a channel's kernel sees of that channel: output (i, j) meets value
 * at + i * down + j * across of the image where i is in [top, bottom) and j in [left, right), and
 * the zeros round it elsewhere. */
struct view {
    ptrdiff_t at, down, across;
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
    int row = tap / spec->kernel.width, channel = row / spec->kernel.height;
    int down = row % spec->kernel.height - spec->padding.height;
    int across = tap % spec->kernel.width - spec->padding.width;
    struct view view = {.at = ((ptrdiff_t)channel * in.height + down) * in.width + across,
                        .down = (ptrdiff_t)in.width * spec->stride.height,
                        .across = spec->stride.width};
    inside(out.height, in.height, spec->stride.height, down, &view.top, &view.bottom);
    inside(out.width, in.width, spec->stride.width, across, &view.left, &view.right);
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

/* Where output rows are as long as those of the image and no value is left out, a view's rows
 * follow one another in both without a gap: they can be moved as one, and what that brings from
 * beyond their ends, into zeros round the image, is put right. Returns the rows; *met of each. */
static int rows_of(const struct rg_layer *layer, const struct view *v, int *met)
{
    int rows = v->bottom - v->top;
    *met = v->right - v->left;
    if (rows <= 0 || *met <= 0)
        return 0;
    if (v->across > 1 || v->down != layer->out.width)
        return rows;
    *met += (rows - 1) * layer->out.width;
    return 1;
}

/* Columns of all taps of image x [channels x height x width]. */
static void image_to_columns(const struct rg_layer *layer, const float *x, float *cols)
{
    struct sizes s = sizes_of(layer);
    int width = layer->out.width, met;
    for (int tap = 0; tap < s.groups * s.taps; tap++, cols += s.pixels) {
        struct view v = view_of(layer, tap);
        int rows = rows_of(layer, &v, &met);
        for (int i = v.top; i < v.top + rows; i++) {
            float *to = cols + i * width + v.left;
            const float *from = x + v.at + i * v.down + v.left * v.across;
            if (v.across == 1)
                memcpy(to, from, (size_t)met * sizeof *to);
            else
                for (int j = 0; j < met; j++)
                    to[j] = from[(ptrdiff_t)j * v.across];
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
    int width = layer->out.width, met;
    for (int tap = 0; tap < s.groups * s.taps; tap++, cols += s.pixels) {
        struct view v = view_of(layer, tap);
        int rows = rows_of(layer, &v, &met);
        if (rows == 0)
            continue;
        if (rows == 1)
            clear_round(&v, layer->out.height, width, cols);
        add_rows(rows, met, cols + v.top * width + v.left, width,
                 x + v.at + v.top * v.down + v.left * v.across, v.down, v.across);
    }
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    size_t kept = layer->stash, weights = (size_t)s.outputs * (size_t)s.taps;
    const float *bias = layer->spec.no_bias ? NULL : args->w + weights_of(layer);
    for (int b = 0; b < args->batch; b++) {
        float *y = args->y + (size_t)b * layer->outputs;
        const float *cols = args->x + (size_t)b * layer->inputs;
        if (!is_plain(layer)) {
            image_to_columns(layer, cols, args->scratch);
            cols = args->scratch;
        }
        for (int g = 0; g < s.groups; g++)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, s.outputs, s.pixels, s.taps, 1,
                        args->w + (size_t)g * weights, s.taps,
                        cols + (size_t)g * (size_t)s.taps * (size_t)s.pixels, s.pixels, 0,
                        y + (size_t)g * (size_t)s.outputs * (size_t)s.pixels, s.pixels);
        rg_channel_bias_activate(layer->spec.activation, layer->out.channels, (size_t)s.pixels,
                                 bias, y, args->stash + (size_t)b * kept);
    }
}

/* One sample's gradient of the weights: dW = dy cols^T, group by group. */
static void learn(const struct rg_layer *layer, const float *dy, const float *cols, bool add,
                  float *dw)
{
    struct sizes s = sizes_of(layer);
    for (int g = 0; g < s.groups; g++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, s.outputs, s.taps, s.pixels, 1,
                    dy + (size_t)g * (size_t)s.outputs * (size_t)s.pixels, s.pixels,
                    cols + (size_t)g * (size_t)s.taps * (size_t)s.pixels, s.pixels, add,
                    dw + (size_t)g * (size_t)s.outputs * (size_t)s.taps, s.taps);
}

/* One sample's gradient of the input: cols = W^T dy, back to where the image had them. */
static void pass_back(const struct rg_layer *layer, const float *w, const float *dy, float *scratch,
                      float *dx)
{
    struct sizes s = sizes_of(layer);
    float *cols = is_plain(layer) ? dx : scratch;
    for (int g = 0; g < s.groups; g++)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, s.taps, s.pixels, s.outputs, 1,
                    w + (size_t)g * (size_t)s.outputs * (size_t)s.taps, s.taps,
                    dy + (size_t)g * (size_t)s.outputs * (size_t)s.pixels, s.pixels, 0,
                    cols + (size_t)g * (size_t)s.taps * (size_t)s.pixels, s.pixels);
    if (is_plain(layer))
        return;
    memset(dx, 0, layer->inputs * sizeof *dx);
    columns_to_image(layer, cols, dx);
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    float *db = layer->spec.no_bias ? NULL : args->dw + weights_of(layer);
    bool input = args->half != RG_HALF_WEIGHTS, weights = args->half != RG_HALF_INPUT;
    for (int b = 0; b < args->batch; b++) {
        const float *cols = args->x + (size_t)b * layer->inputs;
        const float *y = args->y + (size_t)b * layer->outputs;
        float *dy = args->dy + (size_t)b * layer->outputs;
        bool add = args->accumulate || b > 0;
        if (input)
            rg_channel_bias_backward(layer->spec.activation, layer->out.channels, (size_t)s.pixels,
                                     y, args->stash + (size_t)b * layer->stash, dy, add, db);
        if (weights && !is_plain(layer)) {
            image_to_columns(layer, cols, args->scratch);
            cols = args->scratch;
        }
        if (weights)
            learn(layer, dy, cols, add, args->dw);
        if (args->dx && input)
            pass_back(layer, args->w, dy, args->scratch, args->dx + (size_t)b * layer->inputs);
    }
}

/* Of moving columns, once for each of `samples`. */
static void move_work(double flops, double bytes, double samples, struct rg_work *work)
{
    if (samples == 0)
        return;
    rg_work_vector(work, flops, bytes);
    rg_work_calls(work, samples);
}

/* Sample by sample, as the passes go. Every tap reads what it sees of the image, and to add to an
 * image is to read and write it. */
static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    struct sizes s = sizes_of(layer);
    double samples = batch, products = samples * s.groups, bytes = sizeof(float);
    double cols = (double)s.groups * s.taps * s.pixels, outputs = (double)layer->outputs;
    double moves = is_plain(layer) ? 0 : samples;
    enum rg_activation activation = layer->spec.activation;
    bool bends = !layer->spec.no_bias || activation != RG_ACT_IDENTITY;
    if (pass == RG_FORWARD) {
        move_work(0, bytes * 2 * cols, moves, work);
        rg_work_gemm(work, s.outputs, s.pixels, s.taps, products);
        if (bends) {
            rg_bias_activate_work(activation, outputs, work);
            rg_work_calls(work, samples);
        }
        return;
    }
    if (rg_pass_has_input(pass) && moves > 0)
        rg_work_vector(work, 0, bytes * samples * (double)layer->inputs);
    if (pass != RG_BACKWARD_WEIGHTS && bends) {
        rg_bias_backward_work(activation, outputs, work);
        rg_work_calls(work, samples);
    }
    if (rg_pass_has_weights(pass)) {
        move_work(0, bytes * 2 * cols, moves, work);
        rg_work_gemm(work, s.outputs, s.taps, s.pixels, products);
    }
    if (rg_pass_has_input(pass)) {
        rg_work_gemm(work, s.taps, s.pixels, s.outputs, products);
        move_work(cols, bytes * 3 * cols, moves, work);
    }
}

static int tensors(const struct rg_layer *layer, struct rg_tensor out[4])
{
    const struct rg_layer_spec *spec = &layer->spec;
    int outputs = layer->out.channels;
    rg_tensor_set(&out[0], layer, "weight", 0,
                  (int[4]){outputs, layer->in.channels / spec->groups, spec->kernel.height,
                           spec->kernel.width});
    rg_tensor_set(&out[1], layer, "bias", out[0].count, (int[4]){outputs});
    return spec->no_bias ? 1 : 2;
}

const struct rg_layer_ops rg_layer_conv2d = {
    .name = "conv2d",
    .summary = "convolution, zeros round the image",
    .attributes = "outputs kernel stride padding groups bias activation init",
    .needed = "outputs kernel",
    .examples =
        (const char *const[]){
            "<conv2d outputs=\"3\" kernel=\"3\" padding=\"1\" activation=\"tanh\"/>",
            "<conv2d outputs=\"4\" kernel=\"3x1\" stride=\"1x2\" padding=\"2x0\" groups=\"2\" "
            "bias=\"no\" activation=\"silu\"/>",
            "<conv2d outputs=\"2\" kernel=\"1\" activation=\"relu6\"/>",
            "<conv2d outputs=\"2\" kernel=\"3\" padding=\"1\" groups=\"2\" "
            "activation=\"identity\"/>",
            NULL},
    .splits = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
