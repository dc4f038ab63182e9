/* <faults> of a scenario -> struct rg_faults. */
#include "scenario/scenario_parts.h"

#include <string.h>

/* <slow nodes from to factor/> and <link .../>: a window for each range of ranks. */
int rg_scenario_read_window(const struct rg_xml *xml, const struct rg_xml_element *element,
                            struct rg_scenario *s, struct rg_error *e)
{
    struct rg_fault_windows *windows =
        strcmp(element->name, "slow") == 0 ? &s->faults.slow : &s->faults.link;
    struct rg_fault_window window = {.line = element->line};
    int used, err = rg_scenario_read_settings(xml, element, NULL, &window, e);
    if (err)
        return err;
    const struct rg_xml_attribute *to = rg_xml_find(element, "to");
    if (window.to_s <= window.from_s)
        return rg_xml_fail(xml, to->line, e,
                           "to=\"%.40s\" of <%s>: dates after from (%g s) are allowed, or none for "
                           "the end",
                           to->value, element->name, window.from_s);
    for (const char *at = rg_xml_find(element, "nodes")->value;
         (used = rg_text_range(at, RG_TEXT_RANKS, &window.first, &window.last)) > 0; at += used) {
        void *longer = rg_scenario_append(windows->window, windows->count, sizeof window);
        if (!longer)
            return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
        windows->window = longer;
        windows->window[windows->count++] = window;
    }
    return 0;
}

int rg_scenario_read_faults(const struct rg_xml *xml, const struct rg_xml_element *element,
                            struct rg_scenario *s, struct rg_error *e)
{
    (void)xml, (void)e;
    s->faults.line = element->line;
    return 0;
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
