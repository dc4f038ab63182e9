/* <faults> of a scenario -> struct rg_faults. */
#include "scenario/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int rg_scenario_next_ranks(const struct rg_xml *xml, const struct rg_xml_element *element,
                           const struct rg_xml_attribute *nodes, const char **at, int *first,
                           int *last, struct rg_error *e)
{
    int used = rg_text_range(*at, 65535, first, last);
    if (used > 0) {
        *at += used;
        return 1;
    }
    if (used == 0 && *at != nodes->value)
        return 0;
    return rg_xml_fail(xml, nodes->line, e,
                       "nodes=\"%.60s\" of <%s>: ranks and ranges of them are allowed, as in "
                       "0-3,8",
                       nodes->value, element->name);
}

static int add_window(const struct rg_xml *xml, struct rg_fault_windows *windows,
                      const struct rg_fault_window *window, struct rg_error *e)
{
    size_t bytes = (size_t)(windows->count + 1) * sizeof *window;
    struct rg_fault_window *longer = realloc(windows->window, bytes);
    if (!longer)
        return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
    windows->window = longer;
    windows->window[windows->count++] = *window;
    return 0;
}

/* <slow nodes from to factor/> and <link .../>: a window for each range of ranks. */
static int read_windows(const struct rg_xml *xml, const struct rg_xml_element *element,
                        struct rg_fault_windows *windows, struct rg_error *e)
{
    const struct rg_xml_attribute *nodes, *factor, *to = rg_xml_find(element, "to");
    const struct rg_limit *seconds = rg_scenario_limit("fault-seconds");
    struct rg_fault_window window = {.to_s = INFINITY, .line = element->line};
    int err = rg_xml_only(xml, element, "nodes from to factor", e);
    if (err || (err = rg_xml_want(xml, element, "nodes", &nodes, e)) ||
        (err = rg_xml_want(xml, element, "factor", &factor, e)) ||
        (err = rg_xml_number(xml, element, "from", seconds, &window.from_s, e)) ||
        (err = rg_xml_number(xml, element, "to", seconds, &window.to_s, e)) ||
        (err = rg_xml_number(xml, element, "factor", rg_scenario_limit("fault-factor"),
                             &window.factor, e)) ||
        (err = rg_xml_empty(xml, element, e)))
        return err;
    if (window.to_s <= window.from_s)
        return rg_xml_fail(xml, to->line, e,
                           "to=\"%.40s\" of <%s>: dates after from (%g s) are allowed, or none for "
                           "the end",
                           to->value, element->name, window.from_s);
    const char *at = nodes->value;
    while ((err = rg_scenario_next_ranks(xml, element, nodes, &at, &window.first, &window.last,
                                         e)) > 0)
        if ((err = add_window(xml, windows, &window, e)) < 0)
            return err;
    return err;
}

static int read_jitter(const struct rg_xml *xml, const struct rg_xml_element *element,
                       struct rg_faults *faults, struct rg_error *e)
{
    const struct rg_xml_attribute *spread;
    int err = rg_xml_only(xml, element, "spread", e);
    if (err || (err = rg_xml_want(xml, element, "spread", &spread, e)) ||
        (err = rg_xml_number(xml, element, "spread", rg_scenario_limit("jitter"), &faults->spread,
                             e)))
        return err;
    return rg_xml_empty(xml, element, e);
}

int rg_scenario_read_faults(const struct rg_xml *xml, const struct rg_xml_element *element,
                            struct rg_scenario *s, struct rg_error *e)
{
    static const char kinds[] = "slow link jitter";
    struct rg_faults *faults = &s->faults;
    int jitter = 0, err = rg_xml_only(xml, element, "", e);
    faults->line = element->line;
    for (const struct rg_xml_element *n = element->child; n && err == 0; n = n->next) {
        int kind = rg_text_index(kinds, n->name);
        if (kind < 0) {
            char allowed[120];
            rg_text_allowed(kinds, n->name, allowed, sizeof allowed);
            return rg_xml_fail(xml, n->line, e, "unknown element <%.40s> in <faults>: %s", n->name,
                               allowed);
        }
        if (kind < 2) {
            err = read_windows(xml, n, kind ? &faults->link : &faults->slow, e);
        } else if (jitter) {
            err = rg_xml_fail(xml, n->line, e,
                              "a second <jitter>, the first is on line %d: one is allowed", jitter);
        } else {
            jitter = n->line;
            err = read_jitter(xml, n, faults, e);
        }
    }
    return err;
}

bool rg_scenario_has_faults(const struct rg_scenario *s)
{
    return s->faults.slow.count > 0 || s->faults.link.count > 0 || s->faults.spread > 0;
}

static int check_windows(const struct rg_scenario *s, const struct rg_fault_windows *windows,
                         const char *element, int hosts, struct rg_error *e)
{
    for (int i = 0; i < windows->count; i++) {
        const struct rg_fault_window *window = &windows->window[i];
        if (window->last >= hosts)
            return rg_scenario_fail(s, window->line, e,
                                    "nodes of <%s>: rank %d of a platform of %d hosts; 0 to %d are "
                                    "allowed",
                                    element, window->last, hosts, hosts - 1);
    }
    return 0;
}

int rg_scenario_check_faults(const struct rg_scenario *s, int hosts, struct rg_error *e)
{
    int err = check_windows(s, &s->faults.slow, "slow", hosts, e);
    return err ? err : check_windows(s, &s->faults.link, "link", hosts, e);
}
