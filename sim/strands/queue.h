/* What waits in a switch before the port of each node: messages cross their senders' ports at the
 * rate these give them, and leave the queue in the order of their bytes' arrival.
 *
 * SimGrid's max-min sharing has no queues: two messages to one node go at half the rate each, and
 * hold their senders' ports for as long. A switch takes both in at full rate, and its queue holds
 * what does not fit through the receiver's port: the senders' ports are free earlier, and of two
 * messages the one that was ahead arrives first. The queue is a fluid one (bytes in and out at
 * rates that are constant between events; Le Boudec and Thiran, Network Calculus, 2001, section
 * 1.1). What lies between two ports has to be wide enough never to be in the way, and links keep
 * their bandwidth.
 *
 * A queue whose buffer is full holds back the connection that filled it, until there is room. */
#ifndef RG_SIM_QUEUE_H
#define RG_SIM_QUEUE_H

/* A node's receiving port, and what the switch holds for it. */
struct rg_sim_queue {
    double buffer;  /* bytes */
    double burst;   /* bytes that the port passes at once after a pause */
    double rate;    /* bytes/s that the port passes */
    double backlog; /* bytes at `date`; below 0: what the burst would still let pass */
    double inflow;  /* bytes/s from then on, of so many flows */
    int flows;
    double date;
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
    double rate, each; /* bytes/s of the port, and of each of them */
};

/* The message begins now to cross the sender's port, of it `at_once` bytes without taking time. */
void rg_sim_queue_enter(struct rg_sim_queue *q, struct rg_sim_uplink *from,
                        struct rg_sim_flow *flow, double at_once, double now);
/* Its last byte has crossed: seconds until it has left the queue. *held:
 * of these, how long it waits outside since the buffer is full. */
double rg_sim_queue_leave(struct rg_sim_uplink *from, struct rg_sim_flow *flow, double now,
                          double *held);

#endif
