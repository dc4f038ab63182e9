#include "models/planes.h"

#include "base/check.h"

#include <string.h>

/* Positions that a group of samples should have: what a sum along them costs at its end is then
 * little beside it. And the floats that it may take, for a cache. */
enum { ENOUGH = 1024, MOST = 1 << 16 };

static int over(int a, int b) /* a / b, up; 0 for negative a */
{
    return a <= 0 ? 0 : (a + b - 1) / b;
}

int rg_side_first(const struct rg_side *side, int phase)
{
    return over(side->padding - phase, side->stride);
}

int rg_side_end(const struct rg_side *side, int phase)
{
    int end = over(side->inputs + side->padding - phase, side->stride);
    int seen = side->outputs + (side->kernel - 1 - phase) / side->stride;
    return RG_MAX(rg_side_first(side, phase), RG_MIN(end, seen));
}

static struct rg_side side_of(int inputs, int outputs, int kernel, int stride, int padding)
{
    struct rg_side side = {inputs, outputs, kernel, stride, padding, .pitch = outputs};
    side.phases = RG_MIN(stride, kernel);
    side.reach = (kernel - 1) / stride;
    for (int phase = 0; phase < side.phases; phase++) {
        /* What is seen beyond a row's end is before the next one's data, be that of another phase.
         */
        int zeros_shared = outputs + side.reach - rg_side_first(&side, phase);
        side.pitch = RG_MAX(side.pitch, RG_MAX(rg_side_end(&side, phase), zeros_shared));
    }
    return side;
}

struct rg_planes rg_planes_of(const struct rg_layer *layer, int batch)
{
    const struct rg_layer_spec *spec = &layer->spec;
    struct rg_planes p = {.down = side_of(layer->in.height, layer->out.height, spec->kernel.height,
                                          spec->stride.height, spec->padding.height),
                          .across = side_of(layer->in.width, layer->out.width, spec->kernel.width,
                                            spec->stride.width, spec->padding.width)};
    p.phases = p.down.phases * p.across.phases;
    p.plane = (size_t)p.down.pitch * (size_t)p.across.pitch;
    size_t channels = (size_t)RG_MAX(layer->in.channels * p.phases, layer->out.channels);
    size_t most = MOST / channels / p.plane, enough = (ENOUGH + p.plane - 1) / p.plane;
    p.group = (int)RG_MIN(RG_MAX(RG_MIN(most, enough), 1), (size_t)RG_MAX(batch, 1));
    return p;
}

size_t rg_planes_run(const struct rg_planes *p, int samples)
{
    size_t places = (size_t)samples * p->plane;
    return (places + RG_ROW_UNIT - 1) / RG_ROW_UNIT * RG_ROW_UNIT;
}

size_t rg_planes_span(const struct rg_planes *p)
{
    return (size_t)(p->down.outputs - 1) * (size_t)p->across.pitch + (size_t)p->across.outputs;
}

size_t rg_planes_before(const struct rg_planes *p)
{
    return (size_t)(p->down.pitch - p->down.outputs) * (size_t)p->across.pitch +
           (size_t)(p->across.pitch - p->across.outputs);
}

size_t rg_planes_after(const struct rg_planes *p)
{
    return (size_t)p->down.reach * (size_t)p->across.pitch + (size_t)p->across.reach + RG_ROW_UNIT;
}

/* Rows are short: calling memcpy takes as long as copying. */
static inline void copy(int n, int step, const float *from, float *restrict to)
{
    int i = 0;
    for (; step == 1 && i + 4 <= n; i += 4)
        memcpy(to + i, from + i, 4 * sizeof *to);
    for (; i < n; i++)
        to[i] = from[(ptrdiff_t)i * step];
}

/* Where data of one phase are, on an image and on a plane. */
struct data {
    int rows, n, step;               /* n of each row, `step` apart on the image */
    ptrdiff_t from, down, to, pitch; /* the first, and from row to row */
};

static struct data data_of(const struct rg_planes *p, int a, int b)
{
    const struct rg_side *down = &p->down, *across = &p->across;
    int top = rg_side_first(down, a), left = rg_side_first(across, b);
    ptrdiff_t row = top * down->stride + a - down->padding;
    return (struct data){.rows = rg_side_end(down, a) - top,
                         .n = rg_side_end(across, b) - left,
                         .step = across->stride,
                         .from = row * across->inputs + left * across->stride + b - across->padding,
                         .down = (ptrdiff_t)across->inputs * down->stride,
                         .to = (ptrdiff_t)top * across->pitch + left,
                         .pitch = across->pitch};
}

static void copy_rows(const struct data *d, const float *image, float *plane)
{
    image += d->from;
    plane += d->to;
    for (int i = 0; i < d->rows; i++, image += d->down, plane += d->pitch)
        copy(d->n, d->step, image, plane);
}

void rg_planes_load(const struct rg_planes *p, int samples, int channels, const float *x, float *to)
{
    size_t image = (size_t)p->down.inputs * (size_t)p->across.inputs;
    size_t run = rg_planes_run(p, samples);
    for (int phase = 0; phase < p->phases; phase++, to += run) {
        struct data d = data_of(p, phase / p->across.phases, phase % p->across.phases);
        for (int i = 0; i < channels * samples; i++) {
            size_t c = (size_t)(i / samples), s = (size_t)(i % samples);
            copy_rows(&d, x + (s * (size_t)channels + c) * image,
                      to + c * (size_t)p->phases * run + s * p->plane);
        }
    }
}

void rg_planes_load_outputs(const struct rg_planes *p, int samples, int outputs, const float *dy,
                            float *to)
{
    size_t image = (size_t)p->down.outputs * (size_t)p->across.outputs;
    size_t run = rg_planes_run(p, samples);
    struct data d = {.rows = p->down.outputs,
                     .n = p->across.outputs,
                     .step = 1,
                     .down = p->across.outputs,
                     .pitch = p->across.pitch};
    for (int o = 0; o < outputs; o++, to += run)
        for (int s = 0; s < samples; s++)
            copy_rows(&d, dy + ((size_t)s * (size_t)outputs + (size_t)o) * image,
                      to + (size_t)s * p->plane);
}
