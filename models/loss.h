/* Softmax with cross-entropy. */
#ifndef RG_MODELS_LOSS_H
#define RG_MODELS_LOSS_H

#include "base/cost.h"
#include <stdint.h>

/* The class of the largest of `classes` logits; of equal ones, the lowest. */
int rg_most_likely(int classes, const float *logits);
/* logits, gradient [batch x classes] (may be the same array; gradient NULL: evaluation only).
 * gradient = (softmax - onehot) * scale. Returns the summed (not averaged) loss; *correct is
 * increased by the number of samples whose label is the most likely class. */
double rg_softmax_cross_entropy(int batch, int classes, const float *logits, const uint8_t *labels,
                                float scale, float *gradient, int *correct);
void rg_softmax_cross_entropy_work(int batch, int classes, struct rg_work *work);

#endif
