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
#include "base/check.h"
#include "base/sizes.h"
#include "models/optimizer.h"
#include "strategies/replica.h"
#include "strategies/rounds.h"
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

static int clients_of(const struct rg_job *job)
{
    return job->nodes - 1;
}

static int rows_of(const struct rg_job *job, int client)
{
    return rg_deal_count(job->rows, client);
}

static int64_t all_rows(const struct rg_job *job)
{
    int64_t rows = 0;
    for (int k = 0; k < clients_of(job); k++)
        rows += rows_of(job, k);
    return rows;
}

/* Steps of a client in a round: their rows differ by one at most. */
static int steps_of(const struct rg_job *job, int client)
{
    int rows = rows_of(job, client), batch = (int)job->values[LOCAL_BATCH].number;
    return batch == 0 ? 1 : (rows + batch - 1) / batch;
}

static int step_rows(const struct rg_job *job, int client, int step)
{
    return rg_share(rows_of(job, client), steps_of(job, client), step);
}

/* ---- checking and closed forms ---- */

static int check(struct rg_job *job, struct rg_error *e)
{
    if (!job->own_rows)
        return rg_fail(e, RG_ERR_INVALID,
                       "clients train on rows of their own, and rows=\"shared\" gives them none: "
                       "order, shuffle, labels and dirichlet are allowed");
    if (job->optimizer.kind != RG_SGD || job->optimizer.clip > 0)
        return rg_fail(e, RG_ERR_INVALID,
                       "its steps are the rate times a gradient without its variance: "
                       "optimizer=\"sgd\" without clip is allowed");
    if (job->network->statistics_count > 0)
        return rg_fail(e, RG_ERR_INVALID,
                       "network %.160s has layers with running statistics, which have no gradient "
                       "to take the variance of",
                       job->network->file);
    return 0;
}

static bool feeds(const struct rg_job *job, int rank)
{
    (void)job;
    return rank > 0;
}

static int keepers(const struct rg_job *job, int *first)
{
    *first = 1;
    return clients_of(job);
}

/* A server: w, F and a sum; a client: v and a gradient, w, its gradient there, and F. */
static uint64_t memory(const struct rg_job *job, int rank)
{
    size_t count = parameters_of(job);
    uint64_t more = rg_size_times(3 * sizeof(float), count);
    return rg_size_plus(more, rank == 0 ? rg_rounds_memory(count, clients_of(job))
                                        : rg_replica_memory(job, step_rows(job, rank - 1, 0)));
}

static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    uint64_t bytes = sizeof(float) * (uint64_t)parameters_of(job);
    for (int rank = 1; rank < job->nodes; rank++) {
        flow(arg, &(struct rg_traffic){0, rank, 2, 2 * bytes});
        flow(arg, &(struct rg_traffic){rank, 0, 2, 2 * bytes});
    }
}

static double pass_s(const struct rg_job *job, int rank, int n)
{
    const struct rg_board *board = job->boards[rank];
    double seconds = rg_replica_forward_s(job, board, n);
    for (int l = 0; l < job->network->layer_count; l++)
        seconds += rg_replica_backward_s(job, board, n, l);
    return seconds;
}

static double work_s(const struct rg_job *job, int rank,
                     void (*work_of)(size_t n, struct rg_work *work))
{
    struct rg_work work = {0};
    work_of(parameters_of(job), &work);
    double seconds = rg_board_seconds(job->boards[rank], &work, job->threads);
    rg_work_free(&work);
    return seconds;
}

/* Of a client's passes over its rows: once, and twice with a step each; what it copies. */
static void add_client(const struct rg_job *job, int client, double *once, double *twice)
{
    int rank = client + 1, steps = steps_of(job, client), most = step_rows(job, client, 0);
    int larger = rows_of(job, client) - (most - 1) * steps;
    double passes = larger * pass_s(job, rank, most);
    if (steps > larger)
        passes += (steps - larger) * pass_s(job, rank, most - 1);
    *once = passes;
    *twice =
        work_s(job, rank, rg_combine_work) + 2 * passes + steps * work_s(job, rank, rg_svrg_work);
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    size_t k = (size_t)clients_of(job), count = parameters_of(job);
    uint64_t clients = (uint64_t)k, bytes = sizeof(float) * (uint64_t)count;
    double *seconds = calloc(4 * k, sizeof *seconds);
    bool *asked = calloc(k, sizeof *asked);
    double add_s = rg_mean_add_s(job, count), divide_s = rg_mean_divide_s(job, count);
    RG_ASSERT(seconds && asked);
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
    struct rg_world *w;
    const struct rg_job *job;
    struct rg_observation seen;
    float *parameters, *full; /* w and F, of either */
    struct rg_mean mean;      /* a server's, as the next */
    struct rg_rounds rounds;
    bool sums;                 /* answers are sums of gradients; else parameters */
    struct rg_replica replica; /* a client's, as the rest: of v */
    float *at_v, *at_w;        /* gradients */
    struct rg_work copying, stepping;
};

static int open_server(struct fsvrg *s, const float *initial)
{
    size_t count = parameters_of(s->job);
    const float *whole;
    float *drawn;
    s->mean = (struct rg_mean){.sum = rg_mem_floats(s->w->mem, count), .count = count};
    if (!s->mean.sum)
        return RG_ERR_NOMEM;
    int result =
        rg_rounds_open(&s->rounds, s->w, clients_of(s->job), count, clients_of(s->job), false);
    if (result || !s->job->numerics)
        return result;
    result = rg_initial_parameters(s->job, initial, &whole, &drawn);
    if (result == 0)
        memcpy(s->parameters, whole, count * sizeof *whole);
    free(drawn);
    return result;
}

static int open_client(struct fsvrg *s)
{
    int result = rg_replica_open(&s->replica, s->w, s->job, step_rows(s->job, s->w->rank - 1, 0),
                                 NULL, NULL);
    s->replica.mean_of = 1; /* gradients are sums */
    s->seen.peak_units = 1;
    s->at_v = s->replica.gradient;
    s->at_w = rg_mem_floats(s->w->mem, parameters_of(s->job));
    rg_combine_work(parameters_of(s->job), &s->copying);
    rg_svrg_work(parameters_of(s->job), &s->stepping);
    return result || s->at_w ? result : RG_ERR_NOMEM;
}

static int open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    struct fsvrg *s = calloc(1, sizeof *s);
    *state = s;
    if (!s)
        return RG_ERR_NOMEM;
    s->w = w;
    s->job = job;
    s->seen.in_rounds = true;
    s->parameters = rg_mem_floats(w->mem, parameters_of(job));
    s->full = rg_mem_floats(w->mem, parameters_of(job));
    if (!s->parameters || !s->full)
        return RG_ERR_NOMEM;
    return w->rank == 0 ? open_server(s, initial) : open_client(s);
}

static void close_node(void *state)
{
    struct fsvrg *s = state;
    if (s->w->rank == 0)
        rg_rounds_close(&s->rounds);
    rg_replica_close(&s->replica);
    rg_work_free(&s->copying);
    rg_work_free(&s->stepping);
    free(s);
}

/* ---- the server at work ---- */

static int take_answer(void *arg, int client, const float *answer)
{
    struct fsvrg *s = arg;
    float weight = s->sums ? 1 : (float)rows_of(s->job, client);
    return rg_mean_add(&s->mean, s->w, weight, answer, client);
}

static int exchange(struct fsvrg *s, bool sums, const float *numbers, float *mean, int64_t round)
{
    s->sums = sums;
    for (int k = 0; k < s->rounds.clients; k++)
        s->rounds.client[k].asked = true;
    int result = rg_rounds_exchange(&s->rounds, numbers, INFINITY, take_answer, s);
    return result ? result
                  : rg_mean_divide(&s->mean, s->w, (float)all_rows(s->job), mean, (int)round);
}

static int serve(struct fsvrg *s, int64_t round)
{
    int result = exchange(s, true, s->parameters, s->full, round);
    if (result == 0)
        result = exchange(s, false, s->full, s->parameters, round);
    s->seen.drawn += clients_of(s->job);
    return result ? result : rg_iteration(s->w, round);
}

/* ---- a client at work ---- */

/* The sum of the gradients of a step's rows at these parameters, or what is there and that. */
static int look(struct fsvrg *s, int64_t round, int step, float *at, float *gradient, bool more)
{
    struct rg_replica *replica = &s->replica;
    int client = s->w->rank - 1, steps = steps_of(s->job, client);
    float *v = replica->parameters;
    replica->parameters = at;
    replica->gradient = gradient;
    int result =
        rg_replica_forward(replica, round, rg_share_first(rows_of(s->job, client), steps, step),
                           step_rows(s->job, client, step), step);
    if (result == 0)
        result = rg_replica_backward(replica, more, step);
    replica->parameters = v;
    return result;
}

static void copy(void *arg)
{
    struct fsvrg *s = arg;
    memcpy(s->replica.parameters, s->parameters, parameters_of(s->job) * sizeof *s->parameters);
}

struct step {
    struct fsvrg *s;
    float rate, rows;
};

static void take_step(void *arg)
{
    const struct step *step = arg;
    struct fsvrg *s = step->s;
    rg_svrg(step->rate, parameters_of(s->job), s->replica.parameters, s->at_v, s->at_w, step->rows,
            s->full);
}

static int wander(struct fsvrg *s, int64_t round)
{
    int client = s->w->rank - 1;
    float rate = rg_optimizer_rate(&s->job->optimizer, round + 1) / (float)rows_of(s->job, client);
    int result = rg_compute(s->w, &s->copying, "copy", (int)round, copy, s);
    for (int i = 0; i < steps_of(s->job, client) && result == 0; i++) {
        struct step step = {s, rate, (float)step_rows(s->job, client, i)};
        result = look(s, round, i, s->replica.parameters, s->at_v, false);
        if (result == 0)
            result = look(s, round, i, s->parameters, s->at_w, false);
        if (result == 0)
            result = rg_compute(s->w, &s->stepping, "step", i, take_step, &step);
        s->seen.trained += step_rows(s->job, client, i);
    }
    return result;
}

static int attend(struct fsvrg *s, int64_t round)
{
    size_t count = parameters_of(s->job);
    bool asked;
    int result = rg_round_hear(s->w, s->parameters, count, &asked);
    rg_feed_own(&s->replica.feed, round);
    for (int i = 0; i < steps_of(s->job, s->w->rank - 1) && result == 0; i++)
        result = look(s, round, i, s->parameters, s->at_v, i > 0);
    if (result == 0)
        result = rg_round_answer(s->w, s->at_v, count);
    if (result == 0)
        result = rg_round_hear(s->w, s->full, count, &asked);
    if (result == 0)
        result = wander(s, round);
    if (result == 0)
        result = rg_round_answer(s->w, s->replica.parameters, count);
    return result ? result : rg_iteration(s->w, round);
}

/* ---- the whole ---- */

static int train(void *state, int64_t first, int64_t count)
{
    struct fsvrg *s = state;
    int result = 0;
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = s->w->rank == 0 ? serve(s, i) : attend(s, i);
    return result;
}

static int parameters(void *state, rg_visit_fn visit, void *arg)
{
    struct fsvrg *s = state;
    return rg_stream_parameters(s->w, s->job->network, 0, parameters_of(s->job), 0, s->parameters,
                                visit, arg);
}

static const float *held(void *state, int part, size_t *first, size_t *count)
{
    struct fsvrg *s = state;
    *first = 0;
    *count = parameters_of(s->job);
    return s->w->rank == 0 && part == 0 ? s->parameters : NULL;
}

/* What a client has made of the parameters in the last round. */
static const float *trained_by(void *state, int rank)
{
    struct fsvrg *s = state;
    return rank > 0 && s->rounds.client[rank - 1].taken ? s->rounds.client[rank - 1].answer : NULL;
}

static void observe(void *state, struct rg_observation *o)
{
    struct fsvrg *s = state;
    *o = s->seen;
}

const struct rg_strategy rg_strategy_fsvrg = {
    .name = "fsvrg",
    .summary = "clients take steps without their variance on rows of their own, a server averages",
    .params = params,
    .min_nodes = 2,
    .check = check,
    .feeds = feeds,
    .memory = memory,
    .predict = predict,
    .flows = flows,
    .keepers = keepers,
    .open = open_node,
    .train = train,
    .parameters = parameters,
    .held = held,
    .trained_by = trained_by,
    .observe = observe,
    .close = close_node,
};
