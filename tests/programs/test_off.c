/* Nodes that lose their power in the simulator: when the others go on, from what, and what it
 * costs. */
#include "base/check.h"
#include "programs/lossy.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
                 lossy_scenario("epochs=\"4\" optimizer=\"momentum\"", strategy, faults),
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
             lossy_scenario("epochs=\"60\"",
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
}

/* A checkpoint that is older than what nodes have takes no time to read (6.6 ms). */
static void what_is_not_wanted_is_not_read(void)
{
    json_t *result = lossy_run(
        "--lose spare --set numerics=skip --set checkpoint-every=20iterations", "all-reduce", "");
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
                 lossy_scenario("epochs=\"40\" lose=\"shrink\"",
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
        json_t *real = lossy_run(loses[i / 2], labels[i % 2], real_words);
        json_t *skip = lossy_run(loses[i / 2], labels[i % 2], skip_words);
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
        json_t *result = lossy_run(words[i], "ring", "--set numerics=skip --set noticed=0.01");
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
    json_t *result = lossy_run("--lose restart --set give-up=0.16", "ring", "--set numerics=skip");
    CU_ASSERT_STRING_EQUAL(command_text(command_run_of(result, "ring"), "status"), "ok");
    json_decref(result);
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

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"nodes lose their power", nodes_lose_their_power},
        {"any that is left has all of the state", all_is_had_by_any},
        {"servers that are left have all of it", all_is_had_by_servers},
        {"clients keep their rows", rows_stay},
        {"losses wait for computations", losses_wait_for_computations},
        {"checkpoints without numbers take as long", numbers_do_not_matter},
        {"what is not wanted is not read", what_is_not_wanted_is_not_read},
        {"one after the other", one_after_the_other},
        {"the card has what is written", the_card_has_what_is_written},
        {"those that wait draw power", those_that_wait_draw},
        {"a training is given up", it_is_given_up},
        {"shrunk runs are taken over", shrunk_runs_are_taken_over},
    };
    return suite_main("off", tests, sizeof tests / sizeof *tests, argc, argv);
}
