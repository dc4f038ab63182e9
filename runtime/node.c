/* The program that every node runs.
 *
 * Happy path: allocate, start the clock, train epoch by epoch; between epochs, off the clock, rank
 * 0 looks at the parameters; at the end it gathers every node's account.
 *
 * Failure modes handled: any error of the world ends the run on this node with that error; rank 0
 * then still describes what is known. */
#include "node.h"

#include "base/check.h"
#include "collectives/collectives.h"
#include "inspect.h"
#include "world/clocks.h"
#include "world/trace.h"
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    TAG_REPORT = RG_TAG_USER - 8,
    TAG_EVENTS,
    TAG_STOP,
    TAG_TRACE,
    TAG_ENERGY,
    TAG_POINTS,
    TAG_SECTIONS,
    TAG_WHOLE
};
enum { IDLE, COMPUTE, NETWORK, SWITCH, TOTAL, PARTS }; /* of joules */
enum { TRACE_LIMIT = 1 << 20, MARKS_LIMIT = 1 << 22 };

struct node {
    struct rg_world *w;
    const struct rg_job *job;
    const struct rg_node_options *options;
    struct rg_run *run; /* rank 0 */
    void *state;
    bool trace; /* as rank 0 wants it */
    long done;  /* iterations */
    double time_s;
    struct rg_energy energy;
    double joules[PARTS]; /* of all nodes; rank 0 */
    bool reached;         /* the wanted accuracy */
    struct pause *pauses; /* where energy is settled after the run */
    int pause_count;
    uint64_t *machines; /* rank 0: of each node, see struct rg_meter_facts */
    struct rg_clock_map clocks;
    struct rg_clock_section *sections, *common; /* [pause_count] each, of sections */
};

/* The end of an epoch. It travels to rank 0, as a report does. */
struct pause {
    int64_t done;              /* iterations */
    double begin_raw, end_raw; /* the clock ran in between */
    double total_J;            /* of this node (rank 0, at the end: of all) until then */
};
_Static_assert(sizeof(struct pause) == 32, "pauses have no padding");

/* A node's account, as it travels to rank 0: only fixed-width fields, the same on every ABI. */
struct report {
    double busy_s, joules[PARTS];
    uint64_t messages, values, bytes_sent, bytes_received, messages_received, late_receives;
    uint64_t memory, staleness, peak_units, events, dropped, paced, overruns;
    double interval_s, longest_s, idle_W, variance_J2, samples;       /* of its meter */
    double offset_s, wall_s, uncertainty_s, drift, drift_uncertainty; /* of its clock */
    uint64_t machine, metered;
    char host[64], source[16], meter_error[200];
};
_Static_assert(sizeof(struct report) == (26 + PARTS) * 8 + 280, "the report has no padding");
_Static_assert(offsetof(struct rg_trace_event, unused) == 52 && sizeof(struct rg_trace_event) == 56,
               "trace events have no padding");

/* ---- energy ---- */

static void own_joules(const struct node *n, double joules[PARTS])
{
    joules[IDLE] = n->energy.idle_J;
    joules[COMPUTE] = n->energy.compute_J;
    joules[NETWORK] = n->energy.network_J;
    joules[SWITCH] = n->energy.switch_J;
    joules[TOTAL] = n->energy.total_J;
}

/* Sums over nodes are made in the order of ranks; the total is the sum of the parts, where there
 * are parts, so that they add up as printed. */
static void add_joules(double sum[PARTS], const double joules[PARTS])
{
    for (int i = 0; i < PARTS; i++)
        sum[i] += joules[i];
    double parts = sum[IDLE] + sum[COMPUTE] + sum[NETWORK] + sum[SWITCH];
    if (!isnan(parts))
        sum[TOTAL] = parts;
}

/* Collective, off the clock: what all nodes have drawn, on rank 0. */
static int sum_energy(struct node *n)
{
    struct rg_request request;
    double joules[PARTS];
    int result = 0;
    own_joules(n, joules);
    if (n->w->rank > 0) {
        rg_send(n->w, 0, TAG_ENERGY, joules, sizeof joules, &request);
        return rg_wait_or_cancel(n->w, &request);
    }
    memcpy(n->joules, joules, sizeof joules);
    for (int rank = 1; rank < n->w->size && result == 0; rank++) {
        rg_recv(n->w, rank, TAG_ENERGY, joules, sizeof joules, &request);
        result = rg_wait_or_cancel(n->w, &request);
        if (result == 0)
            add_joules(n->joules, joules);
    }
    return result;
}

/* Worlds that measure: nobody knows what all have drawn before the run is over. Note the section of
 * time that has just ended. */
static int note_pause(struct node *n)
{
    if (!n->w->ops->settle)
        return 0;
    struct pause *pauses = realloc(n->pauses, ((size_t)n->pause_count + 1) * sizeof *pauses);
    if (!pauses)
        return RG_ERR_NOMEM;
    n->pauses = pauses;
    pauses[n->pause_count++] = (struct pause){.done = n->done,
                                              .begin_raw = n->w->timed_since,
                                              .end_raw = n->w->untimed_since,
                                              .total_J = n->energy.total_J};
    return 0;
}

/* The training is over: a meter that is read only now says what there was in each section, as
 * it was for all: logs of all nodes are added up over the same time. */
static void settle(struct node *n)
{
    struct rg_energy section, sum = {.total_J = 0};
    for (int i = 0; i < n->pause_count; i++) {
        struct pause *pause = &n->pauses[i];
        double begin_s = rg_clock_from_first(&n->clocks, n->common[i].begin_s);
        double end_s = rg_clock_from_first(&n->clocks, n->common[i].end_s);
        if (!n->w->ops->settle(n->w, begin_s, end_s, &n->clocks, &section))
            return;
        sum.total_J += section.total_J;
        sum.idle_J += section.idle_J;
        sum.variance_J2 += section.variance_J2;
        sum.samples += section.samples;
        pause->total_J = sum.total_J;
    }
    if (n->pause_count == 0)
        return;
    section.total_J = sum.total_J;
    section.idle_J = sum.idle_J;
    section.variance_J2 = sum.variance_J2;
    section.samples = sum.samples;
    n->energy = section;
}

/* Is this node's energy to be added? Not where a lower rank's meter has it. Rank 0. */
static bool counts(struct node *n, int rank, uint64_t machine)
{
    n->machines[rank] = machine;
    if (machine == RG_MACHINE_OTHER)
        return false;
    for (int r = 0; r < rank && machine != 0; r++)
        if (n->machines[r] == machine)
            return false;
    return true;
}

/* ---- looking at the parameters ---- */

static int look(struct node *n, bool last)
{
    struct rg_checkpoint_writer writer;
    struct rg_inspection inspection = {0};
    struct rg_error e = {0};
    bool root = n->w->rank == 0, save = root && last && n->options->save;
    int result = root ? rg_inspection_open(&inspection, n->job, true) : 0;
    if (result == 0 && save)
        result = rg_checkpoint_begin(&writer, n->options->save, n->job->network, &e);
    if (result == 0 && root) {
        inspection.checkpoint = save ? &writer : NULL;
        inspection.digest = last ? rg_digest_new() : NULL;
    }
    if (result == 0)
        result = n->job->strategy->parameters(n->state, rg_inspection_visit, &inspection);
    if (inspection.digest)
        rg_digest_end(inspection.digest, n->run->weights_sha256);
    if (inspection.checkpoint && result == 0)
        result = rg_checkpoint_end(&writer, &e);
    else if (inspection.checkpoint)
        rg_checkpoint_abandon(&writer);
    if (e.code)
        memcpy(n->run->error, e.text, sizeof n->run->error);
    if (root && result == 0) {
        n->run->final_loss = inspection.loss;
        n->run->final_accuracy = inspection.accuracy;
    }
    rg_inspection_close(&inspection);
    return result;
}

static int note_point(struct node *n)
{
    struct rg_run *run = n->run;
    if (isnan(run->final_accuracy))
        return 0;
    struct rg_run_point *points =
        realloc(run->training, ((size_t)run->point_count + 1) * sizeof *points);
    if (!points)
        return RG_ERR_NOMEM;
    run->training = points;
    points[run->point_count++] = (struct rg_run_point){.iteration = n->done,
                                                       .time_s = n->time_s,
                                                       .energy_J = n->joules[TOTAL],
                                                       .loss = run->final_loss,
                                                       .accuracy = run->final_accuracy};
    if (run->to_accuracy.wanted && !run->to_accuracy.reached &&
        run->final_accuracy >= run->to_accuracy.target) {
        run->to_accuracy.reached = n->reached = true;
        run->to_accuracy.iterations = n->done;
        run->to_accuracy.time_s = n->time_s;
        run->to_accuracy.energy_J = n->joules[TOTAL];
    }
    return 0;
}

/* Between epochs, off the clock. `last`: no more training follows. */
static int evaluate(struct node *n, bool last)
{
    const bool wanted = !isnan(n->options->stop_accuracy);
    int result = look(n, last);
    if (result == 0 && n->w->ops->energy && !n->w->ops->settle)
        result = sum_energy(n);
    if (result == 0 && n->run)
        result = note_point(n);
    if (result == 0 && wanted && !last) {
        int32_t stop = n->reached;
        result = rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, &stop, sizeof stop,
                              TAG_STOP);
        n->reached = stop;
        if (result == 0 && n->reached)
            result = look(n, true); /* now for the digest and the checkpoint */
    }
    return result;
}

/* ---- training ---- */

/* From a fence to a fence, the clock stands still, and the meter with it; n->time_s and n->energy
 * are what they show. */
static int pause(struct node *n)
{
    int result = rg_untimed_begin(n->w);
    n->time_s = n->w->untimed_since - n->w->offset;
    rg_energy(n->w, &n->energy);
    return result ? result : note_pause(n);
}

static int train(struct node *n)
{
    int result = rg_clock_start(n->w);
    while (result == 0 && n->done < n->job->iterations) {
        long epoch_end =
            (n->done / n->job->iterations_per_epoch + 1) * n->job->iterations_per_epoch;
        long count = RG_MIN(epoch_end, n->job->iterations) - n->done;
        result = n->job->strategy->train(n->state, n->done, count);
        bool stopped = result == 1;
        if (result < 0)
            break;
        n->done += count;
        bool last = stopped || n->done == n->job->iterations;
        result = pause(n);
        if (result == 0 && n->job->numerics)
            result = evaluate(n, last);
        if (last || n->reached)
            return result; /* the clock stays where it is */
        if (result == 0)
            result = rg_untimed_end(n->w);
    }
    return result;
}

/* ---- clocks ---- */

/* The sections of this node by rank 0's clock; NAN: nobody knows. */
static void map_sections(struct node *n)
{
    bool known = rg_clock_map_known(&n->clocks);
    for (int i = 0; i < n->pause_count; i++) {
        const struct pause *pause = &n->pauses[i];
        n->sections[i] = (struct rg_clock_section){pause->begin_raw, pause->end_raw};
        n->common[i] =
            (struct rg_clock_section){known ? rg_clock_to_first(&n->clocks, pause->begin_raw) : NAN,
                                      known ? rg_clock_to_first(&n->clocks, pause->end_raw) : NAN};
    }
}

/* Rank 0 finds the common sections, and all learn them. */
static int share_sections(struct node *n)
{
    struct rg_request request;
    size_t count = (size_t)n->pause_count, bytes = count * sizeof *n->common;
    int result = 0;
    n->sections = calloc(3 * count + 1, sizeof *n->sections);
    if (!n->sections)
        return RG_ERR_NOMEM;
    n->common = n->sections + count;
    struct rg_clock_section *theirs = n->common + count;
    map_sections(n);
    if (n->w->rank > 0) {
        rg_send(n->w, 0, TAG_SECTIONS, n->common, bytes, &request);
        result = rg_wait(n->w, &request);
    }
    for (int rank = 1; n->w->rank == 0 && rank < n->w->size && result == 0; rank++) {
        rg_recv(n->w, rank, TAG_SECTIONS, theirs, bytes, &request);
        result = rg_wait(n->w, &request);
        for (size_t i = 0; i < count && result == 0; i++) {
            n->common[i].begin_s = fmin(n->common[i].begin_s, theirs[i].begin_s);
            n->common[i].end_s = fmin(n->common[i].end_s, theirs[i].end_s);
        }
    }
    return result ? result
                  : rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, n->common, bytes,
                                 TAG_SECTIONS);
}

/* After the training, where nodes have clocks of their own: by how much they differ, and the
 * timeline of this node on that of all. */
static int align(struct node *n)
{
    if (!n->w->ops->day)
        return 0;
    int result = rg_clocks_compare(n->w, &n->clocks.after);
    if (result == 0)
        result = share_sections(n);
    if (result == 0 && !rg_clock_map_known(&n->clocks)) /* its own dates are the best guess */
        memcpy(n->common, n->sections, (size_t)n->pause_count * sizeof *n->common);
    if (result == 0 && n->w->trace)
        rg_clock_map_trace(n->w->trace, &n->clocks, n->sections, n->common, n->pause_count);
    return result;
}

static void account_clock(const struct node *n, struct report *r)
{
    const struct rg_clock_map *map = &n->clocks;
    const struct rg_clock_sample *last = rg_clock_known(&map->after) ? &map->after : &map->before;
    const struct rg_clock_sample *first = n->options->compared;
    r->offset_s = last->offset_s;
    r->wall_s = last->wall_s;
    r->uncertainty_s = rg_clock_uncertainty(map);
    r->drift = r->drift_uncertainty = 0;
    if (n->w->rank > 0)
        r->drift = rg_clock_drift(first ? first : &map->before, last, &r->drift_uncertainty);
}

/* ---- the account of all nodes ---- */

static void account_meter(const struct node *n, struct report *r)
{
    const struct rg_meter_facts *meter = n->energy.meter;
    if (!meter)
        return;
    r->metered = true;
    r->interval_s = meter->interval_s;
    r->longest_s = meter->longest_s;
    r->idle_W = meter->idle_W;
    r->variance_J2 = n->energy.variance_J2;
    r->samples = n->energy.samples;
    r->machine = meter->machine;
    strncpy(r->source, n->energy.source, sizeof r->source - 1);
    memcpy(r->meter_error, meter->error, sizeof r->meter_error - 1);
}

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
                       .late_receives = c->late_receives,
                       .memory = rg_mem_bytes(n->w->mem),
                       .staleness = (uint64_t)seen.staleness,
                       .peak_units = (uint64_t)seen.peak_units,
                       .paced = c->paced,
                       .overruns = c->overruns};
    own_joules(n, r.joules);
    account_meter(n, &r);
    account_clock(n, &r);
    if (n->w->trace) {
        r.events = n->w->trace->count;
        r.dropped = n->w->trace->dropped;
    }
    if (n->options->host)
        strncpy(r.host, n->options->host, sizeof r.host - 1);
    return r;
}

/* Busy time of a node's port in its busier direction, as its board would have it. */
static double port_s(const struct node *n, int rank, const struct report *r)
{
    const struct rg_board *board = n->job->boards[rank];
    return fmax(rg_board_port_s(board, r->messages, r->bytes_sent),
                rg_board_port_s(board, r->messages_received, r->bytes_received));
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
                              .port_rate = b->port_rate * b->frame_payload / b->frame_bytes,
                              .message_s = b->message_s,
                              .byte_s = b->byte_s};
}

/* What the meter of one node says about itself, and what it adds to that of all. */
static void add_meter(struct node *n, int rank, const struct report *r)
{
    struct rg_run_meter *all = &n->run->meter, *one = &n->run->per_node[rank].meter;
    if (!r->metered || r->machine == RG_MACHINE_OTHER)
        return;
    *one = (struct rg_run_meter){.known = true,
                                 .nodes = 1,
                                 .samples = (uint64_t)r->samples,
                                 .interval_s = r->interval_s,
                                 .longest_s = r->longest_s,
                                 .uncertainty_J = sqrt(r->variance_J2),
                                 .idle_W = r->idle_W,
                                 .above_idle_J = r->joules[TOTAL] - r->joules[IDLE]};
    if (isnan(r->joules[TOTAL]))
        one->uncertainty_J = NAN;
    memcpy(one->source, r->source, sizeof one->source);
    memcpy(one->error, r->meter_error, sizeof r->meter_error);
    if (!all->known) {
        *all = *one;
        all->error[0] = '\0';
    } else {
        all->nodes++;
        all->samples += one->samples;
        all->interval_s = fmax(all->interval_s, one->interval_s);
        all->longest_s = fmax(all->longest_s, one->longest_s);
        all->uncertainty_J = hypot(all->uncertainty_J, one->uncertainty_J);
        all->idle_W += one->idle_W;
        all->above_idle_J += one->above_idle_J;
    }
    if (!all->error[0] && one->error[0])
        snprintf(all->error, sizeof all->error, "rank %d: %.200s", rank, one->error);
}

/* One node without a meter, beside others with one: then nobody knows what all have drawn. */
static void describe_meters(struct node *n)
{
    struct rg_run *run = n->run;
    for (int rank = 0; rank < run->node_count; rank++) {
        uint64_t machine = n->machines[rank];
        bool counted = machine != RG_MACHINE_OTHER && counts(n, rank, machine);
        if (!run->meter.known || run->meter.error[0] || !counted ||
            !isnan(run->per_node[rank].energy_J))
            continue;
        run->meter.uncertainty_J = run->meter.idle_W = run->meter.above_idle_J = NAN;
        snprintf(run->meter.error, sizeof run->meter.error, "rank %d has no meter", rank);
    }
    for (int i = 0; i < run->point_count; i++)
        for (int k = 0; k < n->pause_count; k++)
            if (n->pauses[k].done == run->training[i].iteration)
                run->training[i].energy_J = n->pauses[k].total_J;
    for (int k = 0; k < n->pause_count && run->to_accuracy.reached; k++)
        if (n->pauses[k].done == run->to_accuracy.iterations)
            run->to_accuracy.energy_J = n->pauses[k].total_J;
}

static void add_energy(struct node *n, const struct report *r)
{
    struct rg_run *run = n->run;
    double sum[PARTS] = {run->energy_J.idle, run->energy_J.compute, run->energy_J.network,
                         run->energy_J.switches, run->energy_J.total};
    add_joules(sum, r->joules);
    run->energy_J.idle = sum[IDLE];
    run->energy_J.compute = sum[COMPUTE];
    run->energy_J.network = sum[NETWORK];
    run->energy_J.switches = sum[SWITCH];
    run->energy_J.total = sum[TOTAL];
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
    if (counts(n, rank, r->machine)) {
        add_energy(n, r);
        add_meter(n, rank, r);
    } else {
        node->energy_J = NAN;
    }
    run->formula.T_A_s = fmax(run->formula.T_A_s, r->busy_s / iterations);
    const struct rg_board *board = n->job->boards[rank];
    if (board->shared_medium) /* all messages take turns */
        run->formula.c_s += rg_board_wire_s(board, r->messages, r->bytes_sent) / iterations;
    else
        run->formula.c_s = fmax(run->formula.c_s, comm / iterations);
    run->traffic.messages += r->messages;
    run->traffic.values += r->values;
    run->traffic.payload_bytes += r->bytes_sent;
    run->traffic.wire_bytes +=
        rg_board_wire_bytes(n->job->boards[rank], r->messages, r->bytes_sent);
    run->traffic.max_node_bytes =
        RG_MAX(run->traffic.max_node_bytes, r->bytes_sent + r->bytes_received);
    run->memory_max = RG_MAX(run->memory_max, r->memory);
    run->memory_total += r->memory;
    run->late_receives += r->late_receives;
    run->paced.computations += r->paced;
    run->paced.overruns += r->overruns;
    run->staleness = RG_MAX(run->staleness, (long)r->staleness);
    run->peak_units = RG_MAX(run->peak_units, (long)r->peak_units);
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
    int result = rg_wait_or_cancel(n->w, &request);
    trace->count = trace->capacity = result ? 0 : count;
    return result;
}

/* What a node had drawn at the end of each epoch, on top of the others'. */
static int receive_pauses(struct node *n, int rank, uint64_t machine)
{
    struct rg_request request;
    size_t bytes = (size_t)n->pause_count * sizeof *n->pauses;
    struct pause *theirs = malloc(bytes + 1);
    if (!theirs)
        return RG_ERR_NOMEM;
    rg_recv(n->w, rank, TAG_POINTS, theirs, bytes, &request);
    int result = rg_wait_or_cancel(n->w, &request);
    for (int i = 0; i < n->pause_count && result == 0 && counts(n, rank, machine); i++)
        n->pauses[i].total_J += theirs[i].total_J;
    free(theirs);
    return result;
}

static int send_pauses(struct node *n)
{
    struct rg_request request;
    rg_send(n->w, 0, TAG_POINTS, n->pauses, (size_t)n->pause_count * sizeof *n->pauses, &request);
    return rg_wait_or_cancel(n->w, &request);
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
        rg_wait_or_cancel(n->w, &requests[i]);
    free(requests);
    return 0;
}

/* A rank that has done its part waits to hear that the others have done theirs, too. */
static int hear_whole(struct node *n)
{
    struct rg_request request;
    rg_recv(n->w, 0, TAG_WHOLE, NULL, 0, &request);
    return rg_wait_or_cancel(n->w, &request);
}

static int gather(struct node *n)
{
    int result = align(n);
    if (result)
        return result;
    if (n->w->ops->settle)
        settle(n);
    struct report own = account(n);
    struct rg_request request;
    if (n->w->rank > 0) {
        struct rg_trace *trace = n->w->trace;
        rg_send(n->w, 0, TAG_REPORT, &own, sizeof own, &request);
        result = rg_wait_or_cancel(n->w, &request);
        if (result == 0 && n->w->ops->settle)
            result = send_pauses(n);
        if (result == 0 && trace) {
            rg_send(n->w, 0, TAG_EVENTS, trace->events, own.events * sizeof *trace->events,
                    &request);
            result = rg_wait_or_cancel(n->w, &request);
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
        result = rg_wait_or_cancel(n->w, &request);
        if (result == 0 && n->w->ops->settle)
            result = receive_pauses(n, rank, r.machine);
        if (result == 0 && n->trace)
            result = receive_events(n, rank, r.events, r.dropped);
        if (result == 0)
            add_node(n, rank, &r);
    }
    if (result == 0) {
        describe_meters(n);
        result = tell_whole(n);
    }
    return result;
}

/* ---- the result ---- */

/* Intervals between the ends of iterations. Filling and draining are no steady state: at each end
 * as many are left out as there are updates in flight, where that leaves some. */
static void describe_iterations(struct node *n)
{
    struct rg_run *run = n->run;
    long count = n->w->marks_count;
    double *marks = n->w->marks;
    if (count < 1)
        return;
    for (long i = count - 1; i > 0; i--)
        marks[i] -= marks[i - 1];
    long edge = RG_MIN(1 + run->staleness, (count - 1) / 2);
    size_t used = (size_t)(count - 2 * edge);
    marks += edge;
    run->iteration_s.mean = gsl_stats_mean(marks, 1, used);
    gsl_sort(marks, 1, used);
    run->iteration_s.p50 = gsl_stats_quantile_from_sorted_data(marks, 1, used, 0.5);
    run->iteration_s.p95 = gsl_stats_quantile_from_sorted_data(marks, 1, used, 0.95);
    run->iteration_s.max = marks[used - 1];
}

static void describe_formula(struct node *n)
{
    struct rg_run *run = n->run;
    struct rg_prediction p;
    rg_job_predict(n->job, &p);
    run->formula.defined = true;
    run->formula.overlap = p.overlap;
    run->formula.predicted_iteration_s = p.iteration_s;
    run->formula.bubble = p.iteration_s > 0 ? 1 - fmax(p.c_s, p.T_A_s) / p.iteration_s : NAN;
    run->formula.observed_iteration_s = run->iteration_s.mean;
    run->formula.ratio = p.iteration_s > 0 ? run->iteration_s.mean / p.iteration_s : NAN;
}

static void describe(struct node *n)
{
    struct rg_run *run = n->run;
    run->iterations = n->done;
    run->samples = (uint64_t)n->done * (uint64_t)n->job->batch;
    run->time_s = n->time_s;
    describe_iterations(n);
    describe_formula(n);
}

struct progress {
    const struct rg_node_options *options;
    long total;
};

static void on_iteration(void *arg, long i, double now)
{
    const struct progress *p = arg;
    p->options->progress(p->options->progress_arg, i + 1, p->total, now);
}

static int prepare(struct node *n)
{
    struct rg_world *w = n->w;
    bool real = n->job->numerics || w->ops->moves_bytes;
    int32_t trace = n->options->trace;
    int result =
        rg_broadcast(w, (struct rg_group){0, 1, w->size}, 0, &trace, sizeof trace, TAG_TRACE);
    if (result)
        return result;
    n->trace = trace;
    result = rg_clocks_compare(w, &n->clocks.before);
    if (result)
        return result;
    if (n->options->compared && !rg_clock_known(n->options->compared))
        *n->options->compared = n->clocks.before;
    w->mem = rg_mem_new(real ? RG_MEM_REAL : RG_MEM_VIRTUAL);
    w->trace = n->trace ? rg_trace_new(TRACE_LIMIT) : NULL;
    if (!w->mem || (n->trace && !w->trace))
        return RG_ERR_NOMEM;
    if (w->rank == 0) {
        w->marks_capacity = RG_MIN(n->job->iterations, MARKS_LIMIT);
        w->marks = rg_mem_plain(w->mem, (size_t)w->marks_capacity * sizeof *w->marks);
        if (!w->marks)
            return RG_ERR_NOMEM;
    }
    return n->job->strategy->open(w, n->job, n->options->initial, &n->state);
}

static void clear(struct node *n)
{
    if (n->state)
        n->job->strategy->close(n->state);
    free(n->pauses);
    free(n->sections);
    free(n->machines);
    rg_trace_free(n->w->trace);
    rg_mem_free(n->w->mem);
    n->w->trace = NULL;
    n->w->mem = NULL;
    n->w->marks = NULL;
    n->w->on_iteration = NULL;
}

/* A machine that cannot keep up with the board it stands for has measured itself. */
static bool paced_too_fast(const struct rg_run *run)
{
    return run->paced.overruns * 100 > run->paced.computations;
}

static void conclude(struct node *n, int result)
{
    struct rg_run *run = n->run;
    if (result == 0 && paced_too_fast(run)) {
        result = RG_ERR_OVERRUN;
        snprintf(run->error, sizeof run->error,
                 "%llu of %llu computations took longer than on the board that paces them (%s): "
                 "1 %% at most is allowed",
                 (unsigned long long)run->paced.overruns,
                 (unsigned long long)run->paced.computations, run->paced.board);
    }
    run->error_code = result;
    if (result == 0) {
        run->status = RG_RUN_OK;
        return;
    }
    run->status = result == RG_ERR_INTERRUPTED ? RG_RUN_INTERRUPTED : RG_RUN_FAILED;
    if (!run->error[0])
        snprintf(run->error, sizeof run->error, "%s", rg_strerror(result));
}

int rg_node_run(struct rg_world *w, const struct rg_job *job, const struct rg_node_options *options,
                struct rg_run *run)
{
    RG_ASSERT(w->size == job->nodes && (w->rank == 0) == (run != NULL));
    struct node n = {.w = w, .job = job, .options = options, .run = run};
    n.clocks = (struct rg_clock_map){rg_clock_unknown, rg_clock_unknown};
    n.joules[TOTAL] = NAN;
    struct progress progress = {.options = options, .total = job->iterations};
    if (run) {
        rg_run_init(run);
        rg_job_describe(job, run);
        if (options->pace)
            snprintf(run->paced.board, sizeof run->paced.board, "%s", options->pace);
        run->to_accuracy.wanted = !isnan(options->stop_accuracy);
        run->to_accuracy.target = options->stop_accuracy;
    }
    if (run && options->progress) {
        w->on_iteration = on_iteration;
        w->on_iteration_arg = &progress;
    }
    int result = prepare(&n);
    if (result == 0)
        result = train(&n);
    if (result == 0)
        result = gather(&n);
    if (run && result == 0)
        describe(&n);
    if (run)
        conclude(&n, result);
    clear(&n);
    return result;
}
