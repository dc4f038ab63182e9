/* How fast one node trains, against what this machine can do in the same run.
 *
 * Images a second for 784-50-50-10 and 784-512-512-10 at batch 1, 32 and 128: samples gathered,
 * forward, loss, backward and an SGD step, through the same calls as the strategies use. Beside
 * each, as a ratio: the rate of the operations that its products need (forward, weight gradients,
 * and input gradients but for the first layer) against cblas_sgemm's at N = 1024; at batch 1 the
 * time to read and write every parameter once against the time of an image.
 *
 * Measurements take turns, round by round, and a ratio is formed within a round, so that a machine
 * that slows down for a while slows both sides; the median over the rounds is printed, with the
 * smallest and the largest. */
#include "base/check.h"
#include "base/clock.h"
#include "base/clones.h"
#include "base/mem.h"
#include "models/blas.h"
#include "models/stage.h"
#include "tests/bench/trainer.h"

#include <argp.h>
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GEMM_SIZE  1024
#define MAX_ROUNDS 1000
#define RATE       1e-3f

struct options {
    int rounds;
    double slice_s;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    char *end = arg;
    if (key == 'r') {
        options->rounds = (int)strtol(arg, &end, 10);
        if (*end || options->rounds < 1 || options->rounds > MAX_ROUNDS)
            argp_error(state, "--rounds=%s: 1 to %d are allowed", arg, MAX_ROUNDS);
    } else if (key == 's') {
        options->slice_s = strtod(arg, &end);
        if (*end || !(options->slice_s > 0 && options->slice_s <= 60))
            argp_error(state, "--slice=%s: more than 0 and up to 60 seconds are allowed", arg);
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Repeat work(arg) for about a slice; returns the seconds of one call. */
static double time_of(void (*work)(void *), void *arg, double slice_s)
{
    double start = rg_clock_s(), now;
    long calls = 0;
    do {
        work(arg);
        calls++;
    } while ((now = rg_clock_s()) - start < slice_s);
    return (now - start) / (double)calls;
}

static void train(void *arg)
{
    trainer_train(arg, RATE);
}

/* Operations of the products alone. */
static double product_flops(const struct trainer *t)
{
    struct rg_work work = {0};
    double flops = 0;
    rg_stage_work(&t->stage, t->batch, RG_FORWARD, &work);
    rg_stage_work(&t->stage, t->batch, RG_BACKWARD, &work);
    for (int i = 0; i < work.count; i++)
        if (work.cost[i].k > 0)
            flops += work.cost[i].flops * work.cost[i].calls;
    rg_work_free(&work);
    return flops;
}

struct product {
    float *a, *b, *c;
};

static void multiply(void *arg)
{
    struct product *p = arg;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, GEMM_SIZE, GEMM_SIZE, GEMM_SIZE, 1, p->a,
                GEMM_SIZE, p->b, GEMM_SIZE, 0, p->c, GEMM_SIZE);
}

/* Every parameter read and written once, as fast as this processor's vectors go. */
RG_CLONES
static void scale(size_t n, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= 0.999999f;
}

static void scale_parameters(void *arg)
{
    struct trainer *t = arg;
    scale(t->network.parameters, t->w);
}

struct target {
    const char *name;
    int hidden, batch;
    double least; /* the ratio asked for; 0: none */
};

static const struct target targets[] = {
    {"784-50-50-10", 50, 1, 0.2},      {"784-50-50-10", 50, 32, 0},
    {"784-50-50-10", 50, 128, 0},      {"784-512-512-10", 512, 1, 0.2},
    {"784-512-512-10", 512, 32, 0.55}, {"784-512-512-10", 512, 128, 0.8},
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

/* What one round of one target gives. */
struct sample {
    double rate, reference, ratio; /* images/s; FLOP/s of sgemm, or passes/s; how near */
};

static struct sample measure(struct trainer *t, struct product *product, double slice_s)
{
    struct sample s;
    double image_s = time_of(train, t, slice_s) / t->batch;
    s.rate = 1 / image_s;
    if (t->batch == 1) {
        s.reference = 1 / time_of(scale_parameters, t, slice_s);
        s.ratio = s.rate / s.reference;
    } else {
        double size = GEMM_SIZE;
        s.reference = 2 * size * size * size / time_of(multiply, product, slice_s);
        s.ratio = s.rate * product_flops(t) / t->batch / s.reference;
    }
    return s;
}

static void report(const struct target *target, struct sample *samples, int rounds)
{
    static double column[3][MAX_ROUNDS];
    for (int i = 0; i < rounds; i++) {
        column[0][i] = samples[i].rate;
        column[1][i] = samples[i].reference;
        column[2][i] = samples[i].ratio;
    }
    double rate = median(column[0], rounds), reference = median(column[1], rounds);
    double ratio = median(column[2], rounds);
    double smallest = column[2][0], largest = column[2][rounds - 1];
    char against[48], least[48] = "";
    if (target->batch == 1)
        snprintf(against, sizeof against, "%10.0f passes/s ", reference);
    else
        snprintf(against, sizeof against, "%10.1f GFLOP/s  ", reference * 1e-9);
    if (target->least > 0)
        snprintf(least, sizeof least, "  least %.2f: %s", target->least,
                 ratio >= target->least ? "met" : "MISSED");
    printf("%-15s %5d %12.0f %s %8.3f (%.3f to %.3f)%s\n", target->name, target->batch, rate,
           against, ratio, smallest, largest, least);
}

int main(int argc, char **argv)
{
    static const struct argp_option known[] = {
        {"rounds", 'r', "N", 0, "rounds of measurements; the median is printed (15)", 0},
        {"slice", 's', "SECONDS", 0, "time spent on one measurement (0.1)", 0},
        {0}};
    static const struct argp argp = {
        known, parse_option,
        NULL,  "Training speed of one node against sgemm and against memory, in one run.",
        NULL,  NULL,
        NULL};
    static struct sample samples[RG_COUNT(targets)][MAX_ROUNDS];
    struct options options = {.rounds = 15, .slice_s = 0.1};
    struct trainer trainers[RG_COUNT(targets)];
    rg_blas_setup(argv);
    argp_parse(&argp, argc, argv, 0, NULL, &options);

    struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
    RG_ASSERT(mem);
    struct product product = {trainer_floats(mem, GEMM_SIZE * GEMM_SIZE),
                              trainer_floats(mem, GEMM_SIZE * GEMM_SIZE),
                              trainer_floats(mem, GEMM_SIZE * GEMM_SIZE)};
    for (size_t i = 0; i < RG_COUNT(targets); i++)
        trainer_make(&trainers[i], targets[i].hidden, targets[i].batch);

    printf("OpenBLAS kernels %s, %d thread\n", rg_blas_kernels(), rg_blas_threads());
    if (rg_blas_note())
        printf("%s\n", rg_blas_note());
    if (rg_blas_better())
        printf("the processor's features allow %s kernels\n", rg_blas_better());
    for (int round = 0; round < options.rounds; round++)
        for (size_t i = 0; i < RG_COUNT(targets); i++)
            samples[i][round] = measure(&trainers[i], &product, options.slice_s);

    printf("\n%-15s %5s %12s %-20s %8s\n", "network", "batch", "images/s", "  sgemm or memory",
           "ratio");
    for (size_t i = 0; i < RG_COUNT(targets); i++) {
        report(&targets[i], samples[i], options.rounds);
        trainer_free(&trainers[i]);
    }
    rg_mem_free(mem);
    return 0;
}
