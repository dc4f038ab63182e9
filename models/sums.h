/* Sums along a row, in lanes whose number does not depend on the processor's vectors, so that bits
 * do not either; in double precision. */
#ifndef RG_MODELS_SUMS_H
#define RG_MODELS_SUMS_H

#include "base/clones.h"
#include <stddef.h>

enum { RG_SUM_LANES = 8 };

RG_PART double rg_lanes_sum(const double lanes[RG_SUM_LANES])
{
    double sum = 0;
    for (int i = 0; i < RG_SUM_LANES; i++)
        sum += lanes[i];
    return sum;
}

/* lanes += x */
RG_PART void rg_lanes_add(size_t n, const float *x, double lanes[RG_SUM_LANES])
{
    size_t from = 0;
    for (; from + RG_SUM_LANES <= n; from += RG_SUM_LANES)
        for (size_t i = 0; i < RG_SUM_LANES; i++)
            lanes[i] += (double)x[from + i];
    for (size_t i = 0; from + i < n; i++)
        lanes[i] += (double)x[from + i];
}

/* lanes += (x - mean)^2 */
RG_PART void rg_lanes_add_squares(size_t n, const float *x, double mean, double lanes[RG_SUM_LANES])
{
    size_t from = 0;
    for (; from + RG_SUM_LANES <= n; from += RG_SUM_LANES)
        for (size_t i = 0; i < RG_SUM_LANES; i++)
            lanes[i] += (x[from + i] - mean) * (x[from + i] - mean);
    for (size_t i = 0; from + i < n; i++)
        lanes[i] += (x[from + i] - mean) * (x[from + i] - mean);
}

/* lanes += a b */
RG_PART void rg_lanes_add_products(size_t n, const float *a, const float *b,
                                   double lanes[RG_SUM_LANES])
{
    size_t from = 0;
    for (; from + RG_SUM_LANES <= n; from += RG_SUM_LANES)
        for (size_t i = 0; i < RG_SUM_LANES; i++)
            lanes[i] += (double)a[from + i] * b[from + i];
    for (size_t i = 0; from + i < n; i++)
        lanes[i] += (double)a[from + i] * b[from + i];
}

/* The largest of n >= 1 numbers, in lanes: numbers that are none do not count, but for the first.
 */
RG_PART float rg_lanes_most(size_t n, const float *x)
{
    enum { LANES = 16 };
    float lanes[LANES], most = x[0];
    size_t from = 0;
    for (int i = 0; i < LANES; i++)
        lanes[i] = x[0];
    for (; from + LANES <= n; from += LANES)
        for (size_t i = 0; i < LANES; i++)
            lanes[i] = x[from + i] > lanes[i] ? x[from + i] : lanes[i];
    for (size_t i = 0; i < LANES; i++)
        most = lanes[i] > most ? lanes[i] : most;
    for (; from < n; from++)
        most = x[from] > most ? x[from] : most;
    return most;
}

#endif
