/* What happened when on a node: one record an event, the same in every world. */
#ifndef RG_WORLD_TRACE_H
#define RG_WORLD_TRACE_H

#include <stdint.h>

enum rg_trace_kind { RG_TRACE_COMPUTE, RG_TRACE_WAIT, RG_TRACE_SEND, RG_TRACE_RECV, RG_TRACE_MARK };

struct rg_trace_event {
    double begin_s, end_s; /* on rg_now */
    uint64_t bytes;        /* messages */
    char name[12];         /* compute: "F", "B", ...; truncated; zero-padded */
    int32_t unit;          /* micro-batch, iteration (mark) or -1 */
    int32_t peer;          /* messages; else -1 */
    uint16_t kind;         /* enum rg_trace_kind */
    uint16_t strand;
    uint32_t tag;
    uint32_t unused; /* 0, in place of padding: events travel between nodes as they are */
};

/* Grows in chunks; records past `limit` are counted in dropped, so that a long run stays bounded.
 */
struct rg_trace {
    struct rg_trace_event *events;
    uint64_t count, capacity, limit, dropped;
};

struct rg_trace *rg_trace_new(uint64_t limit);
void rg_trace_free(struct rg_trace *trace);
/* A NULL trace ignores the event. */
void rg_trace_add(struct rg_trace *trace, const struct rg_trace_event *event);

#endif
