/* A trained network's outputs round a ring in the mem world: the bits of one process whatever the
 * timing, and no file where a node dies. */
#include "node/outputs.h"

#include "base/check.h"
#include "base/random.h"
#include "models/blas.h"
#include "strategies/allocated.h"
#include "strategies/harness.h"
#include "strategies/ring.h"
#include "support/suite.h"
#include "unit/scratch.h"

/* Blocks that the last is smaller than, by little: 32 bits hold 16,384 outputs of a layer. */
enum { ROWS = 223 };

struct ranks {
    const struct rg_job *job;
    const float *parameters;
    const struct rg_checkpoint_rows *told;
    const char *in, *out;
};

static const char *write_rows(const struct rg_network *network)
{
    const char *path = scratch_path("x.npy");
    struct rg_random *random = rg_random_new(4, RG_STREAM_DATA, 0);
    FILE *stream = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    rg_npy_head(stream, ROWS, network->input);
    for (size_t i = 0; i < ROWS * network->layers[0].inputs; i++) {
        float value = (float)rg_random_gaussian(random, 1);
        fwrite(&value, sizeof value, 1, stream);
    }
    fclose(stream);
    rg_random_free(random);
    return path;
}

static char *slurp(const char *path, size_t *size)
{
    FILE *stream = fopen(path, "rb");
    char *bytes = malloc(1 << 20);
    *size = stream ? fread(bytes, 1, 1 << 20, stream) : 0;
    if (stream)
        fclose(stream);
    return bytes;
}

static int program(struct rg_world *w, void *arg)
{
    const struct ranks *r = arg;
    struct rg_outputs o = {
        .network = r->job->network, .parameters = r->parameters, .told = r->told};
    allocated_by(w->rank);
    int result = w->rank == 0 ? rg_outputs_open(&o, r->in, r->out) : 0;
    if (result == 0)
        result = rg_outputs_ring(w, r->job, &o);
    if (result == 0 && w->rank == 0)
        result = rg_outputs_commit(&o);
    rg_outputs_close(&o);
    return result;
}

static bool same_bytes(const char *path, const char *other)
{
    size_t size, wanted;
    char *bytes = slurp(path, &size), *right = slurp(other, &wanted);
    bool same = size > 0 && size == wanted && memcmp(bytes, right, size) == 0;
    CU_ASSERT(same);
    free(bytes);
    free(right);
    return same;
}

static void same_as_alone(const struct ranks *alone, const struct rg_job *job, const char *out,
                          uint64_t seed)
{
    struct ranks ring = *alone;
    int *results = calloc((size_t)job->nodes, sizeof *results);
    ring.job = job;
    ring.out = out;
    struct rg_mem_world_options options = {.size = job->nodes,
                                           .seed = seed,
                                           .message_s = 1e-4,
                                           .byte_s = seed % 2 ? 1e-9 : 1e-6,
                                           .latency_s = 1e-4,
                                           .jitter_s = 1e-3,
                                           .rate = seed % 3 ? 1e8 : 1e12,
                                           .compute_jitter = 2};
    CU_ASSERT_EQUAL(rg_mem_world_run(&options, program, &ring, results), 0);
    for (int rank = 0; rank < job->nodes; rank++)
        CU_ASSERT_EQUAL(results[rank], 0);
    if (!same_bytes(ring.out, alone->out))
        printf("  %s, seed %d: other outputs\n", job->label, (int)seed);
    free(results);
    remove(ring.out);
}

/* What one process makes of the rows; the caller frees parameters. */
static struct ranks compute_alone(const struct rg_study *study, struct rg_checkpoint_rows *told)
{
    const struct rg_network *network = &study->network;
    float *parameters = malloc(network->parameters * sizeof *parameters);
    CU_ASSERT_EQUAL_FATAL(rg_network_init(network, 0, network->layer_count, 6, parameters), 0);
    struct ranks alone = {.parameters = parameters,
                          .told = told,
                          .in = write_rows(network),
                          .out = scratch_path("alone.npy")};
    struct rg_outputs o = {.network = network, .parameters = parameters, .told = told};
    CU_ASSERT_EQUAL_FATAL(rg_outputs_open(&o, alone.in, alone.out), 0);
    CU_ASSERT_EQUAL_FATAL(rg_outputs_alone(&o), 0);
    CU_ASSERT_EQUAL_FATAL(rg_outputs_commit(&o), 0);
    rg_outputs_close(&o);
    return alone;
}

static void rings_give_the_bits_of_one_process(void)
{
    struct rg_study study;
    struct rg_checkpoint_rows told = {0};
    if (!harness_open(&study, "matrix.xml", "nodes=4"))
        return;
    struct ranks alone = compute_alone(&study, &told);
    const char *out = scratch_path("ring.npy");
    for (int i = 0; i < study.job_count; i++)
        for (uint64_t seed = 1; seed <= 4; seed++)
            same_as_alone(&alone, &study.jobs[i], out, seed);
    free((float *)alone.parameters);
    rg_study_close(&study);
}

static double late(void *arg, int rank, const struct rg_work *work)
{
    (void)arg, (void)work;
    return rank == 2 ? 1 : 1e-6;
}

/* A node that has passed its last block on stays until that is taken: the block is too large to be
 * under way without a receive, and the node behind is still at the one before. */
static void the_last_block_is_waited_for(void)
{
    static const char wide[] = "<network name=\"wide\" input=\"19\"><dense outputs=\"6\"/>"
                               "<dense outputs=\"%zu\"/><dense outputs=\"5\"/></network>";
    static const char scenario[] =
        "<scenario name=\"wide\" seed=\"3\">"
        "<platform file=\"" RG_SOURCE_DIR "/platforms/pi4-gigabit-64.xml\"/>"
        "<network file=\"%s\"/><data kind=\"random\" train=\"24\" inputs=\"19\" classes=\"5\"/>"
        "<training batch=\"12\" epochs=\"1\" learning-rate=\"0.1\"/>"
        "<strategy label=\"ring\" kind=\"ring_pipeline\" nodes=\"3\" "
        "partition=\"1,1,1\"/></scenario>";
    char network[sizeof wide + 20], text[sizeof scenario + 600];
    size_t last_rows = ROWS % 32;
    struct rg_study study;
    struct rg_error e = {0};
    struct rg_checkpoint_rows told = {0};
    int results[3];
    snprintf(network, sizeof network, wide, RG_EAGER_LIMIT / (last_rows * sizeof(float)) + 1);
    snprintf(text, sizeof text, scenario, scratch_text("wide.xml", network));
    const char *file = scratch_text("scenario.xml", text);
    CU_ASSERT_EQUAL_FATAL(rg_study_open(file, NULL, 0, NULL, 0, &study, &e), 0);
    struct ranks alone = compute_alone(&study, &told), ring = alone;
    ring.job = &study.jobs[0];
    ring.out = scratch_path("late.npy");
    struct rg_mem_world_options options = {.size = 3, .seed = 1, .seconds = late};
    CU_ASSERT_EQUAL(rg_mem_world_run(&options, program, &ring, results), 0);
    CU_ASSERT(results[0] == 0 && results[1] == 0 && results[2] == 0);
    same_bytes(ring.out, alone.out);
    free((float *)alone.parameters);
    rg_study_close(&study);
}

/* Whoever dies, whenever: rank 0 has written all, or ends with an error and has written nothing. */
static void a_death_leaves_no_file(void)
{
    struct rg_study study;
    struct rg_checkpoint_rows told = {0};
    if (!harness_open(&study, "matrix.xml", "nodes=4"))
        return;
    struct ranks ring = compute_alone(&study, &told);
    ring.job = harness_job(&study, "1f1b");
    ring.out = scratch_path("died.npy");
    int results[4];
    for (int rank = 0; rank < 4; rank++)
        for (long operation = 1; operation < 40; operation += 6) {
            struct rg_mem_world_options options = {.size = 4,
                                                   .seed = 3,
                                                   .latency_s = 1e-4,
                                                   .rate = 1e9,
                                                   .deaths = {{rank, operation}}};
            allocated_begin(1u << rank);
            CU_ASSERT_EQUAL(rg_mem_world_run(&options, program, &ring, results), 0);
            fflush(NULL); /* of a dead rank, too: when the program ends its memory is gone */
            CU_ASSERT_EQUAL(allocated_end(), 0);
            CU_ASSERT_EQUAL(results[rank], RG_DIED);
            bool written = access(ring.out, F_OK) == 0;
            CU_ASSERT_EQUAL(written, results[0] == 0); /* who dies last may have done its part */
            CU_ASSERT(!written || operation > 20);
            remove(ring.out);
        }
    free((float *)ring.parameters);
    rg_study_close(&study);
}

/* Each node computes the layers that it trains. */
static void holders_are_those_of_stages(void)
{
    struct rg_study study;
    if (!harness_open(&study, "matrix.xml", "nodes=4"))
        return;
    for (int i = 0; i < study.job_count; i++) {
        const struct rg_job *job = &study.jobs[i];
        const struct rg_ring *ring = job->plan;
        if (!job->strategy->holder)
            continue;
        for (int stage = 0; stage < ring->stages; stage++)
            for (int layer = ring->cut[stage]; layer < ring->cut[stage + 1]; layer++)
                CU_ASSERT_EQUAL(job->strategy->holder(job, layer), stage % ring->nodes);
    }
    rg_study_close(&study);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"rings give the bits of one process", rings_give_the_bits_of_one_process},
        {"the last block is waited for", the_last_block_is_waited_for},
        {"a death leaves no file", a_death_leaves_no_file},
        {"holders are those of stages", holders_are_those_of_stages},
    };
    rg_blas_setup(argv);
    return suite_main("outputs", tests, sizeof tests / sizeof *tests, argc, argv);
}
