/* From short runs to a long one. Pure functions on runs.
 *
 * A schedule fills its pipeline at the beginning of an epoch and drains it at the end; in between,
 * once it is steady, a period of its rhythm is like any other. Epochs begin and end with nothing
 * under way, so that one is like any other too. All totals of a run, seconds, bytes or joules, are
 * then a sum of whole multiples of the totals of a few short runs, each complete with filling and
 * draining: what a period adds is the difference of two runs that differ by a period. */
#ifndef RG_SIM_EXTRAPOLATE_H
#define RG_SIM_EXTRAPOLATE_H

#include "result/result.h"
#include "steady.h"

enum { RG_REDUCED_RUNS = 3 };

/* Short runs in place of a long one. Runs 0 and 1 differ by a period of the rhythm (and, where
 * again is 2, by one more epoch like that of run 0). */
struct rg_reduction {
    struct {
        int64_t per_epoch, iterations;
        int64_t weight; /* in the sum that is the long run */
    } runs[RG_REDUCED_RUNS];
    int count;
    int again; /* what run 1 adds to so many times run 0 is a period */
    struct rg_rhythm rhythm;
    /* The long run: so many epochs of `per_epoch`, then `rest` iterations of another. */
    int64_t epochs, per_epoch, rest;
    int64_t repeats[2]; /* periods left out of a whole epoch, of the rest */
    int rest_run;       /* the run that shows the rest: its last epoch */
};

/* The iterations of an epoch repeat. false: the runs would be longer than what they spare. */
bool rg_reduce_iterations(int64_t iterations, int64_t per_epoch, int64_t under_way,
                          const struct rg_rhythm *rhythm, struct rg_reduction *reduction);
/* Whole epochs repeat: rhythm->period is per_epoch. */
bool rg_reduce_epochs(int64_t iterations, int64_t per_epoch, const struct rg_rhythm *rhythm,
                      struct rg_reduction *reduction);
int64_t rg_reduction_cost(const struct rg_reduction *reduction); /* iterations of its runs */

/* A short run: what a simulation gave, and when its iterations ended on node 0. */
struct rg_reduced_run {
    struct rg_run run;
    double *marks; /* [run.iterations] */
};

/* Do the short runs differ by what the rhythm says, iteration by iteration of node 0? */
bool rg_reduction_holds(const struct rg_reduction *reduction, const struct rg_reduced_run *runs);
/* Makes *run the long run, each field as the table of result fields says; run 0 keeps
 * nothing but its nodes. 0 or RG_ERR_NOMEM. */
int rg_extrapolate(const struct rg_reduction *reduction, struct rg_reduced_run *runs,
                   struct rg_run *run);

#endif
