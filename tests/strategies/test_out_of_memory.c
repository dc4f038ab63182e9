/* A rank that has no memory for one allocation, whichever it is, ends with that error, as do those
 * that hear of it, and leaves nothing behind; or it could do without, and the run is the same.
 * What a program cannot do without ends it.
 *
 * RG_MEMORY_ALL in the environment: every allocation, where some of each rank are tried else. */
#include "base/check.h"
#include "base/need.h"
#include "strategies/allocated.h"
#include "strategies/harness.h"
#include "strategies/tell.h"
#include "support/suite.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EACH = 12, NODES_MOST = 16 };

static int looked; /* which of the allocations are tried goes on from rank to rank */

/* One run; how many allocations there were of that rank's. */
static long run_without(const struct rg_job *job, int rank, long nth, struct rg_run *run,
                        int *results)
{
    allocated_fail(rank, nth);
    harness_run(job, &(struct harness_options){.seed = 1, .trace = true}, run, results);
    long asked = allocated_asked();
    allocated_fail(-1, 0);
    return asked;
}

static void look(const struct rg_job *job, int rank, long nth, const struct rg_run *whole)
{
    struct rg_run run;
    int results[NODES_MOST];
    allocated_begin(0);
    run_without(job, rank, nth, &run, results);
    bool told = false, over = run.status == RG_RUN_OK, waits = false;
    for (int i = 0; i < job->nodes; i++) {
        told = told || results[i] == RG_ERR_NOMEM;
        waits = waits || results[i] == RG_ERR_DEADLOCK;
        over = over && results[i] == 0;
    }
    bool same = over && strcmp(run.weights_sha256, whole->weights_sha256) == 0;
    rg_run_free(&run);
    int left = allocated_end();
    if (waits || same == told || left > 0)
        printf("%s: no memory for allocation %ld of rank %d\n", job->label, nth, rank);
    CU_ASSERT(same != told);
    CU_ASSERT(!waits);
    CU_ASSERT_EQUAL(left, 0);
}

/* The first, the second and the last rank: one of each part that there is in a strategy. */
static void look_at_ranks(const struct rg_job *job)
{
    const int ranks[] = {0, 1, job->nodes - 1};
    for (int i = 0; i < RG_MIN(job->nodes, 3); i++) {
        struct rg_run whole;
        int results[NODES_MOST];
        long asked = run_without(job, ranks[i], 0, &whole, results);
        long step = getenv("RG_MEMORY_ALL") ? 1 : RG_MAX(1, asked / EACH);
        CU_ASSERT_EQUAL(whole.status, RG_RUN_OK);
        CU_ASSERT(asked > EACH);
        for (long nth = 1 + looked++ % step; nth <= asked; nth += step)
            look(job, ranks[i], nth, &whole);
        rg_run_free(&whole);
    }
}

static void look_at_all(const char *file, const char *sets)
{
    char all[200];
    struct rg_study study;
    snprintf(all, sizeof all, "nodes=5 samples=720 iterations=3 %s", sets);
    CU_ASSERT_FATAL(harness_open(&study, file, all));
    for (int i = 0; i < study.job_count; i++) {
        CU_ASSERT_FATAL(study.jobs[i].nodes <= NODES_MOST);
        if (!study.jobs[i].refused)
            look_at_ranks(&study.jobs[i]);
    }
    rg_study_close(&study);
}

static void rings(void)
{
    look_at_all("matrix.xml", "");
    look_at_all("matrix-backup.xml", "");
    look_at_all("matrix-interleaved.xml", "nodes=4");
    look_at_all("matrix-replicas.xml", "nodes=4");
    look_at_all("matrix-rings.xml", "ring.nodes=3 one-2.nodes=4 one-3.nodes=8 seldom.nodes=6 "
                                    "three.nodes=9 two.nodes=10 warm.nodes=8");
}

static void all_reduce(void)
{
    look_at_all("matrix-allreduce.xml", "");
}

static void servers(void)
{
    look_at_all("matrix-stale.xml", "");
    look_at_all("matrix-filters.xml", "all.servers=2");
    look_at_all("matrix-servers.xml", "server.servers=2 replicas.replicas=5");
}

static void rounds_and_tasks(void)
{
    look_at_all("matrix-federated.xml", "");
    look_at_all("matrix-fsvrg.xml", "fsvrg.local-batch=90");
    look_at_all("matrix-lbfgs.xml", "batch=23 sandblaster.servers=2");
    look_at_all("matrix-tasks.xml", "mapreduce.reducers=2 mapreduce.copies=2");
}

/* ---- what a program ends without ---- */

static int refuse(struct rg_world *w, struct rg_request *request)
{
    (void)w, (void)request;
    return RG_ERR_NOMEM;
}

static const struct rg_world_ops full = {.name = "full", .send = refuse, .recv = refuse};

static void need(struct rg_world *w)
{
    (void)w;
    rg_needed(NULL);
}

static void tell(struct rg_world *w)
{
    rg_tell(w, RG_TAG_USER, 1);
}

static void hear(struct rg_world *w)
{
    int32_t number;
    rg_hear(w, RG_TAG_USER, &number);
}

static void ends_in(void (*what)(struct rg_world *w))
{
    int ends[2], status = 0;
    char said[100] = "";
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct rg_world w;
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        rg_world_init(&w, &full, 0, 1);
        what(&w);
        _exit(0);
    }
    close(ends[1]);
    CU_ASSERT(read(ends[0], said, sizeof said - 1) > 0);
    close(ends[0]);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_STRING_EQUAL(said, "out of memory\n");
    CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void some_end_the_program(void)
{
    ends_in(need);
    ends_in(tell);
    ends_in(hear);
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        {"rings", rings},
        {"all-reduce", all_reduce},
        {"servers", servers},
        {"rounds and tasks", rounds_and_tasks},
        {"what ends the program", some_end_the_program},
    };
    return suite_main("out of memory", tests, RG_COUNT(tests), argc, argv);
}
