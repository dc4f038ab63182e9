/* The arithmetic of extrapolation on made-up runs, whose long ones are known; when a simulation
 * counts as steady. */
#include "sim/extrapolate.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

/* ---- made-up runs ---- */

/* An epoch fills for `since` iterations, repeats with `period`, and drains for `drain`, in a way
 * that depends on the place of the rhythm it ends at. */
struct model {
    long since, period, drain;
};

static double interval(const struct model *m, long i, long length)
{
    if (i < m->since)
        return 1 + 0.25 * (double)(i % 7);
    if (i >= length - m->drain)
        return 0.5 + 0.125 * (double)(length - i) + 0.0625 * (double)(length % m->period);
    return 2 + 0.375 * (double)(i % m->period);
}

/* Whatever a run adds up: so much an iteration, and something for the filling and draining. */
static uint64_t added(const struct model *m, long length, uint64_t each)
{
    return length ? (uint64_t)length * each + each / 3 + (uint64_t)(length % m->period) : 0;
}

static void simulate(const struct model *m, long per_epoch, long iterations,
                     struct rg_reduced_run *out)
{
    struct rg_run *run = &out->run;
    rg_run_init(run);
    out->marks = calloc((size_t)iterations, sizeof *out->marks);
    run->per_node = calloc(2, sizeof *run->per_node);
    run->node_count = 2;
    run->iterations = iterations;
    run->samples = 16 * (uint64_t)iterations;
    run->costs.known = true;
    CU_ASSERT_EQUAL(rg_run_profile(run, "nodes 0-1: measured"), 0);
    run->time_s = 0;
    run->staleness = 4;
    run->memory_bytes.max_node = 77;
    run->formula.predicted_iteration_s = 2;
    run->energy_J.idle = 0;
    for (long first = 0; first < iterations; first += per_epoch) {
        long length = iterations - first < per_epoch ? iterations - first : per_epoch;
        double date = run->time_s;
        for (long i = 0; i < length; i++)
            out->marks[first + i] = date += interval(m, i, length);
        run->time_s = date + 0.5;
        run->energy_J.idle += 0.25 * (double)added(m, length, 9);
        run->traffic.messages += added(m, length, 11);
        run->late_receives += added(m, length, 3);
        for (int k = 0; k < 2; k++) {
            run->per_node[k].busy_s += 0.125 * (double)added(m, length, 12 + (uint64_t)k);
            run->per_node[k].bytes_sent += added(m, length, 4096 + (uint64_t)k);
        }
    }
}

static void forget(struct rg_reduced_run *run)
{
    rg_run_free(&run->run);
    free(run->marks);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, long n, double share)
{
    double place = share * (double)(n - 1);
    long i = (long)place;
    return i + 1 < n ? sorted[i] + (place - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

/* The intervals of a long run, described as node_describe.c does. */
static void check_intervals(const struct rg_run *run, const struct rg_reduced_run *whole)
{
    long n = whole->run.iterations, edge = 1 + whole->run.staleness;
    double sum = 0, *v = calloc((size_t)n, sizeof *v);
    if (edge > (n - 1) / 2)
        edge = (n - 1) / 2;
    for (long i = 0; i < n; i++)
        v[i] = whole->marks[i] - (i ? whole->marks[i - 1] : 0);
    n -= 2 * edge;
    for (long i = 0; i < n; i++)
        sum += v[edge + i];
    qsort(v + edge, (size_t)n, sizeof *v, by_value);
    CU_ASSERT_DOUBLE_EQUAL(run->iteration_s.mean, sum / (double)n, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(run->iteration_s.p50, quantile(v + edge, n, 0.5), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(run->iteration_s.p95, quantile(v + edge, n, 0.95), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(run->iteration_s.max, v[edge + n - 1], 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(run->formula.ratio, run->iteration_s.mean / 2, 1e-15);
    free(v);
}

static void check_run(const struct rg_run *run, const struct rg_reduced_run *whole)
{
    const struct rg_run *w = &whole->run;
    CU_ASSERT_EQUAL(run->iterations, w->iterations);
    CU_ASSERT_EQUAL(run->samples, w->samples);
    CU_ASSERT_EQUAL(run->traffic.messages, w->traffic.messages);
    CU_ASSERT_EQUAL(run->late_receives, w->late_receives);
    CU_ASSERT_EQUAL(run->memory_bytes.max_node, 77);
    CU_ASSERT_EQUAL(run->staleness, 4);
    CU_ASSERT_EQUAL_FATAL(run->costs.profile_count, 1);
    CU_ASSERT_STRING_EQUAL(run->costs.profiles[0], "nodes 0-1: measured");
    CU_ASSERT_DOUBLE_EQUAL(run->time_s, w->time_s, 1e-12 * w->time_s);
    CU_ASSERT_DOUBLE_EQUAL(run->energy_J.idle, w->energy_J.idle, 1e-12 * w->energy_J.idle);
    CU_ASSERT_TRUE(isnan(run->energy_J.total));
    for (int k = 0; k < 2; k++) {
        CU_ASSERT_DOUBLE_EQUAL(run->per_node[k].busy_s, w->per_node[k].busy_s, 1e-9);
        CU_ASSERT_EQUAL(run->per_node[k].bytes_sent, w->per_node[k].bytes_sent);
    }
    CU_ASSERT_DOUBLE_EQUAL(run->formula.T_A_s, w->per_node[1].busy_s / (double)w->iterations,
                           1e-12);
    check_intervals(run, whole);
}

static double period_of(const struct model *m)
{
    double seconds = 0;
    for (long i = 0; i < m->period; i++)
        seconds += 2 + 0.375 * (double)i;
    return seconds;
}

/* True: it could be shortened, and came out as the whole. */
static bool try_iterations(const struct model *m, long per_epoch, long iterations)
{
    struct rg_rhythm rhythm = {m->period, m->since, period_of(m)};
    struct rg_reduced_run runs[RG_REDUCED_RUNS], whole;
    struct rg_reduction reduction;
    struct rg_run run;
    if (!rg_reduce_iterations(iterations, per_epoch, m->drain, &rhythm, &reduction))
        return false;
    CU_ASSERT(rg_reduction_cost(&reduction) < iterations);
    for (int i = 0; i < reduction.count; i++)
        simulate(m, reduction.runs[i].per_epoch, reduction.runs[i].iterations, &runs[i]);
    simulate(m, per_epoch, iterations, &whole);
    CU_ASSERT_TRUE(rg_reduction_holds(&reduction, runs));
    rg_run_init(&run);
    CU_ASSERT_EQUAL(rg_extrapolate(&reduction, runs, &run), 0);
    CU_ASSERT_EQUAL(run.extrapolated_iterations, iterations - rg_reduction_cost(&reduction));
    check_run(&run, &whole);
    runs[1].run.time_s += 1e-6;
    CU_ASSERT_FALSE(rg_reduction_holds(&reduction, runs));
    runs[1].run.time_s -= 1e-6;
    runs[1].marks[reduction.runs[1].iterations - 1] += 1e-6;
    CU_ASSERT_FALSE(rg_reduction_holds(&reduction, runs));
    for (int i = 0; i < reduction.count; i++)
        forget(&runs[i]);
    forget(&whole);
    rg_run_free(&run);
    return true;
}

static void test_iterations(void)
{
    int shortened = 0;
    for (long period = 1; period <= 5; period++)
        for (long since = 0; since <= 6; since += 3)
            for (long drain = 1; drain <= 5; drain += 2)
                for (long per_epoch = 90; per_epoch < 96; per_epoch++)
                    for (long iterations = 60; iterations < 700; iterations += 13) {
                        struct model m = {since, period, drain};
                        shortened += try_iterations(&m, per_epoch, iterations);
                    }
    printf("\n    %d runs shortened", shortened);
    CU_ASSERT(shortened > 10000);
}

/* Twenty lengths of an iteration, each as frequent: the 95th percentile is none of its neighbours.
 */
static void test_percentiles(void)
{
    const struct model m = {3, 20, 2};
    CU_ASSERT_TRUE(try_iterations(&m, 400, 1600));
}

static void test_epochs(void)
{
    const struct model m = {2, 3, 2};
    for (long per_epoch = 1; per_epoch < 9; per_epoch++) {
        for (long iterations = 20 * per_epoch; iterations < 22 * per_epoch; iterations++) {
            struct rg_reduced_run runs[2], whole;
            struct rg_reduction reduction;
            struct rg_run run;
            simulate(&m, per_epoch, iterations, &whole);
            struct rg_rhythm rhythm = {per_epoch, 0, whole.marks[per_epoch] - whole.marks[0]};
            CU_ASSERT_TRUE_FATAL(rg_reduce_epochs(iterations, per_epoch, &rhythm, &reduction));
            CU_ASSERT_EQUAL(reduction.count, 2);
            for (int i = 0; i < 2; i++)
                simulate(&m, per_epoch, reduction.runs[i].iterations, &runs[i]);
            CU_ASSERT_TRUE(rg_reduction_holds(&reduction, runs));
            rg_run_init(&run);
            CU_ASSERT_EQUAL(rg_extrapolate(&reduction, runs, &run), 0);
            check_run(&run, &whole);
            forget(&runs[0]);
            forget(&runs[1]);
            forget(&whole);
            rg_run_free(&run);
        }
    }
}

/* Counters beyond what a double holds, and weights that are negative. */
static void test_counts_are_exact(void)
{
    const struct model m = {3, 2, 2};
    struct rg_rhythm rhythm = {m.period, m.since, period_of(&m)};
    struct rg_reduced_run runs[RG_REDUCED_RUNS];
    struct rg_reduction reduction;
    struct rg_run run;
    long per_epoch = 3001, iterations = 900000000000001;
    CU_ASSERT_TRUE_FATAL(rg_reduce_iterations(iterations, per_epoch, m.drain, &rhythm, &reduction));
    for (int i = 0; i < reduction.count; i++)
        simulate(&m, reduction.runs[i].per_epoch, reduction.runs[i].iterations, &runs[i]);
    rg_run_init(&run);
    CU_ASSERT_EQUAL(rg_extrapolate(&reduction, runs, &run), 0);
    uint64_t epochs = (uint64_t)(iterations / per_epoch);
    CU_ASSERT_EQUAL(run.per_node[1].bytes_sent,
                    epochs * added(&m, per_epoch, 4097) + added(&m, iterations % per_epoch, 4097));
    CU_ASSERT_EQUAL(run.samples, 16 * (uint64_t)iterations);
    for (int i = 0; i < reduction.count; i++)
        forget(&runs[i]);
    rg_run_free(&run);
}

/* ---- steadiness ---- */

enum { NODES = 3 };

struct pace {
    long since, period;  /* of the dates */
    double node_drift;   /* seconds that node 1 loses on the others an iteration */
    double unseen_drift; /* seconds by which a message lies shorter every iteration */
    double noise;        /* of dates, seconds */
    long stray_count;    /* an iteration in which a message more is sent, or -1 */
};

static struct rg_steady *watch(const struct pace *p, long under_way, long n)
{
    struct rg_steady *s = rg_steady_new(NODES, under_way);
    struct rg_sighting seen[NODES] = {{0}};
    for (long i = 0; i < n; i++)
        for (int k = 0; k < NODES; k++) {
            double jump = i < p->since ? 0.1 * (double)i : 0.25 * (double)(i % p->period);
            seen[k].date_s += 1 + jump + (k == 1 ? p->node_drift : 0);
            seen[k].busy_s += 0.5;
            seen[k].unseen_s += 0.25 - p->unseen_drift * (double)i;
            seen[k].counts += UINT64_MAX / 3 + (i == p->stray_count && k == 2);
            struct rg_sighting noisy = seen[k];
            noisy.date_s += p->noise * sin((double)(i * i + k)); /* never the same again */
            rg_steady_note(s, k, &noisy);
        }
    return s;
}

static long found_at(const struct pace *p, long under_way, long limit, struct rg_rhythm *rhythm)
{
    struct rg_steady *s = watch(p, under_way, limit);
    CU_ASSERT_EQUAL(rg_steady_complete(s), limit);
    long n = 3;
    while (n <= limit && !rg_steady_find(s, n, rhythm))
        n++;
    rg_steady_free(s);
    return n <= limit ? n : 0;
}

static void test_a_rhythm_is_found(void)
{
    for (long period = 1; period < 9; period++)
        for (long since = 0; since < 20; since += 5) {
            const struct pace p = {since, period, 0, 0, 0, -1};
            struct rg_rhythm rhythm = {0};
            long n = found_at(&p, 6, 200, &rhythm);
            CU_ASSERT(n > since + 2 * period && n <= since + 4 * period + 12);
            CU_ASSERT_EQUAL(rhythm.period, period);
            CU_ASSERT(rhythm.since >= since - 1 && rhythm.since <= since);
            CU_ASSERT_DOUBLE_EQUAL(rhythm.seconds,
                                   (double)period + 0.125 * (double)(period * (period - 1)), 1e-9);
        }
}

static void test_rounding_is_no_obstacle(void)
{
    const struct pace p = {4, 2, 0, 0, 1e-13, -1};
    struct rg_rhythm rhythm;
    CU_ASSERT(found_at(&p, 1, 100, &rhythm) > 0);
}

/* Iterations that are still under way may bring something new. */
static void test_memory_is_waited_for(void)
{
    const struct pace p = {0, 1, 0, 0, 0, -1};
    struct rg_rhythm rhythm;
    CU_ASSERT(found_at(&p, 1, 200, &rhythm) < 12);
    CU_ASSERT(found_at(&p, 50, 200, &rhythm) > 50);
}

static void test_what_drifts_is_not_steady(void)
{
    const struct pace slower = {0, 1, 1e-6, 0, 0, -1}, starving = {0, 1, 0, 1e-8, 0, -1},
                      noisy = {0, 1, 0, 0, 1e-7, -1};
    struct rg_rhythm rhythm;
    CU_ASSERT_EQUAL(found_at(&slower, 1, 300, &rhythm), 0);
    CU_ASSERT_EQUAL(found_at(&starving, 1, 300, &rhythm), 0);
    CU_ASSERT_EQUAL(found_at(&noisy, 1, 300, &rhythm), 0);
}

static void test_a_stray_message_begins_anew(void)
{
    const struct pace p = {0, 1, 0, 0, 0, 4};
    struct rg_rhythm rhythm;
    CU_ASSERT(found_at(&p, 1, 100, &rhythm) > 9);
    CU_ASSERT(rhythm.since >= 4);
}

static void test_whole_epochs(void)
{
    const struct pace p = {0, 4, 0, 0, 0, -1}, late = {2, 4, 0, 0, 0, -1};
    struct rg_rhythm rhythm;
    struct rg_steady *s = watch(&p, 9, 12);
    CU_ASSERT_TRUE(rg_steady_repeats(s, 12, 4, &rhythm));
    CU_ASSERT_EQUAL(rhythm.period, 4);
    CU_ASSERT_EQUAL(rhythm.since, 0);
    CU_ASSERT_FALSE(rg_steady_repeats(s, 12, 3, &rhythm));
    rg_steady_free(s);
    s = watch(&late, 9, 12);
    CU_ASSERT_FALSE(rg_steady_repeats(s, 12, 4, &rhythm));
    rg_steady_free(s);
}

int main(int argc, char **argv)
{
    const struct suite_test tests[] = {
        {"iterations of an epoch, with epochs and a rest", test_iterations},
        {"percentiles of a long rhythm", test_percentiles},
        {"whole epochs, with a rest", test_epochs},
        {"counts are exact", test_counts_are_exact},
        {"a rhythm is found, with its period and beginning", test_a_rhythm_is_found},
        {"rounding is no obstacle", test_rounding_is_no_obstacle},
        {"as long as iterations remember is waited for", test_memory_is_waited_for},
        {"what drifts is not steady", test_what_drifts_is_not_steady},
        {"a stray message begins anew", test_a_stray_message_begins_anew},
        {"whole epochs repeat from the first, or not", test_whole_epochs},
    };
    return suite_main("extrapolate", tests, sizeof tests / sizeof *tests, argc, argv);
}
