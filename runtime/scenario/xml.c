/* libxml2's tree turned into plain structs.
 *
 * Happy path: read the file into memory, let libxml2 parse it, copy elements and attributes, with
 * the lines that a scan of the text finds for them (libxml2 keeps no line for an attribute).
 * Failure modes handled: a file that cannot be read or is too large, text that is not well formed
 * (libxml2's own words), entities, which could hide other files or grow without bound. */
#include "scenario/xml.h"

#include "base/check.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdarg.h>
#include <stddef.h>
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

/* The start tags of a text in order: where, and on which line. */
struct tag {
    const char *at;
    int line;
};

/* A place inside a start tag; quote: the value it is in began with that. */
struct cursor {
    const char *at;
    int line;
    char quote;
};

struct text {
    char *bytes; /* terminated */
    size_t length;
    struct tag *tags;
    int count, room, next;
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

/* Past the next `what`, or to the end of the text. */
static const char *past(const char *p, const char *what)
{
    const char *found = strstr(p, what);
    return found ? found + strlen(what) : p + strlen(p);
}

/* Past the '>' of a tag, quoted values left out. */
static const char *past_tag(const char *p)
{
    char quote = '\0';
    for (; *p; p++) {
        if (quote)
            quote = *p == quote ? '\0' : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '>')
            return p + 1;
    }
    return p;
}

/* Where the text is well formed and declares nothing, a plain scan finds the tags; where it is not,
 * libxml2 will say so. RG_ERR_INVALID: the last tag found is too long (libxml2 takes quadratic time
 * to look for attributes that stand twice). */
static int find_tags(struct text *text)
{
    const char *p = text->bytes, *counted = p;
    int line = 1;
    while ((p = strchr(p, '<'))) {
        for (; counted < p; counted++)
            line += *counted == '\n';
        if (strncmp(p, "<!--", 4) == 0) {
            p = past(p + 4, "-->");
        } else if (strncmp(p, "<![CDATA[", 9) == 0) {
            p = past(p, "]]>");
        } else if (p[1] == '?') {
            p = past(p, "?>");
        } else if (p[1] == '!' || p[1] == '/') {
            p = past_tag(p);
        } else {
            if (text->count == text->room) {
                text->room = text->room ? 2 * text->room : 256;
                struct tag *tags = realloc(text->tags, (size_t)text->room * sizeof *tags);
                if (!tags)
                    return RG_ERR_NOMEM;
                text->tags = tags;
            }
            text->tags[text->count] = (struct tag){p, line};
            p = past_tag(p);
            if (p - text->tags[text->count++].at > MAX_TAG)
                return RG_ERR_INVALID;
        }
    }
    return 0;
}

static bool is_name(const char *p, const char *name, size_t length)
{
    return strncmp(p, name, length) == 0 && strchr(" \t\r\n/>=", p[length]);
}

/* The tag of the next element in document order; NULL where the text is in another encoding and the
 * scan found other tags than libxml2. */
static const struct tag *next_tag(struct text *text, const char *name)
{
    if (text->next >= text->count)
        return NULL;
    const struct tag *tag = &text->tags[text->next];
    if (!is_name(tag->at + 1, name, strlen(name)))
        return NULL;
    text->next++;
    return tag;
}

/* The line on which the tag gives this attribute; attributes are asked for in their order, and the
 * cursor goes along. */
static int attribute_line(struct cursor *cursor, const char *name)
{
    size_t length = strlen(name);
    struct cursor c = *cursor;
    for (; *c.at; c.at++) {
        c.line += *c.at == '\n';
        if (c.quote)
            c.quote = *c.at == c.quote ? '\0' : c.quote;
        else if (*c.at == '"' || *c.at == '\'')
            c.quote = *c.at;
        else if (*c.at == '>')
            break;
        else if (strchr(" \t\r\n", *c.at) && is_name(c.at + 1, name, length)) {
            c.at++;
            *cursor = c;
            return c.line;
        }
    }
    return cursor->line;
}

static int copy_attributes(struct rg_xml *xml, struct rg_xml_element *element, const xmlNode *node,
                           const struct tag *tag, struct rg_error *e)
{
    int count = 0;
    struct cursor cursor = {tag ? tag->at : "", element->line, '\0'};
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
        to->line = tag ? attribute_line(&cursor, to->name) : element->line;
        if (a->ns)
            return rg_xml_fail(xml, to->line, e,
                               "attribute \"%.40s:%.40s\": no namespaces are "
                               "allowed",
                               a->ns->prefix ? (const char *)a->ns->prefix : "", to->name);
    }
    return 0;
}

static struct rg_xml_element *copy_element(struct rg_xml *xml, const xmlNode *node,
                                           struct text *text, struct rg_error *e)
{
    struct rg_xml_element *element = keep(xml, sizeof *element);
    if (!element || !(element->name = keep_text(xml, (const char *)node->name))) {
        no_memory(xml, e);
        return NULL;
    }
    if (node->ns || node->nsDef) {
        rg_xml_fail(xml, (int)xmlGetLineNo((xmlNode *)node), e,
                    "<%.60s>: no namespaces are allowed", element->name);
        return NULL;
    }
    const struct tag *tag = next_tag(text, element->name);
    element->line = tag ? tag->line : (int)xmlGetLineNo((xmlNode *)node);
    if (copy_attributes(xml, element, node, tag, e) < 0)
        return NULL;
    struct rg_xml_element **link = &element->child;
    for (const xmlNode *n = node->children; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE) { /* libxml2 bounds the depth at 256 */
            *link = copy_element(xml, n, text, e);
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
    if (err == 0 && (err = find_tags(&text)) == RG_ERR_NOMEM)
        no_memory(xml, &problem);
    else if (err == RG_ERR_INVALID && text.count > 0)
        rg_xml_fail(xml, text.tags[text.count - 1].line, &problem,
                    "a tag of more than %d KiB, which none should be", MAX_TAG >> 10);
    xmlDoc *doc = err ? NULL : parse(xml, &text, &problem);
    const xmlNode *node = doc ? xmlDocGetRootElement(doc) : NULL;
    if (node && strcmp((const char *)node->name, root) != 0)
        rg_xml_fail(xml, text.count > 0 ? text.tags[0].line : 1, &problem,
                    "the root element is <%.60s>: <%s> is allowed", node->name, root);
    else if (node)
        xml->root = copy_element(xml, node, &text, &problem);
    xmlFreeDoc(doc);
    free(text.tags);
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

int rg_xml_only(const struct rg_xml *xml, const struct rg_xml_element *element, const char *words,
                struct rg_error *e)
{
    for (int i = 0; i < element->count; i++) {
        const struct rg_xml_attribute *a = &element->attributes[i];
        if (rg_text_index(words, a->name) >= 0)
            continue;
        char allowed[300];
        rg_text_allowed(words, a->name, allowed, sizeof allowed);
        return rg_xml_fail(xml, a->line, e, "unknown attribute \"%.40s\" of <%s>: %s", a->name,
                           element->name, allowed);
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
