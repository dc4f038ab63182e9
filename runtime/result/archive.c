/* Result files: reading them back, and joining parts of one.
 *
 * Failure modes handled: files that cannot be read or hold no result, or a damaged one; parts that
 * do not belong together, runs that are there twice or missing. */
#include "result/result_read.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static int complain(struct rg_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int complain(struct rg_error *e, const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rg_one_line(text);
    return rg_fail(e, RG_ERR_PROTOCOL, "%s", text);
}

/* A file without a part has all runs; else its places rise, and there is one for each run. */
static const char *fill_places(struct rg_result *result)
{
    struct rg_result_part *part = &result->part;
    bool given = part->known;
    if (!given) {
        part->of_runs = part->count = result->run_count;
        part->places = calloc((size_t)part->count + 1, sizeof *part->places);
        if (!part->places)
            return "memory";
    }
    if (part->count != result->run_count)
        return "places";
    for (int i = 0; i < part->count; i++) {
        int least = i > 0 ? part->places[i - 1] + 1 : 0;
        if (!given)
            part->places[i] = i;
        else if (part->places[i] < least || part->places[i] >= part->of_runs)
            return "places";
    }
    part->known = part->count < part->of_runs;
    return part->of_runs <= RG_RESULT_RUNS ? NULL : "of_runs";
}

/* Which runs are as the file's own digests have them. */
static void look_at_seals(const json_t *root, struct rg_result *result)
{
    const json_t *runs = json_object_get(root, "runs");
    const json_t *digests = json_object_get(json_object_get(root, "host"), "runs_sha256");
    for (int i = 0; i < result->run_count; i++) {
        const char *there = json_string_value(json_array_get(digests, (size_t)i));
        char *here = there ? rg_json_sha256(json_array_get(runs, (size_t)i)) : NULL;
        result->runs[i].sealed = here && strcmp(here, there) == 0;
        free(here);
    }
}

static int read_result(const json_t *root, const char *path, struct rg_result *result,
                       struct rg_error *e)
{
    const char *schema = json_string_value(json_object_get(root, "schema"));
    struct rg_error why = {0};
    if (!schema || strcmp(schema, RG_RESULT_SCHEMA) != 0)
        return complain(e, "%.200s: is no result of RingTMP (schema %s)", path, RG_RESULT_SCHEMA);
    if (!rg_record_read(&rg_result_record, result, root, &why))
        return complain(e, "%.200s: is missing or wrong: %.100s", path, why.text);
    look_at_seals(root, result);
    const char *fault = fill_places(result);
    return fault ? complain(e, "%.200s: is wrong: \"%s\"", path, fault) : 0;
}

int rg_result_read(const char *path, struct rg_result *result, struct rg_error *e)
{
    json_error_t error;
    rg_record_init(&rg_result_record, result);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return error.line > 0
                   ? complain(e, "%.200s:%d: is no result: %.200s", path, error.line, error.text)
                   : complain(e, "%.200s: cannot be read: %s", path, strerror(errno));
    int err = read_result(root, path, result, e);
    json_decref(root);
    if (err)
        rg_result_free(result);
    return err;
}

/* ---- joining ---- */

static int check_alike(const struct rg_result *a, const char *path_a, const struct rg_result *b,
                       const char *path_b, struct rg_error *e)
{
    const char *what = NULL;
    if (strcmp(a->scenario_sha256, b->scenario_sha256) != 0 || a->scenario_sha256[0] == '\0')
        what = "scenarios (or options, or files that they name)";
    else if (strcmp(a->tool, b->tool) != 0 || strcmp(a->version, b->version) != 0)
        what = "programs or versions";
    else if (a->part.of_runs != b->part.of_runs)
        what = "numbers of runs";
    else if (strcmp(a->world, b->world) != 0 || strcmp(a->scenario, b->scenario) != 0 ||
             a->seed != b->seed)
        what = "worlds, names or seeds";
    if (!what)
        return 0;
    return rg_fail(e, RG_ERR_INVALID,
                   "%.160s and %.160s are of different %s: parts of one are wanted", path_a, path_b,
                   what);
}

/* "3, 4, 7 and 12 more": the first few places that nobody holds. */
static void list_missing(const int *owner, int total, char *text, size_t size)
{
    int missing = 0;
    text[0] = '\0';
    for (int i = 0; i < total; i++) {
        size_t used = strlen(text);
        if (owner[i] < 0 && missing++ < 5)
            snprintf(text + used, size - used, "%s%d", missing > 1 ? ", " : "", i + 1);
    }
    size_t used = strlen(text);
    if (missing > 5)
        snprintf(text + used, size - used, " and %d more", missing - 5);
}

/* The N of --shard K/N, as the parts have it: every one has each Nth run from its first, or fewer
 * where it was interrupted, and then a multiple of N may be found, which serves as well. */
static int find_stride(const struct rg_result *parts, int count, int total)
{
    int stride = 0;
    for (int p = 0; p < count; p++)
        for (int i = 1; i < parts[p].run_count; i++) {
            int step = parts[p].part.places[i] - parts[p].part.places[i - 1];
            while (step != 0) { /* Euclid's */
                int rest = stride % step;
                stride = step;
                step = rest;
            }
        }
    /* parts of one run each; or one that was no part, but interrupted */
    return stride > 1 || (stride == 1 && count == 1) ? stride : total;
}

/* The first of the commands that make what nobody holds: a part anew, or the rest of one. */
static void name_command(const struct rg_result *parts, const char *const *paths, int count,
                         const int *owner, char *text, size_t size)
{
    int total = parts[0].part.of_runs, stride = find_stride(parts, count, total);
    int first = -1, holder = -1, shards = 0;
    for (int shard = 0; shard < stride; shard++) {
        int missing = 0, held = -1;
        for (int place = shard; place < total; place += stride) {
            missing += owner[place] < 0;
            held = owner[place] >= 0 ? owner[place] : held;
        }
        if (missing == 0)
            continue;
        if (shards++ == 0) {
            first = shard;
            holder = held;
        }
    }
    snprintf(text, size, "ringsim SCENARIO.xml --shard %d/%d %s--json %.120s makes %s", first + 1,
             stride, holder >= 0 ? "--resume " : "", holder >= 0 ? paths[holder] : "FILE",
             shards == 1 ? "them" : "the first part of them");
}

/* A run that two parts hold, perhaps of two engines. */
static int refuse_twice(const struct rg_result *parts, const char *const *paths, int first,
                        int second, int place, struct rg_error *e)
{
    const struct rg_run *run[2];
    char engines[80] = "";
    for (int k = 0; k < 2; k++) {
        const struct rg_result *part = &parts[k ? second : first];
        int i = 0;
        while (part->part.places[i] != place)
            i++;
        run[k] = &part->runs[i];
    }
    if (strcmp(run[0]->engine.name, run[1]->engine.name) != 0)
        snprintf(engines, sizeof engines, ", simulated by different engines, %s and %s",
                 run[0]->engine.name, run[1]->engine.name);
    return rg_fail(e, RG_ERR_INVALID, "run %d of %d (%.64s) is both in %.120s and in %.120s%s",
                   place + 1, parts[0].part.of_runs, run[1]->label, paths[first], paths[second],
                   engines);
}

/* owner[place]: the part that holds that run. */
static int find_owners(const struct rg_result *parts, const char *const *paths, int count,
                       int *owner, struct rg_error *e)
{
    int have = 0, total = parts[0].part.of_runs;
    for (int p = 0; p < count; p++) {
        int err = check_alike(&parts[0], paths[0], &parts[p], paths[p], e);
        for (int i = 0; i < parts[p].run_count && err == 0; i++, have++) {
            int place = parts[p].part.places[i];
            if (owner[place] >= 0)
                return refuse_twice(parts, paths, owner[place], p, place, e);
            owner[place] = p;
        }
        if (err)
            return err;
    }
    if (have == total)
        return 0;
    char missing[120], command[240];
    list_missing(owner, total, missing, sizeof missing);
    name_command(parts, paths, count, owner, command, sizeof command);
    return rg_fail(e, RG_ERR_INVALID,
                   "%d of %d runs are missing in the parts: %s; with the scenario and options of "
                   "the others, %s",
                   total - have, total, missing, command);
}

int rg_result_merge(struct rg_result *parts, const char *const *paths, int count,
                    struct rg_result *whole, struct rg_error *e)
{
    int total = parts[0].part.of_runs;
    int *owner = malloc(((size_t)total + 1) * sizeof *owner);
    *whole = parts[0];
    parts[0].data_notes = NULL; /* the whole's now */
    parts[0].note_count = 0;
    whole->part = (struct rg_result_part){.of_runs = total};
    whole->run_count = 0;
    whole->runs = calloc((size_t)total + 1, sizeof *whole->runs);
    int err = 0;
    if (!owner || !whole->runs)
        err = rg_fail(e, RG_ERR_NOMEM, "--merge: out of memory");
    for (int i = 0; i < total && err == 0; i++)
        owner[i] = -1;
    if (err == 0)
        err = find_owners(parts, paths, count, owner, e);
    free(owner);
    if (err) {
        rg_result_free(whole);
        return err;
    }
    for (int p = 0; p < count; p++) {
        for (int i = 0; i < parts[p].run_count; i++)
            whole->runs[parts[p].part.places[i]] = parts[p].runs[i];
        parts[p].run_count = 0; /* they are the whole's now */
    }
    whole->run_count = total;
    return 0;
}
