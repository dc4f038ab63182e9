/* ringnode --local: every rank as a process on this machine, and a parent that waits for them. */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/need.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOST_S 3 /* seconds after which the others have noticed that a rank is silent */

static pid_t fork_rank(struct ringnode *node, int rank, int *listeners, struct ringnode_seen *seen)
{
    seen->joined = false;
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (getppid() != parent) /* it was quicker to die */
        _exit(RG_EXIT_INTERRUPTED);
    for (int r = 0; r < node->hosts.count; r++)
        if (r != rank)
            close(listeners[r]);
    node->rank = rank;
    node->seen = seen;
    if (!node->unbound)
        rg_cores_share(rank, node->hosts.count, node->study->scenario.training.threads);
    int status = ringnode_run_rank(node, listeners[rank]);
    fflush(NULL);
    _exit(status);
}

/* A rank that was ended by a signal had no time to take its temporary files away. */
static void clean_up_after(const struct rg_options *options, pid_t pid)
{
    const char *const paths[] = {options->json, options->trace, options->save, options->save_best,
                                 options->out};
    for (size_t i = 0; i < RG_COUNT(paths); i++)
        if (paths[i])
            rg_file_abandon_of(paths[i], (long)pid);
}

/* What the parent knows of its children. */
struct family {
    struct ringnode *node;
    int count, *listeners; /* kept where a rank may have to be started again, else -1 */
    pid_t *pids;           /* 0: it has ended */
    double *stopped_s;     /* since when it has been stopped; 0: it is not */
    bool *again;           /* it was started again */
    int *status;           /* of those that have ended; -1: by a signal */
    int first_to_fail;     /* the status of the first other rank than 0 that failed; 0: none has */
    struct ringnode_seen *seen; /* [count] shared with them */
};

/* Whoever ends well has been told that the training is over: there is nobody to join any more. */
static bool is_over(const struct family *f)
{
    for (int rank = 0; rank < f->count; rank++)
        if (f->pids[rank] == 0 && f->status[rank] == 0)
            return true;
    return false;
}

static bool may_start_again(const struct family *f)
{
    return f->node->attempts.lose == RG_LOSE_RESTART && !ringnode_interrupted && !is_over(f);
}

/* A rank that a signal has ended is a lost board: as a supervisor does, it is started again. One
 * that has ended by itself has said why. */
static void start_again(struct family *f, int rank)
{
    fprintf(stderr, "ringnode: rank %d is started again\n", rank);
    fflush(NULL);
    f->node->later = f->again[rank] = true;
    f->pids[rank] = fork_rank(f->node, rank, f->listeners, &f->seen[rank]);
    f->pids[rank] = RG_MAX(f->pids[rank], 0);
}

static void note_end(struct family *f, int rank, int status)
{
    pid_t pid = f->pids[rank];
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : RG_EXIT_PEER;
    f->pids[rank] = 0; /* its number may be another process's from now on */
    f->status[rank] = WIFSIGNALED(status) ? -1 : code;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "ringnode: rank %d was ended by signal %d (%s)\n", rank, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
        clean_up_after(&f->node->options, pid);
        if (may_start_again(f)) {
            start_again(f, rank);
            return;
        }
    }
    bool late = WIFSIGNALED(status) && is_over(f) && f->node->attempts.lose != RG_LOSE_STOP;
    if (rank > 0 && f->first_to_fail == 0 && !late)
        f->first_to_fail = code;
}

/* It may have been stopped meanwhile, or gone on. */
static void look_at_rank(struct family *f, int rank)
{
    int status;
    if (waitpid(f->pids[rank], &status, WNOHANG | WUNTRACED | WCONTINUED) != f->pids[rank])
        return;
    f->stopped_s[rank] = WIFSTOPPED(status) ? rg_clock_s() : 0;
    if (!WIFSTOPPED(status) && !WIFCONTINUED(status))
        note_end(f, rank, status);
}

/* Those that are left are stopped, and the others have given them up. */
static void end_stopped(struct family *f)
{
    for (int rank = 0; rank < f->count; rank++) {
        if (f->pids[rank] <= 0)
            continue;
        fprintf(stderr, "ringnode: rank %d is stopped, and the others have ended without it\n",
                rank);
        kill(f->pids[rank], SIGKILL);
        f->stopped_s[rank] = 0; /* said once */
    }
}

/* One that the others have lost, and wait for. */
static void end_lost(struct family *f)
{
    for (int rank = 0; rank < f->count && may_start_again(f); rank++)
        if (f->stopped_s[rank] > 0 &&
            rg_clock_s() - f->stopped_s[rank] > f->node->peer_timeout_s + LOST_S) {
            kill(f->pids[rank], SIGKILL);
            f->stopped_s[rank] = 0;
        }
}

/* Those that were started again as the training ended: they would wait for others. */
static void end_late(struct family *f)
{
    for (int rank = 0; rank < f->count && is_over(f); rank++)
        if (f->pids[rank] > 0 && f->again[rank] && !f->seen[rank].joined) {
            f->again[rank] = false; /* said once */
            fprintf(stderr, "ringnode: rank %d is not needed any more: the training is over\n",
                    rank);
            kill(f->pids[rank], SIGKILL);
        }
}

static bool is_reported(const struct family *f)
{
    for (int rank = 0; rank < f->count; rank++)
        if (f->seen[rank].reported)
            return true;
    return false;
}

/* Rank 0 speaks for the run, and the first other rank that failed where rank 0 saw nothing. Where
 * those that are left go on, the lowest of them speaks: whoever was lost does not. */
static int outcome(const struct family *f)
{
    bool outlives = f->node->attempts.lose > RG_LOSE_RESTART;
    int worst = 0;
    for (int rank = 0; rank < f->count && outlives; rank++) {
        int status = f->status[rank];
        if (status == 0 && !is_reported(f))
            break;
        if (status >= 0 && status != RG_EXIT_PEER)
            return status;
        worst = RG_EXIT_PEER;
    }
    if (is_over(f) && !is_reported(f) && f->node->attempts.lose != RG_LOSE_STOP &&
        !ringnode_interrupted)
        fprintf(stderr, "ringnode: the training is over, and the rank that was to write its result "
                        "was lost before it had told that it has\n");
    int first = f->status[0] < 0 ? RG_EXIT_PEER : f->status[0];
    return outlives ? worst : first ? first : f->first_to_fail;
}

/* Each rank is asked for by its number: a child that this process has inherited from the shell that
 * became it is none of ours. Looking now and then, so that no signal can be missed. */
static int wait_for_ranks(struct family *f)
{
    bool passed_on = false, failed = false;
    for (int left = f->count; left > 0;) {
        int before = left, still = 0;
        bool pass_on = ringnode_interrupted && !passed_on;
        passed_on = passed_on || pass_on;
        left = 0;
        for (int rank = 0; rank < f->count; rank++) {
            if (f->pids[rank] <= 0)
                continue;
            if (pass_on)
                kill(f->pids[rank], SIGUSR1);
            look_at_rank(f, rank);
            failed = failed || (f->pids[rank] == 0 && f->status[rank] != 0);
            left += f->pids[rank] > 0;
            still += f->pids[rank] > 0 && f->stopped_s[rank] > 0;
        }
        bool over = f->node->attempts.lose != RG_LOSE_STOP && is_over(f);
        if (left > 0 && left == still &&
            (failed || over || f->node->attempts.lose > RG_LOSE_RESTART))
            end_stopped(f);
        end_lost(f);
        end_late(f);
        if (left == before)
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return outcome(f);
}

/* One process each; where one cannot be made those before it end. */
static void fork_ranks(struct family *f)
{
    struct ringnode *node = f->node;
    fflush(NULL);
    signal(SIGCHLD, SIG_DFL); /* whoever started this may ignore it: no status would be left */
    for (int rank = 0; rank < f->count; rank++) {
        f->pids[rank] = fork_rank(node, rank, f->listeners, &f->seen[rank]);
        if (f->pids[rank] < 0) {
            rg_cli_complain("ringnode", RG_ERR_INTERNAL, strerror(errno));
            for (int r = 0; r < rank; r++)
                kill(f->pids[r], SIGTERM);
            break;
        }
    }
    for (int rank = 0; rank < f->count && node->attempts.lose != RG_LOSE_RESTART; rank++)
        close(f->listeners[rank]);
}

static int run_family(struct family *f)
{
    struct ringnode *node = f->node;
    struct rg_error e = {0};
    char who[40];
    snprintf(who, sizeof who, "%d ranks on this machine", f->count);
    int result = rg_limits_descriptors(f->count + RINGNODE_DESCRIPTORS, who, &e);
    if (result == 0)
        result = rg_local_listen(f->count, f->listeners, &node->hosts, &e);
    if (result)
        return rg_cli_complain("ringnode", result, e.text);
    int status = ringnode_open_attempts(node);
    if (status == 0) {
        fork_ranks(f);
        if (node->attempts.lose != RG_LOSE_RESTART)
            rg_key_forget(&node->key);
        status = wait_for_ranks(f);
    }
    rg_key_forget(&node->key);
    rg_attempts_close(&node->attempts);
    return status;
}

int ringnode_run_local(struct ringnode *node)
{
    int count = ringnode_local_ranks(node);
    struct family f = {.node = node,
                       .count = count,
                       .listeners = rg_need_zeroed((size_t)count, sizeof *f.listeners),
                       .pids = rg_need_zeroed((size_t)count, sizeof *f.pids),
                       .stopped_s = rg_need_zeroed((size_t)count, sizeof *f.stopped_s),
                       .again = rg_need_zeroed((size_t)count, sizeof *f.again),
                       .status = rg_need_zeroed((size_t)count, sizeof *f.status)};
    size_t size = (size_t)count * sizeof *f.seen;
    void *seen = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    f.seen = rg_needed(seen == MAP_FAILED ? NULL : seen);
    int status = run_family(&f);
    munmap(f.seen, size);
    free(f.again);
    free(f.listeners);
    free(f.pids);
    free(f.stopped_s);
    free(f.status);
    return ringnode_interrupted ? RG_EXIT_INTERRUPTED : status;
}
