/* Slow nodes, slow links and jitter against dates worked out by hand. */
#include "base/check.h"
#include "boards/board.h"
#include "scenario/faults.h"
#include "tests/sim/simulate.h"
#include "tests/support/suite.h"
#include <math.h>
#include <stdlib.h>

#define EXACT 1e-9
#define TAG   RG_TAG_USER

static const struct rg_board board = {.name = "test",
                                      .cores = 4,
                                      .gemm_rate = 1e9,
                                      .gemm_rate_all = 4e9,
                                      .vector_rate = 1e9,
                                      .memory_rate = 1e18,
                                      .memory_rate_all = 1e18,
                                      .memory_bytes = 1 << 30,
                                      .port_rate = 1e6,
                                      .frame_payload = 1,
                                      .frame_bytes = 1};

enum { RANKS = 4 };
static const struct rg_board *const boards[RANKS] = {&board, &board, &board, &board};

/* A megabyte a second and no latency. */
static const char platform_text[] =
    "<?xml version='1.0'?>"
    "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">"
    "<platform version=\"4.1\">"
    "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" speed=\"1Gf\" core=\"4\" "
    "bw=\"1MBps\" lat=\"0\" sharing_policy=\"SPLITDUPLEX\"/></platform>";

/* The same with one link a host for both directions, as explicit zones have it. */
static const char shared_text[] =
    "<?xml version='1.0'?>"
    "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">"
    "<platform version=\"4.1\"><zone id=\"z\" routing=\"Full\">"
    "<host id=\"n0\" speed=\"1Gf\" core=\"4\"/><host id=\"n1\" speed=\"1Gf\" core=\"4\"/>"
    "<host id=\"n2\" speed=\"1Gf\" core=\"4\"/>"
    "<link id=\"a\" bandwidth=\"1MBps\" latency=\"0\"/>"
    "<link id=\"b\" bandwidth=\"1MBps\" latency=\"0\"/>"
    "<link id=\"c\" bandwidth=\"1MBps\" latency=\"0\"/>"
    "<route src=\"n0\" dst=\"n1\"><link_ctn id=\"a\"/><link_ctn id=\"b\"/></route>"
    "<route src=\"n0\" dst=\"n2\"><link_ctn id=\"a\"/><link_ctn id=\"c\"/></route>"
    "<route src=\"n1\" dst=\"n2\"><link_ctn id=\"b\"/><link_ctn id=\"c\"/></route>"
    "</zone></platform>";

enum { DRAWS = 4000 };

static struct notes {
    double dates[16], factors[8][DRAWS];
    int threads, strands;
} * notes;

static int compute_s(struct rg_world *w, double seconds)
{
    struct rg_cost cost = {
        .m = 1, .n = 1, .k = 1, .flops = 1e9 * notes->threads * seconds, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(w, &work, "x", -1, NULL, NULL);
}

static const struct rg_profiles *profiles; /* of the next runs, as the next */
static double link_rate;

static void run_on(const char *platform, rg_program_fn program, int size,
                   const struct rg_faults *faults, uint64_t seed)
{
    struct rg_sim_options options = {.platform = simulate_platform(platform),
                                     .size = size,
                                     .boards = boards,
                                     .threads = notes->threads,
                                     .faults = faults,
                                     .profiles = profiles,
                                     .link_rate = link_rate,
                                     .seed = seed};
    int results[RANKS] = {0};
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(simulate(&options, program, NULL, 30, results, &e), 0);
    for (int i = 0; i < size; i++)
        CU_ASSERT_EQUAL(results[i], 0);
}

/* ---- slow ---- */

/* Work before the clock starts and in an untimed section falls into no window. */
static int three_computations(struct rg_world *w, void *arg)
{
    static const double seconds[] = {0.5, 1, 1.5};
    int result = compute_s(w, 0.7);
    (void)arg;
    result = result ? result : rg_clock_start(w);
    for (size_t i = 0; i < RG_COUNT(seconds) && result == 0; i++) {
        result = compute_s(w, seconds[i]);
        notes->dates[3 * (size_t)w->rank + i] = rg_now(w);
        result = result ? result : rg_untimed_begin(w);
        result = result ? result : compute_s(w, 1.3);
        result = result ? result : rg_untimed_end(w);
    }
    return result;
}

static void test_slow(void)
{
    struct rg_fault_window windows[] = {{.first = 1, .last = 2, .from_s = 1, .to_s = 2, 0.5, 0},
                                        {.first = 2, .last = 2, .from_s = 1.5, .to_s = 2, 0.8, 0},
                                        {.first = 1, .last = 1, .from_s = 3, INFINITY, 0.25, 0}};
    const struct rg_faults faults = {.slow = {windows, 3}};
    for (notes->threads = 1; notes->threads <= 4; notes->threads += 3) {
        run_on(platform_text, three_computations, 3, &faults, 1);
        /* rank 0: 0.5, 1, 1.5 */
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[0], 0.5, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[3 + 0], 0.5, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[6 + 0], 0.5, EXACT);
        /* the clock of all goes on from the slowest: at 2, half of a second having taken one */
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[1], 1.5, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[3 + 1], 2, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[6 + 1], 2, EXACT); /* 0.8 does not count beside 0.5 */
        /* a second until 3, the other half at a quarter */
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[2], 3.5, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[3 + 2], 5, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[6 + 2], 3.5, EXACT);
    }
    notes->threads = 1;
}

static int one_second(struct rg_world *w, void *arg)
{
    (void)arg;
    return compute_s(w, 1);
}

static int five_strands(struct rg_world *w, void *arg)
{
    struct rg_strand *strand[5];
    int result = rg_clock_start(w), got;
    for (int i = 0; i < 5 && result == 0; i++)
        result = rg_spawn(w, one_second, arg, &strand[i]);
    for (int i = 0; i < 5 && result == 0; i++)
        result = rg_join(w, strand[i], &got);
    notes->dates[0] = rg_now(w);
    return result;
}

/* Five at once on four cores go at 0.8, at 0.4 while slow: 0.4 + 0.2 of the second until 1. */
static void test_slow_and_crowded(void)
{
    struct rg_fault_window window = {.from_s = 0.5, .to_s = 1, .factor = 0.5};
    const struct rg_faults faults = {.slow = {&window, 1}};
    run_on(platform_text, five_strands, 1, &faults, 1);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[0], 1.5, EXACT);
}

/* Windows that begin and end often, and computations of many lengths: the integral of the speed
 * over the time they took is the work that was asked for. */
static int many_computations(struct rg_world *w, void *arg)
{
    int result = rg_clock_start(w);
    (void)arg;
    for (int i = 0; i < 500 && result == 0; i++)
        result = compute_s(w, 1e-4 * (1 + i * 37 % 101));
    notes->dates[0] = rg_now(w);
    return result;
}

static void test_many_windows(void)
{
    struct rg_fault_window windows[100];
    double asked = 0, begin = 0;
    for (int i = 0; i < 500; i++)
        asked += 1e-4 * (1 + i * 37 % 101);
    for (int i = 0; i < 100; i++) { /* of 10 ms, half of them slow */
        windows[i] = (struct rg_fault_window){
            .from_s = begin + 0.003, .to_s = begin + 0.013, .factor = 0.1 * (1 + i % 9)};
        begin += 0.02;
    }
    const struct rg_faults faults = {.slow = {windows, 100}};
    run_on(platform_text, many_computations, 1, &faults, 1);
    double done = 0, last = 0;
    for (int i = 0; i < 100; i++) {
        done += windows[i].from_s - last + windows[i].factor * 0.01;
        last = windows[i].to_s;
    }
    CU_ASSERT_TRUE(notes->dates[0] > last);
    CU_ASSERT_DOUBLE_EQUAL(done + notes->dates[0] - last, asked, 1e-7); /* 500 times EXACT, less */
}

/* ---- links ---- */

/* Two transfers of a second, from 0 to 1, an untimed second between them. */
static int two_transfers(struct rg_world *w, void *arg)
{
    static char buffer[2][1000000];
    size_t bytes = 1000000 - RG_MESSAGE_HEADER;
    int result = compute_s(w, 0.3);
    (void)arg;
    result = result ? result : rg_clock_start(w);
    for (int i = 0; i < 2 && result == 0; i++) {
        struct rg_request r;
        if (w->rank == 0)
            result = rg_send(w, 1, TAG, buffer[0], bytes, &r);
        if (w->rank == 1)
            result = rg_recv(w, 0, TAG, buffer[1], bytes, &r);
        if (w->rank < 2)
            result = rg_wait(w, &r);
        notes->dates[2 * i + w->rank % 2] = rg_now(w);
        result = result ? result : rg_untimed_begin(w);
        result = result ? result : compute_s(w, 1);
        result = result ? result : rg_untimed_end(w);
    }
    return result;
}

static void expect_transfers(const char *platform, const struct rg_faults *faults, double first,
                             double second)
{
    run_on(platform, two_transfers, 3, faults, 1);
    for (int rank = 0; rank < 2; rank++) {
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[rank], first, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[2 + rank], second, EXACT);
    }
}

static void test_link(void)
{
    const char *platforms[] = {platform_text, shared_text};
    for (size_t i = 0; i < RG_COUNT(platforms); i++) {
        struct rg_fault_window windows[3] = {{.from_s = 0.5, .to_s = 1.5, .factor = 0.2}};
        struct rg_faults faults = {.link = {windows, 1}};
        expect_transfers(platforms[i], NULL, 1, 2);
        /* the sender's, the receiver's, another's */
        for (int rank = 0; rank < 3; rank++) {
            windows[0].first = windows[0].last = rank;
            expect_transfers(platforms[i], &faults, rank < 2 ? 1.8 : 1, rank < 2 ? 2.8 : 2);
        }
        /* both, the receiver's for longer; then to the end */
        windows[0].first = windows[0].last = 0;
        windows[1] = (struct rg_fault_window){1, 1, 0.9, 2, 0.1, 0};
        faults.link.count = 2;
        /* 0.5, 0.08 until 0.9, 0.11 until 2, 0.31 after it */
        expect_transfers(platforms[i], &faults, 2.31, 3.31);
        windows[2] = (struct rg_fault_window){0, 2, 2.31, INFINITY, 0.5, 0};
        faults.link.count = 3;
        expect_transfers(platforms[i], &faults, 2.31, 4.31);
        /* what begins in a window goes on at full rate after it: 0.1 until 0.5 */
        windows[0] = (struct rg_fault_window){0, 0, 0, 0.5, 0.2, 0};
        faults.link.count = 1;
        expect_transfers(platforms[i], &faults, 1.4, 2.4);
        /* and from a window to the next: 0.1 until 0.5, 0.3 until 0.7, 0.5 until 1.5 */
        windows[1] = (struct rg_fault_window){1, 1, 0.7, 1.5, 0.25, 0};
        faults.link.count = 2;
        expect_transfers(platforms[i], &faults, 2, 3);
    }
}

/* ---- profiles ---- */

/* Simulated dates are 0.3 beyond those of training until the first transfer has ended, 1.3 then. */
static void expect_profiled(const struct rg_profile *profile, int count, double first,
                            double second)
{
    const struct rg_profiles all = {(struct rg_profile *)profile, count};
    profiles = &all;
    expect_transfers(shared_text, NULL, first, second);
    profiles = NULL;
}

static void test_bandwidths(void)
{
    char a[] = "a", b[] = "b", c[] = "c";
    struct rg_profile_point falls[] = {{0.8, 2e5}}, rises[] = {{0, 2e5}, {0.8, 1e6}},
                            twice[] = {{0.1, 5e5}, {0.3, 1e6}, {0.4, 2e5}},
                            more[] = {{0, 1.00005e6}};
    struct rg_profile one[] = {{RG_PROFILE_BANDWIDTH, a, falls, 1, 0},
                               {RG_PROFILE_BANDWIDTH, b, rises, 2, 0}};
    /* 0.5 until 0.8, the rest and the second transfer at a fifth */
    expect_profiled(&one[0], 1, 3, 8);
    /* 0.1 until 0.8 at a fifth: it goes on at the full rate then */
    expect_profiled(&one[1], 1, 1.4, 2.4);
    /* every link twice as fast: 0.2 until 0.8, 0.4 s for the rest */
    link_rate = 2;
    expect_profiled(&one[1], 1, 0.9, 1.4);
    link_rate = 0;
    /* both: a fifth throughout */
    expect_profiled(one, 2, 5, 10);
    one[0].element = c; /* a link that is not on the way */
    expect_profiled(&one[0], 1, 1, 2);
    /* again after 0.5: 0.1 until 0.4, then each 0.5 s 0.04, 0.1 and 0.1: 0.82 at 1.9, 0.04 until
     * 2.1, 0.1 until 2.3, and 0.04 s at the full rate, of which 2.04 are training. From 3.34 on
     * 0.06 until 3.4, 0.78 at 4.9, 0.92 at 5.3, over at 5.38 */
    one[0] = (struct rg_profile){RG_PROFILE_BANDWIDTH, a, twice, 3, 0.5};
    expect_profiled(&one[0], 1, 2.04, 4.08);
    /* units that were rounded give a link no more than it has */
    one[0] = (struct rg_profile){RG_PROFILE_BANDWIDTH, a, more, 1, 0};
    expect_profiled(&one[0], 1, 1, 2);
}

/* A fifth by the profile from 0.8 on, of which a window from 0.7 (1 s) to 1.1 leaves a half. */
static void test_bandwidth_and_window(void)
{
    char a[] = "a";
    struct rg_profile_point falls[] = {{0.8, 2e5}};
    struct rg_profile profile = {RG_PROFILE_BANDWIDTH, a, falls, 1, 0};
    const struct rg_profiles all = {&profile, 1};
    struct rg_fault_window window = {.from_s = 0.7, .to_s = 1.1, .factor = 0.5};
    const struct rg_faults faults = {.link = {&window, 1}};
    profiles = &all;
    /* 0.5 until 0.5, 0.04 until 0.7, 0.04 until 1.1, 0.42 at a fifth */
    expect_transfers(shared_text, &faults, 3.2, 8.2);
    profiles = NULL;
}

/* A message has the latency of the moment in which it begins, be it on its way when that changes.
 */
static void test_latencies(void)
{
    char a[] = "a", b[] = "b";
    struct rg_profile_point far[] = {{0.2, 0.5}, {0.9, 0.25}, {2.8, 0.125}}, near[] = {{1, 0.75}};
    const struct rg_profile both[] = {{RG_PROFILE_LATENCY, a, far, 3, 0},
                                      {RG_PROFILE_LATENCY, b, near, 1, 0}};
    /* 1 s and 0.5; then, at 2.8, 1 s and 0.125 + 0.75. Those who send are through with it before.
     */
    const struct rg_profiles all = {(struct rg_profile *)both, 2};
    profiles = &all;
    run_on(shared_text, two_transfers, 3, NULL, 1);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[1], 1.5, EXACT);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[3], 3.375, EXACT);
    profiles = NULL;
}

/* ---- jitter ---- */

static int draws(struct rg_world *w, void *arg)
{
    (void)arg;
    int slot = 2 * w->rank + (w->strand > 0);
    for (int i = 0; i < DRAWS; i++) {
        double begin = rg_now(w);
        int result = compute_s(w, 0.001);
        if (result)
            return result;
        notes->factors[slot][i] = (rg_now(w) - begin) / 0.001;
    }
    return 0;
}

/* Rank 1 computes little, so that ranks run in another order than without it. */
static int two_strands(struct rg_world *w, void *arg)
{
    struct rg_strand *strand;
    int result = rg_clock_start(w), got = 0;
    if (w->rank == 1 && notes->strands == 1)
        return result;
    result = result ? result : rg_spawn(w, draws, arg, &strand);
    result = result ? result : draws(w, arg);
    result = result ? result : rg_join(w, strand, &got);
    return result ? result : got;
}

static void jitter(double spread, uint64_t seed, int strands)
{
    const struct rg_faults faults = {.spread = spread};
    memset(notes->factors, 0, sizeof notes->factors);
    notes->strands = strands;
    run_on(platform_text, two_strands, 3, &faults, seed);
}

static void test_jitter(void)
{
    static double first[6][DRAWS];
    jitter(0.2, 7, 0);
    for (int slot = 0; slot < 6; slot++) {
        double sum = 0, squares = 0, least = 2, most = 0;
        for (int i = 0; i < DRAWS; i++) {
            double x = notes->factors[slot][i];
            sum += x - 1;
            squares += (x - 1) * (x - 1);
            least = fmin(least, x);
            most = fmax(most, x);
        }
        CU_ASSERT_TRUE(least >= 0.8 - 1e-5 && least < 0.801);
        CU_ASSERT_TRUE(most <= 1.2 + 1e-5 && most > 1.199);
        /* standard deviation 0.2 / sqrt 3; of the mean 0.0018 */
        CU_ASSERT_DOUBLE_EQUAL(sum / DRAWS, 0, 4 * 0.0018);
        CU_ASSERT_DOUBLE_EQUAL(sqrt(squares / DRAWS), 0.2 / sqrt(3), 0.004);
        memcpy(first[slot], notes->factors[slot], sizeof first[slot]);
        for (int other = 0; other < slot; other++) { /* independent of one another */
            double product = 0;
            for (int i = 0; i < DRAWS; i++)
                product += (first[slot][i] - 1) * (first[other][i] - 1);
            CU_ASSERT_DOUBLE_EQUAL(product / squares, 0, 0.08);
        }
    }
    jitter(0.2, 7, 0);
    CU_ASSERT_EQUAL(memcmp(first, notes->factors, sizeof first), 0);
    jitter(0.2, 8, 0);
    CU_ASSERT_NOT_EQUAL(memcmp(first, notes->factors, sizeof first), 0);
    jitter(0.2, 7, 1);
    for (int slot = 0; slot < 6; slot++)
        for (int i = 0; i < DRAWS && slot / 2 != 1; i++)
            CU_ASSERT_DOUBLE_EQUAL(first[slot][i], notes->factors[slot][i], 1e-5);
    jitter(0, 7, 0);
    for (int i = 0; i < DRAWS; i++)
        CU_ASSERT_DOUBLE_EQUAL(notes->factors[0][i], 1, 1e-5);
}

/* ---- both at the end ---- */

static int stuck(struct rg_world *w, void *arg)
{
    struct rg_request r;
    (void)arg;
    int result = rg_clock_start(w);
    result = result ? result : compute_s(w, 1);
    rg_recv(w, 1 - w->rank, TAG, NULL, 0, &r);
    return result ? result : rg_wait(w, &r);
}

/* Windows still to come keep no deadlock from being seen, and no simulation from ending. */
static void test_windows_to_come(void)
{
    struct rg_fault_window windows[] = {{0, 1, 0.5, 1000, 0.5, 0}, {0, 1, 1e6, INFINITY, 0.5, 0}};
    const struct rg_faults faults = {.slow = {windows, 2}, .link = {windows, 2}, .spread = 0.1};
    double end_s = 0;
    int results[2];
    struct rg_sim_options options = {.platform = simulate_platform(platform_text),
                                     .size = 2,
                                     .boards = boards,
                                     .faults = &faults,
                                     .end_s = &end_s};
    CU_ASSERT_EQUAL(simulate(&options, stuck, NULL, 30, results, NULL), RG_ERR_DEADLOCK);
    CU_ASSERT_TRUE(end_s > 1.3 && end_s < 1.8);
    CU_ASSERT_EQUAL(simulate(&options, two_transfers, NULL, 30, results, NULL), 0);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"slow nodes, piece by piece", test_slow},
        {"slow nodes and crowded cores", test_slow_and_crowded},
        {"many windows", test_many_windows},
        {"slow links, flows under way", test_link},
        {"bandwidths over time", test_bandwidths},
        {"a window on top", test_bandwidth_and_window},
        {"latencies over time", test_latencies},
        {"jitter", test_jitter},
        {"windows still to come", test_windows_to_come},
    };
    notes = simulate_share(sizeof *notes);
    notes->threads = 1;
    return suite_main("sim faults", tests, (int)RG_COUNT(tests), argc, argv);
}
