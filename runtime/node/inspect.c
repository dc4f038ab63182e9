#include "node/inspect.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/sizes.h"
#include "models/loss.h"
#include "models/stage.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct rg_stage one_layer(const struct rg_job *job, int l)
{
    return (struct rg_stage){.network = job->network, .from = l, .to = l + 1};
}

/* Not initialised; NULL: no memory, or more than this machine addresses. */
static float *room_for(uint64_t floats)
{
    const uint64_t unit = RG_MEM_ALIGN / sizeof(float);
    uint64_t bytes = rg_size_times(rg_size_plus(floats, unit - 1) / unit * unit, sizeof(float));
    return bytes <= SIZE_MAX / 2 ? aligned_alloc(RG_MEM_ALIGN, (size_t)bytes) : NULL;
}

/* What an evaluation allocates, in one place for counting and for allocating. */
struct sizes {
    uint64_t layer, x, stash, scratch; /* floats; x twice */
};

static struct sizes sizes_of(const struct rg_job *job)
{
    const struct rg_network *network = job->network;
    struct sizes s = {1, 1, 1, 1};
    for (int l = 0; l < network->layer_count; l++) {
        struct rg_stage stage = one_layer(job, l);
        s.layer = RG_MAX(s.layer, network->layers[l].parameters);
        s.x = RG_MAX(s.x, network->layers[l].inputs);
        s.x = RG_MAX(s.x, network->layers[l].outputs);
        s.stash = RG_MAX(s.stash, rg_stage_stash(&stage, RG_INSPECT_SAMPLES));
        s.scratch = RG_MAX(s.scratch, rg_stage_scratch(&stage, RG_INSPECT_SAMPLES));
    }
    s.x = rg_size_times((uint64_t)job->data->test, s.x);
    return s;
}

uint64_t rg_inspection_memory(const struct rg_job *job)
{
    if (!job->numerics || job->data->test == 0)
        return 0;
    struct sizes s = sizes_of(job);
    uint64_t rest = rg_size_plus(s.layer, rg_size_plus(s.stash, s.scratch));
    return rg_size_times(rg_size_plus(rg_size_times(2, s.x), rest), sizeof(float));
}

int rg_inspection_open(struct rg_inspection *in, const struct rg_job *job, bool evaluate)
{
    *in = (struct rg_inspection){.job = job,
                                 .evaluate = evaluate && job->data->test > 0,
                                 .finite = true,
                                 .loss = NAN,
                                 .accuracy = NAN,
                                 .r2 = NAN};
    if (!in->evaluate)
        return 0;
    struct sizes s = sizes_of(job);
    in->layer = room_for(s.layer);
    in->x = room_for(s.x);
    in->y = room_for(s.x);
    in->stash = room_for(s.stash);
    in->scratch = room_for(s.scratch);
    if (!in->layer || !in->x || !in->y || !in->stash || !in->scratch) {
        rg_inspection_close(in);
        return RG_ERR_NOMEM;
    }
    for (size_t i = 0; i < (size_t)job->data->test; i++)
        rg_dataset_copy_x(job->data, (size_t)job->data->train + i, in->x + i * job->data->inputs);
    return 0;
}

/* All test samples through the layer whose parameters are complete. */
static void pass_layer(struct rg_inspection *in)
{
    struct rg_stage stage = one_layer(in->job, in->next);
    size_t inputs = rg_stage_inputs(&stage), outputs = rg_stage_outputs(&stage);
    for (int first = 0; first < in->job->data->test; first += RG_INSPECT_SAMPLES) {
        int n = RG_MIN(RG_INSPECT_SAMPLES, in->job->data->test - first);
        rg_stage_forward(&stage, &(struct rg_pass_args){.batch = n,
                                                        .evaluate = true,
                                                        .w = in->layer,
                                                        .x = in->x + (size_t)first * inputs,
                                                        .stash = in->stash,
                                                        .scratch = in->scratch});
        memcpy(in->y + (size_t)first * outputs, rg_stage_output(&stage, n, in->stash),
               (size_t)n * outputs * sizeof(float));
    }
    float *swap = in->x;
    in->x = in->y;
    in->y = swap;
    in->next++;
    in->have = 0;
}

/* Layers without parameters are not visited: they are passed when the next one comes. */
static void pass_bare_layers(struct rg_inspection *in)
{
    while (in->next < in->job->network->layer_count &&
           in->job->network->layers[in->next].parameters == 0)
        pass_layer(in);
}

static void count_classes(struct rg_inspection *in, const struct rg_targets *t, const void *labels)
{
    size_t rows = (size_t)in->job->data->test * (size_t)t->count;
    for (size_t i = 0; i < rows; i++) {
        int row = rg_target_label(t, labels, i) * t->classes;
        in->confusion[row + rg_most_likely(t->classes, in->x + i * (size_t)t->classes)]++;
    }
}

static void judge(struct rg_inspection *in)
{
    const struct rg_dataset *data = in->job->data;
    struct rg_targets t = rg_dataset_targets(data);
    const void *targets = rg_dataset_target(data, (size_t)data->train);
    int64_t correct = 0;
    double loss = rg_loss(&t, data->test, in->x, targets, 1, NULL, &correct) / data->test;
    in->loss = in->finite ? loss : NAN; /* a layer may turn NAN into a number */
    if (t.classes == 0) {
        in->r2 = rg_loss_r2(&t, (size_t)data->test, in->x, targets);
        return;
    }
    in->accuracy = (double)correct / ((double)data->test * t.count);
    if (in->confusion)
        count_classes(in, &t, targets);
}

static bool all_finite(const float *values, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong |= !isfinite(values[i]);
    return !wrong;
}

int rg_inspection_visit(void *inspection, size_t offset, const float *values, size_t count)
{
    struct rg_inspection *in = inspection;
    const struct rg_network *network = in->job->network;
    in->finite = in->finite && all_finite(values, count);
    if (in->digest)
        rg_digest_add(in->digest, values, count * sizeof *values);
    for (int i = 0; i < 2; i++)
        if (in->checkpoints[i])
            rg_checkpoint_add(in->checkpoints[i], values, count);
    if (!in->evaluate)
        return 0;
    pass_bare_layers(in);
    RG_ASSERT(offset == rg_network_offset(network, in->next) + in->have);
    memcpy(in->layer + in->have, values, count * sizeof *values);
    in->have += count;
    if (in->have == network->layers[in->next].parameters) {
        pass_layer(in);
        pass_bare_layers(in);
    }
    if (in->next == network->layer_count)
        judge(in);
    return 0;
}

int rg_inspect_start(const struct rg_job *job, const float *initial, double *loss)
{
    struct rg_inspection in;
    const struct rg_network *network = job->network;
    float *drawn = NULL;
    int result = rg_inspection_open(&in, job, true);
    for (int l = 0; l < network->layer_count && in.evaluate && result == 0; l++) {
        size_t count = network->layers[l].parameters, first = rg_network_offset(network, l);
        const float *values = initial ? initial + first : NULL;
        if (count == 0)
            continue;
        if (!initial) {
            free(drawn);
            values = drawn = room_for(count);
            result = drawn ? rg_network_init(network, l, l + 1, job->seed, drawn) : RG_ERR_NOMEM;
        }
        if (result == 0)
            result = rg_inspection_visit(&in, first, values, count);
    }
    *loss = in.loss;
    free(drawn);
    rg_inspection_close(&in);
    return result;
}

void rg_inspection_close(struct rg_inspection *in)
{
    free(in->layer);
    free(in->x);
    free(in->y);
    free(in->stash);
    free(in->scratch);
    in->layer = in->x = in->y = in->stash = in->scratch = NULL;
}
