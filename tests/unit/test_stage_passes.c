/* A network cut into stages computes the same bits as in one piece. */
#include "models_fixture.h"

#include <cblas.h>

enum { LAYERS = 9, INPUTS = 6 * 7 };

static struct rg_network mixed(void)
{
    const struct rg_layer_spec specs[LAYERS] = {
        {KIND("conv2d"), .outputs = 3, .kernel = {3, 3}, .padding = {1, 1}},
        {KIND("maxpool"), .kernel = {2, 2}},
        {KIND("dense"), .outputs = 37, .activation = RG_ACT_TANH},
        {KIND("residual"), .hidden = 19},
        {KIND("dense"), .outputs = 61, .activation = RG_ACT_RELU},
        {KIND("residual")},
        {KIND("residual"), .hidden = 130, .activation = RG_ACT_TANH},
        {KIND("dense"), .outputs = 33, .activation = RG_ACT_RELU},
        {KIND("dense"), .outputs = 5},
    };
    return build((struct rg_shape){1, 6, 7}, specs, LAYERS);
}

/* One node of a chain of stages, with its own buffers, laid out as the strategies do: parameters at
 * the phase that they have in the network's vector. */
struct node {
    struct rg_stage stage;
    float *w, *dw, *x, *stash, *dy, *dx, *halves, *scratch;
};

static float *phased(struct rg_mem *mem, size_t n, size_t offset)
{
    float *x = rg_mem_alloc(mem, n * sizeof *x, offset * sizeof *x % RG_MEM_ALIGN);
    RG_ASSERT(x);
    return x;
}

static struct node node_make(struct rg_mem *mem, const struct rg_network *network, int from, int to,
                             int batch, const float *w)
{
    struct node node = {.stage = {network, from, to}};
    size_t n = rg_stage_parameters(&node.stage), first = rg_network_offset(network, from);
    node.w = phased(mem, n, first);
    node.dw = phased(mem, n, first);
    node.x = floats(mem, (size_t)batch * rg_stage_inputs(&node.stage));
    node.dx = floats(mem, (size_t)batch * rg_stage_inputs(&node.stage));
    node.dy = floats(mem, (size_t)batch * rg_stage_outputs(&node.stage));
    node.stash = floats(mem, rg_stage_stash(&node.stage, batch));
    node.halves = floats(mem, rg_stage_halves(&node.stage, batch));
    node.scratch = floats(mem, rg_stage_scratch(&node.stage, batch));
    memcpy(node.w, w + first, n * sizeof *w);
    return node;
}

static void backward_in_halves(struct node *node, int batch, float *dx, bool accumulate)
{
    struct rg_pass_args args = {.batch = batch,
                                .w = node->w,
                                .x = node->x,
                                .stash = node->stash,
                                .dy = node->dy,
                                .dx = dx,
                                .dw = node->dw,
                                .accumulate = accumulate,
                                .half = RG_HALF_INPUT,
                                .between = node->halves,
                                .scratch = node->scratch};
    rg_stage_backward(&node->stage, &args);
    spoil(node->scratch, rg_stage_scratch(&node->stage, batch));
    args.half = RG_HALF_WEIGHTS;
    args.dx = NULL;
    rg_stage_backward(&node->stage, &args);
}

/* Forward and backward (whole, or in halves) of micro-batches through stages cut at `cuts`; the
 * gradients of all parameters to dw. */
static void run(const struct rg_network *network, const int *cuts, int stages, int batch,
                int micro_batches, bool halves, const float *w, const float *x, float *dw)
{
    struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
    struct node nodes[LAYERS];
    for (int s = 0; s < stages; s++)
        nodes[s] = node_make(mem, network, cuts[s], cuts[s + 1], batch, w);
    for (int m = 0; m < micro_batches; m++) {
        memcpy(nodes[0].x, x + (size_t)(m * batch * INPUTS), (size_t)(batch * INPUTS) * sizeof *x);
        for (int s = 0; s < stages; s++) {
            struct node *node = &nodes[s];
            stage_forward(&node->stage, batch, node->w, node->x, node->stash, node->scratch);
            float *next = s + 1 < stages ? nodes[s + 1].x : node->dy; /* gradient: the output */
            memcpy(next, rg_stage_output(&node->stage, batch, node->stash),
                   (size_t)batch * rg_stage_outputs(&node->stage) * sizeof *next);
        }
        for (int s = stages - 1; s >= 0; s--) {
            struct node *node = &nodes[s];
            if (halves)
                backward_in_halves(node, batch, s > 0 ? node->dx : NULL, m > 0);
            else
                stage_backward(&node->stage, batch, node->w, node->x, node->stash, node->dy,
                                  s > 0 ? node->dx : NULL, node->dw, m > 0, node->scratch);
            if (s > 0)
                memcpy(nodes[s - 1].dy, node->dx,
                       (size_t)batch * rg_stage_inputs(&node->stage) * sizeof *node->dx);
        }
    }
    for (int s = 0; s < stages; s++)
        memcpy(dw + rg_network_offset(network, cuts[s]), nodes[s].dw,
               rg_stage_parameters(&nodes[s].stage) * sizeof *dw);
    rg_mem_free(mem);
}

static void test_cuts(void)
{
    static const int cuts[][LAYERS + 1] = {
        {0, LAYERS}, {0, 4, LAYERS}, {0, 1, 5, 8, LAYERS}, {0, 1, 2, 3, 4, 5, 6, 7, 8, LAYERS}};
    static const int stages[] = {1, 2, 4, LAYERS}, batches[] = {1, 2, 3, 8, 33};
    enum { MICRO_BATCHES = 3 };
    struct rg_network network = mixed();
    struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
    struct rg_random *random = rg_random_new(1, RG_STREAM_TEST, 0);
    size_t n = network.parameters, inputs = MICRO_BATCHES * 33 * INPUTS;
    float *w = floats(mem, n), *x = floats(mem, inputs);
    float *one = floats(mem, n), *cut = floats(mem, n);
    draw(random, 0.2, n, w);
    draw(random, 1, inputs, x);
    for (size_t b = 0; b < RG_COUNT(batches); b++) {
        run(&network, cuts[0], 1, batches[b], MICRO_BATCHES, false, w, x, one);
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += fabs(one[i]);
        CU_ASSERT(isfinite(sum) && sum > 0);
        for (size_t c = 0; c < RG_COUNT(cuts); c++)
            for (int halves = 0; halves < 2; halves++) {
                spoil(cut, n);
                run(&network, cuts[c], stages[c], batches[b], MICRO_BATCHES, halves, w, x, cut);
                CU_ASSERT(memcmp(one, cut, n * sizeof *one) == 0);
            }
    }
    rg_random_free(random);
    rg_mem_free(mem);
    rg_network_free(&network);
}

static void test_sizes(void)
{
    struct rg_network network = mixed();
    struct rg_stage whole = {&network, 0, LAYERS};
    static float buffer[1 << 14];
    size_t stash = 0, parameters = 0;
    for (int i = 0; i < LAYERS; i++) {
        struct rg_stage one = {&network, i, i + 1};
        CU_ASSERT(rg_stage_inputs(&one) == network.layers[i].inputs);
        CU_ASSERT(rg_stage_outputs(&one) == network.layers[i].outputs);
        stash += rg_stage_stash(&one, 5);
        parameters += rg_stage_parameters(&one);
        /* Whatever the cut, an output has the address modulo RG_MEM_ALIGN of a buffer of its own.
         */
        CU_ASSERT(rg_stage_stash(&one, 5) * sizeof(float) % RG_MEM_ALIGN == 0);
        ptrdiff_t at = rg_stage_output(&one, 5, buffer) - buffer;
        CU_ASSERT(at * (ptrdiff_t)sizeof(float) % RG_MEM_ALIGN == 0);
    }
    CU_ASSERT(stash == rg_stage_stash(&whole, 5));
    CU_ASSERT(parameters == rg_stage_parameters(&whole) && parameters == network.parameters);
    rg_network_free(&network);
}

/* A step within backward is backward and then a step, to the bit. */
static void test_backward_sgd(void)
{
    struct rg_network network = mixed();
    struct rg_optimizer sgd = rg_optimizer_make(RG_SGD, 0.03f);
    struct rg_random *random = rg_random_new(2, RG_STREAM_TEST, 0);
    size_t n = network.parameters;
    for (int batch = 1; batch <= 17; batch += batch < 4 ? 1 : 6) {
        struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
        float *w = floats(mem, n), *x = floats(mem, (size_t)batch * INPUTS);
        draw(random, 0.2, n, w);
        draw(random, 1, (size_t)batch * INPUTS, x);
        struct node a = node_make(mem, &network, 0, LAYERS, batch, w), b = a;
        size_t outputs = (size_t)batch * rg_stage_outputs(&a.stage);
        b.w = floats(mem, n);
        b.dx = floats(mem, (size_t)batch * INPUTS);
        b.dy = floats(mem, outputs);
        memcpy(b.w, w, n * sizeof *w);
        spoil(b.dw, n);
        stage_forward(&a.stage, batch, w, x, a.stash, a.scratch);
        memcpy(a.dy, rg_stage_output(&a.stage, batch, a.stash), outputs * sizeof *a.dy);
        memcpy(b.dy, a.dy, outputs * sizeof *a.dy);
        stage_backward(&a.stage, batch, a.w, x, a.stash, a.dy, a.dx, a.dw, false, a.scratch);
        rg_optimizer_step(&sgd, 1, n, a.w, a.dw, NULL);
        spoil(b.dw, n);
        stage_backward_sgd(&b.stage, batch, b.w, x, b.stash, b.dy, b.dx, b.dw, sgd.rate,
                              b.scratch);
        CU_ASSERT(memcmp(a.w, w, n * sizeof *w) != 0);
        CU_ASSERT(memcmp(a.w, b.w, n * sizeof *w) == 0);
        CU_ASSERT(memcmp(a.dx, b.dx, (size_t)batch * INPUTS * sizeof *x) == 0);
        rg_mem_free(mem);
    }
    rg_random_free(random);
    rg_network_free(&network);
}

static bool equal_work(const struct rg_work *a, const struct rg_work *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (a->cost[i].m != b->cost[i].m || a->cost[i].n != b->cost[i].n ||
            a->cost[i].k != b->cost[i].k || a->cost[i].flops != b->cost[i].flops ||
            a->cost[i].bytes != b->cost[i].bytes || a->cost[i].calls != b->cost[i].calls)
            return false;
    return true;
}

/* The work of the stages, in the order in which they run, is the work of the whole. */
static void test_work(void)
{
    struct rg_network network = mixed();
    for (int pass = RG_FORWARD; pass <= RG_BACKWARD; pass++)
        for (int cut = 1; cut < LAYERS; cut++) {
            struct rg_stage low = {&network, 0, cut}, high = {&network, cut, LAYERS};
            struct rg_stage whole = {&network, 0, LAYERS};
            struct rg_work all = {0}, parts = {0};
            rg_stage_work(&whole, 8, (enum rg_pass)pass, &all);
            rg_stage_work(pass == RG_FORWARD ? &low : &high, 8, (enum rg_pass)pass, &parts);
            rg_stage_work(pass == RG_FORWARD ? &high : &low, 8, (enum rg_pass)pass, &parts);
            CU_ASSERT(equal_work(&all, &parts));
            rg_work_free(&all);
            rg_work_free(&parts);
        }
    /* Layer 0 needs no gradient of its input; a stage without it does, unless asked not to. */
    struct rg_stage low = {&network, 0, 3}, high = {&network, 3, LAYERS};
    struct rg_work first = {0}, plain = {0}, dropped = {0};
    rg_stage_work(&low, 8, RG_BACKWARD_FIRST, &first);
    rg_stage_work(&low, 8, RG_BACKWARD, &plain);
    CU_ASSERT(equal_work(&first, &plain));
    rg_work_free(&plain);
    rg_stage_work(&high, 8, RG_BACKWARD, &plain);
    rg_stage_work(&high, 8, RG_BACKWARD_FIRST, &dropped);
    CU_ASSERT(rg_work_flops(&dropped) < rg_work_flops(&plain));
    rg_work_free(&first);
    rg_work_free(&plain);
    rg_work_free(&dropped);
    rg_network_free(&network);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"every cut gives the same bits", test_cuts},
        {"a step within backward", test_backward_sgd},
        {"sizes of the parts add up", test_sizes},
        {"work of the parts adds up", test_work},
    };
    openblas_set_num_threads(1);
    return suite_main("stage passes", tests, RG_COUNT(tests), argc, argv);
}
