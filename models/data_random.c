/* Noise of a shape, for measurements of speed: its values and targets mean nothing. */
#include "models/data.h"

#include "base/random.h"
#include "models/layers.h"

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    int inputs = rg_data_number(spec, "inputs"), classes = rg_data_number(spec, "classes");
    if (inputs < 1 || inputs > RG_MAX_WIDTH)
        return rg_data_fail(spec, e, "inputs=\"%d\" of random data: 1 to %d are allowed", inputs,
                            RG_MAX_WIDTH);
    if (classes < 1 || classes > RG_MAX_WIDTH)
        return rg_data_fail(spec, e, "classes=\"%d\" of random data: 1 to %d are allowed", classes,
                            RG_MAX_WIDTH);
    data->shape = (struct rg_shape){inputs, 1, 1};
    data->classes = spec->numbers ? 0 : classes;
    data->target_count = spec->numbers ? classes : 1;
    return rg_data_counts(spec, 1024, 128, data, e);
}

/* A sample behind it in the stream; x and numbers, NULL: not wanted. Returns its label, or 0. */
static int draw(struct rg_random *random, const struct rg_data_spec *spec,
                const struct rg_dataset *data, float *x, float *numbers)
{
    int label = data->classes ? (int)rg_random_below(random, (uint32_t)data->classes) : 0;
    for (int j = 0; j < data->target_count && data->classes == 0; j++) {
        float value = (float)rg_random_gaussian(random, 1);
        if (numbers)
            numbers[j] = value;
    }
    for (size_t j = 0; j < data->inputs; j++) {
        float value = spec->tokens > 0 ? (float)rg_random_below(random, (uint32_t)spec->tokens)
                                       : (float)rg_random_gaussian(random, 1);
        if (x)
            x[j] = value;
    }
    return label;
}

static int labels(const struct rg_data_spec *spec, const struct rg_dataset *data, int *label)
{
    struct rg_random *random = rg_random_new(spec->seed, RG_STREAM_DATA, 0);
    if (!random)
        return RG_ERR_NOMEM;
    for (int i = 0; i < data->train; i++)
        label[i] = draw(random, spec, data, NULL, NULL);
    rg_random_free(random);
    return 0;
}

static int fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct rg_random *random = rg_random_new(spec->seed, RG_STREAM_DATA, 0);
    if (!random)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    size_t samples = (size_t)data->train + (size_t)data->test;
    for (size_t i = 0; i < samples; i++) { /* whether kept or not: those behind it come after it */
        float *x = rg_dataset_x(data, i);
        int label = draw(random, spec, data, x, data->classes ? NULL : rg_dataset_target(data, i));
        if (x && data->classes > 0)
            rg_dataset_set_label(data, i, label);
    }
    rg_random_free(random);
    return 0;
}

static const struct rg_data_attribute attributes[] = {
    {"inputs", RG_DATA_COUNT, true, .min = 1, .max = 1 << 24, .help = "values a sample"},
    {"classes", RG_DATA_COUNT, true, .min = 1, .max = RG_DATA_CLASSES,
     .help = "how many labels there are; with loss=\"mean-squared-error\": numbers a sample"},
    {0},
};

const struct rg_data_kind rg_data_random = {
    .name = "random",
    .summary = "noise of a shape, for measuring time",
    .attributes = attributes,
    .numbers = true,
    .probe = probe,
    .labels = labels,
    .fill = fill,
};
