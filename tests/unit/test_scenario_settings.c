/* What is done with a scenario once it is read: --set, its sweeps, its digest, the files it names.
 */
#include "scenario_fixture.h"

#include "base/check.h"
#include "support/suite.h"

/* ---- --set ---- */

static void test_sets(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    static const char *const sets[] = {"nodes=5",
                                       "batch=20",
                                       "iterations=300",
                                       "samples=50",
                                       "seed=11",
                                       "numerics=skip",
                                       "overlap=no",
                                       "threads=2",
                                       "platform=p.xml",
                                       "network=n=1.xml",
                                       "learning-rate=1e-3",
                                       "one.depth=3",
                                       "ring 1+1.micro-batches=7"};
    write_good();
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_path("scenario.xml"), &s, &e), 0);
    for (size_t i = 0; i < RG_COUNT(sets); i++)
        CU_ASSERT_EQUAL(rg_scenario_set(&s, sets[i], &e), 0);
    CU_ASSERT_EQUAL(s.nodes, 5);
    CU_ASSERT_EQUAL(s.training.batch, 20);
    CU_ASSERT_EQUAL(s.training.iterations, 300);
    CU_ASSERT_EQUAL(s.training.epochs, 0);
    CU_ASSERT_EQUAL(s.data.train, 50);
    CU_ASSERT_EQUAL(s.seed, 11);
    CU_ASSERT_EQUAL(s.data.seed, 11);
    CU_ASSERT_FALSE(s.training.numerics);
    CU_ASSERT_TRUE(isnan(s.stop.accuracy));
    CU_ASSERT_STRING_EQUAL(s.overlap, "no");
    CU_ASSERT_EQUAL(s.training.threads, 2);
    CU_ASSERT_STRING_EQUAL(s.platform_file, "p.xml");
    CU_ASSERT_EQUAL(rg_scenario_line(&s, &s.platform_file), 0);
    CU_ASSERT_STRING_EQUAL(s.network_file, "n=1.xml");
    CU_ASSERT_EQUAL(s.training.optimizer.rate, 1e-3f);
    CU_ASSERT_EQUAL(s.training.optimizer.momentum, 0.5f);
    CU_ASSERT_EQUAL_FATAL(s.strategies[0].count, 1);
    CU_ASSERT_STRING_EQUAL(s.strategies[0].attributes[0].value, "3");
    CU_ASSERT_EQUAL(s.strategies[0].attributes[0].line, 0);
    CU_ASSERT_EQUAL(s.strategies[1].count, 2);
    CU_ASSERT_STRING_EQUAL(s.strategies[1].attributes[1].value, "7");
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "epochs=9", &e), 0);
    CU_ASSERT_EQUAL(s.training.iterations, 0);
    CU_ASSERT_EQUAL(s.training.epochs, 9);
    rg_scenario_free(&s);
}

/* What the data's kind takes can be set, and shapes the run. */
static void test_data_sets(void)
{
    static const struct {
        const char *set, *refusal;
    } sets[] = {{"label=first", NULL},
                {"split=order", NULL},
                {"missing=mean", NULL},
                {"classes=7", NULL},
                {"columns=1-3", NULL},
                {"missing=perhaps", "refuse, drop and mean are allowed"},
                {"classes=0", "1 to 16777216 are allowed"},
                {"inputs=3", "unknown key: "},
                {"images=x", "unknown key: "}};
    struct rg_scenario s;
    struct rg_error e = {0};
    char last[65] = "",
         *text = replaced(good_scenario, "kind=\"random\"\n        inputs=\"4\" classes=\"3\"",
                          "kind=\"csv\" file=\"t.csv\"");
    write_good();
    scratch_text("t.csv", "1,2,0\n");
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_text("csv.xml", text), &s, &e), 0);
    for (size_t i = 0; i < RG_COUNT(sets); i++) {
        int err = rg_scenario_set(&s, sets[i].set, &e);
        CU_ASSERT_EQUAL(err, sets[i].refusal ? RG_ERR_INVALID : 0);
        CU_ASSERT(!sets[i].refusal || strstr(e.text, sets[i].refusal));
        CU_ASSERT_EQUAL(rg_scenario_seal(&s, &e), 0);
        CU_ASSERT_EQUAL(strcmp(last, s.digest) != 0, !sets[i].refusal);
        snprintf(last, sizeof last, "%s", s.digest);
    }
    CU_ASSERT_STRING_EQUAL(rg_data_string(&s.data, "label"), "first");
    CU_ASSERT_EQUAL(rg_data_number(&s.data, "missing"), 2);
    CU_ASSERT_EQUAL(rg_data_number(&s.data, "classes"), 7);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "file=other.csv", &e), 0);
    CU_ASSERT_STRING_EQUAL(rg_data_string(&s.data, "file"), "other.csv");
    rg_scenario_free(&s);
    free(text);
}

/* What may be written for an optimizer is what there is. */
static void test_optimizers(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    char set[60];
    int kind = 0;
    write_good();
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_path("scenario.xml"), &s, &e), 0);
    for (; rg_optimizer_infos[kind].name; kind++) {
        snprintf(set, sizeof set, "optimizer=%s", rg_optimizer_infos[kind].name);
        CU_ASSERT_EQUAL(rg_scenario_set(&s, set, &e), 0);
        CU_ASSERT_EQUAL((int)s.training.optimizer.kind, kind);
        CU_ASSERT_EQUAL(rg_scenario_set(&s, "momentum=0.25", &e) == 0, kind == RG_MOMENTUM);
    }
    CU_ASSERT_EQUAL(kind, RG_LBFGS + 1);
    rg_scenario_free(&s);
}

/* Names are cut between characters, never in one. */
static void test_copied_texts(void)
{
    char to[5];
    rg_copy_text(to, sizeof to, "abc");
    CU_ASSERT_STRING_EQUAL(to, "abc");
    rg_copy_text(to, sizeof to, "abcdef");
    CU_ASSERT_STRING_EQUAL(to, "abcd");
    rg_copy_text(to, sizeof to, "abc\xc3\xa9");
    CU_ASSERT_STRING_EQUAL(to, "abc");
    rg_copy_text(to, sizeof to, "ab\xc3\xa9");
    CU_ASSERT_STRING_EQUAL(to, "ab\xc3\xa9");
}

static void test_bad_sets(void)
{
    static const struct {
        const char *set, *words;
    } bad[] = {
        {"", "KEY=VALUE"},
        {"nodes", "KEY=VALUE"},
        {"=5", "KEY=VALUE"},
        {"nodes=", "--set nodes=: not a whole number"},
        {"nodes=0", "out of range|1 to 65536"},
        {"nodes=1.5", "not a whole number"},
        {"colour=1", "unknown key|LABEL.PARAM"},
        {"clock=0", "above 0"},
        {"link-rate=-1", "from 1e-09"},
        {"key-byte-s=-1", "0 up to 0.001"},
        {"jitter=1", "0 up to 0.9999"},
        {"bacth=1", "did you mean \"batch\""},
        {"numerics=maybe", "skip and real"},
        {"overlap=", "must not be empty"},
        {"platform=", "must not be empty"},
        {"learning-rate=-1", "1e-37 up to 1000"},
        {"learning-rate=1e-50", "1e-37 up to 1000"}, /* 0 as a float */
        {"two.depth=1", "no strategy is labelled so|one|ring 1+1"},
        {"on.depth=1", "did you mean \"one\""},
        {"one.kind=single", "parameters of the strategy"},
        {"one.=1", "parameters of the strategy"},
        {"a\nb=1", "--set a b=1"},
    };
    struct rg_scenario s;
    struct rg_error e = {0};
    write_good();
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_path("scenario.xml"), &s, &e), 0);
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        e = (struct rg_error){0};
        CU_ASSERT_EQUAL(rg_scenario_set(&s, bad[i].set, &e), RG_ERR_INVALID);
        CU_ASSERT_TRUE(complains(&e, NULL, 0, bad[i].words));
    }
    rg_scenario_free(&s);
}

/* ---- digest and data files ---- */

/* The digest after these --set; "" where it fails. */
static const char *digest_after(const char *a, const char *b)
{
    static char digests[4][65];
    static int next;
    char *digest = digests[next++ % 4];
    struct rg_scenario s;
    struct rg_error e = {0};
    digest[0] = '\0';
    if (rg_scenario_load(scratch_path("scenario.xml"), &s, &e) < 0)
        return digest;
    if ((!a || rg_scenario_set(&s, a, &e) == 0) && (!b || rg_scenario_set(&s, b, &e) == 0) &&
        rg_scenario_seal(&s, &e) == 0)
        strcpy(digest, s.digest);
    rg_scenario_free(&s);
    return digest;
}

static void test_digest(void)
{
    char base[65];
    write_good();
    strcpy(base, digest_after(NULL, NULL));
    CU_ASSERT_EQUAL(strlen(base), 64);
    CU_ASSERT_STRING_EQUAL(base, digest_after(NULL, NULL));
    CU_ASSERT_STRING_EQUAL(base, digest_after("batch=10", NULL)); /* what it was anyway */
    CU_ASSERT_STRING_NOT_EQUAL(base, digest_after("batch=12", NULL));
    CU_ASSERT_STRING_NOT_EQUAL(base, digest_after("one.depth=2", NULL));
    CU_ASSERT_STRING_NOT_EQUAL(base, digest_after("nodes=2", NULL));
    CU_ASSERT_STRING_EQUAL(digest_after("batch=12", "seed=3"), digest_after("seed=3", "batch=12"));
    CU_ASSERT_STRING_EQUAL(digest_after("one.a=1", "one.b=2"), digest_after("one.b=2", "one.a=1"));
    scratch_text("network.xml", "<network name=\"n\" input=\"4\"><dense outputs=\"3\"/></network>");
    CU_ASSERT_STRING_NOT_EQUAL(base, digest_after(NULL, NULL));
    write_good();
    CU_ASSERT_STRING_EQUAL(base, digest_after(NULL, NULL));
}

static void test_missing_files(void)
{
    static const struct bad bad[] = {
        {"platform.xml", "absent.xml", 3, "platform \"|absent.xml\"|No such file"},
        {"network.xml", "absent.xml", 4, "network \"|absent.xml\"|No such file"},
        {"network.xml", ".", 4, "plain file"},
        {"kind=\"random\"\n        inputs=\"4\" classes=\"3\"",
         "kind=\"idx\"\n images=\"network.xml\"\nlabels=\"absent\"", 7, "labels \"|absent\""},
        {"kind=\"random\"\n        inputs=\"4\" classes=\"3\"", "kind=\"csv\"\n\nfile=\"absent\"",
         7, "file \"|absent\""},
        {"kind=\"random\"\n        inputs=\"4\" classes=\"3\"", "kind=\"iris\" file=\"/absent\"", 5,
         "file \"/absent\""},
    };
    write_good();
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_scenario s;
        struct rg_error e = {0};
        char *text = replaced(good_scenario, bad[i].from, bad[i].to);
        const char *path = scratch_text("scenario.xml", text);
        CU_ASSERT_EQUAL_FATAL(rg_scenario_load(path, &s, &e), 0);
        CU_ASSERT_EQUAL(rg_scenario_seal(&s, &e), RG_ERR_INVALID);
        CU_ASSERT_TRUE(complains(&e, path, bad[i].line, bad[i].words));
        CU_ASSERT_STRING_EQUAL(s.digest, "");
        rg_scenario_free(&s);
        free(text);
    }
}

static void test_data_folder(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    char *text = replaced(good_scenario, "kind=\"random\"\n        inputs=\"4\" classes=\"3\"",
                          "kind=\"idx\" images=\"far/i.gz\" labels=\"l.gz\"");
    const char *path = scratch_text("scenario.xml", text);
    mkdir(scratch_path("data"), 0755);
    scratch_text("data/i.gz", "x");
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(path, &s, &e), 0);
    CU_ASSERT_STRING_EQUAL(rg_data_string(&s.data, "images"), scratch_path("far/i.gz"));
    CU_ASSERT_EQUAL(rg_scenario_locate(&s, scratch_path("data"), &e), 0);
    CU_ASSERT_STRING_EQUAL(rg_data_string(&s.data, "images"),
                           scratch_path("data/i.gz")); /* flat, since it is there */
    CU_ASSERT_STRING_EQUAL(rg_data_string(&s.data, "labels"), scratch_path("data/l.gz"));
    rg_scenario_free(&s);
    free(text);
}

static void test_iris_is_found(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    char *text = replaced(good_scenario, "kind=\"random\"\n        inputs=\"4\" classes=\"3\"",
                          "kind=\"iris\"");
    mkdir(scratch_path("models"), 0755);
    mkdir(scratch_path("models/networks"), 0755);
    mkdir(scratch_path("models/data"), 0755);
    scratch_text("models/data/iris.csv", "1,2,3,4,0\n");
    char *moved = replaced(text, "network.xml", "models/networks/n.xml");
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_text("scenario.xml", moved), &s, &e), 0);
    CU_ASSERT_PTR_NULL(rg_data_string(&s.data, "file"));
    CU_ASSERT_EQUAL(rg_scenario_locate(&s, NULL, &e), 0);
    CU_ASSERT_STRING_EQUAL(rg_data_string(&s.data, "file"),
                           scratch_path("models/networks/../data/iris.csv"));
    CU_ASSERT_EQUAL(rg_scenario_locate(&s, "/elsewhere", &e), 0);
    CU_ASSERT_STRING_EQUAL(rg_data_string(&s.data, "file"), "/elsewhere/iris.csv");
    rg_scenario_free(&s);
    free(moved);
    free(text);
}

/* ---- sweeps ---- */

static void test_sweeps(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    write_good();
    char *text = replaced(good_scenario, "  <stop",
                          "  <sweep key=\"nodes\" values=\" 4,8 , 16\"/>\n"
                          "  <sweep key=\"ring 1+1.depth\"\n"
                          "         values=\"N/2\"/>\n"
                          "  <sweep key=\"one.list\" values=\"4,4;5,3\"/>\n  <stop");
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_text("sweep.xml", text), &s, &e), 0);
    free(text);
    CU_ASSERT_EQUAL_FATAL(s.sweep_count, 3);
    CU_ASSERT_STRING_EQUAL(s.sweeps[0].key, "nodes");
    CU_ASSERT_EQUAL(s.sweeps[0].count, 3);
    CU_ASSERT_STRING_EQUAL(s.sweeps[0].values[0], "4");
    CU_ASSERT_STRING_EQUAL(s.sweeps[0].values[1], "8");
    CU_ASSERT_STRING_EQUAL(s.sweeps[1].values[0], "N/2");
    CU_ASSERT_EQUAL(s.sweeps[1].line, s.sweeps[0].line + 2);
    CU_ASSERT_EQUAL(s.sweeps[2].count, 2);
    CU_ASSERT_STRING_EQUAL(s.sweeps[2].values[1], "5,3");
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "ring 1+1.depth=3", &e), 0); /* pins it */
    CU_ASSERT_EQUAL(s.sweep_count, 2);
    CU_ASSERT_TRUE(rg_scenario_set(&s, "nodes=x", &e) < 0);
    CU_ASSERT_EQUAL(s.sweep_count, 2);
    const struct rg_setting point[] = {{"nodes", "8", 15}, {"batch", "0", 16}};
    CU_ASSERT_EQUAL(rg_scenario_apply(&s, point, 1, &e), 0);
    CU_ASSERT_EQUAL(s.nodes, 8);
    CU_ASSERT_TRUE(rg_scenario_apply(&s, point, 2, &e) < 0);
    CU_ASSERT_TRUE(complains(&e, s.file, 16, "<sweep>: batch=0|1 to"));
    rg_scenario_free(&s);
}

static const struct suite_test tests[] = {
    {"sets change what they say", test_sets},
    {"bad sets", test_bad_sets},
    {"sets of the data's kind", test_data_sets},
    {"optimizers by name", test_optimizers},
    {"texts that are cut", test_copied_texts},
    {"digest follows what shapes a run", test_digest},
    {"missing files are told by their line", test_missing_files},
    {"data folder", test_data_folder},
    {"iris.csv is found", test_iris_is_found},
    {"sweeps: values, pins, complaints", test_sweeps},
};

int main(int argc, char **argv)
{
    return suite_main("scenario: settings", tests, RG_COUNT(tests), argc, argv);
}
