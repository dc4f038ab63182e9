/* The samples of a study: those that its jobs keep on a rank, read, or taken over from an earlier
 * opening of the same scenario. */
#include "study/job_parts.h"

#include "base/check.h"
#include "strategies/samples.h"
#include <stdlib.h>
#include <string.h>

/* What several jobs and ranks keep, together. */
struct keeping {
    bool train, test;
    bool all;       /* training samples */
    bool *own;      /* [data.train] which, if not all */
    uint32_t *list; /* [data.train] room for those */
};

/* What a rank, or any rank, keeps for a job that will run. */
static void add_kept(const struct rg_job *job, int rank, struct keeping *kept)
{
    if (job->refused || rg_job_fits(job, NULL) != 0)
        return;
    int first = rank < 0 ? 0 : rank, end = rank < 0 ? job->nodes : RG_MIN(rank + 1, job->nodes);
    for (int r = first; r < end; r++) {
        struct rg_data_kept more = rg_job_keeps(job, r);
        kept->train = kept->train || more.train;
        kept->test = kept->test || more.test;
        kept->all = kept->all || (more.train && !more.own);
        for (size_t i = 0; i < more.own_count; i++)
            kept->own[more.own[i]] = true;
    }
}

static struct rg_data_kept kept_of(const struct keeping *kept, int train)
{
    struct rg_data_kept keep = {.train = kept->train, .test = kept->test};
    for (int i = 0; i < train; i++)
        if (kept->own[i])
            kept->list[keep.own_count++] = (uint32_t)i;
    bool all = kept->all || keep.own_count == (size_t)train;
    keep.own = kept->train && !all ? kept->list : NULL;
    return keep;
}

static bool are_the_same(struct rg_data_kept a, struct rg_data_kept b)
{
    return a.train == b.train && a.test == b.test && !a.own == !b.own &&
           a.own_count == b.own_count &&
           (!a.own || memcmp(a.own, b.own, a.own_count * sizeof *a.own) == 0);
}

/* Of `before`, which may be NULL; else as the scenario says. */
static int fill_data(struct rg_study *study, struct rg_data_kept keep, struct rg_dataset *before,
                     struct rg_error *e)
{
    if (!before || !before->read || !are_the_same(keep, before->kept))
        return rg_dataset_read(&study->scenario.data, keep, &study->data, e);
    rg_dataset_free(&study->data);
    study->data = *before;
    *before = (struct rg_dataset){0};
    return 0;
}

static int load_data(struct rg_study *study, int rank, struct rg_dataset *before,
                     struct rg_error *e)
{
    if (!study->scenario.training.numerics || study->data.read)
        return 0;
    size_t train = (size_t)study->data.train;
    struct keeping kept = {.own = calloc(train, sizeof *kept.own),
                           .list = malloc(train * sizeof *kept.list)};
    int err = kept.own && kept.list ? 0 : rg_fail(e, RG_ERR_NOMEM, "out of memory");
    for (int i = 0; i < study->job_count && err == 0; i++)
        add_kept(&study->jobs[i], rank, &kept);
    if (err == 0)
        err = fill_data(study, kept_of(&kept, study->data.train), before, e);
    free(kept.own);
    free(kept.list);
    return err;
}

int rg_study_load_data(struct rg_study *study, int rank, struct rg_error *e)
{
    return load_data(study, rank, NULL, e);
}

int rg_study_load_data_again(struct rg_study *study, int rank, struct rg_dataset *before,
                             struct rg_error *e)
{
    int err = load_data(study, rank, before, e);
    rg_dataset_free(before);
    return err;
}
