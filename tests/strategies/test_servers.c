/* The order in which a parameter server's servers serve their workers, from the timeline. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "support/suite.h"

enum { MOST_WORKERS = 8 };

/* Every iteration of every server sends to the workers (0 ..) in the order that `want` has. */
static void serves(int servers, int workers, int want[][MOST_WORKERS])
{
    struct rg_study study;
    struct rg_run run;
    char sets[120];
    snprintf(sets, sizeof sets, "nodes=%d server.servers=%d replicas.replicas=%d iterations=3",
             servers + workers, servers, servers + workers);
    CU_ASSERT_FATAL(harness_open(&study, "matrix-servers.xml", sets));
    const struct harness_options options = {.seed = 1, .trace = true};
    CU_ASSERT_EQUAL(harness_run(harness_job(&study, "server"), &options, &run, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(run.node_count, servers + workers);
    for (int server = 0; server < servers; server++) {
        const struct rg_trace *trace = run.per_node[server].trace;
        uint64_t sent = 0;
        CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
        for (uint64_t i = 0; i < trace->count; i++) {
            if (trace->events[i].kind != RG_TRACE_SEND)
                continue;
            CU_ASSERT_EQUAL(trace->events[i].peer,
                            servers + want[server][sent % (uint64_t)workers]);
            sent++;
        }
        CU_ASSERT_EQUAL(sent, 3 * (uint64_t)workers);
    }
    rg_run_free(&run);
    rg_study_close(&study);
}

/* In waves of at least as many workers as servers, as even as they go, and server j begins each
 * wave at its j-th worker. Two servers and five workers: waves of three and two. Three servers and
 * two workers: one wave, in which the third server begins where the first does. */
static void servers_begin_with_different_workers(void)
{
    serves(2, 2, (int[][MOST_WORKERS]){{0, 1}, {1, 0}});
    serves(2, 5, (int[][MOST_WORKERS]){{0, 1, 2, 3, 4}, {1, 2, 0, 4, 3}});
    serves(3, 4, (int[][MOST_WORKERS]){{0, 1, 2, 3}, {1, 2, 3, 0}, {2, 3, 0, 1}});
    serves(3, 2, (int[][MOST_WORKERS]){{0, 1}, {1, 0}, {0, 1}});
}

/* A server and three workers; the boards of some compute at a third of the rates. */
static struct rg_prediction with_slow(const struct rg_job *job, unsigned slow)
{
    struct rg_board board = *job->boards[0];
    board.gemm_rate /= 3;
    board.gemm_rate_all /= 3;
    board.vector_rate /= 3;
    const struct rg_board *boards[4];
    for (int rank = 0; rank < 4; rank++)
        boards[rank] = slow >> rank & 1 ? &board : job->boards[0];
    struct rg_job mixed = *job;
    struct rg_prediction p = {0};
    mixed.boards = boards;
    job->strategy->predict(&mixed, &p);
    return p;
}

/* Whichever worker is slow, T_A is its; and so is the iteration's form where all workers wait. */
static void a_slow_worker_decides(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-servers.xml",
                                 "nodes=4 server.servers=1 replicas.replicas=4 batch=24"));
    const struct rg_job *job = harness_job(&study, "server");
    struct rg_prediction none = with_slow(job, 0), all = with_slow(job, 0xe);
    CU_ASSERT(all.T_A_s > 1.5 * none.T_A_s);
    for (int worker = 1; worker <= 3; worker++) {
        struct rg_prediction one = with_slow(job, 1U << worker);
        CU_ASSERT_DOUBLE_EQUAL(one.T_A_s, all.T_A_s, 1e-12 * all.T_A_s);
        CU_ASSERT(one.iteration_s > none.iteration_s);
    }
    rg_study_close(&study);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"servers begin with different workers", servers_begin_with_different_workers},
        {"a slow worker decides", a_slow_worker_decides},
    };
    rg_blas_setup(argv);
    return suite_main("servers", tests, sizeof tests / sizeof *tests, argc, argv);
}
