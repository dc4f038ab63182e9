/* Results of ringsim as they arrive: taken over from an earlier run, written again and again while
 * others are under way, shown, joined from parts.
 *
 * Failure modes handled: a file to resume that is of another scenario, or no result; a disk that is
 * full while others still run (told once, tried again at the end); a run that ends without a
 * result. */
#include "again.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/need.h"
#include "ringsim.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool ringsim_is_mine(const struct ringsim *r, int index)
{
    return r->shards == 0 || index % r->shards == r->shard - 1;
}

void ringsim_fail(struct ringsim *r, int index, enum rg_status status, int code, const char *text)
{
    struct rg_run *run = &r->tasks[index].run;
    rg_run_free(run);
    RG_ASSERT(rg_sweep_head(&r->plan, index, run) == 0);
    run->status = status;
    run->error_code = code;
    snprintf(run->error, sizeof run->error, "%s", text);
    r->tasks[index].over = true;
}

/* ---- what is known before ---- */

/* Is there anything in --json to go on from? A pipe or device has nothing. */
static bool is_regular(const char *path)
{
    struct stat status;
    return path && stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static int check_archive(const struct ringsim *r, const struct rg_result *archive,
                         struct rg_error *e)
{
    const char *what = NULL;
    if (strcmp(archive->scenario_sha256, r->plan.digest) != 0)
        what = "another scenario (or other options, or files that it names)";
    else if (strcmp(archive->tool, "ringsim") != 0 || strcmp(archive->version, RG_VERSION) != 0)
        what = "another program or version";
    else if (archive->part.of_runs != r->count)
        what = "another number of runs";
    if (!what)
        return 0;
    return rg_fail(e, RG_ERR_INVALID, "%.200s is of %s: another file, or no --resume, is wanted",
                   r->options.json, what);
}

/* Is that the run which was planned there? It may have lost nodes. */
static bool is_planned(const struct rg_run *run, const struct rg_run *plan)
{
    bool fewer = run->nodes < plan->nodes && run->loss_count > 0;
    bool same = strcmp(run->label, plan->label) == 0 && strcmp(run->kind, plan->kind) == 0 &&
                (run->nodes == plan->nodes || fewer) && run->numerics == plan->numerics &&
                run->sweep_count == plan->sweep_count;
    for (int i = 0; i < plan->sweep_count && same; i++)
        same = strcmp(run->sweep[i].name, plan->sweep[i].name) == 0 &&
               strcmp(run->sweep[i].value, plan->sweep[i].value) == 0;
    return same;
}

static bool is_finished(const struct rg_run *run)
{
    return run->status == RG_RUN_OK || run->status == RG_RUN_DIVERGED;
}

/* What is no result to keep may have been altered. */
static int check_seals(const char *path, const struct rg_result *result, struct rg_error *e)
{
    for (int i = 0; i < result->run_count; i++)
        if (is_finished(&result->runs[i]) && !result->runs[i].sealed)
            return rg_fail(e, RG_ERR_INVALID,
                           "%.200s: its run %d (%.63s) was altered after it was written, or has no "
                           "digest in host.runs_sha256: it is wanted as ringsim has written it",
                           path, i + 1, result->runs[i].label);
    return 0;
}

static int check_runs(const struct ringsim *r, const struct rg_result *archive, struct rg_error *e)
{
    for (int i = 0; i < archive->run_count; i++)
        if (!is_planned(&archive->runs[i], &r->plan.runs[archive->part.places[i]].run))
            return rg_fail(e, RG_ERR_INVALID,
                           "%.200s: its run %d (%.63s) is not the one that belongs there: another "
                           "file, or no --resume, is wanted",
                           r->options.json, i + 1, archive->runs[i].label);
    return check_seals(r->options.json, archive, e);
}

/* Runs that have a result are taken over; failed and interrupted ones are tried again. */
static int take_over(struct ringsim *r)
{
    struct rg_result archive;
    struct rg_error e = {0};
    if (!is_regular(r->options.json))
        return 0;
    int err = rg_result_read(r->options.json, &archive, &e);
    if (err == 0) {
        if ((err = check_archive(r, &archive, &e)) == 0 &&
            (err = check_runs(r, &archive, &e)) == 0) {
            for (int i = 0; i < archive.run_count; i++) {
                struct task *task = &r->tasks[archive.part.places[i]];
                if (!is_finished(&archive.runs[i]) || task->over)
                    continue;
                task->run = archive.runs[i];
                archive.runs[i] = (struct rg_run){0};
                task->over = true;
            }
        }
        rg_result_free(&archive);
    }
    if (err == 0)
        return 0;
    fprintf(stderr, "ringsim: --resume: %s\n", e.text);
    return RG_EXIT_USAGE;
}

int ringsim_gather(struct ringsim *r)
{
    r->count = r->plan.run_count;
    r->tasks = rg_need_zeroed((size_t)r->count + 1, sizeof *r->tasks);
    for (int i = 0; i < r->count; i++) {
        const struct rg_run *run = &r->plan.runs[i].run;
        if (run->status != RG_RUN_OK && ringsim_is_mine(r, i))
            ringsim_fail(r, i, run->status, run->error_code, run->error);
    }
    return r->resume ? take_over(r) : 0;
}

/* ---- writing ---- */

/* The runs that are over, as a result; its arrays are to be freed, its runs belong to the tasks. */
static struct rg_result collect(const struct ringsim *r)
{
    const struct rg_sweep_plan *plan = &r->plan;
    struct rg_result result = rg_result_of("ringsim", "sim", plan->name, plan->digest, plan->seed);
    struct rg_result_part *part = &result.part;
    result.data_notes = r->study.data.notes;
    result.note_count = plan->study_open ? r->study.data.note_count : 0;
    part->of_runs = r->count;
    part->places = rg_need_zeroed((size_t)r->count + 1, sizeof *part->places);
    result.runs = rg_need_zeroed((size_t)r->count + 1, sizeof *result.runs);
    for (int i = 0; i < r->count; i++) {
        if (!r->tasks[i].over)
            continue;
        part->places[part->count++] = i;
        result.runs[result.run_count++] = r->tasks[i].run;
    }
    part->known = part->count < part->of_runs;
    rg_cli_host(&result, rg_clock_s() - r->started_s);
    if (r->options.json && rg_result_seal(&result) != 0)
        rg_result_unseal(&result); /* --resume will not take it, which is no reason to have none */
    return result;
}

static void release(struct rg_result *result)
{
    rg_result_unseal(result);
    free(result->runs);
    free(result->part.places);
}

/* Not more often than once a second, nor for more than a twentieth of the time: results of many
 * nodes are large. */
static void write_so_far(struct ringsim *r)
{
    double now = rg_clock_s(), pause = fmax(1, 20 * r->writing_s);
    bool useful = r->options.json && strcmp(r->options.json, "-") != 0 && r->count > 1;
    struct stat status;
    if (!useful || !r->unwritten || now - r->written_s < pause ||
        (stat(r->options.json, &status) == 0 && !S_ISREG(status.st_mode)))
        return;
    struct rg_result result = collect(r);
    struct rg_error e;
    bool failed = rg_cli_write(&r->options, &result, &e) < 0;
    if (failed && r->writing_s == 0)
        fprintf(stderr, "ringsim: --json %s\n", e.text);
    release(&result);
    r->unwritten = failed;
    r->written_s = rg_clock_s();
    r->writing_s = fmax(r->written_s - now, 1e-6);
}

/* One that failed, where the first did not, leaves the run without. */
static void note_again(struct task *task, enum rg_children_end end, const char *text, size_t length)
{
    struct rg_run second;
    struct rg_error e;
    rg_run_init(&second);
    if (end == RG_CHILDREN_WROTE && rg_run_decode(text, length, &second, &e) == 0)
        rg_again_note(&task->run, &second);
    rg_run_free(&second);
}

bool ringsim_ended(void *arg, int index, enum rg_children_end end, const char *text, size_t length)
{
    struct ringsim *r = arg;
    struct task *task = &r->tasks[index];
    const struct rg_run *head = &r->plan.runs[index].run;
    struct rg_error e;
    if (task->again && end != RG_CHILDREN_INTERRUPTED) {
        note_again(task, end, text, length);
        task->over = true;
    } else if (end == RG_CHILDREN_TIMED_OUT) {
        ringsim_fail(r, index, RG_RUN_FAILED, RG_ERR_TIMEOUT, "not finished within --timeout");
    } else if (end == RG_CHILDREN_INTERRUPTED) {
        return false;
    } else if (end == RG_CHILDREN_DIED) {
        ringsim_fail(r, index, RG_RUN_FAILED, RG_ERR_INTERNAL, text);
    } else if (rg_run_decode(text, length, &task->run, &e) != 0) {
        ringsim_fail(r, index, RG_RUN_FAILED, RG_ERR_INTERNAL, e.text);
    } else { /* a node knows nothing of the sweep it is part of */
        for (int i = task->run.sweep_count; i < head->sweep_count; i++)
            RG_ASSERT(rg_run_setting(&task->run, head->sweep[i].name, head->sweep[i].value) == 0);
        task->run.predicted.rough = head->predicted.rough;
        task->again = task->run.engine.again;
        if (task->again)
            return true;
        task->over = true;
    }
    r->unwritten = true;
    return false;
}

/* ---- progress ---- */

/* What a run costs to simulate, in messages. */
static double work_of(const struct ringsim *r, int index)
{
    const struct rg_planned *planned = &r->plan.runs[index];
    const struct rg_run_predicted *p = &planned->run.predicted;
    double rounds = p->counts.known ? (double)p->counts.iterations : 1;
    return ((double)p->messages / rounds + planned->run.nodes) * (double)planned->iterations;
}

static int compare_work(const void *a, const void *b, void *arg)
{
    int one = *(const int *)a, other = *(const int *)b;
    double more = work_of(arg, other) - work_of(arg, one);
    return more > 0 ? 1 : more < 0 ? -1 : one - other;
}

int *ringsim_order(struct ringsim *r)
{
    int *order = rg_need_zeroed((size_t)r->count + 1, sizeof *order);
    for (int i = 0; i < r->count; i++)
        order[i] = i;
    qsort_r(order, (size_t)r->count, sizeof *order, compare_work, r);
    return order;
}

static void describe_left(const struct ringsim *r, char *text, size_t size)
{
    int over = 0, mine = 0;
    double done = 0, left = 0;
    for (int i = 0; i < r->count; i++) {
        const struct shared *shared = &r->shared[i];
        if (!ringsim_is_mine(r, i))
            continue;
        mine++;
        over += r->tasks[i].over;
        double part = shared->total > 0 ? (double)shared->done / (double)shared->total : 0;
        if (!r->tasks[i].over)
            left += (1 - part) * work_of(r, i);
        if (shared->total > 0)
            done += r->tasks[i].over ? work_of(r, i) : part * work_of(r, i);
    }
    double elapsed = rg_clock_s() - r->started_s, left_s = done > 0 ? elapsed * left / done : NAN;
    snprintf(text, size, "%d/%d runs", over, mine);
    size_t used = strlen(text);
    if (isfinite(left_s) && elapsed > 1)
        snprintf(text + used, size - used, left_s < 100 ? ", %.0f s left" : ", %.0f min left",
                 left_s < 100 ? ceil(left_s) : ceil(left_s / 60));
}

static void show_progress(const struct ringsim *r)
{
    char line[400] = "";
    if (r->count > 1)
        describe_left(r, line, sizeof line);
    size_t at = strlen(line);
    for (int i = 0; i < r->count && at < 120; i++) {
        const struct rg_run *head = &r->plan.runs[i].run;
        if (r->tasks[i].over || !rg_children_runs(i))
            continue;
        at += (size_t)snprintf(line + at, sizeof line - at, "  %.24s", head->label);
        if (r->plan.sweeping)
            at += (size_t)snprintf(line + at, sizeof line - at, " %d nodes", head->nodes);
        at += (size_t)snprintf(line + at, sizeof line - at, " %" PRId64 "/%" PRId64,
                               r->shared[i].done, r->shared[i].total);
    }
    fprintf(stderr, "\r\033[K%.118s", line);
    fflush(stderr);
}

void ringsim_tick(void *arg)
{
    struct ringsim *r = arg;
    write_so_far(r);
    if (r->terminal)
        show_progress(r);
}

/* ---- the end ---- */

/* A sweep, or a part of a scenario, lists what has finished and leaves the rest for --resume; a
 * scenario of a few strategies names those that were interrupted. */
static void settle(struct ringsim *r)
{
    int missing = 0;
    for (int i = 0; i < r->count; i++) {
        if (r->tasks[i].over || !ringsim_is_mine(r, i))
            continue;
        missing++;
        if (!r->plan.sweeping && r->shards == 0)
            ringsim_fail(r, i, RG_RUN_INTERRUPTED, RG_ERR_INTERRUPTED,
                         rg_strerror(RG_ERR_INTERRUPTED));
    }
    if (missing && (r->plan.sweeping || r->shards))
        fprintf(stderr, "ringsim: interrupted, %d run%s not finished%s\n", missing,
                missing == 1 ? " is" : "s are",
                r->options.json ? "; --resume goes on from there" : "");
}

int ringsim_report(struct ringsim *r)
{
    if (r->terminal)
        fputs("\r\033[K", stderr);
    settle(r);
    struct rg_result result = collect(r);
    int status = rg_cli_finish(&r->options, "ringsim", &result);
    if (!rg_children_interrupted() && r->plan.study_open)
        rg_cli_tell_capacities(&r->options, &r->study, &result);
    release(&result);
    return rg_children_interrupted() ? RG_EXIT_INTERRUPTED : status;
}

void ringsim_forget(struct ringsim *r)
{
    for (int i = 0; r->tasks && i < r->count; i++)
        rg_run_free(&r->tasks[i].run);
    free(r->tasks);
    r->tasks = NULL;
}

int ringsim_merge(struct ringsim *r)
{
    struct rg_error e = {0};
    struct rg_result whole, *parts = rg_need_zeroed((size_t)r->part_count, sizeof *parts);
    int err = 0, status = RG_EXIT_USAGE;
    r->started_s = rg_clock_s();
    if (strcmp(r->options.json, "-") != 0 && rg_file_can_write(r->options.json, &e) < 0) {
        fprintf(stderr, "ringsim: --json %s\n", e.text);
        free(parts);
        return status;
    }
    for (int i = 0; i < r->part_count && err == 0; i++)
        if (rg_cli_same_file(r->options.json, r->parts[i]))
            err = rg_fail(&e, RG_ERR_INVALID,
                          "--json %.200s: that is a part; another file is wanted", r->options.json);
    for (int i = 0; i < r->part_count && err == 0; i++)
        err = rg_result_read(r->parts[i], &parts[i], &e);
    for (int i = 0; i < r->part_count && err == 0; i++)
        err = check_seals(r->parts[i], &parts[i], &e);
    if (err == 0)
        err = rg_result_merge(parts, (const char *const *)r->parts, r->part_count, &whole, &e);
    if (err) {
        fprintf(stderr, "ringsim: --merge: %s\n", e.text);
    } else {
        rg_cli_host(&whole, rg_clock_s() - r->started_s);
        if (rg_result_seal(&whole) != 0)
            rg_result_unseal(&whole);
        status = rg_cli_finish(&r->options, "ringsim", &whole);
        rg_result_free(&whole);
    }
    for (int i = 0; i < r->part_count; i++)
        rg_result_free(&parts[i]);
    free(parts);
    return status;
}
