/* A parameter server whose workers are out of step.
 *
 * It answers one worker at a time, as a bulk-synchronous one does, and adds up pushes as they come
 * in. Among those that wait it takes the smallest (clock, rank) first: by rank alone the first
 * workers would have all its time and the last ones none. An ask of clock c is answered when
 *   - the pushes of that worker that left before the ask are in the parameters' sums, so that one
 *     worker alone reads all that it wrote;
 *   - clock c is no more than `ahead` clocks after those that all workers have ended;
 *   - the clocks that the first worker has for itself are over, or it is that one.
 * What is sent is a copy, so that updates need not wait for a slow port.
 *
 * Where a clock of all is an update, its pushes are summed apart from those of other clocks. The
 * order of their addition is that of arrival: no digest is claimed. But the order of answers and
 * pushes can be written down, and a server that follows such an order does the same to the bit. */
#include "base/check.h"
#include "collectives/collectives.h"
#include "strategies/server_parts.h"
#include <stdlib.h>
#include <string.h>

/* Of a clock, at its number modulo the clocks in flight. */
struct ask {
    int64_t clock; /* as it came in */
    int64_t read;  /* updates that were in what was sent */
    struct rg_request in;
};

/* What a server knows of a worker: clocks below these. */
struct link {
    int64_t asked, answered, done;
    struct ask *asks; /* [in_flight] */
    float *pushed;    /* as it came in */
    struct rg_request push_in;
};

struct server {
    struct link *links; /* [workers] */
    int *order;         /* [workers]: by (clocks done, rank) */
    int *ready;         /* those whose next ask may be answered, by (its clock, rank) */
    int ready_count;
    struct rg_request **list; /* what is waited for: the answer, asks by rank, pushes in order */
    float **sums;             /* [ahead + 1]: of the clocks under way; async: none */
    int *added;               /* [ahead + 1]: pushes in them */
    float *heard;             /* async, with filters: what a push says */
    float *out;               /* what is sent */
    int64_t out_updates;      /* that are in it; -1: nothing is */
    int64_t version;          /* sent before it */
    bool answering;
    struct rg_request version_out, shard_out;
    int64_t complete;      /* clocks that all workers have ended */
    int64_t updates;       /* steps of the optimizer */
    int64_t end, asks_end; /* of the epoch; where training stops, of that */
    int64_t to_answer;     /* asks before that */
    bool stopped;
    struct rg_order written; /* what it does */
    const char *orders;      /* what it is to do next; NULL: what comes */
};

static int open_links(struct rg_server_node *node, struct server *server)
{
    for (int k = 0; k < node->plan->workers; k++) {
        struct link *link = &server->links[k];
        link->asks = calloc((size_t)node->plan->in_flight, sizeof *link->asks);
        link->pushed =
            rg_mem_alloc(node->w->mem, rg_server_push_bytes(node->job, node->w->rank), 0);
        server->order[k] = k;
        if (!link->asks || !link->pushed)
            return RG_ERR_NOMEM;
    }
    return 0;
}

static int open_server(struct rg_server_node *node)
{
    size_t k = (size_t)node->plan->workers, clocks = (size_t)rg_server_clocks(node->plan);
    struct server *server = node->part = calloc(1, sizeof *server);
    if (!server)
        return RG_ERR_NOMEM;
    server->links = calloc(k, sizeof *server->links);
    server->order = calloc(k, sizeof *server->order);
    server->ready = calloc(k, sizeof *server->ready);
    server->list = calloc(1 + 2 * k, sizeof(struct rg_request *));
    server->sums = calloc(clocks + 1, sizeof(float *));
    server->added = calloc(clocks + 1, sizeof *server->added);
    server->out = rg_mem_floats(node->w->mem, node->shard.count);
    server->out_updates = -1;
    if (!server->links || !server->order || !server->ready || !server->list || !server->sums ||
        !server->added || !server->out)
        return RG_ERR_NOMEM;
    bool hears = node->plan->consistency == RG_ASYNC && rg_server_filtered(node->plan);
    if (hears && !(server->heard = rg_mem_floats(node->w->mem, node->shard.count)))
        return RG_ERR_NOMEM;
    for (size_t i = 0; i < clocks; i++)
        if (!(server->sums[i] = rg_mem_floats(node->w->mem, node->shard.count)))
            return RG_ERR_NOMEM;
    if (node->job->orders)
        server->orders = node->job->orders[node->w->rank];
    int result = node->job->records
                     ? rg_order_open(&server->written, node->w->mem, rg_server_events(node->plan),
                                     2 * node->job->iterations * node->plan->workers)
                     : 0;
    node->seen.order = server->written.text;
    return result ? result : open_links(node, server);
}

static void close_server(struct rg_server_node *node)
{
    struct server *server = node->part;
    for (int k = 0; server->links && k < node->plan->workers; k++)
        free(server->links[k].asks);
    free(server->links);
    free(server->order);
    free(server->ready);
    free(server->list);
    free(server->sums);
    free(server->added);
    free(server);
}

/* ---- receives ---- */

static struct ask *ask_of(const struct rg_server_node *node, const struct link *link, int64_t clock)
{
    return &link->asks[clock % node->plan->in_flight];
}

static int post_ask(struct rg_server_node *node, int k, int64_t clock)
{
    struct server *server = node->part;
    struct ask *ask = ask_of(node, &server->links[k], clock);
    return clock < server->asks_end ? rg_recv(node->w, node->first_worker + k, RG_TAG_ASK,
                                              &ask->clock, sizeof ask->clock, &ask->in)
                                    : 0;
}

/* The next one is waited for. */
static void list_ask(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    struct link *link = &server->links[k];
    bool more = link->asked < server->asks_end;
    server->list[1 + k] = more ? &ask_of(node, link, link->asked)->in : NULL;
}

static int post_push(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    struct link *link = &server->links[k];
    return link->done < server->end ? rg_server_expect(node, k, link->pushed, &link->push_in) : 0;
}

/* ---- who is next ---- */

static bool before(int64_t clock, int rank, int64_t other_clock, int other)
{
    return clock < other_clock || (clock == other_clock && rank < other);
}

/* The worker at `place` of the order has ended a clock: behind those that are now before it. */
static void reorder(struct rg_server_node *node, int place)
{
    struct server *server = node->part;
    const struct link *links = server->links;
    int k = server->order[place], workers = node->plan->workers;
    for (; place + 1 < workers; place++) {
        int other = server->order[place + 1];
        if (before(links[k].done, k, links[other].done, other))
            break;
        server->order[place] = other;
    }
    server->order[place] = k;
}

static void list_pushes(struct rg_server_node *node)
{
    struct server *server = node->part;
    struct rg_request **list = server->list + 1 + node->plan->workers;
    for (int i = 0; i < node->plan->workers; i++) {
        struct link *link = &server->links[server->order[i]];
        list[i] = link->done < server->end ? &link->push_in : NULL;
    }
}

/* Have all pushes come that left before its next ask? */
static bool has_pushed(const struct rg_server_node *node, const struct link *link)
{
    int64_t begun = link->answered - node->plan->in_flight + 1;
    return link->done >= rg_server_pushed_before(node->job, begun);
}

/* Among the ready, if its next ask is there and its pushes before that are too. */
static void admit(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    const struct link *links = server->links, *link = &links[k];
    if (link->answered == link->asked || !has_pushed(node, link) || server->orders)
        return;
    int i = server->ready_count++;
    for (; i > 0; i--) {
        int other = server->ready[i - 1];
        RG_ASSERT(other != k);
        if (before(links[other].answered, other, link->answered, k))
            break;
        server->ready[i] = other;
    }
    server->ready[i] = k;
}

/* ---- answers ---- */

static void copy(void *arg)
{
    struct rg_server_node *node = arg;
    struct server *server = node->part;
    memcpy(server->out, node->parameters, node->shard.count * sizeof *server->out);
}

static int answer(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    int to = node->first_worker + k, result = 0;
    struct link *link = &server->links[k];
    int64_t clock = link->answered;
    link->answered = rg_server_after_read(node->job, clock);
    RG_ASSERT(server->stopped || clock - server->complete <= node->plan->ahead);
    server->to_answer--;
    rg_order_note(&server->written, rg_server_answer_of(k));
    admit(node, k);
    if (server->out_updates != server->updates) {
        struct rg_cost cost = rg_copy_cost(node->shard.count);
        const struct rg_work work = {.cost = &cost, .count = 1};
        result = rg_compute(node->w, &work, "copy", (int)server->updates, copy, node);
        server->out_updates = server->updates;
    }
    ask_of(node, link, clock)->read = server->updates;
    server->version = server->complete;
    server->answering = true;
    if (result == 0)
        result = rg_send(node->w, to, RG_TAG_VERSION, &server->version, sizeof server->version,
                         &server->version_out);
    if (result == 0)
        result = rg_send_floats(node->w, to, RG_TAG_PULL, server->out, node->shard.count,
                                &server->shard_out);
    server->list[0] = &server->shard_out;
    return result;
}

static int answer_first(struct rg_server_node *node)
{
    struct server *server = node->part;
    int k = server->ready[0];
    memmove(server->ready, server->ready + 1, (size_t)--server->ready_count * sizeof(int));
    return answer(node, k);
}

static bool may_answer(const struct rg_server_node *node)
{
    const struct server *server = node->part;
    if (server->answering || server->ready_count == 0)
        return false;
    int k = server->ready[0];
    int64_t clock = server->links[k].answered;
    bool warm = k == 0 || server->complete >= node->plan->warm_up;
    return server->stopped || (warm && clock - server->complete <= node->plan->ahead);
}

static int answered(struct rg_server_node *node)
{
    struct server *server = node->part;
    server->answering = false;
    server->list[0] = NULL;
    int result = rg_wait(node->w, &server->version_out);
    return result ? result : server->shard_out.status;
}

static int take_ask(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    struct link *link = &server->links[k];
    const struct ask *ask = ask_of(node, link, link->asked);
    if (ask->in.status)
        return ask->in.status;
    if (ask->clock != link->asked)
        return RG_ERR_PROTOCOL;
    bool waiting = link->answered < link->asked;
    link->asked = rg_server_after_read(node->job, link->asked);
    if (!waiting)
        admit(node, k);
    int result = post_ask(node, k, link->asked - 1 + node->plan->in_flight);
    list_ask(node, k);
    return result;
}

/* ---- pushes ---- */

static void note_staleness(struct rg_server_node *node, int64_t updates)
{
    struct rg_observation *seen = &node->seen;
    RG_ASSERT(updates >= 0);
    seen->staleness = RG_MAX(seen->staleness, updates);
    seen->staleness_sum += (double)updates;
    seen->gradients++;
}

/* The first of a clock is its sum so far. */
static int add_push(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    struct link *link = &server->links[k];
    int64_t slot = link->done % rg_server_clocks(node->plan);
    bool first = server->added[slot]++ == 0;
    if (!first || rg_server_filtered(node->plan))
        return rg_server_take(node, k, &link->push_in, server->sums[slot], !first, (int)link->done);
    float *sum = link->pushed;
    link->pushed = server->sums[slot];
    server->sums[slot] = sum;
    return 0;
}

/* A push by itself is an update. */
static int update_by(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    struct link *link = &server->links[k];
    int result = server->heard ? rg_server_take(node, k, &link->push_in, server->heard, false,
                                                (int)link->done)
                               : 0;
    return result ? result
                  : rg_update_run(&node->update, node->w, ++server->updates, node->parameters,
                                  server->heard ? server->heard : link->pushed);
}

static int take_push(struct rg_server_node *node, int place)
{
    struct server *server = node->part;
    int k = server->order[place], result;
    struct link *link = &server->links[k];
    int64_t clock = link->done, read = ask_of(node, link, clock)->read;
    if (link->push_in.status)
        return link->push_in.status;
    rg_order_note(&server->written, rg_server_push_of(k));
    if (node->plan->consistency == RG_ASYNC) {
        note_staleness(node, server->updates - read);
        result = update_by(node, k);
    } else {
        note_staleness(node, clock - read);
        result = add_push(node, k);
    }
    bool waiting = link->answered < link->asked && !has_pushed(node, link);
    link->done = rg_server_after_push(node->job, link->done);
    reorder(node, place);
    if (waiting)
        admit(node, k);
    if (result == 0)
        result = post_push(node, k);
    list_pushes(node);
    return result;
}

/* Training ends with the clocks that are complete: nothing more is pushed, and what has been asked
 * for ahead is answered, since it is waited for, in whatever order. */
static void stop(struct rg_server_node *node)
{
    struct server *server = node->part;
    server->stopped = true;
    server->asks_end = RG_MIN(server->complete - 1 + node->plan->in_flight, server->end);
    server->end = server->complete;
    server->to_answer = 0;
    bool followed = server->orders;
    server->orders = NULL;
    for (int k = 0; k < node->plan->workers; k++) {
        struct link *link = &server->links[k];
        server->to_answer +=
            rg_server_times(node->job, node->plan->fetch_every, link->answered, server->asks_end);
        rg_cancel_one(node->w, &link->push_in);
        for (int64_t c = server->asks_end; c < server->asks_end + node->plan->in_flight; c++)
            rg_cancel_one(node->w, &ask_of(node, link, c)->in);
        server->order[k] = k; /* all have ended the same clocks */
        link->done = server->end;
        list_ask(node, k);
        if (followed)
            admit(node, k);
    }
    list_pushes(node);
}

/* Clocks that the last worker has ended: 1 where training stops. */
static int complete(struct rg_server_node *node)
{
    struct server *server = node->part;
    int result = 0;
    while (result == 0 && server->links[server->order[0]].done > server->complete) {
        if (node->plan->consistency != RG_ASYNC) {
            int64_t slot = server->complete % rg_server_clocks(node->plan);
            RG_ASSERT(server->added[slot] == node->plan->workers);
            server->added[slot] = 0;
            result = rg_update_run(&node->update, node->w, ++server->updates, node->parameters,
                                   server->sums[slot]);
        }
        server->complete++;
        if (result == 0)
            result = rg_iteration(node->w, server->complete - 1);
        if (result == 1)
            stop(node);
    }
    return result;
}

/* ---- an epoch ---- */

static int begin(struct rg_server_node *node, int64_t first, int64_t count)
{
    struct server *server = node->part;
    int workers = node->plan->workers, result = 0;
    server->complete = first;
    server->updates = rg_server_updates(node->job, first);
    server->end = server->asks_end = first + count;
    server->to_answer = 0;
    server->stopped = false;
    for (int k = 0; k < workers && result == 0; k++) {
        struct link *link = &server->links[k];
        RG_ASSERT(server->order[k] == k);
        int64_t begin = rg_server_begin(node->plan, k, first, server->end);
        link->asked = link->answered = link->done = begin;
        server->to_answer +=
            rg_server_times(node->job, node->plan->fetch_every, begin, server->end);
        for (int64_t c = begin; c < begin + node->plan->in_flight && result == 0; c++)
            result = post_ask(node, k, c);
        list_ask(node, k);
        if (result == 0)
            result = post_push(node, k);
    }
    list_pushes(node);
    return result;
}

static int serve_next(struct rg_server_node *node)
{
    struct server *server = node->part;
    int workers = node->plan->workers, which = -1;
    if (may_answer(node))
        return answer_first(node);
    int result = rg_wait_any(node->w, server->list, 1 + 2 * workers, RG_FOREVER, &which);
    if (result)
        return result;
    if (which == 0)
        return answered(node);
    if (which <= workers)
        return take_ask(node, which - 1);
    result = take_push(node, which - 1 - workers);
    return result ? result : complete(node);
}

static int wait_for(struct rg_server_node *node, struct rg_request *request)
{
    struct rg_request *list[1] = {request};
    int which;
    return rg_wait_any(node->w, list, 1, RG_FOREVER, &which);
}

/* The same for what a worker sends of that clock. 1: it does not, as all know by now that they stop
 * after an earlier one; who was ahead of the others when the order was written is not so any more.
 */
static int wait_to_clock(struct rg_server_node *node, struct rg_request *request, int64_t clock)
{
    struct rg_request *list[1] = {request};
    int which;
    int64_t last;
    int result = rg_wait_any_or_stop(node->w, list, 1, &which, &last);
    return result == 1 && clock < last ? wait_for(node, request) : result;
}

/* What is asked for in clock c is the parameters of as many clocks later as are in flight, less
 * one.
 */
static int follow_answer(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    struct link *link = &server->links[k];
    int result = server->answering ? wait_for(node, &server->shard_out) : 0;
    if (result == 0 && server->answering)
        result = answered(node);
    while (result == 0 && link->asked == link->answered) {
        result = wait_to_clock(node, &ask_of(node, link, link->asked)->in,
                               link->asked - node->plan->in_flight + 1);
        if (result == 0)
            result = take_ask(node, k);
    }
    return result ? RG_MIN(result, 0) : answer(node, k);
}

static int follow_push(struct rg_server_node *node, int k)
{
    struct server *server = node->part;
    struct link *link = &server->links[k];
    int place = 0, result = wait_to_clock(node, &link->push_in, link->done);
    if (result)
        return RG_MIN(result, 0);
    while (server->order[place] != k)
        place++;
    result = take_push(node, place);
    return result ? result : complete(node);
}

/* The next that stands in its order; behind the last of the epoch an answer may be on its way. */
static int follow_next(struct rg_server_node *node)
{
    struct server *server = node->part;
    if (server->complete == server->end) {
        int result = wait_for(node, &server->shard_out);
        return result ? result : answered(node);
    }
    int limit = rg_server_events(node->plan);
    int event = rg_order_next(&server->orders, rg_order_digits(limit), limit);
    RG_ASSERT(event >= 0); /* it was checked */
    int k = event / 2;
    return event == rg_server_push_of(k) ? follow_push(node, k) : follow_answer(node, k);
}

static int run_server(struct rg_server_node *node, int64_t first, int64_t count)
{
    struct server *server = node->part;
    int result = begin(node, first, count), ended = 0;
    while (result == 0 &&
           (server->complete < server->end || server->to_answer > 0 || server->answering)) {
        result = server->orders ? follow_next(node) : serve_next(node);
        ended |= result == 1;
        result = result == 1 ? 0 : result;
    }
    return result ? result : ended;
}

static void cancel_server(struct rg_server_node *node)
{
    struct server *server = node->part;
    rg_cancel_one(node->w, &server->version_out);
    rg_cancel_one(node->w, &server->shard_out);
    for (int k = 0; k < node->plan->workers; k++) {
        for (int c = 0; c < node->plan->in_flight; c++)
            rg_cancel_one(node->w, &server->links[k].asks[c].in);
        rg_cancel_one(node->w, &server->links[k].push_in);
    }
}

const struct rg_server_kind rg_server_out_of_step = {
    .open = open_server, .train = run_server, .cancel = cancel_server, .close = close_server};
