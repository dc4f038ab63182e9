/* Passes over a stage, their arguments in a row. */
#ifndef RG_TESTS_PASSES_H
#define RG_TESTS_PASSES_H

#include "models/stage.h"

static inline void stage_forward(const struct rg_stage *stage, int batch, const float *w,
                                 const float *x, float *stash, float *scratch)
{
    rg_stage_forward(
        stage,
        &(struct rg_pass_args){.batch = batch, .w = w, .x = x, .stash = stash, .scratch = scratch});
}

static inline void stage_backward(const struct rg_stage *stage, int batch, const float *w,
                                  const float *x, float *stash, float *dy, float *dx, float *dw,
                                  bool accumulate, float *scratch)
{
    rg_stage_backward(stage, &(struct rg_pass_args){.batch = batch,
                                                    .w = w,
                                                    .x = x,
                                                    .stash = stash,
                                                    .dy = dy,
                                                    .dx = dx,
                                                    .dw = dw,
                                                    .accumulate = accumulate,
                                                    .scratch = scratch});
}

/* With a step of plain SGD. */
static inline void stage_backward_sgd(const struct rg_stage *stage, int batch, float *w,
                                      const float *x, float *stash, float *dy, float *dx, float *dw,
                                      float rate, float *scratch)
{
    rg_stage_backward(stage, &(struct rg_pass_args){.batch = batch,
                                                    .w = w,
                                                    .x = x,
                                                    .stash = stash,
                                                    .dy = dy,
                                                    .dx = dx,
                                                    .dw = dw,
                                                    .update = w,
                                                    .rate = rate,
                                                    .scratch = scratch});
}

#endif
