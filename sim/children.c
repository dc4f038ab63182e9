/* A pool of forked children.
 *
 * Failure modes handled: a child that crashes or is killed, one that takes longer than the timeout,
 * a fork that is refused (that job fails, the others go on), Ctrl-C (no more are started, those
 * that run are asked to end), the death of this process (children get SIGTERM). */
#include "children.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/need.h"
#include "base/signals.h"
#include "cli/cli.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct slot {
    int index;
    pid_t pid; /* 0: free */
    int pipe;
    char *text;
    size_t length, capacity;
    double started_s;
    bool timed_out;
};

static struct slot slots[RG_CHILDREN_MOST];
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

bool rg_children_interrupted(void)
{
    return interrupted;
}

bool rg_children_runs(int index)
{
    for (int i = 0; i < RG_CHILDREN_MOST; i++)
        if (slots[i].pid && slots[i].index == index)
            return true;
    return false;
}

static void on_terminate(int number)
{
    (void)number;
    rg_file_abandon_all();
    _exit(RG_EXIT_INTERRUPTED);
}

void rg_children_catch(void)
{
    rg_catch_endings(on_terminate);
}

static void start(const struct rg_children *pool, struct slot *slot, int index)
{
    int ends[2];
    /* A signal between the fork and the child's own handlers must not be lost. */
    sigset_t ending, before;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, &before);
    fflush(NULL);
    *slot = (struct slot){.index = index};
    int piped = pipe(ends);
    if (piped != 0 || (slot->pid = fork()) < 0) {
        int error = errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (piped == 0) {
            close(ends[0]);
            close(ends[1]);
        }
        slot->pid = 0;
        pool->ended(pool->arg, index, RG_CHILDREN_DIED, strerror(error), 0);
        return;
    }
    if (slot->pid == 0) {
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        signal(SIGINT, SIG_IGN); /* these two are for the parent, which ends its children */
        signal(SIGHUP, SIG_IGN);
        signal(SIGTERM, on_terminate);
        sigprocmask(SIG_SETMASK, &before, NULL);
        pool->child(pool->arg, index, ends[1]);
        _exit(RG_EXIT_INTERNAL);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    slot->pipe = ends[0];
    slot->started_s = rg_clock_s();
}

static void finish(const struct rg_children *pool, struct slot *slot)
{
    int status = 0;
    while (waitpid(slot->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close(slot->pipe);
    slot->pid = 0;
    bool again;
    char line[400] = "the simulation ended without a result", limits[300] = "";
    if (WIFSIGNALED(status)) {
        if (WTERMSIG(status) == SIGKILL) /* as the system does where memory runs out */
            rg_limits_name("/", limits, sizeof limits);
        snprintf(line, sizeof line, "the simulation was ended by signal %d (%s)%s",
                 WTERMSIG(status), strsignal(WTERMSIG(status)), limits);
    }
    if (slot->length > 0 && status == 0) {
        again = pool->ended(pool->arg, slot->index, RG_CHILDREN_WROTE, slot->text, slot->length);
    } else if (slot->timed_out) {
        again = pool->ended(pool->arg, slot->index, RG_CHILDREN_TIMED_OUT, NULL, 0);
    } else if (interrupted) {
        again = pool->ended(pool->arg, slot->index, RG_CHILDREN_INTERRUPTED, NULL, 0);
    } else {
        again = pool->ended(pool->arg, slot->index, RG_CHILDREN_DIED, line, 0);
    }
    free(slot->text);
    slot->text = NULL;
    if (again && !interrupted)
        start(pool, slot, slot->index);
}

/* Take what a child has written; true when it has closed its end. */
static bool take(struct slot *slot)
{
    if (slot->length + 65536 > slot->capacity) {
        size_t capacity = 2 * slot->capacity + 131072;
        slot->text = rg_need(slot->text, capacity);
        slot->capacity = capacity;
    }
    ssize_t n = read(slot->pipe, slot->text + slot->length, 65536);
    if (n > 0)
        slot->length += (size_t)n;
    return n == 0 || (n < 0 && errno != EINTR);
}

static void watch(const struct rg_children *pool)
{
    struct pollfd fds[RG_CHILDREN_MOST];
    struct slot *owner[RG_CHILDREN_MOST];
    int n = 0;
    for (int i = 0; i < pool->at_once; i++) {
        if (slots[i].pid) {
            fds[n] = (struct pollfd){.fd = slots[i].pipe, .events = POLLIN};
            owner[n++] = &slots[i];
        }
    }
    poll(fds, (nfds_t)n, 200);
    for (int i = 0; i < n; i++) {
        struct slot *slot = owner[i];
        bool late = pool->timeout_s > 0 && rg_clock_s() - slot->started_s > pool->timeout_s;
        if ((late && !slot->timed_out) || interrupted) {
            slot->timed_out = late;
            kill(slot->pid, SIGTERM);
        }
        if (fds[i].revents && take(slot))
            finish(pool, slot);
    }
}

/* Fill the free slots with jobs from *next on; how many children run then. */
static int fill(const struct rg_children *pool, int *next)
{
    int running = 0;
    for (int i = 0; i < pool->at_once; i++) {
        while (!slots[i].pid && *next < pool->count && !interrupted) {
            int index = pool->order ? pool->order[*next] : *next;
            ++*next;
            if (pool->wanted(pool->arg, index))
                start(pool, &slots[i], index);
        }
        running += slots[i].pid != 0;
    }
    return running;
}

void rg_children_run(const struct rg_children *pool)
{
    int next = 0;
    double ticked_s = 0;
    RG_ASSERT(pool->at_once >= 1 && pool->at_once <= RG_CHILDREN_MOST);
    rg_catch_endings(on_signal);
    while (fill(pool, &next) > 0) {
        watch(pool);
        if (pool->tick && rg_clock_s() - ticked_s >= 0.2) {
            pool->tick(pool->arg);
            ticked_s = rg_clock_s();
        }
    }
}
