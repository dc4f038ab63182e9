/* The closed forms of a ring: what every stage contributes, which its schedule makes an iteration
 * of, and what is sent. */
#include "base/check.h"
#include "base/need.h"
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

/* Iterations after which what is sent repeats. */
static int round_of(const struct rg_ring *ring)
{
    return RG_MAX(ring->backup.every, 1);
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
    uint64_t round = (uint64_t)round_of(ring), nodes = (uint64_t)ring->nodes;
    p->round = (int64_t)round;
    p->messages *= round;
    p->values *= round;
    for (int node = 0; node < ring->nodes && ring->backup.most > 0; node++)
        p->values += (uint64_t)ring->replicas * rg_ring_node_floats(ring, node);
    p->messages += (uint64_t)ring->replicas * nodes * (uint64_t)ring->backup.pieces;
    p->payload_bytes = sizeof(float) * p->values;
}

/* Of a node, the largest that it sends or receives. */
static uint64_t piece_bytes(const struct rg_ring *ring, int node)
{
    int before = (node + ring->nodes - 1) % ring->nodes;
    return sizeof(float) *
           RG_MAX(rg_backup_piece(ring, node, 0).count, rg_backup_piece(ring, before, 0).count);
}

/* What copies take of a node's port in an iteration, on average. */
static double copies_port_s(const struct rg_ring *ring, const struct rg_board *board, int node)
{
    const struct rg_backup *b = &ring->backup;
    if (b->most == 0)
        return 0;
    return rg_board_both_ways_s(board, 1, piece_bytes(ring, node)) * b->pieces / b->every;
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

/* The flows of an iteration, so many times. */
struct times {
    rg_traffic_fn flow;
    void *arg;
    uint64_t times;
};

static void flow_times(void *arg, const struct rg_traffic *flow)
{
    const struct times *t = arg;
    struct rg_traffic all = *flow;
    all.messages *= t->times;
    all.payload *= t->times;
    t->flow(t->arg, &all);
}

static void copies_flows(const struct rg_ring *ring, rg_traffic_fn flow, void *arg)
{
    for (int rank = 0; rank < ring->replicas * ring->nodes; rank++) {
        int replica = rank / ring->nodes, node = rank % ring->nodes;
        int next = rg_ring_rank(ring, replica, (node + 1) % ring->nodes);
        flow(arg, &(struct rg_traffic){rank, next, (uint64_t)ring->backup.pieces,
                                       sizeof(float) * rg_ring_node_floats(ring, node)});
    }
}

void rg_ring_flows(const struct rg_ring *ring, rg_traffic_fn each, void *of)
{
    struct times all = {each, of, (uint64_t)round_of(ring)};
    rg_traffic_fn flow = flow_times;
    void *arg = &all;
    if (ring->backup.most > 0)
        copies_flows(ring, each, of);
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
    struct rg_stage_forms *forms = rg_need_zeroed((size_t)ring->stages, sizeof *forms);
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
        if (rg_ring_repeats(ring, replica))
            continue;
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

/* What an iteration without copies takes a node's processor and its port. */
static void load_node(const struct rg_ring *ring, int replica, int node,
                      const struct rg_stage_forms *forms, double *compute, double *port)
{
    const struct rg_board *board = ring->job->boards[rg_ring_rank(ring, replica, node)];
    *compute = *port = 0;
    for (int s = node; s < ring->stages; s += ring->nodes) {
        *compute += compute_iteration(ring, replica, s, &forms[s]);
        *port += port_iteration(ring, board, s, &forms[s]);
    }
}

/* A unit's way round a replica's ring, computing alone. */
static double trip_of(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    double seconds = 0;
    for (int s = 0; s < ring->stages; s++)
        seconds += forms[s].forward + forms[s].backward;
    return seconds;
}

/* For how long the largest piece of a node is on its way. */
static double piece_s(const struct rg_ring *ring, int rank)
{
    const struct rg_board *const *boards = ring->job->boards;
    int node = rank % ring->nodes;
    int next = rg_ring_rank(ring, rank / ring->nodes, (node + 1) % ring->nodes);
    return rg_board_hop_to_s(boards[rank], boards[next],
                             sizeof(float) * rg_backup_piece(ring, node, 0).count);
}

static void predict_copies(const struct rg_ring *ring, int replica, double trip,
                           struct rg_copies_form *c)
{
    const struct rg_backup *b = &ring->backup;
    if (b->most == 0)
        return;
    c->most = b->most;
    c->every = b->every;
    c->pieces = b->pieces;
    c->kept = b->kept;
    c->hides_s = replica == 0 ? trip : fmin(c->hides_s, trip);
    for (int node = 0; node < ring->nodes; node++) {
        int before = (node + ring->nodes - 1) % ring->nodes;
        uint64_t floats = rg_ring_node_floats(ring, node) + rg_ring_node_floats(ring, before);
        c->piece_bytes =
            RG_MAX(c->piece_bytes, sizeof(float) * rg_backup_piece(ring, node, 0).count);
        c->bytes = RG_MAX(c->bytes, sizeof(float) * floats * (uint64_t)b->kept);
        c->piece_s = fmax(c->piece_s, piece_s(ring, rg_ring_rank(ring, replica, node)));
    }
}

void rg_ring_predict(const struct rg_ring *ring, struct rg_prediction *p)
{
    const struct rg_job *job = ring->job;
    struct rg_stage_forms *forms = new_forms(ring);
    p->overlap = ring->overlap && ring->schedule->overlaps;
    for (int replica = 0; replica < ring->replicas; replica++) {
        if (!rg_ring_repeats(ring, replica))
            replica_forms(ring, replica, forms);
        for (int node = 0; node < ring->nodes; node++) {
            const struct rg_board *board = job->boards[rg_ring_rank(ring, replica, node)];
            double compute, port;
            load_node(ring, replica, node, forms, &compute, &port);
            port += copies_port_s(ring, board, node);
            p->T_A_s = fmax(p->T_A_s, compute);
            p->c_s = fmax(p->c_s, port);
        }
        p->iteration_s = fmax(p->iteration_s, ring->schedule->seconds(ring, forms));
        predict_copies(ring, replica, trip_of(ring, forms), &p->copies);
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

/* ---- the least that copies may lose ---- */

/* Of a node, without copies; and of its replica. */
struct load {
    double compute, port, trip;
};

static struct load *new_loads(const struct rg_ring *ring)
{
    struct rg_stage_forms *forms = new_forms(ring);
    struct load *loads = rg_need_zeroed((size_t)(ring->replicas * ring->nodes), sizeof *loads);
    for (int replica = 0; replica < ring->replicas; replica++) {
        replica_forms(ring, replica, forms);
        for (int node = 0; node < ring->nodes; node++) {
            struct load *load = &loads[rg_ring_rank(ring, replica, node)];
            load_node(ring, replica, node, forms, &load->compute, &load->port);
            load->trip = trip_of(ring, forms);
        }
    }
    free(forms);
    return loads;
}

static bool copies_hide(const struct rg_ring *ring, const struct load *loads)
{
    double busiest = 0, bare = 0;
    for (int rank = 0; rank < ring->replicas * ring->nodes; rank++) {
        const struct rg_board *board = ring->job->boards[rank];
        uint64_t bytes = piece_bytes(ring, rank % ring->nodes);
        bare = fmax(bare, fmax(loads[rank].compute, (1 + RG_BACKUP_HIDDEN) * loads[rank].port));
        busiest = fmax(busiest, loads[rank].port + rg_board_both_ways_s(board, 1, bytes));
        if (piece_s(ring, rank) > loads[rank].trip)
            return false;
    }
    return busiest <= bare;
}

/* In so many pieces: the least number of iterations with which there are so many. */
static bool pieces_hide(struct rg_ring *ring, const struct load *loads, int pieces)
{
    ring->backup = rg_backup_of(2 * pieces + 1);
    return rg_backup_is_small(ring) || copies_hide(ring, loads);
}

int rg_ring_backup_least(struct rg_ring *ring)
{
    struct load *loads = new_loads(ring);
    int low = 1, high = 1;
    ring->backup = rg_backup_of(1);
    bool one = copies_hide(ring, loads) && rg_ring_fits(ring);
    while (!one && !pieces_hide(ring, loads, high)) {
        low = high + 1;
        high *= 2;
    }
    while (!one && low < high) { /* the fewest */
        int middle = low + (high - low) / 2;
        bool good = pieces_hide(ring, loads, middle);
        high = good ? middle : high;
        low = good ? low : middle + 1;
    }
    free(loads);
    return one ? 1 : high == 1 ? 2 : 2 * high + 1;
}
