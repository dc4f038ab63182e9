/* Which samples belong to which iteration, node and micro-batch. */
#ifndef RG_STRATEGIES_FEED_H
#define RG_STRATEGIES_FEED_H

#include "strategies/strategy.h"

/* A view of the shuffled training set; one a node, reshuffled as epochs pass. */
struct rg_feed {
    const struct rg_job *job;
    int kept;        /* epochs whose orders are kept at once */
    int64_t epoch;   /* the last whose order is loaded; -1: none yet */
    uint32_t *order; /* [train]: of an epoch whose number `kept` divides */
    uint32_t *more;  /* [kept - 1][train]: of the others */
};

/* For samples of so many epochs at once. The first order is counted with the samples, where they
 * are loaded; the others are counted, see rg_feed_memory. */
int rg_feed_open(struct rg_feed *feed, struct rg_world *w, const struct rg_job *job, int epochs);
uint64_t rg_feed_memory(const struct rg_job *job, int epochs);
/* Load the order of the epoch that holds `iteration`, and forget that of the oldest. Epochs come in
 * order. */
int rg_feed_epoch(struct rg_feed *feed, int64_t iteration);
/* Copy samples [first, first + n) of the batch of `iteration`. x, labels: either may be NULL. */
void rg_feed_gather(const struct rg_feed *feed, int64_t iteration, int first, int n, float *x,
                    uint8_t *labels);

#endif
