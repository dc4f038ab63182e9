/* Inside the meters: the kinds of source, and how their readings become joules.
 *
 * A new meter: a file meter_NAME.c whose only global is `const struct rg_meter_source
 * rg_meter_NAME`, and a line in meters.def. The options, the result and the tests of what is wrong
 * with it pick it up from there.
 */
#ifndef RG_METERS_METER_SOURCE_H
#define RG_METERS_METER_SOURCE_H

#include "base/error.h"
#include "world/clocks.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rg_meter_kind {
    RG_METER_WATTS,  /* read gives the watts of this moment: trapezoids */
    RG_METER_JOULES, /* read gives joules since some date: differences */
    RG_METER_LOG     /* between gives the joules of spans of time, after the run */
};

/* What a log turned out to be, once it was read. */
struct rg_meter_log {
    char column[80];      /* which columns were taken for watts, in words */
    uint64_t fingerprint; /* of its first rows; 0: nothing is known */
    double usual_s;       /* between its rows; 0: nothing is known */
};

/* FNV-1a. */
#define RG_METER_HASH 14695981039346656037u
static inline uint64_t rg_meter_hash(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 1099511628211u;
}

struct rg_meter_probe {
    const char *root;     /* "" or a folder without a slash at its end */
    const char *argument; /* what stands after the name and a colon, or "" */
    double offset_s, stuck_s;
    char where[200];                /* out: which device this is */
    const struct rg_meter_log *log; /* out, of logs; lives as long as the state */
};

/* Joules and what is known of their error, as they grow. */
struct rg_integral {
    double joules;
    double variance_J2; /* from sampling; see rg_integral_watts */
    double longest_s;   /* between two samples */
    uint64_t samples;
    double date_s, value; /* of the last sample; the value in W or J */
    double watts;         /* of the last sample, or between the last two */
    double slope_W;       /* by how much the last two differed */
    double changed_s;     /* when the value was last another one */
    int same;             /* samples since */
};

struct rg_meter_limits {
    double most_W;  /* nothing that this meter can stand draws more */
    double stuck_s; /* see rg_meter_options */
};

struct rg_meter_source {
    const char *name; /* as energy_source in the result */
    const char *summary;
    const char *argument; /* what may stand after a colon, or NULL */
    enum rg_meter_kind kind;
    bool needs_argument;
    bool slow;     /* reading takes milliseconds: dates between samples take the last one */
    double most_W; /* see rg_meter_limits */
    double step_s; /* RG_METER_JOULES: the counter moves on in steps of so long */
    /* May be NULL: nothing to say of the argument without the device. Text: "ARGUMENT: why". */
    int (*check)(const char *argument, struct rg_error *e);
    /* RG_ERR_INVALID: there is none here; other errors: there is, but it cannot be used. */
    int (*open)(struct rg_meter_probe *probe, void **state, struct rg_error *e);
    int (*read)(void *state, double *value, struct rg_error *e);
    /* Joules of each of `count` spans, by date, in seconds of UNIX; of all but the first `aside` (<
     * count) of them together joules, variance, samples and longest_s. Of those aside joules may
     * be NAN: nothing is known. RG_ERR_TIMEOUT: the log ends before the last. */
    int (*between)(void *state, const struct rg_clock_section *spans, int count, int aside,
                   double *joules, struct rg_integral *whole, struct rg_error *e);
    void (*close)(void *state);
};

/* ---- meter_integral.c ---- */

/* The first sample, or one after a pause: nothing is counted up to it. */
void rg_integral_begin(struct rg_integral *i, double date_s, double value);
/* A trapezoid from the last sample to this one. Where between the two the power moved from one to
 * the other is not known: that step h |P - P'| adds h^2 (P - P')^2 / 12 to the variance, a uniform
 * distribution's (JCGM 100:2008, 4.3.7). Errors (RG_ERR_PROTOCOL): a reading that is a lie; nothing
 * is counted then. */
int rg_integral_watts(struct rg_integral *i, const struct rg_meter_limits *limits, double date_s,
                      double watts, struct rg_error *e);
/* The difference to the last sample. */
int rg_integral_joules(struct rg_integral *i, const struct rg_meter_limits *limits, double date_s,
                       double joules, struct rg_error *e);

/* ---- meter_file.c ---- */

/* One whole number, and nothing else but white space, from a file of the kernel. */
int rg_meter_number(const char *path, int64_t *number, struct rg_error *e);
/* The first line, cut to size, without its end. */
int rg_meter_line(const char *path, char *line, size_t size, struct rg_error *e);
/* Names in a folder that begin with a prefix, in the order of their numbers; free each and the
 * list. Returns how many, or RG_ERR_INVALID (no such folder), RG_ERR_IO, RG_ERR_NOMEM. */
int rg_meter_names(const char *folder, const char *prefix, char ***names, struct rg_error *e);
void rg_meter_names_free(char **names, int count);

#endif
