/* Labels as a file writes them -> classes 0, 1, ... */
#include "models/data.h"

#include "base/check.h"
#include "models/table_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct label {
    const char *text;
    double value; /* numbers */
    int index;    /* in the order of the file */
};

static int compare_numbers(const void *a, const void *b)
{
    const struct label *p = a, *q = b;
    return p->value != q->value ? (p->value < q->value ? -1 : 1) : p->index - q->index;
}

static int compare_texts(const void *a, const void *b)
{
    const struct label *p = a, *q = b;
    return strcmp(p->text, q->text);
}

/* Sorted; returns whether they are numbers, all of them. */
static bool sort_labels(const struct rg_names *values, struct label *labels)
{
    bool numbers = true;
    struct rg_decimal decimal = {.comma_allowed = true};
    for (int i = 0; i < values->count; i++) {
        labels[i] = (struct label){.text = values->text[i], .index = i};
        numbers = numbers &&
                  rg_number_of(values->text[i], &decimal, &labels[i].value) == RG_NUMBER &&
                  isfinite(labels[i].value);
    }
    qsort(labels, (size_t)values->count, sizeof *labels, numbers ? compare_numbers : compare_texts);
    return numbers;
}

int rg_data_order(const struct rg_names *values, int count, int *order)
{
    const struct rg_names first = {.text = values->text, .count = count};
    struct label *labels = calloc((size_t)count + 1, sizeof *labels);
    if (!labels)
        return RG_ERR_NOMEM;
    sort_labels(&first, labels);
    for (int i = 0; i < count; i++)
        order[i] = labels[i].index;
    free(labels);
    return 0;
}

/* Do all labels, which are sorted numbers, stay? See rg_data_classes. */
static bool they_stay(const struct rg_data_spec *spec, const struct label *labels, int count,
                      int distinct, int wanted)
{
    double least = labels[0].value, most = labels[count - 1].value;
    for (int i = 0; i < count; i++)
        if (labels[i].value != floor(labels[i].value))
            return false;
    if (least < 0)
        return false;
    return most == distinct - 1 || (most < wanted && (least == 0 || spec->trained_before));
}

/* "0 -> 0" says nothing. */
static int note_mapping(const struct label *labels, int count, const int *class_of, int distinct,
                        struct rg_dataset *data, struct rg_error *e)
{
    char list[600] = "";
    for (int i = 0, last = -1; i < count; i++) {
        int class = class_of[labels[i].index];
        if (class != last)
            rg_data_list(list, sizeof list, "\"%.40s\" is %d", labels[i].text, class);
        last = class;
    }
    return rg_data_note(data, e, "%d classes, in the order of their labels: %s", distinct, list);
}

static int note_empty(struct rg_dataset *data, struct rg_error *e)
{
    char list[200] = "";
    int empty = 0;
    for (int c = 0; c < data->classes; c++)
        if (!data->class_names[c]) {
            rg_data_list(list, sizeof list, "%d", c);
            empty++;
        }
    return empty
               ? rg_data_note(data, e, "no sample has class %s of 0 to %d", list, data->classes - 1)
               : 0;
}

/* The class of each label, sorted: its number, or its place among those that differ. */
static int number_labels(const struct label *labels, int count, bool numbers, bool stay,
                         int *class_of)
{
    int distinct = 0;
    for (int i = 0; i < count; i++) {
        bool same = i > 0 && numbers && labels[i].value == labels[i - 1].value;
        distinct += !same;
        if (class_of && distinct <= RG_DATA_CLASSES)
            class_of[labels[i].index] = stay ? (int)labels[i].value : distinct - 1;
    }
    return distinct;
}

static int check_counts(const struct rg_data_spec *spec, const char *file,
                        const struct label *labels, int count, int distinct, int wanted,
                        struct rg_error *e)
{
    char list[200] = "";
    for (int i = 0; i < count; i++)
        rg_data_list(list, sizeof list, "\"%.20s\"", labels[i].text);
    if (distinct < 2)
        return rg_data_fail(spec, e,
                            "%s: only one class is there, every label is \"%.40s\"; two and more "
                            "are allowed",
                            file, labels[0].text);
    if (distinct > RG_DATA_CLASSES)
        return rg_data_fail(spec, e, "%s: %d different labels, %s: up to %d classes are allowed",
                            file, distinct, list, RG_DATA_CLASSES);
    if (wanted > 0 && distinct > wanted)
        return rg_data_fail(spec, e, "classes=\"%d\": %s has %d different labels, %s", wanted, file,
                            distinct, list);
    return 0;
}

/* Names of the classes that have any. */
static int name_classes(const struct label *labels, int count, const int *class_of,
                        struct rg_dataset *data, struct rg_error *e)
{
    data->class_names = calloc((size_t)data->classes, sizeof *data->class_names);
    if (!data->class_names)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    for (int i = 0; i < count; i++) {
        char **name = &data->class_names[class_of[labels[i].index]];
        if (!*name && !(*name = strdup(labels[i].text)))
            return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    }
    return note_empty(data, e);
}

int rg_data_named_classes(const struct rg_data_spec *spec, const char *file,
                          const struct rg_names *names, struct rg_dataset *data, struct rg_error *e)
{
    char list[600] = "";
    int wanted = rg_data_number(spec, "classes");
    if (wanted > 0 && wanted < names->count)
        return rg_data_fail(spec, e, "classes=\"%d\": %s has %d columns of classes", wanted, file,
                            names->count);
    data->classes = RG_MAX(wanted, names->count);
    data->class_names = calloc((size_t)data->classes, sizeof *data->class_names);
    for (int c = 0; c < names->count; c++) {
        if (!data->class_names || !(data->class_names[c] = strdup(names->text[c])))
            return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file);
        rg_data_list(list, sizeof list, "\"%.40s\" is %d", names->text[c], c);
    }
    return rg_data_note(data, e, "%d classes, a column each: %s", names->count, list);
}

int rg_data_classes(const struct rg_data_spec *spec, const char *file,
                    const struct rg_names *values, int wanted, uint32_t rows, int *label,
                    struct rg_dataset *data, struct rg_error *e)
{
    int count = values->count, err = 0;
    RG_ASSERT(count > 0);
    struct label *labels = calloc((size_t)count, sizeof *labels);
    int *class_of = malloc((size_t)count * sizeof *class_of);
    if (!labels || !class_of) {
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file);
        goto end;
    }
    bool numbers = sort_labels(values, labels);
    int distinct = number_labels(labels, count, numbers, false, NULL);
    err = check_counts(spec, file, labels, count, distinct, wanted, e);
    if (err == 0) {
        bool stay = numbers && they_stay(spec, labels, count, distinct, wanted);
        number_labels(labels, count, numbers, stay, class_of);
        data->classes = RG_MAX(wanted, distinct);
        err = stay ? 0 : note_mapping(labels, count, class_of, distinct, data, e);
    }
    if (err == 0)
        err = name_classes(labels, count, class_of, data, e);
    for (uint32_t i = 0; i < rows && err == 0; i++)
        label[i] = class_of[label[i]];
end:
    free(class_of);
    free(labels);
    return err;
}
