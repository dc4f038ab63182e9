/* ring_allreduce: data parallel training. Every node holds the whole network and computes on its
 * share of the batch; gradients are summed round the ring in a few buckets, each as soon as the
 * backward pass has filled it (Sergeev and Del Balso 2018; Li et al. 2020), by a second strand.
 *
 * With local-steps H (local SGD, Stich 2019) a node cuts its share of a batch in H parts and takes
 * a step of its own with the mean gradient of each; then the parameters are averaged, weighted by
 * samples. The optimizer's state stays with the node: it is neither averaged nor begun anew. */
#include "base/check.h"
#include "base/sizes.h"
#include "strategies/allreduce_parts.h"
#include <stdlib.h>

enum { BUCKETS, OVERLAP, SHARES, ALGORITHM, GROUP, LOCAL_STEPS, SHARD, COMPRESS, KEEP };

static const struct rg_param params[] = {
    [BUCKETS] = {"buckets", RG_PARAM_COUNT, "4", 1, 1e6, NULL,
                 "pieces of the gradient, of whole layers, each summed as soon as it is ready"},
    [OVERLAP] = {"overlap", RG_PARAM_CHOICE, "yes", 0, 0, "yes|no",
                 "no: the sums begin when the backward pass is done"},
    [SHARES] = RG_SHARES_PARAM,
    [ALGORITHM] =
        {"algorithm", RG_PARAM_CHOICE, "ring", 0, 0,
         "ring|tree|halving-doubling|hierarchical|doubling",
         "how gradients are summed. ring: fewest bytes; tree: fewest messages; halving-\n"
         "doubling: bytes of the ring in fewer steps; hierarchical: rings in groups, then\n"
         "across them: as many bytes in fewer steps; doubling: fewest steps, for small ones",
         .later = true},
    [GROUP] = {"group", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
               "hierarchical: nodes of a group (neighbours by rank), such as those of one switch;\n"
               "it divides the nodes; auto: as close to their root as it gets from below",
               .later = true},
    [LOCAL_STEPS] = {"local-steps", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                     "steps that a node takes by itself in an iteration, each on as large a part\n"
                     "of its share of the batch; then the parameters are averaged, not gradients",
                     .later = true},
    [SHARD] = {"shard", RG_PARAM_COUNT, "0", 0, 3, NULL,
               "ZeRO. 1: a node has the optimizer's state of its part alone, updates that and\n"
               "gathers the rest; 2: nor does it keep the gradient of other parts; 3: nor their\n"
               "parameters, which are gathered before the forward and the backward pass",
               .later = true},
    [COMPRESS] =
        {"compress", RG_PARAM_CHOICE, "none", 0, 0, "none|float16|int8|top-k",
         "gradients in fewer bytes; what a message leaves out is added to the next one's:\n"
         "2 bytes a number, 1 byte, or the largest numbers with their places",
         .later = true},
    [KEEP] = {"keep", RG_PARAM_COUNT, "auto", 1, 1000, NULL,
              "top-k: numbers of a thousand that are sent; auto: 10", .later = true},
    {0}};

/* Where bucket b ends, n of them: the first layer, from the end, at which the buckets so far hold
 * their part; at least a layer each, and at least one left for every bucket to come. */
static int bucket_cut(const struct rg_job *job, int n, int b, int above)
{
    size_t total = job->network->parameters;
    int l = above - 1;
    while (l > n - b && total - rg_network_offset(job->network, l) < total / (size_t)n * (size_t)b)
        l--;
    return b == n ? 0 : RG_MAX(l, n - b);
}

static int check_steps(const struct rg_job *job, struct rg_error *e)
{
    long steps = job->values[LOCAL_STEPS].number;
    for (int rank = 0; rank < job->nodes; rank++) {
        int samples = rg_job_share(job, job->nodes, rank);
        if (samples < steps)
            return rg_fail(e, RG_ERR_INVALID,
                           "local-steps=\"%ld\" needs as many samples of a batch on every node; "
                           "rank %d has %d: at most so many steps, or a larger batch",
                           steps, rank, samples);
    }
    return 0;
}

/* The names' order is that of enum rg_algorithm_kind. */
static int check_algorithm(struct rg_job *job, struct rg_algorithm *how, struct rg_error *e)
{
    struct rg_value *group = &job->values[GROUP];
    int n = job->nodes, inner = (int)group->number;
    how->kind = (enum rg_algorithm_kind)job->values[ALGORITHM].number;
    if (how->kind != RG_HIERARCHICAL && !group->automatic && !job->settled)
        return rg_fail(e, RG_ERR_INVALID,
                       "group=\"%d\" is for algorithm=\"hierarchical\", not for the others", inner);
    if (how->kind != RG_HIERARCHICAL)
        return 0;
    if (group->automatic) {
        inner = 1;
        for (int d = 2; d <= n / d; d++)
            inner = n % d == 0 ? d : inner;
    }
    if (n % inner)
        return rg_fail(e, RG_ERR_INVALID, "group=\"%d\" does not divide %d nodes", inner, n);
    how->inner = inner;
    group->number = inner;
    return 0;
}

static int check_shard(const struct rg_job *job, struct rg_error *e)
{
    long shard = job->values[SHARD].number;
    if (shard > 0 && job->values[ALGORITHM].number != RG_RING)
        return rg_fail(e, RG_ERR_INVALID,
                       "shard=\"%ld\" is for algorithm=\"ring\", whose nodes end with a chunk each",
                       shard);
    if (shard > 0 && job->values[LOCAL_STEPS].number > 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "shard=\"%ld\" is for local-steps=\"1\": a node that takes steps by itself "
                       "needs the optimizer's state of all parameters",
                       shard);
    if (shard > 0 && job->optimizer.clip > 0 && job->nodes > 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "shard=\"%ld\" is for training without clip: no node has a layer's whole "
                       "gradient",
                       shard);
    return 0;
}

/* The names' order is that of enum rg_codec_kind. */
static int check_compress(struct rg_job *job, struct rg_codec *codec, struct rg_error *e)
{
    struct rg_value *keep = &job->values[KEEP];
    const char *name = job->values[COMPRESS].text;
    codec->kind = (enum rg_codec_kind)job->values[COMPRESS].number;
    if (codec->kind != RG_CODE_TOP && !keep->automatic && !job->settled)
        return rg_fail(e, RG_ERR_INVALID, "keep=\"%ld\" is for compress=\"top-k\"", keep->number);
    if (keep->automatic)
        keep->number = 10;
    codec->keep = (int)keep->number;
    if (codec->kind == RG_CODE_NONE)
        return 0;
    if (job->values[ALGORITHM].number != RG_RING)
        return rg_fail(e, RG_ERR_INVALID,
                       "compress=\"%s\" is for algorithm=\"ring\", where all pass on what one node "
                       "has coded",
                       name);
    if (job->values[SHARD].number > 0 || job->values[LOCAL_STEPS].number > 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "compress=\"%s\" is of gradients that all nodes sum in every step: for "
                       "shard=\"0\" and local-steps=\"1\"",
                       name);
    return 0;
}

static int check(struct rg_job *job, struct rg_error *e)
{
    if (job->nodes > job->batch)
        return rg_fail(e, RG_ERR_INVALID, "%d nodes need a batch of at least %d samples, not %d",
                       job->nodes, job->nodes, job->batch);
    int err = rg_shares_check(job, &job->values[SHARES], 0, job->nodes, e);
    if (err == 0)
        err = check_steps(job, e);
    struct rg_algorithm how = {0};
    if (err == 0)
        err = check_algorithm(job, &how, e);
    struct rg_codec codec = {0};
    if (err == 0)
        err = check_shard(job, e);
    if (err == 0)
        err = check_compress(job, &codec, e);
    if (err)
        return err;
    int buckets = (int)RG_MIN(job->values[BUCKETS].number, job->network->layer_count);
    struct rg_reduce_plan *plan = calloc(1, sizeof *plan);
    job->plan = plan;
    if (plan)
        plan->cut = calloc((size_t)buckets + 1, sizeof *plan->cut);
    if (!plan || !plan->cut)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    plan->buckets = buckets;
    plan->cut[0] = job->network->layer_count;
    for (int b = 1; b <= buckets; b++)
        plan->cut[b] = bucket_cut(job, buckets, b, plan->cut[b - 1]);
    plan->how = how;
    plan->codec = codec;
    plan->steps = (int)job->values[LOCAL_STEPS].number;
    job->optimizer.run = job->iterations * plan->steps;
    plan->shard = (int)job->values[SHARD].number;
    plan->overlap = job->values[OVERLAP].number == 0 && plan->steps == 1 && job->nodes > 1;
    job->left_whole =
        job->nodes > 1 && plan->shard == 0 && plan->steps == 1 && codec.kind == RG_CODE_NONE;
    rg_reduce_weigh_replicas(job);
    return 0;
}

static void forget(struct rg_job *job)
{
    struct rg_reduce_plan *plan = job->plan;
    if (plan)
        free(plan->cut);
    free(plan);
    job->plan = NULL;
}

static int sharing(const struct rg_job *job, int *first)
{
    *first = 0;
    return job->nodes;
}

static struct rg_passes passes(const struct rg_job *job, int rank)
{
    int steps = rg_reduce_plan(job)->steps;
    return (struct rg_passes){.least = rg_local_samples(job, rank, steps - 1),
                              .most = rg_local_samples(job, rank, 0)};
}

static void observe(void *state, struct rg_observation *o)
{
    (void)state;
    *o = (struct rg_observation){.peak_units = 1};
}

const struct rg_strategy rg_strategy_ring_allreduce = {
    .name = "ring_allreduce",
    .summary = "every node holds the network; gradients are summed, round a ring or otherwise",
    .params = params,
    .min_nodes = 1,
    .check = check,
    .forget = forget,
    .memory = rg_reduce_node_memory,
    .predict = rg_reduce_predict,
    .flows = rg_reduce_flows,
    .sharing = sharing,
    .passes = passes,
    .open = rg_reduce_open_node,
    .train = rg_reduce_train,
    .parameters = rg_reduce_parameters,
    .state = rg_reduce_state,
    .state_floats = rg_reduce_state_floats,
    .root_floats = rg_reduce_root_floats,
    .held = rg_reduce_held,
    .copies = rg_reduce_copies,
    .observe = observe,
    .close = rg_reduce_close_node,
};
