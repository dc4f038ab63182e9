/* Coded numbers: values worked by hand, and that nothing is lost between a message and its rest. */
#include "collectives/coded_ring.h"

#include "base/check.h"
#include "base/random.h"
#include "support/suite.h"
#include "world/world_mem.h"
#include <math.h>
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

static const struct rg_codec CODECS[] = {
    {RG_CODE_FLOAT16, 0}, {RG_CODE_INT8, 0}, {RG_CODE_TOP, 100}, {RG_CODE_TOP, 1000}};

/* What the bits of IEEE 754 binary16 are: sign, five of exponent with 15 added, ten of fraction. */
static void halves(void)
{
    static const struct {
        float value, rounded;
        uint16_t bits;
    } want[] = {{1, 1, 0x3c00},
                {-2, -2, 0xc000},
                {0.1F, 0.0999755859375F, 0x2e66},
                {1 + 0x1p-11F, 1, 0x3c00},           /* half a last bit: to the even one */
                {1 + 0x3p-11F, 1 + 0x1p-9F, 0x3c02}, /* likewise */
                {1 + 0x1.8p-11F, 1 + 0x1p-10F, 0x3c01},
                {65504, 65504, 0x7bff},
                {1e6F, 65504, 0x7bff}, /* the largest; more comes later */
                {-70000, -65504, 0xfbff},
                {0x1p-14F, 0x1p-14F, 0x0400},
                {0x1p-24F, 0x1p-24F, 0x0001},
                {0x3p-25F, 0x1p-23F, 0x0002},
                {0x1p-25F, 0, 0x0000},
                {-0x1p-30F, 0, 0x8000}};
    const struct rg_codec codec = {RG_CODE_FLOAT16, 0};
    EACH(i, want)
    {
        uint16_t bits;
        float rest = 0, back = 7;
        rg_encode(codec, 1, &want[i].value, &rest, 0, &bits);
        CU_ASSERT_EQUAL(bits, want[i].bits);
        CU_ASSERT_EQUAL(rest, want[i].value - want[i].rounded);
        CU_ASSERT(rg_decode(codec, 1, &bits, &back, false));
        CU_ASSERT_EQUAL(back, want[i].rounded);
        CU_ASSERT(rg_decode(codec, 1, &bits, &back, true));
        CU_ASSERT_EQUAL(back, 2 * want[i].rounded);
    }
    CU_ASSERT_EQUAL(rg_coded_bytes(codec, 5), 10);
}

/* Every number of binary16 comes back as it is. */
static void all_halves(void)
{
    const struct rg_codec codec = {RG_CODE_FLOAT16, 0};
    for (uint32_t bits = 0; bits < 0x7c00; bits++) {
        uint16_t half = (uint16_t)bits, again = 0;
        float value, rest = 0;
        CU_ASSERT(rg_decode(codec, 1, &half, &value, false));
        int exponent = (int)(bits >> 10);
        double fraction = bits & 1023;
        double want = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        rg_encode(codec, 1, &value, &rest, 0, &again);
        if (value != (float)want || again != half || rest != 0)
            CU_FAIL("a number of binary16 is another one");
    }
}

/* From 0 to 255 a step is 1: whole numbers stay, 10.25 is 10 three times of four and 11 else. */
static void bytes_round_without_bias(void)
{
    enum { TIMES = 4000 };
    const struct rg_codec codec = {RG_CODE_INT8, 0};
    double sum = 0;
    for (int t = 0; t < TIMES; t++) {
        float values[4] = {0, 255, 77, 10.25F}, rest[4] = {0}, back[4];
        char bytes[12];
        CU_ASSERT_EQUAL_FATAL(rg_coded_bytes(codec, 4), sizeof bytes);
        rg_encode(codec, 4, values, rest, rg_mix64((uint64_t)t), bytes);
        CU_ASSERT(rg_decode(codec, 4, bytes, back, false));
        CU_ASSERT(back[0] == 0 && back[1] == 255 && back[2] == 77);
        CU_ASSERT(back[3] == 10 || back[3] == 11);
        CU_ASSERT_EQUAL(rest[3], 10.25F - back[3]);
        sum += back[3];
    }
    /* four standard deviations of the mean of so many coins */
    CU_ASSERT(fabs(sum / TIMES - 10.25) < 4 * sqrt(0.25 * 0.75 / TIMES));
    CU_ASSERT_EQUAL(rg_coded_bytes(codec, 0), 0);
}

static void the_largest_are_said(void)
{
    const struct rg_codec codec = {RG_CODE_TOP, 300}; /* three of ten, four of eleven */
    const float values[10] = {-1, -9, 3, 2, 8, -2, 3, 0, 2.5F, -3};
    const float want[10] = {0, -9, 3, 0, 8,
                            0, 0,  0, 0, 0}; /* of equal ones, those that are first */
    float rest[10] = {0}, back[10];
    uint32_t bytes[6];
    CU_ASSERT_EQUAL_FATAL(rg_coded_bytes(codec, 10), sizeof bytes);
    CU_ASSERT_EQUAL(rg_coded_bytes(codec, 11), 4 * 8);
    rg_encode(codec, 10, values, rest, 0, bytes);
    CU_ASSERT(rg_decode(codec, 10, bytes, back, false));
    for (int i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(back[i], want[i]);
        CU_ASSERT_EQUAL(rest[i], values[i] - want[i]);
    }
    bytes[2] = 10; /* a place that is none */
    CU_ASSERT_FALSE(rg_decode(codec, 10, bytes, back, false));
}

/* Counts whose products with `keep` are above 32 bits, which size_t may have. */
static void many_numbers_are_counted(void)
{
    const struct rg_codec half = {RG_CODE_TOP, 500}, whole = {RG_CODE_TOP, 1000};
    CU_ASSERT_EQUAL(rg_coded_numbers(half, 8589932), 4294966);
    CU_ASSERT_EQUAL(rg_coded_numbers(half, 8589933), 4294967);
    CU_ASSERT_EQUAL(rg_coded_bytes(whole, 600000000), UINT64_C(4800000000));
}

/* Decoded in place of what was there, the numbers that are not said are set to zero: bytes that
 * adding does not move. */
static void zeros_have_a_cost(void)
{
    const struct rg_codec top = {RG_CODE_TOP, 10}, float16 = {.kind = RG_CODE_FLOAT16};
    double add = rg_decode_cost(top, 5000, true).bytes,
           take = rg_decode_cost(top, 5000, false).bytes;
    CU_ASSERT_EQUAL(take - add, 5000 * sizeof(float));
    CU_ASSERT_EQUAL(rg_decode_cost(float16, 5000, true).bytes,
                    rg_decode_cost(float16, 5000, false).bytes);
}

static void what_is_not_finite_stays_so(void)
{
    EACH(c, CODECS)
    {
        static const float bad[] = {NAN, INFINITY, -INFINITY};
        EACH(b, bad)
        {
            float values[3] = {1, bad[b], 2}, rest[3] = {0}, back[3] = {0};
            char bytes[24];
            rg_encode(CODECS[c], 3, values, rest, 0, bytes);
            CU_ASSERT(rg_decode(CODECS[c], 3, bytes, back, false));
            CU_ASSERT_FALSE(isfinite(back[1]));
            CU_ASSERT_FALSE(isfinite(rest[1]));
        }
    }
}

/* ---- round a ring ---- */

enum { MOST = 9, COUNT = 37, RUNS = 6 };

struct sums {
    struct rg_codec codec;
    float out[MOST][RUNS][COUNT], rest[MOST][COUNT];
};

static float number(int rank, int run, int i)
{
    uint64_t bits = rg_mix64((uint64_t)(rank * 1000 + run * 100 + i));
    return (float)((double)(bits >> 11) * 0x1p-53 - 0.5);
}

static int sum(struct rg_world *w, void *arg)
{
    struct sums *sums = arg;
    struct rg_coded_ring ring;
    w->mem = rg_mem_new(RG_MEM_REAL);
    int result = rg_coded_ring_open(&ring, w, (struct rg_group){0, 1, w->size}, sums->codec, COUNT,
                                    RG_TAG_USER);
    CU_ASSERT_EQUAL(rg_mem_bytes(w->mem), rg_coded_ring_memory(sums->codec, w->size, COUNT));
    for (int run = 0; run < RUNS && result == 0; run++) {
        float *data = sums->out[w->rank][run];
        for (int i = 0; i < COUNT; i++)
            data[i] = number(w->rank, run, i);
        if (run % 2)
            result = rg_coded_ring_prepare(&ring, w, COUNT);
        if (result == 0)
            result = rg_coded_ring_run(&ring, w, data, COUNT, sums->rest[w->rank], (uint64_t)run);
    }
    if (result == 0)
        result = rg_coded_ring_settle(&ring);
    rg_mem_free(w->mem);
    return result;
}

/* On wires of very unlike delays: what is passed on leaves while more comes in. */
static void sums_of(struct rg_codec codec, int n, uint64_t seed, struct sums *sums)
{
    int results[MOST];
    const struct rg_mem_world_options world = {
        .size = n, .seed = seed, .byte_s = 1e-3, .latency_s = 1, .jitter_s = 60};
    memset(sums, 0, sizeof *sums);
    sums->codec = codec;
    CU_ASSERT_EQUAL(rg_mem_world_run(&world, sum, sums, results), 0);
    for (int rank = 0; rank < n; rank++) {
        CU_ASSERT_EQUAL(results[rank], 0);
        CU_ASSERT_EQUAL(memcmp(sums->out[rank], sums->out[0], sizeof sums->out[0]), 0);
    }
}

/* All that has come out and all rests are all that went in; all have the same bits. With nine
 * members a message that comes in three steps later may overtake one that leaves. */
static void nothing_is_lost(void)
{
    static struct sums sums;
    EACH(c, CODECS)
    for (int n = 1; n <= MOST; n++)
        for (uint64_t seed = 1; seed <= (n == MOST && c == 0 ? 300 : 4); seed++) {
            sums_of(CODECS[c], n, seed, &sums);
            for (int i = 0; i < COUNT; i++) {
                double in = 0, out = 0;
                for (int run = 0; run < RUNS; run++)
                    out += sums.out[0][run][i];
                for (int rank = 0; rank < n; rank++) {
                    out += sums.rest[rank][i];
                    for (int run = 0; run < RUNS; run++)
                        in += number(rank, run, i);
                }
                CU_ASSERT_DOUBLE_EQUAL(in, out, 1e-5);
            }
        }
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"halves by hand", halves},
        {"all halves", all_halves},
        {"bytes round without bias", bytes_round_without_bias},
        {"the largest are said", the_largest_are_said},
        {"many numbers are counted", many_numbers_are_counted},
        {"zeros have a cost", zeros_have_a_cost},
        {"what is not finite stays so", what_is_not_finite_stays_so},
        {"nothing is lost round a ring", nothing_is_lost},
    };
    return suite_main("codec", tests, sizeof tests / sizeof *tests, argc, argv);
}
