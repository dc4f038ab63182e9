/* Ranks of one process that share what is equal: to the bit what they have apart, whatever the
 * timing, with a fraction of the steps. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include "world/shared.h"
#include "world/twins.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- optimizer steps, counted ---- */

static long steps;
void __real_rg_network_step(const struct rg_network *network, const struct rg_optimizer *optimizer,
                            long step, size_t first, size_t n, float *w, float *gradient,
                            float *state);
void __wrap_rg_network_step(const struct rg_network *network, const struct rg_optimizer *optimizer,
                            long step, size_t first, size_t n, float *w, float *gradient,
                            float *state);
void __wrap_rg_network_step(const struct rg_network *network, const struct rg_optimizer *optimizer,
                            long step, size_t first, size_t n, float *w, float *gradient,
                            float *state)
{
    steps++; /* one rank runs at a time */
    __real_rg_network_step(network, optimizer, step, first, n, w, gradient, state);
}

struct outcome {
    float *parameters;
    struct rg_run run;
    long steps;
};

static struct outcome train(const struct rg_job *job, struct harness_options options, bool shared)
{
    struct outcome o;
    steps = 0;
    options.shared = shared ? rg_shared_new() : NULL;
    o.parameters = harness_parameters(job, &options, &o.run);
    o.steps = steps;
    rg_shared_free(options.shared);
    return o;
}

static void forget(struct outcome *o)
{
    free(o->parameters);
    rg_run_free(&o->run);
}

/* What a node needs and sends, and how long it takes, is the same. */
static void same(const struct rg_job *job, const struct outcome *a, const struct outcome *b)
{
    size_t bytes = job->network->parameters * sizeof(float);
    bool equal = memcmp(a->parameters, b->parameters, bytes) == 0;
    if (!equal)
        printf("%s on %d nodes: other parameters\n", job->label, job->nodes);
    CU_ASSERT(equal);
    CU_ASSERT_EQUAL(a->run.time_s, b->run.time_s);
    CU_ASSERT_EQUAL_FATAL(a->run.node_count, b->run.node_count);
    for (int i = 0; i < a->run.node_count; i++) {
        const struct rg_run_node *x = &a->run.per_node[i], *y = &b->run.per_node[i];
        CU_ASSERT_EQUAL(x->memory_bytes, y->memory_bytes);
        CU_ASSERT_EQUAL(x->bytes_sent, y->bytes_sent);
        CU_ASSERT_EQUAL(x->bytes_received, y->bytes_received);
        CU_ASSERT_EQUAL(x->busy_s, y->busy_s);
    }
}

/* twins: optimizer steps that become one. */
static void try(const struct rg_job *job, int twins)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct harness_options options = {.seed = seed, .jitter = seed == 1 ? 0 : 1};
        struct outcome apart = train(job, options, false), shared = train(job, options, true);
        same(job, &apart, &shared);
        if (apart.steps != shared.steps * twins)
            printf("%s on %d nodes: %ld steps apart, %ld shared\n", job->label, job->nodes,
                   apart.steps, shared.steps);
        CU_ASSERT_EQUAL(apart.steps, shared.steps * twins);
        CU_ASSERT(shared.steps > 0);
        forget(&apart);
        forget(&shared);
    }
}

/* ---- strategies ---- */

static void try_all(const char *file, const char *sets, const char *const *labels, int twins)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, file, sets));
    for (int i = 0; labels[i]; i++)
        try(harness_job(&study, labels[i]), twins);
    rg_study_close(&study);
}

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void all_reduce(void)
{
    try_all("matrix.xml", "nodes=5", LABELS("all-reduce", "all-reduce-waiting"), 5);
    try_all("matrix-allreduce.xml", "nodes=5 optimizer=adam",
            LABELS("plain", "tree", "halving", "float16", "int8", "top-k"), 5);
    try_all("matrix-allreduce.xml", "nodes=4", LABELS("hierarchical"), 4);
    try_all("matrix.xml", "nodes=4 clip=0.01 optimizer=adam", LABELS("all-reduce"), 4);
    /* each has other parameters, or other parts of them */
    try_all("matrix-allreduce.xml", "nodes=4 optimizer=adam",
            LABELS("local", "local-tree", "shard-1", "shard-2", "shard-3"), 1);
}

static void rings(void)
{
    try_all("matrix-servers.xml", "nodes=5 replicas.replicas=5", LABELS("replicas"), 5);
    try_all(
        "matrix.xml",
        "nodes=6 gpipe.replicas=3 1f1b.replicas=3 zb.replicas=3 ringtmp.replicas=3 "
        "pipedream.replicas=3 pipedream-newest.replicas=3 pipedream-3.replicas=3",
        LABELS("gpipe", "1f1b", "zb", "ringtmp", "pipedream", "pipedream-newest", "pipedream-3"),
        3);
    try_all("matrix.xml",
            "nodes=6 compensate=yes pipedream-on.replicas=2 ringtmp-on.replicas=2 "
            "ringtmp-7.replicas=2",
            LABELS("pipedream-on", "ringtmp-on", "ringtmp-7"), 2);
    try_all("matrix.xml", "nodes=3", LABELS("1f1b", "pipedream"), 1);
}

static void servers(void)
{
    static const char *const sets[] = {
        "nodes=7 optimizer=adam server.servers=1 replicas.replicas=7",
        "nodes=7 optimizer=momentum clip=0.01 server.servers=2 replicas.replicas=7",
        "nodes=7 optimizer=adam server.servers=3 replicas.replicas=7"};
    for (size_t i = 0; i < RG_COUNT(sets); i++)
        try_all("matrix-servers.xml", sets[i], LABELS("server"), 1);
}

/* Workers out of step, or with rows, remainders or copies of their own, have nothing in common. */
static void others(void)
{
    static const char *const cases[][2] = {
        {"matrix-stale.xml", "nodes=5"},
        {"matrix-filters.xml", "nodes=5 all.servers=2"},
        {"matrix-servers.xml",
         "nodes=6 server.servers=3 server.replication=1 replicas.replicas=6"}};
    for (size_t c = 0; c < RG_COUNT(cases); c++) {
        struct rg_study study;
        CU_ASSERT_FATAL(harness_open(&study, cases[c][0], cases[c][1]));
        for (int i = 0; i < study.job_count; i++)
            if (strcmp(study.jobs[i].strategy->name, "parameter_server") == 0)
                try(&study.jobs[i], 1);
        rg_study_close(&study);
    }
    try_all("matrix-federated.xml", "nodes=5", LABELS("fedavg"), 1);
}

/* Layers that mix samples, draw and keep statistics. */
static void layers(void)
{
    try_all("matrix-layers.xml", "nodes=5", LABELS("all-reduce"), 5);
    try_all("matrix-layers.xml", "nodes=5", LABELS("server", "zb", "sharded"), 1);
    try_all("matrix-layers.xml", "nodes=4 1f1b.replicas=2 zb.replicas=2", LABELS("1f1b", "zb"), 2);
}

/* Parameters that are loaded are those that all begin with, whoever opens first. */
static void loaded(void)
{
    static const char *const labels[] = {"server", "replicas"};
    struct rg_study study;
    CU_ASSERT_FATAL(
        harness_open(&study, "matrix-servers.xml", "nodes=5 server.servers=2 replicas.replicas=5"));
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        const struct rg_job *job = harness_job(&study, labels[i]);
        struct outcome drawn = train(job, (struct harness_options){.seed = 1}, true);
        for (uint64_t seed = 1; seed <= 5; seed++) {
            struct harness_options options = {.seed = seed, .initial = drawn.parameters};
            struct outcome apart = train(job, options, false), shared = train(job, options, true);
            same(job, &apart, &shared);
            CU_ASSERT_NOT_EQUAL(
                harness_distance(apart.parameters, drawn.parameters, job->network->parameters), 0);
            forget(&apart);
            forget(&shared);
        }
        forget(&drawn);
    }
    rg_study_close(&study);
}

/* ---- a group ---- */

static void what_a_group_has(void)
{
    struct rg_world a = {.size = 2}, b = {.rank = 1, .size = 2};
    struct rg_twins x, y, alone;
    a.shared = b.shared = rg_shared_new();
    a.mem = rg_mem_new(RG_MEM_REAL);
    b.mem = rg_mem_new(RG_MEM_REAL);
    CU_ASSERT_EQUAL_FATAL(rg_twins_open(&x, &a, &a, 7, 2, 0), 0);
    CU_ASSERT_EQUAL_FATAL(rg_twins_open(&y, &b, &a, 7, 2, 1), 0);
    CU_ASSERT(rg_twins_share(&x) && rg_twins_share(&y) && !rg_twins_share(NULL));
    float *whole = rg_twins_alloc(&x, &a, 2, 400, 0);
    CU_ASSERT_PTR_EQUAL(rg_twins_alloc_part(&y, &b, 2, 400, 40, 80), whole + 10);
    CU_ASSERT_EQUAL(rg_mem_bytes(a.mem), 400);
    CU_ASSERT_EQUAL(rg_mem_bytes(b.mem), 80);
    CU_ASSERT_PTR_NOT_EQUAL(rg_twins_alloc(&y, &b, 0, 400, 0), whole);
    CU_ASSERT(rg_twins_first(&y, RG_TWINS_STEP, 1) && !rg_twins_first(&x, RG_TWINS_STEP, 1));
    CU_ASSERT(rg_twins_first(&x, RG_TWINS_SUM, 1) && rg_twins_first(&x, RG_TWINS_STEP, 2));
    float own;
    rg_twins_lend(&y, &own);
    CU_ASSERT_PTR_EQUAL(rg_twins_lent(&x, 1), &own);
    rg_twins_close(&x);
    whole[99] = 1; /* the other has it still */
    rg_twins_close(&y);

    a.skip_numerics = true;
    CU_ASSERT_EQUAL(rg_twins_open(&alone, &a, &a, 7, 2, 0), 0);
    CU_ASSERT_FALSE(rg_twins_share(&alone));
    CU_ASSERT_EQUAL(rg_twins_open(&alone, &b, &a, 7, 1, 0), 0);
    CU_ASSERT_FALSE(rg_twins_share(&alone));
    CU_ASSERT(rg_twins_first(&alone, RG_TWINS_STEP, 1) && rg_twins_first(&alone, RG_TWINS_STEP, 1));
    CU_ASSERT_PTR_NOT_EQUAL(rg_twins_alloc(&alone, &b, 2, 40, 0),
                            rg_twins_alloc(NULL, &b, 2, 40, 0));
    rg_mem_free(a.mem);
    rg_mem_free(b.mem);
    rg_shared_free(a.shared);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {{"what a group has", what_a_group_has},
                                       {"all-reduce", all_reduce},
                                       {"rings", rings},
                                       {"servers", servers},
                                       {"what has nothing in common", others},
                                       {"layers", layers},
                                       {"parameters that are loaded", loaded}};
    rg_blas_setup(argv);
    return suite_main("twins", tests, RG_COUNT(tests), argc, argv);
}
