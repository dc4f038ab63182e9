/* The log of a USB or wall meter: dates and watts in columns, read after the run.
 *
 * Happy path: the columns are found by their names in the first line (date, time or timestamp;
 * watts, power, or one that ends in "W"), or are the first two; fields part at commas, semicolons
 * or tabs. Dates are seconds of UNIX, or ISO 8601 (with a zone, or in local time). Between two rows
 * the power is taken as a straight line.
 *
 * Failure modes handled: a folder, or a file that may not be read (refused before the run; one that
 * is not there may come later, and is looked for after it), rows that are no
 * numbers or go back in time (FILE:LINE), a log that does not cover the run from its beginning to
 * its end, gaps, negative or absurd watts, a meter that is stuck; a last line without its end is
 * still being written and left out. */
#include "meters/meter_source.h"

#include "base/check.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COLUMNS = 32, GAP = 10 /* times the usual interval */ };
#define MOST_W 100000 /* a rack of boards at one socket, and more */

struct row {
    double date_s, watts;
};

struct csv {
    char path[400];
    double offset_s;
    struct rg_meter_limits limits;
    struct row *rows;
    size_t count, room;
    int date, watts; /* columns */
};

/* ---- one row ---- */

static int split(char *line, char *fields[COLUMNS])
{
    int count = 0;
    for (char *rest = line, *field; count < COLUMNS && (field = strsep(&rest, ",;\t\r"));) {
        field += strspn(field, " \"");
        for (size_t n = strlen(field); n && strchr(" \"", field[n - 1]); n--)
            field[n - 1] = '\0';
        fields[count++] = field;
    }
    return count;
}

/* Minutes east of UTC; false: no zone. */
static bool parse_zone(const char *text, int *minutes, bool *given)
{
    int hours = 0, rest = 0;
    char sign;
    *minutes = 0;
    *given = *text != '\0';
    if (!*text || strcasecmp(text, "Z") == 0)
        return true;
    if (sscanf(text, "%c%2d:%2d", &sign, &hours, &rest) != 3 &&
        sscanf(text, "%c%2d%2d", &sign, &hours, &rest) < 2)
        return false;
    *minutes = (sign == '-' ? -1 : 1) * (60 * hours + rest);
    return (sign == '+' || sign == '-') && hours <= 14 && rest < 60;
}

/* "2026-03-01T12:00:00.5+01:00", also with a blank for the T. */
static bool parse_iso(const char *text, double *date_s)
{
    struct tm t = {.tm_isdst = -1};
    double fraction = 0;
    int minutes;
    bool zoned;
    const char *rest = strptime(text, "%Y-%m-%d", &t);
    rest = rest && (*rest == 'T' || *rest == ' ') ? strptime(rest + 1, "%H:%M:%S", &t) : NULL;
    if (!rest)
        return false;
    if (*rest == '.') {
        char *end;
        fraction = strtod(rest, &end);
        rest = end;
    }
    if (!parse_zone(rest, &minutes, &zoned))
        return false;
    t.tm_isdst = -1;
    *date_s = (double)(zoned ? timegm(&t) : mktime(&t)) - 60.0 * minutes + fraction;
    return true;
}

static bool parse_number(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && end[strspn(end, " W")] == '\0' && isfinite(*value);
}

static bool parse_date(const char *text, double *date_s)
{
    return parse_number(text, date_s) || parse_iso(text, date_s);
}

/* ---- the file ---- */

/* Is the first line one of names? Then it says where the columns are. */
static int read_head(struct csv *csv, char *fields[COLUMNS], int count, bool *named,
                     struct rg_error *e)
{
    static const char *const dates[] = {"time", "timestamp", "date",  "datetime",
                                        "t",    "unix",      "time_s"};
    int date = -1, watts = -1;
    double number;
    csv->date = 0;
    csv->watts = 1;
    *named = count < 1 || !parse_date(fields[0], &number);
    if (!*named)
        return 0;
    for (int i = 0; i < count; i++) {
        size_t length = strlen(fields[i]);
        for (size_t k = 0; k < RG_COUNT(dates) && date < 0; k++)
            if (strcasecmp(fields[i], dates[k]) == 0)
                date = i;
        bool unit = length && fields[i][length - 1] == 'W' &&
                    (length == 1 || strchr("_ (", fields[i][length - 2]));
        if (watts < 0 && (unit || strcasecmp(fields[i], "watts") == 0 ||
                          strcasecmp(fields[i], "power") == 0 || strstr(fields[i], "(W)")))
            watts = i;
    }
    if (date < 0 || watts < 0)
        return rg_fail_at(e, csv->path, 1, "no column of %s: time and watts are wanted",
                          date < 0 ? "dates" : "watts");
    csv->date = date;
    csv->watts = watts;
    return 0;
}

static int add_row(struct csv *csv, char *fields[COLUMNS], int count, int line, struct rg_error *e)
{
    struct row row;
    if (csv->date >= count || !parse_date(fields[csv->date], &row.date_s))
        return rg_fail_at(e, csv->path, line, "no date in column %d: seconds of UNIX or ISO 8601",
                          csv->date + 1);
    if (csv->watts >= count || !parse_number(fields[csv->watts], &row.watts))
        return rg_fail_at(e, csv->path, line, "no watts in column %d", csv->watts + 1);
    row.date_s += csv->offset_s;
    if (csv->count && row.date_s < csv->rows[csv->count - 1].date_s)
        return rg_fail_at(e, csv->path, line, "its date is before that of the row above");
    if (csv->count == csv->room) {
        size_t room = csv->room ? 2 * csv->room : 1024;
        struct row *rows = realloc(csv->rows, room * sizeof *rows);
        if (!rows)
            return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
        csv->rows = rows;
        csv->room = room;
    }
    csv->rows[csv->count++] = row;
    return 0;
}

static int load(struct csv *csv, struct rg_error *e)
{
    char *text = NULL, *fields[COLUMNS];
    size_t size = 0;
    int result = 0, line = 0;
    bool named = false;
    csv->count = 0;
    FILE *stream = fopen(csv->path, "rbe");
    if (!stream)
        return rg_fail(e, RG_ERR_IO, "%.300s: %s", csv->path, strerror(errno));
    for (ssize_t length; result == 0 && (length = getline(&text, &size, stream)) > 0;) {
        line++;
        if (text[length - 1] != '\n') /* still being written */
            break;
        text[length - 1] = '\0';
        if (text[strspn(text, " \t\r")] == '\0' || text[0] == '#')
            continue;
        int count = split(text, fields);
        if (line == 1)
            result = read_head(csv, fields, count, &named, e);
        if (result == 0 && !(line == 1 && named))
            result = add_row(csv, fields, count, line, e);
    }
    if (result == 0 && ferror(stream))
        result = rg_fail(e, RG_ERR_IO, "%.300s: cannot be read", csv->path);
    free(text);
    fclose(stream);
    return result;
}

/* ---- joules ---- */

static int compare(const void *a, const void *b)
{
    const double *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

/* The median distance of its rows; NAN: there is none. */
static double usual_interval(const struct csv *csv)
{
    double *gaps = csv->count > 1 ? malloc((csv->count - 1) * sizeof *gaps) : NULL;
    if (!gaps)
        return NAN;
    for (size_t i = 1; i < csv->count; i++)
        gaps[i - 1] = csv->rows[i].date_s - csv->rows[i - 1].date_s;
    qsort(gaps, csv->count - 1, sizeof *gaps, compare);
    double median = gaps[(csv->count - 1) / 2];
    free(gaps);
    return median;
}

static double watts_at(const struct row *row, double date_s)
{
    double h = row[1].date_s - row[0].date_s;
    return h > 0 ? row[0].watts + (row[1].watts - row[0].watts) * (date_s - row[0].date_s) / h
                 : row[1].watts;
}

static int integrate(const struct csv *csv, double begin_s, double end_s, double usual_s,
                     struct rg_integral *part, struct rg_error *e)
{
    size_t i = 0;
    int result = 0;
    while (csv->rows[i + 1].date_s <= begin_s && i + 2 < csv->count)
        i++;
    rg_integral_begin(part, begin_s, watts_at(&csv->rows[i], begin_s));
    for (; result == 0 && part->date_s < end_s; i++) {
        const struct row *row = &csv->rows[i];
        double gap_s = row[1].date_s - row[0].date_s, to_s = fmin(row[1].date_s, end_s);
        if (gap_s > GAP * usual_s)
            return rg_fail(e, RG_ERR_IO,
                           "%.300s: a gap of %.3g s in the run, rows are %.3g s apart", csv->path,
                           gap_s, usual_s);
        if (row[0].watts < 0 || !(row[0].watts <= MOST_W)) /* what it is interpolated from */
            result = rg_integral_watts(part, &csv->limits, part->date_s, row[0].watts, e);
        if (result == 0)
            result =
                rg_integral_watts(part, &csv->limits, to_s,
                                  to_s < row[1].date_s ? watts_at(row, to_s) : row[1].watts, e);
    }
    if (result) {
        struct rg_error why = *e;
        rg_fail(e, result, "%.200s: %.260s", csv->path, why.text);
    }
    return result;
}

static int csv_between(void *state, double begin_s, double end_s, struct rg_integral *part,
                       struct rg_error *e)
{
    struct csv *csv = state;
    int result = load(csv, e);
    if (result)
        return result;
    double usual_s = usual_interval(csv);
    if (!(usual_s >= 0))
        return rg_fail(e, RG_ERR_PROTOCOL, "%.300s: two rows at least are wanted", csv->path);
    const struct row *last = &csv->rows[csv->count - 1];
    if (csv->rows[0].date_s > begin_s)
        return rg_fail(e, RG_ERR_IO, "%.300s: begins %.3f s after the run (--meter-offset?)",
                       csv->path, csv->rows[0].date_s - begin_s);
    if (last->date_s < end_s)
        return rg_fail(e, RG_ERR_TIMEOUT, "%.300s: ends %.3f s before the run (--meter-offset?)",
                       csv->path, end_s - last->date_s);
    return integrate(csv, begin_s, end_s, usual_s, part, e);
}

static int csv_check(const char *path, struct rg_error *e)
{
    struct stat status;
    if (strlen(path) >= sizeof((struct csv *)NULL)->path)
        return rg_fail(e, RG_ERR_INVALID, "%.100s...: the path is too long", path);
    if (stat(path, &status) != 0 && errno == ENOENT)
        return 0; /* the meter writes it when it likes */
    if (access(path, R_OK) != 0)
        return rg_fail(e, RG_ERR_INVALID, "%s: cannot be read: %s", path, strerror(errno));
    return S_ISDIR(status.st_mode)
               ? rg_fail(e, RG_ERR_INVALID, "%s: is a folder, a file is wanted", path)
               : 0;
}

static int csv_open(struct rg_meter_probe *probe, void **state, struct rg_error *e)
{
    struct csv *csv = calloc(1, sizeof *csv);
    if (!csv)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    snprintf(csv->path, sizeof csv->path, "%.399s", probe->argument);
    csv->offset_s = probe->offset_s;
    csv->limits = (struct rg_meter_limits){.most_W = MOST_W, .stuck_s = probe->stuck_s};
    snprintf(probe->where, sizeof probe->where, "%.150s, read after the run", csv->path);
    *state = csv;
    return 0;
}

static void csv_close(void *state)
{
    struct csv *csv = state;
    free(csv->rows);
    free(csv);
}

const struct rg_meter_source rg_meter_csv = {
    .name = "csv",
    .summary = "the log of a USB or wall meter (time, watts), read after the run",
    .argument = "FILE",
    .needs_argument = true,
    .kind = RG_METER_LOG,
    .most_W = MOST_W,
    .check = csv_check,
    .open = csv_open,
    .between = csv_between,
    .close = csv_close,
};
