/* Who does tasks: see tasks.h. */
#include "strategies/tasks_parts.h"

#include <stdlib.h>

/* A gradient, perhaps on its way. */
struct made {
    float *gradient;
    int task;
    struct rg_request *pushes; /* [reducers] */
};

struct rg_tasks_worker {
    struct rg_request *pulls; /* [reducers] */
    struct made made[2], *last;
    struct rg_task_order order;
    struct rg_task_done done;
    struct rg_request order_in, done_out;
};

int rg_tasks_worker_open(struct rg_tasks_node *node)
{
    const struct rg_tasks_plan *plan = node->plan;
    struct rg_tasks_worker *k = node->worker = calloc(1, sizeof *k);
    if (!k)
        return RG_ERR_NOMEM;
    k->pulls = calloc((size_t)plan->reducers, sizeof *k->pulls);
    if (!k->pulls)
        return RG_ERR_NOMEM;
    int result = rg_replica_open(&node->replica, node->w, node->job,
                                 rg_share(node->job->batch, plan->tasks, 0), NULL, NULL);
    for (int i = 0; i < 2 && result == 0; i++) {
        struct made *made = &k->made[i];
        made->gradient = i ? rg_mem_floats(node->w->mem, node->job->network->parameters)
                           : node->replica.gradient;
        made->pushes = calloc((size_t)plan->reducers, sizeof *made->pushes);
        if (!made->gradient || !made->pushes)
            result = RG_ERR_NOMEM;
    }
    return result;
}

void rg_tasks_worker_close(struct rg_tasks_worker *k)
{
    free(k->pulls);
    free(k->made[0].pushes);
    free(k->made[1].pushes);
    free(k);
}

static int wait_reducers(struct rg_tasks_node *node, struct rg_request *requests)
{
    int result = 0;
    for (int j = 0; j < node->plan->reducers; j++) {
        int one = rg_wait(node->w, &requests[j]);
        result = result ? result : one;
    }
    return result;
}

static int post_pulls(struct rg_tasks_node *node)
{
    int result = 0;
    for (int j = 0; j < node->plan->reducers && result == 0; j++) {
        struct rg_shard shard = rg_tasks_shard(node->job, j);
        result = rg_recv(node->w, 1 + j, RG_TAG_WEIGHTS, node->replica.parameters + shard.first,
                         shard.count * sizeof(float), &node->worker->pulls[j]);
    }
    return result;
}

static int post_order(struct rg_tasks_node *node)
{
    struct rg_tasks_worker *k = node->worker;
    return rg_recv(node->w, 0, RG_TAG_TASK, &k->order, sizeof k->order, &k->order_in);
}

static int push(struct rg_tasks_node *node)
{
    struct made *made = node->worker->last;
    int result = 0;
    for (int j = 0; j < node->plan->reducers && result == 0; j++) {
        struct rg_shard shard = rg_tasks_shard(node->job, j);
        result = rg_send_floats(node->w, 1 + j, RG_TAG_GRADIENT + (uint32_t)made->task,
                                made->gradient + shard.first, shard.count, &made->pushes[j]);
    }
    return result;
}

static bool has_left(struct rg_tasks_node *node, const struct made *made)
{
    bool left = true;
    for (int j = 0; j < node->plan->reducers && left; j++)
        left = rg_done(node->w, &made->pushes[j]);
    return left;
}

/* A gradient that has left, or else that whose turn comes first. */
static int find_room(struct rg_tasks_node *node)
{
    struct rg_tasks_worker *k = node->worker;
    struct made *a = &k->made[0], *b = &k->made[1];
    struct made *free = has_left(node, a) || (!has_left(node, b) && a->task < b->task) ? a : b;
    k->last = free;
    node->replica.gradient = free->gradient;
    return wait_reducers(node, free->pushes);
}

/* Nothing but a word to give up comes in the middle of a task. */
static bool is_in_vain(struct rg_tasks_node *node)
{
    return node->plan->backup && rg_done(node->w, &node->worker->order_in);
}

static int compute(struct rg_tasks_node *node, int64_t iteration, int task)
{
    struct rg_replica *replica = &node->replica;
    int tasks = node->plan->tasks, batch = node->job->batch;
    struct rg_task_done *done = &node->worker->done;
    bool vain = is_in_vain(node);
    int result = vain ? 0
                      : rg_replica_forward(replica, iteration, rg_share_first(batch, tasks, task),
                                           rg_share(batch, tasks, task), task);
    done->loss = replica->loss;
    if (result == 0)
        result = find_room(node);
    for (int l = node->job->network->layer_count - 1; l >= 0 && result == 0 && !vain; l--) {
        vain = is_in_vain(node);
        if (!vain)
            result = rg_replica_backward_layer(replica, l, false, task);
    }
    if (result == 0)
        node->worker->last->task = task;
    done->task = vain ? RG_TASK_NONE : task;
    return result;
}

/* A word to give up may cross what it tells of. */
static int next_order(struct rg_tasks_node *node)
{
    struct rg_tasks_worker *k = node->worker;
    int result = rg_wait(node->w, &k->order_in);
    if (result == 0 && k->order.task == RG_TASK_GIVE_UP)
        result = post_order(node);
    if (result == 0)
        result = rg_wait(node->w, &k->order_in);
    return result == 0 && k->order.task == RG_TASK_GIVE_UP ? RG_ERR_PROTOCOL : result;
}

int rg_tasks_worker_run(struct rg_tasks_node *node, int64_t iteration)
{
    struct rg_tasks_worker *k = node->worker;
    int result = post_pulls(node);
    if (result == 0)
        result = post_order(node);
    if (result == 0)
        result = wait_reducers(node, k->pulls);
    if (result == 0)
        result = next_order(node);
    while (result == 0 && k->order.task >= 0) {
        int task = (int)k->order.task;
        if (task >= node->plan->tasks)
            return RG_ERR_PROTOCOL;
        result = post_order(node);
        if (result == 0)
            result = compute(node, iteration, task);
        if (result == 0)
            result = rg_send(node->w, 0, RG_TAG_TASK_DONE, &k->done, sizeof k->done, &k->done_out);
        if (result == 0)
            result = rg_wait(node->w, &k->done_out);
        if (result == 0)
            result = next_order(node);
        if (result == 0 && k->order.push)
            result = push(node);
    }
    for (int i = 0; i < 2 && result == 0; i++)
        result = wait_reducers(node, k->made[i].pushes);
    return result;
}

void rg_tasks_worker_cancel(struct rg_tasks_node *node)
{
    struct rg_tasks_worker *k = node->worker;
    rg_cancel(node->w, &k->order_in);
    rg_cancel(node->w, &k->done_out);
    for (int j = 0; j < node->plan->reducers; j++) {
        rg_cancel(node->w, &k->pulls[j]);
        rg_cancel(node->w, &k->made[0].pushes[j]);
        rg_cancel(node->w, &k->made[1].pushes[j]);
    }
}
