/* Tables in files: what a scenario says of one, what is read of it, and its refusal. */
#ifndef RG_TESTS_TABLES_FIXTURE_H
#define RG_TESTS_TABLES_FIXTURE_H

#include "models_fixture.h"
#include "scratch.h"

struct word {
    const char *name, *text;
};

/* Of a file, with what else its line 7 says: up to a word without a name. */
static inline struct rg_data_spec spec_of(const char *kind, const char *path,
                                          const struct word *words)
{
    struct rg_data_spec spec = {DATA(kind), .seed = 1, .where = "s.xml", .line = 7};
    say(&spec, "file", path);
    for (; words && words->name; words++)
        if (strcmp(words->name, "train") == 0)
            spec.train = atoi(words->text);
        else if (strcmp(words->name, "test") == 0)
            spec.test = atoi(words->text);
        else
            say(&spec, words->name, words->text);
    return spec;
}

static inline bool has_note(const struct rg_dataset *data, const char *words)
{
    for (int i = 0; i < data->note_count; i++)
        if (strstr(data->notes[i], words))
            return true;
    printf("\n    no note says: %s\n", words);
    for (int i = 0; i < data->note_count; i++)
        printf("    a note: %s\n", data->notes[i]);
    return false;
}

/* All of its samples; and the parts of them are the same, read alone. */
static inline struct rg_dataset load(const struct rg_data_spec *spec)
{
    struct rg_error e = {0};
    struct rg_dataset data;
    if (rg_dataset_load(spec, &data, &e) < 0)
        printf("\n    %s\n", e.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data.x);
    expect_parts(spec, &data);
    return data;
}

/* Is it refused for what stands at `place` ("s.xml:7: ", or "t.csv:3: " of the scratch folder),
 * with all of `words` (separated by '|')? */
static inline bool refuses(const struct rg_data_spec *spec, const char *place, const char *words)
{
    struct rg_error e = {0};
    struct rg_dataset data;
    char path[600];
    int err = rg_dataset_probe(spec, &data, &e);
    snprintf(path, sizeof path, "%s/%s", scratch(), place);
    bool there =
        strncmp(e.text, place, strlen(place)) == 0 || strncmp(e.text, path, strlen(path)) == 0;
    if (!there)
        printf("\n    wanted %s\n    got    %s\n", place, e.text);
    rg_dataset_free(&data);
    return complains(&e, NULL, 0, words) && there && err == RG_ERR_INVALID;
}

/* The value of an input as the file has it, of the sample whose label and other input say which. */
static inline double as_read(const struct rg_dataset *d, int sample, size_t input)
{
    return d->x[(size_t)sample * d->inputs + input] * d->deviation[input] + d->mean[input];
}

#endif
