/* A full copy of the network on one node, with what forward and backward need: what `single`, the
 * workers of a parameter server and the nodes of an all-reduce have in common. Or a part of one: a
 * stage of consecutive layers, of which the first has the samples and computes the loss, whatever
 * lies between it and the outputs. */
#ifndef RG_STRATEGIES_REPLICA_H
#define RG_STRATEGIES_REPLICA_H

#include "models/stage.h"
#include "strategies/feed.h"
#include "world/twins.h"

/* The cost lists for n samples, shared by ranks (shared.h). Those of all layers are one list, layer
 * 0 first in backward too, of which a layer has a piece. */
struct rg_replica_work {
    int n;
    struct rg_work load, loss;
    struct rg_layer_works {
        struct rg_work all;
        int *at;                        /* [layers + 1]: where in it a layer begins */
        struct rg_known_seconds *known; /* [layers * RG_KNOWN_BOARDS] */
    } forward, backward;
};

struct rg_replica {
    struct rg_world *w;
    const struct rg_job *job;
    struct rg_stage stage; /* all layers, or some */
    int capacity;          /* samples at once */
    int mean_of;           /* gradients are sums over samples, divided by so many: job->batch */
    bool fused;            /* backward also takes the step of plain SGD, see rg_update_is_fusible */
    struct rg_feed feed;
    size_t gradient_first, parameters_first; /* the parameter that gradient[0] is of, ... */
    float *parameters, *gradient, *x, *stash, *dy, *dx[2], *scratch;
    float *logits; /* of the first stage of several: outputs that have come back, then their
                      gradient */
    void *targets;
    void *sizes;                     /* of what it has allocated; shared (shared.h) */
    struct rg_replica_work *work[2]; /* for `capacity` samples and for one less; once used */
    struct rg_replica_work *now;     /* of the samples that forward has seen */
    int64_t iteration;               /* in which it has */
    int first;                       /* and where in its batch they begin */
    double loss;                     /* of these samples, a sum */
};

/* Numbers that twins share: parameters, the optimizer's state, what else a strategy has of them. */
enum rg_twin_block { RG_TWIN_STATE, RG_TWIN_PARAMETERS, RG_TWIN_EXACT, RG_TWIN_VERSIONS };

/* What one takes with so many samples at once, kept: of a network of many layers it takes a while
 * to work out. */
struct rg_replica_bytes {
    int samples; /* 0: not known */
    uint64_t bytes;
};

/* Counted bytes of a replica for up to `capacity` samples at once; at most RG_SIZE_MOST.
 * twins: those whose parameters are equal whenever they are looked at; NULL: it has none. */
uint64_t rg_replica_memory(const struct rg_job *job, int capacity);
int rg_replica_open(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                    int capacity, const float *initial, struct rg_twins *twins);
/* The same without a gradient: before backward of a layer the caller sets `gradient` to where that
 * layer's goes, and gradient_first. */
uint64_t rg_replica_memory_bare(const struct rg_job *job, int capacity);
int rg_replica_open_bare(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                         int capacity, const float *initial, struct rg_twins *twins);
/* Nor with parameters: likewise before either pass of a layer. */
uint64_t rg_replica_memory_empty(const struct rg_job *job, int capacity);
int rg_replica_open_empty(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                          int capacity);
void rg_replica_close(struct rg_replica *r);

/* Some of the layers, with parameters of their own that whoever opens it fills. */
uint64_t rg_replica_memory_stage(const struct rg_job *job, const struct rg_stage *stage,
                                 int capacity);
int rg_replica_open_stage(struct rg_replica *r, struct rg_world *w, const struct rg_job *job,
                          const struct rg_stage *stage, int capacity);
/* Room for so many parameters more of that stage: at the place modulo a cache line at which they
 * lie in a whole network's vector, so that kernels give the same bits. */
float *rg_replica_vector(const struct rg_replica *r);

/* Gather samples [first, first + n) of the iteration's batch, forward, loss. n is `capacity` or one
 * less, as shares of a batch are. `unit`: for the trace. */
int rg_replica_forward(struct rg_replica *r, int64_t iteration, int first, int n, int unit);
/* The same in pieces: gather (or of a stage that has no samples, say which these are), forward of
 * layers 0, 1, ... one by one, loss. */
int rg_replica_begin(struct rg_replica *r, int64_t iteration, int first, int n);
int rg_replica_load(struct rg_replica *r, int64_t iteration, int first, int n, int unit);
int rg_replica_forward_layer(struct rg_replica *r, int l, int unit);
int rg_replica_loss(struct rg_replica *r, int unit);
/* Backward of layer l (called from the last to 0 after rg_replica_forward); the layer's gradient is
 * added to where accumulate is set. Gradients are of the mean loss of the global batch (divided by
 * job->batch): those of all shares add up to the update's. A node that takes a step by itself sets
 * mean_of to the samples of that step. */
int rg_replica_backward_layer(struct rg_replica *r, int l, bool accumulate, int unit);
int rg_replica_backward(struct rg_replica *r, bool accumulate, int unit);

/* What a stage hands on, and back: its outputs, and the gradient of its inputs. */
float *rg_replica_outputs(struct rg_replica *r);
float *rg_replica_inputs_gradient(struct rg_replica *r);
int rg_replica_forward_stage(struct rg_replica *r, int unit);

/* Modelled seconds of n samples on a board: forward (with loading and loss), that of layer l alone,
 * backward of layer l, and forward and backward of all, or of a stage. */
double rg_replica_forward_s(const struct rg_job *job, const struct rg_board *board, int n);
double rg_replica_forward_layer_s(const struct rg_job *job, const struct rg_board *board, int n,
                                  int l);
double rg_replica_backward_s(const struct rg_job *job, const struct rg_board *board, int n, int l);
double rg_replica_pass_s(const struct rg_job *job, const struct rg_board *board, int n);
double rg_replica_pass_stage_s(const struct rg_job *job, const struct rg_stage *stage,
                               const struct rg_board *board, int n);
/* Of an operation on vectors of n numbers, whose work is this. */
double rg_vector_s(const struct rg_job *job, const struct rg_board *board,
                   void (*of)(size_t n, struct rg_work *work), size_t n);

/* The network's parameters to begin with: *whole is `initial`, or where that is NULL drawn from the
 * seed into *drawn, which the caller frees. For nodes that keep a part. */
int rg_initial_parameters(const struct rg_job *job, const float *initial, const float **whole,
                          float **drawn);

/* The optimiser on a range of parameters, with its work; shared by all strategies. */
struct rg_update {
    struct rg_optimizer optimizer;
    const struct rg_network *network;
    size_t first, count; /* of its parameters */
    float *state;
    struct rg_work work;
    struct rg_twins *twins;
};

/* Plain SGD whose gradient nobody looks at: rg_stage_backward_sgd does it along with the backward
 * pass, to the same bits, reading the parameters once less. The model charges both all the same. */
bool rg_update_is_fusible(const struct rg_job *job);
uint64_t rg_update_memory(const struct rg_job *job, size_t count);
/* optimizer: the job's, or what a stage has made of it. twins: those that take the same steps;
 * NULL: there are none. They outlive it. */
int rg_update_open(struct rg_update *update, struct rg_world *w, const struct rg_job *job,
                   const struct rg_optimizer *optimizer, size_t first, size_t count,
                   struct rg_twins *twins);
void rg_update_close(struct rg_update *update);
/* The gradient is clipped in place. NULL: the step has been taken already, with the backward pass.
 */
int rg_update_run(struct rg_update *update, struct rg_world *w, int64_t step, float *parameters,
                  float *gradient);
/* The same at once, beside the world: training has broken off. */
void rg_update_finish(struct rg_update *update, int64_t step, float *parameters, float *gradient);
/* As struct rg_strategy's `state`: a range of parameters; and an optimizer's state. own: no other
 * node has the same. */
int rg_visit_parameters(float *parameters, size_t first, size_t count, rg_state_fn visit,
                        void *arg);
int rg_visit_update(const struct rg_update *update, bool own, rg_state_fn visit, void *arg);
/* What `state` visits, as a copy: a visitor with this argument. */
struct rg_copying {
    int64_t done; /* what it is the state after */
    rg_copy_fn visit;
    void *arg;
};
int rg_visit_copy(void *copying, const struct rg_state_array *array);
/* The work of a step on parameters [first, first + count), and what the job's takes. */
void rg_update_work(const struct rg_optimizer *optimizer, size_t first, size_t count,
                    struct rg_work *work);
double rg_update_s(const struct rg_job *job, const struct rg_board *board, size_t first,
                   size_t count);

/* Rank `owner` has the parameters [first, first + count) of the network in `values`; rank 0 visits
 * them, cut at the borders of layers. Collective over these two. */
int rg_stream_parameters(struct rg_world *w, const struct rg_network *network, size_t first,
                         size_t count, int owner, const float *values, rg_visit_fn visit,
                         void *arg);

#endif
