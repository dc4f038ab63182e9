/* What servers and workers work out of their plan, each for itself. */
#include "base/check.h"
#include "strategies/server_parts.h"

struct rg_shard rg_server_shard(const struct rg_job *job, int server)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    const struct rg_server_stage *stage = &plan->stage[rg_server_stage_at(plan, server)];
    struct rg_shard shard =
        rg_shard_of(stage->parameters, stage->servers, server - stage->first_server);
    shard.first += stage->first;
    return shard;
}

int rg_server_stage_at(const struct rg_server_plan *plan, int server)
{
    int stage = 0;
    while (server >= plan->stage[stage].first_server + plan->stage[stage].servers)
        stage++;
    return stage;
}

void rg_server_order(const struct rg_server_plan *plan, int server, int *order)
{
    rg_serving_order(plan->servers, plan->workers, server, order);
}

int rg_server_forward(struct rg_server_node *node, int64_t clock)
{
    int worker = rg_server_worker_of(node->plan, node->w->rank), k = node->plan->workers;
    if (node->plan->stages > 1)
        return rg_server_ring_forward(node, clock);
    return rg_replica_forward(&node->replica, clock, rg_job_share_first(node->job, k, worker),
                              rg_job_share(node->job, k, worker), -1);
}

int rg_server_backward(struct rg_server_node *node, bool accumulate)
{
    return node->plan->stages > 1 ? rg_server_ring_backward(node, accumulate)
                                  : rg_replica_backward(&node->replica, accumulate, -1);
}

/* A push is a worker's share of the gradients of so many clocks, and of what l1 and l2 cost. */
static struct rg_optimizer optimizer_of(const struct rg_job *job, int64_t clocks)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    struct rg_optimizer optimizer = job->optimizer;
    if (plan->consistency == RG_ASYNC) {
        float share = (float)clocks / (float)plan->workers;
        optimizer.l1 *= share;
        optimizer.l2 *= share;
    }
    return optimizer;
}

struct rg_optimizer rg_server_optimizer(const struct rg_job *job)
{
    return optimizer_of(job, rg_server_plan(job)->push_every);
}

struct rg_optimizer rg_worker_optimizer(const struct rg_job *job)
{
    struct rg_optimizer optimizer = optimizer_of(job, 1);
    optimizer.kind = RG_SGD;
    optimizer.clip = 0;
    return optimizer;
}

int64_t rg_server_clocks(const struct rg_server_plan *plan)
{
    return plan->consistency == RG_ASYNC ? 0 : plan->ahead + 1;
}

/* Of an asynchronous one with filters: what a push says. */
int64_t rg_server_vectors(const struct rg_server_plan *plan)
{
    if (plan->in_step)
        return 1;
    bool heard = plan->consistency == RG_ASYNC && rg_server_filtered(plan);
    return 1 + rg_server_clocks(plan) + heard;
}

int64_t rg_server_messages(const struct rg_server_plan *plan)
{
    return plan->in_step ? 2 : plan->workers;
}

int rg_server_pulled(const struct rg_server_plan *plan)
{
    return plan->in_step ? 1 : plan->in_flight;
}

/* One is filled while another leaves; own writes are those of the clocks that may not be in what is
 * read, and the one under way. */
int rg_server_gradients(const struct rg_server_plan *plan)
{
    int own = plan->own_writes ? (int)plan->ahead + 1 : 1;
    return plan->in_step ? 1 : RG_MAX(own, RG_MIN(plan->in_flight, 2));
}

/* ---- when a worker reads and pushes ---- */

static int64_t place(const struct rg_job *job, int64_t clock)
{
    return clock % job->iterations_per_epoch;
}

/* The next clock of the epoch that is a multiple of `every`, or its end. */
static int64_t next(const struct rg_job *job, int64_t clock, int64_t every)
{
    int64_t at = place(job, clock);
    int64_t end = RG_MIN(clock - at + job->iterations_per_epoch, job->iterations);
    return RG_MIN(clock - at % every + every, end);
}

int64_t rg_server_begin(const struct rg_server_plan *plan, int worker, int64_t first, int64_t end)
{
    return worker == 0 ? first : RG_MIN(RG_MAX(first, plan->warm_up), end);
}

int64_t rg_server_after_read(const struct rg_job *job, int64_t clock)
{
    return next(job, clock, rg_server_plan(job)->fetch_every);
}

int64_t rg_server_after_push(const struct rg_job *job, int64_t clock)
{
    return next(job, clock, rg_server_plan(job)->push_every);
}

int64_t rg_server_pushed_before(const struct rg_job *job, int64_t clock)
{
    return clock - place(job, clock) % rg_server_plan(job)->push_every;
}

int64_t rg_server_times(const struct rg_job *job, int64_t every, int64_t begin, int64_t end)
{
    return begin < end ? 1 + place(job, end - 1) / every - place(job, begin) / every : 0;
}

/* Pushes that a worker begins in the clocks below that one. */
static int64_t pushes_before(const struct rg_job *job, int64_t clock)
{
    int64_t every = rg_server_plan(job)->push_every, length = job->iterations_per_epoch;
    return clock / length * ((length + every - 1) / every) +
           (place(job, clock) + every - 1) / every;
}

int64_t rg_server_updates(const struct rg_job *job, int64_t clock)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    if (plan->consistency != RG_ASYNC)
        return clock;
    int64_t first = pushes_before(job, clock), others = 0, warm_up = plan->warm_up;
    bool parted = place(job, warm_up) % plan->push_every > 0; /* they begin amidst a push */
    if (clock > warm_up)
        others = first - pushes_before(job, warm_up) + parted;
    return first + (plan->workers - 1) * others;
}

bool rg_server_steps_alone(const struct rg_server_plan *plan)
{
    return plan->fetch_every > 1;
}

bool rg_server_sums_apart(const struct rg_server_plan *plan)
{
    return rg_server_steps_alone(plan) && plan->push_every > 1;
}
