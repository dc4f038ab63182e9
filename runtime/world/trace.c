#include "world/trace.h"

#include <math.h>
#include <stdlib.h>

bool rg_trace_part_has(const struct rg_trace_part *part, int rank)
{
    bool has = part->range_count == 0;
    for (int i = 0; i < part->range_count; i++)
        has = has || (rank >= part->ranges[i][0] && rank <= part->ranges[i][1]);
    return has;
}

struct rg_trace *rg_trace_new(uint64_t limit)
{
    struct rg_trace *trace = calloc(1, sizeof *trace);
    if (!trace)
        return NULL;
    trace->limit = limit;
    rg_trace_limit_to(trace, NULL);
    return trace;
}

struct rg_trace *rg_trace_like(const struct rg_trace *other)
{
    struct rg_trace *trace = other ? rg_trace_new(other->limit) : NULL;
    if (trace) {
        trace->from_s = other->from_s;
        trace->to_s = other->to_s;
    }
    return trace;
}

void rg_trace_limit_to(struct rg_trace *trace, const struct rg_trace_part *part)
{
    trace->from_s = part && part->from_s > 0 ? part->from_s : -INFINITY;
    trace->to_s = part && part->to_s > 0 ? part->to_s : INFINITY;
}

void rg_trace_free(struct rg_trace *trace)
{
    if (trace)
        free(trace->events);
    free(trace);
}

void rg_trace_add(struct rg_trace *trace, const struct rg_trace_event *event)
{
    if (!trace || event->end_s < trace->from_s || event->begin_s > trace->to_s)
        return;
    if (trace->count == trace->capacity) {
        uint64_t capacity = trace->capacity ? 2 * trace->capacity : 1024;
        if (capacity > trace->limit)
            capacity = trace->limit;
        struct rg_trace_event *events =
            capacity > trace->capacity ? realloc(trace->events, (size_t)capacity * sizeof *events)
                                       : NULL;
        if (!events) {
            trace->dropped++;
            return;
        }
        trace->events = events;
        trace->capacity = capacity;
    }
    trace->events[trace->count++] = *event;
}
