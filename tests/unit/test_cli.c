/* The command line: what is refused and how, what --list and --check say, exit statuses, and that
 * outputs are whole. Parsing ends the program, so it runs in a child. */
#include "cli/cli.h"

#include "base/check.h"
#include "base/file.h"
#include "run_fixture.h"
#include "scratch.h"
#include "support/suite.h"
#include "toy_platform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char good[] = "<scenario name=\"test\" seed=\"7\">\n"
                           "  <platform file=\"platform.xml\"/>\n"
                           "  <network file=\"network.xml\"/>\n"
                           "  <data kind=\"random\" inputs=\"4\" classes=\"3\" train=\"120\"/>\n"
                           "  <training batch=\"6\" epochs=\"3\" learning-rate=\"0.5\"/>\n"
                           "  <strategy label=\"one\" kind=\"single\"/>\n"
                           "  <strategy label=\"two\" kind=\"single\" micro-batches=\"2\"/>\n"
                           "</scenario>\n";

static void write_files(void)
{
    scratch_text("network.xml", "<network name=\"n\" input=\"4\"><dense outputs=\"3\"/></network>");
    write_toy_platform("0-2");
    scratch_text("scenario.xml", good);
}

/* ---- a program with this command line, in a child ---- */

static const struct argp_option own_options[] = {{"jobs", 'j' + 1000, "N", 0, "Of this program", 0},
                                                 {0}};

static error_t parse_own(int key, char *argument, struct argp_state *state)
{
    (void)argument;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = state->input;
    return key == 'j' + 1000 || key == ARGP_KEY_INIT ? 0 : ARGP_ERR_UNKNOWN;
}

static int program(int argc, char **argv)
{
    static const struct argp_child children[] = {{&rg_cli_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {own_options, parse_own, "SCENARIO.xml", NULL, children,
                                     NULL,        NULL};
    struct rg_options options = {0};
    struct rg_study study;
    rg_cli_parse(&argp, argc, argv, &options);
    if (options.show) {
        options.show(stdout);
        rg_cli_free(&options);
        return 0;
    }
    int status = rg_cli_open(&options, "program", &study);
    if (status == 0 && options.check)
        rg_cli_check(&study, stdout);
    if (status == 0)
        rg_study_close(&study);
    rg_cli_free(&options);
    return status;
}

/* Words separated by blanks; @ stands for the scratch folder. Returns the exit status; texts[0],
 * [1] are what came on standard output and error. */
static int run(const char *line, char texts[2][1 << 15])
{
    char words[1024] = "program ", *argv[32], *rest = words;
    int argc = 0, status = -1;
    for (const char *p = line; *p; p++)
        snprintf(words + strlen(words), sizeof words - strlen(words), *p == '@' ? "%s" : "%.1s",
                 *p == '@' ? scratch() : p);
    for (char *word; (word = strsep(&rest, " "));)
        if (*word)
            argv[argc++] = word;
    argv[argc] = NULL;
    char outputs[2][512];
    for (int i = 0; i < 2; i++)
        snprintf(outputs[i], sizeof outputs[i], "%s", scratch_path(i ? "stderr" : "stdout"));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        scratch_folder[0] = '\0'; /* the parent's to remove */
        if (!freopen(outputs[0], "w", stdout) || !freopen(outputs[1], "w", stderr))
            _exit(99);
        exit(program(argc, argv));
    }
    waitpid(child, &status, 0);
    for (int i = 0; i < 2; i++) {
        FILE *stream = fopen(outputs[i], "r");
        size_t size = fread(texts[i], 1, sizeof texts[i] - 1, stream);
        texts[i][size] = '\0';
        fclose(stream);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_refusals(void)
{
    static const struct {
        const char *line, *words;
    } bad[] = {
        {"", "no scenario"},
        {"@/scenario.xml --json=", "--json|not an empty one"},
        {"@/scenario.xml --json a --json b", "--json is allowed once"},
        {"@/scenario.xml b.xml", "one scenario is allowed"},
        {"@/scenario.xml --timeout 0", "--timeout 0: out of range: numbers above 0"},
        {"@/scenario.xml --timeout 5s", "--timeout 5s: not a number"},
        {"@/scenario.xml --set clock=1",
         "--set clock=\"1\": board toy has no clock of 1 Hz|its steps are 1e+09"},
        {"@/scenario.xml --set colour=1", "--set colour=1: unknown key"},
        {"@/scenario.xml --set nodes=4", "--set nodes=4: the platform has 3 hosts"},
        {"@/scenario.xml --strategy tow", "--strategy tow: did you mean \"two\""},
        {"@/scenario.xml --save @/w",
         "--save belongs to one run, 2 are selected: --strategy LABEL"},
        {"@/scenario.xml --load @/w", "--load belongs to one run"},
        {"@/scenario.xml --strategy one --save @/w --set numerics=skip", "real is needed"},
        {"@/scenario.xml --json @/a --trace @/a", "--json and --trace: both go to"},
        {"@/scenario.xml --json @/a --trace @/./a", "both go to"},
        {"@/scenario.xml --json - --trace -", "both go to|-"},
        {"@/scenario.xml --trace -", "--trace -: a file is wanted"},
        {"@/scenario.xml --json @/link --trace @/folder/absent", "both go to"},
        {"@/scenario.xml --json @/circle", "--json|circle: cannot write: Too many levels of"},
        {"@/scenario.xml --json @/astray", "--json|astray: cannot write: No such file"},
        {"@/scenario.xml --json /absent/a", "--json /absent/a: cannot write"},
        {"@/scenario.xml --json @", "is a folder"},
        {"@/scenario.xml --json @/scenario.xml", "that is the scenario"},
        {"@/scenario.xml --trace @/network.xml", "that is the network"},
        {"@/scenario.xml --strategy one --load @/l --json @/l", "the file of --load"},
        {"@/absent.xml", "/absent.xml: cannot be read: No such file"},
    };
    char texts[2][1 << 15];
    write_files();
    scratch_text("l", "x");
    mkdir(scratch_path("folder"), 0777);
    CU_ASSERT_EQUAL(symlink("folder/absent", scratch_path("link")), 0);
    CU_ASSERT_EQUAL(symlink("circle", scratch_path("circle")), 0);
    CU_ASSERT_EQUAL(symlink("absent/file", scratch_path("astray")), 0);
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_error e = {.code = RG_ERR_INVALID};
        int status = run(bad[i].line, texts);
        CU_ASSERT_EQUAL(status, RG_EXIT_USAGE);
        CU_ASSERT_STRING_EQUAL(texts[0], "");
        size_t length = strlen(texts[1]);
        CU_ASSERT_TRUE(length > 0 && length < sizeof e.text * 2);
        if (length > 0 && texts[1][length - 1] == '\n')
            texts[1][length - 1] = '\0';
        CU_ASSERT_PTR_NULL(strchr(texts[1], '\n')); /* one line */
        snprintf(e.text, sizeof e.text, "%.479s", texts[1]);
        CU_ASSERT_TRUE(complains(&e, NULL, 0, bad[i].words));
        CU_ASSERT_NOT_EQUAL(access(scratch_path("a"), F_OK), 0);
        CU_ASSERT_NOT_EQUAL(access(scratch_path("w"), F_OK), 0);
    }
}

static void expect_words(const char *text, const char *words)
{
    char copy[600], *rest = copy;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, "|"));) {
        CU_ASSERT_PTR_NOT_NULL(strstr(text, word));
        if (!strstr(text, word))
            printf("\n    no \"%s\" in\n%s\n", word, text);
    }
}

/* What argp refuses: its line and where to look. */
static void test_options(void)
{
    static const struct {
        const char *line, *words;
    } bad[] = {
        {"--jsn x", "program: |--jsn"},
        {"@/scenario.xml --no-such-option", "--no-such-option"},
        {"-x", "-- 'x'"},
        {"@/scenario.xml --json", "--json|requires an argument"},
        {"@/scenario.xml --s x", "'--s' is ambiguous"},
    };
    char texts[2][1 << 15];
    write_files();
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(run(bad[i].line, texts), RG_EXIT_USAGE);
        CU_ASSERT_STRING_EQUAL(texts[0], "");
        expect_words(texts[1], bad[i].words);
        expect_words(texts[1], "program --help");
    }
}

static void test_information(void)
{
    char texts[2][1 << 15];
    write_files();
    CU_ASSERT_EQUAL(run("--version", texts), 0);
    CU_ASSERT_STRING_EQUAL(texts[0], "program " RG_VERSION "\n");
    CU_ASSERT_EQUAL(run("--help", texts), 0);
    expect_words(texts[0], "--jobs|--set|bandwidth-factor|--timeout|SCENARIO.xml");
    CU_ASSERT_EQUAL(run("--list", texts), 0);
    expect_words(texts[0],
                 "single|micro-batches=\"1\"|1 to|dense|takes outputs|digits|Keys of --set and "
                 "<sweep>: seed nodes|jitter|LABEL.PARAM|<training>|"
                 "optimizer=\"sgd\"  (sgd|numerics=\"real\"  (skip|link-rate|--set jitter");
    CU_ASSERT_EQUAL(run("--check @/scenario.xml --strat two --json @/a", texts), 0);
    CU_ASSERT_STRING_EQUAL(texts[1], "");
    expect_words(texts[0], "test|seed 7|3 hosts|1 layer,|4 inputs|two: single, micro-batches=2|T_A|"
                           "iteration|memory|toy has 2.00 GB|fits        yes");
    CU_ASSERT_NOT_EQUAL(access(scratch_path("a"), F_OK), 0);
}

/* ---- exit statuses and outputs ---- */

/* Inside of the first block 8 + 2 and 8 + 4 of 8 values would travel, of the second, whose shortcut
 * ends in 4, at least 4 + 5 of 4; the third has one layer. */
static void test_cuts(void)
{
    char texts[2][1 << 15], *ring;
    write_files();
    write_toy_platform("0-5");
    ring = replaced(good, "<strategy label=\"one\" kind=\"single\"/>",
                    "<strategy label=\"ring\" kind=\"ring_pipeline\" nodes=\"2\"/>");
    scratch_text("ring.xml", ring);
    free(ring);
    scratch_text("network.xml",
                 "<network name=\"n\" input=\"4\"><dense outputs=\"8\"/><residual>"
                 "<dense outputs=\"2\"/><dense outputs=\"4\"/><dense outputs=\"8\"/></residual>"
                 "<residual><dense outputs=\"5\"/><dense outputs=\"4\"/><shortcut>"
                 "<dense outputs=\"4\"/></shortcut></residual>"
                 "<residual><dense outputs=\"4\"/></residual><dense outputs=\"3\"/></network>");
    CU_ASSERT_EQUAL(run("@/scenario.xml --check", texts), 0);
    CU_ASSERT_PTR_NULL(strstr(texts[0], "  cuts  ")); /* without a ring */
    CU_ASSERT_EQUAL(run("@/ring.xml --check", texts), 0);
    expect_words(texts[0], "between any two of the 5 layers, not inside of the 3 that|are a "
                           "<residual>|travel with what they make|at least 1.25 times the bytes");
    CU_ASSERT_EQUAL(run("@/ring.xml --set ring.stages=6 --set ring.nodes=6 --check", texts), 2);
    expect_words(texts[1], "the network has 5 (a <residual> is one, with all that is inside)");
    scratch_text("network.xml",
                 "<network name=\"n\" input=\"8\"><residual><dense outputs=\"5\"/>"
                 "<dense outputs=\"4\"/><shortcut><dense outputs=\"4\"/></shortcut></residual>"
                 "<dense outputs=\"3\"/></network>");
    CU_ASSERT_EQUAL(run("@/ring.xml --set inputs=8 --check", texts), 0);
    expect_words(texts[0], "at least 2.25 times the bytes of a cut beside it");
    scratch_text("network.xml", "<network name=\"n\" input=\"4\"><residual><dense outputs=\"4\"/>"
                                "</residual><dense outputs=\"3\"/></network>");
    CU_ASSERT_EQUAL(run("@/ring.xml --check", texts), 0);
    expect_words(texts[0], "of the 2 layers, not inside of the 1 that|is a <residual>\n");
    scratch_text("network.xml", "<network name=\"n\" input=\"4\"><dense outputs=\"4\"/>"
                                "<dense outputs=\"3\"/></network>");
    CU_ASSERT_EQUAL(run("@/ring.xml --check", texts), 0);
    CU_ASSERT_PTR_NULL(strstr(texts[0], "  cuts  "));
}

static void test_exit_statuses(void)
{
    static const int codes[][2] = {
        {0, 0},
        {RG_ERR_NO_FIT, 0},
        {RG_ERR_INVALID, 2},
        {RG_ERR_DEADLOCK, 3},
        {RG_ERR_TIMEOUT, 3},
        {RG_ERR_PEER, 4},
        {RG_ERR_REFUSED, 4},
        {RG_ERR_INTERRUPTED, 130},
        {RG_ERR_NOMEM, 1},
        {RG_ERR_INTERNAL, 1},
    };
    for (size_t i = 0; i < RG_COUNT(codes); i++)
        CU_ASSERT_EQUAL(rg_cli_exit_of(codes[i][0]), codes[i][1]);
    struct rg_run runs[3];
    struct rg_result result = {.runs = runs, .run_count = 3};
    for (int i = 0; i < 3; i++)
        rg_run_init(&runs[i]);
    CU_ASSERT_EQUAL(rg_cli_exit_status(&result), 0);
    runs[0].status = RG_RUN_NO_FIT;
    runs[0].error_code = RG_ERR_NO_FIT;
    CU_ASSERT_EQUAL(rg_cli_exit_status(&result), 0);
    strcpy(runs[2].unsaved, "x: the disk is full");
    CU_ASSERT_EQUAL(rg_cli_exit_status(&result), 5);
    runs[1].status = RG_RUN_LOST;
    CU_ASSERT_EQUAL(rg_cli_exit_status(&result), 4);
    runs[1].status = RG_RUN_FAILED;
    runs[1].error_code = RG_ERR_PEER;
    CU_ASSERT_EQUAL(rg_cli_exit_status(&result), 4);
    runs[2].status = RG_RUN_FAILED;
    runs[2].error_code = RG_ERR_DEADLOCK;
    CU_ASSERT_EQUAL(rg_cli_exit_status(&result), 3);
    runs[0].status = RG_RUN_INTERRUPTED;
    CU_ASSERT_EQUAL(rg_cli_exit_status(&result), 130);
}

static void test_outputs(void)
{
    struct rg_run run;
    struct rg_result result = rg_result_of("t", "sim", "s", NULL, 0);
    char json[512], trace[512], line[400];
    snprintf(json, sizeof json, "%s", scratch_path("out.json"));
    snprintf(trace, sizeof trace, "%s", scratch_path("out.trace"));
    struct rg_options options = {.json = json, .trace = trace, .quiet = true};
    fill_run(&run);
    run.error_code = 0;
    result.runs = &run;
    result.run_count = 1;
    rg_cli_host(&result, 1.5);
    CU_ASSERT_EQUAL(strlen(result.host.date), 20);
    CU_ASSERT_TRUE(result.host.machine[0] && result.host.blas_threads >= 1 &&
                   result.host.cores >= 1);
    CU_ASSERT_EQUAL(rg_cli_finish(&options, "program", &result), 0);
    json_t *read = json_load_file(json, 0, NULL), *events = json_load_file(trace, 0, NULL);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(read, "runs")), 1);
    CU_ASSERT_TRUE(json_is_array(json_object_get(events, "traceEvents")));
    json_decref(read);
    json_decref(events);
    run.status = RG_RUN_FAILED;
    run.error_code = RG_ERR_DEADLOCK;
    snprintf(run.error, sizeof run.error, "why it did");
    fflush(NULL);
    int saved = dup(STDERR_FILENO);
    CU_ASSERT_PTR_NOT_NULL(freopen(scratch_path("stderr"), "w", stderr));
    CU_ASSERT_EQUAL(rg_cli_finish(&options, "program", &result), 3);
    options.json = "/absent/x"; /* the folder went away while it ran */
    CU_ASSERT_EQUAL(rg_cli_finish(&options, "program", &result), 3);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    FILE *told = fopen(scratch_path("stderr"), "r"); /* no table: the failure is told there */
    CU_ASSERT_TRUE(told && fgets(line, sizeof line, told));
    CU_ASSERT_STRING_EQUAL(line, "program: ring \"8\" \xc3\xa9 on 2 nodes, micro-batches=007: "
                                 "failed: why it did\n");
    fclose(told);
    rg_run_free(&run);
}

static void write_through(const char *path, const char *text, bool finish)
{
    struct rg_file file;
    struct rg_error e = {0};
    CU_ASSERT_EQUAL_FATAL(rg_file_open(&file, path, &e), 0);
    fputs(text, file.stream);
    if (finish)
        CU_ASSERT_EQUAL(rg_file_commit(&file, &e), 0)
    else
        rg_file_abandon(&file);
}

static void expect_text(const char *name, const char *wanted)
{
    char text[80] = "";
    FILE *stream = fopen(scratch_path(name), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    CU_ASSERT_TRUE(fgets(text, sizeof text, stream) != NULL);
    CU_ASSERT_STRING_EQUAL(text, wanted);
    fclose(stream);
}

static bool is_link(const char *name)
{
    struct stat status;
    return lstat(scratch_path(name), &status) == 0 && S_ISLNK(status.st_mode);
}

/* A link stays one, whether it points to a file yet or not; its file is whole at any time. */
static void test_links(void)
{
    mkdir(scratch_path("there"), 0777);
    scratch_text("there/old", "old");
    CU_ASSERT_EQUAL(symlink("there/old", scratch_path("near")), 0);
    CU_ASSERT_EQUAL(symlink(scratch_path("near"), scratch_path("far")), 0);
    CU_ASSERT_EQUAL(symlink("../there/new", scratch_path("there/ahead")), 0);
    write_through(scratch_path("far"), "never", false);
    expect_text("there/old", "old");
    write_through(scratch_path("far"), "young", true);
    expect_text("there/old", "young");
    write_through(scratch_path("there/ahead"), "first", true);
    expect_text("there/new", "first");
    CU_ASSERT_TRUE(is_link("near") && is_link("far") && is_link("there/ahead"));
    CU_ASSERT_FALSE(is_link("there/old") || is_link("there/new"));
}

/* ---- temporary files ---- */

static bool nameless_files_unknown;

/* The name that open has with offsets of 64 bits, see CMakeLists.txt. */
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (nameless_files_unknown && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_open64(path, flags, mode);
}

/* The first name in the folder that begins so and goes on; the number of them. */
static int names_after(const char *folder, const char *begin, char name[256])
{
    int count = 0;
    DIR *dir = opendir(scratch_path(folder));
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, begin, strlen(begin)) == 0 &&
            strcmp(entry->d_name, begin) != 0 && count++ == 0)
            snprintf(name, 256, "%s", entry->d_name);
    closedir(dir);
    return count;
}

/* Dies with the file half written. */
static pid_t die_writing(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct rg_file file;
        struct rg_error e;
        if (rg_file_open(&file, path, &e) == 0) {
            fputs("half", file.stream);
            fflush(file.stream);
        }
        kill(getpid(), SIGKILL);
    }
    int status;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return pid;
}

/* Who dies leaves no file without a name; one with a name is known to the parent, and to nobody
 * else: not even the process that wrote the one before can tell the next. */
static void test_temporaries(void)
{
    char name[256] = "", path[600];
    mkdir(scratch_path("part"), 0777);
    scratch_text("part/net", "whole");
    for (int unknown = 0; unknown < 2; unknown++) {
        nameless_files_unknown = unknown;
        pid_t pid = die_writing(scratch_path("part/net"));
        CU_ASSERT_EQUAL(names_after("part", "net", name), unknown);
        rg_file_abandon_of(scratch_path("part/net"), (long)pid);
        CU_ASSERT_EQUAL(names_after("part", "net", name), 0);
        expect_text("part/net", "whole");
    }
    CU_ASSERT_TRUE(strncmp(name, "net.part-", 9) == 0 &&
                   strspn(name + 9, "0123456789abcdef") == 16);
    CU_ASSERT_NOT_EQUAL(strtoull(name + 9, NULL, 16), 0);
    /* the very name of this process, prepared by somebody who has guessed it */
    snprintf(path, sizeof path, "%s.part-%.16s-%ld", scratch_path("part/net"), name + 9,
             (long)getpid());
    scratch_text("victim", "untouched");
    CU_ASSERT_EQUAL(symlink(scratch_path("victim"), path), 0);
    for (int unknown = 0; unknown < 2; unknown++) {
        struct rg_file file;
        struct rg_error e = {0};
        nameless_files_unknown = unknown;
        CU_ASSERT_EQUAL(rg_file_open(&file, scratch_path("part/net"), &e), RG_ERR_IO);
    }
    expect_text("victim", "untouched");
    unlink(path);
    write_through(scratch_path("part/net"), "again", true);
    expect_text("part/net", "again");
    nameless_files_unknown = false;
    CU_ASSERT_EQUAL(names_after("part", "net", name), 0);
}

static const struct suite_test tests[] = {
    {"refusals: status 2, one line, nothing written", test_refusals},
    {"options that are none", test_options},
    {"--version, --help, --list, --check", test_information},
    {"exit statuses", test_exit_statuses},
    {"outputs", test_outputs},
    {"outputs through links", test_links},
    {"temporary files", test_temporaries},
    {"where a ring may be cut", test_cuts},
};

int main(int argc, char **argv)
{
    return suite_main("cli", tests, RG_COUNT(tests), argc, argv);
}
