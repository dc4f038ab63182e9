/* Queues before receiving ports (sim/queue.h) against dates worked out by hand. */
#include "base/check.h"
#include "boards/board.h"
#include "tests/sim/simulate.h"
#include "tests/support/suite.h"
#include <math.h>

#define EXACT 1e-9
#define RATE  1e6 /* bytes/s of a port: a message takes a second */
#define TAG   RG_TAG_USER

/* No latency; one link each way for every node, or one for all. */
#define CLUSTER(policy)                                                                            \
    "<?xml version='1.0'?>"                                                                        \
    "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">"                               \
    "<platform version=\"4.1\">"                                                                   \
    "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" speed=\"1Gf\" core=\"4\" "         \
    "bw=\"1MBps\" lat=\"0\" sharing_policy=\"" policy "\"/></platform>"

enum { RANKS = 4, MESSAGE = 1000000 - RG_MESSAGE_HEADER, MOST = 4 };

/* So many bytes from one rank to another, at a date; when they arrived, and the sender knew it. */
struct transfer {
    int from, to;
    double date;
    size_t bytes;
    double arrived;
};

static struct notes {
    struct transfer transfers[MOST];
    int count;
} * notes;

static int wait_until(struct rg_world *w, double date)
{
    double seconds = date - rg_now(w);
    struct rg_cost cost = {.m = 1, .n = 1, .k = 1, .flops = 1e9 * seconds, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1};
    return seconds > 0 ? rg_compute(w, &work, "wait", -1, NULL, NULL) : 0;
}

/* Ranks receive whatever comes, and send in the order of the table. */
static int transfer_all(struct rg_world *w, void *arg)
{
    static char buffer[2][MESSAGE];
    struct rg_request requests[MOST], *mine[MOST];
    int n = 0, index, result = rg_clock_start(w);
    struct transfer *of[MOST];
    (void)arg;
    for (int i = 0; i < notes->count && result == 0; i++) {
        struct transfer *t = &notes->transfers[i];
        if (t->to != w->rank)
            continue;
        mine[n] = &requests[i];
        of[n++] = t;
        result = rg_recv(w, t->from, TAG + i, buffer[1], t->bytes, &requests[i]);
    }
    for (int i = 0; i < notes->count && result == 0; i++) {
        struct transfer *t = &notes->transfers[i];
        if (t->from != w->rank)
            continue;
        result = wait_until(w, t->date);
        mine[n] = &requests[i];
        of[n++] = NULL;
        result = result ? result : rg_send(w, t->to, TAG + i, buffer[0], t->bytes, &requests[i]);
    }
    while (n > 0 && result == 0) {
        result = rg_wait_any(w, mine, n, INFINITY, &index);
        if (of[index])
            of[index]->arrived = rg_now(w);
        n--;
        mine[index] = mine[n];
        of[index] = of[n];
    }
    return result;
}

static struct rg_board board_with(double queue, double burst)
{
    return (struct rg_board){.name = "test",
                             .cores = 1,
                             .gemm_rate = 1e9,
                             .gemm_rate_all = 1e9,
                             .vector_rate = 1e9,
                             .memory_rate = 1e18,
                             .memory_rate_all = 1e18,
                             .memory_bytes = 1 << 30,
                             .port_rate = RATE,
                             .port_burst = burst,
                             .port_queue = queue,
                             .frame_payload = 1,
                             .frame_bytes = 1};
}

static int run_on(const char *platform, struct rg_board board, const struct rg_faults *faults,
                  struct rg_error *e)
{
    const struct rg_board *const boards[RANKS] = {&board, &board, &board, &board};
    struct rg_sim_options options = {
        .platform = simulate_platform(platform), .size = RANKS, .boards = boards, .faults = faults};
    int results[RANKS] = {0}, result = simulate(&options, transfer_all, NULL, 30, results, e);
    for (int i = 0; i < RANKS && result == 0; i++)
        result = results[i];
    return result;
}

static void run(double queue, double burst, const struct rg_faults *faults)
{
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(run_on(CLUSTER("SPLITDUPLEX"), board_with(queue, burst), faults, &e), 0);
    if (e.text[0])
        printf("  %s\n", e.text);
}

static void order(int count, const struct transfer *transfers)
{
    *notes = (struct notes){.count = count};
    memcpy(notes->transfers, transfers, (size_t)count * sizeof *transfers);
}

static void expect_within(double tolerance, const double *dates)
{
    for (int i = 0; i < notes->count; i++) {
        if (fabs(notes->transfers[i].arrived - dates[i]) > tolerance)
            printf("  transfer %d arrived at %.9f, not %.9f\n", i, notes->transfers[i].arrived,
                   dates[i]);
        CU_ASSERT_DOUBLE_EQUAL(notes->transfers[i].arrived, dates[i], tolerance);
    }
}

static void expect(const double *dates)
{
    expect_within(EXACT, dates);
}

enum { AMPLE = 100000000 };

static void test_alone(void)
{
    order(2, (struct transfer[]){{0, 1, 0, MESSAGE, 0}, {0, 1, 0, MESSAGE, 0}});
    run(AMPLE, 0, NULL);
    expect((double[]){1, 2});
}

/* At a message's end as much waits as came of both, less what has left. Without a queue they share
 * the port evenly while both are there, which comes to the same for two. */
static void test_two_into_one(void)
{
    order(2, (struct transfer[]){{0, 2, 0, MESSAGE, 0}, {1, 2, 0.25, MESSAGE, 0}});
    run(AMPLE, 0, NULL);
    expect((double[]){1.75, 2});
    run(0, 0, NULL);
    expect((double[]){1.75, 2});
    notes->transfers[1].bytes = 500000 - RG_MESSAGE_HEADER; /* in at 0.75, when half of it waits */
    run(AMPLE, 0, NULL);
    expect((double[]){1.5, 1.25});
    run(0, 0, NULL);
    expect((double[]){1.5, 1.25});
}

/* Its port is free for another receiver while the queue still holds what it has sent. */
static void test_free_port(void)
{
    order(3,
          (struct transfer[]){{0, 2, 0, MESSAGE, 0}, {1, 2, 0, MESSAGE, 0}, {0, 3, 1, MESSAGE, 0}});
    run(AMPLE, 0, NULL);
    expect((double[]){2, 2, 2});
    run(0, 0, NULL); /* from 1 on rank 0 has half of its port for each */
    expect((double[]){2, 2, 2.5});
}

/* A sender's port is shared as ever: rank 0 sends to two at half the rate each, so that with rank
 * 1's as much again comes to rank 2 in three halves of the time. */
static void test_shared_port(void)
{
    order(3,
          (struct transfer[]){{0, 2, 0, MESSAGE, 0}, {0, 3, 0, MESSAGE, 0}, {1, 2, 0, MESSAGE, 0}});
    run(AMPLE, 0, NULL);
    expect((double[]){2, 2, 1.5});
}

/* A full buffer holds back the connection, not the bytes: rank 0's second message to rank 2 goes
 * off when the first fits, at 1.4, and meanwhile its message to rank 3 has the port for itself. */
static void test_full(void)
{
    order(4, (struct transfer[]){{0, 2, 0, MESSAGE, 0},
                                 {1, 2, 0, MESSAGE, 0},
                                 {0, 2, 1, MESSAGE, 0},
                                 {0, 3, 1, MESSAGE, 0}});
    run(600000, 0, NULL);
    expect((double[]){2, 2, 3, 2.6});
    run(AMPLE, 0, NULL);
    expect((double[]){2, 2, 3, 3});
}

/* What a token bucket lets pass at once, each way, in whole bytes; it fills at the port's rate. */
static void test_burst(void)
{
    order(3,
          (struct transfer[]){{0, 2, 0, MESSAGE, 0}, {0, 2, 1, MESSAGE, 0}, {1, 2, 3, MESSAGE, 0}});
    run(AMPLE, 200000, NULL);
    expect_within(1.5 / RATE, (double[]){0.8, 1.8, 3.8});
    /* The second follows at 0.8, when nothing is left; between 1.8 and 1.9 half a burst comes in.
     */
    for (int queue = 0; queue <= AMPLE; queue += AMPLE) {
        order(3, (struct transfer[]){
                     {0, 2, 0, MESSAGE, 0}, {0, 2, 0, MESSAGE, 0}, {0, 2, 1.9, MESSAGE, 0}});
        run(queue, 200000, NULL);
        expect_within(3.5 / RATE, (double[]){0.8, 1.8, 2.8});
    }
}

/* Processors that are slower than the port overlap with the queue. */
static void test_slow_processors(void)
{
    struct rg_board board = board_with(AMPLE, 0);
    struct rg_error e = {0};
    order(2, (struct transfer[]){{0, 2, 0, MESSAGE, 0}, {1, 2, 0, MESSAGE, 0}});
    board.byte_s = 1.5e-6;
    CU_ASSERT_EQUAL(run_on(CLUSTER("SPLITDUPLEX"), board, NULL, &e), 0);
    expect((double[]){2, 2});
    board.byte_s = 2.5e-6;
    CU_ASSERT_EQUAL(run_on(CLUSTER("SPLITDUPLEX"), board, NULL, &e), 0);
    expect((double[]){2.5, 2.5});
}

/* Where links change, they are shared: two messages, the receiver at a tenth from 0.9 to 1.1. */
static void test_slow_link(void)
{
    struct rg_fault_window window = {2, 2, 0.9, 1.1, 0.1, 0};
    const struct rg_faults faults = {.link = {&window, 1}};
    for (int queue = 0; queue <= AMPLE; queue += AMPLE) {
        order(2, (struct transfer[]){{0, 2, 0, MESSAGE, 0}, {1, 2, 0, MESSAGE, 0}});
        run(queue, 0, &faults);
        expect((double[]){2.18, 2.18});
    }
}

/* One medium for all has no switch, and a switch has queues for all. */
static void test_refused(void)
{
    struct rg_error e = {0};
    order(1, (struct transfer[]){{0, 2, 0, MESSAGE, 0}});
    CU_ASSERT_EQUAL(run_on(CLUSTER("SHARED"), board_with(AMPLE, 0), NULL, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(e.text, "n0: rg_port_queue is for ports with a link of their own each way"));
    CU_ASSERT_EQUAL(
        run_on(CLUSTER("SPLITDUPLEX\" bb_bw=\"3MBps\" bb_lat=\"0"), board_with(AMPLE, 0), NULL, &e),
        RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "carries 3e+06 B/s: with rg_port_queue, 4e+06 are"));
    struct rg_board with = board_with(AMPLE, 0), without = board_with(0, 0);
    const struct rg_board *const boards[2] = {&with, &without};
    struct rg_sim_options options = {
        .platform = simulate_platform(CLUSTER("SPLITDUPLEX")), .size = 2, .boards = boards};
    CU_ASSERT_EQUAL(simulate(&options, transfer_all, NULL, 30, NULL, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "n0 and n1: rg_port_queue is for all boards"));
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {{"alone", test_alone},
                                              {"two into one", test_two_into_one},
                                              {"a port that is free early", test_free_port},
                                              {"a port that is shared", test_shared_port},
                                              {"a full buffer", test_full},
                                              {"bursts", test_burst},
                                              {"slow processors", test_slow_processors},
                                              {"slow links", test_slow_link},
                                              {"refused", test_refused}};
    notes = simulate_share(sizeof *notes);
    return suite_main("queues of the sim world", tests, RG_COUNT(tests), argc, argv);
}
