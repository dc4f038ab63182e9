/* The mem world keeps the contract, with delays and orders drawn from several seeds; and what is
 * its own: runs repeat from their seed, faults strike where they are told to. */
#include "tests/conformance/conformance.h"

#include "base/random.h"
#include "tests/support/suite.h"
#include "world/world_mem.h"
#include <math.h>
#include <stdlib.h>

#define BYTE_S 1e-8

static double transfer_s(size_t bytes)
{
    return 1e-5 + (double)bytes * BYTE_S;
}

/* Seed 1 is the plain case; others draw their own latencies. */
static struct rg_mem_world_options draw_options(int size, uint64_t seed, double rate)
{
    struct rg_mem_world_options o = {.size = size, .seed = seed, .rate = rate, .byte_s = BYTE_S};
    uint64_t dice = rg_mix64(seed);
    o.latency_s = seed == 1 ? 1e-5 : (double)(dice % 4) * 1e-4;
    o.message_s = dice >> 8 & 1 ? 1e-6 : 0;
    o.jitter_s = seed > 1 && dice >> 9 & 1 ? 2e-4 : 0;
    o.compute_jitter = seed > 1 && dice >> 10 & 1 ? 0.02 : 0;
    return o;
}

static int launch(const struct rg_launcher *launcher, int size, rg_program_fn program, void *arg,
                  uint64_t seed, double timeout_s, int *results)
{
    (void)timeout_s; /* ctest's */
    struct rg_mem_world_options o = draw_options(size, seed, launcher->rate);
    return rg_mem_world_run(&o, program, arg, results);
}

#ifdef __SANITIZE_THREAD__ /* which makes it twenty times as slow */
#define SEEDS 4
#else
#define SEEDS 20
#endif

static const struct rg_launcher launcher = {.world = "mem",
                                            .run = launch,
                                            .transfer_s = transfer_s,
                                            .rate = 1e9,
                                            .is_virtual = true,
                                            .seeds = SEEDS};

/* ---- of its own ---- */

enum { RANKS = 4, ROUNDS = 30 };

struct log {
    uint64_t hash; /* of everything every rank saw, in the order of the whole run */
};

static void note(struct log *log, struct rg_world *w, double what)
{
    uint64_t bits;
    memcpy(&bits, &what, sizeof bits);
    log->hash = rg_mix64(log->hash ^ bits ^ (uint64_t)w->rank << 56);
}

static int chat(struct rg_world *w, void *arg)
{
    struct log *log = arg;
    int values[RANKS] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        struct rg_request in[RANKS], out[RANKS], *wanted[RANKS] = {0}, *sent[RANKS] = {0};
        for (int k = 0; k < RANKS; k++) {
            if (k == w->rank)
                continue;
            wanted[k] = &in[k];
            sent[k] = &out[k];
            int result = rg_recv(w, k, 300, &values[k], sizeof(int), &in[k]);
            result = result ? result : rg_send(w, k, 300, &i, sizeof i, &out[k]);
            if (result)
                return result;
        }
        for (int k = 1; k < RANKS; k++) {
            int index, result = rg_wait_any(w, wanted, RANKS, RG_FOREVER, &index);
            if (result || (result = in[index].status) != 0)
                return result;
            note(log, w, rg_now(w) * 1000 + index);
            wanted[index] = NULL;
        }
        int result = rg_wait_all(w, sent, RANKS);
        if (result)
            return result;
    }
    return 0;
}

static uint64_t chat_hash(uint64_t seed)
{
    struct rg_mem_world_options o = {
        .size = RANKS, .seed = seed, .latency_s = 1e-4, .jitter_s = 1e-4};
    struct log log = {0};
    int results[RANKS];
    CU_ASSERT_EQUAL(rg_mem_world_run(&o, chat, &log, results), 0);
    for (int i = 0; i < RANKS; i++)
        CU_ASSERT_EQUAL(results[i], 0);
    return log.hash;
}

static void test_replay(void)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        CU_ASSERT_EQUAL(chat_hash(seed), chat_hash(seed));
        CU_ASSERT_NOT_EQUAL(chat_hash(seed), chat_hash(seed + 1));
    }
}

/* Delays are drawn within their bounds, and without them the dates are plain. */
static void test_delays(void)
{
    double end_s[3], low = INFINITY, high = 0;
    for (uint64_t seed = 1; seed < 20; seed++) {
        for (int jitter = 0; jitter < 2; jitter++) {
            struct rg_mem_world_options o = {.size = RANKS,
                                             .seed = seed,
                                             .latency_s = 1e-3,
                                             .jitter_s = jitter * 1e-3,
                                             .end_s = &end_s[jitter]};
            struct log log = {0};
            int results[RANKS];
            CU_ASSERT_EQUAL(rg_mem_world_run(&o, chat, &log, results), 0);
        }
        CU_ASSERT_DOUBLE_EQUAL(end_s[0], ROUNDS * 1e-3, 1e-9);
        CU_ASSERT(end_s[1] > ROUNDS * 1e-3 && end_s[1] < ROUNDS * 2e-3);
        low = fmin(low, end_s[1]);
        high = fmax(high, end_s[1]);
    }
    CU_ASSERT(high > low + 1e-4);
}

/* Wherever the fault strikes, the dead rank is dead, the others end with an error or unharmed. */
static void test_injected_death(void)
{
    int struck = 0;
    for (long operation = 1; operation < 400; operation += 7) {
        struct rg_mem_world_options o = {.size = RANKS,
                                         .seed = (uint64_t)operation,
                                         .latency_s = 1e-4,
                                         .deaths = {{(int)operation % RANKS, operation}}};
        struct log log = {0};
        int results[RANKS];
        CU_ASSERT_EQUAL(rg_mem_world_run(&o, chat, &log, results), 0);
        const int victim = o.deaths[0].rank;
        bool died = results[victim] == RG_DIED;
        struck += died;
        for (int i = 0; i < RANKS; i++) {
            if (i != victim)
                CU_ASSERT(results[i] == RG_ERR_PEER || results[i] == 0);
        }
        CU_ASSERT(died || results[victim] == 0);
    }
    CU_ASSERT(struck > 30);
}

static int wait_in_ring(struct rg_world *w, void *arg)
{
    (void)arg;
    struct rg_request r;
    int result = rg_recv(w, (w->rank + 1) % w->size, 261, NULL, 0, &r);
    return result ? result : rg_wait(w, &r);
}

static void test_deadlock_text(void)
{
    struct rg_error error = {0};
    struct rg_mem_world_options o = {.size = 7, .error = &error};
    int results[7];
    CU_ASSERT_EQUAL(rg_mem_world_run(&o, wait_in_ring, NULL, results), RG_ERR_DEADLOCK);
    for (int i = 0; i < 7; i++)
        CU_ASSERT_EQUAL(results[i], RG_ERR_DEADLOCK);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "rank 0 waits for rank 1 (tag 261, 0 bytes)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "and so on"));
}

static int stop_at_five(void *arg, struct rg_world *w, int64_t i)
{
    (void)arg;
    (void)w;
    return i == 5;
}

static int count_iterations(struct rg_world *w, void *arg)
{
    (void)arg;
    for (long i = 0; i < 100; i++)
        if (rg_iteration(w, i))
            return (int)i;
    return -1;
}

static void test_iteration_answer(void)
{
    struct rg_mem_world_options o = {.size = 3, .iteration = stop_at_five};
    int results[3];
    CU_ASSERT_EQUAL(rg_mem_world_run(&o, count_iterations, NULL, results), 0);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(results[i], 5);
}

static void count_call(void *arg)
{
    ++*(int *)arg;
}

/* With numerics skipped no function runs, and memory that cannot be touched is not, while what is
 * real is copied all the same. */
static int skip_program(struct rg_world *w, void *arg)
{
    int calls = 0, value = w->rank + 50, got = 0;
    struct rg_work work = {0};
    (void)arg;
    w->skip_numerics = true;
    w->mem = rg_mem_new(RG_MEM_VIRTUAL);
    char *out = rg_mem_alloc(w->mem, 3 << 20, 0), *in = rg_mem_alloc(w->mem, 3 << 20, 0);
    if (!out || !in)
        return RG_ERR_NOMEM;
    rg_compute(w, &work, "x", -1, count_call, &calls);
    int result = calls ? -1 : 0;
    for (size_t bytes = 1; bytes <= 3 << 20 && result == 0; bytes *= 1000)
        result = rg_sendrecv(w, 1 - w->rank, out, bytes, 1 - w->rank, in, bytes, 300);
    if (result == 0)
        result =
            rg_sendrecv(w, 1 - w->rank, &value, sizeof value, 1 - w->rank, &got, sizeof got, 301);
    rg_mem_free(w->mem);
    return result == 0 && got != 51 - w->rank ? -2 : result;
}

static void test_skipped_numerics(void)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct rg_mem_world_options o = {.size = 2, .seed = seed, .latency_s = 1e-4};
        int results[2];
        CU_ASSERT_EQUAL(rg_mem_world_run(&o, skip_program, NULL, results), 0);
        CU_ASSERT(results[0] == 0 && results[1] == 0);
    }
}

/* A receive is cancelled when its message has left and not arrived: the next receive gets it. */
static int cancel_on_the_way(struct rg_world *w, void *arg)
{
    (void)arg;
    int value = 7, got[2] = {0}, result;
    struct rg_request r[2];
    struct rg_cost cost = {.flops = 0.5e9, .calls = 1};
    struct rg_work work = {.cost = &cost, .count = 1};
    if (w->rank == 0) {
        result = rg_send(w, 1, 300, &value, sizeof value, &r[0]);
        return result ? result : rg_wait(w, &r[0]);
    }
    rg_recv(w, 0, 300, &got[0], sizeof(int), &r[0]);
    rg_recv(w, 0, 300, &got[1], sizeof(int), &r[1]);
    rg_compute(w, &work, "nap", -1, NULL, NULL);
    rg_cancel(w, &r[0]);
    got[0] = 3;
    result = rg_wait(w, &r[1]);
    return r[0].status == RG_ERR_CANCELLED && got[0] == 3 && got[1] == 7 ? result : -1;
}

static void test_cancel_on_the_way(void)
{
    double end_s;
    struct rg_mem_world_options o = {.size = 2, .latency_s = 1, .rate = 1e9, .end_s = &end_s};
    int results[2];
    CU_ASSERT_EQUAL(rg_mem_world_run(&o, cancel_on_the_way, NULL, results), 0);
    CU_ASSERT(results[0] == 0 && results[1] == 0);
    CU_ASSERT_DOUBLE_EQUAL(end_s, 1, 1e-12);
}

enum { WAITED_S = 5 };

static int waiting_strand(struct rg_world *w, void *arg)
{
    struct rg_request request, *one = &request;
    int index, number;
    (void)arg;
    int result = rg_recv(w, w->rank, 1, &number, sizeof number, &request);
    return result ? result : rg_wait_any(w, &one, 1, rg_now(w) + WAITED_S, &index);
}

static int nap(struct rg_world *w, double seconds)
{
    struct rg_cost cost = {.flops = seconds * 1e9, .calls = 1};
    const struct rg_work work = {.cost = &cost, .count = 1};
    return rg_compute(w, &work, "nap", -1, NULL, NULL);
}

static int outlives_its_strand(struct rg_world *w, void *arg)
{
    struct rg_request request;
    struct rg_strand *strand;
    int ended, number = 1, result = rg_spawn(w, waiting_strand, NULL, &strand);
    (void)arg;
    if (result == 0)
        result = nap(w, WAITED_S / 5.0); /* it waits by then */
    if (result == 0)
        result = rg_send(w, w->rank, 1, &number, sizeof number, &request);
    if (result == 0)
        result = rg_wait(w, &request);
    if (result == 0)
        result = rg_join(w, strand, &ended);
    if (result == 0 && (ended != 0 || rg_now(w) > WAITED_S / 2.0))
        result = RG_ERR_INTERNAL;
    return result ? result : nap(w, 2 * WAITED_S);
}

/* Of which an address sanitizer sees whether it is asked. */
static void test_strand_that_is_gone(void)
{
    struct rg_mem_world_options o = draw_options(1, 1, 1e9);
    int result;
    CU_ASSERT_EQUAL(rg_mem_world_run(&o, outlives_its_strand, NULL, &result), 0);
    CU_ASSERT_EQUAL(result, 0);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"equal seeds give equal runs", test_replay},
        {"delays", test_delays},
        {"injected death", test_injected_death},
        {"a deadlock says who waits for whom", test_deadlock_text},
        {"iteration's answer", test_iteration_answer},
        {"skipped numerics touch nothing", test_skipped_numerics},
        {"cancel on the way", test_cancel_on_the_way},
        {"a strand that is gone waits for nothing", test_strand_that_is_gone},
    };
    int failed =
        argc > 1 ? 0 : suite_main("mem", tests, (int)(sizeof tests / sizeof *tests), 1, argv);
    return rg_conformance_main(&launcher, argc, argv) || failed;
}
