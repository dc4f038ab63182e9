#include "models/loss.h"

#include "base/check.h"
#include "models/sums.h"

#include <math.h>

/* exp and log count as 20 operations each: about what a scalar libm spends on them. */
#define EXP_FLOPS 20.0

RG_CLONES
static float largest(int n, const float *x)
{
    return rg_lanes_most((size_t)n, x);
}

int rg_most_likely(int classes, const float *logits)
{
    float most = largest(classes, logits);
    for (int c = 0; c < classes; c++)
        if (logits[c] == most)
            return c;
    return 0; /* the first is no number */
}

/* g = ((g inverse) - 1 at the label) scale */
RG_CLONES
static void to_gradient(int classes, int label, float inverse, float scale, float *g)
{
    for (int c = 0; c < classes; c++)
        g[c] = (g[c] * inverse - (float)(c == label)) * scale;
}

/* softmax(z) = exp(z - max z) / sum exp(z - max z): no argument of exp is positive, so nothing
 * overflows, and the sum is at least 1. */
static double cross_entropy(const struct rg_targets *t, size_t rows, const float *logits,
                            const void *labels, float scale, float *gradient, int64_t *correct)
{
    int classes = t->classes;
    double loss = 0;
    for (size_t row = 0; row < rows; row++) {
        const float *z = logits + row * (size_t)classes;
        int label = rg_target_label(t, labels, row), best = rg_most_likely(classes, z);
        RG_ASSERT(label < classes);
        *correct += best == label;

        float most = z[best], margin = z[label] - most;
        double sum = 0;
        float *g = gradient ? gradient + row * (size_t)classes : NULL;
        for (int c = 0; c < classes; c++) {
            float e = expf(z[c] - most);
            sum += e;
            if (g)
                g[c] = e;
        }
        loss += log(sum) - margin;
        if (g)
            to_gradient(classes, label, (float)(1 / sum), scale, g);
    }
    return loss;
}

static double squares(size_t count, const float *outputs, const float *targets, float scale,
                      float *gradient)
{
    double loss = 0;
    for (size_t i = 0; i < count; i++) {
        float difference = outputs[i] - targets[i];
        loss += (double)difference * difference;
        if (gradient)
            gradient[i] = 2 * difference * scale;
    }
    return loss;
}

double rg_loss(const struct rg_targets *t, int batch, const float *outputs, const void *targets,
               float scale, float *gradient, int64_t *correct)
{
    size_t count = (size_t)batch * (size_t)t->count;
    float each = scale / (float)t->count;
    double sum = t->classes > 0 ? cross_entropy(t, count, outputs, targets, each, gradient, correct)
                                : squares(count, outputs, targets, each, gradient);
    return sum / t->count;
}

/* One number of each sample, `count` apart. */
static double r2_of(size_t samples, size_t count, const float *outputs, const float *targets)
{
    double mean = 0, error = 0, spread = 0;
    for (size_t i = 0; i < samples; i++)
        mean += targets[i * count];
    mean /= (double)samples;
    for (size_t i = 0; i < samples; i++) {
        double from_output = (double)outputs[i * count] - targets[i * count];
        double from_mean = targets[i * count] - mean;
        error += from_output * from_output;
        spread += from_mean * from_mean;
    }
    return spread > 0 ? 1 - error / spread : NAN;
}

double rg_loss_r2(const struct rg_targets *t, size_t samples, const float *outputs,
                  const float *targets)
{
    size_t count = (size_t)t->count;
    double sum = 0;
    int counted = 0;
    for (size_t k = 0; k < count; k++) {
        double r2 = r2_of(samples, count, outputs + k, targets + k);
        sum += isnan(r2) ? 0 : r2;
        counted += !isnan(r2);
    }
    return counted > 0 ? sum / counted : NAN;
}

/* Charged are two exponentials a class, of the sum and of the gradient, which has the sum's since:
 * simulated dates stay comparable, and it is little beside a network. */
void rg_loss_work(const struct rg_targets *t, int batch, struct rg_work *work)
{
    double count = (double)batch * t->count, elements = count * t->classes;
    double flops = elements * (2 * EXP_FLOPS + 7) + count * (EXP_FLOPS + 3);
    double bytes = elements * 2 * sizeof(float) + count * (double)rg_target_bytes(t);
    int from = work->count;
    if (t->classes == 0)
        rg_work_vector(work, 5 * count, 3 * sizeof(float) * count);
    else
        rg_work_functions(work, flops, bytes, 2 * elements + count);
    rg_work_part(work, from, (struct rg_part){.kind = RG_PART_LOSS, .samples = batch});
}
