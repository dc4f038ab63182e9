/* Checkpoints of a whole training.
 *
 * Happy path: the numbers go to a file of their own, then the facts with their digest to another,
 * each whole or not at all; older ones are removed. Reading takes the newest whose digest is right.
 * Failure modes handled: what has no right digest is passed over, and said; checkpoints of another
 * network, or of a version that this one does not know, are refused; a disk that is full or cannot
 * be written leaves what was there. */
#include "result/training_state.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/file.h"
#include "result/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FACTS "\"facts\": " /* in front of them; the digest's own words come before */

enum { MOST_FACTS = 1 << 26, BLOCK = 1 << 16 };
enum { FLAGS = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK }; /* a pipe is not waited for */

/* ---- in memory ---- */

void rg_training_state_free(struct rg_training_state *state)
{
    for (int i = 0; i < state->array_count; i++)
        free(state->arrays[i].values);
    free(state->arrays);
    free(state->training);
    free(state->plan);
    *state = (struct rg_training_state){0};
}

struct rg_training_array *rg_training_array(const struct rg_training_state *state, const char *name,
                                            bool own, int rank, size_t first)
{
    for (int i = 0; i < state->array_count; i++) {
        struct rg_training_array *a = &state->arrays[i];
        if (strcmp(a->name, name) == 0 &&
            (own ? a->rank == rank && a->first == first : a->rank < 0))
            return a;
    }
    return NULL;
}

struct rg_training_array *rg_training_array_add(struct rg_training_state *state, const char *name,
                                                int rank, size_t first, size_t count)
{
    struct rg_training_array *more =
        realloc(state->arrays, ((size_t)state->array_count + 1) * sizeof *more);
    if (!more)
        return NULL;
    state->arrays = more;
    struct rg_training_array *a = &more[state->array_count];
    *a = (struct rg_training_array){.rank = rank, .first = first, .count = count};
    rg_copy_text(a->name, sizeof a->name, name);
    a->values = calloc(count + 1, sizeof *a->values);
    if (!a->values)
        return NULL;
    state->array_count++;
    return a;
}

static int list_tensors(const struct rg_training_state *state, const struct rg_network *network,
                        struct rg_tensors *list)
{
    int err = 0;
    for (int i = 0; i < state->array_count && err == 0; i++) {
        const struct rg_training_array *a = &state->arrays[i];
        char name[96];
        snprintf(name, sizeof name, "rank %d/%s %zu", a->rank, a->name, a->first);
        err = a->rank < 0 ? rg_tensors_add_network(list, network, i == 0 ? NULL : a->name)
                          : rg_tensors_add(list, name, a->count);
    }
    return err;
}

/* ---- folders ---- */

static void name_file(const char *folder, int64_t iterations, const char *ending, char *path,
                      size_t size)
{
    snprintf(path, size, "%s/checkpoint-%" PRId64 ".%s", folder, iterations, ending);
}

/* "checkpoint-500.json": 500; -1: it is no such name. */
static int64_t iterations_of(const char *name, const char *ending)
{
    static const char prefix[] = "checkpoint-";
    char *end;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return -1;
    const char *digits = name + sizeof prefix - 1;
    if (digits[0] < '0' || digits[0] > '9')
        return -1;
    int64_t iterations = strtoll(digits, &end, 10);
    return *end == '.' && strcmp(end + 1, ending) == 0 ? iterations : -1;
}

/* The largest below `below` that the folder has; -1: none. */
static int64_t newest(const char *folder, int64_t below)
{
    DIR *dir = opendir(folder);
    int64_t found = -1;
    for (struct dirent *at; dir && (at = readdir(dir)) != NULL;) {
        int64_t iterations = iterations_of(at->d_name, "json");
        if (iterations < below)
            found = RG_MAX(found, iterations);
    }
    if (dir)
        closedir(dir);
    return found;
}

int64_t rg_training_newest(const char *folder)
{
    return newest(folder, INT64_MAX);
}

int rg_training_folder(const char *folder, bool goes_on, struct rg_error *e)
{
    struct stat status;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return rg_fail(e, RG_ERR_INVALID, "%.300s: cannot be made: %s", folder, strerror(errno));
    if (stat(folder, &status) != 0 || !S_ISDIR(status.st_mode))
        return rg_fail(e, RG_ERR_INVALID, "%.300s: is no folder, one is wanted", folder);
    if (access(folder, W_OK | X_OK) != 0)
        return rg_fail(e, RG_ERR_INVALID, "%.300s: cannot write: %s", folder, strerror(errno));
    int64_t there = rg_training_newest(folder);
    if (there >= 0 && !goes_on)
        return rg_fail(e, RG_ERR_INVALID,
                       "%.200s: has checkpoint-%" PRId64 ".json of another run: another folder is "
                       "wanted, or --resume-from %.200s to go on from it",
                       folder, there, folder);
    return 0;
}

/* "checkpoint-500.json.part-...": of a process that was killed while it gave a file its name. */
static bool is_left_over(const char *name)
{
    static const char *const endings[] = {"json", "safetensors"};
    const char *part = strstr(name, ".part-");
    char whole[64];
    if (!part || part - name >= (ptrdiff_t)sizeof whole)
        return false;
    snprintf(whole, sizeof whole, "%.*s", (int)(part - name), name);
    return iterations_of(whole, endings[0]) >= 0 || iterations_of(whole, endings[1]) >= 0;
}

/* Of all others both files go, the one that vouches for the other first; whether that is on the
 * disk does not matter. One process at a time writes to a folder: what is half done is nobody's. */
static void remove_others(const char *folder, int64_t this_one, int64_t previous)
{
    static const char *const endings[] = {"json", "safetensors"};
    for (size_t i = 0; i < RG_COUNT(endings); i++) {
        DIR *dir = opendir(folder);
        for (struct dirent *at; dir && (at = readdir(dir)) != NULL;) {
            int64_t iterations = iterations_of(at->d_name, endings[i]);
            bool old = iterations >= 0 && iterations != this_one && iterations != previous;
            if (old || is_left_over(at->d_name))
                unlinkat(dirfd(dir), at->d_name, 0);
        }
        if (dir)
            closedir(dir);
    }
}

/* ---- writing ---- */

static int write_metadata(struct rg_json *j, void *arg)
{
    const struct rg_training_state *state = arg;
    char iterations[24];
    snprintf(iterations, sizeof iterations, "%" PRId64, state->iterations);
    rg_json_text(j, "format", RG_TRAINING_SCHEMA);
    rg_json_text(j, "network", state->network);
    rg_json_text(j, "iterations", iterations);
    return 0;
}

static int write_tensors(const struct rg_training_state *state, const struct rg_network *network,
                         const char *path, struct rg_error *e)
{
    struct rg_tensors list = {0};
    struct rg_file file;
    int err = list_tensors(state, network, &list);
    if (err)
        rg_fail(e, err, "%.300s: out of memory", path);
    if (err == 0)
        err = rg_file_open_plain(&file, path, e);
    if (err) {
        rg_tensors_free(&list);
        return err;
    }
    err = rg_tensors_write_header(file.stream, &list, write_metadata, (void *)state);
    for (int i = 0; i < state->array_count && err == 0; i++)
        rg_write_floats(file.stream, state->arrays[i].values, state->arrays[i].count);
    rg_tensors_free(&list);
    if (err) {
        rg_file_abandon(&file);
        return rg_fail(e, err, "%.300s: out of memory", path);
    }
    return rg_file_commit(&file, e);
}

static void write_points(struct rg_json *j, const struct rg_training_state *state)
{
    rg_json_array(j, "training", false);
    for (int i = 0; i < state->point_count; i++) {
        const struct rg_run_point *p = &state->training[i];
        rg_json_object(j, NULL, true);
        rg_json_whole(j, "iteration", p->iteration);
        rg_json_real(j, "time_s", p->time_s);
        rg_json_real(j, "energy_J", p->energy_J);
        rg_json_real(j, "loss", p->loss);
        rg_json_real(j, "accuracy", p->accuracy);
        rg_json_close(j);
    }
    rg_json_close(j);
}

static void write_arrays(struct rg_json *j, const struct rg_training_state *state)
{
    rg_json_array(j, "arrays", false);
    for (int i = 0; i < state->array_count; i++) {
        const struct rg_training_array *a = &state->arrays[i];
        rg_json_object(j, NULL, true);
        rg_json_text(j, "name", a->name);
        rg_json_whole(j, "rank", a->rank);
        rg_json_count(j, "first", a->first);
        rg_json_count(j, "count", a->count);
        rg_json_close(j);
    }
    rg_json_close(j);
}

/* Malloc'ed, without the end of the last line; NULL: no memory. */
static char *facts_text(const struct rg_training_state *state)
{
    char *text = NULL, seed[24];
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return NULL;
    struct rg_json j = {.stream = stream};
    snprintf(seed, sizeof seed, "%" PRIu64, state->seed); /* more than JSON's readers promise */
    rg_json_object(&j, NULL, false);
    rg_json_text(&j, "version", state->version);
    rg_json_text(&j, "network", state->network);
    rg_json_text(&j, "strategy", state->strategy);
    rg_json_text(&j, "plan", state->plan);
    rg_json_text(&j, "optimizer", state->optimizer);
    rg_json_text(&j, "scenario_sha256", state->scenario_sha256);
    rg_json_text(&j, "seed", seed);
    rg_json_whole(&j, "nodes", state->nodes);
    rg_json_whole(&j, "batch", state->batch);
    rg_json_whole(&j, "samples", state->samples);
    rg_json_whole(&j, "iterations", state->iterations);
    rg_json_whole(&j, "iterations_per_epoch", state->iterations_per_epoch);
    rg_json_real(&j, "time_s", state->time_s);
    rg_json_real(&j, "energy_J", state->energy_J);
    rg_json_whole(&j, "in_vain", state->in_vain);
    rg_json_whole(&j, "best_iteration", state->best.iteration);
    rg_json_real(&j, "best_loss", state->best.loss);
    rg_json_real(&j, "best_accuracy", state->best.accuracy);
    write_points(&j, state);
    write_arrays(&j, state);
    rg_json_close(&j);
    if (fclose(stream) != 0) {
        free(text);
        return NULL;
    }
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    return text;
}

/* Of the facts, and of all that the other file has; *bytes: how many these are. */
static int digest_of(const char *facts, size_t length, const char *tensors, uint64_t *bytes,
                     char sha256[RG_DIGEST_TEXT], struct rg_error *e)
{
    int fd = open(tensors, FLAGS);
    FILE *stream = fd >= 0 ? fdopen(fd, "rb") : NULL;
    char *block = malloc(BLOCK);
    struct rg_digest *digest = rg_digest_new();
    int err =
        !stream ? rg_fail(e, RG_ERR_IO, "%.300s: cannot be read: %s", tensors, strerror(errno)) : 0;
    if (!block || !digest)
        err = rg_fail(e, RG_ERR_NOMEM, "%.300s: out of memory", tensors);
    *bytes = 0;
    if (err == 0)
        rg_digest_add(digest, facts, length);
    for (size_t some; err == 0 && (some = fread(block, 1, BLOCK, stream)) > 0; *bytes += some)
        rg_digest_add(digest, block, some);
    if (err == 0 && ferror(stream))
        err = rg_fail(e, RG_ERR_IO, "%.300s: cannot be read: %s", tensors, strerror(errno));
    if (digest)
        rg_digest_end(digest, sha256);
    free(block);
    if (stream)
        fclose(stream);
    else if (fd >= 0)
        close(fd);
    return err;
}

static int write_facts(const struct rg_training_state *state, const char *path, const char *tensors,
                       uint64_t *bytes, struct rg_error *e)
{
    char sha256[RG_DIGEST_TEXT];
    struct rg_file file;
    char *facts = facts_text(state);
    int err = facts ? digest_of(facts, strlen(facts), tensors, bytes, sha256, e)
                    : rg_fail(e, RG_ERR_NOMEM, "%.300s: out of memory", path);
    if (err == 0)
        err = rg_file_open_plain(&file, path, e);
    if (err == 0) {
        /* the last byte belongs to it: without, it is none */
        int written = fprintf(file.stream,
                              "{\"schema\": \"%s\", \"bytes\": %" PRIu64
                              ", \"sha256\": \"%s\",\n" FACTS "%s}",
                              RG_TRAINING_SCHEMA, *bytes, sha256, facts);
        *bytes += (uint64_t)RG_MAX(written, 0);
        err = rg_file_commit(&file, e);
    }
    free(facts);
    return err;
}

int rg_training_write(const struct rg_training_state *state, const struct rg_network *network,
                      const char *folder, int64_t previous, uint64_t *bytes, struct rg_error *e)
{
    char facts[RG_FILE_PATH], tensors[RG_FILE_PATH];
    name_file(folder, state->iterations, "json", facts, sizeof facts);
    name_file(folder, state->iterations, "safetensors", tensors, sizeof tensors);
    *bytes = 0;
    int err = write_tensors(state, network, tensors, e);
    if (err == 0)
        err = write_facts(state, facts, tensors, bytes, e);
    if (err == 0)
        remove_others(folder, state->iterations, previous);
    return err;
}

/* ---- reading ---- */

/* Of one checkpoint. RG_ERR_IO: it is not whole, another may be; RG_ERR_INVALID: refused. */
struct reader {
    const char *facts_path, *tensors_path;
    const struct rg_network *network;
    struct rg_training_state *state;
    char *text; /* of facts_path */
    size_t length;
    json_t *root, *facts;
    struct rg_error *e;
};

static int read_text(struct reader *r)
{
    struct stat status;
    int fd = open(r->facts_path, FLAGS);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        const char *why = fd < 0 ? strerror(errno) : "a plain file is wanted";
        if (fd >= 0)
            close(fd);
        return rg_fail(r->e, RG_ERR_IO, "%.300s: cannot be read: %s", r->facts_path, why);
    }
    r->length = (size_t)RG_MIN(status.st_size, MOST_FACTS);
    r->text = malloc(r->length + 1);
    FILE *stream = r->text ? fdopen(fd, "rb") : NULL;
    bool whole = stream && fread(r->text, 1, r->length, stream) == r->length;
    if (stream)
        fclose(stream);
    else
        close(fd);
    if (r->text)
        r->text[r->length] = '\0';
    return whole ? 0 : rg_fail(r->e, RG_ERR_IO, "%.300s: cannot be read", r->facts_path);
}

/* The file of numbers says of which schema it is, too: a byte that has turned over in the facts
 * makes no newer version. */
static bool tensors_say(const struct reader *r, const char *schema)
{
    struct rg_tensor_file file;
    struct rg_error unheard = {0};
    if (rg_tensor_file_open(&file, r->tensors_path, O_NOFOLLOW, &unheard) != 0)
        return false;
    bool whole = rg_tensor_file_header(&file, NULL) == 0;
    const char *format = whole ? json_string_value(rg_tensor_file_metadata(&file, "format")) : NULL;
    bool same = format && strcmp(format, schema) == 0;
    rg_tensor_file_close(&file);
    return same;
}

static int check_schema(const struct reader *r)
{
    const char *schema = json_string_value(json_object_get(r->root, "schema"));
    static const char ours[] = "ringtmp-checkpoint-";
    if (!schema)
        return rg_fail(r->e, RG_ERR_IO, "%.300s: is torn: it has no schema", r->facts_path);
    if (strcmp(schema, RG_TRAINING_SCHEMA) == 0)
        return 0;
    if (!tensors_say(r, schema))
        return rg_fail(r->e, RG_ERR_IO, "%.300s: is damaged: %.40s is not what the numbers are of",
                       r->facts_path, schema);
    return rg_fail(r->e, RG_ERR_INVALID, "%.300s: %s (%.40s): %s is allowed", r->facts_path,
                   strncmp(schema, ours, sizeof ours - 1) == 0 ? "a newer version has written it"
                                                               : "is no checkpoint",
                   schema, RG_TRAINING_SCHEMA);
}

static int check_digest(struct reader *r)
{
    const json_t *size = json_object_get(r->root, "bytes");
    const char *wanted = json_string_value(json_object_get(r->root, "sha256"));
    const char *facts = strstr(r->text, FACTS);
    char sha256[RG_DIGEST_TEXT] = "";
    uint64_t bytes = 0;
    if (!facts || !wanted || !json_is_integer(size))
        return rg_fail(r->e, RG_ERR_IO, "%.300s: is torn", r->facts_path);
    facts += strlen(FACTS);
    size_t length = r->length - (size_t)(facts - r->text);
    int err = digest_of(facts, RG_MAX(length, 1) - 1, r->tensors_path, &bytes, sha256, r->e);
    if (err)
        return err == RG_ERR_NOMEM ? err : RG_ERR_IO;
    if (bytes != (uint64_t)json_integer_value(size))
        return rg_fail(r->e, RG_ERR_IO,
                       "%.300s: is torn: %" PRIu64 " bytes of %" JSON_INTEGER_FORMAT,
                       r->tensors_path, bytes, json_integer_value(size));
    return strcmp(sha256, wanted) == 0
               ? 0
               : rg_fail(r->e, RG_ERR_IO, "%.300s: is damaged: its digest is another one",
                         r->tensors_path);
}

/* Facts whose digest is right are as they were written; a missing one is 0 or "". */
static int64_t whole_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static double real_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int read_points(struct reader *r)
{
    const json_t *points = json_object_get(r->facts, "training");
    size_t count = json_array_size(points);
    r->state->training = calloc(count + 1, sizeof *r->state->training);
    if (!r->state->training)
        return rg_fail(r->e, RG_ERR_NOMEM, "%.300s: out of memory", r->facts_path);
    for (size_t i = 0; i < count; i++) {
        const json_t *p = json_array_get(points, i);
        r->state->training[r->state->point_count++] =
            (struct rg_run_point){.iteration = whole_of(p, "iteration"),
                                  .time_s = real_of(p, "time_s"),
                                  .energy_J = real_of(p, "energy_J"),
                                  .loss = real_of(p, "loss"),
                                  .accuracy = real_of(p, "accuracy")};
    }
    return 0;
}

static int read_facts(struct reader *r)
{
    struct rg_training_state *s = r->state;
    const json_t *f = r->facts;
    rg_copy_text(s->version, sizeof s->version, text_of(f, "version"));
    rg_copy_text(s->network, sizeof s->network, text_of(f, "network"));
    rg_copy_text(s->strategy, sizeof s->strategy, text_of(f, "strategy"));
    rg_copy_text(s->optimizer, sizeof s->optimizer, text_of(f, "optimizer"));
    rg_copy_text(s->scenario_sha256, sizeof s->scenario_sha256, text_of(f, "scenario_sha256"));
    s->plan = strdup(text_of(f, "plan"));
    s->seed = strtoull(text_of(f, "seed"), NULL, 10);
    s->nodes = (int)whole_of(f, "nodes");
    s->batch = (int)whole_of(f, "batch");
    s->samples = (int)whole_of(f, "samples");
    s->iterations = whole_of(f, "iterations");
    s->iterations_per_epoch = whole_of(f, "iterations_per_epoch");
    s->time_s = real_of(f, "time_s");
    s->energy_J = real_of(f, "energy_J");
    s->in_vain = (int)whole_of(f, "in_vain");
    s->best = (struct rg_run_best){.iteration = whole_of(f, "best_iteration"),
                                   .loss = real_of(f, "best_loss"),
                                   .accuracy = real_of(f, "best_accuracy")};
    return s->plan ? read_points(r)
                   : rg_fail(r->e, RG_ERR_NOMEM, "%.300s: out of memory", r->facts_path);
}

/* The arrays that there are, without their values; those of the network are as long as this one. */
static int read_arrays(struct reader *r)
{
    const json_t *arrays = json_object_get(r->facts, "arrays");
    size_t parameters = r->network->parameters;
    for (size_t i = 0; i < json_array_size(arrays); i++) {
        const json_t *a = json_array_get(arrays, i);
        int rank = (int)whole_of(a, "rank");
        size_t count = rank < 0 ? parameters : (size_t)whole_of(a, "count");
        if (rank < 0 && (size_t)whole_of(a, "count") != parameters)
            return rg_fail(r->e, RG_ERR_INVALID,
                           "%.300s: is of a network of %" PRId64
                           " parameters (%.60s): one of %zu (%.60s) is wanted",
                           r->facts_path, whole_of(a, "count"), r->state->network, parameters,
                           r->network->name);
        if (!rg_training_array_add(r->state, text_of(a, "name"), rank, (size_t)whole_of(a, "first"),
                                   count))
            return rg_fail(r->e, RG_ERR_NOMEM, "%.300s: out of memory", r->facts_path);
    }
    return 0;
}

static int read_values(struct reader *r)
{
    struct rg_tensors list = {0};
    struct rg_tensor_file file;
    float *values = NULL, *at;
    int err = list_tensors(r->state, r->network, &list);
    if (err)
        return rg_fail(r->e, err, "%.300s: out of memory", r->tensors_path);
    err = rg_tensor_file_open(&file, r->tensors_path, O_NOFOLLOW, r->e);
    if (err == 0)
        err = rg_tensor_file_header(&file, &list);
    if (err == 0)
        err = rg_tensor_file_values(&file, &list, &values);
    at = values;
    for (int i = 0; i < r->state->array_count && err == 0; i++) {
        const struct rg_training_array *a = &r->state->arrays[i];
        memcpy(a->values, at, a->count * sizeof *at);
        at += a->count;
    }
    free(values);
    rg_tensor_file_close(&file);
    rg_tensors_free(&list);
    return err;
}

static int read_checkpoint(struct reader *r)
{
    int err = read_text(r);
    if (err)
        return err;
    r->root = json_loadb(r->text, r->length, JSON_REJECT_DUPLICATES, NULL);
    if (!r->root)
        return rg_fail(r->e, RG_ERR_IO, "%.300s: is torn", r->facts_path);
    r->facts = json_object_get(r->root, "facts");
    err = check_schema(r);
    if (err == 0)
        err = check_digest(r);
    if (err == 0)
        err = read_facts(r);
    if (err == 0)
        err = read_arrays(r);
    return err ? err : read_values(r);
}

static int read_one(const char *folder, int64_t iterations, const struct rg_network *network,
                    struct rg_training_state *state, struct rg_error *e)
{
    char facts[RG_FILE_PATH], tensors[RG_FILE_PATH];
    name_file(folder, iterations, "json", facts, sizeof facts);
    name_file(folder, iterations, "safetensors", tensors, sizeof tensors);
    struct reader r = {
        .facts_path = facts, .tensors_path = tensors, .network = network, .state = state, .e = e};
    *state = (struct rg_training_state){0};
    int err = read_checkpoint(&r);
    json_decref(r.root);
    free(r.text);
    if (err)
        rg_training_state_free(state);
    else
        rg_copy_text(state->path, sizeof state->path, facts);
    return err;
}

int rg_training_read(const char *folder, const struct rg_network *network,
                     struct rg_training_state *state, struct rg_error *e)
{
    return rg_training_read_until(folder, INT64_MAX - 1, network, state, e);
}

int rg_training_read_until(const char *folder, int64_t iterations, const struct rg_network *network,
                           struct rg_training_state *state, struct rg_error *e)
{
    char passed_over[sizeof state->passed_over] = "";
    int err = RG_ERR_IO;
    int64_t at = iterations + 1;
    while (err == RG_ERR_IO && (at = newest(folder, at)) >= 0) {
        err = read_one(folder, at, network, state, e);
        size_t used = strlen(passed_over);
        if (err == RG_ERR_IO)
            snprintf(passed_over + used, sizeof passed_over - used, "%s%.300s", used ? "; " : "",
                     e->text);
    }
    if (err == 0)
        rg_copy_text(state->passed_over, sizeof state->passed_over, passed_over);
    if (err == RG_ERR_IO && passed_over[0])
        return rg_fail(e, RG_ERR_INVALID, "%.160s: no whole checkpoint: %.300s", folder,
                       passed_over);
    if (err == RG_ERR_IO)
        return rg_fail(e, RG_ERR_INVALID,
                       "%.300s: no checkpoint: a folder is wanted that --checkpoint has written to",
                       folder);
    return err;
}
