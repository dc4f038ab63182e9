/* What the files of parameter_server share. Servers are the first ranks, then come the workers. */
#ifndef RG_STRATEGIES_SERVER_PARTS_H
#define RG_STRATEGIES_SERVER_PARTS_H

#include "strategies/replica.h"
#include "strategies/shares.h"

/* In the order of the parameter's words. */
enum rg_consistency { RG_BSP, RG_SSP, RG_BOUNDED_DELAY, RG_ASYNC };

/* What `check` has worked out: rg_job.plan. */
struct rg_server_plan {
    enum rg_consistency consistency;
    int servers, workers;
    /* Clocks are a worker's iterations, and begin together in every epoch. A worker that begins one
     * may be so many ahead of the last that all have ended. */
    int64_t ahead;
    bool in_step;    /* nobody ever is, and an update has the gradients of all: as with bsp */
    int in_flight;   /* clocks that a worker has asked parameters for and not pushed yet */
    bool own_writes; /* it adds its own pushes to what it reads, where they are not in it yet */
};

static inline const struct rg_server_plan *rg_server_plan(const struct rg_job *job)
{
    return job->plan;
}

/* Of the network's parameters, those of a server. */
struct rg_shard {
    size_t first, count;
};
struct rg_shard rg_server_shard(const struct rg_job *job, int server);

/* The workers (0 ..) in the order in which a bulk-synchronous server serves them. */
void rg_server_order(const struct rg_server_plan *plan, int server, int *order);

/* Floats that a worker keeps beside a replica: parameters that it has asked for ahead, gradients
 * that are still leaving, or that are its own writes. */
int rg_server_pulled(const struct rg_server_plan *plan);    /* vectors of parameters in all */
int rg_server_gradients(const struct rg_server_plan *plan); /* of gradients */
/* Out of step, clocks whose pushes a server sums apart from one another; async: none. */
int64_t rg_server_clocks(const struct rg_server_plan *plan);
/* A server's vectors beside its parameters: what it sends, sums by clock, and pushes as they come
 * in. */
int64_t rg_server_vectors(const struct rg_server_plan *plan);
struct rg_cost rg_server_copy_cost(size_t count);

/* ---- closed forms (server_predict.c) ---- */

uint64_t rg_server_memory(const struct rg_job *job, int rank);
void rg_server_predict(const struct rg_job *job, struct rg_prediction *p);
void rg_server_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg);

/* A shard from a server to a worker; all shards in one direction of a worker's port
 * (server_dates.c). */
double rg_server_pull_s(const struct rg_job *job, int server, int worker);
double rg_server_worker_port_s(const struct rg_job *job, int worker);
/* In step: seconds of an iteration, and of the time in which pulls and pushes are both on their
 * way; compute [workers]: seconds of each. */
struct rg_server_dates {
    double end, overlap;
};
struct rg_server_dates rg_server_in_step_dates(const struct rg_job *job, const double *compute);

/* ---- nodes at work ---- */

/* What a server and a worker have whatever the consistency is. */
struct rg_server_node {
    struct rg_world *w;
    const struct rg_job *job;
    const struct rg_server_plan *plan;
    struct rg_shard shard; /* of a server, as the next three */
    float *parameters;
    struct rg_update update;
    struct rg_observation seen;
    struct rg_replica replica; /* of a worker */
    void *part;                /* of its kind, below */
};

static inline bool rg_is_server(const struct rg_server_node *node)
{
    return node->w->rank < node->plan->servers;
}

/* The samples of a worker's clock through its network: forward, then its loss. */
int rg_server_forward(struct rg_server_node *node, int64_t clock);

/* A kind of node: one that serves, or one that works, in step or out of it. */
struct rg_server_kind {
    int (*open)(struct rg_server_node *node); /* sets node->part */
    int (*train)(struct rg_server_node *node, int64_t first, int64_t count);
    void (*cancel)(struct rg_server_node *node); /* what an error has left under way */
    void (*close)(struct rg_server_node *node);
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
enum { RG_TAG_PULL = RG_TAG_USER, RG_TAG_PUSH, RG_TAG_ASK, RG_TAG_VERSION };

#endif
