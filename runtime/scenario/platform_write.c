/* The platform as SimGrid is to load it, where the file itself will not do: boards that are given
 * by name have neither watts nor as many speeds as clocks there, and SimGrid takes <trace> only
 * outside of zones. Everything else is written as it was read, into memory that has a path.
 *
 * Failure modes handled: no memory. */
#include "scenario/platform_parts.h"

#include "base/check.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct rg_rewritten {
    const struct rg_xml_element *element;
    struct rg_board board;
};

int rg_platform_rewrite(struct rg_platform *platform, const struct rg_xml_element *element,
                        const struct rg_board *board, struct rg_error *e)
{
    size_t count = (size_t)platform->rewritten_count + 1;
    struct rg_rewritten *more = platform->rewritten;
    if ((count & (count - 1)) == 0 || count == 1) /* room for twice as many at powers of two */
        more = realloc(more, 2 * count * sizeof *more);
    if (!more)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    platform->rewritten = more;
    more[platform->rewritten_count++] = (struct rg_rewritten){element, *board};
    return 0;
}

struct writer {
    const struct rg_xml *xml;
    struct rg_platform *platform;
    FILE *stream;
    int next; /* of platform->rewritten */
};

static void put_text(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (strchr("<>&\"'", *text))
            fprintf(stream, "&#%d;", *text);
        else
            fputc(*text, stream);
    }
}

static bool is_profile(const struct rg_xml_element *element, const char *name)
{
    size_t length = strlen(name);
    return (length > 5 && strcmp(name + length - 5, "_file") == 0) ||
           (strcmp(element->name, "trace") == 0 && strcmp(name, "file") == 0);
}

/* Files that it names are beside the platform's own. SimGrid 3.32 opens no absolute paths, but what
 * is relative to the working directory: up to the root, and down from there. */
static void put_file(FILE *stream, const char *platform, const char *name)
{
    const char *slash = strrchr(platform, '/');
    char *folder = slash ? strndup(platform, (size_t)(slash - platform) + 1) : strdup(".");
    char *absolute = folder ? realpath(folder, NULL) : NULL, *here = getcwd(NULL, 0);
    for (const char *p = here; p && *p; p++)
        if (*p == '/' && p[1])
            fputs("../", stream);
    if (name[0] != '/' && absolute) {
        put_text(stream, absolute[0] == '/' ? absolute + 1 : absolute);
        fputc('/', stream);
    }
    put_text(stream, name + (name[0] == '/'));
    free(here);
    free(absolute);
    free(folder);
}

static void put_attribute(const struct writer *w, const struct rg_xml_element *element,
                          const struct rg_xml_attribute *a)
{
    fprintf(w->stream, " %s=\"", a->name);
    if (is_profile(element, a->name) && a->value[0])
        put_file(w->stream, w->xml->path, a->value);
    else
        put_text(w->stream, a->value);
    fputc('"', w->stream);
}

/* The lines of a <trace> in memory of their own, open as long as the platform. */
static int open_lines(struct writer *w, const struct rg_xml_element *trace)
{
    const struct rg_xml_attribute *period = rg_xml_find(trace, "periodicity");
    int *fds = realloc(w->platform->fds, ((size_t)w->platform->fd_count + 1) * sizeof *fds);
    int fd = fds ? memfd_create("profile", 0) : -1;
    if (fds)
        w->platform->fds = fds;
    if (fd < 0)
        return -1;
    w->platform->fds[w->platform->fd_count++] = fd;
    if (period && strtod(period->value, NULL) > 0)
        dprintf(fd, "PERIODICITY %s\n", period->value);
    dprintf(fd, "%s\n", trace->text ? trace->text : "");
    return fd;
}

/* The profile that a <trace_connect> has for this element. */
static void put_connection(struct writer *w, const struct rg_xml_element *connection)
{
    static const char *const attributes[][2] = {{"BANDWIDTH", "bandwidth_file"},
                                                {"LATENCY", "latency_file"}};
    const struct rg_xml_attribute *kind = rg_xml_find(connection, "kind");
    const struct rg_xml_attribute *name = rg_xml_find(connection, "trace");
    const struct rg_xml_element *trace = rg_platform_find(w->xml->root, "trace", name->value);
    const struct rg_xml_attribute *file = rg_xml_find(trace, "file");
    const char *attribute = "speed_file";
    for (size_t i = 0; i < RG_COUNT(attributes) && kind; i++)
        if (strcasecmp(kind->value, attributes[i][0]) == 0)
            attribute = attributes[i][1];
    fprintf(w->stream, " %s=\"", attribute);
    if (file && file->value[0]) {
        put_file(w->stream, w->xml->path, file->value);
    } else {
        char path[40];
        snprintf(path, sizeof path, "/proc/self/fd/%d", open_lines(w, trace));
        put_file(w->stream, w->xml->path, path);
    }
    fputc('"', w->stream);
}

/* The direction of a split-duplex link that says what the other has said. */
static bool is_second(const char *target, const char *id)
{
    return strcmp(target, id) != 0 && strcmp(target + strlen(id), "_DOWN") == 0;
}

static void put_connections(struct writer *w, const struct rg_xml_element *from,
                            const struct rg_xml_element *element)
{
    const struct rg_xml_attribute *id = rg_xml_find(element, "id");
    for (const struct rg_xml_element *n = from->child; n && id; n = n->next) {
        const struct rg_xml_attribute *target = rg_xml_find(n, "element");
        if (strcmp(n->name, "trace_connect") != 0)
            put_connections(w, n, element);
        else if (target &&
                 rg_platform_find(element->parent, element->name, target->value) == element &&
                 !is_second(target->value, id->value))
            put_connection(w, n);
    }
}

static bool is_own(const char *name)
{
    return strcmp(name, "speed") == 0 || strcmp(name, "core") == 0 || strcmp(name, "pstate") == 0 ||
           strcmp(name, "bw") == 0;
}

/* Speeds, cores and watts of its datasheet; a bus that nothing else says, where a cluster can have
 * one. */
static void put_board(const struct writer *w, const struct rg_xml_element *element,
                      const struct rg_board *b)
{
    double top = b->gemm_rate * b->clocks[0].hz / b->clocks[b->clock].hz;
    fputs(" speed=\"", w->stream);
    for (int i = 0; i < b->clock_count; i++)
        fprintf(w->stream, "%s%.17gf", i ? "," : "", top * b->clocks[i].hz / b->clocks[0].hz);
    fprintf(w->stream, "\" core=\"%d\"", b->cores);
    const struct rg_xml_attribute *bw = rg_xml_find(element, "bw");
    if (bw) /* of a cluster's links: a board's port is no faster for them */
        fprintf(w->stream, " bw=\"%.17gBps\"", fmin(rg_platform_rate(bw->value), b->port_rate));
    if (strcmp(element->name, "cluster") == 0 && b->port_bus_rate > 0 &&
        !rg_xml_find(element, "limiter_link"))
        fprintf(w->stream, " limiter_link=\"%.17gBps\"", b->port_bus_rate);
    fputs("><prop id=\"wattage_per_state\" value=\"", w->stream);
    for (int i = 0; i < b->clock_count; i++)
        fprintf(w->stream, "%s%.17g:%.17g:%.17g", i ? "," : "", b->clocks[i].idle_watts,
                b->clocks[i].epsilon_watts, b->clocks[i].full_watts);
    fputs("\"/>", w->stream);
}

static bool is_moved(const struct rg_xml_element *element)
{
    return strcmp(element->name, "trace") == 0 || strcmp(element->name, "trace_connect") == 0;
}

static bool gives_watts(const struct rg_xml_element *prop)
{
    const struct rg_xml_attribute *id = rg_xml_find(prop, "id");
    return strcmp(prop->name, "prop") == 0 && id && strcmp(id->value, "wattage_per_state") == 0;
}

static void put_element(struct writer *w, const struct rg_xml_element *element)
{
    const struct rg_platform *p = w->platform;
    bool named = w->next < p->rewritten_count && p->rewritten[w->next].element == element;
    fprintf(w->stream, "<%s", element->name);
    for (int i = 0; i < element->count; i++)
        if (!named || !is_own(element->attributes[i].name))
            put_attribute(w, element, &element->attributes[i]);
    if (strcmp(element->name, "link") == 0 || strcmp(element->name, "host") == 0)
        put_connections(w, w->xml->root, element);
    if (named)
        put_board(w, element, &p->rewritten[w->next++].board);
    else
        fputc('>', w->stream);
    for (const struct rg_xml_element *n = element->child; n; n = n->next)
        if (!is_moved(n) && !(named && gives_watts(n)))
            put_element(w, n);
    fprintf(w->stream, "</%s>\n", element->name);
}

static void put_platform(struct writer *w)
{
    const struct rg_xml_element *root = w->xml->root;
    fputs("<?xml version=\"1.0\"?>\n<!DOCTYPE platform SYSTEM "
          "\"https://simgrid.org/simgrid.dtd\">\n<platform version=\"4.1\">\n",
          w->stream);
    for (const struct rg_xml_element *n = root->child; n; n = n->next)
        if (!is_moved(n))
            put_element(w, n);
    fputs("</platform>\n", w->stream);
}

static bool has_moved(const struct rg_xml_element *from)
{
    bool any = false;
    for (const struct rg_xml_element *n = from->child; n && !any; n = n->next)
        any = is_moved(n) || has_moved(n);
    return any;
}

int rg_platform_write(const struct rg_xml *xml, struct rg_platform *platform, struct rg_error *e)
{
    struct writer w = {.xml = xml, .platform = platform};
    bool whole = true;
    if (platform->rewritten_count == 0 && !has_moved(xml->root)) {
        platform->loaded = strdup(xml->path);
        return platform->loaded ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
    }
    int fd = memfd_create("platform.xml", 0), copy = fd < 0 ? -1 : dup(fd);
    platform->fds = malloc(sizeof *platform->fds);
    if (platform->fds && fd >= 0)
        platform->fds[platform->fd_count++] = fd;
    w.stream = copy < 0 || !platform->fds ? NULL : fdopen(copy, "w");
    if (w.stream) {
        put_platform(&w);
        whole = !ferror(w.stream);
        whole = fclose(w.stream) == 0 && whole;
    }
    if (!w.stream || !whole)
        return rg_fail(e, RG_ERR_INTERNAL, "%.300s: cannot be written anew: %s", xml->path,
                       strerror(errno));
    if (asprintf(&platform->loaded, "/proc/self/fd/%d", fd) < 0) {
        platform->loaded = NULL;
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
    }
    free(platform->rewritten);
    platform->rewritten = NULL;
    platform->rewritten_count = 0;
    return 0;
}
