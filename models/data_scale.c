/* Standardising, row by row, so that memory is walked through in order; every column's sums are
 * added in the order of the rows. */
#include "models/data.h"

#include <math.h>
#include <stdlib.h>

/* Sample i of those that are kept, in x itself, or drawn to room [inputs]. */
static float *row_of(const struct rg_dataset *data, size_t i, float *room)
{
    if (data->x)
        return data->x + i * data->inputs;
    data->kind->row(data, i, room);
    return room;
}

/* Means over the training samples that are there: of x (mean NULL), or of (x - mean)^2. */
static void average(const struct rg_dataset *data, float *room, const double *mean, double *sum,
                    int *count)
{
    size_t n = data->inputs;
    for (size_t j = 0; j < n; j++)
        sum[j] = 0, count[j] = 0;
    for (size_t i = 0; i < (size_t)data->train; i++) {
        const float *x = row_of(data, i, room);
        for (size_t j = 0; j < n; j++) {
            bool there = !isnan(x[j]);
            double value = mean ? (x[j] - mean[j]) * (x[j] - mean[j]) : x[j];
            sum[j] += there ? value : 0;
            count[j] += there;
        }
    }
    for (size_t j = 0; j < n; j++)
        sum[j] /= count[j] > 0 ? count[j] : 1;
}

/* One row x [n]. Returns n, or the column whose value is too large. */
static size_t scale_row(size_t n, const double *mean, const double *scale, float *x)
{
    int wrong = 0;
    for (size_t j = 0; j < n; j++)
        wrong |= fabsf((float)((x[j] - mean[j]) * scale[j])) > 0x1.fffffep127f;
    for (size_t j = 0; j < n && wrong; j++)
        if (isinf((float)((x[j] - mean[j]) * scale[j])))
            return j;
    for (size_t j = 0; j < n; j++)
        x[j] = isnan(x[j]) ? 0 : (float)((x[j] - mean[j]) * scale[j]);
    return n;
}

/* How far the samples' own mean and deviation are from those wanted, at most. */
struct distance {
    double mean, factor; /* in deviations; the larger deviation over the smaller */
    size_t mean_at, factor_at;
    bool differ;
};

static struct distance distance_of(const struct rg_dataset *data, const double *offset,
                                   const double *scale)
{
    struct distance d = {.factor = 1};
    for (size_t j = 0; j < data->inputs; j++) {
        double mean = data->mean[j] + (offset ? offset[j] : 0), deviation = 1 / scale[j];
        double wanted = data->wanted_deviation[j];
        double away = fabs(mean - data->wanted_mean[j]) / wanted;
        double factor = fmax(deviation, wanted) / fmin(deviation, wanted);
        d.differ = d.differ || mean != data->wanted_mean[j] || deviation != wanted;
        if (away > d.mean)
            d.mean = away, d.mean_at = j;
        if (factor > d.factor)
            d.factor = factor, d.factor_at = j;
    }
    return d;
}

/* Those wanted in place of the samples' own mean (less offset) and scale. Where they are the same
 * nothing changes, not in the last bit. */
static int take_wanted(struct rg_dataset *data, const double *offset, double *scale,
                       struct rg_error *e)
{
    struct distance d = distance_of(data, offset, scale);
    if (!d.differ)
        return 0;
    for (size_t j = 0; j < data->inputs; j++) {
        data->mean[j] = data->wanted_mean[j] - (offset ? offset[j] : 0);
        scale[j] = 1 / data->wanted_deviation[j];
    }
    return rg_data_note(data, e,
                        "standardised as for the network's training (--load): these samples' own "
                        "means are up to %.2g deviations off (input %zu), deviations up to %.3g "
                        "times (input %zu)",
                        d.mean, d.mean_at + 1, d.factor, d.factor_at + 1);
}

/* Column j stays as it is, and the mean stands for what is missing. */
static void leave_column(struct rg_dataset *data, size_t j, double *scale)
{
    size_t samples = (size_t)data->train + (data->kept.test ? (size_t)data->test : 0);
    for (size_t i = 0; i < samples; i++) {
        float *x = data->x + i * data->inputs + j;
        *x = isnan(*x) ? (float)data->mean[j] : *x;
    }
    data->mean[j] = 0;
    scale[j] = 1;
}

int rg_data_scale(const struct rg_data_spec *spec, struct rg_dataset *data, const double *offset,
                  const bool *as_is, const char *file, struct rg_error *e)
{
    size_t n = data->inputs;
    size_t samples = (size_t)data->train + (data->kept.test ? (size_t)data->test : 0);
    double *scale = calloc(n, sizeof *scale);
    float *room = data->drawn ? malloc(n * sizeof *room) : NULL;
    int *count = calloc(n, sizeof *count), err = 0;
    data->mean = calloc(n, sizeof *data->mean);
    data->deviation = calloc(n, sizeof *data->deviation);
    if (!scale || !count || (data->drawn && !room) || !data->mean || !data->deviation) {
        err = rg_fail(e, RG_ERR_NOMEM, "%s: out of memory", file);
        goto end;
    }
    average(data, room, NULL, data->mean, count);
    average(data, room, data->mean, scale, count);
    for (size_t j = 0; j < n; j++)
        scale[j] = scale[j] > 0 ? 1 / sqrt(scale[j]) : 1;
    for (size_t j = 0; j < n && as_is; j++)
        if (as_is[j])
            leave_column(data, j, scale);
    err = data->wanted_mean ? take_wanted(data, offset, scale, e) : 0;
    for (size_t i = 0; i < samples && err == 0; i++) {
        float *x = row_of(data, i, room);
        size_t j = scale_row(n, data->mean, scale, x);
        if (j < n)
            err = rg_data_fail(
                spec, e,
                "%s: column %zu: its numbers are too far apart, from a deviation of %.3g "
                "to %.3g; up to 1e38 times are allowed",
                file, j + 1, 1 / scale[j], (double)x[j]);
    }
    for (size_t j = 0; j < n && err == 0; j++) {
        data->deviation[j] = 1 / scale[j];
        data->mean[j] += offset ? offset[j] : 0;
    }
    if (data->drawn && err == 0) {
        data->scale = scale;
        scale = NULL;
    }
end:
    free(room);
    free(scale);
    free(count);
    return err;
}

void rg_data_scale_row(const struct rg_dataset *data, float *x)
{
    scale_row(data->inputs, data->mean, data->scale, x);
}
