/* The log of a meter, or of a program that reads one: dates and watts (or energy, or amps and
 * volts) in columns, read after the run in one pass.
 *
 *     csv:FILE                 the column that its name or unit says holds watts
 *     csv:FILE:COLUMN+COLUMN   those; by name, by number, as "NAME[kWh]" in a unit
 *     csv:FILE::before         rows are means over the time since the row before (rrdtool,
 * collectd)
 *
 * Happy path: log_columns.c says what the file holds, log_rows.c reads it line by line, log_sum.c
 * makes joules of the run's spans. What is long before the run is passed over, and what is after it
 * goes unread.
 *
 * Failure modes handled: a folder, or a file that may not be read (refused before the run; one that
 * is not there may come later, and is looked for after it); a log that is still being written; and
 * those of the files above. */
#include "meters/log_parts.h"

#include "base/check.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_W 100000 /* a rack of boards at one socket, and more */
enum { FINGERPRINT = 8 /* rows that say which log this is */ };

struct csv {
    char path[400], choice[200];
    bool before;
    double offset_s;
    struct rg_meter_limits limits;
    struct rg_meter_log log; /* see meter_source.h */
};

/* ---- FILE:COLUMN:before ---- */

static bool is_file(const char *path, size_t length)
{
    char name[400];
    struct stat status;
    if (length >= sizeof name)
        return false;
    memcpy(name, path, length);
    name[length] = '\0';
    return stat(name, &status) == 0 && !S_ISDIR(status.st_mode);
}

/* How much of it is the file's name: up to a colon behind which, or before which, there is a file;
 * of a file that is not there yet, up to the first colon. */
static size_t path_length(const char *argument)
{
    size_t length = strlen(argument), first = strcspn(argument, ":");
    if (is_file(argument, length))
        return length;
    for (size_t i = length; i > 0; i--)
        if (argument[i - 1] == ':' && is_file(argument, i - 1))
            return i - 1;
    return first;
}

static int read_argument(const char *argument, struct csv *csv, struct rg_error *e)
{
    size_t length = path_length(argument);
    const char *rest = argument[length] ? argument + length + 1 : "";
    size_t chosen = strlen(rest);
    static const char before[] = "before", with[] = ":before";
    csv->before = strcmp(rest, before) == 0;
    if (csv->before)
        chosen = 0;
    if (chosen >= strlen(with) && strcmp(rest + chosen - strlen(with), with) == 0) {
        csv->before = true;
        chosen -= strlen(with);
    }
    if (length >= sizeof csv->path || chosen >= sizeof csv->choice)
        return rg_fail(e, RG_ERR_INVALID, "%.100s...: %s", argument,
                       length >= sizeof csv->path ? "the path is too long"
                                                  : "the names of columns are too long");
    memcpy(csv->path, argument, length);
    memcpy(csv->choice, rest, chosen);
    csv->path[length] = csv->choice[chosen] = '\0';
    return 0;
}

/* ---- one pass ---- */

struct pass {
    struct csv *csv;
    struct rg_log_text text;
    struct rg_log_columns columns;
    const struct rg_clock_section *spans; /* on the log's axis */
    int span_count, aside;
    double *joules;
};

/* What energy's rows are: joules since some date, or since the row before. */
static enum rg_log_kind kind_of(const struct csv *csv, const struct rg_log_columns *c,
                                const struct rg_log_habit *habit)
{
    if (c->kind == RG_LOG_ENERGIES)
        return 5 * habit->falls >= habit->count && habit->falls > 0 ? RG_LOG_AMOUNTS
                                                                    : RG_LOG_COUNTER;
    return csv->before && c->kind == RG_LOG_MOMENTS ? RG_LOG_MEANS : c->kind;
}

/* Without a name or a unit what only rises, or creeps, is no power. */
static int check_nameless(const struct rg_log_columns *c, const struct rg_log_habit *habit,
                          const char *path, struct rg_error *e)
{
    bool creeps = habit->ups > 0 && habit->most_up < 0.01;
    if (!c->nameless || habit->falls || habit->count < 2 || (habit->ups < 3 && !creeps))
        return 0;
    return rg_fail_at(e, path, (int)c->first_line,
                      "%s only rises: a counter of energy? csv:FILE:%d[kWh] says so, or a heading",
                      c->told, c->value[0] + 1);
}

/* Those who read the same log find the same number. */
static void add_fingerprint(struct csv *csv, const struct rg_log_columns *c,
                            const struct rg_log_row *row, int rows)
{
    double what[2] = {row->date_s, row->value};
    unsigned char bytes[sizeof what];
    if (rows == 0) {
        csv->log.fingerprint = RG_METER_HASH;
        for (const char *p = c->told; *p; p++)
            csv->log.fingerprint = rg_meter_hash(csv->log.fingerprint, (unsigned char)*p);
    }
    memcpy(bytes, what, sizeof what);
    for (size_t i = 0; i < sizeof bytes && rows < FINGERPRINT; i++)
        csv->log.fingerprint = rg_meter_hash(csv->log.fingerprint, bytes[i]);
}

static int recognise(struct pass *p, struct rg_error *e)
{
    struct csv *csv = p->csv;
    struct rg_log_row row;
    struct rg_error ignored;
    int result = rg_log_recognise(&p->text, csv->choice, &p->columns, e), rows = 0;
    const char *at = p->text.buffer + p->text.next, *end = p->text.buffer + p->text.used, *stop;
    csv->log.column[0] = '\0';
    if (result)
        return result;
    rg_copy_text(csv->log.column, sizeof csv->log.column, p->columns.told);
    for (int64_t line = 1; rows < FINGERPRINT && (stop = memchr(at, '\n', (size_t)(end - at)));
         line++, at = stop + 1)
        if (line >= p->columns.first_line &&
            rg_log_row(&p->columns, csv->path, (struct rg_slice){at, (size_t)(stop - at), false},
                       line, &row, &ignored) == 1)
            add_fingerprint(csv, &p->columns, &row, rows++);
    return 0;
}

static int add_rows(struct pass *p, struct rg_log_sum *sum, struct rg_error *e)
{
    struct rg_slice line;
    struct rg_log_row row;
    int got = 1, done = 0;
    while (done == 0 && (got = rg_log_line(&p->text, &line, e)) == 1) {
        if (p->text.line < p->columns.first_line)
            continue;
        done = rg_log_row(&p->columns, p->csv->path, line, p->text.line, &row, e);
        if (done == 1)
            done = rg_log_sum_add(sum, &row, e);
    }
    return done < 0 ? done : got < 0 ? got : 0;
}

static int sum_up(struct pass *p, struct rg_integral *whole, struct rg_error *e)
{
    struct csv *csv = p->csv;
    struct rg_log_sum *sum;
    struct rg_log_habit habit;
    int result = recognise(p, e);
    if (result == 0)
        result = rg_log_skip(&p->text, p->spans[0].begin_s, rg_log_date_of, &p->columns, e);
    if (result == 0)
        result = rg_log_habits(&p->text, &p->columns, &habit, e);
    if (result == 0)
        result = check_nameless(&p->columns, &habit, csv->path, e);
    if (result == 0)
        csv->log.usual_s = habit.usual_s;
    if (result)
        return result;
    struct rg_log_sum_options options = {.path = csv->path,
                                         .kind = kind_of(csv, &p->columns, &habit),
                                         .habit = habit,
                                         .limits = csv->limits,
                                         .spans = p->spans,
                                         .span_count = p->span_count,
                                         .aside = p->aside,
                                         .channels = RG_MAX(1, p->columns.channel_count),
                                         .joules = p->joules};
    result = rg_log_sum_new(&options, &sum, e);
    if (result == 0)
        result = add_rows(p, sum, e);
    if (result == 0)
        result = rg_log_sum_end(sum, whole, e);
    rg_log_sum_free(sum);
    return result;
}

static int csv_between(void *state, const struct rg_clock_section *spans, int count, int aside,
                       double *joules, struct rg_integral *whole, struct rg_error *e)
{
    struct csv *csv = state;
    struct rg_clock_section *moved = malloc(((size_t)count + 1) * sizeof *moved);
    struct pass pass = {
        .csv = csv, .spans = moved, .span_count = count, .aside = aside, .joules = joules};
    if (!moved)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    for (int i = 0; i < count; i++)
        moved[i] = (struct rg_clock_section){spans[i].begin_s - csv->offset_s,
                                             spans[i].end_s - csv->offset_s};
    int result = rg_log_open(&pass.text, csv->path, e);
    if (result == 0)
        result = sum_up(&pass, whole, e);
    rg_log_close(&pass.text);
    free(moved);
    if (result)
        rg_one_line(e->text); /* it quotes the file */
    return result;
}

/* ---- the meter ---- */

static int csv_check(const char *argument, struct rg_error *e)
{
    struct csv csv;
    struct stat status;
    int result = read_argument(argument, &csv, e);
    if (result)
        return result;
    if (stat(csv.path, &status) != 0 && errno == ENOENT)
        return 0; /* the meter writes it when it likes */
    if (access(csv.path, R_OK) != 0)
        return rg_fail(e, RG_ERR_INVALID, "%s: cannot be read: %s", csv.path, strerror(errno));
    return S_ISDIR(status.st_mode)
               ? rg_fail(e, RG_ERR_INVALID, "%s: is a folder, a file is wanted", csv.path)
               : 0;
}

static int csv_open(struct rg_meter_probe *probe, void **state, struct rg_error *e)
{
    struct csv *csv = calloc(1, sizeof *csv);
    if (!csv)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    int result = read_argument(probe->argument, csv, e);
    if (result) {
        free(csv);
        return result;
    }
    csv->offset_s = probe->offset_s;
    csv->limits = (struct rg_meter_limits){.most_W = MOST_W, .stuck_s = probe->stuck_s};
    snprintf(probe->where, sizeof probe->where, "%.150s, read after the run", csv->path);
    probe->log = &csv->log;
    *state = csv;
    return 0;
}

const struct rg_meter_source rg_meter_csv = {
    .name = "csv",
    .summary = "the log of a USB or wall meter (time, watts), read after the run",
    .argument = "FILE[:COLUMN][:before]",
    .needs_argument = true,
    .kind = RG_METER_LOG,
    .most_W = MOST_W,
    .check = csv_check,
    .open = csv_open,
    .between = csv_between,
    .close = free,
};
