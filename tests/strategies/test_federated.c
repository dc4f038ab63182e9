/* Nodes with rows of their own: what they keep, what they train on, and what is refused. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/samples.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

static void open_file(struct rg_study *study, const char *file, int nodes, const char *sets)
{
    char all[300];
    snprintf(all, sizeof all, "nodes=%d %s", nodes, sets);
    CU_ASSERT_FATAL(harness_open(study, file, all));
}

static void open_with(struct rg_study *study, int nodes, const char *sets)
{
    open_file(study, "matrix-federated.xml", nodes, sets);
}

/* ---- accounts ---- */

/* Traffic and memory are those of the forms; of the samples a node counts its own rows, and rank 0
 * those to test. */
static void account_equals_forms(const struct rg_job *job)
{
    struct rg_prediction p = {0};
    struct rg_run run;
    uint64_t iterations = (uint64_t)job->iterations, kept = 0;
    uint64_t sample = 4 * job->data->inputs + 1;
    job->strategy->predict(job, &p);
    harness_run_ok(job, &(struct harness_options){.seed = 7, .jitter = 0.5}, &run);
    CU_ASSERT_EQUAL(run.traffic.messages, p.messages * iterations);
    CU_ASSERT_EQUAL(run.traffic.values, p.values * iterations);
    CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * iterations);
    CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
    for (int rank = 0; rank < job->nodes; rank++) {
        int keeper = rg_job_keeper(job, rank);
        uint64_t own = keeper < 0 ? 0 : (uint64_t)rg_deal_count(job->rows, keeper);
        uint64_t tests = rank == 0 ? (uint64_t)job->data->test * sample : 0;
        CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes,
                        job->strategy->memory(job, rank) + own * (sample + 4) + tests);
        kept += own;
    }
    CU_ASSERT_EQUAL(kept, (uint64_t)job->data->train);
    rg_run_free(&run);
}

static void accounts_equal_forms(void)
{
    static const char *const sets[] = {"epochs=1 rows=order", "epochs=1 rows=shuffle",
                                       "epochs=1 rows=labels shards=3", "epochs=1 rows=dirichlet"};
    static const char *const files[] = {"matrix-federated.xml", "matrix-fsvrg.xml"};
    EACH(f, files)
    EACH(i, sets)
    {
        struct rg_study study;
        open_file(&study, files[f], 5, sets[i]);
        for (int k = 0; k < study.job_count; k++)
            account_equals_forms(&study.jobs[k]);
        rg_study_close(&study);
    }
}

/* What a process of one rank has in memory: rows of its own for its jobs, in the sample's place
 * whatever else is there. */
static void a_rank_loads_its_own(void)
{
    static const struct {
        const char *labels[2];
        int count, rank;
        bool all;
    } cases[] = {{{"all-reduce"}, 1, 2, false},
                 {{"server"}, 1, 2, false},
                 {{"all-reduce", "server"}, 2, 2, false},
                 {{"all-reduce"}, 1, RG_ANY_RANK, true}};
    EACH(i, cases)
    {
        struct rg_study study, whole;
        struct rg_error e = {0};
        char *sets[] = {"nodes=4"},
             *labels[] = {(char *)cases[i].labels[0], (char *)cases[i].labels[1]};
        open_with(&whole, 4, "");
        CU_ASSERT_EQUAL_FATAL(rg_study_open(RG_SOURCE_DIR "/tests/data/matrix-federated.xml", sets,
                                            1, labels, cases[i].count, &study, &e),
                              0);
        CU_ASSERT_EQUAL(rg_study_load_data(&study, cases[i].rank, &e), 0);
        size_t own = 0;
        bool wanted[120] = {false};
        for (int k = 0; k < study.job_count; k++) {
            struct rg_data_kept keep = rg_job_keeps(&study.jobs[k], RG_MAX(cases[i].rank, 0));
            for (size_t j = 0; j < keep.own_count; j++)
                wanted[keep.own[j]] = true;
        }
        for (size_t s = 0; s < 120; s++) {
            const float *x = rg_dataset_x(&study.data, s);
            CU_ASSERT_EQUAL(x != NULL, cases[i].all || wanted[s]);
            CU_ASSERT(!x || memcmp(x, rg_dataset_x(&whole.data, s), 19 * sizeof *x) == 0);
            own += x != NULL;
        }
        CU_ASSERT_EQUAL(study.data.kept.own == NULL, cases[i].all);
        CU_ASSERT(own > 0);
        rg_study_close(&study);
        rg_study_close(&whole);
    }
}

/* ---- training ---- */

/* Whatever the timing, and other weights with other rows. */
static void weights_go_by_rows_alone(void)
{
    static const char *const sets[] = {"rows=order", "rows=shuffle", "rows=labels",
                                       "rows=dirichlet", "rows=dirichlet concentration=2"};
    enum { JOBS = 6 };
    char digests[RG_COUNT(sets)][JOBS][65];
    EACH(i, sets)
    {
        struct rg_study study;
        open_with(&study, 4, sets[i]);
        CU_ASSERT_EQUAL_FATAL(study.job_count, JOBS);
        for (int k = 0; k < JOBS; k++) {
            struct rg_run a, b;
            harness_run_ok(&study.jobs[k], &(struct harness_options){.seed = 1}, &a);
            harness_run_ok(
                &study.jobs[k],
                &(struct harness_options){.seed = 2, .jitter = 0.7, .free_transfers = true}, &b);
            CU_ASSERT_STRING_EQUAL(a.weights_sha256, b.weights_sha256);
            strcpy(digests[i][k], a.weights_sha256);
            for (size_t before = 0; before < i; before++)
                CU_ASSERT_STRING_NOT_EQUAL(digests[before][k], digests[i][k]);
            rg_run_free(&a);
            rg_run_free(&b);
        }
        rg_study_close(&study);
    }
}

/* What an all-reduce makes of shared rows. */
static float *shared_rows(const char *sets)
{
    struct rg_study study;
    char all[200];
    snprintf(all, sizeof all, "nodes=5 %s", sets);
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", all));
    float *values =
        harness_parameters(harness_job(&study, "all-reduce"), &(struct harness_options){0}, NULL);
    rg_study_close(&study);
    return values;
}

static void near(const struct rg_job *job, const float *want)
{
    float *have = harness_parameters(job, &(struct harness_options){.seed = 3}, NULL);
    double distance = harness_distance(want, have, job->network->parameters);
    if (!(distance < 1e-5))
        printf("%s on %d: largest difference %g\n", job->label, job->nodes, distance);
    CU_ASSERT(distance < 1e-5);
    free(have);
}

/* All rows in one batch, on nodes that have as many each: it does not matter who has which. */
static void a_batch_of_all_rows_is_that_of_all_rows(void)
{
    static const char *const sets[] = {"rows=order", "rows=shuffle", "rows=labels shards=3"};
    float *want = shared_rows("batch=120");
    EACH(i, sets)
    {
        struct rg_study study;
        char all[120];
        snprintf(all, sizeof all, "batch=120 server.nodes=6 %s", sets[i]);
        open_with(&study, 5, all);
        near(harness_job(&study, "all-reduce"), want);
        near(harness_job(&study, "server"), want);
        rg_study_close(&study);
    }
    free(want);
}

/* ---- federated averaging ---- */

/* All clients, one step on all rows each: a step of all rows, however many each has. The rate goes
 * by rounds. */
static void one_step_on_all_rows_is_an_all_reduce(void)
{
    static const char *const rows[] = {"rows=labels", "rows=dirichlet", "rows=shuffle"};
    static const char *const training[] = {"batch=120 optimizer=sgd epochs=6",
                                           "batch=120 optimizer=sgd epochs=6 rate-ramp=3 "
                                           "rate-schedule=step rate-period=1 rate-factor=0.5"};
    EACH(t, training)
    {
        float *want = shared_rows(training[t]);
        EACH(i, rows)
        for (int nodes = 2; nodes <= 6; nodes += 2) {
            struct rg_study study;
            char all[200];
            snprintf(all, sizeof all, "%s %s fedavg-all.local-epochs=1 server.nodes=2", training[t],
                     rows[i]);
            open_with(&study, nodes, all);
            near(harness_job(&study, "fedavg-all"), want);
            rg_study_close(&study);
        }
        free(want);
    }
}

static void epochs_are_so_many_steps(void)
{
    struct rg_study a, b;
    open_with(&a, 6, "rows=order fedavg.local-epochs=3 fedavg-all.local-epochs=2");
    open_with(&b, 6,
              "rows=order fedavg.local-steps=12 fedavg-all.local-epochs=1 "
              "fedavg-all.local-steps=2"); /* 24 rows are 4 steps of up to 7 */
    harness_same_weights(harness_job(&a, "fedavg"), harness_job(&b, "fedavg"), 0.5);
    harness_same_weights(harness_job(&a, "fedavg-all"), harness_job(&b, "fedavg-all"), 0.5);
    rg_study_close(&a);
    rg_study_close(&b);
}

/* A client of five rows that takes one step with one of them a round: not always with the same. */
static void rounds_have_orders_of_their_own(void)
{
    uint32_t sample[] = {3, 20, 41, 77, 100}, whole[] = {0, 5}, one[] = {0, 1};
    const struct rg_deal all = {1, sample, whole};
    struct rg_study study;
    open_with(&study, 2, "fedavg.local-steps=1 fedavg.local-batch=1 iterations=10");
    struct rg_job job = *harness_job(&study, "fedavg");
    job.rows = &all;
    float *want = harness_parameters(&job, &(struct harness_options){0}, NULL);
    for (int i = 0; i < 5; i++) {
        const struct rg_deal single = {1, sample + i, one};
        job.rows = &single;
        float *have = harness_parameters(&job, &(struct harness_options){0}, NULL);
        CU_ASSERT(harness_distance(want, have, job.network->parameters) > 1e-4);
        free(have);
    }
    free(want);
    rg_study_close(&study);
}

#define RATES " rate-ramp=3 rate-schedule=step rate-period=2 rate-factor=0.5"

/* With one step a round a state that begins anew is none: the first step of momentum is that of
 * SGD, at the round's rate. With several it is not. */
static void optimizers_begin_anew_in_each_round(void)
{
    struct rg_study sgd, momentum;
    struct rg_run a, b;
    open_with(&sgd, 5, "optimizer=sgd fedavg-all.local-epochs=1" RATES);
    open_with(&momentum, 5, "optimizer=momentum fedavg-all.local-epochs=1" RATES);
    harness_same_weights(harness_job(&sgd, "fedavg-all"), harness_job(&momentum, "fedavg-all"),
                         0.5);
    harness_run_ok(harness_job(&sgd, "fedavg"), &(struct harness_options){0}, &a);
    harness_run_ok(harness_job(&momentum, "fedavg"), &(struct harness_options){0}, &b);
    CU_ASSERT_STRING_NOT_EQUAL(a.weights_sha256, b.weights_sha256);
    rg_run_free(&a);
    rg_run_free(&b);
    rg_study_close(&sgd);
    rg_study_close(&momentum);
}

/* A client has sent its parameters as often as it was drawn: 2 of 8 in each of 200 rounds, 50 times
 * each, within 4 deviations. */
static void clients_are_drawn_evenly(void)
{
    struct rg_study study;
    struct rg_run run;
    open_with(&study, 9, "fedavg.fraction=0.25 iterations=200 concentration=1000 batch=120");
    const struct rg_job *job = harness_job(&study, "fedavg");
    uint64_t bytes = 4 * job->network->parameters, sent = 0;
    harness_run_ok(job, &(struct harness_options){0}, &run);
    for (int rank = 1; rank < 9; rank++) {
        double times = (double)(run.per_node[rank].bytes_sent / bytes);
        CU_ASSERT_EQUAL(run.per_node[rank].bytes_sent % bytes, 0);
        CU_ASSERT(fabs(times - 50) < 4 * sqrt(200 * 0.25 * 0.75));
        sent += run.per_node[rank].bytes_sent;
    }
    CU_ASSERT_EQUAL(sent, 2 * 200 * bytes);
    CU_ASSERT(run.rounds.known);
    CU_ASSERT_EQUAL(run.rounds.drawn, 2 * 200);
    CU_ASSERT_EQUAL(run.rounds.left_out, 0);
    rg_run_free(&run);
    rg_study_close(&study);
}

/* What the only client has made of it in the last round is what there is. */
static void what_clients_make_is_looked_at(void)
{
    struct rg_study study;
    struct rg_run run;
    open_with(&study, 2, "");
    harness_run_ok(harness_job(&study, "fedavg-all"), &(struct harness_options){0}, &run);
    CU_ASSERT_FALSE(run.per_node[0].own.known);
    CU_ASSERT(run.per_node[1].own.known);
    CU_ASSERT_EQUAL(run.per_node[1].own.samples, 120);
    CU_ASSERT_EQUAL(run.per_node[1].own.trained, 2 * 120 * (uint64_t)run.iterations);
    CU_ASSERT_EQUAL(run.samples, 2 * 120 * (uint64_t)run.iterations); /* two epochs a round */
    CU_ASSERT_EQUAL(run.per_node[1].own.accuracy, run.final.accuracy);
    rg_run_free(&run);
    rg_study_close(&study);
    open_with(&study, 6, "fedavg.fraction=0.5");
    harness_run_ok(harness_job(&study, "fedavg"), &(struct harness_options){0}, &run);
    int looked = 0;
    for (int rank = 1; rank < 6; rank++)
        looked += isfinite(run.per_node[rank].own.accuracy) != 0;
    CU_ASSERT_EQUAL(looked, 3); /* of 5, rounded up */
    rg_run_free(&run);
    harness_run_ok(harness_job(&study, "all-reduce"), &(struct harness_options){0}, &run);
    CU_ASSERT_EQUAL(run.per_node[5].own.trained, 4 * (uint64_t)run.iterations);
    CU_ASSERT_EQUAL(run.samples, 24 * (uint64_t)run.iterations);
    rg_run_free(&run);
    rg_study_close(&study);
}

static struct rg_value *limit_of(struct rg_job *job)
{
    for (int i = 0; job->strategy->params[i].name; i++)
        if (strcmp(job->strategy->params[i].name, "round-limit") == 0)
            return &job->values[i];
    return NULL;
}

/* A client is so slow that no round waits for it: the others' training is what it is without that
 * client. Its own parameters are never looked at, and who was left out is told by both sides. */
static void a_slow_client_is_left_out(void)
{
    enum { SLOW = 2, ROUNDS = 24 };
    static const char sets[] = "fedavg-limited.fraction=1 batch=30 iterations=24";
    struct rg_study study, fewer;
    struct rg_run run, without;
    open_with(&study, 4, sets);
    open_with(&fewer, 3, sets);
    struct rg_job job = *harness_job(&study, "fedavg-limited");
    struct rg_job rest = *harness_job(&fewer, "fedavg-limited");
    struct rg_board board = *job.boards[0];
    const struct rg_board *boards[4] = {job.boards[0], job.boards[0], job.boards[0], job.boards[0]};
    board.call_s *= 1000;
    boards[SLOW] = &board;
    job.boards = boards;
    limit_of(&job)->real = 0.05;
    uint32_t sample[120], first[3] = {0};
    const struct rg_deal deal = {2, sample, first};
    for (int part = 0, k = 0; k < 3; k++) {
        uint32_t count = (uint32_t)rg_deal_count(job.rows, k);
        if (k + 1 == SLOW)
            continue;
        memcpy(sample + first[part], rg_deal_samples(job.rows, k), count * sizeof *sample);
        first[part + 1] = first[part] + count;
        part++;
    }
    rest.rows = &deal;
    harness_run_ok(&job, &(struct harness_options){.seed = 1}, &run);
    harness_run_ok(&rest, &(struct harness_options){.seed = 2}, &without);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, without.weights_sha256);
    CU_ASSERT_EQUAL(run.rounds.drawn, 3 * ROUNDS);
    CU_ASSERT_EQUAL(run.rounds.left_out, ROUNDS);
    for (int rank = 1; rank < 4; rank++) {
        CU_ASSERT_EQUAL(run.per_node[rank].own.left_out, rank == SLOW ? ROUNDS : 0);
        CU_ASSERT_EQUAL(isfinite(run.per_node[rank].own.accuracy) != 0, rank != SLOW);
    }
    CU_ASSERT_EQUAL(without.rounds.left_out, 0);
    rg_run_free(&run);
    rg_run_free(&without);
    rg_study_close(&study);
    rg_study_close(&fewer);
}

/* Whatever the timing and the limit: sums are of those that were taken (which the server asserts),
 * both sides agree on who was not, nobody sends more than the forms say, and all come to the end.
 */
static void limits_leave_nothing_behind(void)
{
    static const double limits[] = {1e-9, 1e-3, 2e-3, 4e-3, 8e-3};
    struct rg_study study;
    uint64_t left_out = 0, kept = 0;
    open_with(&study, 6, "batch=12 local.local-steps=1");
    for (uint64_t seed = 0; seed < 3 * RG_COUNT(limits); seed++) { /* all with all jitters */
        struct rg_job job = *harness_job(&study, "fedavg-limited");
        struct rg_prediction p = {0};
        struct rg_run run;
        uint64_t own = 0, sent = 0;
        limit_of(&job)->real = limits[seed % RG_COUNT(limits)];
        job.strategy->predict(&job, &p);
        harness_run_ok(&job, &(struct harness_options){.seed = seed, .jitter = (double)(seed % 3)},
                       &run);
        CU_ASSERT_EQUAL(run.iterations, job.iterations);
        for (int rank = 1; rank < 6; rank++) {
            own += run.per_node[rank].own.left_out;
            sent += run.per_node[rank].bytes_sent;
        }
        CU_ASSERT_EQUAL(own, run.rounds.left_out);
        CU_ASSERT_EQUAL(run.per_node[0].bytes_received, sent); /* late ones, too */
        CU_ASSERT(p.at_most);
        CU_ASSERT(run.traffic.messages <= p.messages * (uint64_t)run.iterations);
        CU_ASSERT(run.traffic.payload_bytes <= p.payload_bytes * (uint64_t)run.iterations);
        left_out += run.rounds.left_out;
        kept += run.rounds.drawn - run.rounds.left_out;
        rg_run_free(&run);
    }
    CU_ASSERT(left_out > 100 && kept > 100);
    rg_study_close(&study);
}

/* The only client is late in every round, by no more than a step: the next round waits for it, so
 * that it is sent the parameters in each. */
static void a_round_waits_for_somebody(void)
{
    struct rg_study study;
    struct rg_prediction p = {0};
    struct rg_run run;
    open_with(&study, 2, "");
    struct rg_job job = *harness_job(&study, "fedavg-limited");
    job.strategy->predict(&job, &p);
    limit_of(&job)->real = 0.5 * p.iteration_s;
    harness_run_ok(&job, &(struct harness_options){.seed = 1}, &run);
    uint64_t rounds = (uint64_t)run.iterations;
    CU_ASSERT_EQUAL(run.rounds.left_out, rounds);
    CU_ASSERT_EQUAL(run.per_node[0].bytes_sent, rounds * (4 * job.network->parameters + 4));
    rg_run_free(&run);
    rg_study_close(&study);
}

/* Asked to stop, all end after the same round, and clients that are late have answered. */
static void all_stop_after_one_round(void)
{
    struct rg_study study;
    open_with(&study, 6, "");
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct rg_job job = *harness_job(&study, seed % 2 ? "fedavg-limited" : "fedavg");
        struct rg_run run;
        int results[6];
        if (seed % 2)
            limit_of(&job)->real = 2e-3;
        harness_run(&job, &(struct harness_options){.seed = seed, .jitter = 0.9, .stops_after = 7},
                    &run, results);
        CU_ASSERT_EQUAL(run.iterations, 7);
        for (int rank = 0; rank < 6; rank++)
            CU_ASSERT_EQUAL(results[rank], 1);
        rg_run_free(&run);
    }
    rg_study_close(&study);
}

/* ---- steps without their variance ---- */

/* In one step on all rows a client's own gradients cancel: the mean gradient's step is left. */
static void one_step_is_that_of_the_mean_gradient(void)
{
    for (int nodes = 2; nodes <= 6; nodes += 2) {
        struct rg_study study;
        open_file(&study, "matrix-fsvrg.xml", nodes, "rate-ramp=4");
        const struct rg_job *averaged = harness_job(&study, "fedavg-all");
        float *want = harness_parameters(averaged, &(struct harness_options){.seed = 1}, NULL);
        near(harness_job(&study, "fsvrg-all"), want);
        harness_same_weights(harness_job(&study, "fsvrg-7"), harness_job(&study, "fsvrg-7"), 0.5);
        rg_study_close(&study);
        free(want);
    }
}

/* The largest number of the mean gradient of all rows at these parameters: of a step of rate 1. */
static double gradient_at(const float *parameters)
{
    struct rg_study study;
    open_file(&study, "matrix-fsvrg.xml", 2,
              "network=" RG_SOURCE_DIR "/tests/data/linear-net.xml learning-rate=1 "
              "iterations=1");
    const struct rg_job *job = harness_job(&study, "fedavg-all");
    float *after = harness_parameters(job, &(struct harness_options){.initial = parameters}, NULL);
    double size = harness_distance(parameters, after, job->network->parameters);
    free(after);
    rg_study_close(&study);
    return size;
}

/* Of a convex problem whose rows are unlike from client to client: where the mean gradient is none
 * clients stay, while averages of what they make alone come to rest elsewhere. */
static void it_comes_to_rest_at_the_optimum(void)
{
    struct rg_study study;
    open_file(&study, "matrix-fsvrg.xml", 4,
              "network=" RG_SOURCE_DIR
              "/tests/data/linear-net.xml rows=labels learning-rate=2 iterations=150 "
              "fedavg-all.local-epochs=20");
    double left[2];
    static const char *const labels[] = {"fsvrg-7", "fedavg-all"};
    EACH(i, labels)
    {
        float *end = harness_parameters(harness_job(&study, labels[i]),
                                        &(struct harness_options){.seed = 1}, NULL);
        left[i] = gradient_at(end);
        free(end);
    }
    if (!(left[0] < 1e-2 * left[1]))
        printf("gradients left: %g, %g\n", left[0], left[1]);
    CU_ASSERT(left[0] < 1e-2 * left[1]);
    rg_study_close(&study);
}

/* The gradients of a step's rows count, at where the client has come to and at where it began:
 * without them all clients would take the one step of the mean gradient in pieces. */
static void steps_see_their_rows(void)
{
    struct rg_study study;
    open_file(&study, "matrix-fsvrg.xml", 4, "iterations=1");
    size_t count = study.jobs[0].network->parameters;
    float *pieces = harness_parameters(harness_job(&study, "fsvrg-7"),
                                       &(struct harness_options){.seed = 1}, NULL);
    float *whole = harness_parameters(harness_job(&study, "fsvrg-all"),
                                      &(struct harness_options){.seed = 1}, NULL);
    double apart = harness_distance(pieces, whole, count);
    if (!(apart > 1e-4))
        printf("apart by %g\n", apart);
    CU_ASSERT(apart > 1e-4);
    free(pieces);
    free(whole);
    rg_study_close(&study);
}

/* ---- bad input ---- */

static void what_cannot_be_is_refused(void)
{
    static const char *const cases[][2] = {
        {"rows=some", "rows=some"},
        {"rows=order shards=3", "rows=\"labels\""},
        {"concentration=1 rows=labels concentration=2", "rows=\"dirichlet\""},
        {"rows=labels shards=0", "1 to 1000000"},
        {"concentration=0", "0.01"},
        {"nodes=5 rows=labels shards=30", "rows=labels, strategy \"all-reduce\": shards=\"30\""},
        {"nodes=5 rows=shared", "strategy \"fedavg\": clients train on rows of their own"},
        {"nodes=5 fedavg.local-steps=3 fedavg.local-epochs=2", "only one of them"},
        {"nodes=5 fedavg.fraction=0", "to 1 are allowed"},
        {"nodes=5 fedavg.round-limit=0", "or auto"},
        {"nodes=1 server.nodes=2", "fedavg needs at least 2 nodes"},
        {"nodes=24 concentration=0.01", "rows=dirichlet, strategy \"all-reduce\": 120 training"},
    };
    EACH(i, cases)
    harness_refuses("matrix-federated.xml", cases[i][0], cases[i][1]);
    harness_refuses("matrix-interleaved.xml", "nodes=2 rows=order", "ring_allreduce");
    harness_refuses("matrix-fsvrg.xml", "nodes=5 optimizer=adam", "optimizer=\"sgd\" without clip");
    harness_refuses("matrix-fsvrg.xml", "nodes=5 clip=1", "optimizer=\"sgd\" without clip");
    harness_refuses("matrix-fsvrg.xml", "nodes=5 l1=1", "without clip, l1 and l2 is allowed");
    harness_refuses("matrix-fsvrg.xml", "nodes=5 l2=1", "without clip, l1 and l2 is allowed");
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"accounts equal forms", accounts_equal_forms},
        {"a rank loads its own", a_rank_loads_its_own},
        {"weights go by rows alone", weights_go_by_rows_alone},
        {"a batch of all rows is that of all rows", a_batch_of_all_rows_is_that_of_all_rows},
        {"one step on all rows is an all-reduce", one_step_on_all_rows_is_an_all_reduce},
        {"epochs are so many steps", epochs_are_so_many_steps},
        {"rounds have orders of their own", rounds_have_orders_of_their_own},
        {"optimizers begin anew in each round", optimizers_begin_anew_in_each_round},
        {"clients are drawn evenly", clients_are_drawn_evenly},
        {"what clients make is looked at", what_clients_make_is_looked_at},
        {"a slow client is left out", a_slow_client_is_left_out},
        {"limits leave nothing behind", limits_leave_nothing_behind},
        {"a round waits for somebody", a_round_waits_for_somebody},
        {"all stop after one round", all_stop_after_one_round},
        {"one step is that of the mean gradient", one_step_is_that_of_the_mean_gradient},
        {"fsvrg comes to rest at the optimum", it_comes_to_rest_at_the_optimum},
        {"steps of fsvrg see their rows", steps_see_their_rows},
        {"what cannot be is refused", what_cannot_be_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("federated", tests, sizeof tests / sizeof *tests, argc, argv);
}
