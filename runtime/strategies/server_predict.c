/* The closed forms of parameter_server. */
#include "base/check.h"
#include "base/need.h"
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

static int share_of(const struct rg_job *job, int worker)
{
    return rg_job_share(job, rg_server_plan(job)->workers, worker);
}

/* ---- memory and traffic ---- */

static uint64_t replica_bytes(const struct rg_job *job, const struct rg_server_stage *stage,
                              int samples)
{
    for (size_t i = 0; i < RG_COUNT(stage->replica); i++)
        if (stage->replica[i].samples == samples && samples > 0)
            return stage->replica[i].bytes;
    return rg_replica_memory_stage(job, &stage->layers, samples);
}

void rg_server_weigh_replicas(struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    for (int i = 0; i < plan->stages; i++)
        for (int last = 0; last < 2; last++) {
            struct rg_server_stage *stage = &plan->stage[i];
            int samples = share_of(job, last * (plan->workers - 1));
            stage->replica[last].bytes = replica_bytes(job, stage, samples);
            stage->replica[last].samples = samples;
        }
}

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
    const struct rg_server_stage *stage = &plan->stage[rg_server_stage_of(plan, rank)];
    uint64_t replica = replica_bytes(job, stage, share_of(job, rg_server_worker_of(plan, rank)));
    return rg_size_plus(rg_size_plus(replica, rg_server_out_memory(job)),
                        rg_size_times(more * sizeof(float), stage->parameters));
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

/* Round the ring of a worker of several nodes, forward and backward. */
static void ring_flows(const struct rg_job *job, int worker, rg_traffic_fn flow, void *arg)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    uint64_t round = (uint64_t)round_of(job);
    for (int s = 0; s < plan->stages && plan->stages > 1; s++) {
        int rank = rg_server_rank(plan, s, worker);
        int next = rg_server_rank(plan, (s + 1) % plan->stages, worker);
        uint64_t bytes = round * rg_server_handed(job, s, worker);
        flow(arg, &(struct rg_traffic){rank, next, round, bytes});
        flow(arg, &(struct rg_traffic){next, rank, round, bytes});
    }
}

void rg_server_flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    int m = plan->servers;
    for (int k = 0; k < plan->workers; k++)
        ring_flows(job, k, flow, arg);
    for (int j = 0; j < m; j++) {
        struct rg_load pull = pull_of(job, j), push = push_of(job, j);
        for (int k = 0; k < plan->workers; k++) {
            int rank = rg_server_rank(plan, rg_server_stage_at(plan, j), k);
            flow(arg, &(struct rg_traffic){j, rank, pull.messages, pull.payload});
            flow(arg, &(struct rg_traffic){rank, j, push.messages, push.payload});
        }
        if (plan->replicas == 0)
            continue;
        flow(arg, &(struct rg_traffic){j, (j + 1) % m, (uint64_t)plan->replicas,
                                       rg_server_chain_bytes(job, j, 0)});
        for (int a = 0; a < rg_server_chain_acks(plan); a++)
            flow(arg, &(struct rg_traffic){j, (j + (1 << a)) % m, 1, RG_SERVER_ACK});
    }
}

/* ---- computing ---- */

static double copy_s(const struct rg_job *job, int server)
{
    struct rg_cost cost = rg_copy_cost(rg_server_shard(job, server).count);
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
static double alone_s(const struct rg_job *job, int stage, const struct rg_board *board)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    const struct rg_optimizer own = rg_worker_optimizer(job);
    size_t parameters = plan->stage[stage].parameters;
    double round = (double)round_of(job), seconds = 0;
    struct rg_work step = {0};
    if (!rg_server_steps_alone(plan))
        return 0;
    rg_optimizer_work(&own, parameters, &step);
    seconds = (round - (double)reads_of(job)) * rg_board_seconds(board, &step, job->threads);
    rg_work_free(&step);
    if (rg_server_sums_apart(plan))
        seconds += (round - (double)pushes_of(job)) * rg_add_s(board, job->threads, parameters);
    return seconds / round;
}

/* A node of a worker: its layers, forward and backward, and what it does with their gradients. */
static double node_s(const struct rg_job *job, int stage, int worker)
{
    const struct rg_board *board = rg_server_board_of(job, stage, worker);
    const struct rg_server_stage *s = &rg_server_plan(job)->stage[stage];
    double seconds = rg_replica_pass_stage_s(job, &s->layers, board, share_of(job, worker));
    for (int j = s->first_server; j < s->first_server + s->servers; j++)
        seconds += rg_server_say_s(job, j, board);
    return seconds + alone_s(job, stage, board);
}

/* Is that node of a worker as that of the worker before it? Of most, nothing new is to be worked
 * out.
 */
static bool as_before(const struct rg_job *job, int worker)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    bool same = worker > 0 && share_of(job, worker) == share_of(job, worker - 1);
    for (int s = 0; s < plan->stages && same; s++)
        same = rg_server_board_of(job, s, worker) == rg_server_board_of(job, s, worker - 1);
    return same;
}

/* Of all nodes [worker][stage]; the caller frees. */
static double *nodes_s(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    double *seconds = rg_need_zeroed((size_t)plan->workers * (size_t)plan->stages, sizeof *seconds);
    for (int i = 0; i < plan->workers; i++)
        for (int s = 0; s < plan->stages; s++) {
            double *now = &seconds[i * plan->stages + s];
            *now = as_before(job, i) ? now[-plan->stages] : node_s(job, s, i);
        }
    return seconds;
}

/* Of a batch through a worker's layers from those of a stage on, and back to them: its nodes, one
 * after the other, and messages between them. The loss is the first node's. */
static double from_stage_s(const struct rg_job *job, int stage, int worker, const double *nodes)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    double seconds = 0;
    for (int s = stage; s < plan->stages; s++) {
        const struct rg_board *a = rg_server_board_of(job, s, worker),
                              *b = rg_server_board_of(job, (s + 1) % plan->stages, worker);
        uint64_t bytes = rg_server_handed(job, s, worker);
        seconds += nodes[worker * plan->stages + s];
        if (plan->stages > 1)
            seconds += rg_board_hop_to_s(a, b, bytes) + rg_board_hop_to_s(b, a, bytes);
    }
    return seconds;
}

/* ---- out of step ---- */

static double push_s(const struct rg_job *job, int server, int worker)
{
    int stage = rg_server_stage_at(rg_server_plan(job), server);
    return rg_board_hop_to_s(rg_server_board_of(job, stage, worker), server_board(job, server),
                             rg_server_push_bytes(job, server));
}

/* All answers of a clock, one after the other, on average. A copy is made while the port has
 * nothing to do: of every update, or of every answer if those are fewer. */
static double answers_s(const struct rg_job *job, int server)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    const struct rg_board *board = server_board(job, server);
    int stage = rg_server_stage_at(plan, server);
    double reads = (double)reads_of(job), copies = fmin(reads, (double)pushes_of(job));
    double seconds =
        copies * copy_s(job, server) * (plan->consistency == RG_ASYNC ? plan->workers : 1);
    for (int i = 0; i < plan->workers; i++)
        seconds += reads * (rg_board_send_s(board, rg_server_board_of(job, stage, i), SMALL) +
                            rg_server_pull_s(job, server, i));
    return seconds / (double)round_of(job);
}

static bool alike(const struct rg_job *job)
{
    for (int rank = rg_server_plan(job)->servers + 1; rank < job->nodes; rank++)
        if (job->boards[rank] != job->boards[rank - 1])
            return false;
    return true;
}

/* Answers that pushes hold up, of one server. Of workers alike each push comes `away` after its
 * answer has begun: a shard there, computing, a gradient back. Where the m-th answer after that one
 * would begin while the push is being added, m answers take that long; the last of a clock is
 * followed by the update. 0: none would. */
static double held_up_s(const struct rg_job *job, int server, double compute)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    const struct rg_board *board = server_board(job, server);
    int stage = rg_server_stage_at(plan, server);
    double pull = rg_server_pull_s(job, server, 0), update = update_s(job, server);
    double each = pull + rg_board_send_s(board, rg_server_board_of(job, stage, 0), SMALL);
    double away = each + compute + push_s(job, server, 0);
    double added = away + rg_server_take_s(job, server, false);
    double m = floor((added + update) / each);
    bool known = plan->servers == 1 && plan->consistency != RG_ASYNC && alike(job);
    if (!known || m < 1 || m >= plan->workers || away >= m * each)
        return 0;
    return plan->workers * fmax(each, added / m) + fmin(update, added + update - m * each) +
           copy_s(job, server);
}

/* Clocks of a round where nobody else is in the way: a read takes `there` and waits until the push
 * before it is in the parameters, `back` after it began; a gradient is not begun before the one
 * before it has left, in port_s. */
static double walk_s(const struct rg_job *job, int stage, int worker, double compute, double there,
                     double back, double port_s)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    int64_t round = round_of(job);
    double now = 0, left = -INFINITY, taken = 0, gradient = 0;
    const struct rg_stage *layers = &plan->stage[stage].layers;
    for (int l = layers->from; l < layers->to && round > 1; l++)
        gradient += rg_replica_backward_s(job, rg_server_board_of(job, stage, worker),
                                          share_of(job, worker), l);
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
static double round_s(const struct rg_job *job, int stage, int worker, double compute)
{
    const struct rg_server_stage *range = &rg_server_plan(job)->stage[stage];
    double there = 0, back = 0;
    for (int j = range->first_server; j < range->first_server + range->servers; j++) {
        const struct rg_board *s = server_board(job, j);
        const struct rg_board *w = rg_server_board_of(job, stage, worker);
        bool async = rg_server_plan(job)->consistency == RG_ASYNC;
        bool alone = rg_server_plan(job)->workers == 1;
        double taken = update_s(job, j) + copy_s(job, j) + rg_server_take_s(job, j, async || alone);
        there = fmax(there, rg_board_send_s(s, w, SMALL) + rg_server_pull_s(job, j, worker));
        back = fmax(back, push_s(job, j, worker) + fmax(taken, rg_board_send_s(w, s, SMALL)));
    }
    return walk_s(job, stage, worker, compute,
                  fmax(there, rg_server_pulls_port_s(job, stage, worker)), back,
                  rg_server_pushes_port_s(job, stage, worker));
}

/* The pace of whatever is busy all the time: a port, a server, a worker, or the way there and back,
 * with all that lies between a stage's read and its push. Nobody is ahead of the slowest worker for
 * ever. */
static double out_of_step_s(const struct rg_job *job, const double *nodes,
                            const struct rg_prediction *p)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    double pace = fmax(p->c_s, p->T_A_s);
    for (int j = 0; j < plan->servers; j++)
        pace =
            fmax(pace, fmax(answers_s(job, j), held_up_s(job, j, from_stage_s(job, 0, 0, nodes))));
    for (int i = 0; i < plan->workers; i++)
        for (int s = 0; s < plan->stages && !as_before(job, i); s++) {
            double compute = from_stage_s(job, s, i, nodes);
            pace = fmax(pace, round_s(job, s, i, compute) / plan->in_flight);
        }
    return pace;
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
    int most = 0; /* servers of a stage */
    for (int s = 0; s < plan->stages; s++)
        most = RG_MAX(most, plan->stage[s].servers);
    if (most > 1)
        return "several servers meet at a worker";
    if (plan->stages > 1 && round_of(job) > 1)
        return "a replica's nodes wait for each other's reads";
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

/* What goes through the port of a worker's node in a round: what it sends, what it gets. */
static void node_loads(const struct rg_job *job, int stage, int worker, struct rg_load *out,
                       struct rg_load *in)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    const struct rg_server_stage *s = &plan->stage[stage];
    int before = (stage + plan->stages - 1) % plan->stages, ring = plan->stages > 1;
    uint64_t handed = rg_server_handed(job, before, worker) + rg_server_handed(job, stage, worker);
    uint64_t round = (uint64_t)round_of(job), hops = ring ? 2 * round : 0;
    struct rg_load pushes = {0}, pulls = {0};
    for (int j = s->first_server; j < s->first_server + s->servers; j++) {
        struct rg_load pull = pull_of(job, j), push = push_of(job, j);
        pulls.messages += pull.messages;
        pulls.payload += pull.payload;
        pushes.messages += push.messages;
        pushes.payload += push.payload;
    }
    *out = rg_load_alike(pushes.messages + hops, pushes.payload + round * handed);
    *in = rg_load_alike(pulls.messages + hops, pulls.payload + round * handed);
}

static void add_flow(void *prediction, const struct rg_traffic *flow)
{
    struct rg_prediction *p = prediction;
    rg_predict_flow(p, flow);
    p->values += flow->payload / sizeof(float);
}

/* Busiest processor and port. */
static void add_loads(const struct rg_job *job, const double *nodes, struct rg_prediction *p)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    uint64_t k = (uint64_t)plan->workers, pulled = 0, pushed = 0, numbers = 0;
    uint64_t out_messages = 0, in_messages = 0; /* of the servers */
    double round = (double)round_of(job);
    uint64_t r = (uint64_t)plan->replicas, m = (uint64_t)plan->servers;
    uint64_t acks = (uint64_t)rg_server_chain_acks(plan), said = acks * RG_SERVER_ACK;
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
        p->c_s = fmax(
            p->c_s, rg_board_busy_s(
                        server_board(job, j),
                        rg_load_alike(k * pull.messages + r + acks, k * pull.payload + out + said),
                        rg_load_alike(k * push.messages + r + acks, k * push.payload + in + said)) /
                        round);
    }
    for (int i = 0; i < plan->workers; i++)
        for (int s = 0; s < plan->stages && !as_before(job, i); s++) {
            struct rg_load out, in;
            node_loads(job, s, i, &out, &in);
            p->T_A_s = fmax(p->T_A_s, nodes[i * plan->stages + s]);
            p->c_s = fmax(p->c_s, rg_board_busy_s(rg_server_board_of(job, s, i), out, in) / round);
        }
    p->round = round_of(job);
    p->at_most = plan->warm_up > 0 && plan->workers > 1;
    p->messages = k * (out_messages + in_messages) + (r + acks) * m;
    p->values = k * numbers + r * job->network->parameters;
    p->payload_bytes =
        k * (pulled + pushed) + r * sizeof(float) * job->network->parameters + m * said;
    for (int i = 0; i < plan->workers; i++)
        ring_flows(job, i, add_flow, p);
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
    double *nodes = nodes_s(job);
    add_loads(job, nodes, p);
    p->overlap = !in_step(job);
    if (in_step(job)) {
        predict_in_step(job, nodes, p); /* a node each */
    } else {
        p->iteration_s = out_of_step_s(job, nodes, p);
        p->holds = why_out_of_step(job);
    }
    free(nodes);
    rg_predict_memory(job, p);
}
