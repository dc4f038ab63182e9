/* The table that a run ends with, a row a strategy. */
#include "result/result.h"

#include "base/check.h"
#include "result/human.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 11, LABEL = 24, ENERGY_COLUMNS = 8 };

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

static void write_label(const struct rg_run *run, char *text, size_t size)
{
    if (strlen(run->label) <= LABEL)
        snprintf(text, size, "%.*s", LABEL, run->label);
    else
        snprintf(text, size, "%.*s..", LABEL - 2, run->label);
}

static void add_row(struct rg_table *table, const struct rg_run *run)
{
    char text[COLUMNS][LABEL + 16], *note = note_of(run);
    const char *cells[COLUMNS];
    bool ran = run->status != RG_RUN_NO_FIT && run->iterations > 0;
    double formula = run->formula.defined ? 1 : NAN; /* as a factor */
    double counted = ran ? 1 : NAN;
    write_label(run, text[0], sizeof text[0]);
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

static void add_energy_row(struct rg_table *table, const struct rg_run *run)
{
    char text[ENERGY_COLUMNS][LABEL + 16];
    const char *cells[ENERGY_COLUMNS];
    write_label(run, text[0], sizeof text[0]);
    rg_human_joules(run->energy_J.total, text[1]);
    rg_human_joules(run->energy_J.idle, text[2]);
    rg_human_joules(run->energy_J.compute, text[3]);
    rg_human_joules(run->energy_J.network, text[4]);
    rg_human_joules(run->energy_J.switches, text[5]);
    rg_human_joules(rg_run_sample_J(run), text[6]);
    rg_human_joules(run->to_accuracy.reached ? run->to_accuracy.energy_J : NAN, text[7]);
    for (int i = 0; i < ENERGY_COLUMNS; i++)
        cells[i] = text[i];
    rg_table_row(table, cells, NULL);
}

/* Where the energy went; nothing where nobody knows. */
static void print_energy(const struct rg_result *result, FILE *stream)
{
    static const char *const heads[ENERGY_COLUMNS] = {
        "energy", "total", "idle", "compute", "network", "switch", "a sample", "to accuracy"};
    struct rg_table table = {.columns = ENERGY_COLUMNS};
    const char *source = NULL;
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        if (!isfinite(run->energy_J.total))
            continue;
        if (!source)
            rg_table_row(&table, heads, NULL);
        source = run->energy_source;
        add_energy_row(&table, run);
    }
    if (source) {
        putc('\n', stream);
        rg_table_print(&table, stream);
        fprintf(
            stream,
            "\nenergy of all nodes together (%s); compute, network: on top of idle; to accuracy: "
            "until the wanted\naccuracy was reached\n",
            source);
    }
    rg_table_free(&table);
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
    fputs(
        "\nT_A, c: compute and communication time of one iteration at the bottleneck node; ratio: "
        "iteration observed\nover predicted; sent: payload of all nodes together; memory: the "
        "largest on a node\n",
        stream);
    print_energy(result, stream);
}
