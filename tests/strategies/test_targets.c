/* Numbers to come near to, and a label a token: every way to train them gives the weights of one
 * node, and takes the memory that its form says. */
#include "base/check.h"
#include "strategies/harness.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    CU_ASSERT_FATAL(harness_open(&study, "tokens.xml", "epochs=60 learning-rate=0.02"));
    free(harness_parameters(harness_job(&study, "single"), &options, &run));
    CU_ASSERT(!run.final.numbers.known && run.final.tokens.known && run.final.class_count == 0);
    CU_ASSERT_DOUBLE_EQUAL(run.final.tokens.perplexity, exp(run.final.loss), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(run.final.tokens.bits, run.final.loss / log(2), 1e-9);
    double tokens = run.final.accuracy * 20 * 5; /* a whole number of them, and no great part */
    CU_ASSERT(run.final.accuracy > 0 && run.final.accuracy < 0.5);
    CU_ASSERT_DOUBLE_EQUAL(tokens, round(tokens), 1e-9);
    rg_run_free(&run);
    rg_study_close(&study);
}

/* The least loss of some evaluations, and how many follow it. */
static int least_of(const struct rg_run *run, int *behind)
{
    int least = 0;
    for (int i = 0; i < run->point_count; i++)
        if (run->training[i].loss < run->training[least].loss)
            least = i;
    *behind = run->point_count - 1 - least;
    return least;
}

static struct rg_run stopped_run(const struct rg_study *study, const char *label,
                                 const struct harness_options *options)
{
    struct rg_run run;
    CU_ASSERT_EQUAL_FATAL(harness_run(harness_job(study, label), options, &run, NULL), 0);
    CU_ASSERT_EQUAL(run.status, RG_RUN_OK);
    return run;
}

/* Noise is learnt by heart, and the loss on other noise rises again: a run without patience says
 * where one with patience ends. */
static void patience_ends(void)
{
    static const char *const labels[] = {"single", "1f1b", "server"};
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "numbers.xml", "epochs=40"));
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        int behind, least, patience = 3;
        struct rg_run whole = stopped_run(&study, labels[i], &(struct harness_options){.seed = 1});
        least = least_of(&whole, &behind);
        CU_ASSERT_FATAL(whole.point_count == 40 && behind > patience && !whole.best.known);
        struct rg_run run = stopped_run(&study, labels[i],
                                        &(struct harness_options){.seed = 1, .patience = patience});
        int in_vain = 0, ends = 0;
        for (double best = INFINITY; in_vain < patience; ends++) {
            in_vain = whole.training[ends].loss < best ? 0 : in_vain + 1;
            best = fmin(best, whole.training[ends].loss);
        }
        CU_ASSERT_EQUAL(run.point_count, ends);
        CU_ASSERT_EQUAL(run.iterations, whole.training[ends - 1].iteration);
        CU_ASSERT(run.best.known);
        least = least_of(&run, &behind);
        CU_ASSERT_EQUAL(behind, patience);
        CU_ASSERT_EQUAL(run.best.iteration, run.training[least].iteration);
        CU_ASSERT_EQUAL(run.best.loss, run.training[least].loss);
        CU_ASSERT(isnan(run.best.accuracy));
        CU_ASSERT(run.note_count > 0 && strstr(run.notes[run.note_count - 1], "stopped: no less"));
        rg_run_free(&run);
        rg_run_free(&whole);
    }
    rg_study_close(&study);
}

static void a_loss_ends(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "tokens.xml", "epochs=6"));
    struct rg_run whole = stopped_run(&study, "single", &(struct harness_options){.seed = 1});
    CU_ASSERT_FATAL(whole.point_count == 6 && whole.training[3].loss < whole.training[2].loss);
    struct rg_run run = stopped_run(
        &study, "single", &(struct harness_options){.seed = 1, .loss = whole.training[3].loss});
    CU_ASSERT_EQUAL(run.point_count, 4);
    CU_ASSERT(run.to_loss.wanted && run.to_loss.iterations == whole.training[3].iteration);
    CU_ASSERT_EQUAL(run.to_loss.time_s, run.training[3].time_s);
    CU_ASSERT(!whole.to_loss.wanted && !run.to_accuracy.wanted);
    rg_run_free(&run);
    rg_run_free(&whole);
    rg_study_close(&study);
}

/* The file has the parameters of the evaluation with the least loss: those of a training that ends
 * there. */
static void the_best_is_kept(void)
{
    char path[] = "/tmp/ringtmp-test-XXXXXX", epochs[40];
    int fd = mkstemp(path), behind;
    struct rg_study study, shorter;
    struct rg_error e = {0};
    float *kept = NULL;
    CU_ASSERT_FATAL(fd >= 0 && harness_open(&study, "numbers.xml", "epochs=40"));
    close(fd);
    struct rg_run run =
        stopped_run(&study, "1f1b", &(struct harness_options){.seed = 1, .save_best = path});
    int least = least_of(&run, &behind);
    CU_ASSERT_FATAL(behind > 0 && least > 0 && run.best.known);
    CU_ASSERT_EQUAL(run.best.iteration, run.training[least].iteration);
    CU_ASSERT_EQUAL(run.point_count, 40); /* nobody has said that it should stop */
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_load(path, &study.network, NULL, &kept, &e), 0);
    snprintf(epochs, sizeof epochs, "epochs=%d", least + 1);
    CU_ASSERT_FATAL(harness_open(&shorter, "numbers.xml", epochs));
    float *wanted = harness_parameters(harness_job(&shorter, "1f1b"),
                                       &(struct harness_options){.seed = 1}, NULL);
    CU_ASSERT_EQUAL(harness_distance(kept, wanted, study.network.parameters), 0);
    free(kept);
    free(wanted);
    unlink(path);
    rg_run_free(&run);
    rg_study_close(&study);
    rg_study_close(&shorter);
}

static void shapes_must_meet(void)
{
    harness_refuses("numbers.xml", "classes=4", "the last layer has 3 outputs");
    harness_refuses("numbers.xml", "classes=4", "has 4 numbers to come near to");
    harness_refuses("numbers.xml", "rows=labels", "targets are numbers, no labels");
    harness_refuses("tokens.xml", "rows=dirichlet", "a sample has a label a token");
    harness_refuses("tokens.xml", "context=6", "takes 5 inputs");
    harness_refuses("tokens.xml", "network=" RG_SOURCE_DIR "/tests/data/few-tokens-net.xml",
                    "few-tokens-net.xml:4: vocabulary=\"128\"");
    harness_refuses("tokens.xml",
                    "network=" RG_SOURCE_DIR "/models/networks/iris-mlp.xml context=4",
                    "has 1024 logits, of 256 classes for each of 4 tokens");
    if (sizeof(size_t) > 4) /* else so many tokens are refused whatever the batch */
        harness_refuses(
            "matrix.xml",
            "network=" RG_SOURCE_DIR
            "/tests/data/many-tokens-net.xml inputs=1048576 train=3000 batch=2048",
            "batch=\"2048\": network " RG_SOURCE_DIR
            "/tests/data/many-tokens-net.xml has layers over so many tokens that 1 to 2047 "
            "are allowed");
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
        {"patience ends", patience_ends},
        {"a loss ends", a_loss_ends},
        {"the best is kept", the_best_is_kept},
        {"shapes must meet", shapes_must_meet},
    };
    return suite_main("targets", tests, RG_COUNT(tests), argc, argv);
}
