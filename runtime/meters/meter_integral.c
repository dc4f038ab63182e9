/* Readings become joules; those that cannot be right do not.
 *
 * Failure modes handled: readings that are negative, not finite, beyond what the meter can stand,
 * or the same for too long; counters that run backwards. */
#include "meters/meter_source.h"

#include "base/check.h"
#include <math.h>

enum { STUCK_LEAST = 10 }; /* samples: a slow sensor repeats itself a few times */
#define BURST_S 0.05       /* counters may move on in bursts: power is judged over this at least */

void rg_integral_begin(struct rg_integral *i, double date_s, double value)
{
    i->date_s = i->changed_s = date_s;
    i->value = value;
    i->watts = i->slope_W = 0;
    i->same = 0;
}

static int check_stuck(struct rg_integral *i, const struct rg_meter_limits *limits, double date_s,
                       double value, const char *unit, struct rg_error *e)
{
    if (value != i->value) {
        i->changed_s = date_s;
        i->same = 0;
        return 0;
    }
    i->same++;
    if (i->same < STUCK_LEAST || date_s - i->changed_s < limits->stuck_s)
        return 0;
    return rg_fail(e, RG_ERR_PROTOCOL,
                   "stuck: %.9g %s without any change for %.3g s (--meter-stuck allows more)",
                   value, unit, date_s - i->changed_s);
}

static void note(struct rg_integral *i, double date_s, double value, double watts)
{
    i->slope_W = watts - i->watts;
    i->longest_s = fmax(i->longest_s, date_s - i->date_s);
    i->date_s = date_s;
    i->value = value;
    i->watts = watts;
    i->samples++;
}

int rg_integral_watts(struct rg_integral *i, const struct rg_meter_limits *limits, double date_s,
                      double watts, struct rg_error *e)
{
    if (!isfinite(watts) || watts < 0)
        return rg_fail(e, RG_ERR_PROTOCOL, "%.9g W: power drawn cannot be negative", watts);
    if (watts > limits->most_W)
        return rg_fail(e, RG_ERR_PROTOCOL, "%.9g W: absurd, it measures up to %.9g W", watts,
                       limits->most_W);
    int result = check_stuck(i, limits, date_s, watts, "W", e);
    if (result)
        return result;
    double h = date_s - i->date_s, step = h * (watts - i->value);
    RG_ASSERT(h >= 0);
    i->joules += h * (watts + i->value) / 2;
    i->variance_J2 += step * step / 12;
    i->watts = i->value;
    note(i, date_s, watts, watts);
    return 0;
}

int rg_integral_joules(struct rg_integral *i, const struct rg_meter_limits *limits, double date_s,
                       double joules, struct rg_error *e)
{
    double h = date_s - i->date_s, used = joules - i->value;
    RG_ASSERT(h >= 0);
    if (!isfinite(used) || used < 0)
        return rg_fail(e, RG_ERR_PROTOCOL, "%.9g J in %.3g s: a counter cannot run backwards", used,
                       h);
    if (used > limits->most_W * (h + BURST_S))
        return rg_fail(e, RG_ERR_PROTOCOL, "%.9g J in %.3g s: absurd, it measures up to %.9g W",
                       used, h, limits->most_W);
    int result = check_stuck(i, limits, date_s, joules, "J", e);
    if (result)
        return result;
    i->joules += used;
    note(i, date_s, joules, used / fmax(h, BURST_S));
    return 0;
}
