/* Scenarios, networks and platforms: what a good one gives, and what a bad one is told. */
#include "scenario_fixture.h"

#include "base/check.h"
#include "scenario/text.h"
#include "support/suite.h"

#include <glob.h>
#include <libxml/relaxng.h>
#include <locale.h>
#include <math.h>

/* ---- good files ---- */

static void test_scenario_values(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    write_good();
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_path("scenario.xml"), &s, &e), 0);
    CU_ASSERT_STRING_EQUAL(s.name, "test");
    CU_ASSERT_EQUAL(s.seed, 7);
    CU_ASSERT_EQUAL(s.data.seed, 7);
    CU_ASSERT_STRING_EQUAL(s.platform_file, scratch_path("platform.xml"));
    CU_ASSERT_EQUAL(rg_scenario_line(&s, &s.platform_file), 3);
    CU_ASSERT_STRING_EQUAL(s.data.kind->name, "random");
    CU_ASSERT_EQUAL(rg_data_number(&s.data, "inputs"), 4);
    CU_ASSERT_EQUAL(s.data.line, 5);
    CU_ASSERT_EQUAL(s.training.batch, 10);
    CU_ASSERT_EQUAL(s.training.epochs, 2);
    CU_ASSERT_EQUAL(s.training.iterations, 0);
    CU_ASSERT_EQUAL(s.training.optimizer.kind, RG_MOMENTUM);
    CU_ASSERT_EQUAL(s.training.optimizer.rate, 0.25f);
    CU_ASSERT_EQUAL(s.training.optimizer.momentum, 0.5f);
    CU_ASSERT_TRUE(s.training.numerics);
    CU_ASSERT_EQUAL(s.training.threads, 1);
    CU_ASSERT_EQUAL(s.stop.accuracy, 0.9);
    CU_ASSERT_EQUAL_FATAL(s.strategy_count, 2);
    CU_ASSERT_STRING_EQUAL(s.strategies[1].label, "ring 1+1");
    CU_ASSERT_EQUAL(s.strategies[1].line, 12);
    CU_ASSERT_EQUAL_FATAL(s.strategies[1].count, 2);
    CU_ASSERT_STRING_EQUAL(s.strategies[1].attributes[1].key, "micro-batches");
    CU_ASSERT_STRING_EQUAL(s.strategies[1].attributes[1].value, "5");
    CU_ASSERT_EQUAL(s.strategies[1].attributes[1].line, 13);
    rg_scenario_free(&s);
}

/* Dates at which nodes are off: as ordered, the first that is not over; drawn ones follow from the
 * seed, with the mean asked for. */
static void test_off_values(void)
{
    struct rg_fault_off off[] = {{.first = 1, .last = 2, .from_s = 10, .to_s = 20},
                                 {.first = 2, .last = 2, .from_s = 5, .to_s = INFINITY}};
    const struct rg_faults ordered = {.off = off, .off_count = 2};
    const struct rg_faults drawn = {.mtbf_s = 100, .repair_s = 7};
    double begin, end, before = 0, sum = 0;
    CU_ASSERT_FALSE(rg_faults_have_off(&(struct rg_faults){.noticed_s = 20}));
    CU_ASSERT_TRUE(rg_faults_have_off(&ordered));
    CU_ASSERT_FALSE(rg_faults_next_off(&ordered, 1, 0, 0, &begin, &end));
    CU_ASSERT_TRUE(rg_faults_next_off(&ordered, 1, 1, 19, &begin, &end));
    CU_ASSERT_EQUAL(begin, 10);
    CU_ASSERT_EQUAL(end, 20);
    CU_ASSERT_FALSE(rg_faults_next_off(&ordered, 1, 1, 20, &begin, &end));
    CU_ASSERT_TRUE(rg_faults_next_off(&ordered, 1, 2, 0, &begin, &end));
    CU_ASSERT_EQUAL(begin, 5);
    CU_ASSERT_EQUAL(end, INFINITY);
    for (int i = 0; i < 400; i++) {
        CU_ASSERT_TRUE(rg_faults_next_off(&drawn, 3, 1, before, &begin, &end));
        CU_ASSERT_EQUAL(end, begin + 7);
        sum += begin - before;
        before = end;
    }
    CU_ASSERT_DOUBLE_EQUAL(sum / 400, 100, 15); /* three standard deviations of a mean of 400 */
    CU_ASSERT_TRUE(rg_faults_next_off(&drawn, 4, 1, before, &end, &begin));
    CU_ASSERT_NOT_EQUAL(end, before);
}

static void test_fault_values(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    char *text = replaced(good_scenario, FAULTS("<slow nodes=\"3,5-7\" from=\"10\" to=\"20\"\n"
                                                "factor=\"0.5\"/><link nodes=\"0\" factor=\"1\"/>\n"
                                                "<slow nodes=\"2\" to=\"1e-3\" factor=\"0.25\"/>\n"
                                                "<jitter spread=\"0.2\"/>"));
    write_good();
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_path("scenario.xml"), &s, &e), 0);
    CU_ASSERT_FALSE(rg_scenario_has_faults(&s));
    rg_scenario_free(&s);
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_text("faults.xml", text), &s, &e), 0);
    CU_ASSERT_TRUE(rg_scenario_has_faults(&s));
    CU_ASSERT_EQUAL(s.faults.line, 14);
    CU_ASSERT_EQUAL(s.faults.spread, 0.2);
    CU_ASSERT_EQUAL_FATAL(s.faults.slow.count, 3);
    CU_ASSERT_EQUAL_FATAL(s.faults.link.count, 1);
    const struct rg_fault_window *slow = s.faults.slow.window, *link = s.faults.link.window;
    CU_ASSERT_EQUAL(slow[0].first, 3);
    CU_ASSERT_EQUAL(slow[0].last, 3);
    CU_ASSERT_EQUAL(slow[1].first, 5);
    CU_ASSERT_EQUAL(slow[1].last, 7);
    CU_ASSERT_EQUAL(slow[1].from_s, 10);
    CU_ASSERT_EQUAL(slow[1].to_s, 20);
    CU_ASSERT_EQUAL(slow[1].factor, 0.5);
    CU_ASSERT_EQUAL(slow[1].line, 15);
    CU_ASSERT_EQUAL(slow[2].from_s, 0);
    CU_ASSERT_EQUAL(slow[2].to_s, 1e-3);
    CU_ASSERT_EQUAL(link[0].to_s, INFINITY);
    CU_ASSERT_EQUAL(link[0].factor, 1);
    CU_ASSERT_EQUAL(rg_scenario_check_faults(&s, 8, &e), 0);
    CU_ASSERT_EQUAL(rg_scenario_check_faults(&s, 7, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, scratch_path("faults.xml"), 15, "<slow>: rank 7|0 to 6"));
    rg_scenario_free(&s);
    free(text);
}

static void test_network_values(void)
{
    struct rg_network n;
    struct rg_error e = {0};
    write_good();
    CU_ASSERT_EQUAL_FATAL(rg_network_load(scratch_path("network.xml"), &n, &e), 0);
    CU_ASSERT_STRING_EQUAL(n.name, "net");
    CU_ASSERT_EQUAL_FATAL(n.layer_count, 7);
    CU_ASSERT_EQUAL(n.input.channels, 1);
    CU_ASSERT_EQUAL(n.input.width, 4);
    CU_ASSERT_STRING_EQUAL(n.layers[0].spec.ops->name, "conv2d");
    CU_ASSERT_EQUAL(n.layers[0].spec.activation, RG_ACT_RELU);
    CU_ASSERT_EQUAL(n.layers[1].spec.stride.height, 2);
    CU_ASSERT_EQUAL(n.layers[2].spec.activation, RG_ACT_TANH);
    CU_ASSERT_EQUAL(n.layers[2].spec.init, RG_INIT_ZERO);
    for (int i = 3; i < 6; i++) {
        CU_ASSERT_EQUAL(n.layers[i].spec.hidden, 5);
        CU_ASSERT_EQUAL(n.layers[i].spec.line, 5);
    }
    CU_ASSERT_EQUAL(n.layers[6].spec.activation, RG_ACT_IDENTITY);
    CU_ASSERT_EQUAL(n.classes, 3);
    rg_network_free(&n);
}

static void test_platform_values(void)
{
    static const char *const names[] = {"pi-0.lan",  "pi-1.lan",  "pi-2.lan", "pi-8.lan",
                                        "pi-10.lan", "pi-11.lan", "last"};
    struct rg_platform p;
    struct rg_error e = {0};
    write_good();
    CU_ASSERT_EQUAL_FATAL(rg_platform_load(scratch_path("platform.xml"), &p, &e), 0);
    CU_ASSERT_EQUAL_FATAL(p.count, (int)RG_COUNT(names));
    CU_ASSERT_EQUAL(p.kind_count, 1);
    for (int i = 0; i < p.count; i++) {
        CU_ASSERT_STRING_EQUAL(p.names[i], names[i]);
        CU_ASSERT_PTR_EQUAL(p.boards[i], &p.kinds[0]);
    }
    const struct rg_board *b = p.boards[0];
    CU_ASSERT_STRING_EQUAL(b->name, "toy");
    CU_ASSERT_EQUAL(b->cores, 4);
    CU_ASSERT_EQUAL(b->gemm_rate, 9.8e9);
    CU_ASSERT_EQUAL(b->gemm_rate_all, 28.9e9);
    CU_ASSERT_EQUAL_FATAL(b->curve_points, 3);
    CU_ASSERT_EQUAL(b->curve_size[1], 64);
    CU_ASSERT_EQUAL(b->curve_share[0], 0.25);
    CU_ASSERT_EQUAL(b->memory_bytes, 3500000000u);
    CU_ASSERT_EQUAL(b->latency_s, 94e-6);
    CU_ASSERT_EQUAL(b->frame_bytes, 1538);
    rg_platform_free(&p);
}

/* Properties that have defaults. */
static void test_platform_extras(void)
{
    struct rg_platform p;
    struct rg_error e = {0};
    write_good();
    CU_ASSERT_EQUAL_FATAL(rg_platform_load(scratch_path("platform.xml"), &p, &e), 0);
    CU_ASSERT_EQUAL(p.boards[0]->memory_points, 0);
    CU_ASSERT_EQUAL(p.boards[0]->function_s, 0);
    rg_platform_free(&p);
    const char *anchor = "<prop id=\"rg_cores\" value=\"4\"/>";
    char *text = replaced(good_platform, anchor,
                          "<prop id=\"rg_cores\" value=\"4\"/>"
                          "<prop id=\"rg_memory_curve\" value=\"1e4:1 1e10:0.25\"/>"
                          "<prop id=\"rg_function_s\" value=\"7e-9\"/>");
    CU_ASSERT_EQUAL_FATAL(rg_platform_load(scratch_text("extras.xml", text), &p, &e), 0);
    CU_ASSERT_EQUAL_FATAL(p.boards[0]->memory_points, 2);
    CU_ASSERT_EQUAL(p.boards[0]->memory_size[1], 1e10);
    CU_ASSERT_EQUAL(p.boards[0]->memory_share[1], 0.25);
    CU_ASSERT_EQUAL(p.boards[0]->curve_points, 3);
    CU_ASSERT_EQUAL(p.boards[0]->function_s, 7e-9);
    rg_platform_free(&p);
    char *broken = replaced(text, "1e10:0.25", "1e3:0.25");
    CU_ASSERT_EQUAL(rg_platform_load(scratch_text("extras.xml", broken), &p, &e), RG_ERR_INVALID);
    CU_ASSERT(complains(&e, NULL, 0, "rg_memory_curve|sizes rising"));
    free(text);
    free(broken);
}

/* The same numbers under a locale that writes them with a comma, where there is one. */
static void test_locale(void)
{
    const char *comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    for (size_t i = 0; i < RG_COUNT(comma); i++)
        if (setlocale(LC_NUMERIC, comma[i]))
            break;
    test_scenario_values();
    test_platform_values();
    setlocale(LC_NUMERIC, "C");
}

static void test_encodings(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    char *text = replaced(good_scenario, "name=\"test\"", "name=\"caf\xe9\"");
    char *latin = replaced(text, "version=\"1.0\"", "version=\"1.0\" encoding=\"ISO-8859-1\"");
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_text("latin.xml", latin), &s, &e), 0);
    CU_ASSERT_STRING_EQUAL(s.name, "caf\xc3\xa9");
    CU_ASSERT_EQUAL(s.strategies[1].attributes[1].line, 13);
    rg_scenario_free(&s);
    free(text);
    free(latin);
    char wide[2 * sizeof good_scenario] = "\xff\xfe"; /* UTF-16 */
    size_t size = 2, skip = strcspn(good_scenario, "\n");
    for (const char *p = good_scenario + skip; *p; p++) {
        wide[size++] = *p;
        wide[size++] = '\0';
    }
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_bytes("wide.xml", wide, size), &s, &e), 0);
    CU_ASSERT_EQUAL(rg_scenario_line(&s, &s.platform_file), 3);
    CU_ASSERT_EQUAL(s.strategies[1].line, 12);
    CU_ASSERT_EQUAL(s.strategies[1].attributes[1].line, 13);
    rg_scenario_free(&s);
}

/* ---- bad files ---- */

#define ENTITY                                                                                     \
    "<!DOCTYPE scenario [\n<!ENTITY a \"x\">\n<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\n]>"

static const struct bad bad_scenarios[] = {
    {FAULTS("<slwo/>"), 15, "unknown element <slwo> in <faults>|did you mean \"slow\"|jitter"},
    {FAULTS("<slow factor=\"0.5\"/>"), 15, "<slow> needs the attribute \"nodes\""},
    {FAULTS("<slow nodes=\"1\"/>"), 15, "<slow> needs the attribute \"factor\""},
    {FAULTS("<slow nodes=\"1,\" factor=\"0.5\"/>"), 15, "nodes=\"1,\" of <slow>|0-3,8"},
    {FAULTS("<link nodes=\"3-1\" factor=\"0.5\"/>"), 15, "nodes=\"3-1\" of <link>"},
    {FAULTS("<link nodes=\"\" factor=\"0.5\"/>"), 15, "nodes"},
    {FAULTS("<slow nodes=\"1\" factor=\"0\"/>"), 15, "factor=\"0\"|from 1e-09 up to 1"},
    {FAULTS("<slow nodes=\"1\" factor=\"1.1\"/>"), 15, "from 1e-09 up to 1"},
    {FAULTS("<slow nodes=\"1\" factor=\"0.5\" from=\"-1\"/>"), 15, "from=\"-1\"|from 0"},
    {FAULTS("<link nodes=\"1\"\nfactor=\"0.5\" from=\"2\"\nto=\"2\"/>"), 17,
     "to=\"2\" of <link>|after from (2 s)"},
    {FAULTS("<slow nodes=\"1\" factor=\"0.5\" form=\"1\"/>"), 15, "did you mean \"from\""},
    {FAULTS("<slow nodes=\"1\" factor=\"0.5\"><x/></slow>"), 15, "<x> inside <slow>"},
    {FAULTS("<jitter/>"), 15, "<jitter> needs the attribute \"spread\""},
    {FAULTS("<jitter spread=\"1\"/>"), 15, "from 0 up to 0.9999"},
    {FAULTS("<jitter spread=\"0.1\"/>\n<jitter spread=\"0.1\"/>"), 16, "a second <jitter>|line 15"},
    {COMMENT, "<faults/><faults/>", 14, "a second <faults>"},
    {COMMENT, "<faults x=\"1\"/>", 14, "unknown attribute \"x\""},
    {"</scenario>", "", 17, "not well formed"},
    {"<stop", "<sto", 15, "unknown element <sto>|\"stop\"|are allowed"},
    {"<stop accuracy=\"0.9\"/>", "<stop accuracy=\"0.9\"/><stop accuracy=\"0.9\"/>", 15,
     "second <stop>|line 15"},
    {"<stop accuracy=\"0.9\"/>", "words", 2, "text inside <scenario>"},
    {"<stop accuracy=\"0.9\"/>", "<stop/>", 15, "needs the attribute \"accuracy\""},
    {"accuracy=\"0.9\"", "accuracy=\"0\"", 15, "out of range|above 0 up to 1"},
    {"accuracy=\"0.9\"", "accuracy=\"nan\"", 15, "not a number"},
    {"accuracy=\"0.9\"", "accuracy=\"0.9 \"", 15, "not a number"},
    {"accuracy=\"0.9\"", "accuracy=\"0x1\"", 15, "not a number"},
    {"accuracy=\"0.9\"", "accuracy=\"1e-\"", 15, "not a number"},
    {"accuracy=\"0.9\"", "accuracy=\"0,9\"", 15, "not a number"},
    {"<platform file=\"platform.xml\"/>", "", 2, "needs a <platform>"},
    {"file=\"platform.xml\"", "file=\"\"", 3, "must not be empty"},
    {"file=\"platform.xml\"", "fil=\"x\"", 3, "unknown attribute \"fil\"|\"file\""},
    {"file=\"network.xml\"/>", "file=\"network.xml\"><x/></network>", 4, "<x> inside <network>"},
    {"kind=\"random\"", "kind=\"rando\"", 5,
     "\"random\"|digits, iris, idx, csv, random, libsvm, npy, cifar10 and text"},
    {"kind=\"random\"", "kind=\"digits\"", 6, "unknown attribute \"inputs\""},
    {"inputs=\"4\" ", "", 5, "needs the attribute \"inputs\""},
    {"classes=\"3\"", "classes=\"16777217\"", 6, "out of range|1 to 16777216"},
    {"train=\"120\"", "train=\"0\"", 7, "out of range|1 to 100000000"},
    {"train=\"120\"", "train=\"1e2\"", 7, "not a whole number"},
    {"train=\"120\"", "train=\"99999999999999999999\"", 7, "out of range"},
    {"test=\"30\"", "images=\"a\"", 7, "unknown attribute \"images\""},
    {"batch=\"10\"", "batch=\"ten\"", 8, "batch=\"ten\"|not a whole number|1 to 16777216"},
    {"batch=\"10\"", "batch=\"-1\"", 8, "out of range"},
    {"batch=\"10\"", "batch=\"a&#10;b\"", 8, "batch=\"a b\""},
    {"batch=\"10\" ", "", 8, "needs the attribute \"batch\""},
    {"epochs=\"2\"", "", 8, "\"epochs\" or \"iterations\""},
    {"epochs=\"2\"", "epochs=\"2\"\niterations=\"3\"", 9, "only one of them"},
    {"learning-rate=\"0.25\"", "learning_rate=\"0.25\"", 9, "did you mean \"learning-rate\""},
    {"learning-rate=\"0.25\"", "", 8, "needs the attribute \"learning-rate\""},
    {"learning-rate=\"0.25\"", "learning-rate=\"0\"", 9, "1e-37 up to 1000"},
    {"learning-rate=\"0.25\"", "learning-rate=\"1e-38\"", 9, "1e-37 up to 1000"},
    {"learning-rate=\"0.25\"", "learning-rate=\"1e999\"", 9, "out of range"},
    {"optimizer=\"momentum\"", "optimizer=\"adm\"", 10, "did you mean \"adam\"|sgd, momentum"},
    {"optimizer=\"momentum\"", "optimizer=\"adam\"", 10, "only optimizer=\"momentum\""},
    {"momentum=\"0.5\"", "momentum=\"1\"", 10, "up to 0.9999"},
    {"momentum=\"0.5\"", "numerics=\"skip\"", 15, "<stop>|numerics=\"skip\""},
    {"momentum=\"0.5\"", "threads=\"0\"", 10, "1 to 1024"},
    {"label=\"one\" ", "", 11, "needs the attribute \"label\""},
    {"label=\"one\"", "label=\"a.b\"", 11, "label=\"a.b\""},
    {"label=\"one\"", "label=\" a\"", 11, "label=\" a\""},
    {"label=\"one\"", "label=\"ring 1+1\"", 12, "line 11 has it already"},
    {"kind=\"single\"", "", 11, "needs the attribute \"kind\""},
    {"kind=\"single\"", "kind=\"single\" kind=\"single\"", 11, "not well formed"},
    {"seed=\"7\"", "seed=\"-1\"", 2, "0 to 9007199254740991"},
    {"seed=\"7\"", "xmlns=\"urn:x\"", 2, "no namespaces"},
    {"seed=\"7\"", "xml:id=\"x\"", 2, "no namespaces"},
    {"name=\"test\"", "name=\"\"", 2, "must not be empty"},
    {"name=\"test\" ", "", 2, "needs the attribute \"name\""},
    {"<?xml version=\"1.0\"?>", "<!DOCTYPE scenario [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>",
     1, "no entities"},
    {"<?xml version=\"1.0\"?>", ENTITY, 2, "no entities"},
    {"<?xml version=\"1.0\"?>", "<!DOCTYPE scenario [<!ELEMENT a ANY>]>", 1, "DOCTYPE"},
    {"<?xml version=\"1.0\"?>", "<!DOCTYPE s [<!ENTITY % x SYSTEM \"file:///etc/passwd\">%x;]>", 1,
     "no entities"},
};

static const struct bad bad_networks[] = {
    {"<network", "<netwrk", 8, "not well formed"},
    {"input=\"1x4x4\"", "", 1, "needs the attribute \"input\""},
    {"input=\"1x4x4\"", "input=\"1x4x4x4\"", 1, "CHANNELSxHEIGHTxWIDTH"},
    {"input=\"1x4x4\"", "input=\"1xx4\"", 1, "N, HEIGHTxWIDTH"},
    {"input=\"1x4x4\"", "input=\"0\"", 1, "each 1 to"},
    {"input=\"1x4x4\"", "input=\"99999x99999\"", 0, "input"},
    {"<maxpool", "<maxpol", 3, "unknown layer <maxpol>|did you mean \"maxpool\"|dense"},
    {"kernel=\"3\" ", "", 2, "needs the attribute \"kernel\""},
    {"kernel=\"3\"", "kernel=\"9\"", 2, "kernel"},
    {"kernel=\"3\"", "kernel=\"3\" hidden=\"3\"", 2, "unknown attribute \"hidden\""},
    {"outputs=\"8\"", "outputs=\"0\"", 4, "out of range|1 to 16777216"},
    {"outputs=\"8\" ", "", 4, "needs the attribute \"outputs\""},
    {"activation=\"tanh\"", "activation=\"relo\"", 4, "did you mean \"relu\""},
    {"init=\"zero\"", "init=\"one\"", 4, "he, xavier and zero"},
    {"repeat=\"3\"", "repeat=\"10001\"", 6, "1 to 10000"},
    {"hidden=\"5\"", "hidden=\"5\" init=\"zero\"", 5, "layer 3|zero"},
    {"<dense outputs=\"3\"/>", "<dense outputs=\"3\"><a/></dense>", 7, "<a> inside <dense>"},
    {"<dense outputs=\"3\"/>", "<residual repeat=\"9998\"/>", 7, "up to 10000 are allowed"},
};

static const struct bad bad_platforms[] = {
    {"version=\"4.1\"", "version=\"3\"", 3, "4.1"},
    {"version=\"4.1\"", "", 3, "needs the attribute \"version\""},
    {"radical=\"0-2,8,10-11\"", "radical=\"0-2,,8\"", 5, "radical"},
    {"radical=\"0-2,8,10-11\"", "radical=\"5-2\"", 5, "radical"},
    {"radical=\"0-2,8,10-11\"", "radical=\"0-99999999\"", 5, "more than 65536 hosts"},
    {"radical=\"0-2,8,10-11\"", "radical=\"0-2,1\"", 3, "two hosts are named \"pi-1.lan\""},
    {"radical=\"0-2,8,10-11\"", "", 5, "needs the attribute \"radical\""},
    {"radical=\"0-2,8,10-11\"", "radical=\"0-2\" core=\"2\"", 5, "core=\"2\"|rg_cores says 4"},
    {"radical=\"0-2,8,10-11\" speed=\"1Gf\"", "radical=\"0-2\" speed=\"1Gf,2Gf,3Gf,4Gf\"", 5,
     "speed of <cluster> has 4|rg_clocks"},
    {"<prop id=\"rg_cores\" value=\"4\"/>", "", 5, "<cluster id=\"c\">|rg_cores"},
    {"<prop id=\"rg_frame_bytes\" value=\"1538\"/>", "", 5, "rg_frame_bytes"},
    {"\"rg_cores\"", "\"rg_coers\"", 8, "unknown property \"rg_coers\"|\"rg_cores\""},
    {"\"rg_cores\"", "\"rg_board\"", 8, "line 7 already"},
    {"value=\"9.8e9\"", "value=\"9.8Gf\"", 9, "rg_gemm_rate=\"9.8Gf\"|not a number"},
    {"value=\"9.8e9\"", "value=\"-1\"", 9, "from 1 up"},
    {"value=\"9.8e9\"", "value=\"0\"", 9, "from 1 up"},
    {"32:0.25 64:0.5", "64:0.25 32:0.5", 11, "sizes rising"},
    {"32:0.25 64:0.5", "32:0.25 64:1.5", 11, "SIZE:SHARE"},
    {"32:0.25 64:0.5", "1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1", 11, "up to 8"},
    {"32:0.25 64:0.5 256:1", "32:0.25|64:0.5", 11, "separated by blanks"},
    {"32:0.25 64:0.5 256:1", "32:0.25|", 11, "separated by blanks"},
    {"rg_clocks\" value=\"1e9\"", "rg_clocks\" value=\"1e9|5e8\"", 26, "separated by blanks"},
    {"32:0.25 64:0.5 256:1", "", 11, "must not be empty"},
    {"value=\"1538\"", "value=\"100\"", 5, "rg_frame_bytes is less"},
    {"value=\"3.5e9\"", "value=\"1.5\"", 16, "whole number of bytes"},
    {"value=\"toy\"", "value=\"0123456789012345678901234567890123456789012345678901\"", 7,
     "1 to 47 characters"},
    {"<host id=\"last\"", "<peer id=\"last\"", 52, "not well formed"},
    {"<link id=\"l\" bandwidth", "<peer id=\"l\" bandwidth", 54, "<host> and <cluster>"},
    {"<host id=\"last\"", "<host id=\"pi-8.lan\"", 3, "two hosts are named"},
};

typedef int (*load_fn)(const char *path, struct rg_error *e);

static int load_scenario(const char *path, struct rg_error *e)
{
    struct rg_scenario s;
    int err = rg_scenario_load(path, &s, e);
    if (err == 0)
        rg_scenario_free(&s);
    return err;
}

static int load_network(const char *path, struct rg_error *e)
{
    struct rg_network n;
    int err = rg_network_load(path, &n, e);
    if (err == 0)
        rg_network_free(&n);
    return err;
}

static int load_platform(const char *path, struct rg_error *e)
{
    struct rg_platform p;
    int err = rg_platform_load(path, &p, e);
    if (err == 0)
        rg_platform_free(&p);
    return err;
}

static void try_all(const char *good, const struct bad *bad, size_t count, load_fn load)
{
    for (size_t i = 0; i < count; i++) {
        struct rg_error e = {0};
        char *text = replaced(good, bad[i].from, bad[i].to);
        const char *path = scratch_text("bad.xml", text);
        int err = load(path, &e);
        CU_ASSERT_EQUAL(err, RG_ERR_INVALID);
        CU_ASSERT_EQUAL(err, e.code);
        if (err == 0)
            printf("\n    accepted: %s\n", bad[i].to);
        else
            CU_ASSERT_TRUE(complains(&e, path, bad[i].line, bad[i].words));
        free(text);
    }
}

static void test_bad_scenarios(void)
{
    try_all(good_scenario, bad_scenarios, RG_COUNT(bad_scenarios), load_scenario);
}

static void test_bad_networks(void)
{
    try_all(good_network, bad_networks, RG_COUNT(bad_networks), load_network);
}

static void test_bad_platforms(void)
{
    try_all(good_platform, bad_platforms, RG_COUNT(bad_platforms), load_platform);
}

static void test_bad_files(void)
{
    static const load_fn loads[] = {load_scenario, load_network, load_platform};
    char deep[6000] = "";
    for (int i = 0; i < 400; i++)
        strcat(deep, "<scenario>");
    const struct {
        const char *path;
        int line;
        const char *words;
    } files[] = {
        {scratch_path("absent.xml"), 0, "cannot be read: No such file"},
        {scratch(), 0, "plain file"},
        {"/dev/zero", 0, "plain file"},
        {scratch_text("empty.xml", ""), 1, "empty"},
        {scratch_text("other.xml", "<?xml version=\"1.0\"?>\n\n<other/>"), 3, "<other>"},
        {scratch_text("binary.xml", "\x7f\x45LF\x01\x02"), 1, "not well formed"},
        {scratch_text("deep.xml", deep), 1, "not well formed"},
    };
    for (size_t k = 0; k < RG_COUNT(loads); k++)
        for (size_t i = 0; i < RG_COUNT(files); i++) {
            struct rg_error e = {0};
            CU_ASSERT_EQUAL(loads[k](files[i].path, &e), RG_ERR_INVALID);
            CU_ASSERT_EQUAL(loads[k](files[i].path, NULL), RG_ERR_INVALID);
            CU_ASSERT_TRUE(complains(&e, NULL, 0, files[i].words));
        }
    char *blanks = calloc(1, (1 << 16) + 20); /* a tag so long that looking through it takes long */
    sprintf(blanks, "seed%*s", 1 << 16, "=\"7\"");
    char *text = replaced(good_scenario, "seed=\"7\"", blanks);
    struct rg_error long_tag = {0};
    const char *path = scratch_text("tag.xml", text);
    CU_ASSERT_EQUAL(load_scenario(path, &long_tag), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&long_tag, path, 2, "a tag or comment of more than 64 KiB"));
    free(text);
    free(blanks);
    FILE *stream = fopen(scratch_path("huge.xml"), "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    CU_ASSERT_EQUAL(ftruncate(fileno(stream), 1L << 30), 0);
    fclose(stream);
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(load_scenario(scratch_path("huge.xml"), &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, scratch_path("huge.xml"), 0, "larger than 32 MiB"));
}

/* ---- texts ---- */

static void test_texts(void)
{
    char text[200];
    int length;
    CU_ASSERT_EQUAL(rg_text_index("a bc d", "bc"), 1);
    CU_ASSERT_EQUAL(rg_text_index("a bc d", "b"), -1);
    CU_ASSERT_EQUAL(rg_text_index("a bc|d", "a bc"), 0);
    CU_ASSERT_PTR_NULL(rg_text_word("a b", 2, &length));
    rg_text_allowed("alpha beta gamma", "bta", text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "did you mean \"beta\"? alpha, beta and gamma are allowed");
    rg_text_allowed("alpha", "x", text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "alpha is allowed");
    rg_text_allowed("alpha beta", "aplha", text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "did you mean \"alpha\"? alpha and beta are allowed");
    rg_text_allowed("alpha beta", "a", text, 12); /* cut, but terminated */
    CU_ASSERT_TRUE(strlen(text) < 12);
}

/* ---- the schema ---- */

static void quiet(void *context, const char *message, ...)
{
    (void)context, (void)message;
}

static int validate(xmlRelaxNG *schema, const char *path, bool loud)
{
    xmlDoc *doc = xmlReadFile(path, NULL, XML_PARSE_NONET);
    xmlRelaxNGValidCtxt *context = xmlRelaxNGNewValidCtxt(schema);
    if (!loud)
        xmlRelaxNGSetValidErrors(context, quiet, quiet, NULL);
    int result = doc ? xmlRelaxNGValidateDoc(context, doc) : -1;
    xmlRelaxNGFreeValidCtxt(context);
    xmlFreeDoc(doc);
    return result;
}

/* Bad scenarios that only the reader knows to be bad: what stands twice, what contradicts. */
static bool beyond_schema(const struct bad *bad)
{
    return strstr(bad->words, "not well formed") || strstr(bad->words, "has it already") ||
           strstr(bad->words, "<stop>|numerics") || strstr(bad->words, "entities") ||
           strstr(bad->words, "DOCTYPE") || strstr(bad->words, "after from") ||
           strstr(bad->to, "3-1");
}

static void test_schema(void)
{
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewParserCtxt(RG_SOURCE_DIR "/scenarios/scenario.rng");
    xmlRelaxNG *schema = xmlRelaxNGParse(parser);
    glob_t files;
    CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
    CU_ASSERT_EQUAL(glob(RG_SOURCE_DIR "/scenarios/*.xml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        CU_ASSERT_EQUAL(validate(schema, files.gl_pathv[i], true), 0);
    globfree(&files);
    CU_ASSERT_EQUAL(validate(schema, scratch_text("good.xml", good_scenario), true), 0);
    for (size_t i = 0; i < RG_COUNT(bad_scenarios); i++) {
        char *text = replaced(good_scenario, bad_scenarios[i].from, bad_scenarios[i].to);
        if (!beyond_schema(&bad_scenarios[i]) &&
            validate(schema, scratch_text("bad.xml", text), false) == 0) {
            printf("\n    the schema accepts: %s\n", bad_scenarios[i].to);
            CU_FAIL("schema");
        }
        free(text);
    }
    char *text = replaced(good_scenario, "  <stop", "<sweep key=\"nodes\" values=\"2\"/>\n<stop");
    CU_ASSERT_EQUAL(validate(schema, scratch_text("sweep.xml", text), true), 0);
    free(text);
    text = replaced(good_scenario, "  <stop", "<sweep key=\"nodes\"/>\n<stop");
    CU_ASSERT_NOT_EQUAL(validate(schema, scratch_text("sweep.xml", text), false), 0);
    free(text);
    xmlRelaxNGFree(schema);
    xmlRelaxNGFreeParserCtxt(parser);
    xmlCleanupParser();
}

/* Every shipped file reads. */
static void test_shipped_files(void)
{
    static const struct {
        const char *pattern;
        load_fn load;
    } kinds[] = {{RG_SOURCE_DIR "/scenarios/*.xml", load_scenario},
                 {RG_SOURCE_DIR "/models/networks/*.xml", load_network},
                 {RG_SOURCE_DIR "/platforms/*.xml", load_platform}};
    for (size_t k = 0; k < RG_COUNT(kinds); k++) {
        glob_t files;
        CU_ASSERT_EQUAL(glob(kinds[k].pattern, 0, NULL, &files), 0);
        for (size_t i = 0; i < files.gl_pathc; i++) {
            struct rg_error e = {0};
            CU_ASSERT_EQUAL(kinds[k].load(files.gl_pathv[i], &e), 0);
            if (e.code)
                printf("\n    %s\n", e.text);
        }
        globfree(&files);
    }
}

static const struct suite_test tests[] = {
    {"scenario: values and lines", test_scenario_values},
    {"faults: windows and jitter", test_fault_values},
    {"nodes that are off", test_off_values},
    {"network: values, defaults, repetition", test_network_values},
    {"platform: hosts in order, boards shared", test_platform_values},
    {"platform: properties with defaults", test_platform_extras},
    {"numbers do not depend on the locale", test_locale},
    {"other encodings", test_encodings},
    {"bad scenarios name line and remedy", test_bad_scenarios},
    {"bad networks name line and remedy", test_bad_networks},
    {"bad platforms name line and remedy", test_bad_platforms},
    {"files that are none", test_bad_files},
    {"texts", test_texts},
    {"schema agrees with the reader", test_schema},
    {"shipped files read", test_shipped_files},
};

int main(int argc, char **argv)
{
    return suite_main("scenario", tests, RG_COUNT(tests), argc, argv);
}
