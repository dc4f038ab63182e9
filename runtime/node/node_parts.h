/* What the node program keeps, for its own sources and nobody else: node.c (the run), node_stop.c
 * (whether it has its goal), node_checkpoint.c (what another run goes on from),
 * node_copies.c (what another attempt does), node_energy.c
 * (joules and meters), node_clocks.c (whose date is whose), node_gather.c (the account of all nodes
 * on rank 0) and node_describe.c (what follows from it). */
#ifndef RG_NODE_PARTS_H
#define RG_NODE_PARTS_H

#include "node/node.h"
#include "world/trace.h"
#include <stddef.h>

enum {
    TAG_REPORT = RG_TAG_USER - 23,
    TAG_ACCOUNT,
    TAG_EVENTS,
    TAG_VERDICT,
    TAG_TRACE,
    TAG_ENERGY,
    TAG_POINTS,
    TAG_SECTIONS,
    TAG_WHOLE,
    TAG_ASK,
    TAG_HELD,
    TAG_SECTION,
    TAG_OFFER,
    TAG_WANTED,
    TAG_VALUES,
    TAG_VIEW,
    TAG_SINCE,
    TAG_LOSSES,
    TAG_OVER,
    TAG_BACK,
    TAG_CAN,
    TAG_COPIES,
    TAG_PARTS
};
_Static_assert(TAG_PARTS < (int)RG_TAG_USER, "they are below those of strategies");

/* What rank 0 makes of an evaluation. */
enum verdict { GO_ON, ENOUGH /* as <stop> has it */, DIVERGED };

/* Whose joules a node's meter tells; see struct rg_meter_facts. */
struct metered {
    uint64_t machine, log;
};

/* Of checkpoints. */
struct keeping {
    bool on, takes_up;      /* are they written; does the run go on from one; as rank 0 says */
    bool from_copies;       /* it goes on from what nodes have kept of each other's state */
    bool ready;             /* the strategy's state is what training goes on from */
    bool untold;            /* that is an epoch's end, which has not been evaluated */
    bool same;              /* rank 0: from one of the same strategy, divided alike */
    int own_taken;          /* rank 0: arrays of one node that it has given back */
    int64_t begun;          /* iterations that it went on from */
    int64_t until;          /* where the section that is trained ends */
    int64_t last;           /* rank 0: iterations of the last that was due */
    double last_s;          /* rank 0: and its date */
    double written_s;       /* rank 0: date at which that is on a simulated card */
    int64_t on_disk;        /* rank 0: of the last whole one in the folder; -1: there is none */
    struct writer *writer;  /* rank 0: of one that is being written; NULL: none is */
    struct rg_mem *nowhere; /* rank 0: where numbers come from and go to that there are none of */
};

struct node {
    struct rg_world *w;
    const struct rg_job *job;
    const struct rg_node_options *options;
    const struct rg_training_state *resume; /* rank 0: the checkpoint to go on from; NULL: none */
    struct rg_run *run;                     /* rank 0 */
    void *state;
    /* Where the parameters come from: the strategy, or what is left of it. */
    int (*parameters)(void *source, rg_visit_fn visit, void *arg);
    void *source;
    struct keeping keeping;
    double before_s, before_J; /* rank 0: of the run that this one goes on from */
    bool trace, any_trace;     /* of this node, of some: as rank 0 wants it */
    struct rg_trace_part part; /* of the run */
    bool begun;                /* where there are attempts: this one has */
    int64_t done;              /* iterations */
    double time_s;
    struct rg_energy energy;
    struct rg_run_energy joules; /* of all nodes; rank 0 */
    double medium_rate;          /* of the medium that nodes share; 0: there is none */
    bool *on_medium;             /* [job->nodes] who is on it; NULL: there is none */
    enum verdict verdict;        /* so far; known to all ranks where it ends the training */
    bool tested;                 /* rank 0: the last look had test samples */
    int in_vain;                 /* rank 0: looks since the one with the least loss */
    double *accuracy;  /* rank 0: [job->nodes] of what each has trained by itself; NULL: unknown */
    double start_loss; /* rank 0: see rg_inspect_start; NAN until it is wanted */
    struct pause *pauses; /* where energy is settled after the run */
    int pause_count;
    struct metered *metered; /* rank 0: of each node */
    struct rg_clock_map clocks;
    /* [pause_count] each, of sections: this node's; by rank 0's clock, those common to all, and
     * rank 0's own, which time_s is the sum of */
    struct rg_clock_section *sections, *common, *timed;
};

/* The end of an epoch. It travels to rank 0, as a report does. */
struct pause {
    int64_t done;              /* iterations */
    double begin_raw, end_raw; /* the clock ran in between */
    double total_J;            /* of this node (rank 0, at the end: of all) until then */
};
_Static_assert(sizeof(struct pause) == 32, "pauses have no padding");

/* What goes before a node's account on its way to rank 0, the same on every ABI. The account is the
 * node's own run, as if it were alone, without events; these follow. */
struct report {
    uint64_t bytes; /* of the account */
    struct metered metered;
    uint64_t events, dropped;
};
_Static_assert(sizeof(struct report) == 40, "the report has no padding");
_Static_assert(offsetof(struct rg_trace_event, unused) == 52 && sizeof(struct rg_trace_event) == 56,
               "trace events have no padding");

/* ---- node.c ---- */

/* Rank 0, and those it needs: visit the parameters for accuracy and, at the last, digest and
 * --save; at each that has less loss than all before, --save-best. */
int rg_node_look(struct node *n, bool last);

/* ---- node_stop.c ---- */

/* Rank 0: has training come to what <stop> names with its last evaluation? Then n->verdict. */
int rg_node_judge_point(struct node *n);

/* ---- node_checkpoint.c ---- */

/* Rank 0 of an attempt that is not the first, the others waiting: n->resume is the newest
 * checkpoint of more iterations than that, if there is one. */
int rg_node_find_checkpoint(struct node *n, int64_t than);
/* Collective, when the strategy is open: the run goes on from a checkpoint; it will write some. */
int rg_node_take_up(struct node *n);
int rg_node_begin_checkpoints(struct node *n);
/* Collective, off the clock: if one is due, it is gathered. last: no more training follows. Says
 * where the next section ends. */
int rg_node_checkpoint(struct node *n, bool last);
/* Rank 0, whatever has become of the run: what is being written is brought to its end. */
void rg_node_end_checkpoints(struct node *n);

/* ---- node_copies.c ---- */

/* Whatever has become of the run: what this node has kept for others goes on to the next attempt.
 */
void rg_node_keep_copies(struct node *n, int result);
/* All nodes have what they go on with: the states before it are not needed any more. */
void rg_node_forget_copies(struct node *n);
/* This node has some. */
bool rg_node_has_copies(const struct node *n);
/* After a loss, can there be any that it goes on from? All nodes know. */
bool rg_node_may_have_copies(const struct node *n);
/* Collective, when the strategy is open: after a loss the run goes on from the newest state that
 * nodes have kept together, if there is one and no checkpoint is newer. */
int rg_node_take_copies(struct node *n);
/* Collective, when it is known what the run goes on from; after each evaluation: all nodes know of
 * those that there have been. */
int rg_node_begin_copies(struct node *n);
/* Collective, at the end of an epoch, off the clock: is a lost node there again, that can be given
 * what training goes on from? RG_ERR_RETURNED, or 0. */
int rg_node_look_for_returned(struct node *n);
int rg_node_share_point(struct node *n);

/* ---- node_energy.c ---- */

/* What this node has drawn, by part. */
struct rg_run_energy rg_node_own_joules(const struct node *n);
/* Collective, off the clock: what all nodes have drawn until now, on rank 0; where that is measured
 * nobody knows before the end (rg_node_settle). */
int rg_node_sum_energy(struct node *n);
/* Worlds that measure: note the section of time that has just ended. */
int rg_node_note_pause(struct node *n);
/* The training is over, the sections are known: what the meter saw in each. */
int rg_node_settle(struct node *n);
/* What a node had drawn at the end of each epoch: to rank 0, and there on top of the others'. */
int rg_node_send_pauses(struct node *n);
int rg_node_receive_pauses(struct node *n, int rank);
/* Is this node's energy to be added? Rank 0, in the order of ranks. */
bool rg_node_counts(const struct node *n, int rank);
/* Rank 0, before a rank's account is added: it has no joules if they are not to be added. */
void rg_node_count_energy(struct node *n, int rank, struct metered metered, struct rg_run *own);
/* What this node's meter tells of whose joules it has. */
struct metered rg_node_metered(const struct node *n);
/* The meter's part of this node's account. */
void rg_node_account_meter(const struct node *n, struct rg_run *own);
/* Rank 0, at the end: what the meters of all nodes know together. */
void rg_node_describe_meters(struct node *n);

/* ---- node_clocks.c ---- */

/* After the training: by how much clocks differ, and the sections common to all. */
int rg_node_align(struct node *n);
/* The clock's part of this node's account. */
void rg_node_account_clock(const struct node *n, struct rg_run_clock *clock);

/* ---- node_gather.c ---- */

/* Is that rank's timeline wanted? */
bool rg_node_traces(const struct node *n, int rank);
/* Collective, at the end: every node's account on rank 0, in *n->run. */
int rg_node_gather(struct node *n);

/* ---- node_describe.c ---- */

/* Rank 0: what the result says of the whole run, once every account is there. */
void rg_node_describe(struct node *n);
/* Of the dates at which `count` iterations ended, which are overwritten: the intervals between
 * them, those at the ends left out. Whether those left are of a steady state. */
bool rg_node_describe_iterations(struct rg_run *run, double *marks, int64_t count);

#endif
