/* Clocks that are wrong by a known amount, over sockets: what ranks do then stands in order on one
 * timeline. The clock of a rank is its world's `now`, which these programs replace. */
#include "base/check.h"
#include "base/clock.h"
#include "tests/posix/cluster.h"
#include "tests/support/suite.h"
#include "world/clocks.h"
#include "world/trace.h"
#include <stdlib.h>

enum { TAG = RG_TAG_USER, ROUNDS = 200, RANKS = 4 };

static struct rg_world_ops wrong; /* of this process: each rank is one */
static const struct rg_world_ops *right;
static double start_s; /* one date for all ranks: the clock of the machine is theirs in truth */

static double rate_of(int rank)
{
    return 100e-6 * rank;
}

static double wrong_now(struct rg_world *w)
{
    return 5000.0 * w->rank + (1 + rate_of(w->rank)) * (right->now(w) - start_s);
}

static double true_offset(int rank, double shown_s)
{
    return (shown_s - 5000.0 * rank) / (1 + rate_of(rank)) - shown_s;
}

static void be_wrong(struct rg_world *w)
{
    right = w->ops;
    wrong = *right;
    wrong.now = wrong_now;
    w->ops = &wrong;
}

/* spent_s: how long the comparison took, of which any way there and back was a part. */
static int check_sample(int rank, const struct rg_clock_sample *s, double spent_s)
{
    double error_s = fabs(s->offset_s - true_offset(rank, s->date_s));
    bool good = rg_clock_known(s) && error_s <= s->uncertainty_s &&
                s->uncertainty_s <= (rank > 0 ? 0.51 * spent_s : 0);
    return good ? 0 : __LINE__;
}

static int compare_clocks(struct rg_world *w, struct rg_clock_sample *s)
{
    double begin_s = rg_clock_s();
    int result = rg_clocks_compare(w, s);
    return result ? result : check_sample(w->rank, s, rg_clock_s() - begin_s);
}

/* A token goes round: its dates of leaving and coming, and the next rank's of them. */
static int pass_token(struct rg_world *w, struct rg_trace *trace)
{
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size, result = 0;
    for (int i = 0; i < ROUNDS && result == 0; i++) {
        struct rg_request r;
        double came_s = rg_now(w), left_s;
        if (w->rank > 0 || i > 0) {
            rg_recv(w, previous, TAG, NULL, 0, &r);
            result = rg_wait(w, &r);
            came_s = rg_now(w);
        }
        left_s = rg_now(w);
        rg_trace_add(trace, &(struct rg_trace_event){.begin_s = came_s, .end_s = left_s});
        if (result == 0 && (w->rank + 1 < w->size || i + 1 < ROUNDS)) {
            rg_send(w, next, TAG, NULL, 0, &r);
            result = rg_wait(w, &r);
        }
    }
    return result;
}

/* Events of all ranks in the order of the token; bounds of their dates. */
static int check_order(struct rg_trace *traces[RANKS], const double bounds[RANKS])
{
    for (int i = 1; i < ROUNDS * RANKS; i++) {
        int from = (i - 1) % RANKS, to = i % RANKS;
        double left_s = traces[from]->events[(i - 1) / RANKS].end_s;
        double came_s = traces[to]->events[i / RANKS].begin_s;
        if (came_s < left_s - bounds[from] - bounds[to])
            return __LINE__;
    }
    return 0;
}

static int gather(struct rg_world *w, struct rg_trace *own, double bound_s)
{
    struct rg_trace *traces[RANKS] = {own};
    double bounds[RANKS] = {bound_s};
    size_t bytes = ROUNDS * sizeof *own->events;
    struct rg_request r;
    int result = 0;
    if (w->rank > 0) {
        rg_send(w, 0, TAG, &bound_s, sizeof bound_s, &r);
        result = rg_wait(w, &r);
        rg_send(w, 0, TAG, own->events, bytes, &r);
        return result ? result : rg_wait(w, &r);
    }
    for (int rank = 1; rank < RANKS && result == 0; rank++) {
        traces[rank] = rg_trace_new(ROUNDS);
        traces[rank]->events = malloc(bytes);
        rg_recv(w, rank, TAG, &bounds[rank], sizeof bound_s, &r);
        result = rg_wait(w, &r);
        rg_recv(w, rank, TAG, traces[rank]->events, bytes, &r);
        result = result ? result : rg_wait(w, &r);
    }
    result = result ? result : check_order(traces, bounds);
    for (int rank = 1; rank < RANKS; rank++)
        rg_trace_free(traces[rank]);
    return result;
}

static int token(struct rg_world *w, void *arg)
{
    struct rg_clock_map map;
    struct rg_trace *trace = rg_trace_new(ROUNDS);
    (void)arg;
    be_wrong(w);
    int result = compare_clocks(w, &map.before);
    result = result ? result : rg_clock_start(w);
    struct rg_clock_section own = {.begin_s = w->offset}, common;
    result = result ? result : pass_token(w, trace);
    own.end_s = w->ops->now(w);
    result = result ? result : compare_clocks(w, &map.after);
    common = (struct rg_clock_section){0, 1e6}; /* whatever: one for all */
    if (result == 0)
        rg_clock_map_trace(trace, &map, &own, &common, 1);
    result = result ? result : gather(w, trace, rg_clock_uncertainty(&map));
    rg_trace_free(trace);
    w->ops = right;
    return result;
}

static void test_token(void)
{
    int results[RANKS];
    start_s = rg_clock_s();
    CU_ASSERT_EQUAL(cluster_run(RANKS, token, NULL, 60, results), 0);
    for (int r = 0; r < RANKS; r++)
        CU_ASSERT_EQUAL(results[r], 0);
}

/* How long it takes, for who wants to know; the clocks are right. */
static int compare(struct rg_world *w, void *arg)
{
    struct rg_clock_sample sample;
    (void)arg;
    int result = rg_barrier(w);
    double begin_s = rg_now(w);
    result = result ? result : rg_clocks_compare(w, &sample);
    if (w->rank == 0)
        printf(" %d ranks in %.2f ms ", w->size, 1e3 * (rg_now(w) - begin_s));
    fflush(stdout);
    if (result == 0 && !(fabs(sample.offset_s) <= sample.uncertainty_s))
        result = __LINE__;
    return result;
}

static void test_sizes(void)
{
    static const int sizes[] = {1, 2, 8};
    for (size_t i = 0; i < RG_COUNT(sizes); i++) {
        int results[8];
        CU_ASSERT_EQUAL(cluster_run(sizes[i], compare, NULL, 60, results), 0);
        for (int r = 0; r < sizes[i]; r++)
            CU_ASSERT_EQUAL(results[r], 0);
    }
}

static int compare_and_die(struct rg_world *w, void *arg)
{
    struct rg_clock_sample sample;
    const int *mortal = arg;
    if (w->rank == *mortal)
        w->ops->die(w);
    return rg_clocks_compare(w, &sample);
}

static void test_lost(void)
{
    for (int mortal = 0; mortal < 3; mortal++) {
        int results[3];
        CU_ASSERT_EQUAL(cluster_run(3, compare_and_die, &mortal, 60, results), 0);
        for (int r = 0; r < 3; r++)
            CU_ASSERT_EQUAL(results[r], r == mortal ? RG_TEST_DIED : 0);
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"a token on one timeline", test_token},
        {"compared", test_sizes},
        {"a rank is lost meanwhile", test_lost},
    };
    return suite_main("skew", tests, RG_COUNT(tests), argc, argv);
}
