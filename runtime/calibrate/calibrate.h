/* Calibration: what a machine was measured to take, and the datasheet that says the same.
 *
 *     rg_cal_machine(...); rg_cal_kernels(...); rg_cal_messages(...);      measure (once)
 *     rg_cal_save, rg_cal_load                                           the measurements, as JSON
 *     rg_cal_fit(&cal, ..., &fit, &e);                                   parameters of
 * boards/board.h rg_cal_report(&cal, &fit, stdout); rg_cal_write(...);               tables; a
 * platform file
 *
 * Measuring and fitting know nothing of each other: a fit can be repeated from a file, anywhere. */
#ifndef RG_CALIBRATE_CALIBRATE_H
#define RG_CALIBRATE_CALIBRATE_H

#include "base/cost.h"
#include "base/error.h"
#include "boards/board.h"
#include "world/world.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define RG_CAL_SCHEMA "ringtmp-calibration-1"

/* ---- measurements ---- */

struct rg_cal_machine {
    char name[48];         /* of the board, for the datasheet */
    char processor[100];   /* as the system calls it */
    char blas[32];         /* kernels that OpenBLAS ran */
    int cores;             /* of this end: the machine's, or its share of them */
    bool shared;           /* the other end ran on this machine too */
    double hz;             /* of the clock, as it may run now; 0: the system does not say */
    double limit_hz;       /* of the processor; 0: the system does not say */
    uint64_t memory_bytes; /* available to this end, a container's limit included */
    char doubts[240];      /* why another day's rates may differ: one line, or "" */
    double load;           /* average of a minute, before */
    char date[24];
};

/* Times are medians of samples: with the other end busy a least sample is an accident. */
struct rg_cal_kernel {
    char group[16], name[56];
    int threads;         /* of BLAS; kernels that are no products run on one in any case */
    struct rg_work work; /* of one call, as training charges it */
    double seconds;      /* of one call */
    double spread;       /* of the middle half of the samples, relative to the median */
    int samples;
};

enum rg_cal_message_kind {
    RG_CAL_ONE_WAY,  /* half of a round trip, nothing else under way */
    RG_CAL_STREAM,   /* from one to the next of many, one after the other */
    RG_CAL_PROCESSOR /* time of processors for one, mean of both ends, while they compute */
};

struct rg_cal_message {
    enum rg_cal_message_kind kind;
    uint64_t bytes; /* payload */
    double seconds, spread;
    int samples;
};

struct rg_cal_power {
    double idle_W, one_W, all_W; /* of the whole board; NAN: unknown */
    char source[64];             /* which meter; "given"; "" */
};

struct rg_calibration {
    struct rg_cal_machine machine;
    struct rg_cal_kernel *kernels;
    int kernel_count, kernel_room;
    struct rg_cal_message *messages; /* none: no peer */
    int message_count, message_room;
    struct rg_cal_power power;
    double frame_payload, frame_bytes; /* of a full frame between the ends */
};

void rg_cal_init(struct rg_calibration *cal);
void rg_cal_free(struct rg_calibration *cal);
/* Append; they take the work of the kernel. They abort on lack of memory. */
void rg_cal_add_kernel(struct rg_calibration *cal, const struct rg_cal_kernel *kernel);
void rg_cal_add_message(struct rg_calibration *cal, const struct rg_cal_message *message);
const char *rg_cal_message_kind(enum rg_cal_message_kind kind); /* "one way", ... */

/* JSON, schema RG_CAL_SCHEMA; what is written reads back to the same numbers. */
void rg_cal_save(const struct rg_calibration *cal, FILE *stream);
/* Errors: RG_ERR_IO, RG_ERR_INVALID with file and what is wrong, RG_ERR_NOMEM. */
int rg_cal_load(const char *file, struct rg_calibration *cal, struct rg_error *e);

/* ---- measuring ---- */

/* What the system says about itself; files under `root`. */
void rg_cal_machine(struct rg_cal_machine *machine, const char *root);
/* After the measuring: the highest clock that was seen (NAN: none), and what held the board back
 * meanwhile ("": nothing). A clock that stayed below what it may be is the one that was measured.
 */
void rg_cal_clock(struct rg_cal_machine *machine, double seen_hz, const char *held_back);

struct rg_cal_pace {
    double window_s; /* a kernel or message size is measured for so long, or `least` samples */
    int least;
    int passes; /* over all kernels, at least 1; of each the fastest counts */
    bool quick; /* fewer shapes and sizes */
    bool (*stop)(void);
    /* Told what is being measured; may be NULL. */
    void (*progress)(const char *what, int done, int total);
};

/* Every kernel of training on one thread and on all cores; with a world, at the same time as the
 * other end. Leaves BLAS at one thread. Errors: RG_ERR_NOMEM, RG_ERR_INTERRUPTED, RG_ERR_PEER. */
int rg_cal_kernels(struct rg_calibration *cal, const struct rg_cal_pace *pace,
                   struct rg_world *world);
/* In a world of two: both ends call it, and both have the same results. Errors: as above. */
int rg_cal_messages(struct rg_calibration *cal, const struct rg_cal_pace *pace,
                    struct rg_world *world);
/* Busies `threads` cores with products until `seconds` have passed. */
int rg_cal_burn(int threads, double seconds, bool (*stop)(void));

/* ---- fitting ---- */

enum { RG_CAL_VALUES = 40, RG_CAL_GROUPS = 24 };

struct rg_cal_value {
    char property[32];       /* as in the datasheet; of a curve also the size */
    const char *unit;        /* of value, low and high */
    double value, low, high; /* 95 % of confidence */
    bool determined;         /* by the measurements; else it is a bound or where it started */
};

struct rg_cal_group {
    char name[32]; /* of the rows, and on how many threads */
    int rows;
    double trust;       /* sum over the rows: little in those whose samples differ much */
    double mean, worst; /* absolute relative residual; means are weighted by trust */
    double bias;        /* mean of predicted / measured - 1 */
    double spread;      /* of the samples, mean */
    char worst_name[64];
};

struct rg_cal_fit {
    struct rg_board board; /* without memory, watts and clock: rg_cal_board */
    struct rg_cal_value values[RG_CAL_VALUES];
    int value_count;
    struct rg_cal_group groups[RG_CAL_GROUPS];
    int group_count;
    double *kernel_s, *message_s; /* predicted, a row each of the measurements */
    bool has_network;
};

/* Parameters of computation and, where there are messages, of the network. Errors: RG_ERR_INVALID
 * (too few measurements, no convergence), RG_ERR_NOMEM. */
int rg_cal_fit(const struct rg_calibration *cal, struct rg_cal_fit *fit, struct rg_error *e);
void rg_cal_fit_free(struct rg_cal_fit *fit);
/* Is every group's mean residual at most `most`? Else says which part is not, and why as far
 * as can be told: RG_ERR_INVALID. */
int rg_cal_good(const struct rg_calibration *cal, const struct rg_cal_fit *fit, double most,
                struct rg_error *e);

/* ---- telling ---- */

/* Tables: parameters with intervals, groups with residuals; rows too: every measurement. */
void rg_cal_report(const struct rg_calibration *cal, const struct rg_cal_fit *fit, bool rows,
                   FILE *stream);

/* What no kernel or message tells. */
struct rg_cal_extra {
    const struct rg_board *network; /* whose messages and port to take where none were measured */
    const char *network_name;
    double tx_W, rx_W, switch_W; /* of the port and of the switch */
};
/* The whole board: RG_ERR_INVALID where a part is missing, or rg_board_check does not like it. */
int rg_cal_board(const struct rg_calibration *cal, const struct rg_cal_fit *fit,
                 const struct rg_cal_extra *extra, struct rg_board *board, struct rg_error *e);
/* A SimGrid 4.1 platform of `nodes` such boards on a switch that does not block; 1: a datasheet. */
void rg_cal_write(const struct rg_calibration *cal, const struct rg_cal_fit *fit,
                  const struct rg_cal_extra *extra, const struct rg_board *board, int nodes,
                  FILE *stream);

#endif
