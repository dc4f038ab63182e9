/* fsvrg: federated SVRG (Konecny, McMahan, Ramage and Richtarik 2016, algorithm 4, for features
 * that all rows have: its scalings S and A are 1). Rank 0 is a server with the parameters w, the
 * others are clients with rows of their own. An iteration is a round of two exchanges with all of
 * them:
 *
 *   w out, the sum of the gradients of a client's rows in; F is their mean over all rows;
 *   F out; from v = w on a client goes once through its rows, in an order drawn anew, with steps
 *   v -= rate / n_k (sum of g_i(v) - g_i(w) over the step's rows + F for each of these), v in;
 *
 * and the mean of these, weighted by samples, is the next round's. With one client it is SVRG
 * (Johnson and Zhang 2013). */
#include "base/need.h"
#include "base/sizes.h"
#include "models/optimizer.h"
#include "strategies/federated.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL_BATCH };

static const struct rg_param params[] = {
    [LOCAL_BATCH] = {"local-batch", RG_PARAM_COUNT, "1", 0, 1 << 24, NULL,
                     "rows in a step of a client, at most; 0: all of its rows"},
    {0}};

static size_t parameters_of(const struct rg_job *job)
{
    return job->network->parameters;
}

static int64_t all_rows(const struct rg_job *job)
{
    int64_t rows = 0;
    for (int k = 0; k < rg_clients(job); k++)
        rows += rg_client_rows(job, k);
    return rows;
}

/* Steps of a client in a round: their rows differ by one at most. */
static int steps_of(const struct rg_job *job, int client)
{
    return rg_client_steps(job, client, (int)job->values[LOCAL_BATCH].number);
}

static int step_rows(const struct rg_job *job, int client, int step)
{
    return rg_share(rg_client_rows(job, client), steps_of(job, client), step);
}

static struct rg_passes passes(const struct rg_job *job, int rank)
{
    return rg_federated_passes(job, rank, (int)job->values[LOCAL_BATCH].number);
}

static int largest_step(const struct rg_job *job, int rank)
{
    return rank == 0 ? 0 : step_rows(job, rank - 1, 0);
}

/* ---- checking and closed forms ---- */

static int check(struct rg_job *job, struct rg_error *e)
{
    int err = rg_federated_check(job, e);
    if (err)
        return err;
    const struct rg_optimizer *o = &job->optimizer;
    if (o->kind != RG_SGD || o->clip > 0 || o->l1 > 0 || o->l2 > 0)
        return rg_fail(e, RG_ERR_INVALID,
                       "its steps are the rate times a gradient without its variance: "
                       "optimizer=\"sgd\" without clip, l1 and l2 is allowed");
    if (job->network->statistics_count > 0)
        return rg_fail(e, RG_ERR_INVALID,
                       "network %.160s has layers with running statistics, which have no gradient "
                       "to take the variance of",
                       job->network->file);
    job->left_whole = true;
    return 0;
}

/* F; of a client w, too, and its gradient there. */
static uint64_t memory(const struct rg_job *job, int rank)
{
    uint64_t more = (rank == 0 ? 1 : 3) * sizeof(float);
    return rg_size_plus(rg_federated_memory(job, rank, rg_clients(job), largest_step(job, rank)),
                        rg_size_times(more, parameters_of(job)));
}

static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    uint64_t bytes = sizeof(float) * (uint64_t)parameters_of(job);
    for (int rank = 1; rank < job->nodes; rank++) {
        flow(arg, &(struct rg_traffic){0, rank, 2, 2 * bytes});
        flow(arg, &(struct rg_traffic){rank, 0, 2, 2 * bytes});
    }
}

/* Of a client's passes over its rows: once, and twice with a step each; what it copies. */
static void add_client(const struct rg_job *job, int client, double *once, double *twice)
{
    const struct rg_board *board = job->boards[client + 1];
    size_t count = parameters_of(job);
    int steps = steps_of(job, client), most = step_rows(job, client, 0);
    int larger = rg_client_rows(job, client) - (most - 1) * steps;
    double passes = larger * rg_replica_pass_s(job, board, most);
    if (steps > larger)
        passes += (steps - larger) * rg_replica_pass_s(job, board, most - 1);
    *once = passes;
    *twice = rg_vector_s(job, board, rg_combine_work, count) + 2 * passes +
             steps * rg_vector_s(job, board, rg_svrg_work, count);
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    size_t k = (size_t)rg_clients(job), count = parameters_of(job);
    uint64_t clients = (uint64_t)k, bytes = sizeof(float) * (uint64_t)count;
    double *seconds = rg_need_zeroed(4 * k, sizeof *seconds);
    bool *asked = rg_need_zeroed(k, sizeof *asked);
    double add_s = rg_mean_add_s(job, count), divide_s = rg_mean_divide_s(job, count);
    p->messages = 4 * clients;
    p->values = 4 * clients * count;
    p->payload_bytes = 4 * clients * bytes;
    p->T_A_s = 2 * ((double)k * add_s + divide_s);
    p->c_s = rg_board_busy_s(job->boards[0], rg_load_alike(2 * clients, 2 * clients * bytes),
                             rg_load_alike(2 * clients, 2 * clients * bytes));
    for (size_t i = 0; i < k; i++) {
        asked[i] = true;
        add_client(job, (int)i, &seconds[i], &seconds[k + i]);
        p->T_A_s = fmax(p->T_A_s, seconds[i] + seconds[k + i]);
        p->c_s = fmax(p->c_s, rg_board_both_ways_s(job->boards[i + 1], 2, 2 * bytes));
    }
    p->iteration_s = 2 * divide_s;
    for (int exchange = 0; exchange < 2; exchange++)
        p->iteration_s += rg_rounds_seconds(job, asked, count, seconds + (exchange ? k : 0), add_s,
                                            seconds + 2 * k);
    free(seconds);
    free(asked);
    rg_predict_memory(job, p);
}

/* ---- a node ---- */

struct fsvrg {
    struct rg_federated node; /* a client's parameters are w, its replica's are v */
    float *full;              /* F */
    bool sums;                /* answers are sums of gradients; else parameters */
    float *at_v, *at_w;       /* a client's gradients, as the rest */
    struct rg_work copying, stepping;
};

static int open_client(struct fsvrg *s)
{
    size_t count = parameters_of(s->node.job);
    s->node.replica.mean_of = 1; /* gradients are sums */
    s->at_v = s->node.replica.gradient;
    s->at_w = rg_mem_floats(s->node.w->mem, count);
    s->node.parameters = rg_mem_floats(s->node.w->mem, count);
    rg_combine_work(count, &s->copying);
    rg_svrg_work(count, &s->stepping);
    return s->node.parameters && s->at_w ? 0 : RG_ERR_NOMEM;
}

static int open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    struct fsvrg *s = calloc(1, sizeof *s);
    *state = s;
    if (!s)
        return RG_ERR_NOMEM;
    int result = rg_federated_open(&s->node, w, job, initial, rg_clients(job), false,
                                   largest_step(job, w->rank));
    if (result)
        return result;
    s->full = rg_mem_floats(w->mem, parameters_of(job));
    if (!s->full)
        return RG_ERR_NOMEM;
    return w->rank == 0 ? 0 : open_client(s);
}

static void close_node(void *state)
{
    struct fsvrg *s = state;
    rg_federated_close(&s->node);
    rg_work_free(&s->copying);
    rg_work_free(&s->stepping);
    free(s);
}

/* ---- the server at work ---- */

static int take_answer(void *arg, int client, const float *answer)
{
    struct fsvrg *s = arg;
    float weight = s->sums ? 1 : (float)rg_client_rows(s->node.job, client);
    return rg_mean_add(&s->node.mean, s->node.w, weight, answer, client);
}

static int exchange(struct fsvrg *s, bool sums, const float *numbers, float *mean, int64_t round)
{
    s->sums = sums;
    for (int k = 0; k < s->node.rounds.clients; k++)
        s->node.rounds.client[k].asked = true;
    int result = rg_rounds_exchange(&s->node.rounds, numbers, INFINITY, take_answer, s);
    return result ? result
                  : rg_mean_divide(&s->node.mean, s->node.w, (float)all_rows(s->node.job), mean,
                                   (int)round);
}

static int serve(struct fsvrg *s, int64_t round)
{
    int result = exchange(s, true, s->node.parameters, s->full, round);
    if (result == 0)
        result = exchange(s, false, s->full, s->node.parameters, round);
    s->node.seen.drawn += rg_clients(s->node.job);
    if (result)
        return result;
    s->node.done = round + 1;
    return rg_iteration(s->node.w, round);
}

/* ---- a client at work ---- */

/* The sum of the gradients of a step's rows at these parameters, or what is there and that. */
static int look(struct fsvrg *s, int64_t round, int step, float *at, float *gradient, bool more)
{
    struct rg_replica *replica = &s->node.replica;
    int client = s->node.w->rank - 1, steps = steps_of(s->node.job, client);
    float *v = replica->parameters;
    replica->parameters = at;
    replica->gradient = gradient;
    int result = rg_replica_forward(
        replica, round, rg_share_first(rg_client_rows(s->node.job, client), steps, step),
        step_rows(s->node.job, client, step), step);
    if (result == 0)
        result = rg_replica_backward(replica, more, step);
    replica->parameters = v;
    return result;
}

static void copy(void *arg)
{
    struct fsvrg *s = arg;
    memcpy(s->node.replica.parameters, s->node.parameters,
           parameters_of(s->node.job) * sizeof *s->node.parameters);
}

struct step {
    struct fsvrg *s;
    float rate, rows;
};

static void take_step(void *arg)
{
    const struct step *step = arg;
    struct fsvrg *s = step->s;
    rg_svrg(step->rate, parameters_of(s->node.job), s->node.replica.parameters, s->at_v, s->at_w,
            step->rows, s->full);
}

static int wander(struct fsvrg *s, int64_t round)
{
    int client = s->node.w->rank - 1;
    float rate = rg_optimizer_rate(&s->node.job->optimizer, round + 1) /
                 (float)rg_client_rows(s->node.job, client);
    int result = rg_compute(s->node.w, &s->copying, "copy", (int)round, copy, s);
    for (int i = 0; i < steps_of(s->node.job, client) && result == 0; i++) {
        struct step step = {s, rate, (float)step_rows(s->node.job, client, i)};
        result = look(s, round, i, s->node.replica.parameters, s->at_v, false);
        if (result == 0)
            result = look(s, round, i, s->node.parameters, s->at_w, false);
        if (result == 0)
            result = rg_compute(s->node.w, &s->stepping, "step", i, take_step, &step);
        s->node.seen.trained += step_rows(s->node.job, client, i);
    }
    return result;
}

static int attend(struct fsvrg *s, int64_t round)
{
    size_t count = parameters_of(s->node.job);
    bool asked;
    int result = rg_round_hear(s->node.w, s->node.parameters, count, &asked);
    rg_feed_own(&s->node.replica.feed, round);
    for (int i = 0; i < steps_of(s->node.job, s->node.w->rank - 1) && result == 0; i++)
        result = look(s, round, i, s->node.parameters, s->at_v, i > 0);
    if (result == 0)
        result = rg_round_answer(s->node.w, s->at_v, count);
    if (result == 0)
        result = rg_round_hear(s->node.w, s->full, count, &asked);
    if (result == 0)
        result = wander(s, round);
    if (result == 0)
        result = rg_round_answer(s->node.w, s->node.replica.parameters, count);
    return result ? result : rg_iteration(s->node.w, round);
}

/* ---- the whole ---- */

static int train(void *state, int64_t first, int64_t count)
{
    struct fsvrg *s = state;
    int result = 0;
    s->node.done = first;
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = s->node.w->rank == 0 ? serve(s, i) : attend(s, i);
    return result;
}

const struct rg_strategy rg_strategy_fsvrg = {
    .name = "fsvrg",
    .summary = "clients take steps without their variance on rows of their own, a server averages",
    .params = params,
    .min_nodes = 2,
    .check = check,
    .feeds = rg_federated_feeds,
    .memory = memory,
    .predict = predict,
    .flows = flows,
    .keepers = rg_federated_keepers,
    .passes = passes,
    .open = open_node,
    .train = train,
    .parameters = rg_federated_parameters,
    .state = rg_federated_state,
    .state_floats = rg_federated_state_floats,
    .copies = rg_federated_copies,
    .copies_floats = rg_federated_copies_floats,
    .held = rg_federated_held,
    .trained_by = rg_federated_trained_by,
    .observe = rg_federated_observe,
    .close = close_node,
};
