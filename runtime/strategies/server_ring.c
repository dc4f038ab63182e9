/* A worker of several nodes: a replica whose layers lie round a ring (Dean et al. 2012, section 3).
 * The first node has the samples and the loss, to which the outputs of the last come back. One
 * batch is in the ring at a time. */
#include "collectives/collectives.h"
#include "strategies/server_parts.h"

uint64_t rg_server_handed(const struct rg_job *job, int stage, int worker)
{
    const struct rg_server_plan *plan = rg_server_plan(job);
    if (plan->stages == 1)
        return 0;
    return sizeof(float) * (uint64_t)rg_job_share(job, plan->workers, worker) *
           (uint64_t)rg_stage_outputs(&plan->stage[stage].layers);
}

struct place {
    int stage, worker, next, before; /* ranks of its neighbours */
    size_t in, out;                  /* floats that come forward, and leave forward */
};

static struct place place_of(const struct rg_server_node *node)
{
    const struct rg_server_plan *plan = node->plan;
    int rank = node->w->rank, s = rg_server_stage_of(plan, rank), n = plan->stages;
    int worker = rg_server_worker_of(plan, rank);
    return (struct place){.stage = s,
                          .worker = worker,
                          .next = rg_server_rank(plan, (s + 1) % n, worker),
                          .before = rg_server_rank(plan, (s + n - 1) % n, worker),
                          .in =
                              rg_server_handed(node->job, (s + n - 1) % n, worker) / sizeof(float),
                          .out = rg_server_handed(node->job, s, worker) / sizeof(float)};
}

static int hand_on(struct rg_server_node *node, int to, uint32_t tag, const float *from,
                   size_t count)
{
    int result = rg_send_floats(node->w, to, tag, from, count, &node->handed);
    return result ? result : rg_wait(node->w, &node->handed);
}

static int take(struct rg_server_node *node, int from, uint32_t tag, float *to, size_t count)
{
    int result = rg_recv(node->w, from, tag, to, count * sizeof *to, &node->handed);
    return result ? result : rg_wait(node->w, &node->handed);
}

int rg_server_ring_forward(struct rg_server_node *node, int64_t clock)
{
    const struct place p = place_of(node);
    struct rg_replica *r = &node->replica;
    int k = node->plan->workers, n = rg_job_share(node->job, k, p.worker);
    int first = rg_job_share_first(node->job, k, p.worker), result;
    if (p.stage == 0) {
        result = rg_replica_load(r, clock, first, n, -1);
    } else {
        result = rg_replica_begin(r, clock, first, n);
        if (result == 0)
            result = take(node, p.before, RG_TAG_FORWARD, r->x, p.in);
    }
    if (result == 0)
        result = rg_replica_forward_stage(r, -1);
    if (result == 0)
        result = hand_on(node, p.next, RG_TAG_FORWARD, rg_replica_outputs(r), p.out);
    if (result || p.stage > 0)
        return result;
    result = take(node, p.before, RG_TAG_FORWARD, r->logits, p.in);
    return result ? result : rg_replica_loss(r, -1);
}

int rg_server_ring_backward(struct rg_server_node *node, bool accumulate)
{
    const struct place p = place_of(node);
    struct rg_replica *r = &node->replica;
    int result = 0;
    if (p.stage == 0)
        result = hand_on(node, p.before, RG_TAG_BACKWARD, r->logits, p.in);
    if (result == 0)
        result = take(node, p.next, RG_TAG_BACKWARD, r->dy, p.out);
    if (result == 0)
        result = rg_replica_backward(r, accumulate, -1);
    if (result == 0 && p.stage > 0)
        result = hand_on(node, p.before, RG_TAG_BACKWARD, rg_replica_inputs_gradient(r), p.in);
    return result;
}

void rg_server_ring_cancel(struct rg_server_node *node)
{
    rg_cancel_one(node->w, &node->handed);
}
