/* Sweeps as their users meet them: equal to runs one by one, interrupted and resumed, in parts. */
#include "programs/command.h"
#include "support/suite.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Some seconds one after the other, and no more than one at once. */
#define LONG                                                                                       \
    "ringsim tests/data/sweep.xml --strategy ring --set iterations=1500 "                          \
    "--jobs 1 --quiet"
/* Streams that go on through the ends of epochs. */
#define ENDLESS LONG " --set ring.schedule=pipedream --set ring.drain=never --set iterations=500"

static char folder[] = "/tmp/ringtmp-test-XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[4][80];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    size_t size = 1 << 22;
    char *text = calloc(1, size);
    if (f) {
        text[fread(text, 1, size - 1, f)] = 0;
        fclose(f);
    }
    return text;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

/* The bytes of a result but for its line "host". */
static char *without_host(const char *name)
{
    char *text = read_file(in_folder(name)), *host = strstr(text, "  \"host\": ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(host);
    char *end = strchr(host, '\n');
    memmove(host, end + 1, strlen(end + 1) + 1);
    return text;
}

static bool same_results(const char *a, const char *b)
{
    char *first = without_host(a), *second = without_host(b);
    bool same = strcmp(first, second) == 0;
    free(first);
    free(second);
    return same;
}

/* Runs `line --json NAME`; the exit status, what was said to *output (may be NULL). */
static int run(const char *line, const char *name, struct command_output *output)
{
    char full[700];
    static struct command_output own;
    struct command_output *to = output ? output : &own;
    snprintf(full, sizeof full, "%s --json %s", line, in_folder(name));
    command_run(full, 60, to);
    return to->status;
}

/* ---- what the runs are ---- */

/* The same run asked for alone: "ring.micro-batches=4" of its sweep as --set, after `start`. */
static void expect_alone(const char *start, json_t *swept)
{
    char line[500];
    const char *key;
    json_t *value, *sweep = json_object_get(swept, "sweep");
    snprintf(line, sizeof line, "%s", start);
    json_object_foreach(sweep, key, value)
    {
        size_t used = strlen(line); /* a sweep's files lie where the scenario does */
        snprintf(line + used, sizeof line - used, " --set %s=%s%s", key,
                 strcmp(key, "platform") == 0 ? "tests/data/" : "", json_string_value(value));
    }
    /* A label may hold blanks, a command's words may not: all strategies that can run there do. */
    const char *nodes = json_string_value(json_object_get(sweep, "nodes"));
    bool odd = nodes && strcmp(nodes, "3") == 0;
    if (odd)
        snprintf(line + strlen(line), sizeof line - strlen(line), " --strategy %s",
                 command_text(swept, "label"));
    json_t *result = command_result(line, 60);
    json_t *alone = result ? command_run_of(result, command_text(swept, "label")) : NULL;
    json_object_del(swept, "sweep");
    json_object_del(alone, "sweep");
    CU_ASSERT(json_equal(swept, alone));
    json_decref(result);
}

static void a_sweep_is_its_runs_one_by_one(void)
{
    static const char *const wanted[] = {
        "ring nodes=2 ring.micro-batches=4", "two rings nodes=2",
        "server nodes=2 server.servers=1",   "ring nodes=2 ring.micro-batches=1",
        "ring nodes=3 ring.micro-batches=6", "two rings nodes=3",
        "server nodes=3 server.servers=1",   "ring nodes=3 ring.micro-batches=1",
        "ring nodes=4 ring.micro-batches=8", "two rings nodes=4",
        "server nodes=4 server.servers=1",   "server nodes=4 server.servers=2",
        "ring nodes=4 ring.micro-batches=2"};
    enum { COUNT = sizeof wanted / sizeof *wanted };
    json_t *result = command_result("ringsim tests/data/sweep.xml", 60), *one, *value;
    json_t *runs = json_object_get(result, "runs");
    size_t i;
    CU_ASSERT_EQUAL_FATAL(json_array_size(runs), COUNT);
    CU_ASSERT_PTR_NULL(json_object_get(result, "part"));
    json_array_foreach(runs, i, one)
    {
        char text[200];
        const char *key, *status = command_text(one, "status");
        snprintf(text, sizeof text, "%s", command_text(one, "label"));
        json_object_foreach(json_object_get(one, "sweep"), key, value)
        {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, " %s=%s", key, json_string_value(value));
        }
        CU_ASSERT_STRING_EQUAL(text, wanted[i]);
        if (i == 5) {
            CU_ASSERT_STRING_EQUAL(status, "impossible");
            CU_ASSERT_PTR_NOT_NULL(strstr(command_text(one, "error"), "does not divide"));
            CU_ASSERT(json_is_null(json_object_get(one, "predicted")));
            continue;
        }
        CU_ASSERT_STRING_EQUAL(status, "ok");
        CU_ASSERT_EQUAL(command_number(one, "predicted.iteration_s"),
                        command_number(one, "formula.predicted_iteration_s"));
        expect_alone("ringsim tests/data/sweep.xml --set ring.micro-batches=2 --set "
                     "server.servers=1",
                     one);
    }
    json_decref(result);
}

/* Whatever one process may do once for all of them. */
static void points_have_platforms_of_their_own(void)
{
    json_t *result = command_result("ringsim tests/data/sweep-platforms.xml", 60), *one;
    json_t *runs = json_object_get(result, "runs");
    double seconds[8];
    size_t i;
    CU_ASSERT_EQUAL_FATAL(json_array_size(runs), 8);
    json_array_foreach(runs, i, one)
    {
        CU_ASSERT_STRING_EQUAL(command_text(one, "status"), "ok");
        seconds[i] = command_number(one, "time_s");
        expect_alone("ringsim tests/data/sweep-platforms.xml", one);
    }
    for (int point = 0; point < 8; point += 2) /* single, ring */
        for (int other = 0; other < point; other += 2)
            CU_ASSERT_NOT_EQUAL(seconds[point + 1], seconds[other + 1]);
    json_decref(result);
}

static void points_of_a_platform_that_changes(void)
{
    static const char line[] = "ringsim tests/data/sweep-platforms.xml "
                               "--set platform=tests/data/changing-platform.xml";
    json_t *result = command_result(line, 60), *one;
    size_t i;
    CU_ASSERT_EQUAL_FATAL(json_array_size(json_object_get(result, "runs")), 4);
    json_array_foreach(json_object_get(result, "runs"), i, one)
    {
        CU_ASSERT_STRING_EQUAL(command_text(one, "status"), "ok");
        expect_alone(line, one);
    }
    json_decref(result);
}

static void checks_and_refusals(void)
{
    static const struct {
        const char *line;
        int status;
        const char *words;
    } cases[] = {
        {"ringsim tests/data/sweep.xml --check", 0, "12 points, 13 runs: 12 to simulate"},
        {"ringsim tests/data/sweep.xml --set nodes=2 --set ring.micro-batches=2 --set "
         "server.servers=1 --check",
         0, "two rings: ring_pipeline"},
        {"ringsim tests/data/sweep.xml --set nodes=99", 2, "64 hosts"},
        {"ringsim tests/data/sweep.xml --set nodes=2 --save build/none", 2, "--save"},
        {"ringsim tests/data/sweep.xml --resume", 2, "--json"},
        {"ringsim tests/data/sweep.xml --resume --json -", 2, "--json"},
        {"ringsim tests/data/sweep.xml --resume --json x --trace y", 2, "--trace"},
        {"ringsim tests/data/sweep.xml --shard 3/2", 2, "K/N"},
        {"ringsim tests/data/sweep.xml --shard 0/2", 2, "K/N"},
        {"ringsim tests/data/sweep.xml --shard 1", 2, "K/N"},
        {"ringsim tests/data/sweep.xml --shard 1/2 --shard 2/2", 2, "once"},
        {"ringsim tests/data/sweep.xml --shard 1/0x2", 2, "K/N"},
        {"ringsim tests/data/sweep.xml --jobs 4294967297", 2, "1 to 256"},
        {"ringsim tests/data/sweep.xml --engine fast", 2, "auto, simgrid and calendar"},
        {"ringsim --merge a.json --json b.json --engine simgrid", 2, "only parts"},
        {"ringsim --help", 0, "jitter"}, /* every key of --set is there */
        {"ringsim --merge a.json --json b.json --full", 2, "only parts"},
        {"ringsim --merge a.json --json b.json --jobs 2", 2, "only parts"},
        {"ringsim --merge a.json --json /no/such/folder/b.json", 2, "cannot write"},
        {"ringsim --merge", 2, "PART.json"},
        {"ringsim --merge /tmp/no-such-part.json", 2, "--json"},
        {"ringsim --merge a.json --json b.json --set nodes=2", 2, "only parts"},
        {"ringsim --merge /tmp/no-such-part.json --json /tmp/no-such.json", 2, "No such file"},
        {"ringnode tests/data/sweep.xml --local", 2, "sweep.xml:11: "},
        {"ringnode tests/data/sweep.xml --local --strategy server --set nodes=2 --set "
         "server.servers=1 --check",
         0, "server: parameter_server"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command_output output;
        command_run(cases[i].line, 60, &output);
        const char *said = cases[i].status ? output.err : output.out;
        const char *line_end = strchr(output.err, '\n');
        bool good = output.status == cases[i].status && strstr(said, cases[i].words) &&
                    (cases[i].status == 0 || (line_end && line_end[1] == 0 && !output.out[0]));
        if (!good)
            printf("%s\n  status %d\n%s%s", cases[i].line, output.status, output.out, output.err);
        CU_ASSERT(good);
    }
}

/* ---- interruptions ---- */

/* Wait until some runs, not all, are in the file. */
static void wait_for_first(const char *name)
{
    for (int i = 0; i < 3000; i++) {
        char *text = read_file(in_folder(name));
        bool there = strstr(text, "\"of_runs\": 6") && strstr(text, "\"label\"");
        free(text);
        if (there)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    CU_FAIL("no run arrived");
}

static int runs_in(const char *name)
{
    char *text = read_file(in_folder(name)), *at = text;
    int count = 0;
    while ((at = strstr(at, "\"label\"")) != NULL) {
        at++;
        count++;
    }
    free(text);
    return count;
}

static void interrupt_and_resume(const char *sweep, int number, int status)
{
    char line[500], again[300];
    unlink(in_folder("some.json"));
    snprintf(line, sizeof line, "%s --json %s", sweep, in_folder("some.json"));
    snprintf(again, sizeof again, "%s --resume", sweep);
    pid_t pid = command_start(line, NULL);
    wait_for_first("some.json");
    CU_ASSERT_EQUAL(kill(-pid, number), 0);
    CU_ASSERT_EQUAL(command_wait(pid, 20), status);
    int have = runs_in("some.json");
    CU_ASSERT(have >= 1 && have < 6);
    CU_ASSERT_FALSE(same_results("all.json", "some.json"));
    CU_ASSERT_EQUAL(run(again, "some.json", NULL), 0);
    CU_ASSERT(same_results("all.json", "some.json"));
    unlink(in_folder("some.json"));
}

static void interrupted_sweeps_go_on(void)
{
    struct command_output output;
    CU_ASSERT_EQUAL(run(LONG " --resume", "all.json", NULL), 0); /* nothing there yet */
    interrupt_and_resume(LONG, SIGINT, 130);
    interrupt_and_resume(LONG, SIGHUP, 130);
    interrupt_and_resume(LONG, SIGKILL, 1000 + SIGKILL);
    /* All is there: at once. Something else: refused, and the file left alone. */
    CU_ASSERT_EQUAL(run(LONG " --resume", "all.json", NULL), 0);
    CU_ASSERT_EQUAL(run(LONG " --resume --set batch=12", "all.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "another scenario"));
    CU_ASSERT_EQUAL(runs_in("all.json"), 6);
    write_file(in_folder("text.json"), "no result\n");
    CU_ASSERT_EQUAL(run(LONG " --resume", "text.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "text.json:1: is no result"));
}

static void interrupted_streams_go_on(void)
{
    unlink(in_folder("all.json"));
    CU_ASSERT_EQUAL(run(ENDLESS, "all.json", NULL), 0);
    interrupt_and_resume(ENDLESS, SIGINT, 130);
    unlink(in_folder("all.json"));
}

/* A result whose runs were put in another order, or renamed: the file is told and left alone. */
static void edited_results_are_refused(void)
{
#define LITTLE "ringsim tests/data/sweep.xml --quiet --strategy server"
    struct command_output output;
    CU_ASSERT_EQUAL(run(LITTLE, "some.json", NULL), 0);
    char *text = read_file(in_folder("some.json")), *label = strstr(text, "\"server\"");
    CU_ASSERT_PTR_NOT_NULL_FATAL(label);
    memcpy(label, "\"surfer\"", 8);
    write_file(in_folder("some.json"), text);
    CU_ASSERT_EQUAL(run(LITTLE " --resume", "some.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "run 1 (surfer) is not the one that belongs there"));
    char *after = read_file(in_folder("some.json"));
    CU_ASSERT_STRING_EQUAL(text, after);
    free(after);
    free(text);
    unlink(in_folder("some.json"));
}

/* A digit of a figure, or the digest taken away: no run is taken over that was not written so;
 * blanks do not matter. */
static void altered_results_are_refused(void)
{
    struct command_output output;
    CU_ASSERT_EQUAL(run(LITTLE, "some.json", NULL), 0);
    char *text = read_file(in_folder("some.json")), *runs = strstr(text, "\"runs\":");
    CU_ASSERT_PTR_NOT_NULL_FATAL(runs);
    char *digit = strstr(runs, "\"time_s\": 0.");
    CU_ASSERT_PTR_NOT_NULL_FATAL(digit);
    digit += strlen("\"time_s\": 0.");
    *digit = *digit == '9' ? '8' : (char)(*digit + 1);
    write_file(in_folder("some.json"), text);
    CU_ASSERT_EQUAL(run(LITTLE " --resume", "some.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "run 1 (server) was altered after it was written"));
    *digit = *digit == '8' ? '9' : (char)(*digit - 1);
    char *blank = strstr(runs, "\"time_s\": ") + strlen("\"time_s\"");
    memcpy(blank, " :", 2);
    write_file(in_folder("some.json"), text);
    free(text);
    text = read_file(in_folder("some.json"));
    char *key = strstr(text, "runs_sha256");
    CU_ASSERT_PTR_NOT_NULL_FATAL(key);
    CU_ASSERT_EQUAL(run(LITTLE " --resume", "some.json", &output), 0);
    memcpy(key, "sums", 4);
    write_file(in_folder("some.json"), text);
    CU_ASSERT_EQUAL(run(LITTLE " --resume", "some.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "has no digest in host.runs_sha256"));
    free(text);
    unlink(in_folder("some.json"));
}

/* A run that has failed is no result to keep: it is tried again. */
static void failed_runs_are_tried_again(void)
{
    static const char good[] = "\"status\": \"ok\"", bad[] = "\"status\": \"failed\"";
    CU_ASSERT_EQUAL(run(LITTLE, "whole.json", NULL), 0);
    char *text = read_file(in_folder("whole.json")), *status = strstr(text, good);
    CU_ASSERT_PTR_NOT_NULL_FATAL(status);
    memmove(status + strlen(bad), status + strlen(good), strlen(status + strlen(good)) + 1);
    memcpy(status, bad, strlen(bad));
    write_file(in_folder("some.json"), text);
    free(text);
    CU_ASSERT_FALSE(same_results("whole.json", "some.json"));
    CU_ASSERT_EQUAL(run(LITTLE " --resume", "some.json", NULL), 0);
    CU_ASSERT(same_results("whole.json", "some.json"));
    unlink(in_folder("whole.json"));
    unlink(in_folder("some.json"));
}

/* ---- parts ---- */

static int merge(const char *parts, struct command_output *output)
{
    char line[700] = "ringsim --quiet --merge", copy[100], *rest = copy;
    snprintf(copy, sizeof copy, "%s", parts);
    for (char *name; (name = strsep(&rest, " ")) != NULL;)
        snprintf(line + strlen(line), sizeof line - strlen(line), " %s", in_folder(name));
    return run(line, "merged.json", output);
}

static void parts_make_the_whole(void)
{
#define SWEEP "ringsim tests/data/sweep.xml --quiet"
    struct command_output output;
    CU_ASSERT_EQUAL(run(SWEEP, "whole.json", NULL), 0);
    CU_ASSERT_EQUAL(run(SWEEP " --shard 1/3 --jobs 3", "1.json", NULL), 0);
    CU_ASSERT_EQUAL(run(SWEEP " --shard 2/3", "2.json", NULL), 0);
    CU_ASSERT_EQUAL(run(SWEEP " --shard 3/3 --resume", "3.json", NULL), 0);
    CU_ASSERT_EQUAL(runs_in("1.json"), 5);
    CU_ASSERT_EQUAL(merge("3.json 1.json 2.json", &output), 0);
    CU_ASSERT(same_results("whole.json", "merged.json"));
    CU_ASSERT_EQUAL(merge("1.json 2.json 3.json merged.json", &output), 2); /* over a part */
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "that is a part"));
    CU_ASSERT(same_results("whole.json", "merged.json"));
    unlink(in_folder("merged.json"));
    CU_ASSERT_EQUAL(merge("1.json 3.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(output.err, "4 of 13 runs are missing in the parts: 2, 5, 8, 11; with the scenario "
                           "and options of the others, ringsim SCENARIO.xml --shard 2/3 --json "
                           "FILE makes them"));
    CU_ASSERT_EQUAL(merge("3.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "--shard 1/3 --json FILE makes the first part"));
    CU_ASSERT_EQUAL(merge("1.json 2.json 3.json 2.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "run 2 of 13 (two rings) is both in"));
    CU_ASSERT_PTR_NULL(strstr(output.err, "engines"));
    CU_ASSERT_EQUAL(run(SWEEP " --shard 2/3 --engine calendar", "again.json", NULL), 0);
    CU_ASSERT_EQUAL(merge("1.json 2.json 3.json again.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "run 2 of 13 (two rings) is both in"));
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "by different engines, simgrid and calendar"));
    CU_ASSERT_EQUAL(run(SWEEP " --shard 2/3 --set batch=12", "other.json", NULL), 0);
    CU_ASSERT_EQUAL(merge("1.json other.json 3.json", &output), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "different scenarios"));
    CU_ASSERT(access(in_folder("merged.json"), F_OK) != 0);
    /* One part resumes from another's neighbour: what is there stays, what is missing comes. */
    CU_ASSERT_EQUAL(run(SWEEP " --resume", "1.json", NULL), 0);
    CU_ASSERT(same_results("whole.json", "1.json"));
    /* More parts than runs. */
    CU_ASSERT_EQUAL(run(SWEEP " --shard 20/20", "20.json", NULL), 0);
    CU_ASSERT_EQUAL(merge("whole.json 20.json", NULL), 0);
    CU_ASSERT(same_results("whole.json", "merged.json"));
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"a sweep is its runs, one by one", a_sweep_is_its_runs_one_by_one},
        {"points have platforms of their own", points_have_platforms_of_their_own},
        {"points of a platform that changes", points_of_a_platform_that_changes},
        {"--check, and what is refused", checks_and_refusals},
        {"interrupted sweeps go on", interrupted_sweeps_go_on},
        {"so do those of streams that never drain", interrupted_streams_go_on},
        {"edited results are refused", edited_results_are_refused},
        {"altered results are refused", altered_results_are_refused},
        {"failed runs are tried again", failed_runs_are_tried_again},
        {"parts make the whole", parts_make_the_whole},
    };
    static const char *const files[] = {"all.json",    "some.json", "text.json", "whole.json",
                                        "merged.json", "1.json",    "2.json",    "3.json",
                                        "other.json",  "20.json"};
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("sweeps", tests, sizeof tests / sizeof *tests, argc, argv);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(in_folder(files[i]));
    rmdir(folder);
    return status;
}
