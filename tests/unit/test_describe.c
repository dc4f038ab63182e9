/* What a run says of the intervals between its iterations, worked by hand. */
#include "node/node_parts.h"

#include "base/check.h"
#include "support/suite.h"

/* Intervals as a node notes them: the dates at which iterations ended. */
static bool describe(struct rg_run *run, const double *intervals, long count)
{
    double marks[64], date = 0;
    for (long i = 0; i < count; i++)
        marks[i] = date += intervals[i];
    return rg_node_describe_iterations(run, marks, count);
}

/* 1 to 21, in no order, between a first and a last that are left out: the 95th percentile is the
 * 20th of them, 0.95 of the way from the first to the last. */
static void test_of_21(void)
{
    const double v[] = {500, 13, 1, 20, 7,  16, 3,  11, 21, 9,  18, 5,
                        14,  2,  8, 19, 12, 6,  17, 4,  10, 15, 300};
    struct rg_run run = {.staleness = 0};
    CU_ASSERT_TRUE(describe(&run, v, RG_COUNT(v)));
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.mean, 11, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.p50, 11, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.p95, 20, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.max, 21, 1e-12);
}

/* 1, 2, 4, 8, 16: the 95th percentile lies 0.95 * 4 = 3.8 steps from the first, 0.8 of the way from
 * 8 to 16. With gradients two updates old, three at each end are left out. */
static void test_of_5(void)
{
    const double v[] = {90, 80, 70, 4, 1, 16, 2, 8, 70, 80, 90};
    struct rg_run run = {.staleness = 2};
    CU_ASSERT_TRUE(describe(&run, v, RG_COUNT(v)));
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.mean, 6.2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.p50, 4, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.p95, 14.4, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.max, 16, 1e-12);
}

/* Too few for a steady state: all count, and it is said. */
static void test_of_few(void)
{
    const double v[] = {10, 30};
    struct rg_run run = {.staleness = 2};
    CU_ASSERT_FALSE(describe(&run, v, RG_COUNT(v)));
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.mean, 20, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.p50, 20, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.p95, 29, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.max, 30, 1e-12);
    CU_ASSERT_FALSE(describe(&run, v, 0));
    CU_ASSERT_DOUBLE_EQUAL(run.iteration_s.max, 30, 1e-12);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"21 intervals: percentiles that are one of them", test_of_21},
        {"5 intervals: percentiles between two of them", test_of_5},
        {"2 intervals, and none", test_of_few},
    };
    return suite_main("describe", tests, RG_COUNT(tests), argc, argv);
}
