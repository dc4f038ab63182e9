/* One node that trains a network 784-H-H-10 by the calls that strategies use, for benchmarks. */
#ifndef RG_TESTS_BENCH_TRAINER_H
#define RG_TESTS_BENCH_TRAINER_H

#include "base/mem.h"
#include "models/dataset.h"
#include "models/stage.h"

/* One network at one batch. */
struct trainer {
    struct rg_mem *mem;
    struct rg_network network;
    struct rg_stage stage;
    struct rg_dataset data;
    int batch, next;
    float *w, *dw, *x, *stash, *scratch, *dlogits; /* w, dw: [network.parameters] */
    uint8_t *labels;
    uint32_t *order;
};

float *trainer_floats(struct rg_mem *mem, size_t n);
void trainer_make(struct trainer *t, int hidden, int batch);
void trainer_free(struct trainer *t);
/* One iteration: one batch, and one update of plain SGD in the backward pass. arg: a trainer. */
void trainer_train(void *arg, float rate);
/* One batch, of which the gradient is in dw, the mean over `samples`. */
void trainer_gradient(struct trainer *t, int samples);

#endif
