/* Nodes that vanish, in the mem world: one or two of two to five, at any of their calls of the
 * world, in every strategy. The others end, in bounded time, with the error that says so, and have
 * freed all they had; whoever ends well ends a run that is complete.
 *
 * A seed says everything. RG_SEEDS=FIRST:COUNT in the environment says which are tried (default
 * 0:300), so that one which fails is run again by RG_SEEDS=SEED:1. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/allocated.h"
#include "strategies/harness.h"
#include "support/suite.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEAST = 2, MOST = 5, FILES = 10, JOBS_MOST = 90, SECONDS_A_SEED = 60 };

static struct rg_study studies[FILES][MOST + 1]; /* by number of nodes */

/* One try, drawn from its seed. */
struct
try {
    uint64_t seed;
    const struct rg_job *job;
    struct harness_options options;
};

static bool open_studies(void)
{
    static const char *const files[FILES] = {
        "matrix.xml",         "matrix-servers.xml",   "matrix-interleaved.xml", "matrix-stale.xml",
        "matrix-filters.xml", "matrix-federated.xml", "matrix-fsvrg.xml",       "matrix-rings.xml",
        "matrix-tasks.xml",   "matrix-lbfgs.xml"};
    for (int f = 0; f < FILES; f++)
        for (int nodes = LEAST; nodes <= MOST; nodes++) {
            char sets[80];
            snprintf(sets, sizeof sets, "nodes=%d epochs=2", nodes);
            if (f == 1)
                snprintf(sets, sizeof sets, "nodes=%d epochs=2 replicas.replicas=%d", nodes, nodes);
            if (f == 2) /* of no other numbers of nodes */
                snprintf(sets, sizeof sets, "nodes=%d epochs=2", RG_MIN(nodes, 4));
            if (f == 4 && nodes > 2)
                snprintf(sets, sizeof sets, "nodes=%d epochs=2 plain.servers=2 plain.replication=1",
                         nodes);
            if (f == 7) /* each of its own numbers */
                snprintf(sets, sizeof sets, "epochs=2");
            if (f >= 8) /* a master, a reducer and a worker */
                snprintf(sets, sizeof sets, "nodes=%d epochs=2", RG_MAX(nodes, 3));
            if (!harness_open(&studies[f][nodes], files[f], sets))
                return false;
        }
    return true;
}

static void close_studies(void)
{
    for (int f = 0; f < FILES; f++)
        for (int nodes = LEAST; nodes <= MOST; nodes++)
            rg_study_close(&studies[f][nodes]);
}

/* The seed's: every strategy and every number of nodes have their turns. */
static const struct rg_job *job_of(uint64_t seed)
{
    int nodes = LEAST + (int)(seed % (MOST - LEAST + 1)), count = 0;
    const struct rg_job *jobs[JOBS_MOST];
    for (int f = 0; f < FILES; f++)
        for (int i = 0; i < studies[f][nodes].job_count; i++)
            if (studies[f][nodes].jobs[i].nodes == nodes) /* not single: nobody would survive */
                jobs[count++] = &studies[f][nodes].jobs[i];
    return jobs[seed / (MOST - LEAST + 1) % (uint64_t)count];
}

static double share(uint64_t *dice)
{
    *dice = rg_mix64(*dice);
    return (double)(*dice >> 11) * 0x1p-53;
}

/* Of a rank's calls: every second time any of them, else of the first or the last ones. */
static long draw_operation(uint64_t *dice, long calls)
{
    double where = share(dice), at = share(dice);
    long edge = calls < 40 ? calls : 40;
    if (where < 0.5)
        return 1 + (long)(at * (double)calls);
    return (where < 0.7 ? 0 : calls - edge) + 1 + (long)(at * (double)edge);
}

/* Trains without a loss first, to know how many calls there are to die at. */
static void draw(struct try *try, uint64_t seed)
{
    uint64_t dice = rg_mix64(seed);
    long operations[MOST];
    struct rg_run run;
    int results[MOST];
    *try = (struct try){.seed = seed, .job = job_of(seed)};
    try->options = (struct harness_options){.seed = seed,
                                            .free_transfers = share(&dice) < 0.2,
                                            .jitter = share(&dice) < 0.5 ? 0.3 : 0,
                                            .trace = share(&dice) < 0.3,
                                            .watch_accuracy = share(&dice) < 0.3,
                                            .operations = operations};
    int nodes = try->job->nodes, deaths = nodes > 2 && share(&dice) < 0.25 ? 2 : 1;
    allocated_begin(0);
    CU_ASSERT_EQUAL(harness_run(try->job, &try->options, &run, results), 0);
    for (int rank = 0; rank < nodes; rank++)
        CU_ASSERT_EQUAL(results[rank], 0);
    rg_run_free(&run);
    CU_ASSERT_EQUAL(allocated_end(), 0);
    try->options.operations = NULL;
    for (int i = 0; i < deaths; i++) {
        struct rg_mem_death *death = &try->options.deaths[i];
        death->rank = (int)(share(&dice) * nodes);
        death->operation = draw_operation(&dice, operations[death->rank]);
    }
}

static bool complain(const struct try *try, int rank, int result, const char *why)
{
    printf("seed %llu, %s on %d nodes, rank %d: %d (%s): %s\n", (unsigned long long)try->seed,
           try->job->label, try->job->nodes, rank, result, rg_strerror(result), why);
    return false;
}

/* Rank 0 knows whether the run is complete, and a rank that ends well has heard it from there. */
static bool ended_rightly(const struct try *try, const int *results, const struct rg_run *run)
{
    bool good = true;
    for (int rank = 0; rank < try->job->nodes; rank++) {
        int result = results[rank];
        if (result == RG_DIED)
            continue;
        if (result != 0 && result != RG_ERR_PEER)
            good = complain(try, rank, result, "another end than a lost peer's");
        else if (results[0] != RG_DIED && result != results[0])
            good = complain(try, rank, result, "rank 0 ended otherwise");
    }
    if (results[0] == 0 && (run->status != RG_RUN_OK || run->node_count != try->job->nodes))
        good = complain(try, 0, 0, "a result that is not whole");
    if (results[0] == RG_ERR_PEER && run->status != RG_RUN_FAILED)
        good = complain(try, 0, results[0], "a result that does not say it");
    return good;
}

struct tally {
    int died, noticed, complete;
};

static void try_seed(uint64_t seed, struct tally *tally)
{
    struct try try;
    struct rg_run run;
    int results[MOST] = {0};
    uint32_t doomed = 0;
    alarm(SECONDS_A_SEED);
    draw(&try, seed);
    for (int i = 0; i < RG_MEM_DEATHS; i++)
        if (try.options.deaths[i].operation)
            doomed |= 1u << try.options.deaths[i].rank;
    allocated_begin(doomed);
    int world = harness_run(try.job, &try.options, &run, results);
    bool good = world == 0 || complain(&try, -1, world, "the world's end");
    good &= ended_rightly(&try, results, &run);
    bool died = false, noticed = false;
    for (int rank = 0; rank < try.job->nodes; rank++) {
        died |= results[rank] == RG_DIED;
        noticed |= results[rank] == RG_ERR_PEER;
    }
    tally->died += died;
    tally->noticed += noticed;
    tally->complete += died && !noticed;
    rg_run_free(&run);
    if (allocated_end() > 0)
        good = complain(&try, -1, 0, "survivors have not freed all they had");
    alarm(0);
    CU_ASSERT(good);
}

static volatile uint64_t under_way;

/* The world finds deadlocks; this is for whoever goes round in circles. */
static void on_alarm(int number)
{
    char text[80];
    (void)number;
    int length =
        snprintf(text, sizeof text, "\nseed %llu does not end\n", (unsigned long long)under_way);
    ssize_t ignored = write(STDOUT_FILENO, text, (size_t)length);
    (void)ignored;
    _exit(1);
}

static void survivors_of_a_death_end(void)
{
    const char *seeds = getenv("RG_SEEDS");
    unsigned long long first = 0, count = 300;
    struct tally tally = {0};
    if (seeds && sscanf(seeds, "%llu:%llu", &first, &count) != 2)
        CU_FAIL_FATAL("RG_SEEDS: FIRST:COUNT is wanted");
    CU_ASSERT_FATAL(open_studies());
    signal(SIGALRM, on_alarm);
    for (uint64_t seed = first; seed < first + count; seed++) {
        under_way = seed;
        try_seed(seed, &tally);
    }
    close_studies();
    printf(
        "\n  seeds %llu to %llu: in %d somebody died, in %d others noticed, in %d all was done\n",
        first, first + count - 1, tally.died, tally.noticed, tally.complete);
    if (count >= 100) {
        CU_ASSERT(tally.died > (int)(0.9 * (double)count));
        CU_ASSERT(tally.noticed > (int)(0.7 * (double)count));
    }
    if (count >= 1000)
        CU_ASSERT(tally.complete > 0);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"survivors of a death end with an error", survivors_of_a_death_end},
    };
    rg_blas_setup(argv);
    return suite_main("survivors", tests, sizeof tests / sizeof *tests, argc, argv);
}
