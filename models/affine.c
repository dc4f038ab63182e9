/* Products with a matrix W. A batch of some size goes to OpenBLAS. Up to FEW samples are multiplied
 * here: sgemm first copies W into the order that its kernels want, which costs more than so few
 * samples make of it. These read W once and add in an order that the shape alone decides, so that
 * they give the same bits on every processor. */
#include "models/layers.h"

#include "base/check.h"
#include "base/clones.h"
#include "models/optimizer.h"

#include <cblas.h>
#include <string.h>

#define FEW 8

/* Sums along a row are kept in 16 lanes, whatever the width of the processor's vectors. PART of
 * them are summed at a time, for ROWS rows of W and SAMPLES samples, as many as there are registers
 * for: each number that is read counts for all of these. */
#define LANES 16
#if defined(__aarch64__)
enum { PART = 4, ROWS = 4, SAMPLES = 4 };
typedef float part __attribute__((vector_size(16)));
typedef float unaligned_part __attribute__((vector_size(16), aligned(sizeof(float)), may_alias));
#elif defined(__arm__) /* its vectors flush what is very small to zero, which others do not */
enum { PART = 1, ROWS = 4, SAMPLES = 4 };
typedef float part, unaligned_part;
#else
enum { PART = LANES, ROWS = 4, SAMPLES = 1 };
typedef float part __attribute__((vector_size(64)));
typedef float unaligned_part __attribute__((vector_size(64), aligned(sizeof(float)), may_alias));
#endif
typedef float quarter __attribute__((vector_size(LANES / 4 * sizeof(float))));

/* `to` [ROWS x SAMPLES x LANES] = PART lanes of the sums over the `whole` first numbers of each row
 * w [rows x n] and sample x [samples x n]. Constant counts keep the sums in registers. */
RG_PART void part_sums(size_t rows, size_t samples, size_t n, size_t whole, const float *w,
                       const float *x, float *to)
{
    part sum[ROWS][SAMPLES];
    memset(sum, 0, sizeof sum);
    for (size_t i = 0; i < whole; i += LANES) {
        part at[SAMPLES];
        for (size_t b = 0; b < samples; b++)
            at[b] = *(const unaligned_part *)(x + b * n + i);
        for (size_t r = 0; r < rows; r++) {
            part row = *(const unaligned_part *)(w + r * n + i);
            for (size_t b = 0; b < samples; b++)
                sum[r][b] += row * at[b];
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t b = 0; b < samples; b++)
            *(unaligned_part *)(to + (r * SAMPLES + b) * LANES) = sum[r][b];
}

/* The sum of lanes 0, 4, 8, 12, that of 1, 5, 9, 13, and so on. */
RG_PART quarter fold(const quarter lanes[4])
{
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

/* The first `rows` columns of y [samples x pitch] = x [samples x n] w^T, w [rows x n], or added. */
RG_PART void tile(size_t rows, size_t samples, size_t n, const float *w, const float *x, bool add,
                  float *y, size_t pitch)
{
    quarter sum[ROWS][SAMPLES][4];
    size_t whole = n - n % LANES;
    for (size_t p = 0; p < LANES; p += PART)
        part_sums(rows, samples, n, whole, w + p, x + p, (float *)sum + p);
    for (size_t b = 0; b < samples; b++) {
        quarter f[4] = {{0}}, total;
        for (size_t r = 0; r < rows; r++)
            f[r] = fold(sum[r][b]);
        total = ((quarter){f[0][0], f[1][0], f[2][0], f[3][0]} +
                 (quarter){f[0][1], f[1][1], f[2][1], f[3][1]}) +
                ((quarter){f[0][2], f[1][2], f[2][2], f[3][2]} +
                 (quarter){f[0][3], f[1][3], f[2][3], f[3][3]});
        for (size_t i = whole; i < n; i++)
            for (size_t r = 0; r < rows; r++)
                total[r] += w[r * n + i] * x[b * n + i];
        for (size_t r = 0; r < rows; r++)
            y[b * pitch + r] = add ? y[b * pitch + r] + total[r] : total[r];
    }
}

/* y [few x rows] = x [few x n] W^T, or added to y. */
RG_CLONES
static void few_forward(size_t few, size_t rows, size_t n, const float *w, const float *x, bool add,
                        float *y)
{
    size_t r = 0;
    for (; r + ROWS <= rows; r += ROWS) {
        size_t b = 0;
        for (; b + SAMPLES <= few; b += SAMPLES)
            tile(ROWS, SAMPLES, n, w + r * n, x + b * n, add, y + b * rows + r, rows);
        for (; SAMPLES > 1 && b < few; b++)
            tile(ROWS, 1, n, w + r * n, x + b * n, add, y + b * rows + r, rows);
    }
    for (; r < rows; r++)
        for (size_t b = 0; b < few; b++)
            tile(1, 1, n, w + r * n, x + b * n, add, y + b * rows + r, rows);
}

/* c [n] = by[0] row, or added to c; and d by `other`, unless it is NULL. */
RG_PART void take_one(size_t n, const float *by, const float *other, const float *restrict row,
                      bool add, float *restrict c, float *restrict d)
{
    float s = by[0], t = d ? other[0] : 0;
    for (size_t j = 0; j < n; j++) {
        c[j] = add ? c[j] + s * row[j] : s * row[j];
        if (d)
            d[j] = add ? d[j] + t * row[j] : t * row[j];
    }
}

/* The same of four rows [4 x n], one after the other; the factors are `pitch` apart. */
RG_PART void take_four(size_t n, const float *by, const float *other, size_t pitch,
                       const float *restrict rows, bool add, float *restrict c, float *restrict d)
{
    float s[4], t[4];
    for (size_t i = 0; i < 4; i++) {
        s[i] = by[i * pitch];
        t[i] = d ? other[i * pitch] : 0;
    }
    for (size_t j = 0; j < n; j++) {
        float r[4] = {rows[j], rows[n + j], rows[2 * n + j], rows[3 * n + j]};
        float first = add ? c[j] + s[0] * r[0] : s[0] * r[0];
        c[j] = first + s[1] * r[1] + s[2] * r[2] + s[3] * r[3];
        if (d) {
            first = add ? d[j] + t[0] * r[0] : t[0] * r[0];
            d[j] = first + t[1] * r[1] + t[2] * r[2] + t[3] * r[3];
        }
    }
}

/* c [n] = the sum over k of by[k * pitch] rows[k], rows [count x n], or added to c; and d by
 * `other`, unless it is NULL: for two the rows are read once. */
RG_PART void combine(size_t count, size_t n, const float *by, const float *other, size_t pitch,
                     const float *restrict rows, bool add, float *restrict c, float *restrict d)
{
    size_t k = 0;
    if (!add && count >= 4) {
        take_four(n, by, other, pitch, rows, false, c, d);
        k = 4;
    } else if (!add) {
        take_one(n, by, other, rows, false, c, d);
        k = 1;
    }
    for (; k + 4 <= count; k += 4)
        take_four(n, by + k * pitch, d ? other + k * pitch : NULL, pitch, rows + k * n, true, c, d);
    for (; k < count; k++)
        take_one(n, by + k * pitch, d ? other + k * pitch : NULL, rows + k * n, true, c, d);
}

/* dx [few x n] = dy [few x rows] W, or added to dx. Some rows of W for every sample, then the next,
 * so that they come from memory once. */
RG_CLONES
static void few_input(size_t few, size_t rows, size_t n, const float *w, const float *dy, bool add,
                      float *dx)
{
    const size_t some = 16;
    for (size_t r = 0; r < rows; r += some, add = true) {
        size_t count = RG_MIN(some, rows - r), b = 0;
        for (; b + 2 <= few; b += 2) {
            const float *by = dy + b * rows + r;
            combine(count, n, by, by + rows, 1, w + r * n, add, dx + b * n, dx + (b + 1) * n);
        }
        if (b < few)
            combine(count, n, dy + b * rows + r, NULL, 1, w + r * n, add, dx + b * n, NULL);
    }
}

/* dw [rows x n] = dy^T x, dy [few x rows], x [few x n], or added to dw. */
RG_CLONES
static void few_weight(size_t few, size_t rows, size_t n, const float *dy, const float *x, bool add,
                       float *dw)
{
    for (size_t r = 0; r < rows && few == 1; r++) /* by itself: a row is little work */
        take_one(n, dy + r, NULL, x, add, dw + r * n, NULL);
    for (size_t r = 0; r < rows && few > 1; r++)
        combine(few, n, dy + r, NULL, rows, x, add, dw + r * n, NULL);
}

/* w [rows x n] -= rate dy^T x; a row's gradient lives in room [n] only until it is used. */
RG_CLONES
static void few_step(size_t few, size_t rows, size_t n, const float *dy, const float *x, float rate,
                     float *restrict room, float *restrict w)
{
    for (size_t r = 0; r < rows; r++, w += n) {
        combine(few, n, dy + r, NULL, rows, x, false, room, NULL);
        for (size_t j = 0; j < n; j++)
            w[j] -= rate * room[j];
    }
}

void rg_affine_forward(int batch, int outputs, int inputs, const float *w, const float *x, bool add,
                       float *y)
{
    if (batch <= FEW)
        few_forward((size_t)batch, (size_t)outputs, (size_t)inputs, w, x, add, y);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, batch, outputs, inputs, 1, x, inputs,
                    w, inputs, add, y, outputs);
}

void rg_affine_input(int batch, int outputs, int inputs, const float *w, const float *dy, bool add,
                     float *dx)
{
    if (batch <= FEW)
        few_input((size_t)batch, (size_t)outputs, (size_t)inputs, w, dy, add, dx);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, batch, inputs, outputs, 1, dy,
                    outputs, w, inputs, add, dx, inputs);
}

void rg_affine_weight(int batch, int outputs, int inputs, const float *dy, const float *x, bool add,
                      float *dw)
{
    if (batch <= FEW)
        few_weight((size_t)batch, (size_t)outputs, (size_t)inputs, dy, x, add, dw);
    else
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, outputs, inputs, batch, 1, dy, outputs,
                    x, inputs, add, dw, inputs);
}

void rg_affine_learn(const struct rg_pass_args *args, size_t at, int rows, int outputs, int inputs,
                     bool bias, const float *dy, const float *x)
{
    size_t o = (size_t)outputs, n = (size_t)inputs, weights = o * n, biases = bias ? o : 0;
    float *dw = args->dw + at, *w = args->update ? args->update + at : NULL;
    if (w && rows <= FEW) {
        few_step((size_t)rows, o, n, dy, x, args->rate, dw, w);
        rg_sgd(args->rate, biases, w + weights, dw + weights);
        return;
    }
    rg_affine_weight(rows, outputs, inputs, dy, x, args->accumulate, dw);
    if (w)
        rg_sgd(args->rate, weights + biases, w, dw);
}

void rg_affine_forward_work(int batch, int outputs, int inputs, struct rg_work *work)
{
    rg_work_gemm(work, batch, outputs, inputs, 1);
}

void rg_affine_input_work(int batch, int outputs, int inputs, struct rg_work *work)
{
    rg_work_gemm(work, batch, inputs, outputs, 1);
}

void rg_affine_weight_work(int batch, int outputs, int inputs, struct rg_work *work)
{
    rg_work_gemm(work, outputs, inputs, batch, 1);
}
