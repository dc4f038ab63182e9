/* One strategy source in three worlds: the same weights, traffic and memory in mem, sim and posix.
 */
#include "models/blas.h"
#include "programs/command.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

static const int NODES[] = {1, 2, 3, 5, 8};

/* Under the address sanitizer SimGrid's actors are threads, and ten times as slow. */
#ifdef __SANITIZE_ADDRESS__
#define RINGSIM "ringsim --engine calendar "
#else
#define RINGSIM "ringsim "
#endif

static void expect_same(json_t *run, const char *path, uint64_t want, const char *what)
{
    double have = command_number(run, path);
    if (have != (double)want)
        printf("%s: %s is %.17g, in mem %llu\n", what, path, have, (unsigned long long)want);
    CU_ASSERT_EQUAL(have, (double)want);
}

static void compare(const struct rg_run *mem, json_t *run, const char *world, int nodes)
{
    char what[160];
    snprintf(what, sizeof what, "%s, %s, %d nodes", world, mem->label, nodes);
    if (strcmp(command_text(run, "weights_sha256"), mem->weights_sha256) != 0)
        printf("%s: another digest than in mem\n", what);
    CU_ASSERT_STRING_EQUAL(command_text(run, "weights_sha256"), mem->weights_sha256);
    expect_same(run, "traffic.messages", mem->traffic.messages, what);
    expect_same(run, "traffic.values", mem->traffic.values, what);
    expect_same(run, "traffic.payload_bytes", mem->traffic.payload_bytes, what);
    expect_same(run, "memory_bytes.max_node", mem->memory_bytes.max_node, what);
    expect_same(run, "memory_bytes.total", mem->memory_bytes.total, what);
    expect_same(run, "peak_units", (uint64_t)mem->peak_units, what);
    expect_same(run, "staleness", (uint64_t)mem->staleness, what);
}

typedef void (*compare_fn)(const struct rg_run *mem, json_t *run, const char *world, int nodes);

static void compare_worlds_by(compare_fn check, const char *file, int nodes, const char *sets,
                              const char *set_options)
{
    char line[400];
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, file, sets));
    snprintf(line, sizeof line, RINGSIM "tests/data/%s%s", file, set_options);
    json_t *sim = command_result(line, 60);
    snprintf(line, sizeof line, "ringnode tests/data/%s --local%s", file, set_options);
    json_t *posix = command_result(line, 60);
    for (int i = 0; sim && posix && i < study.job_count; i++) {
        struct rg_run mem;
        CU_ASSERT_EQUAL(
            harness_run(&study.jobs[i], &(struct harness_options){.seed = 4}, &mem, NULL), 0);
        CU_ASSERT_EQUAL(mem.status, RG_RUN_OK);
        check(&mem, command_run_of(sim, mem.label), "sim", nodes);
        check(&mem, command_run_of(posix, mem.label), "posix", nodes);
        rg_run_free(&mem);
    }
    json_decref(sim);
    json_decref(posix);
    rg_study_close(&study);
}

static void compare_worlds(const char *file, int nodes, const char *sets, const char *set_options)
{
    compare_worlds_by(compare, file, nodes, sets, set_options);
}

static void rings_are_the_same_everywhere(void)
{
    for (size_t i = 0; i < sizeof NODES / sizeof *NODES; i++) {
        char sets[80], options[120];
        snprintf(sets, sizeof sets, "nodes=%d", NODES[i]);
        snprintf(options, sizeof options, " --set nodes=%d", NODES[i]);
        compare_worlds("matrix.xml", NODES[i], sets, options);
    }
}

static void interleaved_rings_are_the_same_everywhere(void)
{
    compare_worlds("matrix-interleaved.xml", 2, "nodes=2", " --set nodes=2");
    compare_worlds("matrix-interleaved.xml", 4, "nodes=4", " --set nodes=4");
    compare_worlds("matrix-layers.xml", 3, "nodes=3", " --set nodes=3");
    compare_worlds("matrix-backup.xml", 3, "nodes=3", " --set nodes=3");
}

/* Streams whose delays are compensated predict what they read, by an optimizer of either kind. */
static void compensated_streams_are_the_same_everywhere(void)
{
    compare_worlds("matrix.xml", 3, "nodes=3 compensate=yes",
                   " --set nodes=3 --set compensate=yes");
    compare_worlds("matrix.xml", 5, "nodes=5 compensate=yes optimizer=adam learning-rate=0.003",
                   " --set nodes=5 --set compensate=yes --set optimizer=adam "
                   "--set learning-rate=0.003");
}

static void servers_are_the_same_everywhere(void)
{
    for (size_t i = 1; i < sizeof NODES / sizeof *NODES; i++) {
        for (int servers = 1; servers < NODES[i] && servers < 4; servers += 2) {
            char sets[120], options[200];
            snprintf(sets, sizeof sets, "nodes=%d server.servers=%d replicas.replicas=%d", NODES[i],
                     servers, NODES[i]);
            snprintf(options, sizeof options,
                     " --set nodes=%d --set server.servers=%d --set replicas.replicas=%d", NODES[i],
                     servers, NODES[i]);
            compare_worlds("matrix-servers.xml", NODES[i], sets, options);
        }
    }
}

/* Which rows are whose, and in which order they come, is of the seed. */
static void rows_of_their_own_are_the_same_everywhere(void)
{
    compare_worlds("matrix-federated.xml", 3, "nodes=3", " --set nodes=3");
    compare_worlds("matrix-federated.xml", 5, "nodes=5 rows=labels",
                   " --set nodes=5 --set rows=labels");
    compare_worlds("matrix-fsvrg.xml", 4, "nodes=4", " --set nodes=4");
}

/* Who is out of step goes by timing, but for how much is sent, kept and applied. */
static void compare_accounts(const struct rg_run *mem, json_t *run, const char *world, int nodes)
{
    char what[160];
    snprintf(what, sizeof what, "%s, %s, %d nodes", world, mem->label, nodes);
    CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
    expect_same(run, "iterations", (uint64_t)mem->iterations, what);
    expect_same(run, "traffic.messages", mem->traffic.messages, what);
    expect_same(run, "traffic.values", mem->traffic.values, what);
    expect_same(run, "traffic.payload_bytes", mem->traffic.payload_bytes, what);
    expect_same(run, "memory_bytes.max_node", mem->memory_bytes.max_node, what);
    expect_same(run, "memory_bytes.total", mem->memory_bytes.total, what);
    if (mem->late.known) {
        expect_same(run, "late.gradients", mem->late.gradients, what);
        CU_ASSERT(command_number(run, "late.staleness_mean") <= command_number(run, "staleness"));
    }
    if (nodes == 2 && strncmp(mem->label, "downpour", 8) == 0) /* one replica goes by no timing */
        CU_ASSERT_STRING_EQUAL(command_text(run, "weights_sha256"), mem->weights_sha256);
}

/* A lone replica goes by no timing, whatever its layers are cut into. */
static void compare_rings(const struct rg_run *mem, json_t *run, const char *world, int nodes)
{
    if (strncmp(mem->label, "one", 3) == 0 || !mem->late.known)
        compare(mem, run, world, nodes);
    compare_accounts(mem, run, world, nodes);
}

static void replicas_of_several_nodes_do_the_same_everywhere(void)
{
    compare_worlds_by(compare_rings, "matrix-rings.xml", 5, "", "");
}

static void servers_out_of_step_do_the_same_everywhere(void)
{
    for (int nodes = 2; nodes <= 5; nodes += 3)
        for (int servers = 1; servers < nodes && servers <= 2; servers++) {
            char sets[160], options[240];
            snprintf(sets, sizeof sets,
                     "nodes=%d ssp.servers=%d async.servers=%d bounded.servers=%d", nodes, servers,
                     servers, servers);
            snprintf(options, sizeof options,
                     " --set nodes=%d --set ssp.servers=%d --set async.servers=%d "
                     "--set bounded.servers=%d",
                     nodes, servers, servers, servers);
            compare_worlds_by(compare_accounts, "matrix-stale.xml", nodes, sets, options);
        }
}

/* Filters send by the numbers, so that in step all is the same; out of it, what is counted apart
 * from them. */
static void compare_filtered(const struct rg_run *mem, json_t *run, const char *world, int nodes)
{
    char what[160];
    snprintf(what, sizeof what, "%s, %s, %d nodes", world, mem->label, nodes);
    if (!mem->late.known)
        compare(mem, run, world, nodes);
    if (mem->filtered.known && !mem->late.known) {
        expect_same(run, "filtered.pushed", mem->filtered.pushed, what);
        expect_same(run, "filtered.bytes", mem->filtered.bytes, what);
    }
    expect_same(run, "traffic.messages", mem->traffic.messages, what);
    expect_same(run, "memory_bytes.total", mem->memory_bytes.total, what);
    if (mem->late.known)
        expect_same(run, "late.gradients", mem->late.gradients, what);
}

static void filters_are_the_same_everywhere(void)
{
    compare_worlds_by(compare_filtered, "matrix-filters.xml", 2, "nodes=2", " --set nodes=2");
    compare_worlds_by(compare_filtered, "matrix-filters.xml", 6,
                      "nodes=6 all.servers=3 stale.servers=2 top.servers=2 plain.servers=3 "
                      "plain.replication=2 half.servers=2 half.replication=1",
                      " --set nodes=6 --set all.servers=3 --set stale.servers=2 "
                      "--set top.servers=2 --set plain.servers=3 --set plain.replication=2 "
                      "--set half.servers=2 --set half.replication=1");
    compare_worlds_by(compare_filtered, "matrix-filters.xml", 4,
                      "nodes=4 optimizer=sgd l1=0.03 zeros.filters=kkt,zeros stale.filters=kkt",
                      " --set nodes=4 --set optimizer=sgd --set l1=0.03 "
                      "--set zeros.filters=kkt,zeros --set stale.filters=kkt");
    compare_worlds("matrix-sgd.xml", 3, "nodes=3 l1=0.01 l2=0.1",
                   " --set nodes=3 --set l1=0.01 --set l2=0.1");
}

/* Who does a task goes by timing, and with it who repeats one, and what is said of that. */
static void compare_tasks(const struct rg_run *mem, json_t *run, const char *world, int nodes)
{
    char what[160];
    snprintf(what, sizeof what, "%s, %s, %d nodes", world, mem->label, nodes);
    if (!mem->predicted.counts.at_most)
        compare(mem, run, world, nodes);
    CU_ASSERT_STRING_EQUAL(command_text(run, "weights_sha256"), mem->weights_sha256);
    expect_same(run, "traffic.values", mem->traffic.values, what);
    expect_same(run, "memory_bytes.total", mem->memory_bytes.total, what);
}

static void tasks_are_the_same_everywhere(void)
{
    compare_worlds_by(compare_tasks, "matrix-tasks.xml", 3, "nodes=3", " --set nodes=3");
    compare_worlds_by(compare_tasks, "matrix-tasks.xml", 6,
                      "nodes=6 mapreduce.reducers=2 mapreduce.copies=2 mapreduce-7.reducers=3",
                      " --set nodes=6 --set mapreduce.reducers=2 --set mapreduce.copies=2 "
                      "--set mapreduce-7.reducers=3");
}

static void searches_are_the_same_everywhere(void)
{
    compare_worlds_by(compare_tasks, "matrix-lbfgs.xml", 6, "nodes=6 sandblaster.servers=2",
                      " --set nodes=6 --set sandblaster.servers=2");
}

static void sums_are_the_same_everywhere(void)
{
    for (size_t i = 1; i < sizeof NODES / sizeof *NODES; i += 2) {
        char sets[80], options[120];
        snprintf(sets, sizeof sets, "nodes=%d", NODES[i]);
        snprintf(options, sizeof options, " --set nodes=%d", NODES[i]);
        compare_worlds("matrix-allreduce.xml", NODES[i], sets, options);
    }
}

/* ---- the simulator ---- */

static void two_runs_are_byte_identical(void)
{
    static const char *const lines[] = {
        RINGSIM "tests/data/matrix.xml --set nodes=5",
        RINGSIM "tests/data/matrix-servers.xml --set nodes=5 --set replicas.replicas=5 --jobs 1",
        RINGSIM "tests/data/matrix-stale.xml --set nodes=5 --jobs 1",
        RINGSIM "scenarios/iris-3.xml --set epochs=20",
        RINGSIM "scenarios/formula.xml --set iterations=50",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char *first = command_without_host(lines[i], 60),
             *second = command_without_host(lines[i], 60);
        CU_ASSERT_STRING_EQUAL(first, second);
        free(first);
        free(second);
    }
}

static void skipped_numerics_take_the_same_time(void)
{
    json_t *real = command_result(RINGSIM "tests/data/matrix.xml --set nodes=5", 60);
    json_t *skip =
        command_result(RINGSIM "tests/data/matrix.xml --set nodes=5 --set numerics=skip", 60);
    json_t *run;
    size_t i;
    json_array_foreach(json_object_get(real, "runs"), i, run)
    {
        json_t *other = command_run_of(skip, command_text(run, "label"));
        static const char *const paths[] = {
            "time_s",      "iteration_s.mean",      "formula.T_A_s",
            "formula.c_s", "traffic.payload_bytes", "memory_bytes.max_node"};
        for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
            CU_ASSERT_EQUAL(command_number(run, paths[k]), command_number(other, paths[k]));
        CU_ASSERT(isnan(command_number(other, "final.accuracy")));
    }
    json_decref(real);
    json_decref(skip);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"rings: one digest and one account in mem, sim and posix", rings_are_the_same_everywhere},
        {"rings with several stages a node give the same in all worlds",
         interleaved_rings_are_the_same_everywhere},
        {"streams that compensate delays: the same", compensated_streams_are_the_same_everywhere},
        {"servers and replicas: the same", servers_are_the_same_everywhere},
        {"rows of their own are the same everywhere", rows_of_their_own_are_the_same_everywhere},
        {"replicas of several nodes do the same", replicas_of_several_nodes_do_the_same_everywhere},
        {"servers out of step: one account", servers_out_of_step_do_the_same_everywhere},
        {"tasks that are handed out", tasks_are_the_same_everywhere},
        {"searches along directions", searches_are_the_same_everywhere},
        {"filters are the same everywhere", filters_are_the_same_everywhere},
        {"the forms of all-reduce: the same", sums_are_the_same_everywhere},
        {"two runs of ringsim are byte-identical but for host", two_runs_are_byte_identical},
        {"skipped numerics take the same simulated time", skipped_numerics_take_the_same_time},
    };
    rg_blas_setup(argv);
    return suite_main("worlds", tests, sizeof tests / sizeof *tests, argc, argv);
}
