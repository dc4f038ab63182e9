/* Softmax with cross-entropy. */
#include "models_fixture.h"

static void test_by_hand(void)
{
    /* softmax(0, ln 2, ln 3) = 1/6, 2/6, 3/6 */
    const float logits[3] = {0, logf(2), logf(3)};
    const uint8_t label = 1;
    float g[3];
    int correct = 4;
    double loss = rg_softmax_cross_entropy(1, 3, logits, &label, 0.5f, g, &correct);
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
    rg_softmax_cross_entropy(BATCH, CLASSES, z, labels, 1, g, &correct);
    for (int i = 0; i < BATCH * CLASSES; i++) {
        float saved = z[i], step = 1e-2f;
        z[i] = saved + step;
        double up = rg_softmax_cross_entropy(BATCH, CLASSES, z, labels, 1, NULL, &correct);
        z[i] = saved - step;
        double down = rg_softmax_cross_entropy(BATCH, CLASSES, z, labels, 1, NULL, &correct);
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
    double loss = rg_softmax_cross_entropy(2, 3, z, labels, 1, g, &correct);
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
    rg_softmax_cross_entropy(1, 2, z, labels, 1, NULL, &correct);
    CU_ASSERT(correct == 1); /* a tie counts as the lowest class */
    double loss = rg_softmax_cross_entropy(2, 2, z, labels, 1, z, &correct);
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
    rg_softmax_cross_entropy(BATCH, CLASSES, z, labels, 0.1f, whole, &a);
    rg_softmax_cross_entropy(3, CLASSES, z, labels, 0.1f, pieces, &b);
    rg_softmax_cross_entropy(4, CLASSES, z + 3 * CLASSES, labels + 3, 0.1f, pieces + 3 * CLASSES,
                             &b);
    CU_ASSERT(memcmp(whole, pieces, sizeof whole) == 0 && a == b);
    rg_random_free(random);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"loss and gradient by hand", test_by_hand},
        {"gradient against finite differences", test_gradient},
        {"huge logits", test_huge_logits},
        {"ties; gradient in place", test_ties_and_in_place},
        {"a batch in pieces", test_pieces},
    };
    return suite_main("loss", tests, RG_COUNT(tests), argc, argv);
}
