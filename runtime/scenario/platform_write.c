/* The platform as SimGrid is to load it, where the file itself will not do: boards that are given
 * by name have neither watts nor as many speeds as clocks there, and of profiles SimGrid gets those
 * of speeds alone, each in a file of its own. Everything else is written as it was read, into
 * memory that has a path.
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
    bool failed;
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

/* The profile of a host's speed in memory of its own, open as long as the platform, by the path
 * that SimGrid 3.32 opens: no absolute one, but what is relative to the working directory. */
static void put_speeds(struct writer *w, const struct rg_profile *profile)
{
    struct rg_platform *platform = w->platform;
    int *fds = realloc(platform->fds, ((size_t)platform->fd_count + 1) * sizeof *fds);
    int fd = fds ? memfd_create("profile", 0) : -1;
    char *here = getcwd(NULL, 0);
    if (fds)
        platform->fds = fds;
    if (fd < 0 || !here) {
        w->failed = true;
        free(here);
        return;
    }
    platform->fds[platform->fd_count++] = fd;
    if (profile->period_s > 0)
        dprintf(fd, "PERIODICITY %.17g\n", profile->period_s);
    for (int i = 0; i < profile->count; i++)
        dprintf(fd, "%.17g %.17g\n", profile->points[i].date_s, profile->points[i].value);
    fputs(" speed_file=\"", w->stream);
    for (const char *p = here; *p; p++)
        if (*p == '/' && p[1])
            fputs("../", w->stream);
    fprintf(w->stream, "proc/self/fd/%d\"", fd);
    free(here);
}

/* Bandwidths and latencies change without SimGrid: it bounds what flows by what was there when it
 * began. */
static void put_profiles(struct writer *w, const struct rg_xml_element *host)
{
    const struct rg_xml_attribute *id = rg_xml_find(host, "id");
    const struct rg_profiles *all = &w->platform->profiles;
    for (int i = 0; i < all->count && id; i++)
        if (all->profile[i].kind == RG_PROFILE_SPEED &&
            strcmp(all->profile[i].element, id->value) == 0)
            put_speeds(w, &all->profile[i]);
}

static void put_attribute(const struct writer *w, const struct rg_xml_attribute *a)
{
    if (rg_platform_is_profile(a->name))
        return;
    fprintf(w->stream, " %s=\"", a->name);
    put_text(w->stream, a->value);
    fputc('"', w->stream);
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

static bool is_trace(const struct rg_xml_element *element)
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
            put_attribute(w, &element->attributes[i]);
    if (strcmp(element->name, "host") == 0)
        put_profiles(w, element);
    if (named)
        put_board(w, element, &p->rewritten[w->next++].board);
    else
        fputc('>', w->stream);
    for (const struct rg_xml_element *n = element->child; n; n = n->next)
        if (!is_trace(n) && !(named && gives_watts(n)))
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
        if (!is_trace(n))
            put_element(w, n);
    fputs("</platform>\n", w->stream);
}

static bool has_traces(const struct rg_xml_element *from)
{
    bool any = false;
    for (const struct rg_xml_element *n = from->child; n && !any; n = n->next)
        any = is_trace(n) || has_traces(n);
    return any;
}

int rg_platform_write(const struct rg_xml *xml, struct rg_platform *platform, struct rg_error *e)
{
    struct writer w = {.xml = xml, .platform = platform};
    bool whole = true;
    if (platform->rewritten_count == 0 && !has_traces(xml->root) && platform->profiles.count == 0) {
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
        whole = !ferror(w.stream) && !w.failed;
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
