/* Samples through the layers of a trained network, a block at a time, to evaluate. */
#ifndef RG_NODE_BLOCK_H
#define RG_NODE_BLOCK_H

#include "models/network.h"

struct rg_block {
    const struct rg_network *network; /* borrowed, as the parameters are */
    const float *parameters;          /* of the whole network */
    float *x;                         /* [samples x widest] before and after a layer */
    float *stash, *scratch;
};

/* Room for a block of so many samples. RG_ERR_NOMEM: nothing is held. */
int rg_block_open(struct rg_block *block, const struct rg_network *network, const float *parameters,
                  int samples);
/* n samples through layers [from, to), from x to x. */
void rg_block_pass(struct rg_block *block, int from, int to, int n);
void rg_block_close(struct rg_block *block); /* all zero is allowed, and left */

#endif
