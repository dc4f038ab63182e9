/* Columns of texts as inputs: one input for each value that the training rows have, 1 where a row
 * has that value and else 0 (one-hot), in sorted order; a value that only rows to test have is none
 * of them.
 *
 * Failure modes handled, with file, line and column: more values than are allowed, a number in a
 * column of texts, both of which a column that the scenario calls categories may have. */
#include "models/table.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values of a column that nobody called categories: more of them are rather names of rows. */
enum { UNASKED = 100 };

int rg_categories_make(struct rg_categories *categories, const struct rg_columns *columns)
{
    size_t n = (size_t)columns->count;
    *categories = (struct rg_categories){.columns = columns};
    if (columns->categories == 0)
        return 0;
    categories->values = calloc(n, sizeof *categories->values);
    categories->trained = calloc(n, sizeof *categories->trained);
    categories->line = calloc(n, sizeof *categories->line);
    return categories->values && categories->trained && categories->line ? 0 : RG_ERR_NOMEM;
}

void rg_categories_free(struct rg_categories *categories)
{
    for (int c = 0; categories->values && c < categories->columns->count; c++)
        rg_names_free(&categories->values[c]);
    free(categories->values);
    free(categories->trained);
    free(categories->line);
    *categories = (struct rg_categories){0};
}

static int refuse(const struct rg_reader *r, int c, const char *what, const char *cure,
                  struct rg_error *e)
{
    char column[80];
    rg_format_column(r->format, c, column, sizeof column);
    return rg_fail_at(e, r->lines.path, r->lines.line,
                      "%s: \"%.40s\" %s; drop=\"%d\" leaves the column out, categories=\"%d\" %s",
                      column, r->cells[c].text, what, c + 1, c + 1, cure);
}

/* One cell to the number of its value. */
static int take_cell(struct rg_categories *categories, struct rg_reader *r, int c,
                     struct rg_error *e)
{
    struct rg_names *values = &categories->values[c];
    bool asked = categories->columns->wanted[c];
    struct rg_decimal decimal = {.comma_allowed = r->format->separator != ','};
    char what[80];
    double number;
    if (!asked && (rg_number_of(r->cells[c].text, &decimal, &number) == RG_NUMBER ||
                   rg_is_like_number(r->cells[c].text))) {
        snprintf(what, sizeof what, "is a number, the column begins with \"%.20s\" (line %d)",
                 values->count > 0 ? values->text[0] : "", categories->line[c]);
        return refuse(r, c, what, "takes numbers for names, too", e);
    }
    int index = rg_names_add(values, r->cells[c].text, r->cells[c].length);
    if (index < 0)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", r->lines.path);
    if (index == 0 && categories->line[c] == 0)
        categories->line[c] = r->lines.line;
    if (index == RG_CATEGORIES_MAX)
        return rg_fail_at(e, r->lines.path, r->lines.line,
                          "column %d: more than %d different values, \"%.40s\" is another; "
                          "drop=\"%d\" leaves the column out",
                          c + 1, RG_CATEGORIES_MAX, r->cells[c].text, c + 1);
    if (!asked && index == UNASKED) {
        snprintf(what, sizeof what, "is not a number, and the column has over %d texts", UNASKED);
        return refuse(r, c, what, "makes an input of each value", e);
    }
    r->values[c] = index;
    return 0;
}

int rg_categories_take(struct rg_categories *categories, struct rg_reader *r, struct rg_error *e)
{
    const struct rg_columns *columns = categories->columns;
    int err = 0, left = columns->categories;
    for (int c = 0; left > 0 && err == 0; c++) {
        if (columns->role[c] != RG_ROLE_CATEGORY)
            continue;
        left--;
        if (r->cells[c].text)
            err = take_cell(categories, r, c, e);
    }
    return err;
}

void rg_categories_trained(struct rg_categories *categories)
{
    for (int c = 0; categories->values && c < categories->columns->count; c++)
        categories->trained[c] = categories->values[c].count;
}
