/* Strategies leave nothing in flight: whoever is back from `train` may write to its parameters at
 * once, whatever others are doing. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_NODES = 5, SEEDS = 3 };

struct left {
    const struct rg_job *job;
    bool overwrite;
    float *values[MOST_NODES]; /* what each rank held when `train` returned, part after part */
    size_t count[MOST_NODES];
};

static void take(struct left *left, int rank, void *state)
{
    size_t first, more, *count = &left->count[rank];
    float *held;
    left->values[rank] = calloc(left->job->network->parameters + 1, sizeof(float));
    CU_ASSERT_PTR_NOT_NULL_FATAL(left->values[rank]);
    *count = 0;
    for (int part = 0;
         (held = (float *)left->job->strategy->held(state, part, &first, &more)) != NULL; part++) {
        memcpy(left->values[rank] + *count, held, more * sizeof *held);
        *count += more;
        for (size_t i = 0; i < more && left->overwrite; i++)
            held[i] = -1e9F;
    }
}

static int train_once(struct rg_world *w, void *arg)
{
    struct left *left = arg;
    const struct rg_strategy *strategy = left->job->strategy;
    void *state = NULL;
    w->mem = rg_mem_new(RG_MEM_REAL);
    int result = strategy->open(w, left->job, NULL, &state);
    if (result == 0)
        result = rg_clock_start(w);
    if (result == 0)
        result = strategy->train(state, 0, left->job->iterations_per_epoch);
    if (result == 0)
        take(left, w->rank, state);
    if (result == 0)
        result = rg_barrier(w);
    strategy->close(state);
    rg_mem_free(w->mem);
    return result;
}

/* On wires that are slow beside the computations, so that messages are on their way for long. */
static void run(struct left *left, uint64_t seed)
{
    int results[MOST_NODES];
    const struct rg_mem_world_options world = {.size = left->job->nodes,
                                               .seed = seed,
                                               .message_s = 1e-4,
                                               .byte_s = 1e-7,
                                               .latency_s = 1e-3,
                                               .jitter_s = 5e-3,
                                               .rate = 1e9,
                                               .compute_jitter = 1};
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, train_once, left, results), 0);
    for (int rank = 0; rank < left->job->nodes; rank++)
        CU_ASSERT_EQUAL(results[rank], 0);
}

static void try(const struct rg_job *job)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct left untouched = {.job = job}, left = {.job = job, .overwrite = true};
        run(&untouched, seed);
        run(&left, seed);
        for (int rank = 0; rank < job->nodes; rank++) {
            CU_ASSERT_EQUAL(left.count[rank], untouched.count[rank]);
            double distance =
                harness_distance(left.values[rank], untouched.values[rank], left.count[rank]);
            if (distance != 0)
                printf("%s, seed %d: rank %d got what another wrote after its training\n",
                       job->label, (int)seed, rank);
            CU_ASSERT_EQUAL(distance, 0);
            free(left.values[rank]);
            free(untouched.values[rank]);
        }
    }
}

static void parameters_may_be_written_after_training(void)
{
    static const char *const files[] = {"matrix.xml", "matrix-allreduce.xml", "matrix-servers.xml",
                                        "matrix-stale.xml"};
    static const char *const sets[] = {"nodes=3", "nodes=5", "nodes=5 replicas.replicas=5",
                                       "nodes=5"};
    for (size_t f = 0; f < RG_COUNT(files); f++) {
        struct rg_study study;
        CU_ASSERT_FATAL(harness_open(&study, files[f], sets[f]));
        for (int i = 0; i < study.job_count; i++)
            if (!study.jobs[i].flows_on)
                try(&study.jobs[i]);
        rg_study_close(&study);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"parameters may be written after training", parameters_may_be_written_after_training},
    };
    rg_blas_setup(argv);
    return suite_main("left", tests, sizeof tests / sizeof *tests, argc, argv);
}
