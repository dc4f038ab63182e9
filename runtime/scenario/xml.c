/* libxml2's tree turned into plain structs.
 *
 * Happy path: read the file into memory, let libxml2 parse it, copy elements and attributes. The
 * line of each is noted while its start tag is parsed: libxml2 keeps none for an attribute, and for
 * an element that of the tag's end.
 * Failure modes handled: a file that cannot be read or is too large, text that is not well formed
 * (libxml2's own words), entities, which could hide other files or grow without bound. */
#include "scenario/xml.h"

#include "base/check.h"

#include <errno.h>
#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_BYTES = 32 << 20, MAX_TAG = 1 << 16, CHUNK = 1 << 16 };

/* Memory of a tree: freed as a whole. */
struct rg_xml_chunk {
    struct rg_xml_chunk *next;
    size_t used, size;
    max_align_t data[];
};

struct text {
    char *bytes; /* terminated */
    size_t length;
};

int rg_xml_fail(const struct rg_xml *xml, int line, struct rg_error *e, const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rg_fail_at(e, xml->path, line, "%s", text);
    if (e)
        rg_one_line(e->text);
    return RG_ERR_INVALID;
}

static int no_memory(const struct rg_xml *xml, struct rg_error *e)
{
    return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
}

static void *keep(struct rg_xml *xml, size_t bytes)
{
    struct rg_xml_chunk *chunk = xml->chunks;
    size_t unit = sizeof(max_align_t);
    bytes = (bytes + unit - 1) / unit * unit;
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t size = RG_MAX(bytes, (size_t)CHUNK);
        chunk = malloc(sizeof *chunk + size);
        if (!chunk)
            return NULL;
        *chunk = (struct rg_xml_chunk){.next = xml->chunks, .size = size};
        xml->chunks = chunk;
    }
    void *memory = (char *)chunk->data + chunk->used;
    chunk->used += bytes;
    return memset(memory, 0, bytes);
}

static const char *keep_text(struct rg_xml *xml, const char *text)
{
    size_t length = strlen(text) + 1;
    char *copy = keep(xml, length);
    return copy ? memcpy(copy, text, length) : NULL;
}

static int read_all(const struct rg_xml *xml, struct text *text, struct rg_error *e)
{
    struct stat status;
    if (stat(xml->path, &status) != 0)
        return rg_xml_fail(xml, 0, e, "cannot be read: %s", strerror(errno));
    if (!S_ISREG(status.st_mode)) /* it is read twice, so a pipe will not do */
        return rg_xml_fail(xml, 0, e, "a plain file is wanted");
    FILE *stream = fopen(xml->path, "rb");
    if (!stream)
        return rg_xml_fail(xml, 0, e, "cannot be read: %s", strerror(errno));
    size_t room = 0;
    int err = 0;
    for (;;) {
        if (text->length + 1 >= room) {
            room = room ? 2 * room : CHUNK;
            char *bytes = realloc(text->bytes, room);
            if (!bytes) {
                err = no_memory(xml, e);
                break;
            }
            text->bytes = bytes;
        }
        size_t got = fread(text->bytes + text->length, 1, room - 1 - text->length, stream);
        text->length += got;
        text->bytes[text->length] = '\0';
        if (text->length > MAX_BYTES)
            err = rg_xml_fail(xml, 0, e, "larger than %d MiB, which no such file should be",
                              MAX_BYTES >> 20);
        else if (got == 0 && ferror(stream))
            err = rg_xml_fail(xml, 0, e, "cannot be read: %s", strerror(errno));
        if (err || got == 0)
            break;
    }
    fclose(stream);
    if (err == 0 && text->length == 0)
        err = rg_xml_fail(xml, 1, e, "the file is empty");
    return err;
}

/* libxml2 takes quadratic time to look for attributes that stand twice in a tag, and no tag is
 * longer than the way from one '<' to the next. */
static int check_tags(const struct rg_xml *xml, const struct text *text, struct rg_error *e)
{
    const char *end = text->bytes + text->length, *from = text->bytes;
    int line = 1;
    while (from < end) {
        const char *next = memchr(from + 1, '<', (size_t)(end - from - 1));
        next = next ? next : end;
        if (next - from > MAX_TAG)
            return rg_xml_fail(xml, line, e,
                               "a tag or comment of more than %d KiB, which none should be",
                               MAX_TAG >> 10);
        for (; from < next; from++)
            line += *from == '\n';
    }
    return 0;
}

/* ---- lines ---- */

static void *as_note(int line)
{
    return (void *)(intptr_t)line;
}

static int line_of(const void *note)
{
    return (int)(intptr_t)note;
}

/* The line on which the next attribute of a start tag begins; *p and *line move on from there, or
 * from behind the value before it, to behind its value. */
static int attribute_line(const char **p, int *line)
{
    const char *at = *p;
    for (; *at && strchr(" \t\r\n", *at); at++)
        *line += *at == '\n';
    int begins = *line;
    for (; *at && *at != '"' && *at != '\''; at++)
        *line += *at == '\n';
    for (const char quote = *at; *at && *++at && *at != quote;)
        *line += *at == '\n';
    *p = at + (*at != '\0');
    return begins;
}

/* A start tag has been parsed and the input stands at its end: note the lines of the element and of
 * its attributes in what libxml2 leaves to its users. */
static void start_element(void *context, const xmlChar *name, const xmlChar *prefix,
                          const xmlChar *uri, int spaces, const xmlChar **declared, int count,
                          int defaulted, const xmlChar **attributes)
{
    xmlParserCtxt *parser = context;
    const xmlParserInput *input = parser->input;
    const char *base = (const char *)input->base, *p = (const char *)input->cur;
    int line = input->line;
    xmlSAX2StartElementNs(context, name, prefix, uri, spaces, declared, count, defaulted,
                          attributes);
    if (parser->disableSAX) /* memory is out */
        return;
    for (; p > base && *p != '<'; p--) /* a value has none: it would have to be &lt; */
        line -= *p == '\n';
    parser->node->_private = as_note(line);
    if (spaces > 0 || defaulted > 0) /* both are refused */
        return;
    p += 1 + strlen((const char *)name);
    for (xmlAttr *a = parser->node->properties; a && *p; a = a->next)
        a->_private = as_note(attribute_line(&p, &line));
}

static int copy_attributes(struct rg_xml *xml, struct rg_xml_element *element, const xmlNode *node,
                           struct rg_error *e)
{
    int count = 0;
    for (const xmlAttr *a = node->properties; a; a = a->next)
        count++;
    element->attributes = keep(xml, (size_t)count * sizeof *element->attributes + 1);
    if (!element->attributes)
        return no_memory(xml, e);
    for (const xmlAttr *a = node->properties; a; a = a->next) {
        struct rg_xml_attribute *to = &element->attributes[element->count++];
        xmlChar *value = xmlNodeListGetString(node->doc, a->children, 1);
        to->name = keep_text(xml, (const char *)a->name);
        to->value = keep_text(xml, value ? (const char *)value : "");
        xmlFree(value);
        if (!to->name || !to->value)
            return no_memory(xml, e);
        to->line = a->_private ? line_of(a->_private) : element->line;
        if (a->ns)
            return rg_xml_fail(xml, to->line, e,
                               "attribute \"%.40s:%.40s\": no namespaces are "
                               "allowed",
                               a->ns->prefix ? (const char *)a->ns->prefix : "", to->name);
    }
    return 0;
}

/* A <trace> of a platform has its lines as text. */
static int copy_text(struct rg_xml *xml, struct rg_xml_element *element, const xmlNode *node,
                     struct rg_error *e)
{
    xmlChar *text = xmlNodeGetContent(node);
    element->text = keep_text(xml, text ? (const char *)text : "");
    xmlFree(text);
    return element->text ? 0 : no_memory(xml, e);
}

static struct rg_xml_element *copy_element(struct rg_xml *xml, const xmlNode *node,
                                           struct rg_error *e)
{
    struct rg_xml_element *element = keep(xml, sizeof *element);
    if (!element || !(element->name = keep_text(xml, (const char *)node->name))) {
        no_memory(xml, e);
        return NULL;
    }
    element->line = line_of(node->_private);
    if (node->ns || node->nsDef) {
        rg_xml_fail(xml, element->line, e, "<%.60s>: no namespaces are allowed", element->name);
        return NULL;
    }
    if (copy_attributes(xml, element, node, e) < 0)
        return NULL;
    if (strcmp(element->name, "trace") == 0)
        return copy_text(xml, element, node, e) < 0 ? NULL : element;
    struct rg_xml_element **link = &element->child;
    for (const xmlNode *n = node->children; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE) { /* libxml2 bounds the depth at 256 */
            *link = copy_element(xml, n, e);
            if (!*link)
                return NULL;
            (*link)->parent = element;
            link = &(*link)->next;
        } else if (n->type != XML_COMMENT_NODE && n->type != XML_PI_NODE &&
                   !(n->type == XML_TEXT_NODE && xmlIsBlankNode((xmlNode *)n))) {
            rg_xml_fail(xml, element->line, e,
                        "text inside <%.60s>: only elements and comments "
                        "are allowed",
                        element->name);
            return NULL;
        }
    }
    return element;
}

/* Entities are refused as soon as one is declared, before anything could use it. */
static void refuse_entity(void *context, const xmlChar *name, int type, const xmlChar *public,
                          const xmlChar *system, xmlChar *content)
{
    xmlParserCtxt *parser = context;
    (void)name, (void)type, (void)public, (void)system, (void)content;
    *(int *)parser->_private = parser->input ? parser->input->line : 1;
    xmlStopParser(parser);
}

/* Some complaints of libxml2 pass by the parser's own channel and would go to standard error. */
static void swallow(void *context, xmlErrorPtr error)
{
    (void)context, (void)error;
}

static xmlDoc *parse(const struct rg_xml *xml, const struct text *text, struct rg_error *e)
{
    int entity_line = 0;
    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (!parser) {
        no_memory(xml, e);
        return NULL;
    }
    parser->_private = &entity_line;
    parser->sax->entityDecl = refuse_entity;
    parser->sax->startElementNs = start_element;
    xmlStructuredErrorFunc saved = xmlStructuredError;
    void *saved_context = xmlStructuredErrorContext;
    xmlSetStructuredErrorFunc(NULL, swallow);
    xmlDoc *doc = xmlCtxtReadMemory(parser, text->bytes, (int)text->length, NULL, NULL,
                                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlSetStructuredErrorFunc(saved_context, saved);
    const xmlError *error = xmlCtxtGetLastError(parser);
    if (entity_line > 0) {
        rg_xml_fail(xml, entity_line, e, "declares an entity: no entities are allowed");
    } else if (!doc || !parser->wellFormed) {
        char message[200];
        snprintf(message, sizeof message, "%s",
                 error && error->message ? error->message : "not an XML file");
        rg_one_line(message);
        char *hint = strstr(message, " use XML_PARSE_HUGE"); /* for programmers */
        if (hint)
            *hint = '\0';
        size_t length = strlen(message);
        while (length > 0 && message[length - 1] == ' ')
            message[--length] = '\0';
        rg_xml_fail(xml, error && error->line > 0 ? error->line : 1, e, "not well formed: %s",
                    message);
    } else if (doc->intSubset && doc->intSubset->children) {
        rg_xml_fail(xml, 1, e, "declarations inside <!DOCTYPE>: none are allowed");
    } else {
        xmlFreeParserCtxt(parser);
        return doc;
    }
    xmlFreeDoc(doc);
    xmlFreeParserCtxt(parser);
    return NULL;
}

int rg_xml_open(struct rg_xml *xml, const char *path, const char *root, struct rg_error *e)
{
    struct text text = {0};
    struct rg_error problem = {0}; /* e may be NULL, the code is needed here */
    *xml = (struct rg_xml){.path = strdup(path)};
    int err = xml->path ? read_all(xml, &text, &problem)
                        : rg_fail(&problem, RG_ERR_NOMEM, "out of memory");
    err = err ? err : check_tags(xml, &text, &problem);
    xmlDoc *doc = err ? NULL : parse(xml, &text, &problem);
    const xmlNode *node = doc ? xmlDocGetRootElement(doc) : NULL;
    if (node && strcmp((const char *)node->name, root) != 0)
        rg_xml_fail(xml, line_of(node->_private), &problem,
                    "the root element is <%.60s>: <%s> is allowed", node->name, root);
    else if (node)
        xml->root = copy_element(xml, node, &problem);
    xmlFreeDoc(doc);
    free(text.bytes);
    if (xml->root)
        return 0;
    rg_xml_close(xml);
    if (problem.code == 0)
        problem.code = RG_ERR_INTERNAL;
    return rg_fail(e, problem.code, "%s", problem.text);
}

void rg_xml_close(struct rg_xml *xml)
{
    for (struct rg_xml_chunk *chunk = xml->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(xml->path);
    *xml = (struct rg_xml){0};
}

int rg_xml_unknown(const struct rg_xml *xml, const struct rg_xml_element *element,
                   const struct rg_xml_attribute *attribute, const char *words, struct rg_error *e)
{
    char allowed[300];
    rg_text_allowed(words, attribute->name, allowed, sizeof allowed);
    return rg_xml_fail(xml, attribute->line, e, "unknown attribute \"%.40s\" of <%s>: %s",
                       attribute->name, element->name, allowed);
}

int rg_xml_only(const struct rg_xml *xml, const struct rg_xml_element *element, const char *words,
                struct rg_error *e)
{
    for (int i = 0; i < element->count; i++) {
        const struct rg_xml_attribute *a = &element->attributes[i];
        if (rg_text_index(words, a->name) >= 0)
            continue;
        return rg_xml_unknown(xml, element, a, words, e);
    }
    return 0;
}

int rg_xml_empty(const struct rg_xml *xml, const struct rg_xml_element *element, struct rg_error *e)
{
    if (!element->child)
        return 0;
    return rg_xml_fail(xml, element->child->line, e,
                       "<%.60s> inside <%s>: no elements are allowed there", element->child->name,
                       element->name);
}

const struct rg_xml_attribute *rg_xml_find(const struct rg_xml_element *element, const char *name)
{
    for (int i = 0; i < element->count; i++)
        if (strcmp(element->attributes[i].name, name) == 0)
            return &element->attributes[i];
    return NULL;
}

int rg_xml_want(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
                const struct rg_xml_attribute **attribute, struct rg_error *e)
{
    const struct rg_xml_attribute *found = rg_xml_find(element, name);
    if (!found)
        return rg_xml_fail(xml, element->line, e, "<%s> needs the attribute \"%s\"", element->name,
                           name);
    if (found->value[0] == '\0')
        return rg_xml_fail(xml, found->line, e, "%s=\"\" of <%s>: must not be empty", name,
                           element->name);
    *attribute = found;
    return 0;
}

int rg_xml_number(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
                  const struct rg_limit *limit, double *value, struct rg_error *e)
{
    const struct rg_xml_attribute *a = rg_xml_find(element, name);
    struct rg_error why = {0};
    if (!a || rg_text_number(a->value, limit, value, &why) == 0)
        return 0;
    return rg_xml_fail(xml, a->line, e, "%s=\"%.40s\" of <%s>: %s", name, a->value, element->name,
                       why.text);
}

int rg_xml_int(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
               const struct rg_limit *limit, int *value, struct rg_error *e)
{
    double number = *value;
    int err = rg_xml_number(xml, element, name, limit, &number, e);
    *value = (int)number;
    return err;
}

int rg_xml_choice(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
                  const char *words, int *value, struct rg_error *e)
{
    const struct rg_xml_attribute *a = rg_xml_find(element, name);
    if (!a)
        return 0;
    int index = rg_text_index(words, a->value);
    if (index >= 0) {
        *value = index;
        return 0;
    }
    char allowed[200];
    rg_text_allowed(words, a->value, allowed, sizeof allowed);
    return rg_xml_fail(xml, a->line, e, "%s=\"%.40s\" of <%s>: %s", name, a->value, element->name,
                       allowed);
}
