/* Processes that share a machine, each on cores of its own: threads of one rank are then never in
 * the way of another's computing, which the system's balancing sees to late, and only on average.
 */
#include "base/cores.h"

#include <sched.h>
#include <unistd.h>

int rg_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

bool rg_cores_share(int index, int count, int least)
{
    cpu_set_t all, share;
    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return false;
    int cores = CPU_COUNT(&all), first = index * cores / count, end = (index + 1) * cores / count;
    if (cores / count < least)
        return false;
    CPU_ZERO(&share);
    for (int cpu = 0, i = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all)) {
            if (i >= first && i < end)
                CPU_SET(cpu, &share);
            i++;
        }
    return sched_setaffinity(0, sizeof share, &share) == 0;
}
