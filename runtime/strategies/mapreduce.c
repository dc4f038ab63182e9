/* mapreduce: rank 0 hands out pieces of the batch to whichever worker is idle, reducers hold the
 * parameters, add up the gradients in the order of the pieces and take the step (Dean and
 * Ghemawat 2008). With copies each reducer then sends its new parameters to those behind it. */
#include "strategies/tasks.h"

#include "base/check.h"
#include "base/sizes.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES = RG_TASKS_MORE };

static const struct rg_param params[] = {
    RG_TASKS_PARAMS("reducers",
                    "nodes that hold the parameters, a range each, and add up gradients", "tasks"),
    [COPIES] = {"copies", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                "nodes that have a reducer's range after a step, itself among them"},
    {0}};

static int check(struct rg_job *job, struct rg_error *e)
{
    int copies = (int)job->values[COPIES].number;
    int reducers = (int)job->values[RG_TASKS_REDUCERS].number;
    if (copies > reducers)
        return rg_fail(e, RG_ERR_INVALID, "copies=\"%d\" of a range on %d reducer%s: 1 to %d",
                       copies, reducers, reducers == 1 ? "" : "s", reducers);
    return rg_tasks_check(job, copies, e);
}

/* ---- closed forms ---- */

static int others(const struct rg_job *job)
{
    return rg_tasks_plan(job)->copies - 1;
}

/* Who holds a copy: the reducers behind it. */
static int behind(const struct rg_job *job, int reducer, int step)
{
    return (reducer + step) % rg_tasks_plan(job)->reducers;
}

static int before(const struct rg_job *job, int reducer, int step)
{
    int reducers = rg_tasks_plan(job)->reducers;
    return (reducer + reducers - step) % reducers;
}

static uint64_t range_bytes(const struct rg_job *job, int reducer)
{
    return sizeof(float) * (uint64_t)rg_tasks_shard(job, reducer).count;
}

static uint64_t memory(const struct rg_job *job, int rank)
{
    uint64_t bytes = rg_tasks_memory(job, rank);
    if (rg_tasks_role(rg_tasks_plan(job), rank) != RG_REDUCER)
        return bytes;
    for (int step = 1; step <= others(job); step++)
        bytes = rg_size_plus(bytes, range_bytes(job, before(job, rank - 1, step)));
    return rg_size_plus(bytes, rg_update_memory(job, rg_tasks_shard(job, rank - 1).count));
}

static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    rg_tasks_flows(job, 1, flow, arg);
    for (int j = 0; j < rg_tasks_plan(job)->reducers; j++)
        for (int step = 1; step <= others(job); step++)
            flow(arg,
                 &(struct rg_traffic){1 + j, 1 + behind(job, j, step), 1, range_bytes(job, j)});
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    struct rg_tasks_times times = rg_tasks_times(job);
    uint64_t copies = (uint64_t)others(job);
    double last = 0;
    flows(job, rg_predict_flow, p);
    p->values = rg_tasks_values(job) + copies * (uint64_t)job->network->parameters;
    p->at_most = plan->backup;
    p->T_A_s = times.T_A_s;
    p->c_s = times.c_s;
    for (int j = 0; j < plan->reducers; j++) {
        const struct rg_board *board = job->boards[1 + j];
        struct rg_shard shard = rg_tasks_shard(job, j);
        double step = rg_update_s(job, board, shard.first, shard.count), copy = 0;
        for (int i = 1; i <= others(job); i++)
            copy +=
                rg_board_hop_to_s(board, job->boards[1 + behind(job, j, i)], range_bytes(job, j));
        last = fmax(last, step + copy);
        p->T_A_s =
            fmax(p->T_A_s, step + (plan->tasks - 1) *
                                      rg_add_s(board, job->threads, rg_tasks_shard(job, j).count));
    }
    p->iteration_s = times.phase_s + last;
    p->holds = times.holds;
    rg_predict_memory(job, p);
}

/* ---- a node ---- */

struct mapreduce {
    struct rg_tasks_node node;
    struct rg_update update; /* a reducer's */
    float **copies;          /* [copies - 1]: of the ranges of those before it, the nearest first */
    struct rg_request *in, out; /* [copies - 1] */
};

static bool reduces(const struct mapreduce *s)
{
    return s->node.role == RG_REDUCER;
}

static int open_reducer(struct mapreduce *s, const float *initial)
{
    const struct rg_job *job = s->node.job;
    size_t count = (size_t)others(job);
    const float *whole;
    float *drawn = NULL;
    int result = rg_update_open(&s->update, s->node.w, job, &job->optimizer, s->node.shard.first,
                                s->node.shard.count, NULL);
    s->copies = calloc(count + 1, sizeof *s->copies);
    s->in = calloc(count + 1, sizeof *s->in);
    if (result || !s->copies || !s->in)
        return result ? result : RG_ERR_NOMEM;
    if (job->numerics)
        result = rg_initial_parameters(job, initial, &whole, &drawn);
    for (int i = 0; i < (int)count && result == 0; i++) {
        struct rg_shard of = rg_tasks_shard(job, before(job, s->node.w->rank - 1, i + 1));
        s->copies[i] = rg_mem_floats(s->node.w->mem, of.count);
        if (!s->copies[i])
            result = RG_ERR_NOMEM;
        else if (job->numerics)
            memcpy(s->copies[i], whole + of.first, of.count * sizeof *whole);
    }
    free(drawn);
    return result;
}

static int open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    struct mapreduce *s = calloc(1, sizeof *s);
    *state = s;
    if (!s)
        return RG_ERR_NOMEM;
    int result = rg_tasks_open(&s->node, w, job, initial);
    return result || !reduces(s) ? result : open_reducer(s, initial);
}

static void close_node(void *state)
{
    struct mapreduce *s = state;
    rg_tasks_close(&s->node);
    rg_update_close(&s->update);
    free(s->copies);
    free(s->in);
    free(s);
}

/* Its new parameters go to the reducers behind it, while those of the ones before it come. */
static int pass_copies(struct mapreduce *s)
{
    struct rg_world *w = s->node.w;
    const struct rg_job *job = s->node.job;
    int me = w->rank - 1, result = 0;
    for (int i = 0; i < others(job) && result == 0; i++) {
        int from = before(job, me, i + 1);
        result = rg_recv(w, 1 + from, RG_TAG_COPY, s->copies[i], range_bytes(job, from), &s->in[i]);
    }
    for (int i = 0; i < others(job) && result == 0; i++) {
        result = rg_send_floats(w, 1 + behind(job, me, i + 1), RG_TAG_COPY, s->node.parameters,
                                s->node.shard.count, &s->out);
        if (result == 0)
            result = rg_wait(w, &s->out);
    }
    for (int i = 0; i < others(job) && result == 0; i++)
        result = rg_wait(w, &s->in[i]);
    return result;
}

static int iterate(struct mapreduce *s, int64_t i)
{
    double loss;
    int result = rg_tasks_phase(&s->node, i, &loss);
    if (result == 0 && reduces(s))
        result = rg_update_run(&s->update, s->node.w, i + 1, s->node.parameters, s->node.gradient);
    if (result == 0 && reduces(s))
        result = pass_copies(s);
    return result ? result : rg_iteration(s->node.w, i);
}

static void cancel(struct mapreduce *s)
{
    rg_tasks_cancel(&s->node);
    for (int i = 0; i < others(s->node.job) && s->in; i++)
        rg_cancel(s->node.w, &s->in[i]);
    rg_cancel(s->node.w, &s->out);
}

static int train(void *state, int64_t first, int64_t count)
{
    struct mapreduce *s = state;
    int result = 0;
    if (s->node.role == RG_WORKER)
        result = rg_feed_epoch(&s->node.replica.feed, first);
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = iterate(s, i);
    if (result < 0)
        cancel(s);
    return result;
}

/* Between two iterations all copies have come. */
static int visit_state(void *state, int64_t done, rg_state_fn visit, void *arg)
{
    struct mapreduce *s = state;
    const struct rg_job *job = s->node.job;
    (void)done;
    if (!reduces(s))
        return 0;
    int result = rg_visit_parameters(s->node.parameters, s->node.shard.first, s->node.shard.count,
                                     visit, arg);
    if (result == 0)
        result = rg_visit_update(&s->update, false, visit, arg);
    for (int i = 0; i < others(job) && result == 0; i++) {
        struct rg_shard shard = rg_tasks_shard(job, before(job, s->node.w->rank - 1, i + 1));
        result = rg_visit_parameters(s->copies[i], shard.first, shard.count, visit, arg);
    }
    return result;
}

/* A copy is an iteration older until it has come. */
static const float *held(void *state, int part, size_t *first, size_t *count)
{
    struct mapreduce *s = state;
    const struct rg_job *job = s->node.job;
    if (!reduces(s) || part > others(job))
        return NULL;
    struct rg_shard shard = rg_tasks_shard(job, before(job, s->node.w->rank - 1, part));
    *first = shard.first;
    *count = shard.count;
    return part == 0 ? s->node.parameters : s->copies[part - 1];
}

const struct rg_strategy rg_strategy_mapreduce = {
    .name = "mapreduce",
    .summary = "a master hands out pieces of a batch to idle workers, reducers add up gradients",
    .params = params,
    .min_nodes = 3,
    .check = check,
    .forget = rg_tasks_forget,
    .feeds = rg_tasks_feeds,
    .passes = rg_tasks_passes,
    .memory = memory,
    .predict = predict,
    .flows = flows,
    .open = open_node,
    .train = train,
    .parameters = rg_tasks_parameters,
    .state = visit_state,
    .root_floats = rg_tasks_root_floats,
    .held = held,
    .observe = rg_tasks_observe,
    .close = close_node,
};
