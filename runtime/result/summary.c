/* The table that a run ends with, a row a strategy. */
#include "result/result.h"

#include "base/check.h"
#include "result/human.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 11, LABEL = 24 };

/* What stands below the row of a run that did not finish; NULL: nothing. malloc'ed. */
static char *note_of(const struct rg_run *run)
{
    static const char *const words[] = {[RG_RUN_NO_FIT] = "does not fit",
                                        [RG_RUN_FAILED] = "failed",
                                        [RG_RUN_INTERRUPTED] = "interrupted"};
    char *note = NULL;
    if (run->status == RG_RUN_OK && run->error[0])
        return strdup(run->error);
    if (run->status == RG_RUN_OK)
        return NULL;
    if (asprintf(&note, "%s%s%s", words[run->status], run->error[0] ? ": " : "", run->error) < 0)
        return NULL;
    return note;
}

static void add_row(struct rg_table *table, const struct rg_run *run)
{
    char text[COLUMNS][LABEL + 16], *note = note_of(run);
    const char *cells[COLUMNS];
    bool ran = run->status != RG_RUN_NO_FIT && run->iterations > 0;
    double formula = run->formula.defined ? 1 : NAN; /* as a factor */
    double counted = ran ? 1 : NAN;
    if (strlen(run->label) <= LABEL)
        snprintf(text[0], sizeof text[0], "%.*s", LABEL, run->label);
    else
        snprintf(text[0], sizeof text[0], "%.*s..", LABEL - 2, run->label);
    snprintf(text[1], sizeof text[1], "%d", run->nodes);
    rg_human_seconds(run->time_s, text[2]);
    rg_human_seconds(run->iteration_s.mean, text[3]);
    rg_human_seconds(formula * run->formula.T_A_s, text[4]);
    rg_human_seconds(formula * run->formula.c_s, text[5]);
    rg_human_ratio(formula * run->formula.ratio, text[6]);
    rg_human_percent(run->final_accuracy, text[7]);
    rg_human_joules(run->energy_J.total, text[8]);
    rg_human_bytes(counted * (double)run->traffic.payload_bytes, text[9]);
    rg_human_bytes(run->memory_max ? (double)run->memory_max : NAN, text[10]);
    for (int i = 0; i < COLUMNS; i++)
        cells[i] = text[i];
    rg_table_row(table, cells, note);
    free(note);
}

static void tell_extrapolated(const struct rg_result *result, FILE *stream)
{
    long all = 0, extrapolated = 0;
    for (int i = 0; i < result->run_count; i++) {
        all += result->runs[i].iterations;
        extrapolated += result->runs[i].extrapolated_iterations;
    }
    if (extrapolated)
        fprintf(stream,
                "\n%ld of %ld iterations extrapolated from those simulated, which had become "
                "steady\n",
                extrapolated, all);
}

void rg_result_table(const struct rg_result *result, FILE *stream)
{
    static const char *const heads[COLUMNS] = {"strategy", "nodes", "time",  "iteration",
                                               "T_A",      "c",     "ratio", "accuracy",
                                               "energy",   "sent",  "memory"};
    struct rg_table table = {.columns = COLUMNS};
    fprintf(stream, "%s, seed %" PRIu64 ", world %s\n\n", result->scenario, result->seed,
            result->world);
    rg_table_row(&table, heads, NULL);
    for (int i = 0; i < result->run_count; i++)
        add_row(&table, &result->runs[i]);
    rg_table_print(&table, stream);
    rg_table_free(&table);
    tell_extrapolated(result, stream);
    fputs(
        "\nT_A, c: compute and communication time of one iteration at the bottleneck node; ratio: "
        "iteration observed\nover predicted; sent: payload of all nodes together; memory: the "
        "largest on a node\n",
        stream);
}
