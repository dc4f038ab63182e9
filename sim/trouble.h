/* What a scenario's <faults> and the bandwidth profiles of a platform do to links in SimGrid's
 * engine; see strands/windows.h for what they are. */
#ifndef RG_SIM_TROUBLE_H
#define RG_SIM_TROUBLE_H

#include "strands/sim_options.h"
#include "strands/windows.h"
#include "world/world.h"
#include <simgrid/host.h>
#include <simgrid/semaphore.h>

struct rg_sim_faults;

/* After the platform is loaded. NULL where neither the options nor profiles order anything of
 * links. All outlive it. */
struct rg_sim_faults *rg_sim_faults_new(const struct rg_sim_options *options,
                                        struct rg_sim_profiles *profiles, const sg_host_t *hosts);
void rg_sim_faults_free(struct rg_sim_faults *f);

/* Rank 0's clock has started, stopped or gone on. */
void rg_sim_faults_clock(struct rg_sim_faults *f, const struct rg_world *w);
/* To be called right before bytes go on their way. SimGrid (3.32, NetworkCm02Model) bounds a flow
 * as long as it lasts by what its links have when it begins: slow ones are given all they have for
 * this instant, and are slow again before time passes. */
void rg_sim_faults_depart(struct rg_sim_faults *f);
/* Nothing more is simulated: the bell to release after this, or NULL. */
sg_sem_t rg_sim_faults_end(struct rg_sim_faults *f);

#endif
