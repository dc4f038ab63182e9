/* The thread that calls once in an interval: with signals blocked, until it is stopped. */
#include "meters.h"

#include "meters/ticker.h"
#include <signal.h>
#include <stdatomic.h>

struct seen {
    double first_takes_s; /* at least */
    atomic_int calls;     /* that have ended */
    atomic_bool inside, open;
    double begin_s[2], end_s[2]; /* of the first calls */
};

static void tick(void *arg)
{
    struct seen *seen = arg;
    int call = seen->calls;
    double begin_s = rg_clock_s();
    sigset_t mask;
    seen->inside = true;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (!sigismember(&mask, SIGINT) || !sigismember(&mask, SIGTERM))
        seen->open = true; /* to signals */
    if (call == 0)
        nap(seen->first_takes_s);
    if (call < 2) {
        seen->begin_s[call] = begin_s;
        seen->end_s[call] = rg_clock_s();
    }
    seen->inside = false;
    seen->calls++;
}

/* Again and again, and never once it is stopped; then it may start anew. */
static void test_until_stopped(void)
{
    struct rg_ticker ticker = {0};
    struct seen seen = {0};
    sigset_t mask;
    CU_ASSERT_FATAL(rg_ticker_start(&ticker, 1e-3, tick, &seen) == 0);
    while (seen.calls < 5)
        nap(1e-3);
    rg_ticker_stop(&ticker);
    const int calls = seen.calls;
    nap(0.02);
    CU_ASSERT_EQUAL(seen.calls, calls);
    CU_ASSERT_FALSE(seen.open);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    CU_ASSERT_FALSE(sigismember(&mask, SIGINT)); /* the starter has its own as before */
    CU_ASSERT_FATAL(rg_ticker_start(&ticker, 1e-3, tick, &seen) == 0);
    while (seen.calls == calls)
        nap(1e-3);
    rg_ticker_stop(&ticker);
}

/* A call under way is waited for. */
static void test_waits(void)
{
    struct rg_ticker ticker = {0};
    struct seen seen = {.first_takes_s = 0.2};
    CU_ASSERT_FATAL(rg_ticker_start(&ticker, 1e-3, tick, &seen) == 0);
    while (!seen.inside && !seen.calls)
        nap(1e-3);
    rg_ticker_stop(&ticker);
    CU_ASSERT_FALSE(seen.inside);
    CU_ASSERT(seen.calls >= 1);
}

/* The first call is an interval away, and stopping does not wait for it. */
static void test_long_interval(void)
{
    struct rg_ticker ticker = {0};
    struct seen seen = {0};
    rg_ticker_stop(&ticker); /* not started */
    CU_ASSERT_FATAL(rg_ticker_start(&ticker, 3600, tick, &seen) == 0);
    nap(0.02);
    rg_ticker_stop(&ticker);
    CU_ASSERT_EQUAL(seen.calls, 0);
    CU_ASSERT_FALSE(ticker.started);
    rg_ticker_stop(&ticker); /* a second time */
}

/* Of what was late none is made up for: after a call longer than two intervals the next one is an
 * interval away. */
static void test_late(void)
{
    struct rg_ticker ticker = {0};
    struct seen seen = {.first_takes_s = 0.1};
    const double interval_s = 0.04, rounding_s = 1e-6;
    double start_s = rg_clock_s();
    CU_ASSERT_FATAL(rg_ticker_start(&ticker, interval_s, tick, &seen) == 0);
    while (seen.calls < 2)
        nap(1e-3);
    rg_ticker_stop(&ticker);
    CU_ASSERT(seen.begin_s[0] >= start_s + interval_s - rounding_s);
    CU_ASSERT(seen.begin_s[1] >= seen.end_s[0] + interval_s - rounding_s);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"again and again, until stopped", test_until_stopped},
        {"a call under way is waited for", test_waits},
        {"a long interval", test_long_interval},
        {"a late one", test_late},
    };
    return suite_main("ticker", tests, (int)(sizeof tests / sizeof *tests), argc, argv);
}
