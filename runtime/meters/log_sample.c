/* The first rows of a log and the heading above them.
 *
 * Happy path: the first line with a date and a number, followed by another of its kind, is the
 * first row; the line above it that has a name for each column is the heading, behind '#' or not.
 *
 * Failure modes handled: no row of a date and a number; rows with more fields than names; a comma
 * that parts a date from its fraction. Nothing is guessed. */
#include "meters/log_sample.h"

#include "base/check.h"
#include "meters/log_records.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- fields ---- */

static enum rg_log_class classify(struct rg_slice f, char separator, struct rg_log_unit *unit)
{
    struct rg_log_calendar fresh = {0};
    double value, step_s;
    *unit = (struct rg_log_unit){RG_LOG_UNKNOWN, 1};
    if (rg_log_missing(f))
        return RG_CLASS_GONE;
    const char *stop = rg_log_number(f, separator != ',' || f.quoted, &value, NULL);
    if (stop) {
        struct rg_slice rest = {stop, (size_t)(f.at + f.length - stop), false};
        rest = rg_log_trim(rest);
        if (!rest.length || rg_log_is(rest, ":") || rg_log_unit(rest, unit))
            return RG_CLASS_NUMBER;
    }
    enum rg_log_date date = rg_log_civil(&fresh, f, &value, &step_s);
    if (date != RG_LOG_NO_DATE)
        return date == RG_LOG_DATE ? RG_CLASS_CIVIL : RG_CLASS_AMBIGUOUS;
    if (rg_log_day(f) || rg_log_clock(f))
        return rg_log_day(f) ? RG_CLASS_DAY : RG_CLASS_CLOCK;
    if (rg_log_unit(f, unit))
        return RG_CLASS_UNIT;
    size_t plain = 0;
    while (plain < f.length && strchr("0123456789., ", f.at[plain]))
        plain++;
    return plain == f.length ? RG_CLASS_ODD : RG_CLASS_WORDS;
}

static int classify_line(struct rg_slice line, char separator, struct rg_slice *field,
                         enum rg_log_class *class, struct rg_log_unit *unit)
{
    int count = rg_log_split(line, separator, field, RG_LOG_COLUMNS);
    for (int i = 0; i < count; i++)
        class[i] = classify(field[i], separator, &unit[i]);
    while (count > 1 && field[count - 1].length == 0)
        count--;
    return count;
}

static int count_class(const enum rg_log_class *class, int count, enum rg_log_class wanted)
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
    enum rg_log_class class[RG_LOG_COLUMNS];
    int n = *count = classify_line(line, separator, field, class, unit);
    int numbers = count_class(class, n, RG_CLASS_NUMBER);
    int dates = count_class(class, n, RG_CLASS_CIVIL) + count_class(class, n, RG_CLASS_AMBIGUOUS) +
                (count_class(class, n, RG_CLASS_DAY) && count_class(class, n, RG_CLASS_CLOCK));
    return n >= 2 && !count_class(class, n, RG_CLASS_ODD) && numbers + dates >= 2 && numbers >= 1;
}

/* By which its fields part, or 0. What is rarest within a number goes first. */
static char separator_of(struct rg_slice line, int *count)
{
    static const char all[] = "\t;|, ";
    if (!rg_log_is_comment(line))
        for (const char *s = all; *s; s++)
            if (is_row(line, *s, count))
                return *s;
    return '\0';
}

/* ---- the first row ---- */

static void take_lines(const struct rg_log_text *text, struct rg_log_sample *s)
{
    const char *p = text->buffer + text->next, *end = text->buffer + text->used, *stop;
    for (; s->count < RG_LOG_SAMPLE && (stop = memchr(p, '\n', (size_t)(end - p))); p = stop + 1)
        s->line[s->count++] = rg_log_bare((struct rg_slice){p, (size_t)(stop - p), false});
}

const char *rg_log_program(const struct rg_log_sample *s, int lines)
{
    bool amps = false, volts = false;
    for (int i = 0; i < s->names; i++) {
        amps = amps || s->name[i].unit.quantity == RG_LOG_AMPS;
        volts = volts || s->name[i].unit.quantity == RG_LOG_VOLTS;
        if (rg_log_is(s->name[i].whole, "Bzy_MHz") || rg_log_is(s->name[i].whole, "PkgWatt"))
            return "; turbostat: --show Time_Of_Day_Seconds,PkgWatt";
        if (rg_log_is(s->name[i].whole, "entity_id"))
            return "; Home Assistant: csv:FILE:state";
    }
    if (amps && !volts)
        return "; amps without volts are no watts";
    if (s->records && s->records->form == RG_RECORD_TEGRASTATS)
        return "; tegrastats | ts '%.s' writes dates";
    for (int i = 0; i < lines; i++)
        if (memmem(s->line[i].at, s->line[i].length, "sigrok", 6))
            return "; sigrok-cli heads columns with units, and writes dates with -O csv:time=true";
    return "";
}

/* "Power: 5300 mW": a reading, but of when? */
static bool is_undated(struct rg_slice line)
{
    struct rg_log_unit unit;
    double value;
    const char *colon = memchr(line.at, ':', line.length), *end = line.at + line.length;
    if (!colon || !isalpha((unsigned char)*line.at))
        return false;
    struct rg_slice rest =
        rg_log_trim((struct rg_slice){colon + 1, (size_t)(end - colon - 1), false});
    const char *stop = rg_log_number(rest, false, &value, NULL);
    return stop &&
           rg_log_unit(rg_log_trim((struct rg_slice){stop, (size_t)(end - stop), false}), &unit) &&
           (unit.quantity == RG_LOG_POWER || unit.quantity == RG_LOG_VOLTS ||
            unit.quantity == RG_LOG_AMPS);
}

static int complain_no_row(const struct rg_log_sample *s, struct rg_error *e)
{
    int i = 0;
    while (i < s->count && rg_log_is_comment(s->line[i]))
        i++;
    if (s->count - i < 2) /* a heading, perhaps, and rows to come */
        return rg_fail(e, RG_ERR_TIMEOUT, "%.300s: two rows at least are wanted", s->path);
    struct rg_slice line = s->line[i + 1];
    bool json = memchr(line.at, '{', line.length) != NULL;
    const char *undated = is_undated(s->line[i]) || is_undated(line)
                              ? "; readings without dates: \"| grep Power | ts '%.s'\" "
                                "makes a row of each, with its date"
                              : "";
    return rg_fail_at(
        e, s->path, rg_log_line_of(s, i + 1), "%s: \"%.*s\"%s%s",
        json ? "JSON: an object a line is wanted, with a date (jq -c '.[]' makes lines of an "
               "array)"
             : "no date and number in columns (fields part at ',', ';', '|', a tab "
               "or blanks; dates are seconds of UNIX or ISO 8601, day and time)",
        (int)RG_MIN(line.length, (size_t)40), line.at, undated, rg_log_program(s, s->count));
}

static int find_first(struct rg_log_sample *s, struct rg_error *e)
{
    int lone = -1, n = 0, m = 0;
    for (int i = 0, next; i < s->count; i = next) {
        for (next = i + 1; next < s->count && rg_log_is_comment(s->line[next]);)
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

static bool has_any(struct rg_slice text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rg_log_has_word(text, words[i]))
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
static void split_unit(struct rg_log_name *n)
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

static int looks_dated(const struct rg_log_name *n)
{
    static const char *const sure[] = {"time",         "timestamp",  "date",
                                       "datetime",     "t",          "unix",
                                       "time_s",       "epoch",      "last_changed",
                                       "last_updated", "ts",         "date_time",
                                       "unixtime",     "unix_time",  "_time",
                                       "zeit",         "datum",      "zeitstempel",
                                       "date/time",    "utc",        "time_of_day_seconds",
                                       "timestamps",   "created_at", "last_seen",
                                       "tst"};
    static const char *const perhaps[] = {"time", "date", "timestamp", "epoch", "elapsed", "unix"};
    static const char *const not [] = {"up", "run", "cpu", "uptime", "runtime", "busy", "zone"};
    for (size_t i = 0; i < RG_COUNT(sure); i++)
        if (rg_log_is(n->base, sure[i]) || rg_log_is(n->whole, sure[i]))
            return 2;
    if (rg_log_is(n->base, "date & time") || rg_log_is(n->base, "time stamp"))
        return 2;
    return has_any(n->base, perhaps, RG_COUNT(perhaps)) && !has_any(n->base, not, RG_COUNT(not ));
}

/* Of a name without a unit: by its words. */
static void guess_unit(struct rg_log_name *n)
{
    static const char *const power[] = {"power",    "watts",     "watt",     "apower",
                                        "leistung", "puissance", "potencia", "wattage"};
    static const char *const energy[] = {"energy", "energie", "joules", "consumption", "kwh"};
    static const char *const volts[] = {"voltage", "volts", "volt", "spannung"};
    static const char *const amps[] = {"current", "amps", "amp", "ampere", "strom"};
    struct rg_slice text = n->whole;
    if (text.length > 4 && strncasecmp(text.at + text.length - 4, "Watt", 4) == 0) {
        n->unit.quantity = RG_LOG_POWER; /* PkgWatt of turbostat */
        n->mean = true;
    } else if (has_any(n->base, energy, RG_COUNT(energy)))
        n->unit = (struct rg_log_unit){RG_LOG_ENERGY, 0}; /* in no unit that is known */
    else if (has_any(n->base, volts, RG_COUNT(volts)))
        n->unit = (struct rg_log_unit){RG_LOG_VOLTS, 1};
    else if (has_any(n->base, amps, RG_COUNT(amps)))
        n->unit = (struct rg_log_unit){RG_LOG_AMPS, 1};
    else if (has_any(n->base, power, RG_COUNT(power)))
        n->unit = (struct rg_log_unit){RG_LOG_POWER, 1};
}

static struct rg_log_name understand(struct rg_slice text)
{
    struct rg_log_name n = {.whole = text, .unit = {RG_LOG_UNKNOWN, 1}};
    if (!text.length)
        return n;
    split_unit(&n);
    if (n.unit.quantity == RG_LOG_UNKNOWN)
        guess_unit(&n);
    n.dated = looks_dated(&n);
    n.other = is_other(n.base);
    return n;
}

/* ---- the heading ---- */

/* The line's fields as names; 0: they are none. */
static int read_names(const struct rg_log_sample *s, int at, struct rg_slice *names, bool *comment)
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
        enum rg_log_class class = classify(names[i], s->separator, &unit);
        if (class != RG_CLASS_WORDS && class != RG_CLASS_UNIT && class != RG_CLASS_GONE)
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
        struct rg_log_name n = understand(names[i]);
        if (n.dated == 2 || n.unit.quantity == RG_LOG_POWER)
            return true;
    }
    return false;
}

bool rg_log_is_fraction(const struct rg_log_sample *s, int field)
{
    if (s->separator != ',' || field + 1 >= s->fields)
        return false;
    struct rg_slice next = s->field[field + 1];
    return (s->class[field] == RG_CLASS_CIVIL || s->class[field] == RG_CLASS_CLOCK) &&
           (next.length == 3 || next.length == 6) && strspn(next.at, "0123456789") >= next.length &&
           !memchr(s->field[field].at, '.', s->field[field].length);
}

static void add_names(struct rg_log_sample *s, const struct rg_slice *names, int count, int shift)
{
    for (int i = 0; i < count; i++)
        s->name[i + shift] = understand(names[i]);
    s->names = count + shift;
}

/* A row of units under the names. */
static void add_units(struct rg_log_sample *s, const struct rg_slice *units, int count)
{
    struct rg_log_unit unit;
    for (int i = 0; i < count && i < s->names; i++)
        if (rg_log_unit(units[i], &unit))
            s->name[i].unit = unit;
}

/* The fraction's field gets a name that nobody looks for. */
static void make_room(struct rg_log_sample *s, int field)
{
    memmove(&s->name[field + 2], &s->name[field + 1],
            (size_t)(s->names - field - 1) * sizeof *s->name);
    s->name[field + 1] = (struct rg_log_name){.unit = {RG_LOG_ELSE, 0}};
    s->names++;
}

/* Names that are fewer than fields: of a fraction, or of a date that has none. */
static int fit_names(struct rg_log_sample *s, const struct rg_slice *names, int count,
                     struct rg_error *e)
{
    for (int i = 0; s->fields == count + 1 && i < s->fields && s->fraction < 0; i++)
        if (rg_log_is_fraction(s, i))
            s->fraction = i;
    bool shifted = s->separator == ' ' && s->fields == count + 1 && s->fraction < 0;
    if (s->fields > count && s->fraction < 0 && !shifted)
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "%d fields, the heading has %d names (a comma within a number or a date "
                          "parts it in two)",
                          s->fields, count);
    add_names(s, names, count, shifted);
    if (shifted)
        s->name[0] = understand((struct rg_slice){"time", 4, false});
    if (s->fraction >= 0)
        make_room(s, s->fraction);
    return 0;
}

/* Above the first row, if there is one. */
static int find_heading(struct rg_log_sample *s, struct rg_error *e)
{
    struct rg_slice names[RG_LOG_COLUMNS], upper[RG_LOG_COLUMNS];
    bool comment;
    for (int at = s->records ? 0 : s->first - 1; at >= 0; at--) {
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
        int result = fit_names(s, units ? upper : names, count, e);
        if (units && result == 0)
            add_units(s, names, count);
        s->heading = at;
        return result;
    }
    return 0;
}

int rg_log_line_of(const struct rg_log_sample *s, int line)
{
    return RG_MAX(s->before + line + 1, 1);
}

int rg_log_sample_read(const struct rg_log_text *text, struct rg_log_sample *s, struct rg_error *e)
{
    *s = (struct rg_log_sample){.path = text->path,
                                .before = (int)text->line,
                                .records = text->records,
                                .heading = -1,
                                .fraction = -1};
    take_lines(text, s);
    int result = find_first(s, e);
    return result ? result : find_heading(s, e);
}
