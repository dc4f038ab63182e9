/* Runs that were extrapolated against the same ones simulated in full: equal to 1e-9, counts
 * exactly. */
#include "programs/command.h"
#include "support/suite.h"

#include "base/clock.h"
#include <math.h>

#define ALLOWED 1e-9

struct deviation {
    double most;
    char path[128];
};

/* Idle seconds are a difference: they are as exact as the duration is. */
static double scale_of(const char *path, double value, double time_s)
{
    size_t length = strlen(path);
    return length > 7 && strcmp(path + length - 7, ".idle_s") == 0 ? time_s : fabs(value);
}

static void compare_numbers(const json_t *a, const json_t *b, const char *path, double time_s,
                            struct deviation *worst)
{
    double x = json_number_value(a), y = json_number_value(b);
    double scale = scale_of(path, y, time_s), d = fabs(x - y) / (scale > 0 ? scale : 1);
    bool whole = json_is_integer(a) && json_is_integer(b);
    if (whole ? json_integer_value(a) != json_integer_value(b) : !(d <= ALLOWED)) {
        printf("\n    %s: %.17g extrapolated, %.17g in full", path, x, y);
        CU_FAIL("an extrapolated number is not that of the full simulation");
    }
    if (x != y && d > worst->most) {
        worst->most = d;
        snprintf(worst->path, sizeof worst->path, "%s", path);
    }
}

/* Counted, or tried, in what was simulated; no part of the account. */
static bool is_of_what_ran(const char *path)
{
    return strncmp(path, ".engine.", 8) == 0 && strcmp(path, ".engine.name") != 0;
}

static void compare(json_t *a, json_t *b, const char *path, double time_s, struct deviation *worst)
{
    const char *key;
    char below[128];
    json_t *value;
    size_t i;
    if (json_is_object(a) && json_is_object(b)) {
        CU_ASSERT_EQUAL(json_object_size(a), json_object_size(b));
        json_object_foreach(a, key, value)
        {
            snprintf(below, sizeof below, "%.80s.%.40s", path, key);
            if (strcmp(below, ".extrapolated_iterations") != 0 && !is_of_what_ran(below))
                compare(value, json_object_get(b, key), below, time_s, worst);
        }
    } else if (json_is_array(a) && json_is_array(b)) {
        CU_ASSERT_EQUAL(json_array_size(a), json_array_size(b));
        json_array_foreach(a, i, value)
        {
            snprintf(below, sizeof below, "%.80s.%zu", path, i);
            compare(value, json_array_get(b, i), below, time_s, worst);
        }
    } else if (json_is_number(a) && json_is_number(b)) {
        compare_numbers(a, b, path, time_s, worst);
    } else if (!json_equal(a, b)) {
        printf("\n    %s differs", path);
        CU_FAIL("an extrapolated run is not the full one");
    }
}

/* How many runs of `line` were extrapolated; all of them are as `line --full` gives them. */
static int same_as_full(const char *line, int *count)
{
    char full[500];
    snprintf(full, sizeof full, "%s --full", line);
    json_t *a = command_result(line, 100), *b = command_result(full, 100), *run;
    CU_ASSERT_FATAL(a && b);
    json_t *runs = json_object_get(a, "runs");
    int extrapolated = 0;
    size_t i;
    *count = (int)json_array_size(runs);
    printf("\n    %s", line);
    json_array_foreach(runs, i, run)
    {
        json_t *other = json_array_get(json_object_get(b, "runs"), i);
        struct deviation worst = {0};
        double n = command_number(run, "extrapolated_iterations");
        compare(run, other, "", command_number(other, "time_s"), &worst);
        CU_ASSERT_EQUAL(command_number(other, "extrapolated_iterations"), 0);
        CU_ASSERT(n >= 0 && n < command_number(run, "iterations"));
        printf("\n      %-20s %4.0f of %4.0f extrapolated, deviation at most %.0e %s",
               command_text(run, "label"), n, command_number(run, "iterations"), worst.most,
               worst.path);
        extrapolated += n > 0;
    }
    json_decref(a);
    json_decref(b);
    return extrapolated;
}

#define REPEATS "ringsim tests/data/repeats.xml --set replicas.nodes=6 --set servers.nodes=7 "

/* Epochs of one batch have no more. */
#define ONE_IN_FLIGHT                                                                              \
    " --set ringtmp-2.in-flight=1 --set ringtmp-5.in-flight=1 --set pipedream-waiting.depth=1"

/* Epochs of 100 and 27 over. */
static void strategies_with_epochs_and_a_rest(void)
{
    int count;
    CU_ASSERT_EQUAL(same_as_full(REPEATS "--set nodes=5 --set stream-replicas.nodes=4", &count),
                    count);
}

static void strategies_in_one_epoch(void)
{
    int count;
    CU_ASSERT_EQUAL(same_as_full(REPEATS "--set nodes=5 --set stream-replicas.nodes=4"
                                         " --set samples=23000",
                                 &count),
                    count);
}

/* Epochs too short to become steady in: whole ones repeat. */
static void strategies_with_short_epochs(void)
{
    int count;
    CU_ASSERT_EQUAL(same_as_full(REPEATS "--set nodes=5 --set stream-replicas.nodes=4"
                                         " --set samples=115",
                                 &count),
                    count);
}

static void epochs_of_one_iteration(void)
{
    int count;
    CU_ASSERT_EQUAL(same_as_full(REPEATS "--set nodes=5 --set stream-replicas.nodes=4"
                                         " --set samples=23 --set iterations=40" ONE_IN_FLIGHT,
                                 &count),
                    count);
}

/* Where nodes are a little faster than others, becoming steady may take longer than the run. */
static void other_numbers_of_nodes(void)
{
    int count;
    CU_ASSERT(same_as_full(REPEATS "--set nodes=3 --set stream-replicas.nodes=6", &count) >=
              count - 2);
    CU_ASSERT(same_as_full(REPEATS "--set nodes=8 --set iterations=227", &count) >= count - 4);
}

static void the_formula(void)
{
    int count;
    CU_ASSERT(same_as_full("ringsim scenarios/formula.xml"
                           " --set platform=platforms/formula-quarter.xml",
                           &count) >= count - 2);
    CU_ASSERT_EQUAL(same_as_full("ringsim scenarios/formula.xml --strategy gpipe --strategy 1f1b"
                                 " --strategy ringtmp-S --strategy ringtmp-1 --set iterations=300"
                                 " --set platform=platforms/formula-four.xml --set samples=2000",
                                 &count),
                    count);
}

static double seconds_of(const char *line, json_t **result)
{
    double begin = rg_clock_s();
    *result = command_result(line, 100);
    double seconds = rg_clock_s() - begin;
    CU_ASSERT_PTR_NOT_NULL_FATAL(*result);
    return seconds;
}

static void a_million_iterations(void)
{
    json_t *few, *million, *run;
    size_t i;
    double short_s = seconds_of(REPEATS "--set nodes=5 --set stream-replicas.nodes=4"
                                        " --set iterations=300",
                                &few);
    double long_s = seconds_of(REPEATS "--set nodes=5 --set stream-replicas.nodes=4"
                                       " --set iterations=1000000",
                               &million);
    printf("\n    300 iterations: %.2f s, 1,000,000: %.2f s", short_s, long_s);
    json_array_foreach(json_object_get(million, "runs"), i, run)
    {
        json_t *other = json_array_get(json_object_get(few, "runs"), i);
        double epochs = 1000000.0 / 300;
        CU_ASSERT_EQUAL(command_number(run, "iterations"), 1000000);
        CU_ASSERT_EQUAL(command_number(run, "samples"), 23e6);
        CU_ASSERT(command_number(run, "extrapolated_iterations") >= 999000);
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "traffic.messages"),
                               epochs * command_number(other, "traffic.messages"), 0.01);
        CU_ASSERT_DOUBLE_EQUAL(
            command_number(run, "time_s") / (epochs * command_number(other, "time_s")), 1, 1e-9);
    }
    json_decref(few);
    json_decref(million);
}

static void nothing_is_extrapolated(const char *line)
{
    json_t *result = command_result(line, 100), *run;
    size_t i;
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    json_array_foreach(json_object_get(result, "runs"), i, run)
        CU_ASSERT_EQUAL(command_number(run, "extrapolated_iterations"), 0);
    json_decref(result);
}

static void what_must_be_simulated_is(void)
{
    nothing_is_extrapolated("ringsim tests/data/repeats.xml --set nodes=5 --strategy server"
                            " --set iterations=60 --set numerics=real");
    nothing_is_extrapolated("ringsim tests/data/repeats.xml --set nodes=5 --strategy server"
                            " --set iterations=60 --trace /dev/null");
    nothing_is_extrapolated("ringsim tests/data/repeats.xml --set nodes=5 --strategy server"
                            " --set iterations=5");
}

static void the_table_says_so(void)
{
    struct command_output output;
    const char *line = "ringsim tests/data/repeats.xml --set nodes=5 --strategy server";
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, " of 327 iterations extrapolated"));
    char full[200];
    snprintf(full, sizeof full, "%s --full", line);
    command_run(full, 60, &output);
    CU_ASSERT_PTR_NULL(strstr(output.out, "extrapolated"));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"epochs and a rest: as in full", strategies_with_epochs_and_a_rest},
        {"one long epoch: as in full", strategies_in_one_epoch},
        {"short epochs: as in full", strategies_with_short_epochs},
        {"epochs of one iteration: as in full", epochs_of_one_iteration},
        {"3 and 8 nodes: as in full", other_numbers_of_nodes},
        {"ideal boards: as in full", the_formula},
        {"a million iterations take as long as a few hundred", a_million_iterations},
        {"real numerics, traces and short runs are simulated in full", what_must_be_simulated_is},
        {"the table says what was extrapolated", the_table_says_so},
    };
    return suite_main("extrapolation", tests, sizeof tests / sizeof *tests, argc, argv);
}
