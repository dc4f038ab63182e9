/* Nothing is allocated in an iteration after warm-up: a run of many iterations calls the allocator
 * as often as a run of few, but for a pool here or there that finds its largest size later. The
 * linker sends every call of the project's own code through the counters below (-Wl,--wrap). */
#include "models/blas.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { LABEL = 64 };

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

/* Of strategy number `index` of a file; -1: there is no such. */
static long calls_of(const char *file, int index, const char *sets, int iterations, char *label)
{
    char all[200];
    struct rg_study study;
    struct rg_run run;
    snprintf(all, sizeof all, "nodes=5 samples=720 iterations=%d %s", iterations, sets);
    CU_ASSERT_FATAL(harness_open(&study, file, all));
    if (index >= study.job_count) {
        rg_study_close(&study);
        return -1;
    }
    const struct rg_job *job = &study.jobs[index];
    long before = atomic_load(&calls);
    harness_run_ok(job, &(struct harness_options){.seed = 1}, &run);
    long used = atomic_load(&calls) - before;
    CU_ASSERT_EQUAL(run.iterations, iterations);
    snprintf(label, LABEL, "%s", job->label);
    rg_run_free(&run);
    rg_study_close(&study);
    return used;
}

/* Every strategy of a file. */
static void allocates_nothing(const char *file, const char *sets)
{
    enum { FEW = 10, MANY = 30 };
    char label[LABEL];
    int index = 0;
    for (long few; (few = calls_of(file, index, sets, FEW, label)) >= 0; index++) {
        long many = calls_of(file, index, sets, MANY, label);
        bool good = few > 0 && many - few < (MANY - FEW) / 2;
        if (!good)
            printf("%s: %ld allocations in %d iterations, %ld in %d\n", label, few, FEW, many,
                   MANY);
        CU_ASSERT(good);
    }
    CU_ASSERT(index > 0);
}

static void no_strategy_allocates_in_an_iteration(void)
{
    allocates_nothing("matrix.xml", "");
    allocates_nothing("matrix-interleaved.xml", "nodes=4");
    allocates_nothing("matrix-allreduce.xml", "");
    allocates_nothing("matrix-federated.xml", "");
    allocates_nothing("matrix-fsvrg.xml", "fsvrg.local-batch=90");
    allocates_nothing("matrix-stale.xml", "");
    allocates_nothing("matrix-rings.xml", "ring.nodes=3 one-2.nodes=4 one-3.nodes=8 seldom.nodes=6 "
                                          "three.nodes=9 two.nodes=10 warm.nodes=8");
    allocates_nothing("matrix-lbfgs.xml", "batch=23 sandblaster.servers=2");
    allocates_nothing("matrix-tasks.xml", "mapreduce.reducers=2 mapreduce.copies=2");
    allocates_nothing("matrix-filters.xml", "all.servers=2");
    allocates_nothing("matrix-servers.xml", "server.servers=2 replicas.replicas=5");
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"no strategy allocates in an iteration", no_strategy_allocates_in_an_iteration},
    };
    rg_blas_setup(argv);
    return suite_main("allocations", tests, sizeof tests / sizeof *tests, argc, argv);
}
