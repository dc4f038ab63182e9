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
static const char activations[] = ""
#define RG_ACTIVATION(name, NAME, ...) "|" #name
#include "models/activations.def"
#undef RG_ACTIVATION
    ;
#define INITS "he|xavier|zero"

static const struct rg_limit size_limit = {true, false, 1, MAX_SIZE};
static const struct rg_limit window_limit = {true, false, 1, 1024};
static const struct rg_limit padding_limit = {true, false, 0, 1024};
static const struct rg_limit share_limit = {false, false, 0, 1};
static const struct rg_limit momentum_limit = {false, false, 1e-6, 1};
static const struct rg_limit epsilon_limit = {false, false, 1e-12, 1};
static const struct rg_limit repeat_limit = {true, false, 1, MAX_LAYERS};

enum { MAX_DEPTH = 4 }; /* of layers in layers */

/* A list of layers; total: with all that they contain. */
struct specs {
    struct rg_layer_spec *items;
    int count, room, total;
};

static int read_layers(const struct rg_xml *xml, const struct rg_xml_element *parent, int depth,
                       const char *but, struct specs *specs, struct rg_error *e);

/* Numbers with an x between them, at most `most`; returns how many, 0: not as it must be. */
static int sizes_in(const char *value, const struct rg_limit *limit, int most, int sizes[3])
{
    char text[64], *rest = text;
    int count = 0;
    if (strlen(value) >= sizeof text)
        return 0;
    snprintf(text, sizeof text, "%s", value);
    while (rest) {
        char *word = strsep(&rest, "x");
        double size;
        if (count == most || rg_text_number(word, limit, &size, NULL))
            return 0;
        sizes[count++] = (int)size;
    }
    return count;
}

static int read_input(const struct rg_xml *xml, struct rg_shape *input, struct rg_error *e)
{
    const struct rg_xml_attribute *a;
    int err = rg_xml_want(xml, xml->root, "input", &a, e);
    if (err)
        return err;
    int sizes[3], count = sizes_in(a->value, &size_limit, 3, sizes);
    if (count == 0)
        return rg_xml_fail(xml, a->line, e,
                           "input=\"%.40s\" of <network>: N, HEIGHTxWIDTH and "
                           "CHANNELSxHEIGHTxWIDTH are allowed, each 1 to %d",
                           a->value, MAX_SIZE);
    if (count == 1)
        *input = (struct rg_shape){sizes[0], 1, 1};
    else if (count == 2)
        *input = (struct rg_shape){1, sizes[0], sizes[1]};
    else
        *input = (struct rg_shape){sizes[0], sizes[1], sizes[2]};
    return 0;
}

/* Of a window: "3" is as high as wide, "1x3" is not. */
static int read_extent(const struct rg_xml *xml, const struct rg_xml_element *element,
                       const char *name, const struct rg_limit *limit, struct rg_extent *extent,
                       struct rg_error *e)
{
    const struct rg_xml_attribute *a = rg_xml_find(element, name);
    if (!a)
        return 0;
    int sizes[3], count = sizes_in(a->value, limit, 2, sizes);
    if (count == 0)
        return rg_xml_fail(xml, a->line, e,
                           "%s=\"%.40s\" of <%s>: N and HEIGHTxWIDTH are allowed, each %.0f to "
                           "%.0f",
                           name, a->value, element->name, limit->min, limit->max);
    *extent = (struct rg_extent){sizes[0], sizes[count - 1]};
    return 0;
}

/* Names of kinds: of those that contain layers, or of those that stand alone. */
static void list_kinds(bool contains, char *words, size_t size)
{
    size_t used = 0;
    words[0] = 0;
    for (int i = 0; rg_layer_kinds[i]; i++)
        if (rg_layer_kinds[i]->contains == contains)
            used += (size_t)snprintf(words + used, size - used, "%s%s", used ? " " : "",
                                     rg_layer_kinds[i]->name);
}

static const struct rg_layer_ops *kind_of(const struct rg_xml *xml,
                                          const struct rg_xml_element *element, struct rg_error *e)
{
    char words[300], allowed[400];
    const struct rg_layer_ops *alone = rg_layer_kind(element->name);
    const struct rg_layer_ops *container = rg_layer_container(element->name);
    const struct rg_layer_ops *ops = element->child ? container : alone;
    if (ops)
        return ops;
    list_kinds(element->child && alone, words, sizeof words);
    rg_text_allowed(words, element->name, allowed, sizeof allowed);
    if (element->child && alone)
        rg_xml_fail(xml, element->child->line, e,
                    "<%.40s> inside <%.40s>: nothing is allowed there; layers can be in %s",
                    element->child->name, element->name, words);
    else
        rg_xml_fail(xml, element->line, e, "unknown layer <%.40s>: %s", element->name, allowed);
    return NULL;
}

/* Attributes whose absence no default can fill. */
static int check_needed(const struct rg_xml *xml, const struct rg_xml_element *element,
                        const struct rg_layer_ops *ops, struct rg_error *e)
{
    const struct rg_xml_attribute *a;
    char words[60], *rest = words;
    int err = 0;
    snprintf(words, sizeof words, "%s", ops->needed ? ops->needed : "");
    for (char *word = strsep(&rest, " "); word && *word && err == 0; word = strsep(&rest, " "))
        err = rg_xml_want(xml, element, word, &a, e);
    return err;
}

static int read_layer(const struct rg_xml *xml, const struct rg_xml_element *element,
                      struct rg_layer_spec *spec, int *repeat, struct rg_error *e)
{
    const struct rg_layer_ops *ops = kind_of(xml, element, e);
    if (!ops)
        return RG_ERR_INVALID;
    char words[200];
    int activation = -1, init = -1, no_bias = 0, over_tokens = 0, causal = 0, no_positions = 0, err;
    snprintf(words, sizeof words, "%s repeat", ops->attributes);
    *spec = (struct rg_layer_spec){.ops = ops, .line = element->line};
    if ((err = rg_xml_only(xml, element, words, e)) ||
        (err = ops->contains ? 0 : rg_xml_empty(xml, element, e)) ||
        (err = check_needed(xml, element, ops, e)) ||
        (err = rg_xml_int(xml, element, "outputs", &size_limit, &spec->outputs, e)) ||
        (err = rg_xml_int(xml, element, "hidden", &size_limit, &spec->hidden, e)) ||
        (err = read_extent(xml, element, "kernel", &window_limit, &spec->kernel, e)) ||
        (err = read_extent(xml, element, "stride", &window_limit, &spec->stride, e)) ||
        (err = read_extent(xml, element, "padding", &padding_limit, &spec->padding, e)) ||
        (err = rg_xml_int(xml, element, "groups", &size_limit, &spec->groups, e)) ||
        (err = rg_xml_choice(xml, element, "bias", "yes|no", &no_bias, e)) ||
        (err = rg_xml_choice(xml, element, "over", "all|tokens", &over_tokens, e)) ||
        (err = rg_xml_int(xml, element, "heads", &size_limit, &spec->heads, e)) ||
        (err = rg_xml_choice(xml, element, "causal", "no|yes", &causal, e)) ||
        (err = rg_xml_int(xml, element, "vocabulary", &size_limit, &spec->vocabulary, e)) ||
        (err = rg_xml_choice(xml, element, "positions", "yes|no", &no_positions, e)) ||
        (err = rg_xml_number(xml, element, "rate", &share_limit, &spec->rate, e)) ||
        (err = rg_xml_number(xml, element, "momentum", &momentum_limit, &spec->momentum, e)) ||
        (err = rg_xml_number(xml, element, "epsilon", &epsilon_limit, &spec->epsilon, e)) ||
        (err = rg_xml_int(xml, element, "repeat", &repeat_limit, repeat, e)) ||
        (err = rg_xml_choice(xml, element, "activation", activations + 1, &activation, e)) ||
        (err = rg_xml_choice(xml, element, "init", INITS, &init, e)))
        return err;
    spec->activation = (enum rg_activation)(RG_ACT_DEFAULT + 1 + activation);
    spec->init = (enum rg_init)(RG_INIT_DEFAULT + 1 + init);
    spec->no_bias = no_bias;
    spec->over_tokens = over_tokens;
    spec->causal = causal;
    spec->no_positions = no_positions;
    return 0;
}

/* What a layer contains: layers, and a shortcut with layers beside them; *total grows by them. */
static int read_inside(const struct rg_xml *xml, const struct rg_xml_element *element, int depth,
                       struct rg_layer_spec *spec, int *total, struct rg_error *e)
{
    struct specs body = {0}, shortcut = {0};
    if (depth == MAX_DEPTH)
        return rg_xml_fail(xml, element->line, e, "<%s> is the %dth inside others: %d are allowed",
                           element->name, depth + 1, MAX_DEPTH);
    int err = read_layers(xml, element, depth + 1, "shortcut", &body, e);
    for (const struct rg_xml_element *n = element->child; n && err == 0; n = n->next) {
        if (strcmp(n->name, "shortcut") != 0)
            continue;
        if (shortcut.count > 0)
            err = rg_xml_fail(xml, n->line, e, "a second <shortcut>: one is allowed");
        else if ((err = rg_xml_only(xml, n, "", e)) == 0)
            err = read_layers(xml, n, depth + 1, "", &shortcut, e);
        if (err == 0 && shortcut.count == 0)
            err = rg_xml_fail(xml, n->line, e,
                              "<shortcut> needs layers; without it the input itself is added");
    }
    if (err == 0 && body.count == 0)
        err = rg_xml_fail(xml, element->line, e, "<%s> needs layers beside its <shortcut>",
                          element->name);
    spec->body = body.items;
    spec->body_count = body.count;
    spec->shortcut = shortcut.items;
    spec->shortcut_count = shortcut.count;
    *total += body.total + shortcut.total;
    return err;
}

/* Room for `more` layers of which each is `total` with what it contains. */
static int grow(const struct rg_xml *xml, const struct rg_xml_element *element, int more, int total,
                struct specs *specs, struct rg_error *e)
{
    long long all = (long long)more * total;
    if (all > MAX_LAYERS - specs->total)
        return rg_xml_fail(xml, element->line, e,
                           "%d layers so far and %lld more: up to %d are allowed", specs->total,
                           all, MAX_LAYERS);
    specs->total += (int)all;
    if (specs->count + more <= specs->room)
        return 0;
    int room = 2 * (specs->count + more);
    struct rg_layer_spec *items = realloc(specs->items, (size_t)room * sizeof *items);
    if (!items)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
    specs->items = items;
    specs->room = room;
    return 0;
}

static int add_layers(const struct rg_xml *xml, const struct rg_xml_element *element, int depth,
                      struct specs *specs, struct rg_error *e)
{
    struct rg_layer_spec spec = {0};
    int repeat = 1, total = 1, err = read_layer(xml, element, &spec, &repeat, e);
    if (err == 0 && spec.ops->contains)
        err = read_inside(xml, element, depth, &spec, &total, e);
    if (err == 0)
        err = grow(xml, element, repeat, total, specs, e);
    for (int i = 0; i < repeat && err == 0; i++) {
        struct rg_layer_spec *copy = rg_specs_copy(&spec, 1);
        if (!copy) {
            err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
            break;
        }
        specs->items[specs->count++] = *copy;
        free(copy); /* its specs are owned by the one in the list */
    }
    rg_specs_free(spec.body, spec.body_count);
    rg_specs_free(spec.shortcut, spec.shortcut_count);
    return err;
}

/* The layers in an element, in their order, but for elements of one name; what is read is the
 * caller's even on failure. */
static int read_layers(const struct rg_xml *xml, const struct rg_xml_element *parent, int depth,
                       const char *but, struct specs *specs, struct rg_error *e)
{
    int err = 0;
    for (const struct rg_xml_element *n = parent->child; n && err == 0; n = n->next)
        if (strcmp(n->name, but) != 0)
            err = add_layers(xml, n, depth, specs, e);
    return err;
}

int rg_network_load(const char *file, struct rg_network *network, struct rg_error *e)
{
    struct rg_xml xml;
    struct specs specs = {0};
    struct rg_shape input = {0};
    const struct rg_xml_attribute *name;
    int loss = RG_LOSS_CROSS_ENTROPY;
    *network = (struct rg_network){0};
    int err = rg_xml_open(&xml, file, "network", e);
    if (err)
        return err;
    if ((err = rg_xml_only(&xml, xml.root, "name input loss", e)) == 0 &&
        (err = rg_xml_want(&xml, xml.root, "name", &name, e)) == 0 &&
        (err = rg_xml_choice(&xml, xml.root, "loss", RG_LOSS_WORDS, &loss, e)) == 0)
        err = read_input(&xml, &input, e);
    if (err == 0)
        err = read_layers(&xml, xml.root, 0, "", &specs, e);
    if (err == 0 && specs.count == 0)
        err = rg_xml_fail(&xml, xml.root->line, e, "<network> needs at least one layer");
    if (err == 0)
        err = rg_network_build(network, name->value, file, input, specs.items, specs.count, e);
    if (err == 0)
        network->loss = (enum rg_loss_kind)loss;
    rg_specs_free(specs.items, specs.count);
    rg_xml_close(&xml);
    return err;
}
