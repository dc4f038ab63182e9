/* Happy path: a process is forked and waits for its order. Where the first simulation wants a
 * second, it simulates, tells seconds and joules, and ends; else the pipe is closed, and it ends.
 *
 * Failure modes handled: no process to be had, or one that fails: nothing is known then. */
#include "again.h"

#include "base/file.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
    double time_s, energy_J;
};

static _Noreturn void wait_and_simulate(int from, int to, rg_again_fn simulate, void *arg)
{
    struct rg_again_order order;
    struct answer answer = {NAN, NAN};
    struct rg_run run;
    if (!rg_pipe_read(from, &order, sizeof order))
        _exit(0);
    rg_run_init(&run);
    simulate(arg, &order, &run);
    if (run.status == RG_RUN_OK && run.iterations == order.iterations)
        answer = (struct answer){run.time_s, run.energy_J.total};
    _exit(!rg_pipe_write(to, &answer, sizeof answer));
}

void rg_again_begin(struct rg_again *again, rg_again_fn simulate, void *arg)
{
    int order[2], answer[2];
    pid_t self = getpid();
    *again = (struct rg_again){.pid = -1};
    fflush(NULL);
    if (pipe(order) != 0)
        return;
    if (pipe(answer) != 0) {
        close(order[0]);
        close(order[1]);
        return;
    }
    again->pid = fork();
    if (again->pid == 0) {
        close(order[1]);
        close(answer[0]);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != self)
            _exit(1);
        wait_and_simulate(order[0], answer[1], simulate, arg);
    }
    close(order[0]);
    close(answer[1]);
    again->order = order[1];
    again->answer = answer[0];
}

/* A stream that a goal has ended was further on than one that was to end there. */
static bool is_wanted(const struct rg_job *job, const struct rg_run *run)
{
    bool whole = run->iterations == job->iterations || !job->flows_on;
    return run->status == RG_RUN_OK && run->engine.near_ties > 0 && whole &&
           run->extrapolated_iterations == 0 && run->traffic.messages > 0;
}

void rg_again_end(struct rg_again *again, const struct rg_job *job, struct rg_run *run)
{
    if (again->pid < 0)
        return;
    bool on_data = run->filtered.known || run->predicted.counts.at_most;
    struct rg_again_order order = {run->iterations, job->numerics && on_data};
    struct answer answer = {NAN, NAN};
    if (is_wanted(job, run) && rg_pipe_write(again->order, &order, sizeof order) &&
        !rg_pipe_read(again->answer, &answer, sizeof answer))
        answer = (struct answer){NAN, NAN};
    close(again->order);
    close(again->answer);
    while (waitpid(again->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    run->engine.again_s = answer.time_s;
    run->engine.again_J = answer.energy_J;
}
