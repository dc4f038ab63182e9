#include "result/power.h"

#include "base/bytes.h"
#include "base/check.h"

#include <math.h>
#include <stdlib.h>

/* Something begins (+) or ends (-). */
struct edge {
    double date_s;
    int computes, messages;
    double port_W;
};

static int compare_dates(const void *a, const void *b)
{
    const struct edge *p = a, *q = b;
    return (p->date_s > q->date_s) - (p->date_s < q->date_s);
}

/* What begins with the event; false: it draws nothing. */
static bool begin_of(const struct rg_run_power *power, const struct rg_trace_event *event,
                     double end_s, struct edge *begin)
{
    double begin_s = fmax(event->begin_s, 0), span_s = fmin(event->end_s, end_s) - begin_s;
    bool send = event->kind == RG_TRACE_SEND;
    *begin = (struct edge){.date_s = begin_s};
    if (!(span_s > 0))
        return false;
    if (event->kind == RG_TRACE_COMPUTE) {
        begin->computes = 1;
    } else if (send || event->kind == RG_TRACE_RECV) {
        double bytes = (double)event->bytes + RG_MESSAGE_HEADER;
        begin->messages = 1;
        begin->port_W =
            (send ? power->send_W : power->receive_W) * bytes / power->port_rate / span_s;
    } else {
        return false;
    }
    return true;
}

static size_t find_edges(const struct rg_run_power *power, const struct rg_trace *trace,
                         double end_s, struct edge *edges)
{
    size_t count = 0;
    for (uint64_t i = 0; i < trace->count; i++) {
        struct edge *begin = &edges[count], *end = &edges[count + 1];
        if (!begin_of(power, &trace->events[i], end_s, begin))
            continue;
        *end = (struct edge){fmin(trace->events[i].end_s, end_s), -begin->computes,
                             -begin->messages, -begin->port_W};
        count += 2;
    }
    qsort(edges, count, sizeof *edges, compare_dates);
    return count;
}

static double watts_of(const struct rg_run_power *p, int computes, double port_W)
{
    double watts = p->idle_W;
    if (computes > 0)
        watts = p->epsilon_W + (p->full_W - p->epsilon_W) * fmin(1, computes * p->compute_share);
    return watts + port_W + p->rest_W;
}

int rg_power_steps(const struct rg_run_power *power, const struct rg_trace *trace, double end_s,
                   struct rg_power_step **steps, size_t *count)
{
    struct edge *edges = malloc((2 * (size_t)trace->count + 1) * sizeof *edges);
    struct rg_power_step *out = malloc((2 * (size_t)trace->count + 2) * sizeof *out);
    *steps = NULL;
    *count = 0;
    if (!edges || !out) {
        free(edges);
        free(out);
        return RG_ERR_NOMEM;
    }
    size_t n = find_edges(power, trace, end_s, edges), used = 0;
    int computes = 0, messages = 0;
    double port_W = 0;
    out[used++] = (struct rg_power_step){0, watts_of(power, 0, 0)};
    for (size_t i = 0; i < n;) {
        double date_s = edges[i].date_s;
        for (; i < n && edges[i].date_s == date_s; i++) { /* all of one date is one step */
            computes += edges[i].computes;
            messages += edges[i].messages;
            port_W = messages > 0 ? port_W + edges[i].port_W : 0; /* leaves no rounding behind */
        }
        double watts = watts_of(power, computes, port_W);
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
