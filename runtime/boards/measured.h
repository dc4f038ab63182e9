/* What training a network takes on a machine, measured layer by layer (ringcal --network):
 * seconds in place of those that a datasheet gives. */
#ifndef RG_BOARDS_MEASURED_H
#define RG_BOARDS_MEASURED_H

#include "base/cost.h"
#include <stdbool.h>

/* Seconds of a layer for so many samples at once. */
struct rg_measured_layer {
    double forward_s, backward_s;
    double input_s, weights_s; /* of backward in halves; NAN: not measured */
    double update_s;           /* of the optimiser's step on its parameters */
    double spread;             /* of the middle half of the passes, relative to the median */
};

struct rg_measured_batch {
    int samples;
    double fixed_s; /* of a step that is neither a layer's nor the loss: loading, calls */
    double loss_s;
    double spread;                    /* of whole steps */
    struct rg_measured_layer *layers; /* [layer_count] */
};

struct rg_measured {
    char *file;              /* it was read from; NULL: from none */
    char network[64];        /* its name */
    char network_digest[65]; /* SHA-256 of the network's file */
    char board[48];          /* the machine */
    char program[120];       /* what ran there: program, kernels */
    char optimizer[16];      /* whose steps they are */
    int threads;
    int copies; /* that ran at the same time, each on cores of its own */
    int layer_count;
    size_t *first; /* [layer_count + 1] parameters before each layer */
    int batch_count;
    struct rg_measured_batch *batches; /* samples rising */
};

/* Seconds of a part. Between two batches a straight line in their logarithms, both of the batch and
 * of the seconds, so that what takes the same for every sample, or for every batch, stays so.
 * Beyond them (jobs that want that are refused, rg_measured_has) in proportion to the samples. An
 * update takes the mean of what it took with all batches; of a layer's parameters, their share. */
double rg_measured_seconds(const struct rg_measured *measured, const struct rg_part *part);
/* Are so many samples at once within what was measured? */
bool rg_measured_has(const struct rg_measured *measured, int samples);
/* Were the halves of backward measured, of all layers whose backward was? */
bool rg_measured_has_halves(const struct rg_measured *measured);
void rg_measured_free(struct rg_measured *measured);

#endif
