#include "strategies/harness.h"

#include "strategies/server_parts.h"

#include <CUnit/CUnit.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_study(struct rg_study *study, const char *file, const char *sets,
                      struct rg_error *e)
{
    char path[512], copy[512], *list[16], *rest = copy;
    int count = 0;
    snprintf(path, sizeof path, "%s%s", file[0] == '/' ? "" : RG_SOURCE_DIR "/tests/data/", file);
    snprintf(copy, sizeof copy, "%s", sets);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (*word)
            list[count++] = word;
    return rg_study_open(path, list, count, NULL, 0, study, e);
}

bool harness_open(struct rg_study *study, const char *file, const char *sets)
{
    struct rg_error e = {0};
    int result = open_study(study, file, sets, &e);
    if (result == 0)
        result = rg_study_load_data(study, RG_ANY_RANK, &e);
    if (result)
        printf("%s\n", e.text);
    CU_ASSERT_EQUAL(result, 0);
    return result == 0;
}

void harness_refuses(const char *file, const char *sets, const char *words)
{
    struct rg_study study;
    struct rg_error e = {0};
    int result = open_study(&study, file, sets, &e);
    CU_ASSERT_EQUAL(result, RG_ERR_INVALID);
    if (!strstr(e.text, words))
        printf("%s: %s\n", sets, e.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.text, words));
    if (result == 0)
        rg_study_close(&study);
}

const struct rg_job *harness_job(const struct rg_study *study, const char *label)
{
    for (int i = 0; i < study->job_count; i++)
        if (strcmp(study->jobs[i].label, label) == 0)
            return &study->jobs[i];
    CU_FAIL_FATAL("no such strategy in the scenario");
    return NULL;
}

struct context {
    const struct rg_job *job;
    const struct harness_options *options;
    struct rg_run *run;
};

/* ---- a world whose nodes all know after which update they stop ---- */

static _Thread_local const struct rg_world_ops *within;
static _Thread_local int64_t stops_after;

static int stopping_go_on(struct rg_world *w)
{
    return w->iterations >= stops_after;
}

static int stopping_iteration(struct rg_world *w, int64_t i)
{
    int result = within->iteration(w, i);
    return result ? result : stopping_go_on(w);
}

static int stopping_wait(struct rg_world *w, struct rg_request *const *requests, int n, int *index,
                         int64_t *last)
{
    int result = within->wait_any(w, requests, n, -INFINITY, index);
    *last = stops_after;
    return result == RG_ERR_TIMEOUT ? 1 : result;
}

static int program(struct rg_world *w, void *arg)
{
    struct context *c = arg;
    struct rg_world_ops stopping = *w->ops;
    within = w->ops;
    stops_after = c->options->stops_after;
    stopping.go_on = stopping_go_on;
    stopping.iteration = stopping_iteration;
    stopping.wait_any_or_stop = stopping_wait;
    if (stops_after > 0)
        w->ops = &stopping;
    double accuracy = c->options->goal > 0 ? c->options->goal : NAN;
    if (c->options->watch_accuracy)
        accuracy = 2;
    struct rg_node_options options = {
        .stop = {.accuracy = accuracy,
                 .loss = c->options->loss > 0 ? c->options->loss : NAN,
                 .patience = c->options->patience},
        .host = "mem",
        .trace = c->options->trace,
        .save = c->options->save,
        .save_best = c->options->save_best,
        .checkpoint = c->options->checkpoint,
        .every = c->options->every,
        .resume = w->rank == 0 ? c->options->resume : NULL,
        .scenario_sha256 = "of the test",
        .initial = c->options->initial};
    w->shared = c->options->shared;
    int result = rg_node_run(w, c->job, &options, w->rank == 0 ? c->run : NULL);
    w->ops = within;
    return result;
}

/* No pass has fewer samples, or more, than the strategy says: that is what profiles are asked for.
 */
static void look_at_parts(const struct rg_job *job, int rank, const struct rg_work *work)
{
    for (int i = 0; i < work->count; i++) {
        const struct rg_part *part = &work->cost[i].part;
        if (part->samples == 0)
            continue;
        struct rg_passes passes = rg_job_passes(job, rank);
        bool half = part->kind == RG_PART_INPUT || part->kind == RG_PART_WEIGHTS;
        if (part->samples < passes.least || part->samples > passes.most ||
            (half && !passes.halves)) {
            printf("%s: rank %d, %d samples\n", job->label, rank, part->samples);
            CU_FAIL("passes are not what the strategy says");
        }
        i += part->kernels - 1;
    }
}

static double seconds(void *arg, int rank, const struct rg_work *work)
{
    const struct rg_job *job = arg;
    look_at_parts(job, rank, work);
    return rg_board_seconds(job->boards[rank], work, job->threads);
}

int harness_run(const struct rg_job *job, const struct harness_options *options, struct rg_run *run,
                int *results)
{
    const struct rg_board *board = job->boards[0];
    double wire = board->frame_bytes / board->frame_payload / board->port_rate;
    struct context context = {job, options, run};
    struct rg_mem_world_options world = {.size = job->nodes,
                                         .seed = options->seed,
                                         .compute_jitter = options->jitter,
                                         .seconds = seconds,
                                         .seconds_arg = (void *)job,
                                         .boards = job->boards,
                                         .operations = options->operations};
    memcpy(world.deaths, options->deaths, sizeof world.deaths);
    if (!options->free_transfers) {
        double byte_s = fmax(wire, board->byte_s);
        world.message_s = board->message_s + RG_MESSAGE_HEADER * byte_s;
        world.byte_s = byte_s;
        world.latency_s = board->latency_s + board->message_s;
    }
    int *own = results ? results : calloc((size_t)job->nodes, sizeof *own);
    rg_run_init(run);
    int result = rg_mem_world_run(&world, program, &context, own);
    if (!results)
        free(own);
    return result;
}

void harness_run_ok(const struct rg_job *job, const struct harness_options *options,
                    struct rg_run *run)
{
    int result = harness_run(job, options, run, NULL);
    if (result || run->status != RG_RUN_OK)
        printf("%s on %d: %s\n", job->label, job->nodes, run->error);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT_EQUAL(run->status, RG_RUN_OK);
}

void harness_same_weights(const struct rg_job *a, const struct rg_job *b, double jitter)
{
    struct rg_run one, other;
    harness_run_ok(a, &(struct harness_options){.seed = 1}, &one);
    harness_run_ok(b, &(struct harness_options){.seed = 2, .jitter = jitter}, &other);
    CU_ASSERT_EQUAL(strlen(one.weights_sha256), 64);
    CU_ASSERT_STRING_EQUAL(one.weights_sha256, other.weights_sha256);
    if (strcmp(one.weights_sha256, other.weights_sha256) != 0)
        printf("%s and %s differ\n", a->label, b->label);
    rg_run_free(&one);
    rg_run_free(&other);
}

float *harness_parameters(const struct rg_job *job, const struct harness_options *options,
                          struct rg_run *run)
{
    char path[] = "/tmp/ringtmp-test-XXXXXX";
    struct rg_run own;
    struct harness_options with_file = *options;
    struct rg_error e = {0};
    float *values = NULL;
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    with_file.save = path;
    struct rg_run *used = run ? run : &own;
    harness_run_ok(job, &with_file, used);
    CU_ASSERT_EQUAL(rg_checkpoint_load(path, job->network, NULL, &values, &e), 0);
    unlink(path);
    if (!run)
        rg_run_free(&own);
    return values;
}

void harness_count(const struct rg_job *job, int64_t *reads, int64_t *pushes)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    *reads = *pushes = 0;
    for (int k = 0; k < plan->workers; k++)
        for (int64_t i = k ? plan->warm_up : 0, first = true; i < job->iterations; i++) {
            int64_t at = i % job->iterations_per_epoch;
            bool last = at + 1 == job->iterations_per_epoch || i + 1 == job->iterations;
            *reads += first || at % plan->fetch_every == 0;
            *pushes += last || (at + 1) % plan->push_every == 0;
            first = false;
        }
}

double harness_distance(const float *a, const float *b, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}
