/* Who holds a range of the parameters and adds up gradients: see tasks.h. */
#include "strategies/tasks_parts.h"

#include "base/check.h"
#include <stdlib.h>
#include <string.h>

struct rg_tasks_reducer {
    int *order;               /* [workers]: in which parameters go out */
    int *owner;               /* [tasks]: workers; RG_TASK_NONE: not known yet */
    float **rooms;            /* [rooms]: of task t the one of t modulo so many */
    struct rg_request *in;    /* [tasks] */
    bool *asked, *come;       /* [tasks] */
    struct rg_request **list; /* [tasks + 2]: what is waited for, owner and parameters last */
    struct rg_task_owner heard, told;
    struct rg_request out, owner_in, owner_out;
    struct rg_adder adder;
    int taken, known; /* tasks */
};

static int make_rooms(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    for (int i = 0; i < rg_tasks_rooms(node->plan); i++)
        if (!(r->rooms[i] = rg_mem_floats(node->w->mem, node->shard.count)))
            return RG_ERR_NOMEM;
    return 0;
}

int rg_tasks_reducer_open(struct rg_tasks_node *node, const float *initial)
{
    const struct rg_tasks_plan *plan = node->plan;
    struct rg_tasks_reducer *r = node->reducer = calloc(1, sizeof *r);
    size_t tasks = (size_t)plan->tasks;
    const float *whole;
    float *drawn = NULL;
    if (!r)
        return RG_ERR_NOMEM;
    int reducer = node->w->rank - 1;
    node->shard = rg_tasks_shard(node->job, reducer);
    r->order = calloc((size_t)plan->workers, sizeof *r->order);
    r->owner = calloc(tasks, sizeof *r->owner);
    r->rooms = calloc((size_t)rg_tasks_rooms(plan), sizeof *r->rooms);
    r->in = calloc(tasks, sizeof *r->in);
    r->asked = calloc(2 * tasks, sizeof *r->asked);
    r->list = calloc(tasks + 2, sizeof *r->list);
    node->parameters = rg_mem_floats(node->w->mem, node->shard.count);
    node->gradient = rg_mem_floats(node->w->mem, node->shard.count);
    if (!r->order || !r->owner || !r->rooms || !r->in || !r->asked || !r->list ||
        !node->parameters || !node->gradient)
        return RG_ERR_NOMEM;
    r->come = r->asked + tasks;
    rg_serving_order(plan->reducers, plan->workers, reducer, r->order);
    int result = make_rooms(node);
    if (result || !node->job->numerics)
        return result;
    result = rg_initial_parameters(node->job, initial, &whole, &drawn);
    if (result == 0)
        memcpy(node->parameters, whole + node->shard.first, node->shard.count * sizeof *whole);
    free(drawn);
    return result;
}

void rg_tasks_reducer_close(struct rg_tasks_reducer *r)
{
    free(r->order);
    free(r->owner);
    free(r->rooms);
    free(r->in);
    free(r->asked);
    free(r->list);
    free(r);
}

static int listen(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    return rg_recv(node->w, node->w->rank - 1, RG_TAG_OWNER, &r->heard, sizeof r->heard,
                   &r->owner_in);
}

/* The next reducer hears whose a gradient is when this one has its part, so that a worker's port
 * sends one part at a time, and each to another reducer. */
static int pass_on(struct rg_tasks_node *node, int task)
{
    struct rg_tasks_reducer *r = node->reducer;
    if (node->w->rank == node->plan->reducers)
        return 0;
    int result = rg_wait(node->w, &r->owner_out);
    r->told = (struct rg_task_owner){.task = task, .worker = r->owner[task]};
    return result ? result
                  : rg_send(node->w, node->w->rank + 1, RG_TAG_OWNER, &r->told, sizeof r->told,
                            &r->owner_out);
}

/* The first begins the sum. */
static float *room_of(struct rg_tasks_node *node, int task)
{
    return task == 0 ? node->gradient : node->reducer->rooms[task % rg_tasks_rooms(node->plan)];
}

/* The next tasks that there is room for, as far as it is known whose they are. */
static int ask(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    int end = RG_MIN(r->taken + rg_tasks_rooms(node->plan), node->plan->tasks), result = 0;
    for (int t = r->taken; t < end && result == 0; t++) {
        if (r->asked[t] || r->owner[t] == RG_TASK_NONE)
            continue;
        r->asked[t] = true;
        r->list[t] = &r->in[t];
        result = rg_recv(node->w, rg_tasks_worker_rank(node->plan, r->owner[t]),
                         RG_TAG_GRADIENT + (uint32_t)t, room_of(node, t),
                         node->shard.count * sizeof(float), &r->in[t]);
    }
    return result;
}

/* Added in the order of tasks, as far as they are there. */
static int take(struct rg_tasks_node *node, int task)
{
    struct rg_tasks_reducer *r = node->reducer;
    int result = r->in[task].status ? r->in[task].status : pass_on(node, task);
    r->come[task] = true;
    r->list[task] = NULL;
    for (; r->taken < node->plan->tasks && r->come[r->taken] && result == 0; r->taken++)
        if (r->taken > 0)
            result = rg_add(node->w, &r->adder, node->gradient, room_of(node, r->taken),
                            node->shard.count, r->taken);
    return result ? result : ask(node);
}

static int note_owner(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    const struct rg_task_owner *o = &r->heard;
    if (r->owner_in.status)
        return r->owner_in.status;
    if (o->task < 0 || o->task >= node->plan->tasks || r->owner[o->task] != RG_TASK_NONE ||
        o->worker < 0 || o->worker >= node->plan->workers)
        return RG_ERR_PROTOCOL;
    r->owner[o->task] = o->worker;
    bool more = ++r->known < node->plan->tasks;
    int result = more ? listen(node) : 0;
    r->list[node->plan->tasks] = more ? &r->owner_in : NULL;
    return result ? result : ask(node);
}

static int begin_phase(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    r->taken = r->known = 0;
    for (int t = 0; t < node->plan->tasks; t++) {
        r->owner[t] = RG_TASK_NONE;
        r->asked[t] = r->come[t] = false;
        r->list[t] = NULL;
    }
    r->list[node->plan->tasks] = &r->owner_in;
    r->list[node->plan->tasks + 1] = NULL;
    return listen(node);
}

int rg_tasks_reducer_run(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    int workers = node->plan->workers, tasks = node->plan->tasks, sent = 0, which = -1;
    struct rg_request **sending = &r->list[tasks + 1];
    int result = begin_phase(node);
    while (result == 0 && (sent < workers || *sending || r->taken < tasks)) {
        if (!*sending && sent < workers) {
            result = rg_send_floats(node->w, rg_tasks_worker_rank(node->plan, r->order[sent++]),
                                    RG_TAG_WEIGHTS, node->parameters, node->shard.count, &r->out);
            *sending = &r->out;
        }
        if (result == 0)
            result = rg_wait_any(node->w, r->list, tasks + 2, RG_FOREVER, &which);
        if (result)
            break;
        if (which == tasks + 1)
            *sending = NULL;
        result = which < tasks    ? take(node, which)
                 : which == tasks ? note_owner(node)
                                  : r->out.status;
    }
    return result ? result : rg_wait(node->w, &r->owner_out);
}

void rg_tasks_reducer_cancel(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    rg_cancel(node->w, &r->out);
    rg_cancel(node->w, &r->owner_in);
    rg_cancel(node->w, &r->owner_out);
    for (int t = 0; t < node->plan->tasks; t++)
        rg_cancel(node->w, &r->in[t]);
}
