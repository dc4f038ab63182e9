/* A network file -> struct rg_network. The layer kinds and the attributes each takes come from the
 * table in models/; what a layer leaves open is settled there too. */
#include "scenario/scenario.h"

#include "base/check.h"
#include "scenario/xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 10000, MAX_SIZE = 1 << 24 };

/* In the order of the enums of models/network.h, whose value 0 is the default. */
#define ACTIVATIONS "identity|relu|tanh"
#define INITS       "he|xavier|zero"

static const struct rg_limit size_limit = {true, false, 1, MAX_SIZE};
static const struct rg_limit window_limit = {true, false, 1, 1024};
static const struct rg_limit padding_limit = {true, false, 0, 1024};
static const struct rg_limit repeat_limit = {true, false, 1, MAX_LAYERS};

struct specs {
    struct rg_layer_spec *items;
    int count, room;
};

static int read_input(const struct rg_xml *xml, struct rg_shape *input, struct rg_error *e)
{
    const struct rg_xml_attribute *a;
    int err = rg_xml_want(xml, xml->root, "input", &a, e);
    if (err)
        return err;
    char text[64], *rest = text;
    double sizes[3];
    int count = 0;
    bool good = strlen(a->value) < sizeof text;
    snprintf(text, sizeof text, "%s", a->value);
    while (good && rest) {
        char *word = strsep(&rest, "x");
        good = count < 3 && rg_text_number(word, &size_limit, &sizes[count], NULL) == 0;
        count += good;
    }
    if (!good)
        return rg_xml_fail(xml, a->line, e,
                           "input=\"%.40s\" of <network>: N, HEIGHTxWIDTH and "
                           "CHANNELSxHEIGHTxWIDTH are allowed, each 1 to %d",
                           a->value, MAX_SIZE);
    if (count == 1)
        *input = (struct rg_shape){(int)sizes[0], 1, 1};
    else if (count == 2)
        *input = (struct rg_shape){1, (int)sizes[0], (int)sizes[1]};
    else
        *input = (struct rg_shape){(int)sizes[0], (int)sizes[1], (int)sizes[2]};
    return 0;
}

static const struct rg_layer_ops *kind_of(const struct rg_xml *xml,
                                          const struct rg_xml_element *element, struct rg_error *e)
{
    const struct rg_layer_ops *ops = rg_layer_kind(element->name);
    if (!ops) {
        char words[300] = "", allowed[400];
        for (int i = 0; rg_layer_kinds[i]; i++) {
            size_t used = strlen(words);
            snprintf(words + used, sizeof words - used, "%s ", rg_layer_kinds[i]->name);
        }
        rg_text_allowed(words, element->name, allowed, sizeof allowed);
        rg_xml_fail(xml, element->line, e, "unknown layer <%.40s>: %s", element->name, allowed);
    }
    return ops;
}

/* Attributes whose absence no default can fill. */
static int check_needed(const struct rg_xml *xml, const struct rg_xml_element *element,
                        const struct rg_layer_ops *ops, struct rg_error *e)
{
    static const char *const needed[] = {"outputs", "kernel"};
    const struct rg_xml_attribute *a;
    int err = 0;
    for (size_t i = 0; i < RG_COUNT(needed) && err == 0; i++)
        if (rg_text_index(ops->attributes, needed[i]) >= 0)
            err = rg_xml_want(xml, element, needed[i], &a, e);
    return err;
}

static int read_layer(const struct rg_xml *xml, const struct rg_xml_element *element,
                      struct rg_layer_spec *spec, int *repeat, struct rg_error *e)
{
    const struct rg_layer_ops *ops = kind_of(xml, element, e);
    if (!ops)
        return RG_ERR_INVALID;
    char words[200];
    int activation = -1, init = -1, err;
    snprintf(words, sizeof words, "%s repeat", ops->attributes);
    *spec = (struct rg_layer_spec){.ops = ops, .line = element->line};
    if ((err = rg_xml_only(xml, element, words, e)) || (err = rg_xml_empty(xml, element, e)) ||
        (err = check_needed(xml, element, ops, e)) ||
        (err = rg_xml_int(xml, element, "outputs", &size_limit, &spec->outputs, e)) ||
        (err = rg_xml_int(xml, element, "hidden", &size_limit, &spec->hidden, e)) ||
        (err = rg_xml_int(xml, element, "kernel", &window_limit, &spec->kernel, e)) ||
        (err = rg_xml_int(xml, element, "stride", &window_limit, &spec->stride, e)) ||
        (err = rg_xml_int(xml, element, "padding", &padding_limit, &spec->padding, e)) ||
        (err = rg_xml_int(xml, element, "repeat", &repeat_limit, repeat, e)) ||
        (err = rg_xml_choice(xml, element, "activation", ACTIVATIONS, &activation, e)) ||
        (err = rg_xml_choice(xml, element, "init", INITS, &init, e)))
        return err;
    spec->activation = (enum rg_activation)(RG_ACT_DEFAULT + 1 + activation);
    spec->init = (enum rg_init)(RG_INIT_DEFAULT + 1 + init);
    return 0;
}

static int add_layers(const struct rg_xml *xml, const struct rg_xml_element *element,
                      struct specs *specs, struct rg_error *e)
{
    struct rg_layer_spec spec;
    int repeat = 1, err = read_layer(xml, element, &spec, &repeat, e);
    if (err)
        return err;
    if (repeat > MAX_LAYERS - specs->count)
        return rg_xml_fail(xml, element->line, e,
                           "%d layers so far and %d more: up to %d are allowed", specs->count,
                           repeat, MAX_LAYERS);
    if (specs->count + repeat > specs->room) {
        int room = 2 * (specs->count + repeat);
        struct rg_layer_spec *items = realloc(specs->items, (size_t)room * sizeof *items);
        if (!items)
            return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
        specs->items = items;
        specs->room = room;
    }
    while (repeat-- > 0)
        specs->items[specs->count++] = spec;
    return 0;
}

int rg_network_load(const char *file, struct rg_network *network, struct rg_error *e)
{
    struct rg_xml xml;
    struct specs specs = {0};
    struct rg_shape input = {0};
    const struct rg_xml_attribute *name;
    *network = (struct rg_network){0};
    int err = rg_xml_open(&xml, file, "network", e);
    if (err)
        return err;
    if ((err = rg_xml_only(&xml, xml.root, "name input", e)) == 0 &&
        (err = rg_xml_want(&xml, xml.root, "name", &name, e)) == 0)
        err = read_input(&xml, &input, e);
    for (const struct rg_xml_element *n = xml.root->child; n && err == 0; n = n->next)
        err = add_layers(&xml, n, &specs, e);
    if (err == 0 && specs.count == 0)
        err = rg_xml_fail(&xml, xml.root->line, e, "<network> needs at least one layer");
    if (err == 0)
        err = rg_network_build(network, name->value, file, input, specs.items, specs.count, e);
    free(specs.items);
    rg_xml_close(&xml);
    return err;
}
