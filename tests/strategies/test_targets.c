/* Numbers to come near to, and a label a token: every way to train them gives the weights of one
 * node, and takes the memory that its form says. */
#include "base/check.h"
#include "strategies/harness.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

static const char *const files[] = {"numbers.xml", "tokens.xml"};

static void weights_are_those_of_one_node(void)
{
    static const struct {
        const char *label;
        bool exact;
    } others[] = {
        {"gpipe", true}, {"1f1b", true}, {"zb", true}, {"all-reduce", false}, {"server", false}};
    for (size_t f = 0; f < RG_COUNT(files); f++) {
        struct rg_study study;
        struct rg_run run;
        const struct harness_options options = {.seed = 1};
        CU_ASSERT_FATAL(harness_open(&study, files[f], ""));
        float *single = harness_parameters(harness_job(&study, "single"), &options, &run);
        size_t count = study.network.parameters;
        for (size_t i = 0; i < RG_COUNT(others); i++) {
            struct rg_run other;
            float *values =
                harness_parameters(harness_job(&study, others[i].label), &options, &other);
            double distance = harness_distance(single, values, count);
            if (distance > (others[i].exact ? 0 : 1e-5))
                printf("\n    %s, %s: %g away\n", files[f], others[i].label, distance);
            CU_ASSERT(distance <= (others[i].exact ? 0 : 1e-5));
            CU_ASSERT_EQUAL(other.memory_bytes.max_node, other.predicted.memory_bytes);
            CU_ASSERT_DOUBLE_EQUAL(other.final.loss, run.final.loss, 1e-5);
            rg_run_free(&other);
            free(values);
        }
        rg_run_free(&run);
        rg_study_close(&study);
        free(single);
    }
}

/* Epoch by epoch the same training, whose test loss falls where there is something to learn: of a
 * text, but not of noise. */
static void training_goes_down_the_loss(void)
{
    for (size_t f = 0; f < RG_COUNT(files); f++) {
        struct rg_study study;
        struct rg_run first, last;
        const struct harness_options options = {.seed = 1};
        CU_ASSERT_FATAL(harness_open(&study, files[f], "batch=20 epochs=1 optimizer=sgd"));
        free(harness_parameters(harness_job(&study, "single"), &options, &first));
        rg_study_close(&study);
        CU_ASSERT_FATAL(harness_open(&study, files[f], "batch=20 epochs=30 optimizer=sgd"));
        free(harness_parameters(harness_job(&study, "single"), &options, &last));
        rg_study_close(&study);
        CU_ASSERT(last.point_count == 30 && last.training[29].loss == last.final.loss);
        CU_ASSERT(first.final.loss == last.training[0].loss);
        if (f == 1)
            CU_ASSERT(last.final.loss < first.final.loss);
        rg_run_free(&first);
        rg_run_free(&last);
    }
}

/* What a result has: of numbers R2 and no accuracy, of tokens perplexity and bits. */
static void results_say_what_fits(void)
{
    const struct harness_options options = {.seed = 1};
    struct rg_study study;
    struct rg_run run;
    CU_ASSERT_FATAL(harness_open(&study, "numbers.xml", ""));
    free(harness_parameters(harness_job(&study, "single"), &options, &run));
    CU_ASSERT(isnan(run.final.accuracy) && isfinite(run.final.loss) && run.final.class_count == 0);
    CU_ASSERT(run.final.numbers.known && run.final.numbers.r2 < 1 && !run.final.tokens.known);
    CU_ASSERT(run.point_count == 3 && isnan(run.training[2].accuracy));
    rg_run_free(&run);
    rg_study_close(&study);
    CU_ASSERT_FATAL(harness_open(&study, "tokens.xml", ""));
    free(harness_parameters(harness_job(&study, "single"), &options, &run));
    CU_ASSERT(!run.final.numbers.known && run.final.tokens.known && run.final.class_count == 0);
    CU_ASSERT_DOUBLE_EQUAL(run.final.tokens.perplexity, exp(run.final.loss), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(run.final.tokens.bits, run.final.loss / log(2), 1e-9);
    double tokens = run.final.accuracy * 20 * 5; /* a whole number of them */
    CU_ASSERT_DOUBLE_EQUAL(tokens, round(tokens), 1e-9);
    rg_run_free(&run);
    rg_study_close(&study);
}

static void shapes_must_meet(void)
{
    harness_refuses("numbers.xml", "classes=4", "the last layer has 3 outputs");
    harness_refuses("numbers.xml", "classes=4", "has 4 numbers to come near to");
    harness_refuses("tokens.xml", "context=6", "takes 5 inputs");
    harness_refuses("tokens.xml",
                    "network=" RG_SOURCE_DIR "/models/networks/iris-mlp.xml context=4",
                    "has 1024 logits, of 256 classes for each of 4 tokens");
    harness_refuses(
        "tokens.xml", "network=" RG_SOURCE_DIR "/tests/data/numbers-net.xml",
        "data of kind text have classes, and the network has loss=\"mean-squared-error\": "
        "csv, random, libsvm, npy are allowed");
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"weights of one node", weights_are_those_of_one_node},
        {"training goes down the loss", training_goes_down_the_loss},
        {"results say what fits", results_say_what_fits},
        {"shapes must meet", shapes_must_meet},
    };
    return suite_main("targets", tests, RG_COUNT(tests), argc, argv);
}
