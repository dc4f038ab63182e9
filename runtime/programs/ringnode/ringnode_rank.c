/* One rank of ringnode: join, run strategy after strategy, with a meter where one is wanted, and be
 * stopped by signals at any time; rank 0 reports. */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/signals.h"
#include "models/blas.h"
#include "node/node.h"
#include "node/outputs.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define SLOW_S 10 /* a wait for another rank that is worth a line */

/* ---- being stopped ---- */

static struct rg_mesh *volatile mesh_to_stop;
static volatile int stop_join;
volatile sig_atomic_t ringnode_interrupted;
static volatile sig_atomic_t timed_out;

static void stop(void)
{
    stop_join = 1;
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
    stop();
}

/* SIGALRM after so many seconds, 0: never. */
static void set_alarm(double seconds)
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
    stop();
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

struct one_run {
    struct ringnode *node;
    const struct rg_job *job;
    struct rg_run *run;
    struct rg_kept kept;
    double begun_s; /* on rg_clock_s */
};

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

/* The board whose time this rank's computations take; NULL: their own. */
static const struct rg_board *pace_of(const struct ringnode *node, const struct rg_job *job)
{
    if (!node->pace || node->rank >= job->nodes)
        return NULL;
    return node->datasheet.count ? node->datasheet.boards[node->rank] : job->boards[node->rank];
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

static int program(struct rg_world *w, void *arg)
{
    struct one_run *r = arg;
    const struct rg_board *pace = pace_of(r->node, r->job);
    struct utsname system = {0};
    uname(&system);
    bool first = w->rank == 0 && !r->node->options.quiet;
    bool show = first && isatty(STDERR_FILENO), tell = first && r->node->progress;
    struct rg_node_options options = {.stop = r->node->study.scenario.stop,
                                      .initial = r->node->initial,
                                      .save = r->node->options.save,
                                      .save_best = r->node->options.save_best,
                                      .checkpoint =
                                          w->rank == 0 ? r->node->options.checkpoint : NULL,
                                      .every = r->node->options.every,
                                      .resume = r->node->resumed.arrays ? &r->node->resumed : NULL,
                                      .scenario_sha256 = r->node->study.scenario.digest,
                                      .trace = r->node->options.trace != NULL,
                                      .part = r->node->options.part,
                                      .compared = &r->node->compared,
                                      .kept = &r->kept,
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
    return rg_node_run(w, r->job, &options, r->run);
}

static void end_early(struct rg_run *run, int code, const char *text)
{
    run->status = code == RG_ERR_NO_FIT                            ? RG_RUN_NO_FIT
                  : code == RG_ERR_INTERRUPTED                     ? RG_RUN_INTERRUPTED
                  : code == RG_ERR_PEER || code == RG_ERR_PROTOCOL ? RG_RUN_LOST
                                                                   : RG_RUN_FAILED;
    run->error_code = code;
    rg_copy_text(run->error, sizeof run->error, text);
}

/* Of a run that has not begun. */
static void fail_run(struct rg_run *run, const struct rg_job *job, int code, const char *text)
{
    if (!run)
        return;
    rg_run_free(run);
    rg_run_init(run);
    rg_job_describe(job, run);
    end_early(run, code, text);
}

/* What went wrong, in words: who was lost, where somebody was. */
static int explain(struct ringnode *node, int code, char *text, size_t size)
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
static void tell_energy(struct ringnode *node, const struct rg_job *job, const struct rg_run *run)
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

/* What kept this rank waiting since the run began. */
static void note_signs(const struct ringnode *node, struct rg_run *run, double begun_s)
{
    struct rg_mesh_sign signs[RG_MESH_SIGNS];
    int count = rg_mesh_signs(node->mesh, signs);
    run->signs = calloc((size_t)count + 1, sizeof *run->signs);
    for (int i = 0; i < count && run->signs; i++)
        if (signs[i].end_s >= begun_s)
            run->signs[run->sign_count++] =
                (struct rg_run_sign){.rank = signs[i].rank,
                                     .sign = (int)signs[i].sign,
                                     .from_s = signs[i].begin_s - begun_s,
                                     .to_s = signs[i].end_s - begun_s};
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

static void tell_end(const struct ringnode *node, const struct rg_job *job, const char *text,
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
static void note_stop(struct ringnode *node, const struct rg_job *job, struct rg_run *run)
{
    node->rest_code = RG_ERR_INTERRUPTED;
    if (run) {
        end_early(run, RG_ERR_INTERRUPTED, "");
        tell_end(node, job, "", run);
    } else {
        fprintf(stderr, "ringnode: rank %d: %s: interrupted, after an update\n", node->rank,
                job->label);
    }
}

static int salvage_program(struct rg_world *w, void *arg)
{
    struct one_run *r = arg;
    struct rg_node_options options = {.initial = r->node->initial, .save = r->node->options.save};
    w->board = r->job->boards[w->rank];
    return rg_node_salvage(w, r->job, &options, &r->kept, r->run);
}

/* A rank was lost, or has failed, maybe this one: those that are left save what they have whole.
 * True: this rank did it, and has the account of the run. */
static bool salvage(struct ringnode *node, struct one_run *r, int code)
{
    struct rg_mesh_lost lost;
    struct rg_error e;
    int result = 0;
    bool known = rg_mesh_lost(node->mesh, &lost);
    if (known && lost.rank == node->rank)
        return false; /* whoever is left has done it meanwhile */
    if (timed_out || rg_mesh_expired(node->mesh) || (code == RG_ERR_INTERRUPTED && !known))
        return node->rank == 0;
    if (r->job->numerics &&
        rg_mesh_rally(node->mesh, r->job->nodes, salvage_program, r, &result, &e) != 0)
        result = 0;
    if (r->run->iterations == 0)
        r->run->ending.missing[0] = '\0'; /* nothing was trained that could be missed */
    r->run->ending.early = true;
    r->run->ending.wanted_iterations = r->job->iterations;
    if (known) {
        r->run->ending.lost_rank = lost.rank;
        rg_copy_text(r->run->ending.lost_host, sizeof r->run->ending.lost_host, lost.host);
        rg_copy_text(r->run->ending.why, sizeof r->run->ending.why, lost.why);
        r->run->ending.heard_s = lost.heard_s - r->begun_s;
        r->run->ending.lost_s = lost.lost_s - r->begun_s;
    }
    return node->rank == 0 || result == 1;
}

/* Rank 0 is lost, and this one is the lowest that is left: it reports in its place. What rank 0
 * knew of the runs before is gone. */
static void take_over(struct ringnode *node, int index, const struct rg_run *run)
{
    node->runs = calloc((size_t)node->study.job_count, sizeof *node->runs);
    RG_ASSERT(node->runs);
    for (int i = 0; i < index; i++)
        fail_run(&node->runs[i], &node->study.jobs[i], RG_ERR_PEER,
                 "its result was lost with rank 0");
    node->runs[index] = *run;
}

static void forget_runs(struct ringnode *node)
{
    for (int i = 0; i < node->study.job_count; i++)
        rg_run_free(&node->runs[i]);
    free(node->runs);
    node->runs = NULL;
}

/* The run has begun, and ended with an error. */
static void break_off(struct ringnode *node, int index, struct one_run *r, int code)
{
    struct rg_run own, *run = r->run;
    char text[sizeof run->error];
    rg_run_init(&own);
    rg_job_describe(r->job, &own);
    own.iterations = r->kept.iterations;
    if (!run)
        r->run = &own;
    bool reports = salvage(node, r, code);
    note_signs(node, r->run, r->begun_s);
    node->rest_code = explain(node, code, text, sizeof text);
    end_early(r->run, node->rest_code, text);
    tell_end(node, r->job, text, r->run);
    if (!run || !reports)
        fprintf(stderr, "ringnode: rank %d: %s: %s\n", node->rank, r->job->label,
                reports ? r->run->error : text);
    if (run && !reports)
        forget_runs(node);
    if (!run && reports)
        take_over(node, index, &own);
    else
        rg_run_free(&own);
    rg_kept_free(&r->kept);
}

static void run_job(struct ringnode *node, int index)
{
    const struct rg_job *job = &node->study.jobs[index];
    struct rg_run *run = node->runs ? &node->runs[index] : NULL;
    struct one_run one = {.node = node, .job = job, .run = run, .begun_s = rg_clock_s()};
    struct rg_error e = {0};
    char text[sizeof run->error];
    const struct rg_agreed *agreed = &node->agreed[index];
    if (agreed->code) {
        fail_run(run, job, agreed->code, agreed->why);
        return;
    }
    int result = 0;
    if (node->meter)
        rg_meter_run(node->meter);
    if (node->heat)
        rg_heat_run(node->heat);
    if (node->options.timeout_s > 0 && (!node->local || node->rank == 0))
        set_alarm(node->options.timeout_s);
    rg_mesh_pace(node->mesh, pace_of(node, job), job->threads);
    int begun = rg_mesh_run(node->mesh, job->nodes, program, &one, &result, &e);
    set_alarm(0);
    if (begun) {
        node->rest_code = explain(node, begun, text, sizeof text);
        fail_run(run, job, node->rest_code, text);
        if (node->rank > 0)
            fprintf(stderr, "ringnode: rank %d: %s: %s\n", node->rank, job->label, text);
    } else if (result < 0) {
        break_off(node, index, &one, result);
    } else {
        tell_energy(node, job, run);
        if (run)
            note_signs(node, run, one.begun_s);
        if (result == 1)
            note_stop(node, job, run);
    }
}

/* ---- before and after ---- */

static void note(void *arg, int job, const char *text)
{
    struct ringnode *node = arg;
    rg_run_note(&node->noted[job], text);
    if (!node->options.quiet)
        fprintf(stderr, "ringnode: %s: %s\n", node->study.jobs[job].label, text);
}

static int agree_program(struct rg_world *w, void *arg)
{
    struct ringnode *node = arg;
    return rg_node_agree(w, &node->study, node->agreed, note, node);
}

/* Nothing runs before all ranks have the same plans. */
static void agree(struct ringnode *node)
{
    struct rg_error e = {0};
    char text[480];
    int result = 0;
    int begun = rg_mesh_run(node->mesh, rg_mesh_size(node->mesh), agree_program, node, &result, &e);
    int code = begun ? begun : result;
    if (code == 0)
        return;
    node->rest_code = explain(node, code, text, sizeof text);
    for (int i = 0; i < node->study.job_count && node->runs; i++)
        fail_run(&node->runs[i], &node->study.jobs[i], node->rest_code, text);
    if (node->rank > 0 || node->options.predict)
        fprintf(stderr, "ringnode: rank %d: %s\n", node->rank, text);
}

static void run_jobs(struct ringnode *node)
{
    for (int i = 0; i < node->study.job_count; i++) {
        if (node->rest_code == 0)
            run_job(node, i);
        else if (node->runs)
            fail_run(&node->runs[i], &node->study.jobs[i], node->rest_code,
                     "not started, for the same reason");
        for (int k = 0; node->runs && k < node->noted[i].note_count; k++)
            rg_run_note(&node->runs[i], node->noted[i].notes[k]);
    }
}

/* ---- --predict ---- */

struct one_prediction {
    const struct rg_job *job;
    struct rg_outputs outputs;
};

static int predict_program(struct rg_world *w, void *arg)
{
    struct one_prediction *p = arg;
    w->board = p->job->boards[w->rank];
    return rg_outputs_ring(w, p->job, &p->outputs);
}

/* The nodes that train compute the outputs of rows that rank 0 has; the exit status. */
static int predict(struct ringnode *node)
{
    struct one_prediction p = {.job = node->study.jobs,
                               .outputs = {.network = &node->study.network,
                                           .parameters = node->initial,
                                           .told = &node->told}};
    struct rg_outputs *o = &p.outputs;
    struct rg_error e = {0};
    char text[480];
    int result = 0;
    if (node->agreed[0].code)
        rg_fail(&o->error, node->agreed[0].code, "%s", node->agreed[0].why);
    else if (node->rank == 0)
        rg_outputs_open(o, node->options.predict, node->options.out);
    int code = o->error.code;
    if (code == 0) {
        if (node->options.timeout_s > 0 && (!node->local || node->rank == 0))
            set_alarm(node->options.timeout_s);
        rg_mesh_pace(node->mesh, NULL, p.job->threads);
        code = rg_mesh_run(node->mesh, p.job->nodes, predict_program, &p, &result, &e);
        set_alarm(0);
        code = code ? code : result;
        if (code && o->error.code == 0)
            code = explain(node, code, text, sizeof text);
        if (code == 0 && node->rank == 0)
            code = rg_outputs_commit(o);
    }
    if (code == 0 && node->rank == 0 && !node->options.quiet)
        rg_outputs_tell(o, stdout);
    if (code)
        fprintf(stderr, "ringnode: rank %d: %s\n", node->rank,
                o->error.code ? o->error.text : text);
    rg_outputs_close(o);
    return code == RG_ERR_IO       ? RG_EXIT_UNSAVED
           : code == RG_ERR_NO_FIT ? RG_EXIT_USAGE
           : code                  ? rg_cli_exit_of(code)
                                   : RG_EXIT_OK;
}

/* ---- before and after, again ---- */

static void forget_agreement(struct ringnode *node)
{
    for (int i = 0; i < node->study.job_count; i++)
        rg_run_free(&node->noted[i]);
    free(node->noted);
    free(node->agreed);
}

static void describe_sockets(struct rg_result_sockets *sockets, const struct rg_mesh_facts *facts)
{
    sockets->known = true;
    snprintf(sockets->cipher, sizeof sockets->cipher, "%s", facts->cipher);
    rg_copy_text(sockets->congestion_control, sizeof sockets->congestion_control,
                 facts->congestion);
    sockets->slow_start_after_idle = facts->slow_start_after_idle;
    sockets->retransmits = facts->retransmits;
    sockets->bytes_sent = facts->wire_sent;
    sockets->bytes_received = facts->wire_received;
}

static int report(struct ringnode *node, double started_s)
{
    const struct rg_scenario *scenario = &node->study.scenario;
    struct rg_result result =
        rg_result_of("ringnode", "posix", scenario->name, scenario->digest, scenario->seed);
    result.data_notes = node->study.data.notes;
    result.note_count = node->study.data.note_count;
    result.runs = node->runs;
    result.run_count = node->study.job_count;
    rg_cli_host(&result, rg_clock_s() - started_s);
    describe_sockets(&result.host.sockets, &node->facts);
    int status = rg_cli_finish(&node->options, "ringnode", &result);
    rg_cli_tell_capacities(&node->options, &node->study, &result);
    forget_runs(node);
    return status;
}

/* Ranks that run other strategies than this one, or that train where others predict, or from other
 * parameters, or that replay another run, must not join it. */
static void digest_of_run(const struct ringnode *node, char text[RG_DIGEST_TEXT])
{
    struct rg_digest *digest = rg_digest_new();
    RG_ASSERT(digest);
    rg_digest_add(digest, node->study.scenario.digest, strlen(node->study.scenario.digest));
    for (int i = 0; i < node->study.job_count; i++)
        rg_digest_add(digest, node->study.jobs[i].label, strlen(node->study.jobs[i].label) + 1);
    const struct rg_result *replayed = node->study.replayed;
    for (int i = 0; replayed && i < replayed->run_count; i++)
        for (int k = 0; k < replayed->runs[i].order_count; k++)
            rg_digest_add(digest, replayed->runs[i].orders[k], strlen(replayed->runs[i].orders[k]));
    if (node->options.predict)
        rg_digest_add(digest, "predict", sizeof "predict");
    if (node->initial)
        rg_digest_add(digest, node->initial, node->study.network.parameters * sizeof(float));
    for (int i = 0; node->pace && i < node->study.platform.count; i++) { /* all ranks, or none */
        const struct rg_platform *p =
            node->datasheet.count ? &node->datasheet : &node->study.platform;
        if (i < p->count)
            rg_digest_add(digest, p->boards[i]->name, strlen(p->boards[i]->name) + 1);
    }
    rg_digest_end(digest, text);
}

static bool is_interrupted(void *arg)
{
    (void)arg;
    return ringnode_interrupted || timed_out;
}

/* All have joined and nothing is computed yet. Of the ranks on this machine under --local only the
 * first asks the meter, which measures them all. */
static int open_meter(struct ringnode *node, struct rg_error *e)
{
    struct rg_meter_options options = node->metering;
    if (strcmp(options.choice, "none") == 0)
        return 0;
    bool shared = node->local && node->rank > 0;
    if (shared)
        options.choice = "other";
    int result = rg_meter_open(&options, &node->meter, e);
    if (result)
        return result;
    rg_mesh_meter(node->mesh, node->meter);
    if (rg_meter_error(node->meter)[0])
        fprintf(stderr, "ringnode: rank %d: no meter: %s\n", node->rank,
                rg_meter_error(node->meter));
    else if (!shared && !node->options.quiet)
        fprintf(stderr, "ringnode: rank %d: meter %s%s\n", node->rank, rg_meter_where(node->meter),
                node->local ? ", for all ranks of this machine together" : "");
    rg_meter_idle(node->meter, node->idle_s, is_interrupted, NULL);
    return 0;
}

/* The platform's board may have more cores than this machine. */
static void tell_threads(const struct ringnode *node)
{
    int threads = node->study.scenario.training.threads, cores = rg_cores();
    if (threads > cores && !(node->local && node->rank > 0))
        fprintf(stderr, "ringnode: rank %d: threads=\"%d\", but %d core%s: they take turns\n",
                node->rank, threads, cores, cores == 1 ? " is here" : "s are here");
}

int ringnode_run_rank(struct ringnode *node, int listener)
{
    char digest[RG_DIGEST_TEXT];
    struct rg_error e = {0};
    double started_s = rg_clock_s();
    char who[40];
    snprintf(who, sizeof who, "rank %d of %d", node->rank, node->hosts.count);
    if (rg_limits_descriptors(node->hosts.count + RINGNODE_DESCRIPTORS, who, &e) != 0) {
        if (listener >= 0)
            close(listener);
        return rg_cli_complain("ringnode", e.code, e.text);
    }
    digest_of_run(node, digest);
    struct rg_join join = {.rank = node->rank,
                           .hosts = &node->hosts,
                           .listener = listener,
                           .scenario = digest,
                           .timeout_s = node->join_timeout_s,
                           .peer_timeout_s = node->peer_timeout_s,
                           .slow_s = node->options.quiet ? 0 : SLOW_S,
                           .key = node->key_file ? &node->key : NULL,
                           .insecure = node->insecure,
                           .any_address = node->any_address,
                           .checksum = node->checksum,
                           .quiet = node->options.quiet || node->local,
                           .stop = &stop_join};
    int result = rg_mesh_join(&join, &node->mesh, &e);
    rg_key_forget(&node->key);
    if (result)
        return rg_cli_complain("ringnode", result, e.text);
    mesh_to_stop = node->mesh;
    if (ringnode_interrupted)
        rg_mesh_wind_down(node->mesh);
    size_t jobs = (size_t)node->study.job_count;
    node->runs = node->rank == 0 ? calloc(jobs, sizeof *node->runs) : NULL;
    node->noted = calloc(jobs, sizeof *node->noted);
    node->agreed = calloc(jobs, sizeof *node->agreed);
    RG_ASSERT((node->runs || node->rank > 0) && node->noted && node->agreed);
    rg_blas_set_threads(node->study.scenario.training.threads);
    tell_threads(node);
    if (!node->local || node->rank == 0) /* of one machine the first tells */
        node->heat = rg_heat_open(node->metering.root);
    if (open_meter(node, &e) != 0)
        fprintf(stderr, "ringnode: rank %d: no meter: %s\n", node->rank, e.text);
    agree(node);
    int status = 0;
    if (node->options.predict)
        status = node->rest_code ? 0 : predict(node);
    else if (node->rest_code == 0)
        run_jobs(node);
    forget_agreement(node);
    mesh_to_stop = NULL;
    rg_mesh_facts(node->mesh, &node->facts);
    rg_mesh_leave(node->mesh);
    rg_meter_close(node->meter);
    rg_heat_close(node->heat);
    if (node->options.predict) {
        if (node->runs)
            forget_runs(node);
        return status ? status : rg_cli_exit_of(node->rest_code);
    }
    status = rg_cli_exit_of(node->rest_code);
    int reported = node->runs ? report(node, started_s) : 0;
    return status ? status : reported;
}
