/* Messages under way: from the moment a connection (a directed pair of ranks) is free for one until
 * its last byte has left. What that asks of processors, ports and links, and in which order, is
 * what rg_sim_carry does in SimGrid's engine; here it is a machine of states that dates move on. */
#ifndef RG_CALENDAR_CONNECTIONS_H
#define RG_CALENDAR_CONNECTIONS_H

#include "calendar_platform.h"
#include "processors.h"
#include "sharing.h"

#include "base/chunks.h"
#include "boards/board.h"
#include "sim/strands/crowd.h"
#include "sim/strands/port_work.h"
#include "sim/strands/queue.h"
#include "world/exchange.h"

struct rg_connection;
struct rg_carrier;

/* Zeroed; up to left_arg the engine's to set. */
struct rg_connections {
    struct rg_calendar *calendar;
    const struct rg_calendar_platform *platform;
    const struct rg_board *const *boards; /* by rank; NULL: messages ask for no processor */
    struct rg_cores *cores;               /* by rank */
    int size;
    bool energy;
    double uneven; /* see struct rg_sim_options */
    /* The message's last byte leaves now, and arrives then. */
    void (*left)(void *arg, struct rg_message *message, double arrival);
    void *left_arg;

    struct rg_sharing sharing;
    struct rg_shared_link *links;  /* as the platform's */
    double *latencies;             /* of links, now; NULL: they do not change */
    struct rg_port_use *use;       /* by rank; NULL: no account is kept */
    struct rg_bucket *buckets;     /* by rank, up and down; NULL: no port has a burst */
    struct rg_sim_uplink *uplinks; /* by rank, as the next; NULL: no port has a queue */
    struct rg_sim_queue *queues;
    struct rg_chunks ways; /* of connections */
    uint64_t ties;         /* see struct rg_sim_ties */
    struct rg_crowd_met crowded;
    struct rg_crowd_link *crowd; /* as links */
    struct rg_carrier *carriers, *idle;
};

/* queues: do ports have those of their boards? */
void rg_connections_open(struct rg_connections *c, bool queues);
void rg_connections_close(struct rg_connections *c);

struct rg_connection *rg_connection_new(struct rg_connections *c, int source, int target);
/* The message, whose route is a connection of c that is free, goes on its way. */
void rg_connections_carry(struct rg_connections *c, struct rg_message *message,
                          struct rg_connection *way);

/* Joules that a rank's port has drawn for messages, where there is an account. */
double rg_connections_port_J(const struct rg_connections *c, int rank);

#endif
