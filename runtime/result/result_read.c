/* Results from JSON, by the table.
 *
 * Failure modes handled: fields that are missing, of another type or out of range; no memory.
 * Fields that the table does not have, as of later versions, are let pass. */
#include "result/result_read.h"

#include "base/digest.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool wrong(struct rg_error *why, const char *name)
{
    rg_fail(why, RG_ERR_PROTOCOL, "\"%.60s\"", name);
    return false;
}

static bool read_whole(const struct rg_field *field, void *at, const json_t *value)
{
    if (json_is_null(value) && field->flags & RG_FIELD_OR_NULL)
        return rg_field_set_whole(field, at, -1);
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           rg_field_set_whole(field, at, json_integer_value(value));
}

static bool read_text(const struct rg_field *field, char *member, const json_t *value)
{
    const char *text = json_string_value(value);
    if (json_is_null(value) && field->flags & RG_FIELD_OR_NULL)
        text = "";
    if (!text || strlen(text) >= field->size)
        return false;
    strcpy(member, text);
    return true;
}

static bool read_choice(const struct rg_field *field, void *at, const json_t *value)
{
    const char *text = json_string_value(value);
    for (int i = 0; text && i < field->choice_count; i++)
        if (strcmp(field->choices[i], text) == 0)
            return rg_field_set_whole(field, at, i);
    return false;
}

static bool read_pairs(const struct rg_field *field, void *at, const json_t *object)
{
    struct rg_run_setting *pair;
    const char *name;
    json_t *value;
    if (!json_is_object(object) || json_object_size(object) > INT_MAX ||
        !(pair = rg_field_make_items(field, at, (int)json_object_size(object))))
        return false;
    json_object_foreach((json_t *)object, name, value)
    {
        char number[32];
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        bool is_number = field->flags & RG_FIELD_NUMBERS && json_is_integer(value);
        const char *text = is_number ? number : json_string_value(value);
        pair->value = text && strlen(name) < sizeof pair->name ? strdup(text) : NULL;
        if (!pair->value)
            return false;
        strcpy(pair++->name, name);
    }
    return true;
}

static bool read_int(void *items, size_t i, const json_t *value)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > INT_MAX)
        return false;
    ((int *)items)[i] = (int)number;
    return true;
}

static bool read_string(void *items, size_t i, const json_t *value)
{
    ((char **)items)[i] = json_is_string(value) ? strdup(json_string_value(value)) : NULL;
    return ((char **)items)[i] != NULL;
}

static void name_run(struct rg_error *why, size_t i)
{
    char key[80];
    snprintf(key, sizeof key, "%.79s", why->text);
    rg_fail(why, why->code, "run %zu: %s", i + 1, key);
}

static bool read_list(const struct rg_field *field, void *at, const json_t *array,
                      struct rg_error *why)
{
    size_t count = json_array_size(array);
    char *items;
    if (!json_is_array(array) || count > INT_MAX ||
        !(items = rg_field_make_items(field, at, (int)count)))
        return wrong(why, field->name);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        bool good = field->kind == RG_FIELD_INTS    ? read_int(items, i, item)
                    : field->kind == RG_FIELD_TEXTS ? read_string(items, i, item)
                                                    : true;
        if (!good)
            return wrong(why, field->name);
        if (field->kind == RG_FIELD_LIST &&
            !rg_record_read(field->record, items + i * field->record->size, item, why)) {
            if (field->record == &rg_run_record)
                name_run(why, i);
            return false;
        }
    }
    return true;
}

static bool read_object(const struct rg_field *field, void *member, const json_t *value,
                        struct rg_error *why)
{
    if (json_is_null(value) && field->flags & (RG_FIELD_OR_NULL | RG_FIELD_LEFT_OUT))
        return true;
    if (!json_is_object(value))
        return wrong(why, field->name);
    rg_record_set_present(field->record, member);
    return rg_record_read(field->record, member, value, why);
}

static bool read_field(const struct rg_field *field, void *at, const json_t *value,
                       struct rg_error *why)
{
    char *member = (char *)at + field->offset;
    bool good = true;
    switch (field->kind) {
    case RG_FIELD_REAL:
        good = json_is_number(value) || json_is_null(value);
        *(double *)member = json_is_number(value) ? json_number_value(value) : NAN;
        break;
    case RG_FIELD_COUNT:
        good = json_is_integer(value) && json_integer_value(value) >= 0;
        *(uint64_t *)member = good ? (uint64_t)json_integer_value(value) : 0;
        break;
    case RG_FIELD_WHOLE:
        good = read_whole(field, at, value);
        break;
    case RG_FIELD_FLAG:
        good = json_is_boolean(value);
        *(bool *)member = json_is_true(value);
        break;
    case RG_FIELD_TEXT:
        good = read_text(field, member, value);
        break;
    case RG_FIELD_CHOICE:
        good = read_choice(field, at, value);
        break;
    case RG_FIELD_PAIRS:
        good = read_pairs(field, at, value);
        break;
    case RG_FIELD_INTS:
    case RG_FIELD_TEXTS:
    case RG_FIELD_LIST:
        return read_list(field, at, value, why);
    case RG_FIELD_OBJECT:
        return read_object(field, member, value, why);
    case RG_FIELD_PRESENT:
    case RG_FIELD_TRACE:
        break;
    }
    return good || wrong(why, field->name);
}

/* What no field says by itself. */
static bool check_run(const struct rg_run *run, struct rg_error *why)
{
    if (!run->label[0])
        return wrong(why, "label");
    if ((run->status == RG_RUN_OK || run->status == RG_RUN_DIVERGED) && !(run->time_s >= 0))
        return wrong(why, "time_s");
    return true;
}

bool rg_record_read(const struct rg_record *record, void *at, const json_t *object,
                    struct rg_error *why)
{
    for (int i = 0; i < record->field_count; i++) {
        const struct rg_field *field = &record->fields[i];
        if (field->flags & (RG_FIELD_PRIVATE | RG_FIELD_UNREAD))
            continue;
        const json_t *value = json_object_get(object, field->name);
        if (!value && field->flags & (RG_FIELD_LATER | RG_FIELD_LEFT_OUT))
            continue;
        if (!value)
            return wrong(why, field->name);
        if (!read_field(field, at, value, why))
            return false;
    }
    return record != &rg_run_record || check_run(at, why);
}

char *rg_json_sha256(const json_t *run)
{
    char *text = json_dumps(run, JSON_COMPACT | JSON_SORT_KEYS), *sha256 = malloc(RG_DIGEST_TEXT);
    struct rg_digest *digest = text && sha256 ? rg_digest_new() : NULL;
    if (digest) {
        rg_digest_add(digest, text, strlen(text));
        rg_digest_end(digest, sha256);
        free(text);
        return sha256;
    }
    free(text);
    free(sha256);
    return NULL;
}
