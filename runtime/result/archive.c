/* Results that were read back: their life, and joining parts of one.
 *
 * Failure modes handled: parts that do not belong together, runs that are there twice or missing.
 */
#include "result/result.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

void rg_archive_free(struct rg_archive *archive)
{
    for (int i = 0; i < archive->run_count; i++)
        rg_run_free(&archive->runs[i]);
    free(archive->runs);
    free(archive->places);
    *archive = (struct rg_archive){0};
}

struct rg_result rg_archive_result(const struct rg_archive *archive)
{
    bool all = archive->run_count == archive->total;
    return (struct rg_result){.tool = archive->tool,
                              .world = archive->world,
                              .scenario = archive->scenario,
                              .scenario_sha256 = archive->digest[0] ? archive->digest : NULL,
                              .seed = archive->seed,
                              .runs = archive->runs,
                              .run_count = archive->run_count,
                              .total = archive->total,
                              .places = all ? NULL : archive->places};
}

static int check_alike(const struct rg_archive *a, const char *path_a, const struct rg_archive *b,
                       const char *path_b, struct rg_error *e)
{
    const char *what = NULL;
    if (strcmp(a->digest, b->digest) != 0 || a->digest[0] == '\0')
        what = "scenarios (or options, or files that they name)";
    else if (strcmp(a->tool, b->tool) != 0 || strcmp(a->version, b->version) != 0)
        what = "programs or versions";
    else if (a->total != b->total)
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

/* owner[place]: the part that holds that run. */
static int find_owners(const struct rg_archive *parts, const char *const *paths, int count,
                       int *owner, struct rg_error *e)
{
    int have = 0, total = parts[0].total;
    for (int p = 0; p < count; p++) {
        int err = check_alike(&parts[0], paths[0], &parts[p], paths[p], e);
        for (int i = 0; i < parts[p].run_count && err == 0; i++, have++) {
            int place = parts[p].places[i];
            if (owner[place] >= 0)
                return rg_fail(e, RG_ERR_INVALID,
                               "run %d of %d (%.64s) is both in %.120s and in %.120s", place + 1,
                               total, parts[p].runs[i].label, paths[owner[place]], paths[p]);
            owner[place] = p;
        }
        if (err)
            return err;
    }
    if (have == total)
        return 0;
    char missing[120];
    list_missing(owner, total, missing, sizeof missing);
    return rg_fail(e, RG_ERR_INVALID, "%d of %d runs are missing in the parts: %s", total - have,
                   total, missing);
}

int rg_archive_merge(struct rg_archive *parts, const char *const *paths, int count,
                     struct rg_archive *whole, struct rg_error *e)
{
    int total = parts[0].total;
    int *owner = malloc(((size_t)total + 1) * sizeof *owner);
    *whole = parts[0];
    whole->run_count = 0;
    whole->runs = calloc((size_t)total + 1, sizeof *whole->runs);
    whole->places = calloc((size_t)total + 1, sizeof *whole->places);
    int err = 0;
    if (!owner || !whole->runs || !whole->places)
        err = rg_fail(e, RG_ERR_NOMEM, "--merge: out of memory");
    for (int i = 0; i < total && err == 0; i++)
        owner[i] = -1;
    if (err == 0)
        err = find_owners(parts, paths, count, owner, e);
    free(owner);
    if (err) {
        free(whole->runs);
        free(whole->places);
        *whole = (struct rg_archive){0};
        return err;
    }
    for (int p = 0; p < count; p++) {
        for (int i = 0; i < parts[p].run_count; i++)
            whole->runs[parts[p].places[i]] = parts[p].runs[i];
        parts[p].run_count = 0; /* they are the whole's now */
    }
    for (int i = 0; i < total; i++)
        whole->places[i] = i;
    whole->run_count = total;
    return 0;
}
