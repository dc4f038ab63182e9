/* Targets in files of arrays: labels, a column a class, or numbers. See array.h. */
#include "models/array.h"

#include "base/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rg_array_targets_free(struct rg_array_targets *t)
{
    rg_names_free(&t->texts);
    free(t->label);
    free(t->number);
    *t = (struct rg_array_targets){0};
}

static int no_memory(const struct rg_array_file *file, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file->path);
}

/* ---- labels ---- */

/* Where a row of labels, 0 but for one 1, has that; -1: it is no such row. */
static int one_of(const struct rg_array_file *file, const unsigned char *row)
{
    int one = -1;
    for (size_t i = 0; i < file->values; i++) {
        double value = rg_array_value(file, row, i);
        if ((value != 0 && value != 1) || (value == 1 && one >= 0))
            return -1;
        one = value == 1 ? (int)i : one;
    }
    return one;
}

/* Have all rows a column a class, and a 1 in one of them? The stream stands where it stood. */
static int find_one_hot(struct rg_array_file *file, bool *one_hot, struct rg_error *e)
{
    unsigned char *row = malloc(file->row);
    int err = row ? 0 : no_memory(file, e);
    *one_hot = true;
    for (uint32_t i = 0; i < file->size[0] && err == 0 && *one_hot; i++) {
        err = rg_array_bytes(file, row, file->row, "its labels", e);
        *one_hot = err == 0 && one_of(file, row) >= 0;
    }
    free(row);
    if (err == 0 && gzseek(file->stream, (z_off_t)file->header, SEEK_SET) < 0)
        err = rg_fail_at(e, file->path, 0, "cannot be read again");
    return err;
}

/* The index of a label's text; `known`, of labels 0 to 255, saves writing it again. */
static int label_index(struct rg_array_targets *t, double value)
{
    char text[24];
    bool small = value >= 0 && value < (double)RG_COUNT(t->known);
    if (small && t->known[(int)value] > 0)
        return t->known[(int)value] - 1;
    int length = snprintf(text, sizeof text, "%.0f", value);
    int index = rg_names_add(&t->texts, text, (size_t)length);
    if (small && index >= 0)
        t->known[(int)value] = index + 1;
    return index;
}

static int take_label(struct rg_array_targets *t, const struct rg_array_file *file,
                      const unsigned char *row, uint32_t i, struct rg_error *e)
{
    double value = t->one_hot ? one_of(file, row)
                              : rg_array_value(file, row, (size_t)RG_MAX(t->column - 1, 0));
    if (value != floor(value) || fabs(value) > 0x1p53)
        return rg_fail_at(e, file->path, 0,
                          "label %.9g of sample %u: whole numbers are allowed; numbers to come "
                          "near to want a network of loss=\"mean-squared-error\"",
                          value, i);
    int index = label_index(t, value);
    t->label[t->rows] = index;
    return index < 0 ? no_memory(file, e) : 0;
}

/* ---- numbers ---- */

static int take_numbers(struct rg_array_targets *t, const struct rg_array_file *file,
                        const unsigned char *row, uint32_t i, struct rg_error *e)
{
    float *number = t->number + (size_t)t->rows * (size_t)t->count;
    for (int k = 0; k < t->count; k++) {
        double value = rg_array_value(file, row, (size_t)(t->column > 0 ? t->column - 1 : k));
        if (!(fabs(value) <= FLT_MAX))
            return rg_fail_at(e, file->path, 0,
                              "number %d of sample %u is not finite in single precision", k, i);
        number[k] = (float)value;
    }
    return 0;
}

/* ---- a file ---- */

int rg_array_targets_open(struct rg_array_targets *t, struct rg_array_file *file,
                          const struct rg_array_format *format, const struct rg_data_spec *spec,
                          const char *path, struct rg_error *e)
{
    char text[160];
    int err = rg_array_open(file, format, spec, path, e);
    t->column = rg_data_number(spec, "label");
    t->numbers = spec->numbers;
    if (err < 0)
        return err;
    if (file->dimensions > 2)
        return rg_fail_at(e, path, 0,
                          "labels of %s: whole numbers in 1 dimension, or 2 of which one "
                          "column is the class, are allowed",
                          rg_array_describe(file, text, sizeof text));
    if ((size_t)t->column > file->values)
        return rg_data_fail(spec, e, "label=\"%d\": %s has %zu columns", t->column, path,
                            file->values);
    return 0;
}

static int make_room(struct rg_array_targets *t, const struct rg_array_file *file,
                     struct rg_error *e)
{
    size_t rows = t->rows + (size_t)file->size[0];
    size_t row = t->numbers ? (size_t)t->count * sizeof *t->number : sizeof *t->label;
    void *old = t->numbers ? (void *)t->number : t->label;
    void *more = rows <= SIZE_MAX / row ? realloc(old, rows * row) : NULL;
    if (!more)
        return no_memory(file, e);
    if (t->numbers)
        t->number = more;
    else
        t->label = more;
    return 0;
}

/* As many columns as the file before, if there was one, and one-hot if that was. */
static int settle_columns(struct rg_array_targets *t, struct rg_array_file *file, bool one_hot,
                          struct rg_error *e)
{
    const char *has = one_hot ? "have" : "have not", *had = t->one_hot ? "have" : "have not";
    if (t->rows > 0 && one_hot != t->one_hot)
        return rg_fail_at(
            e, file->path, 0,
            "labels %s a column for each class (one-hot), those of %s %s: both or none "
            "are allowed",
            has, t->first, had);
    if (t->rows > 0 && (t->numbers || one_hot) && file->values != t->columns)
        return rg_fail_at(e, file->path, 0,
                          "%zu %s a sample, where %s has %zu: as many are allowed", file->values,
                          t->numbers ? "numbers" : "columns", t->first, t->columns);
    if (t->rows == 0) {
        t->first = file->path;
        t->columns = file->values;
        t->one_hot = one_hot;
        t->count = t->numbers && t->column == 0 ? (int)file->values : 1;
    }
    return 0;
}

int rg_array_targets_read(struct rg_array_targets *t, struct rg_array_file *file,
                          struct rg_error *e)
{
    bool one_hot = false, may_be = !t->numbers && t->column == 0 && file->values > 2;
    int err = may_be ? find_one_hot(file, &one_hot, e) : 0;
    if (err < 0 || (err = settle_columns(t, file, one_hot, e)) < 0 ||
        (err = make_room(t, file, e)) < 0)
        return err;
    size_t some = RG_MAX(RG_ARRAY_BLOCK / file->row, 1);
    unsigned char *block = malloc(some * file->row);
    if (!block)
        return no_memory(file, e);
    for (uint32_t i = 0; i < file->size[0] && err == 0; i++) {
        const unsigned char *row = block + i % some * file->row;
        if (i % some == 0)
            err = rg_array_bytes(file, block, RG_MIN(some, file->size[0] - i) * file->row,
                                 t->numbers ? "its numbers" : "its labels", e);
        if (err == 0)
            err = t->numbers ? take_numbers(t, file, row, i, e) : take_label(t, file, row, i, e);
        t->rows += err == 0;
    }
    free(block);
    return err ? err : rg_array_check_end(file, e);
}
