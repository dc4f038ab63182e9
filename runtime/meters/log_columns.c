/* What the columns of a log hold: found from its first rows and the heading above them.
 *
 * Happy path: the first line with a date and a number, followed by another of its kind, is the
 * first row; the line above it that has a name for each column is the heading, behind '#' or not. A
 * column of watts is one whose name or unit says so, and there is one; else amps times volts, else
 * energy.
 *
 * Failure modes handled: no column of dates or of watts, or several of watts (which there are, and
 * how to name one); rows with more fields than names; a unit that is neither of power nor of
 * energy; decimal commas where fields part at commas. Nothing is guessed. */
#include "meters/log_parts.h"

#include "base/check.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SAMPLE = 512 /* lines */, NAMES = 260 /* bytes of a list of them */ };

enum class { GONE, NUMBER, CIVIL, AMBIGUOUS, DAY, CLOCK, UNIT, WORDS, ODD };

struct name {
    struct rg_slice whole, base; /* without its unit */
    struct rg_log_unit unit;     /* quantity RG_LOG_UNKNOWN: none is known */
    bool mean;                   /* of the time before the date */
};

struct sample {
    const char *path;
    struct rg_slice line[SAMPLE];
    int count, first; /* of the first row */
    char separator;
    struct rg_slice field[RG_LOG_COLUMNS]; /* of the first row */
    enum class class[RG_LOG_COLUMNS];
    struct rg_log_unit unit[RG_LOG_COLUMNS]; /* that stands in the field itself */
    int fields;
    struct name name[RG_LOG_COLUMNS]; /* of the heading */
    int names, heading;               /* 0: no heading; its line from 0 */
};

/* ---- fields ---- */

static enum class classify(struct rg_slice f, char separator, struct rg_log_unit *unit) {
    struct rg_log_calendar fresh = {0}; double value, step_s;
    *unit = (struct rg_log_unit){RG_LOG_UNKNOWN, 1}; if (rg_log_missing(f)) return GONE;
    const char *stop = rg_log_number(f, separator != ',' || f.quoted, &value, NULL);
    if (stop){struct rg_slice rest = {stop, (size_t)(f.at + f.length - stop), false};
              rest = rg_log_trim(rest);
              if (!rest.length || rg_log_is(rest, ":") || rg_log_unit(rest, unit)) return NUMBER;}
enum rg_log_date date = rg_log_civil(&fresh, f, &value, &step_s);
if (date != RG_LOG_NO_DATE)
    return date == RG_LOG_DATE ? CIVIL : AMBIGUOUS;
if (rg_log_day(f) || rg_log_clock(f))
    return rg_log_day(f) ? DAY : CLOCK;
if (rg_log_unit(f, unit))
    return UNIT;
size_t plain = 0;
while (plain < f.length && strchr("0123456789., ", f.at[plain]))
    plain++;
return plain == f.length ? ODD : WORDS;
}

static int classify_line(struct rg_slice line, char separator, struct rg_slice *field,
                         enum class *class, struct rg_log_unit *unit)
{
    int count = rg_log_split(line, separator, field, RG_LOG_COLUMNS);
    for (int i = 0; i < count; i++)
        class[i] = classify(field[i], separator, &unit[i]);
    while (count > 1 && field[count - 1].length == 0)
        count--;
    return count;
}

static int count_class(const enum class *class, int count, enum class wanted)
{
    int found = 0;
    for (int i = 0; i < count; i++)
        found += class[i] == wanted;
    return found;
}

/* Has the line, parted so, a date and a number besides? */
static bool is_row(struct rg_slice line, char separator, int *count)
{
    struct rg_slice field[RG_LOG_COLUMNS];
    struct rg_log_unit unit[RG_LOG_COLUMNS];
    enum class class[RG_LOG_COLUMNS];
    int n = *count = classify_line(line, separator, field, class, unit);
    int numbers = count_class(class, n, NUMBER);
    int dates = count_class(class, n, CIVIL) + count_class(class, n, AMBIGUOUS) +
                (count_class(class, n, DAY) && count_class(class, n, CLOCK));
    return n >= 2 && !count_class(class, n, ODD) && numbers + dates >= 2 && numbers >= 1;
}

static bool is_comment(struct rg_slice line)
{
    return !line.length || *line.at == '#';
}

/* By which its fields part, or 0. What is rarest within a number goes first. */
static char separator_of(struct rg_slice line, int *count)
{
    static const char all[] = "\t;|, ";
    if (!is_comment(line))
        for (const char *s = all; *s; s++)
            if (is_row(line, *s, count))
                return *s;
    return '\0';
}

/* ---- the first row ---- */

static void take_lines(struct rg_log_text *text, struct sample *s)
{
    const char *p = text->buffer + text->next, *end = text->buffer + text->used, *stop;
    for (; s->count < SAMPLE && (stop = memchr(p, '\n', (size_t)(end - p))); p = stop + 1)
        s->line[s->count++] = rg_log_bare((struct rg_slice){p, (size_t)(stop - p), false});
}

/* Which program writes such a heading, and what it may be told. */
static const char *program_of(const struct sample *s, int lines)
{
    for (int i = 0; i < s->names; i++) {
        if (rg_log_is(s->name[i].whole, "Bzy_MHz") || rg_log_is(s->name[i].whole, "PkgWatt"))
            return "; turbostat: --show Time_Of_Day_Seconds,PkgWatt";
        if (rg_log_is(s->name[i].whole, "entity_id"))
            return "; Home Assistant: csv:FILE:state";
    }
    for (int i = 0; i < lines; i++)
        if (memmem(s->line[i].at, s->line[i].length, "sigrok", 6))
            return "; sigrok-cli heads columns with units, and writes dates with -O csv:time=true";
    return "";
}

static int complain_no_row(const struct sample *s, struct rg_error *e)
{
    int i = 0;
    while (i < s->count && is_comment(s->line[i]))
        i++;
    if (s->count - i < 2) /* a heading, perhaps, and rows to come */
        return rg_fail(e, RG_ERR_TIMEOUT, "%.300s: two rows at least are wanted", s->path);
    struct rg_slice line = s->line[i + 1];
    bool json = memchr(line.at, '{', line.length) != NULL;
    return rg_fail_at(e, s->path, i + 2, "%s: \"%.*s\"%s",
                      json ? "JSON: a date and watts in columns are wanted"
                           : "no date and number in columns (fields part at ',', ';', '|', a tab "
                             "or blanks; dates are seconds of UNIX or ISO 8601, day and time)",
                      (int)RG_MIN(line.length, (size_t)40), line.at, program_of(s, s->count));
}

static int find_first(struct sample *s, struct rg_error *e)
{
    int lone = -1, n = 0, m = 0;
    for (int i = 0, next; i < s->count; i = next) {
        for (next = i + 1; next < s->count && is_comment(s->line[next]);)
            next++;
        char separator = separator_of(s->line[i], &n);
        if (!separator)
            continue;
        lone = lone < 0 ? i : lone;
        if (next < s->count && is_row(s->line[next], separator, &m) && m == n) {
            lone = i;
            break;
        }
    }
    if (lone < 0)
        return complain_no_row(s, e);
    s->first = lone;
    s->separator = separator_of(s->line[lone], &n);
    s->fields = classify_line(s->line[lone], s->separator, s->field, s->class, s->unit);
    return 0;
}

/* ---- names ---- */

static bool has_word(struct rg_slice text, const char *word)
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

static bool has_any(struct rg_slice text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has_word(text, words[i]))
            return true;
    return false;
}

/* Of the last of the words, or of one of several letters that is no other word: "Power_kW_avg". */
static bool word_unit(struct rg_slice word, char mark, bool last, struct rg_log_unit *unit)
{
    char capital = word.length == 1 ? (char)toupper((unsigned char)*word.at) : '\0';
    bool drawn = rg_log_unit(word, unit) &&
                 (unit->quantity == RG_LOG_POWER || unit->quantity == RG_LOG_ENERGY);
    if (drawn && (last || word.length > 1))
        return true;
    if (last && mark == '_' && capital && strchr("WVAJ", capital)) /* "power_w", "bus_v" */
        return rg_log_unit((struct rg_slice){strchr("WVAJ", capital), 1, false}, unit);
    return last && rg_log_unit(word, unit);
}

/* "Power (W)", "power [mW]", "Power (kW) avg", "IN_W", "Power/W", "W". */
static void split_unit(struct name *n)
{
    static const char marks[] = "()[]_ /,.:-";
    struct rg_slice t = n->whole;
    size_t end = t.length;
    n->base = t;
    if (t.length > 3 && rg_log_is((struct rg_slice){t.at + t.length - 3, 3, false}, " DC"))
        t.length = end -= 3; /* sigrok's "V DC" */
    if (rg_log_unit(t, &n->unit))
        return;
    for (bool last = true; end > 0;) { /* word by word, from the last */
        size_t begin = end;
        while (begin > 0 && !strchr(marks, t.at[begin - 1]))
            begin--;
        struct rg_slice word = {t.at + begin, end - begin, false};
        char mark = begin ? t.at[begin - 1] : '\0';
        bool bracketed = mark == '(' || mark == '[';
        if (word.length && begin && word_unit(word, mark, last || bracketed, &n->unit)) {
            if (end + 1 >= t.length)
                n->base = rg_log_trim((struct rg_slice){t.at, begin - 1, false});
            return;
        }
        n->unit = (struct rg_log_unit){RG_LOG_UNKNOWN, 1};
        last = last && !word.length;
        end = begin ? begin - 1 : 0;
    }
}

static struct name understand(struct rg_slice text)
{
    static const char *const power[] = {"power",    "watts",     "watt",     "apower",
                                        "leistung", "puissance", "potencia", "wattage"};
    static const char *const energy[] = {"energy", "energie", "joules", "consumption", "kwh"};
    static const char *const volts[] = {"voltage", "volts", "volt", "spannung"};
    static const char *const amps[] = {"current", "amps", "amp", "ampere", "strom"};
    struct name n = {.whole = text, .unit = {RG_LOG_UNKNOWN, 1}};
    if (!text.length)
        return n;
    split_unit(&n);
    if (n.unit.quantity == RG_LOG_UNKNOWN && text.length > 4 &&
        strncasecmp(text.at + text.length - 4, "Watt", 4) == 0) { /* PkgWatt of turbostat */
        n.unit.quantity = RG_LOG_POWER;
        n.mean = true;
    }
    if (n.unit.quantity != RG_LOG_UNKNOWN)
        return n;
    if (has_any(n.base, energy, RG_COUNT(energy)))
        n.unit = (struct rg_log_unit){RG_LOG_ENERGY, 0}; /* in no unit that is known */
    else if (has_any(n.base, volts, RG_COUNT(volts)))
        n.unit = (struct rg_log_unit){RG_LOG_VOLTS, 1};
    else if (has_any(n.base, amps, RG_COUNT(amps)))
        n.unit = (struct rg_log_unit){RG_LOG_AMPS, 1};
    else if (has_any(n.base, power, RG_COUNT(power)))
        n.unit = (struct rg_log_unit){RG_LOG_POWER, 1};
    return n;
}

/* Not what was drawn, though its unit may be the same. */
static bool is_other(struct rg_slice name)
{
    static const char *const words[] = {
        "apparent",       "reactive",      "factor",   "max",      "maximum", "min",
        "minimum",        "peak",          "limit",    "cap",      "budget",  "rated",
        "nominal",        "target",        "set",      "setpoint", "std",     "stddev",
        "sigma",          "threshold",     "shunt",    "tdp",      "ripple",  "noise",
        "scheinleistung", "blindleistung", "returned", "export",   "return",  "error",
        "uncertainty"};
    return has_any(name, words, RG_COUNT(words));
}

/* 2: that is what a date is called; 1: perhaps. */
static int looks_dated(const struct name *n)
{
    static const char *const sure[] = {"time",         "timestamp", "date",
                                       "datetime",     "t",         "unix",
                                       "time_s",       "epoch",     "last_changed",
                                       "last_updated", "ts",        "date_time",
                                       "unixtime",     "unix_time", "_time",
                                       "zeit",         "datum",     "zeitstempel",
                                       "date/time",    "utc",       "time_of_day_seconds",
                                       "timestamps",   "created_at"};
    static const char *const perhaps[] = {"time", "date", "timestamp", "epoch", "elapsed", "unix"};
    static const char *const not [] = {"up", "run", "cpu", "uptime", "runtime", "busy", "zone"};
    for (size_t i = 0; i < RG_COUNT(sure); i++)
        if (rg_log_is(n->base, sure[i]) || rg_log_is(n->whole, sure[i]))
            return 2;
    if (rg_log_is(n->base, "date & time") || rg_log_is(n->base, "time stamp"))
        return 2;
    return has_any(n->base, perhaps, RG_COUNT(perhaps)) && !has_any(n->base, not, RG_COUNT(not ));
}

/* ---- the heading ---- */

/* The line's fields as names; 0: they are none. */
static int read_names(const struct sample *s, int at, struct rg_slice *names, bool *comment)
{
    struct rg_log_unit unit;
    struct rg_slice line = s->line[at];
    *comment = line.length && strchr("#;", *line.at);
    while (line.length && strchr("#;", *line.at)) {
        line.at++;
        line.length--;
    }
    int count = rg_log_split(rg_log_trim(line), s->separator, names, RG_LOG_COLUMNS);
    while (count > 1 && count > s->fields && names[count - 1].length == 0)
        count--;
    for (int i = 0; i < count; i++) {
        enum class class = classify(names[i], s->separator, &unit);
        if (class != WORDS && class != UNIT && class != GONE)
            return 0;
    }
    return count;
}

static bool all_units(const struct rg_slice *names, int count)
{
    struct rg_log_unit unit;
    int units = 0;
    for (int i = 0; i < count; i++) {
        if (names[i].length && !rg_log_unit(names[i], &unit) && !rg_log_is(names[i], "-"))
            return false;
        units += names[i].length > 0;
    }
    return units > 1;
}

/* Does it say anything that is understood? */
static bool makes_sense(const struct rg_slice *names, int count)
{
    for (int i = 0; i < count; i++) {
        struct name n = understand(names[i]);
        if (looks_dated(&n) == 2 || n.unit.quantity == RG_LOG_POWER)
            return true;
    }
    return false;
}

/* Is the field behind a time, of three or six digits, its fraction ("10:00:00,123")? */
static bool is_fraction(const struct sample *s, int field)
{
    if (s->separator != ',' || field + 1 >= s->fields)
        return false;
    struct rg_slice next = s->field[field + 1];
    return (s->class[field] == CIVIL || s->class[field] == CLOCK) &&
           (next.length == 3 || next.length == 6) && strspn(next.at, "0123456789") >= next.length &&
           !memchr(s->field[field].at, '.', s->field[field].length);
}

static void add_names(struct sample *s, const struct rg_slice *names, int count, int shift)
{
    for (int i = 0; i < count; i++)
        s->name[i + shift] = understand(names[i]);
    s->names = count + shift;
}

/* A row of units under the names. */
static void add_units(struct sample *s, const struct rg_slice *units, int count)
{
    struct rg_log_unit unit;
    for (int i = 0; i < count && i < s->names; i++)
        if (rg_log_unit(units[i], &unit))
            s->name[i].unit = unit;
}

/* The fraction's field gets a name that nobody looks for. */
static void make_room(struct sample *s, int field)
{
    memmove(&s->name[field + 2], &s->name[field + 1],
            (size_t)(s->names - field - 1) * sizeof *s->name);
    s->name[field + 1] = (struct name){.unit = {RG_LOG_ELSE, 0}};
    s->names++;
}

/* Names that are fewer than fields: of a fraction, or of a date that has none. */
static int fit_names(struct sample *s, const struct rg_slice *names, int count, int *fraction,
                     struct rg_error *e)
{
    *fraction = -1;
    for (int i = 0; s->fields == count + 1 && i < s->fields && *fraction < 0; i++)
        if (is_fraction(s, i))
            *fraction = i;
    bool shifted = s->separator == ' ' && s->fields == count + 1 && *fraction < 0;
    if (s->fields > count && *fraction < 0 && !shifted)
        return rg_fail_at(e, s->path, s->first + 1,
                          "%d fields, the heading has %d names (a comma within a number or a date "
                          "parts it in two)",
                          s->fields, count);
    add_names(s, names, count, shifted);
    if (shifted)
        s->name[0] = (struct name){.whole = {"time", 4, false}, .base = {"time", 4, false}};
    if (*fraction >= 0)
        make_room(s, *fraction);
    return 0;
}

/* Above the first row, if there is one. */
static int find_heading(struct sample *s, int *fraction, struct rg_error *e)
{
    struct rg_slice names[RG_LOG_COLUMNS], upper[RG_LOG_COLUMNS];
    bool comment;
    s->heading = -1;
    *fraction = -1;
    for (int at = s->first - 1; at >= 0; at--) {
        if (!s->line[at].length)
            continue;
        int count = read_names(s, at, names, &comment), above = 0;
        if (comment &&
            (count < 2 || !makes_sense(names, count) || s->fields - count > 1 || count > s->fields))
            continue;
        if (count == 0 || (count == 1 && s->fields != 2))
            return 0; /* some line of another kind */
        if (count == 1 && s->separator != ' ' && !makes_sense(names, 1))
            return 0;
        if (at > 0 && all_units(names, count))
            above = read_names(s, at - 1, upper, &comment);
        bool units = above == count && !all_units(upper, above);
        int result = fit_names(s, units ? upper : names, count, fraction, e);
        if (units && result == 0)
            add_units(s, names, count);
        s->heading = at;
        return result;
    }
    return 0;
}

/* ---- lists for complaints ---- */

static void append(char *list, size_t size, struct rg_slice item)
{
    size_t used = strlen(list);
    if (item.length && used + 6 < size)
        snprintf(list + used, size - used, "%s%.*s", used ? ", " : "",
                 (int)RG_MIN(item.length, (size_t)40), item.at);
}

static void list_names(const struct sample *s, char list[NAMES])
{
    list[0] = '\0';
    for (int i = 0; i < s->names; i++)
        append(list, NAMES, s->name[i].whole);
}

static int complain_names(const struct sample *s, bool dates, bool watts, struct rg_error *e)
{
    char list[NAMES];
    list_names(s, list);
    return rg_fail_at(e, s->path, (s->heading >= 0 ? s->heading : s->first) + 1,
                      "no column of %s%s%s: there are %s; wanted are %s%s%s%s",
                      dates ? "dates" : "", dates && watts ? " and none of " : "",
                      watts ? "watts" : "", list[0] ? list : "numbers without a heading",
                      dates ? "time, timestamp, date or epoch" : "", dates && watts ? ", and " : "",
                      watts ? "watts, power, a unit as in \"(W)\", or csv:FILE:COLUMN" : "",
                      program_of(s, s->first));
}

/* ---- dates ---- */

static int find_class(const struct sample *s, enum class wanted)
{
    for (int i = 0; i < s->fields; i++)
        if (s->class[i] == wanted)
            return i;
    return -1;
}

static bool is_dated(enum class class)
{
    return class == NUMBER || class == CIVIL || class == AMBIGUOUS || class == DAY ||
           class == CLOCK;
}

/* Without names: a date by its looks, a number of UNIX's size, the first number. */
static int guess_date(const struct sample *s)
{
    int at = find_class(s, CIVIL);
    double value;
    at = at < 0 ? find_class(s, AMBIGUOUS) : at;
    at = at < 0 && find_class(s, CLOCK) >= 0 ? find_class(s, DAY) : at;
    for (int i = 0; i < s->fields && at < 0; i++)
        if (s->class[i] == NUMBER && rg_log_number(s->field[i], true, &value, NULL) && value > 1e9)
            at = i;
    return at >= 0 ? at : find_class(s, NUMBER);
}

static int find_date(const struct sample *s, struct rg_log_columns *c, struct rg_error *e)
{
    int best = 0;
    c->date = s->names ? -1 : guess_date(s);
    for (int i = 0; i < RG_MIN(s->names, s->fields); i++) {
        int sure = is_dated(s->class[i]) ? looks_dated(&s->name[i]) : 0;
        if (sure > best) {
            best = sure;
            c->date = i;
        }
    }
    if (c->date < 0)
        return 0; /* complained of together with the watts */
    enum class class = s->class[c->date];
    c->clock = class == DAY ? find_class(s, CLOCK) : -1;
    if (class == CLOCK) {
        c->clock = c->date;
        c->date = find_class(s, DAY);
    }
    if (c->date < 0 || (class == DAY && c->clock < 0))
        return rg_fail_at(e, s->path, s->first + 1, "a day and a time are wanted, as in ISO 8601");
    if (class == AMBIGUOUS || rg_log_ambiguous(s->field[c->date]))
        return rg_fail_at(e, s->path, s->first + 1,
                          "\"%.*s\": day or month first? ISO 8601 is wanted",
                          (int)RG_MIN(s->field[c->date].length, (size_t)40), s->field[c->date].at);
    if (s->names && s->name[c->date].unit.quantity == RG_LOG_TIME)
        c->date_factor = s->name[c->date].unit.factor;
    if (s->unit[c->date].quantity == RG_LOG_TIME)
        c->date_factor = s->unit[c->date].factor;
    return 0;
}

/* ---- watts ---- */

static void tell(struct rg_log_columns *c, struct rg_slice name, const char *between)
{
    size_t used = strlen(c->told);
    if (!name.length)
        return;
    snprintf(c->told + used, sizeof c->told - used, "%s%.*s", used ? between : "",
             (int)RG_MIN(name.length, (size_t)60), name.at);
}

static int add_value(struct rg_log_columns *c, int column, struct rg_slice name, double factor)
{
    if (c->value_count == RG_LOG_RAILS)
        return -1;
    c->value[c->value_count] = column;
    c->factor[c->value_count++] = factor;
    tell(c, name, c->sum_product ? " times " : " + ");
    return 0;
}

/* The quantity of a column: by its field's own unit, then by its name. */
static struct rg_log_unit unit_of(const struct sample *s, int i)
{
    if (i < s->fields && s->class[i] == NUMBER && s->unit[i].quantity != RG_LOG_UNKNOWN)
        return s->unit[i];
    return i < s->names ? s->name[i].unit : (struct rg_log_unit){RG_LOG_UNKNOWN, 1};
}

/* Columns of a quantity that could stand for what was drawn; the first, and how many. */
static int find_quantity(const struct sample *s, const struct rg_log_columns *c,
                         enum rg_quantity wanted, int *first, char list[NAMES])
{
    int count = 0;
    list[0] = '\0';
    for (int i = 0; i < RG_MIN(s->names, s->fields); i++) {
        struct rg_log_unit unit = unit_of(s, i);
        bool number = s->class[i] == NUMBER || s->class[i] == GONE;
        if (unit.quantity != wanted || unit.factor == 0 || i == c->date || i == c->clock ||
            !number || is_other(s->name[i].base))
            continue;
        *first = count++ ? *first : i;
        append(list, NAMES, s->name[i].whole);
    }
    return count;
}

/* By names: watts, else amps times volts, else energy. */
static int find_named(const struct sample *s, struct rg_log_columns *c, struct rg_error *e)
{
    char list[NAMES];
    int at = 0, volts = 0, amps = 0;
    int count = find_quantity(s, c, RG_LOG_POWER, &at, list);
    if (c->date < 0)
        return complain_names(s, true, count == 0, e);
    if (count > 1)
        return rg_fail_at(e, s->path, s->heading + 1,
                          "several columns of watts: %s: which, csv:FILE:COLUMN says ('+' adds "
                          "them up)%s",
                          list, program_of(s, s->first));
    if (count == 1) {
        c->kind = s->name[at].mean ? RG_LOG_MEANS : RG_LOG_MOMENTS;
        add_value(c, at, s->name[at].whole, unit_of(s, at).factor);
        return 0;
    }
    if (find_quantity(s, c, RG_LOG_VOLTS, &volts, list) == 1 &&
        find_quantity(s, c, RG_LOG_AMPS, &amps, list) == 1) {
        c->sum_product = true;
        add_value(c, volts, s->name[volts].whole, unit_of(s, volts).factor);
        add_value(c, amps, s->name[amps].whole, unit_of(s, amps).factor);
        return 0;
    }
    if (find_quantity(s, c, RG_LOG_ENERGY, &at, list) != 1)
        return complain_names(s, false, true, e);
    c->kind = RG_LOG_ENERGIES;
    add_value(c, at, s->name[at].whole, unit_of(s, at).factor);
    return 0;
}

/* Without names: the one number besides the date. */
static int find_nameless(const struct sample *s, struct rg_log_columns *c, struct rg_error *e)
{
    char name[24];
    int at = 0, numbers = 0;
    for (int i = 0; i < s->fields; i++)
        if (s->class[i] == NUMBER && i != c->date && i != c->clock) {
            numbers++;
            at = i;
        }
    if (numbers != 1)
        return rg_fail_at(e, s->path, s->first + 1,
                          "%d columns of numbers besides the date and no heading: which has the "
                          "watts, csv:FILE:NUMBER says",
                          numbers);
    struct rg_log_unit unit = s->unit[at];
    if (unit.quantity != RG_LOG_UNKNOWN && unit.quantity != RG_LOG_POWER &&
        unit.quantity != RG_LOG_ENERGY)
        return rg_fail_at(e, s->path, s->first + 1, "no watts in \"%.*s\"",
                          (int)RG_MIN(s->field[at].length, (size_t)40), s->field[at].at);
    c->kind = unit.quantity == RG_LOG_ENERGY ? RG_LOG_ENERGIES : RG_LOG_MOMENTS;
    c->nameless = unit.quantity == RG_LOG_UNKNOWN;
    snprintf(name, sizeof name, "column %d", at + 1);
    return add_value(c, at, (struct rg_slice){name, strlen(name), false}, unit.factor);
}

/* ---- units and channels in the rows ---- */

static bool all_digits(struct rg_slice text)
{
    size_t i = 0;
    while (i < text.length && isdigit((unsigned char)text.at[i]))
        i++;
    return i && i == text.length;
}

/* "0.1,0.53,Joules,power/energy-pkg/,...": the number before its unit. */
static int use_unit_field(const struct sample *s, struct rg_log_columns *c, struct rg_error *e)
{
    int value = c->unit - 1;
    const struct rg_slice *f = s->field, unit = f[c->unit];
    if (value > 0 && s->separator == ',' && value - 1 > c->date && all_digits(f[value]) &&
        all_digits(f[value - 1]))
        return rg_fail_at(e, s->path, s->first + 1,
                          "%.*s,%.*s is two fields where fields part at commas (LC_ALL=C has perf "
                          "write points)",
                          (int)RG_MIN(f[value - 1].length, (size_t)20), f[value - 1].at,
                          (int)RG_MIN(f[value].length, (size_t)20), f[value].at);
    enum rg_quantity quantity = s->unit[c->unit].quantity;
    if (value < 0 || value == c->date || s->class[value] != NUMBER ||
        (quantity != RG_LOG_POWER && quantity != RG_LOG_ENERGY))
        return rg_fail_at(e, s->path, s->first + 1, "\"%.*s\" are neither watts nor joules",
                          (int)RG_MIN(unit.length, (size_t)20), unit.at);
    bool perf =
        c->unit + 1 < s->fields && memmem(f[c->unit + 1].at, f[c->unit + 1].length, "energy", 6);
    c->kind = quantity == RG_LOG_POWER ? RG_LOG_MOMENTS : perf ? RG_LOG_AMOUNTS : RG_LOG_ENERGIES;
    struct rg_slice name = perf ? f[c->unit + 1] : unit;
    if (c->channel >= 0) /* told already */
        name.length = 0;
    return add_value(c, value, name, s->unit[c->unit].factor);
}

struct channels {
    struct rg_slice name[RG_LOG_RAILS];
    int count;
    bool drawn[RG_LOG_RAILS]; /* by their units or names, watts or joules */
};

/* What stands in a column, row by row; false: too much for channels. */
static bool list_channels(const struct sample *s, int column, int unit, struct channels *found)
{
    struct rg_slice f[RG_LOG_COLUMNS];
    struct rg_log_unit u;
    *found = (struct channels){0};
    for (int i = s->first; i < s->count; i++) {
        int n =
            is_comment(s->line[i]) ? 0 : rg_log_split(s->line[i], s->separator, f, RG_LOG_COLUMNS);
        if (column >= n || unit >= n || !f[column].length)
            continue;
        int k = 0;
        while (k < found->count &&
               !(found->name[k].length == f[column].length &&
                 memcmp(found->name[k].at, f[column].at, f[column].length) == 0))
            k++;
        if (k == RG_LOG_RAILS)
            return false;
        found->count = RG_MAX(found->count, k + 1);
        found->name[k] = f[column];
        found->drawn[k] |= unit >= 0 ? rg_log_unit(f[unit], &u) && (u.quantity == RG_LOG_POWER ||
                                                                    u.quantity == RG_LOG_ENERGY)
                                     : has_word(f[column], "power") || has_word(f[column], "watts");
    }
    return true;
}

/* A column of words that tells rows apart; -1: rows are of one channel. */
static int find_channel(const struct sample *s, int unit, struct channels *found)
{
    static const char *const names[] = {"entity_id", "channel", "sensor", "rail",   "event",
                                        "events",    "name",    "device", "metric", "topic",
                                        "_field",    "series",  "probe",  "socket", "outlet"};
    for (int i = 0; i < s->fields; i++) {
        bool named = i >= s->names;
        for (size_t k = 0; k < RG_COUNT(names) && !named; k++)
            named = rg_log_is(s->name[i].whole, names[k]);
        bool words = s->class[i] == WORDS || (s->names && named && i < s->names);
        if (named && words && list_channels(s, i, unit, found) && found->count > 1)
            return i;
    }
    return -1;
}

static bool wanted_channel(const char *choice, struct rg_slice name)
{
    for (const char *p = choice; *p; p += strcspn(p, "+"), p += *p == '+') {
        struct rg_slice part = {p, strcspn(p, "+"), false};
        part = rg_log_trim(part);
        if (part.length == name.length && strncasecmp(part.at, name.at, name.length) == 0)
            return true;
    }
    return false;
}

static int choose_channels(const struct sample *s, const char *choice, const struct channels *found,
                           struct rg_log_columns *c, struct rg_error *e)
{
    char list[NAMES] = "";
    c->told[0] = '\0';
    for (int k = 0; k < found->count; k++) {
        append(list, sizeof list, found->name[k]);
        bool taken = *choice ? wanted_channel(choice, found->name[k]) : found->drawn[k];
        if (!taken || found->name[k].length >= sizeof c->channels[0])
            continue;
        snprintf(c->channels[c->channel_count++], sizeof c->channels[0], "%.*s",
                 (int)found->name[k].length, found->name[k].at);
        tell(c, found->name[k], " + ");
    }
    if (c->channel_count == 0 || (!*choice && c->channel_count > 1))
        return rg_fail_at(e, s->path, s->first + 1,
                          "a row for each of %s: which, csv:FILE:NAME says ('+' adds them up)",
                          list);
    return 0;
}

/* Of rows of channels, the column that holds the value. */
static int channel_value(const struct sample *s, struct rg_log_columns *c, const char *choice,
                         struct rg_error *e)
{
    struct rg_slice name = {"", 0, false};
    struct rg_log_unit unit = {RG_LOG_POWER, 1};
    int at = 0, numbers = 0;
    for (int i = 0; i < s->fields; i++) {
        if (s->class[i] != NUMBER || i == c->date || i == c->clock || i == c->channel)
            continue;
        at = i;
        numbers++;
    }
    if (numbers == 1 && unit_of(s, at).quantity != RG_LOG_UNKNOWN)
        unit = unit_of(s, at);
    if (numbers != 1 || (unit.quantity != RG_LOG_POWER && unit.quantity != RG_LOG_ENERGY) ||
        (!*choice && unit_of(s, at).quantity == RG_LOG_UNKNOWN && !s->names))
        return complain_names(s, false, true, e);
    c->kind = unit.quantity == RG_LOG_POWER ? RG_LOG_MOMENTS : RG_LOG_ENERGIES;
    return add_value(c, at, name, unit.factor);
}

/* ---- what was asked for by name ---- */

/* By its name, with or without its unit, or by its number; -1: there is none. */
static int find_column(const struct sample *s, struct rg_slice text)
{
    for (int i = 0; i < s->names; i++)
        if (s->name[i].whole.length == text.length &&
            strncasecmp(s->name[i].whole.at, text.at, text.length) == 0)
            return i;
    int found = -1;
    for (int i = 0; i < s->names; i++)
        if (s->name[i].base.length == text.length && text.length &&
            strncasecmp(s->name[i].base.at, text.at, text.length) == 0) {
            if (found >= 0)
                return -1;
            found = i;
        }
    if (found >= 0 || !all_digits(text) || text.length > 4)
        return found;
    int number = atoi(text.at);
    return number >= 1 && number <= s->fields ? number - 1 : -1;
}

static int add_column(const struct sample *s, struct rg_log_columns *c, struct rg_slice text,
                      struct rg_error *e)
{
    struct rg_log_unit given = {RG_LOG_UNKNOWN, 1};
    char list[NAMES];
    int at = find_column(s, text);
    if (at < 0 && text.length && text.at[text.length - 1] == ']') {
        const char *open = memrchr(text.at, '[', text.length);
        struct rg_slice unit = {open ? open + 1 : text.at, 0, false};
        unit.length = (size_t)(text.at + text.length - 1 - unit.at);
        if (open && rg_log_unit(rg_log_trim(unit), &given))
            at = find_column(
                s, rg_log_trim((struct rg_slice){text.at, (size_t)(open - text.at), false}));
    }
    list_names(s, list);
    if (at < 0)
        return rg_fail_at(e, s->path, (s->heading >= 0 ? s->heading : s->first) + 1,
                          "no column \"%.*s\": there are %s", (int)RG_MIN(text.length, (size_t)40),
                          text.at, list[0] ? list : "numbers without a heading");
    struct rg_log_unit unit = given.quantity != RG_LOG_UNKNOWN ? given : unit_of(s, at);
    if (unit.factor == 0 && unit.quantity == RG_LOG_ENERGY)
        return rg_fail_at(e, s->path, s->heading + 1,
                          "\"%.*s\": in which unit? csv:FILE:%.*s[kWh] says so",
                          (int)RG_MIN(text.length, (size_t)40), text.at,
                          (int)RG_MIN(text.length, (size_t)40), text.at);
    enum rg_quantity quantity = unit.quantity == RG_LOG_UNKNOWN ? RG_LOG_POWER : unit.quantity;
    enum rg_log_kind kind = quantity == RG_LOG_ENERGY           ? RG_LOG_ENERGIES
                            : at < s->names && s->name[at].mean ? RG_LOG_MEANS
                                                                : RG_LOG_MOMENTS;
    if (at == c->date || at == c->clock || s->class[at] == WORDS ||
        (quantity != RG_LOG_POWER && quantity != RG_LOG_ENERGY) ||
        (c->value_count && kind != c->kind))
        return rg_fail_at(e, s->path, s->first + 1, "\"%.*s\": no column of watts, or of joules%s",
                          (int)RG_MIN(text.length, (size_t)40), text.at,
                          c->value_count ? ", as the others are" : "");
    c->kind = kind;
    c->nameless |= unit.quantity == RG_LOG_UNKNOWN;
    return add_value(c, at, text, unit.quantity == RG_LOG_UNKNOWN ? 1 : unit.factor);
}

static int find_chosen(const struct sample *s, struct rg_log_columns *c, const char *choice,
                       struct rg_error *e)
{
    struct rg_slice whole = rg_log_trim((struct rg_slice){choice, strlen(choice), false});
    if (c->date < 0)
        return complain_names(s, true, false, e);
    if (find_column(s, whole) >= 0 || !memchr(whole.at, '+', whole.length))
        return add_column(s, c, whole, e);
    int result = 0;
    for (const char *p = choice; *p && result == 0; p += strcspn(p, "+"), p += *p == '+')
        result =
            c->value_count == RG_LOG_RAILS
                ? rg_fail(e, RG_ERR_PROTOCOL, "%.200s: %d columns are the most", choice,
                          RG_LOG_RAILS)
                : add_column(s, c, rg_log_trim((struct rg_slice){p, strcspn(p, "+"), false}), e);
    return result;
}

/* ---- all of it ---- */

static int find_values(const struct sample *s, struct rg_log_columns *c, const char *choice,
                       struct rg_error *e)
{
    struct channels found;
    bool named =
        *choice &&
        find_column(s, rg_log_trim((struct rg_slice){choice, strcspn(choice, "+"), false})) >= 0;
    int unit = find_class(s, UNIT);
    c->channel = c->date < 0 ? -1 : find_channel(s, unit, &found);
    if (c->channel >= 0) {
        int result = choose_channels(s, named ? "" : choice, &found, c, e);
        c->unit = result == 0 ? unit : -1;
        if (result)
            return result;
        return unit >= 0 ? use_unit_field(s, c, e) : channel_value(s, c, choice, e);
    }
    if (*choice && !(c->date >= 0 && unit >= 0 && !named))
        return find_chosen(s, c, choice, e);
    if (unit >= 0 && c->date >= 0) {
        c->unit = unit;
        return use_unit_field(s, c, e);
    }
    return s->names ? find_named(s, c, e) : find_nameless(s, c, e);
}

/* Without a heading a time of whole seconds before a number of three digits may be parted in two.
 */
static int find_fraction(const struct sample *s, struct rg_log_columns *c, int named,
                         struct rg_error *e)
{
    int at = c->clock >= 0 ? c->clock : c->date;
    c->fraction = named >= 0 && named == at && c->clock < 0;
    if (named >= 0 && !c->fraction)
        return rg_fail_at(e, s->path, s->first + 1, "a comma parts a date from its fraction");
    if (s->names || at < 0 || !is_fraction(s, at))
        return 0;
    return rg_fail_at(e, s->path, s->first + 1,
                      "is \"%.*s\" the fraction of the date before it? A heading (time,watts) says",
                      (int)RG_MIN(s->field[at + 1].length, (size_t)20), s->field[at + 1].at);
}

int rg_log_recognise(struct rg_log_text *text, const char *choice, struct rg_log_columns *c,
                     struct rg_error *e)
{
    struct sample *s = calloc(1, sizeof *s);
    int fraction = -1;
    *c = (struct rg_log_columns){.date = -1, .clock = -1, .unit = -1, .channel = -1};
    if (!s)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    s->path = text->path;
    take_lines(text, s);
    int result = find_first(s, e);
    if (result == 0)
        result = find_heading(s, &fraction, e);
    c->separator = s->separator;
    c->count = s->names > s->fields ? s->names : s->fields;
    c->first_line = s->first + 1;
    if (result == 0 && s->heading >= 0)
        snprintf(c->heading, sizeof c->heading, "%.*s",
                 (int)RG_MIN(s->line[s->heading].length, sizeof c->heading - 1),
                 s->line[s->heading].at);
    if (result == 0)
        result = find_date(s, c, e);
    if (result == 0)
        result = find_fraction(s, c, fraction, e);
    if (result == 0)
        result = find_values(s, c, choice, e);
    free(s);
    return result;
}
