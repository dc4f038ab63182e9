/* The tables that a run ends with, a row a strategy, or a run of a sweep. */
#include "result/result.h"

#include "base/check.h"
#include "result/human.h"
#include "result/result_fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LABEL = 24,
    SHORT_LABEL = 16,
    POINT = 48,
    CELL = 64,
    MOST_COLUMNS = 16,
    MOST_BOTH = 40,
    MOST_TOLD = 6,
    WHERE = CELL + 40
};

#define DECIDED 1e-9 /* of a time; what moves by less is rounding itself */

/* What stands below the row of a run that did not finish; NULL: nothing. malloc'ed. */
static char *note_of(const struct rg_run *run)
{
    const char *separator = run->error[0] ? ": " : "";
    char *note = NULL;
    if (run->status == RG_RUN_OK)
        return run->error[0] ? strdup(run->error) : NULL;
    if (asprintf(&note, "%s%s%s", rg_status_name(run->status), separator, run->error) < 0)
        return NULL;
    for (char *dash = note; (dash = strchr(dash, '-')) && dash < note + strcspn(note, ":");)
        *dash = ' ';
    return note;
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
        const char *dot = strchr(run->sweep[i].name, '.');
        const char *name = dot ? dot + 1 : run->sweep[i].name;
        size_t used = strlen(all);
        char value[CELL];
        short_name(run->sweep[i].name, run->sweep[i].value, value);
        if (strcmp(name, "nodes") != 0)
            snprintf(all + used, sizeof all - used, "%s%s=%s", used ? " " : "", name, value);
    }
    snprintf(text, CELL, strlen(all) <= POINT ? "%s" : "%.46s..", all);
}

/* ---- columns ---- */

/* When a column is shown: where the runs fill it, and there is room. */
enum {
    ALWAYS = 1,
    POINTS = 2,
    SINGLE = 4, /* no sweep */
    ACCURACY = 8,
    ENERGY = 16,
    PREDICTED = 32, /* the iteration beside the simulated one */
    GOAL = 64,      /* an accuracy was wanted: time until it was reached */
    JOULES = 128,   /* and joules, where no second table has them */
    SENT = 256,
    NUMBERS = 512, /* targets are numbers */
    TOKENS = 1024, /* there is a label a token */
    LOSS_GOAL = 2048
};

struct column {
    const char *head;
    unsigned when;
    const char *path; /* of the number, in the table of result fields */
    const char *(*human)(double value, char out[RG_HUMAN]);
    bool ran; /* unknown where nothing ran */
};

static const struct column run_columns[] = {
    {"time", SINGLE, "time_s", rg_human_seconds, false},
    {"iteration", ALWAYS, "iteration_s.mean", rg_human_seconds, false},
    {"predicted", PREDICTED, "predicted.iteration_s", rg_human_seconds, false},
    {"T_A", ALWAYS, "formula.T_A_s", rg_human_seconds, false},
    {"c", ALWAYS, "formula.c_s", rg_human_seconds, false},
    {"ratio", ALWAYS, "formula.ratio", rg_human_ratio, false},
    {"accuracy", ACCURACY, "final.accuracy", rg_human_percent, false},
    {"loss", NUMBERS, "final.loss", rg_human_number, false},
    {"R2", NUMBERS, "final.numbers.r2", rg_human_ratio, false},
    {"bits", TOKENS, "final.tokens.bits", rg_human_ratio, false},
    {"to goal", GOAL, "to_accuracy.time_s", rg_human_seconds, false},
    {"to loss", LOSS_GOAL, "to_loss.time_s", rg_human_seconds, false},
    {"J to goal", JOULES, "to_accuracy.energy_J", rg_human_joules, false},
    {"energy", ENERGY, "energy_J.total", rg_human_joules, false},
    {"sent", SENT, "traffic.payload_bytes", rg_human_bytes, true},
    {"memory", ALWAYS, "memory_bytes.max_node", rg_human_bytes, true},
    {0},
};
static const struct column predicted_columns[] = {
    {"iteration", ALWAYS, "predicted.iteration_s", rg_human_seconds, false},
    {"T_A", ALWAYS, "predicted.T_A_s", rg_human_seconds, false},
    {"c", ALWAYS, "predicted.c_s", rg_human_seconds, false},
    {"messages", ALWAYS, "predicted.messages", rg_human_count, false},
    {"sent", ALWAYS, "predicted.payload_bytes", rg_human_bytes, false},
    {"memory", ALWAYS, "predicted.memory_bytes", rg_human_bytes, false},
    {0},
};
static const struct column energy_columns[] = {
    {"total", ALWAYS, "energy_J.total", rg_human_joules, false},
    {"idle", ALWAYS, "energy_J.idle", rg_human_joules, false},
    {"compute", ALWAYS, "energy_J.compute", rg_human_joules, false},
    {"network", ALWAYS, "energy_J.network", rg_human_joules, false},
    {"switch", ALWAYS, "energy_J.switch", rg_human_joules, false},
    {"a sample", ALWAYS, "sample_J", rg_human_joules, false},
    {"a token", TOKENS, "final.tokens.token_J", rg_human_joules, false},
    {"to goal", GOAL, "to_accuracy.energy_J", rg_human_joules, false},
    {"to loss", LOSS_GOAL, "to_loss.energy_J", rg_human_joules, false},
    {0},
};

static unsigned shape_of(const struct rg_result *result)
{
    unsigned shape = ALWAYS | SINGLE;
    for (int i = 0; i < result->run_count; i++) {
        char point[CELL];
        const struct rg_run *run = &result->runs[i];
        point_of(run, point);
        if (run->sweep_count > 0)
            shape &= ~SINGLE;
        shape |= point[0] ? POINTS : 0;
        shape |= isfinite(run->final.accuracy) ? ACCURACY : 0;
        shape |= run->final.numbers.known ? NUMBERS : 0;
        shape |= run->final.tokens.known ? TOKENS : 0;
        shape |= isfinite(run->energy_J.total) ? ENERGY : 0;
        shape |= run->to_accuracy.wanted ? GOAL : 0;
        shape |= run->to_loss.wanted ? LOSS_GOAL : 0;
    }
    const unsigned wide = POINTS | ACCURACY | ENERGY;
    if (shape & SINGLE)
        shape |= ACCURACY | ENERGY;
    else if ((shape & wide) != wide && !(shape & GOAL))
        shape |= PREDICTED;
    if (shape & (NUMBERS | TOKENS))
        shape &= ~(unsigned)ACCURACY;
    if ((shape & (POINTS | GOAL)) != (POINTS | GOAL))
        shape |= SENT;
    if (shape & GOAL && shape & ENERGY && result->run_count > MOST_BOTH)
        shape |= JOULES;
    return shape;
}

/* ---- rows ---- */

/* Cells of a row, one after the other. */
struct row {
    char text[MOST_COLUMNS][CELL];
    int columns;
};

static char *next_cell(struct row *row)
{
    RG_ASSERT(row->columns < MOST_COLUMNS);
    return row->text[row->columns++];
}

static void add_text(struct row *row, const char *text, int most)
{
    if (strlen(text) <= (size_t)most)
        snprintf(next_cell(row), CELL, "%s", text);
    else
        snprintf(next_cell(row), CELL, "%.*s..", most - 2, text);
}

/* run: NULL for the heading. A note that is wanted stands below the row. */
static void add_row(struct rg_table *table, const struct column *columns, unsigned shape,
                    const struct rg_run *run, bool note)
{
    struct row row = {.columns = 0};
    const char *cells[MOST_COLUMNS];
    bool ran = run && run->status != RG_RUN_NO_FIT && run->iterations > 0;
    add_text(&row, run ? run->label : "strategy", shape & POINTS ? SHORT_LABEL : LABEL);
    if (shape & POINTS && run)
        point_of(run, next_cell(&row));
    else if (shape & POINTS)
        add_text(&row, "point", POINT);
    snprintf(next_cell(&row), RG_HUMAN, run ? "%d" : "nodes", run ? run->nodes : 0);
    for (const struct column *column = columns; column->head; column++) {
        if (!(column->when & shape))
            continue;
        if (!run)
            add_text(&row, column->head, LABEL);
        else
            column->human(column->ran && !ran ? NAN
                                              : rg_record_number(&rg_run_record, run, column->path),
                          next_cell(&row));
    }
    for (int i = 0; i < row.columns; i++)
        cells[i] = row.text[i];
    char *below = run && note ? note_of(run) : NULL;
    table->columns = row.columns;
    rg_table_row(table, cells, below);
    free(below);
}

static void print_rows(const struct rg_result *result, const struct column *columns, bool notes,
                       FILE *stream)
{
    struct rg_table table = {0};
    unsigned shape = shape_of(result);
    add_row(&table, columns, shape, NULL, false);
    for (int i = 0; i < result->run_count; i++)
        add_row(&table, columns, shape, &result->runs[i], notes);
    rg_table_print(&table, stream);
    rg_table_free(&table);
}

void rg_result_predictions(const struct rg_result *result, FILE *stream)
{
    print_rows(result, predicted_columns, true, stream);
}

/* Where the energy went; nothing where nobody knows. */
static void print_energy(const struct rg_result *result, FILE *stream)
{
    struct rg_table table = {0};
    unsigned shape = shape_of(result);
    const char *source = NULL;
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        if (!isfinite(run->energy_J.total))
            continue;
        if (!source)
            add_row(&table, energy_columns, shape, NULL, false);
        source = run->energy_source;
        add_row(&table, energy_columns, shape, run, false);
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

/* " on 8 nodes, micro-batches=16", where there are several points. */
static void where_of(const struct rg_run *run, char *text, size_t size)
{
    char point[CELL];
    point_of(run, point);
    text[0] = '\0';
    if (run->sweep_count)
        snprintf(text, size, " on %d node%s%s%s", run->nodes, run->nodes == 1 ? "" : "s",
                 point[0] ? ", " : "", point);
}

/* Runs that rounding decides, and what they come to with another. */
static void tell_again(const struct rg_result *result, FILE *stream)
{
    int found = 0;
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        double part = run->engine.again_s / run->time_s - 1;
        double more = run->engine.again_J / run->energy_J.total - 1;
        char time[RG_HUMAN], joules[RG_HUMAN], where[WHERE];
        if (!run->engine.known || !(fabs(part) > DECIDED || fabs(more) > DECIDED) ||
            ++found > MOST_TOLD)
            continue;
        if (found == 1)
            fputs(
                "\nrounding decides what comes first; where all takes longer by parts of 1e-12:\n",
                stream);
        where_of(run, where, sizeof where);
        fprintf(stream, "  %s%s: %s (%+.2g %%)", run->label, where,
                rg_human_seconds(run->engine.again_s, time), 100 * part);
        if (isfinite(run->engine.again_J))
            fprintf(stream, ", %s", rg_human_joules(run->engine.again_J, joules));
        putc('\n', stream);
    }
    if (found > MOST_TOLD)
        fprintf(stream, "  and %d more (engine.again_s in the result)\n", found - MOST_TOLD);
}

/* Whose gradients were late, and by how much: what may cost accuracy. Of the runs of one label, the
 * one with the oldest. */
static void tell_stale(const struct rg_result *result, FILE *stream)
{
    int told = 0;
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i], *most = run;
        bool first = true;
        for (int k = 0; k < result->run_count; k++)
            if (strcmp(result->runs[k].label, run->label) == 0) {
                first = first && k >= i;
                most = result->runs[k].staleness > most->staleness ? &result->runs[k] : most;
            }
        if (!first || most->staleness == 0)
            continue;
        fprintf(stream, "%s%s %" PRId64,
                told++ ? ", " : "\nstale gradients, up to so many updates old: ", run->label,
                most->staleness);
        if (most->late.known)
            fprintf(stream, " (mean %.3g)", most->late.staleness_mean);
    }
    if (told)
        putc('\n', stream);
}

/* What filters let pass; the first run of a label, where there are several. */
static void tell_filtered(const struct rg_result *result, FILE *stream)
{
    int told = 0;
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run_filtered *filtered = &result->runs[i].filtered;
        bool first = filtered->known && filtered->numbers > 0;
        for (int k = 0; k < i; k++)
            first = first && strcmp(result->runs[k].label, result->runs[i].label) != 0;
        if (!first)
            continue;
        double numbers = (double)filtered->numbers;
        fprintf(stream, "%s%s %.3g %% in %.3g %%",
                told++ ? ", " : "\npushed of all numbers, in so many of their bytes: ",
                result->runs[i].label, 100 * (double)filtered->pushed / numbers,
                100 * (double)filtered->bytes / (sizeof(float) * numbers));
    }
    if (told)
        putc('\n', stream);
}

/* Who was left out of rounds, and how far apart what nodes have trained by themselves is. */
static void tell_rounds(const struct rg_run *run, FILE *stream)
{
    double least = INFINITY, most = -INFINITY;
    int told = 0;
    if (run->rounds.left_out > 0)
        fprintf(stream, "\nleft out of rounds of %s: %" PRIu64 " of %" PRIu64 " drawn", run->label,
                run->rounds.left_out, run->rounds.drawn);
    for (int i = 0; i < run->node_count; i++) {
        const struct rg_run_node *node = &run->per_node[i];
        if (!node->own.known)
            continue;
        if (node->own.left_out > 0 && told < MOST_TOLD)
            fprintf(stream, "%srank %d %" PRIu64, told++ ? ", " : " (", node->rank,
                    node->own.left_out);
        if (isfinite(node->own.accuracy)) {
            least = fmin(least, node->own.accuracy);
            most = fmax(most, node->own.accuracy);
        }
    }
    if (run->rounds.left_out > 0)
        fprintf(stream, "%s\n", told == MOST_TOLD ? ", ...)" : told ? ")" : "");
    char a[RG_HUMAN], b[RG_HUMAN];
    if (least <= most)
        fprintf(stream,
                "\naccuracy of what clients of %s have made of it in the last round: %s to %s\n",
                run->label, rg_human_percent(least, a), rg_human_percent(most, b));
}

/* Whose predicted messages and bytes are not those of each iteration. */
static void tell_counts(const struct rg_result *result, FILE *stream)
{
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        const struct rg_run_counts *counts = &run->predicted.counts;
        if (!counts->known)
            continue;
        fprintf(stream, "\nmessages and bytes of %s are ", run->label);
        if (counts->iterations > 1)
            fprintf(stream, "of %" PRId64 " iterations%s", counts->iterations,
                    counts->at_most ? ", " : "\n");
        if (counts->at_most)
            fputs("an upper bound\n", stream);
    }
}

static bool has_profile(const struct rg_run *run, const char *profile)
{
    bool found = false;
    for (int i = 0; i < run->costs.profile_count; i++)
        found = found || strcmp(run->costs.profiles[i], profile) == 0;
    return found;
}

/* Where seconds were measured: each line once, whichever runs have it. */
static void tell_profiles(const struct rg_result *result, FILE *stream)
{
    int told = 0;
    for (int i = 0; i < result->run_count; i++)
        for (int k = 0; k < result->runs[i].costs.profile_count; k++) {
            const char *profile = result->runs[i].costs.profiles[k];
            bool before = false;
            for (int j = 0; j < i && !before; j++)
                before = has_profile(&result->runs[j], profile);
            if (!before)
                fprintf(stream, "%s%s\n", told++ ? "" : "\nlayers and updates as measured, ",
                        profile);
        }
}

static void tell_goal(const struct rg_result *result, FILE *stream)
{
    const struct rg_run_goal *accuracy = NULL, *loss = NULL;
    char text[RG_HUMAN];
    for (int i = result->run_count - 1; i >= 0; i--) {
        const struct rg_run *run = &result->runs[i];
        accuracy = run->to_accuracy.wanted ? &run->to_accuracy : accuracy;
        loss = run->to_loss.wanted ? &run->to_loss : loss;
    }
    if (accuracy)
        fprintf(stream, "goal: an accuracy of %s, -: not reached\n",
                rg_human_percent(accuracy->target, text));
    if (loss)
        fprintf(stream, "goal: a loss of %s, -: not reached\n",
                rg_human_number(loss->target, text));
}

void rg_result_failures(const struct rg_result *result, const char *program, FILE *stream)
{
    for (int i = 0; i < result->run_count; i++) {
        const struct rg_run *run = &result->runs[i];
        if (run->status != RG_RUN_FAILED && run->status != RG_RUN_LOST)
            continue;
        char *note = note_of(run), where[WHERE], *line = NULL;
        where_of(run, where, sizeof where);
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
    bool predicted = false;
    fprintf(stream, "%s, seed %" PRIu64 ", world %s\n\n", result->scenario, result->seed,
            result->world);
    for (int i = 0; i < result->note_count; i++)
        fprintf(stream, "data: %s%s", result->data_notes[i],
                i + 1 < result->note_count ? "\n" : "\n\n");
    if (result->run_count == 0) { /* interrupted early, or a shard without a run */
        fputs("no run has finished\n", stream);
        return;
    }
    for (int i = 0; i < result->run_count; i++)
        predicted = predicted || result->runs[i].predicted.defined;
    print_rows(result, run_columns, true, stream);
    tell_extrapolated(result, stream);
    tell_again(result, stream);
    fputs(
        "\nT_A, c: compute and communication time of one iteration at the bottleneck node; ratio: "
        "iteration observed\nover predicted; sent: payload of all nodes together; memory: the "
        "largest on a node\n",
        stream);
    tell_goal(result, stream);
    tell_stale(result, stream);
    for (int i = 0; i < result->run_count; i++)
        tell_rounds(&result->runs[i], stream);
    tell_filtered(result, stream);
    tell_profiles(result, stream);
    if (result->run_count > MOST_BOTH)
        return;
    print_energy(result, stream);
    if (!predicted)
        return;
    fputs("\npredicted for one iteration by the closed forms alone:\n\n", stream);
    print_rows(result, predicted_columns, false, stream);
    tell_counts(result, stream);
}
