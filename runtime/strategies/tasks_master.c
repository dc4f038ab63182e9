/* Who hands out tasks: see tasks.h. */
#include "strategies/tasks_parts.h"

#include <stdlib.h>
#include <string.h>

struct helper {
    int task; /* that it is at; RG_TASK_NONE */
    bool told_to_give_up;
    struct rg_task_order order, give_up;
    struct rg_task_done done;
    struct rg_request order_out, give_up_out, done_in;
};

struct job_task {
    bool finished;
    int runs; /* workers who have had it */
    double loss;
    struct rg_task_owner owner;
    struct rg_request owner_out;
};

struct rg_tasks_master {
    struct helper *helpers;      /* [workers] */
    struct job_task *tasks;      /* [tasks] */
    struct rg_request **waiting; /* [workers] */
    int next, active;            /* task; workers for whom the phase is not over */
};

int rg_tasks_master_open(struct rg_tasks_node *node)
{
    const struct rg_tasks_plan *plan = node->plan;
    size_t workers = (size_t)plan->workers, tasks = (size_t)plan->tasks;
    struct rg_tasks_master *m = node->master = calloc(1, sizeof *m);
    if (!m)
        return RG_ERR_NOMEM;
    m->helpers = calloc(workers, sizeof *m->helpers);
    m->tasks = calloc(tasks, sizeof *m->tasks);
    m->waiting = calloc(workers, sizeof *m->waiting);
    return m->helpers && m->tasks && m->waiting ? 0 : RG_ERR_NOMEM;
}

void rg_tasks_master_close(struct rg_tasks_master *m)
{
    free(m->helpers);
    free(m->tasks);
    free(m->waiting);
    free(m);
}

/* The next that nobody has had, or else the oldest that one worker is at. */
static int choose(struct rg_tasks_node *node)
{
    struct rg_tasks_master *m = node->master;
    if (m->next < node->plan->tasks)
        return m->next++;
    for (int t = 0; t < node->plan->tasks && node->plan->backup; t++)
        if (!m->tasks[t].finished && m->tasks[t].runs == 1)
            return t;
    return RG_TASK_NONE;
}

static int order(struct rg_tasks_node *node, int k, bool push)
{
    struct rg_tasks_master *m = node->master;
    struct helper *helper = &m->helpers[k];
    int result = rg_wait(node->w, &helper->order_out), task = choose(node);
    helper->task = task;
    helper->told_to_give_up = false;
    helper->order = (struct rg_task_order){.task = task, .push = push};
    if (task == RG_TASK_NONE)
        m->active--;
    else
        m->tasks[task].runs++;
    if (result == 0)
        result = rg_send(node->w, rg_tasks_worker_rank(node->plan, k), RG_TAG_TASK, &helper->order,
                         sizeof helper->order, &helper->order_out);
    if (result == 0 && task != RG_TASK_NONE)
        result = rg_recv(node->w, rg_tasks_worker_rank(node->plan, k), RG_TAG_TASK_DONE,
                         &helper->done, sizeof helper->done, &helper->done_in);
    m->waiting[k] = task == RG_TASK_NONE ? NULL : &helper->done_in;
    return result;
}

static int give_up(struct rg_tasks_node *node, int k)
{
    struct helper *helper = &node->master->helpers[k];
    int result = rg_wait(node->w, &helper->give_up_out);
    helper->told_to_give_up = true;
    helper->give_up = (struct rg_task_order){.task = RG_TASK_GIVE_UP};
    return result ? result
                  : rg_send(node->w, rg_tasks_worker_rank(node->plan, k), RG_TAG_TASK,
                            &helper->give_up, sizeof helper->give_up, &helper->give_up_out);
}

/* The first to have done it: reducers hear who, and another who is at it that it need not. */
static int finish(struct rg_tasks_node *node, int k, int task)
{
    struct rg_tasks_master *m = node->master;
    struct job_task *done = &m->tasks[task];
    int result;
    done->finished = true;
    done->loss = m->helpers[k].done.loss;
    done->owner = (struct rg_task_owner){.task = task, .worker = k};
    result = rg_send(node->w, 1, RG_TAG_OWNER, &done->owner, sizeof done->owner, &done->owner_out);
    for (int other = 0; other < node->plan->workers && result == 0; other++)
        if (other != k && m->helpers[other].task == task)
            result = give_up(node, other);
    return result;
}

static int hear(struct rg_tasks_node *node, int k)
{
    struct rg_tasks_master *m = node->master;
    struct helper *helper = &m->helpers[k];
    int task = helper->task;
    if (helper->done_in.status)
        return helper->done_in.status;
    if (helper->done.task != task &&
        !(helper->done.task == RG_TASK_NONE && helper->told_to_give_up))
        return RG_ERR_PROTOCOL;
    bool first = helper->done.task == task && !m->tasks[task].finished;
    helper->task = RG_TASK_NONE;
    int result = first ? finish(node, k, task) : 0;
    return result ? result : order(node, k, first);
}

int rg_tasks_master_run(struct rg_tasks_node *node, double *loss)
{
    struct rg_tasks_master *m = node->master;
    const struct rg_tasks_plan *plan = node->plan;
    int result = 0, which = -1;
    m->next = 0;
    m->active = plan->workers;
    memset(m->tasks, 0, (size_t)plan->tasks * sizeof *m->tasks);
    for (int k = 0; k < plan->workers && result == 0; k++)
        result = order(node, k, false);
    while (result == 0 && m->active > 0) {
        result = rg_wait_any(node->w, m->waiting, plan->workers, RG_FOREVER, &which);
        if (result == 0)
            result = hear(node, which);
    }
    for (int k = 0; k < plan->workers && result == 0; k++) {
        int given_up = rg_wait(node->w, &m->helpers[k].give_up_out);
        result = given_up ? given_up : rg_wait(node->w, &m->helpers[k].order_out);
    }
    *loss = 0;
    for (int t = 0; t < plan->tasks && result == 0; t++) {
        result = rg_wait(node->w, &m->tasks[t].owner_out);
        *loss += m->tasks[t].loss;
    }
    *loss /= node->job->batch;
    return result;
}

void rg_tasks_master_cancel(struct rg_tasks_node *node)
{
    struct rg_tasks_master *m = node->master;
    for (int k = 0; k < node->plan->workers; k++) {
        rg_cancel(node->w, &m->helpers[k].order_out);
        rg_cancel(node->w, &m->helpers[k].give_up_out);
        rg_cancel(node->w, &m->helpers[k].done_in);
    }
    for (int t = 0; t < node->plan->tasks; t++)
        rg_cancel(node->w, &m->tasks[t].owner_out);
}
