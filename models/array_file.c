/* Files of arrays: opening, sizes, lengths, values. See array.h, and array_data.c for what can be
 * wrong with them. */
#include "models/array.h"

#include "base/check.h"
#include "models/layers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *name;
    size_t bytes;
} types[RG_ARRAY_TYPES] = {
    [RG_ARRAY_U8] = {"bytes", 1},
    [RG_ARRAY_I8] = {"signed bytes", 1},
    [RG_ARRAY_U16] = {"unsigned 16-bit integers", 2},
    [RG_ARRAY_I16] = {"16-bit integers", 2},
    [RG_ARRAY_U32] = {"unsigned 32-bit integers", 4},
    [RG_ARRAY_I32] = {"32-bit integers", 4},
    [RG_ARRAY_U64] = {"unsigned 64-bit integers", 8},
    [RG_ARRAY_I64] = {"64-bit integers", 8},
    [RG_ARRAY_F32] = {"32-bit floats", 4},
    [RG_ARRAY_F64] = {"64-bit floats", 8},
};

bool rg_array_is_float(enum rg_array_type type)
{
    return type == RG_ARRAY_F32 || type == RG_ARRAY_F64;
}

/* Read exactly `bytes`; `what` they belong to, for the message. */
int rg_array_bytes(struct rg_array_file *file, void *buffer, size_t bytes, const char *what,
                   struct rg_error *e)
{
    int got = gzread(file->stream, buffer, (unsigned)bytes), code;
    const char *reason = gzerror(file->stream, &code);
    if (got == (int)bytes)
        return 0;
    if (got >= 0 && (code == Z_OK || code == Z_BUF_ERROR))
        return rg_fail_at(e, file->path, 0, "truncated: it ends after %lld bytes, inside %s",
                          (long long)gztell(file->stream), what);
    return rg_fail_at(e, file->path, 0, "cannot be read: %s",
                      code == Z_ERRNO ? strerror(errno) : reason);
}

/* "32-bit integers of 8 x 28" */
const char *rg_array_describe(const struct rg_array_file *file, char *text, size_t size)
{
    int used = snprintf(text, size, "%s in %d dimension%s,", types[file->type].name,
                        file->dimensions, file->dimensions == 1 ? "" : "s");
    for (int i = 0; i < file->dimensions; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%llu", i > 0 ? " x " : " ",
                         (unsigned long long)file->size[i]);
    return text;
}

/* Fill values and row; are sizes such as can be read? */
static int check_sizes(struct rg_array_file *file, struct rg_error *e)
{
    char text[160];
    file->values = 1;
    for (int i = 0; i < file->dimensions; i++) {
        uint64_t size = file->size[i], most = i == 0 ? INT_MAX : RG_MAX_WIDTH / file->values;
        if (size < 1 || size > most) {
            file->dimensions = i + 1;
            return rg_fail_at(e, file->path, 0,
                              "its header says %s: 1 to %d samples of 1 to %d values are allowed",
                              rg_array_describe(file, text, sizeof text), INT_MAX, RG_MAX_WIDTH);
        }
        file->values *= i > 0 ? (size_t)size : 1;
    }
    file->row = file->values * types[file->type].bytes;
    return 0;
}

/* Open and read the header; the stream stands at the first sample. */
int rg_array_open(struct rg_array_file *file, const struct rg_array_format *format,
                  const struct rg_data_spec *spec, const char *path, struct rg_error *e)
{
    *file = (struct rg_array_file){.path = path};
    if (!path)
        return rg_data_fail(spec, e, "data of kind %s needs a file of %s and one of labels",
                            format->kind, format->noun);
    errno = 0;
    file->stream = gzopen(path, "rb");
    if (!file->stream)
        return rg_data_fail(spec, e, "cannot read %s: %s", path,
                            errno ? strerror(errno) : "out of memory");
    gzbuffer(file->stream, RG_ARRAY_BLOCK / 2);
    int err = format->read_header(file, e);
    return err ? err : check_sizes(file, e);
}

void rg_array_shut(struct rg_array_file *file)
{
    if (file->stream)
        gzclose(file->stream);
    file->stream = NULL;
}

/* Past the last sample: nothing may follow. */
int rg_array_check_end(struct rg_array_file *file, struct rg_error *e)
{
    char more, text[120];
    int n = gzread(file->stream, &more, 1), error = 0;
    const char *why = gzerror(file->stream, &error);
    if (n < 0 || (error != Z_OK && error != Z_STREAM_END))
        return rg_fail_at(e, file->path, 0, "its end is damaged: %s; a whole file is needed", why);
    if (n == 0)
        return 0;
    return rg_fail_at(e, file->path, 0, "longer than its header says: %s",
                      rg_array_describe(file, text, sizeof text));
}

/* The bytes of a plain file; false: it is none, or compressed. */
static bool plain_size(const struct rg_array_file *file, uint64_t *size)
{
    struct stat status;
    bool plain =
        gzdirect(file->stream) && stat(file->path, &status) == 0 && S_ISREG(status.st_mode);
    *size = plain ? (uint64_t)status.st_size : 0;
    return plain;
}

bool rg_array_is_plain(const struct rg_array_file *file)
{
    uint64_t size;
    return plain_size(file, &size);
}

int rg_array_check_length(struct rg_array_file *file, const char *what, struct rg_error *e)
{
    static _Thread_local char block[RG_ARRAY_BLOCK];
    uint64_t left = (uint64_t)file->size[0] * file->row, size;
    if (plain_size(file, &size) && size == left + file->header)
        return 0;
    while (left > 0) {
        size_t some = (size_t)RG_MIN(left, sizeof block);
        int err = rg_array_bytes(file, block, some, what, e);
        if (err < 0)
            return err;
        left -= some;
    }
    return rg_array_check_end(file, e);
}

/* Value i of a row, whatever its type. Whole numbers beyond 2^53 are rounded. */
double rg_array_value(const struct rg_array_file *file, const unsigned char *row, size_t i)
{
    size_t bytes = types[file->type].bytes;
    const unsigned char *p = row + i * bytes;
    uint64_t bits = 0;
    for (size_t k = 0; k < bytes; k++)
        bits = bits << 8 | p[file->little ? bytes - 1 - k : k];
    union {
        uint32_t bits;
        float value;
    } single = {(uint32_t)bits};
    union {
        uint64_t bits;
        double value;
    } full = {bits};
    switch (file->type) {
    case RG_ARRAY_I8:
        return (int8_t)bits;
    case RG_ARRAY_I16:
        return (int16_t)bits;
    case RG_ARRAY_I32:
        return (int32_t)bits;
    case RG_ARRAY_I64:
        return (double)(int64_t)bits;
    case RG_ARRAY_F32:
        return single.value;
    case RG_ARRAY_F64:
        return full.value;
    default:
        return (double)bits;
    }
}
