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
    return (struct rg_result){.tool = "ringsim",
                              .world = "sim",
                              .scenario = "test",
                              .seed = 9007199254740991,
                              .host = {.wall_s = 1.25,
                                       .date = "2024-01-02T03:04:05Z",
                                       .load = NAN,
                                       .blas_kernels = "Haswell",
                                       .blas_threads = 1,
                                       .machine = "x86_64 Linux"},
                              .runs = runs,
                              .run_count = 3};
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
        "label kind params nodes numerics status error sweep iterations samples time_s "
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

static char *encoded(const struct rg_run *run)
{
    char *text = NULL;
    CU_ASSERT_EQUAL(rg_run_encode(run, &text), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    return text;
}

static void check_round_trip(const struct rg_run *run)
{
    struct rg_run back;
    struct rg_error e = {0};
    char *text = encoded(run);
    CU_ASSERT_EQUAL_FATAL(rg_run_decode(text, &back, &e), 0);
    char *again = encoded(&back);
    CU_ASSERT_STRING_EQUAL(text, again);
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
    free(text);
    free(again);
    rg_run_free(&back);
}

static void test_pipe(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    for (int i = 0; i < result.run_count; i++)
        check_round_trip(&runs[i]);
    free_runs(runs);
}

static void test_pipe_damage(void)
{
    static const char *const damages[][2] = {
        {"\"nodes\": 2", "\"nodes\": -2"},
        {"\"nodes\": 2", "\"nodes\": \"2\""},
        {"\"status\": \"ok\"", "\"status\": 1"},
        {"\"nodes\"", "\"node\""},
        {"\"model\"", "\"magic\""},
        {"\"training\": [", "\"training\": [1,"},
        {"\"rank\": 0", "\"host\": 0"},
        {"\"formula\": {", "\"formula\": {\"a\": 1,"},
        {"\"T_A_s\"", "\"TAs\""},
        {"\"iterations\": 123", "\"iterations\": 9e99"},
    };
    struct rg_run run, back;
    fill_run(&run);
    char *text = encoded(&run);
    for (size_t i = 0; i < RG_COUNT(damages); i++) {
        struct rg_error e = {0};
        char *bad = replaced(text, damages[i][0], damages[i][1]);
        int err = rg_run_decode(bad, &back, &e);
        if (strstr(damages[i][1], "\"a\": 1") == NULL) { /* fields of later versions are let pass */
            CU_ASSERT_EQUAL(err, RG_ERR_PROTOCOL);
            CU_ASSERT_TRUE(strlen(e.text) > 10 && !strchr(e.text, '\n'));
        }
        rg_run_free(&back);
        free(bad);
    }
    size_t length = strlen(text);
    for (size_t cut = 0; cut < length - 2;
         cut += 1 + cut / 20) { /* a child that died while writing */
        struct rg_error e = {0};
        char *part = strndup(text, cut);
        CU_ASSERT_EQUAL(rg_run_decode(part, &back, &e), RG_ERR_PROTOCOL);
        CU_ASSERT_TRUE(e.text[0] && !strchr(e.text, '\n'));
        rg_run_free(&back);
        free(part);
    }
    free(text);
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

/* Rows whose slices overlap cannot be drawn. */
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
            CU_ASSERT_TRUE(from >= end - 1e-3 ||
                           from + json_number_value(json_object_get(b, "dur")) <= begin + 1e-3);
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
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"ts\": 250000.000, \"dur\": 83333.333"));
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
    result.scenario_sha256 = digest;
    result.runs = kept[which];
    result.run_count = count;
    result.total = 3;
    result.places = count < 3 ? places[which] : NULL;
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

/* The archive's result, with the host that make_result gives, is what the file holds. */
static void check_archive(const struct rg_archive *archive, const struct rg_result_host *host,
                          const char *path)
{
    struct rg_result result = rg_archive_result(archive);
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
        struct rg_archive archive;
        struct rg_error e = {0};
        const char *path = write_part(result, which, "part.json");
        CU_ASSERT_EQUAL_FATAL(rg_archive_read(path, &archive, &e), 0);
        CU_ASSERT_EQUAL(archive.total, 3);
        CU_ASSERT_STRING_EQUAL(archive.digest, digest);
        check_archive(&archive, &result.host, path);
        rg_archive_free(&archive);
    }
    free_runs(runs);
}

/* Parts in any order give the whole; parts[i] is a set of runs, 0 ends them. */
static int merge(struct rg_result result, const int *sets, struct rg_archive *whole,
                 struct rg_error *e)
{
    struct rg_archive parts[4];
    const char *paths[4] = {NULL};
    int count = 0, err = 0;
    for (; sets[count]; count++) {
        char name[32];
        snprintf(name, sizeof name, "part-%d-%d.json", count, sets[count]);
        paths[count] = write_part(result, sets[count], name);
        CU_ASSERT_EQUAL_FATAL(rg_archive_read(paths[count], &parts[count], e), 0);
    }
    err = rg_archive_merge(parts, paths, count, whole, e);
    for (int i = 0; i < count; i++)
        rg_archive_free(&parts[i]);
    return err;
}

static void test_merge(void)
{
    static const int good[][4] = {{1, 2, 4}, {4, 1, 2}, {5, 2}, {2, 5}, {7}};
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    struct rg_archive whole;
    struct rg_error e = {0};
    const char *path = write_part(result, 7, "whole.json");
    for (size_t i = 0; i < RG_COUNT(good); i++) {
        CU_ASSERT_EQUAL_FATAL(merge(result, good[i], &whole, &e), 0);
        check_archive(&whole, &result.host, path);
        rg_archive_free(&whole);
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
        {"\"status\": \"failed\"", "\"status\": \"lost\"", "run 2|status"},
        {"\"seed\": ", "\"seed\": -", "seed"},
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
        struct rg_archive archive;
        struct rg_error e = {0};
        char *text = replaced(good, bad[i].from, bad[i].to);
        CU_ASSERT_TRUE(rg_archive_read(scratch_text("bad.json", text), &archive, &e) < 0);
        CU_ASSERT_TRUE(complains(&e, NULL, 0, bad[i].words) && strstr(e.text, "bad.json"));
        free(text);
    }
    struct rg_archive archive;
    struct rg_error e = {0};
    CU_ASSERT_TRUE(rg_archive_read(scratch_path("none.json"), &archive, &e) < 0);
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

static const struct suite_test tests[] = {
    {"json: keys in order, nulls, types", test_json_structure},
    {"the same result gives the same bytes", test_json_repeats},
    {"numbers read back to the bit", test_numbers_read_back},
    {"any text makes valid json", test_texts_stay_json},
    {"pipe: decode(encode) is the run", test_pipe},
    {"pipe: damage is noticed", test_pipe_damage},
    {"table fits and says what failed", test_table},
    {"table of a sweep: points and predictions", test_sweep_table},
    {"results read back to the same bytes", test_archive},
    {"parts make the whole, whatever their order", test_merge},
    {"results: damage is noticed", test_archive_damage},
    {"quantities for people", test_human},
    {"power over time", test_power},
    {"timeline: rows, names, dates", test_timeline},
    {"a full disk is noticed", test_full_disk},
    {"filling and draining are no iterations", test_edges},
};

int main(int argc, char **argv)
{
    return suite_main("result", tests, RG_COUNT(tests), argc, argv);
}
