/* ring_pipeline (RingTMP): the layers split in consecutive stages round a ring. Rank 0 holds the
 * first stage, the data and the labels; activations go forward, the last stage's output closes the
 * ring to rank 0, which computes the loss; gradients go back. Only neighbours talk.
 *
 * Schedules: GPipe (Huang et al. 2019), 1F1B and PipeDream (Narayanan et al. 2019, 2021),
 * `ringtmp`, the stream of the original work, and `sequential`, one unit in flight. */
#include "base/check.h"
#include "collectives/collectives.h"
#include "models/loss.h"
#include "strategies/replica.h"
#include "strategies/ring.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCHEDULE, MICRO_BATCHES, DEPTH, IN_FLIGHT, STAGES, REPLICAS, PARTITION, OVERLAP };

enum schedule { SEQUENTIAL, RINGTMP, GPIPE, ONE_F_ONE_B, PIPEDREAM };

static const struct rg_param params[] = {
    [SCHEDULE] = {"schedule", RG_PARAM_CHOICE, "1f1b", 0, 0,
                  "sequential|ringtmp|gpipe|1f1b|pipedream",
                  "order of the micro-batches; ringtmp and pipedream update without waiting"},
    [MICRO_BATCHES] = {"micro-batches", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
                       "pieces of a batch; auto: 4 a stage for gpipe and 1f1b, else 1"},
    [DEPTH] =
        {"depth", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
         "1f1b, pipedream: units in flight at the first stage, falling to the last; auto: 3 a "
         "stage, fewer where memory is short"},
    [IN_FLIGHT] = {"in-flight", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
                   "ringtmp: batches in flight, staleness is one less; auto: 3 a stage"},
    [STAGES] = {"stages", RG_PARAM_COUNT, "auto", 1, 1e6, NULL,
                "runs of layers, a node each; auto: nodes / replicas"},
    [REPLICAS] = {"replicas", RG_PARAM_COUNT, "1", 1, 1e6, NULL,
                  "rings side by side; gradients of equal stages are summed by ring all-reduce"},
    [PARTITION] = {"partition", RG_PARAM_LIST, "balanced", 0, 0, NULL,
                   "layers a stage, as \"2,3,3\"; balanced: even times"},
    [OVERLAP] = {"overlap", RG_PARAM_CHOICE, "yes", 0, 0, "yes|no",
                 "no: a send completes before the next computation starts"},
    {0}};

static enum schedule schedule_of(const struct rg_job *job)
{
    return (enum schedule)job->values[SCHEDULE].number;
}

static const char *schedule_name(const struct rg_job *job)
{
    static const char *const names[] = {"sequential", "ringtmp", "gpipe", "1f1b", "pipedream"};
    return names[schedule_of(job)];
}

static const struct rg_ring *ring_of(const struct rg_job *job)
{
    return job->plan;
}

/* ---- check ---- */

static int check_shape(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    int layers = job->network->layer_count, hosts = job->nodes;
    ring->replicas = (int)job->values[REPLICAS].number;
    if (!job->values[STAGES].automatic) {
        ring->stages = (int)job->values[STAGES].number;
        long wanted = (long)ring->stages * ring->replicas;
        if (wanted > hosts || (job->nodes_given && wanted != hosts))
            return rg_fail(e, RG_ERR_INVALID,
                           "stages=\"%d\" and replicas=\"%d\" take %ld node%s, there %s %d",
                           ring->stages, ring->replicas, wanted, wanted == 1 ? "" : "s",
                           hosts == 1 ? "is" : "are", hosts);
        job->nodes = (int)wanted;
    } else {
        if (hosts % ring->replicas)
            return rg_fail(e, RG_ERR_INVALID,
                           "replicas=\"%d\" does not divide %d nodes: choose a divisor, or set "
                           "stages",
                           ring->replicas, hosts);
        ring->stages = hosts / ring->replicas;
    }
    if (ring->stages > layers)
        return rg_fail(
            e, RG_ERR_INVALID,
            "a ring of %d stages needs as many layers, the network has %d: set stages to "
            "at most %d, or more replicas",
            ring->stages, layers, layers);
    if (ring->replicas > job->batch)
        return rg_fail(e, RG_ERR_INVALID, "%d replicas need a batch of at least %d samples, not %d",
                       ring->replicas, ring->replicas, job->batch);
    return 0;
}

static int check_units(struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    enum schedule schedule = schedule_of(job);
    const struct rg_value *micro = &job->values[MICRO_BATCHES];
    int samples = rg_share(job->batch, ring->replicas, ring->replicas - 1);
    ring->stream = schedule == RINGTMP || schedule == PIPEDREAM;
    ring->stash = schedule == PIPEDREAM;
    ring->recompute = schedule == RINGTMP;
    ring->overlap = job->values[OVERLAP].number == 0;
    bool pieces = schedule == GPIPE || schedule == ONE_F_ONE_B;
    if (micro->automatic)
        ring->micro = pieces ? RG_MIN(samples, 4 * ring->stages) : 1;
    else
        ring->micro = (int)micro->number;
    if (ring->stream && ring->micro != 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "%s updates with every batch: micro-batches can only be 1, not %d",
                       schedule_name(job), ring->micro);
    if (ring->micro > samples) {
        char over[40] = "";
        if (ring->replicas > 1)
            snprintf(over, sizeof over, " over %d replicas", ring->replicas);
        return rg_fail(e, RG_ERR_INVALID,
                       "a batch of %d sample%s%s cannot be cut in %d micro-batches: 1 to %d",
                       job->batch, job->batch == 1 ? "" : "s", over, ring->micro, samples);
    }
    if (!job->values[DEPTH].automatic && schedule != ONE_F_ONE_B && schedule != PIPEDREAM)
        return rg_fail(e, RG_ERR_INVALID, "depth belongs to 1f1b and pipedream, not to %s",
                       schedule_name(job));
    if (!job->values[IN_FLIGHT].automatic && schedule != RINGTMP)
        return rg_fail(e, RG_ERR_INVALID, "in-flight belongs to ringtmp, not to %s",
                       schedule_name(job));
    return 0;
}

/* Units in flight at stage s where the first has `units`: falling in a straight line, so that every
 * stage waits for its gradients equally long. */
static void set_depths(struct rg_ring *ring, long units)
{
    for (int s = 0; s < ring->stages; s++) {
        long depth = (units * (ring->stages - s) + ring->stages - 1) / ring->stages;
        ring->depth[s] = (int)(ring->stream ? depth : RG_MIN(depth, ring->micro));
    }
}

static int cut_by_list(const struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    const struct rg_value *list = &job->values[PARTITION];
    if (list->number != ring->stages)
        return rg_fail(e, RG_ERR_INVALID, "partition=\"%s\" names %ld stages, there are %d",
                       list->text, list->number, ring->stages);
    ring->cut[0] = 0;
    for (int s = 0; s < ring->stages; s++) {
        if (list->list[s] < 1)
            return rg_fail(e, RG_ERR_INVALID, "partition=\"%s\": every stage needs a layer",
                           list->text);
        ring->cut[s + 1] = ring->cut[s] + list->list[s];
    }
    if (ring->cut[ring->stages] != job->network->layer_count)
        return rg_fail(e, RG_ERR_INVALID, "partition=\"%s\" adds up to %d layers, there are %d",
                       list->text, ring->cut[ring->stages], job->network->layer_count);
    return 0;
}

static bool fits(const struct rg_ring *ring)
{
    for (int rank = 0; rank < ring->job->nodes; rank++) {
        int s = rank % ring->stages;
        if (rg_ring_memory(ring, s, ring->cut[s], ring->cut[s + 1]) >
            ring->job->boards[rank]->memory_bytes)
            return false;
    }
    return true;
}

static int cut(const struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    if (!job->values[PARTITION].automatic)
        return cut_by_list(job, ring, e);
    int result = rg_partition_balanced(ring); /* what does not fit is told by the memory check */
    return result == RG_ERR_NOMEM ? rg_fail(e, result, "out of memory") : 0;
}

static int check_depth(const struct rg_job *job, struct rg_ring *ring, struct rg_error *e)
{
    enum schedule schedule = schedule_of(job);
    const struct rg_value *given =
        schedule == RINGTMP ? &job->values[IN_FLIGHT] : &job->values[DEPTH];
    if (schedule == SEQUENTIAL || schedule == GPIPE) {
        for (int s = 0; s < ring->stages; s++)
            ring->depth[s] = schedule == SEQUENTIAL ? 1 : ring->micro;
        return cut(job, ring, e);
    }
    if (!given->automatic) {
        set_depths(ring, given->number);
        return cut(job, ring, e);
    }
    int result = 0;
    for (int each = 3; each >= 1 && result == 0; each--) {
        set_depths(ring, (long)each * ring->stages);
        result = cut(job, ring, e);
        if (result == 0 && fits(ring))
            break;
    }
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
    struct rg_plan_spec spec = {.order = RG_ORDER_1F1B,
                                .stages = ring->stages,
                                .units = ring->micro,
                                .depth = ring->depth,
                                .stash = ring->stash,
                                .recompute = ring->recompute,
                                .overlap = ring->overlap,
                                .reduce = ring->replicas > 1};
    if (ring->stream)
        spec.order = RG_ORDER_STREAM;
    else if (schedule_of(ring->job) == GPIPE)
        spec.order = RG_ORDER_GPIPE;
    ring->plans = rg_plans_make(&spec);
    return ring->plans ? 0 : rg_fail(e, RG_ERR_NOMEM, "out of memory");
}

/* Tell what "auto" and "balanced" have come to. */
static int resolve(struct rg_job *job, const struct rg_ring *ring, struct rg_error *e)
{
    enum schedule schedule = schedule_of(job);
    struct rg_value *values = job->values, *partition = &values[PARTITION];
    values[MICRO_BATCHES].number = ring->micro;
    values[STAGES].number = ring->stages;
    if (schedule == ONE_F_ONE_B || schedule == PIPEDREAM)
        values[DEPTH].number = ring->depth[0];
    if (schedule == RINGTMP)
        values[IN_FLIGHT].number = ring->depth[0];
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
    if (result == 0) {
        ring->cut = calloc((size_t)ring->stages + 1, sizeof *ring->cut);
        ring->depth = calloc((size_t)ring->stages, sizeof *ring->depth);
        if (!ring->cut || !ring->depth)
            result = rg_fail(e, RG_ERR_NOMEM, "out of memory");
    }
    if (result == 0)
        result = check_depth(job, ring, e);
    if (result == 0)
        result = resolve(job, ring, e);
    if (result == 0)
        result = make_plans(ring, e);
    if (result)
        forget(job);
    return result;
}

static uint64_t memory(const struct rg_job *job, int rank)
{
    const struct rg_ring *ring = ring_of(job);
    int s = rank % ring->stages;
    return rg_ring_memory(ring, s, ring->cut[s], ring->cut[s + 1]);
}

/* ---- closed forms ---- */

/* What one stage of a replica contributes. Seconds; a unit is one micro-batch, of mean size where
 * sizes differ. */
struct stage_forms {
    double forward, backward, loss; /* a unit; loss at stage 0 only */
    double update;                  /* an iteration: copy, step, all-reduce */
    double port;                    /* a unit: busy time of the port, one direction */
    double hop;                     /* a unit: the port's time for what goes on to the next stage */
    double out, back;               /* a unit: transit of what it sends on and of what comes back */
    double round;                   /* a unit, from this stage to the loss and back */
};

static double softmax_s(const struct rg_job *job, const struct rg_board *board, int n)
{
    struct rg_work work = {0};
    rg_softmax_cross_entropy_work(n, job->network->classes, &work);
    double seconds = rg_board_seconds(board, &work, job->threads);
    rg_work_free(&work);
    return seconds;
}

/* Add `share` of a unit of n samples. */
static void add_unit(struct stage_forms *form, const struct rg_ring *ring, int rank, int s, int n,
                     double share)
{
    const struct rg_job *job = ring->job;
    const struct rg_board *board = job->boards[rank];
    struct rg_stage stage = rg_ring_stage(ring, s);
    struct rg_ring_times t = rg_ring_times(ring, board, stage.from, stage.to, n);
    form->forward += share * t.forward;
    form->backward += share * t.backward;
    if (s == 0)
        form->loss += share * softmax_s(job, board, n);
    if (ring->stages == 1)
        return;
    size_t classes = (size_t)job->network->classes;
    size_t out = s == ring->stages - 1 ? classes : rg_stage_outputs(&stage);
    size_t back = s > 0 ? rg_stage_inputs(&stage) : classes;
    size_t bytes = sizeof(float) * (size_t)n;
    const struct rg_board *next = job->boards[rank - s + (s + 1) % ring->stages];
    form->port += share * rg_board_port_s(board, 2, bytes * (out + back));
    form->hop += share * rg_board_send_s(board, next, bytes * out);
    form->out += share * rg_board_hop_to_s(board, next, bytes * out);
    form->back += share * rg_board_hop_to_s(next, board, bytes * out);
}

/* The gradients of a stage, summed over the replicas. */
static double reduce_s(const struct rg_ring *ring, int s)
{
    struct rg_stage stage = rg_ring_stage(ring, s);
    return rg_allreduce_seconds(ring->job->boards + s, ring->stages, ring->job->threads,
                                ring->replicas, rg_stage_parameters(&stage));
}

static struct stage_forms forms_of(const struct rg_ring *ring, int rank, int s)
{
    const struct rg_job *job = ring->job;
    const struct rg_board *board = job->boards[rank];
    struct rg_stage stage = rg_ring_stage(ring, s);
    size_t parameters = rg_stage_parameters(&stage);
    int samples = rg_ring_batch(ring, rank / ring->stages), m = ring->micro;
    int large = samples % m; /* so many units have one sample more than the others */
    struct stage_forms form = {0};
    if (large)
        add_unit(&form, ring, rank, s, samples / m + 1, (double)large / m);
    add_unit(&form, ring, rank, s, samples / m, (double)(m - large) / m);
    form.update = rg_ring_update_s(ring, board, ring->stash && ring->depth[s] > 1, parameters) +
                  reduce_s(ring, s);
    return form;
}

/* What a unit keeps a stage busy for: the processor or the port. Transfers that do not overlap add
 * to the processor's time. */
static double busy(const struct rg_ring *ring, const struct stage_forms *f)
{
    double compute = f->forward + f->backward + f->loss + (ring->stream ? f->update : 0);
    return ring->overlap ? fmax(compute, f->port) : compute + f->port;
}

/* The pace of a stream: the slowest stage, or a round trip shared by the units in flight. */
static double stream_seconds(const struct rg_ring *ring, const struct stage_forms *forms)
{
    double most = 0;
    for (int s = 0; s < ring->stages; s++)
        most = fmax(
            most, fmax(busy(ring, &forms[s]), (forms[s].round + forms[s].update) / ring->depth[s]));
    return most;
}

/* All forward, then all backward, each as fast as its slowest stage or hop. The closing of the ring
 * (its trip) hides behind the other micro-batches where there are enough of them. */
static double gpipe_seconds(const struct rg_ring *ring, const struct stage_forms *forms)
{
    int last = ring->stages - 1, others = ring->micro - 1;
    double through = 0, ahead = 0, behind = 0, trip = forms[0].loss;
    for (int s = 0; s <= last; s++) {
        through += forms[s].forward + forms[s].backward;
        ahead = fmax(ahead, fmax(forms[s].forward, forms[s].hop));
        behind = fmax(behind, fmax(forms[s].backward, forms[s].hop));
        if (s < last)
            through += forms[s].out + forms[s].back;
    }
    trip += forms[last].out + forms[last].back;
    return through + fmax(fmax(others * ahead, trip) + others * behind, others * ahead + trip) +
           forms[0].update;
}

/* As seen from any stage: the first unit arrives; the stage works at its pace, idling once while it
 * has filled the pipeline and waits for the first gradient, or round trip follows round trip where
 * too few units are in flight; the last gradient goes home. For equal stages and enough in flight
 * the last stage is the longest: M (f + b) + (S - 1)(f + b + 2x) + 2 x_C. */
static double one_f_one_b_seconds(const struct rg_ring *ring, const struct stage_forms *forms)
{
    double before = 0, longest = 0;
    for (int s = 0; s < ring->stages; s++) {
        const struct stage_forms *f = &forms[s];
        int depth = RG_MIN(ring->depth[s], ring->micro);
        double away = f->round - f->forward - f->backward;
        double idle = fmax(0, away - (depth - 1) * f->forward);
        double trips =
            (depth - 1) * fmax(f->forward, ring->overlap ? f->hop : f->forward + f->hop) +
            (ring->micro + depth - 1) / depth * f->round;
        longest = fmax(longest, before + fmax(ring->micro * busy(ring, f) + idle, trips));
        before += f->forward + f->backward + f->out + f->back;
    }
    return longest + forms[0].update;
}

static double iteration_seconds(const struct rg_ring *ring, const struct stage_forms *forms)
{
    if (ring->stream)
        return stream_seconds(ring, forms);
    switch (schedule_of(ring->job)) {
    case SEQUENTIAL:
        return ring->micro * forms[0].round + forms[0].update;
    case GPIPE:
        return gpipe_seconds(ring, forms);
    default:
        return one_f_one_b_seconds(ring, forms);
    }
}

static void predict_traffic(const struct rg_job *job, struct rg_prediction *p)
{
    const struct rg_ring *ring = ring_of(job);
    size_t crossing = 0;
    for (int s = 1; s < ring->stages; s++)
        crossing += job->network->layers[ring->cut[s]].inputs;
    if (ring->stages > 1) {
        p->messages = (uint64_t)ring->replicas * (uint64_t)ring->micro * 2 * (uint64_t)ring->stages;
        p->values = 2 * (uint64_t)job->batch * (crossing + (uint64_t)job->network->classes);
    }
    for (int s = 0; s < ring->stages && ring->replicas > 1; s++) {
        struct rg_stage stage = rg_ring_stage(ring, s);
        rg_allreduce_traffic(ring->replicas, rg_stage_parameters(&stage), &p->messages, &p->values);
    }
    p->payload_bytes = sizeof(float) * p->values;
}

/* Busiest direction of a node's port in an iteration, averaging included. */
static double port_iteration(const struct rg_ring *ring, const struct rg_board *board, int s,
                             const struct stage_forms *form)
{
    double seconds = ring->micro * form->port;
    if (ring->replicas > 1) {
        struct rg_stage stage = rg_ring_stage(ring, s);
        uint64_t steps = 2 * (uint64_t)(ring->replicas - 1);
        uint64_t floats = steps * rg_stage_parameters(&stage) / (uint64_t)ring->replicas;
        seconds += rg_board_port_s(board, steps, sizeof(float) * floats);
    }
    return seconds;
}

/* All-reduce time is partly waiting: what the processor adds. */
static double compute_iteration(const struct rg_ring *ring, int rank,
                                const struct stage_forms *form)
{
    const struct rg_board *board = ring->job->boards[rank];
    struct rg_stage stage = rg_ring_stage(ring, rank % ring->stages);
    size_t parameters = rg_stage_parameters(&stage);
    double reduce = reduce_s(ring, rank % ring->stages);
    double adds = rg_allreduce_adds_s(board, ring->job->threads, ring->replicas,
                                      rank / ring->stages, parameters);
    return ring->micro * (form->forward + form->backward + form->loss) + form->update - reduce +
           adds;
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    const struct rg_ring *ring = ring_of(job);
    struct stage_forms *forms = calloc((size_t)ring->stages, sizeof *forms);
    RG_ASSERT(forms);
    p->overlap = ring->overlap && schedule_of(job) != SEQUENTIAL;
    for (int replica = 0; replica < ring->replicas; replica++) {
        for (int s = 0; s < ring->stages; s++) {
            int rank = replica * ring->stages + s;
            forms[s] = forms_of(ring, rank, s);
            p->T_A_s = fmax(p->T_A_s, compute_iteration(ring, rank, &forms[s]));
            p->c_s = fmax(p->c_s, port_iteration(ring, job->boards[rank], s, &forms[s]));
        }
        double round = forms[0].loss;
        for (int s = ring->stages - 1; s >= 0; s--) {
            round += forms[s].forward + forms[s].backward + forms[s].out + forms[s].back;
            forms[s].round = round;
        }
        p->iteration_s = fmax(p->iteration_s, iteration_seconds(ring, forms));
    }
    predict_traffic(job, p);
    rg_predict_memory(job, p);
    free(forms);
}

/* A stream's units are iterations; the others may begin one while the last is being ended. */
static long under_way(const struct rg_job *job)
{
    const struct rg_ring *ring = ring_of(job);
    return ring->stream ? ring->depth[0] : 2;
}

/* ---- running ---- */

static int open_ring(struct rg_world *w, const struct rg_job *job, const float *initial,
                     void **state)
{
    return rg_pipeline_open(w, ring_of(job), initial, (struct rg_pipeline **)state);
}

static int train(void *state, long first, long count)
{
    return rg_pipeline_train(state, first, count);
}

static int parameters(void *state, rg_visit_fn visit, void *arg)
{
    return rg_pipeline_parameters(state, visit, arg);
}

static void observe(void *state, struct rg_observation *observation)
{
    rg_pipeline_observe(state, observation);
}

static void close_ring(void *state)
{
    rg_pipeline_close(state);
}

const struct rg_strategy rg_strategy_ring_pipeline = {
    .name = "ring_pipeline",
    .summary = "the layers split round a ring of nodes; activations travel between neighbours",
    .params = params,
    .min_nodes = 1,
    .check = check,
    .forget = forget,
    .memory = memory,
    .predict = predict,
    .under_way = under_way,
    .open = open_ring,
    .train = train,
    .parameters = parameters,
    .observe = observe,
    .close = close_ring,
};
