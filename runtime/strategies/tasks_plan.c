/* Who is what, and whether it fits the job: see tasks.h. */
#include "strategies/tasks_parts.h"

#include "base/check.h"
#include "base/sizes.h"
#include <stdlib.h>

int rg_tasks_check(struct rg_job *job, int copies, struct rg_error *e)
{
    struct rg_value *tasks = &job->values[RG_TASKS_TASKS];
    int reducers = (int)job->values[RG_TASKS_REDUCERS].number;
    struct rg_tasks_plan plan = {.reducers = reducers,
                                 .workers = job->nodes - 1 - reducers,
                                 .backup = job->values[RG_TASKS_BACKUP].number == 1,
                                 .copies = copies};
    const struct rg_param *params = job->strategy->params;
    const char *of_reducers = params[RG_TASKS_REDUCERS].name;
    if (plan.workers < 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "%s=\"%d\" of %d nodes leaves no worker beside rank 0, which hands out "
                       "tasks: 1 to %d",
                       of_reducers, reducers, job->nodes, job->nodes - 2);
    if ((size_t)reducers > job->network->parameters)
        return rg_fail(e, RG_ERR_INVALID, "%s=\"%d\" is more than the %zu parameters", of_reducers,
                       reducers, job->network->parameters);
    plan.tasks = tasks->automatic ? RG_MIN(4 * plan.workers, job->batch) : (int)tasks->number;
    if (plan.tasks > job->batch)
        return rg_fail(e, RG_ERR_INVALID, "%s=\"%d\" of a batch of %d samples: 1 to %d are allowed",
                       params[RG_TASKS_TASKS].name, plan.tasks, job->batch, job->batch);
    struct rg_tasks_plan *kept = malloc(sizeof *kept);
    if (!kept)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    *kept = plan;
    tasks->number = plan.tasks;
    job->plan = kept;
    return 0;
}

void rg_tasks_forget(struct rg_job *job)
{
    free(job->plan);
    job->plan = NULL;
}

enum rg_tasks_role rg_tasks_role(const struct rg_tasks_plan *plan, int rank)
{
    return rank == 0 ? RG_MASTER : rank <= plan->reducers ? RG_REDUCER : RG_WORKER;
}

bool rg_tasks_feeds(const struct rg_job *job, int rank)
{
    return rg_tasks_role(rg_tasks_plan(job), rank) == RG_WORKER;
}

struct rg_shard rg_tasks_shard(const struct rg_job *job, int reducer)
{
    return rg_shard_of(job->network->parameters, rg_tasks_plan(job)->reducers, reducer);
}

struct rg_passes rg_tasks_passes(const struct rg_job *job, int rank)
{
    int tasks = rg_tasks_plan(job)->tasks;
    if (!rg_tasks_feeds(job, rank))
        return (struct rg_passes){0};
    return (struct rg_passes){.least = rg_share(job->batch, tasks, tasks - 1),
                              .most = rg_share(job->batch, tasks, 0)};
}

uint64_t rg_tasks_memory(const struct rg_job *job, int rank)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    enum rg_tasks_role role = rg_tasks_role(plan, rank);
    if (role == RG_MASTER)
        return 0;
    if (role == RG_REDUCER)
        return rg_size_times((2 + (uint64_t)rg_tasks_rooms(plan)) * sizeof(float),
                             rg_tasks_shard(job, rank - 1).count);
    return rg_size_plus(rg_replica_memory(job, rg_share(job->batch, plan->tasks, 0)),
                        rg_size_times(sizeof(float), job->network->parameters));
}
