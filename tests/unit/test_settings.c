/* The table of settings, key by key: --set, sweeps and the digest of a scenario go by it. */
#include "scenario_fixture.h"

#include "base/check.h"
#include "base/digest.h"
#include "scenario/settings.h"
#include "support/suite.h"

#include <math.h>

/* ---- --set and sweeps ---- */

/* A scenario in which a setting with a key may be given. */
static void load_full(const struct rg_setting_info *info, struct rg_scenario *s)
{
    struct rg_error e = {0};
    write_good();
    char *text = replaced(good_scenario, COMMENT,
                          "<clock nodes=\"0-1\" hz=\"5e8\"/><clock nodes=\"3\" hz=\"6e8\"/>\n"
                          "<faults><slow nodes=\"0\" from=\"1\" to=\"2\" factor=\"0.5\"/>"
                          "<link nodes=\"1\" factor=\"0.25\"/><jitter spread=\"0.125\"/></faults>");
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_text("scenario.xml", text), s, &e), 0);
    if (info && info->with)
        CU_ASSERT_EQUAL(rg_scenario_set(s, info->with, &e), 0);
    free(text);
}

/* Two values that differ from one another, and neither what nobody gives nor what load_full has. */
static void two_values(const struct rg_setting_info *info, char texts[2][80])
{
    const struct rg_limit *limit = &info->type.limit;
    struct rg_scenario s;
    int found = 0;
    load_full(info, &s);
    double has = rg_type_has_number(&info->type) ? rg_setting_number(info, &s) : 0;
    rg_scenario_free(&s);
    for (int i = 0; i < 4 && found < 2; i++) {
        double number = i;
        if (info->type.kind == RG_TYPE_NUMBER)
            number = limit->whole ? limit->min + 2 + i : limit->max / (2 << i);
        if (number == has)
            continue;
        snprintf(texts[found], sizeof texts[0], "%.60s/file%d", scratch(), i);
        if (info->type.kind == RG_TYPE_TEXT)
            snprintf(texts[found], sizeof texts[0], "text%d", i);
        else if (rg_type_has_number(&info->type))
            rg_type_write(&info->type, number, texts[found], sizeof texts[0]);
        found += texts[found][0] != '\0';
    }
    CU_ASSERT_FATAL(found == 2 || (found == 1 && info->type.kind == RG_TYPE_WORD));
}

static int set(struct rg_scenario *s, const char *key, const char *value, struct rg_error *e)
{
    char text[300];
    snprintf(text, sizeof text, "%s=%s", key, value);
    return rg_scenario_set(s, text, e);
}

/* --set takes what the attribute takes, by both names, and keeps it. */
static void test_keys(void)
{
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        const char *names[] = {info->key, info->older};
        struct rg_scenario s;
        char texts[2][80] = {"", ""};
        double number = 0;
        if (!info->key)
            continue;
        CU_ASSERT_PTR_EQUAL(rg_setting_of_key(info->key), info); /* no two have one key */
        two_values(info, texts);
        for (int i = 0; i < 2 && names[i]; i++) {
            struct rg_error e = {0};
            load_full(info, &s);
            CU_ASSERT_EQUAL(set(&s, names[i], texts[0], &e), 0);
            if (rg_type_has_number(&info->type)) {
                CU_ASSERT_EQUAL(rg_type_read(&info->type, texts[0], &number, NULL), 0);
                if (info->store == RG_STORE_FLOAT)
                    number = (float)number;
                CU_ASSERT_EQUAL(rg_setting_number(info, &s), number);
            } else {
                CU_ASSERT_STRING_EQUAL(*rg_setting_text(info, &s), texts[0]);
            }
            CU_ASSERT_EQUAL(s.lines[info - rg_setting_infos], 0);
            CU_ASSERT_EQUAL(set(&s, names[i], "", &e), RG_ERR_INVALID);
            CU_ASSERT_TRUE(complains(&e, NULL, 0, "--set "));
            if (info->type.kind == RG_TYPE_NUMBER) {
                char beyond[60];
                rg_text_shortest(info->type.limit.max * 2, beyond, sizeof beyond);
                CU_ASSERT_EQUAL(set(&s, names[i], beyond, &e), RG_ERR_INVALID);
            }
            rg_scenario_free(&s);
        }
    }
}

static void test_sweeps(void)
{
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        const char *names[] = {info->key, info->older};
        char texts[2][80] = {"", ""}, sweep[400], both[800];
        if (!info->key)
            continue;
        two_values(info, texts);
        for (int i = 0; i < 2 && names[i]; i++) {
            struct rg_scenario s;
            struct rg_error e = {0};
            write_good();
            snprintf(sweep, sizeof sweep, "<sweep key=\"%s\" values=\"%s%s%s\"/>\n", names[i],
                     texts[0], texts[1][0] ? "," : "", texts[1]);
            char *text = replaced(good_scenario, COMMENT, sweep);
            const char *path = scratch_text("sweep.xml", text);
            CU_ASSERT_EQUAL_FATAL(rg_scenario_load(path, &s, &e), 0);
            CU_ASSERT_EQUAL(s.sweep_count, 1);
            CU_ASSERT_STRING_EQUAL(s.sweeps[0].key, names[i]); /* as it is written */
            const struct rg_setting point = {names[i], texts[0], 14};
            if (info->with)
                CU_ASSERT_EQUAL(rg_scenario_set(&s, info->with, &e), 0);
            CU_ASSERT_EQUAL(rg_scenario_apply(&s, &point, 1, &e), 0);
            CU_ASSERT_EQUAL(set(&s, info->key, texts[0], &e), 0);
            CU_ASSERT_EQUAL(s.sweep_count, 0); /* that took its place */
            rg_scenario_free(&s);
            free(text);
            snprintf(both, sizeof both, "%s<sweep key=\"%s\" values=\"%s\"/>", sweep,
                     info->older ? info->older : info->key, texts[0]);
            text = replaced(good_scenario, COMMENT, both);
            path = scratch_text("sweep.xml", text);
            CU_ASSERT_EQUAL(rg_scenario_load(path, &s, &e), RG_ERR_INVALID);
            CU_ASSERT_TRUE(complains(&e, path, 15, "a second <sweep"));
            free(text);
            snprintf(sweep, sizeof sweep, "<sweep key=\"%s\" values=\"%s,\"/>\n", names[i],
                     texts[0]);
            text = replaced(good_scenario, COMMENT, sweep);
            path = scratch_text("sweep.xml", text);
            CU_ASSERT_EQUAL(rg_scenario_load(path, &s, &e), RG_ERR_INVALID);
            CU_ASSERT_TRUE(complains(&e, path, 14, "one of them is empty"));
            free(text);
        }
    }
}

/* What a --set resets. */
static void test_resets(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    load_full(NULL, &s);
    CU_ASSERT_EQUAL(s.clock_count, 3 - 1);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "clock=1e9", &e), 0);
    CU_ASSERT_EQUAL(s.clock_count, 0);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "optimizer=momentum", &e), 0); /* as it is: nothing */
    CU_ASSERT_EQUAL(s.training.optimizer.momentum, 0.5f);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "optimizer=sgd", &e), 0);
    CU_ASSERT_EQUAL(s.training.optimizer.momentum, 0);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "momentum=0.25", &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "--set momentum=0.25: only optimizer=\"momentum\" has"));
    for (int twice = 0; twice < 2; twice++) {
        CU_ASSERT_EQUAL(rg_scenario_set(&s, "optimizer=adam", &e), 0);
        CU_ASSERT_EQUAL(s.training.optimizer.momentum, 0.9f);
    }
    CU_ASSERT_EQUAL(s.training.optimizer.beta2, 0.999f);
    CU_ASSERT_EQUAL(s.training.optimizer.rate, 0.25f);
    CU_ASSERT_EQUAL(rg_scenario_line(&s, &s.stop.accuracy), 15 + 1);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "numerics=skip", &e), 0);
    CU_ASSERT_TRUE(isnan(s.stop.accuracy));
    CU_ASSERT_EQUAL(rg_scenario_line(&s, &s.stop.accuracy), 0);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "accuracy=0.5", &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "only numerics=\"real\" has it"));
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "iterations=7", &e), 0);
    CU_ASSERT_EQUAL(s.training.epochs, 0);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "epochs=3", &e), 0);
    CU_ASSERT_EQUAL(s.training.iterations, 0);
    CU_ASSERT_EQUAL(rg_scenario_set(&s, "seed=5", &e), 0);
    CU_ASSERT_EQUAL(s.data.seed, 5);
    rg_scenario_free(&s);
}

/* A <stop> before the <training> that contradicts it. */
static void test_order(void)
{
    struct rg_scenario s;
    struct rg_error e = {0};
    char *early = replaced(good_scenario, "  <platform", "<stop accuracy=\"0.5\"/>\n  <platform");
    char *text = replaced(early, "  <stop accuracy=\"0.9\"/>\n", "");
    char *bad = replaced(text, "momentum=\"0.5\"", "\nnumerics=\"skip\"");
    CU_ASSERT_EQUAL_FATAL(rg_scenario_load(scratch_text("order.xml", text), &s, &e), 0);
    CU_ASSERT_EQUAL(s.stop.accuracy, 0.5);
    rg_scenario_free(&s);
    const char *path = scratch_text("order.xml", bad);
    CU_ASSERT_EQUAL(rg_scenario_load(path, &s, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, path, 3,
                             "accuracy=\"0.5\" of <stop>: only numerics=\"real\" has it, line 12 "
                             "asks for numerics=\"skip\""));
    free(bad);
    free(text);
    free(early);
    text = replaced(good_scenario, "optimizer=\"momentum\" ", "");
    path = scratch_text("order.xml", text);
    CU_ASSERT_EQUAL(rg_scenario_load(path, &s, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, path, 10,
                             "momentum=\"0.5\" of <training>: only optimizer=\"momentum\" has it, "
                             "line 8 asks for optimizer=\"sgd\""));
    free(text);
}

/* ---- the digest ---- */

static void seal(struct rg_scenario *s, char digest[RG_DIGEST_TEXT])
{
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(rg_scenario_seal(s, &e), 0);
    if (e.code)
        printf("\n    %s\n", e.text);
    memcpy(digest, s->digest, RG_DIGEST_TEXT);
}

/* Every setting that --set or a sweep may change changes the digest. */
static void test_digest_of_keys(void)
{
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        struct rg_scenario s;
        struct rg_error e = {0};
        char texts[2][80] = {"", ""}, digests[3][RG_DIGEST_TEXT];
        if (!info->key)
            continue;
        two_values(info, texts);
        for (int i = 0; i < 2 && info->type.kind == RG_TYPE_FILE; i++)
            scratch_text(strrchr(texts[i], '/') + 1, texts[i]);
        load_full(info, &s);
        seal(&s, digests[0]);
        for (int i = 0; i < 2 && texts[i][0]; i++) {
            CU_ASSERT_EQUAL(set(&s, info->key, texts[i], &e), 0);
            seal(&s, digests[i + 1]);
            for (int k = 0; k <= i; k++) {
                CU_ASSERT_STRING_NOT_EQUAL(digests[i + 1], digests[k]);
                if (strcmp(digests[i + 1], digests[k]) == 0)
                    printf("\n    the digest does not know %s=%s\n", info->key, texts[i]);
            }
        }
        rg_scenario_free(&s);
    }
}

/* So does each of an element that may stand several times, where strategies have their own. */
static void test_digest_of_records(void)
{
    struct rg_scenario s;
    char before[RG_DIGEST_TEXT], after[RG_DIGEST_TEXT];
    load_full(NULL, &s);
    const struct {
        const char *element;
        void *record;
    } records[] = {{"clock", &s.clocks[0]},
                   {"clock", &s.clocks[1]},
                   {"slow", &s.faults.slow.window[0]},
                   {"link", &s.faults.link.window[0]}};
    int count = 0;
    for (size_t i = 0; i < RG_COUNT(records); i++)
        for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
            if (!rg_setting_belongs(info, records[i].element))
                continue;
            for (int k = 0; k < 1 + (info->store == RG_STORE_RANKS); k++) {
                int *rank = (int *)((char *)records[i].record + info->at) + k;
                double was = rg_setting_number(info, records[i].record);
                seal(&s, before);
                if (info->store == RG_STORE_RANKS)
                    ++*rank;
                else
                    rg_setting_store(info, records[i].record, isinf(was) ? 7 : was / 2 + 3);
                seal(&s, after);
                count++;
                CU_ASSERT_STRING_NOT_EQUAL(before, after);
                if (strcmp(before, after) == 0)
                    printf("\n    the digest does not know %s of <%s>\n", info->name,
                           records[i].element);
            }
        }
    CU_ASSERT_EQUAL(count, 2 * 3 + 2 * 5);
    rg_scenario_free(&s);
}

/* Results hold the digest and are compared by it: what it is made of is what it always was. */
static void test_digest_bytes(void)
{
    static const char *const values[] = {"seed",
                                         "0x1.cp+2",
                                         "nodes",
                                         "0x0p+0",
                                         "batch",
                                         "0x1.4p+3",
                                         "epochs",
                                         "0x1p+1",
                                         "iterations",
                                         "0x0p+0",
                                         "optimizer",
                                         "0x1p+0",
                                         "learning-rate",
                                         "0x1p-2",
                                         "momentum",
                                         "0x1p-1",
                                         "numerics",
                                         "0x1p+0",
                                         "threads",
                                         "0x1p+0",
                                         "clock",
                                         "0x0p+0",
                                         "link-rate",
                                         "0x1p+0",
                                         "key-byte-s",
                                         "0x0p+0",
                                         "stop",
                                         "0x1.ccccccccccccdp-1", /* 0.9 */
                                         "data",
                                         "0x1p+2",
                                         "train",
                                         "0x1.ep+6",
                                         "test",
                                         "0x1.ep+4",
                                         "inputs",
                                         "0x1p+2",
                                         "classes",
                                         "0x1.8p+1",
                                         "clock of",
                                         "0x0p+0",
                                         "to",
                                         "0x1p+0",
                                         "hz",
                                         "0x1.dcd65p+28", /* 5e8 */
                                         "clock of",
                                         "0x1.8p+1",
                                         "to",
                                         "0x1.8p+1",
                                         "hz",
                                         "0x1.1e1a3p+29",
                                         "slow",
                                         "0x0p+0",
                                         "to",
                                         "0x0p+0",
                                         "from s",
                                         "0x1p+0",
                                         "to s",
                                         "0x1p+1",
                                         "factor",
                                         "0x1p-1",
                                         "link",
                                         "0x1p+0",
                                         "to",
                                         "0x1p+0",
                                         "from s",
                                         "0x0p+0",
                                         "to s",
                                         "inf",
                                         "factor",
                                         "0x1p-2",
                                         "spread",
                                         "0x1p-3",
                                         "overlap",
                                         "",
                                         "strategy",
                                         "one",
                                         "kind",
                                         "single",
                                         "strategy",
                                         "ring 1+1",
                                         "kind",
                                         "ring_pipeline",
                                         "micro-batches",
                                         "5",
                                         "schedule",
                                         "gpipe"};
    struct rg_scenario s;
    char digest[RG_DIGEST_TEXT], expected[RG_DIGEST_TEXT];
    load_full(NULL, &s);
    seal(&s, digest);
    struct rg_digest *by_hand = rg_digest_new();
    rg_digest_add(by_hand, "files", sizeof "files");
    rg_digest_add(by_hand, s.files_digest, strlen(s.files_digest) + 1);
    for (size_t i = 0; i < RG_COUNT(values); i++)
        rg_digest_add(by_hand, values[i], strlen(values[i]) + 1);
    rg_digest_end(by_hand, expected);
    CU_ASSERT_STRING_EQUAL(digest, expected);
    rg_scenario_free(&s);
}

static const struct suite_test tests[] = {
    {"--set takes every key", test_keys},       {"sweeps take every key", test_sweeps},
    {"what a --set resets", test_resets},       {"elements in any order", test_order},
    {"digest: every key", test_digest_of_keys}, {"digest: every record", test_digest_of_records},
    {"digest: its bytes", test_digest_bytes},
};

int main(int argc, char **argv)
{
    return suite_main("settings", tests, RG_COUNT(tests), argc, argv);
}
