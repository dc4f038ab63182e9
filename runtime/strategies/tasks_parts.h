/* A master, a reducer and a worker, as tasks.c puts them together, and what they say to one
 * another. */
#ifndef RG_STRATEGIES_TASKS_PARTS_H
#define RG_STRATEGIES_TASKS_PARTS_H

#include "strategies/tasks.h"

enum { RG_TASK_NONE = -1, RG_TASK_GIVE_UP = -2 };

/* To a worker. What it has been told last it does after what it tells the reducers. */
struct rg_task_order {
    int64_t task; /* RG_TASK_NONE: the phase is over for it; RG_TASK_GIVE_UP: what it is at counts
                   * no more */
    int64_t push; /* what it has done last counts */
};

/* From a worker. */
struct rg_task_done {
    int64_t task; /* RG_TASK_NONE: it has given up */
    double loss;  /* a sum over samples */
};

/* To a reducer: whose gradient of a task counts. */
struct rg_task_owner {
    int32_t task, worker;
};

/* Gradients that a reducer has room for beside the sum. Where a worker may do an older task after a
 * later one, whose gradient would be in its way, all of them: then none ever waits. */
static inline int rg_tasks_rooms(const struct rg_tasks_plan *plan)
{
    return plan->backup ? plan->tasks : 1;
}

/* Of each: what it has beside the node, a phase, and what an error has left under way. */
int rg_tasks_master_open(struct rg_tasks_node *node);
int rg_tasks_master_run(struct rg_tasks_node *node, double *loss);
void rg_tasks_master_cancel(struct rg_tasks_node *node);
void rg_tasks_master_close(struct rg_tasks_master *master);

int rg_tasks_reducer_open(struct rg_tasks_node *node, const float *initial);
int rg_tasks_reducer_run(struct rg_tasks_node *node);
void rg_tasks_reducer_cancel(struct rg_tasks_node *node);
void rg_tasks_reducer_close(struct rg_tasks_reducer *reducer);

int rg_tasks_worker_open(struct rg_tasks_node *node);
int rg_tasks_worker_run(struct rg_tasks_node *node, int64_t iteration);
void rg_tasks_worker_cancel(struct rg_tasks_node *node);
void rg_tasks_worker_close(struct rg_tasks_worker *worker);

#endif
