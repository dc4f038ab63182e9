/* Jobs from scenarios, with a table of strategies of this test's own: what is judged against it,
 * how values resolve, who is told about what. */
#include "study/job.h"

#include "base/check.h"
#include "scratch.h"
#include "support/suite.h"
#include "toy_platform.h"

#include <math.h>

/* ---- two strategies ---- */

enum { COUNT, AUTO, MODE, OVERLAP, CUTS, PART, WORDS };

static const struct rg_param params[] = {
    [COUNT] = {"count", RG_PARAM_COUNT, "2", 1, 10, NULL, "a number"},
    [AUTO] = {"some", RG_PARAM_COUNT, "auto", 1, 99, NULL, "a number or auto"},
    [MODE] = {"mode", RG_PARAM_CHOICE, "fast", 0, 0, "slow|fast", "a word"},
    [OVERLAP] = {"overlap", RG_PARAM_CHOICE, "yes", 0, 0, "yes|no", "a word"},
    [CUTS] = {"cuts", RG_PARAM_LIST, "balanced", 0, 0, NULL, "a list"},
    [PART] = {"part", RG_PARAM_REAL, "auto", 0, 0.5, NULL, "a number with a fraction"},
    [WORDS] = {"words", RG_PARAM_WORDS, "none", 0, 0, "one|two|three", "some words"},
    {0}};

static const struct rg_param none[] = {{0}};

static int plans; /* made and not forgotten */

static int check_toy(struct rg_job *job, struct rg_error *e)
{
    if (job->values[COUNT].number == 9)
        return rg_fail(e, RG_ERR_INVALID, "nine will not do");
    if (job->nodes > 3 && !job->nodes_given)
        job->nodes = 3;
    if (job->values[AUTO].automatic)
        job->values[AUTO].number = 7;
    job->plan = &plans;
    plans++;
    return 0;
}

static void forget_toy(struct rg_job *job)
{
    plans -= job->plan != NULL;
    job->plan = NULL;
}

static int check_plain(struct rg_job *job, struct rg_error *e)
{
    (void)job, (void)e;
    return 0;
}

/* Rank r needs r + 1 GB. */
static uint64_t memory(const struct rg_job *job, int rank)
{
    (void)job;
    return 1000000000u * (uint64_t)(rank + 1);
}

static bool first_feeds(const struct rg_job *job, int rank)
{
    (void)job;
    return rank == 0;
}

static void predict(const struct rg_job *job, struct rg_prediction *p)
{
    *p = (struct rg_prediction){.T_A_s = 0.5,
                                .messages = (uint64_t)job->nodes,
                                .round = job->values[COUNT].number,
                                .at_most = job->values[OVERLAP].number == 1};
}

static const struct rg_strategy toy = {.name = "toy_ring",
                                       .params = params,
                                       .min_nodes = 2,
                                       .check = check_toy,
                                       .forget = forget_toy,
                                       .feeds = first_feeds,
                                       .memory = memory,
                                       .predict = predict};
static const struct rg_strategy plain = {.name = "plain",
                                         .params = none,
                                         .min_nodes = 1,
                                         .check = check_plain,
                                         .feeds = first_feeds,
                                         .memory = memory,
                                         .predict = predict};

const struct rg_strategy *const rg_strategies[] = {&toy, &plain, NULL};

const struct rg_strategy *rg_strategy_named(const char *name)
{
    return strcmp(name, "toy_ring") == 0 ? &toy : strcmp(name, "plain") == 0 ? &plain : NULL;
}

/* ---- files ---- */

static const char good[] = "<scenario name=\"test\" seed=\"7\">\n"
                           "  <platform file=\"platform.xml\"/>\n"
                           "  <network file=\"network.xml\"/>\n"
                           "  <data kind=\"random\" inputs=\"4\" classes=\"3\" train=\"120\"/>\n"
                           "  <training batch=\"7\" epochs=\"3\" learning-rate=\"0.5\"\n"
                           "            numerics=\"real\"\n"
                           "            threads=\"2\"/>\n"
                           "  <strategy label=\"a\" kind=\"toy_ring\" mode=\"slow\"\n"
                           "            cuts=\"4,4,3\"/>\n"
                           "  <strategy label=\"b\" kind=\"plain\"/>\n"
                           "  <strategy label=\"c\" kind=\"toy_ring\"\n"
                           "            nodes=\"4\"\n"
                           "            some=\"5\" overlap=\"no\"/>\n"
                           "</scenario>\n";

static void write_files(void)
{
    scratch_text("network.xml", "<network name=\"n\" input=\"2x2\">\n"
                                "  <dense outputs=\"8\"/>\n"
                                "  <dense outputs=\"3\"/>\n"
                                "</network>\n");
    write_toy_platform("0-7");
    scratch_text("scenario.xml", good);
}

/* Opens with up to three --set, NULL past the last. */
static int open_with(const char *a, const char *b, const char *c, struct rg_study *study,
                     struct rg_error *e)
{
    char *sets[] = {(char *)a, (char *)b, (char *)c};
    int count = c ? 3 : b ? 2 : a ? 1 : 0;
    return rg_study_open(scratch_path("scenario.xml"), sets, count, NULL, 0, study, e);
}

static void open_good(const char *a, const char *b, const char *c, struct rg_study *study)
{
    struct rg_error e = {0};
    write_files();
    int err = open_with(a, b, c, study, &e);
    if (err)
        printf("\n    %s\n", e.text);
    CU_ASSERT_EQUAL_FATAL(err, 0);
}

/* ---- tests ---- */

static void test_values(void)
{
    struct rg_study study;
    open_good(NULL, NULL, NULL, &study);
    CU_ASSERT_EQUAL_FATAL(study.job_count, 3);
    const struct rg_job *a = &study.jobs[0], *b = &study.jobs[1], *c = &study.jobs[2];
    CU_ASSERT_PTR_EQUAL(a->strategy, &toy);
    CU_ASSERT_STRING_EQUAL(a->label, "a");
    CU_ASSERT_EQUAL(a->values[COUNT].number, 2);
    CU_ASSERT_FALSE(a->values[COUNT].automatic);
    CU_ASSERT_TRUE(a->values[AUTO].automatic);
    CU_ASSERT_EQUAL(a->values[MODE].number, 0);
    CU_ASSERT_EQUAL(a->values[OVERLAP].number, 0);
    CU_ASSERT_EQUAL_FATAL(a->values[CUTS].number, 3);
    CU_ASSERT_EQUAL(a->values[CUTS].list[2], 3);
    CU_ASSERT_EQUAL(a->nodes, 3); /* lowered by check */
    CU_ASSERT_FALSE(a->nodes_given);
    CU_ASSERT_EQUAL(b->nodes, 8);
    CU_ASSERT_EQUAL(c->nodes, 4);
    CU_ASSERT_TRUE(c->nodes_given);
    CU_ASSERT_EQUAL(c->values[AUTO].number, 5);
    CU_ASSERT_EQUAL(c->values[MODE].number, 1);
    CU_ASSERT_EQUAL(c->values[OVERLAP].number, 1);
    CU_ASSERT_TRUE(c->values[CUTS].automatic);
    CU_ASSERT_PTR_NULL(c->values[CUTS].list);
    CU_ASSERT_EQUAL(a->batch, 7);
    CU_ASSERT_EQUAL(a->threads, 2);
    CU_ASSERT_EQUAL(a->iterations_per_epoch, 17);
    CU_ASSERT_EQUAL(a->iterations, 51);
    CU_ASSERT_EQUAL(a->seed, 7);
    CU_ASSERT_TRUE(a->numerics);
    CU_ASSERT_PTR_EQUAL(a->network, &study.network);
    CU_ASSERT_PTR_EQUAL(a->data, &study.data);
    CU_ASSERT_STRING_EQUAL(a->boards[0]->name, "toy");
    CU_ASSERT_EQUAL(strlen(study.scenario.digest), 64);
    CU_ASSERT_EQUAL(plans, 2);
    rg_study_close(&study);
    CU_ASSERT_EQUAL(plans, 0);
}

static void test_sets(void)
{
    struct rg_study study;
    open_good("nodes=6", "overlap=no", "iterations=5", &study);
    CU_ASSERT_EQUAL(study.jobs[0].nodes, 6);
    CU_ASSERT_TRUE(study.jobs[0].nodes_given);
    CU_ASSERT_EQUAL(study.jobs[0].values[OVERLAP].number, 1);
    CU_ASSERT_EQUAL(study.jobs[2].nodes, 6); /* over the attribute */
    CU_ASSERT_EQUAL(study.jobs[0].iterations, 5);
    rg_study_close(&study);
    open_good("nodes=6", "c.nodes=2", "overlap=no", &study);
    CU_ASSERT_EQUAL(study.jobs[2].nodes, 2);
    rg_study_close(&study);
    open_good("overlap=no", "a.overlap=yes", "a.cuts=balanced", &study);
    CU_ASSERT_EQUAL(study.jobs[0].values[OVERLAP].number, 0);
    CU_ASSERT_EQUAL(study.jobs[2].values[OVERLAP].number, 1);
    CU_ASSERT_TRUE(study.jobs[0].values[CUTS].automatic);
    rg_study_close(&study);
}

static void test_describe(void)
{
    static const char *const values[] = {"2", "7", "slow", "yes", "4,4,3", "0.125", "three,one"};
    struct rg_study study;
    struct rg_run run;
    open_good("a.part=1.25e-1", "a.words=three one", NULL, &study);
    rg_run_init(&run);
    rg_job_describe(&study.jobs[0], &run);
    CU_ASSERT_STRING_EQUAL(run.label, "a");
    CU_ASSERT_STRING_EQUAL(run.kind, "toy_ring");
    CU_ASSERT_EQUAL(run.nodes, 3);
    CU_ASSERT_TRUE(run.numerics);
    CU_ASSERT_EQUAL_FATAL(run.param_count, 7);
    for (int i = 0; i < run.param_count; i++) {
        CU_ASSERT_STRING_EQUAL(run.params[i].name, params[i].name);
        CU_ASSERT_STRING_EQUAL(run.params[i].value, values[i]);
    }
    CU_ASSERT_TRUE(run.predicted.defined);
    CU_ASSERT_EQUAL(run.predicted.T_A_s, 0.5);
    CU_ASSERT_EQUAL(run.predicted.messages, 3);
    CU_ASSERT(run.predicted.counts.known);
    CU_ASSERT_EQUAL(run.predicted.counts.iterations, 2);
    CU_ASSERT_FALSE(run.predicted.counts.at_most);
    rg_run_free(&run);
    rg_run_init(&run);
    rg_job_describe(&study.jobs[1], &run);
    CU_ASSERT_FALSE(run.predicted.counts.known); /* of each iteration, exactly */
    rg_run_free(&run);
    rg_study_close(&study);
}

static void test_selection(void)
{
    struct rg_study all, some;
    struct rg_error e = {0};
    char *labels[] = {"c", "b", "c"}, *wrong[] = {"b", "d"};
    write_files();
    open_good(NULL, NULL, NULL, &all);
    CU_ASSERT_EQUAL_FATAL(
        rg_study_open(scratch_path("scenario.xml"), NULL, 0, labels, 3, &some, &e), 0);
    CU_ASSERT_EQUAL_FATAL(some.job_count, 2);
    CU_ASSERT_STRING_EQUAL(some.jobs[0].label, "b"); /* in scenario order */
    CU_ASSERT_STRING_EQUAL(some.jobs[1].label, "c");
    CU_ASSERT_STRING_NOT_EQUAL(some.scenario.digest, all.scenario.digest);
    rg_study_close(&some);
    rg_study_close(&all);
    CU_ASSERT_EQUAL(rg_study_open(scratch_path("scenario.xml"), NULL, 0, wrong, 2, &some, &e),
                    RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "--strategy d|a, b and c are allowed"));
}

static void test_fit(void)
{
    struct rg_study study;
    struct rg_error e = {0};
    open_good("c.nodes=2", NULL, NULL, &study);
    CU_ASSERT_EQUAL(rg_job_fits(&study.jobs[2], &e), 0);
    CU_ASSERT_EQUAL(rg_job_fits(&study.jobs[1], &e), RG_ERR_NO_FIT);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "node 7 needs 8.00 GB|(toy) has 2.00 GB|6 of 8 nodes"));
    rg_study_close(&study);
}

static void test_data(void)
{
    struct rg_study study;
    struct rg_error e = {0};
    open_good("numerics=skip", NULL, NULL, &study);
    CU_ASSERT_EQUAL(rg_study_load_data(&study, RG_ANY_RANK, &e), 0);
    CU_ASSERT_PTR_NULL(study.data.x);
    rg_study_close(&study);
    open_good("c.nodes=2", NULL, NULL, &study);
    CU_ASSERT_EQUAL(rg_study_load_data(&study, RG_ANY_RANK, &e), 0);
    CU_ASSERT_PTR_NOT_NULL(study.data.x);
    CU_ASSERT_EQUAL(rg_study_load_data(&study, RG_ANY_RANK, &e), 0);
    CU_ASSERT_EQUAL(study.jobs[0].data->train, 120);
    rg_study_close(&study);
}

/* Rank 0 of the toys trains and tests, the others do neither; what fits nowhere loads nothing. */
static void test_kept(void)
{
    static const struct {
        const char *set;
        int rank;
        bool train, test;
    } cases[] = {{"c.nodes=2", 0, true, true},   {"c.nodes=2", 1, false, false},
                 {"c.nodes=2", 2, false, false}, {"c.nodes=2", RG_ANY_RANK, true, true},
                 {"c.nodes=3", 0, false, false}, {"c.nodes=3", RG_ANY_RANK, false, false}};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_study study;
        struct rg_error e = {0};
        open_good(cases[i].set, NULL, NULL, &study);
        CU_ASSERT_EQUAL(rg_study_load_data(&study, cases[i].rank, &e), 0);
        CU_ASSERT_EQUAL(study.data.kept.train, cases[i].train);
        CU_ASSERT_EQUAL(study.data.kept.test, cases[i].test);
        CU_ASSERT_EQUAL(study.data.x != NULL, cases[i].train);
        rg_study_close(&study);
    }
}

/* Opened again: samples that were read for the same rank are taken over, others are read. */
static void test_kept_again(void)
{
    for (int rank = 0; rank < 2; rank++) {
        struct rg_study study;
        struct rg_error e = {0};
        open_good("c.nodes=2", NULL, NULL, &study);
        CU_ASSERT_EQUAL(rg_study_load_data(&study, rank, &e), 0);
        struct rg_dataset before = study.data;
        const float *x = before.x;
        study.data = (struct rg_dataset){0};
        rg_study_close(&study);
        open_good("c.nodes=2", NULL, NULL, &study);
        CU_ASSERT_EQUAL(rg_study_load_data_again(&study, 0, &before, &e), 0);
        CU_ASSERT_TRUE(study.data.kept.train && study.data.kept.test);
        CU_ASSERT_PTR_NOT_NULL(study.data.x);
        if (rank == 0)
            CU_ASSERT_PTR_EQUAL(study.data.x, x);
        CU_ASSERT_PTR_NULL(before.x);
        rg_study_close(&study);
    }
}

static void test_bad_scenarios(void)
{
    static const struct {
        const char *from, *to;
        int line;
        const char *words;
    } bad[] = {
        {"kind=\"plain\"", "kind=\"plein\"", 10, "\"plain\"|toy_ring and plain are allowed"},
        {"kind=\"plain\"", "kind=\"plain\" count=\"1\"", 10, "no such parameter|nodes"},
        {"mode=\"slow\"", "mode=\"slw\"", 8, "mode=\"slw\" of strategy \"a\"|\"slow\"|fast"},
        {"mode=\"slow\"", "moed=\"slow\"", 8, "did you mean \"mode\""},
        {"mode=\"slow\"", "count=\"11\"", 8, "1 to 10 are allowed"},
        {"mode=\"slow\"", "count=\"auto\"", 8, "not a whole number"},
        {"mode=\"slow\"", "count=\"9\"", 8, "strategy \"a\": nine will not do"},
        {"cuts=\"4,4,3\"", "cuts=\"4,,3\"", 9, "separated by commas|balanced"},
        {"cuts=\"4,4,3\"", "cuts=\"\"", 9, "separated by commas"},
        {"cuts=\"4,4,3\"", "cuts=\"auto\"", 9, "or balanced"},
        {"some=\"5\"", "some=\"100\"", 13, "1 to 99 are allowed, or auto"},
        {"nodes=\"4\"", "nodes=\"9\"", 12, "the platform has 8 hosts: 1 to 8"},
        {"nodes=\"4\"", "nodes=\"x\"", 12, "nodes=\"x\""},
        {"nodes=\"4\"", "nodes=\"1\"", 12, "toy_ring needs at least 2 nodes"},
        {"batch=\"7\"", "batch=\"121\"", 5, "120 training samples, 1 to 120"},
        {"threads=\"2\"", "threads=\"5\"", 7, "host n0 (toy) has 4 cores"},
        {"inputs=\"4\"", "inputs=\"5\"", 3, "takes 4 inputs|line 4|has 5"},
        {"platform.xml", "network.xml", 0, "<network>"},
        {"network.xml", "absent.xml", 3, "No such file"},
    };
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_study study;
        struct rg_error e = {0};
        write_files();
        char *text = replaced(good, bad[i].from, bad[i].to);
        const char *path = scratch_text("scenario.xml", text);
        CU_ASSERT_EQUAL(open_with(NULL, NULL, NULL, &study, &e), RG_ERR_INVALID);
        CU_ASSERT_TRUE(complains(&e, bad[i].line ? path : NULL, bad[i].line, bad[i].words));
        CU_ASSERT_EQUAL(open_with(NULL, NULL, NULL, &study, NULL), RG_ERR_INVALID);
        CU_ASSERT_EQUAL(plans, 0);
        free(text);
    }
    struct rg_study study;
    struct rg_error e = {0};
    char *text = replaced(good, "classes=\"3\"", "classes=\"4\"");
    write_files();
    scratch_text("scenario.xml", text);
    CU_ASSERT_EQUAL(open_with(NULL, NULL, NULL, &study, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, scratch_path("network.xml"), 3, "3 outputs|:4 has 4 classes"));
    free(text);
}

static void test_bad_sets(void)
{
    static const struct {
        const char *set, *words;
    } bad[] = {
        {"nodes=9", "--set nodes=9: the platform has 8 hosts: 1 to 8"},
        {"nodes=1", "--set nodes=1: strategy \"a\": toy_ring needs at least 2 nodes"},
        {"a.nodes=9", "--set a.nodes=9: the platform has 8 hosts"},
        {"a.count=0", "--set a.count=0: out of range: 1 to 10"},
        {"a.cont=1",
         "--set a.cont=1: toy_ring has no such parameter: did you mean \"count\"? nodes,"},
        {"overlap=maybe", "--set overlap=maybe: yes and no are allowed"},
        {"batch=500", "--set batch=\"500\": there are 120"},
        {"samples=5", "there are 5 training samples"},
        {"threads=8", "--set threads=\"8\""},
        {"platform=/absent", "--set platform \"/absent\" cannot be read"},
        {"network=/absent", "--set network \"/absent\" cannot be read"},
    };
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_study study;
        struct rg_error e = {0};
        write_files();
        CU_ASSERT_EQUAL(open_with(bad[i].set, NULL, NULL, &study, &e), RG_ERR_INVALID);
        CU_ASSERT_TRUE(complains(&e, NULL, 0, bad[i].words));
    }
    struct rg_study study;
    struct rg_error e = {0};
    char *set = "overlap=no", *label = "b";
    CU_ASSERT_EQUAL(rg_study_open(scratch_path("scenario.xml"), &set, 1, &label, 1, &study, &e),
                    RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "--set overlap=no: no strategy here"));
    CU_ASSERT_EQUAL(plans, 0);
}

static const struct suite_test tests[] = {
    {"values resolve", test_values},
    {"sets and their order of precedence", test_sets},
    {"a run is described by what ran", test_describe},
    {"selection by label", test_selection},
    {"does it fit", test_fit},
    {"data are loaded where numerics are real", test_data},
    {"a rank keeps the samples that it uses", test_kept},
    {"kept again", test_kept_again},
    {"bad scenarios", test_bad_scenarios},
    {"bad sets", test_bad_sets},
};

int main(int argc, char **argv)
{
    return suite_main("job", tests, RG_COUNT(tests), argc, argv);
}
