/* Calibration without measuring: measurements are made from a board that is known, with noise and
 * with some that are wrong, and the fit has to find that board. */
#include "base/check.h"
#include "base/random.h"
#include "calibrate/calibrate.h"
#include "calibrate/robust.h"
#include "models/blas.h"
#include "scenario/scenario.h"
#include "tests/support/suite.h"
#include "unit/scratch.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static const struct rg_board truth = {.name = "truth",
                                      .cores = 4,
                                      .gemm_rate = 10e9,
                                      .gemm_rate_all = 29e9,
                                      .curve_points = 6,
                                      .curve_size = {16, 32, 64, 128, 256, 512},
                                      .curve_share = {0.2, 0.35, 0.5, 0.8, 0.95, 1},
                                      .vector_rate = 6e9,
                                      .memory_rate = 20e9,
                                      .memory_rate_all = 26e9,
                                      .memory_points = 4,
                                      .memory_size = {65536, 262144, 1048576, 4194304},
                                      .memory_share = {1, 0.7, 0.4, 0.25},
                                      .call_s = 1e-6,
                                      .function_s = 20e-9,
                                      .memory_bytes = 1 << 30,
                                      .port_rate = 117e6,
                                      .latency_s = 50e-6,
                                      .frame_payload = 1448,
                                      .frame_bytes = 1538,
                                      .message_s = 20e-6,
                                      .byte_s = 3e-9,
                                      .clock_count = 1,
                                      .clocks = {{1.5e9, 2, 3, 7}}};

struct noise {
    struct rg_random *random;
    double sigma, outliers; /* relative; share of measurements that are 1.5 to 4 times too long */
};

static double disturbed(struct noise *n, double seconds)
{
    seconds *= exp(rg_random_gaussian(n->random, n->sigma));
    if (rg_random_uniform(n->random) < n->outliers)
        seconds *= 1.5 + 2.5 * rg_random_uniform(n->random);
    return seconds;
}

static void add(struct rg_calibration *cal, struct noise *n, const char *group, struct rg_work work,
                int threads)
{
    struct rg_cal_kernel row = {.threads = threads, .work = work, .samples = 9};
    snprintf(row.group, sizeof row.group, "%s", group);
    snprintf(row.name, sizeof row.name, "%s %d", group, cal->kernel_count);
    row.seconds = disturbed(n, rg_board_seconds(&truth, &row.work, threads));
    row.spread = n->sigma;
    rg_cal_add_kernel(cal, &row);
}

static void make_kernels(struct rg_calibration *cal, struct noise *n)
{
    for (int threads = 1; threads <= truth.cores; threads += truth.cores - 1) {
        for (double size = 14; size < 600; size *= 1.19) {
            struct rg_work work = {0};
            rg_work_gemm(&work, (int)size, (int)(2 * size), (int)(size / 2), 1);
            add(cal, n, "product", work, threads);
        }
        for (double size = 150; size < 1500; size *= 1.2) { /* memory binds: one sample */
            struct rg_work work = {0};
            rg_work_gemm(&work, 1, (int)size, (int)size, 1);
            add(cal, n, "few samples", work, threads);
        }
        for (double bytes = 20e3; bytes < 8e6; bytes *= 1.3) {
            struct rg_work slow = {0}, fast = {0}, function = {0}, little = {0};
            rg_work_vector(&slow, 0.1 * bytes, bytes);
            rg_work_vector(&fast, 3 * bytes, bytes);
            rg_work_functions(&function, bytes / 100, bytes, bytes / 8);
            rg_work_vector(&little, 100, 100 + bytes / 1e4);
            add(cal, n, "memory", slow, threads);
            add(cal, n, "vector", fast, threads);
            add(cal, n, "function", function, threads);
            if (bytes < 200e3)
                add(cal, n, "call", little, threads);
            else
                rg_work_free(&little);
        }
    }
}

static void make_messages(struct rg_calibration *cal, struct noise *n)
{
    cal->frame_payload = truth.frame_payload;
    cal->frame_bytes = truth.frame_bytes;
    for (uint64_t bytes = 0; bytes <= 8 << 20; bytes = bytes ? 4 * bytes : 32) {
        const double seconds[] = {rg_board_hop_s(&truth, bytes), rg_board_port_s(&truth, 1, bytes),
                                  truth.message_s + truth.byte_s * (double)(bytes + 32)};
        for (int kind = 0; kind < 3; kind++) {
            struct rg_cal_message row = {(enum rg_cal_message_kind)kind, bytes,
                                         disturbed(n, seconds[kind]), n->sigma, 9};
            rg_cal_add_message(cal, &row);
        }
    }
}

static void make(struct rg_calibration *cal, uint64_t seed, double sigma, double outliers)
{
    struct noise n = {rg_random_new(seed, RG_STREAM_TEST, 0), sigma, outliers};
    CU_ASSERT_PTR_NOT_NULL_FATAL(n.random);
    rg_cal_init(cal);
    cal->machine = (struct rg_cal_machine){.name = "made",
                                           .processor = "a \"<fast>\" -- & cheap one-",
                                           .blas = "NEOVERSEN1",
                                           .cores = truth.cores,
                                           .hz = 1.5e9,
                                           .memory_bytes = truth.memory_bytes,
                                           .load = 0.25,
                                           .date = "2024-01-01T00:00:00Z"};
    make_kernels(cal, &n);
    make_messages(cal, &n);
    rg_random_free(n.random);
}

/* What the fit should have found, in the unit of its value; 0: no such property. */
static double true_value(const char *property)
{
    char name[32];
    const struct {
        const char *name;
        double value;
    } plain[] = {{"rg_gemm_rate", 10},  {"rg_gemm_rate_all", 29}, {"rg_vector_rate", 6},
                 {"rg_function_s", 20}, {"rg_memory_rate", 20},   {"rg_memory_rate_all", 26},
                 {"rg_call_s", 1},      {"rg_message_s", 20},     {"rg_byte_s", 3},
                 {"rg_port_rate", 117}, {"rg_latency_s", 50}};
    for (size_t i = 0; i < RG_COUNT(plain); i++)
        if (strcmp(plain[i].name, property) == 0)
            return plain[i].value;
    for (int i = 0; i < truth.curve_points; i++) {
        snprintf(name, sizeof name, "rg_gemm_curve %g", truth.curve_size[i]);
        if (strcmp(name, property) == 0)
            return 1e-9 * truth.gemm_rate * truth.curve_share[i];
    }
    for (int i = 0; i < truth.memory_points; i++) {
        snprintf(name, sizeof name, "rg_memory_curve %g", truth.memory_size[i]);
        if (strcmp(name, property) == 0)
            return 1e-9 * truth.memory_rate * truth.memory_share[i];
    }
    return 0;
}

/* ---- the fit ---- */

/* Without noise the board itself comes back. */
static void test_exact(void)
{
    struct rg_calibration cal;
    struct rg_cal_fit fit;
    struct rg_error e = {0};
    int seen = 0;
    make(&cal, 1, 0, 0);
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &fit, &e), 0);
    for (int i = 0; i < fit.value_count; i++) {
        double expected = true_value(fit.values[i].property);
        if (expected > 0 && fit.values[i].determined) {
            CU_ASSERT_DOUBLE_EQUAL(fit.values[i].value, expected, 0.02 * expected);
            seen++;
        }
    }
    CU_ASSERT(seen >= 20);
    CU_ASSERT_EQUAL(rg_cal_good(&cal, &fit, 0.01, &e), 0);
    rg_cal_fit_free(&fit);
    rg_cal_free(&cal);
}

/* Over many sets of measurements, 5 % noise and a tenth of them wrong: 95 % intervals hold the
 * truth about as often as they say, and nothing that is determined is far off. */
static void test_coverage(void)
{
    enum { SETS = 30 };
    int inside = 0, all = 0, undetermined = 0, far = 0;
    for (uint64_t seed = 1; seed <= SETS; seed++) {
        struct rg_calibration cal;
        struct rg_cal_fit fit;
        struct rg_error e = {0};
        make(&cal, seed, 0.05, 0.1);
        CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &fit, &e), 0);
        for (int i = 0; i < fit.value_count; i++) {
            const struct rg_cal_value *v = &fit.values[i];
            double expected = true_value(v->property);
            if (expected == 0)
                continue;
            undetermined += !v->determined;
            all++;
            inside += v->low <= expected && expected <= v->high;
            far += fabs(log(v->value / expected)) > log(1.5);
        }
        rg_cal_fit_free(&fit);
        rg_cal_free(&cal);
    }
    printf("%d of %d intervals hold the truth, %d values are far off; ", inside, all, far);
    CU_ASSERT(all >= SETS * 20);
    CU_ASSERT(undetermined == 0);
    CU_ASSERT(inside >= 0.9 * all);
    CU_ASSERT(inside < all);     /* intervals that always hold it would say nothing */
    CU_ASSERT(far <= all / 200); /* where chance has it, a point of a curve has wrong rows only */
}

/* What no measurement depends on is said to be undetermined. */
static void test_undetermined(void)
{
    struct rg_calibration cal;
    struct rg_cal_fit fit;
    struct rg_error e = {0};
    int kept = 0, found = 0;
    make(&cal, 3, 0.03, 0);
    for (int i = 0; i < cal.kernel_count; i++) /* leave nothing that vectors bind */
        if (strcmp(cal.kernels[i].group, "vector") != 0 &&
            strcmp(cal.kernels[i].group, "call") != 0)
            cal.kernels[kept++] = cal.kernels[i];
        else
            rg_work_free(&cal.kernels[i].work);
    cal.kernel_count = kept;
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &fit, &e), 0);
    for (int i = 0; i < fit.value_count; i++) {
        if (strcmp(fit.values[i].property, "rg_vector_rate") == 0)
            found += !fit.values[i].determined;
        if (strcmp(fit.values[i].property, "rg_gemm_rate") == 0)
            found += fit.values[i].determined;
    }
    CU_ASSERT_EQUAL(found, 2);
    rg_cal_fit_free(&fit);
    rg_cal_free(&cal);
}

/* Measured on x86: the few rows of images alone tell that vectors have a rate, and products and
 * passes, far more of them, can do without. */
static void test_measured(void)
{
    struct rg_calibration cal;
    struct rg_cal_fit fit;
    struct rg_error e = {0};
    bool found = false;
    int err = rg_cal_load(RG_SOURCE_DIR "/tests/data/calibration-x86.json", &cal, &e);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &fit, &e), 0);
    CU_ASSERT_EQUAL(rg_cal_good(&cal, &fit, 0.35, &e), 0);
    for (int i = 0; i < fit.value_count; i++)
        if (strcmp(fit.values[i].property, "rg_vector_rate") == 0)
            found = fit.values[i].determined;
    CU_ASSERT_TRUE(found);
    rg_cal_fit_free(&fit);
    rg_cal_free(&cal);
}

/* A machine whose times are anything is refused, with the part and the reason. */
static void test_refuses(void)
{
    struct rg_calibration cal;
    struct rg_cal_fit fit;
    struct rg_error e = {0};
    make(&cal, 5, 0.5, 0);
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &fit, &e), 0);
    CU_ASSERT_EQUAL(rg_cal_good(&cal, &fit, 0.25, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "the machine is noisy"));
    rg_cal_fit_free(&fit);
    for (int i = 0; i < cal.kernel_count; i++)
        cal.kernels[i].spread = 0.001;
    for (int i = 0; i < cal.message_count; i++)
        cal.messages[i].spread = 0.001;
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &fit, &e), 0);
    CU_ASSERT_EQUAL(rg_cal_good(&cal, &fit, 0.25, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "the model does not describe it"));
    rg_cal_fit_free(&fit);
    int all = cal.kernel_count;
    cal.kernel_count = 4;
    CU_ASSERT_EQUAL(rg_cal_fit(&cal, &fit, &e), RG_ERR_INVALID);
    cal.kernel_count = all;
    rg_cal_free(&cal);
}

static void line(const double *value, void *arg, double *predicted)
{
    const double *x = arg;
    for (int i = 0; i < 20; i++)
        predicted[i] = value[0] + value[1] * x[i];
}

/* Six of twenty measurements are ten times too long. */
static void test_outliers(void)
{
    double x[20], y[20], start[] = {1, 1};
    struct rg_robust out;
    struct rg_error e = {0};
    for (int i = 0; i < 20; i++) {
        x[i] = i;
        y[i] = (3 + 0.5 * i) * (1 + 0.01 * ((i * 7) % 5 - 2));
        if (i % 3 == 1)
            y[i] *= 10;
    }
    CU_ASSERT_EQUAL_FATAL(rg_robust_fit(line, x, y, NULL, 20, start, 2, &out, &e), 0);
    CU_ASSERT_DOUBLE_EQUAL(out.value[0], 3, 0.1);
    CU_ASSERT_DOUBLE_EQUAL(out.value[1], 0.5, 0.02);
    y[3] = 0;
    CU_ASSERT_EQUAL(rg_robust_fit(line, x, y, NULL, 20, start, 2, &out, &e), RG_ERR_INVALID);
    CU_ASSERT_EQUAL(rg_robust_fit(line, x, y, NULL, 1, start, 2, &out, &e), RG_ERR_INVALID);
}

/* ---- files ---- */

static char *saved(const struct rg_calibration *cal)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    rg_cal_save(cal, f);
    fclose(f);
    return text;
}

/* What is read is what was written, and gives the same fit. */
static void test_json(void)
{
    struct rg_calibration cal, again;
    struct rg_error e = {0};
    struct rg_cal_fit a, b;
    make(&cal, 7, 0.05, 0.1);
    cal.power = (struct rg_cal_power){2, 3.25, 7, "given"};
    char *text = saved(&cal);
    const char *path = scratch_text("cal.json", text);
    CU_ASSERT_EQUAL_FATAL(rg_cal_load(path, &again, &e), 0);
    char *text_again = saved(&again);
    CU_ASSERT_STRING_EQUAL(text, text_again);
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &a, &e), 0);
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&again, &b, &e), 0);
    CU_ASSERT_EQUAL(a.value_count, b.value_count);
    for (int i = 0; i < a.value_count; i++)
        CU_ASSERT_EQUAL(a.values[i].value, b.values[i].value);
    rg_cal_fit_free(&a);
    rg_cal_fit_free(&b);
    rg_cal_free(&cal);
    rg_cal_free(&again);
    free(text);
    free(text_again);
}

static void refuse(const char *from, const char *to, const char *why)
{
    struct rg_calibration cal, again;
    struct rg_error e = {0};
    make(&cal, 7, 0, 0);
    char *text = saved(&cal), *broken = replaced(text, from, to);
    const char *path = scratch_text("broken.json", broken);
    CU_ASSERT_EQUAL(rg_cal_load(path, &again, &e), RG_ERR_INVALID);
    CU_ASSERT(complains(&e, NULL, 0, why));
    rg_cal_free(&cal);
    free(text);
    free(broken);
}

static void test_broken_json(void)
{
    struct rg_calibration cal;
    struct rg_error e = {0};
    refuse("ringtmp-calibration-1", "ringtmp-result-1", "\"ringtmp-calibration-1\" is wanted");
    refuse("\"cores\": 4", "\"cores\": 0", "\"cores\" is no number of 1 or more");
    refuse("\"cores\": 4", "\"cores\": 2", "ran on 4 threads of 2 cores");
    refuse("\"kind\": \"stream\"", "\"kind\": \"steam\"", "unknown kind of message \"steam\"");
    refuse("\"seconds\": ", "\"seconds\": -", "\"seconds\" is no number");
    refuse("\"machine\"", "\"engine\"", "\"machine\" is missing");
    refuse("]", "", ":"); /* the line */
    CU_ASSERT_EQUAL(rg_cal_load("/nowhere/cal.json", &cal, &e), RG_ERR_IO);
}

/* The platform that is written reads back as the board that was fitted. */
static void test_sheet(void)
{
    struct rg_calibration cal;
    struct rg_cal_fit fit;
    struct rg_cal_extra extra = {.tx_W = 0.25, .rx_W = 0.5, .switch_W = 0.75};
    struct rg_board board;
    struct rg_platform platform;
    struct rg_error e = {0};
    char *text = NULL;
    size_t size;
    make(&cal, 9, 0.05, 0.1);
    cal.power = (struct rg_cal_power){2, 3.25, 7, "given"};
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &fit, &e), 0);
    CU_ASSERT_EQUAL_FATAL(rg_cal_board(&cal, &fit, &extra, &board, &e), 0);
    CU_ASSERT_DOUBLE_EQUAL(rg_board_watts(&board, 0), 2, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(rg_board_watts(&board, 1), 3.25, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(rg_board_watts(&board, 4), 7, 1e-9);
    FILE *f = open_memstream(&text, &size);
    rg_cal_write(&cal, &fit, &extra, &board, 5, f);
    fclose(f);
    const char *path = scratch_text("sheet.xml", text);
    int err = rg_platform_load(path, &platform, &e);
    if (err)
        printf("%s; ", e.text);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL(platform.count, 5);
    CU_ASSERT_EQUAL(platform.kind_count, 1);
    const struct rg_board *b = platform.boards[4];
    CU_ASSERT_STRING_EQUAL(b->name, "made");
    for (int i = 0; i < cal.kernel_count; i++) /* shares have six digits */
        CU_ASSERT_DOUBLE_EQUAL(rg_board_seconds(b, &cal.kernels[i].work, cal.kernels[i].threads) /
                                   fit.kernel_s[i],
                               1, 1e-4);
    CU_ASSERT_EQUAL(rg_board_hop_s(b, 100000), rg_board_hop_s(&board, 100000));
    CU_ASSERT_EQUAL(b->memory_bytes, truth.memory_bytes);
    CU_ASSERT_EQUAL(b->port_rx_watts, 0.5);
    CU_ASSERT_DOUBLE_EQUAL(rg_board_watts(b, 1), 3.25, 1e-5);
    rg_platform_free(&platform);
    rg_cal_fit_free(&fit);
    rg_cal_free(&cal);
    free(text);
}

/* Without messages there is no datasheet, unless another platform gives what they cost. */
static void test_no_peer(void)
{
    struct rg_calibration cal;
    struct rg_cal_fit fit;
    struct rg_cal_extra extra = {0};
    struct rg_board board;
    struct rg_error e = {0};
    make(&cal, 9, 0.05, 0.1);
    cal.message_count = 0;
    CU_ASSERT_EQUAL_FATAL(rg_cal_fit(&cal, &fit, &e), 0);
    CU_ASSERT_EQUAL(rg_cal_board(&cal, &fit, &extra, &board, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "--network"));
    extra.network = &truth;
    CU_ASSERT_EQUAL(rg_cal_board(&cal, &fit, &extra, &board, &e), 0);
    CU_ASSERT_EQUAL(board.latency_s, truth.latency_s);
    rg_cal_fit_free(&fit);
    rg_cal_free(&cal);
}

static const struct suite_test tests[] = {{"a board without noise", test_exact},
                                          {"intervals of confidence", test_coverage},
                                          {"undetermined", test_undetermined},
                                          {"told by a few kernels", test_measured},
                                          {"refuses what is not good", test_refuses},
                                          {"outliers", test_outliers},
                                          {"JSON round trip", test_json},
                                          {"broken JSON", test_broken_json},
                                          {"datasheet round trip", test_sheet},
                                          {"no peer", test_no_peer}};

int main(int argc, char **argv)
{
    rg_blas_setup(argv); /* one thread, as in ringcal */
    return suite_main("calibrate", tests, RG_COUNT(tests), argc, argv);
}
