/* One rank of ringnode: join, run strategy after strategy, with a meter where one is wanted, and be
 * stopped by signals at any time; rank 0 reports. */
#include "programs/ringnode/ringnode.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/need.h"
#include "models/blas.h"
#include "node/node.h"
#include "node/outputs.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { JOIN_TRIES = 8 };

#define LEAST_JOIN_S 1
#define SLOW_S       10 /* a wait for another rank that is worth a line */

static void run_job(struct ringnode *node, int index)
{
    const struct rg_job *job = &node->study->jobs[index];
    struct rg_run *run = node->runs ? &node->runs[index] : NULL;
    struct ringnode_run one = {.node = node, .job = job, .run = run, .begun_s = rg_clock_s()};
    struct rg_error e = {0};
    char text[sizeof run->error];
    const struct rg_agreed *agreed = &node->agreed[index];
    if (agreed->code) {
        ringnode_fail_run(run, job, agreed->code, agreed->why);
        return;
    }
    int result = 0;
    if (node->meter)
        rg_meter_run(node->meter);
    if (node->heat)
        rg_heat_run(node->heat);
    if (node->options.timeout_s > 0 && !node->later && (!node->local || node->rank == 0))
        ringnode_set_alarm(node->options.timeout_s);
    if (node->attempts.lose > RG_LOSE_RESTART) {
        ringnode_run_attempts(node);
        ringnode_set_alarm(0);
        if (node->runs && node->rank == 0)
            ringnode_note_signs(node, node->runs, one.begun_s);
        return;
    }
    rg_mesh_pace(node->mesh, ringnode_pace(node, job), job->threads);
    int begun = rg_mesh_run(node->mesh, job->nodes, ringnode_program, &one, &result, &e);
    int code = begun ? begun : result;
    node->again = ringnode_restarts(node, code);
    if (node->again) {
        ringnode_put_aside(node, &one);
        return;
    }
    ringnode_set_alarm(0);
    if (begun && node->attempts.lose == RG_LOSE_STOP) {
        node->rest_code = ringnode_explain(node, begun, text, sizeof text);
        ringnode_fail_run(run, job, node->rest_code, text);
        if (node->rank > 0)
            fprintf(stderr, "ringnode: rank %d: %s: %s\n", node->rank, job->label, text);
    } else if (begun || result < 0) {
        ringnode_break_off(node, index, &one, code, "");
    } else {
        ringnode_tell_energy(node, job, run);
        if (run)
            ringnode_note_signs(node, run, one.begun_s);
        if (result == 1)
            ringnode_note_stop(node, job, run);
    }
}

/* ---- before and after ---- */

static int agree_program(struct rg_world *w, void *arg)
{
    struct ringnode *node = arg;
    return rg_node_agree(w, node->study, node->agreed, ringnode_note, node);
}

/* Nothing runs before all ranks have the same plans. */
static void agree(struct ringnode *node)
{
    struct rg_error e = {0};
    char text[640];
    int result = 0;
    int begun = rg_mesh_run(node->mesh, rg_mesh_size(node->mesh), agree_program, node, &result, &e);
    int code = begun ? begun : result;
    node->again = code && ringnode_restarts(node, code);
    if (code == 0 || node->again)
        return;
    if (node->attempts.lose != RG_LOSE_STOP) { /* there may have been others before */
        struct ringnode_run r = {.node = node, .job = node->study->jobs, .run = node->runs};
        r.begun_s = rg_clock_s();
        ringnode_break_off(node, 0, &r, code, "");
        return;
    }
    node->rest_code = ringnode_explain(node, code, text, sizeof text);
    for (int i = 0; i < node->study->job_count && node->runs; i++)
        ringnode_fail_run(&node->runs[i], &node->study->jobs[i], node->rest_code, text);
    if (node->rank > 0 || node->options.predict)
        fprintf(stderr, "ringnode: rank %d: %s\n", node->rank, text);
}

static void run_jobs(struct ringnode *node)
{
    for (int i = 0; i < node->study->job_count; i++) {
        if (node->rest_code == 0)
            run_job(node, i);
        else if (node->runs)
            ringnode_fail_run(&node->runs[i], &node->study->jobs[i], node->rest_code,
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
    struct one_prediction p = {.job = node->study->jobs,
                               .outputs = {.network = &node->study->network,
                                           .parameters = node->initial,
                                           .told = &node->told}};
    struct rg_outputs *o = &p.outputs;
    struct rg_error e = {0};
    char text[640];
    int result = 0;
    if (node->agreed[0].code)
        rg_fail(&o->error, node->agreed[0].code, "%s", node->agreed[0].why);
    else if (node->rank == 0)
        rg_outputs_open(o, node->options.predict, node->options.out);
    int code = o->error.code;
    if (code == 0) {
        if (node->options.timeout_s > 0 && (!node->local || node->rank == 0))
            ringnode_set_alarm(node->options.timeout_s);
        rg_mesh_pace(node->mesh, NULL, p.job->threads);
        code = rg_mesh_run(node->mesh, p.job->nodes, predict_program, &p, &result, &e);
        ringnode_set_alarm(0);
        code = code ? code : result;
        if (code && o->error.code == 0)
            code = ringnode_explain(node, code, text, sizeof text);
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
    for (int i = 0; i < node->study->job_count; i++)
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

static void note_reported(struct ringnode *node)
{
    if (node->seen)
        node->seen->reported = true;
}

static int report(struct ringnode *node, double started_s)
{
    const struct rg_scenario *scenario = &node->study->scenario;
    const char *name = scenario->name ? scenario->name : ""; /* its file is gone */
    struct rg_result result =
        rg_result_of("ringnode", "posix", name, scenario->digest, scenario->seed);
    result.data_notes = node->study->data.notes;
    result.note_count = node->study->data.note_count;
    result.runs = node->runs;
    result.run_count = node->study->job_count;
    rg_cli_host(&result, rg_clock_s() - started_s);
    describe_sockets(&result.host.sockets, &node->facts);
    int status = rg_cli_finish(&node->options, "ringnode", &result);
    rg_cli_tell_capacities(&node->options, node->study, &result);
    ringnode_forget_runs(node);
    note_reported(node);
    return status;
}

/* The exit status. */
static int tell(struct ringnode *node, int code, double started_s)
{
    int status = rg_cli_exit_of(code), reported = node->runs ? report(node, started_s) : 0;
    return status ? status : reported;
}

/* Ranks that run other strategies than this one, or that train where others predict, or from other
 * parameters, or that replay another run, must not join it. */
static void digest_of_run(const struct ringnode *node, char text[RG_DIGEST_TEXT])
{
    struct rg_digest *digest = rg_digest_new();
    RG_ASSERT(digest);
    rg_digest_add(digest, node->study->scenario.digest, strlen(node->study->scenario.digest));
    for (int i = 0; i < node->study->job_count; i++)
        rg_digest_add(digest, node->study->jobs[i].label, strlen(node->study->jobs[i].label) + 1);
    const struct rg_result *replayed = node->study->replayed;
    for (int i = 0; replayed && i < replayed->run_count; i++)
        for (int k = 0; k < replayed->runs[i].order_count; k++)
            rg_digest_add(digest, replayed->runs[i].orders[k], strlen(replayed->runs[i].orders[k]));
    if (node->options.predict)
        rg_digest_add(digest, "predict", sizeof "predict");
    if (node->initial)
        rg_digest_add(digest, node->initial, node->study->network.parameters * sizeof(float));
    for (int i = 0; node->pace && i < node->study->platform.count; i++) { /* all ranks, or none */
        const struct rg_platform *p =
            node->datasheet.count ? &node->datasheet : &node->study->platform;
        if (i < p->count)
            rg_digest_add(digest, p->boards[i]->name, strlen(p->boards[i]->name) + 1);
    }
    rg_digest_end(digest, text);
}

static bool is_interrupted(void *arg)
{
    (void)arg;
    return ringnode_is_stopped();
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
    int threads = node->study->scenario.training.threads, cores = rg_cores();
    if (threads > cores && !(node->local && node->rank > 0))
        fprintf(stderr, "ringnode: rank %d: threads=\"%d\", but %d core%s: they take turns\n",
                node->rank, threads, cores, cores == 1 ? " is here" : "s are here");
}

/* The others have ended the run before they took this rank in. */
static int come_too_late(const struct ringnode *node, const struct rg_error *e)
{
    fprintf(stderr, "ringnode: rank %d: %s\n", node->rank, e->text);
    return rg_cli_exit_of(node->joined.code);
}

/* A rank that is lost while it joins leaves others with half a run, which one that is started again
 * in its place does not know: all try once more, as long as a join may take. */
static bool may_join_again(struct ringnode *node, const struct rg_error *e)
{
    bool refused = e->code == RG_ERR_REFUSED && (node->later || strstr(e->text, "another run"));
    bool half = refused || e->code == RG_ERR_TIMEOUT;
    bool may = node->attempts.lose == RG_LOSE_RESTART && half && !ringnode_is_stopped() &&
               !node->expired && rg_clock_s() - node->joining_s < node->join_timeout_s;
    if (may)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return may;
}

/* So that nobody waits for all of that time in half a run. */
static double join_seconds(const struct ringnode *node)
{
    double left = node->joining_s + node->join_timeout_s - rg_clock_s();
    return node->attempts.lose == RG_LOSE_RESTART
               ? fmax(fmin(left, node->join_timeout_s / JOIN_TRIES), LEAST_JOIN_S)
               : node->join_timeout_s;
}

/* One attempt, or all of them, where those that are left go on in one mesh; node->again: it is to
 * be joined once more. */
static int join_and_run(struct ringnode *node, int listener, double started_s)
{
    char digest[RG_DIGEST_TEXT];
    struct rg_error e = {0};
    digest_of_run(node, digest);
    if (node->joining_s == 0)
        node->joining_s = rg_clock_s();
    struct rg_join join = {.rank = node->rank,
                           .hosts = &node->hosts,
                           .listener = listener,
                           .scenario = digest,
                           .timeout_s = join_seconds(node),
                           .peer_timeout_s = node->peer_timeout_s,
                           .slow_s = node->options.quiet ? 0 : SLOW_S,
                           .key = node->key_file ? &node->key : NULL,
                           .insecure = node->insecure,
                           .any_address = node->any_address,
                           .impatient = node->attempts.lose == RG_LOSE_RESTART,
                           .outlives = node->attempts.lose > RG_LOSE_RESTART,
                           .joined = node->attempts.is_back ? &node->joined : NULL,
                           .checksum = node->checksum,
                           .quiet = node->options.quiet || node->local,
                           .stop = &ringnode_stop_join,
                           .expired = &node->expired};
    int result = rg_mesh_join(&join, &node->mesh, &e);
    if (node->attempts.lose == RG_LOSE_STOP)
        rg_key_forget(&node->key);
    node->join = join;
    node->again = result && may_join_again(node, &e);
    if (node->again)
        return 0;
    if (result && node->joined.over)
        return come_too_late(node, &e);
    if (result)
        return tell(node, ringnode_give_up(node, &e), started_s);
    if (node->joined.invited)
        ringnode_come_back(node);
    node->joining_s = 0;
    if (node->seen)
        node->seen->joined = true;
    node->compared = rg_clock_unknown;
    ringnode_stops(node->mesh);
    size_t jobs = (size_t)node->study->job_count;
    node->runs = node->rank == 0 ? rg_need_zeroed(jobs, sizeof *node->runs) : NULL;
    node->noted = rg_need_zeroed(jobs, sizeof *node->noted);
    node->agreed = rg_need_zeroed(jobs, sizeof *node->agreed);
    rg_blas_set_threads(node->study->scenario.training.threads);
    tell_threads(node);
    if (!node->local || node->rank == 0) /* of one machine the first tells */
        node->heat = rg_heat_open(node->metering.root);
    if (open_meter(node, &e) != 0)
        fprintf(stderr, "ringnode: rank %d: no meter: %s\n", node->rank, e.text);
    node->attempts.begun = false;
    if (node->attempts.lose <= RG_LOSE_RESTART) /* else each attempt begins with it */
        agree(node);
    int status = 0;
    if (node->options.predict)
        status = node->rest_code ? 0 : predict(node);
    else if (node->rest_code == 0 && !node->again)
        run_jobs(node);
    forget_agreement(node);
    ringnode_stops(NULL);
    rg_mesh_facts(node->mesh, &node->facts);
    rg_door_close(node->door, node->rest_code);
    rg_mesh_leave(node->mesh);
    node->door = NULL;
    rg_meter_close(node->meter);
    rg_heat_close(node->heat);
    node->meter = NULL;
    node->heat = NULL;
    if (node->again && node->runs)
        ringnode_forget_runs(node);
    if (node->again)
        return 0;
    if (node->options.predict) {
        if (node->runs) {
            ringnode_forget_runs(node);
            note_reported(node);
        }
        return status ? status : rg_cli_exit_of(node->rest_code);
    }
    return tell(node, node->rest_code, started_s);
}

int ringnode_run_rank(struct ringnode *node, int listener)
{
    struct rg_error e = {0};
    double started_s = rg_clock_s();
    char who[40];
    int status = 0;
    bool restarts = node->attempts.lose == RG_LOSE_RESTART;
    snprintf(who, sizeof who, "rank %d of %d", node->rank, node->hosts.count);
    if (rg_limits_descriptors(node->hosts.count + RINGNODE_DESCRIPTORS, who, &e) != 0)
        status = rg_cli_complain("ringnode", e.code, e.text);
    else
        node->again = true;
    while (node->again) {
        bool keep = restarts && listener >= 0; /* for the next join */
        node->again = false;
        status = join_and_run(node, keep ? dup(listener) : listener, started_s);
        listener = keep ? listener : -1;
        node->later = true;
    }
    if (listener >= 0)
        close(listener);
    rg_key_forget(&node->key);
    rg_attempts_close(&node->attempts);
    ringnode_forget_aside(node);
    rg_kept_free(&node->kept);
    rg_joined_free(&node->joined);
    return status;
}
