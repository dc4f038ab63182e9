/* Joules cut from a log, as the meter csv does it. */
#ifndef RG_TESTS_METER_LOG_H
#define RG_TESTS_METER_LOG_H

#include "meters.h"

#include "meters/meter_source.h"

extern const struct rg_meter_source rg_meter_csv;

/* Of all that `argument` ("FILE:COLUMN"...) has in the spans, together and each by itself; and what
 * it took for the column of watts. */
static inline int cut_log(const char *argument, const struct rg_clock_section *spans, int count,
                          double *each, struct rg_integral *whole, char column[80],
                          struct rg_error *e)
{
    struct rg_meter_probe probe = {.root = "", .argument = argument, .stuck_s = 30};
    void *state;
    *whole = (struct rg_integral){0};
    int result = rg_meter_csv.open(&probe, &state, e);
    if (result)
        return result;
    result = rg_meter_csv.between(state, spans, count, 0, each, whole, e);
    snprintf(column, 80, "%s", probe.log->column);
    rg_meter_csv.close(state);
    return result;
}

#endif
