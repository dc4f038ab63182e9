/* Kernels for each set of vectors, chosen by the processor's features. Blocks of sums stay in
 * registers; none of the choices reaches a bit of a result but for fusing, see correlate.h. */
#include "models/correlate.h"

#include "base/check.h"
#include "base/clones.h"
#include "models/team.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef float quarter __attribute__((vector_size(RG_ROW_UNIT / 4 * sizeof(float))));

/* Constant counts keep sums in registers, once loops over them are unrolled. */
#define UNROLLED _Pragma("GCC unroll 16")

enum { SUMMED = 64 }; /* products that are added up one after the other, before their sums are */

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
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f")
#define KERNEL(name)     name##_512
#define WIDTH            16
#define SPREAD(value)    ((VECTOR)_mm512_set1_ps(value))
#define FUSED(a, b, sum) ((VECTOR)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(sum)))
#define OUTPUTS          8
#define VECTORS          3
#define ROW_OUTPUTS      4
#define ROW_TAPS         6
#include "models/correlate_kernel.inc"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define KERNEL(name)     name##_256
#define WIDTH            8
#define SPREAD(value)    ((VECTOR)_mm256_set1_ps(value))
#define FUSED(a, b, sum) ((VECTOR)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(sum)))
#define OUTPUTS          4
#define VECTORS          3
#define ROW_OUTPUTS      2
#define ROW_TAPS         6
#include "models/correlate_kernel.inc"
#pragma GCC pop_options

#endif

#define KERNEL(name) name##_128
#define OUTPUTS      4
#if defined(__aarch64__)
#define SPREAD(value)    ((VECTOR)vdupq_n_f32(value))
#define FUSED(a, b, sum) ((VECTOR)vfmaq_f32((float32x4_t)(sum), (float32x4_t)(a), (float32x4_t)(b)))
#else
#define SPREAD(value)    ((VECTOR){0} + (value))
#define FUSED(a, b, sum) ((sum) + (a) * (b))
#endif
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

static const struct kernels {
    void (*correlate)(const struct rg_taps *taps, const float *w, const float *x, size_t n,
                      float *y, ptrdiff_t pitch);
    void (*rows)(const struct rg_taps *taps, const struct rg_runs *rows, const float *dy,
                 const float *x, bool add, float *dw);
} with_128 = {correlate_128, rows_128}
#if RG_KERNELS_BY_FEATURE
,
  with_256 = {correlate_256, rows_256}, with_512 = {correlate_512, rows_512}
#endif
;

static const struct kernels *best(void)
{
#if RG_KERNELS_BY_FEATURE
    if (__builtin_cpu_supports("avx512f"))
        return &with_512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &with_256;
#endif
    return &with_128;
}

bool rg_correlate_fuses(void)
{
#if defined(__aarch64__)
    return true;
#else
    return best() != &with_128;
#endif
}

struct job {
    const struct rg_taps *taps;
    const struct rg_runs *rows;
    const float *w, *x, *dy;
    size_t n;
    float *to; /* y or dw */
    ptrdiff_t pitch;
    bool add;
};

/* Places are shared. */
static void correlate_part(void *context, int part, int parts)
{
    const struct job *job = context;
    size_t from, to;
    rg_team_share(job->n, RG_ROW_UNIT, part, parts, &from, &to);
    if (from < to)
        best()->correlate(job->taps, job->w, job->x + from, to - from, job->to + from, job->pitch);
}

/* Outputs are shared. */
static void rows_part(void *context, int part, int parts)
{
    const struct job *job = context;
    struct rg_taps taps = *job->taps;
    size_t from, to;
    rg_team_share((size_t)taps.outputs, 1, part, parts, &from, &to);
    taps.outputs = (int)(to - from);
    best()->rows(&taps, job->rows, job->dy + (ptrdiff_t)from * job->rows->dy_output, job->x,
                 job->add, job->to + (ptrdiff_t)from * taps.w_output);
}

static double operations(const struct rg_taps *taps, double places)
{
    return 2.0 * taps->outputs * taps->channels * taps->places * places;
}

void rg_correlate(const struct rg_taps *taps, const float *w, const float *x, size_t n, float *y,
                  ptrdiff_t pitch)
{
    struct job job = {.taps = taps, .w = w, .x = x, .n = n, .to = y, .pitch = pitch};
    rg_team_run(operations(taps, (double)n), correlate_part, &job);
}

void rg_correlate_rows(const struct rg_taps *taps, const struct rg_runs *rows, const float *dy,
                       const float *x, bool add, float *dw)
{
    struct job job = {.taps = taps, .rows = rows, .x = x, .dy = dy, .to = dw, .add = add};
    rg_team_run(operations(taps, (double)rows->n * rows->pieces), rows_part, &job);
}
