/* Each layer's part of the stash, and each scratch buffer, starts on a boundary of RG_MEM_ALIGN
 * bytes: operands have the same alignment wherever the network is cut into stages, so that kernels
 * whose order of additions depends on it give the same bits. */
#include "models/stage.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/sizes.h"
#include "models/optimizer.h"

static uint64_t aligned(uint64_t floats)
{
    const uint64_t unit = RG_MEM_ALIGN / sizeof(float);
    return rg_size_plus(floats, unit - 1) / unit * unit;
}

static const struct rg_layer *layer_at(const struct rg_stage *stage, int i)
{
    RG_ASSERT(stage->from <= i && i < stage->to && stage->to <= stage->network->layer_count);
    return &stage->network->layers[i];
}

static uint64_t room_of(const struct rg_layer *layer, int batch, enum rg_room room)
{
    uint64_t samples = (uint64_t)batch;
    if (layer->spec.ops->room)
        return aligned(layer->spec.ops->room(layer, batch, room));
    if (room == RG_ROOM_SCRATCH)
        return aligned(layer->scratch);
    return aligned(rg_size_times(samples, room == RG_ROOM_STASH ? layer->stash : layer->between));
}

static uint64_t stash_of(const struct rg_layer *layer, int batch)
{
    return room_of(layer, batch, RG_ROOM_STASH);
}

static uint64_t between_of(const struct rg_layer *layer, int batch)
{
    return room_of(layer, batch, RG_ROOM_BETWEEN);
}

static uint64_t output_of(const struct rg_layer *layer, int batch)
{
    return aligned(rg_size_times((uint64_t)batch, layer->outputs));
}

size_t rg_stage_parameters(const struct rg_stage *stage)
{
    return rg_network_range(stage->network, stage->from, stage->to);
}

size_t rg_stage_inputs(const struct rg_stage *stage)
{
    return layer_at(stage, stage->from)->inputs;
}

size_t rg_stage_outputs(const struct rg_stage *stage)
{
    return layer_at(stage, stage->to - 1)->outputs;
}

uint64_t rg_stage_stash(const struct rg_stage *stage, int batch)
{
    uint64_t sum = 0;
    for (int i = stage->from; i < stage->to; i++) {
        const struct rg_layer *layer = layer_at(stage, i);
        sum = rg_size_plus(sum, rg_size_plus(stash_of(layer, batch), output_of(layer, batch)));
    }
    return sum;
}

float *rg_stage_output(const struct rg_stage *stage, int batch, float *stash)
{
    const struct rg_layer *last = layer_at(stage, stage->to - 1);
    return stash + rg_stage_stash(stage, batch) - output_of(last, batch);
}

uint64_t rg_stage_halves(const struct rg_stage *stage, int batch)
{
    uint64_t sum = 0;
    for (int i = stage->from; i < stage->to; i++) {
        const struct rg_layer *layer = layer_at(stage, i);
        sum = rg_size_plus(sum, between_of(layer, batch));
        if (i + 1 < stage->to)
            sum = rg_size_plus(sum, output_of(layer, batch));
    }
    return sum;
}

/* Floats of one gradient between two layers of the stage: backward keeps two of them. */
static uint64_t gradient_size(const struct rg_stage *stage, int batch)
{
    uint64_t most = 0;
    for (int i = stage->from; i + 1 < stage->to; i++)
        most = RG_MAX(most, output_of(layer_at(stage, i), batch));
    return most;
}

uint64_t rg_stage_scratch(const struct rg_stage *stage, int batch)
{
    uint64_t most = 0;
    for (int i = stage->from; i < stage->to; i++) {
        const struct rg_layer *layer = layer_at(stage, i);
        uint64_t between = aligned(rg_size_times((uint64_t)batch, layer->between));
        most = RG_MAX(most, rg_size_plus(room_of(layer, batch, RG_ROOM_SCRATCH), between));
    }
    return rg_size_plus(rg_size_times(2, gradient_size(stage, batch)), most);
}

void rg_stage_forward(const struct rg_stage *stage, const struct rg_pass_args *args)
{
    struct rg_pass_args one = *args;
    for (int i = stage->from; i < stage->to; i++) {
        const struct rg_layer *layer = layer_at(stage, i);
        float *output = one.stash + stash_of(layer, args->batch);
        one.y = i == stage->to - 1 && args->y ? args->y : output;
        layer->spec.ops->forward(layer, &one);
        one.w += layer->parameters;
        one.x = one.y;
        one.stash = output + output_of(layer, args->batch);
    }
}

void rg_stage_backward(const struct rg_stage *stage, const struct rg_pass_args *whole)
{
    struct rg_pass_args args = *whole;
    uint64_t gradient = gradient_size(stage, args.batch);
    float *buffers[2] = {args.scratch, args.scratch + gradient};
    float *end = args.stash + rg_stage_stash(stage, args.batch);
    float *halves = args.half != RG_WHOLE ? args.between : NULL; /* from the last layer on */
    args.scratch += 2 * gradient;
    for (int i = stage->to - 1; i >= stage->from; i--) {
        const struct rg_layer *layer = layer_at(stage, i);
        bool first = i == stage->from;
        size_t at =
            rg_network_offset(stage->network, i) - rg_network_offset(stage->network, stage->from);
        struct rg_pass_args one = args;
        one.w += at;
        one.newest += one.newest ? at : 0;
        one.dw += at;
        one.update = args.update && layer->spec.ops->fuses_update ? args.update + at : NULL;
        one.y = end - output_of(layer, args.batch);
        one.stash = end = one.y - stash_of(layer, args.batch);
        one.x = first ? args.x : end - output_of(layer_at(stage, i - 1), args.batch);
        one.dx = first ? args.dx : buffers[i % 2];
        one.between = one.scratch + room_of(layer, args.batch, RG_ROOM_SCRATCH);
        if (halves) {
            one.between = halves;
            halves += between_of(layer, args.batch);
            one.dx = first ? args.dx : halves;
            halves += first ? 0 : output_of(layer_at(stage, i - 1), args.batch);
        }
        if (args.half != RG_HALF_WEIGHTS || layer->parameters > 0)
            layer->spec.ops->backward(layer, &one);
        if (args.update && !one.update)
            rg_sgd(args.rate, layer->parameters, args.update + at, one.dw);
        args.dy = one.dx;
    }
}

/* The pass over one layer in that of a stage; kinds without parameters know no halves. */
static enum rg_pass pass_of(const struct rg_layer *layer, enum rg_pass pass, bool first)
{
    bool half = pass == RG_BACKWARD_INPUT || pass == RG_BACKWARD_INPUT_FIRST;
    if (pass == RG_FORWARD || pass == RG_BACKWARD_WEIGHTS)
        return pass;
    if (half && layer->parameters > 0)
        return first ? RG_BACKWARD_INPUT_FIRST : RG_BACKWARD_INPUT;
    return first ? RG_BACKWARD_FIRST : RG_BACKWARD;
}

static enum rg_part_kind part_of(enum rg_pass pass)
{
    switch (pass) {
    case RG_FORWARD:
        return RG_PART_FORWARD;
    case RG_BACKWARD_INPUT:
    case RG_BACKWARD_INPUT_FIRST:
        return RG_PART_INPUT;
    case RG_BACKWARD_WEIGHTS:
        return RG_PART_WEIGHTS;
    default:
        return RG_PART_BACKWARD;
    }
}

/* What is inside of a layer is no part by itself once the layer is one. */
void rg_stage_work(const struct rg_stage *stage, int batch, enum rg_pass pass, struct rg_work *work)
{
    bool without = pass == RG_BACKWARD_FIRST || pass == RG_BACKWARD_INPUT_FIRST;
    for (int n = 0; n < stage->to - stage->from; n++) {
        int i = pass == RG_FORWARD ? stage->from + n : stage->to - 1 - n;
        const struct rg_layer *layer = layer_at(stage, i);
        bool first = layer->starts || (without && i == stage->from);
        enum rg_pass own = pass_of(layer, pass, first);
        int from = work->count;
        if (pass == RG_BACKWARD_WEIGHTS && layer->parameters == 0)
            continue;
        layer->spec.ops->cost(layer, batch, own, work);
        rg_work_part(work, from,
                     (struct rg_part){.kind = part_of(own), .layer = i, .samples = batch});
    }
}
