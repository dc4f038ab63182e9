/* A line of a log becomes a reading.
 *
 * Failure modes handled: rows with more or fewer fields than the others, dates and numbers that are
 * none (FILE:LINE). Unknown values ("nan", "unavailable") are readings that nobody knows. */
#include "meters/log_parts.h"

#include "base/check.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int rg_log_split(struct rg_slice line, char separator, struct rg_slice *fields, int most)
{
    const char *p = line.at, *end = line.at + line.length;
    bool blanks = separator == ' ';
    int count = 0;
    while (p < end && blanks && isspace((unsigned char)*p))
        p++;
    while (count < most && (p < end || (!blanks && p == end))) {
        const char *from = p, *q = p;
        while (!blanks && q < end && *q == ' ')
            q++;
        bool quoted = q < end && *q == '"';
        const char *close = quoted ? memchr(q + 1, '"', (size_t)(end - q - 1)) : NULL;
        for (p = close ? close : p; p < end; p++)
            if (blanks ? isspace((unsigned char)*p) : *p == separator)
                break;
        fields[count] = rg_log_trim((struct rg_slice){from, (size_t)(p - from), false});
        fields[count++].quoted = quoted;
        if (!blanks && p == end)
            break;
        p++;
        while (p < end && blanks && isspace((unsigned char)*p))
            p++;
    }
    return count;
}

bool rg_log_is_comment(struct rg_slice bare)
{
    return !bare.length || *bare.at == '#';
}

/* The day and the time in fields of their own, or a fraction in one, joined. */
static struct rg_slice join(const struct rg_log_columns *c, const struct rg_slice *fields,
                            char room[64])
{
    struct rg_slice day = fields[c->date];
    if (c->clock < 0 && !c->fraction)
        return day;
    struct rg_slice other = c->clock >= 0 ? fields[c->clock] : fields[c->date + 1];
    size_t n = day.length + other.length + 1;
    if (n > 64)
        return day;
    memcpy(room, day.at, day.length);
    room[day.length] = c->fraction ? '.' : ' ';
    memcpy(room + day.length + 1, other.at, other.length);
    return (struct rg_slice){room, n, false};
}

/* Seconds of UNIX by the number's size: s, ms, us, ns. */
static double factor_of(double number)
{
    double size = fabs(number);
    return size < 1e11 ? 1 : size < 1e14 ? 1e-3 : size < 1e17 ? 1e-6 : 1e-9;
}

static bool read_date(struct rg_log_columns *c, const struct rg_slice *fields, double *date_s,
                      double *step_s)
{
    char room[64];
    struct rg_slice text = join(c, fields, room);
    struct rg_log_digits last;
    if (text.length && text.at[text.length - 1] == ':') /* rrdtool fetch */
        text.length--;
    bool comma = c->separator != ',' || fields[c->date].quoted;
    const char *end = text.at + text.length, *stop = rg_log_number(text, comma, date_s, &last);
    if (stop == end) {
        double factor = c->date_factor > 0 ? c->date_factor : factor_of(*date_s);
        *step_s = factor * last.printed;
        *date_s *= factor;
        return true;
    }
    return rg_log_civil(&c->calendar, text, date_s, step_s) == RG_LOG_DATE;
}

bool rg_log_date_of(void *columns, struct rg_slice line, double *date_s)
{
    struct rg_log_columns *c = columns;
    struct rg_slice fields[RG_LOG_COLUMNS];
    double step_s;
    int last = c->clock > c->date ? c->clock : c->date + c->fraction;
    return rg_log_split(line, c->separator, fields, last + 1) > last &&
           read_date(c, fields, date_s, &step_s);
}

/* Zeros behind the point may be the printing program's, not the meter's, which tells tenths of a
 * watt apart where it prints as much. */
#define METER_W 0.1

/* One field, in watts or joules, amps or volts. false: it is no number. */
static bool read_value(const struct rg_log_columns *c, const struct rg_slice *fields, int k,
                       double *value, double *quantum)
{
    struct rg_log_digits last;
    struct rg_slice text = fields[c->value[k]];
    struct rg_log_unit unit;
    bool comma = c->separator != ',' || text.quoted;
    double factor = c->factor[k];
    const char *end = text.at + text.length, *stop = rg_log_number(text, comma, value, &last);
    if (!stop) {
        *value = *quantum = NAN;
        return rg_log_missing(text);
    }
    struct rg_slice rest = rg_log_trim((struct rg_slice){stop, (size_t)(end - stop), false});
    if (c->unit >= 0)
        rest = fields[c->unit];
    if (rest.length) {
        bool energy = c->kind != RG_LOG_MOMENTS && c->kind != RG_LOG_MEANS;
        if (!rg_log_unit(rest, &unit) ||
            (!c->sum_product && unit.quantity != (energy ? RG_LOG_ENERGY : RG_LOG_POWER)))
            return false;
        factor = unit.factor;
    }
    *value *= factor;
    *quantum = factor * last.printed;
    if (!c->sum_product)
        *quantum = fmin(factor * last.bare, fmax(*quantum, METER_W));
    return true;
}

static int channel_of(const struct rg_log_columns *c, struct rg_slice text)
{
    for (int i = 0; i < c->channel_count; i++)
        if (rg_log_is(text, c->channels[i]))
            return i;
    return -1;
}

static int read_values(const struct rg_log_columns *c, const char *path,
                       const struct rg_slice *fields, struct rg_log_row *row, struct rg_error *e)
{
    double sum = c->sum_product ? 1 : 0;
    for (int k = 0; k < c->value_count; k++) {
        double value, quantum;
        if (!read_value(c, fields, k, &value, &quantum))
            return rg_fail_at(e, path, (int)row->line, "no watts in column %d: \"%.*s\"",
                              c->value[k] + 1, (int)RG_MIN(fields[c->value[k]].length, (size_t)40),
                              fields[c->value[k]].at);
        if (c->sum_product) /* errors of the factors, relative, add up */
            row->quantum = row->quantum * fabs(value) + quantum * fabs(sum);
        else
            row->quantum = fmax(row->quantum, quantum);
        sum = c->sum_product ? sum * value : sum + value;
    }
    row->value = sum;
    return 1;
}

/* Fields behind the others that hold nothing, as of a separator at the end of each row. */
static int without_empty(const struct rg_slice *fields, int count, int least)
{
    while (count > least && fields[count - 1].length == 0)
        count--;
    return count;
}

int rg_log_row(struct rg_log_columns *c, const char *path, struct rg_slice line, int64_t number,
               struct rg_log_row *row, struct rg_error *e)
{
    struct rg_slice fields[RG_LOG_COLUMNS], bare = rg_log_bare(line);
    size_t heading = strlen(c->heading);
    *row = (struct rg_log_row){.line = number};
    if (rg_log_is_comment(bare) ||
        (heading && bare.length >= heading && memcmp(bare.at, c->heading, heading) == 0))
        return 0;
    int count = rg_log_split(line, c->separator, fields, RG_LOG_COLUMNS);
    count = without_empty(fields, count, c->count);
    if (c->channel_count) { /* rows of other channels may have other fields */
        row->channel = c->channel < count ? channel_of(c, fields[c->channel]) : -1;
        if (row->channel < 0)
            return 0;
    } else if (count > c->count) {
        return rg_fail_at(e, path, (int)number,
                          "%d fields, %d are wanted (a comma within a number parts it in two)",
                          count, c->count);
    }
    int last = RG_MAX(c->clock, c->date + c->fraction);
    for (int k = 0; k < c->value_count; k++)
        last = RG_MAX(last, c->value[k]);
    if (last >= count)
        return rg_fail_at(e, path, (int)number, "%d fields, %d are wanted", count, c->count);
    if (c->records && (fields[c->value[0]].length == 0 || fields[c->date].length == 0))
        return 0;
    if (!read_date(c, fields, &row->date_s, &row->step_s))
        return rg_fail_at(e, path, (int)number,
                          "no date in column %d: seconds of UNIX or ISO 8601 are wanted",
                          c->date + 1);
    return read_values(c, path, fields, row, e);
}
