/* Boards: clocks, watts, and what messages cost. */
#include "base/bytes.h"
#include "base/check.h"
#include "boards/board.h"
#include "tests/support/suite.h"
#include <math.h>

#define NEAR(a, b) CU_ASSERT_DOUBLE_EQUAL(a, b, 1e-12 * fabs((double)(b)))

static const struct rg_board board = {
    .name = "test",
    .cores = 4,
    .gemm_rate = 8e9,
    .gemm_rate_all = 20e9,
    .curve_points = 2,
    .curve_size = {32, 128},
    .curve_share = {0.25, 1},
    .vector_rate = 4e9,
    .memory_rate = 2e9,
    .memory_rate_all = 3e9,
    .call_s = 1e-6,
    .memory_bytes = 1 << 30,
    .port_rate = 1e8,
    .latency_s = 5e-5,
    .frame_payload = 1000,
    .frame_bytes = 1100,
    .message_s = 1e-5,
    .byte_s = 1e-9,
    .clock_count = 3,
    .clocks = {{2e9, 2, 3, 7}, {1.5e9, 2, 2.5, 5}, {1e9, 2, 2, 4}}};

static struct rg_cost kernel(int m, double bytes)
{
    double flops = m > 0 ? 2.0 * m * m * m : bytes / 4;
    return (struct rg_cost){.m = m, .n = m, .k = m, .flops = flops, .bytes = bytes, .calls = 1};
}

static double seconds_of(const struct rg_board *b, int m, double bytes, int threads)
{
    struct rg_cost cost = kernel(m, bytes);
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_board_seconds(b, &work, threads);
}

/* Products are divided among cores, by their rates for compute and memory; the rest runs alone. */
static void test_threads(void)
{
    struct rg_cost costs[] = {kernel(128, 1), kernel(0, 4e6), kernel(1, 6e6)};
    struct rg_work work = {.cost = costs, .count = 3};
    NEAR(seconds_of(&board, 0, 4e6, 4), seconds_of(&board, 0, 4e6, 1));
    NEAR(seconds_of(&board, 1, 6e6, 1), 3e-3 + 1e-6);
    NEAR(seconds_of(&board, 1, 6e6, 4), 2e-3 + 1e-6);
    CU_ASSERT_TRUE(seconds_of(&board, 128, 1, 4) < seconds_of(&board, 128, 1, 1));
    /* of three more cores, which add 12 GFLOP/s, one: 8 + 12 / 3 = 12 GFLOP/s */
    NEAR(seconds_of(&board, 128, 1, 2), 2.0 * 128 * 128 * 128 / 12e9 + 1e-6);
    CU_ASSERT_EQUAL(rg_board_kept_seconds(&board, &work, 1).alone, 0);
    NEAR(rg_board_kept_seconds(&board, &work, 4).alone, 2e-3 + 1e-6);
    NEAR(rg_board_seconds(&board, &work, 4),
         seconds_of(&board, 128, 1, 4) + 2e-3 + 1e-6 + 2e-3 + 1e-6);
}

static bool equal(struct rg_seconds a, struct rg_seconds b)
{
    return a.all == b.all && a.alone == b.alone;
}

/* A list that keeps its seconds gives those of the board and the threads that are asked for, with
 * more boards in turn than it keeps, and does not work them out again. */
static void test_kept_seconds(void)
{
    struct rg_board other[3] = {board, board, board};
    struct rg_work plain = {0}, kept = {0};
    for (struct rg_work *work = &plain; work; work = work == &plain ? &kept : NULL) {
        rg_work_gemm(work, 100, 100, 100, 2);
        rg_work_vector(work, 1e3, 4e6);
    }
    rg_work_keep_seconds(&kept);
    for (int i = 0; i < 3; i++)
        other[i].vector_rate = other[i].memory_rate = other[i].memory_rate_all = 1e9 * (i + 1);
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 3; i++)
            for (int threads = 1; threads <= 4; threads += 3)
                CU_ASSERT_TRUE(equal(rg_board_kept_seconds(&other[i], &kept, threads),
                                     rg_board_kept_seconds(&other[i], &plain, threads)));
    struct rg_seconds before = rg_board_kept_seconds(&board, &kept, 4);
    CU_ASSERT_EQUAL(before.all, rg_board_seconds(&board, &plain, 4));
    kept.cost[0].calls = 100;
    CU_ASSERT_TRUE(equal(rg_board_kept_seconds(&board, &kept, 4), before));
    CU_ASSERT_FALSE(equal(rg_board_kept_seconds(&board, &kept, 1), before));
    rg_work_free(&plain);
    rg_work_free(&kept);
    CU_ASSERT_PTR_NULL(kept.known);
}

/* Compute-bound kernels, calls and messages slow down with the clock; memory-bound ones do not. */
static void test_clock(void)
{
    struct rg_board slow = board;
    CU_ASSERT_EQUAL_FATAL(rg_board_set_clock(&slow, 1e9, NULL), 0);
    CU_ASSERT_EQUAL(slow.clock, 2);
    NEAR(seconds_of(&board, 128, 1, 1), 2.0 * 128 * 128 * 128 / 8e9 + 1e-6);
    NEAR(seconds_of(&slow, 128, 1, 1), 2 * seconds_of(&board, 128, 1, 1));
    NEAR(seconds_of(&slow, 128, 1, 4), 2 * seconds_of(&board, 128, 1, 4));
    NEAR(seconds_of(&board, 0, 4e6, 1), 2e-3 + 1e-6);
    NEAR(seconds_of(&slow, 0, 4e6, 1), 2e-3 + 2e-6);
    NEAR(slow.message_s, 2e-5);
    NEAR(slow.byte_s, 2e-9);
    CU_ASSERT_EQUAL(slow.memory_rate, board.memory_rate);
    CU_ASSERT_EQUAL(slow.port_rate, board.port_rate);
    CU_ASSERT_EQUAL_FATAL(rg_board_set_clock(&slow, 2e9, NULL), 0); /* and back */
    NEAR(slow.gemm_rate, board.gemm_rate);
    NEAR(slow.call_s, board.call_s);
}

/* The rate of memory by the bytes of a call, a straight line in their logarithm; none, no curve. */
static void test_memory_curve(void)
{
    struct rg_board b = board;
    b.vector_rate = 1e12; /* memory binds */
    b.memory_points = 2;
    b.memory_size[0] = 1 << 16;
    b.memory_size[1] = 1 << 20;
    b.memory_share[0] = 1;
    b.memory_share[1] = 0.5;
    NEAR(seconds_of(&b, 0, 1 << 12, 1), (1 << 12) / 2e9 + 1e-6);
    NEAR(seconds_of(&b, 0, 1 << 18, 1), (1 << 18) / 1.5e9 + 1e-6);
    NEAR(seconds_of(&b, 0, 1 << 24, 1), (1 << 24) / 1e9 + 1e-6);
    NEAR(seconds_of(&b, 1, 1 << 24, 4), (1 << 24) / 1.5e9 + 1e-6);
    CU_ASSERT_EQUAL(rg_board_check(&b, NULL), 0);
}

/* Functions are on top of their operations, and both on one thread. */
static void test_functions(void)
{
    struct rg_board b = board;
    struct rg_work work = {0};
    rg_work_functions(&work, 4e6, 1, 2e6);
    NEAR(rg_board_seconds(&b, &work, 1), 1e-3 + 1e-6); /* as operations alone */
    b.function_s = 1e-9;
    NEAR(rg_board_seconds(&b, &work, 1), 1e-3 + 2e-3 + 1e-6);
    NEAR(rg_board_seconds(&b, &work, 4), 1e-3 + 2e-3 + 1e-6);
    CU_ASSERT_EQUAL_FATAL(rg_board_set_clock(&b, 1e9, NULL), 0);
    NEAR(rg_board_seconds(&b, &work, 1), 2e-3 + 4e-3 + 2e-6);
    rg_work_free(&work);
}

static void test_no_such_clock(void)
{
    struct rg_board b = board;
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(rg_board_set_clock(&b, 1.1e9, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "its steps are 2e+09, 1.5e+09, 1e+09"));
    CU_ASSERT_EQUAL(memcmp(&b, &board, sizeof b), 0);
}

/* SimGrid's rule: Idle, or Epsilon and a share of what all cores add to it. */
static void test_watts(void)
{
    struct rg_board b = board;
    NEAR(rg_board_watts(&b, 0), 2);
    NEAR(rg_board_watts(&b, 1), 4);
    NEAR(rg_board_watts(&b, 4), 7);
    NEAR(rg_board_watts(&b, 9), 7);
    CU_ASSERT_EQUAL_FATAL(rg_board_set_clock(&b, 1.5e9, NULL), 0);
    NEAR(rg_board_watts(&b, 2), 3.75);
}

static void test_messages(void)
{
    struct rg_board b = board;
    double wire = (1000.0 + RG_MESSAGE_HEADER) * 1.1 / 1e8;
    NEAR(rg_board_port_s(&b, 1, 1000), 1e-5 + wire);
    NEAR(rg_board_port_s(&b, 3, 3000), 3 * (1e-5 + wire));
    NEAR(rg_board_hop_s(&b, 1000), 2e-5 + 5e-5 + wire);
    b.byte_s = 1e-7; /* the processor is slower than the wire */
    NEAR(rg_board_port_s(&b, 1, 1000), 1e-5 + 1e-7 * (1000.0 + RG_MESSAGE_HEADER));
}

/* Between boards that differ: each one's own cost of a message, half of each latency, the slower
 * port; 1000 bytes and their header in frames are 1.1 times as much. */
static void test_messages_between(void)
{
    struct rg_board slow = board;
    double wire = (1000.0 + RG_MESSAGE_HEADER) * 1.1 / 1e7;
    slow.port_rate = 1e7;
    slow.latency_s = 25e-5;
    slow.message_s = 7e-5;
    NEAR(rg_board_hop_to_s(&board, &slow, 1000), 1e-5 + wire + (5e-5 + 25e-5) / 2 + 7e-5);
    NEAR(rg_board_hop_to_s(&slow, &board, 1000), 7e-5 + wire + (25e-5 + 5e-5) / 2 + 1e-5);
    NEAR(rg_board_send_s(&slow, &board, 1000), 7e-5 + wire);
}

/* By hand: records of TLS around messages of one and of different sizes. */
static void test_keyed(void)
{
    struct rg_board b = board;
    const struct rg_load mixed = {3, 40001,
                                  rg_tls_bytes(0) + rg_tls_bytes(1) + rg_tls_bytes(40000)};
    double plain = (40001.0 + 3 * RG_MESSAGE_HEADER) * 1.1;
    NEAR(rg_board_load_bytes(&b, mixed), plain);
    CU_ASSERT_EQUAL(rg_board_wire_bytes(&b, 3, 40001), rg_board_load_bytes(&b, mixed));
    CU_ASSERT_EQUAL(rg_board_port_s(&b, 3, 40001), rg_board_load_s(&b, mixed));
    b.keyed = true;
    NEAR(rg_board_load_bytes(&b, mixed), plain + 1.1 * 22 * (1 + 1 + 3));
    NEAR(rg_board_load_s(&b, mixed), 3e-5 + (plain + 1.1 * 22 * 5) / 1e8);
    NEAR(rg_board_wire_bytes(&b, 2, 40000), (40000 + 64 + 22 * 4) * 1.1);
    NEAR(rg_board_wire_bytes(&b, 2, 2 * (16384 - 32)), 2 * (16384 + 22) * 1.1);
    NEAR(rg_board_hop_s(&b, 1000), 2e-5 + 5e-5 + (1032 + 22) * 1.1 / 1e8);
    CU_ASSERT_EQUAL(rg_board_wire_bytes(&b, 0, 0), 0);
}

static void refused(struct rg_board b, const char *word)
{
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(rg_board_check(&b, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, word));
}

static void test_check(void)
{
    struct rg_board b = board;
    CU_ASSERT_EQUAL(rg_board_check(&b, NULL), 0);
    b.clocks[1].hz = 3e9;
    refused(b, "clocks in rg_clocks must fall");
    b = board;
    b.clocks[0].full_watts = 1;
    refused(b, "wattage_per_state");
    b = board;
    b.function_s = -1;
    refused(b, "rg_function_s");
    b = board;
    b.memory_points = 1;
    b.memory_size[0] = 1;
    b.memory_share[0] = 1.5;
    refused(b, "rg_memory_curve has the share 1.5");
    b = board;
    b.message_s = -1;
    refused(b, "rg_message_s");
    b = board;
    b.port_rate = 0;
    refused(b, "rg_port_rate");
}

/* 1,000 bytes at 100 MB/s there and 50 MB/s back; behind a bus of 60 MB/s; half of it each way. */
static void test_ports(void)
{
    struct rg_board b = {.port_rate = 1e8, .frame_payload = 1, .frame_bytes = 1};
    const double bytes = 1000.0 + RG_MESSAGE_HEADER;
    const struct rg_load load = {.messages = 1, .payload = 1000}, none = {0};
    NEAR(rg_board_received_s(&b, load), bytes / 1e8);
    b.port_rx_rate = 5e7;
    NEAR(rg_board_load_s(&b, load), bytes / 1e8);
    NEAR(rg_board_received_s(&b, load), bytes / 5e7);
    NEAR(rg_board_busy_s(&b, load, load), bytes / 5e7);
    NEAR(rg_board_hop_s(&b, 1000), bytes / 5e7);
    b.port_bus_rate = 6e7;
    NEAR(rg_board_load_s(&b, load), bytes / 6e7);
    NEAR(rg_board_busy_s(&b, load, none), bytes / 6e7);
    NEAR(rg_board_busy_s(&b, load, load), 2 * bytes / 6e7);
    NEAR(rg_board_both_ways_s(&b, 1, 1000), 2 * bytes / 6e7);
    NEAR(rg_board_passing_hop_s(&b, &b, 2, 1, 1000), bytes / 3e7);
    NEAR(rg_board_passing_hop_s(&b, &b, 1, 1, 1000), bytes / 5e7); /* that it receives */
    b.port_bus_rate = b.port_rx_rate = 0;
    b.shared_medium = true;
    NEAR(rg_board_medium_rate(&b), 1e8);
    NEAR(rg_board_passing_hop_s(&b, &b, 2, 4, 1000), 4 * bytes / 1e8);
    b.medium_rate = 2e7;
    NEAR(rg_board_rate_to(&b, &b), 2e7);
    NEAR(rg_board_passing_hop_s(&b, &b, 2, 4, 1000), 4 * bytes / 2e7);
    b = board;
    b.medium_rate = -1;
    refused(b, "rg_medium_rate");
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"clock steps", test_clock},
                                              {"memory by bytes", test_memory_curve},
                                              {"cores", test_threads},
                                              {"seconds kept with a list", test_kept_seconds},
                                              {"functions", test_functions},
                                              {"no such clock", test_no_such_clock},
                                              {"watts", test_watts},
                                              {"messages", test_messages},
                                              {"messages between boards", test_messages_between},
                                              {"messages with a key", test_keyed},
                                              {"ports of two rates, a bus, a medium", test_ports},
                                              {"what cannot be", test_check}};
    return suite_main("board", tests, RG_COUNT(tests), argc, argv);
}
