/* Lines that name their values, as a table: JSON, an object a line, tegrastats, NAME=VALUE. */
#ifndef RG_METERS_LOG_RECORDS_H
#define RG_METERS_LOG_RECORDS_H

#include "meters/log_parts.h"

enum { RG_RECORD_NAME = 96 };

enum rg_record_form { RG_RECORD_JSON, RG_RECORD_TEGRASTATS, RG_RECORD_PAIRS, RG_RECORD_FORMS };

struct rg_log_records {
    enum rg_record_form form;
    int count;
    char name[RG_LOG_COLUMNS][RG_RECORD_NAME]; /* "ENERGY.Power": its keys from the outermost */
};

/* Is it such a log, by its first lines? Then their names are its columns. */
bool rg_log_records_find(struct rg_log_records *records, struct rg_slice text);
/* The names, parted by |, and a line's values below them, each with a line's end: the bytes
 * written, at most RG_LOG_LINE. A value that a line does not name is empty; a line that is no
 * record stays as it is. */
size_t rg_log_records_heading(const struct rg_log_records *records, char *out);
size_t rg_log_records_row(const struct rg_log_records *records, struct rg_slice line, char *out);

#endif
