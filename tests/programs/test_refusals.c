/* Bad command lines, scenarios and outputs: refused before anything runs, in one line. */
#include "programs/command.h"
#include "support/suite.h"
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/ringtmp-test-XXXXXX";

/* One line, or that of an option and argp's where to look. */
static bool is_brief(const char *text)
{
    return command_lines(text) == (strstr(text, "\nTry `") ? 2 : 1);
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
                strstr(output.err, words) && command_files_in(folder) == 0;
    if (!good)
        printf("%s\n  status %d, %d files, wanted \"%s\"\n%s%s", line, output.status,
               command_files_in(folder), words, output.out, output.err);
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
    refuses("ringsim scenarios/iris-3.xml --save build/none", "belongs to one run");
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

static void bad_checkpoints_are_refused(void)
{
    static const char iris[] = "scenarios/iris-3.xml";
    char line[700], c[100], saved[200];
    struct command_output output;
    snprintf(c, sizeof c, "%s-c", folder);
    refuses("ringsim scenarios/iris-3.xml --every 5min", "--checkpoint DIR is wanted");
    refuses("ringsim scenarios/iris-3.xml --checkpoint /absent/x --every 3weeks", "500iterations");
    refuses("ringsim scenarios/iris-3.xml --checkpoint /absent/x --every 0epochs", "500iterations");
    refuses("ringsim scenarios/iris-3.xml --checkpoint /absent/x", "belongs to one run");
    refuses("ringsim scenarios/iris-3.xml --resume-from /absent/x --load /absent/y", "one of them");
    refuses("ringsim scenarios/iris-3.xml --resume-from /absent/x --replay /absent/y",
            "one of them");
    refuses("ringsim scenarios/iris-3.xml --resume --checkpoint /absent/x",
            "--resume finishes a sweep");
    refuses("ringsim scenarios/iris-3.xml --strategy ringtmp --resume-from /absent",
            "no checkpoint");
    refuses("ringsim scenarios/iris-3.xml --strategy ringtmp --set numerics=skip --resume-from "
            "/absent/x",
            "real is needed");
    refuses("ringnode scenarios/iris-3.xml --local --strategy ringtmp --set numerics=skip "
            "--checkpoint /absent/x",
            "real is needed");
    refuses("ringsim scenarios/iris-3.xml --strategy ringtmp --set checkpoint-every=often",
            "500iterations, or daly, or never");
    refuses("ringsim scenarios/iris-3.xml --strategy ringtmp --set checkpoint-every=daly",
            "mtbf of <faults> is wanted");
    refuses("ringsim scenarios/iris-3.xml --checkpoint /absent/x --every daly", "500iterations");
    refuses("ringsim tests/data/matrix.xml --set numerics=skip --set nodes=5 --strategy pipedream "
            "--set pipedream.drain=never --set checkpoint-every=1epoch",
            "in flight between epochs");
    refuses("ringnode scenarios/iris-3.xml --local --checksum perhaps", "auto, yes or no");
    snprintf(line, sizeof line,
             "ringsim %s --strategy ringtmp --set epochs=2 --quiet --checkpoint %s", iris, c);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(line, sizeof line, "ringsim %s --strategy ringtmp --resume-from %s --set epochs=1",
             iris, c);
    refuses(line, "more epochs or iterations are allowed");
    snprintf(line, sizeof line,
             "ringnode %s --local --strategy ringtmp --resume-from %s --set seed=77", iris, c);
    refuses(line, "seed is");
    snprintf(line, sizeof line, "ringsim %s --strategy ringtmp --checkpoint %s", iris, c);
    refuses(line, "of another run");
    /* and it is as it was: more epochs go on from it */
    snprintf(line, sizeof line,
             "ringnode %s --local --strategy ringtmp --quiet --set epochs=3 "
             "--checkpoint %s --resume-from %s",
             iris, c, c);
    command_run(line, 60, &output);
    CU_ASSERT_EQUAL(output.status, 0);
    snprintf(saved, sizeof saved, "rm -r %s", c);
    CU_ASSERT_EQUAL(system(saved), 0);
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
    refuses_platform("9.147Gf", "xGf", "speeds above 0 are wanted, such as 9.8Gf");
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
    complains_of("--strategy ring --set ring.schedule=zb --set ring.recompute=yes",
                 ": recompute belongs to gpipe, 1f1b and interleaved, not to zb");
    complains_of("--strategy ring --set ring.schedule=ringtmp --set ring.recompute=no",
                 ": recompute belongs to gpipe, 1f1b and interleaved, not to ringtmp, which always "
                 "does");
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
    complains_of("--strategy ring --set ring.chunks=2",
                 ": chunks belongs to interleaved, not to 1f1b");
    complains_of("--strategy ring --set ring.schedule=interleaved --set ring.chunks=2",
                 ": 3 nodes with 2 chunks each need 6 layers, the network has 3: set chunks to at "
                 "most 1");
    complains_of("--strategy ring --set ring.schedule=interleaved --set ring.stages=1",
                 ": interleaved wants a ring of 2 nodes or more, this has 1");
    complains_of(
        "--strategy ring --set ring.schedule=interleaved --set ring.chunks=1",
        ": micro-batches=\"5\": interleaved wants groups of 3, the nodes of a ring: multiples "
        "up to 9");
    complains_of(
        "--strategy ring --set ring.schedule=interleaved --set ring.chunks=1 "
        "--set ring.micro-batches=auto --set batch=2",
        ": interleaved wants micro-batches in groups of 3, the nodes of a ring: a batch of at "
        "least 3 samples for each replica, not 2");
    complains_of("--strategy ring --set ring.schedule=interleaved --set ring.chunks=65",
                 "1 to 64 are allowed");
    complains_of("--strategy ring --set ring.schedule=pipedream --set ring.drain=never "
                 "--set ring.depth=61 --set epochs=1",
                 ": depth=\"61\" is more than the run has: 12 batches of 5 micro-batches");
    complains_of("--set rate-period=5",
                 "rate-period=\"5\" is for rate-schedule=\"step\" and \"cosine\"");
    complains_of("--set rate-factor=0.5", "rate-factor=\"0.5\" is for rate-schedule");
    complains_of("--set rate-schedule=step", "rate-schedule=\"step\" needs rate-period");
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

static void outputs_that_cannot_be_written_are_refused_first(void)
{
    struct command_output output;
    command_run("ringsim scenarios/iris-3.xml --json /no/such/folder/x.json", 60, &output);
    CU_ASSERT_EQUAL(output.status, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output.err, "/no/such/folder"));
    CU_ASSERT_EQUAL(command_lines(output.err), 1);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"bad command lines and scenarios: status 2, one line", bad_command_lines_are_refused},
        {"bad checkpoints", bad_checkpoints_are_refused},
        {"platforms that contradict themselves are refused",
         platforms_that_contradict_themselves_are_refused},
        {"schedules refuse what others take", schedules_refuse_what_others_take},
        {"one is no plural", one_is_no_plural},
        {"outputs that cannot be written are refused first",
         outputs_that_cannot_be_written_are_refused_first},
    };
    if (!mkdtemp(folder))
        return 1;
    int status = suite_main("refusals", tests, sizeof tests / sizeof *tests, argc, argv);
    rmdir(folder);
    return status;
}
