/* What a scenario's <faults> do to a simulation; see scenario/faults.h for what they are.
 *
 * Slow: computations of a node take 1/factor as long while the window holds, to the piece where
 * they cross its ends; so do the seconds they lose to messages that ask for the same cores, but the
 * processor time of messages itself is not changed: a fault of the link is one of its own.
 * Jitter: the seconds of every computation times a factor drawn uniformly, each strand from a
 * stream of its own, so that nothing depends on the order in which ranks run.
 * Link: the node's own links at a fraction of their bandwidth. These are, over its routes to and
 * from every other rank, the first link of each route that begins at it and the last of each that
 * ends there: in a <cluster> its up and down link, or its one link if that is shared; between
 * explicit hosts the link at its end. A medium that all routes cross first (a radio channel without
 * links of the stations' own) is slow for all. Flows under way change with it. Ports then have no
 * queues (rg_port_queue).
 *
 * Time is training time, which stands still while something untimed is done. */
#ifndef RG_SIM_TROUBLE_H
#define RG_SIM_TROUBLE_H

#include "scenario/faults.h"
#include "world/world.h"
#include <simgrid/host.h>
#include <simgrid/semaphore.h>

enum { RG_SIM_THREADS = 64 }; /* most cores of one computation */

struct rg_sim_faults;

/* A strand's place in its stream. */
struct rg_fault_stream {
    uint64_t key, drawn;
};

/* After the platform is loaded. NULL where the options order nothing. */
struct rg_sim_faults *rg_sim_faults_new(const struct rg_faults *faults, uint64_t seed,
                                        const sg_host_t *hosts, int size);
void rg_sim_faults_free(struct rg_sim_faults *f);

/* The stream of a rank's program; that of the n-th strand (1, 2, ...) spawned by another. */
struct rg_fault_stream rg_fault_stream_of_rank(const struct rg_sim_faults *f, int rank);
struct rg_fault_stream rg_fault_stream_of_strand(const struct rg_fault_stream *parent, int n);

/* `seconds` as jitter has them. */
double rg_sim_faults_jitter(const struct rg_sim_faults *f, struct rg_fault_stream *stream,
                            double seconds);
/* Is the rank ever slow? Then this computes `seconds` on each of `threads` cores of its host. */
bool rg_sim_faults_slows(const struct rg_sim_faults *f, int rank);
void rg_sim_faults_compute(const struct rg_sim_faults *f, struct rg_world *w, sg_host_t host,
                           double seconds, int threads);

/* Rank 0's clock has started, stopped or gone on. */
void rg_sim_faults_clock(struct rg_sim_faults *f, const struct rg_world *w);
/* Whether links ever change. */
bool rg_sim_faults_slow_links(const struct rg_sim_faults *f);
/* To be called right before bytes go on their way. SimGrid (3.32, NetworkCm02Model) bounds a flow
 * as long as it lasts by what its links have when it begins: slow ones are given all they have for
 * this instant, and are slow again before time passes. */
void rg_sim_faults_depart(struct rg_sim_faults *f);
/* Nothing more is simulated: the bell to release after this, or NULL. */
sg_sem_t rg_sim_faults_end(struct rg_sim_faults *f);

#endif
