/* Interleaved stages (Narayanan et al. 2021, "Efficient large-scale language model training on GPU
 * clusters using Megatron-LM", section 2.2): a node has V stages, chunks of the network, so that
 * activations go V times round the ring, and what fills and drains it is V times as short. Where
 * transfers are free the bubble is (S - 1) / (V M), of S nodes and M micro-batches.
 *
 * Units go in groups of S: the first chunk takes a group, then the second, and so on, and gradients
 * come home the other way. A node takes in as many units of chunks as the paper has it, which keep
 * it busy until the first gradient is there, and one more: the loss is at the first node here, and
 * its trip must not be waited for. The update is that of the other schedules that drain the ring.
 */
#include "base/check.h"
#include "strategies/ring.h"
#include <math.h>

/* Where the k-th pass of a node through one of its chunks is; forward. Backward: chunk V - 1 - it.
 */
struct turn {
    int chunk, unit;
};

static struct turn turn_of(int k, int nodes, int chunks)
{
    int group = k / (nodes * chunks), in = k % (nodes * chunks);
    return (struct turn){.chunk = in / nodes, .unit = group * nodes + in % nodes};
}

/* Forward passes of a node before its first backward pass. */
static int warm_up(int node, int nodes, int chunks, int units)
{
    return RG_MIN(2 * (nodes - 1 - node) + (chunks - 1) * nodes + 2, chunks * units);
}

static void put_forward(struct rg_plan_writer *w, int k)
{
    struct turn turn = turn_of(k, rg_plan_nodes(w), rg_plan_chunks(w));
    rg_plan_turn_to(w, turn.chunk);
    rg_plan_put_forward(w, turn.unit);
}

static void put_backward(struct rg_plan_writer *w, int k)
{
    struct turn turn = turn_of(k, rg_plan_nodes(w), rg_plan_chunks(w));
    rg_plan_turn_to(w, rg_plan_chunks(w) - 1 - turn.chunk);
    rg_plan_put_backward(w, turn.unit);
}

static void order(struct rg_plan_writer *w, int units, int depth)
{
    (void)depth;
    int all = units * rg_plan_chunks(w);
    int ahead = warm_up(rg_plan_node(w), rg_plan_nodes(w), rg_plan_chunks(w), units);
    rg_plan_begin_body(w);
    for (int k = 0; k < ahead; k++)
        put_forward(w, k);
    for (int k = 0; k < all; k++) {
        put_backward(w, k);
        if (k + ahead < all)
            put_forward(w, k + ahead);
    }
    rg_plan_put_update(w, units - 1);
}

/* Units that a stage has in flight, by its node's order; most, where a backward pass is next. */
static int depth(const struct rg_ring *ring, int stage, int in_flight)
{
    (void)in_flight;
    int nodes = ring->nodes, chunks = rg_ring_chunks(ring), all = ring->micro * chunks;
    int ahead = warm_up(stage % nodes, nodes, chunks, ring->micro), held = 0, most = 0;
    for (int k = 0; k < ahead; k++)
        held += turn_of(k, nodes, chunks).chunk == stage / nodes;
    most = held;
    for (int k = 0; k + ahead < all; k++) {
        held -= chunks - 1 - turn_of(k, nodes, chunks).chunk == stage / nodes;
        held += turn_of(k + ahead, nodes, chunks).chunk == stage / nodes;
        most = RG_MAX(most, held);
    }
    return most;
}

/* The units of the busiest node, in all its chunks; and the others' way once through the nodes, on
 * and back, which is not hidden: (S - 1)(f + b) / V where transfers are free. Derived here, rough
 * where transfers take long: units in flight are as few as they can be. */
static double seconds(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    double busiest = 0, update = 0, way = 0;
    for (int node = 0; node < ring->nodes; node++) {
        double busy = 0, updates = 0;
        for (int s = node; s < ring->stages; s += ring->nodes) {
            busy += rg_ring_busy_s(ring, &forms[s]);
            updates += forms[s].update;
        }
        busiest = fmax(busiest, ring->micro * busy);
        update = fmax(update, updates);
        if (node > 0)
            way += forms[node].forward + forms[node].backward + forms[node - 1].out +
                   forms[node - 1].back;
    }
    const struct rg_stage_forms *last = &forms[ring->stages - 1];
    return busiest + way + last->out + last->back + update;
}

const struct rg_schedule rg_schedule_interleaved = {
    .synchronous = true,
    .overlaps = true,
    .stash = RG_STASH_ACTIVATIONS,
    .units_a_node = 4,
    .in_chunks = true,
    .depth = depth,
    .order = order,
    .seconds = seconds,
};
