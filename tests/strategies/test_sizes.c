/* Sizes beyond what a machine holds, and numbers beyond a 32-bit long: counted right, refused,
 * never wrapped. Some of it can only go wrong where a size_t or a long has 32 bits: tests/cross
 * runs this there too. */
#include "base/check.h"
#include "base/mem.h"
#include "base/sizes.h"
#include "node/inspect.h"
#include "strategies/harness.h"
#include "strategies/ring.h"
#include "support/suite.h"
#include <stdlib.h>

enum { MANY = 300, SAMPLES = 1 << 18, WIDE = 1 << 14 };

static void sums_and_products_do_not_wrap(void)
{
    const uint64_t most = RG_SIZE_MOST;
    CU_ASSERT_EQUAL(rg_size_plus(1, 2), 3);
    CU_ASSERT_EQUAL(rg_size_plus(most - 1, 1), most);
    CU_ASSERT_EQUAL(rg_size_plus(most, 1), most);
    CU_ASSERT_EQUAL(rg_size_plus(UINT64_MAX, 1), most);
    CU_ASSERT_EQUAL(rg_size_plus(1, UINT64_MAX), most);
    CU_ASSERT_EQUAL(rg_size_times(1 << 18, 1 << 14), UINT64_C(1) << 32);
    CU_ASSERT_EQUAL(rg_size_times(UINT64_C(1) << 62, 1), UINT64_C(1) << 62);
    CU_ASSERT_EQUAL(rg_size_times(UINT64_C(1) << 62, 2), most);
    CU_ASSERT_EQUAL(rg_size_times(UINT64_C(1) << 32, UINT64_C(1) << 32), most);
    CU_ASSERT_EQUAL(rg_size_times(0, UINT64_MAX), 0);
    CU_ASSERT_EQUAL(rg_size_times(UINT64_MAX, 0), 0);
}

static void an_arena_refuses_what_there_is_no_address_for(void)
{
    struct rg_mem *mem = rg_mem_new(RG_MEM_VIRTUAL);
    CU_ASSERT_PTR_NULL(rg_mem_alloc(mem, UINT64_C(1) << (sizeof(size_t) > 4 ? 63 : 32), 0));
    CU_ASSERT_PTR_NULL(rg_mem_floats(mem, UINT64_C(1) << 62)); /* 2^64 bytes */
    CU_ASSERT_PTR_NULL(rg_mem_floats(mem, UINT64_MAX));
    CU_ASSERT_EQUAL(rg_mem_bytes(mem), 0);
    rg_mem_free(mem);
}

/* One input, `count` layers of `width`, 2 classes: a dense layer, then small residual ones. */
static struct rg_network network_of(int width, int count)
{
    struct rg_layer_spec specs[MANY] = {{.ops = rg_layer_kind("dense"), .outputs = width}};
    struct rg_network network;
    struct rg_error e;
    for (int i = 1; i < count - 1; i++)
        specs[i] = (struct rg_layer_spec){.ops = rg_layer_kind("residual"), .hidden = 1};
    specs[count - 1] = (struct rg_layer_spec){.ops = rg_layer_kind("dense"), .outputs = 2};
    CU_ASSERT_EQUAL_FATAL(rg_network_build(&network, "wide", "wide.xml", (struct rg_shape){1, 1, 1},
                                           specs, count, &e),
                          0);
    return network;
}

/* A job of matrix.xml with another network and batch on boards of its own. */
struct fixture {
    struct rg_study study;
    struct rg_network network;
    struct rg_board board;
    const struct rg_board *boards[MANY];
    struct rg_job job;
};

static void set_up(struct fixture *f, const char *label, struct rg_network network, int nodes,
                   int batch)
{
    CU_ASSERT_FATAL(harness_open(&f->study, "matrix.xml", "nodes=1"));
    f->job = *harness_job(&f->study, label);
    f->network = network;
    f->board = *f->job.boards[0];
    for (int i = 0; i < nodes; i++)
        f->boards[i] = &f->board;
    f->job.network = &f->network;
    f->job.boards = f->boards;
    f->job.nodes = nodes;
    f->job.batch = batch;
    f->job.plan = NULL;
}

static void tear_down(struct fixture *f)
{
    if (f->job.strategy->forget)
        f->job.strategy->forget(&f->job);
    rg_network_free(&f->network);
    rg_study_close(&f->study);
}

static struct rg_value *value_of(struct fixture *f, const char *name)
{
    const struct rg_param *params = f->job.strategy->params;
    for (int i = 0; params[i].name; i++)
        if (strcmp(params[i].name, name) == 0)
            return &f->job.values[i];
    CU_FAIL_FATAL("no such parameter");
    return NULL;
}

/* 2^18 samples of 2^14 outputs: 2^32 floats, which are 0 in 32 bits. */
static void a_stash_of_2_to_the_32_floats(void)
{
    struct rg_network network = network_of(WIDE, 2);
    struct rg_stage stage = {.network = &network, .from = 0, .to = 1};
    CU_ASSERT_EQUAL(rg_stage_stash(&stage, SAMPLES), UINT64_C(1) << 32);
    stage = (struct rg_stage){.network = &network, .from = 0, .to = 2};
    CU_ASSERT_EQUAL(rg_stage_stash(&stage, SAMPLES), (UINT64_C(1) << 32) + 2 * SAMPLES);
    CU_ASSERT_TRUE(rg_stage_scratch(&stage, SAMPLES) >= UINT64_C(2) << 32); /* two gradients */
    rg_network_free(&network);
}

/* A replica of it: twice the P = 2^15 + 2^15 + 2 parameters and as many of momentum, samples,
 * labels, the stash above with its scratch, the classes' gradient and two of the widest layer's. */
static void a_replica_of_it_does_not_fit(void)
{
    struct fixture f;
    struct rg_error e;
    set_up(&f, "single-1", network_of(WIDE, 2), 1, SAMPLES);
    struct rg_stage stage = {.network = &f.network, .from = 0, .to = 2};
    uint64_t n = SAMPLES, parameters = (1 << 15) + (1 << 15) + 2;
    uint64_t floats = 3 * parameters + n + (UINT64_C(1) << 32) + 2 * n + 2 * n +
                      (UINT64_C(2) << 32) + rg_stage_scratch(&stage, SAMPLES);
    CU_ASSERT_EQUAL(f.job.strategy->memory(&f.job, 0), 4 * floats + n);
    CU_ASSERT_EQUAL(rg_job_fits(&f.job, &e), RG_ERR_NO_FIT);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, f.board.name));
    /* The board may be large: it is the machine's addresses that end at 4 GB. */
    f.board.memory_bytes = UINT64_C(1) << 40;
    CU_ASSERT_EQUAL(rg_job_fits_in(&f.job, UINT64_MAX, &e), 0);
    CU_ASSERT_EQUAL(rg_job_fits_in(&f.job, UINT32_MAX, &e), RG_ERR_NO_FIT);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "this program can address 4.29 GB"));
    CU_ASSERT_EQUAL(rg_job_fits(&f.job, &e), sizeof(size_t) > 4 ? 0 : RG_ERR_NO_FIT);
    tear_down(&f);
}

/* 2^20 slots of 2^24 samples by the widest layer, which 64 bits cannot say in bytes either. */
static void a_ring_of_it_does_not_fit(void)
{
    int depth[] = {1 << 20}, cut[] = {0, 2};
    struct fixture f;
    struct rg_error e;
    set_up(&f, "pipedream", network_of(sizeof(size_t) > 4 ? 1 << 24 : WIDE, 2), 1, 1 << 24);
    struct rg_ring ring = {.job = &f.job,
                           .schedule = rg_schedule_named("pipedream"),
                           .replicas = 1,
                           .nodes = 1,
                           .stages = 1,
                           .micro = 1,
                           .cut = cut,
                           .depth = depth};
    f.job.plan = &ring;
    uint64_t bytes = rg_ring_memory(&ring, 0, 0, 2);
    if (sizeof(size_t) > 4)
        CU_ASSERT_EQUAL(bytes, RG_SIZE_MOST)
    else
        CU_ASSERT_TRUE(bytes > UINT64_C(1) << 60 && bytes < UINT64_C(1) << 61)
    CU_ASSERT_FALSE(rg_ring_fits(&ring));
    value_of(&f, "depth")->automatic = false;
    value_of(&f, "depth")->number = 1 << 10;
    f.job.iterations_per_epoch = 1 << 10;
    CU_ASSERT_EQUAL(f.job.strategy->check(&f.job, &e), 0);
    CU_ASSERT_EQUAL(rg_job_fits(&f.job, &e), RG_ERR_NO_FIT);
    free(value_of(&f, "partition")->list);
    tear_down(&f);
}

/* What a cut sends: 2^18 samples of 2^14 values, 2^34 bytes one way a unit, 2 ways. A port of
 * 125 MB/s takes more than 137 s for them. */
static void a_cut_takes_its_time(void)
{
    struct fixture f;
    struct rg_prediction p = {0};
    struct rg_error e;
    set_up(&f, "pipedream", network_of(WIDE, 2), 2, SAMPLES);
    CU_ASSERT_EQUAL_FATAL(f.job.strategy->check(&f.job, &e), 0);
    f.job.strategy->predict(&f.job, &p);
    CU_ASSERT_TRUE(f.board.port_rate <= 125e6);
    CU_ASSERT_TRUE(p.c_s > 0x1p34 / 125e6);
    CU_ASSERT_TRUE(p.iteration_s >= p.c_s);
    CU_ASSERT_EQUAL(p.values, UINT64_C(2) * SAMPLES * (WIDE + 2));
    free(value_of(&f, "partition")->list);
    tear_down(&f);
}

/* Activations of the test set that nothing can address: an error, not a small buffer. */
static void a_test_set_too_large_is_refused(void)
{
    struct fixture f;
    struct rg_inspection inspection;
    if (sizeof(size_t) > 4)
        return; /* 17 GB may well be had */
    set_up(&f, "single-1", network_of(WIDE, 2), 1, 10);
    struct rg_dataset data = *f.job.data;
    data.test = SAMPLES;
    f.job.data = &data;
    CU_ASSERT_EQUAL(rg_inspection_open(&inspection, &f.job, true), RG_ERR_NOMEM);
    tear_down(&f);
}

/* 1,000,000 epochs of 100,000 batches of one sample. */
static void iterations_beyond_32_bits(void)
{
    char *sets[] = {"batch=1", "samples=100000", "epochs=1000000", "numerics=skip", "nodes=2"};
    struct rg_study study;
    struct rg_error e;
    CU_ASSERT_EQUAL_FATAL(rg_study_open(RG_SOURCE_DIR "/tests/data/matrix-servers.xml", sets,
                                        RG_COUNT(sets), (char *[]){"server"}, 1, &study, &e),
                          0);
    CU_ASSERT_EQUAL(harness_job(&study, "server")->iterations, INT64_C(100000000000));
    rg_study_close(&study);
}

/* 1,000,000 units in flight at the first of 5,000 stages: 200 fewer at each that follows. */
static void depths_of_long_rings(void)
{
    struct rg_ring ring = {.stages = 5000};
    CU_ASSERT_EQUAL(rg_ring_falling(&ring, 0, 1000000), 1000000);
    CU_ASSERT_EQUAL(rg_ring_falling(&ring, 1, 1000000), 999800);
    CU_ASSERT_EQUAL(rg_ring_falling(&ring, 4999, 1000000), 200);
}

/* A list of layers a stage whose sum is 2^32 more than the layers there are. */
static void a_partition_that_wraps(void)
{
    struct fixture f;
    struct rg_error e;
    set_up(&f, "1f1b", network_of(4, MANY), MANY, 1000);
    struct rg_value *partition = value_of(&f, "partition");
    int list[MANY];
    int64_t left = (INT64_C(1) << 32) + MANY;
    for (int i = 0; i < MANY; i++) {
        list[i] = (int)(left / (MANY - i));
        left -= list[i];
    }
    partition->automatic = false;
    partition->number = MANY;
    partition->list = list;
    partition->text = "...";
    CU_ASSERT_EQUAL(f.job.strategy->check(&f.job, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "adds up to 4294967596 layers, there are 300"));
    tear_down(&f);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"sums and products do not wrap", sums_and_products_do_not_wrap},
        {"an arena refuses what there is no address for",
         an_arena_refuses_what_there_is_no_address_for},
        {"a stash of 2^32 floats", a_stash_of_2_to_the_32_floats},
        {"a replica of it does not fit", a_replica_of_it_does_not_fit},
        {"a ring of it does not fit", a_ring_of_it_does_not_fit},
        {"a cut takes its time", a_cut_takes_its_time},
        {"a test set too large is refused", a_test_set_too_large_is_refused},
        {"iterations beyond 32 bits", iterations_beyond_32_bits},
        {"depths of long rings", depths_of_long_rings},
        {"a partition that wraps", a_partition_that_wraps},
    };
    return suite_main("sizes", tests, RG_COUNT(tests), argc, argv);
}
