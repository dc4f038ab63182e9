/* Who is left: agreement of those that a run which lost somebody has left.
 *
 * Every node has a view: whom it knows to be absent. In a run of all that it takes to be here, each
 * tells its view to all others and hears theirs. Where all are equal, that is who is left, and the
 * run goes on with them; else views are put together, and there is another run. Whoever leaves a
 * run, or dies, makes the others leave it, too: their worlds complete with RG_ERR_PEER what waits
 * for it. So nobody trains in a run that has not heard one and the same view from all its nodes,
 * and views only grow: after as many runs as there are losses, and one, all that live are in one.
 * tests/strategies/test_muster.c goes through every state of three and four nodes.
 *
 * Failure modes handled: deaths at any moment, noticed by others at different ones; two nodes that
 * lose each other and live. Not handled: nodes that lie; a cluster that comes apart when in both
 * parts nodes have died, which may leave two that each take the other for dead. */
#ifndef RG_NODE_MUSTER_H
#define RG_NODE_MUSTER_H

#include "world/world.h"

/* What a node knows of another: it is here, has fallen silent, or has certainly gone (its process
 * has ended: its connection is closed). The larger one counts. */
enum rg_absence { RG_HERE, RG_SILENT, RG_GONE };

/* May those that are left go on? Of two parts of a cluster that have lost each other one at most:
 * those that have gone for certain count nowhere, and of the others more than half must be here, or
 * half of them with the lowest seat. before: [count] the seats of
 * the last run that all had agreed on. */
bool rg_muster_may_go_on(const int *before, int count, const unsigned char *view);

/* A node has heard the views of all others of its run, those of rank r at heard + r * seats: takes
 * them into its own. seat: [size] who has which rank. Were all equal? The word of one that a lower
 * rank has told to be absent does not count: of two that have lost each other one has to go, and
 * all must mean the same one. */
bool rg_muster_put_together(const int *seat, int size, int rank, const unsigned char *heard,
                            unsigned char *view, int seats);

/* Collective, over all nodes of w: seat[w->size] who they are. view: [seats] this node's; those of
 * w are here in it. 0: all have the same. RG_ERR_PEER: not, or somebody was lost, and another run
 * must follow; what was told is in view. Other errors: of the world. */
int rg_muster(struct rg_world *w, const int *seat, unsigned char *view, int seats);

#endif
