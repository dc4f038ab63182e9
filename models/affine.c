/* Products with a matrix W. A batch of some size goes to OpenBLAS. Up to FEW samples are multiplied
 * here: sgemm first copies W into the order that its kernels want, which costs more than so few
 * samples make of it. These read W once and add in an order that the shape alone decides, so that
 * they give the same bits on every processor. */
#include "models/layers.h"

#include "base/check.h"
#include "models/clones.h"
#include "models/optimizer.h"

#include <cblas.h>
#include <string.h>

#define FEW 8

/* Sums along a row are kept in 16 lanes, whatever the width of the processor's vectors. */
#define LANES 16
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef float half __attribute__((vector_size(LANES / 2 * sizeof(float))));
typedef float quarter __attribute__((vector_size(LANES / 4 * sizeof(float))));
typedef float unaligned_lanes
    __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* The sum of the lanes 0, 4, 8, 12, that of 1, 5, 9, 13, and so on. */
RG_PART void fold(const lanes *sum, quarter *folded)
{
    half halves[2];
    quarter quarters[2];
    memcpy(halves, sum, sizeof halves);
    halves[0] += halves[1];
    memcpy(quarters, halves, sizeof quarters);
    *folded = quarters[0] + quarters[1];
}

/* y [count] = W x, or added to y, of `count` (up to 4) rows of W [count x n]. A constant count
 * keeps the sums in registers. */
RG_PART void row_sums(size_t count, size_t n, const float *w, const float *x, bool add, float *y)
{
    lanes sum[4] = {{0}, {0}, {0}, {0}};
    quarter f[4], total;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        lanes at = *(const unaligned_lanes *)(x + i);
        for (size_t r = 0; r < count; r++)
            sum[r] += *(const unaligned_lanes *)(w + r * n + i) * at;
    }
    for (size_t r = 0; r < 4; r++)
        fold(&sum[r], &f[r]);
    total = ((quarter){f[0][0], f[1][0], f[2][0], f[3][0]} +
             (quarter){f[0][1], f[1][1], f[2][1], f[3][1]}) +
            ((quarter){f[0][2], f[1][2], f[2][2], f[3][2]} +
             (quarter){f[0][3], f[1][3], f[2][3], f[3][3]});
    for (; i < n; i++)
        for (size_t r = 0; r < count; r++)
            total[r] += w[r * n + i] * x[i];
    for (size_t r = 0; r < count; r++)
        y[r] = add ? y[r] + total[r] : total[r];
}

/* y [few x rows] = x [few x n] W^T, or added to y. */
RG_CLONES
static void few_forward(size_t few, size_t rows, size_t n, const float *w, const float *x, bool add,
                        float *y)
{
    size_t r = 0;
    for (; r + 4 <= rows; r += 4)
        for (size_t b = 0; b < few; b++)
            row_sums(4, n, w + r * n, x + b * n, add, y + b * rows + r);
    for (; r < rows; r++)
        for (size_t b = 0; b < few; b++)
            row_sums(1, n, w + r * n, x + b * n, add, y + b * rows + r);
}

/* c [n] = the sum over k of scale[k * pitch] rows[k], rows [count x n], or added to c. */
RG_PART void combine(size_t count, size_t n, const float *scale, size_t pitch,
                     const float *restrict rows, bool add, float *restrict c)
{
    size_t k = 0;
    if (!add) {
        for (size_t j = 0; j < n; j++)
            c[j] = scale[0] * rows[j];
        k = 1;
        rows += n;
    }
    for (; k + 4 <= count; k += 4, rows += 4 * n) {
        float s0 = scale[k * pitch], s1 = scale[(k + 1) * pitch];
        float s2 = scale[(k + 2) * pitch], s3 = scale[(k + 3) * pitch];
        for (size_t j = 0; j < n; j++)
            c[j] = c[j] + s0 * rows[j] + s1 * rows[n + j] + s2 * rows[2 * n + j] +
                   s3 * rows[3 * n + j];
    }
    for (; k < count; k++, rows += n) {
        float s = scale[k * pitch];
        for (size_t j = 0; j < n; j++)
            c[j] += s * rows[j];
    }
}

/* dx [few x n] = dy [few x rows] W, or added to dx. Some rows of W for every sample, then the next,
 * so that they come from memory once. */
RG_CLONES
static void few_input(size_t few, size_t rows, size_t n, const float *w, const float *dy, bool add,
                      float *dx)
{
    const size_t some = 16;
    for (size_t r = 0; r < rows; r += some)
        for (size_t b = 0; b < few; b++)
            combine(RG_MIN(some, rows - r), n, dy + b * rows + r, 1, w + r * n, add || r > 0,
                    dx + b * n);
}

/* dw [rows x n] = dy^T x, dy [few x rows], x [few x n], or added to dw. */
RG_CLONES
static void few_weight(size_t few, size_t rows, size_t n, const float *dy, const float *x, bool add,
                       float *dw)
{
    for (size_t r = 0; r < rows; r++)
        combine(few, n, dy + r, rows, x, add, dw + r * n);
}

/* w [rows x n] -= rate dy^T x; a row's gradient lives in room [n] only until it is used. */
RG_CLONES
static void few_step(size_t few, size_t rows, size_t n, const float *dy, const float *x, float rate,
                     float *restrict room, float *restrict w)
{
    for (size_t r = 0; r < rows; r++, w += n) {
        combine(few, n, dy + r, rows, x, false, room);
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

void rg_affine_learn(const struct rg_pass_args *args, size_t at, int outputs, int inputs,
                     const float *dy, const float *x)
{
    size_t rows = (size_t)outputs, n = (size_t)inputs, weights = rows * n;
    float *dw = args->dw + at, *w = args->update ? args->update + at : NULL;
    if (w && args->batch <= FEW) {
        few_step((size_t)args->batch, rows, n, dy, x, args->rate, dw, w);
        rg_sgd(args->rate, rows, w + weights, dw + weights);
        return;
    }
    rg_affine_weight(args->batch, outputs, inputs, dy, x, args->accumulate, dw);
    if (w)
        rg_sgd(args->rate, weights + rows, w, dw);
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
