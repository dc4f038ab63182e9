/* Orders that servers out of step write down, and follow: the same weights to the bit, whatever the
 * timing; and orders that none could have written. RG_SEEDS=FIRST:COUNT in the environment says
 * which seeds are tried. */
#include "base/check.h"
#include "models/blas.h"
#include "strategies/harness.h"
#include "strategies/order.h"
#include "strategies/server_parts.h"
#include "support/suite.h"
#include <stdlib.h>

#define EACH(i, array) for (size_t i = 0; i < RG_COUNT(array); i++)

static void run_ok(const struct rg_job *job, uint64_t seed, struct rg_run *run)
{
    const struct harness_options options = {
        .seed = seed, .jitter = (double)(seed % 5), .free_transfers = seed % 7 == 6};
    harness_run_ok(job, &options, run);
}

/* ---- the text ---- */

static void events_are_numbers(void)
{
    static const struct {
        int limit, digits, event;
        const char *text;
    } cases[] = {{2, 1, 1, "B"},   {64, 1, 63, "_"},      {65, 2, 64, "BA"},
                 {65, 2, 0, "AA"}, {4096, 2, 4095, "__"}, {4097, 3, 4096, "BAA"}};
    EACH(i, cases)
    {
        struct rg_order order;
        struct rg_mem *mem = rg_mem_new(RG_MEM_REAL);
        CU_ASSERT_EQUAL(rg_order_digits(cases[i].limit), cases[i].digits);
        CU_ASSERT_EQUAL(rg_order_open(&order, mem, cases[i].limit, 2), 0);
        rg_order_note(&order, cases[i].event);
        CU_ASSERT_STRING_EQUAL(order.text, cases[i].text);
        rg_order_note(&order, 1);
        const char *at = order.text;
        CU_ASSERT_EQUAL(rg_order_next(&at, order.digits, cases[i].limit), cases[i].event);
        CU_ASSERT_EQUAL(rg_order_next(&at, order.digits, cases[i].limit), 1);
        CU_ASSERT_EQUAL(rg_order_next(&at, order.digits, cases[i].limit), -1);
        at = order.text;
        CU_ASSERT_EQUAL(rg_order_next(&at, order.digits, cases[i].event), -2); /* beyond */
        CU_ASSERT_EQUAL(rg_mem_bytes(mem), 0);
        rg_mem_free(mem);
    }
    const char *cut = "B", *wrong = "B?";
    CU_ASSERT_EQUAL(rg_order_next(&cut, 2, 4096), -2);
    CU_ASSERT_EQUAL(rg_order_next(&wrong, 2, 4096), -2);
    struct rg_order none;
    CU_ASSERT_EQUAL(rg_order_open(&none, NULL, 4096, RG_ORDER_MOST / 2 + 1), 0);
    rg_order_note(&none, 3);
    CU_ASSERT_PTR_NULL(none.text);
}

/* ---- the same again ---- */

static void seeds(uint64_t *first, uint64_t *count)
{
    const char *text = getenv("RG_SEEDS");
    unsigned long long a = 0, b = 10;
    if (text && sscanf(text, "%llu:%llu", &a, &b) != 2)
        printf("RG_SEEDS=%s is not FIRST:COUNT\n", text);
    *first = a;
    *count = b;
}

/* One run writes, another with other timing follows: the same weights, and what the second writes
 * is what it was told. *others counts runs with that timing whose weights are others by themselves.
 */
static void follows(const struct rg_job *job, uint64_t seed, int *others)
{
    struct rg_job writes = *job, again = *job;
    struct rg_run first, second, alone;
    writes.records = again.records = true;
    run_ok(&writes, seed, &first);
    run_ok(job, seed + 1000, &alone);
    again.orders = first.orders;
    run_ok(&again, seed + 1000, &second);
    CU_ASSERT_EQUAL(first.order_count, rg_server_plan(job)->servers);
    CU_ASSERT_EQUAL(alone.order_count, 0);
    CU_ASSERT_STRING_EQUAL(first.weights_sha256, second.weights_sha256);
    CU_ASSERT_EQUAL(first.staleness, second.staleness);
    CU_ASSERT_EQUAL(first.late.staleness_mean, second.late.staleness_mean);
    CU_ASSERT_EQUAL(first.memory_bytes.total, alone.memory_bytes.total);
    CU_ASSERT_EQUAL_FATAL(second.order_count, first.order_count);
    int64_t reads, pushes;
    harness_count(job, &reads, &pushes);
    for (int j = 0; j < first.order_count; j++) {
        CU_ASSERT_STRING_EQUAL(first.orders[j], second.orders[j]);
        CU_ASSERT_EQUAL(strlen(first.orders[j]), (size_t)(reads + pushes));
    }
    struct rg_error e = {0};
    CU_ASSERT_EQUAL(job->strategy->check_orders(job, first.orders, first.order_count, &e), 0);
    *others += strcmp(first.weights_sha256, alone.weights_sha256) != 0;
    rg_run_free(&first);
    rg_run_free(&second);
    rg_run_free(&alone);
}

static void orders_are_followed(void)
{
    static const struct {
        const char *file, *sets;
    } cases[] = {{"matrix-stale.xml", "nodes=5"},
                 {"matrix-stale.xml",
                  "nodes=7 ssp.servers=2 ssp-3.servers=3 ssp-ahead.servers=2 bounded.servers=2 "
                  "bounded-4.servers=2 async.servers=3 async-ahead.servers=2 optimizer=sgd"},
                 {"matrix-rings.xml", ""},
                 {"matrix-filters.xml", "nodes=6 stale.servers=2 async.servers=2"}};
    uint64_t first, count;
    int others = 0, runs = 0;
    seeds(&first, &count);
    EACH(i, cases)
    {
        struct rg_study study;
        CU_ASSERT_FATAL(harness_open(&study, cases[i].file, cases[i].sets));
        for (uint64_t seed = first; seed < first + count; seed++) {
            const struct rg_job *job;
            do
                job = &study.jobs[(seed + (uint64_t)runs) % (uint64_t)study.job_count];
            while ((!job->strategy->check_orders || rg_server_plan(job)->in_step) && ++runs);
            follows(job, seed, &others);
            runs++;
        }
        rg_study_close(&study);
    }
    CU_ASSERT(others > 0);
}

/* In none of its answers is another replica before the first one's warm-up is over, also where that
 * goes on in the next epoch. */
static void warm_ups_are_followed(void)
{
    struct rg_study study;
    int others = 0;
    CU_ASSERT_FATAL(harness_open(&study, "matrix-stale.xml",
                                 "nodes=5 downpour-warm.warm-up=13 downpour-warm.servers=2"));
    for (uint64_t seed = 1; seed < 4; seed++)
        follows(harness_job(&study, "downpour-warm"), seed, &others);
    rg_study_close(&study);
}

/* Asked to stop, a run that follows an order ends after that clock, though the order lets workers
 * go ahead of it before all have ended it: to the same weights, whatever the timing. */
static void stops(const struct rg_job *job, int64_t after)
{
    struct rg_job writes = *job, again = *job;
    struct rg_run first, stopped;
    char weights[2][sizeof stopped.weights_sha256];
    writes.records = true;
    run_ok(&writes, 1, &first);
    again.orders = first.orders;
    EACH(i, weights)
    {
        const struct harness_options options = {
            .seed = 7 + i, .jitter = (double)i, .stops_after = after};
        int results[6];
        CU_ASSERT_EQUAL(harness_run(&again, &options, &stopped, results), 0);
        for (int rank = 0; rank < job->nodes; rank++)
            CU_ASSERT_EQUAL(results[rank], 1);
        CU_ASSERT_EQUAL(stopped.iterations, after);
        memcpy(weights[i], stopped.weights_sha256, sizeof weights[i]);
        rg_run_free(&stopped);
    }
    CU_ASSERT_STRING_EQUAL(weights[0], weights[1]);
    rg_run_free(&first);
}

static void a_run_that_follows_stops(void)
{
    struct rg_study study;
    CU_ASSERT_FATAL(
        harness_open(&study, "matrix-stale.xml",
                     "nodes=6 async.servers=2 bounded-4.servers=2 ssp-ahead.in-flight=8"));
    for (int i = 0; i < study.job_count; i++)
        for (int64_t after = 1; after < 30 && !rg_server_plan(&study.jobs[i])->in_step; after += 7)
            stops(&study.jobs[i], after);
    rg_study_close(&study);
}

/* ---- what none could have written ---- */

static void refuses(const struct rg_job *job, const char *order, const char *words)
{
    struct rg_error e = {0};
    char *orders[] = {strdup(order)};
    CU_ASSERT_EQUAL(job->strategy->check_orders(job, orders, 1, &e), RG_ERR_INVALID);
    if (!strstr(e.text, words))
        printf("%s: %s\n", order, e.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, words));
    free(orders[0]);
}

/* Two workers, two epochs of two clocks: answers A and C, pushes B and D. */
static void wrong_orders_are_refused(void)
{
    struct rg_study study;
    struct rg_error e = {0};
    CU_ASSERT_FATAL(harness_open(&study, "matrix-stale.xml", "nodes=3 batch=60 epochs=2"));
    const struct rg_job *async = harness_job(&study, "async"), *ssp = harness_job(&study, "ssp");
    const struct rg_job *ahead = harness_job(&study, "async-ahead"),
                        *bsp = harness_job(&study, "bsp");
    char *whole[] = {strdup("ABABCDCDACBDACBD"), strdup("ACBDACBDACBDACBD")};
    CU_ASSERT_EQUAL(async->strategy->check_orders(async, whole, 1, &e), 0);
    CU_ASSERT_EQUAL(async->strategy->check_orders(async, whole + 1, 1, &e), 0);
    CU_ASSERT_EQUAL(ssp->strategy->check_orders(ssp, whole + 1, 1, &e), 0);
    CU_ASSERT_EQUAL(bsp->strategy->check_orders(bsp, NULL, 0, &e), 0);
    CU_ASSERT_EQUAL(bsp->strategy->check_orders(bsp, whole, 1, &e), RG_ERR_INVALID);
    CU_ASSERT_EQUAL(async->strategy->check_orders(async, whole, 2, &e), RG_ERR_INVALID);
    CU_ASSERT_EQUAL(async->strategy->check_orders(async, NULL, 0, &e), RG_ERR_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "0 servers, 1 are wanted"));
    refuses(async, "ABABCDCDACBDACB", "too few pushes");
    refuses(async, "", "too few pushes");
    refuses(async, "ABABCDCDACBDACBDA", "an epoch that has not begun");
    refuses(async, "ABABABCDCDACBDCD", "an epoch that has not begun");
    refuses(async, "BAABCDCDACBDACBD", "a push before its answer");
    refuses(async, "AABBCDCDACBDACBD", "an answer before the push before it");
    refuses(async, "ABABCDCDACBDACBE", "what is no event");
    refuses(async, "ABABCDCDACBDACB ", "what is no event");
    const struct rg_job *warm = harness_job(&study, "downpour-warm");
    char *alone[] = {strdup("ABACDB")};
    CU_ASSERT_EQUAL(warm->strategy->check_orders(warm, alone, 1, &e), 0);
    strcpy(alone[0], "ABACBD"); /* an epoch alone, a read and a push for both clocks */
    CU_ASSERT_EQUAL(warm->strategy->check_orders(warm, alone, 1, &e), 0);
    free(alone[0]);
    char *two[] = {strdup("AABBCCDDAACCBBDD")};
    CU_ASSERT_EQUAL(ahead->strategy->check_orders(ahead, two, 1, &e), 0);
    rg_study_close(&study);
    CU_ASSERT_FATAL(harness_open(&study, "matrix-stale.xml", "nodes=3 batch=40 epochs=1"));
    warm = harness_job(&study, "downpour-warm");
    char *within[] = {strdup("AABCD")};
    CU_ASSERT_EQUAL(warm->strategy->check_orders(warm, within, 1, &e), 0);
    refuses(warm, "AACBD", "before the first worker's warm-up is over");
    free(within[0]);
    refuses(harness_job(&study, "ssp"), "ABABABCDCDCD", "farther ahead than the staleness allows");
    rg_study_close(&study);
    free(whole[0]);
    free(whole[1]);
    free(two[0]);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"events are numbers", events_are_numbers},
        {"orders are followed", orders_are_followed},
        {"warm-ups are followed", warm_ups_are_followed},
        {"a run that follows stops", a_run_that_follows_stops},
        {"wrong orders are refused", wrong_orders_are_refused},
    };
    rg_blas_setup(argv);
    return suite_main("orders", tests, sizeof tests / sizeof *tests, argc, argv);
}
