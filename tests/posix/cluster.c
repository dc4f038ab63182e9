#include "tests/posix/cluster.h"

#include "base/check.h"
#include "base/clock.h"
#include <CUnit/CUnit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double cluster_peer_timeout_s, cluster_slow_s;

/* With RG_TEST_KEY in the environment every rank has a key: the same tests again, over TLS. */
static const struct rg_key *test_key(void)
{
    static const struct rg_key key = {.secret = "of tests, and no secret"};
    return getenv("RG_TEST_KEY") ? &key : NULL;
}

/* The parent has closed its listeners, which would keep the ports open. */
static void wait_for_parent(const int gate[2])
{
    char byte;
    close(gate[1]);
    while (read(gate[0], &byte, 1) < 0)
        continue;
    close(gate[0]);
}

static void be_rank(struct cluster *c, int rank, const int gate[2], cluster_body body, void *arg)
{
    for (int r = 0; r < c->size; r++)
        if (r != rank)
            close(c->listeners[r]);
    wait_for_parent(gate);
    struct rg_error e = {0};
    struct rg_join join = {.rank = rank,
                           .hosts = &c->hosts,
                           .listener = c->listeners[rank],
                           .scenario = "test",
                           .nonce = 1 + (uint64_t)getppid(),
                           .timeout_s = 30 * RG_TEST_SLOWNESS,
                           .peer_timeout_s = cluster_peer_timeout_s,
                           .slow_s = cluster_slow_s,
                           .key = test_key(),
                           .quiet = true};
    struct rg_mesh *mesh;
    int result = rg_mesh_join(&join, &mesh, &e);
    if (result == 0) {
        result = body(mesh, arg);
        rg_mesh_leave(mesh);
    } else {
        fprintf(stderr, "rank %d: %s\n", rank, e.text);
    }
    c->results[rank] = result;
    rg_hosts_free(&c->hosts);
    exit(0);
}

int cluster_start(struct cluster *c, int size, cluster_body body, void *arg)
{
    struct rg_error e;
    int gate[2];
    memset(c, 0, sizeof *c);
    c->size = size;
    c->results = mmap(NULL, CLUSTER_MOST * sizeof(int), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->results == MAP_FAILED || pipe(gate) != 0 ||
        rg_local_listen(size, c->listeners, &c->hosts, &e) != 0)
        return RG_ERR_INTERNAL;
    fflush(NULL);
    for (int r = 0; r < size; r++) {
        c->results[r] = RG_ERR_INTERNAL;
        c->pids[r] = fork();
        if (c->pids[r] == 0)
            be_rank(c, r, gate, body, arg);
    }
    for (int r = 0; r < size; r++)
        close(c->listeners[r]);
    close(gate[0]);
    close(gate[1]);
    return 0;
}

static bool reap(struct cluster *c, int r, int *results, int *broken)
{
    int status;
    if (waitpid(c->pids[r], &status, WNOHANG) != c->pids[r])
        return false;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        results[r] = RG_TEST_DIED;
    } else {
        results[r] = c->results[r];
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fprintf(stderr, "rank %d ended with status %#x\n", r, (unsigned)status);
            *broken = RG_ERR_INTERNAL;
        }
    }
    c->pids[r] = 0;
    return true;
}

int cluster_wait(struct cluster *c, double timeout_s, int *results)
{
    double deadline = rg_clock_s() + timeout_s * RG_TEST_SLOWNESS;
    int broken = 0, left = c->size;
    while (left > 0) {
        for (int r = 0; r < c->size; r++)
            left -= c->pids[r] && reap(c, r, results, &broken);
        if (left && rg_clock_s() > deadline) {
            broken = RG_ERR_INTERNAL;
            for (int r = 0; r < c->size; r++) {
                if (!c->pids[r])
                    continue;
                fprintf(stderr, "rank %d hangs\n", r);
                kill(c->pids[r], SIGKILL);
                waitpid(c->pids[r], NULL, 0);
                results[r] = RG_ERR_INTERNAL;
                left--;
            }
        }
        if (left)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    munmap(c->results, CLUSTER_MOST * sizeof(int));
    rg_hosts_free(&c->hosts);
    return broken;
}

struct one_run {
    int size;
    rg_program_fn program;
    void *arg;
};

static int run_once(struct rg_mesh *mesh, void *arg)
{
    const struct one_run *run = arg;
    struct rg_error e;
    int result, error = rg_mesh_run(mesh, run->size, run->program, run->arg, &result, &e);
    return error ? error : result;
}

int cluster_run(int size, rg_program_fn program, void *arg, double timeout_s, int *results)
{
    struct cluster c;
    struct one_run run = {size, program, arg};
    int error = cluster_start(&c, size, run_once, &run);
    return error ? error : cluster_wait(&c, timeout_s, results);
}

void cluster_expect(int size, const int *results, int wanted)
{
    for (int r = 0; r < size; r++) {
        if (results[r] != wanted)
            printf("  rank %d: %d (%s)\n", r, results[r], rg_strerror(results[r]));
        CU_ASSERT_EQUAL(results[r], wanted);
    }
}

void cluster_nap(double seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};
    left.tv_nsec = (long)(1e9 * (seconds - (double)left.tv_sec));
    while (nanosleep(&left, &left) != 0)
        continue;
}

int cluster_traffic(struct rg_world *w, char *buffers[4], unsigned i)
{
    static const size_t sizes[] = {0, 1, 4000, 100000, 400000, 3 << 20};
    size_t bytes = sizes[i % RG_COUNT(sizes)];
    int next = (w->rank + 1) % w->size, previous = (w->rank + w->size - 1) % w->size;
    struct rg_request r[4], *all[] = {&r[0], &r[1], &r[2], &r[3]};
    rg_send(w, next, RG_TAG_USER, buffers[0], bytes, &r[0]);
    rg_send(w, previous, RG_TAG_USER + 1, buffers[1], bytes, &r[1]);
    if (i % 3 == 0)
        rg_compute(w, NULL, "x", -1, NULL, NULL);
    rg_recv(w, previous, RG_TAG_USER, buffers[2], bytes, &r[2]);
    rg_recv(w, next, RG_TAG_USER + 1, buffers[3], bytes, &r[3]);
    return rg_wait_all(w, all, 4);
}
