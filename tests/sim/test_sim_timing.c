/* Dates of the sim world against closed forms, and that they are always the same. */
#include "base/check.h"
#include "base/random.h"
#include "boards/board.h"
#include "tests/sim/simulate.h"
#include "tests/support/suite.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RATE    125e6   /* bytes/s of a port in the platforms here */
#define LATENCY 50.3e-6 /* of a route in pi4-gigabit-64.xml */
#define EXACT   1e-9    /* seconds, SimGrid's precision of dates */
#define TAG     RG_TAG_USER

static const struct rg_board board = {.name = "test",
                                      .cores = 4,
                                      .gemm_rate = 1e9,
                                      .gemm_rate_all = 3e9,
                                      .vector_rate = 1e9,
                                      .memory_rate = 1e18,
                                      .memory_rate_all = 1e18,
                                      .memory_bytes = 1 << 30,
                                      .port_rate = RATE,
                                      .latency_s = LATENCY,
                                      .frame_payload = 1448,
                                      .frame_bytes = 1538};

enum { RANKS = 8 };
static const struct rg_board *const boards[RANKS] = {&board, &board, &board, &board,
                                                     &board, &board, &board, &board};

/* What programs note down for the test. */
struct notes {
    double dates[64];
    uint64_t hash;
    long pages[2]; /* of the process: address space, memory */
    double other;  /* an argument or two */
    int kind;
    long calls;
};

static struct notes *notes;

static double wire_s(size_t bytes)
{
    return ceil((double)(bytes + RG_MESSAGE_HEADER) * 1538 / 1448 * (1 - 1e-12)) / RATE;
}

static int run(rg_program_fn program, int size, struct rg_error *error)
{
    struct rg_sim_options options = {.platform = SIM_PLATFORM_64, .size = size, .boards = boards};
    int results[RANKS] = {0}, result = simulate(&options, program, NULL, 30, results, error);
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
    struct rg_board busy = board;
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
    int target[RANKS]; /* -1: sends nothing */
};

static int send_pattern(struct rg_world *w, const struct pattern *p)
{
    struct rg_request r[RANKS], s, *all[RANKS + 1];
    int n = 0, result = rg_clock_start(w);
    char *buffer = malloc(RANKS * MEGA);
    for (int k = 0; k < RANKS && result == 0; k++) {
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
    for (int i = 0; i < RANKS; i++)
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[i], one + LATENCY, EXACT);
}

/* ---- computing ---- */

static int compute_s(struct rg_world *w, double seconds)
{
    struct rg_cost cost = {.m = 1, .n = 1, .k = 1, .flops = 1e9 * seconds, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(w, &work, "x", -1, NULL, NULL);
}

static int one_second(struct rg_world *w, void *arg)
{
    (void)arg;
    return compute_s(w, 1);
}

/* kind strands compute a second each beside one another. */
static int computing_strands(struct rg_world *w, void *arg)
{
    struct rg_strand *strand[8];
    int result = rg_clock_start(w), got;
    for (int i = 0; i < notes->kind && result == 0; i++)
        result = rg_spawn(w, one_second, arg, &strand[i]);
    for (int i = 0; i < notes->kind && result == 0; i++)
        result = rg_join(w, strand[i], &got);
    notes->dates[0] = rg_now(w);
    notes->dates[1] = w->count.busy_s;
    return result;
}

static double compute_date(int strands, int threads)
{
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = 1, .boards = boards, .threads = threads};
    int result;
    notes->kind = strands;
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

/* ---- near ties ---- */

struct two {
    double seconds, apart;
    uint64_t near_ties;
};

static int first_of_two(struct rg_world *w, void *arg)
{
    return compute_s(w, ((const struct two *)arg)->seconds);
}

static int second_of_two(struct rg_world *w, void *arg)
{
    return compute_s(w, ((const struct two *)arg)->seconds + ((const struct two *)arg)->apart);
}

static int compute_twice(struct rg_world *w, void *arg)
{
    struct rg_strand *one, *other;
    int got;
    rg_spawn(w, first_of_two, arg, &one);
    rg_spawn(w, second_of_two, arg, &other);
    rg_join(w, one, &got);
    return rg_join(w, other, &got);
}

/* Other rounding could let them change places; dates that are one, or as far apart as steps are
 * long, are no near tie. */
static void test_near_ties(void)
{
    struct two cases[] = {{1, 0, 0},    {1, 1e-13, 0},  {1, 5e-10, 1},
                          {1, 5e-9, 0}, {1e5, 5e-7, 1}, {1e5, 5e-6, 0}};
    for (size_t i = 0; i < RG_COUNT(cases); i++) {
        struct rg_sim_ties *ties = simulate_share(sizeof *ties);
        struct rg_sim_options options = {
            .platform = SIM_PLATFORM_64, .size = 1, .boards = boards, .ties = ties};
        int result;
        CU_ASSERT_EQUAL(simulate(&options, compute_twice, &cases[i], 30, &result, NULL), 0);
        CU_ASSERT_EQUAL(ties->near, cases[i].near_ties);
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
        result = compute_s(w, seconds);
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
        result = result ? result : compute_s(w, i ? 0.1 : 0.001);
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

/* ---- always the same ---- */

static void note(double date)
{
    uint64_t bits;
    memcpy(&bits, &date, sizeof bits);
    notes->hash = rg_mix64(notes->hash ^ bits);
}

static void work_really(void *arg)
{
    volatile double *x = arg;
    notes->calls++;
    for (int i = 0; i < 1000; i++)
        *x += i;
}

/* A ring with uneven computes, sizes and pauses, in which every date seen is hashed in. */
static int uneven_ring(struct rg_world *w, void *arg)
{
    static char buffer[2][64][50000];
    w->skip_numerics = *(bool *)arg;
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size, result = 0;
    for (uint64_t i = 0; i < 50 && result == 0; i++) {
        struct rg_request in, out, *both[] = {&in, &out};
        double x = 0;
        int index;
        struct rg_cost cost = {.flops = (double)(rg_mix64(i * 64 + (unsigned)w->rank) % 1000000),
                               .calls = 1};
        struct rg_work work = {.cost = &cost, .count = 1};
        size_t size = rg_mix64(i) % 50000;
        rg_recv(w, previous, TAG, buffer[0][w->rank], size, &in);
        rg_send(w, next, TAG, buffer[1][w->rank], size, &out);
        result = rg_compute(w, &work, "x", -1, work_really, &x);
        note(rg_now(w));
        while (result == 0 && rg_wait_any(w, both, 2, rg_now(w) + 1e-4, &index))
            note(rg_now(w));
        result = result ? result : rg_wait_all(w, both, 2);
        note(rg_now(w));
        if (rg_mix64(i + 99) % 7 == 0)
            result = result ? result : rg_barrier(w);
    }
    return result;
}

static uint64_t uneven_hash(int size, bool skip, size_t stack)
{
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = size, .stack_bytes = stack};
    int results[64] = {0};
    notes->hash = 1;
    notes->calls = 0;
    CU_ASSERT_EQUAL(simulate(&options, uneven_ring, &skip, 30, results, NULL), 0);
    for (int i = 0; i < size; i++)
        CU_ASSERT_EQUAL(results[i], 0);
    CU_ASSERT_EQUAL(notes->calls, skip ? 0 : 50L * size);
    return notes->hash;
}

static void test_repetition(void)
{
    for (int size = 2; size <= 64; size *= 2) {
        uint64_t first = uneven_hash(size, false, 0);
        CU_ASSERT_EQUAL(first, uneven_hash(size, false, 0));
        CU_ASSERT_EQUAL(first, uneven_hash(size, true, 0));        /* numerics skipped */
        CU_ASSERT_EQUAL(first, uneven_hash(size, false, 1 << 20)); /* other stacks */
    }
    CU_ASSERT_NOT_EQUAL(uneven_hash(8, false, 0), uneven_hash(16, false, 0));
}

/* ---- what nodes take of the machine ---- */

/* Every node has computed, has sent its neighbour a message and waits for the others: all there is,
 * is there. */
static int weigh(struct rg_world *w, void *arg)
{
    char out = 1, in;
    struct rg_request from, to, *both[] = {&from, &to};
    (void)arg;
    int result = compute_s(w, 1);
    rg_recv(w, (w->rank + w->size - 1) % w->size, 1, &in, 1, &from);
    rg_send(w, (w->rank + 1) % w->size, 1, &out, 1, &to);
    result = result ? result : rg_wait_all(w, both, 2);
    result = result ? result : rg_barrier(w);
    if (w->rank == 0) {
        FILE *statm = fopen("/proc/self/statm", "r");
        CU_ASSERT_EQUAL(fscanf(statm, "%ld %ld", &notes->pages[0], &notes->pages[1]), 2);
        fclose(statm);
    }
    return result ? result : rg_barrier(w);
}

static void test_weight(void)
{
    long pages[2][2];
    const int ranks[2] = {4, 64};
    for (int i = 0; i < 2; i++) {
        struct rg_sim_options options = {.platform = SIM_PLATFORM_64, .size = ranks[i]};
        int results[64];
        CU_ASSERT_EQUAL(simulate(&options, weigh, NULL, 30, results, NULL), 0);
        memcpy(pages[i], notes->pages, sizeof pages[i]);
    }
#ifndef __SANITIZE_ADDRESS__ /* which adds its own */
    long nodes = ranks[1] - ranks[0], page = sysconf(_SC_PAGESIZE);
    CU_ASSERT((pages[1][0] - pages[0][0]) * page <= nodes * (64 << 10));   /* address space */
    long most = simulate_engine() == RG_SIM_CALENDAR ? 9 << 10 : 24 << 10; /* a page of stack */
    CU_ASSERT((pages[1][1] - pages[0][1]) * page <= nodes * most);         /* memory */
#endif
}

/* ---- platforms ---- */

enum { HOSTS = 64 };

/* Hosts node-0, node-1, ..., each by one GFLOP/s faster than the one before. */
static const char *unlike_hosts(void)
{
    static char text[HOSTS * 64 + 400];
    size_t used = 0, size = sizeof text;
    used += (size_t)snprintf(text, size,
                             "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM "
                             "\"https://simgrid.org/simgrid.dtd\">\n"
                             "<platform version=\"4.1\"><zone id=\"z\" "
                             "routing=\"Full\">");
    for (int i = HOSTS - 1; i >= 0; i--)
        used += (size_t)snprintf(text + used, size - used, "<host id=\"node-%d\" speed=\"%dGf\"/>",
                                 i, i + 1);
    snprintf(text + used, size - used, "</zone></platform>");
    return simulate_platform(text);
}

/* How long a GFLOP takes there names the host. */
static int tell_host(struct rg_world *w, void *arg)
{
    struct rg_cost cost = {.flops = 1e9, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1, .capacity = 1};
    (void)arg;
    int result = rg_compute(w, &work, "tell", -1, NULL, NULL);
    notes->dates[w->rank] = 1 / rg_now(w) - 1;
    return result;
}

static void test_hosts(void)
{
    char *names[] = {"node-63", "node-9", "node-10"}, *unknown[] = {"node-1", "node-64"};
    struct rg_sim_options options = {.platform = unlike_hosts(), .size = 12};
    struct rg_error error = {0};
    CU_ASSERT_EQUAL(simulate(&options, tell_host, NULL, 30, NULL, NULL), 0);
    for (int i = 0; i < 12; i++)
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[i], i, 1e-9);
    options.size = 3;
    options.hosts = names;
    CU_ASSERT_EQUAL(simulate(&options, tell_host, NULL, 30, NULL, NULL), 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[i], atof(names[i] + strlen("node-")), 1e-9);
    options = (struct rg_sim_options){.platform = SIM_PLATFORM_64, .size = 2, .hosts = unknown};
    CU_ASSERT_EQUAL(simulate(&options, tell_host, NULL, 30, NULL, &error), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "has no host node-64"));
    options = (struct rg_sim_options){.platform = SIM_PLATFORM_64, .size = 65};
    CU_ASSERT_EQUAL(simulate(&options, tell_host, NULL, 30, NULL, &error), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "has 64 hosts, 65 are needed"));
}

/* ---- ties ---- */

/* Timers for one date are set by the last rank first; one rank computes until then. */
static int meet(struct rg_world *w, void *arg)
{
    struct rg_request none, *wait = &none;
    int index, *turns = arg;
    rg_recv(w, (w->rank + 1) % w->size, TAG, NULL, 0, &none);
    CU_ASSERT_EQUAL(rg_wait_any(w, &wait, 1, 0.1 * (w->size - w->rank), &index), RG_ERR_TIMEOUT);
    struct rg_cost cost = {.flops = 9.8e9 * (1.5 - rg_now(w)), .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1, .capacity = 1};
    int result = w->rank == 3 ? rg_compute(w, &work, "until then", -1, NULL, NULL)
                              : rg_wait_any(w, &wait, 1, 1.5, &index);
    if (w->rank == w->size - 1) { /* rank 0, which it waits for, has gone before it at this date */
        CU_ASSERT_EQUAL(result, 0);
        CU_ASSERT_EQUAL(none.status, RG_ERR_PEER);
    } else {
        CU_ASSERT_EQUAL(result, w->rank == 3 ? 0 : RG_ERR_TIMEOUT);
    }
    CU_ASSERT_DOUBLE_EQUAL(rg_now(w), 1.5, 1e-12);
    notes->dates[w->rank] = (*turns)++;
    return rg_cancel(w, &none);
}

/* The calendar's rule: of one date by rank. */
static void test_ranks_in_order(void)
{
    struct rg_sim_options options = {
        .engine = RG_SIM_CALENDAR, .platform = SIM_PLATFORM_64, .size = RANKS};
    int results[RANKS], turns = 0;
    CU_ASSERT_EQUAL(simulate(&options, meet, &turns, 30, results, NULL), 0);
    for (int rank = 0; rank < RANKS; rank++) {
        CU_ASSERT_EQUAL(results[rank], 0);
        CU_ASSERT_EQUAL(notes->dates[rank], rank);
    }
}

/* Ranks that differ by less than what counts as one date: each keeps its own. */
enum { TURNS = 500 };
static const double LATE = 5e-13;

static int nearly_in_step(struct rg_world *w, void *arg)
{
    int result = 0;
    (void)arg;
    for (int i = 0; i < TURNS && result == 0; i++)
        result = compute_s(w, 1 + LATE * w->rank);
    notes->dates[w->rank] = rg_now(w);
    return result;
}

static void test_own_dates(void)
{
    struct rg_sim_options options = {
        .engine = RG_SIM_CALENDAR, .platform = SIM_PLATFORM_64, .size = 2, .boards = boards};
    int results[2];
    CU_ASSERT_EQUAL(simulate(&options, nearly_in_step, NULL, 30, results, NULL), 0);
    for (int rank = 0; rank < 2; rank++) {
        CU_ASSERT_EQUAL(results[rank], 0);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[rank], TURNS * (1 + LATE * rank), 2e-11);
    }
}

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
        .platform = simulate_platform(wilful_platform), .size = 8, .boards = boards};
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

/* ---- trouble ---- */

static int stuck(struct rg_world *w, void *arg)
{
    struct rg_request r;
    (void)arg;
    int result = one_second(w, NULL);
    if (w->rank == 2)
        return rg_clock_start(w);
    rg_recv(w, 1 - w->rank, TAG + 7, NULL, 0, &r);
    return result ? result : rg_wait(w, &r);
}

static void test_deadlock(void)
{
    struct rg_error error = {0};
    double end_s;
    int results[3];
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = 3, .boards = boards, .end_s = &end_s};
    CU_ASSERT_EQUAL(simulate(&options, stuck, NULL, 30, results, &error), RG_ERR_DEADLOCK);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(results[i], RG_ERR_DEADLOCK);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "rank 0 waits for rank 1 (tag 263, 0 bytes)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "rank 2 waits in a barrier"));
    CU_ASSERT_DOUBLE_EQUAL(end_s, 1, EXACT);
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
        {"near ties", test_near_ties},
        {"small computes", test_small_computes},
        {"overlap", test_overlap},
        {"repetition", test_repetition},
        {"what a node takes of the machine", test_weight},
        {"hosts in order", test_hosts},
        {"ranks in order", test_ranks_in_order},
        {"within one date each rank keeps its own", test_own_dates},
        {"options are pinned", test_pinned},
        {"512 ranks", test_many},
        {"deadlock", test_deadlock},
    };
    notes = simulate_share(sizeof *notes);
    return suite_main("sim", tests, (int)RG_COUNT(tests), argc, argv);
}
