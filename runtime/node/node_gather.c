/* The account of every node, gathered on rank 0.
 *
 * Failure modes handled: errors of the world end the gathering with that error; no memory. */
#include "node/node_parts.h"

#include "base/check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct report account(struct node *n)
{
    const struct rg_counters *c = &n->w->count;
    struct rg_observation seen = {0};
    n->job->strategy->observe(n->state, &seen);
    struct report r = {.busy_s = c->busy_s,
                       .messages = c->messages,
                       .values = c->values,
                       .bytes_sent = c->bytes_sent,
                       .bytes_received = c->bytes_received,
                       .messages_received = c->messages_received,
                       .tls_sent = c->tls_sent,
                       .tls_received = c->tls_received,
                       .late_receives = c->late_receives,
                       .memory = rg_mem_bytes(n->w->mem),
                       .staleness = (uint64_t)seen.staleness,
                       .peak_units = (uint64_t)seen.peak_units,
                       .paced = c->paced,
                       .overruns = c->overruns};
    rg_node_own_joules(n, r.joules);
    rg_node_account_meter(n, &r);
    rg_node_account_clock(n, &r);
    if (n->w->trace) {
        r.events = n->w->trace->count;
        r.dropped = n->w->trace->dropped;
    }
    if (n->options->host)
        rg_copy_text(r.host, sizeof r.host, n->options->host);
    return r;
}

static struct rg_load sent(const struct report *r)
{
    return (struct rg_load){r->messages, r->bytes_sent, r->tls_sent};
}

static struct rg_load received(const struct report *r)
{
    return (struct rg_load){r->messages_received, r->bytes_received, r->tls_received};
}

/* Busy time of a node's port in its busier direction, as its board would have it. */
static double port_s(const struct node *n, int rank, const struct report *r)
{
    const struct rg_board *board = n->job->boards[rank];
    return fmax(rg_board_load_s(board, sent(r)), rg_board_load_s(board, received(r)));
}

/* The watts of a node for the timeline; by a model, they follow from what it does. */
static void describe_power(const struct node *n, int rank, struct rg_run_power *power)
{
    const struct rg_board *b = n->job->boards[rank];
    if (!n->trace || strcmp(n->energy.source, "model") != 0)
        return;
    const struct rg_clock *clock = &b->clocks[b->clock];
    *power =
        (struct rg_run_power){.known = true,
                              .rest_W = b->switch_watts,
                              .idle_W = clock->idle_watts,
                              .epsilon_W = clock->epsilon_watts,
                              .full_W = clock->full_watts,
                              .send_W = b->port_tx_watts,
                              .receive_W = b->port_rx_watts,
                              .compute_share = (double)RG_MIN(n->job->threads, b->cores) / b->cores,
                              .core_share = 1.0 / b->cores,
                              .keyed = b->keyed,
                              .port_rate = b->port_rate * b->frame_payload / b->frame_bytes,
                              .message_s = b->message_s,
                              .byte_s = b->byte_s};
}

static void add_node(struct node *n, int rank, const struct report *r)
{
    struct rg_run *run = n->run;
    struct rg_run_node *node = &run->per_node[rank];
    double comm = port_s(n, rank, r), iterations = (double)RG_MAX(n->done, 1);
    *node = (struct rg_run_node){.busy_s = r->busy_s,
                                 .comm_s = comm,
                                 .idle_s = fmax(0, n->time_s - r->busy_s),
                                 .energy_J = r->joules[TOTAL],
                                 .bytes_sent = r->bytes_sent,
                                 .bytes_received = r->bytes_received,
                                 .memory_bytes = r->memory,
                                 .trace = node->trace};
    node->clock = (struct rg_run_clock){.known = n->w->ops->day != NULL,
                                        .offset_s = r->offset_s,
                                        .wall_offset_s = r->wall_s,
                                        .uncertainty_s = r->uncertainty_s,
                                        .drift_ppm = 1e6 * r->drift,
                                        .drift_uncertainty_ppm = 1e6 * r->drift_uncertainty};
    memcpy(node->host, r->host, sizeof node->host);
    describe_power(n, rank, &node->power);
    if (rg_node_counts(n, rank, r->machine)) {
        rg_node_add_energy(n, r);
        rg_node_add_meter(n, rank, r);
    } else {
        node->energy_J = NAN;
    }
    run->formula.T_A_s = fmax(run->formula.T_A_s, r->busy_s / iterations);
    const struct rg_board *board = n->job->boards[rank];
    double wire = rg_board_load_bytes(board, sent(r));
    if (board->shared_medium) /* all messages take turns */
        run->formula.c_s += wire / board->port_rate / iterations;
    else
        run->formula.c_s = fmax(run->formula.c_s, comm / iterations);
    run->traffic.messages += r->messages;
    run->traffic.values += r->values;
    run->traffic.payload_bytes += r->bytes_sent;
    run->traffic.wire_bytes += wire;
    run->traffic.max_node_bytes =
        RG_MAX(run->traffic.max_node_bytes, r->bytes_sent + r->bytes_received);
    run->memory_max = RG_MAX(run->memory_max, r->memory);
    run->memory_total += r->memory;
    run->late_receives += r->late_receives;
    run->paced.computations += r->paced;
    run->paced.overruns += r->overruns;
    run->staleness = RG_MAX(run->staleness, (int64_t)r->staleness);
    run->peak_units = RG_MAX(run->peak_units, (int64_t)r->peak_units);
}

static int receive_events(struct node *n, int rank, uint64_t count, uint64_t dropped)
{
    struct rg_trace *trace = rg_trace_new(count);
    n->run->per_node[rank].trace = trace;
    if (!trace)
        return RG_ERR_NOMEM;
    trace->dropped = dropped;
    trace->events = count ? malloc(count * sizeof *trace->events) : NULL;
    if (count && !trace->events)
        return RG_ERR_NOMEM;
    struct rg_request request;
    rg_recv(n->w, rank, TAG_EVENTS, trace->events, count * sizeof *trace->events, &request);
    int result = rg_wait(n->w, &request);
    trace->count = trace->capacity = result ? 0 : count;
    return result;
}

/* Rank 0 has every account: the run is complete, whatever becomes of anybody from here on. */
static int tell_whole(struct node *n)
{
    size_t others = (size_t)n->w->size - 1;
    struct rg_request *requests = calloc(others + 1, sizeof *requests);
    if (!requests)
        return RG_ERR_NOMEM;
    for (size_t i = 0; i < others; i++)
        rg_send(n->w, (int)i + 1, TAG_WHOLE, NULL, 0, &requests[i]);
    for (size_t i = 0; i < others; i++)
        rg_wait(n->w, &requests[i]);
    free(requests);
    return 0;
}

/* A rank that has done its part waits to hear that the others have done theirs, too. */
static int hear_whole(struct node *n)
{
    struct rg_request request;
    rg_recv(n->w, 0, TAG_WHOLE, NULL, 0, &request);
    return rg_wait(n->w, &request);
}

int rg_node_gather(struct node *n)
{
    int result = rg_node_align(n);
    if (result)
        return result;
    if (n->w->ops->settle)
        rg_node_settle(n);
    struct report own = account(n);
    struct rg_request request;
    if (n->w->rank > 0) {
        struct rg_trace *trace = n->w->trace;
        rg_send(n->w, 0, TAG_REPORT, &own, sizeof own, &request);
        result = rg_wait(n->w, &request);
        if (result == 0 && n->w->ops->settle)
            result = rg_node_send_pauses(n);
        if (result == 0 && trace) {
            rg_send(n->w, 0, TAG_EVENTS, trace->events, own.events * sizeof *trace->events,
                    &request);
            result = rg_wait(n->w, &request);
        }
        return result ? result : hear_whole(n);
    }
    n->run->per_node = calloc((size_t)n->w->size, sizeof *n->run->per_node);
    n->machines = calloc((size_t)n->w->size, sizeof *n->machines);
    if (!n->run->per_node || !n->machines)
        return RG_ERR_NOMEM;
    n->run->node_count = n->w->size;
    n->run->formula.T_A_s = n->run->formula.c_s = 0;
    n->run->energy_source = n->energy.source;
    n->run->energy_J.idle = n->run->energy_J.compute = n->run->energy_J.network = 0;
    n->run->energy_J.switches = n->run->energy_J.total = 0;
    n->run->per_node[0].trace = n->w->trace;
    add_node(n, 0, &own);
    n->w->trace = NULL;
    for (int rank = 1; rank < n->w->size && result == 0; rank++) {
        struct report r;
        rg_recv(n->w, rank, TAG_REPORT, &r, sizeof r, &request);
        result = rg_wait(n->w, &request);
        if (result == 0 && n->w->ops->settle)
            result = rg_node_receive_pauses(n, rank, r.machine);
        if (result == 0 && n->trace)
            result = receive_events(n, rank, r.events, r.dropped);
        if (result == 0)
            add_node(n, rank, &r);
    }
    if (result == 0) {
        rg_node_describe_meters(n);
        result = tell_whole(n);
    }
    return result;
}
