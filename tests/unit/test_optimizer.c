/* Optimiser steps against steps by hand, and in pieces. */
#include "models_fixture.h"

static void test_sgd(void)
{
    struct rg_optimizer o = rg_optimizer_make(RG_SGD, 0.5f);
    float w[2] = {1, -2};
    const float g[2] = {2, -1};
    CU_ASSERT(rg_optimizer_state(&o, 2) == 0);
    rg_optimizer_step(&o, 1, 2, w, g, NULL);
    CU_ASSERT(w[0] == 0 && w[1] == -1.5f);
}

static void test_momentum(void)
{
    struct rg_optimizer o = rg_optimizer_make(RG_MOMENTUM, 0.5f);
    float w = 1, v = 0;
    CU_ASSERT(o.momentum == 0.9f && rg_optimizer_state(&o, 3) == 3);
    rg_optimizer_step(&o, 1, 1, &w, &(float){2}, &v);
    CU_ASSERT_DOUBLE_EQUAL(v, 2, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(w, 0, 1e-6);
    rg_optimizer_step(&o, 2, 1, &w, &(float){1}, &v);
    CU_ASSERT_DOUBLE_EQUAL(v, 2.8, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(w, -1.4, 1e-6);
}

/* Algorithm 1 of Kingma and Ba 2015 in double. */
static void test_adam(void)
{
    struct rg_optimizer o = rg_optimizer_make(RG_ADAM, 0.01f);
    const float g[4] = {0.3f, -2, 0.001f, 0.5f};
    float w = 1, state[2] = {0};
    double m = 0, v = 0, expected = 1;
    CU_ASSERT(rg_optimizer_state(&o, 3) == 6);
    for (int t = 1; t <= 4; t++) {
        rg_optimizer_step(&o, t, 1, &w, &g[t - 1], state);
        m = 0.9 * m + 0.1 * g[t - 1];
        v = 0.999 * v + 0.001 * g[t - 1] * g[t - 1];
        expected -= 0.01 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
        CU_ASSERT_DOUBLE_EQUAL(w, expected, 1e-6);
    }
    /* The first step is the rate, whatever the size of the gradient. */
    float other = 0, fresh[2] = {0};
    rg_optimizer_step(&o, 1, 1, &other, &(float){1e-3f}, fresh);
    CU_ASSERT_DOUBLE_EQUAL(other, -0.01, 1e-6);
}

/* Of the squares 9, 9 + 16, 25 + 144 the roots are 3, 5, 13: steps of 1, 4/5 and -12/13 rates. */
static void test_adagrad(void)
{
    struct rg_optimizer o = rg_optimizer_make(RG_ADAGRAD, 0.5f);
    const float g[3] = {3, 4, -12};
    const double want[3] = {0.5, 0.1, 0.1 + 6.0 / 13};
    float w = 1, v = 0;
    CU_ASSERT(rg_optimizer_state(&o, 3) == 3);
    for (int t = 1; t <= 3; t++) {
        rg_optimizer_step(&o, t, 1, &w, &g[t - 1], &v);
        CU_ASSERT_DOUBLE_EQUAL(w, want[t - 1], 1e-6);
    }
    CU_ASSERT_EQUAL(v, 169);
    rg_optimizer_step(&o, 4, 1, &w, &(float){0}, &v); /* nor does nothing divide by nothing */
    rg_optimizer_step(&o, 1, 1, &w, &(float){0}, &(float){0});
    CU_ASSERT(isfinite(w));
}

/* Steps to 0.75, -0.75, 0.25, -0.25 and 0.5, then 0.5 x 0.5 nearer to 0: never beyond it, and never
 * to -0, which has other bits. */
static void test_l1(void)
{
    static const float want[5] = {0.5f, -0.5f, 0, 0, 0.25f};
    struct rg_optimizer o = rg_optimizer_make(RG_SGD, 0.5f);
    float w[6] = {1, -1, 0, 0, 1, NAN};
    const float g[6] = {0.5f, -0.5f, -0.5f, 0.5f, 1, 0};
    o.l1 = 0.5f;
    rg_optimizer_step(&o, 1, 6, w, g, NULL);
    CU_ASSERT_EQUAL(memcmp(w, want, sizeof want), 0);
    CU_ASSERT(isnan(w[5]));
    struct rg_optimizer m = rg_optimizer_make(RG_MOMENTUM, 0.5f);
    float v[2] = {2, 2}, x[2] = {2, 1}; /* 1.8 + 1 = 2.8: to 0.6 - 0.1, as if by 3; to -0.4 + 0.1 */
    m.l1 = 0.2f;
    rg_optimizer_step(&m, 2, 2, x, (float[]){1, 1}, v);
    CU_ASSERT_DOUBLE_EQUAL(x[0], 0.5, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(v[0], 3, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(x[1], -0.3, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(v[1], 2.6, 1e-6);
    float before = x[1];
    m.l1 = 4; /* it stops at 0 */
    rg_optimizer_step(&m, 2, 1, x, (float[]){0}, v);
    CU_ASSERT(x[0] == 0 && v[0] == 1);
    m.rate = 0; /* nothing moves, and what is at 0 has no velocity */
    rg_optimizer_step(&m, 2, 2, x, (float[]){1, 1}, v);
    CU_ASSERT(x[0] == 0 && v[0] == 0 && x[1] == before && isfinite(v[1]));
    struct rg_optimizer a = rg_optimizer_make(RG_ADAGRAD, 0.5f);
    float squares[2] = {16, 144},
          y[2] = {1, 1}; /* roots 5 and 13: 1 - (3 + 2)/10, 1 - (5 + 2)/26 */
    a.l1 = 2;
    rg_optimizer_step(&a, 2, 2, y, (float[]){3, 5}, squares);
    CU_ASSERT_DOUBLE_EQUAL(y[0], 0.5, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(y[1], 1 - 7.0 / 26, 1e-6);
}

/* The minimum of g w + l1 |w| + l2/2 w^2 is at -(g - l1)/l2 or 0: where steps of all kinds that
 * have both come to rest; and the gradient of SGD stays as it was. */
static void test_penalties_rest_at_their_minimum(void)
{
    static const enum rg_optimizer_kind kinds[] = {RG_SGD, RG_MOMENTUM, RG_ADAGRAD};
    const struct rg_network network = {.parameters = 3};
    for (size_t i = 0; i < RG_COUNT(kinds); i++) {
        struct rg_optimizer o = rg_optimizer_make(kinds[i], kinds[i] == RG_ADAGRAD ? 0.5f : 0.05f);
        float w[3] = {1, 1, 1}, state[3] = {0};
        o.l1 = 0.25f;
        o.l2 = 2;
        for (long step = 1; step <= 4000; step++) {
            float g[3] = {1.25f, -0.75f, 0.2f};
            rg_network_step(&network, &o, step, 0, 3, w, g, state);
            CU_ASSERT(kinds[i] != RG_SGD || g[0] == 1.25f);
        }
        CU_ASSERT_DOUBLE_EQUAL(w[0], -0.5, 1e-4);
        CU_ASSERT_DOUBLE_EQUAL(w[1], 0.25, 1e-4);
        CU_ASSERT_EQUAL(w[2], 0);
    }
    struct rg_optimizer adam = rg_optimizer_make(RG_ADAM, 0.01f);
    float w = 1, state[2] = {0};
    adam.l2 = 2;
    for (long step = 1; step <= 4000; step++)
        rg_network_step(&(struct rg_network){.parameters = 1}, &adam, step, 0, 1, &w, &(float){1},
                        state);
    CU_ASSERT_DOUBLE_EQUAL(w, -0.5, 1e-3);
}

/* Any piece of the vector at any address: the same bits as the whole. */
static void test_pieces(void)
{
    enum { N = 211 };
    for (int kind = RG_SGD; kind <= RG_ADAGRAD; kind++) {
        struct rg_optimizer o = rg_optimizer_make((enum rg_optimizer_kind)kind, 0.037f);
        struct rg_random *random = rg_random_new(4, RG_STREAM_TEST, 0);
        o.l1 = kind == RG_ADAM ? 0 : 0.3f;
        float whole[N], pieces[N + 1], g[N], state[2 * N] = {0}, part[2 * N];
        draw(random, 1, N, whole);
        memcpy(pieces + 1, whole, sizeof whole);
        draw(random, 1, N, g);
        rg_optimizer_step(&o, 3, N, whole, g, state);
        for (size_t from = 0, size = 1; from < N; from += size, size = size * 2 + 1) {
            size = RG_MIN(size, N - from);
            memset(part, 0, sizeof part);
            rg_optimizer_step(&o, 3, size, pieces + 1 + from, g + from, part);
        }
        CU_ASSERT(memcmp(whole, pieces + 1, sizeof whole) == 0);
        rg_random_free(random);
    }
}

/* A quarter, a half, three quarters of the rate, then the whole. */
static void test_ramp(void)
{
    struct rg_optimizer o = rg_optimizer_make(RG_SGD, 0.5f);
    const float want[] = {0.125f, 0.25f, 0.375f, 0.5f, 0.5f};
    float w = 0;
    CU_ASSERT_EQUAL(rg_optimizer_rate(&o, 1), 0.5f);
    o.ramp = 4;
    for (int step = 1; step <= 5; step++) {
        float before = w;
        CU_ASSERT_EQUAL(rg_optimizer_rate(&o, step), want[step - 1]);
        rg_optimizer_step(&o, step, 1, &w, &(float){1}, NULL);
        CU_ASSERT_EQUAL(before - w, want[step - 1]);
    }
    o.clip = 3;
    rg_optimizer_change(&o, RG_ADAM);
    CU_ASSERT(o.kind == RG_ADAM && o.beta2 == 0.999f && o.ramp == 4 && o.clip == 3);
    for (int kind = RG_MOMENTUM; kind <= RG_ADAGRAD; kind++) { /* of any kind: as with that rate */
        float a = 1, b = 1, of_a[2] = {0}, of_b[2] = {0};
        struct rg_optimizer ramp = rg_optimizer_make((enum rg_optimizer_kind)kind, 0.5f);
        struct rg_optimizer level = rg_optimizer_make((enum rg_optimizer_kind)kind, 0.125f);
        ramp.ramp = 4;
        rg_optimizer_step(&ramp, 1, 1, &a, &(float){0.7f}, of_a);
        rg_optimizer_step(&level, 1, 1, &b, &(float){0.7f}, of_b);
        CU_ASSERT(a == b && of_a[0] == of_b[0] && of_a[1] == of_b[1]);
    }
}

static void expect_rates(const struct rg_optimizer *o, const double *want, int count)
{
    for (int step = 1; step <= count; step++)
        CU_ASSERT_DOUBLE_EQUAL(rg_optimizer_rate(o, step), want[step - 1], 1e-7);
}

/* Falls are counted from the end of the ramp: three steps at each rate. */
static void test_step_schedule(void)
{
    struct rg_optimizer o = rg_optimizer_make(RG_SGD, 0.8f);
    const double want[] = {0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1};
    const double after[] = {0.4, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2};
    o.schedule = RG_RATE_STEP;
    o.period = 3;
    CU_ASSERT_EQUAL(rg_optimizer_rate(&o, 4), (float)((double)0.8f * (double)0.1f));
    o.factor = 0.5f;
    expect_rates(&o, want, 10);
    o.ramp = 2;
    expect_rates(&o, after, 8);
    CU_ASSERT_EQUAL(rg_optimizer_rate(&o, 3000000000), 0); /* 0.5^1e9 is less than any float */
    rg_optimizer_change(&o, RG_ADAGRAD);
    CU_ASSERT(o.schedule == RG_RATE_STEP && o.period == 3 && o.factor == 0.5f);
}

/* Six steps from 1 to a fifth: the cosines of 0, 30, ... 180 degrees; then it stays. */
static void test_cosine_schedule(void)
{
    struct rg_optimizer o = rg_optimizer_make(RG_SGD, 1);
    double want[9] = {1,  0.6 + 0.4 * sqrt(0.75), 0.8, 0.6, 0.4, 0.6 - 0.4 * sqrt(0.75), 0.2, 0.2,
                      0.2};
    o.schedule = RG_RATE_COSINE;
    o.period = 6;
    o.factor = 0.2f;
    expect_rates(&o, want, 9);
    o.period = 0; /* to the end of a run of seven steps */
    o.run = 7;
    expect_rates(&o, want, 7);
    o.ramp = 3; /* and behind a ramp of three, of nine */
    o.run = 9;
    CU_ASSERT_DOUBLE_EQUAL(rg_optimizer_rate(&o, 1), 1 / 3.0, 1e-7);
    for (int step = 3; step <= 9; step++)
        CU_ASSERT_DOUBLE_EQUAL(rg_optimizer_rate(&o, step), want[step - 3], 1e-7);
    o = (struct rg_optimizer){.rate = 1, .schedule = RG_RATE_COSINE, .run = 1000};
    for (int step = 1; step <= 1000; step++) {
        double exact = (1 + cos(3.14159265358979323846 * (step - 1) / 999)) / 2;
        CU_ASSERT_DOUBLE_EQUAL(rg_optimizer_rate(&o, step), exact, 6e-8);
    }
    CU_ASSERT_EQUAL(rg_optimizer_rate(&o, 1000), 0); /* not a rounding below: that would climb */
    o.run = 1;                                       /* a run that is over with its first step */
    CU_ASSERT_EQUAL(rg_optimizer_rate(&o, 1), 1);
}

/* Three and a half steps late: a = 0.5^3 (1 + 0.5) / 2 = 3/32, b = (29/32) / (1/2) = 29/16. */
static void test_late(void)
{
    struct rg_optimizer o = rg_optimizer_make(RG_MOMENTUM, 0.5f);
    float w = 4, v = 2, ahead = 0, state[2] = {0}, other[2] = {0};
    o.momentum = 0.5f;
    o.late = 7;
    o.every = 2;
    rg_optimizer_predict(&o, 0, 1, &w, &(float){0}, &ahead);
    CU_ASSERT_EQUAL(ahead, 4);
    rg_optimizer_step(&o, 9, 1, &w, &(float){3}, &v);
    CU_ASSERT_EQUAL(v, 4);
    CU_ASSERT_DOUBLE_EQUAL(w, 4 - 0.5 * (4 * 3 / 32.0 + 3 * 29 / 16.0), 1e-6);
    rg_optimizer_predict(&o, 9, 1, &(float){8}, &v, &ahead);
    CU_ASSERT_EQUAL(ahead, 8 - 0.5f * 3.5f * 4);
    /* Adam's first step is the rate whatever the delay, and the next ones are expected to be. */
    struct rg_optimizer adam = rg_optimizer_make(RG_ADAM, 0.01f);
    adam.late = 2;
    adam.every = 1;
    w = 0;
    rg_optimizer_step(&adam, 1, 1, &w, &(float){0.25f}, state);
    CU_ASSERT_DOUBLE_EQUAL(w, -0.01, 1e-7);
    rg_optimizer_predict(&adam, 1, 1, &w, state, &ahead);
    CU_ASSERT_DOUBLE_EQUAL(ahead, -0.03, 1e-7);
    /* A gradient that has not changed needs no allowance: as many steps on, the same place. */
    float late = 0, plain = 0;
    for (int step = 1; step <= 20; step++) {
        adam.late = 2;
        rg_optimizer_step(&adam, step, 1, &late, &(float){-1}, memcpy(state, other, sizeof other));
        adam.late = 0;
        rg_optimizer_step(&adam, step, 1, &plain, &(float){-1}, other);
    }
    CU_ASSERT_DOUBLE_EQUAL(late, plain, 1e-6);
    struct rg_work work = {0}, as_ever = {0};
    o.late = 0;
    rg_optimizer_work(&o, 10, &as_ever);
    o.late = 3;
    rg_optimizer_work(&o, 10, &work);
    rg_optimizer_predict_work(&o, 10, &work);
    CU_ASSERT_EQUAL(rg_work_flops(&work), rg_work_flops(&as_ever) + 20 + 20);
    CU_ASSERT_EQUAL(rg_work_bytes(&work), rg_work_bytes(&as_ever) + 120);
    rg_work_free(&work);
    rg_work_free(&as_ever);
}

static void clip(float most, size_t n, float *g)
{
    rg_scale(rg_clip_by(most, rg_sum_of_squares(n, g)), n, g);
}

/* 3, 4, 12 and 84 have the norm 85. Seventeen places, so that there are whole lanes and a rest. */
static void test_clip(void)
{
    const float long_ones[] = {3, 4, 12, 84};
    float g[17] = {0}, kept[17];
    for (int i = 0; i < 4; i++)
        g[5 * i] = long_ones[i];
    memcpy(kept, g, sizeof g);
    clip(85, 17, g);
    CU_ASSERT(memcmp(g, kept, sizeof g) == 0);
    clip(42.5f, 17, g);
    for (int i = 0; i < 17; i++)
        CU_ASSERT_EQUAL(g[i], kept[i] / 2);
    g[16] = NAN;
    clip(1, 17, g);
    CU_ASSERT_EQUAL(g[0], 1.5f);
    float tiny[2] = {1e-30f, 0}, large[2] = {3e30f, 4e30f}; /* squares beyond what floats hold */
    clip(1e-31f, 2, tiny);
    clip(5, 2, large);
    CU_ASSERT_DOUBLE_EQUAL(tiny[0], 1e-31, 1e-37);
    CU_ASSERT_DOUBLE_EQUAL(large[0], 3, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(large[1], 4, 1e-6);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"sgd by hand", test_sgd},
        {"momentum by hand", test_momentum},
        {"Adam by hand", test_adam},
        {"Adagrad by hand", test_adagrad},
        {"a rate that falls in steps", test_step_schedule},
        {"a rate that falls along a cosine", test_cosine_schedule},
        {"l1 by hand", test_l1},
        {"l1 and l2 rest at their minimum", test_penalties_rest_at_their_minimum},
        {"a vector in pieces", test_pieces},
        {"a rate that rises", test_ramp},
        {"gradients that are clipped", test_clip},
        {"gradients that are late", test_late},
    };
    return suite_main("optimizer", tests, RG_COUNT(tests), argc, argv);
}
