#include "models/update.h"

#include "base/check.h"

/* From `at` on: the parameters up to *end, at most `most`, are of one sort; returns the rate of
 * statistics, 0 for all others. */
static float sort_of(const struct rg_network *network, size_t at, size_t most, size_t *end)
{
    for (int i = 0; i < network->statistics_count; i++) {
        const struct rg_statistics *s = &network->statistics[i];
        if (at >= s->first + s->count)
            continue;
        *end = RG_MIN(most, at < s->first ? s->first : s->first + s->count);
        return at < s->first ? 0 : s->rate;
    }
    *end = most;
    return 0;
}

/* Of parameters [at, most), whose gradients lie at `gradient`. */
static double norm_of(const struct rg_network *network, size_t at, size_t most,
                      const float *gradient)
{
    double sum = 0;
    for (size_t end; at < most; gradient += end - at, at = end)
        if (sort_of(network, at, most, &end) == 0)
            sum += rg_sum_of_squares(end - at, gradient);
    return sum;
}

/* Layer by layer, so that it is the same however the layers are split round a ring. */
static void clip(const struct rg_network *network, float most, size_t first, size_t n,
                 float *gradient)
{
    for (int l = 0; l < network->layer_count; l++) {
        size_t begin = RG_MAX(first, rg_network_offset(network, l));
        size_t stop = RG_MIN(first + n, rg_network_offset(network, l + 1));
        if (begin >= stop)
            continue;
        float by = rg_clip_by(most, norm_of(network, begin, stop, gradient + (begin - first)));
        for (size_t at = begin, end; at < stop && by < 1; at = end)
            if (sort_of(network, at, stop, &end) == 0)
                rg_scale(by, end - at, gradient + (at - first));
    }
}

void rg_network_step(const struct rg_network *network, const struct rg_optimizer *optimizer,
                     long step, size_t first, size_t n, float *w, float *gradient, float *state)
{
    if (optimizer->clip > 0)
        clip(network, optimizer->clip, first, n, gradient);
    for (size_t at = first, end; at < first + n; at = end) {
        float rate = sort_of(network, at, first + n, &end);
        size_t k = at - first;
        if (rate > 0) {
            rg_sgd(rate, end - at, w + k, gradient + k);
            continue;
        }
        if (optimizer->l2 > 0)
            rg_optimizer_decay(optimizer, step, end - at, w + k, gradient + k);
        rg_optimizer_part(optimizer, step, end - at, w + k, gradient + k, state ? state + k : NULL,
                          n);
    }
}
