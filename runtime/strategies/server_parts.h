/* What the files of parameter_server share. Servers are the first ranks, then come the workers. */
#ifndef RG_STRATEGIES_SERVER_PARTS_H
#define RG_STRATEGIES_SERVER_PARTS_H

#include "collectives/collectives.h"
#include "collectives/filter.h"
#include "strategies/order.h"
#include "strategies/replica.h"
#include "strategies/shares.h"

/* In the order of the parameter's words. */
enum rg_consistency { RG_BSP, RG_SSP, RG_BOUNDED_DELAY, RG_ASYNC };

/* A worker is one node, or a ring of several (downpour), of which each has a stage of consecutive
 * layers and talks only to those servers that have its parameters. Behind the servers come the
 * first stages of all workers, then their second ones, ... */
struct rg_server_stage {
    struct rg_stage layers;
    size_t first, parameters;           /* in the network's vector */
    int first_server, servers;          /* of that range */
    struct rg_replica_bytes replica[2]; /* of the first worker and the last; see
                                         * rg_server_weigh_replicas */
};

/* What `check` has worked out: rg_job.plan. */
struct rg_server_plan {
    enum rg_consistency consistency;
    int servers, workers;
    int stages;                    /* of a worker */
    struct rg_server_stage *stage; /* [stages] */
    /* Clocks are a worker's iterations, and begin together in every epoch. A worker that begins one
     * may be so many ahead of the last that all have ended. */
    int64_t ahead;
    bool in_step;    /* nobody ever is, and an update has the gradients of all: as with bsp */
    int in_flight;   /* clocks that a worker has asked parameters for and not pushed yet */
    bool own_writes; /* it adds its own pushes to what it reads, where they are not in it yet */
    /* Asynchronous ones: clocks between two reads, and two pushes, of a worker; clocks at the
     * beginning of a run that the first worker has for itself. */
    int64_t fetch_every, push_every, warm_up;
    struct rg_filters filters; /* of pushes */
    int replicas;              /* of a server's range, on the servers behind it */
};

static inline const struct rg_server_plan *rg_server_plan(const struct rg_job *job)
{
    return job->plan;
}

/* Of a server's steps, and of those that a worker takes by itself, from which its gradients come
 * out as they were. */
struct rg_optimizer rg_server_optimizer(const struct rg_job *job);
struct rg_optimizer rg_worker_optimizer(const struct rg_job *job);

/* Of a worker's node: the stage and the worker that it is of; and the other way round. */
static inline int rg_server_stage_of(const struct rg_server_plan *plan, int rank)
{
    return (rank - plan->servers) / plan->workers;
}

static inline int rg_server_worker_of(const struct rg_server_plan *plan, int rank)
{
    return (rank - plan->servers) % plan->workers;
}

static inline int rg_server_rank(const struct rg_server_plan *plan, int stage, int worker)
{
    return plan->servers + stage * plan->workers + worker;
}

/* The stage whose parameters a server has. */
int rg_server_stage_at(const struct rg_server_plan *plan, int server);

/* Of the network's parameters, those of a server. */
struct rg_shard rg_server_shard(const struct rg_job *job, int server);

/* The workers (0 ..) in the order in which a bulk-synchronous server serves them. */
void rg_server_order(const struct rg_server_plan *plan, int server, int *order);

/* Clocks count from the beginning of an epoch: a worker reads at those that fetch_every divides,
 * and at its first; a push has the gradients of push_every of them, or of fewer up to the end.
 *
 * A worker's first clock of an epoch [first, end); `end`: it has none. */
int64_t rg_server_begin(const struct rg_server_plan *plan, int worker, int64_t first, int64_t end);
/* The next read after that of a clock; the first clock that is not in the push of a clock; the
 * clocks below which a worker has pushed all when it begins one. */
int64_t rg_server_after_read(const struct rg_job *job, int64_t clock);
int64_t rg_server_after_push(const struct rg_job *job, int64_t clock);
int64_t rg_server_pushed_before(const struct rg_job *job, int64_t clock);
/* Reads, or pushes, of a worker's clocks [begin, end) of an epoch, one in `every` clocks. */
int64_t rg_server_times(const struct rg_job *job, int64_t every, int64_t begin, int64_t end);
/* Steps of the optimizer in the clocks below that one. */
int64_t rg_server_updates(const struct rg_job *job, int64_t clock);
/* Does a worker take steps of its own between reads; and keep gradients apart from their sum? */
bool rg_server_steps_alone(const struct rg_server_plan *plan);
bool rg_server_sums_apart(const struct rg_server_plan *plan);

/* Floats that a worker keeps beside a replica: parameters that it has asked for ahead, gradients
 * that are still leaving, or that are its own writes. */
int rg_server_pulled(const struct rg_server_plan *plan);    /* vectors of parameters in all */
int rg_server_gradients(const struct rg_server_plan *plan); /* of gradients */
/* Out of step, clocks whose pushes a server sums apart from one another; async: none. */
int64_t rg_server_clocks(const struct rg_server_plan *plan);
/* A server's vectors beside its parameters: what it sends, sums by clock; and pushes as they come
 * in. */
int64_t rg_server_vectors(const struct rg_server_plan *plan);
int64_t rg_server_messages(const struct rg_server_plan *plan);

/* ---- replicas of a server's range (server_chain.c) ---- */

enum { RG_SERVER_ACK = 8 }; /* bytes */

/* Acknowledgements that a server sends in a clock. */
int rg_server_chain_acks(const struct rg_server_plan *plan);
/* Counted bytes of a server's copies of other ranges; bytes that it hands on (from 0) or gets
 * (from 1) in a clock, beside acknowledgements; seconds of its copies' steps; and of all that in a
 * clock. */
uint64_t rg_server_chain_memory(const struct rg_job *job, int server);
uint64_t rg_server_chain_bytes(const struct rg_job *job, int server, int from);
double rg_server_chain_updates_s(const struct rg_job *job, int server);
double rg_server_chain_s(const struct rg_job *job);

/* ---- the order of answers and pushes (server_order.c) ---- */

static inline int rg_server_answer_of(int worker)
{
    return 2 * worker;
}

static inline int rg_server_push_of(int worker)
{
    return 2 * worker + 1;
}

int rg_server_events(const struct rg_server_plan *plan); /* less than this */
int rg_server_check_orders(const struct rg_job *job, char *const *orders, int count,
                           struct rg_error *e);

/* ---- pushes, with or without filters (server_filter.c) ---- */

static inline bool rg_server_filtered(const struct rg_server_plan *plan)
{
    return plan->filters.count > 0;
}

/* Of a push to that server, at most: bytes, and numbers that it says. */
uint64_t rg_server_push_bytes(const struct rg_job *job, int server);
size_t rg_server_push_numbers(const struct rg_job *job, int server);
/* Counted bytes of what filters need beside a worker's gradients, and a server's messages. */
uint64_t rg_server_out_memory(const struct rg_job *job);
uint64_t rg_server_in_memory(const struct rg_job *job, int server);
/* Seconds that a worker's filters take for a push to that server; and that a server takes for a
 * push, the first of a sum or any other. */
double rg_server_say_s(const struct rg_job *job, int server, const struct rg_board *board);
double rg_server_take_s(const struct rg_job *job, int server, bool first);

/* ---- closed forms (server_predict.c) ---- */

uint64_t rg_server_memory(const struct rg_job *job, int rank);
/* The last of `check`: hundreds of workers have replicas of two sizes at most, as a rule, and
 * layers may be thousands. */
void rg_server_weigh_replicas(struct rg_job *job);
void rg_server_predict(const struct rg_job *job, struct rg_prediction *p);
void rg_server_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg);

/* A shard from a server to a worker; all shards through a worker's port, and all its pushes
 * (server_dates.c). */
double rg_server_pull_s(const struct rg_job *job, int server, int worker);
double rg_server_pulls_port_s(const struct rg_job *job, int stage, int worker);
double rg_server_pushes_port_s(const struct rg_job *job, int stage, int worker);
const struct rg_board *rg_server_board_of(const struct rg_job *job, int stage, int worker);
/* In step: seconds of an iteration, and of the time in which pulls and pushes are both on their
 * way; compute [workers]: seconds of each. */
struct rg_server_dates {
    double end, overlap;
};
struct rg_server_dates rg_server_in_step_dates(const struct rg_job *job, const double *compute);

/* ---- the functions of rg_strategy (server_node.c) ---- */

/* Of workers of so many nodes each. */
int rg_server_check_nodes(const struct rg_job *job, int servers, int stages, struct rg_error *e);
/* Into job->plan, once it is whole but for its stages, which are cut here (server_cut.c). */
int rg_server_keep_plan(struct rg_job *job, const struct rg_server_plan *plan, struct rg_error *e);
int rg_server_cut(const struct rg_job *job, struct rg_server_plan *plan, struct rg_error *e);
void rg_server_forget(struct rg_job *job);
bool rg_server_feeds(const struct rg_job *job, int rank);
int rg_server_sharing(const struct rg_job *job, int *first);
struct rg_passes rg_server_passes(const struct rg_job *job, int rank);
int64_t rg_server_under_way(const struct rg_job *job);
int rg_server_open(struct rg_world *w, const struct rg_job *job, const float *initial,
                   void **state);
int rg_server_train(void *state, int64_t first, int64_t count);
int rg_server_parameters(void *state, rg_visit_fn visit, void *arg);
int rg_server_state(void *state, int64_t done, rg_state_fn visit, void *arg);
uint64_t rg_server_state_floats(const struct rg_job *job);
uint64_t rg_server_root_floats(const struct rg_job *job);
bool rg_server_whole_epochs(const struct rg_job *job);
const float *rg_server_held(void *state, int part, size_t *first, size_t *count);
int rg_server_copies(void *state, rg_copy_fn visit, void *arg);
uint64_t rg_server_copies_floats(const struct rg_job *job, int rank);
void rg_server_observe(void *state, struct rg_observation *o);
void rg_server_close(void *state);

/* ---- nodes at work ---- */

/* Of the range of a server before. */
struct rg_server_copy {
    struct rg_shard shard;
    float *parameters, *gradient;
    struct rg_update update;
    int64_t done; /* clocks whose steps it has taken */
};

/* What a server and a worker have whatever the consistency is. */
struct rg_server_node {
    struct rg_world *w;
    /* In step, without filters and replicas: a server changes its shard when all workers have
     * pushed, who look at the parameters between a pull and a push. */
    struct rg_twins twins;
    const struct rg_job *job;
    const struct rg_server_plan *plan;
    const struct rg_server_stage *stage; /* its layers; of a server, those that it has some of */
    int first_worker;                    /* rank of the first of these whom a server serves */
    struct rg_shard shard;               /* of a server, as the next four */
    float *parameters;
    struct rg_update update;
    struct rg_adder adder;
    struct rg_observation seen;
    struct rg_replica replica; /* of a worker */
    struct rg_request handed;  /* of its ring: what has come or leaves */
    struct rg_filter_out *out; /* [servers] of a worker with filters; NULL: none */
    void **messages;           /* [gradients][servers] what leaves of it */
    struct rg_filter_in *in;   /* [workers] of a server with filters */
    /* [replicas] of a server: of the ranges of those before it, the nearest first */
    struct rg_server_copy *copies;
    int64_t done;    /* clocks whose steps a server in step has taken */
    int64_t settled; /* with replicas: those whose sums all servers have, own and copies' */
    void *part;      /* of its kind, below */
};

/* Where a server's shard lies in what a worker's node has. */
static inline size_t rg_server_place(const struct rg_server_node *node, int server)
{
    return rg_server_shard(node->job, server).first - node->stage->first;
}

static inline bool rg_is_server(const struct rg_server_node *node)
{
    return node->w->rank < node->plan->servers;
}

/* Where a message's numbers are: twins move none. */
static inline float *rg_server_moved(const struct rg_server_node *node, float *numbers)
{
    return rg_twins_share(&node->twins) ? NULL : numbers;
}

/* Of twins: the gradient of that rank, as far as it is this server's. */
static inline const float *rg_server_lent(const struct rg_server_node *node, int rank)
{
    return rg_twins_lent(&node->twins, rank) + node->shard.first;
}

/* The samples of a worker's clock through its network: forward, then its loss; and backward. */
int rg_server_forward(struct rg_server_node *node, int64_t clock);
int rg_server_backward(struct rg_server_node *node, bool accumulate);
/* Of a worker of several nodes, which hand on activations and gradients (server_ring.c): bytes that
 * one sends to the next, forward, and to the one before, backward. 0: it is one node. */
uint64_t rg_server_handed(const struct rg_job *job, int stage, int worker);
int rg_server_ring_forward(struct rg_server_node *node, int64_t clock);
int rg_server_ring_backward(struct rg_server_node *node, bool accumulate);
void rg_server_ring_cancel(struct rg_server_node *node);

int rg_server_filters_open(struct rg_server_node *node);
void rg_server_filters_close(struct rg_server_node *node);
/* What a worker's filters have kept back. Places told before are told again after it. */
int rg_server_filters_state(struct rg_server_node *node, rg_state_fn visit, void *arg);
/* A worker's gradient of a clock starts on its way to all servers; with filters it becomes what
 * they hear of it. requests [servers]. */
int rg_server_push(struct rg_server_node *node, int64_t clock, float *gradient,
                   struct rg_request *requests);
/* A server's receive of a worker's push to [rg_server_push_bytes]. */
int rg_server_expect(struct rg_server_node *node, int worker, void *to, struct rg_request *request);
/* The push of a worker that has come (in->buffer) is added to `to`, or with filters where `add` is
 * not set, takes its place. */
int rg_server_take(struct rg_server_node *node, int worker, const struct rg_request *in, float *to,
                   bool add, int unit);

/* A server in step. Pass: the sum of its clock goes to its replicas, until all servers know that
 * all have theirs; then the step of the copies. */
int rg_server_chain_open(struct rg_server_node *node);
void rg_server_chain_close(struct rg_server_node *node);
int rg_server_chain_pass(struct rg_server_node *node, int64_t clock, const float *gradient);
int rg_server_chain_step(struct rg_server_node *node, int64_t clock);
/* As rg_strategy's `copies`, of a server in step. gradient: the sum of the clock under way. */
int rg_server_chain_visit(struct rg_server_node *node, float *gradient, rg_copy_fn visit,
                          void *arg);

/* A kind of node: one that serves, or one that works, in step or out of it. */
struct rg_server_kind {
    int (*open)(struct rg_server_node *node); /* sets node->part */
    int (*train)(struct rg_server_node *node, int64_t first, int64_t count);
    void (*cancel)(struct rg_server_node *node); /* what an error has left under way */
    void (*close)(struct rg_server_node *node);
    /* As rg_strategy's; NULL: it has none */
    int (*copies)(struct rg_server_node *node, rg_copy_fn visit, void *arg);
};
extern const struct rg_server_kind rg_server_in_step, rg_worker_in_step;         /* server_bsp.c */
extern const struct rg_server_kind rg_server_out_of_step, rg_worker_out_of_step; /* *_stale.c */

static inline void rg_cancel_one(struct rg_world *w, struct rg_request *request)
{
    if (request->owner)
        rg_cancel(w, request);
}

/* ASK and VERSION are of 8 bytes. In posting order ASK is behind the PUSH of a clock before,
 * VERSION before its PULL. */
enum {
    RG_TAG_PULL = RG_TAG_USER,
    RG_TAG_PUSH,
    RG_TAG_ASK,
    RG_TAG_VERSION,
    RG_TAG_CHAIN,
    RG_TAG_ACK,
    RG_TAG_FORWARD, /* of a worker's ring, as the next */
    RG_TAG_BACKWARD
};

#endif
