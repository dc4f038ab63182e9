/* What the top of a log shows: its first rows, field by field, and the names above them. */
#ifndef RG_METERS_LOG_SAMPLE_H
#define RG_METERS_LOG_SAMPLE_H

#include "meters/log_parts.h"

enum { RG_LOG_SAMPLE = 512 /* lines */ };

/* What stands in a field. */
enum rg_log_class {
    RG_CLASS_GONE, /* no value, or unknown */
    RG_CLASS_NUMBER,
    RG_CLASS_CIVIL,     /* day and time */
    RG_CLASS_AMBIGUOUS, /* the same: its day may be its month */
    RG_CLASS_DAY,
    RG_CLASS_CLOCK, /* time without a day */
    RG_CLASS_UNIT,
    RG_CLASS_WORDS,
    RG_CLASS_ODD /* digits, points and commas that are no number */
};

/* A name of the heading, and what it says. */
struct rg_log_name {
    struct rg_slice whole, base; /* base: without its unit */
    struct rg_log_unit unit;     /* quantity RG_LOG_UNKNOWN: none is known */
    bool mean;                   /* of the time before the date */
    int dated;                   /* 2: that is what a date is called; 1: perhaps */
    bool other;                  /* not what was drawn, though its unit may be the same */
};

/* Slices are of the text's buffer. */
struct rg_log_sample {
    const char *path; /* borrowed */
    struct rg_slice line[RG_LOG_SAMPLE];
    int before;                           /* the number of the line before these */
    const struct rg_log_records *records; /* what it was before; NULL: a table */
    int count, first;                     /* of the first row, from 0 */
    char separator;
    struct rg_slice field[RG_LOG_COLUMNS]; /* of the first row */
    enum rg_log_class class[RG_LOG_COLUMNS];
    struct rg_log_unit unit[RG_LOG_COLUMNS]; /* that stands in the field itself */
    int fields;
    struct rg_log_name name[RG_LOG_COLUMNS]; /* of the heading */
    int names, heading;                      /* 0: no names; its line from 0, -1: there is none */
    int fraction; /* by the names, the field behind this one holds its fraction; -1: none does */
};

/* The number in its file of a line of the sample: a heading that stands in none is 1, too. */
int rg_log_line_of(const struct rg_log_sample *sample, int line);
/* From the text's beginning; its position is left alone, and it outlives the sample. Errors:
 * RG_ERR_PROTOCOL, no rows or no names that fit them; RG_ERR_TIMEOUT: no rows yet. */
int rg_log_sample_read(const struct rg_log_text *text, struct rg_log_sample *sample,
                       struct rg_error *e);
/* Is the field behind a time, of three or six digits, its fraction ("10:00:00,123")? */
bool rg_log_is_fraction(const struct rg_log_sample *sample, int field);
/* Which program writes such a heading, or such first lines, and what it may be told; or "". */
const char *rg_log_program(const struct rg_log_sample *sample, int lines);

#endif
