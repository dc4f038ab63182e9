/* Happy path: see heat.h. Failure modes handled: files that are not there, or hold something else,
 * and a vcgencmd that fails are left out: heat is told where it is known, and is no reason for a
 * run to fail. */
#include "meters/heat.h"

#include "base/check.h"
#include "meters/meter_source.h"
#include "meters/ticker.h"
#include "meters/vcgencmd.h"
#include <glob.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_S 1.0

/* Bits of the firmware's get_throttled: now; 16 bits higher: at some time since the boot
 * (raspberrypi.com, documentation of vcgencmd). */
enum { UNDER_VOLTAGE = 1, CAPPED = 2, THROTTLED = 4, SOFT_LIMIT = 8, FLAGS = 15, COOLED = 16 };

struct reading {
    double clock_hz, limit_hz, celsius;
    uint32_t now, ever; /* bits */
    int64_t events;     /* times that it throttled */
};

struct rg_heat {
    char root[240];
    struct rg_vcgencmd command;
    bool asks; /* vcgencmd knows the flags, and no file does */
    struct rg_ticker ticker;
    pthread_mutex_t lock; /* guards what follows */
    struct reading before;
    uint32_t seen; /* bits */
    struct rg_heat_facts facts;
};

/* ---- one reading ---- */

/* Is the thermal zone or cooling device of the file, by the file `type` beside it, one of the
 * kinds? They end with NULL; NULL itself: any is. */
static bool is_kind(const char *path, const char *const *kinds)
{
    char type[400], line[60];
    struct rg_error e;
    const char *slash = strrchr(path, '/');
    if (!kinds)
        return true;
    snprintf(type, sizeof type, "%.*s/type", (int)(slash - path), path);
    if (rg_meter_line(type, line, sizeof line, &e) != 0)
        return false;
    while (*kinds && !strcasestr(line, *kinds))
        kinds++;
    return *kinds != NULL;
}

enum fold { LARGEST, SUM };

/* The largest number in files of a pattern that are of the kinds, or their sum; false: none. */
static bool read_numbers(const char *root, const char *pattern, const char *const *kinds,
                         enum fold fold, int64_t *found)
{
    char path[400];
    glob_t files = {0};
    bool any = false;
    snprintf(path, sizeof path, "%s%s", root, pattern);
    if (glob(path, 0, NULL, &files) == 0)
        for (size_t i = 0; i < files.gl_pathc; i++) {
            int64_t number;
            struct rg_error e;
            if (!is_kind(files.gl_pathv[i], kinds) ||
                rg_meter_number(files.gl_pathv[i], &number, &e) != 0)
                continue;
            *found = !any ? number : fold == SUM ? *found + number : RG_MAX(*found, number);
            any = true;
        }
    globfree(&files);
    return any;
}

static double read_celsius(const char *root)
{
    static const char *const kinds[] = {"cpu", "soc", "pkg", "core", NULL};
    int64_t milli;
    if (read_numbers(root, "/sys/class/thermal/thermal_zone*/temp", kinds, LARGEST, &milli) ||
        read_numbers(root, "/sys/class/thermal/thermal_zone0/temp", NULL, LARGEST, &milli))
        return 1e-3 * (double)milli;
    return NAN;
}

/* "throttled=0x50005", or the number alone, in base 16 both. */
static bool parse_flags(const char *text, struct reading *r)
{
    const char *equals = strstr(text, "throttled=");
    char *end;
    text = equals ? equals + strlen("throttled=") : text;
    unsigned long bits = strtoul(text, &end, 16);
    if (end == text || end[strspn(end, " \t\r\n")])
        return false;
    r->now |= bits & FLAGS;
    r->ever |= (bits >> 16) & FLAGS;
    return true;
}

static bool read_flags_file(const char *root, struct reading *r)
{
    char path[400], line[60];
    struct rg_error e;
    snprintf(path, sizeof path, "%s/sys/devices/platform/soc/soc:firmware/get_throttled", root);
    return rg_meter_line(path, line, sizeof line, &e) == 0 && parse_flags(line, r);
}

static bool ask_flags(const struct rg_heat *heat, struct reading *r)
{
    char text[RG_VCGENCMD_OUTPUT];
    struct rg_error e;
    return rg_vcgencmd_ask(&heat->command, "get_throttled", text, &e) == 0 &&
           strstr(text, "throttled=") && parse_flags(text, r);
}

static void take_reading(const struct rg_heat *heat, struct reading *r)
{
    static const char *const slowing[] = {"cpufreq", "processor", "cpu-", NULL};
    const char *root = heat->root;
    int64_t number, cores = 0, packages = 0;
    *r = (struct reading){.clock_hz = NAN, .limit_hz = NAN, .celsius = read_celsius(root)};
    if (read_numbers(root, "/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq", NULL, LARGEST,
                     &number))
        r->clock_hz = 1e3 * (double)number;
    if (read_numbers(root, "/sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq", NULL, LARGEST,
                     &number))
        r->limit_hz = 1e3 * (double)number;
    if (read_numbers(root, "/sys/class/thermal/cooling_device*/cur_state", slowing, LARGEST,
                     &number) &&
        number > 0)
        r->now |= COOLED;
    read_numbers(root, "/sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count", NULL,
                 SUM, &cores);
    read_numbers(root, "/sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count", NULL,
                 SUM, &packages);
    r->events = cores + packages;
    if (heat->asks)
        ask_flags(heat, r);
    else
        read_flags_file(root, r);
}

/* ---- ranges ---- */

static void put_words(uint32_t bits, char words[RG_HEAT_WORDS])
{
    static const struct {
        uint32_t bits;
        const char *word;
    } all[] = {{UNDER_VOLTAGE, "under voltage"},
               {CAPPED, "clock capped"},
               {THROTTLED | COOLED, "throttled"},
               {SOFT_LIMIT, "soft temperature limit"}};
    words[0] = '\0';
    for (size_t i = 0; i < RG_COUNT(all); i++)
        if (bits & all[i].bits) {
            size_t used = strlen(words);
            snprintf(words + used, RG_HEAT_WORDS - used, "%s%s", used ? ", " : "", all[i].word);
        }
}

/* Flags of the past that have come since the run began are the run's. Holding the lock. */
static void note(struct rg_heat *heat, const struct reading *r)
{
    struct rg_heat_facts *f = &heat->facts;
    f->clock_least_hz = fmin(f->clock_least_hz, r->clock_hz); /* fmin leaves NAN out */
    f->clock_most_hz = fmax(f->clock_most_hz, r->clock_hz);
    f->clock_limit_hz = r->limit_hz;
    f->least_C = fmin(f->least_C, r->celsius);
    f->most_C = fmax(f->most_C, r->celsius);
    f->readings++;
    heat->seen |= r->now | (r->ever & ~heat->before.ever);
    if (r->events > heat->before.events)
        heat->seen |= THROTTLED;
    put_words(heat->seen, f->held_back);
}

static void read_once(struct rg_heat *heat, bool first)
{
    struct reading r;
    take_reading(heat, &r);
    pthread_mutex_lock(&heat->lock);
    if (first) {
        heat->before = r;
        heat->seen = 0;
        heat->facts = (struct rg_heat_facts){.clock_least_hz = NAN,
                                             .clock_most_hz = NAN,
                                             .before_C = r.celsius,
                                             .least_C = NAN,
                                             .most_C = NAN};
    }
    note(heat, &r);
    pthread_mutex_unlock(&heat->lock);
}

void rg_heat_run(struct rg_heat *heat)
{
    read_once(heat, true);
}

void rg_heat_read(struct rg_heat *heat, struct rg_heat_facts *facts)
{
    read_once(heat, false);
    pthread_mutex_lock(&heat->lock);
    *facts = heat->facts;
    pthread_mutex_unlock(&heat->lock);
}

/* ---- the whole ---- */

static void tick(void *heat)
{
    read_once(heat, false);
}

struct rg_heat *rg_heat_open(const char *root)
{
    struct rg_heat *heat = calloc(1, sizeof *heat);
    struct reading r = {0};
    struct rg_error e;
    if (!heat)
        return NULL;
    snprintf(heat->root, sizeof heat->root, "%s", strcmp(root, "/") == 0 ? "" : root);
    heat->asks = !read_flags_file(heat->root, &r) &&
                 rg_vcgencmd_find(heat->root, &heat->command, &e) == 0 && ask_flags(heat, &r);
    take_reading(heat, &r);
    if (isnan(r.clock_hz) && isnan(r.celsius) && !heat->asks &&
        !read_flags_file(heat->root, &r)) { /* nothing is told here */
        free(heat);
        return NULL;
    }
    pthread_mutex_init(&heat->lock, NULL);
    rg_heat_run(heat);
    /* without a thread there is a reading whenever someone asks */
    rg_ticker_start(&heat->ticker, INTERVAL_S, tick, heat);
    return heat;
}

void rg_heat_close(struct rg_heat *heat)
{
    if (!heat)
        return;
    rg_ticker_stop(&heat->ticker);
    pthread_mutex_destroy(&heat->lock);
    free(heat);
}
