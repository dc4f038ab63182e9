#include "world/trace.h"

#include <stdlib.h>

struct rg_trace *rg_trace_new(uint64_t limit)
{
    struct rg_trace *trace = calloc(1, sizeof *trace);
    if (trace)
        trace->limit = limit;
    return trace;
}

void rg_trace_free(struct rg_trace *trace)
{
    if (trace)
        free(trace->events);
    free(trace);
}

void rg_trace_add(struct rg_trace *trace, const struct rg_trace_event *event)
{
    if (!trace)
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
