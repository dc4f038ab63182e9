/* What the tests of models share: small networks, buffers, a training loop. */
#ifndef RG_TESTS_MODELS_FIXTURE_H
#define RG_TESTS_MODELS_FIXTURE_H

#include "support/passes.h"
#include "support/suite.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/random.h"
#include "models/dataset.h"
#include "models/loss.h"
#include "models/optimizer.h"
#include "models/stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KIND(name) .ops = rg_layer_kind(name)
#define DATA(name) .kind = rg_data_kinds[rg_data_kind_index(name)]

/* What a scenario would say; the text stays the caller's. */
static inline void say(struct rg_data_spec *spec, const char *name, const char *text)
{
    struct rg_data_value *value = rg_data_value(spec, name);
    RG_ASSERT(value);
    const struct rg_data_attribute *attribute = &spec->kind->attributes[value - spec->values];
    value->text = (char *)text;
    value->number = text ? atoi(text) : 0;
    if (text && attribute->type == RG_DATA_CHOICE) {
        const char *at = strstr(attribute->choices, text);
        for (const char *c = attribute->choices; c < at; c++)
            value->number += *c == '|';
    }
}

/* A part of the samples is the same to the bit as in the whole, read alone. */
static inline void expect_parts(const struct rg_data_spec *spec, const struct rg_dataset *whole)
{
    size_t first[] = {0, 0, (size_t)whole->train};
    size_t end[] = {0, (size_t)whole->train, (size_t)whole->train + (size_t)whole->test};
    for (int part = 0; part < 3; part++) { /* nothing, the training samples, those to test */
        struct rg_data_kept keep = {.train = part == 1, .test = part == 2};
        struct rg_dataset data;
        struct rg_error e = {0};
        CU_ASSERT_FATAL(rg_dataset_probe(spec, &data, &e) == 0);
        CU_ASSERT_FATAL(rg_dataset_read(spec, keep, &data, &e) == 0);
        size_t count = end[part] - first[part], bytes = count * data.inputs * sizeof *data.x;
        CU_ASSERT((data.x != NULL) == (part > 0) && data.read);
        CU_ASSERT(data.kept.train == keep.train && data.kept.test == keep.test);
        CU_ASSERT(rg_dataset_x(&data, first[part]) == data.x);
        CU_ASSERT((rg_dataset_x(&data, 0) == NULL) == (part != 1));
        CU_ASSERT((rg_dataset_label(&data, end[2] - 1) == NULL) == (part != 2));
        CU_ASSERT(part == 0 || memcmp(data.x, rg_dataset_x(whole, first[part]), bytes) == 0);
        CU_ASSERT(part == 0 || memcmp(data.labels, whole->labels + first[part], count) == 0);
        if (part > 0 && whole->mean)
            CU_ASSERT(memcmp(data.mean, whole->mean, data.inputs * sizeof *data.mean) == 0);
        rg_dataset_free(&data);
    }
}

/* So are every third training sample and those to test, and labels are known before them. */
static inline void expect_own(const struct rg_data_spec *spec, const struct rg_dataset *whole)
{
    size_t train = (size_t)whole->train, count = 0, bytes = whole->inputs * sizeof *whole->x;
    uint32_t *list = malloc(train * sizeof *list);
    uint8_t *labels = malloc(train);
    struct rg_dataset data;
    struct rg_error e = {0};
    for (size_t i = 1; i < train; i += 3)
        list[count++] = (uint32_t)i;
    struct rg_data_kept keep = {.train = true, .test = true, .own = list, .own_count = count};
    CU_ASSERT_FATAL(rg_dataset_probe(spec, &data, &e) == 0);
    CU_ASSERT(rg_dataset_bytes(&data, keep) ==
              count * (bytes + 1 + 4) + (size_t)data.test * (bytes + 1));
    CU_ASSERT(data.kind->labels(spec, &data, labels) == 0);
    CU_ASSERT(memcmp(labels, whole->labels, train) == 0);
    CU_ASSERT_FATAL(rg_dataset_read(spec, keep, &data, &e) == 0);
    for (size_t i = 0; i < train + (size_t)data.test; i++) {
        bool kept = i >= train || i % 3 == 1;
        CU_ASSERT_FATAL((rg_dataset_x(&data, i) != NULL) == kept);
        CU_ASSERT_FATAL((rg_dataset_label(&data, i) != NULL) == kept);
        CU_ASSERT(!kept || memcmp(rg_dataset_x(&data, i), rg_dataset_x(whole, i), bytes) == 0);
        CU_ASSERT(!kept || *rg_dataset_label(&data, i) == whole->labels[i]);
    }
    if (count > 1) {
        const uint32_t order[] = {list[count - 1], list[0]};
        float *x = malloc(2 * bytes);
        uint8_t y[2];
        rg_dataset_gather(&data, order, 2, x, y);
        for (size_t i = 0; i < 2; i++)
            CU_ASSERT(memcmp(x + i * data.inputs, rg_dataset_x(whole, order[i]), bytes) == 0 &&
                      y[i] == whole->labels[order[i]]);
        free(x);
    }
    rg_dataset_free(&data);
    free(list);
    free(labels);
}

static inline float *floats(struct rg_mem *mem, size_t n)
{
    float *x = rg_mem_floats(mem, n);
    RG_ASSERT(x);
    return x;
}

/* Poison: what a pass leaves unwritten, or reads before writing, shows. */
static inline void spoil(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = NAN;
}

static inline void draw(struct rg_random *random, double sigma, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rg_random_gaussian(random, sigma);
}

static inline struct rg_network build(struct rg_shape input, const struct rg_layer_spec *specs,
                                      int count)
{
    struct rg_network network;
    struct rg_error e = {0};
    int err = rg_network_build(&network, "test", "test.xml", input, specs, count, &e);
    if (err < 0)
        fprintf(stderr, "%s\n", e.text);
    RG_ASSERT(err == 0);
    return network;
}

/* Train a whole network on one node as `single` does; returns the accuracy on the test samples. */
struct training {
    int batch, micro_batches, epochs;
    struct rg_optimizer optimizer;
    uint64_t seed;
};

static inline double evaluate(const struct rg_stage *stage, const struct rg_dataset *data,
                              const float *w, float *stash, float *scratch)
{
    int correct = 0;
    for (int i = data->train; i < data->train + data->test; i++) {
        stage_forward(stage, 1, w, data->x + (size_t)i * data->inputs, stash, scratch);
        rg_softmax_cross_entropy(1, data->classes, rg_stage_output(stage, 1, stash),
                                 &data->labels[i], 1, NULL, &correct);
    }
    return (double)correct / data->test;
}

static inline double train(const struct rg_network *network, const struct rg_dataset *data,
                           const struct training *how)
{
    struct rg_stage stage = {network, 0, network->layer_count};
    struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
    size_t n = network->parameters;
    int part = how->batch / how->micro_batches, correct = 0;
    float *w = floats(mem, n), *dw = floats(mem, n);
    float *state = floats(mem, rg_optimizer_state(&how->optimizer, n));
    float *x = floats(mem, (size_t)part * data->inputs);
    float *stash = floats(mem, rg_stage_stash(&stage, part));
    float *scratch = floats(mem, rg_stage_scratch(&stage, part));
    float *gradient = floats(mem, (size_t)part * (size_t)data->classes);
    uint8_t *labels = rg_mem_plain(mem, (size_t)part);
    uint32_t *order = rg_mem_plain(mem, (size_t)data->train * sizeof *order);
    long step = 0;
    RG_ASSERT(rg_network_init(network, 0, network->layer_count, how->seed, w) == 0);
    for (int epoch = 0; epoch < how->epochs; epoch++) {
        RG_ASSERT(rg_dataset_order(data, how->seed, epoch, order) == 0);
        for (int at = 0; at + how->batch <= data->train; at += how->batch) {
            for (int m = 0; m < how->micro_batches; m++) {
                rg_dataset_gather(data, order + at + m * part, part, x, labels);
                stage_forward(&stage, part, w, x, stash, scratch);
                rg_softmax_cross_entropy(part, data->classes, rg_stage_output(&stage, part, stash),
                                         labels, 1.0f / (float)how->batch, gradient, &correct);
                stage_backward(&stage, part, w, x, stash, gradient, NULL, dw, m > 0, scratch);
            }
            rg_optimizer_step(&how->optimizer, ++step, n, w, dw, state);
        }
    }
    double accuracy = evaluate(&stage, data, w, stash, scratch);
    rg_mem_free(mem);
    return accuracy;
}

#endif
