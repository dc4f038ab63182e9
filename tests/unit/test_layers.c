/* Gradients of every layer kind and activation against central finite differences; costs; errors.
 */
#include "gradient_fixture.h"

#include "models/layers.h"

#include <cblas.h>

#define FLAT(n) ((struct rg_shape){n, 1, 1})
#define BATCHES(check)                                                                             \
    do {                                                                                           \
        for (int batch = 1; batch <= 4; batch++)                                                   \
            check;                                                                                 \
    } while (0)

static const enum rg_activation activations[] = {
#define RG_ACTIVATION(name, NAME, ...) RG_ACT_##NAME,
#include "models/activations.def"
#undef RG_ACTIVATION
};

static void test_dense(void)
{
    for (size_t a = 0; a < RG_COUNT(activations); a++) {
        struct rg_layer_spec spec = {KIND("dense"), .outputs = 5, .activation = activations[a]};
        BATCHES(check_gradients(FLAT(7), &spec, 1, batch));
    }
}

static void test_residual(void)
{
    for (size_t a = 0; a < RG_COUNT(activations); a++) {
        struct rg_layer_spec spec = {KIND("residual"), .hidden = 9, .activation = activations[a]};
        BATCHES(check_gradients(FLAT(6), &spec, 1, batch));
    }
}

static void test_conv2d(void)
{
    static const struct {
        int kernel, stride, padding;
        enum rg_activation activation;
    } shapes[] = {{3, 1, 0, RG_ACT_IDENTITY}, {3, 1, 1, RG_ACT_RELU},     {3, 2, 1, RG_ACT_TANH},
                  {2, 3, 0, RG_ACT_GELU},     {1, 1, 0, RG_ACT_SIGMOID},  {5, 2, 3, RG_ACT_SILU},
                  {3, 1, 0, RG_ACT_RELU6},    {3, 2, 2, RG_ACT_HARDSWISH}};
    for (size_t i = 0; i < RG_COUNT(shapes); i++) {
        struct rg_layer_spec spec = {KIND("conv2d"),
                                     .outputs = 3,
                                     .kernel = {shapes[i].kernel, shapes[i].kernel},
                                     .stride = {shapes[i].stride, shapes[i].stride},
                                     .padding = {shapes[i].padding, shapes[i].padding},
                                     .activation = shapes[i].activation};
        BATCHES(check_gradients((struct rg_shape){2, 6, 5}, &spec, 1, batch));
    }
}

static void test_maxpool(void)
{
    static const struct {
        int kernel, stride;
    } shapes[] = {{2, 2}, {3, 1}, {2, 3}, {3, 0}};
    for (size_t i = 0; i < RG_COUNT(shapes); i++) {
        struct rg_layer_spec spec = {KIND("maxpool"),
                                     .kernel = {shapes[i].kernel, shapes[i].kernel},
                                     .stride = {shapes[i].stride, shapes[i].stride}};
        BATCHES(check_gradients((struct rg_shape){2, 7, 6}, &spec, 1, batch));
    }
}

static void test_chain(void)
{
    const struct rg_layer_spec specs[] = {
        {KIND("conv2d"), .outputs = 3, .kernel = {3, 3}, .padding = {1, 1},
         .activation = RG_ACT_TANH},
        {KIND("maxpool"), .kernel = {2, 2}},
        {KIND("dense"), .outputs = 8, .activation = RG_ACT_RELU},
        {KIND("residual"), .hidden = 5},
        {KIND("residual"), .activation = RG_ACT_TANH},
        {KIND("dense"), .outputs = 4},
    };
    BATCHES(check_gradients((struct rg_shape){1, 6, 6}, specs, RG_COUNT(specs), batch));
}

/* c [m x n] = a b, or added to `before`, in double; elements of a and b by two strides each. */
static void is_product(const float *c, const float *before, size_t m, size_t n, size_t k,
                       const float *a, const size_t sa[2], const float *b, const size_t sb[2])
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = before ? before[i * n + j] : 0;
            for (size_t l = 0; l < k; l++)
                sum += (double)a[i * sa[0] + l * sa[1]] * b[l * sb[0] + j * sb[1]];
            CU_ASSERT(fabs(c[i * n + j] - sum) < 1e-4);
        }
}

static void test_products(void)
{
    static const int sizes[] = {1, 2, 3, 5, 15, 16, 17, 33, 50};
    enum { MOST = 64 * 50 };
    static float w[MOST], x[MOST], dy[MOST], got[MOST], before[MOST];
    struct rg_random *random = rg_random_new(8, RG_STREAM_TEST, 0);
    draw(random, 1, MOST, w);
    draw(random, 1, MOST, x);
    draw(random, 1, MOST, dy);
    draw(random, 1, MOST, before);
    for (int batch = 1; batch <= 10; batch++)
        for (size_t s = 0; s < RG_COUNT(sizes) * RG_COUNT(sizes) * 2; s++) {
            bool add = s % 2;
            int outputs = sizes[s / 2 % RG_COUNT(sizes)], inputs = sizes[s / 2 / RG_COUNT(sizes)];
            size_t m = (size_t)batch, o = (size_t)outputs, i = (size_t)inputs;
            const float *base = add ? before : NULL;
            memcpy(got, before, sizeof got);
            rg_affine_forward(batch, outputs, inputs, w, x, add, got);
            is_product(got, base, m, o, i, x, (size_t[]){i, 1}, w, (size_t[]){1, i});
            memcpy(got, before, sizeof got);
            rg_affine_input(batch, outputs, inputs, w, dy, add, got);
            is_product(got, base, m, i, o, dy, (size_t[]){o, 1}, w, (size_t[]){i, 1});
            memcpy(got, before, sizeof got);
            rg_affine_weight(batch, outputs, inputs, dy, x, add, got);
            is_product(got, base, o, i, m, dy, (size_t[]){1, o}, x, (size_t[]){i, 1});
        }
    rg_random_free(random);
}

/* Convolution by its definition, which no code of the layer shares. */
static void check_conv2d(struct rg_shape in, int kernel, int stride, int padding)
{
    struct rg_layer_spec spec = {KIND("conv2d"), .outputs = 2, .kernel = {kernel, kernel},
                                 .stride = {stride, stride}, .padding = {padding, padding}};
    struct probe p;
    probe_make(&p, in, &spec, 1, 2);
    value(&p);
    struct rg_shape out = p.network.layers[0].out;
    const float *y = rg_stage_output(&p.stage, 2, p.stash);
    const float *bias = p.w + 2 * in.channels * kernel * kernel;
    CU_ASSERT(out.height == (in.height + 2 * padding - kernel) / stride + 1);
    CU_ASSERT(out.width == (in.width + 2 * padding - kernel) / stride + 1);
    for (int at = 0; at < 2 * 2 * out.height * out.width; at++) {
        int j = at % out.width, i = at / out.width % out.height;
        int o = at / (out.width * out.height) % 2, b = at / (out.width * out.height) / 2;
        double sum = bias[o];
        for (int tap = 0; tap < in.channels * kernel * kernel; tap++) {
            int c = tap / (kernel * kernel);
            int row = stride * i + tap / kernel % kernel - padding;
            int column = stride * j + tap % kernel - padding;
            if (row < 0 || row >= in.height || column < 0 || column >= in.width)
                continue;
            sum += (double)p.w[o * in.channels * kernel * kernel + tap] *
                   p.x[((b * in.channels + c) * in.height + row) * in.width + column];
        }
        CU_ASSERT_DOUBLE_EQUAL(y[at], fmax(sum, 0), 1e-5);
    }
    probe_free(&p);
}

static void test_conv2d_values(void)
{
    check_conv2d((struct rg_shape){2, 5, 7}, 3, 2, 1);
    check_conv2d((struct rg_shape){2, 5, 7}, 3, 1, 0);
    check_conv2d((struct rg_shape){2, 5, 7}, 3, 1, 1); /* rows as long as before */
    check_conv2d((struct rg_shape){2, 5, 7}, 3, 1, 2);
    check_conv2d((struct rg_shape){2, 5, 7}, 5, 1, 2);
    check_conv2d((struct rg_shape){1, 3, 2}, 7, 1, 3); /* weights that only zeros meet */
    check_conv2d((struct rg_shape){3, 4, 1}, 3, 1, 1);
}

/* Pooling and its gradient by their definition; values are few, so that many are equal. */
static void check_maxpool(struct rg_shape in, int kernel, int stride)
{
    struct rg_layer_spec spec = {KIND("maxpool"), .kernel = {kernel, kernel},
                                 .stride = {stride, stride}};
    struct probe p;
    probe_make(&p, in, &spec, 1, 2);
    size_t inputs = 2 * rg_stage_inputs(&p.stage);
    float dx[2 * 2 * 9 * 20] = {0};
    for (size_t i = 0; i < inputs; i++)
        p.x[i] = roundf(2 * p.x[i]);
    value(&p);
    spoil(p.dx, inputs);
    backward(&p, p.dx, false);
    struct rg_shape out = p.network.layers[0].out;
    const float *y = rg_stage_output(&p.stage, 2, p.stash);
    for (int at = 0; at < 2 * in.channels * out.height * out.width; at++) {
        int plane = at / (out.width * out.height), i = at / out.width % out.height;
        int first = (plane * in.height + i * stride) * in.width + at % out.width * stride;
        int best = first;
        for (int k = 0; k < kernel * kernel; k++) {
            int other = first + k / kernel * in.width + k % kernel;
            best = p.x[other] > p.x[best] ? other : best;
        }
        CU_ASSERT(y[at] == p.x[best]);
        dx[best] += p.weight[at];
    }
    CU_ASSERT(memcmp(p.dx, dx, inputs * sizeof *dx) == 0);
    probe_free(&p);
}

/* Widths with rows of less than the vectors, of as much, and of some more. */
static void test_maxpool_values(void)
{
    for (int width = 4; width <= 20; width++)
        for (int kernel = 1; kernel <= 4; kernel++)
            for (int stride = 1; stride <= 4; stride++) {
                check_maxpool((struct rg_shape){2, 8, width}, kernel, stride);
                check_maxpool((struct rg_shape){2, 9, width}, kernel, stride);
            }
}

static void test_maxpool_ties(void)
{
    struct rg_layer_spec spec = {KIND("maxpool"), .kernel = {2, 2}};
    struct probe p;
    probe_make(&p, (struct rg_shape){1, 2, 4}, &spec, 1, 1);
    const float x[8] = {1, 3, -2, -2, 3, 3, -2, -2}, dx[8] = {0, 5, 7, 0, 0, 0, 0, 0};
    memcpy(p.x, x, sizeof x);
    p.weight[0] = 5;
    p.weight[1] = 7;
    value(&p);
    const float *y = rg_stage_output(&p.stage, 1, p.stash);
    CU_ASSERT(y[0] == 3 && y[1] == -2);
    backward(&p, p.dx, false);
    CU_ASSERT(memcmp(p.dx, dx, sizeof dx) == 0);
    probe_free(&p);
}

/* What a buffer held before, and where operands lie, does not reach a result. */
static void test_no_memory_of_buffers(void)
{
    const struct rg_layer_spec specs[] = {
        {KIND("conv2d"), .outputs = 2, .kernel = {3, 3}, .padding = {1, 1}},
        {KIND("maxpool"), .kernel = {2, 2}},
        {KIND("residual"), .hidden = 3},
        {KIND("dense"), .outputs = 3},
    };
    struct probe p;
    probe_make(&p, (struct rg_shape){1, 6, 6}, specs, RG_COUNT(specs), 3);
    size_t n = p.network.parameters, inputs = 3 * rg_stage_inputs(&p.stage);
    float *dw = floats(p.mem, n), *dx = floats(p.mem, inputs);
    double first = value(&p);
    backward(&p, p.dx, false);
    memcpy(dw, p.dw, n * sizeof *dw);
    memcpy(dx, p.dx, inputs * sizeof *dx);
    for (size_t i = 0; i < rg_stage_stash(&p.stage, 3); i++)
        p.stash[i] = 1e30f;
    for (size_t i = 0; i < rg_stage_scratch(&p.stage, 3); i++)
        p.scratch[i] = -1e30f;
    stage_forward(&p.stage, 3, p.w, p.x, p.stash, p.scratch);
    memcpy(p.dy, p.weight, 3 * rg_stage_outputs(&p.stage) * sizeof *p.dy);
    stage_backward(&p.stage, 3, p.w, p.x, p.stash, p.dy, p.dx, p.dw, false, p.scratch);
    CU_ASSERT(memcmp(dw, p.dw, n * sizeof *dw) == 0);
    CU_ASSERT(memcmp(dx, p.dx, inputs * sizeof *dx) == 0);
    spoil_buffers(&p);
    CU_ASSERT(value(&p) == first);
    probe_free(&p);
}

static double work_of(const struct rg_network *network, int layer, int batch, enum rg_pass pass,
                      int *products)
{
    struct rg_work work = {0};
    double flops = 0;
    const struct rg_layer *l = &network->layers[layer];
    l->spec.ops->cost(l, batch, pass, &work);
    *products = 0;
    for (int i = 0; i < work.count; i++)
        if (work.cost[i].k > 0) {
            CU_ASSERT(work.cost[i].flops == 2.0 * work.cost[i].m * work.cost[i].n * work.cost[i].k);
            flops += work.cost[i].flops * work.cost[i].calls;
            *products += (int)work.cost[i].calls;
        }
    rg_work_free(&work);
    return flops;
}

/* Counted by hand: dense 6 -> 5; residual 5, hidden 7; conv2d 2x6x5, 3 channels, kernel 3,
 * padding 1. */
static void test_costs(void)
{
    int products;
    const struct rg_layer_spec flat[] = {{KIND("dense"), .outputs = 5},
                                         {KIND("residual"), .hidden = 7}};
    const struct rg_layer_spec image[] = {
        {KIND("conv2d"), .outputs = 3, .kernel = {3, 3}, .padding = {1, 1}},
        {KIND("maxpool"), .kernel = {2, 2}}};
    struct rg_network network = build(FLAT(6), flat, 2);
    CU_ASSERT(work_of(&network, 0, 4, RG_FORWARD, &products) == 2 * 4 * 5 * 6 && products == 1);
    CU_ASSERT(work_of(&network, 0, 4, RG_BACKWARD, &products) == 4 * 4 * 5 * 6 && products == 2);
    CU_ASSERT(work_of(&network, 0, 4, RG_BACKWARD_FIRST, &products) == 2 * 4 * 5 * 6);
    CU_ASSERT(work_of(&network, 1, 4, RG_FORWARD, &products) == 4 * 4 * 5 * 7 && products == 2);
    CU_ASSERT(work_of(&network, 1, 4, RG_BACKWARD, &products) == 8 * 4 * 5 * 7 && products == 4);
    CU_ASSERT(work_of(&network, 1, 4, RG_BACKWARD_FIRST, &products) == 6 * 4 * 5 * 7);
    rg_network_free(&network);

    network = build((struct rg_shape){2, 6, 5}, image, 2);
    double one = 2.0 * 3 * (6 * 5) * (2 * 3 * 3);
    CU_ASSERT(work_of(&network, 0, 4, RG_FORWARD, &products) == 4 * one && products == 4);
    CU_ASSERT(work_of(&network, 0, 4, RG_BACKWARD, &products) == 8 * one && products == 8);
    CU_ASSERT(work_of(&network, 0, 4, RG_BACKWARD_FIRST, &products) == 4 * one && products == 4);
    CU_ASSERT(work_of(&network, 1, 4, RG_FORWARD, &products) == 0);
    rg_network_free(&network);
}

/* Counted by hand, for the same images: 18 taps on 30 pixels, 90 outputs, 60 inputs; then 18
 * windows of 4 values. Of one call: operations, floats moved; calls. */
static void test_costs_of_passes(void)
{
    const struct rg_layer_spec image[] = {
        {KIND("conv2d"), .outputs = 3, .kernel = {3, 3}, .padding = {1, 1}},
        {KIND("maxpool"), .kernel = {2, 2}}};
    const double conv_forward[][3] = {{0, 2 * 540, 4}, {2 * 90, 2 * 90, 4}};
    const double conv_backward[][3] = {
        {0, 4 * 60, 1}, {2 * 90, 3 * 90, 4}, {0, 2 * 540, 4}, {540, 3 * 540, 4}};
    const double pool_forward[][3] = {{5 * 4 * 72, 4 * (90 + 18), 1}};
    const double pool_backward[][3] = {{4 * (11 * 72 + 18), 4 * (2 * 90 + 18), 1}};
    const struct {
        int layer;
        enum rg_pass pass;
        const double (*costs)[3];
        int count;
    } passes[] = {{0, RG_FORWARD, conv_forward, 2},
                  {0, RG_BACKWARD, conv_backward, 4},
                  {0, RG_BACKWARD_FIRST, conv_backward + 1, 2},
                  {1, RG_FORWARD, pool_forward, 1},
                  {1, RG_BACKWARD, pool_backward, 1},
                  {1, RG_BACKWARD_FIRST, NULL, 0}};
    struct rg_network network = build((struct rg_shape){2, 6, 5}, image, 2);
    for (size_t i = 0; i < RG_COUNT(passes); i++) {
        struct rg_work work = {0};
        const struct rg_layer *l = &network.layers[passes[i].layer];
        int n = 0;
        l->spec.ops->cost(l, 4, passes[i].pass, &work);
        for (int c = 0; c < work.count; c++) {
            if (work.cost[c].k > 0)
                continue;
            const double *is = n < passes[i].count ? passes[i].costs[n] : (double[3]){-1, -1, -1};
            CU_ASSERT(work.cost[c].flops == is[0]);
            CU_ASSERT(work.cost[c].bytes == sizeof(float) * is[1]);
            CU_ASSERT(work.cost[c].calls == is[2]);
            n++;
        }
        CU_ASSERT(n == passes[i].count);
        rg_work_free(&work);
    }
    rg_network_free(&network);
}

static void test_tensors(void)
{
    const struct rg_layer_spec specs[] = {
        {KIND("conv2d"), .outputs = 3, .kernel = {3, 3}},
        {KIND("maxpool"), .kernel = {2, 2}},
        {KIND("residual"), .hidden = 7},
        {KIND("dense"), .outputs = 5},
    };
    struct rg_network network = build((struct rg_shape){2, 6, 6}, specs, RG_COUNT(specs));
    struct rg_tensor t[4];
    for (int i = 0; i < network.layer_count; i++) {
        const struct rg_layer *layer = &network.layers[i];
        size_t end = 0;
        int count = layer->spec.ops->tensors(layer, t);
        for (int j = 0; j < count; j++) {
            size_t product = 1;
            CU_ASSERT(t[j].offset == end);
            for (int k = 0; k < t[j].rank; k++)
                product *= (size_t)t[j].size[k];
            CU_ASSERT(product == t[j].count);
            end += t[j].count;
        }
        CU_ASSERT(end == layer->parameters);
    }
    CU_ASSERT(network.layers[3].spec.ops->tensors(&network.layers[3], t) == 2);
    CU_ASSERT_STRING_EQUAL(t[0].name, "3.weight");
    CU_ASSERT(t[0].rank == 2 && t[0].size[0] == 5 && t[0].size[1] == 12);
    CU_ASSERT_STRING_EQUAL(t[1].name, "3.bias");
    CU_ASSERT(network.layers[0].spec.ops->tensors(&network.layers[0], t) == 2);
    CU_ASSERT(t[0].rank == 4 && t[0].size[0] == 3 && t[0].size[1] == 2 && t[0].size[3] == 3);
    rg_network_free(&network);
}

static void test_kinds(void)
{
    for (const struct rg_layer_ops *const *kind = rg_layer_kinds; *kind; kind++) {
        const char *name = (*kind)->name;
        CU_ASSERT(((*kind)->contains ? rg_layer_container(name) : rg_layer_kind(name)) == *kind);
    }
    CU_ASSERT(rg_layer_kind("lstm") == NULL && rg_layer_container("dense") == NULL);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"products of every shape", test_products},
        {"dense gradient", test_dense},
        {"residual gradient", test_residual},
        {"conv2d gradient", test_conv2d},
        {"maxpool gradient", test_maxpool},
        {"gradient through a chain", test_chain},
        {"conv2d by its definition", test_conv2d_values},
        {"maxpool by its definition", test_maxpool_values},
        {"maxpool: the first of equal values", test_maxpool_ties},
        {"results do not depend on what buffers held", test_no_memory_of_buffers},
        {"costs, counted by hand", test_costs},
        {"costs of passes without products", test_costs_of_passes},
        {"tensors cover the parameters", test_tensors},
        {"table of kinds", test_kinds},
    };
    openblas_set_num_threads(1);
    return suite_main("layers", tests, RG_COUNT(tests), argc, argv);
}
