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
#include "models/update.h"

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

/* Inputs that would be drawn into x, as others have them. */
static inline void draw_all(struct rg_dataset *data)
{
    size_t samples = (size_t)data->train + (size_t)data->test, count = 0;
    for (size_t i = 0; i < samples; i++)
        count += rg_dataset_target(data, i) != NULL;
    if (!data->drawn || !data->targets)
        return;
    CU_ASSERT_FATAL(data->x == NULL);
    float *x = malloc(count * data->inputs * sizeof *x), *next = x;
    RG_ASSERT(x);
    for (size_t i = 0; i < samples; i++)
        if (rg_dataset_target(data, i)) {
            rg_dataset_copy_x(data, i, next);
            next += data->inputs;
        }
    data->x = x;
}

/* A part of the samples is the same to the bit as in the whole, read alone. */
static inline void expect_parts(const struct rg_data_spec *spec, const struct rg_dataset *whole)
{
    struct rg_targets targets = rg_dataset_targets(whole);
    size_t first[] = {0, 0, (size_t)whole->train};
    size_t end[] = {0, (size_t)whole->train, (size_t)whole->train + (size_t)whole->test};
    for (int part = 0; part < 3; part++) { /* nothing, the training samples, those to test */
        struct rg_data_kept keep = {.train = part == 1, .test = part == 2};
        struct rg_dataset data;
        struct rg_error e = {0};
        CU_ASSERT_FATAL(rg_dataset_probe(spec, &data, &e) == 0);
        CU_ASSERT_FATAL(rg_dataset_read(spec, keep, &data, &e) == 0);
        draw_all(&data);
        size_t count = end[part] - first[part], bytes = count * data.inputs * sizeof *data.x;
        CU_ASSERT((data.x != NULL) == (part > 0) && data.read);
        CU_ASSERT(data.kept.train == keep.train && data.kept.test == keep.test);
        CU_ASSERT(rg_dataset_x(&data, first[part]) == data.x);
        CU_ASSERT((rg_dataset_x(&data, 0) == NULL) == (part != 1));
        CU_ASSERT((rg_dataset_target(&data, end[2] - 1) == NULL) == (part != 2));
        CU_ASSERT(part == 0 || memcmp(data.x, rg_dataset_x(whole, first[part]), bytes) == 0);
        CU_ASSERT(part == 0 || memcmp(data.targets, rg_dataset_target(whole, first[part]),
                                      count * rg_targets_bytes(&targets)) == 0);
        if (part > 0 && whole->mean)
            CU_ASSERT(memcmp(data.mean, whole->mean, data.inputs * sizeof *data.mean) == 0);
        rg_dataset_free(&data);
    }
}

/* Labels are known before the samples. */
static inline void expect_labels(const struct rg_data_spec *spec, const struct rg_dataset *probed,
                                 const struct rg_dataset *whole)
{
    int *labels = malloc((size_t)whole->train * sizeof *labels);
    CU_ASSERT(probed->kind->labels(spec, probed, labels) == 0);
    for (int i = 0; i < whole->train; i++)
        CU_ASSERT(labels[i] == rg_dataset_label(whole, (size_t)i));
    free(labels);
}

/* So are every third training sample and those to test. */
static inline void expect_own(const struct rg_data_spec *spec, const struct rg_dataset *whole)
{
    struct rg_targets targets = rg_dataset_targets(whole);
    size_t train = (size_t)whole->train, count = 0, bytes = whole->inputs * sizeof *whole->x;
    size_t row = rg_targets_bytes(&targets);
    uint32_t *list = malloc(train * sizeof *list);
    struct rg_dataset data;
    struct rg_error e = {0};
    for (size_t i = 1; i < train; i += 3)
        list[count++] = (uint32_t)i;
    struct rg_data_kept keep = {.train = true, .test = true, .own = list, .own_count = count};
    CU_ASSERT_FATAL(rg_dataset_probe(spec, &data, &e) == 0);
    CU_ASSERT(rg_dataset_bytes(&data, keep) ==
              count * (data.x_bytes + row + 4) + (size_t)data.test * (data.x_bytes + row));
    if (targets.classes > 0 && targets.count == 1)
        expect_labels(spec, &data, whole);
    CU_ASSERT_FATAL(rg_dataset_read(spec, keep, &data, &e) == 0);
    draw_all(&data);
    for (size_t i = 0; i < train + (size_t)data.test; i++) {
        bool kept = i >= train || i % 3 == 1;
        const void *target = rg_dataset_target(&data, i);
        CU_ASSERT_FATAL((rg_dataset_x(&data, i) != NULL) == kept);
        CU_ASSERT_FATAL((target != NULL) == kept);
        CU_ASSERT(!kept || memcmp(rg_dataset_x(&data, i), rg_dataset_x(whole, i), bytes) == 0);
        CU_ASSERT(!kept || memcmp(target, rg_dataset_target(whole, i), row) == 0);
    }
    if (count > 1) {
        const uint32_t order[] = {list[count - 1], list[0]};
        float *x = malloc(2 * bytes);
        char *y = malloc(2 * row);
        rg_dataset_gather(&data, order, 2, x, y);
        for (size_t i = 0; i < 2; i++)
            CU_ASSERT(memcmp(x + i * data.inputs, rg_dataset_x(whole, order[i]), bytes) == 0 &&
                      memcmp(y + i * row, rg_dataset_target(whole, order[i]), row) == 0);
        free(x);
        free(y);
    }
    rg_dataset_free(&data);
    free(list);
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
/* rg_loss of a label a sample, of less than 257 classes. */
static inline double cross_entropy(int batch, int classes, const float *logits,
                                   const uint8_t *labels, float scale, float *gradient,
                                   int *correct)
{
    int64_t found = 0;
    const struct rg_targets targets = {1, classes};
    double loss = rg_loss(&targets, batch, logits, labels, scale, gradient, &found);
    *correct += (int)found;
    return loss;
}

struct training {
    int batch, micro_batches, epochs;
    struct rg_optimizer optimizer;
    uint64_t seed;
};

static inline double evaluate(const struct rg_stage *stage, const struct rg_dataset *data,
                              const float *w, float *stash, float *scratch)
{
    struct rg_targets targets = rg_dataset_targets(data);
    int64_t correct = 0;
    for (int i = data->train; i < data->train + data->test; i++) {
        stage_forward(stage, 1, w, data->x + (size_t)i * data->inputs, stash, scratch);
        rg_loss(&targets, 1, rg_stage_output(stage, 1, stash), rg_dataset_target(data, (size_t)i),
                1, NULL, &correct);
    }
    return (double)correct / data->test;
}

static inline double train(const struct rg_network *network, const struct rg_dataset *data,
                           const struct training *how)
{
    struct rg_stage stage = {network, 0, network->layer_count};
    struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
    size_t n = network->parameters;
    struct rg_targets targets = rg_dataset_targets(data);
    int part = how->batch / how->micro_batches;
    int64_t correct = 0;
    float *w = floats(mem, n), *dw = floats(mem, n);
    float *state = floats(mem, rg_optimizer_state(&how->optimizer, n));
    float *x = floats(mem, (size_t)part * data->inputs);
    float *stash = floats(mem, rg_stage_stash(&stage, part));
    float *scratch = floats(mem, rg_stage_scratch(&stage, part));
    float *gradient = floats(mem, (size_t)part * (size_t)network->classes);
    void *labels = rg_mem_plain(mem, (size_t)part * rg_targets_bytes(&targets));
    uint32_t *order = rg_mem_plain(mem, (size_t)data->train * sizeof *order);
    long step = 0;
    RG_ASSERT(rg_network_init(network, 0, network->layer_count, how->seed, w) == 0);
    for (int epoch = 0; epoch < how->epochs; epoch++) {
        RG_ASSERT(rg_dataset_order(data, how->seed, epoch, order) == 0);
        for (int at = 0; at + how->batch <= data->train; at += how->batch) {
            for (int m = 0; m < how->micro_batches; m++) {
                rg_dataset_gather(data, order + at + m * part, part, x, labels);
                stage_forward(&stage, part, w, x, stash, scratch);
                rg_loss(&targets, part, rg_stage_output(&stage, part, stash), labels,
                        1.0f / (float)how->batch, gradient, &correct);
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
