/* What the kinds of dataset share. */
#include "models/data.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct rg_data_attribute *rg_data_attribute_named(const struct rg_data_kind *kind,
                                                        const char *name)
{
    for (int i = 0; kind->attributes[i].name; i++)
        if (strcmp(kind->attributes[i].name, name) == 0) {
            RG_ASSERT(i < RG_DATA_ATTRIBUTES);
            return &kind->attributes[i];
        }
    return NULL;
}

struct rg_data_value *rg_data_value(struct rg_data_spec *spec, const char *name)
{
    const struct rg_data_attribute *attribute = rg_data_attribute_named(spec->kind, name);
    return attribute ? &spec->values[attribute - spec->kind->attributes] : NULL;
}

static struct rg_data_value value_of(const struct rg_data_spec *spec, const char *name)
{
    const struct rg_data_attribute *attribute = rg_data_attribute_named(spec->kind, name);
    return attribute ? spec->values[attribute - spec->kind->attributes] : (struct rg_data_value){0};
}

const char *rg_data_string(const struct rg_data_spec *spec, const char *name)
{
    return value_of(spec, name).text;
}

int rg_data_number(const struct rg_data_spec *spec, const char *name)
{
    return value_of(spec, name).number;
}

int rg_data_fail(const struct rg_data_spec *spec, struct rg_error *e, const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rg_fail_at(e, spec->where ? spec->where : "data", spec->line, "%s", text);
}

int rg_data_counts(const struct rg_data_spec *spec, int train, int test, struct rg_dataset *data,
                   struct rg_error *e)
{
    if (spec->train < 0 || spec->test < 0)
        return rg_data_fail(spec, e, "train=\"%d\" test=\"%d\": 1 and more are allowed",
                            spec->train, spec->test);
    data->train = spec->train > 0 ? spec->train : train;
    data->test = spec->test > 0 ? spec->test : test;
    return 0;
}

int rg_data_readable(const struct rg_data_spec *spec, const char *path, struct rg_error *e)
{
    FILE *stream = fopen(path, "r");
    int first = stream ? fgetc(stream) : EOF;
    int err = !stream || (first == EOF && ferror(stream))
                  ? rg_data_fail(spec, e, "cannot read %s: %s", path, strerror(errno))
                  : 0;
    if (stream)
        fclose(stream);
    return err;
}

int rg_data_note(struct rg_dataset *data, struct rg_error *e, const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rg_one_line(text);
    char **notes = realloc(data->notes, (size_t)(data->note_count + 1) * sizeof *notes);
    if (notes)
        data->notes = notes;
    if (!notes || !(notes[data->note_count] = strdup(text)))
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    data->note_count++;
    return 0;
}

void rg_data_list(char *text, size_t size, const char *format, ...)
{
    static const char more[] = ", ...";
    size_t used = strlen(text);
    va_list args;
    if (used >= sizeof more - 1 && strcmp(text + used - (sizeof more - 1), more) == 0)
        return;
    char item[120];
    va_start(args, format);
    vsnprintf(item, sizeof item, format, args);
    va_end(args);
    if (used + strlen(item) + 2 + sizeof more > size)
        snprintf(text + used, size - used, "%s", more);
    else
        snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", item);
}
