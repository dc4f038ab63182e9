/* The rule for ties: dates within this of one another, relative to themselves, are one date. All
 * that is due at one date happens before any strand runs; strands run by rank then. SimGrid's clock
 * takes for one date what ends within 1e-12 s (engine.c): from seconds on less than this. */
#ifndef RG_SIM_SAME_DATE_H
#define RG_SIM_SAME_DATE_H

#define RG_SAME_DATE 1e-12
/* Closer than this, other rounding could have decided otherwise: a near tie. In long runs that is
 * as much as steps take, of which none is one: at most so many seconds. */
#define RG_NEAR_DATE 1e-9
#define RG_NEAR_S    1e-6

#endif
