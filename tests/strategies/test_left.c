/* Strategies leave nothing in flight: whoever is back from `train` may write to its parameters at
 * once, whatever others are doing. Nor does anything overwrite what is still leaving: weights are
 * the same however long messages take. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_NODES = 10, SEEDS = 3 };

struct left {
    const struct rg_job *job;
    bool overwrite;
    float *values[MOST_NODES]; /* what each rank held when `train` returned, part after part */
    float *whole;              /* all parameters, of use where nothing is overwritten */
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

static int note(void *arg, size_t offset, const float *values, size_t count)
{
    struct left *left = arg;
    memcpy(left->whole + offset, values, count * sizeof *values);
    return 0;
}

/* To rank 0. */
static int gather(struct left *left, struct rg_world *w, void *state)
{
    if (w->rank == 0)
        left->whole = calloc(left->job->network->parameters, sizeof(float));
    int result = rg_untimed_begin(w);
    if (result == 0)
        result = left->job->strategy->parameters(state, note, left);
    return result ? result : rg_untimed_end(w);
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
        result = gather(left, w, state);
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

static void same(const struct left *a, const struct left *b, uint64_t seed)
{
    for (int rank = 0; rank < a->job->nodes; rank++) {
        CU_ASSERT_EQUAL_FATAL(a->count[rank], b->count[rank]);
        double distance = harness_distance(a->values[rank], b->values[rank], a->count[rank]);
        if (distance != 0)
            printf("%s, seed %d: rank %d got what another wrote after its training\n",
                   a->job->label, (int)seed, rank);
        CU_ASSERT_EQUAL(distance, 0);
    }
}

static void forget(struct left *left)
{
    free(left->whole);
    for (int rank = 0; rank < left->job->nodes; rank++)
        free(left->values[rank]);
}

static void try(const struct rg_job *job, bool in_step)
{
    size_t bytes = job->network->parameters * sizeof(float);
    struct left first = {.job = job};
    run(&first, 1);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct left untouched = {.job = job}, left = {.job = job, .overwrite = true};
        run(&untouched, seed);
        run(&left, seed);
        same(&left, &untouched, seed);
        bool alike = memcmp(untouched.whole, first.whole, bytes) == 0;
        if (in_step && !alike)
            printf("%s, seed %d: other weights, by the timing of wires\n", job->label, (int)seed);
        CU_ASSERT(alike || !in_step);
        forget(&untouched);
        forget(&left);
    }
    forget(&first);
}

static void parameters_may_be_written_after_training(void)
{
    static const char *const files[] = {"matrix.xml",         "matrix-allreduce.xml",
                                        "matrix-servers.xml", "matrix-stale.xml",
                                        "matrix-filters.xml", "matrix-rings.xml"};
    static const char *const sets[] = {"nodes=3", "nodes=5", "nodes=5 replicas.replicas=5",
                                       "nodes=5", "nodes=5", ""};
    for (size_t f = 0; f < RG_COUNT(files); f++) {
        struct rg_study study;
        CU_ASSERT_FATAL(harness_open(&study, files[f], sets[f]));
        for (int i = 0; i < study.job_count; i++)
            if (!study.jobs[i].flows_on)
                try(&study.jobs[i], f < 3);
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
