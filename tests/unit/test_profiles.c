/* Measured seconds in place of modelled ones: what a profile gives for a part of training, files of
 * profiles good and bad, and what scenarios, partitions, closed forms and results make of them. */
#include "base/check.h"
#include "base/digest.h"
#include "boards/board.h"
#include "boards/measured.h"
#include "models/stage.h"
#include "result/measured_file.h"
#include "scratch.h"
#include "strategies/strategy.h"
#include "study/job.h"
#include "support/suite.h"
#include "toy_platform.h"

#include <math.h>

enum { LAYERS = 4 };

/* Four layers of 4 x 4 weights and 4 biases: 20 parameters each. */
static const char network_text[] = "<network name=\"net\" input=\"4\">\n"
                                   "  <dense outputs=\"4\" activation=\"relu\" repeat=\"3\"/>\n"
                                   "  <dense outputs=\"4\"/>\n"
                                   "</network>\n";
static const char scenario_text[] =
    "<scenario name=\"profiled\" seed=\"7\">\n"
    "  <platform file=\"platform.xml\"/>\n"
    "  <network file=\"network.xml\"/>\n"
    "  <data kind=\"random\" inputs=\"4\" classes=\"4\" train=\"80\" test=\"8\"/>\n"
    "  <training batch=\"8\" epochs=\"2\" learning-rate=\"0.1\"/>\n"
    "  <profile nodes=\"0-1\" file=\"net.json\"/>\n"
    "  <strategy label=\"single\" kind=\"single\"/>\n"
    "  <strategy label=\"ring\" kind=\"ring_pipeline\" schedule=\"1f1b\" stages=\"2\"\n"
    "            micro-batches=\"2\"/>\n"
    "</scenario>\n";

/* Seconds of the profile: a layer's forward takes 1 ms with 2 samples and 4 ms with 8 (in
 * proportion), its backward 3 ms with either, its step 0.2 ms; `slow` of them three times that. */
static char *profile_text(int slow)
{
    static const int batches[] = {8, 2}; /* in any order */
    char *text = NULL, digest[RG_DIGEST_TEXT];
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    CU_ASSERT_FATAL(stream && rg_digest_file(scratch_path("network.xml"), digest) == 0);
    fprintf(stream,
            "{\"schema\": \"ringtmp-profile-1\", \"network\": \"net\",\n"
            "\"network_sha256\": \"%s\", \"board\": \"toy\",\n"
            "\"program\": \"a test\", \"threads\": 1, \"copies\": 1, \"optimizer\": \"sgd\",\n"
            "\"steps\": [\n"
            "  {\"batch\": 8, \"fixed_s\": 0.0004, \"loss_s\": 0.0001, \"spread\": 0},\n"
            "  {\"batch\": 2, \"fixed_s\": 0.0002, \"loss_s\": 0.0001}],\n"
            "\"layers\": [\n",
            digest);
    for (int b = 0; b < 2; b++)
        for (int l = 0; l < LAYERS; l++) {
            double by = l == slow ? 3 : 1, n = batches[b];
            fprintf(stream,
                    "  {\"batch\": %d, \"layer\": %d, \"forward_s\": %.9g, \"backward_s\": %.9g, "
                    "\"update_s\": %.9g}%s\n",
                    batches[b], l, by * 5e-4 * n, by * 3e-3, by * 2e-4,
                    b == 1 && l == LAYERS - 1 ? "]}" : ",");
        }
    fclose(stream);
    return text;
}

static void write_all(int slow)
{
    write_toy_platform("0-2");
    scratch_text("network.xml", network_text);
    scratch_text("scenario.xml", scenario_text);
    char *text = profile_text(slow);
    scratch_text("net.json", text);
    free(text);
}

static void load_network(struct rg_network *network)
{
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(rg_network_load(scratch_path("network.xml"), network, &e), 0);
}

/* ---- seconds ---- */

static double pass_s(const struct rg_measured *m, enum rg_part_kind kind, int samples)
{
    return rg_measured_seconds(
        m, &(struct rg_part){.kind = kind, .layer = 1, .samples = samples, .kernels = 1});
}

static double update_s(const struct rg_measured *m, size_t first, size_t count)
{
    return rg_measured_seconds(
        m, &(struct rg_part){.kind = RG_PART_UPDATE, .first = first, .count = count});
}

/* 4 samples are half way between 2 and 8 by their logarithms. */
static void test_seconds(void)
{
    struct rg_network network;
    struct rg_measured m;
    struct rg_error e;
    write_all(1);
    load_network(&network);
    CU_ASSERT_EQUAL_FATAL(rg_measured_load(scratch_path("net.json"), &network, &m, &e), 0);
    CU_ASSERT_DOUBLE_EQUAL(pass_s(&m, RG_PART_FORWARD, 2), 3e-3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(pass_s(&m, RG_PART_FORWARD, 8), 12e-3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(pass_s(&m, RG_PART_FORWARD, 4), 6e-3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(pass_s(&m, RG_PART_FORWARD, 5), 7.5e-3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(pass_s(&m, RG_PART_BACKWARD, 5), 9e-3, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(pass_s(&m, RG_PART_LOAD, 4), sqrt(2e-4 * 4e-4), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(pass_s(&m, RG_PART_LOSS, 3), 1e-4, 1e-12);
    /* Half of layer 0 and all of the slow layer 1; all. */
    CU_ASSERT_DOUBLE_EQUAL(update_s(&m, 10, 30), 1e-4 + 6e-4, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(update_s(&m, 0, 80), 12e-4, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(update_s(&m, 20, 0), 0, 0);
    CU_ASSERT(rg_measured_has(&m, 2) && rg_measured_has(&m, 5) && rg_measured_has(&m, 8));
    CU_ASSERT(!rg_measured_has(&m, 1) && !rg_measured_has(&m, 9));
    CU_ASSERT(!rg_measured_has_halves(&m));
    rg_measured_free(&m);
    rg_network_free(&network);
}

/* A list of kernels on a board: parts as measured, what is inside of them once, the rest by the
 * datasheet; of a part, one core is alone for the share that the model says. */
static void test_board(void)
{
    struct rg_measured_layer layer = {.forward_s = 0.5};
    struct rg_measured_batch batch = {.samples = 2, .layers = &layer};
    size_t first[] = {0, 1};
    const struct rg_measured m = {
        .layer_count = 1, .first = first, .batch_count = 1, .batches = &batch};
    struct rg_board board = {.cores = 2,
                             .gemm_rate = 1e9,
                             .gemm_rate_all = 2e9,
                             .vector_rate = 1e9,
                             .memory_rate = 1e12,
                             .memory_rate_all = 1e12};
    const struct rg_part part = {.kind = RG_PART_FORWARD, .layer = 0, .samples = 2};
    struct rg_work work = {0};
    rg_work_vector(&work, 1e9, 0);           /* 1 s */
    rg_work_gemm(&work, 1000, 1000, 500, 3); /* the part: 1.5 s on two cores, ... */
    rg_work_vector(&work, 5e8, 0);           /* ... and 0.5 s on one */
    rg_work_part(&work, 2, part);
    rg_work_part(&work, 1, part);
    rg_work_vector(&work, 2e9, 0); /* 2 s */
    CU_ASSERT_DOUBLE_EQUAL(rg_board_seconds(&board, &work, 2), 1 + 1.5 + 0.5 + 2, 1e-9);
    board.measured = &m;
    struct rg_seconds s = rg_board_kept_seconds(&board, &work, 2);
    CU_ASSERT_DOUBLE_EQUAL(rg_board_seconds(&board, &work, 2), 1 + 0.5 + 2, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(s.all, 1 + 0.5 + 2, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(s.alone, 1 + 0.25 * 0.5 + 2, 1e-9);
    rg_work_free(&work);
    rg_work_part(&work, 0, part); /* no kernel at all */
    CU_ASSERT_DOUBLE_EQUAL(rg_board_seconds(&board, &work, 1), 0.5, 1e-12);
    board.measured = NULL;
    CU_ASSERT_EQUAL(rg_board_seconds(&board, &work, 1), 0);
    rg_work_free(&work);
}

/* ---- files ---- */

static void test_round_trip(void)
{
    static const int batches[] = {1, 16};
    struct rg_network network;
    struct rg_measured m = {.threads = 3, .copies = 2}, back;
    struct rg_error e;
    write_all(-1);
    load_network(&network);
    CU_ASSERT_FATAL(rg_measured_make(&m, &network, batches, 2));
    strcpy(m.network, "net");
    strcpy(m.board, "a board");
    strcpy(m.program, "a program");
    strcpy(m.optimizer, "adam");
    CU_ASSERT_EQUAL(rg_digest_file(network.file, m.network_digest), 0);
    for (int b = 0; b < 2; b++) {
        m.batches[b].fixed_s = 1.0 / 3 * (b + 1);
        m.batches[b].loss_s = 1e-7;
        for (int l = 0; l < LAYERS; l++)
            m.batches[b].layers[l] =
                (struct rg_measured_layer){0.1 * l, 0.2 * b, b ? 0.3 : NAN, 0.4, 0.5 * l, 0.01};
    }
    FILE *stream = fopen(scratch_path("back.json"), "w");
    CU_ASSERT_FATAL(stream != NULL);
    rg_measured_save(&m, &network, stream);
    fclose(stream);
    CU_ASSERT_EQUAL_FATAL(rg_measured_load(scratch_path("back.json"), &network, &back, &e), 0);
    CU_ASSERT_EQUAL(back.threads, 3);
    CU_ASSERT_EQUAL(back.copies, 2);
    CU_ASSERT_STRING_EQUAL(back.optimizer, "adam");
    CU_ASSERT_STRING_EQUAL(back.program, "a program");
    for (int b = 0; b < 2; b++) {
        CU_ASSERT_EQUAL(back.batches[b].samples, batches[b]);
        CU_ASSERT_EQUAL(back.batches[b].fixed_s, m.batches[b].fixed_s);
        for (int l = 0; l < LAYERS; l++) {
            CU_ASSERT_EQUAL(back.batches[b].layers[l].forward_s, 0.1 * l);
            CU_ASSERT_EQUAL(back.batches[b].layers[l].update_s, 0.5 * l);
            CU_ASSERT_EQUAL(isnan(back.batches[b].layers[l].input_s), b == 0);
            CU_ASSERT_EQUAL(back.batches[b].layers[l].weights_s, 0.4);
        }
    }
    rg_measured_free(&m);
    rg_measured_free(&back);
    rg_network_free(&network);
}

/* What in the good file is replaced by what; the words of the complaint, and its line. */
static void test_bad_files(void)
{
    static const struct bad {
        const char *from, *to;
        int line;
        const char *words;
    } cases[] = {
        {"ringtmp-profile-1", "ringtmp-result-1", 0, "schema|ringtmp-profile-1"},
        {"\"network\": \"net\"", "\"network\": 3", 0, "network|text"},
        {"\"threads\": 1", "\"threads\": 0", 0, "threads|1 to 1024"},
        {"\"copies\": 1, ", "", 0, "copies|missing"},
        {"\"fixed_s\": 0.0004", "\"fixed_s\": -1e-9", 0, "steps[0]|fixed_s|-1e-09|0 to 1e6"},
        {"\"fixed_s\": 0.0004", "\"fixed_s\": NaN", 5, "no profile"},
        {"\"fixed_s\": 0.0004", "\"fixed_s\": 1e999", 5, "no profile"},
        {"\"fixed_s\": 0.0004, ", "", 0, "steps[0]|fixed_s|missing"},
        {"{\"batch\": 2, \"fixed_s\"", "{\"batch\": 8, \"fixed_s\"", 0, "steps[1]|batch|once"},
        {"{\"batch\": 2, \"fixed_s\"", "{\"batch\": 2.5, \"fixed_s\"", 0, "steps[1]|whole number"},
        {"\"layer\": 1, ", "\"layer\": 0, ", 0, "layers[1]|layer|once"},
        {"\"layer\": 1, ", "\"layer\": 4, ", 0, "layers[1]|layer|0 to 3"},
        {"{\"batch\": 8, \"layer\": 1", "{\"batch\": 4, \"layer\": 1", 0, "layers[1]|batch|steps"},
        {"\"forward_s\": 0.004", "\"forward_s\": -0.004", 0, "layers[0]|forward_s|-0.004"},
        {"\"update_s\": 0.0002", "\"update_s\": \"fast\"", 0, "layers[0]|update_s|no number"},
        {"\"forward_s\": 0.004,", "", 0, "layers[0]|forward_s|missing"},
        {"\"forward_s\": 0.004", "\"forward_s\": 0.004, \"forward_s\": 1", 8,
         "no profile|duplicate"},
        {"\"layers\": [", "\"layers\": [], \"l\": [", 0, "layers|no list"},
    };
    struct rg_network network;
    struct rg_measured m;
    struct rg_error e;
    write_all(-1);
    load_network(&network);
    char *good = profile_text(-1);
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        char *text = replaced(good, cases[i].from, cases[i].to);
        const char *path = scratch_text("bad.json", text);
        CU_ASSERT(rg_measured_load(path, &network, &m, &e) < 0);
        CU_ASSERT(complains(&e, path, cases[i].line, cases[i].words));
        CU_ASSERT_PTR_NULL(m.batches);
        free(text);
    }
    const char *path = scratch_path("bad.json");
    for (size_t keep = 0; keep < strlen(good) - 2; keep += 37) {
        scratch_bytes("bad.json", good, keep);
        CU_ASSERT(rg_measured_load(path, &network, &m, &e) == RG_ERR_INVALID);
        CU_ASSERT(is_one_line(&e) && strstr(e.text, path));
    }
    free(good);
    good = profile_text(-1); /* of what the network was before: */
    scratch_text("bad.json", good);
    scratch_text("network.xml", "<network name=\"net\" input=\"4\">"
                                "<dense outputs=\"4\" repeat=\"4\"/></network>");
    rg_network_free(&network);
    load_network(&network);
    CU_ASSERT_EQUAL(rg_measured_load(path, &network, &m, &e), RG_ERR_INVALID);
    CU_ASSERT(complains(&e, path, 0, "another network|network.xml|ringcal --network"));
    free(good);
    rg_network_free(&network);
}

/* ---- scenarios ---- */

static int open_study(struct rg_study *study, struct rg_error *e)
{
    return rg_study_open(scratch_path("scenario.xml"), NULL, 0, NULL, 0, study, e);
}

static const struct rg_job *job_of(const struct rg_study *study, int i)
{
    CU_ASSERT_FATAL(i < study->job_count);
    return &study->jobs[i];
}

/* All of a batch of 8 on one node: loading, 4 layers forward and backward, loss, steps. */
static void test_single(void)
{
    struct rg_study study;
    struct rg_prediction p;
    struct rg_error e;
    write_all(-1);
    CU_ASSERT_EQUAL_FATAL(open_study(&study, &e), 0);
    rg_job_predict(job_of(&study, 0), &p);
    CU_ASSERT_DOUBLE_EQUAL(p.iteration_s, 4e-4 + 4 * (4e-3 + 3e-3) + 1e-4 + 4 * 2e-4, 1e-12);
    struct rg_run run;
    rg_run_init(&run);
    rg_job_describe(job_of(&study, 1), &run);
    CU_ASSERT(run.costs.known);
    CU_ASSERT_EQUAL_FATAL(run.costs.profile_count, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(run.costs.profiles[0], "nodes 0-1: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(run.costs.profiles[0], "net.json (toy, a test)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(run.costs.measured, "backward of every layer"));
    CU_ASSERT_PTR_NOT_NULL(strstr(run.costs.modelled, "messages"));
    CU_ASSERT_PTR_NULL(strstr(run.costs.modelled, "ranks"));
    rg_run_free(&run);
    rg_study_close(&study);
}

/* What counts for a ring are its micro-batches: two of 8. */
static void test_micro_batches(void)
{
    static char *const sets[] = {"batch=16"}, *const labels[] = {"ring"};
    struct rg_study study;
    struct rg_error e;
    write_all(-1);
    CU_ASSERT_EQUAL_FATAL(
        rg_study_open(scratch_path("scenario.xml"), sets, 1, labels, 1, &study, &e), 0);
    rg_study_close(&study);
}

/* Equal layers are split 2 and 2; with a layer that is three times slower, the ring is not. */
static void test_partition(void)
{
    static const int want[][2] = {{2, 2}, {1, 3}, {2, 2}, {2, 2}, {3, 1}};
    for (int slow = -1; slow < LAYERS; slow++) {
        struct rg_study study;
        struct rg_error e;
        write_all(slow);
        CU_ASSERT_EQUAL_FATAL(open_study(&study, &e), 0);
        int slots = 0;
        for (int i = 0; job_of(&study, 1)->strategy->params[i].name; i++)
            if (strcmp(job_of(&study, 1)->strategy->params[i].name, "partition") == 0) {
                char *text = rg_job_param_text(job_of(&study, 1), i), wanted[16];
                snprintf(wanted, sizeof wanted, "%d,%d", want[slow + 1][0], want[slow + 1][1]);
                CU_ASSERT_STRING_EQUAL(text, wanted);
                free(text);
                slots++;
            }
        CU_ASSERT_EQUAL(slots, 1);
        rg_study_close(&study);
    }
}

/* What ranks must agree on has the profile's bytes in it. */
static void test_digest(void)
{
    struct rg_study one, other;
    struct rg_error e;
    write_all(-1);
    CU_ASSERT_EQUAL_FATAL(open_study(&one, &e), 0);
    char *text = profile_text(-1), *changed = replaced(text, "a test", "a text");
    scratch_text("net.json", changed);
    CU_ASSERT_EQUAL_FATAL(open_study(&other, &e), 0);
    CU_ASSERT_STRING_NOT_EQUAL(one.scenario.digest, other.scenario.digest);
    free(text);
    free(changed);
    rg_study_close(&one);
    rg_study_close(&other);
}

/* The platform names it; the scenario's own comes first. */
static void test_platform(void)
{
    struct rg_study study;
    struct rg_prediction p;
    struct rg_error e;
    write_all(0);
    char *slow = profile_text(0), *plain = profile_text(-1);
    scratch_text("slow.json", slow);
    scratch_text("net.json", plain);
    free(slow);
    free(plain);
    FILE *stream = fopen(scratch_path("platform.xml"), "r");
    char old[4000] = "";
    CU_ASSERT_FATAL(stream && fread(old, 1, sizeof old - 1, stream) > 0);
    fclose(stream);
    char *text = replaced(old, "<prop id=\"rg_cores\"",
                          "<prop id=\"rg_profile\" value=\"slow.json\"/>\n<prop id=\"rg_cores\"");
    scratch_text("platform.xml", text);
    free(text);
    CU_ASSERT_EQUAL_FATAL(open_study(&study, &e), 0);
    CU_ASSERT(study.platform.boards[0] == study.platform.boards[1]);
    CU_ASSERT(study.platform.boards[0] != study.platform.boards[2]);
    CU_ASSERT_EQUAL(study.measured_count, 2);
    rg_job_predict(job_of(&study, 0), &p);
    CU_ASSERT_DOUBLE_EQUAL(p.iteration_s, 29.3e-3, 1e-12);
    rg_study_close(&study);
    CU_ASSERT_EQUAL(remove(scratch_path("slow.json")), 0);
    CU_ASSERT_EQUAL(open_study(&study, &e), RG_ERR_INVALID);
    CU_ASSERT(complains(&e, scratch_path("slow.json"), 0, "cannot be read|No such file|profile"));
    slow = profile_text(0);
    scratch_text("slow.json", slow);
    free(slow);
    text = replaced(scenario_text, "<profile nodes=\"0-1\"", "<profile nodes=\"2\"");
    scratch_text("scenario.xml", text);
    free(text);
    CU_ASSERT_EQUAL_FATAL(open_study(&study, &e), 0);
    rg_job_predict(job_of(&study, 0), &p); /* one layer takes 7.2 ms three times */
    CU_ASSERT_DOUBLE_EQUAL(p.iteration_s, 29.3e-3 + 2 * 7.2e-3, 1e-12);
    rg_study_close(&study);
}

static void test_refusals(void)
{
    static const struct {
        const char *from, *to;
        int line; /* of the scenario; 0: of the profile */
        const char *words;
    } cases[] = {
        {"nodes=\"0-1\"", "nodes=\"0-3\"", 6, "nodes of <profile>|rank 3|0 to 2"},
        {"nodes=\"0-1\"", "nodes=\"some\"", 6, "nodes|<profile>"},
        {"nodes=\"0-1\" ", "", 6, "nodes"},
        {"<profile nodes=\"0-1\" file=\"net.json\"/>",
         "<profile nodes=\"0-1\" file=\"net.json\"/><profile nodes=\"1-2\" file=\"net.json\"/>", 6,
         "rank 1 has one already|line 6"},
        {"file=\"net.json\"", "file=\"none.json\"", 6, "profile|none.json|No such file"},
        {"<training ", "<training threads=\"2\" ", 0, "1 thread,|threads=\"1\"|--threads 2"},
        {"<training ", "<training optimizer=\"adam\" ", 0, "sgd|adam|--optimizer"},
        {"batch=\"8\"", "batch=\"9\"", 7, "single|9 samples|net.json|2 and 8"},
        {"micro-batches=\"2\"", "micro-batches=\"8\"", 8, "ring|1 sample |net.json|2 and 8"},
        /* micro-batches of 2 and of 1 */
        {"batch=\"8\"", "batch=\"3\"", 8, "ring|1 sample |net.json|2 and 8"},
        {"schedule=\"1f1b\"", "schedule=\"zb\"", 8, "ring|halves|backward_input_s"},
    };
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_study study;
        struct rg_error e;
        write_all(-1);
        char *text = replaced(scenario_text, cases[i].from, cases[i].to);
        scratch_text("scenario.xml", text);
        free(text);
        CU_ASSERT(open_study(&study, &e) < 0);
        CU_ASSERT(complains(&e, scratch_path(cases[i].line ? "scenario.xml" : "net.json"),
                            cases[i].line, cases[i].words));
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"seconds between batches, and of updates", test_seconds},
        {"a board takes what was measured", test_board},
        {"written and read", test_round_trip},
        {"files that are no profiles of the network", test_bad_files},
        {"the closed form of one node, and its result", test_single},
        {"micro-batches are what is measured", test_micro_batches},
        {"the partition moves with a slow layer", test_partition},
        {"the digest of the scenario", test_digest},
        {"profiles of a platform", test_platform},
        {"scenarios that are refused", test_refusals},
    };
    return suite_main("profiles", tests, RG_COUNT(tests), argc, argv);
}
