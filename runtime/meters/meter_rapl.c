/* RAPL, the processor's own count of its joules, through powercap: energy_uj, which goes from
 * max_energy_range_uj back to 0 (Documentation/power/powercap/powercap.rst).
 *
 * Happy path: the top zones named package-* are summed: sub-zones (core, uncore) are part of their
 * package, intel-rapl-mmio:* shows the same package again, psys holds the packages; AMD's are
 * called intel-rapl too. The board's memory, port and supply are not in it. Failure modes handled:
 * as meter_file.c (on most systems only root reads energy_uj); a counter that goes back by other
 * than its range shows as a leap that meter_integral.c refuses. */
#include "meters/meter_source.h"

#include "base/check.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZONES = 64 };

struct zone {
    char path[400];
    int64_t last, range; /* microjoules */
};

struct rapl {
    struct zone zone[ZONES];
    int count;
    int64_t sum; /* microjoules since it was opened */
};

static int read_zone(const struct zone *zone, int64_t *now, struct rg_error *e)
{
    int result = rg_meter_number(zone->path, now, e);
    if (result == 0 && (*now < 0 || *now > zone->range))
        return rg_fail(e, RG_ERR_PROTOCOL, "%s: %" PRId64 " uJ, it counts from 0 to %" PRId64,
                       zone->path, *now, zone->range);
    return result;
}

/* Adds the zone if it is a package. */
static int add_zone(struct rapl *rapl, const char *folder, const char *name, struct rg_error *e)
{
    char path[400], kind[32];
    struct zone *zone = &rapl->zone[rapl->count];
    struct rg_error unnamed;
    snprintf(path, sizeof path, "%.300s/%.60s/name", folder, name);
    if (rg_meter_line(path, kind, sizeof kind, &unnamed) != 0 || strncmp(kind, "package", 7) != 0)
        return 0;
    snprintf(path, sizeof path, "%.300s/%.60s/max_energy_range_uj", folder, name);
    int result = rg_meter_number(path, &zone->range, e);
    if (result == 0 && zone->range <= 0)
        result = rg_fail(e, RG_ERR_PROTOCOL, "%s: %" PRId64 " uJ is no range", path, zone->range);
    snprintf(zone->path, sizeof zone->path, "%.300s/%.60s/energy_uj", folder, name);
    if (result == 0)
        result = read_zone(zone, &zone->last, e);
    rapl->count += result == 0;
    return result;
}

static int rapl_open(struct rg_meter_probe *probe, void **state, struct rg_error *e)
{
    char folder[300], **names;
    snprintf(folder, sizeof folder, "%.240s/sys/class/powercap", probe->root);
    int count = rg_meter_names(folder, "intel-rapl:", &names, e);
    if (count < 0)
        return count;
    struct rapl *rapl = calloc(1, sizeof *rapl);
    int result = rapl ? 0 : rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    for (int i = 0; i < count && result == 0 && rapl->count < ZONES; i++) {
        if (!strchr(strchr(names[i], ':') + 1, ':')) /* a top zone */
            result = add_zone(rapl, folder, names[i], e);
    }
    rg_meter_names_free(names, count);
    if (result == 0 && rapl->count == 0)
        result = rg_fail(e, RG_ERR_INVALID, "no package of RAPL in %s", folder);
    if (result == 0)
        snprintf(probe->where, sizeof probe->where, "%d package%s in %.150s, processor only",
                 rapl->count, rapl->count > 1 ? "s" : "", folder);
    if (result)
        free(rapl);
    else
        *state = rapl;
    return result;
}

static int rapl_read(void *state, double *joules, struct rg_error *e)
{
    struct rapl *rapl = state;
    int64_t now;
    for (int i = 0; i < rapl->count; i++) {
        struct zone *zone = &rapl->zone[i];
        int result = read_zone(zone, &now, e);
        if (result)
            return result;
        rapl->sum += now >= zone->last ? now - zone->last : zone->range - zone->last + now;
        zone->last = now;
    }
    *joules = 1e-6 * (double)rapl->sum;
    return 0;
}

const struct rg_meter_source rg_meter_rapl = {
    .name = "rapl",
    .summary = "RAPL of Intel and AMD processors through powercap: the packages alone",
    .kind = RG_METER_JOULES,
    .most_W = 5000,  /* all packages of one machine */
    .step_s = 0.001, /* Intel SDM volume 3, package RAPL domain: updated about every 1 ms */
    .open = rapl_open,
    .read = rapl_read,
    .close = free,
};
