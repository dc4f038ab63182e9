/* Ranks with a study each, which would decide differently: what all of them have afterwards. */
#include "base/check.h"
#include "node/agree.h"
#include "tests/support/suite.h"
#include "world/world_mem.h"
#include <stdlib.h>

#define SCENARIO RG_SOURCE_DIR "/tests/data/matrix.xml"

enum { RANKS = 5, JOBS = 2 };

static _Thread_local int here; /* the rank that this thread is */
static struct rg_bits bits[RANKS];
static struct rg_study studies[RANKS];
static struct rg_agreed agreed[RANKS][JOBS];
static char notes[2000];

/* Each rank is on a machine of its own. */
void __wrap_rg_bits_own(struct rg_bits *own);
void __wrap_rg_bits_own(struct rg_bits *own)
{
    *own = bits[here];
}

/* Of every rank the jobs "pipedream" and "single", with the partition of rank 0, or rank 3, given.
 */
static void open_studies(const char *first, const char *third)
{
    for (int rank = 0; rank < RANKS; rank++) {
        bits[rank] =
            (struct rg_bits){.kernels = "Haswell", .blas = "0.3.21", .libc = "2.36", .threads = 1};
        const char *partition = rank == 0 ? first : rank == 3 ? third : NULL;
        char nodes[] = "nodes=5", given[80], *sets[] = {nodes, given};
        char pipedream[] = "pipedream", single[] = "single", *labels[] = {pipedream, single};
        struct rg_error e = {0};
        snprintf(given, sizeof given, "pipedream.partition=%s", partition ? partition : "balanced");
        CU_ASSERT_EQUAL_FATAL(rg_study_open(SCENARIO, sets, 2, labels, 2, &studies[rank], &e), 0);
        CU_ASSERT_EQUAL_FATAL(studies[rank].job_count, JOBS);
        if (partition) { /* as if `check` had found it */
            struct rg_job *job = &studies[rank].jobs[1];
            for (int i = 0; job->strategy->params[i].name; i++)
                if (strcmp(job->strategy->params[i].name, "partition") == 0)
                    job->values[i].automatic = true;
        }
    }
    memset(agreed, 0, sizeof agreed);
    notes[0] = 0;
}

static void close_studies(void)
{
    for (int rank = 0; rank < RANKS; rank++)
        rg_study_close(&studies[rank]);
}

static void note(void *arg, int job, const char *text)
{
    size_t used = strlen(notes);
    (void)arg;
    snprintf(notes + used, sizeof notes - used, "%d %s\n", job, text);
}

static int program(struct rg_world *w, void *arg)
{
    here = w->rank;
    return rg_node_agree(w, &studies[w->rank], agreed[w->rank], note, arg);
}

static void agree(void)
{
    int results[RANKS];
    const struct rg_mem_world_options world = {.size = RANKS};
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, program, NULL, results), 0);
    for (int rank = 0; rank < RANKS; rank++)
        CU_ASSERT_EQUAL(results[rank], 0);
}

/* The plan that every rank's job of a pipeline has; NULL: they differ. malloc'ed. */
static char *common_plan(void)
{
    char *plan = rg_job_settled(&studies[0].jobs[1]);
    bool same = plan != NULL;
    for (int rank = 1; rank < RANKS; rank++) {
        char *other = rg_job_settled(&studies[rank].jobs[1]);
        same = same && other && strcmp(plan, other) == 0;
        free(other);
    }
    if (same)
        return plan;
    free(plan);
    return NULL;
}

static void test_equal(void)
{
    open_studies(NULL, NULL);
    agree();
    char *plan = common_plan();
    CU_ASSERT_PTR_NOT_NULL(plan);
    CU_ASSERT_STRING_EQUAL(notes, "");
    free(plan);
    close_studies();
}

/* Rank 0 found another partition than all others: it is theirs, memory and all, and they say what
 * they would have had. */
static void test_another_first(void)
{
    open_studies("1,2,3,3,3", NULL);
    agree();
    char *plan = common_plan();
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_PTR_NOT_NULL(strstr(plan, " partition=1,2,3,3,3"));
    free(plan);
    for (int rank = 1; rank < RANKS; rank++) {
        char wanted[40];
        snprintf(wanted, sizeof wanted, "1 rank %d, ", rank);
        CU_ASSERT_PTR_NOT_NULL(strstr(notes, wanted));
        CU_ASSERT_EQUAL(agreed[rank][1].code, 0);
        for (int of = 0; of < RANKS; of++) {
            const struct rg_job *own = &studies[rank].jobs[1], *first = &studies[0].jobs[1];
            CU_ASSERT_EQUAL(own->strategy->memory(own, of), first->strategy->memory(first, of));
        }
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "would have planned partition="));
    CU_ASSERT_PTR_NULL(strstr(notes, "0 rank"));
    close_studies();
}

static void test_another_later(void)
{
    open_studies(NULL, "3,3,3,2,1");
    agree();
    char *plan = common_plan();
    CU_ASSERT_PTR_NOT_NULL(plan);
    CU_ASSERT_EQUAL(strncmp(notes, "1 rank 3, ", 10), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "partition=3,3,3,2,1"));
    CU_ASSERT_PTR_EQUAL(strchr(notes, '\n') + 1, notes + strlen(notes)); /* one line */
    free(plan);
    close_studies();
}

/* One rank alone finds that it has no room: no rank runs the job, and all know whose fault it is.
 */
static void test_no_room(void)
{
    open_studies(NULL, NULL);
    struct rg_job *job = &studies[2].jobs[1];
    struct rg_board small = *job->boards[2];
    const struct rg_board *boards[RANKS];
    small.memory_bytes = 1000;
    for (int rank = 0; rank < RANKS; rank++)
        boards[rank] = rank == 2 ? &small : job->boards[rank];
    job->boards = boards;
    agree();
    for (int rank = 0; rank < RANKS; rank++) {
        CU_ASSERT_EQUAL(agreed[rank][0].code, 0);
        CU_ASSERT_EQUAL(agreed[rank][1].code, RG_ERR_NO_FIT);
        CU_ASSERT_EQUAL(strncmp(agreed[rank][1].why, "rank 2: node 2 needs ", 21), 0);
    }
    close_studies();
}

/* Two ranks differ from rank 0 in different ways: told once, of the first, and for no job that runs
 * on rank 0 alone. */
static void test_other_bits(void)
{
    open_studies(NULL, NULL);
    strcpy(bits[2].kernels, "cortexa72");
    strcpy(bits[3].libc, "2.99");
    agree();
    char wanted[200];
    snprintf(wanted, sizeof wanted,
             "1 weights may not equal those of one machine: OpenBLAS kernels Haswell and cortexa72 "
             "differ for sums of %d\n",
             rg_job_products(&studies[0].jobs[1]).longest);
    CU_ASSERT_STRING_EQUAL(notes, wanted);
    close_studies();
    open_studies(NULL, NULL);
    strcpy(bits[4].libc, "2.99");
    agree();
    CU_ASSERT_STRING_EQUAL(notes, "1 weights may not equal those of one machine: expf of glibc "
                                  "2.36 and of 2.99 were not compared\n");
    close_studies();
}

/* What sums of OpenBLAS's products have: of ResNet-20 the last layer's alone, 64 forward, a batch
 * for its gradients; with a larger batch those. */
static void test_products(void)
{
    struct rg_network network;
    struct rg_error e = {0};
    const char *file = RG_SOURCE_DIR "/models/networks/resnet-20.xml";
    CU_ASSERT_EQUAL_FATAL(rg_network_load(file, &network, &e), 0);
    struct rg_products small = rg_job_products(&(struct rg_job){.network = &network, .batch = 16});
    struct rg_products large = rg_job_products(&(struct rg_job){.network = &network, .batch = 80});
    CU_ASSERT(small.convolutions && small.longest == 64 && large.longest == 80);
    rg_network_free(&network);
    file = RG_SOURCE_DIR "/models/networks/mnist-mlp.xml";
    CU_ASSERT_EQUAL_FATAL(rg_network_load(file, &network, &e), 0);
    small = rg_job_products(&(struct rg_job){.network = &network, .batch = 16});
    CU_ASSERT(!small.convolutions && small.longest == 784);
    rg_network_free(&network);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"all decide the same", test_equal},
        {"rank 0 decides otherwise", test_another_first},
        {"a later rank decides otherwise", test_another_later},
        {"a rank has no room", test_no_room},
        {"processors and libraries of ranks differ", test_other_bits},
        {"which products a network has", test_products}};
    return suite_main("agree", tests, RG_COUNT(tests), argc, argv);
}
