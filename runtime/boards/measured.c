#include "boards/measured.h"

#include "base/check.h"
#include <math.h>
#include <stdlib.h>

static double value_of(const struct rg_measured_batch *batch, const struct rg_part *part)
{
    const struct rg_measured_layer *layer = &batch->layers[part->layer];
    switch (part->kind) {
    case RG_PART_LOAD:
        return batch->fixed_s;
    case RG_PART_LOSS:
        return batch->loss_s;
    case RG_PART_FORWARD:
        return layer->forward_s;
    case RG_PART_BACKWARD:
        return layer->backward_s;
    case RG_PART_INPUT:
        return layer->input_s;
    default:
        RG_ASSERT(part->kind == RG_PART_WEIGHTS);
        return layer->weights_s;
    }
}

static double update_s(const struct rg_measured *m, size_t first, size_t count)
{
    double seconds = 0;
    for (int l = 0; l < m->layer_count; l++) {
        size_t begin = RG_MAX(first, m->first[l]), end = RG_MIN(first + count, m->first[l + 1]);
        size_t own = m->first[l + 1] - m->first[l];
        for (int b = 0; b < m->batch_count && begin < end; b++)
            seconds += m->batches[b].layers[l].update_s * (double)(end - begin) / (double)own;
    }
    return seconds / m->batch_count;
}

double rg_measured_seconds(const struct rg_measured *m, const struct rg_part *part)
{
    if (part->kind == RG_PART_UPDATE)
        return update_s(m, part->first, part->count);
    RG_ASSERT(part->layer < m->layer_count && part->samples > 0);
    int last = m->batch_count - 1, i = 0;
    while (i < last && m->batches[i].samples < part->samples)
        i++;
    const struct rg_measured_batch *high = &m->batches[i];
    if (!rg_measured_has(m, part->samples))
        return value_of(high, part) * part->samples / high->samples;
    if (high->samples == part->samples)
        return value_of(high, part);
    const struct rg_measured_batch *low = high - 1;
    double t =
        log((double)part->samples / low->samples) / log((double)high->samples / low->samples);
    return pow(value_of(low, part), 1 - t) * pow(value_of(high, part), t);
}

bool rg_measured_has(const struct rg_measured *m, int samples)
{
    return samples >= m->batches[0].samples && samples <= m->batches[m->batch_count - 1].samples;
}

bool rg_measured_has_halves(const struct rg_measured *m)
{
    for (int b = 0; b < m->batch_count; b++)
        for (int l = 0; l < m->layer_count; l++)
            if (m->first[l] < m->first[l + 1] && (isnan(m->batches[b].layers[l].input_s) ||
                                                  isnan(m->batches[b].layers[l].weights_s)))
                return false;
    return true;
}

void rg_measured_free(struct rg_measured *m)
{
    for (int b = 0; b < m->batch_count; b++)
        free(m->batches[b].layers);
    free(m->batches);
    free(m->first);
    free(m->file);
    *m = (struct rg_measured){0};
}
