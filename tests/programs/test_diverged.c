/* Training whose loss grows without bound: it stops there, says so, and the other runs go on. */
#include "base/bytes.h"
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIVERGED "tests/data/diverged.xml"

static char folder[] = "/tmp/ringtmp-diverged-XXXXXX";
static const char *const labels[] = {"single", "ring", "all-reduce", "server"};

static const char *path_of(const char *name)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Of the last evaluation, as it was. */
static double last_point(json_t *run, const char *field)
{
    json_t *points = json_object_get(run, "training");
    json_t *last = json_array_get(points, json_array_size(points) - 1);
    return json_number_value(json_object_get(last, field));
}

static void every_strategy_stops_there(void)
{
    const char *const lines[] = {"ringsim " DIVERGED, "ringnode " DIVERGED " --local"};
    for (size_t i = 0; i < RG_COUNT(lines); i++) {
        json_t *result = command_result(lines[i], 60);
        for (size_t k = 0; k < RG_COUNT(labels); k++) {
            json_t *run = command_run_of(result, labels[k]);
            CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "diverged");
            CU_ASSERT_EQUAL(command_number(run, "iterations"), 10);
            CU_ASSERT_EQUAL(command_number(run, "samples"), 400);
            CU_ASSERT_EQUAL(last_point(run, "iteration"), 10);
            CU_ASSERT(last_point(run, "loss") > 1e15);
            CU_ASSERT_PTR_NOT_NULL(
                strstr(command_text(run, "error"), "the loss is 4.23e+15 at iteration 10 of 40"));
            CU_ASSERT(isnan(command_number(run, "final.accuracy")));
            CU_ASSERT(isnan(command_number(run, "to_accuracy.iterations")));
            CU_ASSERT_EQUAL(strlen(command_text(run, "weights_sha256")), 64);
        }
        json_decref(result);
    }
}

/* In the first epoch already: 2 iterations leave 7.6e15 and an accuracy of 50 %. */
static void no_goal_is_reached(void)
{
    struct command_output output;
    command_run("ringsim " DIVERGED " --set learning-rate=500 --set accuracy=0.4 --strategy single",
                60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(output.out, "\n    diverged: the loss is 7.65e+15 at iteration 2 of 40\n"));
    CU_ASSERT_PTR_NULL(strstr(output.out, "50.0 %"));
    json_t *result = command_result(
        "ringsim " DIVERGED " --set learning-rate=1000 --set batch=10 --set accuracy=0.4", 60);
    for (size_t k = 0; k < RG_COUNT(labels); k++) {
        json_t *run = command_run_of(result, labels[k]);
        CU_ASSERT_PTR_NOT_NULL(strstr(command_text(run, "error"), "the loss is not a number at"));
        CU_ASSERT(isnan(command_number(run, "to_accuracy.iterations")));
    }
    json_decref(result);
}

/* A large loss alone, and costs without numbers, are none. */
static void what_is_no_divergence(void)
{
    json_t *result = command_result(
        "ringsim " DIVERGED " --set learning-rate=20 --set accuracy=0.4 --strategy single", 60);
    json_t *run = command_run_of(result, "single");
    CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
    CU_ASSERT(command_number(run, "final.loss") > 1e5);
    CU_ASSERT_EQUAL(command_number(run, "to_accuracy.iterations"), 2);
    json_decref(result);
    result = command_result("ringsim " DIVERGED " --set numerics=skip", 60);
    for (size_t k = 0; k < RG_COUNT(labels); k++) {
        run = command_run_of(result, labels[k]);
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
        CU_ASSERT_EQUAL(command_number(run, "iterations"), 40);
    }
    json_decref(result);
}

static void the_other_runs_go_on(void)
{
    char first[400], line[450];
    struct command_output output;
    snprintf(first, sizeof first, "ringsim tests/data/diverged-sweep.xml --quiet --json %s",
             path_of("sweep.json"));
    command_run(first, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, "%s --resume", first);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    json_t *result = json_load_file(path_of("sweep.json"), 0, NULL);
    json_t *runs = json_object_get(result, "runs");
    const char *const want[] = {"ok", "diverged", "ok"};
    CU_ASSERT_EQUAL_FATAL(json_array_size(runs), RG_COUNT(want));
    for (size_t i = 0; i < RG_COUNT(want); i++)
        CU_ASSERT_STRING_EQUAL(command_text(json_array_get(runs, i), "status"), want[i]);
    json_decref(result);
    unlink(path_of("sweep.json"));
}

/* ---- parameters ---- */

static size_t read_all(const char *path, unsigned char *bytes, size_t most)
{
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(bytes, 1, most, file) : 0;
    if (file)
        fclose(file);
    return size;
}

static void save(const char *path, const char *options, struct command_output *output)
{
    char line[300];
    snprintf(line, sizeof line, "ringsim " DIVERGED " --strategy single %s --save %s", options,
             path);
    command_run(line, 60, output);
    CU_ASSERT_EQUAL(output->status, 0);
}

static void the_last_good_parameters_stay(void)
{
    static unsigned char before[4096], after[4096];
    struct command_output output;
    const char *path = path_of("net.safetensors");
    save(path, "--set learning-rate=0.05", &output);
    size_t size = read_all(path, before, sizeof before);
    const char *const when[] = {"", "--set epochs=5"}; /* on the way, and at the end */
    for (size_t i = 0; i < RG_COUNT(when); i++) {
        save(path, when[i], &output);
        CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "of 40; its parameters are not saved\n") ||
                               strstr(output.out, "of 10; its parameters are not saved\n"));
        CU_ASSERT_EQUAL(read_all(path, after, sizeof after), size);
        CU_ASSERT(size > 500 && memcmp(before, after, size) == 0);
    }
    unlink(path);
}

/* Parameters 3,000 times too large have a loss above a million before any training: it is measured
 * against that. */
static void a_loss_that_was_large_before_is_none(void)
{
    static unsigned char bytes[4096];
    struct command_output output;
    char line[300];
    const char *path = path_of("large.safetensors");
    save(path, "--set learning-rate=0.05 --set epochs=1", &output);
    size_t size = read_all(path, bytes, sizeof bytes);
    CU_ASSERT_FATAL(size > 500);
    for (size_t at = 8 + rg_get_u64(bytes); at + 4 <= size; at += 4) {
        uint32_t bits = rg_get_u32(bytes + at);
        float value;
        memcpy(&value, &bits, sizeof value);
        value *= 3000;
        memcpy(&bits, &value, sizeof bits);
        rg_put_u32(bytes + at, bits);
    }
    FILE *file = fopen(path, "wb");
    fwrite(bytes, 1, size, file);
    fclose(file);
    for (size_t k = 0; k < RG_COUNT(labels); k++) {
        snprintf(line, sizeof line,
                 "ringsim " DIVERGED " --load %s --set learning-rate=1e-30 --set epochs=2 "
                 "--strategy %s",
                 path, labels[k]);
        json_t *result = command_result(line, 60);
        json_t *run = command_run_of(result, labels[k]);
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
        CU_ASSERT(command_number(run, "final.loss") > 1e6);
        json_decref(result);
    }
    unlink(path);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"every strategy stops there, in both programs", every_strategy_stops_there},
        {"no goal is reached", no_goal_is_reached},
        {"what is no divergence", what_is_no_divergence},
        {"the other runs go on, and --resume takes all", the_other_runs_go_on},
        {"the last good parameters stay", the_last_good_parameters_stay},
        {"a loss that was as large before is none", a_loss_that_was_large_before_is_none},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("diverged", tests, RG_COUNT(tests), argc, argv);
    rmdir(folder);
    return status;
}
