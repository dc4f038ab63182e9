/* The step of a network's parameters: the optimiser's, clipped layer by layer, and that of running
 * statistics. */
#ifndef RG_MODELS_UPDATE_H
#define RG_MODELS_UPDATE_H

#include "models/network.h"
#include "models/optimizer.h"

/* Step number `step` >= 1 on the n parameters from `first` on: w, gradient [n], state
 * [rg_optimizer_state] are those of this range alone, and any split of the vector gives the same
 * result but for clipping, which is of the part of each layer that is here. Statistics take their
 * own step, w -= rate * gradient, and have no part in a layer's norm, nor in l1 and l2. The
 * gradient may change, but of RG_SGD without clipping. */
void rg_network_step(const struct rg_network *network, const struct rg_optimizer *optimizer,
                     long step, size_t first, size_t n, float *w, float *gradient, float *state);

#endif
