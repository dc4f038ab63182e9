/* The tables that a run ends with, a row a strategy, or a run of a sweep. */
#include "result/result.h"

#include "base/check.h"
#include "result/human.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 24, SHORT_LABEL = 16, POINT = 48, CELL = 64, MOST_COLUMNS = 13, MOST_BOTH = 40 };

/* What stands below the row of a run that did not finish; NULL: nothing. malloc'ed. */
static char *note_of(const struct rg_run *run)
{
    static const char *const words[] = {[RG_RUN_NO_FIT] = "does not fit",
                                        [RG_RUN_FAILED] = "failed",
                                        [RG_RUN_INTERRUPTED] = "interrupted",
                                        [RG_RUN_IMPOSSIBLE] = "impossible"};
    char *note = NULL;
    if (run->status == RG_RUN_OK && run->error[0])
        return strdup(run->error);
    if (run->status == RG_RUN_OK)
        return NULL;
    if (asprintf(&note, "%s%s%s", words[run->status], run->error[0] ? ": " : "", run->error) < 0)
        return NULL;
    return note;
}

/* Cells of a row, one after the other. */
struct row {
    char text[MOST_COLUMNS][CELL];
    int columns;
};

static char *next_cell(struct row *row)
{
    RG_ASSERT(row->columns < MOST_COLUMNS);
    row->text[row->columns][0] = '\0';
    return row->text[row->columns++];
}

static void add_text(struct row *row, const char *text, int most)
{
    if (strlen(text) <= (size_t)most)
        snprintf(next_cell(row), CELL, "%s", text);
    else
        snprintf(next_cell(row), CELL, "%.*s..", most - 2, text);
}

/* Appends a row with a note below it (may be NULL). */
static void add_row(struct rg_table *table, const struct row *row, const char *note)
{
    const char *cells[MOST_COLUMNS];
    for (int i = 0; i < row->columns; i++)
        cells[i] = row->text[i];
    table->columns = row->columns;
    rg_table_row(table, cells, note);
}

/* The part of a file's name that tells it from others: without folder and ".xml". */
static void short_name(const char *key, const char *value, char text[CELL])
{
    bool file = strcmp(key, "platform") == 0 || strcmp(key, "network") == 0;
    const char *slash = file ? strrchr(value, '/') : NULL;
    snprintf(text, CELL, "%s", slash ? slash + 1 : value);
    size_t length = strlen(text);
    if (file && length > 4 && strcmp(text + length - 4, ".xml") == 0)
        text[length - 4] = '\0';
}

/* "micro-batches=16": the keys of the point without the strategy's label; nodes have a column. */
static void point_of(const struct rg_run *run, char text[CELL])
{
    char all[400] = "";
    for (int i = 0; i < run->sweep_count; i++) {
        const char *dot = strchr(run->sweep[i].key, '.');
        const char *name = dot ? dot + 1 : run->sweep[i].key;
        size_t used = strlen(all);
        char value[CELL];
        short_name(run->sweep[i].key, run->sweep[i].value, value);
        if (strcmp(name, "nodes") != 0)
            snprintf(all + used, sizeof all - used, "%s%s=%s", used ? " " : "", name, value);
    }
    snprintf(text, CELL, strlen(all) <= POINT ? "%s" : "%.46s..", all);
}

/* Which columns the runs fill. */
struct shape {
    bool sweep, points, accuracy, energy;
    bool predicted; /* the iteration beside the simulated one: where there is room */
    bool goal;      /* an accuracy was wanted: time until it was reached */
    bool joules;    /* and joules, where no second table has them */
    bool sent;      /* where there is room */
};

static struct shape shape_of(const struct rg_result *result)
{
    struct shape shape = {0};
    for (int i = 0; i < result->run_count; i++) {
        char point[CELL];
        const struct rg_run *run = &result->runs[i];
        point_of(run, point);
        shape.sweep = shape.sweep || run->sweep_count > 0;
        shape.points = shape.points || point[0];
        shape.accuracy = shape.accuracy || isfinite(run->final_accuracy);
        shape.energy = shape.energy || isfinite(run->energy_J.total);
        shape.goal = shape.goal || run->to_accuracy.wanted;
    }
    if (!shape.sweep)
        shape.accuracy = shape.energy = true;
    shape.predicted =
        shape.sweep && !(shape.points && shape.accuracy && shape.energy) && !shape.goal;
    shape.sent = !(shape.points && shape.goal);
    shape.joules = shape.goal && shape.energy && result->run_count > MOST_BOTH;
    return shape;
}

/* Label, point, nodes: what every row begins with. run: NULL for the heading. */
static void begin_row(struct row *row, const struct shape *shape, const struct rg_run *run)
{
    row->columns = 0;
    add_text(row, run ? run->label : "strategy", shape->points ? SHORT_LABEL : LABEL);
    if (shape->points && run)
        point_of(run, next_cell(row));
    else if (shape->points)
        add_text(row, "point", POINT);
    snprintf(next_cell(row), RG_HUMAN, run ? "%d" : "nodes", run ? run->nodes : 0);
}

static void add_run(struct rg_table *table, const struct shape *shape, const struct rg_run *run)
{
    struct row row;
    char *note = note_of(run);
    bool ran = run->status != RG_RUN_NO_FIT && run->iterations > 0;
    double formula = run->formula.defined ? 1 : NAN; /* as a factor */
    double counted = ran ? 1 : NAN;
    begin_row(&row, shape, run);
    if (!shape->sweep)
        rg_human_seconds(run->time_s, next_cell(&row));
    rg_human_seconds(run->iteration_s.mean, next_cell(&row));
    if (shape->predicted)
        rg_human_seconds(run->predicted.iteration_s, next_cell(&row));
    rg_human_seconds(formula * run->formula.T_A_s, next_cell(&row));
    rg_human_seconds(formula * run->formula.c_s, next_cell(&row));
    rg_human_ratio(formula * run->formula.ratio, next_cell(&row));
    if (shape->accuracy)
        rg_human_percent(run->final_accuracy, next_cell(&row));
    if (shape->goal) {
        double reached = run->to_accuracy.reached ? 1 : NAN;
        rg_human_seconds(reached * run->to_accuracy.time_s, next_cell(&row));
        if (shape->joules)
            rg_human_joules(reached * run->to_accuracy.energy_J, next_cell(&row));
    }
    if (shape->energy)
        rg_human_joules(run->energy_J.total, next_cell(&row));
    if (shape->sent)
        rg_human_bytes(counted * (double)run->traffic.payload_bytes, next_cell(&row));
    rg_human_bytes(run->memory_max ? (double)run->memory_max : NAN, next_cell(&row));
    add_row(table, &row, note);
    free(note);
}

static void add_heads(struct rg_table *table, const struct shape *shape)
{
    struct row row;
    begin_row(&row, shape, NULL);
    if (!shape->sweep)
        add_text(&row, "time", LABEL);
    add_text(&row, "iteration", LABEL);
    if (shape->predicted)
        add_text(&row, "predicted", LABEL);
    add_text(&row, "T_A", LABEL);
    add_text(&row, "c", LABEL);
    add_text(&row, "ratio", LABEL);
    if (shape->accuracy)
        add_text(&row, "accuracy", LABEL);
    if (shape->goal)
        add_text(&row, "to goal", LABEL);
    if (shape->joules)
        add_text(&row, "J to goal", LABEL);
    if (shape->energy)
        add_text(&row, "energy", LABEL);
    if (shape->sent)
        add_text(&row, "sent", LABEL);
    add_text(&row, "memory", LABEL);
    add_row(table, &row, NULL);
}

static void print_predictions(const struct rg_result *result, bool notes, FILE *stream)
{
    static const char *const heads[] = {"iteration", "T_A", "c", "messages", "sent", "memory"};
    struct rg_table table = {0};
    struct shape shape = shape_of(result);
    struct row row;
    begin_row(&row, &shape, NULL);
    for (size_t i = 0; i < RG_COUNT(heads); i++)
        add_text(&row, heads[i], LABEL);
    add_row(&table, &row, NULL);
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        char *note = notes ? note_of(run) : NULL;
        double known = run->predicted.defined ? 1 : NAN; /* as a factor */
        begin_row(&row, &shape, run);
        rg_human_seconds(known * run->predicted.iteration_s, next_cell(&row));
        rg_human_seconds(known * run->predicted.T_A_s, next_cell(&row));
        rg_human_seconds(known * run->predicted.c_s, next_cell(&row));
        rg_human_count(known * (double)run->predicted.messages, next_cell(&row));
        rg_human_bytes(known * (double)run->predicted.payload_bytes, next_cell(&row));
        rg_human_bytes(known * (double)run->predicted.memory_bytes, next_cell(&row));
        add_row(&table, &row, note);
        free(note);
    }
    rg_table_print(&table, stream);
    rg_table_free(&table);
}

void rg_result_predictions(const struct rg_result *result, FILE *stream)
{
    print_predictions(result, true, stream);
}

static void add_energy_row(struct rg_table *table, const struct shape *shape,
                           const struct rg_run *run)
{
    struct row row;
    begin_row(&row, shape, run);
    rg_human_joules(run->energy_J.total, next_cell(&row));
    rg_human_joules(run->energy_J.idle, next_cell(&row));
    rg_human_joules(run->energy_J.compute, next_cell(&row));
    rg_human_joules(run->energy_J.network, next_cell(&row));
    rg_human_joules(run->energy_J.switches, next_cell(&row));
    rg_human_joules(rg_run_sample_J(run), next_cell(&row));
    if (shape->goal)
        rg_human_joules(run->to_accuracy.reached ? run->to_accuracy.energy_J : NAN,
                        next_cell(&row));
    add_row(table, &row, NULL);
}

/* Where the energy went; nothing where nobody knows. */
static void print_energy(const struct rg_result *result, FILE *stream)
{
    static const char *const heads[] = {"total",  "idle",     "compute", "network",
                                        "switch", "a sample", "to goal"};
    struct rg_table table = {0};
    struct shape shape = shape_of(result);
    const char *source = NULL;
    struct row row;
    begin_row(&row, &shape, NULL);
    for (size_t i = 0; i < RG_COUNT(heads) - !shape.goal; i++)
        add_text(&row, heads[i], LABEL);
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        if (!isfinite(run->energy_J.total))
            continue;
        if (!source)
            add_row(&table, &row, NULL);
        source = run->energy_source;
        add_energy_row(&table, &shape, run);
    }
    if (source) {
        putc('\n', stream);
        rg_table_print(&table, stream);
        fprintf(stream, "\nenergy of all nodes together (%s); compute, network: on top of idle\n",
                source);
    }
    rg_table_free(&table);
}

static void tell_extrapolated(const struct rg_result *result, FILE *stream)
{
    int64_t all = 0, extrapolated = 0;
    for (int i = 0; i < result->run_count; i++) {
        all += result->runs[i].iterations;
        extrapolated += result->runs[i].extrapolated_iterations;
    }
    if (extrapolated)
        fprintf(stream,
                "\n%" PRId64 " of %" PRId64
                " iterations extrapolated from those simulated, which had become "
                "steady\n",
                extrapolated, all);
}

/* Whose gradients were late, and by how much: what may cost accuracy. */
static void tell_stale(const struct rg_result *result, FILE *stream)
{
    int told = 0;
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        int64_t most = run->staleness;
        bool first = true;
        for (int k = 0; k < result->run_count; k++)
            if (strcmp(result->runs[k].label, run->label) == 0) {
                first = first && k >= i;
                most = RG_MAX(most, result->runs[k].staleness);
            }
        if (first && most > 0)
            fprintf(stream, "%s%s %" PRId64,
                    told++ ? ", " : "\nstale gradients, up to so many updates old: ", run->label,
                    most);
    }
    if (told)
        putc('\n', stream);
}

static void tell_goal(const struct rg_result *result, FILE *stream)
{
    for (int i = 0; i < result->run_count; i++)
        if (result->runs[i].to_accuracy.wanted) {
            char text[RG_HUMAN];
            fprintf(stream, "goal: an accuracy of %s, -: not reached\n",
                    rg_human_percent(result->runs[i].to_accuracy.target, text));
            return;
        }
}

void rg_result_failures(const struct rg_result *result, const char *program, FILE *stream)
{
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        if (run->status != RG_RUN_FAILED)
            continue;
        char *note = note_of(run), point[CELL], where[CELL + 40] = "", *line = NULL;
        point_of(run, point);
        if (run->sweep_count)
            snprintf(where, sizeof where, " on %d node%s%s%s", run->nodes,
                     run->nodes == 1 ? "" : "s", point[0] ? ", " : "", point);
        if (asprintf(&line, "%s%s: %s", run->label, where, note ? note : "failed") > 0) {
            rg_one_line(line);
            fprintf(stream, "%s: %s\n", program, line);
            free(line);
        }
        free(note);
    }
}

/* Long sweeps have the prediction of the iteration beside the simulated one, and no second table.
 */
void rg_result_table(const struct rg_result *result, FILE *stream)
{
    struct rg_table table = {0};
    struct shape shape = shape_of(result);
    bool predicted = false;
    fprintf(stream, "%s, seed %" PRIu64 ", world %s\n\n", result->scenario, result->seed,
            result->world);
    for (int i = 0; i < result->note_count; i++)
        fprintf(stream, "data: %s%s", result->notes[i], i + 1 < result->note_count ? "\n" : "\n\n");
    if (result->run_count == 0) { /* interrupted early, or a shard without a run */
        fputs("no run has finished\n", stream);
        return;
    }
    add_heads(&table, &shape);
    for (int i = 0; i < result->run_count; i++) {
        add_run(&table, &shape, &result->runs[i]);
        predicted = predicted || result->runs[i].predicted.defined;
    }
    rg_table_print(&table, stream);
    rg_table_free(&table);
    tell_extrapolated(result, stream);
    fputs(
        "\nT_A, c: compute and communication time of one iteration at the bottleneck node; ratio: "
        "iteration observed\nover predicted; sent: payload of all nodes together; memory: the "
        "largest on a node\n",
        stream);
    tell_goal(result, stream);
    tell_stale(result, stream);
    if (result->run_count > MOST_BOTH)
        return;
    print_energy(result, stream);
    if (!predicted)
        return;
    fputs("\npredicted for one iteration by the closed forms alone:\n\n", stream);
    print_predictions(result, false, stream);
}
