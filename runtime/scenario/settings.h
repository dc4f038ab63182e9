/* The settings of a scenario: one row each, from which reading the XML, --set, sweeps, the digest,
 * --list and the schema follow. To add one: a place in struct rg_scenario, a row in settings.c, and
 * `ringsim --schema >scenarios/scenario.rng`.
 *
 * Some attributes come from other tables, by the kind of their element: those of <data> from
 * rg_data_kinds, those of <strategy> from rg_strategies. */
#ifndef RG_SCENARIO_SETTINGS_H
#define RG_SCENARIO_SETTINGS_H

#include "scenario/scenario.h"
#include "scenario/setting_type.h"
#include <stdio.h>

/* The C type of the place that keeps a value. */
enum rg_store {
    RG_STORE_NONE,
    RG_STORE_INT,
    RG_STORE_ENUM,
    RG_STORE_LONG,
    RG_STORE_UINT64,
    RG_STORE_BOOL,
    RG_STORE_FLOAT,
    RG_STORE_DOUBLE,
    RG_STORE_TEXT, /* a char *, malloc'ed, NULL: not given */
    RG_STORE_RANKS /* two int, the first and the last */
};

struct rg_setting_info {
    const char *element; /* a list of words: elements that have it; NULL: for --set alone */
    const char *name;    /* of the attribute */
    const char *key;     /* of --set and <sweep>; NULL: neither changes it */
    const char *older;   /* another word for name and key, which is read as well */
    struct rg_type type;
    double absent;      /* its number where nobody gives one */
    bool needed;        /* its element cannot do without it */
    const char *either; /* the setting of which it takes the place; the two exclude each other */
    const char *with;   /* "NAME=WORD": it stands only where that setting has that word; where --set
                         * gives that another word, it is reset */
    size_t at;          /* where its value is kept: in struct rg_scenario, or in the record */
    enum rg_store store;
    bool record; /* its element may stand several times, and fills a record each time */
    /* Keep the number, and tell it, where storing it is not all. */
    void (*set)(struct rg_scenario *s, double number);
    double (*get)(const struct rg_scenario *s);
    const char *sealed; /* the word by which the digest has had it from the first; NULL: it is there
                         * by its name, where it is not `absent` */
    const char *help;
};

/* All of them, in the order in which they are read and sealed; the last has no help. */
extern const struct rg_setting_info rg_setting_infos[];

struct rg_xml;
struct rg_xml_element;

struct rg_element_info {
    const char *name, *parent; /* no parent: the root */
    bool needed, many;
    bool some; /* at least one of its settings must be given */
    /* What is to be done beside putting the table's attributes in their places. NULL: nothing. */
    int (*read)(const struct rg_xml *xml, const struct rg_xml_element *element,
                struct rg_scenario *s, struct rg_error *e);
    /* From which table further attributes come, by the value of `kind`. */
    enum { RG_OTHERS_NONE, RG_OTHERS_DATA, RG_OTHERS_STRATEGY } others;
};

/* elements.c: the root first; the last has no name. */
extern const struct rg_element_info rg_element_infos[];

/* By key or older word; by the name of an element's attribute. NULL: there is none. */
const struct rg_setting_info *rg_setting_of_key(const char *key);
const struct rg_setting_info *rg_setting_of_attribute(const char *element, const char *name);
bool rg_setting_belongs(const struct rg_setting_info *info, const char *element);
/* Does a value of one key take the place of a value of the other? LABEL.PARAM: only of its own. */
bool rg_setting_replaces(const char *a, const char *b);
/* All keys of --set, a list of words; the last is LABEL.PARAM. */
enum { RG_SETTING_KEYS = 600 };
void rg_setting_keys(char out[RG_SETTING_KEYS]);
/* Those, and what this scenario's kind of data takes. */
enum { RG_SCENARIO_KEYS = RG_SETTING_KEYS + 300 };
void rg_scenario_keys(const struct rg_scenario *s, char *words, size_t size);

/* The number kept in `base`, a scenario or record; of a text 0. */
double rg_setting_number(const struct rg_setting_info *info, const void *base);
/* The text kept there, of one that keeps a text. */
char **rg_setting_text(const struct rg_setting_info *info, const void *base);
/* Keep a number in a record. */
void rg_setting_store(const struct rg_setting_info *info, void *base, double number);
/* Keep a number in the scenario; or in place of another, which resets what goes with that. */
void rg_setting_keep(const struct rg_setting_info *info, struct rg_scenario *s, double number);
void rg_setting_change(const struct rg_setting_info *info, struct rg_scenario *s, double number);
/* May the setting stand in this scenario? Otherwise *other is the one that is against it, and *word
 * what that would have to be. */
bool rg_setting_stands(const struct rg_setting_info *info, const struct rg_scenario *s,
                       const struct rg_setting_info **other, const char **word);

/* What an attribute of <data> may be. */
struct rg_type rg_type_of_data(const struct rg_data_attribute *attribute);

/* scenarios/scenario.rng, the RELAX NG schema. */
void rg_schema_write(FILE *stream);

#endif
