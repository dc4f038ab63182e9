/* Results read back from files: whole, in parts, damaged, of other versions. */
#include "result_fixture.h"
#include "scratch.h"

#include "base/check.h"

#include <math.h>

static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* Those of the three runs whose bit is set, as a file. */
static const char *write_part(struct rg_result result, int which, const char *name)
{
    static struct rg_run kept[8][3];
    static int places[8][3];
    int count = 0;
    for (int i = 0; i < 3; i++)
        if (which & 1 << i) {
            kept[which][count] = result.runs[i];
            places[which][count++] = i;
        }
    strcpy(result.scenario_sha256, digest);
    result.runs = kept[which];
    result.run_count = count;
    result.part = (struct rg_result_part){count < 3, 3, places[which], count};
    char *text = printed(&result, print_json);
    const char *path = scratch_text(name, text);
    free(text);
    return path;
}

/* With the host that make_result gives, it is what the file holds. */
static void check_archive(const struct rg_result *archive, const struct rg_result_host *host,
                          const char *path)
{
    struct rg_result result = *archive;
    result.host = *host;
    char *wanted = read_text(path), *got = printed(&result, print_json);
    CU_ASSERT_STRING_EQUAL(got, wanted);
    free(wanted);
    free(got);
}

static void test_archive(void)
{
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    for (int which = 0; which < 8; which++) {
        struct rg_result archive;
        struct rg_error e = {0};
        const char *path = write_part(result, which, "part.json");
        CU_ASSERT_EQUAL_FATAL(rg_result_read(path, &archive, &e), 0);
        CU_ASSERT_EQUAL(archive.part.of_runs, 3);
        CU_ASSERT_STRING_EQUAL(archive.scenario_sha256, digest);
        check_archive(&archive, &result.host, path);
        rg_result_free(&archive);
    }
    free_runs(runs);
}

/* Parts in any order give the whole; parts[i] is a set of runs, 0 ends them. */
static int merge(struct rg_result result, const int *sets, struct rg_result *whole,
                 struct rg_error *e)
{
    struct rg_result parts[4];
    const char *paths[4] = {NULL};
    int count = 0, err = 0;
    for (; sets[count]; count++) {
        char name[32];
        snprintf(name, sizeof name, "part-%d-%d.json", count, sets[count]);
        paths[count] = write_part(result, sets[count], name);
        CU_ASSERT_EQUAL_FATAL(rg_result_read(paths[count], &parts[count], e), 0);
    }
    err = rg_result_merge(parts, paths, count, whole, e);
    for (int i = 0; i < count; i++)
        rg_result_free(&parts[i]);
    return err;
}

static void test_merge(void)
{
    static const int good[][4] = {{1, 2, 4}, {4, 1, 2}, {5, 2}, {2, 5}, {7}};
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    struct rg_result whole;
    struct rg_error e = {0};
    const char *path = write_part(result, 7, "whole.json");
    for (size_t i = 0; i < RG_COUNT(good); i++) {
        CU_ASSERT_EQUAL_FATAL(merge(result, good[i], &whole, &e), 0);
        check_archive(&whole, &result.host, path);
        rg_result_free(&whole);
    }
    CU_ASSERT_EQUAL(merge(result, (const int[]){1, 2, 0}, &whole, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "1 of 3 runs|missing|3"));
    CU_ASSERT_EQUAL(merge(result, (const int[]){3, 6, 0}, &whole, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, NULL, 0, "run 2 of 3|both in|part-0-3|part-1-6"));
    free_runs(runs);
}

static void test_archive_damage(void)
{
    static const struct {
        const char *from, *to, *words;
    } bad[] = {
        {"ringtmp-result-1", "ringtmp-result-9", "no result"},
        {"\"places\": [0,2]", "\"places\": [2,0]", "places"},
        {"\"places\": [0,2]", "\"places\": [0,3]", "places"},
        {"\"places\": [0,2]", "\"places\": [0]", "places"},
        {"\"runs\": [", "\"runs\": [{},", "run 1"},
        {"\"status\": \"failed\"", "\"status\": \"gone\"", "run 2|status"},
        {"\"seed\": ", "\"seed\": -", "seed"},
        {"\"nodes\": 2", "\"nodes\": -2", "run 1|nodes"},
        {"\"nodes\": 2", "\"nodes\": \"2\"", "run 1|nodes"},
        {"\"nodes\": 2", "\"nodes\": 2147483648", "run 1|nodes"},
        {"\"status\": \"ok\"", "\"status\": 1", "run 1|status"},
        {"\"training\": [", "\"training\": [1,", "run 1|iteration"},
        {"\"rank\": 0", "\"host\": 0", "duplicate"},
        {"\"T_A_s\"", "\"TAs\"", "run 1|T_A_s"},
        {"\"iterations\": 123", "\"iterations\": 9e9, \"i\": 123", "run 1|iterations"},
        {"\"overlap\": true", "\"overlap\": 1", "run 1|overlap"},
        {"\"weights_sha256\": \"", "\"weights_sha256\": \"a", "run 1|weights_sha256"},
        {"\"error\": null", "\"error\": 3", "run 1|error"},
        {"\"late_receives\": 2", "\"late_receives\": 2.5", "run 1|late_receives"},
        {"\"wire_bytes\": ", "\"wire_bytes\": true, \"wires\": ", "run 1|wire_bytes"},
        {"micro-batches\": \"007\"", "micro-batches\": 7", "run 1|sweep"},
        {"\"sweep\": {}", "\"sweep\": null", "run 2|sweep"},
        {"\"params\": {", "\"params\": 3, \"parameters\": {", "run 1|params"},
        {"\"formula\": {", "\"formula\": true, \"formulae\": {", "run 1|formula"},
        {"\"numerics\": \"", "\"numerics\": \"un", "run 1|numerics"},
        {"\"time_s\": ", "\"time_s\": -", "run 1|time_s"},
        {"\"label\": \"", "\"label\": null, \"labels\": \"", "run 1|label"},
        {"\"of_runs\": 3", "\"of_runs\": 2147483647", "of_runs"},
        {"{", "[", "is no result"},
    };
    struct rg_run runs[3];
    struct rg_result result = make_result(runs);
    char *good = read_text(write_part(result, 5, "good.json"));
    for (size_t i = 0; i < RG_COUNT(bad); i++) {
        struct rg_result archive;
        struct rg_error e = {0};
        char *text = replaced(good, bad[i].from, bad[i].to);
        CU_ASSERT_TRUE(rg_result_read(scratch_text("bad.json", text), &archive, &e) < 0);
        CU_ASSERT_TRUE(complains(&e, NULL, 0, bad[i].words) && strstr(e.text, "bad.json"));
        free(text);
    }
    struct rg_result archive;
    struct rg_error e = {0};
    CU_ASSERT_TRUE(rg_result_read(scratch_path("none.json"), &archive, &e) < 0);
    CU_ASSERT_TRUE(complains(&e, scratch_path("none.json"), 0, "No such file"));
    free(good);
    free_runs(runs);
}

/* Results of before nodes had meters and clocks, and of after: a meter, a field that nobody knows.
 */
static void test_other_versions(void)
{
    static const char *const changes[][2] = {
        {"\"energy_source\": \"model\"", "\"energy_source\": \"fuel-gauge\""},
        {"\"source\": \"ina2xx\"", "\"source\": \"fuel-gauge\""},
        {"\"sample_J\": ", "\"sample_joules\": "},
        {"\"meter\": {", "\"meters\": {"},
        {"\"clock\": {", "\"clocks\": {"},
        {"\"scenario_sha256\": ", "\"scenario_md5\": "},
    };
    struct rg_run runs[3];
    struct rg_result result = make_result(runs), back;
    char *text = read_text(write_part(result, 7, "good.json"));
    for (size_t i = 0; i < RG_COUNT(changes); i++) {
        char *changed = replaced(text, changes[i][0], changes[i][1]);
        struct rg_error e = {0};
        CU_ASSERT_EQUAL_FATAL(rg_result_read(scratch_text("changed.json", changed), &back, &e), 0);
        back.host = result.host;
        char *again = printed(&back, print_json);
        CU_ASSERT_EQUAL(strcmp(again, changed) == 0, i < 2); /* a name is kept */
        CU_ASSERT_TRUE(i != 2 || isnan(back.runs[0].sample_J));
        CU_ASSERT_TRUE(i != 3 || !back.runs[0].meter.known);
        CU_ASSERT_TRUE(i != 4 || !back.runs[0].per_node[1].clock.known);
        CU_ASSERT_TRUE(i != 5 || !back.scenario_sha256[0]);
        rg_result_free(&back);
        free(again);
        free(changed);
    }
    free(text);
    free_runs(runs);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"results read back to the same bytes", test_archive},
        {"parts make the whole, whatever their order", test_merge},
        {"results: damage is noticed", test_archive_damage},
        {"results of other versions, and of a meter without a name here", test_other_versions},
    };
    return suite_main("results read back", tests, RG_COUNT(tests), argc, argv);
}
