/* What a SimGrid platform says of change over time: profiles of links and hosts, in files of their
 * own, in <trace> with its text inside or in <trace_connect>, and what no simulation can use.
 *
 * Failure modes handled, each with its line: profiles that switch hosts or links off (SimGrid ends
 * their programs), random ones, rates above what the datasheet was measured at, lines that are no
 * date and value, elements that are not there, one direction of a link that has one profile. */
#include "scenario/platform_parts.h"

#include "base/check.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 1024 };

enum kind { NONE, SPEED, BANDWIDTH, LATENCY, STATE };

/* Attributes of <host>, <cluster>, <peer> and <link>. */
static const struct {
    const char *name;
    enum kind kind;
} attributes[] = {{"speed_file", SPEED},         {"availability_file", SPEED},
                  {"bandwidth_file", BANDWIDTH}, {"latency_file", LATENCY},
                  {"bw_file", BANDWIDTH},        {"lat_file", LATENCY},
                  {"state_file", STATE}};

/* Those of <trace_connect kind="...">. */
static const struct {
    const char *name;
    enum kind kind;
} connections[] = {{"SPEED", SPEED},     {"POWER", SPEED},      {"BANDWIDTH", BANDWIDTH},
                   {"LATENCY", LATENCY}, {"HOST_AVAIL", STATE}, {"LINK_AVAIL", STATE}};

double rg_platform_rate(const char *text)
{
    static const char prefixes[] = "kMGTPEZ";
    char *unit;
    double value = strtod(text, &unit);
    unit += strspn(unit, " ");
    const char *prefix = *unit ? strchr(prefixes, *unit == 'K' ? 'k' : *unit) : NULL;
    bool binary = prefix && unit[1] == 'i';
    if (prefix)
        value *= pow(binary ? 1024 : 1000, (double)(prefix - prefixes + 1));
    unit += prefix ? 1 + binary : 0;
    return strcmp(unit, "bps") == 0 ? value / 8 : value;
}

/* ---- the lines of a profile ---- */

struct profile {
    const struct rg_xml *xml;
    int line;         /* of the platform */
    const char *name; /* of its file or <trace> */
    enum kind kind;
    double nominal; /* what it must not exceed: bytes/s, 1 of a speed; INFINITY: anything */
};

static int fail(const struct profile *p, struct rg_error *e, const char *why)
{
    return rg_xml_fail(p->xml, p->line, e, "profile %.80s: %s", p->name, why);
}

static int read_line(const struct profile *p, const char *line, struct rg_error *e)
{
    char why[160], *rest, *end;
    line += strspn(line, " \t\r");
    if (*line == '\0' || *line == '#' || *line == '%' ||
        strncasecmp(line, "PERIODICITY", 11) == 0 || strncasecmp(line, "LOOPAFTER", 9) == 0)
        return 0;
    if (strncasecmp(line, "STOCHASTIC", 10) == 0)
        return fail(p, e, "it is stochastic: runs would differ, dates with values are allowed");
    double date = strtod(line, &rest), value = strtod(rest, &end);
    if (rest == line || end == rest || !(date >= 0) || end[strspn(end, " \t\r")] != '\0') {
        snprintf(why, sizeof why, "\"%.40s\": a date in seconds and a value are wanted", line);
        return fail(p, e, why);
    }
    if (p->kind == LATENCY ? !(value >= 0) : !(value > 0)) {
        snprintf(why, sizeof why,
                 "%g at %g s: values above 0 are allowed; for what stands still there is <faults>",
                 value, date);
        return fail(p, e, why);
    }
    if (value > p->nominal * 1.0001) {
        snprintf(why, sizeof why, "%g at %g s is above %g, which is all that the %s has", value,
                 date, p->nominal, p->kind == SPEED ? "datasheet" : "link");
        return fail(p, e, why);
    }
    return 0;
}

static int read_lines(const struct profile *p, const char *text, struct rg_error *e)
{
    int err = 0;
    while (*text && err == 0) {
        char line[200];
        size_t length = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(length < 199 ? length : 199), text);
        err = read_line(p, line, e);
        text += length + (text[length] == '\n');
    }
    return err;
}

/* Beside the platform file, or where it says; NULL: in neither place. */
static FILE *open_file(const struct rg_xml *xml, const char *name, char *path, size_t size)
{
    const char *slash = strrchr(xml->path, '/');
    int folder = slash && name[0] != '/' ? (int)(slash - xml->path) + 1 : 0;
    snprintf(path, size, "%.*s%s", folder, xml->path, name);
    FILE *stream = fopen(path, "r");
    if (!stream && folder > 0) {
        snprintf(path, size, "%s", name);
        stream = fopen(path, "r");
    }
    return stream;
}

static int read_file(const struct profile *p, struct rg_error *e)
{
    char path[PATH], why[100];
    FILE *stream = open_file(p->xml, p->name, path, sizeof path);
    if (!stream) {
        snprintf(why, sizeof why, "cannot be read: %s", strerror(errno));
        return fail(p, e, why);
    }
    char *line = NULL;
    size_t room = 0;
    int err = 0;
    while (err == 0 && getline(&line, &room, stream) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        err = read_line(p, line, e);
    }
    free(line);
    fclose(stream);
    return err;
}

/* ---- where profiles are used ---- */

const struct rg_xml_element *rg_platform_find(const struct rg_xml_element *from, const char *name,
                                              const char *id)
{
    for (const struct rg_xml_element *n = from->child; n; n = n->next) {
        const struct rg_xml_attribute *own = rg_xml_find(n, "id");
        size_t length = own ? strlen(own->value) : 0;
        if (own && (!name || strcmp(n->name, name) == 0) && strncmp(own->value, id, length) == 0 &&
            (id[length] == '\0' || strcmp(id + length, "_UP") == 0 ||
             strcmp(id + length, "_DOWN") == 0))
            return n;
        const struct rg_xml_element *found = rg_platform_find(n, name, id);
        if (found)
            return found;
    }
    return NULL;
}

static double nominal_of(const struct rg_xml_element *element, enum kind kind)
{
    const struct rg_xml_attribute *rate = element ? rg_xml_find(element, "bandwidth") : NULL;
    if (kind == BANDWIDTH && rate)
        return rg_platform_rate(rate->value);
    return kind == SPEED ? 1 : INFINITY;
}

static int note_profile(const struct rg_xml *xml, struct rg_platform *platform, int line,
                        enum kind kind, struct rg_error *e)
{
    if (kind == STATE)
        return rg_xml_fail(xml, line, e,
                           "a profile that switches a host or link off ends the programs there: "
                           "<faults> of a scenario has nodes and links that are slow for a while");
    platform->changes = true;
    platform->latency_changes = platform->latency_changes || kind == LATENCY;
    return 0;
}

static int read_attributes(const struct rg_xml *xml, const struct rg_xml_element *element,
                           struct rg_platform *platform, struct rg_error *e)
{
    int err = 0;
    for (size_t i = 0; i < RG_COUNT(attributes) && err == 0; i++) {
        const struct rg_xml_attribute *file = rg_xml_find(element, attributes[i].name);
        if (!file || !file->value[0])
            continue;
        struct profile p = {xml, file->line, file->value, attributes[i].kind,
                            nominal_of(element, attributes[i].kind)};
        err = note_profile(xml, platform, file->line, attributes[i].kind, e);
        if (err == 0 && strcmp(element->name, "cluster") != 0) /* there the name is a pattern */
            err = read_file(&p, e);
    }
    return err;
}

/* Is there a <trace_connect> of the same trace and kind for that element? */
static bool is_connected(const struct rg_xml_element *from, const char *target, const char *trace,
                         const char *kind)
{
    bool found = false;
    for (const struct rg_xml_element *n = from->child; n && !found; n = n->next) {
        const struct rg_xml_attribute *to = rg_xml_find(n, "element"), *of = rg_xml_find(n, "kind");
        const struct rg_xml_attribute *by = rg_xml_find(n, "trace");
        found = to && of && by && strcmp(n->name, "trace_connect") == 0 &&
                strcmp(to->value, target) == 0 && strcmp(by->value, trace) == 0 &&
                strcasecmp(of->value, kind) == 0;
        found = found || is_connected(n, target, trace, kind);
    }
    return found;
}

/* Its host or link is there; of a split-duplex link, which changes as one, both directions are
 * meant. */
static int check_target(const struct rg_xml *xml, const struct rg_xml_attribute *target,
                        const struct rg_xml_attribute *trace, const struct rg_xml_attribute *kind,
                        enum kind of, struct rg_error *e)
{
    const char *name = of == SPEED ? "host" : "link";
    const struct rg_xml_element *element = rg_platform_find(xml->root, name, target->value);
    char other[200];
    if (!element)
        return rg_xml_fail(xml, target->line, e,
                           "there is no <%s id=\"%.60s\">: what a <cluster> makes has "
                           "no profiles",
                           name, target->value);
    const char *id = rg_xml_find(element, "id")->value;
    const char *direction = target->value + strlen(id);
    snprintf(other, sizeof other, "%.180s%s", id, strcmp(direction, "_UP") == 0 ? "_DOWN" : "_UP");
    if (direction[0] == '\0' || !kind || is_connected(xml->root, other, trace->value, kind->value))
        return 0;
    return rg_xml_fail(xml, target->line, e,
                       "element=\"%.60s\" of <trace_connect>: a split-duplex link changes in both "
                       "directions at once: the same of %.60s is wanted too, or a link for each "
                       "direction",
                       target->value, other);
}

static int read_connection(const struct rg_xml *xml, const struct rg_xml_element *element,
                           struct rg_platform *platform, struct rg_error *e)
{
    const struct rg_xml_attribute *kind = rg_xml_find(element, "kind");
    const struct rg_xml_attribute *trace, *target;
    enum kind of = kind ? NONE : SPEED;
    int err;
    if ((err = rg_xml_want(xml, element, "trace", &trace, e)) ||
        (err = rg_xml_want(xml, element, "element", &target, e)))
        return err;
    for (size_t i = 0; i < RG_COUNT(connections) && kind; i++)
        if (strcasecmp(kind->value, connections[i].name) == 0)
            of = connections[i].kind;
    if (of == NONE)
        return rg_xml_fail(xml, kind->line, e,
                           "kind=\"%.40s\" of <trace_connect>: SPEED, BANDWIDTH and LATENCY are "
                           "allowed",
                           kind->value);
    const struct rg_xml_element *source = rg_platform_find(xml->root, "trace", trace->value);
    if (!source)
        return rg_xml_fail(xml, trace->line, e, "there is no <trace id=\"%.60s\">", trace->value);
    const struct rg_xml_attribute *file = rg_xml_find(source, "file");
    struct profile p = {xml, source->line, file && file->value[0] ? file->value : trace->value, of,
                        nominal_of(rg_platform_find(xml->root, "link", target->value), of)};
    if ((err = note_profile(xml, platform, element->line, of, e)) != 0 ||
        (err = check_target(xml, target, trace, kind, of, e)) != 0)
        return err;
    return file && file->value[0] ? read_file(&p, e)
                                  : read_lines(&p, source->text ? source->text : "", e);
}

int rg_platform_read_profiles(const struct rg_xml *xml, const struct rg_xml_element *element,
                              struct rg_platform *platform, struct rg_error *e)
{
    int err = strcmp(element->name, "trace_connect") == 0
                  ? read_connection(xml, element, platform, e)
                  : read_attributes(xml, element, platform, e);
    for (const struct rg_xml_element *n = element->child; n && err == 0; n = n->next)
        err = rg_platform_read_profiles(xml, n, platform, e);
    return err;
}

/* ---- which files they are in ---- */

struct visitor {
    const struct rg_xml *xml;
    int (*visit)(void *arg, const char *path);
    void *arg;
};

static int visit_file(const struct visitor *v, const struct rg_xml_element *element,
                      const char *attribute)
{
    char path[PATH];
    const struct rg_xml_attribute *file = rg_xml_find(element, attribute);
    FILE *stream =
        file && file->value[0] ? open_file(v->xml, file->value, path, sizeof path) : NULL;
    if (!stream)
        return 0;
    fclose(stream);
    return v->visit(v->arg, path);
}

static int visit_files(const struct visitor *v, const struct rg_xml_element *element)
{
    bool trace = strcmp(element->name, "trace") == 0;
    int err = trace ? visit_file(v, element, "file") : 0;
    for (size_t i = 0; i < RG_COUNT(attributes) && !trace && err == 0; i++)
        err = visit_file(v, element, attributes[i].name);
    for (const struct rg_xml_element *n = element->child; n && err == 0; n = n->next)
        err = visit_files(v, n);
    return err;
}

int rg_platform_profiles(const char *file, int (*visit)(void *arg, const char *path), void *arg)
{
    struct rg_xml xml;
    if (rg_xml_open(&xml, file, "platform", NULL) != 0)
        return 0;
    const struct visitor v = {&xml, visit, arg};
    int err = visit_files(&v, xml.root);
    rg_xml_close(&xml);
    return err;
}
