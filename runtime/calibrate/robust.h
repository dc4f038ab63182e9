/* Fitting positive parameters to positive measurements, some of which are wrong.
 *
 * Parameters and measurements are taken by their logarithms: parameters cannot be negative, and
 * residuals are relative errors. Levenberg-Marquardt (GSL), its measurements weighted again and
 * again: at first for the least sum of absolute residuals (Schlossmacher 1973), then by Cauchy's
 * function of their residuals (Holland and Welsch 1977: iteratively reweighted
 * least squares; c = 2.385, efficiency 95 % for Gaussian errors), the scale from the median of the
 * absolute residuals. Standard errors are Huber's for M-estimators (Huber, Robust Statistics, 1981,
 * chapter 7.6). */
#ifndef RG_CALIBRATE_ROBUST_H
#define RG_CALIBRATE_ROBUST_H

#include "base/error.h"

enum { RG_ROBUST_MOST = 32 }; /* parameters */

/* predicted [n] = the model's measurements for value [p]; all are above 0. */
typedef void (*rg_robust_model)(const double *value, void *arg, double *predicted);

struct rg_robust {
    double value[RG_ROBUST_MOST];
    /* Of the logarithm, one standard error. What the measurements do not determine stays near its
     * start and has a large one. */
    double error[RG_ROBUST_MOST];
    double scale;    /* of the relative residuals: their standard deviation but for outliers */
    double quantile; /* an interval of 95 %: value * exp(-+ quantile * error) */
    int rounds;
};

/* Fit p parameters from `start` to observed [n], n >= p. trust [n]: weights of the measurements
 * beforehand, up to 1 (the variance of their errors is 1 / trust as large); NULL: all 1. Errors:
 * RG_ERR_INVALID (too few measurements, numbers that are not above 0, no convergence),
 * RG_ERR_NOMEM. */
int rg_robust_fit(rg_robust_model model, void *arg, const double *observed, const double *trust,
                  int n, const double *start, int p, struct rg_robust *out, struct rg_error *e);

#endif
