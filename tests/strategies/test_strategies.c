/* Every strategy against single-node training, and its account against its closed forms, in the mem
 * world. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/ring.h"
#include "strategies/samples.h"
#include "strategies/schedule.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

static const int NODES[] = {1, 2, 3, 5, 8};
#define EACH(i, array) for (size_t i = 0; i < sizeof(array) / sizeof *(array); i++)

static void same_digest(const struct rg_study *study, const char *reference, const char *label)
{
    harness_same_weights(harness_job(study, reference), harness_job(study, label), 0);
}

static void open_nodes(struct rg_study *study, const char *file, int nodes, const char *sets)
{
    char all[256];
    snprintf(all, sizeof all, "nodes=%d %s", nodes, sets);
    CU_ASSERT_FATAL(harness_open(study, file, all));
}

static void rings_equal_single(void)
{
    static const char *const labels[] = {"1f1b-shallow", "1f1b-waiting"};
    EACH(n, NODES)
    {
        struct rg_study study;
        open_nodes(&study, "matrix.xml", NODES[n], "");
        EACH(i, labels)
        same_digest(&study, "single", labels[i]);
        rg_study_close(&study);
    }
}

/* Whatever is in the table, with the same micro-batches; streams with one unit in flight. */
static void schedules_equal_single(void)
{
    for (int i = 0; rg_schedules[i]; i++)
        EACH(n, NODES)
        {
            const struct rg_schedule *schedule = rg_schedules[i];
            struct rg_study study;
            char sets[160];
            bool again = schedule->overlaps && schedule->stash == RG_STASH_ACTIVATIONS;
            if (schedule->in_chunks) /* on few nodes only: interleaved_equals_single */
                continue;
            int length =
                snprintf(sets, sizeof sets, "1f1b.schedule=%s", rg_schedule_name(schedule));
            if (!schedule->synchronous)
                snprintf(sets + length, sizeof sets - (size_t)length, " 1f1b.%s=1",
                         schedule->takes);
            open_nodes(&study, "matrix.xml", NODES[n], sets);
            same_digest(&study, "single", "1f1b");
            rg_study_close(&study);
            if (!again)
                continue;
            snprintf(sets + length, sizeof sets - (size_t)length, " 1f1b.recompute=yes");
            open_nodes(&study, "matrix.xml", NODES[n], sets);
            same_digest(&study, "single", "1f1b");
            rg_study_close(&study);
        }
}

static void near_single(const struct rg_job *job, const float *single);

/* Layers that mix samples, draw or keep statistics are the same in every cut, and workers as many
 * as micro-batches (of a server's nodes, one has no samples) have the gradients of one node. */
static void layers_equal_single(void)
{
    static const char *const labels[] = {"gpipe", "1f1b", "1f1b-again", "zb", "pipedream-1"};
    for (size_t n = 1; n < RG_COUNT(NODES); n++) {
        struct rg_study study;
        open_nodes(&study, "matrix-layers.xml", NODES[n], "");
        EACH(i, labels)
        same_digest(&study, "single", labels[i]);
        rg_study_close(&study);
        open_nodes(&study, "matrix-layers.xml", NODES[n], "optimizer=adam clip=2 sharded.shard=0");
        same_digest(&study, "single", "zb");
        rg_study_close(&study);
    }
    for (int nodes = 5; nodes <= 6; nodes++) {
        struct rg_study study;
        open_nodes(&study, "matrix-layers.xml", nodes, "iterations=1 optimizer=sgd");
        float *single = harness_parameters(harness_job(&study, "single"),
                                           &(struct harness_options){.seed = 1}, NULL);
        near_single(harness_job(&study, nodes == 5 ? "all-reduce" : "server"), single);
        if (nodes == 5)
            near_single(harness_job(&study, "sharded"), single);
        free(single);
        rg_study_close(&study);
    }
}

/* Several stages a node, in a chain of which every link but the last is between neighbours; with
 * two rings side by side, too. */
static void interleaved_equals_single(void)
{
    static const char *const labels[] = {"interleaved",         "interleaved-again",
                                         "interleaved-1",       "interleaved-3",
                                         "interleaved-waiting", "interleaved-copies"};
    for (int nodes = 2; nodes <= 4; nodes++) {
        struct rg_study study;
        open_nodes(&study, "matrix-interleaved.xml", nodes, "");
        EACH(i, labels)
        same_digest(&study, "single", labels[i]);
        rg_study_close(&study);
    }
}

/* Where backward takes the step of plain SGD along (single, ringtmp), the bits are those of the two
 * passes one after the other (sequential). */
static void fused_steps_change_nothing(void)
{
    EACH(n, NODES)
    {
        struct rg_study study;
        open_nodes(&study, "matrix-sgd.xml", NODES[n], "");
        same_digest(&study, "single", "sequential");
        same_digest(&study, "single", "ringtmp-1");
        same_digest(&study, "single", "pipedream-1");
        rg_study_close(&study);
    }
}

static void explicit_splits_equal_single(void)
{
    static const char *const splits[] = {"1,2,9", "4,7,1", "10,1,1"};
    EACH(i, splits)
    {
        struct rg_study study;
        char sets[80];
        snprintf(sets, sizeof sets, "1f1b.partition=%s gpipe.partition=%s", splits[i], splits[i]);
        open_nodes(&study, "matrix.xml", 3, sets);
        same_digest(&study, "single", "1f1b");
        same_digest(&study, "single", "gpipe");
        rg_study_close(&study);
    }
}

/* A strategy whose gradients are of the weights that they change trains as `single` does, but for
 * the order of additions. */
static void near_single(const struct rg_job *job, const float *single)
{
    struct rg_run run;
    float *values = harness_parameters(job, &(struct harness_options){.seed = 2}, &run);
    double distance = harness_distance(single, values, job->network->parameters);
    if (run.staleness == 0 && !(distance < 1e-5))
        printf("%s on %d nodes: largest difference %g\n", job->label, job->nodes, distance);
    CU_ASSERT(run.staleness > 0 || distance < 1e-5);
    rg_run_free(&run);
    free(values);
}

/* A ramp, clipping, l1, l2 and schedules of the rate are the same however layers are split, and all
 * do something. */
static void ramps_and_clips_equal_single(void)
{
    static const char *const sets[] = {"rate-ramp=9",
                                       "clip=0.02",
                                       "rate-ramp=9 clip=0.02",
                                       "l1=0.05",
                                       "l1=0.05 l2=0.1 optimizer=momentum",
                                       "l1=0.05 l2=0.1 optimizer=adagrad",
                                       "l2=0.1 optimizer=adam",
                                       "rate-schedule=step rate-period=4 rate-factor=0.5",
                                       "rate-schedule=cosine rate-ramp=3 rate-factor=0.1"};
    struct rg_study study;
    struct rg_run plain;
    open_nodes(&study, "matrix-sgd.xml", 3, "");
    harness_run_ok(harness_job(&study, "single"), &(struct harness_options){0}, &plain);
    rg_study_close(&study);
    EACH(i, sets)
    {
        struct rg_run run;
        open_nodes(&study, "matrix-sgd.xml", 3, sets[i]);
        harness_run_ok(harness_job(&study, "single"), &(struct harness_options){0}, &run);
        CU_ASSERT_STRING_NOT_EQUAL(run.weights_sha256, plain.weights_sha256);
        rg_run_free(&run);
        same_digest(&study, "single", "sequential");
        same_digest(&study, "single", "ringtmp-1");
        same_digest(&study, "single", "pipedream-1");
        rg_study_close(&study);
        open_nodes(&study, "matrix.xml", 5, sets[i]);
        same_digest(&study, "single", "1f1b");
        float *values =
            harness_parameters(harness_job(&study, "single-1"), &(struct harness_options){0}, NULL);
        near_single(harness_job(&study, "all-reduce"), values);
        free(values);
        rg_study_close(&study);
    }
    rg_run_free(&plain);
}

/* Every strategy of matrix.xml, and of matrix-servers.xml in shapes that fit so many nodes. */
static void strategies_are_near_single(void)
{
    EACH(n, NODES)
    {
        struct rg_study study;
        open_nodes(&study, "matrix.xml", NODES[n], "");
        const struct rg_job *single = harness_job(&study, "single-1");
        float *values = harness_parameters(single, &(struct harness_options){0}, NULL);
        for (int i = 0; i < study.job_count; i++)
            near_single(&study.jobs[i], values);
        rg_study_close(&study);
        for (int servers = 1; servers < NODES[n] && servers <= 3; servers++) {
            char sets[80];
            snprintf(sets, sizeof sets, "server.servers=%d replicas.replicas=%d", servers,
                     NODES[n]);
            open_nodes(&study, "matrix-servers.xml", NODES[n], sets);
            for (int i = 0; i < study.job_count; i++)
                near_single(&study.jobs[i], values);
            rg_study_close(&study);
        }
        free(values);
    }
}

/* Sums of several stages of a node are under way between the same nodes. */
/* Twelve layers on seven nodes: there are not two for each, so that it is one, as with 1f1b. */
static void chunks_are_as_many_as_layers_allow(void)
{
    struct rg_study study;
    if (!harness_open(&study, "matrix.xml", "nodes=7 zb.schedule=interleaved zb.micro-batches=14"))
        return;
    const struct rg_ring *ring = harness_job(&study, "zb")->plan;
    CU_ASSERT_EQUAL(ring->stages, 7);
    rg_study_close(&study);
}

static void interleaved_replicas_are_near_single(void)
{
    static const struct {
        int nodes;
        const char *sets;
    } cases[] = {{4, "interleaved.replicas=2 interleaved.micro-batches=10 "
                     "interleaved-3.replicas=2 interleaved-3.micro-batches=10"},
                 {4, "interleaved.replicas=2 interleaved.micro-batches=10 "
                     "interleaved.partition=1,2,1,8"},
                 {6, "interleaved.replicas=3 interleaved.micro-batches=6 "
                     "interleaved-3.replicas=3 interleaved-3.micro-batches=6"}};
    struct rg_study study;
    open_nodes(&study, "matrix-interleaved.xml", 2, "");
    const struct rg_job *single = harness_job(&study, "single");
    float *values = harness_parameters(single, &(struct harness_options){0}, NULL);
    rg_study_close(&study);
    EACH(i, cases)
    {
        open_nodes(&study, "matrix-interleaved.xml", cases[i].nodes, cases[i].sets);
        near_single(harness_job(&study, "interleaved"), values);
        near_single(harness_job(&study, "interleaved-3"), values);
        rg_study_close(&study);
    }
    free(values);
}

static void replicas_of_rings_are_near_single(void)
{
    static const char *const shapes[] = {"replicas.replicas=2 replicas.stages=4",
                                         "replicas.replicas=4 replicas.stages=2"};
    EACH(i, shapes)
    {
        struct rg_study study;
        open_nodes(&study, "matrix.xml", 1, "");
        const struct rg_job *single = harness_job(&study, "single-1");
        float *values = harness_parameters(single, &(struct harness_options){0}, NULL);
        rg_study_close(&study);
        open_nodes(&study, "matrix-servers.xml", 8, shapes[i]);
        near_single(harness_job(&study, "replicas"), values);
        rg_study_close(&study);
        free(values);
    }
}

/* Does a rank draw samples? As the pages on the strategies say. */
static bool draws(const struct rg_job *job, int rank)
{
    if (strcmp(job->strategy->name, "ring_pipeline") == 0)
        return rank % ((const struct rg_ring *)job->plan)->nodes == 0;
    if (strcmp(job->strategy->name, "parameter_server") != 0)
        return true;
    for (int i = 0; job->strategy->params[i].name; i++)
        if (strcmp(job->strategy->params[i].name, "servers") == 0)
            return rank >= job->values[i].number;
    CU_FAIL("a server without servers");
    return false;
}

/* A training sample: its floats, a label, 4 bytes for its place in the order; rank 0 tests. */
static uint64_t samples_of(const struct rg_job *job, int rank)
{
    const struct rg_dataset *data = job->data;
    uint64_t train = (uint64_t)data->train * (4 * data->inputs + 1 + 4);
    uint64_t test = (uint64_t)data->test * (4 * data->inputs + 1);
    return (draws(job, rank) ? train : 0) + (rank == 0 ? test : 0);
}

/* Every strategy of a study: what a run counted is what its closed forms say, exactly. */
static void account_equals_forms(const struct rg_study *study)
{
    for (int i = 0; i < study->job_count; i++) {
        const struct rg_job *job = &study->jobs[i];
        struct rg_prediction p = {0};
        struct rg_run run;
        job->strategy->predict(job, &p);
        uint64_t iterations = (uint64_t)(job->iterations / RG_MAX(p.round, 1));
        harness_run_ok(job, &(struct harness_options){.seed = 5}, &run);
        CU_ASSERT_EQUAL(run.traffic.messages, p.messages * iterations);
        CU_ASSERT_EQUAL(run.traffic.values, p.values * iterations);
        CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * iterations);
        CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
        for (int rank = 0; rank < job->nodes; rank++)
            CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes,
                            job->strategy->memory(job, rank) + samples_of(job, rank));
        if (p.overlap)
            CU_ASSERT_EQUAL(run.late_receives, 0);
        CU_ASSERT_DOUBLE_EQUAL(run.formula.T_A_s, p.T_A_s, 1e-9 * p.T_A_s);
        rg_run_free(&run);
    }
}

static void accounts_equal_forms(void)
{
    EACH(n, NODES)
    {
        struct rg_study study;
        open_nodes(&study, "matrix.xml", NODES[n], "");
        account_equals_forms(&study);
        rg_study_close(&study);
        if (NODES[n] == 2 || NODES[n] == 3) {
            open_nodes(&study, "matrix-interleaved.xml", NODES[n], "");
            account_equals_forms(&study);
            rg_study_close(&study);
        }
        for (int servers = 1; servers < NODES[n]; servers += 2) {
            char sets[80];
            snprintf(sets, sizeof sets, "server.servers=%d replicas.replicas=%d", servers,
                     NODES[n]);
            open_nodes(&study, "matrix-servers.xml", NODES[n], sets);
            account_equals_forms(&study);
            rg_study_close(&study);
        }
    }
}

/* Of 7 units in flight a stage has as many stashes, or where they are computed again one, and the
 * outputs of those 4 that may be leaving. */
static void recomputing_keeps_outputs(void)
{
    struct rg_study study;
    open_nodes(&study, "matrix.xml", 3, "");
    const struct rg_job *keeps = harness_job(&study, "1f1b");
    const struct rg_job *again = harness_job(&study, "1f1b-again");
    const struct rg_ring *ring = again->plan;
    struct rg_stage first = rg_ring_stage(ring, 0);
    uint64_t n = 4; /* of 23 samples in 7 micro-batches the largest has so many */
    uint64_t stash = rg_stage_stash(&first, (int)n), outputs = n * rg_stage_outputs(&first);
    CU_ASSERT_EQUAL(((const struct rg_ring *)keeps->plan)->cut[1], ring->cut[1]);
    CU_ASSERT_EQUAL(rg_job_memory(keeps, 0) - rg_job_memory(again, 0),
                    sizeof(float) * (7 * stash - (stash + 4 * outputs)));
    rg_study_close(&study);
}

static void peaks_and_staleness_are_the_depths(void)
{
    static const struct {
        const char *label;
        long peak, staleness;
    } want[] = {{"sequential", 1, 0},  {"gpipe", 7, 0},
                {"1f1b", 7, 0},        {"1f1b-shallow", 2, 0},
                {"1f1b-again", 7, 0},  {"zb-h1", 3, 0},
                {"zb-h2", 5, 0},       {"zb", 7, 0},
                {"zb-waiting", 4, 0},  {"ringtmp-1", 1, 0},
                {"ringtmp", 9, 4},     {"pipedream", 9, 4},
                {"pipedream-3", 9, 3}, {"pipedream-newest", 9, 3},
                {"ringtmp-7", 9, 2}};
    struct rg_study study;
    open_nodes(&study, "matrix.xml", 3, "");
    EACH(i, want)
    {
        struct rg_run run;
        harness_run_ok(harness_job(&study, want[i].label), &(struct harness_options){.seed = 1},
                       &run);
        /* Epochs of 5 batches end before 9 are in flight, of one unit each. */
        const struct rg_job *job = harness_job(&study, want[i].label);
        long units = 5 * (job->values[1].number);
        long peak = RG_MIN(want[i].peak, units);
        CU_ASSERT_EQUAL(run.peak_units, peak);
        CU_ASSERT_EQUAL(run.staleness, want[i].staleness);
        rg_run_free(&run);
    }
    rg_study_close(&study);
}

static void expect_param(const struct rg_job *job, const char *name, const char *want)
{
    for (int i = 0; job->strategy->params[i].name; i++)
        if (strcmp(job->strategy->params[i].name, name) == 0) {
            char *text = rg_job_param_text(job, i);
            CU_ASSERT_STRING_EQUAL(text, want);
            free(text);
        }
}

/* On 2 stages: 4 micro-batches a stage where they fill the ring; 3 units a stage in flight. With
 * one in flight nothing can be hidden. */
static void what_auto_comes_to(void)
{
    static const struct {
        const char *schedule, *micro_batches, *depth, *in_flight;
        bool overlap;
        int64_t under_way;
    } want[] = {
        {"sequential", "1", "auto", "auto", false, 2}, {"ringtmp", "1", "auto", "6", true, 6},
        {"gpipe", "8", "auto", "auto", true, 2},       {"1f1b", "8", "6", "auto", true, 2},
        {"zb-h1", "8", "auto", "auto", true, 2},       {"zb", "8", "6", "auto", true, 2},
        {"pipedream", "1", "6", "auto", true, 6}};
    EACH(i, want)
    {
        struct rg_study study;
        struct rg_prediction p;
        char sets[80];
        snprintf(sets, sizeof sets, "1f1b.micro-batches=auto 1f1b.schedule=%s", want[i].schedule);
        open_nodes(&study, "matrix.xml", 2, sets);
        const struct rg_job *job = harness_job(&study, "1f1b");
        expect_param(job, "micro-batches", want[i].micro_batches);
        expect_param(job, "depth", want[i].depth);
        expect_param(job, "in-flight", want[i].in_flight);
        rg_job_predict(job, &p);
        CU_ASSERT_EQUAL(p.overlap, want[i].overlap);
        CU_ASSERT_EQUAL(job->strategy->under_way(job), want[i].under_way);
        rg_study_close(&study);
    }
}

/* Time may shift, numerics may not: also the asynchronous schedules have a fixed order. */
static void timing_changes_no_weight(void)
{
    struct rg_study study;
    open_nodes(&study, "matrix.xml", 5, "");
    for (int i = 0; i < study.job_count; i++) {
        const struct rg_job *job = &study.jobs[i];
        struct rg_run first, run;
        harness_run_ok(job, &(struct harness_options){.seed = 1}, &first);
        for (uint64_t seed = 2; seed < 12; seed++) {
            const struct harness_options options = {
                .seed = seed, .jitter = 0.2 * (double)seed, .free_transfers = seed % 3 == 0};
            harness_run_ok(job, &options, &run);
            CU_ASSERT_STRING_EQUAL(run.weights_sha256, first.weights_sha256);
            rg_run_free(&run);
        }
        rg_run_free(&first);
    }
    rg_study_close(&study);
}

/* Ports at a byte a second: a node has its sums long before the last that it passes on has left,
 * and what it computes next must not disturb that. */
static void slow_ports_change_no_weight(void)
{
    struct rg_study study;
    open_nodes(&study, "matrix.xml", 5, "");
    for (int i = 0; i < study.job_count; i++) {
        struct rg_job slow = *harness_job(&study, study.jobs[i].label);
        struct rg_board board = *slow.boards[0];
        const struct rg_board *boards[5] = {&board, &board, &board, &board, &board};
        const struct harness_options options = {.seed = 1};
        struct rg_run first, run;
        board.port_rate = 1;
        harness_run_ok(&slow, &options, &first);
        slow.boards = boards;
        harness_run_ok(&slow, &options, &run);
        CU_ASSERT(slow.nodes == 1 || run.time_s > 1000 * first.time_s);
        CU_ASSERT_STRING_EQUAL(run.weights_sha256, first.weights_sha256);
        rg_run_free(&first);
        rg_run_free(&run);
    }
    rg_study_close(&study);
}

/* A network whose second layer cannot go backward in halves: zero bubble is refused, and other
 * schedules are not. */
static void layers_that_do_not_split_are_refused(void)
{
    static const char *const labels[] = {"zb-h1", "zb-h2", "zb", "1f1b"};
    struct rg_study study;
    open_nodes(&study, "matrix.xml", 2, "");
    EACH(i, labels)
    {
        struct rg_job job = *harness_job(&study, labels[i]);
        struct rg_network network = *job.network;
        struct rg_layer layers[32];
        CU_ASSERT_FATAL(network.layer_count <= 32);
        memcpy(layers, network.layers, (size_t)network.layer_count * sizeof *layers);
        struct rg_layer_ops ops = *layers[1].spec.ops;
        struct rg_error e = {0};
        ops.name = "whole";
        ops.splits = false;
        layers[1].spec.ops = &ops;
        network.layers = layers;
        job.network = &network;
        job.plan = NULL;
        for (int k = 0; k < RG_PARAMS_MAX; k++)
            if (job.values[k].automatic)
                job.values[k].list = NULL;
        bool refused = job.strategy->check(&job, &e) == RG_ERR_INVALID;
        CU_ASSERT_EQUAL(refused, i < 3);
        if (refused)
            CU_ASSERT(strstr(e.text, "two halves (dense, residual, conv2d, ") &&
                      strstr(e.text, ", and those without parameters): not whole, layer 1 of "));
        job.strategy->forget(&job);
        for (int k = 0; k < RG_PARAMS_MAX; k++)
            if (job.values[k].automatic)
                free(job.values[k].list);
    }
    rg_study_close(&study);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"synchronous rings give the bits of single", rings_equal_single},
        {"every kind of layer", layers_equal_single},
        {"so do several stages a node", interleaved_equals_single},
        {"as many as there are layers for", chunks_are_as_many_as_layers_allow},
        {"rings of several stages a node, side by side, train as single",
         interleaved_replicas_are_near_single},
        {"every schedule gives the bits of single", schedules_equal_single},
        {"fused steps change nothing", fused_steps_change_nothing},
        {"ramps and clipping give the bits of single", ramps_and_clips_equal_single},
        {"explicit splits give the bits of single", explicit_splits_equal_single},
        {"strategies without stale gradients are near single", strategies_are_near_single},
        {"replicas of rings are near single", replicas_of_rings_are_near_single},
        {"traffic and memory equal the closed forms", accounts_equal_forms},
        {"peak activations and staleness are the depths", peaks_and_staleness_are_the_depths},
        {"recomputing keeps outputs", recomputing_keeps_outputs},
        {"what auto comes to", what_auto_comes_to},
        {"zero bubble wants layers that split", layers_that_do_not_split_are_refused},
        {"timing changes no weight", timing_changes_no_weight},
        {"slow ports change no weight", slow_ports_change_no_weight},
    };
    rg_blas_setup(argv);
    return suite_main("strategies", tests, sizeof tests / sizeof *tests, argc, argv);
}
