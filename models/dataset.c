#include "models/dataset.h"

#include "base/check.h"
#include "base/random.h"
#include "models/data.h"
#include "models/layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rg_data_fail(const struct rg_data_spec *spec, struct rg_error *e, const char *format, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return rg_fail_at(e, spec->where ? spec->where : "data", spec->line, "%s", text);
}

int rg_data_split(const struct rg_data_spec *spec, const char *file, int total,
                  struct rg_dataset *data, struct rg_error *e)
{
    long train = spec->train, test = spec->test;
    if (train < 0 || test < 0 || train + test > total || train >= total || test >= total)
        return rg_data_fail(spec, e,
                            "train=\"%ld\" test=\"%ld\": %s holds %d samples; both need at least "
                            "one, and together no more than that",
                            train, test, file, total);
    if (test == 0)
        test = train > 0 ? total - train : RG_MAX(total / 5, 1);
    if (train == 0)
        train = total - test;
    if (train == 0)
        return rg_data_fail(spec, e, "%s holds %d sample: at least 2 are needed", file, total);
    data->train = (int)train;
    data->test = (int)test;
    return 0;
}

/* `random`: shapes for speed measurements; values and labels mean nothing. */
static int probe_random(const struct rg_data_spec *spec, struct rg_dataset *data,
                        struct rg_error *e)
{
    if (spec->inputs < 1 || spec->inputs > RG_MAX_WIDTH)
        return rg_data_fail(spec, e, "inputs=\"%d\" of random data: 1 to %d are allowed",
                            spec->inputs, RG_MAX_WIDTH);
    if (spec->classes < 1 || spec->classes > 256)
        return rg_data_fail(spec, e, "classes=\"%d\" of random data: 1 to 256 are allowed",
                            spec->classes);
    if (spec->train < 0 || spec->test < 0)
        return rg_data_fail(spec, e, "train=\"%d\" test=\"%d\": 1 and more are allowed",
                            spec->train, spec->test);
    data->shape = (struct rg_shape){spec->inputs, 1, 1};
    data->classes = spec->classes;
    data->train = spec->train > 0 ? spec->train : 1024;
    data->test = spec->test > 0 ? spec->test : 128;
    return 0;
}

static int fill_random(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct rg_random *random = rg_random_new(spec->seed, RG_STREAM_DATA, 0);
    if (!random)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    size_t samples = (size_t)data->train + (size_t)data->test;
    for (size_t i = 0; i < samples; i++) {
        data->labels[i] = (uint8_t)rg_random_below(random, (uint32_t)data->classes);
        for (size_t j = 0; j < data->inputs; j++)
            data->x[i * data->inputs + j] = (float)rg_random_gaussian(random, 1);
    }
    rg_random_free(random);
    return 0;
}

static const struct rg_data_ops random_ops = {.probe = probe_random, .fill = fill_random};

static const struct rg_data_ops *const kinds[] = {
    [RG_DATA_DIGITS] = &rg_data_digits, [RG_DATA_IRIS] = &rg_data_csv,
    [RG_DATA_IDX] = &rg_data_idx,       [RG_DATA_CSV] = &rg_data_csv,
    [RG_DATA_RANDOM] = &random_ops,
};

int rg_dataset_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    RG_ASSERT((size_t)spec->kind < RG_COUNT(kinds));
    *data = (struct rg_dataset){0};
    int err = kinds[spec->kind]->probe(spec, data, e);
    if (err < 0) {
        *data = (struct rg_dataset){0};
        return err;
    }
    struct rg_shape s = data->shape;
    data->inputs = (size_t)s.channels * (size_t)s.height * (size_t)s.width;
    return 0;
}

int rg_dataset_load(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    int err = rg_dataset_probe(spec, data, e);
    if (err < 0)
        return err;
    size_t samples = (size_t)data->train + (size_t)data->test;
    if (samples <= SIZE_MAX / 8 / data->inputs) {
        data->x = malloc(samples * data->inputs * sizeof *data->x);
        data->labels = malloc(samples);
    }
    if (!data->x || !data->labels)
        err = rg_fail(e, RG_ERR_NOMEM, "no memory for %zu samples of %zu values", samples,
                      data->inputs);
    else
        err = kinds[spec->kind]->fill(spec, data, e);
    if (err < 0)
        rg_dataset_free(data);
    return err;
}

void rg_dataset_free(struct rg_dataset *data)
{
    free(data->x);
    free(data->labels);
    free(data->mean);
    free(data->deviation);
    *data = (struct rg_dataset){0};
}

int rg_dataset_order(const struct rg_dataset *data, uint64_t seed, int epoch, uint32_t *order)
{
    struct rg_random *random = rg_random_new(seed, RG_STREAM_SHUFFLE, (uint64_t)epoch);
    if (!random)
        return RG_ERR_NOMEM;
    rg_random_permutation(random, order, (uint32_t)data->train);
    rg_random_free(random);
    return 0;
}

void rg_dataset_gather(const struct rg_dataset *data, const uint32_t *order, int n, float *x,
                       uint8_t *labels)
{
    size_t inputs = data->inputs;
    for (int i = 0; i < n; i++) {
        if (x)
            memcpy(x + (size_t)i * inputs, data->x + (size_t)order[i] * inputs, inputs * sizeof *x);
        if (labels)
            labels[i] = data->labels[order[i]];
    }
}

void rg_dataset_gather_work(size_t inputs, int n, struct rg_work *work)
{
    rg_work_vector(work, 0, 2 * sizeof(float) * (double)inputs * n);
}
