/* A worker of a parameter server that is out of step with the others: it asks for the parameters of
 * a clock, computes what it has got, and pushes. With more than one clock in flight the next ask
 * leaves before the computing begins, and parameters come in beside those that are computed with.
 *
 * One that does not read in every clock takes steps of its own in between, which the next read
 * replaces, and one that does not push in every clock adds up its gradients (Dean et al. 2012,
 * appendix, algorithm 1.1). */
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
    bool accrued;        /* the gradient has clocks that have not been pushed */
    float *fresh;        /* a clock's gradient, where it is kept apart from the sum */
    struct rg_work step; /* of its own */
    struct rg_adder adder;
};

/* The first is the replica's. */
static int more_vectors(struct rg_server_node *node, float *first, int count, float ***vectors)
{
    *vectors = calloc((size_t)count, sizeof **vectors);
    if (!*vectors)
        return RG_ERR_NOMEM;
    (*vectors)[0] = first;
    for (int i = 1; i < count; i++)
        if (!((*vectors)[i] = rg_replica_vector(&node->replica)))
            return RG_ERR_NOMEM;
    return 0;
}

static int open_worker(struct rg_server_node *node)
{
    size_t servers = (size_t)node->stage->servers;
    int pulled = rg_server_pulled(node->plan), gradients = rg_server_gradients(node->plan);
    struct worker *worker = node->part = calloc(1, sizeof *worker);
    if (!worker)
        return RG_ERR_NOMEM;
    worker->reads = calloc((size_t)pulled * servers, sizeof *worker->reads);
    worker->pushes = calloc((size_t)gradients * servers, sizeof *worker->pushes);
    if (!worker->reads || !worker->pushes)
        return RG_ERR_NOMEM;
    const struct rg_optimizer own = rg_worker_optimizer(node->job);
    rg_optimizer_work(&own, node->stage->parameters, &worker->step);
    if (rg_server_sums_apart(node->plan) && !(worker->fresh = rg_replica_vector(&node->replica)))
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
    rg_work_free(&worker->step);
    free(worker);
}

/* What is in use for a clock. */
static struct read *reads_of(const struct rg_server_node *node, int64_t clock)
{
    const struct worker *worker = node->part;
    return worker->reads + clock % rg_server_pulled(node->plan) * node->stage->servers;
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
    return worker->pushes + clock % rg_server_gradients(node->plan) * node->stage->servers;
}

/* ---- messages ---- */

static int ask(struct rg_server_node *node, int64_t clock)
{
    int result = 0;
    for (int i = 0; i < node->stage->servers && result == 0; i++) {
        int j = node->stage->first_server + i;
        struct read *read = &reads_of(node, clock)[i];
        size_t count = rg_server_shard(node->job, j).count;
        read->clock = clock;
        result = rg_recv(node->w, j, RG_TAG_VERSION, &read->version, sizeof read->version,
                         &read->version_in);
        if (result == 0)
            result =
                rg_recv(node->w, j, RG_TAG_PULL, pulled_of(node, clock) + rg_server_place(node, j),
                        count * sizeof(float), &read->pull);
        if (result == 0)
            result = rg_send(node->w, j, RG_TAG_ASK, &read->clock, sizeof read->clock, &read->ask);
    }
    return result;
}

static int wait_for_pulls(struct rg_server_node *node, int64_t clock)
{
    int result = 0;
    for (int j = 0; j < node->stage->servers; j++) {
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
    for (int j = 0; j < node->stage->servers; j++) {
        int one = requests[j].owner ? rg_wait(node->w, &requests[j]) : 0;
        result = result ? result : one;
    }
    return result;
}

/* ---- steps of a worker ---- */

struct write {
    const struct rg_server_node *node;
    struct rg_shard shard;
    int64_t clock, missing;
};

static void write(void *arg)
{
    const struct write *write = arg;
    float *parameters = pulled_of(write->node, write->clock) + write->shard.first;
    const struct rg_optimizer optimizer = rg_worker_optimizer(write->node->job);
    rg_network_step(write->node->job->network, &optimizer, write->missing + 1, write->shard.first,
                    write->shard.count, parameters,
                    gradient_of(write->node, write->missing) + write->shard.first, NULL);
}

/* The steps that are not in what has been read of server j, as they would have been alone. */
static int write_own(struct rg_server_node *node, int64_t clock, int j)
{
    struct write one = {node, rg_server_shard(node->job, j), clock, 0};
    const struct rg_optimizer own = rg_worker_optimizer(node->job);
    struct rg_cost costs[3]; /* of l2, of l1, of the step */
    struct rg_work work = {.cost = costs, .capacity = 3};
    rg_optimizer_work(&own, one.shard.count, &work);
    int64_t version = reads_of(node, clock)[j].version;
    int result = 0;
    if (version < clock - node->plan->ahead || version > clock)
        return RG_ERR_PROTOCOL;
    for (one.missing = version; one.missing < clock && result == 0; one.missing++)
        result = rg_compute(node->w, &work, "own", (int)one.missing, write, &one);
    return result;
}

struct step {
    struct rg_server_node *node;
    int64_t clock;
};

/* At the rate of a server's step by then if nobody is out of step. */
static void step_alone(void *arg)
{
    const struct step *step = arg;
    const struct rg_job *job = step->node->job;
    const struct rg_optimizer optimizer = rg_worker_optimizer(job);
    const struct rg_server_stage *stage = step->node->stage;
    rg_network_step(job->network, &optimizer, rg_server_updates(job, step->clock) + 1, stage->first,
                    stage->parameters, step->node->replica.parameters, step->node->replica.gradient,
                    NULL);
}

/* The clock's gradient: into the sum, and where no read follows into the parameters. */
static int backward(struct rg_server_node *node, int64_t clock)
{
    struct worker *worker = node->part;
    struct rg_replica *replica = &node->replica;
    struct step step = {node, clock};
    float *sum = replica->gradient = gradient_of(node, clock);
    bool apart = worker->accrued && worker->fresh;
    if (apart)
        replica->gradient = worker->fresh;
    int result = rg_server_backward(node, worker->accrued && !apart);
    if (result == 0 && rg_server_after_read(node->job, clock) > clock + 1)
        result = rg_compute(node->w, &worker->step, "own", (int)clock, step_alone, &step);
    if (result == 0 && apart)
        result = rg_add(node->w, &worker->adder, sum, worker->fresh, node->stage->parameters,
                        (int)clock);
    worker->accrued = true;
    return result;
}

static int push(struct rg_server_node *node, int64_t clock)
{
    struct worker *worker = node->part;
    worker->accrued = false;
    return rg_server_push(node, clock, gradient_of(node, clock), pushes_of(node, clock));
}

/* ---- an epoch ---- */

static int work(struct rg_server_node *node, int64_t clock)
{
    struct worker *worker = node->part;
    int result = wait_for_pulls(node, clock);
    for (int j = 0; j < node->plan->servers && node->plan->own_writes && result == 0; j++)
        result = write_own(node, clock, j);
    node->replica.parameters = pulled_of(node, clock);
    if (result == 0)
        result = rg_server_forward(node, clock);
    if (result == 0)
        result = wait_for_pushes(node, clock);
    if (result == 0)
        result = backward(node, clock);
    if (result == 0 && rg_server_after_push(node->job, clock) == clock + 1)
        result = push(node, clock);
    if (result == 0)
        result = rg_iteration(node->w, clock);
    int pushed = result == 1 && worker->accrued ? push(node, clock) : 0;
    return pushed ? pushed : result;
}

/* Asks are ahead of the work by the clocks in flight. What has been asked for when training stops
 * comes all the same. */
static int run_worker(struct rg_server_node *node, int64_t first, int64_t count)
{
    int64_t end = first + count, clock = first, asked;
    int worker = rg_server_worker_of(node->plan, node->w->rank), result = 0;
    int64_t begin = asked = rg_server_begin(node->plan, worker, first, end);
    for (; clock < begin && result == 0; clock++)
        result = rg_iteration(node->w, clock);
    for (; clock < end && result == 0; clock++) {
        while (asked < RG_MIN(clock + node->plan->in_flight, end) && result == 0) {
            result = ask(node, asked);
            asked = rg_server_after_read(node->job, asked);
        }
        if (result == 0)
            result = work(node, clock);
    }
    for (int64_t i = clock; i < RG_MIN(asked, clock + node->plan->in_flight - 1) && result >= 0;
         i++) {
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
    int servers = node->stage->servers;
    rg_server_ring_cancel(node);
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
