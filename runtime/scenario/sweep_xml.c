/* <sweep key="nodes" values="4,8,16"/>: reading it, and what stands at one point of the product.
 *
 * Failure modes handled: keys that --set does not know or no strategy has, values that are empty,
 * out of range or given twice, multiples of N where N cannot stand; each with its line. */
#include "scenario/scenario_parts.h"

#include "base/check.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 10000, MOST_SWEEPS = 32 };

static int no_memory(const struct rg_scenario *s, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file);
}

/* "N", "2N", "N/8", "3N/4": factor and divisor. */
static bool parse_multiple(const char *text, int64_t *factor, int64_t *divisor)
{
    char *end = (char *)text;
    *factor = *divisor = 1;
    if (isdigit((unsigned char)*text))
        *factor = strtoll(text, &end, 10);
    if (*end++ != 'N')
        return false;
    if (*end == '/' && isdigit((unsigned char)end[1]))
        *divisor = strtoll(end + 1, &end, 10);
    return *end == '\0' && *factor > 0 && *divisor > 0 && *factor <= 1000000000 &&
           *divisor <= 1000000000;
}

bool rg_sweep_is_multiple(const char *value)
{
    int64_t factor, divisor;
    return parse_multiple(value, &factor, &divisor);
}

void rg_sweep_resolve(const char *value, int64_t nodes, char *out, size_t size)
{
    int64_t factor, divisor;
    if (parse_multiple(value, &factor, &divisor))
        snprintf(out, size, "%" PRId64, RG_MAX(factor * nodes / divisor, 1));
    else
        snprintf(out, size, "%s", value);
}

/* ---- reading ---- */

/* What can be judged without the strategies and the platform. */
static int check_value(const struct rg_xml *xml, const struct rg_sweep *sweep, const char *value,
                       struct rg_error *e)
{
    const struct rg_setting_info *info = rg_setting_of_key(sweep->key);
    bool whole = info && info->type.kind == RG_TYPE_NUMBER && info->type.limit.whole;
    bool multiples = strchr(sweep->key, '.') || (whole && strcmp(info->key, "nodes") != 0);
    struct rg_error why = {0};
    double number;
    if (value[0] == '\0')
        return rg_xml_fail(xml, sweep->line, e,
                           "values of <sweep key=\"%.80s\">: one of them is empty", sweep->key);
    if (rg_sweep_is_multiple(value)) {
        if (multiples)
            return 0;
        return rg_xml_fail(xml, sweep->line, e,
                           "value \"%.40s\" of <sweep key=\"%.80s\">: multiples of N, the point's "
                           "nodes, are allowed for other whole numbers only",
                           value, sweep->key);
    }
    if (info && rg_type_read(&info->type, value, &number, &why) < 0)
        return rg_xml_fail(xml, sweep->line, e, "value \"%.40s\" of <sweep key=\"%.80s\">: %s%s",
                           value, sweep->key, why.text,
                           multiples ? ", or multiples of the nodes: 2N, N/8" : "");
    return 0;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* 2 and 02, 1e9 and 1000000000 are one value. */
static bool same_value(const char *key, const char *a, const char *b)
{
    static const struct rg_limit any = {.min = -INFINITY, .max = INFINITY};
    double x, y;
    if (strcmp(a, b) == 0)
        return true;
    const struct rg_setting_info *info = rg_setting_of_key(key);
    return (!info || info->type.kind == RG_TYPE_NUMBER) && rg_text_number(a, &any, &x, NULL) == 0 &&
           rg_text_number(b, &any, &y, NULL) == 0 && x == y;
}

/* Separated by commas; by semicolons where there is one, so that lists ("4,4,3") can be swept. */
static int read_values(const struct rg_xml *xml, struct rg_sweep *sweep, const char *values,
                       struct rg_error *e)
{
    const char *separator = strchr(values, ';') ? ";" : ",";
    size_t room = 1;
    int err = 0;
    for (const char *p = values; *p; p++)
        room += *p == *separator;
    if (room > MOST_VALUES)
        return rg_xml_fail(xml, sweep->line, e,
                           "values of <sweep key=\"%.80s\">: %zu, up to %d are allowed", sweep->key,
                           room, MOST_VALUES);
    char *copy = strdup(values), *rest = copy;
    sweep->values = calloc(room, sizeof *sweep->values);
    if (!copy || !sweep->values)
        err = RG_ERR_NOMEM;
    for (char *word; err == 0 && (word = strsep(&rest, separator)) != NULL;) {
        word = trim(word);
        err = check_value(xml, sweep, word, e);
        for (int i = 0; i < sweep->count && err == 0; i++)
            if (same_value(sweep->key, sweep->values[i], word))
                err = rg_xml_fail(xml, sweep->line, e,
                                  "value \"%.40s\" of <sweep key=\"%.80s\"> is there twice", word,
                                  sweep->key);
        if (err == 0 && (sweep->values[sweep->count++] = strdup(word)) == NULL)
            err = RG_ERR_NOMEM;
    }
    free(copy);
    return err == RG_ERR_NOMEM ? rg_fail(e, err, "%s: out of memory", xml->path) : err;
}

int rg_sweep_read(const struct rg_xml *xml, const struct rg_xml_element *element,
                  struct rg_scenario *s, struct rg_error *e)
{
    if (s->sweep_count == MOST_SWEEPS)
        return rg_xml_fail(xml, element->line, e, "up to %d <sweep> are allowed", MOST_SWEEPS);
    struct rg_sweep *sweeps = rg_scenario_append(s->sweeps, s->sweep_count, sizeof *sweeps);
    if (!sweeps)
        return no_memory(s, e);
    s->sweeps = sweeps;
    struct rg_sweep *sweep = &sweeps[s->sweep_count++];
    int err = rg_scenario_read_settings(xml, element, NULL, sweep, e);
    if (err)
        return err;
    for (const struct rg_sweep *other = sweeps; other < sweep; other++)
        if (rg_setting_replaces(other->key, sweep->key))
            return rg_xml_fail(xml, rg_xml_find(element, "key")->line, e,
                               "a second <sweep key=\"%.80s\">, the first (%.80s) is on line %d: "
                               "one is allowed",
                               sweep->key, other->key, other->line);
    const struct rg_xml_attribute *values = rg_xml_find(element, "values");
    sweep->line = values->line;
    return read_values(xml, sweep, values->value, e);
}

/* Values of an attribute of the data. */
static int check_data(const struct rg_xml *xml, const struct rg_scenario *s,
                      const struct rg_sweep *sweep, const struct rg_data_attribute *attribute,
                      struct rg_error *e)
{
    const struct rg_type type = rg_type_of_data(attribute);
    struct rg_error why = {0};
    double number;
    for (int i = 0; i < sweep->count; i++)
        if (rg_type_read(&type, sweep->values[i], &number, &why) < 0)
            return rg_xml_fail(xml, sweep->line, e,
                               "value \"%.40s\" of <sweep key=\"%.80s\">, of data of kind %s: %s",
                               sweep->values[i], sweep->key, s->data.kind->name, why.text);
    return 0;
}

/* Once all strategies and the data's kind are known: is it a key at all? */
int rg_sweep_check_keys(const struct rg_xml *xml, const struct rg_scenario *s, struct rg_error *e)
{
    for (int i = 0; i < s->sweep_count; i++) {
        const struct rg_sweep *sweep = &s->sweeps[i];
        const char *dot = strchr(sweep->key, '.');
        char words[RG_SCENARIO_KEYS] = "", allowed[RG_SCENARIO_KEYS + 60];
        bool known = rg_setting_of_key(sweep->key) != NULL;
        const struct rg_data_attribute *attribute =
            known ? NULL : rg_data_attribute_named(s->data.kind, sweep->key);
        if (attribute) {
            int err = check_data(xml, s, sweep, attribute, e);
            if (err)
                return err;
            continue;
        }
        if (!dot)
            rg_scenario_keys(s, words, sizeof words);
        for (int k = 0; dot && k < s->strategy_count; k++) {
            const char *label = s->strategies[k].label;
            size_t used = strlen(words);
            known = known || (strlen(label) == (size_t)(dot - sweep->key) &&
                              strncmp(label, sweep->key, strlen(label)) == 0);
            snprintf(words + used, sizeof words - used, "%s|", label);
        }
        bool bad_param = dot && (strcmp(dot, ".") == 0 || strcmp(dot, ".label") == 0 ||
                                 strcmp(dot, ".kind") == 0);
        if (known && bad_param)
            return rg_xml_fail(xml, sweep->line, e,
                               "key=\"%.80s\" of <sweep>: parameters of the strategy are allowed "
                               "after the dot",
                               sweep->key);
        if (known)
            continue;
        char name[100];
        snprintf(name, sizeof name, "%.*s", dot ? (int)(dot - sweep->key) : 99, sweep->key);
        rg_text_allowed(words, name, allowed, sizeof allowed);
        return rg_xml_fail(xml, sweep->line, e, "key=\"%.80s\" of <sweep>: %s%.520s", sweep->key,
                           dot ? "no strategy is labelled so; " : "", allowed);
    }
    return 0;
}

static void free_sweep(struct rg_sweep *sweep)
{
    for (int i = 0; i < sweep->count; i++)
        free(sweep->values[i]);
    free(sweep->values);
    free(sweep->key);
}

void rg_sweep_drop(struct rg_scenario *s, const char *key)
{
    int kept = 0;
    for (int i = 0; i < s->sweep_count; i++) {
        if (rg_setting_replaces(s->sweeps[i].key, key))
            free_sweep(&s->sweeps[i]);
        else
            s->sweeps[kept++] = s->sweeps[i];
    }
    s->sweep_count = kept;
}

void rg_sweep_free_all(struct rg_scenario *s)
{
    for (int i = 0; i < s->sweep_count; i++)
        free_sweep(&s->sweeps[i]);
    free(s->sweeps);
}

bool rg_sweep_concerns(const char *key, const char *label)
{
    const char *dot = strchr(key, '.');
    return !dot ||
           (strlen(label) == (size_t)(dot - key) && strncmp(key, label, (size_t)(dot - key)) == 0);
}
