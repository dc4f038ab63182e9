/* A result as people see it: the table, the matrix of classes, the timeline. */
#include "result_fixture.h"

#include "base/check.h"
#include "result/human.h"
#include "result/power.h"

#include <jansson.h>
#include <math.h>

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
                                         "updates old: ring 15 (mean 1.25)",
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

/* Of a run that rounding decides both figures stand there; of others none. */
static void test_again(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    runs[0].engine.known = true;
    runs[0].time_s = 10;
    runs[0].energy_J.total = 12.25;
    for (int i = 0; i < 5; i++) {
        static const double parts[] = {0.9e-9, -4e-3, NAN, 0, 0},
                            more[] = {0, 0, NAN, 0.9e-9, 2e-9};
        runs[0].engine.again_s = 10 * (1 + parts[i]);
        runs[0].engine.again_J = 12.25 * (1 + more[i]);
        char *text = printed(&result, rg_result_table);
        CU_ASSERT_EQUAL(strstr(text, ": 9.96 s (-0.4 %), 12.2 J\n") != NULL, i == 1);
        CU_ASSERT_EQUAL(strstr(text, "rounding decides") != NULL, i == 1 || i == 4);
        free(text);
    }
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

/* ---- the timeline ---- */

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

/* More messages at one date than there are rows: which of them are left out does not hang on the
 * order in which they were recorded, nor on rounding. */
static void test_crowds(void)
{
    enum { MESSAGES = 70, ROWS = 64 };
    char *texts[2];
    for (int turn = 0; turn < 2; turn++) {
        struct rg_run runs[3];
        struct rg_result result = make_result(runs);
        rg_trace_free(runs[0].per_node[0].trace);
        struct rg_trace *trace = runs[0].per_node[0].trace = rg_trace_new(MESSAGES);
        for (int i = 0; i < MESSAGES; i++)
            add_event(trace, 1 + 1e-13 * i, 2, "", RG_TRACE_SEND, 0, turn ? MESSAGES - 1 - i : i,
                      -1);
        texts[turn] = printed(&result, print_trace);
        json_t *root = json_loads(texts[turn], JSON_REJECT_DUPLICATES, NULL);
        const json_t *events = json_object_get(root, "traceEvents");
        for (int i = 0; i < MESSAGES; i++) {
            char name[16];
            snprintf(name, sizeof name, "to %d", i);
            CU_ASSERT_EQUAL(count_named(events, "name", name), i < ROWS);
        }
        json_decref(root);
        free_runs(runs);
    }
    CU_ASSERT_STRING_EQUAL(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
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

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"table fits and says what failed", test_table},
        {"table of a sweep: points and predictions", test_sweep_table},
        {"a second simulation", test_again},
        {"classes: the matrix", test_classes},
        {"quantities for people", test_human},
        {"timeline: rows, names, dates", test_timeline},
        {"timeline: neighbours do not overlap", test_neighbours},
        {"timeline: who is left out of a crowd", test_crowds},
        {"power over time", test_power},
    };
    return suite_main("result: shown", tests, RG_COUNT(tests), argc, argv);
}
