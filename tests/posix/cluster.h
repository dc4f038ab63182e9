/* Ranks as processes of this machine, for tests: forked, joined over loopback, waited for. */
#ifndef RG_TESTS_CLUSTER_H
#define RG_TESTS_CLUSTER_H

#include "posix/world_posix.h"
#include "tests/conformance/conformance.h"
#include <sys/types.h>

enum { CLUSTER_MOST = 64 };

/* Runs in the process of each rank. */
typedef int (*cluster_body)(struct rg_mesh *mesh, void *arg);

/* Of the ranks of the next cluster: see struct rg_join; 0: its default. */
extern double cluster_peer_timeout_s, cluster_slow_s;

struct cluster {
    int size;
    pid_t pids[CLUSTER_MOST];
    int listeners[CLUSTER_MOST];
    struct rg_hosts hosts;
    int *results; /* shared with the ranks */
};

/* Fork `size` ranks that join and call body. Returns 0 or RG_ERR_INTERNAL. */
int cluster_start(struct cluster *c, int size, cluster_body body, void *arg);
/* Waits for all of them: results[rank] is what body returned, or RG_TEST_DIED after SIGKILL.
 * Returns 0, or RG_ERR_INTERNAL where one crashed or had not ended after timeout_s (it is then
 * killed). */
int cluster_wait(struct cluster *c, double timeout_s, int *results);
/* Both: one run of the program on all ranks. */
int cluster_run(int size, rg_program_fn program, void *arg, double timeout_s, int *results);
/* All of results[0..size) are `wanted`; else the test has failed and says which are not. */
void cluster_expect(int size, const int *results, int wanted);
void cluster_nap(double seconds);
/* Messages of all sizes (their i-th) to and from both neighbours, some of them unasked-for; buffers
 * of 3 MiB. */
int cluster_traffic(struct rg_world *w, char *buffers[4], unsigned i);

#endif
