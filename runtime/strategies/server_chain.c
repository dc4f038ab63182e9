/* Chain replication (van Renesse, Schneider 2004; Li et al. 2014, section 4.3): the range of a
 * server also lives on the servers behind it, in a ring. Once all gradients of a clock are summed a
 * server passes the sum down its chain; each replica takes the optimizer's step by itself, and the
 * last one's acknowledgement comes back through the chain. Only then are the new parameters given
 * out: whatever a worker has seen the effect of, replicas have.
 *
 * In step all servers do that at once, so that it is a ring that goes round: in hop h a server
 * hands on the sum of the range h - 1 before its own and gets that of the one h before. */
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

/* Hops are as long as the slowest. */
double rg_server_chain_s(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    double seconds = 0, updates = 0, ack = 0;
    for (int h = 1; h <= plan->replicas; h++) {
        double hop = 0;
        for (int s = 0; s < plan->servers; s++) {
            const struct rg_board *from = job->boards[s],
                                  *to = job->boards[(s + 1) % plan->servers];
            uint64_t bytes = sizeof(float) * (uint64_t)count_before(job, s, h - 1);
            hop = fmax(hop, rg_board_hop_to_s(from, to, bytes));
            ack = fmax(ack, rg_board_hop_to_s(to, from, RG_SERVER_ACK));
            updates = fmax(updates, rg_server_chain_updates_s(job, s));
        }
        seconds += hop;
    }
    return seconds + updates + plan->replicas * ack;
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

int rg_server_chain_pass(struct rg_server_node *node, int64_t clock, const float *gradient)
{
    int m = node->plan->servers, next = (node->w->rank + 1) % m;
    int result = hand_on(node, gradient);
    for (int h = 0; h < node->plan->replicas && result == 0; h++) {
        struct rg_server_copy *copy = &node->copies[h];
        result = rg_update_run(&copy->update, node->w, clock + 1, copy->parameters, copy->gradient);
    }
    for (int h = 0; h < node->plan->replicas && result == 0; h++) {
        int64_t said = clock, heard = -1;
        _Static_assert(sizeof said == RG_SERVER_ACK, "it is what the forms count");
        result = rg_sendrecv(node->w, before(node->job, node->w->rank, 1), &said, sizeof said, next,
                             &heard, sizeof heard, RG_TAG_ACK);
        if (result == 0 && !node->w->skip_numerics && heard != clock)
            result = RG_ERR_PROTOCOL;
    }
    return result;
}
