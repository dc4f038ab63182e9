/* What the sources of ringnode share: ringnode.c (main), ringnode_options.c, ringnode_rank.c (one
 * rank, on whatever machine), ringnode_local.c (all of them on this one). */
#ifndef RG_PROGRAMS_RINGNODE_H
#define RG_PROGRAMS_RINGNODE_H

#include "cli/cli.h"
#include "meters/heat.h"
#include "meters/meter.h"
#include "node/agree.h"
#include "posix/world_posix.h"
#include "result/checkpoint.h"
#include "result/training_state.h"
#include <signal.h>

struct ringnode {
    struct rg_options options;
    int rank; /* -1: not given */
    const char *hosts_file;
    bool local;
    int local_nodes; /* 0: as the scenario says */
    bool unbound;    /* ranks of --local run on any core */
    double join_timeout_s, peer_timeout_s;
    const char *key_file;
    bool insecure, any_address;
    enum rg_checksum checksum;
    struct rg_key key; /* of key_file */
    bool progress, files;
    const char *pace; /* a platform file, "platform" (the scenario's own), or NULL */
    struct rg_platform datasheet;
    struct rg_study study;
    struct rg_hosts hosts;
    float *initial;
    struct rg_checkpoint_rows told;   /* with --predict: by the file of --load */
    struct rg_training_state resumed; /* of --resume-from, on rank 0; zeroed: there is none */
    struct rg_mesh *mesh;
    struct rg_run *runs;      /* rank 0 */
    struct rg_agreed *agreed; /* [job_count] */
    struct rg_run *noted;     /* [job_count] rank 0: notes of before the runs, and nothing else */
    struct rg_meter_options metering;
    struct rg_mesh_facts facts;      /* of the mesh, when it is left */
    double idle_s;                   /* of measuring idle power */
    struct rg_meter *meter;          /* NULL: none is wanted */
    struct rg_heat *heat;            /* NULL: this machine tells nothing, or another rank does */
    struct rg_clock_sample compared; /* see struct rg_node_options */
    int rest_code;                   /* why the remaining strategies cannot run; 0: they can */
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

/* SIGINT and SIGTERM, or the parent's SIGUSR1, stop what runs; SIGALRM, as late. */
void ringnode_catch_signals(void);
extern volatile sig_atomic_t ringnode_interrupted;

#endif
