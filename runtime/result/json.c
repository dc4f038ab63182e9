#include "result/json.h"

#include "base/check.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Length of the UTF-8 sequence at p; 0: it is none (RFC 3629: no overlong forms, no surrogates). */
static int sequence(const unsigned char *p)
{
    int length = p[0] < 0x80                    ? 1
                 : p[0] >= 0xc2 && p[0] < 0xe0  ? 2
                 : (p[0] & 0xf0) == 0xe0        ? 3
                 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                : 0;
    for (int i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

static void quote(FILE *stream, const char *text)
{
    putc('"', stream);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int length = sequence(p);
        if (length == 0)                   /* a file name, say, in another encoding */
            fputs("\xef\xbf\xbd", stream); /* U+FFFD as it is: read back, it is written the same */
        else if (*p == '"' || *p == '\\')
            fprintf(stream, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(stream, "\\u%04x", *p);
        else
            fwrite(p, 1, (size_t)length, stream);
        p += length ? length : 1;
    }
    putc('"', stream);
}

static bool is_flat(const struct rg_json *json)
{
    return json->depth > 0 && json->level[json->depth - 1].flat;
}

static void new_line(struct rg_json *json)
{
    putc('\n', json->stream);
    for (int i = 0; i < json->depth; i++)
        fputs("  ", json->stream);
}

/* Comma, line and key before a value. */
static void begin(struct rg_json *json, const char *key)
{
    if (json->depth > 0) {
        bool *any = &json->level[json->depth - 1].any;
        if (*any)
            fputs(is_flat(json) && key ? ", " : ",", json->stream);
        if (!is_flat(json))
            new_line(json);
        *any = true;
    }
    if (key) {
        quote(json->stream, key);
        fputs(": ", json->stream);
    }
}

static void open_level(struct rg_json *json, const char *key, bool flat, const char *brackets)
{
    begin(json, key);
    putc(brackets[0], json->stream);
    flat = flat || is_flat(json);
    RG_ASSERT(json->depth < RG_JSON_DEPTH);
    json->level[json->depth].closing = brackets[1];
    json->level[json->depth].flat = flat;
    json->level[json->depth++].any = false;
}

void rg_json_object(struct rg_json *json, const char *key, bool flat)
{
    open_level(json, key, flat, "{}");
}

void rg_json_array(struct rg_json *json, const char *key, bool flat)
{
    open_level(json, key, flat, "[]");
}

void rg_json_close(struct rg_json *json)
{
    RG_ASSERT(json->depth > 0);
    bool broken = json->level[json->depth - 1].any && !is_flat(json);
    char closing = json->level[--json->depth].closing;
    if (broken)
        new_line(json);
    putc(closing, json->stream);
    if (json->depth == 0)
        putc('\n', json->stream);
}

void rg_json_raw(struct rg_json *json, const char *key, const char *value)
{
    begin(json, key);
    fputs(value, json->stream);
}

void rg_json_null(struct rg_json *json, const char *key)
{
    rg_json_raw(json, key, "null");
}

void rg_json_text(struct rg_json *json, const char *key, const char *value)
{
    begin(json, key);
    if (value)
        quote(json->stream, value);
    else
        fputs("null", json->stream);
}

void rg_json_format(double value, char text[40])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 40, "%.*g", digits, value);
        if (strtod(text, NULL) == value) /* printed and read in the same locale */
            break;
    }
    const char *point = localeconv()->decimal_point;
    char *found = point[0] != '.' ? strstr(text, point) : NULL;
    if (found) {
        size_t length = strlen(point);
        *found = '.';
        memmove(found + 1, found + length, strlen(found + length) + 1);
    }
    if (strcmp(text, "-0") == 0) /* an integer 0 would lose the sign */
        strcpy(text, "-0.0");
}

void rg_json_real(struct rg_json *json, const char *key, double value)
{
    char text[40];
    if (!isfinite(value)) {
        rg_json_null(json, key);
        return;
    }
    rg_json_format(value, text);
    rg_json_raw(json, key, text);
}

void rg_json_count(struct rg_json *json, const char *key, uint64_t value)
{
    char text[40];
    snprintf(text, sizeof text, "%" PRIu64, value);
    rg_json_raw(json, key, text);
}

void rg_json_whole(struct rg_json *json, const char *key, int64_t value)
{
    char text[40];
    snprintf(text, sizeof text, "%" PRId64, value);
    rg_json_raw(json, key, text);
}

void rg_json_flag(struct rg_json *json, const char *key, bool value)
{
    rg_json_raw(json, key, value ? "true" : "false");
}
