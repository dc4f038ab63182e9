/* Comma-separated numbers with the label (0, 1, ...) in the last column: `csv`, and `iris`, which
 * is one such file. Split in training and test samples class by class, standardised by the mean and
 * the deviation of the training samples.
 *
 * Happy path: a line a sample; a first line without a number is a heading; lines that are empty or
 * start with # are passed over. Failure modes handled, each with file and line: a file that cannot
 * be read, a field that is no finite number, a label that is no class, a row of another length, no
 * rows. */
#include "models/data.h"

#include "base/check.h"
#include "base/file.h"
#include "base/random.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table {
    const char *file;
    int line;
    float *x; /* [rows x features] */
    uint8_t *labels;
    int rows, features, classes; /* features: 0 until the first row */
    int room;                    /* rows there is memory for */
};

static void table_free(struct table *table)
{
    free(table->x);
    free(table->labels);
}

/* The number that a field holds, blanks round it left out. */
static bool parse_number(const char *field, double *value)
{
    char *end;
    *value = strtod(field, &end);
    if (end == field)
        return false;
    while (isspace((unsigned char)*end))
        end++;
    return *end == '\0';
}

/* A heading: no field is a number. Splits `line` at its commas and restores it. */
static bool is_heading(char *line)
{
    bool heading = true;
    for (char *field = line; field && heading;) {
        double value;
        char *comma = strchr(field, ',');
        if (comma)
            *comma = '\0';
        heading = !parse_number(field, &value);
        if (comma)
            *comma = ',';
        field = comma ? comma + 1 : NULL;
    }
    return heading;
}

static int parse_label(struct table *table, const struct rg_data_spec *spec, const char *field,
                       struct rg_error *e)
{
    int given = rg_data_number(spec, "classes"), limit = given > 0 && given < 256 ? given : 256;
    double value;
    if (!parse_number(field, &value) || !(value >= 0 && value < limit) || value != floor(value))
        return rg_fail_at(e, table->file, table->line,
                          "label \"%.40s\" in the last column: an integer from 0 to %d is allowed, "
                          "the first class being 0",
                          field, limit - 1);
    table->labels[table->rows] = (uint8_t)value;
    table->classes = RG_MAX(table->classes, (int)value + 1);
    return 0;
}

static int parse_feature(struct table *table, int column, const char *field, struct rg_error *e)
{
    double value;
    if (!parse_number(field, &value))
        return rg_fail_at(e, table->file, table->line,
                          "column %d: \"%.40s\" is not a number: only numbers are allowed",
                          column + 1, field);
    if (!isfinite((float)value))
        return rg_fail_at(e, table->file, table->line,
                          "column %d: \"%.40s\" is not finite in single precision: only finite "
                          "numbers are allowed",
                          column + 1, field);
    table->x[(size_t)table->rows * (size_t)table->features + (size_t)column] = (float)value;
    return 0;
}

static int make_room(struct table *table, struct rg_error *e)
{
    if (table->rows < table->room)
        return 0;
    if (table->room > INT_MAX / 4)
        return rg_fail_at(e, table->file, table->line, "more than %d rows", table->room);
    int room = table->room ? 2 * table->room : 256;
    float *x = realloc(table->x, (size_t)room * (size_t)table->features * sizeof *x);
    if (x)
        table->x = x;
    uint8_t *labels = realloc(table->labels, (size_t)room);
    if (labels)
        table->labels = labels;
    if (!x || !labels)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", table->file);
    table->room = room;
    return 0;
}

static int parse_row(struct table *table, const struct rg_data_spec *spec, char *line,
                     struct rg_error *e)
{
    int columns = 1, err = 0;
    for (const char *c = line; *c; c++)
        columns += *c == ',';
    if (table->features == 0)
        table->features = columns - 1;
    if (columns < 2)
        return rg_fail_at(e, table->file, table->line,
                          "one column: numbers and then a label, separated by commas, are allowed");
    if (columns != table->features + 1)
        return rg_fail_at(e, table->file, table->line,
                          "%d columns: %d are allowed, as in the first row", columns,
                          table->features + 1);
    if ((err = make_room(table, e)) < 0)
        return err;
    for (int column = 0; column < columns && err == 0; column++) {
        char *comma = strchr(line, ',');
        if (comma)
            *comma = '\0';
        err = comma ? parse_feature(table, column, line, e) : parse_label(table, spec, line, e);
        line = comma + 1;
    }
    table->rows += err == 0;
    return err;
}

static int parse_stream(struct table *table, const struct rg_data_spec *spec, FILE *stream,
                        struct rg_error *e)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    int err = 0;
    bool begun = false;
    while (err == 0 && (length = getline(&line, &room, stream)) >= 0) {
        table->line++;
        if (memchr(line, '\0', (size_t)length)) {
            err = rg_fail_at(e, table->file, table->line, "a zero byte: only text is allowed");
            break;
        }
        while (length > 0 && isspace((unsigned char)line[length - 1]))
            line[--length] = '\0';
        char *text = table->line == 1 ? rg_skip_mark(line) : line;
        if (text[0] == '\0' || text[0] == '#')
            continue;
        if (begun || !is_heading(text))
            err = parse_row(table, spec, text, e);
        begun = true;
    }
    if (err == 0 && ferror(stream))
        err = rg_fail_at(e, table->file, 0, "cannot be read: %s", strerror(errno));
    free(line);
    return err;
}

/* Read the whole file. On failure nothing is left to free. */
static int table_read(struct table *table, const struct rg_data_spec *spec, struct rg_error *e)
{
    *table = (struct table){.file = rg_data_text(spec, "file")};
    if (!table->file)
        return rg_data_fail(spec, e, "no file is given for data of kind csv or iris");
    FILE *stream = fopen(table->file, "r");
    if (!stream)
        return rg_data_fail(spec, e, "cannot read %s: %s", table->file, strerror(errno));
    int err = parse_stream(table, spec, stream, e);
    fclose(stream);
    if (err == 0 && table->rows == 0)
        err = rg_fail_at(e, table->file, table->line, "the file ends without a row of numbers");
    if (err < 0)
        table_free(table);
    return err;
}

int rg_csv_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct table table;
    int err = table_read(&table, spec, e);
    if (err < 0)
        return err;
    data->shape = (struct rg_shape){table.features, 1, 1};
    data->classes = rg_data_number(spec, "classes");
    if (data->classes == 0)
        data->classes = table.classes;
    err = rg_data_split(spec, table.file, table.rows, data, e);
    table_free(&table);
    return err;
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

static int stratify(const struct table *table, uint64_t seed, struct place *places,
                    struct rg_error *e)
{
    uint32_t rows = (uint32_t)table->rows, count[256] = {0}, seen[256] = {0};
    uint32_t *order = malloc(rows * sizeof *order);
    struct rg_random *random = rg_random_new(seed, RG_STREAM_DATA, 0);
    int err = 0;
    if (order && random) {
        rg_random_permutation(random, order, rows);
        for (uint32_t i = 0; i < rows; i++)
            count[table->labels[i]]++;
        for (uint32_t i = 0; i < rows; i++) {
            int label = table->labels[order[i]];
            double fraction = (seen[label]++ + 0.5) / count[label];
            places[i] = (struct place){fraction, label, order[i]};
        }
        qsort(places, rows, sizeof *places, compare_places);
    } else {
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", table->file);
    }
    rg_random_free(random);
    free(order);
    return err;
}

/* Column j of all samples: mean 0 and deviation 1 over the training samples; a constant becomes 0.
 */
static int standardise(struct rg_dataset *data, size_t j, const char *file, struct rg_error *e)
{
    size_t train = (size_t)data->train, samples = train + (size_t)data->test, n = data->inputs;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < train; i++)
        mean += data->x[i * n + j];
    mean /= (double)train;
    for (size_t i = 0; i < train; i++)
        variance += pow(data->x[i * n + j] - mean, 2);
    variance /= (double)train;
    double scale = variance > 0 ? 1 / sqrt(variance) : 1;
    for (size_t i = 0; i < samples; i++) {
        float x = (float)((data->x[i * n + j] - mean) * scale);
        if (!isfinite(x))
            return rg_fail_at(
                e, file, 0,
                "column %zu: its numbers are too far apart, from a deviation of %.3g to "
                "%.3g; up to 1e38 times are allowed",
                j + 1, 1 / scale, (double)data->x[i * n + j]);
        data->x[i * n + j] = x;
    }
    data->mean[j] = mean;
    data->deviation[j] = 1 / scale;
    return 0;
}

int rg_csv_fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct table table;
    struct place *places = NULL;
    int err = table_read(&table, spec, e);
    if (err < 0)
        return err;
    size_t samples = (size_t)data->train + (size_t)data->test;
    /* The file may have changed since probe. */
    if ((size_t)table.rows < samples || (size_t)table.features != data->inputs)
        err = rg_fail_at(e, table.file, 0, "the file changed while it was read");
    else if (!(places = malloc((size_t)table.rows * sizeof *places)) ||
             !(data->mean = calloc(data->inputs, sizeof *data->mean)) ||
             !(data->deviation = calloc(data->inputs, sizeof *data->deviation)))
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", table.file);
    else
        err = stratify(&table, spec->seed, places, e);
    for (size_t i = 0; err == 0 && i < samples; i++) {
        data->labels[i] = table.labels[places[i].row];
        memcpy(data->x + i * data->inputs, table.x + places[i].row * data->inputs,
               data->inputs * sizeof *data->x);
    }
    for (size_t j = 0; err == 0 && j < data->inputs; j++)
        err = standardise(data, j, table.file, e);
    free(places);
    table_free(&table);
    return err;
}

static const struct rg_data_attribute attributes[] = {
    {"file", RG_DATA_FILE, true, .help = "numbers, the label in the last column"},
    {"classes", RG_DATA_COUNT, .min = 1, .max = 256, .help = "default: the largest label + 1"},
    {0},
};

const struct rg_data_kind rg_data_csv = {
    .name = "csv",
    .summary = "numbers, the label (0, 1, ...) in the last column",
    .attributes = attributes,
    .probe = rg_csv_probe,
    .fill = rg_csv_fill,
};
