#include "strategies/federated.h"

#include "base/sizes.h"
#include "strategies/samples.h"
#include <stdlib.h>
#include <string.h>

/* ---- clients ---- */

int rg_clients(const struct rg_job *job)
{
    return job->nodes - 1;
}

int rg_client_rows(const struct rg_job *job, int client)
{
    return rg_deal_count(job->rows, client);
}

int rg_client_steps(const struct rg_job *job, int client, int batch)
{
    return batch == 0 ? 1 : (rg_client_rows(job, client) + batch - 1) / batch;
}

/* ---- before a run ---- */

int rg_federated_check(const struct rg_job *job, struct rg_error *e)
{
    if (!job->own_rows)
        return rg_fail(e, RG_ERR_INVALID,
                       "clients train on rows of their own, and rows=\"shared\" gives them none: "
                       "order, shuffle, labels and dirichlet are allowed");
    return 0;
}

bool rg_federated_feeds(const struct rg_job *job, int rank)
{
    (void)job;
    return rank > 0;
}

int rg_federated_keepers(const struct rg_job *job, int *first)
{
    *first = 1;
    return rg_clients(job);
}

struct rg_passes rg_federated_passes(const struct rg_job *job, int rank, int batch)
{
    if (rank == 0)
        return (struct rg_passes){0};
    int rows = rg_client_rows(job, rank - 1), steps = rg_client_steps(job, rank - 1, batch);
    return (struct rg_passes){.least = rg_share(rows, steps, steps - 1),
                              .most = rg_share(rows, steps, 0)};
}

/* A server: the parameters and a sum. */
uint64_t rg_federated_memory(const struct rg_job *job, int rank, int rooms, int most)
{
    size_t count = job->network->parameters;
    if (rank > 0)
        return rg_replica_memory(job, most);
    return rg_size_plus(rg_size_times(2 * sizeof(float), count), rg_rounds_memory(count, rooms));
}

/* ---- a node ---- */

static int open_server(struct rg_federated *node, const float *initial, int rooms, bool closing)
{
    const struct rg_job *job = node->job;
    size_t count = job->network->parameters;
    const float *whole;
    float *drawn;
    node->parameters = rg_mem_floats(node->w->mem, count);
    node->mean = (struct rg_mean){.sum = rg_mem_floats(node->w->mem, count), .count = count};
    if (!node->parameters || !node->mean.sum)
        return RG_ERR_NOMEM;
    int result = rg_rounds_open(&node->rounds, node->w, rg_clients(job), count, rooms, closing);
    if (result || !job->numerics)
        return result;
    result = rg_initial_parameters(job, initial, &whole, &drawn);
    if (result == 0)
        memcpy(node->parameters, whole, count * sizeof *whole);
    free(drawn);
    return result;
}

int rg_federated_open(struct rg_federated *node, struct rg_world *w, const struct rg_job *job,
                      const float *initial, int rooms, bool closing, int most)
{
    node->w = w;
    node->job = job;
    node->seen.in_rounds = true;
    node->seen.peak_units = w->rank > 0;
    return w->rank == 0 ? open_server(node, initial, rooms, closing)
                        : rg_replica_open(&node->replica, w, job, most, NULL, NULL);
}

void rg_federated_close(struct rg_federated *node)
{
    if (node->w->rank == 0)
        rg_rounds_close(&node->rounds);
    else
        rg_replica_close(&node->replica);
}

int rg_federated_parameters(void *node, rg_visit_fn visit, void *arg)
{
    struct rg_federated *n = node;
    return rg_stream_parameters(n->w, n->job->network, 0, n->job->network->parameters, 0,
                                n->parameters, visit, arg);
}

/* Clients begin every round anew. */
int rg_federated_state(void *node, int64_t done, rg_state_fn visit, void *arg)
{
    struct rg_federated *n = node;
    n->done = done;
    return n->w->rank == 0
               ? rg_visit_parameters(n->parameters, 0, n->job->network->parameters, visit, arg)
               : 0;
}

uint64_t rg_federated_state_floats(const struct rg_job *job)
{
    return job->network->parameters;
}

int rg_federated_copies(void *node, rg_copy_fn visit, void *arg)
{
    struct rg_federated *n = node;
    struct rg_copying copying = {n->done, visit, arg};
    return rg_federated_state(node, n->done, rg_visit_copy, &copying);
}

uint64_t rg_federated_copies_floats(const struct rg_job *job, int rank)
{
    return rank == 0 ? job->network->parameters : 0;
}

const float *rg_federated_held(void *node, int part, size_t *first, size_t *count)
{
    struct rg_federated *n = node;
    *first = 0;
    *count = n->job->network->parameters;
    return n->w->rank == 0 && part == 0 ? n->parameters : NULL;
}

/* What a client has made of the parameters in the last round, if it took part. */
const float *rg_federated_trained_by(void *node, int rank)
{
    const struct rg_federated *n = node;
    const struct rg_client *client = rank > 0 ? &n->rounds.client[rank - 1] : NULL;
    return client && client->taken ? client->answer : NULL;
}

void rg_federated_observe(void *node, struct rg_observation *o)
{
    struct rg_federated *n = node;
    *o = n->seen;
}
