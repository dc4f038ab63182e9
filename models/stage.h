/* Passes over a run of consecutive layers [from, to) of a network: the whole network for a worker,
 * a few layers for a node of a ring. Pure computation on the caller's buffers; allocates nothing.
 */
#ifndef RG_MODELS_STAGE_H
#define RG_MODELS_STAGE_H

#include "models/network.h"

struct rg_stage {
    const struct rg_network *network;
    int from, to;
};

size_t rg_stage_parameters(const struct rg_stage *stage);
size_t rg_stage_inputs(const struct rg_stage *stage);  /* floats a sample */
size_t rg_stage_outputs(const struct rg_stage *stage); /* floats a sample */

/* Floats of the stash that forward fills and backward reads: for every layer its own stash and its
 * output, the input of the stage left out. At most RG_SIZE_MOST, as all sizes that follow. */
uint64_t rg_stage_stash(const struct rg_stage *stage, int batch);
/* The stage's output inside a stash of that batch. */
float *rg_stage_output(const struct rg_stage *stage, int batch, float *stash);
/* Floats that one half of backward leaves for the other, beside dy: the gradients between layers,
 * and within them. */
uint64_t rg_stage_halves(const struct rg_stage *stage, int batch);
/* Floats of scratch for either pass at up to that batch. */
uint64_t rg_stage_scratch(const struct rg_stage *stage, int batch);

/* w, dw: the stage's own parameters and gradients. x [batch x inputs]. */
void rg_stage_forward(const struct rg_stage *stage, int batch, const float *w, const float *x,
                      float *stash, float *scratch);
/* dy [batch x outputs] may be destroyed; dx [batch x inputs] overwritten, NULL: not wanted; dw is
 * added to where accumulate is set, else overwritten. */
void rg_stage_backward(const struct rg_stage *stage, int batch, const float *w, const float *x,
                       float *stash, float *dy, float *dx, float *dw, bool accumulate,
                       float *scratch);

/* One half of rg_stage_backward, of stages whose layers all split: the two give its bits. args: as
 * of a layer's backward, but of the whole stage; no update. The first half gives dx and the
 * gradients of biases; x, stash and dy (which it changes) must stay for the second, with `between`,
 * rg_stage_halves floats that it fills. Several batches may wait for their second half, whose order
 * is that of the first. */
void rg_stage_backward_half(const struct rg_stage *stage, const struct rg_pass_args *args);

/* rg_stage_backward (overwriting dw) and a step of plain SGD in one, w -= rate * dw: the same bits
 * as the two, but a small batch reads and writes the parameters once less often. For updates whose
 * gradient nobody else needs. dw is room to work in. */
void rg_stage_backward_sgd(const struct rg_stage *stage, int batch, float *w, const float *x,
                           float *stash, float *dy, float *dx, float *dw, float rate,
                           float *scratch);

/* Append the cost of a pass. RG_BACKWARD drops to RG_BACKWARD_FIRST for layer 0 of the network by
 * itself, as RG_BACKWARD_INPUT to RG_BACKWARD_INPUT_FIRST: its input needs no gradient. */
void rg_stage_work(const struct rg_stage *stage, int batch, enum rg_pass pass,
                   struct rg_work *work);

#endif
