/* Checkpoints of a training as files: there and back, cut at every byte, changed in every byte, in
 * folders that have something in the way. */
#include "result/training_state.h"

#include "base/check.h"
#include "scratch.h"
#include "support/suite.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

static struct rg_network make_layers(const char *name, int inputs, int hidden, int outputs)
{
    const struct rg_layer_spec specs[] = {
        {.ops = rg_layer_kind("dense"), .outputs = hidden, .line = 1},
        {.ops = rg_layer_kind("dense"), .outputs = outputs, .line = 2},
    };
    struct rg_network network;
    struct rg_error e = {0};
    CU_ASSERT_EQUAL_FATAL(rg_network_build(&network, name, "net.xml",
                                           (struct rg_shape){1, 1, inputs}, specs, RG_COUNT(specs),
                                           &e),
                          0);
    return network;
}

/* 19 parameters with 4 inputs. */
static struct rg_network make_network(const char *name, int inputs)
{
    return make_layers(name, inputs, 2, 3);
}

static void fill(struct rg_training_array *array, float from)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(array);
    for (size_t i = 0; i < array->count; i++)
        array->values[i] = from + 0.25f * (float)i;
}

static struct rg_training_state make_state(const struct rg_network *network, int64_t iterations)
{
    struct rg_training_state s = {.version = "1.2",
                                  .network = "net",
                                  .strategy = "ring_pipeline",
                                  .optimizer = "momentum",
                                  .scenario_sha256 = "abc",
                                  .plan = strdup("nodes=2 partition=\"1,1\""),
                                  .seed = UINT64_MAX - 1,
                                  .nodes = 2,
                                  .batch = 23,
                                  .samples = 120,
                                  .iterations = iterations,
                                  .iterations_per_epoch = 5,
                                  .time_s = 1.5,
                                  .energy_J = NAN,
                                  .in_vain = 1,
                                  .best = {.iteration = 5, .loss = 0.1, .accuracy = NAN},
                                  .training = calloc(2, sizeof *s.training),
                                  .point_count = 2};
    for (int i = 0; i < 2; i++)
        s.training[i] = (struct rg_run_point){.iteration = 5 * (i + 1),
                                              .time_s = 0.75 * (i + 1),
                                              .energy_J = NAN,
                                              .loss = 0.1 + i,
                                              .accuracy = 0.5};
    fill(rg_training_array_add(&s, "parameters", -1, 0, network->parameters), (float)iterations);
    fill(rg_training_array_add(&s, "velocity", -1, 0, network->parameters), -3);
    fill(rg_training_array_add(&s, "rest", 1, 4, 3), 7);
    return s;
}

static const char *folder(void)
{
    static int number;
    char name[40];
    struct rg_error e = {0};
    snprintf(name, sizeof name, "f%d", number++);
    const char *path = scratch_path(name);
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(path, false, &e), 0);
    return path;
}

static const char *file(const char *at, int iterations, const char *ending)
{
    static char paths[8][600];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/checkpoint-%d.%s", at, iterations, ending);
    return path;
}

static int write_state(const struct rg_network *network, const char *at, int64_t iterations,
                       int64_t previous, struct rg_error *e)
{
    uint64_t bytes;
    struct rg_training_state state = make_state(network, iterations);
    int err = rg_training_write(&state, network, at, previous, &bytes, e);
    rg_training_state_free(&state);
    return err;
}

static void write_two(const struct rg_network *network, const char *at)
{
    struct rg_error e = {0};
    CU_ASSERT_EQUAL_FATAL(write_state(network, at, 10, -1, &e), 0);
    CU_ASSERT_EQUAL_FATAL(write_state(network, at, 15, 10, &e), 0);
}

static void same_arrays(const struct rg_training_state *a, const struct rg_training_state *b)
{
    CU_ASSERT_EQUAL_FATAL(a->array_count, b->array_count);
    for (int i = 0; i < a->array_count; i++) {
        const struct rg_training_array *p = &a->arrays[i], *q = &b->arrays[i];
        CU_ASSERT_STRING_EQUAL(p->name, q->name);
        CU_ASSERT_EQUAL(p->rank, q->rank);
        CU_ASSERT_EQUAL(p->first, q->first);
        CU_ASSERT_EQUAL_FATAL(p->count, q->count);
        CU_ASSERT_EQUAL(memcmp(p->values, q->values, p->count * sizeof *p->values), 0);
    }
}

static void there_and_back(void)
{
    struct rg_network network = make_network("net", 4);
    struct rg_training_state state = make_state(&network, 10), back;
    struct rg_error e = {0};
    uint64_t bytes;
    const char *at = folder();
    CU_ASSERT_EQUAL_FATAL(rg_training_write(&state, &network, at, -1, &bytes, &e), 0);
    CU_ASSERT_EQUAL_FATAL(rg_training_read(at, &network, &back, &e), 0);
    same_arrays(&state, &back);
    CU_ASSERT_STRING_EQUAL(back.version, "1.2");
    CU_ASSERT_STRING_EQUAL(back.network, "net");
    CU_ASSERT_STRING_EQUAL(back.strategy, "ring_pipeline");
    CU_ASSERT_STRING_EQUAL(back.optimizer, "momentum");
    CU_ASSERT_STRING_EQUAL(back.scenario_sha256, "abc");
    CU_ASSERT_STRING_EQUAL(back.plan, "nodes=2 partition=\"1,1\"");
    CU_ASSERT_EQUAL(back.seed, UINT64_MAX - 1);
    CU_ASSERT_TRUE(back.nodes == 2 && back.batch == 23 && back.samples == 120);
    CU_ASSERT_TRUE(back.iterations == 10 && back.iterations_per_epoch == 5 && back.in_vain == 1);
    CU_ASSERT_TRUE(back.time_s == 1.5 && isnan(back.energy_J));
    CU_ASSERT_TRUE(back.best.iteration == 5 && back.best.loss == 0.1 && isnan(back.best.accuracy));
    CU_ASSERT_EQUAL_FATAL(back.point_count, 2);
    CU_ASSERT_TRUE(back.training[1].iteration == 10 && back.training[1].loss == 1.1);
    CU_ASSERT_TRUE(isnan(back.training[1].energy_J) && back.training[1].accuracy == 0.5);
    CU_ASSERT_STRING_EQUAL(back.path, file(at, 10, "json"));
    CU_ASSERT_STRING_EQUAL(back.passed_over, "");
    rg_training_state_free(&back);
    rg_training_state_free(&state);
    rg_network_free(&network);
}

/* ---- damage ---- */

static char *slurp(const char *path, size_t *size)
{
    char *bytes = malloc(1 << 16);
    FILE *stream = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    *size = fread(bytes, 1, 1 << 16, stream);
    fclose(stream);
    return bytes;
}

static void put(const char *path, const char *bytes, size_t size)
{
    FILE *stream = fopen(path, "wb");
    CU_ASSERT_TRUE_FATAL(stream && fwrite(bytes, 1, size, stream) == size && fclose(stream) == 0);
}

/* The checkpoint before is taken, and what was wrong is said. */
static void falls_back(const struct rg_network *network, const char *at, const char *what, size_t n)
{
    struct rg_training_state state;
    struct rg_error e = {0};
    int err = rg_training_read(at, network, &state, &e);
    bool good = err == 0 && state.iterations == 10 && strstr(state.passed_over, "checkpoint-15");
    if (!good)
        printf("%s at byte %zu: %s\n", what, n, err ? e.text : state.passed_over);
    CU_ASSERT_TRUE(good);
    if (err == 0)
        rg_training_state_free(&state);
}

static void torn_at_every_byte(void)
{
    struct rg_network network = make_network("net", 4);
    const char *at = folder();
    static const char *const endings[] = {"json", "safetensors"};
    write_two(&network, at);
    for (size_t i = 0; i < RG_COUNT(endings); i++) {
        const char *path = file(at, 15, endings[i]);
        size_t size;
        char *bytes = slurp(path, &size);
        for (size_t n = 0; n < size; n++) {
            put(path, bytes, n);
            falls_back(&network, at, endings[i], n);
        }
        unlink(path);
        if (i > 0) /* without the file that vouches for it it is none, and nothing is wrong */
            falls_back(&network, at, "none", 0);
        put(path, bytes, size);
        free(bytes);
    }
    rg_network_free(&network);
}

/* One bit of each byte, a different one from byte to byte: never taken for what it was not. */
static void changed_in_every_byte(void)
{
    struct rg_network network = make_network("net", 4);
    const char *at = folder();
    static const char *const endings[] = {"json", "safetensors"};
    write_two(&network, at);
    for (size_t i = 0; i < RG_COUNT(endings); i++) {
        const char *path = file(at, 15, endings[i]);
        size_t size;
        char *bytes = slurp(path, &size);
        for (size_t n = 0; n < size; n++) {
            struct rg_training_state state, whole = make_state(&network, 15);
            struct rg_error e = {0};
            bytes[n] ^= (char)(1 << n % 8);
            put(path, bytes, size);
            int err = rg_training_read(at, &network, &state, &e);
            if (err == 0 && state.iterations == 15) {
                same_arrays(&state, &whole); /* a blank that is another one */
                CU_ASSERT_EQUAL(i, 0);
            } else {
                CU_ASSERT_TRUE(err == 0 && state.iterations == 10);
            }
            if (err == 0)
                rg_training_state_free(&state);
            rg_training_state_free(&whole);
            bytes[n] ^= (char)(1 << n % 8);
        }
        put(path, bytes, size);
        free(bytes);
    }
    rg_network_free(&network);
}

static void nothing_whole_is_refused(void)
{
    struct rg_network network = make_network("net", 4);
    struct rg_training_state state;
    struct rg_error e = {0};
    const char *at = folder();
    CU_ASSERT_EQUAL(rg_training_read(at, &network, &state, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, at, 0, "no checkpoint|--checkpoint"));
    write_two(&network, at);
    truncate(file(at, 15, "json"), 40);
    truncate(file(at, 10, "safetensors"), 100);
    CU_ASSERT_EQUAL(rg_training_read(at, &network, &state, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, at, 0,
                             "no whole checkpoint|checkpoint-15.json: is torn|"
                             "checkpoint-10.safetensors: is torn: 100 bytes"));
    rg_network_free(&network);
}

static void make_newer(const char *path)
{
    static const char ours[] = RG_TRAINING_SCHEMA;
    size_t size;
    char *bytes = slurp(path, &size);
    char *at = memmem(bytes, size, ours, sizeof ours - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    at[sizeof ours - 2]++;
    put(path, bytes, size);
    free(bytes);
}

/* No other is taken in place of one that is whole, and not for this network or version. */
static void others_are_refused(void)
{
    struct rg_network network = make_network("net", 4), other = make_network("other", 5);
    struct rg_training_state state;
    struct rg_error e = {0};
    const char *at = folder(), *path = file(at, 15, "json");
    write_two(&network, at);
    CU_ASSERT_EQUAL(rg_training_read(at, &other, &state, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, path, 0, "of 19 parameters (net)|of 21 (other)"));
    make_newer(path);
    falls_back(&network, at, "one file alone is newer", 0);
    make_newer(file(at, 15, "safetensors"));
    CU_ASSERT_EQUAL(rg_training_read(at, &network, &state, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, path, 0, "newer version|checkpoint-2|ringtmp-checkpoint-1 is"));
    rg_network_free(&network);
    rg_network_free(&other);
}

/* As many parameters in other layers: a tensor is named. */
static void other_shapes_are_refused(void)
{
    struct rg_network network = make_network("net", 4);
    struct rg_network turned = make_layers("net", 8, 1, 5); /* 19, too */
    struct rg_training_state state;
    struct rg_error e = {0};
    const char *at = folder();
    write_two(&network, at);
    CU_ASSERT_EQUAL(turned.parameters, network.parameters);
    CU_ASSERT_EQUAL(rg_training_read(at, &turned, &state, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, file(at, 15, "safetensors"), 0, "tensor|shape|[1, 8] is allowed"));
    rg_network_free(&network);
    rg_network_free(&turned);
}

/* ---- folders ---- */

static void the_last_two_are_kept(void)
{
    struct rg_network network = make_network("net", 4);
    struct rg_error e = {0};
    const char *at = folder();
    put(file(at, 7, "safetensors"), "left over", 9);
    put(file(at, 7, "json.part-0123456789abcdef-77"), "left over", 9);
    char mine[700];
    snprintf(mine, sizeof mine, "%s/checkpoint-my.json", at);
    put(mine, "x", 1);
    write_two(&network, at);
    CU_ASSERT_EQUAL(write_state(&network, at, 20, 15, &e), 0);
    CU_ASSERT_NOT_EQUAL(access(file(at, 7, "safetensors"), F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(file(at, 7, "json.part-0123456789abcdef-77"), F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(file(at, 10, "json"), F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(file(at, 10, "safetensors"), F_OK), 0);
    CU_ASSERT_EQUAL(access(file(at, 15, "json"), F_OK), 0);
    CU_ASSERT_EQUAL(access(file(at, 20, "safetensors"), F_OK), 0);
    CU_ASSERT_EQUAL(access(mine, F_OK), 0);
    rg_network_free(&network);
}

/* What a link stands for is neither written nor read. */
static void links_are_not_followed(void)
{
    struct rg_network network = make_network("net", 4);
    struct rg_training_state state;
    struct rg_error e = {0};
    const char *at = folder(), *victim = scratch_text("victim", "precious");
    size_t size;
    CU_ASSERT_EQUAL(symlink(victim, file(at, 10, "json")), 0);
    CU_ASSERT_EQUAL(symlink(victim, file(at, 10, "safetensors")), 0);
    CU_ASSERT_EQUAL(write_state(&network, at, 10, -1, &e), 0);
    char *bytes = slurp(victim, &size);
    CU_ASSERT_TRUE(size == 8 && memcmp(bytes, "precious", 8) == 0);
    free(bytes);
    CU_ASSERT_EQUAL_FATAL(rg_training_read(at, &network, &state, &e), 0);
    rg_training_state_free(&state);
    const char *elsewhere = scratch_path("elsewhere");
    CU_ASSERT_EQUAL(rename(file(at, 10, "safetensors"), elsewhere), 0);
    CU_ASSERT_EQUAL(symlink(elsewhere, file(at, 10, "safetensors")), 0);
    CU_ASSERT_EQUAL(rg_training_read(at, &network, &state, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, at, 0, "checkpoint-10.safetensors: cannot be read"));
    rg_network_free(&network);
}

/* A pipe in its place is not waited for. */
static void pipes_are_passed_over(void)
{
    struct rg_network network = make_network("net", 4);
    const char *at = folder();
    static const char *const endings[] = {"json", "safetensors"};
    for (size_t i = 0; i < RG_COUNT(endings); i++) {
        write_two(&network, at);
        CU_ASSERT_EQUAL(unlink(file(at, 15, endings[i])), 0);
        CU_ASSERT_EQUAL(mkfifo(file(at, 15, endings[i]), 0600), 0);
        falls_back(&network, at, "pipe", i);
    }
    rg_network_free(&network);
}

/* No room for it: what was there is there still, and whole, and nothing else. */
static void a_full_disk_spoils_nothing(void)
{
    struct rg_network network = make_network("net", 4);
    struct rg_training_state state;
    struct rg_error e = {0};
    struct rlimit before, little;
    struct stat facts;
    const char *at = folder();
    write_two(&network, at);
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(stat(file(at, 15, "json"), &facts), 0); /* the longer of the two */
    for (rlim_t most = 0; most < (rlim_t)facts.st_size; most += 100) {
        little = (struct rlimit){most, before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &little);
        int err = write_state(&network, at, 20, 15, &e);
        setrlimit(RLIMIT_FSIZE, &before);
        CU_ASSERT_EQUAL(err, RG_ERR_IO);
        CU_ASSERT_TRUE(complains(&e, NULL, 0, "checkpoint-20|cannot write"));
        CU_ASSERT_EQUAL_FATAL(rg_training_read(at, &network, &state, &e), 0);
        CU_ASSERT_EQUAL(state.iterations, 15);
        CU_ASSERT_STRING_EQUAL(state.passed_over, "");
        rg_training_state_free(&state);
        CU_ASSERT_EQUAL(access(file(at, 10, "json"), F_OK), 0);
    }
    rg_network_free(&network);
}

static void folders_are_looked_at(void)
{
    struct rg_error e = {0};
    const char *plain = scratch_text("plain", "");
    CU_ASSERT_EQUAL(rg_training_folder(plain, false, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, plain, 0, "is no folder"));
    CU_ASSERT_EQUAL(rg_training_folder("/nonexistent/a/b", false, &e), RG_ERR_INVALID);
    CU_ASSERT_TRUE(complains(&e, "/nonexistent/a/b", 0, "cannot be made"));
}

int main(int argc, char **argv)
{
    if (access("/dev/shm", W_OK) == 0) /* where there is nothing to wait for */
        setenv("TMPDIR", "/dev/shm", 0);
    const struct suite_test tests[] = {
        {"there and back", there_and_back},
        {"torn at every byte", torn_at_every_byte},
        {"changed in every byte", changed_in_every_byte},
        {"nothing whole", nothing_whole_is_refused},
        {"another network, a newer version", others_are_refused},
        {"other shapes", other_shapes_are_refused},
        {"the last two are kept", the_last_two_are_kept},
        {"links", links_are_not_followed},
        {"pipes", pipes_are_passed_over},
        {"a full disk", a_full_disk_spoils_nothing},
        {"folders", folders_are_looked_at},
    };
    return suite_main("training state", tests, (int)RG_COUNT(tests), argc, argv);
}
