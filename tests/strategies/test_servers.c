/* The order in which a parameter server's servers serve their workers, from the timeline; and the
 * dates of its closed form. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/server_parts.h"
#include "support/suite.h"
#include <math.h>

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

/* ---- dates of a server and three workers, in seconds: a gradient takes a port of theirs 1 ---- */

struct dates {
    struct rg_study study;
    struct rg_network network;
    struct rg_board server, worker, slow; /* slow: computes for more than a minute */
};

/* A server that computes in no time; gradients of so many parameters. */
static bool open_dates(struct dates *d, size_t parameters)
{
    if (!harness_open(&d->study, "matrix-servers.xml",
                      "nodes=4 server.servers=1 replicas.replicas=4 batch=24"))
        return false;
    const struct rg_job *job = harness_job(&d->study, "server");
    d->network = *job->network;
    d->network.parameters = parameters;
    struct rg_board b = *job->boards[0];
    b.frame_bytes = b.frame_payload;
    b.latency_s = b.message_s = b.byte_s = 0;
    b.port_rate = (double)(sizeof(float) * parameters + RG_MESSAGE_HEADER);
    d->server = d->worker = d->slow = b;
    d->server.vector_rate = d->server.memory_rate = d->server.memory_rate_all = INFINITY;
    d->server.call_s = 0;
    d->slow.gemm_rate /= 1e6;
    d->slow.gemm_rate_all /= 1e6;
    return true;
}

static struct rg_prediction dates_of(const struct dates *d, const struct rg_board *first,
                                     const struct rg_board *second, const struct rg_board *third)
{
    struct rg_job job = *harness_job(&d->study, "server");
    const struct rg_board *boards[] = {&d->server, first, second, third};
    struct rg_prediction p = {0};
    struct rg_server_plan plan = *rg_server_plan(&job);
    struct rg_server_stage stage = plan.stage[0];
    stage.parameters = d->network.parameters;
    plan.stage = &stage;
    job.plan = &plan;
    job.boards = boards;
    job.network = &d->network;
    job.strategy->predict(&job, &p);
    return p;
}

/* The first worker computes long, T. The others, pulled at 2 and 3, have passed by then: it is the
 * last, 1 + T + 1. Of gradients beyond the eager limit the third waits for its receive, which is
 * posted when the first has been taken: 1 more. A latency of 1/4 is on every way. */
static void late_gradients_hold_up_only_receives(void)
{
    for (int big = 0; big < 2; big++) {
        struct dates d;
        size_t parameters = RG_EAGER_LIMIT / sizeof(float) + (size_t)big;
        CU_ASSERT_FATAL(open_dates(&d, parameters));
        d.server.latency_s = d.worker.latency_s = d.slow.latency_s = 0.25;
        struct rg_prediction p = dates_of(&d, &d.slow, &d.worker, &d.worker);
        CU_ASSERT(p.T_A_s > 60);
        CU_ASSERT_DOUBLE_EQUAL(p.iteration_s, p.T_A_s + (2 + big) * 1.25, 1e-9 * p.T_A_s);
        CU_ASSERT_PTR_NULL(p.holds);
        rg_study_close(&d.study);
    }
}

/* The first worker's port has half the rate: pulls end at 2, 3, 4. Its push is alone for 1; then
 * it shares the server's port with the second's until both have sent half, at 4, where it is
 * through; the second and third have half each until 5, the third's other half takes 0.5. */
static void pushes_share_the_port(void)
{
    struct dates d;
    CU_ASSERT_FATAL(open_dates(&d, 1000));
    struct rg_board half = d.worker;
    half.port_rate /= 2;
    struct rg_prediction p = dates_of(&d, &half, &d.worker, &d.worker);
    CU_ASSERT(p.T_A_s < 0.1);
    CU_ASSERT_DOUBLE_EQUAL(p.iteration_s, 5.5 + p.T_A_s, 1e-9);
    CU_ASSERT(p.told);
    rg_study_close(&d.study);
}

/* A core that moves a gradient's bytes takes 2, the wire 1, the way 1/4: pulls end at 2.25, 4.5 and
 * 6.75, and the last push, which nobody is in the way of, takes another 2.25. */
static void cores_move_bytes_meanwhile(void)
{
    struct dates d;
    CU_ASSERT_FATAL(open_dates(&d, 1000));
    d.server.byte_s = d.worker.byte_s = 2 / d.worker.port_rate;
    d.server.latency_s = d.worker.latency_s = 0.25;
    struct rg_prediction p = dates_of(&d, &d.worker, &d.worker, &d.worker);
    CU_ASSERT_DOUBLE_EQUAL(p.iteration_s, 9 + p.T_A_s, 1e-9);
    rg_study_close(&d.study);
}

/* Behind half-duplex ports it matters whether pushes meet pulls: not where all compute so long. */
static void pulls_and_pushes_meet_or_not(void)
{
    struct dates d;
    CU_ASSERT_FATAL(open_dates(&d, 1000));
    d.server.port_bus_rate = d.worker.port_bus_rate = d.slow.port_bus_rate = d.server.port_rate;
    CU_ASSERT_PTR_NULL(dates_of(&d, &d.slow, &d.slow, &d.slow).holds);
    CU_ASSERT_PTR_NOT_NULL(dates_of(&d, &d.worker, &d.worker, &d.worker).holds);
    rg_study_close(&d.study);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"servers begin with different workers", servers_begin_with_different_workers},
        {"a slow worker decides", a_slow_worker_decides},
        {"late gradients hold up only receives", late_gradients_hold_up_only_receives},
        {"pushes share the port", pushes_share_the_port},
        {"cores move bytes meanwhile", cores_move_bytes_meanwhile},
        {"pulls and pushes meet or not", pulls_and_pushes_meet_or_not},
    };
    rg_blas_setup(argv);
    return suite_main("servers", tests, sizeof tests / sizeof *tests, argc, argv);
}
