/* The programs as their users meet them: results, and what is told where room, disk or descriptors
 * are short. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/ringtmp-test-XXXXXX";

static void standard_output_that_is_full_is_told(void)
{
    static const char *const lines[] = {"--list", RG_SOURCE_DIR "/scenarios/iris-3.xml --check",
                                        RG_SOURCE_DIR "/scenarios/iris-3.xml --set epochs=1"};
    for (int i = 0; i < 3; i++) {
        char line[300];
        snprintf(line, sizeof line, RG_BINARY_DIR "/ringsim %s >/dev/full 2>/dev/null", lines[i]);
        int status = system(line);
        CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    }
    /* What fails on the way must not be forgotten at the end: outputs of many lengths, which fill
     * what is written at once by more and by less. */
    for (int length = 0; length <= 220; length += 11) {
        char line[900];
        snprintf(line, sizeof line,
                 "ln -sfn %s %s/%0*d && " RG_BINARY_DIR "/ringsim %s/%0*d/scenarios/iris-3.xml "
                 "--check >/dev/full 2>/dev/null",
                 RG_SOURCE_DIR, folder, length + 1, 0, folder, length + 1, 0);
        int status = system(line);
        CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    }
}

/* A reader of a pipe gets the whole result, and nothing before it. */
static void a_pipe_takes_the_result(void)
{
    char line[1200], pipe[300], copy[310];
    snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    snprintf(copy, sizeof copy, "%s/copy", folder);
    CU_ASSERT_EQUAL_FATAL(mkfifo(pipe, 0600), 0);
    snprintf(line, sizeof line,
             "timeout 30 cat %s >%s & timeout 30 " RG_BINARY_DIR "/ringsim " RG_SOURCE_DIR
             "/scenarios/iris-3.xml --strategy single --set epochs=1 --quiet --json %s && wait",
             pipe, copy, pipe);
    CU_ASSERT_EQUAL(system(line), 0);
    json_t *result = json_load_file(copy, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL(result);
    json_decref(result);
    unlink(pipe);
    unlink(copy);
}

static void what_does_not_fit_is_told(void)
{
    /* The 64-layer network and its Adam state on boards of half a megabyte. */
    json_t *result = command_result("ringsim tests/data/tiny-boards.xml", 60);
    json_t *single = command_run_of(result, "single"), *ring = command_run_of(result, "ring");
    CU_ASSERT_STRING_EQUAL(command_text(single, "status"), "does-not-fit");
    CU_ASSERT_PTR_NOT_NULL(strstr(command_text(single, "error"), "node 0"));
    CU_ASSERT_STRING_EQUAL(command_text(ring, "status"), "ok");
    json_decref(result);
}

static void saved_parameters_load_again(void)
{
    char line[400], path[80];
    struct command_output output;
    snprintf(path, sizeof path, "%s/net.safetensors", folder);
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --strategy ring --save %s", path);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, "ringnode scenarios/iris-3.xml --local --strategy ring --load %s",
             path);
    json_t *result = command_result(line, 60);
    json_t *run = command_run_of(result, "ring");
    /* It goes on from where it was: the loss after the first epoch is low already. */
    json_t *first = json_array_get(json_object_get(run, "training"), 0);
    CU_ASSERT(json_number_value(json_object_get(first, "accuracy")) > 0.8);
    json_decref(result);
    unlink(path);
}

/* Of each class ten flowers; each row adds up to its samples, the diagonal to the accuracy. */
static void classes_add_up(const char *program)
{
    char line[200];
    snprintf(line, sizeof line, "%s scenarios/iris-3.xml --set epochs=5", program);
    json_t *result = command_result(line, 60), *run, *class, *count;
    size_t i, c, k;
    json_array_foreach(json_object_get(result, "runs"), i, run)
    {
        json_t *classes = json_object_get(json_object_get(run, "final"), "classes");
        long long right = 0;
        CU_ASSERT_EQUAL(json_array_size(classes), 3);
        json_array_foreach(classes, c, class)
        {
            long long all = 0;
            json_t *row = json_object_get(class, "predicted");
            CU_ASSERT_EQUAL(json_array_size(row), 3);
            json_array_foreach(row, k, count) all += json_integer_value(count);
            long long own = json_integer_value(json_array_get(row, c));
            CU_ASSERT_EQUAL(all, 10);
            CU_ASSERT_EQUAL(json_integer_value(json_object_get(class, "samples")), 10);
            CU_ASSERT_EQUAL(command_number(class, "accuracy"), (double)own / 10);
            right += own;
        }
        CU_ASSERT_EQUAL(command_number(run, "final.accuracy"), (double)right / 30);
        CU_ASSERT(right < 30); /* so that a wrong order of rows and columns would show */
    }
    json_decref(result);
}

static void accuracy_is_told_by_class(void)
{
    struct command_output output;
    classes_add_up("ringsim");
    classes_add_up("ringnode --local");
    command_run("ringsim scenarios/iris-3.xml --strategy ring --classes", 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "\nring, 3 nodes: test samples by class (rows)"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(output.out, "\n0                      10   100.0 %   10  0  0\n"));
    command_run("ringsim scenarios/iris-3.xml --strategy ring --set numerics=skip --classes", 60,
                &output);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "\nno run has an accuracy by class"));
    /* 101 classes: none is told. */
    json_t *result = command_result("ringsim tests/data/many-classes.xml", 60);
    for (int i = 0; i < 2; i++) {
        const char *const labels[] = {"single", "server"};
        json_t *run = command_run_of(result, labels[i]);
        CU_ASSERT(command_number(run, "final.accuracy") >= 0);
        CU_ASSERT_PTR_NULL(json_object_get(json_object_get(run, "final"), "classes"));
    }
    json_decref(result);
}

/* The flowers of two of the three kinds, from the shipped file. */
static void write_two_species(const char *path)
{
    char line[200];
    FILE *from = fopen(RG_SOURCE_DIR "/models/data/iris.csv", "r"), *to = fopen(path, "w");
    while (from && to && fgets(line, sizeof line, from)) {
        const char *label = strrchr(line, ',');
        if (line[0] != '#' && label && (label[1] == '1' || label[1] == '2'))
            fputs(line, to);
    }
    CU_ASSERT_FATAL(from && to);
    fclose(from);
    fclose(to);
}

static void write_two_species_scenario(const char *path)
{
    FILE *to = fopen(path, "w");
    fputs("<scenario name=\"two\" seed=\"1\">"
          "<platform file=\"" RG_SOURCE_DIR "/platforms/pi4-gigabit-3.xml\"/>"
          "<network file=\"" RG_SOURCE_DIR "/models/networks/iris-mlp.xml\"/>"
          "<data kind=\"csv\" file=\"two.csv\" classes=\"3\" train=\"10\" test=\"90\"/>"
          "<training batch=\"10\" epochs=\"1\" learning-rate=\"1e-7\"/>"
          "<strategy label=\"single\" kind=\"single\"/></scenario>",
          to);
    fclose(to);
}

/* Standardised afresh, two kinds of flowers look like others: 30 % are told right, against 98 % by
 * the mean and deviation of the training. */
static void saved_scaling_is_taken(void)
{
    const char *const worlds[] = {"ringsim", "ringnode --local"};
    char net[80], table[80], scenario[80], line[400];
    struct command_output output;
    snprintf(net, sizeof net, "%s/net.safetensors", folder);
    snprintf(table, sizeof table, "%s/two.csv", folder);
    snprintf(scenario, sizeof scenario, "%s/two.xml", folder);
    write_two_species(table);
    write_two_species_scenario(scenario);
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --strategy single --save %s", net);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    for (size_t i = 0; i < RG_COUNT(worlds); i++) {
        snprintf(line, sizeof line, "%s %s --load %s", worlds[i], scenario, net);
        json_t *result = command_result(line, 60);
        CU_ASSERT(command_number(command_run_of(result, "single"), "final.accuracy") > 0.9);
        json_decref(result);
        command_run(line, 60, &output);
        CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "standardised as for the network's training"));
    }
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --strategy single --load %s", net);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NULL(strstr(output.out, "standardised")); /* the same samples */
    snprintf(line, sizeof line, "ringsim %s --load %s --save %s.2", scenario, net, net);
    command_run(line, 60, &output);
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --strategy single --load %s.2", net);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NULL(strstr(output.out, "standardised")); /* they are handed on as they were */
    snprintf(line, sizeof line, "%s.2", net);
    unlink(line);
    unlink(net);
    unlink(table);
    unlink(scenario);
}

/* A short run whose options name /dev/full ends with status 5. */
static void run_on_a_full_disk(const char *world, const char *options,
                               struct command_output *output)
{
    char line[200];
    snprintf(line, sizeof line, "%s scenarios/iris-3.xml --strategy single --set epochs=1 %s",
             world, options);
    command_run(line, 60, output);
    CU_ASSERT_EQUAL(output->status, 5);
}

/* The training is not lost with it: the result is written, or printed where it has no other place.
 */
static void a_full_disk_keeps_the_result(void)
{
    const char *const worlds[] = {"ringsim", "ringnode --local"};
    for (size_t i = 0; i < RG_COUNT(worlds); i++) {
        struct command_output output;
        run_on_a_full_disk(worlds[i], "--save /dev/full --quiet", &output);
        CU_ASSERT_STRING_EQUAL(output.out, "");
        CU_ASSERT_PTR_NOT_NULL(strstr(output.err, ": single: not saved: /dev/full: cannot write"));
        run_on_a_full_disk(worlds[i], "--save /dev/full --json -", &output);
        json_t *result = json_loads(output.out, 0, NULL);
        json_t *run = json_array_get(json_object_get(result, "runs"), 0);
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
        CU_ASSERT_PTR_NOT_NULL(
            strstr(command_text(run, "unsaved"), "/dev/full: cannot write: No space left"));
        CU_ASSERT_PTR_NULL(json_object_get(run, "ending"));
        json_decref(result);
        run_on_a_full_disk(worlds[i], "--json /dev/full --quiet", &output);
        CU_ASSERT_PTR_NOT_NULL(strstr(output.err, ": --json /dev/full: cannot write"));
        CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "accuracy"));
    }
}

static void nothing_finished_is_no_table(void)
{
    struct command_output output; /* two runs in three parts: the third has none */
    command_run("ringsim scenarios/iris-3.xml --strategy single --strategy ring --set epochs=1 "
                "--shard 3/3",
                60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "no run has finished\n"));
    CU_ASSERT_PTR_NULL(strstr(output.out, "accuracy"));
}

/* poll refuses more entries than descriptors may be open: the ranks never met. */
static void few_descriptors_are_enough_or_told(void)
{
    struct command_output output;
    const char *run = "prlimit --nofile=%d:%d " RG_BINARY_DIR
                      "/ringnode tests/data/matrix.xml --local 4 --set nodes=4 "
                      "--strategy gpipe --meter none";
    char line[400];
    snprintf(line, sizeof line, run, 32, 32);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, run, 16, 16);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    CU_ASSERT_EQUAL(command_lines(output.err), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "descriptors are needed, 16 are allowed (ulimit -n"));
    snprintf(line, sizeof line, run, 16, 64); /* may be raised */
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
}

#ifndef __SANITIZE_ADDRESS__ /* which takes terabytes of it */
/* 64 nodes whose numbers are computed fit 8 GB; where there is too little it is said, with the
 * limit that was too little, before anything runs. */
static void address_space_is_enough_or_told(void)
{
    struct command_output output;
    const char *run = "prlimit --as=%ld " RG_BINARY_DIR
                      "/ringsim scenarios/pi-cluster-64.xml --set iterations=1 --jobs 1 %s";
    char line[400];
    snprintf(line, sizeof line, run, 8000000L << 10, "");
    command_run(line, 120, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, run, 500000L << 10, "");
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    CU_ASSERT_EQUAL(command_lines(output.err), 1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(output.err, "kB of address space are needed, 500000 are allowed"));
    snprintf(line, sizeof line, run, 500000L << 10, "--set numerics=skip");
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    /* samples: 19 floats and a label, 10 million times */
    snprintf(line, sizeof line,
             "prlimit --as=%ld " RG_BINARY_DIR "/ringsim tests/data/matrix.xml --strategy single-1 "
             "--set train=10000000 --set epochs=1 --check",
             700000L << 10);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(output.err, "kB of address space are needed, 700000 are allowed"));
    /* twice the widest layer, 31 floats, of 3 million samples: 744 MB beside 231 of samples */
    const char *programs[] = {"ringsim", "ringnode --local 1"};
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof line,
                 "prlimit --as=%ld " RG_BINARY_DIR "/%s tests/data/matrix.xml --strategy single-1 "
                 "--set test=3000000 --set epochs=1 --quiet",
                 700000L << 10, programs[i]);
        command_run(line, 60, &output);
        CU_ASSERT_EQUAL(output.status, 1);
        CU_ASSERT_PTR_NOT_NULL(
            strstr(output.err, "kB of address space are needed, 700000 are allowed"));
    }
}

/* Kilobytes that a program says it needs, where it is allowed too few. */
static double kilobytes_needed(const char *program, const char *more)
{
    struct command_output output;
    char line[400];
    snprintf(line, sizeof line,
             "prlimit --as=%ld " RG_BINARY_DIR "/%s tests/data/matrix.xml --strategy single-1 "
             "--set test=3000000 --quiet %s",
             700000L << 10, program, more);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    const char *at = strstr(output.err, " kB of address space are needed");
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    while (at > output.err && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return atof(at);
}

/* Of 8202 parameters and their momentum there is a copy while it is written. */
static void checkpoints_need_memory(void)
{
    const char *programs[] = {"ringsim", "ringnode --local 1"};
    for (int i = 0; i < 2; i++) {
        double without = kilobytes_needed(programs[i], "");
        double with = kilobytes_needed(programs[i], "--checkpoint /tmp/ringtmp-not-made");
        CU_ASSERT_DOUBLE_EQUAL(with - without, 2 * 8202 * sizeof(float) / 1024., 12);
        CU_ASSERT_NOT_EQUAL(access("/tmp/ringtmp-not-made", F_OK), 0);
    }
}

/* OpenBLAS, its threads, and its first product try for ever to get 128 MB each. */
static void openblas_waits_for_no_address_space(void)
{
    struct command_output output;
    const char *programs[] = {"ringsim scenarios/iris-3.xml",
                              "ringnode scenarios/iris-3.xml --local"};
    char line[400];
    if (sysconf(_SC_NPROCESSORS_ONLN) > 8) {
        printf("(skipped: here its threads cannot even be started) ");
        return;
    }
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof line,
                 "env OPENBLAS_CORETYPE=SandyBridge prlimit --as=%ld " RG_BINARY_DIR
                 "/%s --strategy ring --set epochs=1",
                 200000L << 10, programs[i]);
        command_run(line, 60, &output);
        CU_ASSERT_EQUAL(output.status, 1);
        CU_ASSERT_EQUAL(command_lines(output.err), 1);
        CU_ASSERT_PTR_NOT_NULL(
            strstr(output.err, "kB of address space are needed, 200000 are allowed"));
    }
    command_run("prlimit --data=100000000 " RG_BINARY_DIR "/ringsim --version", 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    CU_ASSERT_EQUAL(command_lines(output.err), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "97656 are allowed (ulimit -d; LimitDATA="));
    /* what a plan takes is not known before; libraries may take so much that it does not matter */
    snprintf(line, sizeof line,
             "env OPENBLAS_CORETYPE=SandyBridge prlimit --as=%ld " RG_BINARY_DIR
             "/ringsim scenarios/scaling.xml --set nodes=512 --set batch=2048 --strategy ring "
             "--set ring.micro-batches=2048 --jobs 1 --quiet",
             300000L << 10);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    CU_ASSERT_EQUAL(command_lines(output.err), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "300000 "));
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "are allowed (ulimit -v"));
}
#endif

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"standard output that is full is told", standard_output_that_is_full_is_told},
        {"a pipe takes the result", a_pipe_takes_the_result},
        {"what does not fit is told, the rest runs", what_does_not_fit_is_told},
        {"saved parameters load again, in another world", saved_parameters_load_again},
        {"the scaling that was saved is taken", saved_scaling_is_taken},
        {"accuracy is told by class", accuracy_is_told_by_class},
        {"a full disk keeps the result", a_full_disk_keeps_the_result},
        {"few descriptors are enough, or told", few_descriptors_are_enough_or_told},
#ifndef __SANITIZE_ADDRESS__
        {"address space is enough, or told", address_space_is_enough_or_told},
        {"checkpoints need memory", checkpoints_need_memory},
        {"OpenBLAS waits for no address space", openblas_waits_for_no_address_space},
#endif
        {"where no run has finished there is no table", nothing_finished_is_no_table},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("behaviour", tests, sizeof tests / sizeof *tests, argc, argv);
    rmdir(folder);
    return status;
}
