/* Timelines in the Chrome trace format (a JSON object with "traceEvents"), as Perfetto and
 * chrome://tracing open it; see "Trace Event Format", Google, 2016. A process a strategy; a thread
 * a strand of a node, then the messages it sends, on as many rows as are under way at once: events
 * of one row must not overlap. A counter a node shows its watts, where they are modelled. Dates are
 * microseconds. */
#include "result/result.h"

#include "base/check.h"
#include "result/json.h"
#include "result/power.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct timeline {
    struct rg_json json;
    int pid;
    long tid; /* the last one given: unique over all processes, some viewers want that */
    uint64_t dropped;
};

static void name_row(struct timeline *t, const char *what, long tid, const char *name)
{
    struct rg_json *j = &t->json;
    rg_json_object(j, NULL, true);
    rg_json_text(j, "ph", "M");
    rg_json_text(j, "name", what);
    rg_json_whole(j, "pid", t->pid);
    rg_json_whole(j, "tid", tid);
    rg_json_object(j, "args", true);
    rg_json_text(j, "name", name);
    rg_json_close(j);
    rg_json_close(j);
}

static void order_row(struct timeline *t, const char *what, long tid, long place)
{
    struct rg_json *j = &t->json;
    rg_json_object(j, NULL, true);
    rg_json_text(j, "ph", "M");
    rg_json_text(j, "name", what);
    rg_json_whole(j, "pid", t->pid);
    rg_json_whole(j, "tid", tid);
    rg_json_object(j, "args", true);
    rg_json_whole(j, "sort_index", place);
    rg_json_close(j);
    rg_json_close(j);
}

static long new_row(struct timeline *t, const char *name)
{
    t->tid++;
    name_row(t, "thread_name", t->tid, name);
    order_row(t, "thread_sort_index", t->tid, t->tid);
    return t->tid;
}

static long long nanoseconds(double seconds)
{
    return isfinite(seconds) && fabs(seconds) < 4e9 ? llround(seconds * 1e9) : 0;
}

/* Microseconds, to the nanosecond. */
static void write_date(struct rg_json *j, const char *key, double seconds)
{
    char text[48];
    long long ns = nanoseconds(seconds);
    snprintf(text, sizeof text, "%s%lld.%03lld", ns < 0 ? "-" : "", llabs(ns) / 1000,
             llabs(ns) % 1000);
    rg_json_raw(j, key, text);
}

/* From one date to the other, both rounded as write_date does, and a tenth of a nanosecond short:
 * viewers add ts and dur in doubles, and an end that is above the next begin by a last bit leaves
 * the event open, with all later ones inside it. */
static void write_duration(struct rg_json *j, double begin_s, double end_s)
{
    char text[48];
    long long ns = nanoseconds(end_s) - nanoseconds(begin_s);
    if (ns > 0)
        snprintf(text, sizeof text, "%lld.%03lld9", (ns - 1) / 1000, (ns - 1) % 1000);
    else
        strcpy(text, "0.000");
    rg_json_raw(j, "dur", text);
}

static void event_name(const struct rg_trace_event *event, char out[40])
{
    int length = (int)sizeof event->name;
    if (event->kind == RG_TRACE_WAIT)
        snprintf(out, 40, "wait");
    else if (event->kind == RG_TRACE_SEND)
        snprintf(out, 40, "to %d", event->peer);
    else if (event->kind == RG_TRACE_MARK)
        snprintf(out, 40, "iteration %d", event->unit);
    else if (event->unit >= 0)
        snprintf(out, 40, "%.*s %d", length, event->name, event->unit);
    else
        snprintf(out, 40, "%.*s", length, event->name);
}

static void write_event(struct timeline *t, const struct rg_trace_event *event, long tid)
{
    struct rg_json *j = &t->json;
    bool mark = event->kind == RG_TRACE_MARK;
    char name[40];
    event_name(event, name);
    rg_json_object(j, NULL, true);
    rg_json_text(j, "ph", mark ? "i" : "X");
    rg_json_text(j, "name", name);
    rg_json_whole(j, "pid", t->pid);
    rg_json_whole(j, "tid", tid);
    write_date(j, "ts", mark ? event->end_s : event->begin_s);
    if (mark)
        rg_json_text(j, "s", "t");
    else
        write_duration(j, event->begin_s, event->end_s);
    if (event->kind == RG_TRACE_SEND) {
        rg_json_object(j, "args", true);
        rg_json_count(j, "bytes", event->bytes);
        rg_json_whole(j, "to", event->peer);
        rg_json_whole(j, "tag", event->tag);
        rg_json_close(j);
    }
    rg_json_close(j);
}

/* Of messages that begin at one date, as written, those come first that go to lower ranks, with
 * lower tags: not all may have a row, and which have must not hang on rounding. */
static int compare_begins(const void *a, const void *b)
{
    const struct rg_trace_event *p = *(const struct rg_trace_event *const *)a;
    const struct rg_trace_event *q = *(const struct rg_trace_event *const *)b;
    double p_ns = rint(1e9 * p->begin_s), q_ns = rint(1e9 * q->begin_s);
    if (p_ns != q_ns)
        return p_ns < q_ns ? -1 : 1;
    if (p->peer != q->peer)
        return p->peer < q->peer ? -1 : 1;
    if (p->tag != q->tag)
        return p->tag < q->tag ? -1 : 1;
    return p < q ? -1 : p > q;
}

/* Each message on the first row that is free when it begins. */
static int write_sends(struct timeline *t, const struct rg_trace *trace, const char *node)
{
    enum { ROWS = 64 };
    size_t count = 0;
    long tids[ROWS];
    double free_at[ROWS];
    int rows = 0;
    const struct rg_trace_event **sends = calloc((size_t)trace->count + 1, sizeof *sends);
    if (!sends)
        return RG_ERR_NOMEM;
    for (uint64_t i = 0; i < trace->count; i++)
        if (trace->events[i].kind == RG_TRACE_SEND)
            sends[count++] = &trace->events[i];
    qsort(sends, count, sizeof *sends, compare_begins);
    for (size_t i = 0; i < count; i++) {
        int row = 0;
        while (row < rows && free_at[row] > sends[i]->begin_s)
            row++;
        if (row == ROWS) { /* more at once than anyone could read */
            t->dropped++;
            continue;
        }
        if (row == rows) {
            char name[128];
            if (row == 0)
                snprintf(name, sizeof name, "%s sends", node);
            else
                snprintf(name, sizeof name, "%s sends (%d)", node, row + 1);
            tids[rows++] = new_row(t, name);
        }
        free_at[row] = fmax(sends[i]->end_s, sends[i]->begin_s);
        write_event(t, sends[i], tids[row]);
    }
    free(sends);
    return 0;
}

static void write_watts(struct timeline *t, int rank, double date_s, double watts)
{
    struct rg_json *j = &t->json;
    char id[16], text[32];
    snprintf(id, sizeof id, "%d", rank);
    snprintf(text, sizeof text, "%.9g", watts);
    rg_json_object(j, NULL, true);
    rg_json_text(j, "ph", "C");
    rg_json_text(j, "name", "power");
    rg_json_text(j, "id", id); /* counters of a process are told apart by it */
    rg_json_whole(j, "pid", t->pid);
    rg_json_whole(j, "tid", 0);
    write_date(j, "ts", date_s);
    rg_json_object(j, "args", true);
    rg_json_raw(j, "W", text);
    rg_json_close(j);
    rg_json_close(j);
}

/* From each date on, so many watts; 0 at the end of the run, or of the window that was recorded. */
static int write_power(struct timeline *t, int rank, const struct rg_run_node *node, double end_s)
{
    struct rg_power_step *steps = NULL;
    size_t count = 0;
    double from_s = fmax(node->trace->from_s, 0), to_s = fmin(node->trace->to_s, end_s);
    int err = rg_power_steps(&node->power, node->trace, end_s, &steps, &count);
    for (size_t i = 0; i < count && err == 0 && steps[i].date_s < to_s; i++)
        if (i + 1 == count || steps[i + 1].date_s > from_s)
            write_watts(t, rank, fmax(steps[i].date_s, from_s), steps[i].watts);
    if (count > 0 && err == 0 && from_s <= to_s)
        write_watts(t, rank, to_s, 0);
    free(steps);
    return err;
}

static int write_node(struct timeline *t, int rank, const struct rg_run_node *node)
{
    const struct rg_trace *trace = node->trace;
    char name[96], row_name[120];
    int strands = 1;
    snprintf(name, sizeof name, "%d %s", rank, node->host);
    for (uint64_t i = 0; i < trace->count; i++)
        strands = RG_MAX(strands, trace->events[i].strand + 1);
    long *tids = calloc((size_t)strands, sizeof *tids);
    if (!tids)
        return RG_ERR_NOMEM;
    for (uint64_t i = 0; i < trace->count; i++) {
        const struct rg_trace_event *event = &trace->events[i];
        if (event->kind == RG_TRACE_SEND || event->kind == RG_TRACE_RECV)
            continue; /* a receive is its sender's event */
        if (tids[event->strand] == 0) {
            snprintf(row_name, sizeof row_name, event->strand ? "%s strand %d" : "%s", name,
                     event->strand);
            tids[event->strand] = new_row(t, row_name);
        }
        write_event(t, event, tids[event->strand]);
    }
    t->dropped += trace->dropped;
    free(tids);
    return write_sends(t, trace, name);
}

/* How far dates of two nodes may be apart that are the same: of the worst clock, where nodes have
 * their own. */
static void write_uncertainty(struct timeline *t, const struct rg_result *result)
{
    double most_s = 0;
    bool any = false;
    for (int i = 0; i < result->run_count; i++)
        for (int n = 0; n < result->runs[i].node_count; n++) {
            const struct rg_run_clock *clock = &result->runs[i].per_node[n].clock;
            any = any || clock->known;
            if (clock->known && !(clock->uncertainty_s <= most_s)) /* NAN stays */
                most_s = isnan(most_s) ? most_s : clock->uncertainty_s;
        }
    if (any)
        rg_json_real(&t->json, "clock_uncertainty_s", most_s);
}

int rg_result_trace(const struct rg_result *result, FILE *stream)
{
    struct timeline t = {.json = {.stream = stream}};
    int err = 0;
    rg_json_object(&t.json, NULL, false);
    rg_json_text(&t.json, "displayTimeUnit", "ms");
    rg_json_array(&t.json, "traceEvents", false);
    for (int i = 0; i < result->run_count && err == 0; i++) {
        const struct rg_run *run = &result->runs[i];
        t.pid = i + 1;
        name_row(&t, "process_name", 0, run->label);
        order_row(&t, "process_sort_index", 0, i);
        for (int n = 0; n < run->node_count && err == 0; n++)
            if (run->per_node[n].trace)
                err = write_node(&t, n, &run->per_node[n]);
        for (int n = 0; n < run->node_count && err == 0; n++)
            if (run->per_node[n].trace && run->per_node[n].power.known)
                err = write_power(&t, n, &run->per_node[n], run->time_s);
    }
    rg_json_close(&t.json);
    rg_json_object(&t.json, "otherData", true);
    rg_json_text(&t.json, "tool", result->tool);
    rg_json_text(&t.json, "world", result->world);
    rg_json_text(&t.json, "scenario", result->scenario);
    rg_json_count(&t.json, "dropped_events", t.dropped);
    write_uncertainty(&t, result);
    rg_json_close(&t.json);
    rg_json_close(&t.json);
    return err ? err : ferror(stream) ? RG_ERR_IO : 0;
}
