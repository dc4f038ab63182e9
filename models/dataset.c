#include "models/dataset.h"

#include "base/check.h"
#include "base/random.h"
#include "base/sizes.h"
#include "models/data.h"

#include <math.h>
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

static int refuse_numbers(const struct rg_data_spec *spec, struct rg_error *e)
{
    char kinds[200] = "";
    for (int i = 0; rg_data_kinds[i]; i++)
        if (rg_data_kinds[i]->numbers)
            rg_data_list(kinds, sizeof kinds, "%s", rg_data_kinds[i]->name);
    return rg_data_fail(spec, e,
                        "data of kind %s have classes, and the network has "
                        "loss=\"mean-squared-error\": %s are allowed",
                        spec->kind->name, kinds);
}

int rg_dataset_probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    *data = (struct rg_dataset){.kind = spec->kind, .target_count = 1};
    int err = spec->numbers && !spec->kind->numbers ? refuse_numbers(spec, e)
                                                    : spec->kind->probe(spec, data, e);
    if (err < 0) {
        rg_dataset_free(data);
        return tidy(err, e);
    }
    struct rg_shape s = data->shape;
    data->inputs = (size_t)s.channels * (size_t)s.height * (size_t)s.width;
    if (!data->drawn)
        data->x_bytes = data->inputs * sizeof *data->x;
    return 0;
}

static void close_source(struct rg_dataset *data)
{
    if (data->source)
        data->kind->close(data->source);
    data->source = NULL;
}

static size_t training_of(const struct rg_dataset *data, struct rg_data_kept keep)
{
    return !keep.train ? 0 : keep.own ? keep.own_count : (size_t)data->train;
}

static size_t samples_of(const struct rg_dataset *data, struct rg_data_kept keep)
{
    return training_of(data, keep) + (keep.test ? (size_t)data->test : 0);
}

/* Of the targets of a sample. */
static size_t target_bytes(const struct rg_dataset *data)
{
    struct rg_targets targets = rg_dataset_targets(data);
    return rg_targets_bytes(&targets);
}

/* Room for the samples that data->kept names. */
static int make_room(struct rg_dataset *data, struct rg_error *e)
{
    size_t samples = samples_of(data, data->kept), row = target_bytes(data);
    if (samples <= SIZE_MAX / 8 / RG_MAX(data->inputs, row)) {
        data->x = data->drawn ? NULL : malloc(samples * data->inputs * sizeof *data->x);
        data->targets = malloc(samples * row);
    }
    return (data->x || data->drawn) && data->targets
               ? 0
               : rg_fail(e, RG_ERR_NOMEM, "no memory for %zu samples of %zu values", samples,
                         data->inputs);
}

static void move(struct rg_dataset *data, size_t from, size_t to, size_t count)
{
    size_t row = target_bytes(data);
    char *targets = data->targets;
    if (data->x)
        memmove(data->x + to * data->inputs, data->x + from * data->inputs,
                count * data->inputs * sizeof *data->x);
    memmove(targets + to * row, targets + from * row, count * row);
}

/* All training samples have done their part: those that are to stay move together. */
static void leave(struct rg_dataset *data, struct rg_data_kept keep)
{
    size_t training = training_of(data, keep), count = samples_of(data, keep);
    for (size_t i = 0; i < training && keep.own; i++)
        move(data, keep.own[i], i, 1);
    move(data, (size_t)data->train, training, count - training);
    float *x = data->x ? realloc(data->x, count * data->inputs * sizeof *data->x) : NULL;
    void *targets = realloc(data->targets, count * target_bytes(data));
    data->x = x ? x : data->x;
    data->targets = targets ? targets : data->targets;
    data->kept = keep;
}

static int read_samples(const struct rg_data_spec *spec, struct rg_data_kept keep,
                        struct rg_dataset *data, struct rg_error *e)
{
    data->kept = keep;
    if (data->by_training)
        data->kept = (struct rg_data_kept){.train = true, .test = keep.test};
    int err = make_room(data, e);
    if (err == 0)
        err = spec->kind->fill(spec, data, e);
    if (err == 0 && samples_of(data, data->kept) > samples_of(data, keep))
        leave(data, keep);
    return err;
}

/* The list becomes the dataset's. */
static int own_list(struct rg_dataset *data, struct rg_data_kept *keep, struct rg_error *e)
{
    if (!keep->train || !keep->own)
        keep->own = NULL, keep->own_count = 0;
    if (!keep->own)
        return 0;
    data->own = malloc((keep->own_count + 1) * sizeof *data->own);
    if (!data->own)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    memcpy(data->own, keep->own, keep->own_count * sizeof *data->own);
    keep->own = data->own;
    return 0;
}

/* What is no token an embedding would take for its nearest. */
static int check_tokens(const struct rg_data_spec *spec, const struct rg_dataset *data,
                        struct rg_error *e)
{
    float *x = malloc(data->inputs * sizeof *x), wrong = -1;
    size_t samples = (size_t)data->train + (size_t)data->test;
    bool good = true;
    if (!x)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < samples && good; i++) {
        if (!rg_dataset_target(data, i))
            continue; /* not kept */
        rg_dataset_copy_x(data, i, x);
        for (size_t j = 0; j < data->inputs && good; j++) {
            good = x[j] >= 0 && x[j] < (float)spec->tokens && x[j] == floorf(x[j]);
            wrong = x[j];
        }
    }
    free(x);
    return good ? 0
                : rg_data_fail(spec, e,
                               "an input of a sample is %g: the network's embedding takes tokens, "
                               "whole numbers from 0 to %d",
                               wrong, spec->tokens - 1);
}

int rg_dataset_read(const struct rg_data_spec *spec, struct rg_data_kept keep,
                    struct rg_dataset *data, struct rg_error *e)
{
    int err = own_list(data, &keep, e);
    if (err == 0 && samples_of(data, keep) > 0)
        err = read_samples(spec, keep, data, e);
    if (err == 0 && spec->tokens > 0 && !spec->kind->tokens)
        err = check_tokens(spec, data, e);
    data->read = true;
    if (err == 0 && data->wanted_mean && !data->mean)
        err = rg_data_note(data, e,
                           "the network was trained on inputs that were standardised; those of "
                           "kind=\"%s\" are not",
                           spec->kind->name);
    if (err < 0)
        rg_dataset_free(data);
    if (!data->drawn)
        close_source(data);
    return tidy(err, e);
}

int rg_dataset_load(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    int err = rg_dataset_probe(spec, data, e);
    return err < 0
               ? err
               : rg_dataset_read(spec, (struct rg_data_kept){.train = true, .test = true}, data, e);
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
    free(data->own);
    free(data->x);
    free(data->targets);
    free(data->mean);
    free(data->deviation);
    free(data->scale);
    free(data->wanted_mean);
    free(data->wanted_deviation);
    *data = (struct rg_dataset){0};
}

uint64_t rg_dataset_bytes(const struct rg_dataset *data, struct rg_data_kept keep)
{
    uint64_t order = sizeof(uint32_t) * (uint64_t)training_of(data, keep);
    uint64_t sample = data->x_bytes + target_bytes(data);
    return rg_size_plus(rg_size_times(samples_of(data, keep), sample), order);
}

static size_t index_among(const uint32_t *list, size_t count, size_t sample)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle] < sample)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && list[low] == sample ? low : SIZE_MAX;
}

/* Where a sample stands among those kept; SIZE_MAX: it is not. */
static size_t index_of(const struct rg_dataset *data, size_t sample)
{
    const struct rg_data_kept *kept = &data->kept;
    size_t train = (size_t)data->train;
    if (sample < train ? !kept->train : !kept->test)
        return SIZE_MAX;
    if (sample >= train)
        return sample - train + training_of(data, *kept);
    return kept->own ? index_among(kept->own, kept->own_count, sample) : sample;
}

float *rg_dataset_x(const struct rg_dataset *data, size_t sample)
{
    size_t i = index_of(data, sample);
    return i == SIZE_MAX || !data->x ? NULL : data->x + i * data->inputs;
}

/* The inputs of a sample that stands at `at` among those kept. */
static void copy_x(const struct rg_dataset *data, size_t sample, size_t at, float *x)
{
    if (!data->drawn) {
        memcpy(x, data->x + at * data->inputs, data->inputs * sizeof *x);
        return;
    }
    data->kind->row(data, sample, x);
    if (data->scale)
        rg_data_scale_row(data, x);
}

void rg_dataset_copy_x(const struct rg_dataset *data, size_t sample, float *x)
{
    size_t at = index_of(data, sample);
    RG_ASSERT(at != SIZE_MAX);
    copy_x(data, sample, at, x);
}

struct rg_targets rg_dataset_targets(const struct rg_dataset *data)
{
    return (struct rg_targets){.count = data->target_count, .classes = data->classes};
}

void *rg_dataset_target(const struct rg_dataset *data, size_t sample)
{
    size_t i = index_of(data, sample);
    return i == SIZE_MAX ? NULL : (char *)data->targets + i * target_bytes(data);
}

int32_t rg_dataset_label(const struct rg_dataset *data, size_t sample)
{
    struct rg_targets targets = rg_dataset_targets(data);
    RG_ASSERT(data->target_count == 1 && data->classes > 0);
    return rg_target_label(&targets, rg_dataset_target(data, sample), 0);
}

void rg_dataset_set_label(struct rg_dataset *data, size_t sample, int32_t label)
{
    struct rg_targets targets = rg_dataset_targets(data);
    RG_ASSERT(data->target_count == 1 && label >= 0 && label < data->classes);
    rg_target_set_label(&targets, rg_dataset_target(data, sample), 0, label);
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
                       void *targets)
{
    size_t inputs = data->inputs, row = target_bytes(data);
    for (int i = 0; i < n; i++) {
        size_t at = index_of(data, order[i]);
        RG_ASSERT(at != SIZE_MAX);
        if (x)
            copy_x(data, order[i], at, x + (size_t)i * inputs);
        if (targets)
            memcpy((char *)targets + (size_t)i * row, (char *)data->targets + at * row, row);
    }
}

void rg_dataset_gather_work(size_t inputs, int n, struct rg_work *work)
{
    rg_work_vector(work, 0, 2 * sizeof(float) * (double)inputs * n);
    rg_work_part(work, work->count - 1, (struct rg_part){.kind = RG_PART_LOAD, .samples = n});
}
