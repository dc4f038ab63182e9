/* What the layers of a network take on this machine, by the kernels that ringnode runs. */
#ifndef RG_CALIBRATE_LAYER_TIMES_H
#define RG_CALIBRATE_LAYER_TIMES_H

#include "base/error.h"
#include "boards/measured.h"
#include "calibrate/calibrate.h"
#include "models/network.h"
#include "models/optimizer.h"

struct rg_cal_layers {
    const struct rg_network *network;
    const int *batches; /* [count] rising */
    int count;
    int threads; /* of BLAS */
    int copies;  /* processes that take such steps at the same time, this one among them */
    enum rg_optimizer_kind optimizer; /* not RG_LBFGS */
};

/* Training steps with each batch, on numbers drawn at random: of every part the least that it took.
 * pace: window_s for each batch in each of the passes over all batches, at least `least` steps.
 * Fills in all but file, board and program. Errors: RG_ERR_NOMEM, RG_ERR_INTERRUPTED,
 * RG_ERR_INVALID (batches that are more than a pass can take, fewer cores than copies),
 * RG_ERR_INTERNAL (a copy ended). */
int rg_cal_layers(const struct rg_cal_layers *want, const struct rg_cal_pace *pace,
                  struct rg_measured *measured, struct rg_error *e);

#endif
