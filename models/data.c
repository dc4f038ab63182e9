/* What the kinds of dataset share. */
#include "models/data.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

struct rg_data_value *rg_data_value(struct rg_data_spec *spec, const char *name)
{
    const struct rg_data_attribute *attributes = spec->kind->attributes;
    for (int i = 0; attributes[i].name; i++)
        if (strcmp(attributes[i].name, name) == 0) {
            RG_ASSERT(i < RG_DATA_ATTRIBUTES);
            return &spec->values[i];
        }
    return NULL;
}

static struct rg_data_value value_of(const struct rg_data_spec *spec, const char *name)
{
    const struct rg_data_attribute *attributes = spec->kind->attributes;
    for (int i = 0; attributes[i].name; i++)
        if (strcmp(attributes[i].name, name) == 0)
            return spec->values[i];
    return (struct rg_data_value){0};
}

const char *rg_data_text(const struct rg_data_spec *spec, const char *name)
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

int rg_data_split(const struct rg_data_spec *spec, const char *file, int total,
                  struct rg_dataset *data, struct rg_error *e)
{
    long train = spec->train, test = spec->test;
    if (train < 0 || test < 0 || train + test > total || train >= total || test >= total)
        return rg_data_fail(spec, e,
                            "train=\"%ld\" test=\"%ld\": %s holds %d samples; both need at least "
                            "one, and together no more than that",
                            train, test, file, total);
    if (test == 0)
        test = train > 0 ? total - train : RG_MAX(total / 5, 1);
    if (train == 0)
        train = total - test;
    if (train == 0)
        return rg_data_fail(spec, e, "%s holds %d sample: at least 2 are needed", file, total);
    data->train = (int)train;
    data->test = (int)test;
    return 0;
}
