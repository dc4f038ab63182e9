/* <faults> of a scenario -> struct rg_faults. */
#include "scenario/scenario_parts.h"

#include "base/random.h"

#include <math.h>
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

/* <off nodes from to/>: a record for each range of ranks. */
int rg_scenario_read_off(const struct rg_xml *xml, const struct rg_xml_element *element,
                         struct rg_scenario *s, struct rg_error *e)
{
    struct rg_fault_off off = {.line = element->line};
    int used, err = rg_scenario_read_settings(xml, element, NULL, &off, e);
    if (err)
        return err;
    const struct rg_xml_attribute *to = rg_xml_find(element, "to");
    if (off.to_s <= off.from_s)
        return rg_xml_fail(
            xml, to->line, e,
            "to=\"%.40s\" of <off>: dates after from (%g s) are allowed, or none for "
            "ever",
            to->value, off.from_s);
    for (const char *at = rg_xml_find(element, "nodes")->value;
         (used = rg_text_range(at, RG_TEXT_RANKS, &off.first, &off.last)) > 0; at += used) {
        void *longer = rg_scenario_append(s->faults.off, s->faults.off_count, sizeof off);
        if (!longer)
            return rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", xml->path);
        s->faults.off = longer;
        s->faults.off[s->faults.off_count++] = off;
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
    return s->faults.slow.count > 0 || s->faults.link.count > 0 || s->faults.spread > 0 ||
           rg_faults_have_off(&s->faults);
}

bool rg_faults_have_off(const struct rg_faults *f)
{
    return f->off_count > 0 || f->mtbf_s > 0;
}

/* Exponential, of this mean, by inversion; number `at` of the rank's. */
static double draw_interval(double mean, uint64_t seed, int rank, uint64_t at)
{
    uint64_t key = rg_mix64(rg_mix64(rg_mix64(seed) ^ RG_STREAM_FAULT) ^ ~(uint64_t)rank);
    uint64_t bits = rg_mix64(key + at * 0x9e3779b97f4a7c15u);
    return -mean * log1p(-ldexp((double)(bits >> 11), -53));
}

bool rg_faults_next_off(const struct rg_faults *f, uint64_t seed, int rank, double from_s,
                        double *begin_s, double *end_s)
{
    double begin = INFINITY, end = INFINITY;
    for (int i = 0; i < f->off_count; i++) {
        const struct rg_fault_off *off = &f->off[i];
        if (rank < off->first || rank > off->last || off->to_s <= from_s || off->from_s >= begin)
            continue;
        begin = off->from_s;
        end = off->to_s;
    }
    double drawn = f->mtbf_s > 0 ? 0 : INFINITY; /* the end of the one before */
    for (uint64_t i = 0; drawn < begin; i++) {
        double next = drawn + draw_interval(f->mtbf_s, seed, rank, i);
        drawn = next + f->repair_s;
        if (next < begin && (drawn > from_s || next >= from_s)) {
            begin = next;
            end = drawn;
        }
    }
    *begin_s = begin;
    *end_s = end;
    return begin < INFINITY;
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
    for (int i = 0; i < s->faults.off_count && err == 0; i++)
        if (s->faults.off[i].last >= hosts)
            err = rg_scenario_fail(s, s->faults.off[i].line, e,
                                   "nodes of <off>: rank %d of a platform of %d hosts; 0 to %d are "
                                   "allowed",
                                   s->faults.off[i].last, hosts, hosts - 1);
    return err ? err : check_windows(s, &s->faults.link, "link", hosts, e);
}
