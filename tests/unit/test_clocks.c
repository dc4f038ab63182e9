/* Clocks of many nodes: offsets from constructed round trips, and over the mem world with clocks
 * that are wrong by a known amount. */
#include "base/check.h"
#include "tests/support/suite.h"
#include "world/clocks.h"
#include "world/world_mem.h"
#include <stdlib.h>

/* A clock that shows shift + (1 + rate) t at the date t of rank 0's. */
struct skew {
    double shift_s, rate;
};

static double shows(const struct skew *skew, double t)
{
    return skew->shift_s + (1 + skew->rate) * t;
}

/* What is to be added when it shows that. */
static double true_offset(const struct skew *skew, double shown)
{
    return (shown - skew->shift_s) / (1 + skew->rate) - shown;
}

/* There, hold, back: seconds of rank 0's clock. */
static struct rg_clock_sample trip(const struct skew *skew, double t, double there, double hold,
                                   double back)
{
    return rg_clock_round_trip(shows(skew, t), t + there, t + there + hold,
                               shows(skew, t + there + hold + back));
}

static bool inside(const struct rg_clock_sample *sample, const struct skew *skew)
{
    return fabs(sample->offset_s - true_offset(skew, sample->date_s)) <= sample->uncertainty_s;
}

static void test_symmetric(void)
{
    struct skew skew = {-12345.5, 0};
    struct rg_clock_sample s = trip(&skew, 100, 2e-3, 5e-3, 2e-3);
    CU_ASSERT_DOUBLE_EQUAL(s.offset_s, 12345.5, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(s.uncertainty_s, 2e-3, 1e-5); /* half the delay: the hold is none */
    CU_ASSERT(s.uncertainty_s >= 2e-3);
    CU_ASSERT_DOUBLE_EQUAL(s.date_s, shows(&skew, 100.0045), 1e-9);
    CU_ASSERT(isnan(s.wall_s));
}

/* The bound is sharp: all of the delay on one way uses it up. */
static void test_asymmetric(void)
{
    struct skew skew = {7, 0};
    struct rg_clock_sample there = trip(&skew, 0, 3e-3, 1e-4, 0),
                           back = trip(&skew, 0, 0, 1e-4, 3e-3);
    CU_ASSERT_DOUBLE_EQUAL(there.offset_s - -7, 1.5e-3, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(back.offset_s - -7, -1.5e-3, 1e-9);
    CU_ASSERT(inside(&there, &skew) && inside(&back, &skew));
    CU_ASSERT(there.uncertainty_s < 1.51e-3);
}

/* Whatever the way there and the way back take, and up to the rates that clocks are slewed by. */
static void test_always_inside(void)
{
    srand48(1);
    for (int i = 0; i < 100000; i++) {
        struct skew skew = {1e4 * (drand48() - 0.5), 1e-3 * (drand48() - 0.5)};
        double there = i % 3 ? 1e-3 * drand48() : 0, back = i % 5 ? 1e-3 * drand48() : 0;
        struct rg_clock_sample s = trip(&skew, 1000 * drand48(), there, 1e-2 * drand48(), back);
        if (rg_clock_known(&s) && !inside(&s, &skew)) {
            CU_FAIL("the true offset is outside the uncertainty");
            return;
        }
    }
}

static void test_no_trip(void)
{
    struct rg_clock_sample s = rg_clock_round_trip(10, 5, 6, 10.5); /* held longer than away */
    CU_ASSERT_FALSE(rg_clock_known(&s));
    s = rg_clock_round_trip(10, 6, 5, 11); /* answered before it was asked */
    CU_ASSERT_FALSE(rg_clock_known(&s));
    s = rg_clock_round_trip(10, NAN, 5, 11);
    CU_ASSERT_FALSE(rg_clock_known(&s));
}

/* Jitter: of many trips the best is near the floor of the delay. */
static void test_best_of_many(void)
{
    srand48(2);
    struct skew skew = {-3, 20e-6};
    struct rg_clock_sample best = rg_clock_unknown;
    for (int i = 0; i < 16; i++) {
        struct rg_clock_sample s = trip(&skew, 50 + i * 0.01, 1e-4 + 0.02 * drand48() * drand48(),
                                        1e-5, 1e-4 + 0.02 * drand48() * drand48());
        struct rg_clock_sample better = rg_clock_better(&best, &s);
        CU_ASSERT(!(better.uncertainty_s > best.uncertainty_s)); /* the first is unknown */
        CU_ASSERT(better.uncertainty_s <= s.uncertainty_s);
        best = rg_clock_better(&s, &best);
        CU_ASSERT_EQUAL(best.uncertainty_s, better.uncertainty_s);
    }
    CU_ASSERT(inside(&best, &skew));
    CU_ASSERT(best.uncertainty_s < 4e-3);
    best = rg_clock_better(&best, &rg_clock_unknown);
    CU_ASSERT(rg_clock_known(&best));
}

/* A clock that runs off: any date in between is known as well as the worse of the two samples. */
static void test_drift(void)
{
    struct skew skew = {-2e4, 80e-6};
    struct rg_clock_map map = {trip(&skew, 10, 2e-4, 1e-5, 1e-4),
                               trip(&skew, 610, 1e-4, 1e-5, 3e-4)};
    double uncertainty, drift = rg_clock_drift(&map.before, &map.after, &uncertainty);
    CU_ASSERT_DOUBLE_EQUAL(uncertainty, (1.5e-4 + 2e-4) / 600, 1e-8);
    CU_ASSERT(fabs(drift - (1 / (1 + skew.rate) - 1)) <= uncertainty);
    CU_ASSERT(drift < -79e-6 && drift > -81e-6);
    CU_ASSERT_DOUBLE_EQUAL(rg_clock_uncertainty(&map), 2e-4, 1e-6);
    for (double t = 10; t <= 610; t += 7.5) {
        double shown = shows(&skew, t), told = rg_clock_to_first(&map, shown);
        CU_ASSERT(fabs(told - t) <= rg_clock_uncertainty(&map));
        CU_ASSERT_DOUBLE_EQUAL(rg_clock_from_first(&map, told), shown, 1e-9);
    }
    double without = shows(&skew, 610) + map.before.offset_s; /* the first sample alone is no use */
    CU_ASSERT(fabs(without - 610) > 100 * rg_clock_uncertainty(&map));
}

static void test_one_sample(void)
{
    struct skew skew = {5, 0};
    double unused;
    struct rg_clock_map map = {rg_clock_unknown, trip(&skew, 10, 1e-4, 0, 1e-4)};
    CU_ASSERT(rg_clock_map_known(&map));
    CU_ASSERT_DOUBLE_EQUAL(rg_clock_to_first(&map, 105), 100, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(rg_clock_uncertainty(&map), 1e-4, 1e-6);
    CU_ASSERT(isnan(rg_clock_drift(&map.before, &map.after, &unused)) && isnan(unused));
    map = (struct rg_clock_map){map.after, rg_clock_unknown};
    CU_ASSERT_DOUBLE_EQUAL(rg_clock_to_first(&map, 105), 100, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(rg_clock_from_first(&map, 100), 105, 1e-9);
    map = (struct rg_clock_map){rg_clock_unknown, rg_clock_unknown};
    CU_ASSERT_FALSE(rg_clock_map_known(&map));
    CU_ASSERT_EQUAL(rg_clock_to_first(&map, 105), 105);
    CU_ASSERT_EQUAL(rg_clock_from_first(&map, 105), 105);
    CU_ASSERT(isnan(rg_clock_uncertainty(&map)));
}

/* ---- traces ---- */

static void add(struct rg_trace *trace, double begin_s, double end_s, int kind)
{
    rg_trace_add(trace,
                 &(struct rg_trace_event){
                     .begin_s = begin_s, .end_s = end_s, .peer = -1, .kind = (uint16_t)kind});
}

/* Two epochs, 99.9 to 109.9 and 119.4 to 129.9 for the first node to begin and to end them; this
 * one leaves the barriers at other dates, and its clock is wrong and runs off. */
static void test_trace(void)
{
    struct skew skew = {-5000, 100e-6};
    struct rg_clock_map map = {trip(&skew, 90, 1e-6, 0, 1e-6), trip(&skew, 140, 1e-6, 0, 1e-6)};
    static const struct rg_clock_section common[] = {{99.9, 109.9}, {119.4, 129.9}};
    static const double dates[] = {100.002, 110.003, 119.5, 130.001}; /* of the barriers, here */
    struct rg_clock_section own[2];
    for (int k = 0; k < 2; k++)
        own[k] =
            (struct rg_clock_section){shows(&skew, dates[2 * k]), shows(&skew, dates[2 * k + 1])};
    /* events: (section, true begin, true end), and where the timeline of all has them */
    static const double events[][5] = {{0, 100.002, 101, 0.102, 1.1}, {0, 105, 109.8, 5.1, 9.9},
                                       {0, 109.8, 109.95, 9.9, 10}, /* cannot be: cut off */
                                       {1, 119.5, 119.9, 10.1, 10.5}, {1, 121, 122, 11.6, 12.6},
                                       {1, 122, 129, 12.6, 19.6}};
    struct rg_trace *trace = rg_trace_new(100);
    for (size_t i = 0; i < RG_COUNT(events); i++) {
        int k = (int)events[i][0];
        double before_s = k ? own[0].end_s - own[0].begin_s : 0,
               shift_s = before_s - own[k].begin_s;
        add(trace, shows(&skew, events[i][1]) + shift_s, shows(&skew, events[i][2]) + shift_s,
            RG_TRACE_COMPUTE);
    }
    CU_ASSERT_DOUBLE_EQUAL(trace->events[5].end_s, 19.501 + 0.00195, 1e-6); /* as it was */
    rg_clock_map_trace(trace, &map, own, common, 2);
    for (size_t i = 0; i < RG_COUNT(events); i++) {
        CU_ASSERT_DOUBLE_EQUAL(trace->events[i].begin_s, events[i][3], 2e-6);
        CU_ASSERT_DOUBLE_EQUAL(trace->events[i].end_s, events[i][4], 2e-6);
    }
    struct rg_trace_event kept = trace->events[3];
    map = (struct rg_clock_map){rg_clock_unknown, rg_clock_unknown};
    rg_clock_map_trace(trace, &map, own, common, 2);
    CU_ASSERT_EQUAL(trace->events[3].begin_s, kept.begin_s);
    rg_trace_free(trace);
}

/* ---- over messages ---- */

enum { RANKS = 6 };

static struct skew skews[RANKS];
static struct rg_world_ops skewed[RANKS]; /* the world's, with a clock that is wrong */
static const struct rg_world_ops *real;
static struct rg_clock_sample samples[RANKS][2];

static double skewed_now(struct rg_world *w)
{
    return shows(&skews[w->rank], real->now(w));
}

static double skewed_day(struct rg_world *w)
{
    return 1e9 + 10 * w->rank - skews[w->rank].shift_s; /* 10 s fast a rank */
}

static int compare(struct rg_world *w, void *arg)
{
    const bool *shared = arg;
    real = w->ops;
    skewed[w->rank] = *w->ops;
    skewed[w->rank].now = skewed_now;
    skewed[w->rank].day = *shared ? NULL : skewed_day;
    w->ops = &skewed[w->rank];
    int result = rg_clocks_compare(w, &samples[w->rank][0]);
    for (int i = 0; i < 50 && result == 0; i++)
        result = rg_barrier(w);
    if (result == 0)
        result = rg_clocks_compare(w, &samples[w->rank][1]);
    w->ops = real;
    return result;
}

static struct rg_mem_world_options slow_network(uint64_t seed)
{
    for (int r = 0; r < RANKS; r++)
        skews[r] = (struct skew){-1000.0 * r, 25e-6 * r};
    for (int r = 0; r < RANKS; r++)
        samples[r][0] = samples[r][1] = rg_clock_unknown;
    return (struct rg_mem_world_options){
        .size = RANKS, .seed = seed, .latency_s = 1e-3, .jitter_s = 4e-3};
}

static void test_compare(void)
{
    bool shared = false;
    int results[RANKS];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rg_mem_world_options options = slow_network(seed);
        CU_ASSERT_EQUAL(rg_mem_world_run(&options, compare, &shared, results), 0);
        for (int r = 0; r < RANKS; r++)
            for (int i = 0; i < 2; i++) {
                const struct rg_clock_sample *s = &samples[r][i];
                CU_ASSERT(inside(s, &skews[r]));
                CU_ASSERT(r == 0 ? s->uncertainty_s == 0 : s->uncertainty_s >= 1e-3);
                CU_ASSERT(s->uncertainty_s < 3.5e-3); /* the best of a few: not the mean */
                CU_ASSERT_DOUBLE_EQUAL(s->wall_s, -10.0 * r, s->uncertainty_s + 1e-3);
            }
    }
}

static void test_one_clock_for_all(void)
{
    bool shared = true;
    int results[RANKS];
    struct rg_mem_world_options options = slow_network(1);
    CU_ASSERT_EQUAL(rg_mem_world_run(&options, compare, &shared, results), 0);
    for (int r = 0; r < RANKS; r++)
        CU_ASSERT_FALSE(rg_clock_known(&samples[r][0]));
}

static int compare_once(struct rg_world *w, void *arg)
{
    (void)arg;
    real = w->ops;
    skewed[w->rank] = *w->ops;
    skewed[w->rank].now = skewed_now;
    skewed[w->rank].day = skewed_day;
    w->ops = &skewed[w->rank];
    int result = rg_clocks_compare(w, &samples[w->rank][0]);
    w->ops = real;
    return result;
}

/* A rank that dies in the middle: the others know theirs all the same. */
static void test_lost(void)
{
    for (long operation = 1; operation <= 12; operation++) {
        int results[RANKS];
        struct rg_mem_world_options options = slow_network(7);
        options.deaths[0] = (struct rg_mem_death){2, operation};
        rg_mem_world_run(&options, compare_once, NULL, results);
        for (int r = 0; r < RANKS; r++) {
            CU_ASSERT(r == 2 || results[r] == 0);
            CU_ASSERT(r == 2 || inside(&samples[r][0], &skews[r]));
        }
    }
    for (long operation = 1; operation <= 60;
         operation += 10) { /* rank 0: what is known is right */
        int results[RANKS];
        struct rg_mem_world_options options = slow_network(8);
        options.deaths[0] = (struct rg_mem_death){0, operation};
        rg_mem_world_run(&options, compare_once, NULL, results);
        for (int r = 1; r < RANKS; r++) {
            CU_ASSERT_EQUAL(results[r], 0);
            CU_ASSERT(!rg_clock_known(&samples[r][0]) || inside(&samples[r][0], &skews[r]));
        }
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"trip: offset, delay", test_symmetric},
        {"trip: all delay on one way", test_asymmetric},
        {"trip: the true offset is inside the uncertainty", test_always_inside},
        {"trip: dates that are none", test_no_trip},
        {"trips: the best of many", test_best_of_many},
        {"map: a clock that runs off", test_drift},
        {"map: one sample, or none", test_one_sample},
        {"trace: on rank 0's timeline", test_trace},
        {"world: clocks that are wrong", test_compare},
        {"world: one clock for all", test_one_clock_for_all},
        {"world: a rank is lost", test_lost},
    };
    return suite_main("clocks", tests, RG_COUNT(tests), argc, argv);
}
