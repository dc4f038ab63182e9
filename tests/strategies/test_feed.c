/* Every epoch has an order of its own: in what a feed hands out, and in what training with it
 * gives. */
#include "strategies/feed.h"

#include "models/blas.h"
#include "strategies/harness.h"
#include "unit/models_fixture.h"

extern const struct rg_strategy rg_strategy_ring_allreduce;

enum { TRAIN = 5, EPOCHS = 3, CLASSES = 2 };

/* Five samples of one value; which is which shows in the value. */
static float values[TRAIN + 1] = {-2, -1, 0.5f, 1, 2, 0};
static uint8_t labels[TRAIN + 1] = {0, 1, 0, 1, 1, 0};
static const struct rg_dataset data = {.shape = {1, 1, 1},
                                       .inputs = 1,
                                       .classes = CLASSES,
                                       .target_count = 1,
                                       .train = TRAIN,
                                       .test = 1,
                                       .kept = {.train = true, .test = true},
                                       .x = values,
                                       .targets = labels};

static void orders_of(uint64_t seed, uint32_t orders[EPOCHS][TRAIN])
{
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        CU_ASSERT_EQUAL(rg_dataset_order(&data, seed, epoch, orders[epoch]), 0);
        for (int before = 0; before < epoch; before++)
            CU_ASSERT(memcmp(orders[before], orders[epoch], sizeof orders[epoch]) != 0);
    }
}

/* Batches of 2 of 5 samples are 2 iterations an epoch, and one sample sits out. Iteration 3 is the
 * second of epoch 1: places 2 and 3 of that epoch's order; iteration 4 opens epoch 2: places 0, 1.
 */
static void batches_come_from_their_epoch(void)
{
    struct rg_world w = {.mem = rg_mem_new(RG_MEM_REAL)};
    const struct rg_job job = {
        .data = &data, .batch = 2, .iterations_per_epoch = 2, .seed = 3, .numerics = true};
    struct rg_feed feed;
    uint32_t orders[EPOCHS][TRAIN];
    orders_of(job.seed, orders);
    CU_ASSERT_EQUAL_FATAL(rg_feed_open(&feed, &w, &job, 1), 0);
    static const struct {
        long iteration;
        int epoch, place;
    } want[] = {{0, 0, 0}, {1, 0, 2}, {2, 1, 0}, {3, 1, 2}, {4, 2, 0}, {5, 2, 2}};
    for (size_t i = 0; i < RG_COUNT(want); i++) {
        float x[2] = {0};
        uint8_t y[2] = {9, 9};
        CU_ASSERT_EQUAL(rg_feed_epoch(&feed, want[i].iteration), 0);
        rg_feed_gather(&feed, want[i].iteration, 0, 1, &x[0], &y[0]); /* as two micro-batches */
        rg_feed_gather(&feed, want[i].iteration, 1, 1, &x[1], &y[1]);
        for (int k = 0; k < 2; k++) {
            uint32_t sample = orders[want[i].epoch][want[i].place + k];
            CU_ASSERT_EQUAL(x[k], values[sample]);
            CU_ASSERT_EQUAL(y[k], labels[sample]);
        }
    }
    rg_mem_free(w.mem);
}

/* One sample at a time through y = softmax(W x + b), as it stands in a textbook: the gradient of
 * row c is (y_c - [c is the label]) times x, or times 1 for the bias. */
static void train_by_hand(const uint32_t *order, double rate, double p[2 * CLASSES])
{
    for (int i = 0; i < TRAIN; i++) {
        double x = values[order[i]], e[CLASSES], sum = 0;
        for (int c = 0; c < CLASSES; c++)
            sum += e[c] = exp(p[c] * x + p[CLASSES + c]);
        for (int c = 0; c < CLASSES; c++) {
            double slope = e[c] / sum - (c == labels[order[i]]);
            p[c] -= rate * slope * x;
            p[CLASSES + c] -= rate * slope;
        }
    }
}

static double distance(const float *a, const double *b)
{
    double most = 0;
    for (int i = 0; i < 2 * CLASSES; i++)
        most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

/* All strategies are compared with `single`; this is what `single` is compared with. */
static void single_trains_in_each_epochs_order(void)
{
    const struct rg_layer_spec spec = {KIND("dense"), .outputs = CLASSES};
    struct rg_network network = build(data.shape, &spec, 1);
    struct rg_study study;
    uint32_t orders[EPOCHS][TRAIN];
    CU_ASSERT_FATAL(harness_open(&study, "matrix.xml", "nodes=1"));
    struct rg_job job = *harness_job(&study, "single-1");
    job.network = &network;
    job.data = &data;
    job.optimizer = (struct rg_optimizer){.kind = RG_SGD, .rate = 0.5f};
    job.batch = 1;
    job.iterations_per_epoch = TRAIN;
    job.iterations = EPOCHS * TRAIN;
    orders_of(job.seed, orders);

    float initial[2 * CLASSES];
    CU_ASSERT_EQUAL_FATAL(rg_network_init(&network, 0, 1, job.seed, initial), 0);
    double right[2 * CLASSES], wrong[2 * CLASSES]; /* wrong: epoch 0's order every time */
    for (int i = 0; i < 2 * CLASSES; i++)
        right[i] = wrong[i] = initial[i];
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        train_by_hand(orders[epoch], 0.5, right);
        train_by_hand(orders[0], 0.5, wrong);
    }
    float *trained = harness_parameters(&job, &(struct harness_options){0}, NULL);
    CU_ASSERT(distance(trained, right) < 1e-5);
    CU_ASSERT(distance(trained, wrong) > 1e-2);
    free(trained);
    rg_study_close(&study);
    rg_network_free(&network);
}

/* Rows 1, 2, 4 and 0, 3 on two nodes; batches of 3 are shares of 2 and 1. Two iterations an epoch:
 * the first node takes 4 of its 3 rows, so that it begins again; the second takes both of its own.
 * The order of a node's rows is that which they have among all in any other deal. */
static void rows_of_ones_own_come_in_turn(void)
{
    static uint32_t samples[] = {1, 2, 4, 0, 3}, first[] = {0, 3, 5};
    static uint32_t all[] = {0, 1, 2, 3, 4}, whole[] = {0, 5};
    const struct rg_deal deal = {2, samples, first}, together = {1, all, whole};
    struct rg_job job = {.strategy = &rg_strategy_ring_allreduce,
                         .nodes = 2,
                         .rows = &deal,
                         .data = &data,
                         .batch = 3,
                         .iterations_per_epoch = 2,
                         .seed = 3,
                         .numerics = true};
    struct rg_job alone = job;
    alone.rows = &together;
    alone.nodes = 1;
    struct rg_world w[] = {{.mem = rg_mem_new(RG_MEM_REAL)},
                           {.rank = 1, .mem = rg_mem_new(RG_MEM_REAL)},
                           {.mem = rg_mem_new(RG_MEM_REAL)}};
    struct rg_feed feed[3];
    uint32_t begun[TRAIN];
    bool moved = false;
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL_FATAL(rg_feed_open(&feed[i], &w[i], i < 2 ? &job : &alone, 1), 0);
    for (int epoch = 0; epoch < 8; epoch++) {
        uint32_t own[2][3], of_all[TRAIN];
        for (int i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(rg_feed_epoch(&feed[i], 2 * epoch), 0);
        memcpy(of_all, feed[2].order, sizeof of_all);
        if (epoch == 0)
            memcpy(begun, of_all, sizeof begun);
        int count[2] = {0};
        for (int i = 0; i < TRAIN; i++) {
            int node = of_all[i] == 0 || of_all[i] == 3;
            own[node][count[node]++] = of_all[i];
        }
        const uint32_t want[2][4] = {{own[0][0], own[0][1], own[0][2], own[0][0]},
                                     {own[1][0], own[1][1]}};
        for (int node = 0; node < 2; node++)
            for (int i = 0, share = 2 - node; i < 2; i++) {
                float x[2];
                uint8_t y[2];
                rg_feed_gather(&feed[node], 2 * epoch + i, 2 * node, share, x, y);
                for (int k = 0; k < share; k++) {
                    CU_ASSERT_EQUAL(x[k], values[want[node][i * share + k]]);
                    CU_ASSERT_EQUAL(y[k], labels[want[node][i * share + k]]);
                }
            }
        moved = moved || memcmp(begun, of_all, sizeof begun) != 0;
    }
    CU_ASSERT(moved);
    for (int i = 0; i < 3; i++)
        rg_mem_free(w[i].mem);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"batches come from their epoch's order", batches_come_from_their_epoch},
        {"rows of one's own come in turn", rows_of_ones_own_come_in_turn},
        {"single trains in each epoch's order", single_trains_in_each_epochs_order},
    };
    rg_blas_setup(argv);
    return suite_main("feed", tests, sizeof tests / sizeof *tests, argc, argv);
}
