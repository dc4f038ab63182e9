/* Watts over time, from what a node did when. */
#ifndef RG_RESULT_POWER_H
#define RG_RESULT_POWER_H

#include "result/result.h"

struct rg_power_step { /* from this date to the next step's */
    double date_s, watts;
};

/* The steps of a node from 0 to end_s, by date, the last one 0 W at end_s. A message's joules (port
 * watts for as long as its bytes take at the port's full rate) are spread evenly over the time from
 * its first byte's leaving to its arrival. So the integral is the node's energy, but for what the
 * trace does not hold: records that were dropped, a peer's processor and frames where they are not
 * as ours, and processor time of messages that find no core free and take longer for it.
 *
 * *steps is malloc'ed, for the caller to free. 0 or RG_ERR_NOMEM. */
int rg_power_steps(const struct rg_run_power *power, const struct rg_trace *trace, double end_s,
                   struct rg_power_step **steps, size_t *count);

#endif
