/* How far a network's outputs are from their targets. */
#ifndef RG_MODELS_LOSS_H
#define RG_MODELS_LOSS_H

#include "base/cost.h"
#include "models/targets.h"

/* The class of the largest of `classes` logits; of equal ones, the lowest. */
int rg_most_likely(int classes, const float *logits);
/* Labels: softmax with cross-entropy, natural logarithms; numbers: the square of the difference.
 * outputs, gradient [batch x count x classes], numbers [batch x count] (may be the same array;
 * gradient NULL: evaluation only); targets [batch x count]. Of a network of tokens the logits of
 * one token stand together: the shape of its outputs is tokens (as channels) x classes (as height)
 * x 1. A sample's loss is the mean over its targets; returned is the sum over the samples. The
 * gradient is that of `scale` times this sum. *correct is increased by the number of labels that
 * are the most likely class, and stays as it is where targets are numbers. */
double rg_loss(const struct rg_targets *t, int batch, const float *outputs, const void *targets,
               float scale, float *gradient, int64_t *correct);
/* R2, 1 less the squared error over the squared distance from the mean, of each of the numbers that
 * a sample is to come near to, and the mean of these; a number that is the same in all samples does
 * not count (NAN: none does). outputs and targets [samples x count]. */
double rg_loss_r2(const struct rg_targets *t, size_t samples, const float *outputs,
                  const float *targets);
void rg_loss_work(const struct rg_targets *t, int batch, struct rg_work *work);

#endif
