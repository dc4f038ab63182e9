/* L-BFGS with a search along its direction (Liu and Nocedal 1989; Nocedal and Wright 2006,
 * algorithms 7.4 and 3.1): what `single` and `sandblaster` do with optimizer="lbfgs".
 *
 * The search knows scalars alone. Vectors are numbers: where they are, and in how many ranges, is
 * the caller's affair. */
#ifndef RG_STRATEGIES_SEARCH_H
#define RG_STRATEGIES_SEARCH_H

#include "strategies/strategy.h"

/* The parameters, their gradient, the direction; then a step and the change of the gradient along
 * it, for each pair of the history. */
enum { RG_VECTOR_NONE = -1, RG_VECTOR_W, RG_VECTOR_G, RG_VECTOR_D, RG_VECTOR_PAIRS };

struct rg_search_ops {
    /* to = a + by * b; a RG_VECTOR_NONE: 0 */
    int (*combine)(void *arg, int to, int a, double by, int b);
    int (*dot)(void *arg, int a, int b, double *dot);
    /* The gradient at the parameters, of the mean loss of that iteration's batch. */
    int (*evaluate)(void *arg, int64_t iteration, double *loss);
};

struct rg_search {
    const struct rg_job *job;
    const struct rg_search_ops *ops;
    void *arg;
    int pairs, newest;           /* of the history, a ring; its last */
    double rho[RG_HISTORY_MOST]; /* 1 / (s y) of each */
    double first_scale;          /* s y / (y y) of the newest */
};

/* A step from where the parameters are: they become those of the first trial whose loss is lower by
 * a share of what the slope promises, or stay where no trial's is, and the history begins anew. A
 * batch's loss, with what l2 costs, never rises. Where numbers are not computed the first trial is
 * taken. */
int rg_search_step(struct rg_search *s, int64_t iteration);

/* For checkpoints: the scalars, beside vectors that the caller visits (rg_vectors_visit). */
int rg_search_visit(struct rg_search *s, rg_state_fn visit, void *arg);
/* Floats of a checkpoint with its history, vectors and scalars. */
uint64_t rg_search_state_floats(const struct rg_job *job);

/* Calls of a step, at most. */
struct rg_search_calls {
    uint64_t combines, dots, evaluations;
};
struct rg_search_calls rg_search_most(const struct rg_job *job);
/* With a full history, if the first trial is taken. */
struct rg_search_calls rg_search_usual(const struct rg_job *job);

/* ---- a range of all vectors ---- */

struct rg_vectors {
    size_t count;
    float *at[RG_VECTOR_PAIRS + 2 * RG_HISTORY_MOST];
    struct rg_work combine, dot;
};

/* Counted bytes of what there is beside the parameters and their gradient. */
uint64_t rg_vectors_memory(const struct rg_job *job, size_t count);
int rg_vectors_open(struct rg_vectors *v, struct rg_world *w, const struct rg_job *job,
                    size_t count, float *parameters, float *gradient);
void rg_vectors_close(struct rg_vectors *v);
/* The pairs of the history, of a range that begins at `first`. */
int rg_vectors_visit(const struct rg_vectors *v, const struct rg_job *job, size_t first,
                     rg_state_fn visit, void *arg);
int rg_vectors_combine(struct rg_vectors *v, struct rg_world *w, int to, int a, double by, int b);
/* In double, in an order that count alone decides. */
int rg_vectors_dot(struct rg_vectors *v, struct rg_world *w, int a, int b, double *dot);
/* Modelled seconds of either. */
double rg_vectors_combine_s(const struct rg_job *job, const struct rg_board *board, size_t count);
double rg_vectors_dot_s(const struct rg_job *job, const struct rg_board *board, size_t count);

#endif
