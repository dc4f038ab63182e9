/* Zeroed memory for the world, which ends where there is none, as SimGrid itself does. */
#ifndef RG_SIM_MEMORY_H
#define RG_SIM_MEMORY_H

#include "base/check.h"
#include <stdlib.h>

static inline void *rg_sim_take(size_t count, size_t unit)
{
    void *memory = calloc(count ? count : 1, unit);
    RG_ASSERT(memory);
    return memory;
}

#endif
