/* The table of result fields, made from result_fields.def: for those that walk over all fields of a
 * record, whatever they are. Whoever knows which field is meant uses the structs of result.h. */
#ifndef RG_RESULT_FIELDS_H
#define RG_RESULT_FIELDS_H

#include "result/result.h"
#include <stddef.h>

enum rg_field_kind {
    RG_FIELD_PRESENT,
    RG_FIELD_REAL,
    RG_FIELD_COUNT,
    RG_FIELD_WHOLE, /* of `size` bytes, signed */
    RG_FIELD_FLAG,
    RG_FIELD_TEXT,   /* of `size` bytes, ending in 0 */
    RG_FIELD_CHOICE, /* of `size` bytes: an index of `choices` */
    RG_FIELD_PAIRS,
    RG_FIELD_INTS,
    RG_FIELD_TEXTS,
    RG_FIELD_OBJECT,
    RG_FIELD_LIST,
    RG_FIELD_TRACE
};

enum rg_over_nodes {
    RG_NODES_NONE,
    RG_NODES_SUM,
    RG_NODES_MAX,
    RG_NODES_RSS,
    RG_NODES_FIRST,
    RG_NODES_DERIVED
};

enum rg_extrapolation { RG_RUNS_NONE, RG_RUNS_GROWS, RG_RUNS_MAX, RG_RUNS_DERIVED };

enum rg_field_flag { /* as result_fields.def describes them */
                     RG_FIELD_OR_NULL = 1,
                     RG_FIELD_LEFT_OUT = 2,
                     RG_FIELD_LATER = 4,
                     RG_FIELD_ZERO = 8,
                     RG_FIELD_UNREAD = 16,
                     RG_FIELD_PRIVATE = 32,
                     RG_FIELD_NUMBERS =
                         64 /* of PAIRS: what looks like a number is written as one */
};

struct rg_field {
    const char *name; /* in JSON */
    enum rg_field_kind kind;
    size_t offset, size;            /* of the member in its struct */
    size_t count_offset;            /* PAIRS, INTS, TEXTS, LIST: of the int that counts the items */
    const struct rg_record *record; /* OBJECT, LIST */
    const char *const *choices;     /* CHOICE */
    int choice_count;
    const char *unit;
    enum rg_over_nodes over_nodes;
    enum rg_extrapolation extrapolation;
    unsigned flags;
    const char *sentence;
};

struct rg_record {
    size_t size; /* of its struct */
    const struct rg_field *fields;
    int field_count;
};

extern const struct rg_record rg_result_record, rg_run_record, rg_run_node_record,
    rg_run_energy_record;

/* Is the record there? One without a PRESENT always is. */
bool rg_record_present(const struct rg_record *record, const void *at);
void rg_record_set_present(const struct rg_record *record, void *at);
/* The number at a path like "formula.ratio"; NAN where it is unknown or its record is not there. */
double rg_record_number(const struct rg_record *record, const void *at, const char *path);
/* Every field unknown, empty or 0. */
void rg_record_init(const struct rg_record *record, void *at);
/* Frees what the fields own; they then point nowhere. */
void rg_record_free(const struct rg_record *record, void *at);
/* Adds the account of another node to *into, each field by its rule. */
void rg_record_add(const struct rg_record *record, void *into, const void *from);

/* The items of PAIRS, INTS, TEXTS or a LIST, and how many. */
void *rg_field_items(const struct rg_field *field, const void *at, int *count);
/* Zeroed room for `count` items (LIST: initialised) in place of none; NULL: out of memory. */
void *rg_field_make_items(const struct rg_field *field, void *at, int count);
/* A WHOLE or CHOICE, whatever its size; storing says whether it fits. */
int64_t rg_field_whole(const struct rg_field *field, const void *at);
bool rg_field_set_whole(const struct rg_field *field, void *at, int64_t value);
/* The least value that a WHOLE may have. */
int64_t rg_field_least(const struct rg_field *field);

#endif
