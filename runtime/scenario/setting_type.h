/* What a value may be, whoever's it is: of a setting of the scenario, of an attribute of its data,
 * of a strategy's parameter. Each kind says in one place how a text is read, how people are told
 * what is allowed, and how the schema says so (schema.c). */
#ifndef RG_SCENARIO_SETTING_TYPE_H
#define RG_SCENARIO_SETTING_TYPE_H

#include "scenario/text.h"

enum rg_type_kind {
    RG_TYPE_NUMBER, /* within `limit` */
    RG_TYPE_WORD,   /* one of a list; its number is the index */
    RG_TYPE_TEXT,   /* any but none */
    RG_TYPE_FILE,   /* a path; in a scenario relative to its folder */
    RG_TYPE_RANKS   /* "0-3,8" */
};

struct rg_type {
    enum rg_type_kind kind;
    struct rg_limit limit;          /* NUMBER; TEXT: max bytes, 0: any number */
    const char *words;              /* WORD: a list of words, */
    const char *(*word)(int index); /* or a table's names; NULL past its end */
    const char *pattern;            /* TEXT: what else its reader asks for, for the schema */
};

enum { RG_TYPE_WORDS = 400 };

/* *number: of a number or word; other texts leave it as it is. On failure *why says what is
 * allowed. */
int rg_type_read(const struct rg_type *type, const char *text, double *number,
                 struct rg_error *why);
/* The word of that index, "" where there is none, or the number. */
void rg_type_write(const struct rg_type *type, double number, char *out, size_t size);
/* For lists: "1 to 64", "sgd|momentum|adam". */
void rg_type_allowed(const struct rg_type *type, char *out, size_t size);
/* The words of a WORD, one string. */
void rg_type_words(const struct rg_type *type, char out[RG_TYPE_WORDS]);
/* Does its value have a number? */
bool rg_type_has_number(const struct rg_type *type);

#endif
