/* Which column of a table is the label, and which are inputs. */
#include "models/table.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct finder {
    const struct rg_data_spec *spec;
    const char *path, *attribute; /* what is being read, for messages */
    const char *before;           /* of the attribute, what stands before the column */
    const struct rg_format *format;
    int columns; /* those that hold something */
};

/* A short list of what there is. */
static void list_columns(const struct finder *f, char *text, size_t size)
{
    text[0] = '\0';
    for (int c = 0; c < f->columns && f->format->names; c++)
        rg_data_list(text, size, "%.30s", f->format->names[c]);
}

static int no_column(const struct finder *f, const char *word, struct rg_error *e)
{
    char names[160];
    list_columns(f, names, sizeof names);
    return rg_data_fail(f->spec, e,
                        "%s=\"%s%.60s\": %s has no column of that name or number; 1 to %d%s"
                        "%s are allowed",
                        f->attribute, f->before, word, f->path, f->columns, names[0] ? " and " : "",
                        names);
}

/* The column of that name or number, names first; `first` and `last` too where allowed. < 0: an
 * error. */
static int find_column(const struct finder *f, const char *word, struct rg_error *e)
{
    int found = -1, number = 0;
    for (int c = 0; c < f->columns && f->format->names; c++) {
        if (strcmp(f->format->names[c], word) != 0)
            continue;
        if (found >= 0)
            return rg_data_fail(f->spec, e,
                                "%s=\"%s%.60s\": columns %d and %d of %s are called so; a "
                                "number is allowed",
                                f->attribute, f->before, word, found + 1, c + 1, f->path);
        found = c;
    }
    if (found >= 0)
        return found;
    if (strcmp(word, "first") == 0)
        return 0;
    if (strcmp(word, "last") == 0)
        return f->columns - 1;
    for (const char *p = word; *p >= '0' && *p <= '9' && number <= f->columns; p++)
        number = 10 * number + (*p - '0');
    bool is_number = *word && word[strspn(word, "0123456789")] == '\0';
    return is_number && number >= 1 && number <= f->columns ? number - 1 : no_column(f, word, e);
}

/* The columns of a list, marked; the whole text may be one name, with commas in it. "3-7" is a run
 * of numbers. Returns how many, in the order written, to list [columns]. */
static int find_list(const struct finder *f, const char *text, int *list, struct rg_error *e)
{
    int count = 0;
    char *copy = strdup(text), *rest = copy;
    if (!copy)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", f->path);
    for (int c = 0; c < f->columns && f->format->names; c++)
        if (strcmp(f->format->names[c], text) == 0)
            rest = NULL;
    if (!rest) {
        free(copy);
        list[0] = find_column(f, text, e);
        return list[0] < 0 ? list[0] : 1;
    }
    for (char *word; (word = strsep(&rest, ","));) {
        int first, last, length = 0;
        word += strspn(word, " ");
        for (size_t n = strlen(word); n > 0 && word[n - 1] == ' ';)
            word[--n] = '\0';
        struct rg_error why = {0};
        int column = find_column(f, word, &why);
        if (column >= 0)
            first = last = column;
        else if (sscanf(word, "%9d-%9d%n", &first, &last, &length) == 2 && !word[length] &&
                 first >= 1 && first <= last && last <= f->columns)
            first--, last--;
        else {
            free(copy);
            return rg_fail(e, column, "%s", why.text);
        }
        for (int c = first; c <= last; c++) {
            bool twice = false;
            for (int i = 0; i < count; i++)
                twice = twice || list[i] == c;
            if (!twice)
                list[count++] = c;
        }
    }
    free(copy);
    return count;
}

/* One column of classes is a label, several are one-hot. */
static int take_targets(const struct finder *f, struct rg_columns *columns, struct rg_error *e)
{
    enum rg_role role = f->spec->numbers ? RG_ROLE_TARGET : RG_ROLE_ONE_HOT;
    bool alone = columns->target_count == 1 && !f->spec->numbers;
    columns->label = alone ? columns->targets[0] : -1;
    columns->target_count = alone ? 0 : columns->target_count;
    for (int i = 0; i < columns->target_count; i++)
        columns->role[columns->targets[i]] = role;
    return columns->target_count <= RG_DATA_CLASSES
               ? 0
               : rg_data_fail(f->spec, e,
                              "label=\"%.60s\": %d columns of classes; up to %d are "
                              "allowed",
                              rg_data_string(f->spec, "label"), columns->target_count,
                              RG_DATA_CLASSES);
}

static int find_label(struct finder *f, struct rg_columns *columns, struct rg_error *e)
{
    const char *label = rg_data_string(f->spec, "label");
    f->attribute = "label";
    if (!label) {
        columns->label = f->columns - 1;
        for (int c = columns->label - 1; c >= 0 && f->format->names; c--)
            if (rg_format_is_label(f->format->names[c]))
                columns->suspect = c;
        columns->targets[0] = columns->label;
        columns->target_count = 1;
        return take_targets(f, columns, e);
    }
    columns->target_count = find_list(f, label, columns->targets, e);
    if (columns->target_count < 0)
        return columns->target_count;
    return take_targets(f, columns, e);
}

/* Inputs whose values are names: those that begin with a text, and those that the scenario names.
 */
static int find_categories(struct finder *f, struct rg_columns *columns, int *list,
                           struct rg_error *e)
{
    const char *text = rg_data_string(f->spec, "categories");
    f->attribute = "categories";
    for (int c = 0; c < columns->count; c++) {
        bool is_text = columns->role[c] == RG_ROLE_NUMBER && f->format->texts[c];
        columns->wanted[c] = columns->wanted[c] && !is_text; /* it says nothing of its values */
        if (is_text)
            columns->role[c] = RG_ROLE_CATEGORY;
    }
    int count = text ? find_list(f, text, list, e) : 0;
    for (int i = 0; i < count; i++) {
        if (columns->role[list[i]] == RG_ROLE_SKIPPED)
            return rg_data_fail(f->spec, e,
                                "categories=\"%.60s\": column %d is left out by columns or drop; "
                                "inputs are allowed",
                                text, list[i] + 1);
        columns->role[list[i]] = RG_ROLE_CATEGORY;
        columns->wanted[list[i]] = true;
    }
    return RG_MIN(count, 0);
}

static int find_inputs(struct finder *f, struct rg_columns *columns, int *list, struct rg_error *e)
{
    const char *keep = rg_data_string(f->spec, "columns"), *drop = rg_data_string(f->spec, "drop");
    if (keep && drop)
        return rg_data_fail(f->spec, e, "columns and drop: only one of them is allowed");
    f->attribute = keep ? "columns" : "drop";
    int count = keep || drop ? find_list(f, keep ? keep : drop, list, e) : 0;
    if (count < 0)
        return count;
    for (int c = 0; c < columns->count; c++)
        columns->role[c] = keep ? RG_ROLE_SKIPPED : RG_ROLE_NUMBER;
    for (int i = 0; i < count; i++) {
        columns->role[list[i]] = keep ? RG_ROLE_NUMBER : RG_ROLE_SKIPPED;
        columns->wanted[list[i]] = keep != NULL;
    }
    return find_categories(f, columns, list, e);
}

/* Groups of labels would keep whole classes out of the training. */
static int take_group(const struct finder *f, struct rg_columns *columns, struct rg_error *e)
{
    enum rg_role *role = &columns->role[columns->group];
    if (*role == RG_ROLE_LABEL || *role == RG_ROLE_ONE_HOT || *role == RG_ROLE_TARGET)
        return rg_data_fail(f->spec, e,
                            "split=\"%.60s\": that is the label; another column is "
                            "allowed",
                            rg_data_string(f->spec, "split"));
    *role = RG_ROLE_GROUP;
    return 0;
}

int rg_columns_find(const struct rg_data_spec *spec, const char *path,
                    const struct rg_format *format, bool own_labels, struct rg_columns *columns,
                    struct rg_error *e)
{
    static const char by[] = "group:";
    struct finder f = {spec, path, "", "", format, format->columns - format->empty_last};
    const char *split = rg_data_string(spec, "split");
    size_t n = (size_t)format->columns;
    *columns =
        (struct rg_columns){.count = format->columns, .label = -1, .suspect = -1, .group = -1};
    columns->role = calloc(n, sizeof *columns->role);
    columns->wanted = calloc(n, sizeof *columns->wanted);
    columns->targets = calloc(n, sizeof *columns->targets);
    int *list = calloc(n, sizeof *list), err = 0;
    if (!columns->role || !columns->wanted || !columns->targets || !list)
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    if (err == 0 && !own_labels && f.columns < 2)
        err = rg_fail_at(e, path, 1,
                         "one column: numbers and a label, separated by , ; | tabs or "
                         "blanks, are allowed");
    if (err == 0 && (err = find_inputs(&f, columns, list, e)) == 0 && !own_labels)
        err = find_label(&f, columns, e);
    f.attribute = "split";
    f.before = by;
    if (err == 0 && split && strncmp(split, by, sizeof by - 1) == 0) {
        columns->group = find_column(&f, split + sizeof by - 1, e);
        err = RG_MIN(columns->group, 0);
    }
    if (err == 0 && columns->label >= 0)
        columns->role[columns->label] = RG_ROLE_LABEL;
    if (err == 0 && columns->suspect >= 0)
        columns->role[columns->suspect] = RG_ROLE_SKIPPED;
    if (err == 0 && columns->group >= 0)
        err = take_group(&f, columns, e);
    if (err == 0 && format->empty_last)
        columns->role[format->columns - 1] = RG_ROLE_SKIPPED;
    for (int c = 0; c < columns->count && err == 0; c++)
        columns->categories += columns->role[c] == RG_ROLE_CATEGORY;
    free(list);
    if (err < 0)
        rg_columns_free(columns);
    return err;
}

void rg_columns_free(struct rg_columns *columns)
{
    free(columns->role);
    free(columns->wanted);
    free(columns->targets);
    *columns = (struct rg_columns){0};
}
