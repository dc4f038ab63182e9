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
#include "base/need.h"
#include "base/random.h"
#include "base/sizes.h"
#include "strategies/federated.h"
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

static bool is_limited(const struct rg_job *job)
{
    return !job->values[ROUND_LIMIT].automatic;
}

/* ---- who takes part ---- */

static int drawn_count(const struct rg_job *job)
{
    return RG_MAX((int)lround(job->values[FRACTION].real * rg_clients(job)), 1);
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
    for (int k = 0; k < rg_clients(job); k++) {
        uint64_t other = key_of(job, round, k);
        before += other < key || (other == key && k < client);
    }
    return before < drawn_count(job);
}

/* ---- a client's round ---- */

/* Steps that go through its rows once: they differ by a sample at most. */
static int steps_an_epoch(const struct rg_job *job, int client)
{
    return rg_client_steps(job, client, (int)job->values[LOCAL_BATCH].number);
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
    return rg_share(rg_client_rows(job, client), pieces, (int)(step % pieces));
}

static struct rg_passes passes(const struct rg_job *job, int rank)
{
    return rg_federated_passes(job, rank, (int)job->values[LOCAL_BATCH].number);
}

static int largest_step(const struct rg_job *job, int rank)
{
    return rank == 0 ? 0 : step_samples(job, rank - 1, 0);
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
    return rg_replica_pass_s(job, board, n) + rg_update_s(job, board, 0, parameters_of(job));
}

static double round_s(const struct rg_job *job, int client)
{
    int64_t steps = steps_a_round(job, client), larger = 0;
    int pieces = steps_an_epoch(job, client), most = step_samples(job, client, 0);
    int more = rg_client_rows(job, client) - (most - 1) * pieces; /* of an epoch's steps */
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
    int err = rg_federated_check(job, e);
    if (err)
        return err;
    if (!steps->automatic && job->values[LOCAL_EPOCHS].number > 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "local-steps=\"%ld\" with local-epochs=\"%ld\": only one of them is allowed",
                       steps->number, job->values[LOCAL_EPOCHS].number);
    job->drawn = drawn_count(job) < rg_clients(job) || is_limited(job);
    job->left_whole = true;
    return 0;
}

static int rooms_of(const struct rg_job *job)
{
    return is_limited(job) ? rg_clients(job) : drawn_count(job);
}

static uint64_t memory(const struct rg_job *job, int rank)
{
    return rg_size_plus(rg_federated_memory(job, rank, rooms_of(job), largest_step(job, rank)),
                        rank == 0 ? 0 : rg_update_memory(job, parameters_of(job)));
}

/* Parameters there and back, of those that are drawn in the first round; the others hear nothing
 * more than that they are not. */
static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    uint64_t bytes = sizeof(float) * (uint64_t)parameters_of(job);
    for (int k = 0; k < rg_clients(job); k++) {
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
    for (int k = 1; k < rg_clients(job); k++)
        if (job->boards[k + 1] != job->boards[k] ||
            rg_client_rows(job, k) != rg_client_rows(job, k - 1))
            return false;
    return true;
}

static void add_loads(const struct rg_job *job, struct rg_prediction *p)
{
    uint64_t q = (uint64_t)drawn_count(job), k = (uint64_t)rg_clients(job);
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
    int64_t clients = rg_clients(job), most = RG_MAX(DRAWS_MOST / (clients * clients), 1);
    bool same = drawn_count(job) == clients || alike(job);
    return same ? 1 : RG_MIN(RG_MAX(job->iterations, 1), most);
}

/* The mean of these rounds, as who is drawn is known; work_s [clients]. */
static double mean_round_s(const struct rg_job *job, const double *work_s)
{
    int64_t rounds = rounds_to_tell(job);
    bool *asked = rg_need_zeroed((size_t)rg_clients(job), sizeof *asked);
    double *room = rg_need_zeroed(2 * (size_t)rg_clients(job), sizeof *room);
    double take_s = rg_mean_add_s(job, parameters_of(job)), seconds = 0;
    for (int64_t round = 0; round < rounds; round++) {
        for (int k = 0; k < rg_clients(job); k++)
            asked[k] = is_drawn(job, round, k);
        seconds += rg_rounds_seconds(job, asked, parameters_of(job), work_s, take_s, room);
    }
    free(room);
    free(asked);
    return seconds / (double)rounds;
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    double *work_s = rg_need_zeroed((size_t)rg_clients(job), sizeof *work_s);
    double take_s = rg_mean_add_s(job, parameters_of(job)),
           divide_s = rg_mean_divide_s(job, parameters_of(job));
    add_loads(job, p);
    p->at_most = is_limited(job);
    p->T_A_s = drawn_count(job) * take_s + divide_s;
    for (int k = 0; k < rg_clients(job); k++) {
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
    struct rg_federated node;
    int64_t samples;         /* in the server's sum */
    struct rg_update update; /* a client's, as the next two */
    struct rg_request closed;
    int32_t taken;
};

static int open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    struct fedavg *s = calloc(1, sizeof *s);
    *state = s;
    if (!s)
        return RG_ERR_NOMEM;
    int result = rg_federated_open(&s->node, w, job, initial, rooms_of(job), is_limited(job),
                                   largest_step(job, w->rank));
    if (result || w->rank == 0)
        return result;
    s->node.replica.fused = rg_update_is_fusible(job);
    return rg_update_open(&s->update, w, job, &job->optimizer, 0, parameters_of(job), NULL);
}

static void close_node(void *state)
{
    struct fedavg *s = state;
    rg_cancel(s->node.w, &s->closed);
    rg_federated_close(&s->node);
    rg_update_close(&s->update);
    free(s);
}

/* ---- the server at work ---- */

static int take_answer(void *arg, int client, const float *answer)
{
    struct fedavg *s = arg;
    int samples = rg_client_rows(s->node.job, client);
    s->samples += samples;
    return rg_mean_add(&s->node.mean, s->node.w, (float)samples, answer, client);
}

static int serve(struct fedavg *s, int64_t round)
{
    double limit = is_limited(s->node.job) ? s->node.job->values[ROUND_LIMIT].real : INFINITY;
    int64_t samples = 0;
    s->samples = 0;
    for (int k = 0; k < s->node.rounds.clients; k++)
        s->node.rounds.client[k].asked = is_drawn(s->node.job, round, k);
    int result = rg_rounds_exchange(&s->node.rounds, s->node.parameters, rg_now(s->node.w) + limit,
                                    take_answer, s);
    s->node.seen.drawn += drawn_count(s->node.job);
    s->node.seen.left_out += drawn_count(s->node.job);
    for (int k = 0; k < s->node.rounds.clients && result == 0; k++)
        if (s->node.rounds.client[k].taken) {
            samples += rg_client_rows(s->node.job, k);
            s->node.seen.left_out--;
        }
    RG_ASSERT(result || samples == s->samples);
    if (result == 0 && samples > 0)
        result = rg_mean_divide(&s->node.mean, s->node.w, (float)s->samples, s->node.parameters,
                                (int)round);
    if (result)
        return result;
    s->node.done = round + 1;
    return rg_iteration(s->node.w, round);
}

/* ---- a client at work ---- */

static void renew(void *arg)
{
    struct fedavg *s = arg;
    memset(s->update.state, 0,
           sizeof(float) * rg_optimizer_state(&s->node.job->optimizer, parameters_of(s->node.job)));
}

/* The rate is that of the round, for all of its steps, which the optimizer counts from 1. */
static int begin_round(struct fedavg *s, int64_t round)
{
    struct rg_cost cost = renewal_cost(s->node.job);
    const struct rg_work work = {.cost = &cost, .count = 1};
    s->update.optimizer = s->node.job->optimizer;
    s->update.optimizer.rate = rg_optimizer_rate(&s->node.job->optimizer, round + 1);
    s->update.optimizer.ramp = 0;
    s->update.optimizer.schedule = RG_RATE_CONSTANT;
    return cost.bytes > 0 ? rg_compute(s->node.w, &work, "renew", (int)round, renew, s) : 0;
}

static int take_step(struct fedavg *s, int64_t round, int64_t step)
{
    struct rg_replica *replica = &s->node.replica;
    int client = s->node.w->rank - 1, pieces = steps_an_epoch(s->node.job, client);
    int piece = (int)(step % pieces), n = step_samples(s->node.job, client, step);
    int64_t epochs = (steps_a_round(s->node.job, client) + pieces - 1) / pieces;
    if (piece == 0)
        rg_feed_own(&replica->feed, round * epochs + step / pieces);
    replica->mean_of = n;
    s->node.seen.trained += n;
    int result = rg_replica_forward(
        replica, round, rg_share_first(rg_client_rows(s->node.job, client), pieces, piece), n,
        (int)step);
    if (result == 0)
        result = rg_replica_backward(replica, false, (int)step);
    return result ? result
                  : rg_update_run(&s->update, s->node.w, step + 1, replica->parameters,
                                  replica->fused ? NULL : replica->gradient);
}

/* All steps of the round, unless that is over before. */
static int train_alone(struct fedavg *s, int64_t round, bool *over)
{
    int result = begin_round(s, round);
    *over = false;
    for (int64_t step = 0; step < steps_a_round(s->node.job, s->node.w->rank - 1) && result == 0;
         step++) {
        *over = is_limited(s->node.job) && rg_done(s->node.w, &s->closed);
        if (*over)
            break;
        result = take_step(s, round, step);
    }
    return result;
}

static int take_part(struct fedavg *s, int64_t round)
{
    bool over, limited = is_limited(s->node.job);
    int result =
        limited ? rg_recv(s->node.w, 0, RG_TAG_CLOSED, &s->taken, sizeof s->taken, &s->closed) : 0;
    if (result == 0)
        result = train_alone(s, round, &over);
    if (result == 0)
        result = rg_round_answer(s->node.w, over ? NULL : s->node.replica.parameters,
                                 parameters_of(s->node.job));
    if (result == 0 && limited)
        result = rg_wait(s->node.w, &s->closed);
    s->node.seen.own_left_out += limited && result == 0 && !s->taken;
    return result;
}

static int attend(struct fedavg *s, int64_t round)
{
    bool asked;
    int result =
        rg_round_hear(s->node.w, s->node.replica.parameters, parameters_of(s->node.job), &asked);
    if (result == 0 && asked)
        result = take_part(s, round);
    else if (result == 0)
        s->node.seen.own_left_out += is_drawn(s->node.job, round, s->node.w->rank - 1);
    return result ? result : rg_iteration(s->node.w, round);
}

/* ---- the whole ---- */

static int train(void *state, int64_t first, int64_t count)
{
    struct fedavg *s = state;
    int result = 0;
    s->node.done = first;
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = s->node.w->rank == 0 ? serve(s, i) : attend(s, i);
    int settled = s->node.w->rank == 0 && result >= 0 ? rg_rounds_settle(&s->node.rounds) : 0;
    return settled ? settled : result;
}

static int64_t under_way(const struct rg_job *job)
{
    return is_limited(job) ? job->iterations_per_epoch : 1;
}

const struct rg_strategy rg_strategy_fedavg = {
    .name = "fedavg",
    .summary = "clients train on rows of their own, a server averages what some of them have made",
    .params = params,
    .min_nodes = 2,
    .check = check,
    .feeds = rg_federated_feeds,
    .memory = memory,
    .predict = predict,
    .flows = flows,
    .keepers = rg_federated_keepers,
    .passes = passes,
    .under_way = under_way,
    .open = open_node,
    .train = train,
    .parameters = rg_federated_parameters,
    .state = rg_federated_state,
    .state_floats = rg_federated_state_floats,
    .copies = rg_federated_copies,
    .copies_floats = rg_federated_copies_floats,
    .whole_epochs = is_limited,
    .held = rg_federated_held,
    .trained_by = rg_federated_trained_by,
    .observe = rg_federated_observe,
    .close = close_node,
};
