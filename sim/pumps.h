/* The actors that carry messages: a pool of pumps, each of which takes one message after the other
 * of a connection, and is idle once there is none.
 *
 * Starting an actor, or ringing for one, may let other actors run. So rg_sim_pumps_carry does
 * neither: it notes, and the world does it when the exchange is whole again. */
#ifndef RG_SIM_PUMPS_H
#define RG_SIM_PUMPS_H

#include "ports.h"
#include "world/exchange.h"
#include <simgrid/host.h>
#include <simgrid/semaphore.h>
#include <stdbool.h>

struct rg_sim_pump;

/* The first six are the engine's to set. */
struct rg_sim_pumps {
    struct rg_exchange *exchange; /* its routes are struct rg_sim_route */
    struct rg_sim_ports *ports;
    sg_host_t host; /* where the actors live; it costs nothing */
    void *engine;
    void (*note_ring)(void *engine, sg_sem_t bell); /* to be released with the next flush */
    void (*carried)(void *engine);                  /* a message less is under way; flush */
    struct rg_sim_pump *all, *idle, *unstarted;
    struct rg_sim_pump *reporting; /* inside rg_exchange_left */
    bool over;
};

/* ops->start of an exchange: some pump is to carry the message. */
void rg_sim_pumps_carry(struct rg_sim_pumps *p, struct rg_message *message,
                        struct rg_sim_route *route);
/* Start the actors of pumps that are new: a part of the world's flush. */
void rg_sim_pumps_start(struct rg_sim_pumps *p);
/* Nothing more is simulated: the pumps end once their bells, noted here, have been released. */
void rg_sim_pumps_end(struct rg_sim_pumps *p);
/* After the simulation. */
void rg_sim_pumps_free(struct rg_sim_pumps *p);

#endif
