/* The shipped kinds of network learn: the deep chain, the convolutions, iris; micro-batches agree.
 */
#include "models_fixture.h"

#include "models/blas.h"

static struct rg_dataset load(struct rg_data_spec spec)
{
    struct rg_dataset data;
    struct rg_error e;
    RG_ASSERT(rg_dataset_load(&spec, &data, &e) == 0);
    return data;
}

static double accuracy(const struct rg_layer_spec *specs, int count, const struct rg_dataset *data,
                       const struct training *how)
{
    struct rg_network network = build(data->shape, specs, count);
    double result = train(&network, data, how);
    printf("%d layers, batch %d, %d epochs: %.2f %%\n", count, how->batch, how->epochs,
           100 * result);
    rg_network_free(&network);
    return result;
}

/* As in digits-mlp.xml: 64 layers, plain SGD. */
static void test_deep_chain(void)
{
    struct rg_layer_spec specs[64];
    specs[0] = (struct rg_layer_spec){KIND("dense"), .outputs = 128, .activation = RG_ACT_RELU};
    for (int i = 1; i < 63; i++)
        specs[i] = (struct rg_layer_spec){KIND("residual"), .hidden = 128};
    specs[63] = (struct rg_layer_spec){KIND("dense"), .outputs = 10};
    struct rg_dataset data = load((struct rg_data_spec){DATA("digits"), .seed = 1});
    struct training how = {128, 1, 4, rg_optimizer_make(RG_SGD, 0.1f), 1};
    CU_ASSERT(accuracy(specs, 64, &data, &how) >= 0.95);
    rg_dataset_free(&data);
}

/* As in digits-cnn.xml. */
static void test_convolutions(void)
{
    const struct rg_layer_spec specs[] = {
        {KIND("conv2d"), .outputs = 8, .kernel = {5, 5}, .padding = {2, 2}},
        {KIND("maxpool"), .kernel = {2, 2}},
        {KIND("conv2d"), .outputs = 16, .kernel = {5, 5}, .padding = {2, 2}},
        {KIND("maxpool"), .kernel = {2, 2}},
        {KIND("dense"), .outputs = 64, .activation = RG_ACT_RELU},
        {KIND("dense"), .outputs = 10},
    };
    struct rg_dataset data = load((struct rg_data_spec){DATA("digits"), .train = 4096, .seed = 1});
    struct training how = {32, 1, 2, rg_optimizer_make(RG_SGD, 0.1f), 1};
    CU_ASSERT(accuracy(specs, RG_COUNT(specs), &data, &how) >= 0.95);
    rg_dataset_free(&data);
}

/* As in iris-mlp.xml, over 20 splits: five flowers in a hundred lie on the wrong side of any line.
 */
static void test_iris(void)
{
    const struct rg_layer_spec specs[] = {
        {KIND("dense"), .outputs = 8, .activation = RG_ACT_TANH},
        {KIND("dense"), .outputs = 8, .activation = RG_ACT_TANH},
        {KIND("dense"), .outputs = 3},
    };
    double sum = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rg_data_spec spec = {DATA("iris"), .seed = seed};
        say(&spec, "file", RG_SOURCE_DIR "/models/data/iris.csv");
        struct rg_dataset data = load(spec);
        struct training how = {8, 1, 60, rg_optimizer_make(RG_MOMENTUM, 0.01f), seed};
        sum += accuracy(specs, 3, &data, &how);
        rg_dataset_free(&data);
    }
    printf("mean %.2f %%\n", 100 * sum / 20);
    CU_ASSERT(sum / 20 >= 0.945);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"64 layers learn the digits", test_deep_chain},
        {"convolutions learn the digits", test_convolutions},
        {"iris", test_iris},
    };
    rg_blas_setup(argv);
    return suite_main("training", tests, RG_COUNT(tests), argc, argv);
}
