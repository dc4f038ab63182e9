/* What rank 0 makes of the parameters: accuracy by class, worked by hand, and weights that are no
 * numbers. */
#include "node/inspect.h"

#include "base/check.h"
#include "support/suite.h"
#include <math.h>

enum { WEIGHTS = 4 }; /* a layer of one input, two outputs: weights, then bias */

/* No training sample: x is -1 three times, then 2, of classes 0, 0, 1, 1. */
static float inputs[] = {-1, -1, -1, 2};
static uint8_t labels[] = {0, 0, 1, 1};
static const struct rg_dataset data = {.inputs = 1,
                                       .classes = 2,
                                       .target_count = 1,
                                       .test = 4,
                                       .kept.test = true,
                                       .x = inputs,
                                       .targets = labels};

/* One layer, or one with relu before it. */
static struct rg_network make_network(int layers)
{
    const struct rg_layer_spec specs[] = {
        {.ops = rg_layer_kind("dense"), .outputs = 1, .activation = RG_ACT_RELU, .line = 1},
        {.ops = rg_layer_kind("dense"), .outputs = 2, .line = 2}};
    struct rg_network network;
    struct rg_error e = {0};
    int err = rg_network_build(&network, "n", "n", (struct rg_shape){1, 1, 1}, specs + 2 - layers,
                               layers, &e);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return network;
}

/* Logits (-x, x): below 0 class 0, above it class 1. One of the two of class 1 is taken for 0. */
static void accuracy_by_class(void)
{
    const float parameters[WEIGHTS] = {-1, 1, 0, 0};
    int confusion[4] = {0};
    struct rg_network network = make_network(1);
    const struct rg_job job = {.network = &network, .data = &data};
    struct rg_inspection in;
    CU_ASSERT_EQUAL_FATAL(rg_inspection_open(&in, &job, true), 0);
    in.confusion = confusion;
    CU_ASSERT_EQUAL(rg_inspection_visit(&in, 0, parameters, WEIGHTS), 0);
    CU_ASSERT_EQUAL(in.accuracy, 0.75);
    CU_ASSERT_TRUE(in.finite);
    /* -log softmax: log(1 + exp(-2)) twice, log(1 + exp(2)), log(1 + exp(-4)) */
    CU_ASSERT_DOUBLE_EQUAL(in.loss, (2 * log1p(exp(-2)) + log1p(exp(2)) + log1p(exp(-4))) / 4,
                           1e-6);
    CU_ASSERT_EQUAL(confusion[0], 2);
    CU_ASSERT_EQUAL(confusion[1], 0);
    CU_ASSERT_EQUAL(confusion[2], 1);
    CU_ASSERT_EQUAL(confusion[3], 1);
    double start;
    CU_ASSERT_EQUAL(rg_inspect_start(&job, parameters, &start), 0);
    CU_ASSERT_EQUAL(start, in.loss);
    rg_inspection_close(&in);
    rg_network_free(&network);
}

/* In training half of the inputs are dropped, and batchnorm of 4 samples knows nothing of running
 * statistics; here the first passes all on, and the second makes (x - 1) / 2 of x. */
static void as_it_is_to_be_used(void)
{
    const struct rg_layer_spec specs[] = {
        {.ops = rg_layer_kind("dropout"), .rate = 0.5, .line = 1},
        {.ops = rg_layer_kind("batchnorm"), .epsilon = 1, .line = 2},
        {.ops = rg_layer_kind("dense"), .outputs = 2, .line = 3}};
    const float norm[4] = {1, 0, 1, 3}, parameters[WEIGHTS] = {-2, 2, -1, 1};
    struct rg_network network;
    struct rg_error e = {0};
    struct rg_inspection in;
    CU_ASSERT_EQUAL_FATAL(
        rg_network_build(&network, "n", "n", (struct rg_shape){1, 1, 1}, specs, 3, &e), 0);
    const struct rg_job job = {.network = &network, .data = &data};
    CU_ASSERT_EQUAL_FATAL(rg_inspection_open(&in, &job, true), 0);
    CU_ASSERT_EQUAL(rg_inspection_visit(&in, 0, norm, 4), 0);
    CU_ASSERT_EQUAL(rg_inspection_visit(&in, 4, parameters, WEIGHTS), 0);
    CU_ASSERT_DOUBLE_EQUAL(in.loss, (2 * log1p(exp(-2)) + log1p(exp(2)) + log1p(exp(-4))) / 4,
                           1e-6);
    rg_inspection_close(&in);
    rg_network_free(&network);
}

/* relu makes a 0 of it, and the loss after it is a number: of what is no network any more. */
static void weights_that_are_no_numbers(void)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    struct rg_network network = make_network(2);
    const struct rg_job job = {.network = &network, .data = &data};
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        const float first[] = {1, bad[i]}, second[WEIGHTS] = {0, 0, 0, 0};
        struct rg_inspection in;
        CU_ASSERT_EQUAL_FATAL(rg_inspection_open(&in, &job, true), 0);
        CU_ASSERT_EQUAL(rg_inspection_visit(&in, 0, first, 2), 0);
        CU_ASSERT_EQUAL(rg_inspection_visit(&in, 2, second, WEIGHTS), 0);
        CU_ASSERT_FALSE(in.finite);
        CU_ASSERT_TRUE(isnan(in.loss));
        rg_inspection_close(&in);
    }
    rg_network_free(&network);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"loss, accuracy, classes", accuracy_by_class},
        {"dropout and running statistics: as it is to be used", as_it_is_to_be_used},
        {"weights that are no numbers have no loss", weights_that_are_no_numbers},
    };
    return suite_main("inspect", tests, RG_COUNT(tests), argc, argv);
}
