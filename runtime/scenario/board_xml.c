/* The board of a host or cluster of a platform file: its properties, what is missing among them
 * from the datasheet of the board that is named, and whether SimGrid's own attributes agree.
 *
 * Failure modes handled, each with file and line: a property that describes the board is missing,
 * misspelt or there twice, numbers that cannot be, names that no datasheet has. */
#include "scenario/platform_parts.h"

#include "base/check.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    PROFILE,      /* none */
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
    ROW("disk_rate", MORE_RATE, disk_rate),
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
    {"rg_profile", PROFILE, offsetof(struct rg_board, profile)},
    {"wattage_per_state", STATES, offsetof(struct rg_board, clocks)},
    {"rg_medium", MEDIUM, offsetof(struct rg_board, shared_medium)},
};

/* ---- boards by name ---- */

struct line {
    const char *id, *value;
};

/* clang-format off */
static const struct named_board {
    const char *name;
    struct line lines[32];
} named_boards[] = {
#define BOARD(name, file, ...) {name, {__VA_ARGS__}},
#define PROPERTY(id, value) {id, value},
#include "scenario/boards.def"
};
/* clang-format on */

static const struct named_board *board_named(const char *name)
{
    for (size_t i = 0; i < RG_COUNT(named_boards) && name; i++)
        if (strcmp(named_boards[i].name, name) == 0)
            return &named_boards[i];
    return NULL;
}

static void list_boards(char *words, size_t size)
{
    words[0] = '\0';
    for (size_t i = 0; i < RG_COUNT(named_boards); i++)
        snprintf(words + strlen(words), size - strlen(words), "%s%s", i ? ", " : "",
                 named_boards[i].name);
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

/* "2.9:2.27:6.4, ...": watts idle, of a core at no load, of all cores; one triple a clock.
 * "2.9:6.4" has no step between idle and the first core, as SimGrid reads it. */
static int read_states(const char *text, struct rg_board *board, struct rg_error *why)
{
    static const struct rg_limit watts = {false, false, 0, 1e6};
    char *copy = strdup(text), *rest = copy;
    int i = 0, err = copy ? 0 : rg_fail(why, RG_ERR_NOMEM, "out of memory");
    for (; rest && err == 0; i++) {
        char *triple = strsep(&rest, ","), *idle = strsep(&triple, ":");
        char *epsilon = strsep(&triple, ":"), *full = triple;
        bool two = epsilon && !full;
        struct rg_clock *c = &board->clocks[RG_MIN(i, RG_BOARD_CLOCKS - 1)];
        idle += strspn(idle, " \t\n");
        full = two ? epsilon : full;
        epsilon = two ? idle : epsilon;
        for (size_t n = full ? strlen(full) : 0; n > 0 && strchr(" \t\n", full[n - 1]); n--)
            full[n - 1] = '\0';
        if (i == RG_BOARD_CLOCKS || !epsilon || !full ||
            rg_text_number(idle, &watts, &c->idle_watts, NULL) < 0 ||
            rg_text_number(epsilon, &watts, &c->epsilon_watts, NULL) < 0 ||
            rg_text_number(full, &watts, &c->full_watts, NULL) < 0)
            err =
                rg_fail(why, RG_ERR_INVALID,
                        "1 to %d times Idle:Epsilon:AllCores or Idle:AllCores in watts, separated "
                        "by commas, are allowed",
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
static int property_of(struct rg_platform_reader *r, const struct rg_xml_element *prop,
                       const char *id)
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

/* One text for every path, so that boards of one profile are equal. */
static int keep_profile(struct rg_platform_reader *r, const struct rg_xml_attribute *value,
                        struct rg_board *board)
{
    struct rg_platform *p = r->platform;
    char *path = rg_text_beside(r->xml->path, value->value);
    int i = 0;
    if (!value->value[0]) {
        free(path);
        return rg_xml_fail(r->xml, value->line, r->e,
                           "property rg_profile=\"\": the name of a file is wanted");
    }
    while (path && i < p->measured_count && strcmp(p->measured[i], path) != 0)
        i++;
    char **more = path && i == p->measured_count
                      ? realloc(p->measured, ((size_t)i + 1) * sizeof *more)
                      : p->measured;
    if (!path || !more) {
        free(path);
        return rg_fail(r->e, RG_ERR_NOMEM, "%s: out of memory", r->xml->path);
    }
    p->measured = more;
    if (i == p->measured_count)
        p->measured[p->measured_count++] = path;
    else
        free(path);
    board->profile = p->measured[i];
    return 0;
}

static int read_prop(struct rg_platform_reader *r, const struct rg_xml_element *prop,
                     struct rg_board *board, int lines[])
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
    if (properties[i].type == PROFILE)
        return keep_profile(r, value, board);
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

/* Ratio by which a host's speed and its datasheet may differ without a word. */
#define SPEED_SLACK 1.1

/* Of "9.8Gf,9.147Gf" the one that counts; or what SimGrid would not take, with its line. */
static int read_speed(struct rg_platform_reader *r, const struct rg_xml_element *element,
                      const struct rg_board *board, double *given)
{
    const struct rg_xml_attribute *speed = rg_xml_find(element, "speed");
    const char *at = speed ? speed->value : NULL;
    *given = board->gemm_rate;
    for (int state = 0; at; state++) {
        double rate = rg_platform_rate(at); /* 0 while it boots, say, in others */
        bool number = at[strspn(at, " ")] && strchr("0123456789.", at[strspn(at, " ")]);
        if (!number || (state == board->clock && !(rate > 0)))
            return rg_xml_fail(r->xml, speed->line, r->e,
                               "speed=\"%.40s\" of <%s>: speeds above 0 are wanted, such as 9.8Gf",
                               speed->value, element->name);
        if (state == board->clock)
            *given = rate;
        at = strchr(at, ',');
        at = at ? at + 1 : NULL;
    }
    return 0;
}

/* Seconds come from the datasheet; who gives another speed should know. Of several speeds it is the
 * one in which the host begins; the board's clock has been set to it. */
static int note_speed(struct rg_platform_reader *r, const struct rg_xml_element *element,
                      const struct rg_board *board)
{
    const struct rg_xml_attribute *speed = rg_xml_find(element, "speed");
    double given;
    int err = read_speed(r, element, board, &given);
    if (err || r->platform->speeds_told ||
        (given < SPEED_SLACK * board->gemm_rate && given * SPEED_SLACK > board->gemm_rate))
        return err;
    r->platform->speeds_told = true;
    return rg_platform_note(r->platform, r->e,
                            "line %d: speed=\"%.40s\" of <%s>, the datasheet of %s says %g FLOP/s: "
                            "that is what counts",
                            speed->line, speed->value, element->name, board->name,
                            board->gemm_rate);
}

/* What SimGrid's own attributes say, the datasheet says too; survey_child.c looks at what they
 * leave out. */
static int check_attributes(struct rg_platform_reader *r, const struct rg_xml_element *element,
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

/* The P-state in which a host begins, as SimGrid counts them: 0 is the highest clock. */
static int set_pstate(struct rg_platform_reader *r, const struct rg_xml_element *element,
                      struct rg_board *board)
{
    const struct rg_xml_attribute *pstate = rg_xml_find(element, "pstate");
    const struct rg_limit steps = {.whole = true, .max = board->clock_count - 1};
    struct rg_error why = {0};
    double step = 0;
    if (!pstate)
        return 0;
    if (rg_text_number(pstate->value, &steps, &step, &why) < 0)
        return rg_xml_fail(r->xml, pstate->line, r->e, "pstate=\"%.20s\" of <%s>: %s",
                           pstate->value, element->name, why.text);
    return rg_board_set_clock(board, board->clocks[(int)step].hz, r->e);
}

/* Its properties, but for those that --set board replaces. */
static int read_props(struct rg_platform_reader *r, const struct rg_xml_element *element,
                      struct rg_board *board, int lines[])
{
    int err = 0;
    for (const struct rg_xml_element *n = element->child; n && err == 0 && !r->forced; n = n->next)
        if (strcmp(n->name, "prop") == 0)
            err = read_prop(r, n, board, lines);
    return err;
}

static int property_index(const char *id)
{
    int i = 0;
    while (strcmp(properties[i].name, id) != 0)
        i++;
    return i;
}

/* What is not given, from the datasheet of that name. */
static int fill_in(const struct named_board *named, struct rg_board *board, int lines[],
                   struct rg_error *e)
{
    int err = 0;
    for (const struct line *l = named->lines; l->id && err == 0; l++) {
        int i = property_index(l->id);
        bool states = properties[i].type == STATES && lines[property_index("rg_clocks")] > 0;
        if (lines[i] || states) /* watts of other clocks are no help */
            continue;
        err = read_value(&properties[i], l->value, board, e);
        lines[i] = -1;
    }
    snprintf(board->name, sizeof board->name, "%s", named->name);
    lines[property_index("rg_board")] = -1;
    return err;
}

static int fail_missing(struct rg_platform_reader *r, const struct rg_xml_element *element,
                        const char *name, const char *property)
{
    const struct rg_xml_attribute *id = rg_xml_find(element, "id");
    char known[200];
    list_boards(known, sizeof known);
    if (name)
        return rg_xml_fail(r->xml, element->line, r->e,
                           "<%s id=\"%.60s\"> has no property \"%s\", which describes its board, "
                           "and \"%.48s\" is no board known by name: %s are",
                           element->name, id ? id->value : "?", property, name, known);
    return rg_xml_fail(r->xml, element->line, r->e,
                       "<%s id=\"%.60s\"> has no property \"%s\", which describes its board: "
                       "<prop id=\"%s\" value=\"...\"/> is needed (the datasheet in " DATASHEET
                       " has it), or the name of a board, rg_board or --set board=NAME: %s",
                       element->name, id ? id->value : "?", property, property, known);
}

int rg_platform_read_board(struct rg_platform_reader *r, const struct rg_xml_element *element,
                           struct rg_board *board, bool *named)
{
    int lines[RG_COUNT(properties)] = {0}, name_at = property_index("rg_board"), err;
    memset(board, 0, sizeof *board);
    for (int i = 0; i < RG_BOARD_CLOCKS; i++)
        board->clocks[i].full_watts = NO_STATE;
    if ((err = read_props(r, element, board, lines)) != 0)
        return err;
    const char *name = r->forced ? r->forced : lines[name_at] ? board->name : r->name;
    int missing = -1;
    for (size_t i = 0; i < RG_COUNT(properties) && missing < 0; i++)
        if (!lines[i] && properties[i].type < MEDIUM)
            missing = (int)i;
    const struct named_board *sheet = missing >= 0 ? board_named(name) : NULL;
    *named = sheet != NULL;
    if (missing >= 0 && !sheet)
        return fail_missing(r, element, name, properties[missing].name);
    board->by_name = sheet && !lines[property_index("rg_port_rate")];
    struct rg_error why = {0};
    if (sheet && fill_in(sheet, board, lines, &why) < 0)
        return rg_xml_fail(r->xml, element->line, r->e, "board %s: %s", sheet->name, why.text);
    int states = count_states(board);
    if (states != board->clock_count)
        return rg_xml_fail(r->xml, element->line, r->e,
                           "<%s> has %d clock%s in rg_clocks and watts for %d in "
                           "wattage_per_state: as many are wanted",
                           element->name, board->clock_count, board->clock_count == 1 ? "" : "s",
                           states);
    if (rg_board_check(board, &why) < 0)
        return rg_xml_fail(r->xml, element->line, r->e, "<%s>: %.300s", element->name, why.text);
    int medium_rate = lines[property_index("rg_medium_rate")];
    if (medium_rate > 0 && !board->shared_medium)
        return rg_xml_fail(r->xml, medium_rate, r->e,
                           "property rg_medium_rate is of a shared medium: <prop id=\"rg_medium\" "
                           "value=\"shared\"/> belongs to it");
    if ((err = *named ? 0 : check_attributes(r, element, board)) != 0 ||
        (err = set_pstate(r, element, board)) != 0)
        return err;
    return note_speed(r, element, board);
}

int rg_platform_check_board(const char *name, struct rg_error *e)
{
    char known[200];
    list_boards(known, sizeof known);
    return !name || board_named(name)
               ? 0
               : rg_fail(e, RG_ERR_INVALID, "no board is known as \"%.40s\": %s are allowed", name,
                         known);
}
