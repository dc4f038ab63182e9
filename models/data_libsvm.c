/* Sparse rows as libsvm and svm-light write them: "LABEL INDEX:VALUE INDEX:VALUE ... # comment".
 * Indices that a row leaves out are 0; in memory rows are dense, and standardised as csv's are.
 *
 * Writers count indices from 0 (scikit-learn) or from 1 (libsvm): a file that has an index 0 counts
 * from 0, another from 1, and which it was is said, since a file from 0 may lack its first column.
 * Failure modes handled, each with file and line: a pair that is none, indices that do not rise,
 * values that are not finite, a row without a label; and those of classes and splits. */
#include "models/data.h"

#include "base/check.h"
#include "models/layers.h"
#include "models/table_text.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct svm {
    const char *path[2]; /* training and test rows; NULL: none */
    int files, base, inputs;
    int low, high; /* indices of all files */
    struct rg_names labels;
    int *label;    /* [rows] indices of those, then classes */
    float *number; /* [rows] in place of them, where targets are numbers */
    bool numbers;
    uint32_t rows, room, test_from;
    uint32_t *place;
};

static void close_svm(void *source)
{
    struct svm *svm = source;
    rg_names_free(&svm->labels);
    free(svm->label);
    free(svm->number);
    free(svm->place);
    free(svm);
}

struct pair {
    int index;
    double value;
};

static int complain(const struct rg_lines *lines, const char *at, const char *allowed,
                    struct rg_error *e)
{
    return rg_fail_at(e, lines->path, lines->line, "\"%.*s\": %s",
                      (int)RG_MIN(strcspn(at, " \t"), 40), at, allowed);
}

/* The next pair at *at: 1, or 0 at the end of the line. "qid:3", of ranking, is passed over. */
static int next_pair(const struct rg_lines *lines, const char **at, int last, struct pair *pair,
                     struct rg_error *e)
{
    static const char allowed[] = "INDEX:VALUE is allowed";
    struct rg_decimal decimal = {.mark = '.'};
    const char *p = *at + strspn(*at, " \t"), *start = p;
    if (strncmp(p, "qid:", 4) == 0) {
        p += strcspn(p, " \t");
        start = p += strspn(p, " \t");
    }
    if (*p == '\0' || *p == '#')
        return 0;
    long index = 0;
    for (; *p >= '0' && *p <= '9' && index <= RG_MAX_WIDTH; p++)
        index = 10 * index + (*p - '0');
    if (index > RG_MAX_WIDTH)
        return rg_fail_at(e, lines->path, lines->line, "index %.20s: up to %d are allowed", start,
                          RG_MAX_WIDTH);
    if (p == start || *p++ != ':')
        return complain(lines, start, allowed, e);
    if (index <= last)
        return rg_fail_at(e, lines->path, lines->line,
                          "index %ld behind %d: each must be larger than the one before", index,
                          last);
    if (rg_number_next(&p, RG_BLANKS, &decimal, &pair->value) != RG_NUMBER)
        return complain(lines, start, allowed, e);
    if (!(fabs(pair->value) <= FLT_MAX))
        return complain(lines, start, "a value that is finite in single precision is allowed", e);
    pair->index = (int)index;
    *at = p;
    return 1;
}

/* The label that a line begins with; *at is behind it. */
static int take_label(const struct rg_lines *lines, const char *line, const char **at,
                      size_t *length, struct rg_error *e)
{
    *length = strcspn(line, " \t");
    if (memchr(line, ':', *length))
        return complain(lines, line, "a label in front of the pairs is wanted", e);
    if (memchr(line, ',', *length))
        return complain(lines, line, "one label a row is allowed", e);
    if (rg_is_missing(line, *length))
        return complain(lines, line, "a label is wanted", e);
    *at = line + *length;
    return 0;
}

/* A target of loss="mean-squared-error". */
static int take_number(const struct rg_lines *lines, const char *text, float *number,
                       struct rg_error *e)
{
    struct rg_decimal decimal = {.mark = '.'};
    const char *at = text;
    double value;
    if (rg_number_next(&at, RG_BLANKS, &decimal, &value) != RG_NUMBER || !(fabs(value) <= FLT_MAX))
        return complain(lines, text,
                        "a number that is finite in single precision is wanted, for "
                        "loss=\"mean-squared-error\"",
                        e);
    *number = (float)value;
    return 0;
}

static int add_row(struct svm *svm, const struct rg_lines *lines, const char *label, size_t length,
                   struct rg_error *e)
{
    if (svm->rows == svm->room) {
        uint32_t room = svm->room ? 2 * svm->room : 1024;
        void *old = svm->numbers ? (void *)svm->number : svm->label;
        void *more = room <= INT_MAX ? realloc(old, room * sizeof *svm->label) : NULL;
        if (!more)
            return rg_fail_at(e, lines->path, lines->line, "no memory for so many rows");
        if (svm->numbers)
            svm->number = more;
        else
            svm->label = more;
        svm->room = room;
    }
    if (svm->numbers)
        return take_number(lines, label, &svm->number[svm->rows++], e);
    int index = rg_names_add(&svm->labels, label, length);
    if (index < 0)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", lines->path);
    svm->label[svm->rows++] = index;
    return 0;
}

static int open_lines(struct rg_lines *lines, const char *path, struct rg_error *e)
{
    struct rg_error why = {0};
    return rg_lines_open(lines, path, &why) < 0
               ? rg_fail_at(e, path, 0, "cannot be read: %s", why.text)
               : 0;
}

static int scan(struct svm *svm, int which, struct rg_error *e)
{
    struct rg_lines lines;
    char *line;
    size_t length, label;
    const char *at;
    uint32_t before = svm->rows;
    int got = 0, err = open_lines(&lines, svm->path[which], e);
    while (err == 0 && (got = rg_lines_next(&lines, &line, &length, e)) > 0) {
        struct pair pair = {0};
        int last = -1;
        line += strspn(line, " \t");
        if ((err = take_label(&lines, line, &at, &label, e)) < 0)
            break;
        while ((err = next_pair(&lines, &at, last, &pair, e)) > 0) {
            svm->low = RG_MIN(svm->low, pair.index);
            svm->high = RG_MAX(svm->high, pair.index);
            last = pair.index;
        }
        if (err == 0)
            err = add_row(svm, &lines, line, label, e);
    }
    err = RG_MIN(err, got);
    if (err == 0 && svm->rows == before)
        err = rg_fail_at(e, svm->path[which], RG_MAX(lines.line, 1), "the file ends without a row");
    rg_lines_close(&lines);
    return err;
}

/* Where indices begin, and how many there are. */
static int settle_indices(struct svm *svm, const struct rg_data_spec *spec, struct rg_dataset *data,
                          struct rg_error *e)
{
    int choice = rg_data_number(spec, "index-base"), wanted = rg_data_number(spec, "inputs");
    svm->base = choice == 0 ? svm->low != 0 : choice - 1;
    if (svm->low > svm->high)
        return rg_data_fail(spec, e, "%s: no row has a value", svm->path[0]);
    if (svm->low < svm->base)
        return rg_data_fail(spec, e, "index-base=\"1\": %s has an index 0", svm->path[0]);
    int inputs = svm->high - svm->base + 1;
    if (wanted > 0 && wanted < inputs)
        return rg_data_fail(spec, e, "inputs=\"%d\": %s has indices up to %d, which are %d inputs",
                            wanted, svm->path[0], svm->high, inputs);
    svm->inputs = RG_MAX(inputs, wanted);
    if (svm->inputs > RG_MAX_WIDTH)
        return rg_data_fail(spec, e, "%s: %d inputs; up to %d are allowed", svm->path[0],
                            svm->inputs, RG_MAX_WIDTH);
    data->shape = (struct rg_shape){svm->inputs, 1, 1};
    data->input_notes = data->note_count;
    data->input_note_count = 1;
    return rg_data_note(data, e, "indices %d to %d, taken to count from %d: %d inputs", svm->low,
                        svm->high, svm->base, svm->inputs);
}

static int study(struct svm *svm, const struct rg_data_spec *spec, struct rg_dataset *data,
                 struct rg_error *e)
{
    enum rg_split split = rg_data_number(spec, "split") == 1 ? RG_SPLIT_ORDER : RG_SPLIT_STRATIFIED;
    int err = 0;
    svm->path[0] = rg_data_string(spec, "file");
    svm->path[1] = rg_data_string(spec, "test-file");
    svm->files = svm->path[1] ? 2 : 1;
    if (!svm->path[0])
        return rg_data_fail(spec, e, "no file is given for data of kind libsvm");
    svm->low = INT_MAX;
    svm->high = -1;
    for (int i = 0; i < svm->files && err == 0; i++) {
        err = rg_data_readable(spec, svm->path[i], e);
        if (err == 0)
            err = scan(svm, i, e);
        svm->test_from = i == 0 ? svm->rows : svm->test_from;
    }
    if (err < 0 || (err = settle_indices(svm, spec, data, e)) < 0)
        return err;
    svm->place = malloc(svm->rows * sizeof *svm->place);
    if (!svm->place)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", svm->path[0]);
    if (!svm->numbers &&
        (err = rg_data_classes(spec, svm->path[0], &svm->labels, rg_data_number(spec, "classes"),
                               svm->rows, svm->label, data, e)) < 0)
        return err;
    struct rg_rows rows = {.file = svm->path[0],
                           .labels = svm->numbers ? NULL : svm->label,
                           .classes = data->classes,
                           .count = svm->rows,
                           .test_from = svm->test_from};
    return rg_data_split(spec, split, &rows, svm->place, data, e);
}

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct svm *svm = calloc(1, sizeof *svm);
    if (!svm)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    data->source = svm;
    data->by_training = true;
    svm->numbers = spec->numbers;
    return study(svm, spec, data, e);
}

static void take_target(const struct svm *svm, uint32_t row, uint32_t place,
                        struct rg_dataset *data)
{
    if (svm->numbers)
        *(float *)rg_dataset_target(data, place) = svm->number[row];
    else
        rg_dataset_set_label(data, place, svm->label[row]);
}

static int fill_file(struct svm *svm, int which, uint32_t *row, struct rg_dataset *data,
                     struct rg_error *e)
{
    struct rg_lines lines;
    char *line;
    size_t length;
    uint32_t end = which == 0 ? svm->test_from : svm->rows;
    int got = 0, err = open_lines(&lines, svm->path[which], e);
    while (err == 0 && (got = rg_lines_next(&lines, &line, &length, e)) > 0) {
        struct pair pair;
        const char *at = line + strspn(line, " \t");
        at += strcspn(at, " \t");
        uint32_t place = *row < end ? svm->place[*row] : UINT32_MAX;
        float *x = place != UINT32_MAX ? rg_dataset_x(data, place) : NULL;
        for (int last = -1; (err = next_pair(&lines, &at, last, &pair, e)) > 0; last = pair.index) {
            int input = pair.index - svm->base;
            if (input < 0 || input >= svm->inputs)
                break;
            if (x)
                x[input] = (float)pair.value;
        }
        if (err > 0 || *row >= end)
            err = rg_fail_at(e, svm->path[which], lines.line, "the file changed while it was read");
        else if (x)
            take_target(svm, *row, place, data);
        ++*row;
    }
    err = RG_MIN(err, got);
    if (err == 0 && *row != end)
        err = rg_fail_at(e, svm->path[which], 0, "the file changed while it was read");
    rg_lines_close(&lines);
    return err;
}

static int labels(const struct rg_data_spec *spec, const struct rg_dataset *data, int *label)
{
    const struct svm *svm = data->source;
    (void)spec;
    for (uint32_t i = 0; i < svm->rows; i++)
        if (svm->place[i] < (uint32_t)data->train)
            label[svm->place[i]] = svm->label[i];
    return 0;
}

static int fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct svm *svm = data->source;
    uint32_t row = 0;
    int err = 0;
    size_t train = (size_t)data->train,
           samples = train + (data->kept.test ? (size_t)data->test : 0);
    memset(data->x, 0, samples * data->inputs * sizeof *data->x);
    for (int i = 0; i < svm->files && err == 0; i++)
        err = fill_file(svm, i, &row, data, e);
    return err ? err : rg_data_scale(spec, data, NULL, NULL, svm->path[0], e);
}

static const struct rg_data_attribute attributes[] = {
    {"file", RG_DATA_FILE, true, .help = "rows of LABEL INDEX:VALUE ..., plain or .gz"},
    {"test-file", RG_DATA_FILE, .help = "the rows to test; default: some of the file"},
    {"index-base", RG_DATA_CHOICE, .choices = "auto|0|1", .help = "default: told from the file"},
    {"inputs", RG_DATA_COUNT, .min = 1, .max = 1 << 24, .help = "default: the largest index"},
    {"split", RG_DATA_CHOICE, .choices = RG_SPLIT_WORDS, .help = "default: stratified"},
    {"classes", RG_DATA_COUNT, .min = 1, .max = RG_DATA_CLASSES, .help = "default: as in the file"},
    {0},
};

const struct rg_data_kind rg_data_libsvm = {
    .name = "libsvm",
    .summary = "sparse rows, LABEL INDEX:VALUE ...",
    .attributes = attributes,
    .numbers = true,
    .probe = probe,
    .labels = labels,
    .fill = fill,
    .close = close_svm,
};
