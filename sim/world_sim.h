/* The sim world: ranks are strands on the hosts of a platform file.
 *
 * Time model, the same as the other worlds keep by nature: each directed pair of nodes has one
 * connection; messages occupy it one after the other for as long as max-min sharing of the links on
 * the route lets their bytes (payload, header and framing) take, and then travel for the latencies
 * of those links. Where a receiver's port has a queue (rg_port_queue), it shares nothing: bytes
 * flow in at their senders' rates and leave in the order of their arrival. Computations take their
 * board's seconds on cores that are shared evenly. So do messages: the sender's time for a message
 * before its bytes leave, the time for its bytes at both ends while they do, the receiver's time
 * for it before it is delivered; they compete with computations where no core is free.
 *
 * Energy model, where every board has watts: what a host draws, of which idle is the idle watts at
 * its clock for all the time, computing the rest (messages' processor time too). A port draws its
 * watts, sending and receiving apart, for as long as the wire bytes take at its full rate; of the
 * switch a node has its share all the time.
 *
 * Two engines let time pass: SimGrid's, with actors, which is the reference; and a calendar of our
 * own (calendar/), whose results are the same to rounding, and which SimGrid tells of the platform
 * only. */
#ifndef RG_SIM_WORLD_H
#define RG_SIM_WORLD_H

#include "strands/sim_options.h"

#include "base/error.h"
#include "world/exchange.h"

/* The engine that runs these options: the one they name; with RG_SIM_AUTO SimGrid's up to
 * RG_SIM_REFERENCE ranks, the calendar's above. */
enum { RG_SIM_REFERENCE = 64 };
enum rg_sim_engine rg_sim_engine_of(const struct rg_sim_options *options);
/* "auto", "simgrid", "calendar". */
const char *rg_sim_engine_name(enum rg_sim_engine engine);

/* Runs program(w, arg) on every rank; results[rank] is what it returned, or RG_DIED. Handles' mem
 * and trace are NULL until the program sets them; strands inherit them. One call a process
 * (SimGrid's engine cannot be started twice): callers fork. A platform file that SimGrid rejects
 * ends the process. Returns 0; RG_ERR_DEADLOCK when every strand waited for another, with who
 * waited for whom in *error; RG_ERR_INVALID (too few hosts, an unknown one); RG_ERR_NOMEM. */
int rg_sim_run(const struct rg_sim_options *options, rg_program_fn program, void *arg, int *results,
               struct rg_error *error);

#endif
