/* Max-pooling: the largest value of each window; what is round the image counts in none. Of equal
 * largest values the first (in row-major order) counts, so that a gradient goes to one input;
 * backward finds it again from x, which is cheaper than keeping it. */
#include "models/layers.h"

#include "base/check.h"
#include "base/clones.h"

#include <math.h>
#include <string.h>

static bool is_padded(const struct rg_layer *layer)
{
    return layer->spec.padding.height > 0 || layer->spec.padding.width > 0;
}

/* The image as the windows see it. */
static struct rg_shape seen(const struct rg_layer *layer)
{
    struct rg_extent padding = layer->spec.padding;
    return (struct rg_shape){layer->in.channels, layer->in.height + 2 * padding.height,
                             layer->in.width + 2 * padding.width};
}

static int infer(struct rg_layer *layer, struct rg_error *e)
{
    struct rg_layer_spec *spec = &layer->spec;
    int err = rg_window_infer(layer, (struct rg_extent){0}, spec->kernel, e);
    if (err)
        return err;
    if (spec->padding.height >= spec->kernel.height || spec->padding.width >= spec->kernel.width)
        return rg_fail(e, RG_ERR_INVALID,
                       "padding=\"%dx%d\" of a maxpool layer: less than its kernel of %dx%d is "
                       "allowed, or there would be windows without a value",
                       spec->padding.height, spec->padding.width, spec->kernel.height,
                       spec->kernel.width);
    layer->out.channels = layer->in.channels;
    struct rg_shape image = seen(layer);
    if ((double)image.channels * image.height * image.width > RG_MAX_WIDTH)
        return rg_fail(e, RG_ERR_INVALID,
                       "a maxpool layer on an input of %dx%dx%d with what is round it: up to %d "
                       "values are allowed",
                       image.channels, image.height, image.width, RG_MAX_WIDTH);
    if (is_padded(layer)) /* an image and its gradient */
        layer->scratch = 2 * (size_t)image.channels * (size_t)image.height * (size_t)image.width;
    return 0;
}

/* Windows side by side are done 4 at a time. Selections, since no branch here could be foreseen. */
enum { LANES = 4 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t marks
    __attribute__((vector_size(LANES * sizeof(int32_t)))); /* 0 or -1, or counts */
typedef float unaligned_lanes
    __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* marked: a where a mark is set, else b. */
RG_PART marks marked(marks mark, marks a, marks b)
{
    return (mark & a) | (~mark & b);
}

/* x[0], x[stride], x[2 stride] and x[3 stride]; nothing beyond that is read. */
RG_PART lanes every(const float *x, int stride)
{
    if (stride == 1)
        return *(const unaligned_lanes *)x;
    if (stride == 2)
        return __builtin_shuffle(*(const unaligned_lanes *)x, *(const unaligned_lanes *)(x + 3),
                                 (marks){0, 2, 5, 7});
    return (lanes){x[0], x[stride], x[2 * stride], x[3 * stride]};
}

/* The largest values of 4 windows, the first with its corner at x, rows `pitch` apart; where they
 * are, counted from the corner of each, to *where. */
RG_PART lanes largest(int high, int wide, int stride, const float *x, int pitch, marks *where)
{
    lanes best = every(x, stride);
    marks at = {0};
    for (int ky = 0; ky < high; ky++)
        for (int kx = 0; kx < wide; kx++) {
            int here = ky * pitch + kx;
            lanes value = every(x + here, stride);
            marks more = value > best;
            at = marked(more, (marks){here, here, here, here}, at);
            best = (lanes)marked(more, (marks)value, (marks)best);
        }
    *where = at;
    return best;
}

/* Of one window, for rows of less than 4: where its largest value is. */
static int largest_of_one(int high, int wide, const float *x, int pitch)
{
    int at = 0;
    for (int ky = 0; ky < high; ky++)
        for (int kx = 0; kx < wide; kx++)
            at = x[ky * pitch + kx] > x[at] ? ky * pitch + kx : at;
    return at;
}

/* One row of n windows: y [n]. The last 4 may be some of those before once more. */
RG_PART void forward_row(int high, int wide, int stride, int n, const float *x, int pitch, float *y)
{
    marks where;
    for (int from = 0; from < n && n >= LANES; from += LANES) {
        int j = RG_MIN(from, n - LANES);
        *(unaligned_lanes *)(y + j) = largest(high, wide, stride, x + j * stride, pitch, &where);
    }
    for (int j = 0; j < n && n < LANES; j++)
        y[j] = x[j * stride + largest_of_one(high, wide, x + j * stride, pitch)];
}

/* One row of windows of 2 x 2 that fill two rows of dx: each gets dy at its largest, else 0 (and 0
 * for -0, as if it were added). */
RG_PART void backward_pairs(int n, const float *x, int pitch, const float *dy, float *dx)
{
    marks where;
    for (int from = 0; from < n; from += LANES) {
        int j = RG_MIN(from, n - LANES);
        largest(2, 2, 2, x + 2 * j, pitch, &where);
        marks d = (marks)(*(const unaligned_lanes *)(dy + j) + (lanes){0});
        for (int at = 0; at <= pitch; at += pitch) {
            marks left = d & (where == at), right = d & (where == at + 1);
            float *to = dx + at + 2 * j;
            *(unaligned_lanes *)to = (lanes)__builtin_shuffle(left, right, (marks){0, 4, 1, 5});
            *(unaligned_lanes *)(to + LANES) =
                (lanes)__builtin_shuffle(left, right, (marks){2, 6, 3, 7});
        }
    }
}

/* One row of windows of any kind, which may overlap and share their largest: dx += dy there. */
RG_PART void backward_row(int high, int wide, int stride, int n, const float *x, int pitch,
                          const float *dy, float *dx)
{
    marks where;
    for (int from = 0; from < n && n >= LANES; from += LANES) {
        int j = RG_MIN(from, n - LANES), at[LANES];
        largest(high, wide, stride, x + j * stride, pitch, &where);
        memcpy(at, &where, sizeof at);
        for (int k = from; k < j + LANES; k++)
            dx[k * stride + at[k - j]] += dy[k];
    }
    for (int j = 0; j < n && n < LANES; j++)
        dx[j * stride + largest_of_one(high, wide, x + j * stride, pitch)] += dy[j];
}

/* Windows of one sample, whose image (as they see it) is x: y, or dx += dy. */
RG_PART void forward_by(int high, int wide, int stride, const struct rg_layer *layer,
                        const float *x, float *y)
{
    struct rg_shape in = seen(layer), out = layer->out;
    int down = layer->spec.stride.height;
    for (int c = 0; c < in.channels; c++, x += (ptrdiff_t)in.height * in.width)
        for (int i = 0; i < out.height; i++, y += out.width)
            forward_row(high, wide, stride, out.width, x + i * down * in.width, in.width, y);
}

RG_PART void backward_by(int high, int wide, int stride, bool pairs, const struct rg_layer *layer,
                         const float *x, const float *dy, float *dx)
{
    struct rg_shape in = seen(layer), out = layer->out;
    ptrdiff_t plane = (ptrdiff_t)in.height * in.width;
    for (int c = 0; c < in.channels; c++, x += plane, dx += plane)
        for (int i = 0; i < out.height; i++, dy += out.width) {
            int at = i * layer->spec.stride.height * in.width;
            if (pairs)
                backward_pairs(out.width, x + at, in.width, dy, dx + at);
            else
                backward_row(high, wide, stride, out.width, x + at, in.width, dy, dx + at);
        }
}

static bool is_square(const struct rg_layer *layer, int kernel, int stride)
{
    const struct rg_layer_spec *spec = &layer->spec;
    return spec->kernel.height == kernel && spec->kernel.width == kernel &&
           spec->stride.height == stride && spec->stride.width == stride;
}

RG_CLONES
static void forward_sample(const struct rg_layer *layer, const float *x, float *y)
{
    struct rg_extent kernel = layer->spec.kernel;
    if (is_square(layer, 2, 2))
        forward_by(2, 2, 2, layer, x, y);
    else if (is_square(layer, 3, 2))
        forward_by(3, 3, 2, layer, x, y);
    else
        forward_by(kernel.height, kernel.width, layer->spec.stride.width, layer, x, y);
}

/* Pairs of rows and columns that fill the image: every value of dx is written once. */
static bool is_pairs(const struct rg_layer *layer)
{
    return is_square(layer, 2, 2) && layer->out.width >= LANES;
}

RG_CLONES
static void backward_sample(const struct rg_layer *layer, const float *x, const float *dy,
                            float *dx)
{
    struct rg_extent kernel = layer->spec.kernel;
    if (is_pairs(layer))
        backward_by(2, 2, 2, true, layer, x, dy, dx);
    else if (is_square(layer, 3, 2))
        backward_by(3, 3, 2, false, layer, x, dy, dx);
    else
        backward_by(kernel.height, kernel.width, layer->spec.stride.width, false, layer, x, dy, dx);
}

/* `to` is the image with what is round it, which is less than any value. */
static void pad(const struct rg_layer *layer, const float *x, float *to)
{
    struct rg_shape in = layer->in, image = seen(layer);
    struct rg_extent padding = layer->spec.padding;
    size_t values = (size_t)image.channels * (size_t)image.height * (size_t)image.width;
    for (size_t i = 0; i < values; i++)
        to[i] = -INFINITY;
    for (int row = 0; row < in.channels * in.height; row++, x += in.width) {
        int at = row / in.height * image.height + row % in.height + padding.height;
        memcpy(to + at * image.width + padding.width, x, (size_t)in.width * sizeof *to);
    }
}

/* The reverse, of a gradient. */
static void strip(const struct rg_layer *layer, const float *from, float *dx)
{
    struct rg_shape in = layer->in, image = seen(layer);
    struct rg_extent padding = layer->spec.padding;
    for (int row = 0; row < in.channels * in.height; row++, dx += in.width) {
        int at = row / in.height * image.height + row % in.height + padding.height;
        memcpy(dx, from + at * image.width + padding.width, (size_t)in.width * sizeof *dx);
    }
}

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    for (int b = 0; b < args->batch; b++) {
        const float *x = args->x + (size_t)b * layer->inputs;
        if (is_padded(layer)) {
            pad(layer, x, args->scratch);
            x = args->scratch;
        }
        forward_sample(layer, x, args->y + (size_t)b * layer->outputs);
    }
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct rg_shape image = seen(layer);
    size_t values = (size_t)image.channels * (size_t)image.height * (size_t)image.width;
    bool whole = is_pairs(layer) && image.width % 2 == 0 && image.height % 2 == 0;
    for (int b = 0; b < args->batch && args->dx; b++) {
        const float *x = args->x + (size_t)b * layer->inputs;
        float *dx = args->dx + (size_t)b * layer->inputs, *to = dx;
        if (is_padded(layer)) {
            pad(layer, x, args->scratch);
            x = args->scratch;
            to = args->scratch + values;
        }
        if (!whole)
            memset(to, 0, values * sizeof *to);
        backward_sample(layer, x, args->dy + (size_t)b * layer->outputs, to);
        if (is_padded(layer))
            strip(layer, to, dx);
    }
}

/* Operations on every value that a window meets: 1 brings it beside those of the next windows, 1
 * compares, 3 (and, and not, or) select; backward 3 select its place too, 3 compare that, mask the
 * gradient and bring it back among its neighbours. */
static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    double inputs = (double)batch * (double)layer->inputs;
    double outputs = (double)batch * (double)layer->outputs;
    double met = outputs * layer->spec.kernel.height * layer->spec.kernel.width;
    double padded = 2 * sizeof(float) * batch * (double)layer->scratch; /* written and read */
    if (pass == RG_FORWARD)
        rg_work_vector(work, 5 * met, sizeof(float) * (inputs + outputs) + padded / 2);
    else if (pass == RG_BACKWARD)
        rg_work_vector(work, 11 * met + outputs, sizeof(float) * (2 * inputs + outputs) + padded);
}

const struct rg_layer_ops rg_layer_maxpool = {
    .name = "maxpool",
    .summary = "largest value of each window",
    .attributes = "kernel stride padding",
    .needed = "kernel",
    .examples =
        (const char *const[]){"<maxpool kernel=\"2\"/>",
                              "<maxpool kernel=\"3x2\" stride=\"2x1\" padding=\"1\"/>", NULL},
    .infer = infer,
    .init = rg_init_none,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = rg_tensors_none,
};
