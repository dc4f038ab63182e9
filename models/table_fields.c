/* The fields of a line, quoted as RFC 4180 has it, and the numbers in them. */
#include "models/table_text.h"

#include "base/check.h"

#include <ctype.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

/* Does a field end here? */
static bool is_end(char c, char separator)
{
    return c == '\0' || c == separator || (separator == RG_BLANKS && c == '\t');
}

/* Blanks between fields, but not a tab that parts them. */
static char *skip_blanks(const char *at, char separator)
{
    while (is_blank(*at) && (*at != separator || separator == RG_BLANKS))
        at++;
    return (char *)(uintptr_t)at;
}

/* Behind the closing quote; NULL: there is none. Where `to` is given, the text without its quotes
 * goes there, and *length is its length. */
static char *skip_quoted(char *at, char *to, size_t *length)
{
    size_t n = 0;
    for (at++; *at; at++) {
        if (*at == '"' && *++at != '"') {
            *length = n;
            return at;
        }
        if (to)
            to[n] = *at;
        n++;
    }
    return NULL;
}

bool rg_table_field_next(char **at, char separator, struct rg_table_field *field)
{
    char *text = skip_blanks(*at, separator), *stop = text;
    *field = (struct rg_table_field){.text = text, .quoted = *text == '"'};
    if (field->quoted) {
        stop = skip_quoted(text, text, &field->length);
        if (!stop)
            return false;
        while (!is_end(*stop, separator)) /* what follows the quote is dropped if it is blank */
            if (!is_blank(*stop++))
                return false;
    } else {
        while (!is_end(*stop, separator))
            stop++;
        field->length = (size_t)(stop - text);
        while (field->length > 0 && is_blank(text[field->length - 1]))
            field->length--;
    }
    char *rest = separator == RG_BLANKS ? skip_blanks(stop, separator) : stop;
    bool last = *rest == '\0';
    *at = last ? NULL : separator == RG_BLANKS ? rest : rest + 1;
    text[field->length] = '\0';
    return true;
}

int rg_field_count(const char *line, char separator)
{
    int count = 0;
    for (const char *at = line; at; count++) {
        char *stop = skip_blanks(at, separator);
        size_t length;
        if (*stop == '"' && !(stop = skip_quoted(stop, NULL, &length)))
            return -1;
        while (!is_end(*stop, separator))
            stop++;
        char *rest = separator == RG_BLANKS ? skip_blanks(stop, separator) : stop;
        at = *rest == '\0' ? NULL : separator == RG_BLANKS ? rest : rest + 1;
    }
    return count;
}

bool rg_is_like_number(const char *text)
{
    static const char *const marks[] = {"AM",
                                        "PM",
                                        "am",
                                        "pm",
                                        ".",
                                        ",",
                                        "'",
                                        "_",
                                        " ",
                                        ":",
                                        "/",
                                        "%",
                                        "$",
                                        "\xc2\xa0" /* no-break space */,
                                        "\xe2\x80\xaf" /* narrow */,
                                        "\xe2\x82\xac" /* euro */,
                                        "\xc2\xa3" /* pound */};
    const char *p = text + (*text == '-' || *text == '+');
    int digits = 0;
    if (strcasecmp(p, "inf") == 0 || strcasecmp(p, "infinity") == 0)
        return true;
    while (*p) {
        size_t length = (size_t)isdigit((unsigned char)*p) != 0;
        digits += (int)length;
        for (size_t i = 0; i < RG_COUNT(marks) && length == 0; i++)
            if (strncmp(p, marks[i], strlen(marks[i])) == 0)
                length = strlen(marks[i]);
        if (length == 0)
            return false;
        p += length;
    }
    return digits > 0;
}

bool rg_is_missing(const char *text, size_t length)
{
    static const char *const words[] = {"",    "?",    "NA",   "N/A",  "n/a",  "NaN",  "nan",
                                        "NAN", "-nan", "null", "NULL", "None", "#N/A", "<NA>"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length && memcmp(words[i], text, length) == 0)
            return true;
    return false;
}

/* The C locale, made once: a program that calls setlocale() must read the same files alike. */
static double to_double(const char *text, char **end)
{
    static locale_t plain;
    if (!plain)
        plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain ? strtod_l(text, end, plain) : strtod(text, end);
}

/* By strtod, which is exact, with the point that it wants in place of the comma. */
static bool slow_number(const char *text, size_t length, char mark, double *value)
{
    char copy[400], *end;
    if (length == 0 || length >= sizeof copy)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (!(c >= '0' && c <= '9') && c != mark && !strchr("+-eE", c))
            return false;
        copy[i] = c == mark ? '.' : c;
    }
    copy[length] = '\0';
    *value = to_double(copy, &end);
    return *end == '\0';
}

/* The mark in a text that has one, else 0. */
static char mark_of(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] == '.' || text[i] == ',')
            return text[i];
    return 0;
}

/* A date; behind it is `stop`. */
static enum rg_number date_number(const char **at, const char *stop, const char *text,
                                  size_t length, double *value)
{
    char copy[40];
    if (length < 5 || length >= sizeof copy)
        return RG_NO_NUMBER;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (!rg_date_of(copy, value))
        return RG_NO_NUMBER;
    *at = stop;
    return RG_NUMBER;
}

/* Anything that the fast way does not read. */
static enum rg_number other_number(const char **at, char separator, struct rg_decimal *decimal,
                                   double *value)
{
    const char *text = *at, *stop;
    bool quoted = *text == '"';
    size_t length;
    if (quoted) {
        if (!(stop = strchr(++text, '"')))
            return RG_NO_NUMBER;
        length = (size_t)(stop++ - text);
        stop = skip_blanks(stop, separator);
        if (!is_end(*stop, separator))
            return RG_NO_NUMBER;
    } else {
        for (stop = text; !is_end(*stop, separator); stop++)
            continue;
        length = (size_t)(stop - text);
    }
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    while (length > 0 && is_blank(*text))
        text++, length--;
    char mark = mark_of(text, length);
    enum rg_number kind = RG_NUMBER;
    if (rg_is_missing(text, length))
        kind = RG_MISSING;
    else if (!slow_number(text, length, mark, value) ||
             (mark == ',' && !decimal->comma_allowed && !quoted))
        return date_number(at, stop, text, length, value);
    else if (mark && decimal->mark && mark != decimal->mark)
        return RG_OTHER_MARK;
    else if (mark)
        decimal->mark = mark;
    *at = stop;
    return kind;
}

/* Numbers of up to 15 digits are a whole number over a power of ten, both exact in a double: their
 * quotient is rounded once, as strtod's result is. Other numbers, and what is none, go there. */
enum rg_number rg_number_next(const char **at, char separator, struct rg_decimal *decimal,
                              double *value)
{
    static const double ten[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *p = skip_blanks(*at, separator);
    *at = p;
    bool minus = *p == '-';
    p += minus || *p == '+';
    uint64_t digits = 0;
    unsigned digit;
    const char *first = p, *mark = NULL;
    for (;; p++) {
        if ((digit = (unsigned)(*p - '0')) < 10) {
            digits = 10 * digits + digit;
        } else if (!mark && *p == decimal->mark && !is_end(*p, separator)) {
            mark = p;
        } else {
            break;
        }
        if (p - first >= 15)
            return other_number(at, separator, decimal, value);
    }
    if (p == first + (mark != NULL))
        return other_number(at, separator, decimal, value);
    double number = mark ? (double)digits / ten[p - mark - 1] : (double)digits;
    const char *stop = is_end(*p, separator) ? p : skip_blanks(p, separator);
    if (!is_end(*stop, separator) && separator != RG_BLANKS)
        return other_number(at, separator, decimal, value);
    if (separator == RG_BLANKS && !is_end(*p, separator))
        return other_number(at, separator, decimal, value);
    *value = minus ? -number : number;
    *at = stop;
    return RG_NUMBER;
}

enum rg_number rg_number_of(const char *text, struct rg_decimal *decimal, double *value)
{
    const char *at = text;
    return rg_number_next(&at, '\0', decimal, value);
}
