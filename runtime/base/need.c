#include "base/need.h"

#include <stdio.h>
#include <stdlib.h>

void *rg_needed(void *memory)
{
    if (!memory) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *rg_need(void *old, size_t bytes)
{
    return rg_needed(realloc(old, bytes ? bytes : 1));
}

void *rg_need_zeroed(size_t count, size_t bytes)
{
    return rg_needed(calloc(count ? count : 1, bytes));
}
