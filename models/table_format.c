/* How a table is written: what parts its fields, and whether its first line is a heading. */
#include "models/table.h"

#include "base/check.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SAMPLE = 40 }; /* lines that are looked at */

struct sample {
    char *line[SAMPLE];
    int count;
    char *comment; /* the last one in front of the first line, or NULL */
};

static void sample_free(struct sample *sample)
{
    for (int i = 0; i < sample->count; i++)
        free(sample->line[i]);
    free(sample->comment);
}

static int sample_add(struct sample *sample, const char *path, const char *line, struct rg_error *e)
{
    bool comment = *line == '#';
    char *copy = strdup(line);
    if (!copy)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    if (comment) {
        free(sample->comment);
        sample->comment = copy;
    } else {
        sample->line[sample->count++] = copy;
    }
    return 0;
}

static int sample_read(const char *path, struct sample *sample, struct rg_error *e)
{
    struct rg_lines lines;
    struct rg_error why;
    char *line;
    size_t length;
    *sample = (struct sample){0};
    int got = rg_lines_open(&lines, path, &why);
    if (got < 0)
        return rg_fail_at(e, path, 0, "cannot be read: %s", why.text);
    while (sample->count < SAMPLE && (got = rg_lines_any(&lines, &line, &length, e)) > 0)
        if (line[strspn(line, " \t\f\v")] != '\0' && !rg_lines_is_hint(&lines, line) &&
            !(*line == '#' && sample->count > 0) && (got = sample_add(sample, path, line, e)) < 0)
            break;
    int last = lines.line;
    rg_lines_close(&lines);
    if (got >= 0 && sample->count == 0)
        got = rg_fail_at(e, path, RG_MAX(last, 1), "the file ends without a row of numbers");
    if (got < 0)
        sample_free(sample);
    return RG_MIN(got, 0);
}

/* ---- separators ---- */

/* Fields of a line that are numbers; -1: a quote does not end. The line stays. */
static int count_numbers(const char *line, char separator)
{
    struct rg_decimal decimal = {.comma_allowed = separator != ','};
    int numbers = 0;
    char *copy = strdup(line), *at = copy;
    struct rg_table_field field;
    while (copy && at) {
        double value;
        if (!rg_table_field_next(&at, separator, &field)) {
            free(copy);
            return -1;
        }
        decimal.mark = 0;
        numbers += rg_number_of(field.text, &decimal, &value) == RG_NUMBER;
    }
    free(copy);
    return numbers;
}

/* How well a separator parts the lines: as many fields in all of them first, then numbers. */
static double score(const struct sample *sample, char separator)
{
    int fields = rg_field_count(sample->line[sample->count - 1], separator);
    double numbers = 0, same = 1;
    if (fields < 2)
        return 0;
    for (int i = 0; i < sample->count; i++) {
        same = same && rg_field_count(sample->line[i], separator) == fields;
        numbers += count_numbers(sample->line[i], separator);
    }
    return 1 + numbers + 1e9 * same;
}

static char find_separator(const struct sample *sample)
{
    static const char candidates[] = {'\t', ';', ',', '|', RG_BLANKS};
    char best = ',';
    double most = 0;
    for (size_t i = 0; i < sizeof candidates; i++) {
        double value = score(sample, candidates[i]);
        if (value > most) {
            most = value;
            best = candidates[i];
        }
    }
    return best;
}

/* ---- headings ---- */

struct fields {
    enum rg_number kind;
    double value;
    bool text; /* neither a number nor like one */
};

/* The fields of a line, up to `columns`; returns how many it has. */
static int look_at(const char *line, char separator, int columns, struct fields *fields)
{
    struct rg_decimal decimal = {.comma_allowed = separator != ','};
    struct rg_table_field field;
    char *copy = strdup(line), *at = copy;
    int count = 0;
    for (int c = 0; c < columns; c++)
        fields[c] = (struct fields){RG_MISSING, NAN, false};
    while (copy && at && rg_table_field_next(&at, separator, &field)) {
        if (count < columns) {
            decimal.mark = 0;
            fields[count].kind = rg_number_of(field.text, &decimal, &fields[count].value);
            fields[count].text =
                fields[count].kind == RG_NO_NUMBER && !rg_is_like_number(field.text);
        }
        count++;
    }
    free(copy);
    return count;
}

/* Whole numbers one step apart from field to field, what is no number left out: the step, or 0. How
 * many there are to *count, the first to *first. */
static double step_of(const struct fields *fields, int columns, int *count, double *first)
{
    double last = 0, step = 0;
    *count = 0;
    for (int c = 0; c < columns; c++) {
        double value = fields[c].value;
        if (fields[c].kind != RG_NUMBER)
            continue;
        if (value != floor(value) || (*count > 1 && value - last != step))
            return 0;
        if (*count == 0)
            *first = value;
        else
            step = value - last;
        last = value;
        ++*count;
    }
    return step;
}

/* A first line such as 0,1,2: pandas' names for columns that have none. What counts as one: steps
 * of 1 from 0 over three columns (a text may be one), from 1 over four, other steps over five, or
 * three where a text stands above numbers; if the next line has no such step itself. */
static bool counts_columns(const struct fields *first, const struct fields *second, int columns,
                           int texts)
{
    double from = 0, other_from;
    int count, other_count;
    double step = step_of(first, columns, &count, &from);
    if (step == 0 || step_of(second, columns, &other_count, &other_from) == step)
        return false;
    if (step == 1 && from == 0)
        return count >= 3 || (count >= 2 && columns >= 3);
    return count >= (texts > 0 ? 3 : step == 1 && from == 1 ? 4 : 5);
}

/* In a table without any number: is a text of the first line there again, in the same column? Then
 * it is no name. */
static bool recurs(const struct sample *sample, char separator, int columns)
{
    bool found = false;
    for (int i = 1; i < sample->count; i++)
        if (count_numbers(sample->line[i], separator) != 0)
            return false;
    for (int i = 1; i < sample->count && !found; i++) {
        char *first = strdup(sample->line[0]), *other = strdup(sample->line[i]);
        char *a = first, *b = other;
        struct rg_table_field one, two;
        for (int c = 0; c < columns && a && b && !found; c++)
            found = rg_table_field_next(&a, separator, &one) &&
                    rg_table_field_next(&b, separator, &two) &&
                    !rg_is_missing(one.text, one.length) && strcmp(one.text, two.text) == 0;
        free(first);
        free(other);
    }
    return found;
}

/* Is the first line a heading? One without a number is; so is one that has mostly texts where the
 * next line has numbers, and one that counts the columns. *numbers: some of its names are. */
static bool is_heading(const struct sample *sample, char separator, int columns, bool *numbers,
                       struct rg_error *e)
{
    struct fields *first = calloc(2 * (size_t)columns, sizeof *first), *second = first + columns;
    if (!first) {
        rg_fail(e, RG_ERR_NOMEM, "out of memory");
        return false;
    }
    bool heading = false;
    int in_first = 0, texts = 0; /* numbers; texts above numbers: one is a slip of the pen */
    look_at(sample->line[0], separator, columns, first);
    for (int c = 0; c < columns; c++)
        in_first += first[c].kind == RG_NUMBER;
    if (in_first > 0 && sample->count > 1) {
        look_at(sample->line[1], separator, columns, second);
        for (int c = 0; c < columns; c++)
            texts += first[c].kind == RG_NO_NUMBER && second[c].kind == RG_NUMBER;
        heading = texts > in_first || counts_columns(first, second, columns, texts);
    }
    *numbers = heading;
    free(first);
    return heading || (in_first == 0 && !recurs(sample, separator, columns));
}

/* The names in a line; one less than there are columns: the first has none, as R writes row names.
 */
static int take_names(const char *line, struct rg_format *format, const char *path,
                      struct rg_error *e)
{
    struct rg_table_field field;
    int named = format->columns - format->empty_last;
    int count = rg_field_count(line, format->separator);
    char *copy = strdup(line), *at = copy;
    format->names = calloc((size_t)format->columns + 1, sizeof *format->names);
    bool good = copy && format->names;
    for (int c = 0; c < format->columns && good; c++) {
        bool there = at && !(c == 0 && count + 1 == named);
        there = there && rg_table_field_next(&at, format->separator, &field);
        format->names[c] = strdup(there ? field.text : "");
        good = format->names[c] != NULL;
    }
    free(copy);
    if (good && count != named && count + 1 != named && count != format->columns)
        return rg_fail_at(e, path, 1,
                          "the heading names %d columns, the rows have %d: as many are "
                          "allowed",
                          count, format->columns);
    return good ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
}

/* A comment that has as many words as there are columns, as numpy.savetxt writes headings. */
static bool comment_names(const struct sample *sample, const struct rg_format *format)
{
    const char *comment = sample->comment ? sample->comment + strspn(sample->comment, "# \t") : "";
    return *comment && format->columns > 1 &&
           rg_field_count(comment, format->separator) == format->columns &&
           count_numbers(comment, format->separator) == 0;
}

/* Does every line end with a separator? A heading need not. */
static bool ends_empty(const struct sample *sample, const struct rg_format *format)
{
    for (int i = sample->count > 1; i < sample->count; i++) {
        size_t length = strlen(sample->line[i]);
        if (format->separator == RG_BLANKS || sample->line[i][length - 1] != format->separator)
            return false;
    }
    return format->columns > 2;
}

/* Which columns begin with a text. */
static int find_texts(const struct sample *sample, struct rg_format *format, const char *path,
                      struct rg_error *e)
{
    size_t n = (size_t)format->columns;
    struct fields *fields = calloc(n, sizeof *fields);
    bool *known = calloc(n, sizeof *known);
    format->texts = calloc(n, sizeof *format->texts);
    int err =
        fields && known && format->texts ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    for (int i = format->heading; i < sample->count && err == 0; i++) {
        look_at(sample->line[i], format->separator, format->columns, fields);
        for (size_t c = 0; c < n; c++) {
            format->texts[c] = format->texts[c] || (!known[c] && fields[c].text);
            known[c] = known[c] || fields[c].kind != RG_MISSING;
        }
    }
    free(fields);
    free(known);
    return err;
}

int rg_format_find(const char *path, int heading, struct rg_format *format, struct rg_error *e)
{
    struct sample sample;
    struct rg_error why = {0};
    *format = (struct rg_format){0};
    int err = sample_read(path, &sample, e);
    if (err < 0)
        return err;
    format->separator = find_separator(&sample);
    int first = rg_field_count(sample.line[0], format->separator);
    int rows = RG_MAX(rg_field_count(sample.line[sample.count > 1], format->separator), 1);
    format->columns = first > 0 ? first : rows;
    format->heading = heading == 1;
    if (heading == 0)
        format->heading = is_heading(&sample, format->separator, rows, &format->number_head, &why);
    if (format->heading)
        format->columns = rows;
    format->empty_last = ends_empty(&sample, format);
    if (why.text[0])
        err = rg_fail(e, RG_ERR_NOMEM, "%s", why.text);
    else if (format->heading)
        err = take_names(sample.line[0], format, path, e);
    else if ((format->comment = comment_names(&sample, format)))
        err = take_names(sample.comment + strspn(sample.comment, "# \t"), format, path, e);
    if (err == 0 && format->heading && sample.count == 1)
        err = rg_fail_at(e, path, 1, "the file ends without a row of numbers");
    if (err == 0)
        err = find_texts(&sample, format, path, e);
    sample_free(&sample);
    if (err < 0)
        rg_format_free(format);
    return err;
}

void rg_format_free(struct rg_format *format)
{
    for (int c = 0; c < format->columns && format->names; c++)
        free(format->names[c]);
    free(format->names);
    free(format->texts);
    *format = (struct rg_format){0};
}

const char *rg_format_column(const struct rg_format *format, int column, char *text, size_t size)
{
    if (format->names && format->names[column][0])
        snprintf(text, size, "column %d (\"%.40s\")", column + 1, format->names[column]);
    else if (format->names)
        snprintf(text, size, "column %d (without a name)", column + 1);
    else
        snprintf(text, size, "column %d", column + 1);
    return text;
}

/* ---- columns that could be labels ---- */

enum { SUSPECT_ROWS = 5000, SUSPECT_COLUMNS = 4096, SUSPECT_VALUES = 30, SUSPECTS = 4 };

bool rg_format_is_label(const char *name)
{
    static const char *const words[] = {"label",  "labels",  "class",   "classes",
                                        "target", "targets", "species", "category"};
    for (size_t i = 0; i < RG_COUNT(words); i++)
        if (strcasecmp(name, words[i]) == 0)
            return true;
    return false;
}

/* Do a few values that come again and again look like labels: texts, or whole numbers without a
 * gap? 0: no; else the better the larger. */
static int label_score(const struct rg_format *format, int column, const struct rg_names *values,
                       int rows)
{
    struct rg_decimal decimal = {.comma_allowed = true};
    double low = INFINITY, high = -INFINITY, number;
    int numbers = 0;
    if (values->count < 2 || values->count > SUSPECT_VALUES || 2 * values->count > rows)
        return 0;
    for (int i = 0; i < values->count; i++)
        if (rg_number_of(values->text[i], &decimal, &number) == RG_NUMBER) {
            numbers++;
            low = fmin(low, number);
            high = fmax(high, number);
        }
    bool whole = numbers == values->count && high - low == values->count - 1;
    if (numbers > 0 && !whole)
        return 0;
    bool named = format->names && rg_format_is_label(format->names[column]);
    return 1 + 4 * named + 2 * (numbers == 0) + (whole && column == 0);
}

static void list_suspects(const struct rg_format *format, const struct rg_names *values, int count,
                          int rows, int but, char *text, size_t size)
{
    int listed = 0;
    for (int wanted = 8; wanted > 0; wanted--)
        for (int c = 0; c < count; c++) {
            char name[80];
            if (c != but && listed < SUSPECTS &&
                label_score(format, c, &values[c], rows) == wanted) {
                rg_data_list(text, size, "%s", rg_format_column(format, c, name, sizeof name));
                listed++;
            }
        }
}

void rg_format_suspects(const char *path, const struct rg_format *format, int but, char *text,
                        size_t size)
{
    struct rg_lines lines;
    int count = RG_MIN(format->columns, SUSPECT_COLUMNS), rows = 0;
    struct rg_names *values = calloc((size_t)count, sizeof *values);
    char *line;
    size_t length;
    text[0] = '\0';
    if (!values || rg_lines_open(&lines, path, NULL) < 0) {
        free(values);
        return;
    }
    bool heading = format->heading;
    while (rows < SUSPECT_ROWS && rg_lines_next(&lines, &line, &length, NULL) > 0) {
        struct rg_table_field field;
        char *at = heading ? NULL : line;
        for (int c = 0; c < count && at && rg_table_field_next(&at, format->separator, &field); c++)
            if (values[c].count <= SUSPECT_VALUES)
                rg_names_add(&values[c], field.text, field.length);
        rows += !heading;
        heading = false;
    }
    list_suspects(format, values, count, rows, but, text, size);
    for (int c = 0; c < count; c++)
        rg_names_free(&values[c]);
    free(values);
    rg_lines_close(&lines);
}
