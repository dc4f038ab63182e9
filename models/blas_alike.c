/* Which kernels of OpenBLAS give one another's bits.
 *
 * Tried: training steps of relu networks at batch 26 with sums of 26, 64, 128, 240, 256, 320 and
 * 784 numbers, OpenBLAS 0.3.21 on x86-64, arm64 and armhf (the last two under qemu); and products
 * with 0.3.29, whose NEOVERSEN1 differs from 384 on. Kernels that add in another order, or fuse
 * multiplications with additions where others do not, differ as soon as sums are longer than what
 * they take at once. */
#include "models/blas.h"

#include "base/check.h"
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *some, *others; /* names between blanks */
    int longest;
} alike[] = {{" Haswell Zen ", " Haswell Zen ", 784},
             {" SkylakeX Cooperlake ", " SkylakeX Cooperlake ", 320},
             {" Sandybridge Nehalem ", " Sandybridge Nehalem ", 320},
             {" Sandybridge Nehalem ", " ARMV6 ", 240},
             {" armv8 cortexa72 ", " armv8 cortexa72 ", 784},
             {" armv8 cortexa72 ", " neoversen1 ", 320},
             {" cortexa53 ", " armv8 cortexa72 neoversen1 ", 256},
             {" SkylakeX Cooperlake ", " armv8 cortexa53 cortexa72 neoversen1 ", 26}};

static bool names(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strchr(at, ' ')) != NULL; at++)
        if (strncasecmp(at + 1, name, length) == 0 && at[1 + length] == ' ')
            return true;
    return false;
}

int rg_blas_alike(const char *one, const char *other)
{
    if (strcasecmp(one, other) == 0)
        return INT_MAX;
    for (size_t i = 0; i < RG_COUNT(alike); i++)
        if ((names(alike[i].some, one) && names(alike[i].others, other)) ||
            (names(alike[i].some, other) && names(alike[i].others, one)))
            return alike[i].longest;
    return 0;
}
