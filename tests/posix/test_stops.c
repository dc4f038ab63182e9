/* How runs on a mesh end before their time: ranks that are killed, interruption, and a stop in good
 * order after one update of all. */
#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/posix/cluster.h"
#include "tests/support/suite.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TAG = RG_TAG_USER, MOST = 16 };

/* ---- killed ---- */

static int chatter(struct rg_world *w, void *arg)
{
    (void)arg;
    char *buffers[4];
    for (int i = 0; i < 4; i++)
        buffers[i] = calloc(1, 3 << 20);
    int result = 0;
    for (unsigned i = 0; result == 0; i++)
        result = cluster_traffic(w, buffers, i);
    for (int i = 0; i < 4; i++)
        free(buffers[i]);
    return result;
}

static volatile int *ready; /* shared by all processes: ranks that are where the test wants them */

static void open_ready(void)
{
    ready =
        mmap(NULL, MOST * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(ready != MAP_FAILED);
}

static void start_ready(struct cluster *c, int size, cluster_body body, void *arg)
{
    for (int r = 0; r < size; r++)
        ready[r] = 0;
    CU_ASSERT_EQUAL_FATAL(cluster_start(c, size, body, arg), 0);
    double limit = rg_clock_s() + 30;
    for (int r = 0; r < size; r++)
        while (!ready[r] && rg_clock_s() < limit)
            cluster_nap(0.001);
}

/* Runs for ever; what ends it must be the loss of rank `victim`. */
static int survive(struct rg_mesh *mesh, void *arg)
{
    const int *victim = arg;
    ready[rg_mesh_rank(mesh)] = 1;
    struct rg_error e;
    struct rg_mesh_lost lost;
    int result, error = rg_mesh_run(mesh, rg_mesh_size(mesh), chatter, NULL, &result, &e);
    if (error == 0)
        error = result;
    if (!rg_mesh_lost(mesh, &lost) || lost.rank != *victim || !strstr(lost.text, "was lost"))
        return __LINE__;
    /* the next run fails at once, where it needs the victim */
    int again = rg_mesh_run(mesh, rg_mesh_size(mesh), chatter, NULL, &result, &e);
    if (again != RG_ERR_PEER || !strstr(e.text, "was lost"))
        return __LINE__;
    return error;
}

static void test_killed(void)
{
    uint64_t state = 3;
    open_ready();
    for (int i = 0; i < 25; i++) {
        struct cluster c;
        state = rg_mix64(state);
        int size = 2 + (int)(state % 4), victim = (int)(state / 7 % (uint64_t)size), results[MOST];
        start_ready(&c, size, survive, &victim);
        cluster_nap(1e-4 * (double)(state / 100 % 500));
        kill(c.pids[victim], SIGKILL);
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        CU_ASSERT_EQUAL(results[victim], RG_TEST_DIED);
        for (int r = 0; r < size; r++) {
            if (r == victim)
                continue;
            if (results[r] != RG_ERR_PEER)
                printf("  kill %d, rank %d of %d: %d\n", i, r, size, results[r]);
            CU_ASSERT_EQUAL(results[r], RG_ERR_PEER);
        }
    }
}

/* ---- interruption ---- */

static struct rg_mesh *mesh_to_stop;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    rg_mesh_interrupt(mesh_to_stop);
}

static int wait_for_ever(struct rg_world *w, void *arg)
{
    const double *linger_s = arg;
    int other = (w->rank + 1) % w->size, index;
    char byte;
    struct rg_request r, *one = &r;
    ready[w->rank] = 1;
    rg_recv(w, other, TAG, &byte, 1, &r);
    if (w->rank == 2) /* does not wait, but computes */
        for (int i = 0; i < 10000; i++) {
            cluster_nap(0.001);
            if (rg_iteration(w, i) == RG_ERR_INTERRUPTED)
                return RG_ERR_INTERRUPTED;
        }
    int result = rg_wait_any(w, &one, 1, RG_FOREVER, &index);
    if (result != RG_ERR_INTERRUPTED)
        return result ? result : r.status;
    if (r.status != RG_PENDING || rg_iteration(w, 0) != RG_ERR_INTERRUPTED)
        return __LINE__;
    cluster_nap(*linger_s);
    /* rg_wait leaves nothing behind that could be written to once r and byte are gone; the other
     * may have left by now, interrupted too. */
    result = rg_wait(w, &r);
    return r.status == RG_ERR_CANCELLED || r.status == RG_ERR_INTERRUPTED ? result : __LINE__;
}

/* One run, in which SIGINT does what `on_signal` says. */
static int run_told(struct rg_mesh *mesh, void (*on_signal)(int), rg_program_fn program, void *arg)
{
    struct rg_error e;
    mesh_to_stop = mesh;
    signal(SIGINT, on_signal);
    int result, error = rg_mesh_run(mesh, rg_mesh_size(mesh), program, arg, &result, &e);
    signal(SIGINT, SIG_IGN);
    return error ? error : result;
}

static int be_interrupted(struct rg_mesh *mesh, void *arg)
{
    struct rg_mesh_lost lost;
    int result = run_told(mesh, on_interrupt, wait_for_ever, arg);
    return rg_mesh_lost(mesh, &lost) ? __LINE__ : result;
}

static void test_interruption(void)
{
    open_ready();
    for (int i = 0; i < 6; i++) {
        struct cluster c;
        int results[MOST], size = 3;
        double linger_s = i % 2 ? 0.02 : 0;
        start_ready(&c, size, be_interrupted, &linger_s);
        cluster_nap(0.003 * i);
        kill(c.pids[i % size], SIGINT); /* one is told; all stop */
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        cluster_expect(size, results, RG_ERR_INTERRUPTED);
    }
    munmap((void *)ready, MOST * sizeof(int));
}

/* ---- winding down ---- */

enum { EPOCH = 7, AHEAD = 3, ITERATIONS = 100000, LONG = 100 * ITERATIONS };

static void on_wind_down(int signal_number)
{
    (void)signal_number;
    rg_mesh_wind_down(mesh_to_stop);
}

/* What rank 0 has sent ahead, and the others need for iterations that have ended. */
static int settle(struct rg_world *w, struct rg_request *out)
{
    int result = 0;
    for (int k = 0; k < AHEAD && result == 0; k++)
        result = out[k].owner ? rg_wait(w, &out[k]) : 0;
    return result;
}

/* Iterations as a pipeline has them: rank 0 may be ahead of the others. In epochs, with an untimed
 * section between two. Returns how many have ended. */
static int flow(struct rg_world *w, void *arg)
{
    char byte = 0;
    struct rg_request in, out[AHEAD] = {0};
    int i = 0, result = rg_clock_start(w);
    (void)arg;
    if (result == 0)
        result = rg_go_on(w);
    for (; i < ITERATIONS && result == 0; i++) {
        struct rg_request *slot = &out[i % AHEAD];
        if (w->rank > 0) {
            rg_recv(w, w->rank - 1, TAG, &byte, 1, &in);
            result = rg_wait(w, &in);
        }
        if (result == 0 && slot->owner)
            result = rg_wait(w, slot);
        if (result == 0 && w->rank + 1 < w->size)
            result = rg_send(w, w->rank + 1, TAG, &byte, 1, slot);
        ready[w->rank] = i > 5;
        if (result == 0)
            result = rg_iteration(w, i);
        bool stopped = result == 1; /* others may learn of it only after the epoch */
        if (result >= 0 && (i + 1) % EPOCH == 0) {
            result = settle(w, out);
            if (result == 0)
                result = rg_untimed_begin(w);
            if (result == 0)
                result = stopped ? 1 : rg_go_on(w);
            if (result == 0)
                result = rg_untimed_end(w);
        }
    }
    if (result == 1 && settle(w, out) == 0)
        return i;
    return result < 0 ? result : __LINE__ - ITERATIONS;
}

static int be_wound_down(struct rg_mesh *mesh, void *arg)
{
    struct rg_error e;
    struct rg_mesh_lost lost;
    int next, result = run_told(mesh, on_wind_down, flow, arg);
    int again = rg_mesh_run(mesh, rg_mesh_size(mesh), flow, arg, &next, &e);
    return rg_mesh_lost(mesh, &lost) || again != RG_ERR_INTERRUPTED ? __LINE__ - ITERATIONS
                                                                    : result;
}

/* `stop` is the how manieth. */
static void expect_one_end(int stop, int size, const int *results)
{
    for (int r = 0; r < size; r++) {
        if (results[r] <= 5 || results[r] != results[0])
            printf("  stop %d, rank %d of %d: %d\n", stop, r, size, results[r]);
        CU_ASSERT_TRUE(results[r] > 5 && results[r] < LONG);
        CU_ASSERT_EQUAL(results[r], results[0]);
    }
}

/* All ranks end with the same iteration, whoever is told, and whenever. */
static void test_winding_down(void)
{
    open_ready();
    for (int i = 0; i < 24; i++) {
        struct cluster c;
        int results[MOST], size = 2 + i % 4;
        start_ready(&c, size, be_wound_down, NULL);
        cluster_nap(0.0007 * (i % 9));
        for (int r = 0; r < size; r++)
            if (r == i % size || i % 4 == 0) /* one, or all of them */
                kill(c.pids[r], SIGINT);
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        expect_one_end(i, size, results);
    }
    munmap((void *)ready, MOST * sizeof(int));
}

/* Rank 0 waits, in its third iteration, for what nobody sends, while the others go on: it hears
 * after which update all stop, and takes those that it has missed. */
static int wait_in_vain(struct rg_world *w, void *arg)
{
    char byte;
    int index, i = 0, result = rg_clock_start(w);
    int64_t last = 0;
    struct rg_request in, *list = &in;
    (void)arg;
    for (; i < LONG && result == 0; i++) {
        if (i == 2 && w->rank == 0) {
            ready[0] = 1;
            rg_recv(w, 1, TAG, &byte, 1, &in);
            if (rg_wait_any_or_stop(w, &list, 1, &index, &last) != 1 || last < 3)
                return __LINE__ - ITERATIONS;
            rg_cancel(w, &in);
        }
        ready[w->rank] |= i > 5;
        result = rg_iteration(w, i);
    }
    if (result == 1) /* nobody leaves before rank 0 has heard */
        result = rg_untimed_begin(w);
    return result < 0 ? result : last == 0 || last == i ? i : __LINE__ - ITERATIONS;
}

static int stop_in_vain(struct rg_mesh *mesh, void *arg)
{
    return run_told(mesh, on_wind_down, wait_in_vain, arg);
}

static void test_waits_end_where_all_stop(void)
{
    open_ready();
    for (int i = 0; i < 8; i++) {
        struct cluster c;
        int results[MOST], size = 2 + i % 3;
        start_ready(&c, size, stop_in_vain, NULL);
        cluster_nap(0.002 * i);
        kill(c.pids[i % size], SIGINT);
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        expect_one_end(i, size, results);
    }
    munmap((void *)ready, MOST * sizeof(int));
}

/* The same in the first iteration of a training that goes on from a state of some: `last` counts
 * those, too. */
static int wait_after_a_state(struct rg_world *w, void *arg)
{
    enum { BEFORE = 1000 };
    char byte;
    int index, i = BEFORE, result = rg_clock_start(w);
    int64_t last = 0;
    struct rg_request in, *list = &in;
    (void)arg;
    w->iterations = BEFORE;
    if (result == 0)
        result = rg_go_on(w);
    ready[w->rank] = 1;
    if (result == 0 && w->rank == 0) {
        rg_recv(w, 1, TAG, &byte, 1, &in);
        if (rg_wait_any_or_stop(w, &list, 1, &index, &last) != 1 || last <= BEFORE)
            return __LINE__ - ITERATIONS;
        rg_cancel(w, &in);
    } else {
        cluster_nap(0.02); /* all are told meanwhile */
    }
    for (; i < LONG && result == 0; i++)
        result = rg_iteration(w, i);
    if (result == 1)
        result = rg_untimed_begin(w);
    return result < 0 ? result : last == 0 || last == i ? i : __LINE__ - ITERATIONS;
}

static int stop_after_a_state(struct rg_mesh *mesh, void *arg)
{
    return run_told(mesh, on_wind_down, wait_after_a_state, arg);
}

static void test_stops_count_what_was_before(void)
{
    open_ready();
    for (int i = 0; i < 8; i++) {
        struct cluster c;
        int results[MOST], size = 2 + i % 3;
        start_ready(&c, size, stop_after_a_state, NULL);
        kill(c.pids[i % size], SIGINT);
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        expect_one_end(i, size, results);
    }
    munmap((void *)ready, MOST * sizeof(int));
}

/* Rank 1 is told before the others have come, rank 0 comes last of all. */
static int attempt_too_late(struct rg_mesh *mesh, void *arg)
{
    struct rg_error e;
    int rank = rg_mesh_rank(mesh), size = rg_mesh_size(mesh), result;
    (void)arg;
    if (rank == 1)
        rg_mesh_wind_down(mesh);
    cluster_nap(rank == 0 ? 0.2 : 0.1);
    return rg_mesh_attempt(mesh, size, flow, NULL, &result, &e) == RG_ERR_INTERRUPTED ? result
                                                                                      : __LINE__;
}

static void test_no_attempt_after_a_stop(void)
{
    struct cluster c;
    int results[MOST], size = 3;
    open_ready();
    CU_ASSERT_EQUAL_FATAL(cluster_start(&c, size, attempt_too_late, NULL), 0);
    CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
    cluster_expect(size, results, 0);
    munmap((void *)ready, MOST * sizeof(int));
}

/* Rank 1 waits for what rank 0 says of the end, as a spare node does. */
static int go_on_or_wait(struct rg_world *w, void *arg)
{
    int result = w->rank == 1 ? 0 : rg_go_on(w);
    char byte = 0;
    (void)arg;
    if (w->rank == 0 && result >= 0)
        result = rg_send_wait(w, 1, TAG, &byte, 1);
    return w->rank == 1 ? rg_recv_wait(w, 0, TAG, &byte, 1) : result;
}

static int attempt_as_all_have_come(struct rg_mesh *mesh, void *arg)
{
    struct rg_error e;
    int rank = rg_mesh_rank(mesh), size = rg_mesh_size(mesh), result;
    (void)arg;
    ready[rank] = 1;
    if (rank == 1) {
        cluster_nap(0.2);
        rg_mesh_wind_down(mesh);
        cluster_nap(0.1);
    }
    int error = rg_mesh_attempt(mesh, size, go_on_or_wait, NULL, &result, &e);
    return error ? error : result;
}

/* Both that it stops, and that it has come, is heard at once by those that wait for it. */
static void test_stop_and_arrival_at_once(void)
{
    struct cluster c;
    int results[MOST], size = 3;
    open_ready();
    start_ready(&c, size, attempt_as_all_have_come, NULL);
    cluster_nap(0.1);
    kill(c.pids[0], SIGSTOP);
    kill(c.pids[2], SIGSTOP);
    cluster_nap(0.3);
    kill(c.pids[0], SIGCONT);
    kill(c.pids[2], SIGCONT);
    CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
    cluster_expect(size, results, RG_ERR_INTERRUPTED);
    munmap((void *)ready, MOST * sizeof(int));
}

/* ---- what is left ---- */

/* All talk to all. */
static int meet(struct rg_world *w, void *arg)
{
    char byte = 0;
    int result = 0;
    (void)arg;
    for (int r = 0; r < w->size && result == 0; r++)
        for (int way = 0; way < 2 && r != w->rank && result == 0; way++)
            result = (way == 0) == (w->rank < r) ? rg_send_wait(w, r, TAG, &byte, 1)
                                                 : rg_recv_wait(w, r, TAG, &byte, 1);
    return result;
}

/* Rank 0 salvages; the others begin, or would, what they find out is nothing by then. */
static int salvage_and_others(struct rg_mesh *mesh, void *arg)
{
    struct rg_error e;
    int i = *(const int *)arg, rank = rg_mesh_rank(mesh), size = rg_mesh_size(mesh), result;
    if (rank > 0) {
        bool early = (i + rank) % 2;
        cluster_nap(early ? 0 : 0.05);
        int error = i < 4 ? rg_mesh_attempt(mesh, size, meet, NULL, &result, &e)
                          : rg_mesh_run(mesh, size, meet, NULL, &result, &e);
        error = error ? error : result;
        if (error != (i < 4 ? RG_ERR_REFUSED : RG_ERR_PEER) && error != RG_ERR_PEER)
            return __LINE__;
    } else {
        cluster_nap(0.02);
    }
    int error = rg_mesh_rally(mesh, size, meet, NULL, &result, &e);
    return error ? error : result;
}

static void test_salvage_beside_a_run(void)
{
    for (int i = 0; i < 8; i++) {
        struct cluster c;
        int results[MOST], size = 2 + i % 4;
        CU_ASSERT_EQUAL_FATAL(cluster_start(&c, size, salvage_and_others, &i), 0);
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        cluster_expect(size, results, 0);
    }
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"killed peers", test_killed},
        {"interruption", test_interruption},
        {"winding down", test_winding_down},
        {"waits end where all stop", test_waits_end_where_all_stop},
        {"stops count what was before", test_stops_count_what_was_before},
        {"no attempt after a stop", test_no_attempt_after_a_stop},
        {"stop and arrival at once", test_stop_and_arrival_at_once},
        {"salvage beside a run", test_salvage_beside_a_run}};
    return suite_main("stops", tests, RG_COUNT(tests), argc, argv);
}
