/* A scenario file -> struct rg_scenario. */
#include "scenario/scenario.h"

#include "base/check.h"
#include "scenario/limits.h"
#include "scenario/xml.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct rg_limit *rg_scenario_limit(const char *name)
{
    static const struct {
        const char *name;
        struct rg_limit limit;
    } scalars[] = {
        {"nodes", {true, false, 1, 65536}},
        {"batch", {true, false, 1, 1 << 24}},
        {"epochs", {true, false, 1, 1000000}},
        {"iterations", {true, false, 1, 1e9}},
        {"samples", {true, false, 1, 100000000}},
        {"train", {true, false, 1, 100000000}},
        {"test", {true, false, 0, 100000000}},
        {"seed", {true, false, 0, 9007199254740991.0}}, /* what every JSON reader keeps exactly */
        {"threads", {true, false, 1, 1024}},
        {"learning-rate", {false, false, 1e-37, 1000}}, /* what a float holds in full */
        {"momentum", {false, false, 0, 0.9999}},
        {"clock", {false, true, 0, 1e12}},
        {"link-rate", {false, false, 1e-9, 1e6}},
        {"key-byte-s", {false, false, 0, 1e-3}},
        {"fault-seconds", {false, false, 0, 1e12}},
        {"fault-factor", {false, false, 1e-9, 1}},
        {"jitter", {false, false, 0, 0.9999}},
        {"accuracy", {false, true, 0, 1}},
    };
    for (size_t i = 0; i < RG_COUNT(scalars); i++)
        if (strcmp(scalars[i].name, name) == 0)
            return &scalars[i].limit;
    return NULL;
}

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

static int no_memory(const struct rg_scenario *s, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", s->file ? s->file : "scenario");
}

static int scalar(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
                  int *value, struct rg_error *e)
{
    return rg_xml_int(xml, element, name, rg_scenario_limit(name), value, e);
}

static int line_of(const struct rg_xml_element *element, const char *name)
{
    const struct rg_xml_attribute *a = rg_xml_find(element, name);
    return a ? a->line : element->line;
}

/* <platform file> and <network file> */
static int read_file_name(const struct rg_xml *xml, const struct rg_xml_element *element,
                          char **path, int *line, struct rg_error *e)
{
    const struct rg_xml_attribute *file;
    int err = rg_xml_only(xml, element, "file", e);
    if (err == 0)
        err = rg_xml_want(xml, element, "file", &file, e);
    if (err == 0)
        err = rg_xml_empty(xml, element, e);
    if (err)
        return err;
    *line = file->line;
    *path = rg_text_beside(xml->path, file->value);
    return *path ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
}

static int read_platform(const struct rg_xml *xml, const struct rg_xml_element *element,
                         struct rg_scenario *s, struct rg_error *e)
{
    return read_file_name(xml, element, &s->platform_file, &s->platform_line, e);
}

static int read_network(const struct rg_xml *xml, const struct rg_xml_element *element,
                        struct rg_scenario *s, struct rg_error *e)
{
    return read_file_name(xml, element, &s->network_file, &s->network_line, e);
}

static int read_data_file(const struct rg_xml *xml, const struct rg_xml_attribute *given,
                          struct rg_data_value *value, struct rg_scenario *s, struct rg_error *e)
{
    if (given->value[0] == '\0')
        return rg_xml_fail(xml, given->line, e, "%s=\"\" of <data>: a file is wanted", given->name);
    value->written = strdup(given->value);
    value->text = rg_text_beside(xml->path, given->value);
    return value->written && value->text ? 0 : no_memory(s, e);
}

/* One attribute of the kind, into its value. */
static int read_data_attribute(const struct rg_xml *xml, const struct rg_xml_element *element,
                               const struct rg_data_attribute *attribute,
                               struct rg_data_value *value, struct rg_scenario *s,
                               struct rg_error *e)
{
    const struct rg_xml_attribute *given = rg_xml_find(element, attribute->name);
    const struct rg_limit limit = {true, false, attribute->min, attribute->max};
    if (!given)
        return attribute->needed ? rg_xml_want(xml, element, attribute->name, &given, e) : 0;
    value->line = given->line;
    if (attribute->type == RG_DATA_FILE)
        return read_data_file(xml, given, value, s, e);
    if (given->value[0] == '\0')
        return rg_xml_fail(xml, given->line, e, "%s=\"\" of <data>: a value is wanted",
                           given->name);
    value->text = strdup(given->value);
    if (!value->text)
        return no_memory(s, e);
    if (attribute->type == RG_DATA_COUNT)
        return rg_xml_int(xml, element, attribute->name, &limit, &value->number, e);
    if (attribute->type == RG_DATA_CHOICE)
        return rg_xml_choice(xml, element, attribute->name, attribute->choices, &value->number, e);
    return 0;
}

static void add_word(char *words, size_t size, const char *word)
{
    size_t used = strlen(words);
    snprintf(words + used, size - used, "%s ", word);
}

static int read_data(const struct rg_xml *xml, const struct rg_xml_element *element,
                     struct rg_scenario *s, struct rg_error *e)
{
    const struct rg_xml_attribute *given;
    char words[400] = "", allowed[400] = "kind train test ";
    int kind = 0, err = rg_xml_want(xml, element, "kind", &given, e);
    for (int i = 0; rg_data_kinds[i]; i++)
        add_word(words, sizeof words, rg_data_kinds[i]->name);
    if (err || (err = rg_xml_choice(xml, element, "kind", words, &kind, e)))
        return err;
    const struct rg_data_attribute *attributes = rg_data_kinds[kind]->attributes;
    s->data.kind = rg_data_kinds[kind];
    s->data.line = element->line;
    for (int i = 0; attributes[i].name; i++)
        add_word(allowed, sizeof allowed, attributes[i].name);
    err = rg_xml_only(xml, element, allowed, e);
    for (int i = 0; attributes[i].name && err == 0; i++)
        err = read_data_attribute(xml, element, &attributes[i], &s->data.values[i], s, e);
    if (err || (err = scalar(xml, element, "train", &s->data.train, e)) ||
        (err = scalar(xml, element, "test", &s->data.test, e)))
        return err;
    return rg_xml_empty(xml, element, e);
}

static int read_optimizer(const struct rg_xml *xml, const struct rg_xml_element *element,
                          struct rg_optimizer *optimizer, struct rg_error *e)
{
    const struct rg_xml_attribute *rate, *momentum = rg_xml_find(element, "momentum");
    int kind = RG_SGD, err = rg_xml_choice(xml, element, "optimizer", RG_OPTIMIZER_WORDS, &kind, e);
    if (err || (err = rg_xml_want(xml, element, "learning-rate", &rate, e)))
        return err;
    double value = 0;
    err =
        rg_xml_number(xml, element, "learning-rate", rg_scenario_limit("learning-rate"), &value, e);
    if (err)
        return err;
    *optimizer = rg_optimizer_make((enum rg_optimizer_kind)kind, (float)value);
    if (momentum && kind != RG_MOMENTUM)
        return rg_xml_fail(xml, momentum->line, e,
                           "momentum=\"%.40s\" of <training>: only optimizer=\"momentum\" has it",
                           momentum->value);
    value = optimizer->momentum;
    err = rg_xml_number(xml, element, "momentum", rg_scenario_limit("momentum"), &value, e);
    if (momentum)
        optimizer->momentum = (float)value;
    return err;
}

static int read_length(const struct rg_xml *xml, const struct rg_xml_element *element,
                       struct rg_training *training, struct rg_error *e)
{
    const struct rg_xml_attribute *epochs = rg_xml_find(element, "epochs");
    const struct rg_xml_attribute *iterations = rg_xml_find(element, "iterations");
    if (epochs && iterations)
        return rg_xml_fail(xml, RG_MAX(epochs->line, iterations->line), e,
                           "<training> has epochs and iterations: only one of them is allowed");
    if (!epochs && !iterations)
        return rg_xml_fail(xml, element->line, e,
                           "<training> needs the attribute \"epochs\" or \"iterations\"");
    double value = 0;
    int err = scalar(xml, element, "epochs", &training->epochs, e);
    if (err == 0)
        err = rg_xml_number(xml, element, "iterations", rg_scenario_limit("iterations"), &value, e);
    training->iterations = (long)value;
    return err;
}

static int read_training(const struct rg_xml *xml, const struct rg_xml_element *element,
                         struct rg_scenario *s, struct rg_error *e)
{
    struct rg_training *training = &s->training;
    const struct rg_xml_attribute *batch;
    int numerics = 1;
    int err = rg_xml_only(xml, element,
                          "batch epochs iterations learning-rate optimizer momentum numerics "
                          "threads clock link-rate key-byte-s",
                          e);
    training->threads = 1;
    training->link_rate = 1;
    training->line = element->line;
    if (err || (err = rg_xml_want(xml, element, "batch", &batch, e)) ||
        (err = scalar(xml, element, "batch", &training->batch, e)) ||
        (err = read_length(xml, element, training, e)) ||
        (err = read_optimizer(xml, element, &training->optimizer, e)) ||
        (err = rg_xml_choice(xml, element, "numerics", RG_NUMERICS_WORDS, &numerics, e)) ||
        (err = scalar(xml, element, "threads", &training->threads, e)) ||
        (err = rg_xml_number(xml, element, "clock", rg_scenario_limit("clock"), &training->clock,
                             e)) ||
        (err = rg_xml_number(xml, element, "link-rate", rg_scenario_limit("link-rate"),
                             &training->link_rate, e)) ||
        (err = rg_xml_number(xml, element, "key-byte-s", rg_scenario_limit("key-byte-s"),
                             &training->key_byte_s, e)))
        return err;
    training->numerics = numerics;
    s->lines.batch = batch->line;
    s->lines.threads = line_of(element, "threads");
    s->lines.clock = line_of(element, "clock");
    s->lines.iterations = line_of(element, training->iterations ? "iterations" : "epochs");
    return rg_xml_empty(xml, element, e);
}

static int add_clock(struct rg_scenario *s, struct rg_clock_group group, struct rg_error *e)
{
    size_t bytes = (size_t)(s->clock_count + 1) * sizeof *s->clocks;
    struct rg_clock_group *clocks = realloc(s->clocks, bytes);
    if (!clocks)
        return no_memory(s, e);
    s->clocks = clocks;
    s->clocks[s->clock_count++] = group;
    return 0;
}

/* <clock nodes="0-3,8" hz="600e6"/> */
static int read_clock(const struct rg_xml *xml, const struct rg_xml_element *element,
                      struct rg_scenario *s, struct rg_error *e)
{
    const struct rg_xml_attribute *nodes, *hz;
    struct rg_clock_group group = {.line = element->line};
    int err = rg_xml_only(xml, element, "nodes hz", e);
    if (err || (err = rg_xml_want(xml, element, "nodes", &nodes, e)) ||
        (err = rg_xml_want(xml, element, "hz", &hz, e)) ||
        (err = rg_xml_number(xml, element, "hz", rg_scenario_limit("clock"), &group.hz, e)) ||
        (err = rg_xml_empty(xml, element, e)))
        return err;
    const char *at = nodes->value;
    while ((err = rg_scenario_next_ranks(xml, element, nodes, &at, &group.first, &group.last, e)) >
           0)
        if ((err = add_clock(s, group, e)) < 0)
            return err;
    return err;
}

static int read_stop(const struct rg_xml *xml, const struct rg_xml_element *element,
                     struct rg_scenario *s, struct rg_error *e)
{
    const struct rg_xml_attribute *accuracy;
    int err = rg_xml_only(xml, element, "accuracy", e);
    if (err || (err = rg_xml_want(xml, element, "accuracy", &accuracy, e)) ||
        (err = rg_xml_number(xml, element, "accuracy", rg_scenario_limit("accuracy"),
                             &s->stop_accuracy, e)))
        return err;
    s->lines.stop = accuracy->line;
    return rg_xml_empty(xml, element, e);
}

/* Labels appear in --set LABEL.PARAM=VALUE, in lists and in results. */
static int check_label(const struct rg_xml *xml, const struct rg_scenario *s,
                       const struct rg_xml_attribute *label, struct rg_error *e)
{
    size_t length = strlen(label->value);
    bool good = length < 64 && !isspace((unsigned char)label->value[0]) &&
                !isspace((unsigned char)label->value[length - 1]);
    for (const char *p = label->value; *p; p++)
        good = good && (unsigned char)*p >= 0x20 && !strchr(".=|\"\x7f", *p);
    if (!good)
        return rg_xml_fail(xml, label->line, e,
                           "label=\"%.70s\" of <strategy>: up to 63 bytes without . = | and quotes "
                           "are allowed, blanks only between words",
                           label->value);
    for (int i = 0; i < s->strategy_count; i++)
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
    const struct rg_xml_attribute *label, *kind;
    int err;
    if ((err = rg_xml_want(xml, element, "label", &label, e)) ||
        (err = rg_xml_want(xml, element, "kind", &kind, e)) ||
        (err = check_label(xml, s, label, e)) || (err = rg_xml_empty(xml, element, e)))
        return err;
    size_t bytes = (size_t)(s->strategy_count + 1) * sizeof *s->strategies;
    struct rg_strategy_spec *strategies = realloc(s->strategies, bytes);
    if (!strategies)
        return no_memory(s, e);
    s->strategies = strategies;
    struct rg_strategy_spec *to = &s->strategies[s->strategy_count++];
    *to = (struct rg_strategy_spec){.line = element->line};
    to->label = strdup(label->value);
    to->kind = strdup(kind->value);
    to->attributes = calloc((size_t)element->count, sizeof *to->attributes);
    if (!to->label || !to->kind || !to->attributes)
        return no_memory(s, e);
    for (int i = 0; i < element->count; i++) {
        const struct rg_xml_attribute *a = &element->attributes[i];
        if (a == label || a == kind)
            continue;
        struct rg_attribute *copy = &to->attributes[to->count++];
        *copy = (struct rg_attribute){strdup(a->name), strdup(a->value), a->line};
        if (!copy->key || !copy->value)
            return no_memory(s, e);
    }
    return 0;
}

typedef int (*read_fn)(const struct rg_xml *xml, const struct rg_xml_element *element,
                       struct rg_scenario *s, struct rg_error *e);

static const struct section {
    const char *name;
    bool needed, many;
    read_fn read;
} sections[] = {
    {"platform", true, false, read_platform},
    {"network", true, false, read_network},
    {"data", true, false, read_data},
    {"training", true, false, read_training},
    {"strategy", true, true, read_strategy},
    {"stop", false, false, read_stop},
    {"clock", false, true, read_clock},
    {"sweep", false, true, rg_sweep_read},
    {"faults", false, false, rg_scenario_read_faults},
};

static int read_root(const struct rg_xml *xml, struct rg_scenario *s, struct rg_error *e)
{
    const struct rg_xml_attribute *name;
    double seed = 1;
    int err = rg_xml_only(xml, xml->root, "name seed", e);
    if (err || (err = rg_xml_want(xml, xml->root, "name", &name, e)) ||
        (err = rg_xml_number(xml, xml->root, "seed", rg_scenario_limit("seed"), &seed, e)))
        return err;
    if (strlen(name->value) > 120)
        return rg_xml_fail(xml, name->line, e, "name of <scenario>: up to 120 bytes are allowed");
    s->seed = s->data.seed = (uint64_t)seed;
    s->name = strdup(name->value);
    if (!s->name)
        return no_memory(s, e);
    rg_one_line(s->name);
    return 0;
}

static int read_sections(const struct rg_xml *xml, struct rg_scenario *s, struct rg_error *e)
{
    int seen[RG_COUNT(sections)] = {0}, err = 0;
    char words[80] = "";
    for (size_t i = 0; i < RG_COUNT(sections); i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "%s ", sections[i].name);
    for (const struct rg_xml_element *n = xml->root->child; n && err == 0; n = n->next) {
        int i = rg_text_index(words, n->name);
        if (i < 0) {
            char allowed[200];
            rg_text_allowed(words, n->name, allowed, sizeof allowed);
            return rg_xml_fail(xml, n->line, e, "unknown element <%.40s>: %s", n->name, allowed);
        }
        if (seen[i] && !sections[i].many)
            return rg_xml_fail(xml, n->line, e,
                               "a second <%s>, the first is on line %d: one is allowed", n->name,
                               seen[i]);
        seen[i] = n->line;
        err = sections[i].read(xml, n, s, e);
    }
    for (size_t i = 0; i < RG_COUNT(sections) && err == 0; i++)
        if (sections[i].needed && !seen[i])
            err = rg_xml_fail(xml, xml->root->line, e, "<scenario> needs a <%s>%s",
                              sections[i].name, sections[i].many ? ", or several" : "");
    return err;
}

int rg_scenario_load(const char *file, struct rg_scenario *s, struct rg_error *e)
{
    struct rg_xml xml;
    *s = (struct rg_scenario){.stop_accuracy = NAN};
    int err = rg_xml_open(&xml, file, "scenario", e);
    if (err)
        return err;
    s->file = strdup(file);
    s->data.where = s->file;
    err = s->file ? read_root(&xml, s, e) : no_memory(s, e);
    if (err == 0)
        err = read_sections(&xml, s, e);
    if (err == 0)
        err = rg_sweep_check_keys(&xml, s, e);
    if (err == 0 && !isnan(s->stop_accuracy) && !s->training.numerics)
        err = rg_xml_fail(&xml, s->lines.stop, e,
                          "<stop>: numerics=\"skip\" on line %d has no accuracy; numerics=\"real\" "
                          "is allowed with it",
                          s->training.line);
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
    free(s->overlap);
    free(s->platform_file);
    free(s->network_file);
    free(s->name);
    free(s->file);
    *s = (struct rg_scenario){0};
}
