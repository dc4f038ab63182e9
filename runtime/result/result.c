/* Runs: life, and their JSON. Key order is part of the format: readers may compare bytes. */
#include "result/result.h"

#include "base/check.h"
#include "result/codec.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {
    [RG_RUN_OK] = "ok",
    [RG_RUN_NO_FIT] = "does-not-fit",
    [RG_RUN_FAILED] = "failed",
    [RG_RUN_INTERRUPTED] = "interrupted",
    [RG_RUN_IMPOSSIBLE] = "impossible",
};

const char *rg_status_name(enum rg_status status)
{
    RG_ASSERT((size_t)status < RG_COUNT(status_names));
    return status_names[status];
}

void rg_run_init(struct rg_run *run)
{
    *run = (struct rg_run){.time_s = NAN, .final_loss = NAN, .final_accuracy = NAN};
    run->iteration_s.mean = run->iteration_s.p50 = NAN;
    run->iteration_s.p95 = run->iteration_s.max = NAN;
    run->formula.T_A_s = run->formula.c_s = run->formula.bubble = NAN;
    run->formula.predicted_iteration_s = run->formula.observed_iteration_s = NAN;
    run->formula.ratio = NAN;
    run->energy_J.total = run->energy_J.idle = run->energy_J.compute = NAN;
    run->energy_J.network = run->energy_J.switches = NAN;
    run->energy_source = "none";
    run->predicted.T_A_s = run->predicted.c_s = run->predicted.iteration_s = NAN;
    run->to_accuracy.target = run->to_accuracy.time_s = run->to_accuracy.energy_J = NAN;
}

int64_t rg_run_edge(const struct rg_run *run, int64_t count, bool *steady)
{
    int64_t in_flight = 1 + run->staleness;
    *steady = run->staleness == 0 || count >= 3 * in_flight;
    return *steady ? RG_MIN(in_flight, (count - 1) / 2) : 0;
}

void rg_run_observe(struct rg_run *run, bool steady)
{
    double predicted = run->formula.predicted_iteration_s;
    run->formula.observed_iteration_s = steady ? run->iteration_s.mean : NAN;
    run->formula.ratio = predicted > 0 ? run->formula.observed_iteration_s / predicted : NAN;
}

double rg_run_sample_J(const struct rg_run *run)
{
    return run->samples > 0 ? run->energy_J.total / (double)run->samples : NAN;
}

void rg_run_free(struct rg_run *run)
{
    for (int i = 0; i < run->param_count; i++)
        free(run->params[i].value);
    for (int i = 0; i < run->node_count; i++)
        rg_trace_free(run->per_node[i].trace);
    for (int i = 0; i < run->sweep_count; i++)
        free(run->sweep[i].value);
    free(run->sweep);
    free(run->params);
    free(run->training);
    free(run->per_node);
    *run = (struct rg_run){0};
}

int rg_run_param(struct rg_run *run, const char *name, const char *value)
{
    struct rg_run_param *params =
        realloc(run->params, (size_t)(run->param_count + 1) * sizeof *params);
    if (params)
        run->params = params;
    char *copy = strdup(value);
    if (!params || !copy) {
        free(copy);
        return RG_ERR_NOMEM;
    }
    struct rg_run_param *added = &params[run->param_count++];
    snprintf(added->name, sizeof added->name, "%s", name);
    added->value = copy;
    return 0;
}

int rg_run_setting(struct rg_run *run, const char *key, const char *value)
{
    struct rg_run_setting *sweep =
        realloc(run->sweep, (size_t)(run->sweep_count + 1) * sizeof *sweep);
    if (sweep)
        run->sweep = sweep;
    char *copy = strdup(value);
    if (!sweep || !copy) {
        free(copy);
        return RG_ERR_NOMEM;
    }
    struct rg_run_setting *added = &sweep[run->sweep_count++];
    snprintf(added->key, sizeof added->key, "%s", key);
    added->value = copy;
    return 0;
}

/* Written as a number where that reads back to the very same text: "16", not "016" or "4,4". */
static bool is_plain_count(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 15 || (text[0] == '0' && length > 1))
        return false;
    for (const char *p = text; *p; p++)
        if (!isdigit((unsigned char)*p))
            return false;
    return true;
}

static void write_head(struct rg_json *j, const struct rg_run *run)
{
    rg_json_text(j, "label", run->label);
    rg_json_text(j, "kind", run->kind);
    rg_json_object(j, "params", true);
    for (int i = 0; i < run->param_count; i++) {
        const struct rg_run_param *param = &run->params[i];
        if (is_plain_count(param->value))
            rg_json_raw(j, param->name, param->value);
        else
            rg_json_text(j, param->name, param->value);
    }
    rg_json_close(j);
    rg_json_whole(j, "nodes", run->nodes);
    rg_json_text(j, "numerics", run->numerics ? "real" : "skip");
    rg_json_text(j, "status", rg_status_name(run->status));
    rg_json_text(j, "error", run->error[0] ? run->error : NULL);
    rg_json_object(j, "sweep", true);
    for (int i = 0; i < run->sweep_count; i++)
        rg_json_text(j, run->sweep[i].key, run->sweep[i].value);
    rg_json_close(j);
}

static void write_predicted(struct rg_json *j, const struct rg_run *run)
{
    if (!run->predicted.defined) {
        rg_json_null(j, "predicted");
        return;
    }
    rg_json_object(j, "predicted", true);
    rg_json_flag(j, "overlap", run->predicted.overlap);
    rg_json_real(j, "T_A_s", run->predicted.T_A_s);
    rg_json_real(j, "c_s", run->predicted.c_s);
    rg_json_real(j, "iteration_s", run->predicted.iteration_s);
    rg_json_count(j, "messages", run->predicted.messages);
    rg_json_count(j, "values", run->predicted.values);
    rg_json_count(j, "payload_bytes", run->predicted.payload_bytes);
    rg_json_count(j, "memory_bytes", run->predicted.memory_bytes);
    rg_json_close(j);
}

static void write_formula(struct rg_json *j, const struct rg_run *run)
{
    if (!run->formula.defined) {
        rg_json_null(j, "formula");
        return;
    }
    rg_json_object(j, "formula", true);
    rg_json_flag(j, "overlap", run->formula.overlap);
    rg_json_real(j, "T_A_s", run->formula.T_A_s);
    rg_json_real(j, "c_s", run->formula.c_s);
    rg_json_real(j, "bubble", run->formula.bubble);
    rg_json_real(j, "predicted_iteration_s", run->formula.predicted_iteration_s);
    rg_json_real(j, "observed_iteration_s", run->formula.observed_iteration_s);
    rg_json_real(j, "ratio", run->formula.ratio);
    rg_json_close(j);
}

static void write_meter(struct rg_json *j, const struct rg_run_meter *meter)
{
    if (!meter->known) {
        rg_json_null(j, "meter");
        return;
    }
    rg_json_object(j, "meter", true);
    rg_json_text(j, "source", meter->source);
    rg_json_whole(j, "nodes", meter->nodes);
    rg_json_real(j, "interval_s", meter->interval_s);
    rg_json_real(j, "longest_s", meter->longest_s);
    rg_json_count(j, "samples", meter->samples);
    rg_json_real(j, "uncertainty_J", meter->uncertainty_J);
    rg_json_real(j, "idle_W", meter->idle_W);
    rg_json_real(j, "above_idle_J", meter->above_idle_J);
    rg_json_text(j, "error", meter->error[0] ? meter->error : NULL);
    rg_json_close(j);
}

static void write_clock(struct rg_json *j, const struct rg_run_clock *clock)
{
    rg_json_object(j, "clock", true);
    rg_json_real(j, "offset_s", clock->offset_s);
    rg_json_real(j, "wall_offset_s", clock->wall_offset_s);
    rg_json_real(j, "uncertainty_s", clock->uncertainty_s);
    rg_json_real(j, "drift_ppm", clock->drift_ppm);
    rg_json_real(j, "drift_uncertainty_ppm", clock->drift_uncertainty_ppm);
    rg_json_close(j);
}

static void write_measures(struct rg_json *j, const struct rg_run *run)
{
    rg_json_whole(j, "iterations", run->iterations);
    rg_json_count(j, "samples", run->samples);
    rg_json_real(j, "time_s", run->time_s);
    rg_json_object(j, "iteration_s", true);
    rg_json_real(j, "mean", run->iteration_s.mean);
    rg_json_real(j, "p50", run->iteration_s.p50);
    rg_json_real(j, "p95", run->iteration_s.p95);
    rg_json_real(j, "max", run->iteration_s.max);
    rg_json_close(j);
    write_formula(j, run);
    write_predicted(j, run);
    rg_json_object(j, "energy_J", true);
    rg_json_real(j, "total", run->energy_J.total);
    rg_json_real(j, "idle", run->energy_J.idle);
    rg_json_real(j, "compute", run->energy_J.compute);
    rg_json_real(j, "network", run->energy_J.network);
    rg_json_real(j, "switch", run->energy_J.switches);
    rg_json_close(j);
    rg_json_text(j, "energy_source", run->energy_source ? run->energy_source : "none");
    write_meter(j, &run->meter);
    rg_json_real(j, "sample_J", rg_run_sample_J(run));
    rg_json_object(j, "traffic", true);
    rg_json_count(j, "messages", run->traffic.messages);
    rg_json_count(j, "values", run->traffic.values);
    rg_json_count(j, "payload_bytes", run->traffic.payload_bytes);
    rg_json_real(j, "wire_bytes", run->traffic.wire_bytes);
    rg_json_count(j, "max_node_bytes", run->traffic.max_node_bytes);
    rg_json_close(j);
    rg_json_object(j, "memory_bytes", true);
    rg_json_count(j, "max_node", run->memory_max);
    rg_json_count(j, "total", run->memory_total);
    rg_json_close(j);
    rg_json_count(j, "late_receives", run->late_receives);
    rg_json_whole(j, "staleness", run->staleness);
    rg_json_whole(j, "peak_units", run->peak_units);
    rg_json_whole(j, "extrapolated_iterations", run->extrapolated_iterations);
    if (!run->paced.board[0])
        return; /* as in every run but on a testbed */
    rg_json_object(j, "paced", true);
    rg_json_text(j, "board", run->paced.board);
    rg_json_count(j, "computations", run->paced.computations);
    rg_json_count(j, "overruns", run->paced.overruns);
    rg_json_close(j);
}

static void write_training(struct rg_json *j, const struct rg_run *run)
{
    rg_json_array(j, "training", false);
    for (int i = 0; i < run->point_count; i++) {
        const struct rg_run_point *point = &run->training[i];
        rg_json_object(j, NULL, true);
        rg_json_whole(j, "iteration", point->iteration);
        rg_json_real(j, "time_s", point->time_s);
        rg_json_real(j, "energy_J", point->energy_J);
        rg_json_real(j, "loss", point->loss);
        rg_json_real(j, "accuracy", point->accuracy);
        rg_json_close(j);
    }
    rg_json_close(j);
    rg_json_object(j, "final", true);
    rg_json_real(j, "loss", run->final_loss);
    rg_json_real(j, "accuracy", run->final_accuracy);
    rg_json_close(j);
    if (!run->to_accuracy.wanted) {
        rg_json_null(j, "to_accuracy");
    } else {
        bool reached = run->to_accuracy.reached;
        rg_json_object(j, "to_accuracy", true);
        rg_json_real(j, "target", run->to_accuracy.target);
        if (reached)
            rg_json_whole(j, "iterations", run->to_accuracy.iterations);
        else
            rg_json_null(j, "iterations");
        rg_json_real(j, "time_s", reached ? run->to_accuracy.time_s : NAN);
        rg_json_real(j, "energy_J", reached ? run->to_accuracy.energy_J : NAN);
        rg_json_close(j);
    }
    rg_json_text(j, "weights_sha256", run->weights_sha256[0] ? run->weights_sha256 : NULL);
}

static void write_power(struct rg_json *j, const struct rg_run_power *power)
{
    rg_json_object(j, "power", true);
    rg_json_real(j, "rest_W", power->rest_W);
    rg_json_real(j, "idle_W", power->idle_W);
    rg_json_real(j, "epsilon_W", power->epsilon_W);
    rg_json_real(j, "full_W", power->full_W);
    rg_json_real(j, "send_W", power->send_W);
    rg_json_real(j, "receive_W", power->receive_W);
    rg_json_real(j, "compute_share", power->compute_share);
    rg_json_real(j, "core_share", power->core_share);
    rg_json_flag(j, "keyed", power->keyed);
    rg_json_real(j, "port_rate", power->port_rate);
    rg_json_real(j, "message_s", power->message_s);
    rg_json_real(j, "byte_s", power->byte_s);
    rg_json_close(j);
}

static void write_trace(struct rg_json *j, const struct rg_trace *trace)
{
    rg_json_object(j, "trace", true);
    rg_json_count(j, "dropped", trace->dropped);
    rg_json_count(j, "limit", trace->limit);
    rg_json_raw(j, "events", "\"");
    rg_events_write(trace, j->stream);
    putc('"', j->stream);
    rg_json_close(j);
}

static void write_nodes(struct rg_json *j, const struct rg_run *run, bool pipe)
{
    rg_json_array(j, "per_node", false);
    for (int i = 0; i < run->node_count; i++) {
        const struct rg_run_node *node = &run->per_node[i];
        rg_json_object(j, NULL, true);
        rg_json_whole(j, "rank", i);
        rg_json_text(j, "host", node->host);
        rg_json_real(j, "busy_s", node->busy_s);
        rg_json_real(j, "comm_s", node->comm_s);
        rg_json_real(j, "idle_s", node->idle_s);
        rg_json_real(j, "energy_J", node->energy_J);
        rg_json_count(j, "bytes_sent", node->bytes_sent);
        rg_json_count(j, "bytes_received", node->bytes_received);
        rg_json_count(j, "memory_bytes", node->memory_bytes);
        if (node->meter.known)
            write_meter(j, &node->meter);
        if (node->clock.known)
            write_clock(j, &node->clock);
        if (pipe && node->trace)
            write_trace(j, node->trace);
        if (pipe && node->power.known)
            write_power(j, &node->power);
        rg_json_close(j);
    }
    rg_json_close(j);
}

void rg_run_write(struct rg_json *j, const struct rg_run *run, bool pipe)
{
    rg_json_object(j, NULL, pipe);
    write_head(j, run);
    if (pipe)
        rg_json_whole(j, "error_code", run->error_code);
    write_measures(j, run);
    write_training(j, run);
    write_nodes(j, run, pipe);
    rg_json_close(j);
}

static void write_sockets(struct rg_json *j, const struct rg_result_sockets *sockets)
{
    rg_json_object(j, "sockets", true);
    rg_json_text(j, "cipher", sockets->cipher);
    rg_json_text(j, "congestion_control", sockets->control);
    rg_json_flag(j, "slow_start_after_idle", sockets->slow_start_after_idle);
    rg_json_whole(j, "retransmits", (int64_t)sockets->retransmits);
    rg_json_whole(j, "bytes_sent", (int64_t)sockets->bytes_sent);
    rg_json_whole(j, "bytes_received", (int64_t)sockets->bytes_received);
    rg_json_close(j);
}

static void write_host(struct rg_json *j, const struct rg_result_host *host)
{
    rg_json_object(j, "host", true);
    rg_json_real(j, "wall_s", host->wall_s);
    rg_json_text(j, "date", host->date);
    rg_json_real(j, "load", host->load);
    rg_json_text(j, "blas_kernels", host->blas_kernels);
    rg_json_whole(j, "blas_threads", host->blas_threads);
    rg_json_whole(j, "cores", host->cores);
    rg_json_text(j, "machine", host->machine);
    if (host->sockets.known)
        write_sockets(j, &host->sockets);
    rg_json_close(j);
}

/* "part": which of the runs these are; a file that holds them all has none. */
static void write_places(struct rg_json *j, const struct rg_result *result)
{
    rg_json_object(j, "part", true);
    rg_json_whole(j, "of_runs", result->total);
    rg_json_array(j, "places", true);
    for (int i = 0; i < result->run_count; i++)
        rg_json_whole(j, NULL, result->places[i]);
    rg_json_close(j);
    rg_json_close(j);
}

int rg_result_write(const struct rg_result *result, FILE *stream)
{
    struct rg_json j = {.stream = stream};
    rg_json_object(&j, NULL, false);
    rg_json_text(&j, "schema", "ringtmp-result-1");
    rg_json_text(&j, "tool", result->tool);
    rg_json_text(&j, "version", RG_VERSION);
    rg_json_text(&j, "world", result->world);
    rg_json_text(&j, "scenario", result->scenario);
    rg_json_text(&j, "scenario_sha256", result->scenario_sha256);
    rg_json_count(&j, "seed", result->seed);
    write_host(&j, &result->host);
    if (result->places)
        write_places(&j, result);
    if (result->note_count > 0) {
        rg_json_array(&j, "data_notes", false);
        for (int i = 0; i < result->note_count; i++)
            rg_json_text(&j, NULL, result->notes[i]);
        rg_json_close(&j);
    }
    rg_json_array(&j, "runs", false);
    for (int i = 0; i < result->run_count; i++)
        rg_run_write(&j, &result->runs[i], false);
    rg_json_close(&j);
    rg_json_close(&j);
    return ferror(stream) ? RG_ERR_IO : 0;
}
