/* Happy path: the header is made from the network, values follow as they are visited. Failure modes
 * handled, each naming the file: those of safetensors.c; metadata of other inputs or classes than
 * the data's. */
#include "result/checkpoint.h"

#include "base/check.h"
#include "result/safetensors.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

struct metadata {
    const struct rg_network *network;
    const struct rg_dataset *data;
};

static int write_metadata(struct rg_json *j, void *arg)
{
    const struct metadata *m = arg;
    rg_json_text(j, "format", "ringtmp");
    rg_json_text(j, "network", m->network->name);
    return m->data ? write_data(j, m->data) : 0;
}

int rg_checkpoint_begin(struct rg_checkpoint_writer *writer, const char *path,
                        const struct rg_network *network, const struct rg_dataset *data,
                        struct rg_error *e)
{
    struct rg_tensors list = {0};
    struct metadata metadata = {network, data};
    *writer = (struct rg_checkpoint_writer){.expected = network->parameters};
    int err = rg_file_open(&writer->file, path, e);
    if (err)
        return err;
    if (rg_tensors_add_network(&list, network, NULL) < 0 ||
        rg_tensors_write_header(writer->file.stream, &list, write_metadata, &metadata) < 0) {
        rg_file_abandon(&writer->file);
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", path);
    }
    rg_tensors_free(&list);
    return err;
}

void rg_checkpoint_add(struct rg_checkpoint_writer *writer, const float *values, size_t count)
{
    RG_ASSERT(count <= writer->expected - writer->written);
    writer->written += count;
    rg_write_floats(writer->file.stream, values, count);
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

/* ---- metadata ---- */

static const char *metadata(const struct rg_tensor_file *c, const char *key)
{
    return json_string_value(rg_tensor_file_metadata(c, key));
}

/* `count` numbers between commas, all above `above`; malloc'ed. */
static int read_numbers(struct rg_tensor_file *c, const char *key, size_t count, double above,
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
              : rg_tensor_file_complain(
                    c, "metadata \"%s\": %zu numbers between commas are allowed, one an input%s",
                    key, count, above < 0 ? "" : ", above 0");
}

/* What inputs were standardised by; *mean and *deviation stay NULL where they were not. */
static int take_scaling(struct rg_tensor_file *c, size_t inputs, double **mean, double **deviation)
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
static int check_class(struct rg_tensor_file *c, const struct rg_dataset *data, const char *name,
                       int class)
{
    const char *here = data->class_names[class];
    for (int k = 0; k < data->classes; k++)
        if (k != class && name[0] && data->class_names[k] &&
            strcmp(data->class_names[k], name) == 0)
            return rg_tensor_file_complain(
                c, "\"%.60s\" is class %d there, and class %d in this data", name, class, k);
    if (is_named(name, class) && is_named(here, class) && strcmp(name, here) != 0)
        return rg_tensor_file_complain(c, "class %d is \"%.60s\" there, and \"%.60s\" in this data",
                                       class, name, here);
    return 0;
}

static int check_classes(struct rg_tensor_file *c, const struct rg_dataset *data)
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
static int check_input(struct rg_tensor_file *c, const struct rg_dataset *data, const char *name,
                       size_t input)
{
    const char *here =
        data->input_names && data->input_names[input] ? data->input_names[input] : "";
    if (strcmp(name, here) == 0)
        return 0;
    for (size_t i = 0; name[0] && data->input_names && i < data->inputs; i++)
        if (i != input && data->input_names[i] && strcmp(data->input_names[i], name) == 0)
            return rg_tensor_file_complain(
                c, "\"%.60s\" is input %zu there, and input %zu in this data", name, input + 1,
                i + 1);
    return is_value(name) || is_value(here)
               ? rg_tensor_file_complain(c,
                                         "input %zu is \"%.60s\" there, and \"%.60s\" in this data",
                                         input + 1, name, here)
               : 0;
}

static int check_inputs(struct rg_tensor_file *c, const struct rg_dataset *data)
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
typedef int take_fn(struct rg_tensor_file *c, void *to);

/* It must agree with what is read now. */
static int take_for_dataset(struct rg_tensor_file *c, void *to)
{
    struct rg_dataset *data = to;
    int err = check_classes(c, data);
    if (err == 0)
        err = check_inputs(c, data);
    return err ? err : take_scaling(c, data->inputs, &data->wanted_mean, &data->wanted_deviation);
}

static int take_for_rows(struct rg_tensor_file *c, void *to)
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

static int load(struct rg_tensor_file *c, const struct rg_network *network, take_fn *take, void *to,
                float **values)
{
    struct rg_tensors list = {0};
    int err = rg_tensors_add_network(&list, network, NULL);
    if (err)
        rg_fail(c->e, err, "%s: out of memory", c->path);
    if (err == 0)
        err = rg_tensor_file_header(c, &list);
    if (err == 0 && to)
        err = take(c, to);
    if (err == 0)
        err = rg_tensor_file_values(c, &list, values);
    rg_tensors_free(&list);
    return err;
}

static int load_file(const char *path, const struct rg_network *network, take_fn *take, void *to,
                     float **values, struct rg_error *e)
{
    struct rg_tensor_file c;
    *values = NULL;
    int err = rg_tensor_file_open(&c, path, 0, e);
    if (err == 0)
        err = load(&c, network, take, to, values);
    rg_tensor_file_close(&c);
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
