#include "scenario/text.h"

#include "base/check.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

/* Is the whole text [+-]digits[.digits][e[+-]digits]? strtod takes more: blanks, hex, "nan". */
static bool is_decimal(const char *text, bool whole)
{
    const char *p = text + (*text == '+' || *text == '-'), *digits = p;
    p = skip_digits(p);
    bool any = p > digits;
    if (!whole && *p == '.') {
        const char *fraction = ++p;
        p = skip_digits(p);
        any = any || p > fraction;
    }
    if (!any)
        return false;
    if (!whole && (*p == 'e' || *p == 'E')) {
        p++;
        p += *p == '+' || *p == '-';
        const char *exponent = p;
        p = skip_digits(p);
        if (p == exponent)
            return false;
    }
    return *p == '\0';
}

/* The C locale, made once: a program that calls setlocale() must read the same files alike. */
static locale_t plain_locale(void)
{
    static locale_t plain;
    if (!plain)
        plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain;
}

void rg_text_limit(const struct rg_limit *limit, char *out, size_t size)
{
    if (limit->whole && limit->max > 9007199254740992.0)
        snprintf(out, size, "%.0f and more", limit->min);
    else if (limit->whole)
        snprintf(out, size, "%.0f to %.0f", limit->min, limit->max);
    else if (isinf(limit->max))
        snprintf(out, size, "numbers %s %g", limit->open ? "above" : "from", limit->min);
    else
        snprintf(out, size, "numbers %s %g up to %g", limit->open ? "above" : "from", limit->min,
                 limit->max);
}

void rg_text_shortest(double number, char *out, size_t size)
{
    bool whole = number == floor(number) && fabs(number) < 9007199254740992.0;
    int digits = 1;
    snprintf(out, size, "%.0f", number);
    while (!whole && digits <= 17) {
        snprintf(out, size, "%.*g", digits++, number);
        if (strtod(out, NULL) == number)
            break;
    }
}

int rg_text_number(const char *text, const struct rg_limit *limit, double *value,
                   struct rg_error *e)
{
    char allowed[120];
    rg_text_limit(limit, allowed, sizeof allowed);
    if (!is_decimal(text, limit->whole))
        return rg_fail(e, RG_ERR_INVALID, "not a %s: %s are allowed",
                       limit->whole ? "whole number" : "number", allowed);
    locale_t plain = plain_locale();
    double number = plain ? strtod_l(text, NULL, plain) : strtod(text, NULL);
    bool inside = isfinite(number) && number <= limit->max &&
                  (limit->open ? number > limit->min : number >= limit->min);
    if (!inside || (limit->whole && fabs(number) > 9007199254740992.0))
        return rg_fail(e, RG_ERR_INVALID, "out of range: %s are allowed", allowed);
    *value = number;
    return 0;
}

int rg_text_range(const char *text, int most, int *first, int *last)
{
    const struct rg_limit limit = {true, false, 0, most};
    char item[32];
    size_t length = strcspn(text, ",");
    if (*text == '\0')
        return 0;
    if (length >= sizeof item || (text[length] == ',' && text[length + 1] == '\0'))
        return RG_ERR_INVALID;
    memcpy(item, text, length);
    item[length] = '\0';
    char *high = item, *low = strsep(&high, "-");
    double from, to;
    if (rg_text_number(low, &limit, &from, NULL) < 0 ||
        rg_text_number(high ? high : low, &limit, &to, NULL) < 0 || to < from)
        return RG_ERR_INVALID;
    *first = (int)from;
    *last = (int)to;
    return (int)length + (text[length] == ',');
}

const char *rg_text_word(const char *words, int index, int *length)
{
    const char separator = strchr(words, '|') ? '|' : ' ';
    for (const char *p = words;;) {
        while (*p == separator)
            p++;
        if (*p == '\0')
            return NULL;
        const char *start = p;
        while (*p && *p != separator)
            p++;
        *length = (int)(p - start);
        if (index-- == 0)
            return start;
    }
}

int rg_text_index(const char *words, const char *word)
{
    int length;
    const char *candidate;
    for (int i = 0; (candidate = rg_text_word(words, i, &length)); i++)
        if ((int)strlen(word) == length && strncmp(word, candidate, (size_t)length) == 0)
            return i;
    return -1;
}

/* Edit distance with swaps of neighbours counted as one (optimal string alignment, see Boytsov
 * 2011); texts beyond 31 letters are cut. */
static int distance(const char *a, int n, const char *b, int m)
{
    enum { LONGEST = 31 };
    int rows[3][LONGEST + 1];
    n = RG_MIN(n, LONGEST);
    m = RG_MIN(m, LONGEST);
    for (int j = 0; j <= m; j++)
        rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            int cost = tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]);
            int best = RG_MIN(last[j] + 1, now[j - 1] + 1);
            now[j] = RG_MIN(best, last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = RG_MIN(now[j], before[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

static const char *nearest(const char *words, const char *word, int *length)
{
    const char *candidate, *best = NULL;
    int n = (int)RG_MIN(strlen(word), (size_t)31), found = 1 + RG_MAX(1, n / 3), size;
    for (int i = 0; (candidate = rg_text_word(words, i, &size)); i++) {
        int d = distance(word, n, candidate, size);
        if (d < found && d < size) {
            found = d;
            best = candidate;
            *length = size;
        }
    }
    return best;
}

void rg_text_allowed(const char *words, const char *word, char *out, size_t size)
{
    size_t used = 0;
    int length, following, n = 0;
    const char *near = nearest(words, word, &length), *candidate;
    out[0] = '\0';
    if (near)
        used += (size_t)snprintf(out, size, "did you mean \"%.*s\"? ", length, near);
    for (; used < size && (candidate = rg_text_word(words, n, &length)); n++) {
        bool last = !rg_text_word(words, n + 1, &following);
        const char *joint = n == 0 ? "" : last ? " and " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", joint, length, candidate);
    }
    if (used < size)
        snprintf(out + used, size - used,
                 n == 0   ? "none is allowed"
                 : n == 1 ? " is allowed"
                          : " are allowed");
}

static char *join(const char *folder, size_t length, const char *path)
{
    char *joined = NULL;
    if (length == 0 || path[0] == '/')
        return strdup(path);
    const char *slash = folder[length - 1] == '/' ? "" : "/";
    if (asprintf(&joined, "%.*s%s%s", (int)length, folder, slash, path) < 0)
        return NULL;
    return joined;
}

char *rg_text_beside(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    return join(file, slash ? (size_t)(slash - file) + 1 : 0, path);
}

char *rg_text_inside(const char *folder, const char *path)
{
    return join(folder, strlen(folder), path);
}

double rg_text_seconds(const char *text, size_t length)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"min", 60}, {"s", 1}, {"h", 3600}, {"", 1}};
    static const struct rg_limit limit = {.min = 0, .max = 1e9};
    char number[40];
    double value = -1;
    for (size_t i = 0; i < RG_COUNT(units); i++) {
        size_t unit = strlen(units[i].name), digits = length - unit;
        if (unit > length || digits >= sizeof number ||
            strncmp(text + digits, units[i].name, unit) != 0)
            continue;
        memcpy(number, text, digits);
        number[digits] = '\0';
        return rg_text_number(number, &limit, &value, NULL) == 0 ? value * units[i].seconds : -1;
    }
    return value;
}
