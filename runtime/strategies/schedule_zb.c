/* Zero bubble (Qi, Wan, Huang and Lin 2024, "Zero bubble pipeline parallelism", arXiv 2401.10241):
 * only the gradient of a stage's input is waited for by another stage; those of its weights are put
 * off to where it would wait itself. The update, and its bits, are those of the other schedules
 * that drain the ring.
 *
 * A stage takes in as many units as its depth; then it is one backward to the input, the gradients
 * of weights of a unit that is so far behind that every stage holds as many units as the first, and
 * one forward. With S stages that are S for `zb-h1` and 2 S - 1 for `zb-h2`, the memory that the
 * paper gives them (section 2.2 and table 2); `zb` has three a stage, which hide transfers, too.
 *
 * The paper has the loss on the last stage. Here the ring is closed for it, a trip that a last
 * stage with one unit in flight waits for unit by unit: therefore `zb-h2` has two there, and
 * `zb-h1`, which has not the memory for that, a forward pass before the gradients of weights. Both
 * have the loss computed beside what the first stage is at; `zb` does not wait for it. */
#include "base/check.h"
#include "strategies/ring.h"
#include <math.h>

static void order(struct rg_plan_writer *w, int units, int depth)
{
    int behind = rg_plan_behind(w);
    bool room = depth + behind < rg_plan_held(w); /* for a unit more before one is done with */
    rg_plan_begin_body(w);
    for (int u = 0; u < depth; u++)
        rg_plan_put_forward(w, u);
    for (int u = 0; u < units; u++) {
        rg_plan_put_backward(w, u);
        if (room && u + depth < units)
            rg_plan_put_forward(w, u + depth);
        if (u >= behind)
            rg_plan_put_weights(w, u - behind);
        if (!room && u + depth < units)
            rg_plan_put_forward(w, u + depth);
    }
    for (int u = RG_MAX(units - behind, 0); u < units; u++)
        rg_plan_put_weights(w, u);
    rg_plan_put_update(w, units - 1);
}

static int one_trip(const struct rg_ring *ring, int stage, int in_flight)
{
    (void)in_flight;
    return RG_MIN(ring->stages - stage, ring->micro);
}

static int two_trips(const struct rg_ring *ring, int stage, int in_flight)
{
    (void)in_flight;
    return RG_MIN(RG_MIN(2 * (ring->stages - stage), 2 * ring->stages - 1), ring->micro);
}

static int falling(const struct rg_ring *ring, int stage, int in_flight)
{
    return RG_MIN(rg_ring_falling(ring, stage, in_flight), ring->micro);
}

/* A unit's way through the other stages and back is waited for once an iteration; the gradients of
 * weights that the last stage has put off are there to fill that time. Where transfers are free
 * that is the paper's bubble, (S - 1)(f + b - w) for zb-h1 and (S - 1)(f + b - 2 w) for zb-h2, and
 * one w for the closing of the ring; exactly so for w up to b and more micro-batches than are in
 * flight.
 */
static double seconds(const struct rg_ring *ring, const struct rg_stage_forms *forms)
{
    int last = ring->stages - 1;
    int put_off = rg_plan_behind_of(ring->stages, last, ring->depth, RG_STASH_HALVES);
    double longest = 0;
    for (int s = 0; s < ring->stages; s++) {
        const struct rg_stage_forms *f = &forms[s];
        double away = forms[0].round - f->forward - (f->backward - f->weights);
        double idle = fmax(0, away - put_off * f->weights);
        longest = fmax(longest, ring->micro * rg_ring_busy_s(ring, f) + idle + f->update);
    }
    return longest;
}

const struct rg_schedule rg_schedule_zb_h1 = {
    .synchronous = true,
    .overlaps = true,
    .stash = RG_STASH_HALVES,
    .loss_beside = true,
    .units_a_node = 4,
    .depth = one_trip,
    .order = order,
    .seconds = seconds,
};

const struct rg_schedule rg_schedule_zb_h2 = {
    .synchronous = true,
    .overlaps = true,
    .stash = RG_STASH_HALVES,
    .loss_beside = true,
    .units_a_node = 4,
    .depth = two_trips,
    .order = order,
    .seconds = seconds,
};

const struct rg_schedule rg_schedule_zb = {
    .synchronous = true,
    .overlaps = true,
    .stash = RG_STASH_HALVES,
    .units_a_node = 4,
    .takes = "depth",
    .depth = falling,
    .order = order,
    .seconds = seconds,
};
