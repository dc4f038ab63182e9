/* Meters on trees of files, made up by a test in the kernel's format. */
#ifndef RG_TESTS_METERS_H
#define RG_TESTS_METERS_H

#include "base/clock.h"
#include "meters/meter.h"
#include "tests/support/suite.h"
#include "tests/unit/scratch.h"
#include <math.h>
#include <stdarg.h>
#include <time.h>

static inline void nap(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)(1e9 * (seconds - floor(seconds)))};
    nanosleep(&t, NULL);
}

/* ---- trees ---- */

static inline void put(const char *root, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The file appears whole, with the folders that it is in. */
static inline void put(const char *root, const char *path, const char *format, ...)
{
    char file[500], fresh[520], folder[500];
    snprintf(file, sizeof file, "%s/%s", root, path);
    snprintf(fresh, sizeof fresh, "%s.new", file);
    for (char *p = strchr(file + 1, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(p - file), file);
        mkdir(folder, 0755);
    }
    FILE *stream = fopen(fresh, "w");
    va_list args;
    va_start(args, format);
    if (!stream || vfprintf(stream, format, args) < 0 || fclose(stream) != 0 ||
        rename(fresh, file) != 0)
        abort();
    va_end(args);
}

static inline void take_away(const char *root, const char *path)
{
    char file[500];
    snprintf(file, sizeof file, "%s/%s", root, path);
    if (remove(file) != 0)
        abort();
}

static const char ina_file[] = "sys/class/hwmon/hwmon1/power1_input";

static inline const char *ina_tree(const char *name, double watts)
{
    const char *root = scratch_path(name);
    mkdir(root, 0755);
    put(root, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
    put(root, "sys/class/hwmon/hwmon0/temp1_input", "48000\n");
    put(root, "sys/class/hwmon/hwmon1/name", "ina219\n");
    put(root, ina_file, "%.0f\n", 1e6 * watts);
    return root;
}

static inline struct rg_meter *open_with(struct rg_meter_options options)
{
    struct rg_meter *m = NULL;
    struct rg_error e = {0};
    options.interval_s = options.interval_s > 0 ? options.interval_s : 0.01;
    options.stuck_s = options.stuck_s > 0 ? options.stuck_s : INFINITY;
    CU_ASSERT_EQUAL_FATAL(rg_meter_open(&options, &m, &e), 0);
    return m;
}

static inline struct rg_meter *open_at(const char *root, const char *choice)
{
    return open_with((struct rg_meter_options){.choice = choice, .root = root});
}

static inline struct rg_energy ask(struct rg_meter *m)
{
    struct rg_energy energy;
    rg_meter_energy(m, rg_clock_s(), &energy);
    return energy;
}

/* Are its joules unknown, for a reason with all of `words` (separated by '|')? */
static inline bool is_unknown(struct rg_meter *m, const char *words)
{
    struct rg_energy energy = ask(m);
    char copy[200], *rest = copy;
    bool good = isnan(energy.total_J) && energy.meter->error[0];
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, "|"));)
        good = good && strstr(energy.meter->error, word);
    if (!good)
        printf("\n    wanted %s\n    got    %g J, \"%s\"\n", words, energy.total_J,
               energy.meter->error);
    return good;
}

static inline bool within(double value, double wanted, double share)
{
    bool good = fabs(value - wanted) <= share * fabs(wanted);
    if (!good)
        printf("\n    wanted %.9g, got %.9g: %+.4f %%\n", wanted, value,
               100 * (value / wanted - 1));
    return good;
}

#endif
