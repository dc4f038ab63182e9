/* Faults delay training and change nothing else; ringnode refuses them. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define FAULTS "ringsim tests/data/faults.xml --set nodes=5"

/* The runs of `file` that the faulty result has too: later, with the same weights and traffic. */
static void compare(json_t *faulty, const char *line)
{
    json_t *good = command_result(line, 60), *run;
    size_t i;
    json_array_foreach(json_object_get(good, "runs"), i, run)
    {
        json_t *other = command_run_of(faulty, command_text(run, "label"));
        CU_ASSERT_STRING_EQUAL(command_text(other, "status"), "ok");
        CU_ASSERT_STRING_EQUAL(command_text(other, "weights_sha256"),
                               command_text(run, "weights_sha256"));
        CU_ASSERT_EQUAL(command_number(other, "traffic.values"),
                        command_number(run, "traffic.values"));
        CU_ASSERT_EQUAL(command_number(other, "memory_bytes.total"),
                        command_number(run, "memory_bytes.total"));
        CU_ASSERT_TRUE(command_number(other, "time_s") > command_number(run, "time_s"));
    }
    json_decref(good);
}

static void weights_stay_the_same(void)
{
    static const char *const exact[] = {"sequential", "gpipe", "1f1b", "1f1b-waiting"};
    json_t *faulty = command_result(FAULTS, 60);
    CU_ASSERT_PTR_NOT_NULL_FATAL(faulty);
    compare(faulty, "ringsim tests/data/matrix.xml --set nodes=5 --strategy single --strategy "
                    "sequential --strategy gpipe --strategy 1f1b --strategy 1f1b-waiting "
                    "--strategy single-1 --strategy ringtmp-1 --strategy ringtmp --strategy "
                    "pipedream --strategy all-reduce");
    compare(faulty, "ringsim tests/data/matrix-servers.xml --set nodes=5 --strategy server");
    const char *single = command_text(command_run_of(faulty, "single"), "weights_sha256");
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        CU_ASSERT_STRING_EQUAL(command_text(command_run_of(faulty, exact[i]), "weights_sha256"),
                               single);
    json_decref(faulty);
}

static void repetition_and_seeds(void)
{
    char *first = command_without_host(FAULTS, 60),
         *second = command_without_host(FAULTS " --jobs 1", 60);
    char *other = command_without_host(FAULTS " --set seed=4 --set numerics=skip", 60);
    CU_ASSERT_STRING_EQUAL(first, second);
    free(first);
    free(second);
    json_t *a = json_loads(other, 0, NULL);
    json_t *b = command_result(FAULTS " --set numerics=skip", 60);
    json_t *c = command_result(FAULTS, 60), *run;
    size_t i;
    json_array_foreach(json_object_get(b, "runs"), i, run)
    {
        const char *label = command_text(run, "label");
        CU_ASSERT_NOT_EQUAL(command_number(command_run_of(a, label), "time_s"),
                            command_number(run, "time_s"));
        CU_ASSERT_EQUAL(command_number(command_run_of(c, label), "time_s"),
                        command_number(run, "time_s"));
        CU_ASSERT_EQUAL(command_number(command_run_of(c, label), "iteration_s.p95"),
                        command_number(run, "iteration_s.p95"));
    }
    json_decref(a);
    json_decref(b);
    json_decref(c);
    free(other);
}

/* Who is late is the same in both engines. */
static void late_clients_are_left_out(void)
{
    static const char line[] = "ringsim tests/data/matrix-federated.xml --set nodes=6 --set "
                               "jitter=0.9 --set fedavg-limited.round-limit=0.0055 --engine ";
    double left_out[2], own = 0;
    static const char *const engines[] = {"simgrid", "calendar"};
    for (int i = 0; i < 2; i++) {
        char all[300];
        snprintf(all, sizeof all, "%s%s --strategy fedavg-limited", line, engines[i]);
        json_t *result = command_result(all, 60), *node;
        json_t *run = command_run_of(result, "fedavg-limited");
        size_t k;
        left_out[i] = command_number(run, "rounds.left_out");
        own = 0;
        json_array_foreach(json_object_get(run, "per_node"), k, node) if (k > 0) own +=
            command_number(node, "own.left_out");
        CU_ASSERT(left_out[i] > 0 && left_out[i] < command_number(run, "rounds.drawn"));
        CU_ASSERT_EQUAL(own, left_out[i]);
        json_decref(result);
    }
    CU_ASSERT_EQUAL(left_out[0], left_out[1]);
}

/* jitter as a key is the spread of <jitter>, and 0 is none. */
static void jitter_as_a_key(void)
{
    json_t *written = command_result(FAULTS " --set numerics=skip", 60);
    json_t *same = command_result(FAULTS " --set numerics=skip --set jitter=0.5", 60);
    json_t *none = command_result(FAULTS " --set numerics=skip --set jitter=0", 60), *run;
    size_t i;
    CU_ASSERT_FATAL(written && same && none);
    json_array_foreach(json_object_get(written, "runs"), i, run)
    {
        const char *label = command_text(run, "label");
        double time = command_number(run, "time_s");
        CU_ASSERT_EQUAL(command_number(command_run_of(same, label), "time_s"), time);
        CU_ASSERT_NOT_EQUAL(command_number(command_run_of(none, label), "time_s"), time);
    }
    json_decref(written);
    json_decref(same);
    json_decref(none);
}

/* A node without power from 0.1 to 0.3 s, noticed at 0.15 s: training begins anew at 0.3 s where it
 * is waited for, else at once; in both engines alike. kept: the others have all of the state. */
static void nodes_are_off(const char *label, const char *lose, double begins_s, int nodes,
                          bool kept)
{
    static const char *const engines[] = {"simgrid", "calendar"};
    char line[300];
    snprintf(line, sizeof line, "ringsim tests/data/off.xml --set nodes=3 --strategy %s --lose %s",
             label, lose);
    double again[2], whole_s[2];
    for (int i = 0; i < 2; i++) {
        char all[340];
        snprintf(all, sizeof all, "%s --engine %s", line, engines[i]);
        json_t *result = command_result(all, 60), *run = command_run_of(result, label);
        json_t *losses = json_object_get(run, "losses"), *loss = json_array_get(losses, 0);
        CU_ASSERT_EQUAL_FATAL(json_array_size(losses), 1);
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
        CU_ASSERT_STRING_EQUAL(command_text(loss, "did"), lose);
        CU_ASSERT_EQUAL(command_number(loss, "node"), 1);
        CU_ASSERT_EQUAL(command_number(loss, "nodes"), nodes);
        CU_ASSERT_DOUBLE_EQUAL(command_number(loss, "time_s"), 0.15, 1e-9);
        double done = command_number(loss, "iteration");
        again[i] = command_number(loss, "again");
        CU_ASSERT(done > 0);
        CU_ASSERT_EQUAL(command_number(loss, "from_iteration"), kept ? done : 0);
        CU_ASSERT_EQUAL(again[i], kept ? 0 : done);
        double begun_s = command_number(run, "resumed.time_s");
        double recovered_s = 0.15 + command_number(loss, "recovery_s");
        double since_s = begins_s;
        CU_ASSERT(recovered_s > since_s);
        CU_ASSERT(recovered_s < since_s + 0.01 + command_number(run, "iteration_s.max"));
        if (strcmp(lose, "restart") != 0) { /* until the lost one is there again */
            CU_ASSERT_EQUAL(command_number(run, "resumed.iteration"),
                            command_number(loss, "back_iteration"));
            since_s = command_number(loss, "back_s");
        }
        CU_ASSERT(begun_s > since_s && begun_s < since_s + 0.005);
        whole_s[i] = begun_s + command_number(run, "time_s");
        json_decref(result);
    }
    CU_ASSERT_EQUAL(again[0], again[1]);
    CU_ASSERT_DOUBLE_EQUAL(whole_s[0], whole_s[1], 1e-9);
}

/* A loss is dated when connections tell of it; that others were at a computation until then is a
 * part of what it costs, whether rank 0 waits for them (all-reduce) or for the node that is lost
 * (ring). */
static void losses_wait_for_computations(void)
{
    static const char *const labels[] = {"ring", "all-reduce"};
    for (int i = 0; i < 2; i++) {
        char line[160];
        snprintf(line, sizeof line,
                 "ringsim tests/data/off-slow.xml --set nodes=3 --lose shrink --strategy %s",
                 labels[i]);
        json_t *result = command_result(line, 60), *run = command_run_of(result, labels[i]);
        json_t *loss = json_array_get(json_object_get(run, "losses"), 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(loss);
        double begun_s = command_number(run, "resumed.time_s");
        CU_ASSERT_DOUBLE_EQUAL(command_number(loss, "time_s"), 0.1, 1e-9);
        CU_ASSERT(begun_s > 1); /* the slow one's computation */
        CU_ASSERT_DOUBLE_EQUAL(0.1 + command_number(loss, "recovery_s"),
                               begun_s + command_number(run, "iteration_s.max"), 1e-6);
        json_decref(result);
    }
}

static void nodes_lose_their_power(void)
{
    struct command_output output;
    nodes_are_off("ring", "restart", 0.3, 3, false);
    nodes_are_off("ring", "shrink", 0.15, 2, false);
    nodes_are_off("all-reduce", "spare", 0.15, 3, true);
    command_run("ringsim tests/data/off.xml --set nodes=3 --strategy ring --quiet", 60, &output);
    CU_ASSERT_EQUAL(output.status, 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "rank 1 (node-1) lost its power"));
    json_t *drawn =
        command_result("ringsim tests/data/off.xml --set nodes=3 --strategy ring --lose "
                       "restart --set mtbf=1 --set repair=0.01 --set noticed=0",
                       60);
    json_t *run = command_run_of(drawn, "ring");
    CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
    CU_ASSERT(json_array_size(json_object_get(run, "losses")) > 1);
    json_decref(drawn);
}

#define THREE "label=\"run\" kind=\"ring_allreduce\" nodes=\"3\""

/* A scenario in a file of its own: what is said of training beside batch and epochs, the strategy,
 * and what is in <faults>. */
static const char *scenario_of(const char *training, const char *strategy, const char *faults)
{
    char text[1200];
    snprintf(text, sizeof text,
             "<scenario name=\"off\" seed=\"5\">\n"
             "  <platform file=\"" RG_SOURCE_DIR "/platforms/pi4-gigabit-64.xml\"/>\n"
             "  <network file=\"" RG_SOURCE_DIR "/tests/data/odd-widths.xml\"/>\n"
             "  <data kind=\"random\" train=\"120\" test=\"20\" inputs=\"19\" classes=\"5\"/>\n"
             "  <training batch=\"24\" learning-rate=\"0.05\" %s/>\n"
             "  <strategy %s/>\n"
             "  <faults %s</faults>\n"
             "</scenario>\n",
             training, strategy, faults);
    return scratch_text("off.xml", text);
}

/* Wherever in an iteration one of these nodes is lost, and some have taken its step and others not:
 * those that are left go on from what they have, to the weights of an undisturbed run. */
static void all_is_had(const char *strategy, int first, int nodes)
{
    enum { DATES = 48 };
    char faults[120] = "noticed=\"0\">", line[300];
    double began_s = 0, iteration_s = 0;
    json_t *whole = NULL;
    for (int i = 0; i <= DATES; i++) {
        snprintf(line, sizeof line, "ringsim %s --engine calendar%s",
                 scenario_of("epochs=\"4\" optimizer=\"momentum\"", strategy, faults),
                 whole ? " --lose spare" : "");
        json_t *result = command_result(line, 60), *run = command_run_of(result, "run");
        CU_ASSERT_PTR_NOT_NULL_FATAL(run);
        if (whole) {
            json_t *loss = json_array_get(json_object_get(run, "losses"), 0);
            CU_ASSERT_STRING_EQUAL(command_text(loss, "state"), "copies");
            CU_ASSERT_EQUAL(command_number(loss, "again"), 0);
            CU_ASSERT_STRING_EQUAL(command_text(run, "weights_sha256"),
                                   command_text(command_run_of(whole, "run"), "weights_sha256"));
            json_decref(result);
        } else {
            whole = result;
            iteration_s = command_number(run, "iteration_s.mean");
            began_s = 8 * iteration_s;
        }
        snprintf(faults, sizeof faults, "noticed=\"0\"><off nodes=\"%d\" from=\"%.9f\"/>",
                 first + i % nodes, began_s + i * iteration_s / DATES);
    }
    json_decref(whole);
    scratch_remove();
}

static void all_is_had_by_any(void)
{
    all_is_had("label=\"run\" kind=\"ring_allreduce\" nodes=\"3\" buckets=\"2\"", 0, 3);
}

/* Of several servers some may have the sums of a clock before others have; whoever has taken the
 * step of them knows that all have. Of one server all but itself can be lost. */
static void all_is_had_by_servers(void)
{
    all_is_had("label=\"run\" kind=\"parameter_server\" nodes=\"5\" servers=\"3\" "
               "replication=\"1\"",
               0, 5);
    all_is_had("label=\"run\" kind=\"parameter_server\" nodes=\"6\" servers=\"4\" "
               "replication=\"2\"",
               0, 4);
    all_is_had("label=\"run\" kind=\"parameter_server\" nodes=\"3\"", 1, 2);
}

/* [nodes of the platform that train]: samples of its own that each has, by its host; -1: it is not
 * there, or a server. */
static json_t *rows_of(const char *faults, const char *more, double rows[5])
{
    char line[300];
    snprintf(line, sizeof line, "ringsim %s %s --set rows=dirichlet --set batch=120",
             scenario_of("epochs=\"60\"",
                         "label=\"run\" kind=\"fedavg\" nodes=\"5\" fraction=\"1\" "
                         "local-batch=\"10\" round-limit=\"0.5\"",
                         faults),
             more);
    json_t *result = command_result(line, 60), *run = command_run_of(result, "run");
    json_t *nodes = json_object_get(run, "per_node");
    for (int i = 0; i < 5; i++)
        rows[i] = -1;
    for (size_t i = 1; i < json_array_size(nodes); i++) {
        json_t *node = json_array_get(nodes, i);
        int host = -1;
        CU_ASSERT_EQUAL_FATAL(sscanf(command_text(node, "host"), "node-%d", &host), 1);
        rows[host] = command_number(node, "own.samples");
    }
    return result;
}

/* A client that is lost is left out with its rows, until it is there again; the others keep theirs.
 * Whoever serves in the server's place has no use for its own, which that one takes over. */
static void rows_stay(void)
{
    static const struct {
        const char *faults;
        int server, lost, takes_over; /* nodes; -1: none */
    } cases[] = {{"noticed=\"0\"><off nodes=\"2\" from=\"0.05\"/>", 0, 2, -1},
                 {"noticed=\"0\"><off nodes=\"2\" from=\"0.05\" to=\"0.1\"/>", 0, -1, -1},
                 {"noticed=\"0\"><off nodes=\"0\" from=\"0.05\"/>", 1, 0, -1},
                 {"noticed=\"0\"><off nodes=\"0\" from=\"0.05\" to=\"0.1\"/>", 1, -1, 0},
                 {"noticed=\"0\"><off nodes=\"0\" from=\"0.05\" to=\"0.1\"/>"
                  "<off nodes=\"1\" from=\"0.05\"/>",
                  2, 1, 0}};
    double before[5], after[5];
    json_decref(rows_of("noticed=\"0\">", "", before));
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        json_t *result = rows_of(cases[i].faults, "--lose shrink", after);
        json_t *run = command_run_of(result, "run");
        json_t *loss = json_array_get(json_object_get(run, "losses"), 0);
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
        CU_ASSERT_STRING_EQUAL(command_text(loss, "state"),
                               cases[i].server == 0 ? "copies" : "beginning");
        for (int node = 0; node < 5; node++) {
            bool out = node == cases[i].server || node == cases[i].lost;
            double wanted = out                           ? -1
                            : node == cases[i].takes_over ? before[cases[i].server]
                                                          : before[node];
            CU_ASSERT_EQUAL(after[node], wanted);
        }
        json_decref(result);
    }
    scratch_remove();
}

static json_t *lossy(const char *words, const char *label, const char *more)
{
    char line[400];
    snprintf(line, sizeof line, "ringsim tests/data/off.xml --set nodes=3 --strategy %s %s %s",
             label, words, more);
    return command_result(line, 60);
}

/* Dates, joules and what is done again are those of checkpoints that are written, to the bit; none
 * is. The time of all attempts has the pauses, but that after the last iteration. */
static void numbers_do_not_matter(void)
{
    static const char *const loses[] = {"--lose restart", "--lose shrink", "--lose spare"};
    static const char *const labels[] = {"ring", "all-reduce"};
    static const char *const same[] = {"time_s",
                                       "whole.time_s",
                                       "whole.energy_J",
                                       "resumed.time_s",
                                       "resumed.iteration",
                                       "checkpoints.pause_s",
                                       "checkpoints.time_s",
                                       "checkpoints.written"};
    char folder[] = "/tmp/ringtmp-faults-XXXXXX", real_words[120], skip_words[120], clear[60];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(skip_words, sizeof skip_words,
             "--set numerics=skip --every 20iterations --checkpoint %s/none", folder);
    snprintf(real_words, sizeof real_words, "--every 20iterations --checkpoint %s/some", folder);
    snprintf(clear, sizeof clear, "rm -rf %s/some", folder);
    for (size_t i = 0; i < 6; i++) {
        json_t *real = lossy(loses[i / 2], labels[i % 2], real_words);
        json_t *skip = lossy(loses[i / 2], labels[i % 2], skip_words);
        CU_ASSERT_FATAL(real && skip);
        json_t *a = command_run_of(real, labels[i % 2]), *b = command_run_of(skip, labels[i % 2]);
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            CU_ASSERT_EQUAL(command_number(a, same[k]), command_number(b, same[k]));
        json_t *losses = json_object_get(a, "losses");
        CU_ASSERT_EQUAL(json_array_size(losses), 1);
        CU_ASSERT(json_equal(losses, json_object_get(b, "losses")));
        CU_ASSERT(command_number(a, "resumed.iteration") > 0);
        CU_ASSERT_FALSE(json_is_true(json_object_get(json_object_get(a, "checkpoints"), "hollow")));
        CU_ASSERT(json_is_true(json_object_get(json_object_get(b, "checkpoints"), "hollow")));
        double written = command_number(b, "checkpoints.written");
        double pauses_s = command_number(b, "checkpoints.pause_s") * (written - 1) / written;
        double timed_s = command_number(b, "resumed.time_s") + command_number(b, "time_s");
        CU_ASSERT_DOUBLE_EQUAL(command_number(b, "whole.time_s"), timed_s + pauses_s, 1e-9);
        json_decref(real);
        json_decref(skip);
        CU_ASSERT_EQUAL(system(clear), 0);
    }
    CU_ASSERT_EQUAL(rmdir(folder), 0); /* nothing is in it */
}

/* What was on its way to the card of a node that lost its power is not there; what is there has to
 * be read. */
static void the_card_has_what_is_written(void)
{
    char folder[] = "/tmp/ringtmp-faults-XXXXXX", real[160], clear[60];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(real, sizeof real, "simgrid --set numerics=real --checkpoint %s", folder);
    snprintf(clear, sizeof clear, "rm -r %s", folder);
    const char *const ways[] = {"simgrid", "calendar", real};
    double whole_s[3];
    for (int i = 0; i < 3; i++) {
        char line[260];
        snprintf(line, sizeof line, "ringsim tests/data/off-first.xml --engine %s", ways[i]);
        json_t *result = command_result(line, 60), *run = command_run_of(result, "ring");
        json_t *losses = json_object_get(run, "losses");
        CU_ASSERT_EQUAL_FATAL(json_array_size(losses), 3);
        json_t *first = json_array_get(losses, 0), *second = json_array_get(losses, 1);
        json_t *third = json_array_get(losses, 2);
        CU_ASSERT(command_number(first, "iteration") >= 20);
        CU_ASSERT_EQUAL(command_number(first, "from_iteration"), 0);
        CU_ASSERT(isnan(command_number(second, "from_iteration"))); /* which did not begin */
        CU_ASSERT_EQUAL(command_number(third, "from_iteration"), 20);
        CU_ASSERT_EQUAL(command_number(third, "node"), 1);
        CU_ASSERT_DOUBLE_EQUAL(command_number(third, "time_s"), 0.202, 1e-9);
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
        CU_ASSERT_EQUAL(command_number(run, "iterations"), 200);
        CU_ASSERT(json_is_true(json_object_get(json_object_get(run, "resumed"), "exact")));
        double bytes = command_number(run, "checkpoints.bytes"); /* of a file somewhat more */
        double read_s = (i < 2 ? bytes : bytes * 0.8) / 10e6;    /* rg_disk_rate */
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "resumed.time_s"), 0.3 + read_s, 0.005);
        CU_ASSERT(command_number(run, "resumed.time_s") > 0.3 + read_s);
        whole_s[i] = command_number(run, "whole.time_s");
        json_decref(result);
    }
    CU_ASSERT_DOUBLE_EQUAL(whole_s[0], whole_s[1], 1e-9);
    CU_ASSERT_EQUAL(whole_s[0], whole_s[2]);
    CU_ASSERT_EQUAL(system(clear), 0);
}

/* While a node is repaired the two others idle; so does a spare until it is wanted. */
static void those_that_wait_draw(void)
{
    double joules[4], seconds[4], watts = 0;
    static const char *const words[] = {"--lose restart --set mtbf=0.9 --set repair=0.5",
                                        "--lose restart --set mtbf=0.9 --set repair=2.5",
                                        "--lose spare --set spares=2",
                                        "--lose spare --set spares=6"};
    for (int i = 0; i < 4; i++) {
        json_t *result = lossy(words[i], "ring", "--set numerics=skip --set noticed=0.01");
        json_t *run = command_run_of(result, "ring");
        joules[i] = command_number(run, "whole.energy_J");
        seconds[i] = command_number(run, "whole.time_s");
        double idle_J =
            command_number(run, "energy_J.idle") + command_number(run, "energy_J.switch");
        watts = idle_J / command_number(run, "time_s") / 3; /* of one node */
        CU_ASSERT_EQUAL(json_array_size(json_object_get(run, "losses")), 1);
        json_decref(result);
    }
    CU_ASSERT(seconds[1] > seconds[0] + 1);
    CU_ASSERT_DOUBLE_EQUAL(joules[1] - joules[0], 2 * watts * (seconds[1] - seconds[0]), 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(seconds[3], seconds[2], 1e-6); /* they are told of */
    CU_ASSERT_DOUBLE_EQUAL(joules[3] - joules[2], 4 * watts * seconds[2], 1e-5);
}

static void it_is_given_up(void)
{
    struct command_output output;
    command_run("ringsim tests/data/off.xml --set nodes=3 --strategy ring --lose restart --quiet "
                "--set numerics=skip --set give-up=0.14",
                60, &output);
    CU_ASSERT_EQUAL(output.status, 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "given up (give-up=\"0.14\""));
    json_t *result = lossy("--lose restart --set give-up=0.16", "ring", "--set numerics=skip");
    CU_ASSERT_STRING_EQUAL(command_text(command_run_of(result, "ring"), "status"), "ok");
    json_decref(result);
}

/* A node whose power is back at 0.3 s joins at the end of that epoch (5 iterations), given what the
 * others have, or where each has something of its own the checkpoint; not where there is none, or
 * another waits for a place. */
static void nodes_come_back(void)
{
    static const struct {
        const char *words, *label, *state;
    } ways[] = {
        {"--lose shrink", "all-reduce", "copies"},
        {"--lose spare", "all-reduce", "copies"},
        {"--lose spare --set spares=2", "all-reduce", NULL},
        {"--lose shrink --set numerics=skip", "all-reduce", "copies"},
        {"--lose shrink --set ring.backup=1", "ring", "copies"},
        {"--lose shrink --set numerics=skip --set checkpoint-every=20iterations", "ring", "copies"},
        {"--lose shrink", "ring", "copies"},
        {"--lose shrink --set all-reduce.shard=3", "all-reduce", "copies"},
        {"--lose shrink --set checkpoint-every=20iterations --set numerics=skip "
         "--set all-reduce.compress=top-k",
         "all-reduce", "checkpoint"},
        {"--lose shrink --set all-reduce.compress=top-k", "all-reduce", NULL}};
    static const char *const engines[] = {"--engine simgrid", "--engine calendar"};
    for (size_t i = 0; i < RG_COUNT(ways); i++) {
        double whole_s[2], joules[2];
        for (int k = 0; k < 2; k++) {
            json_t *result = lossy(ways[i].words, ways[i].label, engines[k]);
            json_t *run = command_run_of(result, ways[i].label);
            json_t *losses = json_object_get(run, "losses"), *loss = json_array_get(losses, 0);
            CU_ASSERT_EQUAL_FATAL(json_array_size(losses), 1);
            CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
            CU_ASSERT_EQUAL(command_number(run, "iterations"), 200);
            CU_ASSERT_EQUAL(command_number(run, "nodes"),
                            ways[i].state || strstr(ways[i].words, "spare") ? 3 : 2);
            double back_s = command_number(loss, "back_s");
            double back = command_number(loss, "back_iteration");
            CU_ASSERT_EQUAL(isnan(back_s), !ways[i].state);
            if (ways[i].state) {
                double epoch_s = 5 * command_number(run, "iteration_s.max");
                bool skipped = strstr(ways[i].words, "numerics=skip");
                CU_ASSERT_EQUAL(json_array_size(json_object_get(run, "training")),
                                skipped ? 0 : 40);
                CU_ASSERT(back_s > 0.3 && back_s < 0.3 + 1.5 * epoch_s + 0.001);
                CU_ASSERT_EQUAL(fmod(back, 5), 0);
                CU_ASSERT_EQUAL(command_number(run, "resumed.iteration"), back);
                CU_ASSERT_EQUAL(strcmp(command_text(run, "resumed.from"), "the nodes' copies") == 0,
                                strcmp(ways[i].state, "copies") == 0);
            }
            whole_s[k] = command_number(run, "whole.time_s");
            joules[k] = command_number(run, "whole.energy_J");
            json_decref(result);
        }
        CU_ASSERT_DOUBLE_EQUAL(whole_s[0], whole_s[1], 1e-9);
        CU_ASSERT_DOUBLE_EQUAL(joules[0], joules[1], 1e-9 * joules[0]);
    }
}

/* A node that is there again before the others go on is with them at once; its loss is told of. */
static void back_at_once(void)
{
    char line[300];
    snprintf(line, sizeof line, "ringsim %s",
             scenario_of("epochs=\"40\" lose=\"shrink\"", THREE,
                         "noticed=\"0.05\"><off nodes=\"1\" from=\"0.1\" to=\"0.11\"/>"));
    json_t *result = command_result(line, 60), *run = command_run_of(result, "run");
    json_t *losses = json_object_get(run, "losses"), *loss = json_array_get(losses, 0);
    CU_ASSERT_EQUAL_FATAL(json_array_size(losses), 1);
    CU_ASSERT_EQUAL(command_number(run, "nodes"), 3);
    CU_ASSERT_EQUAL(command_number(loss, "nodes"), 3);
    CU_ASSERT_EQUAL(command_number(loss, "again"), 0);
    CU_ASSERT_EQUAL(command_number(loss, "back_iteration"), command_number(loss, "iteration"));
    CU_ASSERT(command_number(loss, "back_s") >= 0.15 && command_number(loss, "back_s") < 0.155);
    CU_ASSERT(command_number(loss, "recovery_s") < 0.01);
    json_decref(result);
    scratch_remove();
}

/* Who has come back waits for the loss of another. */
static void returned_nodes_are_spares(void)
{
    static const char training[] = "epochs=\"40\" lose=\"spare\" spares=\"1\"";
    static const char *const again[] = {
        "noticed=\"0\"><off nodes=\"1\" from=\"0.05\" to=\"0.1\"/><off nodes=\"1\" from=\"0.18\"/>",
        "noticed=\"0\"><off nodes=\"1\" from=\"0.05\" to=\"0.1\"/><off nodes=\"2\" "
        "from=\"0.18\"/>"};
    char line[300];
    struct command_output output;
    snprintf(line, sizeof line, "ringsim %s --quiet",
             scenario_of(training, THREE,
                         "noticed=\"0\"><off nodes=\"1\" from=\"0.05\"/><off nodes=\"2\" "
                         "from=\"0.18\"/>"));
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "no spare node is left"));
    for (int node = 1; node <= 2; node++) { /* itself, or another */
        scenario_of(training, THREE, again[node - 1]);
        json_t *result = command_result(line, 60), *run = command_run_of(result, "run");
        json_t *losses = json_object_get(run, "losses"), *first = json_array_get(losses, 0);
        CU_ASSERT_EQUAL(json_array_size(losses), node); /* a node that waits has nothing to lose */
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
        CU_ASSERT(command_number(first, "back_s") > 0.1 && command_number(first, "back_s") < 0.13);
        if (node == 2) {
            CU_ASSERT_STRING_EQUAL(command_text(json_array_get(losses, 1), "state"), "copies");
            CU_ASSERT(isnan(command_number(json_array_get(losses, 1), "back_s")));
        }
        json_decref(result);
    }
    scratch_remove();
}

/* Whose power is back draws until it joins, and where it never does until the end. */
static void returned_nodes_draw(void)
{
    double joules[2], seconds = 0, watts = 0;
    for (int i = 0; i < 2; i++) {
        static const char *const faults[] = {
            "noticed=\"0.05\"><off nodes=\"1\" from=\"0.1\" to=\"0.2\"/>",
            "noticed=\"0.05\"><off nodes=\"1\" from=\"0.1\" to=\"100\"/>"};
        char line[300];
        snprintf(line, sizeof line, "ringsim %s",
                 scenario_of("epochs=\"40\" lose=\"spare\" spares=\"2\"",
                             "label=\"ring\" kind=\"ring_pipeline\" nodes=\"3\"", faults[i]));
        json_t *result = command_result(line, 60), *run = command_run_of(result, "ring");
        double idle_J =
            command_number(run, "energy_J.idle") + command_number(run, "energy_J.switch");
        watts = idle_J / command_number(run, "time_s") / 3; /* of one node */
        seconds = command_number(run, "whole.time_s");
        joules[i] = command_number(run, "whole.energy_J");
        json_decref(result);
    }
    CU_ASSERT(seconds > 0.25);
    CU_ASSERT_DOUBLE_EQUAL(joules[0] - joules[1], watts * (seconds - 0.2), 1e-6);
    scratch_remove();
}

/* A checkpoint that is older than what nodes have takes no time to read (6.6 ms). */
static void what_is_not_wanted_is_not_read(void)
{
    json_t *result = lossy("--lose spare --set numerics=skip --set checkpoint-every=20iterations",
                           "all-reduce", "");
    json_t *run = command_run_of(result, "all-reduce");
    json_t *loss = json_array_get(json_object_get(run, "losses"), 0);
    CU_ASSERT_EQUAL(command_number(run, "checkpoints.bytes"), 65616);
    CU_ASSERT_STRING_EQUAL(command_text(loss, "state"), "copies");
    CU_ASSERT(command_number(loss, "recovery_s") < 0.01);
    json_decref(result);
}

/* A node that is lost just when the others begin anew without another one. */
static void one_after_the_other(void)
{
    for (int node = 2; node < 4; node++) {
        char faults[140], line[300];
        snprintf(faults, sizeof faults,
                 "noticed=\"0.05\"><off nodes=\"1\" from=\"0.1\"/><off nodes=\"%d\" "
                 "from=\"0.15\"/>",
                 node);
        snprintf(line, sizeof line, "ringsim %s --quiet",
                 scenario_of("epochs=\"40\" lose=\"shrink\"",
                             "label=\"run\" kind=\"ring_allreduce\" nodes=\"4\"", faults));
        json_t *result = command_result(line, 60), *run = command_run_of(result, "run");
        json_t *losses = json_object_get(run, "losses"), *second = json_array_get(losses, 1);
        CU_ASSERT_EQUAL_FATAL(json_array_size(losses), 2);
        CU_ASSERT_EQUAL(command_number(run, "nodes"), 2);
        CU_ASSERT_EQUAL(command_number(run, "iterations"), 200);
        CU_ASSERT_EQUAL(command_number(second, "node"), node);
        CU_ASSERT_DOUBLE_EQUAL(command_number(second, "time_s"), 0.2, 1e-9);
        CU_ASSERT_EQUAL(command_number(second, "again"), 0);
        json_decref(result);
    }
    scratch_remove();
}

/* A sweep goes on from runs that have lost nodes. */
static void shrunk_runs_are_taken_over(void)
{
    char folder[] = "/tmp/ringtmp-faults-XXXXXX", line[200], clear[60];
    struct command_output output;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(line, sizeof line, "ringsim tests/data/off-sweep.xml --quiet --resume --json %s/r",
             folder);
    snprintf(clear, sizeof clear, "rm -r %s", folder);
    for (int i = 0; i < 2; i++) {
        command_run(line, 60, &output);
        CU_ASSERT_EQUAL(output.status, 0);
    }
    snprintf(line, sizeof line, "%s/r", folder);
    json_t *result = json_load_file(line, 0, NULL), *run;
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    size_t i;
    json_array_foreach(json_object_get(result, "runs"), i, run)
    {
        json_t *loss = json_array_get(json_object_get(run, "losses"), 0);
        CU_ASSERT_EQUAL(command_number(run, "nodes"), 2);
        CU_ASSERT_EQUAL(command_number(loss, "from_iteration"), i == 0 ? 40 : 0);
    }
    CU_ASSERT_EQUAL(i, 2);
    json_decref(result);
    CU_ASSERT_EQUAL(system(clear), 0);
}

static void expect_refusal(const char *line, const char *words)
{
    struct command_output output;
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, words));
    CU_ASSERT_PTR_EQUAL(strchr(output.err, '\n'), output.err + strlen(output.err) - 1);
}

static void only_simulated(void)
{
    struct command_output output;
    expect_refusal("ringnode tests/data/faults.xml --local 3",
                   "faults.xml:8: <faults> are simulated only");
    expect_refusal("ringsim tests/data/faults.xml --set platform=platforms/pi4-gigabit-3.xml",
                   "rank 3 of a platform of 3 hosts; 0 to 2 are allowed");
    command_run("ringsim tests/data/faults.xml --check --set nodes=5", 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "jitter up to 50 %"));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"faults change dates and nothing else", weights_stay_the_same},
        {"the same seed gives the same bytes, with and without numerics", repetition_and_seeds},
        {"late clients are left out", late_clients_are_left_out},
        {"jitter as a key", jitter_as_a_key},
        {"nodes lose their power", nodes_lose_their_power},
        {"any that is left has all of the state", all_is_had_by_any},
        {"servers that are left have all of it", all_is_had_by_servers},
        {"clients keep their rows", rows_stay},
        {"losses wait for computations", losses_wait_for_computations},
        {"checkpoints without numbers take as long", numbers_do_not_matter},
        {"what is not wanted is not read", what_is_not_wanted_is_not_read},
        {"one after the other", one_after_the_other},
        {"nodes come back", nodes_come_back},
        {"back at once", back_at_once},
        {"nodes that are back are spares", returned_nodes_are_spares},
        {"nodes that are back draw", returned_nodes_draw},
        {"the card has what is written", the_card_has_what_is_written},
        {"those that wait draw power", those_that_wait_draw},
        {"a training is given up", it_is_given_up},
        {"shrunk runs are taken over", shrunk_runs_are_taken_over},
        {"boards are as fast as they are", only_simulated},
    };
    return suite_main("faults", tests, sizeof tests / sizeof *tests, argc, argv);
}
