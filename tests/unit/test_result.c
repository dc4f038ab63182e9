/* Result JSON, the pipe's encoding, the table and the timeline. */
#include "result/result.h"

#include "base/check.h"
#include "result/human.h"
#include "result/json.h"
#include "result/power.h"
#include "run_fixture.h"
#include "scratch.h"
#include "support/suite.h"

#include <jansson.h>
#include <locale.h>
#include <math.h>

typedef void (*print_fn)(const struct rg_result *result, FILE *stream);

static void print_json(const struct rg_result *result, FILE *stream)
{
    CU_ASSERT_EQUAL(rg_result_write(result, stream), 0);
}

static void print_trace(const struct rg_result *result, FILE *stream)
{
    CU_ASSERT_EQUAL(rg_result_trace(result, stream), 0);
}

static char *printed(const struct rg_result *result, print_fn print)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    print(result, stream);
    fclose(stream);
    return text;
}

/* A result of three runs: complete, never begun, failed. */
static struct rg_result make_result(struct rg_run runs[3])
{
    fill_run(&runs[0]);
    rg_run_init(&runs[1]);
    strcpy(runs[1].label, "a label that is far longer than a table has room for");
    strcpy(runs[1].kind, "single");
    runs[1].nodes = 1;
    runs[1].status = RG_RUN_NO_FIT;
    strcpy(runs[1].error, "node 0 needs 2.00 GB, its board (toy) has 1.00 GB");
    rg_run_init(&runs[2]);
    strcpy(runs[2].label, "server");
    runs[2].nodes = 64;
    runs[2].status = RG_RUN_FAILED;
    strcpy(runs[2].error, "a peer was lost");
    struct rg_result result = rg_result_of("ringsim", "sim", "test", NULL, 9007199254740991);
    strcpy(result.host.date, "2024-01-02T03:04:05Z");
    strcpy(result.host.blas_kernels, "Haswell");
    strcpy(result.host.machine, "x86_64 Linux");
    result.host.wall_s = 1.25;
    result.host.blas_threads = 1;
    result.runs = runs;
    result.run_count = 3;
    return result;
}

static void free_runs(struct rg_run runs[3])
{
    for (int i = 0; i < 3; i++)
        rg_run_free(&runs[i]);
}

static void check_keys(const json_t *object, const char *keys)
{
    char all[600] = "";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        strcat(all, key);
        strcat(all, " ");
    }
    CU_ASSERT_STRING_EQUAL(all, keys);
}

static void test_json_structure(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    char *text = printed(&result, print_json);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    check_keys(root, "schema tool version world scenario scenario_sha256 seed host runs ");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "schema")), "ringtmp-result-1");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(root, "seed")), 9007199254740991);
    check_keys(json_object_get(root, "host"),
               "wall_s date load blas_kernels blas_threads cores machine ");
    CU_ASSERT_TRUE(json_is_null(json_object_get(json_object_get(root, "host"), "load")));
    json_t *run = json_array_get(json_object_get(root, "runs"), 0);
    check_keys(
        run,
        "label kind params nodes numerics status error sweep iterations samples time_s unsaved "
        "iteration_s formula predicted energy_J energy_source meter sample_J traffic "
        "memory_bytes late_receives staleness peak_units extrapolated_iterations training final "
        "to_accuracy weights_sha256 per_node ");
    check_keys(json_object_get(run, "iteration_s"), "mean p50 p95 max ");
    check_keys(json_object_get(run, "formula"), "overlap T_A_s c_s bubble predicted_iteration_s "
                                                "observed_iteration_s ratio ");
    check_keys(json_object_get(run, "predicted"), "overlap T_A_s c_s iteration_s messages values "
                                                  "payload_bytes memory_bytes ");
    check_keys(json_object_get(run, "sweep"), "nodes ring \"8\".micro-batches ");
    check_keys(json_object_get(run, "energy_J"), "total idle compute network switch ");
    check_keys(json_object_get(run, "traffic"),
               "messages values payload_bytes wire_bytes max_node_bytes ");
    check_keys(json_object_get(run, "final"), "loss accuracy classes ");
    json_t *class = json_array_get(json_object_get(json_object_get(run, "final"), "classes"), 1);
    check_keys(class, "name samples accuracy predicted ");
    CU_ASSERT_TRUE(json_is_null(json_object_get(class, "name")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(class, "accuracy")));
    check_keys(json_object_get(run, "to_accuracy"), "target iterations time_s energy_J ");
    check_keys(json_array_get(json_object_get(run, "training"), 0),
               "iteration time_s energy_J loss accuracy ");
    check_keys(json_array_get(json_object_get(run, "per_node"), 0),
               "rank host busy_s comm_s idle_s energy_J bytes_sent bytes_received memory_bytes ");
    json_t *node = json_array_get(json_object_get(run, "per_node"), 1);
    check_keys(node, "rank host busy_s comm_s idle_s energy_J bytes_sent bytes_received "
                     "memory_bytes meter clock ");
    check_keys(json_object_get(node, "clock"),
               "offset_s wall_offset_s uncertainty_s drift_ppm drift_uncertainty_ppm ");
    CU_ASSERT_TRUE(json_is_null(json_object_get(json_object_get(node, "clock"), "wall_offset_s")));
    json_t *params = json_object_get(run, "params");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(params, "depth")), 16);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(params, "partition")), "4,4,3");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(params, "odd")), "007");
    CU_ASSERT_EQUAL(json_real_value(json_object_get(json_object_get(run, "iteration_s"), "mean")),
                    1.0 / 3);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(run, "label")), runs[0].label);
    run = json_array_get(json_object_get(root, "runs"), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(run, "status")), "does-not-fit");
    CU_ASSERT_TRUE(json_is_null(json_object_get(run, "formula")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(run, "to_accuracy")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(run, "weights_sha256")));
    CU_ASSERT_TRUE(json_is_null(json_object_get(run, "time_s")));
    json_t *traffic = json_object_get(run, "traffic"); /* what nobody sent is known to be nothing */
    CU_ASSERT_TRUE(json_is_integer(json_object_get(traffic, "wire_bytes")));
    json_decref(root);
    free(text);
    free_runs(runs);
}

static void test_json_repeats(void)
{
    struct rg_run runs[3], again[3];
    struct rg_result a = make_result(runs), b = make_result(again);
    const print_fn prints[] = {print_json, print_trace, rg_result_table};
    for (size_t i = 0; i < RG_COUNT(prints); i++) {
        char *first = printed(&a, prints[i]), *second = printed(&b, prints[i]);
        CU_ASSERT_STRING_EQUAL(first, second);
        setlocale(LC_NUMERIC, "de_DE.UTF-8");
        char *comma = i < 2 ? printed(&a, prints[i]) : strdup(first);
        setlocale(LC_NUMERIC, "C");
        CU_ASSERT_STRING_EQUAL(first, comma);
        free(first);
        free(second);
        free(comma);
    }
    free_runs(runs);
    free_runs(again);
}

static void test_numbers_read_back(void)
{
    static const double values[] = {0,
                                    -0.0,
                                    1,
                                    0.1,
                                    1.0 / 3,
                                    1e-308,
                                    5e-324,
                                    1e308,
                                    1e15,
                                    1e16,
                                    1e17,
                                    1e22,
                                    0.3,
                                    2.5e-6,
                                    1 + 1e-15,
                                    123456789012345678.0,
                                    9007199254740993.0};
    for (size_t i = 0; i < RG_COUNT(values); i++) {
        char text[40], array[48];
        rg_json_format(values[i], text);
        snprintf(array, sizeof array, "[%s]", text);
        json_t *read = json_loads(array, 0, NULL);
        double back = json_number_value(json_array_get(read, 0));
        CU_ASSERT_EQUAL(memcmp(&back, &values[i], sizeof back), 0);
        json_decref(read);
    }
    char text[40];
    rg_json_format(0.1, text);
    CU_ASSERT_STRING_EQUAL(text, "0.1");
}

/* Texts that are no UTF-8, or hold what JSON must escape. */
static void test_texts_stay_json(void)
{
    static const char *const texts[] = {
        "\xff\xfe",        "\xc0\x80",     "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "a\\\"\t\x01\x7f", "\xe2\x82\xac", "\xe2\x82",     "\xc3"};
    for (size_t i = 0; i < RG_COUNT(texts); i++) {
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        struct rg_json j = {.stream = stream};
        rg_json_array(&j, NULL, true);
        rg_json_text(&j, NULL, texts[i]);
        rg_json_text(&j, NULL, NULL);
        rg_json_real(&j, NULL, INFINITY);
        rg_json_close(&j);
        fclose(stream);
        json_t *read = json_loads(text, 0, NULL);
        CU_ASSERT_EQUAL(json_array_size(read), 3);
        json_decref(read);
        free(text);
    }
}

/* ---- as bytes ---- */

struct bytes {
    unsigned char *at;
    size_t size;
};

static struct bytes encoded(const struct rg_run *run)
{
    struct bytes bytes;
    CU_ASSERT_EQUAL_FATAL(rg_run_encode(run, &bytes.at, &bytes.size), 0);
    return bytes;
}

static void check_round_trip(const struct rg_run *run)
{
    struct rg_run back;
    struct rg_error e = {0};
    struct bytes bytes = encoded(run);
    CU_ASSERT_EQUAL_FATAL(rg_run_decode(bytes.at, bytes.size, &back, &e), 0);
    struct bytes again = encoded(&back);
    CU_ASSERT_EQUAL_FATAL(bytes.size, again.size);
    CU_ASSERT_EQUAL(memcmp(bytes.at, again.at, bytes.size), 0);
    CU_ASSERT_EQUAL(back.error_code, run->error_code);
    CU_ASSERT_EQUAL(back.samples, run->samples);
    CU_ASSERT_EQUAL(back.status, run->status);
    CU_ASSERT_EQUAL(memcmp(&back.formula.T_A_s, &run->formula.T_A_s, sizeof(double)), 0);
    for (int i = 0; i < run->node_count; i++) {
        const struct rg_trace *a = run->per_node[i].trace, *b = back.per_node[i].trace;
        CU_ASSERT_EQUAL(a == NULL, b == NULL);
        if (!a || !b)
            continue;
        CU_ASSERT_EQUAL_FATAL(a->count, b->count);
        CU_ASSERT_EQUAL(a->dropped, b->dropped);
        CU_ASSERT_EQUAL(memcmp(a->events, b->events, (size_t)a->count * sizeof *a->events), 0);
    }
    free(bytes.at);
    free(again.at);
    rg_run_free(&back);
}

static void test_bytes(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    for (int i = 0; i < result.run_count; i++)
        check_round_trip(&runs[i]);
    free_runs(runs);
}

/* Wherever a child that dies while it writes has come to. */
static void test_cut_bytes(void)
{
    struct rg_run run, back;
    fill_run(&run);
    struct bytes bytes = encoded(&run);
    for (size_t size = 0; size < bytes.size; size++) {
        struct rg_error e = {0};
        unsigned char *part = malloc(size + 1); /* so that a reader beyond it is noticed */
        memcpy(part, bytes.at, size);
        CU_ASSERT_EQUAL(rg_run_decode(part, size, &back, &e), RG_ERR_PROTOCOL);
        CU_ASSERT_TRUE(e.text[0] && !strchr(e.text, '\n'));
        CU_ASSERT_EQUAL(back.node_count, 0);
        rg_run_free(&back);
        free(part);
    }
    bytes.at = realloc(bytes.at, bytes.size + 1);
    CU_ASSERT_EQUAL(rg_run_decode(bytes.at, bytes.size + 1, &back, NULL), RG_ERR_PROTOCOL);
    free(bytes.at);
    rg_run_free(&run);
}

/* The label comes first: its length, then its letters. Then numbers that no run has. */
static void test_wrong_bytes(void)
{
    struct rg_run run, back;
    struct rg_error e;
    rg_run_init(&run);
    strcpy(run.label, "a");
    strcpy(run.kind, "b");
    struct bytes bytes = encoded(&run);
    const struct {
        size_t at;
        unsigned char value;
        const char *field;
    } bad[] = {{0, 64, "label"},
               {7, 128, "label"},
               {8, 0, "label"},
               {9 + 9 + 8, 255, "nodes"},
               {18 + 15, 1, "nodes"},
               {18 + 16, 2, "numerics"},
               {18 + 24, RG_RUN_LOST + 1, "status"}};
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        unsigned char before = bytes.at[bad[i].at];
        bytes.at[bad[i].at] = bad[i].value;
        int err = rg_run_decode(bytes.at, bytes.size, &back, &e);
        bool nodes_255 = bad[i].value == 255; /* that is as good as any */
        CU_ASSERT_EQUAL(err, nodes_255 ? 0 : RG_ERR_PROTOCOL);
        CU_ASSERT_TRUE(nodes_255 || strstr(e.text, bad[i].field));
        rg_run_free(&back);
        bytes.at[bad[i].at] = before;
    }
    free(bytes.at);
    rg_run_free(&run);
}

static void test_table(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    strcpy(runs[0].label, "ring");
    char *text = printed(&result, rg_result_table), *rest = text;
    static const char *const wanted[] = {"strategy",
                                         "nodes",
                                         "333 ms",
                                         "2.10 ms",
                                         "700 us",
                                         "1.050",
                                         "93.6 %",
                                         "12.5 J",
                                         "3.50 s", /* to the goal */
                                         "3.00 MB",
                                         "does not fit: node 0 needs 2.00 GB",
                                         "failed: a peer was lost",
                                         "a label that i"};
    for (size_t i = 0; i < RG_COUNT(wanted); i++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(text, wanted[i]));
        if (!strstr(text, wanted[i]))
            printf("\n    no %s in\n%s", wanted[i], text);
    }
    for (char *line; (line = strsep(&rest, "\n"));) {
        CU_ASSERT_TRUE(strlen(line) <= 120);
        if (strlen(line) > 120)
            printf("\n    %zu columns: %s\n", strlen(line), line);
    }
    free(text);
    free_runs(runs);
}

static void test_human(void)
{
    char out[RG_HUMAN];
    CU_ASSERT_STRING_EQUAL(rg_human_seconds(0, out), "0 s");
    CU_ASSERT_STRING_EQUAL(rg_human_seconds(1.234e-3, out), "1.23 ms");
    CU_ASSERT_STRING_EQUAL(rg_human_seconds(0.99996, out), "1.00 s");
    CU_ASSERT_STRING_EQUAL(rg_human_seconds(99.96, out), "100 s");
    CU_ASSERT_STRING_EQUAL(rg_human_seconds(3600, out), "60.0 min");
    CU_ASSERT_STRING_EQUAL(rg_human_seconds(NAN, out), "-");
    CU_ASSERT_STRING_EQUAL(rg_human_bytes(7, out), "7 B");
    CU_ASSERT_STRING_EQUAL(rg_human_bytes(999.9, out), "1.00 kB");
    CU_ASSERT_STRING_EQUAL(rg_human_bytes(123456, out), "123 kB");
    CU_ASSERT_STRING_EQUAL(rg_human_count(123, out), "123");
    CU_ASSERT_STRING_EQUAL(rg_human_count(2.5e6, out), "2.50 M");
    CU_ASSERT_STRING_EQUAL(rg_human_joules(0.5, out), "500 mJ");
    CU_ASSERT_STRING_EQUAL(rg_human_joules(2e-5, out), "20.0 uJ");
    CU_ASSERT_STRING_EQUAL(rg_human_joules(0, out), "0 J");
    CU_ASSERT_STRING_EQUAL(rg_human_percent(0.5, out), "50.0 %");
}

/* Rows whose slices overlap cannot be drawn. Added as viewers do, in doubles, and held to the last
 * bit. */
static void check_rows(const json_t *events)
{
    size_t i, k;
    json_t *a, *b;
    json_array_foreach((json_t *)events, i, a)
    {
        const char *ph = json_string_value(json_object_get(a, "ph"));
        CU_ASSERT_TRUE(json_is_integer(json_object_get(a, "pid")));
        CU_ASSERT_TRUE(json_is_integer(json_object_get(a, "tid")));
        if (strcmp(ph, "X") != 0)
            continue;
        double begin = json_number_value(json_object_get(a, "ts"));
        double end = begin + json_number_value(json_object_get(a, "dur"));
        json_array_foreach((json_t *)events, k, b)
        {
            if (k == i || strcmp(json_string_value(json_object_get(b, "ph")), "X") != 0 ||
                json_integer_value(json_object_get(a, "tid")) !=
                    json_integer_value(json_object_get(b, "tid")))
                continue;
            double from = json_number_value(json_object_get(b, "ts"));
            double to = from + json_number_value(json_object_get(b, "dur"));
            CU_ASSERT_TRUE(from >= end || to <= begin);
        }
    }
}

static int count_named(const json_t *events, const char *key, const char *value)
{
    size_t i;
    json_t *event;
    int count = 0;
    json_array_foreach((json_t *)events, i, event)
    {
        const char *text = json_string_value(json_object_get(event, key));
        count += text && strcmp(text, value) == 0;
    }
    return count;
}

/* A computation of two cores of four from 1 to 3, a message of a tenth of a second at full rate
 * that leaves from 2 to 4 with half a second of one core, one received after the end of the run. */
static void test_power(void)
{
    static const struct rg_power_step wanted[] = {
        {0, 2.25}, {1, 4.25}, {2, 4.25 + 0.5 + 0.05}, {2.5, 4.25 + 0.05}, {3, 2.25 + 0.05},
        {4, 2.25}, {5, 0}};
    struct rg_run_power power = {.known = true,
                                 .rest_W = 0.25,
                                 .idle_W = 2,
                                 .epsilon_W = 3,
                                 .full_W = 5,
                                 .send_W = 1,
                                 .receive_W = 0.5,
                                 .compute_share = 0.5,
                                 .core_share = 0.25,
                                 .port_rate = (4096 + 32) / 0.1,
                                 .message_s = 0.25,
                                 .byte_s = 0.25 / (4096 + 32)};
    struct rg_trace *trace = rg_trace_new(10);
    struct rg_power_step *steps;
    size_t count;
    add_event(trace, 2, 4, "", RG_TRACE_SEND, 0, 1, -1);
    add_event(trace, 1, 3, "F", RG_TRACE_COMPUTE, 0, -1, 0);
    add_event(trace, 3, 4, "", RG_TRACE_WAIT, 0, -1, -1);
    add_event(trace, 6, 7, "", RG_TRACE_RECV, 0, 1, -1);
    CU_ASSERT_EQUAL(rg_power_steps(&power, trace, 5, &steps, &count), 0);
    CU_ASSERT_EQUAL_FATAL(count, RG_COUNT(wanted));
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_DOUBLE_EQUAL(steps[i].date_s, wanted[i].date_s, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(steps[i].watts, wanted[i].watts, 1e-12);
    }
    free(steps);
    rg_trace_free(trace);
}

static void test_classes(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    char *text = printed(&result, rg_result_classes);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "class             samples  accuracy   cat  1\n"
                                        "cat                     4    75.0 %     3  1\n"
                                        "1                       0         -     0  0\n"));
    free(text);
    runs[0].final.classes[1].predicted_count = 1; /* as a file may have it */
    text = printed(&result, rg_result_classes);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "no run has an accuracy by class"));
    free(text);
    runs[0].final.classes[1].predicted_count = 2;
    free_runs(runs);
}

/* Neighbours, one ending where the next begins, at dates of all sizes: 17.882 and 2.137 us add up
 * to more than 20.019 in doubles. A duration is what it is, to a nanosecond. */
static void test_neighbours(void)
{
    static const double first_s[] = {17.882e-6, 0, 1.0 / 3, 1234.5678, 86400.1};
    enum { EVENTS = 300 };
    for (size_t k = 0; k < RG_COUNT(first_s); k++) {
        struct rg_run runs[3];
        struct rg_result result = make_result(runs);
        struct rg_trace *trace = runs[0].per_node[0].trace;
        double dates[EVENTS + 1] = {first_s[k], first_s[k] + 2.137e-6};
        trace->count = 0;
        rg_trace_free(trace);
        trace = runs[0].per_node[0].trace = rg_trace_new(EVENTS);
        for (int i = 2; i <= EVENTS; i++) /* from nothing to some microseconds */
            dates[i] = dates[i - 1] + 1e-10 * (i * 7919 % 30011) * (i % 11 > 0);
        for (int i = 0; i < EVENTS; i++)
            add_event(trace, dates[i], dates[i + 1], "F", RG_TRACE_COMPUTE, 0, -1, i);
        char *text = printed(&result, print_trace);
        json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *event;
        const json_t *events = json_object_get(root, "traceEvents");
        size_t i;
        check_rows(events);
        json_array_foreach((json_t *)events, i, event)
        {
            int unit;
            const char *name = json_string_value(json_object_get(event, "name"));
            if (json_integer_value(json_object_get(event, "pid")) != 1 ||
                sscanf(name, "F %d", &unit) != 1)
                continue;
            double us = json_number_value(json_object_get(event, "dur"));
            CU_ASSERT_DOUBLE_EQUAL(us, 1e6 * (dates[unit + 1] - dates[unit]), 1.2e-3);
            CU_ASSERT(us >= 0);
        }
        json_decref(root);
        free(text);
        free_runs(runs);
    }
}

static void test_timeline(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    char *text = printed(&result, print_trace);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    const json_t *events = json_object_get(root, "traceEvents");
    CU_ASSERT_EQUAL(count_named(events, "name", "process_name"), 3);
    CU_ASSERT_EQUAL(count_named(events, "name", "thread_name"), 4); /* 2 strands, 2 rows of sends */
    CU_ASSERT_EQUAL(count_named(events, "name", "F 0"), 1);
    CU_ASSERT_EQUAL(count_named(events, "name", "abcdefghijkl"), 1);
    CU_ASSERT_EQUAL(count_named(events, "name", "to 1"), 2);
    CU_ASSERT_EQUAL(count_named(events, "name", "iteration 7"), 1);
    CU_ASSERT_EQUAL(count_named(events, "ph", "i"), 1);
    CU_ASSERT_EQUAL(count_named(events, "name", "power"), 2); /* of the node with watts */
    CU_ASSERT_EQUAL(count_named(events, "ph", "C"), 2);
    CU_ASSERT_EQUAL(count_named(events, "id", "0"), 2);

    check_rows(events);
    CU_ASSERT_EQUAL(
        json_integer_value(json_object_get(json_object_get(root, "otherData"), "dropped_events")),
        3);
    CU_ASSERT_EQUAL(
        json_real_value(json_object_get(json_object_get(root, "otherData"), "clock_uncertainty_s")),
        1.0 / 7e4);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"ts\": 250000.000, \"dur\": 83333.3329"));
    json_decref(root);
    free(text);
    free_runs(runs);
}

static void test_full_disk(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    FILE *stream = fopen("/dev/full", "w");
    if (stream) {
        setvbuf(stream, NULL, _IONBF, 0);
        CU_ASSERT_EQUAL(rg_result_write(&result, stream), RG_ERR_IO);
        CU_ASSERT_EQUAL(rg_result_trace(&result, stream), RG_ERR_IO);
        fclose(stream);
    }
    free_runs(runs);
}

/* ---- results read back ---- */

static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* Those of the three runs whose bit is set, as a file. */
static const char *write_part(struct rg_result result, int which, const char *name)
{
    static struct rg_run kept[8][3];
    static int places[8][3];
    int count = 0;
    for (int i = 0; i < 3; i++)
        if (which & 1 << i) {
            kept[which][count] = result.runs[i];
            places[which][count++] = i;
        }
    strcpy(result.scenario_sha256, digest);
    result.runs = kept[which];
    result.run_count = count;
    result.part = (struct rg_result_part){count < 3, 3, places[which], count};
    char *text = printed(&result, print_json);
    const char *path = scratch_text(name, text);
    free(text);
    return path;
}

static char *read_text(const char *path)
{
    FILE *stream = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    text[fread(text, 1, (1 << 20) - 1, stream)] = '\0';
    fclose(stream);
    return text;
}

/* With the host that make_result gives, it is what the file holds. */
static void check_archive(const struct rg_result *archive, const struct rg_result_host *host,
                          const char *path)
{
    struct rg_result result = *archive;
    result.host = *host;
    char *wanted = read_text(path), *got = printed(&result, print_json);
    CU_ASSERT_STRING_EQUAL(got, wanted);
    free(wanted);
    free(got);
}

static void test_archive(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    for (int which = 0; which < 8; which++) {
        struct rg_result archive;
        struct rg_error e = {0};
        const char *path = write_part(result, which, "part.json");
        CU_ASSERT_EQUAL_FATAL(rg_result_read(path, &archive, &e), 0);
        CU_ASSERT_EQUAL(archive.part.of_runs, 3);
        CU_ASSERT_STRING_EQUAL(archive.scenario_sha256, digest);
        check_archive(&archive, &result.host, path);
        rg_result_free(&archive);
    }
    free_runs(runs);
}

/* Parts in any order give the whole; parts[i] is a set of runs, 0 ends them. */
static int merge(struct rg_result result, const int *sets, struct rg_result *whole,
                 struct rg_error *e)
{
    struct rg_result parts[4];
    const char *paths[4] = {NULL};
    int count = 0, err = 0;
    for (; sets[count]; count++) {
        char name[32];
        snprintf(name, sizeof name, "part-%d-%d.json", count, sets[count]);
        paths[count] = write_part(result, sets[count], name);
        CU_ASSERT_EQUAL_FATAL(rg_result_read(paths[count], &parts[count], e), 0);
    }
    err = rg_result_merge(parts, paths, count, whole, e);
    for (int i = 0; i < count; i++)
        rg_result_free(&parts[i]);
    return err;
}

static void test_merge(void)
{
    static const int good[][4] = {{1, 2, 4}, {4, 1, 2}, {5, 2}, {2, 5}, {7}};
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    struct rg_result whole;
    struct rg_error e = {0};
    const char *path = write_part(result, 7, "whole.json");
    for (size_t i = 0; i < RG_COUNT(good); i++) {
        CU_ASSERT_EQUAL_FATAL(merge(result, good[i], &whole, &e), 0);
        check_archive(&whole, &result.host, path);
        rg_result_free(&whole);
    }
    CU_ASSERT_EQUAL(merge(result, (const int[]){1, 2, 0}, &whole, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "1 of 3 runs|missing|3"));
    CU_ASSERT_EQUAL(merge(result, (const int[]){3, 6, 0}, &whole, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "run 2 of 3|both in|part-0-3|part-1-6"));
    free_runs(runs);
}

static void test_archive_damage(void)
{
    static const struct {
        const char *from, *to, *words;
    } bad[] = {
        {"ringtmp-result-1", "ringtmp-result-9", "no result"},
        {"\"places\": [0,2]", "\"places\": [2,0]", "places"},
        {"\"places\": [0,2]", "\"places\": [0,3]", "places"},
        {"\"places\": [0,2]", "\"places\": [0]", "places"},
        {"\"runs\": [", "\"runs\": [{},", "run 1"},
        {"\"status\": \"failed\"", "\"status\": \"gone\"", "run 2|status"},
        {"\"seed\": ", "\"seed\": -", "seed"},
        {"\"nodes\": 2", "\"nodes\": -2", "run 1|nodes"},
        {"\"nodes\": 2", "\"nodes\": \"2\"", "run 1|nodes"},
        {"\"nodes\": 2", "\"nodes\": 2147483648", "run 1|nodes"},
        {"\"status\": \"ok\"", "\"status\": 1", "run 1|status"},
        {"\"training\": [", "\"training\": [1,", "run 1|iteration"},
        {"\"rank\": 0", "\"host\": 0", "duplicate"},
        {"\"T_A_s\"", "\"TAs\"", "run 1|T_A_s"},
        {"\"iterations\": 123", "\"iterations\": 9e9, \"i\": 123", "run 1|iterations"},
        {"\"overlap\": true", "\"overlap\": 1", "run 1|overlap"},
        {"\"weights_sha256\": \"", "\"weights_sha256\": \"a", "run 1|weights_sha256"},
        {"\"error\": null", "\"error\": 3", "run 1|error"},
        {"\"late_receives\": 2", "\"late_receives\": 2.5", "run 1|late_receives"},
        {"\"wire_bytes\": ", "\"wire_bytes\": true, \"wires\": ", "run 1|wire_bytes"},
        {"micro-batches\": \"007\"", "micro-batches\": 7", "run 1|sweep"},
        {"\"sweep\": {}", "\"sweep\": null", "run 2|sweep"},
        {"\"params\": {", "\"params\": 3, \"parameters\": {", "run 1|params"},
        {"\"formula\": {", "\"formula\": true, \"formulae\": {", "run 1|formula"},
        {"\"numerics\": \"", "\"numerics\": \"un", "run 1|numerics"},
        {"\"time_s\": ", "\"time_s\": -", "run 1|time_s"},
        {"\"label\": \"", "\"label\": null, \"labels\": \"", "run 1|label"},
        {"\"of_runs\": 3", "\"of_runs\": 2147483647", "of_runs"},
        {"{", "[", "is no result"},
    };
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    char *good = read_text(write_part(result, 5, "good.json"));
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_result archive;
        struct rg_error e = {0};
        char *text = replaced(good, bad[i].from, bad[i].to);
        CU_ASSERT_TRUE(rg_result_read(scratch_text("bad.json", text), &archive, &e) < 0);
        CU_ASSERT_TRUE(complains(&e, NULL, 0, bad[i].words) && strstr(e.text, "bad.json"));
        free(text);
    }
    struct rg_result archive;
    struct rg_error e = {0};
    CU_ASSERT_TRUE(rg_result_read(scratch_path("none.json"), &archive, &e) < 0);
    CU_ASSERT_TRUE(complains(&e, scratch_path("none.json"), 0, "No such file"));
    free(good);
    free_runs(runs);
}

/* Sweeps have their point in the table, and the closed forms below it. */
static void test_sweep_table(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    runs[1].status = RG_RUN_IMPOSSIBLE;
    strcpy(runs[1].error, "too many stages");
    char *text = printed(&result, rg_result_table);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "point"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "micro-batches=007"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "impossible: too many stages"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "closed forms alone"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "143 ms")); /* c as predicted */
    free(text);
    free_runs(runs);
}

/* A timeline with an event of a kind that there is not. */
static void test_wrong_events(void)
{
    struct rg_run run, back;
    fill_run(&run);
    struct rg_trace_event *last = &run.per_node[0].trace->events[2];
    last->kind = RG_TRACE_MARK + 1;
    struct bytes bytes = encoded(&run);
    CU_ASSERT_EQUAL(rg_run_decode(bytes.at, bytes.size, &back, NULL), RG_ERR_PROTOCOL);
    free(bytes.at);
    rg_run_free(&back);
    rg_run_free(&run);
}

/* Filling and draining are left out; a run that does nothing else has no ratio. */
static void test_edges(void)
{
    static const struct {
        long staleness, count, edge;
        bool steady;
    } want[] = {{0, 1, 0, true},  {0, 2, 0, true},   {0, 3, 1, true},  {0, 100, 1, true},
                {7, 8, 0, false}, {7, 23, 0, false}, {7, 24, 8, true}, {7, 100, 8, true}};
    for (size_t i = 0; i < RG_COUNT(want); i++) {
        bool steady;
        struct rg_run run = {.staleness = want[i].staleness,
                             .iteration_s = {.mean = 3},
                             .formula = {.predicted_iteration_s = 2}};
        CU_ASSERT_EQUAL(rg_run_edge(&run, want[i].count, &steady), want[i].edge);
        CU_ASSERT_EQUAL(steady, want[i].steady);
        rg_run_observe(&run, steady);
        CU_ASSERT_EQUAL(isnan(run.formula.observed_iteration_s), !steady);
        CU_ASSERT(steady ? run.formula.ratio == 1.5 : isnan(run.formula.ratio));
    }
}

/* ---- the table of fields ---- */

static char *shown(void (*show)(FILE *stream))
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    show(stream);
    fclose(stream);
    return text;
}

/* What stands in docs/ is what the programs print. */
static void test_pages(void)
{
    static const char heading[] = "## All fields\n\n";
    char *page = read_text(RG_SOURCE_DIR "/docs/result.md"), *fields = strstr(page, heading);
    char *schema = read_text(RG_SOURCE_DIR "/docs/result.schema.json");
    char *wanted_fields = shown(rg_result_reference), *wanted_schema = shown(rg_result_schema);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fields);
    CU_ASSERT_STRING_EQUAL(fields + strlen(heading), wanted_fields);
    CU_ASSERT_STRING_EQUAL(schema, wanted_schema);
    if (strcmp(fields + strlen(heading), wanted_fields) != 0 || strcmp(schema, wanted_schema) != 0)
        printf(
            "\n    ringsim --result-schema > docs/result.schema.json; in docs/result.md, below the "
            "heading: ringsim --result-fields\n");
    free(page);
    free(schema);
    free(wanted_fields);
    free(wanted_schema);
}

/* A node's account on top of another's: each field by its rule. */
static void test_adding(void)
{
    struct rg_run a, b;
    rg_run_init(&a);
    rg_run_init(&b);
    CU_ASSERT_EQUAL_FATAL(rg_run_make_nodes(&b, 1), 0);
    a.time_s = 1;
    b.time_s = 9;
    a.energy_J =
        (struct rg_run_energy){.total = 9, .idle = 1, .compute = 2, .network = 3, .switches = 4};
    b.energy_J =
        (struct rg_run_energy){.total = 1, .idle = 5, .compute = 6, .network = 7, .switches = 8};
    a.traffic.messages = 10;
    b.traffic.messages = 20;
    b.traffic.wire_bytes = 0.5;
    a.memory_bytes.max_node = a.memory_bytes.total = 100;
    b.memory_bytes.max_node = b.memory_bytes.total = 70;
    a.staleness = 3;
    b.staleness = 4;
    a.peak_units = 2;
    a.late_receives = b.late_receives = 1;
    b.meter = (struct rg_run_meter){.known = true,
                                    .source = "rapl",
                                    .nodes = 1,
                                    .interval_s = NAN,
                                    .longest_s = 0.25,
                                    .samples = 6,
                                    .uncertainty_J = 3,
                                    .idle_W = 2,
                                    .above_idle_J = 5};
    rg_run_add_node(&a, &b); /* the first that is metered */
    CU_ASSERT_STRING_EQUAL(a.meter.source, "rapl");
    CU_ASSERT_EQUAL(a.meter.nodes, 1);
    CU_ASSERT_TRUE(isnan(a.meter.interval_s));
    CU_ASSERT_EQUAL(a.time_s, 1);
    CU_ASSERT_EQUAL(a.energy_J.idle, 6);
    CU_ASSERT_EQUAL(a.energy_J.switches, 12);
    CU_ASSERT_EQUAL(a.energy_J.total, 36); /* the parts, not 9 + 1 */
    CU_ASSERT_EQUAL(a.traffic.messages, 30);
    CU_ASSERT_EQUAL(a.traffic.wire_bytes, 0.5);
    CU_ASSERT_EQUAL(a.memory_bytes.max_node, 100);
    CU_ASSERT_EQUAL(a.memory_bytes.total, 170);
    CU_ASSERT_EQUAL(a.staleness, 4);
    CU_ASSERT_EQUAL(a.peak_units, 2);
    CU_ASSERT_EQUAL(a.late_receives, 2);
    CU_ASSERT_EQUAL(a.node_count, 0);
    CU_ASSERT_FALSE(a.formula.defined || a.predicted.defined || a.to_accuracy.wanted);
    b.energy_J = (struct rg_run_energy){
        .total = 4, .idle = 1, .compute = NAN, .network = NAN, .switches = NAN};
    b.meter.interval_s = 0.125;
    b.meter.uncertainty_J = 4;
    strcpy(b.meter.source, "csv");
    strcpy(b.meter.error, "rank 2: lost");
    rg_run_add_node(&a, &b);
    CU_ASSERT_EQUAL(a.energy_J.total, 40);
    CU_ASSERT_TRUE(isnan(a.energy_J.compute));
    CU_ASSERT_STRING_EQUAL(a.meter.source, "rapl");
    CU_ASSERT_STRING_EQUAL(a.meter.error, "rank 2: lost");
    CU_ASSERT_EQUAL(a.meter.nodes, 2);
    CU_ASSERT_EQUAL(a.meter.samples, 12);
    CU_ASSERT_EQUAL(a.meter.interval_s, 0.125);
    CU_ASSERT_EQUAL(a.meter.longest_s, 0.25);
    CU_ASSERT_EQUAL(a.meter.uncertainty_J, 5);
    CU_ASSERT_EQUAL(a.meter.idle_W, 4);
    CU_ASSERT_EQUAL(a.meter.above_idle_J, 10);
    rg_run_free(&a);
    rg_run_free(&b);
}

/* What follows from the nodes: of 10 iterations in 4 s, 8 J and 32 samples. */
static void test_deriving(void)
{
    struct rg_run run;
    rg_run_init(&run);
    CU_ASSERT_EQUAL_FATAL(rg_run_make_nodes(&run, 2), 0);
    run.iterations = 10;
    run.samples = 32;
    run.time_s = 4;
    run.energy_J.total = 8;
    run.per_node[0].busy_s = 5; /* longer than rank 0's clock ran */
    run.per_node[1].busy_s = 1;
    run.per_node[0].comm_s = 1;
    run.per_node[1].comm_s = 2;
    run.per_node[0].bytes_sent = 100;
    run.per_node[1].bytes_sent = 60;
    run.per_node[1].bytes_received = 50;
    rg_run_derive(&run);
    CU_ASSERT_EQUAL(run.per_node[0].idle_s, 0);
    CU_ASSERT_EQUAL(run.per_node[1].idle_s, 3);
    CU_ASSERT_EQUAL(run.per_node[1].rank, 1);
    CU_ASSERT_EQUAL(run.formula.T_A_s, 0.5);
    CU_ASSERT_EQUAL(run.formula.c_s, 0.2);
    CU_ASSERT_EQUAL(run.traffic.max_node_bytes, 110);
    CU_ASSERT_EQUAL(run.sample_J, 0.25);
    rg_run_free(&run);
}

/* Results of before nodes had meters and clocks, and of after: a meter, a field that nobody knows.
 */
static void test_other_versions(void)
{
    static const char *const changes[][2] = {
        {"\"energy_source\": \"model\"", "\"energy_source\": \"fuel-gauge\""},
        {"\"source\": \"ina2xx\"", "\"source\": \"fuel-gauge\""},
        {"\"sample_J\": ", "\"sample_joules\": "},
        {"\"meter\": {", "\"meters\": {"},
        {"\"clock\": {", "\"clocks\": {"},
        {"\"scenario_sha256\": ", "\"scenario_md5\": "},
    };
    struct rg_run runs[3];
    struct rg_result result = make_result(runs), back;
    char *text = read_text(write_part(result, 7, "good.json"));
    for (size_t i = 0; i < RG_COUNT(changes); i++) {
        char *changed = replaced(text, changes[i][0], changes[i][1]);
        struct rg_error e = {0};
        CU_ASSERT_EQUAL_FATAL(rg_result_read(scratch_text("changed.json", changed), &back, &e), 0);
        back.host = result.host;
        char *again = printed(&back, print_json);
        CU_ASSERT_EQUAL(strcmp(again, changed) == 0, i < 2); /* a name is kept */
        CU_ASSERT_TRUE(i != 2 || isnan(back.runs[0].sample_J));
        CU_ASSERT_TRUE(i != 3 || !back.runs[0].meter.known);
        CU_ASSERT_TRUE(i != 4 || !back.runs[0].per_node[1].clock.known);
        CU_ASSERT_TRUE(i != 5 || !back.scenario_sha256[0]);
        rg_result_free(&back);
        free(again);
        free(changed);
    }
    free(text);
    free_runs(runs);
}

static const struct suite_test tests[] = {
    {"json: keys in order, nulls, types", test_json_structure},
    {"the same result gives the same bytes", test_json_repeats},
    {"numbers read back to the bit", test_numbers_read_back},
    {"any text makes valid json", test_texts_stay_json},
    {"bytes: decode(encode) is the run", test_bytes},
    {"bytes that are cut off are noticed", test_cut_bytes},
    {"bytes that no run has are noticed", test_wrong_bytes},
    {"events of no kind are noticed", test_wrong_events},
    {"table fits and says what failed", test_table},
    {"table of a sweep: points and predictions", test_sweep_table},
    {"results read back to the same bytes", test_archive},
    {"parts make the whole, whatever their order", test_merge},
    {"results: damage is noticed", test_archive_damage},
    {"results of other versions, and of a meter without a name here", test_other_versions},
    {"docs/ has the schema and the fields", test_pages},
    {"accounts of nodes add up by rule", test_adding},
    {"what follows from the nodes", test_deriving},
    {"quantities for people", test_human},
    {"power over time", test_power},
    {"classes: the matrix", test_classes},
    {"timeline: rows, names, dates", test_timeline},
    {"timeline: neighbours do not overlap", test_neighbours},
    {"a full disk is noticed", test_full_disk},
    {"filling and draining are no iterations", test_edges},
};

int main(int argc, char **argv)
{
    return suite_main("result", tests, RG_COUNT(tests), argc, argv);
}
