/* What the system says about the machine. Files that are missing or say something else leave a
 * field at what is true of any machine. */
#include "calibrate/calibrate.h"

#include "base/cores.h"
#include "base/limits.h"
#include "models/blas.h"
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static FILE *open_under(const char *root, const char *path)
{
    char full[600];
    if (snprintf(full, sizeof full, "%s%s", strcmp(root, "/") == 0 ? "" : root, path) >=
        (int)sizeof full)
        return NULL;
    return fopen(full, "r");
}

/* The first line, or, with a key, what stands behind the colon of the line that begins with it. */
static bool look_up(const char *root, const char *path, const char *key, char *text, size_t size)
{
    char line[400] = "";
    bool found = false;
    FILE *f = open_under(root, path);
    while (f && !found && fgets(line, sizeof line, f)) {
        const char *value = line;
        if (key) {
            const char *colon = strchr(line, ':');
            if (strncmp(line, key, strlen(key)) != 0 || !colon)
                continue;
            value = colon + 1 + strspn(colon + 1, " \t");
        }
        found = true;
        snprintf(text, size, "%s", value);
        text[strcspn(text, "\r\n")] = '\0';
        rg_one_line(text);
    }
    if (f)
        fclose(f);
    return found && text[0];
}

static bool read_number(const char *root, const char *path, double *value)
{
    char text[100], *end;
    if (!look_up(root, path, NULL, text, sizeof text))
        return false;
    *value = strtod(text, &end);
    return end != text && *value > 0;
}

static void add_doubt(struct rg_cal_machine *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add_doubt(struct rg_cal_machine *m, const char *format, ...)
{
    size_t used = strlen(m->doubts);
    va_list args;
    if (used)
        used += (size_t)snprintf(m->doubts + used, sizeof m->doubts - used, "; ");
    va_start(args, format);
    if (used < sizeof m->doubts)
        vsnprintf(m->doubts + used, sizeof m->doubts - used, format, args);
    va_end(args);
}

/* ---- clocks ---- */

struct core_kind {
    double khz, capacity; /* 0: unknown */
    int count;
};

/* Processors of one kind have one highest clock, and one capacity where the system knows it. */
static int find_kinds(const char *root, struct core_kind kinds[4])
{
    char path[100];
    int count = 0;
    for (int cpu = 0; cpu < 1024; cpu++) {
        double khz = 0, capacity = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", cpu);
        bool known = read_number(root, path, &khz);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpu_capacity", cpu);
        if (!read_number(root, path, &capacity) && !known)
            break;
        int k = 0;
        while (k < count && (kinds[k].khz != khz || kinds[k].capacity != capacity))
            k++;
        if (k == 4)
            break;
        if (k == count)
            kinds[count++] = (struct core_kind){khz, capacity, 0};
        kinds[k].count++;
    }
    return count;
}

static void tell_kinds(struct rg_cal_machine *m, const char *root)
{
    struct core_kind kinds[4];
    int count = find_kinds(root, kinds);
    if (count < 2)
        return;
    char list[120] = "";
    for (int k = 0; k < count; k++) {
        size_t used = strlen(list);
        if (kinds[k].khz > 0)
            snprintf(list + used, sizeof list - used, "%s%d up to %.4g GHz", used ? ", " : "",
                     kinds[k].count, 1e-6 * kinds[k].khz);
        else /* the system knows of no clock: by what Linux thinks of them, 1024 the fastest */
            snprintf(list + used, sizeof list - used, "%s%d of capacity %.4g", used ? ", " : "",
                     kinds[k].count, kinds[k].capacity);
    }
    add_doubt(m, "cores of %s kinds (%s): rates of one are those of whichever ran it",
              count == 2 ? "two" : "several", list);
}

/* What the fastest processor may run at now: below what it can do where a governor or a limit holds
 * it. */
static void find_clock(struct rg_cal_machine *m, const char *root)
{
    char text[100], governor[60] = "", path[100];
    double most = 0, held = 0;
    for (int cpu = 0; cpu < 1024; cpu++) {
        double limit, now;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", cpu);
        if (!read_number(root, path, &limit))
            break;
        most = fmax(most, limit);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_max_freq", cpu);
        held = fmax(held, read_number(root, path, &now) ? fmin(now, limit) : limit);
    }
    m->hz = 1e3 * held;
    m->limit_hz = 1e3 * most;
    look_up(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", NULL, governor,
            sizeof governor);
    if (held < 0.99 * most)
        add_doubt(m, "its clock is held at %.4g of %.4g GHz%s%s%s", 1e-6 * held, 1e-6 * most,
                  governor[0] ? " (governor " : "", governor, governor[0] ? ")" : "");
    if (m->hz == 0 && look_up(root, "/proc/cpuinfo", "cpu MHz", text, sizeof text) &&
        strtod(text, NULL) > 0)
        m->hz = 1e6 * strtod(text, NULL);
}

void rg_cal_clock(struct rg_cal_machine *m, double seen_hz, const char *held_back)
{
    if (seen_hz > 0 && seen_hz < 0.97 * m->hz && !strstr(m->doubts, "its clock is held")) {
        add_doubt(m, "its clock ran at %.4g of %.4g GHz", 1e-9 * seen_hz, 1e-9 * m->hz);
        m->hz = seen_hz;
    }
    if (held_back[0])
        add_doubt(m, "held back while it was measured: %s", held_back);
}

/* "Raspberry Pi 4 Model B Rev 1.4" is "raspberry-pi-4-model-b-rev-1.4". */
static void name_from(const char *processor, char *name, size_t size)
{
    size_t n = 0;
    for (const char *p = processor; *p && n + 1 < size; p++) {
        bool plain = isalnum((unsigned char)*p) || *p == '.';
        if (plain)
            name[n++] = (char)tolower((unsigned char)*p);
        else if (n > 0 && name[n - 1] != '-')
            name[n++] = '-';
    }
    while (n > 0 && name[n - 1] == '-')
        n--;
    name[n] = '\0';
}

void rg_cal_machine(struct rg_cal_machine *m, const char *root)
{
    char text[100];
    struct utsname system;
    time_t now = time(NULL);
    struct tm utc;
    *m = (struct rg_cal_machine){.cores = rg_cores()};
    find_clock(m, root);
    tell_kinds(m, root);
    if (!look_up(root, "/proc/device-tree/model", NULL, m->processor, sizeof m->processor) &&
        !look_up(root, "/proc/cpuinfo", "model name", m->processor, sizeof m->processor))
        snprintf(m->processor, sizeof m->processor, "%.60s",
                 uname(&system) == 0 ? system.machine : "unknown");
    name_from(m->processor, m->name, sizeof m->name);
    if (!m->name[0])
        snprintf(m->name, sizeof m->name, "unknown");
    snprintf(m->blas, sizeof m->blas, "%s", rg_blas_kernels());
    m->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (look_up(root, "/proc/meminfo", "MemAvailable", text, sizeof text) && strtod(text, NULL) > 0)
        m->memory_bytes = (uint64_t)(1024 * strtod(text, NULL));
    m->memory_bytes = (uint64_t)fmin((double)m->memory_bytes, rg_limits_group_bytes(root));
    if (getloadavg(&m->load, 1) != 1)
        m->load = NAN;
    if (gmtime_r(&now, &utc))
        strftime(m->date, sizeof m->date, "%Y-%m-%dT%H:%M:%SZ", &utc);
}
