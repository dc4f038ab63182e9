/* A scenario file -> struct rg_scenario: its elements and attributes as the tables in settings.c
 * have them. */
#include "scenario/scenario_parts.h"

#include "base/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(const struct rg_scenario *s, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file ? s->file : "scenario");
}

static void add_word(char *words, size_t size, const char *word)
{
    size_t used = strlen(words);
    snprintf(words + used, size - used, used ? " %s" : "%s", word);
}

static int read_children(const struct rg_xml *xml, const struct rg_xml_element *parent,
                         struct rg_scenario *s, struct rg_error *e);

/* <stop/> says nothing. */
static int fail_none(const struct rg_xml *xml, const struct rg_xml_element *element,
                     struct rg_error *e)
{
    char words[RG_TYPE_WORDS] = "";
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (rg_setting_belongs(info, element->name)) {
            size_t used = strlen(words);
            snprintf(words + used, sizeof words - used, "%s\"%s\"", used ? " or " : "", info->name);
        }
    return rg_xml_fail(xml, element->line, e, "<%s> needs the attribute %s", element->name, words);
}

bool rg_stop_given(const struct rg_stop *stop)
{
    return !isnan(stop->accuracy) || !isnan(stop->loss) || stop->patience > 0;
}

static int read_element(const struct rg_xml *xml, const struct rg_xml_element *element,
                        const struct rg_element_info *info, struct rg_scenario *s,
                        struct rg_error *e)
{
    int err = info->others ? 0 : rg_scenario_only_settings(xml, element, NULL, e);
    if (err == 0 && !info->many)
        err = rg_scenario_read_settings(xml, element, s, NULL, e);
    if (err == 0 && info->some && element->count == 0)
        err = fail_none(xml, element, e);
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
    if (err == 0) {
        rg_one_line(s->name);
        err = rg_sweep_check_keys(&xml, s, e);
    }
    if (err == 0)
        err = check_standing(&xml, s, e);
    rg_xml_close(&xml);
    if (err)
        rg_scenario_free(s);
    return err;
}

bool rg_scenario_every(const struct rg_scenario *s, struct rg_every *every)
{
    const char *text = s->training.checkpoint_every;
    *every = (struct rg_every){0};
    return text && rg_every_read(text, every);
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
    for (int i = 0; i < s->profile_count; i++)
        free(s->profiles[i].file);
    free(s->profiles);
    rg_sweep_free_all(s);
    free(s->faults.slow.window);
    free(s->faults.link.window);
    free(s->faults.off);
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
