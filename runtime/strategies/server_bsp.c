/* A parameter server and its workers in step: bulk synchronous.
 *
 * A server serves one worker at a time, in a fixed order, and reads pushes meanwhile: sending to
 * all at once makes the first worker wait for the last. With several servers the workers come in
 * waves of as many, and within a wave every server begins with another worker, so that no worker's
 * port is asked by two servers at once. Gradients are summed in the order of service, whatever the
 * timing. */
#include "base/check.h"
#include "collectives/collectives.h"
#include "strategies/server_parts.h"
#include <stdlib.h>
#include <string.h>

/* ---- a server ---- */

struct server {
    int *order; /* [workers]: ranks in the order of service */
    float *gradient, *pushed[2];
    struct rg_request out, in[2];
};

static int open_server(struct rg_server_node *node)
{
    struct rg_mem *mem = node->w->mem;
    struct server *server = node->part = calloc(1, sizeof *server);
    if (!server)
        return RG_ERR_NOMEM;
    server->order = calloc((size_t)node->plan->workers, sizeof *server->order);
    server->gradient = rg_mem_floats(mem, node->shard.count);
    uint64_t bytes = rg_server_push_bytes(node->job, node->w->rank);
    server->pushed[0] = rg_mem_alloc(mem, bytes, 0);
    server->pushed[1] = rg_mem_alloc(mem, bytes, 0);
    if (!server->order || !server->gradient || !server->pushed[0] || !server->pushed[1])
        return RG_ERR_NOMEM;
    rg_server_order(node->plan, node->w->rank, server->order);
    for (int t = 0; t < node->plan->workers; t++)
        server->order[t] += node->plan->servers;
    return 0;
}

static void close_server(struct rg_server_node *node)
{
    struct server *server = node->part;
    free(server->order);
    free(server);
}

/* The push of the worker served as number `turn` is received: the first, where no filter has
 * changed it, straight into the gradient, the others, two at a time, into buffers of their own. */
static bool is_gradient(const struct rg_server_node *node, int turn)
{
    return turn == 0 && !rg_server_filtered(node->plan);
}

static int post_push(struct rg_server_node *node, int turn)
{
    struct server *server = node->part;
    if (turn >= node->plan->workers)
        return 0;
    float *to = is_gradient(node, turn) ? server->gradient : server->pushed[turn % 2];
    return rg_server_expect(node, server->order[turn] - node->plan->servers, to,
                            &server->in[turn % 2]);
}

static int take_push(struct rg_server_node *node, int turn)
{
    struct server *server = node->part;
    const struct rg_request *in = &server->in[turn % 2];
    if (in->status)
        return in->status;
    if (is_gradient(node, turn) && rg_twins_share(&node->twins))
        memcpy(server->gradient, rg_server_lent(node, server->order[turn]),
               node->shard.count * sizeof(float));
    int result = is_gradient(node, turn)
                     ? 0
                     : rg_server_take(node, server->order[turn] - node->plan->servers, in,
                                      server->gradient, turn > 0, turn);
    return result ? result : post_push(node, turn + 2);
}

static int serve(struct rg_server_node *node)
{
    struct server *server = node->part;
    int k = node->plan->workers, sent = 0, taken = 0;
    int result = post_push(node, 0);
    if (result == 0)
        result = post_push(node, 1);
    bool sending = false;
    while (result == 0 && (sent < k || sending || taken < k)) {
        if (!sending && sent < k) {
            result = rg_send_floats(node->w, server->order[sent++], RG_TAG_PULL,
                                    rg_server_moved(node, node->parameters), node->shard.count,
                                    &server->out);
            sending = true;
        }
        struct rg_request *list[2] = {taken < k ? &server->in[taken % 2] : NULL,
                                      sending ? &server->out : NULL};
        int which = -1;
        if (result == 0)
            result = rg_wait_any(node->w, list, 2, RG_FOREVER, &which);
        if (result == 0 && which == 0) {
            result = take_push(node, taken++);
        } else if (result == 0) {
            result = server->out.status;
            sending = false;
        }
    }
    return result;
}

static int run_server(struct rg_server_node *node, int64_t first, int64_t count)
{
    struct server *server = node->part;
    int result = 0;
    for (int64_t i = first; i < first + count && result == 0; i++) {
        result = serve(node);
        if (result == 0)
            result = rg_server_chain_pass(node, i, server->gradient);
        if (result == 0)
            result = rg_server_chain_step(node, i);
        if (result == 0)
            result =
                rg_update_run(&node->update, node->w, i + 1, node->parameters, server->gradient);
        if (result)
            break;
        node->done = i + 1;
        result = rg_iteration(node->w, i);
    }
    return result;
}

static void cancel_server(struct rg_server_node *node)
{
    struct server *server = node->part;
    rg_cancel_one(node->w, &server->out);
    rg_cancel_one(node->w, &server->in[0]);
    rg_cancel_one(node->w, &server->in[1]);
}

static int copies_of_server(struct rg_server_node *node, rg_copy_fn visit, void *arg)
{
    struct server *server = node->part;
    return rg_server_chain_visit(node, server->gradient, visit, arg);
}

/* ---- a worker ---- */

struct worker {
    struct rg_request *pulls, *pushes; /* [servers] */
};

static int open_worker(struct rg_server_node *node)
{
    struct worker *worker = node->part = calloc(1, sizeof *worker);
    if (!worker)
        return RG_ERR_NOMEM;
    worker->pulls = calloc((size_t)node->plan->servers, sizeof *worker->pulls);
    worker->pushes = calloc((size_t)node->plan->servers, sizeof *worker->pushes);
    return worker->pulls && worker->pushes ? 0 : RG_ERR_NOMEM;
}

static void close_worker(struct rg_server_node *node)
{
    struct worker *worker = node->part;
    free(worker->pulls);
    free(worker->pushes);
    free(worker);
}

static int post_pulls(struct rg_server_node *node)
{
    struct worker *worker = node->part;
    int result = 0;
    for (int j = 0; j < node->plan->servers && result == 0; j++) {
        struct rg_shard shard = rg_server_shard(node->job, j);
        result = rg_recv(node->w, j, RG_TAG_PULL,
                         rg_server_moved(node, node->replica.parameters + shard.first),
                         shard.count * sizeof(float), &worker->pulls[j]);
    }
    return result;
}

static int wait_servers(struct rg_server_node *node, struct rg_request *requests)
{
    int result = 0;
    for (int j = 0; j < node->plan->servers; j++) {
        int one = rg_wait(node->w, &requests[j]);
        result = result ? result : one;
    }
    return result;
}

/* The pulls of the next iteration are posted before the gradients leave: no server can be early. */
static int work(struct rg_server_node *node, int64_t i, bool more)
{
    struct worker *worker = node->part;
    int result = wait_servers(node, worker->pulls);
    if (result == 0)
        result = rg_server_forward(node, i);
    if (result == 0)
        result = rg_replica_backward(&node->replica, false, -1);
    if (result == 0 && more)
        result = post_pulls(node);
    if (result == 0)
        result = rg_server_push(node, i, node->replica.gradient, worker->pushes);
    if (result == 0)
        result = wait_servers(node, worker->pushes);
    return result ? result : rg_iteration(node->w, i);
}

static int run_worker(struct rg_server_node *node, int64_t first, int64_t count)
{
    int result = post_pulls(node);
    for (int64_t i = first; i < first + count && result == 0; i++)
        result = work(node, i, i + 1 < first + count);
    return result;
}

static void cancel_worker(struct rg_server_node *node)
{
    struct worker *worker = node->part;
    for (int j = 0; j < node->plan->servers; j++) {
        rg_cancel_one(node->w, &worker->pulls[j]);
        rg_cancel_one(node->w, &worker->pushes[j]);
    }
}

const struct rg_server_kind rg_server_in_step = {.open = open_server,
                                                 .train = run_server,
                                                 .cancel = cancel_server,
                                                 .close = close_server,
                                                 .copies = copies_of_server};
const struct rg_server_kind rg_worker_in_step = {
    .open = open_worker, .train = run_worker, .cancel = cancel_worker, .close = close_worker};
