/* The table of result fields, and what it says by itself: initial values, freeing, adding up. */
#include "result/result_fields.h"

#include "base/check.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const schema_names[] = {RG_RESULT_SCHEMA};
static const char *const numerics_names[] = {"skip", "real"};
static const char *const sign_names[] = {"slow", "frozen", "link"};
static const char *const status_names[] = {
    [RG_RUN_OK] = "ok",
    [RG_RUN_NO_FIT] = "does-not-fit",
    [RG_RUN_FAILED] = "failed",
    [RG_RUN_INTERRUPTED] = "interrupted",
    [RG_RUN_IMPOSSIBLE] = "impossible",
    [RG_RUN_DIVERGED] = "diverged",
    [RG_RUN_LOST] = "lost",
};

const char *rg_status_name(enum rg_status status)
{
    RG_ASSERT((size_t)status < RG_COUNT(status_names));
    return status_names[status];
}

/* ---- the table ---- */

enum { /* as result_fields.def writes them */
       OR_NULL = RG_FIELD_OR_NULL,
       LEFT_OUT = RG_FIELD_LEFT_OUT,
       LATER = RG_FIELD_LATER,
       ZERO = RG_FIELD_ZERO,
       UNREAD = RG_FIELD_UNREAD,
       PRIVATE = RG_FIELD_PRIVATE,
       NUMBERS = RG_FIELD_NUMBERS
};

#define JOINED_(a, b) a##b
#define JOINED(a, b)  JOINED_(a, b)
#define FIELDS        JOINED(RECORD, _fields)
#define WHERE(member)                                                                              \
    .offset = offsetof(struct RECORD, member), .size = sizeof((struct RECORD *)0)->member
#define COUNTED_BY(member) .count_offset = offsetof(struct RECORD, member)
#define ROW(kind_, member, name_, unit_, nodes_, runs_, flags_, sentence_)                         \
    .name = name_, .kind = RG_FIELD_##kind_, WHERE(member), .unit = unit_,                         \
    .over_nodes = RG_NODES_##nodes_, .extrapolation = RG_RUNS_##runs_, .flags = (flags_),          \
    .sentence = sentence_

#define BEGIN static const struct rg_field FIELDS[] = {
#define END                                                                                        \
    }                                                                                              \
    ;                                                                                              \
    const struct rg_record JOINED(RECORD, _record) = {sizeof(struct RECORD), FIELDS,               \
                                                      RG_COUNT(FIELDS)};
#define PRESENT(member)               {ROW(PRESENT, member, #member, "", NONE, NONE, PRIVATE, "")},
#define REAL(member, ...)             REAL_AS(member, #member, __VA_ARGS__)
#define REAL_AS(member, ...)          {ROW(REAL, member, __VA_ARGS__)},
#define COUNT(member, ...)            {ROW(COUNT, member, #member, __VA_ARGS__)},
#define WHOLE(type, member, ...)      {ROW(WHOLE, member, #member, __VA_ARGS__)},
#define FLAG(member, flags, sentence) {ROW(FLAG, member, #member, "", NONE, NONE, flags, sentence)},
#define TEXT(member, size_, nodes, flags, sentence)                                                \
    {ROW(TEXT, member, #member, "", nodes, NONE, flags, sentence)},
#define CHOICE(type, member, names, flags, sentence)                                               \
    {ROW(CHOICE, member, #member, "", NONE, NONE, flags, sentence), .choices = names,              \
     .choice_count = RG_COUNT(names)},
#define PAIRS(member, count, flags, sentence)                                                      \
    {ROW(PAIRS, member, #member, "", NONE, NONE, flags, sentence), COUNTED_BY(count)},
#define INTS(member, count, sentence)                                                              \
    {ROW(INTS, member, #member, "", NONE, NONE, 0, sentence), COUNTED_BY(count)},
#define TEXTS(member, count, flags, sentence)                                                      \
    {ROW(TEXTS, member, #member, "", NONE, NONE, flags, sentence), COUNTED_BY(count)},
#define OBJECT(of, member, flags, sentence)                                                        \
    {ROW(OBJECT, member, #member, "", NONE, NONE, flags, sentence), .record = &of##_record},
#define LIST(of, member, count, flags, sentence)                                                   \
    {ROW(LIST, member, #member, "", NONE, NONE, flags, sentence), COUNTED_BY(count),               \
     .record = &of##_record},
#define TRACE(member) {ROW(TRACE, member, #member, "", NONE, NONE, PRIVATE, "")},

#include "result/result_fields.def"

/* ---- members ---- */

bool rg_record_present(const struct rg_record *record, const void *at)
{
    const struct rg_field *first = &record->fields[0];
    return first->kind != RG_FIELD_PRESENT || *(const bool *)((const char *)at + first->offset);
}

void rg_record_set_present(const struct rg_record *record, void *at)
{
    const struct rg_field *first = &record->fields[0];
    if (first->kind == RG_FIELD_PRESENT)
        *(bool *)((char *)at + first->offset) = true;
}

void *rg_field_items(const struct rg_field *field, const void *at, int *count)
{
    *count = *(const int *)((const char *)at + field->count_offset);
    return *(void *const *)((const char *)at + field->offset);
}

static size_t item_size(const struct rg_field *field)
{
    switch (field->kind) {
    case RG_FIELD_LIST:
        return field->record->size;
    case RG_FIELD_PAIRS:
        return sizeof(struct rg_run_setting);
    case RG_FIELD_TEXTS:
        return sizeof(char *);
    default:
        return sizeof(int);
    }
}

void *rg_field_make_items(const struct rg_field *field, void *at, int count)
{
    size_t size = item_size(field);
    char *items = calloc((size_t)count + 1, size);
    *(void **)((char *)at + field->offset) = items;
    *(int *)((char *)at + field->count_offset) = items ? count : 0;
    for (int i = 0; items && field->kind == RG_FIELD_LIST && i < count; i++)
        rg_record_init(field->record, items + (size_t)i * size);
    return items;
}

int64_t rg_field_whole(const struct rg_field *field, const void *at)
{
    const char *member = (const char *)at + field->offset;
    switch (field->size) {
    case 1:
        return *(const bool *)member;
    case 4:
        return *(const int32_t *)member;
    default:
        return *(const int64_t *)member;
    }
}

bool rg_field_set_whole(const struct rg_field *field, void *at, int64_t value)
{
    char *member = (char *)at + field->offset;
    if (field->size == 8)
        *(int64_t *)member = value;
    else if (field->size == 4 && value >= INT32_MIN && value <= INT32_MAX)
        *(int32_t *)member = (int32_t)value;
    else if (field->size == 1 && (value == 0 || value == 1))
        *(bool *)member = value;
    else
        return false;
    return true;
}

int64_t rg_field_least(const struct rg_field *field)
{
    if (field->flags & RG_FIELD_PRIVATE)
        return INT64_MIN;
    return field->flags & RG_FIELD_OR_NULL ? -1 : 0;
}

double rg_record_number(const struct rg_record *record, const void *at, const char *path)
{
    size_t length = strcspn(path, ".");
    const struct rg_field *field = record->fields, *end = field + record->field_count;
    while (field < end &&
           (strlen(field->name) != length || strncmp(field->name, path, length) != 0))
        field++;
    RG_ASSERT(field < end);
    const char *member = (const char *)at + field->offset;
    switch (field->kind) {
    case RG_FIELD_OBJECT:
        return rg_record_present(field->record, member)
                   ? rg_record_number(field->record, member, path + length + 1)
                   : NAN;
    case RG_FIELD_REAL:
        return *(const double *)member;
    case RG_FIELD_COUNT:
        return (double)*(const uint64_t *)member;
    default:
        RG_ASSERT(field->kind == RG_FIELD_WHOLE);
        return (double)rg_field_whole(field, at);
    }
}

/* ---- life ---- */

void rg_record_init(const struct rg_record *record, void *at)
{
    memset(at, 0, record->size);
    for (int i = 0; i < record->field_count; i++) {
        const struct rg_field *field = &record->fields[i];
        char *member = (char *)at + field->offset;
        if (field->kind == RG_FIELD_REAL && !(field->flags & RG_FIELD_ZERO))
            *(double *)member = NAN;
        else if (field->kind == RG_FIELD_WHOLE && field->flags & RG_FIELD_OR_NULL)
            rg_field_set_whole(field, at, -1);
        else if (field->kind == RG_FIELD_OBJECT)
            rg_record_init(field->record, member);
    }
}

static void free_items(const struct rg_field *field, void *at)
{
    int count;
    char *items = rg_field_items(field, at, &count);
    for (int i = 0; i < count; i++) {
        if (field->kind == RG_FIELD_LIST)
            rg_record_free(field->record, items + (size_t)i * field->record->size);
        else if (field->kind == RG_FIELD_PAIRS)
            free(((struct rg_run_setting *)items)[i].value);
        else if (field->kind == RG_FIELD_TEXTS)
            free(((char **)items)[i]);
    }
    free(items);
    *(void **)((char *)at + field->offset) = NULL;
    *(int *)((char *)at + field->count_offset) = 0;
}

void rg_record_free(const struct rg_record *record, void *at)
{
    for (int i = 0; i < record->field_count; i++) {
        const struct rg_field *field = &record->fields[i];
        char *member = (char *)at + field->offset;
        switch (field->kind) {
        case RG_FIELD_OBJECT:
            rg_record_free(field->record, member);
            break;
        case RG_FIELD_LIST:
        case RG_FIELD_PAIRS:
        case RG_FIELD_INTS:
        case RG_FIELD_TEXTS:
            free_items(field, at);
            break;
        case RG_FIELD_TRACE:
            rg_trace_free(*(struct rg_trace **)member);
            *(struct rg_trace **)member = NULL;
            break;
        default:
            break;
        }
    }
}

/* ---- adding up ---- */

static double real_of_both(enum rg_over_nodes rule, double a, double b)
{
    return rule == RG_NODES_SUM   ? a + b
           : rule == RG_NODES_MAX ? fmax(a, b)
           : rule == RG_NODES_RSS ? hypot(a, b)
                                  : a;
}

static void add_object(const struct rg_record *record, void *into, const void *from)
{
    if (!rg_record_present(record, from))
        return;
    if (rg_record_present(record, into))
        rg_record_add(record, into, from);
    else
        memcpy(into, from, record->size);
}

void rg_record_add(const struct rg_record *record, void *into, const void *from)
{
    for (int i = 0; i < record->field_count; i++) {
        const struct rg_field *field = &record->fields[i];
        enum rg_over_nodes rule = field->over_nodes;
        char *a = (char *)into + field->offset;
        const char *b = (const char *)from + field->offset;
        if (field->kind == RG_FIELD_OBJECT) {
            add_object(field->record, a, b);
        } else if (rule == RG_NODES_NONE || rule == RG_NODES_DERIVED) {
            continue;
        } else if (field->kind == RG_FIELD_REAL) {
            *(double *)a = real_of_both(rule, *(double *)a, *(const double *)b);
        } else if (field->kind == RG_FIELD_COUNT) {
            uint64_t x = *(uint64_t *)a, y = *(const uint64_t *)b;
            *(uint64_t *)a = rule == RG_NODES_SUM ? x + y : RG_MAX(x, y);
        } else if (field->kind == RG_FIELD_WHOLE) {
            int64_t x = rg_field_whole(field, into), y = rg_field_whole(field, from);
            RG_ASSERT(rg_field_set_whole(field, into, rule == RG_NODES_SUM ? x + y : RG_MAX(x, y)));
        } else if (field->kind == RG_FIELD_TEXT && a[0] == '\0') {
            memcpy(a, b, field->size);
        }
    }
}
