/* Trouble that a scenario orders: plain data, which the simulator acts out (sim/strands/windows.h).
 *
 *     <faults>
 *       <slow nodes="3,5-7" from="10" to="20" factor="0.5"/> ...
 *       <link nodes="3" from="10" to="20" factor="0.1"/> ...
 *       <off nodes="3" from="100" to="200"/> ...
 *       <jitter spread="0.2"/>
 *     </faults>
 *
 * Dates are seconds of training time (rg_now). from left out: 0; to left out: the end. Where
 * several windows of a kind hold for a node at once, the smallest factor counts. A node that is off
 * has lost what was in its memory; the others notice after faults.noticed_s. */
#ifndef RG_SCENARIO_FAULTS_H
#define RG_SCENARIO_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Ranks first to last at `factor` of what they are otherwise, in [from_s, to_s). */
struct rg_fault_window {
    int first, last;
    double from_s, to_s, factor; /* to_s: INFINITY for the end */
    int line;                    /* of its element */
};

struct rg_fault_windows {
    struct rg_fault_window *window;
    int count;
};

/* Ranks first to last have no power in [from_s, to_s). */
struct rg_fault_off {
    int first, last;
    double from_s, to_s; /* to_s: INFINITY for ever */
    int line;
};

struct rg_faults {
    struct rg_fault_windows slow; /* the speed of computing */
    struct rg_fault_windows link; /* the bandwidth of the nodes' own links */
    double spread; /* a computation's seconds times a factor drawn from [1 - spread, 1 + spread] */
    struct rg_fault_off *off; /* [off_count] */
    int off_count;
    double mtbf_s;    /* between two losses of a node, in the mean; 0: none are drawn */
    double repair_s;  /* until one that was drawn is over */
    double noticed_s; /* until the others notice a loss */
    double give_up_s; /* a loss that is noticed later ends the training; INFINITY: none does */
    int line;         /* of <faults>; 0: there is none */
};

/* The first time that rank `rank` is off at a date of `from_s` or later, or still then: false:
 * never. *to_s: INFINITY for ever. Those of mtbf follow from the seed. */
bool rg_faults_next_off(const struct rg_faults *faults, uint64_t seed, int rank, double from_s,
                        double *begin_s, double *end_s);
/* Is any node ever off? */
bool rg_faults_have_off(const struct rg_faults *faults);

#endif
