/* What every strategy with servers has in common: its nodes, their plan, and their ways through
 * rg_strategy. */
#include "base/check.h"
#include "base/sizes.h"
#include "strategies/server_parts.h"
#include <stdlib.h>
#include <string.h>

/* ---- checking ---- */

int rg_server_check_nodes(const struct rg_job *job, int servers, int stages, struct rg_error *e)
{
    int workers = (job->nodes - servers) / stages, layers = job->network->layer_count;
    if (job->nodes < 2)
        return rg_fail(e, RG_ERR_INVALID,
                       "a parameter server needs 2 nodes or more, a server and a worker");
    if (stages == 1 && workers < 1)
        return rg_fail(e, RG_ERR_INVALID, "servers=\"%d\" of %d nodes leaves no worker: 1 to %d",
                       servers, job->nodes, job->nodes - 1);
    if (stages > layers)
        return rg_fail(e, RG_ERR_INVALID,
                       "replica-stages=\"%d\" is more than the network's %d layers: 1 to %d",
                       stages, layers, layers);
    if (workers < 1 || (job->nodes - servers) % stages != 0)
        return rg_fail(e, RG_ERR_INVALID,
                       "servers=\"%d\" of %d nodes leaves %d for replicas of %d nodes each: %d, or "
                       "a multiple of it, is wanted",
                       servers, job->nodes, RG_MAX(job->nodes - servers, 0), stages, stages);
    if ((size_t)servers > job->network->parameters)
        return rg_fail(e, RG_ERR_INVALID, "servers=\"%d\" is more than the %zu parameters", servers,
                       job->network->parameters);
    if (workers > job->batch)
        return rg_fail(e, RG_ERR_INVALID, "%d workers need a batch of at least %d samples, not %d",
                       workers, workers, job->batch);
    return 0;
}

/* Updates of a run are those that the rate's schedule counts. */
int rg_server_keep_plan(struct rg_job *job, const struct rg_server_plan *plan, struct rg_error *e)
{
    struct rg_server_plan *kept = malloc(sizeof *kept);
    if (!kept)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    *kept = *plan;
    job->plan = kept;
    int err = rg_server_cut(job, kept, e);
    if (err) {
        rg_server_forget(job);
        return err;
    }
    job->optimizer.run = rg_server_updates(job, job->iterations);
    return 0;
}

void rg_server_forget(struct rg_job *job)
{
    struct rg_server_plan *plan = job->plan;
    if (plan)
        free(plan->stage);
    free(plan);
    job->plan = NULL;
}

bool rg_server_feeds(const struct rg_job *job, int rank)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    return rank >= plan->servers && rg_server_stage_of(plan, rank) == 0;
}

int rg_server_sharing(const struct rg_job *job, int *first)
{
    *first = rg_server_plan(job)->servers;
    return rg_server_plan(job)->workers;
}

/* All nodes of a ring make those of its share. */
struct rg_passes rg_server_passes(const struct rg_job *job, int rank)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    if (rank < plan->servers)
        return (struct rg_passes){0};
    int n = rg_job_share(job, plan->workers, rg_server_worker_of(plan, rank));
    return (struct rg_passes){.least = n, .most = n};
}

/* The first of the workers may have begun so many when the last ends one. */
int64_t rg_server_under_way(const struct rg_job *job)
{
    return 1 + rg_server_plan(job)->ahead;
}

/* ---- a node ---- */

static const struct rg_server_kind *kind_of(const struct rg_server_node *node)
{
    if (node->plan->in_step)
        return rg_is_server(node) ? &rg_server_in_step : &rg_worker_in_step;
    return rg_is_server(node) ? &rg_server_out_of_step : &rg_worker_out_of_step;
}

/* The shard of the initial parameters, and those that it has copies of: cut from a whole vector
 * that lives only here. */
static int set_parameters(struct rg_server_node *node, const float *initial)
{
    const float *whole;
    float *drawn;
    if (!node->job->numerics)
        return 0;
    int result = rg_initial_parameters(node->job, initial, &whole, &drawn);
    if (result == 0)
        memcpy(node->parameters, whole + node->shard.first, node->shard.count * sizeof *whole);
    for (int h = 0; h < node->plan->replicas && result == 0; h++) {
        const struct rg_server_copy *copy = &node->copies[h];
        memcpy(copy->parameters, whole + copy->shard.first, copy->shard.count * sizeof *whole);
    }
    free(drawn);
    return result;
}

static int open_server(struct rg_server_node *node, const float *initial)
{
    node->shard = rg_server_shard(node->job, node->w->rank);
    node->parameters =
        rg_twins_alloc_part(&node->twins, node->w, RG_TWIN_PARAMETERS,
                            rg_size_times(node->job->network->parameters, sizeof(float)),
                            sizeof(float) * node->shard.first, sizeof(float) * node->shard.count);
    const struct rg_optimizer optimizer = rg_server_optimizer(node->job);
    int result = node->parameters ? rg_update_open(&node->update, node->w, node->job, &optimizer,
                                                   node->shard.first, node->shard.count, NULL)
                                  : RG_ERR_NOMEM;
    if (result == 0)
        result = rg_server_chain_open(node);
    return result ? result : set_parameters(node, initial);
}

static int open_worker(struct rg_server_node *node)
{
    int worker = rg_server_worker_of(node->plan, node->w->rank);
    int share = rg_job_share(node->job, node->plan->workers, worker);
    if (node->plan->stages > 1)
        return rg_replica_open_stage(&node->replica, node->w, node->job, &node->stage->layers,
                                     share);
    rg_twins_first(&node->twins, RG_TWINS_BEGIN, 1); /* what its servers begin with is in place */
    int result = rg_replica_open(&node->replica, node->w, node->job, share, NULL, &node->twins);
    rg_twins_lend(&node->twins, node->replica.gradient);
    return result;
}

int rg_server_open(struct rg_world *w, const struct rg_job *job, const float *initial, void **state)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    struct rg_server_node *node = calloc(1, sizeof *node);
    *state = node;
    if (!node)
        return RG_ERR_NOMEM;
    *node = (struct rg_server_node){.w = w, .job = job, .plan = plan};
    int stage =
        rg_is_server(node) ? rg_server_stage_at(plan, w->rank) : rg_server_stage_of(plan, w->rank);
    node->stage = &plan->stage[stage];
    node->first_worker = rg_server_rank(plan, stage, 0);
    node->seen.peak_units = !rg_is_server(node);
    node->seen.out_of_step = !plan->in_step;
    int result = plan->in_step && !rg_server_filtered(plan) && plan->replicas == 0
                     ? rg_twins_open(&node->twins, w, job, 0, w->size, w->rank)
                     : 0;
    if (result == 0)
        result = rg_is_server(node) ? open_server(node, initial) : open_worker(node);
    if (result == 0)
        result = rg_server_filters_open(node);
    return result ? result : kind_of(node)->open(node);
}

static void set_done(struct rg_server_node *node, int64_t done)
{
    node->done = node->settled = done;
    for (int h = 0; node->copies && h < node->plan->replicas; h++)
        node->copies[h].done = done;
}

int rg_server_train(void *state, int64_t first, int64_t count)
{
    struct rg_server_node *node = state;
    bool feeds = rg_server_feeds(node->job, node->w->rank);
    set_done(node, first);
    int result = feeds ? rg_feed_epoch(&node->replica.feed, first) : 0;
    if (result == 0)
        result = kind_of(node)->train(node, first, count);
    if (result)
        kind_of(node)->cancel(node);
    return result;
}

int rg_server_parameters(void *state, rg_visit_fn visit, void *arg)
{
    struct rg_server_node *node = state;
    int result = 0;
    for (int j = 0; j < node->plan->servers && result == 0; j++) {
        struct rg_shard shard = rg_server_shard(node->job, j);
        result = rg_stream_parameters(node->w, node->job->network, shard.first, shard.count, j,
                                      node->parameters, visit, arg);
    }
    return result;
}

/* An epoch, or for servers in step an iteration, begins with a pull of all parameters. */
int rg_server_state(void *state, int64_t done, rg_state_fn visit, void *arg)
{
    struct rg_server_node *node = state;
    set_done(node, done);
    if (!rg_is_server(node))
        return rg_server_filters_state(node, visit, arg);
    int result =
        rg_visit_parameters(node->parameters, node->shard.first, node->shard.count, visit, arg);
    if (result == 0)
        result = rg_visit_update(&node->update, false, visit, arg);
    for (int h = 0; h < node->plan->replicas && result == 0; h++) {
        const struct rg_server_copy *copy = &node->copies[h];
        result =
            rg_visit_parameters(copy->parameters, copy->shard.first, copy->shard.count, visit, arg);
        if (result == 0)
            result = rg_visit_update(&copy->update, false, visit, arg);
    }
    return result;
}

uint64_t rg_server_state_floats(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    uint64_t count = job->network->parameters;
    uint64_t kept = rg_server_filtered(plan) ? rg_size_times((uint64_t)plan->workers, count) : 0;
    return rg_size_plus(rg_size_plus(count, rg_optimizer_state(&job->optimizer, count)), kept);
}

uint64_t rg_server_root_floats(const struct rg_job *job)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    size_t count = rg_server_shard(job, 0).count;
    for (int h = 0; h < plan->replicas; h++) /* of the servers before it */
        count += rg_server_shard(job, (plan->servers - 1 - h) % plan->servers).count;
    return rg_trained_floats(job, count);
}

/* Out of step, one begins and ends in step. */
bool rg_server_whole_epochs(const struct rg_job *job)
{
    return !rg_server_plan(job)->in_step;
}

/* What a worker has pulled may be half of one update and half of the next. */
const float *rg_server_held(void *state, int part, size_t *first, size_t *count)
{
    struct rg_server_node *node = state;
    if (!rg_is_server(node) || part > node->plan->replicas)
        return NULL;
    struct rg_shard shard = part == 0 ? node->shard : node->copies[part - 1].shard;
    *first = shard.first;
    *count = shard.count;
    return part == 0 ? node->parameters : node->copies[part - 1].parameters;
}

/* Workers have nothing that servers have not. */
int rg_server_copies(void *state, rg_copy_fn visit, void *arg)
{
    struct rg_server_node *node = state;
    if (!node->job->left_whole || !node->part || !kind_of(node)->copies)
        return 0;
    return kind_of(node)->copies(node, visit, arg);
}

/* Before a step, and after it. */
uint64_t rg_server_copies_floats(const struct rg_job *job, int rank)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    uint64_t floats = 0;
    for (int h = 0; rank < plan->servers && h <= plan->replicas; h++) {
        int server = (rank + plan->servers - h) % plan->servers;
        floats = rg_size_plus(floats, rg_trained_floats(job, rg_server_shard(job, server).count));
    }
    return plan->replicas > 0 ? rg_size_times(2, floats) : floats;
}

void rg_server_observe(void *state, struct rg_observation *o)
{
    struct rg_server_node *node = state;
    *o = node->seen;
}

void rg_server_close(void *state)
{
    struct rg_server_node *node = state;
    if (node->part)
        kind_of(node)->close(node);
    rg_server_filters_close(node);
    rg_server_chain_close(node);
    rg_update_close(&node->update);
    rg_replica_close(&node->replica);
    rg_twins_close(&node->twins);
    free(node);
}
