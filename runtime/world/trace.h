/* What happened when on a node: one record an event, the same in every world. */
#ifndef RG_WORLD_TRACE_H
#define RG_WORLD_TRACE_H

#include <stdbool.h>
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

/* Which part of a run is recorded; all 0: the whole of it. It travels between nodes as it is. */
enum { RG_TRACE_RANGES = 16 };
struct rg_trace_part {
    double from_s, to_s; /* on rg_now: events that lie at least partly between; 0: to the end */
    int32_t range_count; /* 0: every rank */
    int32_t ranges[RG_TRACE_RANGES][2]; /* first and last rank of each */
    int32_t unused;                     /* 0, in place of padding */
};

bool rg_trace_part_has(const struct rg_trace_part *part, int rank);

/* Grows in chunks; records past `limit` are counted in dropped, so that a long run stays bounded.
 */
struct rg_trace {
    struct rg_trace_event *events;
    uint64_t count, capacity, limit, dropped;
    double from_s, to_s; /* events outside are not recorded */
};

/* Of all that happens, until a part is set. NULL: out of memory. */
struct rg_trace *rg_trace_new(uint64_t limit);
/* As empty as new, with the limits of another. NULL: out of memory, or there is no other. */
struct rg_trace *rg_trace_like(const struct rg_trace *other);
/* What lies outside the part's window will not be recorded; part may be NULL: the whole run. */
void rg_trace_limit_to(struct rg_trace *trace, const struct rg_trace_part *part);
void rg_trace_free(struct rg_trace *trace);
/* A NULL trace ignores the event. */
void rg_trace_add(struct rg_trace *trace, const struct rg_trace_event *event);

#endif
