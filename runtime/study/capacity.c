#include "study/capacity.h"

#include "base/check.h"
#include "study/job.h"

#include <stdlib.h>

enum { WIDEST = 1 << 28 }; /* no network is that wide: rg_network_scale says so before */

/* The job's network at one width. */
struct trial {
    bool exists, fits;
    size_t parameters;
};

/* The job with another network: values that were automatic are so again. */
static int check_again(const struct rg_job *job, const struct rg_network *network,
                       struct rg_job *again, struct rg_error *why)
{
    *again = *job;
    again->network = network;
    again->plan = NULL;
    for (int i = 0; i < RG_PARAMS_MAX; i++)
        if (again->values[i].automatic)
            again->values[i].list = NULL;
    return job->strategy->check(again, why);
}

static void forget(struct rg_job *again)
{
    if (again->strategy->forget)
        again->strategy->forget(again);
    for (int i = 0; i < RG_PARAMS_MAX; i++)
        if (again->values[i].automatic)
            free(again->values[i].list);
}

static int try_width(const struct rg_job *job, int widest, struct trial *trial, struct rg_error *e)
{
    struct rg_network network;
    struct rg_job again;
    struct rg_error why = {0};
    int err = rg_network_scale(job->network, widest, &network, &why);
    *trial = (struct trial){.exists = err == 0};
    if (err == 0) {
        trial->parameters = network.parameters;
        err = check_again(job, &network, &again, &why);
        if (err == 0)
            err = rg_job_fits(&again, &why);
        trial->fits = err == 0;
        forget(&again);
        rg_network_free(&network);
    }
    return err == RG_ERR_NOMEM ? rg_fail(e, err, "out of memory") : 0;
}

int rg_job_capacity(const struct rg_job *job, struct rg_capacity *capacity, struct rg_error *e)
{
    int from = rg_network_widest(job->network), low = 0, high = WIDEST, width = from, err = 0;
    *capacity = (struct rg_capacity){0};
    if (from == 0) {
        capacity->limited = rg_job_fits(job, NULL) != 0;
        capacity->parameters = capacity->limited ? 0 : job->network->parameters;
        return 0;
    }
    /* low fits (0: nothing yet), high does not; at first twice as wide each time */
    while (high - low > 1) {
        struct trial trial;
        if ((err = try_width(job, width, &trial, e)) < 0)
            return err;
        if (trial.fits) {
            low = width;
            capacity->parameters = trial.parameters;
        } else {
            high = width;
            capacity->limited = trial.exists;
        }
        width = high == WIDEST ? RG_MIN(2 * width, WIDEST - 1) : low + (high - low) / 2;
    }
    capacity->widest = low;
    capacity->factor = (double)low / from;
    return 0;
}
