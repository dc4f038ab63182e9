/* ring_pipeline (RingTMP): the layers split in consecutive stages round a ring. Rank 0 holds the
 * first stage, the data and the labels; activations go forward, the last stage's output closes the
 * ring to rank 0, which computes the loss; gradients go back. Only neighbours talk.
 *
 * In which order, and what that takes, is a schedule's affair: see schedule.h. */
#include "base/check.h"
#include "strategies/ring.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEDULE,
    MICRO_BATCHES,
    DEPTH,
    IN_FLIGHT,
    WEIGHTS,
    RECOMPUTE,
    DRAIN,
    STAGES,
    CHUNKS,
    REPLICAS,
    PARTITION,
    OVERLAP,
    BACKUP
};

/* As they stand in the choices of WEIGHTS. */
enum { WEIGHTS_AUTO, WEIGHTS_STASH, WEIGHTS_CURRENT };

/* In those of RECOMPUTE. */
enum { RECOMPUTE_AUTO, RECOMPUTE_NO, RECOMPUTE_YES };

/* And in those of DRAIN. */
enum { DRAIN_AUTO, DRAIN_EPOCH, DRAIN_NEVER };

/* "|a|b", and a line each on what it does. */
static const char schedule_names[] =
#define RG_SCHEDULE(id, name, help) "|" name
#include "strategies/schedules.def"
#undef RG_SCHEDULE
    ;
static const char schedule_help[] = "order of the micro-batches"
#define RG_SCHEDULE(id, name, help) "\n  " name ": " help
#include "strategies/schedules.def"
#undef RG_SCHEDULE
    ;

#define FIT      "fit"
#define SMALLEST "auto"

static const struct rg_param params[] = {
    [SCHEDULE] = {"schedule", RG_PARAM_CHOICE, "1f1b", 0, 0, schedule_names + 1, schedule_help},
    [MICRO_BATCHES] = {"micro-batches", RG_PARAM_COUNT, "auto", 1, 1e6, FIT,
                       "pieces of a batch; auto: 4 a stage where they fill the ring, else 1; fit: "
                       "of a stream,\nthe fewest with which weights are at most 4 updates old (8 "
                       "with a rate-ramp)"},
    [DEPTH] = {"depth", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
               "units in flight at the first stage, falling to the last; auto: 3 a stage, fewer "
               "where memory is short"},
    [IN_FLIGHT] = {"in-flight", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
                   "the same, of ringtmp; with K units in flight and M micro-batches weights are "
                   "(K - 1) / M updates old,\nrounded up"},
    [WEIGHTS] = {"weights", RG_PARAM_CHOICE, "auto", 0, 0, "auto|stash|current",
                 "pipedream's backward passes take the weights of the forward pass (stash, auto: "
                 "copies are kept)\nor those of the moment (current: one copy)"},
    [RECOMPUTE] = {"recompute", RG_PARAM_CHOICE, "auto", 0, 0, "auto|no|yes",
                   "of gpipe, 1f1b and interleaved: whether a stage keeps of a unit its input only "
                   "and does the\nforward pass again before the backward pass (yes), or all "
                   "activations (no, auto)"},
    [DRAIN] =
        {"drain", RG_PARAM_CHOICE, "auto", 0, 0, "auto|epoch|never",
         "whether a stream runs empty at the end of an epoch (epoch, auto) or goes on with the "
         "next (never:\nwhat is tested is a copy of the weights, taken on the way)"},
    [STAGES] = {"stages", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
                "runs of layers, a node each; auto: nodes / replicas"},
    [CHUNKS] = {"chunks", RG_PARAM_COUNT, "auto", 1, 64, NULL,
                "of interleaved: runs of layers on each node, so that activations go as many times "
                "round the ring; auto: 2"},
    [REPLICAS] = {"replicas", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                  "rings side by side; gradients of equal stages are summed by ring all-reduce"},
    [PARTITION] = {"partition", RG_PARAM_LIST, "balanced", 0, 0, NULL,
                   "layers a stage, as \"2,3,3\"; balanced: even times"},
    [OVERLAP] = {"overlap", RG_PARAM_CHOICE, "yes", 0, 0, "yes|no",
                 "no: a send completes before the next computation starts"},
    [BACKUP] = {"backup", RG_PARAM_COUNT, "no", 1, 1e6, SMALLEST,
                "of schedules that drain at every update: the state of each stage goes to the next "
                "node, a piece an\niteration, so that at most so many iterations are done again "
                "after a loss (lose of <training>);\nauto: as few as hide behind computation",
                .later = true},
    {0}};

/* The parameters that belong to some schedules only: how many units are in flight. */
static const int owned[] = {DEPTH, IN_FLIGHT};

static const struct rg_ring *ring_of(const struct rg_job *job)
{
    return job->plan;
}

static bool takes(const struct rg_schedule *schedule, int param)
{
    return schedule->takes && strcmp(schedule->takes, params[param].name) == 0;
}

/* The parameter with the schedule's units in flight, or -1. */
static int in_flight_of(const struct rg_schedule *schedule)
{
    for (size_t i = 0; i < RG_COUNT(owned); i++)
        if (takes(schedule, owned[i]))
            return owned[i];
    return -1;
}

static bool wants_fit(const struct rg_job *job)
{
    const struct rg_value *micro = &job->values[MICRO_BATCHES];
    return micro->automatic && strcmp(micro->text, FIT) == 0;
}

static struct rg_passes passes(const struct rg_job *job, int rank)
{
    const struct rg_ring *ring = ring_of(job);
    int replica = rank / ring->nodes;
    return (struct rg_passes){.least = rg_ring_unit(ring, replica, ring->micro - 1),
                              .most = rg_ring_unit(ring, replica, 0),
                              .halves = ring->stash == RG_STASH_HALVES};
}

/* ---- check ---- */

/* How many nodes a ring has, and stages. */
static int check_nodes(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    int hosts = job->nodes;
    ring->replicas = job->multiple = (int)job->values[REPLICAS].number;
    if (!job->values[STAGES].automatic) {
        ring->nodes = (int)job->values[STAGES].number;
        int64_t wanted = (int64_t)ring->nodes * ring->replicas;
        if (wanted > hosts || (job->nodes_given && wanted != hosts))
            return rg_fail(e, RG_ERR_INVALID,
                           "stages=\"%d\" and replicas=\"%d\" take %" PRId64 " node%s, there %s %d",
                           ring->nodes, ring->replicas, wanted, wanted == 1 ? "" : "s",
                           hosts == 1 ? "is" : "are", hosts);
        job->nodes = (int)wanted;
    } else {
        if (hosts % ring->replicas)
            return rg_fail(e, RG_ERR_INVALID,
                           "replicas=\"%d\" does not divide %d nodes: choose a divisor, or set "
                           "stages",
                           ring->replicas, hosts);
        ring->nodes = hosts / ring->replicas;
    }
    ring->stages = ring->nodes;
    return 0;
}

/* Of a schedule in chunks: several stages on each node. */
static int check_chunks(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    enum { AUTO = 2 };
    struct rg_value *chunks = &job->values[CHUNKS];
    int layers = job->network->layer_count;
    const char *name = rg_schedule_name(ring->schedule);
    if (!ring->schedule->in_chunks && !chunks->automatic)
        return rg_fail(e, RG_ERR_INVALID, "chunks belongs to interleaved, not to %s", name);
    if (!ring->schedule->in_chunks)
        return 0;
    if (ring->nodes < 2)
        return rg_fail(e, RG_ERR_INVALID, "%s wants a ring of 2 nodes or more, this has 1", name);
    if (chunks->automatic)
        chunks->number = RG_MAX(1, RG_MIN(AUTO, layers / ring->nodes));
    ring->stages = ring->nodes * (int)chunks->number;
    if (ring->stages <= layers)
        return 0;
    return rg_fail(e, RG_ERR_INVALID,
                   "%d nodes with %ld chunks each need %d layers, the network has %d: set chunks "
                   "to at most %d",
                   ring->nodes, chunks->number, ring->stages, layers, layers / ring->nodes);
}

static int check_shape(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    int layers = job->network->layer_count, result;
    ring->schedule = rg_schedules[job->values[SCHEDULE].number];
    result = check_nodes(job, ring, e);
    if (result)
        return result;
    if (ring->nodes > layers) {
        bool contains = false;
        for (int l = 0; l < layers; l++)
            contains = contains || job->network->layers[l].body;
        return rg_fail(e, RG_ERR_INVALID,
                       "a ring of %d stages needs as many layers, the network has %d%s: set stages "
                       "to at most %d, or more replicas",
                       ring->nodes, layers,
                       contains ? " (a <residual> is one, with all that is inside)" : "", layers);
    }
    if (ring->replicas > job->batch)
        return rg_fail(e, RG_ERR_INVALID, "%d replicas need a batch of at least %d samples, not %d",
                       ring->replicas, ring->replicas, job->batch);
    return check_chunks(job, ring, e);
}

/* "depth belongs to 1f1b and pipedream, not to gpipe" */
static int fail_owned(int param, const struct rg_schedule *chosen, struct rg_error *e)
{
    char owners[200] = "";
    int left = 0;
    for (int i = 0; rg_schedules[i]; i++)
        left += takes(rg_schedules[i], param);
    for (int i = 0; rg_schedules[i]; i++) {
        size_t used = strlen(owners);
        if (takes(rg_schedules[i], param))
            snprintf(owners + used, sizeof owners - used, "%s%s", rg_schedule_name(rg_schedules[i]),
                     --left > 1  ? ", "
                     : left == 1 ? " and "
                                 : "");
    }
    return rg_fail(e, RG_ERR_INVALID, "%s belongs to %s, not to %s", params[param].name, owners,
                   rg_schedule_name(chosen));
}

/* Units come in groups of as many as there are nodes. */
static int fail_groups(const struct rg_ring *ring, int samples, struct rg_error *e)
{
    const char *name = rg_schedule_name(ring->schedule);
    if (samples < ring->nodes)
        return rg_fail(e, RG_ERR_INVALID,
                       "%s wants micro-batches in groups of %d, the nodes of a ring: a batch of at "
                       "least %d samples for each replica, not %d",
                       name, ring->nodes, ring->nodes, samples);
    return rg_fail(e, RG_ERR_INVALID,
                   "micro-batches=\"%d\": %s wants groups of %d, the nodes of a ring: multiples "
                   "up to %d",
                   ring->micro, name, ring->nodes, samples - samples % ring->nodes);
}

static int check_units(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    const struct rg_schedule *schedule = ring->schedule;
    const struct rg_value *micro = &job->values[MICRO_BATCHES];
    int samples = rg_share(job->batch, ring->replicas, ring->replicas - 1);
    ring->overlap = job->values[OVERLAP].number == 0;
    if (!micro->automatic)
        ring->micro = (int)micro->number;
    else if (schedule->units_a_node > 0)
        ring->micro = RG_MIN(samples, schedule->units_a_node * ring->nodes);
    else
        ring->micro = 1;
    if (schedule->synchronous && wants_fit(job))
        return rg_fail(e, RG_ERR_INVALID,
                       "micro-batches=\"" FIT "\" is for streams; %s takes a number or auto",
                       rg_schedule_name(schedule));
    if (ring->micro > samples) {
        char over[40] = "";
        if (ring->replicas > 1)
            snprintf(over, sizeof over, " over %d replicas", ring->replicas);
        return rg_fail(e, RG_ERR_INVALID,
                       "a batch of %d sample%s%s cannot be cut in %d micro-batches: 1 to %d",
                       job->batch, job->batch == 1 ? "" : "s", over, ring->micro, samples);
    }
    if (schedule->in_chunks && micro->automatic)
        ring->micro -= ring->micro % ring->nodes;
    if (schedule->in_chunks && (ring->micro == 0 || ring->micro % ring->nodes))
        return fail_groups(ring, samples, e);
    for (size_t i = 0; i < RG_COUNT(owned); i++)
        if (!job->values[owned[i]].automatic && !takes(schedule, owned[i]))
            return fail_owned(owned[i], schedule, e);
    return 0;
}

/* A split backward pass takes layers that can do theirs in halves. */
static int check_halves(const struct rg_job *job, const struct rg_ring *ring, struct rg_error *e)
{
    const struct rg_network *network = job->network;
    char kinds[200] = "";
    if (ring->schedule->stash != RG_STASH_HALVES)
        return 0;
    for (int k = 0; rg_layer_kinds[k]; k++) {
        size_t used = strlen(kinds);
        if (rg_layer_kinds[k]->splits && !rg_layer_kinds[k]->contains)
            snprintf(kinds + used, sizeof kinds - used, "%s%s", used ? ", " : "",
                     rg_layer_kinds[k]->name);
    }
    for (int l = 0; l < network->layer_count; l++) {
        const struct rg_layer *layer = &network->layers[l];
        if (!rg_layer_splits(layer))
            return rg_fail(e, RG_ERR_INVALID,
                           "%s wants layers whose backward pass can be in two halves (%s, and "
                           "those without parameters): not %s, layer %d of %s",
                           rg_schedule_name(ring->schedule), kinds, layer->spec.ops->name, l,
                           network->name);
    }
    return 0;
}

/* What stages keep: as the schedule has it, or as the user does. */
static int check_stash(const struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    const struct rg_schedule *schedule = ring->schedule;
    long weights = job->values[WEIGHTS].number, recompute = job->values[RECOMPUTE].number;
    const char *name = rg_schedule_name(schedule);
    ring->stash = schedule->stash;
    if (weights != WEIGHTS_AUTO && schedule->stash != RG_STASH_WEIGHTS)
        return rg_fail(e, RG_ERR_INVALID, "weights belongs to pipedream, not to %s", name);
    if (recompute != RECOMPUTE_AUTO &&
        !(schedule->overlaps && schedule->stash == RG_STASH_ACTIVATIONS))
        return rg_fail(e, RG_ERR_INVALID,
                       "recompute belongs to gpipe, 1f1b and interleaved, not to %s%s", name,
                       schedule->stash == RG_STASH_INPUTS ? ", which always does" : "");
    if (weights == WEIGHTS_CURRENT)
        ring->stash = RG_STASH_ACTIVATIONS;
    if (recompute == RECOMPUTE_YES)
        ring->stash = RG_STASH_INPUTS;
    return 0;
}

static int check_drain(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    long wanted = job->values[DRAIN].number;
    ring->flows_on = job->flows_on = wanted == DRAIN_NEVER;
    if (wanted == DRAIN_AUTO || !ring->schedule->synchronous)
        return 0;
    return rg_fail(e, RG_ERR_INVALID, "drain belongs to streams, %s drains at every update",
                   rg_schedule_name(ring->schedule));
}

/* What a stream has in flight belongs to no update. */
static int check_backup(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    const struct rg_value *wanted = &job->values[BACKUP];
    const char *name = rg_schedule_name(ring->schedule);
    char allowed[200] = "";
    job->copies = !wanted->automatic || strcmp(wanted->text, SMALLEST) == 0;
    if (!job->copies)
        return 0;
    for (int i = 0; rg_schedules[i]; i++) {
        size_t used = strlen(allowed);
        if (rg_schedules[i]->synchronous)
            snprintf(allowed + used, sizeof allowed - used, "%s%s", used ? ", " : "",
                     rg_schedule_name(rg_schedules[i]));
    }
    if (!ring->schedule->synchronous)
        return rg_fail(e, RG_ERR_INVALID,
                       "backup belongs to schedules that drain at every update (%s), not to %s: "
                       "its stages are never at one update, so that no state of them all could be "
                       "gone on from; --checkpoint has those at the ends of epochs",
                       allowed, name);
    if (!ring->overlap)
        return rg_fail(e, RG_ERR_INVALID,
                       "backup sends beside computation: overlap=\"yes\" is allowed, not \"no\"");
    /* A node without a neighbour has nobody to lose either. auto is settled when there are plans.
     */
    if (ring->nodes > 1)
        ring->backup = rg_backup_of(wanted->automatic ? 2 : (int)wanted->number);
    return 0;
}

/* When there are plans. */
static void settle_backup(struct rg_job *job, struct rg_ring *ring)
{
    struct rg_value *wanted = &job->values[BACKUP];
    if (ring->backup.most == 0 || !wanted->automatic)
        return;
    wanted->number = rg_ring_backup_auto(ring);
    ring->backup = rg_backup_of((int)wanted->number);
    while (ring->backup.kept > 2 && !rg_ring_fits(ring)) /* more iterations take less memory */
        ring->backup = rg_backup_of((int)++wanted->number);
}

static int cut_by_list(const struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    const struct rg_value *list = &job->values[PARTITION];
    if (list->number != ring->stages)
        return rg_fail(e, RG_ERR_INVALID, "partition=\"%s\" names %ld stages, there are %d",
                       list->text, list->number, ring->stages);
    int64_t layers = 0;
    for (int s = 0; s < ring->stages; s++) {
        if (list->list[s] < 1)
            return rg_fail(e, RG_ERR_INVALID, "partition=\"%s\": every stage needs a layer",
                           list->text);
        layers += list->list[s];
    }
    if (layers != job->network->layer_count)
        return rg_fail(e, RG_ERR_INVALID,
                       "partition=\"%s\" adds up to %" PRId64 " layers, there are %d", list->text,
                       layers, job->network->layer_count);
    for (int s = 0; s < ring->stages; s++)
        ring->cut[s + 1] = ring->cut[s] + list->list[s];
    return 0;
}

static int cut(const struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    if (!job->values[PARTITION].automatic)
        return cut_by_list(job, ring, e);
    int result = rg_partition_balanced(ring); /* what does not fit is told by the memory check */
    return result == RG_ERR_NOMEM ? rg_fail(e, result, "out of memory") : 0;
}

/* Depths of the stages and, as memory depends on them, the cuts between them. */
static int set_depths(struct rg_ring *ring, int in_flight, struct rg_error *e)
{
    for (int s = 0; s < ring->stages; s++)
        ring->depth[s] = ring->schedule->depth(ring, s, in_flight);
    return cut(ring->job, ring, e);
}

/* Three a stage, fewer where memory is short. */
static int set_depths_that_fit(struct rg_ring *ring, struct rg_error *e)
{
    int result = 0;
    for (int each = 3; each >= 1 && result == 0; each--) {
        result = set_depths(ring, each * ring->stages, e);
        if (result == 0 && rg_ring_fits(ring))
            break;
    }
    return result;
}

/* Updates by which weights may be old, at most, in training that is as accurate as without: tried
 * on deep networks at a rate of 0.1 (scenarios/README.md, streams). */
enum { OLD = 4, OLD_WITH_RAMP = 8 };

/* The fewest micro-batches with which weights are not older than that, at the given depth or the
 * least that keeps the pace. Smaller units want no fewer in flight, so that only more will do. */
static int fit_units(const struct rg_job *job, struct rg_ring *ring, const struct rg_value *given,
                     struct rg_error *e)
{
    int old = job->optimizer.ramp > 0 ? OLD_WITH_RAMP : OLD, result = 0;
    int samples = rg_share(job->batch, ring->replicas, ring->replicas - 1);
    for (;;) {
        int depth = given->automatic ? RG_MIN(ring->depth[0], rg_ring_reach(ring)) : ring->depth[0];
        int wanted = RG_MAX((depth - 1 + old - 1) / old, 1);
        if (wanted <= ring->micro)
            return depth == ring->depth[0] ? 0 : set_depths(ring, depth, e);
        if (wanted > samples)
            return rg_fail(e, RG_ERR_INVALID,
                           "micro-batches=\"" FIT "\": %d in flight want %d a batch, whose samples "
                           "are %d",
                           depth, wanted, samples);
        ring->micro = wanted;
        result = given->automatic ? set_depths_that_fit(ring, e) : set_depths(ring, depth, e);
        if (result)
            return result;
    }
}

/* More than an epoch has can never be in flight: what the user believes to hide is not hidden. */
static int check_given(const struct rg_job *job, const struct rg_ring *ring, int param,
                       struct rg_error *e)
{
    int64_t batches = ring->flows_on ? job->iterations : job->iterations_per_epoch;
    int64_t units = batches * ring->micro;
    if (ring->schedule->synchronous || job->values[param].number <= units)
        return 0;
    return rg_fail(e, RG_ERR_INVALID,
                   "%s=\"%ld\" is more than %s has: %" PRId64 " batch%s of %d micro-batch%s",
                   params[param].name, job->values[param].number,
                   ring->flows_on ? "the run" : "an epoch", batches, batches == 1 ? "" : "es",
                   ring->micro, ring->micro == 1 ? "" : "es");
}

static int check_depth(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    int param = in_flight_of(ring->schedule);
    if (param < 0)
        return set_depths(ring, 0, e);
    struct rg_value *given = &job->values[param];
    int result =
        given->automatic ? set_depths_that_fit(ring, e) : set_depths(ring, (int)given->number, e);
    if (result == 0 && wants_fit(job))
        result = fit_units(job, ring, given, e);
    if (result == 0 && !given->automatic && !job->settled)
        result = check_given(job, ring, param, e);
    given->number = ring->depth[0];
    return result;
}

static void forget(struct rg_job *job)
{
    struct rg_ring *ring = job->plan;
    if (ring) {
        rg_plans_free(ring->plans, ring->stages);
        free(ring->cut);
        free(ring->depth);
        free(ring);
        job->plan = NULL;
    }
}

static int make_plans(struct rg_ring *ring, struct rg_error *e)
{
    struct rg_plan_spec spec = {.schedule = ring->schedule,
                                .stages = ring->stages,
                                .nodes = ring->nodes,
                                .units = ring->micro,
                                .depth = ring->depth,
                                .overlap = ring->overlap,
                                .reduce = ring->replicas > 1,
                                .backup = ring->backup.most > 0,
                                .stash = ring->stash};
    ring->plans = rg_plans_make(&spec);
    return ring->plans ? 0 : rg_fail(e, RG_ERR_NOMEM, "out of memory");
}

/* Tell what "auto" and "balanced" have come to. */
static int resolve(struct rg_job *job, const struct rg_ring *ring, struct rg_error *e)
{
    struct rg_value *partition = &job->values[PARTITION];
    job->values[MICRO_BATCHES].number = ring->micro;
    job->uneven |= ring->backup.every > 1; /* in some there is no piece */
    job->values[STAGES].number = ring->nodes;
    if (!partition->automatic)
        return 0;
    partition->list = calloc((size_t)ring->stages, sizeof *partition->list);
    if (!partition->list)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    partition->number = ring->stages;
    for (int s = 0; s < ring->stages; s++)
        partition->list[s] = ring->cut[s + 1] - ring->cut[s];
    return 0;
}

static int check(struct rg_job *job, struct rg_error *e)
{
    struct rg_ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    job->plan = ring;
    ring->job = job;
    int result = check_shape(job, ring, e);
    if (result == 0)
        result = check_units(job, ring, e);
    if (result == 0)
        result = check_stash(job, ring, e);
    if (result == 0)
        result = check_halves(job, ring, e);
    if (result == 0)
        result = check_drain(job, ring, e);
    if (result == 0)
        result = check_backup(job, ring, e);
    if (result == 0) {
        ring->cut = calloc((size_t)ring->stages + 1, sizeof *ring->cut);
        ring->depth = calloc((size_t)ring->stages, sizeof *ring->depth);
        if (!ring->cut || !ring->depth)
            result = rg_fail(e, RG_ERR_NOMEM, "out of memory");
    }
    if (result == 0)
        result = check_depth(job, ring, e);
    if (result == 0)
        result = make_plans(ring, e);
    if (result == 0)
        settle_backup(job, ring);
    if (result == 0)
        result = resolve(job, ring, e);
    if (result)
        forget(job);
    return result;
}

/* The last stage's outputs come to the first, which has the labels. */
static bool feeds(const struct rg_job *job, int rank)
{
    return rank % ring_of(job)->nodes == 0;
}

static uint64_t memory(const struct rg_job *job, int rank)
{
    const struct rg_ring *ring = ring_of(job);
    return rg_ring_node_memory(ring, rank % ring->nodes);
}

static void predict(const struct rg_job *job, struct rg_prediction *prediction)
{
    rg_ring_predict(ring_of(job), prediction);
}

static double by_plan(const struct rg_job *job)
{
    return rg_ring_walk_s(ring_of(job));
}

static void flows(const struct rg_job *job, rg_traffic_fn flow, void *arg)
{
    rg_ring_flows(ring_of(job), flow, arg);
}

/* Those whose units a stream has in flight; else the next may begin while the last is being ended.
 */
static int64_t under_way(const struct rg_job *job)
{
    const struct rg_ring *ring = ring_of(job);
    return ring->schedule->synchronous ? 2 : 1 + rg_updates_behind(ring->depth[0], ring->micro);
}

/* Of the first replica. */
static int holder(const struct rg_job *job, int layer)
{
    const struct rg_ring *ring = ring_of(job);
    int stage = 0;
    while (ring->cut[stage + 1] <= layer)
        stage++;
    return rg_ring_rank(ring, 0, stage);
}

static uint64_t root_floats(const struct rg_job *job)
{
    size_t parameters = 0;
    for (int layer = 0; layer < job->network->layer_count; layer++)
        if (holder(job, layer) == 0)
            parameters += job->network->layers[layer].parameters;
    return rg_trained_floats(job, parameters);
}

/* The stages of a stream run empty in a pause. */
static bool whole_epochs(const struct rg_job *job)
{
    return !ring_of(job)->schedule->synchronous;
}

const struct rg_strategy rg_strategy_ring_pipeline = {
    .name = "ring_pipeline",
    .summary = "the layers split round a ring of nodes; activations travel between neighbours",
    .params = params,
    .min_nodes = 1,
    .check = check,
    .passes = passes,
    .forget = forget,
    .feeds = feeds,
    .memory = memory,
    .predict = predict,
    .by_plan = by_plan,
    .flows = flows,
    .under_way = under_way,
    .holder = holder,
    .open = rg_pipeline_open,
    .train = rg_pipeline_train,
    .drain = rg_pipeline_drain,
    .parameters = rg_pipeline_parameters,
    .state = rg_pipeline_state,
    .root_floats = root_floats,
    .whole_epochs = whole_epochs,
    .held = rg_pipeline_held,
    .copies = rg_backup_visit,
    .observe = rg_pipeline_observe,
    .close = rg_pipeline_close,
};
