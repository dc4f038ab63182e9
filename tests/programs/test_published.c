/* The published networks of models/networks on four nodes: rings have the bits of one node in all
 * three worlds, recomputing or not, and strategies that add gradients up are as near as rounding
 * allows. */
#include "models/blas.h"
#include "programs/command.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define RANDOM(inputs, classes)                                                                    \
    "kind=\"random\" train=\"16\" test=\"8\" inputs=\"" inputs "\" classes=\"" classes "\""

static const struct {
    const char *name, *data;
} networks[] = {
    {"lenet-5", RANDOM("784", "10")},
    {"resnet-20", RANDOM("3072", "10")},
    {"mobilenet-v2-35", RANDOM("3072", "10")},
    {"sensors-resnet", RANDOM("768", "6")},
    {"gpt-bytes", "kind=\"text\" train=\"16\" test=\"8\" file=\"" RG_SOURCE_DIR "/LICENSE\""},
};

static const char scenario[] =
    "<scenario name=\"published\" seed=\"5\">\n"
    "  <platform file=\"" RG_SOURCE_DIR "/platforms/pi4-gigabit-64.xml\"/>\n"
    "  <network file=\"" RG_SOURCE_DIR "/models/networks/%s.xml\"/>\n"
    "  <data %s/>\n"
    "  <training batch=\"8\" iterations=\"2\" learning-rate=\"0.01\" optimizer=\"momentum\"/>\n"
    "  <strategy label=\"single\" kind=\"single\" micro-batches=\"4\"/>\n"
    "  <strategy label=\"gpipe\" kind=\"ring_pipeline\" schedule=\"gpipe\" micro-batches=\"4\"\n"
    "            nodes=\"4\"/>\n"
    "  <strategy label=\"gpipe again\" kind=\"ring_pipeline\" schedule=\"gpipe\"\n"
    "            micro-batches=\"4\" nodes=\"4\" recompute=\"yes\"/>\n"
    "  <strategy label=\"1f1b\" kind=\"ring_pipeline\" schedule=\"1f1b\" micro-batches=\"4\"\n"
    "            nodes=\"4\"/>\n"
    "  <strategy label=\"1f1b again\" kind=\"ring_pipeline\" schedule=\"1f1b\"\n"
    "            micro-batches=\"4\" nodes=\"4\" recompute=\"yes\"/>\n"
    "  <strategy label=\"all-reduce\" kind=\"ring_allreduce\" nodes=\"4\"/>\n"
    "  <strategy label=\"server\" kind=\"parameter_server\" nodes=\"5\"/>\n"
    "</scenario>\n";

static const char *const rings[] = {"gpipe", "gpipe again", "1f1b", "1f1b again"};
static const char *const sums[] = {"all-reduce", "server"};

/* The caller removes it. */
static void write_scenario(int i, char path[80])
{
    snprintf(path, 80, "/tmp/ringtmp-published-%d.xml", (int)getpid());
    FILE *stream = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    fprintf(stream, scenario, networks[i].name, networks[i].data);
    CU_ASSERT_EQUAL(fclose(stream), 0);
}

static void expect_digest(json_t *result, const char *world, const char *network, const char *ring,
                          const char *digest)
{
    const char *has = command_text(command_run_of(result, ring), "weights_sha256");
    if (!has || strcmp(has, digest) != 0)
        printf("%s, %s, %s: another digest\n", network, ring, world);
    CU_ASSERT_TRUE(has && strcmp(has, digest) == 0);
}

static void rings_have_the_bits_of_one_node(void)
{
    char path[80], line[200];
    for (int i = 0; i < (int)(sizeof networks / sizeof *networks); i++) {
        struct rg_study study;
        struct rg_run single, run;
        write_scenario(i, path);
        CU_ASSERT_FATAL(harness_open(&study, path, ""));
        snprintf(line, sizeof line, "ringsim %s", path);
        json_t *sim = command_result(line, 300);
        snprintf(line, sizeof line, "ringnode %s --local", path);
        json_t *posix = command_result(line, 300);
        harness_run_ok(harness_job(&study, "single"), &(struct harness_options){.seed = 4},
                       &single);
        for (size_t k = 0; k < sizeof rings / sizeof *rings; k++) {
            harness_run_ok(harness_job(&study, rings[k]), &(struct harness_options){.seed = 4},
                           &run);
            CU_ASSERT_STRING_EQUAL(run.weights_sha256, single.weights_sha256);
            expect_digest(sim, "sim", networks[i].name, rings[k], single.weights_sha256);
            expect_digest(posix, "posix", networks[i].name, rings[k], single.weights_sha256);
            rg_run_free(&run);
        }
        rg_run_free(&single);
        json_decref(sim);
        json_decref(posix);
        rg_study_close(&study);
        unlink(path);
    }
}

static void sums_are_near(void)
{
    char path[80];
    for (int i = 0; i < (int)(sizeof networks / sizeof *networks); i++) {
        struct rg_study study;
        write_scenario(i, path);
        CU_ASSERT_FATAL(harness_open(&study, path, "iterations=1"));
        const struct harness_options options = {.seed = 4};
        float *single = harness_parameters(harness_job(&study, "single"), &options, NULL);
        for (size_t k = 0; k < sizeof sums / sizeof *sums; k++) {
            float *summed = harness_parameters(harness_job(&study, sums[k]), &options, NULL);
            double off = harness_distance(summed, single, study.network.parameters);
            printf("%s, %s: off by %.1e\n", networks[i].name, sums[k], off);
            CU_ASSERT_TRUE(off < 1e-5);
            free(summed);
        }
        free(single);
        rg_study_close(&study);
        unlink(path);
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"rings of four have the bits of one node, in mem, sim and posix",
         rings_have_the_bits_of_one_node},
        {"all-reduce and server of four workers after one update", sums_are_near},
    };
    rg_blas_setup(argv);
    return suite_main("published", tests, sizeof tests / sizeof *tests, argc, argv);
}
