/* Dates of the sim world against closed forms: messages, computations, and platforms that would
 * have them otherwise. */
#include "base/check.h"
#include "boards/board.h"
#include "tests/sim/simulate.h"
#include "tests/support/suite.h"
#include <math.h>
#include <stdlib.h>

#define RATE    SIM_RATE
#define LATENCY SIM_LATENCY
#define EXACT   1e-9 /* seconds, SimGrid's precision of dates */
#define TAG     RG_TAG_USER

/* What programs note down for the test. */
struct notes {
    double dates[64];
    int strands;
};

static struct notes *notes;

static double wire_s(size_t bytes)
{
    return ceil((double)(bytes + RG_MESSAGE_HEADER) * 1538 / 1448 * (1 - 1e-12)) / RATE;
}

static int run(rg_program_fn program, int size, struct rg_error *error)
{
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = size, .boards = simulate_boards};
    int results[SIM_RANKS] = {0}, result = simulate(&options, program, NULL, 30, results, error);
    for (int i = 0; i < size && result == 0; i++)
        result = results[i];
    return result;
}

/* ---- messages ---- */

static const size_t sizes[] = {0, 1, 1000, 65536, 1000000, 20000000};

static int one_message(struct rg_world *w, void *arg)
{
    (void)arg;
    char *buffer = calloc(1, sizes[RG_COUNT(sizes) - 1]);
    for (size_t i = 0; i < RG_COUNT(sizes); i++) {
        struct rg_request r;
        int result = rg_clock_start(w);
        if (w->rank == 0)
            rg_send(w, 1, TAG, buffer, sizes[i], &r);
        else
            rg_recv(w, 0, TAG, buffer, sizes[i], &r);
        result = result ? result : rg_wait(w, &r);
        if (result)
            return result;
        notes->dates[2 * i + (size_t)w->rank] = rg_now(w);
    }
    free(buffer);
    return 0;
}

static void test_one_message(void)
{
    CU_ASSERT_EQUAL(run(one_message, 2, NULL), 0);
    for (size_t i = 0; i < RG_COUNT(sizes); i++) {
        double wanted = wire_s(sizes[i]) + LATENCY;
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[2 * i], wanted, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[2 * i + 1], wanted, EXACT);
    }
}

/* Processor time of messages: before the bytes leave, and before they are delivered; with all cores
 * at work, the bytes' own time competes. */
static struct rg_board busy_board(void)
{
    struct rg_board busy = simulate_board;
    busy.message_s = 1e-3;
    busy.byte_s = 4e-9;
    return busy;
}

static void test_message_work(void)
{
    const struct rg_board busy = busy_board(), *const both[] = {&busy, &busy};
    struct rg_sim_options options = {.platform = SIM_PLATFORM_64, .size = 2, .boards = both};
    int results[2] = {0};
    CU_ASSERT_EQUAL(simulate(&options, one_message, NULL, 30, results, NULL), 0);
    for (size_t i = 0; i < RG_COUNT(sizes); i++) {
        double wanted = wire_s(sizes[i]) + LATENCY + 2e-3;
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[2 * i], wanted, 2 * EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[2 * i + 1], wanted, 2 * EXACT);
    }
}

/* Rank 0 sends to 1; when that is over, 2 to 3, whose boards take no time for messages. */
static int one_after_the_other(struct rg_world *w, void *arg)
{
    static char buffer[100000];
    int pair = w->rank / 2, result = 0;
    (void)arg;
    if (w->rank == 2)
        result = simulate_compute(w, 1);
    if (w->rank % 2 == 0)
        return result ? result : rg_send_wait(w, w->rank + 1, TAG, buffer, sizeof buffer);
    result = rg_recv_wait(w, w->rank - 1, TAG, buffer, sizeof buffer);
    notes->dates[pair] = rg_now(w) - pair;
    return result;
}

static void test_other_ends(void)
{
    const struct rg_board busy = busy_board();
    const struct rg_board *const boards[] = {&busy, &busy, &simulate_board, &simulate_board};
    struct rg_sim_options options = {.platform = SIM_PLATFORM_64, .size = 4, .boards = boards};
    int results[4] = {0};
    CU_ASSERT_EQUAL(simulate(&options, one_after_the_other, NULL, 30, results, NULL), 0);
    CU_ASSERT_EQUAL(results[0] | results[1] | results[2] | results[3], 0);
    double wanted = wire_s(100000) + LATENCY;
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[0], wanted + 2e-3, 2 * EXACT);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[1], wanted, 2 * EXACT);
}

/* A message leaves while its sender computes on all four cores: five tasks share them. */
static int message_and_compute(struct rg_world *w, void *arg)
{
    (void)arg;
    static char buffer[1000000];
    /* a product, 1 s on every core */
    struct rg_cost cost = {.m = 1, .n = 1, .k = 1, .flops = 3e9, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1};
    struct rg_request r;
    int result = rg_clock_start(w);
    if (w->rank == 0)
        result = result ? result : rg_send(w, 1, TAG, buffer, sizeof buffer, &r);
    else
        result = result ? result : rg_recv(w, 0, TAG, buffer, sizeof buffer, &r);
    if (result == 0 && w->rank == 0)
        result = rg_compute(w, &work, "work", 0, NULL, NULL);
    notes->dates[w->rank] = rg_now(w);
    return result ? result : rg_wait(w, &r);
}

static void test_competition(void)
{
    const struct rg_board busy = busy_board(), *const both[] = {&busy, &busy};
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = 2, .boards = both, .threads = 4};
    int results[2] = {0};
    double message = 1e-3 + 4e-9 * (1e6 + RG_MESSAGE_HEADER); /* core seconds at the sender */
    CU_ASSERT_EQUAL(simulate(&options, message_and_compute, NULL, 30, results, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[0], (4 + message) / 4, 1e-6);
}

enum { TRAIN = 10 };

/* Completion dates of ten messages, seen one by one. */
static int message_train(struct rg_world *w, void *arg)
{
    (void)arg;
    static char buffer[2][TRAIN][10000];
    struct rg_request r[TRAIN];
    int result = rg_clock_start(w);
    for (int i = 0; i < TRAIN && result == 0; i++)
        result = w->rank ? rg_recv(w, 0, TAG, buffer[1][i], 10000, &r[i])
                         : rg_send(w, 1, TAG, buffer[0][i], 10000, &r[i]);
    for (int i = 0; i < TRAIN && result == 0; i++) {
        result = rg_wait(w, &r[i]);
        notes->dates[2 * i + w->rank] = rg_now(w);
    }
    return result;
}

static void test_pipelining(void)
{
    CU_ASSERT_EQUAL(run(message_train, 2, NULL), 0);
    for (int i = 0; i < TRAIN; i++)
        for (int rank = 0; rank < 2; rank++)
            CU_ASSERT_DOUBLE_EQUAL(notes->dates[2 * i + rank], (i + 1) * wire_s(10000) + LATENCY,
                                   TRAIN * EXACT);
}

enum { MEGA = 1000000 };

/* Ranks below `senders` send one megabyte each, to the ranks of a table; all note when it is done.
 */
struct pattern {
    int target[SIM_RANKS]; /* -1: sends nothing */
};

static int send_pattern(struct rg_world *w, const struct pattern *p)
{
    struct rg_request r[SIM_RANKS], s, *all[SIM_RANKS + 1];
    int n = 0, result = rg_clock_start(w);
    char *buffer = malloc(SIM_RANKS * MEGA);
    for (int k = 0; k < SIM_RANKS && result == 0; k++) {
        if (p->target[k] != w->rank)
            continue;
        result = rg_recv(w, k, TAG, buffer + k * MEGA, MEGA, &r[k]);
        all[n++] = &r[k];
    }
    if (p->target[w->rank] >= 0 && result == 0) {
        result = rg_send(w, p->target[w->rank], TAG, buffer, MEGA, &s);
        all[n++] = &s;
    }
    if (n > 0 && result == 0)
        result = rg_wait_all(w, all, n);
    notes->dates[w->rank] = rg_now(w);
    free(buffer);
    return result;
}

static int two_into_one(struct rg_world *w, void *arg)
{
    (void)arg;
    return send_pattern(w, &(struct pattern){{2, 2, -1, -1, -1, -1, -1, -1}});
}

static int round_the_ring(struct rg_world *w, void *arg)
{
    (void)arg;
    return send_pattern(w, &(struct pattern){{1, 2, 3, 4, 5, 6, 7, 0}});
}

/* One sends to two at once. */
static int two_out_of_one(struct rg_world *w, void *arg)
{
    (void)arg;
    struct rg_request r[2], *both[] = {&r[0], &r[1]};
    char *buffer = calloc(1, MEGA);
    int result = rg_clock_start(w);
    if (w->rank == 0) {
        rg_send(w, 1, TAG, buffer, MEGA, &r[0]);
        rg_send(w, 2, TAG, buffer, MEGA / 2, &r[1]);
        result = result ? result : rg_wait(w, &r[1]);
        notes->dates[4] = rg_now(w);
        result = result ? result : rg_wait_all(w, both, 2);
    } else if (w->rank < 3) {
        rg_recv(w, 0, TAG, buffer, MEGA / (size_t)w->rank, &r[0]);
        result = result ? result : rg_wait(w, &r[0]);
    }
    notes->dates[w->rank] = rg_now(w);
    free(buffer);
    return result;
}

static void test_sharing(void)
{
    double one = wire_s(MEGA), half = wire_s(MEGA / 2);
    CU_ASSERT_EQUAL(run(two_into_one, 8, NULL), 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[i], 2 * one + LATENCY, EXACT);
    /* the port halves while both go, then the longer has it alone */
    CU_ASSERT_EQUAL(run(two_out_of_one, 8, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[2], 2 * half + LATENCY, 2 * EXACT);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[4], 2 * half + LATENCY, 2 * EXACT);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[1], one + half + LATENCY, 2 * EXACT);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[0], one + half + LATENCY, 2 * EXACT);
    /* everybody sends and receives at once, each at the full rate */
    CU_ASSERT_EQUAL(run(round_the_ring, 8, NULL), 0);
    for (int i = 0; i < SIM_RANKS; i++)
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[i], one + LATENCY, EXACT);
}

/* ---- computing ---- */

static int one_second(struct rg_world *w, void *arg)
{
    (void)arg;
    return simulate_compute(w, 1);
}

/* kind strands compute a second each beside one another. */
static int computing_strands(struct rg_world *w, void *arg)
{
    struct rg_strand *strand[8];
    int result = rg_clock_start(w), got;
    for (int i = 0; i < notes->strands && result == 0; i++)
        result = rg_spawn(w, one_second, arg, &strand[i]);
    for (int i = 0; i < notes->strands && result == 0; i++)
        result = rg_join(w, strand[i], &got);
    notes->dates[0] = rg_now(w);
    notes->dates[1] = w->count.busy_s;
    return result;
}

static double compute_date(int strands, int threads)
{
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = 1, .boards = simulate_boards, .threads = threads};
    int result;
    notes->strands = strands;
    CU_ASSERT_EQUAL(simulate(&options, computing_strands, NULL, 30, &result, NULL), 0);
    CU_ASSERT_EQUAL(result, 0);
    return notes->dates[0];
}

static void test_cores(void)
{
    static const double alone[] = {1, 1, 1, 1, 1.25, 1.5};
    for (int strands = 1; strands <= 6; strands++) {
        CU_ASSERT_DOUBLE_EQUAL(compute_date(strands, 1), alone[strands - 1], EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[1], strands * alone[strands - 1], 10 * EXACT);
    }
    /* four cores at once: 3 GFLOP/s in all, and two such share them */
    CU_ASSERT_DOUBLE_EQUAL(compute_date(1, 4), 1.0 / 3, EXACT);
    CU_ASSERT_DOUBLE_EQUAL(compute_date(2, 4), 2.0 / 3, EXACT);
    CU_ASSERT_DOUBLE_EQUAL(compute_date(1, 2), 1 / (1 + 2.0 / 3), EXACT);
}

/* Each rank's computations are longer by its part of what the last one's are longer by. */
static int compute_ranks(struct rg_world *w, void *arg)
{
    int result = one_second(w, arg);
    notes->dates[w->rank] = rg_now(w);
    return result;
}

static void test_uneven(void)
{
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = 4, .boards = simulate_boards, .uneven = 1e-3};
    int results[4];
    CU_ASSERT_EQUAL(simulate(&options, compute_ranks, NULL, 30, results, NULL), 0);
    for (int rank = 0; rank < 4; rank++) {
        CU_ASSERT_EQUAL(results[rank], 0);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[rank], 1 + (rank + 1) * 0.25e-3, EXACT);
    }
}

static int small_computes(struct rg_world *w, void *arg)
{
    (void)arg;
    int result = rg_clock_start(w);
    double sum = 0;
    for (int i = 0; i < 1000 && result == 0; i++) {
        double seconds = 1e-9 * (1 + i * 97 % 5000);
        sum += seconds;
        result = simulate_compute(w, seconds);
    }
    notes->dates[0] = rg_now(w);
    notes->dates[1] = sum;
    return result;
}

/* Down to a few nanoseconds a computation takes what it should. */
static void test_small_computes(void)
{
    CU_ASSERT_EQUAL(run(small_computes, 1, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[0], notes->dates[1], 1000 * EXACT);
}

/* Sending, receiving and computing at once take as long as the longest. */
static int overlapping(struct rg_world *w, void *arg)
{
    (void)arg;
    static char buffer[2][MEGA];
    struct rg_request in, out, *both[] = {&in, &out};
    for (int i = 0; i < 2; i++) {
        int result = rg_clock_start(w);
        rg_recv(w, 1 - w->rank, TAG, buffer[w->rank], MEGA, &in);
        rg_send(w, 1 - w->rank, TAG, buffer[1 - w->rank], MEGA, &out);
        result = result ? result : simulate_compute(w, i ? 0.1 : 0.001);
        result = result ? result : rg_wait_all(w, both, 2);
        if (result)
            return result;
        notes->dates[2 * i + w->rank] = rg_now(w);
    }
    return 0;
}

static void test_overlap(void)
{
    CU_ASSERT_EQUAL(run(overlapping, 2, NULL), 0);
    for (int rank = 0; rank < 2; rank++) {
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[rank], wire_s(MEGA) + LATENCY, EXACT);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[2 + rank], 0.1, EXACT);
    }
}

/* ---- platforms ---- */

static const char wilful_platform[] =
    "<?xml version='1.0'?>"
    "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">"
    "<platform version=\"4.1\"><config>"
    "<prop id=\"network/latency-factor\" value=\"13\"/>"
    "<prop id=\"network/bandwidth-factor\" value=\"0.5\"/>"
    "<prop id=\"network/model\" value=\"LV08\"/>"
    "<prop id=\"network/crosstraffic\" value=\"yes\"/></config>"
    "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-7\" speed=\"1Gf\" bw=\"125MBps\" "
    "lat=\"25.15us\" sharing_policy=\"SPLITDUPLEX\"/></platform>";

/* Whatever the platform file would like, the network is the one that is documented. */
static void test_pinned(void)
{
    struct rg_sim_options options = {
        .platform = simulate_platform(wilful_platform), .size = 8, .boards = simulate_boards};
    int results[8];
    CU_ASSERT_EQUAL(simulate(&options, round_the_ring, NULL, 30, results, NULL), 0);
    for (int i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(results[i], 0);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[i], wire_s(MEGA) + LATENCY, EXACT);
    }
}

static const char large_platform[] =
    "<?xml version='1.0'?>"
    "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">"
    "<platform version=\"4.1\">"
    "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-511\" speed=\"1Gf\" bw=\"125MBps\" "
    "lat=\"0\" sharing_policy=\"SPLITDUPLEX\"/></platform>";

static int barriers(struct rg_world *w, void *arg)
{
    (void)arg;
    int result = rg_clock_start(w);
    for (int i = 0; i < 5 && result == 0; i++)
        result = rg_barrier(w);
    if (w->rank == 511)
        notes->dates[0] = rg_now(w);
    return result;
}

/* 512 ranks in 9 rounds of empty messages a barrier: 23,040 messages on 4,608 connections. */
static void test_many(void)
{
    struct rg_sim_options options = {.platform = simulate_platform(large_platform), .size = 512};
    int *results = calloc(512, sizeof *results);
    CU_ASSERT_EQUAL(simulate(&options, barriers, NULL, 50, results, NULL), 0);
    for (int i = 0; i < 512; i++)
        CU_ASSERT_EQUAL(results[i], 0);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[0], 5 * 9 * RG_MESSAGE_HEADER / RATE, 45 * EXACT);
    free(results);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"one message", test_one_message},
        {"messages take processor time at both ends", test_message_work},
        {"messages compete with computations", test_competition},
        {"messages of one connection overlap in flight", test_pipelining},
        {"ports are shared, and full duplex", test_sharing},
        {"cores are shared", test_cores},
        {"uneven ranks", test_uneven},
        {"small computes", test_small_computes},
        {"overlap", test_overlap},
        {"messages have their own ends", test_other_ends},
        {"options are pinned", test_pinned},
        {"512 ranks", test_many},
    };
    notes = simulate_share(sizeof *notes);
    return suite_main("sim", tests, (int)RG_COUNT(tests), argc, argv);
}
