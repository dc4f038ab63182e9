/* A scenario file -> struct rg_scenario: its elements and attributes as the tables in settings.c
 * have them. */
#include "scenario/scenario_parts.h"

#include "base/check.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The setting of a sweep that the complaint begins with; NULL: it came with --set. */
static const struct rg_setting *origin(const struct rg_scenario *s, const char *text)
{
    for (int i = 0; i < s->point_count; i++) {
        size_t length = strlen(s->point[i].key);
        if (strncmp(text, s->point[i].key, length) == 0 &&
            (text[length] == '=' || text[length] == ' '))
            return &s->point[i];
    }
    return NULL;
}

int rg_scenario_fail(const struct rg_scenario *scenario, int line, struct rg_error *e,
                     const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct rg_setting *setting = line > 0 ? NULL : origin(scenario, text);
    if (line > 0)
        rg_fail_at(e, scenario->file, line, "%s", text);
    else if (setting)
        rg_fail_at(e, scenario->file, setting->line, "<sweep>: %s", text);
    else
        rg_fail(e, RG_ERR_INVALID, "--set %s", text);
    if (e)
        rg_one_line(e->text);
    return RG_ERR_INVALID;
}

int rg_scenario_line(const struct rg_scenario *s, const void *field)
{
    size_t at = (size_t)((const char *)field - (const char *)s);
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (!info->record && info->store != RG_STORE_NONE && info->at == at)
            return abs(s->lines[info - rg_setting_infos]);
    RG_ASSERT(!"a setting of the table");
    return 0;
}

static int no_memory(const struct rg_scenario *s, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file ? s->file : "scenario");
}

/* ---- settings ---- */

/* Of an attribute by its name or its older one: where it is given, or NULL. */
static int find_setting(const struct rg_xml *xml, const struct rg_xml_element *element,
                        const struct rg_setting_info *info, const struct rg_xml_attribute **found,
                        struct rg_error *e)
{
    const struct rg_xml_attribute *a = rg_xml_find(element, info->name);
    const struct rg_xml_attribute *older = info->older ? rg_xml_find(element, info->older) : NULL;
    const struct rg_xml_attribute *either =
        info->either ? rg_xml_find(element, info->either) : NULL;
    if (a && older)
        return rg_xml_fail(xml, RG_MAX(a->line, older->line), e,
                           "%s of <%s> is another word for %s: only one of them is allowed",
                           info->older, element->name, info->name);
    *found = a ? a : older;
    if (*found && either)
        return rg_xml_fail(xml, RG_MAX((*found)->line, either->line), e,
                           "<%s> has %s and %s: only one of them is allowed", element->name,
                           info->name, info->either);
    if (*found || either || !info->needed)
        return 0;
    if (info->either)
        return rg_xml_fail(xml, element->line, e, "<%s> needs the attribute \"%s\" or \"%s\"",
                           element->name, info->name, info->either);
    return rg_xml_want(xml, element, info->name, found, e);
}

static int keep_text(const struct rg_xml *xml, const struct rg_setting_info *info, void *base,
                     const char *value, struct rg_error *e)
{
    char **slot = rg_setting_text(info, base);
    free(*slot);
    *slot = info->type.kind == RG_TYPE_FILE ? rg_text_beside(xml->path, value) : strdup(value);
    return *slot ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
}

/* One attribute into the scenario, or (s NULL) into a record. */
static int read_setting(const struct rg_xml *xml, const struct rg_xml_element *element,
                        const struct rg_setting_info *info, struct rg_scenario *s, void *record,
                        struct rg_error *e)
{
    const struct rg_xml_attribute *a;
    struct rg_error why = {0};
    double number = info->absent;
    int err = find_setting(xml, element, info, &a, e);
    if (err)
        return err;
    if (a && rg_type_read(&info->type, a->value, &number, &why) < 0)
        return rg_xml_fail(xml, a->line, e, "%s=\"%.60s\" of <%s>: %s", a->name, a->value,
                           element->name, why.text);
    if (s)
        s->lines[info - rg_setting_infos] = a ? a->line : -element->line;
    if (info->store == RG_STORE_TEXT)
        return a ? keep_text(xml, info, s ? (void *)s : record, a->value, e) : 0;
    if (!s)
        rg_setting_store(info, record, number);
    else if (a)
        rg_setting_keep(info, s, number);
    return 0;
}

static int read_settings(const struct rg_xml *xml, const struct rg_xml_element *element,
                         struct rg_scenario *s, void *record, struct rg_error *e)
{
    int err = 0;
    for (const struct rg_setting_info *info = rg_setting_infos; info->help && err == 0; info++)
        if (rg_setting_belongs(info, element->name))
            err = read_setting(xml, element, info, s, record, e);
    return err;
}

static void add_word(char *words, size_t size, const char *word)
{
    size_t used = strlen(words);
    snprintf(words + used, size - used, used ? " %s" : "%s", word);
}

/* No attributes but those of the table and these. */
static int only_settings(const struct rg_xml *xml, const struct rg_xml_element *element,
                         const struct rg_data_attribute *others, struct rg_error *e)
{
    char words[RG_TYPE_WORDS] = "";
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (rg_setting_belongs(info, element->name))
            add_word(words, sizeof words, info->name);
    for (int i = 0; others && others[i].name; i++)
        add_word(words, sizeof words, others[i].name);
    for (int i = 0; i < element->count; i++) {
        const struct rg_xml_attribute *a = &element->attributes[i];
        if (!rg_setting_of_attribute(element->name, a->name) && rg_text_index(words, a->name) < 0)
            return rg_xml_unknown(xml, element, a, words, e);
    }
    return 0;
}

int rg_scenario_read_record(const struct rg_xml *xml, const struct rg_xml_element *element,
                            void *record, struct rg_error *e)
{
    return read_settings(xml, element, NULL, record, e);
}

void *rg_scenario_append(void *array, int count, size_t size)
{
    char *longer = realloc(array, (size_t)(count + 1) * size);
    if (longer)
        memset(longer + (size_t)count * size, 0, size);
    return longer;
}

/* ---- single elements ---- */

int rg_scenario_read_root(const struct rg_xml *xml, const struct rg_xml_element *element,
                          struct rg_scenario *s, struct rg_error *e)
{
    (void)xml, (void)element, (void)e;
    rg_one_line(s->name);
    return 0;
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

int rg_scenario_read_data(const struct rg_xml *xml, const struct rg_xml_element *element,
                          struct rg_scenario *s, struct rg_error *e)
{
    const struct rg_data_attribute *attributes = s->data.kind->attributes;
    int err = only_settings(xml, element, attributes, e);
    s->data.line = element->line;
    for (int i = 0; attributes[i].name && err == 0; i++)
        err = read_data_attribute(xml, element, &attributes[i], &s->data.values[i], e);
    return err;
}

int rg_scenario_read_clock(const struct rg_xml *xml, const struct rg_xml_element *element,
                           struct rg_scenario *s, struct rg_error *e)
{
    struct rg_clock_group group = {.line = element->line};
    int used, err = rg_scenario_read_record(xml, element, &group, e);
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

int rg_scenario_read_strategy(const struct rg_xml *xml, const struct rg_xml_element *element,
                              struct rg_scenario *s, struct rg_error *e)
{
    void *strategies = rg_scenario_append(s->strategies, s->strategy_count, sizeof *s->strategies);
    if (!strategies)
        return no_memory(s, e);
    s->strategies = strategies;
    struct rg_strategy_spec *to = &s->strategies[s->strategy_count++];
    int err = rg_scenario_read_record(xml, element, to, e);
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

/* ---- all elements ---- */

static int read_children(const struct rg_xml *xml, const struct rg_xml_element *parent,
                         struct rg_scenario *s, struct rg_error *e);

static int read_element(const struct rg_xml *xml, const struct rg_xml_element *element,
                        const struct rg_element_info *info, struct rg_scenario *s,
                        struct rg_error *e)
{
    int err = info->others ? 0 : only_settings(xml, element, NULL, e);
    if (err == 0 && !info->many)
        err = read_settings(xml, element, s, NULL, e);
    if (err == 0 && info->read)
        err = info->read(xml, element, s, e);
    return err ? err : read_children(xml, element, s, e);
}

static const struct rg_element_info *child_of(const char *parent, const char *name)
{
    for (const struct rg_element_info *info = rg_element_infos; info->name; info++)
        if (info->parent && strcmp(info->parent, parent) == 0 && strcmp(info->name, name) == 0)
            return info;
    return NULL;
}

static int fail_child(const struct rg_xml *xml, const struct rg_xml_element *child,
                      struct rg_error *e)
{
    char words[RG_TYPE_WORDS] = "", allowed[RG_TYPE_WORDS + 60];
    for (const struct rg_element_info *info = rg_element_infos; info->name; info++)
        if (child_of(child->parent->name, info->name) == info)
            add_word(words, sizeof words, info->name);
    if (words[0] == '\0')
        return rg_xml_empty(xml, child->parent, e);
    rg_text_allowed(words, child->name, allowed, sizeof allowed);
    return rg_xml_fail(xml, child->line, e, "unknown element <%.40s> in <%s>: %s", child->name,
                       child->parent->name, allowed);
}

static int read_children(const struct rg_xml *xml, const struct rg_xml_element *parent,
                         struct rg_scenario *s, struct rg_error *e)
{
    int seen[RG_ELEMENTS_MAX] = {0}, err = 0; /* the line of the first */
    for (const struct rg_xml_element *n = parent->child; n && err == 0; n = n->next) {
        const struct rg_element_info *info = child_of(parent->name, n->name);
        if (!info)
            return fail_child(xml, n, e);
        int *first = &seen[info - rg_element_infos];
        if (*first && !info->many)
            return rg_xml_fail(xml, n->line, e,
                               "a second <%s>, the first is on line %d: one is allowed", n->name,
                               *first);
        *first = n->line;
        err = read_element(xml, n, info, s, e);
    }
    for (const struct rg_element_info *info = rg_element_infos; info->name && err == 0; info++)
        if (info->needed && !seen[info - rg_element_infos] &&
            child_of(parent->name, info->name) == info)
            err = rg_xml_fail(xml, parent->line, e, "<%s> needs a <%s>%s", parent->name, info->name,
                              info->many ? ", or several" : "");
    return err;
}

/* What was given, but only stands with another value of another setting. */
static int check_standing(const struct rg_xml *xml, const struct rg_scenario *s, struct rg_error *e)
{
    const struct rg_setting_info *other;
    const char *word;
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        int line = s->lines[info - rg_setting_infos];
        if (line <= 0 || rg_setting_stands(info, s, &other, &word))
            continue;
        char value[40], is[40];
        rg_type_write(&info->type, rg_setting_number(info, s), value, sizeof value);
        rg_type_write(&other->type, rg_setting_number(other, s), is, sizeof is);
        return rg_xml_fail(xml, line, e,
                           "%s=\"%s\" of <%s>: only %s=\"%s\" has it, line %d asks for %s=\"%s\"",
                           info->name, value, info->element, other->name, word,
                           abs(s->lines[other - rg_setting_infos]), other->name, is);
    }
    return 0;
}

static void set_absent(struct rg_scenario *s)
{
    *s = (struct rg_scenario){0};
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (!info->record && rg_type_has_number(&info->type))
            rg_setting_keep(info, s, info->absent);
}

int rg_scenario_load(const char *file, struct rg_scenario *s, struct rg_error *e)
{
    struct rg_xml xml;
    set_absent(s);
    int err = rg_xml_open(&xml, file, rg_element_infos[0].name, e);
    if (err)
        return err;
    s->file = strdup(file);
    s->data.where = s->file;
    err = s->file ? read_element(&xml, xml.root, &rg_element_infos[0], s, e) : no_memory(s, e);
    if (err == 0)
        err = rg_sweep_check_keys(&xml, s, e);
    if (err == 0)
        err = check_standing(&xml, s, e);
    rg_xml_close(&xml);
    if (err)
        rg_scenario_free(s);
    return err;
}

void rg_scenario_free(struct rg_scenario *s)
{
    for (int i = 0; i < s->strategy_count; i++) {
        struct rg_strategy_spec *spec = &s->strategies[i];
        for (int j = 0; j < spec->count; j++) {
            free(spec->attributes[j].key);
            free(spec->attributes[j].value);
        }
        free(spec->attributes);
        free(spec->label);
        free(spec->kind);
    }
    free(s->strategies);
    free(s->clocks);
    rg_sweep_free_all(s);
    free(s->faults.slow.window);
    free(s->faults.link.window);
    for (int i = 0; i < RG_DATA_ATTRIBUTES; i++) {
        free(s->data.values[i].text);
        free(s->data.values[i].written);
    }
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (!info->record && info->store == RG_STORE_TEXT)
            free(*rg_setting_text(info, s));
    free(s->file);
    *s = (struct rg_scenario){0};
}
