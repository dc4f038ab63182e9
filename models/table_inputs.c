/* Which columns of a table are inputs, and what becomes of their values: see table.h. Columns that
 * number the rows are left out, categories become an input for each of their values, and what lies
 * far from zero, as dates do, has its middle taken off in double before it becomes float. */
#include "models/table.h"

#include "base/check.h"
#include "models/layers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int rg_inputs_make(struct rg_inputs *in, const char *path, const struct rg_format *format,
                   const struct rg_columns *columns, const struct rg_categories *categories)
{
    size_t n = (size_t)columns->count;
    *in = (struct rg_inputs){
        .path = path, .format = format, .columns = columns, .categories = categories};
    in->low = malloc(n * sizeof *in->low);
    in->high = malloc(n * sizeof *in->high);
    in->last = malloc(n * sizeof *in->last);
    in->steps = malloc(n);
    in->rises = malloc(n);
    if (!in->low || !in->high || !in->last || !in->steps || !in->rises)
        return RG_ERR_NOMEM;
    for (size_t c = 0; c < n; c++) {
        in->low[c] = INFINITY;
        in->high[c] = -INFINITY;
        in->last[c] = NAN;
        in->steps[c] = in->rises[c] = 1;
    }
    return 0;
}

void rg_inputs_free(struct rg_inputs *in)
{
    free(in->low);
    free(in->high);
    free(in->last);
    free(in->steps);
    free(in->rises);
    free(in->source);
    free(in->category);
    free(in->as_is);
    free(in->offset);
    *in = (struct rg_inputs){0};
}

void rg_inputs_learn(struct rg_inputs *in, const double *values, bool first)
{
    int columns = in->columns->count;
    for (int c = 0; c < columns; c++) {
        double value = values[c];
        in->low[c] = value < in->low[c] ? value : in->low[c];
        in->high[c] = value > in->high[c] ? value : in->high[c];
    }
    for (int c = 0; c < columns; c++) {
        in->steps[c] &= (unsigned char)(first | (values[c] == in->last[c] + 1));
        in->rises[c] &= (unsigned char)(first | (values[c] > in->last[c]));
        in->last[c] = values[c];
    }
    in->rows++;
}

/* Is the column called as those that number rows? "", "index", "row_id", "PassengerId". */
static bool called_number(const char *name)
{
    static const char *const names[] = {"", "id", "index", "unnamed: 0", "row", "no"};
    static const char *const ends[] = {"_id", " id", "-id", "Id", "ID", "_no", "_nr"};
    for (size_t i = 0; i < RG_COUNT(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < RG_COUNT(ends); i++) {
        size_t n = strlen(name), k = strlen(ends[i]);
        if (n > k && strcmp(name + n - k, ends[i]) == 0)
            return true;
    }
    return false;
}

/* Does the column number the rows? One up from row to row, unless these are seconds of a date; or,
 * where its name says so, rising whole numbers, or as many of them as there are rows; or any whole
 * numbers that are called "id" and nothing else. */
static bool numbers_rows(const struct rg_inputs *in, int c)
{
    const char *name = in->format->names ? in->format->names[c] : NULL;
    bool called = name && called_number(name);
    if (in->rows < 10 || in->columns->wanted[c])
        return false;
    if (in->steps[c] && in->high[c] < 1e8)
        return true;
    bool whole = in->low[c] == floor(in->low[c]) && in->high[c] == floor(in->high[c]);
    return called && whole &&
           (in->rises[c] || in->high[c] - in->low[c] == in->rows - 1.0 ||
            strcasecmp(name, "id") == 0);
}

/* What is told of the inputs. */
struct telling {
    char counting[120], constant[140], texts[400];
    int constants, coded; /* constant columns; inputs that are values of categories */
};

/* Room for an input a column, and one for each value of a category. */
static int make_inputs(struct rg_inputs *in, struct rg_error *e)
{
    size_t n = (size_t)in->columns->count;
    for (int c = 0; c < in->columns->count && in->columns->categories > 0; c++)
        n += (size_t)in->categories->trained[c];
    in->source = calloc(n, sizeof *in->source);
    in->offset = calloc(n, sizeof *in->offset);
    bool coded = in->columns->categories > 0;
    in->category = coded ? calloc(n, sizeof *in->category) : NULL;
    in->as_is = coded ? calloc(n, sizeof *in->as_is) : NULL;
    bool good = in->source && in->offset && (!coded || (in->category && in->as_is));
    return good ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", in->path);
}

static int no_value(const struct rg_inputs *in, const struct rg_data_spec *spec, int c,
                    struct rg_error *e)
{
    char name[80];
    return rg_data_fail(spec, e, "%s: %s has no value at all; drop=\"%d\" leaves it out", in->path,
                        rg_format_column(in->format, c, name, sizeof name), c + 1);
}

static int add_number(struct rg_inputs *in, const struct rg_data_spec *spec, int c,
                      struct telling *tell, struct rg_error *e)
{
    char name[80];
    double low = in->low[c], high = in->high[c], middle = low + (high - low) / 2;
    if (low > high)
        return no_value(in, spec, c, e);
    rg_format_column(in->format, c, name, sizeof name);
    if (numbers_rows(in, c)) {
        rg_data_list(tell->counting, sizeof tell->counting, "%s", name);
        return 0;
    }
    if (low == high) {
        rg_data_list(tell->constant, sizeof tell->constant, "%s", name);
        tell->constants++;
    }
    in->source[in->count] = c;
    in->offset[in->count++] = fabs(middle) > 16 * (high - low) ? middle : 0;
    return 0;
}

/* An input for each value that the training rows' file has. */
static int add_category(struct rg_inputs *in, const struct rg_data_spec *spec, int c,
                        struct telling *tell, struct rg_dataset *data, struct rg_error *e)
{
    char name[80], unseen[120] = "";
    const struct rg_names *values = &in->categories->values[c];
    int count = in->categories->trained[c], *order = calloc((size_t)count + 1, sizeof *order);
    rg_format_column(in->format, c, name, sizeof name);
    if (!order || rg_data_order(values, count, order) < 0) {
        free(order);
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", in->path);
    }
    for (int i = 0; i < count; i++) {
        in->source[in->count] = c;
        in->category[in->count] = order[i];
        in->as_is[in->count++] = true;
    }
    free(order);
    if (count == 0)
        return no_value(in, spec, c, e);
    if (!in->columns->wanted[c] && in->rows >= 10 && (uint32_t)values->count == in->rows)
        return rg_data_fail(spec, e,
                            "%s: %s has a text of its own in each row; drop=\"%d\" leaves it out, "
                            "categories=\"%d\" makes an input of each",
                            in->path, name, c + 1, c + 1);
    if (count == 1) {
        rg_data_list(tell->constant, sizeof tell->constant, "%s", name);
        tell->constants++;
    }
    rg_data_list(tell->texts, sizeof tell->texts, "%s %d", name, count);
    tell->coded += count;
    for (int i = count; i < values->count; i++)
        rg_data_list(unseen, sizeof unseen, "\"%.40s\"", values->text[i]);
    return values->count == count
               ? 0
               : rg_data_note(data, e, "%s: %s: no training row has that, its inputs are 0", name,
                              unseen);
}

/* Notes that say where the number of inputs comes from. */
static int note_inputs(const struct rg_inputs *in, const struct telling *tell,
                       struct rg_dataset *data, struct rg_error *e)
{
    int err = 0, before = data->note_count;
    if (tell->counting[0])
        err =
            rg_data_note(data, e, "%s left out: it numbers the rows; columns=\"...\" would take it",
                         tell->counting);
    if (err == 0 && tell->coded > 0)
        err = rg_data_note(data, e,
                           "%d of %d inputs are categories, 0 or 1, one for each value in sorted "
                           "order: %s",
                           tell->coded, in->count, tell->texts);
    data->input_notes = before;
    data->input_note_count = data->note_count - before;
    if (err == 0 && tell->constants > 0)
        err = rg_data_note(data, e, "%d of %d columns are constant and say nothing: %s",
                           tell->constants, in->count, tell->constant);
    return err;
}

/* What the inputs are called, so that a checkpoint can say which is which. */
static int name_inputs(const struct rg_inputs *in, struct rg_dataset *data, struct rg_error *e)
{
    char *const *names = in->format->names;
    if (in->columns->categories == 0 && !names)
        return 0;
    data->inputs = (size_t)in->count;
    data->input_names = calloc(data->inputs, sizeof *data->input_names);
    bool good = data->input_names != NULL;
    for (int i = 0; i < in->count && good; i++) {
        int c = in->source[i];
        const char *own = names ? names[c] : "";
        char called[80], *name = NULL;
        snprintf(called, sizeof called, own[0] ? "%.60s" : "%.0s%d", own, c + 1);
        if (in->as_is && in->as_is[i])
            good = asprintf(&name, "%s=%s", called,
                            in->categories->values[c].text[in->category[i]]) >= 0;
        else if (own[0])
            good = (name = strdup(own)) != NULL;
        data->input_names[i] = good ? name : NULL;
    }
    return good ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", in->path);
}

int rg_inputs_choose(struct rg_inputs *in, const struct rg_data_spec *spec, struct rg_dataset *data,
                     struct rg_error *e)
{
    struct telling tell = {0};
    int err = make_inputs(in, e);
    for (int c = 0; c < in->columns->count && err == 0; c++)
        if (in->columns->role[c] == RG_ROLE_NUMBER)
            err = add_number(in, spec, c, &tell, e);
        else if (in->columns->role[c] == RG_ROLE_CATEGORY)
            err = add_category(in, spec, c, &tell, data, e);
    if (err < 0)
        return err;
    if (tell.counting[0] && in->count == 0)
        return rg_data_fail(spec, e,
                            "%s: its only input, %s, numbers the rows; columns=\"...\" "
                            "names it if it is meant",
                            in->path, tell.counting);
    if (in->count == 0 || in->count > RG_MAX_WIDTH)
        return rg_data_fail(spec, e, "%s: %d columns of inputs; 1 to %d are allowed", in->path,
                            in->count, RG_MAX_WIDTH);
    err = name_inputs(in, data, e);
    return err ? err : note_inputs(in, &tell, data, e);
}

void rg_inputs_take(const struct rg_inputs *in, const double *values, float *x)
{
    for (int i = 0; i < in->count; i++)
        x[i] = (float)(values[in->source[i]] - in->offset[i]);
    for (int i = 0; i < in->count && in->as_is; i++)
        if (in->as_is[i])
            x[i] = isnan(x[i]) ? x[i] : x[i] == (float)in->category[i];
}
