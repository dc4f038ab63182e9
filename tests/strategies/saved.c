#include "strategies/saved.h"

#include "support/suite.h"
#include "unit/scratch.h"
#include <dirent.h>

void saved_must_be_ok(const struct rg_job *job, int result, const struct rg_run *run)
{
    if (result < 0 || run->status != RG_RUN_OK)
        printf("%s on %d: %s\n", job->label, job->nodes, run->error);
    CU_ASSERT_TRUE(result >= 0);
    CU_ASSERT_EQUAL(run->status, RG_RUN_OK);
}

const char *saved_folder(void)
{
    static int number;
    char name[40];
    snprintf(name, sizeof name, "c%d", number++);
    return scratch_path(name);
}

void saved_stop_after(const struct rg_job *job, int64_t iterations, const char *to)
{
    struct rg_run run;
    struct rg_error e = {0};
    CU_ASSERT_EQUAL_FATAL(rg_training_folder(to, false, &e), 0);
    const struct harness_options options = {
        .seed = 2, .checkpoint = to, .every = {.seconds = 1e9}, .stops_after = iterations};
    int result = harness_run(job, &options, &run, NULL);
    saved_must_be_ok(job, result, &run);
    CU_ASSERT_EQUAL(run.iterations, iterations);
    CU_ASSERT_EQUAL(run.checkpoints.written, 1);
    CU_ASSERT_EQUAL(run.checkpoints.iteration, iterations);
    rg_run_free(&run);
}
static uint64_t floats_of(const struct rg_training_state *state)
{
    uint64_t floats = 0;
    for (int i = 0; i < state->array_count; i++)
        floats += state->arrays[i].count;
    return floats;
}

void saved_go_on(const struct rg_job *job, const char *from, struct rg_run *run)
{
    struct rg_training_state state;
    struct rg_error e = {0};
    int err = rg_node_open_checkpoints(job, NULL, from, &state, &e);
    if (err)
        printf("%s\n", e.text);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    if (strcmp(state.strategy, job->strategy->name) == 0 && state.nodes == job->nodes)
        CU_ASSERT_EQUAL(floats_of(&state), rg_state_floats(job));
    const struct harness_options options = {.seed = 3, .resume = &state};
    saved_must_be_ok(job, harness_run(job, &options, run, NULL), run);
    CU_ASSERT_TRUE(run->resumed.known);
    CU_ASSERT_EQUAL(run->resumed.iteration, state.iterations);
    CU_ASSERT_EQUAL(run->iterations, job->iterations);
    CU_ASSERT_TRUE(run->rounds.known ||
                   run->samples ==
                       (uint64_t)(job->iterations - state.iterations) * (uint64_t)job->batch);
    rg_training_state_free(&state);
}
int saved_files(const char *at, const char *ending)
{
    DIR *dir = opendir(at);
    int count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += strstr(entry->d_name, ending) != NULL;
    if (dir)
        closedir(dir);
    return count;
}

bool saved_has(const char *at, int64_t iterations)
{
    char path[600];
    snprintf(path, sizeof path, "%s/checkpoint-%d.json", at, (int)iterations);
    return access(path, F_OK) == 0;
}
