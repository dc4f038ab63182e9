/* Trainings in the mem world that lose nodes and go on. The nodes are those of ringnode: each has
 * its own account of the attempts, those that are left work out the next by themselves, and must
 * come to the same. */
#ifndef RG_TESTS_TRIALS_H
#define RG_TESTS_TRIALS_H

#include "node/muster.h"
#include "strategies/harness.h"

enum { TRIAL_SEATS = 6 };

/* What a process has, from its start to its end. */
struct trial_process {
    struct rg_attempts attempts;
    struct rg_run run;
    bool ended;    /* it has gone, or its training is over */
    bool takes_in; /* its attempt has ended with that */
};

struct trial {
    uint64_t seed, dice;
    enum rg_lose lose;
    const char *file, *folder;
    char sets[120];
    char label[64];
    int nodes, spares;
    int most;   /* iterations that are done again after the loss of one node; 0: any number */
    bool whole; /* but none, as every node has all of the state; */
    int servers, replicas; /* or so many have it, with so many replicas */
    struct rg_study study; /* of the attempt */
    struct rg_training_state from;
    struct trial_process process[TRIAL_SEATS]; /* by seat */
    int deaths, died;                          /* that were ordered; that came before the end */
    int apart;      /* losses of several at a time that copies have made good */
    int left;       /* that have heard that it is over from one that has died since */
    bool forgetful; /* one that is left had no memory, maybe for what it is to keep for others */
    int returns, returned; /* that may come yet; that came */
};

/* A number below that, the next of the trial's. */
uint64_t trial_roll(struct trial *t, uint64_t below);
/* Fails, and says of which trial. */
void trial_complain(const struct trial *t, const char *what);

/* The attempts of the process of a seat, which sees that others are back while t->returns > 0. */
void trial_open_attempts(struct trial *t, int seat);
/* The scenario as cast on the nodes of that account, with its data; false: an assertion failed. */
bool trial_open_study(struct trial *t, const struct rg_attempts *a);
/* Of `left` nodes; for rg_attempts_cast, arg the trial. */
int trial_fitting(void *arg, const int *seats, int left);
/* Which nodes have all of the state by themselves. */
void trial_note_whole(struct trial *t, const struct rg_job *job);

/* A program of the mem world, arg the trial: a node's part in one attempt. */
int trial_attempt(struct rg_world *w, void *arg);
/* The process of a seat is gone. With lose=restart somebody starts it again, as at first. */
void trial_lose(struct trial *t, int seat);

/* Holds a run that has come to the end against one that lost nobody. */
void trial_look_at(struct trial *t, const struct rg_run *run, const struct rg_run *whole);

#endif
