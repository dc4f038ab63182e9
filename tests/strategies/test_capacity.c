/* The largest network of a shape that a strategy can hold: it fits, the next does not. */
#include "study/capacity.h"

#include "models/blas.h"
#include "strategies/harness.h"
#include "unit/models_fixture.h"

/* Does the job fit its boards with the network scaled to that width? */
static bool fits_at(const struct rg_job *job, int widest, size_t *parameters)
{
    struct rg_network network;
    struct rg_error e = {0};
    struct rg_job other = *job;
    if (rg_network_scale(job->network, widest, &network, &e) != 0)
        return false; /* wider than networks can be: such a one fits nothing */
    *parameters = network.parameters;
    other.network = &network;
    other.plan = NULL;
    for (int i = 0; i < RG_PARAMS_MAX; i++)
        if (other.values[i].automatic)
            other.values[i].list = NULL;
    bool fits = other.strategy->check(&other, &e) == 0 && rg_job_fits(&other, &e) == 0;
    if (other.strategy->forget)
        other.strategy->forget(&other);
    for (int i = 0; i < RG_PARAMS_MAX; i++)
        if (other.values[i].automatic)
            free(other.values[i].list);
    rg_network_free(&network);
    return fits;
}

/* On boards a sixteenth as large, so that 32-bit programs can say what they hold. */
static void open_smaller(struct rg_study *study, const char *file, const char *sets)
{
    CU_ASSERT_FATAL(harness_open(study, file, sets));
    for (int i = 0; i < study->platform.kind_count; i++)
        study->platform.kinds[i].memory_bytes /= 16;
}

static void expect_limit(const struct rg_job *job)
{
    struct rg_capacity most;
    struct rg_error e = {0};
    size_t parameters = 0, before = 0;
    CU_ASSERT_EQUAL_FATAL(rg_job_capacity(job, &most, &e), 0);
    CU_ASSERT_TRUE(most.limited);
    CU_ASSERT_TRUE(most.parameters > 0);
    CU_ASSERT_TRUE(fits_at(job, most.widest, &parameters));
    CU_ASSERT_EQUAL(parameters, most.parameters);
    CU_ASSERT_FALSE(fits_at(job, most.widest + 1, &parameters));
    CU_ASSERT_FALSE(fits_at(job, 2 * most.widest, &parameters));
    CU_ASSERT_EQUAL(most.factor > 1 || most.widest == rg_network_widest(job->network),
                    rg_job_fits(job, &e) == 0);
    int step = RG_MAX(1, most.widest / 40);
    for (int widest = 1; widest <= most.widest; widest += step) { /* whatever is smaller fits too */
        CU_ASSERT_TRUE(fits_at(job, widest, &parameters));
        CU_ASSERT_TRUE(parameters >= before);
        before = parameters;
    }
}

static void every_strategy_has_a_limit(void)
{
    static const char *const files[] = {"mixed.xml", "tiny-boards.xml",
                                        "../../scenarios/larger-than-a-board.xml"};
    for (size_t i = 0; i < RG_COUNT(files); i++) {
        struct rg_study study;
        if (i < 2)
            CU_ASSERT_FATAL(harness_open(&study, files[i], "samples=128"))
        else
            open_smaller(&study, files[i], "samples=128");
        for (int k = 0; k < study.job_count; k++)
            expect_limit(&study.jobs[k]);
        rg_study_close(&study);
    }
}

/* More boards hold more in a ring; a copy on each holds no more than one. */
static void rings_grow(void)
{
    struct rg_capacity ring[2], copy[2];
    for (int i = 0; i < 2; i++) {
        struct rg_study study;
        open_smaller(&study, "../../scenarios/larger-than-a-board.xml",
                     i ? "samples=128 nodes=16" : "samples=128 nodes=8 8-servers.servers=4");
        CU_ASSERT_EQUAL(rg_job_capacity(harness_job(&study, "ring"), &ring[i], NULL), 0);
        CU_ASSERT_EQUAL(rg_job_capacity(harness_job(&study, "all-reduce"), &copy[i], NULL), 0);
        rg_study_close(&study);
    }
    CU_ASSERT_TRUE((double)ring[1].parameters > 1.7 * (double)ring[0].parameters);
    CU_ASSERT_TRUE((double)copy[1].parameters < 1.1 * (double)copy[0].parameters);
    CU_ASSERT_TRUE((double)ring[1].parameters > 10 * (double)copy[1].parameters);
}

/* A parameter server of two nodes keeps its shard, which is the whole network, five times:
 * parameters, gradient, the pushes of two workers and the optimizer's momentum. The layers of
 * odd-widths.xml have 340 + 472 + 414 + 264 + 3 x 678 + 372 + 2 x 1984 + 288 + 50 = 8202
 * parameters: 5 x 4 x 8202 = 164040 bytes. As rank 0 it tests, too: 20 samples of 19 floats and a
 * label, 1540 bytes. With just these it fits, with one less it does not. */
static void memory_suffices_to_the_byte(void)
{
    struct rg_study study;
    struct rg_error e = {0};
    CU_ASSERT_FATAL(harness_open(&study, "matrix-servers.xml", "nodes=2 replicas.replicas=2"));
    struct rg_job job = *harness_job(&study, "server");
    struct rg_board server = *job.boards[0];
    const struct rg_board *const boards[] = {&server, job.boards[1]};
    job.boards = boards;
    CU_ASSERT_EQUAL(job.network->parameters, 8202);
    server.memory_bytes = 165580;
    CU_ASSERT_EQUAL(rg_job_fits(&job, &e), 0);
    server.memory_bytes = 165579;
    CU_ASSERT_EQUAL(rg_job_fits(&job, &e), RG_ERR_NO_FIT);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "node 0 needs "));
    rg_study_close(&study);
}

/* ---- networks of one shape ---- */

static void scaling_keeps_the_shape(void)
{
    const struct rg_layer_spec specs[] = {
        {KIND("conv2d"), .outputs = 8, .kernel = {3, 3}, .padding = {1, 1}},
        {KIND("maxpool"), .kernel = {2, 2}},
        {KIND("dense"), .outputs = 30},
        {KIND("residual"), .hidden = 0},
        {KIND("residual"), .hidden = 60},
        {KIND("dense"), .outputs = 5},
        {KIND("residual"), .hidden = 7}};
    const int widths[] = {8, 8, 30, 30, 30, 5, 5}, twice[] = {16, 16, 60, 60, 60, 5, 5};
    struct rg_network network = build((struct rg_shape){1, 8, 8}, specs, 7), same, wide, narrow;
    CU_ASSERT_EQUAL(rg_network_widest(&network), 60);
    CU_ASSERT_EQUAL(rg_network_scale(&network, 60, &same, NULL), 0);
    CU_ASSERT_EQUAL(rg_network_scale(&network, 120, &wide, NULL), 0);
    CU_ASSERT_EQUAL(rg_network_scale(&network, 1, &narrow, NULL), 0);
    CU_ASSERT_EQUAL(same.parameters, network.parameters);
    for (int i = 0; i < 7; i++) {
        size_t pixels = i == 0 ? 64 : i == 1 ? 16 : 1;
        CU_ASSERT_EQUAL(same.layers[i].parameters, network.layers[i].parameters);
        CU_ASSERT_EQUAL(same.layers[i].spec.activation, network.layers[i].spec.activation);
        CU_ASSERT_EQUAL(network.layers[i].outputs, pixels * (size_t)widths[i]);
        CU_ASSERT_EQUAL(wide.layers[i].outputs, pixels * (size_t)twice[i]);
    }
    CU_ASSERT_EQUAL(wide.layers[3].spec.hidden, 60);
    CU_ASSERT_EQUAL(wide.layers[4].spec.hidden, 120);
    CU_ASSERT_EQUAL(wide.layers[6].spec.hidden, 14);
    CU_ASSERT_EQUAL(wide.classes, 5);
    CU_ASSERT_EQUAL(narrow.classes, 5);
    CU_ASSERT_EQUAL(narrow.layers[0].out.channels, 1);
    struct rg_network none;
    CU_ASSERT_EQUAL(rg_network_scale(&network, 1 << 26, &none, NULL), RG_ERR_INVALID);
    rg_network_free(&network);
    rg_network_free(&same);
    rg_network_free(&wide);
    rg_network_free(&narrow);
    struct rg_network alone = build((struct rg_shape){4, 1, 1}, &specs[5], 1);
    CU_ASSERT_EQUAL(rg_network_widest(&alone), 0);
    rg_network_free(&alone);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"scaled networks keep their shape", scaling_keeps_the_shape},
        {"memory suffices to the byte", memory_suffices_to_the_byte},
        {"what is held, and not a step more", every_strategy_has_a_limit},
        {"more boards, larger networks", rings_grow},
    };
    rg_blas_setup(argv);
    return suite_main("capacity", tests, sizeof tests / sizeof *tests, argc, argv);
}
