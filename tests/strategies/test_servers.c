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

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"servers begin with different workers", servers_begin_with_different_workers},
    };
    rg_blas_setup(argv);
    return suite_main("servers", tests, sizeof tests / sizeof *tests, argc, argv);
}
