/* Joules of the sim world, worked out with a pencil. */
#include "base/check.h"
#include "boards/board.h"
#include "tests/sim/simulate.h"
#include "tests/support/suite.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATE   1e6 /* bytes/s of a port */
#define WITHIN 1e-6
#define TAG    RG_TAG_USER
enum { RANKS = 4, BYTES = 500000 };

/* 4 cores of 1 GFLOP/s; one busy core of four: 3 + (5 - 3) / 4 = 3.5 W, two 4 W, four 5 W. At half
 * the clock half of that. Memory: 1 GB/s. */
static const char platform[] =
    "<?xml version='1.0'?>"
    "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">"
    "<platform version=\"4.1\">"
    "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-3\" speed=\"1Gf,500Mf\" core=\"4\" "
    "bw=\"1MBps\" lat=\"0\" sharing_policy=\"SPLITDUPLEX\">"
    "<prop id=\"wattage_per_state\" value=\"2:3:5, 1:1.5:2.5\"/></cluster></platform>";

static const struct rg_board ideal = {.name = "ideal",
                                      .cores = 4,
                                      .gemm_rate = 1e9,
                                      .gemm_rate_all = 4e9,
                                      .vector_rate = 1e18,
                                      .memory_rate = 1e9,
                                      .memory_rate_all = 1e9,
                                      .memory_bytes = 1 << 30,
                                      .port_rate = RATE,
                                      .frame_payload = 1,
                                      .frame_bytes = 1,
                                      .port_tx_watts = 1,
                                      .port_rx_watts = 0.5,
                                      .switch_watts = 0.25,
                                      .clock_count = 2,
                                      .clocks = {{1e9, 2, 3, 5}, {5e8, 1, 1.5, 2.5}}};

struct notes {
    double seconds[RANKS];
    struct rg_energy energy[RANKS];
    struct rg_energy frozen, later;
    char source[16];
};

static struct notes *notes;

static void run_boards(const struct rg_board *const boards[RANKS], rg_program_fn program, int size,
                       int threads)
{
    int results[RANKS];
    struct rg_sim_options options = {.platform = simulate_platform(platform),
                                     .size = size,
                                     .boards = boards,
                                     .threads = threads};
    memset(notes, 0, sizeof *notes);
    CU_ASSERT_EQUAL(simulate(&options, program, NULL, 30, results, NULL), 0);
    for (int i = 0; i < size; i++)
        CU_ASSERT_EQUAL(results[i], 0);
}

/* On boards of the datasheet, each at its clock. */
static void run_on(const struct rg_board *board, const int clocks[RANKS], rg_program_fn program,
                   int size, int threads)
{
    struct rg_board copies[RANKS];
    const struct rg_board *boards[RANKS];
    struct rg_error e;
    for (int i = 0; i < size; i++) {
        copies[i] = *board;
        boards[i] = &copies[i];
        if (clocks)
            CU_ASSERT_EQUAL(rg_board_set_clock(&copies[i], board->clocks[clocks[i]].hz, &e), 0);
    }
    run_boards(boards, program, size, threads);
}

static bool near(double value, double wanted)
{
    return fabs(value - wanted) <= WITHIN * fabs(wanted);
}

/* The seconds and parts of a rank. */
static void drew(int rank, double seconds, double idle, double compute, double network)
{
    const struct rg_energy *e = &notes->energy[rank];
    bool good = near(notes->seconds[rank], seconds) && near(e->idle_J, idle) &&
                near(e->compute_J, compute) && near(e->network_J, network) &&
                near(e->switch_J, 0.25 * seconds) &&
                e->total_J == e->idle_J + e->compute_J + e->network_J + e->switch_J;
    if (!good)
        printf("\n  rank %d: %.9g s, idle %.9g compute %.9g network %.9g switch %.9g total %.9g J",
               rank, notes->seconds[rank], e->idle_J, e->compute_J, e->network_J, e->switch_J,
               e->total_J);
    CU_ASSERT(good);
}

/* Everybody has ended: what was it? */
static int note(struct rg_world *w)
{
    int result = rg_untimed_begin(w);
    notes->seconds[w->rank] = w->untimed_since - w->offset;
    rg_energy(w, &notes->energy[w->rank]);
    snprintf(notes->source, sizeof notes->source, "%s", notes->energy[w->rank].source);
    return result;
}

/* The slower of flops / rate and bytes / rate. */
static int compute(struct rg_world *w, double flops, double bytes)
{
    struct rg_cost cost = {.m = 1, .n = 1, .k = 1, .flops = flops, .bytes = bytes, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(w, &work, "x", -1, NULL, NULL);
}

static int pass_time(struct rg_world *w, double seconds)
{
    struct rg_request never, *all[] = {&never};
    int index;
    rg_recv(w, (w->rank + 1) % w->size, TAG + 1, NULL, 0, &never);
    int result = rg_wait_any(w, all, 1, rg_now(w) + seconds, &index);
    rg_cancel(w, &never);
    return result == RG_ERR_TIMEOUT ? 0 : RG_ERR_INTERNAL;
}

/* ---- computing ---- */

static int four_gigaflop(struct rg_world *w, void *arg)
{
    (void)arg;
    int result = rg_clock_start(w);
    result = result ? result : compute(w, 4e9, 0);
    return result ? result : note(w);
}

static void test_threads(void)
{
    run_on(&ideal, NULL, four_gigaflop, 1, 1); /* 4 s of one core: 1.5 W above idle */
    drew(0, 4, 8, 6, 0);
    CU_ASSERT_STRING_EQUAL(notes->source, "model");
    run_on(&ideal, NULL, four_gigaflop, 1, 2); /* 2 s of two: 2 W */
    drew(0, 2, 4, 4, 0);
    run_on(&ideal, NULL, four_gigaflop, 1, 4); /* 1 s of all: 3 W */
    drew(0, 1, 2, 3, 0);
}

/* A product of 4 GFLOP, and 2 GB moved by what is none. */
static int product_and_pass(struct rg_world *w, void *arg)
{
    (void)arg;
    struct rg_cost costs[] = {{.m = 1, .n = 1, .k = 1, .flops = 4e9, .calls = 1},
                              {.bytes = 2e9, .calls = 1}};
    struct rg_work work = {.cost = costs, .count = 2};
    int result = rg_clock_start(w);
    result = result ? result : rg_compute(w, &work, "x", -1, NULL, NULL);
    return result ? result : note(w);
}

/* What is no product has one core, whatever the threads. */
static void test_one_core_alone(void)
{
    run_on(&ideal, NULL, product_and_pass, 1, 4); /* 1 s of all: 3 W; 2 s of one: 1.5 W */
    drew(0, 3, 6, 6, 0);
}

static int one_gigaflop(struct rg_world *w, void *arg)
{
    (void)arg;
    return compute(w, 1e9, 0);
}

/* A second of one core, one of three strands' three, half a second of nothing. */
static int strands_and_a_rest(struct rg_world *w, void *arg)
{
    struct rg_strand *strands[2];
    int result = rg_clock_start(w), got;
    result = result ? result : one_gigaflop(w, arg);
    for (int i = 0; i < 2; i++)
        rg_spawn(w, one_gigaflop, arg, &strands[i]);
    result = result ? result : one_gigaflop(w, arg);
    for (int i = 0; i < 2; i++)
        rg_join(w, strands[i], &got);
    result = result ? result : pass_time(w, 0.5);
    return result ? result : note(w);
}

static void test_strands(void)
{
    run_on(&ideal, NULL, strands_and_a_rest, 2, 1);
    for (int rank = 0; rank < 2; rank++)
        drew(rank, 2.5, 5, 1.5 + 2.5, 0);
}

/* Rank r computes r seconds; all draw idle power until the last has finished. */
static int uneven(struct rg_world *w, void *arg)
{
    (void)arg;
    int result = rg_clock_start(w);
    if (w->rank > 0)
        result = result ? result : compute(w, 1e9 * w->rank, 0);
    return result ? result : note(w);
}

static void test_waiting_for_others(void)
{
    run_on(&ideal, NULL, uneven, 3, 1);
    for (int rank = 0; rank < 3; rank++)
        drew(rank, 2, 4, 1.5 * rank, 0);
}

/* ---- messages ---- */

/* Ranks above 0 send a message each to rank 0. */
static int all_to_first(struct rg_world *w, void *arg)
{
    (void)arg;
    struct rg_request r[RANKS], *all[RANKS] = {0};
    char *buffer = calloc(RANKS, BYTES);
    int result = rg_clock_start(w);
    for (int k = 1; k < w->size && w->rank == 0; k++) {
        rg_recv(w, k, TAG, buffer + k * BYTES, BYTES, &r[k]);
        all[k] = &r[k];
    }
    if (w->rank > 0) {
        rg_send(w, 0, TAG, buffer, BYTES, &r[0]);
        all[0] = &r[0];
    }
    result = result ? result : rg_wait_all(w, all, RANKS);
    result = result ? result : note(w);
    free(buffer);
    return result;
}

static void test_messages(void)
{
    double wire = (BYTES + RG_MESSAGE_HEADER) / RATE;
    run_on(&ideal, NULL, all_to_first, 2, 1);
    drew(0, wire, 2 * wire, 0, 0.5 * wire);
    drew(1, wire, 2 * wire, 0, wire);
    /* three share the receiver's port: each sends at a third of the rate, which costs no more */
    run_on(&ideal, NULL, all_to_first, 4, 1);
    drew(0, 3 * wire, 6 * wire, 0, 1.5 * wire);
    for (int rank = 1; rank < 4; rank++)
        drew(rank, 3 * wire, 6 * wire, 0, wire);
}

/* A receiver whose port is four times as fast works for a quarter of the time that the sender's
 * does, though the message takes as long as that. */
static void test_ports_that_differ(void)
{
    double wire = (BYTES + RG_MESSAGE_HEADER) / RATE;
    struct rg_board fast = ideal;
    const struct rg_board *const boards[RANKS] = {&fast, &ideal};
    fast.port_rate = 4 * RATE;
    run_boards(boards, all_to_first, 2, 1);
    drew(0, wire, 2 * wire, 0, 0.5 * wire / 4);
    drew(1, wire, 2 * wire, 0, wire);
}

/* The processor's part: 10 ms for the message and 4/5 of the wire's time beside it, at both ends on
 * one core of four. */
static void test_processor_time_of_messages(void)
{
    struct rg_board busy = ideal;
    double bytes = BYTES + RG_MESSAGE_HEADER, wire = bytes / RATE, seconds = 0.01 + wire + 0.01;
    busy.message_s = 0.01;
    busy.byte_s = 0.8 / RATE;
    run_on(&busy, NULL, all_to_first, 2, 1);
    for (int rank = 0; rank < 2; rank++)
        drew(rank, seconds, 2 * seconds, 1.5 * (0.01 + 0.8 * wire), rank ? wire : 0.5 * wire);
}

/* ---- clocks ---- */

static int half_and_half(struct rg_world *w, void *arg)
{
    (void)arg;
    int result = rg_clock_start(w);
    result = result ? result : compute(w, 1e9, 0); /* 1 s of computing */
    result = result ? result : compute(w, 0, 1e9); /* 1 s of memory */
    return result ? result : note(w);
}

static void test_clocks(void)
{
    static const int low[RANKS] = {1, 1, 1, 1}, mixed[RANKS] = {0, 1, 0, 1};
    run_on(&ideal, NULL, half_and_half, 1, 1);
    drew(0, 2, 4, 3, 0);
    run_on(&ideal, low, half_and_half, 1, 1); /* 2 s and 1 s at 1.75 W, 1 W of it idle */
    drew(0, 3, 3, 2.25, 0);
    run_on(&ideal, low, four_gigaflop, 1, 4);
    drew(0, 2, 2, 3, 0);
    run_on(&ideal, mixed, half_and_half, 4, 1);
    for (int rank = 0; rank < 4; rank++)
        drew(rank, 3, rank % 2 ? 3 : 6, rank % 2 ? 2.25 : 3, 0);
}

/* ---- untimed sections ---- */

static int with_a_break(struct rg_world *w, void *arg)
{
    struct rg_energy frozen, later;
    (void)arg;
    int result = compute(w, 5e9, 0); /* before the clock starts */
    result = result ? result : rg_clock_start(w);
    result = result ? result : compute(w, 1e9, 0);
    result = result ? result : rg_untimed_begin(w);
    rg_energy(w, &frozen);
    result = result ? result : compute(w, 3e9, 0);
    result = result ? result : rg_barrier(w);
    rg_energy(w, &later);
    if (w->rank == 0) {
        notes->frozen = frozen;
        notes->later = later;
    }
    result = result ? result : rg_untimed_end(w);
    result = result ? result : compute(w, 2e9, 0);
    return result ? result : note(w);
}

static void test_untimed(void)
{
    run_on(&ideal, NULL, with_a_break, 2, 1);
    for (int rank = 0; rank < 2; rank++)
        drew(rank, 3, 6, 4.5, 0);
    CU_ASSERT(near(notes->frozen.total_J, 2 + 1.5 + 0.25));
    CU_ASSERT_EQUAL(notes->frozen.total_J, notes->later.total_J);
}

/* ---- no watts ---- */

static void test_unknown(void)
{
    struct rg_board bare = ideal;
    bare.clock_count = 0;
    run_on(&bare, NULL, one_gigaflop, 1, 1);
    run_on(&bare, NULL, four_gigaflop, 1, 1);
    CU_ASSERT_STRING_EQUAL(notes->source, "none");
    CU_ASSERT(isnan(notes->energy[0].total_J));
    CU_ASSERT(isnan(notes->energy[0].compute_J));
    CU_ASSERT(near(notes->seconds[0], 4));
}

static void test_repetition(void)
{
    struct notes first;
    run_on(&ideal, NULL, strands_and_a_rest, 4, 1);
    first = *notes;
    run_on(&ideal, NULL, strands_and_a_rest, 4, 1);
    for (int rank = 0; rank < 4; rank++) /* but for the address of the word */
        CU_ASSERT_EQUAL(
            memcmp(&first.energy[rank], &notes->energy[rank], offsetof(struct rg_energy, source)),
            0);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"one, two and four threads", test_threads},
        {"one core alone", test_one_core_alone},
        {"strands beside one another, and rest", test_strands},
        {"idle while others compute", test_waiting_for_others},
        {"messages: the port's joules, shared or not", test_messages},
        {"messages: ports that differ", test_ports_that_differ},
        {"messages: the processor's joules", test_processor_time_of_messages},
        {"clocks, of all and of some", test_clocks},
        {"untimed sections cost nothing", test_untimed},
        {"boards without watts", test_unknown},
        {"repetition", test_repetition},
    };
    notes = simulate_share(sizeof *notes);
    return suite_main("sim energy", tests, (int)RG_COUNT(tests), argc, argv);
}
