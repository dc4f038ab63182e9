/* Sizes of what is asked for, which may be more than any machine has: 64 bits everywhere, and never
 * wrapped round to something small. */
#ifndef RG_BASE_SIZES_H
#define RG_BASE_SIZES_H

#include <stdint.h>

/* What a sum or product comes to that is larger still: it fits no board. A result can say it and be
 * read again (JSON's integers). */
#define RG_SIZE_MOST ((uint64_t)INT64_MAX)

static inline uint64_t rg_size_plus(uint64_t a, uint64_t b)
{
    return a <= RG_SIZE_MOST && b <= RG_SIZE_MOST - a ? a + b : RG_SIZE_MOST;
}

static inline uint64_t rg_size_times(uint64_t a, uint64_t b)
{
    return a == 0 || b <= RG_SIZE_MOST / a ? a * b : RG_SIZE_MOST;
}

#endif
