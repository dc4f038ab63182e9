/* Pipeline schedules as data: a list of instructions per node, run by one interpreter (pipeline.c)
 * and proved by one checker (rg_plan_check), which needs no world.
 *
 * A unit is what travels through the pipeline: a micro-batch. Units are numbered through from the
 * first of a run. A list is a prologue and a body that is repeated; units in the body count from
 * the first unit of the repetition. An instruction whose unit lies beyond the last one of the run
 * is passed over, so that lists drain by themselves.
 *
 * A buffer has several slots; unit u uses slot u mod their number. What an instruction reads
 * must have arrived: it waits for the receive into that slot. What it overwrites must have left: it
 * waits for the send from that slot. Node 0 has a second list, the loss lane, which goes on
 * whenever it can between two instructions of the first, or beside them: it is the closing of the
 * ring.
 *
 * There may be several times as many stages as nodes, round after round of the ring: stage s is on
 * node s mod nodes. A node has one list, of the instructions of all its stages, and each stage
 * buffers of its own. */
#ifndef RG_STRATEGIES_PLAN_H
#define RG_STRATEGIES_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rg_plan_op {
    RG_OP_LOAD,      /* samples of a unit -> INPUT; node 0 */
    RG_OP_FORWARD,   /* INPUT -> STASH; where it is repeated STASH is outputs only, the rest goes to
                      * REDO, and is lost */
    RG_OP_RECOMPUTE, /* INPUT -> REDO, with the weights of this moment */
    RG_OP_LOSS,      /* LOGITS -> LOGITS, now its gradient; loss lane (ring of one: STASH -> DY) */
    RG_OP_BACKWARD,  /* DY, STASH (or REDO), INPUT -> DX and the stage's gradient; of a split
                      * plan -> DX and HALVES, which with what it reads is for WEIGHTS */
    RG_OP_WEIGHTS,   /* DY, STASH, INPUT, HALVES -> the stage's gradient */
    RG_OP_SEND,      /* on a channel */
    RG_OP_RECV,      /* post a receive on a channel */
    RG_OP_WAIT,      /* until the send on a channel has reached the peer */
    RG_OP_REDUCE,    /* average the stage's gradient over the replicas */
    RG_OP_BACKUP,    /* the node's last forward pass of an iteration is done: see backup.h */
    RG_OP_STEP,      /* update the stage's parameters */
    RG_OP_END        /* of an iteration, on this node */
};

enum rg_plan_channel {
    RG_CHANNEL_ACTIVATION, /* stage s -> s + 1: STASH's output -> INPUT */
    RG_CHANNEL_GRADIENT,   /* s + 1 -> s: DX -> DY */
    RG_CHANNEL_OUTPUT,     /* last -> 0: STASH's output -> LOGITS */
    RG_CHANNEL_LOSS,       /* 0 -> last: LOGITS -> DY */
    RG_CHANNELS
};

enum rg_buffer {
    RG_BUFFER_INPUT,
    RG_BUFFER_STASH,
    RG_BUFFER_REDO,
    RG_BUFFER_DY,
    RG_BUFFER_DX,
    RG_BUFFER_HALVES,
    RG_BUFFER_LOGITS,
    RG_BUFFERS
};

/* Of 8 bytes: a large ring has millions of them. */
struct rg_instruction {
    enum rg_plan_op op : 4;
    enum rg_plan_channel channel : 3; /* SEND, RECV, WAIT */
    unsigned stage : 25;              /* one of the node's */
    int unit;
};

struct rg_list {
    struct rg_instruction *prologue, *body;
    int prologue_count, body_count;
};

/* A place in a list. Zero, but for the list, is its beginning. */
struct rg_cursor {
    const struct rg_list *list;
    bool in_body;
    int64_t base; /* unit at which this repetition of the body begins */
    int next;     /* instruction */
};

enum { RG_LANES = 2 };

/* The part of one stage. */
struct rg_plan {
    int stage, stages;
    int nodes;
    int units;                      /* units a repetition of the body covers */
    int depth;                      /* units whose activations are held at once, at most */
    int slots[RG_BUFFERS];          /* of every buffer */
    int versions;                   /* of the parameters */
    bool recompute;                 /* the forward pass is repeated at the backward pass */
    bool split;                     /* the backward pass is in two halves */
    struct rg_list lanes[RG_LANES]; /* of the node, with its first stage; else empty */
};

/* What a stage keeps of a unit from its forward pass for its backward pass. */
enum rg_stash {
    RG_STASH_ACTIVATIONS, /* of all its layers */
    RG_STASH_INPUTS,      /* the first layer's input: the forward pass is repeated, with the weights
                           * of that moment */
    RG_STASH_WEIGHTS,     /* activations, and the weights that gave them */
    RG_STASH_HALVES       /* activations, kept until the second half of a split backward pass, and
                           * what the first leaves it */
};

struct rg_schedule;

struct rg_plan_spec {
    const struct rg_schedule *schedule;
    int stages;          /* a multiple of... */
    int nodes;           /* ... these */
    int units;           /* micro-batches an iteration */
    const int *depth;    /* [stages]; falling or level from stage to stage */
    bool overlap;        /* false: a send completes before the next computation starts */
    bool reduce;         /* there are replicas */
    bool backup;         /* nodes keep copies of each other's state */
    enum rg_stash stash; /* what stages keep: the schedule's, or see struct rg_ring */
};

/* The plan of every stage: [spec->stages], malloc'ed; free with rg_plans_free. NULL: no memory. */
struct rg_plan *rg_plans_make(const struct rg_plan_spec *spec);
void rg_plans_free(struct rg_plan *plans, int stages);

/* The next instruction of a run of `limit` units, past those whose unit lies beyond it, and its
 * unit; NULL at the end. `next` moves on when it is done. */
const struct rg_instruction *rg_plan_peek(struct rg_cursor *cursor, int units, int64_t limit,
                                          int64_t *unit);

/* Of a stage of a split plan: by how many units the second half of its backward passes is behind
 * the first, so that it holds as many units as the first stage, which puts nothing off. One less
 * where the last stage has one unit in flight: stages then take in a unit first. Else 0. */
int rg_plan_behind_of(int stages, int stage, const int *depth, enum rg_stash stash);

/* Of a stage, from the depths of all: slots of every buffer; and copies of the parameters, of one
 * that has `depth` units in flight and an update every `units`: those read by them, and the next.
 */
void rg_plan_slots(int stages, int stage, const int *depth, enum rg_stash stash,
                   int slots[RG_BUFFERS]);
int rg_plan_versions(enum rg_stash stash, int depth, int units);

/* The buffer that a channel's message leaves from and arrives in. */
enum rg_buffer rg_channel_source(enum rg_plan_channel channel);
enum rg_buffer rg_channel_target(enum rg_plan_channel channel);
/* The stage at the other end of a channel, seen from `stage` (of `stages`); send: as its sender. */
int rg_channel_peer(enum rg_plan_channel channel, int stage, int stages, bool send);

/* What the checker found out about a run of `units` units. */
struct rg_plan_facts {
    uint64_t messages[RG_CHANNELS];
    int peak_units;  /* most units on a stage between FORWARD and the end of BACKWARD, or WEIGHTS */
    double makespan; /* with the given times, transfers free: see rg_plan_times */
};

struct rg_plan_times { /* seconds a unit, the same for every stage */
    double forward, backward;
    double weights; /* of backward the second half, where it is split */
};

/* Run the lists of all stages abstractly and prove: every send meets its receive, of the same unit;
 * what is read has arrived; nothing that is still needed is overwritten; it comes to its end
 * without any buffering between nodes (window 0), so with any window too. Returns 0, or
 * RG_ERR_INVALID with stage, lane and instruction in *e. */
struct rg_error;
int rg_plan_check(const struct rg_plan *plans, int units, const struct rg_plan_times *times,
                  struct rg_plan_facts *facts, struct rg_error *e);

const char *rg_op_name(enum rg_plan_op op);

#endif
