/* What a SimGrid platform says of change over time: profiles of links and hosts, in files of their
 * own, in <trace> with its text inside or in <trace_connect>, and what no simulation can use.
 *
 * Failure modes handled, each with its line: profiles that switch hosts or links off (SimGrid ends
 * their programs), random ones, rates above what the datasheet was measured at, lines that are no
 * date and value, dates that fall, periods shorter than what they repeat, two profiles of one kind,
 * elements that are not there, one direction of a link that has one profile. */
#include "scenario/platform_parts.h"

#include "base/check.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 1024 };

/* Of those that no simulation can use. */
enum { STATE = RG_PROFILE_LATENCY + 1 };

/* Seconds: no latency of a board's network is shorter, and time would hardly get on. */
static const double least_period = 1e-6;

static const struct {
    const char *name, *element;
    int kind; /* enum rg_profile_kind, or STATE */
} attributes[] = {{"speed_file", "host", RG_PROFILE_SPEED},
                  {"availability_file", "host", RG_PROFILE_SPEED},
                  {"bandwidth_file", "link", RG_PROFILE_BANDWIDTH},
                  {"latency_file", "link", RG_PROFILE_LATENCY},
                  {"state_file", "host", STATE}}; /* and others: refused of any */

/* Those of <trace_connect kind="...">. */
static const struct {
    const char *name;
    int kind;
} connections[] = {{"SPEED", RG_PROFILE_SPEED},
                   {"POWER", RG_PROFILE_SPEED},
                   {"BANDWIDTH", RG_PROFILE_BANDWIDTH},
                   {"LATENCY", RG_PROFILE_LATENCY},
                   {"HOST_AVAIL", STATE},
                   {"LINK_AVAIL", STATE}};

bool rg_platform_is_profile(const char *attribute)
{
    bool any = false;
    for (size_t i = 0; i < RG_COUNT(attributes) && !any; i++)
        any = strcmp(attributes[i].name, attribute) == 0;
    return any;
}

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

struct reading {
    const struct rg_xml *xml;
    int line;         /* of the platform */
    const char *name; /* of its file or <trace> */
    double nominal;   /* what it must not exceed: bytes/s, 1 of a speed; INFINITY: anything */
    double periodicity, loop_after; /* as SimGrid has them; below 0: not given */
    int room;
    struct rg_profile *profile;
};

static int fail(const struct reading *r, struct rg_error *e, const char *why)
{
    return rg_xml_fail(r->xml, r->line, e, "profile %.80s: %s", r->name, why);
}

static int add_point(struct reading *r, double date, double value, struct rg_error *e)
{
    struct rg_profile *p = r->profile;
    if (p->count == r->room) {
        int room = r->room ? 2 * r->room : 8;
        struct rg_profile_point *more = realloc(p->points, (size_t)room * sizeof *more);
        if (!more)
            return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", r->xml->path);
        p->points = more;
        r->room = room;
    }
    p->points[p->count++] = (struct rg_profile_point){date, value};
    return 0;
}

static int check_point(const struct reading *r, double date, double value, struct rg_error *e)
{
    char why[160];
    const struct rg_profile *p = r->profile;
    bool latency = p->kind == RG_PROFILE_LATENCY;
    if (p->count > 0 && date < p->points[p->count - 1].date_s) {
        snprintf(why, sizeof why, "%g s comes after %g s: dates that do not fall are allowed", date,
                 p->points[p->count - 1].date_s);
        return fail(r, e, why);
    }
    if (!isfinite(value) || (latency ? value < 0 : value <= 0)) {
        snprintf(why, sizeof why,
                 "%g at %g s: values above 0 are allowed; for what stands still there is <faults>",
                 value, date);
        return fail(r, e, why);
    }
    if (value > r->nominal * 1.0001) {
        snprintf(why, sizeof why, "%g at %g s is above %g, which is all that the %s has", value,
                 date, r->nominal, p->kind == RG_PROFILE_SPEED ? "datasheet" : "link");
        return fail(r, e, why);
    }
    return 0;
}

static int read_line(struct reading *r, const char *line, struct rg_error *e)
{
    char why[160], *rest, *end;
    line += strspn(line, " \t\r");
    if (*line == '\0' || *line == '#' || *line == '%')
        return 0;
    if (sscanf(line, "PERIODICITY %lg", &r->periodicity) == 1 ||
        sscanf(line, "LOOPAFTER %lg", &r->loop_after) == 1) {
        if (isfinite(r->periodicity) && isfinite(r->loop_after))
            return 0;
        snprintf(why, sizeof why, "\"%.40s\": seconds are wanted", line);
        return fail(r, e, why);
    }
    if (strncasecmp(line, "STOCHASTIC", 10) == 0)
        return fail(r, e, "it is stochastic: runs would differ, dates with values are allowed");
    double date = strtod(line, &rest), value = strtod(rest, &end);
    if (rest == line || end == rest || !(date >= 0 && isfinite(date)) ||
        end[strspn(end, " \t\r")] != '\0') {
        snprintf(why, sizeof why, "\"%.40s\": a date in seconds and a value are wanted", line);
        return fail(r, e, why);
    }
    int err = check_point(r, date, value, e);
    return err ? err : add_point(r, date, value, e);
}

/* A period that begins before the last has ended, or at once for ever, is none. Below 0 SimGrid
 * has none, either. */
static int end_lines(struct reading *r, struct rg_error *e)
{
    struct rg_profile *p = r->profile;
    double last = p->count ? p->points[p->count - 1].date_s : 0;
    if (r->periodicity > 0)
        p->period_s = r->periodicity;
    else if (r->loop_after >= 0)
        p->period_s = last + r->loop_after;
    else
        return 0;
    double least = fmax(last, least_period);
    if (p->period_s >= least)
        return 0;
    char why[160];
    snprintf(why, sizeof why,
             "it comes again after %g s, its last date is %g s: %g s and more are allowed",
             p->period_s, last, least);
    return fail(r, e, why);
}

static int read_lines(struct reading *r, const char *text, struct rg_error *e)
{
    int err = 0;
    while (*text && err == 0) {
        char line[200];
        size_t length = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(length < 199 ? length : 199), text);
        err = read_line(r, line, e);
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

static int read_file(struct reading *r, struct rg_error *e)
{
    char path[PATH], why[100];
    FILE *stream = open_file(r->xml, r->name, path, sizeof path);
    if (!stream) {
        snprintf(why, sizeof why, "cannot be read: %s", strerror(errno));
        return fail(r, e, why);
    }
    char *line = NULL;
    size_t room = 0;
    int err = 0;
    while (err == 0 && getline(&line, &room, stream) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        err = read_line(r, line, e);
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

static double nominal_of(const struct rg_xml_element *element, int kind)
{
    const struct rg_xml_attribute *rate = element ? rg_xml_find(element, "bandwidth") : NULL;
    if (kind == RG_PROFILE_BANDWIDTH && rate)
        return rg_platform_rate(rate->value);
    return kind == RG_PROFILE_SPEED ? 1 : INFINITY;
}

static int refuse_state(const struct rg_xml *xml, int line, struct rg_error *e)
{
    return rg_xml_fail(xml, line, e,
                       "a profile that switches a host or link off ends the programs there: "
                       "<faults> of a scenario has nodes and links that are slow for a while");
}

/* A profile of the platform's more, of that element; it is to be read. */
static int add_profile(struct rg_platform *platform, struct reading *r,
                       const struct rg_xml_element *element, int kind, struct rg_error *e)
{
    struct rg_profiles *all = &platform->profiles;
    const char *id = rg_xml_find(element, "id")->value;
    for (int i = 0; i < all->count; i++)
        if ((int)all->profile[i].kind == kind && strcmp(all->profile[i].element, id) == 0)
            return fail(r, e, "its host or link has one of that kind already: one is allowed");
    struct rg_profile *more =
        realloc(all->profile, ((size_t)all->count + 1) * sizeof *all->profile);
    if (more)
        all->profile = more;
    char *copy = more ? strdup(id) : NULL;
    if (!copy)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", r->xml->path);
    r->profile = &more[all->count++];
    *r->profile = (struct rg_profile){.kind = (enum rg_profile_kind)kind, .element = copy};
    return 0;
}

static int read_attributes(const struct rg_xml *xml, const struct rg_xml_element *element,
                           struct rg_platform *platform, struct rg_error *e)
{
    int err = 0;
    for (size_t i = 0; i < RG_COUNT(attributes) && err == 0; i++) {
        const struct rg_xml_attribute *file = rg_xml_find(element, attributes[i].name), *id;
        int kind = attributes[i].kind;
        if (!file || !file->value[0])
            continue;
        if (kind == STATE)
            return refuse_state(xml, file->line, e);
        if (strcmp(element->name, attributes[i].element) != 0)
            return rg_xml_fail(xml, file->line, e, "%s of <%.40s>: that of a <%s> is allowed",
                               attributes[i].name, element->name, attributes[i].element);
        struct reading r = {xml, file->line, file->value, nominal_of(element, kind),
                            -1,  -1,         0,           NULL};
        if ((err = rg_xml_want(xml, element, "id", &id, e)) == 0 &&
            (err = add_profile(platform, &r, element, kind, e)) == 0 &&
            (err = read_file(&r, e)) == 0)
            err = end_lines(&r, e);
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

/* Its host or link; of a split-duplex link, which changes as one, both directions are meant. */
static int find_target(const struct rg_xml *xml, const struct rg_xml_attribute *target,
                       const struct rg_xml_attribute *trace, const struct rg_xml_attribute *kind,
                       int of, const struct rg_xml_element **element, struct rg_error *e)
{
    const char *name = of == RG_PROFILE_SPEED ? "host" : "link";
    char other[200];
    *element = rg_platform_find(xml->root, name, target->value);
    if (!*element)
        return rg_xml_fail(xml, target->line, e,
                           "there is no <%s id=\"%.60s\">: what a <cluster> makes has "
                           "no profiles",
                           name, target->value);
    const char *id = rg_xml_find(*element, "id")->value;
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

/* The direction of a split-duplex link that says what the other has said. */
static bool is_second(const char *target, const char *id)
{
    return strcmp(target, id) != 0 && strcmp(target + strlen(id), "_DOWN") == 0;
}

static int kind_of_connection(const struct rg_xml *xml, const struct rg_xml_attribute *kind,
                              int *of, struct rg_error *e)
{
    *of = RG_PROFILE_SPEED;
    if (!kind)
        return 0;
    for (size_t i = 0; i < RG_COUNT(connections); i++)
        if (strcasecmp(kind->value, connections[i].name) == 0) {
            *of = connections[i].kind;
            return *of == STATE ? refuse_state(xml, kind->line, e) : 0;
        }
    return rg_xml_fail(xml, kind->line, e,
                       "kind=\"%.40s\" of <trace_connect>: SPEED, BANDWIDTH and LATENCY are "
                       "allowed",
                       kind->value);
}

/* Of a file SimGrid takes the period from that alone, else from the <trace> too. */
static int read_trace(struct reading *r, const struct rg_xml_element *trace, struct rg_error *e)
{
    const struct rg_xml_attribute *file = rg_xml_find(trace, "file");
    const struct rg_xml_attribute *period = rg_xml_find(trace, "periodicity");
    bool in_file = file && file->value[0];
    if (!in_file && period)
        r->periodicity = strtod(period->value, NULL);
    if (in_file)
        r->name = file->value;
    int err = in_file ? read_file(r, e) : read_lines(r, trace->text ? trace->text : "", e);
    return err ? err : end_lines(r, e);
}

static int read_connection(const struct rg_xml *xml, const struct rg_xml_element *connection,
                           struct rg_platform *platform, struct rg_error *e)
{
    const struct rg_xml_attribute *kind = rg_xml_find(connection, "kind"), *trace, *target;
    const struct rg_xml_element *element;
    int err, of;
    if ((err = rg_xml_want(xml, connection, "trace", &trace, e)) ||
        (err = rg_xml_want(xml, connection, "element", &target, e)) ||
        (err = kind_of_connection(xml, kind, &of, e)))
        return err;
    const struct rg_xml_element *source = rg_platform_find(xml->root, "trace", trace->value);
    if (!source)
        return rg_xml_fail(xml, trace->line, e, "there is no <trace id=\"%.60s\">", trace->value);
    if ((err = find_target(xml, target, trace, kind, of, &element, e)) ||
        is_second(target->value, rg_xml_find(element, "id")->value))
        return err;
    struct reading r = {xml, source->line, trace->value, nominal_of(element, of), -1, -1, 0, NULL};
    err = add_profile(platform, &r, element, of, e);
    return err ? err : read_trace(&r, source, e);
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

void rg_profiles_free(struct rg_profiles *profiles)
{
    for (int i = 0; i < profiles->count; i++) {
        free(profiles->profile[i].element);
        free(profiles->profile[i].points);
    }
    free(profiles->profile);
    *profiles = (struct rg_profiles){0};
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
    const struct rg_xml_attribute *id = rg_xml_find(element, "id");
    bool measured =
        strcmp(element->name, "prop") == 0 && id && strcmp(id->value, "rg_profile") == 0;
    int err = trace      ? visit_file(v, element, "file")
              : measured ? visit_file(v, element, "value")
                         : 0;
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
