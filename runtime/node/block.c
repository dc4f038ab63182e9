#include "node/block.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/sizes.h"
#include "models/stage.h"

#include <stdlib.h>
#include <string.h>

static float *room_for(uint64_t floats)
{
    uint64_t bytes = rg_size_times(floats + RG_MEM_ALIGN, sizeof(float));
    bytes = bytes / RG_MEM_ALIGN * RG_MEM_ALIGN;
    return bytes <= SIZE_MAX / 2 ? aligned_alloc(RG_MEM_ALIGN, (size_t)bytes) : NULL;
}

int rg_block_open(struct rg_block *block, const struct rg_network *network, const float *parameters,
                  int samples)
{
    uint64_t x = 1, stash = 1, scratch = 1;
    *block = (struct rg_block){.network = network, .parameters = parameters};
    for (int l = 0; l < network->layer_count; l++) {
        const struct rg_stage one = {.network = network, .from = l, .to = l + 1};
        x = RG_MAX(x, RG_MAX(rg_stage_inputs(&one), rg_stage_outputs(&one)));
        stash = RG_MAX(stash, rg_stage_stash(&one, samples));
        scratch = RG_MAX(scratch, rg_stage_scratch(&one, samples));
    }
    block->x = room_for(rg_size_times((uint64_t)samples, x));
    block->stash = room_for(stash);
    block->scratch = room_for(scratch);
    if (block->x && block->stash && block->scratch)
        return 0;
    rg_block_close(block);
    return RG_ERR_NOMEM;
}

void rg_block_pass(struct rg_block *block, int from, int to, int n)
{
    for (int l = from; l < to; l++) {
        const struct rg_stage one = {.network = block->network, .from = l, .to = l + 1};
        const float *w = block->parameters + rg_network_offset(block->network, l);
        rg_stage_forward(&one, &(struct rg_pass_args){.batch = n,
                                                      .evaluate = true,
                                                      .w = w,
                                                      .x = block->x,
                                                      .stash = block->stash,
                                                      .scratch = block->scratch});
        size_t count = (size_t)n * rg_stage_outputs(&one);
        memcpy(block->x, rg_stage_output(&one, n, block->stash), count * sizeof *block->x);
    }
}

void rg_block_close(struct rg_block *block)
{
    free(block->x);
    free(block->stash);
    free(block->scratch);
    *block = (struct rg_block){0};
}
