/* How large a network a strategy can hold on its boards. */
#ifndef RG_CAPACITY_H
#define RG_CAPACITY_H

#include "strategies/strategy.h"

/* The largest network of the shape of a job's (see rg_network_scale) that fits the boards the job
 * runs on, its other parameters as they are: what is automatic is chosen anew for it. */
struct rg_capacity {
    size_t parameters; /* 0: none fits */
    int widest;        /* of that network's scaled widths */
    double factor;     /* its widths over those of the job's network */
    bool limited;      /* by boards; else by what networks may have, or nothing can be scaled */
};

/* RG_ERR_NOMEM. Memory demands are the strategy's own count, those that runs are checked with; as
 * they never fall when a width grows, the largest is found by halving. */
int rg_job_capacity(const struct rg_job *job, struct rg_capacity *capacity, struct rg_error *e);

#endif
