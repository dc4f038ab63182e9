/* safetensors, read and written as its specification says (huggingface/safetensors, README).
 *
 * Happy path: the header is made from a list of tensors, values follow; reading checks the whole
 * header before a value. Failure modes handled, each naming the file and, where there is one, the
 * tensor: not a safetensors file, truncated or longer than its header says, offsets that leave
 * holes or overlap, tensors that are missing, strange, or of another type or shape, values that are
 * not finite. */
#include "result/safetensors.h"

#include "base/bytes.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_HEADER = 100000000 }; /* the format's own bound */

/* ---- lists ---- */

static struct rg_tensor_entry *add(struct rg_tensors *list)
{
    struct rg_tensor_entry *more =
        realloc(list->items, ((size_t)list->count + 1) * sizeof *list->items);
    if (!more)
        return NULL;
    list->items = more;
    more[list->count] = (struct rg_tensor_entry){.first = list->floats};
    return &more[list->count++];
}

int rg_tensors_add(struct rg_tensors *list, const char *name, size_t count)
{
    struct rg_tensor_entry *entry = add(list);
    if (!entry)
        return RG_ERR_NOMEM;
    rg_copy_text(entry->name, sizeof entry->name, name);
    entry->rank = 1;
    entry->size[0] = (int64_t)count;
    entry->count = count;
    list->floats += count;
    return 0;
}

struct adding {
    struct rg_tensors *list;
    const char *of;
    size_t base;
    int err;
};

static void add_tensor(const struct rg_tensor *tensor, void *context)
{
    struct adding *a = context;
    struct rg_tensor_entry *entry = add(a->list);
    if (!entry) {
        a->err = RG_ERR_NOMEM;
        return;
    }
    snprintf(entry->name, sizeof entry->name, "%s%s%s", tensor->name, a->of ? "/" : "",
             a->of ? a->of : "");
    entry->rank = tensor->rank;
    for (int i = 0; i < tensor->rank; i++)
        entry->size[i] = tensor->size[i];
    entry->first = a->base + tensor->offset;
    entry->count = tensor->count;
    a->list->floats += tensor->count;
}

int rg_tensors_add_network(struct rg_tensors *list, const struct rg_network *network,
                           const char *of)
{
    struct adding a = {list, of, list->floats, 0};
    for (int i = 0; i < network->layer_count; i++)
        rg_layer_tensors(&network->layers[i], add_tensor, &a);
    return a.err;
}

void rg_tensors_free(struct rg_tensors *list)
{
    free(list->items);
    *list = (struct rg_tensors){0};
}

/* ---- writing ---- */

static void write_entry(struct rg_json *j, const struct rg_tensor_entry *entry)
{
    rg_json_object(j, entry->name, true);
    rg_json_text(j, "dtype", "F32");
    rg_json_array(j, "shape", true);
    for (int k = 0; k < entry->rank; k++)
        rg_json_whole(j, NULL, entry->size[k]);
    rg_json_close(j);
    rg_json_array(j, "data_offsets", true);
    rg_json_count(j, NULL, sizeof(float) * entry->first);
    rg_json_count(j, NULL, sizeof(float) * (entry->first + entry->count));
    rg_json_close(j);
    rg_json_close(j);
}

static int header_text(const struct rg_tensors *list, int (*metadata)(struct rg_json *, void *),
                       void *arg, char **text, size_t *length)
{
    FILE *stream = open_memstream(text, length);
    if (!stream)
        return RG_ERR_NOMEM;
    struct rg_json j = {.stream = stream};
    rg_json_object(&j, NULL, true);
    rg_json_object(&j, "__metadata__", true);
    int err = metadata(&j, arg);
    rg_json_close(&j);
    for (int i = 0; i < list->count; i++)
        write_entry(&j, &list->items[i]);
    rg_json_close(&j);
    return fclose(stream) != 0 ? RG_ERR_NOMEM : err;
}

int rg_tensors_write_header(FILE *stream, const struct rg_tensors *list,
                            int (*metadata)(struct rg_json *j, void *arg), void *arg)
{
    char *text = NULL;
    size_t length = 0;
    int err = header_text(list, metadata, arg, &text, &length);
    while (length > 0 && text[length - 1] == '\n')
        length--;
    size_t padded = (length + 7) / 8 * 8; /* so that the data is aligned */
    unsigned char size[8];
    rg_put_u64(size, padded);
    if (err == 0) {
        fwrite(size, 1, sizeof size, stream);
        fwrite(text, 1, length, stream);
        for (size_t i = length; i < padded; i++)
            putc(' ', stream);
    }
    free(text);
    return err;
}

/* ---- reading ---- */

int rg_tensor_file_complain(struct rg_tensor_file *c, const char *format, ...)
{
    char text[sizeof c->e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rg_fail_at(c->e, c->path, 0, "%s", text);
    if (c->e)
        rg_one_line(c->e->text);
    return RG_ERR_INVALID;
}

static int read_header(struct rg_tensor_file *c)
{
    unsigned char size[8];
    struct stat status;
    json_error_t error;
    if (fstat(fileno(c->stream), &status) != 0 || !S_ISREG(status.st_mode))
        return rg_tensor_file_complain(c, "a plain file is wanted");
    uint64_t bytes = (uint64_t)status.st_size;
    if (bytes < 8 || fread(size, 1, sizeof size, c->stream) != sizeof size)
        return rg_tensor_file_complain(c, "truncated: a safetensors file begins with 8 bytes");
    uint64_t length = rg_get_u64(size);
    if (length > MAX_HEADER || length < 2 || length > bytes - 8)
        return rg_tensor_file_complain(c,
                                       "header of %" PRIu64 " bytes: 2 to %" PRIu64
                                       " are allowed (truncated, or no safetensors file)",
                                       length, RG_MIN(bytes - 8, (uint64_t)MAX_HEADER));
    char *text = malloc(length);
    if (!text)
        return rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
    int err = 0;
    if (fread(text, 1, length, c->stream) != length)
        err = rg_tensor_file_complain(c, "cannot be read: %s", strerror(errno));
    else if (text[0] != '{')
        err = rg_tensor_file_complain(c, "the header does not begin with '{': no safetensors file");
    else if (!(c->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error)))
        err = rg_tensor_file_complain(c, "the header is no JSON: %.200s (at byte %d)", error.text,
                                      error.position);
    free(text);
    c->data_at = 8 + length;
    c->data_bytes = bytes - c->data_at;
    return err;
}

static bool has_shape(const json_t *shape, const struct rg_tensor_entry *entry)
{
    if (!json_is_array(shape) || json_array_size(shape) != (size_t)entry->rank)
        return false;
    for (int i = 0; i < entry->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) != entry->size[i])
            return false;
    }
    return true;
}

/* "[128, 784]" */
static const char *shape_text(const struct rg_tensor_entry *entry, char out[64])
{
    int used = snprintf(out, 64, "[");
    for (int i = 0; i < entry->rank; i++)
        used +=
            snprintf(out + used, 64 - (size_t)used, "%s%" PRId64, i ? ", " : "", entry->size[i]);
    snprintf(out + used, 64 - (size_t)used, "]");
    return out;
}

static int check_entry(struct rg_tensor_file *c, struct rg_tensor_entry *entry)
{
    const json_t *tensor = json_object_get(c->header, entry->name);
    char shape[64];
    if (!json_is_object(tensor))
        return rg_tensor_file_complain(c, "tensor \"%s\" is missing: it is needed, F32 of shape %s",
                                       entry->name, shape_text(entry, shape));
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    if (!dtype || strcmp(dtype, "F32") != 0)
        return rg_tensor_file_complain(c, "tensor \"%s\" has the type %.20s: F32 is allowed",
                                       entry->name, dtype ? dtype : "(none)");
    if (!has_shape(json_object_get(tensor, "shape"), entry))
        return rg_tensor_file_complain(
            c, "tensor \"%s\" has another shape than the network's: %s is allowed", entry->name,
            shape_text(entry, shape));
    const json_t *offsets = json_object_get(tensor, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return rg_tensor_file_complain(c, "tensor \"%s\": data_offsets must be two rising numbers",
                                       entry->name);
    entry->begin = (uint64_t)json_integer_value(begin);
    entry->end = (uint64_t)json_integer_value(end);
    if (entry->end > c->data_bytes)
        return rg_tensor_file_complain(c,
                                       "tensor \"%s\" ends at byte %" PRIu64 " of %" PRIu64
                                       " bytes of data: the file is truncated",
                                       entry->name, entry->end, c->data_bytes);
    if (entry->end - entry->begin != sizeof(float) * (uint64_t)entry->count)
        return rg_tensor_file_complain(
            c, "tensor \"%s\" takes %" PRIu64 " bytes: %zu are allowed for its shape", entry->name,
            entry->end - entry->begin, sizeof(float) * entry->count);
    return 0;
}

static int compare_places(const void *a, const void *b)
{
    const struct rg_tensor_entry *p = a, *q = b;
    if (p->begin != q->begin)
        return p->begin < q->begin ? -1 : 1;
    return p->end < q->end ? -1 : p->end > q->end;
}

/* The format allows neither holes nor overlaps; sorts the list by place in the file. */
static int check_places(struct rg_tensor_file *c, struct rg_tensors *list)
{
    uint64_t at = 0;
    qsort(list->items, (size_t)list->count, sizeof *list->items, compare_places);
    for (int i = 0; i < list->count; i++) {
        const struct rg_tensor_entry *entry = &list->items[i];
        if (entry->begin != at)
            return rg_tensor_file_complain(
                c, "tensor \"%s\" begins at byte %" PRIu64 ": %" PRIu64 " is allowed (%s)",
                entry->name, entry->begin, at,
                entry->begin < at ? "it overlaps the one before" : "there is a hole");
        at = entry->end;
    }
    if (at != c->data_bytes)
        return rg_tensor_file_complain(
            c, "%" PRIu64 " bytes of data, the tensors take %" PRIu64 ": nothing else is allowed",
            c->data_bytes, at);
    return 0;
}

static int check_header(struct rg_tensor_file *c, struct rg_tensors *list)
{
    const char *name;
    json_t *value;
    int err = 0;
    if (!json_is_object(c->header))
        return rg_tensor_file_complain(c, "the header is no JSON object");
    for (int i = 0; i < list->count && err == 0; i++)
        err = check_entry(c, &list->items[i]);
    if (err)
        return err;
    size_t extra = json_object_get(c->header, "__metadata__") ? 1 : 0;
    if (json_object_size(c->header) != (size_t)list->count + extra) {
        json_object_foreach(c->header, name, value)
        {
            bool known = strcmp(name, "__metadata__") == 0;
            for (int i = 0; i < list->count && !known; i++)
                known = strcmp(list->items[i].name, name) == 0;
            if (!known)
                return rg_tensor_file_complain(c, "tensor \"%.60s\" is none of the network's",
                                               name);
        }
    }
    return check_places(c, list);
}

static int read_tensor(struct rg_tensor_file *c, const struct rg_tensor_entry *entry, float *values)
{
    unsigned char block[4096];
    for (size_t done = 0; done < entry->count;) {
        size_t some = RG_MIN(entry->count - done, sizeof block / 4);
        if (fread(block, 4, some, c->stream) != some)
            return rg_tensor_file_complain(c, "tensor \"%s\" cannot be read: %s", entry->name,
                                           ferror(c->stream) ? strerror(errno)
                                                             : "the file is truncated");
        for (size_t i = 0; i < some; i++) {
            values[done + i] = rg_float_of(rg_get_u32(block + 4 * i));
            if (!isfinite(values[done + i]))
                return rg_tensor_file_complain(c, "tensor \"%s\": value %zu is not finite",
                                               entry->name, done + i);
        }
        done += some;
    }
    return 0;
}

int rg_tensor_file_open(struct rg_tensor_file *c, const char *path, int flags, struct rg_error *e)
{
    *c = (struct rg_tensor_file){.path = path, .e = e};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags); /* a pipe is not waited for */
    c->stream = fd >= 0 ? fdopen(fd, "rb") : NULL;
    if (c->stream)
        return 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    return rg_tensor_file_complain(c, "cannot be read: %s", strerror(error));
}

void rg_tensor_file_close(struct rg_tensor_file *c)
{
    json_decref(c->header);
    if (c->stream)
        fclose(c->stream);
}

int rg_tensor_file_header(struct rg_tensor_file *c, struct rg_tensors *list)
{
    int err = read_header(c);
    return err || !list ? err : check_header(c, list);
}

const json_t *rg_tensor_file_metadata(const struct rg_tensor_file *c, const char *key)
{
    return json_object_get(json_object_get(c->header, "__metadata__"), key);
}

int rg_tensor_file_values(struct rg_tensor_file *c, const struct rg_tensors *list, float **values)
{
    int err = 0;
    *values = malloc(list->floats * sizeof **values + 1);
    if (!*values)
        return rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
    for (int i = 0; i < list->count && err == 0; i++) /* sorted by place: one pass */
        err = read_tensor(c, &list->items[i], *values + list->items[i].first);
    if (err) {
        free(*values);
        *values = NULL;
    }
    return err;
}
