/* What the columns of a log hold: found from its first row and the names above it (log_sample.c).
 *
 * Happy path: a column of watts is one whose name or unit says so, and there is one; else amps
 * times volts, else energy.
 *
 * Failure modes handled: no column of dates or of watts, or several of watts (which there are, and
 * how to name one); a unit that is neither of power nor of energy; decimal commas where fields part
 * at commas. Nothing is guessed. */
#include "meters/log_sample.h"

#include "base/check.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAMES = 260 /* bytes of a list of them */ };

/* ---- lists for complaints ---- */

static void append(char *list, size_t size, struct rg_slice item)
{
    size_t used = strlen(list);
    if (item.length && used + 6 < size)
        snprintf(list + used, size - used, "%s%.*s", used ? ", " : "",
                 (int)RG_MIN(item.length, (size_t)40), item.at);
}

static void list_names(const struct rg_log_sample *s, char list[NAMES])
{
    list[0] = '\0';
    for (int i = 0; i < s->names; i++)
        append(list, NAMES, s->name[i].whole);
}

static int complain_names(const struct rg_log_sample *s, bool dates, bool watts, struct rg_error *e)
{
    char list[NAMES];
    list_names(s, list);
    return rg_fail_at(e, s->path, rg_log_line_of(s, s->heading >= 0 ? s->heading : s->first),
                      "no column of %s%s%s: there are %s; wanted are %s%s%s%s",
                      dates ? "dates" : "", dates && watts ? " and none of " : "",
                      watts ? "watts" : "", list[0] ? list : "numbers without a heading",
                      dates ? "time, timestamp, date or epoch" : "", dates && watts ? ", and " : "",
                      watts ? "watts, power, a unit as in \"(W)\", or csv:FILE:COLUMN" : "",
                      rg_log_program(s, s->first));
}

/* ---- dates ---- */

static int find_class(const struct rg_log_sample *s, enum rg_log_class wanted)
{
    for (int i = 0; i < s->fields; i++)
        if (s->class[i] == wanted)
            return i;
    return -1;
}

static bool is_dated(enum rg_log_class class)
{
    return class == RG_CLASS_NUMBER || class == RG_CLASS_CIVIL || class == RG_CLASS_AMBIGUOUS ||
           class == RG_CLASS_DAY || class == RG_CLASS_CLOCK;
}

/* Without names: a date by its looks, a number of UNIX's size, the first number. */
static int guess_date(const struct rg_log_sample *s)
{
    int at = find_class(s, RG_CLASS_CIVIL);
    double value;
    at = at < 0 ? find_class(s, RG_CLASS_AMBIGUOUS) : at;
    at = at < 0 && find_class(s, RG_CLASS_CLOCK) >= 0 ? find_class(s, RG_CLASS_DAY) : at;
    for (int i = 0; i < s->fields && at < 0; i++)
        if (s->class[i] == RG_CLASS_NUMBER && rg_log_number(s->field[i], true, &value, NULL) &&
            value > 1e9)
            at = i;
    return at >= 0 ? at : find_class(s, RG_CLASS_NUMBER);
}

static int find_date(const struct rg_log_sample *s, struct rg_log_columns *c, struct rg_error *e)
{
    int best = 0;
    c->date = s->names ? -1 : guess_date(s);
    for (int i = 0; i < RG_MIN(s->names, s->fields); i++) {
        int sure = is_dated(s->class[i]) ? s->name[i].dated : 0;
        if (sure > best) {
            best = sure;
            c->date = i;
        }
    }
    if (c->date < 0)
        return 0; /* complained of together with the watts */
    enum rg_log_class class = s->class[c->date];
    c->clock = class == RG_CLASS_DAY ? find_class(s, RG_CLASS_CLOCK) : -1;
    if (class == RG_CLASS_CLOCK) {
        c->clock = c->date;
        c->date = find_class(s, RG_CLASS_DAY);
    }
    if (c->date < 0 || (class == RG_CLASS_DAY && c->clock < 0))
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "a day and a time are wanted, as in ISO 8601");
    if (class == RG_CLASS_AMBIGUOUS || rg_log_ambiguous(s->field[c->date]))
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
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
static struct rg_log_unit unit_of(const struct rg_log_sample *s, int i)
{
    if (i < s->fields && s->class[i] == RG_CLASS_NUMBER && s->unit[i].quantity != RG_LOG_UNKNOWN)
        return s->unit[i];
    return i < s->names ? s->name[i].unit : (struct rg_log_unit){RG_LOG_UNKNOWN, 1};
}

/* Columns of a quantity that could stand for what was drawn; the first, and how many. */
static int find_quantity(const struct rg_log_sample *s, const struct rg_log_columns *c,
                         enum rg_quantity wanted, int *first, char list[NAMES])
{
    int count = 0;
    list[0] = '\0';
    for (int i = 0; i < RG_MIN(s->names, s->fields); i++) {
        struct rg_log_unit unit = unit_of(s, i);
        bool number = s->class[i] == RG_CLASS_NUMBER || s->class[i] == RG_CLASS_GONE;
        if (unit.quantity != wanted || unit.factor == 0 || i == c->date || i == c->clock ||
            !number || s->name[i].other)
            continue;
        *first = count++ ? *first : i;
        append(list, NAMES, s->name[i].whole);
    }
    return count;
}

/* By names: watts, else amps times volts, else energy. */
static int find_named(const struct rg_log_sample *s, struct rg_log_columns *c, struct rg_error *e)
{
    char list[NAMES];
    int at = 0, volts = 0, amps = 0;
    int count = find_quantity(s, c, RG_LOG_POWER, &at, list);
    if (c->date < 0)
        return complain_names(s, true, count == 0, e);
    if (count > 1)
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->heading),
                          "several columns of watts: %s: which, csv:FILE:COLUMN says ('+' adds "
                          "them up)%s",
                          list, rg_log_program(s, s->first));
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
static int find_nameless(const struct rg_log_sample *s, struct rg_log_columns *c,
                         struct rg_error *e)
{
    char name[24];
    int at = 0, numbers = 0;
    for (int i = 0; i < s->fields; i++)
        if (s->class[i] == RG_CLASS_NUMBER && i != c->date && i != c->clock) {
            numbers++;
            at = i;
        }
    if (numbers != 1)
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "%d columns of numbers besides the date and no heading: which has the "
                          "watts, csv:FILE:NUMBER says",
                          numbers);
    struct rg_log_unit unit = s->unit[at];
    if (unit.quantity != RG_LOG_UNKNOWN && unit.quantity != RG_LOG_POWER &&
        unit.quantity != RG_LOG_ENERGY)
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first), "no watts in \"%.*s\"",
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
static int use_unit_field(const struct rg_log_sample *s, struct rg_log_columns *c,
                          struct rg_error *e)
{
    int value = c->unit - 1;
    const struct rg_slice *f = s->field, unit = f[c->unit];
    if (value > 0 && s->separator == ',' && value - 1 > c->date && all_digits(f[value]) &&
        all_digits(f[value - 1]))
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "%.*s,%.*s is two fields where fields part at commas (LC_ALL=C has perf "
                          "write points)",
                          (int)RG_MIN(f[value - 1].length, (size_t)20), f[value - 1].at,
                          (int)RG_MIN(f[value].length, (size_t)20), f[value].at);
    enum rg_quantity quantity = s->unit[c->unit].quantity;
    if (value < 0 || value == c->date || s->class[value] != RG_CLASS_NUMBER ||
        (quantity != RG_LOG_POWER && quantity != RG_LOG_ENERGY))
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "\"%.*s\" are neither watts nor joules",
                          (int)RG_MIN(unit.length, (size_t)20), unit.at);
    bool perf =
        c->unit + 1 < s->fields && memmem(f[c->unit + 1].at, f[c->unit + 1].length, "energy", 6);
    c->kind = quantity == RG_LOG_POWER ? RG_LOG_MOMENTS : perf ? RG_LOG_AMOUNTS : RG_LOG_ENERGIES;
    struct rg_slice name = perf ? f[c->unit + 1] : unit;
    if (c->channel >= 0) /* told already */
        name.length = 0;
    return add_value(c, value, name, s->unit[c->unit].factor);
}

static bool equal(struct rg_slice a, struct rg_slice b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

struct channels {
    struct rg_slice name[RG_LOG_RAILS];
    int count;
    bool drawn[RG_LOG_RAILS]; /* by their units or names, watts or joules */
};

/* Messages of several kinds may come in turn: does this one say anything of what was drawn? */
static bool says_power(const struct rg_log_sample *s, const struct rg_slice *field, int count)
{
    for (int i = 0; i < RG_MIN(count, s->names); i++)
        if (field[i].length && s->name[i].unit.quantity != RG_LOG_UNKNOWN &&
            s->name[i].unit.quantity != RG_LOG_TIME && s->name[i].unit.quantity != RG_LOG_ELSE)
            return true;
    return s->names == 0;
}

/* What stands in a column, row by row; false: too much for channels. */
static bool list_channels(const struct rg_log_sample *s, int column, int unit,
                          struct channels *found)
{
    struct rg_slice f[RG_LOG_COLUMNS];
    struct rg_log_unit u;
    *found = (struct channels){0};
    for (int i = s->first; i < s->count; i++) {
        int n = rg_log_is_comment(s->line[i])
                    ? 0
                    : rg_log_split(s->line[i], s->separator, f, RG_LOG_COLUMNS);
        if (column >= n || unit >= n || !f[column].length || (s->records && !says_power(s, f, n)))
            continue;
        int k = 0;
        while (k < found->count && !equal(found->name[k], f[column]))
            k++;
        if (k == RG_LOG_RAILS)
            return false;
        found->count = RG_MAX(found->count, k + 1);
        found->name[k] = f[column];
        found->drawn[k] |=
            unit >= 0 ? rg_log_unit(f[unit], &u) &&
                            (u.quantity == RG_LOG_POWER || u.quantity == RG_LOG_ENERGY)
                      : rg_log_has_word(f[column], "power") || rg_log_has_word(f[column], "watts");
    }
    return true;
}

/* Do words in the column mostly change from row to row where the date does not? */
static bool parts_dates(const struct rg_log_sample *s, int column, int date)
{
    struct rg_slice f[RG_LOG_COLUMNS], last_date = {0}, last = {0};
    int rows = 0, parted = 0;
    for (int i = s->first; i < s->count; i++) {
        if (rg_log_is_comment(s->line[i]) ||
            RG_MAX(column, date) >= rg_log_split(s->line[i], s->separator, f, RG_LOG_COLUMNS))
            continue;
        rows++;
        parted += rows > 1 && equal(f[date], last_date) && !equal(f[column], last);
        last_date = f[date];
        last = f[column];
    }
    return parted > 0 && parted >= rows / 2 - 1;
}

/* A column of words that tells rows apart; -1: rows are of one channel. */
static int find_channel(const struct rg_log_sample *s, int date, int unit, struct channels *found)
{
    static const char *const names[] = {
        "entity_id", "channel", "sensor", "rail", "event",    "events",   "name",
        "device",    "metric",  "topic",  "host", "_field",   "series",   "probe",
        "socket",    "outlet",  "dev",    "node", "hostname", "instance", "plug"};
    for (int i = 0; i < s->fields; i++) {
        bool named = i >= s->names;
        for (size_t k = 0; k < RG_COUNT(names) && !named; k++)
            named = rg_log_is(s->name[i].whole, names[k]);
        bool words = s->class[i] == RG_CLASS_WORDS || (s->names && named && i < s->names);
        named = named || (words && parts_dates(s, i, date));
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

static int choose_channels(const struct rg_log_sample *s, const char *choice,
                           const struct channels *found, struct rg_log_columns *c,
                           struct rg_error *e)
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
    if (*choice && c->channel_count == 0)
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "no row of \"%.40s\": a row for each of %s: which, csv:FILE:NAME says "
                          "('+' adds them up)",
                          choice, list);
    if (c->channel_count == 0 || (!*choice && c->channel_count > 1))
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "a row for each of %s: which, csv:FILE:NAME says ('+' adds them up)",
                          list);
    return 0;
}

/* Of rows of channels, the column that holds the value: the one number, or that of watts, or else
 * of energy, by its name or unit. */
static int channel_value(const struct rg_log_sample *s, struct rg_log_columns *c,
                         const char *choice, struct rg_error *e)
{
    struct rg_slice name = {"", 0, false};
    struct rg_log_unit unit = {RG_LOG_POWER, 1};
    int at = 0, numbers = 0;
    for (int i = 0; i < s->fields; i++) {
        if (s->class[i] != RG_CLASS_NUMBER || i == c->date || i == c->clock || i == c->channel)
            continue;
        at = i;
        numbers++;
    }
    if (numbers > 1) {
        char list[NAMES];
        int count = find_quantity(s, c, RG_LOG_POWER, &at, list);
        if (count == 0)
            count = find_quantity(s, c, RG_LOG_ENERGY, &at, list);
        if (count > 1)
            return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                              "a row for each of several, with more than one column of watts: %s: "
                              "a log with one of them is wanted",
                              list);
        numbers = count;
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
static int find_column(const struct rg_log_sample *s, struct rg_slice text)
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

static int add_column(const struct rg_log_sample *s, struct rg_log_columns *c, struct rg_slice text,
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
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->heading >= 0 ? s->heading : s->first),
                          "no column \"%.*s\": there are %s", (int)RG_MIN(text.length, (size_t)40),
                          text.at, list[0] ? list : "numbers without a heading");
    struct rg_log_unit unit = given.quantity != RG_LOG_UNKNOWN ? given : unit_of(s, at);
    if (unit.factor == 0 && unit.quantity == RG_LOG_ENERGY)
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->heading),
                          "\"%.*s\": in which unit? csv:FILE:%.*s[kWh] says so",
                          (int)RG_MIN(text.length, (size_t)40), text.at,
                          (int)RG_MIN(text.length, (size_t)40), text.at);
    enum rg_quantity quantity = unit.quantity == RG_LOG_UNKNOWN ? RG_LOG_POWER : unit.quantity;
    enum rg_log_kind kind = quantity == RG_LOG_ENERGY           ? RG_LOG_ENERGIES
                            : at < s->names && s->name[at].mean ? RG_LOG_MEANS
                                                                : RG_LOG_MOMENTS;
    if (at == c->date || at == c->clock || s->class[at] == RG_CLASS_WORDS ||
        (quantity != RG_LOG_POWER && quantity != RG_LOG_ENERGY) ||
        (c->value_count && kind != c->kind))
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "\"%.*s\": no column of watts, or of joules%s",
                          (int)RG_MIN(text.length, (size_t)40), text.at,
                          c->value_count ? ", as the others are" : "");
    c->kind = kind;
    c->nameless |= unit.quantity == RG_LOG_UNKNOWN;
    return add_value(c, at, text, unit.quantity == RG_LOG_UNKNOWN ? 1 : unit.factor);
}

static int find_chosen(const struct rg_log_sample *s, struct rg_log_columns *c, const char *choice,
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

static int find_values(const struct rg_log_sample *s, struct rg_log_columns *c, const char *choice,
                       struct rg_error *e)
{
    struct channels found;
    bool named =
        *choice &&
        find_column(s, rg_log_trim((struct rg_slice){choice, strcspn(choice, "+"), false})) >= 0;
    int unit = find_class(s, RG_CLASS_UNIT);
    c->channel = c->date < 0 ? -1 : find_channel(s, c->date, unit, &found);
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
static int find_fraction(const struct rg_log_sample *s, struct rg_log_columns *c,
                         struct rg_error *e)
{
    int at = c->clock >= 0 ? c->clock : c->date, named = s->fraction;
    c->fraction = named >= 0 && named == at && c->clock < 0;
    if (named >= 0 && !c->fraction)
        return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                          "a comma parts a date from its fraction");
    if (s->names || at < 0 || !rg_log_is_fraction(s, at))
        return 0;
    return rg_fail_at(e, s->path, rg_log_line_of(s, s->first),
                      "is \"%.*s\" the fraction of the date before it? A heading (time,watts) says",
                      (int)RG_MIN(s->field[at + 1].length, (size_t)20), s->field[at + 1].at);
}

int rg_log_recognise(struct rg_log_text *text, const char *choice, struct rg_log_columns *c,
                     struct rg_error *e)
{
    struct rg_log_sample *s = malloc(sizeof *s);
    *c = (struct rg_log_columns){.date = -1, .clock = -1, .unit = -1, .channel = -1};
    if (!s)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    int result = rg_log_sample_read(text, s, e);
    c->separator = s->separator;
    c->records = text->records != NULL;
    c->count = s->names > s->fields ? s->names : s->fields;
    c->first_line = rg_log_line_of(s, s->first);
    if (result == 0 && s->heading >= 0)
        snprintf(c->heading, sizeof c->heading, "%.*s",
                 (int)RG_MIN(s->line[s->heading].length, sizeof c->heading - 1),
                 s->line[s->heading].at);
    if (result == 0)
        result = find_date(s, c, e);
    if (result == 0)
        result = find_fraction(s, c, e);
    if (result == 0)
        result = find_values(s, c, choice, e);
    free(s);
    return result;
}
