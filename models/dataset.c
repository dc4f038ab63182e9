#include "models/dataset.h"

#include "base/check.h"
#include "base/random.h"
#include "base/sizes.h"
#include "models/data.h"

#include <stdlib.h>
#include <string.h>

#define RG_DATA(name) extern const struct rg_data_kind rg_data_##name;
#include "models/data.def"
#undef RG_DATA

const struct rg_data_kind *const rg_data_kinds[] = {
#define RG_DATA(name) &rg_data_##name,
#include "models/data.def"
#undef RG_DATA
    NULL};

int rg_data_kind_index(const char *name)
{
    for (int i = 0; rg_data_kinds[i]; i++)
        if (strcmp(rg_data_kinds[i]->name, name) == 0)
            return i;
    return -1;
}

/* What files say may be in a complaint: control characters are not shown. */
static int tidy(int err, struct rg_error *e)
{
    if (err < 0 && e)
        rg_one_line(e->text);
    return err;
}

int rg_dataset_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    *data = (struct rg_dataset){.kind = spec->kind};
    int err = spec->kind->probe(spec, data, e);
    if (err < 0) {
        rg_dataset_free(data);
        return tidy(err, e);
    }
    struct rg_shape s = data->shape;
    data->inputs = (size_t)s.channels * (size_t)s.height * (size_t)s.width;
    return 0;
}

static void close_source(struct rg_dataset *data)
{
    if (data->source)
        data->kind->close(data->source);
    data->source = NULL;
}

static size_t samples_of(const struct rg_dataset *data, struct rg_data_kept keep)
{
    return (keep.train ? (size_t)data->train : 0) + (keep.test ? (size_t)data->test : 0);
}

/* Room for the samples that data->kept names. */
static int make_room(struct rg_dataset *data, struct rg_error *e)
{
    size_t samples = samples_of(data, data->kept);
    if (samples <= SIZE_MAX / 8 / data->inputs) {
        data->x = malloc(samples * data->inputs * sizeof *data->x);
        data->labels = malloc(samples);
    }
    return data->x && data->labels
               ? 0
               : rg_fail(e, RG_ERR_NOMEM, "no memory for %zu samples of %zu values", samples,
                         data->inputs);
}

/* The training samples have done their part: the others move to their place. */
static void leave_test(struct rg_dataset *data)
{
    size_t bytes = (size_t)data->test * data->inputs * sizeof *data->x, count = (size_t)data->test;
    memmove(data->x, rg_dataset_x(data, (size_t)data->train), bytes);
    memmove(data->labels, rg_dataset_label(data, (size_t)data->train), count);
    float *x = realloc(data->x, bytes);
    uint8_t *labels = realloc(data->labels, count);
    data->x = x ? x : data->x;
    data->labels = labels ? labels : data->labels;
    data->kept.train = false;
}

static int read_samples(const struct rg_data_spec *spec, struct rg_data_kept keep,
                        struct rg_dataset *data, struct rg_error *e)
{
    data->kept = keep;
    data->kept.train = keep.train || data->by_training;
    int err = make_room(data, e);
    if (err == 0)
        err = spec->kind->fill(spec, data, e);
    if (err == 0 && !keep.train && data->kept.train)
        leave_test(data);
    return err;
}

int rg_dataset_read(const struct rg_data_spec *spec, struct rg_data_kept keep,
                    struct rg_dataset *data, struct rg_error *e)
{
    int err = samples_of(data, keep) > 0 ? read_samples(spec, keep, data, e) : 0;
    data->read = true;
    if (err == 0 && data->wanted_mean && !data->mean)
        err = rg_data_note(data, e,
                           "the network was trained on inputs that were standardised; those of "
                           "kind=\"%s\" are not",
                           spec->kind->name);
    if (err < 0)
        rg_dataset_free(data);
    close_source(data);
    return tidy(err, e);
}

int rg_dataset_load(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    int err = rg_dataset_probe(spec, data, e);
    return err < 0 ? err : rg_dataset_read(spec, (struct rg_data_kept){true, true}, data, e);
}

static void free_texts(char **texts, int count)
{
    for (int i = 0; i < count && texts; i++)
        free(texts[i]);
    free(texts);
}

void rg_dataset_free(struct rg_dataset *data)
{
    close_source(data);
    free_texts(data->class_names, data->classes);
    for (size_t i = 0; i < data->inputs && data->input_names; i++)
        free(data->input_names[i]);
    free(data->input_names);
    free_texts(data->notes, data->note_count);
    free(data->x);
    free(data->labels);
    free(data->mean);
    free(data->deviation);
    free(data->wanted_mean);
    free(data->wanted_deviation);
    *data = (struct rg_dataset){0};
}

uint64_t rg_dataset_bytes(const struct rg_dataset *data, struct rg_data_kept keep)
{
    uint64_t order = keep.train ? sizeof(uint32_t) * (uint64_t)data->train : 0;
    uint64_t sample = sizeof *data->x * (uint64_t)data->inputs + sizeof *data->labels;
    return rg_size_plus(rg_size_times(samples_of(data, keep), sample), order);
}

/* Where a sample stands among those kept; SIZE_MAX: it is not. */
static size_t index_of(const struct rg_dataset *data, size_t sample)
{
    size_t train = (size_t)data->train;
    if (sample < train ? !data->kept.train : !data->kept.test)
        return SIZE_MAX;
    return data->kept.train ? sample : sample - train;
}

float *rg_dataset_x(const struct rg_dataset *data, size_t sample)
{
    size_t i = index_of(data, sample);
    return i == SIZE_MAX ? NULL : data->x + i * data->inputs;
}

uint8_t *rg_dataset_label(const struct rg_dataset *data, size_t sample)
{
    size_t i = index_of(data, sample);
    return i == SIZE_MAX ? NULL : data->labels + i;
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
    RG_ASSERT(data->kept.train);
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
