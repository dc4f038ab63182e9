/* How much of a batch each of the nodes of a data-parallel strategy takes. Gradients are sums over
 * samples, divided by the whole batch, so that a share weighs as many samples as it has. */
#include "strategies/shares.h"
#include "strategies/replica.h"

#include "base/check.h"
#include <stdlib.h>

enum { EQUAL, SPEED };

/* By the seconds that an equal share takes: a sample each, then every further one to the node that
 * is done with it first. */
int *rg_shares_by_speed(const struct rg_job *job, int first, int parts)
{
    int *shares = malloc((size_t)parts * sizeof *shares);
    double *sample_s = malloc((size_t)parts * sizeof *sample_s);
    int n = RG_MAX(job->batch / parts, 1);
    for (int i = 0; i < parts && shares && sample_s; i++) {
        const struct rg_board *board = job->boards[first + i];
        bool same = i > 0 && board == job->boards[first + i - 1];
        sample_s[i] = same ? sample_s[i - 1] : rg_replica_pass_s(job, board, n) / n;
        shares[i] = 1;
    }
    for (int left = job->batch - parts; left > 0 && shares && sample_s; left--) {
        int next = 0;
        for (int i = 1; i < parts; i++)
            if ((shares[i] + 1) * sample_s[i] < (shares[next] + 1) * sample_s[next])
                next = i;
        shares[next]++;
    }
    if (!sample_s) {
        free(shares);
        shares = NULL;
    }
    free(sample_s);
    return shares;
}

int rg_shares_check(struct rg_job *job, struct rg_value *value, int first, int parts,
                    struct rg_error *e)
{
    long sum = 0;
    int least = 1;
    job->shares = NULL;
    if (value->automatic && value->word == EQUAL)
        return 0;
    if (value->automatic) { /* by speed */
        value->list = rg_shares_by_speed(job, first, parts);
        value->number = value->list ? parts : 0;
        job->shares = value->list;
        return value->list ? 0 : rg_fail(e, RG_ERR_NOMEM, "out of memory");
    }
    for (long i = 0; i < value->number; i++) {
        sum += value->list[i];
        least = RG_MIN(least, value->list[i]);
    }
    if (value->number != parts || sum != job->batch || least < 1)
        return rg_fail(e, RG_ERR_INVALID,
                       "shares of %ld nodes with %ld samples in all: %d nodes share a batch of %d, "
                       "at least a sample each; equal and speed are allowed too",
                       value->number, sum, parts, job->batch);
    job->shares = value->list;
    return 0;
}
