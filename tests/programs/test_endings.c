/* How a run ends before its time: Ctrl-C, SIGTERM, --timeout, lost ranks. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/ringtmp-test-XXXXXX";

static void pause_s(double seconds)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds,
                                 .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))},
              NULL);
}

/* A program that has only begun, on a busy machine, is ended by a signal as any is. */
static void await_catching(pid_t pid, int number)
{
    char path[40], line[200];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    for (int i = 0; i < 6000 && !(caught >> (number - 1) & 1); i++) {
        pause_s(0.01);
        FILE *f = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        while (fgets(line, sizeof line, f))
            sscanf(line, "SigCgt: %llx", &caught);
        fclose(f);
    }
}

/* Until these words are in a file that a program writes. */
static void await_words(const char *path, const char *words)
{
    for (int i = 0; i < 6000; i++) {
        char text[4096] = "";
        FILE *f = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        text[fread(text, 1, sizeof text - 1, f)] = 0;
        fclose(f);
        if (strstr(text, words))
            return;
        pause_s(0.01);
    }
    CU_FAIL("the words do not come");
}

/* A run that would take minutes gets SIGINT: 130, soon, no process and no half-written file left.
 */
static void interrupt(const char *command, int files)
{
    char line[700];
    snprintf(line, sizeof line, "%s --json %s/result.json --trace %s/result.trace", command, folder,
             folder);
    pid_t pid = command_start(line, NULL);
    await_catching(pid, SIGINT);
    pause_s(1.5);
    CU_ASSERT_EQUAL(kill(-pid, SIGINT), 0);
    CU_ASSERT_EQUAL(command_wait(pid, 20), 130);
    pause_s(0.2);
    CU_ASSERT_EQUAL(command_group_size(pid), 0);
    CU_ASSERT_EQUAL(command_files_in(folder), files);
    snprintf(line, sizeof line, "%s/result.json", folder);
    unlink(line);
    snprintf(line, sizeof line, "%s/result.trace", folder);
    unlink(line);
}

/* Stages that go on through the ends of epochs, some further than others, end after one update,
 * with the weights that a run of so many has. */
static void ctrl_c_ends_streams_after_one_update(void)
{
    static const char *const labels[] = {"ringtmp-on", "pipedream-on"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        char line[700];
        snprintf(line, sizeof line,
                 "ringnode tests/data/matrix.xml --local --set nodes=5 --set epochs=1000000 "
                 "--strategy %s --quiet --json %s/result.json",
                 labels[i], folder);
        pid_t pid = command_start(line, NULL);
        await_catching(pid, SIGINT);
        pause_s(0.7);
        CU_ASSERT_EQUAL(kill(-pid, SIGINT), 0);
        CU_ASSERT_EQUAL(command_wait(pid, 20), 130);
        snprintf(line, sizeof line, "%s/result.json", folder);
        json_t *stopped = json_load_file(line, 0, NULL), *run = command_run_of(stopped, labels[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(run);
        snprintf(line, sizeof line,
                 "ringsim tests/data/matrix.xml --set nodes=5 --set iterations=%.0f --strategy %s",
                 command_number(run, "iterations"), labels[i]);
        json_t *whole = command_result(line, 60);
        CU_ASSERT_STRING_EQUAL(command_text(run, "weights_sha256"),
                               command_text(command_run_of(whole, labels[i]), "weights_sha256"));
        json_decref(stopped);
        json_decref(whole);
        snprintf(line, sizeof line, "%s/result.json", folder);
        unlink(line);
    }
}

static void ctrl_c_leaves_nothing(void)
{
    /* Result and trace of what had finished are there, whole; temporary files are not. */
    interrupt("ringsim scenarios/iris-3.xml --set epochs=1000000", 2);
    interrupt("ringnode scenarios/iris-3.xml --local --set epochs=1000000", 2);
}

/* The parent alone is asked to end, as a supervisor does. */
static void ending_the_parent_ends_the_ranks(void)
{
    pid_t pid = command_start("ringnode scenarios/iris-3.xml --local --set epochs=1000000", NULL);
    await_catching(pid, SIGTERM);
    pause_s(1);
    CU_ASSERT_EQUAL(kill(pid, SIGTERM), 0);
    CU_ASSERT_EQUAL(command_wait(pid, 20), 130);
    CU_ASSERT_EQUAL(command_group_size(pid), 0);
}

/* A shell that started something else before it became ringnode leaves it that child; and one that
 * ignores the ends of its children hands that on. */
static void inherited_children_are_ignored(void)
{
    char script[] = "/tmp/ringtmp-test-XXXXXX", line[128];
    const char *const preludes[] = {"sleep 0.3 & exec", "exec env --ignore-signal=CHLD"};
    int fd = mkstemp(script);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    for (size_t i = 0; i < RG_COUNT(preludes); i++) {
        FILE *f = fopen(script, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fprintf(f, "%s %s scenarios/iris-3.xml --local --strategy ring --set epochs=%s\n",
                preludes[i], RG_RINGNODE, i == 0 ? "1000000 --timeout 2" : "1 --timeout 0.0001");
        fclose(f);
        struct command_output output;
        snprintf(line, sizeof line, "sh %s", script);
        command_run(line, 30, &output);
        CU_ASSERT_EQUAL(output.status, 3); /* its time is up, and nothing else */
    }
    unlink(script);
}

static void a_timeout_is_no_interruption(void)
{
    struct command_output output;
    command_run("ringnode scenarios/iris-3.xml --local --set epochs=1000000 --timeout 1", 30,
                &output);
    CU_ASSERT_EQUAL(output.status, 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "--timeout"));
    /* A fraction of a second is one, also where the run would be over within a whole one. */
    command_run("ringnode scenarios/iris-3.xml --local --strategy ring --timeout 0.001", 30,
                &output);
    CU_ASSERT_EQUAL(output.status, 3);
    command_run("ringsim scenarios/iris-3.xml --set epochs=1000000 --timeout 1", 30, &output);
    CU_ASSERT_EQUAL(output.status, 3);
}

/* Ports that nobody has: bound to, and left. */
static void write_hosts(const char *path, int count)
{
    int sockets[8];
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (int i = 0; i < count; i++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        CU_ASSERT_FATAL(bind(sockets[i], (struct sockaddr *)&at, size) == 0 &&
                        getsockname(sockets[i], (struct sockaddr *)&at, &size) == 0);
        fprintf(f, "127.0.0.1:%d\n", ntohs(at.sin_port));
    }
    fclose(f);
    for (int i = 0; i < count; i++)
        close(sockets[i]);
}

/* One rank's time is up: all of them end so, not as if somebody had interrupted them. */
static void a_timeout_is_told_to_all(void)
{
    char hosts[sizeof folder + 10];
    pid_t pids[3];
    snprintf(hosts, sizeof hosts, "%s/hosts", folder);
    write_hosts(hosts, 3);
    for (int rank = 0; rank < 3; rank++) {
        char line[300];
        snprintf(line, sizeof line,
                 "ringnode scenarios/iris-3.xml --rank %d --hosts %s --strategy ring --set "
                 "epochs=1000000 --quiet%s",
                 rank, hosts, rank == 1 ? " --timeout 1" : "");
        pids[rank] = command_start(line, NULL);
    }
    for (int rank = 0; rank < 3; rank++)
        CU_ASSERT_EQUAL(command_wait(pids[rank], 30), 3);
    unlink(hosts);
}

static pid_t child_of(pid_t parent, int index)
{
    char path[80], text[4096] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, parent);
    FILE *f = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    char *at = text;
    long pid = 0;
    for (int i = 0; i <= index; i++)
        pid = strtol(at, &at, 10);
    return (pid_t)pid;
}

/* SIGKILL to one rank: status 4, and the loss has a name; also where the strategy under way
 * (single) does not need it. */
static void a_killed_rank_is_named(void)
{
    for (int rank = 0; rank < 3; rank++) {
        char path[80], text[4096] = "", name[16];
        snprintf(path, sizeof path, "%s/err", folder);
        pid_t pid = command_start(
            rank == 1 ? "ringnode scenarios/iris-3.xml --local --progress --set epochs=1000000"
                      : "ringnode scenarios/iris-3.xml --local --progress --strategy ring "
                        "--set epochs=1000000",
            path);
        await_words(path, "000000, "); /* of so many iterations: all have joined */
        pid_t victim = child_of(pid, rank);
        CU_ASSERT_FATAL(victim > 0);
        CU_ASSERT_EQUAL(kill(victim, SIGKILL), 0);
        CU_ASSERT_EQUAL(command_wait(pid, 30), 4);
        CU_ASSERT_EQUAL(command_group_size(pid), 0);
        FILE *f = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        text[fread(text, 1, sizeof text - 1, f)] = 0;
        fclose(f);
        unlink(path);
        snprintf(name, sizeof name, "rank %d", rank);
        if (!strstr(text, name))
            printf("%s", text);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, name));
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"Ctrl-C: status 130, nothing left", ctrl_c_leaves_nothing},
        {"Ctrl-C ends streams after one update", ctrl_c_ends_streams_after_one_update},
        {"SIGTERM to the parent ends its ranks", ending_the_parent_ends_the_ranks},
        {"--timeout: status 3", a_timeout_is_no_interruption},
        {"inherited children are none of ours", inherited_children_are_ignored},
        {"--timeout of one rank: status 3 on all", a_timeout_is_told_to_all},
        {"a rank that is killed: status 4 and its name", a_killed_rank_is_named},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("endings", tests, sizeof tests / sizeof *tests, argc, argv);
    rmdir(folder);
    return status;
}
