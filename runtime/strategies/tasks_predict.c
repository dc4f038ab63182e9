/* The closed forms of tasks: who does which if nobody repeats one, and when. */
#include "strategies/tasks.h"

#include "base/need.h"
#include "base/sizes.h"
#include <math.h>
#include <stdlib.h>

enum { ORDER = 16, DONE = 16, OWNER = 8 }; /* bytes */

static const struct rg_board *reducer_board(const struct rg_job *job, int reducer)
{
    return job->boards[1 + reducer];
}

static const struct rg_board *worker_board(const struct rg_job *job, int worker)
{
    return job->boards[rg_tasks_worker_rank(rg_tasks_plan(job), worker)];
}

static uint64_t range_bytes(const struct rg_job *job, int reducer)
{
    return sizeof(float) * (uint64_t)rg_tasks_shard(job, reducer).count;
}

static uint64_t all_bytes(const struct rg_job *job)
{
    return sizeof(float) * (uint64_t)job->network->parameters;
}

/* A worker in a phase: dates and sums. */
struct helper {
    double asks;                    /* it hears what to do next */
    double left[2];                 /* its last two gradients have left, the older one first */
    double busy_s;                  /* computing */
    int tasks;                      /* that it does */
    double forward[2], backward[2]; /* seconds of a larger and of a smaller task */
};

struct walk {
    const struct rg_job *job;
    struct helper *helpers; /* [workers] */
    double *free;           /* [reducers]: the last gradient has been added */
    double *port;           /* [reducers]: it has left its worker's port, if it need not wait */
    double end;
};

static void time_tasks(struct walk *w, int worker)
{
    const struct rg_job *job = w->job;
    const struct rg_board *board = worker_board(job, worker);
    struct helper *helper = &w->helpers[worker];
    int most = rg_share(job->batch, rg_tasks_plan(job)->tasks, 0);
    if (worker > 0 && board == worker_board(job, worker - 1)) { /* of most nothing is new */
        for (int i = 0; i < 2; i++) {
            helper->forward[i] = helper[-1].forward[i];
            helper->backward[i] = helper[-1].backward[i];
        }
        return;
    }
    for (int i = 0; i < 2; i++) {
        int n = most - i;
        helper->forward[i] = n > 0 ? rg_replica_forward_s(job, board, n) : 0;
        for (int l = 0; l < job->network->layer_count && n > 0; l++)
            helper->backward[i] += rg_replica_backward_s(job, board, n, l);
    }
}

/* Parameters go out one worker after the other. */
static void pull(struct walk *w)
{
    const struct rg_job *job = w->job;
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    int *order = rg_need_zeroed((size_t)plan->workers, sizeof *order);
    for (int j = 0; j < plan->reducers; j++) {
        double date = 0;
        rg_serving_order(plan->reducers, plan->workers, j, order);
        for (int t = 0; t < plan->workers; t++) {
            const struct rg_board *to = worker_board(job, order[t]);
            struct helper *helper = &w->helpers[order[t]];
            date += rg_board_hop_to_s(reducer_board(job, j), to, range_bytes(job, j));
            helper->asks = fmax(helper->asks, date);
        }
    }
    for (int k = 0; k < plan->workers; k++)
        w->helpers[k].asks =
            fmax(w->helpers[k].asks,
                 rg_board_port_s(worker_board(job, k), (uint64_t)plan->reducers, all_bytes(job)));
    free(order);
}

/* The first tasks are given out in the order of ranks, the others to who asks first. */
static int who(const struct walk *w, int task)
{
    int first = 0, workers = rg_tasks_plan(w->job)->workers;
    for (int k = 1; k < workers; k++)
        first = w->helpers[k].asks < w->helpers[first].asks ? k : first;
    return task < workers ? task : first;
}

/* When a gradient that leaves at `ready` has come to a reducer, which hears at `heard` whose it is:
 * where there is no room for it and it is longer than the eager limit it waits for that, and for
 * the one before it to be added. */
static double arrive(struct walk *w, int reducer, const struct rg_board *from, double ready,
                     double heard)
{
    const struct rg_board *to = reducer_board(w->job, reducer);
    uint64_t bytes = range_bytes(w->job, reducer);
    double hop = rg_board_hop_to_s(from, to, bytes), send = rg_board_send_s(from, to, bytes);
    bool eager = bytes <= RG_EAGER_LIMIT;
    if (!eager && !rg_tasks_plan(w->job)->backup)
        return fmax(ready, fmax(heard, w->free[reducer])) + hop;
    w->port[reducer] = fmax(w->port[reducer], eager ? ready : fmax(ready, heard)) + send;
    return w->port[reducer] + hop - send;
}

static void do_task(struct walk *w, int task)
{
    const struct rg_job *job = w->job;
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    int k = who(w, task), most = rg_share(job->batch, plan->tasks, 0);
    int small = most - rg_share(job->batch, plan->tasks, task);
    struct helper *helper = &w->helpers[k];
    const struct rg_board *board = worker_board(job, k), *master = job->boards[0];
    double done =
        fmax(helper->asks + helper->forward[small], helper->left[0]) + helper->backward[small];
    double known = done + rg_board_hop_to_s(board, master, DONE);
    double heard = known, left = 0;
    helper->asks = known + rg_board_hop_to_s(master, board, ORDER);
    for (int j = 0; j < plan->reducers; j++) {
        heard += rg_board_hop_to_s(job->boards[j], reducer_board(job, j), OWNER);
        double come = arrive(w, j, board, helper->asks, heard);
        heard = w->free[j] = fmax(w->free[j], fmax(come, heard));
        left = fmax(left, come);
        if (task > 0)
            w->free[j] +=
                rg_add_s(reducer_board(job, j), job->threads, rg_tasks_shard(job, j).count);
    }
    helper->left[0] = helper->left[1];
    helper->left[1] =
        fmax(left, helper->asks + rg_board_port_s(board, (uint64_t)plan->reducers, all_bytes(job)));
    helper->busy_s += helper->forward[small] + helper->backward[small];
    helper->tasks++;
}

/* The caller frees. */
static struct walk walk(const struct rg_job *job)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    struct walk w = {.job = job,
                     .helpers = rg_need_zeroed((size_t)plan->workers, sizeof *w.helpers),
                     .free = rg_need_zeroed((size_t)plan->reducers, sizeof *w.free),
                     .port = rg_need_zeroed((size_t)plan->reducers, sizeof *w.port)};
    for (int k = 0; k < plan->workers; k++)
        time_tasks(&w, k);
    pull(&w);
    for (int t = 0; t < plan->tasks; t++)
        do_task(&w, t);
    for (int j = 0; j < plan->reducers; j++)
        w.end = fmax(w.end, w.free[j]);
    for (int k = 0; k < plan->workers; k++)
        w.end = fmax(w.end, w.helpers[k].left[1]);
    return w;
}

static void free_walk(struct walk *w)
{
    free(w->helpers);
    free(w->free);
    free(w->port);
}

/* Every task may be done twice, by a worker and the next, of whom one is told to give up. */
static uint64_t again(const struct rg_job *job, int tasks)
{
    return rg_tasks_plan(job)->backup ? (uint64_t)tasks : 0;
}

void rg_tasks_flows(const struct rg_job *job, uint64_t phases, rg_traffic_fn flow, void *arg)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    struct walk w = walk(job);
    for (int k = 0; k < plan->workers; k++) {
        int rank = rg_tasks_worker_rank(plan, k), before = (k + plan->workers - 1) % plan->workers;
        uint64_t tasks = (uint64_t)w.helpers[k].tasks;
        uint64_t twice = again(job, w.helpers[k].tasks), more = again(job, w.helpers[before].tasks);
        uint64_t orders = phases * (tasks + 1 + twice + more), done = phases * (tasks + more);
        flow(arg, &(struct rg_traffic){0, rank, orders, orders * ORDER});
        flow(arg, &(struct rg_traffic){rank, 0, done, done * DONE});
        for (int j = 0; j < plan->reducers; j++) {
            uint64_t bytes = range_bytes(job, j);
            flow(arg, &(struct rg_traffic){1 + j, rank, phases, phases * bytes});
            if (tasks > 0)
                flow(arg,
                     &(struct rg_traffic){rank, 1 + j, phases * tasks, phases * tasks * bytes});
        }
    }
    uint64_t owners = phases * (uint64_t)plan->tasks;
    for (int j = 0; j < plan->reducers; j++)
        flow(arg, &(struct rg_traffic){j, 1 + j, owners, owners * OWNER});
    free_walk(&w);
}

uint64_t rg_tasks_values(const struct rg_job *job)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    return (uint64_t)(plan->workers + plan->tasks) * (uint64_t)job->network->parameters;
}

static double reducer_port_s(const struct rg_job *job, int reducer)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    uint64_t workers = (uint64_t)plan->workers, tasks = (uint64_t)plan->tasks;
    uint64_t bytes = range_bytes(job, reducer), told = reducer + 1 < plan->reducers ? tasks : 0;
    const struct rg_load out = {.messages = workers + told,
                                .payload = workers * bytes + told * OWNER};
    const struct rg_load in = {.messages = 2 * tasks, .payload = tasks * (bytes + OWNER)};
    return rg_board_busy_s(reducer_board(job, reducer), out, in);
}

static double worker_port_s(const struct rg_job *job, int worker, int tasks)
{
    uint64_t r = (uint64_t)rg_tasks_plan(job)->reducers, n = (uint64_t)tasks;
    const struct rg_load out = {.messages = n * (r + 1), .payload = n * (all_bytes(job) + DONE)};
    const struct rg_load in = {.messages = r + n + 1, .payload = all_bytes(job) + (n + 1) * ORDER};
    return rg_board_busy_s(worker_board(job, worker), out, in);
}

static const char *why_rough(const struct rg_job *job)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    if (plan->workers > 1 && range_bytes(job, 0) <= RG_EAGER_LIMIT)
        return "gradients that need no receive come in any order";
    if (plan->reducers > 1)
        return "a worker's two gradients share its port";
    for (int k = 1; k < plan->workers; k++)
        if (worker_board(job, k) != worker_board(job, 0))
            return plan->backup ? "it depends on speed who repeats a task" : NULL;
    return NULL;
}

struct rg_tasks_times rg_tasks_times(const struct rg_job *job)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    struct walk w = walk(job);
    struct rg_tasks_times times = {.phase_s = w.end};
    for (int j = 0; j < plan->reducers; j++) {
        size_t count = rg_tasks_shard(job, j).count;
        double add_s = rg_add_s(reducer_board(job, j), job->threads, count);
        times.c_s = fmax(times.c_s, reducer_port_s(job, j));
        times.T_A_s = fmax(times.T_A_s, (plan->tasks - 1) * add_s);
    }
    for (int k = 0; k < plan->workers; k++) {
        times.c_s = fmax(times.c_s, worker_port_s(job, k, w.helpers[k].tasks));
        times.T_A_s = fmax(times.T_A_s, w.helpers[k].busy_s);
    }
    times.holds = why_rough(job);
    free_walk(&w);
    return times;
}
