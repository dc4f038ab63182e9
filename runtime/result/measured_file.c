#include "result/measured_file.h"

#include "base/check.h"
#include "base/digest.h"
#include "result/json.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_ROWS = 1 << 20, MOST_BATCH = 1 << 24 };
#define MOST_S 1e6

/* The seconds of a row of "layers"; those that may be missing are null, or not there. */
static const struct {
    const char *key;
    size_t at;
    bool may_lack;
} columns[] = {
    {"forward_s", offsetof(struct rg_measured_layer, forward_s), false},
    {"backward_s", offsetof(struct rg_measured_layer, backward_s), false},
    {"backward_input_s", offsetof(struct rg_measured_layer, input_s), true},
    {"backward_weights_s", offsetof(struct rg_measured_layer, weights_s), true},
    {"update_s", offsetof(struct rg_measured_layer, update_s), false},
    {"spread", offsetof(struct rg_measured_layer, spread), true},
};

static double *column_of(struct rg_measured_layer *layer, size_t i)
{
    return (double *)((char *)layer + columns[i].at);
}

bool rg_measured_make(struct rg_measured *m, const struct rg_network *network, const int *batches,
                      int count)
{
    size_t layers = (size_t)network->layer_count;
    m->layer_count = network->layer_count;
    m->first = calloc(layers + 1, sizeof *m->first);
    m->batches = calloc((size_t)count, sizeof *m->batches);
    bool there = m->first && m->batches;
    for (int l = 0; l <= network->layer_count && there; l++)
        m->first[l] = rg_network_offset(network, l);
    for (int b = 0; b < count && there; b++) {
        m->batches[b].samples = batches[b];
        m->batches[b].layers = calloc(layers, sizeof *m->batches[b].layers);
        there = m->batches[b].layers != NULL;
        m->batch_count++;
    }
    return there;
}

/* ---- writing ---- */

static void save_layer(struct rg_json *json, const struct rg_measured_batch *batch, int l,
                       const char *kind)
{
    rg_json_object(json, NULL, true);
    rg_json_whole(json, "batch", batch->samples);
    rg_json_whole(json, "layer", l);
    rg_json_text(json, "kind", kind);
    for (size_t i = 0; i < RG_COUNT(columns); i++) {
        double value = *column_of(&batch->layers[l], i);
        if (!columns[i].may_lack || isfinite(value))
            rg_json_real(json, columns[i].key, value);
    }
    rg_json_close(json);
}

void rg_measured_save(const struct rg_measured *m, const struct rg_network *network, FILE *stream)
{
    struct rg_json json = {.stream = stream};
    rg_json_object(&json, NULL, false);
    rg_json_text(&json, "schema", RG_MEASURED_SCHEMA);
    rg_json_text(&json, "network", m->network);
    rg_json_text(&json, "network_sha256", m->network_digest);
    rg_json_text(&json, "board", m->board);
    rg_json_text(&json, "program", m->program);
    rg_json_whole(&json, "threads", m->threads);
    rg_json_whole(&json, "copies", m->copies);
    rg_json_text(&json, "optimizer", m->optimizer);
    rg_json_array(&json, "steps", false);
    for (int b = 0; b < m->batch_count; b++) {
        rg_json_object(&json, NULL, true);
        rg_json_whole(&json, "batch", m->batches[b].samples);
        rg_json_real(&json, "fixed_s", m->batches[b].fixed_s);
        rg_json_real(&json, "loss_s", m->batches[b].loss_s);
        rg_json_real(&json, "spread", m->batches[b].spread);
        rg_json_close(&json);
    }
    rg_json_close(&json);
    rg_json_array(&json, "layers", false);
    for (int b = 0; b < m->batch_count; b++)
        for (int l = 0; l < m->layer_count; l++)
            save_layer(&json, &m->batches[b], l, network->layers[l].spec.ops->name);
    rg_json_close(&json);
    rg_json_close(&json);
}

/* ---- reading ---- */

struct reader {
    const char *file;
    char where[80]; /* "layers[3]: ", or nothing */
    struct rg_error *e;
    int err;
};

static void complain(struct reader *r, const char *key, const char *what)
{
    if (r->err == 0)
        r->err = rg_fail_at(r->e, r->file, 0, "%s\"%s\" %s", r->where, key, what);
}

static double seconds_of(struct reader *r, const json_t *object, const char *key, bool may_lack)
{
    const json_t *value = json_object_get(object, key);
    double number = json_number_value(value);
    char what[100];
    if (may_lack && (!value || json_is_null(value)))
        return NAN;
    if (!value)
        complain(r, key, "is missing: a number from 0 to 1e6 is wanted");
    else if (!json_is_number(value))
        complain(r, key, "is no number: 0 to 1e6 are allowed");
    else if (!(number >= 0 && number <= MOST_S)) {
        snprintf(what, sizeof what, "is %.6g: 0 to 1e6 are allowed", number);
        complain(r, key, what);
    }
    return number;
}

static int whole_of(struct reader *r, const json_t *object, const char *key, int least, int most)
{
    const json_t *value = json_object_get(object, key);
    char what[100];
    if (json_is_integer(value) && json_integer_value(value) >= least &&
        json_integer_value(value) <= most)
        return (int)json_integer_value(value);
    snprintf(what, sizeof what, "%s: a whole number from %d to %d is wanted",
             value ? "is something else" : "is missing", least, most);
    complain(r, key, what);
    return least;
}

static void text_of(struct reader *r, const json_t *object, const char *key, char *text,
                    size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (!value || strlen(value) >= size) {
        char what[80];
        snprintf(what, sizeof what, "%s: a text of up to %zu bytes is wanted",
                 value ? "is longer" : "is missing", size - 1);
        complain(r, key, what);
        return;
    }
    snprintf(text, size, "%s", value);
    rg_one_line(text);
}

static const json_t *rows_of(struct reader *r, const json_t *root, const char *key)
{
    const json_t *rows = json_object_get(root, key);
    size_t count = json_array_size(rows);
    if (!json_is_array(rows) || count < 1 || count > MOST_ROWS) {
        complain(r, key, "is no list of 1 to 1048576 rows");
        return NULL;
    }
    return rows;
}

static void enter(struct reader *r, const char *list, size_t row)
{
    if (r->err == 0)
        snprintf(r->where, sizeof r->where, "%s[%zu]: ", list, row);
}

static int compare(const void *a, const void *b)
{
    int p = *(const int *)a, q = *(const int *)b;
    return (p > q) - (p < q);
}

static struct rg_measured_batch *batch_of(const struct rg_measured *m, int samples)
{
    for (int b = 0; b < m->batch_count; b++)
        if (m->batches[b].samples == samples)
            return &m->batches[b];
    return NULL;
}

static void read_steps(struct reader *r, const json_t *rows, const struct rg_network *network,
                       struct rg_measured *m)
{
    size_t i, count = json_array_size(rows);
    const json_t *row;
    int *sizes = calloc(count + 1, sizeof *sizes);
    if (!sizes)
        r->err = rg_fail(r->e, RG_ERR_NOMEM, "out of memory");
    json_array_foreach(rows, i, row)
    {
        enter(r, "steps", i);
        int samples = whole_of(r, row, "batch", 1, MOST_BATCH);
        for (size_t k = 0; k < i && r->err == 0; k++)
            if (sizes[k] == samples)
                complain(r, "batch", "is one that an earlier row has: each is allowed once");
        if (r->err == 0)
            sizes[i] = samples;
    }
    if (r->err == 0) {
        qsort(sizes, count, sizeof *sizes, compare);
        if (!rg_measured_make(m, network, sizes, (int)count))
            r->err = rg_fail(r->e, RG_ERR_NOMEM, "out of memory");
    }
    json_array_foreach(rows, i, row)
    {
        enter(r, "steps", i);
        struct rg_measured_batch *batch =
            r->err ? NULL : batch_of(m, (int)json_integer_value(json_object_get(row, "batch")));
        if (batch) {
            batch->fixed_s = seconds_of(r, row, "fixed_s", false);
            batch->loss_s = seconds_of(r, row, "loss_s", false);
            batch->spread = seconds_of(r, row, "spread", true);
        }
    }
    free(sizes);
}

/* forward_s of a layer is -1 until its row comes. */
static void read_layer(struct reader *r, const json_t *row, struct rg_measured *m)
{
    int samples = whole_of(r, row, "batch", 1, MOST_BATCH);
    int l = whole_of(r, row, "layer", 0, m->layer_count - 1);
    struct rg_measured_batch *batch = batch_of(m, samples);
    if (!batch)
        complain(r, "batch", "is none that \"steps\" has");
    if (r->err == 0 && batch->layers[l].forward_s >= 0)
        complain(r, "layer", "is one that an earlier row has with this batch: once is allowed");
    for (size_t i = 0; i < RG_COUNT(columns) && r->err == 0; i++)
        *column_of(&batch->layers[l], i) = seconds_of(r, row, columns[i].key, columns[i].may_lack);
}

static void read_layers(struct reader *r, const json_t *rows, struct rg_measured *m)
{
    size_t i;
    const json_t *row;
    for (int b = 0; b < m->batch_count; b++)
        for (int l = 0; l < m->layer_count; l++)
            m->batches[b].layers[l].forward_s = -1;
    json_array_foreach(rows, i, row)
    {
        enter(r, "layers", i);
        if (r->err == 0)
            read_layer(r, row, m);
    }
    r->where[0] = r->err ? r->where[0] : '\0';
    for (int b = 0; b < m->batch_count && r->err == 0; b++)
        for (int l = 0; l < m->layer_count && r->err == 0; l++)
            if (m->batches[b].layers[l].forward_s < 0)
                r->err = rg_fail_at(r->e, r->file, 0,
                                    "\"layers\" has no row of batch %d, layer %d: every batch of "
                                    "\"steps\" wants layers 0 to %d",
                                    m->batches[b].samples, l, m->layer_count - 1);
}

/* Whose seconds they are: those of a network are of no use to another. */
static void check_network(struct reader *r, const struct rg_measured *m,
                          const struct rg_network *network)
{
    char digest[RG_DIGEST_TEXT];
    if (r->err == 0 && rg_digest_file(network->file, digest) < 0)
        r->err = rg_fail(r->e, RG_ERR_IO, "%s: cannot be read", network->file);
    if (r->err == 0 && strcmp(digest, m->network_digest) != 0)
        r->err = rg_fail_at(r->e, r->file, 0,
                            "a profile of another network: of %s, whose file's SHA-256 began with "
                            "%.12s; %s begins with %.12s (ringcal --network %s --batches ... "
                            "measures that)",
                            m->network, m->network_digest, network->file, digest, network->file);
}

static void read_all(struct reader *r, const json_t *root, const struct rg_network *network,
                     struct rg_measured *m)
{
    char schema[40] = "";
    text_of(r, root, "schema", schema, sizeof schema);
    if (strcmp(schema, RG_MEASURED_SCHEMA) != 0)
        complain(r, "schema", "is another: \"" RG_MEASURED_SCHEMA "\" is wanted");
    text_of(r, root, "network", m->network, sizeof m->network);
    text_of(r, root, "network_sha256", m->network_digest, sizeof m->network_digest);
    check_network(r, m, network);
    text_of(r, root, "board", m->board, sizeof m->board);
    text_of(r, root, "program", m->program, sizeof m->program);
    text_of(r, root, "optimizer", m->optimizer, sizeof m->optimizer);
    m->threads = whole_of(r, root, "threads", 1, 1024);
    m->copies = whole_of(r, root, "copies", 1, 1024);
    const json_t *steps = rows_of(r, root, "steps"), *layers = rows_of(r, root, "layers");
    if (r->err == 0)
        read_steps(r, steps, network, m);
    if (r->err == 0)
        read_layers(r, layers, m);
}

int rg_measured_load(const char *file, const struct rg_network *network, struct rg_measured *m,
                     struct rg_error *e)
{
    json_error_t why;
    struct reader r = {.file = file, .e = e};
    struct stat status;
    *m = (struct rg_measured){0};
    if (stat(file, &status) == 0 && !S_ISREG(status.st_mode))
        return rg_fail_at(e, file, 0, "a plain file is wanted");
    FILE *stream = fopen(file, "r");
    if (!stream)
        return rg_fail_at(e, file, 0, "cannot be read: %s: a profile is wanted", strerror(errno));
    json_t *root = json_loadf(stream, JSON_REJECT_DUPLICATES, &why);
    fclose(stream);
    if (!root)
        return rg_fail_at(e, file, RG_MAX(why.line, 0), "no profile: %s", why.text);
    read_all(&r, root, network, m);
    json_decref(root);
    m->file = r.err ? NULL : strdup(file);
    if (r.err == 0 && !m->file)
        r.err = rg_fail(e, RG_ERR_NOMEM, "out of memory");
    if (r.err)
        rg_measured_free(m);
    return r.err;
}
