/* The balanced partition on boards of different speed, memory, port and clock, against every split
 * there is; and the closed forms of strategies on such boards. */
#include "base/check.h"
#include "base/random.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/ring.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

enum { MOST_STAGES = 5, MOST_RANKS = 15 };

static const struct rg_board plain = {.name = "plain",
                                      .cores = 1,
                                      .gemm_rate = 1e9,
                                      .gemm_rate_all = 1e9,
                                      .vector_rate = 1e9,
                                      .memory_rate = 1e9,
                                      .memory_rate_all = 1e9,
                                      .call_s = 1e-6,
                                      .memory_bytes = 1u << 30,
                                      .port_rate = 1e8,
                                      .latency_s = 1e-4,
                                      .frame_payload = 1448,
                                      .frame_bytes = 1538,
                                      .message_s = 1e-5,
                                      .byte_s = 1e-9,
                                      .clock_count = 2,
                                      .clocks = {{1e9, 1, 1, 1}, {5e8, 1, 1, 1}}};

/* A ring by hand round boards of one's own. */
struct fixture {
    struct rg_study study;
    struct rg_job job;
    struct rg_ring ring;
    struct rg_schedule schedule; /* its stash and whether it is synchronous are the tests' */
    struct rg_board kinds[MOST_RANKS];
    const struct rg_board *boards[MOST_RANKS];
    int cut[MOST_STAGES + 1], depth[MOST_STAGES];
};

static void set_up(struct fixture *f, int stages, int replicas)
{
    *f = (struct fixture){0};
    CU_ASSERT_FATAL(harness_open(&f->study, "matrix.xml", "nodes=1 batch=60"));
    f->job = *harness_job(&f->study, "1f1b");
    f->job.boards = f->boards;
    f->job.nodes = stages * replicas;
    f->job.plan = &f->ring;
    f->schedule = *rg_schedule_named("1f1b");
    f->ring = (struct rg_ring){.job = &f->job,
                               .schedule = &f->schedule,
                               .replicas = replicas,
                               .nodes = stages,
                               .stages = stages,
                               .micro = 4,
                               .overlap = true,
                               .cut = f->cut,
                               .depth = f->depth};
    for (int s = 0; s < stages; s++)
        f->depth[s] = stages - s;
    for (int rank = 0; rank < stages * replicas; rank++) {
        f->kinds[rank] = plain;
        f->boards[rank] = &f->kinds[rank];
    }
}

static void tear_down(struct fixture *f)
{
    rg_study_close(&f->study);
}

static int layers_at(const struct fixture *f, int stage)
{
    return f->cut[stage + 1] - f->cut[stage];
}

/* ---- what a split costs, worked out rank by rank ---- */

struct split_cost {
    double slowest, compute; /* over the ranks */
    bool fits;
};

/* Floats, label and place in the order of every training sample at stage 0; rank 0 tests. */
static uint64_t samples_at(const struct fixture *f, int rank)
{
    const struct rg_dataset *data = f->job.data;
    uint64_t train = (uint64_t)data->train * (4 * data->inputs + 5);
    uint64_t test = (uint64_t)data->test * (4 * data->inputs + 1);
    return (rank % f->ring.stages == 0 ? train : 0) + (rank == 0 ? test : 0);
}

static struct split_cost cost_of(const struct fixture *f, const int *cut)
{
    const struct rg_ring *ring = &f->ring;
    const struct rg_network *network = f->job.network;
    struct split_cost cost = {.fits = true};
    int n = rg_ring_capacity(ring);
    for (int rank = 0; rank < f->job.nodes; rank++) {
        const struct rg_board *board = f->boards[rank];
        int s = rank % ring->stages, from = cut[s], to = cut[s + 1];
        struct rg_ring_times t = rg_ring_times(ring, board, from, to, n);
        double compute = t.forward + t.backward, port = 0;
        size_t parameters = rg_network_range(network, from, to);
        if (!ring->schedule->synchronous)
            compute += (rg_ring_update_s(ring, board, 0, 0, parameters) -
                        rg_ring_update_s(ring, board, 0, 0, 0)) /
                       ring->micro;
        size_t values =
            s < ring->stages - 1 ? network->layers[to - 1].outputs : (size_t)network->classes;
        values += s > 0 ? network->layers[from].inputs : (size_t)network->classes;
        if (ring->stages > 1)
            port = rg_board_port_s(board, 2, sizeof(float) * (size_t)n * values);
        cost.slowest = fmax(cost.slowest, ring->overlap ? fmax(compute, port) : compute + port);
        cost.compute = fmax(cost.compute, compute);
        uint64_t bytes = rg_ring_memory(ring, s, from, to) + samples_at(f, rank);
        cost.fits = cost.fits && bytes <= board->memory_bytes;
    }
    return cost;
}

struct best {
    double slowest, compute; /* least, and least computing of those as fast */
    bool fits;               /* any does */
};

/* Every way to put the cuts of stages `stage` and on; visits them all twice: for the least time,
 * then for the least computing within it. */
static void try_splits(const struct fixture *f, int *cut, int stage, bool bounded, bool second,
                       struct best *best)
{
    int layers = f->job.network->layer_count, stages = f->ring.stages;
    if (stage < stages) {
        for (cut[stage] = cut[stage - 1] + 1; cut[stage] <= layers - (stages - stage); cut[stage]++)
            try_splits(f, cut, stage + 1, bounded, second, best);
        return;
    }
    cut[stages] = layers;
    struct split_cost cost = cost_of(f, cut);
    best->fits = best->fits || cost.fits;
    if (bounded && !cost.fits)
        return;
    if (!second)
        best->slowest = fmin(best->slowest, cost.slowest);
    else if (cost.slowest <= best->slowest * (1 + 1e-9))
        best->compute = fmin(best->compute, cost.compute);
}

static struct best brute_force(const struct fixture *f)
{
    int cut[MOST_STAGES + 1] = {0};
    struct best best = {INFINITY, INFINITY, false};
    try_splits(f, cut, 1, true, false, &best);
    if (!best.fits)
        try_splits(f, cut, 1, false, false, &best);
    try_splits(f, cut, 1, best.fits, true, &best);
    return best;
}

static void expect_optimum(struct fixture *f)
{
    struct best best = brute_force(f);
    int result = rg_partition_balanced(&f->ring);
    struct split_cost found = cost_of(f, f->cut);
    CU_ASSERT_EQUAL(result, best.fits ? 0 : RG_ERR_NO_FIT);
    CU_ASSERT_EQUAL(found.fits, best.fits);
    CU_ASSERT_DOUBLE_EQUAL(found.slowest, best.slowest, 3e-9 * best.slowest);
    CU_ASSERT_DOUBLE_EQUAL(found.compute, best.compute, 3e-9 * best.compute);
}

/* ---- the tests ---- */

static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * ldexp((double)(rg_mix64((*state)++) >> 11), -53);
}

/* Speeds over a factor of 30, ports over one of 1000, memory from far too little to plenty. */
static void the_optimum_is_found(void)
{
    uint64_t state = 1;
    int bounded = 0, impossible = 0;
    for (int i = 0; i < 240; i++) {
        struct fixture f;
        int stages = 1 + i % MOST_STAGES, replicas = 1 + i / MOST_STAGES % 3;
        set_up(&f, stages, replicas);
        f.ring.overlap = i % 2 == 0;
        f.schedule.synchronous = i % 4 != 0;
        if (i % 7 == 0)
            f.schedule.stash = RG_STASH_INPUTS;
        if (i % 8 == 0)
            f.schedule.stash = RG_STASH_WEIGHTS;
        for (int s = 0; s < stages; s++)
            f.depth[s] += i % 3 + 1;
        for (int rank = 0; rank < stages * replicas; rank++) {
            struct rg_board *board = &f.kinds[rank];
            double speed = pow(10, uniform(&state, -1, 0.5));
            board->gemm_rate = board->gemm_rate_all = 1e9 * speed;
            board->vector_rate = 1e9 * speed;
            board->memory_rate = board->memory_rate_all = 1e9 * speed;
            board->port_rate = pow(10, uniform(&state, 5.5, 8.5));
            if (i % 3)
                board->memory_bytes = (uint64_t)pow(10, uniform(&state, 4.7, 5.5));
        }
        struct best best = brute_force(&f), free = {INFINITY, INFINITY, false};
        int cut[MOST_STAGES + 1] = {0};
        try_splits(&f, cut, 1, false, false, &free);
        impossible += !best.fits;
        bounded += best.fits && best.slowest > free.slowest;
        expect_optimum(&f);
        tear_down(&f);
    }
    CU_ASSERT_TRUE(bounded > 20 && impossible > 20);
}

static void fast_boards_get_more(void)
{
    struct fixture f;
    set_up(&f, 3, 1);
    CU_ASSERT_EQUAL(rg_partition_balanced(&f.ring), 0);
    int even = layers_at(&f, 1);
    struct rg_board fast = plain;
    fast.gemm_rate = fast.gemm_rate_all = fast.vector_rate = 4e9;
    fast.memory_rate = fast.memory_rate_all = 4e9;
    fast.call_s = 0.25e-6;
    f.boards[1] = &fast;
    CU_ASSERT_EQUAL(rg_partition_balanced(&f.ring), 0);
    CU_ASSERT_TRUE(layers_at(&f, 1) > even);
    expect_optimum(&f);
    /* it is the stage's own memory that counts */
    fast.memory_bytes = rg_ring_memory(&f.ring, 1, f.cut[1], f.cut[2]) - 1;
    int before = layers_at(&f, 1);
    CU_ASSERT_EQUAL(rg_partition_balanced(&f.ring), 0);
    CU_ASSERT_TRUE(rg_ring_memory(&f.ring, 1, f.cut[1], f.cut[2]) <= fast.memory_bytes);
    CU_ASSERT_TRUE(layers_at(&f, 1) <= before);
    expect_optimum(&f);
    fast.memory_bytes = 1000;
    CU_ASSERT_EQUAL(rg_partition_balanced(&f.ring), RG_ERR_NO_FIT);
    tear_down(&f);
}

/* A stage is as fast as the slowest of its replicas, whichever replica that is in. */
static void the_slowest_replica_counts(void)
{
    for (int replica = 0; replica < 2; replica++) {
        struct fixture f;
        set_up(&f, 3, 2);
        CU_ASSERT_EQUAL(rg_partition_balanced(&f.ring), 0);
        int even = layers_at(&f, 2);
        struct rg_board *slow = &f.kinds[replica * 3 + 2];
        CU_ASSERT_EQUAL(rg_board_set_clock(slow, 5e8, NULL), 0);
        slow->memory_rate = slow->memory_rate_all = 5e8;
        CU_ASSERT_EQUAL(rg_partition_balanced(&f.ring), 0);
        CU_ASSERT_TRUE(layers_at(&f, 2) < even);
        expect_optimum(&f);
        slow->memory_bytes = rg_ring_memory(&f.ring, 2, f.cut[2], f.cut[3]) - 1;
        expect_optimum(&f);
        tear_down(&f);
    }
}

/* Groups of a scenario: <clock nodes hz> reaches the partition, as does a mixed platform. */
static void scenarios_have_kinds(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(harness_open(&study, "mixed.xml", ""));
    const struct rg_ring *ring = harness_job(&study, "ring")->plan;
    const struct rg_board *const *boards = ring->job->boards;
    CU_ASSERT_EQUAL_FATAL(ring->stages, 6);
    int layers[6];
    for (int s = 0; s < 6; s++)
        layers[s] = ring->cut[s + 1] - ring->cut[s];
    /* fast, slow, fast, slow at half its clock, fast with little memory, slow */
    CU_ASSERT_STRING_EQUAL(boards[0]->name, "fast");
    CU_ASSERT_STRING_EQUAL(boards[3]->name, "slow");
    CU_ASSERT_EQUAL(boards[3]->clock, 1);
    CU_ASSERT_EQUAL(boards[1]->clock, 0);
    CU_ASSERT_STRING_EQUAL(boards[4]->name, "small");
    CU_ASSERT_TRUE(layers[0] > layers[1] && layers[2] > layers[1]);
    CU_ASSERT_TRUE(layers[3] < layers[1]);
    CU_ASSERT_TRUE(layers[4] < layers[2]);
    CU_ASSERT_EQUAL(rg_job_fits(ring->job, NULL), 0);
    rg_study_close(&study);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"no split is better", the_optimum_is_found},
        {"fast boards get more layers, small ones what they hold", fast_boards_get_more},
        {"the slowest replica counts", the_slowest_replica_counts},
        {"kinds of boards in a scenario", scenarios_have_kinds},
    };
    rg_blas_setup(argv);
    return suite_main("partition", tests, sizeof tests / sizeof *tests, argc, argv);
}
