#include "node/copies.h"

#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rg_copies_free(struct rg_copies *copies)
{
    for (int i = 0; i < copies->count; i++)
        free(copies->list[i].values);
    free(copies->list);
    free(copies->points);
    *copies = (struct rg_copies){0};
}

int rg_copies_add(struct rg_copies *copies, int64_t done, const struct rg_state_array *array,
                  const float *values)
{
    size_t bytes = array->count * sizeof *values;
    struct rg_copy *more = realloc(copies->list, ((size_t)copies->count + 1) * sizeof *more);
    struct rg_copy copy = {.name = {.done = done, .first = array->first, .count = array->count}};
    if (more)
        copies->list = more;
    if (values)
        copy.values = malloc(bytes + 1);
    if (!more || (values && !copy.values)) {
        free(copy.values);
        return RG_ERR_NOMEM;
    }
    if (values)
        memcpy(copy.values, values, bytes);
    rg_copy_text(copy.name.name, sizeof copy.name.name, array->name);
    more[copies->count++] = copy;
    return 0;
}

int rg_copies_add_point(struct rg_copies *copies, const struct rg_run_point *point)
{
    struct rg_run_point *more =
        realloc(copies->points, ((size_t)copies->point_count + 1) * sizeof *more);
    if (!more)
        return RG_ERR_NOMEM;
    copies->points = more;
    more[copies->point_count++] = *point;
    return 0;
}

void rg_copies_keep(struct rg_copies *copies, int64_t done)
{
    int count = 0;
    for (int i = 0; i < copies->count; i++) {
        if (copies->list[i].name.done == done)
            copies->list[count++] = copies->list[i];
        else
            free(copies->list[i].values);
    }
    copies->count = count;
}

void rg_copies_keep_points(struct rg_copies *copies, int64_t done)
{
    while (copies->point_count > 0 && copies->points[copies->point_count - 1].iteration > done)
        copies->point_count--;
}

/* ---- what is whole ---- */

static bool has(const struct rg_copy_name *had, int64_t done, const char *name, uint64_t at)
{
    return had->done == done && at >= had->first && at - had->first < had->count &&
           strcmp(had->name, name) == 0;
}

bool rg_copies_cover(const struct rg_copies *copies, int64_t done,
                     const struct rg_state_array *array)
{
    bool covered = false;
    for (int i = 0; i < copies->count && !covered; i++) {
        const struct rg_copy_name *had = &copies->list[i].name;
        covered = has(had, done, array->name, array->first) &&
                  array->count <= had->first + had->count - array->first;
    }
    return covered;
}

int rg_copies_find(const struct rg_copy_name *had, const int *by, int had_count, int64_t done,
                   const char *name, uint64_t at, int prefer)
{
    int found = -1;
    for (int i = 0; i < had_count; i++)
        if (has(&had[i], done, name, at) && (found < 0 || (by && by[i] == prefer))) {
            found = i;
            if (!by || by[i] == prefer)
                break;
        }
    return found;
}

static bool is_whole(const struct rg_copy_name *had, int had_count,
                     const struct rg_copy_name *wanted, int wanted_count, int64_t done)
{
    for (int w = 0; w < wanted_count; w++) {
        uint64_t at = wanted[w].first, end = at + wanted[w].count;
        while (at < end) {
            int i = rg_copies_find(had, NULL, had_count, done, wanted[w].name, at, 0);
            if (i < 0)
                return false;
            at = had[i].first + had[i].count;
        }
    }
    return true;
}

int64_t rg_copies_newest(const struct rg_copy_name *had, int had_count,
                         const struct rg_copy_name *wanted, int wanted_count, int64_t most)
{
    int64_t newest = -1;
    for (int i = 0; i < had_count; i++)
        if (had[i].done > newest && had[i].done <= most &&
            is_whole(had, had_count, wanted, wanted_count, had[i].done))
            newest = had[i].done;
    return newest;
}

/* ---- to another process ---- */

struct head {
    int count, point_count;
    uint32_t plan;
};

int rg_copies_encode(const struct rg_copies *copies, unsigned char **bytes, size_t *size)
{
    const struct head head = {copies->count, copies->point_count, copies->plan};
    char *text = NULL;
    FILE *stream = open_memstream(&text, size);
    if (!stream)
        return RG_ERR_NOMEM;
    fwrite(&head, sizeof head, 1, stream);
    if (head.point_count > 0)
        fwrite(copies->points, sizeof *copies->points, (size_t)head.point_count, stream);
    for (int i = 0; i < copies->count; i++) {
        const struct rg_copy *copy = &copies->list[i];
        uint64_t given = copy->values ? copy->name.count : 0;
        fwrite(&copy->name, sizeof copy->name, 1, stream);
        fwrite(&given, sizeof given, 1, stream);
        if (given > 0)
            fwrite(copy->values, sizeof *copy->values, (size_t)given, stream);
    }
    bool failed = ferror(stream);
    failed = fclose(stream) != 0 || failed;
    *bytes = (unsigned char *)text;
    if (!failed)
        return 0;
    free(text);
    *bytes = NULL;
    return RG_ERR_NOMEM;
}

/* The next bytes, into `to`; false: there are not so many. */
static bool take(const unsigned char **at, const unsigned char *end, void *to, size_t bytes)
{
    if ((size_t)(end - *at) < bytes)
        return false;
    if (bytes > 0)
        memcpy(to, *at, bytes);
    *at += bytes;
    return true;
}

int rg_copies_decode(const unsigned char *bytes, size_t size, struct rg_copies *copies)
{
    const unsigned char *at = bytes, *end = bytes + size;
    struct head head;
    *copies = (struct rg_copies){0};
    if (!take(&at, end, &head, sizeof head))
        return RG_ERR_PROTOCOL;
    copies->plan = head.plan;
    int result = 0;
    for (int i = 0; i < head.point_count && result == 0; i++) {
        struct rg_run_point point;
        result = take(&at, end, &point, sizeof point) ? rg_copies_add_point(copies, &point)
                                                      : RG_ERR_PROTOCOL;
    }
    for (int i = 0; i < head.count && result == 0; i++) {
        struct rg_copy_name name;
        uint64_t given = 0;
        if (!take(&at, end, &name, sizeof name) || !take(&at, end, &given, sizeof given) ||
            (given > 0 && given != name.count))
            result = RG_ERR_PROTOCOL;
        const struct rg_state_array array = {
            .name = name.name, .first = (size_t)name.first, .count = (size_t)name.count};
        if (result == 0)
            result = rg_copies_add(copies, name.done, &array, NULL);
        struct rg_copy *copy = result == 0 ? &copies->list[copies->count - 1] : NULL;
        if (copy && given > 0) {
            copy->values = malloc((size_t)given * sizeof *copy->values);
            if (!copy->values)
                result = RG_ERR_NOMEM;
            else if (!take(&at, end, copy->values, (size_t)given * sizeof *copy->values))
                result = RG_ERR_PROTOCOL;
        }
    }
    if (result)
        rg_copies_free(copies);
    return result;
}
