/* Who is alive, who is lost, and why: ranks that compute, are stopped, fail by themselves. */
#include "base/check.h"
#include "base/clock.h"
#include "support/suite.h"
#include "tests/posix/cluster.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TAG = RG_TAG_USER, MOST = 8, VICTIM = 1 };

#define TIMEOUT_S (1.0 * RG_TEST_SLOWNESS)

/* What the ranks tell the test. */
struct told {
    int begun[MOST], over[MOST];
    struct rg_mesh_lost lost[MOST];
    struct rg_mesh_sign signs[MOST][RG_MESH_SIGNS];
    int sign_count[MOST];
};
static struct told *told;
static char host[RG_HOST_TEXT]; /* of the victim */

static void nap(double seconds)
{
    double until = rg_clock_s() + seconds;
    for (double left; (left = until - rg_clock_s()) > 0;)
        nanosleep(&(struct timespec){(time_t)left, (long)(1e9 * (left - (double)(time_t)left))},
                  NULL);
}

static void nap_fn(void *seconds)
{
    nap(*(double *)seconds);
}

/* Numbers round a ring, for ever; the rank behind the victim feels its absence first. */
static int chatter(struct rg_world *w, void *arg)
{
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size, in, out = 0;
    int result = 0;
    (void)arg;
    for (int i = 0; result == 0; i++) {
        told->begun[w->rank] = i > 2;
        result = rg_sendrecv(w, next, &out, sizeof out, previous, &in, sizeof in, TAG);
    }
    return result;
}

static int run(struct rg_mesh *mesh, rg_program_fn program)
{
    struct rg_error e;
    int rank = rg_mesh_rank(mesh);
    int result, error = rg_mesh_run(mesh, rg_mesh_size(mesh), program, NULL, &result, &e);
    rg_mesh_lost(mesh, &told->lost[rank]);
    told->sign_count[rank] = rg_mesh_signs(mesh, told->signs[rank]);
    told->over[rank] = 1;
    return error ? error : result;
}

static int chat(struct rg_mesh *mesh, void *arg)
{
    (void)arg;
    return run(mesh, chatter);
}

/* Cluster of `size`, begun; peers are given up after TIMEOUT_S. */
static void start(struct cluster *c, int size, cluster_body body)
{
    memset(told, 0, sizeof *told);
    cluster_peer_timeout_s = TIMEOUT_S;
    CU_ASSERT_EQUAL_FATAL(cluster_start(c, size, body, NULL), 0);
    rg_host_text(&c->hosts.host[VICTIM], host);
    double limit = rg_clock_s() + 30 * RG_TEST_SLOWNESS;
    for (int r = 0; r < size; r++)
        while (!told->begun[r] && rg_clock_s() < limit)
            nap(0.001);
}

/* All but the victim know who was lost, where, and why. */
static void expect_lost(const struct cluster *c, const int *results, const char *how,
                        const char *why)
{
    char text[700];
    for (int r = 0; r < c->size; r++) {
        const struct rg_mesh_lost *lost = &told->lost[r];
        if (r == VICTIM)
            continue;
        snprintf(text, sizeof text, "rank %d (%s) %s", VICTIM, host, how);
        CU_ASSERT_EQUAL(results[r], RG_ERR_PEER);
        CU_ASSERT_EQUAL(lost->rank, VICTIM);
        CU_ASSERT_STRING_EQUAL(lost->host, host);
        CU_ASSERT_TRUE(lost->why[0] && strstr(lost->why, why));
        CU_ASSERT_EQUAL(strncmp(lost->text, text, strlen(text)), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(lost->text, lost->why));
        if (!strstr(lost->why, why) || strncmp(lost->text, text, strlen(text)) != 0)
            printf("  rank %d: %s\n", r, lost->text);
    }
}

/* A sign of the victim, which lasted so long; sooner than half a beat nobody looks. A busy machine
 * may keep anybody waiting besides. */
static void expect_sign(int rank, enum rg_sign wanted, double seconds)
{
    bool found = false;
    for (int i = 0; i < told->sign_count[rank]; i++) {
        const struct rg_mesh_sign *sign = &told->signs[rank][i];
        found = found || (sign->rank == VICTIM && sign->sign == wanted &&
                          sign->end_s - sign->begin_s >= seconds);
    }
    CU_ASSERT(found);
}

static bool others_are_over(int size)
{
    for (int r = 0; r < size; r++)
        if (r != VICTIM && !told->over[r])
            return false;
    return true;
}

static void test_stopped(void)
{
    struct cluster c;
    int results[MOST], size = 4;
    start(&c, size, chat);
    kill(c.pids[VICTIM], SIGSTOP);
    double limit = rg_clock_s() + 30 * RG_TEST_SLOWNESS;
    while (!others_are_over(size) && rg_clock_s() < limit)
        nap(0.01);
    CU_ASSERT_TRUE(others_are_over(size));
    kill(c.pids[VICTIM], SIGCONT); /* and it knows that it was */
    CU_ASSERT_EQUAL(cluster_wait(&c, 30, results), 0);
    char why[80];
    snprintf(why, sizeof why, "no sign of life for %.0f s, though its machine answers", TIMEOUT_S);
    expect_lost(&c, results, "was lost", why);
    int first =
        told->lost[0].lost_s < told->lost[2].lost_s ? 0 : 2; /* one may have it from another */
    expect_sign(first, RG_SIGN_FROZEN, 0.75 * TIMEOUT_S);
    CU_ASSERT_TRUE(told->lost[first].lost_s - told->lost[first].heard_s >= 0.75 * TIMEOUT_S);
    CU_ASSERT_EQUAL(results[VICTIM], RG_ERR_PEER);
    CU_ASSERT_EQUAL(told->lost[VICTIM].rank, VICTIM);
    CU_ASSERT_PTR_NOT_NULL(strstr(told->lost[VICTIM].why, "was stopped for "));
}

static void test_killed(void)
{
    struct cluster c;
    int results[MOST];
    start(&c, 4, chat);
    kill(c.pids[VICTIM], SIGKILL);
    CU_ASSERT_EQUAL(cluster_wait(&c, 30, results), 0);
    expect_lost(&c, results, "was lost", ""); /* a reset, or just the end */
}

/* All of them, as when a laptop is closed: nobody is blamed for the time that all have missed. */
static void test_all_stopped(void)
{
    struct cluster c;
    int results[MOST], size = 3;
    start(&c, size, chat);
    for (int r = 0; r < size; r++) { /* the last has read all that the others have said... */
        kill(c.pids[r], SIGSTOP);
        nap(0.15 * TIMEOUT_S);
    }
    nap(2 * TIMEOUT_S);
    for (int r = size - 1; r >= 0; r--) { /* ... and looks round before they are there again */
        kill(c.pids[r], SIGCONT);
        nap(0.15 * TIMEOUT_S);
    }
    nap(1.2 * TIMEOUT_S);
    for (int r = 0; r < size; r++)
        CU_ASSERT_FALSE(told->over[r]);
    kill(c.pids[VICTIM], SIGKILL);
    CU_ASSERT_EQUAL(cluster_wait(&c, 30, results), 0);
    expect_lost(&c, results, "was lost", ""); /* a reset, or just the end */
}

/* ---- slow, and alive ---- */

/* Rank 1 computes for longer than the others wait for one that is silent. */
static int slow_victim(struct rg_world *w, void *arg)
{
    double seconds = 2.2 * TIMEOUT_S;
    int number = 5;
    (void)arg;
    struct rg_request request;
    told->begun[w->rank] = 1;
    if (w->rank == VICTIM) {
        rg_compute(w, NULL, "nap", -1, nap_fn, &seconds);
        nap(seconds); /* and without a word to the world */
        for (int r = 0; r < w->size; r++) {
            if (r == VICTIM)
                continue;
            rg_send(w, r, TAG, &number, sizeof number, &request);
            rg_wait(w, &request);
        }
        return 0;
    }
    rg_recv(w, VICTIM, TAG, &number, sizeof number, &request);
    while (w->rank == 2 && !rg_done(w, &request)) /* it looks now and then, others wait */
        nap(0.01);
    return rg_wait(w, &request);
}

static char *heard_on_stderr(FILE *stream)
{
    static char text[4096];
    rewind(stream);
    size_t n = fread(text, 1, sizeof text - 1, stream);
    text[n] = '\0';
    return text;
}

static int be_slow(struct rg_mesh *mesh, void *arg)
{
    (void)arg;
    return run(mesh, slow_victim);
}

static void test_slow(void)
{
    struct cluster c;
    int results[MOST], size = 4, saved = dup(STDERR_FILENO);
    FILE *log = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    cluster_slow_s = 1.2 * TIMEOUT_S;
    dup2(fileno(log), STDERR_FILENO);
    start(&c, size, be_slow);
    int broken = cluster_wait(&c, 60, results);
    dup2(saved, STDERR_FILENO);
    close(saved);
    cluster_slow_s = 0;
    CU_ASSERT_EQUAL(broken, 0);
    for (int r = 0; r < size; r++) {
        CU_ASSERT_EQUAL(results[r], 0);
        CU_ASSERT_EQUAL(told->lost[r].rank, -1);
    }
    expect_sign(0, RG_SIGN_SLOW, 2.4 * TIMEOUT_S); /* seen twice */
    char line[400];
    const char *text = heard_on_stderr(log);
    snprintf(line, sizeof line, "ringnode: rank 0: waiting for rank %d (%s) for ", VICTIM, host);
    const char *first = strstr(text, line), *again = first ? strstr(first + 1, line) : NULL;
    CU_ASSERT_PTR_NOT_NULL(first);
    CU_ASSERT_PTR_NOT_NULL(again);                            /* twice as long */
    CU_ASSERT_PTR_NULL(again ? strstr(again + 1, line) : ""); /* would be after 4.8 of them */
    CU_ASSERT_PTR_NULL(strstr(text, "rank 1: waiting"));      /* it waits for nobody */
    fclose(log);
}

/* ---- ranks that fail by themselves ---- */

static int fail_at_last(struct rg_world *w, void *arg)
{
    (void)arg;
    told->begun[w->rank] = 1;
    struct rg_request request;
    int from = w->rank == 0 ? w->size - 1 : w->rank - 1; /* round a ring: most wait for others */
    char byte;
    if (w->rank == VICTIM) {
        nap(0.1);
        return RG_ERR_NOMEM;
    }
    rg_recv(w, from, TAG, &byte, 1, &request);
    return rg_wait(w, &request);
}

static int be_failing(struct rg_mesh *mesh, void *arg)
{
    (void)arg;
    return run(mesh, fail_at_last);
}

static void test_failed(void)
{
    struct cluster c;
    int results[MOST];
    start(&c, 5, be_failing);
    CU_ASSERT_EQUAL(cluster_wait(&c, 30, results), 0);
    CU_ASSERT_EQUAL(results[VICTIM], RG_ERR_NOMEM);
    CU_ASSERT_EQUAL(told->lost[VICTIM].rank, -1);
    expect_lost(&c, results, "", "out of memory");
    CU_ASSERT_PTR_NOT_NULL(strstr(told->lost[2].text, ") failed: out of memory"));
}

int main(int argc, char **argv)
{
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static const struct suite_test tests[] = {{"a rank that is killed", test_killed},
                                              {"a rank that is stopped", test_stopped},
                                              {"all of them stopped", test_all_stopped},
                                              {"a rank that computes for long", test_slow},
                                              {"a rank that fails by itself", test_failed}};
    return told == MAP_FAILED ? 1 : suite_main("alive", tests, RG_COUNT(tests), argc, argv);
}
