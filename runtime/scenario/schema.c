/* The tables of settings and elements as a RELAX NG schema, for editors and for checking by hand.
 *
 * It accepts and refuses what the reader does, save what needs more than one element to see: what
 * contradicts what, labels that stand twice, and which parameters a kind of strategy takes. */
#include "scenario/scenario_parts.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

struct writer {
    FILE *stream;
    int depth;
};

/* ---- XML ---- */

static void put_text(const struct writer *w, const char *text)
{
    for (; *text; text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity)
            fputs(entity, w->stream);
        else
            fputc(*text, w->stream);
    }
}

/* <tag name="...">, name NULL: <tag> */
static void open_tag(struct writer *w, const char *tag, const char *name, const char *value)
{
    fprintf(w->stream, "%*s<%s", 2 * w->depth++, "", tag);
    if (name) {
        fprintf(w->stream, " %s=\"", name);
        put_text(w, value);
        fputc('"', w->stream);
    }
    fputs(">\n", w->stream);
}

static void close_tag(struct writer *w, const char *tag)
{
    fprintf(w->stream, "%*s</%s>\n", 2 * --w->depth, "", tag);
}

static void put_leaf(struct writer *w, const char *tag, const char *name, const char *value,
                     const char *text)
{
    fprintf(w->stream, "%*s<%s", 2 * w->depth, "", tag);
    if (name)
        fprintf(w->stream, " %s=\"%s\"", name, value);
    fputc('>', w->stream);
    put_text(w, text);
    fprintf(w->stream, "</%s>\n", tag);
}

/* ---- values ---- */

static void put_bound(struct writer *w, const char *bound, double number)
{
    char text[40];
    rg_text_shortest(number, text, sizeof text);
    put_leaf(w, "param", "name", bound, text);
}

/* A facet of double or integer alone would allow blanks, and libxml2 more than that ("1e2" for a
 * whole number). */
static void write_number(struct writer *w, const struct rg_limit *limit)
{
    open_tag(w, "data", "type", limit->whole ? "integer" : "double");
    put_leaf(w, "param", "name", "pattern",
             limit->whole ? "[+\\-]?[0-9]+"
                          : "[+\\-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+\\-]?[0-9]+)?");
    put_bound(w, limit->open ? "minExclusive" : "minInclusive", limit->min);
    if (isfinite(limit->max))
        put_bound(w, "maxInclusive", limit->max);
    close_tag(w, "data");
}

static void write_text(struct writer *w, const struct rg_type *type)
{
    open_tag(w, "data", "type", "string");
    put_bound(w, "minLength", 1);
    if (type->limit.max > 0)
        put_bound(w, "maxLength", type->limit.max);
    if (type->pattern)
        put_leaf(w, "param", "name", "pattern", type->pattern);
    close_tag(w, "data");
}

static void write_type(struct writer *w, const struct rg_type *type)
{
    char words[RG_TYPE_WORDS], word[60];
    int length;
    switch (type->kind) {
    case RG_TYPE_NUMBER:
        write_number(w, &type->limit);
        break;
    case RG_TYPE_WORD:
        open_tag(w, "choice", NULL, NULL);
        rg_type_words(type, words);
        for (int i = 0; rg_text_word(words, i, &length); i++) {
            rg_type_write(type, i, word, sizeof word);
            put_leaf(w, "value", "type", "string", word); /* else blanks round it are allowed */
        }
        close_tag(w, "choice");
        break;
    case RG_TYPE_RANKS:
        open_tag(w, "data", "type", "string");
        put_leaf(w, "param", "name", "pattern", "[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*");
        close_tag(w, "data");
        break;
    case RG_TYPE_TEXT:
    case RG_TYPE_FILE:
        write_text(w, type);
        break;
    }
}

/* ---- attributes ---- */

/* word: the only one that it may have here, or NULL. */
static void write_attribute(struct writer *w, const char *name, const struct rg_type *type,
                            const char *word, const char *help)
{
    open_tag(w, "attribute", "name", name);
    if (help)
        put_leaf(w, "a:documentation", NULL, NULL, help);
    if (word)
        put_leaf(w, "value", "type", "string", word);
    else
        write_type(w, type);
    close_tag(w, "attribute");
}

static void write_names(struct writer *w, const struct rg_setting_info *info, const char *word)
{
    if (info->older)
        open_tag(w, "choice", NULL, NULL);
    write_attribute(w, info->name, &info->type, word, info->help);
    if (info->older) {
        write_attribute(w, info->older, &info->type, word, NULL);
        close_tag(w, "choice");
    }
}

/* A setting that depends on no other. */
static void write_setting(struct writer *w, const struct rg_setting_info *info)
{
    const char *around = info->either ? "choice" : info->needed ? NULL : "optional";
    if (around)
        open_tag(w, around, NULL, NULL);
    write_names(w, info, NULL);
    if (info->either)
        write_names(w, rg_setting_of_attribute(info->element, info->either), NULL);
    if (around)
        close_tag(w, around);
}

/* Those of an element that stand only with that word of `chooser`: how many there are, and written
 * (w not NULL). */
static int with_word(struct writer *w, const char *element, const struct rg_setting_info *chooser,
                     const char *word)
{
    char with[100];
    int count = 0;
    snprintf(with, sizeof with, "%s=%s", chooser->key ? chooser->key : "", word);
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        if (!info->with || !rg_setting_belongs(info, element) || strcmp(info->with, with) != 0)
            continue;
        count++;
        if (w)
            write_setting(w, info);
    }
    return count;
}

static void write_data_attributes(struct writer *w, const struct rg_data_attribute *attributes)
{
    for (int i = 0; attributes[i].name; i++) {
        const struct rg_type type = rg_type_of_data(&attributes[i]);
        if (!attributes[i].needed)
            open_tag(w, "optional", NULL, NULL);
        write_attribute(w, attributes[i].name, &type, NULL, attributes[i].help);
        if (!attributes[i].needed)
            close_tag(w, "optional");
    }
}

/* Is it the setting that chooses the table of the element's further attributes? */
static bool chooses_data(const struct rg_element_info *element, const struct rg_setting_info *info)
{
    return element->others == RG_OTHERS_DATA && strcmp(info->name, "kind") == 0;
}

/* A setting on whose word it depends what else may stand: a group for each. */
static void write_choice(struct writer *w, const struct rg_element_info *element,
                         const struct rg_setting_info *chooser)
{
    char words[RG_TYPE_WORDS], word[60];
    int length;
    rg_type_words(&chooser->type, words);
    open_tag(w, "choice", NULL, NULL);
    for (int i = 0; rg_text_word(words, i, &length); i++) {
        bool may_lack = !chooser->needed && chooser->absent == i;
        rg_type_write(&chooser->type, i, word, sizeof word);
        open_tag(w, "group", NULL, NULL);
        if (may_lack)
            open_tag(w, "optional", NULL, NULL);
        write_names(w, chooser, word);
        if (may_lack)
            close_tag(w, "optional");
        if (chooses_data(element, chooser))
            write_data_attributes(w, rg_data_kinds[i]->attributes);
        with_word(w, element->name, chooser, word);
        close_tag(w, "group");
    }
    close_tag(w, "choice");
}

static bool chooses(const struct rg_element_info *element, const struct rg_setting_info *info)
{
    char words[RG_TYPE_WORDS], word[60];
    int length, count = 0;
    if (info->type.kind != RG_TYPE_WORD)
        return false;
    rg_type_words(&info->type, words);
    for (int i = 0; rg_text_word(words, i, &length); i++) {
        rg_type_write(&info->type, i, word, sizeof word);
        count += with_word(NULL, element->name, info, word);
    }
    return count > 0 || chooses_data(element, info);
}

/* Does it stand in the group of another setting of its element, or as an alternative to one? */
static bool is_elsewhere(const struct rg_setting_info *info)
{
    char key[40];
    if (info->either && rg_setting_of_attribute(info->element, info->either) < info)
        return true;
    if (!info->with)
        return false;
    snprintf(key, sizeof key, "%.*s", (int)strcspn(info->with, "="), info->with);
    return rg_setting_of_attribute(info->element, key) != NULL;
}

/* Settings of which one at least is there: each may be the first, those behind it may follow. */
static void write_some(struct writer *w, const struct rg_element_info *element)
{
    open_tag(w, "choice", NULL, NULL);
    for (const struct rg_setting_info *first = rg_setting_infos; first->help; first++) {
        if (!rg_setting_belongs(first, element->name))
            continue;
        open_tag(w, "group", NULL, NULL);
        write_names(w, first, NULL);
        for (const struct rg_setting_info *info = first + 1; info->help; info++)
            if (rg_setting_belongs(info, element->name))
                write_setting(w, info);
        close_tag(w, "group");
    }
    close_tag(w, "choice");
}

static void write_attributes(struct writer *w, const struct rg_element_info *element)
{
    if (element->some) {
        write_some(w, element);
        return;
    }
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        if (!rg_setting_belongs(info, element->name) || is_elsewhere(info))
            continue;
        if (chooses(element, info))
            write_choice(w, element, info);
        else
            write_setting(w, info);
    }
    if (element->others != RG_OTHERS_STRATEGY)
        return;
    fprintf(w->stream, "%*s<!-- nodes, and the parameters of its kind -->\n", 2 * w->depth, "");
    open_tag(w, "zeroOrMore", NULL, NULL);
    open_tag(w, "attribute", NULL, NULL);
    open_tag(w, "anyName", NULL, NULL);
    open_tag(w, "except", NULL, NULL);
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++)
        if (rg_setting_belongs(info, element->name))
            put_leaf(w, "name", NULL, NULL, info->name);
    close_tag(w, "except");
    close_tag(w, "anyName");
    close_tag(w, "attribute");
    close_tag(w, "zeroOrMore");
}

/* ---- elements ---- */

static void write_element(struct writer *w, const struct rg_element_info *element)
{
    bool children = false;
    open_tag(w, "element", "name", element->name);
    write_attributes(w, element);
    for (const struct rg_element_info *child = rg_element_infos; child->name; child++) {
        if (!child->parent || strcmp(child->parent, element->name) != 0)
            continue;
        const char *around = child->many ? (child->needed ? "oneOrMore" : "zeroOrMore")
                                         : (child->needed ? NULL : "optional");
        if (!children)
            open_tag(w, "interleave", NULL, NULL);
        children = true;
        if (around)
            open_tag(w, around, NULL, NULL);
        write_element(w, child);
        if (around)
            close_tag(w, around);
    }
    if (children)
        close_tag(w, "interleave");
    close_tag(w, "element");
}

void rg_schema_write(FILE *stream)
{
    struct writer w = {stream, 1};
    fputs(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<!-- RELAX NG schema of a RingTMP scenario, written by ringsim with the option schema.\n"
        "     For editors, and for checking by hand: xmllint with the options noout and relaxng.\n"
        "     The programs check scenarios themselves, with better messages, and know more: which\n"
        "     parameters a kind of strategy takes, and what contradicts what. -->\n"
        "<grammar xmlns=\"http://relaxng.org/ns/structure/1.0\"\n"
        "         xmlns:a=\"http://relaxng.org/ns/compatibility/annotations/1.0\"\n"
        "         datatypeLibrary=\"http://www.w3.org/2001/XMLSchema-datatypes\">\n",
        stream);
    open_tag(&w, "start", NULL, NULL);
    write_element(&w, &rg_element_infos[0]);
    close_tag(&w, "start");
    fputs("</grammar>\n", stream);
}
