/* The sim world: ranks are SimGrid actors, on the hosts of a platform file.
 *
 * Time model, the same as the other worlds keep by nature: each directed pair of nodes has one
 * connection; messages occupy it one after the other for as long as SimGrid's max-min sharing of
 * the links on the route lets their bytes (payload, header and framing) take, and then travel for
 * the latencies of those links. Where a receiver's port has a queue (rg_port_queue), it shares
 * nothing: bytes flow in at their senders' rates and leave in the order of their arrival.
 * Computations take their board's seconds on cores that SimGrid shares. So do messages: the
 * sender's time for a message before its bytes leave, the time for its bytes at both ends while
 * they do, the receiver's time for it before it is delivered; they compete with computations where
 * no core is free.
 *
 * Energy model, where every board has watts: SimGrid's host energy plugin says what a host draws,
 * of which idle is the idle watts at its clock for all the time, computing the rest (messages'
 * processor time too). A port draws its watts, sending and receiving apart, for as long as the wire
 * bytes take at its full rate; of the switch a node has its share all the time. */
#ifndef RG_SIM_WORLD_H
#define RG_SIM_WORLD_H

#include "base/error.h"
#include "scenario/faults.h"
#include "world/exchange.h"
#include "world/world.h"

/* Zero-initialise. */
struct rg_sim_options {
    const char *platform;  /* file, SimGrid 4.1 XML */
    double link_rate;      /* bandwidth of every link, times the platform's; 0 is 1 */
    bool latencies_change; /* the platform has profiles of them */
    int size;              /* ranks; at most the hosts of the platform */
    /* [size] host of each rank, as the platform file names it. NULL: hosts in natural order of
     * their names (node-2 before node-10), which for one cluster is the document's order. */
    char *const *hosts;
    /* [size] of each rank. NULL: a message has no framing, a computation takes its FLOP at the
     * host's speed. */
    const struct rg_board *const *boards;
    int threads;        /* cores of a computation; 0 is 1 */
    size_t stack_bytes; /* of a strand; 0: 24 KiB, 64 the first of rank 0 */
    /* The answer of rg_iteration; NULL: 0. It must be the same for one i on every rank. */
    int (*iteration)(void *arg, struct rg_world *w, int64_t i);
    void *iteration_arg;
    const struct rg_faults *faults; /* or NULL; see faults.h */
    uint64_t seed;                  /* of their jitter */
    double *end_s;                  /* simulated date of the end; or NULL */
};

/* Runs program(w, arg) on every rank; results[rank] is what it returned, or RG_DIED. Handles' mem
 * and trace are NULL until the program sets them; strands inherit them. One call a process
 * (SimGrid's engine cannot be started twice): callers fork. A platform file that SimGrid rejects
 * ends the process. Returns 0; RG_ERR_DEADLOCK when every strand waited for another, with who
 * waited for whom in *error; RG_ERR_INVALID (too few hosts, an unknown one); RG_ERR_NOMEM. */
int rg_sim_run(const struct rg_sim_options *options, rg_program_fn program, void *arg, int *results,
               struct rg_error *error);

#endif
