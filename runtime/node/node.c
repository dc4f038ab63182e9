/* The program that every node runs.
 *
 * Happy path: allocate, start the clock, train epoch by epoch; between epochs, off the clock, rank
 * 0 looks at the parameters; at the end it gathers every node's account.
 *
 * Failure modes handled: any error of the world ends the run on this node with that error; rank 0
 * then still describes what is known. */
#include "node/node_parts.h"

#include "base/check.h"
#include "collectives/collectives.h"
#include "node/inspect.h"
#include "strategies/samples.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the larger of the first loss and 1. */
#define DIVERGED_TIMES 1e6

enum { TRACE_LIMIT = 1 << 20, MARKS_LIMIT = 1 << 22 };

/* ---- looking at the parameters ---- */

/* Rank 0: has the training diverged? Only a loss that is large asks for that of the start. */
static int judge(struct node *n, const struct rg_inspection *in)
{
    bool diverged = !in->finite || (in->evaluate && !isfinite(in->loss));
    if (!diverged && in->loss > DIVERGED_TIMES) {
        int result = isnan(n->start_loss)
                         ? rg_inspect_start(n->job, n->options->initial, &n->start_loss)
                         : 0;
        if (result)
            return result;
        diverged = in->loss > DIVERGED_TIMES * fmax(n->start_loss, 1);
    }
    if (diverged)
        n->verdict = DIVERGED;
    return 0;
}

/* Rank 0: the matrix, [true][predicted], as the result has it. */
static int note_classes(struct node *n, const int *confusion)
{
    const struct rg_dataset *data = n->job->data;
    struct rg_run_final *final = &n->run->final;
    final->classes = calloc((size_t)data->classes, sizeof *final->classes);
    if (!final->classes)
        return RG_ERR_NOMEM;
    final->class_count = data->classes;
    for (int c = 0; c < data->classes; c++) {
        struct rg_run_class *class = &final->classes[c];
        const int *row = confusion + (size_t)c * (size_t)data->classes;
        const char *name = data->class_names ? data->class_names[c] : NULL;
        rg_copy_text(class->name, sizeof class->name, name ? name : "");
        class->predicted = calloc((size_t)data->classes, sizeof *class->predicted);
        if (!class->predicted)
            return RG_ERR_NOMEM;
        class->predicted_count = data->classes;
        memcpy(class->predicted, row, (size_t)data->classes * sizeof *row);
        for (int k = 0; k < data->classes; k++)
            class->samples += row[k];
        class->accuracy = class->samples ? (double)row[c] / class->samples : NAN;
    }
    return 0;
}

static void note_quality(struct node *n, const struct rg_inspection *in)
{
    const struct rg_dataset *data = n->job->data;
    struct rg_run_final *final = &n->run->final;
    final->loss = in->loss;
    final->accuracy = in->accuracy;
    final->numbers = (struct rg_run_numbers){n->tested && data->classes == 0, in->r2};
    final->tokens =
        (struct rg_run_tokens){.known = n->tested && data->classes > 0 && data->target_count > 1,
                               .perplexity = exp(in->loss),
                               .bits = in->loss / M_LN2,
                               .per_sample = data->target_count};
}

/* Room for the matrix of the last look, where it is kept; NULL: it is not. */
static int *new_confusion(const struct node *n, bool last)
{
    size_t classes = (size_t)n->job->data->classes;
    bool kept = n->run && last && n->job->data->test > 0 && classes > 0;
    kept = kept && classes <= RG_RESULT_CLASSES;
    return kept ? calloc(classes * classes, sizeof(int)) : NULL;
}

/* Of whole parameters, on the test samples. */
static int accuracy_of(const struct rg_job *job, const float *parameters, double *accuracy)
{
    struct rg_inspection inspection;
    int result = rg_inspection_open(&inspection, job, true);
    for (int l = 0; l < job->network->layer_count && result == 0; l++) {
        size_t first = rg_network_offset(job->network, l);
        size_t count = job->network->layers[l].parameters;
        if (count > 0)
            result = rg_inspection_visit(&inspection, first, parameters + first, count);
    }
    *accuracy = inspection.accuracy;
    rg_inspection_close(&inspection);
    return result;
}

/* Rank 0: what nodes have trained by themselves, where it has that. */
static int look_at_own(struct node *n)
{
    int result = 0;
    if (!n->state || !n->job->strategy->trained_by)
        return 0;
    if (!n->accuracy)
        n->accuracy = calloc((size_t)n->job->nodes, sizeof *n->accuracy);
    for (int rank = 0; rank < n->job->nodes && n->accuracy && result == 0; rank++) {
        const float *parameters = n->job->strategy->trained_by(n->state, rank);
        n->accuracy[rank] = NAN;
        if (parameters)
            result = accuracy_of(n->job, parameters, &n->accuracy[rank]);
    }
    return n->accuracy ? result : RG_ERR_NOMEM;
}

/* A file of parameters on its way. */
struct keep {
    struct rg_checkpoint_writer writer;
    bool open;
};

/* A file that cannot be written is no reason to throw a result away. */
static void note_unsaved(struct node *n, const struct rg_error *e)
{
    if (e->code)
        rg_copy_text(n->run->unsaved, sizeof n->run->unsaved, e->text);
}

static struct rg_checkpoint_writer *begin_keep(struct node *n, struct keep *keep, const char *path)
{
    struct rg_error e = {0};
    keep->open =
        path && rg_checkpoint_begin(&keep->writer, path, n->job->network, n->job->data, &e) == 0;
    note_unsaved(n, &e);
    return keep->open ? &keep->writer : NULL;
}

static void end_keep(struct node *n, struct keep *keep, bool wanted)
{
    struct rg_error e = {0};
    if (keep->open && wanted)
        rg_checkpoint_end(&keep->writer, &e);
    else if (keep->open)
        rg_checkpoint_abandon(&keep->writer);
    note_unsaved(n, &e);
}

/* Is that the least loss so far? */
static bool is_best(const struct node *n, double loss)
{
    return n->tested && n->verdict != DIVERGED && isfinite(loss) && !(loss >= n->run->best.loss);
}

/* What has diverged is not saved: a file that is there may be the last good one. */
int rg_node_look(struct node *n, bool last)
{
    struct keep end = {.open = false}, best = {.open = false};
    struct rg_inspection inspection = {0};
    bool root = n->run != NULL;
    bool evaluate = n->w->rank == 0 && n->job->data->kept.test; /* it may have another's place */
    int result = root ? rg_inspection_open(&inspection, n->job, evaluate) : 0;
    if (result == 0 && root) {
        const struct rg_node_options *o = n->options;
        bool save = last && n->verdict != DIVERGED;
        inspection.checkpoints[0] = begin_keep(n, &end, save ? o->save : NULL);
        inspection.checkpoints[1] = begin_keep(n, &best, inspection.evaluate ? o->save_best : NULL);
        inspection.digest = last ? rg_digest_new() : NULL;
        inspection.confusion = new_confusion(n, last && evaluate);
    }
    if (result == 0)
        result = n->parameters(n->source, rg_inspection_visit, &inspection);
    if (inspection.digest)
        rg_digest_end(inspection.digest, n->run->weights_sha256);
    if (root && result == 0)
        result = judge(n, &inspection);
    if (root && result == 0) {
        n->tested = inspection.evaluate;
        note_quality(n, &inspection);
    }
    if (root) {
        end_keep(n, &end, result == 0 && n->verdict != DIVERGED);
        end_keep(n, &best, result == 0 && is_best(n, inspection.loss));
    }
    if (inspection.confusion && result == 0 && n->verdict != DIVERGED)
        result = note_classes(n, inspection.confusion);
    free(inspection.confusion);
    rg_inspection_close(&inspection);
    return result == 0 && root && last && evaluate ? look_at_own(n) : result;
}

/* The least loss so far. */
static void note_best(struct node *n)
{
    struct rg_run *run = n->run;
    n->in_vain++;
    if (!is_best(n, run->final.loss))
        return;
    n->in_vain = 0;
    run->best =
        (struct rg_run_best){.known = n->options->stop.patience > 0 || n->options->save_best,
                             .iteration = n->done,
                             .loss = run->final.loss,
                             .accuracy = run->final.accuracy};
}

static int note_point(struct node *n)
{
    struct rg_run *run = n->run;
    if (!n->tested)
        return 0;
    struct rg_run_point *points =
        realloc(run->training, ((size_t)run->point_count + 1) * sizeof *points);
    if (!points)
        return RG_ERR_NOMEM;
    run->training = points;
    points[run->point_count++] = (struct rg_run_point){.iteration = n->done,
                                                       .time_s = n->before_s + n->time_s,
                                                       .energy_J = n->before_J + n->joules.total,
                                                       .loss = run->final.loss,
                                                       .accuracy = run->final.accuracy};
    note_best(n);
    return rg_node_judge_point(n);
}

/* Between epochs, off the clock. `last`: no more training follows. */
static int evaluate(struct node *n, bool last)
{
    int result = rg_node_look(n, last);
    if (result == 0)
        result = rg_node_sum_energy(n);
    if (result == 0 && n->run)
        result = note_point(n);
    if (result == 0 && !last)
        result = rg_node_share_point(n);
    if (result == 0 && !last) {
        int32_t verdict = n->verdict;
        result = rg_broadcast(n->w, (struct rg_group){0, 1, n->w->size}, 0, &verdict,
                              sizeof verdict, TAG_VERDICT);
        n->verdict = verdict;
        if (result == 0 && n->verdict != GO_ON)
            result = rg_node_look(n, true); /* now for the digest and the checkpoint */
    }
    return result;
}

/* ---- training ---- */

/* From one barrier to the next, the clock stands still, and the meter with it; n->time_s and
 * n->energy are what they show. */
static int pause(struct node *n)
{
    int result = rg_untimed_begin(n->w);
    n->time_s = n->w->untimed_since - n->w->offset;
    rg_energy(n->w, &n->energy);
    return result ? result : rg_node_note_pause(n);
}

/* Told to stop where more was to come. */
static int end_here(struct node *n)
{
    int result = n->job->numerics ? rg_node_look(n, true) : 0;
    return result == 0 && n->keeping.on ? rg_node_checkpoint(n, true) : result;
}

/* Told so before anything was trained: what has been gone on from is all there is. */
static int stop_at_once(struct node *n)
{
    if (n->done == 0)
        return RG_ERR_INTERRUPTED;
    int result = pause(n);
    return result ? result : end_here(n);
}

/* Of the epoch, and where checkpoints come in between, of the section. */
static int64_t section_end(const struct node *n)
{
    int64_t per_epoch = n->job->iterations_per_epoch;
    int64_t epoch_end = (n->done / per_epoch + 1) * per_epoch;
    return n->keeping.on ? n->keeping.until : RG_MIN(epoch_end, n->job->iterations);
}

/* The checkpoint that it goes on from has all there is to do. */
static int look_once_more(struct node *n)
{
    int result = pause(n);
    return result ? result : rg_node_look(n, true);
}

/* It goes on from a checkpoint, or anew, after some that have broken off: their time counts. */
static void begin_attempt(struct node *n)
{
    struct rg_attempts *a = n->options->attempts;
    n->begun = true;
    rg_node_forget_copies(n);
    if (n->options->kept)
        rg_kept_free(n->options->kept);
    rg_attempts_begin(a, n->w, n->keeping.begun,
                      n->keeping.from_copies ? "copies"
                      : n->keeping.takes_up  ? "checkpoint"
                                             : "beginning");
    if (!n->run || a->loss_count == 0)
        return;
    struct rg_run_resumed *resumed = &n->run->resumed;
    if (!resumed->known)
        *resumed = (struct rg_run_resumed){.known = true, .exact = a->lose != RG_LOSE_SHRINK};
    resumed->time_s = n->before_s = a->before_s;
    resumed->energy_J = n->before_J = NAN;
}

/* Where all stop after an epoch's last iteration, some know that before they evaluate it, and
 * others after: all do what is done in the middle of a training, and end then. */
static int train(struct node *n)
{
    int result = rg_clock_start(n->w);
    if (result == 0 && n->options->attempts)
        begin_attempt(n);
    bool untold = n->keeping.untold;
    if (result == 0 && !untold && rg_go_on(n->w) == 1)
        return stop_at_once(n);
    if (result == 0 && !untold && (n->done == n->job->iterations || n->verdict != GO_ON))
        return look_once_more(n);
    for (; result == 0 && (untold || n->done < n->job->iterations); untold = false) {
        int64_t end = untold ? n->done : section_end(n);
        result = untold ? 0 : n->job->strategy->train(n->state, n->done, end - n->done);
        bool stopped = result == 1;
        if (result < 0)
            break;
        bool idle = stopped && n->w->iterations == n->done; /* told in the pause before */
        n->done = stopped ? n->w->iterations : end;
        bool last = n->done == n->job->iterations || (stopped && n->done < end);
        result = pause(n);
        bool within = !last && n->done % n->job->iterations_per_epoch != 0;
        if (result == 0 && n->job->numerics && !within)
            result = idle ? rg_node_look(n, true) : evaluate(n, last);
        if (result == 0 && !last && !stopped && n->verdict != GO_ON && n->job->flows_on)
            result = n->job->strategy->drain(n->state);
        if (result == 0 && n->keeping.on)
            result = rg_node_checkpoint(n, last || n->verdict != GO_ON);
        if (last || n->verdict != GO_ON)
            return result; /* the clock stays where it is */
        if (result == 0)   /* where something is in flight, the strategy asks */
            result = stopped ? 1 : n->job->flows_on ? 0 : rg_go_on(n->w);
        if (result == 1)
            return end_here(n);
        if (result == 0 && !within && !n->job->flows_on)
            result = rg_node_look_for_returned(n);
        if (result == 0)
            result = rg_untimed_end(n->w);
    }
    return result;
}

/* ---- the run ---- */

struct progress {
    const struct rg_node_options *options;
    int64_t total;
};

static void on_iteration(void *arg, int64_t i, double now)
{
    const struct progress *p = arg;
    p->options->progress(p->options->progress_arg, i + 1, p->total, now);
}

/* Who shares a medium with others: their messages are counted apart. */
static int note_medium(struct node *n)
{
    const struct rg_job *job = n->job;
    n->medium_rate = rg_job_medium_rate(job);
    if (n->medium_rate == 0)
        return 0;
    n->on_medium = calloc((size_t)job->nodes, sizeof *n->on_medium);
    if (!n->on_medium)
        return RG_ERR_NOMEM;
    for (int rank = 0; rank < job->nodes; rank++)
        n->on_medium[rank] = job->boards[rank]->shared_medium;
    n->w->on_medium = n->on_medium;
    return 0;
}

static bool writes_checkpoints(const struct rg_node_options *options, const struct rg_job *job)
{
    return options->checkpoint || (options->noted && !job->numerics);
}

/* What rank 0 wants of timelines and checkpoints. The part goes by itself, where there is one: a
 * longer message would move all dates, by rounding. */
static int hear_trace(struct node *n)
{
    enum { NONE, WHOLE, PART, TRACE = 3, CHECKPOINTS = 4, TAKEN_UP = 8 };
    const struct rg_group all = {0, 1, n->w->size};
    const struct rg_trace_part whole = {0};
    n->part = n->options->part;
    bool is_part = memcmp(&n->part, &whole, sizeof whole) != 0;
    int32_t wanted = (!n->options->trace ? NONE
                      : is_part          ? PART
                                         : WHOLE) |
                     (writes_checkpoints(n->options, n->job) ? CHECKPOINTS : 0) |
                     (n->resume ? TAKEN_UP : 0);
    int result = rg_broadcast(n->w, all, 0, &wanted, sizeof wanted, TAG_TRACE);
    int32_t trace = wanted & TRACE;
    n->keeping.on = wanted & CHECKPOINTS;
    n->keeping.takes_up = wanted & TAKEN_UP;
    if (result == 0 && trace == PART)
        result = rg_broadcast(n->w, all, 0, &n->part, sizeof n->part, TAG_TRACE);
    if (result == 0 && trace != PART)
        n->part = whole;
    n->any_trace = trace != NONE;
    n->trace = rg_node_traces(n, n->w->rank);
    return result;
}

static int prepare(struct node *n)
{
    struct rg_world *w = n->w;
    bool real = n->job->numerics || w->ops->moves_bytes;
    /* where copies may be newer it is not read yet */
    int result = n->run && !rg_node_may_have_copies(n) ? rg_node_find_checkpoint(n, -1) : 0;
    if (result == 0)
        result = hear_trace(n);
    if (result)
        return result;
    result = rg_clocks_compare(w, &n->clocks.before);
    if (result)
        return result;
    if (n->options->compared && !rg_clock_known(n->options->compared))
        *n->options->compared = n->clocks.before;
    if ((result = note_medium(n)) != 0)
        return result;
    w->mem = rg_mem_new(real ? RG_MEM_REAL : RG_MEM_VIRTUAL);
    w->skip_numerics = !n->job->numerics;
    w->trace = n->trace ? rg_trace_new(TRACE_LIMIT) : NULL;
    if (!w->mem || (n->trace && !w->trace))
        return RG_ERR_NOMEM;
    if (w->trace)
        rg_trace_limit_to(w->trace, &n->part);
    rg_mem_hold(w->mem, rg_job_samples_memory(n->job, w->rank)); /* loaded before, see study.h */
    if (w->rank == 0) {
        w->marks_capacity = RG_MIN(n->job->iterations, MARKS_LIMIT);
        w->marks = rg_mem_plain(w->mem, (size_t)w->marks_capacity * sizeof *w->marks);
        if (!w->marks)
            return RG_ERR_NOMEM;
    }
    result = n->job->strategy->open(w, n->job, n->options->initial, &n->state);
    n->source = n->state;
    if (result == 0)
        result = rg_node_take_copies(n);
    if (result == 0 && n->keeping.takes_up)
        result = rg_node_take_up(n);
    n->keeping.ready |= result == 0;
    if (result == 0)
        result = rg_node_begin_copies(n);
    return result == 0 && n->keeping.on ? rg_node_begin_checkpoints(n) : result;
}

static void clear(struct node *n)
{
    if (n->state)
        n->job->strategy->close(n->state);
    free(n->pauses);
    free(n->sections);
    free(n->metered);
    free(n->on_medium);
    free(n->accuracy);
    rg_mem_free(n->keeping.nowhere);
    rg_trace_free(n->w->trace);
    rg_mem_free(n->w->mem);
    n->w->trace = NULL;
    n->w->mem = NULL;
    n->w->marks = NULL;
    n->w->on_iteration = NULL;
    n->w->on_medium = NULL;
}

/* A machine that cannot keep up with the board it stands for has measured itself. */
static bool paced_too_fast(const struct rg_run *run)
{
    return run->paced.overruns * 100 > run->paced.computations;
}

/* A run of its own kind, but one that ended well. What such parameters get right by chance is no
 * accuracy. */
static void tell_diverged(const struct node *n)
{
    struct rg_run *run = n->run;
    char what[64] = "the loss is not a number";
    run->status = RG_RUN_DIVERGED;
    if (n->job->data->test == 0)
        strcpy(what, "parameters are not finite");
    else if (!isnan(run->final.loss))
        snprintf(what, sizeof what, "the loss is %.3g", run->final.loss);
    snprintf(run->error, sizeof run->error, "%s at iteration %" PRId64 " of %" PRId64 "%s", what,
             n->done, n->job->iterations, n->options->save ? "; its parameters are not saved" : "");
    run->final.accuracy = run->final.numbers.r2 = NAN;
    run->final.tokens.perplexity = run->final.tokens.bits = NAN;
}

static void conclude(struct node *n, int result)
{
    struct rg_run *run = n->run;
    run->ending.early = n->done < n->job->iterations && n->verdict == GO_ON;
    run->ending.wanted_iterations = n->job->iterations;
    if (result == 0 && paced_too_fast(run)) {
        result = RG_ERR_OVERRUN;
        snprintf(run->error, sizeof run->error,
                 "%llu of %llu computations took longer than on the board that paces them (%s): "
                 "1 %% at most is allowed",
                 (unsigned long long)run->paced.overruns,
                 (unsigned long long)run->paced.computations, run->paced.board);
    }
    run->error_code = result;
    if (result == 0) {
        run->status = RG_RUN_OK;
        if (n->verdict == DIVERGED)
            tell_diverged(n);
        return;
    }
    run->status = result == RG_ERR_INTERRUPTED ? RG_RUN_INTERRUPTED : RG_RUN_FAILED;
    if (!run->error[0])
        snprintf(run->error, sizeof run->error, "%s", rg_strerror(result));
}

void rg_kept_free(struct rg_kept *kept)
{
    for (int i = 0; i < kept->count; i++)
        free(kept->ranges[i].values);
    free(kept->ranges);
    rg_copies_free(&kept->copies);
    *kept = (struct rg_kept){0};
}

/* A copy of one range more; false: no memory. */
static bool keep(struct rg_kept *kept, struct rg_kept_range *range, const float *values)
{
    size_t bytes = range->count * sizeof *values;
    struct rg_kept_range *more =
        realloc(kept->ranges, (size_t)(kept->count + 1) * sizeof *kept->ranges);
    if (more)
        kept->ranges = more;
    range->values = more ? malloc(bytes + 1) : NULL;
    if (!range->values)
        return false;
    memcpy(range->values, values, bytes);
    kept->ranges[kept->count++] = *range;
    return true;
}

static int keep_copy(void *arg, int64_t done, const struct rg_state_array *array)
{
    bool wanted = strcmp(array->name, RG_STATE_PARAMETERS) == 0;
    return wanted ? rg_copies_add(arg, done, array, array->values) : 0;
}

/* What this node has whole outlives the strategy, but what it has as a copy for another attempt. An
 * attempt that has not begun leaves what there was before. */
static void keep_held(struct node *n)
{
    struct rg_kept *kept = n->options->kept;
    const float *values;
    struct rg_kept_range range;
    if (!kept || (n->options->attempts && !n->begun))
        return;
    kept->iterations = n->done;
    if (!n->state || !n->job->numerics || n->done == 0 || rg_node_has_copies(n))
        return;
    while ((values = n->job->strategy->held(n->state, kept->count, &range.first, &range.count)) !=
               NULL &&
           keep(kept, &range, values))
        ;
    if (!n->options->attempts && n->job->copies)
        n->job->strategy->copies(n->state, keep_copy, &kept->copies);
}

/* The run ends in the middle. What others have told of themselves is not all there, and goes. */
static void break_off(struct node *n)
{
    struct rg_run *run = n->run;
    n->done = n->w->iterations;
    if (n->options->attempts)
        rg_attempts_break(n->options->attempts, n->w->ops->now(n->w));
    if (!run)
        return;
    for (int i = 0; i < run->node_count; i++)
        rg_trace_free(run->per_node[i].trace);
    free(run->per_node);
    run->per_node = NULL;
    run->node_count = 0;
    run->iterations = n->done;
    run->samples = (uint64_t)(n->done - rg_run_begun(run)) * (uint64_t)n->job->batch;
    run->time_s =
        n->done > 0 ? (n->w->untimed ? n->w->untimed_since - n->w->offset : rg_now(n->w)) : NAN;
}

int rg_node_run(struct rg_world *w, const struct rg_job *job, const struct rg_node_options *options,
                struct rg_run *run)
{
    RG_ASSERT(w->size == job->nodes && (w->rank == 0) == (run != NULL));
    struct node n = {.w = w,
                     .job = job,
                     .options = options,
                     .resume = options->resume,
                     .run = run,
                     .parameters = job->strategy->parameters};
    n.clocks = (struct rg_clock_map){rg_clock_unknown, rg_clock_unknown};
    n.joules.total = n.start_loss = NAN;
    struct progress progress = {.options = options, .total = job->iterations};
    if (run) {
        rg_run_init(run);
        rg_job_describe(job, run);
        run->to_accuracy.wanted = !isnan(options->stop.accuracy);
        run->to_accuracy.target = options->stop.accuracy;
        run->to_loss.wanted = !isnan(options->stop.loss);
        run->to_loss.target = options->stop.loss;
    }
    if (run && options->progress) {
        w->on_iteration = on_iteration;
        w->on_iteration_arg = &progress;
    }
    int result = prepare(&n);
    if (result == 0)
        result = train(&n);
    if (result == 0)
        result = rg_node_gather(&n);
    if (run && result == 0)
        rg_node_describe(&n);
    if (options->attempts && n.begun) /* else it is as far as before */
        options->attempts->iterations = w->iterations;
    if (result < 0)
        break_off(&n);
    rg_node_keep_copies(&n, result);
    if (result < 0)
        keep_held(&n);
    rg_node_end_checkpoints(&n);
    if (run && options->attempts && result < 0)
        rg_attempts_tell(options->attempts, w, run); /* as far as there is memory for it */
    if (run)
        conclude(&n, result);
    bool stopped = n.done < job->iterations && n.verdict == GO_ON;
    clear(&n);
    return result == 0 && stopped ? 1 : result;
}
