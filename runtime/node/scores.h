/* How good trained parameters are, on the samples that train and on those to test, without any
 * training: by one process, a block of samples at a time. */
#ifndef RG_NODE_SCORES_H
#define RG_NODE_SCORES_H

#include "study/job.h"

/* Of some samples. */
struct rg_score {
    int samples;
    double loss;     /* mean over samples, as in training */
    double accuracy; /* NAN where targets are numbers */
    double r2;       /* NAN where they are labels, or where no number differs */
};

/* Of samples [first, first + count) of data that was read; parameters [network->parameters].
 * RG_ERR_NOMEM. */
int rg_score(const struct rg_network *network, const float *parameters,
             const struct rg_dataset *data, int first, int count, struct rg_score *score);

/* The parameters in the file `load` on all samples of a study (rg_study_open_samples), standardised
 * as the file says: a line for those that train and one for those to test to `tell`. */
int rg_scores_here(struct rg_study *study, const char *load, FILE *tell, struct rg_error *e);

#endif
