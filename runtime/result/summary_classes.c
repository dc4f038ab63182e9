/* Accuracy by class, with the confusion matrix: below the tables that a run ends with. */
#include "result/result.h"

#include "base/check.h"
#include "result/human.h"

#include <stdlib.h>
#include <string.h>

enum { NAME = 16, HEAD = 8, COUNT = 24 };

/* What a class is called, of up to `most` characters; those without a name go by their number. */
static void name_of(const struct rg_run_class *class, int index, int most, char out[COUNT])
{
    if (!class->name[0])
        snprintf(out, COUNT, "%d", index);
    else if (strlen(class->name) <= (size_t)most)
        rg_copy_text(out, COUNT, class->name);
    else
        snprintf(out, COUNT, "%.*s..", most - 2, class->name);
}

/* As wide as the widest of its counts and its head. */
static int width_of(const struct rg_run_final *final, int column)
{
    char text[COUNT];
    name_of(&final->classes[column], column, HEAD, text);
    int width = (int)strlen(text);
    for (int c = 0; c < final->class_count; c++)
        width = RG_MAX(width, snprintf(text, COUNT, "%d", final->classes[c].predicted[column]));
    return width;
}

static void print_row(const struct rg_run_final *final, int row, const int *width, FILE *stream)
{
    const struct rg_run_class *class = &final->classes[row];
    char name[COUNT], accuracy[RG_HUMAN];
    name_of(class, row, NAME, name);
    fprintf(stream, "%-*s  %7d  %8s ", NAME, name, class->samples,
            rg_human_percent(class->accuracy, accuracy));
    for (int k = 0; k < class->predicted_count; k++)
        fprintf(stream, "  %*d", width[k], class->predicted[k]);
    putc('\n', stream);
}

/* Do the rows have as many columns as there are rows? Files may say anything. */
static bool is_square(const struct rg_run_final *final)
{
    for (int c = 0; c < final->class_count; c++)
        if (final->classes[c].predicted_count != final->class_count)
            return false;
    return final->class_count > 0;
}

static void print_run(const struct rg_run *run, FILE *stream)
{
    const struct rg_run_final *final = &run->final;
    int *width = calloc((size_t)final->class_count, sizeof *width);
    char name[COUNT];
    if (!width)
        return;
    fprintf(stream, "\n%s, %d node%s", run->label, run->nodes, run->nodes == 1 ? "" : "s");
    for (int i = 0; i < run->sweep_count; i++)
        fprintf(stream, ", %s=%s", run->sweep[i].name, run->sweep[i].value);
    fprintf(stream, ": test samples by class (rows), and the classes they were taken for\n\n");
    fprintf(stream, "%-*s  %7s  %8s ", NAME, "class", "samples", "accuracy");
    for (int k = 0; k < final->class_count; k++) {
        width[k] = width_of(final, k);
        name_of(&final->classes[k], k, HEAD, name);
        fprintf(stream, "  %*s", width[k], name);
    }
    putc('\n', stream);
    for (int c = 0; c < final->class_count; c++)
        print_row(final, c, width, stream);
    free(width);
}

void rg_result_classes(const struct rg_result *result, FILE *stream)
{
    bool any = false;
    for (int i = 0; i < result->run_count; i++)
        if (is_square(&result->runs[i].final)) {
            print_run(&result->runs[i], stream);
            any = true;
        }
    if (!any)
        fprintf(stream,
                "\nno run has an accuracy by class: it takes numerics, test samples and up to %d "
                "classes\n",
                RG_RESULT_CLASSES);
}
