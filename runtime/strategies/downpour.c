/* downpour: the first ranks are servers that hold the parameters in shards, the others are replicas
 * of the network that nobody keeps in step (Dean et al. 2012, section 4.1 and appendix): a replica
 * reads the parameters every so many iterations, takes steps of its own in between, and pushes the
 * sum of its gradients every so many; each push is an update at once. It is an asynchronous server
 * of parameter_server (server_stale.c, worker_stale.c) but for when its workers read and push. */
#include "strategies/server_parts.h"

enum { SERVERS, SHARES, FETCH_EVERY, PUSH_EVERY, WARM_UP, REPLICA_STAGES };

static const struct rg_param params[] = {
    [SERVERS] = {"servers", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                 "nodes that hold the parameters, a shard each; the others are replicas"},
    [SHARES] = RG_SHARES_PARAM,
    [FETCH_EVERY] = {"fetch-every", RG_PARAM_COUNT, "1", 1, 1e4, NULL,
                     "iterations between two reads of the parameters by a replica, which takes\n"
                     "steps of its own in between; it reads when an epoch begins"},
    [PUSH_EVERY] =
        {"push-every", RG_PARAM_COUNT, "1", 1, 1e4, NULL,
         "iterations whose gradients a replica adds up before it pushes them; it pushes\n"
         "when an epoch ends"},
    [WARM_UP] = {"warm-up", RG_PARAM_COUNT, "0", 0, 1e9, NULL,
                 "iterations at the beginning in which the first replica trains alone"},
    [REPLICA_STAGES] =
        {"replica-stages", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
         "nodes of a replica: a ring that has its layers, each node of which talks only\n"
         "to servers of its own; behind the servers stand the first nodes of all\n"
         "replicas, then their second ones, ..."},
    {0}};

static int check_replicas(const struct rg_job *job, struct rg_error *e)
{
    const struct rg_value *warm_up = &job->values[WARM_UP];
    if (warm_up->number >= job->iterations && !job->settled)
        return rg_fail(e, RG_ERR_INVALID,
                       "warm-up=\"%ld\" leaves the other replicas none of %lld iterations: 0 to "
                       "%lld",
                       warm_up->number, (long long)job->iterations, (long long)job->iterations - 1);
    return 0;
}

static int check(struct rg_job *job, struct rg_error *e)
{
    int servers = (int)job->values[SERVERS].number;
    int stages = (int)job->values[REPLICA_STAGES].number;
    const struct rg_server_plan plan = {.consistency = RG_ASYNC,
                                        .servers = servers,
                                        .workers = (job->nodes - servers) / stages,
                                        .stages = stages,
                                        .ahead = job->iterations_per_epoch - 1,
                                        .in_flight = 1,
                                        .fetch_every = job->values[FETCH_EVERY].number,
                                        .push_every = job->values[PUSH_EVERY].number,
                                        .warm_up = job->values[WARM_UP].number};
    int err = rg_server_check_nodes(job, servers, stages, e);
    if (err == 0)
        err = check_replicas(job, e);
    if (err == 0)
        err = rg_server_keep_plan(job, &plan, e);
    job->uneven = plan.warm_up > 0;
    return err ? err : rg_shares_check(job, &job->values[SHARES], servers, plan.workers, e);
}

const struct rg_strategy rg_strategy_downpour = {
    .name = "downpour",
    .summary = "replicas read from servers and push to them every so often, and nobody waits",
    .params = params,
    .min_nodes = 2,
    .check = check,
    .forget = rg_server_forget,
    .feeds = rg_server_feeds,
    .memory = rg_server_memory,
    .predict = rg_server_predict,
    .flows = rg_server_flows,
    .sharing = rg_server_sharing,
    .passes = rg_server_passes,
    .under_way = rg_server_under_way,
    .check_orders = rg_server_check_orders,
    .open = rg_server_open,
    .train = rg_server_train,
    .parameters = rg_server_parameters,
    .state = rg_server_state,
    .state_floats = rg_server_state_floats,
    .root_floats = rg_server_root_floats,
    .whole_epochs = rg_server_whole_epochs,
    .held = rg_server_held,
    .observe = rg_server_observe,
    .close = rg_server_close,
};
