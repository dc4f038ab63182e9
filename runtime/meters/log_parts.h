/* Inside the log meter: a file's text to lines, lines to rows, rows to joules.
 *
 * - log_text.c: rg_log_open, rg_log_line: lines of a file, gzip or not; rg_log_skip passes over
 *   what is before a run
 * - log_records.c: lines that name their values, JSON, tegrastats and NAME=VALUE, to rows
 * - log_units.c: numbers, units and dates in a field
 * - log_columns.c: rg_log_recognise: which columns hold dates and watts, in which units
 *   (log_sample.c: the first rows and the heading, from which it knows)
 * - log_rows.c: rg_log_row: a line becomes a reading of one channel
 * - log_sum.c: rg_log_habits: how often rows come, and whether only when power changes;
 *   rg_log_sum_*: readings become joules with their uncertainty
 */
#ifndef RG_METERS_LOG_PARTS_H
#define RG_METERS_LOG_PARTS_H

#include "base/error.h"
#include "meters/meter_source.h"
#include "world/clocks.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct rg_slice { /* of a text; not ended by a 0 */
    const char *at;
    size_t length;
    bool quoted;
};

/* ---- log_units.c: numbers, units and dates ---- */

enum rg_quantity {
    RG_LOG_UNKNOWN,
    RG_LOG_TIME,
    RG_LOG_POWER,
    RG_LOG_ENERGY,
    RG_LOG_VOLTS,
    RG_LOG_AMPS,
    RG_LOG_ELSE /* a unit that is known and none of these */
};

struct rg_log_unit {
    enum rg_quantity quantity;
    double factor; /* to s, W, J, V, A */
};

/* "mW", "kWh", "Joules": true where it is a unit. Single letters are case-sensitive. */
bool rg_log_unit(struct rg_slice text, struct rg_log_unit *unit);

struct rg_slice rg_log_bare(struct rg_slice text);      /* without white space round it */
struct rg_slice rg_log_trim(struct rg_slice text);      /* without quotes, either */
bool rg_log_is(struct rg_slice text, const char *word); /* in any case of letters */
/* Has it the word, which digits may follow? In any case of letters. */
bool rg_log_has_word(struct rg_slice text, const char *word);
/* What the last digit of a number stands for: as printed, and without zeros behind the point. */
struct rg_log_digits {
    double printed, bare;
};
/* Its end, or NULL: no number begins here. comma: "5,3" is a number. last: may be NULL. */
const char *rg_log_number(struct rg_slice text, bool comma, double *value,
                          struct rg_log_digits *last);
bool rg_log_missing(struct rg_slice text); /* "", "nan", "unavailable" */

/* Dates that are no number: the last one is remembered, up to its minute. */
struct rg_log_calendar {
    char minute[32], zone[16];
    size_t minute_length, zone_length;
    double minute_s;
};
enum rg_log_date { RG_LOG_NO_DATE, RG_LOG_DATE, RG_LOG_AMBIGUOUS };
/* "2026-03-02T10:00:00.5+01:00", "02.03.2026 10:00:00,5", "3/22/2026 10:00:00 PM"; local time
 * without a zone. *step_s: what the last digit stands for. */
enum rg_log_date rg_log_civil(struct rg_log_calendar *c, struct rg_slice text, double *date_s,
                              double *step_s);
bool rg_log_day(struct rg_slice text);       /* a day without a time */
bool rg_log_ambiguous(struct rg_slice text); /* such a day, or its month */
bool rg_log_clock(struct rg_slice text);     /* a time without a day */

/* ---- log_text.c ---- */

enum { RG_LOG_BLOCK = 1 << 18, RG_LOG_LINE = 1 << 16 }; /* bytes */

struct rg_log_text {
    const char *path; /* borrowed */
    gzFile stream;
    char *buffer;      /* what is unread, from a line's beginning; 2 blocks and a line */
    size_t used, next; /* bytes in it; where the next line begins */
    struct rg_log_records *records; /* it is no table but is made one; NULL: it is one */
    char *raw;                      /* what is not made rows yet; a block and a line */
    size_t raw_used;
    int64_t line;    /* number of the line last read; a heading of names is 0 */
    bool dry;        /* the file is read; rows may still be made of what is raw */
    bool ended, cut; /* nothing more to read; within a gzip member, or a line */
};

int rg_log_open(struct rg_log_text *text, const char *path, struct rg_error *e);
void rg_log_close(struct rg_log_text *text);
/* 1: a line, without its end, until the next call; 0: no more. A last line without an end is still
 * being written and no line. Errors: RG_ERR_IO, a line that is too long (RG_ERR_PROTOCOL). */
int rg_log_line(struct rg_log_text *text, struct rg_slice *line, struct rg_error *e);
/* Passes over what is surely before a date, as far as lines' dates go up. The date of a line: */
typedef bool (*rg_log_dater)(void *arg, struct rg_slice line, double *date_s);
int rg_log_skip(struct rg_log_text *text, double before_s, rg_log_dater date_of, void *arg,
                struct rg_error *e);

/* ---- log_columns.c ---- */

enum { RG_LOG_COLUMNS = 128, RG_LOG_RAILS = 16, RG_LOG_TOLD = 160 };

enum rg_log_kind {
    RG_LOG_MOMENTS,  /* watts of that moment */
    RG_LOG_MEANS,    /* mean watts of the time since the row before */
    RG_LOG_COUNTER,  /* joules since some date */
    RG_LOG_AMOUNTS,  /* joules of the time since the row before */
    RG_LOG_ENERGIES, /* one of the last two: which, its rows say */
};

/* Which columns are what; numbers from 0, -1: there is none. */
struct rg_log_columns {
    char separator;     /* ' ': blanks, as many as there are */
    int count;          /* of the fields of a row */
    int date, clock;    /* clock: of a time that stands beside its day */
    bool fraction;      /* the field behind the date holds its fraction */
    double date_factor; /* of dates that are numbers; 0: by their size */
    enum rg_log_kind kind;
    bool sum_product; /* values are amps and volts, multiplied; else added up */
    int value_count, value[RG_LOG_RAILS];
    double factor[RG_LOG_RAILS];
    int unit;                   /* of the field that holds the value's unit */
    int channel, channel_count; /* rows of other channels are left alone */
    char channels[RG_LOG_RAILS][64];
    bool nameless;          /* no heading says that this is power */
    bool records;           /* a row without the value, or the date, says something else */
    int64_t first_line;     /* of the rows */
    char heading[200];      /* comes again now and then */
    char told[RG_LOG_TOLD]; /* in words */
    struct rg_log_calendar calendar;
};

/* From the text's beginning; its position is left alone. choice: columns by name or number, joined
 * by '+', or ""; "[unit]" may stand behind. Errors: RG_ERR_PROTOCOL, with the columns that there
 * are; RG_ERR_TIMEOUT: no rows yet. */
int rg_log_recognise(struct rg_log_text *text, const char *choice, struct rg_log_columns *columns,
                     struct rg_error *e);

/* ---- log_rows.c ---- */

int rg_log_split(struct rg_slice line, char separator, struct rg_slice *fields, int most);
bool rg_log_is_comment(struct rg_slice bare); /* or empty; bare: as rg_log_bare leaves it */

struct rg_log_row {
    int channel;
    double date_s, value;   /* value NAN: unknown */
    double step_s, quantum; /* what their last digits stand for */
    bool spread;            /* one of several with one date */
    int64_t line;
};

/* 1: a row; 0: none (comment, empty, heading, other channel). Errors: RG_ERR_PROTOCOL. */
int rg_log_row(struct rg_log_columns *columns, const char *path, struct rg_slice line,
               int64_t number, struct rg_log_row *row, struct rg_error *e);
/* The date alone. */
bool rg_log_date_of(void *columns, struct rg_slice line, double *date_s);

/* ---- log_sum.c ---- */

/* How the rows of a log come. */
struct rg_log_habit {
    int count;      /* of intervals */
    double usual_s; /* median interval; 0: there is none */
    bool on_change; /* irregular, and each another value */
    int ups, falls; /* rows whose value is above, below that before */
    double most_up; /* relative to the value */
};
/* Of what is in the text's buffer and unread. Errors: RG_ERR_NOMEM; bad rows are left alone. */
int rg_log_habits(const struct rg_log_text *text, struct rg_log_columns *columns,
                  struct rg_log_habit *habit, struct rg_error *e);

struct rg_log_sum;
struct rg_log_sum_options {
    const char *path; /* borrowed */
    enum rg_log_kind kind;
    struct rg_log_habit habit;
    struct rg_meter_limits limits;
    const struct rg_clock_section *spans; /* borrowed; by date, apart from each other */
    int span_count, aside;                /* the first so many are not in the whole */
    int channels;
    double *joules; /* of each span; borrowed */
};
int rg_log_sum_new(const struct rg_log_sum_options *options, struct rg_log_sum **sum,
                   struct rg_error *e);
void rg_log_sum_free(struct rg_log_sum *sum);
/* Dates are on the axis of the spans. 1: what is wanted is complete. */
int rg_log_sum_add(struct rg_log_sum *sum, const struct rg_log_row *row, struct rg_error *e);
/* RG_ERR_TIMEOUT: the log ends before the last span. */
int rg_log_sum_end(struct rg_log_sum *sum, struct rg_integral *whole, struct rg_error *e);

#endif
