/* Which samples belong to which iteration, node and micro-batch. */
#ifndef RG_STRATEGIES_FEED_H
#define RG_STRATEGIES_FEED_H

#include "strategies/strategy.h"

/* A view of the shuffled training set; one a node, reshuffled as epochs pass. */
struct rg_feed {
    const struct rg_job *job;
    int kept;            /* epochs whose orders are kept at once */
    int64_t epoch;       /* the last whose order is loaded; -1: none yet */
    uint32_t *order;     /* [count]: of an epoch whose number `kept` divides */
    uint32_t *more;      /* [kept - 1][count]: of the others */
    int count;           /* samples: all for training, or this node's own */
    const uint32_t *own; /* [count] this node's own; NULL: they are shared */
    int part, parts;     /* with own: this node among those that share a batch */
};

/* For samples of so many epochs at once, of this node's own rows where it has any. The first order
 * is counted with the samples, where they are loaded; the others are counted, see rg_feed_memory.
 */
int rg_feed_open(struct rg_feed *feed, struct rg_world *w, const struct rg_job *job, int epochs);
uint64_t rg_feed_memory(const struct rg_job *job, int epochs);
/* Load the order of the epoch that holds `iteration`, and forget that of the oldest. Epochs come in
 * order. */
int rg_feed_epoch(struct rg_feed *feed, int64_t iteration);
/* The same where a node with rows of its own counts epochs by itself: any number is an order. */
void rg_feed_own(struct rg_feed *feed, int64_t epoch);
/* Copy samples [first, first + n) of the batch of `iteration`. x, targets: either may be NULL. Of
 * its own rows a node takes as many as are its share of the batch: those that come next in an order
 * of theirs that each epoch draws anew, from the beginning again where they do not suffice. Where
 * the nodes of its strategy share no batch, [first, first + n) of the order of rg_feed_own. */
void rg_feed_gather(const struct rg_feed *feed, int64_t iteration, int first, int n, float *x,
                    void *targets);
/* Copy samples [first, first + n) of the order that rg_feed_own has loaded, of `count`. */
void rg_feed_gather_own(const struct rg_feed *feed, int first, int n, float *x, void *targets);

#endif
