/* ringsim: simulate every strategy of a scenario, each in a process of its own.
 *
 * Happy path: read and check everything, fork a child a strategy (as many at once as --jobs says),
 * read each child's run from a pipe, print the table, write the files.
 * Failure modes handled: a run that does not fit is not started; a child that crashes, deadlocks or
 * takes longer than --timeout gives a failed run and the others go on; Ctrl-C ends the children and
 * what has finished is still written. */
#include "base/check.h"
#include "base/file.h"
#include "cli.h"
#include "engine.h"
#include "models/blas.h"
#include "node.h"
#include "result/checkpoint.h"
#include "world_sim.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_JOBS = 256 };

/* What a child tells while it works, in shared memory; torn values only spoil a progress line. */
struct shared {
    volatile long done, total;
    volatile double time_s;
};

struct task {
    const struct rg_job *job;
    struct rg_run run;
    pid_t pid; /* 0: not started or over */
    int pipe;
    char *text;
    size_t length, capacity;
    double started_s;
    bool timed_out, started;
};

struct ringsim {
    struct rg_options options;
    int jobs; /* --jobs */
    struct rg_study study;
    float *initial;
    struct task *tasks;
    int count;
    struct shared *shared;
    bool terminal;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static double wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the child ---- */

struct simulation {
    struct ringsim *ringsim;
    struct task *task;
    struct shared *shared;
};

static void tell_progress(void *arg, long done, long total, double time_s)
{
    struct shared *shared = arg;
    shared->done = done;
    shared->total = total;
    shared->time_s = time_s;
}

static int node_program(struct rg_world *w, void *arg)
{
    struct simulation *s = arg;
    struct ringsim *r = s->ringsim;
    struct rg_node_options options = {.stop_accuracy = r->study.scenario.stop_accuracy,
                                      .initial = r->initial,
                                      .save = r->options.save,
                                      .trace = r->options.trace != NULL,
                                      .host = r->study.platform.names[w->rank],
                                      .progress = tell_progress,
                                      .progress_arg = s->shared};
    return rg_node_run(w, s->task->job, &options, w->rank == 0 ? &s->task->run : NULL);
}

static void on_terminate(int number)
{
    (void)number;
    rg_file_abandon_all();
    _exit(RG_EXIT_INTERRUPTED);
}

static void write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno != EINTR)
            return; /* the parent is gone: nobody to tell */
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        }
    }
}

static _Noreturn void be_child(struct ringsim *r, int index, int fd)
{
    struct task *task = &r->tasks[index];
    struct simulation s = {r, task, &r->shared[index]};
    struct rg_sim_options options = {.platform = r->study.platform.file,
                                     .link_rate = r->study.scenario.training.link_rate,
                                     .size = task->job->nodes,
                                     .hosts = r->study.platform.names,
                                     .boards = task->job->boards,
                                     .threads = task->job->threads,
                                     .faults = &r->study.scenario.faults,
                                     .seed = r->study.scenario.seed};
    struct rg_error e = {0};
    int *results = calloc((size_t)task->job->nodes, sizeof *results);
    RG_ASSERT(results);
    int result = rg_sim_run(&options, node_program, &s, results, &e);
    if (result && task->run.error_code == 0)
        task->run.error_code = result;
    if (task->run.error_code && task->run.status == RG_RUN_OK)
        task->run.status = RG_RUN_FAILED;
    if (e.code)
        snprintf(task->run.error, sizeof task->run.error, "%s", e.text);
    char *text = NULL;
    if (rg_run_encode(&task->run, &text) == 0)
        write_all(fd, text, strlen(text));
    _exit(0);
}

/* ---- the parent ---- */

static void fail_run(struct task *task, enum rg_status status, int code, const char *text)
{
    rg_run_free(&task->run);
    rg_run_init(&task->run);
    rg_job_describe(task->job, &task->run);
    task->run.status = status;
    task->run.error_code = code;
    snprintf(task->run.error, sizeof task->run.error, "%s", text);
}

static void start(struct ringsim *r, int index)
{
    struct task *task = &r->tasks[index];
    struct rg_error e;
    int ends[2];
    task->started = true;
    int fits = rg_job_fits(task->job, &e);
    if (fits) {
        fail_run(task, RG_RUN_NO_FIT, fits, e.text);
        return;
    }
    /* A signal between the fork and the child's own handlers must not be lost. */
    sigset_t ending, before;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, &before);
    fflush(NULL);
    if (pipe(ends) != 0 || (task->pid = fork()) < 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        task->pid = 0;
        fail_run(task, RG_RUN_FAILED, RG_ERR_INTERNAL, strerror(errno));
        return;
    }
    if (task->pid == 0) {
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, on_terminate);
        sigprocmask(SIG_SETMASK, &before, NULL);
        be_child(r, index, ends[1]);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    task->pipe = ends[0];
    task->started_s = wall_s();
}

static void finish(struct task *task)
{
    int status = 0;
    struct rg_error e;
    while (waitpid(task->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close(task->pipe);
    task->pid = 0;
    char line[96] = "the simulation ended without a result";
    if (WIFSIGNALED(status))
        snprintf(line, sizeof line, "the simulation was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    if (task->length > 0 && status == 0) {
        task->text[task->length] = 0;
        rg_run_free(&task->run);
        if (rg_run_decode(task->text, &task->run, &e) != 0)
            fail_run(task, RG_RUN_FAILED, RG_ERR_INTERNAL, e.text);
    } else if (task->timed_out) {
        fail_run(task, RG_RUN_FAILED, RG_ERR_TIMEOUT, "not finished within --timeout");
    } else if (interrupted) {
        fail_run(task, RG_RUN_INTERRUPTED, RG_ERR_INTERRUPTED, rg_strerror(RG_ERR_INTERRUPTED));
    } else {
        fail_run(task, RG_RUN_FAILED, RG_ERR_INTERNAL, line);
    }
    free(task->text);
    task->text = NULL;
}

/* Take what a child has written; true when it has closed its end. */
static bool take(struct task *task)
{
    if (task->length + 65536 > task->capacity) {
        size_t capacity = 2 * task->capacity + 131072;
        char *text = realloc(task->text, capacity);
        RG_ASSERT(text);
        task->text = text;
        task->capacity = capacity;
    }
    ssize_t n = read(task->pipe, task->text + task->length, 65535);
    if (n > 0)
        task->length += (size_t)n;
    return n == 0 || (n < 0 && errno != EINTR);
}

static void show_progress(struct ringsim *r)
{
    char line[160] = "";
    size_t at = 0;
    for (int i = 0; i < r->count; i++) {
        const struct task *task = &r->tasks[i];
        if (task->pid && at < sizeof line - 64)
            at += (size_t)snprintf(line + at, sizeof line - at, "  %.24s %ld/%ld", task->job->label,
                                   r->shared[i].done, r->shared[i].total);
    }
    fprintf(stderr, "\r\033[K%.118s", line);
    fflush(stderr);
}

static void watch(struct ringsim *r)
{
    struct pollfd fds[MOST_JOBS];
    int owner[MOST_JOBS], n = 0;
    for (int i = 0; i < r->count; i++) {
        if (r->tasks[i].pid) {
            fds[n] = (struct pollfd){.fd = r->tasks[i].pipe, .events = POLLIN};
            owner[n++] = i;
        }
    }
    poll(fds, (nfds_t)n, 200);
    for (int i = 0; i < n; i++) {
        struct task *task = &r->tasks[owner[i]];
        bool late = r->options.timeout_s > 0 && wall_s() - task->started_s > r->options.timeout_s;
        if ((late && !task->timed_out) || interrupted) {
            task->timed_out = late;
            kill(task->pid, SIGTERM);
        }
        if (fds[i].revents && take(task))
            finish(task);
    }
    if (r->terminal)
        show_progress(r);
}

static void run_all(struct ringsim *r)
{
    int next = 0, running;
    do {
        running = 0;
        for (int i = 0; i < r->count; i++)
            running += r->tasks[i].pid != 0;
        while (running < r->jobs && next < r->count && !interrupted) {
            start(r, next);
            running += r->tasks[next++].pid != 0;
        }
        if (running)
            watch(r);
    } while (running || (next < r->count && !interrupted));
    if (r->terminal)
        fputs("\r\033[K", stderr);
    for (int i = 0; i < r->count; i++)
        if (!r->tasks[i].started)
            fail_run(&r->tasks[i], RG_RUN_INTERRUPTED, RG_ERR_INTERRUPTED,
                     rg_strerror(RG_ERR_INTERRUPTED));
}

/* ---- main ---- */

enum { KEY_JOBS = 'j' };

static const struct argp_option options[] = {
    {"jobs", KEY_JOBS, "N", 0, "Strategies simulated at once (default: the cores)", 0}, {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct ringsim *r = state->input;
    char *end;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &r->options;
        return 0;
    }
    if (key != KEY_JOBS)
        return ARGP_ERR_UNKNOWN;
    r->jobs = (int)strtol(arg, &end, 10);
    if (*end || end == arg || r->jobs < 1 || r->jobs > MOST_JOBS)
        argp_failure(state, RG_EXIT_USAGE, 0, "--jobs %s: a number from 1 to %d is allowed", arg,
                     MOST_JOBS);
    return 0;
}

static const struct argp_child children[] = {{&rg_cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    options,
    parse,
    "SCENARIO.xml",
    "Simulate the strategies of a scenario on a cluster of boards: time, accuracy, traffic, memory."
    "\v"
    "Examples:\n"
    "  ringsim scenarios/pi-cluster-64.xml\n"
    "  ringsim scenarios/formula.xml --strategy ringtmp-3S --json result.json\n"
    "  ringsim scenarios/iris-3.xml --set epochs=200 --set ring.schedule=gpipe --trace ring.trace\n"
    "  ringsim scenarios/pi-cluster-64.xml --check\n\n"
    "Exit status: 0 every run that fits finished; 1 internal error; 2 bad usage or scenario; "
    "3 deadlock or unfinished; 130 interrupted.",
    children,
    NULL,
    NULL};

/* What SimGrid thinks of the platform, before anything is run or written. */
static int probe(struct ringsim *r)
{
    struct rg_error e;
    int nodes = 1;
    for (int i = 0; i < r->study.job_count; i++)
        nodes = RG_MAX(nodes, r->study.jobs[i].nodes);
    int result = rg_engine_probe(r->study.platform.file, r->study.scenario.training.link_rate,
                                 r->study.platform.names, r->study.platform.boards, nodes, &e);
    if (result)
        fprintf(stderr, "%s\n", e.text);
    return result ? RG_EXIT_USAGE : 0;
}

static int load_initial(struct ringsim *r)
{
    struct rg_error e;
    if (!r->options.load)
        return 0;
    int result = rg_checkpoint_load(r->options.load, &r->study.network, &r->initial, &e);
    if (result)
        fprintf(stderr, "ringsim: %s\n", e.text);
    return result ? RG_EXIT_USAGE : 0;
}

static int load_data(struct ringsim *r)
{
    struct rg_error e;
    int result = rg_study_load_data(&r->study, &e);
    if (result)
        fprintf(stderr, "ringsim: %s\n", e.text);
    return result ? RG_EXIT_USAGE : 0;
}

static int report(struct ringsim *r, double started_s)
{
    struct rg_result result = {.tool = "ringsim",
                               .world = "sim",
                               .scenario = r->study.scenario.name,
                               .seed = r->study.scenario.seed,
                               .run_count = r->count};
    result.runs = calloc((size_t)r->count, sizeof *result.runs);
    RG_ASSERT(result.runs);
    for (int i = 0; i < r->count; i++)
        result.runs[i] = r->tasks[i].run;
    rg_cli_host(&result, wall_s() - started_s);
    int status = rg_cli_finish(&r->options, "ringsim", &result);
    if (!interrupted)
        rg_cli_tell_capacities(&r->options, &r->study, &result);
    for (int i = 0; i < r->count; i++)
        rg_run_free(&result.runs[i]);
    free(result.runs);
    return interrupted ? RG_EXIT_INTERRUPTED : status;
}

static int simulate(struct ringsim *r)
{
    double started_s = wall_s();
    int status = load_data(r);
    if (status)
        return status;
    r->count = r->study.job_count;
    r->tasks = calloc((size_t)r->count, sizeof *r->tasks);
    r->shared = mmap(NULL, (size_t)r->count * sizeof *r->shared, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RG_ASSERT(r->tasks && r->shared != MAP_FAILED);
    for (int i = 0; i < r->count; i++) {
        r->tasks[i].job = &r->study.jobs[i];
        rg_run_init(&r->tasks[i].run);
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    run_all(r);
    status = report(r, started_s);
    free(r->tasks);
    return status;
}

int main(int argc, char **argv)
{
    struct ringsim r = {.jobs = (int)RG_MIN(sysconf(_SC_NPROCESSORS_ONLN), MOST_JOBS)};
    rg_blas_setup(argv);
    rg_cli_parse(&argp, argc, argv, &r);
    if (r.options.list) {
        rg_cli_list(stdout);
        return 0;
    }
    int status = rg_cli_open(&r.options, "ringsim", &r.study);
    if (status == 0 && rg_blas_note() && !r.options.quiet)
        fprintf(stderr, "ringsim: %s\n", rg_blas_note());
    r.terminal = isatty(STDERR_FILENO) && !r.options.quiet;
    if (status == 0)
        status = probe(&r);
    if (status == 0)
        status = load_initial(&r);
    if (status == 0 && r.options.check)
        rg_cli_check(&r.study, stdout);
    else if (status == 0)
        status = simulate(&r);
    rg_study_close(&r.study);
    rg_cli_free(&r.options);
    free(r.initial);
    return status;
}
