/* Nothing is allocated in an iteration after warm-up: a run of many iterations calls the allocator
 * as often as a run of few, but for a pool here or there that finds its largest size later. The
 * linker sends every call of the project's own code through the counters below (-Wl,--wrap). */
#include "models/blas.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <stdatomic.h>
#include <stdlib.h>

static atomic_long calls;

#define COUNTED(type, name, parameters, arguments)                                                 \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        atomic_fetch_add(&calls, 1);                                                               \
        return __real_##name arguments;                                                            \
    }

COUNTED(void *, malloc, (size_t size), (size))
COUNTED(void *, calloc, (size_t count, size_t size), (count, size))
COUNTED(void *, realloc, (void *old, size_t size), (old, size))
COUNTED(void *, aligned_alloc, (size_t align, size_t size), (align, size))

static long calls_of(const char *file, const char *label, const char *sets, int iterations)
{
    char all[200];
    struct rg_study study;
    struct rg_run run;
    snprintf(all, sizeof all, "nodes=5 samples=2300 iterations=%d %s", iterations, sets);
    CU_ASSERT_FATAL(harness_open(&study, file, all));
    const struct rg_job *job = harness_job(&study, label);
    long before = atomic_load(&calls);
    CU_ASSERT_EQUAL(harness_run(job, &(struct harness_options){.seed = 1}, &run, NULL), 0);
    long used = atomic_load(&calls) - before;
    CU_ASSERT_EQUAL(run.status, RG_RUN_OK);
    CU_ASSERT_EQUAL(run.iterations, iterations);
    rg_run_free(&run);
    rg_study_close(&study);
    return used;
}

static void allocates_nothing(const char *file, const char *label, const char *sets)
{
    enum { FEW = 30, MANY = 90 };
    long few = calls_of(file, label, sets, FEW), many = calls_of(file, label, sets, MANY);
    bool good = few > 0 && many - few < (MANY - FEW) / 10;
    if (!good)
        printf("%s: %ld allocations in %d iterations, %ld in %d\n", label, few, FEW, many, MANY);
    CU_ASSERT(good);
}

static void no_strategy_allocates_in_an_iteration(void)
{
    static const char *const labels[] = {"single",     "sequential",        "gpipe",
                                         "1f1b",       "ringtmp",           "pipedream",
                                         "all-reduce", "all-reduce-waiting"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        allocates_nothing("matrix.xml", labels[i], "");
    allocates_nothing("matrix-servers.xml", "server", "server.servers=2 replicas.replicas=5");
    allocates_nothing("matrix-servers.xml", "replicas", "replicas.replicas=5");
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"no strategy allocates in an iteration", no_strategy_allocates_in_an_iteration},
    };
    rg_blas_setup(argv);
    return suite_main("allocations", tests, sizeof tests / sizeof *tests, argc, argv);
}
