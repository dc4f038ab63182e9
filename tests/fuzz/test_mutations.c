/* Mutated inputs: whatever is in a file, reading it must not crash, hang or leak, and a refusal is
 * one line that names the file. Deterministic: the seed is printed, RG_FUZZ_SEED and RG_FUZZ_ROUNDS
 * change seed and length. Run it under the address and undefined-behaviour sanitizers. */
#include "mutations.h"

#include "base/bytes.h"
#include "connect/join.h"
#include "result/checkpoint.h"
#include "result/result.h"
#include "scenario/scenario.h"
#include "support/suite.h"
#include "unit/run_fixture.h"
#include "unit/scratch.h"

#include <ctype.h>
#include <glob.h>
#include <limits.h>

static const char *const words[] = {
    "\"",
    "'",
    "<",
    ">",
    "/>",
    "&",
    "&lt;",
    "&#0;",
    "&#x10ffff;",
    "]]>",
    "<!--",
    "<!DOCTYPE a [",
    "<!ENTITY a \"b\">",
    "&a;",
    "<?xml",
    "xmlns=\"x\"",
    "xmlns:a=\"\"",
    "a:b=\"\"",
    "%s%n",
    "-1",
    "0",
    "99999999999999999999",
    "1e999",
    "nan",
    "0x10",
    "2147483648",
    "1-65535",
    "0-0,0-0",
    ":",
    "|",
    ".",
    "repeat=\"100000\"",
    "kernel=\"1024\"",
    "outputs=\"16777216\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "true",
    "[[[[[[[[[[",
    "{\"a\":{\"a\":",
    "\xff",
    "\xc0\x80",
    "\xef\xbf\xbf",
    "\n",
    "\r\n",
    "\t",
    "\x01",
    "=",
    "=\"\"",
    "é",
    "F64",
    "data_offsets",
};

/* ---- what reads them ---- */

static struct rg_network small; /* whose checkpoints are read */

static int read_scenario(const char *path, struct rg_error *e)
{
    struct rg_scenario s;
    int err = rg_scenario_load(path, &s, e);
    if (err)
        return err;
    rg_scenario_set(&s, "nodes=3", NULL);
    struct rg_error why = {0};
    int sealed = rg_scenario_seal(&s, &why);
    CU_ASSERT_TRUE(sealed == 0 || is_one_line(&why));
    rg_scenario_free(&s);
    return 0;
}

static int read_network(const char *path, struct rg_error *e)
{
    struct rg_network n;
    int err = rg_network_load(path, &n, e);
    if (err == 0)
        rg_network_free(&n);
    return err;
}

static int read_platform(const char *path, struct rg_error *e)
{
    struct rg_platform p;
    int err = rg_platform_load(path, &p, e);
    if (err == 0)
        rg_platform_free(&p);
    return err;
}

static int read_checkpoint(const char *path, struct rg_error *e)
{
    static char *names[] = {"a", "b"};
    struct rg_dataset data = {.inputs = 4, .classes = 2, .class_names = names};
    float *values;
    int err = rg_checkpoint_load(path, &small, &data, &values, e);
    free(values);
    free(data.wanted_mean);
    free(data.wanted_deviation);
    return err;
}

/* Whatever is let pass can be shown, and written again. */
static void use_runs(struct rg_run *runs, int count)
{
    struct rg_result result = rg_result_of("t", "w", "s", NULL, 0);
    FILE *sink = fopen("/dev/null", "w");
    result.runs = runs;
    result.run_count = count;
    CU_ASSERT_EQUAL(rg_result_trace(&result, sink), 0);
    CU_ASSERT_EQUAL(rg_result_write(&result, sink), 0);
    rg_result_table(&result, sink);
    rg_result_classes(&result, sink);
    fclose(sink);
}

/* A child's bytes: no file, so no name to tell. */
static int read_run(const char *path, struct rg_error *e)
{
    static struct input in;
    struct rg_run run;
    FILE *stream = fopen(path, "rb");
    in.size = fread(in.bytes, 1, MAX_SIZE, stream);
    fclose(stream);
    int err = rg_run_decode(in.bytes, in.size, &run, e);
    if (err == 0) {
        unsigned char *again = NULL;
        size_t size;
        CU_ASSERT_EQUAL(rg_run_encode(&run, &again, &size), 0);
        use_runs(&run, 1);
        free(again);
    }
    rg_run_free(&run);
    return err;
}

static int read_result(const char *path, struct rg_error *e)
{
    struct rg_result result;
    int err = rg_result_read(path, &result, e);
    if (err == 0)
        use_runs(result.runs, result.run_count);
    rg_result_free(&result);
    return err;
}

/* What is taken are names that a resolver may be asked for, and ports; what is not names a line,
 * unless the file is empty. */
static int read_hosts(const char *path, struct rg_error *e)
{
    struct rg_hosts hosts;
    size_t length = strlen(path);
    int err = rg_hosts_load(path, &hosts, e);
    if (err) {
        CU_ASSERT_TRUE(isdigit((unsigned char)e->text[length + 1]) ||
                       strncmp(e->text + length, ": no hosts", 10) == 0);
        return err;
    }
    for (int i = 0; i < hosts.count; i++) {
        const struct rg_host *host = &hosts.host[i];
        long port = strtol(host->port, NULL, 10);
        CU_ASSERT_TRUE(port >= 1 && port <= 65535);
        CU_ASSERT_TRUE(host->name[0] && host->name[0] != '-');
        CU_ASSERT_EQUAL(host->name[strcspn(host->name, "[]{}\"'<>|=,;/\\@ \t\r\n\x01\x1b")], '\0');
    }
    rg_hosts_free(&hosts);
    return 0;
}

/* ---- rounds ---- */

/* `count` mutations of one input. */
static void fuzz(const struct input *seed, int (*read)(const char *path, struct rg_error *e),
                 bool names_file, long count)
{
    long refused = 0;
    for (long i = 0; i < count; i++) {
        struct input in = *seed;
        struct rg_error e = {0};
        mutate(&in, words, RG_COUNT(words));
        const char *path = scratch_bytes("mutated", in.bytes, in.size);
        watch();
        int err = read(path, &e);
        refused += err != 0;
        bool good = err == 0 || (is_one_line(&e) && e.code == err &&
                                 (!names_file || strncmp(e.text, path, strlen(path)) == 0));
        CU_ASSERT_TRUE(good);
        if (!good) {
            printf("\n    round %ld: %d, \"%s\"\n", i, err, e.text);
            return;
        }
    }
    CU_ASSERT_TRUE(count < 100 || refused > count / 4); /* the mutations do bite */
}

static void load(struct input *in, const char *path)
{
    FILE *stream = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    in->size = fread(in->bytes, 1, MAX_SIZE, stream);
    fclose(stream);
}

static void fuzz_files(const char *pattern, int (*read)(const char *path, struct rg_error *e))
{
    static struct input in;
    glob_t files;
    CU_ASSERT_EQUAL_FATAL(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        load(&in, files.gl_pathv[i]);
        fuzz(&in, read, true, rounds() / (long)files.gl_pathc);
    }
    globfree(&files);
}

static void test_scenarios(void)
{
    fuzz_files(RG_SOURCE_DIR "/scenarios/*.xml", read_scenario);
}

static void test_networks(void)
{
    fuzz_files(RG_SOURCE_DIR "/models/networks/*.xml", read_network);
}

static void test_platforms(void)
{
    fuzz_files(RG_SOURCE_DIR "/platforms/*.xml", read_platform);
}

static void test_corpus(void)
{
    fuzz_files(RG_SOURCE_DIR "/tests/fuzz/corpus/*.xml", read_scenario);
    fuzz_files(RG_SOURCE_DIR "/tests/fuzz/corpus/*.xml", read_network);
    fuzz_files(RG_SOURCE_DIR "/tests/fuzz/corpus/*.xml", read_platform);
}

/* Everything in the corpus is refused as it is, by every reader. */
static void test_corpus_unchanged(void)
{
    static int (*const reads[])(const char *path, struct rg_error *e) = {
        read_scenario, read_network, read_platform, read_checkpoint};
    glob_t files;
    struct stat noise;
    CU_ASSERT_EQUAL_FATAL(glob(RG_SOURCE_DIR "/tests/fuzz/corpus/*", 0, NULL, &files), 0);
    int saved = dup(STDERR_FILENO); /* nothing may go there but what the caller prints */
    CU_ASSERT_PTR_NOT_NULL_FATAL(freopen(scratch_path("stderr"), "w", stderr));
    CU_ASSERT_TRUE(files.gl_pathc > 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        for (size_t k = 0; k < RG_COUNT(reads); k++) {
            struct rg_error e = {0};
            CU_ASSERT_EQUAL(reads[k](files.gl_pathv[i], &e), RG_ERR_INVALID);
            CU_ASSERT_TRUE(is_one_line(&e) &&
                           strncmp(e.text, files.gl_pathv[i], strlen(files.gl_pathv[i])) == 0);
        }
    globfree(&files);
    fflush(stderr);
    CU_ASSERT_EQUAL(stat(scratch_path("stderr"), &noise), 0);
    CU_ASSERT_EQUAL(noise.st_size, 0);
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static void test_runs(void)
{
    static struct input in;
    struct rg_run run;
    unsigned char *bytes;
    fill_run(&run);
    CU_ASSERT_EQUAL_FATAL(rg_run_encode(&run, &bytes, &in.size), 0);
    CU_ASSERT_TRUE_FATAL(in.size <= MAX_SIZE);
    memcpy(in.bytes, bytes, in.size);
    free(bytes);
    rg_run_free(&run);
    fuzz(&in, read_run, false, rounds());
}

static void test_results(void)
{
    static struct input in;
    struct rg_run run;
    struct rg_result result = rg_result_of("ringsim", "sim", "s", NULL, 1);
    const char *path = scratch_path("result.json");
    fill_run(&run);
    result.runs = &run;
    result.run_count = 1;
    FILE *stream = fopen(path, "wb");
    CU_ASSERT_EQUAL_FATAL(rg_result_write(&result, stream), 0);
    fclose(stream);
    rg_run_free(&run);
    load(&in, path);
    fuzz(&in, read_result, true, rounds());
}

static void test_hosts(void)
{
    static const char good[] = "# boards\npi-0\n  pi-1:9000   # the second\n\n[fd00::7]:9001\r\n"
                               "fe80::8%eth0\n10.0.0.3:1\n[fd00::9]\nPi_3.local-net:65535";
    static struct input in = {.size = sizeof good - 1};
    memcpy(in.bytes, good, sizeof good - 1);
    fuzz(&in, read_hosts, true, rounds());
}

static void test_checkpoints(void)
{
    static struct input in;
    struct rg_checkpoint_writer writer;
    const char *path = scratch_path("good");
    float *values = calloc(small.parameters, sizeof *values);
    double mean[4] = {1, 2, 3, 4}, deviation[4] = {1, 1, 2, 2};
    static char *names[] = {"a", "b"};
    const struct rg_dataset data = {
        .inputs = 4, .mean = mean, .deviation = deviation, .classes = 2, .class_names = names};
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_begin(&writer, path, &small, &data, NULL), 0);
    rg_checkpoint_add(&writer, values, small.parameters);
    CU_ASSERT_EQUAL_FATAL(rg_checkpoint_end(&writer, NULL), 0);
    load(&in, path);
    fuzz(&in, read_checkpoint, true, rounds());
    free(values);
}

/* --set texts, on a scenario of its own each. */
static void test_sets(void)
{
    static const char *const good[] = {"nodes=4", "LABEL.depth=3", "learning-rate=0.1",
                                       "platform=a/b.xml"};
    struct rg_scenario s;
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(RG_SOURCE_DIR "/scenarios/iris-3.xml", &s, NULL), 0);
    for (long i = 0; i < rounds(); i++) {
        static struct input in;
        struct rg_error e = {0};
        char text[600];
        in.size = strlen(good[i % (long)RG_COUNT(good)]);
        memcpy(in.bytes, good[i % (long)RG_COUNT(good)], in.size);
        mutate(&in, words, RG_COUNT(words));
        snprintf(text, sizeof text, "%.*s", (int)RG_MIN(in.size, sizeof text - 1),
                 (const char *)in.bytes);
        CU_ASSERT_TRUE(rg_scenario_set(&s, text, &e) == 0 || is_one_line(&e));
    }
    rg_scenario_free(&s);
}

static const struct suite_test tests[] = {
    {"scenarios", test_scenarios},
    {"networks", test_networks},
    {"platforms", test_platforms},
    {"corpus of hostile files, unchanged", test_corpus_unchanged},
    {"corpus of hostile files, mutated", test_corpus},
    {"runs on a pipe", test_runs},
    {"results", test_results},
    {"hosts files", test_hosts},
    {"checkpoints", test_checkpoints},
    {"sets", test_sets},
};

static int make_small(void)
{
    const struct rg_layer_spec specs[] = {
        {.ops = rg_layer_kind("residual"), .hidden = 3, .line = 1},
        {.ops = rg_layer_kind("dense"), .outputs = 3, .line = 2},
    };
    return rg_network_build(&small, "n", "n", (struct rg_shape){4, 1, 1}, specs, RG_COUNT(specs),
                            NULL);
}

int main(int argc, char **argv)
{
    if (!roll() || make_small() < 0)
        return 1;
    int status = suite_main("fuzz", tests, RG_COUNT(tests), argc, argv);
    rg_random_free(dice);
    rg_network_free(&small);
    return status;
}
