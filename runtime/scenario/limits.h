/* Inside this box: what scenario.c, overrides.c and seal.c share. */
#ifndef RG_SCENARIO_LIMITS_H
#define RG_SCENARIO_LIMITS_H

#include "scenario/scenario.h"
#include "scenario/text.h"

/* What a scalar of a scenario may be, by its name as an attribute or --set key; NULL: no scalar. */
const struct rg_limit *rg_scenario_limit(const char *name);

#define RG_NUMERICS_WORDS "skip|real" /* in the order of the bool */

#endif
