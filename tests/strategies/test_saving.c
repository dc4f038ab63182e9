/* When checkpoints are made, in the mem world: as often as asked, or as it is worth it; what they
 * cost boards, and what becomes of those that cannot be written. */
#include "base/check.h"
#include "strategies/allocated.h"
#include "strategies/saved.h"
#include "study/saving.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <math.h>
#include <stdlib.h>

static void with_every(const struct rg_job *job, struct rg_every every, const struct rg_run *whole,
                       int written, int64_t before)
{
    struct rg_run run;
    struct rg_error e;
    const char *at = saved_folder();
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
    const struct harness_options options = {.seed = 1, .checkpoint = at, .every = every};
    saved_must_be_ok(job, harness_run(job, &options, &run, NULL), &run);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole->weights_sha256);
    CU_ASSERT_EQUAL(run.checkpoints.written, written);
    CU_ASSERT_EQUAL(run.checkpoints.failed, 0);
    CU_ASSERT_EQUAL(run.checkpoints.put_off, 0);
    CU_ASSERT_EQUAL(run.point_count, whole->point_count);
    /* the last two, and nothing else */
    CU_ASSERT_EQUAL(saved_files(at, "checkpoint-"), 4);
    CU_ASSERT_EQUAL(saved_files(at, ".json"), 2);
    CU_ASSERT_TRUE(saved_has(at, job->iterations) && saved_has(at, before));
    rg_run_free(&run);
}

/* A study whose first board writes its card at another rate; close_card before the study. */
struct card {
    struct rg_study *study;
    const struct rg_board *before;
    struct rg_board board;
};

static void put_card(struct card *card, struct rg_study *study, double rate)
{
    card->study = study;
    card->before = study->platform.boards[0];
    card->board = *card->before;
    card->board.disk_rate = rate;
    study->platform.boards[0] = &card->board;
}

static void close_card(struct card *card)
{
    card->study->platform.boards[0] = card->before;
}

/* 15 iterations, 5 an epoch. */
static void as_often_as_asked(void)
{
    struct rg_study study;
    struct rg_run whole;
    struct card card;
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3"));
    put_card(&card, &study, 0);
    const struct rg_job *job = harness_job(&study, "1f1b");
    CU_ASSERT_EQUAL(job->iterations, 15);
    saved_must_be_ok(job, harness_run(job, &(struct harness_options){.seed = 1}, &whole, NULL),
                     &whole);
    with_every(job, (struct rg_every){.iterations = 4}, &whole, 4, 12); /* 4, 8, 12, 15 */
    with_every(job, (struct rg_every){.iterations = 1}, &whole, 15, 14);
    with_every(job, (struct rg_every){.epochs = 1}, &whole, 3, 10);
    with_every(job, (struct rg_every){.epochs = 2}, &whole, 2, 10);
    /* a third of the time: 5, 10 and 15 by the pace of the first, which has the pipeline to fill */
    struct rg_run run;
    struct rg_error e;
    const char *at = saved_folder();
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
    const struct harness_options options = {
        .seed = 1, .checkpoint = at, .every = {.seconds = whole.time_s / 3.5}};
    saved_must_be_ok(job, harness_run(job, &options, &run, NULL), &run);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole.weights_sha256);
    CU_ASSERT_TRUE(run.checkpoints.written >= 3 && run.checkpoints.written <= 4);
    CU_ASSERT_TRUE(isnan(run.checkpoints.writing_s));
    rg_run_free(&run);
    rg_run_free(&whole);
    close_card(&card);
    rg_study_close(&study);
}

/* One node, whose iterations take the same time: parameters and velocity are copied at 5.4 GB/s
 * read and written, and go to a card that is busy for 3.5 iterations, so that after one checkpoint
 * three times none is written. */
static void boards_pay_for_them(void)
{
    struct rg_study study;
    struct rg_run run;
    struct rg_error e;
    struct card card;
    const char *at = saved_folder();
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3"));
    const struct rg_job *job = harness_job(&study, "single");
    double bytes = 2 * 4.0 * (double)job->network->parameters;
    saved_must_be_ok(job, harness_run(job, &(struct harness_options){.seed = 1}, &run, NULL), &run);
    double iteration_s = run.time_s / 15;
    rg_run_free(&run);
    put_card(&card, &study, bytes / (3.5 * iteration_s));
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
    const struct harness_options options = {
        .seed = 1, .checkpoint = at, .every = {.iterations = 1}};
    saved_must_be_ok(job, harness_run(job, &options, &run, NULL), &run);
    CU_ASSERT_EQUAL(run.checkpoints.written, 5); /* 1, 5, 9, 13, and 15 as the last */
    CU_ASSERT_EQUAL(run.checkpoints.put_off, 10);
    CU_ASSERT_DOUBLE_EQUAL(run.checkpoints.pause_s, 5 * 2 * bytes / 5.4e9, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.checkpoints.writing_s, 5 * 3.5 * iteration_s, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(run.time_s, 15 * iteration_s, 1e-12);
    struct rg_saving saving = rg_saving_predict(job);
    CU_ASSERT_EQUAL((double)saving.bytes, bytes);
    CU_ASSERT_DOUBLE_EQUAL(saving.pause_s, 2 * bytes / 5.4e9, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(saving.writing_s, 3.5 * iteration_s, 1e-12);
    rg_run_free(&run);
    close_card(&card);
    rg_study_close(&study);
}

/* What the form says before, and what every rank's arrays say as they come: in bytes, by boards
 * whose messages cost nothing else, as it does not know into how many arrays state is cut, nor that
 * some ranks have none to offer. */
static void as_the_form_has_it(const struct rg_job *job)
{
    struct rg_run run;
    struct rg_error e;
    const char *at = saved_folder();
    if (job->refused || job->flows_on)
        return;
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
    const struct harness_options options = {.seed = 1, .checkpoint = at, .every = {.seconds = 1e9}};
    saved_must_be_ok(job, harness_run(job, &options, &run, NULL), &run);
    CU_ASSERT_EQUAL(run.checkpoints.written, 1);
    double ratio = run.checkpoints.pause_s / rg_saving_predict(job).pause_s;
    if (!(ratio > 0.7 && ratio < 1.1))
        printf("%s on %d: %g of the form\n", job->label, job->nodes, ratio);
    CU_ASSERT_TRUE(ratio > 0.7 && ratio < 1.1);
    rg_run_free(&run);
}

static void forms_tell_the_pause(void)
{
    static const char *const files[][2] = {
        {"matrix.xml", "nodes=3 optimizer=adam"},
        {"matrix-allreduce.xml", "nodes=4 optimizer=adam"},
        {"matrix-servers.xml", "nodes=4 server.servers=2 server.replication=1 replicas.replicas=4"},
        {"matrix-tasks.xml", "nodes=5 mapreduce.reducers=2"},
        {"matrix-lbfgs.xml", "nodes=5 sandblaster.servers=2"}};
    for (size_t f = 0; f < RG_COUNT(files); f++) {
        struct rg_study study;
        CU_ASSERT_FATAL(harness_open(&study, files[f][0], files[f][1]));
        const struct rg_board *before = study.platform.boards[0];
        struct rg_board board = *before;
        board.message_s = board.latency_s = 0;
        for (int rank = 0; rank < 5; rank++)
            study.platform.boards[rank] = &board;
        for (int i = 0; i < study.job_count; i++)
            as_the_form_has_it(&study.jobs[i]);
        for (int rank = 0; rank < 5; rank++)
            study.platform.boards[rank] = before;
        rg_study_close(&study);
    }
}

/* By hand: a pause of 2 s and a loss in 10,000 s, where sqrt(2 C M) = 200 s and C / 2M = 1e-4; and
 * where a pause is as long as a loss is rare there is nothing to gain. */
static void intervals_by_hand(void)
{
    CU_ASSERT_DOUBLE_EQUAL(rg_interval_young_s(2, 1e4), 200, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(rg_interval_daly_s(2, 1e4), 200 * (1 + 0.01 / 3 + 1e-4 / 9) - 2, 1e-9);
    CU_ASSERT_EQUAL(rg_interval_daly_s(30, 10), 10);
}

/* The way to a goal, and patience, go on where they were. */ /* A folder that goes away, as a disk
                                                                 does: training goes on to the same
                                                                 weights. */
static void failures_are_told(void)
{
    struct rg_study study;
    struct rg_run whole, run;
    struct card card;
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3"));
    put_card(&card, &study, 0);
    const struct rg_job *job = harness_job(&study, "1f1b");
    saved_must_be_ok(job, harness_run(job, &(struct harness_options){.seed = 1}, &whole, NULL),
                     &whole);
    const struct harness_options options = {
        .seed = 1, .checkpoint = "/nonexistent/folder", .every = {.epochs = 1}};
    saved_must_be_ok(job, harness_run(job, &options, &run, NULL), &run);
    CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole.weights_sha256);
    CU_ASSERT_EQUAL(run.checkpoints.written, 0);
    CU_ASSERT_EQUAL(run.checkpoints.failed, 3);
    CU_ASSERT_EQUAL(run.checkpoints.iteration, -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(run.checkpoints.error, "/nonexistent/folder"));
    CU_ASSERT_STRING_EQUAL(run.unsaved, run.checkpoints.error);
    CU_ASSERT_EQUAL_FATAL(run.checkpoints.lost_count, 3);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(run.checkpoints.lost[i].iteration, 5 * (i + 1));
        CU_ASSERT_PTR_NOT_NULL(strstr(run.checkpoints.lost[i].why, "/nonexistent/folder"));
    }
    rg_run_free(&run);
    rg_run_free(&whole);
    close_card(&card);
    rg_study_close(&study);
}

/* One rank dies: what has been written stands, and is gone on from. */
static void the_last_one_stands(void)
{
    struct rg_study study;
    struct rg_run whole, run;
    struct rg_error e;
    long operations[3];
    int results[3];
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=3"));
    const struct rg_job *job = harness_job(&study, "1f1b");
    const struct harness_options all = {.seed = 1, .operations = operations};
    saved_must_be_ok(job, harness_run(job, &all, &whole, NULL), &whole);
    for (int rank = 1; rank < 3; rank++) {
        const char *at = saved_folder();
        CU_ASSERT_EQUAL_FATAL(rg_training_folder(at, false, &e), 0);
        const struct harness_options options = {.seed = 1,
                                                .checkpoint = at,
                                                .every = {.iterations = 3},
                                                .deaths = {{rank, operations[rank] * 2 / 3}}};
        allocated_begin(1u << rank);
        CU_ASSERT_TRUE(harness_run(job, &options, &run, results) <= 0);
        CU_ASSERT_NOT_EQUAL(run.status, RG_RUN_OK);
        CU_ASSERT_TRUE(run.checkpoints.written > 0);
        CU_ASSERT_TRUE(saved_has(at, run.checkpoints.iteration));
        rg_run_free(&run);
        CU_ASSERT_EQUAL(allocated_end(), 0);
        saved_go_on(job, at, &run);
        CU_ASSERT_STRING_EQUAL(run.weights_sha256, whole.weights_sha256);
        rg_run_free(&run);
    }
    rg_run_free(&whole);
    rg_study_close(&study);
}
int main(int argc, char **argv)
{
    if (access("/dev/shm", W_OK) == 0) /* where there is nothing to wait for */
        setenv("TMPDIR", "/dev/shm", 0);
    const struct suite_test tests[] = {
        {"as often as asked", as_often_as_asked},
        {"what boards pay for them", boards_pay_for_them},
        {"forms of the pause", forms_tell_the_pause},
        {"how often they are worth it", intervals_by_hand},
        {"failures are told", failures_are_told},
        {"the last one stands", the_last_one_stands},
    };
    return suite_main("saving", tests, (int)RG_COUNT(tests), argc, argv);
}
