/* Tasks that are handed out to idle workers: what equals what to the bit, accounts against closed
 * forms, and workers that repeat the tasks of slow ones. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/tasks.h"
#include "support/suite.h"
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

static void open_with(struct rg_study *study, int nodes, const char *sets)
{
    char all[300];
    snprintf(all, sizeof all, "nodes=%d %s", nodes, sets);
    CU_ASSERT_FATAL(harness_open(study, "matrix-tasks.xml", all));
}

/* With as many tasks as workers and one reducer the sums are those of a server in step. */
static void a_task_a_worker_is_a_server(void)
{
    static const int workers[] = {1, 2, 5, 8};
    EACH(i, workers)
    {
        struct rg_study study;
        char sets[160];
        snprintf(sets, sizeof sets, "mapreduce.tasks=%d server.nodes=%d mapreduce-7.tasks=%d",
                 workers[i], workers[i] + 1, workers[i]);
        open_with(&study, workers[i] + 2, sets);
        const struct rg_job *server = harness_job(&study, "server");
        CU_ASSERT_EQUAL(server->nodes, workers[i] + 1);
        harness_same_weights(server, harness_job(&study, "mapreduce"), 3);
        harness_same_weights(server, harness_job(&study, "mapreduce-7"), 3);
        rg_study_close(&study);
    }
}

/* Nor does it matter who does a task, how many could have done it, or who holds which range. */
static void nobody_can_tell_who_did_it(void)
{
    struct rg_study study, other;
    open_with(&study, 3, "mapreduce.tasks=7");
    open_with(&other, 7, "mapreduce.tasks=7 mapreduce.reducers=3 mapreduce.copies=3");
    const struct rg_job *one = harness_job(&study, "mapreduce-7");
    harness_same_weights(one, harness_job(&study, "mapreduce"), 2);
    for (int jitter = 0; jitter < 5; jitter++)
        harness_same_weights(one, harness_job(&other, "mapreduce"), jitter);
    rg_study_close(&study);
    rg_study_close(&other);
}

static void slow_down(struct rg_board *board)
{
    board->gemm_rate /= 50;
    board->gemm_rate_all /= 50;
    board->vector_rate /= 50;
    board->memory_rate /= 50;
    board->memory_rate_all /= 50;
    board->call_s *= 50;
}

/* A slow worker's task is repeated by a quick one, and its word comes too late. */
static void a_slow_worker_is_not_waited_for(void)
{
    struct rg_study study;
    struct rg_run backup, alone;
    double seconds[2];
    open_with(&study, 5, "mapreduce.tasks=7");
    EACH(i, seconds)
    {
        struct rg_job job = *harness_job(&study, i ? "mapreduce" : "mapreduce-7");
        struct rg_board board = *job.boards[0];
        const struct rg_board *boards[5] = {job.boards[0], job.boards[0], job.boards[0],
                                            job.boards[0], &board};
        slow_down(&board);
        job.boards = boards;
        harness_run_ok(&job, &(struct harness_options){.seed = 1}, i ? &backup : &alone);
        seconds[i] = i ? backup.time_s : alone.time_s;
    }
    CU_ASSERT(seconds[1] < 0.6 * seconds[0]);
    CU_ASSERT_STRING_EQUAL(backup.weights_sha256, alone.weights_sha256);
    CU_ASSERT_EQUAL(backup.traffic.values, alone.traffic.values);
    CU_ASSERT(backup.traffic.messages > alone.traffic.messages);
    rg_run_free(&backup);
    rg_run_free(&alone);
    rg_study_close(&study);
}

static void add_flow(void *arg, const struct rg_traffic *t)
{
    uint64_t *sums = arg;
    sums[0] += t->messages;
    sums[1] += t->payload;
}

/* W workers, M tasks, R reducers: parameters to all, a word for each task and one at the end, and
 * one back, whose it is to each reducer, and its gradient. */
static void account_equals_forms(const struct rg_job *job, int copies)
{
    const struct rg_tasks_plan *plan = rg_tasks_plan(job);
    uint64_t w = (uint64_t)plan->workers, m = (uint64_t)plan->tasks, r = (uint64_t)plan->reducers;
    uint64_t more = (uint64_t)copies - 1, iterations = (uint64_t)job->iterations;
    uint64_t flows[2] = {0};
    struct rg_prediction p = {0};
    struct rg_run run;
    job->strategy->predict(job, &p);
    job->strategy->flows(job, add_flow, flows);
    CU_ASSERT_EQUAL(flows[0], p.messages);
    CU_ASSERT_EQUAL(flows[1], p.payload_bytes);
    CU_ASSERT_EQUAL(p.values, (w + m + more) * job->network->parameters);
    harness_run_ok(job, &(struct harness_options){.seed = 7, .jitter = 0.5}, &run);
    CU_ASSERT_EQUAL(run.traffic.values, p.values * iterations);
    CU_ASSERT_EQUAL(p.at_most, plan->backup);
    CU_ASSERT_EQUAL(job->values[RG_TASKS_TASKS].number, plan->tasks); /* auto, too */
    if (plan->backup) {
        CU_ASSERT(run.traffic.messages <= p.messages * iterations);
        CU_ASSERT(run.traffic.payload_bytes <= p.payload_bytes * iterations);
    } else {
        CU_ASSERT_EQUAL(p.messages, w * r + 2 * m + w + 2 * m * r + more * r);
        CU_ASSERT_EQUAL(p.payload_bytes, 4 * p.values + 16 * (2 * m + w) + 8 * m * r);
        CU_ASSERT_EQUAL(run.traffic.messages, p.messages * iterations);
        CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * iterations);
    }
    CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
    uint64_t most = (job->network->parameters + r - 1) / r, rooms = plan->backup ? m : 1;
    if (copies == 1) /* and momentum */
        CU_ASSERT_EQUAL(job->strategy->memory(job, 1), 4 * most * (3 + rooms));
    for (int rank = 0; rank < job->nodes; rank++) {
        uint64_t train = job->strategy->feeds(job, rank) ? (uint64_t)job->data->train : 0;
        uint64_t tests = rank == 0 ? (uint64_t)job->data->test : 0;
        CU_ASSERT_EQUAL(run.per_node[rank].memory_bytes, job->strategy->memory(job, rank) +
                                                             train * (4 * job->data->inputs + 5) +
                                                             tests * (4 * job->data->inputs + 1));
    }
    rg_run_free(&run);
}

static void accounts_equal_forms(void)
{
    for (int nodes = 3; nodes <= 8; nodes++)
        for (int reducers = 1; reducers <= nodes - 2 && reducers < 4; reducers++) {
            struct rg_study study;
            char sets[160];
            snprintf(sets, sizeof sets,
                     "mapreduce.reducers=%d mapreduce-7.reducers=%d mapreduce-7.copies=%d",
                     reducers, reducers, reducers);
            open_with(&study, nodes, sets);
            account_equals_forms(harness_job(&study, "mapreduce"), 1);
            account_equals_forms(harness_job(&study, "mapreduce-7"), reducers);
            rg_study_close(&study);
        }
}

/* What nodes have whole when an epoch is over: ranges of all reducers, copies apart. */
struct holding {
    const struct rg_job *job;
    float *own, *copied; /* [parameters] */
    size_t copies;       /* numbers that are in `copied` */
};

static int hold(struct rg_world *w, void *arg)
{
    struct holding *h = arg;
    const float *values;
    size_t first, count;
    void *state = NULL;
    w->mem = rg_mem_new(RG_MEM_REAL);
    int result = h->job->strategy->open(w, h->job, NULL, &state);
    if (result == 0)
        result = rg_clock_start(w);
    if (result == 0)
        result = h->job->strategy->train(state, 0, h->job->iterations_per_epoch);
    for (int part = 0; (values = h->job->strategy->held(state, part, &first, &count)); part++) {
        memcpy((part ? h->copied : h->own) + first, values, count * sizeof *values);
        h->copies += part ? count : 0;
    }
    h->job->strategy->close(state);
    rg_mem_free(w->mem);
    return result;
}

static void copies_are_what_they_are_of(void)
{
    struct rg_study study;
    int results[6];
    open_with(&study, 6, "mapreduce.reducers=3 mapreduce.copies=2");
    const struct rg_mem_world_options world = {
        .size = 6, .byte_s = 1e-8, .rate = 1e9, .compute_jitter = 1};
    size_t count = study.network.parameters;
    struct holding h = {.job = harness_job(&study, "mapreduce"),
                        .own = calloc(count, sizeof *h.own),
                        .copied = calloc(count, sizeof *h.copied)};
    CU_ASSERT_FATAL(h.own && h.copied);
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, hold, &h, results), 0);
    CU_ASSERT_EQUAL(h.copies, count);
    CU_ASSERT_EQUAL(memcmp(h.own, h.copied, count * sizeof *h.own), 0);
    free(h.own);
    free(h.copied);
    rg_study_close(&study);
}

static void what_does_not_fit_is_refused(void)
{
    static const char *const cases[][2] = {
        {"nodes=2", "needs at least 3 nodes"},
        {"nodes=5 mapreduce.reducers=4",
         "reducers=\"4\" of 5 nodes leaves no worker beside rank 0, which hands out tasks: 1 to 3"},
        {"nodes=5 mapreduce.tasks=24", "tasks=\"24\" of a batch of 23 samples: 1 to 23"},
        {"nodes=5 mapreduce.copies=2", "copies=\"2\" of a range on 1 reducer: 1 to 1"}};
    EACH(i, cases)
    harness_refuses("matrix-tasks.xml", cases[i][0], cases[i][1]);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"a task a worker is a server", a_task_a_worker_is_a_server},
        {"nobody can tell who did it", nobody_can_tell_who_did_it},
        {"a slow worker is not waited for", a_slow_worker_is_not_waited_for},
        {"traffic and memory equal the closed forms", accounts_equal_forms},
        {"copies are what they are of", copies_are_what_they_are_of},
        {"what does not fit is refused", what_does_not_fit_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("tasks", tests, sizeof tests / sizeof *tests, argc, argv);
}
