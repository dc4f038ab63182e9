/* The closed forms of a ring: what every stage contributes, which its schedule makes an iteration
 * of, and what is sent. */
#include "base/check.h"
#include "collectives/collectives.h"
#include "models/loss.h"
#include "strategies/replica.h"
#include "strategies/ring.h"
#include <math.h>
#include <stdlib.h>

double rg_ring_busy_s(const struct rg_ring *ring, const struct rg_stage_forms *form)
{
    double compute = form->forward + form->backward + form->loss;
    if (!ring->schedule->synchronous)
        compute += form->update / ring->micro;
    return ring->overlap ? fmax(compute, form->port) : compute + form->port;
}

/* Add `share` of a unit of n samples. */
static void add_unit(struct rg_stage_forms *form, const struct rg_ring *ring, int rank, int s,
                     int n, double share)
{
    const struct rg_job *job = ring->job;
    const struct rg_board *board = job->boards[rank];
    struct rg_stage stage = rg_ring_stage(ring, s);
    struct rg_ring_times t = rg_ring_times(ring, board, stage.from, stage.to, n);
    form->forward += share * t.forward;
    form->backward += share * t.backward;
    form->weights += share * t.weights;
    if (s == 0)
        form->loss += share * rg_ring_loss_s(ring, board, n);
    if (ring->stages == 1)
        return;
    uint64_t classes = (uint64_t)job->network->classes;
    uint64_t out = s == ring->stages - 1 ? classes : rg_stage_outputs(&stage);
    uint64_t back = s > 0 ? rg_stage_inputs(&stage) : classes;
    uint64_t bytes = sizeof(float) * (uint64_t)n;
    const struct rg_board *next =
        job->boards[rg_ring_rank(ring, rank / ring->nodes, (s + 1) % ring->stages)];
    form->port += share * rg_board_both_ways_s(board, 2, bytes * (out + back));
    form->hop += share * rg_board_send_s(board, next, bytes * out);
    form->out += share * rg_board_hop_to_s(board, next, bytes * out);
    form->back += share * rg_board_hop_to_s(next, board, bytes * out);
}

double rg_ring_reduce_s(const struct rg_ring *ring, int stage)
{
    struct rg_stage layers = rg_ring_stage(ring, stage);
    return rg_allreduce_seconds(RG_ROUND_A_RING, ring->job->boards + stage % ring->nodes,
                                ring->nodes, ring->job->threads, ring->replicas,
                                rg_stage_parameters(&layers));
}

static struct rg_stage_forms forms_of(const struct rg_ring *ring, int rank, int s)
{
    const struct rg_job *job = ring->job;
    const struct rg_board *board = job->boards[rank];
    struct rg_stage stage = rg_ring_stage(ring, s);
    size_t parameters = rg_stage_parameters(&stage);
    int samples = rg_ring_batch(ring, rank / ring->nodes), m = ring->micro;
    int large = samples % m; /* so many units have one sample more than the others */
    struct rg_stage_forms form = {0};
    if (large)
        add_unit(&form, ring, rank, s, samples / m + 1, (double)large / m);
    add_unit(&form, ring, rank, s, samples / m, (double)(m - large) / m);
    size_t first = rg_network_offset(job->network, stage.from);
    form.update = rg_ring_update_s(ring, board, s, first, parameters) + rg_ring_reduce_s(ring, s);
    return form;
}

static void predict_traffic(const struct rg_ring *ring, struct rg_prediction *p)
{
    const struct rg_job *job = ring->job;
    uint64_t crossing = 0;
    for (int s = 1; s < ring->stages; s++)
        crossing += job->network->layers[ring->cut[s]].inputs;
    if (ring->stages > 1) {
        p->messages = (uint64_t)ring->replicas * (uint64_t)ring->micro * 2 * (uint64_t)ring->stages;
        p->values = 2 * (uint64_t)job->batch * (crossing + (uint64_t)job->network->classes);
    }
    for (int s = 0; s < ring->stages && ring->replicas > 1; s++) {
        struct rg_stage stage = rg_ring_stage(ring, s);
        rg_allreduce_traffic(RG_ROUND_A_RING, ring->replicas, rg_stage_parameters(&stage),
                             &p->messages, &p->values);
    }
    p->payload_bytes = sizeof(float) * p->values;
}

/* Busiest direction of a node's port in an iteration, averaging included. */
static double port_iteration(const struct rg_ring *ring, const struct rg_board *board, int s,
                             const struct rg_stage_forms *form)
{
    double seconds = ring->micro * form->port;
    if (ring->replicas > 1) {
        struct rg_stage stage = rg_ring_stage(ring, s);
        uint64_t steps = 2 * (uint64_t)(ring->replicas - 1);
        uint64_t floats = steps * rg_stage_parameters(&stage) / (uint64_t)ring->replicas;
        seconds += rg_board_both_ways_s(board, steps, sizeof(float) * floats);
    }
    return seconds;
}

/* What the units of a replica take across the cut behind stage s, activations on and gradients
 * back. */
static void cut_flows(const struct rg_ring *ring, int replica, int s, rg_traffic_fn flow, void *arg)
{
    struct rg_stage stage = rg_ring_stage(ring, s);
    uint64_t values = s == ring->stages - 1 ? (uint64_t)ring->job->network->classes
                                            : (uint64_t)rg_stage_outputs(&stage);
    uint64_t bytes = sizeof(float) * values * (uint64_t)rg_ring_batch(ring, replica);
    int from = rg_ring_rank(ring, replica, s);
    int to = rg_ring_rank(ring, replica, (s + 1) % ring->stages);
    flow(arg, &(struct rg_traffic){from, to, (uint64_t)ring->micro, bytes});
    flow(arg, &(struct rg_traffic){to, from, (uint64_t)ring->micro, bytes});
}

void rg_ring_flows(const struct rg_ring *ring, rg_traffic_fn flow, void *arg)
{
    for (int s = 0; s < ring->stages; s++) {
        struct rg_stage stage = rg_ring_stage(ring, s);
        for (int replica = 0; replica < ring->replicas && ring->stages > 1; replica++)
            cut_flows(ring, replica, s, flow, arg);
        if (ring->replicas > 1)
            rg_allreduce_flows(RG_ROUND_A_RING,
                               (struct rg_group){s % ring->nodes, ring->nodes, ring->replicas},
                               rg_stage_parameters(&stage), flow, arg);
    }
}

/* All-reduce time is partly waiting: what the processor adds. */
static double compute_iteration(const struct rg_ring *ring, int replica, int s,
                                const struct rg_stage_forms *form)
{
    const struct rg_board *board = ring->job->boards[rg_ring_rank(ring, replica, s)];
    struct rg_stage stage = rg_ring_stage(ring, s);
    size_t parameters = rg_stage_parameters(&stage);
    double reduce = rg_ring_reduce_s(ring, s);
    double adds = rg_allreduce_adds_s(RG_ROUND_A_RING, board, ring->job->threads, ring->replicas,
                                      replica, parameters);
    return ring->micro * (form->forward + form->backward + form->loss) + form->update - reduce +
           adds;
}

/* Of one replica: [stages]. */
static void replica_forms(const struct rg_ring *ring, int replica, struct rg_stage_forms *forms)
{
    for (int s = 0; s < ring->stages; s++)
        forms[s] = forms_of(ring, rg_ring_rank(ring, replica, s), s);
    double round = forms[0].loss;
    for (int s = ring->stages - 1; s >= 0; s--) {
        double backward = forms[s].backward - forms[s].weights;
        round += forms[s].forward + backward + forms[s].out + forms[s].back;
        forms[s].round = round;
    }
}

static struct rg_stage_forms *new_forms(const struct rg_ring *ring)
{
    struct rg_stage_forms *forms = calloc((size_t)ring->stages, sizeof *forms);
    RG_ASSERT(forms);
    return forms;
}

/* Do `each` units a stage hide a replica's transfers, though every one of them may find the port
 * taken by another? Where the port is busier than the processor they queue for it. */
static bool hides(const struct rg_ring *ring, const struct rg_stage_forms *forms, int each)
{
    double compute = 0, port = 0, pair = 0;
    for (int s = 0; s < ring->stages; s++) {
        double here = forms[s].forward + forms[s].backward + forms[s].update / ring->micro;
        compute = fmax(compute, here + forms[s].loss);
        port = fmax(port, forms[s].port);
        pair = fmax(pair, 2 * (here + forms[s].out + forms[s].back) / (1 + each));
    }
    return port < compute && pair <= compute;
}

int rg_ring_reach(const struct rg_ring *ring)
{
    enum { MOST = 3 };
    struct rg_stage_forms *forms = new_forms(ring);
    int each = 1;
    for (int replica = 0; replica < ring->replicas && ring->stages > 1; replica++) {
        replica_forms(ring, replica, forms);
        while (each < MOST && !hides(ring, forms, each))
            each++;
    }
    free(forms);
    return each * ring->stages;
}

/* Is a stage slower than they are on average, by more than a tenth? */
static bool uneven(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    double sum = 0, most = 0;
    for (int s = 0; s < ring->stages; s++) {
        double seconds = forms[s].forward + forms[s].backward;
        sum += seconds;
        most = fmax(most, seconds);
    }
    return most * ring->stages > 1.1 * sum;
}

/* Seconds that a unit is on the wire, latencies and all, on its way round a replica's ring. */
static double travels_s(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    double seconds = 0;
    for (int s = 0; s < ring->stages; s++)
        seconds += forms[s].out + forms[s].back;
    return seconds;
}

void rg_ring_predict(const struct rg_ring *ring, struct rg_prediction *p)
{
    const struct rg_job *job = ring->job;
    struct rg_stage_forms *forms = new_forms(ring);
    p->overlap = ring->overlap && ring->schedule->overlaps;
    for (int replica = 0; replica < ring->replicas; replica++) {
        replica_forms(ring, replica, forms);
        for (int node = 0; node < ring->nodes; node++) {
            const struct rg_board *board = job->boards[rg_ring_rank(ring, replica, node)];
            double compute = 0, port = 0;
            for (int s = node; s < ring->stages; s += ring->nodes) {
                compute += compute_iteration(ring, replica, s, &forms[s]);
                port += port_iteration(ring, board, s, &forms[s]);
            }
            p->T_A_s = fmax(p->T_A_s, compute);
            p->c_s = fmax(p->c_s, port);
        }
        p->iteration_s = fmax(p->iteration_s, ring->schedule->seconds(ring, forms));
    }
    p->alone = !ring->schedule->overlaps && ring->replicas == 1;
    predict_traffic(ring, p);
    rg_predict_memory(job, p);
    if (ring->schedule->overlaps && p->c_s > p->T_A_s / 4)
        p->holds = "forms of schedules are for c up to a quarter of T_A";
    else if (ring->schedule->overlaps && travels_s(ring, forms) > p->T_A_s)
        p->holds = "forms of schedules are for trips round the ring of up to T_A";
    else if (ring->schedule->overlaps && uneven(ring, forms))
        p->holds = "forms of schedules are for equal stages";
    free(forms);
}
