/* Profiles of a platform (scenario/profile.h) while time goes on: what holds at a date, and when it
 * is another. Dates are simulated ones, of which training time is a part.
 *
 * Speed: all that a host's cores do goes on at the new speed. Bandwidth: flows under way change
 * with their link, which takes <faults> (windows.h) on top. Latency: a message has that of the date
 * at which its connection is free for it, and keeps it. */
#ifndef RG_SIM_PROFILES_H
#define RG_SIM_PROFILES_H

#include "scenario/profile.h"
#include <stdbool.h>

struct rg_sim_profile {
    const struct rg_profile *profile;
    int target[2];  /* [targets] links as the engine numbers them (one each way of split-duplex) */
    int targets;    /* ... or the rank whose speed it is; 0: nobody's here */
    double value;   /* at the date it was last asked for; NAN: as the platform says elsewhere */
    double begun_s; /* of the period that the next point is in */
    int next;
};

struct rg_sim_profiles {
    struct rg_sim_profile *profile;
    int count;
};

/* Nothing has changed yet, and whose they are is left open. profiles: NULL is none; outlives it. */
void rg_sim_profiles_open(struct rg_sim_profiles *all, const struct rg_profiles *profiles);
void rg_sim_profiles_close(struct rg_sim_profiles *all);
bool rg_sim_profiles_have(const struct rg_sim_profiles *all, enum rg_profile_kind kind);

/* Brings it to what holds at `now`, which never falls; the date of its next point, or INFINITY. */
double rg_sim_profile_go(struct rg_sim_profile *profile, double now);
/* Latencies of links as they are at `now`: those that have changed are written to latency_s. */
void rg_sim_profiles_latencies(struct rg_sim_profiles *all, double now, double *latency_s);

#endif
