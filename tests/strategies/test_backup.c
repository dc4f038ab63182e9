/* Rings whose nodes keep copies of each other's state: how often and in how many pieces, what that
 * changes (nothing that is trained) and costs, and that after a loss what is left is the state of
 * one update. That trainings then go on is in test_attempts. */
#include "base/check.h"
#include "strategies/harness.h"
#include "strategies/ring.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

/* ---- how often, in how many pieces ---- */

/* The iterations that a node has ended when it has, at the latest, all of the state of update v;
 * and those that others may have ended less than a node that begins with another: one. */
static int64_t whole_at(const struct rg_backup *b, int64_t v)
{
    return v + b->pieces;
}

static void no_more_is_lost_than_wanted(void)
{
    for (int most = 1; most <= 1000; most++) {
        struct rg_backup b = rg_backup_of(most);
        CU_ASSERT_EQUAL(b.most, most);
        CU_ASSERT(b.pieces >= 1 && b.pieces <= b.every);
        /* After t iterations on the node that is furthest behind the newest state that it has. */
        int64_t worst = 0;
        for (int64_t t = whole_at(&b, 0); t < 10 * b.every; t++) {
            int64_t newest = 0;
            for (int64_t v = 0; v <= t; v += b.every)
                newest = whole_at(&b, v) <= t ? v : newest;
            worst = RG_MAX(worst, t - newest);
        }
        CU_ASSERT_EQUAL(worst, most);
        /* The slot of v is that of v - kept * every, which may be gone on from until the state
         * after that is whole on all. Others have ended v - 2 iterations when a node begins with v.
         */
        for (int64_t v = b.kept * b.every; v < 12 * b.every; v += b.every)
            CU_ASSERT(whole_at(&b, v - (b.kept - 1) * b.every) <= v - 2);
        /* And with a state less it would be too early. */
        int64_t v = 10 * b.every;
        CU_ASSERT(whole_at(&b, v - (b.kept - 2) * b.every) > v - 2);
    }
    struct rg_backup one = rg_backup_of(1), seven = rg_backup_of(7), eight = rg_backup_of(8);
    CU_ASSERT(one.every == 1 && one.pieces == 1 && one.kept == 4);
    CU_ASSERT(seven.every == 5 && seven.pieces == 3 && seven.kept == 2);
    CU_ASSERT(eight.every == 6 && eight.pieces == 3 && eight.kept == 2);
}

/* ---- what it costs ---- */

static void train_the_same(const char *sets)
{
    struct rg_study study;
    struct rg_run single, run;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-backup.xml", sets));
    harness_run_ok(harness_job(&study, "single"), &(struct harness_options){.seed = 1}, &single);
    for (int i = 1; i < study.job_count; i++) {
        harness_run_ok(&study.jobs[i], &(struct harness_options){.seed = 2, .jitter = 0.5}, &run);
        CU_ASSERT_STRING_EQUAL(run.weights_sha256, single.weights_sha256);
        if (strcmp(run.weights_sha256, single.weights_sha256) != 0)
            printf("\n  %s, %s", study.jobs[i].label, sets);
        rg_run_free(&run);
    }
    rg_run_free(&single);
    rg_study_close(&study);
}

static void trains_as_without(void)
{
    train_the_same("nodes=2");
    train_the_same("nodes=3 optimizer=adam");
    train_the_same("nodes=4 optimizer=sgd");
}

static void account_equals_forms(const struct rg_job *job)
{
    struct rg_prediction p = {0}, flows = {0};
    struct rg_run run;
    job->strategy->predict(job, &p);
    job->strategy->flows(job, rg_predict_flow, &flows);
    uint64_t rounds = (uint64_t)(job->iterations / RG_MAX(p.round, 1));
    CU_ASSERT_EQUAL((int64_t)rounds * p.round, job->iterations);
    CU_ASSERT_EQUAL(flows.messages, p.messages);
    CU_ASSERT_EQUAL(flows.payload_bytes, p.payload_bytes);
    harness_run_ok(job, &(struct harness_options){.seed = 5}, &run);
    CU_ASSERT_EQUAL(run.traffic.messages, p.messages * rounds);
    CU_ASSERT_EQUAL(run.traffic.values, p.values * rounds);
    CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * rounds);
    CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
    CU_ASSERT_EQUAL(run.late_receives, 0);
    CU_ASSERT_DOUBLE_EQUAL(run.formula.T_A_s, p.T_A_s, 1e-9 * p.T_A_s);
    for (int rank = 1; rank < job->nodes; rank++) /* rank 0 has samples, too */
        CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes, job->strategy->memory(job, rank));
    rg_run_free(&run);
}

static void accounts_equal_forms(void)
{
    static const char *const sets[] = {"nodes=2 epochs=12", "nodes=4 epochs=12 optimizer=adam"};
    for (size_t k = 0; k < RG_COUNT(sets); k++) {
        struct rg_study study;
        CU_ASSERT_FATAL(harness_open(&study, "matrix-backup.xml", sets[k]));
        for (int i = 1; i < study.job_count - 1; i++)
            account_equals_forms(&study.jobs[i]);
        rg_study_close(&study);
    }
}

/* Of a ring of three with momentum: what comes on top is all parameters, and as many velocities, in
 * each round; and two states of a node's own and of the one before it (four with k = 1). */
static void copies_are_counted_by_hand(void)
{
    struct rg_study with, without;
    const char *sets = "nodes=3 1f1b-3.partition=4,4,4 1f1b-1.partition=4,4,4";
    CU_ASSERT_FATAL(harness_open(&with, "matrix-backup.xml", sets));
    CU_ASSERT_FATAL(harness_open(&without, "matrix-backup.xml",
                                 "nodes=3 1f1b-3.partition=4,4,4 1f1b-3.backup=no"));
    struct rg_prediction a = {0}, b = {0};
    const struct rg_job *backed = harness_job(&with, "1f1b-3"), *bare;
    bare = harness_job(&without, "1f1b-3");
    const struct rg_network *network = backed->network;
    uint64_t floats[3], all = 2 * network->parameters;
    for (int s = 0; s < 3; s++)
        floats[s] = 2 * (rg_network_offset(network, 4 * s + 4) - rg_network_offset(network, 4 * s));
    backed->strategy->predict(backed, &a);
    bare->strategy->predict(bare, &b);
    CU_ASSERT_EQUAL(a.round, 3);
    CU_ASSERT_EQUAL(a.messages, 3 * b.messages + 3);
    CU_ASSERT_EQUAL(a.values, 3 * b.values + all);
    for (int rank = 0; rank < 3; rank++)
        CU_ASSERT_EQUAL(backed->strategy->memory(backed, rank) - bare->strategy->memory(bare, rank),
                        4 * 2 * (floats[rank] + floats[(rank + 2) % 3]));
    backed = harness_job(&with, "1f1b-1");
    CU_ASSERT_EQUAL(backed->strategy->memory(backed, 1) - bare->strategy->memory(bare, 1),
                    4 * 4 * (floats[1] + floats[0]));
    CU_ASSERT_EQUAL(a.copies.every, 3);
    CU_ASSERT_EQUAL(a.copies.pieces, 1);
    CU_ASSERT_EQUAL(a.copies.piece_bytes, 4 * RG_MAX(floats[0], RG_MAX(floats[1], floats[2])));
    rg_study_close(&with);
    rg_study_close(&without);
}

/* ---- auto ---- */

/* How much longer an iteration is with copies than without, by the plan; and bytes of a piece. */
static double longer(const char *sets, const char *backup, uint64_t *piece, int *most)
{
    struct rg_study study;
    struct rg_prediction p = {0};
    char all[200];
    snprintf(all, sizeof all, "%s auto.backup=%s", sets, backup);
    CU_ASSERT_FATAL(harness_open(&study, "matrix-backup.xml", all));
    const struct rg_job *job = harness_job(&study, "auto");
    job->strategy->predict(job, &p);
    double with_s = job->strategy->by_plan(job);
    *piece = p.copies.piece_bytes;
    *most = p.copies.most;
    rg_study_close(&study);
    snprintf(all, sizeof all, "%s auto.backup=no", sets);
    CU_ASSERT_FATAL(harness_open(&study, "matrix-backup.xml", all));
    job = harness_job(&study, "auto");
    double without_s = job->strategy->by_plan(job);
    rg_study_close(&study);
    return with_s / without_s - 1;
}

/* Links slower and slower, batches large enough to have time left; at last there is none. */
static void auto_is_the_least_that_hides(void)
{
    static const char *const factors[] = {"10", "1", "0.3", "0.2", "0.1", "0.01"};
    int before = 0, most;
    for (size_t k = 0; k < RG_COUNT(factors); k++, before = most) {
        char sets[100], one_less[20];
        uint64_t piece;
        int less;
        snprintf(sets, sizeof sets, "nodes=3 batch=120 epochs=9 bandwidth-factor=%s", factors[k]);
        double part = longer(sets, "auto", &piece, &most);
        printf("\n  bandwidth-factor=%s: backup=%d, %.2f %% longer", factors[k], most, 100 * part);
        CU_ASSERT(most >= before && most >= 1);
        CU_ASSERT(part <= RG_BACKUP_HIDDEN || piece <= 1448);
        snprintf(one_less, sizeof one_less, "%d", most - 1);
        if (most > 1) {
            part = longer(sets, one_less, &piece, &less);
            CU_ASSERT(part > RG_BACKUP_HIDDEN && piece > 1448);
        }
    }
    CU_ASSERT(most > 2); /* or nothing was tried */
}

/* ---- bad input ---- */

static void what_cannot_is_refused(void)
{
    static const char *const cases[][2] = {
        {"nodes=3 1f1b-3.backup=0", "1 to 1000000 are allowed, or no|auto"},
        {"nodes=3 1f1b-3.backup=-2", "1 to 1000000 are allowed, or no|auto"},
        {"nodes=3 1f1b-3.backup=2.5", "auto"},
        {"nodes=3 1f1b-3.backup=often", "auto"},
        {"nodes=3 single.backup=2", "backup"},
        {"nodes=3 1f1b-3.schedule=pipedream",
         "sequential, gpipe, 1f1b, interleaved, zb-h1, zb-h2, zb"},
        {"nodes=3 1f1b-3.schedule=ringtmp", "not to ringtmp"},
        {"nodes=3 1f1b-3.overlap=no", "overlap=\"yes\" is allowed"},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++)
        harness_refuses("matrix-backup.xml", cases[i][0], cases[i][1]);
}

/* A node alone has nobody to keep anything for, and nobody to lose. */
static void one_node_keeps_none(void)
{
    struct rg_study study;
    struct rg_run run;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-backup.xml", "nodes=1"));
    const struct rg_job *job = harness_job(&study, "1f1b-3");
    struct rg_prediction p = {0};
    job->strategy->predict(job, &p);
    CU_ASSERT_EQUAL(p.messages, 0);
    CU_ASSERT_EQUAL(p.copies.most, 0);
    harness_run_ok(job, &(struct harness_options){.seed = 5}, &run);
    CU_ASSERT_EQUAL(run.traffic.messages, 0);
    CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
    rg_run_free(&run);
    rg_study_close(&study);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"no more is lost than wanted", no_more_is_lost_than_wanted},
        {"trains as without", trains_as_without},
        {"accounts equal forms", accounts_equal_forms},
        {"copies are counted by hand", copies_are_counted_by_hand},
        {"auto is the least that hides", auto_is_the_least_that_hides},
        {"what cannot is refused", what_cannot_is_refused},
        {"one node keeps none", one_node_keeps_none},
    };
    return suite_main("backup", tests, sizeof tests / sizeof *tests, argc, argv);
}
