/* fedavg: federated averaging (McMahan, Moore, Ramage, Hampson, y Arcas 2017, algorithm 1). Rank 0
 * is a server with the parameters, the others are clients with rows of their own, which never leave
 * them. An iteration is a round: the server draws some of the clients and sends them the
 * parameters; each takes steps of its own on its rows and sends back what has become of them; the
 * mean of these, weighted by samples, is the next round's. Others hear that they are not wanted.
 *
 * With round-limit a round ends when that time is over: who has not answered is left out of its
 * mean. Between two steps a client looks whether the round is over, and answers with an empty
 * message then; until it has, it is not asked again. */
#include "base/check.h"
#include "base/random.h"
#include "base/sizes.h"
#include "strategies/replica.h"
#include "strategies/rounds.h"
#include "strategies/samples.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS_MOST = 4000000 };

enum { FRACTION, LOCAL_EPOCHS, LOCAL_BATCH, LOCAL_STEPS, ROUND_LIMIT };

static const struct rg_param params[] = {
    [FRACTION] = {"fraction", RG_PARAM_REAL, "0.1", 1e-6, 1, NULL,
                  "share of the clients that are drawn for a round, at least one"},
    [LOCAL_EPOCHS] = {"local-epochs", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                      "how often a client goes through its rows in a round"},
    [LOCAL_BATCH] = {"local-batch", RG_PARAM_COUNT, "10", 0, 1 << 24, NULL,
                     "samples in a step of a client, at most; 0: all of its rows"},
    [LOCAL_STEPS] = {"local-steps", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
                     "steps of a client in a round; auto: as many as its epochs have"},
    [ROUND_LIMIT] = {"round-limit", RG_PARAM_REAL, "auto", 1e-9, 1e9, NULL,
                     "seconds after which a round ends, whoever has not answered; auto: when all\n"
                     "have"},
    {0}};

static size_t parameters_of(const struct rg_job *job)
{
    return job->network->parameters;
}

static int clients_of(const struct rg_job *job)
{
    return job->nodes - 1;
}

static bool is_limited(const struct rg_job *job)
{
    return !job->values[ROUND_LIMIT].automatic;
}

/* ---- who takes part ---- */

static int drawn_count(const struct rg_job *job)
{
    return RG_MAX((int)lround(job->values[FRACTION].real * clients_of(job)), 1);
}

static uint64_t key_of(const struct rg_job *job, int64_t round, int client)
{
    return rg_hash(job->seed, RG_STREAM_CLIENTS, (uint64_t)round, (uint64_t)client);
}

/* Is it among those with the smallest keys? */
static bool is_drawn(const struct rg_job *job, int64_t round, int client)
{
    uint64_t key = key_of(job, round, client);
    int before = 0;
    for (int k = 0; k < clients_of(job); k++) {
        uint64_t other = key_of(job, round, k);
        before += other < key || (other == key && k < client);
    }
    return before < drawn_count(job);
}

/* ---- a client's round ---- */

static int rows_of(const struct rg_job *job, int client)
{
    return rg_deal_count(job->rows, client);
}

/* Steps that go through its rows once: they differ by a sample at most. */
static int steps_an_epoch(const struct rg_job *job, int client)
{
    int rows = rows_of(job, client), batch = (int)job->values[LOCAL_BATCH].number;
    return batch == 0 ? 1 : (rows + batch - 1) / batch;
}

static int64_t steps_a_round(const struct rg_job *job, int client)
{
    const struct rg_value *steps = &job->values[LOCAL_STEPS];
    return steps->automatic
               ? job->values[LOCAL_EPOCHS].number * (int64_t)steps_an_epoch(job, client)
               : steps->number;
}

static int step_samples(const struct rg_job *job, int client, int64_t step)
{
    int pieces = steps_an_epoch(job, client);
    return rg_share(rows_of(job, client), pieces, (int)(step % pieces));
}

static struct rg_cost pass_cost(size_t count, double flops, int vectors)
{
    return (struct rg_cost){.flops = flops * (double)count,
                            .bytes = sizeof(float) * vectors * (double)count,
                            .calls = 1};
}

static double pass_s(const struct rg_job *job, int rank, struct rg_cost cost)
{
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(job->boards[rank], &work, job->threads);
}

/* The optimizer's state begins anew. */
static struct rg_cost renewal_cost(const struct rg_job *job)
{
    return pass_cost(rg_optimizer_state(&job->optimizer, parameters_of(job)), 0, 1);
}

static double step_s(const struct rg_job *job, int rank, int n)
{
    const struct rg_board *board = job->boards[rank];
    double seconds = rg_replica_forward_s(job, board, n);
    for (int l = 0; l < job->network->layer_count; l++)
        seconds += rg_replica_backward_s(job, board, n, l);
    return seconds + rg_update_s(job, board, parameters_of(job));
}

static double round_s(const struct rg_job *job, int client)
{
    int64_t steps = steps_a_round(job, client), larger = 0;
    int pieces = steps_an_epoch(job, client), most = step_samples(job, client, 0);
    int more = rows_of(job, client) - (most - 1) * pieces; /* of an epoch's steps */
    larger = steps / pieces * more + RG_MIN(steps % pieces, more);
    double seconds = (double)larger * step_s(job, client + 1, most);
    if (steps > larger)
        seconds += (double)(steps - larger) * step_s(job, client + 1, most - 1);
    if (rg_optimizer_state(&job->optimizer, 1) > 0)
        seconds += pass_s(job, client + 1, renewal_cost(job));
    return seconds;
}

/* ---- checking and closed forms ---- */

static int check(struct rg_job *job, struct rg_error *e)
{
    const struct rg_value *steps = &job->values[LOCAL_STEPS];
    if (!job->own_rows)
        return rg_fail(e, RG_ERR_INVALID,
                       "clients train on rows of their own, and rows=\"shared\" gives them none: "
                       "order, shuffle, labels and dirichlet are allowed");
    if (!steps->automatic && job->values[LOCAL_EPOCHS].number > 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "local-steps=\"%ld\" with local-epochs=\"%ld\": only one of them is allowed",
                       steps->number, job->values[LOCAL_EPOCHS].number);
    job->drawn = drawn_count(job) < clients_of(job) || is_limited(job);
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

static int rooms_of(const struct rg_job *job)
{
    return is_limited(job) ? clients_of(job) : drawn_count(job);
}

static uint64_t memory(const struct rg_job *job, int rank)
{
    size_t count = parameters_of(job);
    if (rank == 0)
        return rg_size_plus(rg_size_times(2 * sizeof(float), count),
                            rg_rounds_memory(count, rooms_of(job)));
    return rg_size_plus(rg_replica_memory(job, step_samples(job, rank - 1, 0)),
                        rg_update_memory(job, count));
}

/* Parameters there and back, of those that are drawn in the first round; the others hear nothing
 * more than that they are not. */
static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    uint64_t bytes = sizeof(float) * (uint64_t)parameters_of(job);
    for (int k = 0; k < clients_of(job); k++) {
        bool drawn = is_drawn(job, 0, k), closed = drawn && is_limited(job);
        uint64_t more = closed ? sizeof(int32_t) : 0;
        flow(arg, &(struct rg_traffic){0, k + 1, closed ? 2 : 1, (drawn ? bytes : 0) + more});
        if (drawn)
            flow(arg, &(struct rg_traffic){k + 1, 0, 1, bytes});
    }
}

/* Does it matter who is drawn? */
static bool alike(const struct rg_job *job)
{
    for (int k = 1; k < clients_of(job); k++)
        if (job->boards[k + 1] != job->boards[k] || rows_of(job, k) != rows_of(job, k - 1))
            return false;
    return true;
}

static void add_loads(const struct rg_job *job, struct rg_prediction *p)
{
    uint64_t q = (uint64_t)drawn_count(job), k = (uint64_t)clients_of(job);
    uint64_t bytes = sizeof(float) * (uint64_t)parameters_of(job), closed = is_limited(job) ? q : 0;
    const struct rg_load out = {.messages = k + closed,
                                .payload = q * bytes + closed * sizeof(int32_t)};
    const struct rg_load in = {.messages = q, .payload = q * bytes};
    p->messages = out.messages + in.messages;
    p->values = 2 * q * parameters_of(job);
    p->payload_bytes = out.payload + in.payload;
    p->c_s = rg_board_busy_s(job->boards[0], out, in);
    for (int rank = 1; rank < job->nodes; rank++)
        p->c_s = fmax(p->c_s, rg_board_both_ways_s(job->boards[rank], 1, bytes));
}

/* Rounds to look at, which differ by who is drawn: all, but where that takes too long. */
static int64_t rounds_to_tell(const struct rg_job *job)
{
    int64_t clients = clients_of(job), most = RG_MAX(DRAWS_MOST / (clients * clients), 1);
    bool same = drawn_count(job) == clients || alike(job);
    return same ? 1 : RG_MIN(RG_MAX(job->iterations, 1), most);
}

/* The mean of these rounds, as who is drawn is known; work_s [clients]. */
static double mean_round_s(const struct rg_job *job, const double *work_s)
{
    int64_t rounds = rounds_to_tell(job);
    bool *asked = calloc((size_t)clients_of(job), sizeof *asked);
    double *room = calloc(2 * (size_t)clients_of(job), sizeof *room);
    double take_s = rg_mean_add_s(job, parameters_of(job)), seconds = 0;
    RG_ASSERT(asked && room);
    for (int64_t round = 0; round < rounds; round++) {
        for (int k = 0; k < clients_of(job); k++)
            asked[k] = is_drawn(job, round, k);
        seconds += rg_rounds_seconds(job, asked, parameters_of(job), work_s, take_s, room);
    }
    free(room);
    free(asked);
    return seconds / (double)rounds;
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    double *work_s = calloc((size_t)clients_of(job), sizeof *work_s);
    double take_s = rg_mean_add_s(job, parameters_of(job)),
           divide_s = rg_mean_divide_s(job, parameters_of(job));
    RG_ASSERT(work_s);
    add_loads(job, p);
    p->at_most = is_limited(job);
    p->T_A_s = drawn_count(job) * take_s + divide_s;
    for (int k = 0; k < clients_of(job); k++) {
        work_s[k] = round_s(job, k);
        p->T_A_s = fmax(p->T_A_s, work_s[k]);
    }
    p->iteration_s = mean_round_s(job, work_s) + divide_s;
    if (is_limited(job)) {
        p->iteration_s += rg_board_hop_s(job->boards[0], sizeof(int32_t));
        p->holds = "who is left out, if anybody is, shows when a round ends";
    }
    free(work_s);
    rg_predict_memory(job, p);
}

/* ---- a node ---- */

struct fedavg {
    struct rg_world *w;
    const struct rg_job *job;
    struct rg_observation seen;
    float *parameters; /* the server's, as the next three */
    struct rg_mean mean;
    struct rg_rounds rounds;
    int64_t samples;           /* in the sum */
    struct rg_replica replica; /* a client's */
    struct rg_update update;
    struct rg_request closed;
    int32_t taken;
};

static int open_server(struct fedavg *s, const float *initial)
{
    size_t count = parameters_of(s->job);
    const float *whole;
    float *drawn;
    s->parameters = rg_mem_floats(s->w->mem, count);
    s->mean = (struct rg_mean){.sum = rg_mem_floats(s->w->mem, count), .count = count};
    if (!s->parameters || !s->mean.sum)
        return RG_ERR_NOMEM;
    int result = rg_rounds_open(&s->rounds, s->w, clients_of(s->job), count, rooms_of(s->job),
                                is_limited(s->job));
    if (result || !s->job->numerics)
        return result;
    result = rg_initial_parameters(s->job, initial, &whole, &drawn);
    if (result == 0)
        memcpy(s->parameters, whole, count * sizeof *whole);
    free(drawn);
    return result;
}

static int open_client(struct fedavg *s)
{
    int result = rg_replica_open(&s->replica, s->w, s->job, step_samples(s->job, s->w->rank - 1, 0),
                                 NULL, NULL);
    s->replica.fused = rg_update_is_fusible(s->job);
    s->seen.peak_units = 1;
    return result ? result
                  : rg_update_open(&s->update, s->w, s->job, &s->job->optimizer, 0,
                                   parameters_of(s->job), NULL);
}

static int open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    struct fedavg *s = calloc(1, sizeof *s);
    *state = s;
    if (!s)
        return RG_ERR_NOMEM;
    s->w = w;
    s->job = job;
    s->seen.in_rounds = true;
    return w->rank == 0 ? open_server(s, initial) : open_client(s);
}

static void close_node(void *state)
{
    struct fedavg *s = state;
    if (s->closed.owner)
        rg_cancel(s->w, &s->closed);
    if (s->w->rank == 0) {
        rg_rounds_close(&s->rounds);
    } else {
        rg_replica_close(&s->replica);
        rg_update_close(&s->update);
    }
    free(s);
}

/* ---- the server at work ---- */

static int take_answer(void *arg, int client, const float *answer)
{
    struct fedavg *s = arg;
    int samples = rows_of(s->job, client);
    s->samples += samples;
    return rg_mean_add(&s->mean, s->w, (float)samples, answer, client);
}

static int serve(struct fedavg *s, int64_t round)
{
    double limit = is_limited(s->job) ? s->job->values[ROUND_LIMIT].real : INFINITY;
    int64_t samples = 0;
    s->samples = 0;
    for (int k = 0; k < s->rounds.clients; k++)
        s->rounds.client[k].asked = is_drawn(s->job, round, k);
    int result =
        rg_rounds_exchange(&s->rounds, s->parameters, rg_now(s->w) + limit, take_answer, s);
    s->seen.drawn += drawn_count(s->job);
    s->seen.left_out += drawn_count(s->job);
    for (int k = 0; k < s->rounds.clients && result == 0; k++)
        if (s->rounds.client[k].taken) {
            samples += rows_of(s->job, k);
            s->seen.left_out--;
        }
    RG_ASSERT(result || samples == s->samples);
    if (result == 0 && samples > 0)
        result = rg_mean_divide(&s->mean, s->w, (float)s->samples, s->parameters, (int)round);
    return result ? result : rg_iteration(s->w, round);
}

/* ---- a client at work ---- */

static void renew(void *arg)
{
    struct fedavg *s = arg;
    memset(s->update.state, 0,
           sizeof(float) * rg_optimizer_state(&s->job->optimizer, parameters_of(s->job)));
}

/* The rate is that of the round, for all of its steps, which the optimizer counts from 1. */
static int begin_round(struct fedavg *s, int64_t round)
{
    struct rg_cost cost = renewal_cost(s->job);
    const struct rg_work work = {.cost = &cost, .count = 1};
    s->update.optimizer = s->job->optimizer;
    s->update.optimizer.rate = rg_optimizer_rate(&s->job->optimizer, round + 1);
    s->update.optimizer.ramp = 0;
    s->update.optimizer.schedule = RG_RATE_CONSTANT;
    return cost.bytes > 0 ? rg_compute(s->w, &work, "renew", (int)round, renew, s) : 0;
}

static int take_step(struct fedavg *s, int64_t round, int64_t step)
{
    struct rg_replica *replica = &s->replica;
    int client = s->w->rank - 1, pieces = steps_an_epoch(s->job, client);
    int piece = (int)(step % pieces), n = step_samples(s->job, client, step);
    int64_t epochs = (steps_a_round(s->job, client) + pieces - 1) / pieces;
    if (piece == 0)
        rg_feed_own(&replica->feed, round * epochs + step / pieces);
    replica->mean_of = n;
    s->seen.trained += n;
    int result = rg_replica_forward(
        replica, round, rg_share_first(rows_of(s->job, client), pieces, piece), n, (int)step);
    if (result == 0)
        result = rg_replica_backward(replica, false, (int)step);
    return result ? result
                  : rg_update_run(&s->update, s->w, step + 1, replica->parameters,
                                  replica->fused ? NULL : replica->gradient);
}

/* All steps of the round, unless that is over before. */
static int train_alone(struct fedavg *s, int64_t round, bool *over)
{
    int result = begin_round(s, round);
    *over = false;
    for (int64_t step = 0; step < steps_a_round(s->job, s->w->rank - 1) && result == 0; step++) {
        *over = is_limited(s->job) && rg_done(s->w, &s->closed);
        if (*over)
            break;
        result = take_step(s, round, step);
    }
    return result;
}

static int take_part(struct fedavg *s, int64_t round)
{
    bool over, limited = is_limited(s->job);
    int result =
        limited ? rg_recv(s->w, 0, RG_TAG_CLOSED, &s->taken, sizeof s->taken, &s->closed) : 0;
    if (result == 0)
        result = train_alone(s, round, &over);
    if (result == 0)
        result = rg_round_answer(s->w, over ? NULL : s->replica.parameters, parameters_of(s->job));
    if (result == 0 && limited)
        result = rg_wait(s->w, &s->closed);
    s->seen.own_left_out += limited && result == 0 && !s->taken;
    return result;
}

static int attend(struct fedavg *s, int64_t round)
{
    bool asked;
    int result = rg_round_hear(s->w, s->replica.parameters, parameters_of(s->job), &asked);
    if (result == 0 && asked)
        result = take_part(s, round);
    else if (result == 0)
        s->seen.own_left_out += is_drawn(s->job, round, s->w->rank - 1);
    return result ? result : rg_iteration(s->w, round);
}

/* ---- the whole ---- */

static int train(void *state, int64_t first, int64_t count)
{
    struct fedavg *s = state;
    int result = 0;
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = s->w->rank == 0 ? serve(s, i) : attend(s, i);
    int settled = s->w->rank == 0 && result >= 0 ? rg_rounds_settle(&s->rounds) : 0;
    return settled ? settled : result;
}

static int64_t under_way(const struct rg_job *job)
{
    return is_limited(job) ? job->iterations_per_epoch : 1;
}

static int parameters(void *state, rg_visit_fn visit, void *arg)
{
    struct fedavg *s = state;
    return rg_stream_parameters(s->w, s->job->network, 0, parameters_of(s->job), 0, s->parameters,
                                visit, arg);
}

/* Clients begin every round anew. */
static int visit_state(void *state, int64_t done, rg_state_fn visit, void *arg)
{
    struct fedavg *s = state;
    (void)done;
    return s->w->rank == 0
               ? rg_visit_parameters(s->parameters, 0, parameters_of(s->job), visit, arg)
               : 0;
}

static const float *held(void *state, int part, size_t *first, size_t *count)
{
    struct fedavg *s = state;
    *first = 0;
    *count = parameters_of(s->job);
    return s->w->rank == 0 && part == 0 ? s->parameters : NULL;
}

/* What a client has made of the parameters in the last round, if it took part. */
static const float *trained_by(void *state, int rank)
{
    struct fedavg *s = state;
    return rank > 0 && s->rounds.client[rank - 1].taken ? s->rounds.client[rank - 1].answer : NULL;
}

static void observe(void *state, struct rg_observation *o)
{
    struct fedavg *s = state;
    *o = s->seen;
}

const struct rg_strategy rg_strategy_fedavg = {
    .name = "fedavg",
    .summary = "clients train on rows of their own, a server averages what some of them have made",
    .params = params,
    .min_nodes = 2,
    .check = check,
    .feeds = feeds,
    .memory = memory,
    .predict = predict,
    .flows = flows,
    .keepers = keepers,
    .under_way = under_way,
    .open = open_node,
    .train = train,
    .parameters = parameters,
    .state = visit_state,
    .whole_epochs = is_limited,
    .held = held,
    .trained_by = trained_by,
    .observe = observe,
    .close = close_node,
};
