/* The order in which a server out of step has answered its workers and applied their pushes, and
 * whether another run can follow it. The parameters that a worker reads are those between two
 * pushes, so that with this order all numbers are the same, whatever the timing.
 *
 * An event is 2 k, an answer to worker k, or 2 k + 1, a push of its that is applied. */
#include "base/check.h"
#include "strategies/server_parts.h"
#include <stdlib.h>

int rg_server_events(const struct rg_server_plan *plan)
{
    return 2 * plan->workers;
}

struct account {
    int64_t answered, done; /* clocks */
};

/* Clocks below these. */
struct follower {
    const struct rg_job *job;
    struct account *workers;   /* [workers] */
    int64_t complete, *ending; /* that all have ended; [ahead + 1]: how many have, by clock */
    int64_t epoch_end;
};

static void begin_epoch(struct follower *f, int64_t first)
{
    const struct rg_server_plan *plan = rg_server_plan(f->job);
    f->epoch_end = RG_MIN(first + f->job->iterations_per_epoch, f->job->iterations);
    for (int k = 0; k < plan->workers; k++)
        f->workers[k].answered = f->workers[k].done = rg_server_begin(plan, k, first, f->epoch_end);
}

/* A push ends clocks for its worker, some perhaps for all. */
static void end_clocks(struct follower *f, struct account *worker)
{
    const struct rg_server_plan *plan = rg_server_plan(f->job);
    int64_t slots = plan->ahead + 1, after = rg_server_after_push(f->job, worker->done);
    for (; worker->done < after; worker->done++) {
        int64_t *ending = &f->ending[worker->done % slots];
        if (++*ending == (worker->done < plan->warm_up ? 1 : plan->workers)) {
            *ending = 0;
            f->complete++;
        }
    }
}

/* What a server would not do: say why. */
static const char *follow(struct follower *f, int event)
{
    const struct rg_server_plan *plan = rg_server_plan(f->job);
    struct account *worker = &f->workers[event / 2];
    if (event % 2 == 0) {
        int64_t clock = worker->answered;
        if (clock >= f->epoch_end)
            return "an answer of an epoch that has not begun";
        if (event > 0 && f->complete < plan->warm_up)
            return "an answer before the first worker's warm-up is over";
        worker->answered = rg_server_after_read(f->job, clock);
        if (clock - f->complete > plan->ahead)
            return "an answer farther ahead than the staleness allows";
        return worker->done >= rg_server_pushed_before(f->job, clock - plan->in_flight + 1)
                   ? NULL
                   : "an answer before the push before it";
    }
    if (worker->done == worker->answered)
        return "a push before its answer";
    end_clocks(f, worker);
    if (f->complete == f->epoch_end && f->complete < f->job->iterations)
        begin_epoch(f, f->epoch_end);
    return NULL;
}

static const char *follow_all(struct follower *f, const char *at)
{
    int limit = rg_server_events(rg_server_plan(f->job)), digits = rg_order_digits(limit), event;
    const char *why = NULL;
    while (!why && (event = rg_order_next(&at, digits, limit)) >= 0)
        why = follow(f, event);
    if (!why && event < -1)
        why = "what is no event";
    return why || f->complete == f->job->iterations ? why : "too few pushes";
}

static int check_one(const struct rg_job *job, const char *order, int server, struct rg_error *e)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    struct follower f = {.job = job,
                         .workers = calloc((size_t)plan->workers, sizeof *f.workers),
                         .ending = calloc((size_t)plan->ahead + 1, sizeof *f.ending)};
    if (f.workers)
        begin_epoch(&f, 0);
    const char *why = f.workers && f.ending ? follow_all(&f, order) : NULL;
    int err = f.workers && f.ending ? 0 : rg_fail(e, RG_ERR_NOMEM, "out of memory");
    free(f.workers);
    free(f.ending);
    return why ? rg_fail(e, RG_ERR_INVALID, "its order of server %d has %s", server, why) : err;
}

int rg_server_check_orders(const struct rg_job *job, char *const *orders, int count,
                           struct rg_error *e)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    int wanted = plan->in_step ? 0 : plan->servers, err = 0;
    if (count != wanted)
        return rg_fail(e, RG_ERR_INVALID, "it has the orders of %d servers, %d are wanted", count,
                       wanted);
    for (int j = 0; j < count && err == 0; j++)
        err = check_one(job, orders[j], j, e);
    return err;
}
