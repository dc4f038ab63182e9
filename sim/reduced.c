/* Happy path: a child simulates the job and watches whether it becomes steady; it then tells the
 * rhythm and ends. Further children simulate the short runs, and their sum is the run.
 *
 * Failure modes handled: a job that does not become steady, or too late for short runs to pay, is
 * simulated to its end by the first child; short runs that fail, or do not add what the rhythm
 * says, are thrown away and the job is simulated as a whole; a child that is ended by a signal
 * takes this process along, so that whoever waits for it sees the same. */
#include "reduced.h"

#include "base/check.h"
#include "base/file.h"
#include "base/need.h"
#include "extrapolate.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_LOOK = 6, WORTH_IT = 12 };

const char *rg_why_whole(const struct rg_job *job, const struct rg_study *study, bool traced,
                         bool checkpoints)
{
    const struct rg_scenario *scenario = &study->scenario;
    if (job->iterations < WORTH_IT)
        return "there are few iterations";
    if (job->numerics)
        return "numbers are computed, of which no two iterations have the same (numerics=\"skip\")";
    if (job->drawn)
        return "who takes part in an iteration is drawn";
    if (job->uneven)
        return "iterations differ in how much is done";
    if (rg_stop_given(&scenario->stop))
        return "it ends at what <stop> names";
    if (rg_scenario_has_faults(scenario))
        return "there are faults";
    if (study->platform.profiles.count > 0)
        return "the platform changes over time";
    if (job->flows_on)
        return "the stream goes on through the ends of epochs";
    if (checkpoints)
        return "training stands still for checkpoints";
    return traced ? "every event is in the timeline" : NULL;
}

/* ---- what a child tells ---- */

/* Head of a message: then `count` marks, then the bytes of a run. */
struct head {
    struct rg_rhythm rhythm; /* period 0: none */
    bool epochs;             /* it is whole epochs that repeat */
    size_t count, length;
};

struct told {
    struct head head;
    double *marks;
    unsigned char *bytes;
};

static _Noreturn void tell(int fd, struct head head, const double *marks, const struct rg_run *run)
{
    unsigned char *bytes = NULL;
    if (run && rg_run_encode(run, &bytes, &head.length) != 0)
        _exit(1);
    bool told = rg_pipe_write(fd, &head, sizeof head) &&
                rg_pipe_write(fd, marks, head.count * sizeof *marks) &&
                rg_pipe_write(fd, bytes, head.length);
    _exit(told ? 0 : 1);
}

static bool hear(int fd, struct told *told)
{
    struct head *head = &told->head;
    if (!rg_pipe_read(fd, head, sizeof *head))
        return false;
    told->marks = rg_need_zeroed(head->count + 1, sizeof *told->marks);
    told->bytes = rg_need(NULL, head->length + 1);
    return rg_pipe_read(fd, told->marks, head->count * sizeof *told->marks) &&
           rg_pipe_read(fd, told->bytes, head->length);
}

static void forget(struct told *told)
{
    free(told->marks);
    free(told->bytes);
    *told = (struct told){0};
}

/* ---- children ---- */

struct child {
    const struct rg_job *job;
    rg_simulate_fn simulate;
    void *arg;
    int fd;
    struct rg_steady *steady;
    int64_t under_way, next_look;
    double *marks;
};

static void choose_next_look(struct child *c, int64_t complete)
{
    int64_t epoch = c->job->iterations_per_epoch;
    if (complete < epoch)
        c->next_look = RG_MIN(complete + RG_MAX(complete / 4, 1), epoch);
    else /* epochs are steady from the first on, or never */
        c->next_look = complete < RG_MAX(3 * epoch, FIRST_LOOK)
                           ? RG_MAX(3, (FIRST_LOOK + epoch - 1) / epoch) * epoch
                           : INT64_MAX;
}

/* Tells and ends the process, unless going on costs no more. */
static void settle(struct child *c, const struct rg_rhythm *rhythm, bool epochs, int64_t done)
{
    const struct rg_job *job = c->job;
    struct rg_reduction reduction;
    bool possible =
        epochs ? rg_reduce_epochs(job->iterations, job->iterations_per_epoch, rhythm, &reduction)
               : rg_reduce_iterations(job->iterations, job->iterations_per_epoch, c->under_way,
                                      rhythm, &reduction);
    if (!possible || rg_reduction_cost(&reduction) >= job->iterations - done)
        return;
    tell(c->fd, (struct head){.rhythm = *rhythm, .epochs = epochs}, NULL, NULL);
}

static void look(struct child *c, int64_t complete)
{
    int64_t epoch = c->job->iterations_per_epoch;
    struct rg_rhythm rhythm;
    choose_next_look(c, complete);
    if (complete <= epoch && rg_steady_find(c->steady, complete, &rhythm))
        settle(c, &rhythm, false, complete);
    else if (complete >= 3 * epoch && rg_steady_repeats(c->steady, complete, epoch, &rhythm))
        settle(c, &rhythm, true, complete);
}

static int watch(void *arg, struct rg_world *w, int64_t i)
{
    struct child *c = arg;
    const struct rg_counters *n = &w->count;
    struct rg_sighting sighting = {.date_s = rg_now(w),
                                   .busy_s = n->busy_s,
                                   .unseen_s = n->unseen_s,
                                   .counts = n->messages + 0x9e3779b97f4a7c15 * n->bytes_sent +
                                             0xbf58476d1ce4e5b9 * n->messages_received +
                                             0x94d049bb133111eb * n->bytes_received +
                                             0xd6e8feb86659fd93 * n->late_receives};
    (void)i;
    rg_steady_note(c->steady, w->rank, &sighting);
    int64_t complete = rg_steady_complete(c->steady);
    if (complete >= c->next_look)
        look(c, complete);
    return 0;
}

static int mark(void *arg, struct rg_world *w, int64_t i)
{
    struct child *c = arg;
    if (w->rank == 0)
        c->marks[i] = rg_now(w);
    return 0;
}

static void be_watched(struct child *c)
{
    struct rg_run run;
    rg_run_init(&run);
    c->under_way = c->job->strategy->under_way ? c->job->strategy->under_way(c->job) : 1;
    c->steady = rg_needed(rg_steady_new(c->job->nodes, c->under_way));
    c->next_look = RG_MIN(FIRST_LOOK + c->under_way, c->job->iterations_per_epoch);
    c->simulate(c->arg, c->job, watch, c, &run);
    tell(c->fd, (struct head){0}, NULL, &run);
}

static void be_marked(struct child *c)
{
    struct rg_run run;
    rg_run_init(&run);
    c->marks = rg_need_zeroed((size_t)c->job->iterations, sizeof *c->marks);
    c->simulate(c->arg, c->job, mark, c, &run);
    tell(c->fd, (struct head){.count = (size_t)c->job->iterations}, c->marks, &run);
}

/* As a child of mine ended, so do I. */
static void share_fate(int status)
{
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
}

static bool in_child(struct child *c, void (*be)(struct child *), struct told *told)
{
    int ends[2], status = 0;
    pid_t self = getpid();
    *told = (struct told){0};
    fflush(NULL);
    if (pipe(ends) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != self)
            _exit(1);
        c->fd = ends[1];
        be(c); /* does not return */
    }
    close(ends[1]);
    bool heard = pid > 0 && hear(ends[0], told);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    share_fate(status);
    return heard && status == 0;
}

/* ---- together ---- */

static bool run_short(const struct child *whole, const struct rg_reduction *reduction, int i,
                      struct rg_reduced_run *run)
{
    struct rg_job job = *whole->job;
    struct child c = *whole;
    struct told told;
    struct rg_error e;
    job.foretold.known = false;
    job.iterations_per_epoch = reduction->runs[i].per_epoch;
    job.iterations = reduction->runs[i].iterations;
    c.job = &job;
    bool good = in_child(&c, be_marked, &told) &&
                rg_run_decode(told.bytes, told.head.length, &run->run, &e) == 0 &&
                run->run.status == RG_RUN_OK && run->run.iterations == job.iterations &&
                told.head.count == (size_t)job.iterations;
    run->marks = told.marks;
    told.marks = NULL;
    forget(&told);
    return good;
}

static bool extrapolate(const struct child *whole, const struct told *told, struct rg_run *run)
{
    const struct rg_job *job = whole->job;
    const struct rg_rhythm *rhythm = &told->head.rhythm;
    struct rg_reduced_run runs[RG_REDUCED_RUNS];
    struct rg_reduction reduction;
    int64_t under_way = job->strategy->under_way ? job->strategy->under_way(job) : 1;
    if (told->head.epochs)
        rg_reduce_epochs(job->iterations, job->iterations_per_epoch, rhythm, &reduction);
    else
        rg_reduce_iterations(job->iterations, job->iterations_per_epoch, under_way, rhythm,
                             &reduction);
    bool good = true;
    for (int i = 0; i < RG_REDUCED_RUNS; i++) {
        rg_run_init(&runs[i].run);
        runs[i].marks = NULL;
        if (i < reduction.count)
            good = good && run_short(whole, &reduction, i, &runs[i]);
    }
    good = good && rg_reduction_holds(&reduction, runs);
    good = good && rg_extrapolate(&reduction, runs, run) == 0;
    for (int i = 0; i < RG_REDUCED_RUNS; i++) {
        rg_run_free(&runs[i].run);
        free(runs[i].marks);
    }
    return good;
}

void rg_run_reduced(const struct rg_job *job, rg_simulate_fn simulate, void *arg,
                    struct rg_run *run)
{
    struct child child = {.job = job, .simulate = simulate, .arg = arg};
    struct told told;
    struct rg_error e;
    bool heard = in_child(&child, be_watched, &told);
    bool done = heard && (told.head.rhythm.period
                              ? extrapolate(&child, &told, run)
                              : rg_run_decode(told.bytes, told.head.length, run, &e) == 0);
    forget(&told);
    if (done)
        return;
    rg_run_free(run);
    rg_run_init(run);
    simulate(arg, job, NULL, NULL, run);
}
