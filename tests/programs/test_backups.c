/* Rings whose nodes keep copies of each other's state, simulated: what that costs, how soon
 * training goes on after a loss, and that it comes to the weights of a run that has lost nobody. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include "unit/scratch.h"
#include <string.h>

static const char *const labels[] = {"gpipe", "1f1b", "zb"};

/* tests/data/backup.xml with a node that stays away. */
static const char *without_return(void)
{
    static char text[4000], before[2000];
    FILE *stream = fopen(RG_SOURCE_DIR "/tests/data/backup.xml", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    before[fread(before, 1, sizeof before - 1, stream)] = '\0';
    fclose(stream);
    text[0] = '\0';
    for (char *at = before, *next; *at; at = next) { /* paths are those of its folder */
        static const char above[] = "../../", back[] = " to=\"6.0001\"";
        bool path = strncmp(at, above, sizeof above - 1) == 0;
        bool returns = strncmp(at, back, sizeof back - 1) == 0;
        next = at + (path ? sizeof above - 1 : returns ? sizeof back - 1 : 1);
        strncat(text, path ? RG_SOURCE_DIR "/" : at, path ? sizeof text / 2 : !returns);
    }
    CU_ASSERT_PTR_NULL(strstr(text, " to="));
    return scratch_text("backup.xml", text);
}

static json_t *result_of(const char *backup, const char *lose)
{
    char line[400];
    bool alone = strcmp(lose, "shrink") == 0;
    snprintf(line, sizeof line,
             "ringsim %s --engine calendar --quiet --set gpipe.backup=%s --set "
             "1f1b.backup=%s "
             "--set zb.backup=%s --lose %s",
             alone ? without_return() : "tests/data/backup.xml", backup, backup, backup, lose);
    if (strcmp(lose, "stop") == 0)
        strcat(line, " --set iterations=80"); /* before the loss */
    return command_result(line, 120);
}

static json_t *undisturbed; /* with backup="auto" */

/* The smallest number that hides makes an iteration at most 5 % longer where messages take a
 * quarter of the time, or a third; the walk through the plan knows by how much. */
static void what_it_costs(void)
{
    json_t *without = result_of("no", "stop"), *with = undisturbed = result_of("auto", "stop");
    for (size_t i = 0; i < RG_COUNT(labels); i++) {
        json_t *run = command_run_of(with, labels[i]);
        double bare_s = command_number(command_run_of(without, labels[i]), "iteration_s.mean");
        double backed_s = command_number(run, "iteration_s.mean");
        double c = command_number(command_run_of(without, labels[i]), "formula.c_s") /
                   command_number(run, "formula.T_A_s");
        printf("\n    %-6s backup=%.0f, c / T_A %.3f: an iteration takes %.4f times as long",
               labels[i], command_number(run, "params.backup"), c, backed_s / bare_s);
        CU_ASSERT(c > 0.25 && backed_s > bare_s && backed_s <= 1.05 * bare_s);
        CU_ASSERT_DOUBLE_EQUAL(command_number(run, "predicted.plan_s"), backed_s, 0.01 * backed_s);
        CU_ASSERT_EQUAL(command_number(run, "late_receives"), 0);
    }
    json_decref(without);
}

/* A state of a stage, of two residual blocks 256 wide, over the port. */
static const double stage_s = 4 * 2 * 2 * (256 * 256 + 256) / 3913880.0;

static void how_soon_it_goes_on(void)
{
    static const char *const ways[] = {"restart", "shrink"};
    for (size_t w = 0; w < RG_COUNT(ways); w++) {
        json_t *result = result_of("auto", ways[w]);
        for (size_t i = 0; i < RG_COUNT(labels); i++) {
            json_t *run = command_run_of(result, labels[i]);
            json_t *loss = json_array_get(json_object_get(run, "losses"), 0);
            double iteration_s =
                command_number(command_run_of(undisturbed, labels[i]), "iteration_s.mean");
            double recovery_s = command_number(loss, "recovery_s");
            printf("\n    %-6s %-7s %.0f iterations again; the next one ends after %.4f s, an "
                   "iteration takes %.4f s, a stage %.4f s on its way",
                   labels[i], ways[w], command_number(loss, "again"), recovery_s, iteration_s,
                   stage_s);
            CU_ASSERT_STRING_EQUAL(command_text(loss, "state"), "copies");
            CU_ASSERT_EQUAL(command_number(loss, "nodes"), w == 0 ? 8 : 7);
            CU_ASSERT(command_number(loss, "again") <= command_number(run, "params.backup"));
            CU_ASSERT(recovery_s <= 2 * iteration_s + stage_s);
        }
        json_decref(result);
    }
    json_decref(undisturbed);
}

/* Node 1 is lost twice, which a single node has nothing of. */
static void weights_are_those_of_an_undisturbed_run(void)
{
    static const char *const ways[] = {"restart", "spare", "restart --engine calendar"};
    static const struct {
        const char *label, *single;
        int most;
    } rings[] = {{"1f1b", "single-4", 1}, {"zb", "single-4", 6}, {"interleaved", "single-6", 3}};
    for (size_t w = 0; w < RG_COUNT(ways); w++) {
        char line[200];
        snprintf(line, sizeof line,
                 "ringsim tests/data/backup-off.xml --set nodes=3 --quiet --lose %s", ways[w]);
        json_t *result = command_result(line, 60);
        for (size_t i = 0; i < RG_COUNT(rings); i++) {
            json_t *run = command_run_of(result, rings[i].label);
            json_t *losses = json_object_get(run, "losses");
            size_t count = json_array_size(losses);
            CU_ASSERT_EQUAL(count, strncmp(ways[w], "restart", 7) == 0 ? 2 : 1);
            CU_ASSERT_STRING_EQUAL(
                command_text(run, "weights_sha256"),
                command_text(command_run_of(result, rings[i].single), "weights_sha256"));
            CU_ASSERT_STRING_EQUAL(command_text(run, "resumed.from"), "the nodes' copies");
            CU_ASSERT_EQUAL(json_array_size(json_object_get(run, "training")), 40);
            for (size_t k = 0; k < count; k++) {
                json_t *loss = json_array_get(losses, k);
                CU_ASSERT_STRING_EQUAL(command_text(loss, "state"), "copies");
                CU_ASSERT(command_number(loss, "from_iteration") > 0);
                CU_ASSERT(command_number(loss, "again") <= rings[i].most);
            }
        }
        json_decref(result);
    }
}

static void check_tells_of_it(void)
{
    static const char *const words[] = {"backup=6",
                                        "at most 6 iterations are done again",
                                        "after every 5 updates",
                                        "2 pieces",
                                        "2 states of two stages",
                                        "nobody goes on with them: lose=\"stop\""};
    struct command_output output;
    command_run("ringsim tests/data/backup-off.xml --set nodes=3 --strategy zb --check", 30,
                &output);
    CU_ASSERT_EQUAL(output.status, 0);
    for (size_t i = 0; i < RG_COUNT(words); i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(output.out, words[i]));
    command_run("ringsim tests/data/backup-off.xml --set nodes=3 --strategy zb --check --lose "
                "shrink --set zb.backup=auto",
                30, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NULL(strstr(output.out, "nobody goes on"));
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "backup="));
    CU_ASSERT_PTR_NULL(strstr(output.out, "backup=auto"));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"what it costs", what_it_costs},
        {"how soon it goes on", how_soon_it_goes_on},
        {"weights are those of an undisturbed run", weights_are_those_of_an_undisturbed_run},
        {"--check tells of it", check_tells_of_it},
    };
    return suite_main("backups", tests, sizeof tests / sizeof *tests, argc, argv);
}
