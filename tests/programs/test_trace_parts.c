/* --trace-nodes and --trace-window show a part of the whole timeline, and no other; --trace of a
 * name in .gz writes the same, compressed. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/ringtmp-test-XXXXXX";

/* The timeline of a run with these options; its file is read through `read_by`. */
static json_t *trace_of(const char *program, const char *options, const char *name,
                        const char *read_by)
{
    char line[600];
    struct command_output output;
    snprintf(line, sizeof line,
             "%s scenarios/iris-3.xml --strategy ring --set iterations=6 --quiet --trace %s/%s %s",
             program, folder, name, options);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, "%s %s/%s", read_by, folder, name);
    FILE *stream = popen(line, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    json_t *trace = json_loadf(stream, 0, NULL);
    CU_ASSERT_EQUAL(pclose(stream), 0);
    snprintf(line, sizeof line, "%s/%s", folder, name);
    CU_ASSERT_EQUAL(unlink(line), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
    return trace;
}

static double number_of(const json_t *event, const char *key)
{
    return json_number_value(json_object_get(event, key));
}

static const char *text_of(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));
    return text ? text : "";
}

/* The name of an event's row, "1 node-1", which begins with its node. */
static const char *row_of(const json_t *trace, const json_t *event)
{
    size_t i;
    json_t *other;
    json_array_foreach(
        json_object_get(trace, "traceEvents"), i,
        other) if (strcmp(text_of(other, "name"), "thread_name") == 0 &&
                   number_of(other, "tid") ==
                       number_of(event, "tid")) return text_of(json_object_get(other, "args"),
                                                               "name");
    return "";
}

/* Events of a kind that touch the window, in microseconds, of one node or (-1) all. */
static int count_events(const json_t *trace, const char *phase, int node, double from_us,
                        double to_us)
{
    int count = 0;
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(trace, "traceEvents"), i, event)
    {
        double begin = number_of(event, "ts"), end = begin + number_of(event, "dur");
        int of = strcmp(phase, "C") == 0 ? atoi(text_of(event, "id")) : atoi(row_of(trace, event));
        count += strcmp(text_of(event, "ph"), phase) == 0 && (node < 0 || of == node) &&
                 end >= from_us && begin <= to_us;
    }
    return count;
}

/* Watts at a date. */
static double watts_at(const json_t *trace, int node, double date_us)
{
    double watts = NAN;
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(trace, "traceEvents"), i,
                       event) if (strcmp(text_of(event, "ph"), "C") == 0 &&
                                  atoi(text_of(event, "id")) == node &&
                                  number_of(event, "ts") <= date_us) watts =
        number_of(json_object_get(event, "args"), "W");
    return watts;
}

static void some_nodes(void)
{
    json_t *whole = trace_of("ringsim", "", "whole", "cat");
    json_t *part = trace_of("ringsim", "--trace-nodes 0,2", "nodes", "cat");
    for (int node = 0; node < 3; node++)
        for (int kind = 0; kind < 2; kind++) {
            int all = count_events(whole, kind ? "C" : "X", node, 0, INFINITY);
            CU_ASSERT_TRUE(all > 10);
            CU_ASSERT_EQUAL(count_events(part, kind ? "C" : "X", node, 0, INFINITY),
                            node == 1 ? 0 : all);
        }
    json_decref(part);
    part = trace_of("ringnode", "--local --trace-nodes 1", "local", "cat");
    for (int node = 0; node < 3; node++)
        CU_ASSERT_EQUAL(count_events(part, "X", node, 0, INFINITY) > 0, node == 1);
    json_decref(part);
    json_decref(whole);
}

static void some_time(void)
{
    json_t *whole = trace_of("ringsim", "", "whole", "cat");
    json_t *part = trace_of("ringsim", "--trace-window 1ms:0.002s", "window", "cat");
    int inside = count_events(whole, "X", -1, 1000, 2000);
    CU_ASSERT_TRUE(inside > 10 && inside < count_events(whole, "X", -1, 0, INFINITY));
    CU_ASSERT_EQUAL(count_events(part, "X", -1, 1000, 2000), inside);
    CU_ASSERT_EQUAL(count_events(part, "X", -1, 0, INFINITY), inside);
    for (double at = 1000; at < 2000; at += 7.7)
        CU_ASSERT_DOUBLE_EQUAL(watts_at(part, 1, at), watts_at(whole, 1, at), 1e-6);
    CU_ASSERT_TRUE(isnan(watts_at(part, 1, 999))); /* not known there: nothing is drawn */
    CU_ASSERT_EQUAL(watts_at(part, 1, 2001), 0);
    json_decref(part);
    part = trace_of("ringsim", "--trace-window 1ms: --trace-nodes 2", "rest", "cat");
    CU_ASSERT_EQUAL(count_events(part, "X", -1, 0, INFINITY),
                    count_events(whole, "X", 2, 1000, INFINITY));
    json_decref(part);
    json_decref(whole);
}

static void compressed(void)
{
    json_t *plain = trace_of("ringsim", "", "whole", "cat");
    json_t *packed = trace_of("ringsim", "", "packed.json.gz", "zcat");
    CU_ASSERT(json_equal(plain, packed));
    json_decref(packed);
    json_decref(plain);
}

static void refusals(void)
{
    static const struct {
        const char *options, *words;
    } cases[] = {
        {"--trace-nodes 0", "--trace FILE is wanted too"},
        {"--trace build/none --trace-nodes 3", "nodes 0 to 2"},
        {"--trace build/none --trace-nodes 2-9", "nodes 0 to 2"},
        {"--trace build/none --trace-nodes 2-1", "as in 0-7,12"},
        {"--trace build/none --trace-nodes x", "as in 0-7,12"},
        {"--trace build/none --trace-window 3s", "as in 10s:12s"},
        {"--trace build/none --trace-window 3s:2s", "as in 10s:12s"},
        {"--trace build/none --trace-window :", "as in 10s:12s"},
        {"--trace build/none --trace-window 1s:2parsecs", "as in 10s:12s"},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        char line[300];
        struct command_output output;
        snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml %s", cases[i].options);
        command_run(line, 60, &output);
        if (output.status != 2 || !strstr(output.err, cases[i].words))
            printf("%s: %d %s\n", line, output.status, output.err);
        CU_ASSERT(output.status == 2 && strstr(output.err, cases[i].words));
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"some nodes", some_nodes},
        {"some of the time", some_time},
        {"compressed", compressed},
        {"what cannot be", refusals},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("parts of a timeline", tests, RG_COUNT(tests), argc, argv);
    rmdir(folder);
    return status;
}
