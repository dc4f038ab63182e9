/* Results as JSON. Key order is part of the format, and the table's: readers may compare bytes. */
#include "result/json.h"
#include "result/result_read.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Written as a number where that reads back to the very same text: "16", not "016" or "4,4". */
static bool is_plain_count(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= 15 && (text[0] != '0' || length == 1) &&
           strspn(text, "0123456789") == length;
}

static void write_pairs(struct rg_json *j, const struct rg_field *field, const void *at)
{
    int count;
    const struct rg_run_setting *pairs = rg_field_items(field, at, &count);
    rg_json_object(j, field->name, true);
    for (int i = 0; i < count; i++)
        if (field->flags & RG_FIELD_NUMBERS && is_plain_count(pairs[i].value))
            rg_json_raw(j, pairs[i].name, pairs[i].value);
        else
            rg_json_text(j, pairs[i].name, pairs[i].value);
    rg_json_close(j);
}

static void write_record(struct rg_json *j, const struct rg_record *record, const void *at);

/* A record of lists, as a run or a result, has its fields in lines of their own. */
static bool is_flat(const struct rg_record *record)
{
    for (int i = 0; i < record->field_count; i++)
        if (record->fields[i].kind == RG_FIELD_LIST)
            return false;
    return true;
}

static void write_list(struct rg_json *j, const struct rg_field *field, const void *at)
{
    int count;
    const char *items = rg_field_items(field, at, &count);
    if (count == 0 && field->flags & RG_FIELD_LEFT_OUT)
        return;
    rg_json_array(j, field->name, field->kind == RG_FIELD_INTS);
    for (int i = 0; i < count; i++) {
        if (field->kind == RG_FIELD_INTS) {
            rg_json_whole(j, NULL, ((const int *)items)[i]);
        } else if (field->kind == RG_FIELD_TEXTS) {
            rg_json_text(j, NULL, ((char *const *)items)[i]);
        } else {
            rg_json_object(j, NULL, is_flat(field->record));
            write_record(j, field->record, items + (size_t)i * field->record->size);
            rg_json_close(j);
        }
    }
    rg_json_close(j);
}

static void write_object(struct rg_json *j, const struct rg_field *field, const void *member)
{
    if (rg_record_present(field->record, member)) {
        rg_json_object(j, field->name, true);
        write_record(j, field->record, member);
        rg_json_close(j);
    } else if (!(field->flags & RG_FIELD_LEFT_OUT)) {
        rg_json_null(j, field->name);
    }
}

static void write_field(struct rg_json *j, const struct rg_field *field, const void *at)
{
    const char *member = (const char *)at + field->offset;
    bool or_null = field->flags & RG_FIELD_OR_NULL;
    switch (field->kind) {
    case RG_FIELD_REAL:
        rg_json_real(j, field->name, *(const double *)member);
        break;
    case RG_FIELD_COUNT:
        rg_json_count(j, field->name, *(const uint64_t *)member);
        break;
    case RG_FIELD_WHOLE:
        if (or_null && rg_field_whole(field, at) < 0)
            rg_json_null(j, field->name);
        else
            rg_json_whole(j, field->name, rg_field_whole(field, at));
        break;
    case RG_FIELD_FLAG:
        rg_json_flag(j, field->name, *(const bool *)member);
        break;
    case RG_FIELD_TEXT:
        if (member[0] || !(field->flags & RG_FIELD_LEFT_OUT))
            rg_json_text(j, field->name, or_null && !member[0] ? NULL : member);
        break;
    case RG_FIELD_CHOICE:
        rg_json_text(j, field->name, field->choices[rg_field_whole(field, at)]);
        break;
    case RG_FIELD_PAIRS:
        write_pairs(j, field, at);
        break;
    case RG_FIELD_INTS:
    case RG_FIELD_TEXTS:
    case RG_FIELD_LIST:
        write_list(j, field, at);
        break;
    case RG_FIELD_OBJECT:
        write_object(j, field, member);
        break;
    case RG_FIELD_PRESENT:
    case RG_FIELD_TRACE:
        break;
    }
}

static void write_record(struct rg_json *j, const struct rg_record *record, const void *at)
{
    for (int i = 0; i < record->field_count; i++)
        if (!(record->fields[i].flags & RG_FIELD_PRIVATE))
            write_field(j, &record->fields[i], at);
}

/* ---- digests of runs ---- */

int rg_result_seal(struct rg_result *result)
{
    struct rg_result_host *host = &result->host;
    host->runs_sha256 = calloc((size_t)result->run_count + 1, sizeof *host->runs_sha256);
    host->sealed_count = 0;
    for (int i = 0; host->runs_sha256 && i < result->run_count; i++) {
        char *text = NULL;
        size_t length = 0;
        struct rg_json j = {.stream = open_memstream(&text, &length)};
        if (!j.stream)
            return RG_ERR_NOMEM;
        rg_json_object(&j, NULL, false);
        write_record(&j, &rg_run_record, &result->runs[i]);
        rg_json_close(&j);
        bool whole = fclose(j.stream) == 0;
        json_t *run = whole ? json_loadb(text, length, 0, NULL) : NULL;
        host->runs_sha256[i] = run ? rg_json_sha256(run) : NULL;
        json_decref(run);
        free(text);
        if (!host->runs_sha256[i])
            return RG_ERR_NOMEM;
        host->sealed_count++;
    }
    return host->runs_sha256 ? 0 : RG_ERR_NOMEM;
}

void rg_result_unseal(struct rg_result *result)
{
    struct rg_result_host *host = &result->host;
    for (int i = 0; i < host->sealed_count; i++)
        free(host->runs_sha256[i]);
    free(host->runs_sha256);
    host->runs_sha256 = NULL;
    host->sealed_count = 0;
}

int rg_result_write(const struct rg_result *result, FILE *stream)
{
    struct rg_json j = {.stream = stream};
    rg_json_object(&j, NULL, false);
    write_record(&j, &rg_result_record, result);
    rg_json_close(&j);
    return ferror(stream) ? RG_ERR_IO : 0;
}
