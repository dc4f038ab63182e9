/* A platform that all runs have is loaded once, by the process that forks them off: a run has up to
 * four processes that want it, and a small one takes less time than loading hundreds of hosts. */
#ifndef RG_SIM_PRELOAD_H
#define RG_SIM_PRELOAD_H

#include "strands/sim_options.h"

/* Zeroed: no run has been noted. */
struct rg_preload {
    char *text; /* [size] of the platform as SimGrid is given it */
    size_t size;
    bool apart;  /* there is none that fits all runs */
    bool energy; /* some are on SimGrid's engine */
};

/* Of each run, while its platform is open. */
void rg_preload_note(struct rg_preload *p, const struct rg_sim_options *options);
/* Loads what all have, if there is such a platform; once, before the runs are forked off. */
void rg_preload(const struct rg_preload *p);
void rg_preload_forget(struct rg_preload *p);

#endif
