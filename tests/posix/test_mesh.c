/* What is the posix world's own: several runs on one mesh, peers that are killed, interruption,
 * strands, large and many messages, and that a warm iteration allocates nothing. */
#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/posix/cluster.h"
#include "tests/support/suite.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TAG = RG_TAG_USER, MOST = 16 };

static void expect_all(int size, const int *results, int wanted)
{
    for (int r = 0; r < size; r++) {
        if (results[r] != wanted)
            printf("  rank %d: %d (%s)\n", r, results[r], rg_strerror(results[r]));
        CU_ASSERT_EQUAL(results[r], wanted);
    }
}

/* So many ranks do this on a mesh of theirs, and all of it goes well. */
static void expect_good(int size, cluster_body body)
{
    struct cluster c;
    int results[MOST];
    CU_ASSERT_EQUAL_FATAL(cluster_start(&c, size, body, NULL), 0);
    CU_ASSERT_EQUAL(cluster_wait(&c, 60, results), 0);
    expect_all(size, results, 0);
}

static void nap(double seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)(1e9 * (seconds - (double)left.tv_sec));
    while (nanosleep(&left, &left) != 0)
        continue;
}

/* ---- allocations of the project's own code, counted by the linker's --wrap ---- */

static atomic_long allocations;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t unit, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t unit, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(n, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t unit, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(unit, bytes);
}

/* Messages of all sizes to and from both neighbours, some of them unasked-for. */
static int iterate(struct rg_world *w, char *buffers[4], unsigned i)
{
    static const size_t sizes[] = {0, 1, 4000, 100000, 400000, 3 << 20};
    size_t bytes = sizes[i % RG_COUNT(sizes)];
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size;
    struct rg_request r[4], *all[] = {&r[0], &r[1], &r[2], &r[3]};
    rg_send(w, next, TAG, buffers[0], bytes, &r[0]);
    rg_send(w, previous, TAG + 1, buffers[1], bytes, &r[1]);
    if (i % 3 == 0)
        rg_compute(w, NULL, "x", -1, NULL, NULL);
    rg_recv(w, previous, TAG, buffers[2], bytes, &r[2]);
    rg_recv(w, next, TAG + 1, buffers[3], bytes, &r[3]);
    return rg_wait_all(w, all, 4);
}

static int count_allocations(struct rg_world *w, void *arg)
{
    (void)arg;
    char *buffers[4];
    for (int i = 0; i < 4; i++)
        buffers[i] = calloc(1, 3 << 20);
    int result = 0;
    long before = 0;
    const unsigned warm = 100 / RG_TEST_SLOWNESS; /* all of it is 1 GB, or 0.2 where it is slow */
    for (unsigned i = 0; i < 3 * warm && result == 0; i++) {
        if (i == warm)
            before = atomic_load(&allocations);
        result = iterate(w, buffers, i);
    }
    if (result == 0 && atomic_load(&allocations) != before)
        result = __LINE__;
    for (int i = 0; i < 4; i++)
        free(buffers[i]);
    return result;
}

static void test_allocations(void)
{
    int results[3];
    CU_ASSERT_EQUAL(cluster_run(3, count_allocations, NULL, 60, results), 0);
    expect_all(3, results, 0);
}

/* ---- many and large ---- */

static int many_small(struct rg_world *w, void *arg)
{
    (void)arg;
    enum { N = 1000 };
    static struct rg_request in[N], out[N];
    static struct rg_request *all[N];
    static int got[N], value[N];
    int other = 1 - w->rank;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            value[i] = round * N + i;
            rg_send(w, other, TAG + (uint32_t)(i % 7), &value[i], sizeof(int), &out[i]);
        }
        if (round == 1)
            nap(0.02); /* all of them unasked-for */
        for (int i = 0; i < N; i++) {
            all[i] = &in[i];
            rg_recv(w, other, TAG + (uint32_t)(i % 7), &got[i], sizeof(int), &in[i]);
        }
        if (rg_wait_all(w, all, N))
            return __LINE__;
        for (int i = 0; i < N; i++)
            if (got[i] != round * N + i || rg_wait(w, &out[i]))
                return __LINE__;
    }
    return 0;
}

static void test_many(void)
{
    int results[2];
    CU_ASSERT_EQUAL(cluster_run(2, many_small, NULL, 60, results), 0);
    expect_all(2, results, 0);
}

static int one_large(struct rg_world *w, void *arg)
{
    (void)arg;
    size_t bytes = (size_t)256 << 20;
    uint32_t *buffer = malloc(bytes);
    int result = buffer ? 0 : RG_ERR_NOMEM;
    if (w->rank == 0 && result == 0) {
        struct rg_request r;
        for (size_t i = 0; i < bytes / 4; i++)
            buffer[i] = (uint32_t)(i * 2654435761u);
        rg_send(w, 1, TAG, buffer, bytes, &r);
        int answer = 0; /* small messages the other way are not held up for ever */
        result = rg_sendrecv(w, 1, NULL, 0, 1, &answer, 0, TAG + 1);
        if (result == 0)
            result = rg_wait(w, &r);
    } else if (result == 0) {
        struct rg_request r;
        rg_recv(w, 0, TAG, buffer, bytes, &r);
        result = rg_sendrecv(w, 0, NULL, 0, 0, NULL, 0, TAG + 1);
        if (result == 0)
            result = rg_wait(w, &r);
        for (size_t i = 0; i < bytes / 4 && result == 0; i++)
            if (buffer[i] != (uint32_t)(i * 2654435761u))
                result = __LINE__;
    }
    free(buffer);
    return result;
}

static void test_large(void)
{
    int results[2];
    CU_ASSERT_EQUAL(cluster_run(2, one_large, NULL, 60, results), 0);
    expect_all(2, results, 0);
}

/* ---- several runs ---- */

static int leave_things(struct rg_world *w, void *arg)
{
    const int *run = arg;
    static char buffer[3 << 20];
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size;
    int value = *run, got = -1;
    struct rg_request r[5];
    if (w->size == 1)
        return 0;
    /* what belongs to this run comes from this run */
    int result = rg_sendrecv(w, next, &value, sizeof value, previous, &got, sizeof got, TAG);
    if (result || got != *run)
        return result ? result : __LINE__;
    rg_send(w, next, TAG, &value, sizeof value, &r[0]);          /* nobody receives it */
    rg_send(w, next, TAG + 1, buffer, sizeof buffer, &r[1]);     /* held back for ever */
    rg_recv(w, previous, TAG + 2, buffer, sizeof buffer, &r[2]); /* nobody sends it */
    if (w->rank % 2)
        rg_send(w, previous, TAG + 3, buffer, 500000, &r[3]);
    if (w->rank % 3 == 0)
        rg_recv(w, previous, TAG + 1, buffer, sizeof buffer, &r[4]); /* abandoned on its way */
    return 0;
}

static int run_several(struct rg_mesh *mesh, void *arg)
{
    static const int sizes[] = {4, 2, 3, 1, 4, 4, 2, 4};
    (void)arg;
    for (int i = 0; i < 40; i++) {
        struct rg_error e;
        int result,
            error = rg_mesh_run(mesh, sizes[i % RG_COUNT(sizes)], leave_things, &i, &result, &e);
        if (error || result) {
            struct rg_mesh_lost lost;
            fprintf(stderr, "  rank %d, run %d: %s; %s\n", rg_mesh_rank(mesh), i,
                    error ? e.text : rg_strerror(result),
                    rg_mesh_lost(mesh, &lost) ? lost.text : "nobody was lost");
            return error ? error : result;
        }
    }
    struct rg_mesh_lost lost;
    return rg_mesh_lost(mesh, &lost) ? __LINE__ : 0;
}

/* Rank 1 gives up on a large message while it arrives, and its next run begins only after the rest
 * of it has come. Which of the two leaves first is up to them; nobody is lost. */
static int give_up(struct rg_world *w, void *arg)
{
    enum { BYTES = 8 << 20 };
    static char *buffer;
    const int *run = arg;
    struct rg_request r, *all[] = {&r};
    double patience = w->rank ? 1e-4 * (*run % 20) : 5e-3;
    int index, result;
    if (!buffer && !(buffer = calloc(1, BYTES)))
        return RG_ERR_NOMEM;
    result =
        w->rank ? rg_recv(w, 0, TAG, buffer, BYTES, &r) : rg_send(w, 1, TAG, buffer, BYTES, &r);
    if (result == 0)
        result = rg_wait_any(w, all, 1, rg_now(w) + patience, &index);
    if (result == RG_ERR_TIMEOUT)
        result = rg_cancel(w, &r);
    return result == RG_ERR_PEER ? 0 : result;
}

static int run_and_rest(struct rg_mesh *mesh, void *arg)
{
    struct rg_mesh_lost lost;
    (void)arg;
    for (int i = 0; i < 40; i++) {
        struct rg_error e;
        int result, error = rg_mesh_run(mesh, 2, give_up, &i, &result, &e);
        if (error || result) {
            fprintf(stderr, "  rank %d, run %d: %s\n", rg_mesh_rank(mesh), i,
                    error ? e.text : rg_strerror(result));
            return error ? error : result;
        }
        if (rg_mesh_rank(mesh) == 1)
            nap(0.01);
    }
    return rg_mesh_lost(mesh, &lost) ? __LINE__ : 0;
}

static void test_rest(void)
{
    expect_good(2, run_and_rest);
}

static void test_runs(void)
{
    expect_good(4, run_several);
}

/* ---- killed ---- */

static int chatter(struct rg_world *w, void *arg)
{
    (void)arg;
    char *buffers[4];
    for (int i = 0; i < 4; i++)
        buffers[i] = calloc(1, 3 << 20);
    int result = 0;
    for (unsigned i = 0; result == 0; i++)
        result = iterate(w, buffers, i);
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
            nap(0.001);
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
        nap(1e-4 * (double)(state / 100 % 500));
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

static struct rg_mesh *mesh_to_interrupt;

static void on_signal(int signal_number)
{
    (void)signal_number;
    rg_mesh_interrupt(mesh_to_interrupt);
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
            nap(0.001);
            if (rg_iteration(w, i) == RG_ERR_INTERRUPTED)
                return RG_ERR_INTERRUPTED;
        }
    int result = rg_wait_any(w, &one, 1, RG_FOREVER, &index);
    if (result != RG_ERR_INTERRUPTED)
        return result ? result : r.status;
    if (r.status != RG_PENDING || rg_iteration(w, 0) != RG_ERR_INTERRUPTED)
        return __LINE__;
    nap(*linger_s);
    /* rg_wait leaves nothing behind that could be written to once r and byte are gone; the other
     * may have left by now, interrupted too. */
    result = rg_wait(w, &r);
    return r.status == RG_ERR_CANCELLED || r.status == RG_ERR_INTERRUPTED ? result : __LINE__;
}

static int be_interrupted(struct rg_mesh *mesh, void *arg)
{
    struct rg_error e;
    mesh_to_interrupt = mesh;
    signal(SIGINT, on_signal);
    int result, error = rg_mesh_run(mesh, rg_mesh_size(mesh), wait_for_ever, arg, &result, &e);
    signal(SIGINT, SIG_IGN);
    struct rg_mesh_lost lost;
    if (rg_mesh_lost(mesh, &lost))
        return __LINE__;
    return error ? error : result;
}

static void test_interruption(void)
{
    open_ready();
    for (int i = 0; i < 6; i++) {
        struct cluster c;
        int results[MOST], size = 3;
        double linger_s = i % 2 ? 0.02 : 0;
        start_ready(&c, size, be_interrupted, &linger_s);
        nap(0.003 * i);
        kill(c.pids[i % size], SIGINT); /* one is told; all stop */
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        expect_all(size, results, RG_ERR_INTERRUPTED);
    }
    munmap((void *)ready, MOST * sizeof(int));
}

/* ---- winding down ---- */

enum { EPOCH = 7, AHEAD = 3, ITERATIONS = 100000 };

static void on_wind_down(int signal_number)
{
    (void)signal_number;
    rg_mesh_wind_down(mesh_to_interrupt);
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
    (void)arg;
    mesh_to_interrupt = mesh;
    signal(SIGINT, on_wind_down);
    int result, error = rg_mesh_run(mesh, rg_mesh_size(mesh), flow, NULL, &result, &e);
    int next, again = rg_mesh_run(mesh, rg_mesh_size(mesh), flow, NULL, &next, &e);
    signal(SIGINT, SIG_IGN);
    struct rg_mesh_lost lost;
    if (rg_mesh_lost(mesh, &lost) || again != RG_ERR_INTERRUPTED)
        return __LINE__ - ITERATIONS;
    return error ? error : result;
}

/* All ranks end with the same iteration, whoever is told, and whenever. */
static void test_winding_down(void)
{
    open_ready();
    for (int i = 0; i < 24; i++) {
        struct cluster c;
        int results[MOST], size = 2 + i % 4;
        start_ready(&c, size, be_wound_down, NULL);
        nap(0.0007 * (i % 9));
        for (int r = 0; r < size; r++)
            if (r == i % size || i % 4 == 0) /* one, or all of them */
                kill(c.pids[r], SIGINT);
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        for (int r = 0; r < size; r++) {
            if (results[r] <= 5 || results[r] != results[0])
                printf("  stop %d, rank %d of %d: %d\n", i, r, size, results[r]);
            CU_ASSERT_TRUE(results[r] > 5 && results[r] < ITERATIONS);
            CU_ASSERT_EQUAL(results[r], results[0]);
        }
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
    for (; i < 100 * ITERATIONS && result == 0; i++) {
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
    struct rg_error e;
    (void)arg;
    mesh_to_interrupt = mesh;
    signal(SIGINT, on_wind_down);
    int result, error = rg_mesh_run(mesh, rg_mesh_size(mesh), wait_in_vain, NULL, &result, &e);
    signal(SIGINT, SIG_IGN);
    return error ? error : result;
}

static void test_waits_end_where_all_stop(void)
{
    open_ready();
    for (int i = 0; i < 8; i++) {
        struct cluster c;
        int results[MOST], size = 2 + i % 3;
        start_ready(&c, size, stop_in_vain, NULL);
        nap(0.002 * i);
        kill(c.pids[i % size], SIGINT);
        CU_ASSERT_EQUAL(cluster_wait(&c, 20, results), 0);
        for (int r = 0; r < size; r++) {
            if (results[r] <= 5 || results[r] != results[0])
                printf("  stop %d, rank %d of %d: %d\n", i, r, size, results[r]);
            CU_ASSERT_TRUE(results[r] > 5);
            CU_ASSERT_EQUAL(results[r], results[0]);
        }
    }
    munmap((void *)ready, MOST * sizeof(int));
}

/* ---- strands ---- */

struct strand_job {
    int peer, number;
};

static int strand_main(struct rg_world *w, void *arg)
{
    const struct strand_job *job = arg;
    uint32_t tag = TAG + 10 * (uint32_t)job->number;
    static char out[4][600000];
    char *in = malloc(600000);
    int result = in ? 0 : RG_ERR_NOMEM;
    for (int i = 0; i < 120 && result == 0; i++) {
        size_t bytes = i % 10 == 0 ? 600000 : (size_t)(i * 37 % 5000);
        result = rg_sendrecv(w, job->peer, out[job->number], bytes, job->peer, in, bytes, tag);
        if (result == 0 && i % 5 == 0) { /* a word with the strand beside it, through the node */
            int value = i, got = -1, beside = job->number ^ 1;
            struct rg_request s, r;
            rg_send(w, w->rank, TAG + 100 + (uint32_t)beside, &value, sizeof value, &s);
            rg_recv(w, w->rank, TAG + 100 + (uint32_t)job->number, &got, sizeof got, &r);
            result = rg_wait(w, &r);
            if (result == 0)
                result = rg_wait(w, &s);
            if (result == 0 && got != i)
                result = __LINE__;
        }
        if (result == 0 && i % 7 == 1) {
            int index;
            struct rg_request r, *one = &r;
            rg_recv(w, job->peer, tag + 1, in, 8, &r);
            if (rg_wait_any(w, &one, 1, rg_now(w) + 1e-4, &index) != RG_ERR_TIMEOUT)
                result = __LINE__;
            rg_cancel(w, &r);
        }
    }
    free(in);
    return result;
}

static int many_strands(struct rg_world *w, void *arg)
{
    (void)arg;
    struct strand_job jobs[4];
    struct rg_strand *strands[4];
    int first = 0;
    for (int i = 0; i < 4; i++) {
        jobs[i] = (struct strand_job){1 - w->rank, i};
        if (i > 0 && rg_spawn(w, strand_main, &jobs[i], &strands[i]) != 0)
            return __LINE__;
    }
    first = strand_main(w, &jobs[0]);
    for (int i = 1; i < 4; i++) {
        int result, error = rg_join(w, strands[i], &result);
        if (first == 0)
            first = error ? error : result;
    }
    return first;
}

static void test_strands(void)
{
    int results[2];
    CU_ASSERT_EQUAL(cluster_run(2, many_strands, NULL, 60, results), 0);
    expect_all(2, results, 0);
}

/* ---- the port during a run ---- */

static int ports[2];

static int knock_meanwhile(struct rg_world *w, void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)ports[1 - w->rank]),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool open = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        struct sockaddr_in own = {.sin_port = 0};
        socklen_t length = sizeof own;
        getsockname(fd, (struct sockaddr *)&own, &length);
        open = open && own.sin_port != address.sin_port; /* a socket may connect to itself */
        close(fd);
        if (open)
            return __LINE__;
        int result = rg_barrier(w);
        if (result)
            return result;
    }
    return 0;
}

static int knock_body(struct rg_mesh *mesh, void *arg)
{
    (void)arg;
    struct rg_error e;
    for (int r = 0; r < 2; r++)
        ports[r] = atoi(strrchr(rg_mesh_host(mesh, r), ':') + 1);
    int result, error = rg_mesh_run(mesh, 2, knock_meanwhile, NULL, &result, &e);
    return error ? error : result;
}

static void test_port(void)
{
    expect_good(2, knock_body);
}

static int look_at_facts(struct rg_mesh *mesh, void *arg)
{
    struct rg_error e;
    struct rg_mesh_facts facts;
    (void)arg;
    int result, error = rg_mesh_run(mesh, 2, many_small, NULL, &result, &e);
    rg_mesh_facts(mesh, &facts);
    if (error || result)
        return error ? error : result;
    return facts.congestion[0] && facts.wire_sent > 3000 * 36 && facts.wire_received > 3000 * 36
               ? 0
               : __LINE__;
}

static void test_facts(void)
{
    expect_good(2, look_at_facts);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"allocations", test_allocations},
        {"many small messages", test_many},
        {"a large message", test_large},
        {"several runs", test_runs},
        {"a message given up between runs", test_rest},
        {"strands", test_strands},
        {"interruption", test_interruption},
        {"winding down", test_winding_down},
        {"waits end where all stop", test_waits_end_where_all_stop},
        {"killed peers", test_killed},
        {"the port during a run", test_port},
        {"facts", test_facts}};
    return suite_main("mesh", tests, RG_COUNT(tests), argc, argv);
}
