/* Measurements in memory and as JSON. */
#include "calibrate/calibrate.h"

#include "base/check.h"
#include "base/need.h"
#include "result/json.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_ROWS = 100000 };

static const char *const kinds[] = {
    [RG_CAL_ONE_WAY] = "one way", [RG_CAL_STREAM] = "stream", [RG_CAL_PROCESSOR] = "processor"};

const char *rg_cal_message_kind(enum rg_cal_message_kind kind)
{
    return kinds[kind];
}

void rg_cal_init(struct rg_calibration *cal)
{
    *cal = (struct rg_calibration){.power = {NAN, NAN, NAN, ""}};
}

void rg_cal_free(struct rg_calibration *cal)
{
    for (int i = 0; i < cal->kernel_count; i++)
        rg_work_free(&cal->kernels[i].work);
    free(cal->kernels);
    free(cal->messages);
    rg_cal_init(cal);
}

static void *grow(void *array, int count, int *room, size_t unit)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 64;
    array = rg_need(array, (size_t)*room * unit);
    return array;
}

void rg_cal_add_kernel(struct rg_calibration *cal, const struct rg_cal_kernel *kernel)
{
    cal->kernels = grow(cal->kernels, cal->kernel_count, &cal->kernel_room, sizeof *kernel);
    cal->kernels[cal->kernel_count++] = *kernel;
}

void rg_cal_add_message(struct rg_calibration *cal, const struct rg_cal_message *message)
{
    cal->messages = grow(cal->messages, cal->message_count, &cal->message_room, sizeof *message);
    cal->messages[cal->message_count++] = *message;
}

/* ---- writing ---- */

static void save_machine(struct rg_json *j, const struct rg_calibration *cal)
{
    const struct rg_cal_machine *m = &cal->machine;
    rg_json_object(j, "machine", false);
    rg_json_text(j, "name", m->name);
    rg_json_text(j, "processor", m->processor);
    rg_json_text(j, "blas", m->blas);
    rg_json_whole(j, "cores", m->cores);
    rg_json_flag(j, "shared", m->shared);
    rg_json_real(j, "hz", m->hz);
    rg_json_real(j, "limit_hz", m->limit_hz);
    rg_json_text(j, "doubts", m->doubts);
    rg_json_count(j, "memory_bytes", m->memory_bytes);
    rg_json_real(j, "load", m->load);
    rg_json_text(j, "date", m->date);
    rg_json_close(j);
}

static void save_kernel(struct rg_json *j, const struct rg_cal_kernel *k)
{
    rg_json_object(j, NULL, true);
    rg_json_text(j, "group", k->group);
    rg_json_text(j, "name", k->name);
    rg_json_whole(j, "threads", k->threads);
    rg_json_real(j, "seconds", k->seconds);
    rg_json_real(j, "spread", k->spread);
    rg_json_whole(j, "samples", k->samples);
    rg_json_array(j, "work", true);
    for (int i = 0; i < k->work.count; i++) {
        const struct rg_cost *c = &k->work.cost[i];
        rg_json_object(j, NULL, true);
        rg_json_whole(j, "m", c->m);
        rg_json_whole(j, "n", c->n);
        rg_json_whole(j, "k", c->k);
        rg_json_real(j, "flops", c->flops);
        rg_json_real(j, "functions", c->functions);
        rg_json_real(j, "bytes", c->bytes);
        rg_json_real(j, "calls", c->calls);
        rg_json_close(j);
    }
    rg_json_close(j);
    rg_json_close(j);
}

static void save_message(struct rg_json *j, const struct rg_cal_message *m)
{
    rg_json_object(j, NULL, true);
    rg_json_text(j, "kind", kinds[m->kind]);
    rg_json_count(j, "bytes", m->bytes);
    rg_json_real(j, "seconds", m->seconds);
    rg_json_real(j, "spread", m->spread);
    rg_json_whole(j, "samples", m->samples);
    rg_json_close(j);
}

void rg_cal_save(const struct rg_calibration *cal, FILE *stream)
{
    struct rg_json j = {.stream = stream};
    rg_json_object(&j, NULL, false);
    rg_json_text(&j, "schema", RG_CAL_SCHEMA);
    rg_json_text(&j, "version", RG_VERSION);
    save_machine(&j, cal);
    rg_json_array(&j, "kernels", false);
    for (int i = 0; i < cal->kernel_count; i++)
        save_kernel(&j, &cal->kernels[i]);
    rg_json_close(&j);
    rg_json_array(&j, "messages", false);
    for (int i = 0; i < cal->message_count; i++)
        save_message(&j, &cal->messages[i]);
    rg_json_close(&j);
    rg_json_object(&j, "frame", true);
    rg_json_real(&j, "payload", cal->frame_payload);
    rg_json_real(&j, "bytes", cal->frame_bytes);
    rg_json_close(&j);
    rg_json_object(&j, "power", true);
    rg_json_real(&j, "idle_W", cal->power.idle_W);
    rg_json_real(&j, "one_W", cal->power.one_W);
    rg_json_real(&j, "all_W", cal->power.all_W);
    rg_json_text(&j, "source", cal->power.source);
    rg_json_close(&j);
    rg_json_close(&j);
    fputc('\n', stream);
}

/* ---- reading ---- */

/* Looks values up; the first that is missing or of another type is remembered. */
struct reader {
    const char *file;
    struct rg_error *e;
    int err;
};

static json_t *get(struct reader *r, const json_t *object, const char *key, bool right)
{
    json_t *value = json_object_get(object, key);
    if (right && !value && r->err == 0)
        r->err = rg_fail_at(r->e, r->file, 0, "\"%s\" is missing", key);
    return value;
}

/* null is NAN where that may be. */
static double real_of(struct reader *r, const json_t *object, const char *key, double least,
                      bool may_lack)
{
    const json_t *value = get(r, object, key, true);
    if (may_lack && json_is_null(value))
        return NAN;
    double number = json_number_value(value);
    if (r->err == 0 && (!json_is_number(value) || !(number >= least) || !isfinite(number)))
        r->err = rg_fail_at(r->e, r->file, 0, "\"%s\" is no number of %g or more", key, least);
    return number;
}

static int whole_of(struct reader *r, const json_t *object, const char *key, int least)
{
    double number = real_of(r, object, key, least, false);
    if (r->err == 0 && (number != floor(number) || number > 1e9))
        r->err = rg_fail_at(r->e, r->file, 0, "\"%s\" is no whole number up to 1e9", key);
    return r->err ? 0 : (int)number;
}

static void text_of(struct reader *r, const json_t *object, const char *key, char *text,
                    size_t size)
{
    const json_t *value = get(r, object, key, true);
    if (r->err == 0 && (!json_is_string(value) || strlen(json_string_value(value)) >= size))
        r->err =
            rg_fail_at(r->e, r->file, 0, "\"%s\" is no text of up to %zu bytes", key, size - 1);
    if (r->err)
        return;
    snprintf(text, size, "%s", json_string_value(value));
    rg_one_line(text);
}

static void load_machine(struct reader *r, const json_t *root, struct rg_cal_machine *m)
{
    const json_t *o = get(r, root, "machine", true);
    text_of(r, o, "name", m->name, sizeof m->name);
    text_of(r, o, "processor", m->processor, sizeof m->processor);
    text_of(r, o, "blas", m->blas, sizeof m->blas);
    m->cores = whole_of(r, o, "cores", 1);
    m->shared = json_is_true(get(r, o, "shared", true));
    m->hz = real_of(r, o, "hz", 0, false);
    if (json_object_get(o, "limit_hz")) /* later than the schema's first files */
        m->limit_hz = real_of(r, o, "limit_hz", 0, false);
    if (json_object_get(o, "doubts"))
        text_of(r, o, "doubts", m->doubts, sizeof m->doubts);
    m->memory_bytes = (uint64_t)real_of(r, o, "memory_bytes", 1, false);
    m->load = real_of(r, o, "load", 0, true);
    text_of(r, o, "date", m->date, sizeof m->date);
    if (r->err == 0 && m->cores > 1024)
        r->err = rg_fail_at(r->e, r->file, 0, "%d cores: up to 1024 are allowed", m->cores);
}

static void load_kernel(struct reader *r, const json_t *o, struct rg_calibration *cal)
{
    struct rg_cal_kernel k = {0};
    size_t i;
    const json_t *cost, *work = get(r, o, "work", true);
    text_of(r, o, "group", k.group, sizeof k.group);
    text_of(r, o, "name", k.name, sizeof k.name);
    k.threads = whole_of(r, o, "threads", 1);
    k.seconds = real_of(r, o, "seconds", 1e-12, false);
    k.spread = real_of(r, o, "spread", 0, true);
    k.samples = whole_of(r, o, "samples", 0);
    if (r->err == 0 && k.threads > cal->machine.cores)
        r->err = rg_fail_at(r->e, r->file, 0, "kernel \"%s\" ran on %d threads of %d cores", k.name,
                            k.threads, cal->machine.cores);
    json_array_foreach(work, i, cost)
    {
        struct rg_cost c = {.m = whole_of(r, cost, "m", 0),
                            .n = whole_of(r, cost, "n", 0),
                            .k = whole_of(r, cost, "k", 0),
                            .flops = real_of(r, cost, "flops", 0, false),
                            .functions = real_of(r, cost, "functions", 0, false),
                            .bytes = real_of(r, cost, "bytes", 0, false),
                            .calls = real_of(r, cost, "calls", 0, false)};
        rg_work_vector(&k.work, 0, 0);
        k.work.cost[k.work.count - 1] = c;
    }
    if (r->err == 0 && k.work.count == 0)
        r->err = rg_fail_at(r->e, r->file, 0, "kernel \"%s\" has no work", k.name);
    rg_cal_add_kernel(cal, &k);
}

static void load_message(struct reader *r, const json_t *o, struct rg_calibration *cal)
{
    struct rg_cal_message m = {0};
    char kind[20] = "";
    text_of(r, o, "kind", kind, sizeof kind);
    while ((size_t)m.kind < RG_COUNT(kinds) && strcmp(kinds[m.kind], kind) != 0)
        m.kind++;
    if (r->err == 0 && (size_t)m.kind == RG_COUNT(kinds))
        r->err = rg_fail_at(r->e, r->file, 0, "unknown kind of message \"%s\"", kind);
    m.bytes = (uint64_t)real_of(r, o, "bytes", 0, false);
    m.seconds = real_of(r, o, "seconds", 1e-12, false);
    m.spread = real_of(r, o, "spread", 0, true);
    m.samples = whole_of(r, o, "samples", 0);
    if (r->err == 0)
        rg_cal_add_message(cal, &m);
}

static void load_rows(struct reader *r, const json_t *root, const char *key,
                      void (*load)(struct reader *, const json_t *, struct rg_calibration *),
                      struct rg_calibration *cal)
{
    const json_t *row, *rows = get(r, root, key, true);
    size_t i;
    if (r->err == 0 && (!json_is_array(rows) || json_array_size(rows) > MOST_ROWS))
        r->err = rg_fail_at(r->e, r->file, 0, "\"%s\" is no list of up to %d", key, MOST_ROWS);
    json_array_foreach(rows, i, row)
    {
        if (r->err == 0)
            load(r, row, cal);
    }
}

static void load_all(struct reader *r, const json_t *root, struct rg_calibration *cal)
{
    char schema[40] = "";
    text_of(r, root, "schema", schema, sizeof schema);
    if (r->err == 0 && strcmp(schema, RG_CAL_SCHEMA) != 0)
        r->err = rg_fail_at(r->e, r->file, 0, "schema is \"%s\", \"" RG_CAL_SCHEMA "\" is wanted",
                            schema);
    if (r->err)
        return;
    load_machine(r, root, &cal->machine);
    load_rows(r, root, "kernels", load_kernel, cal);
    load_rows(r, root, "messages", load_message, cal);
    const json_t *frame = get(r, root, "frame", true), *power = get(r, root, "power", true);
    cal->frame_payload = real_of(r, frame, "payload", 0, false);
    cal->frame_bytes = real_of(r, frame, "bytes", 0, false);
    cal->power.idle_W = real_of(r, power, "idle_W", 0, true);
    cal->power.one_W = real_of(r, power, "one_W", 0, true);
    cal->power.all_W = real_of(r, power, "all_W", 0, true);
    text_of(r, power, "source", cal->power.source, sizeof cal->power.source);
}

int rg_cal_load(const char *file, struct rg_calibration *cal, struct rg_error *e)
{
    json_error_t why;
    struct reader r = {.file = file, .e = e};
    struct stat status;
    rg_cal_init(cal);
    if (stat(file, &status) == 0 && S_ISDIR(status.st_mode))
        return rg_fail_at(e, file, 0, "is a folder, a file is wanted");
    json_t *root = json_load_file(file, JSON_REJECT_DUPLICATES, &why);
    if (!root && why.line <= 0)
        return rg_fail(e, RG_ERR_IO, "%s", why.text);
    if (!root)
        return rg_fail_at(e, file, why.line, "%s", why.text);
    load_all(&r, root, cal);
    json_decref(root);
    if (r.err)
        rg_cal_free(cal);
    return r.err;
}
