/* What the parts of ringsim share: ringsim.c (options, checks), ringsim_child.c (the process of a
 * run), gather.c (what becomes of the results). */
#ifndef RG_SIM_RINGSIM_H
#define RG_SIM_RINGSIM_H

#include "children.h"
#include "cli/cli.h"
#include "preload.h"
#include "strands/sim_options.h"
#include "survey.h"

/* What a child tells while it works, in shared memory; torn values only spoil a progress line. */
struct shared {
    volatile int64_t done, total;
    volatile double time_s;
};

/* A run of the plan. */
struct task {
    const struct rg_job *job; /* in its child */
    struct rg_run run;
    bool again; /* run holds what came of it, and it is simulated once more (again.h) */
    bool over;  /* run holds all */
};

struct ringsim {
    struct rg_options options;
    int jobs;                  /* --jobs; 0: not given */
    bool full;                 /* --full */
    bool per_node;             /* --per-node */
    enum rg_sim_engine engine; /* --engine */
    int shard, shards;         /* --shard K/N; 0, 0: all runs */
    bool resume;               /* --resume */
    char **parts;              /* --merge */
    int part_count;
    struct rg_sweep_plan plan;
    struct rg_study study; /* of all runs where they are of one point; else a child opens its own */
    struct rg_surveys *surveys; /* what SimGrid has said of the platforms */
    struct rg_preload preload;  /* what it may load before the children are there */
    float *initial;
    struct rg_training_state resumed; /* of --resume-from; zeroed: there is none */
    struct task *tasks;               /* [plan.run_count] */
    int count;
    struct shared *shared;
    bool terminal;
    double started_s, written_s, writing_s; /* --json was last written then, and took so long */
    bool unwritten;                         /* something has finished since */
};

/* For struct rg_children; arg is the struct ringsim. */
void ringsim_child(void *arg, int index, int fd);
/* What a simulation of the job begins with. */
struct rg_sim_options ringsim_options(const struct ringsim *r, const struct rg_study *study,
                                      const struct rg_job *job);
/* Are there checkpoints to be made? */
bool ringsim_has_checkpoints(const struct ringsim *r, const struct rg_scenario *scenario);
/* Is the run one of --shard? */
bool ringsim_is_mine(const struct ringsim *r, int index);
/* Set up the tasks: what cannot run is over, --resume takes over what is finished. 0 or an exit
 * status; one line has gone to standard error then. */
int ringsim_gather(struct ringsim *r);
/* The runs, longest first, so that no core is left with the longest at the end; malloc'ed. */
int *ringsim_order(struct ringsim *r);
/* The run failed, or was not finished. */
void ringsim_fail(struct ringsim *r, int index, enum rg_status status, int code, const char *text);
/* For struct rg_children; arg is the struct ringsim. */
bool ringsim_ended(void *arg, int index, enum rg_children_end end, const char *text, size_t length);
void ringsim_tick(void *arg);
/* Write and print everything; the exit status of the program. Frees the tasks. */
int ringsim_report(struct ringsim *r);
void ringsim_forget(struct ringsim *r);
/* --merge: read the parts, write and print the whole; the exit status. */
int ringsim_merge(struct ringsim *r);

#endif
