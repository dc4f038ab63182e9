/* A worker of a parameter server that is out of step with the others: it asks for the parameters of
 * a clock, computes what it has got, and pushes. With more than one clock in flight the next ask
 * leaves before the computing begins, and parameters come in beside those that are computed with.
 */
#include "base/check.h"
#include "strategies/server_parts.h"

#include "models/update.h"
#include <stdlib.h>

/* Of one clock and one server. */
struct read {
    int64_t clock, version;
    struct rg_request ask, version_in, pull;
};

struct worker {
    struct read *reads;        /* [in_flight][servers] */
    struct rg_request *pushes; /* [gradients][servers] */
    float **pulled, **gradients;
};

/* The first is the replica's. */
static int more_vectors(struct rg_server_node *node, float *first, int count, float ***vectors)
{
    *vectors = calloc((size_t)count, sizeof **vectors);
    if (!*vectors)
        return RG_ERR_NOMEM;
    (*vectors)[0] = first;
    for (int i = 1; i < count; i++)
        if (!((*vectors)[i] = rg_mem_floats(node->w->mem, node->job->network->parameters)))
            return RG_ERR_NOMEM;
    return 0;
}

static int open_worker(struct rg_server_node *node)
{
    size_t servers = (size_t)node->plan->servers;
    int pulled = rg_server_pulled(node->plan), gradients = rg_server_gradients(node->plan);
    struct worker *worker = node->part = calloc(1, sizeof *worker);
    if (!worker)
        return RG_ERR_NOMEM;
    worker->reads = calloc((size_t)pulled * servers, sizeof *worker->reads);
    worker->pushes = calloc((size_t)gradients * servers, sizeof *worker->pushes);
    if (!worker->reads || !worker->pushes)
        return RG_ERR_NOMEM;
    int result = more_vectors(node, node->replica.parameters, pulled, &worker->pulled);
    return result ? result
                  : more_vectors(node, node->replica.gradient, gradients, &worker->gradients);
}

static void close_worker(struct rg_server_node *node)
{
    struct worker *worker = node->part;
    free(worker->reads);
    free(worker->pushes);
    free(worker->pulled);
    free(worker->gradients);
    free(worker);
}

/* What is in use for a clock. */
static struct read *reads_of(const struct rg_server_node *node, int64_t clock)
{
    const struct worker *worker = node->part;
    return worker->reads + clock % rg_server_pulled(node->plan) * node->plan->servers;
}

static float *pulled_of(const struct rg_server_node *node, int64_t clock)
{
    const struct worker *worker = node->part;
    return worker->pulled[clock % rg_server_pulled(node->plan)];
}

static float *gradient_of(const struct rg_server_node *node, int64_t clock)
{
    const struct worker *worker = node->part;
    return worker->gradients[clock % rg_server_gradients(node->plan)];
}

static struct rg_request *pushes_of(const struct rg_server_node *node, int64_t clock)
{
    const struct worker *worker = node->part;
    return worker->pushes + clock % rg_server_gradients(node->plan) * node->plan->servers;
}

/* ---- messages ---- */

static int ask(struct rg_server_node *node, int64_t clock)
{
    int result = 0;
    for (int j = 0; j < node->plan->servers && result == 0; j++) {
        struct read *read = &reads_of(node, clock)[j];
        struct rg_shard shard = rg_server_shard(node->job, j);
        read->clock = clock;
        result = rg_recv(node->w, j, RG_TAG_VERSION, &read->version, sizeof read->version,
                         &read->version_in);
        if (result == 0)
            result = rg_recv(node->w, j, RG_TAG_PULL, pulled_of(node, clock) + shard.first,
                             shard.count * sizeof(float), &read->pull);
        if (result == 0)
            result = rg_send(node->w, j, RG_TAG_ASK, &read->clock, sizeof read->clock, &read->ask);
    }
    return result;
}

static int wait_for_pulls(struct rg_server_node *node, int64_t clock)
{
    int result = 0;
    for (int j = 0; j < node->plan->servers; j++) {
        struct read *read = &reads_of(node, clock)[j];
        int one = rg_wait_all(
            node->w, (struct rg_request *[]){&read->ask, &read->version_in, &read->pull}, 3);
        result = result ? result : one;
    }
    return result;
}

/* Of the clock that had its place in the buffers, if there was one. */
static int wait_for_pushes(struct rg_server_node *node, int64_t clock)
{
    struct rg_request *requests = pushes_of(node, clock);
    int result = 0;
    for (int j = 0; j < node->plan->servers; j++) {
        int one = requests[j].owner ? rg_wait(node->w, &requests[j]) : 0;
        result = result ? result : one;
    }
    return result;
}

/* ---- own writes ---- */

struct write {
    const struct rg_server_node *node;
    struct rg_shard shard;
    int64_t clock, missing;
};

static void write(void *arg)
{
    const struct write *write = arg;
    float *parameters = pulled_of(write->node, write->clock) + write->shard.first;
    struct rg_optimizer optimizer = write->node->job->optimizer;
    optimizer.kind = RG_SGD;
    optimizer.clip = 0;
    rg_network_step(write->node->job->network, &optimizer, write->missing + 1, write->shard.first,
                    write->shard.count, parameters,
                    gradient_of(write->node, write->missing) + write->shard.first, NULL);
}

/* The steps that are not in what has been read of server j, as they would have been alone. */
static int write_own(struct rg_server_node *node, int64_t clock, int j)
{
    struct write one = {node, rg_server_shard(node->job, j), clock, 0};
    const struct rg_optimizer plain = {.kind = RG_SGD};
    struct rg_cost cost;
    struct rg_work work = {.cost = &cost, .capacity = 1};
    rg_optimizer_work(&plain, one.shard.count, &work);
    int64_t version = reads_of(node, clock)[j].version;
    int result = 0;
    if (version < clock - node->plan->ahead || version > clock)
        return RG_ERR_PROTOCOL;
    for (one.missing = version; one.missing < clock && result == 0; one.missing++)
        result = rg_compute(node->w, &work, "own", (int)one.missing, write, &one);
    return result;
}

/* ---- an epoch ---- */

static int work(struct rg_server_node *node, int64_t clock)
{
    struct rg_replica *replica = &node->replica;
    int result = wait_for_pulls(node, clock);
    for (int j = 0; j < node->plan->servers && node->plan->own_writes && result == 0; j++)
        result = write_own(node, clock, j);
    replica->parameters = pulled_of(node, clock);
    replica->gradient = gradient_of(node, clock);
    if (result == 0)
        result = rg_server_forward(node, clock);
    if (result == 0)
        result = wait_for_pushes(node, clock);
    if (result == 0)
        result = rg_replica_backward(replica, false, -1);
    if (result == 0)
        result = rg_server_push(node, clock, replica->gradient, pushes_of(node, clock));
    return result ? result : rg_iteration(node->w, clock);
}

/* Asks are ahead of the work by the clocks in flight. What has been asked for when training stops
 * comes all the same. */
static int run_worker(struct rg_server_node *node, int64_t first, int64_t count)
{
    int64_t asked = first, end = first + count, clock = first;
    int result = 0;
    for (; clock < end && result == 0; clock++) {
        for (; asked < RG_MIN(clock + node->plan->in_flight, end) && result == 0; asked++)
            result = ask(node, asked);
        if (result == 0)
            result = work(node, clock);
    }
    for (int64_t i = clock; i < asked && result >= 0; i++) {
        int one = wait_for_pulls(node, i);
        result = one ? one : result;
    }
    for (int i = 0; i < rg_server_gradients(node->plan) && result >= 0; i++) {
        int one = wait_for_pushes(node, i);
        result = one ? one : result;
    }
    return result;
}

static void cancel_worker(struct rg_server_node *node)
{
    struct worker *worker = node->part;
    int servers = node->plan->servers;
    for (int i = 0; i < rg_server_pulled(node->plan) * servers; i++) {
        rg_cancel_one(node->w, &worker->reads[i].ask);
        rg_cancel_one(node->w, &worker->reads[i].version_in);
        rg_cancel_one(node->w, &worker->reads[i].pull);
    }
    for (int i = 0; i < rg_server_gradients(node->plan) * servers; i++)
        rg_cancel_one(node->w, &worker->pushes[i]);
}

const struct rg_server_kind rg_worker_out_of_step = {
    .open = open_worker, .train = run_worker, .cancel = cancel_worker, .close = close_worker};
