/* What a run goes on from, looked at before anything runs.
 *
 * Failure modes handled, each in one line, the checkpoints untouched: strategies that have none; a
 * folder without any; a checkpoint that contradicts the scenario. */
#include "node/node.h"

#include "base/sizes.h"
#include "node/inspect.h"
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static int check_job(const struct rg_job *job, bool to, struct rg_error *e)
{
    if (!job->strategy->state)
        return rg_fail(e, RG_ERR_INVALID,
                       "--checkpoint, --resume-from: not for strategy \"%s\": %s has none",
                       job->label, job->strategy->name);
    if (!job->flows_on || !to)
        return 0;
    return rg_fail(e, RG_ERR_INVALID,
                   "--checkpoint: strategy \"%s\" has units in flight between epochs "
                   "(drain=\"never\"), which belong to no checkpoint: drain=\"epoch\" is allowed",
                   job->label);
}

static int differs(const struct rg_training_state *from, const char *what, int64_t there,
                   int64_t here, struct rg_error *e)
{
    return there == here ? 0
                         : rg_fail(e, RG_ERR_INVALID,
                                   "%.300s: %s is %" PRId64 " there and %" PRId64
                                   " here: the same is allowed, since the order of samples goes on",
                                   from->path, what, there, here);
}

static int check_from(const struct rg_job *job, const struct rg_training_state *from,
                      struct rg_error *e)
{
    const char *optimizer = rg_optimizer_infos[job->optimizer.kind].name;
    int err = 0;
    if (from->seed != job->seed)
        err = rg_fail(e, RG_ERR_INVALID,
                      "%.300s: the seed is %" PRIu64 " there and %" PRIu64
                      " here: the same is allowed, since the order of samples goes on",
                      from->path, from->seed, job->seed);
    if (err == 0)
        err = differs(from, "the batch", from->batch, job->batch, e);
    if (err == 0)
        err = differs(from, "the number of training samples", from->samples, job->data->train, e);
    if (err == 0 && strcmp(from->optimizer, optimizer) != 0)
        err = rg_fail(e, RG_ERR_INVALID,
                      "%.300s: the optimizer is %s there and %s here: the same is allowed, since "
                      "its state goes on",
                      from->path, from->optimizer, optimizer);
    if (err == 0 && from->iterations > job->iterations)
        err = rg_fail(e, RG_ERR_INVALID,
                      "%.300s: has %" PRId64 " iterations, and the scenario ends after %" PRId64
                      ": more epochs or iterations are allowed",
                      from->path, from->iterations, job->iterations);
    return err;
}

static bool same_folder(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

uint64_t rg_node_beside_training(const struct rg_job *job, bool writes, bool goes_on)
{
    uint64_t one = rg_size_times(rg_state_floats(job), sizeof(float));
    uint64_t copies = rg_size_plus(writes ? one : 0, goes_on ? one : 0);
    return rg_size_plus(rg_inspection_memory(job), copies);
}

uint64_t rg_node_beside_loss(const struct rg_job *job, int rank)
{
    if (!job->left_whole)
        return 0;
    return rg_size_times(job->strategy->copies_floats ? job->strategy->copies_floats(job, rank)
                                                      : rg_state_floats(job),
                         sizeof(float));
}

int rg_node_open_checkpoints(const struct rg_job *job, const char *folder, const char *from_folder,
                             struct rg_training_state *from, struct rg_error *e)
{
    int err = check_job(job, folder != NULL, e);
    *from = (struct rg_training_state){0};
    if (err == 0 && from_folder)
        err = rg_training_read(from_folder, job->network, from, e);
    if (err == 0 && from_folder)
        err = check_from(job, from, e);
    from->goes_there = err == 0 && folder && from_folder && same_folder(folder, from_folder);
    if (err)
        rg_training_state_free(from);
    return err;
}
