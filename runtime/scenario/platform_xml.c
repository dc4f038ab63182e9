/* The hosts of a SimGrid 4.1 platform file and their boards. Links, routes and whatever else only
 * the simulator needs are passed over: SimGrid itself reads them from the same file.
 *
 * Failure modes handled, each with file and line: a host without one of the properties that
 * describe its board, a misspelt one, numbers that cannot be, radicals that are none, two hosts of
 * one name, hosts of kinds that carry no properties. */
#include "scenario/platform_parts.h"

#include "base/check.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HOSTS = 65536 };

enum type {
    NAME,
    CORES,
    BYTES,
    RATE,
    SECONDS,
    SIZE,
    WATTS,
    CURVE,
    CLOCKS,
    STATES,
    /* with defaults */
    MEDIUM,
    BURST,
    MORE_RATE,    /* the port's, or none */
    MORE_SECONDS, /* none */
    MEMORY_CURVE  /* flat */
};

#define MEDIA "switched|shared" /* in the order of the bool; the first where none is given */

/* Complete, with the source of every number. */
#define DATASHEET "platforms/pi4-gigabit-64.xml"

/* One row a field of struct rg_board; the property is the field's name behind "rg_", but for the
 * one that is SimGrid's own. */
static const struct property {
    const char *name;
    enum type type;
    size_t offset;
} properties[] = {
#define ROW(name, type, field)                                                                     \
    {                                                                                              \
        "rg_" name, type, offsetof(struct rg_board, field)                                         \
    }
    ROW("board", NAME, name),
    ROW("cores", CORES, cores),
    ROW("gemm_rate", RATE, gemm_rate),
    ROW("gemm_rate_all", RATE, gemm_rate_all),
    ROW("gemm_curve", CURVE, curve_points),
    ROW("vector_rate", RATE, vector_rate),
    ROW("memory_rate", RATE, memory_rate),
    ROW("memory_rate_all", RATE, memory_rate_all),
    ROW("memory_curve", MEMORY_CURVE, memory_points),
    ROW("call_s", SECONDS, call_s),
    ROW("function_s", MORE_SECONDS, function_s),
    ROW("memory_bytes", BYTES, memory_bytes),
    ROW("port_rate", RATE, port_rate),
    ROW("port_rx_rate", MORE_RATE, port_rx_rate),
    ROW("port_bus_rate", MORE_RATE, port_bus_rate),
    ROW("medium_rate", MORE_RATE, medium_rate),
    ROW("port_burst", BURST, port_burst),
    ROW("port_queue", BURST, port_queue),
    ROW("latency_s", SECONDS, latency_s),
    ROW("frame_payload", SIZE, frame_payload),
    ROW("frame_bytes", SIZE, frame_bytes),
    ROW("message_s", SECONDS, message_s),
    ROW("byte_s", SECONDS, byte_s),
    ROW("port_tx_watts", WATTS, port_tx_watts),
    ROW("port_rx_watts", WATTS, port_rx_watts),
    ROW("switch_watts", WATTS, switch_watts),
    ROW("clocks", CLOCKS, clocks),
#undef ROW
    {"wattage_per_state", STATES, offsetof(struct rg_board, clocks)},
    {"rg_medium", MEDIUM, offsetof(struct rg_board, shared_medium)},
};

/* Reading under way: boards are numbered while their array may still move. */
struct reader {
    const struct rg_xml *xml;
    struct rg_platform *platform;
    int *kind; /* [hosts] */
    int room;
    struct rg_error *e;
};

static int fail_memory(struct reader *r)
{
    return rg_fail(r->e, RG_ERR_NOMEM, "%s: out of memory", r->xml->path);
}

/* "32:0.2 64:0.3 ...": size and share of the full rate. */
static int read_curve(const char *text, int *points, double *sizes, double *shares,
                      struct rg_error *why)
{
    static const struct rg_limit any_size = {false, true, 0, 1e12}, any_share = {false, true, 0, 1};
    int length, i = 0;
    const char *word;
    for (; (word = rg_text_word(text, i, &length)); i++) {
        char pair[64];
        snprintf(pair, sizeof pair, "%.*s", length, word);
        char *colon = strchr(pair, ':');
        if (colon)
            *colon = '\0';
        if (i == RG_BOARD_CURVE || strchr(text, '|') || length >= (int)sizeof pair || !colon ||
            rg_text_number(pair, &any_size, &sizes[i], NULL) < 0 ||
            rg_text_number(colon + 1, &any_share, &shares[i], NULL) < 0 ||
            (i > 0 && sizes[i] <= sizes[i - 1]))
            return rg_fail(why, RG_ERR_INVALID,
                           "up to %d pairs SIZE:SHARE, separated by blanks, are allowed, sizes "
                           "rising, shares above 0 up "
                           "to 1",
                           RG_BOARD_CURVE);
    }
    if (i == 0)
        return rg_fail(why, RG_ERR_INVALID, "at least one pair SIZE:SHARE is wanted");
    *points = i;
    return 0;
}

/* "1.5e9 1.2e9 600e6": the steps of the clock, highest first. */
static int read_clocks(const char *text, struct rg_board *board, struct rg_error *why)
{
    static const struct rg_limit hertz = {false, true, 0, 1e12};
    int length, i = 0;
    const char *word;
    for (; (word = rg_text_word(text, i, &length)); i++) {
        char number[32];
        snprintf(number, sizeof number, "%.*s", length, word);
        if (i == RG_BOARD_CLOCKS || strchr(text, '|') || length >= (int)sizeof number ||
            rg_text_number(number, &hertz, &board->clocks[i].hz, NULL) < 0)
            return rg_fail(why, RG_ERR_INVALID,
                           "1 to %d clocks in Hz, separated by blanks, are allowed",
                           RG_BOARD_CLOCKS);
    }
    board->clock_count = i;
    return i ? 0 : rg_fail(why, RG_ERR_INVALID, "at least one clock in Hz is wanted");
}

/* "2.9:2.27:6.4, ...": watts idle, of a core at no load, of all cores; one triple a clock. */
static int read_states(const char *text, struct rg_board *board, struct rg_error *why)
{
    static const struct rg_limit watts = {false, false, 0, 1e6};
    char *copy = strdup(text), *rest = copy;
    int i = 0, err = copy ? 0 : rg_fail(why, RG_ERR_NOMEM, "out of memory");
    for (; rest && err == 0; i++) {
        char *triple = strsep(&rest, ","), *idle = strsep(&triple, ":");
        char *epsilon = strsep(&triple, ":"), *full = triple;
        struct rg_clock *c = &board->clocks[RG_MIN(i, RG_BOARD_CLOCKS - 1)];
        idle += strspn(idle, " \t\n");
        for (size_t n = full ? strlen(full) : 0; n > 0 && strchr(" \t\n", full[n - 1]); n--)
            full[n - 1] = '\0';
        if (i == RG_BOARD_CLOCKS || !epsilon || !full ||
            rg_text_number(idle, &watts, &c->idle_watts, NULL) < 0 ||
            rg_text_number(epsilon, &watts, &c->epsilon_watts, NULL) < 0 ||
            rg_text_number(full, &watts, &c->full_watts, NULL) < 0)
            err =
                rg_fail(why, RG_ERR_INVALID,
                        "1 to %d triples Idle:Epsilon:AllCores in watts, separated by commas, are "
                        "allowed",
                        RG_BOARD_CLOCKS);
    }
    free(copy);
    return err;
}

static int read_value(const struct property *property, const char *text, struct rg_board *board,
                      struct rg_error *why)
{
    static const struct rg_limit limits[] = {
        [CORES] = {true, false, 1, 1024},      [RATE] = {false, false, 1, 1e18},
        [SECONDS] = {false, false, 0, 1000},   [SIZE] = {false, true, 0, 1e9},
        [BYTES] = {false, false, 1, 1e15},     [WATTS] = {false, false, 0, 1e6},
        [BURST] = {false, false, 0, 1e9},      [MORE_SECONDS] = {false, false, 0, 1000},
        [MORE_RATE] = {false, false, 1, 1e18},
    };
    char *field = (char *)board + property->offset;
    double value = 0;
    int err = 0;
    if (property->type == MEDIUM) {
        int medium = rg_text_index(MEDIA, text);
        board->shared_medium = medium == 1;
        return medium >= 0 ? 0 : rg_fail(why, RG_ERR_INVALID, "switched and shared are allowed");
    }
    if (property->type == CURVE)
        return read_curve(text, &board->curve_points, board->curve_size, board->curve_share, why);
    if (property->type == MEMORY_CURVE)
        return read_curve(text, &board->memory_points, board->memory_size, board->memory_share,
                          why);
    if (property->type == CLOCKS)
        return read_clocks(text, board, why);
    if (property->type == STATES)
        return read_states(text, board, why);
    if (property->type == NAME) {
        if (text[0] == '\0' || strlen(text) >= sizeof board->name)
            return rg_fail(why, RG_ERR_INVALID, "1 to %zu characters are allowed",
                           sizeof board->name - 1);
        memcpy(field, text, strlen(text) + 1);
        rg_one_line(field);
        return 0;
    }
    err = rg_text_number(text, &limits[property->type], &value, why);
    if (err == 0 && property->type == BYTES && value != floor(value))
        err = rg_fail(why, RG_ERR_INVALID, "a whole number of bytes is wanted");
    if (err)
        return err;
    if (property->type == CORES)
        memcpy(field, &(int){(int)value}, sizeof(int));
    else if (property->type == BYTES)
        memcpy(field, &(uint64_t){(uint64_t)value}, sizeof(uint64_t));
    else
        memcpy(field, &value, sizeof value);
    return 0;
}

/* Index of the property that a <prop> gives; -1: not one of ours; < -1: an error. */
static int property_of(struct reader *r, const struct rg_xml_element *prop, const char *id)
{
    for (size_t i = 0; i < RG_COUNT(properties); i++)
        if (strcmp(properties[i].name, id) == 0)
            return (int)i;
    if (strncmp(id, "rg_", 3) != 0)
        return -1;
    char words[600] = "", allowed[600];
    for (size_t i = 0; i < RG_COUNT(properties); i++) {
        size_t used = strlen(words);
        snprintf(words + used, sizeof words - used, "%s ", properties[i].name);
    }
    rg_text_allowed(words, id, allowed, sizeof allowed);
    return rg_xml_fail(r->xml, prop->line, r->e, "unknown property \"%.40s\": %s", id, allowed);
}

static int read_prop(struct reader *r, const struct rg_xml_element *prop, struct rg_board *board,
                     int lines[])
{
    const struct rg_xml_attribute *id, *value;
    int err;
    if ((err = rg_xml_want(r->xml, prop, "id", &id, r->e)))
        return err;
    int i = property_of(r, prop, id->value);
    if (i < 0)
        return i == -1 ? 0 : i;
    if ((err = rg_xml_want(r->xml, prop, "value", &value, r->e)))
        return err;
    if (lines[i])
        return rg_xml_fail(r->xml, prop->line, r->e,
                           "property %s is on line %d already: it is allowed once",
                           properties[i].name, lines[i]);
    struct rg_error why = {0};
    lines[i] = prop->line;
    if (read_value(&properties[i], value->value, board, &why) < 0)
        return rg_xml_fail(r->xml, value->line, r->e, "property %s=\"%.60s\": %s",
                           properties[i].name, value->value, why.text);
    return 0;
}

#define NO_STATE (-1.0)

/* How many triples of watts there are; what has none is left zero. */
static int count_states(struct rg_board *board)
{
    int states = 0;
    for (int i = 0; i < RG_BOARD_CLOCKS; i++) {
        if (board->clocks[i].full_watts == NO_STATE)
            board->clocks[i].full_watts = 0;
        else
            states++;
    }
    return states;
}

/* What SimGrid's own attributes say, the datasheet says too; engine.c looks at what they leave out.
 */
static int check_attributes(struct reader *r, const struct rg_xml_element *element,
                            const struct rg_board *board)
{
    const struct rg_xml_attribute *speed = rg_xml_find(element, "speed");
    const struct rg_xml_attribute *core = rg_xml_find(element, "core");
    const struct rg_limit whole = {.whole = true, .min = 1, .max = 1024};
    int speeds = 1;
    double cores = 1;
    for (const char *p = speed ? speed->value : ""; *p; p++)
        speeds += *p == ',';
    if (speed && speeds != board->clock_count)
        return rg_xml_fail(r->xml, speed->line, r->e,
                           "speed of <%s> has %d, rg_clocks %d: as many are wanted", element->name,
                           speeds, board->clock_count);
    if (core && rg_text_number(core->value, &whole, &cores, NULL) < 0)
        cores = 0;
    if (core && cores != board->cores)
        return rg_xml_fail(r->xml, core->line, r->e,
                           "core=\"%.20s\" of <%s>, rg_cores says %d: as many are wanted",
                           core->value, element->name, board->cores);
    return 0;
}

static int read_board(struct reader *r, const struct rg_xml_element *element,
                      struct rg_board *board)
{
    int lines[RG_COUNT(properties)] = {0};
    const struct rg_xml_attribute *id = rg_xml_find(element, "id");
    const char *name = id ? id->value : "?";
    memset(board, 0, sizeof *board);
    for (int i = 0; i < RG_BOARD_CLOCKS; i++)
        board->clocks[i].full_watts = NO_STATE;
    for (const struct rg_xml_element *n = element->child; n; n = n->next) {
        int err = strcmp(n->name, "prop") == 0 ? read_prop(r, n, board, lines) : 0;
        if (err)
            return err;
    }
    for (size_t i = 0; i < RG_COUNT(properties); i++)
        if (!lines[i] && properties[i].type < MEDIUM)
            return rg_xml_fail(r->xml, element->line, r->e,
                               "<%s id=\"%.60s\"> has no property \"%s\", which describes its "
                               "board: <prop id=\"%s\" value=\"...\"/> is needed; the datasheet "
                               "in " DATASHEET " has it",
                               element->name, name, properties[i].name, properties[i].name);
    int states = count_states(board);
    if (states != board->clock_count)
        return rg_xml_fail(r->xml, element->line, r->e,
                           "<%s id=\"%.60s\"> has %d clock%s in rg_clocks and watts for %d in "
                           "wattage_per_state: as many are wanted",
                           element->name, name, board->clock_count,
                           board->clock_count == 1 ? "" : "s", states);
    struct rg_error why = {0};
    if (rg_board_check(board, &why) < 0)
        return rg_xml_fail(r->xml, element->line, r->e, "<%s id=\"%.60s\">: %.300s", element->name,
                           name, why.text);
    return check_attributes(r, element, board);
}

/* The number of an equal board, added where there is none yet. */
static int number_of(struct reader *r, const struct rg_board *board)
{
    struct rg_platform *p = r->platform;
    for (int i = 0; i < p->kind_count; i++)
        if (memcmp(&p->kinds[i], board, sizeof *board) == 0)
            return i;
    struct rg_board *kinds = realloc(p->kinds, (size_t)(p->kind_count + 1) * sizeof *kinds);
    if (!kinds)
        return fail_memory(r);
    p->kinds = kinds;
    memcpy(&p->kinds[p->kind_count], board, sizeof *board);
    return p->kind_count++;
}

/* Takes the name. */
static int add_host(struct reader *r, char *name, int kind, int line)
{
    struct rg_platform *p = r->platform;
    if (p->count == MAX_HOSTS) {
        free(name);
        return rg_xml_fail(r->xml, line, r->e, "more than %d hosts: that many are allowed",
                           MAX_HOSTS);
    }
    if (name && p->count == r->room) {
        int room = r->room ? 2 * r->room : 64;
        char **names = realloc(p->names, (size_t)room * sizeof *names);
        if (names)
            p->names = names;
        int *kinds = realloc(r->kind, (size_t)room * sizeof *kinds);
        if (kinds)
            r->kind = kinds;
        if (names && kinds)
            r->room = room;
    }
    if (!name || p->count == r->room) {
        free(name);
        return fail_memory(r);
    }
    r->kind[p->count] = kind;
    p->names[p->count++] = name;
    return 0;
}

static int read_host(struct reader *r, const struct rg_xml_element *element)
{
    const struct rg_xml_attribute *id;
    struct rg_board board;
    int err, kind;
    if ((err = rg_xml_want(r->xml, element, "id", &id, r->e)) ||
        (err = read_board(r, element, &board)))
        return err;
    kind = number_of(r, &board);
    return kind < 0 ? kind : add_host(r, strdup(id->value), kind, element->line);
}

static int add_range(struct reader *r, const struct rg_xml_element *element, int first, int last,
                     int kind)
{
    const struct rg_xml_attribute *prefix = rg_xml_find(element, "prefix");
    const struct rg_xml_attribute *suffix = rg_xml_find(element, "suffix");
    int err = 0;
    for (int i = first; i <= last && err == 0; i++) {
        char *name = NULL;
        if (asprintf(&name, "%s%d%s", prefix ? prefix->value : "", i, suffix ? suffix->value : "") <
            0)
            name = NULL;
        err = add_host(r, name, kind, element->line);
    }
    return err;
}

/* "0-63" or "0-3,8,10-12": hosts in that order. */
static int read_cluster(struct reader *r, const struct rg_xml_element *element)
{
    static const struct rg_limit numbers = {true, false, 0, 1000000000};
    const struct rg_xml_attribute *radical;
    struct rg_board board;
    int err;
    if ((err = rg_xml_want(r->xml, element, "radical", &radical, r->e)) ||
        (err = read_board(r, element, &board)))
        return err;
    int kind = number_of(r, &board);
    char *copy = strdup(radical->value), *rest = copy;
    if (!copy || kind < 0)
        err = kind < 0 ? kind : fail_memory(r);
    while (rest && err == 0) {
        char *high = strsep(&rest, ","), *low = strsep(&high, "-");
        double first, last;
        if (rg_text_number(low, &numbers, &first, NULL) < 0 ||
            rg_text_number(high ? high : low, &numbers, &last, NULL) < 0 || last < first)
            err = rg_xml_fail(r->xml, radical->line, r->e,
                              "radical=\"%.60s\" of <cluster>: numbers and ranges are allowed, as "
                              "in 0-3,8,10-12",
                              radical->value);
        else
            err = add_range(r, element, (int)first, (int)last, kind);
    }
    free(copy);
    return err;
}

static int read_zone(struct reader *r, const struct rg_xml_element *zone)
{
    int err = 0;
    for (const struct rg_xml_element *n = zone->child; n && err == 0; n = n->next) {
        if (strcmp(n->name, "host") == 0)
            err = read_host(r, n);
        else if (strcmp(n->name, "cluster") == 0)
            err = read_cluster(r, n);
        else if (strcmp(n->name, "zone") == 0 || strcmp(n->name, "AS") == 0)
            err = read_zone(r, n); /* no deeper than the 256 levels of libxml2 */
        else if (strcmp(n->name, "peer") == 0 || strcmp(n->name, "cabinet") == 0)
            err = rg_xml_fail(r->xml, n->line, r->e,
                              "hosts of a <%s> have no properties to describe a board: <host> and "
                              "<cluster> are allowed",
                              n->name);
    }
    return err;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int refuse_twins(struct reader *r)
{
    struct rg_platform *p = r->platform;
    char **sorted = calloc((size_t)p->count + 1, sizeof *sorted);
    if (!sorted)
        return fail_memory(r);
    memcpy(sorted, p->names, (size_t)p->count * sizeof *sorted);
    qsort(sorted, (size_t)p->count, sizeof *sorted, compare_names);
    int err = 0;
    for (int i = 1; i < p->count && err == 0; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            err =
                rg_xml_fail(r->xml, r->xml->root->line, r->e,
                            "two hosts are named \"%.60s\": every name is allowed once", sorted[i]);
    free(sorted);
    return err;
}

/* Once the boards stay where they are. */
static int point_to_boards(struct reader *r)
{
    struct rg_platform *p = r->platform;
    if (p->count == 0)
        return rg_xml_fail(r->xml, r->xml->root->line, r->e,
                           "the platform has no hosts: <host> or <cluster> is needed");
    int err = refuse_twins(r);
    if (err)
        return err;
    p->boards = calloc((size_t)p->count, sizeof *p->boards);
    p->file = strdup(r->xml->path);
    if (!p->boards || !p->file)
        return fail_memory(r);
    for (int i = 0; i < p->count; i++)
        p->boards[i] = &p->kinds[r->kind[i]];
    return 0;
}

int rg_platform_load(const char *file, struct rg_platform *platform, struct rg_error *e)
{
    struct rg_xml xml;
    struct reader r = {.xml = &xml, .platform = platform, .e = e};
    const struct rg_xml_attribute *version;
    *platform = (struct rg_platform){0};
    int err = rg_xml_open(&xml, file, "platform", e);
    if (err)
        return err;
    err = rg_xml_want(&xml, xml.root, "version", &version, e);
    if (err == 0 && rg_text_index("4 4.0 4.1", version->value) < 0)
        err = rg_xml_fail(&xml, version->line, e,
                          "version=\"%.20s\" of <platform>: 4.1 (or 4) is allowed", version->value);
    if (err == 0)
        err = rg_platform_read_profiles(&xml, xml.root, platform, e);
    if (err == 0)
        err = read_zone(&r, xml.root);
    if (err == 0)
        err = point_to_boards(&r);
    free(r.kind);
    rg_xml_close(&xml);
    if (err)
        rg_platform_free(platform);
    return err;
}
