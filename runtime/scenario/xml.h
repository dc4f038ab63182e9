/* An XML file as a tree of plain structs, every element and attribute with its line, and the checks
 * that all readers of one share. Names and values of the tree live as long as the tree. */
#ifndef RG_SCENARIO_XML_H
#define RG_SCENARIO_XML_H

#include "base/error.h"
#include "scenario/text.h"
#include <stdbool.h>

struct rg_xml_attribute {
    const char *name, *value;
    int line;
};

struct rg_xml_element {
    const char *name;
    int line; /* of its '<' */
    struct rg_xml_attribute *attributes;
    int count;
    const char *text;                             /* of a <trace>; NULL: none */
    struct rg_xml_element *parent, *child, *next; /* first child, next sibling */
};

struct rg_xml {
    char *path;
    struct rg_xml_element *root;
    struct rg_xml_chunk *chunks; /* memory of the tree */
};

/* Read a file whose root element has the given name. Refused, with file and line: what is not well
 * formed, text between elements (but in <trace>), declarations of entities (nothing external is
 * ever read), files beyond 32 MiB. On failure nothing is left to close. */
int rg_xml_open(struct rg_xml *xml, const char *path, const char *root, struct rg_error *e);
void rg_xml_close(struct rg_xml *xml);

/* The complaint, one line whatever the values in it hold. */
int rg_xml_fail(const struct rg_xml *xml, int line, struct rg_error *e, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* No attributes but those in the list of words. */
int rg_xml_only(const struct rg_xml *xml, const struct rg_xml_element *element, const char *words,
                struct rg_error *e);
/* The complaint about one that is not in the list. */
int rg_xml_unknown(const struct rg_xml *xml, const struct rg_xml_element *element,
                   const struct rg_xml_attribute *attribute, const char *words, struct rg_error *e);
/* No child elements. */
int rg_xml_empty(const struct rg_xml *xml, const struct rg_xml_element *element,
                 struct rg_error *e);

/* NULL: not given. */
const struct rg_xml_attribute *rg_xml_find(const struct rg_xml_element *element, const char *name);
/* Complains when it is not given or empty. */
int rg_xml_want(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
                const struct rg_xml_attribute **attribute, struct rg_error *e);

/* Values of attributes; *value stays as it is where the attribute is not given. */
int rg_xml_number(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
                  const struct rg_limit *limit, double *value, struct rg_error *e);
int rg_xml_int(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
               const struct rg_limit *limit, int *value, struct rg_error *e);
/* *value: the index in the list of words. */
int rg_xml_choice(const struct rg_xml *xml, const struct rg_xml_element *element, const char *name,
                  const char *words, int *value, struct rg_error *e);

#endif
