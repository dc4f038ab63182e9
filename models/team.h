/* Work shared among as many threads as matrix products have (rg_blas_threads), which wait for it:
 * the caller and some helpers. What each part computes does not depend on who does it, so bits do
 * not depend on the number of threads. */
#ifndef RG_MODELS_TEAM_H
#define RG_MODELS_TEAM_H

#include <stddef.h>

/* Part `part` of `parts` of some work. */
typedef void rg_team_work(void *context, int part, int parts);

/* Returns when all parts are done. `operations` says whether it is worth sharing at all. Of one
 * caller at a time; another one does its work by itself. */
void rg_team_run(double operations, rg_team_work *work, void *context);

/* [*from, *to): part `part` of `parts` of n, in whole units. */
void rg_team_share(size_t n, size_t unit, int part, int parts, size_t *from, size_t *to);

#endif
