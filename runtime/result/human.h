/* Quantities for people: three significant digits and a unit; NAN is "-". */
#ifndef RG_RESULT_HUMAN_H
#define RG_RESULT_HUMAN_H

#include <stdio.h>

enum { RG_HUMAN = 24 };

/* Each fills out and returns it. */
const char *rg_human_seconds(double seconds, char out[RG_HUMAN]);
const char *rg_human_bytes(double bytes, char out[RG_HUMAN]); /* decimal: 1 kB is 1000 B */
const char *rg_human_joules(double joules, char out[RG_HUMAN]);
const char *rg_human_count(double count, char out[RG_HUMAN]); /* 1.23 M */
const char *rg_human_percent(double share, char out[RG_HUMAN]);
const char *rg_human_ratio(double ratio, char out[RG_HUMAN]);
const char *rg_human_number(double number, char out[RG_HUMAN]); /* 0.0123, 1.2e+07 */

/* A table whose columns are as wide as their widest cell: the first left-aligned, the rest right.
 */
struct rg_table {
    int columns, rows, room;
    char *(*cells)[16]; /* row by row */
    char **notes;       /* [rows]: a line below the row, or NULL */
};

/* A row of `columns` texts (copied); note may be NULL. Aborts where memory is out. */
void rg_table_row(struct rg_table *table, const char *const *cells, const char *note);
void rg_table_print(const struct rg_table *table, FILE *stream);
void rg_table_free(struct rg_table *table);

#endif
