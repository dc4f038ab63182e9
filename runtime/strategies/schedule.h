/* A schedule: the order in which the stages of a ring run their units (micro-batches), and all that
 * follows from it.
 *
 * To add one: a row, `const struct rg_schedule rg_schedule_NAME`, in a new schedule_NAME.c, and its
 * line in schedules.def. The strategy, its plans, the memory check, the closed forms, --list and
 * the tests find it there; the interpreter and the checker know plans only, no schedules. */
#ifndef RG_STRATEGIES_SCHEDULE_H
#define RG_STRATEGIES_SCHEDULE_H

#include "strategies/plan.h"

struct rg_ring;
struct rg_plan_writer;

/* What one stage of a replica contributes to the closed forms. Seconds; of one unit, of mean size
 * where sizes differ. */
struct rg_stage_forms {
    double forward, backward, loss; /* loss at stage 0 only */
    double weights;                 /* of backward the second half, where it is split; else 0 */
    double update;                  /* an iteration: copy, step, all-reduce */
    double port;                    /* busy time of the port, one direction */
    double hop;                     /* the port's time for what goes on to the next stage */
    double out, back;               /* transit of what it sends on and of what comes back */
    double round;                   /* from this stage to the loss and its gradient back */
};

struct rg_schedule {
    /* No unit of a later batch has begun when a batch's update happens: the bits of `single` with
     * the same micro-batches. Else it is a stream, whose updates happen between its units. */
    bool synchronous;
    bool overlaps;       /* there are several units in flight for communication to hide behind */
    enum rg_stash stash; /* what a stage keeps of a unit from its forward to its backward pass,
                          * unless the user has it otherwise: see struct rg_ring */
    /* A unit's loss is computed as soon as its outputs are there, beside what the first node is at,
     * unless transfers are not overlapped either. */
    bool loss_beside;
    int units_a_node; /* micro-batches="auto" is so many times the nodes; 0: 1 in all */
    bool in_chunks;   /* a node has several stages, as many as `chunks` says; units come in groups
                       * of as many as there are nodes */
    /* The parameter of ring_pipeline that says how many units are in flight; NULL: none does. Auto
     * is three a stage, fewer where memory is short. */
    const char *takes;
    /* Units that `stage` holds at most, none more than the stage before it; in_flight: the value of
     * the parameter, 0 where it takes none. Memory follows from it, see rg_plan_slots. */
    int (*depth)(const struct rg_ring *ring, int stage, int in_flight);
    /* Write a node's instructions, with the functions below; depth: of its first stage. The loss
     * lane is written for it. */
    void (*order)(struct rg_plan_writer *w, int units, int depth);
    /* Seconds of an iteration; forms [stages] of one replica. */
    double (*seconds)(const struct rg_ring *ring, const struct rg_stage_forms *forms);
};

/* Of a stage with `depth` units of a stream in flight and an update every `units`: by how many
 * updates the weights that a unit's forward pass reads are older than those its gradient updates,
 * at most. */
int rg_updates_behind(int depth, int units);

/* All of them, NULL-terminated, in the order of schedules.def. */
extern const struct rg_schedule *const rg_schedules[];
/* NULL: there is none of that name. */
const struct rg_schedule *rg_schedule_named(const char *name);
const char *rg_schedule_name(const struct rg_schedule *schedule);

/* ---- writing the list of a node (plan.c) ---- */

/* Nodes, stages of each, and the node whose list is written. Instructions are for one of its
 * stages: the first, until another has its turn; stage `chunk` * nodes + node. */
int rg_plan_nodes(const struct rg_plan_writer *w);
int rg_plan_chunks(const struct rg_plan_writer *w);
int rg_plan_node(const struct rg_plan_writer *w);
void rg_plan_turn_to(struct rg_plan_writer *w, int chunk);
/* What has been written happens once a run; what follows is repeated, every `units` units. */
void rg_plan_begin_body(struct rg_plan_writer *w);
/* LOAD at the first stage, FORWARD, and the output sent on (or the loss, in a ring of one). */
void rg_plan_put_forward(struct rg_plan_writer *w, int unit);
/* BACKWARD, the gradient sent back, and the receives posted that the slots it frees are for. */
void rg_plan_put_backward(struct rg_plan_writer *w, int unit);
/* Where backward is split, that is its first half; this the second, which frees the slots. */
void rg_plan_put_weights(struct rg_plan_writer *w, int unit);
/* Of the stage whose list is written: units by which the second half is behind the first, and units
 * held at once from their forward pass to the end of their backward pass; at most. */
int rg_plan_behind(const struct rg_plan_writer *w);
int rg_plan_held(const struct rg_plan_writer *w);
/* REDUCE where there are replicas, STEP, of all its stages, and END; `unit`: the last that is in
 * it.
 */
void rg_plan_put_update(struct rg_plan_writer *w, int unit);

#endif
