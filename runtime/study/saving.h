/* What checkpoints cost by the datasheets: training stands still while rank 0 gathers one, and its
 * card is written beside training; how often they are worth it, by the losses that there are. */
#ifndef RG_STUDY_SAVING_H
#define RG_STUDY_SAVING_H

#include "strategies/strategy.h"

/* How a rank offers an array of its state to rank 0, and that answers. */
enum { RG_OFFER_BYTES = 64, RG_ANSWER_BYTES = 8 };

/* A copy in memory. */
double rg_saving_copy_s(const struct rg_board *board, uint64_t bytes);
/* An array that a rank has: offered, asked for, sent; bytes 0: it is not wanted. */
double rg_saving_fetch_s(const struct rg_board *from, const struct rg_board *to, uint64_t bytes);
/* To the card; NAN: the board does not say how fast that is. */
double rg_saving_write_s(const struct rg_board *board, uint64_t bytes);

struct rg_saving {
    uint64_t bytes;   /* of numbers */
    double pause_s;   /* of training */
    double writing_s; /* beside it: no two checkpoints are closer; NAN: unknown */
};
/* The pause by bytes, and roughly by messages: into how many arrays state is cut it does not know.
 */
struct rg_saving rg_saving_predict(const struct rg_job *job);

/* Seconds of training between two checkpoints that lose the least time together with what is done
 * again after a loss, if one costs pause_s and losses come mtbf_s apart in the mean: Young (1974)'s
 * first-order form, and Daly (2006)'s equation 37, which is mtbf_s from pause_s = 2 mtbf_s on. */
double rg_interval_young_s(double pause_s, double mtbf_s);
double rg_interval_daly_s(double pause_s, double mtbf_s);
/* Daly's of a job of which each node is lost every node_s in the mean; no less than its card takes.
 */
double rg_interval_of(const struct rg_job *job, double node_s);

#endif
