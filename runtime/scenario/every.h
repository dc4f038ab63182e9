/* How often checkpoints are due, as people write it: "10min", "90s", "2epochs", "500iterations". */
#ifndef RG_SCENARIO_EVERY_H
#define RG_SCENARIO_EVERY_H

#include <stdbool.h>
#include <stdint.h>

/* After so many of one of these, the others are 0. */
struct rg_every {
    int64_t iterations, epochs;
    double seconds; /* of training */
    bool daly;      /* as many as lose the least time by Daly's form, which others work out */
};

#define RG_EVERY_ALLOWED                                                                           \
    "a time, a number of epochs or of iterations is allowed, as in 10min, 90s, 2epochs or "        \
    "500iterations"
#define RG_EVERY_SECONDS 600 /* unless something else is said */

/* False: it is none of these. */
bool rg_every_read(const char *text, struct rg_every *every);
bool rg_every_given(const struct rg_every *every);

#endif
