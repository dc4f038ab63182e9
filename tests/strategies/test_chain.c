/* Ranges of parameter servers that live on several servers: the same weights, accounts against
 * closed forms, and that nothing which a worker has seen is lost with as many servers as there are
 * replicas. RG_SEEDS=FIRST:COUNT in the environment says which deaths are tried. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/allocated.h"
#include "strategies/harness.h"
#include "strategies/server_parts.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

enum { NODES = 6, ITERATIONS = 12 };

/* ---- without a loss ---- */

static void replicas_change_no_bit(void)
{
    static const char *const sets[] = {"optimizer=sgd",
                                       "optimizer=adam learning-rate=0.01 clip=0.1",
                                       "half.servers=3 half.replication=1"};
    EACH(i, sets)
    {
        char digest[70] = "";
        for (int replicas = 0; replicas < 3; replicas++) {
            char all[200];
            struct rg_study study;
            struct rg_run run;
            snprintf(all, sizeof all, "nodes=%d plain.servers=3 plain.replication=%d %s", NODES,
                     replicas, sets[i]);
            CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", all));
            harness_run_ok(harness_job(&study, "plain"),
                           &(struct harness_options){.seed = (uint64_t)replicas, .jitter = 1},
                           &run);
            CU_ASSERT(digest[0] == 0 || strcmp(digest, run.weights_sha256) == 0);
            snprintf(digest, sizeof digest, "%s", run.weights_sha256);
            rg_run_free(&run);
            rg_study_close(&study);
        }
    }
}

/* A clock has r P numbers and (r + log2 m) m messages more, the latter of 8 bytes; a server 2 + 1
 * floats a parameter of each copy, with momentum. */
static void accounts_equal_forms(void)
{
    for (int servers = 2; servers <= 4; servers++)
        for (int replicas = 0; replicas < servers; replicas++) {
            char sets[120];
            struct rg_study study;
            struct rg_run run;
            struct rg_prediction p = {0};
            snprintf(sets, sizeof sets, "nodes=%d plain.servers=%d plain.replication=%d", NODES,
                     servers, replicas);
            CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", sets));
            const struct rg_job *job = harness_job(&study, "plain");
            uint64_t iterations = (uint64_t)job->iterations, n = job->network->parameters;
            uint64_t k = (uint64_t)(NODES - servers), r = (uint64_t)replicas, m = (uint64_t)servers;
            job->strategy->predict(job, &p);
            harness_run_ok(job, &(struct harness_options){.seed = 3}, &run);
            uint64_t acks = r == 0 ? 0 : m > 2 ? 2 : 1;
            CU_ASSERT_EQUAL(p.messages, 2 * k * m + (r + acks) * m);
            CU_ASSERT_EQUAL(p.values, (2 * k + r) * n);
            CU_ASSERT_EQUAL(p.payload_bytes, 4 * p.values + 8 * acks * m);
            CU_ASSERT_EQUAL(run.traffic.messages, p.messages * iterations);
            CU_ASSERT_EQUAL(run.traffic.values, p.values * iterations);
            CU_ASSERT_EQUAL(run.traffic.payload_bytes, p.payload_bytes * iterations);
            CU_ASSERT_EQUAL(run.memory_bytes.max_node, p.memory_bytes);
            uint64_t held = 0;
            for (int s = 0; s < servers; s++) {
                uint64_t tests =
                    s == 0 ? (uint64_t)job->data->test * (4 * job->data->inputs + 1) : 0;
                CU_ASSERT_EQUAL(run.per_node[s].memory_bytes,
                                job->strategy->memory(job, s) + tests);
                held += job->strategy->memory(job, s);
            }
            CU_ASSERT_EQUAL(held, 4 * n * (5 + 3 * r));
            rg_run_free(&run);
            rg_study_close(&study);
        }
}

/* ---- with losses ---- */

struct lost {
    const struct rg_job *job;
    struct rg_run run[NODES];
    struct rg_kept kept[NODES];
};

static int train(struct rg_world *w, void *arg)
{
    struct lost *lost = arg;
    struct rg_node_options options = {.stop = {NAN, NAN, 0}, .kept = &lost->kept[w->rank]};
    return rg_node_run(w, lost->job, &options, w->rank == 0 ? &lost->run[0] : NULL);
}

static int salvage(struct rg_world *w, void *arg)
{
    struct lost *lost = arg;
    struct rg_node_options options = {.stop = {NAN, NAN, 0}};
    return rg_node_salvage(w, lost->job, &options, &lost->kept[w->rank], &lost->run[w->rank]);
}

/* The parameters after so many iterations that nobody disturbs; the caller frees. */
static float *reference(int servers, int64_t iterations)
{
    char sets[120];
    struct rg_study study;
    snprintf(sets, sizeof sets, "nodes=%d plain.servers=%d iterations=%d", NODES, servers,
             (int)iterations);
    CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", sets));
    float *values = harness_parameters(harness_job(&study, "plain"),
                                       &(struct harness_options){.seed = 1}, NULL);
    rg_study_close(&study);
    return values;
}

/* Of each range the lowest survivor has it as after the clock that the run says, or the one after
 * it, which nobody has seen yet. */
static void expect_ranges(const struct lost *lost, int servers, int64_t clock, float *const *made)
{
    for (int j = 0; j < servers; j++) {
        struct rg_shard shard = rg_server_shard(lost->job, j);
        const float *values = NULL;
        for (int r = 0; r < NODES && !values; r++)
            for (int i = 0; i < lost->kept[r].count; i++)
                if (lost->kept[r].ranges[i].first == shard.first)
                    values = lost->kept[r].ranges[i].values;
        CU_ASSERT_PTR_NOT_NULL_FATAL(values);
        bool good = false;
        for (int64_t c = clock; c <= RG_MIN(clock + 1, ITERATIONS); c++)
            good = good || (c > 0 && memcmp(values, made[c] + shard.first,
                                            shard.count * sizeof *values) == 0);
        CU_ASSERT(good || clock == 0);
    }
}

/* So many servers die, each at one of its calls: all that is left is put together. */
static void lose(struct lost *lost, int servers, int deaths, uint64_t seed, float *const *made,
                 int *told)
{
    uint64_t dice = rg_mix64(seed);
    int victims[RG_MEM_DEATHS] = {(int)(dice % (uint64_t)servers), -1}, results[NODES];
    if (deaths > 1)
        victims[1] = (victims[0] + 1 + (int)(dice / 8 % (uint64_t)(servers - 1))) % servers;
    allocated_begin(1U << victims[0] | (deaths > 1 ? 1U << victims[1] : 0));
    struct rg_mem_world_options world = {
        .size = NODES, .seed = dice, .compute_jitter = 1, .rate = 1e9, .boards = lost->job->boards};
    for (int d = 0; d < deaths; d++)
        world.deaths[d] =
            (struct rg_mem_death){victims[d], 1 + (long)(rg_mix64(dice + (uint64_t)d) % 280)};
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, train, lost, results), 0);
    int survivor = -1;
    bool trained = true; /* each server that is left, a clock at least */
    for (int r = NODES - 1; r >= 0; r--) {
        bool dead = r == victims[0] || (deaths > 1 && r == victims[1]);
        CU_ASSERT(dead || results[r] == RG_ERR_PEER || results[r] == 0);
        if (dead)
            rg_kept_free(&lost->kept[r]);
        trained = trained && (dead || r >= servers || lost->kept[r].count == 1 + deaths);
        survivor = dead ? survivor : r;
    }
    if (trained) {
        for (int d = 0; d < deaths; d++)
            world.deaths[d] = (struct rg_mem_death){victims[d], 1};
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, salvage, lost, results), 0);
        CU_ASSERT_EQUAL(results[survivor], 1);
        const struct rg_run *run = &lost->run[survivor];
        CU_ASSERT_STRING_EQUAL(run->ending.missing, "");
        CU_ASSERT_EQUAL(strlen(run->weights_sha256), 64);
        expect_ranges(lost, servers, run->iterations, made);
        ++*told;
    }
    for (int r = 0; r < NODES; r++) {
        rg_kept_free(&lost->kept[r]);
        rg_run_free(&lost->run[r]);
        rg_run_init(&lost->run[r]);
    }
    CU_ASSERT_EQUAL(allocated_end(), 0);
}

static void seeds(uint64_t *first, uint64_t *count)
{
    const char *text = getenv("RG_SEEDS");
    unsigned long long a = 1, b = 20;
    if (text && sscanf(text, "%llu:%llu", &a, &b) != 2)
        printf("RG_SEEDS=%s is not FIRST:COUNT\n", text);
    *first = a;
    *count = b;
}

static void no_push_is_lost_with_servers(void)
{
    static const struct {
        int servers, replicas;
    } cases[] = {{2, 1}, {3, 1}, {3, 2}, {4, 2}};
    uint64_t first, count;
    seeds(&first, &count);
    EACH(i, cases)
    {
        char sets[120];
        struct rg_study study;
        struct lost lost = {0};
        int told = 0;
        snprintf(sets, sizeof sets, "nodes=%d plain.servers=%d plain.replication=%d iterations=%d",
                 NODES, cases[i].servers, cases[i].replicas, ITERATIONS);
        CU_ASSERT_FATAL(harness_open(&study, "matrix-filters.xml", sets));
        lost.job = harness_job(&study, "plain");
        float *made[ITERATIONS + 1] = {NULL};
        for (int c = 1; c <= ITERATIONS; c++)
            made[c] = reference(cases[i].servers, c);
        for (int r = 0; r < NODES; r++)
            rg_run_init(&lost.run[r]);
        for (uint64_t seed = first; seed < first + count; seed++)
            lose(&lost, cases[i].servers, cases[i].replicas, seed, made, &told);
        CU_ASSERT(told > 0);
        for (int c = 1; c <= ITERATIONS; c++)
            free(made[c]);
        for (int r = 0; r < NODES; r++)
            rg_run_free(&lost.run[r]);
        rg_study_close(&study);
    }
}

static void what_does_not_fit_is_refused(void)
{
    static const char *const cases[][2] = {
        {"plain.replication=1", "of 1 server there are 0 to 0 others"},
        {"plain.servers=3 plain.replication=3", "of 3 servers there are 0 to 2 others"},
        {"async.servers=2 async.replication=1", "is for consistency=\"bsp\""}};
    EACH(i, cases)
    {
        char sets[80];
        snprintf(sets, sizeof sets, "nodes=6 %s", cases[i][0]);
        harness_refuses("matrix-filters.xml", sets, cases[i][1]);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"replicas change no bit", replicas_change_no_bit},
        {"accounts equal forms", accounts_equal_forms},
        {"no push is lost with servers", no_push_is_lost_with_servers},
        {"what does not fit is refused", what_does_not_fit_is_refused},
    };
    rg_blas_setup(argv);
    return suite_main("chain", tests, sizeof tests / sizeof *tests, argc, argv);
}
