/* A trained network's outputs for rows of one's own: an .npy file in, another one out, by one
 * process or by nodes that have the network's layers between them.
 *
 * Happy path: the rows are read through and checked, the file of outputs is begun; block by block
 * rows go through the layers. On nodes each computes the layers that it has in training and sends
 * their outputs on; several blocks are under way at once. Failure modes handled: those of
 * own_rows.h; a disk that is full; an error of the world. The file of outputs appears whole or not
 * at all. */
#ifndef RG_NODE_OUTPUTS_H
#define RG_NODE_OUTPUTS_H

#include "node/block.h"
#include "result/checkpoint.h"
#include "strategies/strategy.h"

struct rg_outputs {
    /* Set by the caller, borrowed. */
    const struct rg_network *network;
    const float *parameters; /* of the whole network */
    const struct rg_checkpoint_rows *told;

    struct rg_own_rows *rows;
    struct rg_file file;
    int64_t *tally;        /* [network->classes] rows whose most likely class that is; NULL: a row
                            * has not one class */
    struct rg_error error; /* why a call failed, where it was not the world */
    struct rg_block block;
};

/* Can those rows be read, by such a network? Nothing stays open. */
int rg_outputs_check(struct rg_outputs *o, const char *in);
/* Rank 0, or who computes alone: the rows, and the file that outputs go to. */
int rg_outputs_open(struct rg_outputs *o, const char *in, const char *out);
/* Every row through all layers here. */
int rg_outputs_alone(struct rg_outputs *o);
/* All of that by this process: parameters from the file `load`, a line a class to `tell` (may be
 * NULL). */
int rg_outputs_here(const struct rg_network *network, const char *load, const char *in,
                    const char *out, FILE *tell, struct rg_error *e);
/* Collective over the job's nodes, each with an o of its own, opened on rank 0 alone. */
int rg_outputs_ring(struct rg_world *w, const struct rg_job *job, struct rg_outputs *o);
/* The file is whole. */
int rg_outputs_commit(struct rg_outputs *o);
/* A line a class that rows are most likely of, where rows have one. */
void rg_outputs_tell(const struct rg_outputs *o, FILE *stream);
void rg_outputs_close(struct rg_outputs *o); /* without a commit nothing is written */

#endif
