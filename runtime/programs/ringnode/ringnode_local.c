/* ringnode --local: every rank as a process on this machine, and a parent that waits for them. */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/cores.h"
#include "base/file.h"
#include <errno.h>
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
    const char *const paths[] = {options->json, options->trace, options->save};
    for (size_t i = 0; i < RG_COUNT(paths); i++)
        if (paths[i])
            rg_file_abandon_of(paths[i], (long)pid);
}

/* Rank 0 speaks for the run; a rank that ended otherwise than it counts where rank 0 saw nothing.
 */
static int wait_for_ranks(const struct rg_options *options, pid_t *pids, int count)
{
    int first = 0, others = 0, left = count;
    bool passed_on = false;
    while (left > 0) {
        int status;
        for (int rank = 0; rank < count && ringnode_interrupted && !passed_on; rank++)
            if (pids[rank] > 0)
                kill(pids[rank], SIGUSR1);
        passed_on = passed_on || ringnode_interrupted;
        pid_t pid = waitpid(-1, &status, WNOHANG); /* looking, so that no signal can be missed */
        if (pid == 0)
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        if (pid == 0 || (pid < 0 && errno == EINTR))
            continue;
        if (pid < 0)
            break;
        left--;
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : RG_EXIT_PEER, rank = 0;
        while (rank < count && pids[rank] != pid)
            rank++;
        RG_ASSERT(rank < count);
        pids[rank] = 0; /* its number may be another process's from now on */
        if (WIFSIGNALED(status)) {
            fprintf(stderr, "ringnode: rank %d was ended by signal %d (%s)\n", rank,
                    WTERMSIG(status), strsignal(WTERMSIG(status)));
            clean_up_after(options, pid);
        }
        if (rank == 0)
            first = code;
        else if (others == 0)
            others = code;
    }
    return first ? first : others;
}

int ringnode_run_local(struct ringnode *node)
{
    int count = 1;
    struct rg_error e = {0};
    for (int i = 0; i < node->study.job_count; i++)
        count = RG_MAX(count, node->study.jobs[i].nodes);
    int *listeners = calloc((size_t)count, sizeof *listeners);
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    RG_ASSERT(listeners && pids);
    int result = rg_local_listen(count, listeners, &node->hosts, &e);
    if (result)
        return ringnode_complain(result, e.text);
    fflush(NULL);
    for (int rank = 0; rank < count; rank++) {
        pids[rank] = fork_rank(node, rank, listeners);
        if (pids[rank] < 0) {
            ringnode_complain(RG_ERR_INTERNAL, strerror(errno));
            for (int r = 0; r < rank; r++)
                kill(pids[r], SIGTERM);
            break;
        }
    }
    for (int rank = 0; rank < count; rank++)
        close(listeners[rank]);
    rg_key_forget(&node->key);
    int status = wait_for_ranks(&node->options, pids, count);
    free(listeners);
    free(pids);
    return ringnode_interrupted ? RG_EXIT_INTERRUPTED : status;
}
