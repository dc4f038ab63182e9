/* Optimisers: update a range of parameters in place from its gradient. */
#ifndef RG_MODELS_OPTIMIZER_H
#define RG_MODELS_OPTIMIZER_H

#include "base/cost.h"
#include <stddef.h>
#include <stdint.h>

enum rg_optimizer_kind { RG_SGD, RG_MOMENTUM, RG_ADAM, RG_ADAGRAD, RG_LBFGS };

enum { RG_HISTORY_MOST = 50 };

/* How the learning rate falls once a ramp is over. */
enum rg_rate_schedule { RG_RATE_CONSTANT, RG_RATE_STEP, RG_RATE_COSINE };

struct rg_optimizer {
    enum rg_optimizer_kind kind;
    float rate;           /* learning rate */
    float momentum;       /* momentum: 0.9; Adam: beta1 */
    float beta2, epsilon; /* Adam (Kingma and Ba 2015); epsilon: Adagrad (Duchi et al. 2011), too */
    long ramp; /* steps in which the rate rises to its value in a straight line; 0: none */
    enum rg_rate_schedule schedule;
    long period;  /* steps between two falls; of RG_RATE_COSINE, until the least; 0: to the end */
    int64_t run;  /* steps of the whole training, where period is 0 */
    float factor; /* RG_RATE_STEP: of the rate at each fall, 0: 0.1; RG_RATE_COSINE: at last */
    int history;  /* L-BFGS: pairs that are kept, up to RG_HISTORY_MOST; 10 */
    int trials;   /* L-BFGS: of lengths along a direction, at most; 20 */
    float clip;   /* a layer's gradient is made no longer than this; 0: as it is */
    /* What is made small beside the loss: l1 |w|_1 + l2/2 |w|^2, of all parameters but statistics;
     * l1 not with RG_ADAM, RG_LBFGS and late gradients. */
    float l1, l2;
    /* The step allows for gradients of weights that are late / every updates old on average, some
     * of them late / every rounded down, the others rounded up; late 0: it does not. */
    int late, every;
};

/* In the order of the kinds; the last has no name. */
extern const struct rg_optimizer_info {
    const char *name, *summary;
} rg_optimizer_infos[];

/* Defaults for a kind: sgd; momentum 0.9 (heavy ball, Polyak 1964); Adam 0.9, 0.999, 1e-8; Adagrad
 * 1e-10. */
struct rg_optimizer rg_optimizer_make(enum rg_optimizer_kind kind, float rate);

/* Another kind, with its defaults; what all kinds have stays. */
void rg_optimizer_change(struct rg_optimizer *optimizer, enum rg_optimizer_kind kind);

/* Floats of state for n parameters, zero at the start: 0, n, 2n, n; of L-BFGS a direction and its
 * pairs, (1 + 2 history) n. */
size_t rg_optimizer_state(const struct rg_optimizer *optimizer, size_t n);

/* What the slot-th n floats of the state are, from 0: "velocity" of momentum; "mean", "variance" of
 * Adam; "squares" of Adagrad. NULL: there are no more; of L-BFGS they have no names. */
const char *rg_optimizer_slot(enum rg_optimizer_kind kind, int slot);

/* The learning rate of step number `step` >= 1: rate * min(1, step / ramp), times what the schedule
 * makes of the t = step - max(ramp, 1) steps since then: factor^floor(t / period), or
 * factor + (1 - factor) (1 + cos(pi min(1, t / period))) / 2 (Loshchilov and Hutter 2017, without
 * restarts). The same bits on every processor. */
float rg_optimizer_rate(const struct rg_optimizer *optimizer, int64_t step);
/* What a gradient is scaled by to have a Euclidean norm of at most `most`: min(1, most / |g|)
 * (Pascanu et al. 2013, algorithm 1), of the sum of its squares. One that is not finite stays as it
 * is: 1. */
float rg_clip_by(float most, double squares);
/* In double precision and in an order that depends on n alone. */
double rg_sum_of_squares(size_t n, const float *g);
/* a b, likewise. */
double rg_dot(size_t n, const float *a, const float *b);
void rg_dot_work(size_t n, struct rg_work *work);
/* to = a + by * b; a NULL: 0. `to` may be either. */
void rg_combine(size_t n, float *to, const float *a, float by, const float *b);
void rg_combine_work(size_t n, struct rg_work *work);
/* v -= rate (a - b + by f): a step without its variance (Johnson and Zhang 2013). */
void rg_svrg(float rate, size_t n, float *v, const float *a, const float *b, float by,
             const float *f);
void rg_svrg_work(size_t n, struct rg_work *work);
/* x *= by */
void rg_scale(float by, size_t n, float *x);

/* Step number `step` >= 1 on n parameters; state as above. Not for RG_LBFGS, whose steps are of
 * several evaluations (strategies/search.h). Elementwise, so that any split of the
 * vector gives the same result. */
void rg_optimizer_step(const struct rg_optimizer *optimizer, long step, size_t n, float *w,
                       const float *gradient, float *state);
/* The same on a part of a vector, whose state has its second value of a parameter, if it has one,
 * `apart` after the first. */
void rg_optimizer_part(const struct rg_optimizer *optimizer, long step, size_t n, float *w,
                       const float *gradient, float *state, size_t apart);
/* Where the weights will be when a gradient that is begun now, after `step` steps, is applied:
 * ahead = w - rate (late / every) velocity (linear weight prediction; Kosson et al. 2020, section
 * 3.2, of weights by their velocity). ahead [n] is not w. Not for RG_SGD and RG_ADAGRAD,
 * which have no velocity. */
void rg_optimizer_predict(const struct rg_optimizer *optimizer, long step, size_t n, const float *w,
                          const float *state, float *ahead);
void rg_optimizer_predict_work(const struct rg_optimizer *optimizer, size_t n,
                               struct rg_work *work);
/* What comes before a step for l2: the gradient of l2/2 |w|^2 is added to `gradient`, or of RG_SGD,
 * which leaves that as it is, w is scaled by 1 - rate l2, which is the same. */
void rg_optimizer_decay(const struct rg_optimizer *optimizer, long step, size_t n, float *w,
                        float *gradient);
/* The step of RG_SGD alone: w -= rate * gradient. */
void rg_sgd(float rate, size_t n, float *w, const float *gradient);
/* Of a step on n parameters, with the clipping of their gradient. */
void rg_optimizer_work(const struct rg_optimizer *optimizer, size_t n, struct rg_work *work);

#endif
