/* Which samples belong to which iteration, node and micro-batch. */
#ifndef RG_STRATEGIES_FEED_H
#define RG_STRATEGIES_FEED_H

#include "strategies/strategy.h"

/* A view of the shuffled training set; one a node, reshuffled as epochs pass. */
struct rg_feed {
    const struct rg_job *job;
    int epoch; /* whose order is loaded; -1: none yet */
    uint32_t *order;
};

/* Allocates uncounted memory; nothing where numerics are skipped. */
int rg_feed_open(struct rg_feed *feed, struct rg_world *w, const struct rg_job *job);
/* Load the order of the epoch that holds `iteration`. */
int rg_feed_epoch(struct rg_feed *feed, int64_t iteration);
/* Copy samples [first, first + n) of the batch of `iteration`. x, labels: either may be NULL. */
void rg_feed_gather(const struct rg_feed *feed, int64_t iteration, int first, int n, float *x,
                    uint8_t *labels);

#endif
