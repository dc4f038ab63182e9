/* Tables in text files, the label in one of the columns, or a line each in a file of its own:
 * `csv`, and `iris`, which is one such file. What parts the fields, headings, decimal commas and
 * classes are told from the files (table_format.c), and said where a reader could take them
 * otherwise.
 *
 * A file is read twice: probe learns all that there is to know of it and to refuse, fill puts the
 * numbers where they belong, so that no second copy of them is in memory. Then columns are
 * standardised by the training samples.
 *
 * Failure modes handled beside those of the rows (table_rows.c) and of inputs (table_inputs.c): one
 * class only, one-hot labels that are none, a file that changes meanwhile. */
#include "models/data.h"

#include "base/check.h"
#include "models/table.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct csv {
    const char *path[2], *label_path[2]; /* of training and test rows; NULL: none */
    int files;
    struct rg_format format[2]; /* columns are alike in both */
    struct rg_columns columns;
    struct rg_categories categories;
    struct rg_inputs inputs;
    struct rg_names labels, groups;
    int *label, *group; /* [rows] indices of those, the labels then classes */
    bool numbers;       /* targets are such: no labels */
    uint32_t rows, room, test_from;
    long dropped, filled;
    uint32_t *place; /* [rows] */
};

void rg_csv_close(void *source)
{
    struct csv *csv = source;
    for (int i = 0; i < 2; i++)
        rg_format_free(&csv->format[i]);
    rg_categories_free(&csv->categories);
    rg_columns_free(&csv->columns);
    rg_inputs_free(&csv->inputs);
    rg_names_free(&csv->labels);
    rg_names_free(&csv->groups);
    free(csv->label);
    free(csv->group);
    free(csv->place);
    free(csv);
}

/* ---- the first reading ---- */

static int make_room(struct csv *csv)
{
    if (csv->rows < csv->room)
        return 0;
    uint32_t room = csv->room ? 2 * csv->room : 1024;
    int *label = realloc(csv->label, room * sizeof *label);
    if (label)
        csv->label = label;
    int *group = csv->columns.group >= 0 ? realloc(csv->group, room * sizeof *group) : NULL;
    if (group)
        csv->group = group;
    if (!label || (csv->columns.group >= 0 && !group))
        return RG_ERR_NOMEM;
    csv->room = room;
    return 0;
}

/* Which of the one-hot columns is 1, the others 0; < 0: an error. */
static int find_one(const struct csv *csv, const struct rg_reader *r, int which, struct rg_error *e)
{
    const struct rg_columns *columns = &csv->columns;
    int one = -1;
    for (int i = 0; i < columns->target_count; i++) {
        int c = columns->targets[i];
        char name[80];
        double value = r->values[c];
        if ((value != 0 && value != 1) || (value == 1 && one >= 0))
            return rg_fail_at(e, r->lines.path, r->lines.line,
                              "%s: %g of a one-hot label: one 1 and else 0 are allowed; numbers to "
                              "come near to want a network of loss=\"mean-squared-error\"",
                              rg_format_column(&csv->format[which], c, name, sizeof name), value);
        if (value == 1)
            one = i;
    }
    return one >= 0 ? one
                    : rg_fail_at(e, r->lines.path, r->lines.line,
                                 "a one-hot label without a 1: one of its columns must have it");
}

/* Which class, by its number or that of its name; < 0: an error. */
static int take_label(struct csv *csv, const struct rg_reader *r, int which, struct rg_error *e)
{
    if (csv->columns.target_count > 0)
        return find_one(csv, r, which, e);
    int label = rg_names_add(&csv->labels, r->label, r->label_length);
    return label < 0 ? rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", r->lines.path) : label;
}

/* The numbers to come near to, of the row's columns or of the file of its own; NULL: only look. */
static int take_numbers(const struct csv *csv, struct rg_reader *r, float *numbers,
                        struct rg_error *e)
{
    double value;
    for (int i = 0; i < csv->columns.target_count && numbers; i++)
        numbers[i] = (float)r->values[csv->columns.targets[i]];
    if (csv->columns.target_count > 0)
        return 0;
    if (rg_number_of(r->label, &r->label_decimal, &value) != RG_NUMBER || !(fabs(value) <= FLT_MAX))
        return rg_fail_at(e, r->labels.path, r->labels.line,
                          "\"%.40s\": a number that is finite in single precision is wanted, for "
                          "loss=\"mean-squared-error\"",
                          r->label);
    if (numbers)
        numbers[0] = (float)value;
    return 0;
}

static int add_row(struct csv *csv, struct rg_reader *r, int which, struct rg_error *e)
{
    if (csv->rows == INT_MAX)
        return rg_fail_at(e, r->lines.path, r->lines.line, "more than %d rows", INT_MAX);
    if (make_room(csv) < 0)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", r->lines.path);
    int label = csv->numbers ? take_numbers(csv, r, NULL, e) : take_label(csv, r, which, e);
    if (label < 0)
        return label;
    csv->label[csv->rows] = label;
    if (csv->columns.group >= 0) {
        int group = rg_names_add(&csv->groups, r->group, r->group_length);
        if (group < 0)
            return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", r->lines.path);
        csv->group[csv->rows] = group;
    }
    rg_inputs_learn(&csv->inputs, r->values, csv->rows == (which ? csv->test_from : 0));
    csv->rows++;
    return 0;
}

static int open_file(const struct csv *csv, const struct rg_data_spec *spec, int which,
                     struct rg_reader *r, struct rg_error *e)
{
    return rg_reader_open(r, csv->path[which], csv->label_path[which], &csv->format[which],
                          &csv->columns, (enum rg_missing)rg_data_number(spec, "missing"), e);
}

static int scan(struct csv *csv, const struct rg_data_spec *spec, int which, struct rg_error *e)
{
    struct rg_reader r;
    uint32_t before = csv->rows;
    int got, err = open_file(csv, spec, which, &r, e);
    if (err < 0)
        return err;
    while (err == 0 && (got = rg_reader_next(&r, e)) != 0) {
        err = got < 0 ? got : rg_categories_take(&csv->categories, &r, e);
        err = err < 0 ? err : add_row(csv, &r, which, e);
    }
    if (err == 0 && csv->rows == before)
        err = rg_fail_at(e, csv->path[which], RG_MAX(r.lines.line, 1),
                         "the file ends without a row of numbers");
    csv->dropped += r.dropped;
    csv->filled += r.filled;
    rg_reader_close(&r);
    return err;
}

/* ---- what is told from it ---- */

/* How the file was understood, where another reading is possible. */
static int note_format(const struct csv *csv, struct rg_dataset *data, struct rg_error *e)
{
    const struct rg_format *f = &csv->format[0];
    char name[80];
    int err = 0;
    if (f->number_head)
        err = rg_data_note(data, e,
                           "the first line (%s, %s, ...) is taken for a heading; "
                           "heading=\"no\" makes it a sample",
                           f->names[0][0] ? f->names[0] : "nameless", f->names[1]);
    if (err == 0 && f->comment)
        err = rg_data_note(data, e, "the comment in front of the first row names the columns");
    if (err == 0 && csv->columns.label >= 0 && csv->columns.label != f->columns - 1)
        err = rg_data_note(data, e, "the label is %s",
                           rg_format_column(f, csv->columns.label, name, sizeof name));
    if (err == 0 && csv->dropped > 0)
        err = rg_data_note(data, e, "%ld rows with missing values left out, %u are used",
                           csv->dropped, csv->rows);
    if (err == 0 && csv->filled > 0)
        err = rg_data_note(data, e, "%ld missing values: the mean of the training samples stands",
                           csv->filled);
    return err;
}

/* One class: the user looks for the column that is the label. */
static int refuse_one_class(const struct csv *csv, const struct rg_data_spec *spec,
                            struct rg_error *e)
{
    char name[80] = "their file", suspects[240];
    int label = csv->columns.label;
    if (label >= 0)
        rg_format_column(&csv->format[0], label, name, sizeof name);
    rg_format_suspects(csv->path[0], &csv->format[0], label, suspects, sizeof suspects);
    return rg_data_fail(spec, e,
                        "%s: only one class is there, every label in %s is \"%.40s\"; %s%s%s"
                        "label=\"first|last|NAME|NUMBER\" says which column is the label",
                        csv->path[0], name, csv->labels.text[0],
                        suspects[0] ? "what looks like labels: " : "", suspects,
                        suspects[0] ? "; " : "");
}

/* Half of the rows and more have a label of their own, and nobody said which column it is. */
static int refuse_many(const struct csv *csv, const struct rg_data_spec *spec, struct rg_error *e)
{
    char name[80], suspects[240];
    int label = csv->columns.label;
    rg_format_suspects(csv->path[0], &csv->format[0], label, suspects, sizeof suspects);
    return rg_data_fail(spec, e,
                        "%s: %s, the last, would be the label, but has %d different values in %u "
                        "rows; %s%s%slabel=\"first|last|NAME|NUMBER\" says which column it is",
                        csv->path[0], rg_format_column(&csv->format[0], label, name, sizeof name),
                        csv->labels.count, csv->rows, suspects[0] ? "what looks like labels: " : "",
                        suspects, suspects[0] ? "; " : "");
}

/* The last column would be the label, but another is called so. */
static int refuse_default(const struct csv *csv, const struct rg_data_spec *spec,
                          struct rg_error *e)
{
    const struct rg_format *format = &csv->format[0];
    int suspect = csv->columns.suspect;
    char name[80], last[80];
    return rg_data_fail(
        spec, e,
        "%s: %s is called a label, and %s is the last column: label=\"%.40s\" or "
        "label=\"last\" says which, or another name or number",
        csv->path[0], rg_format_column(format, suspect, name, sizeof name),
        rg_format_column(format, csv->numbers ? csv->columns.targets[0] : csv->columns.label, last,
                         sizeof last),
        suspect == 0 ? "first" : format->names[suspect]);
}

/* The classes of all rows. */
static int find_classes(struct csv *csv, const struct rg_data_spec *spec, struct rg_dataset *data,
                        struct rg_error *e)
{
    const struct rg_columns *columns = &csv->columns;
    int err = 0;
    for (int i = 0; i < columns->target_count && err == 0; i++) {
        char name[80];
        const char *own = csv->format[0].names ? csv->format[0].names[columns->targets[i]] : "";
        snprintf(name, sizeof name, own[0] ? "%.60s" : "%.0s%d", own, columns->targets[i] + 1);
        int index = rg_names_add(&csv->labels, name, strlen(name));
        if (index < 0)
            err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", csv->path[0]);
        else if (index != i)
            err = rg_data_fail(spec, e,
                               "%s: two columns of classes are called \"%s\"; names that "
                               "differ are allowed",
                               csv->path[0], name);
    }
    if (err == 0 && csv->labels.count == 1 && csv->columns.target_count == 0)
        return refuse_one_class(csv, spec, e);
    if (err == 0 && columns->suspect >= 0)
        return refuse_default(csv, spec, e);
    bool by_default = columns->label >= 0 && !rg_data_string(spec, "label");
    if (err == 0 && by_default && csv->rows >= 10 && csv->labels.count > (int)csv->rows / 2)
        return refuse_many(csv, spec, e);
    if (err < 0)
        return err;
    return columns->target_count > 0
               ? rg_data_named_classes(spec, csv->path[0], &csv->labels, data, e)
               : rg_data_classes(spec, csv->path[0], &csv->labels, rg_data_number(spec, "classes"),
                                 csv->rows, csv->label, data, e);
}

/* Numbers to come near to: what they are, so that a loss says something. */
static int find_numbers(struct csv *csv, const struct rg_data_spec *spec, struct rg_dataset *data,
                        struct rg_error *e)
{
    const struct rg_columns *columns = &csv->columns;
    char list[400] = "", name[80];
    data->target_count = RG_MAX(columns->target_count, 1);
    for (int i = 0; i < columns->target_count; i++) {
        int c = columns->targets[i];
        rg_data_list(list, sizeof list, "%s %.4g to %.4g",
                     rg_format_column(&csv->format[0], c, name, sizeof name), csv->inputs.low[c],
                     csv->inputs.high[c]);
    }
    if (columns->suspect >= 0)
        return refuse_default(csv, spec, e);
    return list[0] ? rg_data_note(data, e, "targets: %s", list) : 0;
}

static int split_rows(struct csv *csv, const struct rg_data_spec *spec, struct rg_dataset *data,
                      struct rg_error *e)
{
    const char *split = rg_data_string(spec, "split");
    char name[80] = "";
    bool order = split && strcmp(split, "order") == 0;
    if (split && !order && strcmp(split, "stratified") != 0 && csv->columns.group < 0)
        return rg_data_fail(spec, e,
                            "split=\"%.60s\": stratified, order and group:COLUMN are "
                            "allowed",
                            split);
    if (csv->columns.group >= 0 && csv->files > 1)
        return rg_data_fail(spec, e,
                            "split=\"%.60s\" with test-file: the file of the test rows says "
                            "what tests; only one of them is allowed",
                            split);
    if (csv->columns.group >= 0)
        rg_format_column(&csv->format[0], csv->columns.group, name, sizeof name);
    csv->place = malloc((csv->rows + (size_t)1) * sizeof *csv->place);
    if (!csv->place)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", csv->path[0]);
    struct rg_rows rows = {.file = csv->path[0],
                           .labels = csv->numbers ? NULL : csv->label,
                           .classes = data->classes,
                           .groups = csv->group,
                           .group = name,
                           .heading = csv->format[0].number_head
                                          ? " behind its heading of numbers (heading=\"no\": a row)"
                                          : NULL,
                           .count = csv->rows,
                           .test_from = csv->test_from};
    return rg_data_split(spec, order ? RG_SPLIT_ORDER : RG_SPLIT_STRATIFIED, &rows, csv->place,
                         data, e);
}

/* ---- the kind ---- */

static int find_files(struct csv *csv, const struct rg_data_spec *spec, struct rg_error *e)
{
    csv->path[0] = rg_data_string(spec, "file");
    csv->path[1] = rg_data_string(spec, "test-file");
    csv->label_path[0] = rg_data_string(spec, "labels");
    csv->label_path[1] = rg_data_string(spec, "test-labels");
    csv->files = csv->path[1] ? 2 : 1;
    if (!csv->path[0])
        return rg_data_fail(spec, e, "no file is given for data of kind %s", spec->kind->name);
    if (csv->label_path[1] && !csv->path[1])
        return rg_data_fail(spec, e, "test-labels without test-file: both or none are allowed");
    if (csv->path[1] && !csv->label_path[0] != !csv->label_path[1])
        return rg_data_fail(spec, e, "labels and test-labels: both or none are allowed");
    if (csv->label_path[0] && rg_data_string(spec, "label"))
        return rg_data_fail(spec, e, "label and labels: only one of them is allowed");
    for (int i = 0; i < 2 * csv->files; i++) {
        const char *path = i < csv->files ? csv->path[i] : csv->label_path[i - csv->files];
        int err = path ? rg_data_readable(spec, path, e) : 0;
        if (err < 0)
            return err;
    }
    for (int i = 0; i < csv->files; i++) {
        int err = rg_format_find(csv->path[i], rg_data_number(spec, "heading"), &csv->format[i], e);
        if (err < 0)
            return err;
    }
    if (csv->files == 2 && csv->format[1].columns != csv->format[0].columns)
        return rg_fail_at(e, csv->path[1], 1, "%d columns: %d are allowed, as in %s",
                          csv->format[1].columns, csv->format[0].columns, csv->path[0]);
    return 0;
}

/* Everything that is to be known, in the order in which a mistake is best told. */
static int study(struct csv *csv, const struct rg_data_spec *spec, struct rg_dataset *data,
                 struct rg_error *e)
{
    int err = find_files(csv, spec, e);
    if (err < 0 || (err = rg_columns_find(spec, csv->path[0], &csv->format[0],
                                          csv->label_path[0] != NULL, &csv->columns, e)) < 0)
        return err;
    if (rg_categories_make(&csv->categories, &csv->columns) < 0 ||
        rg_inputs_make(&csv->inputs, csv->path[0], &csv->format[0], &csv->columns,
                       &csv->categories) < 0)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", csv->path[0]);
    for (int i = 0; i < csv->files && err == 0; i++) {
        err = scan(csv, spec, i, e);
        if (i == 0) {
            csv->test_from = csv->rows;
            rg_categories_trained(&csv->categories);
        }
    }
    if (err < 0 || (err = note_format(csv, data, e)) < 0)
        return err;
    err = csv->numbers ? find_numbers(csv, spec, data, e) : find_classes(csv, spec, data, e);
    if (err == 0 && (err = rg_inputs_choose(&csv->inputs, spec, data, e)) == 0)
        err = split_rows(csv, spec, data, e);
    data->shape = (struct rg_shape){csv->inputs.count, 1, 1};
    return err;
}

int rg_csv_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct csv *csv = calloc(1, sizeof *csv);
    if (!csv)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    data->source = csv;
    csv->numbers = spec->numbers;
    data->by_training = true;
    return study(csv, spec, data, e);
}

int rg_csv_labels(const struct rg_data_spec *spec, const struct rg_dataset *data, int *labels)
{
    const struct csv *csv = data->source;
    (void)spec;
    for (uint32_t i = 0; i < csv->rows; i++)
        if (csv->place[i] < (uint32_t)data->train)
            labels[csv->place[i]] = csv->label[i];
    return 0;
}

/* ---- the second reading ---- */

static int fill_row(struct csv *csv, struct rg_reader *r, uint32_t row, struct rg_dataset *data,
                    struct rg_error *e)
{
    uint32_t place = csv->place[row];
    int err = rg_categories_take(&csv->categories, r, e);
    float *x = place != UINT32_MAX ? rg_dataset_x(data, place) : NULL;
    if (err < 0 || !x)
        return err;
    rg_inputs_take(&csv->inputs, r->values, x);
    if (csv->numbers)
        return take_numbers(csv, r, rg_dataset_target(data, place), e);
    rg_dataset_set_label(data, place, csv->label[row]);
    return 0;
}

static int fill_file(struct csv *csv, const struct rg_data_spec *spec, int which, uint32_t *row,
                     struct rg_dataset *data, struct rg_error *e)
{
    struct rg_reader r;
    uint32_t end = which == 0 ? csv->test_from : csv->rows;
    int got = 0, err = open_file(csv, spec, which, &r, e);
    if (err < 0)
        return err;
    while (*row < end && (got = rg_reader_next(&r, e)) > 0) {
        if ((got = fill_row(csv, &r, *row, data, e)) < 0)
            break;
        ++*row;
    }
    if (got >= 0 && (*row < end || (got = rg_reader_next(&r, e)) > 0))
        got = rg_fail_at(e, csv->path[which], 0, "the file changed while it was read");
    rg_reader_close(&r);
    return RG_MIN(got, 0);
}

int rg_csv_fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct csv *csv = data->source;
    uint32_t row = 0;
    int err = 0;
    for (int i = 0; i < csv->files && err == 0; i++)
        err = fill_file(csv, spec, i, &row, data, e);
    return err ? err
               : rg_data_scale(spec, data, csv->inputs.offset, csv->inputs.as_is, csv->path[0], e);
}

static const struct rg_data_attribute attributes[] = {
    {"file", RG_DATA_FILE, true, .help = "rows of numbers, plain or .gz"},
    {"labels", RG_DATA_FILE, .help = "a label a line, where the file has inputs only"},
    {"test-file", RG_DATA_FILE, .help = "the rows to test; default: some of the file"},
    {"test-labels", RG_DATA_FILE, .help = "their labels"},
    {"label", RG_DATA_TEXT,
     .help = "first, last, a name or number of a column, or several (one-hot)"},
    {"columns", RG_DATA_TEXT, .help = "the inputs: names, numbers, 3-7; default: all others"},
    {"drop", RG_DATA_TEXT, .help = "columns that are no inputs"},
    {"categories", RG_DATA_TEXT,
     .help = "inputs whose values are names; default: columns of texts"},
    {"missing", RG_DATA_CHOICE, .choices = RG_MISSING_WORDS, .help = "default: refuse"},
    {"heading", RG_DATA_CHOICE, .choices = "auto|yes|no", .help = "default: auto"},
    {"split", RG_DATA_TEXT, .help = "stratified (the default), order or group:COLUMN"},
    {"classes", RG_DATA_COUNT, .min = 1, .max = RG_DATA_CLASSES, .help = "default: as in the file"},
    {0},
};

const struct rg_data_kind rg_data_csv = {
    .name = "csv",
    .summary = "a table in text: numbers, categories, a label a row",
    .attributes = attributes,
    .numbers = true,
    .probe = rg_csv_probe,
    .labels = rg_csv_labels,
    .fill = rg_csv_fill,
    .close = rg_csv_close,
};
