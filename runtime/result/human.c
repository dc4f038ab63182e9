#include "result/human.h"

#include "base/check.h"
#include "base/need.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    double from, scale; /* used for values from `from` on */
    const char *name;
};

static const char *scaled(double value, const struct unit *units, int count, char out[RG_HUMAN])
{
    if (!isfinite(value)) {
        snprintf(out, RG_HUMAN, "-");
        return out;
    }
    const struct unit *unit = &units[0];
    for (int i = 1; i < count; i++)
        if (fabs(value) >= units[i].from * 0.9995) /* what rounds to 1000 of the smaller unit */
            unit = &units[i];
    double scaled_value = value / unit->scale, size = fabs(scaled_value);
    int decimals = size >= 99.95 || scaled_value == 0 ? 0 : size >= 9.995 ? 1 : 2;
    if (unit->scale == 1 && unit->from == 0 && value == floor(value))
        decimals = 0; /* 7 B, not 7.00 B */
    snprintf(out, RG_HUMAN, "%.*f%s%s", decimals, scaled_value, unit->name[0] ? " " : "",
             unit->name);
    return out;
}

const char *rg_human_seconds(double seconds, char out[RG_HUMAN])
{
    static const struct unit units[] = {{0, 1e-9, "ns"},  {1e-6, 1e-6, "us"}, {1e-3, 1e-3, "ms"},
                                        {1, 1, "s"},      {600, 60, "min"},   {7200, 3600, "h"},
                                        {1e6, 86400, "d"}};
    if (seconds == 0) {
        snprintf(out, RG_HUMAN, "0 s");
        return out;
    }
    return scaled(seconds, units, RG_COUNT(units), out);
}

const char *rg_human_bytes(double bytes, char out[RG_HUMAN])
{
    static const struct unit units[] = {
        {0, 1, "B"}, {1e3, 1e3, "kB"}, {1e6, 1e6, "MB"}, {1e9, 1e9, "GB"}, {1e12, 1e12, "TB"}};
    return scaled(bytes, units, RG_COUNT(units), out);
}

const char *rg_human_joules(double joules, char out[RG_HUMAN])
{
    static const struct unit units[] = {
        {0, 1e-6, "uJ"}, {1e-3, 1e-3, "mJ"}, {1, 1, "J"}, {1e3, 1e3, "kJ"}, {1e6, 1e6, "MJ"}};
    if (joules == 0) {
        snprintf(out, RG_HUMAN, "0 J");
        return out;
    }
    return scaled(joules, units, RG_COUNT(units), out);
}

const char *rg_human_count(double count, char out[RG_HUMAN])
{
    static const struct unit units[] = {
        {0, 1, ""}, {1e4, 1e3, "k"}, {1e6, 1e6, "M"}, {1e9, 1e9, "G"}, {1e12, 1e12, "T"}};
    return scaled(count, units, RG_COUNT(units), out);
}

const char *rg_human_percent(double share, char out[RG_HUMAN])
{
    snprintf(out, RG_HUMAN, isfinite(share) ? "%.1f %%" : "-", 100 * share);
    return out;
}

const char *rg_human_ratio(double ratio, char out[RG_HUMAN])
{
    snprintf(out, RG_HUMAN, isfinite(ratio) ? "%.3f" : "-", ratio);
    return out;
}

const char *rg_human_number(double number, char out[RG_HUMAN])
{
    snprintf(out, RG_HUMAN, isfinite(number) ? "%.3g" : "-", number);
    return out;
}

static char *copy(const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(rg_need(NULL, bytes), text, bytes);
}

void rg_table_row(struct rg_table *table, const char *const *cells, const char *note)
{
    RG_ASSERT(table->columns <= (int)RG_COUNT(table->cells[0]));
    if (table->rows == table->room) {
        table->room = table->room ? 2 * table->room : 16;
        table->cells = rg_need(table->cells, (size_t)table->room * sizeof *table->cells);
        table->notes = rg_need(table->notes, (size_t)table->room * sizeof *table->notes);
    }
    for (int i = 0; i < table->columns; i++)
        table->cells[table->rows][i] = copy(cells[i]);
    table->notes[table->rows++] = note ? copy(note) : NULL;
}

void rg_table_print(const struct rg_table *table, FILE *stream)
{
    int width[RG_COUNT(table->cells[0])] = {0};
    for (int r = 0; r < table->rows; r++)
        for (int c = 0; c < table->columns; c++)
            width[c] = RG_MAX(width[c], (int)strlen(table->cells[r][c]));
    for (int r = 0; r < table->rows; r++) {
        char *const *cells = table->cells[r];
        fprintf(stream, "%-*s", width[0], cells[0]);
        for (int c = 1; c < table->columns; c++)
            fprintf(stream, "  %*s", width[c], cells[c]);
        putc('\n', stream);
        if (table->notes[r])
            fprintf(stream, "    %s\n", table->notes[r]);
    }
}

void rg_table_free(struct rg_table *table)
{
    for (int r = 0; r < table->rows; r++) {
        for (int c = 0; c < table->columns; c++)
            free(table->cells[r][c]);
        free(table->notes[r]);
    }
    free(table->cells);
    free(table->notes);
    *table = (struct rg_table){0};
}
