/* Kernels of training, timed.
 *
 * Happy path: for every kernel, operands in several sets, used in turn, since between two uses of a
 * layer's weights training goes through those of the other layers; some calls to warm up; then, for
 * a window of time, samples of as many calls as the clock can tell apart; their median. All of that
 * in several passes, the fastest of which counts. On one thread the clock is the thread's processor
 * time, so that other programs disturb less. Both ends of a world begin each kernel together, and
 * what they share (caches, memory, the clock's limits) is then shared as in a run.
 *
 * Failure modes handled: interruption (between samples); no memory; a peer that goes. */
#include "calibrate/calibrate.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "models/blas.h"
#include "models/layers.h"
#include "models/loss.h"
#include "models/optimizer.h"
#include "models/stage.h"
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_S 60e-6 /* reading the clocks is then under a part in a hundred of a sample */

enum { SETS = 8, SETS_BYTES = 64 << 20, SAMPLES = 2000 };

enum form {
    FORWARD, /* products with the weights of a layer [outputs x inputs] */
    INPUT,
    WEIGHT,
    RELU, /* [batch x outputs] */
    RELU_BACK,
    ADD,
    ADD_BACK,
    TANH,
    TANH_BACK,
    LOSS,
    SGD, /* of batch x outputs parameters */
    MOMENTUM,
    ADAM,
    COPY,
    DENSE, /* layers, both ways */
    RESIDUAL,
    CONVOLUTION,
    POOL
};

static const char *const form_names[] = {[FORWARD] = "forward",
                                         [INPUT] = "gradient of input",
                                         [WEIGHT] = "gradient of weights",
                                         [RELU] = "relu",
                                         [RELU_BACK] = "relu backward",
                                         [ADD] = "bias",
                                         [ADD_BACK] = "bias backward",
                                         [TANH] = "tanh",
                                         [TANH_BACK] = "tanh backward",
                                         [LOSS] = "softmax",
                                         [SGD] = "sgd",
                                         [MOMENTUM] = "momentum",
                                         [ADAM] = "adam",
                                         [COPY] = "copy",
                                         [DENSE] = "dense layer",
                                         [CONVOLUTION] = "conv2d layer",
                                         [POOL] = "maxpool layer",
                                         [RESIDUAL] = "residual layer"};

struct shape {
    int batch, outputs, inputs;
    bool quick;
};

/* No network's in particular: powers of two in all proportions, from call overhead to large. */
static const struct shape products[] = {
    {9, 4, 4, true},          {16, 8, 16, false},     {16, 32, 16, false},
    {16, 64, 64, true},       {32, 16, 128, false},   {32, 32, 32, true},
    {64, 64, 64, true},       {32, 128, 128, false},  {64, 16, 256, false},
    {128, 32, 256, false},    {128, 128, 128, true},  {64, 256, 256, false},
    {32, 512, 512, false},    {256, 64, 512, false},  {256, 256, 256, true},
    {128, 256, 1024, false},  {512, 128, 512, false}, {512, 512, 256, false},
    {64, 1024, 1024, false},  {512, 512, 512, true},  {256, 1024, 1024, false},
    {1024, 1024, 1024, false}};
static const struct shape fews[] = {
    {2, 64, 64, false}, {1, 128, 128, true}, {1, 512, 512, false}, {1, 1024, 2048, false},
    {4, 64, 64, false}, {4, 256, 256, true}, {8, 512, 512, false}};
static const struct shape passes[] = {{16, 16, 0, true},
                                      {16, 128, 0, false},
                                      {64, 256, 0, true},
                                      {256, 512, 0, true},
                                      {512, 1024, 0, false}};
static const struct shape losses[] = {{16, 8, 0, true}, {128, 16, 0, true}, {512, 64, 0, false}};
static const struct shape updates[] = {{1, 1024, 0, true},     {16, 1024, 0, false},
                                       {128, 1024, 0, true},   {512, 1024, 0, true},
                                       {2048, 1024, 0, false}, {4096, 1024, 0, false}};
static const struct shape layers[] = {{16, 16, 12, true}, {64, 32, 16, false}};
static const struct shape denses[] = {
    {32, 64, 128, false}, {128, 256, 256, true}, {256, 512, 512, false}};

static const struct family {
    const char *group;
    enum form first, last;
    const struct shape *shapes;
    int count;
} families[] = {{"product", FORWARD, WEIGHT, products, RG_COUNT(products)},
                {"few samples", FORWARD, WEIGHT, fews, RG_COUNT(fews)},
                {"elementwise", RELU, ADD_BACK, passes, RG_COUNT(passes)},
                {"tanh, softmax", TANH, TANH_BACK, passes, RG_COUNT(passes)},
                {"tanh, softmax", LOSS, LOSS, losses, RG_COUNT(losses)},
                {"update, copy", SGD, COPY, updates, RG_COUNT(updates)},
                {"layer", DENSE, DENSE, denses, RG_COUNT(denses)},
                {"layer", RESIDUAL, RESIDUAL, layers, RG_COUNT(layers)},
                {"images", CONVOLUTION, POOL, layers, RG_COUNT(layers)}};

/* Operands of one kernel; a set has each of them once. */
struct bench {
    enum form form;
    struct shape s;
    size_t nx, nw, ny, nstate; /* floats; nw of the gradient too */
    struct rg_mem *mem;
    struct set {
        float *x, *w, *y, *dw, *dx, *state;
    } set[SETS];
    int sets;
    void *labels;
    struct rg_network network; /* of layers */
    struct rg_stage stage;
    int turn;
};

/* ---- what a kernel works on ---- */

/* Numbers of both signs that stay numbers however often a kernel goes over them. */
static void fill(float *values, size_t count, float size)
{
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = size * ((float)(state >> 8) / (float)(1 << 23) - 1);
    }
}

static int build_layer(struct bench *b, struct rg_error *e)
{
    static const char *const kinds[] = {
        [DENSE] = "dense", [CONVOLUTION] = "conv2d", [POOL] = "maxpool", [RESIDUAL] = "residual"};
    const struct shape *s = &b->s;
    bool image = b->form == CONVOLUTION || b->form == POOL;
    int channels = RG_MIN(8, s->outputs), width = b->form == DENSE ? s->inputs : 16 * s->inputs;
    struct rg_shape input = {image ? channels : width, image ? s->inputs : 1,
                             image ? s->inputs : 1};
    int kernel = b->form == POOL ? 2 : 3, padding = b->form == CONVOLUTION ? 1 : 0;
    struct rg_layer_spec spec = {.ops = rg_layer_kind(kinds[b->form]),
                                 .outputs = s->outputs,
                                 .kernel = {kernel, kernel},
                                 .padding = {padding, padding},
                                 .activation = b->form == POOL ? RG_ACT_DEFAULT : RG_ACT_RELU};
    if (b->form == POOL || b->form == RESIDUAL)
        spec.outputs = 0;
    if (b->form == POOL)
        spec.activation = RG_ACT_DEFAULT;
    RG_ASSERT(spec.ops);
    int err = rg_network_build(&b->network, "layer", "layer", input, &spec, 1, e);
    if (err)
        return err;
    b->stage = (struct rg_stage){&b->network, 0, 1};
    b->nx = (size_t)s->batch * rg_stage_inputs(&b->stage);
    b->nw = rg_stage_parameters(&b->stage);
    b->ny = rg_stage_stash(&b->stage, s->batch);
    b->nstate =
        rg_stage_scratch(&b->stage, s->batch) + (size_t)s->batch * rg_stage_outputs(&b->stage);
    return 0;
}

static void size_operands(struct bench *b)
{
    const struct shape *s = &b->s;
    size_t batch = (size_t)s->batch, outputs = (size_t)s->outputs, inputs = (size_t)s->inputs;
    if (b->form <= WEIGHT) {
        b->nx = batch * inputs;
        b->nw = outputs * inputs + outputs;
        b->ny = batch * outputs;
    } else if (b->form >= SGD) {
        b->nw = batch * outputs;
        b->nstate = b->form == ADAM ? 2 * b->nw : b->form == MOMENTUM ? b->nw : 0;
    } else {
        b->ny = b->nx = batch * outputs;
        b->nw = outputs;
    }
}

static int open_bench(struct bench *b, struct rg_error *e)
{
    if (b->form < DENSE)
        size_operands(b);
    int err = b->form < DENSE ? 0 : build_layer(b, e);
    if (err)
        return err;
    size_t floats = 2 * b->nx + 2 * b->nw + b->ny + b->nstate;
    size_t fit = SETS_BYTES / (floats * sizeof(float) + 1);
    b->sets = fit < 1 ? 1 : fit > SETS ? SETS : (int)fit;
    b->mem = rg_mem_new(RG_MEM_REAL);
    bool there = b->mem != NULL;
    for (int i = 0; i < b->sets && there; i++) {
        struct set *o = &b->set[i];
        *o = (struct set){rg_mem_floats(b->mem, b->nx), rg_mem_floats(b->mem, b->nw),
                          rg_mem_floats(b->mem, b->ny), rg_mem_floats(b->mem, b->nw),
                          rg_mem_floats(b->mem, b->nx), rg_mem_floats(b->mem, b->nstate)};
        there = o->x && o->w && o->y && o->dw && o->dx && o->state;
        if (!there)
            break;
        fill(o->x, b->nx, 1);
        fill(o->w, b->nw, 0.05f);
        fill(o->y, b->ny, 0.01f);
        fill(o->dw, b->nw, 0.01f);
        fill(o->dx, b->nx, 0.01f);
        if (b->form >= DENSE)
            fill(o->state, b->nstate, 0.01f);
    }
    const struct rg_targets targets = {1, b->s.outputs};
    b->labels = calloc((size_t)b->s.batch, rg_targets_bytes(&targets));
    return there && b->labels ? 0 : rg_fail(e, RG_ERR_NOMEM, "out of memory");
}

static void close_bench(struct bench *b)
{
    rg_mem_free(b->mem);
    rg_network_free(&b->network);
    free(b->labels);
}

/* ---- one call, and its cost ---- */

static enum rg_activation activation_of(enum form form)
{
    return form == RELU || form == RELU_BACK   ? RG_ACT_RELU
           : form == TANH || form == TANH_BACK ? RG_ACT_TANH
                                               : RG_ACT_IDENTITY;
}

static void run_layer(struct bench *b, struct set *o)
{
    int batch = b->s.batch;
    size_t out = (size_t)batch * rg_stage_outputs(&b->stage);
    float *dy = o->state, *scratch = o->state + out;
    struct rg_pass_args args = {.batch = batch,
                                .w = o->w,
                                .x = o->x,
                                .stash = o->y,
                                .dy = dy,
                                .dx = o->dx,
                                .dw = o->dw,
                                .scratch = scratch};
    rg_stage_forward(&b->stage, &args);
    memcpy(dy, rg_stage_output(&b->stage, batch, o->y), out * sizeof *dy);
    rg_stage_backward(&b->stage, &args);
}

static void run_product(struct bench *b, struct set *o)
{
    const struct shape *s = &b->s;
    if (b->form == FORWARD)
        rg_affine_forward(s->batch, s->outputs, s->inputs, o->w, o->x, false, o->y);
    else if (b->form == INPUT)
        rg_affine_input(s->batch, s->outputs, s->inputs, o->w, o->y, false, o->x);
    else
        rg_affine_weight(s->batch, s->outputs, s->inputs, o->y, o->x, false, o->dw);
}

static void run_pass(struct bench *b, struct set *o)
{
    int batch = b->s.batch;
    const struct rg_targets targets = {1, b->s.outputs};
    int64_t correct = 0;
    size_t n = (size_t)b->s.outputs;
    enum rg_activation act = activation_of(b->form);
    if (b->form == LOSS)
        rg_loss(&targets, batch, o->x, b->labels, 1, o->y, &correct);
    else if (b->form == RELU || b->form == ADD || b->form == TANH)
        rg_bias_activate(act, batch, n, o->w, o->y, NULL);
    else
        rg_bias_backward(act, batch, n, o->y, NULL, o->dx, false, o->dw);
}

static void run_update(struct bench *b, struct set *o)
{
    static const enum rg_optimizer_kind kinds[] = {
        [SGD] = RG_SGD, [MOMENTUM] = RG_MOMENTUM, [ADAM] = RG_ADAM};
    if (b->form == COPY) {
        memcpy(o->dw, o->w, b->nw * sizeof *o->w);
        return;
    }
    struct rg_optimizer optimizer = rg_optimizer_make(kinds[b->form], 1e-9f);
    rg_optimizer_step(&optimizer, 1000, b->nw, o->w, o->dw, o->state);
}

static void call(struct bench *b)
{
    struct set *o = &b->set[b->turn];
    b->turn = (b->turn + 1) % b->sets;
    if (b->form <= WEIGHT)
        run_product(b, o);
    else if (b->form >= DENSE)
        run_layer(b, o);
    else if (b->form >= SGD)
        run_update(b, o);
    else
        run_pass(b, o);
}

static void product_work(const struct bench *b, struct rg_work *work)
{
    const struct shape *s = &b->s;
    if (b->form == FORWARD)
        rg_affine_forward_work(s->batch, s->outputs, s->inputs, work);
    else if (b->form == INPUT)
        rg_affine_input_work(s->batch, s->outputs, s->inputs, work);
    else
        rg_affine_weight_work(s->batch, s->outputs, s->inputs, work);
}

/* As the strategies charge it. */
static struct rg_work work_of(const struct bench *b)
{
    struct rg_work work = {0};
    double elements = (double)b->s.batch * b->s.outputs;
    struct rg_optimizer optimizer = rg_optimizer_make(b->form == ADAM       ? RG_ADAM
                                                      : b->form == MOMENTUM ? RG_MOMENTUM
                                                                            : RG_SGD,
                                                      1);
    if (b->form <= WEIGHT) {
        product_work(b, &work);
    } else if (b->form >= DENSE) { /* the first layer has no gradient of its input by itself */
        b->network.layers[0].spec.ops->cost(&b->network.layers[0], b->s.batch, RG_FORWARD, &work);
        b->network.layers[0].spec.ops->cost(&b->network.layers[0], b->s.batch, RG_BACKWARD, &work);
        rg_work_vector(&work, 0,
                       2.0 * sizeof(float) * b->s.batch * (double)rg_stage_outputs(&b->stage));
    } else if (b->form == COPY) {
        rg_work_vector(&work, 0, 2.0 * sizeof(float) * (double)b->nw);
    } else if (b->form >= SGD) {
        rg_optimizer_work(&optimizer, b->nw, &work);
    } else if (b->form == LOSS) {
        rg_loss_work(&(struct rg_targets){1, b->s.outputs}, b->s.batch, &work);
    } else if (b->form == RELU || b->form == ADD || b->form == TANH) {
        rg_bias_activate_work(activation_of(b->form), elements, &work);
    } else {
        rg_bias_backward_work(activation_of(b->form), elements, &work);
    }
    return work;
}

/* ---- timing ---- */

/* On one thread its own processor time: what else runs on the machine does not add to it. */
static double calls_s(struct bench *b, int calls)
{
    double (*read_clock)(void) = rg_blas_threads() > 1 ? rg_clock_s : rg_clock_thread_s;
    double begin = read_clock();
    for (int i = 0; i < calls; i++)
        call(b);
    return read_clock() - begin;
}

/* Every set once (pages, caches, BLAS's threads), then how many calls make a sample. */
static int calls_of_sample(struct bench *b)
{
    int calls = 1;
    calls_s(b, b->sets);
    while (calls < 1 << 20 && calls_s(b, calls) < SAMPLE_S)
        calls *= 2;
    return calls;
}

static int time_kernel(struct bench *b, const struct rg_cal_pace *pace, struct rg_cal_kernel *row)
{
    static double samples[SAMPLES];
    int calls = calls_of_sample(b), n = 0;
    double end = rg_clock_s() + pace->window_s;
    while (n < SAMPLES && (n < pace->least || rg_clock_s() < end)) {
        if (pace->stop && pace->stop())
            return RG_ERR_INTERRUPTED;
        samples[n++] = calls_s(b, calls) / calls;
    }
    gsl_sort(samples, 1, (size_t)n);
    row->seconds = gsl_stats_median_from_sorted_data(samples, 1, (size_t)n);
    row->spread = (gsl_stats_quantile_from_sorted_data(samples, 1, (size_t)n, 0.75) -
                   gsl_stats_quantile_from_sorted_data(samples, 1, (size_t)n, 0.25)) /
                  row->seconds;
    row->samples = n;
    return 0;
}

static void name_of(const struct bench *b, char *name, size_t size)
{
    const struct shape *s = &b->s;
    if (b->form <= WEIGHT || b->form == DENSE)
        snprintf(name, size, "%s %d x %d x %d", form_names[b->form], s->batch, s->outputs,
                 s->inputs);
    else if (b->form >= DENSE)
        snprintf(name, size, "%s %d x %d, %d", form_names[b->form], s->batch, s->outputs,
                 s->inputs);
    else
        snprintf(name, size, "%s %d x %d", form_names[b->form], s->batch, s->outputs);
}

/* One going over all kernels. */
struct sweep {
    struct rg_calibration *cal;
    const struct rg_cal_pace *pace;
    struct rg_world *world;
    int pass;       /* from 0 */
    int row;        /* of the calibration: next */
    int done, most; /* kernels of all passes; told as progress */
};

/* What else a machine does can make a kernel slower, for seconds on end, and never faster: the
 * fastest pass counts. */
static void note(struct sweep *q, struct rg_cal_kernel *row, const struct bench *b)
{
    if (q->pass == 0) {
        row->work = work_of(b);
        rg_cal_add_kernel(q->cal, row);
    } else {
        struct rg_cal_kernel *known = &q->cal->kernels[q->row];
        if (row->seconds < known->seconds) {
            row->work = known->work;
            *known = *row;
        }
    }
    q->row++;
}

static int measure(struct sweep *q, const char *group, struct bench *b, int threads)
{
    struct rg_error e;
    struct rg_cal_kernel row = {.threads = threads};
    int err = open_bench(b, &e);
    snprintf(row.group, sizeof row.group, "%s", group);
    name_of(b, row.name, sizeof row.name);
    if (err == 0 && q->world)
        err = rg_barrier(q->world);
    if (err == 0)
        err = time_kernel(b, q->pace, &row);
    if (err == 0)
        note(q, &row, b);
    close_bench(b);
    return err;
}

static int each(struct sweep *q, int threads)
{
    int err = 0;
    for (size_t f = 0; f < RG_COUNT(families); f++)
        for (int i = 0; i < families[f].count; i++)
            for (int form = families[f].first; form <= (int)families[f].last && err == 0; form++) {
                struct bench b = {.form = (enum form)form, .s = families[f].shapes[i]};
                if (q->pace->quick && !b.s.quick)
                    continue;
                if (q->pace->progress)
                    q->pace->progress("kernels", q->done, q->most);
                q->done++;
                err = measure(q, families[f].group, &b, threads);
            }
    return err;
}

static int kernels_of(const struct rg_cal_pace *pace)
{
    int count = 0;
    for (size_t f = 0; f < RG_COUNT(families); f++)
        for (int i = 0; i < families[f].count; i++)
            if (families[f].shapes[i].quick || !pace->quick)
                count += (int)families[f].last - (int)families[f].first + 1;
    return count;
}

/* Ends on one machine are one kind of board, whichever of its cores is the faster: their mean. */
static int share(struct rg_world *w, struct rg_cal_kernel *row)
{
    double mine[2] = {row->seconds, row->spread}, other[2];
    int err = rg_sendrecv(w, 1 - w->rank, mine, sizeof mine, 1 - w->rank, other, sizeof other,
                          RG_TAG_USER);
    row->seconds = (mine[0] + other[0]) / 2;
    row->spread = (mine[1] + other[1]) / 2;
    return err;
}

int rg_cal_kernels(struct rg_calibration *cal, const struct rg_cal_pace *pace,
                   struct rg_world *world)
{
    int cores = cal->machine.cores, first = cal->kernel_count, err = 0;
    struct sweep q = {.cal = cal,
                      .pace = pace,
                      .world = world,
                      .most = kernels_of(pace) * pace->passes * (cores > 1 ? 2 : 1)};
    for (; q.pass < pace->passes && err == 0; q.pass++) {
        q.row = first;
        for (int threads = 1; threads <= cores && err == 0; threads += RG_MAX(1, cores - 1)) {
            rg_blas_set_threads(threads);
            err = each(&q, threads);
        }
    }
    rg_blas_set_threads(1);
    for (int i = first; i < cal->kernel_count && err == 0 && cal->machine.shared; i++)
        err = share(world, &cal->kernels[i]);
    return err;
}

int rg_cal_burn(int threads, double seconds, bool (*stop)(void))
{
    struct bench b = {.form = FORWARD, .s = {512, 512, 512, false}};
    struct rg_error e;
    int err = open_bench(&b, &e);
    double end = rg_clock_s() + seconds;
    rg_blas_set_threads(threads);
    while (err == 0 && rg_clock_s() < end) {
        call(&b);
        if (stop && stop())
            err = RG_ERR_INTERRUPTED;
    }
    rg_blas_set_threads(1);
    close_bench(&b);
    return err;
}
