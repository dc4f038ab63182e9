/* Inside this room: a record read from JSON by the table. */
#ifndef RG_RESULT_READ_H
#define RG_RESULT_READ_H

#include "result/result_fields.h"
#include <jansson.h>

/* *at: as rg_record_init left it. true, or false: *why holds the key that is missing or wrong,
 * after "run N: " where it is one of a run; *at can be freed in either case. */
bool rg_record_read(const struct rg_record *record, void *at, const json_t *object,
                    struct rg_error *why);

/* Of a run however it is laid out; malloc'ed, NULL: no memory. */
char *rg_json_sha256(const json_t *run);

#endif
