/* Softmax with cross-entropy, of samples and of tokens; the mean squared error. */
#include "models_fixture.h"

static void test_by_hand(void)
{
    /* softmax(0, ln 2, ln 3) = 1/6, 2/6, 3/6 */
    const float logits[3] = {0, logf(2), logf(3)};
    const uint8_t label = 1;
    float g[3];
    int correct = 4;
    double loss = cross_entropy(1, 3, logits, &label, 0.5f, g, &correct);
    CU_ASSERT_DOUBLE_EQUAL(loss, log(3), 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(g[0], 0.5 / 6, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(g[1], 0.5 * (2.0 / 6 - 1), 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(g[2], 0.5 * 3 / 6, 1e-7);
    CU_ASSERT(correct == 4);
}

static void test_gradient(void)
{
    enum { BATCH = 4, CLASSES = 6 };
    struct rg_random *random = rg_random_new(2, RG_STREAM_TEST, 0);
    float z[BATCH * CLASSES], g[BATCH * CLASSES];
    uint8_t labels[BATCH] = {0, 5, 2, 2};
    int correct = 0;
    draw(random, 2, BATCH * CLASSES, z);
    cross_entropy(BATCH, CLASSES, z, labels, 1, g, &correct);
    for (int i = 0; i < BATCH * CLASSES; i++) {
        float saved = z[i], step = 1e-2f;
        z[i] = saved + step;
        double up = cross_entropy(BATCH, CLASSES, z, labels, 1, NULL, &correct);
        z[i] = saved - step;
        double down = cross_entropy(BATCH, CLASSES, z, labels, 1, NULL, &correct);
        z[i] = saved;
        CU_ASSERT_DOUBLE_EQUAL(g[i], (up - down) / (2 * (double)step), 2e-4);
    }
    rg_random_free(random);
}

static void test_huge_logits(void)
{
    float z[6] = {1e30f, -1e30f, 0, 300, 500, -500}, g[6];
    uint8_t labels[2] = {0, 0};
    int correct = 0;
    double loss = cross_entropy(2, 3, z, labels, 1, g, &correct);
    CU_ASSERT_DOUBLE_EQUAL(loss, 200, 1e-4);
    CU_ASSERT(correct == 1);
    const float expected[6] = {0, 0, 0, -1, 1, 0};
    for (int i = 0; i < 6; i++)
        CU_ASSERT_DOUBLE_EQUAL(g[i], expected[i], 1e-6);
}

static void test_ties_and_in_place(void)
{
    float z[4] = {1, 1, 1, 1};
    uint8_t labels[2] = {0, 1};
    int correct = 0;
    cross_entropy(1, 2, z, labels, 1, NULL, &correct);
    CU_ASSERT(correct == 1); /* a tie counts as the lowest class */
    double loss = cross_entropy(2, 2, z, labels, 1, z, &correct);
    CU_ASSERT(correct == 2);
    CU_ASSERT_DOUBLE_EQUAL(loss, 2 * log(2), 1e-6);
    const float expected[4] = {-0.5f, 0.5f, 0.5f, -0.5f};
    CU_ASSERT(memcmp(z, expected, sizeof z) == 0);
}

/* A batch in pieces: the same gradients, to the bit. */
static void test_pieces(void)
{
    enum { BATCH = 7, CLASSES = 5 };
    struct rg_random *random = rg_random_new(3, RG_STREAM_TEST, 0);
    float z[BATCH * CLASSES], whole[BATCH * CLASSES], pieces[BATCH * CLASSES];
    uint8_t labels[BATCH] = {0, 1, 2, 3, 4, 0, 1};
    int a = 0, b = 0;
    draw(random, 2, BATCH * CLASSES, z);
    cross_entropy(BATCH, CLASSES, z, labels, 0.1f, whole, &a);
    cross_entropy(3, CLASSES, z, labels, 0.1f, pieces, &b);
    cross_entropy(4, CLASSES, z + 3 * CLASSES, labels + 3, 0.1f, pieces + 3 * CLASSES, &b);
    CU_ASSERT(memcmp(whole, pieces, sizeof whole) == 0 && a == b);
    rg_random_free(random);
}

/* Labels in two and in four bytes: of n equal logits the loss is log n, and the gradient 1 / n less
 * 1 at the label. */
static void test_many_classes(void)
{
    static const int counts[] = {256, 257, 65536, 65537};
    static const size_t bytes[] = {1, 2, 2, 4};
    static float logits[65537], g[65537];
    for (int i = 0; i < 4; i++) {
        const struct rg_targets t = {1, counts[i]};
        int32_t room = -1;
        int64_t correct = 0;
        rg_target_set_label(&t, &room, 0, counts[i] - 1);
        double loss = rg_loss(&t, 1, logits, &room, 1, g, &correct);
        CU_ASSERT_EQUAL(rg_targets_bytes(&t), bytes[i]);
        CU_ASSERT_DOUBLE_EQUAL(loss, log(counts[i]), 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(g[counts[i] - 1], 1.0 / counts[i] - 1, 1e-7);
        CU_ASSERT_DOUBLE_EQUAL(g[counts[i] - 2], 1.0 / counts[i], 1e-7);
        CU_ASSERT(correct == 0); /* of equal ones, the lowest class */
    }
}

/* Two tokens a sample: softmax(0, ln 2, ln 3) = 1/6, 2/6, 3/6, softmax(0, 0, ln 2) = 1/4, 1/4, 2/4.
 * A sample's loss is the mean of its tokens'. */
static void test_tokens(void)
{
    const float ln2 = logf(2), ln3 = logf(3);
    const float logits[12] = {0, ln2, ln3, 0, 0, ln2, 0, 0, ln2, 0, ln2, ln3};
    const struct rg_targets t = {2, 3};
    const uint8_t labels[4] = {1, 2, 0, 2};
    float g[12];
    int64_t correct = 0;
    double loss = rg_loss(&t, 2, logits, labels, 0.5f, g, &correct);
    CU_ASSERT_DOUBLE_EQUAL(loss, (log(3) + log(2)) / 2 + (log(4) + log(2)) / 2, 1e-6);
    CU_ASSERT(correct == 2);
    const double expected[12] = {1 / 6.,     2 / 6. - 1, 3 / 6., 1 / 4., 1 / 4., 2 / 4. - 1,
                                 1 / 4. - 1, 1 / 4.,     2 / 4., 1 / 6., 2 / 6., 3 / 6. - 1};
    for (int i = 0; i < 12; i++)
        CU_ASSERT_DOUBLE_EQUAL(g[i], 0.5 / 2 * expected[i], 1e-7);
}

/* Differences 1, -2 and 0.5 of the first sample, 3, 0 and -1 of the second. */
static void test_squares(void)
{
    const struct rg_targets t = {3, 0};
    const float y[6] = {2, 0, 1, 5, 7, -1}, wanted[6] = {1, 2, 0.5f, 2, 7, 0};
    float g[6];
    int64_t correct = 5;
    double loss = rg_loss(&t, 2, y, wanted, 0.5f, g, &correct);
    CU_ASSERT_DOUBLE_EQUAL(loss, (1 + 4 + 0.25) / 3 + (9 + 0 + 1) / 3., 1e-6);
    CU_ASSERT(correct == 5);
    const double difference[6] = {1, -2, 0.5, 3, 0, -1};
    for (int i = 0; i < 6; i++)
        CU_ASSERT_DOUBLE_EQUAL(g[i], 0.5 * 2 * difference[i] / 3, 1e-7);
}

/* Central differences of a parabola are exact but for rounding. */
static void test_slope_of_squares(void)
{
    enum { BATCH = 5, COUNT = 3 };
    const struct rg_targets t = {COUNT, 0};
    struct rg_random *random = rg_random_new(4, RG_STREAM_TEST, 0);
    float y[BATCH * COUNT], wanted[BATCH * COUNT], g[BATCH * COUNT], step = 0.125f;
    draw(random, 2, BATCH * COUNT, y);
    draw(random, 2, BATCH * COUNT, wanted);
    rg_loss(&t, BATCH, y, wanted, 0.25f, g, NULL);
    for (int i = 0; i < BATCH * COUNT; i++) {
        float saved = y[i];
        y[i] = saved + step;
        double up = rg_loss(&t, BATCH, y, wanted, 1, NULL, NULL), above = y[i];
        y[i] = saved - step;
        double down = rg_loss(&t, BATCH, y, wanted, 1, NULL, NULL), below = y[i];
        y[i] = saved;
        CU_ASSERT_DOUBLE_EQUAL(g[i], 0.25 * (up - down) / (above - below), 1e-5);
    }
    rg_random_free(random);
}

/* Of three samples of three numbers: errors 1, 0, 1 over distances 1, 0, 1 of the mean 2: R2 0; no
 * errors: 1; a number that never changes: none. */
static void test_r2(void)
{
    const struct rg_targets three = {3, 0}, one = {1, 0};
    const float wanted[9] = {1, 5, 4, 2, 6, 4, 3, 10, 4};
    const float y[9] = {2, 5, 0, 2, 6, 0, 4, 10, 9}, constant[2] = {4, 4};
    CU_ASSERT_DOUBLE_EQUAL(rg_loss_r2(&three, 3, y, wanted), (0 + 1) / 2., 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(rg_loss_r2(&three, 3, wanted, wanted), 1, 1e-12);
    CU_ASSERT(isnan(rg_loss_r2(&one, 2, y, constant)));
}

/* What a label costs to read is what it takes; all else is as for so many samples. */
static void test_work(void)
{
    static const struct rg_targets one = {1, 10}, tokens = {4, 10}, many = {1, 300};
    struct rg_work a = {0}, b = {0}, c = {0};
    rg_loss_work(&one, 12, &a);
    rg_loss_work(&tokens, 3, &b);
    rg_loss_work(&many, 2, &c);
    CU_ASSERT(a.cost[0].flops == b.cost[0].flops && a.cost[0].bytes == b.cost[0].bytes);
    CU_ASSERT_DOUBLE_EQUAL(a.cost[0].bytes, 12 * 10 * 8 + 12, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(c.cost[0].bytes, 2 * 300 * 8 + 2 * 2, 1e-9);
    rg_work_free(&a);
    rg_work_free(&b);
    rg_work_free(&c);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"loss and gradient by hand", test_by_hand},
        {"gradient against finite differences", test_gradient},
        {"huge logits", test_huge_logits},
        {"ties; gradient in place", test_ties_and_in_place},
        {"a batch in pieces", test_pieces},
        {"labels of more than a byte", test_many_classes},
        {"a label a token", test_tokens},
        {"squares by hand", test_squares},
        {"squares against finite differences", test_slope_of_squares},
        {"R2", test_r2},
        {"work", test_work},
    };
    return suite_main("loss", tests, RG_COUNT(tests), argc, argv);
}
