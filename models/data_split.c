/* Which rows train and which test. */
#include "models/data.h"

#include "base/check.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

enum { UNSEEN_NOTES = 16 };

/* A run of the work: rows in some order. */
struct list {
    uint32_t *row;
    uint32_t count;
};

static int no_memory(const struct rg_rows *rows, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", rows->file);
}

/* Where a sample stands in its class, as a fraction: sorted by it, every prefix of the samples
 * holds the classes in their proportions, to within one sample each. */
struct place {
    double fraction;
    int label;
    uint32_t row;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    if (p->fraction != q->fraction)
        return p->fraction < q->fraction ? -1 : 1;
    return p->label - q->label;
}

static int label_of(const struct rg_rows *rows, uint32_t row)
{
    return rows->labels ? rows->labels[row] : 0;
}

/* Into an order drawn from the seed, every prefix of which holds the classes in proportion. */
static int stratify(const struct rg_rows *rows, uint64_t seed, struct list *list,
                    struct rg_error *e)
{
    uint32_t n = list->count, *order = malloc((n + 1) * sizeof *order);
    size_t classes = rows->labels ? (size_t)rows->classes : 1;
    uint32_t *count = calloc(classes, sizeof *count), *seen = calloc(classes, sizeof *seen);
    struct place *places = malloc((n + 1) * sizeof *places);
    struct rg_random *random = rg_random_new(seed, RG_STREAM_DATA, 0);
    int err = order && count && seen && places && random ? 0 : no_memory(rows, e);
    if (err == 0) {
        rg_random_permutation(random, order, n);
        for (uint32_t i = 0; i < n; i++)
            count[label_of(rows, list->row[i])]++;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t row = list->row[order[i]];
            int label = label_of(rows, row);
            double fraction = (seen[label]++ + 0.5) / count[label];
            places[i] = (struct place){fraction, label, row};
        }
        qsort(places, n, sizeof *places, compare_places);
        for (uint32_t i = 0; i < n; i++)
            list->row[i] = places[i].row;
    }
    rg_random_free(random);
    free(places);
    free(seen);
    free(count);
    free(order);
    return err;
}

/* Of one file: `train` and `test` samples of `total`. */
static int count_together(const struct rg_data_spec *spec, const struct rg_rows *rows,
                          struct rg_dataset *data, struct rg_error *e)
{
    long train = spec->train, test = spec->test, total = rows->count;
    if (train < 0 || test < 0 || train + test > total || train >= total || test >= total)
        return rg_data_fail(spec, e,
                            "train=\"%ld\" test=\"%ld\": %s holds %ld samples%s; both need at "
                            "least one, and together no more than that",
                            train, test, rows->file, total, rows->heading ? rows->heading : "");
    if (test == 0)
        test = train > 0 ? total - train : RG_MAX(total / 5, 1);
    if (train == 0)
        train = total - test;
    if (train == 0)
        return rg_data_fail(spec, e, "%s holds %ld sample: at least 2 are needed", rows->file,
                            total);
    data->train = (int)train;
    data->test = (int)test;
    return 0;
}

/* Of two parts that are apart already. */
static int count_apart(const struct rg_data_spec *spec, const struct rg_rows *rows, uint32_t train,
                       uint32_t test, const char *what, struct rg_dataset *data, struct rg_error *e)
{
    if (spec->train < 0 || spec->test < 0 || (uint32_t)spec->train > train ||
        (uint32_t)spec->test > test || train == 0 || test == 0)
        return rg_data_fail(spec, e,
                            "train=\"%d\" test=\"%d\": %s has %u samples to train and %u to test "
                            "%s; no more than that, and one of each, are allowed",
                            spec->train, spec->test, rows->file, train, test, what);
    data->train = spec->train > 0 ? spec->train : (int)train;
    data->test = spec->test > 0 ? spec->test : (int)test;
    return 0;
}

/* Groups in an order drawn from the seed, until they hold enough rows to test; the last one stays
 * for training in any case. in_test [groups]. */
static int draw_groups(const struct rg_data_spec *spec, const struct rg_rows *rows, int groups,
                       bool *in_test, struct rg_error *e)
{
    uint32_t *order = malloc((size_t)groups * sizeof *order), *size = calloc((size_t)groups, 4);
    struct rg_random *random = rg_random_new(spec->seed, RG_STREAM_DATA, 0);
    int err = order && size && random ? 0 : no_memory(rows, e);
    if (err == 0) {
        uint32_t wanted = spec->test > 0 ? (uint32_t)spec->test
                          : spec->train > 0
                              ? rows->count - RG_MIN((uint32_t)spec->train, rows->count)
                              : rows->count / 5;
        for (uint32_t i = 0; i < rows->count; i++)
            size[rows->groups[i]]++;
        rg_random_permutation(random, order, (uint32_t)groups);
        uint32_t got = 0;
        for (int i = 0; i + 1 < groups && (i == 0 || got < wanted); i++) {
            in_test[order[i]] = true;
            got += size[order[i]];
        }
    }
    rg_random_free(random);
    free(size);
    free(order);
    return err;
}

/* Rows [first, end) of one part, or where in_test is given, those whose group is or is not in it.
 */
static struct list rows_of(const struct rg_rows *rows, uint32_t first, uint32_t end,
                           const bool *in_test, bool test, uint32_t *room)
{
    struct list list = {room, 0};
    for (uint32_t i = first; i < end; i++)
        if (!in_test || in_test[rows->groups[i]] == test)
            list.row[list.count++] = i;
    return list;
}

static void use(const struct list *list, uint32_t from, uint32_t count, uint32_t index,
                uint32_t *place)
{
    for (uint32_t i = 0; i < count; i++)
        place[list->row[from + i]] = index + i;
}

/* `count` rows of a part, in their order where all are wanted or nothing is to be drawn. */
static int use_part(const struct rg_data_spec *spec, enum rg_split split,
                    const struct rg_rows *rows, struct list *part, int count, int index,
                    uint32_t *place, struct rg_error *e)
{
    int err = 0;
    if (split == RG_SPLIT_STRATIFIED && (uint32_t)count < part->count)
        err = stratify(rows, spec->seed, part, e);
    use(part, 0, (uint32_t)count, (uint32_t)index, place);
    return err;
}

static int split_together(const struct rg_data_spec *spec, enum rg_split split,
                          const struct rg_rows *rows, uint32_t *room, uint32_t *place,
                          struct rg_dataset *data, struct rg_error *e)
{
    struct list all = rows_of(rows, 0, rows->count, NULL, false, room);
    uint32_t train, test;
    int err = count_together(spec, rows, data, e);
    if (err == 0 && split == RG_SPLIT_STRATIFIED)
        err = stratify(rows, spec->seed, &all, e);
    if (err < 0)
        return err;
    train = (uint32_t)data->train;
    test = (uint32_t)data->test;
    use(&all, 0, train, 0, place);
    use(&all, split == RG_SPLIT_ORDER ? rows->count - test : train, test, train, place);
    return 0;
}

static int split_apart(const struct rg_data_spec *spec, enum rg_split split,
                       const struct rg_rows *rows, const bool *in_test, const char *what,
                       uint32_t *room, uint32_t *place, struct rg_dataset *data, struct rg_error *e)
{
    uint32_t middle = in_test ? rows->count : rows->test_from, first = in_test ? 0 : middle;
    struct list train = rows_of(rows, 0, middle, in_test, false, room);
    struct list test = rows_of(rows, first, rows->count, in_test, true, room + train.count);
    int err = count_apart(spec, rows, train.count, test.count, what, data, e);
    if (err == 0)
        err = use_part(spec, split, rows, &train, data->train, 0, place, e);
    if (err == 0)
        err = use_part(spec, split, rows, &test, data->test, data->train, place, e);
    return err;
}

static int split_groups(const struct rg_data_spec *spec, const struct rg_rows *rows, uint32_t *room,
                        uint32_t *place, struct rg_dataset *data, struct rg_error *e)
{
    int groups = 0, held = 0;
    for (uint32_t i = 0; i < rows->count; i++)
        groups = RG_MAX(groups, rows->groups[i] + 1);
    if (groups < 2)
        return rg_data_fail(spec, e,
                            "%s: \"%s\" is the same in all rows; two groups and more are "
                            "allowed",
                            rows->file, rows->group);
    bool *in_test = calloc((size_t)groups, sizeof *in_test);
    if (!in_test)
        return no_memory(rows, e);
    char what[120];
    snprintf(what, sizeof what, "where no \"%.40s\" is in both", rows->group);
    int err = draw_groups(spec, rows, groups, in_test, e);
    if (err == 0)
        err = split_apart(spec, RG_SPLIT_STRATIFIED, rows, in_test, what, room, place, data, e);
    for (int i = 0; i < groups; i++)
        held += in_test[i];
    if (err == 0)
        err =
            rg_data_note(data, e, "split by \"%.40s\": %d of its %d values test, the others train",
                         rows->group, held, groups);
    free(in_test);
    return err;
}

/* Samples of each class, to train and to test. */
struct seen {
    uint32_t train, test;
};

/* Many classes without training samples: one note for all. */
static int note_many_unseen(const struct seen *seen, struct rg_dataset *data, struct rg_error *e)
{
    char list[200] = "";
    int classes = 0;
    for (int c = 0; c < data->classes; c++)
        if (seen[c].train == 0 && seen[c].test > 0) {
            rg_data_list(list, sizeof list, "%d", c);
            classes++;
        }
    return classes > 0 ? rg_data_note(data, e,
                                      "%d classes have no training sample, but some to test: they "
                                      "cannot be learnt: %s",
                                      classes, list)
                       : 0;
}

/* Classes that are in the data and that no training sample has. */
static int note_unseen(const struct seen *seen, struct rg_dataset *data, struct rg_error *e)
{
    int err = 0, unseen = 0;
    for (int c = 0; c < data->classes; c++)
        unseen += seen[c].train == 0;
    if (unseen > UNSEEN_NOTES)
        return note_many_unseen(seen, data, e);
    for (int c = 0; c < data->classes && err == 0; c++)
        if (seen[c].train == 0 && seen[c].test > 0)
            err = rg_data_note(data, e,
                               "class %d has no training sample, but %u to test: it cannot "
                               "be learnt",
                               c, seen[c].test);
        else if (seen[c].train == 0 && data->class_names && data->class_names[c])
            err = rg_data_note(data, e, "class %d has no sample among those used", c);
    return err;
}

static int count_classes(const struct rg_rows *rows, const uint32_t *place, struct rg_dataset *data,
                         struct rg_error *e)
{
    struct seen *seen = calloc((size_t)rows->classes, sizeof *seen);
    if (!seen)
        return no_memory(rows, e);
    for (uint32_t i = 0; i < rows->count; i++)
        if (place[i] < (uint32_t)data->train)
            seen[rows->labels[i]].train++;
        else if (place[i] != UINT32_MAX)
            seen[rows->labels[i]].test++;
    int err = note_unseen(seen, data, e);
    free(seen);
    return err;
}

int rg_data_split(const struct rg_data_spec *spec, enum rg_split split, const struct rg_rows *rows,
                  uint32_t *place, struct rg_dataset *data, struct rg_error *e)
{
    int err;
    uint32_t *room = malloc((rows->count + (size_t)1) * sizeof *room);
    if (!room)
        return no_memory(rows, e);
    for (uint32_t i = 0; i < rows->count; i++)
        place[i] = UINT32_MAX;
    if (rows->groups)
        err = split_groups(spec, rows, room, place, data, e);
    else if (rows->test_from < rows->count)
        err = split_apart(spec, split, rows, NULL, "in their files", room, place, data, e);
    else
        err = split_together(spec, split, rows, room, place, data, e);
    free(room);
    return err || !rows->labels ? err : count_classes(rows, place, data, e);
}
