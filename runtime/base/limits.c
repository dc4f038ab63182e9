#include "base/limits.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ADDRESS_SPACE "ulimit -v; LimitAS= of a systemd unit"
#define MEMORY        "memory.max of a control group; MemoryMax= of a systemd unit"

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 3;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 3; /* ".", "..", and the folder itself */
}

int rg_limits_descriptors(int more, const char *who, struct rg_error *e)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    rlim_t wanted = (rlim_t)(open_descriptors() + more);
    if (limit.rlim_cur >= wanted)
        return 0;
    rlim_t allowed = limit.rlim_max;
    limit.rlim_cur = wanted;
    if (allowed >= wanted && setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return 0;
    return rg_fail(e, RG_ERR_NOMEM,
                   "%s: %" PRIu64 " descriptors are needed, %" PRIu64
                   " are allowed (ulimit -n; LimitNOFILE= of a systemd unit): raise that",
                   who, (uint64_t)wanted, (uint64_t)allowed);
}

/* Bytes of address space in use; 0: nobody knows. */
static uint64_t used_address_space(void)
{
    uint64_t pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm && fscanf(statm, "%" SCNu64, &pages) != 1)
        pages = 0;
    if (statm)
        fclose(statm);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

int rg_limits_address_space(uint64_t more, const char *who, struct rg_error *e)
{
    struct rlimit limit;
    uint64_t used = used_address_space();
    if (more > SIZE_MAX - used)
        return rg_fail(
            e, RG_ERR_NOMEM,
            "%s: %.0f kB of address space are needed, a program of %zu bits has %.0f: use "
            "the 64-bit system",
            who, ((double)used + (double)more) / 1024, 8 * sizeof(void *), (double)SIZE_MAX / 1024);
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        (used <= limit.rlim_cur && more <= limit.rlim_cur - used))
        return 0;
    return rg_fail(e, RG_ERR_NOMEM,
                   "%s: %" PRIu64 " kB of address space are needed, %" PRIu64
                   " are allowed (" ADDRESS_SPACE "): raise that",
                   who, (used + more) / 1024 + 1, (uint64_t)limit.rlim_cur / 1024);
}

/* ---- memory ---- */

static FILE *open_under(const char *root, const char *path)
{
    char full[600];
    int length = snprintf(full, sizeof full, "%s%s", strcmp(root, "/") == 0 ? "" : root, path);
    return length < (int)sizeof full ? fopen(full, "r") : NULL;
}

static void least_of(const char *root, const char *folder, const char *below, const char *file,
                     double *bytes)
{
    char path[500];
    double limit;
    snprintf(path, sizeof path, "%s%s/%s", folder, below, file);
    FILE *f = open_under(root, path);
    if (f && fscanf(f, "%lf", &limit) == 1 && limit > 0) /* "max": none */
        *bytes = fmin(*bytes, limit);
    if (f)
        fclose(f);
}

/* Of the second version's one tree, or the first's of memory (Linux,
 * Documentation/admin-guide/cgroup-v2.rst), up to the root. */
double rg_limits_group_bytes(const char *root)
{
    char line[400];
    double bytes = INFINITY;
    FILE *f = open_under(root, "/proc/self/cgroup");
    least_of(root, "/sys/fs/cgroup", "", "memory.max", &bytes);
    least_of(root, "/sys/fs/cgroup/memory", "", "memory.limit_in_bytes", &bytes);
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':'), *below = names ? strchr(names + 1, ':') : NULL;
        if (!below)
            continue;
        *below++ = '\0';
        bool second = names[1] == '\0', first = strstr(names, "memory") != NULL;
        for (char *end = below; (first || second) && end && end > below - 1;) {
            least_of(root, second ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory", below,
                     second ? "memory.max" : "memory.limit_in_bytes", &bytes);
            end = strrchr(below, '/');
            if (!end || end == below)
                break;
            *end = '\0';
        }
    }
    if (f)
        fclose(f);
    return bytes;
}

/* A line of /proc/meminfo, in bytes; 0: it is not there. */
static double meminfo(const char *root, const char *key)
{
    char line[200];
    double kB = 0;
    FILE *f = open_under(root, "/proc/meminfo");
    while (f && kB == 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            sscanf(line + strlen(key), "%lf", &kB);
    if (f)
        fclose(f);
    return 1024 * kB;
}

int rg_limits_memory(const char *root, uint64_t bytes, const char *who, struct rg_error *e)
{
    double group = rg_limits_group_bytes(root), machine = meminfo(root, "MemTotal:");
    double swap = meminfo(root, "SwapTotal:"), needed = (double)bytes;
    if (needed > group + swap && (machine == 0 || group < machine))
        return rg_fail(e, RG_ERR_NOMEM,
                       "%s: %.0f kB of memory are needed, %.0f are allowed (" MEMORY
                       "): raise that",
                       who, needed / 1024, group / 1024);
    if (machine > 0 && needed > machine + swap)
        return rg_fail(e, RG_ERR_NOMEM,
                       "%s: %.0f kB of memory are needed, this machine has %.0f: fewer nodes, a "
                       "smaller network, or a larger machine",
                       who, needed / 1024, machine / 1024);
    return 0;
}

void rg_limits_name(const char *root, char *text, size_t size)
{
    struct rlimit limit;
    double group = rg_limits_group_bytes(root);
    int used = 0;
    text[0] = '\0';
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        used = snprintf(text, size,
                        "; %" PRIu64 " kB of address space are allowed (" ADDRESS_SPACE ")",
                        (uint64_t)limit.rlim_cur / 1024);
    if (group < meminfo(root, "MemTotal:") && used < (int)size)
        snprintf(text + used, size - (size_t)used, "; %.0f kB of memory are allowed (" MEMORY ")",
                 group / 1024);
}
