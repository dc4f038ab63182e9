/* Which of the machine's cores a process runs on. */
#ifndef RG_BASE_CORES_H
#define RG_BASE_CORES_H

#include <stdbool.h>

/* How many the calling thread may run on: at least 1. */
int rg_cores(void);

/* Of `count` processes that share the cores on which the calling one may run, this is number
 * `index`: it and the threads it starts from now on keep to a share of their own, of at least
 * `least` cores. False, and nothing is done, where there are not so many. */
bool rg_cores_share(int index, int count, int least);

#endif
