/* Convolution by its definition: no columns are made, the kernels of correlate.h go over images
 * that lie as planes.h has them (Georganas et al. 2018 do the same with other layouts). Parameters
 * W [outputs x channels/groups*height*width of the kernel], b [outputs] unless there is none; each
 * group of outputs sees its own channels (depthwise where groups = channels: Howard et al. 2017).
 *
 * A sample's outputs and gradient of the input do not depend on what batch it is in. The gradient
 * of weights is summed group by group of samples, whose size the shape alone decides. */
#include "models/layers.h"

#include "base/check.h"
#include "base/sizes.h"
#include "models/planes.h"

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

/* Every output sees the one place of the image that is its own. */
static bool is_pointwise(const struct rg_layer *layer)
{
    const struct rg_layer_spec *spec = &layer->spec;
    return layer->out.height == layer->in.height && layer->out.width == layer->in.width &&
           spec->kernel.height == 1 && spec->kernel.width == 1 && spec->stride.height == 1 &&
           spec->stride.width == 1;
}

/* Images are their own planes, and nothing is moved. */
static bool is_plain(const struct rg_layer *layer)
{
    size_t image = (size_t)layer->in.height * (size_t)layer->in.width;
    return is_pointwise(layer) && image % RG_ROW_UNIT == 0;
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

/* Scratch while images are moved into planes; floats. */
struct room {
    ptrdiff_t *x_at, *w_at; /* [area of the kernel] */
    float *x;               /* runs of all channels */
    float *dy;              /* runs of all outputs, with zeros before and after them */
    float *tile;            /* rows of what one group of outputs, or channels, is computed to */
    size_t tile_row;
};

/* Is it better to compute over all samples of a run at once than to end vectors with each? */
static bool joins(const struct rg_planes *p)
{
    size_t span = rg_planes_span(p);
    return p->group > 1 && (span + RG_ROW_UNIT - 1) / RG_ROW_UNIT * RG_ROW_UNIT > p->plane;
}

static uint64_t table_floats(const struct rg_layer *layer)
{
    uint64_t area = (uint64_t)layer->spec.kernel.height * (uint64_t)layer->spec.kernel.width;
    return area * 2 * sizeof(ptrdiff_t) / sizeof(float);
}

static uint64_t tile_floats(const struct rg_layer *layer, const struct rg_planes *p, int channels)
{
    size_t row = rg_planes_run(p, joins(p) ? p->group : 1);
    return rg_size_times(row, (uint64_t)(channels / layer->spec.groups));
}

static uint64_t x_floats(const struct rg_layer *layer, const struct rg_planes *p, int samples)
{
    uint64_t runs = (uint64_t)layer->in.channels * (uint64_t)p->phases;
    return rg_size_plus(rg_size_times(rg_planes_run(p, samples), runs), rg_planes_after(p));
}

static uint64_t dy_floats(const struct rg_layer *layer, const struct rg_planes *p, int samples)
{
    uint64_t runs = (uint64_t)layer->out.channels, round = rg_planes_before(p) + RG_ROW_UNIT;
    return rg_size_plus(rg_size_times(rg_planes_run(p, samples), runs), round);
}

static uint64_t room(const struct rg_layer *layer, int batch, enum rg_room room)
{
    if (room == RG_ROOM_STASH)
        return rg_size_times((uint64_t)batch, layer->stash);
    if (room == RG_ROOM_BETWEEN || is_plain(layer))
        return 0;
    struct rg_planes p = rg_planes_of(layer, batch);
    /* forward needs no more: its tile is of outputs, as dy, of which it has one group's */
    uint64_t back =
        rg_size_plus(dy_floats(layer, &p, p.group), tile_floats(layer, &p, layer->in.channels));
    return rg_size_plus(rg_size_plus(table_floats(layer), x_floats(layer, &p, p.group)), back);
}

/* Of a group of `samples`, whose zeros are set; back: with room for dy. */
static struct room lay_out(const struct rg_layer *layer, const struct rg_planes *p, int samples,
                           bool back, float *scratch)
{
    size_t x = x_floats(layer, p, samples), dy = back ? dy_floats(layer, p, samples) : 0;
    struct room r = {.x_at = (ptrdiff_t *)scratch, .x = scratch + table_floats(layer)};
    r.w_at = r.x_at + layer->spec.kernel.height * layer->spec.kernel.width;
    r.dy = r.x + x;
    r.tile = r.dy + dy;
    r.tile_row = rg_planes_run(p, joins(p) ? samples : 1);
    memset(r.x, 0, (x + dy) * sizeof *r.x);
    return r;
}

/* The taps of outputs in terms of x's runs. */
static struct rg_taps taps_of(const struct rg_layer *layer, const struct rg_planes *p,
                              const struct room *r, int samples)
{
    struct sizes s = sizes_of(layer);
    struct rg_extent kernel = layer->spec.kernel, stride = layer->spec.stride;
    size_t run = rg_planes_run(p, samples);
    int area = kernel.height * kernel.width;
    for (int k = 0; k < area; k++) {
        int i = k / kernel.width, j = k % kernel.width;
        int phase = i % stride.height * p->across.phases + j % stride.width;
        r->x_at[k] = (ptrdiff_t)run * phase + (ptrdiff_t)(i / stride.height) * p->across.pitch +
                     j / stride.width;
        r->w_at[k] = k;
    }
    return (struct rg_taps){.channels = s.taps / area,
                            .places = area,
                            .outputs = s.outputs,
                            .x_channel = (ptrdiff_t)run * p->phases,
                            .w_channel = area,
                            .w_output = s.taps,
                            .x_at = r->x_at,
                            .w_at = r->w_at};
}

/* The taps of phase (a, b) of inputs in terms of dy's runs: each weight that has seen it. */
static struct rg_taps taps_back(const struct rg_layer *layer, const struct rg_planes *p,
                                const struct room *r, int samples, int a, int b)
{
    struct sizes s = sizes_of(layer);
    struct rg_extent kernel = layer->spec.kernel, stride = layer->spec.stride;
    int area = kernel.height * kernel.width, places = 0;
    for (int i = a; i < kernel.height; i += stride.height)
        for (int j = b; j < kernel.width; j += stride.width, places++) {
            r->x_at[places] = -(ptrdiff_t)(i / stride.height) * p->across.pitch - j / stride.width;
            r->w_at[places] = i * kernel.width + j;
        }
    return (struct rg_taps){.channels = s.outputs,
                            .places = places,
                            .outputs = s.taps / area,
                            .x_channel = (ptrdiff_t)rg_planes_run(p, samples),
                            .w_channel = s.taps,
                            .w_output = area,
                            .x_at = r->x_at,
                            .w_at = r->w_at};
}

/* The tile = what `taps` make of the `span` places from `from` on of one sample's plane, or of
 * several, one after the other. */
static void fill_tile(const struct rg_planes *p, const struct room *r, const struct rg_taps *taps,
                      const float *w, const float *from, int samples, size_t span)
{
    size_t n = (size_t)(samples - 1) * p->plane + span;
    n = (n + RG_ROW_UNIT - 1) / RG_ROW_UNIT * RG_ROW_UNIT;
    rg_correlate(taps, w, from, n, r->tile, (ptrdiff_t)r->tile_row);
}

/* Rows of one output of one sample, `pitch` apart in the tile. */
static void take_rows(int rows, int n, const float *from, ptrdiff_t pitch, float *to,
                      ptrdiff_t down, int across)
{
    for (int i = 0; i < rows; i++, from += pitch, to += down)
        if (across == 1)
            memcpy(to, from, (size_t)n * sizeof *to);
        else
            for (int j = 0; j < n; j++)
                to[(ptrdiff_t)j * across] = from[j];
}

/* y of `samples` by x's runs, group by group of channels. */
static void forward_planes(const struct rg_layer *layer, const struct rg_planes *p,
                           const struct room *r, int samples, const float *w, float *y)
{
    struct sizes s = sizes_of(layer);
    struct rg_taps taps = taps_of(layer, p, r, samples);
    size_t weights = (size_t)s.outputs * (size_t)s.taps, pixels = (size_t)s.pixels;
    size_t group = (size_t)taps.channels * (size_t)taps.x_channel;
    int together = joins(p) ? samples : 1;
    for (int g = 0; g < s.groups; g++)
        for (int b = 0; b < samples; b += together) {
            fill_tile(p, r, &taps, w + (size_t)g * weights,
                      r->x + (size_t)g * group + (size_t)b * p->plane, together, rg_planes_span(p));
            for (int o = 0; o < s.outputs; o++)
                for (int i = 0; i < together; i++)
                    take_rows(
                        layer->out.height, layer->out.width,
                        r->tile + (size_t)o * r->tile_row + (size_t)i * p->plane, p->across.pitch,
                        y + (size_t)(b + i) * layer->outputs + (size_t)(g * s.outputs + o) * pixels,
                        layer->out.width, 1);
        }
}

/* Phase (a, b) of dx of `samples` by dy's runs. */
static void back_phase(const struct rg_layer *layer, const struct rg_planes *p,
                       const struct room *r, int samples, int a, int b, const float *w, float *dx)
{
    struct sizes s = sizes_of(layer);
    struct rg_taps taps = taps_back(layer, p, r, samples, a, b);
    const struct rg_side *down = &p->down, *across = &p->across;
    int top = rg_side_first(down, a), rows = rg_side_end(down, a) - top;
    int left = rg_side_first(across, b), n = rg_side_end(across, b) - left;
    int together = joins(p) ? samples : 1;
    ptrdiff_t first = (ptrdiff_t)top * across->pitch + left;
    ptrdiff_t at = (ptrdiff_t)(top * down->stride + a - down->padding) * across->inputs +
                   left * across->stride + b - across->padding;
    size_t image = (size_t)down->inputs * (size_t)across->inputs;
    if (rows <= 0 || n <= 0)
        return;
    for (int g = 0; g < s.groups; g++)
        for (int i = 0; i < samples; i += together) {
            const float *dy = r->dy + rg_planes_before(p) +
                              (size_t)(g * s.outputs) * (size_t)taps.x_channel +
                              (size_t)i * p->plane;
            fill_tile(p, r, &taps, w + (size_t)g * (size_t)s.outputs * (size_t)s.taps, dy + first,
                      together, (size_t)(rows - 1) * (size_t)across->pitch + (size_t)n);
            for (int c = 0; c < taps.outputs; c++)
                for (int j = 0; j < together; j++)
                    take_rows(rows, n, r->tile + (size_t)c * r->tile_row + (size_t)j * p->plane,
                              across->pitch,
                              dx + (size_t)(i + j) * layer->inputs +
                                  (size_t)(g * taps.outputs + c) * image + at,
                              (ptrdiff_t)across->inputs * down->stride, across->stride);
        }
}

static void back_planes(const struct rg_layer *layer, const struct rg_planes *p,
                        const struct room *r, int samples, const float *w, float *dx)
{
    if (p->down.stride > 1 || p->across.stride > 1) /* no window may have seen some values */
        memset(dx, 0, (size_t)samples * layer->inputs * sizeof *dx);
    for (int a = 0; a < p->down.phases; a++)
        for (int b = 0; b < p->across.phases; b++)
            back_phase(layer, p, r, samples, a, b, w, dx);
}

static void learn_planes(const struct rg_layer *layer, const struct rg_planes *p,
                         const struct room *r, int samples, bool add, float *dw)
{
    struct sizes s = sizes_of(layer);
    struct rg_taps taps = taps_of(layer, p, r, samples);
    size_t run = rg_planes_run(p, samples), group = (size_t)taps.channels * (size_t)taps.x_channel;
    struct rg_runs rows = {.n = run, .pieces = 1, .dy_output = (ptrdiff_t)run};
    for (int g = 0; g < s.groups; g++)
        rg_correlate_rows(&taps, &rows, r->dy + rg_planes_before(p) + (size_t)(g * s.outputs) * run,
                          r->x + (size_t)g * group, add,
                          dw + (size_t)g * (size_t)s.outputs * (size_t)s.taps);
}

/* ---- images that are their own planes ---- */

static const ptrdiff_t nowhere[1];

static struct rg_taps taps_plain(const struct rg_layer *layer, bool back)
{
    struct sizes s = sizes_of(layer);
    return (struct rg_taps){.channels = back ? s.outputs : s.taps,
                            .places = 1,
                            .outputs = back ? s.taps : s.outputs,
                            .x_channel = s.pixels,
                            .w_channel = back ? s.taps : 1,
                            .w_output = back ? 1 : s.taps,
                            .x_at = nowhere,
                            .w_at = nowhere};
}

/* `to` of `from`: y of x, or dx of dy. */
static void pass_plain(const struct rg_layer *layer, bool back, int samples, const float *w,
                       const float *from, float *to)
{
    struct sizes s = sizes_of(layer);
    struct rg_taps taps = taps_plain(layer, back);
    size_t pixels = (size_t)s.pixels, weights = (size_t)s.outputs * (size_t)s.taps;
    for (int i = 0; i < samples * s.groups; i++) /* of each sample, of each group */
        rg_correlate(&taps, w + (size_t)(i % s.groups) * weights,
                     from + (size_t)i * (size_t)taps.channels * pixels, pixels,
                     to + (size_t)i * (size_t)taps.outputs * pixels, (ptrdiff_t)pixels);
}

static void learn_plain(const struct rg_layer *layer, int samples, const float *dy, const float *x,
                        bool add, float *dw)
{
    struct sizes s = sizes_of(layer);
    struct rg_taps taps = taps_plain(layer, false);
    size_t pixels = (size_t)s.pixels;
    struct rg_runs rows = {.n = pixels,
                           .pieces = samples,
                           .dy_output = s.pixels,
                           .dy_piece = (ptrdiff_t)layer->outputs,
                           .x_piece = (ptrdiff_t)layer->inputs};
    for (int g = 0; g < s.groups; g++)
        rg_correlate_rows(&taps, &rows, dy + (size_t)(g * s.outputs) * pixels,
                          x + (size_t)(g * s.taps) * pixels, add,
                          dw + (size_t)g * (size_t)s.outputs * (size_t)s.taps);
}

/* ---- passes ---- */

static void forward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    struct sizes s = sizes_of(layer);
    const float *bias = layer->spec.no_bias ? NULL : args->w + weights_of(layer);
    struct rg_planes p = rg_planes_of(layer, args->batch);
    struct room r = {0};
    for (int b = 0, laid_out = 0, samples; b < args->batch; b += samples) {
        const float *x = args->x + (size_t)b * layer->inputs;
        float *y = args->y + (size_t)b * layer->outputs;
        samples = RG_MIN(p.group, args->batch - b);
        if (is_plain(layer)) {
            pass_plain(layer, false, samples, args->w, x, y);
        } else {
            if (laid_out != samples)
                r = lay_out(layer, &p, laid_out = samples, false, args->scratch);
            rg_planes_load(&p, samples, layer->in.channels, x, r.x);
            forward_planes(layer, &p, &r, samples, args->w, y);
        }
        for (int i = 0; i < samples; i++)
            rg_channel_bias_activate(layer->spec.activation, layer->out.channels, (size_t)s.pixels,
                                     bias, y + (size_t)i * layer->outputs,
                                     args->stash + (size_t)(b + i) * layer->stash);
    }
}

/* Back through the activations of samples [from, to), and the gradients of biases. */
static void back_activations(const struct rg_layer *layer, const struct rg_pass_args *args,
                             int from, int to)
{
    size_t pixels = (size_t)layer->out.height * (size_t)layer->out.width;
    float *db = layer->spec.no_bias ? NULL : args->dw + weights_of(layer);
    for (int b = from; b < to; b++)
        rg_channel_bias_backward(
            layer->spec.activation, layer->out.channels, pixels,
            args->y + (size_t)b * layer->outputs, args->stash + (size_t)b * layer->stash,
            args->dy + (size_t)b * layer->outputs, args->accumulate || b > 0, db);
}

static void backward(const struct rg_layer *layer, const struct rg_pass_args *args)
{
    bool input = args->half != RG_HALF_WEIGHTS, weights = args->half != RG_HALF_INPUT;
    bool plain = is_plain(layer), back = args->dx && input;
    struct rg_planes p = rg_planes_of(layer, args->batch);
    struct room r = {0};
    for (int b = 0, laid_out = 0, samples; b < args->batch; b += samples) {
        const float *x = args->x + (size_t)b * layer->inputs;
        const float *dy = args->dy + (size_t)b * layer->outputs;
        float *dx = back ? args->dx + (size_t)b * layer->inputs : NULL;
        bool add = args->accumulate || b > 0;
        samples = RG_MIN(p.group, args->batch - b);
        if (input)
            back_activations(layer, args, b, b + samples);
        if (!plain && laid_out != samples)
            r = lay_out(layer, &p, laid_out = samples, true, args->scratch);
        if (!plain)
            rg_planes_load_outputs(&p, samples, layer->out.channels, dy,
                                   r.dy + rg_planes_before(&p));
        if (!plain && weights)
            rg_planes_load(&p, samples, layer->in.channels, x, r.x);
        if (weights && plain)
            learn_plain(layer, samples, dy, x, add, args->dw);
        else if (weights)
            learn_planes(layer, &p, &r, samples, add, args->dw);
        if (back && plain)
            pass_plain(layer, true, samples, args->w, dy, dx);
        else if (back)
            back_planes(layer, &p, &r, samples, args->w, dx);
    }
}

/* Of what is moved once for each of `samples`. */
static void move_work(double flops, double bytes, double samples, struct rg_work *work)
{
    if (samples == 0)
        return;
    rg_work_vector(work, flops, bytes);
    rg_work_calls(work, samples);
}

/* Charged is not what the kernels above do but a product with a sample's columns (im2col: every tap
 * reads what it sees of the image, and to add to an image is to read and write it), as convolutions
 * were computed before, so that simulated dates stay comparable. The kernels move fewer bytes, and
 * add up as many products and those with the zeros round images. */
static void cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work)
{
    struct sizes s = sizes_of(layer);
    double samples = batch, products = samples * s.groups, bytes = sizeof(float);
    double cols = (double)s.groups * s.taps * s.pixels, outputs = (double)layer->outputs;
    double moves = is_pointwise(layer) ? 0 : samples;
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
    .convolves = true,
    .infer = infer,
    .init = init,
    .forward = forward,
    .backward = backward,
    .cost = cost,
    .tensors = tensors,
    .room = room,
};
