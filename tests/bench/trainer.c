#include "tests/bench/trainer.h"

#include "base/check.h"
#include "base/error.h"
#include "models/loss.h"
#include "tests/support/passes.h"

float *trainer_floats(struct rg_mem *mem, size_t n)
{
    float *x = rg_mem_floats(mem, n);
    RG_ASSERT(x);
    return x;
}

void trainer_make(struct trainer *t, int hidden, int batch)
{
    const struct rg_layer_ops *dense = rg_layer_kind("dense");
    struct rg_layer_spec specs[] = {
        {.ops = dense, .outputs = hidden, .activation = RG_ACT_RELU},
        {.ops = dense, .outputs = hidden, .activation = RG_ACT_RELU},
        {.ops = dense, .outputs = 10},
    };
    struct rg_data_spec spec = {
        .kind = rg_data_kinds[rg_data_kind_index("random")], .train = 4096, .test = 1};
    rg_data_value(&spec, "inputs")->number = 784;
    rg_data_value(&spec, "classes")->number = 10;
    struct rg_error e = {0};
    *t = (struct trainer){.batch = batch, .mem = rg_mem_new(RG_MEM_REAL)};
    RG_ASSERT(t->mem && rg_dataset_load(&spec, &t->data, &e) == 0);
    RG_ASSERT(rg_network_build(&t->network, "bench", "bench", t->data.shape, specs, RG_COUNT(specs),
                               &e) == 0);
    t->stage = (struct rg_stage){&t->network, 0, t->network.layer_count};
    t->w = trainer_floats(t->mem, t->network.parameters);
    t->dw = trainer_floats(t->mem, t->network.parameters);
    t->x = trainer_floats(t->mem, (size_t)batch * t->data.inputs);
    t->stash = trainer_floats(t->mem, rg_stage_stash(&t->stage, batch));
    t->scratch = trainer_floats(t->mem, rg_stage_scratch(&t->stage, batch));
    t->dlogits = trainer_floats(t->mem, (size_t)batch * 10);
    t->labels = rg_mem_plain(t->mem, (size_t)batch);
    t->order = rg_mem_plain(t->mem, (size_t)t->data.train * sizeof *t->order);
    RG_ASSERT(t->labels && t->order);
    RG_ASSERT(rg_dataset_order(&t->data, 1, 0, t->order) == 0);
    RG_ASSERT(rg_network_init(&t->network, 0, t->network.layer_count, 1, t->w) == 0);
}

void trainer_free(struct trainer *t)
{
    rg_dataset_free(&t->data);
    rg_network_free(&t->network);
    rg_mem_free(t->mem);
}

static void forward(struct trainer *t, int samples)
{
    struct rg_targets targets = rg_dataset_targets(&t->data);
    int64_t correct = 0;
    rg_dataset_gather(&t->data, t->order + t->next, t->batch, t->x, t->labels);
    t->next = (t->next + t->batch) % t->data.train;
    stage_forward(&t->stage, t->batch, t->w, t->x, t->stash, t->scratch);
    rg_loss(&targets, t->batch, rg_stage_output(&t->stage, t->batch, t->stash), t->labels,
            1.0f / (float)samples, t->dlogits, &correct);
}

void trainer_train(void *arg, float rate)
{
    struct trainer *t = arg;
    forward(t, t->batch);
    stage_backward_sgd(&t->stage, t->batch, t->w, t->x, t->stash, t->dlogits, NULL, t->dw, rate,
                       t->scratch);
}

void trainer_gradient(struct trainer *t, int samples)
{
    forward(t, samples);
    stage_backward(&t->stage, t->batch, t->w, t->x, t->stash, t->dlogits, NULL, t->dw, false,
                   t->scratch);
}
