/* The hosts of a SimGrid 4.1 platform file and their boards. Links, routes and whatever else only
 * the simulator needs are passed over: SimGrid itself reads them from the same file.
 *
 * Failure modes handled, each with file and line: radicals that are none, two hosts of one name,
 * hosts of kinds that carry no properties. */
#include "scenario/platform_parts.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HOSTS = 65536 };

static int fail_memory(struct rg_platform_reader *r)
{
    return rg_fail(r->e, RG_ERR_NOMEM, "%s: out of memory", r->xml->path);
}

/* The number of an equal board, added where there is none yet. */
static int number_of(struct rg_platform_reader *r, const struct rg_board *board)
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
static int add_host(struct rg_platform_reader *r, char *name, int kind, int line)
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

static int read_host(struct rg_platform_reader *r, const struct rg_xml_element *element)
{
    const struct rg_xml_attribute *id;
    struct rg_board board;
    bool named;
    int err, kind;
    if ((err = rg_xml_want(r->xml, element, "id", &id, r->e)) ||
        (err = rg_platform_read_board(r, element, &board, &named)) ||
        (named && (err = rg_platform_rewrite(r->platform, element, &board, r->e))))
        return err;
    r->platform->hosts++;
    kind = number_of(r, &board);
    return kind < 0 ? kind : add_host(r, strdup(id->value), kind, element->line);
}

static int add_range(struct rg_platform_reader *r, const struct rg_xml_element *element, int first,
                     int last, int kind)
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
static int read_cluster(struct rg_platform_reader *r, const struct rg_xml_element *element)
{
    static const struct rg_limit numbers = {true, false, 0, 1000000000};
    const struct rg_xml_attribute *radical;
    struct rg_board board;
    bool named;
    int err;
    if ((err = rg_xml_want(r->xml, element, "radical", &radical, r->e)) ||
        (err = rg_platform_read_board(r, element, &board, &named)) ||
        (named && (err = rg_platform_rewrite(r->platform, element, &board, r->e))))
        return err;
    r->platform->clusters++;
    const struct rg_xml_attribute *topology = rg_xml_find(element, "topology");
    if (topology && strcmp(topology->value, "FLAT") != 0) {
        rg_copy_text(r->platform->topology, sizeof r->platform->topology, topology->value);
        r->platform->topology_line = topology->line;
    }
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

/* What no simulation here can use, and why. */
static const struct {
    const char *element, *why;
} unusable[] = {
    {"peer", "hosts of a <peer> have no properties to describe a board: <host> and <cluster> are "
             "allowed"},
    {"cabinet", "hosts of a <cabinet> have no properties to describe a board: <host> and <cluster> "
                "are allowed"},
    {"include", "<include> is not followed: put what that file says in its place"},
    {"actor", "<actor> starts a program of its own on a host: leave it out, the nodes' program "
              "comes from the scenario"},
    {"process", "<process> starts a program of its own on a host: leave it out, the nodes' program "
                "comes from the scenario"},
};

static int refuse_unusable(struct rg_platform_reader *r, const struct rg_xml_element *n)
{
    const struct rg_xml_attribute *routing = rg_xml_find(n, "routing");
    for (size_t i = 0; i < RG_COUNT(unusable); i++)
        if (strcmp(n->name, unusable[i].element) == 0)
            return rg_xml_fail(r->xml, n->line, r->e, "%s", unusable[i].why);
    if (routing && strcasecmp(routing->value, "Vivaldi") == 0)
        return rg_xml_fail(r->xml, routing->line, r->e,
                           "routing=\"Vivaldi\": latencies between hosts with coordinates are not "
                           "links, which all routes need here: routing=\"Full\" with <link> and "
                           "<route> is allowed");
    if (routing && strcasecmp(routing->value, "Wifi") == 0)
        return rg_xml_fail(r->xml, routing->line, r->e,
                           "routing=\"Wifi\": rates of its hosts cannot be set from here; one "
                           "<link> of the measured rate that all routes cross, with <prop "
                           "id=\"rg_medium\" value=\"shared\"/> of the hosts, is a radio channel");
    return 0;
}

/* The board that a zone says for all its hosts; its other properties are nobody's. */
static const char *zone_board(const struct rg_xml_element *zone, const char *outer)
{
    for (const struct rg_xml_element *n = zone->child; n; n = n->next) {
        const struct rg_xml_attribute *id = rg_xml_find(n, "id"), *value = rg_xml_find(n, "value");
        if (strcmp(n->name, "prop") == 0 && id && value && strcmp(id->value, "rg_board") == 0)
            return value->value;
    }
    return outer;
}

/* A link's own watts are not counted; who gives them should know. */
static int note_link(struct rg_platform_reader *r, const struct rg_xml_element *link)
{
    for (const struct rg_xml_element *n = link->child; n && !r->platform->watts_told; n = n->next) {
        const struct rg_xml_attribute *id = rg_xml_find(n, "id");
        if (!id ||
            (strcmp(id->value, "wattage_range") != 0 && strcmp(id->value, "watt_range") != 0))
            continue;
        r->platform->watts_told = true;
        return rg_platform_note(r->platform, r->e,
                                "line %d: %s of a link is not counted: rg_port_tx_watts and "
                                "rg_port_rx_watts of the boards are, and rg_switch_watts",
                                n->line, id->value);
    }
    return 0;
}

static int read_zone(struct rg_platform_reader *r, const struct rg_xml_element *zone)
{
    const char *outer = r->name;
    int err = refuse_unusable(r, zone);
    r->name = zone_board(zone, outer);
    for (const struct rg_xml_element *n = zone->child; n && err == 0; n = n->next) {
        if (strcmp(n->name, "host") == 0)
            err = read_host(r, n);
        else if (strcmp(n->name, "cluster") == 0)
            err = read_cluster(r, n);
        else if (strcmp(n->name, "link") == 0)
            err = note_link(r, n);
        else if (strcmp(n->name, "zone") == 0 || strcmp(n->name, "AS") == 0)
            err = read_zone(r, n); /* no deeper than the 256 levels of libxml2 */
        else
            err = refuse_unusable(r, n);
    }
    r->name = outer;
    return err;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int refuse_twins(struct rg_platform_reader *r)
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
static int point_to_boards(struct rg_platform_reader *r)
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
    p->board = r->forced ? strdup(r->forced) : NULL;
    if (!p->boards || !p->file || (r->forced && !p->board))
        return fail_memory(r);
    for (int i = 0; i < p->count; i++)
        p->boards[i] = &p->kinds[r->kind[i]];
    return 0;
}

bool rg_platform_is_star(const struct rg_platform *platform)
{
    return platform->clusters == 1 && platform->hosts == 0 && !platform->topology[0];
}

int rg_platform_load(const char *file, struct rg_platform *platform, struct rg_error *e)
{
    return rg_platform_load_as(file, NULL, platform, e);
}

int rg_platform_load_as(const char *file, const char *board, struct rg_platform *platform,
                        struct rg_error *e)
{
    struct rg_xml xml;
    struct rg_platform_reader r = {.xml = &xml, .platform = platform, .forced = board, .e = e};
    const struct rg_xml_attribute *version;
    *platform = (struct rg_platform){0};
    int err = rg_platform_check_board(board, e);
    err = err ? err : rg_xml_open(&xml, file, "platform", e);
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
    if (err == 0)
        err = rg_platform_write(&xml, platform, e);
    free(r.kind);
    rg_xml_close(&xml);
    if (err)
        rg_platform_free(platform);
    return err;
}
