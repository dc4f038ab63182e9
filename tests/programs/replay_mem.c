/* Runs the strategies of a scenario in the mem world, following a result of ringnode:
 *
 *   replay_mem SCENARIO.xml RESULT.json SEED [KEY=VALUE...]
 *
 * and prints the label and the digest of the weights of each. */
#include "models/blas.h"
#include "strategies/harness.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct rg_study study;
    struct rg_error e = {0};
    rg_blas_setup(argv);
    if (argc < 4)
        return 2;
    const struct rg_study_want want = {
        .file = argv[1], .replay = argv[2], .sets = argv + 4, .set_count = argc - 4};
    int result = rg_study_open_at(&want, &study, &e);
    if (result == 0)
        result = rg_study_load_data(&study, RG_ANY_RANK, &e);
    if (result) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    for (int i = 0; i < study.job_count && result == 0; i++) {
        struct rg_run run;
        const struct harness_options options = {.seed = strtoull(argv[3], NULL, 10), .jitter = 2};
        result = harness_run(&study.jobs[i], &options, &run, NULL);
        if (run.status == RG_RUN_OK)
            printf("%s %s\n", run.label, run.weights_sha256);
        else
            fprintf(stderr, "%s: %s\n", run.label, run.error);
        rg_run_free(&run);
    }
    rg_study_close(&study);
    return result ? 1 : 0;
}
