/* Attributes of an XML element -> the settings that the table has of it. */
#include "scenario/scenario_parts.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int rg_scenario_read_settings(const struct rg_xml *xml, const struct rg_xml_element *element,
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
int rg_scenario_only_settings(const struct rg_xml *xml, const struct rg_xml_element *element,
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

void *rg_scenario_append(void *array, int count, size_t size)
{
    char *longer = realloc(array, (size_t)(count + 1) * size);
    if (longer)
        memset(longer + (size_t)count * size, 0, size);
    return longer;
}
