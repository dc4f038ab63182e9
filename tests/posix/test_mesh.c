/* What is the posix world's own: several runs on one mesh, strands, large and many messages, and
 * that a warm iteration allocates nothing. How runs end before their time: test_stops.c. */
#include "base/check.h"
#include "tests/posix/cluster.h"
#include "tests/support/suite.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TAG = RG_TAG_USER, MOST = 16 };

/* So many ranks do this on a mesh of theirs, and all of it goes well. */
static void expect_good(int size, cluster_body body)
{
    struct cluster c;
    int results[MOST];
    CU_ASSERT_EQUAL_FATAL(cluster_start(&c, size, body, NULL), 0);
    CU_ASSERT_EQUAL(cluster_wait(&c, 60, results), 0);
    cluster_expect(size, results, 0);
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
        result = cluster_traffic(w, buffers, i);
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
    cluster_expect(3, results, 0);
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
            cluster_nap(0.02); /* all of them unasked-for */
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
    cluster_expect(2, results, 0);
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
    cluster_expect(2, results, 0);
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
            cluster_nap(0.01);
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
    cluster_expect(2, results, 0);
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
    static const struct suite_test tests[] = {{"allocations", test_allocations},
                                              {"many small messages", test_many},
                                              {"a large message", test_large},
                                              {"several runs", test_runs},
                                              {"a message given up between runs", test_rest},
                                              {"strands", test_strands},
                                              {"the port during a run", test_port},
                                              {"facts", test_facts}};
    return suite_main("mesh", tests, RG_COUNT(tests), argc, argv);
}
