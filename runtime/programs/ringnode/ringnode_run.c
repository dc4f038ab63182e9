/* A strategy as it runs on one rank: how it is stopped, what it is told and tells, in words too how
 * it ended. Signals may come at any time. */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/signals.h"
#include "node/node.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- being stopped ---- */

static struct rg_mesh *volatile mesh_to_stop;
volatile int ringnode_stop_join;
volatile sig_atomic_t ringnode_interrupted;
static volatile sig_atomic_t timed_out;

static void stop(int join)
{
    ringnode_stop_join = join;
    if (mesh_to_stop)
        rg_mesh_wind_down(mesh_to_stop);
}

/* The update under way is finished. Asked again after a second: at once. Sooner it may be the same
 * wish, come twice: from the terminal or a supervisor to the whole group, and from the parent to
 * its ranks. */
static void on_interrupt(int number)
{
    static double first_s;
    if (number != SIGUSR1 && ringnode_interrupted && rg_clock_s() - first_s > 1) {
        rg_file_abandon_all();
        _exit(RG_EXIT_INTERRUPTED);
    }
    if (!ringnode_interrupted)
        first_s = rg_clock_s();
    ringnode_interrupted = 1;
    stop(1);
}

void ringnode_set_alarm(double seconds)
{
    struct itimerval timer = {.it_value.tv_sec = (time_t)seconds};
    timer.it_value.tv_usec = (suseconds_t)(1e6 * (seconds - floor(seconds)));
    if (seconds > 0 && timer.it_value.tv_sec == 0)
        timer.it_value.tv_usec = RG_MAX(timer.it_value.tv_usec, 1); /* 0 would mean never */
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void on_alarm(int number)
{
    (void)number;
    timed_out = 1;
    if (mesh_to_stop)
        rg_mesh_expire(mesh_to_stop);
    stop(RG_JOIN_EXPIRED);
}

void ringnode_stops(struct rg_mesh *mesh)
{
    mesh_to_stop = mesh;
    if (mesh && ringnode_interrupted)
        rg_mesh_wind_down(mesh);
}

bool ringnode_is_late(void)
{
    return timed_out;
}

bool ringnode_is_stopped(void)
{
    return ringnode_interrupted || timed_out;
}

void ringnode_catch_signals(void)
{
    struct sigaction interrupt = {.sa_handler = on_interrupt}, late = {.sa_handler = on_alarm};
    rg_catch_endings(on_interrupt);
    sigaction(SIGUSR1, &interrupt, NULL); /* from the parent of --local */
    sigaction(SIGALRM, &late, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- strategies ---- */

/* A line now and then, for who reads through a pipe: ringdeploy. */
static void tell_progress(void *arg, int64_t done, int64_t total, double time_s)
{
    static double last;
    const struct rg_job *job = arg;
    double now = rg_clock_s();
    if (now - last < 1 && done < total)
        return;
    last = now;
    fprintf(stderr, "  %.40s %" PRId64 "/%" PRId64 ", %.1f s\n", job->label, done, total, time_s);
}

static void show_progress(void *arg, int64_t done, int64_t total, double time_s)
{
    static double last;
    const struct rg_job *job = arg;
    double now = rg_clock_s();
    if (now - last > 0.2 || done == total)
        fprintf(stderr, "\r\033[K  %.40s %" PRId64 "/%" PRId64 ", %.1f s%s", job->label, done,
                total, time_s, done == total ? "\r\033[K" : "");
    last = now - last > 0.2 ? now : last;
}

const struct rg_board *ringnode_pace(const struct ringnode *node, const struct rg_job *job)
{
    if (!node->pace || node->rank >= job->nodes)
        return NULL;
    int seat = node->attempts.seat ? node->attempts.seat[node->rank] : node->rank;
    return node->datasheet.count ? node->datasheet.boards[seat] : job->boards[node->rank];
}

static void tell_heat(void *arg, struct rg_run_heat *heat)
{
    struct rg_heat_facts facts;
    rg_heat_read(arg, &facts);
    *heat = (struct rg_run_heat){.known = true,
                                 .clock_least_Hz = facts.clock_least_hz,
                                 .clock_most_Hz = facts.clock_most_hz,
                                 .clock_limit_Hz = facts.clock_limit_hz,
                                 .before_C = facts.before_C,
                                 .least_C = facts.least_C,
                                 .most_C = facts.most_C,
                                 .readings = facts.readings};
    rg_copy_text(heat->held_back, sizeof heat->held_back, facts.held_back);
}

/* As `find` of struct rg_node_options: what --checkpoint has written. */
static const struct rg_training_state *find_checkpoint(void *arg, int64_t than)
{
    struct ringnode *node = arg;
    const char *folder = node->options.checkpoint;
    struct rg_training_state found;
    struct rg_error e = {0};
    if (!folder || rg_training_newest(folder) <= than ||
        rg_node_open_checkpoints(node->study->jobs, folder, folder, &found, &e) != 0)
        return NULL; /* what --resume-from has named, or the beginning */
    rg_training_state_free(&node->resumed);
    node->resumed = found;
    return &node->resumed;
}

int ringnode_program(struct rg_world *w, void *arg)
{
    struct ringnode_run *r = arg;
    const struct rg_board *pace = ringnode_pace(r->node, r->job);
    struct utsname system = {0};
    uname(&system);
    bool first = w->rank == 0 && !r->node->options.quiet;
    bool show = first && isatty(STDERR_FILENO), tell = first && r->node->progress;
    struct rg_node_options options = {
        .stop = r->node->study->scenario.stop,
        .initial = r->node->initial,
        .save = r->node->options.save,
        .save_best = r->node->options.save_best,
        .checkpoint = w->rank == 0 ? r->node->options.checkpoint : NULL,
        .every = rg_cli_every(&r->node->options, &r->node->study->scenario, r->job),
        .resume = r->node->resumed.arrays ? &r->node->resumed : NULL,
        .find = r->node->later && w->rank == 0 ? find_checkpoint : NULL,
        .find_arg = r->node,
        .scenario_sha256 = r->node->study->scenario.digest,
        .trace = r->node->options.trace != NULL,
        .part = r->node->options.part,
        .compared = &r->node->compared,
        .kept = &r->node->kept,
        .attempts = r->node->attempts.lose ? &r->node->attempts : NULL,
        .machine = system.machine,
        .host = rg_mesh_host(r->node->mesh, w->rank),
        .heat = r->node->heat ? tell_heat : NULL,
        .heat_arg = r->node->heat,
        .pace = pace ? pace->name : NULL,
        .progress = tell   ? tell_progress
                    : show ? show_progress
                           : NULL,
        .progress_arg = (void *)r->job};
    w->board = r->job->boards[w->rank];
    bool joined = r->node->attempts.lose == RG_LOSE_RESTART; /* anew */
    int result = joined ? rg_attempts_share(w, options.attempts) : 0;
    return result ? result : rg_node_run(w, r->job, &options, r->run);
}

void ringnode_end_early(struct rg_run *run, int code, const char *text)
{
    run->status = code == RG_ERR_NO_FIT                            ? RG_RUN_NO_FIT
                  : code == RG_ERR_INTERRUPTED                     ? RG_RUN_INTERRUPTED
                  : code == RG_ERR_PEER || code == RG_ERR_PROTOCOL ? RG_RUN_LOST
                                                                   : RG_RUN_FAILED;
    run->error_code = code;
    rg_copy_text(run->error, sizeof run->error, text);
}

void ringnode_fail_run(struct rg_run *run, const struct rg_job *job, int code, const char *text)
{
    if (!run)
        return;
    rg_run_free(run);
    rg_run_init(run);
    rg_job_describe(job, run);
    ringnode_end_early(run, code, text);
}

int ringnode_explain(struct ringnode *node, int code, char *text, size_t size)
{
    struct rg_mesh_lost lost;
    if (timed_out || (!ringnode_interrupted && rg_mesh_expired(node->mesh))) { /* here, or there */
        snprintf(text, size, "not finished within --timeout");
        return RG_ERR_TIMEOUT;
    }
    if (code != RG_ERR_INTERRUPTED && rg_mesh_lost(node->mesh, &lost))
        rg_copy_text(text, size, lost.text);
    else
        snprintf(text, size, "%s", rg_strerror(code));
    return code;
}

/* Joules that nobody knows though a meter was wanted: rank 0 says why for all, as in the result. */
void ringnode_tell_energy(struct ringnode *node, const struct rg_job *job, const struct rg_run *run)
{
    const char *own = node->meter ? rg_meter_error(node->meter) : "";
    if (run && run->meter.known && run->meter.error[0])
        fprintf(stderr, "ringnode: %s: no energy: %s\n", job->label, run->meter.error);
    else if (!run && own[0] && node->rank < job->nodes)
        fprintf(stderr, "ringnode: rank %d: %s: no energy: %s\n", node->rank, job->label, own);
    if (run && run->meter.known && run->meter.warning[0])
        fprintf(stderr, "ringnode: %s: warning: %s\n", job->label, run->meter.warning);
    if (run && run->held_back.known)
        fprintf(stderr, "ringnode: %s: %d of %d boards held back: %s\n", job->label,
                run->held_back.nodes, run->nodes, run->held_back.first);
}

/* ---- runs that end before their time ---- */

/* "TEXT; after iteration 12 of 30; its parameters are saved", or who has them no more. */
/* What there is to go on from, where --checkpoint was given. */
static void name_checkpoint(const struct ringnode *node, const struct rg_run *run, char *text,
                            size_t size)
{
    text[0] = '\0';
    if (run->checkpoints.known && run->checkpoints.iteration >= 0)
        snprintf(text, size, "; the checkpoint of iteration %" PRId64 " is in %.100s",
                 run->checkpoints.iteration, node->options.checkpoint);
    else if (run->checkpoints.known)
        snprintf(text, size, "; there is no checkpoint of it");
}

void ringnode_end_run(const struct ringnode *node, const struct rg_job *job, const char *text,
                      struct rg_run *run)
{
    char end[2 * sizeof run->error], kept[240] = "", checkpoint[200];
    const char *separator = text[0] ? "; " : "";
    if (run->ending.missing[0])
        snprintf(kept, sizeof kept, "; nobody has %.150s any more: nothing is saved",
                 run->ending.missing);
    else if (node->options.save && run->weights_sha256[0] && !run->unsaved[0])
        snprintf(kept, sizeof kept, "; its parameters are saved");
    name_checkpoint(node, run, checkpoint, sizeof checkpoint);
    snprintf(end, sizeof end, "%.300s%safter iteration %" PRId64 " of %" PRId64 "%s%s", text,
             separator, run->iterations, job->iterations, kept, checkpoint);
    rg_copy_text(run->error, sizeof run->error, end);
}

/* Asked to stop, all ranks have finished the update under way; what is known of the run stays. */
void ringnode_note_stop(struct ringnode *node, const struct rg_job *job, struct rg_run *run)
{
    node->rest_code = RG_ERR_INTERRUPTED;
    if (run) {
        ringnode_end_early(run, RG_ERR_INTERRUPTED, "");
        ringnode_end_run(node, job, "", run);
    } else {
        fprintf(stderr, "ringnode: rank %d: %s: interrupted, after an update\n", node->rank,
                job->label);
    }
}

void ringnode_note(void *arg, int job, const char *text)
{
    struct ringnode *node = arg;
    rg_run_note(&node->noted[job], text);
    if (!node->options.quiet)
        fprintf(stderr, "ringnode: %s: %s\n", node->study->jobs[job].label, text);
}
