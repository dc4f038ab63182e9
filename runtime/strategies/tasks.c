#include "strategies/tasks_parts.h"

int rg_tasks_open(struct rg_tasks_node *node, struct rg_world *w, const struct rg_job *job,
                  const float *initial)
{
    *node = (struct rg_tasks_node){.w = w, .job = job, .plan = rg_tasks_plan(job)};
    enum rg_tasks_role role = node->role = rg_tasks_role(node->plan, w->rank);
    node->seen.peak_units = role == RG_WORKER;
    return role == RG_MASTER    ? rg_tasks_master_open(node)
           : role == RG_REDUCER ? rg_tasks_reducer_open(node, initial)
                                : rg_tasks_worker_open(node);
}

void rg_tasks_close(struct rg_tasks_node *node)
{
    if (node->master)
        rg_tasks_master_close(node->master);
    if (node->reducer)
        rg_tasks_reducer_close(node->reducer);
    if (node->worker)
        rg_tasks_worker_close(node->worker);
    rg_replica_close(&node->replica);
}

int rg_tasks_phase(struct rg_tasks_node *node, int64_t iteration, double *loss)
{
    return node->role == RG_MASTER    ? rg_tasks_master_run(node, loss)
           : node->role == RG_REDUCER ? rg_tasks_reducer_run(node)
                                      : rg_tasks_worker_run(node, iteration);
}

void rg_tasks_cancel(struct rg_tasks_node *node)
{
    if (node->master)
        rg_tasks_master_cancel(node);
    if (node->reducer)
        rg_tasks_reducer_cancel(node);
    if (node->worker)
        rg_tasks_worker_cancel(node);
}

uint64_t rg_tasks_root_floats(const struct rg_job *job)
{
    (void)job;
    return 0;
}

int rg_tasks_parameters(void *node, rg_visit_fn visit, void *arg)
{
    struct rg_tasks_node *n = node;
    int result = 0;
    for (int j = 0; j < n->plan->reducers && result == 0; j++) {
        struct rg_shard shard = rg_tasks_shard(n->job, j);
        result = rg_stream_parameters(n->w, n->job->network, shard.first, shard.count, 1 + j,
                                      n->parameters, visit, arg);
    }
    return result;
}

void rg_tasks_observe(void *node, struct rg_observation *o)
{
    struct rg_tasks_node *n = node;
    *o = n->seen;
}
