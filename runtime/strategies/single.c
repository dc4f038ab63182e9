/* single: one node, mini-batch gradient descent. The reference for every other strategy. */
#include "strategies/replica.h"
#include "strategies/search.h"

#include "base/sizes.h"
#include <stdlib.h>

enum { MICRO_BATCHES };

static const struct rg_param params[] = {
    [MICRO_BATCHES] = {"micro-batches", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                       "pieces of a batch whose gradients are summed before the update"},
    {0}};

struct single {
    struct rg_world *w;
    const struct rg_job *job;
    struct rg_replica replica;
    struct rg_update update;
    struct rg_search search; /* of L-BFGS, in place of the update */
    struct rg_vectors vectors;
};

static bool searches(const struct rg_job *job)
{
    return job->optimizer.kind == RG_LBFGS;
}

static int pieces(const struct rg_job *job)
{
    return (int)job->values[MICRO_BATCHES].number;
}

static int check(struct rg_job *job, struct rg_error *e)
{
    job->nodes = 1; /* whatever the others of the scenario run on */
    if (pieces(job) > job->batch)
        return rg_fail(e, RG_ERR_INVALID,
                       "micro-batches=\"%d\" is more than the batch of %d samples: 1 to %d",
                       pieces(job), job->batch, job->batch);
    return 0;
}

static struct rg_passes passes(const struct rg_job *job, int rank)
{
    int m = pieces(job);
    (void)rank;
    return (struct rg_passes){.least = rg_share(job->batch, m, m - 1),
                              .most = rg_share(job->batch, m, 0)};
}

static uint64_t memory(const struct rg_job *job, int rank)
{
    (void)rank;
    return rg_size_plus(rg_replica_memory(job, rg_share(job->batch, pieces(job), 0)),
                        rg_update_memory(job, job->network->parameters));
}

static double search_s(const struct rg_job *job, double evaluation_s)
{
    const struct rg_board *board = job->boards[0];
    size_t count = job->network->parameters;
    struct rg_search_calls calls = rg_search_usual(job);
    return (double)calls.evaluations * evaluation_s +
           (double)calls.combines * rg_vectors_combine_s(job, board, count) +
           (double)calls.dots * rg_vectors_dot_s(job, board, count);
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    double seconds = 0;
    for (int m = 0; m < pieces(job); m++) {
        int n = rg_share(job->batch, pieces(job), m);
        seconds += rg_replica_forward_s(job, job->boards[0], n);
        for (int l = 0; l < job->network->layer_count; l++)
            seconds += rg_replica_backward_s(job, job->boards[0], n, l);
    }
    p->T_A_s = p->iteration_s =
        searches(job) ? search_s(job, seconds)
                      : seconds + rg_update_s(job, job->boards[0], 0, job->network->parameters);
    p->holds = searches(job) ? "the first trial is taken, and the history is full" : NULL;
    rg_predict_memory(job, p);
}

static void close_single(void *state)
{
    struct single *s = state;
    rg_replica_close(&s->replica);
    rg_update_close(&s->update);
    rg_vectors_close(&s->vectors);
    free(s);
}

/* The batch's gradient, and its mean loss. */
static int evaluate(void *arg, int64_t i, double *loss)
{
    struct single *s = arg;
    int m = pieces(s->job), result = 0;
    *loss = 0;
    for (int k = 0; k < m && result == 0; k++) {
        result = rg_replica_forward(&s->replica, i, rg_share_first(s->job->batch, m, k),
                                    rg_share(s->job->batch, m, k), k);
        *loss += s->replica.loss;
        if (result == 0)
            result = rg_replica_backward(&s->replica, k > 0, k);
    }
    *loss /= s->job->batch;
    return result;
}

static int combine(void *arg, int to, int a, double by, int b)
{
    struct single *s = arg;
    return rg_vectors_combine(&s->vectors, s->w, to, a, by, b);
}

static int dot(void *arg, int a, int b, double *value)
{
    struct single *s = arg;
    return rg_vectors_dot(&s->vectors, s->w, a, b, value);
}

static const struct rg_search_ops search_ops = {
    .combine = combine, .dot = dot, .evaluate = evaluate};

static int open_single(struct rg_world *w, const struct rg_job *job, const float *initial,
                       void **state)
{
    struct single *s = calloc(1, sizeof *s);
    if (!s)
        return RG_ERR_NOMEM;
    s->w = w;
    s->job = job;
    *state = s;
    int result =
        rg_replica_open(&s->replica, w, job, rg_share(job->batch, pieces(job), 0), initial, NULL);
    s->replica.fused = pieces(job) == 1 && rg_update_is_fusible(job);
    s->search = (struct rg_search){.job = job, .ops = &search_ops, .arg = s};
    if (result == 0 && searches(job))
        return rg_vectors_open(&s->vectors, w, job, job->network->parameters, s->replica.parameters,
                               s->replica.gradient);
    return result ? result
                  : rg_update_open(&s->update, w, job, &job->optimizer, 0, job->network->parameters,
                                   NULL);
}

static int iterate(struct single *s, int64_t i)
{
    double loss;
    int result = searches(s->job) ? rg_search_step(&s->search, i) : evaluate(s, i, &loss);
    if (result == 0 && !searches(s->job))
        result = rg_update_run(&s->update, s->w, i + 1, s->replica.parameters,
                               s->replica.fused ? NULL : s->replica.gradient);
    return result ? result : rg_iteration(s->w, i);
}

static int train(void *state, int64_t first, int64_t count)
{
    struct single *s = state;
    int result = rg_feed_epoch(&s->replica.feed, first);
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = iterate(s, i);
    return result;
}

static int parameters(void *state, rg_visit_fn visit, void *arg)
{
    struct single *s = state;
    return rg_stream_parameters(s->w, s->job->network, 0, s->job->network->parameters, 0,
                                s->replica.parameters, visit, arg);
}

static int visit_state(void *state, int64_t done, rg_state_fn visit, void *arg)
{
    struct single *s = state;
    (void)done;
    int result =
        rg_visit_parameters(s->replica.parameters, 0, s->job->network->parameters, visit, arg);
    if (result == 0 && searches(s->job))
        result = rg_vectors_visit(&s->vectors, s->job, 0, visit, arg);
    if (result == 0 && searches(s->job))
        return rg_search_visit(&s->search, visit, arg);
    return result ? result : rg_visit_update(&s->update, false, visit, arg);
}

static uint64_t state_floats(const struct rg_job *job)
{
    return searches(job) ? rg_search_state_floats(job)
                         : rg_trained_floats(job, job->network->parameters);
}

static const float *held(void *state, int part, size_t *first, size_t *count)
{
    struct single *s = state;
    *first = 0;
    *count = s->job->network->parameters;
    return part == 0 ? s->replica.parameters : NULL;
}

static void observe(void *state, struct rg_observation *o)
{
    (void)state;
    *o = (struct rg_observation){.peak_units = 1};
}

const struct rg_strategy rg_strategy_single = {
    .name = "single",
    .summary = "one node, mini-batch gradient descent: the reference for the others",
    .params = params,
    .min_nodes = 1,
    .searches = true,
    .check = check,
    .passes = passes,
    .memory = memory,
    .predict = predict,
    .open = open_single,
    .train = train,
    .parameters = parameters,
    .state = visit_state,
    .state_floats = state_floats,
    .held = held,
    .observe = observe,
    .close = close_single,
};
