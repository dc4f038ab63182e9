/* Building networks, their errors, initial parameters. */
#include "models_fixture.h"

static void test_shapes_and_offsets(void)
{
    const struct rg_layer_spec specs[] = {
        {KIND("conv2d"), .outputs = 8, .kernel = {5, 5}, .padding = {2, 2}},
        {KIND("maxpool"), .kernel = {2, 2}},
        {KIND("dense"), .outputs = 64, .activation = RG_ACT_RELU},
        {KIND("residual"), .hidden = 10},
        {KIND("dense"), .outputs = 10},
    };
    struct rg_network n = build((struct rg_shape){1, 28, 28}, specs, RG_COUNT(specs));
    CU_ASSERT(n.layers[0].outputs == 8 * 28 * 28 && n.layers[1].outputs == 8 * 14 * 14);
    size_t sizes[] = {8 * 26, 0, 64 * (1568 + 1), 64 * 10 * 2 + 74, 650}, first = 0;
    for (int i = 0; i < n.layer_count; i++) {
        CU_ASSERT(rg_network_offset(&n, i) == first && n.layers[i].parameters == sizes[i]);
        first += sizes[i];
    }
    CU_ASSERT(n.parameters == first && rg_network_offset(&n, n.layer_count) == first);
    CU_ASSERT(rg_network_range(&n, 2, 4) == sizes[2] + sizes[3]);
    CU_ASSERT(n.classes == 10);
    /* Defaults: conv2d and residual relu, dense identity; he goes with relu. */
    CU_ASSERT(n.layers[0].spec.activation == RG_ACT_RELU && n.layers[0].spec.stride.height == 1);
    CU_ASSERT(n.layers[1].spec.stride.width == 2);
    CU_ASSERT(n.layers[2].spec.init == RG_INIT_HE);
    CU_ASSERT(n.layers[3].spec.activation == RG_ACT_RELU);
    CU_ASSERT(n.layers[4].spec.activation == RG_ACT_IDENTITY);
    CU_ASSERT(n.layers[4].spec.init == RG_INIT_XAVIER);
    rg_network_free(&n);
    CU_ASSERT(n.layers == NULL && n.layer_count == 0);
}

static void refuses(struct rg_shape input, const struct rg_layer_spec *specs, int count,
                    const char *where, const char *what)
{
    struct rg_network network;
    struct rg_error e = {0};
    CU_ASSERT(rg_network_build(&network, "n", "net.xml", input, specs, count, &e) ==
              RG_ERR_INVALID);
    CU_ASSERT(network.layers == NULL);
    bool right =
        strncmp(e.text, where, strlen(where)) == 0 && strstr(e.text, what) && !strchr(e.text, '\n');
    if (!right)
        fprintf(stderr, "expected %s ... %s, got: %s\n", where, what, e.text);
    CU_ASSERT(right);
}

static void test_errors(void)
{
    const struct rg_shape flat = {4, 1, 1}, image = {1, 8, 6};
    const struct rg_layer_spec ok = {KIND("dense"), .outputs = 3, .line = 2};
    refuses(flat, &ok, 0, "net.xml: ", "at least one layer");
    refuses((struct rg_shape){0, 1, 1}, &ok, 1, "net.xml: ", "input of 0x1x1");
    refuses((struct rg_shape){1 << 20, 1 << 20, 1}, &ok, 1, "net.xml: ", "input of");
    refuses(flat, (struct rg_layer_spec[]){ok, {KIND("dense"), .line = 3}}, 2,
            "net.xml:3: ", "outputs=\"0\"");
    refuses(flat, &(struct rg_layer_spec){KIND("dense"), .outputs = -1}, 1,
            "net.xml: ", "outputs=\"-1\"");
    refuses(flat, &(struct rg_layer_spec){KIND("residual"), .hidden = -5, .line = 7}, 1,
            "net.xml:7: ", "hidden=\"-5\"");
    refuses(flat, &(struct rg_layer_spec){KIND("residual"), .init = RG_INIT_ZERO, .line = 7}, 1,
            "net.xml:7: ", "init=\"zero\"");
    refuses(image,
            &(struct rg_layer_spec){KIND("conv2d"), .outputs = 1, .kernel = {7, 7}, .line = 1}, 1,
            "net.xml:1: ", "1 to 6 are allowed");
    refuses(image, &(struct rg_layer_spec){KIND("conv2d"), .kernel = {3, 3}, .line = 1}, 1,
            "net.xml:1: ", "outputs=\"0\"");
    refuses(image,
            &(struct rg_layer_spec){KIND("conv2d"), .outputs = 1, .kernel = {3, 3},
                                    .padding = {-1, -1}, .line = 1},
            1, "net.xml:1: ", "padding=\"-1\"");
    refuses(image,
            &(struct rg_layer_spec){KIND("conv2d"), .outputs = 1, .kernel = {3, 3},
                                    .stride = {-2, -2}, .line = 1},
            1, "net.xml:1: ", "stride=\"-2\"");
    refuses(image, &(struct rg_layer_spec){KIND("maxpool"), .kernel = {7, 7}, .line = 4}, 1,
            "net.xml:4: ", "kernel=\"7\"");
    refuses(flat, &(struct rg_layer_spec){KIND("maxpool"), .kernel = {2, 2}, .line = 4}, 1,
            "net.xml:4: ", "1 to 1 are allowed");
}

static void moments(const float *x, size_t n, double *mean, double *variance)
{
    *mean = *variance = 0;
    for (size_t i = 0; i < n; i++)
        *mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        *variance += pow(x[i] - *mean, 2) / (double)n;
}

static bool all_zero(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0)
            return false;
    return true;
}

/* Mean and variance of n values within five standard errors. */
static void is_drawn(const float *x, size_t n, double variance)
{
    double m, v;
    moments(x, n, &m, &v);
    CU_ASSERT(fabs(m) < 5 * sqrt(variance / (double)n));
    CU_ASSERT(fabs(v / variance - 1) < 5 * sqrt(2.0 / (double)n));
}

static void test_init(void)
{
    const struct rg_layer_spec specs[] = {
        {KIND("dense"), .outputs = 200, .activation = RG_ACT_RELU},
        {KIND("residual"), .hidden = 100},
        {KIND("residual"), .hidden = 100},
        {KIND("dense"), .outputs = 100, .activation = RG_ACT_TANH},
        {KIND("dense"), .outputs = 100, .init = RG_INIT_ZERO},
    };
    struct rg_network n = build((struct rg_shape){300, 1, 1}, specs, RG_COUNT(specs));
    struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
    float *w = floats(mem, n.parameters);
    spoil(w, n.parameters);
    CU_ASSERT(rg_network_init(&n, 0, n.layer_count, 5, w) == 0);
    is_drawn(w, 300 * 200, 2.0 / 300);
    CU_ASSERT(all_zero(w + 300 * 200, 200));
    for (int i = 1; i <= 2; i++) { /* two blocks: half the variance of He; the rest zero */
        const float *block = w + n.layers[i].first;
        is_drawn(block, 200 * 100, 2.0 / 200 / 2);
        CU_ASSERT(all_zero(block + 200 * 100, n.layers[i].parameters - 200 * 100));
    }
    const float *last = w + n.layers[3].first;
    is_drawn(last, 200 * 100, 2.0 / (200 + 100));
    for (int i = 0; i < 200 * 100; i++)
        CU_ASSERT_FATAL(fabsf(last[i]) <= sqrtf(6.0f / (200 + 100)));
    CU_ASSERT(all_zero(w + n.layers[4].first, n.layers[4].parameters));
    CU_ASSERT(memcmp(w + n.layers[1].first, w + n.layers[2].first, 4000) != 0);
    rg_mem_free(mem);
    rg_network_free(&n);
}

static void test_init_split(void)
{
    struct rg_layer_spec specs[6];
    for (int i = 0; i < 6; i++)
        specs[i] = (struct rg_layer_spec){KIND(i % 2 ? "residual" : "dense"), .outputs = 11 + i};
    struct rg_network n = build((struct rg_shape){9, 1, 1}, specs, 6);
    struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
    float *whole = floats(mem, n.parameters), *part = floats(mem, n.parameters);
    CU_ASSERT(rg_network_init(&n, 0, 6, 3, whole) == 0);
    for (int from = 0; from < 6; from++)
        for (int to = from; to <= 6; to++) {
            CU_ASSERT(rg_network_init(&n, from, to, 3, part) == 0);
            CU_ASSERT(memcmp(part, whole + rg_network_offset(&n, from),
                             rg_network_range(&n, from, to) * sizeof *part) == 0);
        }
    CU_ASSERT(rg_network_init(&n, 0, 6, 4, part) == 0);
    CU_ASSERT(memcmp(part, whole, n.parameters * sizeof *part) != 0);
    rg_mem_free(mem);
    rg_network_free(&n);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"shapes, offsets, defaults", test_shapes_and_offsets},
        {"impossible networks are refused", test_errors},
        {"initial parameters: distribution", test_init},
        {"initial parameters: any split gives the same", test_init_split},
    };
    return suite_main("network", tests, RG_COUNT(tests), argc, argv);
}
