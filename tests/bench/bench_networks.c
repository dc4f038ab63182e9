/* Training steps of one network, on one thread unless told otherwise: forward, loss, backward and a
 * step of SGD over a batch that is used again and again, as bench_networks.py compares them with
 * PyTorch's.
 *
 *   bench_networks NETWORK.xml BATCH SECONDS [THREADS]
 *
 * Prints samples a second, of processor time where one thread works, and the largest memory of the
 * process in KiB. Inputs are normal numbers, or tokens where the network begins with an embedding.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/random.h"
#include "models/blas.h"
#include "models/loss.h"
#include "scenario/scenario.h"
#include "tests/support/passes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define RATE 1e-3f

enum { WARM = 2 };

struct trainer {
    struct rg_network network;
    struct rg_stage stage;
    struct rg_targets targets;
    int batch;
    float *w, *dw, *x, *stash, *scratch, *dy;
    void *labels;
};

static float *floats(struct rg_mem *mem, size_t n)
{
    float *x = rg_mem_floats(mem, n);
    RG_ASSERT(x);
    return x;
}

static void draw(struct trainer *t)
{
    struct rg_random *random = rg_random_new(1, RG_STREAM_INIT, 0);
    const struct rg_layer_spec *first = &t->network.layers[0].spec;
    size_t inputs = (size_t)t->batch * rg_stage_inputs(&t->stage);
    RG_ASSERT(random);
    for (size_t i = 0; i < inputs; i++)
        t->x[i] = first->vocabulary > 0
                      ? (float)(int)(rg_random_uniform(random) * first->vocabulary)
                      : (float)rg_random_gaussian(random, 1);
    for (size_t i = 0; i < (size_t)(t->batch * t->targets.count); i++)
        rg_target_set_label(&t->targets, t->labels, i,
                            (int32_t)(rg_random_uniform(random) * t->targets.classes));
    rg_random_free(random);
}

static void trainer_make(struct trainer *t, struct rg_mem *mem)
{
    const struct rg_layer *last = &t->network.layers[t->network.layer_count - 1];
    bool tokens = t->network.layers[0].spec.vocabulary > 0;
    t->stage = (struct rg_stage){&t->network, 0, t->network.layer_count};
    t->targets = (struct rg_targets){tokens ? last->out.channels : 1,
                                     tokens ? last->out.height : (int)last->outputs};
    t->w = floats(mem, t->network.parameters);
    t->dw = floats(mem, t->network.parameters);
    t->x = floats(mem, (size_t)t->batch * rg_stage_inputs(&t->stage));
    t->dy = floats(mem, (size_t)t->batch * rg_stage_outputs(&t->stage));
    t->stash = floats(mem, rg_stage_stash(&t->stage, t->batch));
    t->scratch = floats(mem, rg_stage_scratch(&t->stage, t->batch));
    t->labels = rg_mem_plain(mem, (size_t)t->batch * rg_targets_bytes(&t->targets));
    RG_ASSERT(t->labels);
    RG_ASSERT(rg_network_init(&t->network, 0, t->network.layer_count, 1, t->w) == 0);
    draw(t);
}

static void step(struct trainer *t)
{
    int64_t correct = 0;
    stage_forward(&t->stage, t->batch, t->w, t->x, t->stash, t->scratch);
    rg_loss(&t->targets, t->batch, rg_stage_output(&t->stage, t->batch, t->stash), t->labels,
            1.0f / (float)t->batch, t->dy, &correct);
    stage_backward_sgd(&t->stage, t->batch, t->w, t->x, t->stash, t->dy, NULL, t->dw, RATE,
                       t->scratch);
}

int main(int argc, char **argv)
{
    struct trainer t = {.batch = argc >= 4 ? (int)strtol(argv[2], NULL, 10) : 0};
    double seconds = argc >= 4 ? strtod(argv[3], NULL) : 0, begin = 0, now;
    struct rg_error e = {0};
    struct rusage usage;
    double (*clock)(void) = argc > 4 ? rg_clock_s : rg_clock_process_s;
    long steps = 0;
    rg_blas_setup(argv);
    rg_blas_set_threads(argc > 4 ? (int)strtol(argv[4], NULL, 10) : 1);
    if (t.batch < 1 || !(seconds > 0)) {
        fprintf(stderr, "usage: bench_networks NETWORK.xml BATCH SECONDS [THREADS]\n");
        return 2;
    }
    if (rg_network_load(argv[1], &t.network, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 2;
    }
    struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
    RG_ASSERT(mem);
    trainer_make(&t, mem);
    for (int i = 0; i < WARM; i++)
        step(&t);
    begin = clock();
    do {
        step(&t);
        steps++;
    } while ((now = clock()) - begin < seconds);
    getrusage(RUSAGE_SELF, &usage);
    printf("%.6g %ld\n", (double)steps * t.batch / (now - begin), usage.ru_maxrss);
    rg_mem_free(mem);
    rg_network_free(&t.network);
    return 0;
}
