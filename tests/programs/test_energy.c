/* Joules of whole runs, worked out with a pencil. The boards of tests/data/energy-platform.xml idle
 * at 2 W, one busy core draws 1.5 W more, the switch 0.25 W, the port 1 W sending and 0.5 W
 * receiving at 1 MB/s; at half the clock the board draws half. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WITHIN  1e-6
#define PRODUCT (2.0 * 16 * 256 * 256 / 1e9) /* seconds of a product: batch 16, layers of 256 */
enum { ITERATIONS = 8, SAMPLES = 128, LAYERS = 16 };
static const char *const labels[] = {"single", "gpipe", "ringtmp", "server", "all-reduce"};

static json_t *all;

static void near(const char *what, double value, double wanted)
{
    bool good = fabs(value - wanted) <= WITHIN * fabs(wanted);
    if (!good)
        printf("\n    %s: %.12g, wanted %.12g\n", what, value, wanted);
    CU_ASSERT(good);
}

static json_t *run_of(const char *label)
{
    if (!all)
        all = command_result("ringsim tests/data/energy.xml", 60);
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    return command_run_of(all, label);
}

static double sum_of(json_t *run, const char *key)
{
    double sum = 0;
    size_t i;
    json_t *node;
    json_array_foreach(json_object_get(run, "per_node"), i, node) sum += command_number(node, key);
    return sum;
}

static double parts_of(json_t *run)
{
    return command_number(run, "energy_J.idle") + command_number(run, "energy_J.compute") +
           command_number(run, "energy_J.network") + command_number(run, "energy_J.switch");
}

/* Two products forward and four backward a layer, but for the input's gradient. */
static void one_node_by_hand(void)
{
    json_t *run = run_of("single");
    double seconds = ITERATIONS * (6 * LAYERS - 1) * PRODUCT;
    near("time", command_number(run, "time_s"), seconds);
    near("idle", command_number(run, "energy_J.idle"), 2 * seconds);
    near("compute", command_number(run, "energy_J.compute"), 1.5 * seconds);
    near("switch", command_number(run, "energy_J.switch"), 0.25 * seconds);
    CU_ASSERT_EQUAL(command_number(run, "energy_J.network"), 0);
    near("sample", command_number(run, "sample_J"), 3.75 * seconds / SAMPLES);
}

/* Of one worker more than servers: every iteration sends the network to each worker, and back. */
static void traffic_by_hand(void)
{
    double values = LAYERS * 2 * (256 * 256 + 256);
    json_t *run = run_of("server");
    double wire = command_number(run, "traffic.wire_bytes");
    CU_ASSERT(wire >= 4 * values * 4 * ITERATIONS);         /* two workers, to and fro */
    CU_ASSERT(wire <= 4 * values * 4 * ITERATIONS * 1.001); /* headers */
    near("network", command_number(run, "energy_J.network"), 1.5 * wire / 1e6);
}

static void every_strategy_from_its_times_and_bytes(void)
{
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        json_t *run = run_of(labels[i]);
        double time = command_number(run, "nodes") * command_number(run, "time_s");
        near("idle", command_number(run, "energy_J.idle"), 2 * time);
        near("switch", command_number(run, "energy_J.switch"), 0.25 * time);
        near("compute", command_number(run, "energy_J.compute"), 1.5 * sum_of(run, "busy_s"));
        near("network", command_number(run, "energy_J.network"),
             1.5 * command_number(run, "traffic.wire_bytes") / 1e6);
        CU_ASSERT_STRING_EQUAL(command_text(run, "energy_source"), "model");
    }
}

/* With a key the ports work for the records too, message by message as the counters have it. */
static void records_pass_the_ports(void)
{
    json_t *keyed = command_result("ringsim tests/data/energy.xml --set key-byte-s=1e-12", 60);
    CU_ASSERT_PTR_NOT_NULL_FATAL(keyed);
    for (size_t i = 1; i < RG_COUNT(labels); i++) {
        json_t *run = command_run_of(keyed, labels[i]);
        double wire = command_number(run, "traffic.wire_bytes");
        CU_ASSERT(wire > command_number(run_of(labels[i]), "traffic.wire_bytes"));
        near("network", command_number(run, "energy_J.network"), 1.5 * wire / 1e6);
    }
    json_decref(keyed);
}

static void parts_and_nodes_are_the_total(void)
{
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        json_t *run = run_of(labels[i]), *points = json_object_get(run, "training");
        double total = command_number(run, "energy_J.total");
        CU_ASSERT_EQUAL(parts_of(run), total); /* as printed */
        CU_ASSERT_DOUBLE_EQUAL(sum_of(run, "energy_J"), total, 1e-12 * total);
        CU_ASSERT_EQUAL(json_array_size(points), 2);
        CU_ASSERT_EQUAL(command_number(json_array_get(points, 1), "energy_J"), total);
        CU_ASSERT(command_number(json_array_get(points, 0), "energy_J") < total);
    }
}

static void threads_share_the_watts(void)
{
    static const double draws[] = {0, 1.5, 2, 2.5, 3};
    for (int threads = 2; threads <= 4; threads += 2) {
        char line[160];
        snprintf(line, sizeof line,
                 "ringsim tests/data/energy.xml --strategy single --set threads=%d", threads);
        json_t *result = command_result(line, 60), *run = command_run_of(result, "single");
        double seconds = ITERATIONS * (6 * LAYERS - 1) * PRODUCT / threads;
        near("time", command_number(run, "time_s"), seconds);
        near("compute", command_number(run, "energy_J.compute"), draws[threads] * seconds);
        near("idle", command_number(run, "energy_J.idle"), 2 * seconds);
        json_decref(result);
    }
}

/* ---- evaluation ---- */

static void evaluation_costs_nothing(void)
{
    json_t *result = command_result("ringsim tests/data/energy.xml --set numerics=skip", 60);
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        json_t *skipped = command_run_of(result, labels[i]), *real = run_of(labels[i]);
        CU_ASSERT_EQUAL(json_array_size(json_object_get(skipped, "training")), 0);
        CU_ASSERT(
            json_equal(json_object_get(skipped, "energy_J"), json_object_get(real, "energy_J")));
        CU_ASSERT(
            json_equal(json_object_get(skipped, "per_node"), json_object_get(real, "per_node")));
    }
    json_decref(result);
}

static void repetition(void)
{
    run_of("single");
    json_t *again = command_result("ringsim tests/data/energy.xml", 60);
    char *one = json_dumps(json_object_get(all, "runs"), 0);
    char *two = json_dumps(json_object_get(again, "runs"), 0);
    CU_ASSERT_STRING_EQUAL(one, two);
    free(one);
    free(two);
    json_decref(again);
}

static void joules_to_an_accuracy(void)
{
    json_t *result = command_result("ringsim tests/data/energy-stop.xml", 60);
    json_t *run = command_run_of(result, "gpipe"), *point, *points;
    size_t i, reached = 0;
    points = json_object_get(run, "training");
    json_array_foreach(points, i, point) if (command_number(point, "accuracy") >= 0.9)
    {
        reached++;
        CU_ASSERT_EQUAL(command_number(point, "energy_J"),
                        command_number(run, "to_accuracy.energy_J"));
    }
    CU_ASSERT_EQUAL(reached, 1); /* it ends the run */
    CU_ASSERT_EQUAL(command_number(run, "energy_J.total"),
                    command_number(run, "to_accuracy.energy_J"));
    CU_ASSERT_EQUAL(parts_of(run), command_number(run, "energy_J.total"));
    json_decref(result);
}

/* ---- clocks ---- */

static void half_the_clock(void)
{
    json_t *result = command_result("ringsim tests/data/energy.xml --set clock=5e8", 60);
    double seconds = 2 * ITERATIONS * (6 * LAYERS - 1) * PRODUCT;
    json_t *run = command_run_of(result, "single");
    near("time", command_number(run, "time_s"), seconds);
    near("idle", command_number(run, "energy_J.idle"), 1 * seconds);
    near("compute", command_number(run, "energy_J.compute"), 0.75 * seconds);
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        json_t *fast = run_of(labels[i]);
        run = command_run_of(result, labels[i]);
        double time = command_number(run, "nodes") * command_number(run, "time_s");
        CU_ASSERT(command_number(run, "time_s") > command_number(fast, "time_s"));
        near("idle", command_number(run, "energy_J.idle"), time);
        near("switch", command_number(run, "energy_J.switch"), 0.25 * time);
        near("compute", command_number(run, "energy_J.compute"), 0.75 * sum_of(run, "busy_s"));
        near("network", command_number(run, "energy_J.network"),
             command_number(fast, "energy_J.network"));
    }
    json_decref(result);
}

/* The second and the fourth of four boards at half their clock. */
static void clocks_of_groups(void)
{
    json_t *result = command_result("ringsim tests/data/energy-clocks.xml", 60);
    json_t *run = command_run_of(result, "gpipe"), *node;
    double seconds = command_number(run, "time_s");
    size_t rank;
    near("idle", command_number(run, "energy_J.idle"), 6 * seconds);
    near("switch", command_number(run, "energy_J.switch"), seconds);
    double compute = 0; /* each node sends as many messages as the others */
    double headers =
        command_number(run, "traffic.wire_bytes") - command_number(run, "traffic.payload_bytes");
    json_array_foreach(json_object_get(run, "per_node"), rank, node)
    {
        double half = rank % 2 ? 0.5 : 1, busy = half * 1.5 * command_number(node, "busy_s");
        double sent = command_number(node, "bytes_sent") + headers / 4;
        double received = command_number(node, "bytes_received") + headers / 4;
        compute += busy;
        near("node", command_number(node, "energy_J"),
             (half * 2 + 0.25) * seconds + busy + (sent + 0.5 * received) / 1e6);
    }
    near("compute", command_number(run, "energy_J.compute"), compute);
    json_decref(result);
    result = command_result("ringsim tests/data/energy-clocks.xml --set clock=1e9", 60);
    run = command_run_of(result, "gpipe"); /* an order for all boards replaces the groups */
    near("idle", command_number(run, "energy_J.idle"), 8 * command_number(run, "time_s"));
    CU_ASSERT(command_number(run, "time_s") < seconds);
    json_decref(result);
}

/* ---- power over time ---- */

/* The integral of the counter of a node; NAN if its dates fall or it does not end with 0 W. */
static double integral_of(json_t *events, int pid, const char *id)
{
    double sum = 0, date = 0, watts = 0;
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        if (strcmp(command_text(event, "ph"), "C") != 0 ||
            json_integer_value(json_object_get(event, "pid")) != pid ||
            strcmp(command_text(event, "id"), id) != 0)
            continue;
        double next = command_number(event, "ts") * 1e-6;
        if (next < date)
            return NAN;
        sum += watts * (next - date);
        date = next;
        watts = command_number(event, "args.W");
    }
    return watts == 0 ? sum : NAN;
}

static void integrates(const char *settings)
{
    char path[] = "/tmp/ringtmp-test-XXXXXX", line[300];
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    snprintf(line, sizeof line, "ringsim tests/data/energy.xml --set %s --trace %s", settings,
             path);
    json_t *result = command_result(line, 60), *trace = json_load_file(path, 0, NULL);
    unlink(path);
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        json_t *node, *run = command_run_of(result, labels[i]);
        size_t rank;
        json_array_foreach(json_object_get(run, "per_node"), rank, node)
        {
            char id[24];
            snprintf(id, sizeof id, "%zu", rank);
            near(labels[i], integral_of(json_object_get(trace, "traceEvents"), (int)i + 1, id),
                 command_number(node, "energy_J"));
        }
    }
    json_decref(trace);
    json_decref(result);
}

static void the_trace_integrates_to_the_joules(void)
{
    integrates("clock=5e8");
    integrates("threads=4");
    integrates("key-byte-s=1e-9");
    integrates("platform=tests/data/energy-messages-platform.xml");
}

static double last_joules(json_t *run)
{
    json_t *points = json_object_get(run, "training");
    return command_number(json_array_get(points, json_array_size(points) - 1), "energy_J");
}

/* Also in the middle of an epoch, where nothing is evaluated: of 24 iterations that cost the same,
 * after 16. */
static void checkpoints_have_the_joules_until_then(void)
{
    static const char run_it[] = "ringsim scenarios/iris-3.xml --strategy ring --set epochs=2";
    char folder[] = "/tmp/ringtmp-energy-XXXXXX", line[300];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(line, sizeof line, "%s --checkpoint %s --every 8iterations", run_it, folder);
    json_t *whole = command_result(line, 60), *run = command_run_of(whole, "ring");
    double joules = command_number(run, "energy_J.total");
    CU_ASSERT_EQUAL(command_number(run, "iterations"), 24);
    snprintf(line, sizeof line, "rm %s/checkpoint-24.json", folder);
    CU_ASSERT_EQUAL(system(line), 0);
    snprintf(line, sizeof line, "%s --resume-from %s", run_it, folder);
    json_t *rest = command_result(line, 60);
    run = command_run_of(rest, "ring");
    near("until then", command_number(run, "resumed.energy_J"), joules * 16 / 24);
    near("since then", command_number(run, "energy_J.total"), joules * 8 / 24);
    near("in all", last_joules(run), joules);
    json_decref(whole);
    json_decref(rest);
    snprintf(line, sizeof line, "rm -r %s", folder);
    CU_ASSERT_EQUAL(system(line), 0);
}

static void ringnode_has_no_joules_yet(void)
{
    json_t *result = command_result(
        "ringnode tests/data/energy.xml --local --strategy gpipe --set epochs=1", 60);
    json_t *run = command_run_of(result, "gpipe");
    CU_ASSERT_STRING_EQUAL(command_text(run, "energy_source"), "none");
    CU_ASSERT(isnan(command_number(run, "energy_J.total")));
    CU_ASSERT(isnan(command_number(run, "sample_J")));
    CU_ASSERT(
        isnan(command_number(json_array_get(json_object_get(run, "per_node"), 0), "energy_J")));
    json_decref(result);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"one node, with nothing but a pencil", one_node_by_hand},
        {"a server's traffic", traffic_by_hand},
        {"five strategies from their times and bytes", every_strategy_from_its_times_and_bytes},
        {"records of a key", records_pass_the_ports},
        {"parts and nodes sum to the total", parts_and_nodes_are_the_total},
        {"two and four threads", threads_share_the_watts},
        {"evaluation costs nothing", evaluation_costs_nothing},
        {"two runs are the same", repetition},
        {"joules to an accuracy", joules_to_an_accuracy},
        {"half the clock", half_the_clock},
        {"clocks of groups", clocks_of_groups},
        {"the trace integrates to the joules", the_trace_integrates_to_the_joules},
        {"checkpoints", checkpoints_have_the_joules_until_then},
        {"ringnode without a meter", ringnode_has_no_joules_yet},
    };
    int status = suite_main("energy", tests, (int)RG_COUNT(tests), argc, argv);
    json_decref(all);
    return status;
}
