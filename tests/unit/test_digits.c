/* How hard the digits are: a linear model stays under 92 %, a small network passes 95 %. */
#include "models_fixture.h"

#include "models/blas.h"

static struct rg_dataset data;

static const struct rg_layer_spec *small_network(void)
{
    static struct rg_layer_spec specs[3];
    specs[0] = (struct rg_layer_spec){KIND("dense"), .outputs = 50, .activation = RG_ACT_RELU};
    specs[1] = specs[0];
    specs[2] = (struct rg_layer_spec){KIND("dense"), .outputs = 10};
    return specs;
}

static double accuracy(const struct rg_layer_spec *specs, int count, int epochs, float rate)
{
    struct rg_network network = build(data.shape, specs, count);
    double result = train(&network, &data,
                          &(struct training){.batch = 32,
                                             .micro_batches = 1,
                                             .epochs = epochs,
                                             .optimizer = rg_optimizer_make(RG_SGD, rate),
                                             .seed = 1});
    printf("%d layers, %d epochs, rate %g: %.2f %%\n", count, epochs, (double)rate, 100 * result);
    rg_network_free(&network);
    return result;
}

static void test_linear(void)
{
    struct rg_layer_spec spec = {KIND("dense"), .outputs = 10};
    for (int i = 0; i < 3; i++) {
        double result = accuracy(&spec, 1, 12, (float[]){0.003f, 0.01f, 0.03f}[i]);
        CU_ASSERT(result < 0.92 && result > 0.5);
    }
}

static void test_small_network(void)
{
    CU_ASSERT(accuracy(small_network(), 3, 5, 0.1f) >= 0.95);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"a linear model is not enough", test_linear},
        {"two small layers are", test_small_network},
    };
    struct rg_data_spec spec = {DATA("digits"), .seed = 1};
    struct rg_error e;
    rg_blas_setup(argv);
    if (rg_dataset_load(&spec, &data, &e) < 0)
        return 1;
    int status = suite_main("digits", tests, RG_COUNT(tests), argc, argv);
    rg_dataset_free(&data);
    return status;
}
