/* Max-pooling over kernel x kernel windows, `stride` apart; rows and columns that fill no window
 * are left out. Of equal largest values the first (in row-major order) counts, so that a gradient
 * goes to one input; backward finds it again from x, which is cheaper than keeping it. */
#include "models/layers.h"

#include "base/check.h"
#include "models/clones.h"

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
RG_PART lanes largest(int kernel, int stride, const float *x, int pitch, marks *where)
{
    lanes best = every(x, stride);
    marks at = {0};
    for (int ky = 0; ky < kernel; ky++)
        for (int kx = 0; kx < kernel; kx++) {
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
static int largest_of_one(int kernel, const float *x, int pitch)
{
    int at = 0;
    for (int ky = 0; ky < kernel; ky++)
        for (int kx = 0; kx < kernel; kx++)
            at = x[ky * pitch + kx] > x[at] ? ky * pitch + kx : at;
    return at;
}

/* One row of n windows: y [n]. The last 4 may be some of those before once more. */
RG_PART void forward_row(int kernel, int stride, int n, const float *x, int pitch, float *y)
{
    marks where;
    for (int from = 0; from < n && n >= LANES; from += LANES) {
        int j = RG_MIN(from, n - LANES);
        *(unaligned_lanes *)(y + j) = largest(kernel, stride, x + j * stride, pitch, &where);
    }
    for (int j = 0; j < n && n < LANES; j++)
        y[j] = x[j * stride + largest_of_one(kernel, x + j * stride, pitch)];
}

/* One row of windows of 2 x 2 that fill two rows of dx: each gets dy at its largest, else 0 (and 0
 * for -0, as if it were added). */
RG_PART void backward_pairs(int n, const float *x, int pitch, const float *dy, float *dx)
{
    marks where;
    for (int from = 0; from < n; from += LANES) {
        int j = RG_MIN(from, n - LANES);
        largest(2, 2, x + 2 * j, pitch, &where);
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
RG_PART void backward_row(int kernel, int stride, int n, const float *x, int pitch, const float *dy,
                          float *dx)
{
    marks where;
    for (int from = 0; from < n && n >= LANES; from += LANES) {
        int j = RG_MIN(from, n - LANES), at[LANES];
        largest(kernel, stride, x + j * stride, pitch, &where);
        memcpy(at, &where, sizeof at);
        for (int k = from; k < j + LANES; k++)
            dx[k * stride + at[k - j]] += dy[k];
    }
    for (int j = 0; j < n && n < LANES; j++)
        dx[j * stride + largest_of_one(kernel, x + j * stride, pitch)] += dy[j];
}

RG_PART void forward_by(int kernel, int stride, const struct rg_layer *layer,
                        const struct rg_pass_args *args)
{
    struct rg_shape in = layer->in, out = layer->out;
    size_t plane = (size_t)in.height * (size_t)in.width;
    const float *x = args->x, *end = x + (size_t)args->batch * layer->inputs;
    float *y = args->y;
    for (; x < end; x += plane)
        for (int i = 0; i < out.height; i++, y += out.width)
            forward_row(kernel, stride, out.width, x + i * stride * in.width, in.width, y);
}

RG_PART void backward_by(int kernel, int stride, bool pairs, const struct rg_layer *layer,
                         const struct rg_pass_args *args)
{
    struct rg_shape in = layer->in, out = layer->out;
    size_t plane = (size_t)in.height * (size_t)in.width;
    const float *x = args->x, *end = x + (size_t)args->batch * layer->inputs, *dy = args->dy;
    float *dx = args->dx;
    for (; x < end; x += plane, dx += plane)
        for (int i = 0; i < out.height; i++, dy += out.width) {
            int at = i * stride * in.width;
            if (pairs)
                backward_pairs(out.width, x + at, in.width, dy, dx + at);
            else
                backward_row(kernel, stride, out.width, x + at, in.width, dy, dx + at);
        }
}

RG_CLONES
static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    int kernel = layer->spec.kernel, stride = layer->spec.stride;
    if (kernel == 2 && stride == 2)
        forward_by(2, 2, layer, args);
    else if (kernel == 3 && stride == 2)
        forward_by(3, 2, layer, args);
    else
        forward_by(kernel, stride, layer, args);
}

RG_CLONES
static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    int kernel = layer->spec.kernel, stride = layer->spec.stride;
    bool pairs = kernel == 2 && stride == 2 && layer->out.width >= LANES;
    if (!args->dx)
        return;
    if (!pairs || layer->in.width % 2 || layer->in.height % 2)
        memset(args->dx, 0, (size_t)args->batch * layer->inputs * sizeof *args->dx);
    if (pairs)
        backward_by(2, 2, true, layer, args);
    else if (kernel == 3 && stride == 2)
        backward_by(3, 2, false, layer, args);
    else
        backward_by(kernel, stride, false, layer, args);
}

static void init(const struct rg_layer *layer, float *w, struct rg_random *random)
{
    (void)layer, (void)w, (void)random; /* no parameters */
}

/* Operations on every value that a window meets: 1 brings it beside those of the next windows, 1
 * compares, 3 (and, and not, or) select; backward 3 select its place too, 3 compare that, mask the
 * gradient and bring it back among its neighbours. */
static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    double inputs = (double)batch * (double)layer->inputs;
    double outputs = (double)batch * (double)layer->outputs;
    double met = outputs * layer->spec.kernel * layer->spec.kernel;
    if (pass == RG_FORWARD)
        rg_work_vector(work, 5 * met, sizeof(float) * (inputs + outputs));
    else if (pass == RG_BACKWARD)
        rg_work_vector(work, 11 * met + outputs, sizeof(float) * (2 * inputs + outputs));
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
    .example = "kernel=\"2\"",
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
};
