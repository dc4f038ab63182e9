/* Kernels for each set of vectors, chosen by the processor's features. Blocks of sums stay in
 * registers; none of the choices reaches a bit of a result but for fusing, see correlate.h. */
#include "models/correlate.h"

#include "models/clones.h"

typedef float quarter __attribute__((vector_size(RG_ROW_UNIT / 4 * sizeof(float))));

/* Constant counts keep sums in registers, once loops over them are unrolled. */
#define UNROLLED _Pragma("GCC unroll 16")

/* The sum of 16 lanes: lanes 8 apart, then 4, then neighbours. */
RG_PART float fold(const float lanes[RG_ROW_UNIT])
{
    quarter q[4], s;
    __builtin_memcpy(q, lanes, sizeof q);
    s = (q[0] + q[2]) + (q[1] + q[3]);
    return (s[0] + s[1]) + (s[2] + s[3]);
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define RG_KERNELS_BY_FEATURE 1

#pragma GCC push_options
#pragma GCC target("avx512f")
#define KERNEL(name) name##_512
#define WIDTH        16
#define OUTPUTS      8
#define VECTORS      3
#define ROW_OUTPUTS  4
#define ROW_TAPS     6
#include "models/correlate_kernel.inc"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define KERNEL(name) name##_256
#define WIDTH        8
#define OUTPUTS      4
#define VECTORS      3
#define ROW_OUTPUTS  2
#define ROW_TAPS     6
#include "models/correlate_kernel.inc"
#pragma GCC pop_options

#endif

#define KERNEL(name) name##_128
#define OUTPUTS      4
#if defined(__aarch64__)
#define WIDTH       4
#define VECTORS     4
#define ROW_OUTPUTS 4
#define ROW_TAPS    6
#elif defined(__arm__) /* its vectors flush what is very small to zero, which others do not */
#define WIDTH       1
#define VECTORS     4
#define ROW_OUTPUTS 2
#define ROW_TAPS    6
#else
#define WIDTH       4
#define VECTORS     2
#define ROW_OUTPUTS 2
#define ROW_TAPS    4
#endif
#include "models/correlate_kernel.inc"

void rg_correlate(const struct rg_taps *taps, const float *w, const float *x, size_t n, float *y,
                  ptrdiff_t pitch)
{
#if RG_KERNELS_BY_FEATURE
    if (__builtin_cpu_supports("avx512f"))
        correlate_512(taps, w, x, n, y, pitch);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        correlate_256(taps, w, x, n, y, pitch);
    else
#endif
        correlate_128(taps, w, x, n, y, pitch);
}

void rg_correlate_rows(const struct rg_taps *taps, const struct rg_runs *rows, const float *dy,
                       const float *x, bool add, float *dw)
{
#if RG_KERNELS_BY_FEATURE
    if (__builtin_cpu_supports("avx512f"))
        rows_512(taps, rows, dy, x, add, dw);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        rows_256(taps, rows, dy, x, add, dw);
    else
#endif
        rows_128(taps, rows, dy, x, add, dw);
}
