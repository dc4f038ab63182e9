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

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"closed forms on mixed boards", forms_use_each_board},
        {"a small board among large ones", small_boards_get_what_they_hold},
    };
    return suite_main("mixed", tests, sizeof tests / sizeof *tests, argc, argv);
}
