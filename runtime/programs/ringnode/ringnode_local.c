/* ringnode --local: every rank as a process on this machine, and a parent that waits for them. */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/cores.h"
#include "base/file.h"
#include "base/limits.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t fork_rank(struct ringnode *node, int rank, int *listeners)
{
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
    if (!node->unbound)
        rg_cores_share(rank, node->hosts.count, node->study.scenario.training.threads);
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

/* Statuses as they come: rank 0 speaks for the run, and the first other rank that failed where rank
 * 0 saw nothing. */
struct outcome {
    int first, others;
};

static void note_end(const struct rg_options *options, int rank, pid_t pid, int status,
                     struct outcome *outcome)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : RG_EXIT_PEER;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "ringnode: rank %d was ended by signal %d (%s)\n", rank, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
        clean_up_after(options, pid);
    }
    if (rank == 0)
        outcome->first = code;
    else if (outcome->others == 0)
        outcome->others = code;
}

/* 1: it has ended, 0: not yet. It may have been stopped meanwhile, or gone on. */
static int look_at_rank(const struct rg_options *options, int rank, pid_t pid, bool *stopped,
                        struct outcome *outcome)
{
    int status;
    if (waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED) != pid)
        return 0;
    *stopped = WIFSTOPPED(status);
    if (WIFSTOPPED(status) || WIFCONTINUED(status))
        return 0;
    note_end(options, rank, pid, status, outcome);
    return 1;
}

/* Those that are left are stopped, and the others have given them up. */
static void end_stopped(const pid_t *pids, bool *stopped, int count)
{
    for (int rank = 0; rank < count; rank++) {
        if (pids[rank] <= 0)
            continue;
        fprintf(stderr, "ringnode: rank %d is stopped, and the others have ended without it\n",
                rank);
        kill(pids[rank], SIGKILL);
        stopped[rank] = false; /* said once */
    }
}

/* Each rank is asked for by its number: a child that this process has inherited from the shell that
 * became it is none of ours. Looking now and then, so that no signal can be missed. */
static int wait_for_ranks(const struct rg_options *options, pid_t *pids, int count)
{
    struct outcome outcome = {0};
    bool passed_on = false, *stopped = calloc((size_t)count, sizeof *stopped);
    RG_ASSERT(stopped);
    for (int left = count; left > 0;) {
        int before = left, still = 0;
        bool pass_on = ringnode_interrupted && !passed_on;
        passed_on = passed_on || pass_on;
        left = 0;
        for (int rank = 0; rank < count; rank++) {
            if (pids[rank] <= 0)
                continue;
            if (pass_on)
                kill(pids[rank], SIGUSR1);
            if (look_at_rank(options, rank, pids[rank], &stopped[rank], &outcome))
                pids[rank] = 0; /* its number may be another process's from now on */
            left += pids[rank] > 0;
            still += pids[rank] > 0 && stopped[rank];
        }
        if (left > 0 && left == still && (outcome.first || outcome.others))
            end_stopped(pids, stopped, count);
        if (left == before)
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    free(stopped);
    return outcome.first ? outcome.first : outcome.others;
}

/* One process each; where one cannot be made those before it end. */
static void fork_ranks(struct ringnode *node, int count, int *listeners, pid_t *pids)
{
    fflush(NULL);
    signal(SIGCHLD, SIG_DFL); /* whoever started this may ignore it: no status would be left */
    for (int rank = 0; rank < count; rank++) {
        pids[rank] = fork_rank(node, rank, listeners);
        if (pids[rank] < 0) {
            rg_cli_complain("ringnode", RG_ERR_INTERNAL, strerror(errno));
            for (int r = 0; r < rank; r++)
                kill(pids[r], SIGTERM);
            break;
        }
    }
    for (int rank = 0; rank < count; rank++)
        close(listeners[rank]);
}

int ringnode_run_local(struct ringnode *node)
{
    int count = 1, status;
    struct rg_error e = {0};
    char who[40];
    for (int i = 0; i < node->study.job_count; i++)
        count = RG_MAX(count, node->study.jobs[i].nodes);
    int *listeners = calloc((size_t)count, sizeof *listeners);
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    RG_ASSERT(listeners && pids);
    snprintf(who, sizeof who, "%d ranks on this machine", count);
    int result = rg_limits_descriptors(count + RINGNODE_DESCRIPTORS, who, &e);
    if (result == 0)
        result = rg_local_listen(count, listeners, &node->hosts, &e);
    if (result == 0) {
        fork_ranks(node, count, listeners, pids);
        rg_key_forget(&node->key);
        status = wait_for_ranks(&node->options, pids, count);
    } else {
        status = rg_cli_complain("ringnode", result, e.text);
    }
    free(listeners);
    free(pids);
    return ringnode_interrupted ? RG_EXIT_INTERRUPTED : status;
}
