/* Clock, temperature and what holds a board back, before, during and after a run.
 *
 *     heat = rg_heat_open("");          looks what there is, starts the thread that reads it
 *     rg_heat_run(heat);                a run begins: a reading, and ranges afresh
 *     rg_heat_read(heat, &facts);       one more reading, and what all of them say
 *     rg_heat_close(heat);
 *
 * Read once a second: of all processors the highest clock (cpufreq), of all zones of processors the
 * highest temperature, the firmware's flags (sysfs, or vcgencmd get_throttled), what cools by
 * slowing down, and counts of throttling. What a machine does not tell is NAN or not set. */
#ifndef RG_METERS_HEAT_H
#define RG_METERS_HEAT_H

#include <stdbool.h>
#include <stdint.h>

enum { RG_HEAT_WORDS = 120 };

struct rg_heat_facts {
    double clock_least_hz, clock_most_hz; /* of the fastest processor, over time */
    double clock_limit_hz;                /* what it can do: cpuinfo_max_freq */
    double before_C, least_C, most_C;
    int readings;
    /* "under voltage, throttled": what held the board back in this run; "": nothing, or nobody
     * knows. */
    char held_back[RG_HEAT_WORDS];
};

struct rg_heat;
/* root: in front of every path, "" or "/" for none. NULL: nothing is told here, or no memory. */
struct rg_heat *rg_heat_open(const char *root);
void rg_heat_close(struct rg_heat *heat); /* NULL is allowed */
void rg_heat_run(struct rg_heat *heat);
void rg_heat_read(struct rg_heat *heat, struct rg_heat_facts *facts);

#endif
