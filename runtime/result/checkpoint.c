/* safetensors, read and written as its specification says (huggingface/safetensors, README).
 *
 * Happy path: the header is made from the network, values follow as they are visited; reading
 * checks the whole header before a value. Failure modes handled, each naming the file and, where
 * there is one, the tensor: not a safetensors file, truncated or longer than its header says,
 * offsets that leave holes or overlap, tensors that are missing, strange, or of another type or
 * shape, values that are not finite, metadata of other inputs or classes than the data's. */
#include "result/checkpoint.h"

#include "base/bytes.h"
#include "base/check.h"
#include "result/json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_HEADER = 100000000 }; /* the format's own bound */

/* A tensor of the network and, when reading, where the file has it. */
struct entry {
    char name[sizeof((struct rg_tensor *)0)->name]; /* "LAYER.NAME" */
    int rank, size[4];
    size_t first, count; /* in the network's vector, floats */
    uint64_t begin, end; /* in the file's data, bytes */
};

struct entries {
    struct entry *items;
    int count;
};

static void count_tensor(const struct rg_tensor *tensor, void *context)
{
    (void)tensor;
    ++*(int *)context;
}

static void add_tensor(const struct rg_tensor *tensor, void *context)
{
    struct entries *list = context;
    struct entry *entry = &list->items[list->count++];
    memcpy(entry->name, tensor->name, sizeof entry->name);
    entry->rank = tensor->rank;
    memcpy(entry->size, tensor->size, sizeof entry->size);
    entry->first = tensor->offset;
    entry->count = tensor->count;
}

/* Every tensor, in the order of the network's vector. */
static int list_tensors(const struct rg_network *network, struct entries *list)
{
    int count = 0;
    for (int i = 0; i < network->layer_count; i++)
        rg_layer_tensors(&network->layers[i], count_tensor, &count);
    *list = (struct entries){.items = calloc((size_t)count + 1, sizeof *list->items)};
    if (!list->items)
        return RG_ERR_NOMEM;
    for (int i = 0; i < network->layer_count; i++)
        rg_layer_tensors(&network->layers[i], add_tensor, list);
    return 0;
}

/* Metadata of this format are texts. */
static int write_numbers(struct rg_json *j, const char *key, const double *values, size_t count)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return RG_ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "%s%.17g", i ? "," : "", values[i]);
    if (fclose(stream) == 0)
        rg_json_text(j, key, text);
    free(text);
    return 0;
}

/* A line an input, empty for one without a name. */
static int write_inputs(struct rg_json *j, const struct rg_dataset *data)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return RG_ERR_NOMEM;
    for (size_t i = 0; i < data->inputs; i++)
        fprintf(stream, "%s%s", i ? "\n" : "", data->input_names[i] ? data->input_names[i] : "");
    if (fclose(stream) == 0)
        rg_json_text(j, "input_names", text);
    free(text);
    return 0;
}

/* A line a class, where they have names of their own. */
static int write_classes(struct rg_json *j, const struct rg_dataset *data)
{
    char *text = NULL, number[16];
    size_t length = 0;
    bool own = false;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return RG_ERR_NOMEM;
    for (int c = 0; c < data->classes; c++) {
        const char *name = data->class_names[c] ? data->class_names[c] : "";
        snprintf(number, sizeof number, "%d", c);
        own = own || (name[0] && strcmp(name, number) != 0);
        fprintf(stream, "%s%s", c ? "\n" : "", name);
    }
    if (fclose(stream) == 0 && own)
        rg_json_text(j, "class_names", text);
    free(text);
    return 0;
}

/* What rows of one's own need to be read as those that trained it. */
static int write_data(struct rg_json *j, const struct rg_dataset *data)
{
    if ((data->class_names && write_classes(j, data) < 0) ||
        (data->input_names && write_inputs(j, data) < 0) ||
        (data->divisor > 0 && write_numbers(j, "inputs_divisor", &data->divisor, 1) < 0) ||
        (data->mean && (write_numbers(j, "inputs_mean", data->mean, data->inputs) < 0 ||
                        write_numbers(j, "inputs_deviation", data->deviation, data->inputs) < 0)))
        return RG_ERR_NOMEM;
    return 0;
}

static int write_header(struct rg_checkpoint_writer *writer, const struct rg_network *network,
                        const struct rg_dataset *data, const struct entries *list)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return RG_ERR_NOMEM;
    struct rg_json j = {.stream = stream};
    rg_json_object(&j, NULL, true);
    rg_json_object(&j, "__metadata__", true);
    rg_json_text(&j, "format", "ringtmp");
    rg_json_text(&j, "network", network->name);
    if (data && write_data(&j, data) < 0) {
        fclose(stream);
        free(text);
        return RG_ERR_NOMEM;
    }
    rg_json_close(&j);
    for (int i = 0; i < list->count; i++) {
        const struct entry *entry = &list->items[i];
        rg_json_object(&j, entry->name, true);
        rg_json_text(&j, "dtype", "F32");
        rg_json_array(&j, "shape", true);
        for (int k = 0; k < entry->rank; k++)
            rg_json_whole(&j, NULL, entry->size[k]);
        rg_json_close(&j);
        rg_json_array(&j, "data_offsets", true);
        rg_json_count(&j, NULL, sizeof(float) * entry->first);
        rg_json_count(&j, NULL, sizeof(float) * (entry->first + entry->count));
        rg_json_close(&j);
        rg_json_close(&j);
    }
    rg_json_close(&j);
    if (fclose(stream) != 0) {
        free(text);
        return RG_ERR_NOMEM;
    }
    while (length > 0 && text[length - 1] == '\n')
        length--;
    size_t padded = (length + 7) / 8 * 8; /* so that the data is aligned */
    unsigned char size[8];
    rg_put_u64(size, padded);
    fwrite(size, 1, sizeof size, writer->file.stream);
    fwrite(text, 1, length, writer->file.stream);
    for (size_t i = length; i < padded; i++)
        putc(' ', writer->file.stream);
    free(text);
    return 0;
}

int rg_checkpoint_begin(struct rg_checkpoint_writer *writer, const char *path,
                        const struct rg_network *network, const struct rg_dataset *data,
                        struct rg_error *e)
{
    struct entries list;
    *writer = (struct rg_checkpoint_writer){.expected = network->parameters};
    int err = rg_file_open(&writer->file, path, e);
    if (err)
        return err;
    if (list_tensors(network, &list) < 0 || write_header(writer, network, data, &list) < 0) {
        rg_file_abandon(&writer->file);
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    }
    free(list.items);
    return err;
}

void rg_checkpoint_add(struct rg_checkpoint_writer *writer, const float *values, size_t count)
{
    unsigned char block[4096];
    RG_ASSERT(count <= writer->expected - writer->written);
    writer->written += count;
    while (count > 0 && !ferror(writer->file.stream)) {
        size_t some = RG_MIN(count, sizeof block / 4);
        for (size_t i = 0; i < some; i++) {
            uint32_t bits;
            memcpy(&bits, &values[i], sizeof bits);
            rg_put_u32(block + 4 * i, bits);
        }
        fwrite(block, 4, some, writer->file.stream);
        values += some;
        count -= some;
    }
}

int rg_checkpoint_end(struct rg_checkpoint_writer *writer, struct rg_error *e)
{
    RG_ASSERT(writer->written == writer->expected);
    return rg_file_commit(&writer->file, e);
}

void rg_checkpoint_abandon(struct rg_checkpoint_writer *writer)
{
    if (writer->file.stream)
        rg_file_abandon(&writer->file);
}

/* Reading. */
struct checkpoint {
    const char *path;
    FILE *stream;
    uint64_t data_at, data_bytes;
    json_t *header;
    struct entries list;
    struct rg_error *e;
};

static int complain(struct checkpoint *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int complain(struct checkpoint *c, const char *format, ...)
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

static int read_header(struct checkpoint *c)
{
    unsigned char size[8];
    struct stat status;
    json_error_t error;
    if (fstat(fileno(c->stream), &status) != 0 || !S_ISREG(status.st_mode))
        return complain(c, "a plain file is wanted");
    uint64_t bytes = (uint64_t)status.st_size;
    if (bytes < 8 || fread(size, 1, sizeof size, c->stream) != sizeof size)
        return complain(c, "truncated: a safetensors file begins with 8 bytes");
    uint64_t length = rg_get_u64(size);
    if (length > MAX_HEADER || length < 2 || length > bytes - 8)
        return complain(c,
                        "header of %" PRIu64 " bytes: 2 to %" PRIu64
                        " are allowed (truncated, or no safetensors file)",
                        length, RG_MIN(bytes - 8, (uint64_t)MAX_HEADER));
    char *text = malloc(length);
    if (!text)
        return rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
    int err = 0;
    if (fread(text, 1, length, c->stream) != length)
        err = complain(c, "cannot be read: %s", strerror(errno));
    else if (text[0] != '{')
        err = complain(c, "the header does not begin with '{': no safetensors file");
    else if (!(c->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error)))
        err = complain(c, "the header is no JSON: %.200s (at byte %d)", error.text, error.position);
    free(text);
    c->data_at = 8 + length;
    c->data_bytes = bytes - c->data_at;
    return err;
}

static bool has_shape(const json_t *shape, const struct entry *entry)
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
static const char *shape_text(const struct entry *entry, char out[64])
{
    int used = snprintf(out, 64, "[");
    for (int i = 0; i < entry->rank; i++)
        used += snprintf(out + used, 64 - (size_t)used, "%s%d", i ? ", " : "", entry->size[i]);
    snprintf(out + used, 64 - (size_t)used, "]");
    return out;
}

static int check_entry(struct checkpoint *c, struct entry *entry)
{
    const json_t *tensor = json_object_get(c->header, entry->name);
    char shape[64];
    if (!json_is_object(tensor))
        return complain(c, "tensor \"%s\" is missing: it is needed, F32 of shape %s", entry->name,
                        shape_text(entry, shape));
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    if (!dtype || strcmp(dtype, "F32") != 0)
        return complain(c, "tensor \"%s\" has the type %.20s: F32 is allowed", entry->name,
                        dtype ? dtype : "(none)");
    if (!has_shape(json_object_get(tensor, "shape"), entry))
        return complain(c, "tensor \"%s\" has another shape than the network's: %s is allowed",
                        entry->name, shape_text(entry, shape));
    const json_t *offsets = json_object_get(tensor, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return complain(c, "tensor \"%s\": data_offsets must be two rising numbers", entry->name);
    entry->begin = (uint64_t)json_integer_value(begin);
    entry->end = (uint64_t)json_integer_value(end);
    if (entry->end > c->data_bytes)
        return complain(c,
                        "tensor \"%s\" ends at byte %" PRIu64 " of %" PRIu64
                        " bytes of data: the file is truncated",
                        entry->name, entry->end, c->data_bytes);
    if (entry->end - entry->begin != sizeof(float) * (uint64_t)entry->count)
        return complain(c, "tensor \"%s\" takes %" PRIu64 " bytes: %zu are allowed for its shape",
                        entry->name, entry->end - entry->begin, sizeof(float) * entry->count);
    return 0;
}

static int compare_places(const void *a, const void *b)
{
    const struct entry *p = a, *q = b;
    if (p->begin != q->begin)
        return p->begin < q->begin ? -1 : 1;
    return p->end < q->end ? -1 : p->end > q->end;
}

/* The format allows neither holes nor overlaps; sorts the list by place in the file. */
static int check_places(struct checkpoint *c)
{
    uint64_t at = 0;
    qsort(c->list.items, (size_t)c->list.count, sizeof *c->list.items, compare_places);
    for (int i = 0; i < c->list.count; i++) {
        const struct entry *entry = &c->list.items[i];
        if (entry->begin != at)
            return complain(c,
                            "tensor \"%s\" begins at byte %" PRIu64 ": %" PRIu64 " is allowed (%s)",
                            entry->name, entry->begin, at,
                            entry->begin < at ? "it overlaps the one before" : "there is a hole");
        at = entry->end;
    }
    if (at != c->data_bytes)
        return complain(
            c, "%" PRIu64 " bytes of data, the tensors take %" PRIu64 ": nothing else is allowed",
            c->data_bytes, at);
    return 0;
}

static int check_header(struct checkpoint *c)
{
    const char *name;
    json_t *value;
    int err = 0;
    if (!json_is_object(c->header))
        return complain(c, "the header is no JSON object");
    for (int i = 0; i < c->list.count && err == 0; i++)
        err = check_entry(c, &c->list.items[i]);
    if (err)
        return err;
    size_t extra = json_object_get(c->header, "__metadata__") ? 1 : 0;
    if (json_object_size(c->header) != (size_t)c->list.count + extra) {
        json_object_foreach(c->header, name, value)
        {
            bool known = strcmp(name, "__metadata__") == 0;
            for (int i = 0; i < c->list.count && !known; i++)
                known = strcmp(c->list.items[i].name, name) == 0;
            if (!known)
                return complain(c, "tensor \"%.60s\" is none of the network's", name);
        }
    }
    return check_places(c);
}

static int read_tensor(struct checkpoint *c, const struct entry *entry, float *values)
{
    unsigned char block[4096];
    for (size_t done = 0; done < entry->count;) {
        size_t some = RG_MIN(entry->count - done, sizeof block / 4);
        if (fread(block, 4, some, c->stream) != some)
            return complain(c, "tensor \"%s\" cannot be read: %s", entry->name,
                            ferror(c->stream) ? strerror(errno) : "the file is truncated");
        for (size_t i = 0; i < some; i++) {
            uint32_t bits = rg_get_u32(block + 4 * i);
            memcpy(&values[done + i], &bits, sizeof bits);
            if (!isfinite(values[done + i]))
                return complain(c, "tensor \"%s\": value %zu is not finite", entry->name, done + i);
        }
        done += some;
    }
    return 0;
}

/* ---- metadata ---- */

static const char *metadata(const struct checkpoint *c, const char *key)
{
    return json_string_value(json_object_get(json_object_get(c->header, "__metadata__"), key));
}

/* `count` numbers between commas, all above `above`; malloc'ed. */
static int read_numbers(struct checkpoint *c, const char *key, size_t count, double above,
                        double **numbers)
{
    const char *text = metadata(c, key), *at = text;
    double *values = malloc(count * sizeof *values + 1);
    *numbers = values;
    if (!values)
        return rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
    for (size_t i = 0; i < count && at; i++) {
        char *end;
        values[i] = strtod(at, &end);
        bool good = end > at && isfinite(values[i]) && values[i] > above &&
                    *end == (i + 1 < count ? ',' : '\0');
        at = good ? end + 1 : NULL;
    }
    return at ? 0
              : complain(c,
                         "metadata \"%s\": %zu numbers between commas are allowed, one an input%s",
                         key, count, above < 0 ? "" : ", above 0");
}

/* What inputs were standardised by; *mean and *deviation stay NULL where they were not. */
static int take_scaling(struct checkpoint *c, size_t inputs, double **mean, double **deviation)
{
    if (!metadata(c, "inputs_mean") && !metadata(c, "inputs_deviation"))
        return 0;
    int err = read_numbers(c, "inputs_mean", inputs, -INFINITY, mean);
    return err ? err : read_numbers(c, "inputs_deviation", inputs, 0, deviation);
}

/* The line of a text, counted from 0, without its end; malloc'ed, empty where there are fewer. */
static char *line_of(const char *text, int line)
{
    for (; line > 0 && text; line--)
        text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL;
    return text ? strndup(text, strcspn(text, "\n")) : strdup("");
}

/* A class called by its number has no name of its own. */
static bool is_named(const char *name, int class)
{
    char number[16];
    snprintf(number, sizeof number, "%d", class);
    return name && name[0] && strcmp(name, number) != 0;
}

/* One class of the file against those of the data: another name, or the name of another class. */
static int check_class(struct checkpoint *c, const struct rg_dataset *data, const char *name,
                       int class)
{
    const char *here = data->class_names[class];
    for (int k = 0; k < data->classes; k++)
        if (k != class && name[0] && data->class_names[k] &&
            strcmp(data->class_names[k], name) == 0)
            return complain(c, "\"%.60s\" is class %d there, and class %d in this data", name,
                            class, k);
    if (is_named(name, class) && is_named(here, class) && strcmp(name, here) != 0)
        return complain(c, "class %d is \"%.60s\" there, and \"%.60s\" in this data", class, name,
                        here);
    return 0;
}

static int check_classes(struct checkpoint *c, const struct rg_dataset *data)
{
    const char *names = metadata(c, "class_names");
    int err = 0;
    for (int class = 0; names && data->class_names && class < data->classes && err == 0; class ++) {
        char *name = line_of(names, class);
        err = name ? check_class(c, data, name, class)
                   : rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
        free(name);
    }
    return err;
}

/* Is that the name of an input that stands for a value? */
static bool is_value(const char *name)
{
    return strchr(name, '=') != NULL;
}

/* An input of the file against those of the data: one that stands for a value must do so in both,
 * and the name of another input is a turned table; a new name may be a better word. */
static int check_input(struct checkpoint *c, const struct rg_dataset *data, const char *name,
                       size_t input)
{
    const char *here =
        data->input_names && data->input_names[input] ? data->input_names[input] : "";
    if (strcmp(name, here) == 0)
        return 0;
    for (size_t i = 0; name[0] && data->input_names && i < data->inputs; i++)
        if (i != input && data->input_names[i] && strcmp(data->input_names[i], name) == 0)
            return complain(c, "\"%.60s\" is input %zu there, and input %zu in this data", name,
                            input + 1, i + 1);
    return is_value(name) || is_value(here)
               ? complain(c, "input %zu is \"%.60s\" there, and \"%.60s\" in this data", input + 1,
                          name, here)
               : 0;
}

static int check_inputs(struct checkpoint *c, const struct rg_dataset *data)
{
    const char *at = metadata(c, "input_names");
    int err = 0;
    if (!at && !metadata(c, "inputs_mean")) /* another program's file */
        return 0;
    for (size_t i = 0; i < data->inputs && err == 0 && (at || data->input_names); i++) {
        char *name = line_of(at, 0);
        err = name ? check_input(c, data, name, i)
                   : rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
        free(name);
        at = at ? strchr(at, '\n') : NULL;
        at = at ? at + 1 : NULL;
    }
    return err;
}

/* What the file tells of the data that the parameters were trained on. */
typedef int take_fn(struct checkpoint *c, void *to);

/* It must agree with what is read now. */
static int take_for_dataset(struct checkpoint *c, void *to)
{
    struct rg_dataset *data = to;
    int err = check_classes(c, data);
    if (err == 0)
        err = check_inputs(c, data);
    return err ? err : take_scaling(c, data->inputs, &data->wanted_mean, &data->wanted_deviation);
}

static int take_for_rows(struct checkpoint *c, void *to)
{
    struct rg_checkpoint_rows *rows = to;
    const char *names = metadata(c, "class_names");
    double *divisor = NULL;
    int err = metadata(c, "inputs_divisor") ? read_numbers(c, "inputs_divisor", 1, 0, &divisor) : 0;
    if (err == 0 && divisor)
        rows->scale.divisor = *divisor;
    free(divisor);
    if (err == 0)
        err = take_scaling(c, rows->inputs, &rows->scale.mean, &rows->scale.deviation);
    if (err == 0 && names && !(rows->class_names = strdup(names)))
        err = rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
    return err;
}

static int load(struct checkpoint *c, const struct rg_network *network, take_fn *take, void *to,
                float **values)
{
    int err;
    if (list_tensors(network, &c->list) < 0)
        return rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
    if ((err = read_header(c)) || (err = check_header(c)) || (to && (err = take(c, to))))
        return err;
    *values = malloc(network->parameters * sizeof **values + 1);
    if (!*values)
        return rg_fail(c->e, RG_ERR_NOMEM, "%s: out of memory", c->path);
    for (int i = 0; i < c->list.count && err == 0; i++) /* sorted by place: one pass */
        err = read_tensor(c, &c->list.items[i], *values + c->list.items[i].first);
    return err;
}

static int load_file(const char *path, const struct rg_network *network, take_fn *take, void *to,
                     float **values, struct rg_error *e)
{
    struct checkpoint c = {.path = path, .e = e};
    *values = NULL;
    c.stream = fopen(path, "rb");
    if (!c.stream)
        return complain(&c, "cannot be read: %s", strerror(errno));
    int err = load(&c, network, take, to, values);
    if (err) {
        free(*values);
        *values = NULL;
    }
    json_decref(c.header);
    free(c.list.items);
    fclose(c.stream);
    return err;
}

int rg_checkpoint_load(const char *path, const struct rg_network *network, struct rg_dataset *data,
                       float **values, struct rg_error *e)
{
    return load_file(path, network, take_for_dataset, data, values, e);
}

int rg_checkpoint_load_rows(const char *path, const struct rg_network *network,
                            struct rg_checkpoint_rows *rows, float **values, struct rg_error *e)
{
    *rows = (struct rg_checkpoint_rows){.inputs = network->layers[0].inputs};
    int err = load_file(path, network, take_for_rows, rows, values, e);
    if (err)
        rg_checkpoint_rows_free(rows);
    return err;
}

char *rg_checkpoint_class(const struct rg_checkpoint_rows *rows, int class)
{
    char *name = line_of(rows->class_names, class);
    if (name && name[0])
        return name;
    free(name);
    return asprintf(&name, "%d", class) < 0 ? NULL : name;
}

void rg_checkpoint_rows_free(struct rg_checkpoint_rows *rows)
{
    free(rows->scale.mean);
    free(rows->scale.deviation);
    free(rows->class_names);
    *rows = (struct rg_checkpoint_rows){0};
}
