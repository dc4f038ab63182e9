/* A run on a pipe between processes: JSON there and back.
 *
 * Failure modes handled: text that is no JSON (a child died while writing), fields that are missing
 * or of another type; the run is then left empty. */
#include "result/codec.h"

#include "base/bytes.h"
#include "base/check.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int rg_run_encode(const struct rg_run *run, char **text)
{
    size_t size = 0;
    *text = NULL;
    FILE *stream = open_memstream(text, &size);
    if (!stream)
        return RG_ERR_NOMEM;
    struct rg_json j = {.stream = stream};
    rg_run_write(&j, run, true);
    int failed = ferror(stream);
    if (fclose(stream) != 0 || failed) {
        free(*text);
        *text = NULL;
        return RG_ERR_NOMEM;
    }
    return 0;
}

static int complain(struct rg_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int complain(struct rg_error *e, const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rg_one_line(text);
    return rg_fail(e, RG_ERR_PROTOCOL, "%s", text);
}

/* Reading goes on after a fault with harmless values; the first one is kept. */
struct reader {
    char fault[80];
};

static void fault(struct reader *r, const char *key)
{
    if (!r->fault[0])
        snprintf(r->fault, sizeof r->fault, "%s", key);
}

static json_t *member(struct reader *r, const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value)
        fault(r, key);
    return value;
}

static double real(struct reader *r, const json_t *value, const char *key)
{
    if (json_is_number(value))
        return json_number_value(value);
    if (!json_is_null(value))
        fault(r, key);
    return NAN;
}

static double get_real(struct reader *r, const json_t *object, const char *key)
{
    return real(r, member(r, object, key), key);
}

/* An integer in [min, max]. */
static int64_t whole(struct reader *r, const json_t *value, const char *key, int64_t min,
                     int64_t max)
{
    int64_t number = json_integer_value(value);
    if (json_is_integer(value) && number >= min && number <= max)
        return number;
    fault(r, key);
    return min > 0 ? min : 0;
}

static int64_t get_whole(struct reader *r, const json_t *object, const char *key, int64_t min,
                         int64_t max)
{
    return whole(r, member(r, object, key), key, min, max);
}

static uint64_t get_count(struct reader *r, const json_t *object, const char *key)
{
    return (uint64_t)get_whole(r, object, key, 0, INT64_MAX);
}

static bool get_flag(struct reader *r, const json_t *object, const char *key)
{
    json_t *value = member(r, object, key);
    if (!json_is_boolean(value))
        fault(r, key);
    return json_is_true(value);
}

/* An object; where it must be (null_too false) or may be null: then NULL. */
static json_t *get_object(struct reader *r, const json_t *object, const char *key, bool null_too)
{
    json_t *value = member(r, object, key);
    if (json_is_object(value))
        return value;
    if (!null_too || !json_is_null(value))
        fault(r, key);
    return NULL;
}

/* null is "". */
static void get_text(struct reader *r, const json_t *object, const char *key, char *text,
                     size_t size)
{
    json_t *value = member(r, object, key);
    const char *string = json_string_value(value);
    text[0] = '\0';
    if (string && strlen(string) < size)
        strcpy(text, string);
    else if (!json_is_null(value))
        fault(r, key);
}

static void read_params(struct reader *r, const json_t *root, struct rg_run *run)
{
    json_t *params = get_object(r, root, "params", false), *value;
    const char *name;
    json_object_foreach(params, name, value)
    {
        char number[32];
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        if ((!json_is_integer(value) && !json_is_string(value)) ||
            strlen(name) >= sizeof run->params->name)
            fault(r, name);
        else if (rg_run_param(run, name,
                              json_is_string(value) ? json_string_value(value) : number) < 0)
            fault(r, "memory");
    }
}

static void read_sweep(struct reader *r, const json_t *root, struct rg_run *run)
{
    json_t *sweep = get_object(r, root, "sweep", false), *value;
    const char *key;
    json_object_foreach(sweep, key, value)
    {
        if (!json_is_string(value) || strlen(key) >= sizeof run->sweep->key)
            fault(r, key);
        else if (rg_run_setting(run, key, json_string_value(value)) < 0)
            fault(r, "memory");
    }
}

static void read_head(struct reader *r, const json_t *root, struct rg_run *run, bool pipe)
{
    char status[24], numerics[8];
    get_text(r, root, "label", run->label, sizeof run->label);
    get_text(r, root, "kind", run->kind, sizeof run->kind);
    if (!run->label[0])
        fault(r, "label");
    read_params(r, root, run);
    run->nodes = (int)get_whole(r, root, "nodes", 0, INT32_MAX);
    get_text(r, root, "numerics", numerics, sizeof numerics);
    run->numerics = strcmp(numerics, "real") == 0;
    if (!run->numerics && strcmp(numerics, "skip") != 0)
        fault(r, "numerics");
    get_text(r, root, "status", status, sizeof status);
    int i = RG_RUN_OK;
    while (i <= RG_RUN_IMPOSSIBLE && strcmp(rg_status_name((enum rg_status)i), status) != 0)
        i++;
    if (i > RG_RUN_IMPOSSIBLE)
        fault(r, "status");
    else
        run->status = (enum rg_status)i;
    get_text(r, root, "error", run->error, sizeof run->error);
    if (pipe)
        run->error_code = (int)get_whole(r, root, "error_code", INT32_MIN, INT32_MAX);
    read_sweep(r, root, run);
}

static void read_predicted(struct reader *r, const json_t *root, struct rg_run *run)
{
    json_t *o = get_object(r, root, "predicted", true);
    run->predicted.defined = o != NULL;
    if (!run->predicted.defined)
        return;
    run->predicted.overlap = get_flag(r, o, "overlap");
    run->predicted.T_A_s = get_real(r, o, "T_A_s");
    run->predicted.c_s = get_real(r, o, "c_s");
    run->predicted.iteration_s = get_real(r, o, "iteration_s");
    run->predicted.messages = get_count(r, o, "messages");
    run->predicted.values = get_count(r, o, "values");
    run->predicted.payload_bytes = get_count(r, o, "payload_bytes");
    run->predicted.memory_bytes = get_count(r, o, "memory_bytes");
}

static void read_formula(struct reader *r, const json_t *root, struct rg_run *run)
{
    json_t *o = get_object(r, root, "formula", true);
    run->formula.defined = o != NULL;
    if (!run->formula.defined)
        return;
    run->formula.overlap = get_flag(r, o, "overlap");
    run->formula.T_A_s = get_real(r, o, "T_A_s");
    run->formula.c_s = get_real(r, o, "c_s");
    run->formula.bubble = get_real(r, o, "bubble");
    run->formula.predicted_iteration_s = get_real(r, o, "predicted_iteration_s");
    run->formula.observed_iteration_s = get_real(r, o, "observed_iteration_s");
    run->formula.ratio = get_real(r, o, "ratio");
}

static const char *energy_source(struct reader *r, const json_t *root)
{
    static const char *const known[] = {"none", "model", "ina2xx", "rapl", "pmic", "csv"};
    char text[16];
    get_text(r, root, "energy_source", text, sizeof text);
    for (size_t i = 0; i < RG_COUNT(known); i++)
        if (strcmp(known[i], text) == 0)
            return known[i];
    fault(r, "energy_source");
    return known[0];
}

/* Absent from results of before there were meters, and from nodes without one. */
static void read_meter(struct reader *r, const json_t *from, struct rg_run_meter *meter)
{
    const json_t *o = json_object_get(from, "meter");
    if (!o || json_is_null(o))
        return;
    meter->known = true;
    get_text(r, o, "source", meter->source, sizeof meter->source);
    meter->nodes = (int)get_whole(r, o, "nodes", 0, INT32_MAX);
    meter->interval_s = get_real(r, o, "interval_s");
    meter->longest_s = get_real(r, o, "longest_s");
    meter->samples = get_count(r, o, "samples");
    meter->uncertainty_J = get_real(r, o, "uncertainty_J");
    meter->idle_W = get_real(r, o, "idle_W");
    meter->above_idle_J = get_real(r, o, "above_idle_J");
    get_text(r, o, "error", meter->error, sizeof meter->error);
}

/* Absent where all nodes share one clock, and from results of before clocks were compared. */
static void read_clock(struct reader *r, const json_t *node, struct rg_run_clock *clock)
{
    const json_t *o = json_object_get(node, "clock");
    if (!o || json_is_null(o))
        return;
    clock->known = true;
    clock->offset_s = get_real(r, o, "offset_s");
    clock->wall_offset_s = get_real(r, o, "wall_offset_s");
    clock->uncertainty_s = get_real(r, o, "uncertainty_s");
    clock->drift_ppm = get_real(r, o, "drift_ppm");
    clock->drift_uncertainty_ppm = get_real(r, o, "drift_uncertainty_ppm");
}

static void read_measures(struct reader *r, const json_t *root, struct rg_run *run)
{
    run->iterations = get_whole(r, root, "iterations", 0, INT64_MAX);
    run->samples = get_count(r, root, "samples");
    run->time_s = get_real(r, root, "time_s");
    if (run->status == RG_RUN_OK && !(run->time_s >= 0))
        fault(r, "time_s");
    json_t *o = member(r, root, "iteration_s");
    run->iteration_s.mean = get_real(r, o, "mean");
    run->iteration_s.p50 = get_real(r, o, "p50");
    run->iteration_s.p95 = get_real(r, o, "p95");
    run->iteration_s.max = get_real(r, o, "max");
    read_formula(r, root, run);
    read_predicted(r, root, run);
    o = member(r, root, "energy_J");
    run->energy_J.total = get_real(r, o, "total");
    run->energy_J.idle = get_real(r, o, "idle");
    run->energy_J.compute = get_real(r, o, "compute");
    run->energy_J.network = get_real(r, o, "network");
    run->energy_J.switches = get_real(r, o, "switch");
    run->energy_source = energy_source(r, root);
    read_meter(r, root, &run->meter);
    o = member(r, root, "traffic");
    run->traffic.messages = get_count(r, o, "messages");
    run->traffic.values = get_count(r, o, "values");
    run->traffic.payload_bytes = get_count(r, o, "payload_bytes");
    run->traffic.wire_bytes = get_real(r, o, "wire_bytes");
    run->traffic.max_node_bytes = get_count(r, o, "max_node_bytes");
    o = member(r, root, "memory_bytes");
    run->memory_max = get_count(r, o, "max_node");
    run->memory_total = get_count(r, o, "total");
    run->late_receives = get_count(r, root, "late_receives");
    run->staleness = get_whole(r, root, "staleness", 0, INT64_MAX);
    run->peak_units = get_whole(r, root, "peak_units", 0, INT64_MAX);
    run->extrapolated_iterations = get_whole(r, root, "extrapolated_iterations", 0, INT64_MAX);
    json_t *paced = json_object_get(root, "paced");
    if (!paced)
        return;
    get_text(r, paced, "board", run->paced.board, sizeof run->paced.board);
    run->paced.computations = get_count(r, paced, "computations");
    run->paced.overruns = get_count(r, paced, "overruns");
}

static void read_training(struct reader *r, const json_t *root, struct rg_run *run)
{
    json_t *points = member(r, root, "training"), *o;
    size_t i, count = json_array_size(points);
    run->training = calloc(count + 1, sizeof *run->training);
    if (!run->training || !json_is_array(points) || count > INT32_MAX) {
        fault(r, "training");
        return;
    }
    json_array_foreach(points, i, o)
    {
        struct rg_run_point *point = &run->training[run->point_count++];
        point->iteration = get_whole(r, o, "iteration", 0, INT64_MAX);
        point->time_s = get_real(r, o, "time_s");
        point->energy_J = get_real(r, o, "energy_J");
        point->loss = get_real(r, o, "loss");
        point->accuracy = get_real(r, o, "accuracy");
    }
    o = member(r, root, "final");
    run->final_loss = get_real(r, o, "loss");
    run->final_accuracy = get_real(r, o, "accuracy");
    o = get_object(r, root, "to_accuracy", true);
    run->to_accuracy.wanted = o != NULL;
    if (run->to_accuracy.wanted) {
        run->to_accuracy.target = get_real(r, o, "target");
        run->to_accuracy.reached = json_is_integer(member(r, o, "iterations"));
        if (run->to_accuracy.reached)
            run->to_accuracy.iterations = get_whole(r, o, "iterations", 0, INT64_MAX);
        run->to_accuracy.time_s = get_real(r, o, "time_s");
        run->to_accuracy.energy_J = get_real(r, o, "energy_J");
    }
    get_text(r, root, "weights_sha256", run->weights_sha256, sizeof run->weights_sha256);
}

/* ---- events: 52 bytes and 2 of padding, in base64 (RFC 4648) ---- */

enum { EVENT_BYTES = RG_EVENT_TEXT / 4 * 3 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_double(unsigned char *p, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    rg_put_u64(p, bits);
}

static double get_double(const unsigned char *p)
{
    uint64_t bits = rg_get_u64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void pack(const struct rg_trace_event *event, unsigned char p[EVENT_BYTES])
{
    memset(p, 0, EVENT_BYTES);
    put_double(p, event->begin_s);
    put_double(p + 8, event->end_s);
    rg_put_u64(p + 16, event->bytes);
    memcpy(p + 24, event->name, sizeof event->name);
    rg_put_u32(p + 36, (uint32_t)event->unit);
    rg_put_u32(p + 40, (uint32_t)event->peer);
    rg_put_u32(p + 44, event->kind | (uint32_t)event->strand << 16);
    rg_put_u32(p + 48, event->tag);
}

static bool unpack(const unsigned char p[EVENT_BYTES], struct rg_trace_event *event)
{
    *event = (struct rg_trace_event){.begin_s = get_double(p),
                                     .end_s = get_double(p + 8),
                                     .bytes = rg_get_u64(p + 16),
                                     .unit = (int32_t)rg_get_u32(p + 36),
                                     .peer = (int32_t)rg_get_u32(p + 40),
                                     .kind = (uint16_t)rg_get_u32(p + 44),
                                     .strand = (uint16_t)(rg_get_u32(p + 44) >> 16),
                                     .tag = rg_get_u32(p + 48)};
    memcpy(event->name, p + 24, sizeof event->name);
    return event->kind <= RG_TRACE_MARK;
}

void rg_events_write(const struct rg_trace *trace, FILE *stream)
{
    for (uint64_t i = 0; i < trace->count; i++) {
        unsigned char bytes[EVENT_BYTES];
        char text[RG_EVENT_TEXT];
        pack(&trace->events[i], bytes);
        for (int k = 0; k < EVENT_BYTES / 3; k++) {
            const unsigned char *b = bytes + 3 * k;
            uint32_t group = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
            for (int d = 0; d < 4; d++)
                text[4 * k + d] = digits[group >> (18 - 6 * d) & 63];
        }
        fwrite(text, 1, sizeof text, stream);
    }
}

/* value[c]: of a digit of base64; -1: none. */
static bool decode_event(const char *text, const signed char value[256],
                         struct rg_trace_event *event)
{
    unsigned char bytes[EVENT_BYTES];
    for (int k = 0; k < EVENT_BYTES / 3; k++) {
        uint32_t group = 0;
        for (int d = 0; d < 4; d++) {
            int v = value[(unsigned char)text[4 * k + d]];
            if (v < 0)
                return false;
            group = group << 6 | (uint32_t)v;
        }
        for (int d = 0; d < 3; d++)
            bytes[3 * k + d] = (unsigned char)(group >> (16 - 8 * d));
    }
    return unpack(bytes, event);
}

static struct rg_trace *read_trace(struct reader *r, const json_t *from)
{
    signed char value[256];
    const json_t *events = member(r, from, "events");
    const char *text = json_string_value(events);
    size_t length = json_string_length(events);
    uint64_t limit = get_count(r, from, "limit");
    struct rg_trace *trace = rg_trace_new(RG_MAX(limit, (uint64_t)(length / RG_EVENT_TEXT)));
    if (!trace || !text || length % RG_EVENT_TEXT) {
        fault(r, "trace");
        return trace;
    }
    memset(value, -1, sizeof value);
    for (int i = 0; i < 64; i++)
        value[(unsigned char)digits[i]] = (signed char)i;
    for (size_t at = 0; at < length; at += RG_EVENT_TEXT) {
        struct rg_trace_event event;
        if (!decode_event(text + at, value, &event)) {
            fault(r, "trace");
            break;
        }
        rg_trace_add(trace, &event);
    }
    trace->limit = limit;
    trace->dropped +=
        get_count(r, from, "dropped"); /* on top of any lost here for want of memory */
    return trace;
}

static void read_power(struct reader *r, const json_t *from, struct rg_run_power *power)
{
    power->known = true;
    power->rest_W = get_real(r, from, "rest_W");
    power->idle_W = get_real(r, from, "idle_W");
    power->epsilon_W = get_real(r, from, "epsilon_W");
    power->full_W = get_real(r, from, "full_W");
    power->send_W = get_real(r, from, "send_W");
    power->receive_W = get_real(r, from, "receive_W");
    power->compute_share = get_real(r, from, "compute_share");
    power->core_share = get_real(r, from, "core_share");
    power->keyed = get_flag(r, from, "keyed");
    power->port_rate = get_real(r, from, "port_rate");
    power->message_s = get_real(r, from, "message_s");
    power->byte_s = get_real(r, from, "byte_s");
}

static void read_nodes(struct reader *r, const json_t *root, struct rg_run *run)
{
    json_t *nodes = member(r, root, "per_node"), *o;
    size_t i, count = json_array_size(nodes);
    run->per_node = calloc(count + 1, sizeof *run->per_node);
    if (!run->per_node || !json_is_array(nodes) || count > INT32_MAX) {
        fault(r, "per_node");
        return;
    }
    json_array_foreach(nodes, i, o)
    {
        struct rg_run_node *node = &run->per_node[run->node_count++];
        get_text(r, o, "host", node->host, sizeof node->host);
        node->busy_s = get_real(r, o, "busy_s");
        node->comm_s = get_real(r, o, "comm_s");
        node->idle_s = get_real(r, o, "idle_s");
        node->energy_J = get_real(r, o, "energy_J");
        node->bytes_sent = get_count(r, o, "bytes_sent");
        node->bytes_received = get_count(r, o, "bytes_received");
        node->memory_bytes = get_count(r, o, "memory_bytes");
        read_meter(r, o, &node->meter);
        read_clock(r, o, &node->clock);
        json_t *trace = json_object_get(o, "trace");
        if (trace)
            node->trace = read_trace(r, trace);
        json_t *power = json_object_get(o, "power");
        if (power)
            read_power(r, power, &node->power);
    }
}

/* pipe: as rg_run_encode wrote it; else a member of a result's runs. */
static int read_run(const json_t *root, bool pipe, struct rg_run *run, struct rg_error *e)
{
    struct reader r = {0};
    rg_run_init(run);
    read_head(&r, root, run, pipe);
    read_measures(&r, root, run);
    read_training(&r, root, run);
    read_nodes(&r, root, run);
    if (!r.fault[0])
        return 0;
    rg_run_free(run);
    rg_run_init(run);
    return complain(e, "a run's result is wrong at \"%s\"", r.fault);
}

int rg_run_decode(const char *text, struct rg_run *run, struct rg_error *e)
{
    json_error_t error;
    rg_run_init(run);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return complain(e, "a run's result is not whole: %.200s (at byte %d)", error.text,
                        error.position);
    int err = read_run(root, true, run, e);
    json_decref(root);
    return err;
}

/* ---- whole results ---- */

enum { MOST_RUNS = 1 << 24 };

static int read_places(struct reader *r, const json_t *root, struct rg_archive *archive)
{
    json_t *part = json_object_get(root, "part");
    json_t *places = part ? member(r, part, "places") : NULL;
    int last = -1;
    archive->places = calloc((size_t)archive->run_count + 1, sizeof *archive->places);
    if (!archive->places)
        return RG_ERR_NOMEM;
    archive->total = part ? (int)get_whole(r, part, "of_runs", 0, MOST_RUNS) : archive->run_count;
    if (part && !json_is_object(part))
        fault(r, "part");
    if (part && json_array_size(places) != (size_t)archive->run_count)
        fault(r, "places");
    for (int i = 0; i < archive->run_count && !r->fault[0]; i++) {
        json_t *place = part ? json_array_get(places, (size_t)i) : NULL;
        last = part ? (int)whole(r, place, "places", last + 1, archive->total - 1) : i;
        archive->places[i] = last;
    }
    return 0;
}

static int read_archive(json_t *root, const char *path, struct rg_archive *archive,
                        struct rg_error *e)
{
    struct reader r = {0};
    struct rg_error why = {0};
    char schema[32];
    get_text(&r, root, "schema", schema, sizeof schema);
    if (strcmp(schema, "ringtmp-result-1") != 0)
        return complain(e, "%.200s: is no result of RingTMP (schema ringtmp-result-1)", path);
    get_text(&r, root, "tool", archive->tool, sizeof archive->tool);
    get_text(&r, root, "version", archive->version, sizeof archive->version);
    get_text(&r, root, "world", archive->world, sizeof archive->world);
    get_text(&r, root, "scenario", archive->scenario, sizeof archive->scenario);
    get_text(&r, root, "scenario_sha256", archive->digest, sizeof archive->digest);
    archive->seed = get_count(&r, root, "seed");
    json_t *runs = member(&r, root, "runs");
    size_t count = json_array_size(runs);
    if (!json_is_array(runs) || count > MOST_RUNS)
        fault(&r, "runs");
    archive->runs = calloc(count + 1, sizeof *archive->runs);
    if (!archive->runs)
        return rg_fail(e, RG_ERR_NOMEM, "%.200s: out of memory", path);
    int err = 0;
    while (!r.fault[0] && archive->run_count < (int)count && err == 0) {
        struct rg_run *run = &archive->runs[archive->run_count++];
        err = read_run(json_array_get(runs, (size_t)archive->run_count - 1), false, run, &why);
    }
    if (err)
        return complain(e, "%.200s: run %d: %.200s", path, archive->run_count, why.text);
    if (read_places(&r, root, archive) < 0)
        return rg_fail(e, RG_ERR_NOMEM, "%.200s: out of memory", path);
    return r.fault[0] ? complain(e, "%.200s: wrong at \"%.60s\"", path, r.fault) : 0;
}

int rg_archive_read(const char *path, struct rg_archive *archive, struct rg_error *e)
{
    json_error_t error;
    *archive = (struct rg_archive){0};
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return error.line > 0
                   ? complain(e, "%.200s:%d: is no result: %.200s", path, error.line, error.text)
                   : complain(e, "%.200s: cannot be read: %s", path, strerror(errno));
    int err = read_archive(root, path, archive, e);
    json_decref(root);
    if (err)
        rg_archive_free(archive);
    return err;
}
