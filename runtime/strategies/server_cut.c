/* Where the layers of workers of several nodes are cut, and which servers have the parameters of
 * which stage. */
#include "base/check.h"
#include "strategies/server_parts.h"
#include <stdlib.h>

/* Layers from `from` on that a stage of at most so many parameters takes, but as many are left as
 * there are stages behind it; one at least. */
static int reach(const struct rg_network *network, int from, int behind, size_t most)
{
    int to = from + 1;
    while (to < network->layer_count - behind && rg_network_range(network, from, to + 1) <= most)
        to++;
    return to;
}

/* The largest stage's parameters, where none takes more than `most` unless it has one layer or is
 * the last. */
static size_t largest(const struct rg_network *network, int stages, size_t most, int *cut)
{
    size_t parameters = 0;
    cut[0] = 0;
    for (int s = 0; s < stages; s++) {
        bool last = s + 1 == stages;
        cut[s + 1] = last ? network->layer_count : reach(network, cut[s], stages - 1 - s, most);
        parameters = RG_MAX(parameters, rg_network_range(network, cut[s], cut[s + 1]));
    }
    return parameters;
}

/* So that the largest stage has as few parameters as can be: bisection, as more room never makes it
 * larger than that room. */
static void cut_layers(const struct rg_network *network, int stages, int *cut)
{
    size_t low = 0, high = network->parameters; /* the latter is enough */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (largest(network, stages, middle, cut) <= middle)
            high = middle;
        else
            low = middle + 1;
    }
    largest(network, stages, high, cut);
}

/* The stage, of those that have servers, whose shards are largest. */
static struct rg_server_stage *fullest(const struct rg_server_plan *plan)
{
    struct rg_server_stage *most = plan->stage;
    for (int s = 1; s < plan->stages; s++) {
        struct rg_server_stage *stage = &plan->stage[s];
        if (most->servers == 0 || (uint64_t)stage->parameters * (uint64_t)most->servers >
                                      (uint64_t)most->parameters * (uint64_t)stage->servers)
            most = stage;
    }
    return most;
}

/* One for each stage that has parameters, the others one after the other to where a shard is
 * largest. */
static int share_servers(struct rg_server_plan *plan, struct rg_error *e)
{
    int left = plan->servers, wanted = 0;
    for (int s = 0; s < plan->stages; s++)
        wanted += plan->stage[s].servers = plan->stage[s].parameters > 0;
    if (wanted > left)
        return rg_fail(
            e, RG_ERR_INVALID,
            "servers=\"%d\": a stage of a replica talks to servers of its own layers: %d "
            "and more are allowed",
            left, wanted);
    for (left -= wanted; left > 0; left--)
        fullest(plan)->servers++;
    for (int s = 1; s < plan->stages; s++)
        plan->stage[s].first_server = plan->stage[s - 1].first_server + plan->stage[s - 1].servers;
    return 0;
}

int rg_server_cut(const struct rg_job *job, struct rg_server_plan *plan, struct rg_error *e)
{
    const struct rg_network *network = job->network;
    int *cut = calloc((size_t)plan->stages + 1, sizeof *cut);
    plan->stage = calloc((size_t)plan->stages, sizeof *plan->stage);
    if (!cut || !plan->stage) {
        free(cut);
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    }
    cut_layers(network, plan->stages, cut);
    for (int s = 0; s < plan->stages; s++)
        plan->stage[s] =
            (struct rg_server_stage){.layers = {network, cut[s], cut[s + 1]},
                                     .first = rg_network_offset(network, cut[s]),
                                     .parameters = rg_network_range(network, cut[s], cut[s + 1])};
    free(cut);
    return share_servers(plan, e);
}
