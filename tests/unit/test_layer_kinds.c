/* What every row of the table of layers must do, without a test of its own: be read from a network
 * file, have the gradients that finite differences show, the same bits in every cut, the same sum
 * in micro-batches, and learn. A row has examples for this. */
#include "gradient_fixture.h"
#include "scratch.h"

#include "models/update.h"
#include "scenario/scenario.h"

#include <cblas.h>

enum { BATCH = 6, CLASSES = 3 };

/* Examples of all kinds, one after the other; NULL: none has that number. */
static const char *example_of(int number, const struct rg_layer_ops **ops)
{
    for (int k = 0; rg_layer_kinds[k]; k++) {
        *ops = rg_layer_kinds[k];
        if (!(*ops)->examples || !(*ops)->examples[0])
            fprintf(stderr, "the layer \"%s\" has no examples\n", (*ops)->name);
        RG_ASSERT((*ops)->examples && (*ops)->examples[0]);
        for (int i = 0; (*ops)->examples[i]; i++)
            if (number-- == 0)
                return (*ops)->examples[i];
    }
    return NULL;
}

static bool is_example(int number)
{
    const struct rg_layer_ops *ops;
    return example_of(number, &ops) != NULL;
}

/* An example on 2 x 6 x 4 values, and a dense layer behind it; alone where it is asked. */
static struct rg_network network_of(int number, bool alone)
{
    char text[1200];
    struct rg_network network;
    struct rg_error e = {0};
    const struct rg_layer_ops *ops;
    const char *example = example_of(number, &ops);
    snprintf(text, sizeof text, "<network name=\"kind\" input=\"2x6x4\">\n  %s\n%s</network>\n",
             example, alone ? "" : "  <dense outputs=\"3\"/>\n");
    int err = rg_network_load(scratch_text("network.xml", text), &network, &e);
    if (err < 0)
        fprintf(stderr, "%s\n", e.text);
    RG_ASSERT(err == 0);
    CU_ASSERT(network.layers[0].spec.ops == ops);
    return network;
}

static void test_gradients(void)
{
    for (int k = 0; is_example(k); k++)
        for (int batch = 1; batch <= 3; batch++)
            check_network(network_of(k, true), batch);
}

/* One sweep of a probe's batch in parts, its gradients added up in dw. */
static void sweep(const struct probe *p, int parts, float *dw)
{
    int part = p->batch / parts;
    size_t inputs = rg_stage_inputs(&p->stage), outputs = rg_stage_outputs(&p->stage);
    for (int m = 0; m < parts; m++) {
        const float *x = p->x + (size_t)(m * part) * inputs;
        memcpy(p->dy, p->weight + (size_t)(m * part) * outputs,
               (size_t)part * outputs * sizeof *p->dy);
        const struct rg_pass_args args = {.batch = part,
                                          .mean_of = p->batch,
                                          .first = m * part,
                                          .w = p->w,
                                          .x = x,
                                          .stash = p->stash,
                                          .dy = p->dy,
                                          .dw = dw,
                                          .accumulate = m > 0,
                                          .scratch = p->scratch};
        rg_stage_forward(&p->stage, &args);
        rg_stage_backward(&p->stage, &args);
    }
}

static void test_micro_batches(void)
{
    for (int k = 0; is_example(k); k++) {
        struct probe p;
        probe_open(&p, network_of(k, false), BATCH);
        if (p.network.layers[0].spec.ops->mixes) { /* parts are not the whole */
            probe_free(&p);
            continue;
        }
        size_t n = p.network.parameters;
        float *parts = floats(p.mem, n);
        double largest = 0, off = 0;
        sweep(&p, 1, p.dw);
        for (int count = 2; count <= BATCH; count += count == 3 ? 3 : 1) {
            spoil(parts, n);
            sweep(&p, count, parts);
            for (size_t i = 0; i < n; i++) {
                largest = fmax(largest, fabs(p.dw[i]));
                off = fmax(off, fabs((double)parts[i] - p.dw[i]));
            }
        }
        CU_ASSERT(largest > 0 && off <= 1e-5 * largest);
        probe_free(&p);
    }
}

/* Layer by layer, each stage with buffers of its own, gives the bits of the whole. */
static void test_cut(void)
{
    for (int k = 0; is_example(k); k++) {
        struct probe p;
        probe_open(&p, network_of(k, false), BATCH);
        struct rg_stage low = {&p.network, 0, 1}, high = {&p.network, 1, 2};
        size_t n = rg_stage_parameters(&low), middle = BATCH * rg_stage_outputs(&low);
        float *dw = floats(p.mem, p.network.parameters), *x = floats(p.mem, middle);
        float *dx = floats(p.mem, middle), *stash = floats(p.mem, rg_stage_stash(&high, BATCH));
        sweep(&p, 1, p.dw);
        stage_forward(&low, BATCH, p.w, p.x, p.stash, p.scratch);
        memcpy(x, rg_stage_output(&low, BATCH, p.stash), middle * sizeof *x);
        stage_forward(&high, BATCH, p.w + n, x, stash, p.scratch);
        memcpy(p.dy, p.weight, BATCH * CLASSES * sizeof *p.dy);
        stage_backward(&high, BATCH, p.w + n, x, stash, p.dy, dx, dw + n, false, p.scratch);
        stage_backward(&low, BATCH, p.w, p.x, p.stash, dx, NULL, dw, false, p.scratch);
        CU_ASSERT(memcmp(dw, p.dw, p.network.parameters * sizeof *dw) == 0);
        probe_free(&p);
    }
}

/* The step that a stage takes with its backward pass is that of the optimiser, to the bit, whether
 * the kind fuses the update or leaves it to the stage. */
static void test_update(void)
{
    for (int k = 0; is_example(k); k++)
        for (int batch = 1; batch <= BATCH; batch++) {
            struct probe p;
            probe_open(&p, network_of(k, false), batch);
            size_t n = p.network.parameters;
            size_t outputs = (size_t)batch * rg_stage_outputs(&p.stage);
            float *w = floats(p.mem, n);
            sweep(&p, 1, p.dw);
            memcpy(w, p.w, n * sizeof *w);
            const struct rg_optimizer sgd = {.kind = RG_SGD, .rate = 0.01f};
            rg_network_step(&p.network, &sgd, 1, 0, n, w, p.dw, NULL);
            CU_ASSERT(memcmp(w, p.w, n * sizeof *w) != 0);
            memcpy(p.dy, p.weight, outputs * sizeof *p.dy);
            spoil(p.dw, n);
            stage_backward_sgd(&p.stage, batch, p.w, p.x, p.stash, p.dy, NULL, p.dw, 0.01f,
                               p.scratch);
            CU_ASSERT(memcmp(w, p.w, n * sizeof *w) == 0);
            probe_free(&p);
        }
}

/* Two batches go backward in halves, the second half of the first after the first half of the
 * second: the gradients of backward as a whole, to the bit, whatever lies in the buffers. */
static void test_halves(void)
{
    int split = 0;
    for (int k = 0; is_example(k); k++)
        for (int batch = 1; batch <= BATCH; batch++) {
            struct probe p;
            probe_open(&p, network_of(k, false), batch);
            if (!rg_layer_splits(&p.network.layers[0])) {
                probe_free(&p);
                continue;
            }
            split++;
            size_t n = p.network.parameters, outputs = (size_t)batch * CLASSES;
            size_t inputs = (size_t)batch * rg_stage_inputs(&p.stage);
            uint64_t between = rg_stage_halves(&p.stage, batch);
            float *whole = floats(p.mem, n), *dx = floats(p.mem, inputs);
            float *halves[2], *dy[2];
            struct rg_pass_args args[2];
            stage_forward(&p.stage, batch, p.w, p.x, p.stash, p.scratch);
            spoil(p.dw, n);
            for (int m = 0; m < 2; m++)
                backward(&p, dx, m > 0);
            memcpy(whole, p.dw, n * sizeof *whole);
            spoil(p.dw, n);
            for (int m = 0; m < 2; m++) {
                halves[m] = floats(p.mem, between);
                dy[m] = floats(p.mem, outputs);
                spoil(halves[m], between);
                spoil(p.dx, inputs);
                memcpy(dy[m], p.weight, outputs * sizeof *p.weight);
                args[m] = (struct rg_pass_args){.batch = batch,
                                                .w = p.w,
                                                .x = p.x,
                                                .stash = p.stash,
                                                .dy = dy[m],
                                                .dx = p.dx,
                                                .dw = p.dw,
                                                .accumulate = m > 0,
                                                .half = RG_HALF_INPUT,
                                                .between = halves[m],
                                                .scratch = p.scratch};
                rg_stage_backward(&p.stage, &args[m]);
                spoil(p.scratch, rg_stage_scratch(&p.stage, batch));
                CU_ASSERT(memcmp(dx, p.dx, inputs * sizeof *dx) == 0);
            }
            for (int m = 0; m < 2; m++) {
                args[m].half = RG_HALF_WEIGHTS;
                args[m].dx = NULL;
                rg_stage_backward(&p.stage, &args[m]);
            }
            CU_ASSERT(memcmp(whole, p.dw, n * sizeof *whole) == 0);
            probe_free(&p);
        }
    CU_ASSERT(split >= 4 * BATCH); /* all kinds of this build */
}

struct moves {
    const float *from, *to;
};

static void expect_moved(const struct rg_tensor *tensor, void *context)
{
    const struct moves *m = context;
    size_t bytes = tensor->count * sizeof *m->from;
    CU_ASSERT(memcmp(m->from + tensor->offset, m->to + tensor->offset, bytes) != 0);
}

/* A batch learnt by heart: the loss falls to a tenth, and every tensor of the kind has moved. */
static void test_learns(void)
{
    for (int k = 0; is_example(k); k++) {
        struct probe p;
        uint8_t labels[BATCH] = {0, 1, 2, 0, 1, 2};
        double first = 0, last = 0;
        int correct = 0;
        probe_open(&p, network_of(k, false), BATCH);
        float *start = floats(p.mem, p.network.parameters);
        RG_ASSERT(rg_network_init(&p.network, 0, 2, 1, p.w) == 0);
        memcpy(start, p.w, p.network.parameters * sizeof *start);
        for (int step = 0; step < 300; step++) {
            stage_forward(&p.stage, BATCH, p.w, p.x, p.stash, p.scratch);
            last = cross_entropy(BATCH, CLASSES, rg_stage_output(&p.stage, BATCH, p.stash), labels,
                                 1.0f / BATCH, p.dy, &correct);
            first = step == 0 ? last : first;
            stage_backward_sgd(&p.stage, BATCH, p.w, p.x, p.stash, p.dy, NULL, p.dw, 0.1f,
                               p.scratch);
        }
        double goal =
            p.network.layers[0].parameters > 0 ? 0.1 * first : first; /* pools lose much */
        if (!(last < goal))
            fprintf(stderr, "%s: loss %g, then %g\n", p.network.layers[0].spec.ops->name, first,
                    last);
        CU_ASSERT(last < goal);
        struct moves moves = {start, p.w};
        rg_layer_tensors(&p.network.layers[0], expect_moved, &moves);
        probe_free(&p);
    }
}

static double seconds_of(const struct rg_layer *layer, enum rg_pass pass)
{
    /* A pass's flops, bytes, calls and products, each weighed as no other is. */
    double seconds = 0;
    struct rg_work work = {0};
    layer->spec.ops->cost(layer, BATCH, pass, &work);
    for (int i = 0; i < work.count; i++)
        seconds += work.cost[i].flops + 1e-3 * work.cost[i].bytes + 1e3 * work.cost[i].calls;
    rg_work_free(&work);
    return seconds;
}

/* Two halves are as dear as the whole, with the gradient of the input and without. */
static void check_halves(const struct rg_layer *layer)
{
    double weights = seconds_of(layer, RG_BACKWARD_WEIGHTS);
    CU_ASSERT_DOUBLE_EQUAL(seconds_of(layer, RG_BACKWARD_INPUT) + weights,
                           seconds_of(layer, RG_BACKWARD), 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(seconds_of(layer, RG_BACKWARD_INPUT_FIRST) + weights,
                           seconds_of(layer, RG_BACKWARD_FIRST), 1e-6);
}

/* Work grows with the batch, and a pass without the input's gradient is no dearer. */
static void test_work(void)
{
    for (int k = 0; is_example(k); k++) {
        struct rg_network network = network_of(k, true);
        const struct rg_layer *layer = &network.layers[0];
        double moved[3][2];
        for (int pass = RG_FORWARD; pass <= RG_BACKWARD_FIRST; pass++)
            for (int i = 0; i < 2; i++) {
                struct rg_work work = {0};
                layer->spec.ops->cost(layer, 4 << i, (enum rg_pass)pass, &work);
                moved[pass][i] = rg_work_flops(&work) + rg_work_bytes(&work);
                rg_work_free(&work);
            }
        for (int pass = RG_FORWARD; pass <= RG_BACKWARD; pass++)
            CU_ASSERT(moved[pass][0] > 0 && moved[pass][1] > moved[pass][0]);
        CU_ASSERT(moved[RG_BACKWARD_FIRST][1] <= moved[RG_BACKWARD][1]);
        if (layer->spec.ops->splits)
            check_halves(layer);
        rg_network_free(&network);
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"gradients by finite differences", test_gradients},
        {"micro-batches add up", test_micro_batches},
        {"every cut gives the same bits", test_cut},
        {"the step within backward", test_update},
        {"halves", test_halves},
        {"a batch learnt by heart", test_learns},
        {"work", test_work},
    };
    openblas_set_num_threads(1);
    return suite_main("layer kinds", tests, RG_COUNT(tests), argc, argv);
}
