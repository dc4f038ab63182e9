/* Runs that end before their time go on from a checkpoint, in the mem world: as if nothing had
 * happened, whatever the strategy; on other nodes or with another strategy, to the weights that all
 * of them agree on. */
#include "base/check.h"
#include "strategies/allocated.h"
#include "strategies/saved.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <stdlib.h>

/* One that goes on and is told to stop before it has trained anything has what it went on from. */
static void told_to_stop_at_once(void)
{
    static const char *const labels[] = {"gpipe", "all-reduce"};
    enum { DONE = 7 };
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "optimizer=momentum nodes=3"));
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        const struct rg_job *job = harness_job(&study, labels[i]);
        const char *from = saved_folder(),
                   *saved[2] = {scratch_path("at-first"), scratch_path("again")};
        struct rg_training_state state;
        struct rg_error e = {0};
        struct rg_run runs[2];
        float *values[2];
        CU_ASSERT_EQUAL_FATAL(rg_training_folder(from, false, &e), 0);
        for (int again = 0; again < 2; again++) {
            const struct harness_options options = {.seed = 2,
                                                    .checkpoint = again ? NULL : from,
                                                    .every = {.seconds = 1e9},
                                                    .resume = again ? &state : NULL,
                                                    .save = saved[again],
                                                    .stops_after = DONE};
            saved_must_be_ok(job, harness_run(job, &options, &runs[again], NULL), &runs[again]);
            CU_ASSERT_EQUAL(runs[again].iterations, DONE);
            CU_ASSERT_TRUE(runs[again].ending.early);
            if (!again)
                CU_ASSERT_EQUAL_FATAL(rg_node_open_checkpoints(job, NULL, from, &state, &e), 0);
            CU_ASSERT_EQUAL(
                rg_checkpoint_load(saved[again], job->network, NULL, &values[again], &e), 0);
        }
        CU_ASSERT_STRING_EQUAL(runs[1].weights_sha256, runs[0].weights_sha256);
        CU_ASSERT_EQUAL(memcmp(values[0], values[1], job->network->parameters * sizeof *values[0]),
                        0);
        rg_training_state_free(&state);
        for (int k = 0; k < 2; k++) {
            rg_run_free(&runs[k]);
            free(values[k]);
        }
    }
    rg_study_close(&study);
    scratch_remove();
}

/* From the checkpoint of its end there is nothing to train, and the same result. */
static void ended_runs_go_on(void)
{
    struct rg_study study;
    struct rg_run whole, run;
    struct rg_error e;
    const char *at = saved_folder();
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3"));
    const struct rg_job *job = harness_job(&study, "1f1b");
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
    const struct harness_options options = {.seed = 1, .checkpoint = at, .every = {.seconds = 1e9}};
    saved_must_be_ok(job, harness_run(job, &options, &whole, NULL), &whole);
    CU_ASSERT_EQUAL(whole.checkpoints.written, 1);
    saved_go_on(job, at, &run);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole.weights_sha256);
    CU_ASSERT_EQUAL(run.final.loss, whole.final.loss);
    CU_ASSERT_EQUAL(run.point_count, whole.point_count);
    CU_ASSERT_EQUAL(run.time_s, 0);
    rg_run_free(&run);
    rg_run_free(&whole);
    rg_study_close(&study);
}

static void same_training(const struct rg_run *a, const struct rg_run *b)
{
    CU_ASSERT_EQUAL(a->point_count, b->point_count);
    for (int i = 0; i < RG_MIN(a->point_count, b->point_count); i++) {
        CU_ASSERT_EQUAL(a->training[i].iteration, b->training[i].iteration);
        CU_ASSERT_EQUAL(a->training[i].loss, b->training[i].loss);
        CU_ASSERT_EQUAL(a->training[i].accuracy, b->training[i].accuracy);
        /* stages go on from one date, which they did not all have before */
        CU_ASSERT_DOUBLE_EQUAL(a->training[i].time_s, b->training[i].time_s,
                               0.1 * b->training[0].time_s);
    }
    CU_ASSERT_EQUAL(a->final.loss, b->final.loss);
}

/* Stopped after so many iterations, gone on from the checkpoint. */
static void as_if_nothing(const struct rg_job *job, const struct rg_run *whole, int64_t stop)
{
    struct rg_run run;
    const char *at = saved_folder();
    saved_stop_after(job, stop, at);
    saved_go_on(job, at, &run);
    if (strcmp(run.weights_sha256, whole->weights_sha256) != 0)
        printf("%s on %d nodes, stopped after %d: other weights\n", job->label, job->nodes,
               (int)stop);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole->weights_sha256);
    CU_ASSERT_TRUE(run.resumed.exact);
    CU_ASSERT_EQUAL(run.note_count, 0);
    if (stop % job->iterations_per_epoch == 0)
        same_training(&run, whole);
    rg_run_free(&run);
}

/* Do its weights depend on nothing but the job? */
static bool is_certain(const struct rg_job *job)
{
    return !job->flows_on && (!job->strategy->whole_epochs || !job->strategy->whole_epochs(job) ||
                              strcmp(job->strategy->name, "ring_pipeline") == 0);
}

/* After every epoch, and in the middle of one where a pause there changes nothing. */
static void every_boundary(const struct rg_job *job)
{
    struct rg_run whole;
    int64_t epoch = job->iterations_per_epoch;
    if (job->refused || !is_certain(job))
        return;
    saved_must_be_ok(job, harness_run(job, &(struct harness_options){.seed = 1}, &whole, NULL),
                     &whole);
    for (int64_t stop = epoch; stop < job->iterations; stop += epoch)
        as_if_nothing(job, &whole, stop);
    if (!job->strategy->whole_epochs || !job->strategy->whole_epochs(job))
        as_if_nothing(job, &whole, epoch + epoch / 2);
    rg_run_free(&whole);
}

/* quick: not only where all are asked for. */
static void every_job(const char *file, const char *sets, bool quick)
{
    struct rg_study study;
    if (!quick && !getenv("RG_CHECKPOINTS_ALL"))
        return;
    CU_ASSERT_FATAL(harness_open(&study, file, sets));
    for (int i = 0; i < study.job_count; i++)
        every_boundary(&study.jobs[i]);
    rg_study_close(&study);
}

static void rings_go_on(void)
{
    every_job("matrix.xml", "nodes=3", true);
    every_job("matrix-interleaved.xml", "nodes=2 optimizer=adam", true);
    every_job("matrix-sgd.xml", "nodes=3", true);
    every_job("matrix.xml", "nodes=5 optimizer=adam", false);
    every_job("matrix-interleaved.xml", "nodes=3", false);
}

static void layers_of_all_kinds_go_on(void)
{
    every_job("matrix-layers.xml", "nodes=2 optimizer=adam clip=2 sharded.shard=0", true);
    every_job("matrix-layers.xml", "nodes=3", false);
}

static void sums_go_on(void)
{
    every_job("matrix-allreduce.xml", "nodes=2 optimizer=adam", true);
    every_job("matrix-allreduce.xml", "nodes=4", false);
    every_job("matrix-allreduce.xml", "nodes=4 optimizer=adam", false);
}

static void servers_go_on(void)
{
    every_job("matrix-servers.xml",
              "nodes=3 optimizer=adam server.servers=2 replicas.replicas=3 server.replication=1",
              true);
    every_job("matrix-filters.xml", "nodes=3", true);
    every_job("matrix-federated.xml", "nodes=3 optimizer=adam", true);
    every_job("matrix-fsvrg.xml", "nodes=3", true);
    every_job("matrix-tasks.xml", "nodes=5 optimizer=adam mapreduce.reducers=2 mapreduce.copies=2",
              true);
    every_job("matrix-servers.xml", "nodes=4 server.servers=2 replicas.replicas=4", false);
    every_job("matrix-filters.xml", "nodes=4 optimizer=adam", false);
    every_job("matrix-rings.xml", "optimizer=adam", false);
    every_job("matrix-federated.xml", "nodes=4", false);
}

/* Predicted weights and steps that know of delays are state, too; so is the place on a schedule of
 * the learning rate. */
static void settings_go_on(void)
{
    static const char *const labels[] = {"ringtmp", "pipedream", "pipedream-3", "1f1b"};
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(
        &study, "matrix.xml",
        "nodes=3 optimizer=adam compensate=yes rate-ramp=3 rate-schedule=cosine clip=1"));
    for (size_t i = 0; i < RG_COUNT(labels); i++)
        every_boundary(harness_job(&study, labels[i]));
    rg_study_close(&study);
    every_job("matrix.xml", "nodes=3 compensate=yes", false);
    every_job("matrix.xml", "nodes=2 rate-schedule=cosine rate-ramp=3 clip=1", false);
}

/* Nodes out of step, streams that flow on: checkpoints at ends of epochs, or none. */
static void out_of_step_go_on(void)
{
    struct rg_study study;
    struct rg_run run;
    struct rg_error e;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-stale.xml", "nodes=3"));
    for (int i = 0; i < study.job_count; i++) {
        const struct rg_job *job = &study.jobs[i];
        const char *at = saved_folder();
        saved_stop_after(job, job->iterations_per_epoch, at);
        saved_go_on(job, at, &run);
        CU_ASSERT_EQUAL(run.resumed.exact, strcmp(job->label, "bsp") == 0);
        rg_run_free(&run);
    }
    rg_study_close(&study);
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3"));
    struct rg_training_state none;
    const struct rg_job *on = harness_job(&study, "pipedream-on");
    CU_ASSERT_EQUAL(rg_node_open_checkpoints(on, saved_folder(), NULL, &none, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "pipedream-on|drain=\"never\"|drain=\"epoch\""));
    rg_study_close(&study);
}

/* A history of gradients, with its scalars to the last bit. */
static void searches_go_on(void)
{
    every_job("matrix-lbfgs.xml", "nodes=4 epochs=7", true);
    every_job("matrix-lbfgs.xml", "nodes=5 sandblaster.servers=2", false);
}

static void every_strategy_has_them(void)
{
    for (int i = 0; rg_strategies[i]; i++)
        CU_ASSERT_PTR_NOT_NULL(rg_strategies[i]->state);
}

/* In the middle of an epoch a stream has no checkpoint: the one before stands. */
static void streams_wait_for_the_epoch(void)
{
    struct rg_study study;
    struct rg_run run;
    struct rg_error e;
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3"));
    const struct rg_job *job = harness_job(&study, "ringtmp");
    const char *at = saved_folder();
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
    const struct harness_options options = {.seed = 2,
                                            .checkpoint = at,
                                            .every = {.iterations = 2},
                                            .stops_after = job->iterations_per_epoch + 2};
    saved_must_be_ok(job, harness_run(job, &options, &run, NULL), &run);
    CU_ASSERT_EQUAL(run.checkpoints.written, 1);
    CU_ASSERT_EQUAL(run.checkpoints.iteration, job->iterations_per_epoch);
    rg_run_free(&run);
    rg_study_close(&study);
}

/* ---- other nodes, other strategies ---- */

static void divided_anew(const char *file, const char *sets, const char *from_label,
                         const char *to_label, int nodes)
{
    struct rg_study study, other;
    struct rg_run whole, run;
    char text[100];
    const char *at = saved_folder();
    snprintf(text, sizeof text, "nodes=3 %s", sets);
    CU_ASSERT_FATAL(harness_open(&study, file, text));
    snprintf(text, sizeof text, "nodes=%d %s", nodes, sets);
    CU_ASSERT_FATAL(harness_open(&other, file, text));
    const struct rg_job *from = harness_job(&study, from_label);
    const struct rg_job *to = harness_job(&other, to_label);
    saved_must_be_ok(from, harness_run(from, &(struct harness_options){.seed = 1}, &whole, NULL),
                     &whole);
    saved_stop_after(from, 7, at);
    saved_go_on(to, at, &run);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole.weights_sha256);
    CU_ASSERT_FALSE(run.resumed.exact);
    CU_ASSERT_EQUAL_FATAL(run.note_count, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(run.notes[0], from->strategy->name));
    CU_ASSERT_PTR_NOT_NULL(strstr(run.notes[0], "divided anew"));
    CU_ASSERT_PTR_NULL(strstr(run.notes[0], "left out"));
    rg_run_free(&run);
    rg_run_free(&whole);
    rg_study_close(&study);
    rg_study_close(&other);
}

static void state_is_divided_anew(void)
{
    divided_anew("matrix.xml", "", "single", "1f1b", 5);
    divided_anew("matrix.xml", "optimizer=adam", "1f1b", "single", 3);
    divided_anew("matrix.xml", "optimizer=adam", "1f1b", "zb", 2);
    divided_anew("matrix.xml", "", "gpipe", "1f1b", 8);
    divided_anew("matrix.xml", "all-reduce.shard=3", "zb-h1", "1f1b", 2);
    divided_anew("matrix-lbfgs.xml", "", "single", "sandblaster-1", 3);
    divided_anew("matrix-lbfgs.xml", "", "sandblaster-1", "single", 3);
}

/* What nodes had for themselves is of no use to others, and the result says so. */
static void own_state_is_left_out(void)
{
    struct rg_study study, other;
    struct rg_run run, bare;
    struct rg_training_state state;
    struct rg_error e;
    const char *at = saved_folder();
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3 all-reduce.compress=int8"));
    CU_ASSERT_FATAL(harness_open(&other, "matrix.xml", "nodes=2 all-reduce.compress=int8"));
    saved_stop_after(harness_job(&study, "all-reduce"), 5, at);
    saved_go_on(harness_job(&other, "all-reduce"), at, &run);
    CU_ASSERT_EQUAL_FATAL(run.note_count, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(run.notes[0], "left out"));
    /* as from a checkpoint that has none of it */
    const struct rg_job *job = harness_job(&other, "all-reduce");
    CU_ASSERT_EQUAL_FATAL(rg_node_open_checkpoints(job, NULL, at, &state, &e), 0);
    int all = state.array_count;
    while (state.arrays[state.array_count - 1].rank >= 0)
        state.array_count--;
    CU_ASSERT_EQUAL(all, state.array_count + 3);
    saved_must_be_ok(
        job, harness_run(job, &(struct harness_options){.seed = 3, .resume = &state}, &bare, NULL),
        &bare);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, bare.weights_sha256);
    state.array_count = all;
    rg_training_state_free(&state);
    rg_run_free(&bare);
    rg_run_free(&run);
    rg_study_close(&study);
    rg_study_close(&other);
}

/* The way to a goal, and patience, go on where they were. */
static void patience_goes_on(void)
{
    struct rg_study study;
    struct rg_run whole, run;
    struct rg_training_state state;
    struct rg_error e = {0};
    const char *at = saved_folder();
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=2 epochs=12 learning-rate=0.5"));
    const struct rg_job *job = harness_job(&study, "1f1b");
    saved_must_be_ok(
        job, harness_run(job, &(struct harness_options){.seed = 1, .patience = 2}, &whole, NULL),
        &whole);
    CU_ASSERT_TRUE_FATAL(whole.iterations > 10 && whole.iterations < job->iterations);
    saved_stop_after(job, whole.iterations - 5, at);
    CU_ASSERT_EQUAL_FATAL(rg_node_open_checkpoints(job, NULL, at, &state, &e), 0);
    const struct harness_options options = {.seed = 1, .patience = 2, .resume = &state};
    saved_must_be_ok(job, harness_run(job, &options, &run, NULL), &run);
    CU_ASSERT_EQUAL(run.iterations, whole.iterations);
    CU_ASSERT_EQUAL(run.best.iteration, whole.best.iteration);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole.weights_sha256);
    rg_training_state_free(&state);
    rg_run_free(&run);
    rg_run_free(&whole);
    rg_study_close(&study);
}

/* A training that <stop> has ended is at its end: the same result once more, unless more is asked
 * for. */
static void what_has_its_goal_is_over(void)
{
    struct rg_study study;
    struct rg_run plain;
    struct rg_error e = {0};
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=2 epochs=12 learning-rate=0.5"));
    const struct rg_job *job = harness_job(&study, "1f1b");
    saved_must_be_ok(job, harness_run(job, &(struct harness_options){.seed = 0}, &plain, NULL),
                     &plain);
    const struct harness_options ways[] = {
        {.patience = 2}, {.goal = plain.training[1].accuracy}, {.loss = plain.training[1].loss}};
    rg_run_free(&plain);
    for (size_t i = 0; i < RG_COUNT(ways); i++) {
        struct rg_run whole, run;
        struct rg_training_state state;
        struct harness_options options = ways[i];
        const char *at = saved_folder();
        CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
        options.checkpoint = at;
        options.every.seconds = 1e9;
        saved_must_be_ok(job, harness_run(job, &options, &whole, NULL), &whole);
        CU_ASSERT_TRUE(whole.iterations < job->iterations);
        CU_ASSERT_EQUAL_FATAL(rg_node_open_checkpoints(job, NULL, at, &state, &e), 0);
        options.checkpoint = NULL;
        options.resume = &state;
        saved_must_be_ok(job, harness_run(job, &options, &run, NULL), &run);
        CU_ASSERT_EQUAL(run.iterations, whole.iterations);
        CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole.weights_sha256);
        CU_ASSERT_EQUAL(run.point_count, whole.point_count);
        CU_ASSERT_EQUAL(run.to_accuracy.iterations, whole.to_accuracy.iterations);
        CU_ASSERT_EQUAL(run.to_loss.iterations, whole.to_loss.iterations);
        CU_ASSERT_EQUAL(run.note_count, whole.note_count);
        CU_ASSERT_FALSE(run.ending.early);
        rg_run_free(&run);
        const struct harness_options more = {.resume = &state};
        saved_must_be_ok(job, harness_run(job, &more, &run, NULL), &run);
        CU_ASSERT_EQUAL(run.iterations, job->iterations);
        rg_run_free(&run);
        rg_run_free(&whole);
        rg_training_state_free(&state);
    }
    rg_study_close(&study);
}

/* A job of one of the matrices, what an undisturbed run of it gives, and how many calls of the
 * world its ranks make for it. */
struct victim {
    struct rg_study study;
    const struct rg_job *job;
    struct rg_run whole;
    long operations[8];
};

static void choose(struct victim *v, uint64_t seed)
{
    static const char *const files[][2] = {{"matrix.xml", "nodes=2"},
                                           {"matrix-allreduce.xml", "nodes=2"},
                                           {"matrix-servers.xml", "nodes=3 replicas.replicas=3"},
                                           {"matrix-filters.xml", "nodes=3"},
                                           {"matrix-interleaved.xml", "nodes=2"},
                                           {"matrix-tasks.xml", "nodes=4"},
                                           {"matrix-fsvrg.xml", "nodes=3"},
                                           {"matrix-lbfgs.xml", "nodes=4 epochs=9"}};
    const char *const *file = files[rg_mix64(seed) % RG_COUNT(files)];
    char sets[80];
    bool fixed = strstr(file[0], "lbfgs") || strstr(file[0], "fsvrg"); /* by its own optimizer */
    snprintf(sets, sizeof sets, "%s%s", file[1], seed % 2 && !fixed ? " optimizer=adam" : "");
    CU_ASSERT_FATAL(harness_open(&v->study, file[0], sets));
    do
        v->job = &v->study.jobs[rg_mix64(++seed) % (uint64_t)v->study.job_count];
    while (v->job->refused || v->job->nodes < 2 || !is_certain(v->job));
    const struct harness_options options = {.seed = 1, .operations = v->operations};
    saved_must_be_ok(v->job, harness_run(v->job, &options, &v->whole, NULL), &v->whole);
}

/* It dies in one run after the other, which each go on from what the one before has left, until one
 * comes to the end. */
static void dies_again_and_again(uint64_t seed)
{
    struct victim v;
    struct rg_error e = {0};
    const char *at = saved_folder();
    uint64_t dice = rg_mix64(seed);
    int64_t reached = 0;
    choose(&v, seed);
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
    for (int tries = 0;; tries++) {
        struct rg_training_state state = {0};
        struct rg_run run;
        int results[8], rank = 1 + (int)(rg_mix64(++dice) % (uint64_t)(v.job->nodes - 1));
        if (saved_files(at, ".json") > 0)
            CU_ASSERT_EQUAL_FATAL(rg_node_open_checkpoints(v.job, at, at, &state, &e), 0);
        CU_ASSERT_TRUE(state.iterations >= reached);
        reached = state.iterations;
        struct harness_options options = {.seed = ++dice,
                                          .checkpoint = at,
                                          .every = {.iterations = 2},
                                          .resume = state.arrays ? &state : NULL};
        long moment = 1 + (long)(rg_mix64(++dice) % (uint64_t)v.operations[rank]);
        if (tries < 6)
            options.deaths[0] = (struct rg_mem_death){rank, moment};
        allocated_begin(1u << rank);
        harness_run(v.job, &options, &run, results);
        bool over = run.status == RG_RUN_OK;
        if (over)
            CU_ASSERT_STRING_EQUAL(run.weights_sha256, v.whole.weights_sha256);
        if (over && strcmp(run.weights_sha256, v.whole.weights_sha256) != 0)
            printf("seed %llu: %s has other weights\n", (unsigned long long)seed, v.job->label);
        rg_run_free(&run);
        CU_ASSERT_EQUAL(allocated_end(), 0);
        rg_training_state_free(&state);
        if (over)
            break;
    }
    rg_run_free(&v.whole);
    rg_study_close(&v.study);
}

static void killed_at_any_moment(void)
{
    const char *range = getenv("RG_SEEDS");
    unsigned long first = 0, count = 25;
    if (range)
        CU_ASSERT_EQUAL(sscanf(range, "%lu:%lu", &first, &count), 2);
    for (unsigned long seed = first; seed < first + count; seed++) {
        dies_again_and_again(seed);
        scratch_remove();
    }
}

static void refuses(const struct rg_job *job, const char *at, const char *words)
{
    struct rg_training_state state;
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(rg_node_open_checkpoints(job, NULL, at, &state, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, words));
    CU_ASSERT_PTR_NULL(state.arrays);
}

static void contradictions_are_refused(void)
{
    static const char *const cases[][2] = {
        {"seed=4", "checkpoint-7.json|seed is 3 there and 4 here|the same is allowed"},
        {"batch=20", "checkpoint-7.json|batch is 23 there and 20 here"},
        {"optimizer=adam", "checkpoint-7.json|optimizer is momentum there and adam here"},
        {"epochs=1", "checkpoint-7.json|has 7 iterations|ends after 5|more epochs"}};
    struct rg_study study;
    struct rg_error e;
    const char *at = saved_folder();
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3"));
    saved_stop_after(harness_job(&study, "1f1b"), 7, at);
    rg_study_close(&study);
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        char sets[80];
        snprintf(sets, sizeof sets, "nodes=3 %s", cases[i][0]);
        CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", sets));
        refuses(harness_job(&study, "1f1b"), at, cases[i][1]);
        rg_study_close(&study);
    }
    CU_ASSERT_FATAL(harness_open(&study, "matrix-layers.xml", "nodes=3"));
    refuses(harness_job(&study, "1f1b"), at, "checkpoint-7.json|odd-widths|8202 parameters");
    refuses(harness_job(&study, "1f1b"), scratch_path("nowhere"), "nowhere|no checkpoint");
    rg_study_close(&study);
    CU_ASSERT_TRUE(saved_has(at, 7));
    /* nor does another run write there */
    CU_ASSERT_EQUAL(rg_training_folder(at, false, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "checkpoint-7.json|another run|--resume-from"));
    CU_ASSERT_EQUAL(rg_training_folder(at, true, &e), 0);
}

int main(int argc, char **argv)
{
    if (access("/dev/shm", W_OK) == 0) /* where there is nothing to wait for */
        setenv("TMPDIR", "/dev/shm", 0);
    const struct suite_test tests[] = {
        {"told to stop at once", told_to_stop_at_once},
        {"rings go on from every epoch", rings_go_on},
        {"networks with every kind of layer", layers_of_all_kinds_go_on},
        {"all-reduces", sums_go_on},
        {"servers, filters, rounds", servers_go_on},
        {"compensation and learning rates", settings_go_on},
        {"nodes out of step", out_of_step_go_on},
        {"L-BFGS", searches_go_on},
        {"every strategy", every_strategy_has_them},
        {"streams wait for the end of an epoch", streams_wait_for_the_epoch},
        {"other nodes and strategies", state_is_divided_anew},
        {"what nodes have for themselves", own_state_is_left_out},
        {"ended runs", ended_runs_go_on},
        {"patience goes on", patience_goes_on},
        {"what has its goal is over", what_has_its_goal_is_over},
        {"killed at any moment", killed_at_any_moment},
        {"contradictions are refused", contradictions_are_refused},
    };
    return suite_main("checkpoints", tests, (int)RG_COUNT(tests), argc, argv);
}
