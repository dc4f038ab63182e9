/* Lines that name their values: what mosquitto_sub, zigbee2mqtt, Tasmota and Shelly say in JSON,
 * NVIDIA's tegrastats, and NAME=VALUE, as InfluxDB's line protocol and many a program have it. They
 * become rows of a table, whose columns are all names of the first lines.
 *
 * Happy path: a date, and a topic, may stand before a line's object; objects inside of it are parts
 * of their names. Of tegrastats the date and the rails in milliwatts are taken. Pairs may have
 * their date before or, a number, behind them.
 * Failure modes handled: lines that are neither, and what is cut, go on as they are, for the reader
 * of rows to complain of; more names than columns are left out. */
#include "meters/log_records.h"

#include "base/check.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { FIRST = 64 /* lines that names are taken from */, DEEPEST = 16 };

/* What a line says, value by value; the name is a path. */
typedef void (*leaf_fn)(void *arg, const char *name, struct rg_slice value);

struct walk {
    const char *at, *end;
    char name[RG_RECORD_NAME];
    leaf_fn leaf;
    void *arg;
    int depth;
};

static bool is_digit(const struct walk *w)
{
    return w->at < w->end && isdigit((unsigned char)*w->at);
}

static void skip_blanks(struct walk *w)
{
    while (w->at < w->end && isspace((unsigned char)*w->at))
        w->at++;
}

static bool skip(struct walk *w, char c)
{
    skip_blanks(w);
    if (w->at == w->end || *w->at != c)
        return false;
    w->at++;
    return true;
}

/* The word up to a blank; empty: none is left. */
static struct rg_slice next_word(struct walk *w)
{
    skip_blanks(w);
    const char *from = w->at;
    while (w->at < w->end && !isspace((unsigned char)*w->at))
        w->at++;
    return (struct rg_slice){from, (size_t)(w->at - from), false};
}

/* ---- JSON (RFC 8259) ---- */

static bool read_string(struct walk *w, struct rg_slice *text)
{
    if (!skip(w, '"'))
        return false;
    const char *from = w->at;
    while (w->at < w->end && *w->at != '"')
        w->at += *w->at == '\\' && w->at + 1 < w->end ? 2 : 1;
    *text = (struct rg_slice){from, (size_t)(w->at - from), true};
    return skip(w, '"');
}

static size_t enter(struct walk *w, struct rg_slice key)
{
    size_t before = strlen(w->name);
    snprintf(w->name + before, sizeof w->name - before, "%s%.*s", before ? "." : "",
             (int)RG_MIN(key.length, sizeof w->name), key.at);
    return before;
}

static bool read_value(struct walk *w);

/* An object's members or, without keys, an array's, which are numbered. */
static bool read_members(struct walk *w, char close)
{
    char number[12];
    if (skip(w, close))
        return true;
    for (int i = 0;; i++) {
        struct rg_slice key = {number, (size_t)snprintf(number, sizeof number, "%d", i), false};
        if (close == '}' && !(read_string(w, &key) && skip(w, ':')))
            return false;
        size_t outer = enter(w, key);
        if (!read_value(w))
            return false;
        w->name[outer] = '\0';
        if (!skip(w, ','))
            return skip(w, close);
    }
}

static bool read_value(struct walk *w)
{
    struct rg_slice value;
    skip_blanks(w);
    if (w->at == w->end || w->depth == DEEPEST)
        return false;
    if (*w->at == '{' || *w->at == '[') {
        char close = *w->at++ == '{' ? '}' : ']';
        w->depth++;
        bool whole = read_members(w, close);
        w->depth--;
        return whole;
    }
    if (*w->at == '"') {
        if (!read_string(w, &value))
            return false;
    } else {
        const char *from = w->at;
        while (w->at < w->end && (isalnum((unsigned char)*w->at) || strchr("+-.", *w->at)))
            w->at++;
        value = (struct rg_slice){from, (size_t)(w->at - from), false};
    }
    w->leaf(w->arg, w->name, value);
    return value.quoted || value.length > 0;
}

/* The words from a digit on, which "[" may stand before, are a date. */
static bool read_date(struct walk *w)
{
    const char *before = w->at;
    skip(w, '[');
    skip_blanks(w);
    const char *from = w->at, *end = w->at;
    for (; is_digit(w); skip_blanks(w)) {
        struct rg_slice word = next_word(w);
        if (memchr(word.at, '=', word.length)) {
            w->at = word.at;
            break;
        }
        end = w->at;
    }
    while (end > from && strchr(",;:]", end[-1]))
        end--;
    if (end > from)
        w->leaf(w->arg, "time", (struct rg_slice){from, (size_t)(end - from), false});
    else
        w->at = before;
    return end > from;
}

/* What stands before a line's object: the first word from a digit on begins its date; the others
 * are a topic, or, of a program's own log, have one: topic 'zigbee2mqtt/plug'. */
static void read_front(struct walk *w, struct rg_slice front)
{
    static const char mark[] = "topic '";
    const char *named = memmem(front.at, front.length, mark, strlen(mark)), *end;
    struct walk in = {
        .at = front.at, .end = front.at + front.length, .leaf = w->leaf, .arg = w->arg};
    skip_blanks(&in);
    struct rg_slice topic = {in.at, 0, false};
    while (in.at < in.end && !read_date(&in)) {
        struct rg_slice word = next_word(&in);
        topic.length = (size_t)(word.at + word.length - topic.at);
        skip_blanks(&in);
    }
    if (!topic.length)
        topic = rg_log_bare((struct rg_slice){in.at, (size_t)(in.end - in.at), false});
    if (named) {
        topic.at = named + strlen(mark);
        end = memchr(topic.at, '\'', (size_t)(in.end - topic.at));
        topic.length = (size_t)((end ? end : in.end) - topic.at);
    }
    if (topic.length)
        w->leaf(w->arg, "topic", topic);
}

static bool read_json(struct walk *w, struct rg_slice line)
{
    const char *open = memchr(line.at, '{', line.length);
    if (!open)
        return false;
    read_front(w, (struct rg_slice){line.at, (size_t)(open - line.at), false});
    w->at = open;
    w->end = line.at + line.length;
    bool whole = read_value(w);
    if (open > line.at && open[-1] == '\'')
        whole = skip(w, '\'') && whole;
    skip_blanks(w);
    return whole && w->at == w->end;
}

/* ---- NAME=VALUE ---- */

/* Up to what parts names, values and words; '\\' stands before one of those that does not. */
static struct rg_slice read_plain(struct walk *w, const char *stops)
{
    const char *from = w->at;
    while (w->at < w->end && !isspace((unsigned char)*w->at) && !strchr(stops, *w->at))
        w->at += *w->at == '\\' && w->at + 1 < w->end ? 2 : 1;
    return (struct rg_slice){from, (size_t)(w->at - from), false};
}

/* Integers of the line protocol end in 'i' or 'u'. */
static struct rg_slice without_type(struct rg_slice value)
{
    size_t last = value.length ? value.length - 1 : 0;
    if (last > 0 && strchr("iu", value.at[last]) &&
        strspn(value.at + (*value.at == '-'), "0123456789") >= last - (*value.at == '-'))
        value.length = last;
    return value;
}

/* "power,host=a watts=5.3,volts=5i 1690000000000000000", "2026-03-02T10:00:00 P=5.3 V=5.1". */
static bool read_pairs(struct walk *w, struct rg_slice line)
{
    int pairs = 0;
    w->at = line.at;
    w->end = line.at + line.length;
    bool dated = read_date(w), titled = false;
    for (skip_blanks(w); w->at < w->end; skip_blanks(w)) {
        struct rg_slice key = read_plain(w, "=,;\""), value;
        if (key.length && key.length < RG_RECORD_NAME && w->at < w->end && *w->at == '=') {
            w->at++;
            if (w->at == w->end || *w->at != '"')
                value = without_type(read_plain(w, ",;\""));
            else if (!read_string(w, &value))
                return false;
            snprintf(w->name, sizeof w->name, "%.*s", (int)key.length, key.at);
            w->leaf(w->arg, w->name, value);
            pairs++;
        } else if (key.length && pairs == 0 && !titled) {
            w->leaf(w->arg, "topic", key);
            titled = true;
        } else {
            bool date = pairs > 0 && !dated && w->at == w->end && key.length;
            if (date)
                w->leaf(w->arg, "time", key);
            return date && strspn(key.at, "0123456789.") >= key.length;
        }
        if (w->at < w->end && strchr(",;", *w->at))
            w->at++;
    }
    return pairs > 0;
}

/* ---- tegrastats ---- */

/* "5305mW/5290mW", or without units, of older ones: now, and on average since it began. */
static bool is_rail(struct rg_slice word, struct rg_slice *now)
{
    const char *slash = memchr(word.at, '/', word.length), *end = word.at + word.length;
    double value;
    if (!slash)
        return false;
    *now = (struct rg_slice){word.at, (size_t)(slash - word.at), false};
    const char *unit = rg_log_number(*now, false, &value, NULL);
    const char *mean = rg_log_number((struct rg_slice){slash + 1, (size_t)(end - slash - 1), false},
                                     false, &value, NULL);
    if (!unit || !mean || slash - unit != end - mean ||
        memcmp(unit, mean, (size_t)(end - mean)) != 0)
        return false;
    bool milliwatts = rg_log_is((struct rg_slice){mean, (size_t)(end - mean), false}, "mW");
    now->length = (size_t)(unit - word.at);
    return mean == end || milliwatts;
}

/* Its own date, 03-22-2026 10:00:00, has the month first. */
static void put_date(struct walk *w, struct rg_slice date)
{
    char iso[64];
    const char *p = date.at;
    bool own = date.length > 11 && p[2] == '-' && p[5] == '-' && p[10] == ' ';
    if (own)
        snprintf(iso, sizeof iso, "%.4s-%.2s-%.2s%.*s", p + 6, p, p + 3,
                 (int)RG_MIN(date.length - 10, (size_t)40), p + 10);
    w->leaf(w->arg, "time", own ? (struct rg_slice){iso, strlen(iso), false} : date);
}

static bool read_tegrastats(struct walk *w, struct rg_slice line)
{
    int rails = 0;
    struct rg_slice before = {0}, now;
    w->at = line.at;
    w->end = line.at + line.length;
    skip_blanks(w);
    const char *from = w->at, *end = w->at;
    for (; is_digit(w); skip_blanks(w)) {
        struct rg_slice word = next_word(w);
        end = word.at + word.length;
    }
    if (end > from)
        put_date(w, (struct rg_slice){from, (size_t)(end - from), false});
    bool memory = w->end - w->at > 4 && memcmp(w->at, "RAM ", 4) == 0;
    for (struct rg_slice word = next_word(w); memory && word.length; word = next_word(w)) {
        if (before.length && isalpha((unsigned char)*before.at) && is_rail(word, &now)) {
            char name[RG_RECORD_NAME];
            snprintf(name, sizeof name, "%.*s (mW)", (int)RG_MIN(before.length, (size_t)60),
                     before.at);
            w->leaf(w->arg, name, now);
            rails++;
        }
        before = word;
    }
    return rails > 0;
}

static bool read_record(const struct rg_log_records *r, struct rg_slice line, leaf_fn leaf,
                        void *arg)
{
    static bool (*const forms[])(struct walk *,
                                 struct rg_slice) = {[RG_RECORD_JSON] = read_json,
                                                     [RG_RECORD_TEGRASTATS] = read_tegrastats,
                                                     [RG_RECORD_PAIRS] = read_pairs};
    struct walk w = {.leaf = leaf, .arg = arg};
    return forms[r->form](&w, line);
}

/* ---- names ---- */

static int find_name(const struct rg_log_records *r, const char *name)
{
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->name[i], name) == 0)
            return i;
    return -1;
}

static void learn_name(void *arg, const char *name, struct rg_slice value)
{
    struct rg_log_records *r = arg;
    (void)value;
    if (r->count < RG_LOG_COLUMNS - 1 && find_name(r, name) < 0)
        snprintf(r->name[r->count++], RG_RECORD_NAME, "%s", name);
}

static bool learn(struct rg_log_records *r, enum rg_record_form form, struct rg_slice text)
{
    const char *p = text.at, *end = text.at + text.length, *stop;
    int records = 0, others = 0;
    *r = (struct rg_log_records){.form = form};
    for (int i = 0; i < FIRST && (stop = memchr(p, '\n', (size_t)(end - p))); i++, p = stop + 1) {
        struct rg_slice line = rg_log_bare((struct rg_slice){p, (size_t)(stop - p), false});
        struct rg_log_records before = *r;
        if (rg_log_is_comment(line))
            continue;
        if (read_record(r, line, learn_name, r)) {
            records++;
        } else {
            *r = before;
            others++;
        }
    }
    return records > others;
}

bool rg_log_records_find(struct rg_log_records *r, struct rg_slice text)
{
    bool found = false;
    for (int form = 0; form < RG_RECORD_FORMS && !found; form++)
        found = learn(r, (enum rg_record_form)form, text);
    return found;
}

/* The last key, where no other name ends so and it is no number. */
static const char *short_name(const struct rg_log_records *r, int column)
{
    const char *name = r->name[column], *dot = strrchr(name, '.');
    const char *last = dot && isalpha((unsigned char)dot[1]) ? dot + 1 : name;
    for (int i = 0; i < r->count; i++) {
        const char *other = strrchr(r->name[i], '.');
        if (i != column && strcmp(other ? other + 1 : r->name[i], last) == 0)
            return name;
    }
    return last;
}

/* ---- rows ---- */

static char *put(char *out, const char *end, const char *text, size_t length)
{
    for (size_t i = 0; i < length && out < end; i++)
        *out++ = text[i] && strchr("\t;|\"", text[i]) ? ' ' : text[i];
    return out;
}

size_t rg_log_records_heading(const struct rg_log_records *r, char *out)
{
    char *p = out;
    for (int i = 0; i < r->count; i++) {
        const char *name = short_name(r, i);
        if (i > 0)
            *p++ = '|';
        if (!isalpha((unsigned char)*name)) /* a number is no name of a column */
            *p++ = '_';
        p = put(p, out + RG_LOG_LINE - 2 * RG_LOG_COLUMNS, name, strlen(name));
    }
    *p++ = '\n';
    return (size_t)(p - out);
}

struct row {
    const struct rg_log_records *records;
    struct rg_slice value[RG_LOG_COLUMNS];
    char date[64]; /* that is written anew */
};

static void take_value(void *arg, const char *name, struct rg_slice value)
{
    struct row *row = arg;
    int at = find_name(row->records, name);
    if (at < 0)
        return;
    if (row->records->form == RG_RECORD_TEGRASTATS && strcmp(name, "time") == 0) {
        /* of a buffer that goes */
        value.length = RG_MIN(value.length, sizeof row->date);
        memcpy(row->date, value.at, value.length);
        value.at = row->date;
    }
    row->value[at] = value;
}

/* Texts that look like numbers but are none, an address or a version, would make the row odd. */
static bool is_odd(struct rg_slice text)
{
    struct rg_log_calendar fresh = {0};
    double value;
    double step_s;
    const char *stop = rg_log_number(text, false, &value, NULL);
    return stop && stop != text.at + text.length && !rg_log_day(text) && !rg_log_clock(text) &&
           rg_log_civil(&fresh, text, &value, &step_s) == RG_LOG_NO_DATE;
}

size_t rg_log_records_row(const struct rg_log_records *r, struct rg_slice line, char *out)
{
    struct row row = {.records = r};
    char *p = out, *end = out + RG_LOG_LINE - 2 * RG_LOG_COLUMNS;
    if (rg_log_is_comment(rg_log_bare(line)) || !read_record(r, line, take_value, &row)) {
        p = put(p, end, line.at, line.length);
    } else {
        for (int i = 0; i < r->count; i++) {
            struct rg_slice value = row.value[i];
            if (i > 0)
                *p++ = '|';
            if (value.quoted && is_odd(value))
                p = put(p, end, "'", 1);
            else if (value.quoted && value.length == 0)
                p = put(p, end, "null", 4);
            p = put(p, end, value.at, value.length);
        }
    }
    *p++ = '\n';
    return (size_t)(p - out);
}
