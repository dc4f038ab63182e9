/* The tanh of networks, held against the C library's in double precision: every 509th float; with
 * RG_ALL_FLOATS in the environment, all of them. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "models/layers.h"
#include "models/exp.h"
#include "tests/support/suite.h"
#include <math.h>
#include <stdlib.h>

enum { BLOCK = 1 << 12 };

static const uint32_t infinite = 0x7f800000;

/* How far y is off the exact number, in units of the last place of floats of its size. */
static double units_off(float y, double exact)
{
    int exponent;
    frexp(exact, &exponent);
    return fabs(y - exact) / fmax(ldexp(1, exponent - 24), 0x1p-149);
}

static void test_every_size(void)
{
    uint32_t step = getenv("RG_ALL_FLOATS") ? 1 : 509, falls = 0, not_odd = 0;
    double worst = 0;
    float before = 0;
    for (uint32_t bits = 0; bits <= infinite; bits += step) {
        float x = rg_float_of(bits), y = rg_tanh(x);
        falls += y < before;
        before = y;
        not_odd += rg_bits_of(rg_tanh(-x)) != rg_bits_of(-y);
        worst = fmax(worst, units_off(y, tanh(x)));
    }
    CU_ASSERT_EQUAL(falls, 0);
    CU_ASSERT_EQUAL(not_odd, 0);
    CU_ASSERT(worst < 0.51);
}

static void test_ends(void)
{
    CU_ASSERT_EQUAL(rg_bits_of(rg_tanh(0.0f)), rg_bits_of(0.0f));
    CU_ASSERT_EQUAL(rg_bits_of(rg_tanh(-0.0f)), rg_bits_of(-0.0f));
    CU_ASSERT_EQUAL(rg_tanh(0x1p-149f), 0x1p-149f);
    CU_ASSERT_EQUAL(rg_tanh(9), 0x1.fffffep-1f); /* 1 - 3.05e-8, nearer to 1 - 2^-24 than to 1 */
    CU_ASSERT_EQUAL(rg_tanh(9.02f), 1);
    CU_ASSERT_EQUAL(rg_tanh(INFINITY), 1);
    CU_ASSERT_EQUAL(rg_tanh(-INFINITY), -1);
    CU_ASSERT(isnan(rg_tanh(NAN)));
}

/* 2^24 floats from all sizes and both signs through the layers' loops, which are vectors of the
 * processor's: always these bits. */
static void test_bits(void)
{
    static float y[BLOCK], zero[BLOCK], one[BLOCK];
    char text[RG_DIGEST_TEXT];
    struct rg_digest *digest = rg_digest_new();
    uint32_t at = 0, different = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(digest);
    for (int block = 0; block < (1 << 24) / BLOCK; block++) {
        for (int i = 0; i < BLOCK; i++, at += 255)
            y[i] = one[i] = (at & ~(1u << 31)) <= infinite ? rg_float_of(at) : 0;
        rg_bias_activate(RG_ACT_TANH, 1, BLOCK, zero, y, NULL);
        rg_channel_bias_activate(RG_ACT_TANH, 1, BLOCK, zero, one, NULL);
        different += memcmp(y, one, sizeof y) != 0;
        rg_digest_add(digest, y, sizeof y);
    }
    CU_ASSERT_EQUAL(different, 0);
    rg_digest_end(digest, text);
    CU_ASSERT_STRING_EQUAL(text,
                           "4926a3a4f99c9d48d702b36058ecfe099fbdd419fef5176833aaf9fb58684cb4");
}

/* A row's end, which fills no vector, is as its beginning. */
static void test_rests(void)
{
    float y[67], bias[67];
    for (int n = 1; n <= 67; n++) {
        for (int i = 0; i < n; i++) {
            y[i] = (float)(i - 33) / 7;
            bias[i] = 0.25f;
        }
        rg_bias_activate(RG_ACT_TANH, 1, (size_t)n, bias, y, NULL);
        for (int i = 0; i < n; i++)
            CU_ASSERT_EQUAL(y[i], rg_tanh((float)(i - 33) / 7 + 0.25f));
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"of every size: within 0.51 units, odd, rising", test_every_size},
        {"zero, infinity and no number", test_ends},
        {"the same bits everywhere", test_bits},
        {"rows that fill no vector", test_rests}};
    return suite_main("tanh", tests, RG_COUNT(tests), argc, argv);
}
