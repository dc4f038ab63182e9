/* Faults delay training and change nothing else; ringnode refuses them. */
#include "programs/command.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

#define FAULTS "ringsim tests/data/faults.xml --set nodes=5"

/* The runs of `file` that the faulty result has too: later, with the same weights and traffic. */
static void compare(json_t *faulty, const char *line)
{
    json_t *good = command_result(line, 60), *run;
    size_t i;
    json_array_foreach(json_object_get(good, "runs"), i, run)
    {
        json_t *other = command_run_of(faulty, command_text(run, "label"));
        CU_ASSERT_STRING_EQUAL(command_text(other, "status"), "ok");
        CU_ASSERT_STRING_EQUAL(command_text(other, "weights_sha256"),
                               command_text(run, "weights_sha256"));
        CU_ASSERT_EQUAL(command_number(other, "traffic.values"),
                        command_number(run, "traffic.values"));
        CU_ASSERT_EQUAL(command_number(other, "memory_bytes.total"),
                        command_number(run, "memory_bytes.total"));
        CU_ASSERT_TRUE(command_number(other, "time_s") > command_number(run, "time_s"));
    }
    json_decref(good);
}

static void weights_stay_the_same(void)
{
    static const char *const exact[] = {"sequential", "gpipe", "1f1b", "1f1b-waiting"};
    json_t *faulty = command_result(FAULTS, 60);
    CU_ASSERT_PTR_NOT_NULL_FATAL(faulty);
    compare(faulty, "ringsim tests/data/matrix.xml --set nodes=5 --strategy single --strategy "
                    "sequential --strategy gpipe --strategy 1f1b --strategy 1f1b-waiting "
                    "--strategy single-1 --strategy ringtmp-1 --strategy ringtmp --strategy "
                    "pipedream --strategy all-reduce");
    compare(faulty, "ringsim tests/data/matrix-servers.xml --set nodes=5 --strategy server");
    const char *single = command_text(command_run_of(faulty, "single"), "weights_sha256");
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        CU_ASSERT_STRING_EQUAL(command_text(command_run_of(faulty, exact[i]), "weights_sha256"),
                               single);
    json_decref(faulty);
}

static void repetition_and_seeds(void)
{
    char *first = command_without_host(FAULTS, 60),
         *second = command_without_host(FAULTS " --jobs 1", 60);
    char *other = command_without_host(FAULTS " --set seed=4 --set numerics=skip", 60);
    CU_ASSERT_STRING_EQUAL(first, second);
    free(first);
    free(second);
    json_t *a = json_loads(other, 0, NULL);
    json_t *b = command_result(FAULTS " --set numerics=skip", 60);
    json_t *c = command_result(FAULTS, 60), *run;
    size_t i;
    json_array_foreach(json_object_get(b, "runs"), i, run)
    {
        const char *label = command_text(run, "label");
        CU_ASSERT_NOT_EQUAL(command_number(command_run_of(a, label), "time_s"),
                            command_number(run, "time_s"));
        CU_ASSERT_EQUAL(command_number(command_run_of(c, label), "time_s"),
                        command_number(run, "time_s"));
        CU_ASSERT_EQUAL(command_number(command_run_of(c, label), "iteration_s.p95"),
                        command_number(run, "iteration_s.p95"));
    }
    json_decref(a);
    json_decref(b);
    json_decref(c);
    free(other);
}

/* Who is late is the same in both engines. */
static void late_clients_are_left_out(void)
{
    static const char line[] = "ringsim tests/data/matrix-federated.xml --set nodes=6 --set "
                               "jitter=0.9 --set fedavg-limited.round-limit=0.0055 --engine ";
    double left_out[2], own = 0;
    static const char *const engines[] = {"simgrid", "calendar"};
    for (int i = 0; i < 2; i++) {
        char all[300];
        snprintf(all, sizeof all, "%s%s --strategy fedavg-limited", line, engines[i]);
        json_t *result = command_result(all, 60), *node;
        json_t *run = command_run_of(result, "fedavg-limited");
        size_t k;
        left_out[i] = command_number(run, "rounds.left_out");
        own = 0;
        json_array_foreach(json_object_get(run, "per_node"), k, node) if (k > 0) own +=
            command_number(node, "own.left_out");
        CU_ASSERT(left_out[i] > 0 && left_out[i] < command_number(run, "rounds.drawn"));
        CU_ASSERT_EQUAL(own, left_out[i]);
        json_decref(result);
    }
    CU_ASSERT_EQUAL(left_out[0], left_out[1]);
}

/* jitter as a key is the spread of <jitter>, and 0 is none. */
static void jitter_as_a_key(void)
{
    json_t *written = command_result(FAULTS " --set numerics=skip", 60);
    json_t *same = command_result(FAULTS " --set numerics=skip --set jitter=0.5", 60);
    json_t *none = command_result(FAULTS " --set numerics=skip --set jitter=0", 60), *run;
    size_t i;
    CU_ASSERT_FATAL(written && same && none);
    json_array_foreach(json_object_get(written, "runs"), i, run)
    {
        const char *label = command_text(run, "label");
        double time = command_number(run, "time_s");
        CU_ASSERT_EQUAL(command_number(command_run_of(same, label), "time_s"), time);
        CU_ASSERT_NOT_EQUAL(command_number(command_run_of(none, label), "time_s"), time);
    }
    json_decref(written);
    json_decref(same);
    json_decref(none);
}

static void expect_refusal(const char *line, const char *words)
{
    struct command_output output;
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, words));
    CU_ASSERT_PTR_EQUAL(strchr(output.err, '\n'), output.err + strlen(output.err) - 1);
}

static void only_simulated(void)
{
    struct command_output output;
    expect_refusal("ringnode tests/data/faults.xml --local 3",
                   "faults.xml:8: <faults> are simulated only");
    expect_refusal("ringsim tests/data/faults.xml --set platform=platforms/pi4-gigabit-3.xml",
                   "rank 3 of a platform of 3 hosts; 0 to 2 are allowed");
    command_run("ringsim tests/data/faults.xml --check --set nodes=5", 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "jitter up to 50 %"));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"faults change dates and nothing else", weights_stay_the_same},
        {"the same seed gives the same bytes, with and without numerics", repetition_and_seeds},
        {"late clients are left out", late_clients_are_left_out},
        {"jitter as a key", jitter_as_a_key},
        {"boards are as fast as they are", only_simulated},
    };
    return suite_main("faults", tests, sizeof tests / sizeof *tests, argc, argv);
}
