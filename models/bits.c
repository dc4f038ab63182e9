/* Which kernels and versions of libraries give one another's bits.
 *
 * Compared: products of nine shapes in the three orders of training, with sums of 8 to 4,096
 * numbers, and products with a vector, on 1, 2 and 4 threads, by OpenBLAS 0.3.21 and 0.3.29 on
 * x86-64; with sums up to 1,024 on 1 and 2 threads on arm64 and armhf (under qemu). Kernels that
 * add in another order, or fuse multiplications with additions where others do not, differ as soon
 * as sums are longer than what they take at once. Of the C library, what training calls (expf,
 * sinf, cosf) has the same bits in glibc 2.36 and 2.41 on all three. */
#include "models/bits.h"

#include "base/check.h"
#include "base/file.h"
#include "models/blas.h"
#include "models/correlate.h"
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Lists of names stand between blanks. */
static const char compared_blas[] = " 0.3.21 0.3.29 ", compared_libc[] = " 2.36 2.41 ";
static const char arm64[] = " armv8 cortexa53 cortexa57 cortexa72 cortexa73 neoversen1 ";

/* Products of these kernels are alike while they sum up to so many numbers: with one another, and
 * with themselves of another version. What has no row differs from all others, and has the same
 * bits in all versions compared. */
static const struct {
    const char *some, *others;
    int longest;
} alike[] = {
    {" Haswell Zen ", " Haswell Zen ", 4096},
    {" SkylakeX ", " Cooperlake ", 320},
    {" Sandybridge ", " ARMV6 ", 240},
    {" armv8 cortexa57 cortexa72 cortexa73 ", " armv8 cortexa57 cortexa72 cortexa73 ", 1024},
    {" neoversen1 ", " armv8 cortexa57 cortexa72 cortexa73 neoversen1 ", 352},
    {" cortexa53 ", " armv8 cortexa57 cortexa72 cortexa73 neoversen1 ", 256},
    {" SkylakeX Cooperlake ", arm64, 26}};

/* These cut a product for threads in a way that has changed between versions. */
static const char cut_otherwise[] = " Nehalem Haswell Zen ";

static bool names(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strchr(at, ' ')) != NULL; at++)
        if (strncasecmp(at + 1, name, length) == 0 && at[1 + length] == ' ')
            return true;
    return false;
}

static int longest_alike(const char *one, const char *other)
{
    for (size_t i = 0; i < RG_COUNT(alike); i++)
        if ((names(alike[i].some, one) && names(alike[i].others, other)) ||
            (names(alike[i].some, other) && names(alike[i].others, one)))
            return alike[i].longest;
    return strcasecmp(one, other) == 0 ? INT_MAX : 0;
}

/* On arm64 0.3.29 hands a product with one row or column to the one of a matrix and a vector. */
static bool forwards(const struct rg_bits *bits)
{
    return names(arm64, bits->kernels) && strcmp(bits->blas, "0.3.29") == 0;
}

/* Numbers up to which sums are known to be alike. */
static int known_alike(const struct rg_bits *one, const struct rg_bits *other, bool vectors)
{
    bool same_kernels = strcasecmp(one->kernels, other->kernels) == 0;
    bool same_version = strcmp(one->blas, other->blas) == 0;
    if (one->threads != other->threads)
        return 0;
    if (same_kernels && same_version)
        return INT_MAX;
    if (!names(compared_blas, one->blas) || !names(compared_blas, other->blas))
        return 0;
    if (vectors && forwards(one) != forwards(other))
        return 0;
    if (!same_version && one->threads > 1 && names(cut_otherwise, one->kernels))
        return 0;
    return longest_alike(one->kernels, other->kernels);
}

void rg_bits_own(struct rg_bits *own)
{
    memset(own, 0, sizeof *own); /* it travels */
    rg_copy_text(own->kernels, sizeof own->kernels, rg_blas_kernels());
    rg_blas_version(own->blas, sizeof own->blas);
    rg_copy_text(own->libc, sizeof own->libc, gnu_get_libc_version());
    own->threads = rg_blas_threads();
    own->fuses = rg_correlate_fuses();
}

/* "OpenBLAS kernels Haswell (0.3.21, 2 threads) and Zen (0.3.29)": what is the same is left out. */
static void name_difference(const struct rg_bits *one, const struct rg_bits *other, char *text,
                            size_t size)
{
    if (one->threads != other->threads)
        snprintf(text, size, "OpenBLAS on %d thread%s and on %d", (int)one->threads,
                 one->threads == 1 ? "" : "s", (int)other->threads);
    else if (strcasecmp(one->kernels, other->kernels) == 0)
        snprintf(text, size, "OpenBLAS %s and %s, kernels %s,", one->blas, other->blas,
                 one->kernels);
    else if (strcmp(one->blas, other->blas) == 0)
        snprintf(text, size, "OpenBLAS kernels %s and %s", one->kernels, other->kernels);
    else
        snprintf(text, size, "OpenBLAS kernels %s (%s) and %s (%s)", one->kernels, one->blas,
                 other->kernels, other->blas);
}

bool rg_bits_differ(const struct rg_bits *one, const struct rg_bits *other,
                    const struct rg_products *products, char *why, size_t size)
{
    char what[160];
    if (products->longest > 0 && products->longest > known_alike(one, other, products->vectors)) {
        name_difference(one, other, what, sizeof what);
        snprintf(why, size, "%s differ for sums of %d", what, products->longest);
        return true;
    }
    if (products->convolutions && one->fuses != other->fuses) {
        snprintf(why, size,
                 "convolutions differ between processors that fuse multiplications with "
                 "additions and others");
        return true;
    }
    if (strcmp(one->libc, other->libc) != 0 &&
        (!names(compared_libc, one->libc) || !names(compared_libc, other->libc))) {
        snprintf(why, size, "expf of glibc %s and of %s were not compared", one->libc, other->libc);
        return true;
    }
    return false;
}
