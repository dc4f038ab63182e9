/* Nodes that vanish, in the mem world: the others end, with an error, and never hang. */
#include "models/blas.h"
#include "strategies/harness.h"
#include "support/suite.h"

/* A node that dies leaves its program where it stands, as a board without power would: what it had
 * allocated is lost by design. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* A node dies at some operation: every survivor ends, with an error, in bounded virtual time. */
static void survivors_of_a_death_end(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=5"));
    int died = 0, noticed = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        const struct rg_job *job = &study.jobs[1 + seed % (uint64_t)(study.job_count - 1)];
        struct harness_options options = {.seed = seed,
                                          .die_rank = (int)(rg_mix64(seed) % 5),
                                          .die_operation = 1 + (long)(rg_mix64(seed + 99) % 400)};
        struct rg_run run;
        int results[5] = {0};
        if (job->nodes < 5)
            continue;
        int result = harness_run(job, &options, &run, results);
        CU_ASSERT_EQUAL(result, 0);
        bool dead = results[options.die_rank] == RG_DIED;
        died += dead;
        noticed += dead && options.die_rank > 0 && run.status == RG_RUN_FAILED;
        for (int rank = 0; rank < 5; rank++)
            if (dead && rank != options.die_rank && results[rank] != RG_ERR_PEER &&
                results[rank] != 0 /* had done its part by then */) {
                printf("seed %llu, %s, rank %d: %d\n", (unsigned long long)seed, job->label, rank,
                       results[rank]);
                CU_FAIL("a survivor ended in another way");
            }
        rg_run_free(&run);
    }
    CU_ASSERT(died > 50);
    CU_ASSERT(noticed > died / 2);
    rg_study_close(&study);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"survivors of a death end with an error", survivors_of_a_death_end},
    };
    rg_blas_setup(argv);
    return suite_main("survivors", tests, sizeof tests / sizeof *tests, argc, argv);
}
