/* Chain replication (van Renesse, Schneider 2004; Li et al. 2014, section 4.3): the range of a
 * server also lives on the servers behind it, in a ring. Once all gradients of a clock are summed a
 * server passes the sum down its chain. When all sums are where they belong, which all servers tell
 * one another as nodes do at a barrier (dissemination: Hensgen, Finkel, Manber 1988), each takes
 * the optimizer's steps of its own range and its copies' by itself. Only then are the new
 * parameters given out: whatever a worker has seen the effect of, replicas have.
 *
 * In step all servers do that at once, so that it is a ring that goes round: in hop h a server
 * hands on the sum of the range h - 1 before its own and gets that of the one h before.
 *
 * Because no step is taken before all sums are in place, servers that are left after a loss have
 * the state of one clock between them: those that have not taken the step yet have the sums for it,
 * if any has. (Acknowledgements that come back through the chain alone would say nothing of the
 * sums of other ranges, and leave some a clock ahead of others.) */
#include "base/check.h"
#include "base/sizes.h"
#include "strategies/server_parts.h"
#include <math.h>
#include <stdlib.h>

/* The server so many before. */
static int before(const struct rg_job *job, int server, int hops)
{
    int m = rg_server_plan(job)->servers;
    return (server + m - hops) % m;
}

static struct rg_shard shard_before(const struct rg_job *job, int server, int hops)
{
    return rg_server_shard(job, before(job, server, hops));
}

static size_t count_before(const struct rg_job *job, int server, int hops)
{
    return shard_before(job, server, hops).count;
}

/* ---- forms ---- */

int rg_server_chain_acks(const struct rg_server_plan *plan)
{
    int acks = 0;
    for (int hops = 1; hops < plan->servers && plan->replicas > 0; hops *= 2)
        acks++;
    return acks;
}

uint64_t rg_server_chain_memory(const struct rg_job *job, int server)
{
    uint64_t bytes = 0;
    for (int h = 1; h <= rg_server_plan(job)->replicas; h++) {
        uint64_t count = count_before(job, server, h);
        bytes = rg_size_plus(bytes, rg_size_plus(rg_size_times(2 * sizeof(float), count),
                                                 rg_update_memory(job, count)));
    }
    return bytes;
}

/* What a server hands on in a clock, but for acknowledgements; and gets, for `from` of 1 in place
 * of 0. */
uint64_t rg_server_chain_bytes(const struct rg_job *job, int server, int from)
{
    uint64_t bytes = 0;
    for (int h = from; h < from + rg_server_plan(job)->replicas; h++)
        bytes += sizeof(float) * (uint64_t)count_before(job, server, h);
    return bytes;
}

double rg_server_chain_updates_s(const struct rg_job *job, int server)
{
    double seconds = 0;
    for (int h = 1; h <= rg_server_plan(job)->replicas; h++) {
        struct rg_shard shard = shard_before(job, server, h);
        seconds += rg_update_s(job, job->boards[server], shard.first, shard.count);
    }
    return seconds;
}

/* The slowest hop of those that all servers make at once, to the one so many behind. */
static double hop_s(const struct rg_job *job, int hops,
                    uint64_t (*bytes)(const struct rg_job *job, int server, int number), int number)
{
    int m = rg_server_plan(job)->servers;
    double seconds = 0;
    for (int s = 0; s < m; s++)
        seconds = fmax(seconds, rg_board_hop_to_s(job->boards[s], job->boards[(s + hops) % m],
                                                  bytes(job, s, number)));
    return seconds;
}

static uint64_t handed_bytes(const struct rg_job *job, int server, int number)
{
    return sizeof(float) * (uint64_t)count_before(job, server, number);
}

static uint64_t ack_bytes(const struct rg_job *job, int server, int number)
{
    (void)job, (void)server, (void)number;
    return RG_SERVER_ACK;
}

double rg_server_chain_s(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    double seconds = 0, updates = 0;
    for (int h = 1; h <= plan->replicas; h++)
        seconds += hop_s(job, 1, handed_bytes, h - 1);
    for (int a = 0; a < rg_server_chain_acks(plan); a++)
        seconds += hop_s(job, 1 << a, ack_bytes, 0);
    for (int s = 0; s < plan->servers; s++)
        updates = fmax(updates, rg_server_chain_updates_s(job, s));
    return seconds + updates;
}

/* ---- a server ---- */

int rg_server_chain_open(struct rg_server_node *node)
{
    int replicas = node->plan->replicas;
    node->copies = calloc((size_t)replicas + 1, sizeof *node->copies);
    if (!node->copies)
        return RG_ERR_NOMEM;
    for (int h = 1; h <= replicas; h++) {
        struct rg_server_copy *copy = &node->copies[h - 1];
        copy->shard = rg_server_shard(node->job, before(node->job, node->w->rank, h));
        copy->parameters = rg_mem_floats(node->w->mem, copy->shard.count);
        copy->gradient = rg_mem_floats(node->w->mem, copy->shard.count);
        if (!copy->parameters || !copy->gradient)
            return RG_ERR_NOMEM;
        int result = rg_update_open(&copy->update, node->w, node->job, &node->job->optimizer,
                                    copy->shard.first, copy->shard.count, NULL);
        if (result)
            return result;
    }
    return 0;
}

void rg_server_chain_close(struct rg_server_node *node)
{
    for (int h = 0; node->copies && h < node->plan->replicas; h++)
        rg_update_close(&node->copies[h].update);
    free(node->copies);
}

/* A sum that is handed on is as it came: steps, which may clip it, come after. */
static int hand_on(struct rg_server_node *node, const float *gradient)
{
    int m = node->plan->servers, next = (node->w->rank + 1) % m, result = 0;
    size_t count = node->shard.count;
    for (int h = 0; h < node->plan->replicas && result == 0; h++) {
        struct rg_server_copy *copy = &node->copies[h];
        result = rg_sendrecv(node->w, next, gradient, count * sizeof *gradient,
                             before(node->job, node->w->rank, 1), copy->gradient,
                             copy->shard.count * sizeof *copy->gradient, RG_TAG_CHAIN);
        rg_count_values(node->w, next, count);
        gradient = copy->gradient;
        count = copy->shard.count;
    }
    return result;
}

/* Nobody comes out before all have come in. */
static int settle(struct rg_server_node *node, int64_t clock)
{
    int m = node->plan->servers, rank = node->w->rank, result = 0;
    for (int hops = 1; hops < m && result == 0; hops *= 2) {
        int64_t said = clock, heard = -1;
        _Static_assert(sizeof said == RG_SERVER_ACK, "it is what the forms count");
        result = rg_sendrecv(node->w, (rank + hops) % m, &said, sizeof said,
                             before(node->job, rank, hops), &heard, sizeof heard, RG_TAG_ACK);
        if (result == 0 && !node->w->skip_numerics && heard != clock)
            result = RG_ERR_PROTOCOL;
    }
    return result;
}

int rg_server_chain_pass(struct rg_server_node *node, int64_t clock, const float *gradient)
{
    if (node->plan->replicas == 0)
        return 0;
    int result = hand_on(node, gradient);
    if (result)
        return result;
    node->settled = clock + 1;
    return settle(node, clock);
}

int rg_server_chain_step(struct rg_server_node *node, int64_t clock)
{
    int result = 0;
    for (int h = 0; h < node->plan->replicas && result == 0; h++) {
        struct rg_server_copy *copy = &node->copies[h];
        result = rg_update_run(&copy->update, node->w, clock + 1, copy->parameters, copy->gradient);
        if (result == 0)
            copy->done = clock + 1;
    }
    return result;
}

/* ---- after a loss ---- */

static int visit_range(const struct rg_update *update, float *parameters, int64_t done,
                       rg_copy_fn visit, void *arg)
{
    struct rg_copying copying = {done, visit, arg};
    int result =
        rg_visit_parameters(parameters, update->first, update->count, rg_visit_copy, &copying);
    return result ? result : rg_visit_update(update, false, rg_visit_copy, &copying);
}

/* As it is; and after the step that is due. */
static int visit_both(const struct rg_server_node *node, struct rg_update *update, int64_t *done,
                      float *parameters, float *gradient, rg_copy_fn visit, void *arg)
{
    int result = visit_range(update, parameters, *done, visit, arg);
    if (result || *done >= node->settled)
        return result;
    if (node->job->numerics)
        rg_update_finish(update, node->settled, parameters, gradient);
    *done = node->settled;
    return visit_range(update, parameters, *done, visit, arg);
}

int rg_server_chain_visit(struct rg_server_node *node, float *gradient, rg_copy_fn visit, void *arg)
{
    int result =
        visit_both(node, &node->update, &node->done, node->parameters, gradient, visit, arg);
    for (int h = 0; h < node->plan->replicas && result == 0; h++) {
        struct rg_server_copy *copy = &node->copies[h];
        result = visit_both(node, &copy->update, &copy->done, copy->parameters, copy->gradient,
                            visit, arg);
    }
    return result;
}
