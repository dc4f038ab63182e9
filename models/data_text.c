/* A text to be learnt byte by byte: windows of `context` bytes, every `stride` bytes, whose labels
 * are the bytes that follow each of theirs. Any file is one. Windows that lie in the first nine
 * tenths train, with the byte behind the last, and those in the last tenth test: no byte is in
 * both.
 *
 * The file is mapped (data_map.c): a window's inputs are made, 0 to 255, as it is drawn; labels, a
 * byte each, are in memory. Failure modes handled beside those: a part that is shorter than a
 * window, fewer windows than are wanted. */
#include "models/data.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 64, CONTEXT_MOST = 1 << 16 };

struct text {
    struct rg_data_map file;
    size_t context, stride;
    size_t middle; /* where what tests begins */
};

static void close_text(void *source)
{
    struct text *text = source;
    rg_data_unmap(&text->file);
    free(text);
}

/* Windows with the byte behind them in so many bytes. */
static uint64_t windows_in(const struct text *text, size_t bytes)
{
    return bytes > text->context ? (bytes - text->context - 1) / text->stride + 1 : 0;
}

static size_t start_of(const struct rg_dataset *data, size_t sample)
{
    const struct text *text = data->source;
    size_t train = (size_t)data->train;
    return sample < train ? sample * text->stride : text->middle + (sample - train) * text->stride;
}

static int count_windows(const struct text *text, const struct rg_data_spec *spec,
                         struct rg_dataset *data, struct rg_error *e)
{
    const char *path = rg_data_string(spec, "file");
    uint64_t train = windows_in(text, text->middle);
    uint64_t test = windows_in(text, text->file.size - text->middle);
    if (train < 1 || test < 1)
        return rg_data_fail(spec, e,
                            "%s has %zu bytes: a window of %zu and the byte behind it must fit "
                            "into its last tenth, too",
                            path, text->file.size, text->context);
    if (spec->train < 0 || spec->test < 0 || (uint64_t)spec->train > train ||
        (uint64_t)spec->test > test)
        return rg_data_fail(spec, e,
                            "train=\"%d\" test=\"%d\": %s has %" PRIu64
                            " windows to train and %" PRIu64 " to test",
                            spec->train, spec->test, path, train, test);
    if (train > INT_MAX || test > INT_MAX)
        return rg_data_fail(spec, e, "%s: more than %d windows; a larger stride makes fewer", path,
                            INT_MAX);
    data->train = spec->train > 0 ? spec->train : (int)train;
    data->test = spec->test > 0 ? spec->test : (int)test;
    return rg_data_note(data, e, "windows of %zu bytes, every %zu of %zu", text->context,
                        text->stride, text->file.size);
}

static int probe(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    struct text *text = calloc(1, sizeof *text);
    if (!text)
        return rg_fail(e, RG_ERR_NOMEM, "out of memory");
    data->source = text;
    int context = rg_data_number(spec, "context"), stride = rg_data_number(spec, "stride");
    int err = rg_data_map(spec, rg_data_string(spec, "file"), &text->file, e);
    if (err < 0)
        return err;
    text->context = context > 0 ? (size_t)context : CONTEXT;
    text->stride = stride > 0 ? (size_t)stride : text->context;
    text->middle = text->file.size - text->file.size / 10;
    data->shape = (struct rg_shape){(int)text->context, 1, 1};
    data->classes = 256;
    data->target_count = (int)text->context;
    data->drawn = true;
    return count_windows(text, spec, data, e);
}

static int fill(const struct rg_data_spec *spec, struct rg_dataset *data, struct rg_error *e)
{
    const struct text *text = data->source;
    (void)spec, (void)e;
    for (size_t i = 0; i < (size_t)data->train + (size_t)data->test; i++) {
        void *labels = rg_dataset_target(data, i);
        if (labels)
            memcpy(labels, text->file.bytes + start_of(data, i) + 1, text->context);
    }
    return 0;
}

static void row(const struct rg_dataset *data, size_t sample, float *x)
{
    const struct text *text = data->source;
    const unsigned char *bytes = text->file.bytes + start_of(data, sample);
    for (size_t i = 0; i < text->context; i++)
        x[i] = bytes[i];
}

static const struct rg_data_attribute attributes[] = {
    {"file", RG_DATA_FILE, true, .help = "any file; its bytes are the tokens"},
    {"context", RG_DATA_COUNT, .min = 1, .max = CONTEXT_MOST,
     .help = "bytes of a window; default: 64"},
    {"stride", RG_DATA_COUNT, .min = 1, .max = 1 << 30,
     .help = "bytes from window to window; default: context"},
    {0},
};

const struct rg_data_kind rg_data_text = {
    .name = "text",
    .summary = "the bytes of a file, each to be told from those before it",
    .attributes = attributes,
    .tokens = true,
    .probe = probe,
    .fill = fill,
    .row = row,
    .close = close_text,
};
