/* What the system says about the machine. Files that are missing or say something else leave a
 * field at what is true of any machine. */
#include "calibrate/calibrate.h"

#include "base/cores.h"
#include "models/blas.h"
#include <ctype.h>
#include <math.h>
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

static double clock_hz(const char *root)
{
    char text[100];
    if (look_up(root, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", NULL, text,
                sizeof text) &&
        strtod(text, NULL) > 0)
        return 1e3 * strtod(text, NULL);
    if (look_up(root, "/proc/cpuinfo", "cpu MHz", text, sizeof text) && strtod(text, NULL) > 0)
        return 1e6 * strtod(text, NULL);
    return 0;
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
    *m = (struct rg_cal_machine){.cores = rg_cores(), .hz = clock_hz(root)};
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
    if (getloadavg(&m->load, 1) != 1)
        m->load = NAN;
    if (gmtime_r(&now, &utc))
        strftime(m->date, sizeof m->date, "%Y-%m-%dT%H:%M:%SZ", &utc);
}
