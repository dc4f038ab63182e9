/* The simulated world, apart from time: strands of node programs, what they may ask of the world,
 * what becomes of nodes that die or leave, deadlock, joules. How time passes is an engine's:
 * SimGrid's actors (actor_engine.c) or a calendar of our own (calendar/calendar_engine.c).
 *
 * An engine opens a struct rg_strands, which starts a strand for every rank; lets time pass until
 * the last has ended; and closes it. One strand runs at a time, on a stack of its own. */
#ifndef RG_SIM_STRANDS_H
#define RG_SIM_STRANDS_H

#include "sim_options.h"
#include "windows.h"

#include "base/error.h"
#include "world/exchange.h"
#include <setjmp.h>
#include <stdbool.h>

enum {
    RG_SIM_THREADS = 64, /* most cores of one computation */
    RG_SIM_ROW = 64      /* most computations that are one */
};

struct rg_strands;

/* Of a processor: seconds of all its threads, then of one alone. */
struct rg_sim_spent {
    double seconds, alone;
    int threads;
};

/* Engines embed it as first member of their own struct. */
struct rg_sim_strand {
    struct rg_endpoint endpoint; /* first: a handle is a strand */
    struct rg_strands *all;
    rg_program_fn program;
    void *arg;
    int result;
    bool blocked, finished; /* blocked: stopped, and not rung yet */
    double until;           /* while blocked: the date at which it goes on by itself */
    jmp_buf death;
    struct rg_sim_strand *parent, *next, *previous; /* next, previous: of all, newest first */
    bool fate;                                      /* of its node: no program, see below */
    int spawned;                                    /* by this one, so far */
    int unjoined;
    struct rg_fault_stream jitter;
    /* Before the program goes on, see ops->owe: so many computations; 0: nothing is owed. */
    struct rg_sim_spent owed;
    int owed_count;
    struct rg_computed *row; /* [RG_SIM_ROW] of them, where there is a timeline */
};

struct rg_sim_engine_ops {
    size_t strand_bytes; /* of the engine's own struct around struct rg_sim_strand */
    /* Simulated seconds since the start. */
    double (*now)(void *engine);
    /* What has arrived by this date is there; NULL: by now. */
    double (*seen)(void *engine);
    /* See struct rg_exchange_ops: the engine's data for a directed pair, which is the route of its
     * messages; and a message that goes on its way. When its last byte has left the engine calls
     * rg_exchange_left, then rg_strands_carried. */
    void *(*open)(void *engine, int source, int target);
    void (*carry)(void *engine, struct rg_message *message, void *route);
    /* Have rg_strand_main run with the strand on a stack of so many bytes, soon. */
    void (*start)(struct rg_sim_strand *strand, size_t stack_bytes);
    /* Stop the strand that runs until it is rung or the date (may be infinite) has come. */
    void (*block)(struct rg_sim_strand *strand, double date);
    /* Let a stopped strand go on now; or at this date at the latest, which is before the one it was
     * stopped until (NULL: it is rung instead). */
    void (*ring)(struct rg_sim_strand *strand);
    void (*hasten)(struct rg_sim_strand *strand, double date);
    /* Whatever the engine may not do while the exchange is half changed it does now; may be NULL.
     */
    void (*flush)(void *engine);
    /* The strand that runs computes flop[i] on each of `threads` cores of its node, if they are
     * free, until all are done or rg_now is `until`; what is left then is in flop. */
    void (*execute)(struct rg_sim_strand *strand, double *flop, int threads, double until);
    double (*speed)(void *engine, int rank); /* FLOP/s of one core */
    /* Joules since the start of a node's processor, idle or not; of its port, for messages. */
    double (*processor_J)(void *engine, int rank);
    double (*port_J)(void *engine, int rank);
    /* The training clock of rank 0 has started, stopped or gone on; may be NULL. */
    void (*clock)(void *engine, const struct rg_world *w);
    /* The strand has ended, and returns next from rg_strand_main; the last strand has. May be NULL.
     */
    void (*retire)(struct rg_sim_strand *strand);
    void (*end)(void *engine);
};

struct rg_strands {
    const struct rg_sim_options *options;
    const struct rg_sim_engine_ops *ops;
    void *engine;
    struct rg_exchange *exchange;
    struct rg_slowdown *slowdown; /* NULL: computations take their time */
    struct rg_shared *shared;
    bool mortal; /* some will lose their power */
    struct rg_error *error;
    struct rg_sim_strand *first;
    bool energy; /* all boards have watts */
    int *results;
    bool *dead;
    double end_s;
    double begun_s;     /* when a training clock started first; NAN: none has */
    double *last_s;     /* [size] date at which a strand of the node went on last */
    uint64_t near_ties; /* see struct rg_sim_ties */
    int active;         /* strands and messages that will go on by themselves */
    /* [size] a strand that waits for the date at which its rank loses its power, NULL: it does not,
     * or has; programs that run. */
    struct rg_sim_strand **fates, **nodes;
    int left;      /* programs that run */
    int elsewhere; /* strands blocked outside of the exchange's waits (waiting_in) */
};

/* Do all boards have watts? A run of which a part would be missing has no energy. */
bool rg_sim_has_watts(const struct rg_sim_options *options);

/* Starts program(w, arg) on every rank; what is given outlives it. results: [size]. */
void rg_strands_open(struct rg_strands *all, const struct rg_sim_options *options,
                     const struct rg_sim_engine_ops *ops, void *engine, rg_program_fn program,
                     void *arg, int *results, struct rg_error *error);
/* After the simulation: 0; RG_ERR_DEADLOCK; RG_ERR_INTERNAL where strands are left. */
int rg_strands_close(struct rg_strands *all);

/* The program of a strand, and its end; on the strand's own stack, of which it gives the limits. */
void rg_strand_main(struct rg_sim_strand *strand);
/* A message has left its port (rg_exchange_left), and all that led to has been done. */
void rg_strands_carried(struct rg_strands *all);

#endif
