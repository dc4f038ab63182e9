/* The hosts' ports and the routes between them: how long a message's bytes take from one host to
 * another, what they ask of the processors at both ends, and the joules of the ports.
 *
 * Link latencies are taken out of the platform and added when the last byte has left, so that
 * messages of one connection overlap in flight. A port with a burst (rg_port_burst) has a token
 * bucket each way: what it may pass at once. One with a queue (rg_port_queue) has it before what it
 * receives, in the switch (queue.h). */
#ifndef RG_SIM_PORTS_H
#define RG_SIM_PORTS_H

#include "base/error.h"
#include "boards/board.h"
#include "strands/crowd.h"
#include "trouble.h"
#include <simgrid/host.h>
#include <stdbool.h>

struct rg_sim_ports;
struct rg_sim_route; /* a directed pair of ranks; lives as long as the ports */

/* Has the platform what queues need, where boards ([size], or NULL) have some? 0, or
 * RG_ERR_INVALID; *e says what is wanted. */
int rg_sim_ports_check(const sg_host_t *hosts, const struct rg_board *const *boards, int size,
                       struct rg_error *e);

/* Of `size` ranks on a loaded and checked platform. hosts and boards ([size] each; boards may be
 * NULL) stay the caller's and outlive it; energy: with an account of the ports' work, which asks
 * for boards; faults (NULL: none) and profiles outlive it too: where faults change links, there are
 * no queues. */
struct rg_sim_ports *rg_sim_ports_new(const sg_host_t *hosts, const struct rg_board *const *boards,
                                      int size, bool energy, struct rg_sim_faults *faults,
                                      struct rg_sim_profiles *profiles);
void rg_sim_ports_free(struct rg_sim_ports *p);

struct rg_sim_route *rg_sim_route_new(struct rg_sim_ports *p, int source, int target);

/* One message of so many bytes (payload) over the wire, with what it asks of the processors at both
 * ends; returns when its last byte has left the connection to the next message: the seconds from
 * then to its delivery. The receiver's core goes through the messages of a connection one after the
 * other. */
double rg_sim_carry(struct rg_sim_route *route, size_t bytes);

/* By an actor, when no more messages are carried: waits for what receivers' processors still have
 * to do with the last of them. */
void rg_sim_ports_end(struct rg_sim_ports *p);

struct rg_crowd_met rg_sim_ports_crowded(const struct rg_sim_ports *ports);
/* Joules that a rank's port has drawn for messages, where there is an account. */
double rg_sim_port_J(const struct rg_sim_ports *p, int rank);

#endif
