/* INA3221, three channels, as on Jetson boards, through the kernel's hwmon: in1 to in3 are volts
 * behind the shunts in mV, curr1 to curr3 mA; in4 to in6 are the shunts' own microvolts, which are
 * no supply's (Documentation/hwmon/ina3221.rst).
 *
 * Happy path: the channel whose label says that it is the board's input (VDD_IN, POM_5V_IN): the
 * others are behind it. Else the argument names channels, by label or as hwmonN.K, '+' adds them
 * up. Failure modes handled: as meter_file.c; several channels and none that is the input: which
 * there are, is told; channels that are switched off (inK_enable) are none. */
#include "meters/meter_source.h"

#include "base/check.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3, MOST = 12 /* of all chips */ };

struct channel {
    char stem[360];             /* "/sys/class/hwmon/hwmon1" */
    char label[48], number[24]; /* "VDD_IN" or "", "hwmon1.2" */
    int index;                  /* from 1 */
};

struct ina {
    struct channel channel[MOST]; /* those there are, then those that are read */
    int count;
};

static void add_channel(struct ina *ina, const char *stem, const char *name, int index)
{
    struct channel *c = &ina->channel[ina->count];
    char path[420];
    int64_t on;
    struct rg_error e;
    snprintf(path, sizeof path, "%s/in%d_enable", stem, index);
    if (ina->count == MOST || (rg_meter_number(path, &on, &e) == 0 && !on))
        return;
    snprintf(path, sizeof path, "%s/curr%d_input", stem, index);
    if (rg_meter_number(path, &on, &e) == RG_ERR_INVALID) /* no such file */
        return;
    *c = (struct channel){.index = index};
    snprintf(c->stem, sizeof c->stem, "%s", stem);
    snprintf(c->number, sizeof c->number, "%.16s.%d", name, index);
    snprintf(path, sizeof path, "%s/in%d_label", stem, index);
    if (rg_meter_line(path, c->label, sizeof c->label, &e) != 0)
        c->label[0] = '\0';
    ina->count++;
}

static int find_channels(const char *root, struct ina *ina, struct rg_error *e)
{
    char folder[300], stem[360], path[400], chip[32], **names;
    struct rg_error why;
    snprintf(folder, sizeof folder, "%.240s/sys/class/hwmon", root);
    int count = rg_meter_names(folder, "hwmon", &names, e);
    if (count < 0)
        return count;
    for (int i = 0; i < count; i++) {
        snprintf(stem, sizeof stem, "%.290s/%.60s", folder, names[i]);
        snprintf(path, sizeof path, "%s/name", stem);
        if (rg_meter_line(path, chip, sizeof chip, &why) != 0 || strcmp(chip, "ina3221") != 0)
            continue;
        for (int index = 1; index <= CHANNELS; index++)
            add_channel(ina, stem, names[i], index);
    }
    rg_meter_names_free(names, count);
    return ina->count ? 0 : rg_fail(e, RG_ERR_INVALID, "no INA3221 in %s", folder);
}

/* "VDD_IN", "POM_5V_IN": does "IN" stand there as a word? */
static bool is_input(const char *label)
{
    for (const char *p = label; (p = strstr(p, "IN")); p++)
        if ((p == label || !isalnum((unsigned char)p[-1])) && !isalnum((unsigned char)p[2]))
            return true;
    return false;
}

static bool is_named(const struct channel *c, const char *argument)
{
    for (const char *p = argument; *p; p += strcspn(p, "+"), p += *p == '+') {
        size_t length = strcspn(p, "+");
        if ((strlen(c->label) == length && strncmp(c->label, p, length) == 0) ||
            (strlen(c->number) == length && strncmp(c->number, p, length) == 0))
            return true;
    }
    return false;
}

/* Those that are read remain. */
static int choose(struct ina *ina, const char *argument, struct rg_error *e)
{
    char list[240] = "";
    int chosen = 0, wanted = argument[0] ? 1 : 0;
    bool lone = ina->count == 1 && !argument[0];
    for (const char *p = argument; *p; p++)
        wanted += *p == '+';
    for (int i = 0; i < ina->count; i++) {
        const struct channel c = ina->channel[i];
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                 c.label[0] ? c.label : c.number);
        if (lone || (argument[0] ? is_named(&c, argument) : is_input(c.label)))
            ina->channel[chosen++] = c;
    }
    if (chosen == (argument[0] ? wanted : 1)) {
        ina->count = chosen;
        return 0;
    }
    return rg_fail(e, RG_ERR_IO,
                   "which channel of %s is the board's supply, ina3221:CHANNEL says "
                   "('+' adds them up)",
                   list);
}

static int ina_open(struct rg_meter_probe *probe, void **state, struct rg_error *e)
{
    struct ina *ina = calloc(1, sizeof *ina);
    if (!ina)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    int result = find_channels(probe->root, ina, e);
    if (result == 0)
        result = choose(ina, probe->argument, e);
    if (result) {
        free(ina);
        return result;
    }
    for (int i = 0; i < ina->count; i++) {
        const struct channel *c = &ina->channel[i];
        size_t used = strlen(probe->where);
        snprintf(probe->where + used, sizeof probe->where - used, "%s%s%s%s", used ? " + " : "",
                 c->number, c->label[0] ? " " : "", c->label);
    }
    *state = ina;
    return 0;
}

static int ina_read(void *state, double *watts, struct rg_error *e)
{
    const struct ina *ina = state;
    char path[420];
    *watts = 0;
    for (int i = 0; i < ina->count; i++) {
        const struct channel *c = &ina->channel[i];
        int64_t millivolts = 0, milliamps = 0;
        snprintf(path, sizeof path, "%s/in%d_input", c->stem, c->index);
        int result = rg_meter_number(path, &millivolts, e);
        snprintf(path, sizeof path, "%s/curr%d_input", c->stem, c->index);
        if (result == 0)
            result = rg_meter_number(path, &milliamps, e);
        if (result)
            return result;
        *watts += 1e-6 * (double)millivolts * (double)milliamps;
    }
    return 0;
}

const struct rg_meter_source rg_meter_ina3221 = {
    .name = "ina3221",
    .summary = "INA3221 of Jetson boards through hwmon: the board's input, or channels by label",
    .argument = "CHANNEL",
    .kind = RG_METER_WATTS,
    .most_W = 2000, /* 26 V, and more than its shunts take */
    .open = ina_open,
    .read = ina_read,
    .close = free,
};
