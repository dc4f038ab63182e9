/* INA219, INA226, INA260 and their kin, between the supply and the board, through the kernel's
 * hwmon: power1_input in microwatts (Documentation/hwmon/ina2xx.rst).
 *
 * Happy path: the first hwmon whose name begins with "ina2" and that measures power; hwmonN as
 * argument takes that one. Failure modes handled: as meter_file.c; another power1_input than this
 * (fans, chargers) is no board's supply and left alone. */
#include "meters/meter_source.h"

#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ina {
    char path[400];
};

/* 0: this is one; RG_ERR_INVALID: it is another device. */
static int probe_one(const char *folder, const char *name, struct rg_meter_probe *probe,
                     struct ina *ina, struct rg_error *e)
{
    char path[400], chip[32];
    int64_t microwatts;
    snprintf(path, sizeof path, "%.300s/%.60s/name", folder, name);
    int result = rg_meter_line(path, chip, sizeof chip, e);
    if (result)
        return result;
    if (strncmp(chip, "ina2", 4) != 0)
        return rg_fail(e, RG_ERR_INVALID, "%.300s: \"%s\" is no INA2xx", path, chip);
    snprintf(ina->path, sizeof ina->path, "%.300s/%.60s/power1_input", folder, name);
    result = rg_meter_number(ina->path, &microwatts, e);
    if (result == 0)
        snprintf(probe->where, sizeof probe->where, "%s, %.150s", chip, ina->path);
    return result;
}

static int ina_open(struct rg_meter_probe *probe, void **state, struct rg_error *e)
{
    char folder[300], **names;
    struct rg_error why;
    snprintf(folder, sizeof folder, "%.240s/sys/class/hwmon", probe->root);
    int count = rg_meter_names(folder, "hwmon", &names, e);
    if (count < 0)
        return count;
    struct ina *ina = calloc(1, sizeof *ina);
    int result = ina ? rg_fail(e, RG_ERR_INVALID, "no INA2xx in %s", folder)
                     : rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    for (int i = 0; i < count && ina && result; i++) {
        if (probe->argument[0] && strcmp(probe->argument, names[i]) != 0)
            continue;
        int one = probe_one(folder, names[i], probe, ina, &why);
        if (one != RG_ERR_INVALID || probe->argument[0]) {
            *e = why;
            result = one;
        }
    }
    rg_meter_names_free(names, count);
    if (result)
        free(ina);
    else
        *state = ina;
    return result;
}

static int ina_read(void *state, double *watts, struct rg_error *e)
{
    const struct ina *ina = state;
    int64_t microwatts = 0;
    int result = rg_meter_number(ina->path, &microwatts, e);
    *watts = 1e-6 * (double)microwatts;
    return result;
}

const struct rg_meter_source rg_meter_ina2xx = {
    .name = "ina2xx",
    .summary = "INA219, INA226 or INA260 through hwmon, the first or the one named",
    .argument = "hwmonN",
    .kind = RG_METER_WATTS,
    .most_W = 2000, /* no supply of a board, and more than its shunt takes */
    .open = ina_open,
    .read = ina_read,
    .close = free,
};
