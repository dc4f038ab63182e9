/* What layers that normalise share: rows of values that are brought to mean 0 and variance 1. */
#ifndef RG_MODELS_NORM_H
#define RG_MODELS_NORM_H

#include "models/layers.h"

/* Defaults of epsilon (and momentum, of batchnorm) and activation; refuses what is out of range. */
int rg_norm_infer(struct rg_layer *layer, struct rg_error *e);

/* Of `rows` pieces of n values, `apart` apart: their mean, and 1 / sqrt(variance + epsilon) of the
 * biased variance, which goes to *variance (NULL: not wanted). */
void rg_norm_moments(size_t rows, size_t n, size_t apart, const float *x, double epsilon,
                     float *mean, float *scale, double *variance);

/* y = (x - mean) scale gain, of `rows` pieces of n values, `apart` apart in both, with one gain, or
 * of one piece with one a value; and its way back (Ioffe and Szegedy 2015; Ba, Kiros and Hinton
 * 2016): with h = (x - mean) scale, g = dy gain,
 *   dx = scale (g - sum(g) / N - h sum(g h) / N)
 * over the N values that share a mean. */
void rg_norm_row(size_t rows, size_t n, size_t apart, const float *x, float mean, float scale,
                 float gain, float *y);
void rg_norm_row_gains(size_t n, const float *x, float mean, float scale, const float *gain,
                       float *y);
/* sum(dy) and sum(dy h) */
void rg_norm_sums(size_t rows, size_t n, size_t apart, const float *x, float mean, float scale,
                  const float *dy, double *dy_sum, double *dyh_sum);
/* dx = scale (gain dy - a - h b) */
void rg_norm_back(size_t rows, size_t n, size_t apart, const float *x, float mean, float scale,
                  const float *dy, float gain, float a, float b, float *dx);

/* The cost of a pass, and two tensors of half the parameters each: a layer's operations. */
void rg_norm_cost(const struct rg_layer *layer, int batch, enum rg_pass pass, struct rg_work *work);
/* Of that, backward what comes after the activation and the gradient of shifts. */
void rg_norm_back_cost(const struct rg_layer *layer, int batch, enum rg_pass pass,
                       struct rg_work *work);
int rg_norm_tensors(const struct rg_layer *layer, struct rg_tensor tensors[4]);
/* gain = 1, shift = 0, half the parameters each. */
void rg_norm_init(const struct rg_layer *layer, float *w, struct rg_random *random);

#endif
