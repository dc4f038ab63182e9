/* Whose turn it is, in SimGrid's engine: the rule for ties (strands/same_date.h). A strand that may
 * go on, since its computation or its waiting is over, waits for its turn: until all messages that
 * end at this date have been reported. Then all that wait have theirs by rank, those of a rank in
 * the order in which they were made, each until it waits again; those that they let go on are the
 * next round. */
#ifndef RG_SIM_TURNS_H
#define RG_SIM_TURNS_H

#include <simgrid/forward.h>
#include <simgrid/semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a strand. */
struct rg_turn {
    sg_sem_t bell;
    int rank;
    uint64_t serial; /* strands made before it */
    bool wanted, given;
};

struct rg_turns_found {
    struct rg_turn **turn;
    size_t count, capacity;
};

/* Zero-initialise. */
struct rg_turns {
    struct rg_turns_found wanted, round;
    sg_sem_t bell;    /* of the actor that gives them */
    bool awake, over; /* that actor */
    bool taken;       /* a strand has its turn */
    uint64_t seen;    /* of what may let strands go on, so far */
};

/* Starts an actor on that host. */
void rg_turns_open(struct rg_turns *t, sg_host_t host);
/* After the simulation. */
void rg_turns_free(struct rg_turns *t);

/* No call of SimGrid's is made, but by rg_turns_go, which makes good what was noted. */
void rg_turns_want(struct rg_turns *t, struct rg_turn *turn);
/* Something has ended that may let strands go on, at this date. */
static inline void rg_turns_note(struct rg_turns *t)
{
    t->seen++;
}
/* The strand that has its turn waits, computes or ends. */
static inline void rg_turns_end(struct rg_turns *t)
{
    t->taken = false;
}
void rg_turns_go(struct rg_turns *t);

/* The calling strand stops until its turn, which it or another has wanted for it: or until so many
 * seconds are over (may be infinite), and then until it has its turn at that date. */
void rg_turns_wait(struct rg_turns *t, struct rg_turn *turn, double seconds);

/* No strand is left: the actor ends once its bell is rung, which is the caller's to do. */
void rg_turns_close(struct rg_turns *t);

#endif
