/* What is one date, who goes on first there, and that dates are always the same; the nodes that
 * programs run on, what they take, and when they are stuck. */
#include "base/check.h"
#include "base/random.h"
#include "boards/board.h"
#include "tests/sim/simulate.h"
#include "tests/support/suite.h"
#include "world/trace.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAG RG_TAG_USER

/* What programs note down for the test. */
struct notes {
    double dates[64];
    uint64_t hash;
    long calls;
    long pages[2]; /* of the process: address space, memory */
};

static struct notes *notes;

/* ---- one date ---- */

/* Rank 0's strands go on `apart` seconds after one another, having computed or waited. */
struct two {
    double seconds, apart;
    uint64_t near_ties;
    bool waits;
};

static int go_on_at(struct rg_world *w, const struct two *two, double date, int tag)
{
    struct rg_request none, *wait = &none;
    int index;
    if (!two->waits)
        return simulate_compute(w, date);
    rg_recv(w, 1, tag, NULL, 0, &none);
    CU_ASSERT_EQUAL(rg_wait_any(w, &wait, 1, date, &index), RG_ERR_TIMEOUT);
    return rg_cancel(w, &none);
}

static int first_of_two(struct rg_world *w, void *arg)
{
    const struct two *two = arg;
    return go_on_at(w, two, two->seconds, TAG);
}

static int second_of_two(struct rg_world *w, void *arg)
{
    const struct two *two = arg;
    return go_on_at(w, two, two->seconds + two->apart, TAG + 1);
}

static int go_on_twice(struct rg_world *w, void *arg)
{
    struct rg_strand *one, *other;
    int got;
    if (w->rank == 1) /* which is there all the while */
        return simulate_compute(w, ((const struct two *)arg)->seconds + 1);
    rg_spawn(w, first_of_two, arg, &one);
    rg_spawn(w, second_of_two, arg, &other);
    rg_join(w, one, &got);
    return rg_join(w, other, &got);
}

/* Other rounding could let them change places; dates that are one (within 1e-12 of themselves), or
 * as far apart as steps are long, are no near tie. */
static void test_near_ties(void)
{
    struct two cases[] = {{1, 0, 0, 0},      {1, 5e-13, 0, 0},  {1, 5e-10, 1, 0}, {1, 5e-9, 0, 0},
                          {1e5, 5e-8, 0, 0}, {1e5, 5e-7, 1, 0}, {1e5, 5e-6, 0, 0}};
    for (size_t i = 0; i < 2 * RG_COUNT(cases); i++) {
        struct two *two = &cases[i / 2];
        struct rg_sim_ties *ties = simulate_share(sizeof *ties);
        struct rg_sim_options options = {
            .platform = SIM_PLATFORM_64, .size = 2, .boards = simulate_boards, .ties = ties};
        int results[2];
        two->waits = i % 2;
        CU_ASSERT_EQUAL(simulate(&options, go_on_twice, two, 30, results, NULL), 0);
        CU_ASSERT(results[0] == 0 && results[1] == 0);
        CU_ASSERT_EQUAL(ties->near, two->near_ties);
    }
}

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

/* The rule for ties: of one date by rank. */
static void test_ranks_in_order(void)
{
    struct rg_sim_options options = {.platform = SIM_PLATFORM_64, .size = SIM_RANKS};
    int results[SIM_RANKS], turns = 0;
    CU_ASSERT_EQUAL(simulate(&options, meet, &turns, 30, results, NULL), 0);
    for (int rank = 0; rank < SIM_RANKS; rank++) {
        CU_ASSERT_EQUAL(results[rank], 0);
        CU_ASSERT_EQUAL(notes->dates[rank], rank);
    }
}

/* Rank 0's processor has work with the bytes of a message, or four cores with a computation. When
 * that is over, and the bytes have left, rank 1 has computed on its only core. */
static int end_at_once(struct rg_world *w, void *arg)
{
    static char bytes[100000];
    int *turns = arg, result;
    bool sends = *turns < 0;
    if (w->rank == 1)
        result = simulate_compute(w, notes->dates[3]);
    else if (!sends)
        result = w->rank == 0 ? simulate_compute(w, 1) : 0;
    else
        result = w->rank == 0 ? rg_send_wait(w, 2, TAG, bytes, sizeof bytes)
                              : rg_recv_wait(w, 0, TAG, bytes, sizeof bytes);
    double now = rg_now(w); /* what follows is done then */
    notes->dates[w->rank] = abs(*turns);
    *turns += sends ? -1 : 1;
    if (w->rank == 0)
        notes->dates[3] = now;
    return result;
}

static void test_ends_in_order(void)
{
    struct rg_board busy = simulate_board, small = simulate_board;
    busy.byte_s = small.byte_s = 1e-9;
    small.cores = 1;
    const struct rg_board *boards[3] = {&busy, &small, &busy};
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = 3, .boards = boards, .threads = 4};
    for (int i = 0; i < 4; i++) {
        int results[3], turns = i / 2 ? 1 : -1, again = i % 2;
        notes->dates[3] = again ? notes->dates[3] : 0; /* rank 1 computes for no time at first */
        CU_ASSERT_EQUAL(simulate(&options, end_at_once, &turns, 30, results, NULL), 0);
        CU_ASSERT_EQUAL(results[0] | results[1] | results[2], 0);
        CU_ASSERT_EQUAL(notes->dates[0] < notes->dates[1], again);
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
        result = simulate_compute(w, 1 + LATE * w->rank);
    notes->dates[w->rank] = rg_now(w);
    return result;
}

static void test_own_dates(void)
{
    struct rg_sim_options options = {.engine = RG_SIM_CALENDAR,
                                     .platform = SIM_PLATFORM_64,
                                     .size = 2,
                                     .boards = simulate_boards};
    int results[2];
    CU_ASSERT_EQUAL(simulate(&options, nearly_in_step, NULL, 30, results, NULL), 0);
    for (int rank = 0; rank < 2; rank++) {
        CU_ASSERT_EQUAL(results[rank], 0);
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[rank], TURNS * (1 + LATE * rank), 2e-11);
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

/* ---- computations in a row ---- */

enum { SENT, BUSY, LATER, NOTED, FIRST_PART = NOTED, PARTS = 3 };
struct row {
    bool skips, traced;
};

/* Whatever sees the clock, or is seen by others, sees all that was computed before it. */
static int in_a_row(struct rg_world *w, void *arg)
{
    const struct row *row = arg;
    int result = 0;
    w->skip_numerics = row->skips;
    if (row->traced && w->rank == 0)
        w->trace = rg_trace_new(100);
    if (w->rank == 1) {
        result = rg_recv_wait(w, 0, TAG, NULL, 0);
        notes->dates[SENT] = rg_now(w);
        return result;
    }
    for (int i = 0; i < 3 && result == 0; i++)
        result = simulate_compute(w, 0.25 * (1 << i));
    result = result ? result : rg_send_wait(w, 1, TAG, NULL, 0);
    notes->dates[BUSY] = w->count.busy_s;
    for (int i = 0; w->trace && i < PARTS; i++) {
        const struct rg_trace_event *event = &w->trace->events[i];
        CU_ASSERT_EQUAL(event->kind, RG_TRACE_COMPUTE);
        CU_ASSERT_STRING_EQUAL(event->name, "x");
        CU_ASSERT_EQUAL(event->begin_s, i > 0 ? event[-1].end_s : 0);
        notes->dates[FIRST_PART + i] = event->end_s - event->begin_s;
    }
    for (int i = 0; i < 2 && result == 0; i++)
        result = simulate_compute(w, 0.5);
    notes->dates[LATER] = rg_now(w);
    if (w->trace)
        rg_trace_free(w->trace);
    w->trace = NULL;
    result = result ? result : simulate_compute(w, 2); /* nothing comes after it */
    return result;
}

static void test_in_a_row(void)
{
    struct row rows[] = {{false, false}, {true, false}, {true, true}};
    double end_s[RG_COUNT(rows)], dates[RG_COUNT(rows)][NOTED];
    for (size_t i = 0; i < RG_COUNT(rows); i++) {
        struct rg_sim_options options = {.platform = SIM_PLATFORM_64,
                                         .size = 2,
                                         .boards = simulate_boards,
                                         .threads = 4,
                                         .end_s = &end_s[i]};
        int results[2];
        CU_ASSERT_EQUAL(simulate(&options, in_a_row, &rows[i], 30, results, NULL), 0);
        CU_ASSERT_EQUAL(results[0] | results[1], 0);
        memcpy(dates[i], notes->dates, sizeof dates[i]);
        CU_ASSERT_EQUAL(memcmp(dates[i], dates[0], sizeof dates[i]), 0);
        CU_ASSERT_EQUAL(end_s[i], end_s[0]);
    }
    CU_ASSERT_DOUBLE_EQUAL(dates[0][BUSY], 1.75 / 3, 1e-9); /* three cores' worth of four */
    CU_ASSERT_DOUBLE_EQUAL(dates[0][SENT], 1.75 / 3, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(dates[0][LATER] - dates[0][BUSY], 1. / 3, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(end_s[0], dates[0][LATER] + 2. / 3, 1e-9);
    for (int i = 0; i < PARTS; i++)
        CU_ASSERT_DOUBLE_EQUAL(notes->dates[FIRST_PART + i], 0.25 * (1 << i) / 3, 1e-9);
}

/* What one strand of a node does between two computations the other sees at that date, not sooner.
 */
static int look_at_other(struct rg_world *w, void *arg)
{
    (void)arg;
    int result = simulate_compute(w, 0.5);
    notes->dates[0] = (double)notes->calls;
    result = result ? result : simulate_compute(w, 1);
    notes->dates[1] = (double)notes->calls;
    return result;
}

static int between_two(struct rg_world *w, void *arg)
{
    struct rg_strand *other;
    int got, result;
    (void)arg;
    w->skip_numerics = true;
    notes->calls = 0;
    result = simulate_compute(w, 0.25);
    result = result ? result : rg_spawn(w, look_at_other, NULL, &other);
    result = result ? result : simulate_compute(w, 1);
    notes->calls = 1;
    result = result ? result : simulate_compute(w, 1);
    notes->calls = 2;
    result = result ? result : rg_join(w, other, &got);
    notes->dates[2] = rg_now(w);
    return result ? result : got;
}

static void test_between_two(void)
{
    struct rg_sim_options options = {
        .platform = SIM_PLATFORM_64, .size = 1, .boards = simulate_boards};
    int result;
    CU_ASSERT_EQUAL(simulate(&options, between_two, NULL, 30, &result, NULL), 0);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT_EQUAL(notes->dates[0], 0);
    CU_ASSERT_EQUAL(notes->dates[1], 1);
    CU_ASSERT_DOUBLE_EQUAL(notes->dates[2], 2.25, 1e-9);
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

/* ---- what nodes take of the machine ---- */

/* Every node has computed, has sent its neighbour a message and waits for the others: all there is,
 * is there. */
static int weigh(struct rg_world *w, void *arg)
{
    char out = 1, in;
    struct rg_request from, to, *both[] = {&from, &to};
    (void)arg;
    int result = simulate_compute(w, 1);
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

/* ---- trouble ---- */

static int stuck(struct rg_world *w, void *arg)
{
    struct rg_request r;
    (void)arg;
    int result = simulate_compute(w, 1);
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
        .platform = SIM_PLATFORM_64, .size = 3, .boards = simulate_boards, .end_s = &end_s};
    CU_ASSERT_EQUAL(simulate(&options, stuck, NULL, 30, results, &error), RG_ERR_DEADLOCK);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(results[i], RG_ERR_DEADLOCK);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "rank 0 waits for rank 1 (tag 263, 0 bytes)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "rank 2 waits in a barrier"));
    CU_ASSERT_DOUBLE_EQUAL(end_s, 1, 1e-9);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"near ties", test_near_ties},
        {"ranks in order", test_ranks_in_order},
        {"who ends at once goes on in order", test_ends_in_order},
        {"within one date each rank keeps its own", test_own_dates},
        {"repetition", test_repetition},
        {"computations in a row", test_in_a_row},
        {"computations of two strands", test_between_two},
        {"hosts in order", test_hosts},
        {"what a node takes of the machine", test_weight},
        {"deadlock", test_deadlock},
    };
    notes = simulate_share(sizeof *notes);
    return suite_main("sim rules", tests, (int)RG_COUNT(tests), argc, argv);
}
