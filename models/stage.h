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

/* args: as of a layer's pass, but of the whole stage: w, dw, update are its own parameters, their
 * gradients and what is updated; y, of forward, is where the stage's output goes if not NULL, else
 * to its place in the stash, where backward wants it.
 *
 * A step of plain SGD along with backward (args->update) gives the bits of backward and then
 * rg_sgd, but a small batch reads and writes the parameters once less often. For updates whose
 * gradient nobody else needs.
 *
 * Backward in halves is for stages whose layers all split: the two give the bits of the whole. */
void rg_stage_forward(const struct rg_stage *stage, const struct rg_pass_args *args);
void rg_stage_backward(const struct rg_stage *stage, const struct rg_pass_args *args);

/* Append the cost of a pass. RG_BACKWARD drops to RG_BACKWARD_FIRST for layer 0 of the network by
 * itself, as RG_BACKWARD_INPUT to RG_BACKWARD_INPUT_FIRST: its input needs no gradient (that of a
 * network inside a layer may). */
void rg_stage_work(const struct rg_stage *stage, int batch, enum rg_pass pass,
                   struct rg_work *work);

#endif
