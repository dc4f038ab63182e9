#include "base/clock.h"

#include <time.h>

static double read_clock(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double rg_clock_s(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double rg_clock_day_s(void)
{
    double before_s = rg_clock_s();
    double day_s = read_clock(CLOCK_REALTIME);
    return day_s - (before_s + rg_clock_s()) / 2;
}

double rg_clock_thread_s(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

double rg_clock_process_s(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}
