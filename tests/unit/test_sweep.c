/* From a scenario with sweeps to its runs: the product, multiples of the nodes, what is run once
 * only, what is impossible and what is refused, with which line. */
#include "study/sweep.h"

#include "base/check.h"
#include "scratch.h"
#include "support/suite.h"

static const char head[] =
    "<scenario name=\"test\" seed=\"7\">\n"
    "  <platform file=\"" RG_SOURCE_DIR "/platforms/pi4-gigabit-64.xml\"/>\n"
    "  <network file=\"" RG_SOURCE_DIR "/models/networks/digits-mlp.xml\"/>\n"
    "  <data kind=\"random\" inputs=\"784\" classes=\"10\" train=\"4096\"/>\n"
    "  <training batch=\"64\" iterations=\"2\" learning-rate=\"0.5\" numerics=\"skip\"/>\n"
    "  <strategy label=\"ring\" kind=\"ring_pipeline\" schedule=\"1f1b\"/>\n"
    "  <strategy label=\"eight\" kind=\"ring_pipeline\" replicas=\"8\" micro-batches=\"8\"/>\n"
    "  <strategy label=\"server\" kind=\"parameter_server\"/>\n";

/* A scenario of the head and these lines, the first of them on line 9. */
static const char *write_scenario(const char *lines)
{
    char text[4000];
    snprintf(text, sizeof text, "%s%s</scenario>\n", head, lines);
    return scratch_text("sweep.xml", text);
}

static int open_plan(const char *lines, const char *set, const char *label, struct rg_study *study,
                     struct rg_sweep_plan *plan, struct rg_error *e)
{
    char *sets[] = {(char *)set}, *labels[] = {(char *)label};
    const struct rg_study_want want = {.file = write_scenario(lines),
                                       .sets = sets,
                                       .set_count = set != NULL,
                                       .labels = labels,
                                       .label_count = label != NULL};
    *e = (struct rg_error){0};
    return rg_sweep_open(&want, NULL, NULL, study, plan, e);
}

/* "label nodes=8 ring.micro-batches=16" */
static void describe(const struct rg_run *run, char text[400])
{
    snprintf(text, 400, "%s", run->label);
    for (int i = 0; i < run->sweep_count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, 400 - used, " %s=%s", run->sweep[i].name, run->sweep[i].value);
    }
    if (run->status == RG_RUN_IMPOSSIBLE)
        strcat(text, " impossible");
}

/* The runs are these, one a line. */
static void expect_runs(const char *lines, const char *set, const char *label, const char *wanted)
{
    struct rg_study study;
    struct rg_sweep_plan plan;
    struct rg_error e;
    char all[4000] = "", one[400];
    int err = open_plan(lines, set, label, &study, &plan, &e);
    if (err)
        printf("\n    %s\n", e.text);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    for (int i = 0; i < plan.run_count; i++) {
        describe(&plan.runs[i].run, one);
        strcat(strcat(all, one), "\n");
    }
    if (strcmp(all, wanted) != 0)
        printf("\n    wanted\n%s    got\n%s", wanted, all);
    CU_ASSERT_STRING_EQUAL(all, wanted);
    rg_sweep_close(&plan);
}

static void test_no_sweep(void)
{
    struct rg_study study;
    struct rg_sweep_plan plan;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(open_plan("", "nodes=8", NULL, &study, &plan, &e), 0);
    CU_ASSERT_FALSE(plan.sweeping);
    CU_ASSERT_TRUE(plan.study_open);
    CU_ASSERT_EQUAL(plan.run_count, 3);
    CU_ASSERT_EQUAL(plan.runs[0].run.sweep_count, 0);
    CU_ASSERT_STRING_EQUAL(plan.digest, study.scenario.digest);
    rg_sweep_close(&plan);
    /* Without a sweep a strategy that cannot run is an error, as ever. */
    CU_ASSERT_EQUAL(open_plan("", "nodes=12", NULL, &study, &plan, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, scratch_path("sweep.xml"), 7, "\"eight\"|does not divide"));
}

static void test_product(void)
{
    expect_runs("<sweep key=\"nodes\" values=\"8, 12\"/>\n", NULL, NULL,
                "ring nodes=8\neight nodes=8\nserver nodes=8\n"
                "ring nodes=12\neight nodes=12 impossible\nserver nodes=12\n");
    /* Others' parameters ask for nothing new. */
    expect_runs("<sweep key=\"nodes\" values=\"8,16\"/>\n"
                "<sweep key=\"ring.micro-batches\" values=\"4,8\"/>\n"
                "<sweep key=\"server.servers\" values=\"1,2\"/>\n",
                NULL, NULL,
                "ring nodes=8 ring.micro-batches=4\neight nodes=8\nserver nodes=8 "
                "server.servers=1\nserver nodes=8 server.servers=2\n"
                "ring nodes=8 ring.micro-batches=8\n"
                "ring nodes=16 ring.micro-batches=4\neight nodes=16\nserver nodes=16 "
                "server.servers=1\nserver nodes=16 server.servers=2\n"
                "ring nodes=16 ring.micro-batches=8\n");
    /* The servers do not have it. */
    expect_runs("<sweep key=\"overlap\" values=\"yes,no\"/>\n", "nodes=8", NULL,
                "ring overlap=yes\neight overlap=yes\nserver\nring overlap=no\neight overlap=no\n");
}

static void test_multiples(void)
{
    expect_runs("<sweep key=\"nodes\" values=\"4,8,16,17\"/>\n"
                "<sweep key=\"server.servers\" values=\"1,N/8\"/>\n",
                NULL, "server",
                "server nodes=4 server.servers=1\nserver nodes=8 server.servers=1\n"
                "server nodes=16 server.servers=1\nserver nodes=16 server.servers=2\n"
                "server nodes=17 server.servers=1\nserver nodes=17 server.servers=2\n");
    expect_runs("<sweep key=\"ring.micro-batches\" values=\"N,3N/4\"/>\n", "nodes=16", "ring",
                "ring ring.micro-batches=16\nring ring.micro-batches=12\n");
    expect_runs("<sweep key=\"ring.micro-batches\" values=\"N/2\"/>\n", NULL, "ring",
                "ring ring.micro-batches=32\n"); /* the platform's hosts */
    expect_runs("<sweep key=\"ring.micro-batches\" values=\"2N\"/>\n", "ring.nodes=5", "ring",
                "ring ring.micro-batches=10\n");
    expect_runs("<sweep key=\"nodes\" values=\"16\"/><sweep key=\"ring.nodes\" values=\"N/2,4\"/>\n"
                "<sweep key=\"ring.micro-batches\" values=\"2N\"/>\n"
                "<sweep key=\"batch\" values=\"4N\"/>\n",
                NULL, "ring",
                "ring nodes=16 ring.nodes=8 ring.micro-batches=16 batch=64\n"
                "ring nodes=16 ring.nodes=4 ring.micro-batches=8 batch=64\n");
    expect_runs("<sweep key=\"classes\" values=\"10\"/>\n", NULL, "server", "server classes=10\n");
    char out[40];
    rg_sweep_resolve("N/8", 7, out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "1");
    rg_sweep_resolve("3N/2", 5, out, sizeof out);
    CU_ASSERT_STRING_EQUAL(out, "7");
    CU_ASSERT_TRUE(rg_sweep_is_multiple("N") && rg_sweep_is_multiple("12N/5"));
    CU_ASSERT_FALSE(rg_sweep_is_multiple("NN") || rg_sweep_is_multiple("N/0") ||
                    rg_sweep_is_multiple("0N") || rg_sweep_is_multiple("N/") ||
                    rg_sweep_is_multiple("8") || rg_sweep_is_multiple("-2N") ||
                    rg_sweep_is_multiple("2N "));
}

static void test_pinned(void)
{
    static const char lines[] = "<sweep key=\"nodes\" values=\"8,16\"/>\n"
                                "<sweep key=\"ring.micro-batches\" values=\"N,2N\"/>\n";
    expect_runs(lines, "nodes=4", "ring", "ring ring.micro-batches=4\nring ring.micro-batches=8\n");
    expect_runs(lines, "ring.micro-batches=4", "ring", "ring nodes=8\nring nodes=16\n");
    expect_runs(lines, NULL, "server", "server nodes=8\nserver nodes=16\n");
    expect_runs("<sweep key=\"nodes\" values=\"8,16\"/>\n", "nodes=8", "server", "server\n");
    expect_runs("<sweep key=\"epochs\" values=\"8,16\"/>\n", "iterations=3", "server", "server\n");
    /* A sweep of what the selected strategies do not have is none of theirs. */
    expect_runs("<sweep key=\"overlap\" values=\"yes,no\"/>\n", "nodes=8", "server", "server\n");
    expect_runs("<sweep key=\"ring.partition\" values=\"32,32;16,48\"/>\n", "nodes=2", "ring",
                "ring ring.partition=32,32\nring ring.partition=16,48\n");
}

static void test_refusals(void)
{
    static const struct {
        const char *lines;
        int line;
        const char *words;
    } bad[] = {
        {"<sweep key=\"nodes\"/>\n", 9, "values"},
        {"<sweep values=\"1\"/>\n", 9, "key"},
        {"<sweep key=\"nodes\" values=\"\"/>\n", 9, "values"},
        {"<sweep key=\"nodes\" values=\"4,,8\"/>\n", 9, "empty"},
        {"<sweep key=\"nodes\"\n values=\"4,x\"/>\n", 10, "\"x\"|nodes|not a whole number"},
        {"<sweep key=\"nodes\" values=\"4,4\"/>\n", 9, "twice"},
        {"<sweep key=\"nodes\" values=\"4\"/>\n<sweep key=\"nodes\" values=\"8\"/>\n", 10,
         "second"},
        {"<sweep key=\"nodes\" values=\"4,04\"/>\n", 9, "twice"},
        {"<sweep key=\"epochs\" values=\"1,2\"/>\n<sweep key=\"iterations\" values=\"8\"/>\n", 10,
         "iterations|the first (epochs) is on line 9"},
        {"<sweep key=\"ring.nodes\" values=\"9223372036854775807\"/>\n"
         "<sweep key=\"ring.micro-batches\" values=\"1000000000N\"/>\n",
         10, "ring.micro-batches|out of range"},
        {"<sweep key=\"nodes\" values=\"2N\"/>\n", 9, "multiples of N"},
        {"<sweep key=\"learning-rate\" values=\"N\"/>\n", 9, "multiples of N"},
        {"<sweep key=\"nodes\" values=\"4\" step=\"2\"/>\n", 9, "step"},
        {"<sweep key=\"colour\" values=\"red\"/>\n", 9, "colour|LABEL.PARAM"},
        {"<sweep key=\"rong.depth\" values=\"2\"/>\n", 9, "rong|did you mean \"ring\"?"},
        {"<sweep key=\"ring.kind\" values=\"2\"/>\n", 9, "ring.kind|parameters"},
        {"<sweep key=\"ring.\" values=\"2\"/>\n", 9, "parameters"},
        {"<sweep key=\"ring.depht\" values=\"2\"/>\n", 9, "ring.depht=2|did you mean \"depth\"?"},
        {"<sweep key=\"ring.depth\" values=\"2,x\"/>\n", 9, "ring.depth=x|not a whole number"},
        {"<sweep key=\"nodes\" values=\"8,65\"/>\n", 9, "nodes=65|64 hosts"},
        {"<sweep key=\"threads\" values=\"1,9\"/>\n", 9, "threads|4 cores"},
        {"<sweep key=\"batch\" values=\"64,5000\"/>\n", 9, "batch|4096"},
        {"<sweep key=\"numerics\" values=\"some\"/>\n", 9, "skip and real"},
        {"<sweep key=\"overlap\" values=\"perhaps\"/>\n", 9, "overlap=perhaps|yes"},
        {"<sweep key=\"network\" values=\"no-such.xml\"/>\n", 9, "no-such.xml"},
        {"<sweep key=\"inputs\" values=\"784,some\"/>\n", 9, "\"some\"|inputs|kind random"},
        {"<sweep key=\"inputs\" values=\"N\"/>\n", 9, "multiples of N"},
        {"<sweep key=\"file\" values=\"data.csv\"/>\n", 9, "file|inputs"},
    };
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_study study;
        struct rg_sweep_plan plan;
        struct rg_error e;
        int err = open_plan(bad[i].lines, NULL, NULL, &study, &plan, &e);
        CU_ASSERT_EQUAL(err, RG_ERR_INVALID);
        CU_ASSERT_TRUE(complains(&e, scratch_path("sweep.xml"), bad[i].line, bad[i].words));
        if (err == 0)
            rg_sweep_close(&plan);
    }
}

static void test_too_many(void)
{
    char lines[4000] = "", values[400] = "1";
    struct rg_study study;
    struct rg_sweep_plan plan;
    struct rg_error e;
    static const char *const keys[] = {"seed", "batch", "iterations", "samples"};
    for (int i = 2; i <= 64; i++)
        snprintf(values + strlen(values), sizeof values - strlen(values), ",%d", i);
    for (size_t i = 0; i < RG_COUNT(keys); i++)
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines),
                 "<sweep key=\"%s\" values=\"%s\"/>\n", keys[i], values);
    CU_ASSERT_EQUAL(open_plan(lines, NULL, NULL, &study, &plan, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, scratch_path("sweep.xml"), 9, "16777216 points|1000000"));
}

/* Files of the data stand beside the scenario, wherever the program runs. */
static void test_data_files(void)
{
    static const char text[] =
        "<scenario name=\"test\" seed=\"7\">\n"
        "  <platform file=\"" RG_SOURCE_DIR "/platforms/pi4-gigabit-64.xml\"/>\n"
        "  <network file=\"two.xml\"/>\n"
        "  <data kind=\"csv\" file=\"a.csv\"/>\n"
        "  <training batch=\"2\" iterations=\"2\" learning-rate=\"0.5\"/>\n"
        "  <strategy label=\"single\" kind=\"single\"/>\n"
        "  <sweep key=\"file\" values=\"a.csv,b.csv\"/>\n"
        "  <sweep key=\"label\" values=\"first,3\"/>\n"
        "</scenario>\n";
    static const char rows[] = "0,1,1\n1,2,0\n0,3,0\n1,4,1\n0,5,1\n";
    struct rg_study study;
    struct rg_sweep_plan plan;
    struct rg_error e = {0};
    scratch_text("two.xml", "<network name=\"n\" input=\"2\"><dense outputs=\"2\"/></network>\n");
    scratch_text("a.csv", rows);
    scratch_text("b.csv", rows);
    const struct rg_study_want want = {.file = scratch_text("data.xml", text)};
    int err = rg_sweep_open(&want, NULL, NULL, &study, &plan, &e);
    if (err)
        printf("\n    %s\n", e.text);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL(plan.run_count, 4);
    rg_sweep_close(&plan);
}

/* A plain study takes no sweep unless it is pinned or another strategy's. */
static void test_plain_studies(void)
{
    struct rg_study study;
    struct rg_error e = {0};
    char *set = "ring.depth=4", *label = "server";
    const char *path = write_scenario("<sweep key=\"ring.depth\" values=\"4,8\"/>\n");
    char *eight = "nodes=8", *both[] = {set, eight};
    CU_ASSERT_EQUAL(rg_study_open(path, &eight, 1, NULL, 0, &study, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, path, 9, "by ringsim|--set ring.depth=4"));
    CU_ASSERT_EQUAL(rg_study_open(path, both, 2, NULL, 0, &study, &e), 0);
    rg_study_close(&study);
    CU_ASSERT_EQUAL(rg_study_open(path, &eight, 1, &label, 1, &study, &e), 0);
    rg_study_close(&study);
    path = write_scenario("<sweep key=\"overlap\" values=\"yes,no\"/>\n");
    CU_ASSERT_EQUAL(rg_study_open(path, &eight, 1, &label, 1, &study, &e), 0);
    rg_study_close(&study);
}

/* The study of one run is what --set would give. */
static void test_enter(void)
{
    struct rg_study study, one, same;
    struct rg_sweep_plan plan;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(open_plan("<sweep key=\"nodes\" values=\"8,16\"/>\n"
                                    "<sweep key=\"ring.micro-batches\" values=\"2N\"/>\n"
                                    "<sweep key=\"batch\" values=\"128\"/>\n",
                                    NULL, "ring", &study, &plan, &e),
                          0);
    CU_ASSERT_EQUAL_FATAL(plan.run_count, 2);
    CU_ASSERT_FALSE(plan.study_open);
    char *sets[] = {"nodes=16", "ring.micro-batches=32", "batch=128"}, *label = "ring";
    CU_ASSERT_EQUAL_FATAL(rg_sweep_enter(&plan, 1, &one, &e), 0);
    const char *path = write_scenario("");
    CU_ASSERT_EQUAL(rg_sweep_enter(&plan, 1, &same, &e), RG_ERR_INVALID); /* another file */
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "has changed since"));
    CU_ASSERT_EQUAL_FATAL(rg_study_open(path, sets, 3, &label, 1, &same, &e), 0);
    CU_ASSERT_EQUAL(one.job_count, 1);
    CU_ASSERT_EQUAL(one.jobs[0].nodes, 16);
    CU_ASSERT_EQUAL(one.jobs[0].batch, 128);
    struct rg_run a, b, planned;
    rg_run_init(&a);
    rg_run_init(&b);
    rg_job_describe(&one.jobs[0], &a);
    rg_job_describe(&same.jobs[0], &b);
    CU_ASSERT_EQUAL(rg_sweep_head(&plan, 1, &planned), 0);
    CU_ASSERT_EQUAL_FATAL(a.param_count, b.param_count);
    CU_ASSERT_EQUAL_FATAL(planned.param_count, b.param_count);
    for (int i = 0; i < a.param_count; i++) {
        CU_ASSERT_STRING_EQUAL(a.params[i].value, b.params[i].value);
        CU_ASSERT_STRING_EQUAL(planned.params[i].value, b.params[i].value);
    }
    CU_ASSERT_EQUAL(a.predicted.iteration_s, b.predicted.iteration_s);
    CU_ASSERT_EQUAL(planned.predicted.iteration_s, b.predicted.iteration_s);
    rg_run_free(&a);
    rg_run_free(&b);
    rg_run_free(&planned);
    rg_study_close(&one);
    rg_study_close(&same);
    rg_sweep_close(&plan);
}

/* The digest tells sweeps, options and swept files apart, and nothing else. */
static void test_digest(void)
{
    static const struct {
        const char *lines, *set, *label;
    } cases[] = {
        {"<sweep key=\"nodes\" values=\"8,16\"/>\n", NULL, NULL},
        {"<sweep key=\"nodes\" values=\"8,32\"/>\n", NULL, NULL},
        {"<sweep key=\"nodes\" values=\"8,16\"/>\n", "nodes=8", NULL},
        {"<sweep key=\"nodes\" values=\"8,16\"/>\n", "iterations=3", NULL},
        {"<sweep key=\"nodes\" values=\"8,16\"/>\n", NULL, "ring"},
        {"<sweep key=\"nodes\" values=\"8,16\"/><sweep key=\"network\" values=\"net.xml\"/>\n",
         NULL, "ring"},
    };
    char digests[RG_COUNT(cases)][65];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < RG_COUNT(cases); i++) {
            struct rg_study study;
            struct rg_sweep_plan plan;
            struct rg_error e;
            scratch_text("net.xml", "<network name=\"n\" input=\"784\"><dense outputs=\"9\" "
                                    "repeat=\"30\"/><dense outputs=\"10\"/></network>");
            CU_ASSERT_EQUAL_FATAL(
                open_plan(cases[i].lines, cases[i].set, cases[i].label, &study, &plan, &e), 0);
            CU_ASSERT_EQUAL(strlen(plan.digest), 64);
            if (round == 1)
                CU_ASSERT_STRING_EQUAL(digests[i], plan.digest);
            memcpy(digests[i], plan.digest, sizeof digests[i]);
            for (size_t k = 0; k < i; k++)
                CU_ASSERT_STRING_NOT_EQUAL(digests[k], digests[i]);
            rg_sweep_close(&plan);
        }
    }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"without a sweep nothing changes", test_no_sweep},
        {"the product, equal runs once", test_product},
        {"multiples of the nodes", test_multiples},
        {"--set pins a sweep", test_pinned},
        {"bad sweeps are refused with their line", test_refusals},
        {"too many points", test_too_many},
        {"files of the data", test_data_files},
        {"plain studies refuse sweeps", test_plain_studies},
        {"a run's study is what --set gives", test_enter},
        {"the digest covers every point", test_digest},
    };
    return suite_main("sweep", tests, RG_COUNT(tests), argc, argv);
}
