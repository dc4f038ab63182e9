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

/* With a step of plain SGD of w where `update` is w; NULL: none. */
static inline void stage_backward_step(const struct rg_stage *stage, int batch, const float *w,
                                       const float *x, float *stash, float *dy, float *dx,
                                       float *dw, bool accumulate, float *update, float rate,
                                       float *scratch)
{
    rg_stage_backward(stage, &(struct rg_pass_args){.batch = batch,
                                                    .w = w,
                                                    .x = x,
                                                    .stash = stash,
                                                    .dy = dy,
                                                    .dx = dx,
                                                    .dw = dw,
                                                    .accumulate = accumulate,
                                                    .update = update,
                                                    .rate = rate,
                                                    .scratch = scratch});
}

static inline void stage_backward(const struct rg_stage *stage, int batch, const float *w,
                                  const float *x, float *stash, float *dy, float *dx, float *dw,
                                  bool accumulate, float *scratch)
{
    stage_backward_step(stage, batch, w, x, stash, dy, dx, dw, accumulate, NULL, 0, scratch);
}

static inline void stage_backward_sgd(const struct rg_stage *stage, int batch, float *w,
                                      const float *x, float *stash, float *dy, float *dx, float *dw,
                                      float rate, float *scratch)
{
    stage_backward_step(stage, batch, w, x, stash, dy, dx, dw, false, w, rate, scratch);
}

#endif
