#include "models/own_rows.h"

#include "base/check.h"
#include "models/array.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rg_own_rows {
    struct rg_array_file file;
    struct rg_shape input;
    const struct rg_row_scale *scale;
    int tokens;
    bool channels_last;
    int64_t next; /* row */
    unsigned char *row;
};

/* "1 x 28 x 28" without sizes of 1: into sizes, how many of them. */
static int squeeze(const uint64_t *size, int count, uint64_t *sizes)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (size[i] != 1)
            sizes[kept++] = size[i];
    return kept;
}

static bool are_alike(const struct rg_array_file *file, const uint64_t shape[3])
{
    uint64_t rows[RG_ARRAY_DIMENSIONS], wanted[3];
    int a = squeeze(file->size + 1, file->dimensions - 1, rows), b = squeeze(shape, 3, wanted);
    return a == b && memcmp(rows, wanted, (size_t)a * sizeof *rows) == 0;
}

static int check_shape(struct rg_own_rows *r, struct rg_error *e)
{
    const struct rg_shape in = r->input;
    const uint64_t c = (uint64_t)in.channels, h = (uint64_t)in.height, w = (uint64_t)in.width;
    bool flat = r->file.dimensions == 2 && r->file.size[1] == c * h * w;
    char text[160];
    if (flat || are_alike(&r->file, (const uint64_t[]){c, h, w}))
        return 0;
    r->channels_last = are_alike(&r->file, (const uint64_t[]){h, w, c});
    if (r->channels_last)
        return 0;
    return rg_fail_at(e, r->file.path, 0,
                      "%s: the network's inputs are %d x %d x %d, rows x %d x %d x %d or rows x "
                      "%" PRIu64 " are allowed",
                      rg_array_describe(&r->file, text, sizeof text), in.channels, in.height,
                      in.width, in.channels, in.height, in.width, c * h * w);
}

/* Opened, and its header read. */
static int begin(struct rg_own_rows *r, const char *path, struct rg_error *e)
{
    rg_array_shut(&r->file);
    r->next = 0;
    return rg_npy_open(&r->file, path, e);
}

/* Where value i of a row, as the file has it, goes. */
static size_t place_of(const struct rg_own_rows *r, size_t i)
{
    size_t channels = (size_t)r->input.channels;
    size_t pixels = (size_t)r->input.height * (size_t)r->input.width;
    return r->channels_last ? i % channels * pixels + i / channels : i;
}

static int fail_value(const struct rg_own_rows *r, size_t i, double value, struct rg_error *e)
{
    if (r->tokens > 0)
        return rg_fail_at(e, r->file.path, 0,
                          "row %" PRId64 ", value %zu: %g is no token: 0 to %d are allowed",
                          r->next, i, value, r->tokens - 1);
    return rg_fail_at(e, r->file.path, 0,
                      "row %" PRId64 ", value %zu: %g is not finite in single precision", r->next,
                      i, value);
}

/* As training did it: in single precision up to the mean, see data_scale.c. */
static int take_row(struct rg_own_rows *r, float *x, struct rg_error *e)
{
    const struct rg_row_scale *s = r->scale;
    int err = rg_array_bytes(&r->file, r->row, r->file.row, "its values", e);
    for (size_t i = 0; i < r->file.values && err == 0; i++) {
        size_t to = place_of(r, i);
        double value = rg_array_value(&r->file, r->row, i);
        float v = (float)value;
        bool missing = isnan(v) && s->mean;
        if (s->divisor > 0)
            v /= (float)s->divisor;
        if (s->mean)
            v = missing ? 0 : (float)((v - s->mean[to]) * (1 / s->deviation[to]));
        bool token = r->tokens == 0 || (v >= 0 && v < (float)r->tokens && v == floorf(v));
        if (!isfinite(v) || !token)
            err = fail_value(r, i, value, e);
        x[to] = v;
    }
    r->next++;
    return err;
}

static int look_through(struct rg_own_rows *r, struct rg_error *e)
{
    float *x = malloc(r->file.values * sizeof *x);
    int err = x ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", r->file.path);
    while (err == 0 && r->next < rg_own_rows_count(r))
        err = take_row(r, x, e);
    free(x);
    return err ? err : rg_array_check_end(&r->file, e);
}

int rg_own_rows_open(const char *path, struct rg_shape input, int tokens,
                     const struct rg_row_scale *scale, struct rg_own_rows **rows,
                     struct rg_error *e)
{
    struct rg_own_rows *r = calloc(1, sizeof *r);
    *rows = NULL;
    if (!r)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    *r = (struct rg_own_rows){.input = input, .scale = scale, .tokens = tokens};
    int err = begin(r, path, e);
    if (err == 0)
        err = check_shape(r, e);
    if (err == 0 && !(r->row = malloc(r->file.row)))
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    if (err == 0)
        err = look_through(r, e);
    if (err == 0)
        err = begin(r, path, e);
    if (err) {
        rg_own_rows_close(r);
        return err;
    }
    *rows = r;
    return 0;
}

int64_t rg_own_rows_count(const struct rg_own_rows *rows)
{
    return (int64_t)rows->file.size[0];
}

int rg_own_rows_read(struct rg_own_rows *r, int n, float *x, struct rg_error *e)
{
    int err = 0;
    RG_ASSERT(n <= rg_own_rows_count(r) - r->next);
    for (int i = 0; i < n && err == 0; i++)
        err = take_row(r, x + (size_t)i * r->file.values, e);
    return err;
}

void rg_own_rows_close(struct rg_own_rows *r)
{
    if (!r)
        return;
    rg_array_shut(&r->file);
    free(r->row);
    free(r);
}

void rg_npy_head(FILE *stream, int64_t rows, struct rg_shape shape)
{
    enum { BEFORE = 10, ALIGN = 64 }; /* numpy.lib.format, version 1.0 */
    char text[160];
    int n = snprintf(text, sizeof text,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %d", rows,
                     shape.channels);
    if (shape.height > 1 || shape.width > 1)
        n += snprintf(text + n, sizeof text - (size_t)n, ", %d", shape.height);
    if (shape.width > 1)
        n += snprintf(text + n, sizeof text - (size_t)n, ", %d", shape.width);
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    int length = (BEFORE + n + 1 + ALIGN - 1) / ALIGN * ALIGN - BEFORE;
    fwrite("\x93NUMPY\x01", 1, 7, stream);
    fprintf(stream, "%c%c%c%-*s\n", 0, length & 255, length >> 8, length - 1, text);
}
