/* Normalisation against its definition in double precision, and running statistics: what they are
 * told, what steps they take, and what evaluation makes of them. */
#include "one_layer.h"

#include "models/update.h"

#include <cblas.h>

/* y of value `at` of sample b, normalised with those of the `count` values of index(k), k < count.
 */
static double normalised(const struct probe *p, size_t at, const size_t *with, size_t count,
                         double epsilon)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < count; i++)
        mean += p->x[with[i]] / (double)count;
    for (size_t i = 0; i < count; i++)
        variance += (p->x[with[i]] - mean) * (p->x[with[i]] - mean) / (double)count;
    return (p->x[at] - mean) / sqrt(variance + epsilon);
}

enum kind { BATCHNORM, LAYERNORM, TOKENS, GROUPS };

/* Which values share a mean with value `at`: of C x H x W values, in `groups` groups. */
static size_t sharing(const struct probe *p, enum kind kind, size_t at, size_t *with)
{
    struct rg_shape in = p->network.input;
    size_t each = rg_stage_inputs(&p->stage), pixels = (size_t)in.height * (size_t)in.width;
    size_t of_group = pixels * 2, count = 0;
    for (size_t i = 0; i < BATCH * each; i++) {
        bool sample = i / each == at / each, channel = i % each / pixels == at % each / pixels;
        bool group = i % each / of_group == at % each / of_group;
        if ((kind == BATCHNORM && channel) || (kind == LAYERNORM && sample) ||
            (kind == TOKENS && sample && channel) || (kind == GROUPS && sample && group))
            with[count++] = i;
    }
    return count;
}

static void check_norm(enum kind kind, const char *element, double epsilon)
{
    struct probe p;
    size_t with[BATCH * 4 * 3 * 2];
    open_one(&p, "4x3x2", element);
    size_t each = rg_stage_inputs(&p.stage), pixels = 6;
    size_t gains = kind == LAYERNORM ? each : kind == TOKENS ? pixels : 4;
    const float *y = rg_stage_output(&p.stage, BATCH, p.stash);
    CU_ASSERT_EQUAL_FATAL(p.network.parameters, (kind == BATCHNORM ? 4 : 2) * gains);
    for (size_t at = 0; at < BATCH * each; at++) {
        size_t gain = kind == LAYERNORM ? at % each
                      : kind == TOKENS  ? at % pixels
                                        : at % each / pixels;
        size_t count = sharing(&p, kind, at, with);
        double want = p.w[gain] * normalised(&p, at, with, count, epsilon) + p.w[gains + gain];
        CU_ASSERT_DOUBLE_EQUAL(y[at], tanh(want), 2e-6);
    }
    probe_free(&p);
}

static void test_definitions(void)
{
    check_norm(BATCHNORM, "<batchnorm activation=\"tanh\"/>", 1e-5);
    check_norm(BATCHNORM, "<batchnorm activation=\"tanh\" epsilon=\"0.5\"/>", 0.5);
    check_norm(LAYERNORM, "<layernorm activation=\"tanh\"/>", 1e-5);
    check_norm(TOKENS, "<layernorm over=\"tokens\" activation=\"tanh\" epsilon=\"0.01\"/>", 0.01);
    check_norm(GROUPS, "<groupnorm groups=\"2\" activation=\"tanh\"/>", 1e-5);
}

/* Means far from zero do not cost digits: x and x + 1000 give the same but for what the sum of a
 * float and 1000 loses. */
static void test_far_from_zero(void)
{
    struct probe p;
    float near[BATCH * 8];
    open_one(&p, "1x2x4", "<layernorm/>");
    memcpy(near, rg_stage_output(&p.stage, BATCH, p.stash), sizeof near);
    for (int i = 0; i < BATCH * 8; i++)
        p.x[i] += 1000;
    value(&p);
    const float *far = rg_stage_output(&p.stage, BATCH, p.stash);
    for (int i = 0; i < BATCH * 8; i++)
        CU_ASSERT_DOUBLE_EQUAL(far[i], near[i], 1e-3);
    probe_free(&p);
}

/* Two micro-batches, one of 2 samples and one of 1, of a batch of 3 (mean_of): the gradients of the
 * statistics add up to their distance to the weighted mean of what each has seen. */
static void test_statistics(void)
{
    struct probe p;
    open_one(&p, "2x3x1", "<batchnorm momentum=\"0.25\"/>");
    CU_ASSERT_EQUAL_FATAL(p.network.statistics_count, 1);
    CU_ASSERT_EQUAL(p.network.statistics[0].first, 4);
    CU_ASSERT_EQUAL(p.network.statistics[0].count, 4);
    CU_ASSERT_EQUAL(p.network.statistics[0].rate, 0.25f);
    double want[4] = {0};
    for (int m = 0; m < 2; m++) {
        int samples = 2 - m;
        struct rg_pass_args args = {.batch = samples,
                                    .mean_of = 3,
                                    .w = p.w,
                                    .x = p.x,
                                    .stash = p.stash,
                                    .dy = p.dy,
                                    .dw = p.dw,
                                    .accumulate = m > 0,
                                    .scratch = p.scratch};
        rg_stage_forward(&p.stage, &args);
        memcpy(p.dy, p.weight, (size_t)samples * 6 * sizeof *p.dy);
        rg_stage_backward(&p.stage, &args);
        for (int c = 0; c < 2; c++) {
            double mean = 0, squares = 0;
            int count = samples * 3;
            for (int i = 0; i < count; i++)
                mean += p.x[i / 3 * 6 + c * 3 + i % 3] / (double)count;
            for (int i = 0; i < count; i++)
                squares += pow(p.x[i / 3 * 6 + c * 3 + i % 3] - mean, 2);
            want[c] += (p.w[4 + c] - mean) * samples / 3;
            want[2 + c] += (p.w[6 + c] - squares / (count - 1)) * samples / 3; /* unbiased */
        }
    }
    for (int i = 0; i < 4; i++)
        CU_ASSERT_DOUBLE_EQUAL(p.dw[4 + i], want[i], 1e-5);
    probe_free(&p);
}

/* Of a chain with statistics everywhere: where they are in the vector, and that they are held
 * against the newest parameters, where backward is told of any, not those that forward read. */
static void test_newest(void)
{
    struct probe p;
    open_one(&p, "3",
             "<dense outputs=\"2\"/><residual><batchnorm/><dense outputs=\"2\"/>"
             "<shortcut><dense outputs=\"2\"/><batchnorm momentum=\"0.5\"/></shortcut></residual>"
             "<batchnorm momentum=\"0.25\"/>");
    static const size_t first[3] = {8 + 4, 8 + 8 + 6 + 6 + 4, 8 + 28 + 4};
    static const float rates[3] = {0.1f, 0.5f, 0.25f};
    enum { N = 8 + 28 + 8 };
    float newest[N], old[N];
    CU_ASSERT_EQUAL_FATAL(p.network.parameters, N);
    CU_ASSERT_EQUAL_FATAL(p.network.statistics_count, 3);
    for (int i = 0; i < N; i++)
        newest[i] = p.w[i] + (float)(1 + i);
    struct rg_pass_args args = {.batch = BATCH,
                                .w = p.w,
                                .x = p.x,
                                .stash = p.stash,
                                .dy = p.dy,
                                .dw = p.dw,
                                .scratch = p.scratch};
    memcpy(p.dy, p.weight, BATCH * 2 * sizeof *p.dy);
    rg_stage_backward(&p.stage, &args);
    memcpy(old, p.dw, sizeof old);
    args.newest = newest;
    memcpy(p.dy, p.weight, BATCH * 2 * sizeof *p.dy);
    rg_stage_backward(&p.stage, &args);
    for (int s = 0; s < 3; s++) {
        CU_ASSERT_EQUAL(p.network.statistics[s].first, first[s]);
        CU_ASSERT_EQUAL(p.network.statistics[s].count, 4);
        CU_ASSERT_EQUAL(p.network.statistics[s].rate, rates[s]);
        for (size_t i = first[s]; i < first[s] + 4; i++) {
            CU_ASSERT_DOUBLE_EQUAL(p.dw[i], old[i] + 1 + (double)i, 1e-4);
            old[i] = p.dw[i];
        }
    }
    CU_ASSERT(memcmp(old, p.dw, sizeof old) == 0); /* nothing else knows of them */
    probe_free(&p);
}

/* A step: weights by the optimiser, statistics by their own rate and without a trace in its state,
 * however the vector is split, and whatever it is clipped to. */
static void test_steps(void)
{
    static const enum rg_optimizer_kind kinds[] = {RG_SGD, RG_MOMENTUM, RG_ADAM, RG_ADAGRAD};
    struct probe p;
    open_one(&p, "3x2x2",
             "<conv2d outputs=\"2\" kernel=\"1\"/><residual><batchnorm/><conv2d outputs=\"2\" "
             "kernel=\"1\" bias=\"no\"/><batchnorm momentum=\"0.5\"/></residual>"
             "<dense outputs=\"2\"/>");
    enum { N = 8 + 8 + 4 + 8 + 18 };
    CU_ASSERT_EQUAL_FATAL(p.network.parameters, N);
    CU_ASSERT_EQUAL_FATAL(p.network.statistics_count, 2);
    for (size_t k = 0; k < RG_COUNT(kinds); k++)
        for (int clipped = 0; clipped < 2; clipped++) {
            struct rg_optimizer o = rg_optimizer_make(kinds[k], 0.125f);
            float g[N], whole[N], pieces[N], state[2 * N] = {0}, others[N];
            o.clip = clipped ? 0.5f : 0;
            for (int i = 0; i < N; i++) {
                g[i] = (float)(i % 7 - 3) / 4;
                whole[i] = pieces[i] = others[i] = p.w[i];
            }
            float same[N];
            memcpy(same, g, sizeof g);
            rg_network_step(&p.network, &o, 1, 0, N, whole, same, state);
            for (int i = 0; i < N; i++) {
                bool first = i >= 8 + 4 && i < 8 + 8, second = i >= 20 + 4 && i < 20 + 8;
                if (first || second)
                    CU_ASSERT_EQUAL(whole[i], p.w[i] - (first ? 0.1f : 0.5f) * g[i]);
                if (first || second)
                    CU_ASSERT(state[i] == 0 && state[N + i] == 0);
            }
            /* Without statistics in it the rest of a layer steps as a vector of its own. */
            float rest[N], rest_g[N], rest_state[2 * N] = {0};
            size_t n = 0;
            for (int i = 8; i < 28; i++)
                if (!((i >= 12 && i < 16) || i >= 24)) {
                    rest[n] = p.w[i];
                    rest_g[n++] = g[i];
                }
            if (clipped)
                rg_scale(rg_clip_by(0.5f, rg_sum_of_squares(n, rest_g)), n, rest_g);
            rg_optimizer_step(&o, 1, n, rest, rest_g, rest_state);
            n = 0;
            for (int i = 8; i < 28; i++)
                if (!((i >= 12 && i < 16) || i >= 24))
                    CU_ASSERT_DOUBLE_EQUAL(whole[i], rest[n++], 1e-7);
            /* In pieces, which only clipping sees. */
            for (size_t from = 0, size = 5; from < N && !clipped; from += size) {
                float part[2 * 5] = {0};
                size = RG_MIN(size, N - from);
                memcpy(same, g, sizeof g);
                rg_network_step(&p.network, &o, 1, from, size, pieces + from, same + from, part);
            }
            CU_ASSERT(clipped || memcmp(pieces, whole, sizeof whole) == 0);
        }
    probe_free(&p);
}

/* To evaluate, running statistics take the batch's place, and a sample knows nothing of others. */
static void test_evaluation(void)
{
    struct probe p;
    open_one(&p, "2x3x1", "<batchnorm epsilon=\"0.25\"/>");
    for (int c = 0; c < 2; c++)
        p.w[6 + c] = fabsf(p.w[6 + c]);
    const struct rg_pass_args args = {.batch = BATCH,
                                      .evaluate = true,
                                      .w = p.w,
                                      .x = p.x,
                                      .stash = p.stash,
                                      .scratch = p.scratch};
    rg_stage_forward(&p.stage, &args);
    const float *y = rg_stage_output(&p.stage, BATCH, p.stash);
    for (int i = 0; i < BATCH * 6; i++) {
        int c = i % 6 / 3;
        double want = p.w[c] * (p.x[i] - p.w[4 + c]) / sqrt(p.w[6 + c] + 0.25) + p.w[2 + c];
        CU_ASSERT_DOUBLE_EQUAL(y[i], want, 1e-5);
    }
    probe_free(&p);
}

/* One value a channel: no variance, nothing is divided by nothing. */
static void test_single_value(void)
{
    struct probe p;
    open_one(&p, "3", "<batchnorm/>");
    struct rg_pass_args args = {.batch = 1,
                                .w = p.w,
                                .x = p.x,
                                .stash = p.stash,
                                .dy = p.dy,
                                .dx = p.dx,
                                .dw = p.dw,
                                .scratch = p.scratch};
    rg_stage_forward(&p.stage, &args);
    memcpy(p.dy, p.weight, 3 * sizeof *p.dy);
    rg_stage_backward(&p.stage, &args);
    const float *y = rg_stage_output(&p.stage, 1, p.stash);
    for (int c = 0; c < 3; c++)
        CU_ASSERT(y[c] == p.w[3 + c] && p.dx[c] == 0 && p.dw[9 + c] == p.w[9 + c]);
    probe_free(&p);
}

/* Operations on each of 3 samples' 24 values. Forward 4 for mean and variance, 3 to write, 1 to add
 * the shift; back 5 for the sums and 6 for dx. relu: 1 more each way, and back 1 for the gradient
 * of shifts, which all have but a batchnorm with nothing to go back through. */
static void test_costs(void)
{
    static const struct {
        const char *element;
        double forward, back;
    } rows[] = {{"<batchnorm/>", 8, 11},
                {"<batchnorm activation=\"relu\"/>", 9, 13},
                {"<layernorm/>", 8, 12},
                {"<groupnorm groups=\"2\"/>", 8, 12},
                {"<groupnorm groups=\"2\" activation=\"relu\"/>", 9, 13}};
    for (size_t i = 0; i < RG_COUNT(rows); i++) {
        struct probe p;
        struct rg_cost costs[8];
        open_one(&p, "4x3x2", rows[i].element);
        const struct rg_layer *layer = &p.network.layers[0];
        for (enum rg_pass pass = RG_FORWARD; pass <= RG_BACKWARD; pass++) {
            struct rg_work work = {.cost = costs, .capacity = RG_COUNT(costs)};
            layer->spec.ops->cost(layer, 3, pass, &work);
            double want = pass == RG_FORWARD ? rows[i].forward : rows[i].back;
            CU_ASSERT_DOUBLE_EQUAL(rg_work_flops(&work), 3 * 24 * want, 1e-9);
        }
        probe_free(&p);
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"by their definitions", test_definitions},
        {"means far from zero", test_far_from_zero},
        {"running statistics", test_statistics},
        {"the newest statistics", test_newest},
        {"steps", test_steps},
        {"evaluation", test_evaluation},
        {"one value a channel", test_single_value},
        {"costs", test_costs},
    };
    openblas_set_num_threads(1);
    return suite_main("norms", tests, RG_COUNT(tests), argc, argv);
}
