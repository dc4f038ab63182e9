/* Numbers, units and dates as meters and the programs that write logs print them.
 *
 * Happy path: digits and a point, read without strtod; dates of the same minute as the last one
 * are that minute and seconds. Failure modes handled: whatever else stands there is neither. */
#include "meters/log_parts.h"

#include "base/check.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* ---- texts ---- */

static bool is_blank(char c, char quote)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\0' || c == quote;
}

static struct rg_slice without_blanks(struct rg_slice text, char quote)
{
    while (text.length && is_blank(text.at[text.length - 1], quote))
        text.length--;
    while (text.length && is_blank(*text.at, quote)) {
        text.at++;
        text.length--;
    }
    return text;
}

struct rg_slice rg_log_bare(struct rg_slice text)
{
    return without_blanks(text, ' ');
}

struct rg_slice rg_log_trim(struct rg_slice text)
{
    return without_blanks(text, '"');
}

bool rg_log_is(struct rg_slice text, const char *word)
{
    return strlen(word) == text.length && strncasecmp(text.at, word, text.length) == 0;
}

bool rg_log_has_word(struct rg_slice text, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= text.length; i++) {
        bool begins = i == 0 || !isalnum((unsigned char)text.at[i - 1]);
        bool ends = i + length == text.length || !isalpha((unsigned char)text.at[i + length]);
        if (begins && ends && strncasecmp(text.at + i, word, length) == 0)
            return true;
    }
    return false;
}

static bool is_one_of(struct rg_slice text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rg_log_is(text, words[i]))
            return true;
    return false;
}

bool rg_log_missing(struct rg_slice text)
{
    static const char *const words[] = {"",     "nan",    "-nan",        "na",
                                        "n/a",  "null",   "none",        "unknown",
                                        "-",    "--",     "unavailable", "<not counted>",
                                        "nil",  "u",      "inf",         "<not supported>",
                                        "-inf", "#value!"};
    return is_one_of(text, words, RG_COUNT(words));
}

/* ---- units ---- */

/* Where case is left alone, the first that fits counts: mW before MW. */
static const struct {
    const char *name;
    struct rg_log_unit unit;
} units[] = {
    {"W", {RG_LOG_POWER, 1}},
    {"mW", {RG_LOG_POWER, 1e-3}},
    {"uW", {RG_LOG_POWER, 1e-6}},
    {"\xc2\xb5W", {RG_LOG_POWER, 1e-6}},
    {"\xce\xbcW", {RG_LOG_POWER, 1e-6}},
    {"nW", {RG_LOG_POWER, 1e-9}},
    {"kW", {RG_LOG_POWER, 1e3}},
    {"watts", {RG_LOG_POWER, 1}},
    {"watt", {RG_LOG_POWER, 1}},
    {"milliwatts", {RG_LOG_POWER, 1e-3}},
    {"milliwatt", {RG_LOG_POWER, 1e-3}},
    {"microwatts", {RG_LOG_POWER, 1e-6}},
    {"microwatt", {RG_LOG_POWER, 1e-6}},
    {"kilowatts", {RG_LOG_POWER, 1e3}},
    {"J", {RG_LOG_ENERGY, 1}},
    {"joules", {RG_LOG_ENERGY, 1}},
    {"joule", {RG_LOG_ENERGY, 1}},
    {"mJ", {RG_LOG_ENERGY, 1e-3}},
    {"uJ", {RG_LOG_ENERGY, 1e-6}},
    {"\xc2\xb5J", {RG_LOG_ENERGY, 1e-6}},
    {"nJ", {RG_LOG_ENERGY, 1e-9}},
    {"kJ", {RG_LOG_ENERGY, 1e3}},
    {"Ws", {RG_LOG_ENERGY, 1}},
    {"mWs", {RG_LOG_ENERGY, 1e-3}},
    {"Wh", {RG_LOG_ENERGY, 3600}},
    {"mWh", {RG_LOG_ENERGY, 3.6}},
    {"uWh", {RG_LOG_ENERGY, 3.6e-3}},
    {"kWh", {RG_LOG_ENERGY, 3.6e6}},
    {"MWh", {RG_LOG_ENERGY, 3.6e9}},
    {"Wmin", {RG_LOG_ENERGY, 60}},
    {"microjoules", {RG_LOG_ENERGY, 1e-6}},
    {"millijoules", {RG_LOG_ENERGY, 1e-3}},
    {"V", {RG_LOG_VOLTS, 1}},
    {"mV", {RG_LOG_VOLTS, 1e-3}},
    {"uV", {RG_LOG_VOLTS, 1e-6}},
    {"\xc2\xb5V", {RG_LOG_VOLTS, 1e-6}},
    {"volts", {RG_LOG_VOLTS, 1}},
    {"volt", {RG_LOG_VOLTS, 1}},
    {"A", {RG_LOG_AMPS, 1}},
    {"mA", {RG_LOG_AMPS, 1e-3}},
    {"uA", {RG_LOG_AMPS, 1e-6}},
    {"\xc2\xb5"
     "A",
     {RG_LOG_AMPS, 1e-6}},
    {"\xce\xbc"
     "A",
     {RG_LOG_AMPS, 1e-6}},
    {"nA", {RG_LOG_AMPS, 1e-9}},
    {"amps", {RG_LOG_AMPS, 1}},
    {"amp", {RG_LOG_AMPS, 1}},
    {"ampere", {RG_LOG_AMPS, 1}},
    {"amperes", {RG_LOG_AMPS, 1}},
    {"s", {RG_LOG_TIME, 1}},
    {"sec", {RG_LOG_TIME, 1}},
    {"secs", {RG_LOG_TIME, 1}},
    {"second", {RG_LOG_TIME, 1}},
    {"seconds", {RG_LOG_TIME, 1}},
    {"ms", {RG_LOG_TIME, 1e-3}},
    {"msec", {RG_LOG_TIME, 1e-3}},
    {"milliseconds", {RG_LOG_TIME, 1e-3}},
    {"us", {RG_LOG_TIME, 1e-6}},
    {"\xc2\xb5s", {RG_LOG_TIME, 1e-6}},
    {"usec", {RG_LOG_TIME, 1e-6}},
    {"microseconds", {RG_LOG_TIME, 1e-6}},
    {"ns", {RG_LOG_TIME, 1e-9}},
    {"nsec", {RG_LOG_TIME, 1e-9}},
    {"nanoseconds", {RG_LOG_TIME, 1e-9}},
    {"min", {RG_LOG_TIME, 60}},
    {"VA", {RG_LOG_ELSE, 0}},
    {"kVA", {RG_LOG_ELSE, 0}},
    {"var", {RG_LOG_ELSE, 0}},
    {"kvar", {RG_LOG_ELSE, 0}},
    {"Hz", {RG_LOG_ELSE, 0}},
    {"MHz", {RG_LOG_ELSE, 0}},

    {"%", {RG_LOG_ELSE, 0}},
    {"C", {RG_LOG_ELSE, 0}},
    {"\xc2\xb0"
     "C",
     {RG_LOG_ELSE, 0}},
    {"mAh", {RG_LOG_ELSE, 0}},
    {"Ah", {RG_LOG_ELSE, 0}},
    {"ohm", {RG_LOG_ELSE, 0}},
    {"dBm", {RG_LOG_ELSE, 0}},
    {"F", {RG_LOG_ELSE, 0}},
    {"rpm", {RG_LOG_ELSE, 0}},
    {"GHz", {RG_LOG_ELSE, 0}},
    {"/sec", {RG_LOG_ELSE, 0}},
    {"M/sec", {RG_LOG_ELSE, 0}},
    {"K/sec", {RG_LOG_ELSE, 0}},
};

bool rg_log_unit(struct rg_slice text, struct rg_log_unit *unit)
{
    bool small = text.length > 1; /* "power_mw" is of who writes no capitals: milliwatts */
    for (size_t i = 0; i < text.length; i++)
        small = small && !isupper((unsigned char)text.at[i]);
    for (size_t i = 0; i < RG_COUNT(units); i++) {
        size_t length = strlen(units[i].name);
        bool word = length > 3 || small; /* "Watts" and "watts" are one, "MW" and "mW" are not */
        if (length == text.length && (word ? strncasecmp(units[i].name, text.at, length)
                                           : memcmp(units[i].name, text.at, length)) == 0) {
            *unit = units[i].unit;
            return true;
        }
    }
    return false;
}

/* ---- numbers ---- */

static double power_of_ten(int n)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    return n <= 22 ? exact[n] : pow(10, n);
}

static double digit_of(int n)
{
    return n < 0 ? 1 / power_of_ten(-n) : power_of_ten(n);
}

/* "e-3", where it stands. */
static const char *read_exponent(const char *p, const char *end, int *exponent)
{
    const char *q = p + 1;
    bool minus = false;
    int n = 0;
    *exponent = 0;
    if (p >= end || (*p != 'e' && *p != 'E') || q >= end)
        return p;
    if (*q == '-' || *q == '+')
        minus = *q++ == '-';
    if (q >= end || !isdigit((unsigned char)*q))
        return p;
    for (; q < end && isdigit((unsigned char)*q); q++)
        n = RG_MIN(10 * n + (*q - '0'), 400);
    *exponent = minus ? -n : n;
    return q;
}

/* Digits as a whole number and a power of ten: exact to 2^53 (Clinger, PLDI 1990: one rounding). */
const char *rg_log_number(struct rg_slice text, bool comma, double *value,
                          struct rg_log_digits *last)
{
    const char *p = text.at, *end = text.at + text.length;
    uint64_t whole = 0;
    int digits = 0, behind = 0, bare = 0, dropped = 0, exponent;
    bool minus = p < end && *p == '-', point = false;
    p += p < end && (*p == '-' || *p == '+');
    for (; p < end; p++) {
        if (!point && (*p == '.' || (comma && *p == ','))) {
            point = true;
            continue;
        }
        unsigned digit = (unsigned)(*p - '0');
        if (digit > 9)
            break;
        digits++;
        behind += point;
        bare = digit && point ? behind : bare;
        if (whole < 1000000000000000000u)
            whole = 10 * whole + digit;
        else
            dropped++;
    }
    if (!digits)
        return NULL;
    p = read_exponent(p, end, &exponent);
    int shift = exponent - behind + dropped;
    if (last)
        *last = (struct rg_log_digits){digit_of(exponent - behind), digit_of(exponent - bare)};
    double size =
        shift < 0 ? (double)whole / power_of_ten(-shift) : (double)whole * power_of_ten(shift);
    *value = minus ? -size : size;
    return p;
}

/* ---- dates ---- */

static const char *digits(const char *p, const char *end, int *value, int *count)
{
    *value = *count = 0;
    for (; p < end && isdigit((unsigned char)*p) && *count < 6; p++, ++*count)
        *value = 10 * *value + (*p - '0');
    return p;
}

/* "2026-03-02", "2026/03/02", "02.03.2026", "22/03/2026"; which of two is the month, a day beyond
 * 12 says. */
static const char *read_day(const char *p, const char *end, struct tm *t, bool *ambiguous)
{
    int part[3], length[3];
    char mark = '\0';
    for (int i = 0; i < 3; i++) {
        p = digits(p, end, &part[i], &length[i]);
        if (length[i] == 0 || (i < 2 && (p == end || !strchr("-/.", *p))))
            return NULL;
        if (i < 2 && mark && *p != mark)
            return NULL;
        mark = i < 2 ? *p++ : mark;
    }
    bool first = length[0] == 4;
    if ((!first && length[2] != 4) || length[1] > 2 || length[first ? 2 : 0] > 2)
        return NULL;
    int year = first ? part[0] : part[2], a = first ? part[2] : part[0], b = part[1];
    bool month_first = !first && mark != '.' && b > 12;
    *ambiguous = !first && mark != '.' && a <= 12 && b <= 12 && a != b;
    t->tm_year = year - 1900;
    t->tm_mon = (month_first ? a : b) - 1;
    t->tm_mday = month_first ? b : a;
    return t->tm_mon >= 0 && t->tm_mon < 12 && t->tm_mday >= 1 && t->tm_mday <= 31 ? p : NULL;
}

/* "10:00", up to where seconds follow. */
static const char *read_minute(const char *p, const char *end, struct tm *t)
{
    int length;
    p = digits(p, end, &t->tm_hour, &length);
    if (length < 1 || length > 2 || p == end || *p != ':')
        return NULL;
    p = digits(p + 1, end, &t->tm_min, &length);
    return length == 2 && t->tm_hour < 24 && t->tm_min < 60 ? p : NULL;
}

/* ":05.25", or nothing. */
static const char *read_second(const char *p, const char *end, double *second, double *step_s)
{
    int whole, length, behind = 0;
    *second = 0;
    *step_s = 60;
    if (p == end || *p != ':')
        return p;
    p = digits(p + 1, end, &whole, &length);
    if (length != 2 || whole > 60)
        return NULL;
    *second = whole;
    *step_s = 1;
    if (p + 1 < end && (*p == '.' || *p == ',') && isdigit((unsigned char)p[1])) {
        double fraction = 0;
        for (p++; p < end && isdigit((unsigned char)*p); p++, behind++)
            fraction = behind < 15 ? 10 * fraction + (*p - '0') : fraction;
        *step_s = 1 / power_of_ten(behind);
        *second += fraction / power_of_ten(RG_MIN(behind, 15));
    }
    return p;
}

/* "", "Z", " UTC", "+01:00", "+0100": minutes east; AM and PM: hours. */
static bool read_zone(const char *p, const char *end, struct tm *t, int *minutes, bool *given)
{
    struct rg_slice rest = rg_log_trim((struct rg_slice){p, (size_t)(end - p), false});
    int hours, more = 0, length;
    *minutes = 0;
    *given = false;
    bool pm = rg_log_is(rest, "PM");
    if (pm || rg_log_is(rest, "AM")) {
        t->tm_hour = t->tm_hour % 12 + 12 * pm;
        return true;
    }
    if (!rest.length)
        return true;
    *given = true;
    if (rg_log_is(rest, "Z") || rg_log_is(rest, "UTC") || rg_log_is(rest, "GMT"))
        return true;
    if (rest.length > 1 && *rest.at == 'Z' && strchr("+-", rest.at[1])) { /* mosquitto_sub's %j */
        rest.at++;
        rest.length--;
    }
    if (*rest.at != '+' && *rest.at != '-')
        return false;
    const char *stop = rest.at + rest.length, *q = digits(rest.at + 1, stop, &hours, &length);
    if (length == 4) {
        more = hours % 100;
        hours /= 100;
    } else if (length == 2 && q < stop && *q == ':') {
        q = digits(q + 1, stop, &more, &length);
    } else if (length != 2) {
        return false;
    }
    *minutes = (*rest.at == '-' ? -1 : 1) * (60 * hours + more);
    return q == stop && hours <= 14 && more < 60;
}

/* The same minute and zone as the last one? */
static bool recall(const struct rg_log_calendar *c, struct rg_slice text, double *date_s,
                   double *step_s)
{
    const char *end = text.at + text.length, *p = text.at + c->minute_length;
    double second;
    if (!c->minute_length || text.length <= c->minute_length || *p != ':' ||
        memcmp(text.at, c->minute, c->minute_length) != 0)
        return false;
    p = read_second(p, end, &second, step_s);
    if (!p || (size_t)(end - p) != c->zone_length || memcmp(p, c->zone, c->zone_length) != 0)
        return false;
    *date_s = c->minute_s + second;
    return true;
}

static void remember(struct rg_log_calendar *c, struct rg_slice text, const char *minute_end,
                     const char *zone, double minute_s)
{
    size_t length = (size_t)(minute_end - text.at), rest = (size_t)(text.at + text.length - zone);
    if (length > sizeof c->minute || rest > sizeof c->zone)
        return;
    memcpy(c->minute, text.at, length);
    memcpy(c->zone, zone, rest);
    c->minute_length = length;
    c->zone_length = rest;
    c->minute_s = minute_s;
}

enum rg_log_date rg_log_civil(struct rg_log_calendar *c, struct rg_slice text, double *date_s,
                              double *step_s)
{
    struct tm t = {.tm_isdst = -1};
    const char *end = text.at + text.length, *p, *minute_end;
    bool ambiguous = false, zoned;
    double second;
    int minutes;
    if (recall(c, text, date_s, step_s))
        return RG_LOG_DATE;
    p = read_day(text.at, end, &t, &ambiguous);
    if (!p || p == end || !strchr(" Tt_", *p))
        return RG_LOG_NO_DATE;
    while (p < end && strchr(" Tt_", *p))
        p++;
    p = minute_end = read_minute(p, end, &t);
    p = p ? read_second(p, end, &second, step_s) : NULL;
    if (!p || !read_zone(p, end, &t, &minutes, &zoned))
        return RG_LOG_NO_DATE;
    if (ambiguous)
        return RG_LOG_AMBIGUOUS;
    double minute_s = (double)(zoned ? timegm(&t) : mktime(&t)) - 60.0 * minutes;
    remember(c, text, minute_end, p, minute_s);
    *date_s = minute_s + second;
    return RG_LOG_DATE;
}

bool rg_log_day(struct rg_slice text)
{
    struct tm t;
    bool ambiguous;
    return read_day(text.at, text.at + text.length, &t, &ambiguous) == text.at + text.length;
}

bool rg_log_ambiguous(struct rg_slice text)
{
    struct tm t;
    bool ambiguous;
    return read_day(text.at, text.at + text.length, &t, &ambiguous) && ambiguous;
}

bool rg_log_clock(struct rg_slice text)
{
    struct tm t = {0};
    double second, step_s;
    int minutes;
    bool zoned;
    const char *end = text.at + text.length, *p = read_minute(text.at, end, &t);
    p = p ? read_second(p, end, &second, &step_s) : NULL;
    return p && read_zone(p, end, &t, &minutes, &zoned);
}
