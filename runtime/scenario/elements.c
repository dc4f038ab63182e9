/* The elements of a scenario, and the reading of those that are more than their settings. */
#include "scenario/scenario_parts.h"

#include "base/check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(const struct rg_scenario *s, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file ? s->file : "scenario");
}

/* One attribute of the data's kind, into its value. */
static int read_data_attribute(const struct rg_xml *xml, const struct rg_xml_element *element,
                               const struct rg_data_attribute *attribute,
                               struct rg_data_value *value, struct rg_error *e)
{
    const struct rg_xml_attribute *given = rg_xml_find(element, attribute->name);
    const struct rg_type type = rg_type_of_data(attribute);
    struct rg_error why = {0};
    double number = 0;
    if (!given)
        return attribute->needed ? rg_xml_want(xml, element, attribute->name, &given, e) : 0;
    if (rg_type_read(&type, given->value, &number, &why) < 0)
        return rg_xml_fail(xml, given->line, e, "%s=\"%.60s\" of <data>: %s", given->name,
                           given->value, why.text);
    value->line = given->line;
    value->number = (int)number;
    bool file = type.kind == RG_TYPE_FILE;
    value->text = file ? rg_text_beside(xml->path, given->value) : strdup(given->value);
    value->written = file ? strdup(given->value) : NULL;
    return value->text && (value->written || !file)
               ? 0
               : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
}

static int read_data(const struct rg_xml *xml, const struct rg_xml_element *element,
                     struct rg_scenario *s, struct rg_error *e)
{
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    int err = rg_scenario_only_settings(xml, element, attributes, e);
    s->data.line = element->line;
    for (int i = 0; attributes[i].name && err == 0; i++)
        err = read_data_attribute(xml, element, &attributes[i], &s->data.values[i], e);
    return err;
}

static int read_clock(const struct rg_xml *xml, const struct rg_xml_element *element,
                      struct rg_scenario *s, struct rg_error *e)
{
    struct rg_clock_group group = {.line = element->line};
    int used, err = rg_scenario_read_settings(xml, element, NULL, &group, e);
    if (err)
        return err;
    for (const char *at = rg_xml_find(element, "nodes")->value;
         (used = rg_text_range(at, RG_TEXT_RANKS, &group.first, &group.last)) > 0; at += used) {
        void *clocks = rg_scenario_append(s->clocks, s->clock_count, sizeof group);
        if (!clocks)
            return no_memory(s, e);
        s->clocks = clocks;
        s->clocks[s->clock_count++] = group;
    }
    return 0;
}

static int read_profile(const struct rg_xml *xml, const struct rg_xml_element *element,
                        struct rg_scenario *s, struct rg_error *e)
{
    struct rg_profile_group group = {.line = element->line};
    int used, err = rg_scenario_read_settings(xml, element, NULL, &group, e);
    const struct rg_xml_attribute *nodes = rg_xml_find(element, "nodes");
    for (const char *at = err ? "" : nodes->value;
         err == 0 && (used = rg_text_range(at, RG_TEXT_RANKS, &group.first, &group.last)) > 0;
         at += used) {
        void *profiles = rg_scenario_append(s->profiles, s->profile_count, sizeof group);
        struct rg_profile_group copy = group;
        if (profiles)
            s->profiles = profiles;
        copy.file = strdup(group.file);
        if (!profiles || !copy.file)
            err = no_memory(s, e);
        else
            s->profiles[s->profile_count++] = copy;
    }
    free(group.file);
    return err;
}

/* Labels appear in --set LABEL.PARAM=VALUE, in lists and in results. */
static int check_label(const struct rg_xml *xml, const struct rg_scenario *s,
                       const struct rg_xml_attribute *label, struct rg_error *e)
{
    size_t length = strlen(label->value);
    bool good = !isspace((unsigned char)label->value[0]) &&
                !isspace((unsigned char)label->value[length - 1]);
    for (const char *p = label->value; *p; p++)
        good = good && (unsigned char)*p >= 0x20 && !strchr(".=|\"\x7f", *p);
    if (!good)
        return rg_xml_fail(xml, label->line, e,
                           "label=\"%.70s\" of <strategy>: texts without . = | and quotes are "
                           "allowed, blanks only between words",
                           label->value);
    for (int i = 0; i < s->strategy_count - 1; i++)
        if (strcmp(s->strategies[i].label, label->value) == 0)
            return rg_xml_fail(xml, label->line, e,
                               "label=\"%s\" of <strategy>: line %d has it already, every label is "
                               "allowed once",
                               label->value, s->strategies[i].line);
    return 0;
}

static int read_strategy(const struct rg_xml *xml, const struct rg_xml_element *element,
                         struct rg_scenario *s, struct rg_error *e)
{
    void *strategies = rg_scenario_append(s->strategies, s->strategy_count, sizeof *s->strategies);
    if (!strategies)
        return no_memory(s, e);
    s->strategies = strategies;
    struct rg_strategy_spec *to = &s->strategies[s->strategy_count++];
    int err = rg_scenario_read_settings(xml, element, NULL, to, e);
    if (err || (err = check_label(xml, s, rg_xml_find(element, "label"), e)))
        return err;
    to->line = element->line;
    to->attributes = calloc((size_t)element->count, sizeof *to->attributes);
    if (!to->attributes)
        return no_memory(s, e);
    for (int i = 0; i < element->count; i++) {
        const struct rg_xml_attribute *a = &element->attributes[i];
        if (rg_setting_of_attribute(element->name, a->name))
            continue;
        struct rg_attribute *copy = &to->attributes[to->count++];
        *copy = (struct rg_attribute){strdup(a->name), strdup(a->value), a->line};
        if (!copy->key || !copy->value)
            return no_memory(s, e);
    }
    return 0;
}

/* ---- the table ---- */

#define ONE         .needed = true
#define ONE_OR_MORE .needed = true, .many = true
#define AT_MOST_ONE .needed = false
#define ANY         .many = true

const struct rg_element_info rg_element_infos[] = {
    {"scenario", NULL, ONE},
    {"platform", "scenario", ONE},
    {"network", "scenario", ONE},
    {"data", "scenario", ONE, .read = read_data, .others = RG_OTHERS_DATA},
    {"training", "scenario", ONE},
    {"strategy", "scenario", ONE_OR_MORE, .read = read_strategy, .others = RG_OTHERS_STRATEGY},
    {"stop", "scenario", AT_MOST_ONE, .some = true},
    {"clock", "scenario", ANY, .read = read_clock},
    {"profile", "scenario", ANY, .read = read_profile},
    {"sweep", "scenario", ANY, .read = rg_sweep_read},
    {"faults", "scenario", AT_MOST_ONE, .read = rg_scenario_read_faults},
    {"slow", "faults", ANY, .read = rg_scenario_read_window},
    {"link", "faults", ANY, .read = rg_scenario_read_window},
    {"off", "faults", ANY, .read = rg_scenario_read_off},
    {"jitter", "faults", AT_MOST_ONE},
    {.name = NULL},
};
_Static_assert(RG_COUNT(rg_element_infos) <= RG_ELEMENTS_MAX, "a reader counts each");
