/* parameter_server: the first ranks are servers that hold the parameters in shards, the others are
 * workers that pull them, compute gradients on their share of the batch and push them (Li et al.
 * 2014). Bulk synchronous.
 *
 * A server serves one worker at a time, in a fixed order, and reads pushes meanwhile: sending to
 * all at once makes the first worker wait for the last. With several servers the workers come in
 * waves of as many, and within a wave every server begins with another worker, so that no worker's
 * port is asked by two servers at once. Gradients are summed in the order of service, whatever the
 * timing. */
#include "base/check.h"
#include "collectives/collectives.h"
#include "strategies/replica.h"
#include "strategies/shares.h"
#include <math.h>
#include <stdlib.h>

enum { CONSISTENCY, SERVERS, SHARES };

static const struct rg_param params[] = {
    [CONSISTENCY] = {"consistency", RG_PARAM_CHOICE, "bsp", 0, 0, "bsp",
                     "bsp: an update waits for the gradients of all workers"},
    [SERVERS] = {"servers", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                 "nodes that hold the parameters, a shard each; the others are workers"},
    [SHARES] = RG_SHARES_PARAM,
    {0}};

enum { TAG_PULL = RG_TAG_USER, TAG_PUSH };

static int servers(const struct rg_job *job)
{
    return (int)job->values[SERVERS].number;
}

static int workers(const struct rg_job *job)
{
    return job->nodes - servers(job);
}

struct shard {
    size_t first, count;
};

static struct shard shard_of(const struct rg_job *job, int server)
{
    size_t total = job->network->parameters, m = (size_t)servers(job), j = (size_t)server;
    size_t each = total / m, more = total % m;
    return (struct shard){each * j + RG_MIN(j, more), each + (j < more)};
}

static int check(struct rg_job *job, struct rg_error *e)
{
    if (job->nodes < 2)
        return rg_fail(e, RG_ERR_INVALID,
                       "a parameter server needs 2 nodes or more, a server and a worker");
    if (servers(job) >= job->nodes)
        return rg_fail(e, RG_ERR_INVALID, "servers=\"%d\" of %d nodes leaves no worker: 1 to %d",
                       servers(job), job->nodes, job->nodes - 1);
    if ((size_t)servers(job) > job->network->parameters)
        return rg_fail(e, RG_ERR_INVALID, "servers=\"%d\" is more than the %zu parameters",
                       servers(job), job->network->parameters);
    if (workers(job) > job->batch)
        return rg_fail(e, RG_ERR_INVALID, "%d workers need a batch of at least %d samples, not %d",
                       workers(job), workers(job), job->batch);
    return rg_shares_check(job, &job->values[SHARES], servers(job), workers(job), e);
}

/* ---- closed forms ---- */

static bool feeds(const struct rg_job *job, int rank)
{
    return rank >= servers(job);
}

static uint64_t memory(const struct rg_job *job, int rank)
{
    if (rank >= servers(job))
        return rg_replica_memory(job, rg_job_share(job, workers(job), rank - servers(job)));
    size_t count = shard_of(job, rank).count;
    return 4 * sizeof(float) * (uint64_t)count + rg_update_memory(job, count);
}

static double worker_s(const struct rg_job *job, int worker)
{
    const struct rg_board *board = job->boards[servers(job) + worker];
    int n = rg_job_share(job, workers(job), worker);
    double seconds = rg_replica_forward_s(job, board, n);
    for (int l = 0; l < job->network->layer_count; l++)
        seconds += rg_replica_backward_s(job, board, n, l);
    return seconds;
}

/* Of all workers; the caller frees. Neighbours mostly have the same board and share. */
static double *workers_s(const struct rg_job *job)
{
    int k = workers(job);
    double *seconds = calloc((size_t)k, sizeof *seconds);
    RG_ASSERT(seconds);
    for (int i = 0; i < k; i++) {
        const struct rg_board *const *board = &job->boards[servers(job) + i];
        bool alike = i > 0 && board[0] == board[-1] &&
                     rg_job_share(job, k, i) == rg_job_share(job, k, i - 1);
        seconds[i] = alike ? seconds[i - 1] : worker_s(job, i);
    }
    return seconds;
}

/* The workers (0 ..) in the order in which a server serves them: in waves of at least as many as
 * there are servers, each server beginning a wave with another worker, so that no two serve the
 * same one at a time. */
static void order_of_service(int servers, int workers, int server, int *order)
{
    int waves = RG_MAX(workers / servers, 1), n = 0;
    for (int wave = 0; wave < waves; wave++) {
        int first = rg_share_first(workers, waves, wave), size = rg_share(workers, waves, wave);
        for (int t = 0; t < size; t++)
            order[n++] = first + (server + t) % size;
    }
    RG_ASSERT(n == workers);
}

/* A shard from a server to a worker. */
static double pull_s(const struct rg_job *job, int server, int worker)
{
    uint64_t bytes = sizeof(float) * shard_of(job, server).count;
    return rg_board_hop_to_s(job->boards[server], job->boards[servers(job) + worker], bytes);
}

/* All shards in one direction of a worker's port. */
static double worker_port_s(const struct rg_job *job, int worker)
{
    return rg_board_port_s(job->boards[servers(job) + worker], (uint64_t)servers(job),
                           sizeof(float) * (uint64_t)job->network->parameters);
}

/* When each worker has its parameters (pulls go out one after the other). Returns the last date. */
static double add_pulls(const struct rg_job *job, int server, const int *order, double *ready)
{
    double date = 0;
    for (int t = 0; t < workers(job); t++) {
        date += pull_s(job, server, order[t]);
        ready[order[t]] = fmax(ready[order[t]], date);
    }
    return date;
}

/* A gradient on its way into its server's port. */
struct push {
    double start;      /* its first byte may leave; INFINITY: not before a receive is posted */
    double soonest;    /* neither it nor any served later starts before this */
    double left, rate; /* bytes to come, so many a second at most */
    double share;      /* of the port at this moment, bytes/s */
    double core_s;     /* that a core moves its bytes, from the start on */
    double late_s;     /* from its last byte's leaving to its delivery */
    double arrived;
};

struct pushes {
    const struct rg_board *server;
    struct push *push; /* [count], in the order of service */
    int count, taken;
    int posted; /* those before have a receive that waits for them, or need none */
    double now;
};

/* Ready dates are of workers; a gradient of more than the eager limit waits for its receive. */
static void open_pushes(struct pushes *p, const struct rg_job *job, int server, const int *order,
                        const double *ready)
{
    const struct rg_board *to = p->server = job->boards[server];
    uint64_t bytes = sizeof(float) * (uint64_t)shard_of(job, server).count;
    bool waits = bytes > RG_EAGER_LIMIT;
    p->count = workers(job);
    p->posted = waits ? RG_MIN(2, p->count) : p->count;
    double soonest = INFINITY;
    for (int t = p->count - 1; t >= 0; t--) {
        const struct rg_board *from = job->boards[servers(job) + order[t]];
        double start = ready[order[t]] + from->message_s;
        soonest = fmin(soonest, start);
        p->push[t] = (struct push){.start = t < p->posted ? start : INFINITY,
                                   .soonest = waits ? 0 : soonest,
                                   .left = rg_board_wire_bytes(from, 1, bytes),
                                   .rate = rg_board_rate_to(from, to),
                                   .core_s = fmax(from->byte_s, to->byte_s) *
                                             (double)(bytes + RG_MESSAGE_HEADER),
                                   .late_s = (from->latency_s + to->latency_s) / 2 + to->message_s};
    }
}

static bool is_passing(const struct pushes *p, const struct push *push)
{
    return push->left > 0 && push->start <= p->now;
}

/* The port's rate among those that are passing: alike, but to none more than its own port gives. */
static void share_port(struct pushes *p, int end)
{
    double rate = rg_board_receiving_rate(p->server);
    int open = 0, before = -1;
    for (int t = p->taken; t < end; t++) {
        p->push[t].share = 0;
        open += is_passing(p, &p->push[t]);
    }
    while (open != before && open > 0) {
        double each = rate / open;
        before = open;
        for (int t = p->taken; t < end; t++) {
            struct push *push = &p->push[t];
            if (!is_passing(p, push) || push->share > 0 || push->rate > each)
                continue;
            push->share = push->rate;
            rate -= push->rate;
            open--;
        }
    }
    for (int t = p->taken; t < end; t++)
        if (is_passing(p, &p->push[t]) && p->push[t].share == 0)
            p->push[t].share = rate / open;
}

/* To the next date at which one has passed or another starts. */
static void pass(struct pushes *p)
{
    double next = INFINITY;
    int end = p->taken;
    while (end < p->posted && p->push[end].soonest <= p->now)
        end++;
    share_port(p, end);
    if (end < p->posted)
        next = p->push[end].soonest;
    for (int t = p->taken; t < end; t++) {
        const struct push *push = &p->push[t];
        if (push->left > 0)
            next = fmin(next, push->share > 0 ? p->now + push->left / push->share : push->start);
    }
    for (int t = p->taken; t < end; t++) {
        struct push *push = &p->push[t];
        if (push->share > 0 && p->now + push->left / push->share <= next) {
            push->left = 0;
            push->arrived = fmax(next, push->start + push->core_s) + push->late_s;
        } else {
            push->left -= push->share * (next - p->now);
        }
    }
    p->now = next;
}

/* When a server has taken and added up the pushes, in its order, and has updated its shard. */
static double served_s(const struct rg_job *job, int server, const int *order, const double *ready)
{
    size_t count = shard_of(job, server).count;
    double add = rg_add_s(job->boards[server], job->threads, count), added = 0;
    struct pushes p = {.push = calloc((size_t)workers(job), sizeof *p.push)};
    RG_ASSERT(p.push);
    open_pushes(&p, job, server, order, ready);
    while (p.taken < p.count) {
        struct push *push = &p.push[p.taken];
        if (push->left > 0) {
            pass(&p);
            continue;
        }
        added = fmax(added, push->arrived) + (p.taken++ > 0 ? add : 0);
        if (p.posted < p.count) {
            int worker = order[p.posted];
            p.push[p.posted++].start =
                fmax(ready[worker], added) + job->boards[servers(job) + worker]->message_s;
        }
    }
    free(p.push);
    return added + rg_update_s(job, job->boards[server], count);
}

/* Seconds of an iteration, and of the time in which pulls and pushes are both on their way. */
struct dates {
    double end, overlap;
};

/* One iteration's dates, server by server, from the moment all are ready to send. Where several
 * servers meet at a worker, because there are more of them or some boards are slower, its port is
 * what they wait for: no sooner than that has taken in and sent everything is it done. */
static struct dates iteration(const struct rg_job *job, const double *compute)
{
    int m = servers(job), k = RG_MAX(workers(job), 1);
    int *order = calloc((size_t)k, sizeof *order);
    double *ready = calloc((size_t)k, sizeof *ready);
    double pulled = 0, pushing = INFINITY, pushed = 0, end = 0;
    RG_ASSERT(order && ready);
    for (int j = 0; j < m; j++) {
        order_of_service(m, k, j, order);
        pulled = fmax(pulled, add_pulls(job, j, order, ready));
    }
    for (int i = 0; i < k; i++) {
        ready[i] = fmax(ready[i], worker_port_s(job, i)) + compute[i];
        pushing = fmin(pushing, ready[i]);
        pushed = fmax(pushed, ready[i] + worker_port_s(job, i));
    }
    for (int j = 0; j < m; j++) {
        order_of_service(m, k, j, order);
        end = fmax(end, served_s(job, j, order, ready));
        end = fmax(end, pushed + rg_update_s(job, job->boards[j], shard_of(job, j).count));
    }
    free(order);
    free(ready);
    return (struct dates){.end = end, .overlap = pulled - pushing};
}

static bool shares_directions(const struct rg_job *job)
{
    bool any = false;
    for (int rank = 0; rank < job->nodes; rank++)
        any = any || job->boards[rank]->port_bus_rate > 0 || job->boards[rank]->shared_medium;
    return any;
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    int m = servers(job), k = workers(job);
    size_t bytes = sizeof(float) * shard_of(job, 0).count;
    double *compute = workers_s(job);
    for (int j = 0; j < m; j++) {
        const struct rg_board *board = job->boards[j];
        size_t count = shard_of(job, j).count;
        double adds = (k - 1) * rg_add_s(board, job->threads, count);
        p->T_A_s = fmax(p->T_A_s, adds + rg_update_s(job, board, count));
        p->c_s = fmax(p->c_s, rg_board_both_ways_s(board, (uint64_t)k, (uint64_t)k * bytes));
    }
    for (int i = 0; i < k; i++) {
        p->T_A_s = fmax(p->T_A_s, compute[i]);
        p->c_s =
            fmax(p->c_s, rg_board_both_ways_s(job->boards[m + i], (uint64_t)m,
                                              sizeof(float) * (uint64_t)job->network->parameters));
    }
    p->overlap = false;
    struct dates dates = iteration(job, compute);
    free(compute);
    p->iteration_s = dates.end;
    p->told = m == 1;
    if (k % m != 0)
        p->holds = "several servers meet at a worker";
    else if (dates.overlap > 0.05 * dates.end && shares_directions(job))
        p->holds = "pulls and pushes slow one another";
    p->messages = 2 * (uint64_t)k * (uint64_t)m;
    p->values = 2 * (uint64_t)k * job->network->parameters;
    p->payload_bytes = sizeof(float) * p->values;
    rg_predict_memory(job, p);
}

static int sharing(const struct rg_job *job, int *first)
{
    *first = servers(job);
    return workers(job);
}

static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    int m = servers(job);
    for (int j = 0; j < m; j++) {
        uint64_t bytes = sizeof(float) * (uint64_t)shard_of(job, j).count;
        for (int rank = m; rank < job->nodes; rank++) {
            flow(arg, &(struct rg_traffic){j, rank, 1, bytes});
            flow(arg, &(struct rg_traffic){rank, j, 1, bytes});
        }
    }
}

/* ---- running ---- */

struct node {
    struct rg_world *w;
    const struct rg_job *job;
    /* server */
    struct shard shard;
    int *order; /* [workers]: ranks in the order of service */
    float *parameters, *gradient, *pushed[2];
    struct rg_update update;
    struct rg_request out, in[2];
    /* worker */
    struct rg_replica replica;
    struct rg_request *pulls, *pushes; /* [servers] */
};

static bool is_server(const struct node *node)
{
    return node->w->rank < servers(node->job);
}

static void close_node(void *state)
{
    struct node *node = state;
    free(node->order);
    free(node->pulls);
    free(node->pushes);
    rg_update_close(&node->update);
    rg_replica_close(&node->replica);
    free(node);
}

/* The shard of the initial parameters: cut from a whole vector that lives only here. */
static int set_parameters(struct node *node, const float *initial)
{
    const struct rg_network *network = node->job->network;
    if (!node->job->numerics)
        return 0;
    float *whole = NULL;
    if (!initial) {
        initial = whole = calloc(network->parameters, sizeof *whole);
        int result = whole
                         ? rg_network_init(network, 0, network->layer_count, node->job->seed, whole)
                         : RG_ERR_NOMEM;
        if (result) {
            free(whole);
            return result;
        }
    }
    for (size_t i = 0; i < node->shard.count; i++)
        node->parameters[i] = initial[node->shard.first + i];
    free(whole);
    return 0;
}

static int open_server(struct node *node, const float *initial)
{
    struct rg_mem *mem = node->w->mem;
    node->shard = shard_of(node->job, node->w->rank);
    node->order = calloc((size_t)workers(node->job), sizeof *node->order);
    node->parameters = rg_mem_floats(mem, node->shard.count);
    node->gradient = rg_mem_floats(mem, node->shard.count);
    node->pushed[0] = rg_mem_floats(mem, node->shard.count);
    node->pushed[1] = rg_mem_floats(mem, node->shard.count);
    if (!node->order || !node->parameters || !node->gradient || !node->pushed[0] ||
        !node->pushed[1])
        return RG_ERR_NOMEM;
    order_of_service(servers(node->job), workers(node->job), node->w->rank, node->order);
    for (int t = 0; t < workers(node->job); t++)
        node->order[t] += servers(node->job);
    int result = rg_update_open(&node->update, node->w, node->job, &node->job->optimizer,
                                node->shard.first, node->shard.count);
    return result ? result : set_parameters(node, initial);
}

static int open_worker(struct node *node)
{
    int share = rg_job_share(node->job, workers(node->job), node->w->rank - servers(node->job));
    node->pulls = calloc((size_t)servers(node->job), sizeof *node->pulls);
    node->pushes = calloc((size_t)servers(node->job), sizeof *node->pushes);
    if (!node->pulls || !node->pushes)
        return RG_ERR_NOMEM;
    return rg_replica_open(&node->replica, node->w, node->job, share, NULL);
}

static int open_node(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    struct node *node = calloc(1, sizeof *node);
    *state = node;
    if (!node)
        return RG_ERR_NOMEM;
    node->w = w;
    node->job = job;
    return is_server(node) ? open_server(node, initial) : open_worker(node);
}

/* The push of the worker served as number `turn` is received: the first straight into the gradient,
 * the others, two at a time, into buffers of their own. */
static int post_push(struct node *node, int turn)
{
    if (turn >= workers(node->job))
        return 0;
    float *to = turn == 0 ? node->gradient : node->pushed[turn % 2];
    return rg_recv(node->w, node->order[turn], TAG_PUSH, to, node->shard.count * sizeof *to,
                   &node->in[turn % 2]);
}

static int take_push(struct node *node, int turn)
{
    if (node->in[turn % 2].status)
        return node->in[turn % 2].status;
    int result = turn == 0 ? 0
                           : rg_add(node->w, node->gradient, node->pushed[turn % 2],
                                    node->shard.count, turn);
    return result ? result : post_push(node, turn + 2);
}

static int serve(struct node *node)
{
    int k = workers(node->job), sent = 0, taken = 0;
    int result = post_push(node, 0);
    if (result == 0)
        result = post_push(node, 1);
    bool sending = false;
    while (result == 0 && (sent < k || sending || taken < k)) {
        if (!sending && sent < k) {
            result = rg_send_floats(node->w, node->order[sent++], TAG_PULL, node->parameters,
                                    node->shard.count, &node->out);
            sending = true;
        }
        struct rg_request *list[2] = {taken < k ? &node->in[taken % 2] : NULL,
                                      sending ? &node->out : NULL};
        int which = -1;
        if (result == 0)
            result = rg_wait_any(node->w, list, 2, RG_FOREVER, &which);
        if (result == 0 && which == 0) {
            result = take_push(node, taken++);
        } else if (result == 0) {
            result = node->out.status;
            sending = false;
        }
    }
    return result;
}

static int serve_iteration(struct node *node, int64_t i)
{
    int result = serve(node);
    if (result == 0)
        result = rg_update_run(&node->update, node->w, i + 1, node->parameters, node->gradient);
    return result ? result : rg_iteration(node->w, i);
}

static int post_pulls(struct node *node)
{
    int result = 0;
    for (int j = 0; j < servers(node->job) && result == 0; j++) {
        struct shard shard = shard_of(node->job, j);
        result = rg_recv(node->w, j, TAG_PULL, node->replica.parameters + shard.first,
                         shard.count * sizeof(float), &node->pulls[j]);
    }
    return result;
}

static int wait_servers(struct node *node, struct rg_request *requests)
{
    int result = 0;
    for (int j = 0; j < servers(node->job); j++) {
        int one = rg_wait(node->w, &requests[j]);
        result = result ? result : one;
    }
    return result;
}

/* The pulls of the next iteration are posted before the gradients leave: no server can be early. */
static int work_iteration(struct node *node, int64_t i, bool more)
{
    int worker = node->w->rank - servers(node->job), k = workers(node->job);
    int result = wait_servers(node, node->pulls);
    if (result == 0)
        result = rg_replica_forward(&node->replica, i, rg_job_share_first(node->job, k, worker),
                                    rg_job_share(node->job, k, worker), -1);
    if (result == 0)
        result = rg_replica_backward(&node->replica, false, -1);
    if (result == 0 && more)
        result = post_pulls(node);
    for (int j = 0; j < servers(node->job) && result == 0; j++) {
        struct shard shard = shard_of(node->job, j);
        result = rg_send_floats(node->w, j, TAG_PUSH, node->replica.gradient + shard.first,
                                shard.count, &node->pushes[j]);
    }
    if (result == 0)
        result = wait_servers(node, node->pushes);
    return result ? result : rg_iteration(node->w, i);
}

static void cancel_all(struct node *node)
{
    for (int j = 0; node->pulls && j < servers(node->job); j++) {
        if (node->pulls[j].owner)
            rg_cancel(node->w, &node->pulls[j]);
        if (node->pushes[j].owner)
            rg_cancel(node->w, &node->pushes[j]);
    }
    if (node->out.owner)
        rg_cancel(node->w, &node->out);
    for (int i = 0; i < 2; i++)
        if (node->in[i].owner)
            rg_cancel(node->w, &node->in[i]);
}

static int train(void *state, int64_t first, int64_t count)
{
    struct node *node = state;
    int result = 0;
    if (!is_server(node)) {
        result = rg_feed_epoch(&node->replica.feed, first);
        if (result == 0)
            result = post_pulls(node);
    }
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = is_server(node) ? serve_iteration(node, i)
                                 : work_iteration(node, i, i + 1 < first + count);
    if (result)
        cancel_all(node);
    return result;
}

static int parameters(void *state, rg_visit_fn visit, void *arg)
{
    struct node *node = state;
    int result = 0;
    for (int j = 0; j < servers(node->job) && result == 0; j++) {
        struct shard shard = shard_of(node->job, j);
        result = rg_stream_parameters(node->w, node->job->network, shard.first, shard.count, j,
                                      node->parameters, visit, arg);
    }
    return result;
}

/* What a worker has pulled may be half of one update and half of the next. */
static const float *held(void *state, int part, size_t *first, size_t *count)
{
    struct node *node = state;
    *first = node->shard.first;
    *count = node->shard.count;
    return is_server(node) && part == 0 ? node->parameters : NULL;
}

static void observe(void *state, struct rg_observation *o)
{
    struct node *node = state;
    *o = (struct rg_observation){.peak_units = !is_server(node)};
}

const struct rg_strategy rg_strategy_parameter_server = {
    .name = "parameter_server",
    .summary = "servers hold the parameters in shards, workers pull them and push gradients",
    .params = params,
    .min_nodes = 2,
    .check = check,
    .feeds = feeds,
    .memory = memory,
    .predict = predict,
    .flows = flows,
    .sharing = sharing,
    .open = open_node,
    .train = train,
    .parameters = parameters,
    .held = held,
    .observe = observe,
    .close = close_node,
};
