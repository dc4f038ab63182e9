/* Gradients by finite differences: what the tests of layers share. */
#ifndef RG_TESTS_GRADIENT_FIXTURE_H
#define RG_TESTS_GRADIENT_FIXTURE_H

#include "models_fixture.h"

/* The scalar whose gradient is checked: sum of output * `weight`, weights drawn once. In double, so
 * that the differences are not lost in the sum. */
struct probe {
    struct rg_mem *mem;
    struct rg_network network;
    struct rg_stage stage;
    int batch;
    float *w, *x, *dw, *dx, *dy, *weight, *stash, *scratch;
};

/* Takes over the network. */
static inline void probe_open(struct probe *p, struct rg_network network, int batch)
{
    struct rg_random *random = rg_random_new(7, RG_STREAM_TEST, (uint64_t)network.layer_count);
    *p = (struct probe){.mem = rg_mem_new(RG_MEM_REAL), .network = network, .batch = batch};
    p->stage = (struct rg_stage){&p->network, 0, network.layer_count};
    size_t n = p->network.parameters, rows = (size_t)batch;
    size_t inputs = rows * rg_stage_inputs(&p->stage), outputs = rows * rg_stage_outputs(&p->stage);
    p->w = floats(p->mem, n);
    p->dw = floats(p->mem, n);
    p->x = floats(p->mem, inputs);
    p->dx = floats(p->mem, inputs);
    p->dy = floats(p->mem, outputs);
    p->weight = floats(p->mem, outputs);
    p->stash = floats(p->mem, rg_stage_stash(&p->stage, batch));
    p->scratch = floats(p->mem, rg_stage_scratch(&p->stage, batch));
    draw(random, 0.5, n, p->w); /* every parameter matters, biases and second matrices too */
    draw(random, 1, inputs, p->x);
    draw(random, 1, outputs, p->weight);
    rg_random_free(random);
}

static inline void probe_make(struct probe *p, struct rg_shape input,
                              const struct rg_layer_spec *specs, int count, int batch)
{
    probe_open(p, build(input, specs, count), batch);
}

static inline void probe_free(struct probe *p)
{
    rg_network_free(&p->network);
    rg_mem_free(p->mem);
}

static inline void spoil_buffers(struct probe *p)
{
    spoil(p->stash, rg_stage_stash(&p->stage, p->batch));
    spoil(p->scratch, rg_stage_scratch(&p->stage, p->batch));
}

static inline double value(struct probe *p)
{
    size_t outputs = (size_t)p->batch * rg_stage_outputs(&p->stage);
    double sum = 0;
    spoil(p->stash, rg_stage_stash(&p->stage, p->batch));
    spoil(p->scratch, rg_stage_scratch(&p->stage, p->batch));
    stage_forward(&p->stage, p->batch, p->w, p->x, p->stash, p->scratch);
    const float *y = rg_stage_output(&p->stage, p->batch, p->stash);
    for (size_t i = 0; i < outputs; i++)
        sum += (double)y[i] * p->weight[i];
    return sum;
}

static inline void backward(struct probe *p, float *dx, bool accumulate)
{
    size_t outputs = (size_t)p->batch * rg_stage_outputs(&p->stage);
    memcpy(p->dy, p->weight, outputs * sizeof *p->dy);
    spoil(p->scratch, rg_stage_scratch(&p->stage, p->batch));
    stage_backward(&p->stage, p->batch, p->w, p->x, p->stash, p->dy, dx, p->dw, accumulate,
                   p->scratch);
}

/* Running statistics are no function of the loss: their gradient is checked by itself. */
static inline bool is_statistic(const struct rg_network *network, size_t at)
{
    for (int i = 0; i < network->statistics_count; i++)
        if (at - network->statistics[i].first < network->statistics[i].count)
            return true;
    return false;
}

/* The largest difference between gradient[i] and the central difference over at[i], relative to the
 * largest gradient. A relu or a maximum that changes sides within the step makes a difference
 * meaningless; one is recognised by differences of two steps that disagree, and few may be. */
static inline double largest_error(struct probe *p, float *at, const float *gradient, size_t n)
{
    double worst = 0, scale = 1e-3;
    size_t kinks = 0;
    for (size_t i = 0; i < n; i++)
        if (at != p->w || !is_statistic(&p->network, i))
            scale = fmax(scale, fabs(gradient[i]));
    for (size_t i = 0; i < n; i++) {
        if (at == p->w && is_statistic(&p->network, i))
            continue;
        double slope[2], steps[2] = {1e-3, 5e-4};
        float saved = at[i];
        for (int s = 0; s < 2; s++) {
            float up = (float)(saved + steps[s]), down = (float)(saved - steps[s]);
            at[i] = up;
            slope[s] = value(p);
            at[i] = down;
            slope[s] = (slope[s] - value(p)) / ((double)up - down);
        }
        at[i] = saved;
        if (fabs(slope[0] - slope[1]) > 4e-3 * scale)
            kinks++;
        else
            worst = fmax(worst, fabs(slope[1] - gradient[i]) / scale);
    }
    CU_ASSERT(kinks * 8 <= n);
    return worst;
}

/* Takes over the network, whose first layer gives the check its name. */
static inline void check_network(struct rg_network network, int batch)
{
    struct probe p;
    probe_open(&p, network, batch);
    size_t n = p.network.parameters, inputs = (size_t)batch * rg_stage_inputs(&p.stage);
    float *dw = floats(p.mem, n), *dx = floats(p.mem, inputs);

    spoil(p.dw, n);
    spoil(p.dx, inputs);
    value(&p);
    backward(&p, p.dx, false);
    memcpy(dw, p.dw, n * sizeof *dw);
    memcpy(dx, p.dx, inputs * sizeof *dx);
    double error = largest_error(&p, p.w, dw, n), error_x = largest_error(&p, p.x, dx, inputs);
    if (error > 4e-3 || error_x > 4e-3)
        fprintf(stderr, "%s, batch %d: dw %g, dx %g\n", p.network.layers[0].spec.ops->name, batch,
                error, error_x);
    CU_ASSERT(error <= 4e-3);
    CU_ASSERT(error_x <= 4e-3);

    /* Accumulating doubles it; without dx the gradient of the parameters is the same to the bit. */
    value(&p);
    backward(&p, p.dx, true);
    double off = 0;
    for (size_t i = 0; i < n; i++)
        off = fmax(off, fabs(p.dw[i] - 2.0 * dw[i]) / (1 + fabs(dw[i])));
    CU_ASSERT(off < 1e-5);
    value(&p);
    backward(&p, NULL, false);
    CU_ASSERT(memcmp(p.dw, dw, n * sizeof *dw) == 0);
    probe_free(&p);
}

static inline void check_gradients(struct rg_shape input, const struct rg_layer_spec *specs,
                                   int count, int batch)
{
    check_network(build(input, specs, count), batch);
}

#endif
