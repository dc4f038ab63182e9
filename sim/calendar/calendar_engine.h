/* The calendar engine: strands are coroutines, and time goes from one date of a calendar to the
 * next. What takes time: processors (processors.h), messages (connections.h), links (sharing.h).
 *
 * Ties: all that is due at one date (same_date.h) happens before any strand runs; then strands run
 * in the order of their ranks, of one rank in the order in which they were made. So no result
 * depends on the order in which ranks were started, or on rounding where that stays below. */
#ifndef RG_CALENDAR_ENGINE_H
#define RG_CALENDAR_ENGINE_H

#include "calendar_platform.h"

#include "base/error.h"
#include "sim/strands/sim_options.h"

/* As rg_sim_run. */
int rg_calendar_engine_run(const struct rg_sim_options *options,
                           const struct rg_calendar_platform *platform, rg_program_fn program,
                           void *arg, int *results, struct rg_error *error);

#endif
