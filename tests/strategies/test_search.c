/* L-BFGS: its direction against the dense matrix of the textbook, an optimum that is known, what it
 * does where no length helps; on one node and on servers, to the bit. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/search.h"
#include "strategies/tasks.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

/* ---- a function on paper ---- */

enum { N = 6, HISTORY = 3, VECTORS = RG_VECTOR_PAIRS + 2 * HISTORY };

/* (x - x0)' A (x - x0) / 2 of a symmetric matrix whose eigenvalues lie between 1 and 12; or with
 * `wrong` something that is larger wherever it is looked at; `even`: as steep everywhere as it is
 * at nothing. */
struct paper {
    struct rg_search search;
    float at[VECTORS][N];
    double losses[40];
    double slope, length; /* of the last direction; of the last trial along it */
    int evaluations, directions;
    bool wrong, even;
};

static const double OPTIMUM[N] = {1, -2, 0.5, 3, -0.25, 0};

static double element(int i, int j)
{
    return i == j ? 3 + i : 1.0 / (1 + i + j);
}

static int evaluate(void *arg, int64_t iteration, double *loss)
{
    struct paper *p = arg;
    *loss = p->wrong ? p->evaluations : 0;
    for (int i = 0; i < N; i++) {
        double slope = 0;
        for (int j = 0; j < N; j++)
            slope += element(i, j) * ((p->even ? 0 : p->at[RG_VECTOR_W][j]) - OPTIMUM[j]);
        p->at[RG_VECTOR_G][i] = (float)slope;
        *loss += p->wrong ? 0 : slope * (p->at[RG_VECTOR_W][i] - OPTIMUM[i]) / (p->even ? 1 : 2);
    }
    p->losses[iteration] = *loss;
    p->evaluations++;
    return 0;
}

static int dot(void *arg, int a, int b, double *value)
{
    struct paper *p = arg;
    for (int i = 0; i < N; i++)
        *value += (double)p->at[a][i] * p->at[b][i];
    p->slope = b == RG_VECTOR_D ? *value : p->slope;
    return 0;
}

/* H of Nocedal and Wright 2006, equation 7.16 with the start of 7.20, by its definition. */
static void inverse(const struct paper *p, double h[N][N])
{
    const struct rg_search *s = &p->search;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            h[i][j] = i == j ? (s->pairs > 0 ? s->first_scale : 1) : 0;
    for (int back = s->pairs - 1; back >= 0; back--) {
        int k = (s->newest - back + HISTORY) % HISTORY;
        const float *step = p->at[RG_VECTOR_PAIRS + 2 * k], *change = step + N;
        double rho = 0, hy[N] = {0}, yhy = 0;
        for (int i = 0; i < N; i++)
            rho += (double)step[i] * change[i];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                hy[i] += h[i][j] * change[j];
        for (int i = 0; i < N; i++)
            yhy += hy[i] * change[i];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                h[i][j] += -(step[i] * hy[j] + hy[i] * step[j]) / rho +
                           (1 + yhy / rho) * step[i] * step[j] / rho;
    }
}

/* The direction is there when its slope has been asked for and the gradient is kept. */
static void check_direction(struct paper *p)
{
    double h[N][N];
    inverse(p, h);
    for (int i = 0; i < N; i++) {
        double want = 0;
        for (int j = 0; j < N; j++)
            want -= h[i][j] * p->at[RG_VECTOR_G][j];
        CU_ASSERT_DOUBLE_EQUAL(p->at[RG_VECTOR_D][i], want, 1e-4 * (1 + fabs(want)));
    }
    p->directions++;
}

static int combine(void *arg, int to, int a, double by, int b)
{
    struct paper *p = arg;
    bool keeps = to >= RG_VECTOR_PAIRS && a == RG_VECTOR_NONE && b == RG_VECTOR_G;
    if (keeps)
        check_direction(p);
    if (to == RG_VECTOR_W && b == RG_VECTOR_D)
        p->length = by;
    for (int i = 0; i < N; i++)
        p->at[to][i] = (a == RG_VECTOR_NONE ? 0 : p->at[a][i]) + (float)by * p->at[b][i];
    return 0;
}

static const struct rg_search_ops ops = {.combine = combine, .dot = dot, .evaluate = evaluate};

static void open_paper(struct paper *p, struct rg_job *job)
{
    *job = (struct rg_job){.numerics = true, .optimizer = rg_optimizer_make(RG_LBFGS, 1)};
    job->optimizer.history = HISTORY;
    job->optimizer.trials = 6;
    *p = (struct paper){.search = {.job = job, .ops = &ops, .arg = p}};
    for (int i = 0; i < N; i++)
        p->at[RG_VECTOR_W][i] = (float)i - 2;
}

static void directions_are_the_textbooks(void)
{
    struct paper p;
    struct rg_job job;
    open_paper(&p, &job);
    for (int i = 0; i < 25; i++) {
        CU_ASSERT_EQUAL(rg_search_step(&p.search, i), 0);
        CU_ASSERT(i == 0 || p.losses[i] <= p.losses[i - 1] + 1e-9);
        CU_ASSERT_EQUAL(p.search.pairs > HISTORY, false);
    }
    CU_ASSERT_EQUAL(p.directions, 25);
    for (int i = 0; i < N; i++)
        CU_ASSERT_DOUBLE_EQUAL(p.at[RG_VECTOR_W][i], OPTIMUM[i], 1e-5);
}

/* Where the function is steep: of a direction that knows the curvature the first length is the
 * rate, also where its only pair makes way for the next; without any it is less. */
static void lengths_begin_at_the_rate(void)
{
    for (int history = 1; history <= HISTORY; history++) {
        struct paper p;
        struct rg_job job;
        open_paper(&p, &job);
        job.optimizer.history = history;
        job.optimizer.trials = 1;
        CU_ASSERT_EQUAL(rg_search_step(&p.search, 0), 0);
        CU_ASSERT(p.slope < -1);
        CU_ASSERT_DOUBLE_EQUAL(p.length, 1 / sqrt(-p.slope), 1e-12);
        CU_ASSERT_EQUAL(p.search.pairs, 1);
        CU_ASSERT_EQUAL(rg_search_step(&p.search, 1), 0);
        CU_ASSERT(p.slope < -1);
        CU_ASSERT_EQUAL(p.length, 1);
    }
}

/* Of no change of the gradient nothing is learned: what there was stays, and every step goes down.
 */
static void pairs_without_curvature_are_left_out(void)
{
    struct paper p;
    struct rg_job job;
    open_paper(&p, &job);
    p.even = true;
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(rg_search_step(&p.search, i), 0);
        CU_ASSERT_EQUAL(p.search.pairs, 0);
        CU_ASSERT(i == 0 || p.losses[i] < p.losses[i - 1] - 1e-3);
    }
}

/* All lengths have been tried: the parameters are where they were, to the bit. */
static void where_nothing_helps_it_stays(void)
{
    struct paper p;
    struct rg_job job;
    float before[N];
    open_paper(&p, &job);
    CU_ASSERT_EQUAL(rg_search_step(&p.search, 0), 0);
    CU_ASSERT_EQUAL(p.search.pairs, 1);
    memcpy(before, p.at[RG_VECTOR_W], sizeof before);
    p.wrong = true;
    p.evaluations = 0;
    CU_ASSERT_EQUAL(rg_search_step(&p.search, 1), 0);
    CU_ASSERT_EQUAL(p.evaluations, 1 + 6);
    CU_ASSERT_EQUAL(p.search.pairs, 0);
    CU_ASSERT_EQUAL(memcmp(before, p.at[RG_VECTOR_W], sizeof before), 0);
}

/* ---- nodes ---- */

static void open_with(struct rg_study *study, int nodes, const char *sets)
{
    char all[300];
    snprintf(all, sizeof all, "nodes=%d %s", nodes, sets);
    CU_ASSERT_FATAL(harness_open(study, "matrix-lbfgs.xml", all));
}

static void one_worker_is_single(void)
{
    static const char *const sets[] = {"", "batch=40 epochs=4 history=1",
                                       "batch=23 learning-rate=4 trials=3 epochs=3"};
    EACH(i, sets)
    {
        struct rg_study study;
        struct rg_run single, servers;
        open_with(&study, 3, sets[i]);
        harness_run_ok(harness_job(&study, "single"), &(struct harness_options){.seed = 1},
                       &single);
        harness_run_ok(harness_job(&study, "sandblaster-1"),
                       &(struct harness_options){.seed = 2, .jitter = 1}, &servers);
        CU_ASSERT_EQUAL(strlen(single.weights_sha256), 64);
        CU_ASSERT_STRING_EQUAL(single.weights_sha256, servers.weights_sha256);
        rg_run_free(&single);
        rg_run_free(&servers);
        rg_study_close(&study);
    }
}

/* But for the order of additions, which a few steps do not magnify much. */
static void servers_are_near_single(void)
{
    for (int servers = 1; servers <= 3; servers++) {
        struct rg_study study;
        char sets[80];
        snprintf(sets, sizeof sets, "epochs=4 sandblaster.servers=%d", servers);
        open_with(&study, 7, sets);
        size_t count = study.network.parameters;
        float *single = harness_parameters(harness_job(&study, "single"),
                                           &(struct harness_options){.seed = 1}, NULL);
        float *pieces = harness_parameters(harness_job(&study, "single-7"),
                                           &(struct harness_options){.seed = 1}, NULL);
        float *far = harness_parameters(harness_job(&study, "sandblaster"),
                                        &(struct harness_options){.seed = 1, .jitter = 2}, NULL);
        CU_ASSERT(harness_distance(single, pieces, count) < 1e-4);
        CU_ASSERT(harness_distance(single, far, count) < 1e-4);
        free(single);
        free(pieces);
        free(far);
        rg_study_close(&study);
    }
}

/* The same, where servers and a single node add what l2 costs; which is not nothing. */
static void penalties_are_near_single(void)
{
    struct rg_study study;
    struct rg_search_calls most, without;
    open_with(&study, 7, "epochs=4");
    without = rg_search_most(harness_job(&study, "single"));
    float *plain = harness_parameters(harness_job(&study, "single"),
                                      &(struct harness_options){.seed = 1}, NULL);
    rg_study_close(&study);
    open_with(&study, 7, "epochs=4 l2=0.5 sandblaster.servers=2");
    size_t count = study.network.parameters;
    const struct rg_job *job = harness_job(&study, "single");
    struct rg_run run;
    float *single = harness_parameters(job, &(struct harness_options){.seed = 1}, NULL);
    float *far = harness_parameters(harness_job(&study, "sandblaster"),
                                    &(struct harness_options){.seed = 1, .jitter = 2}, &run);
    CU_ASSERT(harness_distance(single, far, count) < 1e-4);
    CU_ASSERT(harness_distance(single, plain, count) > 1e-2);
    most = rg_search_most(job); /* a sum and a product for each evaluation */
    CU_ASSERT_EQUAL(most.dots, without.dots + most.evaluations);
    CU_ASSERT_EQUAL(most.combines, without.combines + most.evaluations);
    rg_run_free(&run);
    free(plain);
    free(single);
    free(far);
    rg_study_close(&study);
}

static void timing_changes_no_weight(void)
{
    struct rg_study study;
    struct rg_run first, run;
    open_with(&study, 6, "sandblaster.servers=2");
    const struct rg_job *job = harness_job(&study, "sandblaster");
    harness_run_ok(job, &(struct harness_options){.seed = 1}, &first);
    for (uint64_t seed = 2; seed < 6; seed++) {
        harness_run_ok(job, &(struct harness_options){.seed = seed, .jitter = (double)seed}, &run);
        CU_ASSERT_STRING_EQUAL(first.weights_sha256, run.weights_sha256);
        rg_run_free(&run);
    }
    rg_run_free(&first);
    rg_study_close(&study);
}

static void add_flow(void *arg, const struct rg_traffic *t)
{
    uint64_t *sums = arg;
    sums[0] += t->messages;
    sums[1] += t->payload;
}

/* A server has 3 + 2 h vectors of its range, and room for a push or for all. */
static void accounts_are_within_the_forms(void)
{
    struct rg_study study;
    open_with(&study, 6, "sandblaster.servers=2");
    uint64_t n = study.network.parameters, most = (n + 1) / 2;
    const struct rg_job *one = harness_job(&study, "sandblaster-1"),
                        *job = harness_job(&study, "sandblaster");
    CU_ASSERT_EQUAL(one->strategy->memory(one, 1), 4 * n * (3 + 2 * 4 + 1));
    CU_ASSERT_EQUAL(job->strategy->memory(job, 1), 4 * most * (3 + 2 * 4 + 7));
    CU_ASSERT_EQUAL(job->strategy->memory(job, 0), 0);
    for (int i = 0; i < study.job_count; i++) {
        const struct rg_job *each = &study.jobs[i];
        uint64_t iterations = (uint64_t)each->iterations, flows[2] = {0};
        struct rg_prediction p = {0};
        struct rg_run run;
        each->strategy->predict(each, &p);
        harness_run_ok(each, &(struct harness_options){.seed = 1, .jitter = 0.3}, &run);
        CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
        CU_ASSERT_EQUAL(p.at_most, each->nodes > 1);
        CU_ASSERT(run.traffic.messages <= p.messages * iterations);
        CU_ASSERT(run.traffic.values <= p.values * iterations);
        CU_ASSERT(run.traffic.payload_bytes <= p.payload_bytes * iterations);
        if (each->strategy->flows) {
            each->strategy->flows(each, add_flow, flows);
            CU_ASSERT_EQUAL(flows[0], p.messages);
            CU_ASSERT_EQUAL(flows[1], p.payload_bytes);
        }
        rg_run_free(&run);
    }
    rg_study_close(&study);
}

static void what_does_not_fit_is_refused(void)
{
    static const char *const cases[][3] = {
        {"matrix-lbfgs.xml", "nodes=4 optimizer=sgd", "the steps of optimizer=\"lbfgs\""},
        {"matrix-lbfgs.xml", "nodes=4 history=51", "1 to 50"},
        {"matrix-lbfgs.xml", "nodes=4 clip=1", "clip=\"1\": the directions of optimizer=\"lbfgs\""},
        {"matrix-lbfgs.xml", "nodes=4 sandblaster.portions=121",
         "portions=\"121\" of a batch of 120 samples: 1 to 120"},
        {"matrix-sgd.xml", "nodes=4 optimizer=lbfgs", "looks at a batch several times"},
        {"matrix-lbfgs.xml", "nodes=4 l1=0.1", "sgd, momentum and adagrad are allowed"},
        {"matrix-sgd.xml", "nodes=4 history=3", "optimizer"}};
    EACH(i, cases)
    harness_refuses(cases[i][0], cases[i][1], cases[i][2]);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"directions are the textbook's, and lead to the optimum", directions_are_the_textbooks},
        {"lengths begin at the rate", lengths_begin_at_the_rate},
        {"pairs without curvature are left out", pairs_without_curvature_are_left_out},
        {"where nothing helps it stays", where_nothing_helps_it_stays},
        {"one worker is single", one_worker_is_single},
        {"servers are near single", servers_are_near_single},
        {"penalties are near single", penalties_are_near_single},
        {"timing changes no weight", timing_changes_no_weight},
        {"traffic and memory are within the closed forms", accounts_are_within_the_forms},
        {"what does not fit is refused", what_does_not_fit_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("search", tests, sizeof tests / sizeof *tests, argc, argv);
}
