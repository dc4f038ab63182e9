/* Who hands out tasks, who does them, and who adds up: see tasks.h. */
#include "strategies/tasks.h"

#include "base/check.h"
#include "base/sizes.h"
#include <stdlib.h>
#include <string.h>

/* ---- checking ---- */

int rg_tasks_check(struct rg_job *job, struct rg_tasks_plan plan, struct rg_error *e)
{
    int reducers = plan.reducers;
    plan.workers = job->nodes - 1 - reducers;
    if (plan.workers < 1)
        return rg_fail(
            e, RG_ERR_INVALID,
            "%d of %d nodes hold the parameters and one hands out tasks, which leaves no "
            "worker: 1 to %d of %d nodes or more",
            reducers, job->nodes, RG_MAX(job->nodes - 2, 1), RG_MAX(job->nodes, 3));
    if ((size_t)reducers > job->network->parameters)
        return rg_fail(e, RG_ERR_INVALID, "%d nodes are to hold %zu parameters: 1 to %zu", reducers,
                       job->network->parameters, job->network->parameters);
    if (plan.tasks == 0)
        plan.tasks = RG_MIN(4 * plan.workers, job->batch);
    if (plan.tasks > job->batch)
        return rg_fail(e, RG_ERR_INVALID, "%d pieces of a batch of %d samples: 1 to %d are allowed",
                       plan.tasks, job->batch, job->batch);
    struct rg_tasks_plan *kept = malloc(sizeof *kept);
    if (!kept)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    *kept = plan;
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

/* Gradients that a reducer has room for beside the sum. Where a worker may do an older task after a
 * later one, whose gradient would be in its way, all of them: then none ever waits. */
static int rooms_of(const struct rg_tasks_plan *plan)
{
    return plan->backup ? plan->tasks : 1;
}

uint64_t rg_tasks_memory(const struct rg_job *job, int rank)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    enum rg_tasks_role role = rg_tasks_role(plan, rank);
    if (role == RG_MASTER)
        return 0;
    if (role == RG_REDUCER)
        return rg_size_times((2 + (uint64_t)rooms_of(plan)) * sizeof(float),
                             rg_tasks_shard(job, rank - 1).count);
    return rg_size_plus(rg_replica_memory(job, rg_share(job->batch, plan->tasks, 0)),
                        rg_size_times(sizeof(float), job->network->parameters));
}

static void cancel(struct rg_world *w, struct rg_request *request)
{
    if (request->owner)
        rg_cancel(w, request);
}

static int wait_for(struct rg_world *w, struct rg_request *request)
{
    return request->owner ? rg_wait(w, request) : 0;
}

/* ---- messages ---- */

enum { NONE = -1, GIVE_UP = -2 };

/* To a worker. What it has been told last it does after what it tells the reducers. */
struct order {
    int64_t task; /* NONE: the phase is over for it; GIVE_UP: what it is at counts no more */
    int64_t push; /* what it has done last counts */
};

/* From a worker. */
struct done {
    int64_t task; /* NONE: it has given up */
    double loss;  /* a sum over samples */
};

struct owner {
    int32_t task, worker;
};

/* ---- the master ---- */

struct helper {
    int task; /* that it is at; NONE */
    bool told_to_give_up;
    struct order order, give_up;
    struct done done;
    struct rg_request order_out, give_up_out, done_in;
};

struct job_task {
    bool finished;
    int runs; /* workers who have had it */
    double loss;
    struct owner owner;
    struct rg_request owner_out;
};

struct rg_tasks_master {
    struct helper *helpers;      /* [workers] */
    struct job_task *tasks;      /* [tasks] */
    struct rg_request **waiting; /* [workers] */
    int next, active;            /* task; workers for whom the phase is not over */
};

static int open_master(struct rg_tasks_node *node)
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

static void close_master(struct rg_tasks_master *m)
{
    free(m->helpers);
    free(m->tasks);
    free(m->waiting);
    free(m);
}

static int rank_of(const struct rg_tasks_node *node, int worker)
{
    return 1 + node->plan->reducers + worker;
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
    return NONE;
}

static int order(struct rg_tasks_node *node, int k, bool push)
{
    struct rg_tasks_master *m = node->master;
    struct helper *helper = &m->helpers[k];
    int result = wait_for(node->w, &helper->order_out), task = choose(node);
    helper->task = task;
    helper->told_to_give_up = false;
    helper->order = (struct order){.task = task, .push = push};
    if (task == NONE)
        m->active--;
    else
        m->tasks[task].runs++;
    if (result == 0)
        result = rg_send(node->w, rank_of(node, k), RG_TAG_TASK, &helper->order,
                         sizeof helper->order, &helper->order_out);
    if (result == 0 && task != NONE)
        result = rg_recv(node->w, rank_of(node, k), RG_TAG_TASK_DONE, &helper->done,
                         sizeof helper->done, &helper->done_in);
    m->waiting[k] = task == NONE ? NULL : &helper->done_in;
    return result;
}

static int give_up(struct rg_tasks_node *node, int k)
{
    struct helper *helper = &node->master->helpers[k];
    int result = wait_for(node->w, &helper->give_up_out);
    helper->told_to_give_up = true;
    helper->give_up = (struct order){.task = GIVE_UP};
    return result ? result
                  : rg_send(node->w, rank_of(node, k), RG_TAG_TASK, &helper->give_up,
                            sizeof helper->give_up, &helper->give_up_out);
}

/* The first to have done it: reducers hear who, and another who is at it that it need not. */
static int finish(struct rg_tasks_node *node, int k, int task)
{
    struct rg_tasks_master *m = node->master;
    struct job_task *done = &m->tasks[task];
    int result;
    done->finished = true;
    done->loss = m->helpers[k].done.loss;
    done->owner = (struct owner){.task = task, .worker = k};
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
    if (helper->done.task != task && !(helper->done.task == NONE && helper->told_to_give_up))
        return RG_ERR_PROTOCOL;
    bool first = helper->done.task == task && !m->tasks[task].finished;
    helper->task = NONE;
    int result = first ? finish(node, k, task) : 0;
    return result ? result : order(node, k, first);
}

static int run_master(struct rg_tasks_node *node, double *loss)
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
        int given_up = wait_for(node->w, &m->helpers[k].give_up_out);
        result = given_up ? given_up : wait_for(node->w, &m->helpers[k].order_out);
    }
    *loss = 0;
    for (int t = 0; t < plan->tasks && result == 0; t++) {
        result = wait_for(node->w, &m->tasks[t].owner_out);
        *loss += m->tasks[t].loss;
    }
    *loss /= node->job->batch;
    return result;
}

static void cancel_master(struct rg_tasks_node *node)
{
    struct rg_tasks_master *m = node->master;
    for (int k = 0; k < node->plan->workers; k++) {
        cancel(node->w, &m->helpers[k].order_out);
        cancel(node->w, &m->helpers[k].give_up_out);
        cancel(node->w, &m->helpers[k].done_in);
    }
    for (int t = 0; t < node->plan->tasks; t++)
        cancel(node->w, &m->tasks[t].owner_out);
}

/* ---- a reducer ---- */

struct rg_tasks_reducer {
    int *order;               /* [workers]: in which parameters go out */
    int *owner;               /* [tasks]: workers; NONE: not known yet */
    float **rooms;            /* [rooms]: of task t the one of t modulo so many */
    struct rg_request *in;    /* [tasks] */
    bool *asked, *come;       /* [tasks] */
    struct rg_request **list; /* [tasks + 2]: what is waited for, owner and parameters last */
    struct owner heard, told;
    struct rg_request out, owner_in, owner_out;
    struct rg_adder adder;
    int taken, known; /* tasks */
};

static int make_rooms(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    for (int i = 0; i < rooms_of(node->plan); i++)
        if (!(r->rooms[i] = rg_mem_floats(node->w->mem, node->shard.count)))
            return RG_ERR_NOMEM;
    return 0;
}

static int open_reducer(struct rg_tasks_node *node, const float *initial)
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
    r->rooms = calloc((size_t)rooms_of(plan), sizeof *r->rooms);
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

static void close_reducer(struct rg_tasks_reducer *r)
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
    int result = wait_for(node->w, &r->owner_out);
    r->told = (struct owner){.task = task, .worker = r->owner[task]};
    return result ? result
                  : rg_send(node->w, node->w->rank + 1, RG_TAG_OWNER, &r->told, sizeof r->told,
                            &r->owner_out);
}

/* The first begins the sum. */
static float *room_of(struct rg_tasks_node *node, int task)
{
    return task == 0 ? node->gradient : node->reducer->rooms[task % rooms_of(node->plan)];
}

/* The next tasks that there is room for, as far as it is known whose they are. */
static int ask(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    int end = RG_MIN(r->taken + rooms_of(node->plan), node->plan->tasks), result = 0;
    for (int t = r->taken; t < end && result == 0; t++) {
        if (r->asked[t] || r->owner[t] == NONE)
            continue;
        r->asked[t] = true;
        r->list[t] = &r->in[t];
        result = rg_recv(node->w, rank_of(node, r->owner[t]), RG_TAG_GRADIENT + (uint32_t)t,
                         room_of(node, t), node->shard.count * sizeof(float), &r->in[t]);
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
    const struct owner *o = &r->heard;
    if (r->owner_in.status)
        return r->owner_in.status;
    if (o->task < 0 || o->task >= node->plan->tasks || r->owner[o->task] != NONE)
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
        r->owner[t] = NONE;
        r->asked[t] = r->come[t] = false;
        r->list[t] = NULL;
    }
    r->list[node->plan->tasks] = &r->owner_in;
    r->list[node->plan->tasks + 1] = NULL;
    return listen(node);
}

static int run_reducer(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    int workers = node->plan->workers, tasks = node->plan->tasks, sent = 0, which = -1;
    struct rg_request **sending = &r->list[tasks + 1];
    int result = begin_phase(node);
    while (result == 0 && (sent < workers || *sending || r->taken < tasks)) {
        if (!*sending && sent < workers) {
            result = rg_send_floats(node->w, rank_of(node, r->order[sent++]), RG_TAG_WEIGHTS,
                                    node->parameters, node->shard.count, &r->out);
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
    return result ? result : wait_for(node->w, &r->owner_out);
}

static void cancel_reducer(struct rg_tasks_node *node)
{
    struct rg_tasks_reducer *r = node->reducer;
    cancel(node->w, &r->out);
    cancel(node->w, &r->owner_in);
    cancel(node->w, &r->owner_out);
    for (int t = 0; t < node->plan->tasks; t++)
        cancel(node->w, &r->in[t]);
}

/* ---- a worker ---- */

/* A gradient, perhaps on its way. */
struct made {
    float *gradient;
    int task;
    struct rg_request *pushes; /* [reducers] */
};

struct rg_tasks_worker {
    struct rg_request *pulls; /* [reducers] */
    struct made made[2], *last;
    struct order order;
    struct done done;
    struct rg_request order_in, done_out;
};

static int open_worker(struct rg_tasks_node *node)
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

static void close_worker(struct rg_tasks_worker *k)
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
        int one = wait_for(node->w, &requests[j]);
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
        left = !made->pushes[j].owner || rg_done(node->w, &made->pushes[j]);
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
    struct done *done = &node->worker->done;
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
    node->worker->last->task = task;
    done->task = vain ? NONE : task;
    return result;
}

/* A word to give up may cross what it tells of. */
static int next_order(struct rg_tasks_node *node)
{
    struct rg_tasks_worker *k = node->worker;
    int result = wait_for(node->w, &k->order_in);
    if (result == 0 && k->order.task == GIVE_UP)
        result = post_order(node);
    if (result == 0)
        result = wait_for(node->w, &k->order_in);
    return result == 0 && k->order.task == GIVE_UP ? RG_ERR_PROTOCOL : result;
}

static int run_worker(struct rg_tasks_node *node, int64_t iteration)
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
            result = wait_for(node->w, &k->done_out);
        if (result == 0)
            result = next_order(node);
        if (result == 0 && k->order.push)
            result = push(node);
    }
    for (int i = 0; i < 2 && result == 0; i++)
        result = wait_reducers(node, k->made[i].pushes);
    return result;
}

static void cancel_worker(struct rg_tasks_node *node)
{
    struct rg_tasks_worker *k = node->worker;
    cancel(node->w, &k->order_in);
    cancel(node->w, &k->done_out);
    for (int j = 0; j < node->plan->reducers; j++) {
        cancel(node->w, &k->pulls[j]);
        cancel(node->w, &k->made[0].pushes[j]);
        cancel(node->w, &k->made[1].pushes[j]);
    }
}

/* ---- all of them ---- */

int rg_tasks_open(struct rg_tasks_node *node, struct rg_world *w, const struct rg_job *job,
                  const float *initial)
{
    *node = (struct rg_tasks_node){.w = w, .job = job, .plan = rg_tasks_plan(job)};
    enum rg_tasks_role role = rg_tasks_role(node->plan, w->rank);
    return role == RG_MASTER    ? open_master(node)
           : role == RG_REDUCER ? open_reducer(node, initial)
                                : open_worker(node);
}

void rg_tasks_close(struct rg_tasks_node *node)
{
    if (node->master)
        close_master(node->master);
    if (node->reducer)
        close_reducer(node->reducer);
    if (node->worker)
        close_worker(node->worker);
    rg_replica_close(&node->replica);
}

int rg_tasks_phase(struct rg_tasks_node *node, int64_t iteration, double *loss)
{
    enum rg_tasks_role role = rg_tasks_role(node->plan, node->w->rank);
    return role == RG_MASTER    ? run_master(node, loss)
           : role == RG_REDUCER ? run_reducer(node)
                                : run_worker(node, iteration);
}

void rg_tasks_cancel(struct rg_tasks_node *node)
{
    if (node->master)
        cancel_master(node);
    if (node->reducer)
        cancel_reducer(node);
    if (node->worker)
        cancel_worker(node);
}

int rg_tasks_parameters(const struct rg_tasks_node *node, rg_visit_fn visit, void *arg)
{
    int result = 0;
    for (int j = 0; j < node->plan->reducers && result == 0; j++) {
        struct rg_shard shard = rg_tasks_shard(node->job, j);
        result = rg_stream_parameters(node->w, node->job->network, shard.first, shard.count, 1 + j,
                                      node->parameters, visit, arg);
    }
    return result;
}
