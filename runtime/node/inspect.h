/* What rank 0 does with the parameters as they stream by, layer by layer: digest, checkpoint,
 * loss on the test samples and what follows from it. It never holds more than one layer, so a
 * network larger than a board can be inspected on one. */
#ifndef RG_INSPECT_H
#define RG_INSPECT_H

#include "base/digest.h"
#include "result/checkpoint.h"
#include "strategies/strategy.h"

struct rg_inspection {
    const struct rg_job *job;
    bool evaluate; /* the test set's loss and accuracy */
    struct rg_digest *digest;
    struct rg_checkpoint_writer *checkpoints[2]; /* NULL: none */
    int *confusion; /* NULL, or the caller's, [classes x classes], zeros: result, [true][predicted]
                     */
    float *layer;   /* parameters of the layer under way */
    size_t have;    /* of them */
    int next;       /* layer that comes next */
    float *x, *y;   /* [test x widest]: activations before and after it */
    float *stash, *scratch;
    bool finite; /* result: all parameters so far */
    /* Results. loss is the mean, NAN where a parameter is not finite; accuracy of labels, r2 of
     * numbers: else NAN. */
    double loss, accuracy, r2;
};

enum { RG_INSPECT_SAMPLES = 256 }; /* samples of a pass */

/* Bytes that an evaluation takes on rank 0, beside what it trains with; a board's memory is not
 * held against it. At most RG_SIZE_MOST. */
uint64_t rg_inspection_memory(const struct rg_job *job);
int rg_inspection_open(struct rg_inspection *inspection, const struct rg_job *job, bool evaluate);
/* A rg_visit_fn; arg is the inspection. */
int rg_inspection_visit(void *inspection, size_t offset, const float *values, size_t count);
/* The loss on the test set before any training, which needs no other node: with the parameters in
 * `initial`, or (NULL) those that the job's seed draws. NAN without a test set. RG_ERR_NOMEM. */
int rg_inspect_start(const struct rg_job *job, const float *initial, double *loss);
/* After the last visit: results are filled in. Frees what open allocated. */
void rg_inspection_close(struct rg_inspection *inspection);

#endif
