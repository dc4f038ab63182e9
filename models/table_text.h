/* Text files of rows: lines of a plain or gzipped file, the fields of a line, numbers in them. */
#ifndef RG_MODELS_TABLE_TEXT_H
#define RG_MODELS_TABLE_TEXT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <zlib.h>

/* ---- lines ---- */

struct rg_lines {
    const char *path; /* borrowed */
    gzFile stream;
    int line; /* number of the line that was read last */
    char *buffer;
    size_t room, begin, end; /* of the buffer; what is unread lies in [begin, end) */
    bool ended;
};

/* Errors: RG_ERR_IO, with the reason alone, so that the caller can say who wants the file. */
int rg_lines_open(struct rg_lines *lines, const char *path, struct rg_error *e);
/* The next line that is neither empty nor a comment (#), terminated, without its end and without a
 * byte-order mark; valid until the next call. 1, or 0 at the end; errors name file and line. */
int rg_lines_next(struct rg_lines *lines, char **line, size_t *length, struct rg_error *e);
void rg_lines_close(struct rg_lines *lines);
/* Is that the first line "sep=;", which spreadsheets write for one another? It is no row. */
bool rg_lines_is_hint(const struct rg_lines *lines, const char *line);
/* The same, comments and hints too, for who looks for a heading in them. */
int rg_lines_any(struct rg_lines *lines, char **line, size_t *length, struct rg_error *e);

/* ---- fields ---- */

#define RG_BLANKS ' ' /* the separator of fields that blanks and tabs in any number part */

struct rg_table_field {
    char *text; /* terminated; quotes and the blanks round it are gone */
    size_t length;
    bool quoted;
};

/* Take the next field off *at, which becomes NULL behind the last; the line is written to. Returns
 * false where a quote does not end. */
bool rg_table_field_next(char **at, char separator, struct rg_table_field *field);
/* How many fields a line has; < 0: a quote does not end. The line stays as it is. */
int rg_field_count(const char *line, char separator);

/* ---- numbers ---- */

/* What a decimal mark has been so far: in one file there is one. */
struct rg_decimal {
    char mark; /* '.' or ',', or 0 as long as none was met */
    bool comma_allowed;
};

enum rg_number { RG_NUMBER, RG_MISSING, RG_NO_NUMBER, RG_OTHER_MARK };

/* The number at *at, which moves on to the separator behind it (or the end of the line), blanks
 * left out: exact, as strtod would read it, whatever the locale; dates are seconds. RG_MISSING: an
 * empty field, "?", "NA" and the like. Otherwise *at stays. */
enum rg_number rg_number_next(const char **at, char separator, struct rg_decimal *decimal,
                              double *value);
/* The same of a whole text. */
enum rg_number rg_number_of(const char *text, struct rg_decimal *decimal, double *value);
/* Seconds since 1970 (UTC) of "2024-03-31", "2024-03-31T12:30:15.5+01:00" (or with a blank for T),
 * or since midnight of "12:30" and "12:30:15.5". */
bool rg_date_of(const char *text, double *seconds);
bool rg_is_missing(const char *text, size_t length);
/* A number that is none that is read: with a unit of money, %, marks of thousands, as a date of
 * another order, or infinite. Texts of that kind are not taken for names. */
bool rg_is_like_number(const char *text);

#endif
