#include "calibrate/robust.h"

#include "base/check.h"
#include <gsl/gsl_blas.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CAUCHY      2.385
#define SCALE_LEAST 1e-6 /* measurements that fit to the last digit are as good */
#define STEP        1e-4 /* of numerical derivatives, in logarithms */
/* A parameter that nothing measured depends on has to stay somewhere: each start counts as a
 * measurement of so much weight, and as one of next to none when errors are reckoned. */
#define ANCHOR       0.5 /* times the scale */
#define ANCHOR_LIGHT 3e-3

/* The first rounds seek the least sum of absolute residuals, which far-off measurements cannot draw
 * away; Cauchy's weights, which have many minima, take over from there. */
enum { ROUNDS = 100, ABSOLUTE_ROUNDS = 15, ITERATIONS = 100 };

struct problem {
    rg_robust_model model;
    void *arg;
    const double *observed, *trust;
    double anchor;
    int n, p;
    double start[RG_ROBUST_MOST]; /* logarithms */
    double *predicted, *low;      /* [n] */
};

static void predict(const struct problem *q, const double *logs, double *predicted)
{
    double value[RG_ROBUST_MOST];
    for (int j = 0; j < q->p; j++)
        value[j] = exp(logs[j]);
    q->model(value, q->arg, predicted);
}

static void residuals(const struct problem *q, const double *logs, double *r)
{
    predict(q, logs, q->predicted);
    for (int i = 0; i < q->n; i++)
        r[i] = log(q->predicted[i] / q->observed[i]);
    for (int j = 0; j < q->p; j++)
        r[q->n + j] = q->anchor * (logs[j] - q->start[j]);
}

static int f(const gsl_vector *x, void *params, gsl_vector *out)
{
    struct problem *q = params;
    residuals(q, x->data, out->data);
    for (size_t i = 0; i < out->size; i++)
        if (!isfinite(out->data[i]))
            return GSL_EBADFUNC;
    return GSL_SUCCESS;
}

static int df(const gsl_vector *x, void *params, gsl_matrix *jacobian)
{
    struct problem *q = params;
    double logs[RG_ROBUST_MOST];
    memcpy(logs, x->data, (size_t)q->p * sizeof *logs);
    for (int j = 0; j < q->p; j++) {
        double at = logs[j];
        logs[j] = at - STEP;
        predict(q, logs, q->low);
        logs[j] = at + STEP;
        predict(q, logs, q->predicted);
        logs[j] = at;
        for (int i = 0; i < q->n; i++) {
            double slope = log(q->predicted[i] / q->low[i]) / (2 * STEP);
            if (!isfinite(slope))
                return GSL_EBADFUNC;
            gsl_matrix_set(jacobian, (size_t)i, (size_t)j, slope);
        }
        for (int i = 0; i < q->p; i++)
            gsl_matrix_set(jacobian, (size_t)(q->n + i), (size_t)j, i == j ? q->anchor : 0);
    }
    return GSL_SUCCESS;
}

static double trust_of(const struct problem *q, int i)
{
    return q->trust ? q->trust[i] : 1;
}

static double scale_of(const struct problem *q, const double *r, double *room)
{
    for (int i = 0; i < q->n; i++)
        room[i] = sqrt(trust_of(q, i)) * fabs(r[i]);
    gsl_sort(room, 1, (size_t)q->n);
    return fmax(SCALE_LEAST, 1.4826 * gsl_stats_median_from_sorted_data(room, 1, (size_t)q->n));
}

/* Huber's covariance: (J'J)^-1 times what psi makes of the scale, the estimate made from p of n. */
static int errors_of(struct problem *q, const gsl_vector *x, const double *r, struct rg_robust *out)
{
    size_t n = (size_t)q->n, p = (size_t)q->p;
    double psi2 = 0, slope = 0, slope2 = 0, c = CAUCHY * out->scale;
    for (int i = 0; i < q->n; i++) {
        double own = sqrt(trust_of(q, i)) * r[i];
        double u = own / c, w = 1 / (1 + u * u), d = (1 - u * u) * w * w;
        psi2 += w * own * w * own;
        slope += d;
        slope2 += d * d;
    }
    double mean = slope / (double)n, variance = slope2 / (double)n - mean * mean;
    double correction = 1 + (double)p / (double)n * variance / (mean * mean);
    double sigma2 =
        mean > 0 && n > p ? correction * correction * psi2 / (double)(n - p) / (mean * mean) : NAN;
    gsl_matrix *jacobian = gsl_matrix_alloc(n + p, p), *normal = gsl_matrix_alloc(p, p);
    int err = jacobian && normal ? 0 : RG_ERR_NOMEM;
    q->anchor = ANCHOR_LIGHT;
    if (err == 0 && df(x, q, jacobian) != GSL_SUCCESS)
        err = RG_ERR_INVALID;
    for (int i = 0; i < q->n && err == 0; i++) {
        gsl_vector_view row = gsl_matrix_row(jacobian, (size_t)i);
        gsl_vector_scale(&row.vector, sqrt(trust_of(q, i)));
    }
    if (err == 0) {
        gsl_blas_dsyrk(CblasLower, CblasTrans, 1, jacobian, 0, normal);
        if (gsl_linalg_cholesky_decomp1(normal) != GSL_SUCCESS ||
            gsl_linalg_cholesky_invert(normal) != GSL_SUCCESS)
            err = RG_ERR_INVALID;
    }
    for (size_t j = 0; j < p && err == 0; j++)
        out->error[j] = sqrt(sigma2 * gsl_matrix_get(normal, j, j));
    out->quantile = n > p ? gsl_cdf_tdist_Pinv(0.975, (double)(n - p)) : NAN;
    gsl_matrix_free(jacobian);
    gsl_matrix_free(normal);
    return err;
}

static double weight_of(double u, bool absolute)
{
    return absolute ? 1 / fmax(fabs(u), 0.05) : 1 / (1 + u * u);
}

/* The least squares with these weights, from x. */
static int step(struct problem *q, gsl_multifit_nlinear_workspace *w, gsl_vector *x,
                const gsl_vector *weights, double *moved)
{
    gsl_multifit_nlinear_fdf fdf = {
        .f = f, .df = df, .n = (size_t)(q->n + q->p), .p = (size_t)q->p, .params = q};
    int info = 0;
    if (gsl_multifit_nlinear_winit(x, weights, &fdf, w) != GSL_SUCCESS)
        return RG_ERR_INVALID;
    /* No more progress is an end too: where a maximum changes sides there is no gradient. */
    gsl_multifit_nlinear_driver(ITERATIONS, 1e-10, 1e-10, 0, NULL, NULL, &info, w);
    const gsl_vector *now = gsl_multifit_nlinear_position(w);
    *moved = 0;
    for (int j = 0; j < q->p; j++) {
        *moved = fmax(*moved, fabs(now->data[j] - x->data[j]));
        if (!isfinite(now->data[j]))
            return RG_ERR_INVALID;
    }
    gsl_vector_memcpy(x, now);
    return 0;
}

/* Weigh, fit, look how far it moved, until it stays. */
static int rounds(struct problem *q, gsl_multifit_nlinear_workspace *w, gsl_vector *x,
                  gsl_vector *weights, double *r, struct rg_robust *out)
{
    double moved = INFINITY;
    for (int i = 0; i < q->n + q->p; i++)
        gsl_vector_set(weights, (size_t)i, i < q->n ? trust_of(q, i) : 1);
    for (out->rounds = 0; out->rounds < ROUNDS && (moved > 1e-7 || out->rounds <= ABSOLUTE_ROUNDS);
         out->rounds++) {
        int err = step(q, w, x, weights, &moved);
        if (err)
            return err;
        residuals(q, x->data, r);
        out->scale = scale_of(q, r, q->low);
        q->anchor = ANCHOR * out->scale;
        for (int i = 0; i < q->n; i++) {
            double u = sqrt(trust_of(q, i)) * r[i] / (CAUCHY * out->scale);
            gsl_vector_set(weights, (size_t)i,
                           trust_of(q, i) * weight_of(u, out->rounds < ABSOLUTE_ROUNDS));
        }
    }
    return errors_of(q, x, r, out);
}

static int check(const double *observed, int n, const double *start, int p, struct rg_error *e)
{
    if (n < p)
        return rg_fail(e, RG_ERR_INVALID, "%d measurements cannot determine %d parameters", n, p);
    for (int i = 0; i < n; i++)
        if (!(observed[i] > 0) || !isfinite(observed[i]))
            return rg_fail(e, RG_ERR_INVALID, "measurement %d is %g: above 0 is wanted", i + 1,
                           observed[i]);
    for (int j = 0; j < p; j++)
        if (!(start[j] > 0) || !isfinite(start[j]))
            return rg_fail(e, RG_ERR_INVALID, "parameter %d starts at %g: above 0 is wanted", j + 1,
                           start[j]);
    return 0;
}

int rg_robust_fit(rg_robust_model model, void *arg, const double *observed, const double *trust,
                  int n, const double *start, int p, struct rg_robust *out, struct rg_error *e)
{
    RG_ASSERT(p >= 1 && p <= RG_ROBUST_MOST);
    *out = (struct rg_robust){0};
    int err = check(observed, n, start, p, e);
    if (err)
        return err;
    struct problem q = {.model = model,
                        .arg = arg,
                        .observed = observed,
                        .trust = trust,
                        .anchor = 0.1 * ANCHOR,
                        .n = n,
                        .p = p};
    size_t rows = (size_t)(n + p);
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    gsl_multifit_nlinear_parameters parameters = gsl_multifit_nlinear_default_parameters();
    gsl_multifit_nlinear_workspace *w =
        gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &parameters, rows, (size_t)p);
    gsl_vector *x = gsl_vector_alloc((size_t)p), *weights = gsl_vector_alloc(rows);
    double *r = calloc(rows, sizeof *r);
    q.predicted = calloc(rows, sizeof *q.predicted);
    q.low = calloc(rows, sizeof *q.low);
    if (!w || !x || !weights || !r || !q.predicted || !q.low)
        err = rg_fail(e, RG_ERR_NOMEM, "out of memory");
    for (int j = 0; j < p && err == 0; j++)
        x->data[j] = q.start[j] = log(start[j]);
    if (err == 0 && (err = rounds(&q, w, x, weights, r, out)))
        rg_fail(e, err, "the fit does not converge");
    for (int j = 0; j < p && err == 0; j++)
        out->value[j] = exp(x->data[j]);
    gsl_set_error_handler(handler);
    if (w)
        gsl_multifit_nlinear_free(w);
    gsl_vector_free(x);
    gsl_vector_free(weights);
    free(r);
    free(q.predicted);
    free(q.low);
    return err;
}
