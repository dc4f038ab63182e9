/* Energy meters: what this node's board draws while its program runs.
 *
 *     rg_meter_open(&options, &meter, &e);      finds a source, starts the thread that samples it
 *     rg_meter_idle(meter, 2, stop, arg);       watts at rest, before the run
 *     rg_mesh_meter(mesh, meter);               the world's energy operation asks it
 * (world_posix.h) for each run: rg_meter_run(meter); rg_meter_close(meter);
 *
 * A reading that cannot be right (negative, absurd, stuck, unreadable) makes the joules of the run
 * unknown (NAN), with the reason in the meter's facts: nothing is filled in or left out silently.
 * A new kind of meter is one file and one line in meters.def; see meter_source.h. */
#ifndef RG_METERS_METER_H
#define RG_METERS_METER_H

#include "base/error.h"
#include "world/clocks.h"
#include "world/world.h"
#include <stdbool.h>
#include <stdio.h>

#define RG_METER_INTERVAL_S 0.05
#define RG_METER_STUCK_S    30.0
#define RG_METER_IDLE_S     2.0

struct rg_meter_options {
    const char *choice; /* "auto", "none", "other", or NAME[:ARGUMENT] of the table; borrowed */
    const char *root;   /* in front of every path that is not an argument; borrowed */
    double interval_s;  /* between samples */
    double stuck_s;     /* a reading that stays the same for so long is none; INFINITY: never */
    double offset_s;    /* added to the dates of a log */
    bool first_clock;   /* which are by rank 0's clock of the day, not by this node's */
};

struct rg_meter;

/* Is that a meter's name, with an argument where one is needed? */
bool rg_meter_known(const char *choice);
/* Could what is named after the colon be used? A file that is not there may still come. Errors:
 * RG_ERR_INVALID, in words that begin with "--meter". */
int rg_meter_check(const char *choice, struct rg_error *e);
/* The choices, a line each. */
void rg_meter_list(FILE *stream);
/* Those that measure, on one line: "auto, ina2xx[:hwmonN], ..."; "other" and "none" are left to the
 * caller. */
enum { RG_METER_CHOICES = 400 };
void rg_meter_choices(char out[RG_METER_CHOICES]);

/* A meter that is not there or cannot be read is no error, but one whose joules are unknown and
 * whose facts say why. "other": another node's meter counts this one. Errors: RG_ERR_NOMEM. */
int rg_meter_open(const struct rg_meter_options *options, struct rg_meter **meter,
                  struct rg_error *e);
void rg_meter_close(struct rg_meter *m); /* NULL is allowed */

/* Which it is, in words, for the user: "ina2xx (/sys/class/hwmon/hwmon2)". Constant. */
const char *rg_meter_where(const struct rg_meter *m);
/* Why its joules are unknown, since rg_meter_run: "" or one line. Until the next call. */
const char *rg_meter_error(struct rg_meter *m);

/* Waits for `seconds`, or until stop(arg), and takes the mean watts meanwhile as those of a board
 * at rest. */
void rg_meter_idle(struct rg_meter *m, double seconds, bool (*stop)(void *arg), void *arg);
/* A run begins: what was wrong in the run before is forgotten where the meter can be read again. */
void rg_meter_run(struct rg_meter *m);

/* Joules from rg_meter_open to a date on rg_clock_s that is now or has just been, as the energy
 * operation of a world; on one thread. */
void rg_meter_energy(struct rg_meter *m, double date_s, struct rg_energy *so_far);
/* As the settle operation of a world: dates on rg_clock_s. clocks: not needed (NULL) but for
 * first_clock. */
bool rg_meter_settle(struct rg_meter *m, const struct rg_clock_section *sections, int count,
                     const struct rg_clock_map *clocks, double *joules, struct rg_energy *whole);

#endif
