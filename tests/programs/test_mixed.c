/* Boards that are not alike: the closed forms hold with each node's own board, link and clock. */
#include "programs/command.h"
#include "support/suite.h"
#include <math.h>

static void expect_ratios(const char *line, const char *const *labels, size_t count)
{
    json_t *result = command_result(line, 60);
    for (size_t i = 0; i < count && result; i++) {
        double ratio = command_number(command_run_of(result, labels[i]), "formula.ratio");
        if (!(fabs(ratio - 1) < 0.03))
            printf("%s: %s: ratio %g\n", line, labels[i], ratio);
        CU_ASSERT_DOUBLE_EQUAL(ratio, 1, 0.03);
    }
    json_decref(result);
}

static void forms_use_each_board(void)
{
    static const char *const all[] = {"ring",      "gpipe",    "sequential",
                                      "pipedream", "replicas", "all-reduce"};
    /* replicas: three of one stage; two of two stages */
    expect_ratios("ringsim tests/data/mixed.xml --set nodes=3 --set replicas.replicas=3", all, 6);
    expect_ratios("ringsim tests/data/mixed.xml --set nodes=4", all, 6);
    expect_ratios("ringsim tests/data/mixed.xml --set ring.depth=18", all, 3);
}

static void is_one_wire(const char *line)
{
    static const char *const labels[] = {"ring of 64", "8 rings of 8", "server 1+63", "all-reduce"};
    json_t *result = command_result(line, 120);
    CU_ASSERT_PTR_NOT_NULL(result);
    for (size_t i = 0; i < sizeof labels / sizeof *labels && result; i++) {
        json_t *run = command_run_of(result, labels[i]);
        double c = command_number(run, "formula.c_s");
        double sent = command_number(run, "traffic.wire_bytes"),
               iterations = command_number(run, "iterations");
        CU_ASSERT_DOUBLE_EQUAL(c, sent / iterations / 5e6, 1e-9 * c);
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "formula.ratio"), 1, 0.1);
        CU_ASSERT_TRUE(command_number(run, "formula.observed_iteration_s") > c);
    }
    json_decref(result);
}

/* All messages take turns on a radio channel: c is all that is sent, and no iteration is shorter;
 * where the run is extrapolated, and where it is not. */
static void a_shared_medium_is_one_wire(void)
{
    is_one_wire("ringsim scenarios/pi-cluster-64.xml --set numerics=skip --set "
                "platform=platforms/zero2w-wifi-16.xml");
    is_one_wire("ringsim scenarios/pi-cluster-64.xml --set numerics=skip --set "
                "platform=platforms/zero2w-wifi-16.xml --set iterations=20 --full");
}

/* What no copy of the network fits on, the ring still does. */
static void small_boards_get_what_they_hold(void)
{
    json_t *result = command_result("ringsim tests/data/mixed.xml", 60);
    json_t *ring = command_run_of(result, "ring"), *reduce = command_run_of(result, "all-reduce");
    CU_ASSERT_STRING_EQUAL(command_text(ring, "status"), "ok");
    CU_ASSERT_STRING_EQUAL(command_text(reduce, "status"), "does-not-fit");
    json_t *node = json_array_get(json_object_get(ring, "per_node"), 4);
    CU_ASSERT_TRUE(command_number(node, "memory_bytes") <= 1.2e6);
    json_decref(result);
}

/* 121 million parameters on boards of 1 GB. */
static void larger_than_a_board(void)
{
    static const char *const copies[] = {"single", "server", "8-servers", "all-reduce"};
    struct command_output output;
    json_t *result = command_result("ringsim scenarios/larger-than-a-board.xml", 60);
    json_t *ring = command_run_of(result, "ring");
    CU_ASSERT_STRING_EQUAL(command_text(ring, "status"), "ok");
    CU_ASSERT_TRUE(command_number(ring, "memory_bytes.max_node") < 0.8e9);
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        json_t *run = command_run_of(result, copies[i]);
        const char *error = command_text(run, "error");
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "does-not-fit");
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "node "));
        CU_ASSERT_PTR_NOT_NULL(strstr(error, " needs "));
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "(pi-3b+) has 800 MB"));
    }
    json_decref(result);
    command_run("ringsim scenarios/larger-than-a-board.xml", 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    const char *ring_line = strstr(output.out, "\n  ring ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(ring_line);
    CU_ASSERT_PTR_NOT_NULL(strstr(ring_line, " G parameters"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ring_line, "\n  all-reduce"));
    command_run("ringsim scenarios/larger-than-a-board.xml --check", 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "58 layers, 121 M parameters"));
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "\n  largest     "));
    /* where everything fits nothing is said below the table */
    command_run("ringsim scenarios/iris-3.xml --set epochs=1", 60, &output);
    CU_ASSERT_PTR_NULL(strstr(output.out, "largest network"));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"closed forms on mixed boards", forms_use_each_board},
        {"a medium that all share", a_shared_medium_is_one_wire},
        {"a small board among large ones", small_boards_get_what_they_hold},
        {"a network larger than a board", larger_than_a_board},
    };
    return suite_main("mixed", tests, sizeof tests / sizeof *tests, argc, argv);
}
