/* What the sources of ringnode share: ringnode.c (main), ringnode_options.c, ringnode_run.c (a
 * strategy), ringnode_attempts.c (one that loses ranks), ringnode_return.c (and takes them in
 * again), ringnode_left.c (what is left where nobody goes on), ringnode_rank.c (one rank, on
 * whatever machine), ringnode_local.c (all of them on this one). */
#ifndef RG_PROGRAMS_RINGNODE_H
#define RG_PROGRAMS_RINGNODE_H

#include "cli/cli.h"
#include "connect/door.h"
#include "meters/heat.h"
#include "meters/meter.h"
#include "node/agree.h"
#include "node/attempts.h"
#include "node/node.h"
#include "posix/world_posix.h"
#include "result/checkpoint.h"
#include "result/training_state.h"
#include <signal.h>
#include <stdatomic.h>

/* What the parent of --local sees of a rank while it runs. */
struct ringnode_seen {
    atomic_bool joined;   /* since it was started last */
    atomic_bool reported; /* the result is written, or could not be, which its status says */
};

struct ringnode {
    struct rg_options options;
    int rank; /* -1: not given */
    const char *hosts_file;
    bool local;
    int local_nodes;            /* 0: as the scenario says */
    bool unbound;               /* ranks of --local run on any core */
    struct ringnode_seen *seen; /* of this rank; NULL: nobody sees it */
    double join_timeout_s, peer_timeout_s;
    const char *key_file;
    bool insecure, any_address;
    enum rg_checksum checksum;
    struct rg_key key; /* of key_file */
    bool progress, files;
    const char *pace; /* a platform file, "platform" (the scenario's own), or NULL */
    struct rg_platform datasheet;
    struct rg_study *study; /* owned */
    struct rg_hosts hosts;
    float *initial;
    struct rg_checkpoint_rows told;   /* with --predict: by the file of --load */
    struct rg_training_state resumed; /* of --resume-from, on rank 0; zeroed: there is none */
    struct rg_mesh *mesh;
    struct rg_join join;     /* how it was joined; this rank there is its place in the hosts file */
    struct rg_joined joined; /* what came of it */
    struct rg_door *door;    /* for ranks that come back; NULL: none is expected */
    struct rg_run *runs;     /* rank 0 */
    struct rg_agreed *agreed; /* [job_count] */
    struct rg_run *noted;     /* [job_count] rank 0: notes of before the runs, and nothing else */
    struct rg_meter_options metering;
    struct rg_mesh_facts facts;      /* of the mesh, when it is left */
    double idle_s;                   /* of measuring idle power */
    struct rg_meter *meter;          /* NULL: none is wanted */
    struct rg_heat *heat;            /* NULL: this machine tells nothing, or another rank does */
    struct rg_clock_sample compared; /* see struct rg_node_options */
    struct rg_attempts attempts;     /* of the one strategy; not with lose=stop */
    struct rg_kept kept;             /* of the run that broke off last */
    struct rg_run *aside;            /* its account, until training goes on; NULL: none, or another
                                      * rank has it */
    double joining_s;                /* since when this rank tries to join; 0: it does not */
    char cannot[400];                /* why nobody can train in the next attempt, as far as this
                                      * node knows; empty: they can */
    struct rg_error unfit;           /* why as many as are left cannot, as far as it knows */
    bool expired;                    /* the last join ended as the time for the run was up */
    bool again;                      /* this attempt has broken off, and there is another */
    bool later;                      /* this attempt is not the first */
    int rest_code;                   /* why the remaining strategies cannot run; 0: they can */
};

/* A strategy as it runs. */
struct ringnode_run {
    struct ringnode *node;
    const struct rg_job *job;
    struct rg_run *run; /* rank 0 */
    double begun_s;     /* on rg_clock_s */
    char why[400];      /* why training did not begin here; empty: for no reason that has words */
    bool dropped;       /* the others may go on, without this one */
};

/* That a rank has open beside a socket for each other one: polls, callers at the door, files, a
 * meter. */
enum { RINGNODE_DESCRIPTORS = 16 };

/* The command line, into a struct ringnode. */
extern const struct argp ringnode_argp;

/* Join the others (listener: of this rank, or -1: open one), run every strategy, leave; the exit
 * status. */
int ringnode_run_rank(struct ringnode *node, int listener);
/* The same for every rank, each as a process of its own, over loopback. */
int ringnode_run_local(struct ringnode *node);

/* ---- ringnode_run.c ---- */

/* rg_node_run with the options of the command line; arg: a struct ringnode_run. */
int ringnode_program(struct rg_world *w, void *arg);
/* What went wrong, in words: who was lost, where somebody was; the code to report. */
int ringnode_explain(struct ringnode *node, int code, char *text, size_t size);
/* Of a run that has not begun, or that nothing is left of. */
void ringnode_fail_run(struct rg_run *run, const struct rg_job *job, int code, const char *text);
/* What there is to go on from, to the end of the text. */
void ringnode_end_run(const struct ringnode *node, const struct rg_job *job, const char *text,
                      struct rg_run *run);
/* Asked to stop, all ranks have finished the update under way (run: rank 0's). */
void ringnode_note_stop(struct ringnode *node, const struct rg_job *job, struct rg_run *run);
/* Joules that nobody knows though a meter was wanted. */
void ringnode_tell_energy(struct ringnode *node, const struct rg_job *job,
                          const struct rg_run *run);
/* For rg_node_agree. */
void ringnode_note(void *arg, int job, const char *text);
/* The board whose time this rank's computations take; NULL: their own. */
const struct rg_board *ringnode_pace(const struct ringnode *node, const struct rg_job *job);
/* Is the time up, or was this rank asked to stop? */
bool ringnode_is_stopped(void);
bool ringnode_is_late(void); /* the former */
/* From here on signals stop this mesh, also one that has come before; NULL: none. */
void ringnode_stops(struct rg_mesh *mesh);
extern volatile int ringnode_stop_join; /* for a join, likewise */
/* The time is up after so many seconds; 0: never. */
void ringnode_set_alarm(double seconds);
/* What became of a run that was not finished. */
void ringnode_end_early(struct rg_run *run, int code, const char *text);

/* ---- ringnode_attempts.c: nodes that are lost, and what follows ---- */

/* Once study and hosts are open: what lose= needs is there; the exit status. */
int ringnode_open_attempts(struct ringnode *node);
/* How many ranks run on this machine with --local. */
int ringnode_local_ranks(const struct ringnode *node);
/* lose="restart": is that the end of an attempt, after which all join once more? Then it is noted.
 */
bool ringnode_restarts(struct ringnode *node, int code);
/* lose="shrink", "spare": one attempt after the other on one mesh, until the training is over. */
void ringnode_run_attempts(struct ringnode *node);

/* ---- ringnode_left.c: what is left where nobody goes on ---- */

/* What kept this rank waiting since the run began, into its account. */
void ringnode_note_signs(const struct ringnode *node, struct rg_run *run, double begun_s);
/* The run of strategy number `index` has ended with an error: those that are left put together and
 * save what they have, the lowest of them has node->runs then, to be reported. why: in words, or
 * "": as the mesh says. */
void ringnode_break_off(struct ringnode *node, int index, struct ringnode_run *r, int code,
                        const char *why);
/* lose="restart", before all leave the mesh to join once more: the same for the case that it does
 * not come about. */
void ringnode_put_aside(struct ringnode *node, struct ringnode_run *r);
/* And it has not: what there is of the run is in node->runs, where this rank reports; else that is
 * said. The code. */
int ringnode_give_up(struct ringnode *node, const struct rg_error *e);
/* The account of an attempt that broke off; *run is empty then. */
void ringnode_keep_aside(struct ringnode *node, struct rg_run *run);
void ringnode_forget_aside(struct ringnode *node);
void ringnode_forget_runs(struct ringnode *node);

/* ---- ringnode_return.c: nodes that come back ---- */

/* Once attempts are open: lost ranks may come back, where they do. */
void ringnode_expect_returns(struct ringnode *node);
/* Before an attempt: those that are not here may come back from now on. */
void ringnode_keep_door(struct ringnode *node);
/* The node of that seat has its part in the next attempt, and is told so. False: no memory. */
bool ringnode_let_in(struct ringnode *node, int seat);
/* The others were in a run under way, and have taken this rank in: what it must know of them. */
void ringnode_come_back(struct ringnode *node);

/* SIGINT and SIGTERM, or the parent's SIGUSR1, stop what runs; SIGALRM, as late. */
void ringnode_catch_signals(void);
extern volatile sig_atomic_t ringnode_interrupted;

#endif
