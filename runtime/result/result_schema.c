/* The table of fields for others: as a JSON schema, and as the reference in docs/result.md. */
#include "result/json.h"
#include "result/result_fields.h"

#include <string.h>

/* ---- JSON schema, draft 07 ---- */

static void write_type(struct rg_json *j, const char *type, bool or_null)
{
    if (!or_null) {
        rg_json_text(j, "type", type);
        return;
    }
    rg_json_array(j, "type", true);
    rg_json_text(j, NULL, type);
    rg_json_text(j, NULL, "null");
    rg_json_close(j);
}

static void write_properties(struct rg_json *j, const struct rg_record *record);

static void write_schema_items(struct rg_json *j, const struct rg_field *field)
{
    rg_json_object(j, "items", false);
    if (field->kind == RG_FIELD_LIST) {
        write_type(j, "object", false);
        write_properties(j, field->record);
    } else if (field->kind == RG_FIELD_TEXTS) {
        write_type(j, "string", false);
    } else {
        write_type(j, "integer", false);
        rg_json_whole(j, "minimum", 0);
    }
    rg_json_close(j);
}

static void write_pair_values(struct rg_json *j, const struct rg_field *field)
{
    rg_json_object(j, "additionalProperties", true);
    if (field->flags & RG_FIELD_NUMBERS) {
        rg_json_array(j, "type", true);
        rg_json_text(j, NULL, "string");
        rg_json_text(j, NULL, "integer");
        rg_json_close(j);
    } else {
        write_type(j, "string", false);
    }
    rg_json_close(j);
}

static void write_choices(struct rg_json *j, const struct rg_field *field)
{
    rg_json_array(j, "enum", true);
    for (int i = 0; i < field->choice_count; i++)
        rg_json_text(j, NULL, field->choices[i]);
    rg_json_close(j);
}

static void write_field_schema(struct rg_json *j, const struct rg_field *field)
{
    bool or_null = field->flags & RG_FIELD_OR_NULL;
    switch (field->kind) {
    case RG_FIELD_REAL:
        write_type(j, "number", true);
        break;
    case RG_FIELD_COUNT:
    case RG_FIELD_WHOLE:
        write_type(j, "integer", or_null);
        rg_json_whole(j, "minimum", 0);
        break;
    case RG_FIELD_FLAG:
        write_type(j, "boolean", false);
        break;
    case RG_FIELD_TEXT:
        write_type(j, "string", or_null);
        break;
    case RG_FIELD_CHOICE:
        write_choices(j, field);
        break;
    case RG_FIELD_PAIRS:
        write_type(j, "object", false);
        write_pair_values(j, field);
        break;
    case RG_FIELD_INTS:
    case RG_FIELD_TEXTS:
    case RG_FIELD_LIST:
        write_type(j, "array", false);
        write_schema_items(j, field);
        break;
    case RG_FIELD_OBJECT:
        write_type(j, "object", or_null);
        write_properties(j, field->record);
        break;
    case RG_FIELD_PRESENT:
    case RG_FIELD_TRACE:
        break;
    }
}

static void write_properties(struct rg_json *j, const struct rg_record *record)
{
    rg_json_object(j, "properties", false);
    for (int i = 0; i < record->field_count; i++) {
        const struct rg_field *field = &record->fields[i];
        if (field->flags & RG_FIELD_PRIVATE)
            continue;
        rg_json_object(j, field->name, false);
        rg_json_text(j, "description", field->sentence);
        write_field_schema(j, field);
        rg_json_close(j);
    }
    rg_json_close(j);
    rg_json_array(j, "required", true);
    for (int i = 0; i < record->field_count; i++)
        if (!(record->fields[i].flags & (RG_FIELD_PRIVATE | RG_FIELD_LATER | RG_FIELD_LEFT_OUT)))
            rg_json_text(j, NULL, record->fields[i].name);
    rg_json_close(j);
}

void rg_result_schema(FILE *stream)
{
    struct rg_json j = {.stream = stream};
    rg_json_object(&j, NULL, false);
    rg_json_text(&j, "$schema", "http://json-schema.org/draft-07/schema#");
    rg_json_text(&j, "title", "Result of ringsim and ringnode");
    write_type(&j, "object", false);
    write_properties(&j, &rg_result_record);
    rg_json_close(&j);
}

/* ---- Markdown ---- */

static const char *const over_nodes[] = {[RG_NODES_NONE] = "",
                                         [RG_NODES_SUM] = "sum",
                                         [RG_NODES_MAX] = "largest",
                                         [RG_NODES_RSS] = "root of the sum of squares",
                                         [RG_NODES_FIRST] = "lowest rank's",
                                         [RG_NODES_DERIVED] = "from other fields"};
static const char *const extrapolated[] = {[RG_RUNS_NONE] = "",
                                           [RG_RUNS_GROWS] = "grows",
                                           [RG_RUNS_MAX] = "largest",
                                           [RG_RUNS_DERIVED] = "from other fields"};

static void print_type(const struct rg_field *field, FILE *stream)
{
    static const char *const types[] = {[RG_FIELD_REAL] = "number or null",
                                        [RG_FIELD_COUNT] = "integer",
                                        [RG_FIELD_WHOLE] = "integer",
                                        [RG_FIELD_FLAG] = "true or false",
                                        [RG_FIELD_TEXT] = "text",
                                        [RG_FIELD_PAIRS] = "object of texts",
                                        [RG_FIELD_INTS] = "integers",
                                        [RG_FIELD_TEXTS] = "texts",
                                        [RG_FIELD_OBJECT] = "object",
                                        [RG_FIELD_LIST] = "objects",
                                        [RG_FIELD_TRACE] = ""};
    if (field->kind != RG_FIELD_CHOICE)
        fputs(field->flags & RG_FIELD_NUMBERS ? "object of texts and integers" : types[field->kind],
              stream);
    for (int i = 0; i < field->choice_count; i++)
        fprintf(stream, "%s`%s`", i ? ", " : "", field->choices[i]);
    if (field->flags & RG_FIELD_OR_NULL)
        fputs(" or null", stream);
    if (field->flags & RG_FIELD_LEFT_OUT)
        fputs(", may be missing", stream);
}

static bool is_list(const struct rg_field *field)
{
    return field->kind == RG_FIELD_LIST || field->kind == RG_FIELD_INTS ||
           field->kind == RG_FIELD_TEXTS;
}

/* `path`: of the record, with a dot where it is not the whole. A node's own fields are not added up
 * over nodes, though the run has some of the same. */
static void print_rows(const struct rg_record *record, const char *path, bool of_node, FILE *stream)
{
    for (int i = 0; i < record->field_count; i++) {
        const struct rg_field *field = &record->fields[i];
        char name[120];
        if (field->flags & RG_FIELD_PRIVATE)
            continue;
        snprintf(name, sizeof name, "%s%s%s", path, field->name, is_list(field) ? "[]" : "");
        fprintf(stream, "| `%s` | ", name);
        print_type(field, stream);
        fprintf(stream, " | %s | %s | %s | %s |\n", strcmp(field->unit, "1") ? field->unit : "",
                over_nodes[of_node ? RG_NODES_NONE : field->over_nodes],
                extrapolated[field->extrapolation], field->sentence);
        if (field->record) {
            snprintf(name + strlen(name), sizeof name - strlen(name), ".");
            print_rows(field->record, name, of_node || field->record == &rg_run_node_record,
                       stream);
        }
    }
}

void rg_result_reference(FILE *stream)
{
    fputs("| Field | Type | Unit | Over nodes | Extrapolated | Meaning |\n"
          "|---|---|---|---|---|---|\n",
          stream);
    print_rows(&rg_result_record, "", false, stream);
}
