/* From a scenario to the runs it asks for: a strategy each, and with sweeps each at every point of
 * their product that differs for it.
 *
 * All of it is checked before anything runs: every point is opened once, its closed forms noted,
 * and closed again, so that hundreds of points take little memory; whoever simulates a run opens
 * its study for himself. */
#ifndef RG_SWEEP_H
#define RG_SWEEP_H

#include "study/job.h"

enum { RG_SWEEP_POINTS = 1000000, RG_SWEEP_RUNS = 100000 }; /* most */

/* A run as it is known beforehand. */
struct rg_planned {
    struct rg_run run; /* label, kind, params, nodes, sweep, predicted; does-not-fit and impossible
                        * with their errors, where it is not to be simulated */
    struct rg_setting *point;
    int64_t iterations;
    char files[65]; /* digest of what was read for it */
    struct rg_foretold foretold;
};

struct rg_sweep_plan {
    struct rg_study_want want; /* its strings belong to the caller */
    char *name;
    uint64_t seed;
    char digest[65];         /* of the scenario with every file and value at every point */
    bool sweeping;           /* there are sweeps that --set has not pinned */
    bool numerics;           /* somewhere */
    long points;             /* of the product; those that are the same for every strategy too */
    struct rg_planned *runs; /* point after point, in it strategy after strategy */
    int run_count;
    struct rg_study *study; /* the caller's room for one */
    bool study_open; /* all runs are of one point: it stays open, jobs[i] is that of runs[i] */
    struct rg_setting *shared; /* the point of that study */
    int run_room;
};

/* Called with the study of every point as it is checked; an error ends the planning. */
typedef int (*rg_look_fn)(void *arg, const struct rg_study *study, struct rg_error *e);

/* want->at_point and want->point are ignored. look may be NULL. *study must stay where it is; it is
 * closed with the plan. */
int rg_sweep_open(const struct rg_study_want *want, rg_look_fn look, void *arg,
                  struct rg_study *study, struct rg_sweep_plan *plan, struct rg_error *e);
/* The study of one run, with that job only. The plan must outlive it. An error where a file is not
 * what was planned with any more. */
int rg_sweep_enter(const struct rg_sweep_plan *plan, int run, struct rg_study *study,
                   struct rg_error *e);
/* The same for those that are left of it: on these hosts of the platform, of so many that it began
 * with (see rg_study_want). */
int rg_sweep_cast(const struct rg_sweep_plan *plan, int run, const int *hosts, int count, int began,
                  struct rg_study *study, struct rg_error *e);
/* As rg_study_fitting, of that run. */
int rg_sweep_fitting(const struct rg_sweep_plan *plan, int run, int multiple, const int *seats,
                     int left, int began, struct rg_error *why);
void rg_sweep_close(struct rg_sweep_plan *plan);
/* Copy the head of a run, as planned. */
int rg_sweep_head(const struct rg_sweep_plan *plan, int run, struct rg_run *copy);

#endif
