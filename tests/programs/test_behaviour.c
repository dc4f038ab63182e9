/* The programs as their users meet them: bad input, Ctrl-C, lost ranks. */
#include "base/check.h"
#include "programs/command.h"
#include "support/suite.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/ringtmp-test-XXXXXX";

static int files_in_folder(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

static int lines_in(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* One line, or that of an option and argp's where to look. */
static bool is_brief(const char *text)
{
    return lines_in(text) == (strstr(text, "\nTry `") ? 2 : 1);
}

/* Exit 2, one line that contains `words`, nothing printed or written. */
static void refuses(const char *command, const char *words)
{
    struct command_output output;
    char line[700];
    snprintf(line, sizeof line, "%s --json %s/result.json --trace %s/result.trace", command, folder,
             folder);
    command_run(line, 60, &output);
    bool good = output.status == 2 && is_brief(output.err) && output.out[0] == 0 &&
                strstr(output.err, words) && files_in_folder() == 0;
    if (!good)
        printf("%s\n  status %d, %d files, wanted \"%s\"\n%s%s", line, output.status,
               files_in_folder(), words, output.out, output.err);
    CU_ASSERT(good);
}

static void bad_command_lines_are_refused(void)
{
    refuses("ringsim", "SCENARIO");
    refuses("ringsim scenarios/iris-3.xml --no-such-option", "--no-such-option");
    refuses("ringsim scenarios/iris-3.xml --jobs 0", "1 to");
    refuses("ringsim scenarios/iris-3.xml --strategy nobody", "nobody");
    refuses("ringsim scenarios/iris-3.xml --set colour=red", "colour");
    refuses("ringsim scenarios/iris-3.xml --set batch=0", "batch");
    refuses("ringsim scenarios/iris-3.xml --set batch=500", "120");
    refuses("ringsim scenarios/iris-3.xml --set nodes=4", "3 hosts");
    refuses("ringsim scenarios/iris-3.xml --set ring.depht=2", "depth");
    refuses("ringsim scenarios/iris-3.xml --set ring.schedule=lazy", "gpipe");
    refuses("ringsim scenarios/iris-3.xml --save /tmp/x", "one strategy");
    refuses("ringsim scenarios/mnist-3.xml --data /absent", "--data DIR names another folder");
    refuses("ringsim scenarios/no-such.xml", "no-such.xml");
    refuses("ringsim scenarios/mnist-3.xml", "t10k-images");
    refuses("ringsim scenarios/iris-3.xml --set platform=platforms/pi4-gigabit-64.xml",
            "at most 3");
    refuses("ringsim scenarios/iris-3.xml --set platform=tests/data/unreadable-platform.xml",
            "unreadable-platform.xml");
    refuses("ringsim scenarios/iris-3.xml --set platform=tests/data/contradictory-platform.xml",
            "rg_port_rate");
    refuses("ringnode scenarios/iris-3.xml", "--local");
    refuses("ringnode scenarios/iris-3.xml --rank 0", "--hosts");
    refuses("ringnode scenarios/iris-3.xml --local=99", "3 hosts");
    refuses("ringnode scenarios/iris-3.xml --rank 0 --hosts no-such-hosts", "no-such-hosts");
}

/* The platform of the scenario, with one thing changed in it. */
static void refuses_platform(const char *from, const char *to, const char *words)
{
    char path[] = "/tmp/ringtmp-platform-XXXXXX", line[200];
    static char text[16384];
    FILE *f = fopen(RG_SOURCE_DIR "/platforms/pi4-gigabit-3.xml", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    char *at = strstr(text, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    dprintf(fd, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    close(fd);
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --set platform=%s", path);
    refuses(line, words);
    unlink(path);
}

static void platforms_that_contradict_themselves_are_refused(void)
{
    refuses_platform("speed=\"9.8Gf,", "speed=\"", "speed of <cluster> has 9, rg_clocks 10");
    refuses_platform("core=\"4\"", "core=\"2\"", "rg_cores says 4");
    refuses_platform("core=\"4\"", "", "has 1 cores, rg_cores says 4");
    refuses_platform("lat=\"25.15us\"", "lat=\"100us\"", "rg_latency_s says 5.03e-05");
    refuses_platform("speed=\"9.8Gf,", "speed=\"0f,", "speeds above 0");
    refuses_platform("\"SPLITDUPLEX\">", "\"SHARED\"><prop id=\"rg_port_queue\" value=\"1e6\"/>",
                     "node-0: rg_port_queue is for ports with a link of their own each way");
    refuses_platform("\"SPLITDUPLEX\">",
                     "\"SPLITDUPLEX\" bb_bw=\"200MBps\" bb_lat=\"0\">"
                     "<prop id=\"rg_port_queue\" value=\"1e6\"/>",
                     "carries 2e+08 B/s: with rg_port_queue, 3.75e+08 are wanted");
}

static void complains_of(const char *sets, const char *words)
{
    struct command_output output;
    char line[200];
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --check %s", sets);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 2);
    if (!strstr(output.err, words))
        printf("  %s", output.err);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, words));
}

static void schedules_refuse_what_others_take(void)
{
    complains_of("--strategy ring --set ring.schedule=gpipe --set ring.depth=3",
                 ": depth belongs to 1f1b, zb and pipedream, not to gpipe");
    complains_of("--strategy ring --set ring.in-flight=3",
                 ": in-flight belongs to ringtmp, not to 1f1b");
    complains_of("--strategy ring --set ring.weights=stash",
                 ": weights belongs to pipedream, not to 1f1b");
    complains_of("--strategy ring --set ring.schedule=ringtmp --set ring.weights=current",
                 ": weights belongs to pipedream, not to ringtmp");
    complains_of("--strategy ring --set ring.schedule=zb-h2 --set ring.depth=3",
                 ": depth belongs to 1f1b, zb and pipedream, not to zb-h2");
    complains_of("--strategy ring --set ring.schedule=zb --set ring.in-flight=3",
                 ": in-flight belongs to ringtmp, not to zb");
    complains_of("--strategy ring --set ring.schedule=zb --set ring.weights=stash",
                 ": weights belongs to pipedream, not to zb");
    complains_of("--strategy ring --set ring.schedule=zb --set ring.micro-batches=fit",
                 ": micro-batches=\"fit\" is for streams; zb takes a number or auto");
    complains_of("--strategy ring --set ring.micro-batches=fit",
                 ": micro-batches=\"fit\" is for streams; 1f1b takes a number or auto");
    complains_of("--strategy ring --set ring.micro-batches=few",
                 "1 to 1000000 are allowed, or auto|fit");
    complains_of("--strategy ring --set ring.schedule=pipedream --set ring.depth=61",
                 ": depth=\"61\" is more than an epoch has: 12 batches of 5 micro-batches");
    complains_of("--strategy ring --set ring.schedule=pipedream --set ring.micro-batches=fit"
                 " --set ring.depth=60",
                 ": micro-batches=\"fit\": 60 in flight want 15 a batch, whose samples are 10");
    complains_of("--strategy ring --set ring.drain=never",
                 ": drain belongs to streams, 1f1b drains at every update");
    complains_of("--strategy ring --set ring.drain=sometimes", "drain=sometimes");
    complains_of("--strategy ring --set ring.schedule=pipedream --set ring.drain=never "
                 "--set ring.depth=61 --set epochs=1",
                 ": depth=\"61\" is more than the run has: 12 batches of 5 micro-batches");
    complains_of("--set rate-ramp=-1", "rate-ramp=-1: out of range: 0 to 1000000000 are allowed");
    complains_of("--set clip=0", "clip=0: out of range: numbers above 0");
    complains_of("--set compensate=maybe", "compensate=maybe");
    complains_of("--set compensate=yes --set optimizer=sgd",
                 "optimizer=\"sgd\" does not have: momentum and adam are allowed");
    refuses("ringsim scenarios/scaling.xml --set compensate=yes --set optimizer=adam",
            "no strategy here has delays; streams have (ring_pipeline with schedule: ringtmp, "
            "pipedream)");
}

static void one_is_no_plural(void)
{
    complains_of("--strategy ring --set ring.micro-batches=11",
                 ": a batch of 10 samples cannot be cut in 11 micro-batches: 1 to 10");
    complains_of("--strategy ring --set ring.micro-batches=2 --set batch=1",
                 ": a batch of 1 sample cannot be cut in 2 micro-batches: 1 to 1");
    complains_of(
        "--strategy ring --set ring.micro-batches=6 --set ring.replicas=2 --set ring.stages=1",
        ": a batch of 10 samples over 2 replicas cannot be cut in 6 micro-batches: 1 to 5");
    complains_of("--strategy ring --set nodes=2 --set ring.stages=1",
                 ": stages=\"1\" and replicas=\"1\" take 1 node, there are 2");
    struct command_output output;
    command_run("ringsim scenarios/iris-3.xml --strategy single --check --set batch=120 --set "
                "epochs=1",
                60, &output);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, " 1 iteration of 120 samples\n"));
}

static void standard_output_that_is_full_is_told(void)
{
    static const char *const lines[] = {"--list", RG_SOURCE_DIR "/scenarios/iris-3.xml --check",
                                        RG_SOURCE_DIR "/scenarios/iris-3.xml --set epochs=1"};
    for (int i = 0; i < 3; i++) {
        char line[300];
        snprintf(line, sizeof line, RG_BINARY_DIR "/ringsim %s >/dev/full 2>/dev/null", lines[i]);
        int status = system(line);
        CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    }
}

static void outputs_that_cannot_be_written_are_refused_first(void)
{
    struct command_output output;
    command_run("ringsim scenarios/iris-3.xml --json /no/such/folder/x.json", 60, &output);
    CU_ASSERT_EQUAL(output.status, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "/no/such/folder"));
    CU_ASSERT_EQUAL(lines_in(output.err), 1);
}

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

/* A reader of a pipe gets the whole result, and nothing before it. */
static void a_pipe_takes_the_result(void)
{
    char line[1200], pipe[300], copy[310];
    snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    snprintf(copy, sizeof copy, "%s/copy", folder);
    CU_ASSERT_EQUAL_FATAL(mkfifo(pipe, 0600), 0);
    snprintf(line, sizeof line,
             "timeout 30 cat %s >%s & timeout 30 " RG_BINARY_DIR "/ringsim " RG_SOURCE_DIR
             "/scenarios/iris-3.xml --strategy single --set epochs=1 --quiet --json %s && wait",
             pipe, copy, pipe);
    CU_ASSERT_EQUAL(system(line), 0);
    json_t *result = json_load_file(copy, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL(result);
    json_decref(result);
    unlink(pipe);
    unlink(copy);
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
    CU_ASSERT_EQUAL(files_in_folder(), files);
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

static void what_does_not_fit_is_told(void)
{
    /* The 64-layer network and its Adam state on boards of half a megabyte. */
    json_t *result = command_result("ringsim tests/data/tiny-boards.xml", 60);
    json_t *single = command_run_of(result, "single"), *ring = command_run_of(result, "ring");
    CU_ASSERT_STRING_EQUAL(command_text(single, "status"), "does-not-fit");
    CU_ASSERT_PTR_NOT_NULL(strstr(command_text(single, "error"), "node 0"));
    CU_ASSERT_STRING_EQUAL(command_text(ring, "status"), "ok");
    json_decref(result);
}

static void saved_parameters_load_again(void)
{
    char line[400], path[80];
    struct command_output output;
    snprintf(path, sizeof path, "%s/net.safetensors", folder);
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --strategy ring --save %s", path);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, "ringnode scenarios/iris-3.xml --local --strategy ring --load %s",
             path);
    json_t *result = command_result(line, 60);
    json_t *run = command_run_of(result, "ring");
    /* It goes on from where it was: the loss after the first epoch is low already. */
    json_t *first = json_array_get(json_object_get(run, "training"), 0);
    CU_ASSERT(json_number_value(json_object_get(first, "accuracy")) > 0.8);
    json_decref(result);
    unlink(path);
}

/* Of each class ten flowers; each row adds up to its samples, the diagonal to the accuracy. */
static void classes_add_up(const char *program)
{
    char line[200];
    snprintf(line, sizeof line, "%s scenarios/iris-3.xml --set epochs=5", program);
    json_t *result = command_result(line, 60), *run, *class, *count;
    size_t i, c, k;
    json_array_foreach(json_object_get(result, "runs"), i, run)
    {
        json_t *classes = json_object_get(json_object_get(run, "final"), "classes");
        long long right = 0;
        CU_ASSERT_EQUAL(json_array_size(classes), 3);
        json_array_foreach(classes, c, class)
        {
            long long all = 0;
            json_t *row = json_object_get(class, "predicted");
            CU_ASSERT_EQUAL(json_array_size(row), 3);
            json_array_foreach(row, k, count) all += json_integer_value(count);
            long long own = json_integer_value(json_array_get(row, c));
            CU_ASSERT_EQUAL(all, 10);
            CU_ASSERT_EQUAL(json_integer_value(json_object_get(class, "samples")), 10);
            CU_ASSERT_EQUAL(command_number(class, "accuracy"), (double)own / 10);
            right += own;
        }
        CU_ASSERT_EQUAL(command_number(run, "final.accuracy"), (double)right / 30);
        CU_ASSERT(right < 30); /* so that a wrong order of rows and columns would show */
    }
    json_decref(result);
}

static void accuracy_is_told_by_class(void)
{
    struct command_output output;
    classes_add_up("ringsim");
    classes_add_up("ringnode --local");
    command_run("ringsim scenarios/iris-3.xml --strategy ring --classes", 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "\nring, 3 nodes: test samples by class (rows)"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(output.out, "\n0                      10   100.0 %   10  0  0\n"));
    command_run("ringsim scenarios/iris-3.xml --strategy ring --set numerics=skip --classes", 60,
                &output);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "\nno run has an accuracy by class"));
    /* 101 classes: none is told. */
    json_t *result = command_result("ringsim tests/data/many-classes.xml", 60);
    for (int i = 0; i < 2; i++) {
        const char *const labels[] = {"single", "server"};
        json_t *run = command_run_of(result, labels[i]);
        CU_ASSERT(command_number(run, "final.accuracy") >= 0);
        CU_ASSERT_PTR_NULL(json_object_get(json_object_get(run, "final"), "classes"));
    }
    json_decref(result);
}

/* The flowers of two of the three kinds, from the shipped file. */
static void write_two_species(const char *path)
{
    char line[200];
    FILE *from = fopen(RG_SOURCE_DIR "/models/data/iris.csv", "r"), *to = fopen(path, "w");
    while (from && to && fgets(line, sizeof line, from)) {
        const char *label = strrchr(line, ',');
        if (line[0] != '#' && label && (label[1] == '1' || label[1] == '2'))
            fputs(line, to);
    }
    CU_ASSERT_FATAL(from && to);
    fclose(from);
    fclose(to);
}

static void write_two_species_scenario(const char *path)
{
    FILE *to = fopen(path, "w");
    fputs("<scenario name=\"two\" seed=\"1\">"
          "<platform file=\"" RG_SOURCE_DIR "/platforms/pi4-gigabit-3.xml\"/>"
          "<network file=\"" RG_SOURCE_DIR "/models/networks/iris-mlp.xml\"/>"
          "<data kind=\"csv\" file=\"two.csv\" classes=\"3\" train=\"10\" test=\"90\"/>"
          "<training batch=\"10\" epochs=\"1\" learning-rate=\"1e-7\"/>"
          "<strategy label=\"single\" kind=\"single\"/></scenario>",
          to);
    fclose(to);
}

/* Standardised afresh, two kinds of flowers look like others: 30 % are told right, against 98 % by
 * the mean and deviation of the training. */
static void saved_scaling_is_taken(void)
{
    const char *const worlds[] = {"ringsim", "ringnode --local"};
    char net[80], table[80], scenario[80], line[400];
    struct command_output output;
    snprintf(net, sizeof net, "%s/net.safetensors", folder);
    snprintf(table, sizeof table, "%s/two.csv", folder);
    snprintf(scenario, sizeof scenario, "%s/two.xml", folder);
    write_two_species(table);
    write_two_species_scenario(scenario);
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --strategy single --save %s", net);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    for (size_t i = 0; i < RG_COUNT(worlds); i++) {
        snprintf(line, sizeof line, "%s %s --load %s", worlds[i], scenario, net);
        json_t *result = command_result(line, 60);
        CU_ASSERT(command_number(command_run_of(result, "single"), "final.accuracy") > 0.9);
        json_decref(result);
        command_run(line, 60, &output);
        CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "standardised as for the network's training"));
    }
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --strategy single --load %s", net);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NULL(strstr(output.out, "standardised")); /* the same samples */
    snprintf(line, sizeof line, "ringsim %s --load %s --save %s.2", scenario, net, net);
    command_run(line, 60, &output);
    snprintf(line, sizeof line, "ringsim scenarios/iris-3.xml --strategy single --load %s.2", net);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NULL(strstr(output.out, "standardised")); /* they are handed on as they were */
    snprintf(line, sizeof line, "%s.2", net);
    unlink(line);
    unlink(net);
    unlink(table);
    unlink(scenario);
}

/* A short run whose options name /dev/full ends with status 5. */
static void run_on_a_full_disk(const char *world, const char *options,
                               struct command_output *output)
{
    char line[200];
    snprintf(line, sizeof line, "%s scenarios/iris-3.xml --strategy single --set epochs=1 %s",
             world, options);
    command_run(line, 60, output);
    CU_ASSERT_EQUAL(output->status, 5);
}

/* The training is not lost with it: the result is written, or printed where it has no other place.
 */
static void a_full_disk_keeps_the_result(void)
{
    const char *const worlds[] = {"ringsim", "ringnode --local"};
    for (size_t i = 0; i < RG_COUNT(worlds); i++) {
        struct command_output output;
        run_on_a_full_disk(worlds[i], "--save /dev/full --quiet", &output);
        CU_ASSERT_STRING_EQUAL(output.out, "");
        CU_ASSERT_PTR_NOT_NULL(strstr(output.err, ": single: not saved: /dev/full: cannot write"));
        run_on_a_full_disk(worlds[i], "--save /dev/full --json -", &output);
        json_t *result = json_loads(output.out, 0, NULL);
        json_t *run = json_array_get(json_object_get(result, "runs"), 0);
        CU_ASSERT_STRING_EQUAL(command_text(run, "status"), "ok");
        CU_ASSERT_PTR_NOT_NULL(
            strstr(command_text(run, "unsaved"), "/dev/full: cannot write: No space left"));
        CU_ASSERT_PTR_NULL(json_object_get(run, "ending"));
        json_decref(result);
        run_on_a_full_disk(worlds[i], "--json /dev/full --quiet", &output);
        CU_ASSERT_PTR_NOT_NULL(strstr(output.err, ": --json /dev/full: cannot write"));
        CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "accuracy"));
    }
}

static void nothing_finished_is_no_table(void)
{
    struct command_output output; /* two runs in three parts: the third has none */
    command_run("ringsim scenarios/iris-3.xml --strategy single --strategy ring --set epochs=1 "
                "--shard 3/3",
                60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.out, "no run has finished\n"));
    CU_ASSERT_PTR_NULL(strstr(output.out, "accuracy"));
}

/* poll refuses more entries than descriptors may be open: the ranks never met. */
static void few_descriptors_are_enough_or_told(void)
{
    struct command_output output;
    const char *run = "prlimit --nofile=%d:%d " RG_BINARY_DIR
                      "/ringnode tests/data/matrix.xml --local 4 --set nodes=4 "
                      "--strategy gpipe --meter none";
    char line[400];
    snprintf(line, sizeof line, run, 32, 32);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, run, 16, 16);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    CU_ASSERT_EQUAL(lines_in(output.err), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "descriptors are needed, 16 are allowed (ulimit -n"));
    snprintf(line, sizeof line, run, 16, 64); /* may be raised */
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
}

#ifndef __SANITIZE_ADDRESS__ /* which takes terabytes of it */
/* 64 nodes whose numbers are computed fit 8 GB; where there is too little it is said, with the
 * limit that was too little, before anything runs. */
static void address_space_is_enough_or_told(void)
{
    struct command_output output;
    const char *run = "prlimit --as=%ld " RG_BINARY_DIR
                      "/ringsim scenarios/pi-cluster-64.xml --set iterations=1 --jobs 1 %s";
    char line[400];
    snprintf(line, sizeof line, run, 8000000L << 10, "");
    command_run(line, 120, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, run, 500000L << 10, "");
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    CU_ASSERT_EQUAL(lines_in(output.err), 1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(output.err, "kB of address space are needed, 500000 are allowed"));
    snprintf(line, sizeof line, run, 500000L << 10, "--set numerics=skip");
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    /* samples: 19 floats and a label, 10 million times */
    snprintf(line, sizeof line,
             "prlimit --as=%ld " RG_BINARY_DIR "/ringsim tests/data/matrix.xml --strategy single-1 "
             "--set train=10000000 --set epochs=1 --check",
             700000L << 10);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(output.err, "kB of address space are needed, 700000 are allowed"));
}
#endif

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"bad command lines and scenarios: status 2, one line", bad_command_lines_are_refused},
        {"platforms that contradict themselves are refused",
         platforms_that_contradict_themselves_are_refused},
        {"schedules refuse what others take", schedules_refuse_what_others_take},
        {"one is no plural", one_is_no_plural},
        {"standard output that is full is told", standard_output_that_is_full_is_told},
        {"outputs that cannot be written are refused first",
         outputs_that_cannot_be_written_are_refused_first},
        {"Ctrl-C: status 130, nothing left", ctrl_c_leaves_nothing},
        {"Ctrl-C ends streams after one update", ctrl_c_ends_streams_after_one_update},
        {"a pipe takes the result", a_pipe_takes_the_result},
        {"SIGTERM to the parent ends its ranks", ending_the_parent_ends_the_ranks},
        {"--timeout: status 3", a_timeout_is_no_interruption},
        {"inherited children are none of ours", inherited_children_are_ignored},
        {"--timeout of one rank: status 3 on all", a_timeout_is_told_to_all},
        {"a rank that is killed: status 4 and its name", a_killed_rank_is_named},
        {"what does not fit is told, the rest runs", what_does_not_fit_is_told},
        {"saved parameters load again, in another world", saved_parameters_load_again},
        {"the scaling that was saved is taken", saved_scaling_is_taken},
        {"accuracy is told by class", accuracy_is_told_by_class},
        {"a full disk keeps the result", a_full_disk_keeps_the_result},
        {"few descriptors are enough, or told", few_descriptors_are_enough_or_told},
#ifndef __SANITIZE_ADDRESS__
        {"address space is enough, or told", address_space_is_enough_or_told},
#endif
        {"where no run has finished there is no table", nothing_finished_is_no_table},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("behaviour", tests, sizeof tests / sizeof *tests, argc, argv);
    rmdir(folder);
    return status;
}
