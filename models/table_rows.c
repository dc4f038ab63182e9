/* The rows of a table, one at a time.
 *
 * Failure modes handled, each with file, line and column: a field that is no finite number, a
 * missing value (unless the scenario says what becomes of it), decimal points and commas in one
 * file, a row of another length, quotes that do not end, labels that are not as many as rows. */
#include "models/table.h"

#include "base/check.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int rg_reader_open(struct rg_reader *r, const char *path, const char *label_path,
                   const struct rg_format *format, const struct rg_columns *columns,
                   enum rg_missing missing, struct rg_error *e)
{
    struct rg_error why = {0};
    *r = (struct rg_reader){.format = format, .columns = columns, .missing = missing};
    r->decimal.comma_allowed = format->separator != ',';
    r->label_decimal.comma_allowed = true;
    r->values = calloc((size_t)format->columns, sizeof *r->values);
    if (columns->categories > 0)
        r->cells = calloc((size_t)format->columns, sizeof *r->cells);
    int err = r->values && (r->cells || columns->categories == 0)
                  ? 0
                  : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    if (err == 0 && rg_lines_open(&r->lines, path, &why) < 0)
        err = rg_fail_at(e, path, 0, "cannot be read: %s", why.text);
    if (err == 0 && label_path && rg_lines_open(&r->labels, label_path, &why) < 0)
        err = rg_fail_at(e, label_path, 0, "cannot be read: %s", why.text);
    if (err < 0)
        rg_reader_close(r);
    return err;
}

void rg_reader_close(struct rg_reader *r)
{
    rg_lines_close(&r->lines);
    rg_lines_close(&r->labels);
    free(r->values);
    free(r->cells);
    *r = (struct rg_reader){0};
}

static int wrong_length(const struct rg_reader *r, int columns, struct rg_error *e)
{
    return rg_fail_at(e, r->lines.path, r->lines.line,
                      "%d columns: %d are allowed, as in the first "
                      "row",
                      columns, r->format->columns);
}

static int missing_value(const struct rg_reader *r, int c, const char *text, const char *mean,
                         struct rg_error *e)
{
    char column[80];
    return rg_fail_at(
        e, r->lines.path, r->lines.line,
        "%s: \"%.40s\" is a missing value; missing=\"drop\" leaves such rows out%s%s%s",
        rg_format_column(r->format, c, column, sizeof column), text,
        mean ? ", missing=\"mean\" takes " : "", mean ? mean : "",
        mean ? " of the training samples" : "");
}

/* Field c, which begins at `at`, is none of the numbers that are allowed. */
static int wrong_field(const struct rg_reader *r, enum rg_number kind, int c, const char *at,
                       struct rg_error *e)
{
    char column[80], *copy = strdup(at), *next = copy;
    struct rg_table_field field = {.text = copy};
    bool is_number = r->columns->role[c] == RG_ROLE_NUMBER;
    int behind = rg_field_count(at, r->format->separator), err;
    bool quotes = !copy || behind < 0 || !rg_table_field_next(&next, r->format->separator, &field);
    rg_format_column(r->format, c, column, sizeof column);
    if (quotes)
        err = rg_fail_at(e, r->lines.path, r->lines.line,
                         "%s: a quote that does not end, or text "
                         "behind it",
                         column);
    else if (c + behind != r->format->columns)
        err = wrong_length(r, c + behind, e);
    else if (kind == RG_MISSING)
        err = missing_value(r, c, field.text, is_number ? "the mean" : NULL, e);
    else if (kind == RG_OTHER_MARK)
        err = rg_fail_at(e, r->lines.path, r->lines.line,
                         "%s: \"%.40s\", where numbers before it have a decimal %s; one of both is "
                         "allowed",
                         column, field.text, r->decimal.mark == ',' ? "comma" : "point");
    else if (!is_number)
        err = rg_fail_at(e, r->lines.path, r->lines.line,
                         "%s: \"%.40s\" is not a number, as targets of "
                         "loss=\"mean-squared-error\" and columns of a one-hot label are",
                         column, field.text);
    else
        err = rg_fail_at(e, r->lines.path, r->lines.line,
                         "%s: \"%.40s\" is not a number; drop=\"%d\" leaves "
                         "the column out, categories=\"%d\" makes an input of each value",
                         column, field.text, c + 1, c + 1);
    free(copy);
    return err;
}

static int not_finite(const struct rg_reader *r, int c, struct rg_error *e)
{
    char column[80];
    return rg_fail_at(e, r->lines.path, r->lines.line,
                      "%s: %g is not finite in single precision: only finite numbers are allowed",
                      rg_format_column(r->format, c, column, sizeof column), r->values[c]);
}

/* Past the separator behind a field; false: the line ends. */
static bool next_field(const char **at, char separator)
{
    const char *p = *at;
    if (separator == RG_BLANKS)
        p += strspn(p, " \t");
    else if (*p)
        p++;
    bool more = separator == RG_BLANKS ? *p != '\0' : p > *at;
    *at = p;
    return more;
}

/* A field that is text: a label, a group, a category, or one that is passed over. */
static int take_text(struct rg_reader *r, int c, const char **at, bool *more, struct rg_error *e)
{
    struct rg_table_field field;
    char *p = r->lines.buffer + (*at - r->lines.buffer);
    if (!rg_table_field_next(&p, r->format->separator, &field))
        return wrong_field(r, RG_NO_NUMBER, c, *at, e);
    enum rg_role role = r->columns->role[c];
    if (role == RG_ROLE_LABEL) {
        r->label = field.text;
        r->label_length = field.length;
    } else if (role == RG_ROLE_GROUP) {
        r->group = field.text;
        r->group_length = field.length;
    } else if (role == RG_ROLE_CATEGORY) {
        bool there = !rg_is_missing(field.text, field.length) || strcmp(field.text, "None") == 0;
        if (!there && r->missing == RG_MISSING_REFUSE)
            return missing_value(r, c, field.text, "the shares of all values", e);
        r->cells[c] = (struct rg_cell){there ? field.text : NULL, field.length};
        r->values[c] = there ? 0 : NAN;
    }
    *more = p != NULL;
    *at = p ? p : field.text + field.length;
    return 0;
}

/* A whole number of up to 15 digits right up to the separator, which most fields of large tables
 * are: *at moves on past it, or stays where it is anything else, which rg_number_next reads. */
static inline bool quick_number(const char **at, char separator, double *value)
{
    const char *p = *at;
    uint64_t digits = 0;
    unsigned digit;
    while ((digit = (unsigned)(*p - '0')) < 10 && p - *at < 15) {
        digits = 10 * digits + digit;
        p++;
    }
    if (*p != separator || p == *at)
        return false;
    *value = (double)digits;
    *at = p + 1;
    return true;
}

/* The fields of a line into values, label and group. 1, or 0: the row is dropped. */
static int parse_row(struct rg_reader *r, const char *at, struct rg_error *e)
{
    const enum rg_role *role = r->columns->role;
    char separator = r->format->separator;
    int columns = r->format->columns, lacking = 0, c = 0;
    for (bool more = true; more; c++) {
        if (c == columns)
            return wrong_length(r, c + rg_field_count(at, separator), e);
        bool target = role[c] == RG_ROLE_ONE_HOT || role[c] == RG_ROLE_TARGET;
        bool number = role[c] == RG_ROLE_NUMBER || target;
        if (number && separator != RG_BLANKS && quick_number(&at, separator, &r->values[c]))
            continue;
        if (number) {
            const char *start = at;
            enum rg_number kind = rg_number_next(&at, separator, &r->decimal, &r->values[c]);
            bool stands_in = r->missing == RG_MISSING_MEAN && !target;
            if (kind == RG_MISSING && (stands_in || r->missing == RG_MISSING_DROP)) {
                r->values[c] = NAN;
                lacking++;
            } else if (kind != RG_NUMBER) {
                return wrong_field(r, kind, c, start, e);
            } else if (!(fabs(r->values[c]) <= FLT_MAX)) {
                return not_finite(r, c, e);
            }
            more = next_field(&at, separator);
        } else {
            int err = take_text(r, c, &at, &more, e);
            if (err < 0)
                return err;
            lacking += role[c] == RG_ROLE_CATEGORY && isnan(r->values[c]);
        }
    }
    if (c != columns)
        return wrong_length(r, c, e);
    if (lacking > 0 && r->missing == RG_MISSING_DROP)
        return 0;
    r->filled += lacking;
    return 1;
}

/* The label of the row from the file of its own. */
static int next_label(struct rg_reader *r, struct rg_error *e)
{
    char *line;
    size_t length;
    int got = rg_lines_next(&r->labels, &line, &length, e);
    if (got == 0)
        return rg_fail_at(e, r->labels.path, RG_MAX(r->labels.line, 1),
                          "it ends here: a label for each row of %s is wanted", r->lines.path);
    if (got < 0)
        return got;
    line += strspn(line, " \t");
    for (length = strlen(line);
         length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t');)
        line[--length] = '\0';
    if (line[strcspn(line, " \t,;")] != '\0')
        return rg_fail_at(e, r->labels.path, r->labels.line,
                          "\"%.40s\": one label a line is allowed", line);
    r->label = line;
    r->label_length = length;
    return 1;
}

/* A label or group that is missing drops the row or is refused. 1, 0 or an error. */
static int check_texts(const struct rg_reader *r, struct rg_error *e)
{
    bool label = r->columns->target_count == 0 && rg_is_missing(r->label, r->label_length) &&
                 strcmp(r->label, "None") != 0;
    bool group = r->columns->group >= 0 && rg_is_missing(r->group, r->group_length);
    bool own = r->labels.stream != NULL;
    char column[80] = "label";
    if (!label && !group)
        return 1;
    if (r->missing == RG_MISSING_DROP)
        return 0;
    if (!label || !own)
        rg_format_column(r->format, label ? r->columns->label : r->columns->group, column,
                         sizeof column);
    return rg_fail_at(e, label && own ? r->labels.path : r->lines.path,
                      label && own ? r->labels.line : r->lines.line,
                      "%s: \"%.40s\" is a missing value; missing=\"drop\" leaves such rows out",
                      column, label ? r->label : r->group);
}

int rg_reader_next(struct rg_reader *r, struct rg_error *e)
{
    char *line;
    size_t length;
    for (;;) {
        int got = rg_lines_next(&r->lines, &line, &length, e);
        if (got > 0 && !r->begun && r->format->heading) {
            r->begun = true;
            continue;
        }
        r->begun = true;
        if (got == 0 && r->labels.stream && rg_lines_next(&r->labels, &line, &length, e) > 0)
            return rg_fail_at(e, r->labels.path, r->labels.line, "more labels than %s has rows",
                              r->lines.path);
        if (got <= 0)
            return got;
        int label = r->labels.stream ? next_label(r, e) : 1;
        int row = label < 0 ? label : parse_row(r, line, e);
        if (row > 0)
            row = check_texts(r, e);
        if (row != 0)
            return row;
        r->dropped++;
    }
}
