/* The schema and the reader of scenarios go by one table of settings: each attribute and element of
 * it is tried, right and wrong, and both must say the same of it. */
#include "scenario_fixture.h"

#include "base/check.h"
#include "scenario/settings.h"
#include "support/suite.h"

#include <libxml/relaxng.h>
#include <math.h>

/* ---- a scenario made from the table, with one thing tried in it ---- */

/* What is tried: an attribute with a value (NULL: left out), beside what is needed anyway. */
struct probe {
    const char *element, *name, *value;
    const struct rg_setting_info *info; /* its row; NULL: it is none of the table */
    int data;                           /* the kind of data */
    const char *extra;                  /* further attributes of the element */
    const char *children;               /* further elements in it */
    const char *without;                /* an element that is left out */
};

static const char *good_text(const struct rg_type *type, const char *element, const char *name)
{
    static char texts[8][60]; /* the last 8 stay valid */
    static int next;
    char *text = texts[next++ % 8];
    if (strcmp(element, "sweep") == 0)
        return strcmp(name, "key") == 0 ? "batch" : "2";
    if (type->kind == RG_TYPE_RANKS)
        return "0-1,3";
    if (!rg_type_has_number(type))
        return "a";
    rg_type_write(type, type->kind == RG_TYPE_NUMBER ? type->limit.max : 0, text, sizeof texts[0]);
    return text;
}

static void put(FILE *out, const char *name, const char *value)
{
    fprintf(out, " %s=\"", name);
    for (; *value; value++)
        if (*value == '<' || *value == '"' || *value == '&')
            fprintf(out, "&#%d;", *value);
        else
            fputc(*value, out);
    fputc('"', out);
}

static bool is_with(const struct probe *probe, const struct rg_setting_info *info)
{
    size_t length = info->key ? strlen(info->key) : 0;
    return probe->info && probe->info->with && length > 0 &&
           strncmp(probe->info->with, info->key, length) == 0 && probe->info->with[length] == '=';
}

/* Of an element that must have one of its settings, which one is no matter. */
static bool has_some(const char *element)
{
    for (const struct rg_element_info *info = rg_element_infos; info->name; info++)
        if (strcmp(info->name, element) == 0)
            return info->some;
    return false;
}

static void put_attributes(FILE *out, const char *element, const struct probe *probe)
{
    bool some = has_some(element) && !(probe->info && strcmp(element, probe->element) == 0);
    bool here = strcmp(element, probe->element) == 0;
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        if (!rg_setting_belongs(info, element) || (here && info == probe->info))
            continue;
        const struct rg_setting_info *either =
            info->either ? rg_setting_of_attribute(element, info->either) : NULL;
        if (strcmp(element, "data") == 0 && strcmp(info->name, "kind") == 0)
            put(out, "kind", rg_data_kinds[probe->data]->name);
        else if (is_with(probe, info))
            put(out, info->name, strchr(probe->info->with, '=') + 1);
        else if (some || (info->needed && !(either && (either < info || either == probe->info)))) {
            put(out, info->name, good_text(&info->type, element, info->name));
            some = false;
        }
    }
    const struct rg_data_attribute *others = rg_data_kinds[probe->data]->attributes;
    for (int i = 0; strcmp(element, "data") == 0 && others[i].name; i++) {
        const struct rg_type type = rg_type_of_data(&others[i]);
        if (others[i].needed && strcmp(others[i].name, probe->name) != 0)
            put(out, others[i].name, good_text(&type, element, others[i].name));
    }
    if (here && probe->value)
        put(out, probe->name, probe->value);
    if (here && probe->extra)
        fputs(probe->extra, out);
}

static bool holds(const char *element, const char *inner)
{
    for (const struct rg_element_info *info = rg_element_infos; info->name; info++)
        if (info->parent && strcmp(info->name, inner) == 0)
            return strcmp(info->parent, element) == 0 || holds(element, info->parent);
    return false;
}

static void put_element(FILE *out, const struct rg_element_info *element, const struct probe *probe)
{
    bool here = strcmp(element->name, probe->element) == 0;
    if (!(element->needed || here || holds(element->name, probe->element)) ||
        (probe->without && strcmp(element->name, probe->without) == 0))
        return;
    fprintf(out, "<%s", element->name);
    put_attributes(out, element->name, probe);
    fputc('>', out);
    for (const struct rg_element_info *child = rg_element_infos; child->name; child++)
        if (child->parent && strcmp(child->parent, element->name) == 0)
            put_element(out, child, probe);
    fprintf(out, "%s</%s>\n", here && probe->children ? probe->children : "", element->name);
}

static const char *made_of(const struct probe *probe)
{
    const char *path = scratch_path("probe.xml");
    FILE *out = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    put_element(out, &rg_element_infos[0], probe);
    fclose(out);
    return path;
}

/* ---- reader and schema ---- */

static xmlRelaxNG *schema;
static int tried;

static void quiet(void *context, const char *message, ...)
{
    (void)context, (void)message;
}

static bool schema_takes(const char *path)
{
    xmlDoc *doc = xmlReadFile(path, NULL, XML_PARSE_NONET);
    xmlRelaxNGValidCtxt *context = xmlRelaxNGNewValidCtxt(schema);
    xmlRelaxNGSetValidErrors(context, quiet, quiet, NULL);
    int result = doc ? xmlRelaxNGValidateDoc(context, doc) : -1;
    xmlRelaxNGFreeValidCtxt(context);
    xmlFreeDoc(doc);
    return result == 0;
}

static bool reader_takes(const char *path, struct rg_error *e)
{
    struct rg_scenario s;
    int err = rg_scenario_load(path, &s, e);
    if (err == 0)
        rg_scenario_free(&s);
    CU_ASSERT(err == 0 || err == RG_ERR_INVALID);
    return err == 0;
}

/* Reader and schema say the same of it, and that. */
static void try(const struct probe *probe, bool wanted)
{
    struct rg_error e = {0};
    const char *path = made_of(probe);
    bool reader = reader_takes(path, &e), by_schema = schema_takes(path);
    tried++;
    CU_ASSERT_EQUAL(reader, wanted);
    CU_ASSERT_EQUAL(by_schema, wanted);
    if (reader != wanted || by_schema != wanted)
        printf("\n    <%s %s=\"%s\"%s>: %s wanted, the reader %s (%s), the schema %s\n",
               probe->element, probe->name, probe->value ? probe->value : "(absent)",
               probe->extra ? probe->extra : "", wanted ? "accepted" : "refused",
               reader ? "accepts" : "refuses", e.text, by_schema ? "accepts" : "refuses");
}

static void try_value(struct probe probe, const char *value, bool wanted)
{
    probe.value = value;
    try(&probe, wanted);
}

static void try_number(struct probe probe, double number, bool wanted)
{
    char text[60];
    snprintf(text, sizeof text, number == floor(number) ? "%.0f" : "%.17g", number);
    try_value(probe, text, wanted);
}

static void try_numbers(struct probe probe, const struct rg_limit *limit)
{
    static const char *const none[] = {"",       "x",   " 5",  "5 ",  "0x10", "nan",
                                       "inf",    "1e",  "1,5", "--1", "1e+",  ".",
                                       "1e9999", "5\n", "1 0", "5;",  "+",    "e5"};
    double min = limit->min, max = limit->max, step = limit->whole ? 1 : 1e-9;
    for (size_t i = 0; i < RG_COUNT(none); i++)
        try_value(probe, none[i], false);
    try_value(probe, "1.5", !limit->whole && min <= 1.5 && max >= 1.5);
    try_value(probe, "1e0", !limit->whole && min <= 1 && max >= 1);
    try_value(probe, "+1", min <= 1 && max >= 1);
    try_number(probe, max, true);
    try_number(probe, limit->whole ? max + 1 : max * (1 + step), false);
    try_number(probe, min, !limit->open);
    try_number(probe, limit->whole || min == 0 ? min - step : min * (1 - step), false);
    try_number(probe, limit->whole || min == 0 ? min + step : min * (1 + step), true);
}

static void try_type(struct probe probe, const struct rg_type *type, bool needed)
{
    static const char *const ranks[] = {"1,", "-1", "a", "0--1", "0 ", ",1", "1;2", "1-", "1.0"};
    char words[RG_TYPE_WORDS], text[80];
    int length;
    try_value(probe, NULL, !needed);
    try_value(probe, good_text(type, probe.element, probe.name), true);
    switch (type->kind) {
    case RG_TYPE_NUMBER:
        try_numbers(probe, &type->limit);
        return;
    case RG_TYPE_WORD:
        rg_type_words(type, words);
        for (int i = 0; rg_text_word(words, i, &length); i++) {
            snprintf(text, sizeof text, "%.*s", length, rg_text_word(words, i, &length));
            if (strcmp(probe.element, "data") == 0 && strcmp(probe.name, "kind") == 0)
                probe.data = i;
            try_value(probe, text, true);
            strcat(text, " ");
            try_value(probe, text, false);
        }
        try_value(probe, "no-such-word", false);
        break;
    case RG_TYPE_RANKS:
        for (size_t i = 0; i < RG_COUNT(ranks); i++)
            try_value(probe, ranks[i], false);
        try_value(probe, "7", true);
        break;
    case RG_TYPE_TEXT:
    case RG_TYPE_FILE:
        length = (int)type->limit.max;
        char *longest = calloc(1, (size_t)length + 2);
        memset(longest, 'a', (size_t)length);
        if (length > 0) {
            try_value(probe, longest, true);
            try_value(probe, strcat(longest, "a"), false);
        }
        free(longest);
        break;
    }
    try_value(probe, "", false);
}

static void open_schema(void)
{
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewParserCtxt(RG_SOURCE_DIR "/scenarios/scenario.rng");
    schema = xmlRelaxNGParse(parser);
    xmlRelaxNGFreeParserCtxt(parser);
    CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
}

static void close_schema(void)
{
    xmlRelaxNGFree(schema);
    xmlCleanupParser();
    printf("\n    %d scenarios tried", tried);
}

static void test_rows(void)
{
    char text[60];
    open_schema();
    for (const struct rg_element_info *element = rg_element_infos; element->name; element++) {
        for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
            struct probe probe = {element->name, info->name, .info = info};
            if (!rg_setting_belongs(info, element->name))
                continue;
            try_type(probe, &info->type, info->needed || has_some(element->name));
            snprintf(text, sizeof text, "%s", good_text(&info->type, element->name, info->name));
            if (info->either) {
                struct probe both = {element->name, info->either, "1", .info = info};
                both.extra = " epochs=\"1\"";
                if (strcmp(info->either, "iterations") == 0)
                    try(&both, false);
            }
            if (!info->older)
                continue;
            probe.name = info->older;
            try_value(probe, text, true);
            try_value(probe, "", false);
            char extra[120];
            snprintf(extra, sizeof extra, " %s=\"%s\"", info->name, text);
            probe.extra = extra;
            try_value(probe, text, false);
        }
    }
    close_schema();
}

/* What stands only with another's word is refused with any other by both, in one element. */
static void test_with(void)
{
    open_schema();
    for (const struct rg_setting_info *info = rg_setting_infos; info->help; info++) {
        const char *word = info->with ? strchr(info->with, '=') + 1 : NULL;
        char key[40] = "", words[RG_TYPE_WORDS], other[40], extra[100];
        if (word)
            snprintf(key, sizeof key, "%.*s", (int)(word - info->with - 1), info->with);
        const struct rg_setting_info *chooser =
            word ? rg_setting_of_attribute(info->element, key) : NULL;
        if (!chooser)
            continue;
        rg_type_words(&chooser->type, words);
        for (int i = 0, length; rg_text_word(words, i, &length); i++) {
            snprintf(other, sizeof other, "%.*s", length, rg_text_word(words, i, &length));
            snprintf(extra, sizeof extra, " %s=\"%s\"", info->name,
                     good_text(&info->type, info->element, info->name));
            struct probe probe = {info->element, key, other, .info = chooser, .extra = extra};
            try(&probe, strcmp(other, word) == 0);
        }
    }
    close_schema();
}

static void test_data_kinds(void)
{
    open_schema();
    for (int kind = 0; rg_data_kinds[kind]; kind++) {
        const struct rg_data_attribute *attributes = rg_data_kinds[kind]->attributes;
        for (int i = 0; attributes[i].name; i++) {
            const struct rg_type type = rg_type_of_data(&attributes[i]);
            struct probe probe = {"data", attributes[i].name, .data = kind};
            try_type(probe, &type, attributes[i].needed);
            for (int other = 0; rg_data_kinds[other]; other++) { /* is it one of that kind too? */
                struct rg_type its = type;
                bool known = false;
                for (const struct rg_data_attribute *a = rg_data_kinds[other]->attributes; a->name;
                     a++) {
                    if (strcmp(a->name, attributes[i].name) == 0) {
                        known = true;
                        its = rg_type_of_data(a);
                    }
                }
                probe.data = other;
                try_value(probe, good_text(&its, "data", attributes[i].name), known);
            }
        }
    }
    close_schema();
}

static void test_elements(void)
{
    open_schema();
    for (const struct rg_element_info *element = rg_element_infos; element->name; element++) {
        struct probe probe = {element->name, "no-such-attribute", .value = NULL};
        bool strategy = element->others == RG_OTHERS_STRATEGY;
        try(&probe, true);
        try_value(probe, "1", strategy);
        probe.children = "<no-such-element/>";
        try(&probe, false);
        probe.children = "text";
        try(&probe, false);
        if (!element->parent)
            continue;
        /* twice: of those that may stand several times, a second is as good as the first */
        struct probe twice = {element->parent, "", .value = NULL};
        char second[400] = "", whole[600];
        FILE *stream = fmemopen(second, sizeof second, "w");
        struct probe itself = {element->name, "", .value = NULL};
        put_element(stream, element, &itself);
        fclose(stream);
        if (strategy) { /* with a label of its own */
            char *other = replaced(second, "label=\"a\"", "label=\"b\"");
            strcpy(second, other);
            free(other);
        }
        if (strcmp(element->name, "sweep") == 0) { /* and a key */
            char *other = replaced(second, "\"batch\"", "\"seed\"");
            strcpy(second, other);
            free(other);
        }
        bool stands = element->needed;
        snprintf(whole, sizeof whole, "%s", second);
        twice.children = whole;
        try(&twice, !stands || element->many);
        struct probe none = {element->parent, "", NULL, .without = element->name};
        try(&none, !element->needed);
    }
    close_schema();
}

static void test_shipped_schema(void)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    rg_schema_write(stream);
    fclose(stream);
    char *shipped = calloc(1, 1 << 20);
    stream = fopen(RG_SOURCE_DIR "/scenarios/scenario.rng", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    size_t got = fread(shipped, 1, (1 << 20) - 1, stream);
    fclose(stream);
    bool equal = got == size && memcmp(shipped, text, size) == 0;
    CU_ASSERT_TRUE(equal);
    if (!equal)
        printf("\n    ringsim --schema >scenarios/scenario.rng\n");
    free(shipped);
    free(text);
}

static const struct suite_test tests[] = {
    {"the shipped schema is the table's", test_shipped_schema},
    {"schema and reader agree on every attribute", test_rows},
    {"schema and reader agree on what stands with what", test_with},
    {"schema and reader agree on the data's attributes", test_data_kinds},
    {"schema and reader agree on every element", test_elements},
};

int main(int argc, char **argv)
{
    return suite_main("schema", tests, RG_COUNT(tests), argc, argv);
}
