#include "models/loss.h"

#include "base/check.h"
#include <math.h>

/* exp and log count as 20 operations each: about what a scalar libm spends on them. */
#define EXP_FLOPS 20.0

int rg_most_likely(int classes, const float *logits)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}

/* softmax(z) = exp(z - max z) / sum exp(z - max z): no argument of exp is positive, so nothing
 * overflows, and the sum is at least 1. */
double rg_softmax_cross_entropy(int batch, int classes, const float *logits, const uint8_t *labels,
                                float scale, float *gradient, int *correct)
{
    double loss = 0;
    for (int b = 0; b < batch; b++) {
        const float *z = logits + (size_t)b * (size_t)classes;
        int label = labels[b], best = rg_most_likely(classes, z);
        RG_ASSERT(label < classes);
        *correct += best == label;

        float most = z[best], margin = z[label] - most;
        double sum = 0;
        for (int c = 0; c < classes; c++)
            sum += expf(z[c] - most);
        loss += log(sum) - margin;
        if (!gradient)
            continue;
        float *g = gradient + (size_t)b * (size_t)classes, inverse = (float)(1 / sum);
        for (int c = 0; c < classes; c++)
            g[c] = (expf(z[c] - most) * inverse - (c == label)) * scale;
    }
    return loss;
}

void rg_softmax_cross_entropy_work(int batch, int classes, struct rg_work *work)
{
    double elements = (double)batch * classes;
    double flops = elements * (2 * EXP_FLOPS + 7) + batch * (EXP_FLOPS + 3);
    rg_work_functions(work, flops, elements * 2 * sizeof(float) + batch, 2 * elements + batch);
}
