/* --set KEY=VALUE, and points of a sweep, on a loaded scenario. */
#include "scenario/scenario_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const struct rg_scenario *s, struct rg_error *e, const char *assignment,
                    const char *why)
{
    return rg_scenario_fail(s, 0, e, "%.120s: %s", assignment, why);
}

static int replace(char **text, const char *value, struct rg_error *e)
{
    char *copy = strdup(value);
    if (!copy)
        return rg_fail(e, RG_ERR_NOMEM, "--set: out of memory");
    free(*text);
    *text = copy;
    return 0;
}

/* A scenario-wide key. */
static int set_key(struct rg_scenario *s, const char *assignment,
                   const struct rg_setting_info *info, const char *value, struct rg_error *e)
{
    struct rg_error why = {0};
    const struct rg_setting_info *other;
    const char *word;
    double number = 0;
    if (rg_type_read(&info->type, value, &number, &why) < 0)
        return complain(s, e, assignment, why.text);
    if (!rg_setting_stands(info, s, &other, &word)) {
        snprintf(why.text, sizeof why.text, "only %s=\"%s\" has it", other->name, word);
        return complain(s, e, assignment, why.text);
    }
    s->lines[info - rg_setting_infos] = 0;
    if (info->store == RG_STORE_TEXT)
        return replace(rg_setting_text(info, s), value, e);
    rg_setting_change(info, s, number);
    return 0;
}

/* An attribute of the data's kind; a file is relative to where the program runs. */
static int set_data(struct rg_scenario *s, const char *assignment, struct rg_data_value *value,
                    const char *text, struct rg_error *e)
{
    const struct rg_data_attribute *attribute = &s->data.kind->attributes[value - s->data.values];
    const struct rg_type type = rg_type_of_data(attribute);
    struct rg_error why = {0};
    double number = 0;
    if (rg_type_read(&type, text, &number, &why) < 0)
        return complain(s, e, assignment, why.text);
    value->line = 0;
    value->number = (int)number;
    if (type.kind == RG_TYPE_FILE && replace(&value->written, text, e) < 0)
        return RG_ERR_NOMEM;
    return replace(&value->text, text, e);
}

/* LABEL.PARAM: judged later against the strategy's own table, as an attribute would be. */
static int set_attribute(struct rg_scenario *s, const char *assignment, const char *label,
                         const char *name, const char *value, struct rg_error *e)
{
    struct rg_strategy_spec *spec = NULL;
    char labels[320] = "", allowed[360], why[400];
    for (int i = 0; i < s->strategy_count; i++) {
        size_t used = strlen(labels);
        if (strcmp(s->strategies[i].label, label) == 0)
            spec = &s->strategies[i];
        if (used + strlen(s->strategies[i].label) + 2 < sizeof labels)
            snprintf(labels + used, sizeof labels - used, "%s|", s->strategies[i].label);
    }
    if (!spec) {
        rg_text_allowed(labels, label, allowed, sizeof allowed);
        snprintf(why, sizeof why, "no strategy is labelled so; %s", allowed);
        return complain(s, e, assignment, why);
    }
    if (strcmp(name, "label") == 0 || strcmp(name, "kind") == 0 || name[0] == '\0')
        return complain(s, e, assignment, "parameters of the strategy are allowed after the dot");
    for (int i = 0; i < spec->count; i++)
        if (strcmp(spec->attributes[i].key, name) == 0) {
            spec->attributes[i].line = 0;
            return replace(&spec->attributes[i].value, value, e);
        }
    struct rg_attribute added = {strdup(name), strdup(value), 0};
    struct rg_attribute *attributes =
        realloc(spec->attributes, (size_t)(spec->count + 1) * sizeof *attributes);
    if (attributes)
        spec->attributes = attributes;
    if (!attributes || !added.key || !added.value) {
        free(added.key);
        free(added.value);
        return rg_fail(e, RG_ERR_NOMEM, "--set: out of memory");
    }
    spec->attributes[spec->count++] = added;
    return 0;
}

static int assign(struct rg_scenario *s, const char *assignment, struct rg_error *e)
{
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment)
        return complain(s, e, assignment, "KEY=VALUE is wanted");
    char *key = strndup(assignment, (size_t)(equals - assignment));
    if (!key)
        return rg_fail(e, RG_ERR_NOMEM, "--set: out of memory");
    const struct rg_setting_info *info = rg_setting_of_key(key);
    char *dot = strchr(key, '.');
    int err;
    if (dot) {
        *dot = '\0';
        err = set_attribute(s, assignment, key, dot + 1, equals + 1, e);
    } else if (info) {
        err = set_key(s, assignment, info, equals + 1, e);
    } else if (rg_data_attribute_named(s->data.kind, key)) {
        err = set_data(s, assignment, rg_data_value(&s->data, key), equals + 1, e);
    } else {
        char words[RG_SCENARIO_KEYS], allowed[RG_SCENARIO_KEYS + 60], why[RG_SCENARIO_KEYS + 80];
        rg_scenario_keys(s, words, sizeof words);
        rg_text_allowed(words, key, allowed, sizeof allowed);
        snprintf(why, sizeof why, "unknown key: %s", allowed);
        err = complain(s, e, assignment, why);
    }
    free(key);
    return err;
}

int rg_scenario_set(struct rg_scenario *s, const char *assignment, struct rg_error *e)
{
    int err = assign(s, assignment, e);
    if (err)
        return err;
    char *key = strndup(assignment, strcspn(assignment, "="));
    if (!key)
        return rg_fail(e, RG_ERR_NOMEM, "--set: out of memory");
    rg_sweep_drop(s, key);
    free(key);
    return 0;
}

/* Is the value of that key a path, which stands in the scenario and is relative to it? */
static bool is_file(const struct rg_scenario *s, const char *key)
{
    const struct rg_setting_info *info = rg_setting_of_key(key);
    const struct rg_data_attribute *attribute =
        info ? NULL : rg_data_attribute_named(s->data.kind, key);
    return info ? info->type.kind == RG_TYPE_FILE : attribute && attribute->type == RG_DATA_FILE;
}

int rg_scenario_apply(struct rg_scenario *s, const struct rg_setting *point, int count,
                      struct rg_error *e)
{
    int err = 0;
    s->point = point;
    s->point_count = count;
    for (int i = 0; i < count && err == 0; i++) {
        bool file = is_file(s, point[i].key);
        char *path = file ? rg_text_beside(s->file, point[i].value) : NULL, *text = NULL;
        if ((file && !path) ||
            asprintf(&text, "%s=%s", point[i].key, file ? path : point[i].value) < 0)
            err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file);
        else
            err = assign(s, text, e);
        free(path);
        free(text);
    }
    return err;
}
