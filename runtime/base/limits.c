#include "base/limits.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

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
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        (used <= limit.rlim_cur && more <= limit.rlim_cur - used))
        return 0;
    return rg_fail(e, RG_ERR_NOMEM,
                   "%s: %" PRIu64 " kB of address space are needed, %" PRIu64
                   " are allowed (ulimit -v; LimitAS= of a systemd unit): raise that",
                   who, (used + more) / 1024 + 1, (uint64_t)limit.rlim_cur / 1024);
}
