/* Shares of a batch that need not be equal: shares="equal|speed|N,N,...". */
#ifndef RG_STRATEGIES_SHARES_H
#define RG_STRATEGIES_SHARES_H

#include "strategies/strategy.h"

/* The row of a strategy's parameters. */
#define RG_SHARES_PARAM                                                                            \
    {                                                                                              \
        .name = "shares", .type = RG_PARAM_LIST, .fallback = "equal", .choices = "equal|speed",    \
        .later = true,                                                                             \
        .help = "samples of each node in a batch: equal (they differ by at most one), speed\n"     \
                "(as fast boards as they are), or so many of each"                                 \
    }

/* For `check`: the parameter's value for the nodes first, first + 1, ..., as many as `parts`, into
 * job->shares. RG_ERR_INVALID, RG_ERR_NOMEM with the reason in *e. */
int rg_shares_check(struct rg_job *job, struct rg_value *value, int first, int parts,
                    struct rg_error *e);
/* What "speed" gives: [parts], malloc'ed; NULL: out of memory. */
int *rg_shares_by_speed(const struct rg_job *job, int first, int parts);

#endif
