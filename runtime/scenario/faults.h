/* Trouble that a scenario orders: plain data, which the simulator acts out (sim/strands/windows.h).
 *
 *     <faults>
 *       <slow nodes="3,5-7" from="10" to="20" factor="0.5"/> ...
 *       <link nodes="3" from="10" to="20" factor="0.1"/> ...
 *       <jitter spread="0.2"/>
 *     </faults>
 *
 * Dates are seconds of training time (rg_now). from left out: 0; to left out: the end. Where
 * several windows of a kind hold for a node at once, the smallest factor counts. */
#ifndef RG_SCENARIO_FAULTS_H
#define RG_SCENARIO_FAULTS_H

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

struct rg_faults {
    struct rg_fault_windows slow; /* the speed of computing */
    struct rg_fault_windows link; /* the bandwidth of the nodes' own links */
    double spread; /* a computation's seconds times a factor drawn from [1 - spread, 1 + spread] */
    int line;      /* of <faults>; 0: there is none */
};

#endif
