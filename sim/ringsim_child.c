/* The process of a run: it simulates it, or its attempts one after the other, and tells its parent
 * through a pipe.
 *
 * Failure modes handled: files that have changed since they were checked; losses of nodes
 * (losses.c); a parent that is gone. */
#include "ringsim.h"

#include "again.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/need.h"
#include "losses.h"
#include "node/node.h"
#include "reduced.h"
#include "result/checkpoint.h"
#include "scenario/text.h"
#include "world_sim.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct simulation {
    struct ringsim *ringsim;
    int index; /* of the task */
    const struct rg_job *job;
    struct rg_run *run;
    struct shared *shared;
    bool again;                           /* only dates and joules are wanted, see again.h */
    const struct rg_sim_attempt *attempt; /* NULL: nodes are never lost */
    struct rg_attempts *own;              /* [nodes] what each knows of the attempts */
    struct rg_training_state kept[2];     /* checkpoints, as struct rg_node_options has them */
};

static void tell_progress(void *arg, int64_t done, int64_t total, double time_s)
{
    struct shared *shared = arg;
    shared->done = done;
    shared->total = total;
    shared->time_s = time_s;
}

/* Where numbers are computed they want a folder; else they only take their time. */
bool ringsim_has_checkpoints(const struct ringsim *r, const struct rg_scenario *scenario)
{
    struct rg_every every;
    bool wanted = !scenario->training.numerics && rg_scenario_every(scenario, &every);
    return r->options.checkpoint || wanted;
}

/* What those that train in a later attempt go on from: what the card has, which the folder may be
 * ahead of. Without any, from what the first went on from. */
static const struct rg_training_state *find_checkpoint(void *arg, int64_t than)
{
    const struct simulation *s = arg;
    struct ringsim *r = s->ringsim;
    struct rg_training_state *kept = s->attempt->kept, found;
    struct rg_error e = {0};
    if (kept->bytes == 0 || kept->iterations <= than)
        return NULL;
    if (kept->hollow) {
        found = *kept;
        kept->plan = rg_needed(strdup(kept->plan));
    } else if (rg_training_read_until(r->options.checkpoint, kept->iterations, &r->study.network,
                                      &found, &e) != 0)
        return NULL;
    found.goes_there = true;
    rg_training_state_free(&r->resumed);
    r->resumed = found;
    return &r->resumed;
}

static int node_program(struct rg_world *w, void *arg)
{
    struct simulation *s = arg;
    struct ringsim *r = s->ringsim;
    const struct rg_node_options dates = {.stop = {NAN, NAN, 0}, .initial = r->initial};
    struct rg_node_options options = {
        .stop = r->study.scenario.stop,
        .initial = r->initial,
        .save = r->options.save,
        .save_best = r->options.save_best,
        .every = rg_cli_every(&r->options, &r->study.scenario, s->job),
        .resume = r->resumed.arrays || r->resumed.hollow ? &r->resumed : NULL,
        .scenario_sha256 = r->study.scenario.digest,
        .trace = r->options.trace != NULL,
        .part = r->options.part,
        .host = r->study.platform.names[w->rank],
        .progress = tell_progress,
        .progress_arg = s->shared};
    if (s->attempt)
        options.attempts = &s->own[w->rank];
    if (s->attempt && s->attempt->attempts->loss_count > 0) {
        options.find = find_checkpoint;
        options.find_arg = s;
    }
    if (s->job->numerics)
        options.checkpoint = r->options.checkpoint;
    if (ringsim_has_checkpoints(r, &r->study.scenario))
        options.noted = s->attempt ? s->attempt->kept : s->kept;
    return rg_node_run(w, s->job, s->again ? &dates : &options, w->rank == 0 ? s->run : NULL);
}

/* Of an attempt. Those that wait take no part: there is nothing that they do. */
static int attempt_program(struct rg_world *w, void *arg)
{
    struct simulation *s = arg;
    return rg_attempts_run(w, &s->own[w->rank], node_program, s);
}

struct rg_sim_options ringsim_options(const struct ringsim *r, const struct rg_study *study,
                                      const struct rg_job *job)
{
    return (struct rg_sim_options){.engine = r->engine,
                                   .platform = study->platform.loaded,
                                   .star = rg_platform_is_star(&study->platform),
                                   .link_rate = study->scenario.training.bandwidth_factor,
                                   .profiles = &study->platform.profiles,
                                   .size = job->nodes,
                                   .hosts = study->platform.names,
                                   .boards = job->boards,
                                   .threads = job->threads,
                                   .faults = &study->scenario.faults,
                                   .seed = study->scenario.seed};
}

static void name_engine(struct rg_run *run, enum rg_sim_engine engine,
                        const struct rg_sim_ties *ties)
{
    run->engine.known = true;
    run->engine.ties = engine == RG_SIM_SIMGRID ? -1 : (int64_t)ties->same;
    run->engine.near_ties = (int64_t)ties->near;
    run->engine.crowded = ties->crowded.once, run->engine.meshed = ties->crowded.twice;
    snprintf(run->engine.name, sizeof run->engine.name, "%s", rg_sim_engine_name(engine));
}

static void tell_no_memory(struct rg_run *run)
{
    char limits[300];
    rg_limits_name("/", limits, sizeof limits);
    run->error_code = RG_ERR_NOMEM;
    snprintf(run->error, sizeof run->error, "%s%s", rg_strerror(RG_ERR_NOMEM), limits);
}

/* Once a process. */
static void simulate_job(void *arg, const struct rg_job *job, rg_iteration_fn iteration,
                         void *iteration_arg, struct rg_run *run)
{
    struct simulation *s = arg;
    struct rg_sim_options options = ringsim_options(s->ringsim, &s->ringsim->study, job);
    struct rg_sim_ties ties = {0};
    struct rg_error e = {0};
    int *results = rg_need_zeroed((size_t)job->nodes, sizeof *results);
    options.iteration = iteration;
    options.iteration_arg = iteration_arg;
    options.ties = &ties;
    if (s->again) {
        options.engine = RG_SIM_CALENDAR;
        options.link_rate *= 1 - RG_AGAIN_PART;
        options.uneven = RG_AGAIN_PART;
    }
    if (s->attempt) {
        options.off_s = s->attempt->off_s;
        options.since_s = s->attempt->since_s;
        options.noticed_s = s->ringsim->study.scenario.faults.noticed_s;
        options.drawn_J = s->attempt->drawn_J;
    }
    s->job = job;
    s->run = run;
    int result = rg_sim_run(&options, s->attempt ? attempt_program : node_program, s, results, &e);
    if (s->attempt)
        memcpy(s->attempt->results, results, (size_t)job->nodes * sizeof *results);
    for (int rank = 0; rank < job->nodes; rank++)
        if (results[rank] == RG_ERR_NOMEM && run->error_code == RG_ERR_PEER)
            tell_no_memory(run); /* that is why the others lost a peer */
    name_engine(run, rg_sim_engine_of(&options), &ties);
    if (result && run->error_code == 0)
        run->error_code = result;
    if (run->error_code && run->status == RG_RUN_OK)
        run->status = RG_RUN_FAILED;
    if (e.code)
        snprintf(run->error, sizeof run->error, "%s", e.text);
    free(results);
}

/* The scenario as it is for those that train in a later attempt. */
static int reopen(struct ringsim *r, int index, const struct rg_attempts *a, struct rg_error *e)
{
    rg_study_close(&r->study);
    int err = rg_sweep_cast(&r->plan, index, a->seat, a->nodes, rg_attempts_began(a), &r->study, e);
    return err ? err : rg_study_load_data(&r->study, RG_ANY_RANK, e);
}

/* In the process whose job is that of the first attempt. */
static int fitting(void *arg, const int *seats, int left)
{
    const struct simulation *s = arg;
    bool shrinks = s->ringsim->study.scenario.training.lose == RG_LOSE_SHRINK;
    struct rg_error why;
    return rg_sweep_fitting(&s->ringsim->plan, s->index, s->job->multiple, seats, left,
                            shrinks ? s->job->nodes : 0, &why);
}

/* Dates of faults count from the first attempt. */
static void shift_windows(struct rg_fault_windows *windows, double by)
{
    for (int i = 0; i < windows->count; i++) {
        windows->window[i].from_s -= by;
        windows->window[i].to_s -= by;
    }
}

/* Once a process. */
static void simulate_attempt(void *arg, const struct rg_sim_attempt *attempt, struct rg_run *run)
{
    struct simulation *s = arg;
    struct rg_attempts *a = attempt->attempts;
    struct rg_error e = {0};
    int lowest = 0, nodes = a->nodes;
    if (a->loss_count > 0) {
        int err = reopen(s->ringsim, s->index, a, &e);
        if (err) { /* it was possible with one node less: not with so few */
            run->status = RG_RUN_FAILED;
            run->error_code = err;
            rg_copy_text(run->error, sizeof run->error, e.text);
            return;
        }
        s->job = &s->ringsim->study.jobs[0];
        shift_windows(&s->ringsim->study.scenario.faults.slow, attempt->since_s);
        shift_windows(&s->ringsim->study.scenario.faults.link, attempt->since_s);
        a->origin_s = -attempt->since_s;
    }
    s->attempt = attempt;
    s->own = rg_need_zeroed((size_t)a->nodes, sizeof *s->own);
    for (int rank = 0; rank < a->nodes; rank++) {
        RG_ASSERT(rg_attempts_copy(a, &s->own[rank]) == 0);
        s->own[rank].copies = attempt->copies[a->seat[rank]];
    }
    simulate_job(s, s->job, NULL, NULL, run);
    for (int rank = 0; rank < a->nodes; rank++) {
        bool died = attempt->results[rank] == RG_DIED;
        attempt->copies[a->seat[rank]] = died ? (struct rg_copies){0} : s->own[rank].copies;
    }
    while (lowest < a->nodes - 1 && attempt->results[lowest] == RG_DIED)
        lowest++;
    *a = s->own[lowest]; /* the process ends soon */
    for (int rank = lowest; rank < nodes; rank++)
        if (attempt->results[rank] != RG_DIED) {
            a->iterations = RG_MIN(a->iterations, s->own[rank].iterations);
            a->broken_s = fmax(a->broken_s, s->own[rank].broken_s); /* all begin together */
        }
}

/* If the parent is gone there is nobody to tell. */
static _Noreturn void tell(const struct rg_run *run, int fd)
{
    unsigned char *bytes;
    size_t size;
    if (rg_run_encode(run, &bytes, &size) == 0)
        rg_pipe_write(fd, bytes, size);
    _exit(0);
}

static _Noreturn void be_child(struct ringsim *r, int index, int fd)
{
    struct task *task = &r->tasks[index];
    struct simulation s = {
        .ringsim = r, .index = index, .shared = &r->shared[index], .again = task->again};
    struct rg_job second;
    struct rg_run run;
    rg_run_init(&run);
    if (task->again) {
        second = rg_again_job(task->job, &task->run);
        if (task->run.extrapolated_iterations > 0)
            rg_run_reduced(&second, simulate_job, &s, &run);
        else
            simulate_job(&s, &second, NULL, NULL, &run);
        tell(&run, fd);
    }
    if (rg_faults_have_off(&r->study.scenario.faults)) {
        s.job = task->job;
        rg_sim_attempts(&r->study, task->job, simulate_attempt, fitting, &s, &run);
    } else if (!r->full && !rg_why_whole(task->job, &r->study, r->options.trace != NULL,
                                         ringsim_has_checkpoints(r, &r->study.scenario)))
        rg_run_reduced(task->job, simulate_job, &s, &run);
    else
        simulate_job(&s, task->job, NULL, NULL, &run);
    run.engine.again =
        rg_again_is_wanted(task->job, &run) && !rg_faults_have_off(&r->study.scenario.faults);
    if (run.node_count >= RG_RUN_MANY_NODES && !r->per_node && !r->options.trace)
        RG_ASSERT(rg_run_summarize_nodes(&run) == 0);
    if (run.label[0] == '\0') { /* it ended before its nodes could say whose it is */
        memcpy(run.label, task->run.label, sizeof run.label);
        memcpy(run.kind, task->run.kind, sizeof run.kind);
    }
    tell(&run, fd);
}

/* Where the runs are of several points each child opens its own: one at a time takes little memory.
 */
void ringsim_child(void *arg, int index, int fd)
{
    struct ringsim *r = arg;
    struct task *task = &r->tasks[index];
    struct rg_error e = {0};
    int err = 0;
    if (!r->plan.study_open && (err = rg_sweep_enter(&r->plan, index, &r->study, &e)) == 0)
        err = rg_study_load_data(&r->study, RG_ANY_RANK, &e);
    if (err) { /* a file has changed since it was checked */
        ringsim_fail(r, index, RG_RUN_FAILED, err, e.text);
        tell(&task->run, fd);
    }
    struct rg_job *job = &r->study.jobs[r->plan.study_open ? index : 0];
    job->foretold = r->plan.runs[index].foretold;
    task->job = job;
    RG_ASSERT(task->again || rg_sweep_head(&r->plan, index, &task->run) == 0);
    be_child(r, index, fd);
}
