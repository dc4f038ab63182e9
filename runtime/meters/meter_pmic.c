/* The power controller of a Pi 5, asked by `vcgencmd pmic_read_adc`: volts and amperes of a dozen
 * rails. Their sum misses what the board's other parts draw; a published line makes up for that:
 * W = 1.1451 * sum + 0.5879 (see the Pi 5's datasheet among the boards).
 *
 * Happy path: the command prints NAME_A current(i)=0.5A and NAME_V volt(i)=1.1V; rails that have
 * both are summed. Failure modes handled: those of vcgencmd.h; it knows no pmic (other Pis), or
 * prints something else. */
#include "meters/meter_source.h"
#include "meters/vcgencmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAILS = 48 };
#define SLOPE    1.1451
#define OFFSET_W 0.5879

struct rail {
    char name[40];
    double volts, amperes;
    bool has_volts, has_amperes;
};

static struct rail *rail_of(struct rail rails[RAILS], int *count, const char *name, size_t length)
{
    for (int i = 0; i < *count; i++)
        if (strncmp(rails[i].name, name, length) == 0 && rails[i].name[length] == '\0')
            return &rails[i];
    if (*count == RAILS || length >= sizeof rails->name)
        return NULL;
    struct rail *rail = &rails[(*count)++];
    *rail = (struct rail){0};
    memcpy(rail->name, name, length);
    return rail;
}

/* "   VDD_CORE_A current(7)=1.69200000A" */
static void parse_line(const char *line, struct rail rails[RAILS], int *count)
{
    line += strspn(line, " \t");
    size_t length = strcspn(line, " \t");
    const char *equals = strchr(line, '=');
    char *end;
    if (length < 3 || line[length - 2] != '_' || !equals)
        return;
    char kind = line[length - 1];
    double value = strtod(equals + 1, &end);
    if (end == equals + 1 || *end != kind || (kind != 'A' && kind != 'V'))
        return;
    struct rail *rail = rail_of(rails, count, line, length - 2);
    if (!rail)
        return;
    *(kind == 'A' ? &rail->amperes : &rail->volts) = value;
    *(kind == 'A' ? &rail->has_amperes : &rail->has_volts) = true;
}

static int parse(const char *path, char *text, double *watts, struct rg_error *e)
{
    struct rail rails[RAILS];
    int count = 0, pairs = 0;
    double sum = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        parse_line(line, rails, &count);
    for (int i = 0; i < count; i++) {
        if (rails[i].has_amperes && rails[i].has_volts) {
            sum += rails[i].volts * rails[i].amperes;
            pairs++;
        }
    }
    if (pairs == 0)
        return rg_fail(e, RG_ERR_INVALID, "%.300s pmic_read_adc: no rail with volts and amperes",
                       path);
    *watts = SLOPE * sum + OFFSET_W;
    return 0;
}

static int pmic_read(void *state, double *watts, struct rg_error *e)
{
    const struct rg_vcgencmd *command = state;
    char text[RG_VCGENCMD_OUTPUT];
    int result = rg_vcgencmd_ask(command, "pmic_read_adc", text, e);
    return result ? result : parse(command->path, text, watts, e);
}

static int pmic_open(struct rg_meter_probe *probe, void **state, struct rg_error *e)
{
    double watts;
    struct rg_vcgencmd *command = calloc(1, sizeof *command);
    if (!command)
        return rg_fail(e, RG_ERR_NOMEM, "%s", rg_strerror(RG_ERR_NOMEM));
    int result = rg_vcgencmd_find(probe->root, command, e);
    if (result == 0)
        result = pmic_read(command, &watts, e);
    if (result == 0)
        snprintf(probe->where, sizeof probe->where, "%.150s", command->path);
    if (result)
        free(command);
    else
        *state = command;
    return result;
}

const struct rg_meter_source rg_meter_pmic = {
    .name = "pmic",
    .summary = "the power controller of a Pi 5, through vcgencmd pmic_read_adc",
    .kind = RG_METER_WATTS,
    .slow = true,
    .most_W = 200, /* its supply gives 27 */
    .open = pmic_open,
    .read = pmic_read,
    .close = free,
};
