#include "result/power.h"

#include "base/bytes.h"
#include "base/check.h"

#include <math.h>
#include <stdlib.h>

/* Something begins (+) or ends (-). */
struct edge {
    double date_s;
    int computes, cores, messages; /* cores: that work for messages */
    double port_W;
};

static int compare_dates(const void *a, const void *b)
{
    const struct edge *p = a, *q = b;
    return (p->date_s > q->date_s) - (p->date_s < q->date_s);
}

/* `what` from one date to another, within the run: two edges, or none. */
static size_t add_span(struct edge *edges, struct edge what, double begin_s, double end_s)
{
    if (!(end_s > begin_s))
        return 0;
    edges[0] = edges[1] = what;
    edges[0].date_s = begin_s;
    edges[1] = (struct edge){end_s, -what.computes, -what.cores, -what.messages, -what.port_W};
    return 2;
}

/* A message: the port all the way; a core of the sender's first for the message, then for its bytes
 * while they leave, a core of the receiver's for the bytes and then the message. */
static size_t add_message(const struct rg_run_power *p, const struct rg_trace_event *event,
                          double end_s, struct edge *edges)
{
    bool send = event->kind == RG_TRACE_SEND;
    double bytes = (double)event->bytes + RG_MESSAGE_HEADER, begin_s = fmax(event->begin_s, 0);
    double arrival_s = fmin(event->end_s, end_s), watts = send ? p->send_W : p->receive_W;
    double passing = bytes + (p->keyed ? (double)rg_tls_bytes(event->bytes) : 0);
    struct edge port = {.messages = 1, .port_W = watts * passing / p->port_rate};
    port.port_W /= arrival_s - begin_s;
    size_t count = add_span(edges, port, begin_s, arrival_s);
    double work_s = send ? begin_s : begin_s + p->message_s;
    return count + add_span(edges + count, (struct edge){.cores = 1}, work_s,
                            fmin(work_s + p->message_s + p->byte_s * bytes, end_s));
}

static size_t find_edges(const struct rg_run_power *power, const struct rg_trace *trace,
                         double end_s, struct edge *edges)
{
    size_t count = 0;
    for (uint64_t i = 0; i < trace->count; i++) {
        const struct rg_trace_event *event = &trace->events[i];
        if (event->kind == RG_TRACE_COMPUTE)
            count += add_span(edges + count, (struct edge){.computes = 1}, fmax(event->begin_s, 0),
                              fmin(event->end_s, end_s));
        else if (event->kind == RG_TRACE_SEND || event->kind == RG_TRACE_RECV)
            count += add_message(power, event, end_s, edges + count);
    }
    qsort(edges, count, sizeof *edges, compare_dates);
    return count;
}

static double watts_of(const struct rg_run_power *p, const struct edge *now)
{
    double watts = p->idle_W, busy = now->computes * p->compute_share + now->cores * p->core_share;
    if (now->computes + now->cores > 0)
        watts = p->epsilon_W + (p->full_W - p->epsilon_W) * fmin(1, busy);
    return watts + now->port_W + p->rest_W;
}

int rg_power_steps(const struct rg_run_power *power, const struct rg_trace *trace, double end_s,
                   struct rg_power_step **steps, size_t *count)
{
    struct edge *edges = malloc((4 * (size_t)trace->count + 1) * sizeof *edges);
    struct rg_power_step *out = malloc((4 * (size_t)trace->count + 2) * sizeof *out);
    *steps = NULL;
    *count = 0;
    if (!edges || !out) {
        free(edges);
        free(out);
        return RG_ERR_NOMEM;
    }
    size_t n = find_edges(power, trace, end_s, edges), used = 0;
    struct edge now = {0};
    out[used++] = (struct rg_power_step){0, watts_of(power, &now)};
    for (size_t i = 0; i < n;) {
        double date_s = edges[i].date_s;
        for (; i < n && edges[i].date_s == date_s; i++) { /* all of one date is one step */
            now.computes += edges[i].computes;
            now.cores += edges[i].cores;
            now.messages += edges[i].messages;
            now.port_W += edges[i].port_W;
            if (now.messages == 0)
                now.port_W = 0; /* no rounding is left behind */
        }
        double watts = watts_of(power, &now);
        if (date_s <= 0)
            out[0].watts = watts;
        else if (watts != out[used - 1].watts)
            out[used++] = (struct rg_power_step){date_s, watts};
    }
    if (out[used - 1].date_s >= end_s)
        out[used - 1].watts = 0;
    else if (end_s > 0)
        out[used++] = (struct rg_power_step){end_s, 0};
    free(edges);
    *steps = out;
    *count = used;
    return 0;
}
