/* What equals what to the bit, in the mem world, in the simulator and over sockets alike: servers,
 * filters, ZeRO, downpour, mapreduce and sandblaster against what they come to where nothing is
 * left of them. */
#include "base/check.h"
#include "models/blas.h"
#include "programs/command.h"
#include "strategies/harness.h"
#include "support/suite.h"

/* Strategies that end with the same bits, "mem", "sim" and "posix" alike. */
struct identity {
    const char *file, *sets, *labels[7];
};

/* Of the first label where `digest` is empty, which becomes it. */
static void expect_digest(char *digest, size_t size, const char *have, const struct identity *i,
                          const char *label, const char *world)
{
    CU_ASSERT_EQUAL(strlen(have), 64);
    if (!digest[0])
        snprintf(digest, size, "%s", have);
    if (strcmp(digest, have) != 0)
        printf("%s, %s: %s in %s has other bits\n", i->file, i->sets, label, world);
    CU_ASSERT_STRING_EQUAL(digest, have);
}

static void expect_identity(const struct identity *i, char *digest, size_t size)
{
    char line[700], options[500] = "";
    char sets[300], *rest = sets;
    snprintf(sets, sizeof sets, "%s", i->sets);
    for (char *word; (word = strsep(&rest, " "));)
        snprintf(options + strlen(options), sizeof options - strlen(options), " --set %s", word);
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, i->file, i->sets));
    snprintf(line, sizeof line, "ringsim tests/data/%s%s", i->file, options);
    json_t *sim = command_result(line, 60);
    snprintf(line, sizeof line, "ringnode tests/data/%s --local%s", i->file, options);
    json_t *posix = command_result(line, 60);
    for (int k = 0; sim && posix && k < 7 && i->labels[k]; k++) {
        const char *label = i->labels[k];
        struct rg_run mem;
        harness_run_ok(harness_job(&study, label), &(struct harness_options){.seed = 4}, &mem);
        expect_digest(digest, size, mem.weights_sha256, i, label, "mem");
        expect_digest(digest, size, command_text(command_run_of(sim, label), "weights_sha256"), i,
                      label, "sim");
        expect_digest(digest, size, command_text(command_run_of(posix, label), "weights_sha256"), i,
                      label, "posix");
        rg_run_free(&mem);
    }
    json_decref(sim);
    json_decref(posix);
    rg_study_close(&study);
}

static void expect_identities(const struct identity *identities, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char digest[RG_COUNT(((struct rg_run *)0)->weights_sha256)] = "";
        expect_identity(&identities[i], digest, sizeof digest);
    }
}

static void identities_hold_everywhere(void)
{
    static const struct identity identities[] = {
        {"matrix-stale.xml",
         "nodes=4 ssp.staleness=0 bounded.staleness=0",
         {"bsp", "ssp", "bounded"}},
        {"matrix-filters.xml",
         "nodes=4 significant.threshold=0 skip.skip=0 top.keep=1000",
         {"plain", "significant", "skip", "top", "zeros"}},
        {"matrix-filters.xml",
         "nodes=4 optimizer=sgd l1=0.03 zeros.filters=kkt zeros.delta=0.03 plain.servers=2 "
         "plain.replication=1 zeros.servers=2",
         {"plain", "zeros"}},
        {"matrix-tasks.xml",
         "nodes=5 server.nodes=4 mapreduce.tasks=3 mapreduce.backup=no",
         {"server", "mapreduce"}},
        {"matrix-lbfgs.xml",
         "nodes=3 sandblaster.portions=1",
         {"single", "sandblaster-1", "sandblaster"}},
    };
    expect_identities(identities, RG_COUNT(identities));
}

/* ZeRO with Adam, in three uneven buckets; of one node there is but one bucket's chunk. */
static void shards_are_the_same_everywhere(void)
{
    static const struct identity shards[] = {
#define SHARDS(nodes)                                                                              \
    {                                                                                              \
        "matrix-allreduce.xml", "nodes=" #nodes " optimizer=adam learning-rate=0.01",              \
        {                                                                                          \
            "plain", "shard-1", "shard-2", "shard-3"                                               \
        }                                                                                          \
    }
        SHARDS(1), SHARDS(2), SHARDS(3), SHARDS(5), SHARDS(8),
#undef SHARDS
    };
    expect_identities(shards, RG_COUNT(shards));
}

/* `single` is of another file, which trains alike. */
static void one_worker_is_single_everywhere(void)
{
    static const char *const optimizers[] = {"optimizer=sgd", "optimizer=adam learning-rate=0.01"};
    for (size_t o = 0; o < RG_COUNT(optimizers); o++) {
        char digest[RG_COUNT(((struct rg_run *)0)->weights_sha256)] = "", sets[200];
        const struct identity single = {
            "matrix-rings.xml", optimizers[o], {"single", "ring", "one-2", "one-3"}};
        expect_identity(&single, digest, sizeof digest);
        snprintf(sets, sizeof sets, "nodes=2 bounded.in-flight=1 %s%s", optimizers[o],
                 o == 0 ? "" : " bounded-4.own-writes=no");
        const struct identity servers = {
            "matrix-stale.xml", sets, {"bsp", "ssp", "ssp-3", "bounded", "async", "downpour"}};
        expect_identity(&servers, digest, sizeof digest);
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"identities hold everywhere", identities_hold_everywhere},
        {"shards are the same everywhere", shards_are_the_same_everywhere},
        {"one worker is single everywhere", one_worker_is_single_everywhere},
    };
    rg_blas_setup(argv);
    return suite_main("identities", tests, RG_COUNT(tests), argc, argv);
}
