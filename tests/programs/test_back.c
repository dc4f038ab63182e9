/* Nodes whose power is back in the simulator: when they are taken in, with what, and what they draw
 * until then. */
#include "base/check.h"
#include "programs/lossy.h"
#include "support/suite.h"
#include <math.h>
#include <string.h>

#define THREE "label=\"run\" kind=\"ring_allreduce\" nodes=\"3\""

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
        {"--lose shrink --set numerics=skip --set checkpoint-every=3iterations", "all-reduce",
         "copies"}, /* not where a checkpoint is, within an epoch */
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
            json_t *result = lossy_run(ways[i].words, ways[i].label, engines[k]);
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
             lossy_scenario("epochs=\"40\" lose=\"shrink\"", THREE,
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
             lossy_scenario(training, THREE,
                            "noticed=\"0\"><off nodes=\"1\" from=\"0.05\"/><off nodes=\"2\" "
                            "from=\"0.18\"/>"));
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "no spare node is left"));
    for (int node = 1; node <= 2; node++) { /* itself, or another */
        lossy_scenario(training, THREE, again[node - 1]);
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
                 lossy_scenario("epochs=\"40\" lose=\"spare\" spares=\"2\"",
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
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"nodes come back", nodes_come_back},
        {"back at once", back_at_once},
        {"nodes that are back are spares", returned_nodes_are_spares},
        {"nodes that are back draw", returned_nodes_draw},
    };
    return suite_main("back", tests, sizeof tests / sizeof *tests, argc, argv);
}
