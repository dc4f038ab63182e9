/* Pushes of a parameter server: as they are, or through filters (collectives/filter.h). A worker
 * keeps back what its filters do not let pass, and adds it to what it pushes later; its gradient
 * becomes what servers hear of it, so that whatever else is made of that (own writes) is made of
 * the same numbers. */
#include "base/check.h"
#include "base/random.h"
#include "base/sizes.h"
#include "collectives/collectives.h"
#include "strategies/server_parts.h"
#include <stdlib.h>

static const struct rg_filters *filters_of(const struct rg_job *job)
{
    return &rg_server_plan(job)->filters;
}

static size_t count_of(const struct rg_job *job, int server)
{
    return rg_server_shard(job, server).count;
}

/* ---- forms ---- */

uint64_t rg_server_push_bytes(const struct rg_job *job, int server)
{
    return rg_server_filtered(rg_server_plan(job))
               ? rg_filters_bytes(filters_of(job), count_of(job, server))
               : sizeof(float) * (uint64_t)count_of(job, server);
}

size_t rg_server_push_numbers(const struct rg_job *job, int server)
{
    return rg_server_filtered(rg_server_plan(job))
               ? rg_filters_numbers(filters_of(job), count_of(job, server))
               : count_of(job, server);
}

/* What is kept back, the places of a message or two, its numbers, and the messages that leave. The
 * first shard is the largest; with keys each has places of its own. */
uint64_t rg_server_out_memory(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    if (!rg_server_filtered(plan))
        return 0;
    uint64_t parameters = job->network->parameters, most = count_of(job, 0), messages = 0;
    uint64_t places = plan->filters.keys ? 2 * parameters : most;
    for (int j = 0; j < plan->servers; j++)
        messages = rg_size_plus(messages, rg_server_push_bytes(job, j));
    return rg_size_plus(rg_size_times(sizeof(float), parameters + places + most),
                        rg_size_times((uint64_t)rg_server_gradients(plan), messages));
}

uint64_t rg_server_in_memory(const struct rg_job *job, int server)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    uint64_t count = count_of(job, server);
    if (!rg_server_filtered(plan) || !plan->filters.chooses)
        return 0;
    uint64_t places = plan->filters.keys ? (uint64_t)plan->workers : 1;
    return rg_size_times(sizeof(float), rg_size_times(1 + places, count));
}

static double seconds(const struct rg_job *job, const struct rg_board *board, struct rg_cost cost)
{
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(board, &work, job->threads);
}

double rg_server_say_s(const struct rg_job *job, int server, const struct rg_board *board)
{
    return rg_server_filtered(rg_server_plan(job))
               ? seconds(job, board, rg_filter_say_cost(filters_of(job), count_of(job, server)))
               : 0;
}

double rg_server_take_s(const struct rg_job *job, int server, bool first)
{
    const struct rg_board *board = job->boards[server];
    size_t count = count_of(job, server);
    if (rg_server_filtered(rg_server_plan(job)))
        return seconds(job, board, rg_filter_hear_cost(filters_of(job), count, !first));
    return first ? 0 : rg_add_s(board, job->threads, count);
}

/* ---- a worker ---- */

static int open_out(struct rg_server_node *node)
{
    const struct rg_server_plan *plan = node->plan;
    struct rg_mem *mem = node->w->mem;
    size_t most = count_of(node->job, 0);
    int servers = plan->servers, gradients = rg_server_gradients(plan);
    float *values = rg_mem_floats(mem, most);
    uint32_t *places = plan->filters.keys ? NULL : rg_mem_alloc(mem, sizeof *places * most, 0);
    node->out = calloc((size_t)servers, sizeof *node->out);
    node->messages = calloc((size_t)gradients * (size_t)servers, sizeof *node->messages);
    bool whole = values && (places || plan->filters.keys) && node->out && node->messages;
    for (int j = 0; j < servers && whole; j++) {
        struct rg_shard shard = rg_server_shard(node->job, j);
        struct rg_filter_out *out = &node->out[j];
        *out = (struct rg_filter_out){.filters = &plan->filters,
                                      .first = shard.first,
                                      .count = shard.count,
                                      .kept = rg_mem_floats(mem, shard.count),
                                      .places = places,
                                      .values = values,
                                      .before_count = SIZE_MAX};
        if (plan->filters.keys) {
            out->places = rg_mem_alloc(mem, sizeof *places * shard.count, 0);
            out->before = rg_mem_alloc(mem, sizeof *places * shard.count, 0);
        }
        whole = out->kept && out->places && (out->before || !plan->filters.keys);
    }
    for (int i = 0; i < gradients * servers && whole; i++) {
        node->messages[i] = rg_mem_alloc(mem, rg_server_push_bytes(node->job, i % servers), 0);
        whole = node->messages[i] != NULL;
    }
    return whole ? 0 : RG_ERR_NOMEM;
}

struct saying {
    struct rg_filter_out *out;
    float *numbers;
    const float *parameters;
    uint64_t dice;
    void *to;
    size_t bytes, said;
};

static void say(void *arg)
{
    struct saying *s = arg;
    s->bytes = rg_filter_say(s->out, s->numbers, s->parameters, s->dice, s->to, &s->said);
}

/* Where numbers are not computed the longest message stands for all. */
static int push_filtered(struct rg_server_node *node, int64_t clock, int j, float *gradient,
                         struct rg_request *request)
{
    const struct rg_server_plan *plan = node->plan;
    struct rg_filter_out *out = &node->out[j];
    int64_t slot = clock % rg_server_gradients(plan);
    out->to_all = (double)node->replica.mean_of / node->replica.now->n;
    uint64_t stream = (uint64_t)node->w->rank << 40 | (uint64_t)clock;
    struct saying s = {.out = out,
                       .numbers = gradient + out->first,
                       .parameters = node->replica.parameters + out->first,
                       .dice = rg_mix64(node->job->seed + rg_mix64(stream)),
                       .to = node->messages[slot * plan->servers + j],
                       .bytes = (size_t)rg_server_push_bytes(node->job, j),
                       .said = rg_server_push_numbers(node->job, j)};
    struct rg_cost cost = rg_filter_say_cost(&plan->filters, out->count);
    const struct rg_work work = {.cost = &cost, .count = 1};
    int result = rg_compute(node->w, &work, "filter", (int)clock, say, &s);
    if (result == 0)
        result = rg_send(node->w, j, RG_TAG_PUSH, s.to, s.bytes, request);
    if (result == 0)
        rg_count_values(node->w, j, s.said);
    node->seen.numbers += (int64_t)out->count;
    node->seen.said += (int64_t)s.said;
    node->seen.said_bytes += (int64_t)s.bytes;
    return result;
}

int rg_server_push(struct rg_server_node *node, int64_t clock, float *gradient,
                   struct rg_request *requests)
{
    int result = 0;
    for (int i = 0; i < node->stage->servers && result == 0; i++) {
        int j = node->stage->first_server + i;
        float *part = gradient + rg_server_place(node, j);
        result = rg_server_filtered(node->plan)
                     ? push_filtered(node, clock, j, gradient, &requests[i])
                     : rg_send_floats(node->w, j, RG_TAG_PUSH, rg_server_moved(node, part),
                                      rg_server_shard(node->job, j).count, &requests[i]);
    }
    return result;
}

/* ---- a server ---- */

static int open_in(struct rg_server_node *node)
{
    const struct rg_server_plan *plan = node->plan;
    struct rg_mem *mem = node->w->mem;
    size_t count = node->shard.count;
    node->in = calloc((size_t)plan->workers, sizeof *node->in);
    if (!node->in)
        return RG_ERR_NOMEM;
    float *values = plan->filters.chooses ? rg_mem_floats(mem, count) : NULL;
    for (int k = 0; k < plan->workers; k++) {
        struct rg_filter_in *in = &node->in[k];
        *in = (struct rg_filter_in){.filters = &plan->filters, .count = count, .values = values};
        if (!plan->filters.chooses)
            continue;
        in->places = k == 0 || plan->filters.keys ? rg_mem_alloc(mem, sizeof(uint32_t) * count, 0)
                                                  : node->in[0].places;
        if (!values || !in->places)
            return RG_ERR_NOMEM;
    }
    return 0;
}

int rg_server_expect(struct rg_server_node *node, int worker, void *to, struct rg_request *request)
{
    int from = node->first_worker + worker;
    size_t bytes = (size_t)rg_server_push_bytes(node->job, node->w->rank);
    return rg_server_filtered(node->plan)
               ? rg_recv_upto(node->w, from, RG_TAG_PUSH, to, bytes, request)
               : rg_recv(node->w, from, RG_TAG_PUSH, rg_server_moved(node, to), bytes, request);
}

struct hearing {
    struct rg_filter_in *in;
    const struct rg_request *from;
    float *to;
    bool add, good;
};

static void hear(void *arg)
{
    struct hearing *h = arg;
    h->good = rg_filter_hear(h->in, h->from->buffer, h->from->bytes, h->to, h->add);
}

int rg_server_take(struct rg_server_node *node, int worker, const struct rg_request *in, float *to,
                   bool add, int unit)
{
    if (!rg_server_filtered(node->plan)) {
        RG_ASSERT(add);
        const float *from = rg_twins_share(&node->twins)
                                ? rg_server_lent(node, node->first_worker + worker)
                                : in->buffer;
        return rg_add(node->w, &node->adder, to, from, node->shard.count, unit);
    }
    struct hearing h = {&node->in[worker], in, to, add, true};
    struct rg_cost cost = rg_filter_hear_cost(&node->plan->filters, node->shard.count, add);
    const struct rg_work work = {.cost = &cost, .count = 1};
    int result = rg_compute(node->w, &work, "hear", unit, hear, &h);
    return result || h.good ? result : RG_ERR_PROTOCOL;
}

/* ---- both ---- */

int rg_server_filters_open(struct rg_server_node *node)
{
    node->seen.filtered = rg_server_filtered(node->plan);
    if (!node->seen.filtered)
        return 0;
    return rg_is_server(node) ? open_in(node) : open_out(node);
}

int rg_server_filters_state(struct rg_server_node *node, rg_state_fn visit, void *arg)
{
    int result = 0;
    for (int j = 0; node->out && j < node->plan->servers && result == 0; j++)
        result = visit(arg, &(struct rg_state_array){.name = "kept",
                                                     .first = node->out[j].first,
                                                     .count = node->out[j].count,
                                                     .own = true,
                                                     .values = node->out[j].kept});
    return result;
}

void rg_server_filters_close(struct rg_server_node *node)
{
    free(node->out);
    free(node->messages);
    free(node->in);
}
