/* Nodes with rows of their own: what they keep, what they train on, and what is refused. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/samples.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

static void open_with(struct rg_study *study, int nodes, const char *sets)
{
    char all[300];
    snprintf(all, sizeof all, "nodes=%d %s", nodes, sets);
    CU_ASSERT_FATAL(harness_open(study, "matrix-federated.xml", all));
}

static void run_ok(const struct rg_job *job, const struct harness_options *options,
                   struct rg_run *run)
{
    CU_ASSERT_EQUAL(harness_run(job, options, run, NULL), 0);
    if (run->status != RG_RUN_OK)
        printf("%s on %d: %s\n", job->label, job->nodes, run->error);
    CU_ASSERT_EQUAL(run->status, RG_RUN_OK);
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
    run_ok(job, &(struct harness_options){.seed = 7, .jitter = 0.5}, &run);
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
    static const char *const sets[] = {"rows=order", "rows=shuffle", "rows=labels shards=3",
                                       "rows=dirichlet"};
    EACH(i, sets)
    {
        struct rg_study study;
        open_with(&study, 5, sets[i]);
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
    static const char *const sets[] = {"rows=shared",    "rows=order",
                                       "rows=shuffle",   "rows=labels",
                                       "rows=dirichlet", "rows=dirichlet concentration=2"};
    char digests[RG_COUNT(sets)][3][65];
    EACH(i, sets)
    {
        struct rg_study study;
        open_with(&study, 4, sets[i]);
        for (int k = 0; k < 3; k++) {
            struct rg_run a, b;
            run_ok(&study.jobs[k], &(struct harness_options){.seed = 1}, &a);
            run_ok(&study.jobs[k],
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

/* All rows in one batch, on nodes that have as many each: it does not matter who has which. */
static void a_batch_of_all_rows_is_that_of_all_rows(void)
{
    static const char *const sets[] = {"rows=shared", "rows=order", "rows=shuffle",
                                       "rows=labels shards=3"};
    float *want[3] = {0};
    EACH(i, sets)
    {
        struct rg_study study;
        char all[120];
        snprintf(all, sizeof all, "batch=120 server.nodes=6 %s", sets[i]);
        open_with(&study, 5, all);
        for (int k = 0; k < 3; k++) {
            const struct rg_job *job = &study.jobs[k];
            if (strcmp(job->label, "local") == 0) /* its steps are on parts of the rows */
                continue;
            float *have = harness_parameters(job, &(struct harness_options){0}, NULL);
            if (want[k])
                CU_ASSERT(harness_distance(want[k], have, job->network->parameters) < 1e-5);
            if (i > 0)
                free(have);
            else
                want[k] = have;
        }
        rg_study_close(&study);
    }
    for (int k = 0; k < 3; k++)
        free(want[k]);
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
        {"nodes=24 concentration=0.01", "rows=dirichlet, strategy \"all-reduce\": 120 training"},
    };
    EACH(i, cases)
    harness_refuses("matrix-federated.xml", cases[i][0], cases[i][1]);
    harness_refuses("matrix-interleaved.xml", "nodes=2 rows=order", "ring_allreduce");
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"accounts equal forms", accounts_equal_forms},
        {"a rank loads its own", a_rank_loads_its_own},
        {"weights go by rows alone", weights_go_by_rows_alone},
        {"a batch of all rows is that of all rows", a_batch_of_all_rows_is_that_of_all_rows},
        {"what cannot be is refused", what_cannot_be_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("federated", tests, sizeof tests / sizeof *tests, argc, argv);
}
