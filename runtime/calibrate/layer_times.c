/* Layers of a network, timed where they stand: in steps of training.
 *
 * Happy path: a step loads its samples, goes forward layer by layer, takes the loss, goes backward
 * layer by layer and updates the parameters of each, as `single` does with the same calls; a clock
 * is read between any two of these. So every layer finds caches as training leaves them. Of each
 * part the least of many steps counts: whatever else the machine does makes them longer, never
 * shorter. What the shortest step takes more than these together is its fixed time. Where all
 * layers can, steps with backward in halves follow.
 * Other copies run the same steps meanwhile, each on its share of the cores as ranks of ringnode
 * --local: what they have in common (caches, memory, clock) is then shared as in such a run.
 *
 * Failure modes handled: no memory, batches that no pass can take, too few cores for the copies, a
 * copy that ends, interruption (between two steps); whatever happens, no copy outlives this. */
#include "calibrate/layer_times.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/sizes.h"
#include "models/blas.h"
#include "models/loss.h"
#include "models/stage.h"
#include "models/update.h"
#include "result/measured_file.h"
#include <errno.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Parts longer than this are timed by the thread's processor time, which leaves other programs out,
 * but takes longer to read. */
#define LONG_S 50e-6
#define COPY_S 0.1 /* how long a copy stays at one batch */

enum { SAMPLES = 512, POOL = 4, RATE_PARTS = 3 };

/* The parts of a step, layer by layer: layer l has [l][FORWARD] and so on. */
enum { FORWARD, BACKWARD, UPDATE, INPUT, WEIGHTS, PARTS };

struct bench {
    const struct rg_cal_layers *want;
    struct rg_mem *mem;
    int batch;
    struct rg_targets targets;
    struct rg_optimizer optimizer;
    bool halves; /* all layers can have them */
    float *pool, *x, *w, *dw, *state, *stash, *dy, *dx[2], *scratch, *between, *kept;
    void *labels;
    long steps;
    double (*read_clock)(void);
    int taken;              /* samples of each part so far, at most SAMPLES are kept */
    double *seconds;        /* [layers][PARTS][SAMPLES] */
    double whole[SAMPLES];  /* steps */
    double losses[SAMPLES]; /* their losses */
};

/* ---- operands ---- */

static struct rg_stage one_layer(const struct bench *b, int l)
{
    return (struct rg_stage){.network = b->want->network, .from = l, .to = l + 1};
}

/* As the data of such a network are: classes of a sample, or of each of its tokens; numbers. */
static struct rg_targets targets_of(const struct rg_network *network)
{
    const struct rg_layer *last = &network->layers[network->layer_count - 1];
    if (network->loss == RG_LOSS_SQUARES)
        return (struct rg_targets){.count = network->classes};
    if (last->out.height > 1)
        return (struct rg_targets){.count = last->out.channels, .classes = last->out.height};
    return (struct rg_targets){.count = 1, .classes = network->classes};
}

static int draw_samples(struct bench *b)
{
    const struct rg_layer *first = &b->want->network->layers[0];
    size_t count = POOL * (size_t)b->batch * first->inputs;
    struct rg_random *random = rg_random_new(1, RG_STREAM_DATA, 0);
    if (!random)
        return RG_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        double u = rg_random_uniform(random);
        b->pool[i] =
            first->spec.vocabulary ? (float)floor(u * first->spec.vocabulary) : (float)(2 * u - 1);
    }
    for (size_t i = 0; i < (size_t)b->batch * (size_t)b->targets.count; i++) {
        double u = rg_random_uniform(random);
        if (b->targets.classes > 0)
            rg_target_set_label(&b->targets, b->labels, i, (int32_t)(u * b->targets.classes));
        else
            ((float *)b->labels)[i] = (float)(2 * u - 1);
    }
    rg_random_free(random);
    return 0;
}

static uint64_t kept_of(const struct bench *b, int l)
{
    struct rg_stage layer = one_layer(b, l);
    return (uint64_t)b->batch * rg_stage_outputs(&layer);
}

static int allocate(struct bench *b)
{
    const struct rg_network *network = b->want->network;
    struct rg_stage whole = {network, 0, network->layer_count};
    uint64_t n = (uint64_t)b->batch, widest = 0, kept = 0, halves = 0;
    for (int l = 0; l < network->layer_count; l++) {
        struct rg_stage layer = one_layer(b, l);
        widest = RG_MAX(widest, RG_MAX(network->layers[l].inputs, network->layers[l].outputs));
        kept += b->halves ? kept_of(b, l) : 0;
        halves += b->halves ? rg_stage_halves(&layer, b->batch) : 0;
    }
    b->pool = rg_mem_floats(b->mem, POOL * n * rg_stage_inputs(&whole));
    b->x = rg_mem_floats(b->mem, n * rg_stage_inputs(&whole));
    b->w = rg_mem_floats(b->mem, network->parameters);
    b->dw = rg_mem_floats(b->mem, network->parameters);
    b->state = rg_mem_floats(b->mem, rg_optimizer_state(&b->optimizer, network->parameters));
    b->stash = rg_mem_floats(b->mem, rg_stage_stash(&whole, b->batch));
    b->dy = rg_mem_floats(b->mem, n * (uint64_t)network->classes);
    b->dx[0] = rg_mem_floats(b->mem, n * widest);
    b->dx[1] = rg_mem_floats(b->mem, n * widest);
    b->scratch = rg_mem_floats(b->mem, rg_stage_scratch(&whole, b->batch));
    b->kept = rg_mem_floats(b->mem, kept);
    b->between = rg_mem_floats(b->mem, halves);
    b->labels = calloc(n, rg_targets_bytes(&b->targets));
    b->seconds = calloc((size_t)network->layer_count * PARTS * SAMPLES, sizeof *b->seconds);
    return b->pool && b->x && b->w && b->dw && b->state && b->stash && b->dy && b->dx[0] &&
                   b->dx[1] && b->scratch && b->kept && b->between && b->labels && b->seconds
               ? 0
               : RG_ERR_NOMEM;
}

static int open_bench(struct bench *b, const struct rg_cal_layers *want, int batch)
{
    const struct rg_network *network = want->network;
    *b = (struct bench){.want = want, .batch = batch, .targets = targets_of(network)};
    b->optimizer = rg_optimizer_make(want->optimizer, 1e-6f);
    b->mem = rg_mem_new(RG_MEM_REAL);
    b->read_clock = rg_clock_s;
    b->halves = true;
    for (int l = 0; l < network->layer_count; l++)
        b->halves = b->halves && rg_layer_splits(&network->layers[l]);
    int err = b->mem ? allocate(b) : RG_ERR_NOMEM;
    if (err == 0)
        err = rg_network_init(network, 0, network->layer_count, 1, b->w);
    if (err == 0)
        err = draw_samples(b);
    return err;
}

static void close_bench(struct bench *b)
{
    rg_mem_free(b->mem);
    free(b->labels);
    free(b->seconds);
}

/* ---- a step ---- */

static double *sample_of(struct bench *b, int l, int part)
{
    size_t row = (size_t)l * PARTS + (size_t)part;
    return &b->seconds[row * SAMPLES + (size_t)(b->taken % SAMPLES)];
}

/* Where layer l's part of the stash begins, and its input (see rg_stage_stash). */
static float *stash_of(const struct bench *b, int l)
{
    struct rg_stage before = {b->want->network, 0, l};
    return b->stash + (l ? rg_stage_stash(&before, b->batch) : 0);
}

static const float *input_of(const struct bench *b, int l)
{
    struct rg_stage before = {b->want->network, 0, l};
    return l ? rg_stage_output(&before, b->batch, b->stash) : b->x;
}

static struct rg_pass_args args_of(const struct bench *b, int l)
{
    size_t at = rg_network_offset(b->want->network, l);
    return (struct rg_pass_args){.batch = b->batch,
                                 .seed = 1,
                                 .iteration = b->steps,
                                 .w = b->w + at,
                                 .x = input_of(b, l),
                                 .stash = stash_of(b, l),
                                 .dw = b->dw + at,
                                 .scratch = b->scratch};
}

static double forward(struct bench *b)
{
    const struct rg_network *network = b->want->network;
    struct rg_stage whole = {network, 0, network->layer_count};
    size_t inputs = (size_t)b->batch * rg_stage_inputs(&whole);
    memcpy(b->x, b->pool + (size_t)(b->steps % POOL) * inputs, inputs * sizeof *b->x);
    double begin = b->read_clock();
    for (int l = 0; l < network->layer_count; l++) {
        struct rg_stage layer = one_layer(b, l);
        struct rg_pass_args args = args_of(b, l);
        rg_stage_forward(&layer, &args);
        double end = b->read_clock();
        *sample_of(b, l, FORWARD) = end - begin;
        begin = end;
    }
    int64_t correct = 0;
    rg_loss(&b->targets, b->batch, rg_stage_output(&whole, b->batch, b->stash), b->labels,
            1.0f / (float)b->batch, b->dy, &correct);
    double end = b->read_clock();
    b->losses[b->taken % SAMPLES] = end - begin;
    return end;
}

static double backward(struct bench *b, double begin)
{
    const struct rg_network *network = b->want->network;
    for (int l = network->layer_count - 1; l >= 0; l--) {
        struct rg_stage layer = one_layer(b, l);
        struct rg_pass_args args = args_of(b, l);
        args.dy = l == network->layer_count - 1 ? b->dy : b->dx[(l + 1) % 2];
        args.dx = l > 0 ? b->dx[l % 2] : NULL;
        rg_stage_backward(&layer, &args);
        double end = b->read_clock();
        *sample_of(b, l, BACKWARD) = end - begin;
        begin = end;
    }
    return begin;
}

static void update(struct bench *b, double begin)
{
    const struct rg_network *network = b->want->network;
    for (int l = 0; l < network->layer_count; l++) {
        size_t at = rg_network_offset(network, l), count = network->layers[l].parameters;
        if (count > 0)
            rg_network_step(network, &b->optimizer, b->steps + 1, at, count, b->w + at, b->dw + at,
                            b->state + rg_optimizer_state(&b->optimizer, at));
        double end = b->read_clock();
        *sample_of(b, l, UPDATE) = end - begin;
        begin = end;
    }
}

/* One half of backward through all layers, each keeping what the other half wants of it. */
static void half(struct bench *b, enum rg_half which, int part)
{
    const struct rg_network *network = b->want->network;
    float *kept = b->kept, *between = b->between, *next = b->dy;
    double begin = b->read_clock();
    for (int l = network->layer_count - 1; l >= 0; l--) {
        struct rg_stage layer = one_layer(b, l);
        struct rg_pass_args args = args_of(b, l);
        args.half = which;
        args.dy = next;
        args.between = between;
        args.dx = next = l > 0 ? kept : NULL;
        kept += l > 0 ? kept_of(b, l - 1) : 0;
        between += rg_stage_halves(&layer, b->batch);
        if (which == RG_HALF_INPUT || network->layers[l].parameters > 0)
            rg_stage_backward(&layer, &args);
        double end = b->read_clock();
        *sample_of(b, l, part) = end - begin;
        begin = end;
    }
}

/* One step, timed; and another in halves, whose gradients nobody uses. */
static void take_step(struct bench *b)
{
    double begin = b->read_clock();
    update(b, backward(b, forward(b)));
    b->whole[b->taken % SAMPLES] = b->read_clock() - begin;
    if (b->halves) {
        forward(b);
        half(b, RG_HALF_INPUT, INPUT);
        half(b, RG_HALF_WEIGHTS, WEIGHTS);
    }
    b->taken++;
    b->steps++;
}

/* Pages, caches, BLAS's threads; then, how long parts are. */
static void warm_up(struct bench *b)
{
    take_step(b);
    take_step(b);
    double part_s = b->whole[1] / (RATE_PARTS * b->want->network->layer_count);
    if (b->want->threads == 1 && part_s > LONG_S)
        b->read_clock = rg_clock_thread_s;
    b->taken = 0;
}

/* ---- many steps ---- */

/* Least of the samples; *spread that of their middle half, relative to the median. */
static double least_of(double *samples, int count, double *spread)
{
    size_t n = (size_t)count;
    gsl_sort(samples, 1, n);
    double median = gsl_stats_median_from_sorted_data(samples, 1, n);
    double middle = gsl_stats_quantile_from_sorted_data(samples, 1, n, 0.75) -
                    gsl_stats_quantile_from_sorted_data(samples, 1, n, 0.25);
    if (spread)
        *spread = median > 0 ? middle / median : 0;
    return samples[0];
}

/* What this pass found, where it is less than what others did. */
static void keep_least(double *known, double found)
{
    *known = *known > 0 ? fmin(*known, found) : found;
}

static void note_layer(struct bench *b, int l, int n, struct rg_measured_layer *to)
{
    double *rows[PARTS];
    for (int part = 0; part < PARTS; part++)
        rows[part] = &b->seconds[((size_t)l * PARTS + (size_t)part) * SAMPLES];
    keep_least(&to->forward_s, least_of(rows[FORWARD], n, NULL));
    keep_least(&to->backward_s, least_of(rows[BACKWARD], n, &to->spread));
    keep_least(&to->update_s, least_of(rows[UPDATE], n, NULL));
    if (b->want->network->layers[l].parameters == 0)
        to->update_s = 0;
    if (!b->halves) {
        to->input_s = to->weights_s = NAN;
        return;
    }
    keep_least(&to->input_s, least_of(rows[INPUT], n, NULL));
    keep_least(&to->weights_s, least_of(rows[WEIGHTS], n, NULL));
}

static void note(struct bench *b, struct rg_measured_batch *to)
{
    int n = RG_MIN(b->taken, SAMPLES);
    for (int l = 0; l < b->want->network->layer_count; l++)
        note_layer(b, l, n, &to->layers[l]);
    keep_least(&to->loss_s, least_of(b->losses, n, NULL));
    keep_least(&to->fixed_s, least_of(b->whole, n, &to->spread));
}

static int time_batch(const struct rg_cal_layers *want, const struct rg_cal_pace *pace, int batch,
                      struct rg_measured_batch *to)
{
    struct bench b;
    int err = open_bench(&b, want, batch);
    if (err == 0)
        warm_up(&b);
    double end = rg_clock_s() + pace->window_s;
    while (err == 0 && (b.taken < pace->least || rg_clock_s() < end)) {
        take_step(&b);
        if (pace->stop && pace->stop())
            err = RG_ERR_INTERRUPTED;
    }
    if (err == 0)
        note(&b, to);
    close_bench(&b);
    return err;
}

/* Until now the fixed time is that of a whole step. */
static void subtract_parts(struct rg_measured *m)
{
    for (int i = 0; i < m->batch_count; i++) {
        struct rg_measured_batch *batch = &m->batches[i];
        double parts = batch->loss_s;
        for (int l = 0; l < m->layer_count; l++) {
            const struct rg_measured_layer *layer = &batch->layers[l];
            parts += layer->forward_s + layer->backward_s + layer->update_s;
        }
        batch->fixed_s = fmax(0, batch->fixed_s - parts);
    }
}

static int time_all(const struct rg_cal_layers *want, const struct rg_cal_pace *pace,
                    struct rg_measured *m)
{
    int err = 0;
    for (int pass = 0; pass < pace->passes; pass++)
        for (int i = 0; i < want->count && err == 0; i++) {
            if (pace->progress)
                pace->progress("layers", pass * want->count + i, pace->passes * want->count);
            err = time_batch(want, pace, want->batches[i], &m->batches[i]);
        }
    return err;
}

/* ---- copies ---- */

/* The same steps over and over, until this process is killed. */
static void run_copy(const struct rg_cal_layers *want)
{
    struct rg_cal_pace pace = {.window_s = COPY_S, .least = 1, .passes = INT_MAX};
    struct rg_measured unused = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    rg_blas_set_threads(want->threads);
    if (rg_measured_make(&unused, want->network, want->batches, want->count))
        time_all(want, &pace, &unused);
    _exit(1);
}

static int start_copies(const struct rg_cal_layers *want, pid_t *copies, struct rg_error *e)
{
    if (rg_cores() < want->copies * want->threads)
        return rg_fail(e, RG_ERR_INVALID,
                       "%d copies with %d threads each want %d cores, this machine has %d",
                       want->copies, want->threads, want->copies * want->threads, rg_cores());
    fflush(NULL);
    for (int i = 1; i < want->copies; i++) {
        copies[i] = fork();
        if (copies[i] < 0)
            return rg_fail(e, RG_ERR_INTERNAL, "a copy cannot be started: %s", strerror(errno));
        if (copies[i] == 0) {
            rg_cores_share(i, want->copies, want->threads);
            run_copy(want);
        }
    }
    if (want->copies > 1)
        rg_cores_share(0, want->copies, want->threads);
    return 0;
}

static int stop_copies(const struct rg_cal_layers *want, const pid_t *copies, struct rg_error *e)
{
    int err = 0;
    for (int i = 1; i < want->copies; i++) {
        if (copies[i] <= 0)
            continue;
        if (waitpid(copies[i], NULL, WNOHANG) != 0) {
            err = rg_fail(e, RG_ERR_INTERNAL, "a copy ended while this one was measured");
            continue;
        }
        kill(copies[i], SIGKILL);
        while (waitpid(copies[i], NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    return err;
}

/* ---- all ---- */

int rg_cal_layers(const struct rg_cal_layers *want, const struct rg_cal_pace *pace,
                  struct rg_measured *m, struct rg_error *e)
{
    int most = rg_network_most_batch(want->network);
    *m = (struct rg_measured){.threads = want->threads, .copies = want->copies};
    if (want->batches[want->count - 1] > most)
        return rg_fail(e, RG_ERR_INVALID, "batch %d: 1 to %d samples can be passed through %s",
                       want->batches[want->count - 1], most, want->network->file);
    pid_t *copies = calloc((size_t)want->copies, sizeof *copies);
    bool there = copies && rg_measured_make(m, want->network, want->batches, want->count);
    int err = there ? 0 : rg_fail(e, RG_ERR_NOMEM, "out of memory");
    if (err == 0)
        err = start_copies(want, copies, e);
    rg_blas_set_threads(want->threads);
    if (err == 0 && (err = time_all(want, pace, m)) != 0)
        rg_fail(e, err, "%s", rg_strerror(err));
    if (copies) {
        int ended = stop_copies(want, copies, e);
        err = err ? err : ended;
    }
    rg_blas_set_threads(1);
    free(copies);
    if (err) {
        rg_measured_free(m);
        return err;
    }
    subtract_parts(m);
    rg_copy_text(m->network, sizeof m->network, want->network->name);
    snprintf(m->optimizer, sizeof m->optimizer, "%s", rg_optimizer_infos[want->optimizer].name);
    return rg_digest_file(want->network->file, m->network_digest) == 0
               ? 0
               : rg_fail(e, RG_ERR_IO, "%s: cannot be read", want->network->file);
}
