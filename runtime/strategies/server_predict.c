/* The closed forms of parameter_server. */
#include "base/check.h"
#include "base/sizes.h"
#include "collectives/collectives.h"
#include "strategies/server_parts.h"
#include <math.h>
#include <stdlib.h>

enum { SMALL = 8 }; /* bytes of an ASK, and of a VERSION */

static bool in_step(const struct rg_job *job)
{
    return rg_server_plan(job)->in_step;
}

static const struct rg_board *server_board(const struct rg_job *job, int server)
{
    return job->boards[server];
}

static const struct rg_board *worker_board(const struct rg_job *job, int worker)
{
    return job->boards[rg_server_plan(job)->servers + worker];
}

/* ---- memory and traffic ---- */

uint64_t rg_server_memory(const struct rg_job *job, int rank)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    if (rank < plan->servers) {
        uint64_t count = rg_server_shard(job, rank).count;
        uint64_t messages =
            rg_size_times((uint64_t)rg_server_messages(plan), rg_server_push_bytes(job, rank));
        uint64_t vectors =
            rg_size_times((1 + (uint64_t)rg_server_vectors(plan)) * sizeof(float), count);
        return rg_size_plus(
            rg_size_plus(rg_size_plus(vectors, messages), rg_server_chain_memory(job, rank)),
            rg_size_plus(rg_server_in_memory(job, rank), rg_update_memory(job, count)));
    }
    uint64_t more = (uint64_t)(rg_server_pulled(plan) + rg_server_gradients(plan) - 2 +
                               rg_server_sums_apart(plan));
    int share = rg_job_share(job, plan->workers, rank - plan->servers);
    return rg_size_plus(rg_size_plus(rg_replica_memory(job, share), rg_server_out_memory(job)),
                        rg_size_times(more * sizeof(float), job->network->parameters));
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : greatest_divisor(b, a % b);
}

/* Iterations after which reads and pushes are the same again: an epoch, where it does not end
 * there. */
static int64_t round_of(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    int64_t divisor = greatest_divisor(plan->fetch_every, plan->push_every);
    int64_t round = plan->fetch_every / divisor * plan->push_every;
    int64_t epoch = RG_MIN(job->iterations_per_epoch, job->iterations);
    return epoch % round == 0 ? round : epoch;
}

static uint64_t reads_of(const struct rg_job *job)
{
    return (uint64_t)rg_server_times(job, rg_server_plan(job)->fetch_every, 0, round_of(job));
}

static uint64_t pushes_of(const struct rg_job *job)
{
    return (uint64_t)rg_server_times(job, rg_server_plan(job)->push_every, 0, round_of(job));
}

/* Of a pair in a round: parameters, out of step with a small message before them; and gradients,
 * with the small messages that ask for parameters. */
static struct rg_load pull_of(const struct rg_job *job, int server)
{
    uint64_t bytes = sizeof(float) * (uint64_t)rg_server_shard(job, server).count;
    uint64_t reads = reads_of(job), small = in_step(job) ? 0 : reads;
    return (struct rg_load){.messages = reads + small, .payload = reads * bytes + small * SMALL};
}

static struct rg_load push_of(const struct rg_job *job, int server)
{
    uint64_t pushes = pushes_of(job), small = in_step(job) ? 0 : reads_of(job);
    return (struct rg_load){.messages = pushes + small,
                            .payload = pushes * rg_server_push_bytes(job, server) + small * SMALL};
}

void rg_server_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    int m = rg_server_plan(job)->servers;
    for (int j = 0; j < m; j++) {
        struct rg_load pull = pull_of(job, j), push = push_of(job, j);
        for (int rank = m; rank < job->nodes; rank++) {
            flow(arg, &(struct rg_traffic){j, rank, pull.messages, pull.payload});
            flow(arg, &(struct rg_traffic){rank, j, push.messages, push.payload});
        }
        uint64_t r = (uint64_t)rg_server_plan(job)->replicas;
        if (r == 0)
            continue;
        flow(arg, &(struct rg_traffic){j, (j + 1) % m, r, rg_server_chain_bytes(job, j, 0)});
        flow(arg, &(struct rg_traffic){j, (j + m - 1) % m, r, r * RG_SERVER_ACK});
    }
}

/* ---- computing ---- */

static double copy_s(const struct rg_job *job, int server)
{
    struct rg_cost cost = rg_server_copy_cost(rg_server_shard(job, server).count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(server_board(job, server), &work, job->threads);
}

static double update_s(const struct rg_job *job, int server)
{
    struct rg_shard shard = rg_server_shard(job, server);
    return rg_update_s(job, server_board(job, server), shard.first, shard.count);
}

/* All pushes of a clock, on average. Out of step what is sent is copied, once an update or once an
 * answer, whichever is fewer. */
static double server_s(const struct rg_job *job, int server)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    if (plan->consistency == RG_ASYNC && !in_step(job)) {
        double pushes = (double)pushes_of(job), copies = fmin((double)reads_of(job), pushes);
        return plan->workers *
               (pushes * update_s(job, server) + copies * copy_s(job, server) +
                pushes * rg_server_take_s(job, server, true)) /
               (double)round_of(job);
    }
    double seconds = rg_server_take_s(job, server, true) +
                     (plan->workers - 1) * rg_server_take_s(job, server, false) +
                     update_s(job, server) + rg_server_chain_updates_s(job, server);
    return in_step(job) ? seconds : seconds + copy_s(job, server);
}

/* Of a worker's own steps, and its sum of gradients that are kept apart, on average. */
static double alone_s(const struct rg_job *job, const struct rg_board *board)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    const struct rg_optimizer own = rg_worker_optimizer(job);
    double round = (double)round_of(job), seconds = 0;
    struct rg_work step = {0};
    if (!rg_server_steps_alone(plan))
        return 0;
    rg_optimizer_work(&own, job->network->parameters, &step);
    seconds = (round - (double)reads_of(job)) * rg_board_seconds(board, &step, job->threads);
    rg_work_free(&step);
    if (rg_server_sums_apart(plan))
        seconds += (round - (double)pushes_of(job)) *
                   rg_add_s(board, job->threads, job->network->parameters);
    return seconds / round;
}

static double worker_s(const struct rg_job *job, int worker)
{
    const struct rg_board *board = worker_board(job, worker);
    int n = rg_job_share(job, rg_server_plan(job)->workers, worker);
    double seconds = rg_replica_pass_s(job, board, n);
    for (int j = 0; j < rg_server_plan(job)->servers; j++)
        seconds += rg_server_say_s(job, j, board);
    return seconds + alone_s(job, board);
}

/* As the worker before it? Of most, nothing new is to be worked out. */
static bool as_before(const struct rg_job *job, int worker)
{
    int k = rg_server_plan(job)->workers;
    return worker > 0 && worker_board(job, worker) == worker_board(job, worker - 1) &&
           rg_job_share(job, k, worker) == rg_job_share(job, k, worker - 1);
}

/* Of all workers; the caller frees. */
static double *workers_s(const struct rg_job *job)
{
    int k = rg_server_plan(job)->workers;
    double *seconds = calloc((size_t)k, sizeof *seconds);
    RG_ASSERT(seconds);
    for (int i = 0; i < k; i++)
        seconds[i] = as_before(job, i) ? seconds[i - 1] : worker_s(job, i);
    return seconds;
}

/* ---- out of step ---- */

static double push_s(const struct rg_job *job, int server, int worker)
{
    return rg_board_hop_to_s(worker_board(job, worker), server_board(job, server),
                             rg_server_push_bytes(job, server));
}

/* All answers of a clock, one after the other, on average. A copy is made while the port has
 * nothing to do: of every update, or of every answer if those are fewer. */
static double answers_s(const struct rg_job *job, int server)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    const struct rg_board *board = server_board(job, server);
    double reads = (double)reads_of(job), copies = fmin(reads, (double)pushes_of(job));
    double seconds =
        copies * copy_s(job, server) * (plan->consistency == RG_ASYNC ? plan->workers : 1);
    for (int i = 0; i < plan->workers; i++)
        seconds += reads * (rg_board_send_s(board, worker_board(job, i), SMALL) +
                            rg_server_pull_s(job, server, i));
    return seconds / (double)round_of(job);
}

/* Clocks of a round where nobody else is in the way: a read takes `there` and waits until the push
 * before it is in the parameters, `back` after it began; a gradient is not begun before the one
 * before it has left, in port_s. */
static double walk_s(const struct rg_job *job, int worker, double compute, double there,
                     double back, double port_s)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    int64_t round = round_of(job);
    double now = 0, left = -INFINITY, taken = 0, gradient = 0;
    int n = rg_job_share(job, plan->workers, worker);
    for (int l = 0; l < job->network->layer_count && round > 1; l++)
        gradient += rg_replica_backward_s(job, worker_board(job, worker), n, l);
    for (int64_t i = 0; i < round; i++) {
        if (i % plan->fetch_every == 0)
            now = fmax(now, taken) + there;
        now = fmax(now + compute, left + gradient);
        if ((i + 1) % plan->push_every == 0 || i + 1 == round) {
            left = now + port_s;
            taken = now + fmax(back, port_s);
        }
    }
    return fmax(now, taken) / (double)round;
}

/* From one ask of a worker to its next where nobody else is in the way: a shard there, its work,
 * the gradient back, which is added before the next ask is answered. Of workers alike each waits
 * for the update, too, be it as the last to push or behind another who is. */
static double round_s(const struct rg_job *job, int worker, double compute)
{
    double there = 0, back = 0;
    for (int j = 0; j < rg_server_plan(job)->servers; j++) {
        const struct rg_board *s = server_board(job, j), *w = worker_board(job, worker);
        bool async = rg_server_plan(job)->consistency == RG_ASYNC;
        bool alone = rg_server_plan(job)->workers == 1;
        double taken = update_s(job, j) + copy_s(job, j) + rg_server_take_s(job, j, async || alone);
        there = fmax(there, rg_board_send_s(s, w, SMALL) + rg_server_pull_s(job, j, worker));
        back = fmax(back, push_s(job, j, worker) + fmax(taken, rg_board_send_s(w, s, SMALL)));
    }
    return walk_s(job, worker, compute, fmax(there, rg_server_pulls_port_s(job, worker)), back,
                  rg_server_pushes_port_s(job, worker));
}

/* The pace of whatever is busy all the time: a port, a server, a worker, or the way there and back.
 * Nobody is ahead of the slowest worker for ever. */
static double out_of_step_s(const struct rg_job *job, const double *compute,
                            const struct rg_prediction *p)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    double pace = fmax(p->c_s, p->T_A_s);
    for (int j = 0; j < plan->servers; j++)
        pace = fmax(pace, answers_s(job, j));
    for (int i = 0; i < plan->workers; i++)
        if (i == 0 || !as_before(job, i))
            pace = fmax(pace, round_s(job, i, compute[i]) / plan->in_flight);
    return pace;
}

static bool alike(const struct rg_job *job)
{
    for (int i = 1; i < rg_server_plan(job)->workers; i++)
        if (worker_board(job, i) != worker_board(job, i - 1))
            return false;
    return true;
}

static const char *why_filtered(const struct rg_job *job)
{
    const struct rg_filters *filters = &rg_server_plan(job)->filters;
    return filters->count > 0 && !filters->fixed
               ? "filters let pass less than the most there may be"
               : NULL;
}

static const char *why_out_of_step(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    if (plan->servers > 1)
        return "several servers meet at a worker";
    if (job->boards[0]->port_bus_rate > 0)
        return "pulls and pushes share the server's bus";
    if (!alike(job))
        return "workers of several speeds are out of step";
    if (plan->warm_up > 0 && plan->workers > 1)
        return "the first iterations are one worker's";
    return plan->in_flight > 1 ? "a worker's clocks in flight share its port" : why_filtered(job);
}

/* ---- all of it ---- */

static bool shares_directions(const struct rg_job *job)
{
    bool any = false;
    for (int rank = 0; rank < job->nodes; rank++)
        any = any || job->boards[rank]->port_bus_rate > 0 || job->boards[rank]->shared_medium;
    return any;
}

/* Busiest processor and port. */
static void add_loads(const struct rg_job *job, const double *compute, struct rg_prediction *p)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    uint64_t k = (uint64_t)plan->workers, pulled = 0, pushed = 0, numbers = 0;
    uint64_t out_messages = 0, in_messages = 0; /* of the servers */
    double round = (double)round_of(job);
    uint64_t r = (uint64_t)plan->replicas, m = (uint64_t)plan->servers;
    for (int j = 0; j < plan->servers; j++) {
        struct rg_load pull = pull_of(job, j), push = push_of(job, j);
        pulled += pull.payload;
        pushed += push.payload;
        out_messages += pull.messages;
        in_messages += push.messages;
        numbers += reads_of(job) * rg_server_shard(job, j).count +
                   pushes_of(job) * rg_server_push_numbers(job, j);
        p->T_A_s = fmax(p->T_A_s, server_s(job, j));
        uint64_t out = rg_server_chain_bytes(job, j, 0), in = rg_server_chain_bytes(job, j, 1);
        uint64_t acks = r * RG_SERVER_ACK;
        p->c_s = fmax(p->c_s,
                      rg_board_busy_s(
                          server_board(job, j),
                          rg_load_alike(k * pull.messages + 2 * r, k * pull.payload + out + acks),
                          rg_load_alike(k * push.messages + 2 * r, k * push.payload + in + acks)) /
                          round);
    }
    for (int i = 0; i < plan->workers; i++) {
        p->T_A_s = fmax(p->T_A_s, compute[i]);
        p->c_s =
            fmax(p->c_s, rg_board_busy_s(worker_board(job, i), rg_load_alike(in_messages, pushed),
                                         rg_load_alike(out_messages, pulled)) /
                             round);
    }
    p->round = round_of(job);
    p->at_most = plan->warm_up > 0 && plan->workers > 1;
    p->messages = k * (out_messages + in_messages) + 2 * r * m;
    p->values = k * numbers + r * job->network->parameters;
    p->payload_bytes = k * (pulled + pushed) + r * sizeof(float) * job->network->parameters +
                       r * m * RG_SERVER_ACK;
}

static void predict_in_step(const struct rg_job *job, const double *compute,
                            struct rg_prediction *p)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    struct rg_server_dates dates = rg_server_in_step_dates(job, compute);
    p->iteration_s = dates.end + rg_server_chain_s(job);
    p->told = plan->servers == 1;
    if (plan->workers % plan->servers != 0)
        p->holds = "several servers meet at a worker";
    else if (dates.overlap > 0.05 * dates.end && shares_directions(job))
        p->holds = "pulls and pushes slow one another";
    else
        p->holds = why_filtered(job);
}

void rg_server_predict(const struct rg_job *job, struct rg_prediction *p)
{
    double *compute = workers_s(job);
    add_loads(job, compute, p);
    p->overlap = !in_step(job);
    if (in_step(job)) {
        predict_in_step(job, compute, p);
    } else {
        p->iteration_s = out_of_step_s(job, compute, p);
        p->holds = why_out_of_step(job);
    }
    free(compute);
    rg_predict_memory(job, p);
}
