/* What is left of runs that lose a node, in the mem world: one of four dies at any of its calls;
 * those that are left put together what they have kept, in a run of their own, in which another may
 * die as well. */
#include "base/check.h"
#include "base/digest.h"
#include "strategies/allocated.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <stdlib.h>
#include <unistd.h>

enum { NODES = 4, SEEDS = 24 };

/* One try; the ranks are threads of this process. */
struct
try {
    const struct rg_job *job;
    struct rg_run run[NODES];
    struct rg_kept kept[NODES];
    bool goes_on; /* training could: nodes keep states for that */
    struct rg_attempts attempts[NODES];
    char save[64];
};

static int found; /* states, of a strategy's tries */

static int train(struct rg_world *w, void *arg)
{
    struct try *try = arg;
    struct rg_node_options options = {.stop = {NAN, NAN, 0},
                                      .host = "mem",
                                      .kept = &try->kept[w->rank],
                                      .attempts = try->goes_on ? &try->attempts[w->rank] : NULL};
    return rg_node_run(w, try->job, &options, w->rank == 0 ? &try->run[0] : NULL);
}

static int salvage(struct rg_world *w, void *arg)
{
    struct try *try = arg;
    struct rg_node_options options = {.stop = {NAN, NAN, 0},
                                      .save = try->save,
                                      .attempts = try->goes_on ? &try->attempts[w->rank] : NULL};
    return rg_node_salvage(w, try->job, &options, &try->kept[w->rank], &try->run[w->rank]);
}

/* Parameter `at`; NULL: it is not there. */
static const float *value(const struct rg_kept *kept, size_t at)
{
    for (int i = 0; i < kept->count; i++) {
        const struct rg_kept_range *r = &kept->ranges[i];
        if (at >= r->first && at < r->first + r->count)
            return &r->values[at - r->first];
    }
    return NULL;
}

/* The lowest rank but `dead` that has parameter `at` after so many iterations (-1: any), or -1. */
static int holder(const struct try *try, size_t at, int dead, int64_t iterations)
{
    for (int r = 0; r < NODES; r++)
        if (r != dead && value(&try->kept[r], at) &&
            (iterations < 0 || try->kept[r].iterations == iterations))
            return r;
    return -1;
}

/* Iterations of the newest state that is whole, or -1. */
static int64_t newest_whole(const struct try *try, int dead)
{
    int64_t newest = -1;
    for (int r = 0; r < NODES; r++) {
        int64_t iterations = try->kept[r].iterations;
        size_t at = 0, count = try->job->network->parameters;
        while (r != dead && at < count && holder(try, at, dead, iterations) >= 0)
            at++;
        newest = at == count ? RG_MAX(newest, iterations) : newest;
    }
    return newest;
}

/* The vector that is left, malloc'ed; NULL: parts of it are gone. */
static float *left_of(const struct try *try, int dead)
{
    size_t count = try->job->network->parameters;
    float *values = malloc(count * sizeof *values);
    int64_t whole = newest_whole(try, dead);
    for (size_t i = 0; values && i < count; i++) {
        int r = holder(try, i, dead, whole);
        if (r < 0) {
            free(values);
            return NULL;
        }
        values[i] = *value(&try->kept[r], i);
    }
    return values;
}

/* Of the part that is furthest behind. */
static int64_t iterations_left(const struct try *try, int dead)
{
    int64_t least = INT64_MAX, whole = newest_whole(try, dead);
    for (size_t i = 0; i < try->job->network->parameters; i++)
        least = RG_MIN(least, try->kept[holder(try, i, dead, whole)].iterations);
    return least;
}

static void expect_saved(const struct try *try, const struct rg_run *run, const float *values)
{
    char digest[RG_DIGEST_TEXT];
    size_t count = try->job->network->parameters;
    struct rg_digest *d = rg_digest_new();
    float *saved = NULL;
    struct rg_error e = {0};
    rg_digest_add(d, values, count * sizeof *values);
    rg_digest_end(d, digest);
    CU_ASSERT_STRING_EQUAL(run->weights_sha256, digest);
    CU_ASSERT_STRING_EQUAL(run->unsaved, "");
    CU_ASSERT_EQUAL(rg_checkpoint_load(try->save, try->job->network, NULL, &saved, &e), 0);
    CU_ASSERT_TRUE(saved && memcmp(saved, values, count * sizeof *values) == 0);
    free(saved);
}

/* Where every node has the same, it is what so many iterations give. */
static void expect_iterations(const char *file, const char *label, const struct rg_run *run)
{
    char sets[80];
    struct rg_study study;
    struct rg_run other;
    snprintf(sets, sizeof sets, "nodes=%d replicas.replicas=%d iterations=%d", NODES, NODES,
             (int)run->iterations);
    if (strcmp(file, "matrix-servers.xml") != 0)
        snprintf(sets, sizeof sets, "nodes=%d iterations=%d", NODES, (int)run->iterations);
    if (!harness_open(&study, file, sets))
        return;
    CU_ASSERT_EQUAL(
        harness_run(harness_job(&study, label), &(struct harness_options){0}, &other, NULL), 0);
    CU_ASSERT_STRING_EQUAL(run->weights_sha256, other.weights_sha256);
    rg_run_free(&other);
    rg_study_close(&study);
}

static void forget(struct try *try)
{
    for (int r = 0; r < NODES; r++) {
        rg_kept_free(&try->kept[r]);
        rg_run_free(&try->run[r]);
        rg_run_init(&try->run[r]);
    }
    unlink(try->save);
}

/* Trains until the death; false: it came after the end, or before anything was trained. */
static bool lose_one(struct try *try, uint64_t dice, int victim, long most)
{
    int results[NODES];
    struct rg_mem_world_options world = {.size = NODES, .seed = dice, .boards = try->job->boards};
    world.deaths[0] = (struct rg_mem_death){victim, 1 + (long)(dice / 64 % (uint64_t)most)};
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, train, try, results), 0);
    rg_kept_free(&try->kept[victim]); /* it is gone, with all it had */
    bool kept = false;
    for (int r = 0; r < NODES; r++) {
        CU_ASSERT_TRUE(r == victim || results[r] == RG_ERR_PEER || results[r] == 0);
        kept = kept || try->kept[r].count > 0;
    }
    return kept;
}

/* Who dies in training, and in every third try who else in the run after it (-1: nobody). */
static void draw_victims(uint64_t seed, int *victim, int *second)
{
    uint64_t dice = rg_mix64(seed);
    *victim = (int)(dice % NODES);
    *second = seed % 3 ? -1 : (*victim + 1 + (int)(dice / 8 % (NODES - 1))) % NODES;
}

static void try_seed(const char *file, const char *label, struct try *try, uint64_t seed,
                     bool whole)
{
    uint64_t dice = rg_mix64(seed);
    int victim, second, results[NODES];
    draw_victims(seed, &victim, &second);
    int lowest = victim == 0;
    if (!lose_one(try, dice, victim, 900))
        return;
    int ranges = strcmp(label, "interleaved") == 0 ? 2 : 1; /* of those who have any */
    for (int r = 0; r < NODES; r++)
        CU_ASSERT(try->kept[r].count == 0 || try->kept[r].count == ranges);
    struct rg_mem_world_options world = {.size = NODES, .seed = dice, .boards = try->job->boards};
    world.deaths[0] = (struct rg_mem_death){victim, 1};
    bool again = second >= 0;
    if (again)
        world.deaths[1] = (struct rg_mem_death){second, 1 + (long)(dice / 512 % 12)};
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, salvage, try, results), 0);
    if (again) { /* it ends, and nobody says what is not so */
        for (int r = 0; r < NODES; r++)
            if (r != victim && r != second && results[r] == 1 && try->run[r].weights_sha256[0])
                CU_ASSERT_EQUAL(access(try->save, R_OK), 0);
        return;
    }
    float *values = left_of(try, victim);
    const struct rg_run *run = &try->run[lowest];
    for (int r = 0; r < NODES; r++)
        CU_ASSERT_TRUE(r == victim || results[r] == (r == lowest));
    CU_ASSERT_EQUAL(run->ending.missing[0] == 0, values != NULL);
    if (values) {
        expect_saved(try, run, values);
        CU_ASSERT_EQUAL(run->iterations, iterations_left(try, victim));
    } else {
        CU_ASSERT_TRUE(run->weights_sha256[0] == 0 && access(try->save, F_OK) != 0);
    }
    if (values) /* rank 0 has the test samples */
        CU_ASSERT_EQUAL(isnan(run->final.accuracy), lowest > 0);
    if (whole) {
        CU_ASSERT_PTR_NOT_NULL(values);
        expect_iterations(file, label, run);
    }
    free(values);
}

static void try_strategy(const char *file, const char *label, bool whole)
{
    struct try try = {.save = "/tmp/ringtmp-salvage-XXXXXX"};
    struct rg_study study;
    char sets[80];
    int fd = mkstemp(try.save);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    snprintf(sets, sizeof sets, "nodes=%d", NODES);
    if (strcmp(file, "matrix-servers.xml") == 0)
        snprintf(sets, sizeof sets, "nodes=%d replicas.replicas=%d server.servers=2", NODES, NODES);
    if (!harness_open(&study, file, sets))
        return;
    try.job = harness_job(&study, label);
    for (int r = 0; r < NODES; r++)
        rg_run_init(&try.run[r]);
    unlink(try.save);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        int victim, second;
        draw_victims(seed, &victim, &second);
        allocated_begin(1u << victim | (second < 0 ? 0 : 1u << second));
        try_seed(file, label, &try, seed, whole);
        forget(&try);
        CU_ASSERT_EQUAL(allocated_end(), 0);
    }
    for (int r = 0; r < NODES; r++)
        rg_run_free(&try.run[r]);
    rg_study_close(&study);
}

static void test_whole(void)
{
    try_strategy("matrix.xml", "all-reduce", true);
    try_strategy("matrix-servers.xml", "replicas", true);
}

static void test_parts(void)
{
    try_strategy("matrix.xml", "1f1b", false);
    try_strategy("matrix.xml", "pipedream", false);
    try_strategy("matrix-interleaved.xml", "interleaved", false);
    try_strategy("matrix-servers.xml", "server", false);
}

/* A ring that loses one, each of whose nodes has copies of another's stage: the newest state that
 * is whole, of no more iterations ago than the backup says. */
static void try_copies(struct try *try, const char *file, const char *label, uint64_t seed,
                       long most)
{
    uint64_t dice = rg_mix64(seed);
    int victim = (int)(dice % NODES), lowest = victim == 0, results[NODES];
    int64_t least = INT64_MAX;
    struct rg_mem_world_options world = {.size = NODES, .seed = dice, .boards = try->job->boards};
    world.deaths[0] = (struct rg_mem_death){victim, 1 + (long)(dice / 64 % (uint64_t)most)};
    for (int r = 0; r < NODES; r++)
        CU_ASSERT_EQUAL_FATAL(rg_attempts_open(&try->attempts[r], RG_LOSE_RESTART, NODES, 0), 0);
    allocated_begin(1u << victim);
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, train, try, results), 0);
    bool died = results[victim] == RG_DIED, over = true;
    for (int r = 0; r < NODES; r++) {
        over = over && (r == victim || results[r] == 0);
        int64_t done = try->goes_on ? try->attempts[r].iterations : try->kept[r].iterations;
        least = r == victim ? least : RG_MIN(least, done);
    }
    rg_kept_free(&try->kept[victim]);
    if (died)
        try->attempts[victim].copies = (struct rg_copies){0}, try->attempts[victim].losses = NULL;
    world.deaths[0] = (struct rg_mem_death){victim, 1};
    struct rg_prediction p = {0};
    try->job->strategy->predict(try->job, &p);
    if (died && !over && least < INT64_MAX && least > p.copies.most) {
        const struct rg_run *run = &try->run[lowest];
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, salvage, try, results), 0);
        CU_ASSERT_EQUAL(results[lowest], 1);
        CU_ASSERT_STRING_EQUAL(run->ending.missing, "");
        CU_ASSERT_TRUE(run->iterations >= least - p.copies.most && run->iterations <= least + 1);
        CU_ASSERT_EQUAL(access(try->save, R_OK), 0);
        expect_iterations(file, label, run);
        found++;
    }
    for (int r = 0; r < NODES; r++)
        rg_attempts_close(&try->attempts[r]);
    forget(try);
    CU_ASSERT_EQUAL(allocated_end(), 0);
}

static void test_copies(void)
{
    static const struct {
        const char *label;
        long most; /* calls at which a node may die */
    } rings[] = {{"1f1b-1", 900}, {"gpipe-2", 900}, {"zb-5", 2500}};
    for (size_t i = 0; i < 2 * RG_COUNT(rings); i++) {
        struct try try = {.save = "/tmp/ringtmp-salvage-XXXXXX", .goes_on = i % 2};
        struct rg_study study;
        int fd = mkstemp(try.save);
        CU_ASSERT_FATAL(fd >= 0);
        close(fd);
        if (!harness_open(&study, "matrix-backup.xml", "nodes=4"))
            return;
        try.job = harness_job(&study, rings[i / 2].label);
        for (int r = 0; r < NODES; r++)
            rg_run_init(&try.run[r]);
        found = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
            try_copies(&try, "matrix-backup.xml", rings[i / 2].label, seed, rings[i / 2].most);
        CU_ASSERT_TRUE(found > SEEDS / 4);
        for (int r = 0; r < NODES; r++)
            rg_run_free(&try.run[r]);
        rg_study_close(&study);
    }
}

/* [begin, end) in two ranges. */
static void keep(struct rg_kept *kept, size_t begin, size_t end)
{
    size_t middle = begin + (end - begin) / 2;
    *kept = (struct rg_kept){.ranges = calloc(2, sizeof *kept->ranges), .count = 2};
    CU_ASSERT_PTR_NOT_NULL_FATAL(kept->ranges);
    kept->ranges[0] = (struct rg_kept_range){.first = begin, .count = middle - begin};
    kept->ranges[1] = (struct rg_kept_range){.first = middle, .count = end - middle};
    for (int i = 0; i < 2; i++)
        kept->ranges[i].values = calloc(kept->ranges[i].count + 1, sizeof(float));
}

/* Five layers in the hands of four: what the missing one had is named. */
static void test_missing(void)
{
    struct rg_study study;
    struct try try = {.save = ""};
    int results[NODES];
    if (!harness_open(&study, "matrix.xml", "nodes=4"))
        return;
    try.job = harness_job(&study, "1f1b");
    const struct rg_network *network = try.job->network;
    int layers = network->layer_count;
    CU_ASSERT_FATAL(layers >= 4);
    const struct {
        int cut, width; /* layers [cut, cut + width) are nobody's, */
        size_t but;     /* but for so many of their parameters */
        const char *form;
    } cases[] = {{0, 1, 0, "layer 1 of %d"},
                 {1, 2, 0, "layer 2 to 3 of %d"},
                 {2, 1, 0, "layer 3 of %d"},
                 {1, 1, 1, "layer 2 of %d"},
                 {2, 0, 0, ""},
                 {3, 0, 0, ""}};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        char wanted[80];
        size_t first = rg_network_offset(network, cases[i].cut) + cases[i].but,
               end = rg_network_offset(network, cases[i].cut + cases[i].width);
        for (int r = 0; r < NODES; r++)
            rg_run_init(&try.run[r]);
        keep(&try.kept[1], 0, first);
        keep(&try.kept[3], end, network->parameters);
        try.kept[1].iterations = 7 + (int)i % 2;
        try.kept[3].iterations = 8 - (int)i % 2;
        struct rg_mem_world_options world = {.size = NODES, .seed = i, .boards = try.job->boards};
        CU_ASSERT_EQUAL(rg_mem_world_run(&world, salvage, &try, results), 0);
        snprintf(wanted, sizeof wanted, cases[i].form, layers);
        CU_ASSERT_STRING_EQUAL(try.run[0].ending.missing, wanted);
        if (!wanted[0]) /* whole, and as far as the one that is furthest behind */
            CU_ASSERT_EQUAL(try.run[0].iterations, 7);
        forget(&try);
    }
    for (int r = 0; r < NODES; r++)
        rg_run_free(&try.run[r]);
    rg_study_close(&study);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"every node has all", test_whole},
                                              {"every node has a part", test_parts},
                                              {"copies of stages", test_copies},
                                              {"what is missing is named", test_missing}};
    return suite_main("salvage", tests, RG_COUNT(tests), argc, argv);
}
