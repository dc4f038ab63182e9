/* Streams against a program that follows their definition, unit by unit, with every version of the
 * weights at hand: which weights a stage reads for a unit's forward and backward pass, and when it
 * changes them; and, where delays are compensated, by how much. */
#include "base/check.h"
#include "models/blas.h"
#include "models/loss.h"
#include "models/update.h"
#include "strategies/harness.h"
#include "strategies/ring.h"
#include "strategies/samples.h"
#include "support/passes.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STAGES = 4, MOST_UPDATES = 16, MOST_FLOATS = 1 << 16 };

/* Sums are added in another order than the strategy's, which kernels of OpenBLAS do each in its own
 * way; Adam divides by roots of what may be small, and makes 1.5e-6 of that. */
#define CLOSE 1e-5

struct reference {
    const struct rg_job *job;
    const struct rg_ring *ring;
    /* Of the whole network, by the number of updates before: the parameters, and what forward
     * passes read. */
    float *weights[MOST_UPDATES], *ahead[MOST_UPDATES];
    float *gradient, *state;
    uint32_t *order;
    float x[MOST_STAGES][MOST_FLOATS], stash[MOST_STAGES][MOST_FLOATS], scratch[MOST_FLOATS];
    float dy[MOST_FLOATS], dx[MOST_FLOATS];
};

static float *of_stage(const struct reference *r, float *whole, int s)
{
    return whole + rg_network_offset(r->job->network, r->ring->cut[s]);
}

/* Unit u's forward pass comes right behind the backward pass of unit u - depth, since the ring has
 * filled: at the beginning of the run, or, if it drains, of the epoch. */
static int version_read(const struct reference *r, int s, int unit)
{
    int epoch = (int)r->job->iterations_per_epoch, units = r->ring->micro;
    int filled = r->ring->flows_on ? 0 : unit / units / epoch * epoch;
    int done = unit - filled * units - r->ring->depth[s] + 1;
    return filled + (done > 0 ? done / units : 0);
}

/* Stage by stage; returns the output of the last. */
static float *go_forward(struct reference *r, int unit, int n)
{
    float *out = NULL;
    for (int s = 0; s < r->ring->stages; s++) {
        struct rg_stage stage = rg_ring_stage(r->ring, s);
        float *w = of_stage(r, r->ahead[version_read(r, s, unit)], s);
        if (s > 0)
            memcpy(r->x[s], out, sizeof *out * (size_t)n * rg_stage_inputs(&stage));
        stage_forward(&stage, n, w, r->x[s], r->stash[s], r->scratch);
        out = rg_stage_output(&stage, n, r->stash[s]);
    }
    return out;
}

static void go_back(struct reference *r, int unit, int n)
{
    bool redo = r->ring->stash == RG_STASH_INPUTS;
    bool stashed = r->ring->stash == RG_STASH_WEIGHTS;
    for (int s = r->ring->stages - 1; s >= 0; s--) {
        struct rg_stage stage = rg_ring_stage(r->ring, s);
        int version = stashed ? version_read(r, s, unit) : unit / r->ring->micro;
        float *w = of_stage(r, stashed ? r->ahead[version] : r->weights[version], s);
        if (redo)
            stage_forward(&stage, n, w, r->x[s], r->stash[s], r->scratch);
        const struct rg_pass_args args = {.batch = n,
                                          .mean_of = r->job->batch,
                                          .w = w,
                                          .newest =
                                              of_stage(r, r->weights[unit / r->ring->micro], s),
                                          .x = r->x[s],
                                          .stash = r->stash[s],
                                          .dy = r->dy,
                                          .dx = s > 0 ? r->dx : NULL,
                                          .dw = of_stage(r, r->gradient, s),
                                          .accumulate = unit % r->ring->micro > 0,
                                          .scratch = r->scratch};
        rg_stage_backward(&stage, &args);
        if (s > 0)
            memcpy(r->dy, r->dx, sizeof *r->dx * (size_t)n * rg_stage_inputs(&stage));
    }
}

/* Updates by which a stage's unit number j of a batch is late, when the pipe is full. */
static int delay_of(const struct reference *r, int s, int j)
{
    int units = r->ring->depth[s] - 1 - j;
    return units > 0 ? (units + r->ring->micro - 1) / r->ring->micro : 0;
}

/* The step of one parameter, number `step`, and where it is expected to be after as many more as
 * gradients are late: by definition, in double. state: [count] of velocities or means, then those
 * of squares. */
static void step_one(struct reference *r, int s, int step, size_t i, float before, float *after,
                     float *ahead)
{
    const struct rg_optimizer *o = &r->job->optimizer;
    size_t n = r->job->network->parameters;
    double g = r->gradient[i], mu = o->momentum, rate = rg_optimizer_rate(o, step);
    double next = rg_optimizer_rate(o, step + 1), left = 0, late = 0;
    for (int j = 0; j < r->ring->micro; j++) {
        left += pow(mu, delay_of(r, s, j)) / r->ring->micro;
        late += (double)delay_of(r, s, j) / r->ring->micro;
    }
    if (o->kind == RG_MOMENTUM) {
        double v = mu * r->state[i] + g;
        r->state[i] = (float)v;
        *after = (float)(before - rate * (left * v + (1 - left) / (1 - mu) * g));
        *ahead = (float)(*after - next * late * v);
    } else {
        double m = mu * r->state[i] + (1 - mu) * g;
        double v = o->beta2 * r->state[n + i] + (1 - o->beta2) * g * g;
        double size = sqrt(v / (1 - pow(o->beta2, step))) + o->epsilon;
        r->state[i] = (float)m;
        r->state[n + i] = (float)v;
        *after = (float)(before - rate * (left * m + (1 - left) * g) /
                                      (left * (1 - pow(mu, step)) + 1 - left) / size);
        *ahead = (float)(*after - next * late * m / (1 - pow(mu, step)) / size);
    }
}

static void update(struct reference *r, int iteration)
{
    const struct rg_network *network = r->job->network;
    float *now = r->weights[iteration], *next = r->weights[iteration + 1];
    if (!r->job->compensate) {
        memcpy(next, now, sizeof *next * network->parameters);
        rg_network_step(network, &r->job->optimizer, iteration + 1, 0, network->parameters, next,
                        r->gradient, r->state);
        return;
    }
    for (int s = 0; s < r->ring->stages; s++)
        for (size_t i = rg_network_offset(network, r->ring->cut[s]);
             i < rg_network_offset(network, r->ring->cut[s + 1]); i++)
            step_one(r, s, iteration + 1, i, now[i], &next[i], &r->ahead[iteration + 1][i]);
}

static void take_unit(struct reference *r, int unit)
{
    const struct rg_job *job = r->job;
    int iteration = unit / r->ring->micro, part = unit % r->ring->micro;
    int n = rg_share(job->batch, r->ring->micro, part), epoch = (int)job->iterations_per_epoch;
    const uint32_t *rows = r->order + iteration % epoch * job->batch +
                           rg_share_first(job->batch, r->ring->micro, part);
    if (iteration % epoch == 0 && part == 0)
        CU_ASSERT_EQUAL(rg_dataset_order(job->data, job->seed, iteration / epoch, r->order), 0);
    struct rg_targets targets = rg_dataset_targets(job->data);
    int64_t correct = 0;
    uint8_t labels[64];
    RG_ASSERT((size_t)n * rg_targets_bytes(&targets) <= sizeof labels);
    rg_dataset_gather(job->data, rows, n, r->x[0], labels);
    float *logits = go_forward(r, unit, n);
    rg_loss(&targets, n, logits, labels, 1.0f / (float)job->batch, r->dy, &correct);
    go_back(r, unit, n);
    if (part == r->ring->micro - 1)
        update(r, iteration);
}

/* So many iterations. The result is malloc'ed. */
static float *follow(const struct rg_job *job, int iterations)
{
    size_t count = job->network->parameters;
    struct reference *r = calloc(1, sizeof *r);
    CU_ASSERT_FATAL(r != NULL && job->iterations < MOST_UPDATES);
    r->job = job;
    r->ring = job->plan;
    for (int i = 0; i <= job->iterations; i++) {
        r->weights[i] = calloc(count, sizeof(float));
        r->ahead[i] = job->compensate ? calloc(count, sizeof(float)) : r->weights[i];
    }
    r->gradient = calloc(count, sizeof(float));
    r->state = calloc(rg_optimizer_state(&job->optimizer, count) + 1, sizeof(float));
    r->order = calloc((size_t)job->data->train, sizeof *r->order);
    CU_ASSERT_EQUAL(
        rg_network_init(job->network, 0, job->network->layer_count, job->seed, r->weights[0]), 0);
    memcpy(r->ahead[0], r->weights[0], count * sizeof(float));
    for (int unit = 0; unit < iterations * r->ring->micro; unit++)
        take_unit(r, unit);
    float *trained = r->weights[iterations];
    for (int i = 0; i <= job->iterations; i++) {
        if (job->compensate)
            free(r->ahead[i]);
        if (i != iterations)
            free(r->weights[i]);
    }
    free(r->gradient);
    free(r->state);
    free(r->order);
    free(r);
    return trained;
}

static void a_stream_is_what_it_says(int epochs, const char *sets)
{
    struct rg_study study;
    char all[400];
    snprintf(all, sizeof all, "epochs=%d %s", epochs, sets);
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", all));
    const struct rg_job *job = harness_job(&study, "pipedream");
    float *want = follow(job, (int)job->iterations);
    struct rg_run run;
    float *have = harness_parameters(job, &(struct harness_options){.seed = 1}, &run);
    for (int rank = 0; rank < run.node_count; rank++) /* what is counted has been allocated */
        CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes, rg_job_memory(job, rank));
    rg_run_free(&run);
    double distance = harness_distance(want, have, job->network->parameters);
    if (!(distance < CLOSE))
        printf("\n    %s: largest difference %g", sets, distance);
    CU_ASSERT(distance < CLOSE);
    free(want);
    free(have);
    rg_study_close(&study);
}

/* Five batches: depths that divide the units and that do not, on one stage and on three. */
static void try_streams(int epochs, const char *more)
{
    static const char *const kinds[] = {"pipedream.depth",
                                        "pipedream.weights=current pipedream.depth",
                                        "pipedream.schedule=ringtmp pipedream.in-flight"};
    for (size_t kind = 0; kind < RG_COUNT(kinds); kind++)
        for (int nodes = 1; nodes <= 3; nodes += 2)
            for (int micro = 1; micro <= 4; micro += 3)
                for (int depth = 1; depth <= 5; depth++) {
                    char sets[160];
                    snprintf(sets, sizeof sets, "nodes=%d pipedream.micro-batches=%d %s=%d%s",
                             nodes, micro, kinds[kind], depth, more);
                    a_stream_is_what_it_says(epochs, sets);
                }
}

static void streams_are_what_they_say(void)
{
    try_streams(1, "");
    try_streams(2, "");
}

/* Running statistics go towards what a batch has from where they are, not from where they were when
 * forward read them. */
static void statistics_are_not_late(void)
{
#define NORMS " network=" RG_SOURCE_DIR "/tests/data/norms-net.xml"
    a_stream_is_what_it_says(2, "nodes=3 pipedream.depth=5" NORMS);
    a_stream_is_what_it_says(2, "nodes=1 pipedream.depth=4 pipedream.micro-batches=4" NORMS);
    a_stream_is_what_it_says(2, "nodes=3 pipedream.schedule=ringtmp pipedream.in-flight=5" NORMS);
    a_stream_is_what_it_says(3, "nodes=3 pipedream.drain=never pipedream.depth=9" NORMS);
#undef NORMS
}

/* Three epochs of five batches, with and without compensation. */
static void streams_go_on_through_epochs(void)
{
    try_streams(3, " pipedream.drain=never");
    try_streams(3, " pipedream.drain=never compensate=yes");
    /* More in flight than two epochs have. */
    a_stream_is_what_it_says(3, "nodes=3 pipedream.drain=never pipedream.depth=12");
}

/* A goal reached at the end of an epoch: the parameters are those at that end, on all stages,
 * though all of them have gone on since. */
static void goals_end_with_the_epoch(void)
{
    static const char *const sets[] = {"pipedream.depth=9",
                                       "pipedream.depth=5 pipedream.weights=current",
                                       "pipedream.micro-batches=4 pipedream.depth=8 compensate=yes",
                                       "pipedream.schedule=ringtmp pipedream.in-flight=12"};
    for (size_t i = 0; i < RG_COUNT(sets); i++)
        for (int nodes = 1; nodes <= 3; nodes += 2) {
            struct rg_study study;
            struct rg_run run;
            char all[200];
            snprintf(all, sizeof all, "nodes=%d pipedream.drain=never %s", nodes, sets[i]);
            CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", all));
            const struct rg_job *job = harness_job(&study, "pipedream");
            float *have =
                harness_parameters(job, &(struct harness_options){.seed = 1, .goal = 0.01}, &run);
            CU_ASSERT_EQUAL(run.iterations, 5);
            CU_ASSERT_EQUAL(run.to_accuracy.iterations, 5);
            float *want = follow(job, 5);
            CU_ASSERT(harness_distance(want, have, job->network->parameters) < CLOSE);
            free(want);
            free(have);
            rg_run_free(&run);
            rg_study_close(&study);
        }
}

/* Asked to end in good order, all stages stop after the same update, also where some of them have
 * taken it before the pause at the end of an epoch and others after. */
static void stop_after(const char *file, const char *sets, int last)
{
    struct rg_study study;
    struct rg_run run;
    struct harness_options options = {.seed = 1, .stops_after = last};
    CU_ASSERT_FATAL(harness_open(&study, file, sets));
    const struct rg_job *job = harness_job(&study, "pipedream");
    if (harness_run(job, &options, &run, NULL) != 0 || run.status != RG_RUN_OK)
        printf("\n    %s, to end after %d: %s", sets, last, run.error);
    CU_ASSERT_EQUAL(run.status, RG_RUN_OK);
    CU_ASSERT_EQUAL(run.iterations, last);
    rg_run_free(&run);
    rg_study_close(&study);
}

static void any_update_may_be_the_last(void)
{
    static const char *const sets[] = {"drain=never pipedream.depth=9",
                                       "drain=never pipedream.micro-batches=2",
                                       "drain=never pipedream.micro-batches=4 pipedream.depth=8",
                                       "drain=never pipedream.overlap=no",
                                       "drain=never pipedream.overlap=no pipedream.micro-batches=4",
                                       "drain=never pipedream.schedule=ringtmp "
                                       "pipedream.in-flight=12",
                                       "drain=never pipedream.schedule=ringtmp "
                                       "pipedream.overlap=no",
                                       "drain=epoch pipedream.overlap=no",
                                       "drain=epoch pipedream.micro-batches=3",
                                       "schedule=zb-h1 pipedream.micro-batches=6"};
    for (size_t i = 0; i < RG_COUNT(sets); i++)
        for (int nodes = 3; nodes <= 5; nodes += 2)
            for (int last = 1; last < 15; last++) {
                char all[200];
                snprintf(all, sizeof all, "nodes=%d pipedream.%s", nodes, sets[i]);
                stop_after("matrix.xml", all, last);
            }
    static const char *const waiting[] = {"nodes=5 pipedream.overlap=no",
                                          "nodes=5 pipedream.overlap=no pipedream.drain=epoch",
                                          "nodes=3 pipedream.overlap=no pipedream.depth=9"};
    for (size_t i = 0; i < RG_COUNT(waiting); i++)
        for (int last = 4; last <= 6; last++)
            stop_after("long-messages.xml", waiting[i], last);
}

static void delays_are_compensated(void)
{
    try_streams(1, " compensate=yes");
    try_streams(1, " compensate=yes rate-ramp=4 optimizer=adam learning-rate=0.003");
}

/* With one unit in flight there is no delay. */
static void no_delay_is_not_compensated(void)
{
    static const char *const sets[] = {"nodes=3 pipedream.depth=1 pipedream.micro-batches=4",
                                       "nodes=3 pipedream.schedule=ringtmp pipedream.in-flight=1 "
                                       "optimizer=adam"};
    for (size_t i = 0; i < RG_COUNT(sets); i++) {
        char digests[2][65];
        for (int yes = 0; yes <= 1; yes++) {
            struct rg_study study;
            struct rg_run run;
            char all[160];
            snprintf(all, sizeof all, "%s%s", sets[i], yes ? " compensate=yes" : "");
            CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", all));
            CU_ASSERT_EQUAL(harness_run(harness_job(&study, "pipedream"),
                                        &(struct harness_options){.seed = 1}, &run, NULL),
                            0);
            snprintf(digests[yes], sizeof digests[yes], "%s", run.weights_sha256);
            rg_run_free(&run);
            rg_study_close(&study);
        }
        CU_ASSERT_STRING_EQUAL(digests[0], digests[1]);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"streams are what they say", streams_are_what_they_say},
        {"statistics are not late", statistics_are_not_late},
        {"any update may be the last", any_update_may_be_the_last},
        {"streams go on through epochs", streams_go_on_through_epochs},
        {"goals end with the epoch", goals_end_with_the_epoch},
        {"delays are compensated", delays_are_compensated},
        {"no delay is not compensated", no_delay_is_not_compensated},
    };
    rg_blas_setup(argv);
    return suite_main("streams", tests, sizeof tests / sizeof *tests, argc, argv);
}
