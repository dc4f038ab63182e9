/* What waits in a switch before the port of each node: messages cross their senders' ports at the
 * rate these give them, and leave the queue in the order of their bytes' arrival.
 *
 * SimGrid's max-min sharing has no queues: two messages to one node go at half the rate each, and
 * hold their senders' ports for as long. A switch takes both in at full rate, and its queue holds
 * what does not fit through the receiver's port: the senders' ports are free earlier, and of two
 * messages the one that was ahead arrives first. The queue is a fluid one (bytes in and out at
 * rates that are constant between events; Le Boudec and Thiran, Network Calculus, 2001, section
 * 1.1), so it is exact where rates are.
 *
 * What lies between the two ports has to be the wider part of the way. A queue whose buffer is full
 * holds back the connection that filled it, until there is room. */
#ifndef RG_SIM_QUEUE_H
#define RG_SIM_QUEUE_H

#include <stddef.h> /* link.h needs it */

#include <simgrid/link.h>

/* A node's receiving port, and what the switch holds for it. */
struct rg_sim_queue {
    double buffer;  /* bytes */
    double burst;   /* bytes that the port passes at once after a pause */
    double backlog; /* bytes at `date`; below 0: what the burst would still let pass */
    double inflow;  /* bytes/s from then on, of so many flows */
    int flows;
    double date;
    double drain;     /* bytes/s through the port from then on */
    double rate;      /* the same where nothing slows it */
    double unlimited; /* what SimGrid is told instead: it limits nothing */
    sg_link_t link;
};

/* A message that is on its way through its sender's port. */
struct rg_sim_flow {
    struct rg_sim_flow *next;
    struct rg_sim_queue *to;
};

/* A node's sending port: those of its messages that share it evenly. */
struct rg_sim_uplink {
    struct rg_sim_flow *flows;
    int count;
    double each; /* bytes/s */
    sg_link_t link;
};

/* From now on the port behind `link` has a queue; SimGrid does not limit it any more. `most`:
 * bytes/s that can ever flow in. */
void rg_sim_queue_open(struct rg_sim_queue *q, sg_link_t link, double most);

/* The bandwidths of links have changed at this moment: the queue's, the sender's. */
void rg_sim_queue_relink(struct rg_sim_queue *q);
void rg_sim_uplink_relink(struct rg_sim_uplink *from);

/* The message begins to cross the sender's port, of it `at_once` bytes without taking time. */
void rg_sim_queue_enter(struct rg_sim_queue *q, struct rg_sim_uplink *from,
                        struct rg_sim_flow *flow, double at_once);
/* Its last byte has crossed: seconds until it has left the queue, whatever slows that later. *held:
 * of these, how long it waits outside since the buffer is full. */
double rg_sim_queue_leave(struct rg_sim_uplink *from, struct rg_sim_flow *flow, double *held);

#endif
